package live_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/live"
	"github.com/enlace-go/enlace/store/memory"
)

// account is an adapter whose records and fields are given; it calls nobody.
type account struct {
	records []string
	fail    error // behind the last record
	pulled  *int  // how many records were asked for
}

func (a account) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "crm", Title: "CRM", Version: "1.0.0", BaseURL: "https://crm.example.com/",
		Auth:     []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Header: "X-Api-Key"}}},
		Entities: []enlace.Entity{{Name: "contacts", Operations: []enlace.Operation{enlace.OpRead}}}}
}

func (a account) Pull(_ context.Context, _ *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	from := 0
	if req.Cursor != "" {
		_, _ = fmt.Sscan(string(req.Cursor), &from)
	}
	if from >= len(a.records) && a.fail != nil {
		return enlace.Page{}, a.fail
	}
	to := min(from+cmp.Or(min(req.Limit, 2), 2), len(a.records))
	page := enlace.Page{Next: enlace.Cursor(fmt.Sprint(to)), Done: to == len(a.records) && a.fail == nil}
	for i := from; i < to; i++ {
		r := enlace.Record{Entity: "contacts", ID: fmt.Sprint(i), Data: json.RawMessage(a.records[i])}
		if a.records[i] == "" {
			r.Deleted, r.Data = true, nil
		}
		page.Records = append(page.Records, r)
		if a.pulled != nil {
			*a.pulled++
		}
	}
	return page, nil
}

// described is an account whose provider tells its fields.
type described struct {
	account
	fields []enlace.RecordField
	err    error
}

func (d described) DescribeFields(context.Context, *enlace.Conn, string) ([]enlace.RecordField, error) {
	return d.fields, d.err
}

// newService makes a service with one integration.
func newService(adapter enlace.IntegrationAdapter) (*enlace.Service, enlace.Ref) {
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		panic(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(adapter), Store: memory.New(), Keys: keys, Mappings: live.Engine{}})
	if err != nil {
		panic(err)
	}
	in, err := service.Create(context.Background(), enlace.NewIntegration{Provider: "crm", Credential: &enlace.Credential{
		Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("k")}}})
	if err != nil {
		panic(err)
	}
	return service, in.Ref
}

// save stores a draft of contacts and returns it.
func save(s *enlace.Service, ref enlace.Ref, m mapping.Mapping) enlace.MappingVersion {
	document, err := live.Document(m)
	if err != nil {
		panic(err)
	}
	v, err := s.SaveMapping(context.Background(), enlace.MappingVersion{Ref: ref, Entity: "contacts", Document: document})
	if err != nil {
		panic(err)
	}
	return v
}

func contacts(fields ...mapping.Field) mapping.Mapping {
	return mapping.Mapping{Name: "contacts", Fields: fields}
}

func compile(t *testing.T, m mapping.Mapping) enlace.RecordMapper {
	t.Helper()
	document, err := live.Document(m)
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := live.Engine{}.CompileMapping(document)
	if err != nil {
		t.Fatal(err)
	}
	return mapper
}

func TestEngineMapsThereAndBack(t *testing.T) {
	m := contacts(mapping.Field{From: "ID", To: "id", Type: mapping.ID}, mapping.Field{From: "PHONE[VALUE_TYPE=WORK].VALUE", To: "phone"})
	m.When = &mapping.Condition{Path: "ID", Exists: mapping.Yes()}
	mapper := compile(t, m)
	data, skipped, err := mapper.ToLocal(json.RawMessage(`{"ID":9007199254740993,"PHONE":[{"VALUE_TYPE":"WORK","VALUE":"1"}]}`))
	if string(data) != `{"id":"9007199254740993","phone":"1"}` || skipped != "" || err != nil {
		t.Errorf("%s %q %v", data, skipped, err)
	}
	if data, skipped, err = mapper.ToLocal(json.RawMessage(`{}`)); data != nil || skipped != "when" || err != nil {
		t.Errorf("%s %q %v", data, skipped, err)
	}
	if _, _, err = mapper.ToLocal(json.RawMessage(`{"ID":1.5}`)); !errors.Is(err, mapping.ErrRecord) {
		t.Error(err)
	}
	back, err := mapper.ToRemote(json.RawMessage(`{"id":"9007199254740993","phone":"1"}`))
	if string(back) != `{"ID":"9007199254740993","PHONE":[{"VALUE_TYPE":"WORK","VALUE":"1"}]}` || err != nil {
		t.Errorf("%s %v", back, err)
	}
	whole, err := mapper.Complete(back, json.RawMessage(`{"PHONE":[{"VALUE_TYPE":"HOME","VALUE":"2"},{"ID":"7","VALUE_TYPE":"WORK","VALUE":"0"}],"NAME":"x"}`))
	if string(whole) != `{"ID":"9007199254740993","PHONE":[{"VALUE_TYPE":"HOME","VALUE":"2"},{"ID":"7","VALUE_TYPE":"WORK","VALUE":"1"}]}` || err != nil {
		t.Errorf("%s %v", whole, err)
	}
	if _, err = mapper.ToRemote(json.RawMessage(`{"id":[]}`)); !errors.Is(err, mapping.ErrRecord) {
		t.Error(err)
	}
	lossy := compile(t, contacts(mapping.Field{From: "a", To: "b"}, mapping.Field{From: "a", To: "c"}))
	_, err = lossy.ToRemote(json.RawMessage(`{}`))
	if !errors.Is(err, enlace.ErrUnsupported) || !errors.Is(err, mapping.ErrNotInvertible) || !strings.Contains(err.Error(), "fields[1].from") {
		t.Error(err)
	}
}

func TestDocuments(t *testing.T) {
	m := contacts(mapping.Field{From: "a", To: "b", Default: mapping.Literal("10.50")})
	m.Version = 7
	document, err := live.Document(m)
	if string(document) != `{"name":"contacts","fields":[{"from":"a","to":"b","default":10.50}]}` || err != nil {
		t.Errorf("%s %v", document, err)
	}
	if _, err := live.Document(mapping.Mapping{}); !errors.Is(err, mapping.ErrMapping) {
		t.Error(err)
	}
	for _, text := range []string{``, `null`, `{}`, `{"name":"n","fields":[{"form":"a","to":"b"}]}`} {
		if _, err := (live.Engine{}).CompileMapping(json.RawMessage(text)); !errors.Is(err, mapping.ErrMapping) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPayloads(t *testing.T) {
	pulled := 0
	service, ref := newService(account{records: []string{`{"n":1}`, "", `{"n":2}`, `{"n":3}`, `{"n":4}`}, pulled: &pulled})
	for n, want := range map[int]string{0: "", 1: `{"n":1}`, 3: `{"n":1}{"n":2}{"n":3}`, 100: `{"n":1}{"n":2}{"n":3}{"n":4}`} {
		var got strings.Builder
		for payload, err := range live.Payloads(t.Context(), service, ref, "contacts", n) {
			if err != nil {
				t.Fatal(err)
			}
			got.Write(payload)
		}
		if got.String() != want {
			t.Errorf("%d: %s, want %s", n, got.String(), want)
		}
	}
	pulled = 0
	for range live.Payloads(t.Context(), service, ref, "contacts", 100) {
		break
	}
	if pulled > 2 {
		t.Errorf("%d records were read for one", pulled)
	}
	for _, err := range live.Payloads(t.Context(), service, ref, "cars", 1) {
		if !errors.Is(err, enlace.ErrUnsupported) && !errors.Is(err, enlace.ErrInvalid) {
			t.Error(err)
		}
	}
}

// all are payloads that were stored.
func all(records ...string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for _, r := range records {
			if !yield(json.RawMessage(r), nil) {
				return
			}
		}
	}
}

func TestShadow(t *testing.T) {
	service, ref := newService(account{})
	first := save(service, ref, contacts(mapping.Field{From: "name", To: "name"}))
	report, err := live.Shadow(t.Context(), service, first.Key(), all(`{"name":"Ana"}`, `{}`), mapping.ShadowOptions{})
	if err != nil || report.Changed != 2 || report.Payloads != 2 {
		t.Errorf("the first mapping: %+v %v", report, err)
	}
	if _, err := service.ActivateMapping(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := save(service, ref, contacts(mapping.Field{From: "name", To: "name", Required: true}, mapping.Field{From: "x", To: "x"}))
	report, err = live.Shadow(t.Context(), service, second.Key(), all(`{"name":"Ana"}`, `{}`, `{"name":"Bia","x":1}`), mapping.ShadowOptions{})
	if err != nil || report.Same != 1 || report.NewlyRefused != 1 || report.Changed != 1 || report.Fields[0].Path != "x" {
		t.Errorf("%+v %v", report, err)
	}
	active, err := service.ActiveMapping(t.Context(), ref, "contacts")
	if err != nil || active.Number != 1 {
		t.Error("a shadow run changed what is active:", active.Number, err)
	}
	failure := errors.New("no payloads")
	report, err = live.Shadow(t.Context(), service, second.Key(), func(yield func(json.RawMessage, error) bool) {
		_ = yield(json.RawMessage(`{}`), nil) && yield(nil, failure)
	}, mapping.ShadowOptions{})
	if !errors.Is(err, failure) || report.Payloads != 1 {
		t.Errorf("%+v %v", report, err)
	}
	key := second.Key()
	key.Number = 9
	if _, err := live.Shadow(t.Context(), service, key, all(), mapping.ShadowOptions{}); !errors.Is(err, enlace.ErrNotFound) {
		t.Error(err)
	}
}

func TestRoundTrip(t *testing.T) {
	service, ref := newService(account{})
	v := save(service, ref, contacts(mapping.Field{From: "due", To: "due", Type: mapping.Time, ToFormat: "2006-01-02"}))
	report, err := live.RoundTrip(t.Context(), service, v.Key(), all(`{"due":"2026-01-31T00:00:00Z"}`, `{"due":"2026-01-31T10:00:00Z"}`))
	if err != nil || report.Samples != 2 || report.Lossy != 1 {
		t.Errorf("%v %v", report, err)
	}
	failure := errors.New("no payloads")
	if _, err := live.RoundTrip(t.Context(), service, v.Key(), func(yield func(json.RawMessage, error) bool) { yield(nil, failure) }); !errors.Is(err, failure) {
		t.Error(err)
	}
	v = save(service, ref, contacts(mapping.Field{From: "a", To: "b"}, mapping.Field{From: "a", To: "c"}))
	if _, err := live.RoundTrip(t.Context(), service, v.Key(), all()); !errors.Is(err, mapping.ErrNotInvertible) {
		t.Error(err)
	}
	if _, err := live.RoundTrip(t.Context(), service, enlace.MappingKey{Ref: ref, Entity: "contacts", Number: 9}, all()); !errors.Is(err, enlace.ErrNotFound) {
		t.Error(err)
	}
}

func TestAccountSchema(t *testing.T) {
	records := []string{`{"nome":"Ana","tags":["a"],"uf_1":{"x":"y"}}`}
	paths := func(s mapping.Schema) string {
		var all []string
		for _, f := range s.Fields {
			all = append(all, fmt.Sprintf("%s%s%s", f.Path, strings.Repeat("[]", map[bool]int{true: 1}[f.List]), f.Samples))
		}
		return strings.Join(all, " ")
	}
	fields := []enlace.RecordField{{Path: "id", Type: "id", ReadOnly: true, Sample: json.RawMessage("7")}, {Path: "nome", Label: "Nome", Type: "text"}, {Path: "tags"}}
	for name, test := range map[string]struct {
		adapter enlace.IntegrationAdapter
		samples int
		want    string
	}{
		"both":             {described{account{records: records}, fields, nil}, 5, `id[7] nome["Ana"] tags[]["a"] uf_1.x["y"]`},
		"description only": {described{account{records: records}, fields, nil}, 0, `id[7] nome[] tags[]`},
		"samples only":     {account{records: records}, 5, `nome["Ana"] tags[]["a"] uf_1.x["y"]`},
		"no such entity":   {described{account{records: records}, nil, &enlace.Error{Kind: enlace.ErrUnsupported}}, 5, `nome["Ana"] tags[]["a"] uf_1.x["y"]`},
	} {
		service, ref := newService(test.adapter)
		schema, err := live.AccountSchema(t.Context(), service, ref, "contacts", test.samples)
		if got := paths(schema); got != test.want || err != nil {
			t.Errorf("%s: %s (%v), want %s", name, got, err, test.want)
		}
	}
	for name, test := range map[string]struct {
		adapter enlace.IntegrationAdapter
		samples int
		want    error
	}{
		"nothing to go by":  {account{records: records}, 0, enlace.ErrUnsupported},
		"a forbidden list":  {described{account{records: records}, nil, &enlace.Error{Kind: enlace.ErrForbidden}}, 5, enlace.ErrForbidden},
		"a failing read":    {account{fail: &enlace.Error{Kind: enlace.ErrForbidden}}, 5, enlace.ErrForbidden},
		"a failing read, 2": {described{account{fail: &enlace.Error{Kind: enlace.ErrForbidden}}, fields, nil}, 5, enlace.ErrForbidden},
	} {
		service, ref := newService(test.adapter)
		if _, err := live.AccountSchema(t.Context(), service, ref, "contacts", test.samples); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := live.Suggest(t.Context(), service, ref, "contacts", mapping.Schema{}, test.samples, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The way from nothing to a mapping that is used: suggest, save, look at what it would do, activate.
func Example() {
	ctx := context.Background()
	service, ref := newService(account{records: []string{
		`{"ID":"9007199254740993","NOME_COMPLETO":"Ana Souza","CELULAR":"+55 11 95555-0002","DATA_NASCIMENTO":"17/05/1990","ATIVO":"S"}`,
		`{"ID":"9007199254740994","NOME_COMPLETO":"Bia Lima","CELULAR":null,"DATA_NASCIMENTO":"","ATIVO":"N"}`,
	}})
	local := mapping.Schema{Fields: []mapping.SchemaField{
		{Path: "full_name", Type: mapping.Text}, {Path: "mobile", Type: mapping.Text}, {Path: "birthday", Type: mapping.Date}, {Path: "active", Type: mapping.Boolean}}}

	proposal, err := live.Suggest(ctx, service, ref, "contacts", local, 50, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	draft := mapping.Mapping{Name: "contacts"}
	for _, s := range proposal.Accepted { // a person looks at score and evidence here
		draft.Fields = append(draft.Fields, s.Field)
	}
	document, err := live.Document(draft)
	if err != nil {
		fmt.Println(err)
		return
	}
	version, err := service.SaveMapping(ctx, enlace.MappingVersion{Ref: ref, Entity: "contacts", Document: document})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := live.Shadow(ctx, service, version.Key(), live.Payloads(ctx, service, ref, "contacts", 50), mapping.ShadowOptions{})
	fmt.Println(report.Payloads, "payloads,", report.NewlyRefused, "refused", err)
	_, err = service.ActivateMapping(ctx, version)
	fmt.Println(err)

	_, err = service.Sync(ctx, ref, enlace.SyncOptions{Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
		for _, r := range b.Records {
			var fields map[string]json.RawMessage
			_ = r.Decode(&fields)
			fmt.Printf("%s %s %s %s\n", fields["full_name"], fields["mobile"], fields["birthday"], fields["active"])
		}
		return enlace.Changes{}, nil
	})})
	fmt.Println(err)
	// Output:
	// 2 payloads, 0 refused <nil>
	// <nil>
	// "Ana Souza" "+55 11 95555-0002" "1990-05-17" true
	// "Bia Lima" null null false
	// <nil>
}

// A language model, or whatever else the host has, proposes; what it says is checked.
func ExampleSuggest() {
	service, ref := newService(account{records: []string{`{"apelido":"Aninha"}`}})
	model := mapping.SuggesterFunc(func(_ context.Context, local, account mapping.Schema) ([]mapping.Suggestion, error) {
		return []mapping.Suggestion{{Field: mapping.Field{From: account.Fields[0].Path, To: local.Fields[0].Path}, Score: 0.9,
			Evidence: []mapping.Evidence{{Kind: "model", Text: "apelido is a nickname"}}}}, nil
	})
	local := mapping.Schema{Fields: []mapping.SchemaField{{Path: "nickname"}}}
	proposal, err := live.Suggest(context.Background(), service, ref, "contacts", local, 1, model)
	for _, s := range proposal.Accepted {
		fmt.Println(s.Field.To, "<-", s.Field.From, s.Score, s.Evidence[0].Text, err)
	}
	// Output:
	// nickname <- apelido 0.9 apelido is a nickname <nil>
}
