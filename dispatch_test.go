package enlace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// ledger remembers what handlers and sinks have seen.
type ledger struct {
	mu   sync.Mutex
	seen []string
}

func (l *ledger) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, fmt.Sprintf(format, args...))
}

func (l *ledger) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen
	l.seen = nil
	return seen
}

func (l *ledger) check(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := l.take(); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// handler writes down the types of events.
func (l *ledger) handler(name string) enlace.EventHandler {
	return func(_ context.Context, e enlace.ReceivedEvent) error {
		l.add("%s%s", name, e.Type)
		return nil
	}
}

// sink writes down the records, joined to the store's transaction or not.
type sink struct {
	*ledger
	joins bool
	fail  func(b enlace.Batch) error
}

func (s sink) Accept(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	if s.fail != nil {
		if err := s.fail(b); err != nil {
			return enlace.Changes{}, err
		}
	}
	var ids []string
	for _, r := range b.Records {
		if r.Deleted {
			r.ID = "-" + r.ID
		}
		ids = append(ids, r.ID)
	}
	s.add("%s %s", b.Entity, strings.Join(ids, ","))
	return enlace.Changes{}, nil
}

func (s sink) Joins(enlace.Store) bool { return s.joins }

func processors(all ...enlace.Processor) func(*enlace.Config) {
	return func(c *enlace.Config) { c.Webhooks.Processors = all }
}

// An event is handled once, although the delivery comes twice and another one tells of
// the same event.
func TestEventsAreHandledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		h := newHookHost(t, hooks{}, processors(enlace.Processor{HandleTx: l.handler("")}))
		one, other := bodyOf(happening{ID: "1", Type: "a"}), bodyOf(happening{ID: "1", Type: "a"}, happening{ID: "2", Type: "b"}, happening{ID: "2", Type: "b"})
		h.deliver(one, one, other)
		stop := h.run()
		defer stop()
		time.Sleep(time.Minute)
		l.check(t, "handled", "a", "b")
		h.deliver(one, other, bodyOf(happening{ID: "2", Type: "b"}))
		time.Sleep(time.Minute)
		l.check(t, "after a while")
		if states := h.states(); states[enlace.DeliveryDone] != 3 {
			t.Errorf("%v, want 3 done", states)
		}
		repeated := 0
		for _, o := range observedAs[enlace.DeliveriesDone](h.host) {
			repeated += o.Repeated
		}
		if repeated != 3 {
			t.Errorf("%d events were observed as repeated, want 3", repeated)
		}
		if d := h.deliveries()[0]; !slices.Equal(d.Types, []string{"b"}) {
			t.Errorf("the types of the last delivery are %q", d.Types)
		}
	})
}

// Events that nothing tells from each other are handled as often as they come.
func TestEqualHintsAreNotDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		h := newHookHost(t, hooks{verifier: enlace.TokenVerifier{Header: "X-Token"}}, processors(enlace.Processor{HandleTx: l.handler("")}))
		stop := h.run()
		defer stop()
		for range 3 {
			r := h.signedRequest(`[{"type":"changed"}]`)
			r.Header.Set("X-Token", hookSecret)
			if w := h.serve(r); w.Code != http.StatusOK {
				t.Fatal(w.Code)
			}
			time.Sleep(time.Minute)
		}
		l.check(t, "handled", "changed", "changed", "changed")
	})
}

func TestProcessorsAndTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, joins := range []bool{true, false} {
			var l ledger
			other := enlace.Ref{Tenant: "acme", ID: "other"}
			h := newHookHost(t, hooks{}, processors(
				enlace.Processor{AfterSink: true, Handle: l.handler("after, outside: ")},
				enlace.Processor{AfterSink: true, HandleTx: l.handler("after: ")},
				enlace.Processor{HandleTx: l.handler("before: ")},
				enlace.Processor{Handle: l.handler("before, outside: ")},
				enlace.Processor{Types: []string{"deal.*"}, HandleTx: l.handler("by type: ")},
				enlace.Processor{Types: []string{"deal"}, HandleTx: l.handler("by another type: ")},
				enlace.Processor{Provider: "hooks", Types: []string{"deal.won"}, HandleTx: l.handler("by provider: ")},
				enlace.Processor{Provider: "other", HandleTx: l.handler("by another provider: ")},
				enlace.Processor{Integration: other, HandleTx: l.handler("by another integration: ")},
				enlace.Processor{Filter: func(e enlace.ReceivedEvent) bool { return e.Record.ID == "8" }, HandleTx: l.handler("filtered: ")},
			), func(c *enlace.Config) { c.Sink = sink{ledger: &l, joins: joins} })
			h.deliver(bodyOf(happening{Type: "deal.won", Record: "7", Data: json.RawMessage(`{"id":7}`)}))
			stop := h.run()
			time.Sleep(time.Minute)
			stop()
			want := []string{"before, outside: deal.won", "before: deal.won", "by type: deal.won", "by provider: deal.won", "deals 7", "after: deal.won", "after, outside: deal.won"}
			if !joins { // the sink commits by itself, so it comes before the transaction
				want = []string{"before, outside: deal.won", "deals 7", "before: deal.won", "by type: deal.won", "by provider: deal.won", "after: deal.won", "after, outside: deal.won"}
			}
			l.check(t, fmt.Sprint("joined ", joins), want...)
		}
	})
}

// What a handler writes in the transaction is there exactly if the delivery is done, and
// a failure holds up its own record only.
func TestFailuresAreTriedAgainInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		var broken atomic.Bool
		broken.Store(true)
		var h *hookHost
		h = newHookHost(t, hooks{}, processors(enlace.Processor{HandleTx: func(ctx context.Context, e enlace.ReceivedEvent) error {
			lease := enlace.LeaseName{Name: "effect of " + e.Type}
			if _, err := h.store.AcquireLease(ctx, lease, "owner", time.Hour); err != nil {
				return err
			}
			if e.Record.ID == "1" && broken.Load() {
				if e.Type == "a2" {
					panic("in the handler")
				}
				return errors.New("refused: secret-of-the-host=abcdef")
			}
			l.add("%s", e.Type)
			return nil
		}}))
		h.deliver(bodyOf(happening{Type: "a1", Record: "1"}), bodyOf(happening{Type: "b1", Record: "2"}), bodyOf(happening{Type: "a2", Record: "1"}),
			bodyOf(happening{Type: "ab", Record: "1"}, happening{Type: "b2", Record: "2"}), bodyOf(happening{Type: "c", Record: "3"}))
		stop := h.run()
		defer stop()
		time.Sleep(time.Second)
		if got := l.take(); !slices.Equal(lastOf(got, 2), []string{"b1", "c"}) {
			t.Errorf("%q, want b1 and c at the end", got)
		}
		if _, err := h.store.AcquireLease(t.Context(), enlace.LeaseName{Name: "effect of a1"}, "other", time.Hour); err != nil {
			t.Errorf("the effect of a handler that failed is there: %v", err)
		}
		if _, err := h.store.AcquireLease(t.Context(), enlace.LeaseName{Name: "effect of b1"}, "other", time.Hour); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("the effect of a handler that succeeded is not there: %v", err)
		}
		_ = h.store.ReleaseLease(t.Context(), must(h.store.AcquireLease(t.Context(), enlace.LeaseName{Name: "effect of a1"}, "other", time.Nanosecond))(t))
		h.deliver(bodyOf(happening{Type: "a4", Record: "1"}))
		time.Sleep(5 * time.Minute)
		l.take()
		broken.Store(false)
		time.Sleep(10 * time.Minute)
		l.check(t, "in order", "a1", "a2", "ab", "b2", "a4")
		if states := h.states(); states[enlace.DeliveryDone] != 6 {
			t.Errorf("%v, want 6 done", states)
		}
		failed := observedAs[enlace.DeliveryAttemptFailed](h.host)
		if len(failed) < 3 || failed[0].Kind != "handler" || failed[0].Attempt != 1 || failed[0].Dead {
			t.Errorf("observed failures: %+v", failed)
		}
	})
}

func lastOf(all []string, n int) []string { return all[max(0, len(all)-n):] }

func TestDeliveriesDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.MaxAttempts = 4 }, processors(enlace.Processor{Handle: func(context.Context, enlace.ReceivedEvent) error {
			tries.Add(1)
			return errors.New("never")
		}}))
		h.deliver(bodyOf(happening{Type: "a", Record: "1"}), "not JSON", bodyOf(happening{Type: "panic"}))
		stop := h.run()
		defer stop()
		time.Sleep(24 * time.Hour)
		if n := tries.Load(); n != 4 {
			t.Errorf("%d tries, want 4", n)
		}
		groups := must(h.store.DeadDeliveries(t.Context(), "acme", ""))(t)
		kinds := map[string]int{}
		for _, g := range groups {
			kinds[g.Kind] = g.Count
		}
		if !maps.Equal(kinds, map[string]int{"handler": 1, "protocol": 2}) {
			t.Errorf("dead letters by kind: %v", kinds)
		}
	})
}

// A ping has nothing to tell and is no failure.
func TestEmptyDeliveryIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHookHost(t, hooks{})
		h.deliver("", "", "[]")
		stop := h.run()
		defer stop()
		time.Sleep(time.Minute)
		if states := h.states(); states[enlace.DeliveryDone] != 3 {
			t.Errorf("%v, want 3 done", states)
		}
	})
}

// Hints are followed to the record: each record is read once for all deliveries that
// tell of it, and neither its content nor its end is taken from a delivery that proves
// nothing.
func TestHintsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l, asked ledger
		adapter := hooks{verifier: enlace.TokenVerifier{Header: "X-Token"}, fetch: func(_ context.Context, _ *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
			asked.add("%s", strings.Join(ids, ","))
			var records []enlace.Record
			for _, id := range ids {
				records = append(records, enlace.Record{Entity: entity, ID: id, Deleted: id == "3", Data: dataUnless(id == "3", `{"true":1}`)})
			}
			return records, nil
		}}
		var handled []string
		h := newHookHost(t, adapter, func(c *enlace.Config) { c.Sink = sink{ledger: &l, joins: true} }, processors(enlace.Processor{HandleTx: func(_ context.Context, e enlace.ReceivedEvent) error {
			handled = append(handled, fmt.Sprintf("%s %s %v %v", e.Record.ID, e.Record.Data, e.Record.Deleted, e.Signed))
			return nil
		}}))
		for _, body := range []string{
			bodyOf(happening{Type: "changed", Record: "1", Data: json.RawMessage(`{"forged":1}`)}),
			bodyOf(happening{Type: "deleted", Record: "2", Deleted: true}),
			bodyOf(happening{Type: "changed", Record: "1"}, happening{Type: "changed", Record: "3"}),
			bodyOf(happening{Type: "nothing"}),
		} {
			r := h.signedRequest(body)
			r.Header.Set("X-Token", hookSecret)
			if w := h.serve(r); w.Code != http.StatusOK {
				t.Fatal(w.Code)
			}
		}
		stop := h.run()
		defer stop()
		time.Sleep(time.Minute)
		asked.check(t, "asked for", "1,2,3")
		l.check(t, "given", "deals 1,2,-3")
		want := []string{`1 {"true":1} false false`, `2 {"true":1} false false`, `1 {"true":1} false false`, `3  true false`, `  false false`}
		if !slices.Equal(handled, want) {
			t.Errorf("handled %q, want %q", handled, want)
		}
	})
}

func dataUnless(gone bool, data string) json.RawMessage {
	if gone {
		return nil
	}
	return json.RawMessage(data)
}

// A provider that cannot be asked does not cost an event, and is not asked all the time.
func TestOutageOfTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		var down atomic.Bool
		var asked atomic.Int64
		down.Store(true)
		adapter := hooks{fetch: func(_ context.Context, _ *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
			if asked.Add(1); down.Load() {
				return nil, &enlace.Error{Kind: enlace.ErrUnavailable}
			}
			var records []enlace.Record
			for _, id := range ids {
				records = append(records, enlace.Record{Entity: entity, ID: id, Data: json.RawMessage("{}")})
			}
			return records, nil
		}}
		h := newHookHost(t, adapter, func(c *enlace.Config) { c.Sink = sink{ledger: &l} })
		for i := range 200 {
			h.deliver(bodyOf(happening{Type: "changed", Record: fmt.Sprint(i)}))
		}
		stop := h.run()
		defer stop()
		time.Sleep(time.Minute)
		if n := asked.Load(); n < 4 || n > 20 {
			t.Errorf("it was asked %d times in the first minute", n)
		}
		down.Store(false)
		time.Sleep(2 * time.Hour)
		seen := map[string]bool{}
		for _, line := range l.take() {
			for _, id := range strings.Split(strings.TrimPrefix(line, "deals "), ",") {
				seen[id] = true
			}
		}
		if states := h.states(); states[enlace.DeliveryDone] != 200 || len(seen) != 200 {
			t.Errorf("%v, and %d records are given", states, len(seen))
		}
	})
}

// One record that the sink refuses does not hold up the others.
func TestSinkRefusesOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, joins := range []bool{true, false} {
			var l ledger
			refuse := func(b enlace.Batch) error {
				if slices.ContainsFunc(b.Records, func(r enlace.Record) bool { return r.ID == "2" }) {
					return errors.New("not this one")
				}
				return nil
			}
			h := newHookHost(t, hooks{}, func(c *enlace.Config) {
				c.Webhooks.Sink, c.Webhooks.MaxAttempts = sink{ledger: &l, joins: joins, fail: refuse}, 2
			})
			for _, id := range []string{"1", "2", "3"} {
				h.deliver(bodyOf(happening{Type: "t", Record: id, Data: json.RawMessage("{}")}))
			}
			stop := h.run()
			time.Sleep(time.Hour)
			stop()
			l.check(t, "given", "deals 1", "deals 3")
			dead := must(h.store.DeadDeliveries(t.Context(), "acme", h.in.ID))(t)
			if len(dead) != 1 || dead[0].Kind != "sink" || dead[0].Count != 1 {
				t.Errorf("dead letters: %+v", dead)
			}
		}
	})
}

// An integration with much to do does not keep another one waiting.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.Workers, c.Webhooks.PerSecond = 1, -1 }, processors(enlace.Processor{Handle: func(_ context.Context, e enlace.ReceivedEvent) error {
			time.Sleep(10 * time.Millisecond)
			l.add("%s", e.Type)
			return nil
		}}))
		for i := range 2000 {
			h.deliver(bodyOf(happening{ID: fmt.Sprint(i), Type: "busy"}))
		}
		busy := h.in
		cred := apiKey("key")
		cred.WebhookSecrets = []enlace.Secret{enlace.NewSecret(hookSecret)}
		h.in = h.create(cred, func(n *enlace.NewIntegration) { n.Provider = "hooks" })
		h.deliver(bodyOf(happening{ID: "quiet", Type: "quiet"}))
		stop := h.run()
		defer stop()
		time.Sleep(30 * time.Second)
		seen := l.take()
		if at := slices.Index(seen, "quiet"); at < 0 || at > 600 {
			t.Errorf("the quiet integration's turn is after %d events of the busy one", at)
		}
		if len(seen) != 2001 {
			t.Errorf("%d events are handled, of 2001; %v", len(seen), busy.ID)
		}
	})
}

// A process that dies with deliveries leaves them to the next one, when its lease has
// ended; one that is alive but overtaken changes nothing.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		hang := make(chan struct{})
		h := newHookHost(t, hooks{}, processors(enlace.Processor{Handle: func(_ context.Context, e enlace.ReceivedEvent) error {
			l.add("begun")
			<-hang
			return nil
		}}, enlace.Processor{HandleTx: l.handler("")}))
		h.deliver(bodyOf(happening{Type: "a"}))
		cut := &deafStore{Store: h.store}
		first := h.config
		first.Store = cut
		stopped := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_ = must(enlace.New(first))(t).Run(ctx)
			close(stopped)
		}()
		time.Sleep(time.Second)
		cut.deaf.Store(true) // it renews nothing any more, as if it were dead
		l.check(t, "the first process", "begun")
		h.config.Webhooks.Processors = []enlace.Processor{{HandleTx: l.handler("second: ")}}
		h.Service = h.restart()
		stop := h.run()
		time.Sleep(20 * time.Second)
		l.check(t, "while the lease lasts")
		time.Sleep(time.Minute)
		l.check(t, "after the lease", "second: a")
		cut.deaf.Store(false)
		close(hang)
		time.Sleep(time.Minute)
		l.check(t, "the first process goes on")
		d := h.deliveries()[0]
		if d.State != enlace.DeliveryDone || d.Attempts != 1 {
			t.Errorf("the delivery is %s after %d interrupted attempts", d.State, d.Attempts)
		}
		cancel()
		stop()
		<-stopped
	})
}

// deafStore cannot renew leases while it is deaf.
type deafStore struct {
	*memory.Store
	deaf atomic.Bool
}

func (s *deafStore) RenewLease(ctx context.Context, lease enlace.Lease, ttl time.Duration) (enlace.Lease, error) {
	if s.deaf.Load() {
		return enlace.Lease{}, errors.New("no answer")
	}
	return s.Store.RenewLease(ctx, lease, ttl)
}

// What kills the process each time is given up in the end, alone.
func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.MaxAttempts = 3 }, processors(enlace.Processor{HandleTx: l.handler("")}))
		for i := range 5 {
			h.deliver(bodyOf(happening{ID: fmt.Sprint(i), Type: fmt.Sprint(i)}))
		}
		list := h.deliveries()
		slices.Reverse(list)
		kill := func(ids ...string) { // as a process does that dies with them
			if err := h.store.ClaimDeliveries(t.Context(), "acme", ids); err != nil {
				t.Fatal(err)
			}
		}
		kill(list[0].ID, list[1].ID)
		for range 2 {
			d := must(h.store.Delivery(t.Context(), "acme", list[0].ID))(t)
			d.Attempts++
			if err := h.store.UpdateDelivery(t.Context(), d, enlace.DeliveryProcessing); err != nil {
				t.Fatal(err)
			}
		}
		stop := h.run()
		defer stop()
		time.Sleep(time.Minute)
		l.check(t, "handled", "1", "2", "3", "4")
		if d := must(h.store.Delivery(t.Context(), "acme", list[0].ID))(t); d.State != enlace.DeliveryDead || d.Kind != "interrupted" {
			t.Errorf("the poison is %s (%s)", d.State, d.Kind)
		}
	})
}

// A process that is told to stop gives back what it has claimed.
func TestStopGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		h := newHookHost(t, hooks{}, processors(enlace.Processor{Handle: func(ctx context.Context, e enlace.ReceivedEvent) error {
			l.add("begun")
			<-ctx.Done()
			return ctx.Err()
		}}))
		h.deliver(bodyOf(happening{Type: "a"}), bodyOf(happening{Type: "b"}))
		stop := h.run()
		time.Sleep(time.Second)
		stop()
		l.check(t, "handled", "begun")
		for _, d := range h.deliveries() {
			if d.State != enlace.DeliveryReceived || d.Attempts != 0 {
				t.Errorf("a delivery is %s after %d attempts", d.State, d.Attempts)
			}
		}
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.Retention = 24 * time.Hour })
		h.deliver(bodyOf(happening{ID: "1", Type: "a"}), "junk")
		stop := h.run()
		time.Sleep(time.Hour)
		if n := len(h.deliveries()); n != 2 {
			t.Errorf("%d deliveries", n)
		}
		time.Sleep(25 * time.Hour)
		stop()
		if n := len(h.deliveries()); n != 0 {
			t.Errorf("%d deliveries after the retention", n)
		}
	})
}

// What an event has brought to the sink is no change to the next pull.
func TestPullAfterEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, joins := range []bool{true, false} {
			var l ledger
			h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Sink = sink{ledger: &l, joins: joins} })
			h.provider.add("deals", 2)
			must(h.Sync(t.Context(), h.in.Ref, enlace.SyncOptions{}))(t)
			l.check(t, "the first pull", "deals 1,2")
			h.provider.add("deals", 2)
			h.deliver(bodyOf(happening{Type: "created", Record: "3", Data: h.provider.records["deals"][2]}))
			stop := h.run()
			time.Sleep(time.Minute)
			stop()
			l.check(t, "the event", "deals 3")
			result := must(h.Sync(t.Context(), h.in.Ref, enlace.SyncOptions{}))(t)
			l.check(t, "the next pull", "deals 4")
			if r := result.Entities["deals"]; r.Unchanged != 1 || r.Created != 1 || r.Updated != 0 {
				t.Errorf("the next pull: %+v", r)
			}
		}
	})
}
