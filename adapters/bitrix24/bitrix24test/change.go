package bitrix24test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

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
	p.lastPoint = max(p.lastPoint, lastSeededPoint(seed.last()))
}

// Put adds a record, or changes the one that has the id given in fields, and returns its id.
// Fields may go by any of their names. Values are nil, strings, integers, floats, booleans,
// [time.Time], []int64, []string, and []Multifield for "fm". The time of change is set to now
// unless fields has "updatedTime". It panics if the type or a field is unknown, or a value does
// not fit its field: that is a mistake in the test. Like Touch and Delete it is what a colleague
// does in the portal: it makes events. It stores what it is given: bindings show on this record
// only, and no stage or title follows from others.
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
	id, _ := values[t.typ.idField].(int64)
	if id < 0 {
		panic("bitrix24test: Put: ids are positive")
	}
	if id == 0 {
		id = t.lastID() + 1
	}
	verb := verbAdd
	if t.load(id, &record{}) {
		verb = verbUpdate
	}
	p.change(t, id, values)
	p.announce(verb, t.typ, id, p.colleague())
	return id
}

// Touch changes records that exist: it rewrites their comment and sets their time of change to
// now, with an event for each. It panics if one does not exist.
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
		p.announce(verbUpdate, t.typ, id, p.colleague())
	}
}

// colleague is who Put, Touch and Delete act for.
func (p *Portal) colleague() actor { return actor{userID: p.webhookUser} }

// Delete removes records, with an event for each; those that do not exist are ignored.
func (p *Portal) Delete(entityTypeID int, ids ...int64) {
	p.records.Lock()
	defer p.records.Unlock()
	t := p.table(entityTypeID)
	for _, id := range ids {
		if p.remove(t, id) {
			p.announce(verbDelete, t.typ, id, p.colleague())
		}
	}
}

// remove deletes a record and what binds others to it, and reports whether it existed.
func (p *Portal) remove(t *table, id int64) bool {
	if !t.load(id, &record{}) {
		return false
	}
	if _, _, seeded := t.seeded(id); seeded {
		t.gone[id] = struct{}{}
	} else if at, exact := slices.BinarySearch(t.added, id); exact {
		t.added = slices.Delete(t.added, at, at+1)
	}
	delete(t.own, id)
	p.unbindAll(t.typ.id, id)
	return true
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
	last := t.highest
	if n := len(t.seeds); n > 0 {
		last = max(last, t.seeds[n-1].last())
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
	t.highest = max(t.highest, id)
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
	t.newest = max(t.newest, r.created)
}

// amend is change without a new time of change.
func (p *Portal) amend(t *table, r *record, values map[*field]any) {
	values[t.typ.byUniversal["updatedTime"]] = r.updated
	p.change(t, r.id, values)
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
		p.lastPoint = max(p.lastPoint, points[i].ID)
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
