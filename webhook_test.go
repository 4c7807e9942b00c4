package enlace_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

const hookSecret = "the webhooks' shared secret"

// hooks is the adapter of these tests: its deliveries are JSON, signed as GitHub's are
// unless verifier says otherwise.
type hooks struct {
	verifier enlace.Verifier
	terms    enlace.WebhookTerms
	fetch    func(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error)
}

// happening is an event in a body.
type happening struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Record  string          `json:"record,omitempty"`
	Deleted bool            `json:"deleted,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (a hooks) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "hooks", Title: "Hooks", Version: "1.0.0", BaseURL: providerURL, Features: []enlace.Feature{enlace.FeatureWebhooks},
		Auth: []enlace.AuthScheme{headerKey}, Webhooks: a.terms,
		Entities: []enlace.Entity{{Name: "deals", Operations: []enlace.Operation{enlace.OpRead}, Incremental: enlace.IncrementalUpdates}}}
}

func (a hooks) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	return crm{}.Pull(ctx, c, req)
}

func (a hooks) Fetch(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
	if a.fetch == nil {
		return nil, &enlace.Error{Kind: enlace.ErrUnsupported}
	}
	return a.fetch(ctx, c, entity, ids)
}

func (a hooks) Verifier() enlace.Verifier {
	if a.verifier != nil {
		return a.verifier
	}
	return enlace.GitHubVerifier()
}

func (a hooks) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	var all []happening
	if err := json.Unmarshal(d.Body, &all); err != nil {
		return nil, &enlace.Error{Kind: enlace.ErrProtocol}
	}
	var events []enlace.Event
	for _, h := range all {
		if h.Type == "panic" {
			panic("in ParseWebhook")
		}
		e := enlace.Event{ID: h.ID, Type: h.Type, At: d.ReceivedAt, Payload: d.Body}
		if h.Record != "" {
			e.Record = enlace.Record{Entity: "deals", ID: h.Record, Deleted: h.Deleted, Data: h.Data, Modified: d.ReceivedAt}
		}
		events = append(events, e)
	}
	return events, nil
}

// challenged answers challenges too.
type challenged struct{ hooks }

func (challenged) AnswerChallenge(w http.ResponseWriter, r *http.Request, body []byte) bool {
	if challenge := r.URL.Query().Get("challenge"); challenge == "123" && len(body) == 0 {
		_, _ = io.WriteString(w, challenge)
		return true
	}
	return false
}

// hookHost is a host with an integration of the adapter hooks.
type hookHost struct {
	*host
	in      enlace.Integration
	handler http.Handler
}

func newHookHost(t testing.TB, adapter enlace.IntegrationAdapter, edit ...func(*enlace.Config)) *hookHost {
	t.Helper()
	h := &hookHost{host: newHost(t, adapter, edit...)}
	cred := apiKey("key")
	cred.WebhookSecrets = []enlace.Secret{enlace.NewSecret(hookSecret)}
	h.in = h.create(cred, func(n *enlace.NewIntegration) { n.Provider = "hooks" })
	h.handler = h.Service.WebhookHandler()
	return h
}

func bodyOf(happenings ...happening) string {
	text, _ := json.Marshal(happenings)
	return string(text)
}

// signedRequest is a genuine delivery.
func (h *hookHost) signedRequest(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/integrations/"+h.in.ID+"/webhook", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sign(hookSecret, body)))
	return r
}

func (h *hookHost) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// deliver sends genuine deliveries, one for each body.
func (h *hookHost) deliver(bodies ...string) {
	h.t.Helper()
	for _, body := range bodies {
		if w := h.serve(h.signedRequest(body)); w.Code != http.StatusOK {
			h.t.Fatalf("a genuine delivery is answered with %d", w.Code)
		}
	}
}

func (h *hookHost) deliveries() []enlace.StoredDelivery {
	h.t.Helper()
	list, _, err := h.config.Store.Deliveries(h.t.Context(), enlace.DeliveryQuery{Tenant: h.in.Tenant, Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// states counts the deliveries by state.
func (h *hookHost) states() map[enlace.DeliveryState]int {
	counts := map[enlace.DeliveryState]int{}
	for _, d := range h.deliveries() {
		counts[d.State]++
	}
	return counts
}

func TestWebhookAnswers(t *testing.T) {
	h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.MaxBody, c.Webhooks.MaxFields = 1000, 5 })
	const body = `[{"type":"created","record":"1"}]`
	for name, test := range map[string]struct {
		change func(r *http.Request)
		want   int
	}{
		"genuine":                {func(*http.Request) {}, 200},
		"another mount":          {func(r *http.Request) { r.URL.Path = "/a/b" + r.URL.Path }, 200},
		"no mount":               {func(r *http.Request) { r.URL.Path = "/" + h.in.ID + "/webhook" }, 200},
		"without a content type": {func(r *http.Request) { r.Header.Del("Content-Type") }, 200},
		"with a charset":         {func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") }, 200},
		"no signature":           {func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, 401},
		"wrong signature":        {func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64)) }, 401},
		"altered body":           {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("[]")); r.ContentLength = 2 }, 401},
		"unknown id":             {func(r *http.Request) { r.URL.Path = "/integrations/" + strings.Repeat("0", 26) + "/webhook" }, 404},
		"id that is none":        {func(r *http.Request) { r.URL.Path = "/integrations/a.b/webhook" }, 404},
		"no id":                  {func(r *http.Request) { r.URL.Path = "/webhook" }, 404},
		"other path":             {func(r *http.Request) { r.URL.Path = "/integrations/" + h.in.ID + "/hook" }, 404},
		"GET":                    {func(r *http.Request) { r.Method = "GET" }, 405},
		"PUT":                    {func(r *http.Request) { r.Method = "PUT" }, 405},
		"too large, said so":     {func(r *http.Request) { r.ContentLength = 1001 }, 413},
		"too large, in chunks": {func(r *http.Request) {
			r.ContentLength = -1
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", 1001)))
		}, 413},
		"too many fields": {func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body = io.NopCloser(strings.NewReader("a&b&c&d&e&f"))
			r.ContentLength = 11
		}, 413},
		"an image":                   {func(r *http.Request) { r.Header.Set("Content-Type", "image/png") }, 415},
		"a multipart form":           {func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }, 415},
		"two content types":          {func(r *http.Request) { r.Header.Add("Content-Type", "application/json") }, 415},
		"compressed":                 {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415},
		"encoded in another way":     {func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }, 415},
		"cut":                        {func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(strings.NewReader("["), brokenReader{})) }, 400},
		"a token behind the segment": {func(r *http.Request) { r.URL.Path += "/anything" }, 200},
	} {
		r := h.signedRequest(body)
		test.change(r)
		w := h.serve(r)
		if w.Code != test.want || w.Body.Len() > 0 {
			t.Errorf("%s: %d with %q, want %d and no body", name, w.Code, w.Body, test.want)
		}
		if allow := w.Header().Get("Allow"); (w.Code == 405) != (allow == "POST") {
			t.Errorf("%s: Allow is %q", name, allow)
		}
	}
	if n := len(h.deliveries()); n != 1 {
		t.Errorf("%d deliveries are stored, want one: the genuine ones are equal", n)
	}
	if n := len(observedAs[enlace.WebhookReceived](h.host)); n != 6 {
		t.Errorf("%d deliveries were observed", n)
	}
	must(h.Service.Disable(t.Context(), h.in.Ref))(t)
	if w := h.serve(h.signedRequest(body)); w.Code != 404 {
		t.Errorf("a disabled integration answers %d", w.Code)
	}
}

// Mounted in a mux as documented, over a real connection.
func TestWebhookHandlerInAMux(t *testing.T) {
	h := newHookHost(t, hooks{terms: enlace.WebhookTerms{Success: 202}})
	mux := http.NewServeMux()
	mux.Handle("POST /integrations/{id}/webhook", h.handler)
	mux.Handle("/hooks/", http.StripPrefix("/hooks", h.handler))
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, path := range []string{"/integrations/" + h.in.ID + "/webhook", "/hooks/" + h.in.ID + "/webhook"} {
		r := h.signedRequest("[]")
		req := must(http.NewRequest("POST", server.URL+path, r.Body))(t)
		req.Header = r.Header
		resp := must(http.DefaultClient.Do(req))(t)
		_ = resp.Body.Close()
		if resp.StatusCode != 202 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

func TestWebhookSources(t *testing.T) {
	h := newHookHost(t, hooks{}, func(c *enlace.Config) {
		c.Webhooks.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	in := h.in
	in.Settings = map[string]string{"webhookAllow": "198.51.100.0/24, 2001:db8::7"}
	h.in = must(h.Service.Update(t.Context(), in))(t)
	for _, test := range []struct {
		remote, forwarded string
		want              int
	}{
		{"198.51.100.9:1", "", 200},
		{"203.0.113.9:1", "", 403},
		{"203.0.113.9:1", "198.51.100.9", 403},
		{"10.0.0.1:1", "198.51.100.9", 200},
		{"10.0.0.1:1", "198.51.100.9, 203.0.113.9", 403},
		{"10.0.0.1:1", "garbage", 403},
		{"10.0.0.1:1", "", 403},
		{"[2001:db8::7]:1", "", 200},
		{"@", "", 403},
	} {
		r := h.signedRequest("[]")
		r.RemoteAddr = test.remote
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if w := h.serve(r); w.Code != test.want {
			t.Errorf("from %s for %q: %d, want %d", test.remote, test.forwarded, w.Code, test.want)
		}
	}
	in.Settings, in.Version = map[string]string{"webhookAllow": "nowhere"}, h.in.Version
	if _, err := h.Service.Update(t.Context(), in); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a list that is none: %v", err)
	}
}

func TestWebhookRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.PerSecond, c.Webhooks.Burst, c.Webhooks.RefusedPerMinute = 2, 10, 6 })
		for range 10 {
			h.deliver("[]")
		}
		w := h.serve(h.signedRequest("[]"))
		if w.Code != 429 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("beyond the burst: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		time.Sleep(time.Minute)
		h.deliver("[]")
		forged := func(remote string) int {
			r := h.signedRequest("[]")
			r.RemoteAddr = remote
			r.Header.Set("X-Hub-Signature-256", "sha256=00")
			return h.serve(r).Code
		}
		for i := range 6 {
			if code := forged("203.0.113.9:1"); code != 401 {
				t.Errorf("forgery %d: %d", i, code)
			}
		}
		if code := forged("203.0.113.9:2"); code != 429 {
			t.Errorf("one forgery too many: %d", code)
		}
		if code := forged("203.0.113.10:1"); code != 401 {
			t.Errorf("another source suffers: %d", code)
		}
		for i := range 6 {
			r := h.signedRequest("[]")
			r.URL.Path = fmt.Sprintf("/%026d/webhook", i)
			if code := h.serve(r).Code; code != 404 {
				t.Errorf("guess %d: %d", i, code)
			}
		}
		r := h.signedRequest("[]")
		r.URL.Path = "/00000000000000000000000009/webhook"
		if code := h.serve(r).Code; code != 429 {
			t.Errorf("one guess too many: %d", code)
		}
		h.deliver("[]") // its address is known, and nothing was refused there
		time.Sleep(10 * time.Second)
		if code := forged("203.0.113.9:2"); code != 401 {
			t.Errorf("after a while: %d", code)
		}
	})
}

// faultyStore fails or waits where it is told to.
type faultyStore struct {
	*memory.Store
	insert func() error
	down   atomic.Bool
}

func (s *faultyStore) InsertDeliveries(ctx context.Context, d []enlace.StoredDelivery) ([]string, error) {
	if s.insert != nil {
		if err := s.insert(); err != nil {
			return nil, err
		}
	}
	if s.down.Load() {
		return nil, errors.New("the store is down")
	}
	return s.Store.InsertDeliveries(ctx, d)
}

func (s *faultyStore) Endpoint(ctx context.Context, hash, id string) (enlace.Ref, error) {
	if s.down.Load() {
		return enlace.Ref{}, errors.New("the store is down")
	}
	return s.Store.Endpoint(ctx, hash, id)
}

// Nothing is acknowledged before it is stored, and what cannot be stored is not.
func TestWebhookIsDurableBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{Store: memory.New()}
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Store = store })
		release := make(chan struct{})
		store.insert = func() error { <-release; return nil }
		var answered atomic.Bool
		go func() {
			h.serve(h.signedRequest("[]"))
			answered.Store(true)
		}()
		synctest.Wait()
		if answered.Load() {
			t.Error("it is answered before the insert")
		}
		close(release)
		synctest.Wait()
		if !answered.Load() || len(h.deliveries()) != 1 {
			t.Error("it is not answered or not stored after the insert")
		}
		store.insert = func() error { return errors.New("disk full") }
		w := h.serve(h.signedRequest("[1]"))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || len(h.deliveries()) != 1 {
			t.Errorf("a store that fails: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
	})
}

// A host whose provider sends nothing twice spills, and what was spilled comes in once the
// store is back: also while the store cannot even tell whose the address is.
func TestWebhookSpill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{Store: memory.New()}
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Store, c.Webhooks.SpillDirectory = store, t.TempDir() })
		h.deliver("[]")
		store.down.Store(true)
		h.deliver(bodyOf(happening{Type: "a"}), bodyOf(happening{Type: "b"}))
		time.Sleep(time.Minute) // what is known of the address is old by now
		h.deliver(bodyOf(happening{Type: "c"}))
		if n := len(h.deliveries()); n != 1 {
			t.Fatalf("%d deliveries", n)
		}
		store.down.Store(false)
		stop := h.run()
		defer stop()
		time.Sleep(time.Minute)
		if states := h.states(); states[enlace.DeliveryDone] != 4 {
			t.Errorf("%v, want 4 done", states)
		}
		store.down.Store(true)
		time.Sleep(time.Hour)
		if w := h.serve(h.signedRequest(bodyOf(happening{Type: "d"}))); w.Code != 503 {
			t.Errorf("an hour after the address was looked up: %d", w.Code)
		}
	})
}

// run starts the background work, and stop ends it and waits.
func (h *hookHost) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = h.Service.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func TestWebhookGzip(t *testing.T) {
	h := newHookHost(t, hooks{terms: enlace.WebhookTerms{Gzip: true}}, func(c *enlace.Config) { c.Webhooks.MaxBody = 10_000 })
	send := func(body, packed string) int {
		r := h.signedRequest(body)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(packed)), int64(len(packed))
		r.Header.Set("Content-Encoding", "gzip")
		return h.serve(r).Code
	}
	for name, test := range map[string]struct {
		body, packed string
		want         int
	}{
		"good":        {"[]", zipped("[]"), 200},
		"not packed":  {"[]", "[]", 400},
		"cut":         {"[]", zipped("[]")[:20], 400},
		"a bomb":      {"[]", zipped(strings.Repeat(" ", 1_000_000)), 413},
		"other bytes": {"[1]", zipped("[]"), 401},
	} {
		if code := send(test.body, test.packed); code != test.want {
			t.Errorf("%s: %d, want %d", name, code, test.want)
		}
	}
}

func zipped(body string) string {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, body)
	_ = z.Close()
	return packed.String()
}

func TestWebhookChallenge(t *testing.T) {
	h := newHookHost(t, challenged{})
	for target, want := range map[string]int{"?challenge=123": 200, "?challenge=x": 405, "": 405} {
		w := h.serve(httptest.NewRequest("GET", "/integrations/"+h.in.ID+"/webhook"+target, nil))
		if w.Code != want || (want == 200 && w.Body.String() != "123") {
			t.Errorf("GET %q: %d %q", target, w.Code, w.Body)
		}
	}
	if n := len(h.deliveries()); n != 0 {
		t.Errorf("%d challenges are stored", n)
	}
}

// Nobody is let in because nothing proves them, unless the host names the adapter.
func TestUnverifiedWebhooks(t *testing.T) {
	for allowed, want := range map[string]int{"": 401, "other": 401, "hooks": 200} {
		h := newHookHost(t, hooks{verifier: enlace.Unverified{}}, func(c *enlace.Config) { c.Webhooks.AllowUnverified = []string{allowed} })
		if w := h.serve(h.signedRequest("[]")); w.Code != want {
			t.Errorf("allowed %q: %d, want %d", allowed, w.Code, want)
		}
	}
}

// A secret does not stay with the delivery that it has proved.
func TestTokensAreNotStored(t *testing.T) {
	for name, verifier := range map[string]enlace.TokenVerifier{"header": {Header: "X-Token"}, "query": {Query: "token"}, "path": {Path: true}} {
		h := newHookHost(t, hooks{verifier: verifier})
		r := httptest.NewRequest("POST", "/integrations/"+h.in.ID+"/webhook?a=1&token=", strings.NewReader("[]"))
		switch name {
		case "header":
			r.Header.Set("X-Token", hookSecret)
		case "query":
			r.URL.RawQuery = "a=1&token=" + strings.ReplaceAll(hookSecret, " ", "+")
		case "path":
			r.URL.Path += "/" + hookSecret
		}
		if w := h.serve(r); w.Code != 200 {
			t.Fatalf("%s: %d", name, w.Code)
		}
		d := must(h.store.Delivery(t.Context(), "acme", h.deliveries()[0].ID))(t)
		place := enlace.RecordPlace{Ref: h.in.Ref, Kind: "delivery", Name: d.ID}
		plain := must(h.Service.Safe().OpenRecord(t.Context(), place, d.Sealed.Data))(t)
		if bytes.Contains(plain, []byte("shared")) || !bytes.Contains(plain, []byte("[]")) {
			t.Errorf("%s: stored is %q", name, plain)
		}
		place.Name = "other"
		if _, err := h.Service.Safe().OpenRecord(t.Context(), place, d.Sealed.Data); !errors.Is(err, enlace.ErrKey) {
			t.Errorf("%s: it opens at another place: %v", name, err)
		}
	}
}
