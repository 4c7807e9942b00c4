package enlace_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// heldStore holds up what it has read of integrations until release is closed.
type heldStore struct {
	enlace.Store
	reads   atomic.Int64
	release chan struct{}
}

func (s *heldStore) Integration(ctx context.Context, ref enlace.Ref) (enlace.Integration, error) {
	in, err := s.Store.Integration(ctx, ref)
	if s.release != nil {
		s.reads.Add(1)
		<-s.release
	}
	return in, err
}

// hold is an edit that puts s before the store.
func (s *heldStore) hold(c *enlace.Config) {
	s.Store = c.Store
	c.Store = s
}

// Ten thousand callers of one account look into the store twice: once for the first,
// and once for all who came while that was on its way, since they must see what was changed
// meanwhile.
func TestCallersShareALookIntoTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := &heldStore{}
		h := newHost(t, crm{}, held.hold)
		in := h.create(apiKey("k"))
		held.release = make(chan struct{})
		var all sync.WaitGroup
		for range 10_000 {
			all.Go(func() {
				if _, err := h.Conn(t.Context(), in.Ref); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := held.reads.Load(); n != 1 {
			t.Errorf("%d looks at the same time, want 1", n)
		}
		close(held.release)
		all.Wait()
		if n := held.reads.Load(); n != 2 {
			t.Errorf("%d looks, want 2", n)
		}
	})
}

// Who calls after a change sees it, although an older look is still on its way.
func TestALookIsNotOlderThanItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := &heldStore{}
		h := newHost(t, crm{}, held.hold)
		in := h.create(apiKey("k"))
		held.release = make(chan struct{})
		early := make(chan error, 1)
		go func() {
			_, err := h.Conn(t.Context(), in.Ref)
			early <- err
		}()
		synctest.Wait()
		changed := in
		changed.Enabled = false
		if err := h.store.UpdateIntegration(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
		late := make(chan error, 1)
		go func() {
			_, err := h.Conn(t.Context(), in.Ref)
			late <- err
		}()
		synctest.Wait()
		close(held.release)
		if err := <-late; !errors.Is(err, enlace.ErrDisabled) {
			t.Errorf("a caller after the change got %v, want ErrDisabled", err)
		}
		<-early
	})
}

// A caller may leave, and a store that hangs holds nobody for ever.
func TestALookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		h := newHost(t, crm{}, failing(func(ctx context.Context, op string) error {
			if op == "Integration" && hang.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}))
		in := h.create(apiKey("k"))
		hang.Store(true)
		patient := make(chan error, 1)
		go func() {
			_, err := h.Conn(t.Context(), in.Ref)
			patient <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Conn(ctx, in.Ref); !errors.Is(err, enlace.ErrCanceled) {
			t.Errorf("who leaves gets %v, want ErrCanceled", err)
		}
		if err := <-patient; enlace.KindLabel(err) != "store" {
			t.Errorf("who stays gets %v, want ErrStore", err)
		}
		if err := h.Close(t.Context()); err != nil { // ends the look that nobody waits for any more
			t.Error(err)
		}
	})
}

// In a transaction a caller sees what it has changed, and nobody else does.
func TestALookInATransaction(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"))
	stop := errors.New("stop")
	err := h.store.Transact(t.Context(), func(ctx context.Context) error {
		changed := in
		changed.Enabled = false
		if err := h.store.UpdateIntegration(ctx, changed); err != nil {
			return err
		}
		if _, err := h.Conn(ctx, in.Ref); !errors.Is(err, enlace.ErrDisabled) {
			t.Errorf("inside: %v, want ErrDisabled", err)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if _, err := h.Conn(t.Context(), in.Ref); err != nil {
		t.Error(err)
	}
}
