package memory

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const missedList = "missed records"

type recordKey struct {
	ref  enlace.Ref
	name enlace.RecordName
}

type heardRecord struct {
	heard, missed time.Time // zero if never
	at            time.Time // of the last change
}

// SaveEndpoint implements [enlace.InboxStore].
func (s *Store) SaveEndpoint(ctx context.Context, ref enlace.Ref, hash string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if _, exists := s.endpoints.get(hash); !exists {
		s.endpoints.set(s.undo, hash, ref)
	}
	return nil
}

// DeleteEndpoint implements [enlace.InboxStore].
func (s *Store) DeleteEndpoint(ctx context.Context, ref enlace.Ref, hash string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if s.endpoints.value(hash) == ref {
		s.endpoints.delete(s.undo, hash)
	}
	return nil
}

// Endpoint implements [enlace.InboxStore].
func (s *Store) Endpoint(ctx context.Context, hash, id string) (enlace.Ref, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Ref{}, err
	}
	defer s.end(ctx)
	if ref, exists := s.endpoints.get(hash); exists {
		return ref, nil
	}
	var found []enlace.Ref
	for ref := range s.integrations.all() {
		if ref.ID == id {
			found = append(found, ref)
		}
	}
	if len(found) != 1 {
		return enlace.Ref{}, enlace.ErrNotFound
	}
	return found[0], nil
}

// MarkEvents implements [enlace.InboxStore].
func (s *Store) MarkEvents(ctx context.Context, ref enlace.Ref, keys []string) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var fresh []string
	for _, key := range keys {
		if _, exists := s.events.get(inboxKey{ref, key}); !exists {
			s.events.set(s.undo, inboxKey{ref, key}, now())
			fresh = append(fresh, key)
		}
	}
	return fresh, nil
}

// NoteHeard implements [enlace.InboxStore].
func (s *Store) NoteHeard(ctx context.Context, ref enlace.Ref, records []enlace.RecordName, at time.Time) error {
	return s.noteRecords(ctx, ref, records, func(heardRecord) heardRecord { return heardRecord{heard: instant(at), at: instant(at)} })
}

// NoteMissed implements [enlace.InboxStore].
func (s *Store) NoteMissed(ctx context.Context, ref enlace.Ref, records []enlace.RecordName, at time.Time) error {
	return s.noteRecords(ctx, ref, records, func(r heardRecord) heardRecord {
		return heardRecord{heard: r.heard, missed: instant(at), at: instant(at)}
	})
}

func (s *Store) noteRecords(ctx context.Context, ref enlace.Ref, records []enlace.RecordName, note func(heardRecord) heardRecord) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, name := range records {
		key := recordKey{ref, name}
		s.heard.set(s.undo, key, note(s.heard.value(key)))
	}
	return nil
}

// HeardRecords implements [enlace.InboxStore].
func (s *Store) HeardRecords(ctx context.Context, ref enlace.Ref, entity string, ids []string) (map[string]time.Time, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	heard := map[string]time.Time{}
	for _, id := range ids {
		if r := s.heard.value(recordKey{ref, enlace.RecordName{Entity: entity, ID: id}}); !r.heard.IsZero() {
			heard[id] = r.heard
		}
	}
	return heard, nil
}

// MissedRecords implements [enlace.InboxStore].
func (s *Store) MissedRecords(ctx context.Context, q enlace.MissedQuery) ([]enlace.MissedRecord, string, error) {
	var last enlace.RecordName
	if q.Cursor != "" {
		text, err := page.Decode(missedList, q.Cursor)
		if err == nil && json.Unmarshal([]byte(text), &last) != nil {
			err = page.ErrCursor
		}
		if err != nil {
			return nil, "", err
		}
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var missed []enlace.MissedRecord
	for key, r := range s.heard.all() {
		if key.ref == q.Ref && !r.missed.IsZero() && compareNames(key.name, last) > 0 {
			missed = append(missed, enlace.MissedRecord{RecordName: key.name, FoundAt: r.missed})
		}
	}
	slices.SortFunc(missed, func(a, b enlace.MissedRecord) int { return compareNames(a.RecordName, b.RecordName) })
	cut, next := page.Cut(missed, page.Size(q.Limit), missedList, func(r enlace.MissedRecord) string {
		text, _ := json.Marshal(r.RecordName)
		return string(text)
	})
	return cut, next, nil
}

func compareNames(a, b enlace.RecordName) int {
	return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.ID, b.ID))
}
