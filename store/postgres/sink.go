package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
)

// Sink returns a sink whose accept writes the host's rows by the transaction that
// also moves the checkpoint, if the service's store is store: a crash repeats no
// page. accept follows the rules of [enlace.Sink] and neither commits nor rolls
// back. With another store the sink commits each page by itself.
func Sink(store *Store, accept func(ctx context.Context, tx pgx.Tx, b enlace.Batch) (enlace.Changes, error)) enlace.TxSink {
	return sink{store, accept}
}

type sink struct {
	store  *Store
	accept func(ctx context.Context, tx pgx.Tx, b enlace.Batch) (enlace.Changes, error)
}

// Joins implements [enlace.TxSink].
func (s sink) Joins(store enlace.Store) bool { return store == enlace.Store(s.store) }

// Accept implements [enlace.Sink].
func (s sink) Accept(ctx context.Context, b enlace.Batch) (changes enlace.Changes, err error) {
	err = s.store.Transact(ctx, func(ctx context.Context) error {
		tx, _ := s.store.Tx(ctx)
		changes, err = s.accept(ctx, tx, b)
		return err
	})
	return changes, err
}

// Table is a sink that keeps the records in a table of the store's database, one
// row each:
//
//	tenant, integration, entity, id  whose record it is; the key
//	data                             its JSON as text, as the provider sent it or as the mapping made it; NULL once deleted
//	hash                             digest of data, by which a repetition is known
//	modified                         when it changed at the provider; NULL if unknown
//	deleted                          whether it is gone: its row stays
//	synced_at                        when the row changed last
//
// Page and checkpoint are one commit. Make it with NewTable. It is safe for
// concurrent use. A NUL character, which PostgreSQL does not keep in a text, cannot
// stand in JSON either; its escape can, and is kept.
type Table struct {
	enlace.TxSink
	store       *Store
	read, write string // statements
}

// NewTable makes the table if it does not exist, and returns the sink that fills
// it. name is a table, with its schema if it has one ("public.contacts"). Errors:
// ErrInvalid for the name, and those of the database.
func NewTable(ctx context.Context, store *Store, name string) (*Table, error) {
	parts := strings.Split(name, ".")
	if len(parts) > 2 || slices.ContainsFunc(parts, func(p string) bool { return p == "" || len(p) > 63 || strings.ContainsRune(p, 0) }) {
		return nil, &enlace.ValidationError{Faults: []enlace.Fault{{Field: "name", Problem: "not a table's name", Allowed: "table or schema.table"}}}
	}
	quoted := pgx.Identifier(parts).Sanitize()
	t := &Table{store: store,
		read: `SELECT id, hash, deleted FROM ` + quoted + ` WHERE tenant = $1 AND integration = $2 AND entity = $3 AND id = ANY($4)`,
		write: `INSERT INTO ` + quoted + ` (tenant, integration, entity, id, data, hash, modified, deleted, synced_at)
			SELECT $1, $2, $3, r.id, r.data, r.hash, r.modified, r.deleted, clock_timestamp()
			FROM unnest($4::text[], $5::text[], $6::bytea[], $7::timestamptz[], $8::boolean[]) AS r (id, data, hash, modified, deleted)
			ON CONFLICT (tenant, integration, entity, id) DO UPDATE SET data = excluded.data, hash = excluded.hash,
				modified = excluded.modified, deleted = excluded.deleted, synced_at = excluded.synced_at`}
	t.TxSink = Sink(store, t.accept)
	_, err := store.pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+quoted+` (
		tenant text COLLATE "C" NOT NULL, integration text COLLATE "C" NOT NULL, entity text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
		data text, hash bytea, modified timestamptz, deleted boolean NOT NULL, synced_at timestamptz NOT NULL,
		PRIMARY KEY (tenant, integration, entity, id))`)
	return t, failed("make table", err)
}

// stored is what a row says of its record.
type stored struct {
	hash    enlace.Digest
	deleted bool
}

func (t *Table) accept(ctx context.Context, tx pgx.Tx, b enlace.Batch) (enlace.Changes, error) {
	var changes enlace.Changes
	records := b.Records
	if !b.Tracked {
		known, err := t.known(ctx, tx, b)
		if err != nil {
			return changes, err
		}
		records = compare(records, known, &changes)
	}
	return changes, t.put(ctx, tx, b, lastOfEach(records))
}

// lastOfEach leaves one of several records with the same id, since a statement can
// change a row only once.
func lastOfEach(records []enlace.Record) []enlace.Record {
	at := make(map[string]int, len(records))
	for i, r := range records {
		at[r.ID] = i
	}
	if len(at) == len(records) {
		return records
	}
	var last []enlace.Record
	for i, r := range records {
		if at[r.ID] == i {
			last = append(last, r)
		}
	}
	return last
}

// put inserts or replaces the rows of records.
func (t *Table) put(ctx context.Context, tx pgx.Tx, b enlace.Batch, records []enlace.Record) error {
	n := len(records)
	if n == 0 {
		return nil
	}
	ids, data, hashes := make([]string, n), make([]*string, n), make([][]byte, n)
	modified, deleted := make([]*time.Time, n), make([]bool, n)
	for i := range records {
		r := &records[i]
		ids[i], deleted[i] = r.ID, r.Deleted
		if !r.Deleted {
			text, digest := string(r.Data), enlace.DigestOf(r.Data)
			data[i], hashes[i] = &text, digest[:]
		}
		if !r.Modified.IsZero() {
			modified[i] = &r.Modified
		}
	}
	_, err := tx.Exec(ctx, t.write, b.Integration.Tenant, b.Integration.ID, b.Entity, ids, data, hashes, modified, deleted)
	return failed("write records", err)
}

// compare counts what becomes of records, and returns those whose rows change.
func compare(records []enlace.Record, known map[string]stored, changes *enlace.Changes) []enlace.Record {
	changed := make([]enlace.Record, 0, len(records))
	for _, r := range records {
		before, exists := known[r.ID]
		after := stored{deleted: r.Deleted}
		if !r.Deleted {
			after.hash = enlace.DigestOf(r.Data)
		}
		switch {
		case exists && before == after, !exists && r.Deleted:
			changes.Unchanged++
			continue
		case r.Deleted:
			changes.Deleted++
		case exists && !before.deleted:
			changes.Updated++
		default:
			changes.Created++
		}
		known[r.ID] = after
		changed = append(changed, r)
	}
	return changed
}

// known reads the rows that there are of a batch's records.
func (t *Table) known(ctx context.Context, tx pgx.Tx, b enlace.Batch) (map[string]stored, error) {
	ids := make([]string, len(b.Records))
	for i := range b.Records {
		ids[i] = b.Records[i].ID
	}
	rows, err := tx.Query(ctx, t.read, b.Integration.Tenant, b.Integration.ID, b.Entity, ids)
	if err != nil {
		return nil, failed("read records", err)
	}
	defer rows.Close()
	known := make(map[string]stored, len(ids))
	for rows.Next() {
		var id string
		var hash []byte
		var s stored
		if err := rows.Scan(&id, &hash, &s.deleted); err != nil {
			return nil, failed("read records", err)
		}
		copy(s.hash[:], hash)
		known[id] = s
	}
	return known, failed("read records", rows.Err())
}
