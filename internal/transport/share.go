package transport

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

const (
	// blockSpan is how much of the rate one Ask takes at most: little, so that urgent
	// work of another process does not wait behind what this one has in hand.
	blockSpan = 150 * time.Millisecond
	// refillLead is how long before the last token's time the next ones are asked for.
	refillLead, maxRefillLead = 100 * time.Millisecond, time.Second
	// promptness is how late a token that is there at once may be spent; so much is
	// taken off the burst.
	promptness = 200 * time.Millisecond
	// soleLateness is how late, in steps, a token may be spent where there is no burst
	// from which lateness could be taken.
	soleLateness = 0.9
	// askTimeout bounds one Ask, askAgain is the pause after one that failed, and
	// patience how long waiters bear that nobody answers.
	askTimeout, askAgain, patience = 5 * time.Second, 500 * time.Millisecond, 10 * time.Second
	// samePause is by how much two reports of one pause differ at most.
	samePause = 50 * time.Millisecond
)

// ahead is how far in the future a lane takes tokens. Urgent work takes its place
// behind what others have already; the rest asks again when its time comes, and so
// leaves urgent work of other processes a place near the front.
var ahead = [laneCount]time.Duration{Interactive: 5 * time.Second, Webhook: 300 * time.Millisecond, Sync: 250 * time.Millisecond,
	Backfill: 200 * time.Millisecond}

// Lend gives tokens of a quota that several processes spend from. It is where the
// account of all of them is kept: each token has a time of its own, one Step after
// the one before, and none is given twice.
type Lend func(ctx context.Context, a Ask) (Loan, error)

// Ask is what a gate asks for and tells.
type Ask struct {
	Tokens int           // at most; 0 asks for none
	Step   time.Duration // whole microseconds, 1 at least
	Burst  int           // how many there are after a quiet time, 1 at least
	Ahead  time.Duration // how far from now the times of the tokens may lie
	Pause  time.Duration // nobody gets a token for so long; 0 leaves it as it is
	Slowed Slowdown      // a refusal that led to another rate; its Number says nothing; zero for none
}

// Loan is the answer.
type Loan struct {
	Tokens int
	// First is how long it is to the time of the first token, or of the first that
	// could be had if there is none; 0 or less has come.
	First  time.Duration
	Pause  time.Duration // what is left of the longest one told; 0 for none
	Slowed Slowdown      // the last one told; zero for none
}

// Slowdown is the rate at which it goes on after a refusal.
type Slowdown struct {
	Number int64         // of this one; 0 if there was none
	Step   time.Duration // at which it went on
	Before time.Duration // which was refused
	Ago    time.Duration
}

// share is a gate's part in a quota that other processes spend from too. What the
// gate lets through has a token; everything else (lanes, fairness, pauses, the
// rate that adapts) is the gate's own as before. The gate's line guards it.
type share struct {
	lend  Lend
	spawn func(func())

	inHand []token // in the order of their times
	asking bool
	again  time.Time     // not to ask before, unless for more urgent work
	ahead  time.Duration // of the last Ask

	failing time.Time // since when nobody answers; zero if somebody does
	err     error

	pauseUntold, slowdownUntold bool
	seen                        int64 // the number of the last slowdown told by anybody
}

// token lets one request through between two moments.
type token struct{ from, until time.Time }

// Share makes the gate spend tokens that lend gives, and tell lend of pauses and
// refusals. lend is called by goroutines that spawn starts; they end soon after
// lend has returned, within seconds. Call it before the gate is used. A gate
// without a limit asks for nothing.
//
// If lend fails, waiters wait for it; after ten seconds they get its error, until
// it answers again.
func (g *Gate) Share(lend Lend, spawn func(func())) {
	g.share = &share{lend: lend, spawn: spawn}
}

// split is how many tokens there are at once after a quiet time, and how late a
// token may be spent, so that together they are never more than the burst: in any
// time at most its part of the rate and the burst go through.
func split(burst int, limit rate.Limit) (atOnce int, lateness float64) {
	if burst < 2 {
		return 1, soleLateness
	}
	off := min(max(int(float64(limit)*promptness.Seconds()), 1), burst/2)
	return burst - off, float64(burst - 1)
}

// stepOf is the time from one token to the next, rounded up.
func stepOf(limit rate.Limit) time.Duration {
	micros := math.Ceil(1e6 / float64(limit))
	return time.Duration(min(micros, float64(maxEstimate/time.Microsecond))) * time.Microsecond
}

// usable says whether a token may be spent now.
func (s *share) usable(now time.Time) bool {
	s.drop(now)
	return len(s.inHand) > 0 && !now.Before(s.inHand[0].from)
}

// drop forgets the tokens that nobody has spent in time.
func (s *share) drop(now time.Time) {
	for len(s.inHand) > 0 && now.After(s.inHand[0].until) {
		s.inHand = s.inHand[1:]
	}
}

// borrow is how long the head of the line waits for its token at least, and has
// more asked for where it is time. The line is locked.
func (g *Gate) borrow(w *waiter, now time.Time) (time.Duration, error) {
	s := g.share
	if g.pace.limit(now) == rate.Inf {
		return 0, nil
	}
	s.drop(now)
	if !s.failing.IsZero() && now.Sub(s.again) > patience {
		s.failing = time.Time{} // nobody has asked for long
	}
	waiting := len(g.line.waiters)
	if w.wake == nil { // not among them yet
		waiting++
	}
	if due := !now.Before(s.again) || aheadOf(w) > s.ahead; due && !now.Before(g.until) && len(s.inHand) < waiting {
		g.ask()
	}
	switch {
	case len(s.inHand) > 0:
		return s.inHand[0].from.Sub(now), nil
	case !s.failing.IsZero() && now.Sub(s.failing) >= patience:
		return 0, s.err
	case s.asking:
		return maxEstimate, nil // the answer wakes it
	default:
		return max(s.again.Sub(now), time.Millisecond), nil
	}
}

func aheadOf(w *waiter) time.Duration {
	if w.starved {
		return ahead[Interactive]
	}
	return ahead[w.lane]
}

// ask starts the asking, unless it is under way. The line is locked.
func (g *Gate) ask() {
	s := g.share
	if s.asking {
		return
	}
	s.asking = true
	s.spawn(func() {
		g.line.mu.Lock()
		defer g.line.mu.Unlock()
		a, lateness := g.compose(time.Now())
		if a.Tokens == 0 && a.Pause == 0 && a.Slowed == (Slowdown{}) {
			s.asking = false // those who waited have gone
			return
		}
		g.line.mu.Unlock()
		sent := time.Now()
		loan, err := s.borrow(a)
		g.line.mu.Lock()
		s.asking = false
		if err != nil {
			g.unanswered(a, err, sent)
			return
		}
		g.settle(a, loan, sent, lateness)
	})
}

func (s *share) borrow(a Ask) (Loan, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	return s.lend(ctx, a)
}

// compose is what there is to ask and to tell, and how late its tokens may be spent.
func (g *Gate) compose(now time.Time) (a Ask, lateness time.Duration) {
	s, limit := g.share, g.pace.limit(now)
	if limit == rate.Inf {
		return Ask{}, 0
	}
	atOnce, late := split(g.pace.size(), limit)
	a = Ask{Step: stepOf(limit), Burst: atOnce}
	if s.pauseUntold {
		a.Pause, s.pauseUntold = max(g.until.Sub(now), 0), false
	}
	if s.slowdownUntold {
		a.Slowed = Slowdown{Step: stepOf(g.pace.learned), Before: stepOf(g.pace.refused)}
		s.slowdownUntold = false
	}
	if a.Pause == 0 && len(g.line.waiters) == 0 && !s.failing.IsZero() {
		a.Tokens = 1 // those who want one do not wait any more
	}
	if a.Pause == 0 && len(g.line.waiters) > 0 {
		head, waiting := g.line.waiters[0], len(g.line.waiters)
		if aheadOf(head) == ahead[Interactive] { // the others shall not profit from its place
			for waiting > 1 && g.line.waiters[waiting-1].lane != Interactive {
				waiting--
			}
		}
		block := int(math.Ceil(float64(limit) * blockSpan.Seconds()))
		a.Ahead, a.Tokens = aheadOf(head), min(max(waiting-len(s.inHand), 1), block)
	}
	return a, time.Duration(late * float64(a.Step))
}

// unanswered has what could not be told told again, and the waiters look whether
// they still want to wait. The line is locked.
func (g *Gate) unanswered(a Ask, err error, sent time.Time) {
	s := g.share
	if s.failing.IsZero() {
		s.failing = sent
	}
	s.err, s.again = err, time.Now().Add(askAgain)
	s.pauseUntold = s.pauseUntold || a.Pause > 0
	s.slowdownUntold = s.slowdownUntold || a.Slowed != (Slowdown{})
	g.line.wakeAll()
}

// settle takes the answer to what was asked at that time. The line is locked.
func (g *Gate) settle(a Ask, loan Loan, sent time.Time, lateness time.Duration) {
	s, now := g.share, time.Now()
	s.failing, s.err, s.ahead = time.Time{}, nil, a.Ahead
	if number := loan.Slowed.Number; a.Slowed != (Slowdown{}) {
		s.seen = number // our own
	} else if number != s.seen && !s.slowdownUntold {
		s.seen = number
		g.adopt(loan.Slowed, now)
	}
	if end := now.Add(loan.Pause); loan.Pause > 0 && end.Sub(g.until) > samePause {
		g.pauseUntil(end)
	}
	// The store's clock read something between sent and now: a token counts from the
	// later and until the earlier.
	for i := range loan.Tokens {
		due := loan.First + time.Duration(i)*a.Step
		s.inHand = append(s.inHand, token{from: now.Add(due), until: sent.Add(due + lateness)})
	}
	s.again = now.Add(untilNext(a, loan, now.Sub(sent)))
	if s.pauseUntold || s.slowdownUntold {
		g.ask()
	}
	g.line.wakeHead()
}

// untilNext is how long not to ask for more after that answer, which took so long.
func untilNext(a Ask, loan Loan, took time.Duration) time.Duration {
	last := loan.First + time.Duration(loan.Tokens-1)*a.Step
	available := last + a.Step - a.Ahead
	if loan.Tokens == 0 { // others wait for the same moment
		return max(available, 0) + rand.N(refillLead)
	}
	return max(available, last-min(max(refillLead, 2*took), maxRefillLead))
}

// adopt takes over the rate that a refusal elsewhere has led to. Requests that are
// under way count as part of the same wave.
func (g *Gate) adopt(slowed Slowdown, now time.Time) {
	if slowed.Step <= 0 || slowed.Before <= 0 {
		return
	}
	perSecond := func(step time.Duration) rate.Limit { return rate.Limit(float64(time.Second) / float64(step)) }
	g.pace.learned, g.pace.refused, g.pace.guessed = perSecond(slowed.Step), perSecond(slowed.Before), false
	g.pace.changed, g.pace.wave = now.Add(-slowed.Ago), now
	g.pace.recover(now)
	g.apply()
}

// tell has the others told of a pause, or of a slowdown. The line is locked.
func (g *Gate) tell(pause, slowdown bool) {
	s := g.share
	if s == nil || !pause && !slowdown {
		return
	}
	s.pauseUntold, s.slowdownUntold = s.pauseUntold || pause, s.slowdownUntold || slowdown
	g.ask()
}
