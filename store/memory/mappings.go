package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const mappingList = "mappings"

// CreateMapping implements [enlace.MappingStore].
func (s *Store) CreateMapping(ctx context.Context, v enlace.MappingVersion) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if _, exists := s.mappings.get(v.Key()); exists || s.activeBeside(v) {
		return enlace.ErrConflict
	}
	v.Version, v.CreatedAt, v.UpdatedAt = 1, now(), now()
	s.mappings.set(s.undo, v.Key(), copyMapping(v))
	return nil
}

// Mapping implements [enlace.MappingStore].
func (s *Store) Mapping(ctx context.Context, key enlace.MappingKey) (enlace.MappingVersion, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.MappingVersion{}, err
	}
	defer s.end(ctx)
	v, exists := s.mappings.get(key)
	if !exists {
		return enlace.MappingVersion{}, enlace.ErrNotFound
	}
	return copyMapping(v), nil
}

// ActiveMapping implements [enlace.MappingStore].
func (s *Store) ActiveMapping(ctx context.Context, ref enlace.Ref, entity string) (enlace.MappingVersion, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.MappingVersion{}, err
	}
	defer s.end(ctx)
	for key, v := range s.mappings.all() {
		if key.Ref == ref && key.Entity == entity && v.State == enlace.MappingActive {
			return copyMapping(v), nil
		}
	}
	return enlace.MappingVersion{}, enlace.ErrNotFound
}

// Mappings implements [enlace.MappingStore].
func (s *Store) Mappings(ctx context.Context, q enlace.MappingQuery) ([]enlace.MappingVersion, string, error) {
	after, err := page.MappingAfter(mappingList, q)
	if err != nil {
		return nil, "", err
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.MappingVersion
	for key, v := range s.mappings.all() {
		behind := key.Entity > after.Entity || key.Entity == after.Entity && key.Number < after.Number
		if q.Entity != "" {
			behind = key.Entity == q.Entity && key.Number < after.Number
		}
		if key.Ref == q.Ref && behind {
			rows = append(rows, v)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.MappingVersion) int {
		return cmp.Or(cmp.Compare(a.Entity, b.Entity), cmp.Compare(b.Number, a.Number))
	})
	rows, next := page.Cut(rows, page.Size(q.Limit), mappingList, page.MappingPosition)
	for i := range rows {
		rows[i] = copyMapping(rows[i])
	}
	return rows, next, nil
}

// UpdateMapping implements [enlace.MappingStore].
func (s *Store) UpdateMapping(ctx context.Context, v enlace.MappingVersion) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	stored, exists := s.mappings.get(v.Key())
	if !exists {
		return enlace.ErrNotFound
	}
	if stored.Version != v.Version || s.activeBeside(v) {
		return enlace.ErrConflict
	}
	stored.State, stored.Document = v.State, v.Document
	stored.Version++
	stored.UpdatedAt = now()
	s.mappings.set(s.undo, v.Key(), copyMapping(stored))
	return nil
}

// DeleteMappings implements [enlace.MappingStore].
func (s *Store) DeleteMappings(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for key := range s.mappings.all() {
		if key.Ref == ref {
			s.mappings.delete(s.undo, key)
		}
	}
	return nil
}

// activeBeside says whether v would be active beside another version of its entity.
func (s *Store) activeBeside(v enlace.MappingVersion) bool {
	if v.State != enlace.MappingActive {
		return false
	}
	for key, other := range s.mappings.all() {
		if key.Ref == v.Ref && key.Entity == v.Entity && key.Number != v.Number && other.State == enlace.MappingActive {
			return true
		}
	}
	return false
}

// copyMapping shares no memory with v.
func copyMapping(v enlace.MappingVersion) enlace.MappingVersion {
	v.Document = bytes.Clone(v.Document)
	return v
}
