package enlace

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
	"github.com/enlace-go/enlace/internal/redact"
)

// WebhookSampler writes deliveries as the provider does, for [Service.TestWebhook].
// Without it a test needs to be given a body.
type WebhookSampler interface {
	// SampleEvents are events that the provider sends, the most usual first and one at
	// least. Each has a Type, and where it concerns a record that record's Entity and
	// an ID that is made up.
	SampleEvents() []Event
	// SampleWebhook writes the delivery that tells of an event, without the proof: what
	// ParseWebhook reads the event's Type and Record from. The event is one of
	// SampleEvents with an ID and a time of its own, and perhaps with another record's
	// ID, or with a Type that the provider does not have.
	SampleWebhook(e Event) (contentType string, body []byte)
}

// WebhookFault is something that is wrong with a test delivery on purpose.
type WebhookFault string

// What can be wrong with a test delivery.
const (
	FaultNoProof     WebhookFault = "no_proof"     // nothing proves it
	FaultWrongProof  WebhookFault = "wrong_proof"  // another secret proves it
	FaultOldTime     WebhookFault = "old_time"     // the signed time is a year ago
	FaultAlteredBody WebhookFault = "altered_body" // the body was changed after it was signed
	FaultUnknownType WebhookFault = "unknown_type" // an event of a type that the provider does not have
	FaultRepeated    WebhookFault = "repeated"     // it comes twice
	FaultTooLarge    WebhookFault = "too_large"    // the body is longer than WebhookConfig.MaxBody
)

// WebhookFaults are the faults that a test delivery of the adapter can have; nil if it
// takes no webhooks. An old time and an altered body need a proof that covers them.
func WebhookFaults(a IntegrationAdapter) []WebhookFault {
	receiver, ok := As[WebhookReceiver](a)
	if !ok {
		return nil
	}
	faults := []WebhookFault{FaultTooLarge}
	if p, ok := receiver.Verifier().(prover); ok {
		faults = append(faults, FaultNoProof, FaultWrongProof)
		if p.timed() {
			faults = append(faults, FaultOldTime)
		}
		if p.Proof(Delivery{Header: http.Header{}, URL: &url.URL{}}).Signed {
			faults = append(faults, FaultAlteredBody)
		}
	}
	if implements[WebhookSampler](a) {
		faults = append(faults, FaultUnknownType)
	}
	if !a.Describe().Webhooks.SentOnce {
		faults = append(faults, FaultRepeated)
	}
	return faults
}

// WebhookTest says what to deliver. The zero value is the adapter's first sample event,
// properly proved, which is looked at and then forgotten.
type WebhookTest struct {
	Type   string // of the event; empty is the first sample's
	Record string // id of the record that the event tells of; empty is made up
	// Body and ContentType replace the sample. ContentType defaults to application/json.
	Body        string
	ContentType string
	Fault       WebhookFault // what is wrong with it; empty is nothing
	// Keep puts a delivery that is accepted into the inbox, from which it goes the way
	// of every other one, with all its effects. Without it nothing is stored and no
	// handler is called.
	Keep bool
}

// WebhookReport is what came of a test of webhooks.
type WebhookReport struct {
	// OK says that all went as it should: what is right was accepted and could be read,
	// and what is wrong on purpose was noticed.
	OK     bool
	Steps  []WebhookStep // in order; of [Service.TestWebhook] the last one that failed ends it
	Target string        // the address at which deliveries come; empty without WebhookConfig.PublicURL

	Status      int           // what the sender would have been answered; 0 if nothing was delivered
	ContentType string        // of the test delivery
	Body        string        // of it, redacted, as it was before the proof was added; at most 64 KiB
	Proof       string        // where the proof stands; empty if there is none
	Events      []WebhookRead // what the adapter reads in it
	DeliveryID  string        // of what was kept
}

// WebhookStep is one step of a test of webhooks.
type WebhookStep struct {
	Name    string // a word of few, such as "proof"
	Failed  bool
	Skipped bool
	Reason  string // a word of few that says why, or what was found; may be empty
	Detail  string // for people: numbers, names; no secret
	Elapsed time.Duration
}

// WebhookRead is an event of a test delivery, and what would be done about it.
type WebhookRead struct {
	Event      Event // without its payload
	Hint       bool  // the record would be read at the provider
	Sink       bool  // a sink would get the record
	Processors int   // of the host that would see it
}

// TestWebhook delivers to the integration as its provider does: the delivery is proved
// with the stored secret, which nobody gets to see, and taken by the steps of
// [Service.WebhookHandler], in this process and without the network. The report tells
// each of them. No limit counts it as refused.
//
// Errors: ErrNotFound, ErrUnknownProvider, ErrUnsupported (the adapter takes no webhooks,
// its proof is one of its own, or the fault is none of [WebhookFaults]), ErrInvalid (no
// Body where the adapter has no samples), ErrStore. That it is refused is in the report.
func (s *Service) TestWebhook(ctx context.Context, ref Ref, test WebhookTest) (WebhookReport, error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return WebhookReport{}, err
	}
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil {
		return WebhookReport{}, err
	}
	t := &webhookTrial{service: s, integration: in, adapter: adapter, test: test}
	t.report.Target, _ = s.WebhookTarget(ref)
	if err := t.write(); err != nil {
		return WebhookReport{}, err
	}
	if t.clean, err = s.deliveryRedactor(ctx, ref); err != nil {
		return WebhookReport{}, err
	}
	t.report.ContentType = t.delivery.Header.Get("Content-Type")
	t.report.Body = redactBody(string(t.delivery.Body[:min(len(t.delivery.Body), maxInspect)]), isForm(t.delivery.Header), t.clean)
	if !test.Keep {
		err = t.run(ctx)
		return t.report, err
	}
	entry := audit("webhook.test", ref)
	if err := s.announce(ctx, entry); err != nil {
		return WebhookReport{}, err
	}
	if err := t.run(ctx); err != nil {
		s.auditFailure(ctx, entry, err)
		return WebhookReport{}, err
	}
	entry.Target = t.report.DeliveryID
	return t.report, s.audited(ctx, entry, func(context.Context) error { return nil })
}

// webhookTrial is one test delivery on its way in.
type webhookTrial struct {
	service     *Service
	integration Integration
	adapter     IntegrationAdapter
	test        WebhookTest
	clean       func(string) string // takes the integration's secrets out of a text
	delivery    Delivery            // as it is sent
	intake      *intake
	report      WebhookReport
}

// write makes the delivery, without its proof.
func (t *webhookTrial) write() error {
	unsupported := func(message string) error {
		return &Error{Provider: t.integration.Provider, Op: "test webhook", Kind: ErrUnsupported, Outcome: OutcomeNotRun, Message: message}
	}
	receiver, ok := As[WebhookReceiver](t.adapter)
	if !ok {
		return unsupported("the adapter takes no webhooks")
	}
	if t.test.Fault != "" && !slices.Contains(WebhookFaults(t.adapter), t.test.Fault) {
		return unsupported("a delivery of this provider cannot have that fault")
	}
	_, provable := receiver.Verifier().(prover)
	if _, none := receiver.Verifier().(Unverified); !provable && !none {
		return unsupported("the adapter's proof is one of its own")
	}
	t.delivery = Delivery{Ref: t.integration.Ref, Method: http.MethodPost, Header: http.Header{"User-Agent": {"enlace"}}, ReceivedAt: time.Now(),
		URL: &url.URL{Path: "/" + t.integration.ID + "/" + webhookSegment}}
	if t.test.Keep {
		t.delivery.Header.Set("Enlace-Test", "1") // whoever finds it in the inbox sees what it is
	}
	kind, body := t.test.ContentType, []byte(t.test.Body)
	if t.test.Body == "" {
		if kind, body, ok = t.sample(); !ok {
			return &ValidationError{Faults: []Fault{{Field: "Body", Problem: "missing", Allowed: "the adapter has no samples"}}}
		}
	}
	t.delivery.Header.Set("Content-Type", orDefault(kind, "application/json"))
	t.delivery.Body = body
	return nil
}

// sample is what the adapter writes.
func (t *webhookTrial) sample() (contentType string, body []byte, ok bool) {
	sampler, ok := As[WebhookSampler](t.adapter)
	if !ok {
		return "", nil, false
	}
	events := sampler.SampleEvents()
	if len(events) == 0 {
		return "", nil, false
	}
	e := events[max(0, slices.IndexFunc(events, func(e Event) bool { return e.Type == t.test.Type }))]
	e.ID, e.At = "test-"+strings.ToLower(rand.Text()), t.delivery.ReceivedAt.UTC()
	if t.test.Record != "" {
		e.Record.ID = t.test.Record
	}
	if t.test.Fault == FaultUnknownType {
		e.Type = "enlace_unknown_type"
	}
	contentType, body = sampler.SampleWebhook(e)
	return contentType, body, true
}

// run takes the delivery in, step by step. The error is for what is not the delivery's.
func (t *webhookTrial) run(ctx context.Context) error {
	t.intake = &intake{service: t.service, w: &unheard{header: http.Header{}}, r: t.request(ctx), received: t.delivery.ReceivedAt}
	defer func() { t.service.inFlight.give(t.intake.held) }()
	for _, step := range []struct {
		name string
		take func(context.Context) (reason, detail string, err error)
	}{
		{"address", t.find}, {"admission", t.taken((*intake).admit)}, {"body", t.readBody}, {"challenge", t.taken((*intake).challenge)},
		{"proof", t.verify}, {"inbox", t.keep}, {"repetition", t.repeat}, {"events", t.read},
	} {
		began := time.Now()
		reason, detail, err := step.take(ctx)
		s := WebhookStep{Name: step.name, Reason: reason, Detail: detail, Elapsed: time.Since(began), Skipped: errors.Is(err, errNothingToDo)}
		refused, is := errors.AsType[*refusal](err)
		switch {
		case is:
			s.Failed, t.report.Status = true, refused.status
			s.Reason = orDefault(reason, strings.ReplaceAll(refused.reason, " ", "_"))
		case errors.Is(err, errAnswered):
			t.report.Status = http.StatusOK
		case errors.Is(err, errStepFailed):
			s.Failed = true
		case err != nil && !s.Skipped:
			return err
		}
		t.report.Steps = append(t.report.Steps, s)
		if s.Failed || errors.Is(err, errAnswered) {
			break
		}
	}
	t.report.OK = t.asExpected()
	return nil
}

// errStepFailed is a step that failed otherwise than by a refusal.
var errStepFailed = errors.New("enlace: step failed")

// taken is a step of the intake as it is.
func (t *webhookTrial) taken(step func(*intake, context.Context) error) func(context.Context) (string, string, error) {
	return func(ctx context.Context) (string, string, error) { return "", "", step(t.intake, ctx) }
}

// request is the delivery as the handler would get it. It comes from the first of the
// networks that the integration takes webhooks from, since nobody knows the provider's address.
func (t *webhookTrial) request(ctx context.Context) *http.Request {
	r := &http.Request{Method: t.delivery.Method, URL: t.delivery.URL, Header: t.delivery.Header, RemoteAddr: "192.0.2.1:443", Body: io.NopCloser(bytes.NewReader(t.delivery.Body)),
		ContentLength: int64(len(t.delivery.Body))}
	if networks, _ := guard.ParseNetworks(t.integration.Settings[allowSetting]); len(networks) > 0 {
		r.RemoteAddr = networks[0].Addr().String()
	}
	if t.test.Fault == FaultTooLarge {
		r.ContentLength = t.service.webhooks.MaxBody + 1 // announced, so that nobody has to hold it
	}
	return r.WithContext(ctx)
}

// find looks up the endpoint and then proves the delivery with its secrets.
func (t *webhookTrial) find(ctx context.Context) (reason, detail string, err error) {
	if err := t.intake.find(ctx); err != nil {
		return "", "", err
	}
	e := t.intake.endpoint
	if e.integration.Ref != t.integration.Ref {
		return "", "", refuse(http.StatusNotFound, "address")
	}
	p, ok := e.verifier.(prover)
	if !ok || t.test.Fault == FaultNoProof {
		return "", "", nil
	}
	t.report.Proof = p.means()
	at := t.delivery.ReceivedAt
	secrets := e.secrets
	switch t.test.Fault {
	case FaultWrongProof:
		text := rand.Text() + rand.Text() // 52 characters that are also base64
		secrets = []Secret{NewSecret(text), NewSecret("enlace:" + text)}
	case FaultOldTime:
		at = at.AddDate(-1, 0, 0)
	}
	for _, secret := range secrets {
		if p.prove(&t.delivery, secret, at) {
			break
		}
	}
	if t.test.Fault == FaultAlteredBody {
		t.delivery.Body = append(bytes.Clone(t.delivery.Body), ' ')
	}
	t.intake.r = t.request(ctx)
	return "", "", nil
}

func (t *webhookTrial) readBody(ctx context.Context) (reason, detail string, err error) {
	size := max(t.intake.r.ContentLength, 0)
	detail = strconv.FormatInt(size, 10) + " B, " + t.report.ContentType
	return "", detail, t.intake.readBody(ctx)
}

// verify tells why a proof does not hold, as no sender is told.
func (t *webhookTrial) verify(ctx context.Context) (reason, detail string, err error) {
	e := t.intake.endpoint
	err = t.intake.verify(ctx)
	p, provable := e.verifier.(prover)
	switch {
	case err == nil && e.unverified:
		return "proof_waived", "", nil
	case err == nil && t.intake.entry.proof.Signed:
		return "proof_signed", t.report.Proof, nil
	case err == nil:
		return "proof_sender", t.report.Proof, nil
	case !provable:
		return "proof_none", "", err
	case len(e.secrets) == 0:
		return proofSecret, t.report.Proof, err
	default:
		d := Delivery{Ref: t.delivery.Ref, Method: t.intake.r.Method, URL: t.intake.r.URL, Header: t.intake.r.Header, Body: t.intake.body, ReceivedAt: t.intake.received}
		return p.doubt(d, e.secrets), t.report.Proof, err
	}
}

// keep puts it into the inbox, if that is wanted.
func (t *webhookTrial) keep(ctx context.Context) (reason, detail string, err error) {
	t.report.Status = max(t.intake.endpoint.terms.Success, http.StatusOK)
	if !t.test.Keep {
		return "not_kept", "", errNothingToDo
	}
	if err := t.intake.keep(ctx); err != nil {
		return "", "", err
	}
	t.intake.observeReceived(ctx)
	t.report.DeliveryID = t.intake.entry.stored.ID
	if t.intake.entry.duplicate {
		t.report.DeliveryID = "" // it is there from before, under another id
		return "repeated", "", nil
	}
	return "kept", t.report.DeliveryID, nil
}

// repeat delivers it once more.
func (t *webhookTrial) repeat(ctx context.Context) (reason, detail string, err error) {
	if t.test.Fault != FaultRepeated {
		return "", "", errNothingToDo
	}
	again := *t.intake
	if err := again.verify(ctx); err != nil {
		return "", "", err
	}
	recognised := again.entry.proof.Key != "" && again.entry.proof.Key == t.intake.entry.proof.Key
	if t.test.Keep {
		if err := again.keep(ctx); err != nil {
			return "", "", err
		}
		again.observeReceived(ctx)
		recognised = again.entry.duplicate
	}
	if !recognised {
		return "not_recognised", "", errStepFailed
	}
	return "recognised", "", nil
}

// read tells what the adapter reads in it, and who would be given that.
func (t *webhookTrial) read(ctx context.Context) (reason, detail string, err error) {
	events, err := parseWebhook(ctx, t.adapter, t.intake.entry.delivery)
	if err != nil {
		if len(t.delivery.Body) == 0 {
			return "ping", "", nil
		}
		return "unreadable", redact.Text(t.clean(err.Error())), errStepFailed
	}
	for _, e := range events {
		received := ReceivedEvent{Event: e, Integration: t.integration, Signed: t.intake.entry.proof.Signed, Attempt: 1, ReceivedAt: t.delivery.ReceivedAt}
		read := WebhookRead{Event: e, Hint: isHint(received), Sink: t.service.webhookSink() != nil && e.Record.Entity != ""}
		for _, p := range t.service.webhooks.Processors {
			if p.wants(received) {
				read.Processors++
			}
		}
		read.Event.Payload, read.Event.Record.Data = nil, nil
		read.Event.Type, read.Event.ID = t.clean(e.Type), t.clean(e.ID)
		read.Event.Record.Entity, read.Event.Record.ID = t.clean(e.Record.Entity), t.clean(e.Record.ID)
		t.report.Events = append(t.report.Events, read)
	}
	return "", strconv.Itoa(len(events)), nil
}

// asExpected says whether the delivery met what it deserves.
func (t *webhookTrial) asExpected() bool {
	failed := ""
	if last := t.report.Steps[len(t.report.Steps)-1]; last.Failed {
		failed = last.Name
	}
	switch t.test.Fault {
	case FaultNoProof, FaultWrongProof, FaultOldTime, FaultAlteredBody:
		return failed == "proof" && t.report.Status == http.StatusUnauthorized
	case FaultTooLarge:
		return t.report.Status == http.StatusRequestEntityTooLarge
	case FaultUnknownType: // an adapter may pass it on or find it unreadable; either way it is not lost
		return failed == "" || failed == "events"
	default:
		return failed == ""
	}
}

// unheard is the answer to a test, of which only the report tells.
type unheard struct{ header http.Header }

func (w *unheard) Header() http.Header         { return w.header }
func (w *unheard) Write(b []byte) (int, error) { return len(b), nil }
func (w *unheard) WriteHeader(int)             {}
