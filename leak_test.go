package enlace_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// canary stands for a secret in these tests. It needs escaping in URLs, so that
// its escaped form differs from its raw one.
const canary = "c4n4ry+Zq/8w=7xK"

// leak returns the encoding in which text holds the secret, or "".
func leak(text, secret string) string {
	forms := map[string]string{
		"raw":         secret,
		"query":       url.QueryEscape(secret),
		"path":        url.PathEscape(secret),
		"query twice": url.QueryEscape(url.QueryEscape(secret)),
		"hex":         hex.EncodeToString([]byte(secret)),
		"HEX":         strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"bytes":       strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
	}
	for shift := range 3 { // wherever it stands inside something longer
		padded := []byte(strings.Repeat("x", shift) + secret)
		whole := len(padded) / 3 * 3
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			inner := encoding.EncodeToString(padded[:whole])
			forms[fmt.Sprint(name, shift)] = inner[(shift*8+5)/6:]
		}
	}
	for name, form := range forms {
		if strings.Contains(text, form) {
			return name
		}
	}
	return ""
}

func checkNoLeak(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if form := leak(text, secret); form != "" {
			t.Errorf("%s holds the secret (%s):\n%s", where, form, text)
		}
	}
}

func TestLeakFindsEveryEncoding(t *testing.T) {
	for _, text := range []string{
		"a " + canary + " b", "q=" + url.QueryEscape(canary), "/p/" + url.PathEscape(canary),
		hex.EncodeToString([]byte("xy" + canary)), fmt.Sprint([]byte("x" + canary)),
		base64.StdEncoding.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte("user:" + canary)),
		base64.URLEncoding.EncodeToString([]byte("ab" + canary + "cd")),
	} {
		if leak(text, canary) == "" {
			t.Errorf("not found in %q", text)
		}
	}
	if form := leak("nothing here", canary); form != "" {
		t.Errorf("found as %s in a text without it", form)
	}
}

// dump shows everything that printing or encoding v would show.
func dump(v any) string {
	data, err := json.Marshal(v)
	return fmt.Sprintf("%+v %#v %s %v", v, v, data, err)
}

func jsonRaw(s string) json.RawMessage { return json.RawMessage(s) }
