package bitrix24

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// FieldInfo describes one field of an entity in one portal.
type FieldInfo struct {
	Name       string // in crm.item.* with original names of user fields: "name", "UF_CRM_1700000001"
	Classic    string // the portal's upperName: "NAME"
	Type       string // such as string, integer, double, date, datetime, enumeration, crm_status, user
	Title      string // in the portal's language
	Required   bool
	ReadOnly   bool
	Immutable  bool // may be set when the record is created only
	Multiple   bool // a list
	UserField  bool
	StatusType string   // of crm_status: the dictionary, see [ListStatuses]
	Options    []Option // of an enumeration, where the portal tells them
	Settings   json.RawMessage
}

// Option is a value of an enumeration: records hold its ID.
type Option struct {
	ID    ID     `json:"ID,omitempty"`
	Value string `json:"VALUE"`
}

// DescribeFields lists the fields of an entity, user fields among them, in the
// portal's order, by crm.item.fields (sheet 5.2, 5.8). What is written to a field that
// is not among them is ignored by the portal without a word. Errors: ErrUnsupported,
// ErrNotFound for a smart process that the portal does not have, ErrForbidden, and
// those of any read.
func DescribeFields(ctx context.Context, c *enlace.Conn, entity string) ([]FieldInfo, error) {
	const op = "crm.item.fields"
	k, err := kindOf(op, entity)
	if err != nil {
		return nil, err
	}
	var result json.RawMessage
	if err := read(ctx, c, op, k.params(nil), &result); err != nil {
		return nil, err
	}
	raw, err := rawjson.Get(result, "fields")
	if err != nil || raw == nil {
		return nil, noAnswer(op)
	}
	var list []FieldInfo
	s := rawjson.NewScanner(raw)
	for key := range s.Object() {
		f, err := fieldInfo(string(key), s.Value())
		if err != nil {
			return nil, noAnswer(op)
		}
		list = append(list, f)
	}
	if s.End() != nil {
		return nil, noAnswer(op)
	}
	return list, nil
}

func fieldInfo(name string, raw json.RawMessage) (FieldInfo, error) {
	f, err := fieldsOf("crm.item.fields", raw)
	if err != nil {
		return FieldInfo{}, err
	}
	info := FieldInfo{Name: name, Classic: f.text("upperName"), Type: f.text("type"), Title: f.text("title"),
		Required: yes(f["isRequired"]), ReadOnly: yes(f["isReadOnly"]), Immutable: yes(f["isImmutable"]),
		Multiple: yes(f["isMultiple"]), UserField: yes(f["isDynamic"]), StatusType: f.text("statusType")}
	if !nothing(f["settings"]) {
		info.Settings = f["settings"]
	}
	if !nothing(f["items"]) {
		err = json.Unmarshal(f["items"], &info.Options)
	}
	return info, err
}

// UserField is the definition of a user field (sheet 5.8).
type UserField struct {
	ID         ID              `json:"ID"`
	Name       string          `json:"FIELD_NAME"` // UF_CRM_…
	Type       string          `json:"USER_TYPE_ID"`
	XMLID      string          `json:"XML_ID"`
	Sort       ID              `json:"SORT"`
	Multiple   string          `json:"MULTIPLE"`  // Y or N
	Mandatory  string          `json:"MANDATORY"` // Y or N
	Label      string          `json:"EDIT_FORM_LABEL"`
	ListLabel  string          `json:"LIST_COLUMN_LABEL"`
	Searchable string          `json:"IS_SEARCHABLE"` // Y or N
	Options    []Option        `json:"LIST"`
	Settings   json.RawMessage `json:"SETTINGS"` // an object, or an empty list
}

// ListUserFields lists the user fields of contacts, companies, deals or leads by
// crm.….userfield.list (sheet 5.8). Labels come only with a language, such as "en".
// Errors: ErrUnsupported for other entities, ErrForbidden, and those of any read.
func ListUserFields(ctx context.Context, c *enlace.Conn, entity, language string) ([]UserField, error) {
	const op = "list user fields"
	k, err := kindOf(op, entity)
	if err != nil {
		return nil, err
	}
	if k.classic() == "" {
		return nil, unsupported(op, "only contacts, companies, deals and leads have them here; see DescribeFields")
	}
	filter := map[string]string{}
	if language != "" {
		filter["LANG"] = language
	}
	return listAll[UserField](ctx, c, "crm."+k.classic()+".userfield.list", map[string]any{"order": map[string]string{"ID": "ASC"}, "filter": filter})
}

// NewUserField is what a user field is made from (sheet 5.8).
type NewUserField struct {
	Name      string   `json:"FIELD_NAME"` // A-Z, 0-9 and _; at most 50 characters with the UF_CRM_ that the portal puts before it
	Type      string   `json:"USER_TYPE_ID"`
	Label     string   `json:"LABEL,omitempty"`
	Multiple  string   `json:"MULTIPLE,omitempty"`  // Y or N
	Mandatory string   `json:"MANDATORY,omitempty"` // Y or N
	Options   []Option `json:"LIST,omitempty"`      // of an enumeration; without ids
}

// AddUserField makes a user field of contacts, companies, deals or leads by
// crm.….userfield.add (sheet 5.8), which only an administrator of the CRM may. It is
// sent once. Errors: ErrUnsupported, ErrForbidden, ErrInvalid, and those of any call.
func AddUserField(ctx context.Context, c *enlace.Conn, entity string, field NewUserField) (ID, error) {
	const op = "add user field"
	k, err := kindOf(op, entity)
	if err != nil {
		return 0, err
	}
	if k.classic() == "" {
		return 0, unsupported(op, "only contacts, companies, deals and leads can be given user fields")
	}
	var id ID
	err = write(ctx, c, "crm."+k.classic()+".userfield.add", map[string]any{"fields": field}, false, &id)
	return id, err
}

// maxListed bounds listAll: what it reads is short, and from outside.
const maxListed = 100 * pageSize

// listAll reads every page of a classic list, some of which are one page whatever
// their length: the answer says whether there is more.
func listAll[T any](ctx context.Context, c *enlace.Conn, method string, params map[string]any) ([]T, error) {
	var all []T
	for start := int64(0); ; {
		params["start"] = start
		a := send(ctx, c, command{method: method, params: params, repeatable: true})
		var page []T
		if err := decodeResult(method, a, &page); err != nil {
			return nil, err
		}
		all = append(all, page...)
		switch {
		case a.next == 0 || len(page) == 0:
			return all, nil
		case a.next <= start || len(all) > maxListed:
			return nil, &enlace.Error{Provider: Name, Op: method, Kind: enlace.ErrCursorStalled, Outcome: enlace.OutcomeRan, Message: "the list has no end"}
		}
		start = a.next
	}
}

// Status is an entry of a dictionary, such as a stage or a source (sheet 5.3).
type Status struct {
	ID        string `json:"STATUS_ID"` // what records hold: "NEW", "C9:NEW"
	Entity    string `json:"ENTITY_ID"`
	Name      string `json:"NAME"`
	Sort      ID     `json:"SORT"`
	Semantics string `json:"SEMANTICS"` // of stages: P in progress, S success, F failure; "" counts as P
}

// ListStatuses reads a dictionary by crm.status.list (sheet 5.3): "SOURCE",
// "CONTACT_TYPE", "COMPANY_TYPE", "DEAL_TYPE", "HONORIFIC", "STATUS" for the stages of
// leads, or [FieldInfo].StatusType. Errors: ErrForbidden, and those of any read.
func ListStatuses(ctx context.Context, c *enlace.Conn, dictionary string) ([]Status, error) {
	var list []Status
	cmd := statusCommand(dictionary)
	err := decodeResult(cmd.method, send(ctx, c, cmd), &list)
	return list, err
}

func statusCommand(dictionary string) command {
	return command{method: "crm.status.list", repeatable: true, params: map[string]any{
		"order": map[string]string{"SORT": "ASC"}, "filter": map[string]string{"ENTITY_ID": dictionary}}}
}

// Funnel is a way that deals or items of a smart process take (sheet 5.3).
type Funnel struct {
	ID        ID     `json:"id"` // 0 is the general one of deals
	Name      string `json:"name"`
	Sort      ID     `json:"sort"`
	IsDefault string `json:"isDefault"` // Y or N
}

// ListFunnels lists the funnels of an entity by crm.category.list (sheet 5.3). Errors:
// ErrUnsupported, ErrForbidden, and those of any read.
func ListFunnels(ctx context.Context, c *enlace.Conn, entity string) ([]Funnel, error) {
	const op = "crm.category.list"
	k, err := kindOf(op, entity)
	if err != nil {
		return nil, err
	}
	var result struct {
		Categories []Funnel `json:"categories"`
	}
	err = read(ctx, c, op, map[string]any{"entityTypeId": k.typeID}, &result)
	return result.Categories, err
}

// ListStages lists the stages of leads, or of deals in one funnel (sheet 5.3); 0 is the
// general one. Errors: ErrUnsupported for other entities, and those of [ListStatuses].
func ListStages(ctx context.Context, c *enlace.Conn, entity string, funnel ID) ([]Status, error) {
	switch {
	case entity == "leads":
		return ListStatuses(ctx, c, "STATUS")
	case entity == "deals" && funnel == 0:
		return ListStatuses(ctx, c, "DEAL_STAGE")
	case entity == "deals":
		return ListStatuses(ctx, c, "DEAL_STAGE_"+strconv.FormatInt(int64(funnel), 10))
	}
	return nil, unsupported("list stages", fmt.Sprintf("the stages of %s have no documented dictionary", entity))
}
