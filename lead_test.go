package enlace_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// tickStore notes when it is looked for schedules that are due.
type tickStore struct {
	*memory.Store
	mu    sync.Mutex
	ticks []time.Time
}

func (s *tickStore) DueSchedules(ctx context.Context, at time.Time, limit int) ([]enlace.Schedule, error) {
	s.mu.Lock()
	s.ticks = append(s.ticks, time.Now())
	s.mu.Unlock()
	return s.Store.DueSchedules(ctx, at, limit)
}

// since are how long after that time the ticks came.
func (s *tickStore) since(t time.Time) (after []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tick := range s.ticks {
		if tick.After(t) {
			after = append(after, tick.Sub(t))
		}
	}
	return after
}

// Of two processes one looks for schedules, and when it ends or dies the other one does
// within twenty seconds.
func TestOneProcessLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &tickStore{Store: memory.New()}
		h := newHost(t, crm{}, func(c *enlace.Config) { c.Store = store })
		run := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			service := h.restart()
			go func() { ended <- service.Run(ctx) }()
			return func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		// A process that has died a moment ago holds what it led.
		if _, err := store.AcquireLease(t.Context(), enlace.LeaseName{Name: "schedules"}, "dead", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		died := time.Now()
		stopFirst := run()
		time.Sleep(time.Second)
		stopSecond := run()
		time.Sleep(10 * time.Minute)
		ticks := store.since(died)
		if len(ticks) == 0 || ticks[0] < 10*time.Second || ticks[0] > 20*time.Second {
			t.Fatalf("ticks %v after the leader died; want the first one after its lease and within twenty seconds", ticks)
		}
		if n := len(ticks); n < 110 || n > 121 {
			t.Errorf("%d ticks in ten minutes; want one each five seconds, of one process", n)
		}
		stopFirst()
		ended := time.Now()
		time.Sleep(time.Minute)
		if after := store.since(ended); len(after) == 0 || after[0] > 5*time.Second {
			t.Errorf("ticks %v after one process ended; want the first one within five seconds", after)
		}
		stopSecond()
	})
}
