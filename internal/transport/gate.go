package transport

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

const (
	// pauseSpread is the part of a pause over which its waiters are spread afterwards,
	// so that they do not all come back at the same moment.
	pauseSpread = 10 // a tenth
	// maxEstimate keeps an estimate for a very low rate from overflowing.
	maxEstimate = 30 * 24 * time.Hour
	// recentUse is how long a part of the burst is kept for a lane after its last use.
	recentUse = time.Minute
)

// reserved is the part of the burst that each lane leaves to the more urgent ones.
var reserved = [laneCount]float64{Interactive: 0, Webhook: 0.1, Sync: 0.2, Backfill: 0.4}

// Gate paces the requests of one quota key: a rate with a burst, and pauses that
// the provider asks for. Callers go by lane, the tenants of a lane in turn, and
// each tenant's in the order of arrival. While a lane is in use, the less urgent
// ones leave it a part of the burst. A changed rate and a new pause concern those
// who wait already, at once. The rate adapts to refusals and to what the provider
// reports; see pace. It is safe for concurrent use; one Gate is shared by
// everybody who spends from the same quota.
type Gate struct {
	line    line
	limiter *rate.Limiter
	pace    pace
	until   time.Time // closed until then
	spread  time.Time // the last of those caught by the pause goes about then
	used    [laneCount]time.Time
	share   *share // nil unless other processes spend from the quota too
}

// NewGate returns a gate that lets perSecond callers through, and burst at once
// after a quiet time. A rate of 0 or less is no limit; a burst below 1 is 1.
func NewGate(perSecond float64, burst int) *Gate {
	limit, burst := limitOf(perSecond), max(burst, 1)
	return &Gate{limiter: rate.NewLimiter(limit, burst), pace: pace{base: limit, burst: burst}}
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
// nothing was taken from the quota. flow is whose request it is, for fairness.
func (g *Gate) Wait(ctx context.Context, flow string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	lane := laneOf(ctx)
	if g.pass(lane) {
		return nil
	}
	deadline, limited := ctx.Deadline()
	return g.line.wait(ctx, flow, func(w *waiter, place int, now time.Time) (time.Duration, error) {
		g.adapt(now)
		delay := g.delay(w, place, now)
		if limited && now.Add(delay).After(deadline) {
			return 0, &WaitError{Wait: delay}
		}
		reserve := g.reserve(lane, now)
		if starved := g.line.untilStarved(w, now); starved > 0 && reserve > 0 {
			delay = max(delay, min(g.refill(1+reserve, now), starved))
		} else {
			reserve = 0
		}
		if g.share != nil && place == 0 {
			due, err := g.borrow(w, now)
			if err != nil {
				return 0, err
			}
			if len(g.share.inHand) > 0 && limited && now.Add(due).After(deadline) {
				return 0, &WaitError{Wait: due}
			}
			delay = max(delay, due)
		}
		if delay <= 0 && place == 0 && !g.take(lane, reserve, now) {
			delay = time.Millisecond // a rounding of the limiter's; ask again
		}
		return delay, nil
	})
}

// pass is Wait for those who need not wait.
func (g *Gate) pass(lane Lane) bool {
	now := time.Now()
	g.line.mu.Lock()
	defer g.line.mu.Unlock()
	g.adapt(now)
	return len(g.line.waiters) == 0 && !now.Before(g.until) && g.take(lane, g.reserve(lane, now), now)
}

// take takes one from the quota, if as much as reserve is left.
func (g *Gate) take(lane Lane, reserve float64, now time.Time) bool {
	g.used[lane] = now
	tokens := g.share != nil && g.limiter.Limit() != rate.Inf
	if (tokens && !g.share.usable(now)) || g.refill(1+reserve, now) > 0 || !g.limiter.AllowN(now, 1) {
		return false
	}
	if tokens {
		g.share.inHand = g.share.inHand[1:]
	}
	return true
}

// reserve is how much of the burst the lane leaves to more urgent ones that were
// in use lately.
func (g *Gate) reserve(lane Lane, now time.Time) float64 {
	for urgent := range lane {
		if at := g.used[urgent]; !at.IsZero() && now.Sub(at) < recentUse {
			burst := float64(g.limiter.Burst())
			return min(math.Ceil(reserved[lane]*burst), burst-1)
		}
	}
	return 0
}

// delay estimates how long the waiter in that place has to wait at least; 0 is not
// at all.
func (g *Gate) delay(w *waiter, place int, now time.Time) time.Duration {
	release := g.until
	if place == 0 && w.since.Before(g.until) && !now.Before(g.until) {
		if !w.caught.Equal(g.until) {
			w.caught, w.release = g.until, g.draw(now)
		}
		release = w.release
	}
	return max(release.Sub(now), g.refill(float64(place+1), now), 0)
}

// refill is how long it takes until so many may go at once.
func (g *Gate) refill(tokens float64, now time.Time) time.Duration {
	limit := g.limiter.Limit()
	if limit == rate.Inf {
		return 0
	}
	missing := tokens - g.limiter.TokensAt(now)
	seconds := min(missing/float64(limit), maxEstimate.Seconds())
	return time.Duration(seconds * float64(time.Second))
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
	g.pace = pace{base: limitOf(perSecond), burst: g.pace.burst}
	g.apply()
}

// Pause closes the gate for d from now; see PauseUntil.
func (g *Gate) Pause(d time.Duration) { g.PauseUntil(time.Now().Add(d)) }

// PauseUntil closes the gate for everybody until t, also for those who wait. A
// pause is never shortened by another. Those it catches go in order over a tenth
// of its length after its end.
func (g *Gate) PauseUntil(t time.Time) {
	g.line.mu.Lock()
	defer g.line.mu.Unlock()
	g.pauseUntil(t)
}

// pauseUntil says whether the pause is longer than the one before by more than a trifle.
func (g *Gate) pauseUntil(t time.Time) (longer bool) {
	length := time.Until(t)
	if length <= 0 || !t.After(g.until) {
		return false
	}
	longer = t.Sub(g.until) > samePause
	g.until = t
	g.spread = t.Add(length / pauseSpread)
	if g.share != nil {
		g.share.inHand = nil // they would all go at once afterwards
	}
	g.line.wakeAll()
	return longer
}
