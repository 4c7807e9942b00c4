package mapping_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/mapping"
)

func schema(paths ...string) (s mapping.Schema) {
	for _, path := range paths {
		s.Fields = append(s.Fields, mapping.SchemaField{Path: path})
	}
	return s
}

func samples(values ...string) (raw []json.RawMessage) {
	for _, v := range values {
		raw = append(raw, json.RawMessage(v))
	}
	return raw
}

// pairs lists suggestions as "to<-from", sorted.
func pairs(suggestions []mapping.Suggestion) string {
	var all []string
	for _, s := range suggestions {
		all = append(all, s.Field.To+"<-"+s.Field.From)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestNamesInBothLanguages(t *testing.T) {
	for local, account := range map[string]string{
		"name": "nome", "last_name": "Sobrenome", "lastName": "LAST_NAME", "lastname": "ÚLTIMO_NOME", "phone": "telefone",
		"mobile": "Telefone Celular", "e-mail": "Email", "cpf": "CPF", "company": "empresa", "company_name": "razao_social",
		"amount": "valor", "total_amount": "valorTotal", "created_at": "Data de Criação", "createdAt": "criado_em",
		"updated_at": "data_atualizacao", "birth_date": "DataNascimento", "city": "município", "zip": "CEP",
		"contact.address.city": "contato.endereco.cidade", "tags": "etiquetas", "stage": "etapa", "owner": "responsável",
		"description": "observações", "customers": "cliente", "telephone": "telephones", "subscription": "subscriptin", "job_title": "cargo",
		"HTTPStatus": "http_status", "custom_size": "cf_size",
	} {
		got := mapping.Suggest(schema(local), schema(account))
		if len(got) != 1 || got[0].Score < 0.5 || got[0].Score > 1 || got[0].Evidence[0].Kind != "name" {
			t.Errorf("%s and %s: %+v", local, account, got)
		}
	}
	for local, account := range map[string]string{
		"name": "telefone", "city": "country", "created_at": "updated_at", "amount": "moeda", "birth_date": "close_date", "a": "b", "": "", "ab": "abc",
	} {
		if got := mapping.Suggest(schema(local), schema(account)); len(got) != 0 {
			t.Errorf("%s and %s: %+v", local, account, got)
		}
	}
}

func TestEachFieldOnce(t *testing.T) {
	local := schema("first_name", "last_name", "name", "phone", "mobile", "email", "created", "updated")
	account := schema("nome", "primeiro_nome", "sobrenome", "celular", "telefone", "e_mail", "data_criacao", "data_modificacao", "modificado_em")
	const want = "created<-data_criacao email<-e_mail first_name<-primeiro_nome last_name<-sobrenome mobile<-celular name<-nome phone<-telefone updated<-modificado_em"
	got := mapping.Suggest(local, account)
	if pairs(got) != want {
		t.Error(pairs(got))
	}
	slices.Reverse(account.Fields)
	if again := mapping.Suggest(local, account); pairs(again) != want {
		t.Error("the order of the fields changes the suggestions:", pairs(again))
	}
	if !slices.IsSortedFunc(got, func(a, b mapping.Suggestion) int { return int(1000 * (b.Score - a.Score)) }) {
		t.Error("the best is not first")
	}
}

func TestSamplesDecide(t *testing.T) {
	field := func(path string, typ mapping.Type, values ...string) mapping.Schema {
		return mapping.Schema{Fields: []mapping.SchemaField{{Path: path, Type: typ, Samples: samples(values...)}}}
	}
	for _, test := range []struct {
		local, account mapping.Schema
		kind           string // of the evidence that is looked for
		sign           float64
	}{
		{field("x", "", `"a@b.com.br"`), field("uf_1", "", `"c@d.org"`, `"e@f.org"`), "samples", 1},
		{field("x", "", `"+55 11 5555-0001"`), field("uf_1", "", `"(11) 95555-0002"`), "samples", 1},
		{field("x", "", `"529.982.247-25"`), field("uf_1", "", `"52998224725"`), "samples", 1},
		{field("x", "", `"11.222.333/0001-81"`), field("uf_1", "", `"12.ABC.345/01DE-35"`), "samples", 1},
		{field("x", "", `"https://a.br/x"`), field("uf_1", "", `"http://b.br"`), "samples", 1},
		{field("email", "", `"a@b.com"`), field("email", "", `"https://a.br"`), "samples", -1},
		{field("closed", mapping.Boolean), field("closed", mapping.Time), "type", -1},
		{field("amount", mapping.Decimal), field("valor", mapping.Decimal), "type", 1},
	} {
		got, _ := mapping.Names{MinScore: 0.1}.Suggest(t.Context(), test.local, test.account)
		if len(got) != 1 || !slices.ContainsFunc(got[0].Evidence, func(e mapping.Evidence) bool { return e.Kind == test.kind && e.Weight*test.sign > 0 }) {
			t.Errorf("%+v: %+v", test.account, got)
		}
	}
	// Wrong check digits, equal digits, a plain number: no sign of a document.
	for _, value := range []string{`"529.982.247-26"`, `"111.111.111-11"`, `"11.222.333/0001-82"`, `"00.000.000/0000-00"`, `12345678`, `"x@y"`, `"ftp://x"`, `"+55"`, `{}`, `"`} {
		if got := mapping.Suggest(field("x", "", value), field("uf_1", "", value)); len(got) != 0 {
			t.Errorf("%s: %+v", value, got)
		}
	}
}

// A suggested field converts what the samples show.
func TestSuggestedConversions(t *testing.T) {
	for _, test := range []struct {
		local  mapping.SchemaField
		sample string
		wants  string
	}{
		{mapping.SchemaField{Type: mapping.Date}, `"31/01/2026"`, `"2026-01-31"`},
		{mapping.SchemaField{Type: mapping.Date}, `"31.01.2026 10:00:00"`, `"2026-01-31"`},
		{mapping.SchemaField{Type: mapping.Date}, `"2026-01-31T10:00:00-03:00"`, `"2026-01-31"`},
		{mapping.SchemaField{Type: mapping.Time}, `"2026-01-31"`, `"2026-01-31T00:00:00Z"`},
		{mapping.SchemaField{Type: mapping.Time}, `"2026-01-31 10:00:00"`, `"2026-01-31T10:00:00Z"`},
		{mapping.SchemaField{Type: mapping.Time}, `1767225600`, `"2026-01-01T00:00:00Z"`},
		{mapping.SchemaField{Type: mapping.Time}, `1767225600000`, `"2026-01-01T00:00:00Z"`},
		{mapping.SchemaField{Type: mapping.Decimal}, `"1.234,50"`, `"1234.50"`},
		{mapping.SchemaField{Type: mapping.Decimal}, `12`, `"12"`},
		{mapping.SchemaField{Type: mapping.Boolean}, `"S"`, `true`},
		{mapping.SchemaField{Samples: samples(`"31/12/2025"`)}, `"2026-01-31"`, `"31/01/2026"`},
		{mapping.SchemaField{Samples: samples(`"Y"`)}, `true`, `"Y"`},
		{mapping.SchemaField{Samples: samples(`1`, `2.5`)}, `"1.50"`, `"1.50"`},
		{mapping.SchemaField{Type: mapping.Text}, `12`, `"12"`},
		{mapping.SchemaField{Type: mapping.ID}, `12`, `"12"`},
	} {
		test.local.Path = "thing"
		account := mapping.SchemaOf(slices.Values(samples(`{"thing":` + test.sample + `}`)))
		got := mapping.Suggest(mapping.Schema{Fields: []mapping.SchemaField{test.local}}, account)
		if len(got) != 1 {
			t.Errorf("%s: %+v", test.sample, got)
			continue
		}
		c := must(mapping.Mapping{Name: "n", Version: 1, Fields: []mapping.Field{got[0].Field}})
		result, err := c.Apply(json.RawMessage(`{"thing":` + test.sample + `}`))
		if string(result.Data) != `{"thing":`+test.wants+`}` {
			t.Errorf("%s is %s, want %s, %v, %+v", test.sample, result.Data, test.wants, err, got[0].Field)
		}
	}
	// What cannot be converted is not suggested.
	local := mapping.Schema{Fields: []mapping.SchemaField{{Path: "thing", Type: mapping.Integer}}}
	if got := mapping.Suggest(local, mapping.SchemaOf(slices.Values(samples(`{"thing":"blue"}`)))); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestSynonymsAliasesTitles(t *testing.T) {
	if got := mapping.Suggest(schema("matricula"), schema("enrollment")); len(got) != 0 {
		t.Error(got)
	}
	own := mapping.Names{Synonyms: [][]string{{"enrollment", "matrícula"}}}
	if got, err := own.Suggest(t.Context(), schema("matricula"), schema("enrollment")); len(got) != 1 || err != nil {
		t.Error(got, err)
	}
	account := mapping.Schema{Fields: []mapping.SchemaField{{Path: "UF_CRM_1591", Title: "Data de nascimento"}, {Path: "uf_2", Aliases: []string{"E-mail"}}}}
	if got := pairs(mapping.Suggest(schema("birthday", "email"), account)); got != "birthday<-UF_CRM_1591 email<-uf_2" {
		t.Error(got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (mapping.Names{}).Suggest(ended, mapping.Schema{}, mapping.Schema{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A list is mapped as one, and what the account does not take back goes one way.
func TestWhatTheAccountSaysIsKept(t *testing.T) {
	account := mapping.Schema{Fields: []mapping.SchemaField{
		{Path: "etiquetas", List: true, Samples: samples(`"a"`, `"b"`)},
		{Path: "data_criacao", ReadOnly: true, Type: mapping.Time},
		{Path: "valores", List: true, Samples: samples(`"x"`)},
	}}
	local := mapping.Schema{Fields: []mapping.SchemaField{{Path: "tags", Type: mapping.Text}, {Path: "created_at", Type: mapping.Time}, {Path: "values", Type: mapping.Integer}}}
	for _, s := range mapping.Suggest(local, account) {
		f := s.Field
		switch {
		case f.To == "tags" && f.List && !f.OneWay:
		case f.To == "created_at" && !f.List && f.OneWay:
		default:
			t.Errorf("%+v", s)
		}
	}
	if got := pairs(mapping.Suggest(local, account)); got != "created_at<-data_criacao tags<-etiquetas" {
		t.Error(got)
	}
}

// Fields of choices get a value table, if every choice has its own on the other side.
func TestChoicesBecomeValueTables(t *testing.T) {
	stage := []mapping.Choice{{Value: "C1:NEW", Label: "Novo"}, {Value: "C1:WON", Label: "Ganho"}, {Value: "C1:LOSE", Label: "Perdido"}}
	states := []mapping.Choice{{Value: "lost"}, {Value: "new"}, {Value: "won"}}
	for name, test := range map[string]struct {
		local, account mapping.SchemaField
		values         string // empty if there is none
	}{
		"both, in two languages": {mapping.SchemaField{Path: "stage", Choices: states}, mapping.SchemaField{Path: "etapa", Choices: stage, Samples: samples(`"C1:NEW"`, `""`)},
			`[{"from":"C1:NEW","to":"new"},{"from":"C1:WON","to":"won"},{"from":"C1:LOSE","to":"lost"}]`},
		"labels into a text": {mapping.SchemaField{Path: "stage", Type: mapping.Text}, mapping.SchemaField{Path: "etapa", Type: mapping.ID, Choices: stage[:1]}, `[{"from":"C1:NEW","to":"Novo"}]`},
		"one is left over":   {mapping.SchemaField{Path: "stage", Choices: states[:2]}, mapping.SchemaField{Path: "etapa", Choices: stage}, ""},
		"two of the same":    {mapping.SchemaField{Path: "stage", Choices: states}, mapping.SchemaField{Path: "etapa", Choices: append(stage[:3:3], mapping.Choice{Value: "C2:NEW", Label: "Nova"})}, ""},
		"ambiguous here":     {mapping.SchemaField{Path: "stage", Choices: append(states[:3:3], mapping.Choice{Value: "novo"})}, mapping.SchemaField{Path: "etapa", Choices: stage}, ""},
		"not a text":         {mapping.SchemaField{Path: "stage"}, mapping.SchemaField{Path: "etapa", Choices: stage}, ""},
		"no labels":          {mapping.SchemaField{Path: "stage", Type: mapping.Text}, mapping.SchemaField{Path: "etapa", Choices: states}, ""},
		"a sample of none":   {mapping.SchemaField{Path: "stage", Choices: states}, mapping.SchemaField{Path: "etapa", Choices: stage, Samples: samples(`"C9:NEW"`)}, ""},
		"the same already":   {mapping.SchemaField{Path: "stage", Choices: states}, mapping.SchemaField{Path: "etapa", Choices: states}, ""},
		"too many":           {mapping.SchemaField{Path: "stage", Type: mapping.Text}, mapping.SchemaField{Path: "etapa", Choices: slices.Repeat(stage, 100)}, ""},
	} {
		got := mapping.Suggest(mapping.Schema{Fields: []mapping.SchemaField{test.local}}, mapping.Schema{Fields: []mapping.SchemaField{test.account}})
		if len(got) != 1 {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		text, _ := json.Marshal(got[0].Field.Values)
		if test.values == "" && got[0].Field.Values != nil || test.values != "" && string(text) != test.values {
			t.Errorf("%s: %s, want %s", name, text, test.values)
		}
		has := slices.ContainsFunc(got[0].Evidence, func(e mapping.Evidence) bool { return e.Kind == "values" })
		if has != (test.values != "") || got[0].Score > 1 {
			t.Errorf("%s: %+v", name, got[0])
		}
	}
}

func TestSchemaOf(t *testing.T) {
	s := mapping.SchemaOf(slices.Values(samples(
		`{"id":1,"a.b":{"c":"x","d":{}},"list":[1,null,"2",{}],"objects":[{"x":1}],"":1,"no":null}`, `broken`, `[1]`, `{"id":1,"a.b":{"c":"y","e":""}}`, `{"id":2}`, `{"id":3}`, `{"id":4}`, `{"id":5}`, `{"id":6}`,
		`{"long":"`+strings.Repeat("x", 1000)+`"}`)))
	var got []string
	for _, f := range s.Fields {
		got = append(got, fmt.Sprintf("%s %s", f.Path, f.Samples))
		if f.List != (f.Path == "list") {
			t.Errorf("%s: a list %v", f.Path, f.List)
		}
	}
	const want = `id [1 2 3 4 5] a\.b.c ["x" "y"] list [1 "2"] objects [] no [] a\.b.e [] long []`
	if strings.Join(got, " ") != want {
		t.Error(strings.Join(got, " "))
	}
	var wide strings.Builder
	for i := range 2 * mapping.MaxSchemaFields {
		fmt.Fprintf(&wide, `,"f%d":%d`, i, i)
	}
	endless := func(yield func(json.RawMessage) bool) {
		for record := "{" + wide.String()[1:] + "}"; yield(json.RawMessage(record)); record = `{"z":1}` {
		}
	}
	if s := mapping.SchemaOf(endless); len(s.Fields) != mapping.MaxSchemaFields {
		t.Error(len(s.Fields))
	}
}

// A stranger's suggestions are checked as a stranger's.
func TestProposeRefuses(t *testing.T) {
	local, account := schema("name", "age", "x"), schema("nome", "idade")
	account.Fields[0].Samples = samples(`"Ana"`, `null`)
	fine := mapping.Field{From: "idade", To: "age", Type: mapping.Integer}
	bad := map[string]mapping.Suggestion{
		"a made up source":         {Score: 1, Field: mapping.Field{From: "years", To: "age"}},
		"a made up target":         {Score: 1, Field: mapping.Field{From: "idade", To: "years"}},
		"a score above 1":          {Score: 1.1, Field: fine},
		"a score that is no score": {Score: math.NaN(), Field: fine},
		"a constant":               {Score: 1, Field: mapping.Field{To: "age", Const: mapping.Of(7)}},
		"another source":           {Score: 1, Field: mapping.Field{From: "idade", Or: []string{"nome"}, To: "age"}},
		"a rule":                   {Score: 1, Field: mapping.Field{From: "idade", To: "age", Required: true}},
		"literals that are none":   {Score: 1, Field: mapping.Field{From: "idade", To: "age", Values: []mapping.Pair{{From: mapping.Literal("?")}}, Const: mapping.Literal("?")}},
		"a type that is none":      {Score: 1, Field: mapping.Field{From: "idade", To: "age", Type: "years"}},
		"a type that does not fit": {Score: 1, Field: mapping.Field{From: "nome", To: "name", Type: mapping.Integer}},
	}
	for name, s := range bad {
		suggester := mapping.SuggesterFunc(func(context.Context, mapping.Schema, mapping.Schema) ([]mapping.Suggestion, error) {
			return []mapping.Suggestion{s}, nil
		})
		p, err := mapping.Propose(t.Context(), suggester, local, account)
		if len(p.Accepted) != 0 || len(p.Refused) != 1 || p.Refused[0].Reason == "" || err != nil {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
	long := strings.Repeat("é", 10_000)
	many := mapping.SuggesterFunc(func(context.Context, mapping.Schema, mapping.Schema) ([]mapping.Suggestion, error) {
		s := mapping.Suggestion{Score: 0.5, Field: fine, Evidence: slices.Repeat([]mapping.Evidence{{Text: "a" + long}}, 100)}
		better := mapping.Suggestion{Score: 0.6, Field: mapping.Field{From: "idade", To: "x"}}
		return append(slices.Repeat([]mapping.Suggestion{s}, 5000), better, mapping.Suggestion{Score: 0.7, Field: mapping.Field{From: "nome", To: "name"}}), nil
	})
	p, err := mapping.Propose(t.Context(), many, local, account)
	if err != nil || len(p.Accepted) != 1 || len(p.Refused) > 2*mapping.MaxSchemaFields {
		t.Error(len(p.Accepted), len(p.Refused), err)
	}
	if e := p.Accepted[0].Evidence; len(e) > 10 || len(e[0].Text) > 2000 || strings.ContainsRune(e[0].Text, '\ufffd') {
		t.Error("the evidence is not bounded")
	}
	broken := errors.New("out of tokens")
	_, err = mapping.Propose(t.Context(), mapping.SuggesterFunc(func(context.Context, mapping.Schema, mapping.Schema) ([]mapping.Suggestion, error) {
		return nil, broken
	}), local, account)
	if err != broken {
		t.Error(err)
	}
}
