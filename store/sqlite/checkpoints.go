package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/enlace-go/enlace"
)

const (
	selectCheckpoint = `SELECT resume, mark, scope, began, version, updated_at FROM enlace_checkpoints
		WHERE tenant = ? AND integration = ? AND entity = ?`

	insertCheckpoint = `INSERT INTO enlace_checkpoints (resume, mark, scope, began, tenant, integration, entity, version, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, 1, ` + now + `)
		ON CONFLICT (tenant, integration, entity) DO NOTHING`

	updateCheckpoint = `UPDATE enlace_checkpoints
		SET resume = ?, mark = ?, scope = ?, began = ?, version = version + 1, updated_at = ` + now + `
		WHERE tenant = ? AND integration = ? AND entity = ? AND version = ?`

	deleteCheckpoints = `DELETE FROM enlace_checkpoints WHERE tenant = ? AND integration = ?`
)

// LoadCheckpoint implements [enlace.CheckpointStore].
func (s *Store) LoadCheckpoint(ctx context.Context, ref enlace.Ref, entity string) (enlace.Checkpoint, error) {
	var cp enlace.Checkpoint
	err := s.reader(ctx).QueryRowContext(ctx, selectCheckpoint, ref.Tenant, ref.ID, entity).
		Scan(&cp.Resume, &cp.Mark, &cp.Scope, asTime{&cp.Began}, &cp.Version, asTime{&cp.UpdatedAt})
	if errors.Is(err, sql.ErrNoRows) {
		return enlace.Checkpoint{}, nil
	}
	return cp, failed("load checkpoint", err)
}

// SaveCheckpoint implements [enlace.CheckpointStore].
func (s *Store) SaveCheckpoint(ctx context.Context, ref enlace.Ref, entity string, cp enlace.Checkpoint) error {
	query, args := insertCheckpoint, []any{string(cp.Resume), string(cp.Mark), cp.Scope, cp.Began.UnixMicro(), ref.Tenant, ref.ID, entity}
	if cp.Version != 0 {
		query, args = updateCheckpoint, append(args, cp.Version)
	}
	saved, err := s.exec(ctx, "save checkpoint", query, args...)
	if err == nil && saved == 0 {
		return enlace.ErrConflict
	}
	return err
}

// DeleteCheckpoints implements [enlace.CheckpointStore].
func (s *Store) DeleteCheckpoints(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete checkpoints", deleteCheckpoints, ref.Tenant, ref.ID)
	return err
}
