package river_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

// host is an application of two processes over one store, with River between them.
type host struct {
	t        *testing.T
	store    enlace.Store
	provider *fake.Provider
	nodes    [2]*enlace.Service
	ref      enlace.Ref

	mu      sync.Mutex
	given   map[string]int // records that the sink got, by id
	effects map[string]int // events that the handler got, by id
	changed chan struct{}  // takes one, after each change of the two
}

func newHost(t *testing.T) *host {
	store, o := open(t)
	h := &host{t: t, store: store, provider: fake.New(fake.Options{}), given: map[string]int{}, effects: map[string]int{}, changed: make(chan struct{}, 1)}
	key, err := enlace.ParseKey(enlace.NewSecret(fmt.Sprintf("%x", randomKey())))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range h.nodes {
		h.nodes[i], err = enlace.New(enlace.Config{
			Registry: enlace.NewRegistry(h.provider.Adapter()), Store: store, Keys: keys, Transport: h.provider, Engine: newEngine(t, store, o),
			Sink:     enlace.SinkFunc(h.accept),
			Webhooks: enlace.WebhookConfig{Processors: []enlace.Processor{{HandleTx: h.handle}}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cred := h.provider.APIKey()
	in, err := h.nodes[0].Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: fake.Name, Credential: &cred})
	if err != nil {
		t.Fatal(err)
	}
	h.ref = in.Ref
	return h
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}

// run has both nodes at work until the test ends.
func (h *host) run() {
	ctx, stop := context.WithCancel(context.WithoutCancel(h.t.Context()))
	var running sync.WaitGroup
	for _, node := range h.nodes {
		running.Go(func() {
			if err := node.Run(ctx); err != nil {
				h.t.Error(err)
			}
		})
	}
	h.t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

func (h *host) accept(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range b.Records {
		h.given[r.ID]++
	}
	h.note()
	return enlace.Changes{}, nil
}

func (h *host) handle(_ context.Context, e enlace.ReceivedEvent) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.effects[e.Event.ID]++
	h.note()
	return nil
}

func (h *host) note() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// until waits until something holds. It looks after each change that the host sees, and each
// second for those of the provider.
func (h *host) until(what string, holds func() bool) {
	h.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	look := time.NewTicker(time.Second / 4)
	defer look.Stop()
	for !holds() {
		select {
		case <-h.changed:
		case <-look.C:
		case <-timeout.C:
			h.t.Fatalf("%s: it does not come", what)
		}
	}
}

func (h *host) count(of map[string]int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(of)
}

func TestService(t *testing.T) {
	h := newHost(t)
	h.provider.Seed("contacts", 40)
	h.run()

	const events = 30
	for i := range events {
		r := h.provider.Delivery("https://host.example/"+h.ref.ID+"/webhook", enlace.Event{ID: fmt.Sprint(i), Type: "contact.updated",
			Record: enlace.Record{Entity: "contacts", ID: fmt.Sprint(1 + i), Data: json.RawMessage(`{"name":"Ana"}`)}})
		answer := httptest.NewRecorder()
		h.nodes[i%2].WebhookHandler().ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			t.Fatalf("a delivery is answered with %d", answer.Code)
		}
	}
	h.until("every delivery is handled", func() bool { return h.count(h.effects) == events })

	run, err := h.nodes[0].StartSync(t.Context(), h.ref, enlace.SyncOptions{Entities: []string{"contacts"}})
	if err != nil {
		t.Fatal(err)
	}
	h.until("a queued run is carried out", func() bool { return h.state(run.ID) == enlace.RunComplete })
	if n := h.count(h.given); n != 40 {
		t.Errorf("the run gave %d records, want 40", n)
	}

	schedule, err := h.nodes[1].SaveSchedule(t.Context(), enlace.Schedule{Ref: h.ref, Spec: "every 1h", Options: enlace.SyncOptions{Entities: []string{"contacts"}}})
	if err != nil {
		t.Fatal(err)
	}
	schedule.NextAt = time.Now()
	if err := h.store.SaveSchedule(t.Context(), schedule); err != nil {
		t.Fatal(err)
	}
	h.until("a schedule starts its run", func() bool {
		now, err := h.nodes[0].Schedule(t.Context(), "acme", schedule.ID)
		return err == nil && now.LastRun != "" && h.state(now.LastRun) == enlace.RunComplete
	})

	change := enlace.Change{ID: "local", Data: json.RawMessage(`{"name":"from the host"}`)}
	if err := h.nodes[1].Enqueue(t.Context(), h.ref, "contacts", change); err != nil {
		t.Fatal(err)
	}
	h.until("an outbox is drained", func() bool { return len(h.provider.Records("contacts")) == 41 })
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, times := range h.effects {
		if times != 1 {
			t.Errorf("the event %s had its effect %d times", id, times)
		}
	}
}

func (h *host) state(run string) enlace.RunState {
	r, err := h.nodes[0].SyncRun(h.t.Context(), "acme", run)
	if err != nil {
		h.t.Fatal(err)
	}
	return r.State
}
