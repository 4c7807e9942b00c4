package transport

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	// slowDown is the part of the rate that was refused at which it goes on.
	slowDown = 0.7
	// speedUp is the part of the refused rate that comes back each speedUpAfter
	// without a refusal.
	speedUp      = 0.04
	speedUpAfter = 30 * time.Second
	// Around the rate that was refused, so much of it to both sides, it comes back at a
	// quarter of that: each refusal stops everybody for as long as the provider says.
	around = 0.1
	// slowest is the least rate per second that refusals lead to: whoever shares
	// the quota with us may use up all of it for a time, but not for ever.
	slowest = 0.2
	// tallySeconds is over how long the rate that the provider bears is measured.
	tallySeconds = 10
	// maxPause bounds what a provider can ask for.
	maxPause = maxRetryAfter
)

// pace is the rate that the provider seems to bear. Each wave of refusals takes it
// down to a part of what it was, or of what went through where no limit is known,
// and quiet half minutes bring it back slowly: so it finds limits that are not
// published, and those that others spend from too.
type pace struct {
	base  rate.Limit // as configured
	burst int
	// learned is the rate since a refusal, 0 if there was none or it is forgotten;
	// refused the one that was refused then.
	learned, refused rate.Limit
	// guessed says that refused is what went through before the first refusal, which
	// may be far too little: the answers to others were still on their way.
	guessed bool
	changed time.Time
	wave    time.Time // when the rate was taken over from another process
	// reported is the rate at which what the provider says is left lasts until the
	// window ends.
	reported      rate.Limit
	reportedUntil time.Time

	tally [tallySeconds]struct{ second, accepted int64 }
}

// accept counts an answer that was no refusal.
func (p *pace) accept(now time.Time) {
	second := now.Unix()
	slot := &p.tally[second%tallySeconds]
	if slot.second != second {
		slot.second, slot.accepted = second, 0
	}
	slot.accepted++
}

// borne is how many per second went through lately, from the first of them on.
func (p *pace) borne(now time.Time) rate.Limit {
	var sum int64
	first := now.Unix()
	for _, slot := range p.tally {
		if now.Unix()-slot.second < tallySeconds {
			sum += slot.accepted
			first = min(first, slot.second)
		}
	}
	return rate.Limit(float64(sum) / float64(now.Unix()-first+1))
}

// refuse takes the rate down, once for all requests that were under way together; it
// says whether it did.
func (p *pace) refuse(sent, now time.Time) (slowed bool) {
	if (!p.changed.IsZero() && !sent.After(p.changed)) || (!p.wave.IsZero() && !sent.After(p.wave)) {
		return false
	}
	p.guessed = p.learned <= 0 && p.base == rate.Inf
	switch {
	case p.learned > 0:
		p.refused = p.learned
	case p.guessed:
		p.refused = p.borne(now)
	default:
		p.refused = p.base
	}
	p.learned, p.changed = max(p.refused*slowDown, slowest), now
	return true
}

// recover gives back what is due since the last refusal, and says whether anything
// has changed.
func (p *pace) recover(now time.Time) (changed bool) {
	for p.learned > 0 && now.Sub(p.changed) >= speedUpAfter {
		step := p.refused * speedUp
		if p.guessed {
			step *= 3
		} else if math.Abs(float64(p.learned-p.refused)) <= float64(p.refused)*around {
			step /= 4
		}
		p.learned += step
		p.changed = p.changed.Add(speedUpAfter)
		if changed = true; p.learned >= p.base {
			p.learned = 0
		}
	}
	if p.reported > 0 && !now.Before(p.reportedUntil) {
		p.reported, changed = 0, true
	}
	return changed
}

// limit is the least of what is configured, learned and reported.
func (p *pace) limit(now time.Time) rate.Limit {
	limit := p.base
	if p.learned > 0 {
		limit = min(limit, p.learned)
	}
	if p.reported > 0 && now.Before(p.reportedUntil) {
		limit = min(limit, p.reported)
	}
	return limit
}

// size is the burst: after a refusal no more than one second's worth, or two.
func (p *pace) size() int {
	if p.learned <= 0 {
		return p.burst
	}
	second := int(math.Ceil(float64(p.learned)))
	if p.base == rate.Inf {
		return max(2, second)
	}
	return min(p.burst, max(2, second))
}

// adapt brings the limiter up to what is due; the line is locked.
func (g *Gate) adapt(now time.Time) {
	if g.pace.recover(now) {
		g.apply()
	}
}

// apply sets the limiter to the pace; the line is locked.
func (g *Gate) apply() {
	now := time.Now()
	g.limiter.SetLimitAt(now, g.pace.limit(now))
	g.limiter.SetBurstAt(now, g.pace.size())
	g.line.wakeAll()
}

// Accepted notes an answer that was no refusal, with what it reports.
func (g *Gate) Accepted(h http.Header) {
	left, window, reports := parseRateLimit(h, time.Now())
	g.line.mu.Lock()
	defer g.line.mu.Unlock()
	now := time.Now()
	g.pace.accept(now)
	if reports {
		g.report(left, window, now)
	}
}

// report takes over how many requests are left until the window ends.
func (g *Gate) report(left int, window time.Duration, now time.Time) {
	if left == 0 {
		g.tell(g.pauseUntil(now.Add(window)), false)
		return
	}
	limit := rate.Limit(float64(left) / window.Seconds())
	before := g.pace.limit(now)
	g.pace.reported, g.pace.reportedUntil = limit, now.Add(window)
	if after := g.pace.limit(now); after < before*0.9 || after > before*1.1 {
		g.apply()
	}
}

// Refused notes that the provider refused a request for its rate. It closes the
// gate for pause, 24 hours at most, and slows down afterwards. sent is when the
// request left: those that were under way together count as one refusal.
func (g *Gate) Refused(sent time.Time, pause time.Duration) {
	g.line.mu.Lock()
	defer g.line.mu.Unlock()
	now := time.Now()
	slowed := g.pace.refuse(sent, now)
	g.apply()
	g.tell(g.pauseUntil(now.Add(min(pause, maxPause))), slowed)
}

// parseRateLimit reads how many requests are left and until when, from RateLimit
// (draft-ietf-httpapi-ratelimit-headers), or RateLimit-Remaining and -Reset, or the
// same with X-: a reset is seconds, or a Unix time. It is false without both, for
// anything malformed, and for a window of more than a day or less than a second.
func parseRateLimit(h http.Header, now time.Time) (left int, window time.Duration, ok bool) {
	if len(h) == 0 {
		return 0, 0, false
	}
	remaining, reset := rateLimitFields(h)
	left, err := strconv.Atoi(remaining)
	seconds, err2 := strconv.ParseInt(reset, 10, 64)
	if err != nil || err2 != nil || left < 0 {
		return 0, 0, false
	}
	if seconds > 1e8 { // an instant
		seconds -= now.Unix()
	}
	window = time.Duration(min(seconds, int64(maxPause/time.Second)+1)) * time.Second
	return left, window, window >= time.Second && window <= maxPause
}

func rateLimitFields(h http.Header) (remaining, reset string) {
	if item := h.Get("Ratelimit"); item != "" { // "default";r=50;t=30
		for part := range strings.SplitSeq(item, ";") {
			switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
			case "r":
				remaining = value
			case "t":
				reset = value
			}
		}
		return remaining, reset
	}
	if remaining = h.Get("Ratelimit-Remaining"); remaining != "" {
		return remaining, h.Get("Ratelimit-Reset")
	}
	return h.Get("X-Ratelimit-Remaining"), h.Get("X-Ratelimit-Reset")
}
