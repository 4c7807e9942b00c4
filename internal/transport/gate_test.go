package transport_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

// passages starts n waiters one after the other and returns who passed when.
type passages struct {
	mu    sync.Mutex
	start time.Time
	order []int
	at    []time.Duration
	group sync.WaitGroup
}

func (p *passages) wait(ctx context.Context, g *transport.Gate, n int) {
	p.start = time.Now()
	for i := range n {
		p.group.Go(func() {
			if g.Wait(ctx, "") == nil {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.order = append(p.order, i)
				p.at = append(p.at, time.Since(p.start))
			}
		})
		synctest.Wait() // so that they arrive in this order
	}
}

func TestGatePacesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p passages
		p.wait(t.Context(), transport.NewGate(2, 5), 25)
		p.group.Wait()
		if !slices.IsSorted(p.order) || len(p.order) != 25 {
			t.Errorf("order %v", p.order)
		}
		for i, at := range p.at {
			want := time.Duration(max(i-4, 0)) * 500 * time.Millisecond
			if at < want || at > want+10*time.Millisecond {
				t.Errorf("number %d passed after %v, want %v", i, at, want)
			}
		}
	})
}

func TestGateWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(0, 0)
		start := time.Now()
		for range 1000 {
			if err := g.Wait(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(start) != 0 {
			t.Error("waited")
		}
	})
}

func TestGateChangedRateWakesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(0.01, 1)
		var p passages
		p.wait(t.Context(), g, 11)
		time.Sleep(5 * time.Second)
		g.SetLimit(10)
		p.group.Wait()
		if last := p.at[10]; last < 5900*time.Millisecond || last > 6100*time.Millisecond {
			t.Errorf("the last passed after %v", last)
		}
		// And to no limit at all.
		g.SetLimit(0.01)
		p = passages{}
		p.wait(t.Context(), g, 5)
		g.SetLimit(0)
		p.group.Wait()
		if last := p.at[len(p.at)-1]; len(p.at) != 5 || last > 10*time.Millisecond {
			t.Errorf("%v passed", p.at)
		}
	})
}

func TestGatePauseCatchesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(1, 1)
		var p passages
		p.wait(t.Context(), g, 3) // at 0, 1 and 2 s
		time.Sleep(1500 * time.Millisecond)
		g.Pause(20 * time.Second)
		g.Pause(time.Second) // shortens nothing
		p.group.Wait()
		if p.at[1] > 1100*time.Millisecond || p.at[2] < 21500*time.Millisecond || p.at[2] > 23500*time.Millisecond {
			t.Errorf("passed at %v", p.at)
		}
	})
}

func TestGatePauseEndsSpreadOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(0, 1)
		g.Pause(100 * time.Second)
		var p passages
		p.wait(t.Context(), g, 200)
		time.Sleep(101 * time.Second)
		p.group.Go(func() {
			err := g.Wait(t.Context(), "")
			p.mu.Lock()
			defer p.mu.Unlock()
			if err != nil || len(p.order) < 199 { // the 200th may be about to note it
				t.Errorf("a newcomer overtook %d: %v", 200-len(p.order), err)
			}
		})
		p.group.Wait()
		if !slices.IsSorted(p.order) {
			t.Error("out of order")
		}
		perSecond := map[int]int{}
		for _, at := range p.at {
			if at < 100*time.Second || at > 110*time.Second {
				t.Errorf("passed after %v, want 100 s to 110 s", at)
			}
			perSecond[int(at/time.Second)]++
		}
		for second, n := range perSecond {
			if n > 80 {
				t.Errorf("%d of 200 passed in second %d", n, second)
			}
		}
		start := time.Now()
		if err := g.Wait(t.Context(), ""); err != nil || time.Since(start) != 0 {
			t.Error("who comes afterwards waits", time.Since(start), err)
		}
	})
}

func TestGateDeadlineTooShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(1, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		errs := make([]error, 6)
		var group sync.WaitGroup
		start := time.Now()
		for i := range errs {
			group.Go(func() { errs[i] = g.Wait(ctx, "") })
			synctest.Wait()
		}
		if !errors.Is(errs[4], transport.ErrDeadlineTooShort) || !errors.Is(errs[5], transport.ErrDeadlineTooShort) || time.Since(start) != 0 {
			t.Errorf("who cannot make it is not told at once: %v", errs)
		}
		// A pause is told at once to those who wait behind the first, too.
		g.Pause(time.Minute)
		group.Wait()
		if time.Since(start) != 0 {
			t.Errorf("they found out after %v", time.Since(start))
		}
		for _, err := range errs[1:] {
			if !errors.Is(err, transport.ErrDeadlineTooShort) {
				t.Error(err)
			}
		}
	})
}

func TestGateCancelledWaiterTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(1, 1)
		if err := g.Wait(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var leaving, staying passages
		leaving.wait(ctx, g, 10)
		staying.wait(t.Context(), g, 2)
		time.Sleep(500 * time.Millisecond)
		cancel()
		leaving.group.Wait()
		if elapsed := time.Since(staying.start); elapsed != 500*time.Millisecond {
			t.Errorf("left after %v", elapsed)
		}
		staying.group.Wait()
		if len(leaving.order) != 0 || len(staying.at) != 2 || staying.at[1] > 2010*time.Millisecond {
			t.Errorf("the others passed at %v", staying.at)
		}
		if err := g.Wait(ctx, ""); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
