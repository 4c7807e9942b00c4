package sqlstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	healthList       = "health"
	healthChangeList = "health changes"

	saveHealth = `INSERT INTO enlace.health (tenant, integration, provider, status, checked_at, details) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, integration) DO UPDATE
		SET provider = excluded.provider, status = excluded.status, checked_at = excluded.checked_at, details = excluded.details`

	selectHealth = `SELECT details FROM enlace.health WHERE tenant = ? AND integration = ?`

	deleteHealth = `DELETE FROM enlace.health WHERE tenant = ? AND integration = ?`

	insertHealthChange = `INSERT INTO enlace.health_changes (tenant, at, integration, details) VALUES (?, ?, ?, ?)
		ON CONFLICT (tenant, at, integration) DO UPDATE SET details = excluded.details`

	deleteHealthChanges = `DELETE FROM enlace.health_changes WHERE (tenant, at, integration) IN
		(SELECT tenant, at, integration FROM enlace.health_changes WHERE at < ? LIMIT ?)`

	saveMaintenance = `INSERT INTO enlace.maintenance (tenant, id, until_at, details) VALUES (?, ?, ?, ?)
		ON CONFLICT (tenant, id) DO UPDATE SET until_at = excluded.until_at, details = excluded.details`

	deleteMaintenance = `DELETE FROM enlace.maintenance WHERE tenant = ? AND id = ?`

	selectMaintenance = `SELECT details FROM enlace.maintenance WHERE tenant = ? AND until_at > ? ORDER BY until_at, id LIMIT 1000`

	everyMaintenance = `SELECT details FROM enlace.maintenance WHERE until_at > ? ORDER BY until_at, tenant, id LIMIT 10000`
)

// SaveHealth implements [enlace.HealthStore].
func (s *Store) SaveHealth(ctx context.Context, states []enlace.Health, changes []enlace.HealthChange) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for _, h := range states {
			_, err := s.exec(ctx, "save health", saveHealth, h.Ref.Tenant, h.Ref.ID, h.Provider, string(h.Status), h.CheckedAt.UnixMicro(), toJSON(h))
			if err != nil {
				return err
			}
		}
		for _, c := range changes {
			if _, err := s.exec(ctx, "save health change", insertHealthChange, c.Ref.Tenant, c.At.UnixMicro(), c.Ref.ID, toJSON(c)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Health implements [enlace.HealthStore].
func (s *Store) Health(ctx context.Context, ref enlace.Ref) (enlace.Health, error) {
	h, found, err := selectOne(ctx, s, "health", scanJSON[enlace.Health], selectHealth, ref.Tenant, ref.ID)
	if err == nil && !found {
		err = enlace.ErrNotFound
	}
	return h, err
}

// HealthList implements [enlace.HealthStore].
func (s *Store) HealthList(ctx context.Context, q enlace.HealthQuery) ([]enlace.Health, string, error) {
	var b strings.Builder
	b.WriteString(`SELECT details FROM enlace.health WHERE tenant = ?`)
	args := []any{q.Tenant}
	where := func(condition, value string) {
		if value != "" {
			b.WriteString(" AND " + condition)
			args = append(args, value)
		}
	}
	where("provider = ?", q.Provider)
	where("status = ?", string(q.Status))
	if q.Cursor != "" {
		after, err := page.Decode(healthList, q.Cursor)
		if err != nil {
			return nil, "", err
		}
		where("integration > ?", after)
	}
	b.WriteString(" ORDER BY integration LIMIT ?")
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "health list", scanJSON[enlace.Health], b.String(), append(args, size+1)...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, healthList, func(h enlace.Health) string { return h.Ref.ID })
	return rows, next, nil
}

// DeleteHealth implements [enlace.HealthStore].
func (s *Store) DeleteHealth(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete health", deleteHealth, ref.Tenant, ref.ID)
	return err
}

// HealthChanges implements [enlace.HealthStore].
func (s *Store) HealthChanges(ctx context.Context, q enlace.HealthChangeQuery) ([]enlace.HealthChange, string, error) {
	var b strings.Builder
	b.WriteString(`SELECT details FROM enlace.health_changes WHERE tenant = ?`)
	args := []any{q.Tenant}
	if q.Integration != "" {
		b.WriteString(" AND integration = ?")
		args = append(args, q.Integration)
	}
	if !q.From.IsZero() {
		b.WriteString(" AND at >= ?")
		args = append(args, q.From.UnixMicro())
	}
	if !q.To.IsZero() {
		b.WriteString(" AND at < ?")
		args = append(args, q.To.UnixMicro())
	}
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
		b.WriteString(" AND (at, integration) < (?, ?)")
		args = append(args, at, integration)
	}
	b.WriteString(" ORDER BY at DESC, integration DESC LIMIT ?")
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "health changes", scanJSON[enlace.HealthChange], b.String(), append(args, size+1)...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, healthChangeList, func(c enlace.HealthChange) string {
		return strconv.FormatInt(c.At.UnixMicro(), 10) + ":" + c.Ref.ID
	})
	return rows, next, nil
}

// DeleteHealthChanges implements [enlace.HealthStore].
func (s *Store) DeleteHealthChanges(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.exec(ctx, "delete health changes", deleteHealthChanges, before.UnixMicro(), limit)
	return int(n), err
}

// SaveMaintenance implements [enlace.HealthStore].
func (s *Store) SaveMaintenance(ctx context.Context, m enlace.Maintenance) error {
	_, err := s.exec(ctx, "save maintenance", saveMaintenance, m.Tenant, m.ID, m.Until.UnixMicro(), toJSON(m))
	return err
}

// DeleteMaintenance implements [enlace.HealthStore].
func (s *Store) DeleteMaintenance(ctx context.Context, tenant, id string) error {
	n, err := s.exec(ctx, "delete maintenance", deleteMaintenance, tenant, id)
	if err == nil && n == 0 {
		return enlace.ErrNotFound
	}
	return err
}

// Maintenances implements [enlace.HealthStore].
func (s *Store) Maintenances(ctx context.Context, tenant string, endAfter time.Time) ([]enlace.Maintenance, error) {
	return selectAll(ctx, s, "maintenance", scanJSON[enlace.Maintenance], selectMaintenance, tenant, endAfter.UnixMicro())
}

// EveryMaintenance implements [enlace.HealthStore].
func (s *Store) EveryMaintenance(ctx context.Context, endAfter time.Time) ([]enlace.Maintenance, error) {
	return selectAll(ctx, s, "every maintenance", scanJSON[enlace.Maintenance], everyMaintenance, endAfter.UnixMicro())
}

// scanJSON reads a row of one JSON column.
func scanJSON[T any](row Row) (T, error) {
	var v T
	err := row.Scan(asJSON{&v})
	return v, err
}
