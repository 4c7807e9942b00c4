package zapsign_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
	"github.com/enlace-go/enlace/store/memory"
)

// host is a program that uses enlace with one ZapSign account. Whatever it gets
// to see is kept, so that it can be searched for secrets.
type host struct {
	t       testing.TB
	api     *zapsigntest.API
	config  enlace.Config
	service *enlace.Service
	ref     enlace.Ref

	mu   sync.Mutex
	seen bytes.Buffer // logs, observations and errors
}

// newAPI returns a server that reaches no network: where it would deliver, the
// address does not answer.
func newAPI(options zapsigntest.Options) *zapsigntest.API {
	if options.Transport == nil {
		options.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED })
	}
	return zapsigntest.New(options)
}

// newHost returns a host that is connected by the API token. Requests go to the
// server in memory.
func newHost(t testing.TB, api *zapsigntest.API, settings map[string]string) *host {
	t.Helper()
	return connect(t, api, token(api.Token()), settings)
}

func connect(t testing.TB, api *zapsigntest.API, credential *enlace.Credential, settings map[string]string) *host {
	t.Helper()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, api: api}
	h.config = enlace.Config{Registry: enlace.NewRegistry(zapsign.Adapter{}), Store: memory.New(), Keys: keys,
		Transport: api.Transport(), Observer: h.observe,
		Logger: slog.New(slog.NewTextHandler(lockedWriter{h}, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	h.restart()
	all := map[string]string{"environment": zapsign.Sandbox}
	for name, value := range settings {
		all[name] = value
	}
	in, err := h.service.Create(t.Context(), enlace.NewIntegration{Provider: zapsign.Name, Settings: all, Credential: credential})
	if err != nil {
		t.Fatal(err)
	}
	h.ref = in.Ref
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

func token(value string) *enlace.Credential {
	return &enlace.Credential{Scheme: zapsign.SchemeToken, Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(value)}}
}

// conn opens the account.
func (h *host) conn() *enlace.Conn {
	h.t.Helper()
	c, err := h.service.Conn(h.t.Context(), h.ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
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
	fmt.Fprintf(&h.seen, "%#v %+v\n", o, o)
}

// note keeps what an error shows.
func (h *host) note(err error) error {
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		fmt.Fprintf(&h.seen, "%v %+v %#v\n", err, err, err)
	}
	return err
}

// showsNoSecret fails if anything that the host got to see holds one of them.
func (h *host) showsNoSecret(secrets ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	text := h.seen.String()
	for _, secret := range secrets {
		if secret == "" {
			h.t.Fatal("an empty secret cannot be searched for")
		}
		if at := strings.Index(text, secret); at >= 0 {
			h.t.Errorf("a secret is visible: …%s…", text[max(0, at-200):min(len(text), at+len(secret)+50)])
		}
	}
}

// wantKind fails unless the error is of that kind and outcome.
func wantKind(t testing.TB, err error, kind error, outcome enlace.Outcome) {
	t.Helper()
	e, ok := errors.AsType[*enlace.Error](err)
	if !ok || !errors.Is(e.Kind, kind) || e.Outcome != outcome {
		t.Errorf("got %v, want %v, outcome %v", err, kind, outcome)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// inbox is a sink that keeps what it is given.
type inbox struct {
	records map[string]enlace.Record // by entity and id
	got     []string                 // the ids since the last look, in order
}

func newInbox() *inbox { return &inbox{records: map[string]enlace.Record{}} }

func (b *inbox) Accept(_ context.Context, batch enlace.Batch) (enlace.Changes, error) {
	for _, r := range batch.Records {
		r.Data = bytes.Clone(r.Data)
		b.records[r.Entity+"/"+r.ID] = r
		b.got = append(b.got, r.ID)
	}
	return enlace.Changes{Created: len(batch.Records)}, nil
}

// look returns what came since the last look, sorted.
func (b *inbox) look() []string {
	got := b.got
	b.got = nil
	slices.Sort(got)
	return got
}

// sync carries out one run into the inbox, which must end well and complete.
func (h *host) sync(into *inbox, o enlace.SyncOptions) enlace.SyncResult {
	h.t.Helper()
	o.Sink = into
	if len(o.Entities) == 0 {
		o.Entities = []string{zapsign.Documents}
	}
	o.Untracked = true // what the adapter reads, unchanged or not
	result, err := h.service.Sync(h.t.Context(), h.ref, o)
	if h.note(err) != nil {
		h.t.Fatal(err)
	}
	if !result.Complete {
		h.t.Fatalf("the run is not complete: %+v", result)
	}
	return result
}

// wantIDs fails unless the inbox got exactly those, each once.
func (b *inbox) wantIDs(t testing.TB, want ...string) {
	t.Helper()
	want = slices.Clone(want)
	slices.Sort(want)
	if got := b.look(); !slices.Equal(got, want) {
		t.Fatalf("got %d records, want %d: %.5q…, want %.5q…", len(got), len(want), got[:min(5, len(got))], want[:min(5, len(want))])
	}
}

// bubble runs a subtest in virtual time.
func bubble(t *testing.T, name string, run func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, run)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var pdf = []byte("%PDF-1.4\n")

// contract is a document to be created, with these signers.
func contract(name string, people ...string) zapsign.DocumentInput {
	in := zapsign.DocumentInput{Name: name, PDF: pdf}
	for _, person := range people {
		in.Signers = append(in.Signers, zapsign.SignerInput{Name: person, Email: strings.ToLower(strings.Fields(person)[0]) + "@example.com"})
	}
	return in
}

// effects is how often an endpoint was asked.
func effects(api *zapsigntest.API, route string) int { return api.Stats().Routes[route].Requests }

const wait = 61 * time.Second // until lists are fresh
