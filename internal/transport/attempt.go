package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

const maxRedirects = 5

// exchange is the state of one Send. It is the engine's http.RoundTripper: a call
// of RoundTrip is one try, and when it returns, the answer is complete in memory
// and judged. It must not have a CloseIdleConnections method: the engine would
// call it after every failure, and close the connections of other accounts.
type exchange struct {
	sender  *Sender
	request *Request
	ctx     context.Context // the caller's
	// deadline is the end of everything: the context's, or after TotalTimeout. It
	// becomes a context only where something waits for it: on the hot path that is
	// once per attempt.
	deadline time.Time

	tries     int       // of the engine
	idleSince time.Time // when the last attempt ended
	mayHave   bool      // an attempt may have reached the provider and run

	response    Response
	err         error         // what Send returns if nothing follows
	again       bool          // another try may follow
	wait        time.Duration // before it
	reauthorize bool          // the last answer refuses the credential
}

// RoundTrip is one try. What it returns is for the engine only.
func (x *exchange) RoundTrip(*http.Request) (*http.Response, error) {
	previous := x.err
	x.again, x.reauthorize, x.err = false, false, nil
	x.try(x.request.URL)
	x.tries++
	if previous != nil && errors.Is(x.err, ErrDeadlineTooShort) {
		x.err = previous // says more than that there is no time for another try
	}
	if time.Until(x.deadline) < x.wait+minimumTry {
		x.again = false
	}
	if x.err != nil {
		return nil, x.err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// try sends the request and follows redirects.
func (x *exchange) try(target *url.URL) {
	for hop := 0; target != nil; hop++ {
		if !x.enter() {
			return
		}
		a := attempt{exchange: x, target: target}
		if !a.do() {
			return
		}
		target = nil
		if x.err == nil && hop < maxRedirects {
			target = a.redirect()
		}
		if x.err == nil && target == nil {
			x.judge(a.begun)
		}
		a.observe()
	}
}

// enter waits at the gate. It is false, with err set, if that is in vain.
func (x *exchange) enter() bool {
	if err := x.ctx.Err(); err != nil {
		x.err = x.fault(err)
		return false
	}
	gate := x.sender.Gate
	if gate == nil || gate.pass(laneOf(x.ctx)) {
		return true
	}
	ctx, cancel := x.until(x.deadline)
	defer cancel()
	err := gate.Wait(ctx, x.sender.Flow)
	switch {
	case err == nil:
		return true
	case x.ctx.Err() != nil:
		err = x.ctx.Err()
	case ctx.Err() != nil:
		err = ErrTimeout
	}
	x.err = x.fault(err)
	return false
}

// until is a context that ends at that time or at the deadline of everything. Its
// cause is ErrTimeout, unless it is the caller's own context that ends.
func (x *exchange) until(end time.Time) (context.Context, context.CancelFunc) {
	if x.deadline.Before(end) {
		end = x.deadline
	}
	if own, limited := x.ctx.Deadline(); limited && !end.Before(own) {
		// A second timer for the same moment might be the first to ring.
		return context.WithCancel(x.ctx)
	}
	return context.WithDeadlineCause(x.ctx, end, ErrTimeout)
}

// judge asks for the verdict on the complete answer to what was sent at that time.
func (x *exchange) judge(sent time.Time) {
	s := x.sender
	v := s.Judge(x.response.Status, x.response.Header, x.response.Body)
	if s.Gate != nil && !v.Pause {
		s.Gate.Accepted(x.response.Header)
	}
	if v.Action == Accept {
		return
	}
	x.err = v.Err
	if x.err == nil {
		x.err = fmt.Errorf("%s %s: status %d", x.request.Method, x.request.URL.Host, x.response.Status)
	}
	x.mayHave = x.mayHave || v.Action == RetryAmbiguous
	x.wait = backoff(x.tries, v.RetryAfter)
	longest := orDefault(s.MaxRetryAfter, DefaultMaxRetryAfter)
	tooLong := v.RetryAfter > longest
	if v.Pause && s.Gate != nil {
		pause := v.RetryAfter
		if pause <= 0 {
			pause = x.wait
		}
		s.Gate.Refused(sent, pause)
	}
	switch v.Action {
	case RetryRefused:
		x.again = !tooLong
	case RetryAmbiguous:
		x.again = !tooLong && x.request.Idempotent
	case Reauthorize:
		x.reauthorize = true
	}
}

// fault is the end of the Send for that reason.
func (x *exchange) fault(why error) *Fault {
	f := &Fault{Method: x.request.Method, Host: x.request.URL.Host, Err: why}
	if x.mayHave {
		f.Stage = Sent
	}
	return f
}

// attempt is one request on the wire.
type attempt struct {
	*exchange
	target *url.URL
	wire   *http.Request
	trace  httptrace.ClientTrace
	// Where net/http got, as httptrace tells. It may try several connections.
	dialled, connected atomic.Bool
	begun              time.Time
	waited             time.Duration
}

// do is one attempt within its time. It is false, with err set, if nothing was sent.
func (a *attempt) do() bool {
	ctx, cancel := a.until(time.Now().Add(orDefault(a.sender.AttemptTimeout, DefaultAttemptTimeout)))
	defer cancel()
	a.trace.GetConn = func(string) { a.dialled.Store(true) }
	a.trace.GotConn = func(httptrace.GotConnInfo) { a.connected.Store(true) }
	a.wire = newRequest(a.request, a.target).WithContext(httptrace.WithClientTrace(ctx, &a.trace))
	if a.err = a.authorize(ctx); a.err != nil {
		return false
	}
	if !a.request.Idempotent {
		forbidReplay(a.wire)
	}
	a.send()
	return true
}

// authorize adds the credential where it may go.
func (a *attempt) authorize(ctx context.Context) error {
	s := a.sender
	if s.Authorize == nil || !sameOrigin(a.target, s.Endpoint) {
		return nil
	}
	if err := s.Authorize(ctx, a.wire); err != nil {
		return err
	}
	if !sameOrigin(a.wire.URL, a.target) {
		return errors.New("transport: Authorize changed where the request goes")
	}
	return nil
}

// newRequest is a fresh copy that may be changed.
func newRequest(r *Request, target *url.URL) *http.Request {
	u := *target
	if u.Path != "" && u.Path[0] != '/' { // url.JoinPath leaves that behind, and no server accepts it
		u.Path = "/" + u.Path
		if u.RawPath != "" {
			u.RawPath = "/" + u.RawPath
		}
	}
	header := r.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	request := &http.Request{Method: r.Method, URL: &u, Host: u.Host, Header: header}
	if len(r.Body) > 0 {
		request.ContentLength = int64(len(r.Body))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
		request.Body, _ = request.GetBody()
	}
	return request
}

// forbidReplay keeps net/http from sending the request again by itself when a
// pooled connection breaks. It does so for the safe methods and for requests with
// an idempotency key, if it could read the body again.
func forbidReplay(r *http.Request) {
	_, keyed := r.Header["Idempotency-Key"]
	_, otherwiseKeyed := r.Header["X-Idempotency-Key"]
	safe := r.Method == "" || r.Method == http.MethodGet || r.Method == http.MethodHead ||
		r.Method == http.MethodOptions || r.Method == http.MethodTrace
	if !keyed && !otherwiseKeyed && !safe {
		return
	}
	r.GetBody = nil
	if r.Body == nil || r.Body == http.NoBody {
		r.Body = io.NopCloser(bytes.NewReader(nil)) // empty, but not known to be
	}
}

// send does the request and leaves the complete answer in the response, or err.
func (a *attempt) send() {
	s := a.sender
	a.begun = time.Now()
	a.waited = a.begun.Sub(a.idleSince)
	a.response.Attempts++
	a.response.Status, a.response.Header, a.response.Body = 0, nil, nil
	answer, err := s.Base.RoundTrip(a.wire)
	if err == nil {
		a.response.Status, a.response.Header = answer.StatusCode, answer.Header
		a.response.Body, err = readBody(a.wire.Method, answer, orDefault(s.MaxBody, DefaultMaxBody))
	}
	a.idleSince = time.Now()
	if err != nil {
		a.failed(err)
	}
}

// failed decides about an attempt that has no complete answer.
func (a *attempt) failed(err error) {
	sent := a.connected.Load() || !a.dialled.Load() // a Base that does not trace may have sent it
	a.mayHave = a.mayHave || sent
	if ended := a.ctx.Err(); ended != nil {
		a.err = a.fault(ended)
		return
	}
	if errors.Is(err, ErrTooLarge) {
		a.err = a.fault(ErrTooLarge)
		return
	}
	why, final := reason(err)
	a.err = a.fault(why)
	a.wait = backoff(a.tries, 0)
	a.again = !final && (!sent || a.request.Idempotent)
}

// readBody reads the whole body into one slice of its size.
func readBody(method string, answer *http.Response, limit int64) ([]byte, error) {
	if answer.Body == nil {
		return nil, nil
	}
	defer answer.Body.Close()
	switch size := answer.ContentLength; {
	case answer.Body == http.NoBody || method == http.MethodHead:
		return nil, nil
	case size > limit:
		return nil, ErrTooLarge
	case size >= 0:
		body := make([]byte, size)
		if _, err := io.ReadFull(answer.Body, body); err != nil {
			return nil, err
		}
		return body, expectEOF(answer.Body)
	default:
		body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
		if err != nil {
			return nil, err
		}
		if int64(len(body)) > limit {
			return nil, ErrTooLarge
		}
		return body, nil
	}
}

// expectEOF reads the end of the body, without which the connection is not used again.
func expectEOF(body io.Reader) error {
	var one [1]byte
	if n, err := body.Read(one[:]); n > 0 {
		return io.ErrUnexpectedEOF
	} else if err != nil && err != io.EOF {
		return err
	}
	return nil
}

// redirect is where the answer sends the request, or nil if it is no redirect or
// none that is followed.
func (a *attempt) redirect() *url.URL {
	method := a.request.Method
	safe := method == http.MethodGet || method == http.MethodHead
	switch a.response.Status {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		if !safe {
			return nil // following would turn it into a GET
		}
	default:
		return nil
	}
	location := a.response.Header.Get("Location")
	next, err := a.target.Parse(location)
	if location == "" || err != nil || next.User != nil || !sameOrigin(next, a.target) {
		return nil
	}
	return next
}

func (a *attempt) observe() {
	if a.sender.Observe == nil {
		return
	}
	date := ""
	if len(a.response.Header["Age"]) == 0 {
		date = a.response.Header.Get("Date")
	}
	a.sender.Observe(a.ctx, Attempt{
		Label:    a.request.Label,
		Method:   a.request.Method,
		Status:   a.response.Status,
		Number:   a.response.Attempts,
		Duration: a.idleSince.Sub(a.begun),
		Waited:   a.waited,
		Err:      a.err,
		Date:     date,
	})
}
