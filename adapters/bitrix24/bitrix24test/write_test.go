package bitrix24test_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func TestF33ShapesOfWrites(t *testing.T) {
	for _, code := range []string{"contact", "company", "deal", "lead"} {
		p := portal(bitrix24test.Options{})
		call(t, p, "crm."+code+".add", `{"fields":{"NAME":"A","TITLE":"B"}}`).wantBody(t, 200, `{"result":1,"time":"<TIME>"}`)
		call(t, p, "crm."+code+".update", `{"id":1,"fields":{"COMMENTS":"x"}}`).wantBody(t, 200, `{"result":true,"time":"<TIME>"}`)
		call(t, p, "crm."+code+".get", `{"id":1}`).contains(t, "result", `{"ID":"1","COMMENTS":"x"}`)
		call(t, p, "crm."+code+".delete", `{"ID":"1"}`).wantBody(t, 200, `{"result":true,"time":"<TIME>"}`)
		call(t, p, "crm."+code+".list", `{}`).want(t, "result", `[]`)
	}
	for _, id := range []string{"1", "2", "3", "4", "7", "31", "130"} {
		p := portal(bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 130, ID: 2, Title: "Visit"}}})
		call(t, p, "crm.item.add", `{"entityTypeId":`+id+`,"fields":{"name":"A"}}`).contains(t, "result.item", `{"id":1,"entityTypeId":`+id+`}`)
		call(t, p, "crm.item.update", `{"entityTypeId":`+id+`,"id":1,"fields":{"comments":"x"}}`).contains(t, "result.item", `{"id":1,"comments":"x","entityTypeId":`+id+`}`)
		call(t, p, "crm.item.delete", `{"entityTypeId":`+id+`,"id":1}`).wantBody(t, 200, `{"result":[],"time":"<TIME>"}`)
		call(t, p, "crm.item.get", `{"entityTypeId":`+id+`,"id":1}`).wantError(t, 400, "NOT_FOUND", "Element not found")
	}
}

func TestF33IDsAreNeverUsedTwice(t *testing.T) {
	p := seeded(3)
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"A"}}`).want(t, "result", "4")
	call(t, p, "crm.contact.delete", `{"id":4}`)
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"B"}}`).want(t, "result", "5")
	call(t, p, "crm.contact.delete", `{"id":2}`).want(t, "result", "true")
	call(t, p, "crm.contact.update", `{"id":1,"fields":{"POST":"Boss"}}`)
	call(t, p, "crm.contact.list", `{"select":["ID"]}`).wantIDs(t, "result", "1 3 5")
	call(t, p, "crm.contact.get", `{"id":1}`).want(t, "result.POST", `"Boss"`)
}

func TestF34UnknownFieldsAreIgnored(t *testing.T) {
	p := portal(bitrix24test.Options{})
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"A","NO_SUCH":"x","lastName":"y","last_name":"z","ID":77,"DATE_CREATE":"2020-01-01"}}`).want(t, "result", "1")
	call(t, p, "crm.contact.get", `{"id":1}`).contains(t, "result", `{"ID":"1","NAME":"A","LAST_NAME":null}`)
	r := call(t, p, "crm.item.add", `{"entityTypeId":3,"fields":{"name":"B","noSuch":"x","LAST_NAME":"y","id":77,"hasPhone":"Y","createdTime":"2020-01-01T00:00:00+00:00"}}`)
	r.contains(t, "result.item", `{"id":2,"name":"B","lastName":null,"hasPhone":"N"}`)
	if strings.HasPrefix(fmt.Sprint(r.at("result.item.createdTime")), "2020") {
		t.Errorf("createdTime was written: %s", r.text)
	}
	call(t, p, "crm.item.update", `{"entityTypeId":3,"id":2,"fields":{"noSuch":"x"}}`).contains(t, "result.item", `{"id":2,"name":"B"}`)
}

func TestF35Types(t *testing.T) {
	p := portal(bitrix24test.Options{UserFields: []bitrix24test.UserField{
		{EntityTypeID: 2, Name: "UF_CRM_1", Type: "enumeration", Options: []string{"a", "b"}}, {EntityTypeID: 2, Name: "UF_CRM_2", Type: "boolean"},
		{EntityTypeID: 2, Name: "UF_CRM_3", Type: "string", Multiple: true}, {EntityTypeID: 2, Name: "UF_CRM_4", Type: "date"}, {EntityTypeID: 2, Name: "UF_CRM_5", Type: "double"},
		{EntityTypeID: 2, Name: "UF_CRM_6", Type: "enumeration", Options: []string{"a", "b"}, Multiple: true}, {EntityTypeID: 2, Name: "UF_CRM_7", Type: "money"},
		{EntityTypeID: 2, Name: "UF_CRM_8", Type: "employee"}, {EntityTypeID: 2, Name: "UF_CRM_9", Type: "datetime"},
	}})
	call(t, p, "crm.deal.add", `{"fields":{"TITLE":"A","OPPORTUNITY":"150.5","COMPANY_ID":"5","OPENED":"N","CLOSEDATE":"2026-03-01","UF_CRM_1":"42","UF_CRM_2":"1",
		"UF_CRM_3":["x","y"],"UF_CRM_4":"2026-02-03","UF_CRM_5":"2.25","UF_CRM_6":["41","42"],"UF_CRM_7":"300|USD","UF_CRM_8":"7","UF_CRM_9":"2026-02-03T04:05:06+00:00"}}`)
	call(t, p, "crm.deal.get", `{"id":1}`).contains(t, "result", `{"ID":"1","OPPORTUNITY":"150.50","CURRENCY_ID":"EUR","COMPANY_ID":"5","CONTACT_ID":null,"OPENED":"N",
		"CLOSEDATE":"2026-03-01T00:00:00+02:00","PROBABILITY":null,"LEAD_ID":null,"UF_CRM_1":"42","UF_CRM_2":"1","UF_CRM_3":["x","y"],"UF_CRM_4":"2026-02-03T00:00:00+02:00",
		"UF_CRM_5":"2.25","UF_CRM_6":[41,42],"UF_CRM_7":"300|USD","UF_CRM_8":"7","UF_CRM_9":"2026-02-03T06:05:06+02:00"}`)
	call(t, p, "crm.item.get", `{"entityTypeId":2,"id":1,"useOriginalUfNames":"Y"}`).contains(t, "result.item", `{"id":1,"opportunity":150.5,"companyId":5,"contactId":0,"contactIds":[],
		"opened":"N","probability":null,"leadId":null,"assignedById":1,"UF_CRM_1":42,"UF_CRM_2":"Y","UF_CRM_3":["x","y"],"UF_CRM_5":2.25,"UF_CRM_6":[41,42],"UF_CRM_8":7}`)

	call(t, p, "crm.deal.add", `{"fields":{}}`)
	call(t, p, "crm.deal.get", `{"id":2}`).contains(t, "result", `{"UF_CRM_1":"","UF_CRM_3":false,"UF_CRM_6":false,"UF_CRM_7":"","TITLE":"Deal #2"}`)

	// Empty values clear, in both families.
	call(t, p, "crm.deal.update", `{"id":1,"fields":{"COMPANY_ID":"0","UF_CRM_1":"","UF_CRM_3":[],"CLOSEDATE":""}}`)
	call(t, p, "crm.item.get", `{"entityTypeId":2,"id":1,"useOriginalUfNames":"Y"}`).contains(t, "result.item", `{"companyId":0,"closedate":null,"UF_CRM_1":null,"UF_CRM_3":[]}`)
	call(t, p, "crm.item.update", `{"entityTypeId":2,"id":1,"fields":{"opportunity":0,"ufCrm_5":null,"ufCrm_6":[]}}`).
		contains(t, "result.item", `{"opportunity":0,"ufCrm_5":null,"ufCrm_6":[]}`)

	// What does not fit is refused by name, or ignored by the classic methods.
	for _, field := range []string{`"opportunity":"much"`, `"closedate":"soon"`, `"currencyId":"???"`, `"companyId":"$result[a]"`, `"ufCrm_1":99`, `"title":["x"]`, `"stageId":"NO_SUCH"`, `"categoryId":5`} {
		name, _, _ := strings.Cut(strings.Trim(field, `"`), `"`)
		call(t, p, "crm.item.update", `{"entityTypeId":2,"id":1,"fields":{`+field+`}}`).wantError(t, 400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", `Invalid value for field "`+name+`"`)
	}
	call(t, p, "crm.deal.update", `{"id":1,"fields":{"OPPORTUNITY":"much","CURRENCY_ID":"???","STAGE_ID":"NO_SUCH","CATEGORY_ID":5}}`).want(t, "result", "true")
	call(t, p, "crm.deal.get", `{"id":1}`).contains(t, "result", `{"OPPORTUNITY":"0.00","CURRENCY_ID":"EUR","STAGE_ID":"NEW","CATEGORY_ID":"0"}`)
}

func TestF35StagesAndFunnels(t *testing.T) {
	p := portal(bitrix24test.Options{})
	call(t, p, "crm.item.add", `{"entityTypeId":2,"fields":{"categoryId":9}}`).contains(t, "result.item", `{"title":"Deal #1","categoryId":9,"stageId":"C9:NEW","stageSemanticId":"P","closed":"N"}`)
	call(t, p, "crm.item.update", `{"entityTypeId":2,"id":1,"fields":{"stageId":"C9:WON"}}`).contains(t, "result.item", `{"stageSemanticId":"S","closed":"Y"}`)
	call(t, p, "crm.item.update", `{"entityTypeId":2,"id":1,"fields":{"categoryId":0}}`).contains(t, "result.item", `{"stageId":"NEW","stageSemanticId":"P","closed":"N"}`)
	call(t, p, "crm.lead.add", `{"fields":{"TITLE":"L"}}`)
	call(t, p, "crm.lead.get", `{"id":1}`).contains(t, "result", `{"STATUS_ID":"NEW","STATUS_SEMANTIC_ID":"P","DATE_CLOSED":""}`)
	call(t, p, "crm.lead.update", `{"id":1,"fields":{"STATUS_ID":"JUNK"}}`)
	r := call(t, p, "crm.lead.get", `{"id":1}`)
	r.contains(t, "result", `{"STATUS_ID":"JUNK","STATUS_SEMANTIC_ID":"F"}`)
	if r.at("result.DATE_CLOSED") == "" {
		t.Errorf("a closed lead has no date: %s", r.text)
	}
}

func TestF36TimeOfChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := seeded(2)
		add := call(t, p, "crm.item.add", `{"entityTypeId":3,"fields":{"name":"A"}}`)
		add.contains(t, "result.item", `{"createdTime":"2000-01-01T02:00:00+02:00","updatedTime":"2000-01-01T02:00:00+02:00"}`)
		time.Sleep(1700 * time.Millisecond)
		call(t, p, "crm.item.update", `{"entityTypeId":3,"id":3,"fields":{"name":"A","lastName":null,"fm":[],"companyId":0}}`).
			contains(t, "result.item", `{"updatedTime":"2000-01-01T02:00:00+02:00"}`)
		call(t, p, "crm.item.update", `{"entityTypeId":3,"id":3,"fields":{"name":"B"}}`).contains(t, "result.item", `{"updatedTime":"2000-01-01T02:00:01+02:00"}`)
		time.Sleep(time.Second)
		call(t, p, "crm.contact.update", `{"id":3,"fields":{"NAME":"B"}}`)
		call(t, p, "crm.contact.get", `{"id":3}`).want(t, "result.DATE_MODIFY", `"2000-01-01T02:00:02+02:00"`)
		time.Sleep(time.Second)
		call(t, p, "crm.contact.update", `{"id":3,"fields":{"NO_SUCH":"B"}}`).want(t, "result", "true")
		call(t, p, "crm.contact.get", `{"id":3}`).want(t, "result.DATE_MODIFY", `"2000-01-01T02:00:02+02:00"`)

		// A record made up from its id keeps its other values when it is changed, and is found by its new time.
		before := call(t, p, "crm.item.get", `{"entityTypeId":3,"id":2}`)
		same := call(t, p, "crm.item.update", `{"entityTypeId":3,"id":2,"fields":{"name":`+encode(before.at("result.item.name"))+`}}`)
		same.want(t, "result.item", encode(before.at("result.item")))
		after := call(t, p, "crm.item.update", `{"entityTypeId":3,"id":2,"fields":{"post":"Pilot"}}`)
		after.contains(t, "result.item", `{"post":"Pilot","updatedTime":"2000-01-01T02:00:03+02:00"}`)
		after.want(t, "result.item.fm", encode(before.at("result.item.fm")))
		after.want(t, "result.item.createdTime", encode(before.at("result.item.createdTime")))
		call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{">=updatedTime":"2000-01-01T02:00:03+02:00"}}`).wantIDs(t, "result.items", "2")
	})
}

func TestF36TimeOfMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{})
		for _, id := range []string{"1", "2", "7"} {
			added := time.Now().In(time.FixedZone("", 7200)).Format(time.RFC3339)
			call(t, p, "crm.item.add", `{"entityTypeId":`+id+`,"fields":{}}`).want(t, "result.item.movedTime", `"`+added+`"`)
			time.Sleep(time.Hour)
			call(t, p, "crm.item.update", `{"entityTypeId":`+id+`,"id":1,"fields":{"stageId":"NEW","title":"x"}}`).want(t, "result.item.movedTime", `"`+added+`"`)
			stage := map[string]string{"1": "IN_PROCESS", "2": "PREPARATION", "7": "SENT"}[id]
			moved := time.Now().In(time.FixedZone("", 7200)).Format(time.RFC3339)
			call(t, p, "crm.item.update", `{"entityTypeId":`+id+`,"id":1,"fields":{"stageId":"`+stage+`"}}`).contains(t, "result.item", `{"stageId":"`+stage+`","movedTime":"`+moved+`","movedBy":1}`)
		}
	})
}

// points returns what a contact has, as "id type kind value" lines.
func points(t *testing.T, p *bitrix24test.Portal, id int) string {
	t.Helper()
	fm, _ := call(t, p, "crm.item.get", fmt.Sprintf(`{"entityTypeId":3,"id":%d}`, id)).at("result.item.fm").([]any)
	lines := []string{}
	for _, point := range fm {
		object := point.(map[string]any)
		lines = append(lines, fmt.Sprint(object["id"], " ", object["typeId"], " ", object["valueType"], " ", object["value"]))
	}
	return strings.Join(lines, ", ")
}

func TestF37ClassicMultifieldsArePatches(t *testing.T) {
	p := portal(bitrix24test.Options{})
	change := func(phone string) {
		t.Helper()
		call(t, p, "crm.contact.update", `{"id":1,"fields":{"PHONE":`+phone+`}}`).want(t, "result", "true")
	}
	check := func(step, want string) {
		t.Helper()
		if got := points(t, p, 1); got != want {
			t.Errorf("%s: %q, want %q", step, got, want)
		}
	}
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"A","PHONE":[{"VALUE":"+551","VALUE_TYPE":"WORK"},{"VALUE":"+552"}],"EMAIL":[{"VALUE":"a@b.example","VALUE_TYPE":"HOME"}]}}`)
	check("add", "901 PHONE WORK +551, 902 PHONE WORK +552, 903 EMAIL HOME a@b.example")
	change(`[]`)
	change(`null`)
	change(`"+999"`)
	change(`["+999"]`)
	check("what is no list of objects does nothing", "901 PHONE WORK +551, 902 PHONE WORK +552, 903 EMAIL HOME a@b.example")
	change(`[{"VALUE":"+551","VALUE_TYPE":"WORK"}]`)
	check("a value sent again without its id", "901 PHONE WORK +551, 902 PHONE WORK +552, 903 EMAIL HOME a@b.example, 904 PHONE WORK +551")
	change(`[{"ID":"904","VALUE":"+554","VALUE_TYPE":"MOBILE"},{"ID":902,"VALUE_TYPE":"FAX"}]`)
	check("change", "901 PHONE WORK +551, 902 PHONE FAX +552, 903 EMAIL HOME a@b.example, 904 PHONE MOBILE +554")
	change(`[{"ID":901,"DELETE":"Y"},{"ID":902,"VALUE":""},{"ID":904}]`)
	check("three ways to delete", "903 EMAIL HOME a@b.example")
	change(`[{"ID":903,"VALUE":"+555"},{"VALUE":""},{"ID":904,"DELETE":"Y"}]`)
	check("ids of another kind, ids that are gone and empty values", "903 EMAIL HOME a@b.example, 905 PHONE WORK +555")
	call(t, p, "crm.contact.get", `{"id":1}`).want(t, "result.PHONE", `[{"ID":"905","VALUE_TYPE":"WORK","VALUE":"+555","TYPE_ID":"PHONE"}]`)
	// Ids are the portal's, not the contact's.
	call(t, p, "crm.lead.add", `{"fields":{"TITLE":"L","PHONE":[{"VALUE":"+1"}]}}`)
	call(t, p, "crm.lead.get", `{"id":1}`).want(t, "result.PHONE.0.ID", `"906"`)
}

func TestF37UniversalMultifieldsAndTheirTraps(t *testing.T) {
	p := portal(bitrix24test.Options{})
	change := func(fm string) reply {
		return call(t, p, "crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"fm":`+fm+`}}`)
	}
	check := func(step, want string) {
		t.Helper()
		if got := points(t, p, 1); got != want {
			t.Errorf("%s: %q, want %q", step, got, want)
		}
	}
	call(t, p, "crm.item.add", `{"entityTypeId":3,"fields":{"name":"A","fm":[{"typeId":"PHONE","valueType":"WORK","value":"+551"},{"valueType":"WORK","value":"+552"},{"typeId":"FAXX","valueType":"X","value":"y"}]}}`)
	check("add: no typeId is nothing, an unknown one is stored", "901 PHONE WORK +551, 902 FAXX X y")
	call(t, p, "crm.item.add", `{"entityTypeId":3,"fields":{"name":"B","fm":"+553"}}`).contains(t, "result.item", `{"id":2,"fm":[],"phone":""}`)
	change(`{"n0":{"typeId":"PHONE","valueType":"HOME","value":"+552"},"901":{"typeId":"PHONE","valueType":"MOBILE","value":"+559"}}`)
	check("add and change", "901 PHONE MOBILE +559, 902 FAXX X y, 903 PHONE HOME +552")
	change(`{"901":{"value":""},"902":{"valueType":"WORK","value":"z"}}`)
	check("no typeId: nothing", "901 PHONE MOBILE +559, 902 FAXX X y, 903 PHONE HOME +552")
	change(`{"777":{"typeId":"PHONE","valueType":"WORK","value":"+554"}}`)
	check("an unknown id adds", "901 PHONE MOBILE +559, 902 FAXX X y, 903 PHONE HOME +552, 904 PHONE WORK +554")
	change(`[{"typeId":"PHONE","valueType":"MOBILE","value":"+559"}]`)
	check("a JSON array adds", "901 PHONE MOBILE +559, 902 FAXX X y, 903 PHONE HOME +552, 904 PHONE WORK +554, 905 PHONE MOBILE +559")
	change(`{"901":{"typeId":"PHONE","value":""},"902":{"typeId":"FAXX","value":""},"903":{"typeId":"PHONE","value":""},"904":{"typeId":"PHONE","value":""}}`)
	check("delete", "905 PHONE MOBILE +559")
	for _, nothing := range []string{`[]`, `{}`, `"x"`, `null`} {
		change(nothing)
	}
	check("nothing", "905 PHONE MOBILE +559")
	change(`{"905":{"typeId":"PHONE","value":"+5500"}}`).contains(t, "result.item", `{"phone":"+5500","phoneMobile":"+5500","hasPhone":"Y"}`)
}

func TestF38InvalidEmail(t *testing.T) {
	p := portal(bitrix24test.Options{})
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"A","EMAIL":[{"VALUE":"a@b.example"}]}}`)
	for _, address := range []string{"x", "a@", "@b.example", "a@b", "a b@c.example", "a@b@c.example", "a@."} {
		call(t, p, "crm.contact.update", `{"id":1,"fields":{"EMAIL":[{"VALUE":"`+address+`","VALUE_TYPE":"HOME"}]}}`).wantError(t, 400, "ERROR_CORE", "Field 'Home e-mail' holds an invalid address")
		call(t, p, "crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"name":"Z","fm":{"901":{"typeId":"EMAIL","value":"`+address+`"}}}}`).
			wantError(t, 400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", `Invalid value for field "fm"`)
	}
	call(t, p, "crm.item.get", `{"entityTypeId":3,"id":1}`).contains(t, "result.item", `{"name":"A","email":"a@b.example"}`)
}

func TestF39NotFound(t *testing.T) {
	p := portal(bitrix24test.Options{})
	for code, update := range map[string]string{"contact": "Contact is not found", "company": "Company is not found", "deal": "Not found", "lead": "Not found"} {
		call(t, p, "crm."+code+".get", `{"id":9}`).wantError(t, 400, "", "Not found")
		call(t, p, "crm."+code+".update", `{"id":9,"fields":{}}`).wantError(t, 400, "", update)
		if code != "contact" {
			call(t, p, "crm."+code+".delete", `{"id":9}`).wantError(t, 400, "", "Not found")
		}
		for _, method := range []string{"get", "update", "delete"} {
			call(t, p, "crm."+code+"."+method, `{"fields":{}}`).wantError(t, 400, "", "ID is not defined or invalid.")
		}
	}
	call(t, p, "crm.contact.delete", `{"id":9}`).wantError(t, 400, "ERROR_CORE", "Element not found")
	for _, method := range []string{"get", "update", "delete"} {
		call(t, p, "crm.item."+method, `{"entityTypeId":3,"id":9,"fields":{}}`).wantError(t, 400, "NOT_FOUND", "Element not found")
		call(t, p, "crm.item."+method, `{"entityTypeId":199,"id":9,"fields":{}}`).wantError(t, 400, "NOT_FOUND", "Smart process not found")
	}
}

func TestF40MissingEntityTypeID(t *testing.T) {
	p := portal(bitrix24test.Options{})
	for _, method := range []string{"add", "get", "update", "delete", "list", "fields", "import", "batchImport"} {
		call(t, p, "crm.item."+method, `{"id":1,"fields":{}}`).wantError(t, 400, "100", "Could not find value for parameter {entityTypeId}")
		call(t, p, "crm.item."+method, `{"entityTypeId":5,"id":1}`).wantError(t, 400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type 5 is not supported")
	}
	call(t, p, "crm.item.add", `{"entityTypeId":3}`).wantError(t, 400, "100", "Could not find value for parameter {fields}")
	call(t, p, "crm.item.update", `{"entityTypeId":3,"fields":{}}`).wantError(t, 400, "100", "Could not find value for parameter {id}")
}

func TestF41FieldsThatAreNoObject(t *testing.T) {
	p := seeded(1)
	for _, fields := range []string{`"oops"`, `5`, `null`, `true`} {
		call(t, p, "crm.contact.add", `{"fields":`+fields+`}`).wantError(t, 400, "", "Parameter 'fields' must be array.")
		call(t, p, "crm.contact.update", `{"id":1,"fields":`+fields+`}`).wantError(t, 400, "", "Parameter 'fields' must be array.")
	}
	call(t, p, "crm.item.add", `{"entityTypeId":3,"fields":"oops"}`).wantError(t, 400, "100", "Invalid value {oops} to match with parameter {fields}. Should be value of type array.")
}

func TestF42Duplicates(t *testing.T) {
	p := portal(bitrix24test.Options{})
	for i := range 25 {
		p.Put(bitrix24test.Lead, map[string]any{"id": 100 + i, "fm": []bitrix24test.Multifield{{TypeID: "EMAIL", Value: "many@example.org"}}})
	}
	p.Put(bitrix24test.Contact, map[string]any{"id": 7, "fm": []bitrix24test.Multifield{{TypeID: "EMAIL", Value: "Many@Example.org"}, {TypeID: "PHONE", Value: "+55 (11) 9-999;12"}}})
	p.Put(bitrix24test.Company, map[string]any{"id": 8, "fm": []bitrix24test.Multifield{{TypeID: "PHONE", Value: "55119999"}}})
	find := func(params string) reply { return call(t, p, "crm.duplicate.findbycomm", `{`+params+`}`) }

	find(`"type":"PHONE","values":["+55-11-9999"]`).want(t, "result", `{"CONTACT":[7],"COMPANY":[8]}`)
	find(`"type":"PHONE","values":["5511 9999;34"],"entity_type":"COMPANY"`).want(t, "result", `{"COMPANY":[8]}`)
	find(`"type":"EMAIL","values":["55119999"]`).want(t, "result", `[]`)
	find(`"type":"PHONE","values":["","nobody"]`).want(t, "result", `[]`)
	// Twenty leads end the search before the contacts.
	many := find(`"type":"EMAIL","values":["many@example.org"]`)
	if leads, _ := many.at("result.LEAD").([]any); len(leads) != 20 || many.at("result.CONTACT") != nil {
		t.Errorf("the cut-off: %s", many.text)
	}
	find(`"type":"EMAIL","values":["many@example.org"],"entity_type":"CONTACT"`).want(t, "result", `{"CONTACT":[7]}`)

	const noType, noValues = "Communication type is not defined", "Communication values is not defined"
	find(`"values":["x"]`).wantError(t, 400, noType, noType)
	find(`"type":"FAX","values":["x"]`).wantError(t, 400, noType, noType)
	find(`"type":"EMAIL"`).wantError(t, 400, noValues, noValues)
	find(`"type":"EMAIL","values":"many@example.org"`).wantError(t, 400, noValues, noValues)
	find(`"type":"EMAIL","values":[]`).wantError(t, 400, noValues, noValues)
}

// What is made up from ids is found without making it up.
func TestF42DuplicatesAmongMany(t *testing.T) {
	p := portal(bitrix24test.Options{})
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 20_000, FirstID: 5})
	rows, _ := call(t, p, "crm.item.list", `{"entityTypeId":3,"filter":{">id":17000}}`).at("result.items").([]any)
	phones, mails := 0, 0
	for _, row := range rows {
		item := row.(map[string]any)
		id := fmt.Sprint(item["id"])
		if phone := item["phone"].(string); phone != "" {
			phones++
			call(t, p, "crm.duplicate.findbycomm", `{"type":"PHONE","values":["`+phone+`"]}`).want(t, "result", `{"CONTACT":[`+id+`]}`)
		}
		if mail := item["emailWork"].(string); mail != "" {
			mails++
			call(t, p, "crm.duplicate.findbycomm", `{"type":"EMAIL","values":["`+mail+`"]}`).want(t, "result", `{"CONTACT":[`+id+`]}`)
		}
	}
	if phones < 30 || mails < 20 {
		t.Errorf("only %d phones and %d addresses looked for", phones, mails)
	}
	family, _ := call(t, p, "crm.duplicate.findbycomm", `{"type":"EMAIL","values":["família@example.net"]}`).at("result.CONTACT").([]any)
	if len(family) != 20 {
		t.Errorf("%d contacts with an address that many have", len(family))
	}
	// One that was changed has what it was given, not what it was made with.
	id := fmt.Sprint(rows[0].(map[string]any)["id"])
	p.Put(bitrix24test.Contact, map[string]any{"id": 17001, "fm": []bitrix24test.Multifield{{TypeID: "EMAIL", Value: "new@example.org"}}})
	if id != "17001" {
		t.Fatalf("the first row is %s", id)
	}
	call(t, p, "crm.duplicate.findbycomm", `{"type":"EMAIL","values":["contact.17001@example.org"]}`).want(t, "result", `[]`)
	call(t, p, "crm.duplicate.findbycomm", `{"type":"EMAIL","values":["NEW@example.org"]}`).want(t, "result", `{"CONTACT":[17001]}`)
}

func TestF43Imports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{})
		time.Sleep(24 * time.Hour)
		r := call(t, p, "crm.item.batchImport", `{"entityTypeId":3,"data":[
			{"name":"A","createdTime":"2000-01-01T10:00:00+02:00","updatedTime":"2000-01-01T11:00:00+02:00","createdBy":5,"PHONE":[{"VALUE":"+1","VALUE_TYPE":"WORK"}]},
			{"post":"no name"},"oops",{"name":"B","fm":[{"typeId":"EMAIL","value":"x"}]},
			{"name":"C","createdTime":"2000-01-01T09:00:00+02:00"},{"name":"D","createdTime":"2000-01-03T09:00:00+02:00"},
			{"name":"E","createdTime":"2000-01-01T10:00:00+02:00","updatedTime":"2000-01-01T09:00:00+02:00"},{"name":"F"}]}`)
		invalid := func(name string) string {
			return `{"error":"CRM_FIELD_ERROR_VALUE_NOT_VALID","error_description":"Invalid value for field \"` + name + `\""}`
		}
		r.want(t, "result.items", `[{"item":{"id":1}},{"error":"CRM_FIELD_ERROR_REQUIRED","error_description":"Field \"name\" is required"},
			{"error":"100","error_description":"Invalid value {oops} to match with parameter {data}. Should be value of type array."},`+invalid("fm")+`,
			`+invalid("createdTime")+`,`+invalid("createdTime")+`,`+invalid("updatedTime")+`,{"item":{"id":2}}]`)
		call(t, p, "crm.item.get", `{"entityTypeId":3,"id":1}`).contains(t, "result.item", `{"name":"A","createdTime":"2000-01-01T10:00:00+02:00",
			"updatedTime":"2000-01-01T11:00:00+02:00","createdBy":5,"phone":"+1"}`)
		many := `{"name":"x"}` + strings.Repeat(`,{"name":"x"}`, 20)
		if r := call(t, p, "crm.item.batchImport", `{"entityTypeId":3,"data":[`+many+`]}`); r.status != 400 || r.at("error") != "MAX_IMPORT_BATCH_SIZE_EXCEEDED" {
			t.Errorf("21 items: %d %s", r.status, r.text)
		}
		call(t, p, "crm.item.batchImport", `{"entityTypeId":3}`).wantError(t, 400, "100", "Could not find value for parameter {data}")
		call(t, p, "crm.item.import", `{"entityTypeId":2,"fields":{"title":"X","createdTime":"2000-01-01T12:00:00+02:00","movedTime":"2000-01-01T13:00:00+02:00","movedBy":4}}`).
			want(t, "result", `{"item":{"id":1}}`)
		call(t, p, "crm.deal.get", `{"id":1}`).contains(t, "result", `{"DATE_CREATE":"2000-01-01T12:00:00+02:00","MOVED_TIME":"2000-01-01T13:00:00+02:00","MOVED_BY_ID":"4"}`)

		// The classic way in, and what an employee may not set.
		call(t, p, "crm.contact.add", `{"fields":{"NAME":"G","DATE_CREATE":"2000-01-02T02:00:00+02:00","DATE_MODIFY":"2000-01-02T02:00:00+02:00"},"params":{"IMPORT":"Y"}}`).want(t, "result", "3")
		call(t, p, "crm.contact.get", `{"id":3}`).contains(t, "result", `{"DATE_CREATE":"2000-01-02T02:00:00+02:00"}`)
		call(t, p, "crm.contact.add", `{"fields":{"NAME":"H","DATE_CREATE":"2000-01-01T02:00:00+02:00"},"params":{"IMPORT":"Y"}}`).wantError(t, 400, "ERROR_CORE", "Invalid value of field 'DATE_CREATE'")
		p.SetAdmin(1, false)
		call(t, p, "crm.item.import", `{"entityTypeId":3,"fields":{"name":"I","createdBy":5}}`).want(t, "result.item.id", "4")
		call(t, p, "crm.item.get", `{"entityTypeId":3,"id":4}`).contains(t, "result.item", `{"createdBy":1,"createdTime":"2000-01-02T02:00:00+02:00"}`)
	})
}

func TestF44Bindings(t *testing.T) {
	p := portal(bitrix24test.Options{})
	for i := range 4 {
		p.Put(bitrix24test.Contact, map[string]any{"id": 10 + i, "name": "C"})
	}
	for family, code := range map[string]string{"crm.deal.contact.": "deal", "crm.lead.contact.": "lead"} {
		call(t, p, "crm."+code+".add", `{"fields":{"TITLE":"D","CONTACT_IDS":[11,10,11]}}`)
		get := func(want string) {
			t.Helper()
			call(t, p, family+"items.get", `{"id":1}`).want(t, "result", want)
		}
		get(`[{"CONTACT_ID":11,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"Y"},{"CONTACT_ID":10,"SORT":20,"ROLE_ID":0,"IS_PRIMARY":"N"}]`)
		call(t, p, family+"add", `{"id":1,"fields":{"CONTACT_ID":12,"SORT":5,"IS_PRIMARY":"Y"}}`).want(t, "result", "true")
		call(t, p, family+"add", `{"id":1,"fields":{"CONTACT_ID":12}}`).want(t, "result", "false")
		get(`[{"CONTACT_ID":12,"SORT":5,"ROLE_ID":0,"IS_PRIMARY":"Y"},{"CONTACT_ID":11,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"N"},{"CONTACT_ID":10,"SORT":20,"ROLE_ID":0,"IS_PRIMARY":"N"}]`)
		call(t, p, "crm."+code+".get", `{"id":1}`).want(t, "result.CONTACT_ID", `"12"`)
		call(t, p, family+"delete", `{"id":1,"fields":{"CONTACT_ID":12}}`).want(t, "result", "true")
		call(t, p, family+"delete", `{"id":1,"fields":{"CONTACT_ID":12}}`).want(t, "result", "false")
		get(`[{"CONTACT_ID":11,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"Y"},{"CONTACT_ID":10,"SORT":20,"ROLE_ID":0,"IS_PRIMARY":"N"}]`)
		call(t, p, family+"items.set", `{"id":1,"items":[{"CONTACT_ID":13},{"CONTACT_ID":10,"IS_PRIMARY":"Y"},{"CONTACT_ID":11,"IS_PRIMARY":"Y"}]}`)
		get(`[{"CONTACT_ID":13,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"N"},{"CONTACT_ID":10,"SORT":20,"ROLE_ID":0,"IS_PRIMARY":"Y"},{"CONTACT_ID":11,"SORT":30,"ROLE_ID":0,"IS_PRIMARY":"N"}]`)
		call(t, p, family+"items.delete", `{"id":1}`).want(t, "result", "true")
		get(`[]`)
		call(t, p, "crm."+code+".get", `{"id":1}`).want(t, "result.CONTACT_ID", "null")

		call(t, p, family+"items.get", `{"id":99}`).wantError(t, 400, "", "Not found.")
		call(t, p, family+"items.get", `{}`).wantError(t, 400, "", "The parameter ownerEntityID is invalid or not defined.")
		call(t, p, family+"fields", `{}`).contains(t, "result", `{"CONTACT_ID":{"type":"integer","isRequired":true},"IS_PRIMARY":{"type":"char"}}`)
		if r := call(t, p, family+"items.set", `{"id":1,"items":"x"}`); r.status != 400 {
			t.Errorf("items that are no list: %s", r.text)
		}
		if r := call(t, p, family+"add", `{"id":1,"fields":{}}`); r.status != 400 {
			t.Errorf("nobody to add: %s", r.text)
		}
	}
	// A contact that is deleted is bound to nothing.
	call(t, p, "crm.item.update", `{"entityTypeId":2,"id":1,"fields":{"contactIds":[10,11]}}`).contains(t, "result.item", `{"contactId":10,"contactIds":[10,11]}`)
	call(t, p, "crm.contact.delete", `{"id":10}`)
	call(t, p, "crm.item.get", `{"entityTypeId":2,"id":1}`).contains(t, "result.item", `{"contactId":11,"contactIds":[11]}`)
	call(t, p, "crm.deal.update", `{"id":1,"fields":{"CONTACT_ID":12}}`)
	call(t, p, "crm.item.get", `{"entityTypeId":2,"id":1}`).contains(t, "result.item", `{"contactId":12,"contactIds":[12]}`)
}

func TestF44ContactsAndCompaniesAreTwoSidesOfTheSame(t *testing.T) {
	p := portal(bitrix24test.Options{})
	for i := range 3 {
		call(t, p, "crm.contact.add", `{"fields":{"NAME":"C"}}`)
		call(t, p, "crm.company.add", fmt.Sprintf(`{"fields":{"TITLE":"F%d"}}`, i))
	}
	call(t, p, "crm.contact.company.items.set", `{"id":1,"items":[{"COMPANY_ID":2},{"COMPANY_ID":3}]}`)
	call(t, p, "crm.company.contact.items.get", `{"id":2}`).want(t, "result", `[{"CONTACT_ID":1,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"Y"}]`)
	call(t, p, "crm.company.update", `{"id":3,"fields":{"CONTACT_ID":[2,1]}}`)
	call(t, p, "crm.contact.company.items.get", `{"id":2}`).want(t, "result", `[{"COMPANY_ID":3,"SORT":10,"ROLE_ID":0,"IS_PRIMARY":"Y"}]`)
	call(t, p, "crm.company.contact.items.delete", `{"id":3}`)
	call(t, p, "crm.item.get", `{"entityTypeId":3,"id":1}`).contains(t, "result.item", `{"companyId":2,"companyIds":[2]}`)
	call(t, p, "crm.item.update", `{"entityTypeId":3,"id":3,"fields":{"companyIds":[1,2]}}`).contains(t, "result.item", `{"companyId":1,"companyIds":[1,2]}`)
	call(t, p, "crm.item.get", `{"entityTypeId":4,"id":2}`).contains(t, "result.item", `{"contactIds":[1,3]}`)
	call(t, p, "crm.company.delete", `{"id":1}`)
	call(t, p, "crm.item.get", `{"entityTypeId":3,"id":3}`).contains(t, "result.item", `{"companyId":2,"companyIds":[2]}`)
}

func TestF45NewUserfields(t *testing.T) {
	p := portal(bitrix24test.Options{UserFields: []bitrix24test.UserField{{EntityTypeID: 3, Name: "UF_CRM_OLD", Type: "string", Mandatory: true}}})
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 2})
	add := func(fields string) reply { return call(t, p, "crm.contact.userfield.add", `{"fields":{`+fields+`}}`) }
	add(`"FIELD_NAME":"size","USER_TYPE_ID":"enumeration","LABEL":"Größe","LIST":[{"VALUE":"L","SORT":20},{"VALUE":"S","SORT":10}]`).want(t, "result", "302")
	add(`"FIELD_NAME":"UF_CRM_1700000009","USER_TYPE_ID":"string","MULTIPLE":"Y","EDIT_FORM_LABEL":{"en":"Tags"},"MANDATORY":"Y"`).want(t, "result", "303")
	call(t, p, "crm.contact.fields", `{}`).contains(t, "result", `{"UF_CRM_SIZE":{"type":"enumeration","isRequired":false,"isDynamic":true,"formLabel":"Größe","items":[{"ID":"41","VALUE":"S"},{"ID":"42","VALUE":"L"}]},
		"UF_CRM_1700000009":{"isMultiple":true,"isRequired":true,"formLabel":"Tags"}}`)
	call(t, p, "crm.item.fields", `{"entityTypeId":3}`).contains(t, "result.fields", `{"ufCrmSize":{"upperName":"UF_CRM_SIZE"},"ufCrm_1700000009":{"upperName":"UF_CRM_1700000009"}}`)
	call(t, p, "crm.contact.userfield.list", `{"filter":{"FIELD_NAME":"UF_CRM_SIZE"}}`).contains(t, "result.0", `{"ID":"302","ENTITY_ID":"CRM_CONTACT","USER_TYPE_ID":"enumeration","MULTIPLE":"N"}`)
	// Records from before have nothing in it, and take values and filters at once.
	call(t, p, "crm.item.get", `{"entityTypeId":3,"id":1}`).contains(t, "result.item", `{"ufCrmSize":null,"ufCrm_1700000009":[]}`)
	call(t, p, "crm.contact.update", `{"id":2,"fields":{"UF_CRM_SIZE":42}}`)
	call(t, p, "crm.contact.list", `{"filter":{"UF_CRM_SIZE":42},"select":["ID","UF_CRM_SIZE"]}`).want(t, "result", `[{"ID":"2","UF_CRM_SIZE":"42"}]`)

	call(t, p, "crm.item.add", `{"entityTypeId":3,"fields":{"name":"A","ufCrmOld":"x"}}`).wantError(t, 400, "CRM_FIELD_ERROR_REQUIRED", `Field "ufCrm_1700000009" is required`)
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"A","UF_CRM_1700000009":["x"]}}`).wantError(t, 400, "ERROR_CORE", "Required field 'UF_CRM_OLD' is empty")
	for _, wrong := range []string{`"FIELD_NAME":"SIZE","USER_TYPE_ID":"string"`, `"FIELD_NAME":"A-B","USER_TYPE_ID":"string"`, `"USER_TYPE_ID":"string"`,
		`"FIELD_NAME":"X","USER_TYPE_ID":"file"`, `"FIELD_NAME":"` + strings.Repeat("A", 44) + `","USER_TYPE_ID":"string"`} {
		if r := add(wrong); r.status != 400 || r.at("error") != "ERROR_CORE" {
			t.Errorf("%s: %d %s", wrong, r.status, r.text)
		}
	}
	call(t, p, "crm.contact.userfield.add", `{}`).wantError(t, 400, "", "Parameter 'fields' must be array.")
	p.SetAdmin(1, false)
	add(`"FIELD_NAME":"X","USER_TYPE_ID":"string"`).wantError(t, 400, "", "Access denied.")
	call(t, p, "user.admin", `{}`).want(t, "result", "false")
	call(t, p, "profile", `{}`).contains(t, "result", `{"ADMIN":false}`)
}

func TestSimpleCRMHasNoLeads(t *testing.T) {
	p := portal(bitrix24test.Options{Quirks: bitrix24test.Quirks{SimpleCRM: true}})
	call(t, p, "crm.settings.mode.get", `{}`).want(t, "result", "2")
	call(t, p, "crm.lead.add", `{"fields":{"TITLE":"L","NAME":"Ana","PHONE":[{"VALUE":"+1"}],"OPPORTUNITY":12.5,"ORIGIN_ID":"o-1"}}`).want(t, "result", "1")
	call(t, p, "crm.lead.get", `{"id":1}`).wantError(t, 400, "", "Not found")
	call(t, p, "crm.item.get", `{"entityTypeId":2,"id":1}`).contains(t, "result.item", `{"title":"L","opportunity":12.5,"originId":"o-1","leadId":1,"contactId":1,"stageId":"NEW"}`)
	call(t, p, "crm.item.get", `{"entityTypeId":3,"id":1}`).contains(t, "result.item", `{"name":"Ana","phone":"+1","leadId":1}`)
	call(t, p, "crm.item.add", `{"entityTypeId":1,"fields":{"title":"M"}}`).contains(t, "result.item", `{"id":2,"title":"M","stageId":"NEW"}`)
	call(t, p, "crm.deal.get", `{"id":2}`).contains(t, "result", `{"TITLE":"M","LEAD_ID":"2","CONTACT_ID":null}`)

	p = portal(bitrix24test.Options{Quirks: bitrix24test.Quirks{SimpleCRM: true, KeepConvertedLeads: true}})
	call(t, p, "crm.lead.add", `{"fields":{"TITLE":"L"}}`)
	call(t, p, "crm.lead.get", `{"id":1}`).contains(t, "result", `{"STATUS_ID":"CONVERTED","STATUS_SEMANTIC_ID":"S"}`)
	call(t, p, "crm.deal.get", `{"id":1}`).contains(t, "result", `{"TITLE":"L","LEAD_ID":"1"}`)
}

func TestClearingThatDoesNotWork(t *testing.T) {
	p := portal(bitrix24test.Options{
		Quirks:     bitrix24test.Quirks{IgnoreClearing: true},
		UserFields: []bitrix24test.UserField{{EntityTypeID: 2, Name: "UF_CRM_1", Type: "string", Multiple: true}},
	})
	call(t, p, "crm.company.add", `{"fields":{"TITLE":"A","INDUSTRY":"IT"}}`)
	call(t, p, "crm.deal.add", `{"fields":{"TITLE":"A","UF_CRM_1":["x"],"COMMENTS":"c"}}`)
	call(t, p, "crm.item.update", `{"entityTypeId":4,"id":1,"fields":{"industry":""}}`).contains(t, "result.item", `{"industry":"IT"}`)
	call(t, p, "crm.item.update", `{"entityTypeId":2,"id":1,"fields":{"ufCrm_1":[],"comments":""}}`).contains(t, "result.item", `{"ufCrm_1":["x"],"comments":null}`)
	call(t, p, "crm.company.update", `{"id":1,"fields":{"INDUSTRY":""}}`)
	call(t, p, "crm.company.get", `{"id":1}`).contains(t, "result", `{"INDUSTRY":null}`)
}
