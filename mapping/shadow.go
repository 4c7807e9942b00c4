package mapping

import (
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"unicode"

	"github.com/enlace-go/enlace/rawjson"
)

// ShadowOptions bound and colour a shadow run. The zero value is a good one.
type ShadowOptions struct {
	MaxPayloads int // how many payloads are tried; 0 is 100,000
	MaxFields   int // how many different paths are reported; 0 is 1,000
	MaxSamples  int // samples of each path; 0 is 5, negative none
	// Redact returns what a sample shows of a value; nil is [Mask], which shows its form only.
	// The path is that of the result, "phones[].number". Values longer than 4 KiB are cut before.
	Redact func(path string, value json.RawMessage) string
}

// Show is a Redact that shows values as they are. They are personal data, and may be secrets.
func Show(_ string, value json.RawMessage) string { return string(value) }

// Mask is a Redact that keeps the form of a value: upper-case letters become X, other letters x,
// digits 0. It shows that a date is written in another order, and not which date it is. true,
// false and null stay.
func Mask(_ string, value json.RawMessage) string {
	switch string(value) {
	case "true", "false", "null", "":
		return string(value)
	}
	masked := make([]rune, 0, len(value))
	for _, c := range string(value) {
		switch {
		case unicode.IsDigit(c) || unicode.IsNumber(c):
			c = '0'
		case unicode.IsUpper(c):
			c = 'X'
		case unicode.IsLetter(c) || unicode.IsMark(c) || c == unicode.ReplacementChar:
			c = 'x'
		}
		masked = append(masked, c)
	}
	return string(masked)
}

// ShadowReport says what a new mapping would change. Every payload counts in one of the first
// seven numbers.
type ShadowReport struct {
	Same            int `json:"same"`              // mapped, or skipped for the same reason, or refused by both
	Changed         int `json:"changed"`           // mapped by both, to different results
	NewlySkipped    int `json:"newly_skipped"`     // mapped before, skipped now
	NoLongerSkipped int `json:"no_longer_skipped"` // skipped before, mapped now
	OtherReason     int `json:"other_reason"`      // skipped by both, for different reasons
	NewlyRefused    int `json:"newly_refused"`     // has a fault now, and had none
	NoLongerRefused int `json:"no_longer_refused"`

	Payloads int `json:"payloads"`
	// Cut says that a bound of the options ended the run or left paths out.
	Cut bool `json:"cut,omitempty"`
	// Fields are the paths of the results that differ, most frequent first.
	Fields []FieldDiff `json:"fields,omitempty"`
	// Faults are what newly refuses payloads, most frequent first.
	Faults []FaultCount `json:"faults,omitempty"`
}

// FieldDiff is how a path of the results differs. Elements of arrays are counted together:
// "phones[].number".
type FieldDiff struct {
	Path    string   `json:"path"`
	Added   int      `json:"added"`   // values only in the new results
	Removed int      `json:"removed"` // values only in the old results
	Changed int      `json:"changed"`
	Samples []Sample `json:"samples,omitempty"`
}

// Sample is one difference, redacted.
type Sample struct {
	Payload int    `json:"payload"` // its number, from 0
	Old     string `json:"old"`     // empty if there was none
	New     string `json:"new"`     // empty if there is none
}

// FaultCount counts a fault by place and reason. Indexes are left out of the place.
type FaultCount struct {
	Field  string `json:"field"`
	Reason Reason `json:"reason"`
	Count  int    `json:"count"`
}

// Shadow applies the released mapping and a new one to stored raw payloads and reports what would change.
// released is nil if there is none; every value is new then. It writes nothing. It ends with the payloads, or at the options' bounds; end
// the payloads to end it earlier.
func Shadow(released, candidate *Compiled, payloads iter.Seq[json.RawMessage], o ShadowOptions) ShadowReport {
	s := shadow{
		options: ShadowOptions{either(o.MaxPayloads, 100_000), either(o.MaxFields, 1000), either(o.MaxSamples, 5), o.Redact},
		fields:  make(map[string]*FieldDiff), faults: make(map[FaultCount]int),
	}
	if s.options.Redact == nil {
		s.options.Redact = Mask
	}
	for payload := range payloads {
		if s.report.Payloads >= s.options.MaxPayloads {
			s.report.Cut = true
			break
		}
		s.payload(released, candidate, payload)
		s.report.Payloads++
	}
	return s.finish()
}

type shadow struct {
	options ShadowOptions
	report  ShadowReport
	fields  map[string]*FieldDiff
	faults  map[FaultCount]int
}

func (s *shadow) payload(released, candidate *Compiled, payload json.RawMessage) {
	var before Result
	var oldErr error
	if released != nil {
		before, oldErr = released.Apply(payload)
	}
	after, newErr := candidate.Apply(payload)
	r := &s.report
	switch {
	case oldErr != nil && newErr != nil:
		r.Same++
	case newErr != nil:
		r.NewlyRefused++
		s.refused(newErr)
	case oldErr != nil:
		r.NoLongerRefused++
	case before.Skipped != "" && after.Skipped != "" && before.Skipped != after.Skipped:
		r.OtherReason++
	case before.Skipped == after.Skipped && string(before.Data) == string(after.Data):
		r.Same++
	case after.Skipped != "":
		r.NewlySkipped++
	case before.Skipped != "":
		r.NoLongerSkipped++
	case s.compare(before.Data, after.Data):
		r.Changed++
	default:
		r.Same++ // in another order
	}
}

func (s *shadow) refused(err error) {
	wrong, ok := errors.AsType[*Error](err)
	if !ok {
		return
	}
	for _, f := range wrong.Faults {
		key := FaultCount{Field: withoutIndexes(f.Field), Reason: f.Reason}
		if _, known := s.faults[key]; !known && len(s.faults) >= s.options.MaxFields {
			s.report.Cut = true
			continue
		}
		s.faults[key]++
	}
}

// withoutIndexes turns "phones[2].number" into "phones[].number".
func withoutIndexes(path string) string {
	general := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if i > 0 && general[len(general)-1] == '[' && '0' <= path[i] && path[i] <= '9' {
			continue
		}
		general = append(general, path[i])
	}
	return string(general)
}

// leaf is a scalar, or an empty array or object, of a result.
type leaf struct {
	general string // its path without indexes
	value   string
}

// compare adds the differences between two results and says whether there are any.
func (s *shadow) compare(before, after json.RawMessage) (different bool) {
	was, is := make(map[string]leaf), make(map[string]leaf)
	if before != nil {
		leaves(before, "", "", 0, was)
	}
	leaves(after, "", "", 0, is)
	number := s.report.Payloads
	for _, path := range slices.Sorted(maps.Keys(was)) {
		old := was[path]
		now, still := is[path]
		switch {
		case !still:
			s.differs(old.general, number, old.value, "", func(d *FieldDiff) { d.Removed++ })
		case old.value != now.value:
			s.differs(old.general, number, old.value, now.value, func(d *FieldDiff) { d.Changed++ })
		default:
			continue
		}
		different = true
	}
	for _, path := range slices.Sorted(maps.Keys(is)) {
		if _, old := was[path]; !old {
			s.differs(is[path].general, number, "", is[path].value, func(d *FieldDiff) { d.Added++ })
			different = true
		}
	}
	return different
}

// leaves collects a result's leaves by their paths. What is nested deeper than anybody looks counts
// as one leaf.
func leaves(value json.RawMessage, path, general string, depth int, into map[string]leaf) {
	s := rawjson.NewScanner(value)
	const deepest = 16
	count := 0
	switch kind := s.Kind(); {
	case depth == deepest:
	case kind == rawjson.KindObject:
		for name := range s.Object() {
			step := escapePath(string(name))
			if path != "" {
				step = "." + step
			}
			leaves(s.Value(), path+step, general+step, depth+1, into)
			count++
		}
	case kind == rawjson.KindArray:
		for i := range s.Array() {
			leaves(s.Value(), path+"["+strconv.Itoa(i)+"]", general+"[]", depth+1, into)
			count++
		}
	}
	if count == 0 {
		into[path] = leaf{general, string(value)}
	}
}

func (s *shadow) differs(path string, payload int, before, after string, count func(*FieldDiff)) {
	d := s.fields[path]
	if d == nil {
		if len(s.fields) >= s.options.MaxFields {
			s.report.Cut = true
			return
		}
		d = &FieldDiff{Path: path}
		s.fields[path] = d
	}
	count(d)
	if len(d.Samples) < s.options.MaxSamples {
		d.Samples = append(d.Samples, Sample{payload, s.show(path, before), s.show(path, after)})
	}
}

func (s *shadow) show(path, value string) string {
	if value == "" {
		return "" // there is none
	}
	const longest = 4 << 10
	return s.options.Redact(path, json.RawMessage(value[:min(len(value), longest)]))
}

func (s *shadow) finish() ShadowReport {
	for _, d := range s.fields {
		s.report.Fields = append(s.report.Fields, *d)
	}
	slices.SortFunc(s.report.Fields, func(a, b FieldDiff) int {
		return cmp.Or(cmp.Compare(b.Added+b.Removed+b.Changed, a.Added+a.Removed+a.Changed), cmp.Compare(a.Path, b.Path))
	})
	for f, count := range s.faults {
		f.Count = count
		s.report.Faults = append(s.report.Faults, f)
	}
	slices.SortFunc(s.report.Faults, func(a, b FaultCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason))
	})
	return s.report
}
