package enlace_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

// calling is a store in memory through which services call each other.
type calling struct {
	*memory.Store
	mu     sync.Mutex
	hear   []func(string)
	texts  []string
	unable bool
}

func (c *calling) Notify(_ context.Context, text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, text)
	for _, heard := range c.hear {
		heard(text)
	}
	return nil
}

func (c *calling) Listen(ctx context.Context, heard func(string)) error {
	if c.unable {
		return enlace.ErrUnsupported
	}
	heard("")
	c.mu.Lock()
	c.hear = append(c.hear, heard)
	c.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// watched is what a service's watcher was told by others.
type watched struct {
	mu      sync.Mutex
	signals []enlace.Signal
	missed  int
}

func (w *watched) observe(_ context.Context, o enlace.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch o := o.(type) {
	case enlace.Signal:
		w.signals = append(w.signals, o)
	case enlace.SignalsMissed:
		w.missed++
	}
}

func (w *watched) take() (signals []enlace.Signal, missed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	signals, missed = w.signals, w.missed
	w.signals, w.missed = nil, 0
	return signals, missed
}

// pair is two services in Run on one store.
func pair(t *testing.T, store *calling) (one, two *enlace.Service) {
	t.Helper()
	cfg := enlace.Config{Registry: enlace.NewRegistry(fake.New(fake.Options{}).Adapter()), Store: store, Keys: newKeys(t), HealthInterval: -1, Workers: -1}
	var services [2]*enlace.Service
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range services {
		var err error
		if services[i], err = enlace.New(cfg); err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = services[i].Run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	time.Sleep(time.Second)
	return services[0], services[1]
}

func TestWatchersHearOfOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &calling{Store: memory.New()}
		one, two := pair(t, store)
		var here, there watched
		defer one.Watch(here.observe)()
		defer two.Watch(there.observe)()
		in, err := one.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: fake.Name})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		signals, missed := there.take()
		if !slices.Contains(signals, enlace.Signal{Ref: in.Ref, Topic: "integrations", Action: "create"}) ||
			!slices.Contains(signals, enlace.Signal{Ref: in.Ref, Topic: "audit", Action: "integration.create"}) || missed > 0 {
			t.Errorf("the other process heard %+v, missed %d", signals, missed)
		}
		if signals, missed := here.take(); len(signals)+missed > 0 {
			t.Errorf("heard of itself: %+v, %d", signals, missed)
		}
		// What happens again and again is told a few times a second, and too much as that.
		store.mu.Lock()
		store.texts = nil
		store.mu.Unlock()
		for i := range 500 {
			ref := in.Ref
			if i >= 200 {
				ref.ID = ""
			}
			target := enlace.FlagTarget{Tenant: ref.Tenant, Integration: ref.ID, Entity: string(rune('a' + i%20))}
			if err := one.SetFlag(t.Context(), enlace.FlagAnalytics, target, true, ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		for i := range 300 {
			if _, err := one.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: fake.Name}); err != nil {
				t.Fatal(i, err)
			}
		}
		time.Sleep(time.Second)
		store.mu.Lock()
		defer store.mu.Unlock()
		if n := len(store.texts); n > 14 {
			t.Errorf("%d texts in 6 seconds", n)
		}
		for _, text := range store.texts {
			if len(text) > 7900 {
				t.Errorf("a text of %d bytes", len(text))
			}
		}
		if _, missed := there.take(); missed == 0 || missed > 3 {
			t.Errorf("told %d times that it was too much, want once or so", missed)
		}
	})
}

func TestFlagsHoldElsewhereAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := pair(t, &calling{Store: memory.New()})
		on := func() bool { return two.FlagEnabled(t.Context(), enlace.FlagAnalytics, enlace.Ref{}, "") }
		time.Sleep(800 * time.Millisecond)
		if !on() { // it has read the rules just now, which do for a second
			t.Fatal("off")
		}
		if err := one.SetFlag(t.Context(), enlace.FlagAnalytics, enlace.FlagTarget{}, false, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond)
		if on() {
			t.Error("still on")
		}
	})
}

func TestProcessesThatCannotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &calling{Store: memory.New(), unable: true}
		one, two := pair(t, store)
		var there watched
		defer two.Watch(there.observe)()
		if _, err := one.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: fake.Name}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if signals, missed := there.take(); len(signals)+missed > 0 {
			t.Errorf("%+v, %d", signals, missed)
		}
		store.mu.Lock()
		defer store.mu.Unlock()
		if len(store.texts) == 0 {
			t.Error("told nobody")
		}
	})
}
