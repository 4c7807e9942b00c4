package main

import (
	"context"
	"database/sql"

	"github.com/enlace-go/enlace"
)

// table is the host's own table. It is in the same file as enlace's tables here,
// but need not be.
type table struct{ db *sql.DB }

func newTable(ctx context.Context, db *sql.DB) (*table, error) {
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS crm_records (
		entity TEXT NOT NULL, id TEXT NOT NULL, modified INTEGER NOT NULL, data TEXT NOT NULL,
		PRIMARY KEY (entity, id)) WITHOUT ROWID`)
	return &table{db}, err
}

// Accept writes a page by (entity, id) in one transaction, so that a page that
// comes twice changes nothing the second time.
func (t *table) Accept(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
	var changes enlace.Changes
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return changes, err
	}
	defer func() { _ = tx.Rollback() }()
	insert, err := tx.PrepareContext(ctx, `INSERT INTO crm_records (entity, id, modified, data) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`)
	if err != nil {
		return changes, err
	}
	update, err := tx.PrepareContext(ctx, `UPDATE crm_records SET modified = ?3, data = ?4 WHERE entity = ?1 AND id = ?2 AND data <> ?4`)
	if err != nil {
		return changes, err
	}
	for _, r := range b.Records {
		created, err := affected(insert.ExecContext(ctx, b.Entity, r.ID, r.Modified.Unix(), string(r.Data)))
		if err != nil {
			return changes, err
		}
		if created {
			changes.Created++
			continue
		}
		updated, err := affected(update.ExecContext(ctx, b.Entity, r.ID, r.Modified.Unix(), string(r.Data)))
		if err != nil {
			return changes, err
		}
		if updated {
			changes.Updated++
		} else {
			changes.Unchanged++
		}
	}
	return changes, tx.Commit()
}

func affected(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

func (t *table) count(ctx context.Context) (map[string]int, error) {
	counts := map[string]int{}
	rows, err := t.db.QueryContext(ctx, `SELECT entity, count(*) FROM crm_records GROUP BY entity`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var entity string
		var n int
		if err := rows.Scan(&entity, &n); err != nil {
			return nil, err
		}
		counts[entity] = n
	}
	return counts, rows.Err()
}
