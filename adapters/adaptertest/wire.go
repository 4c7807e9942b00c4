package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"syscall"
	"time"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// maxRequests is more than any check needs; who sends more does not come to an end.
const maxRequests = 5000

var (
	errReset   = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	errRunaway = errors.New("adaptertest: too many requests")
)

// wire is the network between the adapter and the author's fake. It serves
// requests in the goroutine that sends them, and lets faults happen.
type wire struct {
	fake http.RoundTripper

	mu       sync.Mutex
	strike   func(n int) *fault // what happens to the nth request since plan; nil is nothing
	served   func(n int)        // called after the fake has answered the nth request
	latency  time.Duration
	arrived  int               // API requests since plan
	requests map[string]int    // how often each of them came, since plan
	refused  int               // genuine answers that were no success
	answers  [][]byte          // genuine bodies of successful answers
	pages    map[string]answer // first answers, for repeatPage
	open     int               // bodies that are not closed
	busy     time.Duration     // spent here in all
}

// answer is a complete HTTP answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func newWire(p Provider) *wire {
	w := &wire{fake: p.Transport}
	if w.fake == nil {
		w.fake = fakehttp.Transport(p.Handler, 0)
	}
	w.plan(nil)
	return w
}

// plan sets what happens from now on, and counts anew.
func (w *wire) plan(strike func(n int) *fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strike, w.served, w.arrived = strike, nil, 0
	w.requests, w.pages = map[string]int{}, map[string]answer{}
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.arrived
}

// repeated returns a request that came more than once since plan.
func (w *wire) repeated() (request string, times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r, n := range w.requests {
		if n > 1 {
			return r, n
		}
	}
	return "", 0
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.busy += time.Since(began)
	}()
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body) // it stands in memory
		_ = r.Body.Close()
	}
	if !traced(r) { // for a token, or a login: faults are for the API
		a, err := w.ask(r, body)
		if err != nil {
			return nil, err
		}
		return w.response(r, a, nil), nil
	}
	n, f, served := w.arrive(r, body)
	if n > maxRequests {
		return nil, errRunaway
	}
	if err := sleep(r.Context(), w.latency); err != nil {
		return nil, err
	}
	var a answer
	var err error
	if f == nil || f.genuine {
		if a, err = w.ask(r, body); err != nil {
			return nil, err
		}
		w.keep(a)
		if served != nil {
			served(n)
		}
	}
	if f == nil {
		return w.response(r, a, nil), nil
	}
	a, stream, err := f.happen(&visit{w, r, body, a})
	if err != nil {
		return nil, err
	}
	return w.response(r, a, stream), nil
}

// traced tells the sender that there was a connection. enlace follows the
// requests of adapters in this way, and no others.
func traced(r *http.Request) bool {
	t := httptrace.ContextClientTrace(r.Context())
	if t == nil {
		return false
	}
	if t.GetConn != nil {
		t.GetConn(r.URL.Host)
	}
	if t.GotConn != nil {
		t.GotConn(httptrace.GotConnInfo{})
	}
	return true
}

func (w *wire) arrive(r *http.Request, body []byte) (int, *fault, func(int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived++
	w.requests[r.Method+" "+r.URL.RequestURI()+" "+string(body)]++
	if w.strike == nil {
		return w.arrived, nil, w.served
	}
	return w.arrived, w.strike(w.arrived), w.served
}

// ask lets the fake answer.
func (w *wire) ask(r *http.Request, body []byte) (answer, error) {
	in := r.Clone(r.Context())
	in.Body, in.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		in.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := w.fake.RoundTrip(in)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, err
	}
	return a, r.Context().Err()
}

func (w *wire) keep(a answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case a.status < 200 || a.status >= 300:
		w.refused++
	case len(a.body) > 0:
		w.answers = append(w.answers, a.body)
	}
}

// came says whether the bytes stood in one of the provider's answers.
func (w *wire) came(data []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.answers) - 1; i >= 0; i-- {
		if bytes.Contains(w.answers[i], data) {
			return true
		}
	}
	return false
}

func (w *wire) response(r *http.Request, a answer, stream io.Reader) *http.Response {
	length := int64(len(a.body))
	if stream == nil {
		stream = bytes.NewReader(a.body)
	} else {
		length = -1
	}
	header := a.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Del("Content-Length")
	if header.Get("Date") == "" { // servers add it
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	w.mu.Lock()
	w.open++
	w.mu.Unlock()
	return &http.Response{Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: &trackedBody{Reader: stream, wire: w}, ContentLength: length, Request: r}
}

// trackedBody tells the wire that it was closed, and how long reading it took.
type trackedBody struct {
	io.Reader
	wire *wire
	once sync.Once
}

// Read implements io.Reader.
func (b *trackedBody) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := b.Reader.Read(p)
	b.wire.mu.Lock()
	defer b.wire.mu.Unlock()
	b.wire.busy += time.Since(began)
	return n, err
}

// Close implements io.Closer.
func (b *trackedBody) Close() error {
	b.once.Do(func() {
		b.wire.mu.Lock()
		defer b.wire.mu.Unlock()
		b.wire.open--
	})
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// spent is how long requests have taken in all.
func (w *wire) spent() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busy
}
