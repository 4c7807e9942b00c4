package page

import (
	"math"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
)

// MappingPosition is where a version stands in a list of mappings.
func MappingPosition(v enlace.MappingVersion) string {
	return strconv.Itoa(v.Number) + "/" + v.Entity
}

// MappingAfter returns the entity and number behind which the page of a query begins.
func MappingAfter(list string, q enlace.MappingQuery) (after enlace.MappingKey, err error) {
	after.Number = math.MaxInt64
	if q.Cursor == "" {
		return after, nil
	}
	position, err := Decode(list, q.Cursor)
	if err != nil {
		return after, err
	}
	number, entity, found := strings.Cut(position, "/")
	after.Entity = entity
	if after.Number, err = strconv.Atoi(number); err != nil || !found {
		return after, ErrCursor
	}
	return after, nil
}
