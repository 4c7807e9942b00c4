package mapping

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
)

// Invert returns the mapping of the way back: from results to the parts of records that the
// mapping reads. It has no rules, defaults and constants, and leaves OneWay fields out. What it writes is a
// part of a record, so send it as an update and not as a replacement; [Compiled.Overlay] completes
// the objects and arrays in it.
//
// The error, which matches [ErrNotInvertible], says what would be lost whatever the record:
// two fields from the same source, several source values with the same translation. What is lost
// of some records only, [Compiled.CheckRoundTrip] finds on samples.
func (c *Compiled) Invert() (*Compiled, error) {
	if c.inverse == nil {
		return nil, either(c.inverseErr, error(ErrNotInvertible)) // an inverse holds no inverse of its own
	}
	return c.inverse, nil
}

// inverse exchanges the two sides.
func (m Mapping) inverse() (Mapping, []Fault) {
	inverted := Mapping{Name: m.Name, Version: m.Version, FromZone: m.ToZone, ToZone: m.FromZone}
	var lost []Fault
	if m.Split != "" {
		lost = append(lost, Fault{"split", ReasonLoss, "several results cannot be put together again"})
	}
	var faults []Fault
	inverted.Fields, faults = invertFields("fields", m.Fields)
	return inverted, append(lost, faults...)
}

func invertFields(at string, fields []Field) (inverted []Field, lost []Fault) {
	from := make(map[string]int)
	for i, f := range fields {
		if f.OneWay || f.From == "" {
			continue
		}
		at := fmt.Sprintf("%s[%d]", at, i)
		if first, twice := from[f.From]; twice {
			lost = append(lost, Fault{at + ".from", ReasonLoss, fmt.Sprintf("field %d has the same source; mark one of them one_way", first)})
			continue
		}
		from[f.From] = i
		back := Field{From: f.To, To: f.From, Type: f.Type, FromFormat: f.ToFormat, ToFormat: f.FromFormat, List: f.List}
		if f.Values != nil {
			var faults []Fault
			back.Values, faults = invertValues(at, f.Values)
			lost = append(lost, faults...)
			if f.Other == OtherKeep {
				back.Other = OtherKeep
			}
		}
		if f.Each != nil {
			var faults []Fault
			back.Each, faults = invertFields(at+".each", f.Each)
			lost = append(lost, faults...)
		}
		inverted = append(inverted, back)
	}
	if len(inverted) == 0 && len(lost) == 0 {
		lost = append(lost, Fault{at, ReasonLoss, "no field has a way back"})
	}
	return inverted, lost
}

func invertValues(at string, pairs []Pair) (inverted []Pair, lost []Fault) {
	seen := make(map[string]bool, len(pairs))
	for i, pair := range pairs {
		text, ok := scalarText(json.RawMessage(pair.To))
		if !ok || seen[string(text)] {
			lost = append(lost, Fault{fmt.Sprintf("%s.values[%d].to", at, i), ReasonLoss,
				"null, or a value with another translation too, has no way back; mark the field one_way"})
		}
		seen[string(text)] = true
		inverted = append(inverted, Pair{From: pair.To, To: pair.From})
	}
	return inverted, lost
}

// RoundTrip says how samples came through a mapping and its inverse.
type RoundTrip struct {
	Samples int // how many were tried
	Skipped int // by the mapping's rules
	Refused int // with a fault on the way there
	Lossy   int // did not come back the same
	// Losses are the first hundred places that differ.
	Losses []Loss
}

// OK says whether every sample that was mapped came back.
func (r RoundTrip) OK() bool { return r.Lossy == 0 }

// Loss is a value of a sample that did not come back. It does not hold the value.
type Loss struct {
	Sample int    // from 0
	Field  string // the source's path; of an element "phones[2].value"
	Detail string
}

// CheckRoundTrip maps the samples, maps the results back and compares every source that the
// mapping reads with what came back: by meaning, so that 9 and "9", an instant in another zone, and null
// and "" of a type without empty value are the same. A default that filled nothing, a value
// from Or, and fields whose When does not hold are no losses. The error is Invert's.
func (c *Compiled) CheckRoundTrip(samples iter.Seq[json.RawMessage]) (RoundTrip, error) {
	var report RoundTrip
	inverse, err := c.Invert()
	if err != nil {
		return report, err
	}
	fields := c.Mapping().Fields
	for sample := range samples {
		report.Samples++
		there, err := c.Apply(sample)
		switch {
		case err != nil:
			report.Refused++
			continue
		case there.Skipped != "":
			report.Skipped++
			continue
		}
		trip := comparison{sample: report.Samples - 1}
		if back, err := inverse.Apply(there.Data); err != nil {
			for _, f := range err.(*Error).Faults {
				trip.lose(f.Field, "the way back: "+f.Detail)
			}
		} else {
			before, after := make([]json.RawMessage, c.table.slots), make([]json.RawMessage, c.table.slots)
			switch {
			case c.capture(sample, before) != nil:
			case c.capture(back.Data, after) != nil:
				trip.lose("", "the way back made no record")
			default:
				trip.compare(c.root, before, after, "", fields)
			}
		}
		if len(trip.losses) > 0 {
			report.Lossy++
			report.Losses = append(report.Losses, trip.losses[:min(len(trip.losses), maxFaults-len(report.Losses))]...)
		}
	}
	return report, nil
}

// comparison collects what one sample lost.
type comparison struct {
	sample int
	losses []Loss
}

func (t *comparison) lose(field, detail string) {
	if len(t.losses) < maxFaults {
		t.losses = append(t.losses, Loss{Sample: t.sample, Field: field, Detail: detail})
	}
}

// compare compares the sources of a program's fields. path is where the program is applied.
func (t *comparison) compare(p *program, before, after []json.RawMessage, path string, names []Field) {
	for i := range p.fields {
		f := &p.fields[i]
		if f.oneWay || f.fixed != nil || f.when != nil && !f.when(before) {
			continue
		}
		name := path + names[i].From
		a, b := f.sources[0].value(before), f.sources[0].value(after)
		switch nothing := f.isNothing(a) || f.sequence && string(a) == `""`; {
		case nothing && (f.fallback != nil || len(f.sources) > 1 || f.isNothing(b)):
		case nothing || f.isNothing(b):
			t.lose(name, "nothing became something, or the reverse")
		case f.sequence:
			t.elements(f, a, b, name, names[i].Each)
		case !f.same(a, b):
			t.lose(name, "the value came back with another meaning")
		}
	}
}

// same says whether two values mean the same; neither is nothing.
func (f *field) same(a, b json.RawMessage) bool {
	if f.values != nil {
		as := codec{typ: Text}
		return f.codec.equal(a, b) || as.equal(a, b)
	}
	return f.codec.equal(a, b)
}

// elements compares two arrays, without the elements that are not mapped.
func (t *comparison) elements(f *field, a, b json.RawMessage, path string, names []Field) {
	before, after := f.mapped(a), f.mapped(b)
	if len(before) != len(after) {
		t.lose(path, "the array came back with another number of elements")
		return
	}
	for i := range before {
		name := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case f.each != nil:
			t.compare(f.each, before[i].slots, after[i].slots, name+".", names)
		case f.isNothing(before[i].raw) && f.isNothing(after[i].raw):
		case f.isNothing(before[i].raw) != f.isNothing(after[i].raw) || !f.same(before[i].raw, after[i].raw):
			t.lose(name, "the element came back with another meaning")
		}
	}
}

// mappedElement is an element of an array and what was captured of it.
type mappedElement struct {
	raw   json.RawMessage
	slots []json.RawMessage
}

func (f *field) mapped(array json.RawMessage) (elements []mappedElement) {
	r := run{}
	for _, raw := range r.elements("", array) {
		e := mappedElement{raw: raw}
		if f.table != nil {
			e.slots = make([]json.RawMessage, f.table.slots)
			if !f.enter(raw, e.slots) {
				continue
			}
		}
		elements = append(elements, e)
	}
	return elements
}

// String sums the report up in a line.
func (r RoundTrip) String() string {
	var fields []string
	for _, l := range r.Losses {
		fields = append(fields, fmt.Sprintf("%s (sample %d: %s)", l.Field, l.Sample, l.Detail))
	}
	return fmt.Sprintf("%d samples, %d skipped, %d refused, %d lossy: %s", r.Samples, r.Skipped, r.Refused, r.Lossy,
		either(strings.Join(fields, ", "), "nothing is lost"))
}
