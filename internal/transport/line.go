package transport

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// starvation is how long busy lanes may keep a less urgent one from moving at all.
// Then one of its members goes first.
const starvation = 10 * time.Second

// line is a queue: its members wait one behind the other. Urgent lanes go first;
// within a lane the flows (tenants) take turns, and each flow's members leave in
// the order of arrival. Gate and Budget say when the first may go. The zero value
// is ready.
type line struct {
	mu      sync.Mutex
	waiters []*waiter            // the first is at the head
	served  [laneCount]time.Time // when a waiter of the lane left last
	// Each member gets the number of the round in which its flow has its turn;
	// round is that of the last departure, last the latest given to each flow.
	round int
	last  map[string]int
}

type waiter struct {
	wake    chan struct{} // holds one wake-up; more would say nothing new
	since   time.Time
	lane    Lane
	flow    string
	round   int
	starved bool      // it goes before everybody else
	caught  time.Time // Gate: the end of the pause for which release was drawn
	release time.Time // Gate: not to go before that
}

// order is negative if a goes before b.
func order(a, b *waiter) int {
	switch {
	case a.starved != b.starved && a.starved:
		return -1
	case a.starved != b.starved:
		return 1
	default:
		return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.round, b.round))
	}
}

// ask is called with the line locked. It returns how long the waiter has to wait
// at least: 0 lets it go, if its place is 0; an error sends it away. It is asked
// again after that time and after wakeAll.
type ask func(w *waiter, place int, now time.Time) (time.Duration, error)

// wait returns nil when the caller's turn has come, ctx's error as soon as ctx
// ends, and what ask returns.
func (l *line) wait(ctx context.Context, flow string, ask ask) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	w := &waiter{since: now, lane: laneOf(ctx), flow: flow}
	l.mu.Lock()
	w.round = max(l.round, l.last[flow]+1)
	place := l.placeFor(w)
	delay, err := ask(w, place, now)
	if err != nil || (delay <= 0 && place == 0) {
		l.mu.Unlock()
		return err
	}
	w.wake = make(chan struct{}, 1)
	l.join(w, place)
	l.mu.Unlock()

	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		// Only the head has a reason to look again by itself.
		var due <-chan time.Time
		if place == 0 {
			timer.Reset(delay)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			l.leave(w, false)
			return ctx.Err()
		case <-w.wake:
		case <-due:
		}
		l.mu.Lock()
		place = slices.Index(l.waiters, w)
		delay, err = ask(w, place, time.Now())
		l.mu.Unlock()
		if err != nil || (delay <= 0 && place == 0) {
			l.leave(w, err == nil)
			return err
		}
	}
}

// placeFor is where w would stand: behind everybody who goes before it or has
// come before it.
func (l *line) placeFor(w *waiter) int {
	for i := len(l.waiters); i > 0; i-- {
		if order(w, l.waiters[i-1]) >= 0 {
			return i
		}
	}
	return 0
}

func (l *line) join(w *waiter, place int) {
	if l.last == nil {
		l.last = map[string]int{}
	}
	l.last[w.flow] = w.round
	l.waiters = slices.Insert(l.waiters, place, w)
}

// leave takes w out, served or not, and calls the next one if that is the head now.
func (l *line) leave(w *waiter, served bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := slices.Index(l.waiters, w)
	l.waiters = slices.Delete(l.waiters, place, place+1)
	if served {
		l.round = max(l.round, w.round)
		now := time.Now()
		l.served[w.lane] = now
		l.callStarved(now)
	}
	if len(l.waiters) == 0 {
		clear(l.last)
	}
	if place == 0 {
		l.wakeHead()
	}
}

// callStarved brings the first one of a lane that does not move to the head.
func (l *line) callStarved(now time.Time) {
	if len(l.waiters) == 0 || l.waiters[0].starved {
		return
	}
	for _, w := range l.waiters[1:] {
		if w.lane > l.waiters[0].lane && l.untilStarved(w, now) <= 0 {
			w.starved = true
			slices.SortStableFunc(l.waiters, order)
			return
		}
	}
}

// untilStarved is how long it takes until w's lane has not moved for too long.
func (l *line) untilStarved(w *waiter, now time.Time) time.Duration {
	from := w.since
	if moved := l.served[w.lane]; moved.After(from) {
		from = moved
	}
	return starvation - now.Sub(from)
}

// wakeHead has the first ask again; the line is locked.
func (l *line) wakeHead() {
	if len(l.waiters) > 0 {
		l.waiters[0].rouse()
	}
}

// wakeAll has everybody ask again; the line is locked.
func (l *line) wakeAll() {
	for _, w := range l.waiters {
		w.rouse()
	}
}

func (w *waiter) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
