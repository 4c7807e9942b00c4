package enlace

import (
	"context"
	"encoding/json"
	"slices"
)

// RecordPreview is what a run would do with one record of the provider; see
// [SyncOptions.Preview]. It holds the record's data and is to be kept like that.
type RecordPreview struct {
	Entity   string
	RecordID string // the provider's
	LocalID  string // the host's; empty if it is not linked
	// Action is what would be given to the sink. PlanConflict: the host has changed the
	// record too, which waits in the outbox or as an open conflict; a pull alone gives it to
	// the sink all the same. Empty in an Untracked run, to which everything is new.
	Action PlanAction
	Reason string // why the mapping leaves it out or refuses it; holds no value of the record
	// Fields are those that would change at the host, in order of their names. Where the
	// last state is not kept (Known is false), they are all that the record has.
	Fields []FieldChange
	Known  bool // Before of the fields is what the host has accepted last
}

// preview tells what would become of a page's records. The sink is not asked: what it
// would refuse is not known.
func (p *entityPull) preview(ctx context.Context, records []Record, batch *tracked) error {
	given := 0
	for chunk := range slices.Chunk(records, maxStates) {
		states, err := p.statesOf(ctx, chunk)
		if err != nil {
			return err
		}
		changed, err := p.changedHere(ctx, states)
		if err != nil {
			return err
		}
		for i := range chunk {
			r := &chunk[i]
			state := states[r.ID]
			item := RecordPreview{Entity: p.entity, RecordID: r.ID, LocalID: state.LocalID, Action: PlanUnchanged}
			if given < len(batch.give) && batch.give[given].ID == r.ID { // in the same order, without those that are not given
				item.Action = batch.action(given)
				given++
			} else if p.staysAside(r.ID, p.digestOf(r)) {
				item.Action, item.Reason = PlanRefused, p.refused[r.ID].Error
			}
			if item.Action != PlanUnchanged && item.Action != PlanRefused {
				p.previewFields(ctx, &item, r, state)
				if changed[state.LocalID] && (item.Action == PlanUpdate || item.Action == PlanDelete) {
					item.Action = PlanConflict
				}
			}
			p.run.options.Preview(item)
		}
	}
	return nil
}

// action is what is to be done with the record that is given at that place.
func (b *tracked) action(place int) PlanAction {
	if place >= len(b.counted) {
		return "" // untracked
	}
	switch b.counted[place] {
	case &b.known.Created:
		return PlanCreate
	case &b.known.Updated:
		return PlanUpdate
	case &b.known.Deleted:
		return PlanDelete
	default:
		return PlanUnchanged
	}
}

// statesOf are the stored states of records by their ids.
func (p *entityPull) statesOf(ctx context.Context, records []Record) (map[string]RecordState, error) {
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	list, err := p.run.service.store.LoadRecordStates(ctx, p.run.integration.Ref, p.entity, ids)
	states := make(map[string]RecordState, len(list))
	for _, s := range list {
		states[s.ID] = s
	}
	return states, wrap("load record states", ErrStore, err)
}

// changedHere are the host's ids of linked records whose own change waits.
func (p *entityPull) changedHere(ctx context.Context, states map[string]RecordState) (map[string]bool, error) {
	store, ref := p.run.service.store, p.run.integration.Ref
	var locals, conflicts []string
	for _, s := range states {
		if s.LocalID != "" {
			locals, conflicts = append(locals, s.LocalID), append(conflicts, openConflictID(p.entity, s.LocalID))
		}
	}
	changed := map[string]bool{}
	if len(locals) == 0 {
		return changed, nil
	}
	waiting, err := store.LoadOutgoing(ctx, ref, p.entity, locals)
	if err != nil {
		return nil, wrap("outgoing changes", ErrStore, err)
	}
	for _, row := range waiting {
		changed[row.LocalID] = true
	}
	open, err := store.LoadConflicts(ctx, ref, conflicts)
	if err != nil {
		return nil, wrap("conflicts", ErrStore, err)
	}
	for _, row := range open {
		changed[row.LocalID] = true
	}
	return changed, nil
}

// previewFields maps a record and what is kept of it, and compares the two.
func (p *entityPull) previewFields(ctx context.Context, item *RecordPreview, r *Record, state RecordState) {
	var after, before fieldSet
	if !r.Deleted {
		data, skipped, err := p.mapper.one(r.Data)
		switch {
		case err != nil:
			item.Action, item.Reason = PlanRefused, err.Error()
			return
		case skipped != "":
			item.Action, item.Reason = PlanSkip, skipped
			return
		}
		after, _ = parseFields(data) // what is no object has no fields to show
	}
	item.Known = item.Action == PlanCreate
	if state.Base != nil && item.Action != PlanCreate {
		data, err := p.run.service.safe.OpenRecord(ctx, basePlace(p.run.integration.Ref, p.entity, r.ID), state.Base)
		if err == nil {
			data, _, err = p.mapper.one(data)
		}
		if err == nil {
			before, err = parseFields(data)
		}
		item.Known = err == nil
	}
	item.Fields = differences(before.with(after), before, after)
}

// one maps a single record.
func (m *mapper) one(data json.RawMessage) (mapped json.RawMessage, skipped string, err error) {
	if m == nil {
		return data, "", nil
	}
	return m.record.ToLocal(data)
}
