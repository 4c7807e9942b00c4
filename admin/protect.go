package admin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxRequestBody bounds what any request may bring, in bytes.
const maxRequestBody = 1 << 20

// contentPolicy is the same for every answer. Nothing is inline, so there is no
// nonce and no exception; script may create HTML only by the policy of admin.js.
// It never asks for upgrade-insecure-requests, which turns a plain http site blank.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"worker-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types default"

// framePolicy is contentPolicy with those who may show the admin in a frame.
func framePolicy(ancestors []string) string {
	if len(ancestors) == 0 {
		return contentPolicy
	}
	return strings.Replace(contentPolicy, "frame-ancestors 'none'", "frame-ancestors "+strings.Join(ancestors, " "), 1)
}

// mustAncestors panics if one of the origins is none, since that is a mistake in the
// program, and one that could let anybody frame the pages.
func mustAncestors(origins []string) {
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || origin != u.Scheme+"://"+u.Host || strings.ContainsAny(origin, "*;, '\"") {
			panic("admin: Options.FrameAncestors: not an origin such as https://app.example.com: " + strconv.Quote(origin))
		}
	}
}

// protectPage sets the headers that every answer has, errors and streams too.
func (a *Admin) protectPage(h http.Header) {
	h.Set("Content-Security-Policy", a.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	if len(a.options.FrameAncestors) == 0 {
		h.Set("X-Frame-Options", "DENY") // it could name no origin; frame-ancestors says the same and more
	}
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)")
	h.Set("Cache-Control", "private, no-store")
}

var errCrossOrigin = errors.New("admin: the request comes from another site")

// checkOrigin refuses what another site makes a browser send. It comes before the
// authorizer, which may have effects. Beyond the standard library's check it
// refuses origins with user information, and requests with a credential that
// browsers add by themselves when nothing tells where they come from.
func (a *Admin) checkOrigin(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	given := r.Header.Get("Origin")
	if u, err := url.Parse(given); given != "" && (err != nil || u.User != nil) {
		return errCrossOrigin
	}
	if given == "" && r.Header.Get("Sec-Fetch-Site") == "" && ambient(r) {
		return errCrossOrigin
	}
	return a.origins.Check(r)
}

// ambient says whether the request has a credential that a browser sends by itself.
func ambient(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return r.Header.Get("Cookie") != "" || strings.EqualFold(scheme, "basic") || strings.EqualFold(scheme, "digest") ||
		strings.EqualFold(scheme, "negotiate")
}

// requestID takes over the caller's id if it is harmless, or makes one.
func requestID(r *http.Request) string {
	given := r.Header.Get("X-Request-Id")
	plain := func(c rune) bool {
		return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strings.ContainsRune("-_.:", c)
	}
	if given != "" && len(given) <= 64 && strings.IndexFunc(given, func(c rune) bool { return !plain(c) }) < 0 {
		return given
	}
	return "req_" + rand.Text()[:16]
}

// What one user may do in a time. Tests call out to providers and are few.
var (
	callRate = budget{rate: 50, burst: 100}
	testRate = budget{rate: 10.0 / 60, burst: 10}
)

type budget struct {
	rate  rate.Limit // per second
	burst int
}

// limits are the token buckets of the users. They are forgotten once they are full
// again, so that their number is bounded by the users of the last minutes.
type limits struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time

	sources chan struct{} // reads under way, of all pages
	readers chan struct{} // requests that have not begun to answer
}

type bucket struct {
	*rate.Limiter
	used time.Time
}

// maxSources bounds the reads of all pages that are under way.
const maxSources = 256

func newLimits() *limits {
	return &limits{buckets: map[string]*bucket{}, sources: make(chan struct{}, maxSources), readers: make(chan struct{}, maxReaders)}
}

// allowance is what is left of a budget.
type allowance struct {
	left int           // requests that may come at once
	full time.Duration // until all of them may
	wait time.Duration // until the next one may; 0 if this one was counted
}

// tell sets the headers of draft-ietf-httpapi-ratelimit-headers, and Retry-After.
func (l allowance) tell(h http.Header, name string, b budget) {
	h.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, name, b.burst, int(float64(b.burst)/float64(b.rate))))
	h.Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, name, l.left, wholeSeconds(l.full)))
	if l.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(wholeSeconds(l.wait)))
	}
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// take counts a request of the user, if one is left.
func (l *limits) take(user string, name string, b budget) allowance {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > 10*time.Minute {
		for key, old := range l.buckets {
			if now.Sub(old.used) > 10*time.Minute {
				delete(l.buckets, key)
			}
		}
		l.swept = now
	}
	key := name + " " + user
	held, ok := l.buckets[key]
	if !ok {
		held = &bucket{Limiter: rate.NewLimiter(b.rate, b.burst)}
		l.buckets[key] = held
	}
	held.used = now
	r := held.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	tokens := max(0, held.TokensAt(now))
	return allowance{left: int(tokens), full: time.Duration((float64(b.burst) - tokens) / float64(b.rate) * float64(time.Second)), wait: wait}
}
