package enlace

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// planLimit is how many changes a plan holds; a run that would write more is
// planned in parts, by SyncOptions.Limit or by entity.
const planLimit = 10_000

// Plan is what a push would do: the result of a dry run. It marshals to JSON and
// back, and holds the records' data, so it is to be kept like them.
type Plan struct {
	Ref       Ref        `json:"integration"`
	Provider  string     `json:"provider"`
	Direction Direction  `json:"direction"`
	CreatedAt time.Time  `json:"created_at"`
	Items     []PlanItem `json:"items"`
	// Truncated says that there are more changes than a plan holds; those that are
	// in it can be applied all the same.
	Truncated bool `json:"truncated,omitempty"`
	// Requests is how many requests the provider will count for writing and, where
	// records are read first, reading; repetitions are not in it.
	Requests int `json:"requests"`
	// Duration is how long those requests take at the provider's published limit,
	// beginning with a full burst. It does not hold the provider's own time.
	Duration time.Duration `json:"duration"`
}

// PlanItem is what would become of one change.
type PlanItem struct {
	Entity   string     `json:"entity"`
	LocalID  string     `json:"local_id"`
	RemoteID string     `json:"remote_id,omitempty"`
	Action   PlanAction `json:"action"`
	Reason   string     `json:"reason,omitempty"` // why it is skipped
	// Fields are those that would change, in order of their names.
	Fields []FieldChange `json:"fields,omitempty"`
	// Conflicts are the fields that both sides have changed.
	Conflicts []FieldConflict `json:"conflicts,omitempty"`
	Change    Change          `json:"change"` // as the source gave it
	// Seen tells the version of the provider's record that the plan was made from;
	// empty where there is none or where it could not be read.
	Seen string `json:"seen,omitempty"`
}

// FieldChange is a field before and after; nil is no value.
type FieldChange struct {
	Name   string          `json:"name"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// PlanAction is what is to be done with a record.
type PlanAction string

// The actions of a plan.
const (
	PlanCreate   PlanAction = "create"
	PlanUpdate   PlanAction = "update"
	PlanDelete   PlanAction = "delete"
	PlanSkip     PlanAction = "skip"     // nothing to write; see Reason
	PlanConflict PlanAction = "conflict" // both sides have changed it, and nobody has decided
	// PlanUnchanged and PlanRefused are of a RecordPreview only: the host has the record as
	// it is, or the mapping refuses it.
	PlanUnchanged PlanAction = "unchanged"
	PlanRefused   PlanAction = "refused"
)

// Count returns how many items have the action.
func (p *Plan) Count(action PlanAction) int {
	n := 0
	for _, item := range p.Items {
		if item.Action == action {
			n++
		}
	}
	return n
}

// add takes in what some changes come to.
func (p *Plan) add(from *pusher, items []*pushed) {
	for _, it := range items {
		if len(p.Items) >= planLimit {
			p.Truncated = true
			return
		}
		item := from.planItem(it)
		p.Items = append(p.Items, item)
		from.counts.count(item.outcome())
	}
}

// outcome is what the item's action would come to.
func (item PlanItem) outcome() ChangeOutcome {
	return map[PlanAction]ChangeOutcome{PlanCreate: ChangeCreated, PlanUpdate: ChangeUpdated, PlanDelete: ChangeDeleted,
		PlanSkip: ChangeUnchanged, PlanConflict: ChangeConflict}[item.Action]
}

func (p *pusher) planItem(it *pushed) PlanItem {
	item := PlanItem{Entity: p.entity.Name, LocalID: it.change.ID, RemoteID: it.state.ID, Reason: it.reason, Change: it.change, Seen: it.seen()}
	switch it.op {
	case OpCreate:
		item.Action = PlanCreate
	case OpUpdate:
		item.Action = PlanUpdate
	case OpDelete:
		item.Action = PlanDelete
	default:
		item.Action = PlanSkip
	}
	switch {
	case it.err != nil:
		item.Action, item.Reason = PlanSkip, it.err.Error()
	case it.outcome == ChangeConflict:
		item.Action = PlanConflict
	}
	if it.conflict != nil {
		item.Conflicts = it.conflict.Fields
	}
	item.Fields = it.fieldChanges()
	return item
}

// fieldChanges are the fields that a write would change.
func (it *pushed) fieldChanges() []FieldChange {
	before := it.base
	if it.remote != nil {
		before = fieldsOf(*it.remote)
	}
	after := it.data
	switch it.op {
	case OpCreate:
		before = nil
	case OpUpdate:
	case OpDelete:
		after = fieldSet{}
		for name := range before {
			after[name] = nil
		}
	default:
		return nil
	}
	return differences(after, before, after)
}

// differences are the fields of names that have other values after than before.
func differences(names, before, after fieldSet) []FieldChange {
	var changes []FieldChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if b, a := before.value(name), after.value(name); !sameJSON(a, b) {
			changes = append(changes, FieldChange{Name: name, Before: b, After: a})
		}
	}
	return changes
}

// seen tells the version of the provider's record that a decision was made from.
func (it *pushed) seen() string {
	switch {
	case it.remote != nil && it.remote.Deleted:
		return "deleted"
	case it.remote != nil:
		return fmt.Sprintf("%x", DigestOf(canonical(it.remote.Data)))
	case it.state.ID != "":
		return fmt.Sprintf("state %d", it.state.Version)
	default:
		return ""
	}
}

// estimate says what the plan costs at the provider's published limit.
func (p *Plan) estimate(c *Conn, both bool) {
	batch := maxBatch(c.adapter)
	_, fetches := As[Fetcher](c.adapter)
	writes, reads := map[string]int{}, map[string]int{}
	for _, item := range p.Items {
		switch item.Action {
		case PlanUpdate, PlanDelete:
			reads[item.Entity]++
			writes[item.Entity]++
		case PlanCreate:
			writes[item.Entity]++
		}
	}
	p.Requests = 0
	for entity, n := range writes {
		p.Requests += (n + batch - 1) / batch
		if fetches {
			p.Requests += (reads[entity] + fetchLimit - 1) / fetchLimit
		}
		if fetches && both {
			p.Requests += (n + fetchLimit - 1) / fetchLimit // read back
		}
	}
	if limits := c.descriptor.Limits; limits.PerSecond > 0 {
		waits := max(0, p.Requests-max(1, limits.Burst))
		p.Duration = time.Duration(float64(waits) / limits.PerSecond * float64(time.Second))
	}
}

// approvedPlan is a plan on its way.
type approvedPlan struct {
	items   map[string]PlanItem // by local id, of one entity
	given   map[string]bool     // by the source, when the plan was applied
	refused int
}

// changed is how many records are not written because they are not as planned.
func (a *approvedPlan) changed() int {
	n := a.refused
	for id, item := range a.items {
		if !a.given[id] && item.Action != PlanSkip {
			n++ // the host has taken its change back
		}
	}
	return n
}

// differs says why a change is not what was planned; empty if it is.
func (a *approvedPlan) differs(p *pusher, it *pushed) string {
	a.given[it.change.ID] = true
	planned, ok := a.items[it.change.ID]
	if !ok {
		return "it is not in the plan"
	}
	now := p.planItem(it)
	same := func(x, y FieldChange) bool {
		return x.Name == y.Name && sameJSON(x.Before, y.Before) && sameJSON(x.After, y.After)
	}
	switch {
	case planned.Change.Deleted != it.change.Deleted || !sameJSON(planned.Change.Data, it.change.Data):
		return "the host has changed it since the plan"
	case planned.Seen != now.Seen || planned.RemoteID != now.RemoteID:
		return "the provider has changed it since the plan"
	case planned.Action != now.Action || !slices.EqualFunc(planned.Fields, now.Fields, same):
		return "it would be written otherwise than planned"
	default:
		return ""
	}
}

// Apply carries out a plan. Each record is looked at again before it is written: one that has changed since, at the host or at the provider, is refused
// and counts among the conflicts, and the others are written. With such records
// the error matches ErrConflict; make a new plan for them.
//
// options say the rest as for Sync: Source (without one the plan's own changes are
// written, and nobody is told), Sink, Conflicts, OnError, Tries. The plan's
// direction, entities and records are kept. Records are read before they are
// written, so that [Service.Undo] can take all of it back.
func (s *Service) Apply(ctx context.Context, plan Plan, options SyncOptions) (SyncResult, error) {
	options.Direction, options.DryRun, options.Since, options.Full, options.Limit = plan.Direction, false, time.Time{}, false, 0
	options.Entities = nil
	byEntity := map[string]*approvedPlan{}
	for _, item := range plan.Items {
		if byEntity[item.Entity] == nil {
			byEntity[item.Entity] = &approvedPlan{items: map[string]PlanItem{}, given: map[string]bool{}}
			options.Entities = append(options.Entities, item.Entity)
		}
		byEntity[item.Entity].items[item.LocalID] = item
	}
	if len(plan.Items) == 0 {
		return SyncResult{Entities: map[string]EntityResult{}, Complete: true}, nil
	}
	options.Source = plannedSource{inner: options.Source, plan: byEntity}
	result, err := s.sync(ctx, plan.Ref, options, byEntity)
	refused := 0
	for _, a := range byEntity {
		refused += a.changed()
	}
	if err == nil && refused > 0 {
		err = &Error{Provider: plan.Provider, Op: "apply plan", Kind: ErrConflict, Outcome: OutcomeNotRun,
			Message: fmt.Sprintf("%d records have changed since the plan and were not written", refused)}
	}
	return result, err
}

// plannedSource gives the changes that a plan is about, as they are now where
// there is a source to ask.
type plannedSource struct {
	inner Source
	plan  map[string]*approvedPlan
}

// Changes implements Source.
func (p plannedSource) Changes(ctx context.Context, q ChangeQuery) ([]Change, string, error) {
	if q.only() && p.inner != nil {
		return p.inner.Changes(ctx, q)
	}
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(p.plan[q.Entity].items)) {
		if id > q.After && !q.only() || slices.Contains(q.IDs, id) {
			ids = append(ids, id)
		}
	}
	next := ""
	if len(ids) > q.Limit && !q.only() {
		ids = ids[:q.Limit]
		next = ids[len(ids)-1]
	}
	if p.inner != nil && len(ids) > 0 {
		q.IDs, q.After = ids, ""
		changes, _, err := p.inner.Changes(ctx, q)
		return changes, next, err
	}
	changes := make([]Change, len(ids))
	for i, id := range ids {
		changes[i] = p.plan[q.Entity].items[id].Change
	}
	return changes, next, nil
}

// Joins implements TxSource.
func (p plannedSource) Joins(store Store) bool {
	joined, ok := p.inner.(TxSource)
	return ok && joined.Joins(store)
}

// Accepted implements Source.
func (p plannedSource) Accepted(ctx context.Context, a AcceptedChanges) error {
	if p.inner == nil {
		return nil
	}
	return p.inner.Accepted(ctx, a)
}
