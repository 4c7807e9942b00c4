package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// TestShared runs the checks for a store that can be opened twice over the same
// data. open returns two handles over one empty store, as two processes would
// have them, and has them closed by t.Cleanup. The checks let leases run out in
// real time: make them as short as the store allows without being outrun by a
// busy machine, such as 300 ms.
func TestShared(t *testing.T, open func(t *testing.T) (a, b enlace.Store)) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, a, b enlace.Store)
	}{
		{"SameData", sharedData},
		{"OneAtATime", func(t *testing.T, a, b enlace.Store) { credentialCounter(t, a, b) }},
		{"OneWriterPerVersion", func(t *testing.T, a, b enlace.Store) { checkpointRace(t, a, b, 100) }},
		{"OneLeaseHolder", func(t *testing.T, a, b enlace.Store) { leaseRace(t, a, b) }},
		{"FnContextEndsBeforeLease", sharedFnContext},
		{"LostLease", sharedLostLease},
		{"Interrupted", sharedInterrupted},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			c.run(t, a, b)
		})
	}
}

func sharedData(t *testing.T, a, b enlace.Store) {
	const rule = "what one handle has stored, the other sees at once"
	in := fill(t, a, "acme", "one")
	intact(t, rule, b, in, 1)
	in.Name = "renamed"
	noError(t, rule, b.UpdateIntegration(t.Context(), in))
	wantError(t, "versions count for all handles", a.UpdateIntegration(t.Context(), in), enlace.ErrConflict)
	noError(t, rule, b.DeleteCredential(t.Context(), account))
	holds(t, rule, a, account, "")
}

func sharedFnContext(t *testing.T, a, b enlace.Store) {
	const rule = "fn's context ends before the lease does"
	began := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		<-began
		err := update(t.Context(), b, account, func(cur string, interrupted bool) string {
			equal(t, rule+": what fn returns in time is stored, and the waiter sees it", cur, "in time")
			equal(t, rule+": nobody is taken for dead who is in time", interrupted, false)
			return ""
		})
		if err != nil {
			t.Errorf("every waiter gets its turn: %v", err)
		}
	})
	noError(t, rule, a.UpdateCredential(t.Context(), account, func(ctx context.Context, _ *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
		close(began)
		<-ctx.Done() // or the test never ends
		return &enlace.Sealed{Data: []byte("in time")}, nil
	}))
	group.Wait()
}

// hang runs a fn on s that is stuck until resume is called. It then returns
// result, and resume what UpdateCredential answered.
func hang(t *testing.T, s enlace.CredentialStore, result string) (resume func() error) {
	began, wake, answer := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		answer <- update(t.Context(), s, account, func(string, bool) string {
			close(began)
			<-wake
			return result
		})
	}()
	<-began
	return func() error {
		close(wake)
		return <-answer
	}
}

func sharedLostLease(t *testing.T, a, b enlace.Store) {
	for _, stored := range []string{"", "old"} {
		if stored != "" {
			noError(t, "UpdateCredential stores a value", put(t.Context(), a, account, stored))
		} else {
			noError(t, "DeleteCredential removes the value", a.DeleteCredential(t.Context(), account))
		}
		resume := hang(t, a, "too late")
		noError(t, "a lease that ran out is taken over", update(t.Context(), b, account, func(cur string, interrupted bool) string {
			equal(t, "who takes over sees the latest committed value", cur, stored)
			equal(t, "who takes over is told that the holder did not come back", interrupted, true)
			return "successor's"
		}))
		wantError(t, "who lost its lease gets ErrConflict", resume(), enlace.ErrConflict)
		holds(t, "the result of a lost lease is not stored", b, account, "successor's")
	}
	late := hang(t, a, "too late")
	noError(t, "a lease that ran out is taken over", update(t.Context(), b, account, func(string, bool) string {
		wantError(t, "who lost its lease gets ErrConflict, also while the successor is inside", late(), enlace.ErrConflict)
		return "final"
	}))
	holds(t, "the result of a lost lease is not stored", a, account, "final")

	late = hang(t, a, "")
	noError(t, "a lease that ran out is taken over", update(t.Context(), b, account, func(string, bool) string {
		noError(t, "who lost its lease and has nothing to store may end in peace", late())
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		_ = update(ctx, a, account, func(string, bool) string {
			t.Error("who lost its lease does not give back its successor's: a second fn began")
			return ""
		})
		return ""
	}))
}

func sharedInterrupted(t *testing.T, a, b enlace.Store) {
	const rule = "interrupted says that a holder died inside fn, until a value is stored"
	noError(t, "UpdateCredential stores a value", put(t.Context(), a, account, "old"))
	resume := hang(t, a, "too late")
	for _, told := range []struct {
		want bool
		next string
	}{{true, ""}, {true, "new"}, {false, ""}} {
		noError(t, rule, update(t.Context(), b, account, func(_ string, interrupted bool) string {
			equal(t, rule, interrupted, told.want)
			return told.next
		}))
	}
	wantError(t, "who lost its lease gets ErrConflict", resume(), enlace.ErrConflict)
	holds(t, "the result of a lost lease is not stored", a, account, "new")
}
