package bitrix24test

import (
	"slices"
	"strconv"
	"time"
)

// appendDay appends a day, counted from 1970, as its midnight in the portal's zone.
func appendDay(dst []byte, day int64, location *time.Location) []byte {
	return appendISO(dst, midnight(day, location), location)
}

// midnight returns the instant at which a day begins, in Unix seconds.
func midnight(day int64, location *time.Location) int64 {
	_, offset := time.Unix(day*86400, 0).In(location).Zone()
	_, offset = time.Unix(day*86400-int64(offset), 0).In(location).Zone()
	return day*86400 - int64(offset)
}

// dayOf counts the days from 1970 to the date that t shows.
func dayOf(t time.Time) int64 {
	_, offset := t.Zone()
	local := t.Unix() + int64(offset)
	if local < 0 {
		local -= 86399
	}
	return local / 86400
}

// writer turns records into JSON in one naming style.
type writer struct {
	naming   naming
	escape   bool
	location *time.Location
	ids      []int64
}

func (p *Portal) writer(style naming) *writer {
	return &writer{naming: style, escape: p.quirks.EscapeJSON, location: p.location}
}

// column is one field of a row, or several that look the same in all seeded records.
type column struct {
	fields []*field
	fixed  []byte // the members, each with a comma behind it; nil if they vary
}

// plain tells whether a text can go into JSON as it is: seeded ones can unless the field says otherwise.
func (w *writer) plain(r *record, f *field) bool {
	return f.plain && !w.escape && r.seeded && r.values == nil
}

// columns joins fields that look the same in all seeded records, which makes most of a row cheap.
func (w *writer) columns(t *entityType, fields []*field) []column {
	columns, sample := []column{}, &record{typ: t, seeded: true}
	for i, f := range fields {
		if !f.fixed {
			columns = append(columns, column{fields: fields[i : i+1]})
			continue
		}
		if n := len(columns); n == 0 || columns[n-1].fixed == nil {
			columns = append(columns, column{fields: fields[i:i], fixed: []byte{}})
		}
		last := &columns[len(columns)-1]
		last.fields = last.fields[:len(last.fields)+1]
		last.fixed = w.members(last.fixed, sample, last.fields[len(last.fields)-1:])
	}
	return columns
}

// row appends a record as a JSON object.
func (w *writer) row(dst []byte, r *record, columns []column) []byte {
	dst = append(dst, '{')
	for i := range columns {
		if c := &columns[i]; c.fixed != nil && r.seeded && r.values == nil {
			dst = append(dst, c.fixed...)
		} else {
			dst = w.members(dst, r, c.fields)
		}
	}
	if dst[len(dst)-1] == '{' {
		return append(dst[:len(dst)-1], '[', ']') // an empty PHP map
	}
	dst[len(dst)-1] = '}'
	return dst
}

// members appends fields of a record, each with a comma behind it.
func (w *writer) members(dst []byte, r *record, fields []*field) []byte {
	for _, f := range fields {
		if f.kind == kindMulti {
			dst = w.multifield(dst, r, f)
			continue
		}
		dst = append(dst, f.key(w.naming)...)
		dst = w.value(dst, r, f)
		dst = append(dst, ',')
	}
	return dst
}

func (w *writer) value(dst []byte, r *record, f *field) []byte {
	switch f.kind {
	case kindText, kindFlat:
		return w.text(dst, r, f)
	case kindTexts:
		return w.textList(dst, r.textList(f))
	case kindInts:
		w.ids = r.appendInts(w.ids[:0], f)
		if len(w.ids) == 0 && w.naming == classicNames {
			return append(dst, "false"...)
		}
		dst = append(dst, '[')
		for i, id := range w.ids {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, id, 10)
		}
		return append(dst, ']')
	case kindFM:
		return w.points(dst, r.multifields(), "")
	}
	n, found := r.value(f)
	if f.kind == kindLink && n == 0 {
		found = false
	}
	if !found {
		return w.absent(dst, f)
	}
	if w.naming == classicNames {
		return w.classicNumber(dst, n, f)
	}
	return w.universalNumber(dst, n, f)
}

// absent appends what stands for a missing number (F35).
func (w *writer) absent(dst []byte, f *field) []byte {
	switch {
	case w.naming != classicNames && f.kind == kindLink:
		return append(dst, '0')
	case w.naming == classicNames && (f.kind == kindTime || f.kind == kindDate || f.userField()):
		return append(dst, `""`...)
	default:
		return append(dst, "null"...)
	}
}

func (w *writer) text(dst []byte, r *record, f *field) []byte {
	start := len(dst) + 1
	dst = r.appendText(append(dst, '"'), f)
	if len(dst) == start && f.kind != kindFlat && !(w.naming == classicNames && f.userField()) {
		return append(dst[:start-1], "null"...)
	}
	if w.plain(r, f) {
		return append(dst, '"')
	}
	return closeString(dst, start, w.escape)
}

func (w *writer) textList(dst []byte, texts []string) []byte {
	if len(texts) == 0 && w.naming == classicNames {
		return append(dst, "false"...)
	}
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, text, w.escape)
	}
	return append(dst, ']')
}

func (w *writer) universalNumber(dst []byte, n int64, f *field) []byte {
	switch f.kind {
	case kindMoney:
		return appendHundredths(dst, n, false)
	case kindFlag, kindBool:
		return append(dst, '"', "NY"[n&1], '"')
	case kindTime, kindDate:
		return w.instant(dst, n, f)
	default:
		return strconv.AppendInt(dst, n, 10)
	}
}

func (w *writer) classicNumber(dst []byte, n int64, f *field) []byte {
	switch f.kind {
	case kindMoney:
		dst = append(dst, '"')
		dst = appendHundredths(dst, n, !f.userField() && f.classic != "REVENUE")
	case kindFlag:
		dst = append(dst, '"', "NY"[n&1])
	case kindTime, kindDate:
		return w.instant(dst, n, f)
	default:
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, n, 10)
	}
	return append(dst, '"')
}

func (w *writer) instant(dst []byte, n int64, f *field) []byte {
	dst = append(dst, '"')
	if f.kind == kindDate {
		dst = appendDay(dst, n, w.location)
	} else {
		dst = appendISO(dst, n, w.location)
	}
	return append(dst, '"')
}

// multifield appends a classic multifield with its key, or nothing if the record has none (F30).
func (w *writer) multifield(dst []byte, r *record, f *field) []byte {
	has := func(point Multifield) bool { return point.TypeID == f.classic }
	if !slices.ContainsFunc(r.multifields(), has) {
		return dst
	}
	dst = append(dst, f.classicKey...)
	dst = w.points(dst, r.multifields(), f.classic)
	return append(dst, ',')
}

// points appends the multifields of one type, or all of them.
func (w *writer) points(dst []byte, points []Multifield, typeID string) []byte {
	dst = append(dst, '[')
	for _, point := range points {
		if typeID != "" && point.TypeID != typeID {
			continue
		}
		if dst[len(dst)-1] == '}' {
			dst = append(dst, ',')
		}
		dst = w.point(dst, point)
	}
	return append(dst, ']')
}

func (w *writer) point(dst []byte, point Multifield) []byte {
	names := [...]string{`{"id":`, `,"valueType":`, `,"value":`, `,"typeId":`}
	quote := ""
	if w.naming == classicNames {
		names, quote = [...]string{`{"ID":`, `,"VALUE_TYPE":`, `,"VALUE":`, `,"TYPE_ID":`}, `"`
	}
	dst = append(append(dst, names[0]...), quote...)
	dst = append(strconv.AppendInt(dst, point.ID, 10), quote...)
	dst = appendString(append(dst, names[1]...), point.ValueType, w.escape)
	dst = appendString(append(dst, names[2]...), point.Value, w.escape)
	dst = appendString(append(dst, names[3]...), point.TypeID, w.escape)
	return append(dst, '}')
}
