package enlace

import (
	"context"
	"sync"
	"time"
)

// turns is a queue of integrations with work to do, each at most once, so that one with
// much to do waits behind all others after each turn. The zero value is empty.
type turns struct {
	mu     sync.Mutex
	queue  []Ref
	state  map[Ref]turnState
	rest   map[Ref]time.Time // not before, unless it is woken
	hold   map[Ref]time.Time // not before
	signal chan struct{}     // takes one; made by the first who waits
}

type turnState uint8

const (
	turnQueued  turnState = iota + 1
	turnRunning           // somebody works on it
	turnAgain             // and there is more since
)

// add puts an integration at the end of the queue, unless it is there.
func (t *turns) add(ref Ref) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.state[ref] {
	case 0:
		if t.state == nil {
			t.state = map[Ref]turnState{}
		}
		t.state[ref] = turnQueued
		t.queue = append(t.queue, ref)
		t.wakeOne()
	case turnRunning:
		t.state[ref] = turnAgain
	}
}

// wakeOne has somebody who waits look again. t.mu is held.
func (t *turns) wakeOne() {
	if t.signal == nil {
		t.signal = make(chan struct{}, 1)
	}
	select {
	case t.signal <- struct{}{}:
	default:
	}
}

// next waits for an integration to work on; done must be called after it.
func (t *turns) next(ctx context.Context) (Ref, bool) {
	for ctx.Err() == nil {
		t.mu.Lock()
		if len(t.queue) > 0 {
			ref := t.queue[0]
			t.queue = t.queue[1:]
			t.state[ref] = turnRunning
			if len(t.queue) > 0 {
				t.wakeOne()
			}
			t.mu.Unlock()
			return ref, true
		}
		if t.signal == nil {
			t.signal = make(chan struct{}, 1)
		}
		signal := t.signal
		t.mu.Unlock()
		select {
		case <-signal:
		case <-ctx.Done():
		}
	}
	return Ref{}, false
}

// done ends a turn. If there is more to do the integration goes to the end of the queue.
func (t *turns) done(ref Ref, more bool) {
	t.mu.Lock()
	more = more || t.state[ref] == turnAgain
	delete(t.state, ref)
	t.mu.Unlock()
	if more {
		t.add(ref)
	}
}

// restUntil keeps an integration that has nothing due from being looked at by polls.
func (t *turns) restUntil(ref Ref, at time.Time) { t.postpone(&t.rest, ref, at) }

// resting says whether an integration has nothing to do yet. One that is woken is
// worked on all the same.
func (t *turns) resting(ref Ref, now time.Time) bool { return t.postponed(&t.rest, ref, now) }

// holdUntil keeps an integration from being worked on.
func (t *turns) holdUntil(ref Ref, at time.Time) { t.postpone(&t.hold, ref, at) }

func (t *turns) held(ref Ref, now time.Time) bool { return t.postponed(&t.hold, ref, now) }

// postpone notes a time in one of the two maps. Those that a full map loses are only
// looked at earlier.
func (t *turns) postpone(times *map[Ref]time.Time, ref Ref, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *times == nil || len(*times) >= maxLimiters {
		*times = map[Ref]time.Time{}
	}
	(*times)[ref] = at
}

// postponed says whether the noted time is still to come, and forgets one that is over.
func (t *turns) postponed(times *map[Ref]time.Time, ref Ref, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before((*times)[ref]) {
		return true
	}
	delete(*times, ref)
	return false
}
