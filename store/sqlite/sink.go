package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/sqlstore"
)

// Sink returns a sink whose accept writes the host's rows by the transaction that
// also moves the checkpoint, if the service's store is store: a crash repeats no
// page. accept follows the rules of [enlace.Sink] and neither commits nor rolls
// back. With another store the sink commits each page by itself.
func Sink(store *Store, accept func(ctx context.Context, tx *sql.Tx, b enlace.Batch) (enlace.Changes, error)) enlace.TxSink {
	return sink{store, accept}
}

type sink struct {
	store  *Store
	accept func(ctx context.Context, tx *sql.Tx, b enlace.Batch) (enlace.Changes, error)
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

// Table is a sink that keeps the records in a table of the store's file, one row
// each:
//
//	tenant, integration, entity, id  whose record it is; the key
//	data                             its JSON, as the provider sent it or as the mapping made it; NULL once deleted
//	hash                             digest of data, by which a repetition is known
//	modified                         when it changed at the provider, in microseconds since 1970; NULL if unknown
//	deleted                          0, or 1 for one that is gone: its row stays
//	synced_at                        when the row changed last, in microseconds since 1970
//
// Page and checkpoint are one commit. Make it with NewTable. It is safe for
// concurrent use.
type Table struct {
	enlace.TxSink
	store               *Store
	read, write, update string // statements and parts of one
}

// NewTable makes the table if it does not exist, and returns the sink that fills
// it. name is letters, digits and underscores, and does not begin with "enlace_".
// Errors: ErrInvalid for the name, and those of the database.
func NewTable(ctx context.Context, store *Store, name string) (*Table, error) {
	if !tableName(name) {
		return nil, &enlace.ValidationError{Faults: []enlace.Fault{{Field: "name", Problem: "not a table's name",
			Allowed: "letters, digits and underscores, 63 at most, not beginning with a digit or enlace_"}}}
	}
	t := &Table{
		store: store,
		read:  `SELECT id, hash, deleted FROM ` + name + ` WHERE tenant = ? AND integration = ? AND entity = ? AND id IN (`,
		write: `INSERT INTO ` + name + ` (tenant, integration, entity, synced_at, id, data, hash, modified, deleted)
			VALUES `,
		update: ` ON CONFLICT (tenant, integration, entity, id) DO UPDATE SET data = excluded.data, hash = excluded.hash,
			modified = excluded.modified, deleted = excluded.deleted, synced_at = excluded.synced_at`,
	}
	t.TxSink = Sink(store, t.accept)
	_, err := store.exec(ctx, "make table", `CREATE TABLE IF NOT EXISTS `+name+` (
		tenant TEXT NOT NULL, integration TEXT NOT NULL, entity TEXT NOT NULL, id TEXT NOT NULL,
		data TEXT, hash BLOB, modified INTEGER, deleted INTEGER NOT NULL, synced_at INTEGER NOT NULL,
		PRIMARY KEY (tenant, integration, entity, id)) STRICT`)
	return t, err
}

func tableName(name string) bool {
	for i, r := range name {
		letter := r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 63 && !strings.HasPrefix(strings.ToLower(name), "enlace_") &&
		!strings.HasPrefix(strings.ToLower(name), "sqlite_")
}

// stored is what a row says of its record.
type stored struct {
	id      string
	hash    enlace.Digest
	deleted bool
}

func (t *Table) accept(ctx context.Context, _ *sql.Tx, b enlace.Batch) (enlace.Changes, error) {
	var changes enlace.Changes
	records := b.Records
	if !b.Tracked {
		known, err := t.known(ctx, b)
		if err != nil {
			return changes, err
		}
		records = compare(records, known, &changes)
	}
	for chunk := range slices.Chunk(records, rowsPerStatement) {
		if err := t.put(ctx, b, chunk); err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// rowsPerStatement keeps the parameters of a statement far below what SQLite takes.
const rowsPerStatement = 250

// put inserts or replaces the rows of records.
func (t *Table) put(ctx context.Context, b enlace.Batch, records []enlace.Record) error {
	args := append(make([]any, 0, 4+5*len(records)), b.Integration.Tenant, b.Integration.ID, b.Entity, time.Now().UnixMicro())
	for i := range records {
		r := &records[i]
		var data, hash, modified any
		if !r.Deleted {
			digest := enlace.DigestOf(r.Data)
			data, hash = string(r.Data), digest[:]
		}
		if !r.Modified.IsZero() {
			modified = r.Modified.UnixMicro()
		}
		args = append(args, r.ID, data, hash, modified, r.Deleted)
	}
	_, err := t.store.exec(ctx, "write records", t.write+sqlstore.Values(len(records), 4, 5, "")+t.update, args...)
	return err
}

// compare counts what becomes of records, and returns those whose rows change.
func compare(records []enlace.Record, known map[string]stored, changes *enlace.Changes) []enlace.Record {
	changed := make([]enlace.Record, 0, len(records))
	for _, r := range records {
		before, exists := known[r.ID]
		after := stored{id: r.ID, deleted: r.Deleted}
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
func (t *Table) known(ctx context.Context, b enlace.Batch) (map[string]stored, error) {
	known := make(map[string]stored, len(b.Records))
	for chunk := range slices.Chunk(b.Records, rowsPerStatement) {
		args := []any{b.Integration.Tenant, b.Integration.ID, b.Entity}
		for i := range chunk {
			args = append(args, chunk[i].ID)
		}
		query := t.read + strings.TrimSuffix(strings.Repeat("?, ", len(chunk)), ", ") + ")"
		rows, err := selectAll(ctx, t.store.reader(ctx), "read records", scanStored, query, args...)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			known[row.id] = row
		}
	}
	return known, nil
}

func scanStored(row scanner) (stored, error) {
	var s stored
	var hash []byte
	err := row.Scan(&s.id, &hash, &s.deleted)
	copy(s.hash[:], hash)
	return s, err
}
