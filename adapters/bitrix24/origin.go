package bitrix24

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// Originator is the originatorId of what is created with a Key (sheet 5.3).
const Originator = "enlace"

// maxOrigin bounds originatorId and originId.
const maxOrigin = 255

// origin is the key of a record in another system, by which a record whose creation
// was not acknowledged is found again (sheet 2.6).
type origin struct{ originator, id string }

// originOf is the pair that the data names, completed by our own; the zero value if
// there is no key at all.
func (k kind) originOf(f fields, key string) origin {
	id := cmp.Or(f.text("originId"), key)
	if id == "" || !k.hasOrigin() {
		return origin{}
	}
	return origin{cmp.Or(f.text("originatorId"), Originator), id}
}

// stamp writes the pair into the fields of a new record.
func (o origin) stamp(f fields) {
	if o.id == "" {
		return
	}
	f["originatorId"], _ = json.Marshal(o.originator) // a string cannot fail
	f["originId"], _ = json.Marshal(o.id)
}

func (k kind) originCommand(o origin) command {
	return command{method: listMethod, repeatable: true, params: k.params(map[string]any{
		"select": []string{"id", "originatorId", "originId"}, "order": map[string]string{"id": "ASC"}, "start": -1,
		"filter": map[string]string{"=originatorId": o.originator, "=originId": o.id}})}
}

// id picks the record with exactly this pair from a list: the portal's comparison may
// be more generous. Of several it is the first.
func (o origin) find(result json.RawMessage) (id string, err error) {
	raw, err := rawjson.Get(result, "items")
	if err != nil {
		return "", noAnswer(listMethod)
	}
	for item, err := range rawjson.Elements(raw) {
		f := fields{}
		if err != nil || json.Unmarshal(item, &f) != nil {
			return "", noAnswer(listMethod)
		}
		if id := f.text("id"); id != "" && f.text("originatorId") == o.originator && f.text("originId") == o.id {
			return id, nil
		}
	}
	return "", nil
}

// addresses are the values by which an upsert searches for its record (sheet 5.9).
func (t *task) addresses(typeID string) []string {
	if !t.kind.hasMultifields() {
		return nil
	}
	values := slices.DeleteFunc(t.multifields.Values(typeID), func(v string) bool { return v == "" })
	return values[:min(len(values), maxDuplicateValues)]
}

// search is one way to find the record of a task.
type search struct {
	task    *task
	command command
	hits    func(json.RawMessage) ([]string, error)
}

func (t *task) searches() []search {
	var list []search
	if t.origin.id != "" && !(t.newKey && t.does == enlace.OpCreate) {
		list = append(list, search{t, t.kind.originCommand(t.origin), func(result json.RawMessage) ([]string, error) {
			id, err := t.origin.find(result)
			if id == "" || err != nil {
				return nil, err
			}
			return []string{id}, nil
		}})
	}
	if t.does != enlace.OpUpsert {
		return list
	}
	for _, typeID := range []string{Email, Phone} {
		if values := t.addresses(typeID); len(values) > 0 {
			list = append(list, search{t, duplicateCommand(t.kind, typeID, values), func(result json.RawMessage) ([]string, error) {
				return duplicateHits(t.kind, result)
			}})
		}
	}
	return list
}

// find looks for the records of creates with a key and of upserts. It returns tasks
// that turn out to concern the record of an earlier one.
func find(ctx context.Context, c *enlace.Conn, tasks []*task) (later []*task) {
	var searches []search
	for _, t := range tasks {
		if t.target == "" {
			searches = append(searches, t.searches()...)
		}
	}
	commands := make([]command, len(searches))
	for i, s := range searches {
		commands[i] = s.command
	}
	for i, a := range run(ctx, c, commands) {
		if t := searches[i].task; t.target == "" && t.err == nil {
			t.found(searches[i], a)
		}
	}
	claimed := map[string]bool{}
	for _, t := range open(tasks) {
		if t.target == "" {
			continue
		}
		if key := t.kind.entity + "/" + t.target; claimed[key] {
			later = append(later, t)
		} else {
			claimed[key] = true
		}
	}
	return later
}

// found takes over what one search has brought.
func (t *task) found(s search, a answer) {
	hits, err := []string(nil), a.err
	if err == nil {
		hits, err = s.hits(a.result)
	}
	switch {
	case err != nil:
		t.err = notRun(err)
	case len(hits) > 1:
		t.err = &enlace.Error{Provider: Name, Op: t.op, Kind: enlace.ErrConflict, Outcome: enlace.OutcomeNotRun, Err: errSeveral}
	case len(hits) == 1 && t.does == enlace.OpCreate:
		t.ack, t.done = enlace.Ack{ID: hits[0]}, true
	case len(hits) == 1:
		t.target = hits[0]
	}
}

// findLost looks whether creates whose answer was lost have taken effect. What is not
// found may still be under way, so its outcome stays unknown.
func findLost(ctx context.Context, c *enlace.Conn, tasks []*task) {
	var lost []*task
	for _, t := range tasks {
		if t.err != nil && t.target == "" && t.origin.id != "" && outcomeOf(t.err) == enlace.OutcomeUnknown && ctx.Err() == nil {
			lost = append(lost, t)
		}
	}
	for i, a := range run(ctx, c, each(lost, func(t *task) command { return t.kind.originCommand(t.origin) })) {
		if a.err != nil {
			continue
		}
		if id, err := lost[i].origin.find(a.result); err == nil && id != "" {
			lost[i].err, lost[i].ack = nil, enlace.Ack{ID: id, Created: true}
		}
	}
}

// noLink says whether a field is a link to no record: 0 (sheet 5.6).
func noLink(name string, raw json.RawMessage) bool {
	link := slices.Contains([]string{"companyId", "contactId", "leadId", "quoteId"}, name) || strings.HasPrefix(name, "parentId")
	return link && zero(raw)
}

func zero(raw json.RawMessage) bool {
	n, ok := rawjson.Int(raw)
	return ok && n == 0
}
