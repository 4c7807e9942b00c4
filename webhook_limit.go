package enlace

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// maxLimiters bounds the memory of limiters; when there are more, all begin anew.
const maxLimiters = 10_000

// limiters are rate limits by key.
type limiters[K comparable] struct {
	mu    sync.Mutex
	byKey map[K]*rate.Limiter
	limit rate.Limit
	burst int
}

func (l *limiters[K]) get(key K, create bool) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.byKey[key]
	if limiter == nil && create {
		if l.byKey == nil || len(l.byKey) >= maxLimiters {
			l.byKey = map[K]*rate.Limiter{}
		}
		limiter = rate.NewLimiter(l.limit, l.burst)
		l.byKey[key] = limiter
	}
	return limiter
}

// wait takes one from the key's limit and returns 0, or how long until there is one.
func (l *limiters[K]) wait(key K) time.Duration {
	reservation := l.get(key, true).Reserve()
	delay := reservation.Delay()
	if delay > 0 {
		reservation.Cancel()
	}
	return delay
}

// exhausted says how long until the key has one again, without taking any; 0 if it has.
func (l *limiters[K]) exhausted(key K) time.Duration {
	limiter := l.get(key, false)
	if limiter == nil {
		return 0
	}
	missing := 1 - limiter.Tokens()
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(l.limit) * float64(time.Second))
}

// sourceKey is who sends to which address. An address that does not exist is the empty Ref.
type sourceKey struct {
	endpoint Ref
	source   netip.Prefix
}

// sourceOf is what counts as one sender: in IPv6, whoever has one address has 2^64.
func sourceOf(client netip.Addr) netip.Prefix {
	bits := 32
	if client.Is6() {
		bits = 64
	}
	p, _ := client.Prefix(bits)
	return p
}

// memoryBudget bounds the bodies that are held at once.
type memoryBudget struct {
	left atomic.Int64
}

func (b *memoryBudget) take(n int64) bool {
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

func (b *memoryBudget) give(n int64) { b.left.Add(n) }
