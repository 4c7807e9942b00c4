package enlace

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
)

// WebhookHandler takes the deliveries of all integrations. Mount it anywhere, in any mux,
// so that paths that end in "/{integration id}/webhook" come to it, such as
//
//	mux.Handle("POST /integrations/{id}/webhook", service.WebhookHandler())
//
// In the place of the id may stand a token of [Service.AddWebhookEndpoint], and behind
// "webhook" the secret of a provider that proves itself by its path ([TokenVerifier]).
//
// A delivery is answered when it is durable, with the status that the provider takes for a
// success (200 if it does not matter), and so is its repetition. Otherwise the answer has no
// body: 400 for a body that was cut, 401 for one that proves nothing, 403 for an address
// that the setting "webhookAllow" does not name, 404 for no enabled integration that takes
// webhooks, 405, 408 for a body that is too slow, 413, 415, 429 with Retry-After, and 503
// when the store does not take it. What it does with a delivery later, [Service.Run] does.
//
// Bound the headers' time by the server's ReadHeaderTimeout; the body's time is bounded
// here, if the ResponseWriter supports deadlines or unwraps to one that does.
func (s *Service) WebhookHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := &intake{service: s, w: w, r: r, received: time.Now()}
		err := in.take(r.Context())
		s.inFlight.give(in.held)
		in.answer(r.Context(), err)
	})
}

// intake is one request on its way in.
type intake struct {
	service  *Service
	w        http.ResponseWriter
	r        *http.Request
	received time.Time
	client   netip.Addr // zero if nobody can tell
	endpoint *endpoint  // nil until it is found
	body     []byte
	held     int64 // bytes of the budget
	entry    *arrival
}

// refusal is a request that is not taken.
type refusal struct {
	status int
	reason string // for observations; few different words
	wait   time.Duration
}

func (r *refusal) Error() string { return "enlace: webhook refused: " + r.reason }

// blames says whether the refusal counts against its source. A line that is slow or breaks
// does not: it may be that of the provider, which has something to say.
func (r *refusal) blames() bool {
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType:
		return true
	default:
		return false
	}
}

func refuse(status int, reason string) error { return &refusal{status: status, reason: reason} }

func busy() error {
	return &refusal{status: http.StatusServiceUnavailable, reason: "busy", wait: time.Second}
}

// errAnswered says that the answer is written already.
var errAnswered = errors.New("enlace: answered")

// take brings the delivery in, cheapest checks first.
func (in *intake) take(ctx context.Context) error {
	for _, step := range []func(context.Context) error{in.find, in.admit, in.readBody, in.challenge, in.verify, in.keep} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// find looks up whose address it is. A source that asks for many that are none is
// turned away before the store is asked.
func (in *intake) find(ctx context.Context) error {
	s := in.service
	in.client, _ = guard.ClientOf(in.r.RemoteAddr, in.r.Header.Values("X-Forwarded-For"), s.webhooks.TrustedProxies)
	name, ok := endpointName(in.r.URL.Path)
	if !ok {
		return refuse(http.StatusNotFound, "address")
	}
	if wait := s.refusals.exhausted(in.sourceKey()); wait > 0 && !s.knowsEndpoint(name) {
		return &refusal{status: http.StatusTooManyRequests, reason: "source", wait: wait}
	}
	e, err := s.endpoint(ctx, name)
	switch {
	case err == nil:
		in.endpoint = e
		return nil
	case errors.Is(err, ErrNotFound):
		return refuse(http.StatusNotFound, "address")
	default:
		s.logger.Error("webhook endpoint not looked up", "error", err)
		return &refusal{status: http.StatusServiceUnavailable, reason: "store", wait: time.Second}
	}
}

func (s *Service) knowsEndpoint(name string) bool {
	s.endpoints.mu.RLock()
	defer s.endpoints.mu.RUnlock()
	return s.endpoints.byName[name] != nil
}

// sourceKey is what refusals are counted by.
func (in *intake) sourceKey() sourceKey {
	k := sourceKey{source: sourceOf(in.client)}
	if in.endpoint != nil {
		k.endpoint = in.endpoint.integration.Ref
	}
	return k
}

// admit checks who sends, how, and how often.
func (in *intake) admit(ctx context.Context) error {
	s, e := in.service, in.endpoint
	if who := e.integration; !s.flagOn(ctx, FlagWebhooks, FlagTarget{Tenant: who.Tenant, Provider: who.Provider, Integration: who.ID}) {
		return &refusal{status: http.StatusServiceUnavailable, reason: "flag", wait: time.Minute}
	}
	if e.allow != nil && (!in.client.IsValid() || !guard.InNetworks(in.client, e.allow)) {
		return refuse(http.StatusForbidden, "source address")
	}
	if wait := s.refusals.exhausted(in.sourceKey()); wait > 0 {
		return &refusal{status: http.StatusTooManyRequests, reason: "source", wait: wait}
	}
	if s.webhooks.PerSecond > 0 {
		if wait := s.arrivals.wait(e.integration.Ref); wait > 0 {
			return &refusal{status: http.StatusTooManyRequests, reason: "rate", wait: wait}
		}
	}
	if in.r.Method == http.MethodPost {
		return nil
	}
	if get := in.r.Method == http.MethodGet || in.r.Method == http.MethodHead; get && e.challenger != nil && e.challenger.AnswerChallenge(in.w, in.r, nil) {
		return errAnswered
	}
	return refuse(http.StatusMethodNotAllowed, "method")
}

func (in *intake) readBody(context.Context) (err error) {
	if in.body, in.held, err = in.service.readBody(in.w, in.r, in.endpoint.terms); err != nil {
		return err
	}
	if isForm(in.r.Header) && bytes.Count(in.body, []byte("&")) >= in.service.webhooks.MaxFields {
		return refuse(http.StatusRequestEntityTooLarge, "fields")
	}
	return nil
}

func (in *intake) challenge(context.Context) error {
	if c := in.endpoint.challenger; c != nil && c.AnswerChallenge(in.w, in.r, in.body) {
		return errAnswered
	}
	return nil
}

func (in *intake) verify(context.Context) error {
	e := in.endpoint
	d := Delivery{Ref: e.integration.Ref, Method: in.r.Method, URL: in.r.URL, Header: in.r.Header, Body: in.body, ReceivedAt: in.received}
	if !e.unverified && e.verifier.Verify(d, e.secrets) != nil {
		return refuse(http.StatusUnauthorized, "signature")
	}
	in.entry = &arrival{endpoint: e, delivery: d, proof: e.verifier.Proof(d)}
	return nil
}

// keep makes the delivery durable, together with others that come at the same time.
func (in *intake) keep(ctx context.Context) error {
	s := in.service
	err := s.seal(ctx, in.entry)
	if err == nil {
		err = s.commits.do(ctx, in.entry)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return refuse(http.StatusServiceUnavailable, "gone") // nobody reads it
	default:
		s.logger.Error("webhook delivery not stored", "integration", in.endpoint.integration.Ref.String(), "error", err)
		return &refusal{status: http.StatusServiceUnavailable, reason: "store", wait: time.Second}
	}
}

// answer ends the request.
func (in *intake) answer(ctx context.Context, err error) {
	s := in.service
	if errors.Is(err, errAnswered) {
		return
	}
	header := in.w.Header()
	if err == nil {
		in.observeReceived(ctx)
		header["Content-Length"] = zeroLength
		in.w.WriteHeader(max(in.endpoint.terms.Success, http.StatusOK))
		return
	}
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		r = &refusal{status: http.StatusInternalServerError, reason: "other"}
	}
	o := WebhookRefused{Reason: r.reason, Status: r.status}
	if in.endpoint != nil {
		o.Ref, o.Provider = in.endpoint.integration.Ref, in.endpoint.integration.Provider
	}
	s.observe(ctx, o)
	if r.blames() {
		_ = s.refusals.wait(in.sourceKey())
	}
	if r.wait > 0 {
		header.Set("Retry-After", strconv.Itoa(int(r.wait/time.Second)+1))
	}
	if r.status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	if in.body == nil && in.r.ContentLength != 0 {
		// Nobody waits for the rest of a body that is not wanted.
		header.Set("Connection", "close")
		_ = http.NewResponseController(in.w).SetReadDeadline(time.Now())
	}
	header["Content-Length"] = zeroLength
	in.w.WriteHeader(r.status)
}

// observeReceived tells of a delivery that is durable.
func (in *intake) observeReceived(ctx context.Context) {
	in.service.observe(withDelivery(ctx, in.entry.stored.ID), WebhookReceived{Ref: in.endpoint.integration.Ref, Provider: in.endpoint.integration.Provider,
		DeliveryID: in.entry.stored.ID, Duplicate: in.entry.duplicate, Bytes: len(in.body), Duration: time.Since(in.received)})
}

var zeroLength = []string{"0"}
