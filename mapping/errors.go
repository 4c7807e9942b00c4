package mapping

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of failure of this package. Test for them with errors.Is.
var (
	// ErrMapping: a mapping is wrong. Its author has to change it.
	ErrMapping = errors.New("mapping: the mapping is wrong")
	// ErrRecord: a record cannot be mapped. The others can.
	ErrRecord = errors.New("mapping: the record cannot be mapped")
	// ErrNotInvertible: a mapping has no inverse; the faults say which fields to change or to
	// mark as OneWay.
	ErrNotInvertible = errors.New("mapping: the mapping has no inverse")
)

// Reason is what is wrong, in one stable word for programs and statistics.
type Reason string

// The reasons.
const (
	ReasonMissing  Reason = "missing"  // something that a mapping needs is not there
	ReasonSyntax   Reason = "syntax"   // a path, pattern, format, literal or JSON document is malformed
	ReasonUnknown  Reason = "unknown"  // a word that this package does not know
	ReasonConflict Reason = "conflict" // two parts of a mapping exclude each other
	ReasonLimit    Reason = "limit"    // a bound of this package is exceeded
	ReasonLoss     Reason = "loss"     // the way back would lose something
	ReasonRequired Reason = "required" // a required value is nothing
	ReasonType     Reason = "type"     // a value is of another type, or written in another format
	ReasonValue    Reason = "value"    // a value is not in the value table
	ReasonRange    Reason = "range"    // the target's format cannot write the value
)

// Fault is one thing that is wrong with a mapping or with a record.
type Fault struct {
	// Field is where: in a mapping "fields[3].from"; in a record the target, such as
	// "phones[2].number". Empty is the whole.
	Field  string `json:"field"`
	Reason Reason `json:"reason"`
	// Detail is for people. It never holds a value of a record.
	Detail string `json:"detail"`
}

// maxFaults is how many faults an Error keeps.
const maxFaults = 100

// Error says everything that is wrong with a mapping or a record. Of more than a hundred
// faults it keeps the first hundred.
type Error struct {
	Kind    error // ErrMapping, ErrRecord or ErrNotInvertible
	Mapping string
	Version int
	Faults  []Fault // at least one

	cause error
}

// Error lists the faults.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.Error())
	switch {
	case e.Mapping == "":
	case e.Version == 0:
		fmt.Fprintf(&b, " (%s)", e.Mapping)
	default:
		fmt.Fprintf(&b, " (%s version %d)", e.Mapping, e.Version)
	}
	for i, f := range e.Faults {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		if f.Field != "" {
			b.WriteString(f.Field + ": ")
		}
		b.WriteString(f.Detail)
	}
	return b.String()
}

// Unwrap returns the kind and, for a document that is not valid JSON, the syntax error.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.cause}
}
