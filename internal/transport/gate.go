package transport

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// pauseSpread is the part of a pause over which its waiters are spread afterwards,
// so that they do not all come back at the same moment.
const pauseSpread = 10 // a tenth

// maxEstimate keeps an estimate for a very low rate from overflowing.
const maxEstimate = 30 * 24 * time.Hour

// Gate paces the requests of one quota key: a rate with a burst, and pauses that
// the provider asks for. Callers go through in the order of arrival. A changed
// rate and a new pause concern those who wait already, at once. It is safe for
// concurrent use; one Gate is shared by everybody who spends from the same quota.
type Gate struct {
	line    line
	limiter *rate.Limiter
	until   time.Time // closed until then
	spread  time.Time // the last of those caught by the pause goes about then
}

// NewGate returns a gate that lets perSecond callers through, and burst at once
// after a quiet time. A rate of 0 or less is no limit; a burst below 1 is 1.
func NewGate(perSecond float64, burst int) *Gate {
	return &Gate{limiter: rate.NewLimiter(limitOf(perSecond), max(burst, 1))}
}

func limitOf(perSecond float64) rate.Limit {
	if perSecond <= 0 {
		return rate.Inf
	}
	return rate.Limit(perSecond)
}

// Wait returns nil when the caller may send one request. If ctx ends before that
// it returns ctx.Err(). If the wait is known to last longer than ctx's deadline it
// returns a *WaitError at once, which matches ErrDeadlineTooShort. After an error
// nothing was taken from the quota.
func (g *Gate) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.pass() {
		return nil
	}
	deadline, limited := ctx.Deadline()
	return g.line.wait(ctx, func(w *waiter, place int, now time.Time) (time.Duration, error) {
		delay := g.delay(w, place, now)
		if limited && now.Add(delay).After(deadline) {
			return 0, &WaitError{Wait: delay}
		}
		if delay <= 0 && place == 0 && !g.limiter.AllowN(now, 1) {
			delay = time.Millisecond // a rounding of the limiter's; ask again
		}
		return delay, nil
	})
}

// pass is Wait for those who need not wait.
func (g *Gate) pass() bool {
	now := time.Now()
	g.line.mu.Lock()
	defer g.line.mu.Unlock()
	return len(g.line.waiters) == 0 && !now.Before(g.until) && g.limiter.AllowN(now, 1)
}

// delay estimates how long the waiter in that place has to wait; 0 is not at all.
func (g *Gate) delay(w *waiter, place int, now time.Time) time.Duration {
	release := g.until
	if place == 0 && w.since.Before(g.until) && !now.Before(g.until) {
		if !w.caught.Equal(g.until) {
			w.caught, w.release = g.until, g.draw(now)
		}
		release = w.release
	}
	delay := max(release.Sub(now), 0)
	if limit := g.limiter.Limit(); limit != rate.Inf {
		missing := float64(place+1) - g.limiter.TokensAt(now)
		seconds := min(missing/float64(limit), maxEstimate.Seconds())
		delay = max(delay, time.Duration(seconds*float64(time.Second)))
	}
	return delay
}

// draw picks when the head goes after a pause: at random within its share of what
// is left of the spread, so that the line is spread over all of it, in order.
func (g *Gate) draw(now time.Time) time.Time {
	share := g.spread.Sub(now) / time.Duration(max(len(g.line.waiters), 1))
	if share <= 0 {
		return now
	}
	return now.Add(rand.N(share))
}

// SetLimit changes the rate, also for those who wait; 0 or less is no limit.
func (g *Gate) SetLimit(perSecond float64) {
	g.line.mu.Lock()
	defer g.line.mu.Unlock()
	g.limiter.SetLimit(limitOf(perSecond))
	g.line.wakeAll()
}

// Pause closes the gate for d from now; see PauseUntil.
func (g *Gate) Pause(d time.Duration) { g.PauseUntil(time.Now().Add(d)) }

// PauseUntil closes the gate for everybody until t, also for those who wait. A
// pause is never shortened by another. Those it catches go in order over a tenth
// of its length after its end.
func (g *Gate) PauseUntil(t time.Time) {
	g.line.mu.Lock()
	defer g.line.mu.Unlock()
	if length := time.Until(t); length > 0 && t.After(g.until) {
		g.until = t
		g.spread = t.Add(length / pauseSpread)
		g.line.wakeAll()
	}
}
