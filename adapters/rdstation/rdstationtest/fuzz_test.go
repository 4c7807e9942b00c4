package rdstationtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// FuzzRDQL parses any filter and applies it.
func FuzzRDQL(f *testing.F) {
	for _, seed := range []string{
		`(status:won or status:lost) and total_price:>100`, `-status:(won,lost)`, `name:~Test`, `@filial:Sul`, `has:product`, `updated_at:>="2026-01-31 12:00:00"`,
		`a:"`, `((((((`, `-`, `:`, `a:()`, `a:b or`, `a:b,c:d`, strings.Repeat("(", 100), `or:or or and:and`,
	} {
		f.Add(seed)
	}
	a := New(Options{})
	id := a.PutCRM(CRMDeals, map[string]any{"name": "Forno", "status": "won", "custom_fields": map[string]any{"filial": "Sul"}})
	r := a.crm.get(CRMDeals, id)
	f.Fuzz(func(t *testing.T, source string) {
		filter, valid := parseRDQL(source)
		if !valid {
			return
		}
		first := filter.matches(a, r)
		if first != filter.matches(a, r) {
			t.Error("the filter changes its mind")
		}
		filter.all(func(name string) bool {
			if name == "" || strings.ContainsAny(name, " ()\",") {
				t.Errorf("name %q", name)
			}
			return true
		})
	})
}

// FuzzJSON compares what is taken with the standard decoder.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5,null,true,"x"]}`, `1 2`, `{"a":`, strings.Repeat("[", 100) + strings.Repeat("]", 100), `"\\\"["`, `]]]]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, taken := parseJSON(raw)
		if valid := json.Valid(raw); taken != valid && !tooDeep(raw) {
			t.Errorf("taken %v, valid %v: %q", taken, valid, raw)
		}
	})
}

// fuzzAccount has one of each thing that bodies can name.
func fuzzAccount() (a *Account, marketing, crm string) {
	users := []User{{ID: "u", Token: "TK", Email: "v@x.com", Visibility: Restrito}}
	apps := []App{{ClientID: "cid", ClientSecret: "sec"}, {ClientID: "crm", ClientSecret: "sec", Product: CRM}}
	a = New(Options{Apps: apps, Users: users, APIKeys: []APIKey{{Key: "K"}}, WebhookTransport: HandlerTransport(http.NotFoundHandler()), Limits: PlanLimits(Light)})
	a.limits.limits = nil
	a.PutField("cf_a", "STRING[]", "x")
	a.PutContact(map[string]any{"uuid": "0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11", "email": "a@x.com"})
	for _, entity := range []Entity{CRMContacts, CRMDeals, CRMOrganizations, CRMTasks, CRMProducts, CRMCampaigns, CRMCustomFields, CRMStages} {
		a.PutCRM(entity, map[string]any{"id": string(entity), "name": "Name"})
	}
	return a, a.Authorize("cid").AccessToken, a.Authorize("crm").AccessToken
}

// FuzzRequest sends any request: there is no panic, and the answer is JSON, a page or nothing.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][3]string{
		{"POST", "/platform/contacts", `{"email":"b@x.com","tags":["a"],"legal_bases":[{}],"cf_a":["x"]}`},
		{"PATCH", "/platform/contacts/email:a@x.com", `{"name":null,"birthdate":"1990-01-01","phone":"+5581999990000"}`},
		{"POST", "/platform/contacts/uuid:0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11/tag", `{"tags":["a",1]}`},
		{"PUT", "/platform/contacts/email:a@x.com/funnels/default", `{"opportunity":true,"contact_owner_email":"null"}`},
		{"POST", "/platform/contacts/fields", `{"api_identifier":"cf_b","data_type":"STRING","presentation_type":"TEXT_INPUT","name":{"pt-BR":"a"},"label":{},"validation_rules":{"valid_options":[1]}}`},
		{"POST", "/platform/events", `{"event_type":"ECOMMERCE_ORDER_PAID","event_family":"CDP","payload":{"email":"a@x.com","line_items":[null,{"price":"x"}]}}`},
		{"POST", "/platform/events/batch", `[null,{"event_type":"SALE"}]`},
		{"POST", "/platform/conversions?api_key=K", `{"event_type":"CONVERSION","event_family":"CDP","payload":{"email":"a@x.com","conversion_identifier":"c"}}`},
		{"GET", "/platform/segmentations/1/contacts?page=9223372036854775807&page_size=125&order=last_conversion_date:desc", ``},
		{"GET", "/platform/analytics/funnel?start_date=2025-01-01&end_date=9999-99-99&grouped_by=weekly", ``},
		{"POST", "/platform/workflows/x/leads", `{"leads":["a@x.com"]}`},
		{"POST", "/integrations/webhooks", `{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","http_method":"POST","url":"https://%zz"}`},
		{"POST", "/auth/token", `{"client_id":"cid","client_secret":"sec","refresh_token":1}`},
		{"POST", "/oauth2/token", `grant_type=refresh_token&client_id=crm&client_secret=sec&refresh_token=%zz`},
		{"GET", "/auth/dialog?client_id=cid&redirect_uri=%zz", ``},
		{"POST", "/crm/v2/deals", `{"data":{"name":"x","rating":"1","contact_ids":["contacts"],"custom_fields":{"a":1},"stage_id":null}}`},
		{"PUT", "/crm/v2/deals/deals", `{"data":{"name":null,"status":"won","expected_close_date":"x"}}`},
		{"GET", "/crm/v2/deals?filter=name:~x&sort[name]=asc&page[number]=9223372036854775807&page[size]=200", ``},
		{"POST", "/crm/v2/webhooks", `{"data":{"name":"x","event_name":"crm_deal_created","http_method":"POST","url":"https://x","auth_header":"A","auth_key":"b"}}`},
		{"POST", "/api/v1/deals?token=TK", `{"deal":{"name":"x","deal_custom_fields":[null]},"contacts":[{}],"deal_products":[{"product_id":"products","price":"x"}],"distribution_settings":[]}`},
		{"POST", "/api/v1/contacts?token=TK", `{"contact":{"name":"xx","birthday":{"day":-99999999999,"month":"2"},"phones":[1],"emails":{}}}`},
		{"POST", "/api/v1/tasks?token=TK", `{"task":{"subject":"abc","type":"call","date":"x","deal_id":"deals","user_ids":[1]}}`},
		{"GET", "/api/v1/deals?token=TK&next_page=MQ&created_at_period=true&start_date=x", ``},
		{"PUT", "/api/v1/products/products?token=TK", `{"product":{"base_price":"1e999"}}`},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]))
	}
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		address, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			t.Skip()
		}
		a, marketing, crm := fuzzAccount()
		defer a.Close()
		r, err := http.NewRequest(method, "https://api.rd.services/", strings.NewReader(string(body)))
		if err != nil {
			t.Skip()
		}
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = address.Path, address.RawPath, address.RawQuery
		bearer, media := marketing, "application/json"
		if strings.HasPrefix(target, "/crm/") {
			bearer = crm
		}
		if strings.HasPrefix(target, "/api/v1/") {
			r.Host = "crm.rdstation.com"
		}
		if strings.HasPrefix(target, "/oauth2/") {
			media = "application/x-www-form-urlencoded"
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, fakehttp.Incoming(r))
		if text := w.Body.Bytes(); len(text) > 0 && !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && !json.Valid(text) {
			t.Errorf("%d %s", w.Code, text)
		}
		// What was written must be readable.
		for _, path := range []string{"/platform/segmentations/1/contacts", "/platform/contacts/email:a@x.com", "/crm/v2/deals", "/crm/v2/contacts"} {
			check, _ := http.NewRequest("GET", "https://api.rd.services"+path, nil)
			check.Header.Set("Authorization", "Bearer "+map[bool]string{true: crm, false: marketing}[strings.HasPrefix(path, "/crm")])
			w := httptest.NewRecorder()
			a.ServeHTTP(w, fakehttp.Incoming(check))
			if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s after it: %d %s", path, w.Code, w.Body)
			}
		}
		for _, path := range []string{"deals", "contacts", "tasks", "products", "organizations"} {
			check, _ := http.NewRequest("GET", "https://crm.rdstation.com/api/v1/"+path+"?token=TK", nil)
			w := httptest.NewRecorder()
			a.ServeHTTP(w, fakehttp.Incoming(check))
			if w.Code != 200 || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s after it: %d %s", path, w.Code, w.Body)
			}
		}
	})
}

// FuzzDeliverable checks the addresses that clients register for webhooks.
func FuzzDeliverable(f *testing.F) {
	for _, seed := range []string{"https://x.com/a", "http://127.0.0.1:1/", "http://localhost", "http://x.com", "https://", "://", "https://[::1]:x", "javascript:x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if !deliverable(address) {
			return
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
			t.Errorf("%q is taken", address)
		}
	})
}
