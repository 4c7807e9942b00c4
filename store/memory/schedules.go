package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const scheduleList = "schedules"

// SaveSchedule implements [enlace.ScheduleStore].
func (s *Store) SaveSchedule(ctx context.Context, schedule enlace.Schedule) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	key := enlace.Ref{Tenant: schedule.Ref.Tenant, ID: schedule.ID}
	if s.schedules.value(key).Version != schedule.Version {
		return enlace.ErrConflict
	}
	schedule.Version++
	schedule.UpdatedAt = now()
	schedule.Options.Entities = slices.Clone(schedule.Options.Entities)
	s.schedules.set(s.undo, key, schedule)
	return nil
}

// Schedule implements [enlace.ScheduleStore].
func (s *Store) Schedule(ctx context.Context, tenant, id string) (enlace.Schedule, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Schedule{}, err
	}
	defer s.end(ctx)
	schedule, exists := s.schedules.get(enlace.Ref{Tenant: tenant, ID: id})
	if !exists {
		return enlace.Schedule{}, enlace.ErrNotFound
	}
	schedule.Options.Entities = slices.Clone(schedule.Options.Entities)
	return schedule, nil
}

// Schedules implements [enlace.ScheduleStore].
func (s *Store) Schedules(ctx context.Context, q enlace.ScheduleQuery) ([]enlace.Schedule, string, error) {
	last := ""
	if q.Cursor != "" {
		var err error
		if last, err = page.Decode(scheduleList, q.Cursor); err != nil {
			return nil, "", err
		}
	}
	rows, err := s.schedulesThat(ctx, func(x enlace.Schedule) bool {
		return x.Ref.Tenant == q.Tenant && (q.Integration == "" || x.Ref.ID == q.Integration) && (q.Cursor == "" || x.ID > last)
	})
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, page.Size(q.Limit), scheduleList, func(s enlace.Schedule) string { return s.ID })
	return rows, next, nil
}

// DueSchedules implements [enlace.ScheduleStore].
func (s *Store) DueSchedules(ctx context.Context, at time.Time, limit int) ([]enlace.Schedule, error) {
	due, err := s.schedulesThat(ctx, func(x enlace.Schedule) bool { return !x.Paused && !x.NextAt.After(at) })
	slices.SortStableFunc(due, func(a, b enlace.Schedule) int { return a.NextAt.Compare(b.NextAt) })
	return due[:min(limit, len(due))], err
}

// schedulesThat are the matching ones in order of their ids.
func (s *Store) schedulesThat(ctx context.Context, match func(enlace.Schedule) bool) ([]enlace.Schedule, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var rows []enlace.Schedule
	for _, schedule := range s.schedules.all() {
		if match(schedule) {
			schedule.Options.Entities = slices.Clone(schedule.Options.Entities)
			rows = append(rows, schedule)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.Schedule) int { return cmp.Compare(a.ID, b.ID) })
	return rows, nil
}

// DeleteSchedule implements [enlace.ScheduleStore].
func (s *Store) DeleteSchedule(ctx context.Context, tenant, id string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	s.schedules.delete(s.undo, enlace.Ref{Tenant: tenant, ID: id})
	return nil
}

// DeleteSchedules implements [enlace.ScheduleStore].
func (s *Store) DeleteSchedules(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for key, schedule := range s.schedules.all() {
		if schedule.Ref == ref {
			s.schedules.delete(s.undo, key)
		}
	}
	return nil
}
