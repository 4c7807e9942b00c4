package rdstationtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

// These tests talk to the account as a stranger's client would: HTTP and JSON, nothing else.

// client is a client of one account in memory, with a credential for each product.
type client struct {
	t       testing.TB
	account *rdstationtest.Account
	bearer  string // of Marketing
	crm     string // of the CRM v2
	v1      string // token of the CRM v1
}

const callback = "https://app.exemplo.com.br/cb"

// bia is the contact of the contract sheet's cases.
const (
	biaUUID = "0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11"
	bia     = "bia@exemplo.com.br"
)

func newClient(t testing.TB, options rdstationtest.Options) *client {
	t.Helper()
	if options.Apps == nil {
		options.Apps = []rdstationtest.App{
			{ClientID: "cid", ClientSecret: "sec", Product: rdstationtest.Marketing, Redirects: []string{callback}},
			{ClientID: "crm-cid", ClientSecret: "crm-sec", Product: rdstationtest.CRM, Redirects: []string{callback}},
		}
	}
	if options.Users == nil {
		options.Users = []rdstationtest.User{
			{ID: "622e7fb2f678470c001576f4", Name: "Caio", Email: "caio@exemplo.com.br", Token: "TK"},
			{Name: "Vendas", Email: "vendas@exemplo.com.br"},
		}
	}
	a := rdstationtest.New(options)
	t.Cleanup(a.Close)
	return &client{t: t, account: a, bearer: a.Authorize("cid").AccessToken, crm: a.Authorize("crm-cid").AccessToken, v1: "TK"}
}

// sheet is an account with the contact of the contract sheet's cases.
func sheet(t testing.TB, options rdstationtest.Options) *client {
	t.Helper()
	c := newClient(t, options)
	c.account.PutField("cf_segmento", "STRING")
	c.account.PutField("cf_numero_de_lojas", "INTEGER")
	c.account.PutField("cf_interesses", "STRING[]", "fornos", "batedeiras")
	c.account.PutContact(map[string]any{
		"uuid": biaUUID, "email": bia, "name": "Bia Nunes", "job_title": "Compras", "personal_phone": "+55 81 3030-1010", "city": "Recife",
		"state": "PE", "country": "Brasil", "tags": []string{"b2b", "forno"}, "cf_segmento": "padaria", "cf_numero_de_lojas": 4,
		"cf_interesses": []string{"fornos", "batedeiras"}, "company_name": "Padaria Aurora", "fit": 40, "interest": 120,
		"legal_bases": []any{map[string]any{"category": "communications", "type": "consent", "status": "granted"}},
		"created_at":  instant(t, "2024-05-06T10:00:00-03:00"),
	})
	return c
}

type reply struct {
	status int
	header http.Header
	text   string
	body   any // nil if the text is not JSON
}

func (c *client) http() *http.Client {
	return &http.Client{Transport: c.account.Transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// send sends a request with the headers given as pairs.
func (c *client) send(method, address, body string, headers ...string) reply {
	c.t.Helper()
	r, err := c.try(method, address, body, headers...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, address, err)
	}
	return r
}

func (c *client) try(method, address, body string, headers ...string) (reply, error) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.http().Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: response.StatusCode, header: response.Header, text: string(text)}
	r.body, _ = decode(r.text)
	return r, nil
}

// call is a request to Marketing or to the CRM v2 with the right bearer.
func (c *client) call(method, path, body string) reply {
	c.t.Helper()
	bearer := c.bearer
	if strings.HasPrefix(path, "/crm/") || strings.HasPrefix(path, "/api/v2/") {
		bearer = c.crm
	}
	return c.send(method, c.account.APIURL()+path, body, "Authorization", "Bearer "+bearer, "Content-Type", "application/json")
}

// callV1 is a request to the CRM v1 with the token; path begins after /api/v1.
func (c *client) callV1(method, path, body string) reply {
	c.t.Helper()
	joint := "?"
	if strings.Contains(path, "?") {
		joint = "&"
	}
	return c.send(method, c.account.CRMv1URL()+path+joint+"token="+c.v1, body, "Content-Type", "application/json")
}

func (c *client) form(path string, values url.Values) reply {
	c.t.Helper()
	return c.send("POST", c.account.APIURL()+path, values.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// json posts JSON without a bearer.
func (c *client) json(path, body string) reply {
	c.t.Helper()
	return c.send("POST", c.account.APIURL()+path, body, "Content-Type", "application/json")
}

// classicCode goes through the classic dialog.
func (c *client) classicCode() string {
	c.t.Helper()
	return c.codeOf(c.send("GET", c.account.AuthorizeURL(rdstationtest.Marketing)+"?client_id=cid&state=s&redirect_uri="+url.QueryEscape(callback), ""))
}

// unifiedCode goes through the dialog of the CRM.
func (c *client) unifiedCode() string {
	c.t.Helper()
	return c.codeOf(c.send("GET", c.account.AuthorizeURL(rdstationtest.CRM)+"?response_type=code&client_id=crm-cid&state=s&redirect_uri="+url.QueryEscape(callback), ""))
}

func (c *client) codeOf(r reply) string {
	c.t.Helper()
	target, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != http.StatusFound || target.Query().Get("code") == "" || target.Query().Get("state") != "s" {
		c.t.Fatalf("no code in %d %s %s", r.status, r.header.Get("Location"), r.text)
	}
	return target.Query().Get("code")
}

func decode(text string) (value any, err error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&value)
	return value, err
}

// at walks to a value of the answer by keys and indexes with dots between them. It returns nil
// for what is not there.
func (r reply) at(path string) any {
	if path == "" {
		return r.body
	}
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

func (r reply) has(key string) bool {
	object, _ := r.body.(map[string]any)
	_, found := object[key]
	return found
}

func (r reply) count(path string) int {
	list, _ := r.at(path).([]any)
	return len(list)
}

// want checks status and whole body. "<ANY>" stands for any value but null.
func (r reply) want(t testing.TB, status int, wanted string) {
	t.Helper()
	r.check(t, status, "", wanted, false)
}

// contains checks status and that the value at a path has these members, and maybe others.
func (r reply) contains(t testing.TB, status int, path, wanted string) {
	t.Helper()
	r.check(t, status, path, wanted, true)
}

func (r reply) check(t testing.TB, status int, path, wanted string, subset bool) {
	t.Helper()
	expected, err := decode(wanted)
	if err != nil {
		t.Fatalf("%s: %v", wanted, err)
	}
	if got := r.at(path); r.status != status || !matches(expected, got, subset) {
		t.Errorf("got %d %s\nwant %d %s", r.status, encode(got), status, wanted)
	}
}

func (r reply) wantStatus(t testing.TB, status int) reply {
	t.Helper()
	if r.status != status {
		t.Errorf("got %d %.300s, want %d", r.status, r.text, status)
	}
	return r
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
		if e == "<ANY>" {
			return got != nil
		}
	case json.Number:
		n, isNumber := got.(json.Number)
		if !isNumber {
			return false
		}
		x, _ := e.Float64()
		y, _ := n.Float64()
		return e == n || x == y
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

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// receiver is the target of webhooks. It answers with status, which the zero value makes 200.
type receiver struct {
	mu     sync.Mutex
	status func(n int) int // n counts requests from 1
	got    []received
}

type received struct {
	reply
	when   time.Time
	header http.Header
}

func (h *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	entry := received{reply: reply{text: string(text)}, when: time.Now(), header: r.Header}
	entry.body, _ = decode(entry.text)
	h.got = append(h.got, entry)
	n, status := len(h.got), h.status
	h.mu.Unlock()
	if status != nil {
		w.WriteHeader(status(n))
	}
}

// requests returns what came in but for validation calls.
func (h *receiver) requests() []received {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := []received{}
	for _, entry := range h.got {
		if entry.text != "{}" {
			events = append(events, entry)
		}
	}
	return events
}

func (h *receiver) transport() http.RoundTripper { return rdstationtest.HandlerTransport(h) }

const hookURL = "https://hooks.exemplo.com.br/rd/t1/6f3b0c"

// subscribe registers a webhook of Marketing.
func (c *client) subscribe(event, more string) reply {
	c.t.Helper()
	return c.call("POST", "/integrations/webhooks", `{"event_type":"`+event+`","entity_type":"CONTACT","http_method":"POST","url":"`+hookURL+`"`+more+`}`)
}

func (c *client) convert(identifier string) {
	c.t.Helper()
	c.call("POST", "/platform/events", `{"event_type":"CONVERSION","event_family":"CDP","payload":{"conversion_identifier":"`+identifier+`","email":"`+bia+`"}}`).wantStatus(c.t, 200)
}
