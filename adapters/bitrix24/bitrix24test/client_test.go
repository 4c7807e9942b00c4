package bitrix24test_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// These tests talk to the portal as a stranger's client would: HTTP and JSON, nothing else.

// noRedirects is a client for the portal in memory that shows redirects instead of following them.
func noRedirects(p *bitrix24test.Portal) *http.Client {
	return &http.Client{
		Transport:     p.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type reply struct {
	status int
	header http.Header
	text   string
	body   any // nil if the text is not JSON
}

func read(t testing.TB, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	r := reply{status: response.StatusCode, header: response.Header, text: string(text)}
	r.body, _ = decode(r.text)
	return r
}

func decode(text string) (value any, err error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&value)
	return value, err
}

// do sends a request and fails the test if there is no answer.
func do(t testing.TB, p *bitrix24test.Portal, request *http.Request) reply {
	t.Helper()
	response, err := noRedirects(p).Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	return read(t, response)
}

func newRequest(t testing.TB, verb, address, contentType, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), verb, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request
}

// post calls an address with a JSON body.
func post(t testing.TB, p *bitrix24test.Portal, address, body string) reply {
	t.Helper()
	return do(t, p, newRequest(t, "POST", address, "application/json", body))
}

// call calls a method by webhook with a JSON body.
func call(t testing.TB, p *bitrix24test.Portal, method, body string) reply {
	t.Helper()
	return post(t, p, p.WebhookURL()+method, body)
}

// get calls an address.
func get(t testing.TB, p *bitrix24test.Portal, address string) reply {
	t.Helper()
	return do(t, p, newRequest(t, "GET", address, "", ""))
}

// form sends an urlencoded body.
func form(t testing.TB, p *bitrix24test.Portal, address string, values url.Values) reply {
	t.Helper()
	return do(t, p, newRequest(t, "POST", address, "application/x-www-form-urlencoded", values.Encode()))
}

// at walks to a value of the answer by keys and indexes with dots between them. It returns nil
// for what is not there.
func (r reply) at(path string) any {
	value := r.body
	for key := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			index := -1
			if fmt.Sscanf(key, "%d", &index); index < 0 || index >= len(v) {
				return nil
			}
			value = v[index]
		default:
			return nil
		}
	}
	return value
}

// has tells whether the answer has a member at its top.
func (r reply) has(key string) bool {
	object, _ := r.body.(map[string]any)
	_, found := object[key]
	return found
}

// want checks the value at a path against JSON.
func (r reply) want(t testing.TB, path, wanted string) {
	t.Helper()
	expected, err := decode(wanted)
	if err != nil {
		t.Fatalf("%s: %v", wanted, err)
	}
	if got := r.at(path); !matches(expected, got, false) {
		t.Errorf("%s is %s, want %s (status %d)", path, encode(got), wanted, r.status)
	}
}

// wantError checks the status and the whole error.
func (r reply) wantError(t testing.TB, status int, code, description string) {
	t.Helper()
	expected := map[string]any{"error": code, "error_description": description}
	if r.status != status || !matches(expected, r.body, false) {
		t.Errorf("got %d %s, want %d %s", r.status, r.text, status, encode(expected))
	}
}

// wantBody checks the status and the body. "<TIME>" stands for any time object.
func (r reply) wantBody(t testing.TB, status int, wanted string) {
	t.Helper()
	expected, err := decode(wanted)
	if err != nil {
		t.Fatalf("%s: %v", wanted, err)
	}
	if r.status != status || !matches(expected, r.body, false) {
		t.Errorf("got %d %s\nwant %d %s", r.status, r.text, status, wanted)
	}
}

func encode(value any) string {
	text := bytes.Buffer{}
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.Encode(value)
	return strings.TrimSpace(text.String())
}

// matches compares JSON values. With subset, objects may have more members than expected.
func matches(expected, got any, subset bool) bool {
	switch e := expected.(type) {
	case string:
		if e == "<TIME>" {
			object, isObject := got.(map[string]any)
			return isObject && object["start"] != nil && object["finish"] != nil && object["duration"] != nil && object["date_start"] != nil
		}
	case map[string]any:
		object, isObject := got.(map[string]any)
		if !isObject || !subset && len(object) != len(e) {
			return false
		}
		for key, value := range e {
			if other, found := object[key]; !found || !matches(value, other, subset) {
				return false
			}
		}
		return true
	case []any:
		array, isArray := got.([]any)
		if !isArray || len(array) != len(e) {
			return false
		}
		for i := range e {
			if !matches(e[i], array[i], subset) {
				return false
			}
		}
		return true
	}
	return expected == got
}

// contains checks that the value at a path has these members, and maybe others.
func (r reply) contains(t testing.TB, path, wanted string) {
	t.Helper()
	expected, err := decode(wanted)
	if err != nil {
		t.Fatalf("%s: %v", wanted, err)
	}
	if got := r.at(path); !matches(expected, got, true) {
		t.Errorf("%s is %s\nwant at least %s", path, encode(got), wanted)
	}
}

// ids returns the ids of the rows at a path, by whichever name.
func (r reply) ids(path string) []string {
	rows, _ := r.at(path).([]any)
	ids := []string{}
	for _, row := range rows {
		object, _ := row.(map[string]any)
		if id, found := object["id"]; found {
			ids = append(ids, fmt.Sprint(id))
		} else {
			ids = append(ids, fmt.Sprint(object["ID"]))
		}
	}
	return ids
}

// wantIDs checks which rows a list has, as "1 2 3".
func (r reply) wantIDs(t testing.TB, path, wanted string) {
	t.Helper()
	if got := strings.Join(r.ids(path), " "); got != wanted {
		t.Errorf("rows are %q, want %q (%d %.200s)", got, wanted, r.status, r.text)
	}
}

// portal is one with a webhook whose address is that of the contract sheet.
func portal(options bitrix24test.Options) *bitrix24test.Portal {
	options.WebhookSecret = "SECRET"
	return bitrix24test.New(options)
}

func seeded(count int) *bitrix24test.Portal {
	p := portal(bitrix24test.Options{})
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: count})
	return p
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
