package bitrix24

import (
	"context"
	"encoding/json"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

const maxImport = 20

// Import adds up to 20 items by crm.item.batchImport (sheet 5.9), without automation
// rules, and for administrators with their own createdTime, updatedTime, movedTime and
// users. Times must be in order: created, moved, updated, now; items in ascending order
// of createdTime, and none older than what the portal has. Phones and addresses are
// documented for imports in the classic form only:
// "PHONE": [{"VALUE": "+1…", "VALUE_TYPE": "WORK"}]. Whether events are sent is not
// documented.
//
// The results are in the order of the items. The call is sent once, and takes no key:
// give each item an originatorId and originId, and after a lost answer look for them.
// Errors: ErrInvalid, ErrForbidden (it needs the right to import), ErrUnsupported, and
// those of any call.
func Import(ctx context.Context, c *enlace.Conn, entity string, items ...any) ([]enlace.PushResult, error) {
	const op = "crm.item.batchImport"
	k, err := kindOf(op, entity)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 || len(items) > maxImport {
		return nil, invalid(op, "items", "none or too many", "1 to 20")
	}
	var result struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := write(ctx, c, op, withConnector(c, k.params(map[string]any{"data": items})), false, &result); err != nil {
		return nil, err
	}
	if len(result.Items) != len(items) {
		return nil, noAnswer(op)
	}
	results := make([]enlace.PushResult, len(items))
	for i, raw := range result.Items {
		results[i] = importResult(op, raw)
	}
	return results, nil
}

func importResult(op string, raw json.RawMessage) enlace.PushResult {
	item, _ := rawjson.Get(raw, "item", "id")
	if id, ok := rawjson.ID(item); ok {
		return enlace.PushResult{Ack: enlace.Ack{ID: id, Created: true}}
	}
	if rawjson.NewScanner(raw).Kind() == rawjson.KindObject {
		if code, description, found, err := errorOf(raw); found && err == nil {
			e := classifyCode(code, description, 0)
			e.Provider, e.Op, e.Code, e.Message = Name, op, code, description
			return enlace.PushResult{Err: e}
		}
	}
	return enlace.PushResult{Err: noAnswer(op)}
}
