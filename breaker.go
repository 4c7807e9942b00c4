package enlace

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// breakerFailures are so many failures in a row after which an operation is
	// taken for out of order.
	breakerFailures = 5
	// breakerRest is the first pause before a probe; each probe that fails doubles
	// it, up to breakerMaxRest.
	breakerRest    = 10 * time.Second
	breakerMaxRest = 5 * time.Minute
)

// BreakerStore keeps which breakers are open, so that every process leaves a provider
// alone that one of them has found out of order.
type BreakerStore interface {
	// OpenBreakers returns those that are open, up to limit.
	OpenBreakers(ctx context.Context, limit int) ([]OpenBreaker, error)

	// SaveBreaker opens a breaker, or replaces its Rest and Left.
	SaveBreaker(ctx context.Context, b OpenBreaker) error

	// ClaimProbe gives a breaker whose rest is over another one of that length and
	// returns true: the caller is the one who tries. It returns false while the
	// rest lasts, and if the breaker is not open.
	ClaimProbe(ctx context.Context, name BreakerName, rest time.Duration) (bool, error)

	// CloseBreaker removes a breaker; it is no error if it is not open.
	CloseBreaker(ctx context.Context, name BreakerName) error

	// DeleteBreakers removes those of an integration.
	DeleteBreakers(ctx context.Context, ref Ref) error
}

// BreakerName is whose breaker it is: that of one operation of an integration.
type BreakerName struct {
	Ref       Ref
	Operation string
}

// OpenBreaker is a breaker that lets nothing through.
type OpenBreaker struct {
	BreakerName
	Rest time.Duration // how long it rested last; the next rest is twice as long
	Left time.Duration // until a probe may be made, from now; 0 or less if one may
}

// breaker keeps calls from a provider that does not answer: after some failures in
// a row it lets nothing through, and after a rest one call as a probe, in one of the
// processes. Refusals (4xx) and calls that their caller ended say nothing about the
// provider's health: they neither open nor close it. What one process finds holds in
// all of them within a second or two; while the store is away each goes by what it
// knows.
type breaker struct {
	service  *Service
	name     BreakerName
	provider string

	mu       sync.Mutex
	failures int
	rest     time.Duration // 0 while it is closed
	until    time.Time     // the rest ends then
	probing  bool
	changed  time.Time // by this process; what was read before says nothing
}

// allow says whether a call may be made; each call allowed must be reported.
func (b *breaker) allow(ctx context.Context) bool {
	b.service.followBreakers(ctx)
	b.mu.Lock()
	open := b.rest > 0
	if open && (b.probing || time.Now().Before(b.until)) {
		b.mu.Unlock()
		return false
	}
	b.probing = open
	b.mu.Unlock()
	if !open {
		return true
	}
	mine, err := b.service.store.ClaimProbe(ctx, b.name, probeTime)
	if err != nil || mine {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing, b.until = false, time.Now().Add(breakersMaxAge) // somebody else's
	return false
}

// ready says whether a call would be allowed now, as far as this process knows.
func (b *breaker) ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rest == 0 || (!b.probing && !time.Now().Before(b.until))
}

// report tells how a call that was allowed has ended.
func (b *breaker) report(ctx context.Context, err error) {
	before, after := b.judge(err)
	if before == after {
		return
	}
	s := b.service
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	var failed error
	if after == 0 {
		failed = s.store.CloseBreaker(ctx, b.name)
	} else {
		failed = s.store.SaveBreaker(ctx, OpenBreaker{BreakerName: b.name, Rest: after, Left: after})
	}
	if failed != nil {
		s.logger.WarnContext(ctx, "breaker not saved", "integration", b.name.Ref.String(), "error", failed)
	}
	if (before == 0) != (after == 0) {
		s.observe(ctx, BreakerChanged{Ref: b.name.Ref, Provider: b.provider, Operation: b.name.Operation, Open: after > 0})
	}
}

// judge takes the end of a call, and returns the rests before and after it.
func (b *breaker) judge(err error) (before, after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	probed := b.probing
	b.probing, before = false, b.rest
	switch {
	case err == nil:
		b.failures, b.rest = 0, 0
	case !outOfOrder(err):
		if probed && !errors.Is(err, ErrCanceled) { // it answers again, if only with a refusal
			b.failures, b.rest = 0, 0
		}
	default:
		if b.failures++; b.failures < breakerFailures && b.rest == 0 {
			return before, b.rest
		}
		if b.rest = max(2*b.rest, breakerRest); !probed {
			b.rest = breakerRest
		}
		b.rest = min(b.rest, breakerMaxRest)
		b.until = time.Now().Add(b.rest)
	}
	if before != b.rest {
		b.changed = time.Now()
	}
	return before, b.rest
}

// follow takes over what was read from the store, asked for at that time.
func (b *breaker) follow(asked time.Time, open OpenBreaker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probing || !asked.After(b.changed) {
		return
	}
	if b.rest = open.Rest; b.rest == 0 {
		b.failures = 0
		return
	}
	b.until = asked.Add(open.Left)
}

const (
	// breakersMaxAge is how old the breakers may be that a process goes by.
	breakersMaxAge = time.Second
	// probeTime is how long a probe keeps others from probing.
	probeTime = time.Minute
	// maxBreakers bounds how many open ones are read at a time.
	maxBreakers = 10_000
)

// sharedBreakers is when a process has read which breakers are open.
type sharedBreakers struct {
	mu   sync.Mutex // one reads them anew, the others go by what is there
	read atomic.Int64
}

// followBreakers brings the breakers up to what other processes have found, unless
// that was done in the last second.
func (s *Service) followBreakers(ctx context.Context) {
	f := &s.breakerReads
	if time.Since(time.Unix(0, f.read.Load())) < breakersMaxAge || !f.mu.TryLock() {
		return
	}
	defer f.mu.Unlock()
	asked := time.Now()
	f.read.Store(asked.UnixNano()) // also if it fails
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	open, err := s.store.OpenBreakers(ctx, maxBreakers)
	if err != nil {
		s.logger.WarnContext(ctx, "breakers not read", "error", err)
		return
	}
	left := map[BreakerName]OpenBreaker{}
	for _, o := range open {
		left[o.BreakerName] = o
	}
	s.breakersMu.Lock()
	defer s.breakersMu.Unlock()
	for name, b := range s.breakers {
		b.follow(asked, left[name])
		delete(left, name)
	}
	for name, o := range left {
		b := &breaker{service: s, name: name}
		b.follow(asked, o)
		s.breakers[name] = b
	}
}

// OpenBreakers returns the breakers of a tenant's integrations that are open, in any
// process: what is left alone since the provider does not answer. It looks through at most 10,000
// open ones of all tenants, so that in a great outage some may be missing. Errors: ErrStore.
func (s *Service) OpenBreakers(ctx context.Context, tenant string) ([]OpenBreaker, error) {
	open, err := s.store.OpenBreakers(ctx, maxBreakers)
	if err != nil {
		return nil, wrap("open breakers", ErrStore, err)
	}
	return slices.DeleteFunc(open, func(b OpenBreaker) bool { return b.Ref.Tenant != tenant }), nil
}

// outOfOrder says whether a failure is the provider's being down, and not a
// refusal, a limit or the caller's end.
func outOfOrder(err error) bool {
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrCanceled)
}

// The operations that have breakers.
const (
	pushOperation = "push"             // at the usual address
	pushElsewhere = "push, other host" // at the alternative one
)

// alternativeURL is where an account is called while pushes to its usual address
// fail; nil to call it there.
func (s *Service) alternativeURL(d Descriptor, in Integration, values settings, scheme AuthScheme) *url.URL {
	if _, secret := scheme.(SecretURL); secret || d.AlternativeURL == "" || values["apiUrl"] != "" || s.breaker(in.Ref, pushOperation).ready() {
		return nil
	}
	raw, err := expand(d.AlternativeURL, d.placeholders(values))
	if err != nil {
		return nil
	}
	u, err := parseBaseURL(raw)
	if err != nil || s.checkEgress(u) != nil {
		return nil
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u
}

// pushable says whether there is an address at which pushes are not known to fail.
func (s *Service) pushable(d Descriptor, ref Ref) bool {
	return s.breaker(ref, pushOperation).ready() || (d.AlternativeURL != "" && s.breaker(ref, pushElsewhere).ready())
}

// breaker returns the one of an integration's operation.
func (s *Service) breaker(ref Ref, operation string) *breaker {
	s.breakersMu.Lock()
	defer s.breakersMu.Unlock()
	name := BreakerName{ref, operation}
	b, ok := s.breakers[name]
	if !ok {
		b = &breaker{service: s, name: name}
		s.breakers[name] = b
	}
	return b
}

// breakerOf is breaker for whoever makes the calls, and knows the provider.
func (s *Service) breakerOf(c *Conn) *breaker {
	b := s.breaker(c.integration.Ref, c.pushes)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.provider = c.provider
	return b
}
