package bitrix24_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/google/go-cmp/cmp"
)

const target = "https://hook.example.net/b24"

// letterbox takes deliveries as a host's handler does.
type letterbox struct {
	mu  sync.Mutex
	got []enlace.Delivery
}

func (l *letterbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, enlace.Delivery{Method: r.Method, URL: r.URL, Header: r.Header, Body: body, ReceivedAt: time.Now()})
}

// take empties the box and parses what the secret proves.
func (l *letterbox) take(t *testing.T, secret string) (proved []enlace.Event, refused int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := bitrix24.Adapter{}
	for _, d := range l.got {
		if err := a.Verifier().Verify(d, []enlace.Secret{enlace.NewSecret(secret)}); err != nil {
			refused++
			continue
		}
		events, err := a.ParseWebhook(t.Context(), d)
		if err != nil || len(events) != 1 {
			t.Fatalf("%s: %v, %v", d.Body, events, err)
		}
		proved = append(proved, events[0])
	}
	l.got = nil
	return proved, refused
}

// live is a portal whose application hears of events.
func live(t *testing.T, options bitrix24test.Options, run func(h *host, box *letterbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		box := &letterbox{}
		options.EventTransport, options.Callback = bitrix24test.HandlerTransport(box), target
		portal := bitrix24test.New(options)
		defer portal.Close()
		h := oauthHost(t, portal, nil)
		run(h, box)
		h.showsNoSecret(portal.ApplicationToken(), portal.ClientSecret())
	})
}

// TestEventsOfAPortal subscribes, lets things happen, and reads what came (T24, T26).
func TestEventsOfAPortal(t *testing.T) {
	live(t, bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3}}}, func(h *host, box *letterbox) {
		a, secret := bitrix24.Adapter{}, h.portal.ApplicationToken()
		if there, err := a.WebhookRegistered(h.t.Context(), h.conn(), target); there || err != nil {
			h.t.Errorf("registered before: %v, %v", there, err)
		}
		for range 2 {
			if err := a.EnsureWebhook(h.t.Context(), h.conn(), target, enlace.NewSecret(secret)); err != nil {
				h.t.Fatal(err)
			}
		}
		if there, err := a.WebhookRegistered(h.t.Context(), h.conn(), target); !there || err != nil {
			h.t.Errorf("registered: %v, %v", there, err)
		}
		types := map[string]int{"contacts": bitrix24test.Contact, "companies": bitrix24test.Company, "deals": bitrix24test.Deal, "leads": bitrix24test.Lead, "dynamic_128": 128, "dynamic_31": bitrix24test.SmartInvoice}
		for entity, id := range types {
			record := h.portal.Put(id, map[string]any{"comments": "x"})
			h.portal.Touch(id, record)
			h.portal.Delete(id, record)
			h.portal.Drain()
			events, refused := box.take(h.t, secret)
			if refused != 0 || len(events) != 3 {
				h.t.Fatalf("%s: %d events, %d refused", entity, len(events), refused)
			}
			for i, verb := range []string{"ADD", "UPDATE", "DELETE"} {
				e := events[i]
				want := enlace.Record{Entity: entity, ID: "1"}
				if !strings.HasSuffix(e.Type, verb) || e.ID != "" || e.At.IsZero() || e.Payload != nil {
					h.t.Errorf("%s: %+v", entity, e)
				}
				if diff := cmp.Diff(want, e.Record); diff != "" {
					h.t.Errorf("%s: a hint only: %s", e.Type, diff)
				}
			}
			records, err := h.fetch(entity, "1")
			if err != nil || !records[0].Deleted {
				h.t.Errorf("%s: what a hint says is looked up: %v, %v", entity, records, err)
			}
		}
		h.portal.SetEventMode(bitrix24test.EventMode{Forge: true})
		h.portal.Put(bitrix24test.Contact, map[string]any{"name": "x"})
		h.portal.Drain()
		if events, refused := box.take(h.t, secret); len(events) != 0 || refused != 1 {
			h.t.Errorf("forged: %v, %d refused", events, refused)
		}
		h.portal.SetEventMode(bitrix24test.EventMode{NoTokens: true, Duplicate: true})
		h.portal.Put(bitrix24test.Contact, map[string]any{"name": "x"})
		h.portal.Drain()
		if events, _ := box.take(h.t, secret); len(events) != 2 {
			h.t.Errorf("%v", events)
		}
		for range 2 {
			if err := a.RemoveWebhook(h.t.Context(), h.conn(), target); err != nil {
				h.t.Fatal(err)
			}
		}
		h.portal.Put(bitrix24test.Contact, map[string]any{"name": "x"})
		h.portal.Drain()
		if events, _ := box.take(h.t, secret); len(events) != 0 {
			h.t.Errorf("events after the end: %v", events)
		}
		h.portal.SetEventMode(bitrix24test.EventMode{})
		h.portal.Pay(bitrix24test.Payment{Status: "P", Days: 30})
		h.portal.Drain()
		if events, refused := box.take(h.t, secret); len(events) != 0 || refused != 1 {
			h.t.Errorf("a payment has no proof: %v, %d", events, refused)
		}
		h.portal.Uninstall(true)
		h.portal.Drain()
		if events, _ := box.take(h.t, secret); len(events) != 1 || events[0].Type != bitrix24.EventUninstall || events[0].Record.Entity != "" {
			h.t.Errorf("%+v", events)
		}
	})
}

func TestSubscriptions(t *testing.T) {
	live(t, bitrix24test.Options{Quirks: bitrix24test.Quirks{PublicHandlersOnly: true}}, func(h *host, _ *letterbox) {
		ctx, c := h.t.Context(), h.conn()
		if err := bitrix24.Subscribe(ctx, c, target, "OnCrmContactUpdate"); err != nil {
			h.t.Fatal(err)
		}
		list, err := bitrix24.ListSubscriptions(ctx, c)
		if diff := cmp.Diff([]bitrix24.Subscription{{Event: "ONCRMCONTACTUPDATE", Target: target}}, list); diff != "" || err != nil {
			h.t.Error(diff, err)
		}
		if err := bitrix24.Subscribe(ctx, c, target, "ONCRMCONTACTUPDATE", "ONNOTHING", "ONCRMDEALADD"); !errors.Is(err, enlace.ErrInvalid) && !errors.Is(err, enlace.ErrNotFound) {
			h.t.Error(err)
		}
		if list, err = bitrix24.ListSubscriptions(ctx, c); err != nil || len(list) != 2 {
			h.t.Error("the good one was not made: ", list, err)
		}
		if err := bitrix24.Subscribe(ctx, c, "https://127.0.0.1/x", "ONCRMDEALADD"); err == nil {
			h.t.Error("an address that the portal refuses")
		}
		for range 2 {
			if err := bitrix24.Unsubscribe(ctx, c, target, "ONCRMDEALADD", "ONCRMCONTACTUPDATE"); err != nil {
				h.t.Error(err)
			}
		}
		if list, err = bitrix24.ListSubscriptions(ctx, c); err != nil || len(list) != 0 {
			h.t.Error(list, err)
		}
		// A binding whose answer is lost is found again.
		h.portal.Fault(bitrix24test.Fault{Method: "event.bind", Kind: bitrix24test.BrokenBody})
		if err := bitrix24.Subscribe(ctx, c, target, "ONCRMDEALADD"); err != nil {
			h.t.Error(err)
		}
		if err := (bitrix24.Adapter{}).EnsureWebhook(ctx, c, target, enlace.Secret{}); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
		h.portal.Fault(bitrix24test.Fault{Method: "event.get", Kind: bitrix24test.Refuse, Status: 400, Code: "ACCESS_DENIED", After: 1})
		h.portal.Fault(bitrix24test.Fault{Method: "event.bind", Kind: bitrix24test.Refuse, Status: 400, Code: "ERROR_CORE"})
		if err := bitrix24.Subscribe(ctx, c, target, "ONCRMLEADADD"); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error("what failed first counts:", err)
		}
		h.answer(200, `{"result":[{"event":"X","auth_type":"x"}]}`)
		if _, err := bitrix24.ListSubscriptions(ctx, h.conn()); !errors.Is(err, enlace.ErrProtocol) {
			h.t.Error(err)
		}
	})
}

// TestEventsNeedAnApplication: a webhook is told what to do instead.
func TestEventsNeedAnApplication(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		a := bitrix24.Adapter{}
		for name, err := range map[string]error{
			"ensure": a.EnsureWebhook(ctx, c, target, enlace.NewSecret("x")), "remove": a.RemoveWebhook(ctx, c, target),
			"registered":  second(a.WebhookRegistered(ctx, c, target)),
			"unsubscribe": bitrix24.Unsubscribe(ctx, c, target, "ONCRMDEALADD"),
			"offline":     bitrix24.SubscribeOffline(ctx, c, "ONCRMDEALADD"), "reserve": second(bitrix24.ReserveOffline(ctx, c, 0)),
			"list": second(bitrix24.ListOffline(ctx, c)), "clear": bitrix24.ClearOffline(ctx, c, "x"), "reserved": second(bitrix24.ReservedOffline(ctx, c)),
		} {
			if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrUnsupported) || e.Outcome != enlace.OutcomeNotRun || !strings.Contains(e.Message, "outgoing webhook") {
				h.t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestParseEvent(t *testing.T) {
	for _, test := range []struct{ name, id, typeID, entity string }{
		{"ONCRMCONTACTUPDATE", "11", "", "contacts"},
		{"OnCrmContactAdd", "11", "", "contacts"},
		{"ONCRMCOMPANYDELETE", "11", "", "companies"},
		{"ONCRMLEADADD", "11", "", "leads"},
		{"ONCRMQUOTEADD", "11", "", "dynamic_7"},
		{"ONCRMDEALMOVETOCATEGORY", "11", "", "deals"},
		{"ONCRMDYNAMICITEMADD", "11", "31", "dynamic_31"},
		{"ONCRMDYNAMICITEMUPDATE_128", "11", "", "dynamic_128"},
		{"ONCRMDYNAMICITEMUPDATE", "11", "", ""},
		{"ONCRMDYNAMICITEMUPDATE_x", "11", "31", ""},
		{"ONCRMDYNAMICITEMUPDATE_0128", "11", "", ""},
		{"ONCRMCONTACTUSERFIELDADD", "11", "", ""},
		{"ONCRMACTIVITYUPDATE", "11", "", ""},
		{"ONCRMCONTACTUPDATE", "", "", ""},
		{"ONCRMCONTACTUPDATE", "11x", "", ""},
		{"ONCRMCONTACTUPDATE", "-1", "", ""},
		{"ONCRM", "11", "", ""}, {"ONCRM_", "11", "", ""}, {"ONUSERADD", "11", "", ""}, {"ONSOMETHING", "", "", ""},
	} {
		form := eventForm(test.name, "data[FIELDS][ID]", test.id, "data[FIELDS][ENTITY_TYPE_ID]", test.typeID)
		e, err := bitrix24.ParseEvent([]byte(form.Encode()))
		if err != nil || e.Entity != test.entity || e.Name != strings.ToUpper(test.name) {
			t.Errorf("%+v: %+v, %v", test, e, err)
		}
		if test.id == "11" && e.ID != "11" {
			t.Errorf("%s names %q", test.name, e.ID)
		}
	}
	form := eventForm("ONAPPINSTALL", "data[VERSION]", "2", "auth[expires_in]", "3600", "auth[scope]", "crm,user task", "auth[user_id]", "7",
		"auth[access_token]", "AT1", "auth[refresh_token]", "RT1", "event_handler_id", "196")
	e, err := bitrix24.ParseEvent([]byte(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if e.Data["VERSION"] != "2" || !slices.Equal(e.Auth.Scopes, []string{"crm", "user", "task"}) || e.Auth.UserID != "7" || e.HandlerID != "196" ||
		e.Auth.AccessToken.Reveal() != "AT1" || e.Auth.RefreshToken.Reveal() != "RT1" || e.Auth.ApplicationToken.Reveal() != webhookToken ||
		e.SentAt.Unix() != 1780000500 || e.Auth.Expires.Unix() != 1780004100 || e.Auth.MemberID != "0123456789abcdef0123456789abcdef" {
		t.Errorf("%+v", e)
	}
	form.Set("auth[expires]", "1780009999")
	if e, err := bitrix24.ParseEvent([]byte(form.Encode())); err != nil || e.Auth.Expires.Unix() != 1780009999 {
		t.Errorf("%+v, %v", e, err)
	}
	for _, body := range []string{"", "x", "event=", "event=A&event=B", "event=A&auth[application_token]=1&auth[application_token]=2", "%zz", "event=A;b", `{"event":"A"}`,
		"event=A&x=" + strings.Repeat("x", 1<<20)} {
		if _, err := bitrix24.ParseEvent([]byte(body)); !errors.Is(err, enlace.ErrProtocol) {
			t.Errorf("%.40q: %v", body, err)
		}
	}
	// Without a time of its own it is that of its arrival.
	d := delivery(url.Values{"event": {"ONX"}})
	d.ReceivedAt = time.Unix(5, 0)
	if events, err := (bitrix24.Adapter{}).ParseWebhook(t.Context(), d); err != nil || !events[0].At.Equal(d.ReceivedAt) {
		t.Error(events, err)
	}
}

// TestProofIsNeeded strips and forges the proof of genuine deliveries in every place.
func TestProofIsNeeded(t *testing.T) {
	verifier := bitrix24.Adapter{}.Verifier()
	secret := []enlace.Secret{enlace.NewSecret(webhookToken)}
	if err := verifier.Verify(delivery(eventForm("ONCRMCONTACTUPDATE")), secret); err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(form url.Values, d *enlace.Delivery){
		"none":      func(form url.Values, _ *enlace.Delivery) { form.Del("auth[application_token]") },
		"empty":     func(form url.Values, _ *enlace.Delivery) { form.Set("auth[application_token]", "") },
		"wrong":     func(form url.Values, _ *enlace.Delivery) { form.Set("auth[application_token]", "WRONG") },
		"longer":    func(form url.Values, _ *enlace.Delivery) { form.Set("auth[application_token]", webhookToken+"0") },
		"twice":     func(form url.Values, _ *enlace.Delivery) { form.Add("auth[application_token]", webhookToken) },
		"elsewhere": func(form url.Values, d *enlace.Delivery) { d.URL.RawQuery = form.Encode(); clear(form) },
		"misnamed": func(form url.Values, _ *enlace.Delivery) {
			form.Set("application_token", form.Get("auth[application_token]"))
			form.Del("auth[application_token]")
		},
	} {
		form := eventForm("ONCRMCONTACTUPDATE")
		d := delivery(form)
		forge(form, &d)
		d.Body = []byte(form.Encode())
		if err := verifier.Verify(d, secret); !errors.Is(err, enlace.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verifier.Verify(delivery(eventForm("ONCRMCONTACTUPDATE", "auth[application_token]", "")), []enlace.Secret{{}}); !errors.Is(err, enlace.ErrSignature) {
		t.Error("an empty secret proves something:", err)
	}
}
