package transport_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

const (
	limit  = 480 * time.Second
	window = 600 * time.Second
)

// spend acquires and releases at once.
func spend(t *testing.T, b *transport.Budget, cost time.Duration) {
	t.Helper()
	release, err := b.Acquire(t.Context(), cost)
	if err != nil {
		t.Fatal(err)
	}
	release(cost)
}

func TestBudgetBucketsExpireOneWindowAfterTheirFirstUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := transport.NewBudget(limit, window)
		start := time.Now()
		spend(t, b, 100*time.Second)
		time.Sleep(59 * time.Second)
		spend(t, b, 100*time.Second) // same bucket: expires with the first
		time.Sleep(time.Second)
		spend(t, b, 280*time.Second) // the next bucket
		if elapsed := time.Since(start); elapsed != time.Minute {
			t.Fatalf("waited: %v", elapsed)
		}
		spend(t, b, 150*time.Second)
		if elapsed := time.Since(start); elapsed != window {
			t.Errorf("the first bucket was free after %v", elapsed)
		}
		spend(t, b, 51*time.Second)
		if elapsed := time.Since(start); elapsed != window+time.Minute {
			t.Errorf("the second bucket was free after %v", elapsed)
		}
	})
}

func TestBudgetReleaseWakesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := transport.NewBudget(limit, window)
		first, err := b.Acquire(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for i, cost := range []time.Duration{400 * time.Second, time.Second, time.Second} {
			group.Go(func() {
				release, err := b.Acquire(t.Context(), cost)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				release(0)
			})
			synctest.Wait()
		}
		start := time.Now()
		first(time.Second)
		first(limit) // does not count
		group.Wait()
		if len(order) != 3 || order[0] != 0 || order[1] != 1 || time.Since(start) != 0 {
			t.Errorf("order %v after %v", order, time.Since(start))
		}
	})
}

func TestBudgetTakesOverTheProvidersFigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := transport.NewBudget(limit, window)
		start := time.Now()
		spend(t, b, 100*time.Second)
		b.Report(300*time.Second, start.Add(5*time.Minute)) // another client used 200 s
		b.Report(90*time.Second, start.Add(time.Minute))    // an answer that was overtaken
		spend(t, b, 180*time.Second)
		if time.Since(start) != 0 {
			t.Fatal("waited though there was room")
		}
		spend(t, b, 200*time.Second)
		if elapsed := time.Since(start); elapsed != 5*time.Minute {
			t.Errorf("free again after %v", elapsed)
		}
		// A figure that holds what calls under way have used is not counted twice.
		b, start = transport.NewBudget(limit, window), time.Now()
		release, err := b.Acquire(t.Context(), 300*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		b.Report(300*time.Second, start.Add(5*time.Minute))
		release(300 * time.Second)
		spend(t, b, 180*time.Second)
		if time.Since(start) != 0 {
			t.Error("counted twice")
		}
		// Whatever the provider says about the end is bounded.
		for _, reset := range []time.Time{{}, start.Add(-time.Hour), start.Add(1000 * time.Hour)} {
			b = transport.NewBudget(limit, window)
			now := time.Now()
			b.Report(limit, reset)
			spend(t, b, time.Second)
			if waited := time.Since(now); waited < window/10 || waited > window {
				t.Errorf("reset at %v: waited %v", reset, waited)
			}
		}
	})
}

func TestBudgetDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := transport.NewBudget(limit, window)
		spend(t, b, limit)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := b.Acquire(ctx, time.Second)
		wait, ok := errors.AsType[*transport.WaitError](err)
		if !ok || wait.Wait != window || !errors.Is(err, transport.ErrDeadlineTooShort) || time.Since(start) != 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		// What is only reserved may come back in time, so it is waited for.
		b = transport.NewBudget(limit, window)
		if _, err := b.Acquire(t.Context(), limit); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Acquire(ctx, time.Second); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestBudgetReportReachesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := transport.NewBudget(limit, window)
		if _, err := b.Acquire(t.Context(), limit); err != nil { // may come back any moment
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := b.Acquire(ctx, time.Second); !errors.Is(err, transport.ErrDeadlineTooShort) {
				t.Error(err)
			}
		})
		synctest.Wait()
		b.Report(2*limit, start.Add(window)) // beyond what is reserved here
		group.Wait()
		if time.Since(start) != 0 {
			t.Errorf("the waiter found out after %v", time.Since(start))
		}
	})
}

func TestBudgetOddValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for range 3 { // no limit
			spend(t, transport.NewBudget(0, window), 1000*time.Hour)
			spend(t, transport.NewBudget(limit, 0), 1000*time.Hour)
		}
		b := transport.NewBudget(limit, window)
		spend(t, b, -time.Hour)
		release, err := b.Acquire(t.Context(), 1000*time.Hour) // more than can ever be had counts as all of it
		if err != nil || time.Since(start) != 0 {
			t.Fatal(err)
		}
		release(-time.Hour)
		release(0)
		if _, err := b.Acquire(t.Context(), limit); err != nil || time.Since(start) != 0 {
			t.Error("waited", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := b.Acquire(ctx, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Error("the second release gave back what was not reserved")
		}
	})
}

// An own account beside the Budget's: what is reserved, and what was used in the
// last nine tenths of a window, which every bucket still holds.
func TestBudgetNeverGrantsMoreThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type use struct {
			at     time.Time
			amount time.Duration
		}
		var mu sync.Mutex
		var reserved time.Duration
		var used []use
		b := transport.NewBudget(limit, window)
		granted := 0
		check := func(cost time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			reserved += cost
			sum := reserved
			for _, u := range used {
				if time.Since(u.at) < window-window/10 {
					sum += u.amount
				}
			}
			if sum > limit {
				t.Errorf("%v granted of %v", sum, limit)
			}
			granted++
		}
		var group sync.WaitGroup
		for seed := range 8 {
			random := rand.New(rand.NewPCG(7, uint64(seed)))
			group.Go(func() {
				for range 200 {
					cost := time.Duration(random.IntN(60_000)) * time.Millisecond
					release, err := b.Acquire(t.Context(), cost)
					if err != nil {
						t.Error(err)
						return
					}
					check(cost)
					actual := min(time.Duration(random.IntN(60_000))*time.Millisecond, cost)
					time.Sleep(actual)
					mu.Lock()
					reserved -= cost
					used = append(used, use{time.Now(), actual})
					mu.Unlock()
					release(actual)
				}
			})
		}
		group.Wait()
		if granted != 1600 {
			t.Errorf("%d grants", granted)
		}
	})
}
