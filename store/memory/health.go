package memory

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	healthList       = "health"
	healthChangeList = "health changes"
)

// SaveHealth implements [enlace.HealthStore].
func (s *Store) SaveHealth(ctx context.Context, states []enlace.Health, changes []enlace.HealthChange) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, h := range states {
		h.Checks = slices.Clone(h.Checks)
		s.health.set(s.undo, h.Ref, h)
	}
	for _, c := range changes {
		c.At = instant(c.At)
		s.changes.set(s.undo, c.Ref.Tenant, append(s.changes.value(c.Ref.Tenant), c))
	}
	return nil
}

// Health implements [enlace.HealthStore].
func (s *Store) Health(ctx context.Context, ref enlace.Ref) (enlace.Health, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Health{}, err
	}
	defer s.end(ctx)
	h, exists := s.health.get(ref)
	if !exists {
		return enlace.Health{}, enlace.ErrNotFound
	}
	h.Checks = slices.Clone(h.Checks)
	return h, nil
}

// HealthList implements [enlace.HealthStore].
func (s *Store) HealthList(ctx context.Context, q enlace.HealthQuery) ([]enlace.Health, string, error) {
	after := ""
	if q.Cursor != "" {
		var err error
		if after, err = page.Decode(healthList, q.Cursor); err != nil {
			return nil, "", err
		}
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.Health
	for ref, h := range s.health.all() {
		if ref.Tenant == q.Tenant && ref.ID > after && (q.Provider == "" || h.Provider == q.Provider) && (q.Status == "" || h.Status == q.Status) {
			h.Checks = slices.Clone(h.Checks)
			rows = append(rows, h)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.Health) int { return cmp.Compare(a.Ref.ID, b.Ref.ID) })
	rows, next := page.Cut(rows, page.Size(q.Limit), healthList, func(h enlace.Health) string { return h.Ref.ID })
	return rows, next, nil
}

// DeleteHealth implements [enlace.HealthStore].
func (s *Store) DeleteHealth(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	s.health.delete(s.undo, ref)
	return nil
}

// HealthChanges implements [enlace.HealthStore].
func (s *Store) HealthChanges(ctx context.Context, q enlace.HealthChangeQuery) ([]enlace.HealthChange, string, error) {
	var behind enlace.HealthChange
	if q.Cursor != "" {
		position, err := page.Decode(healthChangeList, q.Cursor)
		if err != nil {
			return nil, "", err
		}
		text, integration, _ := strings.Cut(position, ":")
		at, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, "", page.ErrCursor
		}
		behind.At, behind.Ref.ID = time.UnixMicro(at).UTC(), integration
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	order := func(a, b enlace.HealthChange) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Ref.ID, a.Ref.ID))
	}
	var rows []enlace.HealthChange
	for _, c := range s.changes.value(q.Tenant) {
		if (q.Integration == "" || c.Ref.ID == q.Integration) && (q.From.IsZero() || !c.At.Before(q.From)) &&
			(q.To.IsZero() || c.At.Before(q.To)) && (q.Cursor == "" || order(c, behind) > 0) {
			rows = append(rows, c)
		}
	}
	slices.SortStableFunc(rows, order)
	rows, next := page.Cut(rows, page.Size(q.Limit), healthChangeList, func(c enlace.HealthChange) string {
		return strconv.FormatInt(c.At.UnixMicro(), 10) + ":" + c.Ref.ID
	})
	return rows, next, nil
}

// DeleteHealthChanges implements [enlace.HealthStore].
func (s *Store) DeleteHealthChanges(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	n := 0
	for tenant, changes := range s.changes.all() {
		kept := []enlace.HealthChange{}
		for _, c := range changes {
			if c.At.Before(before) && n < limit {
				n++
			} else {
				kept = append(kept, c)
			}
		}
		s.changes.set(s.undo, tenant, kept)
	}
	return n, nil
}

// SaveMaintenance implements [enlace.HealthStore].
func (s *Store) SaveMaintenance(ctx context.Context, m enlace.Maintenance) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	s.maintenance.set(s.undo, enlace.Ref{Tenant: m.Tenant, ID: m.ID}, m)
	return nil
}

// DeleteMaintenance implements [enlace.HealthStore].
func (s *Store) DeleteMaintenance(ctx context.Context, tenant, id string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	key := enlace.Ref{Tenant: tenant, ID: id}
	if _, exists := s.maintenance.get(key); !exists {
		return enlace.ErrNotFound
	}
	s.maintenance.delete(s.undo, key)
	return nil
}

// Maintenances implements [enlace.HealthStore].
func (s *Store) Maintenances(ctx context.Context, tenant string, endAfter time.Time) ([]enlace.Maintenance, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rows []enlace.Maintenance
	for key, m := range s.maintenance.all() {
		if key.Tenant == tenant && m.Until.After(endAfter) {
			rows = append(rows, m)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.Maintenance) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID)) })
	return rows[:min(1000, len(rows))], nil
}

// EveryMaintenance implements [enlace.HealthStore].
func (s *Store) EveryMaintenance(ctx context.Context, endAfter time.Time) ([]enlace.Maintenance, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rows []enlace.Maintenance
	for _, m := range s.maintenance.all() {
		if m.Until.After(endAfter) {
			rows = append(rows, m)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.Maintenance) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID))
	})
	return rows[:min(10_000, len(rows))], nil
}
