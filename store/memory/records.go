package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const recordList = "records"

// entityKey names an entity of an integration.
type entityKey struct {
	enlace.Ref
	entity string
}

// records are the states of one entity's records.
type records struct {
	byID    table[string, enlace.RecordState]
	byLocal table[string, string] // the record's id
}

// recordsOf returns the states of an entity, for reading only.
func (s *Store) recordsOf(ref enlace.Ref, entity string) *records {
	if r := s.records[entityKey{ref, entity}]; r != nil {
		return r
	}
	return &records{}
}

// LoadRecordStates implements [enlace.RecordStore].
func (s *Store) LoadRecordStates(ctx context.Context, ref enlace.Ref, entity string, ids []string) ([]enlace.RecordState, error) {
	return s.loadRecords(ctx, ref, entity, ids, func(_ *records, id string) string { return id })
}

// LoadLinkedStates implements [enlace.RecordStore].
func (s *Store) LoadLinkedStates(ctx context.Context, ref enlace.Ref, entity string, localIDs []string) ([]enlace.RecordState, error) {
	return s.loadRecords(ctx, ref, entity, localIDs, func(r *records, id string) string { return r.byLocal.value(id) })
}

func (s *Store) loadRecords(ctx context.Context, ref enlace.Ref, entity string, ids []string, resolve func(*records, string) string) ([]enlace.RecordState, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	known := s.recordsOf(ref, entity)
	found := make([]enlace.RecordState, 0, len(ids))
	given := make(map[string]bool, len(ids))
	for _, id := range ids {
		id = resolve(known, id)
		if state, ok := known.byID.get(id); ok && !given[id] {
			given[id] = true
			found = append(found, copyRecord(state))
		}
	}
	return found, nil
}

// SaveRecordStates implements [enlace.RecordStore].
func (s *Store) SaveRecordStates(ctx context.Context, ref enlace.Ref, entity string, states []enlace.RecordState) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	key := entityKey{ref, entity}
	known := s.recordsOf(ref, entity)
	links := map[string]string{}
	for _, state := range states {
		if known.byID.value(state.ID).Version != state.Version {
			return enlace.ErrConflict
		}
		if state.LocalID == "" {
			continue
		}
		if owner := cmp.Or(links[state.LocalID], known.byLocal.value(state.LocalID)); owner != "" && owner != state.ID {
			return enlace.ErrLinked
		}
		links[state.LocalID] = state.ID
	}
	if s.records == nil {
		s.records = map[entityKey]*records{}
	}
	s.records[key] = known // empty ones are harmless after a rollback
	at := now()
	for _, state := range states {
		if before := known.byID.value(state.ID).LocalID; before != state.LocalID && before != "" {
			known.byLocal.delete(s.undo, before)
		}
		if state.LocalID != "" {
			known.byLocal.set(s.undo, state.LocalID, state.ID)
		}
		state = copyRecord(state)
		state.Version++
		state.UpdatedAt = at
		state.Modified, state.Seen = instant(state.Modified), instant(state.Seen)
		known.byID.set(s.undo, state.ID, state)
	}
	return nil
}

// RecordStates implements [enlace.RecordStore].
func (s *Store) RecordStates(ctx context.Context, q enlace.RecordQuery) ([]enlace.RecordState, string, error) {
	last := ""
	if q.Cursor != "" {
		var err error
		if last, err = page.Decode(recordList, q.Cursor); err != nil {
			return nil, "", err
		}
	}
	rows, err := s.matching(ctx, q)
	if err != nil {
		return nil, "", err
	}
	rows = slices.DeleteFunc(rows, func(r enlace.RecordState) bool { return q.Cursor != "" && r.ID <= last })
	slices.SortFunc(rows, func(a, b enlace.RecordState) int { return cmp.Compare(a.ID, b.ID) })
	rows, next := page.Cut(rows, page.Size(q.Limit), recordList, func(r enlace.RecordState) string { return r.ID })
	return rows, next, nil
}

// CountRecordStates implements [enlace.RecordStore].
func (s *Store) CountRecordStates(ctx context.Context, q enlace.RecordQuery) (int, error) {
	rows, err := s.matching(ctx, q)
	return len(rows), err
}

func (s *Store) matching(ctx context.Context, q enlace.RecordQuery) ([]enlace.RecordState, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rows []enlace.RecordState
	for _, state := range s.recordsOf(q.Ref, q.Entity).byID.all() {
		if (q.Presence == "" || state.Presence == q.Presence) && (q.SeenBefore.IsZero() || state.Seen.Before(q.SeenBefore)) {
			rows = append(rows, copyRecord(state))
		}
	}
	return rows, nil
}

// DeleteRecordStates implements [enlace.RecordStore].
func (s *Store) DeleteRecordStates(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for key, known := range s.records {
		if key.Ref != ref {
			continue
		}
		for id := range known.byID.all() {
			known.byID.delete(s.undo, id)
		}
		for id := range known.byLocal.all() {
			known.byLocal.delete(s.undo, id)
		}
	}
	return nil
}

func copyRecord(r enlace.RecordState) enlace.RecordState {
	r.Base = slices.Clone(r.Base)
	return r
}
