package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Condition is a rule about a record: either about the value at a path, or a combination of
// conditions. All that one condition says must hold together.
//
// Values are compared by text, so that 43 and "43" are equal, and by value where both are numbers.
// A value that is absent counts as null. A comparison with a value that is absent, or that is not
// of the condition's type, does not hold, and neither does its opposite: use Not.
type Condition struct {
	Path string `json:"path,omitempty"`
	// Exists asks whether the value is there and not null.
	Exists *bool     `json:"exists,omitempty"`
	Equals Literal   `json:"equals,omitempty"` // a scalar or null
	In     []Literal `json:"in,omitempty"`     // one of these scalars or null
	// Matches is a pattern of package regexp (RE2) that is found in the value's text; anchor it
	// with ^ and $ to match the whole.
	Matches string `json:"matches,omitempty"`
	// The comparisons. They are of numbers, unless Type is Date or Time; then they are
	// written in the type's first format ("2024-01-31", or with an offset), and Format says how the record
	// writes the value. For Time a date stands for its midnight in the mapping's FromZone.
	Greater        Literal `json:"gt,omitempty"`
	GreaterOrEqual Literal `json:"gte,omitempty"`
	Less           Literal `json:"lt,omitempty"`
	LessOrEqual    Literal `json:"lte,omitempty"`
	Type           Type    `json:"type,omitempty"`
	Format         string  `json:"format,omitempty"`

	All []Condition `json:"all,omitempty"` // every one holds
	Any []Condition `json:"any,omitempty"` // at least one holds
	Not *Condition  `json:"not,omitempty"` // it does not hold
}

// Yes and No are for [Condition.Exists].
func Yes() *bool { return new(true) }

// No is the opposite of [Yes].
func No() *bool { return new(false) }

// test is a compiled condition.
type test func(slots []json.RawMessage) bool

// condition compiles a condition whose paths find resolves.
func (c *compiler) condition(at string, cond *Condition, t *table, depth int) test {
	if c.conditions++; c.conditions > MaxConditions || depth > MaxNesting {
		c.fault(at, ReasonLimit, fmt.Sprintf("a mapping has at most %d conditions, nested at most %d deep", MaxConditions, MaxNesting))
		return nil
	}
	var tests []test
	add := func(t test) { tests = append(tests, t) }
	c.combinations(at, cond, t, depth, add)
	combines := len(tests) > 0
	if aboutValue := cond.saysSomething(); aboutValue {
		c.valueTests(at, cond, c.source(at+".path", cond.Path, t), add)
	} else if !combines {
		c.fault(at, ReasonMissing, "the condition says nothing")
	} else if cond.Path != "" {
		c.fault(at, ReasonMissing, "the condition says nothing about its path")
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return func(slots []json.RawMessage) bool {
		for _, t := range tests {
			if !t(slots) {
				return false
			}
		}
		return true
	}
}

func (cond *Condition) saysSomething() bool {
	return cond.Exists != nil || cond.Equals != nil || cond.In != nil || cond.Matches != "" ||
		cond.Greater != nil || cond.GreaterOrEqual != nil || cond.Less != nil || cond.LessOrEqual != nil
}

func (c *compiler) combinations(at string, cond *Condition, t *table, depth int, add func(test)) {
	each := func(name string, list []Condition) (tests []test) {
		for i := range list {
			if c.conditions > MaxConditions {
				break // said once
			}
			tests = append(tests, c.condition(fmt.Sprintf("%s.%s[%d]", at, name, i), &list[i], t, depth+1))
		}
		return tests
	}
	if cond.All != nil {
		tests := each("all", cond.All)
		add(func(slots []json.RawMessage) bool {
			return !slices.ContainsFunc(tests, func(t test) bool { return !t(slots) })
		})
	}
	if cond.Any != nil {
		tests := each("any", cond.Any)
		add(func(slots []json.RawMessage) bool {
			return slices.ContainsFunc(tests, func(t test) bool { return t(slots) })
		})
	}
	if cond.Not != nil {
		not := c.condition(at+".not", cond.Not, t, depth+1)
		add(func(slots []json.RawMessage) bool { return !not(slots) })
	}
}

// valueTests adds the tests of the value at the condition's path.
func (c *compiler) valueTests(at string, cond *Condition, from source, add func(test)) {
	if cond.Exists != nil {
		want := *cond.Exists
		add(func(slots []json.RawMessage) bool {
			value := from.value(slots)
			return (value != nil && value[0] != 'n') == want
		})
	}
	if cond.Equals != nil {
		equals := c.equality(at+".equals", cond.Equals)
		add(func(slots []json.RawMessage) bool { return equals(from.value(slots)) })
	}
	if cond.In != nil {
		if len(cond.In) > MaxValues {
			c.fault(at+".in", ReasonLimit, fmt.Sprintf("there are more values than %d", MaxValues))
			return
		}
		var one []func(json.RawMessage) bool
		for i, literal := range cond.In {
			one = append(one, c.equality(fmt.Sprintf("%s.in[%d]", at, i), literal))
		}
		add(func(slots []json.RawMessage) bool {
			value := from.value(slots)
			return slices.ContainsFunc(one, func(equals func(json.RawMessage) bool) bool { return equals(value) })
		})
	}
	if cond.Matches != "" {
		pattern, err := regexp.Compile(cond.Matches)
		if err != nil || len(cond.Matches) > MaxPath {
			c.fault(at+".matches", ReasonSyntax, fmt.Sprintf("the pattern is not one of package regexp, or longer than %d bytes", MaxPath))
			return
		}
		add(func(slots []json.RawMessage) bool {
			text, ok := scalarText(from.value(slots))
			return ok && pattern.Match(text)
		})
	}
	c.comparisons(at, cond, from, add)
}

// equality returns whether a value equals the literal.
func (c *compiler) equality(at string, literal Literal) func(json.RawMessage) bool {
	want, isScalar := c.scalar(at, literal)
	if !isScalar {
		return func(value json.RawMessage) bool { return value == nil || value[0] == 'n' }
	}
	number, isNumber := parseDecimal(want)
	isNumber = isNumber && literal[0] != '"'
	return func(value json.RawMessage) bool {
		text, ok := scalarText(value)
		if !ok || !isNumber {
			return ok && bytes.Equal(text, want)
		}
		other, ok := parseDecimal(text)
		return ok && number.compare(&other) == 0
	}
}

// comparisons adds the tests of order.
func (c *compiler) comparisons(at string, cond *Condition, from source, add func(test)) {
	var compare func(at string, literal Literal) func(json.RawMessage) (int, bool)
	switch cond.Type {
	case Any, Integer, Decimal:
		compare = c.numberOrder
		if cond.Format != "" {
			c.fault(at+".format", ReasonUnknown, "formats are for comparisons of dates and times")
		}
	case Date, Time:
		format := c.format(at+".format", cond.Type, cond.Format, c.fromZone)
		compare = func(at string, literal Literal) func(json.RawMessage) (int, bool) {
			return c.timeOrder(at, literal, cond.Type, format)
		}
	default:
		c.fault(at+".type", ReasonUnknown, "comparisons are of numbers, dates and times")
		return
	}
	for _, bound := range []struct {
		name    string
		literal Literal
		holds   func(order int) bool
	}{
		{"gt", cond.Greater, func(order int) bool { return order > 0 }},
		{"gte", cond.GreaterOrEqual, func(order int) bool { return order >= 0 }},
		{"lt", cond.Less, func(order int) bool { return order < 0 }},
		{"lte", cond.LessOrEqual, func(order int) bool { return order <= 0 }},
	} {
		if bound.literal == nil {
			continue
		}
		order := compare(at+"."+bound.name, bound.literal)
		add(func(slots []json.RawMessage) bool {
			result, comparable := order(from.value(slots))
			return comparable && bound.holds(result)
		})
	}
}

func (c *compiler) numberOrder(at string, literal Literal) func(json.RawMessage) (int, bool) {
	text, _ := c.scalar(at, literal)
	bound, ok := parseDecimal(text)
	if !ok {
		c.fault(at, ReasonType, "it is compared with a number; say \"type\": \"date\" or \"time\" for others")
	}
	return func(value json.RawMessage) (int, bool) {
		text, _ := scalarText(value)
		number, ok := parseDecimal(text)
		return number.compare(&bound), ok
	}
}

func (c *compiler) timeOrder(at string, literal Literal, typ Type, format format) func(json.RawMessage) (int, bool) {
	text, _ := c.scalar(at, literal)
	read := func(raw json.RawMessage) (time.Time, bool) { return format.readTime(raw) }
	if typ == Date {
		read = func(raw json.RawMessage) (time.Time, bool) { return format.readDate(raw) }
	}
	bound, err := time.ParseInLocation(time.DateOnly, string(text), c.fromZone)
	if typ == Date {
		bound, err = time.Parse(time.DateOnly, string(text))
	} else if err != nil {
		bound, err = time.Parse(time.RFC3339, string(text))
	}
	if err != nil {
		c.fault(at, ReasonType, "it is compared with 2006-01-02 or, as a time, 2006-01-02T15:04:05Z")
	}
	return func(value json.RawMessage) (int, bool) {
		t, ok := read(value)
		return t.Compare(bound), ok
	}
}
