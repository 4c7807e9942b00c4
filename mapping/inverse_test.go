package mapping_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace/mapping"
)

// invertible is a mapping with every type and step that has a way back.
func invertible() mapping.Mapping {
	pairs := []mapping.Pair{{From: mapping.Of("NEW"), To: mapping.Of("open")}, {From: mapping.Of("WON"), To: mapping.Of(7)}, {From: mapping.Of(9), To: mapping.Of(false)}}
	return mapping.Mapping{Name: "everything", Version: 1, FromZone: "America/Sao_Paulo", ToZone: "Asia/Kathmandu", Fields: []mapping.Field{
		{From: "id", To: "ids.remote", Type: mapping.ID, ToFormat: "string"},
		{From: "count", To: "count", Type: mapping.Integer, ToFormat: "string"},
		{From: "amount", To: "money.amount", Type: mapping.Decimal, FromFormat: "number"},
		{From: "price", To: "money.price", Type: mapping.Decimal, FromFormat: "comma", ToFormat: "number"},
		{From: "open", To: "open", Type: mapping.Boolean, FromFormat: "Y/N"},
		{From: "born", To: "born", Type: mapping.Date, FromFormat: "02.01.2006", ToFormat: "rfc3339"},
		{From: "seen", To: "times.seen", Type: mapping.Time, FromFormat: "unix_ms"},
		{From: "made", To: "times.made", Type: mapping.Time, ToFormat: "unix"},
		{From: "stage", To: "stage", Values: pairs},
		{From: "note", To: "note", Type: mapping.Text, Default: mapping.Of("none")},
		{From: "raw", To: "raw"},
		{From: "address.street", To: "street"},
		{From: "address.geo[0]", To: "geo.lat"},
		{From: "address.geo[1]", To: "geo.lon"},
		{From: "fm[typeId=PHONE,kind=WORK].value", To: "phone"},
		{From: "fm[typeId=EMAIL].value", To: "email"},
		{From: "tags", To: "tags", List: true, Type: mapping.Text},
		{From: "lines", To: "items", Each: []mapping.Field{
			{From: "price", To: "cost.each", Type: mapping.Decimal},
			{From: "parts", To: "parts", Each: []mapping.Field{{From: "n", To: "number", Type: mapping.ID}}},
		}},
		{From: "amount", To: "amount_text", Type: mapping.Text, OneWay: true},
		{To: "source", Const: mapping.Of("crm")},
	}}
}

// generate returns a random record that the mapping understands.
func generate(seed uint64) json.RawMessage {
	r := rand.New(rand.NewPCG(seed, 1))
	text := func() string {
		letters := []rune("aé\"\\\n\u2028日 ~{}[]")
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteRune(letters[r.IntN(len(letters))])
		}
		return string(mapping.Of(b.String()))
	}
	day := time.Date(1900+r.IntN(200), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(3)*500_000_000, time.UTC)
	digits := strings.TrimLeft(fmt.Sprintf("%d%d", r.Uint64(), r.Uint64()), "0")
	pick := func(options ...string) string { return options[r.IntN(len(options))] }
	var lines []string
	for range r.IntN(4) {
		lines = append(lines, fmt.Sprintf(`{"price":"%d.%03d","parts":[{"n":%s},{"n":"%s"}]}`, r.IntN(1000), r.IntN(1000), digits, digits))
	}
	members := []string{
		`"id":` + pick(digits, `"`+digits+`"`, `"c-`+digits+`"`),
		`"count":` + pick("-", "") + digits,
		`"amount":` + digits + "." + digits + pick("", "E-400", "e+12"),
		`"price":` + pick(`"1.234.567,80"`, `"-3,5"`, `"R$ 17"`, "2.50"),
		`"open":` + pick(`"Y"`, `"N"`),
		`"born":"` + day.Format("02.01.2006") + `"`,
		fmt.Sprintf(`"seen":%d.%d`, day.UnixMilli(), 1+r.IntN(999)),
		`"made":"` + day.In(time.FixedZone("", 3600*(r.IntN(20)-10))).Format(time.RFC3339Nano) + `"`,
		`"stage":` + pick(`"NEW"`, `"WON"`, `9`, `"9"`),
		`"note":` + text(),
		`"raw":` + pick(`{"a": [1.0, null]}`, "1e400", "[]", text()),
		`"address":{"street":` + text() + `,"geo":[` + pick("null", "-23.5") + `,` + pick("-46.60", "0") + `]}`,
		`"fm":[{"typeId":"PHONE","kind":"HOME","value":"1"},{"typeId":"PHONE","kind":"WORK","value":` + text() + `},{"typeId":"EMAIL","value":"x@y.br"}]`,
		`"tags":[` + text() + `,` + text() + `]`,
		`"lines":[` + strings.Join(lines, ",") + `]`,
	}
	for i := range members {
		switch r.IntN(8) {
		case 0:
			members[i] = members[i][:strings.Index(members[i], ":")+1] + "null"
		case 1:
			members[i] = fmt.Sprintf(`"unmapped%d":%s`, i, text())
		}
	}
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return json.RawMessage("{" + strings.Join(members, ",") + "}")
}

func TestRoundTripOfGeneratedRecords(t *testing.T) {
	const records = 1000
	c := must(invertible())
	report, err := c.CheckRoundTrip(func(yield func(json.RawMessage) bool) {
		for seed := range uint64(records) {
			if !yield(generate(seed)) {
				return
			}
		}
	})
	if err != nil || !report.OK() || report.Refused > 0 || report.Samples != records {
		t.Errorf("%v %v", report, err)
	}
	// The results come back too: what the inverse wrote is mapped to the same again.
	inverse, err := c.Invert()
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(200) {
		first, err := c.Apply(generate(seed))
		if err != nil {
			t.Fatal(err)
		}
		back, err := inverse.Apply(first.Data)
		if err != nil {
			t.Fatalf("%s: %v", first.Data, err)
		}
		second, err := c.Apply(back.Data)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := inverse.Apply(second.Data)
		if string(again.Data) != string(back.Data) {
			t.Fatalf("%s\n%s", back.Data, again.Data)
		}
	}
}

func TestRoundTripFindsLosses(t *testing.T) {
	for _, test := range []struct {
		name   string
		field  mapping.Field
		sample string
		losses string
	}{
		{"a layout without seconds", mapping.Field{Type: mapping.Time, ToFormat: "02/01/2006 15:04"}, `"2026-01-01T00:00:07Z"`, "a"},
		{"a time as a date", mapping.Field{Type: mapping.Time, ToFormat: "2006-01-02"}, `"2026-01-01T07:00:00Z"`, "a"},
		{"a table that keeps others", mapping.Field{Values: []mapping.Pair{{From: mapping.Of("x"), To: mapping.Of("y")}}, Other: mapping.OtherKeep}, `"y"`, "a"},
		{"a default for what is not listed", mapping.Field{Values: []mapping.Pair{{From: mapping.Of("x"), To: mapping.Of("y")}}, Other: mapping.OtherDefault, Default: mapping.Of("y")}, `"z"`, "a"},
		{"a default without a way back", mapping.Field{Values: []mapping.Pair{{From: mapping.Of("x"), To: mapping.Of("y")}}, Default: mapping.Of("?")}, `null`, "a"},
		{"an empty that is written", mapping.Field{Type: mapping.Text, Empty: []mapping.Literal{mapping.Of("-")}}, `"-"`, ""},
		{"a default for nothing", mapping.Field{Type: mapping.Text, Default: mapping.Of("?")}, `null`, ""},
		{"another text for the same", mapping.Field{Type: mapping.Decimal, ToFormat: "number"}, `"1.50"`, ""},
		{"elements that are left out", mapping.Field{List: true, Where: &mapping.Condition{Greater: mapping.Of(1)}}, `[1,2,3]`, ""},
		{"an element that changes", mapping.Field{List: true, Type: mapping.Time, ToFormat: "02/01/2006"}, `["2026-01-01T00:00:00Z","2026-01-01T00:00:07Z",null]`, "a[1]"},
		{"what a where needs", mapping.Field{Each: []mapping.Field{{From: "v", To: "v"}}, Where: &mapping.Condition{Path: "k", Equals: mapping.Of(1)}}, `[{"k":1,"v":2}]`, "a"},
		{"what a where needs, kept", mapping.Field{Each: []mapping.Field{{From: "v", To: "v"}, {From: "k", To: "k"}}, Where: &mapping.Condition{Path: "k", Equals: mapping.Of(1)}}, `[{"k":1,"v":2},{"k":2}]`, ""},
		{"a field of an element", mapping.Field{Each: []mapping.Field{{From: "v", To: "v", Type: mapping.Time, ToFormat: "2006-01-02"}}}, `[{},{"v":"2026-01-01T07:00:00Z"}]`, "a[1].v"},
		{"a field whose when does not hold", mapping.Field{When: &mapping.Condition{Path: "a", Exists: mapping.No()}}, `1`, ""},
		{"from another path", mapping.Field{Or: []string{"c"}}, `null,"c":2`, ""},
	} {
		test.field.From, test.field.To = "a", "b"
		c := must(mapping.Mapping{Name: "n", Version: 1, Fields: []mapping.Field{test.field}})
		report, err := c.CheckRoundTrip(slices.Values([]json.RawMessage{json.RawMessage(`{"a":` + test.sample + `}`)}))
		if err != nil {
			t.Fatal(err)
		}
		var fields []string
		for _, l := range report.Losses {
			fields = append(fields, l.Field)
		}
		if got := strings.Join(fields, ","); got != test.losses || report.Refused != 0 || report.OK() != (got == "") {
			t.Errorf("%s: %v", test.name, report)
		}
	}
}

func TestRoundTripCounts(t *testing.T) {
	c := must(mapping.Mapping{Name: "n", Version: 1, When: &mapping.Condition{Path: "a", Exists: mapping.Yes()},
		Fields: []mapping.Field{{From: "a", To: "b", Type: mapping.Integer}}})
	report, err := c.CheckRoundTrip(slices.Values([]json.RawMessage{json.RawMessage(`{}`), json.RawMessage(`{"a":"x"}`), json.RawMessage(`{"a":1}`)}))
	if report.String() != "3 samples, 1 skipped, 1 refused, 0 lossy: nothing is lost" || err != nil {
		t.Error(report, err)
	}
	lossy := must(mapping.Mapping{Name: "n", Version: 1, Fields: []mapping.Field{{From: "a", To: "b", Type: mapping.Time, ToFormat: "2006-01-02"}}})
	report, _ = lossy.CheckRoundTrip(slices.Values(slices.Repeat([]json.RawMessage{json.RawMessage(`{"a":"2026-01-01T07:00:00Z"}`)}, 150)))
	if report.Lossy != 150 || len(report.Losses) != 100 {
		t.Error(report.Lossy, len(report.Losses))
	}
}

func TestNotInvertible(t *testing.T) {
	pairs := func(to ...any) (pairs []mapping.Pair) {
		for i, v := range to {
			pairs = append(pairs, mapping.Pair{From: mapping.Of(i), To: mapping.Of(v)})
		}
		return pairs
	}
	for _, test := range []struct {
		fault  string
		split  string
		fields []mapping.Field
	}{
		{"split loss", "a", []mapping.Field{{From: "a[].b", To: "b"}}},
		{"fields[1].from loss", "", []mapping.Field{{From: "a", To: "b"}, {From: "a", To: "c"}}},
		{"fields[0].values[1].to loss", "", []mapping.Field{{From: "a", To: "b", Values: pairs("x", "x")}}},
		{"fields[0].values[0].to loss", "", []mapping.Field{{From: "a", To: "b", Values: pairs(nil)}}},
		{"fields[0].each[1].from loss", "", []mapping.Field{{From: "a", To: "b", Each: []mapping.Field{{From: "a", To: "b"}, {From: "a", To: "c"}}}}},
		{"fields[1].to conflict", "", []mapping.Field{{From: "a", To: "b"}, {From: "a.x", To: "c"}}},
		{"fields missing", "", []mapping.Field{{From: "a[3]", To: "b"}}},
		{"fields loss", "", []mapping.Field{{To: "b", Const: mapping.Of(1)}, {From: "a", To: "c", OneWay: true}}},
	} {
		c := must(mapping.Mapping{Name: "n", Version: 1, Split: test.split, Fields: test.fields})
		_, err := c.Invert()
		if got := faults(t, err, mapping.ErrNotInvertible); !slices.Contains(got, test.fault) {
			t.Errorf("%v, want %s", got, test.fault)
		}
		if _, err := c.CheckRoundTrip(nil); err == nil {
			t.Error("a round trip without an inverse")
		}
	}
	inverse, err := must(invertible()).Invert()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inverse.Invert(); err != mapping.ErrNotInvertible {
		t.Error(err)
	}
}
