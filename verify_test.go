package enlace_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// padded is a key of a whole block, which is what HMAC makes of a shorter one;
// FIPS 140 does not let short keys come to that.
func padded(secret string) []byte {
	if len(secret) > sha256.BlockSize {
		return []byte(secret)
	}
	return append([]byte(secret), make([]byte, sha256.BlockSize-len(secret))...)
}

func sign(secret, body string) []byte {
	mac := hmac.New(sha256.New, padded(secret))
	mac.Write([]byte(body))
	return mac.Sum(nil)
}

func secrets(values ...string) []enlace.Secret {
	var all []enlace.Secret
	for _, v := range values {
		all = append(all, enlace.NewSecret(v))
	}
	return all
}

// checkVerdict asserts that Verify proves, or that it fails in the one way.
func checkVerdict(t *testing.T, name string, v enlace.Verifier, d enlace.Delivery, s []enlace.Secret, proved bool) {
	t.Helper()
	err := v.Verify(d, s)
	if proved && err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if !proved && err != enlace.ErrSignature { //nolint:errorlint // always the same, without detail
		t.Errorf("%s: %v, want ErrSignature itself", name, err)
	}
}

const secretText = "s3cret of 16 byt"

func TestHMACVerifier(t *testing.T) {
	const body = `{"event":"signed"}`
	hexSum, base64Sum := hex.EncodeToString(sign(secretText, body)), base64.StdEncoding.EncodeToString(sign(secretText, body))
	hexSum15 := hex.EncodeToString(sign(secretText[:15], body))
	plain := enlace.HMACVerifier{Header: "X-Signature", Prefix: "sha256="}
	in64 := enlace.HMACVerifier{Header: "X-Signature", Base64: true}
	for name, test := range map[string]struct {
		verifier enlace.HMACVerifier
		values   []string
		body     string
		secrets  []enlace.Secret
		proved   bool
	}{
		"good":               {plain, []string{"sha256=" + hexSum}, body, secrets(secretText), true},
		"good, upper case":   {plain, []string{"sha256=" + strings.ToUpper(hexSum)}, body, secrets(secretText), true},
		"good base64":        {in64, []string{base64Sum}, body, secrets(secretText), true},
		"second secret":      {plain, []string{"sha256=" + hexSum}, body, secrets("a newer, longer secret", secretText), true},
		"beside an empty":    {plain, []string{"sha256=" + hexSum}, body, secrets("", secretText), true},
		"twice the same":     {plain, []string{"sha256=" + hexSum}, body, secrets(secretText, secretText), true},
		"wrong secret":       {plain, []string{"sha256=" + hexSum}, body, secrets("other"), false},
		"other body":         {plain, []string{"sha256=" + hexSum}, body + " ", secrets(secretText), false},
		"no header":          {plain, nil, body, secrets(secretText), false},
		"empty signature":    {plain, []string{"sha256="}, body, secrets(secretText), false},
		"empty header":       {plain, []string{""}, body, secrets(secretText), false},
		"no prefix":          {plain, []string{hexSum}, body, secrets(secretText), false},
		"prefix twice":       {plain, []string{"sha256=sha256=" + hexSum}, body, secrets(secretText), false},
		"twice the header":   {plain, []string{"sha256=" + hexSum, "sha256=" + hexSum}, body, secrets(secretText), false},
		"two in one":         {plain, []string{"sha256=" + hexSum + ",sha256=" + hexSum}, body, secrets(secretText), false},
		"cut":                {plain, []string{"sha256=" + hexSum[:62]}, body, secrets(secretText), false},
		"one byte only":      {plain, []string{"sha256=" + hexSum[:2]}, body, secrets(secretText), false},
		"not hex":            {plain, []string{"sha256=" + strings.Repeat("z", 64)}, body, secrets(secretText), false},
		"very long":          {plain, []string{"sha256=" + strings.Repeat("0", 5000)}, body, secrets(secretText), false},
		"hex as base64":      {in64, []string{hexSum}, body, secrets(secretText), false},
		"no secret":          {plain, []string{"sha256=" + hexSum}, body, nil, false},
		"empty secret":       {plain, []string{"sha256=" + hex.EncodeToString(sign("", body))}, body, secrets(""), false},
		"empty secret, body": {plain, []string{"sha256=" + hex.EncodeToString(sign("", ""))}, "", secrets(""), false},
		"short secret":       {plain, []string{"sha256=" + hexSum15}, body, secrets(secretText[:15]), false},
		"short, allowed":     {enlace.HMACVerifier{Header: "X-Signature", Prefix: "sha256=", MinSecret: 14}, []string{"sha256=" + hexSum15}, body, secrets(secretText[:15]), true},
		"good, empty body":   {plain, []string{"sha256=" + hex.EncodeToString(sign(secretText, ""))}, "", secrets(secretText), true},
	} {
		checkVerdict(t, name, test.verifier, enlace.Delivery{Header: http.Header{"X-Signature": test.values}, Body: []byte(test.body)}, test.secrets, test.proved)
	}
	checkVerdict(t, "no verifier header", enlace.HMACVerifier{}, enlace.Delivery{Header: http.Header{}}, secrets(secretText), false)
	checkVerdict(t, "zero delivery", plain, enlace.Delivery{}, secrets(secretText), false)
}

func TestTokenVerifier(t *testing.T) {
	inHeader := enlace.TokenVerifier{Header: "X-Token", Prefix: "Bearer "}
	inQuery, inForm := enlace.TokenVerifier{Query: "t"}, enlace.TokenVerifier{Form: "auth[application_token]"}
	inPath := enlace.TokenVerifier{Path: true}
	path := func(path string) enlace.Delivery {
		return enlace.Delivery{URL: &url.URL{Path: path}, Header: http.Header{}}
	}
	header := func(values ...string) enlace.Delivery { return enlace.Delivery{Header: http.Header{"X-Token": values}} }
	query := func(raw string) enlace.Delivery {
		return enlace.Delivery{URL: &url.URL{Path: "/hook", RawQuery: raw}, Header: http.Header{}}
	}
	form := func(body string) enlace.Delivery { return enlace.Delivery{Header: http.Header{}, Body: []byte(body)} }
	for name, test := range map[string]struct {
		verifier enlace.TokenVerifier
		delivery enlace.Delivery
		secrets  []enlace.Secret
		proved   bool
	}{
		"header":                {inHeader, header("Bearer tok"), secrets("tok"), true},
		"second secret":         {inHeader, header("Bearer tok"), secrets("new", "tok"), true},
		"beside an empty":       {inHeader, header("Bearer tok"), secrets("", "tok"), true},
		"wrong":                 {inHeader, header("Bearer tok"), secrets("token"), false},
		"beginning":             {inHeader, header("Bearer to"), secrets("tok"), false},
		"no prefix":             {inHeader, header("tok"), secrets("tok"), false},
		"empty":                 {inHeader, header("Bearer "), secrets("tok"), false},
		"empty, empty secret":   {inHeader, header("Bearer "), secrets(""), false},
		"no secrets":            {inHeader, header("Bearer tok"), nil, false},
		"header twice":          {inHeader, header("Bearer tok", "Bearer tok"), secrets("tok"), false},
		"no header":             {inHeader, header(), secrets("tok"), false},
		"query":                 {inQuery, query("a=1&t=tok"), secrets("tok"), true},
		"query escaped":         {inQuery, query("t=t%26k"), secrets("t&k"), true},
		"query twice":           {inQuery, query("t=tok&t=tok"), secrets("tok"), false},
		"query twice, one good": {inQuery, query("t=tok&t=x"), secrets("tok"), false},
		"query without":         {inQuery, query("a=1"), secrets("tok"), false},
		"query empty":           {inQuery, query("t="), secrets("tok"), false},
		"no URL":                {inQuery, enlace.Delivery{}, secrets("tok"), false},
		"form":                  {inForm, form("event=x&auth%5Bapplication_token%5D=tok"), secrets("tok"), true},
		"form twice":            {inForm, form("auth[application_token]=tok&auth[application_token]=tok"), secrets("tok"), false},
		"form unreadable":       {inForm, form("auth[application_token]=tok&%zz"), secrets("tok"), false},
		"form empty":            {inForm, form(""), secrets("tok"), false},
		"path":                  {inPath, path("/hooks/i1/webhook/tok"), secrets("tok"), true},
		"path elsewhere":        {inPath, path("/hooks/tok/webhook"), secrets("tok"), false},
		"path without webhook":  {inPath, path("/hooks/tok"), secrets("tok"), false},
		"path with empty":       {inPath, path("/hooks/i1/webhook/"), secrets(""), false},
		"path of one segment":   {inPath, path("tok"), secrets("tok"), false},
		"no path":               {inPath, enlace.Delivery{}, secrets("tok"), false},
		"nowhere":               {enlace.TokenVerifier{}, header("tok"), secrets("tok"), false},
	} {
		checkVerdict(t, name, test.verifier, test.delivery, test.secrets, test.proved)
	}
}

func TestUnverifiedRefuses(t *testing.T) {
	d := enlace.Delivery{Header: http.Header{"X-Signature": {"x"}}, Body: []byte("{}")}
	checkVerdict(t, "with secrets", enlace.Unverified{}, d, secrets("a", ""), false)
	checkVerdict(t, "without", enlace.Unverified{}, d, nil, false)
	checkVerdict(t, "zero", enlace.Unverified{}, enlace.Delivery{}, nil, false)
}

// Whatever is sent, only the right signature over the body proves it.
func FuzzHMACVerifier(f *testing.F) {
	f.Add("sha256="+hex.EncodeToString(sign(secretText, "{}")), secretText, []byte("{}"), false)
	f.Add(base64.StdEncoding.EncodeToString(sign(secretText, "")), secretText, []byte(nil), true)
	f.Add("", "", []byte("x"), false)
	f.Add("sha256=", "s", []byte("x"), false)
	f.Fuzz(func(t *testing.T, value, secret string, body []byte, in64 bool) {
		v := enlace.HMACVerifier{Header: "X-S", Prefix: "sha256=", Base64: in64}
		decode := hex.DecodeString
		if in64 {
			v.Prefix, decode = "", base64.StdEncoding.DecodeString
		}
		d := enlace.Delivery{Header: http.Header{"X-S": {value}}, Body: body}
		text, prefixed := strings.CutPrefix(value, v.Prefix)
		given, err := decode(text)
		oneLine := !strings.ContainsAny(text, "\r\n") // which base64 passes over, and no signer writes
		want := prefixed && err == nil && oneLine && len(secret) >= 16 && len(value) <= 4096 && hmac.Equal(given, sign(secret, string(body)))
		checkVerdict(t, "fuzzed", v, d, secrets(secret), want)
	})
}

// Whatever is sent, only the secret itself, once, proves it.
func FuzzTokenVerifier(f *testing.F) {
	f.Add("tok", "tok", "t=tok", "t=tok")
	f.Add("", "", "", "")
	f.Add("tok", "tok", "t=tok&t=tok", "a=1;t=tok")
	f.Add("x", "tok", "t=%zz", "t=%00")
	f.Fuzz(func(t *testing.T, value, secret, query, form string) {
		d := enlace.Delivery{Header: http.Header{"X-T": {value}}, URL: &url.URL{RawQuery: query}, Body: []byte(form)}
		checkVerdict(t, "header", enlace.TokenVerifier{Header: "X-T"}, d, secrets(secret), value == secret && secret != "")
		proves := func(v enlace.TokenVerifier, raw string) {
			err := v.Verify(d, secrets(secret))
			if err == nil && (secret == "" || !strings.Contains(must(url.QueryUnescape(raw))(t), secret)) {
				t.Errorf("proved by %q, which does not hold the secret %q", raw, secret)
			}
			if err != nil && !errors.Is(err, enlace.ErrSignature) {
				t.Errorf("%v does not match ErrSignature", err)
			}
		}
		if _, err := url.QueryUnescape(query); err == nil {
			proves(enlace.TokenVerifier{Query: "t"}, query)
		}
		if _, err := url.QueryUnescape(form); err == nil {
			proves(enlace.TokenVerifier{Form: "t"}, form)
		}
	})
}

// Whatever is sent, only "user:password" in the one usual form of base64 proves it.
func FuzzBasicVerifier(f *testing.F) {
	f.Add("Basic aG9va3M6cGFzcw==", "hooks", "pass")
	f.Add("basic aG9va3M6cGFzcw==", "", "hooks:pass")
	f.Add("Basic ", "", "")
	f.Add("Basic Og==", "hooks", "")
	f.Add("Basic aG9v\na3M6cGFzcw==", "hooks", "pass")
	f.Add("Bearer x", "", "x")
	f.Fuzz(func(t *testing.T, value, user, secret string) {
		text := secret
		if user != "" {
			text = user + ":" + secret
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(text))
		want := secret != "" && !strings.Contains(user, ":") && len(value) <= 4096 && len(value) > len("Basic ") &&
			strings.EqualFold(value[:len("Basic ")], "Basic ") && value[len("Basic "):] == encoded
		checkVerdict(t, "fuzzed", enlace.BasicVerifier{User: user}, enlace.Delivery{Header: http.Header{"Authorization": {value}}}, secrets(secret), want)
		right := enlace.Delivery{Header: http.Header{"Authorization": {"Basic " + encoded}}}
		checkVerdict(t, "right", enlace.BasicVerifier{User: user}, right, secrets(secret), secret != "" && !strings.Contains(user, ":") && len(encoded) <= 4096-len("Basic "))
	})
}

// Whatever the headers hold, only a signature over the time that stands in the other one, near
// the time at which it came, proves it.
func FuzzSlackVerifier(f *testing.F) {
	f.Add("v0="+hex.EncodeToString(sign(secretText, "v0:1700000000:{}")), "1700000000", []byte("{}"))
	f.Add("v0="+hex.EncodeToString(sign(secretText, "v0:1700000301:{}")), "1700000301", []byte("{}"))
	f.Add("v0="+hex.EncodeToString(sign(secretText, "v0:01700000000:{}")), "01700000000", []byte("{}"))
	f.Add("v0=", "", []byte(nil))
	f.Add("v0=v0=", "-1", []byte("x"))
	f.Fuzz(func(t *testing.T, signature, stamp string, body []byte) {
		d := enlace.Delivery{Header: http.Header{"X-Slack-Signature": {signature}, "X-Slack-Request-Timestamp": {stamp}}, Body: body, ReceivedAt: time.Unix(1700000000, 0)}
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		want := err == nil && len(stamp) == 10 && stamp[0] >= '1' && seconds >= 1700000000-300 && seconds <= 1700000000+300 &&
			strings.EqualFold(signature, "v0="+hex.EncodeToString(sign(secretText, "v0:"+stamp+":"+string(body)))) && strings.HasPrefix(signature, "v0=")
		checkVerdict(t, "fuzzed", enlace.SlackVerifier(), d, secrets(secretText), want)
	})
}
