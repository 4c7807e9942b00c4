package sqlstore

import (
	"encoding/json"
	"fmt"
	"strconv"
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

// Values is VALUES for n rows, "(?1, ?2, ?, ?), (?1, ?2, ?, ?)": the first shared parameters
// are every row's, and own more are its own. tail stands at the end of each row. Only the
// shared ones have numbers: to SQLite a number is a name, and looking names up takes long.
func Values(n, shared, own int, tail string) string {
	var row strings.Builder
	for i := range shared {
		row.WriteString("?" + strconv.Itoa(i+1) + ", ")
	}
	text := "(" + row.String() + placeholders(own) + tail + ")"
	return strings.TrimSuffix(strings.Repeat(text+", ", n), ", ")
}
