package rdstationtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

const leadNotFound = `{"errors":{"error_type":"RESOURCE_NOT_FOUND","error_message":"Lead not found."}}`

const (
	byEmail = "/platform/contacts/email:" + bia
	byUUID  = "/platform/contacts/uuid:" + biaUUID
)

func fieldError(field, kind, message string) string {
	return `{"errors":{"` + field + `":[{"error_type":"` + kind + `","error_message":"` + message + `"}]}}`
}

func flatError(kind, message string) string {
	return `{"errors":{"error_type":"` + kind + `","error_message":"` + message + `"}}`
}

func TestF17Identifiers(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	c.account.PutContact(map[string]any{"uuid": biaUUID, "phone": "+558130301010"})
	c.account.PutContact(map[string]any{"email": "a+b@exemplo.com.br"})
	for _, path := range []string{"uuid:" + biaUUID, biaUUID, "email:" + bia, "email:BIA@Exemplo.com.br", "email:bia%40exemplo.com.br", "phone:+558130301010", "phone:%2B558130301010"} {
		c.call("GET", "/platform/contacts/"+path, "").contains(t, 200, "", `{"uuid":"`+biaUUID+`","phone":"+558130301010"}`)
	}
	c.call("GET", "/platform/contacts/email:a+b@exemplo.com.br", "").wantStatus(t, 200)
	c.call("GET", "/platform/contacts/email:a%2Bb@exemplo.com.br", "").wantStatus(t, 200)
	c.call("GET", "/platform/contacts/email:a%20b@exemplo.com.br", "").wantStatus(t, 404)

	old := sheet(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{NoPhone: true, ExactEmails: true}})
	old.account.PutContact(map[string]any{"uuid": biaUUID, "phone": "+558130301010"})
	old.call("GET", "/platform/contacts/phone:+558130301010", "").wantStatus(t, 404)
	old.call("GET", "/platform/contacts/email:BIA@exemplo.com.br", "").wantStatus(t, 404)
	if r := old.call("GET", byUUID, ""); r.has("phone") {
		t.Error(r.text)
	}
}

func TestF18NotFound(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("GET", "/platform/contacts/email:no@exemplo.com.br", "").want(t, 404, leadNotFound)
}

func TestF19Create(t *testing.T) {
	c := sheet(t, rdstationtest.Options{MaxContacts: 3})
	c.call("POST", "/platform/contacts", `{"email":"New@exemplo.com.br","name":"New","tags":["a"]}`).contains(t, 200, "", `{"uuid":"<ANY>","email":"new@exemplo.com.br","name":"New","tags":["a"],"extra_emails":[],"legal_bases":[]}`)
	c.call("POST", "/platform/contacts", `{"email":"new@exemplo.com.br"}`).want(t, 400, flatError("EMAIL_ALREADY_IN_USE", "email already in use"))
	c.call("POST", "/platform/contacts", `{"name":"x"}`).want(t, 400, fieldError("email", "CANNOT_BE_NULL", "email cannot be null."))
	c.call("POST", "/platform/contacts", `{"email":"nonsense"}`).want(t, 400, fieldError("email", "INVALID_EMAIL_FORMAT", "email has an invalid format"))
	c.call("POST", "/platform/contacts", `[]`).wantStatus(t, 400)
	c.call("POST", "/platform/contacts", `{"phone":"+5581999990000"}`).contains(t, 200, "", `{"phone":"+5581999990000"}`)
	c.call("POST", "/platform/contacts", `{"email":"fourth@exemplo.com.br"}`).wantStatus(t, 406)
}

func TestF20Patch(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	c.call("PATCH", "/platform/contacts/email:novo@exemplo.com.br", `{"name":"Novo"}`).contains(t, 200, "", `{"email":"novo@exemplo.com.br","name":"Novo"}`)
	c.call("PATCH", "/platform/contacts/phone:+5581999990000", `{"name":"Fone"}`).contains(t, 200, "", `{"phone":"+5581999990000"}`)
	c.call("PATCH", "/platform/contacts/uuid:0f9c1f3e-0000-4a43-9a0e-5b8f3f6f1a11", `{"name":"x"}`).want(t, 404, leadNotFound)
	c.call("PATCH", byEmail, `{"email":"x@exemplo.com.br"}`).want(t, 400, flatError("CONFLICTING_FIELD", "The payload contains an attribute that was used to identify the lead"))
	c.call("PATCH", byEmail, `{"b":1,"a":2,"name":"x"}`).want(t, 400, flatError("INVALID_FIELDS", "Payload contains fields that do not exist: (a, b)"))
	c.call("PATCH", byEmail, `{"available_for_mailing":true,"extra_emails":[]}`).want(t, 400, flatError("INVALID_FIELDS", "Payload contains fields that cannot be modified: (available_for_mailing, extra_emails)"))
	c.call("PATCH", byUUID, `{"email":"novo@exemplo.com.br"}`).want(t, 400, flatError("EMAIL_ALREADY_IN_USE", "email already in use"))
	c.call("PATCH", byUUID, `{"email":"bianca@exemplo.com.br"}`).contains(t, 200, "", `{"uuid":"`+biaUUID+`","email":"bianca@exemplo.com.br","name":"Bia Nunes"}`)
	c.call("GET", byEmail, "").wantStatus(t, 404)
	c.call("PATCH", byUUID, `{}`).wantStatus(t, 200)
	c.call("PATCH", "/platform/contacts/email:nonsense", `{}`).want(t, 400, fieldError("email", "INVALID_EMAIL_FORMAT", "email has an invalid format"))
}

func TestF21Tags(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	c.call("PATCH", byEmail, `{"tags":["x"]}`).contains(t, 200, "tags", `["x"]`)
	r := c.call("POST", byEmail+"/tag", `{"tags":["y","z"]}`)
	r.contains(t, 200, "tags", `["x","y","z"]`)
	if r.has("links") {
		t.Error("the answer has links")
	}
	c.call("POST", byEmail+"/tag", `{"tags":["VIP"]}`).want(t, 400, fieldError("tags", "VALUES_MUST_BE_LOWERCASE", "must not contain capital letters"))
	c.call("POST", byEmail+"/tag", `{"tags":["w","y"]}`).want(t, 400, fieldError("tags", "VALUES_MUST_BE_UNIQUE", "must not contain duplicate values"))
	c.call("PATCH", byEmail, `{"tags":["v","v"]}`).want(t, 400, fieldError("tags", "VALUES_MUST_BE_UNIQUE", "must not contain duplicate values"))
	c.call("POST", byEmail+"/tag", `{"tags":"y"}`).wantStatus(t, 422)
	c.call("POST", byEmail+"/tag", `{}`).wantStatus(t, 400)
	c.call("POST", "/platform/contacts/email:no@exemplo.com.br/tag", `{"tags":["y"]}`).want(t, 404, leadNotFound)
}

func TestF22WrongTypes(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	c.account.PutField("cf_ativo", "BOOLEAN")
	for body, want := range map[string]string{
		`{"name":12}`:                          fieldError("name", "MUST_BE_STRING", "Name must be string."),
		`{"tags":"a"}`:                         fieldError("tags", "MUST_BE_STRING_ARRAY", "Tags must be string array."),
		`{"cf_ativo":"yes"}`:                   fieldError("cf_ativo", "MUST_BE_BOOLEAN", "Cf ativo must be boolean."),
		`{"cf_interesses":"fornos"}`:           fieldError("cf_interesses", "MUST_BE_STRING_ARRAY", "Cf interesses must be string array."),
		`{"cf_segmento":1}`:                    fieldError("cf_segmento", "MUST_BE_STRING", "Cf segmento must be string."),
		`{"cf_numero_de_lojas":"4"}`:           fieldError("cf_numero_de_lojas", "INVALID", "It is not valid"),
		`{"job_title":["a"],"name":{"a":"b"}}`: `{"errors":{"job_title":[{"error_type":"MUST_BE_STRING","error_message":"Job title must be string."}],"name":[{"error_type":"MUST_BE_STRING","error_message":"Name must be string."}]}}`,
	} {
		c.call("PATCH", byUUID, body).want(t, 422, want)
	}
	for body, want := range map[string]string{
		`{"cf_interesses":["mesas"]}`:    fieldError("cf_interesses", "MUST_BE_VALID_OPTION", "Must be one of the valid options."),
		`{"linkedin":"bia nunes"}`:       fieldError("linkedin", "INVALID_FORMAT", "linkedin must use only letters, numbers, '.', '-' and '_'"),
		`{"birthdate":"1990-13-01"}`:     fieldError("birthdate", "INVALID", "It is not valid"),
		`{"legal_bases":[{"type":1}]}`:   fieldError("legal_bases", "MUST_BE_VALID_OPTION", "Legal bases must be valid options."),
		`{"phone":"48 3025-2598"}`:       fieldError("phone", "INVALID_FORMAT", "phone has an invalid format"),
		`{"email":null,"name":"x"}`:      fieldError("email", "CANNOT_BE_NULL", "email cannot be null."),
		`{"legal_bases":"granted"}`:      fieldError("legal_bases", "MUST_BE_VALID_OPTION", "Legal bases must be valid options."),
		`{"cf_interesses":["a","b"]}`:    `{"errors":{"cf_interesses":"<ANY>"}}`,
		`{"phone":"x","facebook":"a/b"}`: `{"errors":{"phone":"<ANY>","facebook":"<ANY>"}}`,
	} {
		c.call("PATCH", byUUID, body).want(t, 400, want)
	}
	c.call("PATCH", byUUID, `{"birthdate":"1990-12-01","linkedin":"bia.nunes","cf_ativo":true,"cf_numero_de_lojas":5,"legal_bases":[]}`).
		contains(t, 200, "", `{"birthdate":"1990-12-01","linkedin":"bia.nunes","cf_ativo":true,"cf_numero_de_lojas":5,"legal_bases":[]}`)
}

func TestF23Omission(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.account.PutField("cf_texto", "STRING")
	c.account.PutField("cf_numero", "INTEGER")
	c.account.PutField("cf_lista", "STRING[]", "a")
	c.account.PutField("cf_sim", "BOOLEAN")
	uuid := c.account.PutContact(map[string]any{"email": "x@exemplo.com.br", "name": "", "cf_texto": ""})
	base := "https://api.rd.services/platform/contacts/"
	link := func(rel, path, method string) string {
		return `{"rel":"` + rel + `","href":"` + base + path + `","media":"application/json","type":"` + method + `"}`
	}
	c.call("GET", "/platform/contacts/"+uuid, "").want(t, 200, `{"uuid":"`+uuid+`","email":"x@exemplo.com.br","tags":[],"extra_emails":[],"legal_bases":[],"cf_lista":[],"cf_sim":false,"links":[`+strings.Join([]string{
		link("SELF", "uuid:"+uuid, "GET"), link("SELF", "email:x@exemplo.com.br", "GET"), link("CONTACT.DELETE", "uuid:"+uuid, "DELETE"),
		link("CONTACT.FUNNEL", uuid+"/funnels/{funnel_name}", "GET"), link("CONTACTS.EVENTS", uuid+"/events?event_type={event_type}", "GET")}, ",")+`]}`)
	c.call("PATCH", "/platform/contacts/"+uuid, `{"name":"Ana"}`)
	if r := c.call("PATCH", "/platform/contacts/"+uuid, `{"name":""}`); r.has("name") {
		t.Errorf("an empty name is shown: %s", r.text)
	}
}

func TestF24Delete(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	if r := c.call("DELETE", byEmail, "").wantStatus(t, 204); r.text != "" {
		t.Error(r.text)
	}
	c.call("DELETE", byEmail, "").want(t, 404, leadNotFound)
	c.call("GET", byUUID, "").want(t, 404, leadNotFound)
	c.call("PATCH", byEmail, `{}`).wantStatus(t, 200)
	if r := c.call("GET", byEmail, ""); r.at("uuid") == biaUUID {
		t.Error("the old uuid came back")
	}
	if c.account.DeleteContact("nobody") {
		t.Error("deleted nobody")
	}
}

func TestF25Events(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sheet(t, rdstationtest.Options{})
		for i := range 12 {
			c.convert(fmt.Sprint("c", i))
			time.Sleep(time.Second)
		}
		list := func(query string) reply { return c.call("GET", "/platform/contacts/"+biaUUID+"/events"+query, "") }
		first := list("?event_type=CONVERSION")
		if first.count("") != 10 || first.at("0.event_identifier") != "c0" || first.at("0.event_timestamp") != "1999-12-31T21:00:00.000-03:00" {
			t.Error(first.text)
		}
		for query, want := range map[string]string{"&page=2": "c10", "&order=created_at:desc": "c11", "&order=created_at&direction=desc": "c11", "&order=created_at:asc": "c0"} {
			if r := list("?event_type=CONVERSION" + query); r.at("0.event_identifier") != want {
				t.Errorf("%s: %s", query, r.text)
			}
		}
		list("?event_type=CONVERSION&page=3").want(t, 200, `[]`)
		list("?event_type=OPPORTUNITY").want(t, 200, `[]`)
		list("").wantStatus(t, 400)
		list("?event_type=SALE").wantStatus(t, 400)
		list("?event_type=CONVERSION&page=x").wantStatus(t, 400)
		c.call("GET", "/platform/contacts/email:no@exemplo.com.br/events?event_type=CONVERSION", "").want(t, 404, leadNotFound)
	})
}

func TestF26Funnel(t *testing.T) {
	hooks := &receiver{}
	c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
	c.subscribe("WEBHOOK.MARKED_OPPORTUNITY", "").wantStatus(t, 201)
	path := byEmail + "/funnels/default"
	c.call("GET", path, "").want(t, 200, `{"lifecycle_stage":"Lead","opportunity":false,"contact_owner_email":null,"fit":40,"interest":120}`)
	c.call("PUT", path, `{"opportunity":true,"contact_owner_email":"vendas@exemplo.com.br"}`).contains(t, 200, "", `{"opportunity":true,"contact_owner_email":"vendas@exemplo.com.br"}`)
	for _, clear := range []string{`null`, `"null"`} {
		c.call("PUT", path, `{"contact_owner_email":"caio@exemplo.com.br"}`).contains(t, 200, "", `{"contact_owner_email":"caio@exemplo.com.br"}`)
		c.call("PUT", path, `{"contact_owner_email":`+clear+`}`).contains(t, 200, "", `{"contact_owner_email":null,"opportunity":true}`)
	}
	c.call("PUT", path, `{"lifecycle_stage":"lead"}`).contains(t, 400, "errors.lifecycle_stage.0", `{"error_type":"INCLUSION"}`)
	c.call("PUT", path, `{"opportunity":"yes"}`).contains(t, 400, "errors.opportunity.0", `{"error_type":"MUST_BE_BOOLEAN"}`)
	c.call("PUT", path, `{"contact_owner_email":"nonsense"}`).want(t, 400, fieldError("contact_owner_email", "INVALID_EMAIL_FORMAT", "contact_owner_email has an invalid format"))
	c.call("PUT", path, `{"contact_owner_email":"fora@exemplo.com.br"}`).contains(t, 400, "errors.contact_owner_email.0", `{"error_type":"INVALID_USER"}`)
	c.call("PUT", "/platform/contacts/email:no@exemplo.com.br/funnels/default", `{}`).want(t, 404, leadNotFound)
	c.account.Wait()
	if got := hooks.requests(); len(got) != 1 || got[0].at("event_identifier") != "default" {
		t.Errorf("%d deliveries", len(got))
	}

	quiet := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport(), Quirks: rdstationtest.Quirks{QuietAPIMarks: true, FunnelNotFound: true}})
	quiet.subscribe("WEBHOOK.MARKED_OPPORTUNITY", "").wantStatus(t, 201)
	quiet.call("GET", path, "").want(t, 404, leadNotFound)
	quiet.call("PUT", path, `{"opportunity":true}`).wantStatus(t, 200)
	quiet.account.Wait()
	if len(hooks.requests()) != 1 {
		t.Error("a quiet mark was told")
	}
}

func TestF27Fields(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	body := func(identifier, dataType, presentation string) string {
		return `{"api_identifier":"` + identifier + `","data_type":"` + dataType + `","presentation_type":"` + presentation + `","name":{"pt-BR":"Porte"},"label":{"pt-BR":"Porte"}}`
	}
	const path = "/platform/contacts/fields"
	if r := c.call("GET", path+"/", ""); r.count("fields") != 17+3 || r.at("fields.0.api_identifier") != "email" || r.at("fields.0.custom_field") != false {
		t.Error(r.text)
	}
	created := c.call("POST", path, body("cf_porte", "STRING", "TEXT_INPUT"))
	created.contains(t, 201, "", `{"uuid":"<ANY>","api_identifier":"cf_porte","custom_field":true,"data_type":"STRING","presentation_type":"TEXT_INPUT","label":{"pt-BR":"Porte","default":"Porte"},"validation_rules":{}}`)
	c.call("POST", path, body("cf_porte", "STRING", "TEXT_INPUT")).want(t, 400, fieldError("api_identifier", "TAKEN", "Already in use"))
	c.call("POST", path, body("porte", "STRING", "TEXT_INPUT")).contains(t, 400, "errors.api_identifier.0", `{"error_type":"INVALID"}`)
	c.call("POST", path, body("cf_x", "STRING", "MULTIPLE_CHOICE")).want(t, 400, fieldError("data_type", "INCLUSION", "invalid options, the valid options are: [STRING[]]"))
	c.call("POST", path, body("cf_"+strings.Repeat("x", 64), "STRING", "TEXT_INPUT")).contains(t, 400, "errors.api_identifier.0", `{"error_type":"TOO_LONG"}`)
	c.call("POST", path, strings.Replace(body("cf_y", "STRING", "TEXT_INPUT"), `"label":{"pt-BR":"Porte"}`, `"label":{"pt-BR":""}`, 1)).
		want(t, 400, `{"errors":{"label":{"pt-BR":[{"error_type":"CANNOT_BE_BLANK","error_message":"Can not be blank"}]}}}`)
	c.call("POST", path, strings.Replace(body("cf_porte", "STRING", "TEXT_INPUT"), `"label":{"pt-BR":"Porte"}`, `"label":{"pt-BR":""}`, 1)).
		want(t, 400, `{"errors":{"label":{"pt-BR":[{"error_type":"CANNOT_BE_BLANK","error_message":"Can not be blank"}]},"api_identifier":[{"error_type":"TAKEN","error_message":"Already in use"}]}}`)
	c.call("POST", path, strings.Replace(body("cf_z", "STRING", "TEXT_INPUT"), `"name":{"pt-BR":"Porte"}`, `"name":{"pt-BR":"Tags"}`, 1)).want(t, 400, fieldError("name", "EXCLUSION", "invalid options"))
	c.call("POST", path, `{}`).contains(t, 400, "errors", `{"api_identifier":"<ANY>","data_type":"<ANY>","presentation_type":"<ANY>","name":"<ANY>","label":"<ANY>"}`)

	standard := c.call("GET", path, "").at("fields.0.uuid").(string)
	c.call("PATCH", path+"/"+standard, body("email", "STRING", "TEXT_INPUT")).wantStatus(t, 400)
	c.call("DELETE", path+"/"+standard, "").wantStatus(t, 400)
	uuid := created.at("uuid").(string)
	c.call("PATCH", path+"/"+uuid, strings.Replace(body("", "STRING", "TEXT_AREA"), `"api_identifier":"",`, "", 1)).contains(t, 200, "", `{"presentation_type":"TEXT_AREA","api_identifier":"cf_porte"}`)
	c.call("PATCH", path+"/"+uuid, body("cf_other", "STRING", "TEXT_AREA")).contains(t, 400, "errors", `{"api_identifier":"<ANY>"}`)
	c.call("PATCH", byEmail, `{"cf_porte":"grande"}`).contains(t, 200, "", `{"cf_porte":"grande"}`)
	c.call("DELETE", path+"/"+uuid, "").wantStatus(t, 204)
	c.call("DELETE", path+"/"+uuid, "").wantStatus(t, 404)
	if r := c.call("GET", byEmail, ""); r.has("cf_porte") {
		t.Error("a deleted field is shown")
	}
	c.call("PATCH", byEmail, `{"cf_porte":"grande"}`).wantStatus(t, 400)
}

func TestF28Segmentations(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	id := c.account.PutSegmentation("Padarias", func(contact map[string]any) bool { return contact["cf_segmento"] == "padaria" })
	r := c.call("GET", "/platform/segmentations", "")
	names := []string{"Todos os contatos da base de Leads", "Leads (estágio no funil)", "Leads Qualificados (estágio no funil)", "Clientes (estágio no funil)", "Oportunidades"}
	for i, name := range names {
		r.contains(t, 200, fmt.Sprint("segmentations.", i), fmt.Sprintf(`{"id":%d,"name":"%s","standard":true,"process_status":"processed"}`, i+1, name))
	}
	r.contains(t, 200, "segmentations.5", fmt.Sprintf(`{"id":%d,"name":"Padarias","standard":null}`, id))
	r.contains(t, 200, "segmentations.0.links.0", `{"rel":"SEGMENTATIONS.CONTACTS","href":"https://api.rd.services/platform/segmentations/1/contacts"}`)
	if r := c.call("GET", "/platform/segmentations?search=a", ""); r.count("segmentations") != 1 {
		t.Error(r.text)
	}
	c.account.PutContact(map[string]any{"email": "x@exemplo.com.br"})
	if r := c.call("GET", fmt.Sprintf("/platform/segmentations/%d/contacts", id), ""); r.count("contacts") != 1 || r.at("contacts.0.uuid") != biaUUID {
		t.Error(r.text)
	}
	c.call("GET", "/platform/segmentations/99/contacts", "").wantStatus(t, 404)
}

func TestF29SegmentPages(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	for i := range 130 {
		c.account.PutContact(map[string]any{"email": fmt.Sprintf("c%03d@exemplo.com.br", i)})
	}
	for query, want := range map[string]struct {
		rows       int
		size, page string
	}{"": {25, "25", "1"}, "?page=6": {5, "25", "6"}, "?page_size=125": {125, "125", "1"}, "?page_size=125&page=2": {5, "125", "2"}, "?page=99": {0, "25", "99"}} {
		r := c.call("GET", "/platform/segmentations/1/contacts"+query, "").wantStatus(t, 200)
		if r.count("contacts") != want.rows || r.header.Get("pagination-total-rows") != "130" || r.header.Get("pagination-page-size") != want.size || r.header.Get("pagination-page") != want.page {
			t.Errorf("%q: %d rows, %v", query, r.count("contacts"), r.header)
		}
	}
	c.call("GET", "/platform/segmentations/1/contacts?page=99", "").want(t, 200, `{"contacts":[]}`)
	for _, query := range []string{"?page_size=126", "?page=0", "?page_size=x"} {
		c.call("GET", "/platform/segmentations/1/contacts"+query, "").wantStatus(t, 400)
		c.call("GET", "/platform/segmentations"+query, "").wantStatus(t, 400)
	}
}

func TestF30Order(t *testing.T) {
	emails := func(r reply) string {
		found := []string{}
		for i := range r.count("contacts") {
			found = append(found, strings.TrimSuffix(r.at(fmt.Sprintf("contacts.%d.email", i)).(string), "@exemplo.com.br"))
		}
		return strings.Join(found, " ")
	}
	seed := func(quirks rdstationtest.Quirks) *client {
		c := newClient(t, rdstationtest.Options{Quirks: quirks})
		for i, name := range []string{"b", "c", "a"} {
			c.account.PutContact(map[string]any{"email": name + "@exemplo.com.br", "last_conversion_date": time.Date(2025, 1, []int{2, 3, 1}[i], 0, 0, 0, 0, time.UTC)})
		}
		c.account.PutContact(map[string]any{"email": "never@exemplo.com.br"})
		return c
	}
	c := seed(rdstationtest.Quirks{})
	for order, want := range map[string]string{"last_conversion_date:asc": "a b c never", "last_conversion_date": "a b c never", "last_conversion_date:desc": "c b a never", "": "b c a never"} {
		if got := emails(c.call("GET", "/platform/segmentations/1/contacts?order="+order, "")); got != want {
			t.Errorf("%q: %s, want %s", order, got, want)
		}
	}
	c.call("GET", "/platform/segmentations/1/contacts?order=name:desc", "").wantStatus(t, 400)
	c.convert("x")
	if got := emails(c.call("GET", "/platform/segmentations/1/contacts?order=last_conversion_date:desc", "")); got != "bia c b a never" {
		t.Error(got)
	}
	lax := seed(rdstationtest.Quirks{IgnoreUnknownOrder: true, NullsFirst: true})
	lax.call("GET", "/platform/segmentations/1/contacts?order=name:desc", "").wantStatus(t, 200)
	if got := emails(lax.call("GET", "/platform/segmentations/1/contacts?order=last_conversion_date:desc", "")); got != "never c b a" {
		t.Error(got)
	}
}

func TestF31Membership(t *testing.T) {
	in := func(c *client, ids ...int) {
		t.Helper()
		for id := 1; id <= 5; id++ {
			want := 0
			if slices.Contains(ids, id) {
				want = 1
			}
			if got := c.call("GET", fmt.Sprintf("/platform/segmentations/%d/contacts", id), "").count("contacts"); got != want {
				t.Errorf("segmentation %d has %d contacts, want %d", id, got, want)
			}
		}
	}
	c := sheet(t, rdstationtest.Options{})
	in(c, 1, 2)
	c.call("PUT", byEmail+"/funnels/default", `{"lifecycle_stage":"Qualified Lead","opportunity":true}`)
	in(c, 1, 3, 5)
	c.call("PUT", byEmail+"/funnels/default", `{"lifecycle_stage":"Client","opportunity":false}`)
	in(c, 1, 4)

	late := sheet(t, rdstationtest.Options{SegmentDelay: time.Minute})
	late.call("PUT", byEmail+"/funnels/default", `{"lifecycle_stage":"Client","opportunity":true}`)
	in(late, 1, 2)
	late.account.Advance(time.Minute)
	in(late, 1, 4, 5)
}

func TestContactListQuirk(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("GET", "/platform/contacts", "").wantStatus(t, 404)
	c := sheet(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{ContactList: true}})
	if r := c.call("GET", "/platform/contacts?page=1&page_size=10", ""); r.count("contacts") != 1 {
		t.Error(r.text)
	}
}

func event(kind, payload string) string {
	return `{"event_type":"` + kind + `","event_family":"CDP","payload":` + payload + `}`
}

func TestF32ProcessingDelay(t *testing.T) {
	conversion := event("CONVERSION", `{"conversion_identifier":"x","email":"novo@exemplo.com.br","name":"Novo"}`)
	c := newClient(t, rdstationtest.Options{})
	c.call("POST", "/platform/events", conversion).want(t, 200, `{"event_uuid":"<ANY>"}`)
	c.call("GET", "/platform/contacts/email:novo@exemplo.com.br", "").contains(t, 200, "", `{"name":"Novo"}`)

	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, rdstationtest.Options{ProcessingDelay: time.Minute})
		c.call("POST", "/platform/events", conversion).wantStatus(t, 200)
		time.Sleep(59 * time.Second)
		c.call("GET", "/platform/contacts/email:novo@exemplo.com.br", "").want(t, 404, leadNotFound)
		time.Sleep(time.Second)
		synctest.Wait()
		c.call("GET", "/platform/contacts/email:novo@exemplo.com.br", "").wantStatus(t, 200)
	})
}

func TestF33UnknownKeysAreDropped(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	c.call("POST", "/platform/events", event("CONVERSION", `{"conversion_identifier":"x","email":"`+bia+`","nonsense":"a","cf_nonsense":"b","cf_segmento":"hotel","tags":["novo","b2b"],"available_for_mailing":false}`)).wantStatus(t, 200)
	r := c.call("GET", byEmail, "")
	r.contains(t, 200, "", `{"cf_segmento":"hotel","tags":["b2b","forno","novo"]}`)
	if r.has("nonsense") || r.has("cf_nonsense") || r.has("available_for_mailing") {
		t.Error(r.text)
	}
	c.call("GET", byEmail+"/events?event_type=CONVERSION", "").contains(t, 200, "0.payload", `{"email":"bia@exemplo.com.br","cf_segmento":"hotel"}`)
}

func TestF34UnknownTypes(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	wrapped := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{WrappedEventErrors: true}})
	const want = `{"error_type":"INVALID_OPTION","error_message":"Must be one of the valid options.","path":"$.event_type"}`
	for _, kind := range []string{"CONVERTED", "ORDER_PLACED", "ORDER_PLACED_ITEM", "CART_ABANDONED", "CART_ABANDONED_ITEM", "EMAIL_OPENED"} {
		c.call("POST", "/platform/events", event(kind, `{"email":"a@b.co"}`)).contains(t, 400, "0", want)
		wrapped.call("POST", "/platform/events", event(kind, `{"email":"a@b.co"}`)).contains(t, 400, "errors.0", want)
	}
}

func TestF35QualificationOfStrangers(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	for _, kind := range []string{"OPPORTUNITY", "SALE", "OPPORTUNITY_LOST"} {
		c.call("POST", "/platform/events", event(kind, `{"email":"no@exemplo.com.br","funnel_name":"default"}`)).want(t, 200, `{"event_uuid":"<ANY>"}`)
	}
	c.call("GET", "/platform/contacts/email:no@exemplo.com.br", "").want(t, 404, leadNotFound)
	c.call("POST", "/platform/events", event("OPPORTUNITY", `{"email":"`+bia+`","funnel_name":"default"}`)).wantStatus(t, 200)
	c.call("GET", byEmail+"/funnels/default", "").contains(t, 200, "", `{"opportunity":true}`)
	c.call("POST", "/platform/events", event("OPPORTUNITY_LOST", `{"email":"`+bia+`","funnel_name":"default","reason":"preço"}`)).wantStatus(t, 200)
	c.call("GET", byEmail+"/funnels/default", "").contains(t, 200, "", `{"opportunity":false}`)
	c.call("POST", "/platform/events", event("OPPORTUNITY", `{"email":"`+bia+`","funnel_name":"other"}`)).contains(t, 400, "errors.0", `{"error_type":"INVALID_OPTION","path":"$.payload.funnel_name"}`)
	if r := c.call("GET", byEmail+"/events?event_type=OPPORTUNITY", ""); r.count("") != 1 || r.at("0.event_identifier") != "default" {
		t.Error(r.text)
	}
}

func TestF36RepeatedConversions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := &receiver{}
		c := sheet(t, rdstationtest.Options{WebhookTransport: hooks.transport()})
		c.subscribe("WEBHOOK.CONVERTED", "").wantStatus(t, 201)
		dates := []any{}
		for range 2 {
			c.convert("orcamento")
			dates = append(dates, c.call("GET", "/platform/segmentations/1/contacts", "").at("contacts.0.last_conversion_date"))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if r := c.call("GET", byEmail+"/events?event_type=CONVERSION", ""); r.count("") != 2 {
			t.Error(r.text)
		}
		if dates[0] == dates[1] || len(hooks.requests()) != 2 {
			t.Errorf("dates %v, %d deliveries", dates, len(hooks.requests()))
		}
	})
}

func TestF37Batch(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	conversion := func(n int) string {
		return event("CONVERSION", fmt.Sprintf(`{"conversion_identifier":"b%d","email":"`+bia+`"}`, n))
	}
	r := c.call("POST", "/platform/events/batch", "["+conversion(1)+","+event("SALE", `{"email":"`+bia+`","funnel_name":"default","value":1}`)+","+conversion(2)+"]")
	r.want(t, 200, `{"event_batch_uuid":"<ANY>","events":[{"event_uuid":"<ANY>"},{"event_uuid":"<ANY>"},{"event_uuid":"<ANY>"}]}`)
	c.call("POST", "/platform/events/batch", "["+conversion(3)+","+event("CONVERSION", `{"email":"`+bia+`"}`)+"]").
		want(t, 400, `{"errors":[{"error_type":"CANNOT_BE_NULL","error_message":"Cannot be null.","path":"$[1].payload.conversion_identifier"}]}`)
	if r := c.call("GET", byEmail+"/events?event_type=CONVERSION", ""); r.count("") != 2 || r.at("1.event_identifier") != "b2" {
		t.Errorf("a refused batch had an effect: %s", r.text)
	}
	c.call("POST", "/platform/events/batch", `{}`).wantStatus(t, 400)
	c.call("POST", "/platform/events/batch", `[]`).wantStatus(t, 400)
	large := "[" + strings.Repeat(conversion(4)+",", 2000) + conversion(5) + "]"
	c.call("POST", "/platform/events/batch", large).wantStatus(t, 413)
	lax := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{LargeEvents400: true}})
	lax.call("POST", "/platform/events/batch", large).wantStatus(t, 400)
	if events := c.account.Stats().Events; events != 3 {
		t.Errorf("%d events", events)
	}
}

func TestF38ConversionsByKey(t *testing.T) {
	c := sheet(t, rdstationtest.Options{APIKeys: []rdstationtest.APIKey{{Key: "good"}, {Key: "off", Inactive: true}, {Key: "crm", OfCRM: true}}})
	conversion := event("CONVERSION", `{"conversion_identifier":"x","email":"k@exemplo.com.br"}`)
	for key, status := range map[string]int{"good": 200, "off": 401, "": 401, "unknown": 401, "crm": 400} {
		r := c.json("/platform/conversions?api_key="+key, conversion).wantStatus(t, status)
		if r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("key %q: no CORS", key)
		}
	}
	c.json("/platform/conversions?api_key=crm", conversion).contains(t, 400, "errors.0", `{"error_type":"UNABLE_TO_LOAD_CDP_SCHEMA"}`)
	c.json("/platform/conversions?api_key=good", event("SALE", `{"email":"k@exemplo.com.br","funnel_name":"default"}`)).wantStatus(t, 400)
	c.call("GET", "/platform/contacts/email:k@exemplo.com.br", "").wantStatus(t, 200)
	if r := c.send("OPTIONS", c.account.APIURL()+"/platform/conversions", ""); r.status != 204 || r.header.Get("Access-Control-Allow-Methods") == "" {
		t.Errorf("%d %v", r.status, r.header)
	}
	if r := c.call("POST", "/platform/events", conversion); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS elsewhere")
	}
}

func TestEventTypes(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	order := `"email":"` + bia + `","identifier":"o1","currency":"BRL","price":10.5,"total_items":1`
	good := map[string]string{
		"CHAT_STARTED": `{"email":"` + bia + `","chat_subject":"a","cf_chat_status":"open"}`, "CHAT_FINISHED": `{"email":"` + bia + `","chat_subject":"a","cf_chat_status":"open","cf_chat_transcript_message":"b"}`,
		"CALL_FINISHED":          `{"email":"` + bia + `","call_from_number":"+55","call_status":"ANSWERED"}`,
		"MEDIA_PLAYBACK_STARTED": `{"email":"` + bia + `","media_type":"video","media_identifier":"v"}`, "MEDIA_PLAYBACK_STOPPED": `{"email":"` + bia + `","media_type":"video","media_identifier":"v"}`,
		"ECOMMERCE_CHECKOUT_STARTED": `{` + order + `,"checkout_url":"https://x"}`, "ECOMMERCE_CART_ABANDONED": `{` + order + `,"checkout_url":"https://x"}`,
		"ECOMMERCE_ORDER_PLACED": `{` + order + `}`, "ECOMMERCE_ORDER_PAID": `{` + order + `}`, "ECOMMERCE_ORDER_CANCELLED": `{"email":"` + bia + `","identifier":"o","cancel_reason":"fraud"}`,
		"ECOMMERCE_ORDER_REFUNDED": `{"email":"` + bia + `","identifier":"o"}`, "ECOMMERCE_ORDER_FULFILLED": `{"email":"` + bia + `","identifier":"o"}`,
		"ECOMMERCE_SHIPMENT_DELIVERED": `{"email":"` + bia + `","identifier":"o","order_identifier":"p"}`,
	}
	for kind, payload := range good {
		c.call("POST", "/platform/events?event_type="+strings.ToLower(kind), event(kind, payload)).want(t, 200, `{"event_uuid":"<ANY>"}`)
		c.call("POST", "/platform/events", event(kind, `{}`)).contains(t, 400, "errors.0", `{"error_type":"CANNOT_BE_NULL","path":"$.payload.email"}`)
	}
	line := func(fields string) string { return `{` + order + `,"line_items":[{` + fields + `}]}` }
	bad := map[string][2]string{
		"currency":                 {"ECOMMERCE_ORDER_PAID", strings.Replace(`{`+order+`}`, "BRL", "XXX", 1)},
		"price":                    {"ECOMMERCE_ORDER_PAID", strings.Replace(`{`+order+`}`, "10.5", `"10"`, 1)},
		"total_items":              {"ECOMMERCE_CART_ABANDONED", strings.Replace(`{`+order+`,"checkout_url":"x"}`, `"total_items":1`, `"total_items":0`, 1)},
		"line_items[0].quantity":   {"ECOMMERCE_ORDER_PAID", line(`"product_id":"a","product_title":"b","price":1,"quantity":0`)},
		"line_items[0].product_id": {"ECOMMERCE_ORDER_PAID", line(`"product_title":"b","price":1,"quantity":1`)},
		"line_items":               {"ECOMMERCE_ORDER_PAID", `{` + order + `,"line_items":[` + strings.Repeat(`{},`, 20) + `{}]}`},
		"payment_methods":          {"ECOMMERCE_ORDER_PAID", `{` + order + `,"payment_methods":[1,2,3,4,5,6]}`},
		"cancel_reason":            {"ECOMMERCE_ORDER_CANCELLED", `{"email":"` + bia + `","identifier":"o","cancel_reason":"mood"}`},
		"value":                    {"SALE", `{"email":"` + bia + `","funnel_name":"default","value":"1"}`},
		"email":                    {"SALE", `{"email":"nonsense","funnel_name":"default"}`},
		"name":                     {"CONVERSION", `{"email":"` + bia + `","conversion_identifier":"a","name":1}`},
		"legal_bases":              {"CONVERSION", `{"email":"` + bia + `","conversion_identifier":"a","legal_bases":[{"type":"x"}]}`},
		"available_for_mailing":    {"CONVERSION", `{"email":"` + bia + `","conversion_identifier":"a","available_for_mailing":"true"}`},
	}
	for key, b := range bad {
		c.call("POST", "/platform/events", event(b[0], b[1])).contains(t, 400, "errors.0", `{"path":"$.payload.`+key+`"}`)
	}
	for body, path := range map[string]string{`{}`: "$.event_type", `{"event_type":"SALE"}`: "$.event_family", `{"event_type":"SALE","event_family":"X"}`: "$.event_family",
		`{"event_type":"SALE","event_family":"CDP"}`: "$.payload", `{"event_type":"SALE","event_family":"CDP","payload":[]}`: "$.payload"} {
		c.call("POST", "/platform/events", body).contains(t, 400, "errors.0", `{"path":"`+path+`"}`)
	}
	c.call("POST", "/platform/events", `[]`).wantStatus(t, 400)
	phone := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{PhoneInEvents: true}})
	phone.call("POST", "/platform/events", event("CONVERSION", `{"conversion_identifier":"a","phone":"+5581999990000"}`)).wantStatus(t, 200)
	phone.call("GET", "/platform/contacts/phone:+5581999990000", "").wantStatus(t, 200)
}

// The contact of T12, and what T15 changes of it.
func biaBody(jobTitle, tags string) string {
	base := "https://api.rd.services/platform/contacts/"
	return `{"uuid":"` + biaUUID + `","name":"Bia Nunes","email":"` + bia + `","job_title":"` + jobTitle + `","personal_phone":"+55 81 3030-1010","city":"Recife","state":"PE","country":"Brasil",
		"tags":` + tags + `,"extra_emails":[],"cf_segmento":"padaria","cf_numero_de_lojas":4,"cf_interesses":["fornos","batedeiras"],"legal_bases":[{"category":"communications","type":"consent","status":"granted"}],
		"links":[{"rel":"SELF","href":"` + base + `uuid:` + biaUUID + `","media":"application/json","type":"GET"},{"rel":"SELF","href":"` + base + `email:` + bia + `","media":"application/json","type":"GET"},
		{"rel":"CONTACT.DELETE","href":"` + base + `uuid:` + biaUUID + `","media":"application/json","type":"DELETE"},{"rel":"CONTACT.FUNNEL","href":"` + base + biaUUID + `/funnels/{funnel_name}","media":"application/json","type":"GET"},
		{"rel":"CONTACTS.EVENTS","href":"` + base + biaUUID + `/events?event_type={event_type}","media":"application/json","type":"GET"}]}`
}

func TestT12GetByEmail(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("GET", byEmail, "").want(t, 200, biaBody("Compras", `["b2b","forno"]`))
}

func TestT13Absent(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("GET", "/platform/contacts/email:ninguem@exemplo.com.br", "").want(t, 404, leadNotFound)
}

func TestT14CreateDuplicate(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("POST", "/platform/contacts", `{"email":"bia@exemplo.com.br","name":"Bia"}`).want(t, 400, flatError("EMAIL_ALREADY_IN_USE", "email already in use"))
}

func TestT15Upsert(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("PATCH", byEmail, `{"job_title":"Diretora","tags":["cliente-ativo"]}`).want(t, 200, biaBody("Diretora", `["cliente-ativo"]`))
}

func TestT16IdentifierInBody(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("PATCH", byEmail, `{"email":"bia@exemplo.com.br","name":"Bia"}`).want(t, 400, flatError("CONFLICTING_FIELD", "The payload contains an attribute that was used to identify the lead"))
}

func TestT17UnknownAttribute(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("PATCH", byUUID, `{"cf_nao_existe":"x"}`).want(t, 400, flatError("INVALID_FIELDS", "Payload contains fields that do not exist: (cf_nao_existe)"))
}

func TestT18ReadOnlyAttribute(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("PATCH", byUUID, `{"available_for_mailing":false}`).want(t, 400, flatError("INVALID_FIELDS", "Payload contains fields that cannot be modified: (available_for_mailing)"))
}

func TestT19WrongType(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("PATCH", byUUID, `{"name":12}`).want(t, 422, fieldError("name", "MUST_BE_STRING", "Name must be string."))
}

func TestT20UpperCaseTag(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("POST", byEmail+"/tag", `{"tags":["VIP"]}`).want(t, 400, fieldError("tags", "VALUES_MUST_BE_LOWERCASE", "must not contain capital letters"))
}

func TestT21TagPresent(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("POST", byEmail+"/tag", `{"tags":["b2b"]}`).want(t, 400, fieldError("tags", "VALUES_MUST_BE_UNIQUE", "must not contain duplicate values"))
}

func TestT24FunnelUpdate(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("PUT", byEmail+"/funnels/default", `{"lifecycle_stage":"Qualified Lead","opportunity":true,"contact_owner_email":"vendas@exemplo.com.br"}`).
		want(t, 200, `{"lifecycle_stage":"Qualified Lead","opportunity":true,"contact_owner_email":"vendas@exemplo.com.br","fit":40,"interest":120}`)
}

func TestT25UnknownOwner(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("PUT", byEmail+"/funnels/default", `{"contact_owner_email":"fora@exemplo.com.br"}`).
		want(t, 400, fieldError("contact_owner_email", "INVALID_USER", "The user fora@exemplo.com.br was not found in your account."))
}

func TestT26AllContacts(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	c.account.PutContact(map[string]any{"uuid": biaUUID, "last_conversion_date": instant(t, "2025-10-02T08:15:30.120-03:00")})
	r := c.call("GET", "/platform/segmentations/1/contacts?page=1&page_size=125&order=last_conversion_date:desc", "")
	r.want(t, 200, `{"contacts":[{"uuid":"`+biaUUID+`","name":"Bia Nunes","email":"`+bia+`","last_conversion_date":"2025-10-02T08:15:30.120-03:00","created_at":"2024-05-06T10:00:00.000-03:00",
		"links":[{"rel":"SELF","href":"https://api.rd.services/platform/contacts/`+biaUUID+`","media":"application/json","type":"GET"}]}]}`)
	for key, want := range map[string]string{"pagination-total-rows": "1", "pagination-page-size": "125", "pagination-page": "1"} {
		if got := r.header.Get(key); got != want {
			t.Errorf("%s is %q", key, got)
		}
	}
}

func TestT27ConversionHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sheet(t, rdstationtest.Options{})
		c.account.Convert(bia, "orcamento", map[string]any{"name": "Bia Nunes", "cf_segmento": "padaria"})
		c.call("GET", "/platform/contacts/"+biaUUID+"/events?event_type=CONVERSION&order=created_at:desc&page=1", "").
			want(t, 200, `[{"event_type":"CONVERSION","event_family":"CDP","event_identifier":"orcamento","event_timestamp":"1999-12-31T21:00:00.000-03:00","payload":{"email":"`+bia+`","name":"Bia Nunes","cf_segmento":"padaria"}}]`)
	})
}

func TestT28MultipleChoice(t *testing.T) {
	newClient(t, rdstationtest.Options{}).call("POST", "/platform/contacts/fields", `{"api_identifier":"cf_interesses","data_type":"STRING","presentation_type":"MULTIPLE_CHOICE","name":{"pt-BR":"Interesses"},"label":{"pt-BR":"Interesses"},"validation_rules":{"valid_options":[{"value":"fornos","label":{"pt-BR":"Fornos"}}]}}`).
		want(t, 400, fieldError("data_type", "INCLUSION", "invalid options, the valid options are: [STRING[]]"))
}

const accepted = `{"event_uuid":"<ANY>"}`

func TestT29Conversion(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("POST", "/platform/events?event_type=conversion", `{"event_type":"CONVERSION","event_family":"CDP","payload":{"conversion_identifier":"orcamento","email":"bia@exemplo.com.br","name":"Bia Nunes","company_name":"Padaria Aurora","tags":["forno"],"available_for_mailing":true,"legal_bases":[{"category":"communications","type":"consent","status":"granted"}],"cf_segmento":"padaria"}}`).want(t, 200, accepted)
}

func TestT30TagsAsString(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("POST", "/platform/events?event_type=conversion", event("CONVERSION", `{"conversion_identifier":"orcamento","email":"bia@exemplo.com.br","tags":"forno"}`)).
		want(t, 400, `{"errors":[{"error_type":"INVALID_DATA_TYPE","error_message":"Must be of type 'SET'.","validation_rules":{"data_type":"SET"},"path":"$.payload.tags"}]}`)
}

func TestT31UnknownType(t *testing.T) {
	r := sheet(t, rdstationtest.Options{}).call("POST", "/platform/events", event("CONVERTED", `{"email":"bia@exemplo.com.br"}`))
	r.want(t, 400, `[{"error_type":"INVALID_OPTION","error_message":"Must be one of the valid options.","validation_rules":{"valid_options":"<ANY>"},"path":"$.event_type"}]`)
	for i, want := range []string{"CONVERSION", "OPPORTUNITY", "SALE", "OPPORTUNITY_LOST"} {
		if got := r.at(fmt.Sprint("0.validation_rules.valid_options.", i)); got != want {
			t.Errorf("option %d is %v", i, got)
		}
	}
}

func TestT32Sale(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("POST", "/platform/events?event_type=sale", event("SALE", `{"email":"bia@exemplo.com.br","funnel_name":"default","value":1890.5}`)).want(t, 200, accepted)
}

func TestT33Batch(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("POST", "/platform/events/batch", "["+event("CONVERSION", `{"conversion_identifier":"orcamento","email":"bia@exemplo.com.br"}`)+","+event("OPPORTUNITY", `{"email":"bia@exemplo.com.br","funnel_name":"default"}`)+"]").
		want(t, 200, `{"event_batch_uuid":"<ANY>","events":[`+accepted+`,`+accepted+`]}`)
}

func TestT34KeyOfCRM(t *testing.T) {
	c := newClient(t, rdstationtest.Options{APIKeys: []rdstationtest.APIKey{{Key: "K", OfCRM: true}}})
	c.json("/platform/conversions?api_key=K", event("CONVERSION", `{"conversion_identifier":"orcamento","email":"bia@exemplo.com.br"}`)).
		want(t, 400, `{"errors":[{"error_type":"UNABLE_TO_LOAD_CDP_SCHEMA","error_message":"Unable to load schema for tenant_id '575000000000000001'"}]}`)
}

func TestT35Checkout(t *testing.T) {
	sheet(t, rdstationtest.Options{}).call("POST", "/platform/events?event_type=ECOMMERCE_CHECKOUT_STARTED", event("ECOMMERCE_CHECKOUT_STARTED", `{"email":"bia@exemplo.com.br","identifier":"chk-981","checkout_url":"https://loja.exemplo.com.br/c/981","currency":"BRL","price":349.9,"total_items":2,"line_items":[{"product_id":"F-10","product_title":"Forma 10","price":174.95,"quantity":2,"sku":"F10"}]}`)).want(t, 200, accepted)
}

func analyticsAccount(t *testing.T, options rdstationtest.Options) *client {
	c := sheet(t, options)
	c.account.Advance(time.Date(2100, 1, 2, 0, 0, 0, 0, time.UTC).Sub(c.account.Now()))
	c.bearer = c.account.Authorize("cid").AccessToken
	c.account.PutAnalytics(rdstationtest.ConversionReport, instant(t, "2025-10-01T00:00:00Z"), map[string]any{"asset_id": 881, "asset_identifier": "orcamento", "assets_type": "LandingPage",
		"asset_created_at": "2024-02-01T12:00:00.000Z", "asset_updated_at": "2025-09-30T12:00:00.000Z", "visits_count": 40, "conversion_count": 3, "conversion_rate": 7.5})
	c.account.PutAnalytics(rdstationtest.ConversionReport, instant(t, "2025-10-02T00:00:00Z"), map[string]any{"asset_id": 882, "asset_identifier": "popup", "assets_type": "Popup", "visits_count": 1})
	return c
}

func TestT36AnalyticsOfConversions(t *testing.T) {
	analyticsAccount(t, rdstationtest.Options{}).call("GET", "/platform/analytics/conversions?start_date=2025-10-01&end_date=2025-10-01&assets_type[]=LandingPage", "").
		want(t, 200, `{"account_id":3127000,"query_date":{"start_date":"2025-10-01","end_date":"2025-10-01"},"assets_type":["LandingPage"],"conversions":[{"asset_id":881,"asset_identifier":"orcamento","assets_type":"LandingPage",
		"asset_created_at":"2024-02-01T12:00:00.000Z","asset_updated_at":"2025-09-30T12:00:00.000Z","visits_count":40,"conversion_count":3,"conversion_rate":7.5}]}`)
}

func TestF57Analytics(t *testing.T) {
	const period = "?start_date=2025-10-01&end_date=2025-10-31"
	for plan, allowed := range map[rdstationtest.Plan]string{rdstationtest.Light: "", rdstationtest.Basic: "", rdstationtest.Pro: "emails workflow_emails conversions", rdstationtest.Advanced: "emails workflow_emails conversions funnel"} {
		c := newClient(t, rdstationtest.Options{Plan: plan})
		yesterday := c.account.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
		for _, report := range []string{"emails", "workflow_emails", "conversions", "funnel"} {
			r := c.call("GET", "/platform/analytics/"+report+"?start_date="+yesterday+"&end_date="+yesterday, "")
			if slices.Contains(strings.Fields(allowed), report) {
				r.wantStatus(t, 200)
			} else {
				r.contains(t, 403, "errors", `{"error_type":"ACCOUNT_REQUIREMENT_MISSING"}`)
			}
		}
	}
	newClient(t, rdstationtest.Options{Plan: rdstationtest.Light, Quirks: rdstationtest.Quirks{AnalyticsPlan401: true}}).call("GET", "/platform/analytics/funnel"+period, "").want(t, 401, unauthorized)

	c := analyticsAccount(t, rdstationtest.Options{})
	c.call("GET", "/platform/analytics/emails", "").wantStatus(t, 400)
	c.call("GET", "/platform/analytics/emails?start_date=2025-10-02&end_date=2025-10-01", "").wantStatus(t, 400)
	if r := c.call("GET", "/platform/analytics/conversions"+period+"&asset_id[]=882", ""); r.count("conversions") != 1 || r.at("conversions.0.conversion_count") == nil {
		t.Error(r.text)
	}
	pro := newClient(t, rdstationtest.Options{Plan: rdstationtest.Pro})
	old := pro.account.Now().UTC().AddDate(0, 0, -60).Format(time.DateOnly)
	pro.call("GET", "/platform/analytics/emails?start_date="+old+"&end_date="+old, "").contains(t, 400, "errors", `{"error_type":"DATE_OUT_OF_RANGE"}`)

	docs := analyticsAccount(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{AnalyticsDocKeys: true, VisitsCountStrings: true}})
	r := docs.call("GET", "/platform/analytics/conversions"+period+"&assets_type[]=LandingPage", "")
	r.contains(t, 200, "", `{"assets_type":"[LandingPage]"}`)
	r.contains(t, 200, "conversions.0", `{"asset_type":"LandingPage","conversions_count":3,"visits_count":"40"}`)
}

func TestAnalyticsReports(t *testing.T) {
	c := sheet(t, rdstationtest.Options{})
	now := c.account.Now().UTC()
	day := func(ago int) time.Time { return now.AddDate(0, 0, -ago) }
	c.account.PutAnalytics(rdstationtest.EmailReport, day(1), map[string]any{"campaign_id": 7, "email_opened_count": 3})
	c.account.PutAnalytics(rdstationtest.EmailReport, day(1), map[string]any{"campaign_id": 8})
	c.account.PutAnalytics(rdstationtest.EmailReport, day(0), map[string]any{"campaign_id": 9})
	c.account.PutAnalytics(rdstationtest.WorkflowReport, day(1), map[string]any{"workflow_id": "w", "email_name": "a"})
	period := "?start_date=" + day(40).Format(time.DateOnly) + "&end_date=" + day(0).Format(time.DateOnly)
	if r := c.call("GET", "/platform/analytics/emails"+period, ""); r.count("emails") != 2 {
		t.Errorf("today's figures are there: %s", r.text)
	}
	c.call("GET", "/platform/analytics/emails"+period+"&campaign_id[]=7", "").contains(t, 200, "emails", `[{"campaign_id":7,"email_opened_count":3}]`)
	c.call("GET", "/platform/analytics/workflow_emails"+period+"&workflow_id[]=x", "").contains(t, 200, "workflow_email_statistics", `[]`)
	for ago := range 40 {
		c.account.PutAnalytics(rdstationtest.FunnelReport, day(ago+1), map[string]any{"reference_day": day(ago + 1).Format(time.DateOnly), "contacts_count": 1, "sales_count": 2})
	}
	for grouped, rows := range map[string]int{"daily": 40, "weekly": 6, "monthly": 2} {
		r := c.call("GET", "/platform/analytics/funnel"+period+"&grouped_by="+grouped, "")
		if n := r.count("funnel"); n < rows || n > rows+1 || r.at("grouped_by") != grouped {
			t.Errorf("%s: %d rows", grouped, n)
		}
	}
}

func TestF58Spelling(t *testing.T) {
	for _, correct := range []bool{false, true} {
		c := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{CorrectSpelling: correct}})
		c.account.PutAsset(rdstationtest.LandingPages, map[string]any{"title": "Orçamento", "conversion_identifier": "orcamento"})
		c.account.PutAsset(rdstationtest.Forms, map[string]any{"title": "Form"})
		c.account.PutAsset(rdstationtest.Popups, map[string]any{"title": "Pop"})
		c.account.PutAsset(rdstationtest.Workflows, map[string]any{"name": "Flow"})
		updated, workflows := "upated_at", "wokflows"
		if correct {
			updated, workflows = "updated_at", "workflows"
		}
		page := `{"id":"<ANY>","title":"Orçamento","created_at":"<ANY>","` + updated + `":"<ANY>","conversion_identifier":"orcamento","status":"PUBLISHED","has_active_experiment":false,"had_experiment":false}`
		c.call("GET", "/platform/landing_pages?page_size=125", "").want(t, 200, `[`+page+`]`)
		c.call("GET", "/platform/embeddables", "").contains(t, 200, "0", `{"`+updated+`":"<ANY>"}`)
		c.call("GET", "/platform/popups", "").contains(t, 200, "0", `{"updated_at":"<ANY>","trigger":"EXIT_INTENT"}`)
		c.call("GET", "/platform/workflows", "").contains(t, 200, workflows+".0", `{"id":"<ANY>","name":"Flow","user_email_created":"<ANY>"}`)
	}
}

func TestF59WorkflowLeads(t *testing.T) {
	for plan, largest := range map[rdstationtest.Plan]int{rdstationtest.Light: 10, rdstationtest.Basic: 10, rdstationtest.Pro: 25, rdstationtest.Advanced: 50} {
		c := sheet(t, rdstationtest.Options{Plan: plan})
		id := c.account.PutAsset(rdstationtest.Workflows, map[string]any{"name": "Flow", "actions": []any{map[string]any{"id": "a", "type": "SDEMA"}}})
		path := "/platform/workflows/" + id + "/leads"
		c.call("POST", path, `{"leads":["`+bia+`","b@x.com"]}`).want(t, 200, `{"leads_added":[["`+bia+`"]],"leads_not_found":[["b@x.com"]]}`)
		many := `{"leads":["` + strings.Repeat(`a@x.com","`, largest-1) + `a@x.com"]}`
		c.call("POST", path, many).wantStatus(t, 200)
		c.call("POST", path, strings.Replace(many, `["`, `["c@x.com","`, 1)).wantStatus(t, 400)
		c.call("POST", path, `{}`).wantStatus(t, 400)
		if got := c.account.WorkflowLeads(id); len(got) != 1 || got[0] != bia {
			t.Errorf("workflow has %v", got)
		}
		c.call("GET", "/platform/workflows/"+id, "").contains(t, 200, "workflow_info", `{"id":"`+id+`","status":"active","actions":[{"id":"a","type":"SDEMA"}]}`)
	}
	c := sheet(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{FlatWorkflowLeads: true}})
	off := c.account.PutAsset(rdstationtest.Workflows, map[string]any{"status": "inactive"})
	for _, id := range []string{off, "unknown"} {
		c.call("POST", "/platform/workflows/"+id+"/leads", `{"leads":["`+bia+`"]}`).want(t, 400, `{"errors":[{"error_type":"WORKFLOW_STATUS_ERROR","error_message":"Workflow must be activated or does not exist","path":"$.id"}]}`)
	}
	c.call("GET", "/platform/workflows/unknown", "").wantStatus(t, 404)
	on := c.account.PutAsset(rdstationtest.Workflows, nil)
	c.call("POST", "/platform/workflows/"+on+"/leads", `{"leads":["`+bia+`"]}`).want(t, 200, `{"leads_added":["`+bia+`"],"leads_not_found":[]}`)
}

func TestF60AccountInfo(t *testing.T) {
	newClient(t, rdstationtest.Options{Name: "Minha Loja"}).accountInfo().want(t, 200, `{"name":"Minha Loja"}`)
}

func TestAssets(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	first := c.account.PutAsset(rdstationtest.Emails, map[string]any{"name": "Boas-vindas", "status": "FINISHED", "leads_count": 10})
	c.account.PutAsset(rdstationtest.Emails, map[string]any{"name": "Promo", "type": "other"})
	c.call("GET", "/platform/emails?page=1&page_size=1", "").contains(t, 200, "", `{"total":2}`)
	for query, want := range map[string]string{"?query=promo": "Promo", "?types[]=other": "Promo", "?ids[]=" + first: "Boas-vindas", "?page=2&page_size=1": "Promo"} {
		if r := c.call("GET", "/platform/emails"+query, ""); r.count("items") != 1 || r.at("items.0.name") != want {
			t.Errorf("%s: %s", query, r.text)
		}
	}
	c.call("GET", "/platform/emails/"+first, "").contains(t, 200, "", `{"name":"Boas-vindas","status":"FINISHED","leads_count":10,"behavior_score_info":null}`)
	c.call("GET", "/platform/emails/1", "").wantStatus(t, 404)
	c.call("GET", "/platform/emails?page_size=126", "").wantStatus(t, 400)

	campaign := c.account.PutAsset(rdstationtest.Campaigns, map[string]any{"name": "Black"})
	c.account.PutAsset(rdstationtest.Campaigns, map[string]any{"name": "Azul"})
	c.account.PutAsset(rdstationtest.CampaignItems, map[string]any{"campaign_id": campaign, "item_type": "email"})
	c.account.PutAsset(rdstationtest.CampaignItems, map[string]any{"campaign_id": campaign, "item_type": "landing_page"})
	if r := c.call("GET", "/platform/campaigns?order=name:asc&start_date=2000-01-01&end_date=2999-01-01", ""); r.at("campaigns.0.name") != "Azul" || r.count("campaigns") != 2 {
		t.Error(r.text)
	}
	c.call("GET", "/platform/campaigns/"+campaign, "").contains(t, 200, "campaign", `{"name":"Black","total_items":2}`)
	c.call("GET", "/platform/campaigns/"+campaign+"/items?item_type=email", "").contains(t, 200, "items.0", `{"item_type":"email","platform_item_id":"<ANY>","campaign_item_id":"<ANY>","added_at":"<ANY>"}`)
	if r := c.call("GET", "/platform/campaigns/"+campaign+"/items?order=item_type:desc", ""); r.at("items.0.item_type") != "landing_page" {
		t.Error(r.text)
	}
	c.call("GET", "/platform/campaigns/1/items", "").wantStatus(t, 404)
	c.call("GET", "/platform/campaigns/1", "").wantStatus(t, 404)
	c.call("GET", "/platform/campaigns?page_size=51", "").wantStatus(t, 400)
	light := newClient(t, rdstationtest.Options{Plan: rdstationtest.Light})
	for _, path := range []string{"", "/1", "/1/items"} {
		light.call("GET", "/platform/campaigns"+path, "").wantStatus(t, 403)
	}
}

func TestCatalogFeed(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	const path = "/platform/catalog_feeds"
	c.call("GET", path, "").want(t, 200, `[]`)
	c.call("POST", path, `{"name":"Loja"}`).wantStatus(t, 400)
	c.call("POST", path, `{"name":"Loja","url":"https://x","format":"csv"}`).wantStatus(t, 400)
	r := c.call("POST", path, `{"name":"Loja","url":"https://x","format":"xml","username":"u"}`).wantStatus(t, 200)
	id := encode(r.at("id"))
	c.call("POST", path, `{"name":"Loja","url":"https://x","format":"xml"}`).wantStatus(t, 400)
	c.call("GET", path+"/"+id, "").contains(t, 200, "", `{"name":"Loja","credentials":"u"}`)
	c.call("PATCH", path+"/"+id, `{"format":"json"}`).contains(t, 200, "", `{"format":"json","name":"Loja"}`)
	c.call("PATCH", path+"/"+id, `{"format":"csv"}`).wantStatus(t, 400)
	c.call("DELETE", path+"/"+id, "").wantStatus(t, 204)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		c.call(method, path+"/"+id, "{}").wantStatus(t, 404)
	}
}
