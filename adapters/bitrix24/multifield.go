package bitrix24

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// The types of multifields (sheet 5.5).
const (
	Phone     = "PHONE"
	Email     = "EMAIL"
	Web       = "WEB"
	Messenger = "IM"
)

// Multifield is a phone number, an e-mail address, a web page or a messenger of a
// contact, company or lead (sheet 5.5).
type Multifield struct {
	ID        ID     `json:"id,omitempty"` // 0 before it is stored; unique in the portal
	TypeID    string `json:"typeId"`       // [Phone], [Email], [Web] or [Messenger]
	ValueType string `json:"valueType,omitempty"`
	Value     string `json:"value"` // as it was entered: compare the digits of a phone number only
}

// Multifields are those of one record.
type Multifields []Multifield

// Values lists the values of one type: contact.Multifields.Values(bitrix24.Email).
func (m Multifields) Values(typeID string) []string {
	var values []string
	for _, f := range m {
		if f.TypeID == typeID {
			values = append(values, f.Value)
		}
	}
	return values
}

// EditMultifields changes the multifields of a contact, company or lead by
// crm.item.get and crm.item.update, and returns those it has then. edit gets what
// there is and returns what there shall be: an element that keeps its ID is changed,
// one without an ID is added, one that is missing is deleted.
//
// Bitrix24 takes patches only (sheet 5.5), and does not tell whether somebody else
// changed them in between: changes to other elements survive, one to the same
// element does not. The write is sent once, since it may add. Errors: ErrNotFound,
// ErrForbidden, ErrUnsupported for an entity without multifields, and ErrInvalid for
// an address that is none, for an element without type or value, or for an ID that
// is not among those there are.
func EditMultifields(ctx context.Context, c *enlace.Conn, entity, id string, edit func(Multifields) Multifields) (Multifields, error) {
	const op = "edit multifields"
	k, err := kindOf(op, entity)
	if err != nil {
		return nil, err
	}
	if !k.hasMultifields() {
		return nil, unsupported(op, entity+" have no multifields")
	}
	if err := checkID(op, id); err != nil {
		return nil, err
	}
	var result json.RawMessage
	if a := send(ctx, c, k.getCommand(id)); a.err != nil {
		return nil, notRun(a.err)
	} else {
		result = a.result
	}
	current, err := multifieldsOf(result)
	if err != nil {
		return nil, notRun(err)
	}
	patch, err := patchMultifields(current, edit(slices.Clone(current)), true)
	if err != nil || len(patch) == 0 {
		return current, err
	}
	a := send(ctx, c, k.writeCommand(c, "crm.item.update", map[string]any{"id": json.Number(id), "fields": map[string]any{"fm": patch}}, false))
	if a.err != nil {
		return nil, a.err
	}
	return multifieldsOf(a.result)
}

// multifieldsOf reads those of a result {"item": {"fm": […]}}.
func multifieldsOf(result json.RawMessage) (Multifields, error) {
	raw, err := rawjson.Get(result, "item", "fm")
	if err != nil || nothing(raw) {
		return nil, err
	}
	m, ok := parseMultifields(raw)
	if !ok {
		return nil, &enlace.Error{Provider: Name, Op: "crm.item.get", Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan, Message: "fm is not of the expected form"}
	}
	return m, nil
}

// parseMultifields reads what stands in "fm": a list, as it is read and as it is
// given to crm.item.add, or an object by ids, as crm.item.update takes it.
func parseMultifields(raw json.RawMessage) (Multifields, bool) {
	if nothing(raw) {
		return nil, true
	}
	var list Multifields
	if json.Unmarshal(raw, &list) == nil {
		return list, true
	}
	var byID map[string]Multifield
	if json.Unmarshal(raw, &byID) != nil {
		return nil, false
	}
	for _, key := range slices.Sorted(maps.Keys(byID)) {
		f := byID[key]
		if n, err := parseID(key); err == nil {
			f.ID = ID(n)
		}
		list = append(list, f)
	}
	return list, true
}

// patchMultifields is what turns current into wanted, in the form of crm.item.update.
// Without replace, what wanted does not mention is left alone. A value that is there
// already is not added again: the portal would keep both (sheet 5.5).
func patchMultifields(current, wanted Multifields, replace bool) (map[string]Multifield, error) {
	patch := map[string]Multifield{}
	kept := map[ID]bool{}
	change := func(old, f Multifield) {
		kept[old.ID] = true
		if f.ValueType == "" {
			f.ValueType = old.ValueType
		}
		if f.TypeID != old.TypeID || f.ValueType != old.ValueType || f.Value != old.Value {
			f.ID = 0
			patch[strconv.FormatInt(int64(old.ID), 10)] = f
		}
	}
	for _, f := range wanted {
		if f.ID == 0 {
			continue
		}
		at := slices.IndexFunc(current, func(old Multifield) bool { return old.ID == f.ID })
		if at < 0 || (f.TypeID != "" && f.TypeID != current[at].TypeID) { // the portal would add a new one
			return nil, invalid("fm", "id", "not one of the record's multifields of that type", "an id as it was read, or none")
		}
		f.TypeID = current[at].TypeID
		change(current[at], f)
	}
	added := 0
	for _, f := range wanted {
		if f.ID != 0 {
			continue
		}
		if f.TypeID == "" || f.Value == "" { // the portal would pass over it in silence
			return nil, invalid("fm", "typeId, value", "missing", "PHONE, EMAIL, WEB or IM, and a value")
		}
		at := slices.IndexFunc(current, func(old Multifield) bool { return !kept[old.ID] && sameValue(old, f) })
		if at >= 0 {
			f.Value = current[at].Value
			change(current[at], f)
			continue
		}
		patch["n"+strconv.Itoa(added)] = f
		added++
	}
	for _, old := range current {
		if replace && !kept[old.ID] {
			patch[strconv.FormatInt(int64(old.ID), 10)] = Multifield{TypeID: old.TypeID}
		}
	}
	return patch, nil
}

// sameValue compares as the portal's search for duplicates does (sheet 5.5, 5.9).
func sameValue(a, b Multifield) bool {
	return a.TypeID == b.TypeID && plainValue(a) == plainValue(b)
}

func plainValue(f Multifield) string {
	if f.TypeID != Phone {
		return strings.ToLower(strings.TrimSpace(f.Value))
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, f.Value)
	if digits == "" {
		return f.Value
	}
	return digits
}

// isNull says whether a field is there and null.
func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }
