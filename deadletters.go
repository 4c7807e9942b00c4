package enlace

import (
	"context"
	"encoding/json"
	"time"
)

// DeadLetter is a change that could not be pushed, or that still may be: those in
// the outbox are listed too.
type DeadLetter struct {
	OutgoingKey
	State     OutgoingState `json:"state"`
	Tries     int           `json:"tries"`
	Kind      string        `json:"kind,omitempty"`  // KindLabel of the last refusal
	Error     string        `json:"error,omitempty"` // in words, without secrets
	RunID     string        `json:"run_id,omitempty"`
	Version   int64         `json:"version"`
	CreatedAt time.Time     `json:"created_at"`
	UpdatedAt time.Time     `json:"updated_at"`
	Change    *Change       `json:"change,omitempty"` // only of a single one
}

func deadLetter(row OutgoingChange) DeadLetter {
	return DeadLetter{OutgoingKey: row.OutgoingKey, State: row.State, Tries: row.Tries, Kind: row.Kind, Error: row.Error,
		RunID: row.RunID, Version: row.Version, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt}
}

// DeadLetters lists changes of a tenant that wait for somebody, without their data:
// those that were refused too often and those in doubt, unless the query names
// other states. It returns the cursor of the next page, which is empty after the
// last one. Errors: ErrInvalid for a bad cursor, ErrStore.
func (s *Service) DeadLetters(ctx context.Context, q OutgoingQuery) ([]DeadLetter, string, error) {
	if len(q.States) == 0 {
		q.States = []OutgoingState{OutgoingDead, OutgoingInDoubt}
	}
	rows, next, err := s.store.Outgoing(ctx, q)
	if err != nil {
		return nil, "", wrap("dead letters", ErrStore, err)
	}
	letters := make([]DeadLetter, len(rows))
	for i, row := range rows {
		letters[i] = deadLetter(row)
	}
	return letters, next, nil
}

// DeadLetter returns one change with its data. Errors: ErrNotFound, ErrKey, ErrStore.
func (s *Service) DeadLetter(ctx context.Context, key OutgoingKey) (DeadLetter, error) {
	row, err := s.outgoingRow(ctx, key)
	if err != nil {
		return DeadLetter{}, err
	}
	entry := auditOutgoing("dead_letter.view", key)
	entry.Result = AuditDone
	if err := s.RecordAudit(ctx, entry); err != nil {
		return DeadLetter{}, err
	}
	letter := deadLetter(row)
	c, err := s.openOutgoing(ctx, row)
	letter.Change = &c
	return letter, err
}

func (s *Service) outgoingRow(ctx context.Context, key OutgoingKey) (OutgoingChange, error) {
	rows, err := s.store.LoadOutgoing(ctx, key.Ref, key.Entity, []string{key.LocalID})
	if err != nil {
		return OutgoingChange{}, wrap("dead letter", ErrStore, err)
	}
	if len(rows) == 0 {
		return OutgoingChange{}, &Error{Op: "dead letter", Kind: ErrNotFound, Outcome: OutcomeNotRun}
	}
	return rows[0], nil
}

// EditDeadLetter replaces the data of a change, if nobody has changed it since the
// version was read. It does not send it: see Redrive. Errors: ErrNotFound,
// ErrConflict, ErrInvalid (not a JSON object), ErrKey, ErrStore.
func (s *Service) EditDeadLetter(ctx context.Context, key OutgoingKey, version int64, data json.RawMessage) (DeadLetter, error) {
	if f, err := parseFields(data); err != nil || f == nil {
		return DeadLetter{}, &ValidationError{Faults: []Fault{{Field: "data", Problem: "not a JSON object", Allowed: "an object of the provider's fields"}}}
	}
	return s.changeDeadLetter(ctx, "dead_letter.edit", key, version, func(ctx context.Context, row *OutgoingChange) error {
		c, err := s.openOutgoing(ctx, *row)
		if err != nil {
			return err
		}
		c.Data, c.Deleted = data, false
		row.Digest = changeDigest(c)
		row.Payload, row.PayloadKey, err = s.sealJSON(ctx, outgoingPlace(key), c)
		return err
	})
}

// Redrive puts a change back into the outbox, behind what waits there already; its
// tries are counted from the beginning, and a create gets a new idempotency key.
// For a change in doubt it says that the record was not created: if it was, there
// are two afterwards ([Service.LinkRecord] is for that case). Errors: ErrNotFound,
// ErrConflict (changed since the version was read), ErrStore.
func (s *Service) Redrive(ctx context.Context, key OutgoingKey, version int64) error {
	_, err := s.changeDeadLetter(ctx, "dead_letter.redrive", key, version, func(_ context.Context, row *OutgoingChange) error {
		row.State, row.Tries, row.Order = OutgoingQueued, 0, s.nextOrder()
		return nil
	})
	return err
}

// changeDeadLetter edits a row of that version.
func (s *Service) changeDeadLetter(ctx context.Context, action string, key OutgoingKey, version int64, edit func(context.Context, *OutgoingChange) error) (DeadLetter, error) {
	var letter DeadLetter
	err := s.audited(ctx, auditOutgoing(action, key), func(ctx context.Context) error {
		row, err := s.outgoingRow(ctx, key)
		if err != nil {
			return err
		}
		if row.Version != version {
			return &Error{Op: "dead letter", Kind: ErrConflict, Outcome: OutcomeNotRun}
		}
		if err := edit(ctx, &row); err != nil {
			return err
		}
		if err := s.store.PutOutgoing(ctx, []OutgoingChange{row}); err != nil {
			return err
		}
		row, err = s.outgoingRow(ctx, key)
		letter = deadLetter(row)
		return err
	})
	return letter, wrap("change dead letter", ErrStore, err)
}

func auditOutgoing(action string, key OutgoingKey) AuditEntry {
	e := audit(action, key.Ref)
	e.Target = key.Entity + "/" + key.LocalID
	return e
}

// Discard forgets a change: it is not pushed, unless the host gives it again.
// Errors: ErrNotFound, ErrConflict (changed since the version was read), ErrStore.
func (s *Service) Discard(ctx context.Context, key OutgoingKey, version int64) error {
	return wrap("discard", ErrStore, s.audited(ctx, auditOutgoing("dead_letter.discard", key), func(ctx context.Context) error {
		row, err := s.outgoingRow(ctx, key)
		if err != nil {
			return err
		}
		if row.Version != version {
			return &Error{Op: "discard", Kind: ErrConflict, Outcome: OutcomeNotRun}
		}
		return s.store.DeleteOutgoing(ctx, key, version)
	}))
}

// LinkRecord remembers that a record of the host and one of the provider are the
// same. A host calls it in its Sink for records that it has taken in, so that its
// own later changes go to them, and a person for a change in doubt whose record
// was created after all: the change is then in the outbox, as an update. With the
// context of a transaction the link is in it. Errors: ErrLinked (one of the two
// has another partner), ErrInvalid, ErrStore.
func (s *Service) LinkRecord(ctx context.Context, ref Ref, entity, localID, remoteID string) error {
	if localID == "" || remoteID == "" || entity == "" {
		return &ValidationError{Faults: []Fault{{Field: "ids", Problem: "empty", Allowed: "the entity and both ids"}}}
	}
	entry := audit("record.link", ref, "local_id")
	entry.Target = entity
	return wrap("link record", ErrStore, s.audited(ctx, entry, func(ctx context.Context) error {
		states, err := s.store.LoadRecordStates(ctx, ref, entity, []string{remoteID})
		if err != nil {
			return err
		}
		state := RecordState{ID: remoteID, Presence: RecordPresent, Seen: rowTime()}
		if len(states) > 0 {
			state = states[0]
		}
		if state.LocalID != "" && state.LocalID != localID {
			return &Error{Op: "link record", Kind: ErrLinked, Outcome: OutcomeNotRun}
		}
		if state.LocalID != localID {
			state.LocalID = localID
			if err := s.store.SaveRecordStates(ctx, ref, entity, []RecordState{state}); err != nil {
				return err
			}
		}
		return s.requeueDoubtful(ctx, OutgoingKey{Ref: ref, Entity: entity, LocalID: localID})
	}))
}

// requeueDoubtful puts a change whose record is known now back into the outbox.
func (s *Service) requeueDoubtful(ctx context.Context, key OutgoingKey) error {
	rows, err := s.store.LoadOutgoing(ctx, key.Ref, key.Entity, []string{key.LocalID})
	if err != nil || len(rows) == 0 || rows[0].State != OutgoingInDoubt {
		return err
	}
	rows[0].State, rows[0].Tries = OutgoingQueued, 0
	return s.store.PutOutgoing(ctx, rows)
}
