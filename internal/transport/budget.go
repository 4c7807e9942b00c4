package transport

import (
	"context"
	"slices"
	"time"
)

// bucketsPerWindow is in how many parts a window is accounted for, as Bitrix24
// does it (Bitrix24 sheet 3.2).
const bucketsPerWindow = 10

// Budget accounts for the run time that one method of one account has used at the
// provider, so that the provider's limit per window is never reached. Use is summed
// in buckets of a tenth of the window, each forgotten one window after its first
// use: the provider's own way, so that both figures fall together. It is safe for
// concurrent use; waiters go by lane, those of one lane in the order of arrival.
type Budget struct {
	line     line
	limit    time.Duration
	window   time.Duration
	reserved time.Duration // of the calls under way
	spent    []spending    // the one that expires first is first
}

type spending struct {
	until  time.Time // forgotten then
	amount time.Duration
	own    bool // a bucket of ours; otherwise only the provider knew
}

// NewBudget returns a budget of limit run time per window; a limit or window of 0
// or less is no limit.
func NewBudget(limit, window time.Duration) *Budget {
	return &Budget{limit: limit, window: window}
}

// Acquire waits until cost, the estimate for one call, fits beside what is used
// and reserved, and reserves it. More than the limit counts as the limit. The
// caller calls release with what the call really took, 0 if it did not run, as
// soon as that is known and in any case; only its first call counts.
//
// It returns ctx.Err() if ctx ends first, and a *WaitError at once if the provider's
// window makes it certain that the deadline comes first. Then release is nil.
func (b *Budget) Acquire(ctx context.Context, cost time.Duration) (release func(actual time.Duration), err error) {
	if b.limit <= 0 || b.window <= 0 {
		return func(time.Duration) {}, ctx.Err()
	}
	cost = min(max(cost, 0), b.limit)
	deadline, limited := ctx.Deadline()
	err = b.line.wait(ctx, "", func(_ *waiter, place int, now time.Time) (time.Duration, error) {
		b.forget(now)
		if first := b.earliest(cost, now); limited && first.After(deadline) {
			return 0, &WaitError{Wait: first.Sub(now)}
		}
		if b.used()+b.reserved+cost > b.limit {
			return b.nextExpiry(now), nil
		}
		if place == 0 {
			b.reserved += cost
		}
		return 0, nil
	})
	if err != nil {
		return nil, err
	}
	return b.releaseOnce(cost), nil
}

func (b *Budget) releaseOnce(cost time.Duration) func(time.Duration) {
	done := false
	return func(actual time.Duration) {
		b.line.mu.Lock()
		defer b.line.mu.Unlock()
		if done {
			return
		}
		done = true
		b.reserved -= cost
		if actual > 0 {
			b.spend(actual, time.Now())
		}
		b.line.wakeHead()
	}
}

// Report takes over the provider's own figure, which counts other clients too: if
// used is more than what is used and reserved here, the difference is counted until
// resetAt (a tenth of the window from now at least, one window at most). What is
// reserved counts because the figure holds what calls under way have used so far.
// Call it after the release of the call that brought the figure.
func (b *Budget) Report(used time.Duration, resetAt time.Time) {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	now := time.Now()
	b.forget(now)
	excess := used - b.used() - b.reserved
	if excess <= 0 || b.limit <= 0 || b.window <= 0 {
		return
	}
	part := b.window / bucketsPerWindow
	if earliest, latest := now.Add(part), now.Add(b.window); resetAt.Before(earliest) {
		resetAt = earliest
	} else if resetAt.After(latest) {
		resetAt = latest
	}
	near := slices.IndexFunc(b.spent, func(s spending) bool { return !s.own && s.until.Sub(resetAt).Abs() < part })
	if near < 0 {
		b.add(spending{until: resetAt, amount: excess})
	} else {
		b.spent[near].amount += excess // one entry per part, or they could grow without bound
	}
	b.line.wakeAll() // some may now know that they wait in vain
}

// spend puts the amount into the bucket that is open, or opens one.
func (b *Budget) spend(amount time.Duration, now time.Time) {
	b.forget(now)
	closing := b.window - b.window/bucketsPerWindow
	open := slices.IndexFunc(b.spent, func(s spending) bool { return s.own && s.until.Sub(now) > closing })
	if open < 0 {
		b.add(spending{until: now.Add(b.window), amount: amount, own: true})
	} else {
		b.spent[open].amount += amount
	}
}

func (b *Budget) add(s spending) {
	b.spent = append(b.spent, s)
	slices.SortStableFunc(b.spent, func(a, b spending) int { return a.until.Compare(b.until) })
}

func (b *Budget) forget(now time.Time) {
	b.spent = slices.DeleteFunc(b.spent, func(s spending) bool { return !s.until.After(now) })
}

func (b *Budget) used() (sum time.Duration) {
	for _, s := range b.spent {
		sum += s.amount
	}
	return sum
}

// earliest is when cost fits at the soonest, even if all calls under way end now
// and cost nothing.
func (b *Budget) earliest(cost time.Duration, now time.Time) time.Time {
	used, at := b.used(), now
	for _, s := range b.spent {
		if used+cost <= b.limit {
			break
		}
		used, at = used-s.amount, s.until
	}
	return at
}

func (b *Budget) nextExpiry(now time.Time) time.Duration {
	if len(b.spent) == 0 {
		return b.window // only a release can change anything
	}
	return b.spent[0].until.Sub(now)
}
