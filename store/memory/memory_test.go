package memory_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
	"github.com/enlace-go/enlace/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Test(t, func(*testing.T) enlace.Store { return memory.New() })
}

// A fn keeps its key until it returns, however long that takes; those who wait
// get the turn then, or give up with their own contexts.
func TestUpdateCredentialWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		key := enlace.CredentialKey{Ref: enlace.Ref{ID: "one"}, Name: "account"}
		begin := time.Now()
		hold := func(ctx context.Context, d time.Duration) error {
			return s.UpdateCredential(ctx, key, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
				time.Sleep(d)
				return nil, nil
			})
		}
		go hold(t.Context(), time.Hour)
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := hold(ctx, 0); err != context.DeadlineExceeded || time.Since(begin) != time.Minute {
			t.Errorf("a waiter with a minute got %v after %v", err, time.Since(begin))
		}
		if err := hold(t.Context(), 0); err != nil || time.Since(begin) != time.Hour {
			t.Errorf("a patient waiter got %v after %v, not its turn after an hour", err, time.Since(begin))
		}
	})
}
