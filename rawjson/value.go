package rawjson

import (
	"encoding/json"
	"iter"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Valid returns nil if data is one valid JSON document, and a *[SyntaxError] otherwise. It is
// stricter than json.Valid in two points: UTF-8 must be valid, and [MaxDepth] is lower.
func Valid(data []byte) error {
	return NewScanner(data).End()
}

// Get returns the bytes of the value at the path, which names a member at each level; an empty
// path is the whole document. It returns nil without an error if there is no such value, also
// because something on the way is no object. A member that is null is returned as null.
//
// The whole document is validated; the error is a *[SyntaxError]. Of a repeated name the last
// counts.
func Get(data []byte, path ...string) (json.RawMessage, error) {
	s := NewScanner(data)
	found := find(s, path)
	if err := s.End(); err != nil {
		return nil, err
	}
	return found, nil
}

func find(s *Scanner, path []string) json.RawMessage {
	if len(path) == 0 {
		return s.Value()
	}
	if s.Kind() != KindObject {
		return nil
	}
	var found json.RawMessage
	for name := range s.Object() {
		if string(name) == path[0] {
			found = find(s, path[1:])
		}
	}
	return found
}

// Elements ranges over the bytes of the elements of a document that is an array. If the document
// is not a valid array, the last pair is nil and a *[SyntaxError]; the elements before were valid
// in themselves, but the document is not.
func Elements(data []byte) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		s := NewScanner(data)
		for range s.Array() {
			if element := s.Value(); element != nil && !yield(element, nil) {
				return
			}
		}
		if err := s.End(); err != nil {
			yield(nil, err)
		}
	}
}

// String returns the content of a JSON string, decoded, and false for anything else. An unpaired
// surrogate escape becomes U+FFFD, as in encoding/json.
func String(raw []byte) (string, bool) {
	s := NewScanner(raw)
	if s.Kind() != KindString {
		return "", false
	}
	end, escaped, why := text(raw, s.pos)
	if why != fine || space(raw, end) < len(raw) {
		return "", false
	}
	content := raw[s.pos+1 : end-1]
	if escaped {
		content = unescape(content)
	}
	return string(content), true
}

// ID returns an identifier as text, whether the provider sent it as a string ("43") or as a whole
// number (43), of any size and with every digit. It returns false for anything else: a fraction,
// an exponent, an empty string, null.
func ID(raw []byte) (string, bool) {
	s := NewScanner(raw)
	if s.Kind() == KindString {
		id, ok := String(raw)
		return id, ok && id != ""
	}
	end, why := integer(raw, s.pos)
	if why != fine || space(raw, end) < len(raw) {
		return "", false
	}
	return string(raw[s.pos:end]), true
}

// Int returns a whole number that the provider sent as a number (50) or as a string ("50"). It
// returns false for anything else, also for 50.0, 5e1 and what does not fit into 64 bits.
func Int(raw []byte) (int64, bool) {
	id, ok := ID(raw)
	if !ok {
		return 0, false
	}
	if end, why := integer([]byte(id), 0); why != fine || end < len(id) {
		return 0, false
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0, false
	}
	return n, true
}

// unescape decodes the content of a valid string into a new slice.
func unescape(content []byte) []byte {
	decoded := make([]byte, 0, len(content))
	for i := 0; i < len(content); i++ {
		if content[i] != '\\' {
			decoded = append(decoded, content[i])
			continue
		}
		i++
		switch c := content[i]; c {
		case 'b':
			decoded = append(decoded, '\b')
		case 'f':
			decoded = append(decoded, '\f')
		case 'n':
			decoded = append(decoded, '\n')
		case 'r':
			decoded = append(decoded, '\r')
		case 't':
			decoded = append(decoded, '\t')
		case 'u':
			r := codeUnit(content[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				paired := utf8.RuneError
				if len(content) > i+6 && content[i+1] == '\\' && content[i+2] == 'u' {
					paired = utf16.DecodeRune(r, codeUnit(content[i+3:]))
				}
				if r = paired; r != utf8.RuneError {
					i += 6
				}
			}
			decoded = utf8.AppendRune(decoded, r)
		default:
			decoded = append(decoded, c)
		}
	}
	return decoded
}

// codeUnit returns the value of four hexadecimal digits.
func codeUnit(digits []byte) rune {
	return hex(digits[0])<<12 | hex(digits[1])<<8 | hex(digits[2])<<4 | hex(digits[3])
}
