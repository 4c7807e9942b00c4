package bitrix24

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/enlace-go/enlace/rawjson"
)

// The portal writes one value in several ways: numbers as strings, nothing as null,
// "", false, 0 or [] (sheet 5.6, Q1, Q2). These types take them all, and write one.

var errValue = errors.New("a value is not of the expected form") // without the value, which may be personal

// nothing says whether a value is one of the portal's words for none.
func nothing(raw []byte) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "null", `""`, "false", "[]", "{}", "":
		return true
	}
	return false
}

// ID is the id of an item, a user or a multifield; 0 is none.
type ID int64

// UnmarshalJSON implements json.Unmarshaler.
func (id *ID) UnmarshalJSON(raw []byte) error {
	*id = 0
	if nothing(raw) {
		return nil
	}
	n, ok := rawjson.Int(raw)
	if !ok {
		return errValue
	}
	*id = ID(n)
	return nil
}

// Decimal is an amount of money or another number, with the digits that the portal
// wrote; "" is none. It is written as a number.
type Decimal string

// UnmarshalJSON implements json.Unmarshaler.
func (d *Decimal) UnmarshalJSON(raw []byte) error {
	*d = ""
	if nothing(raw) {
		return nil
	}
	if text, ok := rawjson.String(raw); ok {
		raw = []byte(text)
	}
	var n json.Number
	if err := json.Unmarshal(raw, &n); err != nil {
		return errValue
	}
	*d = Decimal(n)
	return nil
}

// MarshalJSON implements json.Marshaler. The error is for what is no number.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	return json.Marshal(json.Number(d))
}

// Time is an instant, to the second; zero is none. It comes with the portal's offset.
type Time struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(raw []byte) error {
	t.Time = time.Time{}
	if nothing(raw) {
		return nil
	}
	text, ok := rawjson.String(raw)
	parsed, err := time.Parse(time.RFC3339, text)
	if !ok || err != nil {
		return errValue
	}
	t.Time = parsed
	return nil
}

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.Format(time.RFC3339))
}

// Date is a day as 2006-01-02; "" is none. The portal sends dates as midnights of
// some offset, of which only the day means something (sheet 5.6).
type Date string

// UnmarshalJSON implements json.Unmarshaler.
func (d *Date) UnmarshalJSON(raw []byte) error {
	*d = ""
	if nothing(raw) {
		return nil
	}
	text, ok := rawjson.String(raw)
	if !ok || len(text) < len(time.DateOnly) {
		return errValue
	}
	*d = Date(text[:len(time.DateOnly)])
	return nil
}

// yes reads the portal's ways to say so: true, "Y", 1 and "1".
func yes(raw []byte) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "true", `"Y"`, `"y"`, "1", `"1"`, `"true"`:
		return true
	}
	return false
}
