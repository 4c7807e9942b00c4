package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/enlace-go/enlace/rawjson"
)

// Overlay completes a result of the mapping, most often of an inverse, for an update that
// replaces whole objects and arrays. current is the record as it is there. The answer has the
// same members as the result, and keeps of current's what the mapping does not write: other
// members of the objects that it enters, also of an array's elements, element by element; other elements of
// the arrays that it enters by index or selection; and elements that the mapping's Where had
// left out on the way here. A null in place of an indexed element leaves the element as it is.
// A value of an inverse that means the same as the one that stands there (9 and "9", 10.5 and
// 10.50, an instant in another zone, a default for nothing) is written as it stands there, so
// that it is no change.
//
// A current that is nil or null completes nothing. The error matches [ErrRecord].
func (c *Compiled) Overlay(result, current json.RawMessage) (json.RawMessage, error) {
	for _, data := range []json.RawMessage{result, current} {
		if len(data) > MaxRecord {
			return nil, c.recordError(nil, Fault{Reason: ReasonLimit, Detail: "the record is too long to be completed"})
		}
		if err := rawjson.Valid(data); err != nil && len(data) > 0 {
			return nil, c.recordError(err, Fault{Reason: ReasonSyntax, Detail: err.Error()})
		}
	}
	if !isObject(result) || !isObject(current) {
		return result, nil
	}
	o := overlay{out: make([]byte, 0, len(result)+len(current))}
	o.members(&c.root.out, c.root, result, current, true)
	if o.tooLong {
		return nil, c.recordError(nil, Fault{Reason: ReasonLimit, Detail: fmt.Sprintf("an array has more elements than %d", MaxElements)})
	}
	return o.out, nil
}

func isObject(value json.RawMessage) bool {
	return rawjson.NewScanner(value).Kind() == rawjson.KindObject
}

// overlay writes a completed result.
type overlay struct {
	out     []byte
	tooLong bool // an array has too many elements
}

// value writes a result's value at a place that current has too.
func (o *overlay) value(n *outNode, p *program, value, current json.RawMessage) {
	switch {
	case n != nil && n.leaf >= 0 && p.fields[n.leaf].standsThere(value, current):
		o.out = append(o.out, current...)
	case n == nil || len(current) == 0 || current[0] != value[0]: // of another kind, or nothing
		o.out = append(o.out, value...)
	case n.leaf >= 0 && p.fields[n.leaf].sequence && value[0] == '[':
		o.sequence(&p.fields[n.leaf], value, current)
	case n.leaf < 0 && n.array && value[0] == '[':
		o.elements(n, p, value, current)
	case n.leaf < 0 && value[0] == '{':
		o.members(n, p, value, current, false)
	default:
		o.out = append(o.out, value...)
	}
}

// standsThere says whether a value of an inverse's field means the same as current.
func (f *field) standsThere(value, current json.RawMessage) bool {
	switch {
	case f.origin == nil || len(current) == 0:
		return false
	case f.origin.isNothing(current): // a default had filled it
		return f.origin.isNothing(value) || f.origin.fallback != nil && bytes.Equal(value, f.origin.fallback)
	case f.origin.isNothing(value):
		return false
	default:
		return !f.sequence && f.origin.same(current, value)
	}
}

// members writes an object: the result's members, and unless partial is set those of current too.
func (o *overlay) members(n *outNode, p *program, result, current json.RawMessage, partial bool) {
	children := make(map[string]*outNode, len(n.children))
	for _, child := range n.children {
		children[child.step.name] = child
	}
	write := func(start int, name string, value, current json.RawMessage) {
		if len(o.out) > start {
			o.out = append(o.out, ',')
		}
		o.out = append(appendQuoted(o.out, name), ':')
		o.value(children[name], p, value, current)
	}
	o.out = append(o.out, '{')
	start := len(o.out)
	old, now := membersOf(current), membersOf(result)
	if !partial {
		for _, name := range old.names {
			if value, written := now.values[name]; written {
				write(start, name, value, old.values[name])
			} else {
				write(start, name, old.values[name], nil)
			}
		}
	}
	for _, name := range now.names {
		if was, known := old.values[name]; partial || !known {
			write(start, name, now.values[name], was)
		}
	}
	o.out = append(o.out, '}')
}

// elements writes an array that is entered by indexes or selections.
func (o *overlay) elements(n *outNode, p *program, result, current json.RawMessage) {
	now, old := o.elementsOf(result), o.elementsOf(current)
	laid := make([]*outNode, len(old)) // which child is laid over an element of current
	over := make([]json.RawMessage, len(old))
	var more []json.RawMessage
	for _, child := range n.children {
		value := child.step.among(now)
		if value < 0 || child.step.kind == intoIndex && now[value][0] == 'n' {
			continue
		}
		at := child.step.among(old)
		if at < 0 {
			more = append(more, now[value])
			continue
		}
		laid[at], over[at] = child, now[value]
	}
	o.out = append(o.out, '[')
	start := len(o.out)
	for i, element := range old {
		o.comma(start)
		if laid[i] == nil {
			o.out = append(o.out, element...)
		} else {
			o.value(laid[i], p, over[i], element)
		}
	}
	for _, element := range more {
		o.comma(start)
		o.out = append(o.out, element...)
	}
	o.out = append(o.out, ']')
}

// among returns the index of the element that an array step leads to, or -1.
func (s step) among(elements []json.RawMessage) int {
	for i, element := range elements {
		if s.kind == intoIndex && i == s.index || s.kind == intoMatch && s.matches(element) {
			return i
		}
	}
	return -1
}

// sequence writes the array of a list or each: over current's elements, one by one, those that the
// mapping had left out excepted.
func (o *overlay) sequence(f *field, result, current json.RawMessage) {
	var where test
	var slots []json.RawMessage
	if f.origin != nil && f.origin.where != nil {
		where, slots = f.origin.where, make([]json.RawMessage, f.origin.table.slots)
	}
	now := o.elementsOf(result)
	o.out = append(o.out, '[')
	start := len(o.out)
	for _, element := range o.elementsOf(current) {
		switch {
		case where != nil && !f.origin.enter(element, slots):
			o.comma(start)
			o.out = append(o.out, element...)
		case len(now) > 0:
			o.comma(start)
			o.element(f, now[0], element)
			now = now[1:]
		}
	}
	for _, element := range now {
		o.comma(start)
		o.out = append(o.out, element...)
	}
	o.out = append(o.out, ']')
}

func (o *overlay) element(f *field, element, current json.RawMessage) {
	switch {
	case f.each != nil && element[0] == '{' && current[0] == '{':
		o.members(&f.each.out, f.each, element, current, false)
	case f.each == nil && f.origin != nil && f.origin.same(current, element):
		o.out = append(o.out, current...)
	default:
		o.out = append(o.out, element...)
	}
}

func (o *overlay) comma(start int) {
	if len(o.out) > start {
		o.out = append(o.out, ',')
	}
}

// object is an object's members in their order; of a repeated name the last counts.
type object struct {
	names  []string
	values map[string]json.RawMessage
}

func membersOf(raw json.RawMessage) object {
	o := object{values: make(map[string]json.RawMessage)}
	s := rawjson.NewScanner(raw)
	for name := range s.Object() {
		if _, again := o.values[string(name)]; !again {
			o.names = append(o.names, string(name))
		}
		o.values[string(name)] = s.Value()
	}
	return o
}

func (o *overlay) elementsOf(array json.RawMessage) (elements []json.RawMessage) {
	for element := range rawjson.Elements(array) {
		if len(elements) == MaxElements {
			o.tooLong = true
			break
		}
		elements = append(elements, element)
	}
	return elements
}

// linkOrigins tells the fields of an inverse which fields they come from.
func linkOrigins(inverse, original *program) {
	for i := range inverse.fields {
		back := &inverse.fields[i]
		for j := range original.fields {
			f := &original.fields[j]
			if f.oneWay || f.fixed != nil || f.from != back.to || f.to != back.from {
				continue
			}
			back.origin = f
			if back.each != nil && f.each != nil {
				linkOrigins(back.each, f.each)
			}
		}
	}
}
