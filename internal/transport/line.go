package transport

import (
	"context"
	"slices"
	"sync"
	"time"
)

// line is a queue: its members wait one behind the other and leave in the order
// of arrival. Gate and Budget say when the first may go. The zero value is ready.
type line struct {
	mu      sync.Mutex
	waiters []*waiter // the first is at the head
}

type waiter struct {
	wake    chan struct{} // holds one wake-up; more would say nothing new
	since   time.Time
	caught  time.Time // Gate: the end of the pause for which release was drawn
	release time.Time // Gate: not to go before that
}

// ask is called with the line locked. It returns how long the waiter has to wait
// at least: 0 lets it go, if its place is 0; an error sends it away. It is asked
// again after that time and after wakeAll.
type ask func(w *waiter, place int, now time.Time) (time.Duration, error)

// wait returns nil when the caller's turn has come, ctx's error as soon as ctx
// ends, and what ask returns.
func (l *line) wait(ctx context.Context, ask ask) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	w := &waiter{since: now}
	l.mu.Lock()
	place := len(l.waiters)
	delay, err := ask(w, place, now)
	if err != nil || (delay <= 0 && place == 0) {
		l.mu.Unlock()
		return err
	}
	w.wake = make(chan struct{}, 1)
	l.waiters = append(l.waiters, w)
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
			l.leave(w)
			return ctx.Err()
		case <-w.wake:
		case <-due:
		}
		l.mu.Lock()
		place = slices.Index(l.waiters, w)
		delay, err = ask(w, place, time.Now())
		l.mu.Unlock()
		if err != nil || (delay <= 0 && place == 0) {
			l.leave(w)
			return err
		}
	}
}

// leave takes w out and calls the next one if that is the head now.
func (l *line) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := slices.Index(l.waiters, w)
	l.waiters = slices.Delete(l.waiters, place, place+1)
	if place == 0 {
		l.wakeHead()
	}
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
