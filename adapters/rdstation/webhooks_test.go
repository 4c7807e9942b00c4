package rdstation_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

const target = "https://hooks.example.com/rd/t1?x=1"

// receiver is a host's webhook address, as an http.Handler would serve it.
type receiver struct {
	t       *testing.T
	adapter enlace.WebhookReceiver

	mu     sync.Mutex
	secret enlace.Secret
	status int // of answers to good deliveries
	got    received
}

// received is what a receiver took so far.
type received struct {
	deliveries []enlace.Delivery
	events     []enlace.Event
	challenges int
	refused    int
}

// seen returns what was received so far. Deliveries come in goroutines of their
// own, and sleeping until they are over does not order them before the sleeper:
// the lock does.
func (r *receiver) seen() received {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	got.deliveries, got.events = slices.Clone(got.deliveries), slices.Clone(got.events)
	return got
}

// expect has deliveries checked against another secret.
func (r *receiver) expect(secret enlace.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = secret
}

// answer has good deliveries answered with another status.
func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(q.Body)
	if c, ok := r.adapter.(enlace.WebhookChallenger); ok && c.AnswerChallenge(w, q, body) {
		r.got.challenges++
		return
	}
	d := enlace.Delivery{Method: q.Method, URL: q.URL, Header: q.Header, Body: body, ReceivedAt: time.Now()}
	if err := r.adapter.Verifier().Verify(d, []enlace.Secret{r.secret}); err != nil {
		r.got.refused++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	events, err := r.adapter.ParseWebhook(q.Context(), d)
	if err != nil {
		r.t.Errorf("%s: %v", body, err)
	}
	r.got.deliveries, r.got.events = append(r.got.deliveries, d), append(r.got.events, events...)
	w.WriteHeader(r.status)
}

func newReceiver(t *testing.T, adapter enlace.WebhookReceiver) *receiver {
	return &receiver{t: t, adapter: adapter, secret: enlace.NewSecret("c4n4ry-w3bh00k-s3cr3t"), status: http.StatusOK}
}

// registered fails unless the adapter tells of its subscriptions what is true.
func registered(t *testing.T, a enlace.IntegrationAdapter, c *enlace.Conn, want bool) {
	t.Helper()
	inspector, _ := enlace.As[enlace.WebhookInspector](a)
	if got, err := inspector.WebhookRegistered(t.Context(), c, target); got != want || err != nil {
		t.Errorf("registered: %v, %v, want %v", got, err, want)
	}
}

// TestMarketingWebhooks registers, is delivered to, changes the secret and removes
// (T37, T39, T40).
func TestMarketingWebhooks(t *testing.T) {
	for name, quirks := range map[string]rdstationtest.Quirks{"upper": {}, "lower": {LowerCaseEvents: true, CreateWebhook200: true}} {
		bubble(t, name, func(t *testing.T) {
			m := &rdstation.Marketing{}
			r := newReceiver(t, m)
			account, uuid := bia(rdstationtest.Options{Quirks: quirks, WebhookTransport: rdstationtest.HandlerTransport(r)})
			defer account.Close()
			h := marketingHost(t, account, nil)
			c, ctx := h.conn(), t.Context()
			for range 2 { // the second time nothing changes
				if err := m.EnsureWebhook(ctx, c, target, r.secret); err != nil {
					t.Fatal(err)
				}
			}
			registered(t, m, c, true)
			s := account.Stats().Routes
			if r.seen().challenges != 2 || s["POST /integrations/webhooks"].Requests != 2 || s["PUT /integrations/webhooks/{uuid}"].Requests != 0 {
				t.Errorf("%d validation calls, %+v", r.seen().challenges, s)
			}
			account.Convert(email, "orcamento", map[string]any{"company_name": "Padaria Aurora"})
			account.Wait() // deliveries have no order
			account.MarkOpportunity(uuid)
			account.Wait()
			if len(r.seen().events) != 2 || r.seen().refused != 0 {
				t.Fatalf("%d events, %d refused", len(r.seen().events), r.seen().refused)
			}
			for i, want := range []string{rdstation.EventConverted, rdstation.EventMarkedOpportunity} {
				e := r.seen().events[i]
				if e.Type != want || e.Record.ID != uuid || e.Record.Entity != "contacts" || e.Record.Data != nil || e.At.IsZero() || len(e.ID) != 64 {
					t.Errorf("%s: %s of %s, at %v, id %s", e.Payload, e.Type, e.Record.ID, e.At, e.ID)
				}
			}
			var payload rdstation.ContactEvent
			if err := json.Unmarshal(r.seen().events[0].Payload, &payload); err != nil || payload.Contact.Company.Name != "Padaria Aurora" ||
				payload.Contact.Funnel == nil || payload.Contact.Email != email || payload.Identifier != "orcamento" || payload.Contact.Custom["cf_segmento"] == nil {
				t.Errorf("%+v, %v", payload, err)
			}
			// A new secret replaces the addresses.
			old := r.secret
			r.expect(enlace.NewSecret("c4n4ry-an0ther-s3cr3t"))
			if err := m.EnsureWebhook(ctx, c, target, r.secret); err != nil {
				t.Fatal(err)
			}
			account.Convert(email, "orcamento", nil)
			account.Wait()
			if hooks := must[[]rdstation.Webhook](t)(m.Webhooks(ctx, c)); len(r.seen().events) != 3 || len(hooks) != 2 || hooks[0].PlatformAccountID != "818000000000436400" {
				t.Errorf("%d events, %+v", len(r.seen().events), hooks)
			}
			if err := m.RemoveWebhook(ctx, c, target); err != nil {
				t.Fatal(err)
			}
			if err := m.RemoveWebhook(ctx, c, target); err != nil {
				t.Errorf("nothing to remove: %v", err)
			}
			registered(t, m, c, false)
			account.Convert(email, "orcamento", nil)
			account.Wait()
			if len(r.seen().events) != 3 {
				t.Error("delivered after the removal")
			}
			h.showsNoSecret(old.Reveal(), r.secret.Reveal())
		})
	}
}

// TestRepeatedDeliveries: a receiver that fails gets the same event again, under
// the same id; another conversion has another one.
func TestRepeatedDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &rdstation.Marketing{}
		r := newReceiver(t, m)
		account, _ := bia(rdstationtest.Options{WebhookTransport: rdstationtest.HandlerTransport(r)})
		defer account.Close()
		h := marketingHost(t, account, nil)
		if err := m.EnsureWebhook(t.Context(), h.conn(), target, r.secret); err != nil {
			t.Fatal(err)
		}
		r.answer(http.StatusServiceUnavailable)
		account.Convert(email, "orcamento", nil)
		time.Sleep(24 * time.Hour)
		if len(r.seen().events) != 4 { // three retries
			t.Fatalf("%d deliveries", len(r.seen().events))
		}
		account.Convert(email, "orcamento", nil)
		time.Sleep(24 * time.Hour)
		ids := map[string]int{}
		for _, e := range r.seen().events {
			ids[e.ID]++
		}
		if len(ids) != 2 || ids[r.seen().events[0].ID] != 4 {
			t.Errorf("%v", ids)
		}
		if string(r.seen().deliveries[0].Body) == string(r.seen().deliveries[1].Body) {
			t.Error("the fake repeats the same bytes; then the test shows nothing")
		}
	})
}

// TestRefusedTarget is a 401 that is not about the token (T38, Q9).
func TestRefusedTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, _ := bia(rdstationtest.Options{WebhookTransport: rdstationtest.HandlerTransport(http.NotFoundHandler())})
		defer account.Close()
		h := marketingHost(t, account, nil)
		err := h.note(h.marketing.EnsureWebhook(t.Context(), h.conn(), target, enlace.NewSecret("c4n4ry-w3bh00k-s3cr3t")))
		if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Kind != enlace.ErrInvalid || e.Code != "WEBHOOK_TARGET" {
			t.Errorf("%v", err)
		}
		in := must[enlace.Integration](t)(h.service.Get(t.Context(), h.ref))
		if in.Status != enlace.StatusConnected {
			t.Errorf("status %s", in.Status)
		}
		account.RevokeTokens(rdstationtest.Marketing)
		if err := h.marketing.EnsureWebhook(t.Context(), h.conn(), target, enlace.NewSecret("x")); !errors.Is(err, enlace.ErrAuth) {
			t.Errorf("the token is refused: %v", err)
		}
		h.showsNoSecret("c4n4ry-w3bh00k-s3cr3t")
	})
}

// TestForgedDeliveries must all be refused.
func TestForgedDeliveries(t *testing.T) {
	secret := enlace.NewSecret("s3cr3t-of-the-address")
	for name, test := range map[string]struct {
		adapter enlace.WebhookReceiver
		good    func(v string) enlace.Delivery
	}{
		"marketing": {&rdstation.Marketing{}, inQuery}, "crm": {rdstation.CRM{}, inHeader}, "v1": {rdstation.CRMv1{}, inQuery},
	} {
		v := test.adapter.Verifier()
		if err := v.Verify(test.good(secret.Reveal()), []enlace.Secret{enlace.NewSecret("old"), secret}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, forged := range []string{"", "S3CR3T-OF-THE-ADDRESS", secret.Reveal() + "x", secret.Reveal()[1:], "old"} {
			if err := v.Verify(test.good(forged), []enlace.Secret{secret}); !errors.Is(err, enlace.ErrSignature) {
				t.Errorf("%s %q: %v", name, forged, err)
			}
		}
		both := test.good(secret.Reveal())
		both.Header.Add(rdstation.KeyHeader, "x")
		both.URL.RawQuery += "&token=x"
		for _, d := range []enlace.Delivery{{URL: &url.URL{}, Header: http.Header{}}, both} {
			if err := v.Verify(d, []enlace.Secret{secret}); !errors.Is(err, enlace.ErrSignature) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := v.Verify(test.good(""), []enlace.Secret{{}}); !errors.Is(err, enlace.ErrSignature) {
			t.Errorf("%s: an empty secret: %v", name, err)
		}
	}
}

func inQuery(v string) enlace.Delivery {
	return enlace.Delivery{URL: &url.URL{RawQuery: url.Values{"token": {v}}.Encode()}, Header: http.Header{}}
}

func inHeader(v string) enlace.Delivery {
	return enlace.Delivery{URL: &url.URL{}, Header: http.Header{rdstation.KeyHeader: {v}}}
}

func TestChallenges(t *testing.T) {
	for _, test := range []struct {
		method, body string
		want         bool
	}{
		{"POST", "", true}, {"POST", " {} ", true}, {"POST", "[]", true}, {"GET", "", true}, {"HEAD", "x", true}, {"GET", `{"event_type":"x"}`, true},
		{"POST", `{"event_type":"WEBHOOK.CONVERTED"}`, false}, {"POST", "garbage", false}, {"PUT", `{"leads":[]}`, false},
	} {
		for _, c := range []enlace.WebhookChallenger{&rdstation.Marketing{}, rdstation.CRMv1{}} {
			w := httptest.NewRecorder()
			if got := c.AnswerChallenge(w, httptest.NewRequest(test.method, "/", nil), []byte(test.body)); got != test.want || w.Code != 200 || w.Body.Len() > 0 {
				t.Errorf("%s %q: %v, %d", test.method, test.body, got, w.Code)
			}
		}
	}
}

// TestOldForm is the payload of the product's own webhooks (sheet 7.3).
func TestOldForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, &rdstation.Marketing{})
		account, uuid := bia(rdstationtest.Options{WebhookTransport: rdstationtest.HandlerTransport(r)})
		defer account.Close()
		account.Convert(email, "orcamento", nil)
		other := account.PutContact(map[string]any{"email": "o@example.com"})
		account.SendLeads("https://hooks.example.com/?token="+r.secret.Reveal(), uuid, other)
		account.Wait()
		if len(r.seen().events) != 2 || r.seen().events[0].Type != rdstation.EventLeads || r.seen().events[0].Record.ID != uuid || r.seen().events[1].Record.ID != other || r.seen().events[0].ID == r.seen().events[1].ID {
			t.Errorf("%+v", r.seen().events)
		}
	})
}

func TestDeliveriesThatAreNone(t *testing.T) {
	for _, body := range []string{"", "x", "{}", "[]", `{"leads":[]}`, `{"leads":[{}]}`, `{"leads":{}}`, `{"leads":[{"uuid":"a"},7]}`, `{"leads":[` + strings.Repeat(`{"uuid":"a"},`, 1001) + `{"uuid":"a"}]}`,
		`{"contact":{}}`, `{"contact":{"uuid":"a"}}`, `{"contact":7,"event_type":"x"}`, `{"event_name":"crm_deal_created"}`, `{"event_name":"deal_created","document":{"id":"a"}}`,
		`{"event_name":"crm_secret_created","document":{"id":"a"}}`, `{"event_name":"crm_","document":{"id":"a"}}`, `{"event_name":"crm_deal_created","document":{"id":null}}`, `{"event_name":7,"document":{"id":"a"}}`} {
		for _, r := range []enlace.WebhookReceiver{&rdstation.Marketing{}, rdstation.CRM{}, rdstation.CRMv1{}} {
			events, err := r.ParseWebhook(t.Context(), enlace.Delivery{Body: []byte(body)})
			if !errors.Is(err, enlace.ErrProtocol) || events != nil {
				t.Errorf("%.50q: %v, %v", body, events, err)
			}
		}
	}
}

// TestCRMWebhooks for both versions (T41, T42, T50).
func TestCRMWebhooks(t *testing.T) {
	for name, test := range map[string]struct {
		adapter interface {
			enlace.IntegrationAdapter
			enlace.WebhookReceiver
			enlace.WebhookRegistrar
		}
		connect func(*testing.T, *rdstationtest.Account) *host
		route   string
		hooks   int
	}{
		"v2": {rdstation.CRM{}, crmHost, " /crm/v2/webhooks", 24}, "v1": {rdstation.CRMv1{}, v1Host, " /api/v1/webhooks", 23},
	} {
		bubble(t, name, func(t *testing.T) {
			r := newReceiver(t, test.adapter)
			account := rdstationtest.New(rdstationtest.Options{WebhookTransport: rdstationtest.HandlerTransport(r)})
			defer account.Close()
			h := test.connect(t, account)
			c, ctx := h.conn(), t.Context()
			for range 2 {
				if err := h.note(test.adapter.EnsureWebhook(ctx, c, target, r.secret)); err != nil {
					t.Fatal(err)
				}
			}
			registered(t, test.adapter, c, true)
			if n := account.Stats().Routes["POST"+test.route].Requests; n != test.hooks {
				t.Errorf("%d subscriptions", n)
			}
			if n := account.Stats().Routes["PUT"+test.route+"/{uuid}"].Requests; n != 0 {
				t.Errorf("%d were changed for nothing", n)
			}
			deal := account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "Forno"})
			account.Wait() // deliveries have no order
			account.PutCRM(rdstationtest.CRMDeals, map[string]any{"id": deal, "status": "won"})
			account.Wait()
			account.DeleteCRM(rdstationtest.CRMDeals, deal)
			account.Wait()
			if len(r.seen().events) != 3 || r.seen().refused != 0 {
				t.Fatalf("%d events, %d refused", len(r.seen().events), r.seen().refused)
			}
			for i, want := range []string{"crm_deal_created", "crm_deal_updated", "crm_deal_deleted"} {
				e := r.seen().events[i]
				if e.Type != want || e.Record.ID != deal || e.Record.Entity != "deals" || e.Record.Deleted != (i == 2) || e.Record.Data != nil || e.ID == "" || e.At.IsZero() {
					t.Errorf("%s: %s of %s, at %v, id %s", e.Payload, e.Type, e.Record.ID, e.At, e.ID)
				}
			}
			r.expect(enlace.NewSecret("c4n4ry-an0ther-s3cr3t"))
			if err := test.adapter.EnsureWebhook(ctx, c, target, r.secret); err != nil {
				t.Fatal(err)
			}
			account.PutCRM(rdstationtest.CRMTasks, map[string]any{"name": "Ligar", "type": "call"})
			account.Wait()
			if len(r.seen().events) != 4 || r.seen().events[3].Record.Entity != "tasks" {
				t.Errorf("%+v, %d refused", r.seen().events, r.seen().refused)
			}
			for range 2 {
				if err := test.adapter.RemoveWebhook(ctx, c, target); err != nil {
					t.Fatal(err)
				}
			}
			registered(t, test.adapter, c, false)
			account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "Forno"})
			account.Wait()
			if len(r.seen().events) != 4 {
				t.Error("delivered after the removal")
			}
			for _, bad := range []string{"", "x", "ftp://x/", "https://"} {
				if err := test.adapter.EnsureWebhook(ctx, c, bad, r.secret); !errors.Is(err, enlace.ErrInvalid) {
					t.Errorf("%q: %v", bad, err)
				}
			}
			if err := test.adapter.EnsureWebhook(ctx, c, target, enlace.Secret{}); !errors.Is(err, enlace.ErrInvalid) {
				t.Errorf("without a secret: %v", err)
			}
			h.showsNoSecret("c4n4ry-w3bh00k-s3cr3t", "c4n4ry-an0ther-s3cr3t")
		})
	}
}

func TestWebhookAdministration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{WebhookTransport: rdstationtest.HandlerTransport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))})
		defer account.Close()
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		w := rdstation.Webhook{EventType: rdstation.EventConverted, EntityType: "CONTACT", URL: "https://a.example/", Method: "POST", EventIdentifiers: []string{"orcamento"}}
		created := must[rdstation.Webhook](t)(m.CreateWebhook(ctx, c, w))
		if created.UUID == "" || created.Status != "active" || created.Source != "MKT" {
			t.Errorf("%+v", created)
		}
		if _, err := m.CreateWebhook(ctx, c, w); !errors.Is(err, enlace.ErrInvalid) && !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("the same again: %v", err)
		}
		w.EventIdentifiers = nil
		if updated, err := m.UpdateWebhook(ctx, c, created.UUID, w); err != nil || len(updated.EventIdentifiers) != 0 {
			t.Errorf("%+v, %v", updated, err)
		}
		if err := m.DeleteWebhook(ctx, c, created.UUID); err != nil {
			t.Error(err)
		}
		if err := m.DeleteWebhook(ctx, c, created.UUID); !errors.Is(err, enlace.ErrNotFound) {
			t.Error(err)
		}
		if err := m.DeleteWebhook(ctx, c, "../x"); !errors.Is(err, enlace.ErrInvalid) {
			t.Error(err)
		}
		if _, err := m.UpdateWebhook(ctx, c, "", w); !errors.Is(err, enlace.ErrInvalid) {
			t.Error(err)
		}
	})
}
