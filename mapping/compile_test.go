package mapping_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/mapping"
)

// faults returns places and reasons of an error of this package.
func faults(t *testing.T, err error, kind error) (all []string) {
	t.Helper()
	wrong, ok := errors.AsType[*mapping.Error](err)
	if !ok || !errors.Is(err, kind) || err.Error() == "" {
		t.Fatalf("%v is no %v", err, kind)
	}
	for _, f := range wrong.Faults {
		if f.Detail == "" {
			t.Errorf("%s says nothing", f.Field)
		}
		all = append(all, f.Field+" "+string(f.Reason))
	}
	return all
}

func TestCompileFindsFaults(t *testing.T) {
	a := `{"from":"a","to":"b"}`
	deep := strings.Repeat(`{"not":`, 20) + `{"path":"a","exists":true}` + strings.Repeat("}", 20)
	for _, test := range []struct{ mapping, fault string }{
		{`{"version":1,"fields":[` + a + `]}`, "name missing"},
		{`{"name":"n","version":-1,"fields":[` + a + `]}`, "version syntax"},
		{`{"name":"n","version":1}`, "fields missing"},
		{`{"name":"n","version":1,"to_zone":"Local","fields":[` + a + `]}`, "to_zone unknown"},
		{`{"name":"n","version":1,"from_zone":"../etc","fields":[` + a + `]}`, "from_zone unknown"},
		{`{"name":"n","version":1,"split":"x[]","fields":[` + a + `]}`, "split syntax"},
		{`{"name":"n","version":1,"filters":[{"if":{"path":"a","exists":true}}],"fields":[` + a + `]}`, "filters[0].reason missing"},
		{`{"name":"n","version":1,"when":{},"fields":[` + a + `]}`, "when missing"},
		{`{"name":"n","version":1,"when":{"path":"x","all":[]},"fields":[` + a + `]}`, "when missing"},
		{`{"name":"n","version":1,"when":` + deep + `,"fields":[` + a + `]}`, "when.not.not.not.not.not.not.not.not limit"},
		{`{"name":"n","version":1,"when":{"path":"a..b","exists":true},"fields":[` + a + `]}`, "when.path syntax"},
		{`{"name":"n","version":1,"when":{"path":"a","equals":[1]},"fields":[` + a + `]}`, "when.equals type"},
		{`{"name":"n","version":1,"when":{"path":"a","in":[1,{}]},"fields":[` + a + `]}`, "when.in[1] type"},
		{`{"name":"n","version":1,"when":{"path":"a","matches":"("},"fields":[` + a + `]}`, "when.matches syntax"},
		{`{"name":"n","version":1,"when":{"path":"a","gt":"x"},"fields":[` + a + `]}`, "when.gt type"},
		{`{"name":"n","version":1,"when":{"path":"a","gt":1,"format":"unix"},"fields":[` + a + `]}`, "when.format unknown"},
		{`{"name":"n","version":1,"when":{"path":"a","gt":1,"type":"boolean"},"fields":[` + a + `]}`, "when.type unknown"},
		{`{"name":"n","version":1,"when":{"path":"a","gt":"1/2/2006","type":"date"},"fields":[` + a + `]}`, "when.gt type"},
		{`{"name":"n","version":1,"when":{"any":[{"path":"a"}]},"fields":[` + a + `]}`, "when.any[0] missing"},
		{`{"from":"","to":"b"}`, "fields[0].from missing"},
		{`{"from":"a"}`, "fields[0].to syntax"},
		{`{"from":"a","to":"[0]"}`, "fields[0].to syntax"},
		{`{"from":"a","to":"b[]"}`, "fields[0].to syntax"},
		{`{"from":"a[].c","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a[x]","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a[-1]","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a[256]","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a[x=","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a[x=1","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a[x=1,y]","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a[1]b","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a.","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a\\","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a` + strings.Repeat("[0]", 9) + `","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"` + strings.Repeat("a", mapping.MaxPath+1) + `","to":"b"}`, "fields[0].from syntax"},
		{`{"from":"a","or":["","",".","x","","","","",""],"to":"b"}`, "fields[0].or limit"},
		{`{"from":"a","or":["."],"to":"b"}`, "fields[0].or[0] syntax"},
		{`{"from":"a","to":"b"},{"from":"c","to":"b"}`, "fields[1].to conflict"},
		{`{"from":"a","to":"b"},{"from":"c","to":"b.c"}`, "fields[1].to conflict"},
		{`{"from":"a","to":"b.c"},{"from":"c","to":"b"}`, "fields[1].to conflict"},
		{`{"from":"a","to":"b.c"},{"from":"c","to":"b[0]"}`, "fields[1].to conflict"},
		{`{"from":"a","to":"b[0]"},{"from":"c","to":"b[x=1].y"}`, "fields conflict"},
		{`{"from":"a","to":"b[1]"}`, "fields missing"},
		{`{"from":"a","to":"b[x=1]"}`, "fields syntax"},
		{`{"from":"a","to":"b[x=1].x"}`, "fields conflict"},
		{`{"const":1,"from":"a","to":"b"}`, "fields[0].const conflict"},
		{`{"from":"a","to":"b","type":"money"}`, "fields[0].type unknown"},
		{`{"from":"a","to":"b","type":"text","to_format":"x"}`, "fields[0].to_format unknown"},
		{`{"from":"a","to":"b","type":"boolean","from_format":"Y/Y"}`, "fields[0].from_format unknown"},
		{`{"from":"a","to":"b","type":"time","from_format":"2006-01-02 MST"}`, "fields[0].from_format unknown"},
		{`{"from":"a","to":"b","type":"time","from_format":"01/2006"}`, "fields[0].from_format unknown"},
		{`{"from":"a","to":"b","other":"keep"}`, "fields[0].other conflict"},
		{`{"from":"a","to":"b","other":"x","values":[{"from":1,"to":2}]}`, "fields[0].other unknown"},
		{`{"from":"a","to":"b","other":"default","values":[{"from":1,"to":2}]}`, "fields[0].other missing"},
		{`{"from":"a","to":"b","type":"id","values":[{"from":1,"to":2}]}`, "fields[0].values conflict"},
		{`{"from":"a","to":"b","values":[{"from":1,"to":2},{"from":"1","to":3}]}`, "fields[0].values[1].from conflict"},
		{`{"from":"a","to":"b","values":[{"from":null,"to":2}]}`, "fields[0].values[0].from type"},
		{`{"from":"a","to":"b","values":[{"from":1,"to":[]}]}`, "fields[0].values[0].to type"},
		{`{"from":"a","to":"b","values":[{"from":1}]}`, "fields[0].values[0].to syntax"},
		{`{"from":"a","to":"b","empty":[{}]}`, "fields[0].empty[0] type"},
		{`{"from":"a","to":"b","where":{"path":"x","exists":true}}`, "fields[0].where conflict"},
		{`{"from":"a","to":"b","list":true,"each":[` + a + `]}`, "fields[0].each conflict"},
		{`{"from":"a","to":"b","each":[]}`, "fields[0].each missing"},
		{`{"from":"a","to":"b","each":[{"from":"x.","to":"y"}]}`, "fields[0].each[0].from syntax"},
		{strings.Repeat(`{"from":"a","to":"b","each":[`, 9) + a + strings.Repeat("]}", 9), "fields" + strings.Repeat("[0].each", 8) + " limit"},
		{strings.TrimSuffix(strings.Repeat(`{"const":1,"to":"b"},`, mapping.MaxFields+1), ","), "fields conflict"},
	} {
		text := test.mapping
		if !strings.Contains(text, `"fields"`) && !strings.Contains(text, `"name"`) {
			text = `{"name":"n","version":1,"fields":[` + text + `]}`
		}
		m, err := mapping.Parse([]byte(text))
		if err != nil {
			t.Errorf("%.80s: %v", text, err)
			continue
		}
		if strings.Contains(test.fault, "fields conflict") && len(m.Fields) > mapping.MaxFields {
			test.fault = "fields[1].to conflict"
		}
		_, err = mapping.Compile(m)
		if got := faults(t, err, mapping.ErrMapping); !slices.Contains(got, test.fault) {
			t.Errorf("%.80s: %v, want %s", text, got, test.fault)
		}
	}
}

func TestCompileFindsWhatOnlyGoCanSay(t *testing.T) {
	loop := &mapping.Condition{}
	loop.Not = loop
	each := []mapping.Field{{From: "a", To: "b"}}
	each[0].Each = each
	for name, m := range map[string]mapping.Mapping{
		"a default that JSON cannot hold": {Fields: []mapping.Field{{From: "a", To: "b", Default: mapping.Of(func() {})}}},
		"a literal with space":            {Fields: []mapping.Field{{To: "b", Const: mapping.Literal(" 1")}}},
		"two literals":                    {Fields: []mapping.Field{{To: "b", Const: mapping.Literal("1 2")}}},
		"no literal":                      {Fields: []mapping.Field{{To: "b", Const: mapping.Literal{}}}},
		"half a literal elsewhere":        {Fields: []mapping.Field{{To: "b", Const: mapping.Of(1), Empty: []mapping.Literal{mapping.Literal(`"x`)}}}},
		"a path that is no UTF-8":         {Fields: []mapping.Field{{From: "a\xff", To: "b"}}},
		"a condition in a circle":         {When: loop, Fields: []mapping.Field{{From: "a", To: "b"}}},
		"fields in a circle":              {Fields: each},
		"many fields":                     {Fields: slices.Repeat(each[:1:1], 10_000)},
		"many filters":                    {Filters: make([]mapping.Filter, 10_000), Fields: []mapping.Field{{From: "a", To: "b"}}},
		"many conditions":                 {When: &mapping.Condition{Any: make([]mapping.Condition, 10_000)}, Fields: []mapping.Field{{From: "a", To: "b"}}},
		"many values":                     {Fields: []mapping.Field{{From: "a", To: "b", Values: make([]mapping.Pair, mapping.MaxValues+1)}}},
		"many empties":                    {Fields: []mapping.Field{{From: "a", To: "b", Empty: make([]mapping.Literal, mapping.MaxValues+1)}}},
		"many in":                         {When: &mapping.Condition{In: make([]mapping.Literal, mapping.MaxValues+1)}, Fields: []mapping.Field{{From: "a", To: "b"}}},
		"a long note":                     {Fields: []mapping.Field{{From: "a", To: "b", Note: strings.Repeat("x", mapping.MaxMapping)}}},
	} {
		m.Name, m.Version = "n", 1
		if c, err := mapping.Compile(m); c != nil || len(faults(t, err, mapping.ErrMapping)) > 100 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseIsStrict(t *testing.T) {
	for _, text := range []string{``, `{`, `[]`, `null`, `{"name":"x","name":"x"}`, `{"fields":[{"const":{"a":{},"\u0061":1}}]}`, `{"nmae":"x"}`, `{"fields":[{"form":"a"}]}`, `{} {}`, `{"version":1.5}`, strings.Repeat(" ", mapping.MaxMapping+1)} {
		_, err := mapping.Parse([]byte(text))
		faults(t, err, mapping.ErrMapping)
	}
}

// The JSON form holds the whole mapping, with the digits of its literals, and a compiled mapping is
// not changed through what was compiled or what it gives out.
func TestMappingAsData(t *testing.T) {
	m := mapping.Mapping{
		Name: "n", Version: 2, FromZone: "America/Sao_Paulo", ToZone: "UTC",
		When:    &mapping.Condition{All: []mapping.Condition{{Path: "id", Greater: mapping.Literal("9007199254740993")}}},
		Filters: []mapping.Filter{{If: mapping.Condition{Path: "x", Exists: mapping.No()}, Reason: "no x"}},
		Fields: []mapping.Field{
			{From: "a", To: "b", Default: mapping.Literal("10.50"), Note: "<&>"},
			{From: "l", To: "m", Each: []mapping.Field{{From: "c", To: "d", Values: []mapping.Pair{{From: mapping.Of("1"), To: mapping.Literal("null")}}}}},
		},
	}
	c := must(m)
	text, err := json.Marshal(c.Mapping())
	if err != nil {
		t.Fatal(err)
	}
	again, err := mapping.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, again); diff != "" {
		t.Error(diff)
	}
	if c.Digest() != must(again).Digest() || len(c.Digest()) != 64 || c.Name() != "n" || c.Version() != 2 {
		t.Error("the same mapping has another digest")
	}
	m.Fields[0].To, c.Mapping().Fields[0].From = "changed", "changed"
	if c.Mapping().Fields[0].To != "b" || c.Mapping().Fields[0].From != "a" {
		t.Error("a compiled mapping was changed")
	}
	if must(m).Digest() == c.Digest() {
		t.Error("another mapping has the same digest")
	}
	if text, err := json.Marshal(mapping.Pair{}); string(text) != `{"from":null,"to":null}` || err != nil {
		t.Errorf("%s %v", text, err)
	}
}

func TestWith(t *testing.T) {
	exists := &mapping.Condition{Path: "x", Exists: mapping.Yes()}
	base := mapping.Mapping{Name: "n", Version: 1, FromZone: "UTC", Filters: []mapping.Filter{{Reason: "a"}},
		Fields: []mapping.Field{{From: "a", To: "a"}, {From: "b", To: "b"}}}
	got := base.With(mapping.Mapping{Name: "m", Version: 7, ToZone: "UTC", When: exists, Split: "s", Filters: []mapping.Filter{{Reason: "b"}},
		Fields: []mapping.Field{{To: "c", Const: mapping.Of(1)}, {From: "z", To: "b"}, {To: "a"}, {To: "unknown"}}})
	want := mapping.Mapping{Name: "m", Version: 7, FromZone: "UTC", ToZone: "UTC", When: exists, Split: "s",
		Filters: []mapping.Filter{{Reason: "a"}, {Reason: "b"}},
		Fields:  []mapping.Field{{From: "z", To: "b"}, {To: "c", Const: mapping.Of(1)}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(base.Fields) != 2 || len(base.Filters) != 1 || base.Fields[1].From != "b" {
		t.Error("the base was changed")
	}
}

func FuzzCompile(f *testing.F) {
	m, record := thirty()
	for _, m := range []mapping.Mapping{m, invertible(), {Name: "n", Version: 1, Split: "a", Fields: []mapping.Field{{From: "a[].b", To: "c[x=1].d"}}}} {
		text, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, []byte(record))
	}
	f.Add([]byte(`{"name":"n","version":1,"when":{"any":[{"path":"a[k=1].b","gte":"2024-01-01","type":"time"}]},"fields":[{"from":"a","to":"b[1]"}]}`), []byte(`{"a":[{"k":1}]}`))
	f.Fuzz(func(t *testing.T, text, record []byte) {
		m, err := mapping.Parse(text)
		if err != nil {
			return
		}
		c, err := mapping.Compile(m)
		if err != nil {
			if !errors.Is(err, mapping.ErrMapping) {
				t.Fatal(err)
			}
			return
		}
		if d := must(c.Mapping()).Digest(); d != c.Digest() {
			t.Fatalf("the copy of %s has another digest", text)
		}
		applies(t, c, record)
		if inverse, err := c.Invert(); err == nil {
			overlays(t, inverse, applies(t, inverse, record), record)
		} else if !errors.Is(err, mapping.ErrNotInvertible) {
			t.Fatal(err)
		}
	})
}

// applies checks what holds for any mapping and record, and returns the result.
func applies(t *testing.T, c *mapping.Compiled, record []byte) mapping.Result {
	result, err := c.Apply(record)
	if err != nil && !errors.Is(err, mapping.ErrRecord) {
		t.Fatal(err)
	}
	if err == nil && result.Skipped == "" && !json.Valid(result.Data) {
		t.Fatalf("the result is no JSON: %s", result.Data)
	}
	if len(result.Data) > mapping.MaxResult+mapping.MaxRecord+mapping.MaxMapping {
		t.Fatalf("a result of %d bytes", len(result.Data))
	}
	again, _ := c.Apply(record)
	if string(again.Data) != string(result.Data) || again.Skipped != result.Skipped {
		t.Fatal("the same record gives another result")
	}
	return result
}

// overlays lays a result over any record.
func overlays(t *testing.T, c *mapping.Compiled, result mapping.Result, record []byte) {
	if result.Data == nil {
		return
	}
	done, err := c.Overlay(result.Data, record)
	if err != nil && !errors.Is(err, mapping.ErrRecord) {
		t.Fatal(err)
	}
	if err == nil && !json.Valid(done) {
		t.Fatalf("what was completed is no JSON: %s", done)
	}
}

func FuzzApply(f *testing.F) {
	_, record := thirty()
	f.Add([]byte(record))
	for i := range 3 {
		f.Add([]byte(generate(uint64(i))))
	}
	f.Add([]byte(`{"fm":[{"typeId":"PHONE","value":null},[],1],"lines":[{"price":"1,2"}],"when":1e400}`))
	m, _ := thirty()
	compiled := []*mapping.Compiled{must(m), must(invertible())}
	f.Fuzz(func(t *testing.T, record []byte) {
		for _, c := range compiled {
			result := applies(t, c, record)
			// What was mapped without a fault and is mapped back must not panic either.
			if inverse, err := c.Invert(); err == nil && result.Data != nil {
				overlays(t, inverse, applies(t, inverse, result.Data), record)
			}
		}
		if _, err := compiled[1].CheckRoundTrip(slices.Values([]json.RawMessage{record})); err != nil {
			t.Fatal(err)
		}
		mapping.Shadow(compiled[0], compiled[1], slices.Values([]json.RawMessage{record}), mapping.ShadowOptions{})
		schema := mapping.SchemaOf(slices.Values([]json.RawMessage{record}))
		if len(schema.Fields) < 40 {
			mapping.Suggest(schema, schema)
		}
		_ = fmt.Sprint(schema)
	})
}
