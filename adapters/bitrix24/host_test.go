package bitrix24_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/store/memory"
)

// host is a program that uses enlace with one portal. Whatever it gets to see is
// kept, so that it can be searched for secrets.
type host struct {
	t       *testing.T
	portal  *bitrix24test.Portal
	config  enlace.Config
	service *enlace.Service
	ref     enlace.Ref

	mu           sync.Mutex
	seen         bytes.Buffer // logs, observations and errors
	observations []enlace.Observation
}

// newHost returns a host that is not connected yet. Requests go to the portal in
// memory.
func newHost(t *testing.T, portal *bitrix24test.Portal) *host {
	t.Helper()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, portal: portal}
	h.config = enlace.Config{Registry: enlace.NewRegistry(bitrix24.Adapter{}), Store: memory.New(), Keys: keys,
		Transport: portal.Transport(), Observer: h.observe,
		Logger: slog.New(slog.NewTextHandler(lockedWriter{h}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OAuth: map[string]enlace.OAuthApp{bitrix24.Name: {ClientID: portal.ClientID(), ClientSecret: enlace.NewSecret(portal.ClientSecret()),
			AuthURL: portal.AuthorizeURL(), TokenURL: portal.TokenURL()}}}
	h.restart()
	return h
}

// webhookHost returns a host that is connected by the portal's webhook.
func webhookHost(t *testing.T, portal *bitrix24test.Portal, settings map[string]string) *host {
	t.Helper()
	h := newHost(t, portal)
	in, err := h.service.Create(t.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Settings: settings,
		Credential: webhook(portal.WebhookURL())})
	if err != nil {
		t.Fatal(err)
	}
	h.ref = in.Ref
	return h
}

// oauthHost returns a host that is connected as an application, by the flow that
// a browser goes through.
func oauthHost(t *testing.T, portal *bitrix24test.Portal, settings map[string]string) *host {
	t.Helper()
	h := newHost(t, portal)
	h.authorize(portal.Transport(), settings)
	return h
}

// loopbackHost makes the host call the server over the loopback interface.
func loopbackHost(t *testing.T, server *bitrix24test.Server) *host {
	t.Helper()
	h := newHost(t, server.Portal)
	h.config.Transport = nil
	h.config.Egress = enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	h.restart()
	return h
}

// authorize goes through the authorization code flow. browser carries the user's
// request to the portal.
func (h *host) authorize(browser http.RoundTripper, settings map[string]string) enlace.Integration {
	h.t.Helper()
	const callback = "https://host.example/callback"
	h.portal.SetRedirect(callback)
	all := map[string]string{"portal": h.portal.Host(), "apiUrl": h.portal.RESTURL()}
	for name, value := range settings {
		all[name] = value
	}
	in, err := h.service.Create(h.t.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Settings: all})
	if err != nil {
		h.t.Fatal(err)
	}
	address, err := h.service.BeginAuth(h.t.Context(), in.Ref, callback)
	if err != nil {
		h.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := browser.RoundTrip(request)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		h.t.Fatalf("the portal did not send the browser back: status %d", answer.StatusCode)
	}
	if in, err = h.service.CompleteAuth(h.t.Context(), back.Query()); err != nil {
		h.t.Fatal(err)
	}
	h.ref = in.Ref
	return in
}

// restart makes a new service over the same store, as a new process would.
func (h *host) restart() {
	h.t.Helper()
	var err error
	if h.service, err = enlace.New(h.config); err != nil {
		h.t.Fatal(err)
	}
}

func webhook(url string) *enlace.Credential {
	return &enlace.Credential{Scheme: bitrix24.SchemeWebhook, Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(url)}}
}

type lockedWriter struct{ h *host }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	return w.h.seen.Write(p)
}

func (h *host) observe(_ context.Context, o enlace.Observation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observations = append(h.observations, o)
	fmt.Fprintf(&h.seen, "%#v %+v\n", o, o)
}

// note keeps what an error shows.
func (h *host) note(err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintf(&h.seen, "%v %+v %#v\n", err, err, err)
}

// showsNoSecret fails if anything that the host got to see holds one of them.
func (h *host) showsNoSecret(secrets ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, secret := range secrets {
		if secret == "" {
			h.t.Fatal("an empty secret cannot be searched for")
		}
		if at := strings.Index(h.seen.String(), secret); at >= 0 {
			text := h.seen.String()
			h.t.Errorf("a secret is visible: …%s…", text[max(0, at-200):min(len(text), at+len(secret)+50)])
		}
	}
}

// inbox is a sink that keeps what it is given.
type inbox struct {
	records map[string]enlace.Record // by entity and id
	pages   int
	twice   []string // ids that came more than once since the last look
}

func newInbox() *inbox { return &inbox{records: map[string]enlace.Record{}} }

func (b *inbox) Accept(_ context.Context, batch enlace.Batch) (enlace.Changes, error) {
	b.pages++
	for _, r := range batch.Records {
		key := r.Entity + "/" + r.ID
		if _, there := b.records[key]; there {
			b.twice = append(b.twice, r.ID)
		}
		r.Data = bytes.Clone(r.Data)
		b.records[key] = r
	}
	return enlace.Changes{Created: len(batch.Records)}, nil
}

// sync carries out one run into the inbox.
func (h *host) sync(into *inbox, options enlace.SyncOptions) (enlace.SyncResult, error) {
	if len(options.Entities) == 0 {
		options.Entities = []string{"contacts"}
	}
	options.Sink = into
	options.Untracked = true // what the adapter reads, unchanged or not
	result, err := h.service.Sync(h.t.Context(), h.ref, options)
	h.note(err)
	return result, err
}

// syncAll is a run that must end well and complete.
func (h *host) syncAll(into *inbox, options enlace.SyncOptions) enlace.SyncResult {
	h.t.Helper()
	result, err := h.sync(into, options)
	if err != nil {
		h.t.Fatal(err)
	}
	if !result.Complete {
		h.t.Fatalf("the run is not complete: %+v", result)
	}
	return result
}

// pull reads an entity without a sink, up to pages pages (0 for all), and returns
// its records and the last cursor.
func (h *host) pull(req enlace.PullRequest, pages int) (records []enlace.Record, last enlace.Page, err error) {
	if req.Entity == "" {
		req.Entity = "contacts"
	}
	for page, err := range h.service.Pages(h.t.Context(), h.ref, req) {
		if err != nil {
			h.note(err)
			return records, last, err
		}
		records, last = append(records, page.Records...), page
		if pages--; pages == 0 {
			break
		}
	}
	return records, last, nil
}

// wantIDs fails unless the records are those ids, each once, in any order.
func wantIDs(t *testing.T, records []enlace.Record, want []string) {
	t.Helper()
	got := make([]string, len(records))
	for i, r := range records {
		got[i] = r.ID
	}
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	if slices.Equal(got, want) {
		return
	}
	missing, extra := difference(want, got), difference(got, want)
	t.Fatalf("got %d records, want %d: %d missing (%.5q…), %d too many (%.5q…)",
		len(got), len(want), len(missing), missing[:min(5, len(missing))], len(extra), extra[:min(5, len(extra))])
}

// difference is a without b, both sorted.
func difference(a, b []string) (left []string) {
	for len(a) > 0 {
		switch {
		case len(b) == 0 || a[0] < b[0]:
			left, a = append(left, a[0]), a[1:]
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		default:
			b = b[1:]
		}
	}
	return left
}

func (b *inbox) list() []enlace.Record {
	var records []enlace.Record
	for _, r := range b.records {
		records = append(records, r)
	}
	return records
}

// wantOnce fails unless the inbox holds exactly those ids and got none twice.
func (b *inbox) wantOnce(t *testing.T, ids []string) {
	t.Helper()
	wantIDs(t, b.list(), ids)
	if len(b.twice) > 0 {
		t.Fatalf("%d records came twice, such as %.5q", len(b.twice), b.twice[:min(5, len(b.twice))])
	}
}

// roundTripper makes a function an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// editAnswers passes the portal's good answers through edit.
func editAnswers(portal *bitrix24test.Portal, edit func(method string, body []byte) []byte) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		answer, err := portal.Transport().RoundTrip(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			return answer, err
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return nil, err
		}
		body = edit(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], body)
		answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return answer, nil
	})
}

// editRequests passes the bodies of requests through edit.
func editRequests(portal *bitrix24test.Portal, edit func(body string) string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		edited := edit(string(body))
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(edited)), int64(len(edited))
		return portal.Transport().RoundTrip(r)
	})
}

// bubble runs a subtest in virtual time: the portal's limits make real waits long.
// The bubble does not end before all its goroutines have.
func bubble(t *testing.T, name string, run func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, run)
	})
}
