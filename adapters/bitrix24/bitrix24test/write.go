package bitrix24test

import "strconv"

var (
	errNoID           = &restError{400, "", "ID is not defined or invalid."}
	errNotFound       = &restError{400, "", "Not found"}
	errItemNotFound   = &restError{400, "NOT_FOUND", "Element not found"}
	errFieldsNotArray = &restError{400, "", "Parameter 'fields' must be array."}
)

// classicAdd is crm.{contact,company,deal,lead}.add, which returns the bare id.
func classicAdd(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		fields := c.params.fold("fields")
		if !fields.isArray() {
			return dst, page{}, errFieldsNotArray
		}
		d := c.draft(t, classicNames, nil)
		d.importing = (t.id == Contact || t.id == Company) && c.params.fold("params").fold("IMPORT").string() == "Y"
		id, err := d.add(fields)
		if err != nil {
			return dst, page{}, err
		}
		c.convertLead(t, id)
		return strconv.AppendInt(dst, id, 10), page{}, nil
	}
}

// classicUpdate is crm.{contact,company,deal,lead}.update, which returns true.
func classicUpdate(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		id, fields := c.params.fold("id").number(), c.params.fold("fields")
		if id <= 0 {
			return dst, page{}, errNoID
		}
		if !fields.isArray() {
			return dst, page{}, errFieldsNotArray
		}
		r := &record{}
		if !c.portal.tables[t.id].load(id, r) {
			if t.id == Contact || t.id == Company {
				return dst, page{}, &restError{400, "", t.title + " is not found"}
			}
			return dst, page{}, errNotFound
		}
		if err := c.draft(t, classicNames, r).update(fields); err != nil {
			return dst, page{}, err
		}
		return append(dst, "true"...), page{}, nil
	}
}

// classicDelete is crm.{contact,company,deal,lead}.delete, which returns true.
func classicDelete(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		id := c.params.fold("id").number()
		if id <= 0 {
			return dst, page{}, errNoID
		}
		if !c.portal.remove(c.portal.tables[t.id], id) {
			if t.id == Contact {
				return dst, page{}, &restError{400, "ERROR_CORE", "Element not found"}
			}
			return dst, page{}, errNotFound
		}
		c.portal.announce(verbDelete, t, id, c.actor())
		return append(dst, "true"...), page{}, nil
	}
}

// itemFieldsParam reads the parameter fields of crm.item.*.
func (c *call) itemFieldsParam() (*node, *restError) {
	fields := c.params.get("fields")
	if fields.isNull() {
		return nil, &restError{400, "100", "Could not find value for parameter {fields}"}
	}
	if !fields.isArray() {
		return nil, wrongType(fields.string(), "fields", "array")
	}
	return fields, nil
}

// itemAdd is crm.item.add, which returns the whole item.
func itemAdd(c *call, dst []byte) ([]byte, page, *restError) {
	t, err := c.itemType()
	if err != nil {
		return dst, page{}, err
	}
	fields, err := c.itemFieldsParam()
	if err != nil {
		return dst, page{}, err
	}
	id, err := c.draft(t, c.itemNaming(), nil).add(fields)
	if err != nil {
		return dst, page{}, err
	}
	dst = c.appendItem(dst, t, id)
	c.convertLead(t, id)
	return dst, page{}, nil
}

func (c *call) appendItem(dst []byte, t *entityType, id int64) []byte {
	style := c.itemNaming()
	dst, _ = c.appendRecord(append(dst, `{"item":`...), t, id, style, t.everything[style])
	return append(dst, '}')
}

// itemOf finds the record that a call to crm.item.* names.
func (c *call) itemOf() (*entityType, *record, *restError) {
	t, err := c.itemType()
	if err != nil {
		return nil, nil, err
	}
	id, err := c.wholeNumber("id")
	if err != nil {
		return nil, nil, err
	}
	r := &record{}
	if !c.portal.tables[t.id].load(id, r) {
		return nil, nil, errItemNotFound
	}
	return t, r, nil
}

// itemUpdate is crm.item.update, which returns the whole item. It saves nothing if no value
// changes, so that the time of change stays.
func itemUpdate(c *call, dst []byte) ([]byte, page, *restError) {
	t, r, err := c.itemOf()
	if err != nil {
		return dst, page{}, err
	}
	fields, err := c.itemFieldsParam()
	if err != nil {
		return dst, page{}, err
	}
	if err := c.draft(t, c.itemNaming(), r).update(fields); err != nil {
		return dst, page{}, err
	}
	return c.appendItem(dst, t, r.id), page{}, nil
}

// itemDelete is crm.item.delete, which returns an empty PHP map.
func itemDelete(c *call, dst []byte) ([]byte, page, *restError) {
	t, r, err := c.itemOf()
	if err != nil {
		return dst, page{}, err
	}
	c.portal.remove(c.portal.tables[t.id], r.id)
	c.portal.announce(verbDelete, t, r.id, c.actor())
	return append(dst, "[]"...), page{}, nil
}

func invalidValue(name string) *restError {
	return &restError{400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", `Invalid value for field "` + name + `"`}
}
