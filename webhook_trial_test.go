package enlace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// sampled is hooks with samples, as JSON or as a form.
type sampled struct {
	hooks
	form bool
}

func (sampled) SampleEvents() []enlace.Event {
	return []enlace.Event{{Type: "deal.updated", Record: enlace.Record{Entity: "deals", ID: "1"}}, {Type: "deal.deleted", Record: enlace.Record{Entity: "deals", ID: "2", Deleted: true}}}
}

func (a sampled) SampleWebhook(e enlace.Event) (string, []byte) {
	body := bodyOf(happening{ID: e.ID, Type: e.Type, Record: e.Record.ID, Deleted: e.Record.Deleted})
	if a.form {
		return "application/x-www-form-urlencoded", []byte(url.Values{"events": {body}}.Encode())
	}
	return "application/json", []byte(body)
}

func (a sampled) ParseWebhook(ctx context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	if form, err := url.ParseQuery(string(d.Body)); a.form && err == nil {
		d.Body = []byte(form.Get("events"))
	}
	return a.hooks.ParseWebhook(ctx, d)
}

// own is a verifier that enlace does not know.
type own struct{ enlace.Verifier }

// integration makes one whose deliveries the secrets prove.
func (h *hookHost) integration(secrets ...string) enlace.Integration {
	h.t.Helper()
	cred := apiKey("key")
	for _, s := range secrets {
		cred.WebhookSecrets = append(cred.WebhookSecrets, enlace.NewSecret(s))
	}
	return h.create(cred, func(n *enlace.NewIntegration) { n.Provider = "hooks" })
}

func step(r enlace.WebhookReport, name string) enlace.WebhookStep {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return enlace.WebhookStep{}
}

const standardTestSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwkCxLq7t0KbM="

// TestWebhookTrials: with every verifier a test delivery is accepted, and each fault that
// it can have is noticed at its place; nothing is stored, and no secret is told.
func TestWebhookTrials(t *testing.T) {
	for name, v := range map[string]struct {
		verifier enlace.Verifier
		secret   string
		form     bool
		signed   bool
		faults   []enlace.WebhookFault // beside those that every one has
	}{
		"github":   {verifier: enlace.GitHubVerifier(), signed: true, faults: []enlace.WebhookFault{enlace.FaultAlteredBody}},
		"shopify":  {verifier: enlace.ShopifyVerifier(), signed: true, faults: []enlace.WebhookFault{enlace.FaultAlteredBody}},
		"slack":    {verifier: enlace.SlackVerifier(), signed: true, faults: []enlace.WebhookFault{enlace.FaultAlteredBody, enlace.FaultOldTime}},
		"stripe":   {verifier: enlace.StripeVerifier(), signed: true, faults: []enlace.WebhookFault{enlace.FaultAlteredBody, enlace.FaultOldTime}},
		"hmac":     {verifier: enlace.HMACVerifier{Header: "X-Sum", TimeHeader: "X-Time"}, signed: true, faults: []enlace.WebhookFault{enlace.FaultAlteredBody, enlace.FaultOldTime}},
		"svix":     {verifier: enlace.SvixVerifier(), secret: standardTestSecret, signed: true, faults: []enlace.WebhookFault{enlace.FaultAlteredBody, enlace.FaultOldTime}},
		"standard": {verifier: enlace.StandardVerifier{}, secret: standardTestSecret, signed: true, faults: []enlace.WebhookFault{enlace.FaultAlteredBody, enlace.FaultOldTime}},
		"header":   {verifier: enlace.TokenVerifier{Header: "X-Token", Prefix: "Bearer "}},
		"query":    {verifier: enlace.TokenVerifier{Query: "token"}},
		"form":     {verifier: enlace.TokenVerifier{Form: "auth[token]"}, form: true},
		"path":     {verifier: enlace.TokenVerifier{Path: true}, secret: "a-secret-for-an-address"},
		"basic":    {verifier: enlace.BasicVerifier{}, secret: "user:the password"},
		"password": {verifier: enlace.BasicVerifier{User: "user"}},
	} {
		t.Run(name, func(t *testing.T) {
			var l ledger
			adapter := sampled{hooks{verifier: v.verifier}, v.form}
			h := newHookHost(t, adapter, processors(enlace.Processor{Types: []string{"deal.*"}, Handle: l.handler("")}, enlace.Processor{Types: []string{"other"}, Handle: l.handler("")}))
			if v.secret == "" {
				v.secret = hookSecret
			}
			in := h.integration(v.secret)
			report := must(h.TestWebhook(t.Context(), in.Ref, enlace.WebhookTest{Type: "deal.deleted", Record: "77"}))(t)
			if !report.OK || report.Status != http.StatusOK || report.DeliveryID != "" || len(report.Events) != 1 {
				t.Fatalf("%+v", report)
			}
			if e := report.Events[0]; e.Event.Type != "deal.deleted" || e.Event.Record.ID != "77" || e.Hint == v.signed || e.Processors != 1 {
				t.Errorf("read as %+v", e)
			}
			if got, want := step(report, "proof").Reason, map[bool]string{true: "proof_signed", false: "proof_sender"}[v.signed]; got != want {
				t.Errorf("the proof is %s, want %s", got, want)
			}
			possible := append([]enlace.WebhookFault{enlace.FaultNoProof, enlace.FaultWrongProof, enlace.FaultUnknownType, enlace.FaultRepeated, enlace.FaultTooLarge}, v.faults...)
			if got := enlace.WebhookFaults(adapter); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(possible))) {
				t.Errorf("possible faults: %v", got)
			}
			for fault, want := range map[enlace.WebhookFault]string{
				enlace.FaultNoProof: "proof proof_missing 401", enlace.FaultWrongProof: "proof proof_mismatch 401", enlace.FaultOldTime: "proof proof_time 401",
				enlace.FaultAlteredBody: "proof proof_mismatch 401", enlace.FaultTooLarge: "body body 413",
				enlace.FaultRepeated: "events  200", enlace.FaultUnknownType: "events  200",
			} {
				report, err := h.TestWebhook(t.Context(), in.Ref, enlace.WebhookTest{Fault: fault})
				if !slices.Contains(possible, fault) {
					if !errors.Is(err, enlace.ErrUnsupported) {
						t.Errorf("%s: %v", fault, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(fault, err)
				}
				last := report.Steps[len(report.Steps)-1]
				if got := fmt.Sprint(last.Name, " ", last.Reason, " ", report.Status); got != want || !report.OK {
					t.Errorf("%s: %s (OK %v), want %s", fault, got, report.OK, want)
				}
				if fault == enlace.FaultRepeated && step(report, "repetition").Reason != "recognised" {
					t.Errorf("a repetition is %+v", step(report, "repetition"))
				}
			}
			if n := len(h.deliveries()); n > 0 || len(l.take()) > 0 {
				t.Errorf("%d deliveries are stored", n)
			}
			if text, _ := json.Marshal(report); strings.Contains(string(text), v.secret) || strings.Contains(string(text), strings.TrimPrefix(v.secret, "whsec_")) {
				t.Errorf("the report tells the secret: %s", text)
			}
			// Without a secret there is nothing to prove with.
			none := must(h.TestWebhook(t.Context(), h.integration().Ref, enlace.WebhookTest{}))(t)
			if none.OK || step(none, "proof").Reason != "proof_secret" {
				t.Errorf("without a secret: %+v", none)
			}
		})
	}
}

// TestWebhookTrialIsKept: what is to be kept is in the inbox once, with a mark, and goes
// the way of every delivery; the audit trail says who did it.
func TestWebhookTrialIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l ledger
		h := newHookHost(t, sampled{}, processors(enlace.Processor{Handle: l.handler("")}))
		report := must(h.TestWebhook(enlace.WithActor(t.Context(), enlace.Actor{ID: "ana"}), h.in.Ref, enlace.WebhookTest{Fault: enlace.FaultRepeated, Keep: true}))(t)
		if !report.OK || report.DeliveryID == "" || step(report, "repetition").Reason != "recognised" {
			t.Fatalf("%+v", report)
		}
		if list := h.deliveries(); len(list) != 1 || list[0].ID != report.DeliveryID {
			t.Fatalf("stored: %+v", list)
		}
		kept := must(h.InspectDelivery(t.Context(), h.in.Tenant, report.DeliveryID))(t)
		if kept.Header.Get("Enlace-Test") == "" || !kept.Signed {
			t.Errorf("kept as %+v", kept)
		}
		stop := h.run()
		defer stop()
		time.Sleep(10 * time.Second)
		if got := l.take(); len(got) != 1 || !strings.Contains(got[0], "deal.updated") {
			t.Errorf("handled: %v", got)
		}
		trail, _, err := h.Audit(t.Context(), enlace.AuditQuery{Tenant: h.in.Tenant, Actor: "ana"})
		if err != nil || len(trail) != 2 || trail[0].Action != "webhook.test" || trail[0].Target != report.DeliveryID {
			t.Errorf("audited: %+v, %v", trail, err)
		}
	})
}

// TestWebhookTrialRefusals: what stands in the way of a delivery is in the report, and
// what cannot be tested is an error.
func TestWebhookTrialRefusals(t *testing.T) {
	h := newHookHost(t, sampled{}, func(c *enlace.Config) { c.Webhooks.MaxFields = 3 })
	for name, test := range map[string]struct {
		test                 enlace.WebhookTest
		step, reason, status string
	}{
		"no event":       {enlace.WebhookTest{Body: "{}"}, "events", "unreadable", "200"},
		"panics":         {enlace.WebhookTest{Body: `[{"type":"panic"}]`}, "events", "unreadable", "200"},
		"an image":       {enlace.WebhookTest{Body: "x", ContentType: "image/png"}, "body", "content_type", "415"},
		"too many parts": {enlace.WebhookTest{Body: "a&b&c&d", ContentType: "application/x-www-form-urlencoded"}, "body", "fields", "413"},
	} {
		r := must(h.TestWebhook(t.Context(), h.in.Ref, test.test))(t)
		if s := step(r, test.step); r.OK || !s.Failed || s.Reason != test.reason || fmt.Sprint(r.Status) != test.status {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if _, err := h.TestWebhook(t.Context(), enlace.Ref{Tenant: "other", ID: h.in.ID}, enlace.WebhookTest{}); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	for range 100 { // a limit that counted them would be exhausted
		if r := must(h.TestWebhook(t.Context(), h.in.Ref, enlace.WebhookTest{Fault: enlace.FaultNoProof}))(t); step(r, "admission").Failed {
			t.Fatalf("%+v", r)
		}
	}
	listed := h.create(apiKey("key"), func(n *enlace.NewIntegration) { n.Provider = "hooks" }, with("webhookAllow", "198.51.100.0/24"))
	if r := must(h.TestWebhook(t.Context(), listed.Ref, enlace.WebhookTest{}))(t); step(r, "admission").Failed {
		t.Errorf("with an allow list: %+v", r)
	}
	must(h.Disable(t.Context(), h.in.Ref))(t)
	if r := must(h.TestWebhook(t.Context(), h.in.Ref, enlace.WebhookTest{}))(t); r.OK || r.Status != http.StatusNotFound || len(r.Steps) != 1 {
		t.Errorf("disabled: %+v", r)
	}

	plain := newHookHost(t, hooks{})
	if _, err := plain.TestWebhook(t.Context(), plain.in.Ref, enlace.WebhookTest{}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("without samples: %v", err)
	}
	if r := must(plain.TestWebhook(t.Context(), plain.in.Ref, enlace.WebhookTest{Body: `[{"type":"a"}]`}))(t); !r.OK {
		t.Errorf("a body of one's own: %+v", r)
	}
	foreign := newHookHost(t, sampled{hooks: hooks{verifier: own{enlace.GitHubVerifier()}}})
	if _, err := foreign.TestWebhook(t.Context(), foreign.in.Ref, enlace.WebhookTest{}); !errors.Is(err, enlace.ErrUnsupported) {
		t.Errorf("a proof of its own: %v", err)
	}
	for allowed, reason := range map[string]string{"": "proof_none", "hooks": "proof_waived"} {
		h := newHookHost(t, sampled{hooks: hooks{verifier: enlace.Unverified{}}}, func(c *enlace.Config) { c.Webhooks.AllowUnverified = []string{allowed} })
		if r := must(h.TestWebhook(t.Context(), h.in.Ref, enlace.WebhookTest{}))(t); r.OK != (allowed != "") || step(r, "proof").Reason != reason {
			t.Errorf("%q: %+v", allowed, r)
		}
	}
	silent := newHost(t, crm{})
	if _, err := silent.TestWebhook(t.Context(), silent.create(apiKey("key")).Ref, enlace.WebhookTest{}); !errors.Is(err, enlace.ErrUnsupported) || enlace.WebhookFaults(crm{}) != nil {
		t.Errorf("no webhooks: %v", err)
	}
}

// listing is hooks with a provider that knows its registrations.
type listing struct {
	sampled
	targets *[]string
}

func (a listing) EnsureWebhook(_ context.Context, _ *enlace.Conn, target string, _ enlace.Secret) error {
	*a.targets = append(*a.targets, target)
	return nil
}

func (a listing) RemoveWebhook(context.Context, *enlace.Conn, string) error {
	*a.targets = nil
	return nil
}

func (a listing) WebhookRegistered(_ context.Context, _ *enlace.Conn, target string) (bool, error) {
	return slices.Contains(*a.targets, target), nil
}

// roundTrip answers requests by a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestCheckWebhook: each way in which deliveries can fail to arrive has a name.
func TestCheckWebhook(t *testing.T) {
	var targets []string
	answers := func(status int, header http.Header) roundTrip {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: header, Body: http.NoBody}, nil
		}
	}
	far := answers(http.StatusMethodNotAllowed, http.Header{"Allow": {"POST"}})
	h := newHookHost(t, listing{targets: &targets}, func(c *enlace.Config) {
		c.Webhooks.PublicURL = "https://host.example/hooks"
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.String(), "https://host.example/hooks/") {
				t.Errorf("%s %s is asked for", r.Method, r.URL)
			}
			return far(r)
		})
	})
	check := func() enlace.WebhookReport { return must(h.CheckWebhook(t.Context(), h.in.Ref))(t) }
	reasons := func(r enlace.WebhookReport) (all string) {
		for _, s := range r.Steps {
			all += s.Name + ":" + s.Reason + " "
		}
		return all
	}
	if got, want := reasons(check()), "target: secret:secrets registration:not_registered provider:not_at_provider reach:answers deliveries:none_yet "; got != want {
		t.Errorf("before: %s, want %s", got, want)
	}
	if err := h.EnsureWebhook(t.Context(), h.in.Ref, enlace.WebhookOptions{}); err != nil {
		t.Fatal(err)
	}
	h.deliver(bodyOf(happening{Type: "a"}))
	if r := check(); !r.OK || r.Target != "https://host.example/hooks/"+h.in.ID+"/webhook" ||
		reasons(r) != "target: secret:secrets registration:registered provider:at_provider reach:answers deliveries:last_delivery " {
		t.Errorf("after: %+v", r)
	}
	targets = nil
	if r := check(); r.OK || step(r, "provider").Reason != "not_at_provider" {
		t.Errorf("gone from the provider: %+v", r)
	}
	targets = []string{"https://host.example/hooks/" + h.in.ID + "/webhook"}
	for reason, answer := range map[string]roundTrip{
		"login": answers(401, nil), "not_mounted": answers(404, nil), "redirect": answers(302, http.Header{"Location": {"/"}}), "other_server": answers(200, nil),
		"unreachable": func(*http.Request) (*http.Response, error) { return nil, errors.New("secret detail of the line") },
	} {
		far = answer
		if r := check(); r.OK || step(r, "reach").Reason != reason || strings.Contains(fmt.Sprint(r), "secret detail") {
			t.Errorf("%s: %+v", reason, step(r, "reach"))
		}
	}

	near := newHookHost(t, sampled{}, func(c *enlace.Config) {
		c.Transport, c.Egress, c.Webhooks.PublicURL = nil, enlace.Egress{}, "http://127.0.0.1:1/hooks"
	})
	r, err := near.CheckWebhook(t.Context(), near.in.Ref)
	if err != nil || step(r, "reach").Reason != "blocked" || step(r, "target").Reason != "not_https" || step(r, "registration").Reason != "by_hand" || r.OK {
		t.Errorf("a private address: %+v, %v", r, err)
	}
	bare := newHookHost(t, sampled{})
	if r := must(bare.CheckWebhook(t.Context(), bare.in.Ref))(t); r.OK || step(r, "target").Reason != "no_public_url" || step(r, "reach").Reason != "no_public_url" {
		t.Errorf("no address: %+v", r)
	}
	if _, err := bare.CheckWebhook(t.Context(), enlace.Ref{Tenant: "other", ID: bare.in.ID}); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
}
