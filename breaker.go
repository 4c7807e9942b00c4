package enlace

import (
	"errors"
	"net/url"
	"strings"
	"sync"
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

// breaker keeps calls from a provider that does not answer: after some failures in
// a row it lets nothing through, and after a rest one call as a probe. Refusals
// (4xx) and calls that their caller ended say nothing about the provider's health:
// they neither open nor close it.
type breaker struct {
	mu       sync.Mutex
	failures int
	rest     time.Duration // 0 while it is closed
	until    time.Time     // the rest ends then
	probing  bool
}

// allow says whether a call may be made; each call allowed must be reported.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rest == 0 {
		return true
	}
	if b.probing || time.Now().Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// ready says whether a call would be allowed now.
func (b *breaker) ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rest == 0 || (!b.probing && !time.Now().Before(b.until))
}

// report tells how a call that was allowed has ended.
func (b *breaker) report(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	probed := b.probing
	b.probing = false
	switch {
	case err == nil:
		b.failures, b.rest = 0, 0
	case !outOfOrder(err):
		if probed && !errors.Is(err, ErrCanceled) { // it answers again, if only with a refusal
			b.failures, b.rest = 0, 0
		}
	default:
		if b.failures++; b.failures < breakerFailures && b.rest == 0 {
			return
		}
		if b.rest = max(2*b.rest, breakerRest); !probed {
			b.rest = breakerRest
		}
		b.rest = min(b.rest, breakerMaxRest)
		b.until = time.Now().Add(b.rest)
	}
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

type breakerKey struct {
	ref       Ref
	operation string
}

// breaker returns the one of an integration's operation.
func (s *Service) breaker(ref Ref, operation string) *breaker {
	s.breakersMu.Lock()
	defer s.breakersMu.Unlock()
	if s.breakers == nil {
		s.breakers = map[breakerKey]*breaker{}
	}
	key := breakerKey{ref, operation}
	b, ok := s.breakers[key]
	if !ok {
		b = &breaker{}
		s.breakers[key] = b
	}
	return b
}
