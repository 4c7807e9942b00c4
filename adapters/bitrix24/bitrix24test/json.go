package bitrix24test

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// What a byte of a text means to a JSON string, as bits.
const (
	alwaysEscaped = 1 << iota
	slash
	notASCII
)

var byteClasses = func() (classes [256]uint8) {
	for c := range classes {
		switch {
		case c < ' ' || c == '"' || c == '\\':
			classes[c] = alwaysEscaped
		case c == '/':
			classes[c] = slash
		case c >= utf8.RuneSelf:
			classes[c] = notASCII
		}
	}
	return classes
}()

// appendString appends text as a JSON string. With escape it writes slashes and everything
// outside ASCII as escapes, as PHP's json_encode does unless told otherwise.
func appendString[T string | []byte](dst []byte, text T, escape bool) []byte {
	dst = append(dst, '"')
	start := len(dst)
	return closeString(append(dst, text...), start, escape)
}

// closeString makes a JSON string of the raw text at the end of dst, which begins behind the
// opening quote at start.
func closeString(dst []byte, start int, escape bool) []byte {
	classes := uint8(0)
	for _, c := range dst[start:] {
		classes |= byteClasses[c]
	}
	clean := classes&alwaysEscaped == 0 && (classes == 0 || !escape)
	if clean && (classes&notASCII == 0 || utf8.Valid(dst[start:])) {
		return append(dst, '"')
	}
	text := string(dst[start:])
	return append(appendEscaped(dst[:start], text, escape), '"')
}

func appendEscaped(dst []byte, text string, escape bool) []byte {
	for _, char := range text { // what is not UTF-8 comes as utf8.RuneError
		switch {
		case char == '"' || char == '\\' || char == '/' && escape:
			dst = append(dst, '\\', byte(char))
		case char == '\n':
			dst = append(dst, '\\', 'n')
		case char < ' ' || char >= utf8.RuneSelf && escape:
			dst = appendEscapedRune(dst, char)
		default:
			dst = utf8.AppendRune(dst, char)
		}
	}
	return dst
}

func appendEscapedRune(dst []byte, char rune) []byte {
	if char >= 0x10000 {
		high, low := utf16.EncodeRune(char)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, char)
}

func appendUnit(dst []byte, unit rune) []byte {
	return append(dst, '\\', 'u', hexDigits[unit>>12&15], hexDigits[unit>>8&15], hexDigits[unit>>4&15], hexDigits[unit&15])
}

// appendISO appends an instant, in Unix seconds, as 2026-05-29T10:00:00+02:00.
func appendISO(dst []byte, unix int64, location *time.Location) []byte {
	_, offset := time.Unix(unix, 0).In(location).Zone()
	local := unix + int64(offset)
	days := local / 86400
	second := local % 86400
	if second < 0 {
		second += 86400
		days--
	}
	year, month, day := civil(days)
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	text := [25]byte{4: '-', 7: '-', 10: 'T', 13: ':', 16: ':', 19: sign, 22: ':'}
	putDigits(text[0:], year/100)
	putDigits(text[2:], year)
	putDigits(text[5:], month)
	putDigits(text[8:], day)
	putDigits(text[11:], int(second/3600))
	putDigits(text[14:], int(second/60%60))
	putDigits(text[17:], int(second%60))
	putDigits(text[20:], offset/3600)
	putDigits(text[23:], offset/60%60)
	return append(dst, text[:]...)
}

// putDigits writes the last two digits of n.
func putDigits(into []byte, n int) {
	into[0], into[1] = byte('0'+n/10%10), byte('0'+n%10)
}

// civil turns days since 1970-01-01 into a date of the Gregorian calendar, from the year 0 on. It
// is the algorithm of Neri and Schneider (2022), which needs no division by a variable.
func civil(days int64) (year, month, day int) {
	quarters := 4*uint32(days+719468) + 3 // of days since 0000-03-01
	century := quarters / 146097
	quarters = quarters%146097 | 3
	product := 2939745 * uint64(quarters)
	ofYear := uint32(product) / 2939745 / 4 // days since March 1st
	months := 2141*ofYear + 197913
	year, month, day = int(100*century+uint32(product>>32)), int(months>>16), int(months&0xffff/2141)+1
	if ofYear >= 306 { // January and February
		return year + 1, month - 12, day
	}
	return year, month, day
}

// appendSeconds appends a duration as seconds, to the microsecond, without trailing zeros.
func appendSeconds(dst []byte, d time.Duration) []byte {
	micro := d.Microseconds()
	dst = strconv.AppendInt(dst, micro/1e6, 10)
	if micro%1e6 == 0 {
		return dst
	}
	digits := strconv.AppendInt(make([]byte, 0, 8), 1e6+micro%1e6, 10)
	dst = append(dst, '.')
	return append(dst, bytes.TrimRight(digits[1:], "0")...)
}

// appendHundredths appends an amount kept in hundredths: always with two decimals, or as short
// as it goes.
func appendHundredths(dst []byte, amount int64, fixed bool) []byte {
	if amount < 0 {
		dst, amount = append(dst, '-'), -amount
	}
	dst = strconv.AppendInt(dst, amount/100, 10)
	if !fixed && amount%100 == 0 {
		return dst
	}
	dst = append(dst, '.')
	if !fixed && amount%10 == 0 {
		return append(dst, byte('0'+amount/10%10))
	}
	return append(dst, byte('0'+amount/10%10), byte('0'+amount%10))
}

// follow walks a path of keys and indexes into JSON that this package wrote, which has no space
// between its tokens. It returns the value it got to and how much of the path it could follow.
func follow(raw []byte, path []string) (value []byte, steps int) {
	for steps < len(path) {
		child, found := child(raw, path[steps])
		if !found {
			break
		}
		raw = child
		steps++
	}
	return raw, steps
}

func child(raw []byte, key string) ([]byte, bool) {
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return nil, false
	}
	keyed := raw[0] == '{'
	for i, position := 1, 0; i < len(raw)-1; position++ {
		match := strconv.Itoa(position) == key
		if keyed {
			end := skipString(raw, i)
			match = string(raw[i+1:end-1]) == key
			i = end + 1 // the colon
		}
		end := skipValue(raw, i)
		if match {
			return raw[i:end], true
		}
		i = end + 1 // the comma
	}
	return nil, false
}

// skipString returns the position behind the string that starts at i.
func skipString(raw []byte, i int) int {
	for i++; i < len(raw) && raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the position behind the value that starts at i.
func skipValue(raw []byte, i int) int {
	for depth := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':':
			i++
			continue
		default:
			for i < len(raw) && raw[i] != ',' && raw[i] != '}' && raw[i] != ']' {
				i++
			}
		}
		if depth <= 0 {
			return i
		}
	}
	return i
}
