package enlace_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// TestThePastIsForgotten: what has ended goes when its time is over, and no earlier.
func TestThePastIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{}, func(c *enlace.Config) {
			c.HealthInterval, c.Sink, c.RunRetention = -1, &notebook{}, 10*24*time.Hour
		})
		in := h.create(apiKey("k"))
		h.provider.add("contacts", 3)
		if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}}); err != nil {
			t.Fatal(err)
		}
		change := enlace.HealthChange{Ref: in.Ref, Provider: in.Provider, From: enlace.HealthHealthy, To: enlace.HealthError, At: time.Now()}
		if err := h.store.SaveHealth(t.Context(), nil, []enlace.HealthChange{change}); err != nil {
			t.Fatal(err)
		}
		kept := func() (runs, changes int) {
			r := must2(h.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"}))(t)
			c := must2(h.HealthChanges(t.Context(), enlace.HealthChangeQuery{Tenant: "acme"}))(t)
			return len(r), len(c)
		}
		for _, step := range []struct {
			days          int
			runs, changes int
		}{{9, 1, 1}, {2, 0, 1}, {380, 0, 1}, {20, 0, 0}} {
			time.Sleep(time.Duration(step.days) * 24 * time.Hour)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := h.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			if runs, changes := kept(); runs != step.runs || changes != step.changes {
				t.Errorf("%d more days later there are %d runs and %d changes of health, want %d and %d", step.days, runs, changes, step.runs, step.changes)
			}
		}
	})
}
