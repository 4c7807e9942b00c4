package rdstation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
	"github.com/google/go-cmp/cmp"
)

const email = "bia@exemplo.com.br"

// everyEvent is one of each type that the provider takes (sheet 2.5).
func everyEvent() []rdstation.Event {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	items := []rdstation.LineItem{{ProductID: "F-10", ProductTitle: "Forma 10", Price: 174.95, Quantity: 2, SKU: "F10"}}
	return []rdstation.Event{
		rdstation.Conversion{Identifier: "orcamento", Email: email, Name: "Bia Nunes", CompanyName: "Padaria Aurora", Tags: []string{"forno"},
			AvailableForMailing: new(true), LegalBases: []rdstation.LegalBasis{{Category: "communications", Type: "consent", Status: "granted"}},
			Custom: map[string]any{"cf_segmento": "padaria"}},
		rdstation.Opportunity{Email: email},
		rdstation.Sale{Email: email, Value: 1890.5},
		rdstation.OpportunityLost{Email: email, Reason: "price"},
		rdstation.Chat{Email: email, Subject: "Help", Status: "open"},
		rdstation.Chat{Finished: true, Email: email, Subject: "Help", Status: "closed", Transcript: "…"},
		rdstation.Call{Email: email, From: "+5581", Status: "ANSWERED", StartedAt: &at, Duration: "60", Type: "Inbound"},
		rdstation.MediaPlayback{Email: email, Type: "VIDEO", Identifier: "intro", Duration: 7},
		rdstation.MediaPlayback{Stopped: true, Email: email, Type: "VIDEO", Identifier: "intro"},
		rdstation.Checkout{Email: email, Identifier: "chk-981", CheckoutURL: "https://loja.exemplo.com.br/c/981", Currency: "BRL", Price: 349.9, TotalItems: 2, LineItems: items},
		rdstation.Checkout{Abandoned: true, Email: email, Identifier: "chk-981", CheckoutURL: "https://loja.exemplo.com.br/c/981", Currency: "BRL", Price: 349.9, TotalItems: 2},
		rdstation.Order{Email: email, Identifier: "o-1", Currency: "BRL", Price: 1, TotalItems: 1, LineItems: items},
		rdstation.Order{Paid: true, Email: email, Identifier: "o-1", Currency: "BRL", Price: 1, TotalItems: 1, PaymentMethods: []string{"pix"}},
		rdstation.OrderCancelled{Email: email, Identifier: "o-1", Reason: "customer"},
		rdstation.OrderRefunded{Email: email, Identifier: "o-1"},
		rdstation.OrderFulfilled{Email: email, Identifier: "o-1", TrackingCode: "X"},
		rdstation.ShipmentDelivered{Email: email, Identifier: "o-1", OrderIdentifier: "o"},
	}
}

// TestEveryEvent sends each by itself (T29, T32, T35) and all together (T33).
func TestEveryEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []rdstationtest.Request
		account, _ := bia(rdstationtest.Options{OnRequest: func(r rdstationtest.Request) { sent = append(sent, r) }})
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		types := map[string]bool{}
		for _, e := range everyEvent() {
			id, err := m.Send(ctx, c, e)
			if err != nil || id == "" {
				t.Errorf("%s: %q, %v", e.EventType(), id, err)
			}
			types[e.EventType()] = true
			last := sent[len(sent)-1]
			if !strings.HasSuffix(strings.ToUpper(last.URL), "EVENT_TYPE="+e.EventType()) {
				t.Errorf("%s went to %s", e.EventType(), last.URL)
			}
		}
		if len(types) != 17 {
			t.Errorf("%d types", len(types))
		}
		ids, err := m.SendBatch(ctx, c, everyEvent()...)
		if err != nil || len(ids) != 17 || ids[0] == ids[1] {
			t.Errorf("%q, %v", ids, err)
		}
		if got := account.Stats().Events; got != 34 {
			t.Errorf("%d events", got)
		}
		var body map[string]any
		if err := json.Unmarshal(sent[0].Body, &body); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"event_type": "CONVERSION", "event_family": "CDP", "payload": map[string]any{
			"conversion_identifier": "orcamento", "email": email, "name": "Bia Nunes", "company_name": "Padaria Aurora", "tags": []any{"forno"},
			"available_for_mailing": true, "legal_bases": []any{map[string]any{"category": "communications", "type": "consent", "status": "granted"}},
			"cf_segmento": "padaria"}}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("T29 (-want +sent):\n%s", diff)
		}
	})
}

func TestRefusedEvents(t *testing.T) {
	for name, quirks := range map[string]rdstationtest.Quirks{"bare": {}, "wrapped": {WrappedEventErrors: true}} {
		bubble(t, name, func(t *testing.T) {
			account, _ := bia(rdstationtest.Options{Quirks: quirks})
			h := marketingHost(t, account, nil)
			c, m, ctx := h.conn(), h.marketing, t.Context()
			for code, e := range map[string]rdstation.Event{
				"INVALID_OPTION":    rdstation.RawEvent{Type: "CONVERTED", Payload: map[string]any{"email": email}},                                                 // T31
				"INVALID_DATA_TYPE": rdstation.RawEvent{Type: "CONVERSION", Payload: map[string]any{"conversion_identifier": "o", "email": email, "tags": "forno"}}, // T30
				"CANNOT_BE_NULL":    rdstation.Conversion{Identifier: "x"},
			} {
				_, err := m.Send(ctx, c, e)
				if got, ok := errors.AsType[*enlace.Error](h.note(err)); !ok || got.Kind != enlace.ErrInvalid || got.Code != code || !strings.Contains(got.Message, "$.") {
					t.Errorf("%s: %v", code, err)
				}
				if _, err := m.SendBatch(ctx, c, rdstation.Opportunity{Email: email}, e); !errors.Is(err, enlace.ErrInvalid) {
					t.Errorf("%s in a batch: %v", code, err)
				}
			}
			before := account.Stats().Requests
			long := rdstation.Conversion{Identifier: "x", Email: email, Name: strings.Repeat("x", 200_001)}
			if _, err := m.Send(ctx, c, long); !errors.Is(err, enlace.ErrInvalid) {
				t.Errorf("too long: %v", err)
			}
			if _, err := m.SendBatch(ctx, c, long); !errors.Is(err, enlace.ErrInvalid) {
				t.Errorf("too long a batch: %v", err)
			}
			for _, bad := range []rdstation.Event{rdstation.RawEvent{Type: "CONVERSION", Payload: func() {}},
				rdstation.Conversion{Custom: map[string]any{"email": "other"}}} {
				if _, err := m.Send(ctx, c, bad); !errors.Is(err, enlace.ErrInvalid) {
					t.Errorf("%+v: %v", bad, err)
				}
				if _, err := m.SendBatch(ctx, c, bad); !errors.Is(err, enlace.ErrInvalid) {
					t.Errorf("%+v: %v", bad, err)
				}
			}
			if ids, err := m.SendBatch(ctx, c); ids != nil || err != nil {
				t.Errorf("an empty batch: %v, %v", ids, err)
			}
			if n := account.Stats().Requests - before; n != 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

func TestAPIKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{APIKeys: []rdstationtest.APIKey{{Key: "g00d-k3y-123"}, {Key: "off-k3y-123", Inactive: true}, {Key: "crm-k3y-123", OfCRM: true}}})
		conversion := rdstation.Conversion{Identifier: "orcamento", Email: email}
		h := newHost(t, account).connect(rdstation.MarketingName, nil, key(rdstation.SchemeAPIKey, "g00d-k3y-123"))
		if id, err := h.marketing.SendByKey(t.Context(), h.conn(), conversion); err != nil || id == "" {
			t.Errorf("%q, %v", id, err)
		}
		before := account.Stats().Requests
		for name, call := range map[string]func(c *enlace.Conn) error{
			"event": func(c *enlace.Conn) error { _, err := h.marketing.Send(t.Context(), c, conversion); return err },
			"contact": func(c *enlace.Conn) error {
				_, err := h.marketing.Contact(t.Context(), c, rdstation.ByUUID(uuid))
				return err
			},
		} {
			if err := h.note(call(h.conn())); !errors.Is(err, enlace.ErrForbidden) {
				t.Errorf("%s with a key: %v", name, err)
			}
		}
		if n := account.Stats().Requests - before; n != 0 {
			t.Errorf("the key was sent to %d other routes", n)
		}
		for _, bad := range []string{"off-k3y-123", "crm-k3y-123", "n0-such-k3y"} { // T34
			h.connect(rdstation.MarketingName, nil, key(rdstation.SchemeAPIKey, bad))
			_, err := h.marketing.SendByKey(t.Context(), h.conn(), conversion)
			if !errors.Is(h.note(err), enlace.ErrAuth) {
				t.Errorf("%s: %v", bad, err)
			}
			in, _ := h.service.Get(t.Context(), h.ref)
			if in.Status != enlace.StatusNeedsReauth {
				t.Errorf("%s: status %s", bad, in.Status)
			}
		}
		if _, err := h.marketing.SendByKey(t.Context(), h.conn(), rdstation.Conversion{Custom: map[string]any{"x": 1}}); !errors.Is(err, enlace.ErrInvalid) {
			t.Error(err)
		}
		h.showsNoSecret("g00d-k3y-123", "off-k3y-123", "crm-k3y-123", "n0-such-k3y")
	})
}

var newField = rdstation.Field{APIIdentifier: "cf_novo", DataType: "STRING", PresentationType: "TEXT_INPUT",
	Name: map[string]string{"pt-BR": "Novo"}, Label: map[string]string{"pt-BR": "Novo"}}

// TestWritesAreSentOnce loses the answer of everything that must not be repeated,
// and counts its effects.
func TestWritesAreSentOnce(t *testing.T) {
	const flow = "0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11"
	for _, kind := range []rdstationtest.FaultKind{rdstationtest.LostAnswer, rdstationtest.TruncatedJSON, rdstationtest.BrokenBody, rdstationtest.HTML502, rdstationtest.Hang} {
		for name, write := range map[string]func(h *host, c *enlace.Conn) error{
			"event": func(h *host, c *enlace.Conn) error {
				_, err := h.marketing.Send(h.t.Context(), c, rdstation.Opportunity{Email: email})
				return err
			},
			"batch": func(h *host, c *enlace.Conn) error {
				_, err := h.marketing.SendBatch(h.t.Context(), c, everyEvent()...)
				return err
			},
			"contact": func(h *host, c *enlace.Conn) error {
				_, err := h.marketing.CreateContact(h.t.Context(), c, rdstation.Contact{Email: "n@example.com"})
				return err
			},
			"push": func(h *host, c *enlace.Conn) error {
				_, err := h.marketing.Push(h.t.Context(), c, enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: rdstation.Contact{Email: "n@example.com"}})
				return err
			},
			"webhook": func(h *host, c *enlace.Conn) error {
				_, err := h.marketing.CreateWebhook(h.t.Context(), c, rdstation.Webhook{EventType: rdstation.EventConverted, EntityType: "CONTACT", URL: "https://x.example/", Method: "POST"})
				return err
			},
			"flow": func(h *host, c *enlace.Conn) error {
				_, err := h.marketing.AddToWorkflow(h.t.Context(), c, flow, email)
				return err
			},
			"field": func(h *host, c *enlace.Conn) error {
				_, err := h.marketing.CreateField(h.t.Context(), c, newField)
				return err
			},
		} {
			bubble(t, fmt.Sprint(name, " ", kind), func(t *testing.T) {
				account, _ := bia(rdstationtest.Options{WebhookTransport: rdstationtest.HandlerTransport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))})
				defer account.Close()
				account.PutAsset(rdstationtest.Workflows, map[string]any{"id": flow, "status": "active"})
				h := marketingHost(t, account, map[string]string{"retryAttempts": "5", "timeout": "1000"})
				sent := 0
				h.config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
					sent++
					return account.Transport().RoundTrip(r)
				})
				h.restart()
				account.Fault(rdstationtest.Fault{Kind: kind, Times: -1})
				err := h.note(write(h, h.conn()))
				e, ok := errors.AsType[*enlace.Error](err)
				if !ok || e.Outcome != enlace.OutcomeUnknown {
					t.Errorf("%v", err)
				}
				if sent != 1 {
					t.Errorf("sent %d times", sent)
				}
				h.showsNoSecret()
			})
		}
	}
}

// TestRefusedWritesAreRepeated: a limit and an expired token keep a write from
// having an effect, so that it goes out again.
func TestRefusedWritesAreRepeated(t *testing.T) {
	for name, fault := range map[string]rdstationtest.Fault{
		"limit": {Kind: rdstationtest.RateLimited, Delay: 7 * time.Second}, "token": {Kind: rdstationtest.ExpiredToken},
	} {
		bubble(t, name, func(t *testing.T) {
			account, _ := bia(rdstationtest.Options{})
			fault.Route = "POST /platform/events"
			account.Fault(fault)
			h := marketingHost(t, account, nil)
			if _, err := h.marketing.Send(t.Context(), h.conn(), rdstation.Opportunity{Email: email}); err != nil {
				t.Error(err)
			}
			if s := account.Stats(); s.Events != 1 || s.Routes["POST /platform/events"].Requests != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{})
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		push := func(entity string, op enlace.Operation, id string, data any) (enlace.Ack, error) {
			ack, err := m.Push(ctx, c, enlace.Mutation{Entity: entity, Op: op, ID: id, Data: data})
			return ack, h.note(err)
		}
		good := func(entity string, op enlace.Operation, id string, data any) enlace.Ack {
			t.Helper()
			ack, err := push(entity, op, id, data)
			if err != nil || ack.ID == "" || ack.Created != (op == enlace.OpCreate) {
				t.Errorf("%s %s: %+v, %v", op, entity, ack, err)
			}
			return ack
		}
		created := good("contacts", enlace.OpCreate, "", map[string]string{"email": "x@example.com"})
		good("contacts", enlace.OpUpdate, uuid, map[string]string{"city": "Olinda"})
		good("contacts", enlace.OpUpdate, "email:"+email, map[string]string{"email": email, "city": "Olinda"})
		if ack := good("contacts", enlace.OpUpsert, "", rdstation.Contact{Email: "X@example.com", City: "Recife"}); ack.ID != created.ID {
			t.Errorf("upsert by the e-mail in the data wrote %s", ack.ID)
		}
		good("contacts", enlace.OpUpsert, "", map[string]string{"phone": "+5581999990000"})
		good("contacts", enlace.OpUpsert, "email:y@example.com", map[string]string{"city": "Recife"})
		good("contacts", enlace.OpDelete, created.ID, nil)
		good("funnels", enlace.OpUpdate, uuid, map[string]any{"opportunity": true})
		good("events", enlace.OpCreate, "", rdstation.Sale{Email: email})
		good("events", enlace.OpCreate, "", map[string]any{"event_type": "sale", "payload": map[string]string{"email": email, "funnel_name": "default"}})
		field := good("fields", enlace.OpCreate, "", newField)
		good("fields", enlace.OpUpdate, field.ID, map[string]any{"data_type": "STRING", "presentation_type": "TEXT_AREA",
			"name": map[string]string{"pt-BR": "Novo"}, "label": map[string]string{"pt-BR": "Novo"}})
		for range 2 { // the second time it is gone
			good("fields", enlace.OpDelete, field.ID, nil)
		}
		feed := good("catalog_feeds", enlace.OpCreate, "", map[string]string{"name": "Loja", "url": "https://loja.example/f.xml", "format": "xml"})
		good("catalog_feeds", enlace.OpUpdate, feed.ID, map[string]string{"name": "Loja 2"})
		if feeds, err := m.CatalogFeeds(ctx, c); err != nil || len(feeds) != 1 || feeds[0].Name != "Loja 2" {
			t.Errorf("%+v, %v", feeds, err)
		}
		good("catalog_feeds", enlace.OpDelete, feed.ID, nil)
		for _, bad := range []struct {
			entity string
			op     enlace.Operation
			id     string
			data   any
			kind   error
		}{
			{"emails", enlace.OpCreate, "", nil, enlace.ErrUnsupported},
			{"events", enlace.OpDelete, "1", nil, enlace.ErrUnsupported},
			{"nothing", enlace.OpCreate, "", nil, enlace.ErrUnsupported},
			{"contacts", enlace.OpUpdate, "", nil, enlace.ErrInvalid},
			{"contacts", enlace.OpDelete, "../x", nil, enlace.ErrInvalid},
			{"contacts", enlace.OpUpsert, "", map[string]string{"name": "x"}, enlace.ErrInvalid},
			{"contacts", enlace.OpUpsert, "", func() {}, enlace.ErrInvalid},
			{"contacts", enlace.OpUpsert, "", map[string]any{"email": 7}, enlace.ErrInvalid},
			{"funnels", enlace.OpUpdate, "x:y", nil, enlace.ErrInvalid},
			{"fields", enlace.OpUpdate, "a/b", nil, enlace.ErrInvalid},
			{"fields", enlace.OpUpdate, "0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11", newField, enlace.ErrNotFound},
			{"events", enlace.OpCreate, "", map[string]any{"payload": 1}, enlace.ErrInvalid},
			{"events", enlace.OpCreate, "", "x", enlace.ErrInvalid},
		} {
			if _, err := push(bad.entity, bad.op, bad.id, bad.data); !errors.Is(err, bad.kind) {
				t.Errorf("%s %s %q: %v", bad.op, bad.entity, bad.id, err)
			}
		}
	})
}

func TestPushBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account, uuid := bia(rdstationtest.Options{})
		h := marketingHost(t, account, nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		event := func(data any) enlace.Mutation {
			return enlace.Mutation{Entity: "events", Op: enlace.OpCreate, Data: data}
		}
		results, err := m.PushBatch(ctx, c, []enlace.Mutation{event(rdstation.Opportunity{Email: email}),
			{Entity: "contacts", Op: enlace.OpUpdate, ID: uuid, Data: map[string]string{"city": "Olinda"}},
			event("x"), event(rdstation.Sale{Email: email}), {Entity: "emails", Op: enlace.OpCreate}})
		if err != nil || len(results) != 5 {
			t.Fatalf("%+v, %v", results, err)
		}
		for i, kind := range []error{nil, nil, enlace.ErrInvalid, nil, enlace.ErrUnsupported} {
			if !errors.Is(results[i].Err, kind) || (kind == nil) != (results[i].Ack.ID != "") {
				t.Errorf("%d: %+v", i, results[i])
			}
		}
		if s := account.Stats(); s.Events != 2 || s.Routes["POST /platform/events/batch"].Requests != 1 {
			t.Errorf("%+v", s)
		}
		// More bytes than one request may have are several.
		var many []enlace.Mutation
		for range 5 {
			many = append(many, event(rdstation.Conversion{Identifier: "x", Email: email, Name: strings.Repeat("x", 90_000)}))
		}
		results, err = m.PushBatch(ctx, c, many)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Err != nil || r.Ack.ID == "" {
				t.Errorf("%d: %+v", i, r)
			}
		}
		if n := account.Stats().Routes["POST /platform/events/batch"].Requests; n != 4 {
			t.Errorf("%d batches, want 3 more than 1", n)
		}
		results, err = m.PushBatch(ctx, c, []enlace.Mutation{event(rdstation.Sale{Email: email}), event(rdstation.RawEvent{Type: "NONE", Payload: map[string]string{}})})
		if err != nil || !errors.Is(results[0].Err, enlace.ErrInvalid) || !errors.Is(results[1].Err, enlace.ErrInvalid) {
			t.Errorf("refused together: %+v, %v", results, err)
		}
		if _, err := m.PushBatch(ctx, c, make([]enlace.Mutation, m.MaxBatch()+1)); !errors.Is(err, enlace.ErrInvalid) {
			t.Error(err)
		}
	})
}
