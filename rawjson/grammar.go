package rawjson

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The functions of this file read one piece of the grammar each. They take the document and the
// offset of the piece, and return the offset behind it and fine, or the offset of the first error
// and its reason. depth is how many arrays and objects are open around the piece.

// kinds tells a value's kind by its first byte.
var kinds = [256]Kind{
	'n': KindNull, 't': KindBool, 'f': KindBool, '"': KindString, '[': KindArray, '{': KindObject,
	'-': KindNumber, '0': KindNumber, '1': KindNumber, '2': KindNumber, '3': KindNumber, '4': KindNumber,
	'5': KindNumber, '6': KindNumber, '7': KindNumber, '8': KindNumber, '9': KindNumber,
}

// space returns the offset of the first byte from i on that is not white space.
func space(data []byte, i int) int {
	for i < len(data) && data[i] <= ' ' && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// wrong tells an early end from a byte that does not belong at i.
func wrong(data []byte, i int) (int, reason) {
	if i >= len(data) {
		return i, truncated
	}
	return i, unexpected
}

func value(data []byte, i, depth int) (int, reason) {
	if i >= len(data) {
		return i, truncated
	}
	switch kinds[data[i]] {
	case KindString:
		end, _, why := text(data, i)
		return end, why
	case KindNumber:
		return number(data, i)
	case KindObject:
		return object(data, i, depth)
	case KindArray:
		return array(data, i, depth)
	case KindNull:
		return literal(data, i, "null")
	case KindBool:
		if data[i] == 't' {
			return literal(data, i, "true")
		}
		return literal(data, i, "false")
	}
	return i, unexpected
}

func object(data []byte, i, depth int) (int, reason) {
	if depth >= MaxDepth {
		return i, tooDeep
	}
	i = space(data, i+1)
	if i < len(data) && data[i] == '}' {
		return i + 1, fine
	}
	return members(data, i, depth+1)
}

// members reads an object from its first or a later name to its end.
func members(data []byte, i, depth int) (int, reason) {
	for more := true; more; {
		_, start, _, why := member(data, i)
		if why != fine {
			return start, why
		}
		if i, why = value(data, start, depth); why != fine {
			return i, why
		}
		if i, more, why = next(data, i, '}'); why != fine {
			return i, why
		}
	}
	return i, fine
}

// objectRest reads an object from behind one of its values to its end.
func objectRest(data []byte, i, depth int) (int, reason) {
	i, more, why := next(data, i, '}')
	if !more {
		return i, why
	}
	return members(data, i, depth)
}

func array(data []byte, i, depth int) (int, reason) {
	if depth >= MaxDepth {
		return i, tooDeep
	}
	i = space(data, i+1)
	if i < len(data) && data[i] == ']' {
		return i + 1, fine
	}
	return elements(data, i, depth+1)
}

// elements reads an array from its first or a later element to its end.
func elements(data []byte, i, depth int) (int, reason) {
	for more := true; more; {
		var why reason
		if i, why = value(data, i, depth); why != fine {
			return i, why
		}
		if i, more, why = next(data, i, ']'); why != fine {
			return i, why
		}
	}
	return i, fine
}

// arrayRest reads an array from behind one of its elements to its end.
func arrayRest(data []byte, i, depth int) (int, reason) {
	i, more, why := next(data, i, ']')
	if !more {
		return i, why
	}
	return elements(data, i, depth)
}

// member reads a name, which ends at end, and its colon. start is where the value is, or the error.
func member(data []byte, i int) (end, start int, escaped bool, why reason) {
	if i >= len(data) || data[i] != '"' {
		start, why = wrong(data, i)
		return 0, start, false, why
	}
	end, escaped, why = text(data, i)
	if why != fine {
		return 0, end, false, why
	}
	i = space(data, end)
	if i >= len(data) || data[i] != ':' {
		start, why = wrong(data, i)
		return 0, start, false, why
	}
	return end, space(data, i+1), escaped, fine
}

// next reads what follows an element: a comma, then i is the next element and more is true, or the
// closing bracket last, then i is behind it.
func next(data []byte, i int, last byte) (_ int, more bool, _ reason) {
	i = space(data, i)
	if i < len(data) {
		switch data[i] {
		case ',':
			return space(data, i+1), true, fine
		case last:
			return i + 1, false, fine
		}
	}
	i, why := wrong(data, i)
	return i, false, why
}

// Eight bytes are looked at as one word: ones has 1 in every byte, tops the top bit of every byte.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// stops returns a word whose lowest set bit is the top bit of the first byte that is a quote, a
// backslash or a control character, and 0 if none is. Marks above the lowest may be false.
//
// Subtracting sets a byte's top bit if it has to borrow, that is, if the byte is one of those; a
// byte whose top bit was set before never is. The borrow can spoil only bytes above a true stop.
func stops(word uint64) uint64 {
	const quote, backslash, control = '"' * ones, '\\' * ones, ' ' * ones
	return (((word ^ quote) - ones) | ((word ^ backslash) - ones) | (word - control)) &^ word & tops
}

// text reads a string from its opening quote.
func text(data []byte, i int) (end int, escaped bool, why reason) {
	i++
	start := i
	seen := uint64(0) // has a top bit set if the string, or a byte behind it, may not be ASCII
	for {
		if i+8 <= len(data) {
			word := binary.LittleEndian.Uint64(data[i:])
			seen |= word
			found := stops(word)
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) / 8
		} else {
			for i < len(data) && data[i] >= ' ' && data[i] != '"' && data[i] != '\\' {
				seen |= uint64(data[i])
				i++
			}
			if i >= len(data) {
				return i, false, truncated
			}
		}
		switch data[i] {
		case '"':
			if seen&tops != 0 && !utf8.Valid(data[start:i]) {
				return start + validPrefix(data[start:i]), false, badUTF8
			}
			return i + 1, escaped, fine
		case '\\':
			if i, why = escape(data, i); why != fine {
				return i, false, why
			}
			escaped = true
		default:
			return i, false, control
		}
	}
}

// validPrefix returns how many bytes of the text are valid UTF-8.
func validPrefix(text []byte) int {
	i := 0
	for i < len(text) {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		i += size
	}
	return i
}

// escape reads an escape from its backslash.
func escape(data []byte, i int) (int, reason) {
	i++
	if i >= len(data) {
		return i, truncated
	}
	switch data[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, fine
	case 'u':
		for range 4 {
			if i++; i >= len(data) {
				return i, truncated
			}
			if hex(data[i]) < 0 {
				return i, badEscape
			}
		}
		return i + 1, fine
	}
	return i, badEscape
}

// hex returns the value of a hexadecimal digit, or -1.
func hex(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}

func number(data []byte, i int) (int, reason) {
	i, why := integer(data, i)
	if why == fine && i < len(data) && data[i] == '.' {
		i, why = digits(data, i+1)
	}
	if why == fine && i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		i, why = digits(data, i)
	}
	return i, why
}

// integer reads a number up to its fraction or exponent.
func integer(data []byte, i int) (int, reason) {
	if i < len(data) && data[i] == '-' {
		i++
	}
	if i < len(data) && data[i] == '0' {
		return i + 1, fine
	}
	return digits(data, i)
}

// digits reads at least one decimal digit.
func digits(data []byte, i int) (int, reason) {
	start := i
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	if i == start {
		return wrong(data, i)
	}
	return i, fine
}

func literal(data []byte, i int, word string) (int, reason) {
	for j := range len(word) {
		if i+j >= len(data) || data[i+j] != word[j] {
			return wrong(data, i+j)
		}
	}
	return i + len(word), fine
}
