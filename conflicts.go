package enlace

import (
	"context"
	"encoding/json"
)

// Conflicts lists conflicts of a tenant, newest first, with their fields, and the
// cursor of the next page, which is empty after the last one. Errors: ErrInvalid
// for a bad cursor, ErrKey, ErrStore.
func (s *Service) Conflicts(ctx context.Context, q ConflictQuery) ([]Conflict, string, error) {
	rows, next, err := s.store.Conflicts(ctx, q)
	if err != nil {
		return nil, "", wrap("conflicts", ErrStore, err)
	}
	conflicts := make([]Conflict, len(rows))
	for i, row := range rows {
		if conflicts[i], err = s.openConflict(ctx, row); err != nil {
			return nil, "", err
		}
	}
	return conflicts, next, nil
}

// ResolveConflict decides an open conflict: for one side (ConflictLocal or
// ConflictRemote), or with values for some of its fields and the side for the
// others. The next run in both directions carries it out, unless one side has
// changed meanwhile: then there is a new conflict. Errors: ErrNotFound,
// ErrConflict (it has changed since the version was read, or is resolved),
// ErrInvalid, ErrKey, ErrStore.
func (s *Service) ResolveConflict(ctx context.Context, ref Ref, id string, version int64, side ConflictPolicy, values map[string]json.RawMessage) (Conflict, error) {
	if side != ConflictLocal && side != ConflictRemote {
		return Conflict{}, &ValidationError{Faults: []Fault{{Field: "side", Problem: "not a side", Allowed: "local, remote"}}}
	}
	rows, err := s.store.LoadConflicts(ctx, ref, []string{id})
	if err != nil {
		return Conflict{}, wrap("load conflict", ErrStore, err)
	}
	if len(rows) == 0 {
		return Conflict{}, &Error{Op: "resolve conflict", Kind: ErrNotFound, Outcome: OutcomeNotRun}
	}
	c, err := s.openConflict(ctx, rows[0])
	if err != nil {
		return Conflict{}, err
	}
	if c.Version != version || c.State == ConflictResolved {
		return c, &Error{Op: "resolve conflict", Kind: ErrConflict, Outcome: OutcomeNotRun}
	}
	c.settle(side)
	for i := range c.Fields {
		if value, given := values[c.Fields[i].Name]; given {
			if !json.Valid(value) {
				return Conflict{}, &ValidationError{Faults: []Fault{{Field: c.Fields[i].Name, Problem: "not JSON", Allowed: "a JSON value"}}}
			}
			c.Fields[i].Value = fieldSet{"": value}.value("")
		}
	}
	c.State, c.Policy = ConflictDecided, side
	row, err := s.sealConflict(ctx, c)
	if err != nil {
		return Conflict{}, err
	}
	entry := audit("conflict.resolve", ref)
	entry.Target = c.Entity + "/" + c.LocalID
	if err := s.audited(ctx, entry, func(ctx context.Context) error { return s.store.UpdateConflict(ctx, row) }); err != nil {
		return Conflict{}, wrap("resolve conflict", ErrStore, err)
	}
	c.Version++
	return c, nil
}

func conflictPlace(c Conflict) RecordPlace {
	return RecordPlace{Ref: c.Ref, Kind: "conflict", Name: c.ID}
}

func (s *Service) sealConflict(ctx context.Context, c Conflict) (ConflictRow, error) {
	row := ConflictRow{Conflict: c}
	row.Fields = nil
	var err error
	row.Payload, row.PayloadKey, err = s.sealJSON(ctx, conflictPlace(c), c.Fields)
	return row, err
}

func (s *Service) openConflict(ctx context.Context, row ConflictRow) (Conflict, error) {
	c := row.Conflict
	text, err := s.safe.OpenRecord(ctx, conflictPlace(c), row.Payload)
	if err == nil {
		err = wrapKey("open conflict", json.Unmarshal(text, &c.Fields))
	}
	return c, err
}
