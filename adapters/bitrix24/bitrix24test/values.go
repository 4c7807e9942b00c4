package bitrix24test

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// given converts a parameter into the form that records keep; nil is "nothing". It reports false
// if the value does not fit the field.
func (p *Portal) given(f *field, value *node) (kept any, ok bool) {
	text := value.string()
	switch f.kind {
	case kindTexts:
		return listOf(value, func(item *node) (string, bool) { return item.string(), item.string() != "" }), true
	case kindInts:
		return listOf(value, func(item *node) (int64, bool) { return item.number(), f.takes(item) && item.string() != "" }), true
	case kindFlag, kindBool:
		return truth(strings.EqualFold(text, "Y") || text == "1" || strings.EqualFold(text, "true")), !value.isArray()
	}
	if value.isArray() {
		return nil, false
	}
	if text == "" {
		return nil, true
	}
	switch f.kind {
	case kindText:
		return text, f.typ != "crm_currency" || isCurrency(text)
	case kindMoney:
		amount, err := strconv.ParseFloat(text, 64)
		return int64(math.Round(amount * 100)), err == nil && math.Abs(amount) < 1e15
	case kindTime, kindDate:
		at, ok := p.parseTime(text, f.kind)
		return at, ok
	case kindLink:
		if n := value.number(); n != 0 {
			return n, f.takes(value)
		}
		return nil, f.takes(value)
	default:
		return value.number(), f.takes(value)
	}
}

// takes tells whether a scalar is a number, and an option if the field has some.
func (f *field) takes(value *node) bool {
	if _, err := strconv.ParseFloat(value.string(), 64); err != nil {
		return value.string() == ""
	}
	if f.typ != "enumeration" {
		return true
	}
	option := value.number() - firstOption
	return option >= 0 && option < int64(len(f.options))
}

// listOf reads a list of values, or a single one, and leaves out what does not fit. Nothing left
// is nil.
func listOf[T any](value *node, read func(*node) (T, bool)) any {
	items := []*node{value}
	if value.isArray() {
		items = value.items
	}
	list := []T{}
	for _, item := range items {
		if one, ok := read(item); ok {
			list = append(list, one)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// current returns the record's value in the form that records keep.
func (r *record) current(f *field) any {
	switch f.kind {
	case kindText, kindFlat:
		return string(r.appendText(nil, f))
	case kindTexts:
		return r.textList(f)
	case kindInts:
		if f == r.typ.link.list {
			return r.bindings()
		}
		return r.appendInts(nil, f)
	case kindFM:
		return slices.Clone(r.multifields())
	}
	if n, found := r.value(f); found {
		return n
	}
	return nil
}

// same compares two kept values; all forms of nothing are the same.
func same(a, b any) bool { return reflect.DeepEqual(someOrNil(a), someOrNil(b)) }

func someOrNil(value any) any {
	switch v := value.(type) {
	case string:
		if v == "" {
			return nil
		}
	case []string:
		if len(v) == 0 {
			return nil
		}
	case []int64:
		if len(v) == 0 {
			return nil
		}
	case []binding:
		if len(v) == 0 {
			return nil
		}
	case []Multifield:
		if len(v) == 0 {
			return nil
		}
	}
	return value
}

// idsOf reads a list of ids, or a single one.
func idsOf(value *node) []int64 {
	if !value.isArray() {
		return []int64{value.number()}
	}
	ids := []int64{}
	for _, item := range value.items {
		ids = append(ids, item.number())
	}
	return ids
}

// isCurrency tells whether a text looks like a currency code.
func isCurrency(text string) bool {
	return len(text) == 3 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
