package enlace_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
)

type exportedField struct{ S enlace.Secret }
type hiddenField struct{ s enlace.Secret }
type pointerField struct{ S *enlace.Secret }
type hiddenPointer struct{ s *enlace.Secret }
type anyField struct{ V any }
type hiddenAny struct{ v any }
type embedded struct{ enlace.Secret }
type deep struct{ m map[string][]hiddenField }

// nestings puts a secret into everything a program might print.
func nestings(s enlace.Secret) map[string]any {
	return map[string]any{
		"itself": s, "pointer": &s, "any": any(s), "slice": []enlace.Secret{s}, "array": [1]enlace.Secret{s},
		"slice of pointers": []*enlace.Secret{&s}, "map value": map[string]enlace.Secret{"k": s}, "slice of any": []any{s, &s},
		"exported field": exportedField{s}, "pointer to exported field": &exportedField{s}, "hidden field": hiddenField{s},
		"pointer to hidden field": &hiddenField{s}, "pointer field": pointerField{&s}, "hidden pointer": hiddenPointer{&s},
		"any field": anyField{s}, "hidden any": hiddenAny{s}, "hidden any pointer": hiddenAny{&hiddenField{s}},
		"embedded": embedded{s}, "deep": deep{map[string][]hiddenField{"k": {{s}}}},
		"credential": enlace.Credential{Scheme: "x", Secrets: map[string]enlace.Secret{"k": s}, WebhookSecrets: []enlace.Secret{s},
			Token: &enlace.Token{Access: s, Refresh: s}},
		"token":              enlace.Token{Access: s, Refresh: s},
		"credential pointer": &enlace.Credential{Secrets: map[string]enlace.Secret{"k": s}},
		"config":             enlace.Config{OAuth: map[string]enlace.OAuthApp{"crm": {ClientID: "id", ClientSecret: s}}},
		"new integration":    enlace.NewIntegration{Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"k": s}}},
		"connection test":    enlace.ConnectionTest{Credential: enlace.Credential{WebhookSecrets: []enlace.Secret{s}}},
	}
}

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t", "%T", "%o", "%08b", "%e", "%U", "%c", "%+q", "% x", "%#x", "%10.3s"}

// check looks for the secret in what each way of printing makes of v.
func checkPrinted(t *testing.T, name string, v any, secrets ...string) {
	t.Helper()
	for _, verb := range verbs {
		checkNoLeak(t, name+" by "+verb, fmt.Sprintf(verb, v), secrets...)
	}
	checkNoLeak(t, name+" by Sprint", fmt.Sprint(v)+fmt.Sprintln(v), secrets...)
	checkNoLeak(t, name+" by Errorf", fmt.Errorf("x: %v", v).Error(), secrets...)
	var out bytes.Buffer
	log.New(&out, "", 0).Print(v)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		logger := slog.New(handler)
		logger.Info("m", "v", v)
		logger.With("v", v).WithGroup("g").Info("m", slog.Any("v", v), slog.Group("h", "v", v))
		logger.Info(fmt.Sprint(v))
	}
	checkNoLeak(t, name+" by loggers", out.String(), secrets...)
	for format, marshal := range map[string]func(any) ([]byte, error){
		"json": json.Marshal, "xml": xml.Marshal,
		"gob": func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
	} {
		data, err := marshal(v)
		checkNoLeak(t, name+" by "+format, string(data)+fmt.Sprint(err), secrets...)
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	for name, v := range nestings(enlace.NewSecret(canary)) {
		t.Run(name, func(t *testing.T) { checkPrinted(t, name, v, canary) })
	}
}

// The search itself must be able to fail.
func TestPrintedValueWouldBeFound(t *testing.T) {
	var found []string
	for _, verb := range verbs {
		if leak(fmt.Sprintf(verb, exportedPlain{canary}), canary) != "" {
			found = append(found, verb)
		}
	}
	if len(found) < 6 {
		t.Errorf("a plain string is found only in %v", found)
	}
}

type exportedPlain struct{ S string }

func TestKeysAreNeverPrinted(t *testing.T) {
	text := enlace.GenerateKey()
	key := must(enlace.ParseKey(text))(t)
	ring := must(enlace.NewKeyring(key))(t)
	raw := string(must(decodeKey(text))(t))
	for name, v := range map[string]any{
		"key text": text, "key": key, "key pointer": &key, "keys": []enlace.Key{key}, "hidden key": struct{ k enlace.Key }{key},
		"keyring": ring, "keyring value": *ring, "hidden keyring": struct{ r *enlace.Keyring }{ring},
		"config": enlace.Config{Keys: ring}, "config pointer": &enlace.Config{Keys: ring},
	} {
		t.Run(name, func(t *testing.T) { checkPrinted(t, name, v, raw, text.Reveal()) })
	}
	if got := fmt.Sprintf("%v", key); got != fmt.Sprintf("enlace.Key(%016x)", key.ID()) {
		t.Errorf("a key prints as %s", got)
	}
	h := newHost(t, crm{})
	checkPrinted(t, "safe", h.Safe(), canary)
}

func TestErrorsWithSecretsInside(t *testing.T) {
	s := enlace.NewSecret(canary)
	for name, err := range map[string]error{
		"wrapped":    fmt.Errorf("a: %w", fmt.Errorf("b: %v", s)),
		"joined":     errors.Join(fmt.Errorf("%+v", hiddenField{s}), fmt.Errorf("%#v", s)),
		"an *Error":  &enlace.Error{Kind: enlace.ErrAuth, Err: fmt.Errorf("%s", s)},
		"validation": &enlace.ValidationError{Faults: []enlace.Fault{{Field: fmt.Sprint(s)}}},
	} {
		checkPrinted(t, name, err, canary)
	}
}

func TestSecretValue(t *testing.T) {
	s, same, other, none := enlace.NewSecret("abc"), enlace.NewSecret("abc"), enlace.NewSecret("abd"), enlace.NewSecret("")
	if s.Reveal() != "abc" || s.IsZero() || !none.IsZero() || none.Reveal() != "" {
		t.Error("Reveal or IsZero is wrong")
	}
	if !s.Equal(same) || s.Equal(other) || s.Equal(none) || none.Equal(s) || none.Equal(enlace.Secret{}) {
		t.Error("Equal is wrong: two empty secrets prove nothing")
	}
	for _, v := range []any{s, none} {
		if fmt.Sprint(v) != "[redacted]" {
			t.Errorf("it shows as %v: a reader could tell an empty secret from a set one", v)
		}
	}
}

func TestSecretFromJSON(t *testing.T) {
	var v struct{ Password enlace.Secret }
	if err := json.Unmarshal([]byte(`{"Password":"`+canary+`"}`), &v); err != nil || v.Password.Reveal() != canary {
		t.Errorf("%v, %q", err, v.Password.Reveal())
	}
	data := must(json.Marshal(v))(t)
	if string(data) != `{"Password":"[redacted]"}` {
		t.Errorf("JSON is %s", data)
	}
	// A form that shows the redacted value and sends it back must not store it.
	before := v.Password.Reveal()
	if err := json.Unmarshal(data, &v); err == nil || v.Password.Reveal() != before {
		t.Errorf("the redacted form was taken for a secret: %v, %q", err, v.Password.Reveal())
	}
	if err := json.Unmarshal([]byte(`{"Password":""}`), &v); err != nil || !v.Password.IsZero() {
		t.Errorf("an empty text: %v", err)
	}
}

func TestSecretThroughGob(t *testing.T) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(exportedField{enlace.NewSecret(canary)}); err != nil {
		return // to refuse is fine
	}
	var back exportedField
	if err := gob.NewDecoder(&b).Decode(&back); err == nil && back.S.Reveal() != "" && !strings.Contains(back.S.Reveal(), canary) {
		t.Errorf("a redacted text came back as a secret: %q", back.S.Reveal())
	}
}

func decodeKey(text enlace.Secret) ([]byte, error) {
	return base64.StdEncoding.DecodeString(text.Reveal())
}
