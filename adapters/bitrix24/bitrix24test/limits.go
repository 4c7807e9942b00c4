package bitrix24test

import (
	"sync"
	"time"
)

// Limits are the limits of a portal (sheet 3.1 and 3.2).
type Limits struct {
	Threshold   int           // a request is refused while the counter is above it
	Leak        float64       // how much the counter falls per second
	Operating   time.Duration // run time that a method may take in ten minutes; 0 for no limit
	BillRefused bool          // refused requests raise the counter too
}

// CloudLimits are those of all cloud plans but Enterprise: 50 requests at once, 2 per second, and
// 480 s of run time per method in ten minutes.
func CloudLimits() *Limits {
	return &Limits{Threshold: 50, Leak: 2, Operating: 480 * time.Second}
}

// EnterpriseLimits are those of the Enterprise plan: 250 requests at once and 5 per second.
func EnterpriseLimits() *Limits {
	return &Limits{Threshold: 250, Leak: 5, Operating: 480 * time.Second}
}

var errQueryLimit = &restError{503, "QUERY_LIMIT_EXCEEDED", "Too many requests"}

// limiter is the leaky bucket of each client address.
type limiter struct {
	limits  *Limits // nil for none
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	level float64
	at    time.Time
}

// maxBuckets bounds the addresses that are remembered; beyond it all buckets that ran empty go.
const maxBuckets = 10_000

func (l *limiter) admit(clientIP string, now time.Time) *restError {
	if l.limits == nil || l.limits.Threshold <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[clientIP]
	if b == nil {
		l.forget(now)
		b = &bucket{at: now}
		l.buckets[clientIP] = b
	}
	b.level = max(0, b.level-now.Sub(b.at).Seconds()*l.limits.Leak)
	b.at = now
	if b.level > float64(l.limits.Threshold) {
		if l.limits.BillRefused {
			b.level++
		}
		return errQueryLimit
	}
	b.level++
	return nil
}

func (l *limiter) forget(now time.Time) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for ip, b := range l.buckets {
		if b.level <= now.Sub(b.at).Seconds()*l.limits.Leak {
			delete(l.buckets, ip)
		}
	}
}

var errOperatingLimit = &restError{429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit."}

const (
	operatingBucket = time.Minute
	operatingWindow = 10 * time.Minute
)

type operatingKey struct{ credential, method string }

// operating sums the run time of each method per credential over ten minutes.
type operating struct {
	limit time.Duration // 0 for none
	mu    sync.Mutex
	spent map[operatingKey]*spending
}

// spending is the run time of one method in one-minute buckets; a bucket's ten minutes run from
// its first call.
type spending struct {
	sum     time.Duration
	buckets []struct {
		from  time.Time
		spent time.Duration
	}
}

func (s *spending) expire(now time.Time) {
	for len(s.buckets) > 0 && !now.Before(s.buckets[0].from.Add(operatingWindow)) {
		s.sum -= s.buckets[0].spent
		s.buckets = s.buckets[1:]
	}
}

func (o *operating) admit(key operatingKey, now time.Time) *restError {
	if o.limit == 0 {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.spent[key]
	if s == nil {
		return nil
	}
	if s.expire(now); s.sum > o.limit {
		return errOperatingLimit
	}
	return nil
}

// book adds run time and returns the sum, and when its oldest bucket falls out.
func (o *operating) book(key operatingKey, now time.Time, cost time.Duration) (sum time.Duration, resetAt time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.spent[key]
	if s == nil {
		if cost <= 0 {
			return 0, time.Time{}
		}
		s = &spending{}
		o.spent[key] = s
	}
	s.expire(now)
	if cost > 0 {
		s.sum += cost
		if n := len(s.buckets); n > 0 && now.Before(s.buckets[n-1].from.Add(operatingBucket)) {
			s.buckets[n-1].spent += cost
		} else {
			s.buckets = append(s.buckets, struct {
				from  time.Time
				spent time.Duration
			}{now, cost})
		}
	}
	if len(s.buckets) == 0 {
		return 0, time.Time{}
	}
	return s.sum, s.buckets[0].from.Add(operatingWindow)
}
