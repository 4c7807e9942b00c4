package fake

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

// table holds the records of one entity, in the order of (updated, id). Since
// every write is later than the one before, a record that changes moves to the
// end, and a cursor that is such a pair misses nothing.
type table struct {
	entity enlace.Entity
	rows   map[string]*row
	order  []*row
	lastID int
}

type row struct {
	id      string
	updated time.Time
	deleted bool
	fields  map[string]json.RawMessage
	item    json.RawMessage // as it is sent
}

func newTable(e enlace.Entity) *table { return &table{entity: e, rows: map[string]*row{}} }

// get returns a record that exists, or nil.
func (t *table) get(id string) *row {
	if r := t.rows[id]; r != nil && !r.deleted {
		return r
	}
	return nil
}

// put stores a record as it is at that instant, which is the latest one.
func (t *table) put(id string, fields map[string]json.RawMessage, now time.Time) *row {
	r := &row{id: id, updated: now, fields: fields}
	item := map[string]any{}
	for name, value := range fields {
		item[name] = value
	}
	delete(item, "deleted")
	item["id"], item["updated_at"] = id, now
	t.move(r, item)
	return r
}

// remove deletes a record. Where deletions are reported its tombstone is listed,
// elsewhere it is only remembered.
func (t *table) remove(id string, now time.Time) {
	r := &row{id: id, updated: now, deleted: true}
	if t.entity.Incremental == enlace.IncrementalFull {
		t.move(r, map[string]any{"id": id, "updated_at": now, "deleted": true})
		return
	}
	t.take(id)
	t.rows[id] = r
}

// move puts the row at the end of the order, in place of the one with its id.
func (t *table) move(r *row, item map[string]any) {
	var err error
	if r.item, err = json.Marshal(item); err != nil {
		panic(fmt.Sprintf("fake: a record of %s does not marshal: %v", t.entity.Name, err))
	}
	t.take(r.id)
	t.rows[r.id] = r
	t.order = append(t.order, r)
}

func (t *table) take(id string) {
	old, ok := t.rows[id]
	if !ok {
		return
	}
	delete(t.rows, id)
	if at, listed := slices.BinarySearchFunc(t.order, position{old.updated, old.id, 0}, compareRow); listed {
		t.order = slices.Delete(t.order, at, at+1)
	}
}

// newID returns an id that is not in use.
func (t *table) newID() string {
	for {
		t.lastID++
		if id := strconv.Itoa(t.lastID); t.rows[id] == nil {
			return id
		}
	}
}

// position is what a cursor holds: the record behind which to go on, and how many
// of the walk have been read.
type position struct {
	Updated time.Time `json:"t,omitzero"`
	ID      string    `json:"i,omitempty"`
	Read    int       `json:"n,omitempty"`
}

func compareRow(r *row, p position) int {
	return cmp.Or(r.updated.Compare(p.Updated), compareIDs(r.id, p.ID))
}

// compareIDs orders numbers by value.
func compareIDs(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

func (p position) cursor() string {
	text, _ := json.Marshal(p) // fails only for a year beyond 9999
	return base64.RawURLEncoding.EncodeToString(text)
}

func parsePosition(cursor string) (p position, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	return p, err == nil && json.Unmarshal(text, &p) == nil && p.Read >= 0
}

// page reads up to limit records behind the position.
func (t *table) page(p position, limit int) list {
	at, found := slices.BinarySearchFunc(t.order, p, compareRow)
	if found {
		at++
	}
	rows := t.order[at:min(at+limit, len(t.order))]
	l := list{Items: make([]json.RawMessage, len(rows)), Total: p.Read + len(t.order) - at, Done: at+len(rows) == len(t.order)}
	for i, r := range rows {
		l.Items[i] = r.item
		p.Updated, p.ID = r.updated, r.id
	}
	p.Read += len(rows)
	if l.Done {
		p.Read = 0
	}
	if !l.Done || t.entity.Incremental != enlace.IncrementalNone {
		l.Next = p.cursor()
	}
	return l
}

// now is the provider's clock: later than at any write before, so that it gives
// no two writes the same instant. The provider is locked.
func (p *Provider) now() time.Time {
	now := time.Now().Add(p.options.ClockSkew).UTC().Truncate(time.Microsecond)
	if !now.After(p.written) {
		now = p.written.Add(time.Microsecond)
	}
	p.written = now
	return now
}

func (p *Provider) table(entity string) *table {
	t, ok := p.tables[entity]
	if !ok {
		panic(fmt.Sprintf("fake: there is no entity %q; see Adapter.Describe", entity))
	}
	return t
}

// Seed adds n records with made-up fields and numbers for ids. Contacts belong to
// the companies that exist, deals to the contacts. Ten records at a time share
// one time of change, as after an import. It panics if the entity does not exist.
func (p *Provider) Seed(entity string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.table(entity)
	var parents []string
	if link := links[entity]; link.entity != "" {
		for _, r := range p.records(link.entity) {
			parents = append(parents, r.id)
		}
	}
	var now time.Time
	for i := range n {
		if i%10 == 0 {
			now = p.now()
		}
		id := t.newID()
		fields := map[string]any{"name": t.entity.Title + " " + id}
		switch entity {
		case "contacts":
			fields["email"] = "contact" + id + "@example.com"
		case "deals":
			fields["amount"] = 100 * (i + 1)
		}
		if len(parents) > 0 {
			fields[links[entity].field] = parents[i%len(parents)]
		}
		t.put(id, mustFields(fields), now)
	}
}

// Put stores a record, in place of the one with that id, as if somebody had
// edited it at the provider. data marshals to a JSON object; the provider adds
// "id" and "updated_at". It panics if it does not, if the id is empty, or if the
// entity does not exist.
func (p *Provider) Put(entity, id string, data any) {
	if id == "" {
		panic("fake: a record needs an id")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table(entity).put(id, mustFields(data), p.now())
}

// Delete removes a record as if somebody had deleted it at the provider; it does
// nothing if there is none. It panics if the entity does not exist.
func (p *Provider) Delete(entity, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.table(entity); t.get(id) != nil {
		t.remove(id, p.now())
	}
}

// Records returns the records that exist, in order of their ids: what a test
// compares after a push. It panics if the entity does not exist.
func (p *Provider) Records(entity string) []enlace.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	rows := p.records(entity)
	records := make([]enlace.Record, len(rows))
	for i, r := range rows {
		records[i] = enlace.Record{Entity: entity, ID: r.id, Modified: r.updated, Data: slices.Clone(r.item)}
	}
	return records
}

func (p *Provider) records(entity string) []*row {
	rows := slices.DeleteFunc(slices.Clone(p.table(entity).order), func(r *row) bool { return r.deleted })
	slices.SortFunc(rows, func(a, b *row) int { return compareIDs(a.id, b.id) })
	return rows
}

func mustFields(data any) map[string]json.RawMessage {
	text, err := json.Marshal(data)
	if err == nil {
		if fields, ok := parseFields(text); ok {
			return fields
		}
	}
	panic("fake: a record's data must marshal to a JSON object")
}

// parseFields reads a JSON object.
func parseFields(text []byte) (fields map[string]json.RawMessage, ok bool) {
	err := json.Unmarshal(text, &fields)
	return fields, err == nil && fields != nil
}
