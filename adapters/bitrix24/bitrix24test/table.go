package bitrix24test

import (
	"math"
	"slices"
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

// table holds the records of one entity type: seeded ones by description, and those that were
// added or changed one by one.
type table struct {
	typ   *entityType
	seeds []Seed // by id, without overlap
	own   map[int64]*record
	added []int64            // ids in own that no seed has, ascending
	gone  map[int64]struct{} // deleted seeded records

	highest int64 // the highest id that was ever added, as ids are not used twice
	newest  int64 // the latest creation of those added, in Unix seconds
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
