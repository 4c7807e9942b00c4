package sqlite

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return min(limit, maxLimit)
}

// encodeCursor makes the cursor behind a position. The list's name is part of
// it, so that a cursor is not taken by another list.
func encodeCursor(list, position string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + ":" + position))
}

func decodeCursor(list, cursor string) (position string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	position, found := strings.CutPrefix(string(text), list+":")
	if err != nil || !found {
		return "", errCursor
	}
	return position, nil
}

var errCursor error = &enlace.ValidationError{Faults: []enlace.Fault{{
	Field: "Cursor", Problem: "not a cursor of this list", Allowed: "the cursor that an earlier answer gave, or none"}}}

// cut makes one page of rows, of which one more was asked for than the page
// takes; position tells where a row stands.
func cut[T any](rows []T, size int, list string, position func(T) string) (page []T, next string) {
	if len(rows) <= size {
		return rows, ""
	}
	return rows[:size], encodeCursor(list, position(rows[size-1]))
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// selectAll reads all rows of a query.
func selectAll[T any](ctx context.Context, db *sql.DB, op string, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed(op, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, failed(op, err)
		}
		all = append(all, row)
	}
	return all, failed(op, rows.Err())
}

// asJSON scans a JSON column into v.
type asJSON struct{ v any }

// Scan implements sql.Scanner.
func (j asJSON) Scan(column any) error {
	text, _ := column.(string)
	return json.Unmarshal([]byte(text), j.v)
}

// toJSON is the text of a map or slice of strings, numbers and booleans, which
// always has one.
func toJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// asTime scans a column of microseconds into t.
type asTime struct{ t *time.Time }

// Scan implements sql.Scanner.
func (a asTime) Scan(column any) error {
	micros, isInteger := column.(int64)
	if !isInteger {
		return fmt.Errorf("a time is stored as %T", column)
	}
	*a.t = time.UnixMicro(micros).UTC()
	return nil
}
