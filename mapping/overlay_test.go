package mapping_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/mapping"
)

// inverse compiles a mapping's way back.
func inverse(t testing.TB, m mapping.Mapping) *mapping.Compiled {
	t.Helper()
	c, err := must(m).Invert()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOverlay(t *testing.T) {
	phones := mapping.Field{From: "fm", To: "phones", Where: &mapping.Condition{Path: "type", Equals: mapping.Of("PHONE")},
		Each: []mapping.Field{{From: "value", To: "number"}, {From: "type", To: "type"}, {From: "meta.kind", To: "kind"}}}
	work, home := mapping.Field{From: "fm[type=PHONE,kind=WORK].value", To: "work"}, mapping.Field{From: "fm[type=PHONE,kind=HOME].value", To: "home"}
	lat, lon := mapping.Field{From: "geo[0]", To: "lat"}, mapping.Field{From: "geo[1]", To: "lon"}
	for name, test := range map[string]struct {
		fields                 []mapping.Field
		local, current, result string
	}{
		"the top level stays a part": {[]mapping.Field{{From: "a", To: "a"}}, `{"a":1}`, `{"a":2,"b":3}`, `{"a":1}`},
		"members of an object":       {[]mapping.Field{{From: "x.a", To: "a"}, {From: "x.n.c", To: "c"}}, `{"a":1,"c":2}`, `{"x":{"b":[1.0],"a":0,"n":{"d":3}}}`, `{"x":{"b":[1.0],"a":1,"n":{"d":3,"c":2}}}`},
		"a member that is cleared":   {[]mapping.Field{{From: "x.a", To: "a"}}, `{"a":null}`, `{"x":{"a":1,"b":2}}`, `{"x":{"a":null,"b":2}}`},
		"a member that is new":       {[]mapping.Field{{From: "x.a", To: "a"}}, `{"a":1}`, `{"x":{"b":2}}`, `{"x":{"b":2,"a":1}}`},
		"nothing to lay it over":     {[]mapping.Field{{From: "x.a", To: "a"}}, `{"a":1}`, `{"x":null}`, `{"x":{"a":1}}`},
		"another kind":               {[]mapping.Field{{From: "x.a", To: "a"}}, `{"a":1}`, `{"x":[]}`, `{"x":{"a":1}}`},
		"a whole value":              {[]mapping.Field{{From: "x", To: "x"}}, `{"x":{"a":1}}`, `{"x":{"a":2,"b":3}}`, `{"x":{"a":1}}`},
		"a list":                     {[]mapping.Field{{From: "l", To: "l", List: true}}, `{"l":[1]}`, `{"l":[2,3]}`, `{"l":[1]}`},
		"selected elements": {[]mapping.Field{work, home}, `{"work":"9","home":"8"}`, `{"fm":[{"id":1,"type":"EMAIL","value":"x"},{"id":2,"type":"PHONE","kind":"WORK","value":"1"}]}`,
			`{"fm":[{"id":1,"type":"EMAIL","value":"x"},{"id":2,"type":"PHONE","kind":"WORK","value":"9"},{"type":"PHONE","kind":"HOME","value":"8"}]}`},
		"one that is not written": {[]mapping.Field{work, home}, `{"home":null}`, `{"fm":[{"type":"PHONE","kind":"WORK","value":"1"},{"id":3,"type":"PHONE","kind":"HOME","value":"2"}]}`,
			`{"fm":[{"type":"PHONE","kind":"WORK","value":"1"},{"id":3,"type":"PHONE","kind":"HOME","value":null}]}`},
		"none that is written": {[]mapping.Field{work}, `{}`, `{"fm":[{"type":"EMAIL"}]}`, `{}`},
		"indexed elements":     {[]mapping.Field{lat, lon}, `{"lat":1,"lon":2}`, `{"geo":[0,0,"wgs"]}`, `{"geo":[1,2,"wgs"]}`},
		"a gap":                {[]mapping.Field{lat, lon}, `{"lon":2}`, `{"geo":[7]}`, `{"geo":[7,2]}`},
		"what where leaves out": {[]mapping.Field{phones}, `{"phones":[{"number":"9","type":"PHONE"},{"number":"8","type":"PHONE","kind":"x"}]}`,
			`{"fm":[{"id":1,"type":"PHONE","value":"1","meta":{"y":1,"kind":"w"}},{"id":2,"type":"EMAIL","value":"x"},{"id":3,"type":"PHONE","value":"2","meta":{"z":1}}]}`,
			`{"fm":[{"id":1,"type":"PHONE","value":"9","meta":{"y":1,"kind":"w"}},{"id":2,"type":"EMAIL","value":"x"},{"id":3,"type":"PHONE","value":"8","meta":{"z":1,"kind":"x"}}]}`},
		"fewer and more": {[]mapping.Field{phones}, `{"phones":[{"number":"9","type":"PHONE"}]}`,
			`{"fm":[{"id":1,"type":"PHONE","value":"1"},{"id":2,"type":"EMAIL"},{"id":3,"type":"PHONE","value":"2"}]}`, `{"fm":[{"id":1,"type":"PHONE","value":"9"},{"id":2,"type":"EMAIL"}]}`},
		"more": {[]mapping.Field{phones}, `{"phones":[{"number":"9","type":"PHONE"}]}`, `{"fm":[{"id":2,"type":"EMAIL"}]}`, `{"fm":[{"id":2,"type":"EMAIL"},{"value":"9","type":"PHONE"}]}`},
		"scalars that where leaves out": {[]mapping.Field{{From: "l", To: "l", List: true, Where: &mapping.Condition{Greater: mapping.Of(9)}}},
			`{"l":[20,30]}`, `{"l":[1,10,2]}`, `{"l":[1,20,2,30]}`},
		"the same in another form": {[]mapping.Field{{From: "id", To: "id", Type: mapping.ID}, {From: "sum", To: "sum", Type: mapping.Decimal}, {From: "at", To: "at", Type: mapping.Time},
			{From: "day", To: "day", Type: mapping.Date}, {From: "x.no", To: "no", Type: mapping.Date}, {From: "ids", To: "ids", List: true, Type: mapping.ID},
			{From: "lines", To: "lines", Each: []mapping.Field{{From: "n", To: "n", Type: mapping.Integer}}}},
			`{"id":"7","sum":"10.50","at":"2026-01-01T10:00:00Z","day":"2026-01-01","no":null,"ids":["1","2"],"lines":[{"n":1}]}`,
			`{"id":7,"sum":10.5,"at":"2026-01-01T07:00:00-03:00","day":"2026-01-01T03:00:00+03:00","x":{"no":""},"ids":[1,"3"],"lines":[{"n":"1"}]}`,
			`{"id":7,"sum":10.5,"at":"2026-01-01T07:00:00-03:00","day":"2026-01-01T03:00:00+03:00","x":{"no":""},"ids":[1,"2"],"lines":[{"n":"1"}]}`},
		"a default for nothing":   {[]mapping.Field{{From: "a", To: "a", Default: mapping.Of("?")}}, `{"a":"?"}`, `{"a":null}`, `{"a":null}`},
		"a default for something": {[]mapping.Field{{From: "a", To: "a", Default: mapping.Of("?")}}, `{"a":"?"}`, `{"a":"x"}`, `{"a":"?"}`},
		"repeated names":          {[]mapping.Field{{From: "x.a", To: "a"}}, `{"a":1}`, `{"x":{"b":1,"b":2,"a":3}}`, `{"x":{"b":2,"a":1}}`},
		"no record":               {[]mapping.Field{{From: "x.a", To: "a"}}, `{"a":1}`, ``, `{"x":{"a":1}}`},
	} {
		back := inverse(t, mapping.Mapping{Name: "n", Fields: test.fields})
		part, err := back.Apply(json.RawMessage(test.local))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := back.Overlay(part.Data, json.RawMessage(test.current)); string(got) != test.result || err != nil {
			t.Errorf("%s: %s (%v), want %s", name, got, err, test.result)
		}
	}
}

func TestOverlayRefuses(t *testing.T) {
	back := inverse(t, mapping.Mapping{Name: "n", Fields: []mapping.Field{{From: "a[x=1].b", To: "b"}}})
	for name, test := range map[string][2]string{
		"a result that is cut": {`{"a":`, `{}`}, "a current that is cut": {`{}`, `{"a":`},
		"a long one":       {`{}`, `{"a":"` + strings.Repeat("x", mapping.MaxRecord) + `"}`},
		"an array without": {`{"a":[{"x":"1","b":1}]}`, `{"a":[` + strings.Repeat("{},", mapping.MaxElements) + `{}]}`},
	} {
		if got, err := back.Overlay(json.RawMessage(test[0]), json.RawMessage(test[1])); !errors.Is(err, mapping.ErrRecord) || got != nil {
			t.Errorf("%s: %.50s %v", name, got, err)
		}
	}
}

// What is mapped and laid over where it came from changes nothing that the mapping reads, and
// loses nothing that it does not.
func TestOverlayOfWhatCameFromThereIsTheSame(t *testing.T) {
	c := must(invertible())
	back := inverse(t, invertible())
	for seed := range uint64(500) {
		record := generate(seed)
		there, err := c.Apply(record)
		if err != nil {
			t.Fatal(err)
		}
		part, err := back.Apply(there.Data)
		if err != nil {
			t.Fatal(err)
		}
		done, err := back.Overlay(part.Data, record)
		if err != nil {
			t.Fatal(err)
		}
		updated := update(t, record, done)
		again, err := c.Apply(updated)
		if err != nil || string(mapping.Of(again.Data)) != string(mapping.Of(there.Data)) { // without the space in them
			t.Fatalf("seed %d: %v\n%s\n%s\n%s", seed, err, record, there.Data, again.Data)
		}
		if before, after := count(t, record), count(t, updated); after < before { // a default may add one
			t.Fatalf("seed %d: %d values became %d\n%s\n%s", seed, before, after, record, updated)
		}
	}
}

// update replaces members of a record, as a provider does.
func update(t testing.TB, record, part json.RawMessage) json.RawMessage {
	t.Helper()
	var all, some map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(record, &all), json.Unmarshal(part, &some)); err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, some)
	return json.RawMessage(mapping.Of(all))
}

// count counts the members and elements in a document.
func count(t testing.TB, document json.RawMessage) int {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(document)))
	d.UseNumber()
	n := 0
	for {
		token, err := d.Token()
		if err != nil {
			return n
		}
		if _, delimiter := token.(json.Delim); !delimiter {
			n++
		}
	}
}

func ExampleCompiled_Overlay() {
	contacts := must(mapping.Mapping{Name: "contacts", Fields: []mapping.Field{
		{From: "fm[typeId=PHONE,valueType=WORK].value", To: "work_phone"}, {From: "address.city", To: "city"}}})
	back, err := contacts.Invert()
	if err != nil {
		fmt.Println(err)
		return
	}
	part, err := back.Apply(json.RawMessage(`{"work_phone":"+55 11 5555-0009","city":"Santos"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	whole, err := back.Overlay(part.Data, json.RawMessage(`{"name":"Ana","address":{"city":"São Paulo","street":"Rua A"},
		"fm":[{"id":"1","typeId":"EMAIL","value":"ana@acme.com.br"},{"id":"2","typeId":"PHONE","valueType":"WORK","value":"+55 11 5555-0001"}]}`))
	fmt.Println(string(whole), err)
	// Output:
	// {"fm":[{"id":"1","typeId":"EMAIL","value":"ana@acme.com.br"},{"id":"2","typeId":"PHONE","valueType":"WORK","value":"+55 11 5555-0009"}],"address":{"city":"Santos","street":"Rua A"}} <nil>
}
