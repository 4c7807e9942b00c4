package rdstation_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
	"github.com/enlace-go/enlace/store/memory"
)

// host is a program that uses enlace with one RD Station account. Whatever it gets
// to see is kept, so that it can be searched for secrets.
type host struct {
	t         *testing.T
	account   *rdstationtest.Account
	marketing *rdstation.Marketing
	config    enlace.Config
	service   *enlace.Service
	ref       enlace.Ref
	secrets   []string

	mu           sync.Mutex
	seen         bytes.Buffer // logs, observations and errors
	observations []enlace.Observation
}

func newHost(t *testing.T, account *rdstationtest.Account) *host {
	t.Helper()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, account: account, marketing: &rdstation.Marketing{}}
	app := func(p rdstationtest.Product) enlace.OAuthApp {
		h.secrets = append(h.secrets, account.App(p).ClientSecret)
		return enlace.OAuthApp{ClientID: account.App(p).ClientID, ClientSecret: enlace.NewSecret(account.App(p).ClientSecret),
			AuthURL: account.AuthorizeURL(p), TokenURL: account.TokenURL(p)}
	}
	h.config = enlace.Config{Registry: enlace.NewRegistry(h.marketing, rdstation.CRM{}, rdstation.CRMv1{}), Store: memory.New(), Keys: keys,
		Transport: account.Transport(), Observer: h.observe,
		Logger: slog.New(slog.NewTextHandler(lockedWriter{h}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OAuth: map[string]enlace.OAuthApp{
			rdstation.MarketingName: app(rdstationtest.Marketing), rdstation.CRMName: app(rdstationtest.CRM)}}
	h.restart()
	return h
}

// restart makes a new service over the same store, as a new process would.
func (h *host) restart() {
	h.t.Helper()
	var err error
	if h.service, err = enlace.New(h.config); err != nil {
		h.t.Fatal(err)
	}
}

// connect makes an integration with a credential.
func (h *host) connect(provider string, settings map[string]string, cred *enlace.Credential) *host {
	h.t.Helper()
	in, err := h.service.Create(h.t.Context(), enlace.NewIntegration{Provider: provider, Settings: settings, Credential: cred})
	if err != nil {
		h.t.Fatal(err)
	}
	h.ref = in.Ref
	return h
}

// tokens is a credential as the authorization flow leaves it.
func (h *host) tokens(p rdstationtest.Product) *enlace.Credential {
	t := h.account.Authorize(h.account.App(p).ClientID)
	h.secrets = append(h.secrets, t.AccessToken, t.RefreshToken)
	return &enlace.Credential{Scheme: rdstation.SchemeOAuth, Token: &enlace.Token{
		Access: enlace.NewSecret(t.AccessToken), Refresh: enlace.NewSecret(t.RefreshToken)}}
}

// marketingHost is connected to Marketing by OAuth.
func marketingHost(t *testing.T, account *rdstationtest.Account, settings map[string]string) *host {
	t.Helper()
	h := newHost(t, account)
	return h.connect(rdstation.MarketingName, settings, h.tokens(rdstationtest.Marketing))
}

// crmHost is connected to the CRM by OAuth.
func crmHost(t *testing.T, account *rdstationtest.Account) *host {
	t.Helper()
	h := newHost(t, account)
	return h.connect(rdstation.CRMName, nil, h.tokens(rdstationtest.CRM))
}

// v1Host is connected to the CRM by the token of its first user.
func v1Host(t *testing.T, account *rdstationtest.Account) *host {
	t.Helper()
	h := newHost(t, account)
	token := account.CRMUsers()[0].Token
	h.secrets = append(h.secrets, token)
	return h.connect(rdstation.CRMv1Name, nil, key(rdstation.SchemeToken, token))
}

func key(scheme, value string) *enlace.Credential {
	return &enlace.Credential{Scheme: scheme, Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(value)}}
}

func (h *host) conn() *enlace.Conn {
	h.t.Helper()
	c, err := h.service.Conn(h.t.Context(), h.ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// must keeps what an error shows and ends the test with it.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
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

// note keeps what an error shows, and returns it.
func (h *host) note(err error) error {
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		fmt.Fprintf(&h.seen, "%v %+v %#v\n", err, err, err)
	}
	return err
}

// showsNoSecret fails if anything that the host got to see holds a secret.
func (h *host) showsNoSecret(more ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, secret := range append(more, h.secrets...) {
		if secret == "" {
			h.t.Fatal("an empty secret cannot be searched for")
		}
		if text := h.seen.String(); strings.Contains(text, secret) {
			at := strings.Index(text, secret)
			h.t.Errorf("a secret is visible: …%s…", text[max(0, at-200):min(len(text), at+len(secret)+50)])
		}
	}
}

// inbox is a sink that keeps what it is given.
type inbox struct {
	records map[string]enlace.Record // by entity and id
	twice   []string                 // ids that came more than once since the last look
	gone    []string                 // ids of tombstones
}

func newInbox() *inbox { return &inbox{records: map[string]enlace.Record{}} }

func (b *inbox) Accept(_ context.Context, batch enlace.Batch) (enlace.Changes, error) {
	for _, r := range batch.Records {
		key := r.Entity + "/" + r.ID
		if _, there := b.records[key]; there {
			b.twice = append(b.twice, r.ID)
		}
		if r.Deleted {
			b.gone = append(b.gone, r.ID)
		}
		r.Data = bytes.Clone(r.Data)
		b.records[key] = r
	}
	return enlace.Changes{Created: len(batch.Records)}, nil
}

func (b *inbox) count(entity string) (n int) {
	for _, r := range b.records {
		if r.Entity == entity {
			n++
		}
	}
	return n
}

// sync carries out one run into the inbox.
func (h *host) sync(into *inbox, options enlace.SyncOptions) (enlace.SyncResult, error) {
	options.Sink = into
	options.Untracked = true // what the adapter reads, unchanged or not
	result, err := h.service.Sync(h.t.Context(), h.ref, options)
	return result, h.note(err)
}

// syncAll is a run that must end well and complete.
func (h *host) syncAll(into *inbox, entities ...string) enlace.SyncResult {
	h.t.Helper()
	result, err := h.sync(into, enlace.SyncOptions{Entities: entities})
	if err != nil {
		h.t.Fatal(err)
	}
	if !result.Complete {
		h.t.Fatalf("the run is not complete: %+v", result)
	}
	return result
}

// roundTripper makes a function an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer has every request answered like this from now on.
func (h *host) answer(status int, header http.Header, body string) {
	h.config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if header == nil {
			header = http.Header{}
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)),
			ContentLength: int64(len(body)), Request: r}, nil
	})
	h.restart()
}

// bubble runs a subtest in virtual time.
func bubble(t *testing.T, name string, run func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, run)
	})
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
