package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/enlace-go/enlace/rawjson"
)

// Result is what became of a record.
type Result struct {
	// Data is the result's JSON; nil if the record was skipped. With [Mapping.Split] it is an
	// array of results. The same record and mapping give the same bytes.
	Data json.RawMessage
	// Skipped is the reason of the filter that skipped the record, "when" if When did, and empty
	// if it was mapped. A split skips element by element, and says why if none is left.
	Skipped string

	split bool
}

// skippedWhen is the reason of a record for which Mapping.When does not hold.
const skippedWhen = "when"

// Records ranges over the results: one, none of a skipped record, as many as there are of a split.
func (r Result) Records() iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		if !r.split {
			_ = r.Data == nil || yield(r.Data)
			return
		}
		for record := range rawjson.Elements(r.Data) {
			if record != nil && !yield(record) {
				return
			}
		}
	}
}

// Apply maps a record, which is a JSON object. A record with a fault gives no result: the error
// holds every fault, is an [*Error] and matches [ErrRecord].
func (c *Compiled) Apply(record json.RawMessage) (Result, error) {
	slots := c.slots()
	defer c.release(slots)
	if err := c.capture(record, *slots); err != nil {
		return Result{}, err
	}
	return c.result(record, *slots)
}

// slots are places for what is captured of one record; they hold nothing.
func (c *Compiled) slots() *[]json.RawMessage {
	if slots, ok := c.scratch.Get().(*[]json.RawMessage); ok {
		return slots
	}
	slots := make([]json.RawMessage, c.table.slots)
	return &slots
}

// release gives slots back, empty: the record's memory is the caller's.
func (c *Compiled) release(slots *[]json.RawMessage) {
	clear(*slots)
	c.scratch.Put(slots)
}

// result makes the result of what was captured.
func (c *Compiled) result(record json.RawMessage, slots []json.RawMessage) (Result, error) {
	r := run{out: make([]byte, 0, len(record))}
	var skipped string
	if c.split == nil {
		skipped = c.skip(slots)
		if skipped == "" {
			r.program(c.root, slots)
		}
	} else {
		skipped = r.split(c, slots)
	}
	if len(r.faults) > 0 {
		return Result{}, c.recordError(nil, r.faults...)
	}
	if skipped != "" {
		return Result{Skipped: skipped}, nil
	}
	return Result{Data: r.out, split: c.split != nil}, nil
}

func (c *Compiled) recordError(cause error, faults ...Fault) error {
	return &Error{Kind: ErrRecord, Mapping: c.name, Version: c.version, Faults: faults, cause: cause}
}

// capture takes the wanted values out of a record, in one pass that validates all of it.
func (c *Compiled) capture(record json.RawMessage, slots []json.RawMessage) error {
	if len(record) > MaxRecord {
		return c.recordError(nil, Fault{Reason: ReasonLimit, Detail: fmt.Sprintf("the record is longer than %d bytes", MaxRecord)})
	}
	s := rawjson.NewScanner(record)
	kind := s.Kind()
	c.table.record.walk(s, slots)
	if err := s.End(); err != nil {
		return c.recordError(err, Fault{Reason: ReasonSyntax, Detail: err.Error()})
	}
	if kind != rawjson.KindObject {
		return c.recordError(nil, Fault{Reason: ReasonType, Detail: "the record is no JSON object"})
	}
	return nil
}

// skip returns why a record is skipped, or nothing.
func (c *Compiled) skip(slots []json.RawMessage) string {
	if c.when != nil && !c.when(slots) {
		return skippedWhen
	}
	for _, f := range c.filters {
		if f.holds(slots) {
			return f.reason
		}
	}
	return ""
}

// run is the mapping of one record.
type run struct {
	out    []byte
	path   []byte // of the array elements that the run is in, for faults
	faults []Fault
}

func (r *run) fault(to string, reason Reason, detail string) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, Fault{Field: string(r.path) + to, Reason: reason, Detail: detail})
	}
}

// full says whether the result has outgrown its bound, which is then a fault.
func (r *run) full(to string) bool {
	if len(r.out) <= MaxResult {
		return false
	}
	if !slices.ContainsFunc(r.faults, func(f Fault) bool { return f.Reason == ReasonLimit }) {
		r.fault(to, ReasonLimit, fmt.Sprintf("the result is longer than %d bytes", MaxResult))
	}
	return true
}

// split writes the results for the elements of an array.
func (r *run) split(c *Compiled, slots []json.RawMessage) (skipped string) {
	array := c.split.value(slots)
	r.out = append(r.out, '[')
	start := len(r.out)
	if array != nil && array[0] != 'n' {
		for i, element := range r.elements("", array) {
			clear(slots[c.table.element.low:c.table.element.high])
			c.table.element.walk(rawjson.NewScanner(element), slots)
			if reason := c.skip(slots); reason != "" {
				skipped = reason
				continue
			}
			r.path = strconv.AppendInt(append(r.path[:0], '['), int64(i), 10)
			r.path = append(r.path, "]."...)
			r.comma(start)
			r.program(c.root, slots)
		}
	}
	if len(r.out) > start {
		skipped = ""
	}
	r.out = append(r.out, ']')
	return skipped
}

// elements ranges over an array's elements within the bounds; anything else is a fault.
func (r *run) elements(to string, array json.RawMessage) iter.Seq2[int, json.RawMessage] {
	return func(yield func(int, json.RawMessage) bool) {
		if array[0] != '[' {
			r.fault(to, ReasonType, "the source is no array")
			return
		}
		i := 0
		for element := range rawjson.Elements(array) {
			if i >= MaxElements {
				r.fault(to, ReasonLimit, fmt.Sprintf("the array has more elements than %d", MaxElements))
				return
			}
			if r.full(to) || !yield(i, element) {
				return
			}
			i++
		}
	}
}

func (r *run) comma(start int) {
	if len(r.out) > start {
		r.out = append(r.out, ',')
	}
}

// program writes the object that a program makes.
func (r *run) program(p *program, slots []json.RawMessage) {
	r.out = append(r.out, '{')
	r.members(p, &p.out, slots, len(r.out))
	r.out = append(r.out, '}')
}

// members writes the members of an object that has begun before start, and says whether any was.
func (r *run) members(p *program, n *outNode, slots []json.RawMessage, start int) (wrote bool) {
	for _, child := range n.children {
		before := len(r.out)
		r.comma(start)
		r.out = append(r.out, child.key...)
		if r.node(p, child, slots) {
			wrote = true
		} else {
			r.out = r.out[:before]
		}
	}
	return wrote
}

// node writes a value, if there is one. What it wrote if there is none, the caller takes back.
func (r *run) node(p *program, n *outNode, slots []json.RawMessage) bool {
	switch {
	case n.leaf >= 0:
		f := &p.fields[n.leaf]
		return !r.full(f.to) && r.field(f, slots)
	case n.array:
		return r.array(p, n, slots)
	}
	r.out = append(r.out, '{')
	start := len(r.out)
	for i, m := range n.step.match {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		r.out = append(appendQuoted(r.out, m.name), ':')
		r.out = appendQuoted(r.out, m.text)
	}
	wrote := r.members(p, n, slots, start)
	r.out = append(r.out, '}')
	return wrote
}

// array writes an array's elements: of indexed ones the missing before another as null, of selected
// ones those that have a value.
func (r *run) array(p *program, n *outNode, slots []json.RawMessage) (wrote bool) {
	r.out = append(r.out, '[')
	start := len(r.out)
	end := start // of what has a value
	for _, child := range n.children {
		before := len(r.out)
		r.comma(start)
		value := len(r.out)
		switch {
		case r.node(p, child, slots):
			wrote, end = true, len(r.out)
		case child.step.kind == intoIndex:
			r.out = append(r.out[:value], "null"...)
		default:
			r.out = r.out[:before]
		}
	}
	r.out = append(r.out[:end], ']')
	return wrote
}

// field writes a field's value and says whether there is one.
func (r *run) field(f *field, slots []json.RawMessage) bool {
	if f.when != nil && !f.when(slots) {
		return false
	}
	if f.fixed != nil {
		r.out = append(r.out, f.fixed...)
		return true
	}
	value, present := f.value(slots)
	if value == nil {
		return r.nothing(f, present)
	}
	if f.sequence {
		r.sequence(f, value)
		return true
	}
	return r.scalar(f, f.to, value)
}

// value returns the first value that is not nothing, or nil and whether one was there.
func (f *field) value(slots []json.RawMessage) (value json.RawMessage, present bool) {
	for _, s := range f.sources {
		value = s.value(slots)
		if !f.isNothing(value) && !(f.sequence && string(value) == `""`) {
			return value, true
		}
		present = present || value != nil
	}
	return nil, present
}

func (f *field) isNothing(value json.RawMessage) bool {
	if len(value) == 0 || value[0] == 'n' {
		return true
	}
	if len(f.empty) == 0 {
		return false
	}
	text, ok := scalarText(value)
	return ok && slices.Contains(f.empty, string(text))
}

func (r *run) nothing(f *field, present bool) bool {
	switch {
	case f.fallback != nil:
		r.out = append(r.out, f.fallback...)
	case f.required:
		r.fault(f.to, ReasonRequired, "the value at "+f.from+" is required, and absent, null or empty")
		return false
	case !present || f.absent:
		return false
	default:
		r.out = append(r.out, "null"...)
	}
	return true
}

// scalar converts one value; to is its name in faults.
func (r *run) scalar(f *field, to string, value json.RawMessage) bool {
	if f.values != nil {
		return r.lookup(f, to, value)
	}
	out, reason := f.codec.append(r.out, value)
	r.out = out
	switch reason {
	case "":
		return true
	case ReasonRange:
		r.fault(to, reason, "the value at "+f.from+" cannot be written in the format "+strconv.Quote(f.codec.to.name))
	default:
		r.fault(to, reason, "the value at "+f.from+" is no "+string(f.codec.typ)+" "+f.codec.reads())
	}
	return false
}

func (r *run) lookup(f *field, to string, value json.RawMessage) bool {
	text, ok := scalarText(value)
	translated, listed := f.values[string(text)]
	switch {
	case ok && listed:
		r.out = append(r.out, translated...)
	case f.other == OtherKeep:
		r.out = append(r.out, value...)
	case f.other == OtherDefault:
		r.out = append(r.out, f.fallback...)
	default:
		r.fault(to, ReasonValue, "the value at "+f.from+" is not listed; allowed: "+f.listed)
		return false
	}
	return true
}

// sequence maps an array element by element.
func (r *run) sequence(f *field, array json.RawMessage) {
	r.out = append(r.out, '[')
	start := len(r.out)
	outer := len(r.path)
	var slots []json.RawMessage
	if f.table != nil {
		slots = make([]json.RawMessage, f.table.slots)
	}
	for i, element := range r.elements(f.to, array) {
		if f.table != nil && !f.enter(element, slots) {
			continue
		}
		r.comma(start)
		r.path = append(r.path[:outer], f.to...)
		r.path = strconv.AppendInt(append(r.path, '['), int64(i), 10)
		r.path = append(r.path, ']')
		r.element(f, element, slots)
		r.path = r.path[:outer]
	}
	r.out = append(r.out, ']')
}

// enter captures the element's values and says whether it is mapped.
func (f *field) enter(element json.RawMessage, slots []json.RawMessage) bool {
	clear(slots)
	f.table.record.walk(rawjson.NewScanner(element), slots)
	return f.where == nil || f.where(slots)
}

func (r *run) element(f *field, element json.RawMessage, slots []json.RawMessage) {
	switch {
	case f.each != nil && bytes.HasPrefix(element, []byte("{")):
		r.path = append(r.path, '.')
		r.program(f.each, slots)
	case f.each != nil:
		r.fault("", ReasonType, "the element is no object")
	case f.isNothing(element):
		r.out = append(r.out, "null"...)
	default:
		r.scalar(f, "", element)
	}
}
