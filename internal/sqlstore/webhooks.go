package sqlstore

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	missedList = "missed records"

	saveEndpoint = `INSERT INTO enlace.webhook_endpoints (hash, tenant, integration) VALUES (?, ?, ?)
		ON CONFLICT (hash) DO NOTHING`
	deleteEndpoint = `DELETE FROM enlace.webhook_endpoints WHERE tenant = ? AND integration = ? AND hash = ?`

	selectEndpoint       = `SELECT tenant, integration FROM enlace.webhook_endpoints WHERE hash = ?`
	integrationsOfAnyone = `SELECT tenant, id FROM enlace.integrations WHERE id = ? LIMIT 2`

	markEvents = `INSERT INTO enlace.webhook_events (tenant, integration, event_key, at) VALUES {rows}
		ON CONFLICT (tenant, integration, event_key) DO NOTHING RETURNING event_key`
	pruneEvents = `DELETE FROM enlace.webhook_events WHERE (tenant, integration, event_key) IN
		(SELECT tenant, integration, event_key FROM enlace.webhook_events WHERE at < ? ORDER BY at LIMIT ?)`

	noteRecords = `INSERT INTO enlace.webhook_records AS r (tenant, integration, entity, record, heard_at, missed_at, at) VALUES {rows}
		ON CONFLICT (tenant, integration, entity, record) DO UPDATE
		SET heard_at = CASE WHEN excluded.heard_at > 0 THEN excluded.heard_at ELSE r.heard_at END,
			missed_at = excluded.missed_at, at = excluded.at`

	heardRecords = `SELECT record, heard_at FROM enlace.webhook_records
		WHERE tenant = ? AND integration = ? AND entity = ? AND record IN ({ids}) AND heard_at > 0`

	missedRecords = `SELECT entity, record, missed_at FROM enlace.webhook_records
		WHERE tenant = ? AND integration = ? AND missed_at > 0 AND (entity, record) > (?, ?)
		ORDER BY entity, record LIMIT ?`

	pruneRecords = `DELETE FROM enlace.webhook_records WHERE (tenant, integration, entity, record) IN
		(SELECT tenant, integration, entity, record FROM enlace.webhook_records WHERE at < ? ORDER BY at LIMIT ?)`
)

// SaveEndpoint implements [enlace.InboxStore].
func (s *Store) SaveEndpoint(ctx context.Context, ref enlace.Ref, hash string) error {
	_, err := s.exec(ctx, "save endpoint", saveEndpoint, hash, ref.Tenant, ref.ID)
	return err
}

// DeleteEndpoint implements [enlace.InboxStore].
func (s *Store) DeleteEndpoint(ctx context.Context, ref enlace.Ref, hash string) error {
	_, err := s.exec(ctx, "delete endpoint", deleteEndpoint, ref.Tenant, ref.ID, hash)
	return err
}

// Endpoint implements [enlace.InboxStore].
func (s *Store) Endpoint(ctx context.Context, hash, id string) (enlace.Ref, error) {
	ref, found, err := selectOne(ctx, s, "endpoint", scanRef, selectEndpoint, hash)
	if err != nil || found {
		return ref, err
	}
	refs, err := selectAll(ctx, s, "endpoint", scanRef, integrationsOfAnyone, id)
	if err == nil && len(refs) != 1 {
		err = enlace.ErrNotFound
	}
	if err != nil {
		return enlace.Ref{}, err
	}
	return refs[0], nil
}

// MarkEvents implements [enlace.InboxStore].
func (s *Store) MarkEvents(ctx context.Context, ref enlace.Ref, keys []string) ([]string, error) {
	var fresh []string
	at := time.Now().UnixMicro()
	for len(keys) > 0 {
		n := min(len(keys), maxRows)
		args := make([]any, 0, n*4)
		for _, key := range keys[:n] {
			args = append(args, ref.Tenant, ref.ID, key, at)
		}
		marked, err := selectAll(ctx, s, "mark events", scanText, rowsOf(markEvents, n, 4), args...)
		if err != nil {
			return nil, err
		}
		fresh, keys = append(fresh, marked...), keys[n:]
	}
	return fresh, nil
}

// NoteHeard implements [enlace.InboxStore].
func (s *Store) NoteHeard(ctx context.Context, ref enlace.Ref, records []enlace.RecordName, at time.Time) error {
	return s.noteRecords(ctx, ref, records, at.UnixMicro(), 0)
}

// NoteMissed implements [enlace.InboxStore].
func (s *Store) NoteMissed(ctx context.Context, ref enlace.Ref, records []enlace.RecordName, at time.Time) error {
	return s.noteRecords(ctx, ref, records, 0, at.UnixMicro())
}

func (s *Store) noteRecords(ctx context.Context, ref enlace.Ref, records []enlace.RecordName, heard, missed int64) error {
	records = unique(records)
	for len(records) > 0 {
		n := min(len(records), maxRows)
		args := make([]any, 0, n*7)
		for _, r := range records[:n] {
			args = append(args, ref.Tenant, ref.ID, r.Entity, r.ID, heard, missed, max(heard, missed))
		}
		if _, err := s.exec(ctx, "note records", rowsOf(noteRecords, n, 7), args...); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// unique leaves out repetitions: PostgreSQL changes a row once in a statement.
func unique(records []enlace.RecordName) []enlace.RecordName {
	seen := make(map[enlace.RecordName]bool, len(records))
	var all []enlace.RecordName
	for _, r := range records {
		if !seen[r] {
			seen[r] = true
			all = append(all, r)
		}
	}
	return all
}

// HeardRecords implements [enlace.InboxStore].
func (s *Store) HeardRecords(ctx context.Context, ref enlace.Ref, entity string, ids []string) (map[string]time.Time, error) {
	heard := make(map[string]time.Time, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), maxRows)
		args := []any{ref.Tenant, ref.ID, entity}
		for _, id := range ids[:n] {
			args = append(args, id)
		}
		_, err := selectAll(ctx, s, "heard records", func(row Row) (struct{}, error) {
			var id string
			var at time.Time
			err := row.Scan(&id, instant{&at})
			heard[id] = at
			return struct{}{}, err
		}, strings.Replace(heardRecords, "{ids}", placeholders(n), 1), args...)
		if err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return heard, nil
}

// MissedRecords implements [enlace.InboxStore].
func (s *Store) MissedRecords(ctx context.Context, q enlace.MissedQuery) ([]enlace.MissedRecord, string, error) {
	var last enlace.RecordName
	if q.Cursor != "" {
		text, err := page.Decode(missedList, q.Cursor)
		if err == nil && json.Unmarshal([]byte(text), &last) != nil {
			err = page.ErrCursor
		}
		if err != nil {
			return nil, "", err
		}
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "missed records", func(row Row) (enlace.MissedRecord, error) {
		var r enlace.MissedRecord
		err := row.Scan(&r.Entity, &r.ID, instant{&r.FoundAt})
		return r, err
	}, missedRecords, q.Tenant, q.ID, last.Entity, last.ID, size+1)
	if err != nil {
		return nil, "", err
	}
	cut, next := page.Cut(rows, size, missedList, func(r enlace.MissedRecord) string { return toJSON(r.RecordName) })
	return cut, next, nil
}
