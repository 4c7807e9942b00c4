package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

// queue lets callers wait one after the other and notes the order in which they pass.
type queue struct {
	gate  *transport.Gate
	mu    sync.Mutex
	order []string
	group sync.WaitGroup
}

func (q *queue) join(ctx context.Context, lane transport.Lane, flow, name string) {
	q.group.Go(func() {
		if q.gate.Wait(transport.WithLane(ctx, lane), flow) == nil {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.order = append(q.order, name)
		}
	})
	synctest.Wait()
}

func TestUrgentLanesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue{gate: transport.NewGate(1, 1)}
		q.join(t.Context(), transport.Interactive, "", "first")
		for _, lane := range []transport.Lane{transport.Backfill, transport.Sync, transport.Webhook, transport.Interactive} {
			q.join(t.Context(), lane, "", fmt.Sprint(lane, "a"))
			q.join(t.Context(), lane, "", fmt.Sprint(lane, "b"))
		}
		q.group.Wait()
		if want := []string{"first", "0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b"}; !slices.Equal(q.order, want) {
			t.Errorf("order %v, want %v", q.order, want)
		}
	})
}

func TestTenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue{gate: transport.NewGate(1, 1)}
		q.join(t.Context(), transport.Sync, "big", "first")
		for i := range 6 {
			q.join(t.Context(), transport.Sync, "big", fmt.Sprint("big", i))
		}
		for i := range 2 {
			q.join(t.Context(), transport.Sync, "small", fmt.Sprint("small", i))
			q.join(t.Context(), transport.Sync, "tiny", fmt.Sprint("tiny", i))
		}
		q.group.Wait()
		for i, name := range []string{"small0", "tiny0", "small1", "tiny1"} {
			if at := slices.Index(q.order, name); at > 3+2*i {
				t.Errorf("%s passed as number %d behind the queue of another tenant: %v", name, at, q.order)
			}
		}
	})
}

// A lane that is always busy does not keep the others from moving.
func TestBusyLaneStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gate := transport.NewGate(2, 4)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for gate.Wait(ctx, "") == nil {
				}
			})
		}
		slow := 0
		group.Go(func() {
			for gate.Wait(transport.WithLane(ctx, transport.Backfill), "") == nil {
				slow++
			}
		})
		group.Wait()
		if slow < 4 || slow > 12 {
			t.Errorf("%d of the least urgent lane passed in a minute, want one in ten seconds", slow)
		}
	})
}

// Part of the burst is kept for a lane that was in use lately, and only then.
func TestBurstIsKeptForUrgentLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backfill := transport.WithLane(t.Context(), transport.Backfill)
		passed := func(gate *transport.Gate) (n int) {
			for start := time.Now(); ; n++ {
				if err := gate.Wait(backfill, ""); err != nil || time.Since(start) > 0 {
					return n
				}
			}
		}
		if n := passed(transport.NewGate(1, 20)); n != 20 {
			t.Errorf("%d passed at once although nobody else is there, want the whole burst", n)
		}
		gate := transport.NewGate(1, 20)
		if err := gate.Wait(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if n := passed(gate); n != 11 {
			t.Errorf("%d passed at once beside an interactive lane, want 60%% of the burst less the one that it took", n)
		}
		start := time.Now()
		if err := gate.Wait(t.Context(), ""); err != nil || time.Since(start) != 0 {
			t.Errorf("the interactive lane waited %v: %v", time.Since(start), err)
		}
	})
}

func TestGateFollowsWhatTheProviderReports(t *testing.T) {
	headers := func(names ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(names); i += 2 {
			h.Set(names[i], names[i+1])
		}
		return h
	}
	for _, c := range []struct {
		name   string
		header http.Header
		want   time.Duration // until the eleventh caller has passed
	}{
		{"nothing", nil, 0},
		{"draft, none left", headers("RateLimit", `"default";r=0;t=20`), 20 * time.Second},
		{"draft, few left", headers("RateLimit", `"a";r=10;t=20`), 18 * time.Second},
		{"older draft", headers("RateLimit-Remaining", "0", "RateLimit-Reset", "30"), 30 * time.Second},
		{"an instant", headers("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "946684840"), 40 * time.Second}, // virtual time begins in 2000
		{"without a window", headers("X-RateLimit-Remaining", "0"), 0},
		{"negative", headers("X-RateLimit-Remaining", "-1", "X-RateLimit-Reset", "10"), 0},
		{"malformed", headers("RateLimit", `;;r=x;t=`), 0},
		{"a window of a week", headers("RateLimit-Remaining", "0", "RateLimit-Reset", "604800"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := transport.NewGate(0, 1)
				start := time.Now()
				gate.Accepted(c.header)
				for range 11 {
					if err := gate.Wait(t.Context(), ""); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(start); took < c.want-2*time.Second || took > c.want+5*time.Second {
					t.Errorf("took %v, want about %v", took, c.want)
				}
			})
		})
	}
}
