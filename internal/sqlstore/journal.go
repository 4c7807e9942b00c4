package sqlstore

import (
	"context"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	journalList    = "journal"
	allJournalList = "journal of all runs"
	journalColumns = `tenant, integration, run_id, number, entity, op, local_id, remote_id, idempotency_key, state, image, image_key, written_at`

	addJournal = `INSERT INTO enlace.push_journal (` + journalColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

	updateJournal = `UPDATE enlace.push_journal SET state = ?, remote_id = ?, image = ?, image_key = ?
		WHERE tenant = ? AND integration = ? AND run_id = ? AND entity = ? AND number = ?`

	openJournal = `SELECT ` + journalColumns + ` FROM enlace.push_journal
		WHERE tenant = ? AND integration = ? AND entity = ? AND state = 'open'
		ORDER BY written_at, run_id, number LIMIT ?`

	journalPage = `SELECT ` + journalColumns + ` FROM enlace.push_journal
		WHERE tenant = ? AND integration = ? AND run_id = ? AND number < ?
		ORDER BY number DESC LIMIT ?`

	journalOfAll = `SELECT ` + journalColumns + ` FROM enlace.push_journal
		WHERE tenant = ? AND integration = ? AND (run_id, number) > (?, ?)
		ORDER BY run_id, number LIMIT ?`

	deleteJournal = `DELETE FROM enlace.push_journal WHERE (tenant, integration, run_id, number) IN (
		SELECT tenant, integration, run_id, number FROM enlace.push_journal
		WHERE state <> 'open' AND written_at < ? ORDER BY written_at LIMIT ?)`
)

// AddJournal implements [enlace.JournalStore].
func (s *Store) AddJournal(ctx context.Context, entries []enlace.JournalEntry) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for _, e := range entries {
			added, err := s.exec(ctx, "add journal", addJournal, e.Ref.Tenant, e.Ref.ID, e.RunID, e.Number, e.Entity, string(e.Op),
				e.LocalID, e.RemoteID, e.Key, string(e.State), e.Image, int64(e.ImageKey), e.At.UnixMicro())
			if err != nil {
				return err
			}
			if added == 0 {
				return enlace.ErrConflict
			}
		}
		return nil
	})
}

// UpdateJournal implements [enlace.JournalStore].
func (s *Store) UpdateJournal(ctx context.Context, entries []enlace.JournalEntry) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for _, e := range entries {
			_, err := s.exec(ctx, "update journal", updateJournal, string(e.State), e.RemoteID, e.Image, int64(e.ImageKey),
				e.Ref.Tenant, e.Ref.ID, e.RunID, e.Entity, e.Number)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// OpenJournal implements [enlace.JournalStore].
func (s *Store) OpenJournal(ctx context.Context, ref enlace.Ref, entity string, limit int) ([]enlace.JournalEntry, error) {
	return selectAll(ctx, s, "open journal", scanJournal, openJournal, ref.Tenant, ref.ID, entity, limit)
}

// Journal implements [enlace.JournalStore].
func (s *Store) Journal(ctx context.Context, q enlace.JournalQuery) ([]enlace.JournalEntry, string, error) {
	if q.RunID == "" {
		return s.journalOfAll(ctx, q)
	}
	before, err := page.Before(journalList, q.Cursor)
	if err != nil {
		return nil, "", err
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "journal", scanJournal, journalPage, q.Ref.Tenant, q.Ref.ID, q.RunID, before, size+1)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, journalList, func(e enlace.JournalEntry) string { return strconv.FormatInt(e.Number, 10) })
	return rows, next, nil
}

// journalOfAll is a page of all runs of an integration.
func (s *Store) journalOfAll(ctx context.Context, q enlace.JournalQuery) ([]enlace.JournalEntry, string, error) {
	runID, number, err := page.JournalAfter(allJournalList, q.Cursor)
	if err != nil {
		return nil, "", err
	}
	size := page.Size(q.Limit)
	rows, err := selectAll(ctx, s, "journal", scanJournal, journalOfAll, q.Ref.Tenant, q.Ref.ID, runID, number, size+1)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, allJournalList, page.JournalPosition)
	return rows, next, nil
}

// DeleteJournal implements [enlace.JournalStore].
func (s *Store) DeleteJournal(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.exec(ctx, "delete journal", deleteJournal, before.UnixMicro(), limit)
	return int(n), err
}

// DeleteAllJournal implements [enlace.JournalStore].
func (s *Store) DeleteAllJournal(ctx context.Context, ref enlace.Ref) error {
	_, err := s.exec(ctx, "delete journal", `DELETE FROM enlace.push_journal WHERE tenant = ? AND integration = ?`, ref.Tenant, ref.ID)
	return err
}

func scanJournal(row Row) (e enlace.JournalEntry, err error) {
	var key int64
	err = row.Scan(&e.Ref.Tenant, &e.Ref.ID, &e.RunID, &e.Number, &e.Entity, (*string)(&e.Op), &e.LocalID, &e.RemoteID, &e.Key,
		(*string)(&e.State), &e.Image, &key, instant{&e.At})
	e.ImageKey = uint64(key)
	return e, err
}
