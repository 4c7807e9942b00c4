package mapping

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/enlace-go/enlace/rawjson"
)

// step is one step of a path: into the member of an object, or into an element of an array.
type step struct {
	kind  stepKind
	name  string // of the member
	index int
	match []member // the selection, all of which must hold
}

type stepKind uint8

const (
	intoMember stepKind = iota
	intoIndex
	intoMatch
	intoEach // "[]": the element that a split is at
)

// member is a name and the text of its value.
type member struct{ name, text string }

// maxIndex bounds indexes, which become array elements when a path is written.
const maxIndex = 255

// parsePath returns the steps of a path, or a phrase that says what is wrong with it.
func parsePath(path string) (steps []step, wrong string) {
	if len(path) > MaxPath {
		return nil, fmt.Sprintf("the path is longer than %d bytes", MaxPath)
	}
	if !utf8.ValidString(path) {
		return nil, "the path is not valid UTF-8"
	}
	p := pathParser{rest: path}
	arrays := 0
	for p.rest != "" {
		if p.rest[0] == '[' {
			s, wrong := p.bracket()
			if wrong != "" {
				return nil, wrong
			}
			if arrays++; arrays > MaxNesting {
				return nil, fmt.Sprintf("the path has more array steps than %d", MaxNesting)
			}
			steps = append(steps, s)
			continue
		}
		if len(steps) > 0 {
			if p.rest[0] != '.' {
				return nil, "a dot is missing behind ]"
			}
			p.rest = p.rest[1:]
		}
		name, wrong := p.word(".[]")
		if wrong != "" {
			return nil, wrong
		}
		steps = append(steps, step{name: name})
	}
	return steps, ""
}

type pathParser struct{ rest string }

// word reads up to one of the stops, and takes the backslashes out.
func (p *pathParser) word(stops string) (word, wrong string) {
	var b strings.Builder
	i := 0
	for ; i < len(p.rest) && !strings.ContainsRune(stops, rune(p.rest[i])); i++ {
		if p.rest[i] == '\\' {
			if i++; i == len(p.rest) {
				return "", "a backslash ends the path"
			}
		}
		b.WriteByte(p.rest[i])
	}
	p.rest = p.rest[i:]
	if b.Len() == 0 {
		return "", "a name is missing"
	}
	return b.String(), ""
}

func (p *pathParser) bracket() (s step, wrong string) {
	p.rest = p.rest[1:]
	if rest, each := strings.CutPrefix(p.rest, "]"); each {
		p.rest = rest
		return step{kind: intoEach}, ""
	}
	for {
		word, wrong := p.word("=,]")
		if wrong != "" || p.rest == "" {
			return s, either(wrong, "a ] is missing")
		}
		stop := p.rest[0]
		p.rest = p.rest[1:]
		if stop == ']' && len(s.match) == 0 {
			index, err := strconv.Atoi(word)
			if err != nil || index < 0 || index > maxIndex {
				return s, "between brackets stands an index up to " + strconv.Itoa(maxIndex) + " or name=value"
			}
			return step{kind: intoIndex, index: index}, ""
		}
		if stop != '=' {
			return s, "between brackets stands an index or name=value"
		}
		text, wrong := p.word(",]")
		if wrong != "" || p.rest == "" {
			return s, either(wrong, "a ] is missing")
		}
		stop = p.rest[0]
		p.rest = p.rest[1:]
		s.kind, s.match = intoMatch, append(s.match, member{word, text})
		if stop == ']' {
			return s, ""
		}
	}
}

// escapePath writes a member's name so that it is one step of a path.
func escapePath(name string) string {
	if !strings.ContainsAny(name, `\.[]`) {
		return name
	}
	return strings.NewReplacer(`\`, `\\`, `.`, `\.`, `[`, `\[`, `]`, `\]`).Replace(name)
}

// resolve follows steps inside a valid document and returns nil if they lead nowhere.
func resolve(raw json.RawMessage, steps []step) json.RawMessage {
	for _, s := range steps {
		if raw == nil {
			return nil
		}
		if s.kind == intoMember {
			raw, _ = rawjson.Get(raw, s.name)
		} else {
			raw = s.element(raw)
		}
	}
	return raw
}

// element returns the element of an array that an array step leads to.
func (s step) element(array json.RawMessage) json.RawMessage {
	if array[0] != '[' {
		return nil
	}
	i := 0
	for element := range rawjson.Elements(array) {
		if s.kind == intoIndex && i == s.index || s.kind == intoMatch && s.matches(element) {
			return element
		}
		i++
	}
	return nil
}

func (s step) matches(element json.RawMessage) bool {
	for _, m := range s.match {
		value, _ := rawjson.Get(element, m.name)
		text, ok := scalarText(value)
		if !ok || string(text) != m.text {
			return false
		}
	}
	return true
}

// scalarText returns what a scalar says: a string's content, a number or boolean as it is
// written. It returns false for null, arrays, objects and nil. The text may be a part of raw.
func scalarText(raw json.RawMessage) ([]byte, bool) {
	if len(raw) == 0 {
		return nil, false
	}
	switch raw[0] {
	case '"':
		content := raw[1 : len(raw)-1]
		for _, c := range content {
			if c == '\\' {
				text, ok := rawjson.String(raw)
				return []byte(text), ok
			}
		}
		return content, true
	case '{', '[', 'n':
		return nil, false
	}
	return raw, true
}

// node is a place in records of which a program needs the value: a tree by members' names, walked
// once for each record. What lies behind an array step is resolved inside the captured value.
type node struct {
	children map[string]*node
	wanted   bool
	slot     int // where the value is captured, if it is wanted
	low      int // the slots of this place and all below are low to high
	high     int
}

// place returns the node for the leading member steps, made if need be, and the other steps.
func (n *node) place(steps []step) (*node, []step) {
	for len(steps) > 0 && steps[0].kind == intoMember {
		child := n.children[steps[0].name]
		if child == nil {
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			child = new(node)
			n.children[steps[0].name] = child
		}
		n, steps = child, steps[1:]
	}
	n.wanted = true
	return n, steps
}

// number gives out slots, so that those of a subtree are neighbours, and returns the next one.
func (n *node) number(next int) int {
	n.low = next
	if n.wanted {
		n.slot = next
		next++
	}
	for _, child := range n.children {
		next = child.number(next)
	}
	n.high = next
	return next
}

// walk captures the values of a tree from the document's next value. Of a repeated name
// the last counts, with all that is below it.
func (n *node) walk(s *rawjson.Scanner, slots []json.RawMessage) {
	if n.children == nil || s.Kind() != rawjson.KindObject {
		value := s.Value()
		if n.wanted {
			slots[n.slot] = value
		}
		return
	}
	start := s.Offset()
	for name := range s.Object() {
		if child := n.children[string(name)]; child != nil {
			if child.children != nil {
				clear(slots[child.low:child.high])
			}
			child.walk(s, slots)
		}
	}
	if n.wanted {
		slots[n.slot] = s.Since(start)
	}
}

// source is where a value is found: in a captured slot, and further steps inside it.
type source struct {
	at    *node
	steps []step
}

func (s source) value(slots []json.RawMessage) json.RawMessage {
	value := slots[s.at.slot]
	if len(s.steps) == 0 {
		return value
	}
	return resolve(value, s.steps)
}
