package mapping

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// format is how one side writes a type.
type format struct {
	name    string // one of the type's formats; "layout" and "pair" for those given by example
	layout  string
	offset  bool // whether the layout has one
	yes, no string
	zone    *time.Location
}

// codec converts values of one type from one format to another.
type codec struct {
	typ      Type
	from, to format
}

// formats lists the names for each type, the default first.
var formats = map[Type][]string{
	Any: {""}, Text: {""}, ID: {"string", "number"}, Integer: {"number", "string"}, Decimal: {"string", "number", "comma"},
	Boolean: {"native", "number"}, Date: {"date", "rfc3339"}, Time: {"rfc3339", "unix", "unix_ms"},
}

// format reads the name of a format, or the example that it is given by.
func (c *compiler) format(at string, typ Type, text string, zone *time.Location) format {
	names, known := formats[typ]
	if !known {
		return format{} // the type is reported where it is used
	}
	f := format{name: text, zone: zone}
	if text == "" && typ != Boolean { // reading booleans is tolerant if nobody said how they are written
		f.name = names[0]
	}
	for _, name := range names {
		if f.name == name || text == "" {
			return f
		}
	}
	switch typ {
	case Boolean:
		yes, no, ok := strings.Cut(text, "/")
		if ok && yes != "" && no != "" && yes != no && utf8.ValidString(text) {
			f.name, f.yes, f.no = "pair", yes, no
			return f
		}
	case Date, Time:
		if keepsDate(text) {
			f.name, f.layout, f.offset = "layout", text, strings.Contains(text, "-07") || strings.Contains(text, "Z07")
			return f
		}
		c.fault(at, ReasonUnknown, "allowed: "+quotedWords(names)+" or a layout of package time with day, month and year, and without a zone's abbreviation")
		return f
	}
	c.fault(at, ReasonUnknown, "the type "+strconv.Quote(string(typ))+" has no such format; allowed: "+quotedWords(names)+byExample[typ])
	return f
}

// byExample says which formats a type has beside those that have a name.
var byExample = map[Type]string{
	Boolean: ` or two texts such as "Y/N"`,
	Date:    ` or a layout of package time`,
	Time:    ` or a layout of package time`,
}

// typeNames lists the types that have a name.
var typeNames = []Type{Text, ID, Integer, Decimal, Boolean, Date, Time}

func quotedWords[T ~string](words []T) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = strconv.Quote(string(word))
	}
	return strings.Join(quoted, ", ")
}

// reads says which formats of the source the codec takes, for people.
func (c *codec) reads() string {
	switch f := c.from; f.name {
	case "layout":
		return "written as " + strconv.Quote(f.layout)
	case "pair":
		return "written as " + strconv.Quote(f.yes) + " or " + strconv.Quote(f.no)
	case "":
		return "that can be told" // a boolean in whatever form
	default:
		return "in the format " + strconv.Quote(f.name)
	}
}

// keepsDate says whether a layout reads the date that it wrote. One with a zone's abbreviation is
// refused: package time reads abbreviations that it does not know as UTC.
func keepsDate(layout string) bool {
	if len(layout) > 64 || !utf8.ValidString(layout) || strings.Contains(layout, "MST") {
		return false
	}
	example := time.Date(2017, time.November, 23, 16, 48, 59, 0, time.UTC)
	again, err := time.Parse(layout, example.Format(layout))
	return err == nil && again.Truncate(24*time.Hour).Equal(example.Truncate(24*time.Hour))
}

// hasEmpty says whether the empty string is a value of the type.
func (t Type) hasEmpty() bool { return t == Any || t == Text }

// append writes the value, which is not nothing, in the target's format.
func (c *codec) append(dst []byte, raw json.RawMessage) ([]byte, Reason) {
	switch c.typ {
	case Any:
		return append(dst, raw...), ""
	case Text, ID:
		return c.appendText(dst, raw)
	case Integer, Decimal:
		return c.appendNumber(dst, raw)
	case Boolean:
		value, ok := c.from.readBoolean(raw)
		if !ok {
			return dst, ReasonType
		}
		return c.to.appendBoolean(dst, value), ""
	case Date:
		date, ok := c.from.readDate(raw)
		if !ok {
			return dst, ReasonType
		}
		return c.to.appendDate(dst, date)
	default:
		instant, ok := c.from.readTime(raw)
		if !ok {
			return dst, ReasonType
		}
		return c.to.appendTime(dst, instant)
	}
}

// equal says whether two values of the source mean the same.
func (c *codec) equal(a, b json.RawMessage) bool {
	switch c.typ {
	case Any:
		return bytes.Equal(a, b)
	case Text, ID:
		first, ok := scalarText(a)
		second, okToo := scalarText(b)
		return ok && okToo && bytes.Equal(first, second)
	case Integer, Decimal:
		var first, second decimal
		text, ok := c.from.readNumber(a)
		textToo, okToo := c.from.readNumber(b)
		if ok && okToo {
			first, ok = parseDecimal(text)
			second, okToo = parseDecimal(textToo)
		}
		return ok && okToo && first.compare(&second) == 0
	case Boolean:
		first, ok := c.from.readBoolean(a)
		second, okToo := c.from.readBoolean(b)
		return ok && okToo && first == second
	}
	read := c.from.readTime
	if c.typ == Date {
		read = c.from.readDate
	}
	first, ok := read(a)
	second, okToo := read(b)
	return ok && okToo && first.Equal(second)
}

func (c *codec) appendText(dst []byte, raw json.RawMessage) ([]byte, Reason) {
	switch raw[0] {
	case '"':
		if c.typ == Text || c.to.name == "string" {
			return append(dst, raw...), ""
		}
	case '{', '[', 't', 'f':
		return dst, ReasonType
	}
	text, ok := scalarText(raw)
	switch {
	case !ok:
		return dst, ReasonType
	case c.typ == ID && (raw[0] != '"' || c.to.name == "number") && !isInteger(text):
		return dst, either(map[bool]Reason{raw[0] == '"': ReasonRange}[true], ReasonType)
	case c.typ == ID && c.to.name == "number":
		return append(dst, text...), ""
	}
	return appendQuoted(dst, text), ""
}

func (c *codec) appendNumber(dst []byte, raw json.RawMessage) ([]byte, Reason) {
	text, ok := c.from.readNumber(raw)
	number, isNumber := parseDecimal(text)
	if !ok || !isNumber || c.typ == Integer && (!number.plain || number.fraction != nil) {
		return dst, ReasonType
	}
	switch c.to.name {
	case "number":
		return append(dst, text...), ""
	case "comma":
		if !number.plain {
			return dst, ReasonRange
		}
		return appendQuoted(dst, bytes.Replace(text, []byte("."), []byte(","), 1)), ""
	}
	return appendQuoted(dst, text), ""
}

// readNumber returns what should be a number in JSON's grammar.
func (f *format) readNumber(raw json.RawMessage) ([]byte, bool) {
	text, ok := scalarText(raw)
	if !ok || f.name != "comma" || raw[0] != '"' {
		return text, ok
	}
	return pointForComma(text)
}

// pointForComma turns "R$ 1.234,56" into 1234.56. It returns false if the points do not
// separate thousands, so that a point meant as the decimal sign is never taken out.
func pointForComma(text []byte) ([]byte, bool) {
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("R$")), " \u00a0")
	whole, fraction, hasFraction := bytes.Cut(text, []byte(","))
	groups := bytes.Split(whole, []byte("."))
	for i, group := range groups {
		if first := bytes.TrimPrefix(groups[0], []byte("-")); len(groups) > 1 && (i > 0 && len(group) != 3 || len(first) > 3) {
			return nil, false
		}
	}
	number := bytes.Join(groups, nil)
	if hasFraction {
		number = append(append(number, '.'), fraction...)
	}
	return number, true
}

// The texts that are understood as booleans if no format is given.
var yesTexts = []string{"true", "1", "Y", "y", "S", "s", "yes", "Yes", "YES", "sim", "Sim", "SIM"}
var noTexts = []string{"false", "0", "N", "n", "no", "No", "NO", "não", "Não", "NÃO", "nao", "Nao", "NAO"}

func (f *format) readBoolean(raw json.RawMessage) (value, ok bool) {
	text, ok := scalarText(raw)
	if !ok {
		return false, false
	}
	is := func(yes, no string) (bool, bool) {
		return string(text) == yes, string(text) == yes || string(text) == no
	}
	switch f.name {
	case "native":
		return is("true", "false")
	case "number":
		return is("1", "0")
	case "pair":
		return is(f.yes, f.no)
	}
	for i := range max(len(yesTexts), len(noTexts)) {
		if value, ok = is(yesTexts[min(i, len(yesTexts)-1)], noTexts[min(i, len(noTexts)-1)]); ok {
			return value, true
		}
	}
	return false, false
}

func (f *format) appendBoolean(dst []byte, value bool) []byte {
	switch f.name {
	case "number":
		if value {
			return append(dst, '1')
		}
		return append(dst, '0')
	case "pair":
		if value {
			return appendQuoted(dst, f.yes)
		}
		return appendQuoted(dst, f.no)
	}
	return strconv.AppendBool(dst, value)
}

// readDate returns the date as midnight UTC.
func (f *format) readDate(raw json.RawMessage) (time.Time, bool) {
	text, ok := stringContent(raw)
	layout := time.DateOnly
	if f.name == "layout" {
		layout = f.layout
	} else if len(text) > len(layout) && (text[len(layout)] == 'T' || text[len(layout)] == ' ') {
		text = text[:len(layout)]
	}
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(layout, string(text))
	if err != nil {
		return time.Time{}, false
	}
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC), true
}

func (f *format) appendDate(dst []byte, date time.Time) ([]byte, Reason) {
	switch f.name {
	case "layout":
		return appendLayout(dst, date, f.layout)
	case "rfc3339":
		year, month, day := date.Date()
		return appendLayout(dst, behindGap(time.Date(year, month, day, 0, 0, 0, 0, f.zone), date), time.RFC3339)
	}
	return appendLayout(dst, date, time.DateOnly)
}

func (f *format) readTime(raw json.RawMessage) (time.Time, bool) {
	switch f.name {
	case "unix":
		text, _ := scalarText(raw)
		return readUnix(text, 0)
	case "unix_ms":
		text, _ := scalarText(raw)
		return readUnix(text, 3)
	}
	text, ok := stringContent(raw)
	if !ok {
		return time.Time{}, false
	}
	layout := f.layout
	if f.name == "rfc3339" {
		layout = time.RFC3339
	}
	t, err := time.ParseInLocation(layout, string(text), f.zone)
	if f.name == "layout" && err == nil && !f.offset {
		wall, _ := time.Parse(layout, string(text))
		t = behindGap(t, wall)
	}
	return t, err == nil
}

// behindGap returns t, or a time behind the gap if the clock skipped what it should show, as at
// midnight where summer time begins then; package time may answer a time before it, on another day.
func behindGap(t, shouldShow time.Time) time.Time {
	return t.Add(max(0, shouldShow.Sub(wallClock(t))))
}

// wallClock returns what the clock shows at t, as if it were UTC.
func wallClock(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

func (f *format) appendTime(dst []byte, t time.Time) ([]byte, Reason) {
	switch f.name {
	case "unix":
		return appendUnix(dst, t, 0), ""
	case "unix_ms":
		return appendUnix(dst, t, 3), ""
	case "layout":
		return appendLayout(dst, t.In(f.zone), f.layout)
	}
	t = t.In(f.zone)
	if _, offset := t.Zone(); offset%60 != 0 { // local mean time, of which RFC 3339 cannot write the seconds
		t = t.UTC()
	}
	return appendLayout(dst, t, time.RFC3339Nano)
}

// appendLayout refuses years that four digits cannot write.
func appendLayout(dst []byte, t time.Time, layout string) ([]byte, Reason) {
	if t.Year() < 0 || t.Year() > 9999 {
		return dst, ReasonRange
	}
	var buffer [64]byte
	return appendQuoted(dst, t.AppendFormat(buffer[:0], layout)), ""
}

// readUnix reads seconds, or with shift 3 milliseconds, since 1970, with up to nanoseconds behind
// the point, within the years 0 to 9999.
func readUnix(text []byte, shift int) (time.Time, bool) {
	const digitsOfNano = 9
	d, ok := parseDecimal(text)
	places := digitsOfNano - shift
	if !ok || !d.plain || len(d.whole) > 15 || len(d.fraction) > places {
		return time.Time{}, false
	}
	whole, _ := strconv.ParseInt(string(d.whole), 10, 64)
	var fraction int64
	for i := range places {
		fraction = fraction*10 + int64(d.digit(len(d.whole)+i)-'0')
	}
	units := int64(1) // in a second
	nanos := int64(1_000_000_000)
	for range shift {
		units, nanos = units*10, nanos/10
	}
	seconds, rest := whole/units, whole%units*nanos+fraction
	if d.negative {
		seconds, rest = -seconds, -rest
	}
	t := time.Unix(seconds, rest).UTC()
	return t, t.Year() >= 0 && t.Year() <= 9999
}

func appendUnix(dst []byte, t time.Time, shift int) []byte {
	seconds, nano := t.Unix(), int64(t.Nanosecond())
	if seconds < 0 {
		if seconds, nano = -seconds, -nano; nano < 0 {
			seconds, nano = seconds-1, nano+1_000_000_000
		}
		dst = append(dst, '-')
	}
	scale := int64(1_000_000_000) // nanoseconds in a unit
	for range shift {
		seconds, scale = seconds*10, scale/10
	}
	dst = strconv.AppendInt(dst, seconds+nano/scale, 10)
	if nano %= scale; nano == 0 {
		return dst
	}
	dst = append(dst, '.')
	for ; nano > 0; nano %= scale {
		scale /= 10
		dst = append(dst, byte('0'+nano/scale))
	}
	return dst
}

func stringContent(raw json.RawMessage) ([]byte, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return nil, false
	}
	return scalarText(raw)
}

// appendQuoted writes text as a JSON string.
func appendQuoted[T string | []byte](dst []byte, text T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
