package bitrix24test_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func TestF19Envelope(t *testing.T) {
	p := seeded(1)
	good := call(t, p, "crm.contact.get", `{"id":1}`)
	if !good.has("result") || !good.has("time") || good.has("error") {
		t.Errorf("success: %s", good.text)
	}
	bad := call(t, p, "crm.contact.get", `{"id":2}`)
	if bad.has("result") || bad.has("time") || !bad.has("error") {
		t.Errorf("error: %s", bad.text)
	}
	if got := good.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type is %s", got)
	}
}

func TestF20Time(t *testing.T) {
	cost := func(string) time.Duration { return 20 * time.Millisecond }
	cloud := call(t, portal(bitrix24test.Options{ServerTime: cost}), "server.time", `{}`)
	cloud.want(t, "time.operating", "0.02")
	if fmt.Sprint(cloud.at("time.operating_reset_at")) < "1" || !strings.Contains(fmt.Sprint(cloud.at("time.start")), ".") {
		t.Errorf("cloud: %s", cloud.text)
	}
	if fresh := call(t, portal(bitrix24test.Options{}), "server.time", `{}`); fresh.at("time.operating_reset_at") != nil {
		t.Errorf("nothing recorded: %s", fresh.text)
	}
	hosted := call(t, portal(bitrix24test.Options{ServerTime: cost, SelfHosted: true}), "server.time", `{}`)
	if hosted.at("time.operating") != nil || hosted.at("time.operating_reset_at") != nil || hosted.at("time.duration") == nil {
		t.Errorf("self-hosted: %s", hosted.text)
	}
	whole := call(t, portal(bitrix24test.Options{Quirks: bitrix24test.Quirks{WholeSeconds: true}}), "server.time", `{}`)
	whole.want(t, "time.processing", "0")
	if strings.Contains(fmt.Sprint(whole.at("time.start")), ".") || !strings.Contains(fmt.Sprint(whole.at("time.finish")), ".") {
		t.Errorf("whole seconds: %s", whole.text)
	}
}

func TestF21EmptyMapsAreArrays(t *testing.T) {
	p := seeded(1)
	call(t, p, "batch", `{"cmd":{}}`).want(t, "result", `{"result":[],"result_error":[],"result_total":[],"result_next":[],"result_time":[]}`)
	call(t, p, "crm.contact.userfield.list", `{}`).want(t, "result.0.SETTINGS", `[]`)
	call(t, p, "crm.item.fields", `{"entityTypeId":3}`).want(t, "result.fields.id.settings", `[]`)
	call(t, p, "crm.contact.list", `{"select":["NO_SUCH"],"start":-1}`).want(t, "result", `[[]]`)
}

func TestF22Escapes(t *testing.T) {
	for _, escape := range []bool{false, true} {
		p := portal(bitrix24test.Options{Quirks: bitrix24test.Quirks{EscapeJSON: escape}})
		p.Put(bitrix24test.Contact, map[string]any{"name": "Ação/Юля 🦊"})
		r := call(t, p, "crm.item.get", `{"entityTypeId":3,"id":1}`)
		r.want(t, "result.item.name", `"Ação/Юля 🦊"`)
		if got := strings.Contains(r.text, `A\u00e7\u00e3o\/\u042e\u043b\u044f \ud83e\udd8a`); got != escape {
			t.Errorf("EscapeJSON %v: %s", escape, r.text)
		}
		p.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: 50})
		for _, r := range []reply{call(t, p, "crm.deal.list", `{}`), call(t, p, "crm.item.list", `{"entityTypeId":3}`), call(t, p, "profile", `{}`)} {
			plain := strings.ContainsFunc(r.text, func(char rune) bool { return char > '~' }) || strings.Contains(strings.ReplaceAll(r.text, `\/`, ""), "/")
			if r.status != 200 || plain == escape {
				t.Errorf("EscapeJSON %v: %.300s", escape, r.text)
			}
		}
	}
}

func TestF23PageIsFifty(t *testing.T) {
	p := seeded(130)
	for _, method := range []string{"crm.contact.list", "crm.item.list"} {
		r := call(t, p, method, `{"entityTypeId":3,"limit":500,"pageSize":500,"start":0}`)
		rows := r.ids("result")
		if method == "crm.item.list" {
			rows = r.ids("result.items")
		}
		if len(rows) != 50 {
			t.Errorf("%s returns %d rows", method, len(rows))
		}
	}
}

func TestF24CountedPages(t *testing.T) {
	p := seeded(130)
	for start, next := range map[string]string{"": "50", `"start":0`: "50", `"start":50`: "100"} {
		r := call(t, p, "crm.contact.list", "{"+start+"}")
		r.want(t, "total", "130")
		r.want(t, "next", next)
	}
	last := call(t, p, "crm.contact.list", `{"start":"100"}`)
	if last.want(t, "total", "130"); last.has("next") || len(last.ids("result")) != 30 {
		t.Errorf("the last page: next %v, %d rows", last.at("next"), len(last.ids("result")))
	}
	p.Delete(bitrix24test.Contact, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30)
	if exact := call(t, p, "crm.contact.list", `{"start":50}`); exact.has("next") || len(exact.ids("result")) != 50 {
		t.Errorf("a full last page: next %v, %d rows", exact.at("next"), len(exact.ids("result")))
	}
}

func TestF25NoCount(t *testing.T) {
	p := seeded(130)
	for _, start := range []string{`-1`, `"-1"`} {
		r := call(t, p, "crm.item.list", `{"entityTypeId":3,"start":`+start+`}`)
		r.want(t, "total", "0")
		if r.has("next") || len(r.ids("result.items")) != 50 {
			t.Errorf("start %s: next %v, %d rows", start, r.at("next"), len(r.ids("result.items")))
		}
	}
}

func TestF26Offsets(t *testing.T) {
	p := seeded(130)
	call(t, p, "crm.contact.list", `{"start":73}`).want(t, "result.0.ID", `"51"`)
	call(t, p, "crm.item.list", `{"entityTypeId":3,"start":73}`).want(t, "result.items.0.id", `74`)
	if far := call(t, p, "crm.item.list", `{"entityTypeId":3,"start":500}`); len(far.ids("result.items")) != 0 {
		t.Errorf("behind the end: %s", far.text)
	}
}

func TestF27Order(t *testing.T) {
	p := portal(bitrix24test.Options{})
	for _, name := range []string{"Cy", "ana", "Bo", "Ana"} {
		p.Put(bitrix24test.Contact, map[string]any{"name": name})
	}
	rows := func(order string) reply {
		return call(t, p, "crm.item.list", `{"entityTypeId":3,"select":["id"],"order":`+order+`}`)
	}
	rows(`{}`).wantIDs(t, "result.items", "1 2 3 4")
	rows(`{"id":"DESC"}`).wantIDs(t, "result.items", "4 3 2 1")
	rows(`{"name":"asc"}`).wantIDs(t, "result.items", "2 4 3 1")
	rows(`{"name":"DESC"}`).wantIDs(t, "result.items", "1 3 2 4")
	rows(`{"name":"ASC","id":"DESC"}`).wantIDs(t, "result.items", "4 2 3 1")
	rows(`{"id":"UP"}`).wantError(t, 400, "INVALID_ARG_VALUE", "Invalid order: allowed values are ASC, DESC")
	rows(`{"noSuch":"ASC"}`).wantError(t, 400, "INVALID_ARG_VALUE", "Invalid order: field 'noSuch' is not allowed in order")
	call(t, p, "crm.contact.list", `{"select":["ID"],"order":{"NAME":"DESC","NO_SUCH":"ASC"}}`).wantIDs(t, "result", "1 3 2 4")
}

// people are four contacts with something to filter by.
func people(options bitrix24test.Options) *bitrix24test.Portal {
	p := portal(options)
	zone := time.FixedZone("", 2*3600)
	for i, fields := range []map[string]any{
		{"name": "Ana", "lastName": "Lima", "companyId": 5, "opened": "Y", "UF_CRM_1700000003": true, "birthdate": "2001-11-11",
			"fm": []bitrix24test.Multifield{{TypeID: "EMAIL", ValueType: "WORK", Value: "ana@example.org"}, {TypeID: "PHONE", ValueType: "WORK", Value: "+551"}}},
		{"name": "JOÃO", "lastName": "lima", "companyId": 6, "opened": "N", "UF_CRM_1700000003": false, "UF_CRM_1700000005": []string{"golf", "tea"}},
		{"name": "Юлия", "post": "100%", "sourceId": "WEB", "UF_CRM_1700000006": 12.5},
		{"name": "Bo", "lastName": "Limão", "fm": []bitrix24test.Multifield{{TypeID: "PHONE", ValueType: "MOBILE", Value: "+552"}}},
	} {
		fields["updatedTime"] = time.Date(2026, 5, 20+i, 8, 15, 0, 0, zone)
		p.Put(bitrix24test.Contact, fields)
	}
	return p
}

func TestF28Filters(t *testing.T) {
	p := people(bitrix24test.Options{})
	for filter, want := range map[string]string{
		`{}`: "1 2 3 4", `{"id":2}`: "2", `{"=id":"2"}`: "2", `{"!id":2}`: "1 3 4", `{"!=id":2}`: "1 3 4",
		`{">id":1,"<id":4}`: "2 3", `{">=id":2,"<=id":3}`: "2 3", `{"@id":[3,1,9]}`: "1 3", `{"!@id":[3,1]}`: "2 4", `{"id":[3,1]}`: "1 3",
		`{"@id":[]}`: "", `{"@id":[1,2],"id":2}`: "2",
		`{"name":"joão"}`: "2", `{"=name":"юлия"}`: "3", `{"lastName":"LIMA"}`: "1 2", `{"!lastName":"Lima"}`: "3 4",
		`{"%lastName":"im"}`: "1 2 4", `{"=%lastName":"lim%"}`: "1 2 4", `{"%=lastName":"%ão"}`: "4", `{"=%name":"%o%"}`: "2 4",
		`{"!%lastName":"mã"}`: "1 2 3", `{"!=%lastName":"lim%"}`: "3", `{"!%=lastName":"%a"}`: "3 4",
		`{"lastName":""}`: "3", `{"lastName":null}`: "3", `{"!lastName":""}`: "1 2 4", `{"%post":"0%"}`: "3",
		`{"companyId":5}`: "1", `{"@companyId":[5,6]}`: "1 2", `{"companyId":""}`: "3 4", `{">companyId":5}`: "2", `{"companyIds":6}`: "2",
		`{"opened":"N"}`: "2", `{"ufCrm_1700000003":1}`: "1", `{"ufCrm_1700000003":"0"}`: "2", `{"ufCrm_1700000003":"Y"}`: "2",
		`{"ufCrm_1700000005":"tea"}`: "2", `{">ufCrm_1700000006":12.4}`: "3", `{"email":"ana@example.org"}`: "1", `{"phone":"+552"}`: "4",
		`{"birthdate":"2001-11-11"}`: "1", `{"<birthdate":"2002-01-01T00:00:00+02:00"}`: "1",
		`{">=updatedTime":"2026-05-22T08:15:00+02:00"}`: "3 4", `{">updatedTime":"2026-05-22T08:15:00+02:00"}`: "4",
		`{">=updatedTime":"2026-05-22T06:15:00Z"}`: "3 4", `{">=updatedTime":"2026-05-22 08:15:00"}`: "3 4", `{"<updatedTime":"2026-05-21"}`: "1",
		`{"0":{"logic":"OR","0":{"name":"Ana"},"1":{"name":"Bo"}}}`:                                                "1 4",
		`[{"logic":"OR","0":{"name":"Ana"},"1":{">id":3}}]`:                                                        "1 4",
		`{"<id":3,"0":{"logic":"OR","name":"Ana","lastName":"Limão"}}`:                                             "1",
		`{"0":{"logic":"OR","0":{"0":{"logic":"AND","name":"Ana","id":1}},"1":{"name":"Bo","lastName":"nobody"}}}`: "1",
	} {
		call(t, p, "crm.item.list", `{"entityTypeId":3,"select":["id"],"filter":`+filter+`}`).wantIDs(t, "result.items", want)
		if t.Failed() {
			t.Fatalf("filter %s", filter)
		}
	}
}

func TestF28FiltersOfClassicLists(t *testing.T) {
	p := people(bitrix24test.Options{})
	for filter, want := range map[string]string{
		`{">ID":"2"}`: "3 4", `{"LAST_NAME":"lima"}`: "1 2", `{"%LAST_NAME":"IM"}`: "1 2 4", `{">=DATE_MODIFY":"2026-05-22T08:15:00+02:00"}`: "3 4",
		`{"EMAIL":"ana@example.org"}`: "1", `{"PHONE":"+552"}`: "4", `{"%PHONE":"55"}`: "", `{"%SOURCE_ID":"WE"}`: "", `{"SOURCE_ID":"WEB"}`: "3",
		`{"!%LAST_NAME":"im"}`: "1 2 3 4", // only leads know it
		`{"0":{"logic":"OR","0":{"NAME":"Ana"},"1":{"NAME":"Bo"}}}`: "1 2 3 4",
		`{"logic":"OR","NAME":"Ana"}`:                               "1",
		`{">=DATE_MODIFY":"22.05.2026"}`:                            "3 4",
	} {
		call(t, p, "crm.contact.list", `{"select":["ID"],"filter":`+filter+`}`).wantIDs(t, "result", want)
		if t.Failed() {
			t.Fatalf("filter %s", filter)
		}
	}
	call(t, p, "crm.contact.list", `{"filter":"x"}`).wantError(t, 400, "", "Parameter 'filter' must be array.")
}

func TestQ18ISODatesIgnored(t *testing.T) {
	p := people(bitrix24test.Options{Quirks: bitrix24test.Quirks{IgnoreISODates: true}})
	list := func(date string) reply {
		return call(t, p, "crm.item.list", `{"entityTypeId":3,"select":["id"],"filter":{">=updatedTime":"`+date+`"}}`)
	}
	list("2026-05-22T08:15:00+02:00").wantIDs(t, "result.items", "1 2 3 4")
	list("2026-05-22 08:15:00").wantIDs(t, "result.items", "3 4")
}

func TestF29UnknownFilterKeys(t *testing.T) {
	p := seeded(3)
	call(t, p, "crm.contact.list", `{"select":["ID"],"filter":{"&gt;ID":2,"NOPE":1,"id":2}}`).wantIDs(t, "result", "1 2 3")
	for _, filter := range []string{`{"NOPE":1}`, `{"0":{"logic":"OR","0":{">NOPE":1}}}`} {
		call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":`+filter+`}`).wantError(t, 400, "INVALID_ARG_VALUE", "Invalid filter: field 'NOPE' is not allowed in filter")
	}
	call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{"fm":1}}`).wantError(t, 400, "INVALID_ARG_VALUE", "Invalid filter: field 'fm' is not allowed in filter")
	call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{">updatedTime":"soon"}}`).wantError(t, 400, "INVALID_ARG_VALUE", "Invalid filter: field 'updatedTime' has invalid value")
}

func keys(value any) map[string]bool {
	names := map[string]bool{}
	object, _ := value.(map[string]any)
	for name := range object {
		names[name] = true
	}
	return names
}

func TestF30ClassicSelect(t *testing.T) {
	p := people(bitrix24test.Options{})
	row := func(index int, selected string) map[string]bool {
		return keys(call(t, p, "crm.contact.list", `{"select":`+selected+`}`).at(fmt.Sprintf("result.%d", index)))
	}
	all := row(0, `[]`)
	if !all["ID"] || !all["UF_CRM_1700000001"] || all["EMAIL"] || all["PHONE"] {
		t.Errorf("default: %v", all)
	}
	if plain := row(0, `["*"]`); !plain["NAME"] || plain["UF_CRM_1700000001"] || plain["EMAIL"] {
		t.Errorf("*: %v", plain)
	}
	if own := row(0, `["ID","UF_*"]`); !own["ID"] || own["NAME"] || !own["UF_CRM_1700000001"] || own["EMAIL"] {
		t.Errorf("UF_*: %v", own)
	}
	if named := row(0, `["ID","EMAIL","PHONE"]`); !named["EMAIL"] || !named["PHONE"] || named["NAME"] {
		t.Errorf("multifields: %v", named)
	}
	if without := row(3, `["ID","EMAIL","PHONE"]`); without["EMAIL"] || !without["PHONE"] {
		t.Errorf("no e-mail: %v", without)
	}
}

func TestF31UniversalSelect(t *testing.T) {
	p := people(bitrix24test.Options{})
	row := func(selected string) map[string]bool {
		return keys(call(t, p, "crm.item.list", `{"entityTypeId":3`+selected+`}`).at("result.items.0"))
	}
	for _, selected := range []string{``, `,"select":[]`, `,"select":["*"]`} {
		if all := row(selected); !all["id"] || !all["fm"] || !all["email"] || !all["ufCrm_1700000001"] || !all["entityTypeId"] {
			t.Errorf("select %q: %v", selected, all)
		}
	}
	if named := row(`,"select":["id","email","fm","NAME","noSuch"]`); len(named) != 2 || !named["id"] || !named["email"] {
		t.Errorf("names: %v", named)
	}
	if both := row(`,"select":["*","id"]`); both["fm"] || !both["name"] {
		t.Errorf("* and a name: %v", both)
	}
}

func TestF35NativeAndStringTypes(t *testing.T) {
	p := portal(bitrix24test.Options{UserFields: []bitrix24test.UserField{
		{EntityTypeID: 2, Name: "UF_CRM_OK", Type: "boolean"}, {EntityTypeID: 2, Name: "UF_CRM_LIST", Type: "string", Multiple: true}, {EntityTypeID: 2, Name: "UF_CRM_DAY", Type: "date"},
	}})
	p.Put(bitrix24test.Deal, map[string]any{"title": "D", "opportunity": 150.5, "contactId": 14, "categoryId": 9, "begindate": "2026-05-01", "UF_CRM_OK": true, "UF_CRM_LIST": []string{"a"}})
	p.Put(bitrix24test.Deal, map[string]any{"title": "E", "opportunity": 1000000})
	universal := call(t, p, "crm.item.list", `{"entityTypeId":2}`)
	universal.contains(t, "result.items.0", `{"id":1,"opportunity":150.5,"contactId":14,"contactIds":[14],"companyId":0,"leadId":null,"categoryId":9,"isManualOpportunity":"N",
		"begindate":"2026-05-01T00:00:00+02:00","ufCrmOk":"Y","ufCrmList":["a"],"ufCrmDay":null}`)
	universal.contains(t, "result.items.1", `{"opportunity":1000000,"contactId":0,"contactIds":[],"begindate":null,"ufCrmOk":null,"ufCrmList":[]}`)
	classic := call(t, p, "crm.deal.list", `{}`)
	classic.contains(t, "result.0", `{"ID":"1","OPPORTUNITY":"150.50","CONTACT_ID":"14","COMPANY_ID":null,"LEAD_ID":null,"CATEGORY_ID":"9","IS_MANUAL_OPPORTUNITY":"N",
		"BEGINDATE":"2026-05-01T00:00:00+02:00","UF_CRM_OK":"1","UF_CRM_LIST":["a"],"UF_CRM_DAY":""}`)
	classic.contains(t, "result.1", `{"OPPORTUNITY":"1000000.00","CONTACT_ID":null,"BEGINDATE":"","UF_CRM_LIST":false}`)
}

func TestDatesFollowThePortalsZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	p := portal(bitrix24test.Options{Location: berlin})
	for _, day := range []string{"1969-12-31", "2026-01-15", "2026-03-29", "2026-07-15", "2026-10-25"} {
		p.Put(bitrix24test.Contact, map[string]any{"birthdate": day, "updatedTime": day + " 12:30:00"})
	}
	r := call(t, p, "crm.item.list", `{"entityTypeId":3,"select":["birthdate","updatedTime"]}`)
	r.want(t, "result.items", `[
		{"birthdate":"1969-12-31T00:00:00+01:00","updatedTime":"1969-12-31T12:30:00+01:00"}, {"birthdate":"2026-01-15T00:00:00+01:00","updatedTime":"2026-01-15T12:30:00+01:00"},
		{"birthdate":"2026-03-29T00:00:00+01:00","updatedTime":"2026-03-29T12:30:00+02:00"}, {"birthdate":"2026-07-15T00:00:00+02:00","updatedTime":"2026-07-15T12:30:00+02:00"},
		{"birthdate":"2026-10-25T00:00:00+02:00","updatedTime":"2026-10-25T12:30:00+01:00"}]`)
	call(t, p, "crm.item.list", `{"entityTypeId":3,"select":["id"],"filter":{"birthdate":"2026-03-29"}}`).wantIDs(t, "result.items", "3")
}

func TestF40MissingEntityType(t *testing.T) {
	p := seeded(1)
	for _, method := range []string{"crm.item.list", "crm.item.get", "crm.item.fields"} {
		call(t, p, method, `{}`).wantError(t, 400, "100", "Could not find value for parameter {entityTypeId}")
		call(t, p, method, `{"entityTypeId":"x"}`).wantError(t, 400, "100", "Invalid value {x} to match with parameter {entityTypeId}. Should be value of type int.")
		call(t, p, method, `{"entityTypeId":130}`).wantError(t, 400, "NOT_FOUND", "Smart process not found")
		call(t, p, method, `{"entityTypeId":5}`).wantError(t, 400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type 5 is not supported")
	}
	call(t, p, "crm.item.get", `{"entityTypeId":3}`).wantError(t, 400, "100", "Could not find value for parameter {id}")
	call(t, p, "crm.item.list", `not JSON`).wantError(t, 400, "100", "Could not find value for parameter {entityTypeId}")
}

func TestF45FieldsAndUserfieldNames(t *testing.T) {
	p := portal(bitrix24test.Options{
		SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3, Title: "Visit"}},
		UserFields: []bitrix24test.UserField{
			{EntityTypeID: 128, Name: "UF_CRM_3_DIGIT", Type: "integer"}, {EntityTypeID: 128, Name: "UF_CRM_3_1747309727", Type: "string"},
			{EntityTypeID: 128, Name: "UF_CRM_3_DIGIT10", Type: "string", Multiple: true}, {EntityTypeID: 128, Name: "UF_CRM_1747309879", Type: "boolean"},
			{EntityTypeID: 3, Name: "UF_CRM_SIZE", Type: "enumeration", Options: []string{"S", "L"}, Label: "Größe"},
		},
	})
	fields := call(t, p, "crm.item.fields", `{"entityTypeId":128}`)
	for universal, original := range map[string]string{
		"ufCrm3Digit": "UF_CRM_3_DIGIT", "ufCrm3_1747309727": "UF_CRM_3_1747309727", "ufCrm_3_DIGIT10": "UF_CRM_3_DIGIT10", "ufCrm_1747309879": "UF_CRM_1747309879",
	} {
		fields.contains(t, "result.fields."+universal, `{"upperName":"`+original+`","isDynamic":true}`)
	}
	fields.contains(t, "result.fields.id", `{"type":"integer","isReadOnly":true,"isMultiple":false,"title":"Id","upperName":"ID"}`)
	fields.contains(t, "result.fields.ufCrm_3_DIGIT10", `{"type":"string","isMultiple":true}`)
	fields.contains(t, "result.fields.contactIds", `{"isMultiple":true,"upperName":"CONTACT_IDS"}`)
	if names := keys(call(t, p, "crm.item.fields", `{"entityTypeId":128,"useOriginalUfNames":"Y"}`).at("result.fields")); !names["UF_CRM_3_DIGIT"] || names["ufCrm3Digit"] {
		t.Errorf("original names: %v", names)
	}
	call(t, p, "crm.contact.fields", `{}`).contains(t, "result.UF_CRM_SIZE", `{"type":"enumeration","formLabel":"Größe","items":[{"ID":"41","VALUE":"S"},{"ID":"42","VALUE":"L"}]}`)

	p.Put(128, map[string]any{"title": "V", "UF_CRM_3_DIGIT": 8})
	list := func(more string) reply { return call(t, p, "crm.item.list", `{"entityTypeId":128,"start":-1`+more+`}`) }
	list(`,"select":["ufCrm3Digit"],"filter":{"ufCrm3Digit":8}`).want(t, "result.items", `[{"ufCrm3Digit":8}]`)
	list(`,"useOriginalUfNames":"Y","select":["UF_CRM_3_DIGIT","title"],"filter":{"UF_CRM_3_DIGIT":8}`).want(t, "result.items", `[{"UF_CRM_3_DIGIT":8,"title":"V"}]`)
	if r := list(`,"useOriginalUfNames":"Y","filter":{"ufCrm3Digit":8}`); r.status != 400 {
		t.Errorf("the universal name with useOriginalUfNames: %d", r.status)
	}
	call(t, p, "crm.contact.userfield.list", `{"filter":{"LANG":"en"}}`).contains(t, "result.0", `{"FIELD_NAME":"UF_CRM_SIZE","ENTITY_ID":"CRM_CONTACT","EDIT_FORM_LABEL":"Größe","MULTIPLE":"N"}`)
	call(t, p, "crm.type.list", `{}`).contains(t, "result.types.0", `{"id":3,"entityTypeId":128,"title":"Visit"}`)
}

func TestEveryEntityTypeHasLists(t *testing.T) {
	p := portal(bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 137, ID: 4, Title: "Visita"}}})
	for _, id := range []int{1, 2, 3, 4, 7, 31, 137} {
		p.Seed(id, bitrix24test.Seed{Count: 3})
		r := call(t, p, "crm.item.list", fmt.Sprintf(`{"entityTypeId":%d}`, id))
		r.wantIDs(t, "result.items", "1 2 3")
		r.want(t, "result.items.0.entityTypeId", fmt.Sprint(id))
	}
	for _, code := range []string{"lead", "deal", "contact", "company"} {
		call(t, p, "crm."+code+".list", `{}`).wantIDs(t, "result", "1 2 3")
		call(t, p, "crm."+code+".get", `{"id":3}`).want(t, "result.ID", `"3"`)
		fields := keys(call(t, p, "crm."+code+".fields", `{}`).at("result"))
		for name := range keys(call(t, p, "crm."+code+".get", `{"ID":3}`).at("result")) {
			if !fields[name] {
				t.Errorf("%s: %s is not among the fields", code, name)
			}
		}
	}
}

func TestIdsBeyondDoubles(t *testing.T) {
	p := portal(bitrix24test.Options{})
	const first = 1<<53 + 1
	p.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: 200, FirstID: first, Stride: 7})
	r := call(t, p, "crm.item.list", fmt.Sprintf(`{"entityTypeId":2,"select":["id"],"filter":{">id":%d,"<=id":%d},"start":0}`, first, first+21))
	r.wantIDs(t, "result.items", fmt.Sprintf("%d %d %d", first+7, first+14, first+21))
	r.want(t, "total", "3")
	call(t, p, "crm.deal.get", fmt.Sprintf(`{"id":"%d"}`, first+7)).want(t, "result.ID", fmt.Sprintf(`"%d"`, first+7))
}

func TestEveryRecordIsReadOnceAcrossSeedsAndChanges(t *testing.T) {
	p := portal(bitrix24test.Options{})
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 60, FirstID: 1000, Stride: 3})
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 40, FirstID: 10})
	p.Put(bitrix24test.Contact, map[string]any{"id": 5, "name": "before"})
	p.Put(bitrix24test.Contact, map[string]any{"id": 1001, "name": "between"})
	if id := p.Put(bitrix24test.Contact, map[string]any{"name": "behind"}); id != 1178 {
		t.Errorf("a new record gets the id %d, want 1178", id)
	}
	p.Delete(bitrix24test.Contact, 10, 1003, 1177, 999)
	p.Touch(bitrix24test.Contact, 11)
	want := []string{"5"}
	for id := 11; id < 50; id++ {
		want = append(want, fmt.Sprint(id))
	}
	want = append(want, "1000", "1001")
	for id := 1006; id < 1177; id += 3 {
		want = append(want, fmt.Sprint(id))
	}
	want = append(want, "1178")

	walk := func(direction, operator string, last string) []string {
		ids := []string{}
		for {
			r := call(t, p, "crm.item.list", `{"entityTypeId":3,"select":["id"],"order":{"id":"`+direction+`"},"filter":{"`+operator+`id":`+last+`},"start":-1}`)
			page := r.ids("result.items")
			if ids = append(ids, page...); len(page) < 50 {
				return ids
			}
			last = page[49]
		}
	}
	if got := walk("ASC", ">", "0"); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("up: %v\nwant %v", got, want)
	}
	down := walk("DESC", "<", "99999")
	for i := range down {
		if down[i] != want[len(want)-1-i] {
			t.Fatalf("down: %v", down)
		}
	}
	if len(down) != len(want) {
		t.Errorf("down: %d rows, want %d", len(down), len(want))
	}
	part := call(t, p, "crm.item.list", `{"entityTypeId":3,"select":["id"],"filter":{">id":48,"<=id":1001},"start":0}`)
	part.wantIDs(t, "result.items", "49 1000 1001")
	part.want(t, "total", "3")
	for start := 0; start < len(want); start += 31 {
		for direction, first := range map[string]string{"ASC": want[start], "DESC": want[len(want)-1-start]} {
			r := call(t, p, "crm.item.list", fmt.Sprintf(`{"entityTypeId":3,"select":["id"],"order":{"id":"%s"},"start":%d}`, direction, start))
			r.want(t, "total", fmt.Sprint(len(want)))
			if r.want(t, "result.items.0.id", first); t.Failed() {
				t.Fatalf("%s from %d", direction, start)
			}
		}
	}
}

func TestChangesAreFoundByTime(t *testing.T) {
	p := portal(bitrix24test.Options{})
	before := time.Now()
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1_000_000, Updated: func(i int) time.Time {
		if i%250_000 == 17 {
			return before.Add(-time.Hour)
		}
		return before.Add(-48 * time.Hour)
	}})
	p.Touch(bitrix24test.Contact, 70)
	p.Put(bitrix24test.Contact, map[string]any{"id": 500_000, "name": "Nova"})
	since := func(d time.Duration) string { return before.Add(-d).Format(time.RFC3339) }
	r := call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{">=updatedTime":"`+since(2*time.Hour)+`"},"start":0}`)
	r.wantIDs(t, "result.items", "18 70 250018 500000 500018 750018")
	r.want(t, "total", "6")
	r.want(t, "result.items.1.comments", `"Touched 1"`)
	r.want(t, "result.items.3.name", `"Nova"`)
	call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{">=updatedTime":"`+since(time.Minute)+`"},"start":-1}`).wantIDs(t, "result.items", "70 500000")
}

func TestPutChangesSeededRecords(t *testing.T) {
	p := seeded(3)
	p.Put(bitrix24test.Contact, map[string]any{"id": 2, "utmSource": "ads \"x\"", "LAST_NAME": `"Q"`, "fm": []bitrix24test.Multifield{{TypeID: "PHONE", ValueType: "WORK", Value: "+5"}}})
	r := call(t, p, "crm.item.list", `{"entityTypeId":3}`)
	r.contains(t, "result.items.1", `{"utmSource":"ads \"x\"","lastName":"\"Q\"","phone":"+5","phoneWork":"+5","phoneMobile":"","email":"","hasEmail":"N",
		"fm":[{"id":901,"typeId":"PHONE","valueType":"WORK","value":"+5"}]}`)
	r.want(t, "result.items.2.utmSource", "null")
	if r.at("result.items.1.name") == nil {
		t.Error("what was not changed is gone")
	}
	p.Delete(bitrix24test.Contact, 2)
	p.Put(bitrix24test.Contact, map[string]any{"id": 2, "name": "new"})
	call(t, p, "crm.item.get", `{"entityTypeId":3,"id":2}`).contains(t, "result.item", `{"name":"new","lastName":null,"phone":""}`)
}

func TestUseBySeveralGoroutines(t *testing.T) {
	p := seeded(500)
	group := sync.WaitGroup{}
	for worker := range 4 {
		group.Go(func() {
			for i := range 10 {
				id := int64(worker*10 + i + 1)
				p.Touch(bitrix24test.Contact, id)
				p.Put(bitrix24test.Contact, map[string]any{"name": "N"})
				p.Delete(bitrix24test.Contact, id)
				p.Fault(bitrix24test.Fault{Method: "nobody", Kind: bitrix24test.HTML500})
				token := p.Authorize().AccessToken
				if r := post(t, p, p.RESTURL()+"crm.item.list", `{"entityTypeId":3,"order":{"name":"ASC"},"auth":"`+token+`"}`); r.status != 200 {
					t.Errorf("%d %s", r.status, r.text)
				}
				call(t, p, "batch", `{"cmd":["crm.contact.list","crm.item.list?entityTypeId=3&filter[>id]=100"]}`)
				p.Stats()
			}
		})
	}
	group.Wait()
	call(t, p, "crm.contact.list", `{}`).want(t, "total", "500")
}

func TestSeededRecordsAreTheSameEveryTime(t *testing.T) {
	updated := func(int) time.Time { return instant(t, "2026-05-20T08:15:00Z") }
	texts := [2]string{}
	for i := range texts {
		p := portal(bitrix24test.Options{})
		p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 50, Updated: updated})
		texts[i] = encode(call(t, p, "crm.item.list", `{"entityTypeId":3}`).at("result"))
	}
	if texts[0] != texts[1] {
		t.Error("two portals with the same seed differ")
	}
	if size := len(texts[0]) / 50; size < 900 || size > 1600 {
		t.Errorf("a full record has %d bytes", size)
	}
	p := portal(bitrix24test.Options{})
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 50, Updated: updated})
	list := call(t, p, "crm.item.list", `{"entityTypeId":3}`)
	for i := range 50 {
		single := call(t, p, "crm.item.get", fmt.Sprintf(`{"entityTypeId":3,"id":%d}`, i+1)).at("result.item")
		listed := list.at(fmt.Sprintf("result.items.%d", i)).(map[string]any)
		if encode(single) != encode(listed) {
			t.Errorf("get and list differ:\n%s\n%s", encode(single), encode(listed))
		}
	}
	// A changed record is rendered field by field, an unchanged one mostly from prepared text.
	for i := range 50 {
		p.Touch(bitrix24test.Contact, int64(i+1))
	}
	touched := call(t, p, "crm.item.list", `{"entityTypeId":3}`)
	for i := range 50 {
		row := touched.at(fmt.Sprintf("result.items.%d", i)).(map[string]any)
		for key, value := range list.at(fmt.Sprintf("result.items.%d", i)).(map[string]any) {
			if same := encode(row[key]) == encode(value); !same && key != "comments" && key != "updatedTime" && key != "lastActivityTime" {
				t.Errorf("Touch changed %s to %v", key, row[key])
			}
		}
	}
}

func TestDictionaries(t *testing.T) {
	p := portal(bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 130, ID: 2, Title: "Visit"}}})
	call(t, p, "crm.status.list", `{"filter":{"ENTITY_ID":"DEAL_STAGE_9","STATUS_ID":"C9:WON"}}`).contains(t, "result", `[{"ENTITY_ID":"DEAL_STAGE_9","STATUS_ID":"C9:WON","SEMANTICS":"S"}]`)
	call(t, p, "crm.category.list", `{"entityTypeId":2}`).contains(t, "result.categories.1", `{"id":9,"name":"Parcerias","entityTypeId":2,"isDefault":"N"}`)
	call(t, p, "crm.type.list", `{}`).contains(t, "result.types.0", `{"id":2,"entityTypeId":130,"title":"Visit"}`)
	names := encode(call(t, p, "methods", `{}`).at("result"))
	for name, has := range map[string]bool{"crm.item.add": true, "crm.company.contact.items.set": true, "crm.deal.userfield.add": true, "event.bind": false, "tasks.task.list": false} {
		if strings.Contains(names, `"`+name+`"`) != has {
			t.Errorf("methods has %s: %v", name, !has)
		}
	}
}
