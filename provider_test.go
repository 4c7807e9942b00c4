package enlace_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// This file holds the outside service of these tests, its adapter, and the host.

const providerURL = "https://crm.example.com/api/"

// crm is the adapter of the provider of these tests.
type crm struct {
	auth     []enlace.AuthScheme // nil is an API key in a header
	fields   []enlace.Field
	entities []enlace.Entity // nil is companies, contacts, deals and notes
	base     string          // "" is providerURL
	limits   enlace.Limits
	greedy   bool // ignores PullRequest.Limit
	pull     func(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error)
}

var headerKey = enlace.APIKey{Place: enlace.Placement{Header: "X-Api-Key"}}

func (a crm) Describe() enlace.Descriptor {
	read := []enlace.Operation{enlace.OpRead}
	d := enlace.Descriptor{
		Name: "crm", Title: "Example CRM", Version: "1.0.0", BaseURL: cmp.Or(a.base, providerURL),
		Features: []enlace.Feature{enlace.FeatureCRMSync, enlace.FeatureContactsSync},
		Auth:     a.auth, Settings: a.fields, Entities: a.entities, Limits: a.limits,
	}
	if d.Auth == nil {
		d.Auth = []enlace.AuthScheme{headerKey}
	}
	if d.Entities == nil {
		d.Entities = []enlace.Entity{
			{Name: "deals", Operations: read, Incremental: enlace.IncrementalUpdates, Parents: []string{"contacts", "companies"}},
			{Name: "contacts", Operations: read, Incremental: enlace.IncrementalUpdates, Parents: []string{"companies"}},
			{Name: "companies", Operations: read},
			{Name: "notes", Operations: []enlace.Operation{enlace.OpCreate}},
			{Name: "custom_*", Operations: read},
		}
	}
	return d
}

func (a crm) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	if a.pull != nil {
		return a.pull(ctx, c, req)
	}
	query := url.Values{"cursor": {string(req.Cursor)}}
	if req.Limit > 0 && !a.greedy {
		query.Set("limit", strconv.Itoa(req.Limit))
	}
	if !req.Since.IsZero() {
		query.Set("since", req.Since.Format(time.RFC3339Nano))
	}
	var answer struct {
		Items []json.RawMessage
		Next  string
		Done  bool
		Total int
	}
	if err := c.Do(ctx, enlace.Call{Path: "list/" + req.Entity, Query: query, Op: "list"}, &answer); err != nil {
		return enlace.Page{}, err
	}
	page := enlace.Page{Next: enlace.Cursor(answer.Next), Done: answer.Done, Total: answer.Total}
	for _, item := range answer.Items {
		var id struct{ ID json.Number }
		if err := json.Unmarshal(item, &id); err != nil {
			return page, err
		}
		page.Records = append(page.Records, enlace.Record{Entity: req.Entity, ID: id.ID.String(), Data: item})
	}
	return page, nil
}

func (a crm) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	return c.Do(ctx, enlace.Call{Path: "ping"}, nil)
}

// Classify knows the provider's habit of answering errors with status 200.
func (a crm) Classify(status int, _ http.Header, body []byte) error {
	var answer struct{ Code, Message string }
	if json.Unmarshal(body, &answer) != nil || answer.Code == "" {
		return enlace.ErrDefault
	}
	e := &enlace.Error{Code: answer.Code, Message: answer.Message, Outcome: enlace.OutcomeNotRun}
	switch answer.Code {
	case "SLOW_DOWN":
		e.Kind = enlace.ErrRateLimited
	case "BUSY":
		e.Kind, e.Outcome = enlace.ErrUnavailable, enlace.OutcomeUnknown
	case "CURSOR_EXPIRED":
		e.Kind = enlace.ErrCursorExpired
	case "NOT_YOURS":
		e.Kind = enlace.ErrForbidden
	default:
		e.Kind = enlace.ErrInvalid
	}
	return e
}

// request is one that arrived at the provider.
type request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   string
}

// provider is the outside service, in memory: it is the http.RoundTripper of a
// service, so that time can be virtual, and an http.Handler.
type provider struct {
	mu       sync.Mutex
	pageSize int // 0 is 10
	records  map[string][]json.RawMessage
	requests []request
	// fault answers in the provider's place if it returns true.
	fault func(w http.ResponseWriter, r *http.Request, body string) bool

	bearer     map[string]bool // accepted access tokens; nil accepts everything
	refresh    string          // the one refresh token that is good, "" for any
	tokenPosts int
	// token answers the token endpoint in the provider's place if it is set.
	token func(w http.ResponseWriter, form url.Values)
	life  int // expires_in, in seconds; 0 is 3600
}

func newProvider() *provider { return &provider{records: map[string][]json.RawMessage{}} }

// add gives an entity n more records with consecutive ids.
func (p *provider) add(entity string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range n {
		id := len(p.records[entity]) + 1
		p.records[entity] = append(p.records[entity], json.RawMessage(fmt.Sprintf(`{"id":%d,"name":"%s %d"}`, id, entity, id)))
	}
}

func (p *provider) setFault(fault func(w http.ResponseWriter, r *http.Request, body string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// seen returns the requests whose path ends so.
func (p *provider) seen(suffix string) []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.requests), func(r request) bool { return !strings.HasSuffix(r.URL.Path, suffix) })
}

// RoundTrip implements http.RoundTripper.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	answer := w.Result()
	answer.Request = r
	if answer.Header.Get("X-Cut") != "" { // the connection breaks inside the body
		answer.Body = io.NopCloser(io.MultiReader(answer.Body, brokenReader{}))
		answer.ContentLength = -1
	}
	return answer, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	p.mu.Lock()
	p.requests = append(p.requests, request{r.Method, r.URL, r.Header.Clone(), string(body)})
	fault := p.fault
	p.mu.Unlock()
	if fault != nil && fault(w, r, string(body)) {
		return
	}
	if strings.HasSuffix(r.URL.Path, "/oauth/token") {
		form, _ := url.ParseQuery(string(body))
		p.serveToken(w, form)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); p.bearer != nil && !p.bearer[token] {
		http.Error(w, `{"error":"expired_token"}`, http.StatusUnauthorized)
		return
	}
	if _, entity, ok := strings.Cut(r.URL.Path, "/list/"); ok {
		p.serveList(w, entity, r.URL.Query())
		return
	}
	answerJSON(w, http.StatusOK, `{"ok":true}`)
}

// serveToken rotates: each refresh token is good once.
func (p *provider) serveToken(w http.ResponseWriter, form url.Values) {
	p.mu.Lock()
	p.tokenPosts++
	n, custom := p.tokenPosts, p.token
	p.mu.Unlock()
	if custom != nil {
		custom(w, form)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if form.Get("grant_type") == "refresh_token" && p.refresh != "" && form.Get("refresh_token") != p.refresh {
		answerJSON(w, http.StatusBadRequest, `{"error":"invalid_grant"}`)
		return
	}
	access := fmt.Sprintf("access-%d", n)
	p.refresh = fmt.Sprintf("refresh-%d", n)
	p.bearer = map[string]bool{access: true}
	answerJSON(w, http.StatusOK, fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":%d,"scope":"crm","portal":"p-7"}`,
		access, p.refresh, cmp.Or(p.life, 3600)))
}

// serveList gives the records behind a position; the position after the last one
// is where the next incremental read begins.
func (p *provider) serveList(w http.ResponseWriter, entity string, query url.Values) {
	all := p.records[entity]
	from, _ := strconv.Atoi(query.Get("cursor"))
	size := cmp.Or(p.pageSize, 10)
	if limit, err := strconv.Atoi(query.Get("limit")); err == nil {
		size = min(size, limit)
	}
	to := min(from+size, len(all))
	items := all[from:to]
	if items == nil {
		items = []json.RawMessage{}
	}
	data, err := json.Marshal(items)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answerJSON(w, http.StatusOK, fmt.Sprintf(`{"items":%s,"next":"%d","done":%t,"total":%d}`, data, to, to == len(all), len(all)))
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// times makes a fault of the first n requests whose path ends so.
func times(n int, suffix string, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request, string) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, _ string) bool {
		mu.Lock()
		hit := n > 0 && strings.HasSuffix(r.URL.Path, suffix)
		if hit {
			n--
		}
		mu.Unlock()
		if hit {
			answer(w, r)
		}
		return hit
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, code, body) }
}

// host is a program that uses the library.
type host struct {
	*enlace.Service
	t        testing.TB
	store    *memory.Store
	provider *provider
	config   enlace.Config

	mu           sync.Mutex
	observations []enlace.Observation
}

// newHost makes a service over a fresh store and provider; edit may change its
// configuration.
func newHost(t testing.TB, adapter enlace.IntegrationAdapter, edit ...func(*enlace.Config)) *host {
	t.Helper()
	h := &host{t: t, store: memory.New(), provider: newProvider()}
	h.config = enlace.Config{
		Registry: enlace.NewRegistry(adapter), Store: h.store, Keys: newKeys(t), Transport: h.provider,
		Observer: func(_ context.Context, o enlace.Observation) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.observations = append(h.observations, o)
		},
	}
	for _, e := range edit {
		e(&h.config)
	}
	h.Service = h.restart()
	return h
}

// restart is another process over the same store.
func (h *host) restart() *enlace.Service {
	h.t.Helper()
	s, err := enlace.New(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func newKeys(t testing.TB) *enlace.Keyring {
	t.Helper()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// create makes an integration with the credential.
func (h *host) create(cred enlace.Credential, edit ...func(*enlace.NewIntegration)) enlace.Integration {
	h.t.Helper()
	n := enlace.NewIntegration{Tenant: "acme", Provider: "crm", Credential: &cred}
	for _, e := range edit {
		e(&n)
	}
	in, err := h.Create(h.t.Context(), n)
	if err != nil {
		h.t.Fatal(err)
	}
	return in
}

// with is an edit that gives the integration a setting.
func with(name, value string) func(*enlace.NewIntegration) {
	return func(n *enlace.NewIntegration) {
		n.Settings = maps.Clone(n.Settings)
		if n.Settings == nil {
			n.Settings = map[string]string{}
		}
		n.Settings[name] = value
	}
}

// open returns the connection of an integration.
func (h *host) open(in enlace.Integration) *enlace.Conn {
	h.t.Helper()
	c, err := h.Conn(h.t.Context(), in.Ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *host) observed() []enlace.Observation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.observations)
}

// observedAs returns the observations of one type.
func observedAs[T enlace.Observation](h *host) []T {
	var all []T
	for _, o := range h.observed() {
		if o, ok := o.(T); ok {
			all = append(all, o)
		}
	}
	return all
}

func apiKey(key string) enlace.Credential {
	return enlace.Credential{Scheme: "api_key", Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(key)}}
}

// notebook is a Sink that remembers everything it accepted, in order.
type notebook struct {
	mu      sync.Mutex
	records []enlace.Record
	pages   [][]string // ids of each accepted page
	before  func(enlace.Batch) error
}

func (n *notebook) Accept(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	if n.before != nil {
		if err := n.before(b); err != nil {
			return enlace.Changes{}, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []string
	for _, r := range b.Records {
		r.Data = bytes.Clone(r.Data)
		n.records = append(n.records, r)
		ids = append(ids, r.Entity+"/"+r.ID)
	}
	n.pages = append(n.pages, ids)
	return enlace.Changes{Created: len(b.Records)}, nil
}

// counts is how often each record was accepted.
func (n *notebook) counts() map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := map[string]int{}
	for _, r := range n.records {
		counts[r.Entity+"/"+r.ID]++
	}
	return counts
}

// must stops the test at an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
