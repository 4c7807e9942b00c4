package postgres

import (
	"encoding/base64"
	"strings"

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
