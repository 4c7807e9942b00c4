package zapsigntest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// FuzzRequest sends any request to a server that has a document, a template and a webhook.
// Whatever comes, it must answer with a status that it knows and with JSON where it says so.
func FuzzRequest(f *testing.F) {
	for _, r := range routes {
		f.Add(r.verb, strings.ReplaceAll(r.pattern, "{}", "TOKEN"), `{}`)
	}
	const file = `"name":"x","base64_pdf":"JVBERi0xLjQK",`
	for _, seed := range [][3]string{
		{"POST", "docs/", `{` + file + `"signers":[{"name":"Ana","email":"a@b","send_automatic_email":true,"order_group":1}],"signature_order_active":true,"observers":["a"],"metadata":[{"key":"a","value":"b"}],"date_limit_to_sign":"2030-01-01","folder_path":"/a/b","reminder_every_n_days":1}`},
		{"POST", "docs/", `{"name":"x","markdown_text":"(\\)","signers":[{"name":"Ana"}],"one_click_active":true}`},
		{"POST", "docs/", `{"name":null,"base64_docx":"UEsDBA==","signers":[null]}`},
		{"PUT", "docs/TOKEN/", `{"name":"y","extra_docs":[{"token":"z"}],"date_limit_to_sign":"2030-01-01T00:00:00.000Z"}`},
		{"PUT", "docs/TOKEN/document-display-order/", `{"document_display_order":["TOKEN"]}`},
		{"POST", "docs/TOKEN/place-signatures/", `{"rubricas":[{"page":1e9,"relative_position_left":-1e999,"signer_token":7}]}`},
		{"POST", "docs/TOKEN/upload-extra-doc/", `{` + file + `"x":1}`},
		{"POST", "signers/SIGNER/", `{"email":"a@b","send_automatic_email":true,"auth_mode":"CPF"}`},
		{"POST", "refuse/", `{"doc_token":"TOKEN","rejected_reason":"x"}`},
		{"POST", "sign/", `{"user_token":"USER","signer_tokens":["SIGNER"]}`},
		{"POST", "user/company/webhook/", `{"url":"https://x.example","type":"","headers":[{"name":"\n","value":"\u0000"}]}`},
		{"DELETE", "user/company/webhook/delete/", `{"id":5512}`},
		{"POST", "models/create-doc/", `{"template_id":"TEMPLATE","signer_name":"A","data":[{"de":"{{A}}","para":"{{A}}{{A}}"}]}`},
		{"POST", "templates/create/", `{"name":"x","base64_docx":"e3tBfX0=","first_signer":{"auth_mode":"x"}}`},
		{"POST", "checks/", `{"country":"BR","type":"company","user_authorized":true,"tax_id":"1"}`},
		{"GET", "docs/?page=2&status=refused&created_from=2020-01-01&include_signers=yes&folder_path=%2F%2F", ""},
		{"GET", "docs/signer-log/TOKEN?download_pdf=true", ""}, {"GET", "docs?%zz", ""}, {"PATCH", "../../x", "{"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	nowhere := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	f.Fuzz(func(t *testing.T, verb, path, body string) {
		synctest.Test(t, func(t *testing.T) {
			api := New(Options{Accounts: []Account{{Token: "T", Partner: true}}, Transport: nowhere, FileLimit: 1 << 16})
			defer api.Close()
			document := api.Seed(Seed{})[0]
			known, _ := api.Document(document)
			template := fuzzCall(t, api, "POST", "templates/create/", `{"name":"x","base64_docx":"e3tBfX0="}`)
			fuzzCall(t, api, "POST", "user/company/webhook/", `{"url":"https://hub.example.com","type":""}`)
			names := strings.NewReplacer("TOKEN", document, "SIGNER", known.Signers[0].Token, "USER", api.UserToken("owner@example.com"), "TEMPLATE", template)
			fuzzCall(t, api, verb, names.Replace(path), names.Replace(body))
			fuzzCall(t, api, "GET", "docs/?include_signers=1", "")
			time.Sleep(time.Hour)
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var knownStatuses = map[int]bool{200: true, 301: true, 400: true, 401: true, 402: true, 403: true, 404: true, 405: true, 406: true, 413: true, 429: true, 500: true}

// fuzzCall returns the token in the answer, if there is one.
func fuzzCall(t *testing.T, api *API, verb, path, body string) string {
	r, err := http.NewRequestWithContext(t.Context(), verb, api.BaseURL()+path, strings.NewReader(body))
	if err != nil {
		return ""
	}
	r.Header.Set("Authorization", "Bearer T")
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	api.ServeHTTP(w, fakehttp.Incoming(r))
	if !knownStatuses[w.Code] {
		t.Errorf("%s %s answered %d", verb, path, w.Code)
	}
	if w.Header().Get("Content-Type") != typeJSON {
		return ""
	}
	var object struct{ Token string }
	if !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s answered what is no JSON: %s", verb, path, w.Body)
	}
	json.Unmarshal(w.Body.Bytes(), &object)
	return object.Token
}

func FuzzFields(f *testing.F) {
	for _, seed := range []string{`{"a":"x","b":true,"c":7,"d":[{"a":1}],"e":{"f":null}}`, `{"a":7,"b":"x","c":1.5,"d":{},"e":[]}`, `null`, `[`, `1 2`, strings.Repeat(`{"a":`, 100)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, kind := parseFields(body)
		if kind != notJSON && !json.Valid(body) {
			t.Errorf("took %q", body)
		}
		for _, name := range []string{"a", "b", "c", "d", "e", ""} {
			in.text(name)
			in.flag(name)
			in.integer(name)
			in.number(name)
			in.id(name)
			in.texts(name)
			in.object(name).text(name)
			for _, object := range in.objects(name) {
				object.text(name)
			}
		}
		if wrong := in.typeError(); wrong != nil && (kind != object || !json.Valid(wrong.body)) {
			t.Errorf("%q: %s", body, wrong.body)
		}
	})
}

// FuzzPythonJSON checks that the spacing of deliveries changes no value.
func FuzzPythonJSON(f *testing.F) {
	f.Add("a", "b")
	f.Add("\"\\:,", "é😀\u2028\x00")
	f.Fuzz(func(t *testing.T, key, value string) {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			t.Skip()
		}
		spaced := pythonJSON(marshal(map[string][]string{key: {value, value}}))
		var back map[string][]string
		if err := json.Unmarshal(spaced, &back); err != nil || len(back[key]) != 2 || back[key][0] != value {
			t.Errorf("%s: %v", spaced, err)
		}
	})
}

func FuzzDocx(f *testing.F) {
	f.Add([]byte("{{A}} {{A}} {{B}}"))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, content []byte) {
		text := docxText(content)
		for _, name := range variables(text) {
			if !strings.HasPrefix(name, "{{") || !strings.HasSuffix(name, "}}") {
				t.Errorf("variable %q", name)
			}
		}
		if pdf := textPDF(text); !strings.HasPrefix(string(pdf), "%PDF-") {
			t.Error("no PDF")
		}
	})
}

func FuzzFolder(f *testing.F) {
	for _, seed := range []string{"", "/", "a", "/a/b/", "//", "/a//b", strings.Repeat("/é", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		normal, no := folder(path)
		if no != nil {
			return
		}
		if again, no := folder(normal); no != nil || again != normal || normal[0] != '/' || normal[len(normal)-1] != '/' {
			t.Errorf("%q became %q and %q", path, normal, again)
		}
	})
}

func FuzzDeadline(f *testing.F) {
	for _, seed := range []string{"", "2030-01-01", "2030-01-01T00:00:00.000Z", "2030-02-30", "9999-12-31"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if at, valid := deadlineOf(text); valid && at.IsZero() && text != "" && !strings.HasPrefix(text, "0001") {
			t.Errorf("%q is no deadline", text)
		}
	})
}

func FuzzMultipart(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b--\r\n"), "b")
	f.Add([]byte("--b"), "")
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		if content, found := part(body, boundary, "file"); found && len(content) > len(body) {
			t.Error("more than there was")
		}
	})
}
