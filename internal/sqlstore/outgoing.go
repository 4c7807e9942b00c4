package sqlstore

import (
	"context"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	outgoingColumns = `tenant, integration, entity, local_id, state, position, tries, kind, error, payload, payload_key, digest, run_id, version, created_at, updated_at`

	putOutgoing = `INSERT INTO enlace.outgoing_changes AS o (` + outgoingColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, {now})
		ON CONFLICT (tenant, integration, entity, local_id) DO UPDATE
		SET state = excluded.state, position = CASE WHEN excluded.position = 0 THEN o.position ELSE excluded.position END,
			tries = excluded.tries, kind = excluded.kind, error = excluded.error, payload = excluded.payload,
			payload_key = excluded.payload_key, digest = excluded.digest, run_id = excluded.run_id,
			version = o.version + 1, updated_at = excluded.updated_at`

	deleteOutgoing = `DELETE FROM enlace.outgoing_changes
		WHERE tenant = ? AND integration = ? AND entity = ? AND local_id = ? AND version = ?`

	deleteAllOutgoing = `DELETE FROM enlace.outgoing_changes WHERE tenant = ? AND integration = ?`

	queuedEntities = `SELECT DISTINCT tenant, integration, entity FROM enlace.outgoing_changes
		WHERE state = 'queued' AND (tenant, integration, entity) > (?, ?, ?)
		ORDER BY tenant, integration, entity LIMIT ?`
)

// PutOutgoing implements [enlace.OutgoingStore].
func (s *Store) PutOutgoing(ctx context.Context, changes []enlace.OutgoingChange) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for _, c := range changes {
			_, err := s.exec(ctx, "put outgoing change", putOutgoing, c.Ref.Tenant, c.Ref.ID, c.Entity, c.LocalID, string(c.State), c.Order, c.Tries,
				c.Kind, c.Error, c.Payload, int64(c.PayloadKey), c.Digest[:], c.RunID, c.CreatedAt.UnixMicro())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// LoadOutgoing implements [enlace.OutgoingStore].
func (s *Store) LoadOutgoing(ctx context.Context, ref enlace.Ref, entity string, localIDs []string) ([]enlace.OutgoingChange, error) {
	if len(localIDs) == 0 {
		return nil, ctx.Err()
	}
	args := []any{ref.Tenant, ref.ID, entity}
	for _, id := range localIDs {
		args = append(args, id)
	}
	return selectAll(ctx, s, "load outgoing changes", scanOutgoing, `SELECT `+outgoingColumns+` FROM enlace.outgoing_changes
		WHERE tenant = ? AND integration = ? AND entity = ? AND local_id IN (`+placeholders(len(localIDs))+`)`, args...)
}

// DeleteOutgoing implements [enlace.OutgoingStore].
func (s *Store) DeleteOutgoing(ctx context.Context, key enlace.OutgoingKey, version int64) error {
	_, err := s.exec(ctx, "delete outgoing change", deleteOutgoing, key.Ref.Tenant, key.Ref.ID, key.Entity, key.LocalID, version)
	return err
}

// DeleteAllOutgoing implements [enlace.OutgoingStore].
func (s *Store) DeleteAllOutgoing(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete outgoing changes", deleteAllOutgoing, ref.Tenant, ref.ID)
	return err
}

// Outgoing implements [enlace.OutgoingStore].
func (s *Store) Outgoing(ctx context.Context, q enlace.OutgoingQuery) ([]enlace.OutgoingChange, string, error) {
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
	if q.Kind != "" {
		add("kind = ?", q.Kind)
	}
	if len(q.States) > 0 {
		states := make([]any, len(q.States))
		for i, state := range q.States {
			states[i] = string(state)
		}
		add("state IN ("+placeholders(len(states))+")", states...)
	}
	if q.Cursor != "" {
		at, err := page.ParseOutgoing(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		add("(position, integration, entity, local_id) > (?, ?, ?, ?)", at.Order, at.Ref.ID, at.Entity, at.LocalID)
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "outgoing changes", scanOutgoing, `SELECT `+outgoingColumns+` FROM enlace.outgoing_changes
		WHERE `+strings.Join(where, " AND ")+` ORDER BY position, integration, entity, local_id LIMIT `+strconv.Itoa(size+1), args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.CutOutgoing(rows, size)
	return rows, next, nil
}

// QueuedEntities implements [enlace.OutgoingStore].
func (s *Store) QueuedEntities(ctx context.Context, after enlace.OutgoingKey, limit int) ([]enlace.OutgoingKey, error) {
	scan := func(row Row) (key enlace.OutgoingKey, err error) {
		err = row.Scan(&key.Ref.Tenant, &key.Ref.ID, &key.Entity)
		return key, err
	}
	return selectAll(ctx, s, "queued entities", scan, queuedEntities, after.Ref.Tenant, after.Ref.ID, after.Entity, limit)
}

func scanOutgoing(row Row) (c enlace.OutgoingChange, err error) {
	var key int64
	var digest []byte
	err = row.Scan(&c.Ref.Tenant, &c.Ref.ID, &c.Entity, &c.LocalID, (*string)(&c.State), &c.Order, &c.Tries, &c.Kind, &c.Error, &c.Payload, &key,
		&digest, &c.RunID, &c.Version, instant{&c.CreatedAt}, instant{&c.UpdatedAt})
	c.PayloadKey = uint64(key)
	copy(c.Digest[:], digest)
	return c, err
}
