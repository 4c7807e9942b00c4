package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// VersionTable is where goose notes which migrations were applied; it is in the
// store's schema.
const VersionTable = "schema_version"

// ErrSchema is the error of Open and New for tables that a newer version of this
// package has migrated. Use that version, or restore a copy from before.
var ErrSchema = errors.New("the tables have a newer schema than this version knows")

//go:embed migrations/*.sql
var embedded embed.FS

// ownMigrations are those of this release.
func ownMigrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return files
}

// Migrations returns the migrations for a schema in goose's format; empty is
// DefaultSchema. A host that migrates its databases itself makes the schema and
// applies them with goose, whose version table must be "<schema>.schema_version".
// Open and New then find nothing left to do, and the store's role needs no more
// than USAGE on the schema and SELECT, INSERT, UPDATE and DELETE on its tables.
// The error is [enlace.ErrInvalid] for a name that [Options.Schema] does not take.
func Migrations(schema string) (fs.FS, error) {
	if schema == "" {
		schema = DefaultSchema
	}
	if err := checkSchema(schema); err != nil {
		return nil, err
	}
	return schemaFS{ownMigrations(), schema}, nil
}

// lockTimeout bounds how long a migration waits for a table that is in use: whoever
// wants the table after it waits behind it, so it gives up and tries again. Autovacuum
// gives way after a second (deadlock_timeout).
const lockTimeout = 2 * time.Second

// beginning is how the migrations in a transaction begin. SET LOCAL has no effect in
// the others.
var beginning = strings.NewReplacer("-- +goose Up\n", fmt.Sprintf("-- +goose Up\nSET LOCAL lock_timeout = %d;\n", lockTimeout.Milliseconds()))

// schemaFS are migrations as they are applied: with the schema's name and a bound of
// the time for which they hold others up.
type schemaFS struct {
	fs.FS
	schema string
}

func (f schemaFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	sql := withSchema(f.schema, string(text))
	if !strings.Contains(sql, "-- +goose NO TRANSACTION") {
		sql = beginning.Replace(sql)
	}
	return schemaFile{file, strings.NewReader(sql)}, nil
}

type schemaFile struct {
	fs.File
	text *strings.Reader
}

func (f schemaFile) Read(p []byte) (int, error) { return f.text.Read(p) }

func (f schemaFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return schemaFileInfo{info, f.text.Size()}, err
}

type schemaFileInfo struct {
	fs.FileInfo
	size int64
}

func (i schemaFileInfo) Size() int64 { return i.size }

const (
	// migrateTimeout bounds how long Open waits for others that migrate.
	migrateTimeout = 60 * time.Second
	// migrateTries is far more than one process can lose to others: once for the
	// schema, once for the version table and once for each migration.
	migrateTries = 20
)

// migrate applies what is missing.
func (s *Store) migrate(ctx context.Context) error {
	err := limited(ctx, migrateTimeout, func(ctx context.Context) error {
		db := stdlib.OpenDBFromPool(s.pool)
		defer db.Close() // gives the connection back; the pool stays open
		tries := 0
		again := func(error) bool { tries++; return tries < migrateTries && ctx.Err() == nil }
		return retry(ctx, again, func() error { return s.applyAll(ctx, db) })
	})
	if err == nil || ctx.Err() != nil || withoutData(err) != nil {
		return failed("migrate", err)
	}
	return fmt.Errorf("postgres: migrate: %w", err) // goose's own: it knows no data
}

// applyAll lets several processes migrate at the same time: each migration is
// one transaction with its entry in the version table, which it locks first;
// whoever comes second fails without effect, and looks again. That needs no lock
// of a session, which a pooler would hand to somebody else.
func (s *Store) applyAll(ctx context.Context, db *sql.DB) error {
	if err := s.createSchema(ctx); err != nil {
		return err
	}
	versions, err := database.NewStore(database.DialectPostgres, withSchema(s.schema, DefaultSchema+"."+VersionTable))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db, schemaFS{s.migrations, s.schema},
		goose.WithStore(versionStore{versions}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err == nil && current > target {
		return fmt.Errorf("%w (%d, known is %d)", ErrSchema, current, target)
	}
	return err
}

// createSchema looks first, since a role that may not make schemas may not even
// say IF NOT EXISTS.
func (s *Store) createSchema(ctx context.Context) error {
	var exists bool
	err := s.rowRaw(ctx, s.pool, []any{&exists}, `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`, s.schema)
	if err != nil || exists {
		return err
	}
	_, err = s.execRaw(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{s.schema}.Sanitize())
	return err
}

// versionStore is goose's own, with a look for the table that takes any schema,
// and refuses to note a migration twice.
type versionStore struct{ database.Store }

// TableExists implements database.StoreExtender.
func (v versionStore) TableExists(ctx context.Context, db database.DBTxConn) (exists bool, err error) {
	err = db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, v.Tablename()).Scan(&exists)
	return exists, err
}

func (v versionStore) Insert(ctx context.Context, db database.DBTxConn, req database.InsertRequest) error {
	_, err := v.GetMigration(ctx, db, req.Version)
	switch {
	case errors.Is(err, database.ErrVersionNotFound):
		return v.Store.Insert(ctx, db, req)
	case err != nil:
		return err
	default:
		return fmt.Errorf("migration %d was applied by another process", req.Version)
	}
}

// SchemaVersion implements [enlace.SchemaStore].
func (s *Store) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	rows, err := selectAll(ctx, s, "schema version", func(row scanner) (v int64, err error) { err = row.Scan(&v); return v, err },
		`SELECT COALESCE(MAX(version_id), 0) FROM enlace.`+VersionTable+` WHERE is_applied`)
	if err != nil || len(rows) == 0 {
		return 0, 0, err
	}
	names, err := fs.Glob(s.migrations, "*.sql")
	if err != nil || len(names) == 0 {
		return rows[0], 0, failed("schema version", err)
	}
	want, err = goose.NumericComponent(names[len(names)-1])
	return rows[0], want, failed("schema version", err)
}
