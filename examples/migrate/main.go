// Migrate moves a host from SQLite to PostgreSQL: everything that enlace keeps, and the
// tables that sinks have filled. Stop every process of the host first.
//
//	DATABASE_URL=postgres://… go run ./examples/migrate -from enlace.db -tables contacts,deals
//
// The keys stay as they are: what is sealed is copied sealed. Afterwards the host opens
// its store by postgres.Open, and nothing opens the file again.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/sqlite"
)

func main() {
	log.SetFlags(0)
	from := flag.String("from", "", "the SQLite file")
	schema := flag.String("schema", postgres.DefaultSchema, "the schema of enlace's tables, in the database that DATABASE_URL names")
	tables := flag.String("tables", "", "tables of sqlite.NewTable to be copied too, separated by commas; they go where the role's search_path leads")
	flag.Parse()
	if *from == "" || os.Getenv("DATABASE_URL") == "" {
		flag.Usage()
		os.Exit(2)
	}
	names := strings.FieldsFunc(*tables, func(r rune) bool { return r == ',' })
	if err := migrate(context.Background(), os.Stdout, *from, os.Getenv("DATABASE_URL"), *schema, names); err != nil {
		log.Fatal(err)
	}
}

// migrate copies the file at path into the database.
func migrate(ctx context.Context, w io.Writer, path, dsn, schema string, tables []string) (err error) {
	if _, err := os.Stat(path); err != nil { // it would be made
		return err
	}
	old, err := sqlite.Open(ctx, path, sqlite.Options{}) // brings an older file to the tables of today
	if err != nil {
		return err
	}
	defer old.Close()
	store, err := postgres.Open(ctx, dsn, postgres.Options{Schema: schema})
	if err != nil {
		return err
	}
	defer store.Close()

	// The sinks' tables first: while the import has not been done, all can be done again.
	for _, name := range tables {
		rows, err := copyTable(ctx, old, store, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(w, "%10d rows of your table %s\n", rows, name)
	}
	imported, err := store.ImportSQLite(ctx, old.DB())
	if err != nil {
		return err
	}
	for _, t := range imported {
		if t.Rows > 0 {
			fmt.Fprintf(w, "%10d rows of %s\n", t.Rows, t.Name)
		}
	}
	fmt.Fprintln(w, "Everything is there, read back and compared. Open the store by postgres.Open from now on, and put the file away.")
	return nil
}

// copyTable copies what a sqlite.Table holds into a postgres.Table. A table with rows in
// it is left alone.
func copyTable(ctx context.Context, old *sqlite.Store, store *postgres.Store, name string) (int64, error) {
	if _, err := sqlite.NewTable(ctx, old, name); err != nil { // checks the name
		return 0, err
	}
	if _, err := postgres.NewTable(ctx, store, name); err != nil {
		return 0, err
	}
	rows, err := old.DB().QueryContext(ctx, `SELECT tenant, integration, entity, id, data, hash, modified, deleted, synced_at FROM `+name)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	tx, err := store.Pool().Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	var some bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+pgx.Identifier{name}.Sanitize()+`)`).Scan(&some); err != nil {
		return 0, err
	}
	if some {
		return 0, errors.New("there are rows in the table already; drop it if they are of an earlier try")
	}
	columns := []string{"tenant", "integration", "entity", "id", "data", "hash", "modified", "deleted", "synced_at"}
	n, err := tx.CopyFrom(ctx, pgx.Identifier{name}, columns, &tableRows{Rows: rows})
	if err != nil {
		return 0, err
	}
	return n, tx.Commit(ctx)
}

// tableRows are the rows of a sqlite.Table as a postgres.Table wants them.
type tableRows struct{ *sql.Rows }

// Values implements pgx.CopyFromSource.
func (r *tableRows) Values() ([]any, error) {
	var tenant, integration, entity, id string
	var data *string
	var hash []byte
	var modified sql.NullInt64
	var deleted bool
	var synced int64
	if err := r.Scan(&tenant, &integration, &entity, &id, &data, &hash, &modified, &deleted, &synced); err != nil {
		return nil, err
	}
	at := sql.NullTime{Time: time.UnixMicro(modified.Int64), Valid: modified.Valid}
	return []any{tenant, integration, entity, id, data, hash, at, deleted, time.UnixMicro(synced)}, nil
}
