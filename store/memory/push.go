package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	journalList    = "journal"
	allJournalList = "journal of all runs"
)

type journalKey struct {
	enlace.Ref
	run    string
	number int64
}

func keyOfEntry(e enlace.JournalEntry) journalKey { return journalKey{e.Ref, e.RunID, e.Number} }

// AddJournal implements [enlace.JournalStore].
func (s *Store) AddJournal(ctx context.Context, entries []enlace.JournalEntry) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	seen := map[journalKey]bool{}
	for _, e := range entries {
		if _, exists := s.journal.get(keyOfEntry(e)); exists || seen[keyOfEntry(e)] {
			return enlace.ErrConflict
		}
		seen[keyOfEntry(e)] = true
	}
	for _, e := range entries {
		s.setEntry(e)
	}
	return nil
}

// setEntry keeps the open ones in a table of their own: they are looked for often,
// and few.
func (s *Store) setEntry(e enlace.JournalEntry) {
	e.Image, e.At = bytes.Clone(e.Image), instant(e.At)
	s.journal.set(s.undo, keyOfEntry(e), e)
	if e.State == enlace.JournalOpen {
		s.openEntries.set(s.undo, keyOfEntry(e), struct{}{})
	} else {
		s.openEntries.delete(s.undo, keyOfEntry(e))
	}
}

// UpdateJournal implements [enlace.JournalStore].
func (s *Store) UpdateJournal(ctx context.Context, entries []enlace.JournalEntry) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, e := range entries {
		if stored, exists := s.journal.get(keyOfEntry(e)); exists {
			stored.State, stored.RemoteID, stored.Image, stored.ImageKey = e.State, e.RemoteID, e.Image, e.ImageKey
			s.setEntry(stored)
		}
	}
	return nil
}

// OpenJournal implements [enlace.JournalStore].
func (s *Store) OpenJournal(ctx context.Context, ref enlace.Ref, entity string, limit int) ([]enlace.JournalEntry, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rows []enlace.JournalEntry
	for key := range s.openEntries.all() {
		if e := s.journal.value(key); e.Ref == ref && e.Entity == entity {
			rows = append(rows, copyEntry(e))
		}
	}
	slices.SortFunc(rows, func(a, b enlace.JournalEntry) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.Number, b.Number))
	})
	return rows[:min(limit, len(rows))], nil
}

// Journal implements [enlace.JournalStore].
func (s *Store) Journal(ctx context.Context, q enlace.JournalQuery) ([]enlace.JournalEntry, string, error) {
	if q.RunID == "" {
		return s.journalOfAll(ctx, q)
	}
	before, err := page.Before(journalList, q.Cursor)
	if err != nil {
		return nil, "", err
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.JournalEntry
	for _, e := range s.journal.all() {
		if e.Ref == q.Ref && e.RunID == q.RunID && e.Number < before {
			rows = append(rows, copyEntry(e))
		}
	}
	slices.SortFunc(rows, func(a, b enlace.JournalEntry) int { return cmp.Compare(b.Number, a.Number) })
	rows, next := page.Cut(rows, page.Size(q.Limit), journalList, func(e enlace.JournalEntry) string { return strconv.FormatInt(e.Number, 10) })
	return rows, next, nil
}

// journalOfAll is a page of all runs of an integration.
func (s *Store) journalOfAll(ctx context.Context, q enlace.JournalQuery) ([]enlace.JournalEntry, string, error) {
	runID, number, err := page.JournalAfter(allJournalList, q.Cursor)
	if err != nil {
		return nil, "", err
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	order := func(a, b enlace.JournalEntry) int {
		return cmp.Or(cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.Number, b.Number))
	}
	var rows []enlace.JournalEntry
	for _, e := range s.journal.all() {
		if e.Ref == q.Ref && order(e, enlace.JournalEntry{RunID: runID, Number: number}) > 0 {
			rows = append(rows, copyEntry(e))
		}
	}
	slices.SortFunc(rows, order)
	rows, next := page.Cut(rows, page.Size(q.Limit), allJournalList, page.JournalPosition)
	return rows, next, nil
}

// DeleteJournal implements [enlace.JournalStore].
func (s *Store) DeleteJournal(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	var old []enlace.JournalEntry
	for _, e := range s.journal.all() {
		if e.State != enlace.JournalOpen && e.At.Before(instant(before)) {
			old = append(old, e)
		}
	}
	slices.SortFunc(old, func(a, b enlace.JournalEntry) int { return a.At.Compare(b.At) })
	old = old[:min(limit, len(old))]
	for _, e := range old {
		s.journal.delete(s.undo, keyOfEntry(e))
	}
	return len(old), nil
}

// DeleteAllJournal implements [enlace.JournalStore].
func (s *Store) DeleteAllJournal(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for key := range s.journal.all() {
		if key.Ref == ref {
			s.journal.delete(s.undo, key)
			s.openEntries.delete(s.undo, key)
		}
	}
	return nil
}

func copyEntry(e enlace.JournalEntry) enlace.JournalEntry {
	e.Image = bytes.Clone(e.Image)
	return e
}

// PutOutgoing implements [enlace.OutgoingStore].
func (s *Store) PutOutgoing(ctx context.Context, changes []enlace.OutgoingChange) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, c := range changes {
		stored, exists := s.outgoing.get(c.OutgoingKey)
		c.Version, c.UpdatedAt, c.CreatedAt, c.Payload = stored.Version+1, now(), instant(c.CreatedAt), bytes.Clone(c.Payload)
		if exists {
			c.CreatedAt = stored.CreatedAt
			if c.Order == 0 {
				c.Order = stored.Order
			}
		}
		s.outgoing.set(s.undo, c.OutgoingKey, c)
	}
	return nil
}

// LoadOutgoing implements [enlace.OutgoingStore].
func (s *Store) LoadOutgoing(ctx context.Context, ref enlace.Ref, entity string, localIDs []string) ([]enlace.OutgoingChange, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rows []enlace.OutgoingChange
	seen := map[string]bool{}
	for _, id := range localIDs {
		if c, exists := s.outgoing.get(enlace.OutgoingKey{Ref: ref, Entity: entity, LocalID: id}); exists && !seen[id] {
			seen[id] = true
			rows = append(rows, copyOutgoing(c))
		}
	}
	return rows, nil
}

// DeleteOutgoing implements [enlace.OutgoingStore].
func (s *Store) DeleteOutgoing(ctx context.Context, key enlace.OutgoingKey, version int64) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if c, exists := s.outgoing.get(key); exists && c.Version == version {
		s.outgoing.delete(s.undo, key)
	}
	return nil
}

// DeleteAllOutgoing implements [enlace.OutgoingStore].
func (s *Store) DeleteAllOutgoing(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for key := range s.outgoing.all() {
		if key.Ref == ref {
			s.outgoing.delete(s.undo, key)
		}
	}
	return nil
}

// Outgoing implements [enlace.OutgoingStore].
func (s *Store) Outgoing(ctx context.Context, q enlace.OutgoingQuery) ([]enlace.OutgoingChange, string, error) {
	var after enlace.OutgoingChange
	if q.Cursor != "" {
		var err error
		if after, err = page.ParseOutgoing(q.Cursor); err != nil {
			return nil, "", err
		}
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.OutgoingChange
	for _, c := range s.outgoing.all() {
		if c.Ref.Tenant == q.Tenant && (q.Integration == "" || c.Ref.ID == q.Integration) && (q.Entity == "" || c.Entity == q.Entity) &&
			(q.Kind == "" || c.Kind == q.Kind) && (len(q.States) == 0 || slices.Contains(q.States, c.State)) &&
			(q.Cursor == "" || inOrder(after, c) < 0) {
			rows = append(rows, copyOutgoing(c))
		}
	}
	slices.SortFunc(rows, inOrder)
	rows, next := page.CutOutgoing(rows, page.Size(q.Limit))
	return rows, next, nil
}

func inOrder(a, b enlace.OutgoingChange) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Ref.ID, b.Ref.ID), cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.LocalID, b.LocalID))
}

// QueuedEntities implements [enlace.OutgoingStore].
func (s *Store) QueuedEntities(ctx context.Context, after enlace.OutgoingKey, limit int) ([]enlace.OutgoingKey, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	after.LocalID = ""
	found := map[enlace.OutgoingKey]bool{}
	var keys []enlace.OutgoingKey
	for key, c := range s.outgoing.all() {
		key.LocalID = ""
		if c.State == enlace.OutgoingQueued && !found[key] && byKey(key, after) > 0 {
			found[key] = true
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, byKey)
	return keys[:min(limit, len(keys))], nil
}

func byKey(a, b enlace.OutgoingKey) int {
	return cmp.Or(cmp.Compare(a.Ref.Tenant, b.Ref.Tenant), cmp.Compare(a.Ref.ID, b.Ref.ID), cmp.Compare(a.Entity, b.Entity))
}

func copyOutgoing(c enlace.OutgoingChange) enlace.OutgoingChange {
	c.Payload = bytes.Clone(c.Payload)
	return c
}

// PutConflicts implements [enlace.ConflictStore].
func (s *Store) PutConflicts(ctx context.Context, rows []enlace.ConflictRow) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, c := range rows {
		s.setConflict(c, s.conflicts.value(keyOfConflict(c)).Version)
	}
	return nil
}

func keyOfConflict(c enlace.ConflictRow) conflictKey { return conflictKey{c.Ref, c.ID} }

type conflictKey struct {
	enlace.Ref
	id string
}

// setConflict stores a row behind the version that is there. Its fields are in the
// sealed payload.
func (s *Store) setConflict(c enlace.ConflictRow, version int64) {
	c.Version, c.At, c.Fields, c.Payload = version+1, instant(c.At), nil, bytes.Clone(c.Payload)
	s.conflicts.set(s.undo, keyOfConflict(c), c)
}

// LoadConflicts implements [enlace.ConflictStore].
func (s *Store) LoadConflicts(ctx context.Context, ref enlace.Ref, ids []string) ([]enlace.ConflictRow, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rows []enlace.ConflictRow
	seen := map[string]bool{}
	for _, id := range ids {
		if c, exists := s.conflicts.get(conflictKey{ref, id}); exists && !seen[id] {
			seen[id] = true
			rows = append(rows, copyConflict(c))
		}
	}
	return rows, nil
}

// Conflicts implements [enlace.ConflictStore].
func (s *Store) Conflicts(ctx context.Context, q enlace.ConflictQuery) ([]enlace.ConflictRow, string, error) {
	var after enlace.ConflictRow
	if q.Cursor != "" {
		var err error
		if after, err = page.ParseConflict(q.Cursor); err != nil {
			return nil, "", err
		}
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.ConflictRow
	for _, c := range s.conflicts.all() {
		if c.Ref.Tenant == q.Tenant && (q.Integration == "" || c.Ref.ID == q.Integration) && (q.Entity == "" || c.Entity == q.Entity) &&
			(q.State == "" || c.State == q.State) && (q.Cursor == "" || newestConflictFirst(after, c) < 0) {
			rows = append(rows, copyConflict(c))
		}
	}
	slices.SortFunc(rows, newestConflictFirst)
	rows, next := page.CutConflicts(rows, page.Size(q.Limit))
	return rows, next, nil
}

func newestConflictFirst(a, b enlace.ConflictRow) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Ref.ID, a.Ref.ID), cmp.Compare(b.ID, a.ID))
}

// UpdateConflict implements [enlace.ConflictStore].
func (s *Store) UpdateConflict(ctx context.Context, c enlace.ConflictRow) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	stored, exists := s.conflicts.get(keyOfConflict(c))
	switch {
	case !exists:
		return enlace.ErrNotFound
	case stored.Version != c.Version:
		return enlace.ErrConflict
	}
	stored.Kind, stored.State, stored.Policy, stored.RunID, stored.Payload, stored.PayloadKey = c.Kind, c.State, c.Policy, c.RunID, c.Payload, c.PayloadKey
	s.setConflict(stored, stored.Version)
	return nil
}

// DeleteConflicts implements [enlace.ConflictStore].
func (s *Store) DeleteConflicts(ctx context.Context, ref enlace.Ref, ids []string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, id := range ids {
		s.conflicts.delete(s.undo, conflictKey{ref, id})
	}
	return nil
}

// DeleteResolvedConflicts implements [enlace.ConflictStore].
func (s *Store) DeleteResolvedConflicts(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	var old []enlace.ConflictRow
	for _, c := range s.conflicts.all() {
		if c.State == enlace.ConflictResolved && c.At.Before(instant(before)) {
			old = append(old, c)
		}
	}
	slices.SortFunc(old, func(a, b enlace.ConflictRow) int { return a.At.Compare(b.At) })
	old = old[:min(limit, len(old))]
	for _, c := range old {
		s.conflicts.delete(s.undo, keyOfConflict(c))
	}
	return len(old), nil
}

// DeleteAllConflicts implements [enlace.ConflictStore].
func (s *Store) DeleteAllConflicts(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for key := range s.conflicts.all() {
		if key.Ref == ref {
			s.conflicts.delete(s.undo, key)
		}
	}
	return nil
}

func copyConflict(c enlace.ConflictRow) enlace.ConflictRow {
	c.Payload = bytes.Clone(c.Payload)
	return c
}
