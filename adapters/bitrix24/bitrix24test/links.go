package bitrix24test

import (
	"cmp"
	"slices"
	"strconv"
)

// link is how records of a type are bound to contacts, or contacts to companies (sheet 5.9).
type link struct {
	list    *field // contactIds or companyIds
	primary *field // contactId or companyId; nil for companies, whose rows do not show it
	alias   string // what classic methods call list, which they only write
	key     string // CONTACT_ID or COMPANY_ID
	other   int    // the entity type on the other side
}

func newLink(t *entityType) *link {
	switch t.id {
	case Contact:
		return &link{t.byUniversal["companyIds"], t.byUniversal["companyId"], "COMPANY_IDS", "COMPANY_ID", Company}
	case Company:
		return &link{t.byUniversal["contactIds"], nil, "CONTACT_ID", "CONTACT_ID", Contact}
	default:
		return &link{t.byUniversal["contactIds"], t.byUniversal["contactId"], "CONTACT_IDS", "CONTACT_ID", Contact}
	}
}

// binding is one record bound to another.
type binding struct {
	id, sort int64
	primary  bool
}

// bindings returns what is bound to the record, in order.
func (r *record) bindings() []binding {
	l := r.typ.link
	if own, found := r.values[l.list].([]binding); found {
		return slices.Clone(own)
	}
	primary := int64(0)
	if l.primary != nil {
		primary, _ = r.value(l.primary)
	}
	return bind(r.appendInts(nil, l.list), primary)
}

// isBoundTo tells quickly whether bindings may have this id.
func (r *record) isBoundTo(id int64) bool {
	l := r.typ.link
	switch own := r.values[l.list].(type) {
	case []binding:
		return boundTo(own, id) >= 0
	case []int64:
		return slices.Contains(own, id)
	}
	if l.primary == nil {
		return false
	}
	primary, _ := r.value(l.primary)
	return primary == id
}

// bind makes bindings of ids. The first is the primary one if the one asked for is not among them.
func bind(ids []int64, primary int64) []binding {
	bound := []binding{}
	for _, id := range ids {
		if id > 0 && !slices.ContainsFunc(bound, func(b binding) bool { return b.id == id }) {
			bound = append(bound, binding{id: id, sort: int64(len(bound)+1) * 10, primary: id == primary})
		}
	}
	return promote(bound)
}

// promote leaves exactly one primary binding: the first that is marked, or the first of all.
func promote(bound []binding) []binding {
	chosen := max(0, slices.IndexFunc(bound, func(b binding) bool { return b.primary }))
	for i := range bound {
		bound[i].primary = i == chosen
	}
	return bound
}

// store writes bindings into the values of a record.
func (l *link) store(values map[*field]any, bound []binding) {
	values[l.list] = nil
	primary := any(nil)
	if len(bound) > 0 {
		values[l.list] = bound
		primary = bound[slices.IndexFunc(bound, func(b binding) bool { return b.primary })].id
	}
	if l.primary != nil {
		values[l.primary] = primary
	}
}

func boundTo(bound []binding, id int64) int {
	return slices.IndexFunc(bound, func(b binding) bool { return b.id == id })
}

// mirror repeats on the other side what changed in the bindings of a contact or company, which
// are two views of the same. Derived bindings of seeded contacts show on the contact only.
func (p *Portal) mirror(t *entityType, id int64, before, after []binding) {
	if t.id != Contact && t.id != Company {
		return
	}
	other := p.tables[t.link.other]
	change := func(otherID int64, apply func([]binding) []binding) {
		r := &record{}
		if !other.load(otherID, r) {
			return
		}
		values := map[*field]any{}
		other.typ.link.store(values, promote(apply(r.bindings())))
		p.amend(other, r, values)
	}
	for _, b := range before {
		if boundTo(after, b.id) < 0 {
			change(b.id, func(bound []binding) []binding {
				return slices.DeleteFunc(bound, func(b binding) bool { return b.id == id })
			})
		}
	}
	for _, b := range after {
		if boundTo(before, b.id) < 0 {
			change(b.id, func(bound []binding) []binding {
				if boundTo(bound, id) >= 0 {
					return bound
				}
				return append(bound, binding{id: id, sort: int64(len(bound)+1) * 10})
			})
		}
	}
}

// unbindAll removes a deleted record from the bindings of others.
func (p *Portal) unbindAll(entityTypeID int, id int64) {
	for _, t := range p.tables {
		if t.typ.link.other != entityTypeID {
			continue
		}
		for _, r := range t.own {
			if !r.isBoundTo(id) {
				continue
			}
			bound := r.bindings()
			if at := boundTo(bound, id); at >= 0 {
				values := map[*field]any{}
				t.typ.link.store(values, promote(slices.Delete(bound, at, at+1)))
				p.amend(t, r, values)
			}
		}
	}
}

// bindingMethods adds crm.{deal,lead,company}.contact.* or crm.contact.company.*.
func bindingMethods(table map[string]*method, t *entityType) {
	other := map[int]string{Contact: "contact", Company: "company"}[t.link.other]
	prefix := "crm." + t.code + "." + other + "."
	for name, m := range map[string]*method{
		"items.get":    {records: reading, run: bindingsGet(t)},
		"items.set":    {records: writing, run: bindingsSet(t)},
		"items.delete": {records: writing, run: bindingsClear(t)},
		"add":          {records: writing, run: bindingAdd(t)},
		"delete":       {records: writing, run: bindingDelete(t)},
		"fields":       {run: bindingFields(t)},
	} {
		m.scope = "crm"
		table[prefix+name] = m
	}
}

var errNoOwner = &restError{400, "", "The parameter ownerEntityID is invalid or not defined."}

// owner loads the record whose bindings a call is about.
func (c *call) owner(t *entityType) (*record, *restError) {
	id := c.params.fold("id").number()
	if id <= 0 {
		return nil, errNoOwner
	}
	r := &record{}
	if !c.portal.tables[t.id].load(id, r) {
		return nil, &restError{400, "", "Not found."}
	}
	return r, nil
}

func bindingsGet(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		r, err := c.owner(t)
		if err != nil {
			return dst, page{}, err
		}
		dst = append(dst, '[')
		for i, b := range r.bindings() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(append(dst, `{"`+t.link.key+`":`...), b.id, 10)
			dst = strconv.AppendInt(append(dst, `,"SORT":`...), b.sort, 10)
			dst = append(dst, `,"ROLE_ID":0,"IS_PRIMARY":"`+yesNo(b.primary)+`"}`...)
		}
		return append(dst, ']'), page{}, nil
	}
}

// rebind stores new bindings of a record by one of the binding methods.
func (c *call) rebind(t *entityType, r *record, bound []binding) {
	slices.SortStableFunc(bound, func(a, b binding) int { return cmp.Compare(a.sort, b.sort) })
	before, values := r.bindings(), map[*field]any{}
	t.link.store(values, promote(bound))
	p, table := c.portal, c.portal.tables[t.id]
	if p.quirks.SilentBindings {
		p.amend(table, r, values)
	} else {
		p.change(table, r.id, values)
		p.announce(verbUpdate, t, r.id, c.actor())
	}
	p.mirror(t, r.id, before, bound)
}

func bindingsSet(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		r, err := c.owner(t)
		if err != nil {
			return dst, page{}, err
		}
		items := c.params.fold("items")
		if !items.isArray() {
			return dst, page{}, &restError{400, "", "The parameter items must be array."}
		}
		bound := []binding{}
		for _, item := range items.items {
			if b := t.link.read(item, len(bound)); b.id > 0 && boundTo(bound, b.id) < 0 {
				bound = append(bound, b)
			}
		}
		c.rebind(t, r, bound)
		return append(dst, "true"...), page{}, nil
	}
}

// read takes one binding from a request; place is how many there are before it.
func (l *link) read(item *node, place int) binding {
	b := binding{id: item.get(l.key).number(), sort: item.get("SORT").number(), primary: item.get("IS_PRIMARY").string() == "Y"}
	if b.sort <= 0 {
		b.sort = int64(place+1) * 10
	}
	return b
}

func bindingsClear(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		r, err := c.owner(t)
		if err != nil {
			return dst, page{}, err
		}
		c.rebind(t, r, nil)
		return append(dst, "true"...), page{}, nil
	}
}

// bindingAdd says false if the other record is bound already.
func bindingAdd(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		r, err := c.owner(t)
		if err != nil {
			return dst, page{}, err
		}
		bound := r.bindings()
		b := t.link.read(c.params.fold("fields"), len(bound))
		switch {
		case b.id <= 0:
			return dst, page{}, &restError{400, "", "The parameter fields is invalid or not defined."}
		case boundTo(bound, b.id) >= 0:
			return append(dst, "false"...), page{}, nil
		}
		for i := range bound {
			bound[i].primary = bound[i].primary && !b.primary
		}
		c.rebind(t, r, append(bound, b))
		return append(dst, "true"...), page{}, nil
	}
}

// bindingDelete says false if the other record is not bound.
func bindingDelete(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		r, err := c.owner(t)
		if err != nil {
			return dst, page{}, err
		}
		bound := r.bindings()
		at := boundTo(bound, t.link.read(c.params.fold("fields"), 0).id)
		if at < 0 {
			return append(dst, "false"...), page{}, nil
		}
		c.rebind(t, r, slices.Delete(bound, at, at+1))
		return append(dst, "true"...), page{}, nil
	}
}

func bindingFields(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		dst = append(dst, '{')
		for i, member := range [][2]string{{t.link.key, "integer"}, {"SORT", "integer"}, {"ROLE_ID", "integer"}, {"IS_PRIMARY", "char"}} {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `"`+member[0]+`":{"type":"`+member[1]+`","isRequired":`+strconv.FormatBool(i == 0)...)
			dst = append(dst, `,"isReadOnly":false,"isImmutable":false,"isMultiple":false,"isDynamic":false,"title":"`+humanTitle(member[0], "")+`"}`...)
		}
		return append(dst, '}'), page{}, nil
	}
}
