package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
)

const (
	selectCheckpoint = `SELECT resume, mark, scope, began, version, updated_at FROM enlace.checkpoints
		WHERE tenant = $1 AND integration = $2 AND entity = $3`

	insertCheckpoint = `INSERT INTO enlace.checkpoints (tenant, integration, entity, resume, mark, scope, began, version, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 1, clock_timestamp())
		ON CONFLICT (tenant, integration, entity) DO NOTHING`

	updateCheckpoint = `UPDATE enlace.checkpoints
		SET resume = $4, mark = $5, scope = $6, began = $7, version = version + 1, updated_at = clock_timestamp()
		WHERE tenant = $1 AND integration = $2 AND entity = $3 AND version = $8`

	deleteCheckpoints = `DELETE FROM enlace.checkpoints WHERE tenant = $1 AND integration = $2`
)

// LoadCheckpoint implements [enlace.CheckpointStore].
func (s *Store) LoadCheckpoint(ctx context.Context, ref enlace.Ref, entity string) (enlace.Checkpoint, error) {
	var cp enlace.Checkpoint
	var began int64
	err := s.row(ctx, "load checkpoint", []any{&cp.Resume, &cp.Mark, &cp.Scope, &began, &cp.Version, asTime{&cp.UpdatedAt}},
		selectCheckpoint, ref.Tenant, ref.ID, entity)
	if errors.Is(err, pgx.ErrNoRows) {
		return enlace.Checkpoint{}, nil
	}
	cp.Began = time.UnixMicro(began).UTC()
	return cp, err
}

// SaveCheckpoint implements [enlace.CheckpointStore].
func (s *Store) SaveCheckpoint(ctx context.Context, ref enlace.Ref, entity string, cp enlace.Checkpoint) error {
	query, args := insertCheckpoint, []any{ref.Tenant, ref.ID, entity, string(cp.Resume), string(cp.Mark), cp.Scope, cp.Began.UnixMicro()}
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
