package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/redact"
)

// canaries are secrets with what encoders like to change.
var canaries = []string{
	"abcd",
	"canary-0123456789",
	"sk_live_51H8xQ2eZvKYlo2C",
	"pass word+with/slash&amp=<tag>",
	"quote\"back\\slash'tick`",
	"100%25 %41 percent",
	"tab\tnew\nline",
	"ação-日本-🔑-key",
	"bytes\xff\xfe\x00raw",
	`{"k":"v/w"}`,
	"cafe0123beef4567", // hex digits
	"c2VjcmV0LXZhbHVl", // base64 characters
}

func quoteJSON(s string) string {
	text, _ := json.Marshal(s)
	return string(text[1 : len(text)-1])
}

func percentAll(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

// encodings are the forms a secret may take on its way into a text.
var encodings = []struct {
	name   string
	encode func(string) string
}{
	{"raw", func(s string) string { return s }},
	{"query", url.QueryEscape},
	{"path", url.PathEscape},
	{"percent, lower case, every byte", percentAll},
	{"path in a query", func(s string) string { return url.QueryEscape(url.PathEscape(s)) }},
	{"base64", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }},
	{"base64 raw", func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) }},
	{"base64 URL", func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) }},
	{"base64 URL raw", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }},
	{"base64 at 1", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(":" + s)) }},
	{"base64 at 2", func(s string) string { return base64.StdEncoding.EncodeToString([]byte("u:" + s)) }},
	{"base64 at 3, more behind", func(s string) string { return base64.URLEncoding.EncodeToString([]byte("us:" + s + "tail")) }},
	{"base64 in a query", func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) }},
	{"base64 of JSON", func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte(`{"a":"` + quoteJSON(s) + `"}`))
	}},
	{"hex", func(s string) string { return hex.EncodeToString([]byte(s)) }},
	{"HEX", func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }},
	{"hex, odd place", func(s string) string { return "a" + hex.EncodeToString([]byte(s)) }},
	{"JSON", quoteJSON},
	{"JSON, escaped slash", func(s string) string { return strings.ReplaceAll(quoteJSON(s), "/", `\/`) }},
	{"JSON, ASCII", func(s string) string {
		return strings.Trim(strings.ReplaceAll(strconv.QuoteToASCII(quoteJSON(s)), `\\`, `\`), `"`)
	}},
	{"JSON bytes", func(s string) string { text, _ := json.Marshal([]byte(s)); return string(text) }},
	{"JSON twice", func(s string) string { return quoteJSON(quoteJSON(s)) }},
	{"JSON in %q", func(s string) string { return strconv.Quote(quoteJSON(s)) }},
	{"Go", strconv.Quote},
	{"Go ASCII", strconv.QuoteToASCII},
	{"decimals in JSON", func(s string) string { return strings.ReplaceAll(fmt.Sprint([]byte(s)), " ", ",") }},
	{"decimals indented", func(s string) string { return strings.ReplaceAll(fmt.Sprint([]byte(s)), " ", ",\n\t") }},
}

// damages tells whether the encoding, as built here, does not keep the secret.
func damages(encoding, secret string) bool {
	return encoding == "JSON, ASCII" && (strings.ContainsAny(secret, "\"\\'`\x00\t\n") || strings.Contains(secret, "\xff"))
}

func TestEncodings(t *testing.T) {
	for _, secret := range canaries {
		r := redact.New("another secret", secret)
		for _, encoding := range encodings {
			if damages(encoding.name, secret) {
				continue
			}
			encoded := encoding.encode(secret)
			for _, around := range [][2]string{{"", ""}, {"before ", " after"}, {"https://x/?a=", "&b=1"}, {"{\"a\":\"", "\"}"}, {"(", ")"}, {"a/", ""}, {"ab/", ""}, {"abc/", ""}, {"wxyz/", ""}} {
				got := r.String(around[0] + encoded + around[1])
				if strings.Contains(got, encoded) || !strings.Contains(got, "[redacted]") {
					t.Errorf("%s of %q: %q", encoding.name, secret, got)
				}
				if !strings.HasPrefix(got, around[0]) || !strings.HasSuffix(got, around[1]) {
					t.Errorf("%s of %q: the text around it is gone: %q", encoding.name, secret, got)
				}
				if left := strings.Replace(got[len(around[0]):len(got)-len(around[1])], "[redacted]", "", 1); len(left) > len(encoded)/4+16 {
					t.Errorf("%s of %q: much is left: %q", encoding.name, secret, got)
				}
			}
		}
	}
}

func TestVerbs(t *testing.T) {
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "%X", "% x", "% X", "%#x", "%# x", "%d"}
	for _, secret := range canaries {
		r := redact.New(secret)
		type nested struct {
			S string
			B []byte
		}
		for _, verb := range verbs {
			for _, value := range []any{secret, []byte(secret), nested{secret, []byte(secret)}, &nested{S: secret},
				map[string]string{"k": secret}, []string{secret, secret}, fmt.Errorf("wrapped: %s", secret)} {
				text := fmt.Sprintf(verb, value)
				got := r.String(text)
				for _, form := range []string{secret, strconv.Quote(secret), strconv.QuoteToASCII(secret),
					strings.Trim(fmt.Sprint([]byte(secret)), "[]"), hex.EncodeToString([]byte(secret)),
					fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret), fmt.Sprintf("%# x", secret),
					strings.Trim(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(secret)), "[]byte"), "{}")} {
					if strings.Contains(got, strings.Trim(form, `"`)) {
						t.Errorf("%s of %T shows %q: %q", verb, value, form, got)
					}
				}
				if !strings.Contains(got, "[redacted]") {
					t.Errorf("%s of %T: nothing found in %q", verb, value, text)
				}
			}
		}
	}
}

func TestString(t *testing.T) {
	tests := []struct {
		name    string
		secrets []string
		in      string
		want    string
	}{
		{"nothing to find", []string{"secret-value"}, "a plain text, 100% + [1 2 3] \\ YWJjZA==", "a plain text, 100% + [1 2 3] \\ YWJjZA=="},
		{"twice", []string{"secret-value"}, "secret-value, secret-value", "[redacted], [redacted]"},
		{"side by side", []string{"secret-value"}, "secret-valuesecret-value", "[redacted]"},
		{"overlapping", []string{"aaaa"}, "xaaaaaay", "x[redacted]y"},
		{"two secrets overlap", []string{"abcdef", "defghi"}, "-abcdefghi-", "-[redacted]-"},
		{"one in another", []string{"abcd", "xabcdx"}, "-xabcdx-abcd-", "-[redacted]-[redacted]-"},
		{"short ones are ignored", []string{"abc", ""}, "abc", "abc"},
		{"four bytes", []string{"abcd"}, "abcd", "[redacted]"},
		{"no secrets", nil, "abc", "abc"},
		{"empty text", []string{"abcd"}, "", ""},
		{"partly escaped", []string{"a/b/c/d"}, `a%2Fb/c%2fd`, "[redacted]"},
		{"escape-like secret", []string{"%41%42"}, "x%41%42y", "x[redacted]y"},
		{"in the user name too", []string{"p@ss:word"}, "https://u:p%40ss%3Aword@host/", "https://u:[redacted]@host/"},
		{"two layers", []string{`a"b/c\d`}, strconv.Quote("x" + quoteJSON(`a"b/c\d`) + "y"), `"x[redacted]y"`},
		{"base64 in a query", []string{"pass~~~"}, "a=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("pass~~~"))) + "&b", "a=[redacted]%3D%3D&b"},
		{"long text", []string{"abcd"}, strings.Repeat("x", 1<<16+1), "[redacted 65537 bytes]"},
	}
	for _, test := range tests {
		if got := redact.New(test.secrets...).String(test.in); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if got := (*redact.Redactor)(nil).String("abcd"); got != "abcd" {
		t.Errorf("nil Redactor: %q", got)
	}
	if got := new(redact.Redactor).String("abcd"); got != "abcd" {
		t.Errorf("zero Redactor: %q", got)
	}
}

func TestRedactorIsNotPrinted(t *testing.T) {
	r := redact.New("secret-value")
	for _, value := range []any{r, *r, struct{ r *redact.Redactor }{r}, struct{ r redact.Redactor }{*r}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, "secret-value") || strings.Contains(text, hex.EncodeToString([]byte("secret-value"))) {
				t.Errorf("%s of %T: %s", verb, value, text)
			}
		}
	}
}

// FuzzString checks that no encoding of a secret is left in the output.
func FuzzString(f *testing.F) {
	for i, secret := range canaries {
		f.Add("before ", secret, " after", uint8(i))
	}
	f.Add("", "000\"", "", uint8(17))
	f.Add("%", "2541", "\\", uint8(3))
	f.Add("[redacted", "]abc", "]abc", uint8(0))
	f.Fuzz(func(t *testing.T, before, secret, after string, n uint8) {
		if len(secret) < 4 || len(secret) > 200 || len(before)+len(after) > 2000 {
			return
		}
		encoding := encodings[int(n)%len(encodings)]
		if damages(encoding.name, secret) {
			return
		}
		if encoding.name != "raw" && strings.ContainsAny(before, `%\`) {
			return // may end in the first half of an escape
		}
		encoded := encoding.encode(secret)
		out := redact.New(secret).String(before + encoded + after)
		if !strings.Contains(out, "[redacted]") {
			t.Fatalf("%s of %q not found: %q", encoding.name, secret, out)
		}
		// A secret that the marker itself completes was not in the text.
		for _, piece := range strings.Split(out, "[redacted]") {
			if strings.Contains(piece, secret) || strings.Contains(piece, encoded) {
				t.Fatalf("%s of %q is left: %q", encoding.name, secret, out)
			}
		}
		if !strings.ContainsAny(secret, "[redacted]") && strings.Contains(out, secret) {
			t.Fatalf("%q is left: %q", secret, out)
		}
	})
}

func BenchmarkString(b *testing.B) {
	r := redact.New("sk_live_51H8xQ2eZvKYlo2C", "refresh-0123456789abcdef0123456789abcdef")
	text := `POST https://api.example.com/v1/contacts?limit=50&cursor=abc%3D%3D: 400 Bad Request: {"error":"invalid_request","error_description":"field \"email\" is wrong","request_id":"7f3d2a9c4b1e8f60"}`
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r.String(text)
	}
}

func ExampleRedactor_String() {
	r := redact.New("s3cr3t/value")
	fmt.Println(r.String("GET /?key=s3cr3t%2Fvalue"))
	fmt.Println(r.String("Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("joe:s3cr3t/value"))))
	// Output:
	// GET /?key=[redacted]
	// Authorization: Basic am9lO[redacted]==
}
