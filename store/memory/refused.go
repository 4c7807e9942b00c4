package memory

import (
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
		r.Ref, r.Entity, r.Tries, r.CreatedAt, r.UpdatedAt = ref, entity, 1, now(), now()
		if old, exists := s.refused.get(key); exists {
			r.Tries, r.CreatedAt = old.Tries+1, old.CreatedAt
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
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.RefusedRecord) int {
		return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.RecordID, b.RecordID))
	})
	rows, next := page.Cut(rows, page.Size(q.Limit), refusedList, page.RefusedPosition)
	return rows, next, nil
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
