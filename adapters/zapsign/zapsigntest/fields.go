package zapsigntest

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
)

// fields is a JSON object of a request. Reading a field of the wrong JSON type gives its zero
// value and is remembered in wrong, for the 406 that it earns (sheet 4.1).
type fields struct {
	values map[string]any
	wrong  *string // shared with the objects within
}

// Kinds of what a body can be.
const (
	notJSON = iota
	null
	notAnObject
	object
)

// parseFields reads a body, of which nothing but one JSON value may stand there.
func parseFields(body []byte) (fields, int) {
	f := fields{wrong: new(string)}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return f, notJSON
	}
	if _, err := decoder.Token(); err != io.EOF {
		return f, notJSON
	}
	switch v := value.(type) {
	case nil:
		return f, null
	case map[string]any:
		f.values = v
		return f, object
	default:
		return f, notAnObject
	}
}

func (f fields) mistyped(name string) {
	if *f.wrong == "" {
		*f.wrong = name
	}
}

// has tells whether a field is there and not null.
func (f fields) has(name string) bool { return f.values[name] != nil }

// text reads a string; null is as good as none (sheet 1.6).
func (f fields) text(name string) string {
	switch v := f.values[name].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		f.mistyped(name)
		return ""
	}
}

// flag reads a boolean, which must be one of JSON.
func (f fields) flag(name string) bool {
	switch v := f.values[name].(type) {
	case nil:
		return false
	case bool:
		return v
	default:
		f.mistyped(name)
		return false
	}
}

// integer reads a whole number.
func (f fields) integer(name string) int {
	switch v := f.values[name].(type) {
	case nil:
		return 0
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
	}
	f.mistyped(name)
	return 0
}

// id reads an id as the provider takes them, a number or a text of one, and returns its digits.
func (f fields) id(name string) string {
	switch v := f.values[name].(type) {
	case nil:
		return ""
	case json.Number:
		return v.String()
	case string:
		return v
	default:
		f.mistyped(name)
		return ""
	}
}

func (f fields) number(name string) float64 {
	switch v := f.values[name].(type) {
	case nil:
		return 0
	case json.Number:
		n, _ := v.Float64()
		return n
	default:
		f.mistyped(name)
		return 0
	}
}

func (f fields) list(name string) []any {
	switch v := f.values[name].(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		f.mistyped(name)
		return nil
	}
}

// texts reads an array of strings.
func (f fields) texts(name string) []string {
	var texts []string
	for _, item := range f.list(name) {
		s, isString := item.(string)
		if !isString {
			f.mistyped(name)
			continue
		}
		texts = append(texts, s)
	}
	return texts
}

// objects reads an array of objects.
func (f fields) objects(name string) []fields {
	var objects []fields
	for _, item := range f.list(name) {
		values, isObject := item.(map[string]any)
		if !isObject {
			f.mistyped(name)
			continue
		}
		objects = append(objects, fields{values, f.wrong})
	}
	return objects
}

func (f fields) object(name string) fields {
	switch v := f.values[name].(type) {
	case nil:
	case map[string]any:
		return fields{v, f.wrong}
	default:
		f.mistyped(name)
	}
	return fields{wrong: f.wrong}
}

// set gives target the field's value if the request has it.
func (f fields) setText(name string, target *string) {
	if f.has(name) {
		*target = f.text(name)
	}
}

func (f fields) setFlag(name string, target *bool) {
	if f.has(name) {
		*target = f.flag(name)
	}
}

// typeError is the answer to a field of the wrong JSON type, nil if there was none.
func (f fields) typeError() *answer {
	if *f.wrong == "" {
		return nil
	}
	a := detail(406, "Tipo inválido no campo "+strconv.Quote(*f.wrong)+".")
	return &a
}
