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
	conflictColumns = `tenant, integration, id, entity, local_id, remote_id, kind, state, policy, run_id, found_at, payload, payload_key, version`

	putConflict = `INSERT INTO enlace.sync_conflicts AS c (` + conflictColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
		ON CONFLICT (tenant, integration, id) DO UPDATE
		SET entity = excluded.entity, local_id = excluded.local_id, remote_id = excluded.remote_id, kind = excluded.kind,
			state = excluded.state, policy = excluded.policy, run_id = excluded.run_id, found_at = excluded.found_at,
			payload = excluded.payload, payload_key = excluded.payload_key, version = c.version + 1`

	updateConflict = `UPDATE enlace.sync_conflicts
		SET kind = ?, state = ?, policy = ?, run_id = ?, payload = ?, payload_key = ?, version = version + 1
		WHERE tenant = ? AND integration = ? AND id = ? AND version = ?`

	conflictExists = `SELECT version FROM enlace.sync_conflicts WHERE tenant = ? AND integration = ? AND id = ?`

	deleteResolvedConflicts = `DELETE FROM enlace.sync_conflicts WHERE (tenant, integration, id) IN (
		SELECT tenant, integration, id FROM enlace.sync_conflicts
		WHERE state = 'resolved' AND found_at < ? ORDER BY found_at LIMIT ?)`
)

// PutConflicts implements [enlace.ConflictStore].
func (s *Store) PutConflicts(ctx context.Context, rows []enlace.ConflictRow) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for _, c := range rows {
			_, err := s.exec(ctx, "put conflict", putConflict, c.Ref.Tenant, c.Ref.ID, c.ID, c.Entity, c.LocalID, c.RemoteID, string(c.Kind),
				string(c.State), string(c.Policy), c.RunID, c.At.UnixMicro(), c.Payload, int64(c.PayloadKey))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// LoadConflicts implements [enlace.ConflictStore].
func (s *Store) LoadConflicts(ctx context.Context, ref enlace.Ref, ids []string) ([]enlace.ConflictRow, error) {
	if len(ids) == 0 {
		return nil, ctx.Err()
	}
	return selectAll(ctx, s, "load conflicts", scanConflict, `SELECT `+conflictColumns+` FROM enlace.sync_conflicts
		WHERE tenant = ? AND integration = ? AND id IN (`+placeholders(len(ids))+`)`, refAnd(ref, ids)...)
}

// refAnd are the arguments of a condition on some ids of an integration.
func refAnd(ref enlace.Ref, ids []string) []any {
	args := []any{ref.Tenant, ref.ID}
	for _, id := range ids {
		args = append(args, id)
	}
	return args
}

// Conflicts implements [enlace.ConflictStore].
func (s *Store) Conflicts(ctx context.Context, q enlace.ConflictQuery) ([]enlace.ConflictRow, string, error) {
	where, args := []string{"tenant = ?"}, []any{q.Tenant}
	add := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if q.Integration != "" {
		add("integration = ?", q.Integration)
	}
	if q.Entity != "" {
		add("entity = ?", q.Entity)
	}
	if q.State != "" {
		add("state = ?", string(q.State))
	}
	if q.Cursor != "" {
		at, err := page.ParseConflict(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		add("(found_at, integration, id) < (?, ?, ?)", at.At.UnixMicro(), at.Ref.ID, at.ID)
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "conflicts", scanConflict, `SELECT `+conflictColumns+` FROM enlace.sync_conflicts
		WHERE `+strings.Join(where, " AND ")+` ORDER BY found_at DESC, integration DESC, id DESC LIMIT `+strconv.Itoa(size+1), args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.CutConflicts(rows, size)
	return rows, next, nil
}

// UpdateConflict implements [enlace.ConflictStore].
func (s *Store) UpdateConflict(ctx context.Context, c enlace.ConflictRow) error {
	changed, err := s.exec(ctx, "update conflict", updateConflict, string(c.Kind), string(c.State), string(c.Policy), c.RunID, c.Payload,
		int64(c.PayloadKey), c.Ref.Tenant, c.Ref.ID, c.ID, c.Version)
	if err != nil || changed > 0 {
		return err
	}
	scan := func(row Row) (version int64, err error) { return version, row.Scan(&version) }
	_, found, err := selectOne(ctx, s, "update conflict", scan, conflictExists, c.Ref.Tenant, c.Ref.ID, c.ID)
	switch {
	case err != nil:
		return err
	case found:
		return enlace.ErrConflict
	default:
		return enlace.ErrNotFound
	}
}

// DeleteConflicts implements [enlace.ConflictStore].
func (s *Store) DeleteConflicts(ctx context.Context, ref enlace.Ref, ids []string) error {
	if len(ids) == 0 {
		return ctx.Err()
	}
	_, err := s.exec(ctx, "delete conflicts", `DELETE FROM enlace.sync_conflicts
		WHERE tenant = ? AND integration = ? AND id IN (`+placeholders(len(ids))+`)`, refAnd(ref, ids)...)
	return err
}

// DeleteResolvedConflicts implements [enlace.ConflictStore].
func (s *Store) DeleteResolvedConflicts(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.exec(ctx, "delete resolved conflicts", deleteResolvedConflicts, before.UnixMicro(), limit)
	return int(n), err
}

// DeleteAllConflicts implements [enlace.ConflictStore].
func (s *Store) DeleteAllConflicts(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete conflicts", `DELETE FROM enlace.sync_conflicts WHERE tenant = ? AND integration = ?`, ref.Tenant, ref.ID)
	return err
}

func scanConflict(row Row) (c enlace.ConflictRow, err error) {
	var key int64
	err = row.Scan(&c.Ref.Tenant, &c.Ref.ID, &c.ID, &c.Entity, &c.LocalID, &c.RemoteID, (*string)(&c.Kind), (*string)(&c.State), (*string)(&c.Policy),
		&c.RunID, instant{&c.At}, &c.Payload, &key, &c.Version)
	c.PayloadKey = uint64(key)
	return c, err
}
