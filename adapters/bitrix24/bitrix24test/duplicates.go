package bitrix24test

import (
	"slices"
	"strconv"
	"strings"
)

// duplicateHits is how many hits a value may have, and after how many the search does not go on
// to the next type; duplicateValues is how many values count (sheet 5.9).
const (
	duplicateHits   = 20
	duplicateValues = 20
)

// findByCommunication is crm.duplicate.findbycomm: leads, contacts and companies with one of some
// phone numbers or e-mail addresses.
func findByCommunication(c *call, dst []byte) ([]byte, page, *restError) {
	typeID := strings.ToUpper(c.params.fold("type").string())
	if typeID != "PHONE" && typeID != "EMAIL" {
		return dst, page{}, &restError{400, "Communication type is not defined", "Communication type is not defined"}
	}
	values := c.params.fold("values")
	if !values.isArray() || len(values.items) == 0 {
		return dst, page{}, &restError{400, "Communication values is not defined", "Communication values is not defined"}
	}
	wanted := []string{}
	for _, value := range values.items[:min(len(values.items), duplicateValues)] {
		if text := searchForm(typeID, value.string()); text != "" {
			wanted = append(wanted, text)
		}
	}
	only := c.params.fold("entity_type").string()
	dst = append(dst, '{')
	for _, id := range []int{Lead, Contact, Company} {
		name := strings.ToUpper(c.portal.types[id].code)
		if only != "" && !strings.EqualFold(only, name) {
			continue
		}
		hits := c.portal.tables[id].holders(typeID, wanted)
		if len(hits) == 0 {
			continue
		}
		dst = append(append(append(dst, '"'), name...), `":[`...)
		for _, hit := range hits {
			dst = append(strconv.AppendInt(dst, hit, 10), ',')
		}
		dst[len(dst)-1] = ']'
		dst = append(dst, ',')
		if len(hits) >= duplicateHits {
			break
		}
	}
	if dst[len(dst)-1] == '{' {
		return append(dst[:len(dst)-1], "[]"...), page{}, nil
	}
	dst[len(dst)-1] = '}'
	return dst, page{}, nil
}

// searchForm brings a value into the form in which duplicates are found: the digits of a phone
// number without its extension, or an address in lower case.
func searchForm(typeID, value string) string {
	if typeID != "PHONE" {
		return strings.ToLower(strings.TrimSpace(value))
	}
	value, _, _ = strings.Cut(value, ";") // Bitrix24 writes an extension behind a semicolon
	digits := make([]byte, 0, len(value))
	for i := range len(value) {
		if value[i] >= '0' && value[i] <= '9' {
			digits = append(digits, value[i])
		}
	}
	return string(digits)
}

// holders returns the ids of records that have one of the values, at most duplicateHits per value,
// in order of the ids.
func (t *table) holders(typeID string, wanted []string) []int64 {
	hits, perValue := []int64{}, make([]int, len(wanted))
	open := len(wanted)
	seeded := make([]seededPoint, len(wanted))
	for i, value := range wanted {
		seeded[i] = findSeeded(typeID, value)
	}
	r := &record{}
	for c := t.cursor(everyID, false); open > 0 && c.next(r); {
		hit := false
		for i, value := range wanted {
			if perValue[i] == duplicateHits || !r.holds(typeID, value, seeded[i]) {
				continue
			}
			hit = true
			if perValue[i]++; perValue[i] == duplicateHits {
				open--
			}
		}
		if hit {
			hits = append(hits, r.id)
		}
	}
	return hits
}

// holds tells whether the record has a multifield with this value. For records made up from their
// ids it does not make up the texts.
func (r *record) holds(typeID, value string, seeded seededPoint) bool {
	if r.seeded && r.values == nil {
		return seeded.matches(r)
	}
	return slices.ContainsFunc(r.multifields(), func(point Multifield) bool {
		return point.TypeID == typeID && searchForm(typeID, point.Value) == value
	})
}
