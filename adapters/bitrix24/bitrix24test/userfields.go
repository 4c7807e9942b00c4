package bitrix24test

import (
	"slices"
	"strconv"
	"strings"
)

// Bounds of userfields: the length of a name with its prefix (sheet 3.3), and how many a type may
// get at run time.
const (
	maxUserFieldName = 50
	maxUserFields    = 1000
)

// firstUserField is one less than the id of a type's first userfield.
func firstUserField(t *entityType) int { return 100 * t.id }

// userFieldAdd is crm.{contact,company,deal,lead}.userfield.add, for administrators. It returns
// the id.
func userFieldAdd(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		fields := c.params.fold("fields")
		switch {
		case !c.isAdmin():
			return dst, page{}, &restError{400, "", "Access denied."}
		case !fields.isArray():
			return dst, page{}, errFieldsNotArray
		}
		uf, err := readUserField(t, fields)
		if err != nil {
			return dst, page{}, err
		}
		t.addUserField(newUserField(uf))
		c.portal.prepare(t)
		id := firstUserField(t)
		for _, f := range t.fields {
			if f.userField() {
				id++
			}
		}
		text := strconv.Itoa(id)
		c.portal.emit(t.event+"USERFIELDADD", text, fieldsData(texts("ID", text)), c.actor())
		return append(dst, text...), page{}, nil
	}
}

// readUserField checks the description of a userfield. The wordings of refusals are not
// documented.
func readUserField(t *entityType, fields *node) (UserField, *restError) {
	refuse := func(text string) (UserField, *restError) { return UserField{}, &restError{400, "ERROR_CORE", text} }
	name := strings.ToUpper(fields.get("FIELD_NAME").string())
	if !strings.HasPrefix(name, "UF_CRM_") {
		name = "UF_CRM_" + name
	}
	typ, multiple := fields.get("USER_TYPE_ID").string(), fields.get("MULTIPLE").string() == "Y"
	_, known := userKind(typ, multiple)
	switch {
	case name == "UF_CRM_" || len(name) > maxUserFieldName || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "":
		return refuse("Invalid field name: only A-Z, 0-9 and _, at most 50 characters")
	case !known:
		return refuse("Unknown or unsupported user type")
	case t.byClassic[name] != nil:
		return refuse("Field " + name + " already exists")
	case len(t.fields) > maxUserFields:
		return refuse("Too many fields")
	}
	uf := UserField{EntityTypeID: t.id, Name: name, Type: typ, Multiple: multiple, Mandatory: fields.get("MANDATORY").string() == "Y"}
	for _, key := range []string{"LABEL", "EDIT_FORM_LABEL", "LIST_COLUMN_LABEL"} {
		label := fields.get(key)
		if label.isArray() && len(label.items) > 0 { // one text per language
			label = label.items[0]
		}
		uf.Label = orDefault(uf.Label, label.string())
	}
	if list := fields.get("LIST"); typ == "enumeration" && list.isArray() {
		uf.Options = userFieldOptions(list)
	}
	return uf, nil
}

// userFieldOptions returns the texts of an enumeration in the order of SORT.
func userFieldOptions(list *node) []string {
	items := slices.Clone(list.items)
	slices.SortStableFunc(items, func(a, b *node) int { return int(a.get("SORT").number() - b.get("SORT").number()) })
	options := []string{}
	for _, item := range items {
		if text := item.get("VALUE").string(); text != "" {
			options = append(options, text)
		}
	}
	return options
}
