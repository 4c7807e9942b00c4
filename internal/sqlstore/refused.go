package sqlstore

import (
	"context"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	refusedList = "refused"

	refusedColumns = `tenant, integration, entity, id, state, mapping, kind, error, tries, edited, modified, digest, version, created_at, updated_at`

	// A payload of the same data stays: a person may have edited it.
	putRefused = `INSERT INTO enlace.refused_records AS r (` + refusedColumns + `, payload, payload_key)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, {now}, {now}, ?, ?)
		ON CONFLICT (tenant, integration, entity, id) DO UPDATE
		SET state = excluded.state, mapping = excluded.mapping, kind = excluded.kind, error = excluded.error, tries = excluded.tries,
			edited = CASE WHEN r.digest = excluded.digest THEN r.edited ELSE excluded.edited END,
			payload = CASE WHEN r.digest = excluded.digest THEN r.payload ELSE excluded.payload END,
			payload_key = CASE WHEN r.digest = excluded.digest THEN r.payload_key ELSE excluded.payload_key END,
			modified = excluded.modified, digest = excluded.digest, version = r.version + 1, updated_at = excluded.updated_at`

	oneRefused = `SELECT ` + refusedColumns + `, payload, payload_key FROM enlace.refused_records
		WHERE tenant = ? AND integration = ? AND entity = ? AND id = ?`

	updateRefused = `UPDATE enlace.refused_records SET state = ?, tries = ?, edited = ?, payload = ?, payload_key = ?,
			version = version + 1, updated_at = {now}
		WHERE tenant = ? AND integration = ? AND entity = ? AND id = ? AND version = ?`

	deleteOneRefused = `DELETE FROM enlace.refused_records WHERE tenant = ? AND integration = ? AND entity = ? AND id = ? AND version = ?`

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
			if _, err := s.exec(ctx, "save refused record", putRefused, ref.Tenant, ref.ID, entity, r.RecordID, string(r.State), r.Mapping,
				r.Kind, r.Error, r.Tries, r.Edited, r.Modified.UnixMicro(), digest(r.Digest), nullable(r.Payload), int64(r.PayloadKey)); err != nil {
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

// RefusedRecord implements [enlace.RefusedStore].
func (s *Store) RefusedRecord(ctx context.Context, key enlace.RefusedKey) (enlace.RefusedRecord, error) {
	scan := func(row Row) (enlace.RefusedRecord, error) {
		var payload []byte
		var payloadKey int64
		r, err := scanRefusedWith(row, &payload, &payloadKey)
		r.Payload, r.PayloadKey = payload, uint64(payloadKey)
		return r, err
	}
	r, found, err := selectOne(ctx, s, "refused record", scan, oneRefused, key.Tenant, key.ID, key.Entity, key.RecordID)
	if err == nil && !found {
		err = enlace.ErrNotFound
	}
	return r, err
}

// UpdateRefusedRecord implements [enlace.RefusedStore].
func (s *Store) UpdateRefusedRecord(ctx context.Context, r enlace.RefusedRecord) error {
	return s.one(ctx, "update refused record", updateRefused, string(r.State), r.Tries, r.Edited, nullable(r.Payload), int64(r.PayloadKey),
		r.Tenant, r.ID, r.Entity, r.RecordID, r.Version)
}

// DeleteRefusedRecord implements [enlace.RefusedStore].
func (s *Store) DeleteRefusedRecord(ctx context.Context, key enlace.RefusedKey, version int64) error {
	return s.one(ctx, "delete refused record", deleteOneRefused, key.Tenant, key.ID, key.Entity, key.RecordID, version)
}

// one changes one row, or returns ErrConflict.
func (s *Store) one(ctx context.Context, op, statement string, args ...any) error {
	n, err := s.exec(ctx, op, statement, args...)
	if err == nil && n == 0 {
		err = enlace.ErrConflict
	}
	return err
}

func scanRefused(row Row) (enlace.RefusedRecord, error) { return scanRefusedWith(row) }

func scanRefusedWith(row Row, more ...any) (r enlace.RefusedRecord, err error) {
	var sum []byte
	err = row.Scan(append([]any{&r.Tenant, &r.ID, &r.Entity, &r.RecordID, (*string)(&r.State), &r.Mapping, &r.Kind, &r.Error, &r.Tries,
		&r.Edited, instant{&r.Modified}, &sum, &r.Version, instant{&r.CreatedAt}, instant{&r.UpdatedAt}}, more...)...)
	copy(r.Digest[:], sum)
	return r, err
}
