package bitrix24

import (
	"context"

	"github.com/enlace-go/enlace"
)

// Relation is a kind of bindings between records (sheet 5.9).
type Relation string

// The relations: the contacts of a deal, a lead or a company, and the companies of a
// contact.
const (
	DealContacts     Relation = "crm.deal.contact"
	LeadContacts     Relation = "crm.lead.contact"
	CompanyContacts  Relation = "crm.company.contact"
	ContactCompanies Relation = "crm.contact.company"
)

// method is one of the relation's methods.
func (r Relation) method(name string) string { return string(r) + "." + name }

// field names the other record in the relation's rows.
func (r Relation) field() string {
	if r == ContactCompanies {
		return "COMPANY_ID"
	}
	return "CONTACT_ID"
}

// Binding is one record that is bound to another.
type Binding struct {
	ID      ID // of the contact or company
	Sort    ID
	RoleID  ID
	Primary bool // exactly one is, if there are any
}

// ListBindings lists what is bound to a record, in order, by ….items.get (sheet 5.9).
// Errors: ErrNotFound, ErrForbidden, and those of any read.
func ListBindings(ctx context.Context, c *enlace.Conn, relation Relation, id ID) ([]Binding, error) {
	method := relation.method("items.get")
	var rows []fields
	if err := read(ctx, c, method, map[string]any{"id": id}, &rows); err != nil {
		return nil, err
	}
	bindings := make([]Binding, len(rows))
	for i, row := range rows {
		b := &bindings[i]
		for name, to := range map[string]*ID{relation.field(): &b.ID, "SORT": &b.Sort, "ROLE_ID": &b.RoleID} {
			if raw, there := row[name]; there && to.UnmarshalJSON(raw) != nil {
				return nil, noAnswer(method)
			}
		}
		b.Primary = yes(row["IS_PRIMARY"])
	}
	return bindings, nil
}

// SetBindings replaces all that is bound to a record, by ….items.set (sheet 5.9). The
// first that is Primary is the primary one, else the first of all; a Sort of 0 leaves
// the order to the list. It may be repeated, and enlace does. Errors: ErrNotFound,
// ErrForbidden, ErrInvalid, and those of any call.
func SetBindings(ctx context.Context, c *enlace.Conn, relation Relation, id ID, bindings []Binding) error {
	if len(bindings) == 0 {
		return ClearBindings(ctx, c, relation, id)
	}
	items := make([]map[string]any, len(bindings))
	for i, b := range bindings {
		items[i] = relation.item(b)
	}
	return write(ctx, c, relation.method("items.set"), withConnector(c, map[string]any{"id": id, "items": items}), true, nil)
}

// Bind adds one binding, by ….add (sheet 5.9). It returns false if there is one
// already, which stays as it is. It may be repeated, and enlace does; after a
// repetition false may mean that it was added. Errors: as [SetBindings].
func Bind(ctx context.Context, c *enlace.Conn, relation Relation, id ID, b Binding) (added bool, err error) {
	err = write(ctx, c, relation.method("add"), withConnector(c, map[string]any{"id": id, "fields": relation.item(b)}), true, &added)
	return added, err
}

// Unbind removes one binding, by ….delete (sheet 5.9). If it was the primary one, the
// first that remains becomes it. It returns false if there was none. It may be
// repeated, and enlace does. Errors: as [SetBindings].
func Unbind(ctx context.Context, c *enlace.Conn, relation Relation, id, other ID) (removed bool, err error) {
	params := map[string]any{"id": id, "fields": map[string]any{relation.field(): other}}
	err = write(ctx, c, relation.method("delete"), withConnector(c, params), true, &removed)
	return removed, err
}

// ClearBindings removes all bindings of a record, by ….items.delete (sheet 5.9). It
// may be repeated, and enlace does. Errors: as [SetBindings].
func ClearBindings(ctx context.Context, c *enlace.Conn, relation Relation, id ID) error {
	return write(ctx, c, relation.method("items.delete"), withConnector(c, map[string]any{"id": id}), true, nil)
}

func (r Relation) item(b Binding) map[string]any {
	item := map[string]any{r.field(): b.ID}
	if b.Sort != 0 {
		item["SORT"] = b.Sort
	}
	if b.Primary {
		item["IS_PRIMARY"] = "Y"
	}
	return item
}
