package page

import (
	"strings"

	"github.com/enlace-go/enlace"
)

// RefusedPosition is where a record stands in a list of refused ones.
func RefusedPosition(r enlace.RefusedRecord) string { return r.Entity + "\x00" + r.RecordID }

// RefusedAfter returns the entity and id behind which the page of a query begins.
func RefusedAfter(list string, q enlace.RefusedQuery) (entity, id string, err error) {
	if q.Cursor == "" {
		return "", "", nil
	}
	position, err := Decode(list, q.Cursor)
	if err != nil {
		return "", "", err
	}
	entity, id, found := strings.Cut(position, "\x00")
	if !found {
		return "", "", ErrCursor
	}
	return entity, id, nil
}
