package bitrix24

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// kind is a kind of CRM items.
type kind struct {
	entity string
	typeID int // sheet 5.1
}

// kindOf resolves an entity's name.
func kindOf(op, entity string) (kind, error) {
	id, err := entityType(entity)
	if err != nil {
		if e, ok := err.(*enlace.Error); ok {
			e.Provider, e.Op = Name, op
		}
		return kind{}, err
	}
	return kind{entity, id}, nil
}

// classic is the word for the kind in the classic methods, crm.contact.update, and in
// capitals in searches for duplicates; "" if it has none (sheet 5.1).
func (k kind) classic() string {
	return map[int]string{1: "lead", 2: "deal", 3: "contact", 4: "company"}[k.typeID]
}

// hasOrigin says whether the items have originatorId and originId (sheet 5.3).
func (k kind) hasOrigin() bool { return k.classic() != "" }

// hasMultifields says whether the items have phones, e-mail addresses and so on, by
// which duplicates can be searched for (sheet 5.3, 5.9).
func (k kind) hasMultifields() bool { return k.classic() != "" && k.classic() != "deal" }

// params are those of a crm.item.* method. User fields have their original names,
// UF_CRM_…, in what is sent and in what comes back (sheet 5.2).
func (k kind) params(more map[string]any) map[string]any {
	params := map[string]any{"entityTypeId": k.typeID, "useOriginalUfNames": "Y"}
	for name, value := range more {
		params[name] = value
	}
	return params
}

func (k kind) getCommand(id string) command {
	return command{method: "crm.item.get", params: k.params(map[string]any{"id": json.Number(id)}), repeatable: true}
}

// record takes the item out of a result {"item": {…}}.
func (k kind) record(method string, result json.RawMessage) (enlace.Record, error) {
	item, err := rawjson.Get(result, "item")
	if err == nil && item != nil {
		s := rawjson.NewScanner(item)
		if s.Kind() == rawjson.KindObject {
			if r := scanRecord(s, k.entity); s.End() == nil && r.ID != "" {
				return r, nil
			}
		}
	}
	return enlace.Record{}, &enlace.Error{Provider: Name, Op: method, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan,
		Message: "the answer holds no item"}
}

// checkExists tells the deletion of an item from that of its whole kind: both answer
// NOT_FOUND (sheet 2.5). Contacts, companies, deals and leads always exist.
func (k kind) checkExists(ctx context.Context, c *enlace.Conn) error {
	if k.classic() != "" {
		return nil
	}
	return read(ctx, c, "crm.item.fields", k.params(nil), nil)
}

// checkID refuses what is no id of an item, so that nothing else is ever sent as one.
func checkID(op, id string) error {
	if n, err := parseID(id); err != nil || n <= 0 || strconv.FormatInt(n, 10) != id {
		return invalid(op, "id", "not an id", "a whole number above 0")
	}
	return nil
}

// fields are the members of an item's JSON, each undecoded.
type fields map[string]json.RawMessage

// fieldsOf takes the data of a mutation apart.
func fieldsOf(op string, data any) (fields, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, invalid(op, "data", "cannot be encoded", "a JSON object of fields")
	}
	var f fields
	if err := json.Unmarshal(text, &f); err != nil || f == nil {
		return nil, invalid(op, "data", "not a JSON object", "a JSON object of fields")
	}
	return f, nil
}

// text is a field's value if it is a string or a whole number.
func (f fields) text(name string) string {
	if s, ok := rawjson.String(f[name]); ok {
		return s
	}
	id, _ := rawjson.ID(f[name])
	return id
}

func opOf(op enlace.Operation, entity string) string { return fmt.Sprintf("%s %s", op, entity) }
