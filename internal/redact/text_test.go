package redact_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/enlace-go/enlace/internal/redact"
)

// In these cases every credential is the word CANARY with something around it,
// and the wanted text has none.
func TestTextMasks(t *testing.T) {
	tests := []struct{ in, want string }{
		{"https://joe:CANARY@host/x", "https://[redacted]@host/x"},
		{"https://CANARY@host", "https://[redacted]@host"},
		{"https://joe:CAN@ARY@host/x", "https://[redacted]@host/x"},
		{`"https:\/\/joe:CANARY@host\/x"`, `"https:\/\/[redacted]@host\/x"`},
		{"to=https%3A%2F%2Fjoe%3ACANARY%40host", "to=https%3A%2F%2F[redacted]%40host"},
		{"GET /a?access_token=CANARY&limit=5", "GET /a?access_token=[redacted]&limit=5"},
		{"GET /a?limit=5&code=CANARY", "GET /a?limit=5&code=[redacted]"},
		{"client_id=app&client_secret=CANARY%20x&grant_type=refresh_token", "client_id=app&client_secret=[redacted]&grant_type=refresh_token"},
		{"auth=CANARY", "auth=[redacted]"},
		{"auth[access_token]=CANARY&x=1", "auth[access_token]=[redacted]&x=1"},
		{"auth%5Baccess_token%5D=CANARY&x=1", "auth%5Baccess_token%5D=[redacted]&x=1"},
		{"API-KEY=CANARY; x", "API-KEY=[redacted]; x"},
		{"password='CANARY CANARY' x", "password=[redacted] x"},
		{`password="CAN\"ARY CANARY" x`, `password=[redacted] x`},
		{"next=https%3A%2F%2Fh%2F%3Ftoken%3DCANARY", "next=https%3A%2F%2Fh%2F%3Ftoken%3D[redacted]"},
		{"next=https%3A%2F%2Fh%2F%3Fcode%3DCANARY", "next=https%3A%2F%2Fh%2F%3Fcode%3D[redacted]"},
		{"form[code]=CANARY", "form[code]=[redacted]"},
		{"sig=CANARY&signature=CANARY", "sig=[redacted]&signature=[redacted]"},
		{"Set-Cookie: CANARY; Path=/", "Set-Cookie: [redacted]; Path=/"},
		{"Bearer CANARY.x-y_z", "Bearer [redacted]"},
		{"bearer\nCANARY", "bearer [redacted]"},
		{"Authorization: Bearer CANARY", "Authorization: Bearer [redacted]"},
		{"Authorization: Basic CANARY==", "Authorization: Basic [redacted]"},
		{"authorization: CANARY", "authorization: [redacted]"},
		{"X-Api-Key: CANARY, x", "X-Api-Key: [redacted], x"},
		{`{"access_token":"CANARY","expires_in":3600}`, `{"access_token":[redacted],"expires_in":3600}`},
		{`{"token": "CAN\/ARY\"CANARY"}`, `{"token": [redacted]}`},
		{`"{\"token\":\"CAN\\\/ARY\"}"`, `"{\"token\":[redacted]}"`},
		{`{"auth":{"access_token":"CANARY"}}`, `{"auth":{"access_token":[redacted]}}`},
		{`{"keys":["CANARY","CANARY"],"x":1}`, `{"keys":[redacted],"x":1}`},
		{`{'api_token': 'CANARY'}`, `{'api_token': [redacted]}`},
		{`{"password":12345CANARY}`, `{"password":[redacted]}`},
		{"invalid eyJhbGciOiJ9.eyJCANARY.CANARY-_x here", "invalid [redacted] here"},
		{"https://acme.bitrix24.com/rest/1/CANARY/crm.deal.list.json", "https://acme.bitrix24.com/rest/1/[redacted]/crm.deal.list.json"},
		{"https://acme.bitrix24.com/rest/12/CANARY", "https://acme.bitrix24.com/rest/12/[redacted]"},
		{"https://acme.bitrix24.com/rest/api/1/CANARY/tasks.task.get", "https://acme.bitrix24.com/rest/api/1/[redacted]/tasks.task.get"},
		{`"https:\/\/acme.bitrix24.com\/rest\/1\/CANARY\/app.info"`, `"https:\/\/acme.bitrix24.com\/rest\/1\/[redacted]\/app.info"`},
		{"to=https%3A%2F%2Facme%2Frest%2F1%2FCANARY%2Fapp.info", "to=https%3A%2F%2Facme%2Frest%2F1%2F[redacted]%2Fapp.info"},

		// What a reader needs stays.
		{`{"error":"invalid_grant","error_code":400,"code":"E17"}`, `{"error":"invalid_grant","error_code":400,"code":"E17"}`},
		{"https://acme.bitrix24.com/rest/crm.deal.list?start=50", "https://acme.bitrix24.com/rest/crm.deal.list?start=50"},
		{"status_code=404 error_code=E17", "status_code=404 error_code=E17"},
		{"invalid token: expired", "invalid token: expired"},
		{"mail joe@example.com, see https://example.com/docs", "mail joe@example.com, see https://example.com/docs"},
		{"ação inválida 日本", "ação inválida 日本"},
	}
	for _, test := range tests {
		got := redact.Text(test.in)
		if got != test.want {
			t.Errorf("%q\n got %q\nwant %q", test.in, got, test.want)
		}
		if strings.Contains(got, "CANARY") {
			t.Errorf("%q leaks: %q", test.in, got)
		}
		if again := redact.Text(got); again != got {
			t.Errorf("%q is masked again to %q", got, again)
		}
	}
}

func TestTextIsOneLine(t *testing.T) {
	tests := []struct{ in, want string }{
		{"a\nb\r\nc\td", "a b  c d"},
		{"a\x00\x1b[31mred\x7f\u0085b", "a  [31mred  b"},
		{"a\u2028b\u2029c\u202ed\u200be\ufefff", "a b c d e f"},
		{"\n a \n", "a"},
		{"a\xffb\xc3", "a\uFFFDb\uFFFD"},
		{"", ""},
	}
	for _, test := range tests {
		if got := redact.Text(test.in); got != test.want {
			t.Errorf("%q: %q, want %q", test.in, got, test.want)
		}
	}
}

func TestTextIsBounded(t *testing.T) {
	if got := redact.Text(strings.Repeat("x", 2048)); len(got) != 2048 || strings.Contains(got, "cut") {
		t.Errorf("2 KiB: %d bytes", len(got))
	}
	for name, in := range map[string]string{
		"one more":    strings.Repeat("x", 2049),
		"long runes":  strings.Repeat("日", 1000),
		"long":        strings.Repeat("word ", 1<<18),
		"no break":    strings.Repeat("x", 1<<20),
		"all secrets": strings.Repeat("token=CANARY ", 1<<16),
	} {
		got := redact.Text(in)
		if len(got) > 2048 || !strings.HasSuffix(got, "[cut]") || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes, %q", name, len(got), got[max(0, len(got)-20):])
		}
		if strings.Contains(got, "CANARY") {
			t.Errorf("%s leaks", name)
		}
	}
	// Masked to almost nothing, so that the end of what was read is shown.
	long := "token=" + strings.Repeat("x", 16<<10-40) + " https://joe:" + strings.Repeat("CANARY", 20) + "@host/"
	if got := redact.Text(long); got != "token=[redacted] [cut]" {
		t.Errorf("cut in a URL: %q", got)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\nb", "token=")
	f.Add("\xff\u2028", "https://u:")
	f.Add(strings.Repeat("日", 700), `{"key":"`)
	f.Fuzz(func(t *testing.T, before, after string) {
		got := redact.Text(before + after)
		if len(got) > 2048 || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid: %t", len(got), utf8.ValidString(got))
		}
		for _, r := range got {
			if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
				t.Fatalf("%U in %q", r, got)
			}
		}
		if strings.ContainsAny(before, `"'\`) || len(before)+len(after) > 1000 {
			return // an open quote before it makes another field of it
		}
		for _, credential := range []string{"?access_token=CANARY", "Bearer CANARY", "//u:CANARY@h", "/rest/1/CANARY/x", `"secret":"CANARY"`} {
			if got := redact.Text(before + " " + credential + " " + after); strings.Contains(got, "CANARY") {
				t.Fatalf("%s is left: %q", credential, got)
			}
		}
	})
}

func BenchmarkText(b *testing.B) {
	text := strings.Repeat(`{"error":"invalid_grant","access_token":"xyz"} `, 40)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		redact.Text(text)
	}
}

func ExampleText() {
	fmt.Println(redact.Text("bad request:\nhttps://acme.bitrix24.com/rest/1/k3y/profile?auth=t0ken"))
	// Output: bad request: https://acme.bitrix24.com/rest/1/[redacted]/profile?auth=[redacted]
}
