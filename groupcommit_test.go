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
	for _, c := range []struct{ parallel, beside int }{{1, 0}, {2, 0}, {2, 5}, {2, 1000}} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var sizes []int
			committed := map[int]int{}
			g := groupCommit[int]{maxItems: 10, parallel: c.parallel, beside: c.beside, run: func(_ context.Context, items []int) error {
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

// A commit begins beside another one when it is worth it; fewer wait until that one has ended.
func TestGroupCommitBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun [][]int
		hold := make(chan struct{})
		g := groupCommit[int]{maxItems: 10, parallel: 2, beside: 3, run: func(_ context.Context, items []int) error {
			begun = append(begun, items)
			<-hold
			return nil
		}}
		var wait sync.WaitGroup
		arrive := func(item int) {
			wait.Go(func() { _ = g.do(t.Context(), item) })
			synctest.Wait()
		}
		for i, want := range []int{1, 1, 1, 2, 2, 2} { // how many commits have begun
			arrive(i)
			if len(begun) != want {
				t.Fatalf("%d commits with %d items, want %d: %v", len(begun), i+1, want, begun)
			}
		}
		hold <- struct{}{} // one of the two ends: what waits is not worth another one beside the other
		synctest.Wait()
		if len(begun) != 2 {
			t.Fatalf("%v", begun)
		}
		hold <- struct{}{}
		synctest.Wait()
		if len(begun) != 3 || len(begun[2]) != 2 {
			t.Fatalf("%v", begun)
		}
		hold <- struct{}{}
		wait.Wait()
	})
}

// Callers that give up, errors and panics leave everybody else with the right answer,
// and the group goes on.
func TestGroupCommitFaults(t *testing.T) {
	for _, beside := range []int{0, 3} {
		groupCommitFaults(t, beside)
	}
}

func groupCommitFaults(t *testing.T, beside int) {
	var commits, running, most atomic.Int64
	failed := errors.New("failed")
	var mu sync.Mutex
	committed := map[int]bool{}
	g := groupCommit[int]{maxItems: 7, parallel: 2, beside: beside, run: func(ctx context.Context, items []int) error {
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
