package fake

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/enlace-go/enlace"
)

const maxBody = 1 << 20 // of a request, and of a login's answer

// Options shape a provider. The zero value is a quick, healthy one with random
// secrets.
type Options struct {
	PageSize  int           // most records in a page; 0 is 100
	Latency   time.Duration // before each answer; it ends early with the request's context
	ClockSkew time.Duration // how far the provider's clock is ahead of ours; negative is behind
	TokenLife time.Duration // of access tokens and sessions; 0 is one hour
	// IgnoreKeys makes it a provider without idempotency keys: a create that arrives
	// twice is carried out twice. Its adapter is [Unkeyed].
	IgnoreKeys bool

	// The account's secrets; empty ones are random.
	APIKey        enlace.Secret
	ClientID      string
	ClientSecret  enlace.Secret
	Password      enlace.Secret // of the user "user"
	WebhookSecret enlace.Secret // signs deliveries to addresses that nobody registered
}

// Provider is a CRM in memory with one account. It is safe for concurrent use.
// It is an [http.RoundTripper] that serves https://fake.example and refuses any
// other host, and an [http.Handler] that serves the same API to a real server.
type Provider struct {
	options Options

	mu       sync.Mutex
	tables   map[string]*table
	written  time.Time // the provider's clock at the last write
	keys     map[createKey]string
	failures []*plannedFailure
	requests map[Op]int
	effects  map[Op]int
	grants   grants
	webhooks map[string]enlace.Secret // by target
	events   int                      // numbered so far
	after    func()                   // see AfterBatch
}

// createKey is an idempotency key that was used.
type createKey struct{ entity, key string }

// New returns an empty provider.
func New(o Options) *Provider {
	if o.PageSize <= 0 {
		o.PageSize = 100
	}
	if o.TokenLife <= 0 {
		o.TokenLife = time.Hour
	}
	if o.ClientID == "" {
		o.ClientID = "client-" + rand.Text()[:8]
	}
	for _, s := range []*enlace.Secret{&o.APIKey, &o.ClientSecret, &o.Password, &o.WebhookSecret} {
		if s.IsZero() {
			*s = enlace.NewSecret(rand.Text())
		}
	}
	p := &Provider{options: o, tables: map[string]*table{}, keys: map[createKey]string{}, requests: map[Op]int{},
		effects: map[Op]int{}, grants: newGrants(), webhooks: map[string]enlace.Secret{}}
	for _, e := range (Adapter{}).Describe().Entities {
		p.tables[e.Name] = newTable(e)
	}
	return p
}

// Adapter returns the provider's driver, for a registry.
func (p *Provider) Adapter() enlace.IntegrationAdapter {
	if p.options.IgnoreKeys {
		return Unkeyed{}
	}
	return Adapter{}
}

// Op is a kind of request.
type Op string

// The kinds of requests. The operations of a batch count as requests of the
// batch only, and have their effects each by its own kind.
const (
	OpList      Op = "list"
	OpFetch     Op = "fetch"
	OpCreate    Op = "create"
	OpUpdate    Op = "update"
	OpUpsert    Op = "upsert"
	OpDelete    Op = "delete"
	OpBatch     Op = "batch"
	OpHealth    Op = "health"
	OpWebhooks  Op = "webhooks"  // registration of targets
	OpAuthorize Op = "authorize" // a user's consent
	OpToken     Op = "token"     // any grant, refreshes included
	OpLogin     Op = "login"     // of the session scheme
)

// Requests says how many requests of that kind have arrived, refused and failed
// ones included; of all kinds if op is empty.
func (p *Provider) Requests(op Op) int { return p.count(p.requests, op) }

// Effects says how often requests of that kind have changed something: a create
// that arrived twice with one idempotency key counts once, and a token that was
// issued counts. It is the sum of all kinds if op is empty.
func (p *Provider) Effects(op Op) int { return p.count(p.effects, op) }

func (p *Provider) count(counters map[Op]int, op Op) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if op != "" {
		return counters[op]
	}
	sum := 0
	for _, n := range counters {
		sum += n
	}
	return sum
}

// answer is a complete HTTP answer.
type answer struct {
	status int
	header http.Header // nil is empty
	body   []byte
}

// RoundTrip implements http.RoundTripper. It serves the request in the caller's
// goroutine, without a network; a request to another host is an error.
func (p *Provider) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if r.URL.Scheme != "https" || r.URL.Hostname() != Host {
		return nil, fmt.Errorf("fake: the provider in memory is https://%s; nothing else is reachable", Host)
	}
	trace := httptrace.ContextClientTrace(r.Context())
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(Host + ":443")
	}
	v := p.arrive(r)
	if v.failure != nil && v.failure.Kind == Unreachable {
		return nil, errUnreachable
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	a, err := p.serve(v)
	if err != nil {
		return nil, err
	}
	return &http.Response{Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: p.header(a), Request: r,
		Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body))}, nil
}

// ServeHTTP implements http.Handler. Where no answer is due (a reset, an
// unreachable provider) it panics with [http.ErrAbortHandler], as net/http wants it.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := p.serve(p.arrive(r))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range p.header(a) {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // whoever has gone does not need it
}

// header is the answer's with what every answer has.
func (p *Provider) header(a answer) http.Header {
	h := a.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Date", time.Now().Add(p.options.ClockSkew).UTC().Format(http.TimeFormat))
	if len(a.body) > 0 && h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	return h
}

// What the network says when there is no answer.
var (
	errUnreachable = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	errReset       = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
)

// visit is a request that has arrived.
type visit struct {
	*http.Request
	route
	body    []byte
	failure *Failure // what shall happen to it; nil is an answer
}

// arrive counts the request and finds out what shall happen to it.
func (p *Provider) arrive(r *http.Request) visit {
	v := visit{Request: r, route: routeOf(r)}
	p.mu.Lock()
	defer p.mu.Unlock()
	v.failure = p.nextFailure(v.route)
	if v.failure == nil || v.failure.Kind != Unreachable {
		p.requests[v.op]++
	}
	return v
}

// serve answers a request. An error means that there is no answer.
func (p *Provider) serve(v visit) (answer, error) {
	if v.Body != nil {
		var err error
		if v.body, err = io.ReadAll(io.LimitReader(v.Body, maxBody+1)); err != nil {
			return answer{}, err
		}
	}
	if err := pause(v.Context(), p.options.Latency); err != nil {
		return answer{}, err
	}
	if v.op == OpBatch {
		defer p.afterBatch()
	}
	if v.failure != nil {
		return p.fail(v)
	}
	return p.handle(v), nil
}

// AfterBatch has fn called once, when the next batch has been carried out and
// before it is answered: what others do in the meantime.
func (p *Provider) AfterBatch(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = fn
}

func (p *Provider) afterBatch() {
	p.mu.Lock()
	fn := p.after
	p.after = nil
	p.mu.Unlock()
	if fn != nil {
		fn()
	}
}

func pause(ctx context.Context, d time.Duration) error {
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

// hang gives no answer until the other side gives up.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
