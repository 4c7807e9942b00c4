package bitrix24test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// classicGet is crm.{contact,company,deal,lead}.get, which returns userfields and multifields too.
func classicGet(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		id := c.params.fold("id").number()
		if id <= 0 {
			return dst, page{}, errNoID
		}
		fields := slices.DeleteFunc(slices.Clone(t.fields), func(f *field) bool { return f.classic == "" })
		dst, found := c.appendRecord(dst, t, id, classicNames, []column{{fields: fields}})
		if !found {
			return dst, page{}, errNotFound
		}
		return dst, page{}, nil
	}
}

// itemGet is crm.item.get.
func itemGet(c *call, dst []byte) ([]byte, page, *restError) {
	t, err := c.itemType()
	if err != nil {
		return dst, page{}, err
	}
	id, err := c.wholeNumber("id")
	if err != nil {
		return dst, page{}, err
	}
	style := c.itemNaming()
	dst, found := c.appendRecord(append(dst, `{"item":`...), t, id, style, t.everything[style])
	if !found {
		return dst, page{}, errItemNotFound
	}
	return append(dst, '}'), page{}, nil
}

func (c *call) appendRecord(dst []byte, t *entityType, id int64, style naming, columns []column) ([]byte, bool) {
	r := &record{}
	if !c.portal.tables[t.id].load(id, r) {
		return dst, false
	}
	return c.portal.writer(style).row(dst, r, columns), true
}

// classicFieldInfo is crm.{contact,company,deal,lead}.fields.
func classicFieldInfo(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		return c.appendFields(dst, t, classicNames), page{}, nil
	}
}

// itemFieldInfo is crm.item.fields.
func itemFieldInfo(c *call, dst []byte) ([]byte, page, *restError) {
	t, err := c.itemType()
	if err != nil {
		return dst, page{}, err
	}
	dst = c.appendFields(append(dst, `{"fields":`...), t, c.itemNaming())
	return append(dst, '}'), page{}, nil
}

func (c *call) appendFields(dst []byte, t *entityType, style naming) []byte {
	dst = append(dst, '{')
	for _, f := range t.fields {
		key := f.key(style)
		if key == "" {
			continue
		}
		dst = append(append(dst, key...), '{')
		dst = c.appendField(dst, f, style)
		dst = append(dst, "},"...)
	}
	dst[len(dst)-1] = '}'
	return dst
}

func (c *call) appendField(dst []byte, f *field, style naming) []byte {
	multiple := f.kind == kindTexts || f.kind == kindInts || f.kind == kindMulti || f.kind == kindFM
	dst = c.appendText(dst, `"type"`, f.typ)
	dst = strconv.AppendBool(append(dst, `,"isRequired":`...), f.required)
	dst = strconv.AppendBool(append(dst, `,"isReadOnly":`...), f.readOnly)
	dst = append(dst, `,"isImmutable":false`...)
	dst = strconv.AppendBool(append(dst, `,"isMultiple":`...), multiple)
	dst = strconv.AppendBool(append(dst, `,"isDynamic":`...), f.userField())
	dst = c.appendText(dst, `,"title"`, f.title)
	if f.typ == "crm_status" {
		dst = c.appendText(dst, `,"statusType"`, statusType(f.classic))
	}
	if f.userField() && style == classicNames {
		dst = c.appendText(dst, `,"listLabel"`, f.title)
		dst = c.appendText(dst, `,"formLabel"`, f.title)
		dst = c.appendText(dst, `,"filterLabel"`, f.title)
	}
	if len(f.options) > 0 {
		dst = append(dst, `,"items":[`...)
		for i, option := range f.options {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = c.appendText(dst, `{"ID"`, strconv.Itoa(firstOption+i))
			dst = append(c.appendText(dst, `,"VALUE"`, option), '}')
		}
		dst = append(dst, ']')
	}
	if style != classicNames {
		upper := f.classic
		if upper == "" {
			upper = upperName(f.universal)
		}
		dst = c.appendText(dst, `,"upperName"`, upper)
		dst = append(dst, `,"settings":[]`...)
	}
	return dst
}

// upperName makes CONTACT_IDS of contactIds.
func upperName(universal string) string {
	name := strings.Builder{}
	for _, char := range universal {
		if char >= 'A' && char <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(char)
	}
	return strings.ToUpper(name.String())
}

func statusType(classic string) string {
	switch classic {
	case "SOURCE_ID":
		return "SOURCE"
	case "TYPE_ID":
		return "CONTACT_TYPE"
	case "STAGE_ID":
		return "DEAL_STAGE"
	case "STATUS_ID":
		return "STATUS"
	default:
		return classic
	}
}

// userFieldList is crm.{contact,company,deal,lead}.userfield.list. It filters by equality and
// returns the fields in order of their ids.
func userFieldList(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		filter := c.params.fold("filter")
		labels := filter.fold("LANG").string() != ""
		total := int64(0)
		dst = append(dst, '[')
		id := firstUserField(t)
		for _, f := range t.fields {
			if !f.userField() {
				continue
			}
			id++
			row := c.userFieldRow(t, f, id)
			if !row.fits(filter) {
				continue
			}
			if total++; total > 1 {
				dst = append(dst, ',')
			}
			dst = c.appendUserField(dst, f, row, labels)
		}
		return append(dst, ']'), page{hasTotal: true, total: total}, nil
	}
}

// pairs are members of an object in order.
type pairs [][2]string

// fits tells whether the pairs have the values that a filter asks for; what they lack is ignored.
func (row pairs) fits(filter *node) bool {
	for _, pair := range row {
		if wanted := filter.fold(pair[0]); wanted != nil && wanted.string() != pair[1] {
			return false
		}
	}
	return true
}

func (c *call) appendPairs(dst []byte, row pairs) []byte {
	dst = append(dst, '{')
	for i, pair := range row {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = c.appendText(dst, strconv.Quote(pair[0]), pair[1])
	}
	return append(dst, '}')
}

func (c *call) userFieldRow(t *entityType, f *field, id int) pairs {
	return pairs{
		{"ID", strconv.Itoa(id)}, {"ENTITY_ID", t.ufEntity}, {"FIELD_NAME", f.original}, {"USER_TYPE_ID", f.typ},
		{"XML_ID", ""}, {"SORT", strconv.Itoa(id)}, {"MULTIPLE", yesNo(f.kind == kindTexts || f.kind == kindInts)}, {"MANDATORY", yesNo(f.required)},
		{"SHOW_FILTER", "E"}, {"SHOW_IN_LIST", "Y"}, {"EDIT_IN_LIST", "Y"}, {"IS_SEARCHABLE", "N"},
	}
}

func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}

func (c *call) appendUserField(dst []byte, f *field, row pairs, labels bool) []byte {
	dst = c.appendPairs(dst, row)
	dst = append(dst[:len(dst)-1], `,"SETTINGS":[]`...)
	if labels {
		for _, name := range []string{"EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL"} {
			dst = c.appendText(append(dst, ','), strconv.Quote(name), f.title)
		}
	}
	if len(f.options) > 0 {
		dst = append(dst, `,"LIST":[`...)
		for i, option := range f.options {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = c.appendPairs(dst, pairs{{"ID", strconv.Itoa(firstOption + i)}, {"SORT", strconv.Itoa(10 * (i + 1))}, {"VALUE", option}, {"DEF", "N"}, {"XML_ID", ""}})
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// statuses are the portal's dictionaries: entity, then its entries as id, name and semantics.
var statuses = []struct {
	entity  string
	entries [][3]string
}{
	{"STATUS", [][3]string{{"NEW", "New", "P"}, {"IN_PROCESS", "In progress", "P"}, {"CONVERTED", "Won", "S"}, {"JUNK", "Lost", "F"}}},
	{"DEAL_STAGE", [][3]string{{"NEW", "New", "P"}, {"PREPARATION", "Offer", "P"}, {"WON", "Won", "S"}, {"LOSE", "Lost", "F"}}},
	{"DEAL_STAGE_9", [][3]string{{"C9:NEW", "Novo", "P"}, {"C9:WON", "Ganho", "S"}, {"C9:LOSE", "Perdido", "F"}}},
	{"SOURCE", [][3]string{{"CALL", "Call", ""}, {"EMAIL", "E-mail", ""}, {"WEB", "Website", ""}, {"PARTNER", "Partner", ""}, {"OTHER", "Other", ""}}},
	{"CONTACT_TYPE", [][3]string{{"CLIENT", "Client", ""}, {"SUPPLIER", "Supplier", ""}, {"OTHER", "Other", ""}}},
	{"COMPANY_TYPE", [][3]string{{"CUSTOMER", "Customer", ""}, {"PARTNER", "Partner", ""}, {"OTHER", "Other", ""}}},
	{"DEAL_TYPE", [][3]string{{"SALE", "Sale", ""}, {"SERVICES", "Services", ""}}},
	{"HONORIFIC", [][3]string{{"HNR_EN_1", "Mr.", ""}, {"HNR_EN_2", "Ms.", ""}}},
}

// statusList is crm.status.list. It filters by equality.
func statusList(c *call, dst []byte) ([]byte, page, *restError) {
	filter, total := c.params.fold("filter"), int64(0)
	dst = append(dst, '[')
	id := 0
	for _, dictionary := range statuses {
		for i, entry := range dictionary.entries {
			id++
			row := pairs{
				{"ID", strconv.Itoa(id)}, {"ENTITY_ID", dictionary.entity}, {"STATUS_ID", entry[0]}, {"NAME", entry[1]}, {"NAME_INIT", entry[1]},
				{"SORT", strconv.Itoa(10 * (i + 1))}, {"SYSTEM", "Y"}, {"SEMANTICS", entry[2]},
			}
			if !row.fits(filter) {
				continue
			}
			if total++; total > 1 {
				dst = append(dst, ',')
			}
			dst = c.appendPairs(dst, row)
		}
	}
	return append(dst, ']'), page{hasTotal: true, total: total}, nil
}

// categoryList is crm.category.list: deals have two funnels, other types one.
func categoryList(c *call, dst []byte) ([]byte, page, *restError) {
	t, err := c.itemType()
	if err != nil {
		return dst, page{}, err
	}
	dst = append(dst, `{"categories":[`...)
	dst = fmt.Appendf(dst, `{"id":0,"name":"General","sort":100,"entityTypeId":%d,"isDefault":"Y"}`, t.id)
	total := int64(1)
	if t.id == Deal {
		dst = fmt.Appendf(dst, `,{"id":9,"name":"Parcerias","sort":200,"entityTypeId":%d,"isDefault":"N"}`, t.id)
		total++
	}
	return append(dst, "]}"...), page{hasTotal: true, total: total}, nil
}

// typeList is crm.type.list: the smart processes.
func typeList(c *call, dst []byte) ([]byte, page, *restError) {
	dst = append(dst, `{"types":[`...)
	for i, t := range c.portal.smartTypes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, `{"id":%d,"entityTypeId":%d`, t.ID, t.EntityTypeID)
		dst = append(c.appendText(dst, `,"title"`, t.Title), `,"code":"","isCategoriesEnabled":"N","isStagesEnabled":"Y"}`...)
	}
	return append(dst, "]}"...), page{hasTotal: true, total: int64(len(c.portal.smartTypes))}, nil
}
