package mapping

import (
	"encoding/json"
	"iter"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace/rawjson"
)

// Schema is what is known about one side's fields: the host's own model, or the metadata of an
// account.
type Schema struct {
	Fields []SchemaField `json:"fields"`
}

// SchemaField is a field of a schema. Only Path is needed; every other knowledge makes
// suggestions better.
type SchemaField struct {
	Path    string   `json:"path"`
	Title   string   `json:"title,omitempty"`   // what people call it, in any language known
	Aliases []string `json:"aliases,omitempty"` // further names
	Type    Type     `json:"type,omitempty"`
	// List says that the field is an array of such values; Samples are of its elements then.
	List bool `json:"list,omitempty"`
	// ReadOnly says that the account does not take the field back.
	ReadOnly bool `json:"read_only,omitempty"`
	// Choices are the values that the field may have, if they are few and known.
	Choices []Choice `json:"choices,omitempty"`
	// Samples are values of the field. They are personal data: leave them out before a schema goes
	// to somebody else, such as a language model.
	Samples []json.RawMessage `json:"samples,omitempty"`
}

// Choice is a value that a field may have, as its text, and what people call it.
type Choice struct {
	Value string `json:"value"`
	Label string `json:"label,omitempty"`
}

// The bounds of a schema. Suggest leaves out what is beyond.
const (
	MaxSchemaFields  = 500
	MaxSchemaSamples = 5
	MaxSchemaChoices = 200 // of a field; more are none
	maxSchemaRecords = 1000
	maxSampleLength  = 256
	maxSchemaDepth   = 8
)

// SchemaOf returns what records show: the paths of their members, and a few samples of each.
// Arrays are one field, a list if they hold scalars. It looks at a thousand records at most and
// passes over those that are not valid JSON.
func SchemaOf(records iter.Seq[json.RawMessage]) Schema {
	var schema Schema
	known := make(map[string]int)
	seen := 0
	for record := range records {
		if seen++; seen > maxSchemaRecords {
			break
		}
		if len(record) <= MaxRecord && rawjson.Valid(record) == nil {
			schema.learn(record, "", 1, known)
		}
	}
	return schema
}

func (s *Schema) learn(record json.RawMessage, prefix string, depth int, known map[string]int) {
	scanner := rawjson.NewScanner(record)
	if scanner.Kind() != rawjson.KindObject {
		return
	}
	for name := range scanner.Object() {
		if len(name) == 0 || len(prefix)+len(name) > MaxPath/2 {
			continue
		}
		path := prefix + escapePath(string(name))
		if scanner.Kind() == rawjson.KindObject && depth < maxSchemaDepth {
			s.learn(scanner.Value(), path+".", depth+1, known)
			continue
		}
		i, old := known[path]
		if !old {
			if len(s.Fields) >= MaxSchemaFields {
				continue
			}
			i = len(s.Fields)
			known[path] = i
			s.Fields = append(s.Fields, SchemaField{Path: path})
		}
		s.Fields[i].learn(scanner.Value())
	}
}

// learn takes a value, or an array of scalars, for a sample.
func (f *SchemaField) learn(value json.RawMessage) {
	if value[0] != '[' {
		f.sample(value)
		return
	}
	for element := range rawjson.Elements(value) {
		if _, ok := scalarText(element); ok {
			f.List = true
			f.sample(element)
		}
	}
}

// sample keeps a scalar that says something new.
func (f *SchemaField) sample(value json.RawMessage) {
	text, ok := scalarText(value)
	same := func(other json.RawMessage) bool { return string(other) == string(value) }
	if ok && len(text) > 0 && len(value) <= maxSampleLength && len(f.Samples) < MaxSchemaSamples && !slices.ContainsFunc(f.Samples, same) {
		f.Samples = append(f.Samples, slices.Clone(value))
	}
}

// look is what a value looks like: a kind of text, the type that it suggests, and the format.
type look struct {
	kind   string // empty if it looks like nothing in particular
	typ    Type
	format string
	stamp  string // the format of a time that a whole number may be
}

// telling says that values of the kind are hardly ever values of another.
func (l look) telling() bool {
	return slices.Contains([]string{"e-mail address", "phone number", "CPF", "CNPJ", "URL"}, l.kind)
}

// looks returns what all samples of a field look like; the zero look if they differ or if there
// are none.
func (f *SchemaField) looks() look {
	var common look
	for i, sample := range f.Samples[:min(len(f.Samples), MaxSchemaSamples)] {
		value, ok := cleanSample(sample)
		if !ok {
			return look{}
		}
		one := looksLike(value)
		switch {
		case i == 0 || common.kind == "whole number" && one.kind == "number" && one.format == "":
			common = one
		case one.kind == "whole number" && common.kind == "whole number":
			if one.stamp != common.stamp {
				common.stamp = ""
			}
		case one == common || one.kind == "whole number" && common.kind == "number" && common.format == "":
		default:
			return look{}
		}
	}
	return common
}

// looksLike tells what one value looks like.
func looksLike(raw json.RawMessage) look {
	text, ok := scalarText(raw)
	switch {
	case !ok:
		return look{}
	case raw[0] == 't' || raw[0] == 'f':
		return look{kind: "boolean", typ: Boolean}
	case isInteger(text) && (raw[0] != '"' || len(text) < 10):
		return look{kind: "whole number", typ: Integer, stamp: map[int]string{10: "unix", 13: "unix_ms"}[len(text)]}
	case raw[0] != '"':
		return look{kind: "number", typ: Decimal}
	}
	return textLooksLike(strings.TrimSpace(string(text)))
}

func textLooksLike(text string) look {
	digits := onlyDigits(text)
	_, isNumber := parseDecimal([]byte(text))
	switch {
	case text == "Y" || text == "N":
		return look{kind: "boolean", typ: Boolean, format: "Y/N"}
	case text == "S" || text == "N":
		return look{kind: "boolean", typ: Boolean, format: "S/N"}
	case isEmail(text):
		return look{kind: "e-mail address", typ: Text}
	case isURL(text):
		return look{kind: "URL", typ: Text}
	case len(digits) == 11 && validCPF(digits) && (len(text) == 11 || text[3] == '.'):
		return look{kind: "CPF", typ: Text}
	case validCNPJ(text):
		return look{kind: "CNPJ", typ: Text}
	}
	if l, ok := dateLooksLike(text); ok {
		return l
	}
	switch {
	case isNumber && strings.Contains(text, "."):
		return look{kind: "number", typ: Decimal}
	case isPhone(text, digits):
		return look{kind: "phone number", typ: Text}
	case isInteger([]byte(text)):
		return look{kind: "whole number", typ: Integer}
	case strings.Contains(text, ","):
		if number, ok := pointForComma([]byte(text)); ok {
			if _, ok = parseDecimal(number); ok {
				return look{kind: "amount with a comma", typ: Decimal, format: "comma"}
			}
		}
	}
	return look{kind: "text", typ: Text}
}

func dateLooksLike(text string) (look, bool) {
	for _, l := range []struct {
		layout string
		look
	}{
		{time.DateOnly, look{kind: "date", typ: Date}},
		{"02/01/2006", look{kind: "date", typ: Date, format: "02/01/2006"}},
		{"02.01.2006", look{kind: "date", typ: Date, format: "02.01.2006"}},
		{time.RFC3339, look{kind: "time", typ: Time}},
		{time.DateTime, look{kind: "time", typ: Time, format: time.DateTime}},
		{"02/01/2006 15:04:05", look{kind: "time", typ: Time, format: "02/01/2006 15:04:05"}},
		{"02.01.2006 15:04:05", look{kind: "time", typ: Time, format: "02.01.2006 15:04:05"}},
	} {
		if _, err := time.Parse(l.layout, text); err == nil {
			return l.look, true
		}
	}
	return look{}, false
}

func isEmail(text string) bool {
	address, err := mail.ParseAddress(text)
	return err == nil && address.Address == text && strings.Contains(text[strings.LastIndex(text, "@")+1:], ".")
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// isPhone asks for a sign of a telephone number beside its 8 to 15 digits: a plus, an area code in
// brackets, or groups.
func isPhone(text, digits string) bool {
	if len(digits) < 8 || len(digits) > 15 || strings.Trim(text, "+-() .0123456789") != "" {
		return false
	}
	return text[0] == '+' || text[0] == '(' || len(digits) >= 10 && strings.ContainsAny(text, "- ") && !strings.Contains(text, ".") || len(digits) >= 12 && len(digits) == len(text)
}

func onlyDigits(text string) string {
	return strings.Map(func(c rune) rune {
		if '0' <= c && c <= '9' {
			return c
		}
		return -1
	}, text)
}

// validCPF checks the two check digits of a Brazilian person's number. Eleven equal digits pass
// the sum and are no number.
func validCPF(digits string) bool {
	return strings.Trim(digits, digits[:1]) != "" &&
		checkDigit(digits[:9], 11) == digits[9] && checkDigit(digits[:10], 11) == digits[10]
}

// validCNPJ checks a Brazilian company's number, with or without its punctuation, also of the form
// that has letters in its first twelve places.
func validCNPJ(text string) bool {
	number := strings.ToUpper(strings.NewReplacer(".", "", "/", "", "-", "").Replace(text))
	if len(number) != 14 || len(text) != 14 && len(text) != 18 || strings.Trim(number, number[:1]) == "" ||
		strings.Trim(number[:12], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return false
	}
	return checkDigit(number[:12], 9) == number[12] && checkDigit(number[:13], 9) == number[13]
}

// checkDigit returns the modulo-11 digit behind number. Its last character weighs 2, the
// ones before it one more each, up to most and then from 2 again.
func checkDigit(number string, most int) byte {
	sum, weight := 0, 2
	for i := len(number) - 1; i >= 0; i-- {
		sum += int(number[i]-'0') * weight
		if weight++; weight > most {
			weight = 2
		}
	}
	if rest := sum % 11; rest >= 2 {
		return byte('0' + 11 - rest)
	}
	return '0'
}
