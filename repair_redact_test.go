package enlace

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/redact"
)

// Whatever a stored body is, what is shown of it holds neither a secret of the integration
// nor the value of a field that is one by its name, and what was JSON or a form still is.
func FuzzRedactBody(f *testing.F) {
	const own = "the integration's own secret"
	f.Add(`{"a":{"access_token":"tok-12345678"},"b":[{"password":"p"}]}`, "tok-12345678", false)
	f.Add("event=x&auth%5Bapplication_token%5D=tok-12345678", "tok-12345678", true)
	f.Add("a=%zz", "x", true)
	f.Add(`{"token":1}`, "x", false)
	f.Add("not json: token=abc", "abc", false)
	f.Add("[]", "", false)
	clean := redact.New(own).String
	f.Fuzz(func(t *testing.T, body, value string, form bool) {
		shown := redactBody(body+own, form, clean)
		if strings.Contains(shown, own) || strings.Contains(shown, url.QueryEscape(own)) {
			t.Errorf("the secret is shown in %q", shown)
		}
		value = "v-" + strings.ToValidUTF8(value, "") + "-hidden"
		if form {
			shown := redactBody(url.Values{"auth[application_token]": {value}, "b": {"seen"}}.Encode(), true, clean)
			if read, err := url.ParseQuery(shown); err != nil || read.Get("b") != "seen" || read.Get("auth[application_token]") == value {
				t.Errorf("a form is shown as %q", shown)
			}
			return
		}
		text, err := json.Marshal(map[string]any{"deep": []any{map[string]any{"access_token": value}}, "b": "seen"})
		if err != nil {
			t.Fatal(err)
		}
		var read struct {
			Deep []struct {
				AccessToken string `json:"access_token"`
			}
			B string
		}
		shown = redactBody(string(text), false, clean)
		if err := json.Unmarshal([]byte(shown), &read); err != nil || read.B != "seen" || len(read.Deep) != 1 || read.Deep[0].AccessToken == value {
			t.Errorf("JSON is shown as %q (%v)", shown, err)
		}
	})
}
