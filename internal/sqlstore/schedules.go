package sqlstore

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	scheduleList = "schedules"

	insertSchedule = `INSERT INTO enlace.schedules (integration, enabled, next_at, body, tenant, id, version, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, 1, {now}) ON CONFLICT (tenant, id) DO NOTHING`

	updateSchedule = `UPDATE enlace.schedules
		SET integration = ?, enabled = ?, next_at = ?, body = ?, version = version + 1, updated_at = {now}
		WHERE tenant = ? AND id = ? AND version = ?`

	selectSchedules = `SELECT body, version, updated_at FROM enlace.schedules WHERE `

	dueSchedules = selectSchedules + `enabled AND next_at <= ? ORDER BY next_at, id LIMIT ?`

	deleteSchedule = `DELETE FROM enlace.schedules WHERE tenant = ? AND id = ?`

	deleteSchedules = `DELETE FROM enlace.schedules WHERE tenant = ? AND integration = ?`
)

// SaveSchedule implements [enlace.ScheduleStore].
func (s *Store) SaveSchedule(ctx context.Context, schedule enlace.Schedule) error {
	args := []any{schedule.Ref.ID, !schedule.Paused, schedule.NextAt.UnixMicro(), toJSON(schedule), schedule.Ref.Tenant, schedule.ID}
	statement := insertSchedule
	if schedule.Version != 0 {
		statement, args = updateSchedule, append(args, schedule.Version)
	}
	saved, err := s.exec(ctx, "save schedule", statement, args...)
	if err == nil && saved == 0 {
		err = enlace.ErrConflict
	}
	return err
}

// Schedule implements [enlace.ScheduleStore].
func (s *Store) Schedule(ctx context.Context, tenant, id string) (enlace.Schedule, error) {
	schedule, found, err := selectOne(ctx, s, "schedule", scanSchedule, selectSchedules+`tenant = ? AND id = ?`, tenant, id)
	if err == nil && !found {
		err = enlace.ErrNotFound
	}
	return schedule, err
}

// Schedules implements [enlace.ScheduleStore].
func (s *Store) Schedules(ctx context.Context, q enlace.ScheduleQuery) ([]enlace.Schedule, string, error) {
	where, args := `tenant = ?`, []any{q.Tenant}
	if q.Integration != "" {
		where, args = where+` AND integration = ?`, append(args, q.Integration)
	}
	if q.Cursor != "" {
		last, err := page.Decode(scheduleList, q.Cursor)
		if err != nil {
			return nil, "", err
		}
		where, args = where+` AND id > ?`, append(args, last)
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "schedules", scanSchedule, selectSchedules+where+` ORDER BY id LIMIT ?`, append(args, size+1)...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, scheduleList, func(s enlace.Schedule) string { return s.ID })
	return rows, next, nil
}

// DueSchedules implements [enlace.ScheduleStore].
func (s *Store) DueSchedules(ctx context.Context, at time.Time, limit int) ([]enlace.Schedule, error) {
	return selectAll(ctx, s, "due schedules", scanSchedule, dueSchedules, at.UnixMicro(), limit)
}

// DeleteSchedule implements [enlace.ScheduleStore].
func (s *Store) DeleteSchedule(ctx context.Context, tenant, id string) error {
	_, err := s.exec(ctx, "delete schedule", deleteSchedule, tenant, id)
	return err
}

// DeleteSchedules implements [enlace.ScheduleStore].
func (s *Store) DeleteSchedules(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete schedules", deleteSchedules, ref.Tenant, ref.ID)
	return err
}

func scanSchedule(row Row) (enlace.Schedule, error) {
	var s enlace.Schedule
	var version int64
	var updated time.Time
	err := row.Scan(asJSON{&s}, &version, instant{&updated})
	s.Version, s.UpdatedAt = version, updated
	return s, err
}
