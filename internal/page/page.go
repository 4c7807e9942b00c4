// Package page cuts lists into pages with cursors, alike for every store.
package page

import (
	"encoding/base64"
	"strings"

	"github.com/enlace-go/enlace"
)

const (
	defaultSize = 100
	maxSize     = 1000
)

// Size is how many rows a page has for a query's Limit.
func Size(limit int) int {
	if limit <= 0 {
		return defaultSize
	}
	return min(limit, maxSize)
}

// Decode reads the position out of a cursor that Cut has made for the list, or
// returns ErrCursor.
func Decode(list, cursor string) (position string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	position, found := strings.CutPrefix(string(text), list+":")
	if err != nil || !found {
		return "", ErrCursor
	}
	return position, nil
}

// encode makes the cursor behind a position. The list's name is part of it, so
// that a cursor is not taken by another list.
func encode(list, position string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + ":" + position))
}

// ErrCursor is the error for a cursor that the list did not give. It matches
// [enlace.ErrInvalid].
var ErrCursor error = &enlace.ValidationError{Faults: []enlace.Fault{{
	Field: "Cursor", Problem: "not a cursor of this list", Allowed: "the cursor that an earlier answer gave, or none"}}}

// Cut makes one page of rows, of which at least one more was asked for than size
// if there are more; position tells where a row stands.
func Cut[T any](rows []T, size int, list string, position func(T) string) (page []T, next string) {
	if len(rows) <= size {
		return rows, ""
	}
	return rows[:size], encode(list, position(rows[size-1]))
}
