package bitrix24test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Seed describes a run of records whose values follow from their ids, so that they take no memory.
type Seed struct {
	Count   int   // how many records
	FirstID int64 // id of the first; 0 means 1. Ids beyond 2^53 are fine
	Stride  int64 // distance between two ids; 0 means 1

	// Updated returns the time of change of record i, from 0 to Count-1, and is called on every
	// look at a record: it must be quick, must always give the same answer and must not call the
	// portal. A filter on the time of change looks at every record in the range of ids, some ten
	// million a second. If it is nil, records changed one second after the other, the last one
	// a day before the call of [Portal.Seed].
	Updated func(i int) time.Time
}

func (s *Seed) id(i int) int64 { return s.FirstID + int64(i)*s.Stride }
func (s *Seed) last() int64    { return s.id(s.Count - 1) }

// indexFrom returns the index of the first record with an id of at least id.
func (s *Seed) indexFrom(id int64) int {
	if id <= s.FirstID {
		return 0
	}
	if id > s.last() {
		return s.Count
	}
	return int((uint64(id-s.FirstID) + uint64(s.Stride) - 1) / uint64(s.Stride))
}

// Multifield is one phone number, e-mail address, web page or messenger of a record (sheet 5.5).
type Multifield struct {
	ID        int64  // 0 lets Put choose one
	TypeID    string // PHONE, EMAIL, WEB, IM or LINK
	ValueType string // WORK, MOBILE, HOME and so on
	Value     string
}

// record is one record while somebody looks at it.
type record struct {
	typ              *entityType
	id               int64
	created, updated int64 // Unix seconds
	seeded           bool
	mix              uint64         // what seeded values are drawn from
	values           map[*field]any // int64, string, []int64, []string, []Multifield, or nil for none

	points      []Multifield // see multifields
	flat        [len(flatFields)]string
	pointsKnown bool
}

// value returns a value of the kinds that are kept as numbers.
func (r *record) value(f *field) (int64, bool) {
	if r.values != nil {
		if v, own := r.values[f]; own {
			n, found := v.(int64)
			return n, found
		}
	}
	if f.number == nil {
		return 0, false
	}
	return f.number(r)
}

// appendText appends a text; nothing means that the record has none.
func (r *record) appendText(dst []byte, f *field) []byte {
	if r.values != nil {
		if v, own := r.values[f]; own {
			text, _ := v.(string)
			return append(dst, text...)
		}
	}
	if f.text == nil || !r.seeded && f.kind != kindFlat {
		return dst
	}
	return f.text(dst, r)
}

func (r *record) appendInts(dst []int64, f *field) []int64 {
	if v, own := r.values[f]; own {
		ids, _ := v.([]int64)
		return append(dst, ids...)
	}
	if f.ints == nil {
		return dst
	}
	return f.ints(dst, r)
}

func (r *record) textList(f *field) []string {
	if v, own := r.values[f]; own {
		texts, _ := v.([]string)
		return texts
	}
	if f.texts == nil || !r.seeded {
		return nil
	}
	return f.texts(r)
}

// multifields returns the record's multifields; they stay valid until it is loaded anew.
func (r *record) multifields() []Multifield {
	if r.pointsKnown {
		return r.points
	}
	r.pointsKnown = true
	v, own := r.values[r.typ.fm]
	if !own {
		if r.seeded && r.typ.fm != nil {
			seededPoints(r)
		}
		return r.points
	}
	points, _ := v.([]Multifield)
	r.points = append(r.points, points...)
	for _, point := range r.points {
		for i, flat := range flatFields {
			if r.flat[i] == "" && flat.typeID == point.TypeID && (flat.valueType == "" || flat.valueType == point.ValueType) {
				r.flat[i] = point.Value
			}
		}
	}
	return r.points
}

// flatFields are the fields of crm.item.* that show one multifield: the first of its types.
var flatFields = [...]struct{ name, typeID, valueType string }{
	flatPhone: {"phone", "PHONE", ""}, flatPhoneWork: {"phoneWork", "PHONE", "WORK"},
	flatPhoneMobile: {"phoneMobile", "PHONE", "MOBILE"}, flatPhoneMailing: {"phoneMailing", "PHONE", "MAILING"},
	flatEmail: {"email", "EMAIL", ""}, flatEmailHome: {"emailHome", "EMAIL", "HOME"},
	flatEmailWork: {"emailWork", "EMAIL", "WORK"}, flatEmailMailing: {"emailMailing", "EMAIL", "MAILING"},
	flatImol: {"imol", "IM", "IMOL"},
}

const (
	flatPhone = iota
	flatPhoneWork
	flatPhoneMobile
	flatPhoneMailing
	flatEmail
	flatEmailHome
	flatEmailWork
	flatEmailMailing
	flatImol
)

// flatValue returns what the field at this place of flatFields shows, or "".
func (r *record) flatValue(place int) string {
	r.multifields()
	return r.flat[place]
}

// table holds the records of one entity type: seeded ones by description, and those that were
// added or changed one by one.
type table struct {
	typ   *entityType
	seeds []Seed // by id, without overlap
	own   map[int64]*record
	added []int64            // ids in own that no seed has, ascending
	gone  map[int64]struct{} // deleted seeded records
}

// load fills r with the record, or reports that there is none.
func (t *table) load(id int64, r *record) bool {
	at, index, found := t.seeded(id)
	if !found {
		at = -1
	}
	return t.fill(r, id, at, index)
}

func (t *table) seeded(id int64) (seed, index int, found bool) {
	seed = t.seedFrom(id)
	if seed == len(t.seeds) {
		return 0, 0, false
	}
	index = t.seeds[seed].indexFrom(id)
	return seed, index, t.seeds[seed].id(index) == id
}

// seedFrom returns the first seed that ends at id or later.
func (t *table) seedFrom(id int64) int {
	at, _ := slices.BinarySearchFunc(t.seeds, id, func(s Seed, id int64) int {
		if s.last() < id {
			return -1
		}
		return 1
	})
	return at
}

// fill loads the record with this id, which stands at index of a seed unless seed is negative.
func (t *table) fill(r *record, id int64, seed, index int) bool {
	points := r.points[:0]
	if len(t.own) > 0 {
		if own := t.own[id]; own != nil {
			*r = *own
			r.points = points
			return true
		}
	}
	if seed < 0 {
		return false
	}
	if len(t.gone) > 0 {
		if _, gone := t.gone[id]; gone {
			return false
		}
	}
	updated := t.seeds[seed].Updated(index).Unix()
	*r = record{
		typ: t.typ, id: id, seeded: true, mix: spread(uint64(id) ^ uint64(t.typ.id)<<56),
		updated: updated, created: updated - 30*86400, points: points,
	}
	return true
}

// bounds is a range of ids, both ends included.
type bounds struct{ low, high int64 }

var everyID = bounds{math.MinInt64, math.MaxInt64}

// cursor walks the ids of a table in order.
type cursor struct {
	table       *table
	bounds      bounds
	down        bool
	seed, index int // the next seeded record
	added       int // the next added one
}

func (t *table) cursor(b bounds, down bool) *cursor {
	c := &cursor{table: t, bounds: b, down: down}
	if !down {
		c.seed = t.seedFrom(b.low)
		if c.seed < len(t.seeds) {
			c.index = t.seeds[c.seed].indexFrom(b.low)
		}
		c.added, _ = slices.BinarySearch(t.added, b.low)
		return c
	}
	c.seed = t.seedFrom(b.high)
	if c.seed == len(t.seeds) || t.seeds[c.seed].FirstID > b.high {
		c.seed--
	}
	if c.seed >= 0 {
		s := &t.seeds[c.seed]
		if c.index = s.indexFrom(b.high); c.index == s.Count || s.id(c.index) > b.high {
			c.index--
		}
	}
	at, exact := slices.BinarySearch(t.added, b.high)
	if c.added = at; !exact {
		c.added--
	}
	return c
}

// next loads the next record that is not deleted.
func (c *cursor) next(r *record) bool {
	for {
		id, seed, index, found := c.step()
		if !found {
			return false
		}
		if c.table.fill(r, id, seed, index) {
			return true
		}
	}
}

// step takes the nearer one of the next seeded and the next added record.
func (c *cursor) step() (id int64, seed, index int, found bool) {
	seed = -1
	if c.seed >= 0 && c.seed < len(c.table.seeds) {
		seed, index = c.seed, c.index
		id, found = c.table.seeds[seed].id(index), true
	}
	if c.added >= 0 && c.added < len(c.table.added) {
		if added := c.table.added[c.added]; !found || added < id != c.down {
			id, seed, found = added, -1, true
		}
	}
	if !found || id < c.bounds.low || id > c.bounds.high {
		return 0, 0, 0, false
	}
	c.advance(seed >= 0)
	return id, seed, index, true
}

func (c *cursor) advance(seeded bool) {
	step := 1
	if c.down {
		step = -1
	}
	if !seeded {
		c.added += step
		return
	}
	c.index += step
	if c.index >= 0 && c.index < c.table.seeds[c.seed].Count {
		return
	}
	c.seed += step
	c.index = 0
	if c.down && c.seed >= 0 {
		c.index = c.table.seeds[c.seed].Count - 1
	}
}

// count tells how many records have an id within b, without looking at each.
func (t *table) count(b bounds) int64 {
	if b.low > b.high {
		return 0
	}
	total := int64(0)
	for i := range t.seeds {
		s := &t.seeds[i]
		end := s.Count
		if b.high < s.last() {
			end = s.indexFrom(b.high + 1)
		}
		total += int64(max(0, end-s.indexFrom(b.low)))
	}
	from, _ := slices.BinarySearch(t.added, b.low)
	to, exact := slices.BinarySearch(t.added, b.high)
	if exact {
		to++
	}
	total += int64(to - from)
	for id := range t.gone {
		if id >= b.low && id <= b.high {
			total--
		}
	}
	return total
}

// Seed adds generated records. Their ids must not overlap those of an earlier call for the same
// type; it panics if they do, as it does for an entity type that the portal does not have.
func (p *Portal) Seed(entityTypeID int, seed Seed) {
	p.records.Lock()
	defer p.records.Unlock()
	t := p.table(entityTypeID)
	if seed.Count == 0 {
		return
	}
	if seed.FirstID == 0 {
		seed.FirstID = 1
	}
	if seed.Stride == 0 {
		seed.Stride = 1
	}
	if seed.Count < 0 || seed.FirstID < 0 || seed.Stride < 0 || (math.MaxInt64-seed.FirstID)/seed.Stride < int64(seed.Count-1) {
		panic("bitrix24test: Seed: Count, FirstID and Stride must be positive and the last id must fit in 63 bits")
	}
	if seed.Updated == nil {
		newest, last := time.Now().Add(-24*time.Hour), seed.Count-1
		seed.Updated = func(i int) time.Time { return newest.Add(-time.Duration(last-i) * time.Second) }
	}
	at := t.seedFrom(seed.FirstID)
	if at < len(t.seeds) && t.seeds[at].FirstID <= seed.last() {
		panic("bitrix24test: Seed: the ids overlap those of an earlier seed")
	}
	for id := range t.own {
		if id >= seed.FirstID && id <= seed.last() {
			panic("bitrix24test: Seed: call it before Put; record " + strconv.FormatInt(id, 10) + " exists")
		}
	}
	t.seeds = slices.Insert(t.seeds, at, seed)
}

// Put adds a record, or changes the one that has the id given in fields, and returns its id.
// Fields may go by any of their names. Values are nil, strings, integers, floats, booleans,
// [time.Time], []int64, []string, and []Multifield for "fm". The time of change is set to now
// unless fields has "updatedTime". It panics if the type or a field is unknown, or a value does
// not fit its field: that is a mistake in the test.
func (p *Portal) Put(entityTypeID int, fields map[string]any) int64 {
	p.records.Lock()
	defer p.records.Unlock()
	t := p.table(entityTypeID)
	values := make(map[*field]any, len(fields))
	for name, value := range fields {
		f := t.typ.anyName(name)
		if f == nil {
			panic(fmt.Sprintf("bitrix24test: Put: entity type %d has no field %q", entityTypeID, name))
		}
		values[f] = p.kept(f, value)
	}
	id, _ := values[t.typ.id_].(int64)
	if id < 0 {
		panic("bitrix24test: Put: ids are positive")
	}
	if id == 0 {
		id = t.lastID() + 1
	}
	p.change(t, id, values)
	return id
}

// Touch changes records that exist: it rewrites their comment and sets their time of change to
// now. It panics if one does not exist.
func (p *Portal) Touch(entityTypeID int, ids ...int64) {
	p.records.Lock()
	defer p.records.Unlock()
	t := p.table(entityTypeID)
	comment := t.typ.byUniversal["comments"]
	for _, id := range ids {
		if !t.load(id, &record{}) {
			panic(fmt.Sprintf("bitrix24test: Touch: entity type %d has no record %d", entityTypeID, id))
		}
		p.touches++
		p.change(t, id, map[*field]any{comment: "Touched " + strconv.Itoa(p.touches)})
	}
}

// Delete removes records; those that do not exist are ignored.
func (p *Portal) Delete(entityTypeID int, ids ...int64) {
	p.records.Lock()
	defer p.records.Unlock()
	t := p.table(entityTypeID)
	for _, id := range ids {
		if _, _, seeded := t.seeded(id); seeded {
			t.gone[id] = struct{}{}
		} else if at, exact := slices.BinarySearch(t.added, id); exact {
			t.added = slices.Delete(t.added, at, at+1)
		}
		delete(t.own, id)
	}
}

// table returns the records of a type that must exist.
func (p *Portal) table(entityTypeID int) *table {
	t := p.tables[entityTypeID]
	if t == nil {
		panic(fmt.Sprintf("bitrix24test: the portal has no entity type %d", entityTypeID))
	}
	return t
}

func (t *table) lastID() int64 {
	last := int64(0)
	if n := len(t.seeds); n > 0 {
		last = t.seeds[n-1].last()
	}
	if n := len(t.added); n > 0 {
		last = max(last, t.added[n-1])
	}
	return last
}

// change writes values into a record, which it adds if there is none. Readers hold copies of the
// record but share its map, so the map is replaced.
func (p *Portal) change(t *table, id int64, values map[*field]any) {
	now := time.Now().Unix()
	r := &record{}
	if !t.load(id, r) {
		*r = record{typ: t.typ, id: id, created: now}
		if _, _, seeded := t.seeded(id); seeded {
			delete(t.gone, id)
		} else if at, exact := slices.BinarySearch(t.added, id); !exact {
			t.added = slices.Insert(t.added, at, id)
		}
	}
	r.updated, r.points, r.pointsKnown = now, nil, false
	merged := make(map[*field]any, len(r.values)+len(values))
	for f, v := range r.values {
		merged[f] = v
	}
	for f, v := range values {
		switch f.universal {
		case "id":
		case "createdTime":
			r.created, _ = v.(int64)
		case "updatedTime":
			r.updated, _ = v.(int64)
		default:
			merged[f] = p.numbered(v)
		}
	}
	r.values = merged
	t.own[id] = r
}

// numbered gives ids to multifields that have none.
func (p *Portal) numbered(value any) any {
	points, found := value.([]Multifield)
	if !found {
		return value
	}
	points = slices.Clone(points)
	for i := range points {
		if points[i].ID == 0 {
			p.lastPoint++
			points[i].ID = p.lastPoint
		}
	}
	return points
}

// kept converts a value that a test gave into the form that records keep.
func (p *Portal) kept(f *field, value any) any {
	wrong := func() any {
		panic(fmt.Sprintf("bitrix24test: Put: field %s cannot hold the %T %v", f.name(true)+f.classic, value, value))
	}
	switch v := value.(type) {
	case nil:
		return nil
	case time.Time:
		switch f.kind {
		case kindTime:
			return v.Unix()
		case kindDate:
			return dayOf(v.In(p.location))
		}
	case string:
		switch f.kind {
		case kindText:
			return v
		case kindFlag, kindBool:
			return truth(v == "Y" || v == "1")
		case kindTime, kindDate:
			if n, ok := p.parseTime(v, f.kind); ok {
				return n
			}
		}
	case bool:
		if f.kind == kindFlag || f.kind == kindBool {
			return truth(v)
		}
	case int:
		return p.kept(f, int64(v))
	case int64:
		switch f.kind {
		case kindInt, kindLink:
			return v
		case kindMoney:
			return v * 100
		case kindTexts, kindText, kindFlat, kindInts, kindMulti, kindFM:
			return wrong()
		}
		return v
	case float64:
		if f.kind == kindMoney {
			return int64(math.Round(v * 100))
		}
	case []int64:
		if f.kind == kindInts {
			return slices.Clone(v)
		}
	case []string:
		if f.kind == kindTexts {
			return slices.Clone(v)
		}
	case []Multifield:
		if f.kind == kindFM {
			return slices.Clone(v)
		}
	}
	return wrong()
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
