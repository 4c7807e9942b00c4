package enlace

import (
	"context"
	"errors"
	"sync"
)

// groupCommit lets many callers share one commit: while one is on its way, those who
// come meanwhile gather for the next. It starts no goroutine: the first caller of a
// batch carries it out for all. Set the first four fields before its use.
type groupCommit[T any] struct {
	// run makes all items durable, or none. Its context does not end with any
	// caller's.
	run func(ctx context.Context, items []T) error
	// maxItems bounds a batch.
	maxItems int
	// parallel is how many commits may be on their way at once.
	parallel int
	// beside is how many items must wait for a commit to begin beside another one: each costs
	// the store as much as some items do, whatever it holds.
	beside int

	mu      sync.Mutex
	waiting []*commitWaiter[T]
	running int
}

type commitWaiter[T any] struct {
	item T
	done chan commitVerdict[T] // takes one
}

// commitVerdict is what a waiter hears: that it has to commit for all, or the fate of
// its item.
type commitVerdict[T any] struct {
	lead bool
	err  error
}

// do returns when the item is committed, or with the error of the commit. If ctx ends
// first it returns ctx's error, and the item is committed or not.
func (g *groupCommit[T]) do(ctx context.Context, item T) error {
	w := &commitWaiter[T]{item: item, done: make(chan commitVerdict[T], 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	if g.running == 0 || (g.running < g.parallel && len(g.waiting) >= g.beside) {
		g.running++
		g.passOn()
	}
	g.mu.Unlock()
	select {
	case v := <-w.done:
		if v.lead {
			return g.commit(ctx, w)
		}
		return v.err
	case <-ctx.Done():
		g.leave(ctx, w)
		return ctx.Err()
	}
}

// passOn has the first who waits commit, or ends a turn; what is left then is for the one
// that is on its way. g.mu is held.
func (g *groupCommit[T]) passOn() {
	if len(g.waiting) == 0 || (g.running > 1 && len(g.waiting) < g.beside) {
		g.running--
		return
	}
	first := g.waiting[0]
	g.waiting = append(g.waiting[:0], g.waiting[1:]...)
	first.done <- commitVerdict[T]{lead: true}
}

// commit carries out a batch of w's item and what waits by now, lets the next one begin
// and tells the others.
func (g *groupCommit[T]) commit(ctx context.Context, w *commitWaiter[T]) (err error) {
	g.mu.Lock()
	n := min(len(g.waiting), g.maxItems-1)
	others := append([]*commitWaiter[T](nil), g.waiting[:n]...)
	g.waiting = append(g.waiting[:0], g.waiting[n:]...)
	g.mu.Unlock()
	items := make([]T, 0, n+1)
	items = append(items, w.item)
	for _, other := range others {
		items = append(items, other.item)
	}
	err = errCommitPanicked
	defer func() {
		g.mu.Lock()
		g.passOn()
		g.mu.Unlock()
		for _, other := range others {
			other.done <- commitVerdict[T]{err: err}
		}
	}()
	err = g.run(context.WithoutCancel(ctx), items)
	return err
}

// leave lets a caller go before its item is committed. If it was to commit for all, it
// does so all the same.
func (g *groupCommit[T]) leave(ctx context.Context, w *commitWaiter[T]) {
	g.mu.Lock()
	for i, other := range g.waiting {
		if other == w {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	select {
	case v := <-w.done:
		if v.lead {
			_ = g.commit(ctx, w)
		}
	default:
	}
}

// errCommitPanicked is what the others of a batch hear when its commit panicked.
var errCommitPanicked = errors.New("enlace: the commit panicked")
