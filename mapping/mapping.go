// Package mapping turns one system's JSON records into another's by a declaration: which field
// goes where, as which type, with which values, defaults and rules. It needs no other part of
// enlace and works on the JSON of any system.
//
// A [Mapping] is data: written in Go, read from JSON by [Parse], stored by the host. [Compile]
// checks it as a whole and reports every fault at once; the [Compiled] mapping is then applied to
// records by any number of goroutines. Numbers never pass through floating point: an id above
// 2^53 and the digits of a price arrive as they were sent.
//
// A mapping that loses nothing has an inverse, for the way back to the provider
// ([Compiled.Invert]), and [Compiled.CheckRoundTrip] proves on samples that it does. [Shadow] runs
// a new version beside the released one on stored records and shows what would change before it
// does. [Suggest] proposes the fields of a first mapping from names, types and sample values.
//
// # Paths
//
// A path names members from the outside in, separated by dots: "address.city". A step into an
// array is an index or a selection by the values of members, of which the first element counts:
// "phones[0].value", "fm[typeId=PHONE,valueType=WORK].value". A backslash takes the meaning from
// the next character: "utm\.source" is one name. The same paths serve for reading and for
// writing; to be written, an array's indexes start at 0 without a gap, and a selection writes the
// members that it names.
//
// # Nothing
//
// A field's source is nothing if it is absent, null, listed in [Field.Empty], or the empty string
// where the type has no empty value (every type but Any and Text). A default takes its place;
// without one an absent source leaves the target out, and any other nothing becomes null, so that
// a value cleared at the provider is cleared here.
package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/enlace-go/enlace/rawjson"
)

// The bounds of what is compiled and applied. What exceeds one is a fault with [ReasonLimit].
const (
	MaxMapping    = 1 << 20  // bytes of JSON that Parse reads
	MaxFields     = 500      // fields of a mapping, nested ones included
	MaxConditions = 500      // conditions of a mapping, nested ones included
	MaxNesting    = 8        // of Field.Each and of conditions, and array steps of a path
	MaxPath       = 512      // bytes of a path
	MaxValues     = 2000     // pairs of a field's value table, and values of Empty and In
	MaxRecord     = 4 << 20  // bytes of a record
	MaxResult     = 16 << 20 // bytes of a result
	MaxElements   = 10_000   // elements of an array that Each, List or Split goes through
)

// Mapping declares how records of one system become records of another. It is plain data: copy
// it, store it as JSON, build it in Go. Only [Compile] gives it meaning.
type Mapping struct {
	// Name says what is mapped, by the host's own convention: "bitrix24/contacts".
	Name string `json:"name"`
	// Version is the host's count of what it released under the name; 0 is none yet.
	Version int `json:"version,omitempty"`
	// FromZone and ToZone are IANA names: what times without an offset mean on that side, and the
	// offset with which times are written there. Empty is UTC.
	FromZone string `json:"from_zone,omitempty"`
	ToZone   string `json:"to_zone,omitempty"`
	// When says which records are mapped; the others are skipped. Nil is all.
	When *Condition `json:"when,omitempty"`
	// Filters skip the records for which one of them holds, with that filter's reason.
	Filters []Filter `json:"filters,omitempty"`
	// Split is the path of an array of the source. If it is set, the record becomes one result for
	// each element: paths that start with it and "[]" read the element ("products[].price"), all
	// others the record around it. Such a mapping has no inverse.
	Split  string  `json:"split,omitempty"`
	Fields []Field `json:"fields"`
}

// Filter skips records.
type Filter struct {
	If     Condition `json:"if"`
	Reason string    `json:"reason"` // for people and statistics; required
}

// Field declares one target of a mapping and where its value comes from: From or Const.
type Field struct {
	From  string   `json:"from,omitempty"` // path in the source
	Or    []string `json:"or,omitempty"`   // further paths, in order, for when From is nothing
	To    string   `json:"to"`             // path in the result
	Const Literal  `json:"const,omitempty"`

	// Type is what the value means, FromFormat and ToFormat how each side writes it; see [Type].
	Type       Type   `json:"type,omitempty"`
	FromFormat string `json:"from_format,omitempty"`
	ToFormat   string `json:"to_format,omitempty"`
	// Values translates value by value, instead of a Type. Other says what happens to the rest.
	Values []Pair `json:"values,omitempty"`
	Other  Other  `json:"other,omitempty"`

	Default   Literal   `json:"default,omitempty"`    // for nothing; written as it is
	Empty     []Literal `json:"empty,omitempty"`      // further scalars that mean nothing: 0, "-"
	OmitEmpty bool      `json:"omit_empty,omitempty"` // leave nothing out instead of writing null
	Required  bool      `json:"required,omitempty"`   // nothing is a fault of the record

	// When says for which records the field is mapped; for the others it is left out.
	When *Condition `json:"when,omitempty"`
	// List maps an array element by element, by Type or Values. Each maps an array of objects,
	// with paths inside the element on both sides. Where, for both, keeps the elements for which it
	// holds; its paths are inside the element too, and the empty path is the element itself.
	List  bool       `json:"list,omitempty"`
	Each  []Field    `json:"each,omitempty"`
	Where *Condition `json:"where,omitempty"`
	// OneWay leaves the field out of the inverse.
	OneWay bool `json:"one_way,omitempty"`
	// Note is for people.
	Note string `json:"note,omitempty"`
}

// Pair is a line of a value table: two scalars. A source value is looked up by its text, so that
// 9 and "9" are the same; the result is To as it is written here.
type Pair struct {
	From Literal `json:"from"`
	To   Literal `json:"to"`
}

// Other says what becomes of a value that a value table does not list.
type Other string

// The choices for values that are not listed.
const (
	OtherFault   Other = ""        // the record has a fault: unknown means refuse
	OtherKeep    Other = "keep"    // it stays as it is
	OtherDefault Other = "default" // it becomes the default, as if it were nothing
)

// Type is what a field's value means. Each side may write it in its own format; reading accepts
// a string where a native value is expected and the reverse, as providers send both.
type Type string

// The types and their formats. The empty format is the first of each list.
const (
	// Any copies the value, whatever it is, byte for byte. It has no formats.
	Any Type = ""
	// Text is a string; a number becomes its digits. It has no formats.
	Text Type = "text"
	// ID is a string or a whole number. Formats: "string", "number".
	ID Type = "id"
	// Integer is a whole number of any size. Formats: "number", "string".
	Integer Type = "integer"
	// Decimal is a number whose digits are kept: 10.50 stays 10.50. Formats: "string", "number",
	// "comma" ("1.234,56", also after "R$").
	Decimal Type = "decimal"
	// Boolean is true or false. Formats: "native"; "number" (1, 0); or two texts, "Y/N".
	// Without a format reading also accepts 1, 0, Y, N, S, yes, no, sim, não and the like.
	Boolean Type = "boolean"
	// Date is a calendar date without a time. Formats: "date" (2006-01-02), "rfc3339" (midnight in the
	// side's zone), or a layout of package time with day, month and year: "02.01.2006",
	// "02/01/2006". The first two also read a date with a time behind it, and take the date
	// as it is written there, whatever the offset.
	Date Type = "date"
	// Time is an instant. Formats: "rfc3339" (needs an offset), "unix" (seconds), "unix_ms", or a layout
	// of package time; one without an offset is in the side's zone, and one without an
	// hour is midnight.
	Time Type = "time"
)

// Literal is a JSON value that stands in a mapping, in its own bytes. The nil Literal is none;
// null is Literal("null"). [Of] makes one from a Go value.
type Literal json.RawMessage

// Of returns v as a Literal. If v has no JSON form, the result is one that [Compile] reports.
func Of(v any) Literal {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return Literal("?")
	}
	return Literal(bytes.TrimSpace(b.Bytes()))
}

// MarshalJSON returns the literal itself.
func (l Literal) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("null"), nil
	}
	return l, nil
}

// UnmarshalJSON keeps a copy of the value's bytes.
func (l *Literal) UnmarshalJSON(data []byte) error {
	*l = append(Literal{}, data...)
	return nil
}

// Parse reads a mapping from JSON. Members that it does not know, and members that are there twice,
// are an error, since a rule would otherwise be no rule. Parse does not check what [Compile] checks.
// The error is an [*Error] and matches [ErrMapping].
func Parse(data []byte) (Mapping, error) {
	var m Mapping
	if len(data) > MaxMapping {
		return m, parseError(ReasonLimit, fmt.Sprintf("the mapping is longer than %d bytes", MaxMapping), nil)
	}
	if s := rawjson.NewScanner(data); s.Kind() != rawjson.KindObject {
		return m, parseError(ReasonType, "a mapping is a JSON object", nil)
	} else if twice := repeated(s); twice != "" {
		return m, parseError(ReasonConflict, strconv.Quote(twice)+" is there twice", nil)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&m)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return m, nil
		}
		err = errors.New("data behind the mapping")
	}
	return Mapping{}, parseError(ReasonSyntax, err.Error(), err)
}

// repeated returns a name that the scanner's next value has twice in one object, or nothing.
func repeated(s *rawjson.Scanner) (name string) {
	switch s.Kind() {
	case rawjson.KindObject:
		seen := make(map[string]bool)
		for member := range s.Object() {
			if seen[string(member)] {
				return string(member)
			}
			seen[string(member)] = true
			if name = repeated(s); name != "" {
				return name
			}
		}
	case rawjson.KindArray:
		for range s.Array() {
			if name = repeated(s); name != "" {
				return name
			}
		}
	}
	return ""
}

func parseError(reason Reason, detail string, cause error) error {
	return &Error{Kind: ErrMapping, Faults: []Fault{{Reason: reason, Detail: detail}}, cause: cause}
}

// With returns the mapping with an overlay on top, such as a tenant's own fields on top of what
// all tenants share. A field of the overlay replaces the one with the same To, or is added; one that has
// neither From nor Const removes it. Name, version, zones, When and Split are the overlay's where it
// has them; its filters are added.
func (m Mapping) With(overlay Mapping) Mapping {
	result := m
	result.Name = either(overlay.Name, m.Name)
	result.Version = either(overlay.Version, m.Version)
	result.FromZone = either(overlay.FromZone, m.FromZone)
	result.ToZone = either(overlay.ToZone, m.ToZone)
	result.When = either(overlay.When, m.When)
	result.Split = either(overlay.Split, m.Split)
	result.Filters = append(m.Filters[:len(m.Filters):len(m.Filters)], overlay.Filters...)
	changes := make(map[string]Field, len(overlay.Fields))
	for _, f := range overlay.Fields {
		changes[f.To] = f
	}
	result.Fields = nil
	place := func(f Field) {
		if f.From != "" || f.Const != nil {
			result.Fields = append(result.Fields, f)
		}
	}
	for _, f := range m.Fields {
		if changed, ok := changes[f.To]; ok {
			delete(changes, f.To)
			f = changed
		}
		place(f)
	}
	for _, f := range overlay.Fields {
		if _, isNew := changes[f.To]; isNew {
			place(f)
		}
	}
	return result
}

// either returns the first value, or the second if the first is zero.
func either[T comparable](first, second T) T {
	var zero T
	if first != zero {
		return first
	}
	return second
}
