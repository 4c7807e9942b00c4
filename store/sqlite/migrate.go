package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// VersionTable is where goose notes which migrations were applied.
const VersionTable = "enlace_schema"

// ErrSchema is the error of Open for a file that a newer version of this package
// has migrated. Use that version, or restore a copy of the file from before.
var ErrSchema = errors.New("the file has a newer schema than this version knows")

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the migrations in goose's format. A host that migrates its
// databases itself applies them with goose and [VersionTable]; Open then finds
// nothing left to do.
func Migrations() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return files
}

// migrateTimeout bounds how long Open waits for others with the same file.
const migrateTimeout = 30 * time.Second

// migrate applies what is missing.
func migrate(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	versions, err := database.NewStore(database.DialectSQLite3, VersionTable)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db, Migrations(),
		goose.WithStore(versionStore{versions}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if err := applyAll(ctx, provider); err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err == nil && current > target {
		return fmt.Errorf("%w (%d, known is %d)", ErrSchema, current, target)
	}
	return err
}

// applyAll lets several processes migrate at the same time: each migration is
// one transaction with its entry in the version table; whoever comes second
// fails without effect, and looks again.
func applyAll(ctx context.Context, provider *goose.Provider) error {
	const tries = 5 // for errors that do not look like somebody else's turn
	for try := 1; ; try++ {
		_, err := provider.Up(ctx)
		if err == nil || (try >= tries && !passing(err)) || pause(ctx) != nil {
			return err
		}
	}
}

// versionStore refuses to note a migration twice, which goose's own table does not.
type versionStore struct{ database.Store }

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
	if err := s.read.QueryRowContext(ctx, `SELECT MAX(version_id) FROM `+VersionTable+` WHERE is_applied`).Scan(&have); err != nil {
		return 0, 0, failed("schema version", err)
	}
	names, err := fs.Glob(Migrations(), "*.sql")
	if err != nil || len(names) == 0 {
		return have, 0, failed("schema version", err)
	}
	want, err = goose.NumericComponent(names[len(names)-1])
	return have, want, failed("schema version", err)
}
