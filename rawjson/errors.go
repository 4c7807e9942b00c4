package rawjson

import (
	"io"
	"strconv"
)

// SyntaxError says where a document is not valid JSON, or not what the walk asked for: an array
// instead of an object, or one value consumed twice. It is the only error type of this package,
// to be found with errors.As, and holds nothing of the document, which may be secret.
//
// errors.Is(err, io.ErrUnexpectedEOF) tells a document that ends early, such as a response cut
// off on its way, from one that would not become valid by any continuation.
type SyntaxError struct {
	Offset int64  // of the first wrong byte, from 0; the document's length if it ends early
	Reason string // one of this package's fixed phrases, for people

	truncated bool
}

// Error returns the reason and the offset.
func (e *SyntaxError) Error() string {
	return "rawjson: " + e.Reason + " at byte " + strconv.FormatInt(e.Offset, 10)
}

// Unwrap returns io.ErrUnexpectedEOF for a document that ends early, and nil otherwise.
func (e *SyntaxError) Unwrap() error {
	if e.truncated {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// reason is what is wrong with a document. It exists so that the walk carries a byte, and the
// error value is made once, at the end.
type reason uint8

const (
	fine reason = iota
	truncated
	unexpected
	trailing
	control
	badEscape
	badUTF8
	tooDeep
	notObject
	notArray
	consumed
)

func (r reason) String() string {
	return [...]string{
		fine:       "no error",
		truncated:  "document ends early",
		unexpected: "byte that does not belong here",
		trailing:   "data behind the end of the document",
		control:    "raw control character in a string",
		badEscape:  "wrong escape in a string",
		badUTF8:    "wrong UTF-8 in a string",
		tooDeep:    "nested too deep",
		notObject:  "not an object, which was asked for",
		notArray:   "not an array, which was asked for",
		consumed:   "value asked for twice",
	}[r]
}
