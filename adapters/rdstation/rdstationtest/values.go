package rdstationtest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// object is a JSON object. Its numbers are json.Number where they came in by HTTP.
type object = map[string]any

// brasilia is the offset of most of the service's timestamps.
var brasilia = time.FixedZone("", -3*60*60)

func localTime(t time.Time) string { return t.In(brasilia).Format("2006-01-02T15:04:05.000-07:00") }

func utcTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func randomHex(digits int) string {
	b := make([]byte, (digits+1)/2)
	rand.Read(b)
	return hex.EncodeToString(b)[:digits]
}

func randomUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// maxNesting bounds the depth of JSON that is taken from outside.
const maxNesting = 64

// parseJSON reads exactly one value, keeping numbers as they are written.
func parseJSON(raw []byte) (any, bool) {
	if tooDeep(raw) {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	_, err := decoder.Token()
	return value, err == io.EOF
}

func tooDeep(raw []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

func encodeJSON(value any) []byte {
	buffer := bytes.Buffer{}
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("rdstationtest: " + err.Error())
	}
	return bytes.TrimRight(buffer.Bytes(), "\n")
}

// plain turns values of tests into those that JSON has. Times become the timestamps of format.
func plain(fields map[string]any, format func(time.Time) string) object {
	fields, texts := maps.Clone(fields), true // which need no way through JSON
	for key, value := range fields {
		switch value := value.(type) {
		case time.Time:
			fields[key] = format(value)
		case string:
			texts = texts && utf8.ValidString(value)
		default:
			texts = false
		}
	}
	if texts {
		return fields
	}
	value, ok := parseJSON(encodeJSON(fields))
	if !ok {
		panic("rdstationtest: fields are nested too deep")
	}
	o, _ := value.(object)
	return o
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

// largest bounds the numbers that are calculated with, so that no sum or product overflows.
const largest = 1e15

// number returns a number; ok is false for anything else and for what is too large.
func number(value any) (f float64, ok bool) {
	switch v := value.(type) {
	case json.Number:
		parsed, err := v.Float64()
		if err != nil {
			return 0, false
		}
		f = parsed
	case float64:
		f = v
	case int:
		f = float64(v)
	default:
		return 0, false
	}
	return f, f >= -largest && f <= largest
}

func numberOr(value any, otherwise float64) float64 {
	if f, ok := number(value); ok {
		return f
	}
	return otherwise
}

// stringArray returns the strings of an array; ok is false for anything else.
func stringArray(value any) (texts []string, ok bool) {
	if texts, ok = value.([]string); ok {
		return texts, true
	}
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	texts = make([]string, 0, len(list))
	for _, item := range list {
		s, isText := item.(string)
		if !isText {
			return nil, false
		}
		texts = append(texts, s)
	}
	return texts, true
}

// stringsOrNone is an array in JSON even when it is empty.
func stringsOrNone(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	default:
		return false
	}
}

// parseTime reads the timestamps and dates that clients send.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// pageNumber reads a positive number from a query; ok is false if there is something else.
func pageNumber(s string, otherwise int) (n int, ok bool) {
	if s == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0
}

// slice returns one page of a list.
func slice[T any](list []T, page, size int) []T {
	if page < 1 || size < 1 || page-1 > len(list)/size {
		return nil
	}
	from := min((page-1)*size, len(list))
	return list[from:min(from+size, len(list))]
}

func sortedKeys(o object) []string { return slices.Sorted(maps.Keys(o)) }
