package enlace_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// A dead delivery is looked at, edited, replayed, and leaves its trace in the audit log.
func TestRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		h := newHookHost(t, hooks{}, processors(enlace.Processor{HandleTx: l.handler("")}))
		h.deliver(`{"token":"tok-12345678","note":"` + hookSecret + `"}`)
		stop := h.run()
		defer stop()
		time.Sleep(time.Second)
		list, _, err := h.Deliveries(t.Context(), enlace.DeliveryQuery{Tenant: "acme", State: enlace.DeliveryDead})
		if err != nil || len(list) != 1 || list[0].Kind != "protocol" {
			t.Fatalf("%+v, %v", list, err)
		}
		id := list[0].ID
		seen := must(h.InspectDelivery(t.Context(), "acme", id))(t)
		text, _ := json.Marshal(seen)
		if bytes.Contains(text, []byte("tok-12345678")) || bytes.Contains(text, []byte(hookSecret)) || !strings.Contains(seen.Body, "note") ||
			seen.Unreadable == "" || seen.Method != "POST" || seen.Header.Get("Content-Type") != "application/json" {
			t.Errorf("inspected: %s", text)
		}
		ctx := enlace.WithActor(t.Context(), enlace.Actor{ID: "ana"})
		edited := must(h.EditDelivery(ctx, "acme", id, func(body []byte) ([]byte, error) {
			if !bytes.Contains(body, []byte(hookSecret)) {
				t.Errorf("the body to edit is %s", body)
			}
			return []byte(bodyOf(happening{ID: "1", Type: "repaired"})), nil
		}))(t)
		if !edited.Edited || edited.State != enlace.DeliveryDead {
			t.Errorf("edited: %+v", edited)
		}
		for i := range 2 {
			if n := must(h.ReplayDeliveries(ctx, enlace.Replay{Tenant: "acme", IDs: []string{id}}))(t); n != 1 {
				t.Errorf("%d are replayed", n)
			}
			time.Sleep(time.Minute)
			l.check(t, fmt.Sprint("replay ", i+1), "repaired")
		}
		d := must(h.InspectDelivery(t.Context(), "acme", id))(t)
		if d.State != enlace.DeliveryDone || d.Replays != 2 || len(d.Events) != 1 {
			t.Errorf("in the end: %+v", d)
		}
		entries, _, err := h.store.AuditEntries(t.Context(), enlace.AuditQuery{Tenant: "acme", Action: "delivery."})
		var actions []string
		for _, e := range entries {
			actions = append(actions, e.Action)
		}
		if want := "[delivery.view delivery.replay delivery.replay delivery.edit delivery.view]"; err != nil || fmt.Sprint(actions) != want ||
			entries[1].Actor.ID != "ana" || entries[1].Target != id {
			t.Errorf("audit: %+v, %v", entries, err)
		}
		if n := len(observedAs[enlace.DeliveryChanged](h.host)); n != 3 {
			t.Errorf("%d changes are observed", n)
		}
	})
}

func TestRepairRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.MaxBody = 100 })
		h.deliver("[]")
		id := h.deliveries()[0].ID
		same := func(b []byte) ([]byte, error) { return b, nil }
		failed := errors.New("failed")
		for name, test := range map[string]struct {
			do   func() error
			want error
		}{
			"inspect another tenant's": {func() error { _, err := h.InspectDelivery(t.Context(), "globex", id); return err }, enlace.ErrNotFound},
			"edit another tenant's":    {func() error { _, err := h.EditDelivery(t.Context(), "globex", id, same); return err }, enlace.ErrNotFound},
			"edit that fails": {func() error {
				_, err := h.EditDelivery(t.Context(), "acme", id, func([]byte) ([]byte, error) { return nil, failed })
				return err
			}, failed},
			"edit beyond the limit": {func() error {
				_, err := h.EditDelivery(t.Context(), "acme", id, func([]byte) ([]byte, error) { return make([]byte, 101), nil })
				return err
			}, enlace.ErrInvalid},
			"replay nothing in particular": {func() error {
				_, err := h.ReplayDeliveries(t.Context(), enlace.Replay{Tenant: "acme"})
				return err
			}, enlace.ErrInvalid},
			"replay none": {func() error {
				_, err := h.ReplayDeliveries(t.Context(), enlace.Replay{Tenant: "acme", IDs: []string{"none"}})
				return err
			}, enlace.ErrNotFound},
		} {
			if err := test.do(); !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
		}
		if n := must(h.ReplayDeliveries(t.Context(), enlace.Replay{Tenant: "acme", IDs: []string{id}}))(t); n != 0 {
			t.Error("one that is to be done anyway is replayed")
		}
		if err := h.store.ClaimDeliveries(t.Context(), "acme", []string{id}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.EditDelivery(t.Context(), "acme", id, same); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("edit of one at work: %v", err)
		}
		if _, err := h.DiscardDelivery(t.Context(), "acme", id); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("discard of one at work: %v", err)
		}
		h.deliver("[1]")
		if d := must(h.DiscardDelivery(t.Context(), "acme", h.deliveries()[0].ID))(t); d.State != enlace.DeliveryDead || d.Kind != "discarded" {
			t.Errorf("discarded: %+v", d)
		}
	})
}

// Many are replayed in the order in which they came, and no faster than asked for.
func TestReplayMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var types []string
		var at []time.Time
		broken := true
		h := newHookHost(t, hooks{}, func(c *enlace.Config) { c.Webhooks.MaxAttempts = 1 }, processors(enlace.Processor{HandleTx: func(_ context.Context, e enlace.ReceivedEvent) error {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return errors.New("broken")
			}
			types, at = append(types, e.Type), append(at, time.Now())
			return nil
		}}))
		var want []string
		for i := range 30 {
			h.deliver(bodyOf(happening{ID: fmt.Sprint(i), Type: fmt.Sprintf("%02d", i), Record: "1"}))
			want = append(want, fmt.Sprintf("%02d", i))
		}
		stop := h.run()
		defer stop()
		time.Sleep(time.Minute)
		mu.Lock()
		broken = false
		mu.Unlock()
		groups := must(h.DeadDeliveries(t.Context(), "acme", ""))(t)
		if len(groups) != 1 || groups[0].Count != 30 || groups[0].Kind != "handler" {
			t.Fatalf("dead: %+v", groups)
		}
		if n := must(h.ReplayDeliveries(t.Context(), enlace.Replay{Tenant: "acme", State: enlace.DeliveryDead, Kind: "handler", PerSecond: 0.5}))(t); n != 30 {
			t.Errorf("%d are replayed", n)
		}
		time.Sleep(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(types, want) {
			t.Errorf("replayed %q", types)
		}
		if took := at[len(at)-1].Sub(at[0]); took < 57*time.Second {
			t.Errorf("30 at one in two seconds took %v", took)
		}
	})
}

// registering is an adapter whose provider is told where to deliver.
type registering struct {
	hooks
	calls *ledger
	fail  func(call string) error
	given *[]enlace.Secret
}

func (a registering) EnsureWebhook(_ context.Context, _ *enlace.Conn, target string, secret enlace.Secret) error {
	a.calls.add("ensure %s", target)
	*a.given = append(*a.given, secret)
	return a.fail("ensure")
}

func (a registering) RemoveWebhook(_ context.Context, _ *enlace.Conn, target string) error {
	a.calls.add("remove %s", target)
	return a.fail("remove")
}

func TestEnsureWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls ledger
		var given []enlace.Secret
		var broken error
		adapter := registering{hooks: hooks{verifier: enlace.TokenVerifier{Header: "X-Token"}}, calls: &calls, given: &given, fail: func(string) error { return broken }}
		h := newHookHost(t, adapter, func(c *enlace.Config) { c.Webhooks.PublicURL = "https://host.example/integrations/" })
		target := "https://host.example/integrations/" + h.in.ID + "/webhook"
		ensure := func(o enlace.WebhookOptions) error { return h.EnsureWebhook(t.Context(), h.in.Ref, o) }
		send := func(secret enlace.Secret) int {
			r := httptest.NewRequest("POST", "/"+h.in.ID+"/webhook", strings.NewReader("[]"))
			r.Header.Set("X-Token", secret.Reveal())
			return h.serve(r).Code
		}
		broken = &enlace.Error{Kind: enlace.ErrUnavailable}
		if err := ensure(enlace.WebhookOptions{}); !errors.Is(err, enlace.ErrUnavailable) {
			t.Errorf("while the provider is down: %v", err)
		}
		broken = nil
		for range 2 {
			if err := ensure(enlace.WebhookOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		calls.check(t, "calls", "ensure "+target, "ensure "+target)
		first := given[0]
		if !first.Equal(given[1]) || len(first.Reveal()) < 32 {
			t.Error("the secret is short, or another one when it is tried again")
		}
		if code := send(first); code != http.StatusOK {
			t.Errorf("a delivery with the secret: %d", code)
		}
		broken = &enlace.Error{Kind: enlace.ErrUnavailable}
		if err := ensure(enlace.WebhookOptions{Rotate: true, Overlap: time.Hour}); !errors.Is(err, enlace.ErrUnavailable) {
			t.Errorf("rotation while the provider is down: %v", err)
		}
		time.Sleep(48 * time.Hour)
		if code := send(first); code != http.StatusOK {
			t.Errorf("the secret that the provider still has: %d", code)
		}
		broken = nil
		if err := ensure(enlace.WebhookOptions{Overlap: time.Hour}); err != nil {
			t.Fatal(err)
		}
		second := given[len(given)-1]
		if first.Equal(second) {
			t.Error("the rotation that was begun is not brought to its end")
		}
		if a, b := send(first), send(second); a != 200 || b != 200 {
			t.Errorf("during the overlap: %d for the older, %d for the newer", a, b)
		}
		time.Sleep(2 * time.Hour)
		if a, b := send(first), send(second); a != 401 || b != 200 {
			t.Errorf("after the overlap: %d for the older, %d for the newer", a, b)
		}
		calls.take()
		if err := ensure(enlace.WebhookOptions{Secret: enlace.NewSecret("the provider's own, of its making")}); err != nil {
			t.Fatal(err)
		}
		if err := h.RemoveWebhook(t.Context(), h.in.Ref); err != nil {
			t.Fatal(err)
		}
		calls.check(t, "calls", "ensure "+target, "remove "+target)
		if code := send(second); code != 401 {
			t.Errorf("after the removal: %d", code)
		}
		var actions []string
		for _, o := range observedAs[enlace.WebhookChanged](h.host) {
			actions = append(actions, o.Action)
		}
		if !slices.Equal(actions, []string{"ensure", "ensure", "rotate", "remove"}) {
			t.Errorf("observed %q", actions)
		}
	})
}

func TestEnsureWebhookRefusals(t *testing.T) {
	h := newHookHost(t, hooks{})
	if err := h.EnsureWebhook(t.Context(), h.in.Ref, enlace.WebhookOptions{}); !errors.Is(err, enlace.ErrUnsupported) {
		t.Errorf("an adapter that cannot: %v", err)
	}
	if _, err := h.WebhookTarget(h.in.Ref); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("without a public address: %v", err)
	}
}

func TestWebhookEndpoints(t *testing.T) {
	h := newHookHost(t, hooks{})
	token := must(h.AddWebhookEndpoint(t.Context(), h.in.Ref))(t)
	send := func() int {
		r := h.signedRequest("[]")
		r.URL.Path = "/x/" + token.Reveal() + "/webhook"
		return h.serve(r).Code
	}
	if code := send(); code != 200 {
		t.Errorf("by the token: %d", code)
	}
	if err := h.RemoveWebhookEndpoint(t.Context(), h.in.Ref, token); err != nil {
		t.Fatal(err)
	}
	if code := send(); code != 404 {
		t.Errorf("by a token that was given up: %d", code)
	}
}

// polling is an adapter whose provider keeps events.
type polling struct {
	hooks
	kept     *[]enlace.Event
	reserved *map[string][]enlace.Event
	die      *bool
}

func (a polling) PollEvents(_ context.Context, _ *enlace.Conn, req enlace.PollRequest) (enlace.EventSet, error) {
	if req.Recover {
		for token, events := range *a.reserved {
			return enlace.EventSet{Token: token, Events: events, More: true}, nil
		}
	}
	n := min(req.Limit, len(*a.kept))
	if n == 0 {
		return enlace.EventSet{}, nil
	}
	set := enlace.EventSet{Token: fmt.Sprint("set ", (*a.kept)[0].ID), Events: (*a.kept)[:n], More: len(*a.kept) > n}
	(*a.reserved)[set.Token] = set.Events
	*a.kept = (*a.kept)[n:]
	return set, nil
}

func (a polling) AckEvents(_ context.Context, _ *enlace.Conn, set enlace.EventSet) error {
	if *a.die {
		return &enlace.Error{Kind: enlace.ErrUnavailable}
	}
	delete(*a.reserved, set.Token)
	return nil
}

// Events that the provider keeps come in once each, also when it does not learn that we
// have them.
func TestDrainEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		var kept []enlace.Event
		for i := range 120 {
			kept = append(kept, enlace.Event{ID: fmt.Sprint(i), Type: fmt.Sprint(i)})
		}
		reserved, die := map[string][]enlace.Event{}, true
		adapter := polling{kept: &kept, reserved: &reserved, die: &die}
		if !enlace.CapabilitiesOf(adapter).Has(enlace.CanPollEvents) {
			t.Error("the capability is not seen")
		}
		h := newHookHost(t, adapter, processors(enlace.Processor{HandleTx: l.handler("")}))
		if _, err := h.DrainEvents(t.Context(), h.in.Ref); !errors.Is(err, enlace.ErrUnavailable) {
			t.Errorf("without an acknowledgment: %v", err)
		}
		stop := h.run()
		defer stop()
		time.Sleep(time.Minute)
		die = false
		if _, err := h.DrainEvents(t.Context(), h.in.Ref); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := l.take(); len(got) != 120 || got[0] != "0" || got[119] != "119" || len(reserved) != 0 {
			t.Errorf("%d events, %d sets are not acknowledged", len(got), len(reserved))
		}
	})
}

// What polling finds changed is compared with what deliveries told.
func TestWebhookGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls ledger
		var given []enlace.Secret
		adapter := gapped{registering: registering{hooks: hooks{}, calls: &calls, given: &given, fail: func(string) error { return nil }}}
		h := newHookHost(t, adapter, func(c *enlace.Config) { c.Webhooks.PublicURL, c.Sink = "https://host.example", &notebook{} })
		if err := h.EnsureWebhook(t.Context(), h.in.Ref, enlace.WebhookOptions{Secret: enlace.NewSecret(hookSecret)}); err != nil {
			t.Fatal(err)
		}
		stop := h.run()
		defer stop()
		time.Sleep(time.Hour)
		h.deliver(bodyOf(happening{ID: "1", Type: "changed", Record: "heard", Data: json.RawMessage("{}")}))
		h.deliver(bodyOf(happening{ID: "2", Type: "changed", Record: "late", Data: json.RawMessage("{}")}))
		time.Sleep(61 * time.Minute)
		must(h.Sync(t.Context(), h.in.Ref, enlace.SyncOptions{}))(t)
		missed := func() []string {
			list, _, err := h.MissedRecords(t.Context(), enlace.MissedQuery{Ref: h.in.Ref})
			if err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for _, r := range list {
				ids = append(ids, r.ID)
			}
			return ids
		}
		if got := missed(); !slices.Equal(got, []string{"fresh", "late", "missed"}) {
			t.Errorf("missed: %q", got)
		}
		gaps := observedAs[enlace.WebhookGap](h.host)
		if len(gaps) != 1 || gaps[0].Records != 2 || !slices.Equal(gaps[0].IDs, []string{"missed", "late"}) {
			t.Errorf("observed: %+v", gaps)
		}
		h.deliver(bodyOf(happening{ID: "3", Type: "changed", Record: "missed", Data: json.RawMessage("{}")}))
		time.Sleep(time.Minute)
		if got := missed(); !slices.Equal(got, []string{"fresh", "late"}) {
			t.Errorf("missed after all: %q", got)
		}
	})
}

// gapped pulls records some of which no delivery has told of.
type gapped struct{ registering }

func (gapped) Pull(context.Context, *enlace.Conn, enlace.PullRequest) (enlace.Page, error) {
	now := time.Now()
	page := enlace.Page{Done: true}
	for _, r := range []struct {
		id  string
		age time.Duration
	}{{"heard", 61 * time.Minute}, {"missed", 30 * time.Minute}, {"late", -30 * time.Second}, {"fresh", time.Minute}, {"before", 3 * time.Hour}, {"future", -time.Hour}} {
		page.Records = append(page.Records, enlace.Record{Entity: "deals", ID: r.id, Data: json.RawMessage("{}"), Modified: now.Add(-r.age)})
	}
	// The record was heard of an hour before it changed once more.
	page.Records[2].Modified = now.Add(-10 * time.Minute)
	return page, nil
}
