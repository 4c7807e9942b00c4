package transport_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/transport"
	"github.com/enlace-go/enlace/store/memory"
)

// bank is a store that several nodes share, at some distance from them.
type bank struct {
	store   *memory.Store
	latency time.Duration // at most, one way
	mu      sync.Mutex
	err     error // what it answers instead
	asked   int
	told    int // pauses and slowdowns
}

func newBank(latency time.Duration) *bank { return &bank{store: memory.New(), latency: latency} }

func (b *bank) lend(ctx context.Context, a transport.Ask) (transport.Loan, error) {
	b.travel()
	defer b.travel()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if a.Pause > 0 || a.Slowed.Step > 0 {
		b.told++
	}
	if b.err != nil {
		return transport.Loan{}, b.err
	}
	g, err := b.store.TakeQuota(ctx, enlace.QuotaRequest{Key: "q", Tokens: a.Tokens, Step: a.Step, Burst: a.Burst, Ahead: a.Ahead, Pause: a.Pause,
		Slowdown: enlace.QuotaSlowdown{Step: a.Slowed.Step, Before: a.Slowed.Before}})
	return transport.Loan{Tokens: g.Tokens, First: g.First, Pause: g.Pause,
		Slowed: transport.Slowdown{Number: g.Slowdown.Number, Step: g.Slowdown.Step, Before: g.Slowdown.Before, Ago: g.Slowdown.Age}}, err
}

func (b *bank) travel() {
	if b.latency > 0 {
		time.Sleep(rand.N(b.latency))
	}
}

func (b *bank) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// node is a process with a gate of its own.
func (b *bank) node(perSecond float64, burst int, running *sync.WaitGroup) *transport.Gate {
	g := transport.NewGate(perSecond, burst)
	g.Share(b.lend, running.Go)
	return g
}

// ledger notes when requests left.
type ledger struct {
	mu   sync.Mutex
	sent []time.Time
}

func (l *ledger) note() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, time.Now())
}

// check is the strict oracle, a bucket that refuses what it does not have: over no
// stretch of time is there more than its part of the rate and the burst. Where the
// burst is 1, it may be nine tenths of one more.
func (l *ledger) check(t *testing.T, perSecond float64, burst int) {
	t.Helper()
	full := float64(burst) + 0.001
	if burst == 1 {
		full = 1.9
	}
	slices.SortFunc(l.sent, time.Time.Compare)
	tokens := full
	for i, at := range l.sent {
		if i > 0 {
			tokens = min(full, tokens+at.Sub(l.sent[i-1]).Seconds()*perSecond)
		}
		if tokens--; tokens < 0 {
			t.Fatalf("request %d, after %v, is %.3f too much", i, at.Sub(l.sent[0]), -tokens)
		}
	}
}

func TestSharedQuotaIsKeptAndUsed(t *testing.T) {
	lanes := []transport.Lane{transport.Interactive, transport.Webhook, transport.Sync, transport.Backfill}
	for _, c := range []struct {
		perSecond float64
		burst     int
		latency   time.Duration
	}{
		{50, 50, 5 * time.Millisecond}, {50, 10, 20 * time.Millisecond}, {50, 1, 2 * time.Millisecond}, {2, 50, 20 * time.Millisecond},
		{2, 1, 50 * time.Millisecond}, {0.3, 2, 5 * time.Millisecond}, {7, 3, 0}, {100, 20, 5 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v per second, burst %d", c.perSecond, c.burst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(c.latency)
				var running, asking sync.WaitGroup
				var l ledger
				length := max(30*time.Second, time.Duration(100/c.perSecond*float64(time.Second)))
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(2*length, cancel)
				start := time.Now()
				for n := range 4 {
					g := b.node(c.perSecond, c.burst, &asking)
					// The first half is random demand with quiet times, the second more than there is.
					for range 12 {
						running.Go(func() {
							ctx := transport.WithLane(ctx, lanes[rand.IntN(len(lanes))])
							for ctx.Err() == nil {
								if time.Since(start) < length {
									time.Sleep(rand.N(time.Duration((n+1)*8/int(c.perSecond+1)+1) * time.Second))
								}
								if g.Wait(ctx, "") == nil {
									l.note()
								}
							}
						})
					}
				}
				running.Wait()
				asking.Wait()
				l.check(t, c.perSecond, c.burst)
				busy := 0
				for _, at := range l.sent {
					if at.Sub(start) >= length+length/10 {
						busy++
					}
				}
				want := c.perSecond * (length - length/10).Seconds()
				t.Logf("%d sent, %.0f%% of the rate used; %d asks", len(l.sent), 100*float64(busy)/want, b.asked)
				if float64(busy) < 0.95*want-1 {
					t.Errorf("%d sent in the busy time, want 95%% of %.0f", busy, want)
				}
			})
		})
	}
}

// saturate keeps callers waiting at the gate in that lane until ctx ends.
func saturate(ctx context.Context, running *sync.WaitGroup, g *transport.Gate, lane transport.Lane, sent func()) {
	for range 16 {
		running.Go(func() {
			for ctx := transport.WithLane(ctx, lane); g.Wait(ctx, "") == nil; {
				sent()
			}
		})
	}
}

func TestSharedQuotaUrgentWorkOfAnotherNodeWaitsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(5 * time.Millisecond)
		var running, asking sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			saturate(ctx, &running, b.node(50, 10, &asking), transport.Backfill, func() {})
		}
		urgent := b.node(50, 10, &asking)
		var took []time.Duration
		for range 100 {
			time.Sleep(200*time.Millisecond + rand.N(time.Second))
			start := time.Now()
			if err := urgent.Wait(ctx, ""); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		cancel()
		running.Wait()
		asking.Wait()
		if longest := slices.Max(took); longest > 300*time.Millisecond {
			t.Errorf("waited %v behind the backfill of others, p95 %v", longest, p95(took))
		}
	})
}

func TestSharedQuotaPauseAndRateHoldForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(5 * time.Millisecond)
		var running, asking sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		var l ledger
		gates := []*transport.Gate{b.node(50, 10, &asking), b.node(50, 10, &asking), b.node(50, 10, &asking)}
		for _, g := range gates {
			saturate(ctx, &running, g, transport.Sync, l.note)
		}
		between := func(from, to time.Time) (n int) {
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, at := range l.sent {
				if !at.Before(from) && at.Before(to) {
					n++
				}
			}
			return n
		}
		time.Sleep(10 * time.Second)
		// All three hear of the same wave: it slows down once.
		refused, sent := time.Now(), time.Now().Add(-100*time.Millisecond)
		gates[0].Refused(sent, 20*time.Second)
		time.Sleep(time.Second)
		gates[1].Refused(sent, 19*time.Second)
		time.Sleep(59 * time.Second)
		if n := between(refused.Add(500*time.Millisecond), refused.Add(20*time.Second)); n > 0 {
			t.Errorf("%d sent in the pause", n)
		}
		if n := between(refused, refused.Add(500*time.Millisecond)); n > 20 {
			t.Errorf("%d sent before the others heard of the pause", n)
		}
		// 0.7 of 50, and 0.02 of it (an eighth of the way) more every half a minute.
		if n := between(refused.Add(25*time.Second), refused.Add(55*time.Second)); n < 30*34 || n > 30*39 {
			t.Errorf("%d sent in half a minute after the pause, want 35 each second", n)
		}
		late := b.node(50, 10, &asking) // begins after it
		saturate(ctx, &running, late, transport.Sync, l.note)
		before := time.Now()
		time.Sleep(10 * time.Second)
		if n := between(before.Add(time.Second), before.Add(10*time.Second)); n > 9*40 {
			t.Errorf("%d sent in 9 seconds after another node came", n)
		}
		cancel()
		running.Wait()
		asking.Wait()
		if b.told > 3 {
			t.Errorf("told %d times", b.told)
		}
	})
}

func TestSharedQuotaWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(0)
		var asking sync.WaitGroup
		g := b.node(10, 1, &asking)
		pass := func() (time.Duration, error) {
			start := time.Now()
			err := g.Wait(t.Context(), "")
			return time.Since(start), err
		}
		if took, err := pass(); err != nil || took != 0 {
			t.Fatal(took, err)
		}
		// A short outage is waited for.
		down := fmt.Errorf("down")
		b.fail(down)
		time.AfterFunc(3*time.Second, func() { b.fail(nil) })
		if took, err := pass(); err != nil || took < 3*time.Second || took > 4*time.Second {
			t.Errorf("passed after %v, %v", took, err)
		}
		// A long one is told after a while, and then at once, until it is over.
		b.fail(down)
		if took, err := pass(); err != down || took < 10*time.Second || took > 11*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		if took, err := pass(); err != down || took > 0 {
			t.Errorf("after %v: %v", took, err)
		}
		b.fail(nil)
		time.Sleep(time.Second)
		_, _ = pass() // has it asked again
		time.Sleep(time.Second)
		if took, err := pass(); err != nil || took > 100*time.Millisecond {
			t.Errorf("after %v: %v", took, err)
		}
		// One that nobody noticed for long is no reason to refuse at once.
		b.fail(down)
		_, _ = pass()
		b.fail(nil)
		time.Sleep(time.Hour)
		if took, err := pass(); err != nil || took > 100*time.Millisecond {
			t.Errorf("after %v: %v", took, err)
		}
		asking.Wait()
	})
}

func TestSharedQuotaTakesNothingForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(0)
		var asking sync.WaitGroup
		g := b.node(10, 5, &asking)
		for range 20 {
			if err := g.Wait(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		asking.Wait()
		if b.asked != 20 {
			t.Errorf("asked %d times for 20 requests one after the other", b.asked)
		}
		other := b.node(10, 5, &asking)
		for range 3 { // nothing was hoarded; the rest of the burst is for those who come late
			start := time.Now()
			if err := other.Wait(t.Context(), ""); err != nil || time.Since(start) > 0 {
				t.Errorf("waited %v, %v", time.Since(start), err)
			}
		}
		asking.Wait()
	})
}
