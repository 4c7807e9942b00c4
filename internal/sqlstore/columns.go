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

// Values is VALUES for n rows, "(?1, ?2, ?3…), (?1, ?2, ?9…)": the first shared parameters are
// every row's, and own more are its own. tail stands at the end of each row.
func Values(n, shared, own int, tail string) string {
	b := make([]byte, 0, n*(6*(shared+own)+len(tail)))
	for row := range n {
		separator := "("
		if row > 0 {
			separator = ", ("
		}
		for column := range shared + own {
			number := column + 1
			if column >= shared {
				number += row * own
			}
			b = strconv.AppendInt(append(append(b, separator...), '?'), int64(number), 10)
			separator = ", "
		}
		b = append(append(b, tail...), ')')
	}
	return string(b)
}
