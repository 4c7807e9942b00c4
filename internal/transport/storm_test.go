package transport_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

// strict is a provider with a token bucket, whose refusals say how long to wait
// and which holds it against everybody who comes before.
type strict struct {
	mu         sync.Mutex
	perSecond  float64
	burst      float64
	retryAfter time.Duration
	reports    bool // it tells what is left, in headers

	tokens   float64
	at       time.Time
	closed   time.Time // refused somebody; nobody may come before
	answered int
	refused  int       // after the first
	first    time.Time // refusal
	undercut int       // came while it was closed, having left after the refusal
}

func (p *strict) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	time.Sleep(50*time.Millisecond + rand.N(100*time.Millisecond))
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.at.IsZero() {
		p.tokens, p.at = p.burst, now
	}
	p.tokens = min(p.burst, p.tokens+now.Sub(p.at).Seconds()*p.perSecond)
	p.at = now
	p.answered++
	if now.Before(p.closed) && sent.After(p.closed.Add(-p.retryAfter)) {
		p.undercut++
	}
	if p.tokens < 1 || now.Before(p.closed) {
		if p.first.IsZero() {
			p.first = now
		} else {
			p.refused++
		}
		if !now.Before(p.closed) {
			p.closed = now.Add(p.retryAfter)
		}
		return answer(429, "", "Retry-After", strconv.Itoa(int(p.retryAfter/time.Second))), nil
	}
	p.tokens--
	if p.reports {
		return answer(200, "", "X-RateLimit-Remaining", strconv.Itoa(int(p.tokens)), "X-RateLimit-Reset", "1"), nil
	}
	return answer(200, ""), nil
}

// storm sends from four goroutines in each of the lanes for a while. Those of the
// interactive lane think between requests; it returns how long these took.
func storm(t *testing.T, p *strict, gate *transport.Gate, lanes []transport.Lane, length time.Duration) (took []time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, lane := range lanes {
		for range 4 {
			s := inMemory(p)
			s.Gate, s.Attempts = gate, 10
			group.Go(func() {
				ctx := transport.WithLane(ctx, lane)
				for ctx.Err() == nil {
					if lane == transport.Interactive {
						time.Sleep(rand.N(2 * time.Second))
					}
					start := time.Now()
					_, err := s.Send(ctx, get(endpoint))
					if errors.Is(err, transport.ErrDeadlineTooShort) {
						return
					}
					if err == nil && lane == transport.Interactive {
						mu.Lock()
						took = append(took, time.Since(start))
						mu.Unlock()
					}
				}
			})
		}
	}
	group.Wait()
	return took
}

// check notes a failure if the gate was too bold or too timid.
func (p *strict) check(t *testing.T, length time.Duration) {
	t.Helper()
	t.Logf("%d answers, %d refusals after the first, %d undercut", p.answered, p.refused, p.undercut)
	if p.refused*100 > p.answered {
		t.Errorf("%d refusals after the first in %d answers, want 1%% at most", p.refused, p.answered)
	}
	if p.undercut > 0 {
		t.Errorf("%d requests came before the provider wanted them", p.undercut)
	}
	if least := length.Seconds() * p.perSecond * 0.6; float64(p.answered) < least {
		t.Errorf("%d answers, want %.0f at least: it slowed down too much", p.answered, least)
	}
}

func p95(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)*95/100]
}

func TestStormOfRefusals(t *testing.T) {
	everybody := []transport.Lane{transport.Interactive, transport.Sync, transport.Backfill}
	for _, c := range []struct {
		name      string
		perSecond float64 // what we believe
		burst     int
		provider  func() *strict
	}{
		{"limit not known", 0, 1, func() *strict { return &strict{perSecond: 10, burst: 10, retryAfter: 5 * time.Second} }},
		{"limit shared with others", 20, 40, func() *strict { return &strict{perSecond: 10, burst: 20, retryAfter: 10 * time.Second} }},
		{"limit as published", 10, 20, func() *strict { return &strict{perSecond: 10, burst: 20, retryAfter: 10 * time.Second} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const length = 20 * time.Minute
				calm := p95(storm(t, c.provider(), transport.NewGate(c.perSecond, c.burst), everybody[:1], length))
				// Back-off is random: the requests of five storms tell more than those of one.
				var took []time.Duration
				for range 5 {
					p := c.provider()
					took = append(took, storm(t, p, transport.NewGate(c.perSecond, c.burst), everybody, length)...)
					p.check(t, length)
				}
				busy := p95(took)
				t.Logf("interactive p95 %v, alone %v", busy, calm)
				if busy*10 > calm*12 {
					t.Errorf("p95 of the interactive lane is %v beside the others and %v alone, want 1.2 times at most", busy, calm)
				}
			})
		})
	}
}
