package rdstationtest_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

// The records of the contract sheet's cases.
const (
	deal     = "650878567482d9c0c7002050"
	stage    = "622e4cee412e87000d2f52a6"
	pipeline = "622e4cee111e87000d2f52a5"
	owner    = "622e7fb2f678470c001576f4"
	contact  = "67eac31f6282af00162eae80"
)

func crmSheet(t testing.TB, options rdstationtest.Options) *client {
	t.Helper()
	c := newClient(t, options)
	put := c.account.PutCRM
	put(rdstationtest.CRMPipelines, map[string]any{"id": pipeline, "name": "Funil padrao"})
	put(rdstationtest.CRMStages, map[string]any{"id": stage, "name": "Proposta", "order": 3, "pipeline_id": pipeline, "nickname": "PR"})
	put(rdstationtest.CRMStages, map[string]any{"id": "622e4cee412e87000d2f52a9", "name": "Proposta", "order": 4, "pipeline_id": pipeline, "nickname": "PR"})
	put(rdstationtest.CRMCustomFields, map[string]any{"id": "6258480fd71568001128705a", "name": "Filial", "slug": "filial", "entity": "deal", "type": "option", "options": []string{"Sul", "Norte"}})
	put(rdstationtest.CRMContacts, map[string]any{"id": contact, "name": "Bia Nunes", "emails": []any{map[string]any{"email": bia}}})
	put(rdstationtest.CRMDeals, map[string]any{"id": deal, "name": "Forno 10 bandejas", "one_time_price": 18900.0, "expected_close_date": "2025-11-15", "rating": 3, "stage_id": stage,
		"owner_id": owner, "contact_ids": []string{contact}, "custom_fields": map[string]any{"filial": "Sul"}, "created_at": instant(t, "2025-09-18T15:04:34.515-03:00"), "updated_at": instant(t, "2025-10-01T12:00:00Z")})
	return c
}

const denied = `{"error":"Permission denied."}`

func TestF50TokensAndVisibility(t *testing.T) {
	users := []rdstationtest.User{
		{ID: owner, Name: "Caio", Email: "caio@exemplo.com.br", Token: "TK"},
		{ID: "622e7fb2f678470c00157600", Name: "Rita", Token: "own", Visibility: rdstationtest.Restrito, Team: "Sul"},
		{ID: "622e7fb2f678470c00157601", Name: "Edu", Token: "team", Visibility: rdstationtest.Equipe, Team: "Sul"},
		{ID: "622e7fb2f678470c00157602", Name: "Off", Token: "off", Inactive: true},
	}
	c := newClient(t, rdstationtest.Options{Users: users})
	for _, token := range []string{"", "NOPE", "off"} {
		c.send("GET", c.account.CRMv1URL()+"/deals?token="+token, "").want(t, 401, denied)
	}
	ids := map[string]string{}
	for name, id := range map[string]string{"caio": owner, "rita": users[1].ID, "edu": users[2].ID} {
		ids[name] = c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": name, "owner_id": id})
		c.account.PutCRM(rdstationtest.CRMOrganizations, map[string]any{"name": name, "owner_id": id})
		c.account.PutCRM(rdstationtest.CRMContacts, map[string]any{"name": name, "owner_id": id})
		c.account.PutCRM(rdstationtest.CRMTasks, map[string]any{"name": name, "owner_ids": []string{id}, "deal_id": ids[name]})
	}
	for token, want := range map[string]int{"TK": 3, "own": 1, "team": 2} {
		c.v1 = token
		for _, list := range []string{"deals", "organizations", "contacts", "tasks"} {
			if r := c.callV1("GET", "/"+list, "").wantStatus(t, 200); r.count(list) != want || encode(r.at("total")) != fmt.Sprint(want) {
				t.Errorf("%s sees %d %s, want %d", token, r.count(list), list, want)
			}
		}
	}
	c.v1 = "own"
	c.callV1("GET", "/deals/"+ids["rita"], "").wantStatus(t, 200)
	c.callV1("GET", "/deals/"+ids["edu"], "").want(t, 404, leadNotFound)
	c.callV1("PUT", "/deals/"+ids["edu"], `{"deal":{"name":"x"}}`).want(t, 404, leadNotFound)
	if r := c.callV1("GET", "/teams", ""); r.count("teams") != 1 || r.count("teams.0.team_users") != 2 {
		t.Error(r.text)
	}
	c.callV1("GET", "/teams/"+c.callV1("GET", "/teams", "").at("teams.0.id").(string), "").wantStatus(t, 200)
	c.callV1("GET", "/teams/x", "").wantStatus(t, 404)
	c.call("GET", "/crm/v2/teams", "").contains(t, 200, "data", `[{"team_id":"<ANY>","name":"Sul","user_ids":["`+users[1].ID+`","`+users[2].ID+`"]}]`)
	if got := c.account.CRMUsers(); len(got) != 4 || got[0].Visibility != rdstationtest.Geral || got[1].Token != "own" {
		t.Errorf("%+v", got)
	}
}

func TestF51V1Pages(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	for i := range 10_001 {
		c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": fmt.Sprintf("d%05d", i)})
	}
	r := c.callV1("GET", "/deals?limit=200&order=name&direction=asc", "")
	r.contains(t, 200, "", `{"has_more":true,"total":10001,"next_page":"<ANY>"}`)
	if r.count("deals") != 200 || r.at("deals.0.name") != "d00000" {
		t.Error(r.count("deals"))
	}
	r = c.callV1("GET", "/deals?limit=200&order=name&direction=asc&next_page="+r.at("next_page").(string), "")
	if r.at("deals.0.name") != "d00200" {
		t.Error(r.at("deals.0.name"))
	}
	r = c.callV1("GET", "/deals?limit=200&order=name&direction=asc&page=50", "")
	if r.at("deals.199.name") != "d09999" || r.at("has_more") != false || r.has("next_page") {
		t.Errorf("last page: %v %v", r.at("deals.199.name"), r.at("has_more"))
	}
	c.callV1("GET", "/deals?limit=200&page=51", "").contains(t, 200, "", `{"deals":[],"has_more":false,"total":10001}`)
	c.callV1("GET", "/deals?limit=201", "").wantStatus(t, 500)
	if r := c.callV1("GET", "/deals", ""); r.count("deals") != 20 {
		t.Error(r.count("deals"))
	}
	c.callV1("GET", "/deals?next_page=%25%25", "").wantStatus(t, 400)
	for i := range 10 {
		c.account.PutCRM(rdstationtest.CRMStages, map[string]any{"name": fmt.Sprint("s", i), "order": 10 + i, "pipeline_id": c.callV1("GET", "/deal_pipelines", "").at("0.id")})
	}
	r = c.callV1("GET", "/deal_stages", "")
	if r.count("deal_stages") != 12 || r.at("has_more") != true || encode(r.at("total")) != "15" {
		t.Error(r.text)
	}
	c.callV1("GET", "/deal_stages?limit=13", "").wantStatus(t, 500)
}

func TestF52NestedStage(t *testing.T) {
	c := crmSheet(t, rdstationtest.Options{})
	const other = "622e4cee412e87000d2f52a9"
	c.callV1("PUT", "/deals/"+deal, `{"deal":{"deal_stage_id":"`+other+`"}}`).contains(t, 200, "deal_stage", `{"id":"`+stage+`"}`)
	c.callV1("PUT", "/deals/"+deal, `{"deal_stage_id":"`+other+`"}`).contains(t, 200, "deal_stage", `{"id":"`+other+`"}`)
	if r := c.callV1("GET", "/deals/"+deal, ""); r.count("deal_stage_histories") != 2 || r.at("deal_stage_histories.0.end_date") == nil {
		t.Error(r.at("deal_stage_histories"))
	}
	c.callV1("PUT", "/deals/"+deal, `{"deal_stage_id":"unknown"}`).want(t, 422, `{"errors":{"deal_stage_id":["Não é válido."]}}`)
}

func TestF53V1Errors(t *testing.T) {
	c := crmSheet(t, rdstationtest.Options{})
	task := func(more string) string {
		return `{"task":{"deal_id":"` + deal + `","subject":"Ligar","type":"call","date":"2025-10-10","hour":"14:30"` + more + `}}`
	}
	c.callV1("POST", "/tasks", task("")).contains(t, 200, "", `{"subject":"Ligar","type":"call","hour":"14:30","done":false,"deal_id":"`+deal+`","user_ids":["`+owner+`"]}`)
	c.callV1("POST", "/tasks", task(`,"type":"party"`)).want(t, 422, `{"errors":{"type":["Não está incluído na lista."]}}`)
	c.callV1("POST", "/tasks", task(`,"date":"2999-01-01"`)).want(t, 422, `{"errors":{"date":["Não é válido."]}}`)
	c.callV1("POST", "/contacts", `{"contact":{"name":"A"}}`).want(t, 422, `{"errors":{"name":["Nome está muito curto, use no mínimo 2 caracteres."]}}`)
	c.callV1("POST", "/contacts", `{"contact":{"name":"bia nunes"}}`).wantStatus(t, 422)
	c.callV1("POST", "/deals", `{"deal":{"name":"x","deal_custom_fields":[{"custom_field_id":"nope","value":"a"}]}}`).want(t, 400, `{"errors":"Could not find a custom field that matches: nope"}`)
	for _, path := range []string{"/contacts?page=x", "/contacts?limit=-1", "/contacts?order=shoe", "/activities?page=x", "/deal_pipelines?page=x"} {
		if r := c.callV1("GET", path, "").wantStatus(t, 500); !strings.Contains(r.text, "Problemas técnicos são sempre inesperados") {
			t.Errorf("%s: %s", path, r.text)
		}
	}
	for _, path := range []string{"/deals?order=shoe", "/deals?win=maybe", "/deals?created_at_period=true"} {
		c.callV1("GET", path, "").wantStatus(t, 400)
	}
	free := crmSheet(t, rdstationtest.Options{CRMFree: true})
	free.callV1("POST", "/tasks", task("")).want(t, 422, `{"errors":[{"error_type":"ACCESS_DENIED","error_message":"This account is not allowed to create tasks of the requested type","feature":"extended_task_types","access":false}]}`)
	free.callV1("POST", "/tasks", task(`,"type":"task"`)).wantStatus(t, 200)
}

func TestF54V2Lists(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	for i := range 5 {
		c.call("POST", "/crm/v2/deals", fmt.Sprintf(`{"data":{"name":"d%d","rating":%d}}`, i, i+1)).contains(t, 201, "data", `{"id":"<ANY>","status":"ongoing","total_price":0.0,"contact_ids":[],"closed_at":null}`)
	}
	r := c.call("GET", "/crm/v2/deals?sort[name]=desc&page[number]=2&page[size]=2&filter=rating:%3E0", "")
	link := func(page int) string {
		return fmt.Sprintf(`https://api.rd.services/api/v2/deals?filter=rating%%3A%%3E0&sort%%5Bname%%5D=desc&page%%5Bnumber%%5D=%d&page%%5Bsize%%5D=2`, page)
	}
	r.contains(t, 200, "links", encode(map[string]string{"first": link(1), "prev": link(1), "self": link(2), "next": link(3), "last": link(3)}))
	if r.count("data") != 2 || r.at("data.0.name") != "d2" {
		t.Error(r.text)
	}
	if last := c.call("GET", "/crm/v2/deals?page[number]=3&page[size]=2", ""); last.at("links.next") != nil || last.count("data") != 1 {
		t.Error(last.text)
	}
	c.call("GET", "/crm/v2/deals?page[size]=201", "").wantStatus(t, 400)
	c.call("GET", "/crm/v2/deals?sort[shoe]=asc", "").wantStatus(t, 400)
	c.call("GET", "/crm/v2/deals?sort[name]=up", "").wantStatus(t, 400)
	list := func(c *client) string { return encode(c.call("GET", "/crm/v2/deals", "").at("data")) }
	if first, second := list(c), list(c); first == second {
		t.Error("unsorted lists come in the same order")
	}
	stable := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{StableUnsorted: true, RoutableLinks: true}})
	for i := range 3 {
		stable.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": fmt.Sprint(i)})
	}
	if first, second := list(stable), list(stable); first != second {
		t.Error("stable lists differ")
	}
	next := stable.call("GET", "/crm/v2/deals?page[size]=1", "").at("links.next").(string)
	stable.call("GET", strings.TrimPrefix(next, "https://api.rd.services"), "").wantStatus(t, 200)

	id := r.at("data.0.id").(string)
	c.call("GET", "/crm/v2/deals/"+id, "").contains(t, 200, "data", `{"name":"d2"}`)
	c.call("PUT", "/crm/v2/deals/"+id, `{"data":{"name":"new","one_time_price":10,"recurrence_price":2.5}}`).contains(t, 200, "data", `{"name":"new","total_price":12.5}`)
	c.call("PUT", "/crm/v2/deals/"+id, `{"name":"new"}`).wantStatus(t, 400)
	c.call("PUT", "/crm/v2/deals/"+id, `{"data":{"name":"","rating":"x","stage_id":"no","contact_ids":["no"],"custom_fields":{"no":1}}}`).wantStatus(t, 422)
	c.call("PATCH", "/crm/v2/deals/"+id, `{}`).wantStatus(t, 405)
	c.call("GET", "/crm/v2/deals/nope", "").contains(t, 404, "errors.0", `{"error_type":"RESOURCE_NOT_FOUND"}`)
	c.call("POST", "/crm/v2/deals", `{"data":`).contains(t, 400, "errors.0", `{"error_type":"BAD_REQUEST"}`)
	c.send("POST", c.account.APIURL()+"/crm/v2/deals", `{}`, "Authorization", "Bearer "+c.crm).wantStatus(t, 415)
	field := c.call("POST", "/crm/v2/custom_fields", `{"data":{"name":"Filial Nova","entity":"deal"}}`)
	field.contains(t, 201, "data", `{"slug":"filial_nova","type":"text"}`)
	c.call("DELETE", "/crm/v2/custom_fields/"+field.at("data.id").(string), "").wantStatus(t, 204)
}

func TestF54RDQL(t *testing.T) {
	c := crmSheet(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{StableUnsorted: true}})
	c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "Batedeira", "status": "won", "rating": 5, "one_time_price": 50, "updated_at": instant(t, "2026-01-31T12:00:00Z")})
	lost := c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "Mesa de inox", "status": "lost", "updated_at": instant(t, "2026-02-01T12:00:00Z")})
	product := c.account.PutCRM(rdstationtest.CRMProducts, map[string]any{"name": "Mesa", "price": 100})
	c.account.PutCRM(rdstationtest.CRMDealProducts, map[string]any{"deal_id": lost, "product_id": product, "price": 100})
	for filter, want := range map[string]string{
		``: "Forno 10 bandejas|Batedeira|Mesa de inox", `status:won`: "Batedeira", `-status:won`: "Forno 10 bandejas|Mesa de inox",
		`total_price:>50`: "Forno 10 bandejas|Mesa de inox", `total_price:>=50 total_price:<=100`: "Batedeira|Mesa de inox", `rating:<3`: "Mesa de inox",
		`status:(won,lost)`: "Batedeira|Mesa de inox", `-status:(won, lost)`: "Forno 10 bandejas", `name:~MESA`: "Mesa de inox",
		`status:won or status:lost`: "Batedeira|Mesa de inox", `(status:won or status:lost) and total_price:>60`: "Mesa de inox", `status:lost,name:~mesa`: "Mesa de inox",
		`@filial:Sul`: "Forno 10 bandejas", `-@filial:Sul`: "Batedeira|Mesa de inox", `has:product`: "Mesa de inox", `name:"Mesa de inox"`: "Mesa de inox",
		`updated_at:>="2026-01-31 12:00:00"`: "Batedeira|Mesa de inox", `updated_at:>"2026-01-31 12:00:00"`: "Mesa de inox", `updated_at:2026-01-31`: "Batedeira",
		`updated_at:<2026-01-31`: "Forno 10 bandejas", `product_ids:` + product: "Mesa de inox", `id:` + lost: "Mesa de inox", `stage_id:` + stage: "Forno 10 bandejas",
	} {
		r := c.call("GET", "/crm/v2/deals?filter="+url.QueryEscape(filter), "").wantStatus(t, 200)
		names := []string{}
		for i := range r.count("data") {
			names = append(names, r.at(fmt.Sprintf("data.%d.name", i)).(string))
		}
		if got := strings.Join(names, "|"); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
	}
	for _, bad := range []string{`shoe:1`, `status`, `status:`, `(status:won`, `status:won)`, `status:won or`, `name:"open`, `@nope:1`, `:x`, strings.Repeat("(", 40) + "status:won" + strings.Repeat(")", 40)} {
		c.call("GET", "/crm/v2/deals?filter="+url.QueryEscape(bad), "").wantStatus(t, 400)
	}
	for path, want := range map[string]int{"/crm/v2/contacts?filter=email:" + bia: 1, "/crm/v2/contacts?filter=phone:1": 0, "/crm/v2/users?filter=is:active": 2, "/crm/v2/users?filter=-is:active": 0, "/crm/v2/products?filter=is:visible&sort[status]=desc": 1, "/crm/v2/organizations?filter=segment_ids:x": 0, "/crm/v2/tasks?filter=owner_ids:x": 0, "/crm/v2/teams": 0} {
		if r := c.call("GET", path, "").wantStatus(t, 200); r.count("data") != want {
			t.Errorf("%s: %s", path, r.text)
		}
	}
	c.call("GET", "/crm/v2/users?filter=name:x", "").wantStatus(t, 400)
}

func TestF54TenThousand(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	for i := range 10_001 {
		c.account.PutCRM(rdstationtest.CRMContacts, map[string]any{"name": fmt.Sprintf("c%05d", i)})
	}
	if r := c.call("GET", "/crm/v2/contacts?sort[name]=asc&page[size]=200&page[number]=50", ""); r.at("data.199.name") != "c09999" || r.at("links.next") != nil {
		t.Error(r.at("links"))
	}
	if r := c.call("GET", "/crm/v2/contacts?sort[name]=asc&page[size]=200&page[number]=51", ""); r.count("data") != 0 {
		t.Error(r.count("data"))
	}
}

func TestF54RetryAfter(t *testing.T) {
	c := newClient(t, limited(rdstationtest.Pro, rdstationtest.Quirks{}))
	_, r := use(130, func() reply { return c.call("GET", "/crm/v2/contacts", "") })
	r.want(t, 429, gatewayLimit)
	if r.header.Get("Retry-After") != "60" {
		t.Error(r.header)
	}
}

func TestF55FirstStatus(t *testing.T) {
	c := crmSheet(t, rdstationtest.Options{})
	for _, status := range []string{"won", "lost", "paused", "shoe"} {
		c.call("POST", "/crm/v2/deals", `{"data":{"name":"x","status":"`+status+`"}}`).contains(t, 422, "errors.0", `{"path":"data.status"}`)
	}
	c.call("POST", "/crm/v2/deals", `{"data":{"name":"x","status":"ongoing"}}`).wantStatus(t, 201)
	c.call("POST", "/crm/v2/tasks", `{"data":{"name":"x","type":"call","status":"completed"}}`).wantStatus(t, 422)
	task := c.call("POST", "/crm/v2/tasks", `{"data":{"name":"x","type":"call","deal_id":"`+deal+`","due_date":"2026-01-01T10:00:00Z"}}`).wantStatus(t, 201).at("data.id").(string)
	c.call("PUT", "/crm/v2/tasks/"+task, `{"data":{"status":"completed"}}`).contains(t, 200, "data", `{"status":"completed","completed_at":"<ANY>"}`)
	c.call("POST", "/crm/v2/tasks", `{"data":{"name":"x","type":"party"}}`).wantStatus(t, 422)
	c.call("POST", "/crm/v2/tasks", `{"data":{"type":"call"}}`).wantStatus(t, 422)
}

func TestF56Mutations(t *testing.T) {
	hooks := &receiver{}
	c := newClient(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	entities := map[string]rdstationtest.Entity{"deal": rdstationtest.CRMDeals, "contact": rdstationtest.CRMContacts, "organization": rdstationtest.CRMOrganizations, "task": rdstationtest.CRMTasks,
		"product": rdstationtest.CRMProducts, "campaign": rdstationtest.CRMCampaigns, "source": rdstationtest.CRMSources, "lost_reason": rdstationtest.CRMLostReasons}
	for name, entity := range entities {
		for _, action := range []string{"created", "updated", "deleted"} {
			c.subscribeCRM("crm_"+name+"_"+action, "").wantStatus(t, 201)
		}
		body := `{"data":{"name":"x"}}`
		if name == "task" {
			body = `{"data":{"name":"x","type":"call"}}`
		}
		id := c.call("POST", "/crm/v2/"+string(entity), body).wantStatus(t, 201).at("data.id").(string)
		c.account.Wait()
		c.call("PUT", "/crm/v2/"+string(entity)+"/"+id, `{"data":{"name":"y"}}`).wantStatus(t, 200)
		c.account.Wait()
		c.account.DeleteCRM(entity, id)
		c.account.Wait()
		got := hooks.requests()
		got = got[len(got)-3:]
		got[0].contains(t, 0, "", `{"event_name":"crm_`+name+`_created"}`)
		got[0].contains(t, 0, "document", `{"id":"`+id+`","name":"x","created_at":"<ANY>","updated_at":"<ANY>"}`)
		got[1].contains(t, 0, "document", `{"id":"`+id+`","name":"y"}`)
		got[2].want(t, 0, `{"event_name":"crm_`+name+`_deleted","document":{"id":"`+id+`","name":"y"},"event_timestamp":"<ANY>","transaction_uuid":"<ANY>"}`)
	}
	if r := c.call("GET", "/crm/v2/webhooks?page[size]=200", ""); r.count("data") != 24 {
		t.Errorf("%d webhooks", r.count("data"))
	}
	c.subscribeCRM("crm_shoe_created", "").wantStatus(t, 422)
	c.call("POST", "/crm/v2/webhooks", `{}`).wantStatus(t, 400)
	id := c.call("GET", "/crm/v2/webhooks", "").at("data.0.id").(string)
	c.call("PUT", "/crm/v2/webhooks/"+id, `{"data":{"status":"shoe"}}`).wantStatus(t, 422)
	c.call("DELETE", "/crm/v2/webhooks/"+id, "").wantStatus(t, 204)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		c.call(method, "/crm/v2/webhooks/"+id, "{}").wantStatus(t, 404)
	}
}

func TestV1Webhooks(t *testing.T) {
	hooks := &receiver{}
	c := crmSheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	body := `{"event_type":"crm_deal_updated","http_method":"POST","url":"https://hooks.exemplo.com.br/v1"}`
	r := c.callV1("POST", "/webhooks", body)
	r.want(t, 200, `{"uuid":"<ANY>","event_type":"crm_deal_updated","url":"https://hooks.exemplo.com.br/v1","http_method":"POST","source":"CRM","status":"active","created_via":"api","name":null,"event_identifiers":[],
		"include_relations":[],"platform_account_id":818000000000436400,"created_at":"<ANY>","updated_at":"<ANY>"}`)
	path := "/webhooks/" + r.at("uuid").(string)
	c.send("POST", c.account.CRMv1URL()+"/webhooks", strings.Replace(body, "{", `{"token":"TK",`, 1), "Content-Type", "application/json").wantStatus(t, 200)
	c.callV1("POST", "/webhooks", strings.Replace(body, "crm_deal_updated", "crm_task_deleted", 1)).wantStatus(t, 400)
	c.callV1("GET", path, "").wantStatus(t, 200)
	c.callV1("PUT", path, strings.Replace(body, "updated", "deleted", 1)).contains(t, 200, "", `{"event_type":"crm_deal_deleted"}`)
	c.callV1("PUT", path, `{}`).wantStatus(t, 400)
	if r := c.callV1("GET", "/webhooks", ""); r.count("webhooks") != 2 {
		t.Error(r.text)
	}
	c.account.DeleteCRM(rdstationtest.CRMDeals, deal)
	c.account.Wait()
	if got := hooks.requests(); len(got) != 1 {
		t.Errorf("%d deliveries", len(got))
	}
	c.callV1("DELETE", path, "").wantStatus(t, 200)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		c.callV1(method, path, body).wantStatus(t, 404)
	}
}

func TestV1Deals(t *testing.T) {
	c := crmSheet(t, rdstationtest.Options{})
	put := c.account.PutCRM
	campaign := put(rdstationtest.CRMCampaigns, map[string]any{"name": "Black"})
	source := put(rdstationtest.CRMSources, map[string]any{"name": "Google"})
	organization := put(rdstationtest.CRMOrganizations, map[string]any{"name": "Padaria"})
	product := put(rdstationtest.CRMProducts, map[string]any{"name": "Forno", "price": 100})
	r := c.callV1("POST", "/deals", `{"deal":{"name":"Novo","rating":2,"deal_stage_id":"`+stage+`","deal_custom_fields":[{"custom_field_id":"6258480fd71568001128705a","value":"Norte"}]},"contacts":[{"name":"Zé","emails":[{"email":"ze@x.com"}]}],
		"set_contacts":[{"id":"`+contact+`"}],"organization":{"_id":"`+organization+`"},"campaign":{"_id":"`+campaign+`"},"deal_source":{"_id":"`+source+`"},"deal_products":[{"product_id":"`+product+`","amount":2,"recurrence":"monthly"}],
		"distribution_settings":{"owner":{"email":"vendas@exemplo.com.br","type":"user"}}}`)
	r.contains(t, 200, "", `{"name":"Novo","rating":2,"amount_montly":200,"amount_unique":0,"amount_total":200,"win":null,"hold":null,"campaign_id":"`+campaign+`","deal_source_id":"`+source+`","from_rdsm_integration":false}`)
	if r.at("user.email") != "vendas@exemplo.com.br" || r.count("contacts") != 2 || r.at("organization.name") != "Padaria" || r.at("deal_custom_fields.0.value") != "Norte" || r.count("deal_products") != 1 {
		t.Error(r.text)
	}
	id := r.at("id").(string)
	for query, want := range map[string]int{"name=novo": 1, "name=novo&exact_name=true": 0, "name=Novo&exact_name=true": 1, "win=null": 2, "win=true": 0, "user_id=" + owner: 1, "campaign_id=" + campaign: 1,
		"deal_stage_id=" + stage: 2, "organization=" + organization: 1, "product_presence=true": 1, "product_presence=false": 1, "product_presence=" + product: 1, "closed_at=true": 0, "closed_at=false": 2, "hold=true": 0,
		"created_at_period=true&start_date=2025-09-01T00:00:00&end_date=2025-09-30T00:00:00": 1, "prediction_date_period=true&start_date=2025-11-01T00:00:00&end_date=2025-11-30T00:00:00": 1} {
		if r := c.callV1("GET", "/deals?"+query, "").wantStatus(t, 200); r.count("deals") != want {
			t.Errorf("%s: %d deals, want %d", query, r.count("deals"), want)
		}
	}
	c.callV1("PUT", "/deals/"+id, `{"deal":{"win":true}}`).contains(t, 200, "", `{"win":true,"closed_at":"<ANY>"}`)
	c.callV1("PUT", "/deals/"+id, `{"deal":{"win":false}}`).contains(t, 200, "", `{"win":false}`)
	c.callV1("PUT", "/deals/"+id, `{"deal":{"win":null}}`).contains(t, 200, "", `{"win":null,"closed_at":null}`)
	c.callV1("PUT", "/deals/"+id, `{"deal":{"hold":true}}`).contains(t, 200, "", `{"hold":true}`)
	c.callV1("PUT", "/deals/"+id, `{"deal":{"rating":9,"user_id":"no"},"campaign":{"_id":"no"}}`).want(t, 422, `{"errors":{"rating":["Não está incluído na lista."],"user_id":["Não é válido."],"campaign":["Não é válido."]}}`)
	if r := c.callV1("GET", "/deals/"+id+"/contacts", ""); r.count("contacts") != 2 {
		t.Error(r.text)
	}
	c.callV1("GET", "/deals/no/contacts", "").wantStatus(t, 404)

	path := "/deals/" + id + "/deal_products"
	c.callV1("POST", path, `{"product_id":"`+product+`","price":50,"amount":1,"discount_type":"percent","discount":10}`).contains(t, 200, "", `{"total":45,"discount_type":"percent","name":"Forno","base_price":"100.0"}`)
	c.callV1("POST", path, `{"product_id":"no"}`).want(t, 422, `{"errors":{"product_id":["Não é válido."],"discount_type":["Não está incluído na lista."],"discount":["Não é válido."]}}`)
	line := c.callV1("GET", path, "").at("deal_products.1.id").(string)
	c.callV1("PUT", path+"/"+line, `{"price":60,"discount":0}`).contains(t, 200, "", `{"total":60}`)
	c.callV1("GET", "/deals/"+id, "").contains(t, 200, "", `{"amount_unique":60,"amount_total":260}`)
	c.callV1("DELETE", path+"/"+line, "").wantStatus(t, 200)
	c.callV1("DELETE", path+"/"+line, "").wantStatus(t, 404)
	c.callV1("PUT", path+"/"+line, "{}").wantStatus(t, 404)
	c.callV1("GET", "/deals/"+id, "").contains(t, 200, "", `{"amount_unique":0}`)

	c.callV1("POST", "/activities", `{"activity":{"deal_id":"`+id+`","text":"Ligou"}}`).contains(t, 200, "", `{"text":"Ligou","user_id":"`+owner+`"}`)
	c.callV1("POST", "/activities", `{"activity":{}}`).wantStatus(t, 422)
	if r := c.callV1("GET", "/activities?deal_id="+id, ""); r.count("activities") != 1 || r.has("total") {
		t.Error(r.text)
	}
	c.callV1("GET", "/deals/"+id, "").contains(t, 200, "", `{"interactions":1,"last_activity_content":"Ligou"}`)
	c.call("POST", "/crm/v2/deals/"+id+"/notes", `{"data":{"description":"Nota"}}`).contains(t, 201, "data", `{"description":"Nota","registered_at":"<ANY>"}`)
	if r := c.call("GET", "/crm/v2/deals/"+id+"/notes", ""); r.count("data") != 2 {
		t.Error(r.text)
	}
	v2 := c.call("POST", "/crm/v2/deals/"+id+"/products", `{"data":{"product_id":"`+product+`","price":10,"quantity":3}}`)
	v2.contains(t, 201, "data", `{"total_price":30.0,"billing_frequency":"one-time","discount_type":"amount"}`)
	c.call("PUT", "/crm/v2/deals/"+id+"/products/"+v2.at("data.id").(string), `{"data":{"quantity":1}}`).contains(t, 200, "data", `{"total_price":10.0}`)
	c.call("DELETE", "/crm/v2/deals/"+id+"/products/"+v2.at("data.id").(string), "").wantStatus(t, 204)
	c.call("DELETE", "/crm/v2/deals/"+id+"/products/"+v2.at("data.id").(string), "").wantStatus(t, 404)
	c.call("GET", "/crm/v2/deals/no/products", "").wantStatus(t, 404)
	c.call("POST", "/crm/v2/deals/no/products", "{}").wantStatus(t, 404)
}

func TestV1Contacts(t *testing.T) {
	c := crmSheet(t, rdstationtest.Options{})
	field := c.account.PutCRM(rdstationtest.CRMCustomFields, map[string]any{"name": "CPF", "slug": "cpf", "entity": "contact"})
	organization := c.callV1("POST", "/organizations", `{"organization":{"name":"Padaria","url":"https://x","resume":"r","address":"Rua 1"}}`)
	organization.contains(t, 200, "", `{"name":"Padaria","url":"https://x","resume":"r","address":"Rua 1","won_count":0,"organization_custom_fields":[],"user":{"_id":"`+owner+`","name":"Caio","email":"caio@exemplo.com.br"}}`)
	oid := organization.at("id").(string)
	r := c.callV1("POST", "/contacts", `{"contact":{"name":"Zé","title":"Dono","emails":[{"email":"ze@x.com"}],"phones":[{"phone":"81","type":"cellphone"}],"birthday":{"day":1,"month":2,"year":1990},"facebook":"ze","organization_id":"`+oid+`","contact_custom_fields":[{"custom_field_id":"`+field+`","value":"1"}]}}`)
	r.contains(t, 200, "", `{"name":"Zé","title":"Dono","facebook":"ze","linkedin":null,"organization_id":"`+oid+`","deal_ids":[]}`)
	r.contains(t, 200, "birthday", `{"day":1,"month":2,"year":1990}`)
	r.contains(t, 200, "phones.0", `{"phone":"81","type":"cellphone","whatsapp":false,"whatsapp_full_internacional":null}`)
	if r.has("id") || r.at("organization.name") != "Padaria" || r.at("contact_custom_fields.0.value") != "1" {
		t.Error(r.text)
	}
	id := r.at("_id").(string)
	c.callV1("PUT", "/contacts/"+id, `{"contact":{"title":"Chefe"}}`).contains(t, 200, "", `{"title":"Chefe","name":"Zé"}`)
	c.callV1("PUT", "/contacts/"+id, `{"contact":{"contact_custom_fields":[{"custom_field_id":"no"}]}}`).wantStatus(t, 400)
	for query, want := range map[string]int{"email=ze@x.com": 1, "email=no@x.com": 0, "phone=81": 1, "title=Chefe": 1, "q=z": 1, "": 2} {
		if r := c.callV1("GET", "/contacts?"+query, ""); r.count("contacts") != want {
			t.Errorf("%s: %s", query, r.text)
		}
	}
	c.callV1("GET", "/contacts/"+id, "").wantStatus(t, 200)
	c.callV1("GET", "/contacts/no", "").want(t, 404, leadNotFound)
	c.callV1("GET", "/contacts?q=bia", "").contains(t, 200, "contacts.0.deals.0", `{"id":"`+deal+`","win":null}`)
	c.callV1("DELETE", "/contacts/"+id, "").wantStatus(t, 405)
	if r := c.callV1("GET", "/organizations/"+oid+"/contacts", ""); r.count("contacts") != 1 {
		t.Error(r.text)
	}
	c.callV1("GET", "/organizations/no/contacts", "").wantStatus(t, 404)
	c.callV1("GET", "/organizations/"+oid, "").contains(t, 200, "contacts.0", `{"name":"Zé"}`)
	c.callV1("GET", "/organizations/no", "").wantStatus(t, 404)
	c.callV1("PUT", "/organizations/"+oid, `{"organization":{"resume":"novo"}}`).contains(t, 200, "", `{"resume":"novo"}`)
	c.callV1("POST", "/organizations", `{"organization":{"name":"padaria"}}`).wantStatus(t, 422)
	c.callV1("GET", "/organizations?user_id="+owner+"&q=pad", "").contains(t, 200, "", `{"total":1}`)
	c.callV1("GET", "/organizations?order=shoe", "").wantStatus(t, 500)
}

func TestV1Setup(t *testing.T) {
	c := crmSheet(t, rdstationtest.Options{})
	c.callV1("POST", "/products", `{"product":{"name":"Forno","base_price":"12.5"}}`).contains(t, 200, "", `{"name":"Forno","base_price":"12.5","visible":true}`)
	id := c.callV1("GET", "/products", "").at("products.0.id").(string)
	c.callV1("PUT", "/products/"+id, `{"product":{"base_price":10}}`).contains(t, 200, "", `{"base_price":"10.0"}`)
	c.callV1("PUT", "/products/"+id, `{"product":{"base_price":"x"}}`).wantStatus(t, 422)
	c.callV1("GET", "/products/"+id, "").wantStatus(t, 200)
	c.callV1("GET", "/products/no", "").wantStatus(t, 404)
	c.callV1("POST", "/products", `{"product":{"name":"F"}}`).wantStatus(t, 422)

	p := c.callV1("POST", "/deal_pipelines", `{"deal_pipeline":{"name":"Novo"}}`)
	if p.count("deal_stages") != 5 {
		t.Error(p.text)
	}
	pid := p.at("id").(string)
	c.callV1("GET", "/deal_pipelines/"+pid, "").contains(t, 200, "", `{"name":"Novo"}`)
	c.callV1("GET", "/deal_pipelines/no", "").wantStatus(t, 404)
	c.callV1("PUT", "/deal_pipelines/"+pid, `{"deal_pipeline":{"name":"Outro"}}`).contains(t, 200, "", `{"name":"Outro"}`)
	s := c.callV1("POST", "/deal_stages", `{"deal_stage":{"name":"Fim","deal_pipeline_id":"`+pid+`","order":9}}`)
	s.contains(t, 200, "", `{"name":"Fim","deal_pipeline_id":"`+pid+`"}`)
	c.callV1("PUT", "/deal_stages/"+s.at("id").(string), `{"deal_stage":{"name":"Final"}}`).contains(t, 200, "", `{"name":"Final","deal_pipeline_id":"`+pid+`"}`)
	c.callV1("GET", "/deal_stages/"+s.at("id").(string), "").wantStatus(t, 200)
	c.callV1("GET", "/deal_stages/no", "").wantStatus(t, 404)
	c.callV1("POST", "/deal_stages", `{"deal_stage":{"name":"x","deal_pipeline_id":"no"}}`).wantStatus(t, 422)
	c.callV1("POST", "/deal_stages", `{"deal_stage":{}}`).wantStatus(t, 422)
	if r := c.callV1("GET", "/deal_stages?deal_pipeline_id="+pid, ""); r.count("deal_stages") != 6 {
		t.Error(r.text)
	}
	if r := c.callV1("GET", "/deal_pipelines", ""); r.count("") != 3 {
		t.Error(r.text)
	}
	for list, wrapper := range map[string]string{"campaigns": "campaign", "deal_sources": "deal_source", "deal_lost_reasons": "deal_lost_reason"} {
		id := c.callV1("POST", "/"+list, `{"`+wrapper+`":{"name":"A"}}`).wantStatus(t, 200).at("id").(string)
		c.callV1("PUT", "/"+list+"/"+id, `{"name":"B"}`).contains(t, 200, "", `{"name":"B"}`)
		c.callV1("GET", "/"+list+"/"+id, "").contains(t, 200, "", `{"name":"B"}`)
		c.callV1("GET", "/"+list, "").contains(t, 200, "", `{"total":1,"has_more":false}`)
		c.callV1("POST", "/"+list, `{}`).wantStatus(t, 422)
		c.callV1("PUT", "/"+list+"/no", `{}`).wantStatus(t, 404)
		c.callV1("GET", "/"+list+"/no", "").wantStatus(t, 404)
	}
	f := c.callV1("POST", "/custom_fields", `{"custom_field":{"label":"Porte","for":"organization","type":"option","opts":["a"]}}`)
	f.contains(t, 200, "", `{"label":"Porte","for":"organization","opts":["a"]}`)
	if r := c.callV1("GET", "/custom_fields?for=organization", ""); r.count("") != 1 {
		t.Error(r.text)
	}
	c.callV1("PUT", "/custom_fields/"+f.at("id").(string), `{"custom_field":{"label":"Tamanho"}}`).contains(t, 200, "", `{"label":"Tamanho"}`)
	c.callV1("GET", "/custom_fields/"+f.at("id").(string), "").wantStatus(t, 200)
	c.callV1("POST", "/custom_fields", `{}`).wantStatus(t, 422)
	c.callV1("DELETE", "/custom_fields/"+f.at("id").(string), "").wantStatus(t, 200)
	c.callV1("DELETE", "/custom_fields/"+f.at("id").(string), "").wantStatus(t, 404)
	c.callV1("GET", "/custom_fields/"+f.at("id").(string), "").wantStatus(t, 404)

	if r := c.callV1("GET", "/users?active=true", ""); r.count("users") != 2 || r.has("total") {
		t.Error(r.text)
	}
	c.callV1("GET", "/users/"+owner, "").contains(t, 200, "", `{"email":"caio@exemplo.com.br","active":true}`)
	c.callV1("GET", "/users/no", "").wantStatus(t, 404)
	task := c.callV1("POST", "/tasks", `{"task":{"deal_id":"`+deal+`","subject":"Visitar","type":"visit","date":"2026-01-05","hour":"09:00","user_ids":["`+owner+`"]}}`).at("id").(string)
	c.callV1("PUT", "/tasks/"+task, `{"task":{"done":true}}`).contains(t, 200, "", `{"done":true,"done_date":"<ANY>","subject":"Visitar"}`)
	c.callV1("GET", "/tasks/"+task, "").wantStatus(t, 200)
	c.callV1("GET", "/tasks/no", "").wantStatus(t, 404)
	for query, want := range map[string]int{"done=true": 1, "done=false": 0, "type=visit": 1, "deal_id=" + deal: 1, "user_id=no": 0, "date_start=2026-01-05&date_end=2026-01-05": 1, "date_start=2026-01-06": 0, "done_date_end=2000-01-01": 0} {
		if r := c.callV1("GET", "/tasks?"+query, ""); r.count("tasks") != want {
			t.Errorf("%s: %s", query, r.text)
		}
	}
	c.call("POST", "/crm/v2/pipelines", `{"data":{"name":"P"}}`).wantStatus(t, 201)
	c.call("GET", "/crm/v2/pipelines/"+pid+"/stages?sort[order]=asc", "").wantStatus(t, 200)
	c.call("GET", "/crm/v2/pipelines/"+pid+"/stages/"+s.at("id").(string), "").contains(t, 200, "data", `{"name":"Final"}`)
	c.call("GET", "/crm/v2/pipelines/"+pipeline+"/stages/"+s.at("id").(string), "").wantStatus(t, 404)
	if r := c.call("GET", "/crm/v2/pipelines/"+pid, ""); r.count("data.stage_ids") != 6 {
		t.Error(r.text)
	}
}

func TestT43TokenCheck(t *testing.T) {
	newClient(t, rdstationtest.Options{Name: "Padaria Aurora"}).callV1("GET", "/token/check", "").want(t, 200, `{"email":"caio@exemplo.com.br","name":"Caio","organization":"Padaria Aurora"}`)
}

func TestT44BadToken(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.send("GET", c.account.CRMv1URL()+"/deals?token=NOPE&limit=1", "").want(t, 401, denied)
}

func TestT45TaskWithoutSubject(t *testing.T) {
	crmSheet(t, rdstationtest.Options{}).callV1("POST", "/tasks", `{"task":{"deal_id":"650878567482d9c0c7002050","user_ids":["622e7fb2f678470c001576f4"],"type":"call","date":"2025-10-10","hour":"14:30"}}`).
		want(t, 422, `{"errors":{"subject":["Assunto está muito curto, use no mínimo 3 caracteres."]}}`)
}

func TestT46MoveDeal(t *testing.T) {
	r := crmSheet(t, rdstationtest.Options{}).callV1("PUT", "/deals/"+deal, `{"deal":{"rating":3},"deal_stage_id":"622e4cee412e87000d2f52a9"}`)
	r.contains(t, 200, "", `{"_id":"`+deal+`","id":"`+deal+`","name":"Forno 10 bandejas","amount_montly":0,"amount_unique":18900,"amount_total":18900,"win":null,"hold":null,"rating":3,"updated_at":"<ANY>"}`)
	r.contains(t, 200, "deal_stage", `{"_id":"622e4cee412e87000d2f52a9","id":"622e4cee412e87000d2f52a9","deal_pipeline_id":"`+pipeline+`","name":"Proposta","nickname":"PR"}`)
}

func TestT47IncrementalDeals(t *testing.T) {
	c := crmSheet(t, rdstationtest.Options{})
	for range 8 {
		c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "x"})
	}
	c.account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "old", "updated_at": instant(t, "2025-01-01T00:00:00Z")})
	r := c.call("GET", "/crm/v2/deals?filter=updated_at%3A%3E%3D%222025-10-01+00%3A00%3A00%22&sort[updated_at]=asc&page[number]=1&page[size]=1", "")
	r.contains(t, 200, "data", `[{"id":"`+deal+`","name":"Forno 10 bandejas","recurrence_price":0.0,"one_time_price":18900.0,"total_price":18900.0,"expected_close_date":"2025-11-15","rating":3,"status":"ongoing","closed_at":null,
		"pipeline_id":"`+pipeline+`","stage_id":"`+stage+`","owner_id":"`+owner+`","source_id":null,"campaign_id":null,"lost_reason_id":null,"organization_id":null,"contact_ids":["`+contact+`"],"custom_fields":{"filial":"Sul"},
		"created_at":"2025-09-18T18:04:34.515Z","updated_at":"2025-10-01T12:00:00.000Z"}]`)
	for name, page := range map[string]string{"first": "1", "self": "1", "next": "2", "last": "9"} {
		link := r.at("links." + name).(string)
		if !strings.HasPrefix(link, "https://api.rd.services/api/v2/deals?") || !strings.HasSuffix(link, "sort%5Bupdated_at%5D=asc&page%5Bnumber%5D="+page+"&page%5Bsize%5D=1") {
			t.Errorf("%s is %s", name, link)
		}
	}
}

func TestT48InternalPrefix(t *testing.T) {
	newClient(t, rdstationtest.Options{}).call("GET", "/api/v2/deals?page[number]=2&page[size]=1", "").want(t, 404, `{"message":"no Route matched with those values"}`)
}

func TestT49Throttled(t *testing.T) {
	c := newClient(t, limited(rdstationtest.Pro, rdstationtest.Quirks{}))
	list := func() reply { return c.call("GET", "/crm/v2/contacts?page[number]=1&page[size]=25", "") }
	list()
	c.account.Advance(37 * time.Second)
	use(118, list)
	r := list()
	r.want(t, 429, gatewayLimit)
	if r.header.Get("Retry-After") != "23" {
		t.Error(r.header)
	}
}

func TestT50WebhookWithHeader(t *testing.T) {
	newClient(t, rdstationtest.Options{}).subscribeCRM("crm_deal_updated", `,"auth_header":"X-RD-Webhook-Key","auth_key":"s3cr3t"`).
		want(t, 201, `{"data":{"id":"<ANY>","name":"sync","event_name":"crm_deal_updated","http_method":"POST","url":"https://hooks.exemplo.com.br/rd-crm/t1","status":"active","created_at":"<ANY>","updated_at":"<ANY>"}}`)
}
