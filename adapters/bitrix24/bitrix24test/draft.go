package bitrix24test

import (
	"slices"
	"strconv"
	"time"
)

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
		d.portal.announceMove(d.record.id, d.by)
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
