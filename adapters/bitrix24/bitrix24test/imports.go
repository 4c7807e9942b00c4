package bitrix24test

import "strconv"

// maxImport is how many records crm.item.batchImport takes (sheet 3.3).
const maxImport = 20

// itemImport is crm.item.import: like crm.item.add, but an administrator may set the fields that
// the portal keeps itself (sheet 5.9). It returns the id only.
func itemImport(c *call, dst []byte) ([]byte, page, *restError) {
	t, err := c.itemType()
	if err != nil {
		return dst, page{}, err
	}
	fields, err := c.itemFieldsParam()
	if err != nil {
		return dst, page{}, err
	}
	id, err := c.importOne(t, fields)
	if err != nil {
		return dst, page{}, err
	}
	return append(strconv.AppendInt(append(dst, `{"item":{"id":`...), id, 10), "}}"...), page{}, nil
}

func (c *call) importOne(t *entityType, fields *node) (int64, *restError) {
	d := c.draft(t, c.itemNaming(), nil)
	d.importing = c.isAdmin()
	id, err := d.add(fields)
	if err == nil {
		c.convertLead(t, id)
	}
	return id, err
}

// itemBatchImport is crm.item.batchImport: every record succeeds or fails alone, at its place in
// the answer.
func itemBatchImport(c *call, dst []byte) ([]byte, page, *restError) {
	t, err := c.itemType()
	if err != nil {
		return dst, page{}, err
	}
	data := c.params.get("data")
	switch {
	case data.isNull():
		return dst, page{}, &restError{400, "100", "Could not find value for parameter {data}"}
	case !data.isArray():
		return dst, page{}, wrongType(data.string(), "data", "array")
	case len(data.items) > maxImport:
		return dst, page{}, &restError{400, "MAX_IMPORT_BATCH_SIZE_EXCEEDED", "Maximum import batch size is exceeded: no more than 20 items"}
	}
	dst = append(dst, `{"items":[`...)
	for i, fields := range data.items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if !fields.isArray() {
			dst = c.portal.appendError(dst, wrongType(fields.string(), "data", "array"))
			continue
		}
		id, err := c.importOne(t, fields)
		if err != nil {
			dst = c.portal.appendError(dst, err)
			continue
		}
		dst = append(strconv.AppendInt(append(dst, `{"item":{"id":`...), id, 10), "}}"...)
	}
	return append(dst, "]}"...), page{}, nil
}
