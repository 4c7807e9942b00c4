package rdstationtest

import (
	"strings"
	"time"
)

// rdql is a filter of API v2: a condition, or several joined by and or or (sheet 3.2).
type rdql struct {
	parts []*rdql // of joins; all must match, or any if or is set
	or    bool

	name     string // of a condition; "@slug" for custom fields
	negated  bool
	operator string // ":", ">", ">=", "<", "<=" or "~"
	values   []string
}

// maxRDQLDepth bounds parentheses.
const maxRDQLDepth = 32

type rdqlParser struct {
	rest  string
	depth int
	bad   bool
}

// parseRDQL parses a filter; an empty one matches everything.
func parseRDQL(source string) (filter *rdql, valid bool) {
	p := &rdqlParser{rest: source}
	p.space()
	if p.rest == "" {
		return &rdql{}, true
	}
	filter = p.either()
	return filter, !p.bad && p.rest == ""
}

func (p *rdqlParser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

// word takes a keyword, which must not be the beginning of a name.
func (p *rdqlParser) word(keyword string) bool {
	if len(p.rest) < len(keyword) || !strings.EqualFold(p.rest[:len(keyword)], keyword) {
		return false
	}
	after := p.rest[len(keyword):]
	if after == "" || !strings.ContainsRune(" \t(", rune(after[0])) {
		return false
	}
	p.rest = after
	p.space()
	return true
}

func (p *rdqlParser) either() *rdql {
	parts := []*rdql{p.both()}
	for !p.bad && p.word("or") {
		parts = append(parts, p.both())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return &rdql{parts: parts, or: true}
}

// both reads conditions joined by and, by a comma or by nothing but a space.
func (p *rdqlParser) both() *rdql {
	parts := []*rdql{p.unary()}
	for !p.bad {
		p.space()
		if p.rest == "" || p.rest[0] == ')' || p.peekOr() {
			break
		}
		if p.rest[0] == ',' {
			p.rest = p.rest[1:]
			p.space()
		} else {
			p.word("and")
		}
		parts = append(parts, p.unary())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return &rdql{parts: parts}
}

func (p *rdqlParser) peekOr() bool {
	ahead := *p
	return ahead.word("or")
}

func (p *rdqlParser) unary() *rdql {
	p.space()
	if !strings.HasPrefix(p.rest, "(") {
		return p.condition()
	}
	if p.depth++; p.depth > maxRDQLDepth {
		p.bad = true
		return &rdql{}
	}
	p.rest = p.rest[1:]
	inner := p.either()
	p.space()
	p.close()
	p.depth--
	return inner
}

func (p *rdqlParser) close() {
	if !strings.HasPrefix(p.rest, ")") {
		p.bad = true
		return
	}
	p.rest = p.rest[1:]
}

func (p *rdqlParser) condition() *rdql {
	c := &rdql{operator: ":"}
	if strings.HasPrefix(p.rest, "-") {
		c.negated, p.rest = true, p.rest[1:]
	}
	end := strings.IndexByte(p.rest, ':')
	if end <= 0 || strings.ContainsAny(p.rest[:end], " \t()\",") {
		p.bad = true
		return c
	}
	c.name, p.rest = p.rest[:end], p.rest[end+1:]
	for _, operator := range []string{">=", "<=", ">", "<", "~"} {
		if strings.HasPrefix(p.rest, operator) {
			c.operator, p.rest = operator, p.rest[len(operator):]
			break
		}
	}
	if strings.HasPrefix(p.rest, "(") && c.operator == ":" {
		p.rest = p.rest[1:]
		c.values = p.list()
		return c
	}
	c.values = []string{p.literal()}
	return c
}

func (p *rdqlParser) list() []string {
	values := []string{}
	for !p.bad {
		p.space()
		values = append(values, p.literal())
		p.space()
		if strings.HasPrefix(p.rest, ",") {
			p.rest = p.rest[1:]
			continue
		}
		p.close()
		break
	}
	return values
}

func (p *rdqlParser) literal() string {
	if quoted, isQuoted := strings.CutPrefix(p.rest, `"`); isQuoted {
		value, rest, closed := strings.Cut(quoted, `"`)
		p.bad, p.rest = p.bad || !closed, rest
		return value
	}
	end := strings.IndexAny(p.rest, " \t(),\"")
	if end < 0 {
		end = len(p.rest)
	}
	value := p.rest[:end]
	p.bad, p.rest = p.bad || value == "", p.rest[end:]
	return value
}

// all tells whether every name in the filter passes a check.
func (f *rdql) all(known func(name string) bool) bool {
	if f.name != "" && !known(f.name) {
		return false
	}
	for _, part := range f.parts {
		if !part.all(known) {
			return false
		}
	}
	return true
}

func (f *rdql) matches(a *Account, r *record) bool {
	if f.name != "" {
		return f.holds(a, r) != f.negated
	}
	for _, part := range f.parts {
		if part.matches(a, r) == f.or {
			return f.or
		}
	}
	return !f.or
}

// holds tests one condition: some value of the record against some literal.
func (f *rdql) holds(a *Account, r *record) bool {
	for _, value := range a.filterValues(r, f.name) {
		for _, literal := range f.values {
			if compares(value, f.operator, literal) {
				return true
			}
		}
	}
	return false
}

// filterValues returns what a name stands for: one value, or each of an array.
func (a *Account) filterValues(r *record, name string) []any {
	if slug, isCustom := strings.CutPrefix(name, "@"); isCustom {
		values, _ := r.fields["custom_fields"].(object)
		return each(values[slug])
	}
	switch name {
	case "id":
		return []any{r.id}
	case "created_at", "updated_at":
		return []any{r.property(name)}
	case "email":
		return members(r.fields["emails"], "email")
	case "phone":
		return members(r.fields["phones"], "phone")
	case "product_ids":
		ids := []any{}
		for _, product := range a.crm.children(CRMDealProducts, r.id) {
			ids = append(ids, product.fields["product_id"])
		}
		return ids
	case "has":
		if len(a.crm.children(CRMDealProducts, r.id)) > 0 {
			return []any{"product"}
		}
		return nil
	case "is":
		states := []any{}
		for _, state := range []string{"active", "visible"} {
			if r.fields[state] == true {
				states = append(states, state)
			}
		}
		return states
	default:
		return each(r.fields[name])
	}
}

func each(value any) []any {
	switch v := value.(type) {
	case []any:
		return v
	case []string:
		list := []any{}
		for _, s := range v {
			list = append(list, s)
		}
		return list
	default:
		return []any{value}
	}
}

func members(value any, key string) []any {
	list, _ := value.([]any)
	found := []any{}
	for _, item := range list {
		member, _ := item.(object)
		found = append(found, member[key])
	}
	return found
}

// compares applies an operator. Times compare as times, numbers as numbers, all else as text.
func compares(value any, operator, literal string) bool {
	if value == nil {
		return false
	}
	s, isText := value.(string)
	if !isText {
		s = string(encodeJSON(value))
	}
	if operator == "~" {
		return strings.Contains(strings.ToLower(s), strings.ToLower(literal))
	}
	c := 0
	if at, isTime := parseTime(s); isTime && isText {
		than, valid := parseTime(literal)
		if !valid {
			return false
		}
		if operator == ":" && len(literal) == len(time.DateOnly) {
			return at.UTC().Format(time.DateOnly) == literal
		}
		c = at.Compare(than)
	} else {
		c = compareText(value, literal)
	}
	switch operator {
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	default:
		return c == 0
	}
}

func compareText(value any, literal string) int {
	if s, isText := value.(string); isText {
		return strings.Compare(s, literal)
	}
	if than, valid := parseJSON([]byte(literal)); valid {
		return compareValues(value, than)
	}
	return 1
}
