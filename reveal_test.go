package enlace_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// Handing a credential out is audited before the caller has it: once a minute for
// each actor, however many ask.
func TestRevealsAreAudited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, codeAdapter, withApp)
		in := h.create(valid())
		entries := func() int {
			t.Helper()
			list, _, err := h.store.AuditEntries(t.Context(), enlace.AuditQuery{Tenant: "acme", Action: "credential.reveal"})
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		ask := func(actor string) {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					ctx := enlace.WithActor(t.Context(), enlace.Actor{ID: actor})
					if _, err := h.ValidCredential(ctx, in.Ref); err != nil {
						t.Error(err)
					}
					if entries() == 0 {
						t.Error("a credential was given before its entry was there")
					}
				})
			}
			all.Wait()
		}
		for i, actor := range []string{"ana", "bia", "ana"} {
			ask(actor)
			if got, want := entries(), min(i+1, 2); got != want {
				t.Errorf("%d entries after %s, want %d", got, actor, want)
			}
		}
		time.Sleep(2 * time.Minute)
		ask("ana")
		if got := entries(); got != 3 {
			t.Errorf("%d entries a minute later, want 3", got)
		}
	})
}
