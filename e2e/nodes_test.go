package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// noter is the adapter of a provider that takes notes.
type noter struct{}

func (noter) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "noter", Title: "Noter", Version: "1.0.0", BaseURL: "https://noter.example.com/",
		Auth:     []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Key"}}},
		Entities: []enlace.Entity{{Name: "notes", Operations: []enlace.Operation{enlace.OpCreate}}}}
}

func (noter) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	var note struct{ ID string }
	err := c.Do(ctx, enlace.Call{Method: http.MethodPost, Path: "notes", Body: m.Data}, &note)
	return enlace.Ack{ID: note.ID, Created: true}, err
}

// notes is that provider.
type notes struct {
	*httptest.Server
	calls atomic.Int64
	down  atomic.Bool
}

func newNotes(t *testing.T) *notes {
	n := &notes{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		number := n.calls.Add(1)
		if n.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintf(w, `{"id":"%d"}`, number)
	}))
	t.Cleanup(n.Close)
	return n
}

func pushNote(ctx context.Context, e environment, id string) error {
	_, err := e.service.Sync(ctx, e.Ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"notes"},
		Source: &clients{id: id, data: json.RawMessage(`{"text":"` + id + `"}`), changed: true}})
	return err
}

// node is a second process of a host: it carries out the background work, serves the admin, and
// tells of each signal that its watchers hear.
func node(ctx context.Context, e environment) error {
	var mu sync.Mutex
	tell := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		_ = report(v)
	}
	mux := http.NewServeMux()
	mux.Handle("/admin/", http.StripPrefix("/admin", admin.Handler(e.service, admin.Options{SourceTimeout: time.Minute, Authorize: func(*http.Request) (admin.Access, error) {
		return admin.Access{User: "ana", Tenant: "acme", Grants: admin.ReadOnly}, nil
	}})))
	mux.HandleFunc("POST /notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, pushNote(r.Context(), e, r.PathValue("id")))
	})
	mux.HandleFunc("GET /flag", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, e.service.FlagEnabled(r.Context(), enlace.FlagBulkOperations, e.Ref, ""))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(listener, mux) }() // until this process is killed
	tell("http://" + listener.Addr().String())
	e.service.Watch(func(_ context.Context, o enlace.Observation) {
		if signal, ok := o.(enlace.Signal); ok {
			tell(signal)
		}
	})
	return e.service.Run(ctx)
}

// nodes are this process and another one over the same PostgreSQL.
type nodes struct {
	environment
	t        *testing.T
	provider *notes
	other    string             // address of the other process
	signals  chan enlace.Signal // that it has heard
}

func newNodes(t *testing.T) *nodes {
	n := &nodes{t: t, provider: newNotes(t), signals: make(chan enlace.Signal, 1000), environment: environment{Store: "postgres",
		Address: stores["postgres"].prepare(t), Lease: 15 * time.Second, Key: enlace.GenerateKey().Reveal()}}
	if err := n.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.store.Close() })
	n.Ref = n.create("first").Ref
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = n.service.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	c := n.start(t, "node")
	c.line(&n.other)
	go func() { // ends with the process
		for lines := bufio.NewScanner(c.out); lines.Scan(); {
			var s enlace.Signal
			if json.Unmarshal(lines.Bytes(), &s) == nil {
				n.signals <- s
			}
		}
	}()
	return n
}

func (n *nodes) create(name string) enlace.Integration {
	n.t.Helper()
	in, err := n.service.Create(n.t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "noter", Name: name,
		Settings:   map[string]string{"apiUrl": n.provider.URL + "/", "retryAttempts": "0"},
		Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("k")}}})
	if err != nil {
		n.t.Fatal(err)
	}
	return in
}

// ask sends a request to the other process.
func (n *nodes) ask(method, path string) string {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.other+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: %d %s, %v", path, answer.StatusCode, body, err)
	}
	return string(body)
}

// until asks again and again whether something holds.
func (n *nodes) until(what string, holds func() bool) {
	n.t.Helper()
	look, end := time.NewTicker(400*time.Millisecond), time.NewTimer(2*time.Minute)
	defer look.Stop()
	defer end.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-end.C:
			n.t.Fatalf("%s: it does not come", what)
		}
	}
}

// A breaker that one process opens keeps the other one from the provider too, long before that has
// failed often enough to open one by itself.
func TestBreakerOfAnotherProcess(t *testing.T) {
	t.Parallel() // it mostly waits
	const failures = 5
	n := newNodes(t)
	n.ask(http.MethodPost, "/notes/before")
	if n.provider.calls.Load() != 1 {
		t.Fatal("the other process does not reach the provider")
	}
	n.provider.down.Store(true)
	for i := range failures {
		_ = pushNote(t.Context(), n.environment, fmt.Sprint(i)) // what fails is in the run's result
	}
	open, err := n.service.OpenBreakers(t.Context(), "acme")
	if err != nil || len(open) != 1 {
		t.Fatalf("open are %+v, %v", open, err)
	}
	n.provider.calls.Store(0)
	tries := int64(0)
	n.until("the other process leaves the provider alone", func() bool {
		tries++
		n.ask(http.MethodPost, fmt.Sprintf("/notes/after-%d", tries))
		return n.provider.calls.Load() < tries
	})
	if calls := n.provider.calls.Load(); calls >= failures {
		t.Errorf("the other process called the provider %d times, and so knew by itself", calls)
	}
}

func TestFlagOfAnotherProcess(t *testing.T) {
	t.Parallel() // it mostly waits
	n := newNodes(t)
	flag := func(want string) func() bool {
		return func() bool { return n.ask(http.MethodGet, "/flag") == want }
	}
	if !flag("true")() {
		t.Fatal("the flag is off before anybody has switched it")
	}
	for _, on := range []bool{false, true} {
		if err := n.service.SetFlag(t.Context(), enlace.FlagBulkOperations, enlace.FlagTarget{Tenant: "acme"}, on, "a test"); err != nil {
			t.Fatal(err)
		}
		n.until(fmt.Sprintf("the other process follows the flag to %v", on), flag(fmt.Sprint(on)))
	}
}

// Whatever one process does is on the pages of the other, whose watchers hear of it.
func TestPagesOfAnotherProcess(t *testing.T) {
	t.Parallel() // it mostly waits
	n := newNodes(t)
	made := map[string]bool{}
	n.until("the other process hears of what this one does", func() bool {
		in := n.create(fmt.Sprintf("number %d", len(made)))
		made[in.ID] = true
		for _, path := range []string{"/admin/i", "/admin/api/v1/integrations"} {
			if text := n.ask(http.MethodGet, path); !strings.Contains(text, in.ID) || !strings.Contains(text, in.Name) {
				t.Errorf("%s of the other process does not have it: %s", path, text)
			}
		}
		for len(n.signals) > 0 {
			if s := <-n.signals; s.Topic == "integrations" && made[s.Ref.ID] {
				return true
			}
		}
		return t.Failed()
	})
}
