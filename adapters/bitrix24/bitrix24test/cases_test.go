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

// The reading cases of section 10 of the contract sheet. Cases that need a write first have the
// record put there instead.

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

func TestT12NotFound(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	call(t, p, "crm.deal.get", `{"id":999999}`).wantError(t, 400, "", "Not found")
	call(t, p, "crm.item.get", `{"entityTypeId":2,"id":999999}`).wantError(t, 400, "NOT_FOUND", "Element not found")
}

func TestT13ArgumentErrors(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	call(t, p, "crm.item.list", `{"filter":{"id":1}}`).wantError(t, 400, "100", "Could not find value for parameter {entityTypeId}")
	call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{"noSuch":1}}`).wantError(t, 400, "INVALID_ARG_VALUE", "Invalid filter: field 'noSuch' is not allowed in filter")
}

func TestT15BatchPartialFailure(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	p.Put(bitrix24test.Contact, map[string]any{"id": 15, "name": "Eve"})
	call(t, p, "batch", `{"halt":0,"cmd":{"a":"crm.contact.list?filter[NAME]=Eve&select[0]=NAME&start=-1","b":"crm.item.get?entityTypeId=3&id=999999",
		"c":"crm.contact.list?order[ID]=ASC&select[0]=ID&start=-1"}}`).
		wantBody(t, 200, `{"result":{"result":{"a":[{"NAME":"Eve"}],"c":[{"ID":"11"},{"ID":"15"}]},"result_error":{"b":{"error":"NOT_FOUND","error_description":"Element not found"}},
		"result_total":{"a":0,"c":0},"result_next":[],"result_time":{"a":"<TIME>","c":"<TIME>"}},"time":"<TIME>"}`)
}

func TestT16BatchHaltsInAChain(t *testing.T) {
	p := acme(t, bitrix24test.Options{})
	call(t, p, "batch", `{"halt":1,"cmd":{"a":"scope","b":"crm.deal.get?id=999999","c":"crm.contact.get?id=$result[b][CONTACT_ID]"}}`).
		wantBody(t, 200, `{"result":{"result":{"a":["crm","user"]},"result_error":{"b":{"error":"","error_description":"Not found"}},
		"result_total":[],"result_next":[],"result_time":{"a":"<TIME>"}},"time":"<TIME>"}`)
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
