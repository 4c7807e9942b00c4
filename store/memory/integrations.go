package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const integrationList = "integrations"

// CreateIntegration implements [enlace.IntegrationStore].
func (s *Store) CreateIntegration(ctx context.Context, in enlace.Integration) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if _, exists := s.integrations.get(in.Ref); exists {
		return enlace.ErrConflict
	}
	in.Version = 1
	s.integrations.set(s.undo, in.Ref, copyIntegration(in))
	return nil
}

// Integration implements [enlace.IntegrationStore].
func (s *Store) Integration(ctx context.Context, ref enlace.Ref) (enlace.Integration, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Integration{}, err
	}
	defer s.end(ctx)
	in, exists := s.integrations.get(ref)
	if !exists {
		return enlace.Integration{}, enlace.ErrNotFound
	}
	return copyIntegration(in), nil
}

// Integrations implements [enlace.IntegrationStore].
func (s *Store) Integrations(ctx context.Context, q enlace.IntegrationQuery) ([]enlace.Integration, string, error) {
	after := ""
	if q.Cursor != "" {
		var err error
		if after, err = page.Decode(integrationList, q.Cursor); err != nil {
			return nil, "", err
		}
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.Integration
	for ref, in := range s.integrations.all() {
		if ref.Tenant == q.Tenant && ref.ID > after && (q.Provider == "" || in.Provider == q.Provider) {
			rows = append(rows, in)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.Integration) int { return cmp.Compare(a.ID, b.ID) })
	rows, next := page.Cut(rows, page.Size(q.Limit), integrationList, func(in enlace.Integration) string { return in.ID })
	for i := range rows {
		rows[i] = copyIntegration(rows[i])
	}
	return rows, next, nil
}

// EveryIntegration implements [enlace.HealthStore].
func (s *Store) EveryIntegration(ctx context.Context, after enlace.Ref, limit int) ([]enlace.Integration, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rows []enlace.Integration
	for ref, in := range s.integrations.all() {
		if compareRefs(ref, after) > 0 {
			rows = append(rows, in)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.Integration) int { return compareRefs(a.Ref, b.Ref) })
	rows = slices.Clone(rows[:min(limit, len(rows))]) // so that the rest is not kept with them
	for i := range rows {
		rows[i] = copyIntegration(rows[i])
	}
	return rows, nil
}

// UpdateIntegration implements [enlace.IntegrationStore].
func (s *Store) UpdateIntegration(ctx context.Context, in enlace.Integration) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if err := s.checkVersion(in.Ref, in.Version); err != nil {
		return err
	}
	in.Version++
	s.integrations.set(s.undo, in.Ref, copyIntegration(in))
	return nil
}

// DeleteIntegration implements [enlace.IntegrationStore].
func (s *Store) DeleteIntegration(ctx context.Context, ref enlace.Ref, version int64) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if err := s.checkVersion(ref, version); err != nil {
		return err
	}
	s.integrations.delete(s.undo, ref)
	return nil
}

func (s *Store) checkVersion(ref enlace.Ref, version int64) error {
	stored, exists := s.integrations.get(ref)
	if !exists {
		return enlace.ErrNotFound
	}
	if stored.Version != version {
		return enlace.ErrConflict
	}
	return nil
}

// copyIntegration shares no memory with in, so that neither the caller nor the
// store sees the other's changes.
func copyIntegration(in enlace.Integration) enlace.Integration {
	in.Settings, in.Features = maps.Clone(in.Settings), slices.Clone(in.Features)
	in.CreatedAt, in.UpdatedAt = instant(in.CreatedAt), instant(in.UpdatedAt)
	return in
}
