package enlace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
	"github.com/enlace-go/enlace/internal/redact"
	"github.com/enlace-go/enlace/internal/transport"
)

// Conn is one opened account. enlace makes it; an adapter receives it, and a
// host gets one from [Service.Conn] for calls of its own. Requests through it
// are authenticated, paced, repeated only where that is safe, judged by the
// adapter's Classifier, observed, bounded, and sent to the account's own host only. It has
// no method that returns a secret. It is safe for concurrent use, and it needs
// no closing.
type Conn struct {
	service     *Service
	adapter     IntegrationAdapter
	descriptor  Descriptor
	provider    string
	integration Integration
	settings    settings
	base        *url.URL
	pushes      string // the breaker's name for pushes over this base
	scheme      AuthScheme
	quota       *quota
	sender      transport.Sender

	requests, retries, waited atomic.Int64 // the last in nanoseconds

	// stored says that the credential is in the safe; TestConnection opens
	// accounts whose credential is not saved yet.
	stored     bool
	healed     atomic.Bool // the status was set back to connected
	refreshing sync.Mutex  // a token for a credential that is not stored is fetched
	credential atomic.Pointer[Credential]

	// The account may move while the connection is open; see follow.
	moving    sync.Mutex
	successor atomic.Pointer[Conn] // to where it has moved
	origin    *Conn                // whose successor this is
}

// Call is one request of an adapter.
type Call struct {
	Method string // GET if empty
	Path   string // relative to the account's base URL
	Query  url.Values
	Header http.Header
	// Body is sent as JSON; url.Values as a form; a []byte as it is, with the
	// Content-Type of Header; nil sends none.
	Body any
	// Idempotent says that the call may be repeated although it may have run: a
	// read by POST, a write of fixed values, one with an idempotency key. GET,
	// HEAD and OPTIONS always are.
	Idempotent bool
	// Op names the call in errors and observations; it must not hold ids.
	// Defaults to Path without its leading slash.
	Op string
}

// Response is a provider's successful answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte // complete, at most Config.MaxBody long; the caller's to keep
}

// Ref names the integration.
func (c *Conn) Ref() Ref { return c.integration.Ref }

// Provider is the adapter's name.
func (c *Conn) Provider() string { return c.provider }

// Setting returns a non-secret setting of the integration, or its default; empty
// if it has neither.
func (c *Conn) Setting(name string) string { return c.settings[name] }

// Attribute returns a non-secret fact that came with the token, such as a portal
// id; empty if there is none of that name.
func (c *Conn) Attribute(name string) string { return c.credential.Load().Attributes[name] }

// Logger carries the integration's ids with each line.
func (c *Conn) Logger() *slog.Logger {
	return c.service.logger.With("tenant", c.integration.Tenant, "integration", c.integration.ID, "provider", c.provider)
}

// Do sends the call and decodes the JSON answer into out. If out is a *[]byte or
// a *json.RawMessage it gets the answer's bytes undecoded; a nil out drops them.
// Errors are [*Error]s.
func (c *Conn) Do(ctx context.Context, call Call, out any) error {
	resp, err := c.Send(ctx, call)
	if err != nil {
		return err
	}
	switch out := out.(type) {
	case nil:
	case *[]byte:
		*out = resp.Body
	case *json.RawMessage:
		*out = resp.Body
	default:
		if err := json.Unmarshal(resp.Body, out); err != nil {
			return &Error{Provider: c.provider, Op: call.op(), Kind: ErrProtocol, Outcome: OutcomeRan, Status: resp.Status,
				Err: errors.New("the answer is not the JSON that was expected")}
		}
	}
	return nil
}

// Send sends the call and returns the whole answer, headers included. Errors are [*Error]s.
func (c *Conn) Send(ctx context.Context, call Call) (Response, error) {
	if moved := c.successor.Load(); moved != nil {
		return moved.Send(ctx, call)
	}
	req, err := c.request(call)
	if err != nil {
		return Response{}, err
	}
	resp, err := c.send(ctx, req)
	if err != nil {
		err = c.failure(call.op(), err)
		if moved := c.follow(ctx, err); moved != nil { // which says that the call did not run
			return moved.Send(ctx, call)
		}
		c.noteRefused(ctx, err)
		return Response{}, err
	}
	return Response{Status: resp.Status, Header: resp.Header, Body: resp.Body}, nil
}

func (c *Conn) send(ctx context.Context, req transport.Request) (transport.Response, error) {
	if blocked, guarded := ctx.Value(readingOnlyKey{}).(*atomic.Int64); guarded && !reads(req) {
		blocked.Add(1)
		return transport.Response{}, &Error{Provider: c.provider, Op: req.Label, Kind: ErrUnsupported, Outcome: OutcomeNotRun,
			Message: "a dry run makes no request that may write; mark what reads by POST as Idempotent"}
	}
	if err := c.refreshIfExpired(ctx); err != nil {
		return transport.Response{}, err
	}
	resp, err := c.sender.Send(context.WithValue(ctx, sentTokenKey{}, &sentToken{}), req)
	if err == nil {
		c.noteAccepted(ctx)
	}
	return resp, err
}

type readingOnlyKey struct{}

// readingOnly makes a context in which requests that may write are refused, and counted.
func readingOnly(ctx context.Context, blocked *atomic.Int64) context.Context {
	return context.WithValue(ctx, readingOnlyKey{}, blocked)
}

// reads says whether a request is a read, as far as its adapter tells.
func reads(req transport.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	default:
		return req.Method == http.MethodPost && req.Idempotent
	}
}

// Download gets a file from an address that the provider has told, such as a link
// to a signed document that expires. It may be on any host that Config.Egress
// allows; no credential is sent. limit bounds the file in bytes; 0 is
// Config.MaxBody. Errors are [*Error]s; the address is in none of them.
func (c *Conn) Download(ctx context.Context, address string, limit int64) (Response, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return Response{}, &Error{Provider: c.provider, Op: "download", Kind: ErrInvalid, Outcome: OutcomeNotRun, Message: "not an absolute URL"}
	}
	if err := c.service.checkEgress(u); err != nil {
		return Response{}, c.failure("download", err)
	}
	if limit <= 0 {
		limit = c.service.config.MaxBody
	}
	files := transport.Sender{Base: c.service.base, Endpoint: u, Judge: judgeHTTP, Observe: c.observeAttempt,
		Attempts: c.sender.Attempts, AttemptTimeout: c.sender.AttemptTimeout, MaxBody: limit}
	resp, err := files.Send(ctx, transport.Request{Method: http.MethodGet, URL: u, Header: http.Header{"User-Agent": {"enlace"}},
		Idempotent: true, Label: "download"})
	if err != nil {
		return Response{}, c.failure("download", err)
	}
	return Response{Status: resp.Status, Header: resp.Header, Body: resp.Body}, nil
}

// Client returns an HTTP client for SDKs that want one. Its requests take the
// same way as Do's and must go to the account's own host; relative URLs are not
// resolved. Only GET, HEAD and OPTIONS are repeated after an unclear outcome. Answers
// that the adapter's Classifier refuses come back as errors.
func (c *Conn) Client() *http.Client {
	return &http.Client{Transport: clientTransport{c}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// Budget returns the account's allowance of the provider's run time for one
// method, shared by all connections to the account; nil, which limits nothing,
// if the descriptor sets no such limit.
func (c *Conn) Budget(method string) *Budget {
	limits := c.descriptor.Limits
	if limits.RunTime <= 0 {
		return nil
	}
	c.quota.mu.Lock()
	defer c.quota.mu.Unlock()
	b, ok := c.quota.budgets[method]
	if !ok {
		b = &Budget{budget: transport.NewBudget(limits.RunTime, limits.RunTimeWindow)}
		c.quota.budgets[method] = b
	}
	return b
}

// Budget is an allowance of the provider's run time. A nil Budget limits nothing.
type Budget struct {
	budget *transport.Budget
	each   atomic.Int64 // see Note
}

// Note keeps what one call of the method takes of the provider's run time, for all
// connections to the account: an adapter that puts several calls into one request
// knows by it how many the next one bears.
func (b *Budget) Note(each time.Duration) {
	if b != nil {
		b.each.Store(int64(each))
	}
}

// Noted is what was noted last; 0 if nothing was.
func (b *Budget) Noted() time.Duration {
	if b == nil {
		return 0
	}
	return time.Duration(b.each.Load())
}

// Acquire waits until cost fits into the allowance and takes it. Call release
// once, with what it really cost. The error is ctx's.
func (b *Budget) Acquire(ctx context.Context, cost time.Duration) (release func(actual time.Duration), err error) {
	if b == nil {
		return func(time.Duration) {}, ctx.Err()
	}
	return b.budget.Acquire(ctx, cost)
}

// Report tells what the provider says is used, and when some of it falls free.
func (b *Budget) Report(used time.Duration, resetAt time.Time) {
	if b != nil {
		b.budget.Report(used, resetAt)
	}
}

// Conn opens the account of an integration, so that the host can make calls of
// its own over the same authenticated and paced way. Errors: ErrNotFound,
// ErrDisabled, ErrUnknownProvider, ErrNoCredential, ErrKey, ErrBlocked,
// ErrInvalid, ErrStore.
func (s *Service) Conn(ctx context.Context, ref Ref) (*Conn, error) {
	a, err := s.account(ctx, ref)
	if err != nil {
		return nil, err
	}
	return s.connect(ctx, a)
}

// open is Conn for an integration that was read just now.
func (s *Service) open(ctx context.Context, in Integration) (*Conn, error) {
	a, err := s.accountOf(ctx, in)
	if err != nil {
		return nil, err
	}
	return s.connect(ctx, a)
}

func (s *Service) connect(ctx context.Context, a account) (*Conn, error) {
	if a.adapter.Describe().AlternativeURL != "" {
		s.followBreakers(ctx)
	}
	c, err := s.newConn(a.adapter, a.integration, a.credential, true)
	if err != nil {
		return nil, err
	}
	if _, code := c.scheme.(OAuth2); code && a.credential.Token == nil {
		return nil, &Error{Provider: a.integration.Provider, Op: "open", Kind: ErrNoCredential, Outcome: OutcomeNotRun}
	}
	return c, nil
}

// newConn makes a connection from what is given; stored says that the credential
// is in the safe. It validates the settings again, since somebody may have
// changed the stored row by hand. stored says that
// the credential is in the safe.
func (s *Service) newConn(adapter IntegrationAdapter, in Integration, cred Credential, stored bool) (*Conn, error) {
	d := adapter.Describe()
	scheme, err := credentialScheme(d, &cred)
	if err != nil {
		return nil, err
	}
	values, err := resolveSettings(d, in.Settings)
	if err != nil {
		return nil, err
	}
	base, err := baseURL(d, values, scheme, &cred)
	if err != nil {
		return nil, err
	}
	if base.Host != place(in).Host {
		return nil, &Error{Provider: d.Name, Op: "open", Kind: ErrKey, Outcome: OutcomeNotRun,
			Message: "the settings point at another host than the credential is bound to; connect again"}
	}
	if err := s.checkEgress(base); err != nil {
		return nil, err
	}
	pushes := pushOperation
	if other := s.alternativeURL(d, in, values, scheme); other != nil {
		base, pushes = other, pushElsewhere
	}
	c := &Conn{pushes: pushes, service: s, adapter: adapter, descriptor: d, provider: d.Name, integration: in, settings: values,
		base: base, scheme: scheme, quota: s.quotaOf(d, in, base.Host), stored: stored}
	c.credential.Store(&cred)
	c.sender = transport.Sender{
		Base: s.base, Gate: c.quota.gate, Flow: in.Tenant, Endpoint: base, Authorize: c.authorize, Judge: c.judge,
		Attempts: values.integer("retryAttempts") + 1, AttemptTimeout: values.milliseconds("timeout"),
		TotalTimeout: max(transport.DefaultTotalTimeout, values.milliseconds("timeout")),
		MaxBody:      s.config.MaxBody, Observe: c.observeAnswer,
	}
	if c.refreshable() {
		c.sender.Reauthorize = c.reauthorize
	}
	return c, nil
}

// baseURL is where an account is called: the secret URL, the apiUrl setting or
// the descriptor's address, in this order. It is nil if it depends on a
// credential that is still to come.
func baseURL(d Descriptor, values settings, scheme AuthScheme, cred *Credential) (*url.URL, error) {
	if secret, ok := scheme.(SecretURL); ok {
		return secret.parse(cred.Secrets["url"])
	}
	raw := values["apiUrl"]
	if raw == "" {
		var err error
		if raw, err = expand(d.BaseURL, d.placeholders(values)); err != nil {
			if scheme == nil && acceptsSecretURL(d) {
				return nil, nil
			}
			return nil, err
		}
	}
	u, err := parseBaseURL(raw)
	if err != nil {
		return nil, &ValidationError{Faults: []Fault{{Field: "apiUrl", Problem: err.Error(), Allowed: "an absolute https URL"}}}
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}

func acceptsSecretURL(d Descriptor) bool {
	for _, s := range d.Auth {
		if _, ok := s.(SecretURL); ok {
			return true
		}
	}
	return false
}

// parse checks a secret URL. Faults do not repeat it.
func (s SecretURL) parse(secret Secret) (*url.URL, error) {
	u, err := parseBaseURL(strings.TrimSpace(secret.Reveal()))
	problem, allowed := "not of the expected form", orDefault(s.Help, "an absolute https URL")
	if err != nil {
		problem = err.Error()
	} else if p, _ := (Field{Pattern: s.Pattern}).check(u.Path); p == "" {
		if !strings.HasSuffix(u.Path, "/") {
			u.Path += "/"
		}
		return u, nil
	}
	return nil, &ValidationError{Faults: []Fault{{Field: "url", Problem: problem, Allowed: allowed}}}
}

// request turns a call into what the transport sends.
func (c *Conn) request(call Call) (transport.Request, error) {
	u := c.base.JoinPath(call.Path)
	if call.Query != nil {
		u.RawQuery = call.Query.Encode()
	}
	req := transport.Request{Method: orDefault(call.Method, http.MethodGet), URL: u, Label: call.op(), Header: http.Header{}}
	for name, values := range call.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Idempotent = call.Idempotent || req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodOptions
	contentType := ""
	switch body := call.Body.(type) {
	case nil:
	case []byte:
		req.Body = body
	case json.RawMessage:
		req.Body, contentType = body, "application/json"
	case url.Values:
		req.Body, contentType = []byte(body.Encode()), "application/x-www-form-urlencoded"
	default:
		data, err := json.Marshal(body)
		if err != nil {
			return req, &Error{Provider: c.provider, Op: call.op(), Kind: ErrInvalid, Outcome: OutcomeNotRun, Err: err}
		}
		req.Body, contentType = data, "application/json"
	}
	if contentType != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", contentType)
	}
	for name, value := range map[string]string{"Accept": "application/json", "User-Agent": "enlace"} {
		if req.Header.Get(name) == "" {
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

func (call Call) op() string { return orDefault(call.Op, strings.TrimPrefix(call.Path, "/")) }

// judge is the verdict on one complete answer, given inside the retry loop.
func (c *Conn) judge(status int, h http.Header, body []byte) transport.Verdict {
	err := ErrDefault
	if classifier, ok := As[Classifier](c.adapter); ok {
		err = classifier.Classify(status, h, body)
	}
	if errors.Is(err, ErrDefault) {
		return judgeHTTP(status, h, body)
	}
	return verdict(status, err)
}

// judgeHTTP is the verdict by the status alone.
func judgeHTTP(status int, h http.Header, _ []byte) transport.Verdict {
	return verdict(status, ClassifyHTTP(status, h))
}

// verdict says what follows from a classification.
func verdict(status int, err error) transport.Verdict {
	if err == nil {
		return transport.Verdict{Action: transport.Accept}
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Kind: ErrProtocol, Outcome: OutcomeRan, Err: err}
	}
	bounded := *e
	if bounded.Status == 0 {
		bounded.Status = status
	}
	v := transport.Verdict{Action: transport.Fail, Err: &bounded, RetryAfter: bounded.Retry}
	switch {
	case errors.Is(bounded.Kind, ErrTokenExpired):
		v.Action = transport.Reauthorize
	case Retryable(&bounded, false):
		v.Action = transport.RetryRefused
		v.Pause = errors.Is(bounded.Kind, ErrRateLimited) && !bounded.Partial
	case Retryable(&bounded, true):
		v.Action = transport.RetryAmbiguous
	}
	return v
}

// failure turns any error of a call into an *Error that names the provider and
// the operation, without a word that could be a secret.
func (c *Conn) failure(op string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = transportFailure(err)
	}
	out := *e
	if out.Provider == "" {
		out.Provider = c.provider
	}
	if out.Op == "" {
		out.Op = op
	}
	if out.Kind == nil { // an adapter's oversight
		out.Kind = ErrProtocol
	}
	clean := c.redactor()
	out.Message = redact.Text(clean.String(out.Message))
	out.Code = redact.Text(clean.String(out.Code))
	if errors.Is(out.Kind, ErrTokenExpired) && !c.refreshable() {
		out.Kind = ErrAuth // nothing could be refreshed; a person must act
	}
	out.Err = clean.Error(out.Err, "")
	return &out
}

// transportFailure classifies an error that holds no *Error: what went wrong on
// the way, or a bare kind.
func transportFailure(err error) *Error {
	e := &Error{Kind: ErrUnavailable, Err: err}
	if fault, ok := errors.AsType[*transport.Fault](err); ok && fault.Stage == transport.NotSent {
		e.Outcome = OutcomeNotRun
	}
	switch {
	case contextError(err):
		e.Kind = ErrCanceled
	case errors.Is(err, transport.ErrTooLarge):
		e.Kind, e.Outcome = ErrTooLarge, OutcomeRan
	case errors.Is(err, guard.ErrBlocked):
		e.Kind, e.Outcome = ErrBlocked, OutcomeNotRun
	case errors.Is(err, transport.ErrDeadlineTooShort):
		e.Kind = ErrRateLimited
		if wait, ok := errors.AsType[*transport.WaitError](err); ok {
			e.Retry = wait.Wait
		}
	default:
		if k, ok := errors.AsType[*kind](err); ok {
			e.Kind = k
		}
	}
	if e.Err == e.Kind {
		e.Err = nil
	}
	return e
}

func (c *Conn) redactor() *redact.Redactor {
	return redact.New(c.credential.Load().all()...)
}

// observeAnswer observes an attempt at the account's own host.
func (c *Conn) observeAnswer(ctx context.Context, a transport.Attempt) {
	c.quota.clock.take(a)
	c.observeAttempt(ctx, a)
}

func (c *Conn) observeAttempt(ctx context.Context, a transport.Attempt) {
	for at := c; at != nil; at = at.origin { // a run reads the count of the connection it began with
		at.requests.Add(1)
		if a.Number > 1 {
			at.retries.Add(1)
		}
		at.waited.Add(int64(a.Waited))
	}
	c.service.observeRequest(ctx, RequestDone{Ref: c.integration.Ref, Provider: c.provider, Op: a.Label,
		Method: a.Method, Status: a.Status, Attempt: a.Number, Duration: a.Duration, Waited: a.Waited, Kind: attemptKind(a.Err)})
}

func attemptKind(err error) string {
	if label := KindLabel(err); label != "other" {
		return label
	}
	return KindLabel(transportFailure(err))
}

// ClassifyHTTP judges an answer by its status alone: nil for 2xx, otherwise an
// [*Error]. 429 certainly did not run; 5xx may have run; other refusals did not
// take effect.
func ClassifyHTTP(status int, h http.Header) error {
	e := &Error{Status: status, Outcome: OutcomeRan}
	switch {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 400:
		e.Kind, e.Outcome = ErrMoved, OutcomeNotRun
		if u, err := url.Parse(h.Get("Location")); err == nil {
			e.Message = "to " + u.Host
		}
		e.Err = movedTo(h.Get("Location"))
	case status == http.StatusUnauthorized:
		e.Kind, e.Outcome = ErrTokenExpired, OutcomeNotRun
	case status == http.StatusForbidden, status == http.StatusPaymentRequired:
		e.Kind, e.Outcome = ErrForbidden, OutcomeNotRun
	case status == http.StatusNotFound, status == http.StatusGone:
		e.Kind = ErrNotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		e.Kind = ErrConflict
	case status == http.StatusTooManyRequests:
		e.Kind, e.Outcome = ErrRateLimited, OutcomeNotRun
		e.Retry, _ = transport.ParseRetryAfter(h, time.Now())
	case status == http.StatusRequestTimeout, status >= 500:
		e.Kind, e.Outcome = ErrUnavailable, OutcomeUnknown
		e.Retry, _ = transport.ParseRetryAfter(h, time.Now())
	default:
		e.Kind = ErrInvalid
	}
	return e
}

// clientTransport sends an SDK's requests through a Conn.
type clientTransport struct{ conn *Conn }

// RoundTrip implements http.RoundTripper.
func (t clientTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := t.conn
	if r.URL.Scheme != c.base.Scheme || r.URL.Host != c.base.Host {
		return nil, &Error{Provider: c.provider, Op: "client", Kind: ErrBlocked, Outcome: OutcomeNotRun,
			Message: "requests go to the account's own host only"}
	}
	req := transport.Request{Method: orDefault(r.Method, http.MethodGet), URL: r.URL, Header: r.Header, Label: "client"}
	req.Idempotent = req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodOptions
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	resp, err := c.send(r.Context(), req)
	if err != nil {
		err = c.failure("client", err)
		c.noteRefused(r.Context(), err)
		return nil, err
	}
	return &http.Response{StatusCode: resp.Status, Status: http.StatusText(resp.Status), Header: resp.Header, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(resp.Body)),
		Body: io.NopCloser(bytes.NewReader(resp.Body))}, nil
}
