package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const refusedList = "refused"

type refusedKey struct {
	enlace.Ref
	entity, id string
}

// SaveRefusedRecords implements [enlace.RefusedStore].
func (s *Store) SaveRefusedRecords(ctx context.Context, ref enlace.Ref, entity string, refused []enlace.RefusedRecord, settled []string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, r := range refused {
		key := refusedKey{ref, entity, r.RecordID}
		r.Ref, r.Entity, r.Version, r.CreatedAt, r.UpdatedAt = ref, entity, 1, now(), now()
		r.Modified, r.Payload = instant(r.Modified), bytes.Clone(r.Payload)
		if old, exists := s.refused.get(key); exists {
			r.Version, r.CreatedAt = old.Version+1, old.CreatedAt
			if old.Digest == r.Digest && !r.Digest.IsZero() { // a person may have edited it
				r.Edited, r.Payload, r.PayloadKey = old.Edited, old.Payload, old.PayloadKey
			}
		}
		s.refused.set(s.undo, key, r)
	}
	for _, id := range settled {
		s.refused.delete(s.undo, refusedKey{ref, entity, id})
	}
	return nil
}

// RefusedRecords implements [enlace.RefusedStore].
func (s *Store) RefusedRecords(ctx context.Context, q enlace.RefusedQuery) ([]enlace.RefusedRecord, string, error) {
	entity, id, err := page.RefusedAfter(refusedList, q)
	if err != nil {
		return nil, "", err
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.RefusedRecord
	for key, r := range s.refused.all() {
		behind := key.entity > entity || key.entity == entity && key.id > id
		if q.Entity != "" {
			behind = key.entity == q.Entity && key.id > id
		}
		if key.Ref == q.Ref && behind {
			r.Payload, r.PayloadKey = nil, 0
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.RefusedRecord) int {
		return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.RecordID, b.RecordID))
	})
	rows, next := page.Cut(rows, page.Size(q.Limit), refusedList, page.RefusedPosition)
	return rows, next, nil
}

// RefusedRecord implements [enlace.RefusedStore].
func (s *Store) RefusedRecord(ctx context.Context, key enlace.RefusedKey) (enlace.RefusedRecord, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.RefusedRecord{}, err
	}
	defer s.end(ctx)
	r, exists := s.refused.get(refusedKey{key.Ref, key.Entity, key.RecordID})
	if !exists {
		return r, enlace.ErrNotFound
	}
	r.Payload = bytes.Clone(r.Payload)
	return r, nil
}

// UpdateRefusedRecord implements [enlace.RefusedStore].
func (s *Store) UpdateRefusedRecord(ctx context.Context, r enlace.RefusedRecord) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	key := refusedKey{r.Ref, r.Entity, r.RecordID}
	old, exists := s.refused.get(key)
	if !exists || old.Version != r.Version {
		return enlace.ErrConflict
	}
	old.State, old.Tries, old.Edited, old.Payload, old.PayloadKey = r.State, r.Tries, r.Edited, bytes.Clone(r.Payload), r.PayloadKey
	old.Version, old.UpdatedAt = old.Version+1, now()
	s.refused.set(s.undo, key, old)
	return nil
}

// DeleteRefusedRecord implements [enlace.RefusedStore].
func (s *Store) DeleteRefusedRecord(ctx context.Context, key enlace.RefusedKey, version int64) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	at := refusedKey{key.Ref, key.Entity, key.RecordID}
	if old, exists := s.refused.get(at); !exists || old.Version != version {
		return enlace.ErrConflict
	}
	s.refused.delete(s.undo, at)
	return nil
}

// DeleteRefusedRecords implements [enlace.RefusedStore].
func (s *Store) DeleteRefusedRecords(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for key := range s.refused.all() {
		if key.Ref == ref {
			s.refused.delete(s.undo, key)
		}
	}
	return nil
}
