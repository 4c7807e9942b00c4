package bitrix24test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// operator is what a condition does with the record's value and its own.
type operator uint8

const (
	opEqual operator = iota
	opIn
	opLike // % in the value stands for any text
	opContains
	opGreater
	opGreaterEqual
	opLess
	opLessEqual
)

// prefixes are the filter prefixes of sheet 5.4, the longest first.
var prefixes = []struct {
	text   string
	op     operator
	negate bool
}{
	{"!=%", opLike, true}, {"!%=", opLike, true},
	{"!%", opContains, true}, {"!@", opIn, true}, {"!=", opEqual, true},
	{">=", opGreaterEqual, false}, {"<=", opLessEqual, false},
	{"=%", opLike, false}, {"%=", opLike, false},
	{"!", opEqual, true}, {">", opGreater, false}, {"<", opLess, false},
	{"@", opIn, false}, {"%", opContains, false}, {"=", opEqual, false},
}

// cutPrefix takes the prefix off the name in a filter.
func cutPrefix(key string) (name string, op operator, negate bool) {
	for _, p := range prefixes {
		if rest, found := strings.CutPrefix(key, p.text); found {
			return rest, p.op, p.negate
		}
	}
	return key, opEqual, false
}

// condition is one line of a filter.
type condition struct {
	field   *field
	op      operator
	negate  bool
	numbers []int64  // what kinds kept as numbers compare with
	texts   []string // lower-case; what other kinds compare with
	empty   bool     // an empty value was given, which matches what is absent
}

// group is conditions and groups that must all hold, or of which one must.
type group struct {
	any        bool
	conditions []condition
	groups     []*group
}

func (g *group) trivial() bool { return len(g.conditions) == 0 && len(g.groups) == 0 }

func (g *group) matches(r *record, scratch *[]byte) bool {
	for i := range g.conditions {
		if g.conditions[i].matches(r, scratch) == g.any {
			return g.any
		}
	}
	for _, sub := range g.groups {
		if sub.matches(r, scratch) == g.any {
			return g.any
		}
	}
	return !g.any || g.trivial()
}

// filter is a parsed filter: bounds on the id, from the conditions that all records must meet,
// and the rest.
type filter struct {
	bounds bounds
	ids    []int64 // nil: all within bounds
	rest   group
}

// filterParser reads the filter parameter of one request.
type filterParser struct {
	portal *Portal
	typ    *entityType
	naming naming
}

// parse returns an error that names the field if crm.item.list must refuse the filter. Classic
// lists ignore what they do not understand (F29).
func (f filterParser) parse(params *node) (*filter, *restError) {
	result := &filter{bounds: everyID}
	if params == nil {
		return result, nil
	}
	if err := f.group(params, &result.rest); err != nil {
		return nil, err
	}
	if !result.rest.any {
		result.rest.conditions = slices.DeleteFunc(result.rest.conditions, result.narrow)
	}
	return result, nil
}

// narrow takes a condition on the id into the bounds, if it is of the simple kind.
func (result *filter) narrow(c condition) bool {
	if c.field.universal != "id" || c.negate || c.empty {
		return false
	}
	b := &result.bounds
	switch c.op {
	case opGreater:
		if c.numbers[0] == math.MaxInt64 {
			return false
		}
		b.low = max(b.low, c.numbers[0]+1)
	case opGreaterEqual:
		b.low = max(b.low, c.numbers[0])
	case opLess:
		if c.numbers[0] == math.MinInt64 {
			return false
		}
		b.high = min(b.high, c.numbers[0]-1)
	case opLessEqual:
		b.high = min(b.high, c.numbers[0])
	case opEqual, opIn:
		ids := slices.Clone(c.numbers)
		slices.Sort(ids)
		ids = slices.Compact(ids)
		if result.ids != nil {
			ids = slices.DeleteFunc(ids, func(id int64) bool {
				_, both := slices.BinarySearch(result.ids, id)
				return !both
			})
		}
		result.ids = slices.Grow(ids, 1) // not nil, even if nothing is left
	default:
		return false
	}
	return true
}

func (f filterParser) group(params *node, into *group) *restError {
	for i, key := range params.keys {
		value := params.items[i]
		switch {
		case f.naming == classicNames:
		case key == "logic":
			into.any = strings.EqualFold(value.string(), "OR")
			continue
		case value.isArray() && strings.Trim(key, "0123456789") == "":
			sub := &group{}
			if err := f.group(value, sub); err != nil {
				return err
			}
			into.groups = append(into.groups, sub)
			continue
		}
		c, known, err := f.condition(key, value)
		if err != nil {
			return err
		}
		if known {
			into.conditions = append(into.conditions, c)
		}
	}
	return nil
}

func (f filterParser) condition(key string, value *node) (c condition, known bool, err *restError) {
	name, op, negate := cutPrefix(key)
	c.op, c.negate = op, negate
	c.field = f.typ.lookup(name, f.naming)
	if c.field == nil || c.field.kind == kindFM {
		if f.naming == classicNames {
			return c, false, nil
		}
		return c, false, invalidFilter(name)
	}
	if f.naming == classicNames && !f.classicAllows(&c) {
		return c, false, nil
	}
	values := []*node{value}
	if value.isArray() {
		if values = value.items; c.op == opEqual {
			c.op = opIn // an array acts as a set
		}
		if c.op != opIn {
			values = []*node{newText("")} // an array is no value to compare with
		}
	}
	for _, v := range values {
		if ok, skip := f.operand(&c, v); skip {
			return c, false, nil
		} else if !ok {
			return c, false, &restError{400, "INVALID_ARG_VALUE", fmt.Sprintf("Invalid filter: field '%s' has invalid value", name)}
		}
	}
	return c, true, nil
}

func invalidFilter(name string) *restError {
	return &restError{400, "INVALID_ARG_VALUE", fmt.Sprintf("Invalid filter: field '%s' is not allowed in filter", name)}
}

// classicAllows tells whether a classic list knows the operator for the field. Multifields and
// references to dictionaries and companies compare by exact value whatever LIKE is asked for.
func (f filterParser) classicAllows(c *condition) bool {
	like := c.op == opLike || c.op == opContains
	if like && c.negate && f.typ.id != Lead {
		return false
	}
	switch {
	case c.field.kind == kindMulti && (like || c.op == opEqual || c.op == opIn):
		if like {
			c.op = opEqual
		}
	case c.field.kind == kindMulti:
		return false
	case like && (c.field.typ == "crm_status" || c.field.typ == "crm_contact" || c.field.typ == "crm_company"):
		c.op = opEqual
	}
	return true
}

// operand adds one value to a condition. It reports whether the value fits, and whether the
// portal leaves out the whole condition.
func (f filterParser) operand(c *condition, value *node) (ok, skip bool) {
	text := value.string()
	if text == "" && (c.op == opEqual || c.op == opIn) {
		c.empty = true
		return true, false
	}
	switch c.field.kind {
	case kindText, kindFlat, kindTexts, kindMulti:
		c.texts = append(c.texts, strings.ToLower(text))
	case kindFlag:
		c.numbers = append(c.numbers, truth(strings.EqualFold(text, "Y") || text == "1"))
	case kindMoney:
		amount, _ := strconv.ParseFloat(text, 64)
		c.numbers = append(c.numbers, int64(math.Round(amount*100)))
	case kindTime, kindDate:
		if f.portal.quirks.IgnoreISODates && strings.Contains(text, "T") {
			return true, true
		}
		n, valid := f.portal.parseTime(text, c.field.kind)
		if !valid && f.naming != classicNames {
			return false, false
		}
		c.numbers = append(c.numbers, n)
	default:
		// Text that is no number compares as 0, so that an unresolved reference does (F52).
		c.numbers = append(c.numbers, leadingInt(text))
	}
	return true, false
}

// parseTime reads an instant in the forms that a portal takes. Without an offset it is meant in
// the portal's zone. For kindDate the result is the day.
func (p *Portal) parseTime(text string, kind kind) (int64, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly, "2006-01-02 15:04", "02.01.2006 15:04:05", "02.01.2006"} {
		t, err := time.ParseInLocation(layout, text, p.location)
		if err != nil {
			continue
		}
		if kind == kindDate {
			return dayOf(t.In(p.location)), true
		}
		return t.Unix(), true
	}
	return 0, false
}

func (c *condition) matches(r *record, scratch *[]byte) bool {
	return c.holds(r, scratch) != c.negate
}

func (c *condition) holds(r *record, scratch *[]byte) bool {
	switch c.field.kind {
	case kindText, kindFlat:
		*scratch = r.appendText((*scratch)[:0], c.field)
		return c.holdsText(*scratch)
	case kindTexts:
		texts := r.textList(c.field)
		return len(texts) == 0 && c.empty || slices.ContainsFunc(texts, func(text string) bool {
			*scratch = append((*scratch)[:0], text...)
			return c.holdsText(*scratch)
		})
	case kindMulti:
		for _, point := range r.multifields() {
			if point.TypeID == c.field.classic {
				if *scratch = append((*scratch)[:0], point.Value...); c.holdsText(*scratch) {
					return true
				}
			}
		}
		return false
	case kindInts:
		ids := r.appendInts(nil, c.field)
		return len(ids) == 0 && c.empty || slices.ContainsFunc(ids, c.holdsNumber)
	}
	n, found := r.value(c.field)
	if !found || c.field.kind == kindLink && n == 0 {
		return c.empty
	}
	return c.holdsNumber(n)
}

func (c *condition) holdsNumber(n int64) bool {
	switch c.op {
	case opGreater:
		return n > c.numbers[0]
	case opGreaterEqual:
		return n >= c.numbers[0]
	case opLess:
		return n < c.numbers[0]
	case opLessEqual:
		return n <= c.numbers[0]
	case opLike, opContains:
		return len(c.numbers) > 0 && n == c.numbers[0]
	default:
		return slices.Contains(c.numbers, n)
	}
}

// holdsText compares without regard to case, as the portal's database does (F28).
func (c *condition) holdsText(text []byte) bool {
	if len(text) == 0 && c.empty {
		return true
	}
	switch c.op {
	case opEqual, opIn:
		return slices.ContainsFunc(c.texts, func(wanted string) bool { return equalFold(text, wanted) })
	case opContains:
		return bytes.Contains(bytes.ToLower(text), []byte(c.texts[0]))
	case opLike:
		return like(bytes.ToLower(text), c.texts[0])
	}
	order := cmp.Compare(string(bytes.ToLower(text)), c.texts[0])
	switch c.op {
	case opGreater:
		return order > 0
	case opGreaterEqual:
		return order >= 0
	case opLess:
		return order < 0
	default:
		return order <= 0
	}
}

// equalFold compares text with a wanted text that is in lower case already.
func equalFold(text []byte, wanted string) bool {
	for len(text) > 0 && wanted != "" {
		a, sizeA := utf8.DecodeRune(text)
		b, sizeB := utf8.DecodeRuneInString(wanted)
		if a != b && unicode.ToLower(a) != b {
			return false
		}
		text, wanted = text[sizeA:], wanted[sizeB:]
	}
	return len(text) == 0 && wanted == ""
}

// like matches SQL's LIKE with % as its only wildcard.
func like(text []byte, pattern string) bool {
	parts := strings.Split(pattern, "%")
	rest, found := bytes.CutPrefix(text, []byte(parts[0]))
	if !found {
		return false
	}
	if len(parts) == 1 {
		return len(rest) == 0
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		at := bytes.Index(rest, []byte(part))
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return bytes.HasSuffix(rest, []byte(last))
}
