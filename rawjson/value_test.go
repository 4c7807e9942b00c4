package rawjson_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/enlace-go/enlace/rawjson"
)

func TestGet(t *testing.T) {
	const doc = ` {"a":{"b":[1,{"c":2}],"n":null,"\u0065":"escaped"},"x":[{"a":1}],"":{"":3},"d":1,"d":{"e":2}, "g":{"h":1},"g":4} `
	tests := []struct {
		path []string
		want string // "" for nil
	}{
		{nil, doc[1 : len(doc)-1]},
		{[]string{"a", "b"}, `[1,{"c":2}]`},
		{[]string{"a", "n"}, `null`},
		{[]string{"a", "e"}, `"escaped"`},
		{[]string{"", ""}, `3`},
		{[]string{"d", "e"}, `2`}, // the last of a repeated name counts,
		{[]string{"g"}, `4`},
		{[]string{"g", "h"}, ``}, // even if the path ends there
		{[]string{"A"}, ``},
		{[]string{"a", "b", "c"}, ``},
		{[]string{"x", "a"}, ``},
		{[]string{"d", "e", "f"}, ``},
	}
	for _, test := range tests {
		got, err := rawjson.Get([]byte(doc), test.path...)
		if err != nil || string(got) != test.want || (got == nil) != (test.want == "") {
			t.Errorf("Get %q = %s, %v, want %s", test.path, got, err, test.want)
		}
	}
	for _, broken := range []string{`{"a":1`, `{"a":1}}`, `{"a":1,"b":?}`, `{"a":1 "b":2}`, ``} {
		if got, err := rawjson.Get([]byte(broken), "a"); got != nil || err == nil {
			t.Errorf("Get from %s = %s, %v", broken, got, err)
		}
	}
	if got, err := rawjson.Get([]byte(`[1]`), "a"); got != nil || err != nil {
		t.Errorf("Get from an array = %s, %v", got, err)
	}
}

func TestElements(t *testing.T) {
	collect := func(doc string, most int) (got []string, failed error) {
		for element, err := range rawjson.Elements([]byte(doc)) {
			if err != nil {
				if element != nil {
					t.Errorf("%s: element %s with an error", doc, element)
				}
				failed = err
				continue
			}
			if got = append(got, string(element)); len(got) == most {
				break
			}
		}
		return got, failed
	}
	tests := []struct {
		doc   string
		most  int
		want  []string
		fails bool
	}{
		{`[]`, 0, nil, false},
		{` [ 1 , "a" , {"b":[2]} ] `, 0, []string{`1`, `"a"`, `{"b":[2]}`}, false},
		{`[1,2,3]`, 2, []string{`1`, `2`}, false},
		{`[1,2`, 0, []string{`1`, `2`}, true},
		{`[1,?]`, 0, []string{`1`}, true},
		{`[1]]`, 0, []string{`1`}, true},
		{`{"a":1}`, 0, nil, true},
		{`null`, 0, nil, true},
		{``, 0, nil, true},
	}
	for _, test := range tests {
		got, err := collect(test.doc, test.most)
		if !slices.Equal(got, test.want) || (err != nil) != test.fails {
			t.Errorf("Elements of %s = %q, %v", test.doc, got, err)
		}
	}
}

func TestStringDecodes(t *testing.T) {
	for raw, want := range map[string]string{
		`""`: "", ` "a" `: "a", `"Анна"`: "Анна", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"\u0041\u00e9\u20AC"`: "Aé€",
		`"\ud83d\ude00"`: "😀", `"\ud83d"`: "\ufffd", `"\ud83dx"`: "\ufffdx", `"\ude00\ud83d"`: "\ufffd\ufffd",
		`"\ud83d\u0041"`: "\ufffdA", `"\ud83d\ud83d\ude00"`: "\ufffd😀", `"\ud83d\n"`: "\ufffd\n", `"\u0000"`: "\x00",
	} {
		got, ok := rawjson.String([]byte(raw))
		if !ok || got != want {
			t.Errorf("String(%s) = %q, %v, want %q", raw, got, ok, want)
		}
	}
	for _, raw := range []string{``, `null`, `1`, `["a"]`, `"a`, `"a" "b"`, `"\x"`, "\"\xff\"", "\"\n\"", `a`} {
		if got, ok := rawjson.String([]byte(raw)); ok || got != "" {
			t.Errorf("String(%s) = %q, %v", raw, got, ok)
		}
	}
	if _, ok := rawjson.String(nil); ok {
		t.Error("String(nil) is ok")
	}
}

func TestIDAndInt(t *testing.T) {
	tests := []struct {
		raw   string
		id    string
		isID  bool
		n     int64
		isInt bool
	}{
		{`43`, "43", true, 43, true},
		{`"43"`, "43", true, 43, true},
		{` -7 `, "-7", true, -7, true},
		{`0`, "0", true, 0, true},
		{`9007199254740993`, "9007199254740993", true, 9007199254740993, true},
		{`"9223372036854775807"`, "9223372036854775807", true, 9223372036854775807, true},
		{`9223372036854775808`, "9223372036854775808", true, 0, false},
		{`123456789012345678901234567890`, "123456789012345678901234567890", true, 0, false},
		{`"5f8d\u002d1"`, "5f8d-1", true, 0, false},
		{`"007"`, "007", true, 0, false},
		{`"+5"`, "+5", true, 0, false},
		{`" 5"`, " 5", true, 0, false},
		{`"1_000"`, "1_000", true, 0, false},
		{`"5.0"`, "5.0", true, 0, false},
		{`"null"`, "null", true, 0, false},
		{`""`, "", false, 0, false},
		{`1.0`, "", false, 0, false},
		{`1e3`, "", false, 0, false},
		{`007`, "", false, 0, false},
		{`-`, "", false, 0, false},
		{`1 2`, "", false, 0, false},
		{`null`, "", false, 0, false},
		{`true`, "", false, 0, false},
		{`{"id":1}`, "", false, 0, false},
		{`[1]`, "", false, 0, false},
		{`"1`, "", false, 0, false},
		{``, "", false, 0, false},
	}
	for _, test := range tests {
		if id, ok := rawjson.ID([]byte(test.raw)); id != test.id || ok != test.isID {
			t.Errorf("ID(%s) = %q, %v", test.raw, id, ok)
		}
		if n, ok := rawjson.Int([]byte(test.raw)); n != test.n || ok != test.isInt {
			t.Errorf("Int(%s) = %d, %v", test.raw, n, ok)
		}
	}
}

func TestRawValuesMarshalAsThemselves(t *testing.T) {
	raw, err := rawjson.Get([]byte(`{"a":{"b":1}}`), "a")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(map[string]any{"kept": raw}); err != nil || string(got) != `{"kept":{"b":1}}` {
		t.Errorf("marshalled: %s, %v", got, err)
	}
}
