package sqlstore

import (
	"context"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	refusedList = "refused"

	refusedColumns = `tenant, integration, entity, id, mapping, error, tries, created_at, updated_at`

	putRefused = `INSERT INTO enlace.refused_records AS r (` + refusedColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, 1, {now}, {now})
		ON CONFLICT (tenant, integration, entity, id) DO UPDATE
		SET mapping = excluded.mapping, error = excluded.error, tries = r.tries + 1, updated_at = excluded.updated_at`

	settleRefused = `DELETE FROM enlace.refused_records WHERE tenant = ? AND integration = ? AND entity = ? AND id IN `

	listRefused = `SELECT ` + refusedColumns + ` FROM enlace.refused_records
		WHERE tenant = ? AND integration = ? AND (entity > ? OR entity = ? AND id > ?)
		ORDER BY entity, id LIMIT ?`

	listRefusedOfEntity = `SELECT ` + refusedColumns + ` FROM enlace.refused_records
		WHERE tenant = ? AND integration = ? AND entity = ? AND id > ?
		ORDER BY id LIMIT ?`

	deleteRefused = `DELETE FROM enlace.refused_records WHERE tenant = ? AND integration = ?`
)

// SaveRefusedRecords implements [enlace.RefusedStore].
func (s *Store) SaveRefusedRecords(ctx context.Context, ref enlace.Ref, entity string, refused []enlace.RefusedRecord, settled []string) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for _, r := range refused {
			if _, err := s.exec(ctx, "save refused record", putRefused, ref.Tenant, ref.ID, entity, r.RecordID, r.Mapping, r.Error); err != nil {
				return err
			}
		}
		for chunk := range slices.Chunk(settled, idsPerStatement) {
			args := []any{ref.Tenant, ref.ID, entity}
			for _, id := range chunk {
				args = append(args, id)
			}
			if _, err := s.exec(ctx, "settle refused records", settleRefused+"("+placeholders(len(chunk))+")", args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// RefusedRecords implements [enlace.RefusedStore].
func (s *Store) RefusedRecords(ctx context.Context, q enlace.RefusedQuery) ([]enlace.RefusedRecord, string, error) {
	entity, id, err := page.RefusedAfter(refusedList, q)
	if err != nil {
		return nil, "", err
	}
	size := page.Size(q.Limit)
	query, args := listRefused, []any{q.Tenant, q.ID, entity, entity, id, size + 1}
	if q.Entity != "" {
		query, args = listRefusedOfEntity, []any{q.Tenant, q.ID, q.Entity, id, size + 1}
	}
	rows, err := selectAll(ctx, s, "refused records", scanRefused, query, args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, refusedList, page.RefusedPosition)
	return rows, next, nil
}

// DeleteRefusedRecords implements [enlace.RefusedStore].
func (s *Store) DeleteRefusedRecords(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete refused records", deleteRefused, ref.Tenant, ref.ID)
	return err
}

func scanRefused(row Row) (r enlace.RefusedRecord, err error) {
	err = row.Scan(&r.Tenant, &r.ID, &r.Entity, &r.RecordID, &r.Mapping, &r.Error, &r.Tries, instant{&r.CreatedAt}, instant{&r.UpdatedAt})
	return r, err
}
