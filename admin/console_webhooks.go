package admin

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

// webhookFaults are what can be wrong with a test delivery, in the order in which the
// console shows them.
var webhookFaults = []enlace.WebhookFault{enlace.FaultWrongProof, enlace.FaultNoProof, enlace.FaultAlteredBody, enlace.FaultOldTime, enlace.FaultRepeated,
	enlace.FaultUnknownType, enlace.FaultTooLarge}

// webhookOptions are what the form of a test delivery offers.
type webhookOptions struct {
	Types   []string // of events; none if the adapter has no samples
	Faults  []webhookFault
	MayKeep bool
}

type webhookFault struct {
	Name     string
	Possible bool
}

func webhookOptionsOf(adapter enlace.IntegrationAdapter, c *call) *webhookOptions {
	possible := enlace.WebhookFaults(adapter)
	if possible == nil {
		return nil
	}
	o := &webhookOptions{MayKeep: c.may(GrantReplay)}
	if sampler, ok := enlace.As[enlace.WebhookSampler](adapter); ok {
		for _, e := range sampler.SampleEvents() {
			if !slices.Contains(o.Types, e.Type) {
				o.Types = append(o.Types, e.Type)
			}
		}
	}
	for _, fault := range webhookFaults {
		o.Faults = append(o.Faults, webhookFault{string(fault), slices.Contains(possible, fault)})
	}
	return o
}

// webhookTestOf reads what a form asks to deliver.
func webhookTestOf(r *http.Request) enlace.WebhookTest {
	return enlace.WebhookTest{Type: r.PostForm.Get("type"), Record: r.PostForm.Get("record"), Body: r.PostForm.Get("body"),
		ContentType: r.PostForm.Get("contentType"), Fault: enlace.WebhookFault(r.PostForm.Get("fault")), Keep: r.PostForm.Get("keep") != ""}
}

// testWebhook delivers to the integration, or looks whether the provider could.
func (a *Admin) testWebhook(ctx context.Context, n *test) error {
	var report enlace.WebhookReport
	var err error
	if n.kind == "webhook.inbound" {
		report, err = a.service.TestWebhook(ctx, n.integration.Ref, n.webhook)
	} else {
		report, err = a.service.CheckWebhook(ctx, n.integration.Ref)
	}
	for _, s := range report.Steps {
		step := testStep{Name: s.Name, State: "ok", Elapsed: s.Elapsed, Reason: s.Reason, Detail: s.Detail}
		level := "info"
		switch {
		case s.Failed:
			step.State, level = "failed", "warn"
		case s.Skipped:
			step.State = "skipped"
		}
		n.addStep(step)
		n.log(level, s.Name+": "+step.State+" "+s.Reason+" "+s.Detail)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.report = &report
	return err
}

// outcome is how a test ended whose steps could all be made.
func (n *test) outcome() (state, verdict string) {
	verdict = "verdict." + n.kind
	switch {
	case n.report == nil:
		return "succeeded", verdict
	case !n.report.OK:
		return "failed", verdict + ".failed"
	case n.webhook.Fault != "":
		return "succeeded", verdict + ".noticed"
	case n.report.DeliveryID != "":
		return "succeeded", verdict + ".kept"
	default:
		return "succeeded", verdict
	}
}

// found says what a step of a test of webhooks has found.
func found(t translator, zone *time.Location, s testStep) template.HTML {
	reason := template.HTMLEscapeString(t.optional("reason."+s.Reason, s.Reason))
	detail := t.stepDetail(s.Detail)
	if s.Reason == "kind" {
		detail = t.optional("kind."+s.Detail, s.Detail)
	}
	if s.Reason == "unreachable" {
		detail = t.optional("line."+s.Detail, s.Detail)
	}
	if s.Name == "events" && s.Reason == "" {
		if n, err := strconv.Atoi(s.Detail); err == nil {
			detail = t.count("test.events", n)
		}
	}
	if at, err := time.Parse(time.RFC3339, s.Detail); err == nil {
		detail = t.date(at.In(zone), "2006-01-02 15:04 -07:00")
	}
	if reason != "" && detail != "" {
		reason += " "
	}
	return template.HTML(reason + `<span class="quiet">` + template.HTMLEscapeString(detail) + `</span>`)
}

// webhookInput is the body of POST /webhook.
type webhookInput struct {
	Prefer string `header:"Prefer" doc:"respond-async answers at once with 202"`
	Body   struct {
		IntegrationID string `json:"integrationId" maxLength:"64"`
		Direction     string `json:"direction,omitempty" enum:"inbound,outbound" default:"inbound" doc:"inbound: deliver to the integration as its provider does; outbound: find out whether the provider's deliveries would arrive"`
		Type          string `json:"type,omitempty" maxLength:"200" doc:"Of the event; the adapter's usual one if it is left out"`
		Record        string `json:"record,omitempty" maxLength:"500" doc:"Id of the record that the event tells of; made up if it is left out"`
		Payload       string `json:"payload,omitempty" maxLength:"100000" doc:"Body in the place of the adapter's sample"`
		ContentType   string `json:"contentType,omitempty" maxLength:"200" doc:"Of the payload; application/json if it is left out"`
		Fault         string `json:"fault,omitempty" enum:",no_proof,wrong_proof,old_time,altered_body,unknown_type,repeated,too_large" doc:"What is wrong with the delivery on purpose"`
		Keep          bool   `json:"keep,omitempty" doc:"Put the delivery into the inbox, with all its effects; needs the grant replay"`
	}
}

func (in webhookInput) request() testRequest {
	return testRequest{kind: "webhook." + in.Body.Direction, integration: in.Body.IntegrationID, webhook: enlace.WebhookTest{Type: in.Body.Type, Record: in.Body.Record,
		Body: in.Body.Payload, ContentType: in.Body.ContentType, Fault: enlace.WebhookFault(in.Body.Fault), Keep: in.Body.Keep}}
}

// webhookBody is what came of a test of webhooks, as the API shows it.
type webhookBody struct {
	Target      string      `json:"target,omitempty" doc:"The address at which deliveries come"`
	Status      int         `json:"status,omitempty" doc:"What the sender would have been answered"`
	ContentType string      `json:"contentType,omitempty"`
	Payload     string      `json:"payload,omitempty" doc:"Redacted, before the proof was added"`
	Proof       string      `json:"proof,omitempty" doc:"Where the proof stands"`
	Events      []eventBody `json:"events,omitempty"`
	DeliveryID  string      `json:"deliveryId,omitempty" doc:"Of what was kept"`
}

type eventBody struct {
	Type       string `json:"type"`
	Entity     string `json:"entity,omitempty"`
	Record     string `json:"record,omitempty"`
	Deleted    bool   `json:"deleted,omitempty"`
	Hint       bool   `json:"hint" doc:"The record would be read at the provider"`
	Sink       bool   `json:"sink" doc:"The sink would get the record"`
	Processors int    `json:"processors" doc:"How many processors of the host would see it"`
}

func webhookBodyOf(r *enlace.WebhookReport) *webhookBody {
	if r == nil {
		return nil
	}
	b := &webhookBody{Target: r.Target, Status: r.Status, ContentType: r.ContentType, Payload: r.Body, Proof: r.Proof, DeliveryID: r.DeliveryID}
	for _, e := range r.Events {
		b.Events = append(b.Events, eventBody{e.Event.Type, e.Event.Record.Entity, e.Event.Record.ID, e.Event.Record.Deleted, e.Hint, e.Sink, e.Processors})
	}
	return b
}

// failedStep is the problem of a test that went through and found something wrong.
func (v testView) failedStep(t translator) *runProblem {
	for _, s := range v.Steps {
		if s.State == "failed" && s.Reason != "" {
			return &runProblem{s.Reason, t.optional("reason."+s.Reason, s.Reason), s.Detail}
		}
	}
	return nil
}
