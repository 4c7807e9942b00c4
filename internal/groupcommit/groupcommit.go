// Package groupcommit lets many callers share one commit: while one commit is on its
// way, those who come meanwhile gather for the next. It starts no goroutine: the first
// caller of a batch carries it out for all.
package groupcommit

import (
	"context"
	"errors"
	"sync"
)

// Group gathers items for Commit. Set the exported fields before its first use.
type Group[T any] struct {
	// Commit makes all items durable, or none. Its context does not end with any
	// caller's.
	Commit func(ctx context.Context, items []T) error
	// MaxItems bounds a batch.
	MaxItems int
	// Parallel is how many commits may be on their way at once.
	Parallel int

	mu      sync.Mutex
	waiting []*waiter[T]
	running int
}

type waiter[T any] struct {
	item T
	done chan verdict[T] // takes one
}

// verdict is what a waiter hears: a batch, its own item first, that it has to commit
// for all, or the fate of its item.
type verdict[T any] struct {
	batch []*waiter[T]
	err   error
}

// Do returns when the item is committed, or with the error of the commit. If ctx ends
// first it returns ctx's error, and the item is committed or not.
func (g *Group[T]) Do(ctx context.Context, item T) error {
	w := &waiter[T]{item: item, done: make(chan verdict[T], 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	if g.running < g.Parallel {
		g.running++
		g.passOn()
	}
	g.mu.Unlock()
	select {
	case v := <-w.done:
		if v.batch != nil {
			return g.commit(ctx, v.batch)
		}
		return v.err
	case <-ctx.Done():
		g.leave(ctx, w)
		return ctx.Err()
	}
}

// passOn gives the first who waits a batch to commit, or ends a turn. g.mu is held.
func (g *Group[T]) passOn() {
	if len(g.waiting) == 0 {
		g.running--
		return
	}
	n := min(len(g.waiting), g.MaxItems)
	batch := append([]*waiter[T](nil), g.waiting[:n]...)
	g.waiting = append(g.waiting[:0], g.waiting[n:]...)
	batch[0].done <- verdict[T]{batch: batch}
}

// commit carries out a batch, lets the next one begin and tells the others.
func (g *Group[T]) commit(ctx context.Context, batch []*waiter[T]) (err error) {
	items := make([]T, len(batch))
	for i, w := range batch {
		items[i] = w.item
	}
	err = errPanicked
	defer func() {
		g.mu.Lock()
		g.passOn()
		g.mu.Unlock()
		for _, w := range batch[1:] {
			w.done <- verdict[T]{err: err}
		}
	}()
	err = g.Commit(context.WithoutCancel(ctx), items)
	return err
}

// leave lets a caller go before its item is committed. A batch that was on its way to
// it is carried out all the same.
func (g *Group[T]) leave(ctx context.Context, w *waiter[T]) {
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
		if v.batch != nil {
			_ = g.commit(ctx, v.batch)
		}
	default:
	}
}

// errPanicked is what the others of a batch hear when its commit panicked.
var errPanicked = errors.New("groupcommit: the commit panicked")
