package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	recordList = "records"

	recordColumns = `id, local_id, accepted, pushed, base, base_key_id, modified, seen, presence, version, updated_at`

	selectRecords = `SELECT ` + recordColumns + ` FROM enlace.records WHERE tenant = ? AND integration = ? AND entity = ?`

	countRecords = `SELECT count(*) FROM enlace.records WHERE tenant = ? AND integration = ? AND entity = ?`

	insertRecords = `INSERT INTO enlace.records AS r
		(tenant, integration, entity, ` + recordColumns + `) VALUES `

	replaceRecords = ` ON CONFLICT (tenant, integration, entity, id) DO UPDATE
		SET local_id = excluded.local_id, accepted = excluded.accepted, pushed = excluded.pushed, base = excluded.base,
			base_key_id = excluded.base_key_id, modified = excluded.modified, seen = excluded.seen,
			presence = excluded.presence, version = excluded.version, updated_at = excluded.updated_at
		WHERE r.version = excluded.version - 1`

	// insertFound is for records that a pull has just found: what else a row has is the same for all, or not there yet.
	insertFound = `INSERT INTO enlace.records (tenant, integration, entity, seen, presence, id, accepted, modified,
		local_id, base_key_id, version, updated_at) VALUES `

	othersWithLocalID = `SELECT count(*) FROM enlace.records WHERE tenant = ? AND integration = ? AND entity = ? AND local_id = ? AND id <> ?`

	deleteRecords = `DELETE FROM enlace.records WHERE tenant = ? AND integration = ?`
)

const (
	recordsPerStatement = 250 // 10 parameters each
	idsPerStatement     = 500
)

// LoadRecordStates implements [enlace.RecordStore].
func (s *Store) LoadRecordStates(ctx context.Context, ref enlace.Ref, entity string, ids []string) ([]enlace.RecordState, error) {
	return s.loadRecords(ctx, "id", ref, entity, ids)
}

// LoadLinkedStates implements [enlace.RecordStore].
func (s *Store) LoadLinkedStates(ctx context.Context, ref enlace.Ref, entity string, localIDs []string) ([]enlace.RecordState, error) {
	// The condition on the empty id lets the database use the index of linked ones.
	return s.loadRecords(ctx, "local_id <> '' AND local_id", ref, entity, localIDs)
}

func (s *Store) loadRecords(ctx context.Context, column string, ref enlace.Ref, entity string, ids []string) ([]enlace.RecordState, error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	all := make([]enlace.RecordState, 0, len(ids))
	for chunk := range slices.Chunk(ids, idsPerStatement) {
		args := []any{ref.Tenant, ref.ID, entity}
		for _, id := range chunk {
			args = append(args, id)
		}
		found, err := selectAll(ctx, s, "load records", scanRecord, selectRecords+" AND "+column+" IN ("+placeholders(len(chunk))+")", args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// SaveRecordStates implements [enlace.RecordStore].
func (s *Store) SaveRecordStates(ctx context.Context, ref enlace.Ref, entity string, states []enlace.RecordState) error {
	if len(states) == 0 {
		return nil
	}
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for _, state := range states {
			if err := s.checkLocalID(ctx, ref, entity, state); err != nil {
				return err
			}
		}
		for chunk := range slices.Chunk(states, recordsPerStatement) {
			save := s.replaceStates
			if justFound(chunk) {
				save = s.insertStates
			}
			if saved, err := save(ctx, ref, entity, chunk); err != nil {
				return err
			} else if saved != int64(len(chunk)) {
				return enlace.ErrConflict
			}
		}
		return nil
	})
}

// justFound says whether all states are new ones of a pull, and of the same walk.
func justFound(states []enlace.RecordState) bool {
	for _, r := range states {
		if r.Version != 0 || r.LocalID != "" || !r.Pushed.IsZero() || r.Base != nil || !r.Seen.Equal(states[0].Seen) || r.Presence != states[0].Presence {
			return false
		}
	}
	return true
}

func (s *Store) insertStates(ctx context.Context, ref enlace.Ref, entity string, states []enlace.RecordState) (saved int64, err error) {
	args := append(make([]any, 0, 5+3*len(states)), ref.Tenant, ref.ID, entity, states[0].Seen.UnixMicro(), string(states[0].Presence))
	for _, r := range states {
		args = append(args, r.ID, digest(r.Accepted), r.Modified.UnixMicro())
	}
	return s.exec(ctx, "save records", insertFound+Values(len(states), 5, 3, ", '', 0, 1, {now}")+" ON CONFLICT DO NOTHING", args...)
}

func (s *Store) replaceStates(ctx context.Context, ref enlace.Ref, entity string, states []enlace.RecordState) (saved int64, err error) {
	args := append(make([]any, 0, 3+10*len(states)), ref.Tenant, ref.ID, entity)
	for _, r := range states {
		args = append(args, r.ID, r.LocalID, digest(r.Accepted), digest(r.Pushed), nullable(r.Base),
			int64(r.BaseKeyID), r.Modified.UnixMicro(), r.Seen.UnixMicro(), string(r.Presence), r.Version+1)
	}
	return s.exec(ctx, "save records", insertRecords+Values(len(states), 3, 10, ", {now}")+replaceRecords, args...)
}

// checkLocalID tells a local id that is taken from other failures. Two who take it
// at the same moment are kept apart by the index.
func (s *Store) checkLocalID(ctx context.Context, ref enlace.Ref, entity string, state enlace.RecordState) error {
	if state.LocalID == "" {
		return nil
	}
	n, err := s.count(ctx, "look for a local id", othersWithLocalID, ref.Tenant, ref.ID, entity, state.LocalID, state.ID)
	if err == nil && n > 0 {
		err = enlace.ErrLinked
	}
	return err
}

// RecordStates implements [enlace.RecordStore].
func (s *Store) RecordStates(ctx context.Context, q enlace.RecordQuery) ([]enlace.RecordState, string, error) {
	where, args := recordFilter(q)
	if q.Cursor != "" {
		last, err := page.Decode(recordList, q.Cursor)
		if err != nil {
			return nil, "", err
		}
		where, args = where+" AND id > ?", append(args, last)
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "records", scanRecord, selectRecords+where+" ORDER BY id LIMIT ?", append(args, size+1)...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, recordList, func(r enlace.RecordState) string { return r.ID })
	return rows, next, nil
}

// CountRecordStates implements [enlace.RecordStore].
func (s *Store) CountRecordStates(ctx context.Context, q enlace.RecordQuery) (int, error) {
	where, args := recordFilter(q)
	return s.count(ctx, "count records", countRecords+where, args...)
}

func recordFilter(q enlace.RecordQuery) (where string, args []any) {
	args = []any{q.Ref.Tenant, q.Ref.ID, q.Entity}
	if q.Presence != "" {
		where, args = where+" AND presence = ?", append(args, string(q.Presence))
	}
	switch q.Presence {
	case enlace.RecordMissing, enlace.RecordApproved, enlace.RecordKept:
		where += " AND presence NOT IN ('present', 'gone')" // the condition of their index
	}
	if !q.SeenBefore.IsZero() {
		where, args = where+" AND seen < ?", append(args, q.SeenBefore.UnixMicro())
	}
	return where, args
}

// DeleteRecordStates implements [enlace.RecordStore].
func (s *Store) DeleteRecordStates(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete records", deleteRecords, ref.Tenant, ref.ID)
	return err
}

func (s *Store) count(ctx context.Context, op, statement string, args ...any) (int, error) {
	scan := func(row Row) (n int, err error) { return n, row.Scan(&n) }
	n, _, err := selectOne(ctx, s, op, scan, statement, args...)
	return n, err
}

func scanRecord(row Row) (enlace.RecordState, error) {
	var r enlace.RecordState
	var accepted, pushed []byte
	var key int64
	err := row.Scan(&r.ID, &r.LocalID, &accepted, &pushed, &r.Base, &key, instant{&r.Modified}, instant{&r.Seen},
		&r.Presence, &r.Version, instant{&r.UpdatedAt})
	r.BaseKeyID = uint64(key)
	copy(r.Accepted[:], accepted)
	copy(r.Pushed[:], pushed)
	if err == nil && (len(accepted) > len(r.Accepted) || len(pushed) > len(r.Pushed)) {
		err = fmt.Errorf("a digest is stored with %d bytes", max(len(accepted), len(pushed)))
	}
	return r, err
}

// digest is a column's value: NULL for none.
func digest(d enlace.Digest) any {
	if d.IsZero() {
		return nil
	}
	return d[:]
}

func nullable(data []byte) any {
	if data == nil {
		return nil
	}
	return data
}
