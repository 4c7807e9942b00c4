package mappingyaml_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/mappingyaml"
)

func Example() {
	m, err := mappingyaml.Parse([]byte(`
name: bitrix24/deals
from_zone: America/Sao_Paulo
when: {path: categoryId, equals: 0}
filters:
  - if: {path: title, matches: "^test"}
    reason: test data
fields:
  - {from: id, to: external_id, type: id, required: true}
  - {from: opportunity, to: amount.value, type: decimal}
  - {from: currencyId, to: amount.currency, default: BRL}
  - {from: closed, to: closed, type: boolean, from_format: Y/N}
  - from: stageId
    to: stage
    values:
      - {from: NEW, to: open}
      - {from: WON, to: won}
  - {from: begindate, to: starts_on, type: date, from_format: 02/01/2006}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	deals, err := mapping.Compile(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := deals.Apply(json.RawMessage(`{"id":9007199254740993,"categoryId":"0","title":"Site","opportunity":1234.50,
		"closed":"N","stageId":"NEW","begindate":"31/01/2026"}`))
	fmt.Println(string(result.Data), err)
	// Output:
	// {"external_id":"9007199254740993","amount":{"value":"1234.50","currency":"BRL"},"closed":false,"stage":"open","starts_on":"2026-01-31"} <nil>
}

// literal returns what a scalar of YAML becomes as a field's default.
func literal(text string) (string, error) {
	m, err := mappingyaml.Parse([]byte("fields:\n  - to: a\n    default: " + text + "\n"))
	if err != nil {
		return "", err
	}
	return string(m.Fields[0].Default), nil
}

func TestScalars(t *testing.T) {
	for text, want := range map[string]string{
		"9007199254740993": "9007199254740993", "10.50": "10.50", "-0.10e+07": "-0.10e+07", "123456789012345678901234567890.10": "123456789012345678901234567890.10",
		"true": "true", "False": "false", "null": "null", "~": "null", "": "null",
		"Y": `"Y"`, "N": `"N"`, "yes": `"yes"`, "no": `"no"`, "on": `"on"`, "off": `"off"`, "sim": `"sim"`,
		`"010"`: `"010"`, "'1'": `"1"`, "2026-01-31": `"2026-01-31"`, "2026-01-31T10:00:00Z": `"2026-01-31T10:00:00Z"`, "12:30:45": `"12:30:45"`,
		`"<&>\n\"é"`: `"<&>\n\"é"`, "[1, {a: b}]": `[1,{"a":"b"}]`, "{}": "{}", "[]": "[]",
		"|\n      two\n      lines": `"two\nlines\n"`,
	} {
		if got, err := literal(text); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestWhatYAMLWouldGuessAtIsRefused(t *testing.T) {
	for _, text := range []string{"010", "0x1F", "0b1", "0o7", "1_000", ".inf", "-.inf", ".nan", ".5", "+1", "1.", "!!str 1", "!x y", "!!binary aGk=", "&a b", "{<<: {a: 1}}", "{1: a}", "{a: 1, a: 2}", "{[a]: 1}", "{true: 1}"} {
		got, err := literal(text)
		wrong, ok := errors.AsType[*mapping.Error](err)
		if !ok || !errors.Is(err, mapping.ErrMapping) || !strings.HasPrefix(wrong.Faults[0].Detail, "line 3: ") {
			t.Errorf("%s is %s, %v", text, got, err)
		}
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	for name, text := range map[string]string{
		"nothing": "", "a comment": "# x\n", "a tab": "\tname: x", "a list": "- a", "a text": "a", "null": "null", "an unknown name": "nmae: x", "a wrong type": "name: [x]",
		"two documents": "name: a\n---\nname: b\n", "a directive": "%YAML 3.0\n---\nname: a", "a bomb": bomb, "no UTF-8": "name: \xff",
		"a deep one": "fields: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "a long one": "name: " + strings.Repeat("x", mapping.MaxMapping),
	} {
		if m, err := mappingyaml.Parse([]byte(text)); !errors.Is(err, mapping.ErrMapping) {
			t.Errorf("%s: %v %v", name, m, err)
		}
	}
}

// YAML is another notation for the same mapping.
func TestJSONIsYAML(t *testing.T) {
	for _, text := range []string{
		`{"name":"n","version":3,"fields":[{"from":"a.b[0]","to":"c","type":"time","from_format":"unix_ms"}]}`,
		`{"name":"n","when":{"all":[{"path":"id","gt":9007199254740993}]},"fields":[{"to":"c","const":{"x":[1.10,null,"\u00e9\n"]}}]}`,
	} {
		if err := sameInBoth([]byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// sameInBoth compares what both parsers make of a document in JSON.
func sameInBoth(text []byte) error {
	fromJSON, err := mapping.Parse(text)
	if err != nil {
		return nil
	}
	fromYAML, err := mappingyaml.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if a, b := compact(fromJSON), compact(fromYAML); a != b {
		return fmt.Errorf("%s and %s", a, b)
	}
	return nil
}

func compact(m mapping.Mapping) string {
	text, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	var v any // strings may be written in several ways
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		return err.Error()
	}
	return string(mapping.Of(v))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: n\nfields:\n  - {from: a, to: b, default: 10.50, values: [{from: Y, to: true}]}\n"))
	f.Add([]byte("a: &x [*x]\n<<: {b: 0x1F}\n? [c]\n: |\n  d\n---\n"))
	f.Add([]byte(`{"name":"n","fields":[{"to":"a","const":"\ud83d\ude00"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := mappingyaml.Parse(text)
		if err != nil {
			if !errors.Is(err, mapping.ErrMapping) {
				t.Fatal(err)
			}
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("%q became a mapping without a JSON form: %v", text, err)
		}
		if _, err := mapping.Parse(again); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
