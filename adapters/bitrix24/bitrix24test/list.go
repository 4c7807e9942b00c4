package bitrix24test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// pageSize is how many rows a list method returns at most, whatever the client asks for (F23).
const pageSize = 50

// query is a list request, understood.
type query struct {
	typ     *entityType
	naming  naming
	columns []column
	filter  *filter
	order   []sortKey
	offset  int64
	count   bool // false with start=-1
}

type sortKey struct {
	field *field
	down  bool
}

// classicList is crm.{contact,company,deal,lead}.list.
func classicList(t *entityType) handler {
	return func(c *call, dst []byte) ([]byte, page, *restError) {
		for _, name := range []string{"filter", "order"} {
			if value := c.params.fold(name); !value.isNull() && !value.isArray() {
				return dst, page{}, &restError{400, "", "Parameter '" + name + "' must be array."}
			}
		}
		filter, _ := filterParser{c.portal, t, classicNames}.parse(c.params.fold("filter"))
		start := c.params.fold("start").number()
		q := query{
			typ: t, filter: filter, columns: c.portal.writer(classicNames).columns(t, classicSelect(t, c.params.fold("select"))),
			offset: start / pageSize * pageSize, count: start >= 0,
		}
		order := c.params.fold("order")
		if order.isArray() {
			for i, name := range order.keys {
				if f := t.byClassic[name]; f != nil && sortable(f) {
					q.order = append(q.order, sortKey{f, strings.EqualFold(order.items[i].string(), "DESC")})
				}
			}
		}
		return c.list(dst, q)
	}
}

// classicSelect applies the rules of F30.
func classicSelect(t *entityType, selected *node) []*field {
	names := []string{}
	if selected.isArray() {
		for _, item := range selected.items {
			names = append(names, item.string())
		}
	} else if selected.string() != "" {
		names = append(names, selected.string())
	}
	if len(names) == 0 {
		names = []string{"*", "UF_*"}
	}
	return slices.DeleteFunc(slices.Clone(t.fields), func(f *field) bool {
		switch {
		case f.classic == "":
			return true
		case f.userField():
			return !slices.Contains(names, "UF_*") && !slices.Contains(names, f.classic)
		case f.kind == kindMulti:
			return !slices.Contains(names, f.classic)
		default:
			return !slices.Contains(names, "*") && !slices.Contains(names, f.classic)
		}
	})
}

// itemList is crm.item.list.
func itemList(c *call, dst []byte) ([]byte, page, *restError) {
	t, err := c.itemType()
	if err != nil {
		return dst, page{}, err
	}
	for _, name := range []string{"filter", "order", "select"} {
		if value := c.params.get(name); !value.isNull() && !value.isArray() && value.string() != "" {
			return dst, page{}, wrongType(value.string(), name, "array")
		}
	}
	style := c.itemNaming()
	q := query{typ: t, naming: style, columns: c.portal.itemColumns(t, style, c.params.get("select"))}
	if filter := c.params.get("filter"); filter.isArray() {
		if q.filter, err = (filterParser{c.portal, t, style}).parse(filter); err != nil {
			return dst, page{}, err
		}
	} else {
		q.filter = &filterOfAll
	}
	if q.order, err = itemOrder(t, style, c.params.get("order")); err != nil {
		return dst, page{}, err
	}
	start := c.params.get("start").number()
	q.offset, q.count = max(start, 0), start >= 0
	dst = append(dst, `{"items":`...)
	dst, extras, err := c.list(dst, q)
	return append(dst, '}'), extras, err
}

var filterOfAll = filter{bounds: everyID}

// itemColumns applies the rules of F31.
func (p *Portal) itemColumns(t *entityType, style naming, selected *node) []column {
	names := map[string]bool{}
	if selected.isArray() {
		for _, item := range selected.items {
			names[item.string()] = true
		}
	}
	if len(names) == 0 || len(names) == 1 && names["*"] {
		return t.everything[style]
	}
	return p.writer(style).columns(t, slices.DeleteFunc(t.itemFields(), func(f *field) bool {
		return f.kind == kindFM || !names["*"] && !names[f.name(style == originalNames)]
	}))
}

func itemOrder(t *entityType, style naming, order *node) ([]sortKey, *restError) {
	if !order.isArray() {
		return nil, nil
	}
	keys := []sortKey{}
	for i, name := range order.keys {
		f := t.lookup(name, style)
		if f == nil || !sortable(f) {
			return nil, &restError{400, "INVALID_ARG_VALUE", fmt.Sprintf("Invalid order: field '%s' is not allowed in order", name)}
		}
		direction := order.items[i].string()
		if !strings.EqualFold(direction, "ASC") && !strings.EqualFold(direction, "DESC") {
			return nil, &restError{400, "INVALID_ARG_VALUE", "Invalid order: allowed values are ASC, DESC"}
		}
		keys = append(keys, sortKey{f, strings.EqualFold(direction, "DESC")})
	}
	return keys, nil
}

func sortable(f *field) bool { return f.kind < kindTexts && f.kind != kindFlat }

// list appends the rows of a page as an array.
func (c *call) list(dst []byte, q query) ([]byte, page, *restError) {
	if c.repeatPage {
		q.filter = &filter{bounds: everyID, rest: q.filter.rest}
		q.offset = 0
	}
	w, t := c.portal.writer(q.naming), c.portal.tables[q.typ.id]

	dst = append(dst, '[')
	rows := int64(0)
	emit := func(r *record) bool {
		if rows == pageSize {
			return false
		}
		if rows > 0 {
			dst = append(dst, ',')
		}
		rows++
		dst = w.row(dst, r, q.columns)
		return true
	}
	t.each(q, emit)
	dst = append(dst, ']')
	extras := page{hasTotal: true}
	if q.count {
		extras.total = t.total(q.filter)
		extras.next, extras.hasNext = q.offset+pageSize, rows == pageSize && q.offset+pageSize < extras.total
	}
	return dst, extras, nil
}

// each calls yield with the matching records from the query's offset on, in its order.
func (t *table) each(q query, yield func(*record) bool) {
	byID := len(q.order) == 0 || q.order[0].field == t.typ.idField
	if byID {
		t.scan(q.filter, len(q.order) > 0 && q.order[0].down, q.offset, yield)
		return
	}
	rows := []sortRow{}
	t.scan(q.filter, false, 0, func(r *record) bool {
		rows = append(rows, newSortRow(r, q.order))
		return true
	})
	slices.SortStableFunc(rows, func(a, b sortRow) int { return a.compare(b, q.order) })
	r := &record{}
	for _, row := range rows[min(q.offset, int64(len(rows))):] {
		if t.load(row.id, r) && !yield(r) {
			return
		}
	}
}

// sortRow is what sorting needs of a record.
type sortRow struct {
	id      int64
	numbers []int64
	texts   []string
}

func newSortRow(r *record, order []sortKey) sortRow {
	row := sortRow{id: r.id, numbers: make([]int64, len(order)), texts: make([]string, len(order))}
	for i, key := range order {
		if key.field.kind == kindText {
			row.texts[i] = strings.ToLower(string(r.appendText(nil, key.field)))
		} else if n, found := r.value(key.field); found {
			row.numbers[i] = n
		} else {
			row.numbers[i] = math.MinInt64
		}
	}
	return row
}

func (a sortRow) compare(b sortRow, order []sortKey) int {
	for i, key := range order {
		result := cmp.Or(cmp.Compare(a.numbers[i], b.numbers[i]), strings.Compare(a.texts[i], b.texts[i]))
		if key.down {
			result = -result
		}
		if result != 0 {
			return result
		}
	}
	return cmp.Compare(a.id, b.id)
}

// scan calls yield with the matching records in order of their ids, after skipping some.
func (t *table) scan(f *filter, down bool, skip int64, yield func(*record) bool) {
	r := &record{}
	scratch := []byte{}
	if f.ids != nil {
		ids := slices.Clone(f.ids)
		if down {
			slices.Reverse(ids)
		}
		for _, id := range ids {
			if id < f.bounds.low || id > f.bounds.high || !t.load(id, r) || !f.rest.matches(r, &scratch) {
				continue
			}
			if skip > 0 {
				skip--
			} else if !yield(r) {
				return
			}
		}
		return
	}
	b := f.bounds
	if f.rest.trivial() && skip > 0 {
		b, skip = t.jump(b, down, skip), 0
	}
	for c := t.cursor(b, down); c.next(r); {
		switch {
		case !f.rest.matches(r, &scratch):
		case skip > 0:
			skip--
		case !yield(r):
			return
		}
	}
}

// jump narrows b so that its first skip records are left out, by halving.
func (t *table) jump(b bounds, down bool, skip int64) bounds {
	low, high := max(b.low, 0), min(b.high, t.lastID())
	if down {
		for low <= high { // find the greatest id with at least skip records above it
			middle := low + (high-low)/2
			if t.count(bounds{middle + 1, b.high}) >= skip {
				low = middle + 1
			} else {
				high = middle - 1
			}
		}
		return bounds{b.low, high}
	}
	for low <= high { // find the least id with at least skip records below it
		middle := low + (high-low)/2
		if t.count(bounds{b.low, middle - 1}) >= skip {
			high = middle - 1
		} else {
			low = middle + 1
		}
	}
	return bounds{low, b.high}
}

// total counts the records that match.
func (t *table) total(f *filter) int64 {
	if f.ids == nil && f.rest.trivial() {
		return t.count(f.bounds)
	}
	total := int64(0)
	t.scan(f, false, 0, func(*record) bool {
		total++
		return true
	})
	return total
}
