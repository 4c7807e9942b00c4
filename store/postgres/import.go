package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
)

// What a SQLite store calls its tables.
const (
	sqlitePrefix   = "enlace_"
	sqliteVersions = "enlace_schema" // of goose; not copied
)

// ImportedTable is what ImportSQLite has copied of one table.
type ImportedTable struct {
	Name string // without schema and prefix
	Rows int64
}

// ImportSQLite copies everything that a SQLite store keeps into this one: what is
// sealed as it is, so that the keys stay the host's same ones, and the audit log with
// its hashes. file is the store's [sqlite.Store.DB]; the store must have been opened by
// the version of enlace that this package is of, so that both have the same tables.
// The host's own tables are the host's to copy.
//
// Everything is one transaction, at whose end each table is read back and compared by
// count and digest: an import that fails, or whose process dies, leaves nothing behind
// and is done again from the beginning. Nobody can write to the file meanwhile.
//
// Stop every process that uses the file before, and do not start one with it again
// after. Errors: [enlace.ErrConflict] if a process still holds a lease in the file (one
// that was killed does so for up to half a minute), or if there is something in this
// store's tables already; [enlace.ErrInvalid] if the tables are not the same or a text
// is one that PostgreSQL cannot keep; else those of the databases.
//
// [sqlite.Store.DB]: https://pkg.go.dev/github.com/enlace-go/enlace/store/sqlite#Store.DB
func (s *Store) ImportSQLite(ctx context.Context, file *sql.DB) ([]ImportedTable, error) {
	from, err := file.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("postgres: import: read the file: %w", err)
	}
	defer func() { _ = from.Rollback() }() // nothing was written
	var imported []ImportedTable
	err = s.Transact(ctx, func(ctx context.Context) error {
		tx, _ := s.Tx(ctx)
		i := sqliteImport{store: s, from: from, tx: tx}
		tables, err := i.prepare(ctx)
		if err != nil {
			return err
		}
		for _, t := range tables {
			rows, err := i.copyTable(ctx, t)
			if err != nil {
				return err
			}
			imported = append(imported, ImportedTable{t.name, rows})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return imported, nil
}

// sqliteImport is one import on its way.
type sqliteImport struct {
	store *Store
	from  *sql.Tx
	tx    pgx.Tx
}

// importTable is a table that is in both databases.
type importTable struct {
	name    string
	columns []string // in order
	types   []string // PostgreSQL's names of theirs
}

// in is the table's name here, quoted.
func (t importTable) in(schema string) string { return pgx.Identifier{schema, t.name}.Sanitize() }

// prepare finds the tables and looks whether they can be copied.
func (i sqliteImport) prepare(ctx context.Context) ([]importTable, error) {
	if err := i.checkStopped(ctx); err != nil {
		return nil, err
	}
	tables, err := i.tables(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(tables))
	for n, t := range tables {
		names[n] = t.in(i.store.schema)
	}
	if _, err := i.tx.Exec(ctx, `LOCK TABLE `+strings.Join(names, ", ")+` IN EXCLUSIVE MODE`, i.store.mode); err != nil {
		return nil, failed("import: lock the tables", err)
	}
	for n, t := range tables {
		var some bool
		if err := i.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+names[n]+`)`, i.store.mode).Scan(&some); err != nil {
			return nil, failed("import: look into "+t.name, err)
		}
		if some {
			return nil, fmt.Errorf("postgres: import: %w: there is something in %s already; name a schema that nobody has used", enlace.ErrConflict, t.name)
		}
	}
	return tables, nil
}

// checkStopped refuses a file that somebody is still working with.
func (i sqliteImport) checkStopped(ctx context.Context) error {
	const held = `SELECT (SELECT count(*) FROM enlace_leases WHERE owner <> '' AND until_at > n) +
		(SELECT count(*) FROM enlace_credentials WHERE lease_owner <> '' AND lease_until > n)
		FROM (SELECT CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER) AS n)`
	var leases int
	if err := i.from.QueryRowContext(ctx, held).Scan(&leases); err != nil {
		return fmt.Errorf("postgres: import: read the file: %w", err)
	}
	if leases > 0 {
		return fmt.Errorf("postgres: import: %w: a process still works with the file; stop it, "+
			"or wait half a minute for the leases of one that was killed", enlace.ErrConflict)
	}
	return nil
}

// tables are those of the file, which must all be here, and with the same columns.
func (i sqliteImport) tables(ctx context.Context) ([]importTable, error) {
	there, err := i.columnsThere(ctx)
	if err != nil {
		return nil, err
	}
	here, err := i.columnsHere(ctx)
	if err != nil {
		return nil, err
	}
	var tables []importTable
	for _, name := range slices.Sorted(maps.Keys(there)) {
		t := importTable{name: name, columns: slices.Sorted(slices.Values(there[name]))}
		if !slices.Equal(t.columns, slices.Sorted(maps.Keys(here[name]))) {
			return nil, fmt.Errorf("postgres: import: %w: table %s is another one in the file; open both stores with the same version of enlace",
				enlace.ErrInvalid, name)
		}
		for _, column := range t.columns {
			t.types = append(t.types, here[name][column])
		}
		tables = append(tables, t)
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("postgres: import: %w: the file is not one of a SQLite store", enlace.ErrInvalid)
	}
	return tables, nil
}

// columnsThere are the columns of the file's tables.
func (i sqliteImport) columnsThere(ctx context.Context) (map[string][]string, error) {
	rows, err := i.from.QueryContext(ctx, `SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'`)
	if err != nil {
		return nil, fmt.Errorf("postgres: import: read the file: %w", err)
	}
	defer rows.Close()
	columns := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, fmt.Errorf("postgres: import: read the file: %w", err)
		}
		if name, ours := strings.CutPrefix(table, sqlitePrefix); ours && table != sqliteVersions {
			columns[name] = append(columns[name], column)
		}
	}
	return columns, rows.Err()
}

// columnsHere are the types of this store's columns.
func (i sqliteImport) columnsHere(ctx context.Context) (map[string]map[string]string, error) {
	rows, err := i.tx.Query(ctx, `SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = $1`,
		i.store.mode, i.store.schema)
	if err != nil {
		return nil, failed("import: list columns", err)
	}
	columns := map[string]map[string]string{}
	var table, column, kind string
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &kind}, func() error {
		if columns[table] == nil {
			columns[table] = map[string]string{}
		}
		columns[table][column] = kind
		return nil
	})
	return columns, failed("import: list columns", err)
}

// copyTable copies the rows of a table, and reads them back to see that they are the same.
func (i sqliteImport) copyTable(ctx context.Context, t importTable) (int64, error) {
	from, err := i.from.QueryContext(ctx, `SELECT `+quoted(t.columns)+` FROM `+pgx.Identifier{sqlitePrefix + t.name}.Sanitize())
	if err != nil {
		return 0, fmt.Errorf("postgres: import: read %s: %w", t.name, err)
	}
	defer from.Close()
	source := &sqliteRows{table: t, rows: from}
	if _, err := i.tx.CopyFrom(ctx, pgx.Identifier{i.store.schema, t.name}, t.columns, source); err != nil {
		if source.err != nil { // the driver's words for it would be those of the server
			err = source.err
		}
		return 0, failed("import: write "+t.name, err)
	}
	stored, err := i.readBack(ctx, t)
	if err != nil {
		return 0, err
	}
	if stored != source.digest {
		return 0, fmt.Errorf("postgres: import: %s has other rows than the file: %d of %d", t.name, stored.rows, source.digest.rows)
	}
	_, err = i.tx.Exec(ctx, `ANALYZE `+t.in(i.store.schema), i.store.mode)
	return stored.rows, failed("import: analyze "+t.name, err)
}

// readBack is the digest of what a table here holds.
func (i sqliteImport) readBack(ctx context.Context, t importTable) (tableDigest, error) {
	columns := make([]string, len(t.columns))
	for n, column := range t.columns {
		columns[n] = pgx.Identifier{column}.Sanitize()
		switch t.types[n] {
		case "json":
			columns[n] += "::text"
		case "integer", "smallint":
			columns[n] += "::bigint"
		}
	}
	var d tableDigest
	rows, err := i.tx.Query(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM `+t.in(i.store.schema), i.store.mode)
	if err != nil {
		return d, failed("import: read back "+t.name, err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return d, failed("import: read back "+t.name, err)
		}
		d.add(values)
	}
	return d, failed("import: read back "+t.name, rows.Err())
}

func quoted(columns []string) string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = pgx.Identifier{column}.Sanitize()
	}
	return strings.Join(names, ", ")
}

// sqliteRows are the rows of a table of the file, as values for this store's columns.
// It implements pgx.CopyFromSource.
type sqliteRows struct {
	table  importTable
	rows   *sql.Rows
	digest tableDigest
	err    error
}

func (r *sqliteRows) Next() bool { return r.rows.Next() }

func (r *sqliteRows) Err() error {
	if r.err == nil {
		r.err = r.rows.Err()
	}
	return r.err
}

func (r *sqliteRows) Values() ([]any, error) {
	values, into := make([]any, len(r.table.columns)), make([]any, len(r.table.columns))
	for i := range values {
		into[i] = &values[i]
	}
	if r.err = r.rows.Scan(into...); r.err != nil {
		return nil, r.err
	}
	for i := range values {
		if text, isText := values[i].(string); isText && explanations[r.table.columns[i]] {
			values[i] = clean(text)
		}
		var ok bool
		if values[i], ok = fromSQLite(values[i], r.table.types[i]); !ok {
			r.err = fmt.Errorf("%w: a value of the column %s.%s cannot be kept", enlace.ErrInvalid, r.table.name, r.table.columns[i])
			return nil, r.err
		}
	}
	r.digest.add(values)
	return values, nil
}

// explanations are columns whose row matters more than one of their characters.
var explanations = map[string]bool{"error": true, "status_reason": true}

// fromSQLite is a value of the file as one of a column of that type; ok is false for
// what such a column does not take.
func fromSQLite(value any, kind string) (converted any, ok bool) {
	switch v := value.(type) {
	case nil:
		return nil, true
	case []byte:
		return v, kind == "bytea"
	case string:
		return v, (kind == "text" || kind == "json") && v == clean(v)
	case int64:
		switch kind {
		case "boolean":
			return v != 0, true
		case "timestamp with time zone":
			return time.UnixMicro(v).UTC(), true
		case "bigint", "integer", "smallint":
			return v, true
		}
	}
	return nil, false
}

// tableDigest tells the rows of a table from any other rows, in whatever order they come:
// the rows of a table differ by their keys, so that none of them cancels out another one.
type tableDigest struct {
	rows int64
	sum  [sha256.Size]byte
}

// add takes one row; its columns come in the same order for all.
func (d *tableDigest) add(values []any) {
	h := sha256.New()
	part := func(kind byte, data []byte) {
		h.Write(binary.BigEndian.AppendUint64([]byte{kind}, uint64(len(data))))
		h.Write(data)
	}
	for _, value := range values {
		switch v := value.(type) {
		case nil:
			part('0', nil)
		case bool:
			part('b', fmt.Append(nil, v))
		case int64:
			part('i', binary.BigEndian.AppendUint64(nil, uint64(v)))
		case time.Time:
			part('t', binary.BigEndian.AppendUint64(nil, uint64(v.UnixMicro())))
		case string:
			part('s', []byte(v))
		case []byte:
			part('d', v)
		default:
			part('?', fmt.Appendf(nil, "%T %v", v, v)) // never the same on both sides
		}
	}
	for i, b := range h.Sum(nil) {
		d.sum[i] ^= b
	}
	d.rows++
}
