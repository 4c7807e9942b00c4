package mapping_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/mapping"
)

// one maps the member "a" of a record to "b" by the field.
func one(t *testing.T, m mapping.Mapping, f mapping.Field, record string) string {
	t.Helper()
	m.Name, m.Version = "one", 1
	f.To = either(f.To, "b")
	if f.Const == nil {
		f.From = either(f.From, "a")
	}
	m.Fields = []mapping.Field{f}
	c, err := mapping.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Apply(json.RawMessage(record))
	if wrong, ok := errors.AsType[*mapping.Error](err); ok {
		if !errors.Is(err, mapping.ErrRecord) || result.Data != nil {
			t.Errorf("%v, %s", err, result.Data)
		}
		return string(wrong.Faults[0].Reason) + " " + wrong.Faults[0].Field
	}
	if !json.Valid(result.Data) {
		t.Errorf("the result is no JSON: %s", result.Data)
	}
	if value, ok := strings.CutPrefix(string(result.Data), `{"b":`); ok {
		return strings.TrimSuffix(value, "}")
	}
	return string(result.Data)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func TestConversions(t *testing.T) {
	zoned := mapping.Mapping{FromZone: "America/Sao_Paulo", ToZone: "Europe/Lisbon"}
	for _, test := range []struct {
		typ        mapping.Type
		from, to   string
		value, has string
	}{
		{mapping.Any, "", "", `{"x": [1, 2.0]}`, `{"x": [1, 2.0]}`},
		{mapping.Any, "", "", `123456789012345678901234567890.10`, `123456789012345678901234567890.10`},
		{mapping.Text, "", "", `"Jo\u00e3o \"x\""`, `"Jo\u00e3o \"x\""`},
		{mapping.Text, "", "", `9007199254740993`, `"9007199254740993"`},
		{mapping.Text, "", "", `""`, `""`},
		{mapping.Text, "", "", `true`, "type b"},
		{mapping.Text, "", "", `[1]`, "type b"},
		{mapping.ID, "", "", `9007199254740993`, `"9007199254740993"`},
		{mapping.ID, "", "number", `"9007199254740993"`, `9007199254740993`},
		{mapping.ID, "", "number", `"c_1"`, "range b"},
		{mapping.ID, "", "", `1.5`, "type b"},
		{mapping.ID, "", "", `""`, `null`},
		{mapping.Integer, "", "", `"123456789012345678901234567890"`, `123456789012345678901234567890`},
		{mapping.Integer, "", "string", `-7`, `"-7"`},
		{mapping.Integer, "", "", `1.0`, "type b"},
		{mapping.Integer, "", "", `"007"`, "type b"},
		{mapping.Integer, "", "", `1e3`, "type b"},
		{mapping.Decimal, "", "", `10.50`, `"10.50"`},
		{mapping.Decimal, "", "number", `"10.50"`, `10.50`},
		{mapping.Decimal, "comma", "", `"R$ 1.234.567,89"`, `"1234567.89"`},
		{mapping.Decimal, "comma", "", `"-1234,5"`, `"-1234.5"`},
		{mapping.Decimal, "comma", "", `"1234.56"`, "type b"}, // a point that separates no thousands
		{mapping.Decimal, "comma", "", `"1,2,3"`, "type b"},
		{mapping.Decimal, "comma", "", `12.5`, `"12.5"`},
		{mapping.Decimal, "", "comma", `-1234.50`, `"-1234,50"`},
		{mapping.Decimal, "", "comma", `1e5`, "range b"},
		{mapping.Decimal, "", "", `"NaN"`, "type b"},
		{mapping.Boolean, "", "", `"S"`, `true`},
		{mapping.Boolean, "", "", `0`, `false`},
		{mapping.Boolean, "", "", `"não"`, `false`},
		{mapping.Boolean, "", "", `"maybe"`, "type b"},
		{mapping.Boolean, "", "", `[]`, "type b"},
		{mapping.Boolean, "Y/N", "number", `"Y"`, `1`},
		{mapping.Boolean, "Y/N", "number", `"N"`, `0`},
		{mapping.Boolean, "Y/N", "", `"y"`, "type b"},
		{mapping.Boolean, "number", "Y/N", `"1"`, `"Y"`},
		{mapping.Boolean, "native", "on/\"off\"", `false`, `"\"off\""`},
		{mapping.Date, "", "", `"2001-11-11T02:00:00+02:00"`, `"2001-11-11"`},
		{mapping.Date, "", "02/01/2006", `"2001-11-30"`, `"30/11/2001"`},
		{mapping.Date, "02.01.2006", "", `"30.11.2001"`, `"2001-11-30"`},
		{mapping.Date, "", "", `"2001-02-30"`, "type b"},
		{mapping.Date, "", "", `"2001-02-03xyz"`, "type b"},
		{mapping.Date, "", "", `20010203`, "type b"},
		{mapping.Date, "", "rfc3339", `"2024-07-01"`, `"2024-07-01T00:00:00+01:00"`},
		{mapping.Time, "", "", `"2026-01-30T21:00:00.5-03:00"`, `"2026-01-31T00:00:00.5Z"`},
		{mapping.Time, "", "", `"2024-07-01T00:00:00Z"`, `"2024-07-01T01:00:00+01:00"`},
		{mapping.Time, "", "", `"2024-07-01T00:00:00"`, "type b"}, // no offset: say the layout
		{mapping.Time, "2006-01-02 15:04:05", "", `"2024-07-01 00:00:00"`, `"2024-07-01T04:00:00+01:00"`},
		{mapping.Time, "02/01/2006", "unix", `"01/07/2024"`, `1719802800`},
		{mapping.Time, "2006-01-02T15:04:05-0700", "unix", `"2024-07-01T00:00:00+0200"`, `1719784800`},
		{mapping.Time, "unix", "", `1715930911.000000001`, `"2024-05-17T08:28:31.000000001+01:00"`},
		{mapping.Time, "unix", "unix_ms", `"-1.5"`, `-1500`},
		{mapping.Time, "unix", "unix_ms", `1.2345678`, `1234.5678`},
		{mapping.Time, "unix_ms", "unix", `1715930911123`, `1715930911.123`},
		{mapping.Time, "unix_ms", "unix", `-1`, `-0.001`},
		{mapping.Time, "unix", "", `99999999999999`, "type b"},
		{mapping.Time, "unix", "", `1e3`, "type b"},
		{mapping.Time, "unix", "", `1234567890123456`, "type b"},
		{mapping.Time, "", "unix", `1`, "type b"},
		{mapping.Time, "", "02/01/2006 15:04:05", `"9999-12-31T23:59:59-12:00"`, "range b"},
		// Summer time began at midnight in Brazil: that day has no 00:00, and still is that day.
		{mapping.Time, "02/01/2006", "unix", `"04/11/2018"`, `1541300400`},
		{mapping.Date, "02/01/2006", "", `"04/11/2018"`, `"2018-11-04"`},
	} {
		t.Run(fmt.Sprintf("%s %s to %s %s", test.typ, test.from, test.to, test.value), func(t *testing.T) {
			f := mapping.Field{Type: test.typ, FromFormat: test.from, ToFormat: test.to}
			if got := one(t, zoned, f, `{"a":`+test.value+`}`); got != test.has {
				t.Errorf("%s, want %s", got, test.has)
			}
		})
	}
}

func TestMidnightThatDoesNotExist(t *testing.T) {
	got := one(t, mapping.Mapping{ToZone: "America/Sao_Paulo"}, mapping.Field{Type: mapping.Date, ToFormat: "rfc3339"}, `{"a":"2018-11-04"}`)
	if got != `"2018-11-04T01:00:00-02:00"` {
		t.Error(got)
	}
	// Before 1914 the offset had seconds, which RFC 3339 cannot write.
	got = one(t, mapping.Mapping{ToZone: "America/Sao_Paulo"}, mapping.Field{Type: mapping.Time}, `{"a":"1900-01-01T00:00:00Z"}`)
	if got != `"1900-01-01T00:00:00Z"` {
		t.Error(got)
	}
}

func TestNothing(t *testing.T) {
	dash := []mapping.Literal{mapping.Of("-"), mapping.Of(0)}
	for _, test := range []struct {
		field         mapping.Field
		record, wants string
	}{
		{mapping.Field{}, `{}`, `{}`},
		{mapping.Field{}, `{"a":null}`, `null`},
		{mapping.Field{OmitEmpty: true}, `{"a":null}`, `{}`},
		{mapping.Field{Default: mapping.Of("x")}, `{}`, `"x"`},
		{mapping.Field{Default: mapping.Of("x")}, `{"a":null}`, `"x"`},
		{mapping.Field{Default: mapping.Literal("null")}, `{}`, `null`},
		{mapping.Field{Required: true}, `{}`, `required b`},
		{mapping.Field{Required: true, Default: mapping.Of(1)}, `{}`, `1`},
		{mapping.Field{Type: mapping.Text}, `{"a":""}`, `""`},
		{mapping.Field{Type: mapping.Date}, `{"a":""}`, `null`},
		{mapping.Field{Empty: dash}, `{"a":"-"}`, `null`},
		{mapping.Field{Empty: dash}, `{"a":"0"}`, `null`},
		{mapping.Field{Empty: dash}, `{"a":"1"}`, `"1"`},
		{mapping.Field{Or: []string{"c", "d.e"}}, `{"a":null,"d":{"e":5}}`, `5`},
		{mapping.Field{Or: []string{"c"}}, `{"a":1,"c":2}`, `1`},
		{mapping.Field{Const: mapping.Of("crm")}, `{}`, `"crm"`},
		{mapping.Field{List: true, Type: mapping.ID}, `{"a":[1,"2",null,""]}`, `["1","2",null,null]`},
		{mapping.Field{List: true, Type: mapping.Text}, `{"a":["",1]}`, `["","1"]`},
		{mapping.Field{List: true, Type: mapping.ID}, `{"a":""}`, `null`},
		{mapping.Field{List: true, Type: mapping.ID}, `{"a":[]}`, `[]`},
		{mapping.Field{List: true, Type: mapping.ID}, `{"a":7}`, `type b`},
		{mapping.Field{List: true, Type: mapping.ID}, `{"a":["1",true]}`, `type b[1]`},
		{mapping.Field{List: true, Where: &mapping.Condition{Greater: mapping.Of(1)}}, `{"a":[1,2,"3"]}`, `[2,"3"]`},
		{mapping.Field{Each: []mapping.Field{{From: "x", To: "y", Type: mapping.Integer}}}, `{"a":[{"x":1},{"x":"z"}]}`, `type b[1].y`},
		{mapping.Field{Each: []mapping.Field{{From: "x", To: "y"}}}, `{"a":[1]}`, `type b[0]`},
		{mapping.Field{Each: []mapping.Field{{From: "x", To: "y"}}}, `{"a":[{"x":1},{},{"x":3}]}`, `[{"y":1},{},{"y":3}]`},
	} {
		if got := one(t, mapping.Mapping{}, test.field, test.record); got != test.wants {
			t.Errorf("%+v of %s is %s, want %s", test.field, test.record, got, test.wants)
		}
	}
}

func TestValueTables(t *testing.T) {
	table := []mapping.Pair{{From: mapping.Of("NEW"), To: mapping.Of("open")}, {From: mapping.Of(9), To: mapping.Literal("null")}}
	for _, test := range []struct {
		field         mapping.Field
		record, wants string
	}{
		{mapping.Field{}, `{"a":"NEW"}`, `"open"`},
		{mapping.Field{}, `{"a":"N\u0045W"}`, `"open"`},
		{mapping.Field{}, `{"a":"9"}`, `null`},
		{mapping.Field{}, `{"a":"LOST"}`, `value b`},
		{mapping.Field{}, `{"a":""}`, `null`},
		{mapping.Field{}, `{"a":{}}`, `value b`},
		{mapping.Field{Other: mapping.OtherKeep}, `{"a":"LOST"}`, `"LOST"`},
		{mapping.Field{Other: mapping.OtherDefault, Default: mapping.Of("?")}, `{"a":"LOST"}`, `"?"`},
		{mapping.Field{List: true}, `{"a":["NEW",9]}`, `["open",null]`},
	} {
		test.field.Values = table
		if got := one(t, mapping.Mapping{}, test.field, test.record); got != test.wants {
			t.Errorf("%s is %s, want %s", test.record, got, test.wants)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct{ path, record, wants string }{
		{"x.y.z", `{"x":{"y":{"z":1}}}`, `1`},
		{"x.y.z", `{"x":{"y":[]}}`, `{}`},
		{"x.y", `{"x":{"y":1},"x":{}}`, `{}`}, // of a repeated name the last counts
		{"x.y", `{"x":{"y":1},"x":3}`, `{}`},
		{`x\.y`, `{"x.y":2}`, `2`},
		{"x[1]", `{"x":[1,2]}`, `2`},
		{"x[2]", `{"x":[1,2]}`, `{}`},
		{"x[0].y[1]", `{"x":[{"y":[1,[2]]}]}`, `[2]`},
		{"x[0]", `{"x":{}}`, `{}`},
		{"x[k=PHONE].v", `{"x":[1,{"k":"MAIL","v":1},{"k":"PHONE","v":2},{"k":"PHONE","v":3}]}`, `2`},
		{"x[k=7,l=a b].v", `{"x":[{"k":7,"l":"b"},{"k":"7","l":"a b","v":4}]}`, `4`},
		{`x[k=a\]b].v`, `{"x":[{"k":"a]b","v":5}]}`, `5`},
	} {
		if got := one(t, mapping.Mapping{}, mapping.Field{From: test.path}, test.record); got != test.wants {
			t.Errorf("%s of %s is %s, want %s", test.path, test.record, got, test.wants)
		}
	}
}

func TestTargets(t *testing.T) {
	fields := func(pairs ...string) (fields []mapping.Field) {
		for i := 0; i < len(pairs); i += 2 {
			fields = append(fields, mapping.Field{From: pairs[i], To: pairs[i+1]})
		}
		return fields
	}
	for _, test := range []struct {
		fields        []mapping.Field
		record, wants string
	}{
		{fields("a", "x.y", "b", "z", "c", "x.w"), `{"a":1,"b":2,"c":3}`, `{"x":{"y":1,"w":3},"z":2}`},
		{fields("a", "x.y", "b", "z"), `{"b":2}`, `{"z":2}`},
		{fields("a", "x", "a.b", "y"), `{"a":{"b":{"c":1}}}`, `{"x":{"b":{"c":1}},"y":{"c":1}}`},
		{fields("b", "x[1]", "a", "x[0]"), `{"a":1,"b":2}`, `{"x":[1,2]}`},
		{fields("a", "x[0]", "b", "x[1]", "c", "x[2]"), `{"b":2}`, `{"x":[null,2]}`},
		{fields("a", "x[0]"), `{}`, `{}`},
		{fields("a", `x[k="q",l=2].v`, "b", "x[k=m].v"), `{"a":1,"b":2}`, `{"x":[{"k":"\"q\"","l":"2","v":1},{"k":"m","v":2}]}`},
		{fields("a", "x[k=n].v", "b", "x[k=m].v"), `{"b":2}`, `{"x":[{"k":"m","v":2}]}`},
		{fields("a", "x\n\\.y"), `{"a":1}`, `{"x\u000a.y":1}`},
	} {
		c := must(mapping.Mapping{Name: "t", Version: 1, Fields: test.fields})
		result, err := c.Apply(json.RawMessage(test.record))
		if string(result.Data) != test.wants || err != nil {
			t.Errorf("%s, %v, want %s", result.Data, err, test.wants)
		}
	}
}

func TestSplit(t *testing.T) {
	c := must(mapping.Mapping{Name: "items", Version: 1, Split: "order.items",
		Filters: []mapping.Filter{{Reason: "gift", If: mapping.Condition{Path: "order.items[].price", Equals: mapping.Of(0)}}},
		Fields:  []mapping.Field{{From: "order.id", To: "order"}, {From: "order.items[].price", To: "price", Type: mapping.Decimal}}})
	for record, want := range map[string]string{
		`{"order":{"id":1,"items":[{"price":1},{"price":0.00},{}]}}`: `[{"order":1,"price":"1"},{"order":1}]`,
		`{"order":{"id":1,"items":[]}}`:                              `[]`,
		`{"order":{"id":1,"items":null}}`:                            `[]`,
		`{"order":{"id":1}}`:                                         `[]`,
		`{"order":{"items":[{"price":0}]}}`:                          `skipped gift`,
		`{"order":{"items":7}}`:                                      `type `,
		`{"order":{"items":[{"price":1},{"price":"x"}]}}`:            `type [1].price`,
		`{"order":{"items":[1,null]}}`:                               `[{},{}]`,
	} {
		result, err := c.Apply(json.RawMessage(record))
		got := string(result.Data)
		if wrong, ok := errors.AsType[*mapping.Error](err); ok {
			got = string(wrong.Faults[0].Reason) + " " + wrong.Faults[0].Field
		} else if result.Skipped != "" {
			got = "skipped " + result.Skipped
		}
		if got != want {
			t.Errorf("%s is %s, want %s", record, got, want)
		}
		n := 0
		for range result.Records() {
			n++
			break
		}
		if want[0] == '[' && len(want) > 2 && n != 1 {
			t.Errorf("%d records of %s", n, got)
		}
	}
}

func TestConditions(t *testing.T) {
	of := mapping.Of
	record := `{"s":"new","n":"10.0","big":9007199254740993,"z":null,"d":"31/01/2026","t":1767225600,"b":true,"o":{"p":[{"k":"v"}]}}`
	for _, test := range []struct {
		condition mapping.Condition
		holds     bool
	}{
		{mapping.Condition{Path: "s", Equals: of("new")}, true},
		{mapping.Condition{Path: "s", Equals: of("New")}, false},
		{mapping.Condition{Path: "n", Equals: of(10)}, true},
		{mapping.Condition{Path: "n", Equals: of("10")}, false}, // a text is compared as text
		{mapping.Condition{Path: "big", Equals: mapping.Literal("9007199254740992")}, false},
		{mapping.Condition{Path: "big", Equals: of("9007199254740993")}, true},
		{mapping.Condition{Path: "b", Equals: of(true)}, true},
		{mapping.Condition{Path: "z", Equals: mapping.Literal("null")}, true},
		{mapping.Condition{Path: "missing", Equals: mapping.Literal("null")}, true},
		{mapping.Condition{Path: "s", Equals: mapping.Literal("null")}, false},
		{mapping.Condition{Path: "s", In: []mapping.Literal{of("old"), of("new")}}, true},
		{mapping.Condition{Path: "s", In: []mapping.Literal{}}, false},
		{mapping.Condition{Path: "z", Exists: mapping.Yes()}, false},
		{mapping.Condition{Path: "z", Exists: mapping.No()}, true},
		{mapping.Condition{Path: "o.p[0].k", Exists: mapping.Yes()}, true},
		{mapping.Condition{Path: "s", Matches: "^n.w$"}, true},
		{mapping.Condition{Path: "o", Matches: "."}, false},
		{mapping.Condition{Path: "big", Greater: mapping.Literal("9007199254740992")}, true},
		{mapping.Condition{Path: "big", Greater: mapping.Literal("9007199254740993")}, false},
		{mapping.Condition{Path: "n", GreaterOrEqual: of(10), LessOrEqual: of(10)}, true},
		{mapping.Condition{Path: "n", Greater: of(-1e300), Less: mapping.Literal("1e999999999999999")}, true},
		{mapping.Condition{Path: "n", Less: of("9.99")}, false},
		{mapping.Condition{Path: "s", Less: of(1)}, false},
		{mapping.Condition{Not: &mapping.Condition{Path: "s", Less: of(1)}}, true},
		{mapping.Condition{Path: "d", Type: mapping.Date, Format: "02/01/2006", Greater: of("2026-01-30")}, true},
		{mapping.Condition{Path: "d", Type: mapping.Date, Format: "02/01/2006", Less: of("2026-01-31")}, false},
		{mapping.Condition{Path: "t", Type: mapping.Time, Format: "unix", GreaterOrEqual: of("2026-01-01T00:00:00Z")}, true},
		{mapping.Condition{Path: "t", Type: mapping.Time, Format: "unix", GreaterOrEqual: of("2026-01-01")}, false}, // midnight in São Paulo is later
		{mapping.Condition{All: []mapping.Condition{{Path: "s", Equals: of("new")}, {Path: "b", Equals: of(false)}}}, false},
		{mapping.Condition{Any: []mapping.Condition{{Path: "s", Equals: of("old")}, {Path: "b", Equals: of(true)}}}, true},
		{mapping.Condition{Any: []mapping.Condition{}}, false},
		{mapping.Condition{Path: "s", Equals: of("new"), Not: &mapping.Condition{Path: "b", Equals: of(true)}}, false},
	} {
		m := mapping.Mapping{FromZone: "America/Sao_Paulo"}
		got := one(t, m, mapping.Field{Const: mapping.Of(1), When: &test.condition}, record) == "1"
		if got != test.holds {
			t.Errorf("%s: %v", mapping.Of(test.condition), got)
		}
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	c := must(mapping.Mapping{Name: "n", Version: 1, Fields: []mapping.Field{{From: "a.b", To: "b"}, {From: "l", To: "l", List: true}}})
	for record, reason := range map[string]mapping.Reason{
		"": mapping.ReasonSyntax, "{": mapping.ReasonSyntax, `{"a":{"b":01}}`: mapping.ReasonSyntax, "[]": mapping.ReasonType, "null": mapping.ReasonType,
		"\"" + strings.Repeat("x", mapping.MaxRecord) + "\"":                                mapping.ReasonLimit,
		`{"l":[` + strings.Repeat("1,", mapping.MaxElements) + `1]}`:                        mapping.ReasonLimit,
		`{"a":` + strings.Repeat(`{"a":`, 600) + "1" + strings.Repeat("}", 600) + `,"b":1}`: mapping.ReasonSyntax,
	} {
		_, err := c.Apply(json.RawMessage(record))
		wrong, ok := errors.AsType[*mapping.Error](err)
		if !ok || wrong.Faults[0].Reason != reason || wrong.Mapping != "n" {
			t.Errorf("%.20s: %v", record, err)
		}
	}
	if _, err := c.Apply(json.RawMessage(`{"a":`)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("a record that was cut off cannot be told:", err)
	}
}

// A small record must not become a result without bound.
func TestResultIsBounded(t *testing.T) {
	m := mapping.Mapping{Name: "n", Version: 1, Split: "items"}
	for i := range 10 {
		m.Fields = append(m.Fields, mapping.Field{From: "text", To: fmt.Sprint("t", i)})
	}
	record := `{"text":"` + strings.Repeat("x", 100_000) + `","items":[` + strings.TrimSuffix(strings.Repeat("{},", 5000), ",") + `]}`
	_, err := must(m).Apply(json.RawMessage(record))
	if wrong, ok := errors.AsType[*mapping.Error](err); !ok || wrong.Faults[0].Reason != mapping.ReasonLimit || len(wrong.Faults) != 1 {
		t.Error(err)
	}
}

// An error says where and what, and never the value.
func TestFaultsHoldNoValues(t *testing.T) {
	m := mapping.Mapping{Name: "n", Version: 1}
	for i, typ := range []mapping.Type{mapping.ID, mapping.Integer, mapping.Decimal, mapping.Boolean, mapping.Date, mapping.Time} {
		m.Fields = append(m.Fields, mapping.Field{From: "a", To: fmt.Sprint("t", i), Type: typ, ToFormat: map[bool]string{true: "number"}[typ == mapping.ID]})
	}
	m.Fields = append(m.Fields, mapping.Field{From: "a", To: "v", Values: []mapping.Pair{{From: mapping.Of(1), To: mapping.Of(2)}}})
	_, err := must(m).Apply(json.RawMessage(`{"a":"529.982.247-25"}`))
	if err == nil || strings.Contains(err.Error(), "529") || len(err.(*mapping.Error).Faults) != 7 {
		t.Error(err)
	}
	if diff := cmp.Diff([]error{mapping.ErrRecord}, err.(*mapping.Error).Unwrap(), cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// A fault names the source and what would be right.
func TestFaultsSayWhatIsAllowed(t *testing.T) {
	pairs := make([]mapping.Pair, 12)
	for i := range pairs {
		pairs[i] = mapping.Pair{From: mapping.Of(fmt.Sprintf("S%02d", i)), To: mapping.Of(i)}
	}
	m := mapping.Mapping{Name: "n", Fields: []mapping.Field{
		{From: "x.born", To: "a", Type: mapping.Date, FromFormat: "02/01/2006"},
		{From: "x.open", To: "b", Type: mapping.Boolean, FromFormat: "Y/N"},
		{From: "x.vip", To: "c", Type: mapping.Boolean},
		{From: "x.at", To: "d", Type: mapping.Time},
		{From: "x.id", To: "e", Type: mapping.ID, ToFormat: "number"},
		{From: "x.stage", To: "f", Values: pairs[:2]},
		{From: "x.stage", To: "g", Values: pairs},
		{From: "x.gone", To: "h", Required: true},
	}}
	_, err := must(m).Apply(json.RawMessage(`{"x":{"born":"?","open":"?","vip":"?","at":"?","id":"?","stage":"?"}}`))
	var got []string
	for _, f := range err.(*mapping.Error).Faults {
		got = append(got, f.Field+": "+f.Detail)
	}
	want := []string{
		`a: the value at x.born is no date written as "02/01/2006"`,
		`b: the value at x.open is no boolean written as "Y" or "N"`,
		`c: the value at x.vip is no boolean that can be told`,
		`d: the value at x.at is no time in the format "rfc3339"`,
		`e: the value at x.id cannot be written in the format "number"`,
		`f: the value at x.stage is not listed; allowed: "S00", "S01"`,
		`g: the value at x.stage is not listed; allowed: "S00", "S01", "S02", "S03", "S04", "S05", "S06", "S07", "S08", "S09", and others`,
		`h: the value at x.gone is required, and absent, null or empty`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	m = mapping.Mapping{Name: "n", Fields: []mapping.Field{
		{From: "a", To: "a", Type: "money"}, {From: "a", To: "b", Type: mapping.Boolean, FromFormat: "yes"}, {From: "a", To: "c", Type: mapping.ID, ToFormat: "x"},
		{From: "a", To: "d", Type: mapping.Time, FromFormat: "01/2006"},
	}}
	_, err = mapping.Compile(m)
	const text = `mapping: the mapping is wrong (n): fields[0].type: no such type; allowed: "text", "id", "integer", "decimal", "boolean", "date", "time"; ` +
		`fields[1].from_format: the type "boolean" has no such format; allowed: "native", "number" or two texts such as "Y/N"; ` +
		`fields[2].to_format: the type "id" has no such format; allowed: "string", "number"; ` +
		`fields[3].from_format: allowed: "rfc3339", "unix", "unix_ms" or a layout of package time with day, month and year, and without a zone's abbreviation`
	if err.Error() != text {
		t.Error(err)
	}
}

func TestFewAllocations(t *testing.T) {
	m, record := thirty()
	c := must(m)
	const most = 6
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Apply(record) }); n > most {
		t.Errorf("%v allocations, more than %d", n, most)
	}
}
