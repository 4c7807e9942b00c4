package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// instant scans a column of microseconds into a time in UTC.
type instant struct{ t *time.Time }

// Scan implements sql.Scanner.
func (i instant) Scan(column any) error {
	micros, ok := column.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", column)
	}
	*i.t = time.UnixMicro(micros).UTC()
	return nil
}

// asJSON scans a JSON text into v.
type asJSON struct{ v any }

// Scan implements sql.Scanner.
func (j asJSON) Scan(column any) error {
	switch text := column.(type) {
	case string:
		return json.Unmarshal([]byte(text), j.v)
	case []byte:
		return json.Unmarshal(text, j.v)
	default:
		return fmt.Errorf("JSON is stored as %T", column)
	}
}

// toJSON is the text of a value that always has one: maps, slices and structs of
// strings, numbers, booleans and times.
func toJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// placeholders is "?, ?, ?" for n parameters.
func placeholders(n int) string {
	return strings.TrimSuffix(strings.Repeat("?, ", n), ", ")
}
