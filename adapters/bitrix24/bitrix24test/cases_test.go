package bitrix24test_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// The cases of section 10 of the contract sheet, against a portal with the records they name.

// acme is the portal of the sheet's cases.
func acme(t *testing.T, options bitrix24test.Options) *bitrix24test.Portal {
	options.MemberID, options.ClientID, options.ClientSecret = "0123456789abcdef0123456789abcdef", "local.1", "S"
	options.UserFields = []bitrix24test.UserField{{EntityTypeID: bitrix24test.Contact, Name: "UF_CRM_1700000001", Type: "string"}}
	p := portal(options)
	p.Put(bitrix24test.Contact, map[string]any{
		"id": 11, "name": "Ana", "lastName": "Lima", "companyId": 5, "createdTime": instant(t, "2026-04-01T09:00:00+02:00"), "updatedTime": instant(t, "2026-05-20T08:15:00+02:00"),
		"fm": []bitrix24test.Multifield{{ID: 902, TypeID: "PHONE", ValueType: "MOBILE", Value: "+5511999990000"}},
	})
	return p
}

func TestT01HealthCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call(t, acme(t, bitrix24test.Options{}), "server.time", `{}`).wantBody(t, 200, `{"result":"2000-01-01T02:00:00+02:00","time":"<TIME>"}`)
	})
}

func TestT02ClassicListFirstPage(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Contact, map[string]any{"id": 11, "fm": []bitrix24test.Multifield{{ID: 901, TypeID: "EMAIL", ValueType: "WORK", Value: "ana@example.org"}}})
	p.Put(bitrix24test.Contact, map[string]any{"id": 12, "name": "Bo"})
	for id := range 128 {
		p.Put(bitrix24test.Contact, map[string]any{"id": 13 + id, "name": "More"})
	}
	r := call(t, p, "crm.contact.list", `{"select":["ID","NAME","EMAIL"],"filter":{">=DATE_MODIFY":"2026-05-01T00:00:00+02:00"},"order":{"ID":"ASC"},"start":0}`)
	r.want(t, "total", "130")
	r.want(t, "next", "50")
	r.want(t, "result.0", `{"ID":"11","NAME":"Ana","EMAIL":[{"ID":"901","VALUE_TYPE":"WORK","VALUE":"ana@example.org","TYPE_ID":"EMAIL"}]}`)
	r.want(t, "result.1", `{"ID":"12","NAME":"Bo"}`)
}

func TestT03UniversalListWithoutCount(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Contact, map[string]any{"id": 13, "name": "Cy", "updatedTime": instant(t, "2026-05-20T08:15:00+02:00")})
	call(t, p, "crm.item.list", `{"entityTypeId":3,"select":["id","name","lastName","updatedTime","email"],"filter":{">id":12,">=updatedTime":"2026-05-01T00:00:00+02:00"},
		"order":{"id":"ASC"},"start":-1,"useOriginalUfNames":"Y"}`).
		wantBody(t, 200, `{"result":{"items":[{"id":13,"name":"Cy","lastName":null,"updatedTime":"2026-05-20T08:15:00+02:00","email":""}]},"total":0,"time":"<TIME>"}`)
}

func TestT04ClassicGet(t *testing.T) {
	call(t, acme(t, bitrix24test.Options{}), "crm.contact.get", `{"id":11}`).contains(t, "result", `{"ID":"11","NAME":"Ana","SECOND_NAME":null,"LAST_NAME":"Lima",
		"BIRTHDATE":"","COMPANY_ID":"5","LEAD_ID":null,"ASSIGNED_BY_ID":"1","OPENED":"Y","EXPORT":"Y","HAS_PHONE":"Y","HAS_EMAIL":"N","HAS_IMOL":"N",
		"DATE_CREATE":"2026-04-01T09:00:00+02:00","DATE_MODIFY":"2026-05-20T08:15:00+02:00","ORIGINATOR_ID":null,"ORIGIN_ID":null,"UF_CRM_1700000001":"",
		"PHONE":[{"ID":"902","VALUE_TYPE":"MOBILE","VALUE":"+5511999990000","TYPE_ID":"PHONE"}]}`)
}

func TestT05UniversalGet(t *testing.T) {
	call(t, acme(t, bitrix24test.Options{}), "crm.item.get", `{"entityTypeId":3,"id":11}`).contains(t, "result.item", `{"id":11,"name":"Ana","lastName":"Lima","companyId":5,
		"companyIds":[5],"assignedById":1,"opened":"Y","birthdate":null,"createdTime":"2026-04-01T09:00:00+02:00","updatedTime":"2026-05-20T08:15:00+02:00",
		"phone":"+5511999990000","phoneMobile":"+5511999990000","phoneWork":"","email":"","fm":[{"id":902,"valueType":"MOBILE","value":"+5511999990000","typeId":"PHONE"}],
		"ufCrm_1700000001":null,"entityTypeId":3}`)
}

func TestT06ClassicAdd(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Contact, map[string]any{"id": 13, "name": "Cy"})
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"Dora","EMAIL":[{"VALUE":"dora@example.org","VALUE_TYPE":"WORK"}],"ORIGINATOR_ID":"our-app","ORIGIN_ID":"c-77","NO_SUCH_FIELD":"x"},
		"params":{"REGISTER_SONET_EVENT":"N"}}`).wantBody(t, 200, `{"result":14,"time":"<TIME>"}`)
	call(t, p, "crm.contact.get", `{"id":14}`).contains(t, "result", `{"NAME":"Dora","ORIGINATOR_ID":"our-app","ORIGIN_ID":"c-77","HAS_EMAIL":"Y",
		"EMAIL":[{"ID":"903","VALUE_TYPE":"WORK","VALUE":"dora@example.org","TYPE_ID":"EMAIL"}]}`)
}

func TestT07UniversalAdd(t *testing.T) {
	inMay(t, func(t *testing.T) {
		p := acme(t, bitrix24test.Options{})
		p.Put(bitrix24test.Deal, map[string]any{"id": 30})
		call(t, p, "crm.item.add", `{"entityTypeId":2,"fields":{"title":"Order 77","categoryId":0,"stageId":"NEW","opportunity":150.5,"currencyId":"EUR","contactIds":[14],
			"originatorId":"our-app","originId":"o-77"}}`).contains(t, "result.item", `{"id":31,"title":"Order 77","categoryId":0,"stageId":"NEW","stageSemanticId":"P",
			"opportunity":150.5,"currencyId":"EUR","isManualOpportunity":"N","companyId":0,"contactId":14,"contactIds":[14],"closed":"N",
			"createdTime":"2026-05-29T10:00:00+02:00","updatedTime":"2026-05-29T10:00:00+02:00","entityTypeId":2}`)
	})
}

func TestT08BadEmail(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"X","EMAIL":[{"VALUE":"not-an-email","VALUE_TYPE":"WORK"}]}}`).
		wantError(t, 400, "ERROR_CORE", "Field 'Work e-mail' holds an invalid address")
	call(t, p, "crm.item.add", `{"entityTypeId":3,"fields":{"name":"X","fm":[{"typeId":"EMAIL","valueType":"WORK","value":"not-an-email"}]}}`).
		wantError(t, 400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", `Invalid value for field "fm"`)
	call(t, p, "crm.contact.list", `{"select":["ID"]}`).wantIDs(t, "result", "11")
}

// ana is contact 11 with the multifields that T09 and T10 begin with.
func ana(t *testing.T, points ...bitrix24test.Multifield) *bitrix24test.Portal {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Contact, map[string]any{"id": 11, "fm": points})
	return p
}

func TestT09ClassicMultifieldPatch(t *testing.T) {
	p := ana(t, bitrix24test.Multifield{ID: 902, TypeID: "PHONE", ValueType: "MOBILE", Value: "+551"}, bitrix24test.Multifield{ID: 903, TypeID: "PHONE", ValueType: "WORK", Value: "+552"})
	call(t, p, "crm.contact.update", `{"id":11,"fields":{"PHONE":[{"ID":902,"VALUE":"+559","VALUE_TYPE":"MOBILE"},{"ID":903,"DELETE":"Y"},{"VALUE":"+553","VALUE_TYPE":"HOME"}]}}`).
		wantBody(t, 200, `{"result":true,"time":"<TIME>"}`)
	call(t, p, "crm.contact.get", `{"id":11}`).want(t, "result.PHONE", `[{"ID":"902","VALUE_TYPE":"MOBILE","VALUE":"+559","TYPE_ID":"PHONE"},
		{"ID":"904","VALUE_TYPE":"HOME","VALUE":"+553","TYPE_ID":"PHONE"}]`)
}

func TestT10UniversalMultifieldPatch(t *testing.T) {
	p := ana(t, bitrix24test.Multifield{ID: 902, TypeID: "PHONE", ValueType: "MOBILE", Value: "+559"})
	p.Put(bitrix24test.Contact, map[string]any{"id": 12, "fm": []bitrix24test.Multifield{{ID: 904, TypeID: "PHONE", Value: "+553"}}})
	const after = `{"id":11,"fm":[{"id":902,"valueType":"WORK","value":"+550","typeId":"PHONE"},{"id":905,"valueType":"WORK","value":"ana@example.org","typeId":"EMAIL"}],"entityTypeId":3}`
	call(t, p, "crm.item.update", `{"entityTypeId":3,"id":11,"fields":{"fm":{"902":{"typeId":"PHONE","valueType":"WORK","value":"+550"},
		"n0":{"typeId":"EMAIL","valueType":"WORK","value":"ana@example.org"}}}}`).contains(t, "result.item", after)
	call(t, p, "crm.item.update", `{"entityTypeId":3,"id":11,"fields":{"fm":{"905":{"value":""}}}}`).contains(t, "result.item", after)
}

func TestT11Deletes(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Contact, map[string]any{"id": 14})
	p.Put(bitrix24test.Deal, map[string]any{"id": 31})
	call(t, p, "crm.contact.delete", `{"id":14}`).wantBody(t, 200, `{"result":true,"time":"<TIME>"}`)
	call(t, p, "crm.item.delete", `{"entityTypeId":2,"id":31}`).wantBody(t, 200, `{"result":[],"time":"<TIME>"}`)
	call(t, p, "crm.contact.delete", `{"id":14}`).wantError(t, 400, "ERROR_CORE", "Element not found")
}

func TestT12NotFound(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	call(t, p, "crm.deal.get", `{"id":999999}`).wantError(t, 400, "", "Not found")
	call(t, p, "crm.item.get", `{"entityTypeId":2,"id":999999}`).wantError(t, 400, "NOT_FOUND", "Element not found")
}

func TestT13ArgumentErrors(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	call(t, p, "crm.item.list", `{"filter":{"id":1}}`).wantError(t, 400, "100", "Could not find value for parameter {entityTypeId}")
	call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{"noSuch":1}}`).wantError(t, 400, "INVALID_ARG_VALUE", "Invalid filter: field 'noSuch' is not allowed in filter")
	call(t, p, "crm.contact.update", `{"id":11,"fields":"oops"}`).wantError(t, 400, "", "Parameter 'fields' must be array.")
}

func TestT14DuplicatesHitAndMiss(t *testing.T) {
	p := ana(t, bitrix24test.Multifield{ID: 901, TypeID: "EMAIL", ValueType: "WORK", Value: "ana@example.org"})
	call(t, p, "crm.duplicate.findbycomm", `{"type":"EMAIL","values":["ana@example.org"],"entity_type":"CONTACT"}`).wantBody(t, 200, `{"result":{"CONTACT":[11]},"time":"<TIME>"}`)
	call(t, p, "crm.duplicate.findbycomm", `{"type":"EMAIL","values":["nobody@example.org"]}`).wantBody(t, 200, `{"result":[],"time":"<TIME>"}`)
}

func TestT15BatchPartialFailure(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Contact, map[string]any{"id": 14})
	p.Delete(bitrix24test.Contact, 14)
	call(t, p, "batch", `{"halt":0,"cmd":{"a":"crm.contact.add?fields[NAME]=Eve","b":"crm.item.get?entityTypeId=3&id=999999",
		"c":"crm.contact.list?order[ID]=ASC&select[0]=ID&start=-1"}}`).
		wantBody(t, 200, `{"result":{"result":{"a":15,"c":[{"ID":"11"},{"ID":"15"}]},"result_error":{"b":{"error":"NOT_FOUND","error_description":"Element not found"}},
		"result_total":{"c":0},"result_next":[],"result_time":{"a":"<TIME>","c":"<TIME>"}},"time":"<TIME>"}`)
}

func TestT16BatchHaltsInAChain(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Contact, map[string]any{"id": 15, "name": "Eve"})
	call(t, p, "batch", `{"halt":1,"cmd":{"a":"crm.contact.add?fields[NAME]=Fay","b":"crm.deal.get?id=999999","c":"crm.deal.add?fields[TITLE]=D&fields[CONTACT_ID]=$result[a]"}}`).
		wantBody(t, 200, `{"result":{"result":{"a":16},"result_error":{"b":{"error":"","error_description":"Not found"}},
		"result_total":[],"result_next":[],"result_time":{"a":"<TIME>"}},"time":"<TIME>"}`)
	call(t, p, "crm.contact.get", `{"id":16}`).want(t, "result.NAME", `"Fay"`)
	call(t, p, "crm.deal.list", `{}`).want(t, "result", `[]`)
	// Without the failure the chain goes through.
	call(t, p, "batch", `{"halt":1,"cmd":{"a":"crm.contact.add?fields[NAME]=Fay","c":"crm.deal.add?fields[TITLE]=D&fields[CONTACT_ID]=$result[a]"}}`).
		want(t, "result.result", `{"a":17,"c":1}`)
	call(t, p, "crm.deal.get", `{"id":1}`).want(t, "result.CONTACT_ID", `"17"`)
}

func TestT17BatchWithNumericIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		call(t, acme(t, bitrix24test.Options{}), "batch", `{"halt":0,"cmd":["server.time","scope"]}`).
			wantBody(t, 200, `{"result":{"result":["2000-01-01T02:00:00+02:00",["crm","user"]],"result_error":[],"result_total":[],"result_next":[],
			"result_time":["<TIME>","<TIME>"]},"time":"<TIME>"}`)
	})
}

func TestT18BatchScopeAndLength(t *testing.T) {
	commands := []string{}
	for i := range 51 {
		commands = append(commands, fmt.Sprintf(`"c%d":"task.item.list"`, i+1))
	}
	r := call(t, acme(t, bitrix24test.Options{}), "batch", `{"halt":0,"cmd":{`+strings.Join(commands, ",")+`}}`)
	r.contains(t, "result", `{"result":[],"result_error":{"c1":{"error":"insufficient_scope","error_description":""},
		"c51":{"error":"ERROR_BATCH_LENGTH_EXCEEDED","error_description":"Max batch length exceeded"}},"result_total":[],"result_next":[],"result_time":[]}`)
}

func TestT19RateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := acme(t, bitrix24test.Options{Limits: bitrix24test.CloudLimits()})
		last := reply{}
		for range 52 {
			last = call(t, p, "server.time", `{}`)
		}
		last.wantError(t, 503, "QUERY_LIMIT_EXCEEDED", "Too many requests")
		time.Sleep(time.Second)
		call(t, p, "server.time", `{}`).wantBody(t, 200, `{"result":"2000-01-01T02:00:01+02:00","time":"<TIME>"}`)
	})
}

func TestT20OperatingLimitOnOneMethodOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bitrix24test.New(bitrix24test.Options{Limits: bitrix24test.CloudLimits(), ServerTime: constant(50 * time.Second)})
		for range 10 {
			call(t, p, "crm.item.list", `{"entityTypeId":3,"start":-1}`)
		}
		call(t, p, "crm.item.list", `{"entityTypeId":3,"start":-1}`).wantError(t, 429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
		call(t, p, "crm.contact.list", `{"start":-1}`).wantBody(t, 200, `{"result":[],"total":0,"time":"<TIME>"}`)
	})
}

func TestT21ExpiredTokenRefreshRepeat(t *testing.T) {
	p := acme(t, bitrix24test.Options{Scopes: []string{"crm", "user_brief"}})
	first := p.Authorize()
	p.ExpireTokens()
	post(t, p, "https://acme.bitrix24.com/rest/profile", `{"auth":"`+first.AccessToken+`"}`).wantError(t, 401, "expired_token", "The access token provided has expired.")
	fresh := form(t, p, "https://oauth.bitrix.info/oauth/token/", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"local.1"}, "client_secret": {"S"}, "refresh_token": {first.RefreshToken},
	})
	fresh.contains(t, "status", `"L"`)
	if fresh.status != 200 || fmt.Sprint(fresh.at("expires_in")) != "3600" || fresh.at("domain") != "oauth.bitrix.info" || fresh.at("scope") != "crm,user_brief" ||
		fresh.at("member_id") != "0123456789abcdef0123456789abcdef" || fmt.Sprint(fresh.at("user_id")) != "7" {
		t.Errorf("refresh: %s", fresh.text)
	}
	post(t, p, "https://acme.bitrix24.com/rest/profile", `{"auth":"`+fresh.at("access_token").(string)+`"}`).
		wantBody(t, 200, `{"result":{"ID":"7","ADMIN":true,"NAME":"Gil","LAST_NAME":"Moss","PERSONAL_GENDER":"","TIME_ZONE":"Europe/Berlin"},"time":"<TIME>"}`)
}

func TestT22RefreshFailures(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	first := p.Authorize()
	refresh := func(clientID, token string) reply {
		values := url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "client_secret": {"S"}, "refresh_token": {token}}
		if token == "" {
			values.Del("refresh_token")
		}
		return form(t, p, p.TokenURL(), values)
	}
	second := refresh("local.1", first.RefreshToken).at("refresh_token").(string)
	refresh("local.1", first.RefreshToken).wantError(t, 400, "invalid_grant", "The grant is invalid, expired or revoked")
	refresh("nope", second).wantBody(t, 200, `{"error":"wrong_client"}`)
	refresh("local.1", "").wantError(t, 400, "invalid_request", `No "refresh_token" parameter found`)
	if r := refresh("local.1", second); r.status != 200 {
		t.Errorf("the second token still works: %d %s", r.status, r.text)
	}
}

func TestT23AuthFailures(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	const base = "https://acme.bitrix24.com/rest/"
	post(t, p, base+"crm.deal.list", `{}`).wantError(t, 401, "NO_AUTH_FOUND", "Wrong authorization data")
	post(t, p, base+"1/WRONG/crm.deal.list", `{}`).wantError(t, 401, "INVALID_CREDENTIALS", "Invalid request credentials")
	post(t, p, base+"1/SECRET/app.info", `{}`).wantError(t, 400, "ACCESS_DENIED", "Access denied! Application context required")
	post(t, p, base+"1/SECRET/no.such.method", `{}`).wantError(t, 404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
}

// inMay runs a test on the day of the sheet's cases.
func inMay(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(instant(t, "2026-05-29T10:00:00+02:00")))
		test(t)
	})
}

func TestT24Events(t *testing.T) {
	in := &inbox{}
	p := acme(t, bitrix24test.Options{
		Scopes: []string{"crm"}, Callback: "https://app.example.net/b24", ApplicationToken: "fedcba9876543210fedcba9876543210", EventTransport: bitrix24test.HandlerTransport(in),
	})
	want := func(form url.Values, pairs map[string]string) {
		t.Helper()
		pairs["auth[domain]"], pairs["auth[server_endpoint]"], pairs["auth[client_endpoint]"] = "acme.bitrix24.com", "https://oauth.bitrix.info/rest/", "https://acme.bitrix24.com/rest/"
		pairs["auth[member_id]"] = "0123456789abcdef0123456789abcdef"
		for key, value := range pairs {
			if form.Get(key) != value {
				t.Errorf("%s: %s is %q, want %q", form.Get("event"), key, form.Get(key), value)
			}
		}
	}
	p.Install()
	installed := in.take(p)[0]
	want(installed, map[string]string{"event": "ONAPPINSTALL", "data[VERSION]": "1", "data[ACTIVE]": "Y", "data[INSTALLED]": "Y", "data[LANGUAGE_ID]": "en", "auth[expires_in]": "3600",
		"auth[scope]": "crm", "auth[status]": "L", "auth[application_token]": "fedcba9876543210fedcba9876543210"})
	if installed.Get("auth[access_token]") == "" || installed.Get("auth[refresh_token]") == "" || installed.Get("ts") == "" {
		t.Errorf("tokens of the installation: %v", installed)
	}
	for _, name := range []string{"ONCRMCONTACTUPDATE", "ONCRMCONTACTDELETE"} {
		as(t, p, installed.Get("auth[access_token]"), "event.bind", `{"event":"`+name+`","handler":"`+hook+`"}`)
	}
	call(t, p, "crm.contact.update", `{"id":11,"fields":{"NAME":"Anna"}}`)
	updated := in.take(p)[0]
	want(updated, map[string]string{"event": "ONCRMCONTACTUPDATE", "event_handler_id": "196", "data[FIELDS][ID]": "11", "auth[expires_in]": "3600", "auth[scope]": "crm",
		"auth[status]": "L", "auth[application_token]": "fedcba9876543210fedcba9876543210", "auth[refresh_token]": ""})
	p.SetEventMode(bitrix24test.EventMode{Forge: true, NoTokens: true})
	call(t, p, "crm.contact.delete", `{"id":11}`)
	deleted := in.take(p)[0]
	want(deleted, map[string]string{"event": "ONCRMCONTACTDELETE", "event_handler_id": "197", "data[FIELDS][ID]": "11", "auth[access_token]": "", "auth[scope]": ""})
	if deleted.Get("auth[application_token]") == "fedcba9876543210fedcba9876543210" {
		t.Error("the forged event has the true token")
	}
}

func TestT25OfflineQueue(t *testing.T) {
	inMay(t, func(t *testing.T) {
		p := acme(t, bitrix24test.Options{})
		token := p.Authorize().AccessToken
		for _, name := range []string{"ONCRMCONTACTADD", "ONCRMDEALUPDATE"} {
			as(t, p, token, "event.bind", `{"event":"`+name+`","event_type":"offline"}`).want(t, "result", "true")
		}
		p.Put(bitrix24test.Deal, map[string]any{"id": 31})
		p.Put(bitrix24test.Contact, map[string]any{"id": 15})
		time.Sleep(time.Minute)
		p.Touch(bitrix24test.Deal, 31)
		first := as(t, p, token, "event.offline.get", `{"clear":0,"limit":2}`)
		process, _ := first.at("result.process_id").(string)
		const second = `{"ID":"2","TIMESTAMP_X":"2026-05-29T10:01:00+02:00","EVENT_NAME":"ONCRMDEALUPDATE","EVENT_DATA":{"FIELDS":{"ID":"31"}},"EVENT_ADDITIONAL":false,"MESSAGE_ID":"2"}`
		first.want(t, "result.events", `[{"ID":"1","TIMESTAMP_X":"2026-05-29T10:00:00+02:00","EVENT_NAME":"ONCRMCONTACTADD","EVENT_DATA":{"FIELDS":{"ID":"15"}},"EVENT_ADDITIONAL":false,"MESSAGE_ID":"1"},`+second+`]`)
		as(t, p, token, "event.offline.clear", `{"process_id":"`+process+`","id":[1]}`).wantBody(t, 200, `{"result":true,"time":"<TIME>"}`)
		as(t, p, token, "event.offline.get", `{"clear":0,"process_id":"`+process+`"}`).want(t, "result", `{"process_id":"`+process+`","events":[`+second+`]}`)
	})
}

func TestT26BindAndUnbind(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	token := p.Authorize().AccessToken
	as(t, p, token, "event.bind", `{"event":"ONCRMCONTACTUPDATE","handler":"https://hook.example.net/b24"}`).wantBody(t, 200, `{"result":true,"time":"<TIME>"}`)
	as(t, p, token, "event.bind", `{"event":"ONNOTHING","handler":"https://hook.example.net/b24"}`).wantError(t, 400, "ERROR_EVENT_NOT_FOUND", "Event not found")
	as(t, p, token, "event.unbind", `{"event":"ONCRMCONTACTUPDATE","handler":"https://hook.example.net/b24"}`).wantBody(t, 200, `{"result":{"count":1},"time":"<TIME>"}`)
}

func TestT27BatchImport(t *testing.T) {
	inMay(t, func(t *testing.T) {
		p := acme(t, bitrix24test.Options{})
		p.Put(bitrix24test.Deal, map[string]any{"id": 39, "createdTime": instant(t, "2025-12-01T00:00:00+02:00")})
		call(t, p, "crm.item.batchImport", `{"entityTypeId":2,"data":[{"title":"Imp 1","createdTime":"2026-01-10T12:00:00+02:00"},{"title":"Imp 2","currencyId":"???"}]}`).
			wantBody(t, 200, `{"result":{"items":[{"item":{"id":40}},{"error":"CRM_FIELD_ERROR_VALUE_NOT_VALID","error_description":"Invalid value for field \"currencyId\""}]},"time":"<TIME>"}`)
		call(t, p, "crm.deal.get", `{"id":40}`).contains(t, "result", `{"TITLE":"Imp 1","DATE_CREATE":"2026-01-10T12:00:00+02:00"}`)
	})
}

func TestT28DealContacts(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Deal, map[string]any{"id": 31})
	call(t, p, "crm.deal.contact.items.set", `{"id":31,"items":[{"CONTACT_ID":15},{"CONTACT_ID":16,"IS_PRIMARY":"Y"}]}`).wantBody(t, 200, `{"result":true,"time":"<TIME>"}`)
	call(t, p, "crm.deal.contact.items.get", `{"id":31}`).wantBody(t, 200, `{"result":[{"CONTACT_ID":15,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"N"},{"CONTACT_ID":16,"SORT":20,"ROLE_ID":0,"IS_PRIMARY":"Y"}],"time":"<TIME>"}`)
	call(t, p, "crm.deal.contact.add", `{"id":31,"fields":{"CONTACT_ID":16}}`).wantBody(t, 200, `{"result":false,"time":"<TIME>"}`)
}

func TestT29RenamedPortal(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Move("https://acme-new.bitrix24.com")
	r := post(t, p, "https://acme.bitrix24.com/rest/1/SECRET/server.time", `{}`)
	if r.status != 302 || r.header.Get("Location") != "https://acme-new.bitrix24.com/rest/1/SECRET/server.time" || r.text != "" {
		t.Errorf("%d to %s %q", r.status, r.header.Get("Location"), r.text)
	}
	if r := post(t, p, r.header.Get("Location"), `{}`); r.status != 200 {
		t.Errorf("the new host: %d %s", r.status, r.text)
	}
}

func TestT30AnswerThatIsNotJSON(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Fault(bitrix24test.Fault{Kind: bitrix24test.HTML502})
	r := call(t, p, "server.time", `{}`)
	if r.status != 502 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || !strings.Contains(r.text, "<html>") {
		t.Errorf("%d %s", r.status, r.text)
	}
}
