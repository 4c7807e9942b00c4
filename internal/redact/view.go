package redact

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// view is a text after decoding, with the place where each byte came from.
type view struct {
	text     string
	from, to []int // byte i came from the range [from[i], to[i]); nil: from itself
}

func (v view) origin(i int) (from, to int) {
	if v.from == nil {
		return i, i + 1
	}
	return v.from[i], v.to[i]
}

// within returns v with its places in terms of the text that outer came from.
func (v view) within(outer view) view {
	if outer.from == nil {
		return v
	}
	for i := range v.from {
		v.from[i], v.to[i] = outer.from[v.from[i]], outer.to[v.to[i]-1]
	}
	return v
}

// viewBuilder collects decoded bytes.
type viewBuilder struct {
	text     []byte
	from, to []int
}

// build returns a builder with room for size bytes.
func build(size int) viewBuilder {
	return viewBuilder{make([]byte, 0, size), make([]int, 0, size), make([]int, 0, size)}
}

// add appends what the source range [from, to) decodes to.
func (b *viewBuilder) add(from, to int, decoded ...byte) {
	for _, c := range decoded {
		b.text = append(b.text, c)
		b.from = append(b.from, from)
		b.to = append(b.to, to)
	}
}

// emit hands out what was collected, if a secret fits in it, and starts anew.
func (b *viewBuilder) emit(shortest int, found func(view)) {
	if len(b.text) >= shortest {
		found(view{string(b.text), b.from, b.to})
	}
	*b = viewBuilder{}
}

// A decoder calls found for each stretch of s that it can decode to at least
// shortest bytes. Wrong escapes stand for themselves.
type decoder func(s string, shortest int, found func(view))

var decoders = [...]decoder{
	decodePath, decodeQuery, decodeBackslash, decodeHex, decodeBase64, decodeDecimals, decodeHexList,
}

func decodePath(s string, shortest int, found func(view)) {
	if strings.Contains(s, "%") {
		decodePercent(s, s, shortest, found)
	}
}

func decodeQuery(s string, shortest int, found func(view)) {
	if strings.Contains(s, "+") {
		decodePercent(s, strings.ReplaceAll(s, "+", " "), shortest, found)
	}
}

// decodePercent decodes s, reading bytes that are no escape from plain.
func decodePercent(s, plain string, shortest int, found func(view)) {
	b := build(len(s))
	for i := 0; i < len(s); {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			b.add(i, i+3, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 3
			continue
		}
		b.add(i, i+1, plain[i])
		i++
	}
	b.emit(shortest, found)
}

// decodeBackslash reads the escapes of JSON and of Go strings.
func decodeBackslash(s string, shortest int, found func(view)) {
	if !strings.Contains(s, `\`) {
		return
	}
	b := build(len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			b.add(i, i+1, s[i])
			i++
			continue
		}
		decoded, size := unescape(s[i:])
		b.add(i, i+size, decoded...)
		i += size
	}
	b.emit(shortest, found)
}

// unescape reads the escape at the start of s, which begins with a backslash.
func unescape(s string) (decoded []byte, size int) {
	if len(s) == 1 {
		return []byte{'\\'}, 1
	}
	if i := strings.IndexByte(`abfnrtv`, s[1]); i >= 0 {
		return []byte{"\a\b\f\n\r\t\v"[i]}, 2
	}
	if c, ok := number(s, 2, 2, 16); ok && s[1] == 'x' {
		return []byte{byte(c)}, 4
	}
	if c, ok := number(s, 1, 3, 8); ok {
		return []byte{byte(c)}, 4
	}
	if c, ok := number(s, 2, 8, 16); ok && s[1] == 'U' {
		return utf8.AppendRune(nil, c), 10
	}
	if c, ok := number(s, 2, 4, 16); ok && s[1] == 'u' {
		if low, ok := number(s, 8, 4, 16); ok && s[6] == '\\' && s[7] == 'u' && utf16.IsSurrogate(c) {
			if r := utf16.DecodeRune(c, low); r != utf8.RuneError {
				return utf8.AppendRune(nil, r), 12
			}
		}
		return utf8.AppendRune(nil, c), 6
	}
	return []byte{s[1]}, 2
}

// number reads exactly digits digits of s from at.
func number(s string, at, digits, base int) (rune, bool) {
	if at+digits > len(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s[at:at+digits], base, 31)
	return rune(n), err == nil
}

// decodeHex reads runs of hex digits at both alignments.
func decodeHex(s string, shortest int, found func(view)) {
	runs(s, 2*shortest, isHex, func(start, end int) {
		for shift := range 2 {
			b := build(end - start)
			for i := start + shift; i+2 <= end; i += 2 {
				b.add(i, i+2, unhex(s[i])<<4|unhex(s[i+1]))
			}
			b.emit(shortest, found)
		}
	})
}

// decodeBase64 reads runs of both base64 alphabets at all four alignments, so
// that it does not matter where the encoded value begins.
func decodeBase64(s string, shortest int, found func(view)) {
	runs(s, (4*shortest+2)/3, isBase64, func(start, end int) {
		for shift := range 4 {
			b := build(end - start)
			for i := start + shift; i < end; i += 4 {
				var quad [4]byte
				n := min(4, end-i)
				for j := range n {
					quad[j] = sextet(s[i+j])
				}
				bytes := [3]byte{quad[0]<<2 | quad[1]>>4, quad[1]<<4 | quad[2]>>2, quad[2]<<6 | quad[3]}
				for j := range n - 1 {
					b.add(i+j, i+j+2, bytes[j])
				}
			}
			b.emit(shortest, found)
		}
	})
}

func decodeDecimals(s string, shortest int, found func(view)) {
	decodeList(s, 10, shortest, found)
}

func decodeHexList(s string, shortest int, found func(view)) {
	decodeList(s, 16, shortest, found)
}

// decodeList reads byte values between spaces or commas, as fmt and
// encoding/json print lists of bytes.
func decodeList(s string, base, shortest int, found func(view)) {
	if !strings.ContainsAny(s, " ,\n") {
		return
	}
	var b viewBuilder
	for i := 0; i < len(s); {
		if strings.IndexByte(" ,\t\r\n", s[i]) >= 0 {
			i++
			continue
		}
		start := i
		for i < len(s) && isWord(s[i]) {
			i++
		}
		item := s[start:i]
		if base == 16 {
			item = strings.TrimPrefix(strings.TrimPrefix(item, "0x"), "0X")
		}
		if n, err := strconv.ParseUint(item, base, 8); err == nil {
			b.add(start, i, byte(n))
			continue
		}
		b.emit(shortest, found)
		i = max(i, start+1)
	}
	b.emit(shortest, found)
}

// runs calls f for each longest stretch of at least size bytes that are in the
// class.
func runs(s string, size int, class func(byte) bool, f func(start, end int)) {
	for i := 0; i < len(s); i++ {
		start := i
		for i < len(s) && class(s[i]) {
			i++
		}
		if i-start >= size {
			f(start, i)
		}
	}
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

func isBase64(c byte) bool {
	return isWord(c) || strings.IndexByte("+/-_", c) >= 0
}

// sextet returns the 6 bits of a base64 character of either alphabet.
func sextet(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c - 'A'
	case 'a' <= c && c <= 'z':
		return c - 'a' + 26
	case '0' <= c && c <= '9':
		return c - '0' + 52
	case c == '+' || c == '-':
		return 62
	}
	return 63
}
