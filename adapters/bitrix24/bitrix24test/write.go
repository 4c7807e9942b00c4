package bitrix24test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

// draft is a record that a request adds or changes, before anything of it is stored.
type draft struct {
	portal    *Portal
	typ       *entityType
	table     *table
	naming    naming
	by        actor
	adding    bool
	importing bool    // fields that the portal sets itself may be given
	record    *record // as it is now; an empty one when adding
	values    map[*field]any

	points        []Multifield // nil until one of them matters
	touchedPoints bool
	linked        []binding // nil unless given
}

// draft begins the change of a record, or a new one if there is none.
func (c *call) draft(t *entityType, style naming, r *record) *draft {
	d := &draft{portal: c.portal, typ: t, table: c.portal.tables[t.id], naming: style, by: c.actor(), record: r, values: map[*field]any{}}
	if r == nil {
		d.adding, d.record = true, &record{typ: t, created: time.Now().Unix()}
	}
	return d
}

// add stores a new record and returns its id.
func (d *draft) add(fields *node) (int64, *restError) {
	if err := d.read(fields); err != nil {
		return 0, err
	}
	id := d.table.lastID() + 1
	d.fillIn(id)
	if err := d.complete(); err != nil {
		return 0, err
	}
	d.store(id)
	if !d.importing || !d.portal.quirks.SilentImports {
		d.portal.announce(verbAdd, d.typ, id, d.by)
	}
	return id, nil
}

// update stores what changes in the record.
func (d *draft) update(fields *node) *restError {
	if err := d.read(fields); err != nil {
		return err
	}
	if len(d.values) == 0 || d.naming != classicNames && !d.changes() {
		return nil
	}
	category, before := d.typ.byUniversal["categoryId"], int64(0)
	if category != nil {
		before, _ = d.record.value(category)
	}
	d.values[d.typ.byUniversal["updatedBy"]] = int64(d.by.userID)
	d.store(d.record.id)
	d.portal.announce(verbUpdate, d.typ, d.record.id, d.by)
	if after, moved := d.values[category].(int64); moved && d.typ.id == Deal && after != before {
		d.portal.announceMove(d.record.id, after, d.by)
	}
	return nil
}

// read takes the fields of a request over into values. What the type does not know, and what the
// portal sets itself, is passed over without a word (F34).
func (d *draft) read(fields *node) *restError {
	for i, name := range fields.keys {
		value, link := fields.items[i], d.typ.link
		if d.naming == classicNames && name == link.alias {
			d.linked = bind(idsOf(value), 0)
			continue
		}
		f := d.typ.lookup(name, d.naming)
		if f == nil && d.importing && d.naming != classicNames {
			if f = d.typ.byClassic[name]; f != nil && f.kind != kindMulti {
				f = nil // imports take multifields in the classic form only
			}
		}
		if f == nil || f.readOnly && !(d.importing && importable(f)) {
			continue
		}
		if err := d.readField(f, name, value); err != nil {
			return err
		}
	}
	return d.derive()
}

// importable tells whether an import may set a field that is read-only otherwise.
func importable(f *field) bool {
	return slices.Contains([]string{"createdTime", "updatedTime", "movedTime", "createdBy", "updatedBy", "movedBy"}, f.universal)
}

func (d *draft) readField(f *field, name string, value *node) *restError {
	switch {
	case f.kind == kindMulti:
		return d.patchClassic(f.classic, value)
	case f.kind == kindFM:
		return d.patchFM(value)
	case d.naming != classicNames && !d.adding && d.portal.quirks.IgnoreClearing && d.clears(f, value):
		return nil
	case f == d.typ.link.list:
		d.linked = bind(idsOf(value), 0)
		return nil
	}
	kept, ok := d.portal.given(f, value)
	if !ok {
		if d.naming != classicNames {
			return invalidValue(name)
		}
		return nil
	}
	d.values[f] = kept
	return nil
}

// clears tells whether a value would empty a field that users report as impossible to empty (Q19).
func (d *draft) clears(f *field, value *node) bool {
	if value.isArray() {
		return len(value.items) == 0
	}
	return d.typ.id == Company && !value.truthy()
}

// derive adds what follows from the given values.
func (d *draft) derive() *restError {
	l := d.typ.link
	if primary, given := d.values[l.primary]; l.primary != nil && given && d.linked == nil {
		if before, _ := d.record.value(l.primary); d.adding || primary != before && !(primary == nil && before == 0) {
			id, _ := primary.(int64)
			d.linked = bind([]int64{id}, 0)
		}
	}
	if d.linked != nil {
		l.store(d.values, d.linked)
	}
	if d.touchedPoints {
		d.values[d.typ.fm] = d.points
	}
	return d.moveStage()
}

// fillIn gives a new record the portal's defaults for what the request left out.
func (d *draft) fillIn(id int64) {
	t := d.typ
	user := int64(d.by.userID)
	for name, value := range map[string]any{
		"title": t.title + " #" + strconv.FormatInt(id, 10), "currencyId": "EUR", "opportunity": int64(0), "opened": int64(1),
		"createdBy": user, "updatedBy": user, "movedBy": user, "assignedById": user, "typeId": t.defaultType(), "categoryId": int64(0),
	} {
		f := t.byUniversal[name]
		if f == nil || value == "" {
			continue
		}
		if d.values[f] == nil {
			d.values[f] = value
		}
	}
}

// defaultType is the first entry of the dictionary of a type's typeId, which people see as "type".
func (t *entityType) defaultType() string {
	switch t.id {
	case Contact:
		return "CLIENT"
	case Company:
		return "CUSTOMER"
	case Deal:
		return "SALE"
	default:
		return ""
	}
}

// complete checks what a new record must have, and the times of an import.
func (d *draft) complete() *restError {
	t := d.typ
	missing := ""
	if t.id == Contact && empty(d.values[t.byUniversal["name"]]) && empty(d.values[t.byUniversal["lastName"]]) {
		missing = t.byUniversal["name"].byName(d.naming)
	}
	for _, f := range t.fields {
		if f.required && empty(d.values[f]) {
			missing = f.byName(d.naming)
		}
	}
	if missing != "" {
		if d.naming == classicNames {
			return &restError{400, "ERROR_CORE", "Required field '" + missing + "' is empty"}
		}
		return &restError{400, "CRM_FIELD_ERROR_REQUIRED", `Field "` + missing + `" is required`}
	}
	if d.importing {
		return d.checkTimes()
	}
	return nil
}

func empty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case []string:
		return len(value) == 0
	case []int64:
		return len(value) == 0
	}
	return false
}

// byName is the field's name in this style of request.
func (f *field) byName(style naming) string {
	if style == classicNames {
		return f.classic
	}
	return f.name(style == originalNames)
}

// checkTimes holds an import to its order: created, moved, updated, now, and nothing older than
// what exists (sheet 5.9). Of seeded records it looks at the last one only.
func (d *draft) checkTimes() *restError {
	now := time.Now().Unix()
	at := func(name string, otherwise int64) int64 {
		if n, given := d.values[d.typ.byUniversal[name]].(int64); given {
			return n
		}
		return otherwise
	}
	created, changed := at("createdTime", now), at("updatedTime", now)
	moved := created
	if d.typ.byUniversal["movedTime"] != nil {
		moved = at("movedTime", created)
	}
	wrong := ""
	switch {
	case created > now || created < d.table.newestCreation():
		wrong = "createdTime"
	case changed > now || changed < created:
		wrong = "updatedTime"
	case moved < created || moved > changed:
		wrong = "movedTime"
	default:
		return nil
	}
	if d.naming == classicNames {
		return &restError{400, "ERROR_CORE", "Invalid value of field '" + d.typ.byUniversal[wrong].classic + "'"}
	}
	return invalidValue(wrong)
}

func (t *table) newestCreation() int64 {
	newest := t.newest
	for i := range t.seeds {
		r := &record{}
		if t.load(t.seeds[i].last(), r) {
			newest = max(newest, r.created)
		}
	}
	return newest
}

// changes tells whether any value differs from the record's.
func (d *draft) changes() bool {
	for f, value := range d.values {
		if !same(d.record.current(f), value) {
			return true
		}
	}
	return false
}

// store writes the values and keeps both sides of bindings equal.
func (d *draft) store(id int64) {
	before := d.record.bindings()
	d.portal.change(d.table, id, d.values)
	if d.linked != nil {
		d.portal.mirror(d.typ, id, before, d.linked)
	}
}

// stages returns the dictionary of a type's stages in one of its funnels, or nil where the portal
// takes any text.
func stages(t *entityType, category int64) [][3]string {
	name := ""
	switch {
	case t.id == Lead:
		name = "STATUS"
	case t.id == Deal && category == 0:
		name = "DEAL_STAGE"
	case t.id == Deal:
		name = fmt.Sprintf("DEAL_STAGE_%d", category)
	}
	for _, dictionary := range statuses {
		if dictionary.entity == name {
			return dictionary.entries
		}
	}
	return nil
}

// moveStage checks funnel and stage, and sets what follows from them.
func (d *draft) moveStage() *restError {
	t := d.typ
	stage := t.byUniversal["stageId"]
	if stage == nil {
		return nil
	}
	category, refiled, err := d.category()
	if err != nil {
		return err
	}
	known := stages(t, category)
	if known == nil {
		if d.adding && d.values[stage] == nil {
			d.values[stage] = "NEW"
		}
		return nil
	}
	name, given := d.values[stage].(string)
	if !given && !refiled && !d.adding {
		delete(d.values, stage) // a stage cannot be emptied
		return nil
	}
	at := slices.IndexFunc(known, func(s [3]string) bool { return s[0] == name })
	switch {
	case at >= 0:
	case given && d.naming != classicNames:
		return invalidValue(stage.universal)
	case given && !d.adding && !refiled:
		delete(d.values, stage)
		return nil
	default:
		at = 0
	}
	d.values[stage] = known[at][0]
	d.enter(stage, known[at][2])
	return nil
}

// category returns the funnel that the record is in after the write, and whether that is new.
func (d *draft) category() (category int64, refiled bool, err *restError) {
	f := d.typ.byUniversal["categoryId"]
	if f == nil {
		return 0, false, nil
	}
	if !d.adding {
		category, _ = d.record.value(f)
	}
	value, given := d.values[f]
	if !given {
		return category, false, nil
	}
	wanted, _ := value.(int64)
	if wanted != 0 && stages(d.typ, wanted) == nil && d.typ.id == Deal {
		if d.naming != classicNames {
			return 0, false, invalidValue(f.universal)
		}
		delete(d.values, f)
		return category, false, nil
	}
	d.values[f] = wanted
	return wanted, wanted != category, nil
}

// enter sets what a stage brings with it: semantics, and the time and author of the move.
func (d *draft) enter(stage *field, semantics string) {
	t, now := d.typ, time.Now().Unix()
	set := func(name string, value any) {
		if f := t.byUniversal[name]; f != nil {
			d.values[f] = value
		}
	}
	set("stageSemanticId", semantics)
	if t.id == Deal {
		set("closed", truth(semantics != "P"))
	}
	if d.adding {
		return
	}
	if same(d.record.current(stage), d.values[stage]) {
		return
	}
	set("movedTime", now)
	set("movedBy", int64(d.by.userID))
	if closed := any(now); t.id == Lead {
		if semantics == "P" {
			closed = nil
		}
		set("dateClosed", closed)
	}
}

// convertLead makes a deal of a lead that was just added, and a contact of who it names, where
// the portal works without leads (sheet 5.1, Q33). The lead is gone then, without an event.
func (c *call) convertLead(t *entityType, id int64) {
	p := c.portal
	if t.id != Lead || !p.quirks.SimpleCRM {
		return
	}
	lead := &record{}
	p.tables[Lead].load(id, lead)
	deal := c.draft(p.types[Deal], universalNames, nil)
	for _, name := range []string{
		"title", "opportunity", "currencyId", "assignedById", "sourceId", "sourceDescription", "comments", "originatorId", "originId",
		"utmSource", "utmMedium", "utmCampaign", "utmContent", "utmTerm", "companyId",
	} {
		deal.values[deal.typ.byUniversal[name]] = lead.current(t.byUniversal[name])
	}
	deal.values[deal.typ.byUniversal["leadId"]] = id
	deal.linked = lead.bindings()
	if contact := c.leadContact(lead); contact > 0 {
		deal.linked = append(deal.linked, binding{id: contact, sort: int64(len(deal.linked)+1) * 10})
	}
	deal.linked = promote(deal.linked)
	deal.add(newArray())
	if !p.quirks.KeepConvertedLeads {
		p.remove(p.tables[Lead], id)
		return
	}
	p.change(p.tables[Lead], id, map[*field]any{t.byUniversal["stageId"]: "CONVERTED", t.byUniversal["stageSemanticId"]: "S", t.byUniversal["dateClosed"]: time.Now().Unix()})
	p.announce(verbUpdate, t, id, c.actor())
}

// leadContact adds the contact that a lead names, or returns 0 if it names none.
func (c *call) leadContact(lead *record) int64 {
	contact := c.draft(c.portal.types[Contact], universalNames, nil)
	for _, name := range []string{"name", "secondName", "lastName", "honorific", "post", "birthdate"} {
		contact.values[contact.typ.byUniversal[name]] = lead.current(lead.typ.byUniversal[name])
	}
	contact.values[contact.typ.byUniversal["leadId"]] = lead.id
	for _, point := range lead.multifields() {
		point.ID = 0
		contact.points, contact.touchedPoints = append(contact.points, point), true
	}
	id, err := contact.add(newArray())
	if err != nil {
		return 0
	}
	return id
}

func invalidValue(name string) *restError {
	return &restError{400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", `Invalid value for field "` + name + `"`}
}

// idsOf reads a list of ids, or a single one.
func idsOf(value *node) []int64 {
	if !value.isArray() {
		return []int64{value.number()}
	}
	ids := []int64{}
	for _, item := range value.items {
		ids = append(ids, item.number())
	}
	return ids
}

// isCurrency tells whether a text looks like a currency code.
func isCurrency(text string) bool {
	return len(text) == 3 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
