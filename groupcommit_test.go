package enlace

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Those who come while a commit is on its way share the next one.
func TestGroupCommitShares(t *testing.T) {
	for _, parallel := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var sizes []int
			committed := map[int]int{}
			g := groupCommit[int]{maxItems: 10, parallel: parallel, run: func(_ context.Context, items []int) error {
				time.Sleep(time.Second) // of virtual time
				mu.Lock()
				defer mu.Unlock()
				sizes = append(sizes, len(items))
				for _, item := range items {
					committed[item]++
				}
				return nil
			}}
			var wait sync.WaitGroup
			for i := range 101 {
				wait.Go(func() {
					if err := g.do(t.Context(), i); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if committed[i] != 1 {
						t.Errorf("Do returned, and item %d was committed %d times", i, committed[i])
					}
				})
			}
			wait.Wait()
			if len(sizes) > 12 {
				t.Errorf("%d commits for 101 items: %v", len(sizes), sizes)
			}
			for _, n := range sizes {
				if n > 10 {
					t.Errorf("a batch of %d", n)
				}
			}
		})
	}
}

// Callers that give up, errors and panics leave everybody else with the right answer,
// and the group goes on.
func TestGroupCommitFaults(t *testing.T) {
	var commits, running, most atomic.Int64
	failed := errors.New("failed")
	var mu sync.Mutex
	committed := map[int]bool{}
	g := groupCommit[int]{maxItems: 7, parallel: 2, run: func(ctx context.Context, items []int) error {
		if ctx.Err() != nil {
			t.Error("the commit's context has ended")
		}
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		time.Sleep(50 * time.Microsecond)
		switch n := commits.Add(1); {
		case n%5 == 0:
			return failed
		case n%7 == 0:
			panic("in the commit")
		}
		mu.Lock()
		defer mu.Unlock()
		for _, item := range items {
			if committed[item] {
				t.Errorf("item %d is committed twice", item)
			}
			committed[item] = true
		}
		return nil
	}}
	var wait sync.WaitGroup
	for i := range 3000 {
		wait.Go(func() {
			defer func() { _ = recover() }()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%3 == 0 {
				time.AfterFunc(time.Duration(i%100)*10*time.Microsecond, cancel)
			}
			err := g.do(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && !committed[i] {
				t.Errorf("Do of %d returned nil before its commit", i)
			}
			if errors.Is(err, failed) && committed[i] {
				t.Errorf("Do of %d failed, and it is committed", i)
			}
		})
	}
	wait.Wait()
	if most.Load() > 2 {
		t.Errorf("%d commits at once", most.Load())
	}
	for i := range 20 {
		func() {
			defer func() { _ = recover() }()
			_ = g.do(t.Context(), 10_000+i)
		}()
	}
	if !committed[10_000] && !committed[10_001] && !committed[10_002] {
		t.Error("the group does not go on")
	}
}
