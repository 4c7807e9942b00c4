package mapping_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/enlace-go/enlace/mapping"
)

// must compiles a mapping that is known to be right.
func must(m mapping.Mapping) *mapping.Compiled {
	c, err := mapping.Compile(m)
	if err != nil {
		panic(err)
	}
	return c
}

// A mapping is stored as JSON. Ids and amounts keep every digit, and times become UTC.
func Example() {
	m, err := mapping.Parse([]byte(`{
		"name": "bitrix24/deals", "version": 1, "from_zone": "America/Sao_Paulo",
		"fields": [
			{"from": "id", "to": "external_id", "type": "id", "required": true},
			{"from": "title", "to": "title", "type": "text", "default": "untitled"},
			{"from": "opportunity", "to": "amount.value", "type": "decimal"},
			{"from": "currencyId", "to": "amount.currency", "default": "BRL"},
			{"from": "closed", "to": "closed", "type": "boolean", "from_format": "Y/N"},
			{"from": "stageId", "to": "stage", "values": [{"from": "NEW", "to": "open"}, {"from": "WON", "to": "won"}]},
			{"from": "begindate", "to": "starts_on", "type": "date", "from_format": "02/01/2006"},
			{"from": "updatedTime", "to": "updated_at", "type": "time"}
		]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	deals, err := mapping.Compile(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := deals.Apply(json.RawMessage(`{"id": 9007199254740993, "title": "", "opportunity": 1234.50, "currencyId": null,
		"closed": "N", "stageId": "NEW", "begindate": "31/01/2026", "updatedTime": "2026-01-30T21:00:00-03:00"}`))
	fmt.Println(string(result.Data), err)
	// Output:
	// {"external_id":"9007199254740993","title":"","amount":{"value":"1234.50","currency":"BRL"},"closed":false,"stage":"open","starts_on":"2026-01-31","updated_at":"2026-01-31T00:00:00Z"} <nil>
}

// Everything that is wrong with a mapping is said at once.
func ExampleCompile_faults() {
	_, err := mapping.Compile(mapping.Mapping{Name: "contacts", Version: 1, FromZone: "Mars/Olympus", Fields: []mapping.Field{
		{From: "name", To: "name", Type: "txt"},
		{From: "phones[", To: "phone"},
		{From: "born", To: "name", Type: mapping.Date, FromFormat: "02/01"},
	}})
	var wrong *mapping.Error
	if errors.As(err, &wrong) {
		for _, f := range wrong.Faults {
			fmt.Println(f.Field, f.Reason)
		}
	}
	// Output:
	// from_zone unknown
	// fields[0].type unknown
	// fields[1].from syntax
	// fields[2].from_format unknown
	// fields[2].to conflict
}

// Rules decide which records and fields are mapped.
func ExampleMapping_rules() {
	leads := must(mapping.Mapping{
		Name: "leads", Version: 1,
		When: &mapping.Condition{Path: "stage", In: []mapping.Literal{mapping.Of("new"), mapping.Of("open")}},
		Filters: []mapping.Filter{
			{Reason: "test data", If: mapping.Condition{Path: "email", Matches: `@example\.com$`}},
			{Reason: "too old", If: mapping.Condition{Path: "created", Type: mapping.Time, Less: mapping.Of("2025-01-01")}},
		},
		Fields: []mapping.Field{
			{From: "email", To: "email", Required: true},
			{From: "amount", To: "big_amount", When: &mapping.Condition{Path: "amount", GreaterOrEqual: mapping.Of(1000)}},
		},
	})
	for _, record := range []string{
		`{"stage":"open","email":"ana@acme.com.br","created":"2025-06-01T12:00:00Z","amount":"1000.00"}`,
		`{"stage":"open","email":"bia@acme.com.br","created":"2025-06-01T12:00:00Z","amount":999.99}`,
		`{"stage":"lost","email":"ana@acme.com.br"}`,
		`{"stage":"open","email":"x@example.com"}`,
		`{"stage":"open","email":"ana@acme.com.br","created":"2024-12-31T23:59:59Z"}`,
		`{"stage":"open","email":null}`,
	} {
		result, err := leads.Apply(json.RawMessage(record))
		if wrong, ok := errors.AsType[*mapping.Error](err); ok {
			fmt.Println("fault:", wrong.Faults[0].Field, wrong.Faults[0].Reason)
		} else if result.Skipped != "" {
			fmt.Println("skipped:", result.Skipped)
		} else {
			fmt.Println(string(result.Data))
		}
	}
	// Output:
	// {"email":"ana@acme.com.br","big_amount":"1000.00"}
	// {"email":"bia@acme.com.br"}
	// skipped: when
	// skipped: test data
	// skipped: too old
	// fault: email required
}

// A list within a record goes to a list, or to several fields by selection.
func ExampleField_each() {
	contacts := must(mapping.Mapping{Name: "contacts", Version: 1, Fields: []mapping.Field{
		{From: "fm[typeId=EMAIL].value", To: "email"},
		{From: "fm", To: "phones", Where: &mapping.Condition{Path: "typeId", Equals: mapping.Of("PHONE")}, Each: []mapping.Field{
			{From: "value", To: "number"},
			{From: "valueType", To: "kind", Values: []mapping.Pair{{From: mapping.Of("WORK"), To: mapping.Of("work")}}, Other: mapping.OtherKeep},
		}},
		{From: "companyIds", To: "companies", List: true, Type: mapping.ID},
	}})
	result, err := contacts.Apply(json.RawMessage(`{"fm":[
		{"typeId":"PHONE","valueType":"WORK","value":"+55 11 5555-0001"},
		{"typeId":"EMAIL","valueType":"HOME","value":"ana@acme.com.br"},
		{"typeId":"PHONE","valueType":"MOBILE","value":"+55 11 95555-0002"}],
		"companyIds":[7,"8"]}`))
	fmt.Println(string(result.Data), err)
	// Output:
	// {"email":"ana@acme.com.br","phones":[{"number":"+55 11 5555-0001","kind":"work"},{"number":"+55 11 95555-0002","kind":"MOBILE"}],"companies":["7","8"]} <nil>
}

// One record becomes several.
func ExampleMapping_split() {
	items := must(mapping.Mapping{Name: "deal items", Version: 1, Split: "products", Fields: []mapping.Field{
		{From: "id", To: "deal_id", Type: mapping.ID},
		{From: "products[].sku", To: "sku"},
		{From: "products[].price", To: "price", Type: mapping.Decimal},
	}})
	result, err := items.Apply(json.RawMessage(`{"id":12,"products":[{"sku":"A","price":9.90},{"sku":"B","price":"0.10"}]}`))
	for record := range result.Records() {
		fmt.Println(string(record), err)
	}
	// Output:
	// {"deal_id":"12","sku":"A","price":"9.90"} <nil>
	// {"deal_id":"12","sku":"B","price":"0.10"} <nil>
}

// The inverse writes the parts of the provider's record that the mapping reads.
func ExampleCompiled_Invert() {
	contacts := must(mapping.Mapping{Name: "contacts", Version: 1, Fields: []mapping.Field{
		{From: "NAME", To: "name"},
		{From: "BIRTHDATE", To: "born_on", Type: mapping.Date, FromFormat: "02.01.2006"},
		{From: "PHONE[VALUE_TYPE=WORK].VALUE", To: "work_phone"},
		{From: "OPENED", To: "public", Type: mapping.Boolean, FromFormat: "Y/N"},
	}})
	back, err := contacts.Invert()
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := back.Apply(json.RawMessage(`{"name":"Ana","born_on":"1990-05-17","work_phone":"+55 11 5555-0001","public":true}`))
	fmt.Println(string(result.Data), err)
	// Output:
	// {"NAME":"Ana","BIRTHDATE":"17.05.1990","PHONE":[{"VALUE_TYPE":"WORK","VALUE":"+55 11 5555-0001"}],"OPENED":"Y"} <nil>
}

// A format without seconds loses those that there are.
func ExampleCompiled_CheckRoundTrip() {
	tasks := must(mapping.Mapping{Name: "tasks", Version: 1, Fields: []mapping.Field{
		{From: "title", To: "title"},
		{From: "due", To: "due", Type: mapping.Time, ToFormat: "2006-01-02 15:04"},
	}})
	report, err := tasks.CheckRoundTrip(slices.Values([]json.RawMessage{
		json.RawMessage(`{"title":"call","due":"2026-01-31T10:00:00Z"}`),
		json.RawMessage(`{"title":"visit","due":"2026-01-31T10:00:30Z"}`),
	}))
	fmt.Println(report, err)
	// Output:
	// 2 samples, 0 skipped, 0 refused, 1 lossy: due (sample 1: the value came back with another meaning) <nil>
}

// A new version runs beside the released one before anybody gets it.
func ExampleShadow() {
	released := must(mapping.Mapping{Name: "contacts", Version: 1, Fields: []mapping.Field{
		{From: "name", To: "name"}, {From: "phone", To: "phone"}, {From: "born", To: "born"},
	}})
	candidate := must(mapping.Mapping{Name: "contacts", Version: 2, Fields: []mapping.Field{
		{From: "name", To: "name"}, {From: "born", To: "born", Type: mapping.Date, FromFormat: "02/01/2006"},
	}})
	report := mapping.Shadow(released, candidate, slices.Values([]json.RawMessage{
		json.RawMessage(`{"name":"Ana","phone":"+55 11 5555-0001","born":"17/05/1990"}`),
		json.RawMessage(`{"name":"Bia"}`),
		json.RawMessage(`{"name":"Caio","born":"05/17/1990"}`),
	}), mapping.ShadowOptions{})
	fmt.Println(report.Payloads, "payloads:", report.Same, "same,", report.Changed, "changed,", report.NewlyRefused, "newly refused")
	for _, f := range report.Fields {
		fmt.Println(f.Path, "added", f.Added, "removed", f.Removed, "changed", f.Changed, f.Samples)
	}
	fmt.Println(report.Faults)
	// Output:
	// 3 payloads: 1 same, 1 changed, 1 newly refused
	// born added 0 removed 0 changed 1 [{0 "00/00/0000" "0000-00-00"}]
	// phone added 0 removed 1 changed 0 [{0 "+00 00 0000-0000" }]
	// [{born type 1}]
}

// A tenant's own fields lie over what all tenants share.
func ExampleMapping_With() {
	shared := mapping.Mapping{Name: "contacts", Version: 3, Fields: []mapping.Field{
		{From: "name", To: "name"}, {From: "phone", To: "phone"}, {From: "notes", To: "notes"},
	}}
	own := must(shared.With(mapping.Mapping{Name: "contacts of acme", Fields: []mapping.Field{
		{From: "cf_whatsapp", To: "phone"}, // another source
		{To: "notes"},                      // not wanted
		{From: "cf_size", To: "size", Type: mapping.Integer},
	}}))
	result, err := own.Apply(json.RawMessage(`{"name":"Ana","phone":"1","cf_whatsapp":"2","notes":"n","cf_size":"40"}`))
	fmt.Println(string(result.Data), err)
	// Output:
	// {"name":"Ana","phone":"2","size":40} <nil>
}

// Names, types and samples say which fields belong together, and why.
func ExampleSuggest() {
	local := mapping.Schema{Fields: []mapping.SchemaField{
		{Path: "full_name"}, {Path: "mobile", Type: mapping.Text}, {Path: "tax_id"},
		{Path: "created_at", Type: mapping.Time}, {Path: "vip", Type: mapping.Boolean},
	}}
	account := mapping.SchemaOf(slices.Values([]json.RawMessage{json.RawMessage(
		`{"nome_completo":"Ana Souza","celular":"+55 11 95555-0002","cpf":"529.982.247-25","data_criacao":"17/05/2025 10:00:00","cor":"azul"}`)}))
	for _, s := range mapping.Suggest(local, account) {
		fmt.Printf("%.2f %s <- %s (%s)\n", s.Score, s.Field.To, s.Field.From, s.Field.Type)
		for _, e := range s.Evidence {
			fmt.Printf("  %+.2f %s\n", e.Weight, e.Text)
		}
	}
	// Output:
	// 0.85 mobile <- celular (text)
	//   +0.80 "mobile" and "celular" mean the same: mobile
	//   +0.05 both are of type text
	// 0.85 created_at <- data_criacao (time)
	//   +0.80 "created_at" and "data_criacao" mean the same: created
	//   +0.05 both are of type time
	// 0.80 full_name <- nome_completo (text)
	//   +0.80 "full_name" and "nome_completo" mean the same: full name
	// 0.64 tax_id <- cpf (text)
	//   +0.64 "tax_id" and "cpf" have in common: document
}

// A host may put a language model behind the interface. What it makes up is refused.
func ExamplePropose() {
	model := mapping.SuggesterFunc(func(context.Context, mapping.Schema, mapping.Schema) ([]mapping.Suggestion, error) {
		return []mapping.Suggestion{
			{Score: 0.9, Field: mapping.Field{From: "apelido", To: "nickname"}, Evidence: []mapping.Evidence{{Kind: "model", Text: "apelido is a nickname"}}},
			{Score: 0.8, Field: mapping.Field{From: "alias", To: "nickname"}},
		}, nil
	})
	local := mapping.Schema{Fields: []mapping.SchemaField{{Path: "nickname"}}}
	account := mapping.Schema{Fields: []mapping.SchemaField{{Path: "apelido"}, {Path: "nome"}}}
	proposal, err := mapping.Propose(context.Background(), model, local, account)
	fmt.Println(len(proposal.Accepted), proposal.Accepted[0].Field.From, err)
	fmt.Println(proposal.Refused[0].Suggestion.Field.From, "refused:", proposal.Refused[0].Reason)
	// Output:
	// 1 apelido <nil>
	// alias refused: the account has no such field
}
