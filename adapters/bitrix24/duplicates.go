package bitrix24

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// maxDuplicateValues is how many values a search for duplicates takes (sheet 3.3).
const maxDuplicateValues = 20

const duplicateMethod = "crm.duplicate.findbycomm"

// FindDuplicates lists the ids of the contacts, companies or leads that have one of
// the values, by crm.duplicate.findbycomm (sheet 5.9). typeID is [Phone] or [Email].
// Addresses are compared without regard to case; how phone numbers are compared is
// the portal's affair. There are 20 values at most; about 20 hits may be all that the
// portal tells. What the account may not read is left out. Errors: ErrUnsupported for
// other entities, ErrInvalid, and those of any read.
func FindDuplicates(ctx context.Context, c *enlace.Conn, entity, typeID string, values ...string) ([]string, error) {
	const op = "find duplicates"
	k, err := kindOf(op, entity)
	if err != nil {
		return nil, err
	}
	switch {
	case !k.hasMultifields():
		return nil, unsupported(op, entity+" are not searched for by address")
	case typeID != Phone && typeID != Email:
		return nil, invalid(op, "typeID", "cannot be searched for", "PHONE, EMAIL")
	case len(values) == 0 || len(values) > maxDuplicateValues:
		return nil, invalid(op, "values", "none or too many", "1 to 20")
	}
	a := send(ctx, c, duplicateCommand(k, typeID, values))
	if a.err != nil {
		return nil, a.err
	}
	return duplicateHits(k, a.result)
}

func duplicateCommand(k kind, typeID string, values []string) command {
	return command{method: duplicateMethod, repeatable: true,
		params: map[string]any{"entity_type": strings.ToUpper(k.classic()), "type": typeID, "values": values}}
}

// duplicateHits reads {"CONTACT": [1, 2]}, or [] if there are none.
func duplicateHits(k kind, result json.RawMessage) ([]string, error) {
	raw, err := rawjson.Get(result, strings.ToUpper(k.classic()))
	if err != nil || raw == nil {
		return nil, err
	}
	var ids []string
	for item, err := range rawjson.Elements(raw) {
		id, ok := rawjson.ID(item)
		if err != nil || !ok {
			return nil, noAnswer(duplicateMethod)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
