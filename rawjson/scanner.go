// Package rawjson walks JSON in one pass without decoding it.
//
// An adapter cuts a page into records with it: each record stays the provider's own bytes, and
// only the few members that the adapter needs, such as the id and the time of change, are looked
// at. What a walk covers is validated against RFC 8259: the grammar, raw control characters,
// escapes, UTF-8 in strings and keys, nesting to [MaxDepth], and nothing but space after the
// document. Nothing is copied but names written with escapes: the bytes handed out are parts of the
// document.
//
// A [Scanner] does the walk; [Get], [Elements] and [Valid] are one-line uses of it, and [String],
// [ID] and [Int] read a single value.
//
// Of a name that an object holds twice, [Get] returns the last, as encoding/json does with a map.
// Names are compared exactly, where encoding/json also matches struct fields in another case.
// Unpaired surrogate escapes are valid, as the grammar has it; [String] decodes them to U+FFFD.
package rawjson

import (
	"encoding/json"
	"iter"
)

// MaxDepth is how many arrays and objects may be open at once. A document that nests deeper is
// refused with a [SyntaxError].
const MaxDepth = 512

// Kind is the kind of a JSON value, told by its first byte.
type Kind uint8

// The kinds of values. KindInvalid means that no value can start here: the document is broken or
// ended, or the value was consumed before.
const (
	KindInvalid Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// String returns the kind's name in lower case, such as "object".
func (k Kind) String() string {
	names := [...]string{"invalid", "null", "bool", "number", "string", "array", "object"}
	if int(k) >= len(names) {
		return names[KindInvalid]
	}
	return names[k]
}

// Scanner is a cursor over one JSON document. It stands before a value until that value is
// consumed, once, by [Scanner.Value], [Scanner.Object] or [Scanner.Array].
//
// The first error stops it: loops end, Value and Since return nil, Kind returns KindInvalid, and
// Err and End return that error. So a walk needs one check, of End, when it is over; what it
// collected must not be used before End has returned nil.
//
// A Scanner is made by NewScanner and serves one goroutine. It reads the document in place, which must not change meanwhile.
// After a panic in the body of a loop it must not be used any more.
type Scanner struct {
	data  []byte
	pos   int
	depth int
	due   bool   // a value is expected at pos and nobody has consumed it
	why   reason // the first error, which is at pos; fine if there is none
}

// NewScanner returns a Scanner that stands before the only value of the document.
func NewScanner(data []byte) *Scanner {
	return &Scanner{data: data, pos: space(data, 0), due: true}
}

// Kind returns the kind of the next value without consuming it.
func (s *Scanner) Kind() Kind {
	if !s.due || s.pos >= len(s.data) {
		return KindInvalid
	}
	return kinds[s.data[s.pos]]
}

// Offset returns where the cursor stands, in bytes from the start of the document: at the first
// byte of a value not yet consumed, right behind a consumed one, or at the first error.
func (s *Scanner) Offset() int { return s.pos }

// Since returns the document's bytes from an earlier Offset up to the cursor. With the Offset
// taken before a value and the value walked by Object or Array, that is the value's own bytes.
// It returns nil after an error and for a start beyond the cursor or below zero.
func (s *Scanner) Since(start int) json.RawMessage {
	if s.why != fine || start < 0 || start > s.pos {
		return nil
	}
	return s.data[start:s.pos:s.pos]
}

// Value consumes the next value and returns its bytes, validated and without space around them.
// They are part of the document, not a copy. It returns nil after an error.
func (s *Scanner) Value() json.RawMessage {
	start := s.pos
	s.skip()
	return s.Since(start)
}

// Object consumes the next value, which must be an object, and ranges over the names of its
// members, in order and with repetitions. In the body of the loop the Scanner stands before the
// member's value; a value that the body does not consume is validated and skipped. A break does
// the same with the rest of the object, so that the Scanner always ends up behind it.
//
// A name is part of the document, or a copy if it was written with escapes; the body must not
// change it. Any other value than an object is an error: ask Kind first where a provider sends
// null, or an empty array for an empty object.
func (s *Scanner) Object() iter.Seq[[]byte] {
	return func(yield func(name []byte) bool) { s.object(yield) }
}

// Array consumes the next value, which must be an array, and ranges over its elements' indexes,
// from 0. The body of the loop and break work as with [Scanner.Object].
func (s *Scanner) Array() iter.Seq[int] {
	return func(yield func(index int) bool) { s.array(yield) }
}

// Err returns the first error so far, a *[SyntaxError], or nil.
func (s *Scanner) Err() error {
	if s.why == fine {
		return nil
	}
	return &SyntaxError{Offset: int64(s.pos), Reason: s.why.String(), truncated: s.why == truncated}
}

// End ends the walk, outside all loops: it validates the document's value if that was not
// consumed and checks that nothing but space follows. It returns nil only if the whole document
// is valid, and a *[SyntaxError] otherwise.
func (s *Scanner) End() error {
	if s.due && s.depth == 0 {
		s.skip()
	}
	if s.why == fine {
		if s.pos = space(s.data, s.pos); s.pos < len(s.data) {
			s.fail(s.pos, trailing)
		}
	}
	return s.Err()
}

// fail stops the Scanner at offset i, unless it has stopped before.
func (s *Scanner) fail(i int, why reason) {
	if s.why == fine {
		s.pos, s.why = i, why
	}
	s.due = false
}

// settle moves behind a value that was read up to i, or stops there.
func (s *Scanner) settle(i int, why reason) {
	s.due, s.pos, s.why = false, i, why
}

// skip consumes the next value.
func (s *Scanner) skip() {
	if !s.due {
		s.fail(s.pos, consumed)
		return
	}
	s.settle(value(s.data, s.pos, s.depth))
}

// open consumes the first byte of an array or object and returns where its first element is, or
// false if there is none because it is empty or wrong.
func (s *Scanner) open(first, last byte, wrong reason) (int, bool) {
	i := s.pos
	switch {
	case !s.due:
		s.fail(i, consumed)
	case i >= len(s.data):
		s.fail(i, truncated)
	case s.data[i] != first:
		s.fail(i, wrong)
	case s.depth >= MaxDepth:
		s.fail(i, tooDeep)
	default:
		i = space(s.data, i+1)
		if i >= len(s.data) || s.data[i] != last {
			s.depth++
			return i, true
		}
		s.settle(i+1, fine)
	}
	return i, false
}

func (s *Scanner) object(yield func([]byte) bool) {
	i, more := s.open('{', '}', notObject)
	if !more {
		return
	}
	for more {
		end, start, escaped, why := member(s.data, i)
		if why != fine {
			s.settle(start, why)
			return
		}
		name := s.data[i+1 : end-1 : end-1]
		if escaped {
			name = unescape(name)
		}
		s.pos, s.due = start, true
		proceed := yield(name)
		if s.due {
			s.skip()
		}
		if s.why != fine {
			return
		}
		if !proceed {
			s.settle(objectRest(s.data, s.pos, s.depth))
			break
		}
		i, more, why = next(s.data, s.pos, '}')
		s.settle(i, why)
	}
	s.depth--
}

func (s *Scanner) array(yield func(int) bool) {
	i, more := s.open('[', ']', notArray)
	if !more {
		return
	}
	for index := 0; more; index++ {
		s.pos, s.due = i, true
		proceed := yield(index)
		if s.due {
			s.skip()
		}
		if s.why != fine {
			return
		}
		if !proceed {
			s.settle(arrayRest(s.data, s.pos, s.depth))
			break
		}
		var why reason
		i, more, why = next(s.data, s.pos, ']')
		s.settle(i, why)
	}
	s.depth--
}
