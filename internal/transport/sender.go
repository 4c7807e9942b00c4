// Package transport is the one way in which requests leave: paced by a quota gate,
// authorized, bounded in bytes and time, judged by the adapter, and repeated only
// where that cannot do a thing twice.
//
// The loop is hashicorp/go-retryablehttp. It is given nothing but the decisions of
// this package: its own ones repeat a POST, obey any Retry-After, print URLs and
// close the idle connections of other hosts.
package transport

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Defaults of a Sender.
const (
	DefaultAttempts       = 4
	DefaultAttemptTimeout = 30 * time.Second
	DefaultTotalTimeout   = DefaultMaxRetryAfter + DefaultAttemptTimeout // or no wish to wait that long could be met
	DefaultMaxRetryAfter  = 60 * time.Second
	DefaultMaxBody        = 10 << 20
)

// Request is one logical request, which Send does not change and may send several times.
type Request struct {
	Method string   // empty is GET
	URL    *url.URL // absolute, without user information
	Header http.Header
	Body   []byte // not to be changed any more, also after Send: a connection may still read it
	// Idempotent says that to carry it out twice is the same as once. Then it is
	// repeated even if it may have run; otherwise never, whatever the method.
	Idempotent bool
	Label      string // names the operation for Observe; few different values
}

// Response is what the last attempt got, whatever the judgment about it.
type Response struct {
	Status   int // 0 if it got no answer
	Header   http.Header
	Body     []byte        // complete and decompressed; it belongs to the caller
	Attempts int           // how often a request was sent, redirects included
	Elapsed  time.Duration // from the call of Send to its return
}

// Action is what to do about an answer.
type Action uint8

// The actions.
const (
	Accept         Action = iota // a success
	Fail                         // a failure that stays; also the choice when in doubt
	RetryRefused                 // refused before it ran: repeat any request
	RetryAmbiguous               // it may have run: repeat an idempotent request only
	Reauthorize                  // the credential was refused: refresh it once, then repeat any request
)

// Verdict is a judgment about one answer.
type Verdict struct {
	Action Action
	// Err is what Send returns if this is the last word; only Accept goes without.
	Err error
	// RetryAfter is how long the provider asks to wait at least; 0 if it does not
	// say. More than Sender.MaxRetryAfter ends the Send with Err.
	RetryAfter time.Duration
	// Pause says that the quota of the Sender's Gate is used up: the Gate closes for
	// everybody, for RetryAfter (24 hours at most) or else for the time of the
	// back-off, and goes on more slowly.
	Pause bool
}

// Attempt is one request that was sent and what came of it. It holds no URL.
type Attempt struct {
	Label    string
	Method   string
	Status   int           // 0 if there was no answer
	Number   int           // from 1
	Duration time.Duration // from the first byte out, or the dial, to the last byte in
	Waited   time.Duration // before it: back-off, Gate, and getting authorized
	Err      error         // the verdict's, or a *Fault; nil for a success or a redirect
	Date     string        // the answer's header as it came; empty without one, and for one that a cache kept
}

// Sender sends the requests of one account. Base, Endpoint and Judge are required.
// Its fields are not changed once it is used, then it is safe for concurrent use,
// and so must be its functions.
type Sender struct {
	// Base carries out single requests; see guard.Transport. If it follows
	// net/http/httptrace as http.Transport does, connections that could not be made
	// are told from requests that may have arrived; otherwise all count as sent.
	Base http.RoundTripper
	// Gate paces every single request; nil is no limit.
	Gate *Gate
	// Flow is whose requests these are: those who share a Gate take turns.
	Flow string
	// Endpoint is where credentials may go: Authorize is called for requests to
	// its scheme, host and port only.
	Endpoint *url.URL
	// Authorize adds the credential, to a copy of the request that is its own, for
	// every single one sent. It may change header, query and body (then Body,
	// GetBody and ContentLength together), but not where the request goes. Its
	// error is returned as it is; nothing is sent then. nil adds nothing.
	Authorize func(ctx context.Context, r *http.Request) error
	// Reauthorize gets a fresh credential after a verdict of that name. It is
	// called once per Send at most; its error is returned as it is. nil makes such
	// a verdict final.
	Reauthorize func(ctx context.Context) error
	// Judge is asked about every complete answer but a redirect that is followed.
	// It must neither keep nor change header and body.
	Judge func(status int, h http.Header, body []byte) Verdict
	// Observe is called after each attempt, in Send's goroutine; nil is allowed.
	Observe func(ctx context.Context, a Attempt)

	// Attempts is how often a request is tried at most, without counting redirects
	// and the repetition after Reauthorize; 0 is DefaultAttempts.
	Attempts int
	// AttemptTimeout bounds each single request, from dial to the last byte of the
	// body; 0 is DefaultAttemptTimeout.
	AttemptTimeout time.Duration
	// TotalTimeout bounds a Send whose context has no deadline; 0 is DefaultTotalTimeout.
	TotalTimeout time.Duration
	// MaxRetryAfter is the longest wait that Send does itself; 0 is DefaultMaxRetryAfter.
	MaxRetryAfter time.Duration
	// MaxBody is the longest answer in bytes, decompressed; 0 is DefaultMaxBody.
	MaxBody int64
}

// Send sends the request, repeats it where that is safe, and returns the last
// answer. The error is nil if and only if the verdict on that answer is Accept.
// Otherwise it is the last verdict's Err, what Authorize or Reauthorize returned,
// or a *Fault: errors.Is finds ErrTooLarge, ErrTimeout, ErrDeadlineTooShort,
// guard.ErrBlocked, and the context's error if the caller's context ended.
//
// GET and HEAD follow redirects to the same scheme, host and port, and every
// method follows 307 and 308 there, five at most. Any other 3xx goes to Judge.
func (s *Sender) Send(ctx context.Context, r Request) (Response, error) {
	start := time.Now()
	r.Method = cmp.Or(r.Method, http.MethodGet)
	if err := s.check(&r); err != nil {
		return Response{}, err
	}
	x := &exchange{sender: s, request: &r, ctx: ctx, idleSince: start}
	var limited bool
	if x.deadline, limited = ctx.Deadline(); !limited {
		x.deadline = start.Add(orDefault(s.TotalTimeout, DefaultTotalTimeout))
	}
	attempts := orDefault(s.Attempts, DefaultAttempts)
	x.loop(attempts)
	if x.reauthorize && s.Reauthorize != nil {
		if x.err = x.renew(); x.err == nil {
			x.loop(attempts - x.tries + 1) // the refused try does not count
		}
	}
	x.response.Elapsed = time.Since(start)
	return x.response, x.err
}

func (s *Sender) check(r *Request) error {
	if s.Base == nil || s.Endpoint == nil || s.Judge == nil {
		return errors.New("transport: a Sender needs Base, Endpoint and Judge")
	}
	if r.URL == nil || r.URL.Host == "" || r.URL.Opaque != "" {
		return errors.New("transport: the request needs an absolute URL")
	}
	if r.URL.User != nil {
		return errors.New("transport: the URL holds user information; credentials are added by Authorize")
	}
	return nil
}

// renew gets a fresh credential, once.
func (x *exchange) renew() error {
	ctx, cancel := x.until(x.deadline)
	defer cancel()
	return x.sender.Reauthorize(ctx)
}

// loop runs go-retryablehttp. The engine sees neither the request nor the answer:
// its request has only scheme and host, so that its errors hold no more, and each
// try leaves what it found in the exchange.
func (x *exchange) loop(attempts int) {
	engine := retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     x,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger:     nil,
		RetryMax:   attempts - 1,
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) { return x.again, nil },
		Backoff:    func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return x.wait },
		// The default drops the answer; ours is in x.
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	outer := (&http.Request{
		Method: x.request.Method,
		URL:    &url.URL{Scheme: x.request.URL.Scheme, Host: x.request.URL.Host},
		Header: http.Header{},
	}).WithContext(x.ctx)
	response, _ := engine.Do(&retryablehttp.Request{Request: outer})
	if response != nil {
		_ = response.Body.Close()
	}
	if x.again && x.ctx.Err() != nil { // the back-off was interrupted
		x.err = x.fault(x.ctx.Err())
	}
}

func orDefault[T int | int64 | time.Duration](value, standard T) T {
	if value <= 0 {
		return standard
	}
	return value
}

// sameOrigin says whether a and b are the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "http"):
		return "80"
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	default:
		return ""
	}
}
