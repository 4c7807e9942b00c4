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

func TestF47FiftyCommandsAndNoBatchInside(t *testing.T) {
	p := portal(bitrix24test.Options{})
	commands := []string{}
	for i := range 53 {
		commands = append(commands, fmt.Sprintf(`"c%d":"server.time"`, i+1))
	}
	r := call(t, p, "batch", `{"cmd":{`+strings.Join(commands, ",")+`}}`)
	if got := len(r.at("result.result").(map[string]any)); got != 50 {
		t.Errorf("%d commands ran", got)
	}
	const tooLong = `{"error":"ERROR_BATCH_LENGTH_EXCEEDED","error_description":"Max batch length exceeded"}`
	r.want(t, "result.result_error", `{"c51":`+tooLong+`,"c52":`+tooLong+`,"c53":`+tooLong+`}`)

	call(t, p, "batch", `{"cmd":{"a":"batch?cmd[x]=server.time","b":"no.such"}}`).want(t, "result.result_error", `{
		"a":{"error":"ERROR_BATCH_METHOD_NOT_ALLOWED","error_description":"Method is not allowed for batch usage"},
		"b":{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}}`)
	call(t, p, "batch", `{"cmd":{"a":"event.get"}}`).contains(t, "result.result_error.a", `{"error":"WRONG_AUTH_TYPE"}`)
}

func TestF48CommandsRunInTheOrderGiven(t *testing.T) {
	p := seeded(60)
	// z's reference works only if a has run before it.
	const a, z = "crm.contact.list?select[]=ID&start=-1", "crm.contact.get?id=$result[a][9][ID]"
	forms := map[string]*bytesRequest{
		"JSON":  {"application/json", `{"cmd":{"z0":"server.time","a":"` + a + `","z":"` + z + `"}}`},
		"form":  {"application/x-www-form-urlencoded", "cmd[z0]=server.time&cmd[a]=" + url.QueryEscape(a) + "&cmd[z]=" + url.QueryEscape(z)},
		"query": {"", ""},
	}
	for name, body := range forms {
		address := p.WebhookURL() + "batch"
		if name == "query" {
			address += "?" + forms["form"].body
		}
		r := do(t, p, newRequest(t, "POST", address, body.contentType, body.body))
		if r.want(t, "result.result.z.ID", `"10"`); t.Failed() {
			t.Fatalf("%s: %s", name, r.text)
		}
		result := r.text[strings.Index(r.text, `"result":{"z0"`):]
		if strings.Index(result, `"z0":`) > strings.Index(result, `"a":`) || strings.Index(result, `"a":`) > strings.Index(result, `"z":`) {
			t.Errorf("%s: the order of the answer is not that of the commands: %s", name, result)
		}
	}
	reversed := call(t, p, "batch", `{"cmd":{"z":"`+z+`","a":"`+a+`"}}`)
	reversed.want(t, "result.result_error", `{"z":{"error":"","error_description":"ID is not defined or invalid."}}`)
}

type bytesRequest struct{ contentType, body string }

func TestF49Sections(t *testing.T) {
	p := seeded(60)
	r := call(t, p, "batch", `{"cmd":{"list":"crm.contact.list?select[]=ID","bad":"crm.contact.get?id=999","time":"server.time"}}`)
	r.want(t, "result.result_total", `{"list":60}`)
	r.want(t, "result.result_next", `{"list":50}`)
	r.want(t, "result.result_error", `{"bad":{"error":"","error_description":"Not found"}}`)
	r.want(t, "result.result_time", `{"list":"<TIME>","time":"<TIME>"}`)
	if r.has("total") || r.has("next") {
		t.Errorf("the batch itself has a total: %s", r.text)
	}
	// Numeric ids: a list while they are contiguous, an object with a gap.
	call(t, p, "batch", `{"cmd":["crm.contact.get?id=1","scope"]}`).contains(t, "result", `{"result_error":[],"result_time":["<TIME>","<TIME>"]}`)
	gap := call(t, p, "batch", `{"cmd":["crm.contact.get?id=999","scope"]}`)
	gap.want(t, "result.result", `{"1":["crm","user"]}`)
	gap.want(t, "result.result_error", `[{"error":"","error_description":"Not found"}]`)
}

func TestF50Halt(t *testing.T) {
	p := seeded(5)
	const commands = `"cmd":{"a":"crm.contact.list?select[]=ID","b":"crm.contact.get?id=99","c":"server.time"}}`
	for _, halt := range []string{`1`, `true`, `"1"`} {
		r := call(t, p, "batch", `{"halt":`+halt+`,`+commands)
		if ran := keys(r.at("result.result")); !ran["a"] || ran["c"] || !keys(r.at("result.result_error"))["b"] || len(ran) != 1 {
			t.Errorf("halt %s: %s", halt, r.text)
		}
	}
	for _, halt := range []string{`0`, `false`, `"0"`, `""`, `null`} {
		if r := call(t, p, "batch", `{"halt":`+halt+`,`+commands); !keys(r.at("result.result"))["c"] {
			t.Errorf("halt %s: %s", halt, r.text)
		}
	}
}

func TestF51References(t *testing.T) {
	p := seeded(60)
	p.Put(bitrix24test.Contact, map[string]any{"id": 61, "name": "5 of Lima"})
	first := `"a":"crm.item.list?entityTypeId=3&select[]=id&select[]=name&select[]=comments&order[id]=desc&start=-1"`
	run := func(p *bitrix24test.Portal, command string) reply {
		return call(t, p, "batch", `{"cmd":{`+first+`,"b":"`+command+`"}}`)
	}
	run(p, "crm.contact.get?id=$result[a][items][1][id]").want(t, "result.result.b.ID", `"60"`)
	run(p, "crm.contact.get?id=%24result%5Ba%5D%5Bitems%5D%5B1%5D%5Bid%5D").want(t, "result.result.b.ID", `"60"`)
	// Within other text a reference is replaced as text and reaches to the next space.
	run(p, "crm.contact.list?select[]=ID&filter[NAME]=$result[a][items][0][name]").want(t, "result.result.b", `[{"ID":"61"}]`)
	run(p, "crm.contact.list?select[]=ID&filter[NAME]=5 of L$result[a][items][0][id]").want(t, "result.result.b", `[]`)
	run(p, "crm.contact.get?id=$result[a][items][0][id] and $result[a][items][1][id]").want(t, "result.result.b.ID", `"61"`)
	// A list keeps its type: IN over the ids of a value that is an array.
	p.Put(bitrix24test.Contact, map[string]any{"id": 7, "companyIds": []int64{3, 5}, "name": `a "quoted" {name]\`, "lastName": "5"})
	call(t, p, "batch", `{"cmd":{"one":"crm.item.get?entityTypeId=3&id=7","two":"crm.item.list?entityTypeId=3&select[]=id&filter[@id]=$result[one][item][companyIds]",
		"three":"crm.item.get?entityTypeId=3&id=$result[one][item][lastName]"}}`).
		contains(t, "result.result", `{"two":{"items":[{"id":3},{"id":5}]},"three":{"item":{"id":5}}}`)

	const missing = "crm.contact.list?select[]=ID&filter[NAME]=$result[a][items][99][id]&start=-1"
	run(p, missing).want(t, "result.result.b", `[]`)
	seen := ""
	literal := portal(bitrix24test.Options{})
	literal.Put(bitrix24test.Contact, map[string]any{"name": "$result[a][items][99][id]"})
	if seen = encode(run(literal, missing).at("result.result.b")); seen != `[{"ID":"1"}]` {
		t.Errorf("an unresolved reference is not literal: %s", seen)
	}
	partial := portal(bitrix24test.Options{Quirks: bitrix24test.Quirks{PartialReferences: true}})
	partial.Put(bitrix24test.Contact, map[string]any{"name": "Lima"})
	run(partial, "crm.contact.get?id=$result[a][items][0][id][deeper]").want(t, "result.result.b.ID", `"1"`)
}

func TestF52ChainsGoWrongPastTheLastFullPage(t *testing.T) {
	for _, quirks := range []bitrix24test.Quirks{{}, {PartialReferences: true}} {
		p := portal(bitrix24test.Options{Quirks: quirks})
		p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 70})
		page := `crm.item.list?entityTypeId=3&order[id]=ASC&select[]=id&start=-1&filter[>id]=`
		r := call(t, p, "batch", `{"halt":1,"cmd":{"p0":"`+page+`0","p1":"`+page+`$result[p0][items][49][id]","p2":"`+page+`$result[p1][items][49][id]"}}`)
		r.want(t, "result.result.p1.items.0.id", "51")
		r.want(t, "result.result_error", "[]")
		if ids := r.ids("result.result.p2.items"); len(ids) != 50 || ids[0] != "1" {
			t.Errorf("%+v: the page after a short one has the ids %v, want the first page again", quirks, ids)
		}
	}
}

func TestF53FailureOfTheEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{
			Limits: &bitrix24test.Limits{Threshold: 1, Leak: 1, Operating: time.Second}, Quirks: bitrix24test.Quirks{BillBatch: true},
			ServerTime: func(string) time.Duration { return 2 * time.Second },
		})
		const body = `{"cmd":{"a":"server.time"}}`
		post(t, p, p.RESTURL()+"1/WRONG/batch", body).wantError(t, 401, "INVALID_CREDENTIALS", "Invalid request credentials")
		if r := call(t, p, "batch", body); r.status != 200 {
			t.Fatalf("the first batch: %d %s", r.status, r.text)
		}
		call(t, p, "batch", body).wantError(t, 429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
		call(t, p, "batch", body).wantError(t, 429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
		call(t, p, "batch", body).wantError(t, 503, "QUERY_LIMIT_EXCEEDED", "Too many requests")
	})
}
