package rdstationtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

func always(status int) func(int) int { return func(int) int { return status } }

func TestF42Validation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := &receiver{}
		c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
		for _, status := range []int{500, 404, 302, 401} {
			hooks.status = always(status)
			c.subscribe("WEBHOOK.CONVERTED", "").want(t, 401, unauthorized)
		}
		hooks.status = func(int) int { time.Sleep(5*time.Second + 1); return 200 }
		c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 401)
		c.call("GET", "/integrations/webhooks", "").want(t, 200, `{"webhooks":[]}`)
		hooks.status = func(int) int { time.Sleep(4 * time.Second); return 204 }
		c.subscribe("WEBHOOK.CONVERTED", "").want(t, 201, `{"uuid":"<ANY>","event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","event_identifiers":[],"include_relations":[],"http_method":"POST",
			"url":"`+hookURL+`","source":"MKT","status":"active","platform_account_id":818000000000436400,"created_at":"<ANY>","updated_at":"<ANY>"}`)
		if got := hooks.got[len(hooks.got)-1]; got.text != "{}" || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("validation call %q", got.text)
		}
	})
}

func TestF43Administration(t *testing.T) {
	hooks := &receiver{}
	apps := []rdstationtest.App{{ClientID: "cid"}, {ClientID: "second"}, {ClientID: "crm-cid", Product: rdstationtest.CRM}}
	c := newClient(t, rdstationtest.Options{WebhookTransport: hooks.transport(), Apps: apps})
	uuid := c.subscribe("WEBHOOK.CONVERTED", `,"event_identifiers":["a"]`).wantStatus(t, 201).at("uuid").(string)
	c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 400)
	c.subscribe("WEBHOOK.MARKED_OPPORTUNITY", "").wantStatus(t, 201)
	deal := c.subscribe("crm_deal_updated", "").wantStatus(t, 201)
	if deal.at("source") != "CRM" {
		t.Error(deal.text)
	}
	for _, more := range []string{`,"include_relations":["FRIENDS"]`, `,"event_identifiers":"a"`} {
		c.call("POST", "/integrations/webhooks", `{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","http_method":"POST","url":"https://other.example"`+more+`}`).wantStatus(t, 400)
	}
	path := "/integrations/webhooks/" + uuid
	c.call("GET", path, "").contains(t, 200, "", `{"uuid":"`+uuid+`","event_identifiers":["a"]}`)
	full := map[string]any{"event_type": "WEBHOOK.CONVERTED", "entity_type": "CONTACT", "http_method": "POST", "url": "https://hooks.exemplo.com.br/2"}
	for key := range full {
		short := map[string]any{}
		for other, value := range full {
			if other != key {
				short[other] = value
			}
		}
		c.call("PUT", path, encode(short)).contains(t, 400, "errors", `{"`+key+`":"<ANY>"}`)
	}
	c.call("PUT", path, encode(full)).contains(t, 200, "", `{"url":"https://hooks.exemplo.com.br/2","event_identifiers":[]}`)
	c.call("PUT", path, strings.Replace(encode(full), "WEBHOOK.CONVERTED", "WEBHOOK.MARKED_OPPORTUNITY", 1)).wantStatus(t, 200)
	c.call("PUT", path, `{"event_type":"WEBHOOK.MARKED_OPPORTUNITY","entity_type":"CONTACT","http_method":"POST","url":"`+hookURL+`"}`).wantStatus(t, 400)
	for _, bad := range []string{`"url":"http://plain.example"`, `"http_method":"GET"`, `"entity_type":"LEAD"`, `"event_type":"other"`} {
		key, _, _ := strings.Cut(bad, ":")
		changed := map[string]json.RawMessage{}
		_ = json.Unmarshal([]byte(encode(full)), &changed)
		changed[strings.Trim(key, `"`)] = json.RawMessage(strings.TrimPrefix(bad, key+":"))
		c.call("POST", "/integrations/webhooks", encode(changed)).wantStatus(t, 400)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		c.call(method, "/integrations/webhooks/unknown", encode(full)).wantStatus(t, 404)
	}
	if r := c.call("GET", "/integrations/webhooks/", ""); r.count("webhooks") != 3 {
		t.Error(r.text)
	}
	first := c.bearer
	c.bearer = c.account.Authorize("second").AccessToken
	c.call("GET", "/integrations/webhooks", "").want(t, 200, `{"webhooks":[]}`)
	c.call("GET", path, "").wantStatus(t, 404)
	c.bearer = first
	c.call("DELETE", path, "").wantStatus(t, 204)
	c.call("GET", path, "").wantStatus(t, 404)

	quirky := newClient(t, rdstationtest.Options{WebhookTransport: hooks.transport(), CRMFree: true, Quirks: rdstationtest.Quirks{LowerCaseEvents: true, CreateWebhook200: true, DuplicateHooksOK: true}})
	quirky.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 200)
	quirky.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 200)
	quirky.subscribe("crm_deal_updated", "").wantStatus(t, 400)
	quirky.call("GET", "/integrations/webhooks", "").contains(t, 200, "webhooks.0", `{"event_type":"webhook.converted"}`)
}

func TestF44Deliveries(t *testing.T) {
	hooks := &receiver{}
	c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport(), Quirks: rdstationtest.Quirks{DuplicateHooksOK: true}})
	c.account.PutField("cf_porte", "STRING", "grande", "pequeno")
	c.subscribe("WEBHOOK.CONVERTED", `,"event_identifiers":["orcamento"]`).wantStatus(t, 201)
	c.convert("Orcamento")
	c.call("PATCH", byEmail, `{"cf_porte":"grande","cf_segmento":""}`)
	c.convert("orcamento")
	c.account.Wait()
	if len(hooks.requests()) != 1 {
		t.Fatalf("%d deliveries", len(hooks.requests()))
	}
	got := hooks.requests()[0]
	got.want(t, 0, `{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","event_identifier":"orcamento","timestamp":"<ANY>","event_timestamp":"<ANY>","contact":{"uuid":"`+biaUUID+`","email":"`+bia+`","name":"Bia Nunes",
		"job_title":"Compras","personal_phone":"+55 81 3030-1010","city":"Recife","state":"PE","country":"Brasil","tags":["b2b","forno"],"cf_numero_de_lojas":4,"cf_interesses":["fornos","batedeiras"],"cf_porte":["grande"],
		"legal_bases":[{"category":"communications","type":"consent","status":"granted"}]}}`)

	c.subscribe("WEBHOOK.CONVERTED", `,"include_relations":["COMPANY","CONTACT_FUNNEL"]`).wantStatus(t, 201)
	c.convert("other")
	c.account.Wait()
	hooks.requests()[1].contains(t, 0, "contact", `{"company":{"name":"Padaria Aurora"},"funnel":{"name":"default","lifecycle_stage":"Lead","opportunity":false,"contact_owner_email":null,"interest":120,"fit":40,"origin":""}}`)
}

func TestF45Retries(t *testing.T) {
	for _, five := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			hooks := &receiver{status: func(n int) int {
				if n == 1 {
					return 200
				}
				if n == 3 {
					time.Sleep(6 * time.Second)
					return 200
				}
				return 500
			}}
			c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport(), Quirks: rdstationtest.Quirks{FiveRetries: five}})
			c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 201)
			begin := time.Now()
			c.convert("orcamento")
			time.Sleep(24 * time.Hour)
			want := 4
			if five {
				want = 6
			}
			got, log := hooks.requests(), c.account.Deliveries()
			if len(got) != want || len(log) != want+1 {
				t.Fatalf("%d attempts, want %d", len(got), want)
			}
			stamps := map[any]bool{}
			for i, request := range got {
				stamps[request.at("timestamp")] = true
				if request.at("event_timestamp") != got[0].at("event_timestamp") {
					t.Error("the time of the event changed")
				}
				outcome := rdstationtest.Retrying
				if i == want-1 {
					outcome = rdstationtest.Failed
				}
				if log[i+1].Outcome != outcome || log[i+1].Attempt != i+1 {
					t.Errorf("attempt %d: %+v", i+1, log[i+1])
				}
			}
			if len(stamps) != want {
				t.Errorf("%d different timestamps", len(stamps))
			}
			for i, after := range []time.Duration{0, time.Minute, 6*time.Minute + 6*time.Second, 36*time.Minute + 6*time.Second} {
				if took := got[i].when.Sub(begin); took < after || took > after+time.Second {
					t.Errorf("attempt %d after %v, want %v", i+1, took, after)
				}
			}
		})
	}
}

func TestF45RetryThatWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := &receiver{status: func(n int) int { return map[bool]int{true: 503, false: 200}[n == 2] }}
		c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
		c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 201)
		c.convert("orcamento")
		c.call("PATCH", byEmail, `{"name":"Bia Maria"}`)
		time.Sleep(time.Hour)
		got := hooks.requests()
		if len(got) != 2 || got[1].at("contact.name") != "Bia Maria" {
			t.Errorf("%d attempts", len(got))
		}
		if last := c.account.Deliveries()[2]; last.Outcome != rdstationtest.Delivered || last.Status != 200 {
			t.Errorf("%+v", last)
		}
	})
}

func TestF45AdvanceInRealTime(t *testing.T) {
	hooks := &receiver{status: func(n int) int { return map[bool]int{true: 200, false: 500}[n == 1] }}
	c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 201)
	c.convert("orcamento")
	c.account.Wait()
	for _, wait := range []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour} {
		c.account.Advance(wait)
		c.account.Wait()
	}
	if got := len(hooks.requests()); got != 4 {
		t.Errorf("%d attempts", got)
	}
}

func TestF46NoTriggers(t *testing.T) {
	hooks := &receiver{}
	c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 201)
	c.subscribe("WEBHOOK.MARKED_OPPORTUNITY", "").wantStatus(t, 201)
	c.call("POST", "/platform/contacts", `{"email":"novo@exemplo.com.br"}`).wantStatus(t, 200)
	c.call("PATCH", byEmail, `{"name":"x"}`).wantStatus(t, 200)
	c.call("POST", byEmail+"/tag", `{"tags":["x"]}`).wantStatus(t, 200)
	c.call("PUT", byEmail+"/funnels/default", `{"lifecycle_stage":"Client"}`).wantStatus(t, 200)
	c.account.PutContact(map[string]any{"email": bia, "opportunity": true})
	c.call("POST", "/platform/events", event("CHAT_STARTED", `{"email":"`+bia+`","chat_subject":"a","cf_chat_status":"open"}`)).wantStatus(t, 200)
	c.call("DELETE", byEmail, "").wantStatus(t, 204)
	c.account.Wait()
	if got := hooks.requests(); len(got) != 0 {
		t.Errorf("%d deliveries, first %s", len(got), got[0].text)
	}
}

func (c *client) subscribeCRM(event, more string) reply {
	c.t.Helper()
	return c.call("POST", "/crm/v2/webhooks", `{"data":{"name":"sync","event_name":"`+event+`","http_method":"POST","url":"https://hooks.exemplo.com.br/rd-crm/t1"`+more+`}}`)
}

func TestF47SharedHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := &receiver{status: always(500)}
		c := newClient(t, rdstationtest.Options{WebhookTransport: hooks.transport(), SuspendAfter: 2})
		for _, half := range []string{`,"auth_header":"X-Key"`, `,"auth_key":"s"`, `,"auth_header":"X Key","auth_key":"s"`, `,"auth_header":"X-Key","auth_key":"a\nb"`} {
			c.subscribeCRM("crm_deal_created", half).wantStatus(t, 422)
		}
		r := c.subscribeCRM("crm_deal_created", `,"auth_header":"X-RD-Webhook-Key","auth_key":"s3cr3t"`).wantStatus(t, 201)
		if strings.Contains(r.text, "s3cr3t") {
			t.Error("the key is told")
		}
		path := "/crm/v2/webhooks/" + r.at("data.id").(string)
		for range 2 {
			c.call("GET", path, "").contains(t, 200, "data", `{"status":"active"}`)
			c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "Forno"})
			time.Sleep(24 * time.Hour)
			c.crm = c.account.Authorize("crm-cid").AccessToken
		}
		got := hooks.requests()
		if len(got) != 12 {
			t.Errorf("%d attempts", len(got))
		}
		for i, request := range got {
			if request.header.Get("X-RD-Webhook-Key") != "s3cr3t" || request.text != got[i/6*6].text {
				t.Errorf("attempt %d: %v %s", i, request.header, request.text)
			}
		}
		c.call("GET", path, "").contains(t, 200, "data", `{"status":"suspended"}`)
		c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "Forno"})
		time.Sleep(time.Hour)
		if len(hooks.requests()) != 12 {
			t.Error("a suspended webhook was called")
		}
		c.call("PUT", path, `{"data":{"status":"active"}}`).contains(t, 200, "data", `{"status":"active"}`)
	})
}

func TestF48LegacyPayload(t *testing.T) {
	hooks := &receiver{}
	c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	c.convert("ebook-forno")
	c.convert("orcamento")
	c.account.SendLeads(hookURL, biaUUID)
	c.account.Wait()
	hooks.requests()[0].contains(t, 0, "leads.0", `{"id":"4001","uuid":"`+biaUUID+`","email":"`+bia+`","name":"Bia Nunes","company":"Padaria Aurora","opportunity":"false","number_conversions":"2","lead_stage":"Lead",
		"tags":["b2b","forno"],"website":"","custom_fields":{"cf_segmento":"padaria"},"first_conversion":{"content":{"identificador":"ebook-forno","email_lead":"`+bia+`"},"cumulative_sum":"1"},"last_conversion":{"content":{"identificador":"orcamento"},"cumulative_sum":"2"}}`)
}

func TestF49OrderAndDuplicates(t *testing.T) {
	hooks := &receiver{}
	c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 201)
	c.account.HoldDeliveries()
	for i := range 3 {
		c.convert(fmt.Sprint("c", i))
	}
	c.account.Wait()
	if len(hooks.requests()) != 0 {
		t.Error("held deliveries came")
	}
	c.account.ReleaseDeliveries(true)
	order := []any{}
	for _, request := range hooks.requests() {
		order = append(order, request.at("event_identifier"))
	}
	if fmt.Sprint(order) != "[c2 c1 c0]" {
		t.Error(order)
	}
	if !c.account.RepeatDelivery(c.account.Deliveries()[1].ID) || c.account.RepeatDelivery(999) {
		t.Error("repeating failed")
	}
	got := hooks.requests()
	if len(got) != 4 || got[3].text != got[0].text {
		t.Error("the duplicate differs")
	}
}

// Over the network: real requests to a real receiver, redirects are not followed.
func TestDeliveriesOverTCP(t *testing.T) {
	var calls atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		calls.Add(1)
	}))
	defer target.Close()
	server := rdstationtest.NewServer(rdstationtest.Options{Apps: []rdstationtest.App{{ClientID: "cid"}}})
	defer server.Close()
	bearer := server.Authorize("cid").AccessToken
	for path, status := range map[string]int{"/": 201, "/moved": 401} {
		request, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/integrations/webhooks", strings.NewReader(`{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","http_method":"POST","url":"`+target.URL+path+`"}`))
		request.Header.Set("Authorization", "Bearer "+bearer)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil || response.StatusCode != status {
			t.Fatalf("%s: %v %v", path, response, err)
		}
		response.Body.Close()
	}
	server.Convert("a@exemplo.com.br", "x", nil)
	server.Wait()
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestCloseBreaksDeliveriesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := &receiver{}
		c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport(), WebhookTimeout: time.Hour})
		c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 201)
		hooks.status = func(int) int { time.Sleep(time.Second); return 500 }
		c.convert("x")
		synctest.Wait()
		c.account.Close()
		c.convert("y")
		time.Sleep(24 * time.Hour)
		if got := len(hooks.requests()); got != 1 {
			t.Errorf("%d deliveries", got)
		}
	})
}

func TestT37CreateSubscription(t *testing.T) {
	c := newClient(t, rdstationtest.Options{WebhookTransport: (&receiver{}).transport()})
	c.subscribe("WEBHOOK.CONVERTED", `,"include_relations":["COMPANY","CONTACT_FUNNEL"]`).want(t, 201, `{"uuid":"<ANY>","event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","event_identifiers":[],"include_relations":["COMPANY","CONTACT_FUNNEL"],
		"http_method":"POST","url":"`+hookURL+`","source":"MKT","status":"active","platform_account_id":818000000000436400,"created_at":"<ANY>","updated_at":"<ANY>"}`)
}

func TestT38TargetFails(t *testing.T) {
	c := newClient(t, rdstationtest.Options{WebhookTransport: (&receiver{status: always(503)}).transport()})
	c.call("POST", "/integrations/webhooks", `{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","http_method":"POST","url":"https://fora-do-ar.exemplo.com.br/x"}`).want(t, 401, unauthorized)
	c.call("GET", "/integrations/webhooks", "").want(t, 200, `{"webhooks":[]}`)
}

func TestT39DeliveryOfConversion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := &receiver{}
		c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
		c.account.PutContact(map[string]any{"email": bia, "origin": "Busca Paga | Google", "interest": 20, "fit": 0})
		c.subscribe("WEBHOOK.CONVERTED", `,"include_relations":["COMPANY","CONTACT_FUNNEL"]`)
		c.account.Convert(bia, "orcamento", nil)
		synctest.Wait()
		got := hooks.requests()[0]
		got.contains(t, 0, "", `{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","event_identifier":"orcamento","timestamp":"1999-12-31T21:00:00.000-03:00","event_timestamp":"1999-12-31T21:00:00.000-03:00"}`)
		got.contains(t, 0, "contact", `{"uuid":"`+biaUUID+`","email":"`+bia+`","name":"Bia Nunes","job_title":"Compras","personal_phone":"+55 81 3030-1010","city":"Recife","tags":["b2b","forno"],"company":{"name":"Padaria Aurora"},
			"funnel":{"name":"default","lifecycle_stage":"Lead","opportunity":false,"contact_owner_email":null,"interest":20,"fit":0,"origin":"Busca Paga | Google"}}`)
	})
}

func TestT40DeliveryOfOpportunity(t *testing.T) {
	hooks := &receiver{}
	c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	c.subscribe("WEBHOOK.MARKED_OPPORTUNITY", "")
	if !c.account.MarkOpportunity(biaUUID) || c.account.MarkOpportunity("nobody") {
		t.Error("marking failed")
	}
	c.account.Wait()
	got := hooks.requests()[0]
	got.contains(t, 0, "", `{"event_type":"WEBHOOK.MARKED_OPPORTUNITY","entity_type":"CONTACT","event_identifier":"default"}`)
	if contact, _ := got.at("contact").(map[string]any); contact["company"] != nil || contact["funnel"] != nil {
		t.Error("relations that nobody asked for")
	}
}

func TestT41DealDeleted(t *testing.T) {
	hooks := &receiver{}
	c := newClient(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"id": "64df7a11113f800186449230", "name": "Forno 10 bandejas"})
	c.subscribeCRM("crm_deal_deleted", `,"auth_header":"X-RD-Webhook-Key","auth_key":"s3cr3t"`).wantStatus(t, 201)
	if !c.account.DeleteCRM(rdstationtest.CRMDeals, "64df7a11113f800186449230") {
		t.Error("no deal")
	}
	c.account.Wait()
	got := hooks.requests()[0]
	got.want(t, 0, `{"event_name":"crm_deal_deleted","document":{"id":"64df7a11113f800186449230","name":"Forno 10 bandejas"},"event_timestamp":"<ANY>","transaction_uuid":"<ANY>"}`)
	if stamp := got.at("event_timestamp").(string); !strings.HasSuffix(stamp, ".000Z") || got.header.Get("X-RD-Webhook-Key") != "s3cr3t" {
		t.Errorf("%s %v", stamp, got.header)
	}
}

func TestT42DealUpdated(t *testing.T) {
	hooks := &receiver{}
	c := crmSheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	c.subscribeCRM("crm_deal_updated", "").wantStatus(t, 201)
	c.call("PUT", "/crm/v2/deals/"+deal, `{"data":{"status":"won"}}`).wantStatus(t, 200)
	c.account.Wait()
	got := hooks.requests()[0]
	got.contains(t, 0, "", `{"event_name":"crm_deal_updated"}`)
	got.want(t, 0, `{"event_name":"crm_deal_updated","event_timestamp":"<ANY>","transaction_uuid":"<ANY>","document":{"id":"`+deal+`","name":"Forno 10 bandejas","amount_monthly":0.0,"amount_unique":18900.0,"amount_total":18900.0,
		"prediction_date":"2025-11-15","created_at":"2025-09-18T15:04:34.515-03:00","updated_at":"<ANY>","rating":3,"status":"won","closed_at":"<ANY>","user":{"id":"622e7fb2f678470c001576f4","name":"Caio","email":"caio@exemplo.com.br","avatar_url":null},
		"deal_stage":{"id":"`+stage+`","name":"Proposta","nickname":"PR","created_at":"<ANY>","updated_at":"<ANY>","order":3},"deal_pipeline":{"id":"`+pipeline+`","name":"Funil padrao"},"deal_source":{},"campaign":{},"deal_lost_reason":{},
		"deal_custom_fields":[{"value":"Sul","custom_field":{"id":"6258480fd71568001128705a","label":"Filial","required":false,"unique":false,"opts":["Sul","Norte"],"type":"option"}}],"deal_products":[]}}`)
}
