package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/enlace-go/enlace/rawjson"
)

// Compiled is a mapping that was checked. It is immutable and safe for concurrent use.
type Compiled struct {
	name    string
	version int
	data    []byte // the mapping as JSON
	digest  string

	table   *table
	root    *program
	when    test
	filters []filter
	split   *source // nil unless the mapping splits

	inverse    *Compiled
	inverseErr error

	scratch sync.Pool // of slots
}

type filter struct {
	holds  test
	reason string
}

// table is what has to be captured of a record, and of the element that a split is at.
type table struct {
	record  node
	element *node // nil unless there is a split
	split   []step
	slots   int
}

// program is the compiled fields of a mapping, or of an Each.
type program struct {
	fields []field
	out    outNode // the root object
}

// field is a compiled Field.
type field struct {
	from, to string
	sources  []source
	fixed    json.RawMessage // of a Const
	codec    codec
	values   map[string]json.RawMessage // by text; nil without a value table
	listed   string                     // the first of them, for faults
	other    Other
	fallback json.RawMessage // the default
	empty    []string        // texts that are nothing
	absent   bool            // leave nothing out
	required bool
	when     test
	sequence bool // of a list or each
	each     *program
	table    *table // of the elements of each, or of where
	where    test
	oneWay   bool
	origin   *field // of an inverse's field: the one that it takes back; else nil
}

// outNode is a place in results: an object or array with its children in writing order, or a leaf.
type outNode struct {
	step     step
	key      []byte // `"name":`, for a member
	leaf     int    // index of the field; -1 for an object or array
	array    bool
	children []*outNode
}

// Compile checks a mapping as a whole and returns it ready for use. The error holds every fault,
// is an [*Error] and matches [ErrMapping].
//
// That a mapping has no inverse is no fault: [Compiled.Invert] tells.
func Compile(m Mapping) (*Compiled, error) {
	c, err := compile(m)
	if err != nil {
		return nil, err
	}
	inverse, lost := m.inverse()
	if len(lost) == 0 {
		if c.inverse, err = compile(inverse); err != nil {
			lost = err.(*Error).Faults // the other way round there is something to fix after all
		}
	}
	if len(lost) > 0 {
		c.inverseErr = &Error{Kind: ErrNotInvertible, Mapping: m.Name, Version: m.Version, Faults: lost}
	} else {
		linkOrigins(c.inverse.root, c.root)
	}
	return c, nil
}

// compiler collects the faults of one mapping.
type compiler struct {
	faults             []Fault
	fields, conditions int
	fromZone, toZone   *time.Location
}

func (c *compiler) fault(at string, reason Reason, detail string) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, Fault{Field: at, Reason: reason, Detail: detail})
	}
}

func compile(m Mapping) (*Compiled, error) {
	c := compiler{fromZone: time.UTC, toZone: time.UTC}
	result := &Compiled{name: m.Name, version: m.Version, table: new(table)}
	if m.Name == "" || len(m.Name) > MaxPath {
		c.fault("name", ReasonMissing, fmt.Sprintf("a mapping needs a name of 1 to %d bytes", MaxPath))
	}
	if m.Version < 0 {
		c.fault("version", ReasonSyntax, "versions count from 1; 0 is none yet")
	}
	c.fromZone = c.zone("from_zone", m.FromZone)
	c.toZone = c.zone("to_zone", m.ToZone)
	if m.Split != "" {
		result.split = c.split(m.Split, result.table)
	}
	if m.When != nil {
		result.when = c.condition("when", m.When, result.table, 1)
	}
	for i := range m.Filters {
		at := fmt.Sprintf("filters[%d]", i)
		if len(c.faults) >= maxFaults {
			break
		}
		if m.Filters[i].Reason == "" {
			c.fault(at+".reason", ReasonMissing, "a filter says why it skips records")
		}
		result.filters = append(result.filters, filter{c.condition(at+".if", &m.Filters[i].If, result.table, 1), m.Filters[i].Reason})
	}
	result.root = c.program("fields", m.Fields, result.table, 1)
	if len(c.faults) == 0 {
		result.table.number()
		result.data = c.encode(m)
	}
	if len(c.faults) > 0 {
		return nil, &Error{Kind: ErrMapping, Mapping: m.Name, Version: m.Version, Faults: c.faults}
	}
	sum := sha256.Sum256(result.data)
	result.digest = hex.EncodeToString(sum[:])
	return result, nil
}

func (c *compiler) encode(m Mapping) []byte {
	data, err := json.Marshal(m)
	if err != nil { // what was not compiled, such as a default beside a const, can still be malformed
		c.fault("", ReasonSyntax, "the mapping has no JSON form")
	}
	if len(data) > MaxMapping {
		c.fault("", ReasonLimit, fmt.Sprintf("the mapping is longer than %d bytes", MaxMapping))
	}
	return data
}

func (c *compiler) zone(at, name string) *time.Location {
	if name == "" {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // which differs from machine to machine
		c.fault(at, ReasonUnknown, "no such time zone; use an IANA name, and import time/tzdata where the system has none")
		return time.UTC
	}
	return zone
}

// split makes the table two-fold: the record, and the element.
func (c *compiler) split(path string, t *table) *source {
	steps, wrong := parsePath(path)
	if wrong != "" || slices.ContainsFunc(steps, func(s step) bool { return s.kind == intoEach }) {
		c.fault("split", ReasonSyntax, either(wrong, "the path of the array comes without []"))
		return nil
	}
	t.element, t.split = new(node), append(steps, step{kind: intoEach})
	at, rest := t.record.place(steps)
	return &source{at, rest}
}

// number gives every captured place its slot.
func (t *table) number() {
	t.slots = t.record.number(0)
	if t.element != nil {
		t.slots = t.element.number(t.slots)
	}
}

// source compiles a path of the source.
func (c *compiler) source(at, path string, t *table) source {
	steps, wrong := parsePath(path)
	if wrong != "" {
		c.fault(at, ReasonSyntax, wrong)
	}
	base := &t.record
	if n := len(t.split); n > 0 && len(steps) >= n && slices.EqualFunc(steps[:n], t.split, step.equal) {
		base, steps = t.element, steps[n:]
	}
	if slices.ContainsFunc(steps, func(s step) bool { return s.kind == intoEach }) {
		c.fault(at, ReasonSyntax, "[] stands behind the path of the mapping's split only; use each or list")
	}
	place, rest := base.place(steps)
	return source{place, rest}
}

func (s step) equal(other step) bool {
	return s.kind == other.kind && s.name == other.name && s.index == other.index && slices.Equal(s.match, other.match)
}

// scalar returns the text of a literal, and false for null and for what is no scalar, which is a
// fault.
func (c *compiler) scalar(at string, literal Literal) ([]byte, bool) {
	if !c.literal(at, literal) {
		return nil, false
	}
	text, ok := scalarText(json.RawMessage(literal))
	if !ok && string(literal) != "null" {
		c.fault(at, ReasonType, "a string, number, boolean or null is expected")
	}
	return text, ok
}

// literal checks that a literal is JSON without space around it.
func (c *compiler) literal(at string, literal Literal) bool {
	value := rawjson.NewScanner(literal).Value()
	if value == nil || len(value) != len(literal) {
		c.fault(at, ReasonSyntax, "a JSON value without space around it is expected")
		return false
	}
	return true
}

// program compiles fields.
func (c *compiler) program(at string, fields []Field, t *table, depth int) *program {
	p := &program{out: outNode{leaf: -1}}
	if len(fields) == 0 {
		c.fault(at, ReasonMissing, "there are no fields")
	}
	if depth > MaxNesting {
		c.fault(at, ReasonLimit, fmt.Sprintf("each is nested deeper than %d", MaxNesting))
		return p
	}
	for i := range fields {
		if c.fields++; c.fields > MaxFields {
			c.fault(at, ReasonLimit, fmt.Sprintf("there are more fields than %d", MaxFields))
			break
		}
		at := fmt.Sprintf("%s[%d]", at, i)
		p.fields = append(p.fields, c.field(at, &fields[i], t, depth))
		c.target(at+".to", p, i)
	}
	c.checkTargets(at, &p.out)
	return p
}

func (c *compiler) field(at string, m *Field, t *table, depth int) field {
	f := field{from: m.From, to: m.To, absent: m.OmitEmpty, required: m.Required, sequence: m.List || m.Each != nil, other: m.Other, oneWay: m.OneWay}
	if m.When != nil {
		f.when = c.condition(at+".when", m.When, t, 1)
	}
	if m.Const != nil {
		c.literal(at+".const", m.Const)
		f.fixed = json.RawMessage(m.Const)
		if m.From != "" || m.Or != nil || m.Type != Any || m.Values != nil || m.Each != nil || m.List || m.Default != nil {
			c.fault(at+".const", ReasonConflict, "a const stands alone, beside to and when")
		}
		return f
	}
	if m.From == "" {
		c.fault(at+".from", ReasonMissing, "a field needs from or const")
	}
	f.sources = append(f.sources, c.source(at+".from", m.From, t))
	if len(m.Or) > MaxNesting {
		c.fault(at+".or", ReasonLimit, fmt.Sprintf("there are more paths than %d", MaxNesting))
	} else {
		for i, path := range m.Or {
			f.sources = append(f.sources, c.source(fmt.Sprintf("%s.or[%d]", at, i), path, t))
		}
	}
	if m.Default != nil && c.literal(at+".default", m.Default) {
		f.fallback = json.RawMessage(m.Default)
	}
	c.conversion(at, m, &f)
	c.empties(at, m, &f)
	c.elements(at, m, &f, depth)
	return f
}

// conversion compiles the type or the value table.
func (c *compiler) conversion(at string, m *Field, f *field) {
	if _, known := formats[m.Type]; !known {
		c.fault(at+".type", ReasonUnknown, "no such type; allowed: "+quotedWords(typeNames))
	}
	f.codec = codec{m.Type, c.format(at+".from_format", m.Type, m.FromFormat, c.fromZone), c.format(at+".to_format", m.Type, m.ToFormat, c.toZone)}
	switch m.Other {
	case OtherFault, OtherKeep:
	case OtherDefault:
		if m.Default == nil {
			c.fault(at+".other", ReasonMissing, "there is no default")
		}
	default:
		c.fault(at+".other", ReasonUnknown, "it is keep, default or nothing")
	}
	if m.Values == nil {
		if m.Other != "" {
			c.fault(at+".other", ReasonConflict, "it is for value tables")
		}
		return
	}
	if m.Type != Any || m.Each != nil {
		c.fault(at+".values", ReasonConflict, "a value table stands instead of a type or each")
	}
	if len(m.Values) > MaxValues {
		c.fault(at+".values", ReasonLimit, fmt.Sprintf("there are more pairs than %d", MaxValues))
		return
	}
	f.values = make(map[string]json.RawMessage, len(m.Values))
	for i, pair := range m.Values {
		at := fmt.Sprintf("%s.values[%d]", at, i)
		text, ok := c.scalar(at+".from", pair.From)
		c.scalar(at+".to", pair.To)
		if _, twice := f.values[string(text)]; twice {
			c.fault(at+".from", ReasonConflict, "the value is listed twice")
		} else if !ok {
			c.fault(at+".from", ReasonType, "null is nothing, which the default is for")
		}
		f.values[string(text)] = json.RawMessage(pair.To)
	}
	f.listed = firstWords(slices.Sorted(maps.Keys(f.values)))
}

// firstWords names the first of many words.
func firstWords(words []string) string {
	const most = 10
	if len(words) > most {
		return quotedWords(words[:most]) + ", and others"
	}
	return quotedWords(words)
}

func (c *compiler) empties(at string, m *Field, f *field) {
	if len(m.Empty) > MaxValues {
		c.fault(at+".empty", ReasonLimit, fmt.Sprintf("there are more values than %d", MaxValues))
		return
	}
	for i, literal := range m.Empty {
		if text, ok := c.scalar(fmt.Sprintf("%s.empty[%d]", at, i), literal); ok {
			f.empty = append(f.empty, string(text))
		}
	}
	if _, listed := f.values[""]; !m.Type.hasEmpty() || m.Values != nil && !listed {
		f.empty = append(f.empty, "")
	}
}

// elements compiles what is done with the elements of an array.
func (c *compiler) elements(at string, m *Field, f *field, depth int) {
	if m.Each != nil && (m.List || m.Type != Any) {
		c.fault(at+".each", ReasonConflict, "each stands alone: the fields in it have the types")
	}
	if m.Where != nil && m.Each == nil && !m.List {
		c.fault(at+".where", ReasonConflict, "where is for list and each; use when")
	}
	if m.Each == nil && m.Where == nil {
		return
	}
	f.table = new(table)
	if m.Each != nil {
		f.each = c.program(at+".each", m.Each, f.table, depth+1)
	}
	if m.Where != nil {
		f.where = c.condition(at+".where", m.Where, f.table, 1)
	}
	f.table.number()
}

// target gives the field at index its place among the targets.
func (c *compiler) target(at string, p *program, index int) {
	steps, wrong := parsePath(p.fields[index].to)
	if wrong != "" || len(steps) == 0 {
		c.fault(at, ReasonSyntax, either(wrong, "a field needs a target"))
		return
	}
	n := &p.out
	for i, s := range steps {
		if s.kind == intoEach || i == 0 && s.kind != intoMember {
			c.fault(at, ReasonSyntax, "a target is a member, or an element by index or selection")
			return
		}
		if n.leaf >= 0 || len(n.children) > 0 && n.array != (s.kind != intoMember) {
			c.fault(at, ReasonConflict, "another field writes a part of the same target as another kind of value")
			return
		}
		n.array = s.kind != intoMember
		n = n.child(s)
	}
	if n.leaf >= 0 || len(n.children) > 0 {
		c.fault(at, ReasonConflict, "another field writes the same target, or a part of it")
		return
	}
	n.leaf = index
}

// child returns the child for a step, made if need be.
func (n *outNode) child(s step) *outNode {
	for _, child := range n.children {
		if child.step.equal(s) {
			return child
		}
	}
	child := &outNode{step: s, leaf: -1}
	if s.kind == intoMember {
		child.key = append(appendQuoted(nil, s.name), ':')
	}
	n.children = append(n.children, child)
	return child
}

// checkTargets puts indexed elements in order and checks what only the whole tree shows.
func (c *compiler) checkTargets(at string, n *outNode) {
	for _, child := range n.children {
		c.checkTargets(at, child)
	}
	if !n.array {
		return
	}
	slices.SortStableFunc(n.children, func(a, b *outNode) int { return a.step.index - b.step.index })
	for i, child := range n.children {
		switch {
		case child.step.kind != n.children[0].step.kind:
			c.fault(at, ReasonConflict, "a target array is written by indexes or by selections, not by both")
			return
		case child.step.kind == intoIndex && child.step.index != i:
			c.fault(at, ReasonMissing, "the indexes of a target array start at 0 and leave none out")
			return
		case child.step.kind == intoMatch && (child.leaf >= 0 || child.array):
			c.fault(at, ReasonSyntax, "behind a selection in a target stands a member")
			return
		case child.step.kind == intoMatch && slices.ContainsFunc(child.children, child.selects):
			c.fault(at, ReasonConflict, "a field writes a member that its target's selection writes")
			return
		}
	}
}

// selects says whether a member's name is one of those that the element's selection writes.
func (n *outNode) selects(child *outNode) bool {
	return slices.ContainsFunc(n.step.match, func(m member) bool { return m.name == child.step.name })
}

// Name returns the mapping's name.
func (c *Compiled) Name() string { return c.name }

// Version returns the mapping's version.
func (c *Compiled) Version() int { return c.version }

// Digest identifies the mapping's content: the SHA-256 of its JSON form, in hexadecimal. Kept with what
// was written, it answers later which rules made a value.
func (c *Compiled) Digest() string { return c.digest }

// Mapping returns a copy of the declaration.
func (c *Compiled) Mapping() Mapping {
	var m Mapping
	if err := json.Unmarshal(c.data, &m); err != nil || !utf8.Valid(c.data) {
		panic("mapping: a compiled mapping is valid JSON") // it was written by json.Marshal
	}
	return m
}
