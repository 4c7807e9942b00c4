package zapsigntest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// These tests talk to the server as a stranger's client would: HTTP and JSON, nothing else.

const token = "11111111-1111-4111-8111-11111111111122222222-2222-4222-8222-222222222222"

const pdf = "JVBERi0xLjQK" // base64 of "%PDF-1.4\n"

// sandbox is a server with one sandbox account that has the token above, unless the options say
// otherwise.
func sandbox(t testing.TB, options zapsigntest.Options) *zapsigntest.API {
	t.Helper()
	if len(options.Accounts) == 0 {
		options.Accounts = []zapsigntest.Account{{}}
	}
	if options.Accounts[0].Token == "" {
		options.Accounts[0].Token = token
	}
	api := zapsigntest.New(options)
	t.Cleanup(api.Close)
	return api
}

type reply struct {
	status int
	header http.Header
	text   string
	body   any // nil if the text is not JSON
}

func decode(text string) (value any) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil
	}
	return value
}

// client shows redirects instead of following them.
func client(api *zapsigntest.API) *http.Client {
	return &http.Client{
		Transport:     api.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func send(t testing.TB, api *zapsigntest.API, r *http.Request) reply {
	t.Helper()
	response, err := client(api).Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", r.Method, r.URL, err)
	}
	return reply{response.StatusCode, response.Header, string(text), decode(string(text))}
}

// newRequest makes a request with the first account's token; paths without a scheme are relative
// to the base of the API.
func newRequest(t testing.TB, api *zapsigntest.API, verb, path, body string) *http.Request {
	t.Helper()
	if !strings.Contains(path, "://") {
		path = api.BaseURL() + path
	}
	r, err := http.NewRequestWithContext(t.Context(), verb, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+api.Token())
	if body == "" {
		r.Body = nil
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func call(t testing.TB, api *zapsigntest.API, verb, path, body string) reply {
	t.Helper()
	return send(t, api, newRequest(t, api, verb, path, body))
}

func post(t testing.TB, api *zapsigntest.API, path, body string) reply {
	t.Helper()
	return call(t, api, "POST", path, body)
}

func get(t testing.TB, api *zapsigntest.API, path string) reply {
	t.Helper()
	return call(t, api, "GET", path, "")
}

// plain gets an address without credentials.
func plain(t testing.TB, api *zapsigntest.API, address string) reply {
	t.Helper()
	r := newRequest(t, api, "GET", address, "")
	r.Header.Del("Authorization")
	return send(t, api, r)
}

// at walks to a value by keys and indexes with dots between them. It returns nil for what is not
// there.
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

func (r reply) str(path string) string {
	text, _ := r.at(path).(string)
	return text
}

// has tells whether the object at a path has a key, be it null.
func (r reply) has(path, key string) bool {
	value := r.body
	if path != "" {
		value = r.at(path)
	}
	object, _ := value.(map[string]any)
	_, there := object[key]
	return there
}

// want checks values by path. Each is compared as JSON text.
func (r reply) want(t testing.TB, status int, values map[string]string) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("answered %d %s, want %d", r.status, r.text, status)
	}
	for path, want := range values {
		if got := encode(r.at(path)); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	return r
}

// wantText checks the whole body.
func (r reply) wantText(t testing.TB, status int, text string) {
	t.Helper()
	if r.status != status || r.text != text {
		t.Errorf("answered %d %q, want %d %q", r.status, r.text, status, text)
	}
}

// encode renders a value as JSON.
func encode(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(value) != nil {
		return ""
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// signerInput is a signer of a body.
func signerInput(name, more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"name":"` + name + `"` + more + `}`
}

// create makes a document with these members beside name and file, and returns the answer.
func create(t testing.TB, api *zapsigntest.API, more string, signers ...string) reply {
	t.Helper()
	if len(signers) == 0 {
		signers = []string{signerInput("Ana Prado", "")}
	}
	if more != "" {
		more = "," + more
	}
	r := post(t, api, "docs/", `{"name":"Contrato 42","base64_pdf":"`+pdf+`"`+more+`,"signers":[`+strings.Join(signers, ",")+`]}`)
	if r.status != 200 {
		t.Fatalf("creating: %d %s", r.status, r.text)
	}
	return r
}

// tokens returns the tokens of a document and of its signers.
func tokens(r reply) (document string, signers []string) {
	list, _ := r.at("signers").([]any)
	for i := range list {
		signers = append(signers, r.str(fmt.Sprintf("signers.%d.token", i)))
	}
	return r.str("token"), signers
}

// receiver takes deliveries in memory. Its zero value answers 200.
type receiver struct {
	mu      sync.Mutex
	answer  func(n int) int // status of delivery n, from 0
	got     []received
	waiting time.Duration // before it answers
}

type received struct {
	reply
	when    time.Time
	request *http.Request
}

func (rc *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	rc.mu.Lock()
	n := len(rc.got)
	rc.got = append(rc.got, received{reply{0, r.Header, string(body), decode(string(body))}, time.Now(), r})
	status, wait := 200, rc.waiting
	if rc.answer != nil {
		status = rc.answer(n)
	}
	rc.mu.Unlock()
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// events returns what arrived, in order.
func (rc *receiver) all() []received {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return append([]received(nil), rc.got...)
}

// events returns event_type and status of what arrived.
func (rc *receiver) events() []string {
	events := []string{}
	for _, r := range rc.all() {
		event := r.str("event_type")
		if status := r.str("status"); r.has("", "signers") {
			event += " " + status
		}
		events = append(events, event)
	}
	return events
}

// register registers a webhook for a type.
func register(t testing.TB, api *zapsigntest.API, kind string) string {
	t.Helper()
	r := post(t, api, "user/company/webhook/", `{"url":"https://hub.example.com/in","type":"`+kind+`"}`)
	if r.status != 200 {
		t.Fatalf("registering: %d %s", r.status, r.text)
	}
	return fmt.Sprint(r.at("id"))
}
