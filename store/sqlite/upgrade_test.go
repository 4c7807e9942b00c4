package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/enlace-go/enlace"
)

// A file of every schema that there was comes up to the newest with what is in it.
func TestUpgradeFromEverySchema(t *testing.T) {
	db, provider := migrated(t, 0)
	versions := provider.ListSources()
	if len(versions) < 5 {
		t.Fatalf("%d migrations", len(versions))
	}
	_ = db.Close()
	for _, from := range versions {
		t.Run(fmt.Sprint("from ", from.Version), func(t *testing.T) {
			db, _ := migrated(t, from.Version)
			var path string
			if err := db.QueryRowContext(t.Context(), `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&path); err != nil {
				t.Fatal(err)
			}
			// In the words of the first schema, which later ones only add to.
			for _, statement := range []string{
				`INSERT INTO enlace_integrations (tenant, id, provider, name, settings, features, base_url, enabled, status, status_reason, version, created_at, updated_at)
					VALUES ('acme', 'one', 'crm', 'Name', '{"a":"b"}', 'null', 'https://x', 1, 'connected', '', 3, 1000000, 2000000)`,
				`INSERT INTO enlace_credentials (tenant, integration, name, data, key_id, version, updated_at, lease_owner, lease_until, fence)
					VALUES ('acme', 'one', 'account', x'0102', 7, 2, 1, '', 0, 1)`,
				`INSERT INTO enlace_checkpoints (tenant, integration, entity, resume, mark, scope, version, updated_at)
					VALUES ('acme', 'one', 'deals', 'r', 'm', '', 4, 1)`,
				`INSERT INTO enlace_runs (tenant, id, integration, provider, direction, entities, dry_run, state, results, started_at, updated_at, finished_at, kind, error)
					VALUES ('acme', 'r1', 'one', 'crm', 'pull', '["deals"]', 0, 'complete', 'null', 1000000, 1000000, 1000000, '', '')`,
			} {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ref := enlace.Ref{Tenant: "acme", ID: "one"}
			if in, err := s.Integration(t.Context(), ref); err != nil || in.Name != "Name" || in.Version != 3 || in.Settings["a"] != "b" || in.CreatedAt.UnixMicro() != 1000000 {
				t.Errorf("%+v, %v", in, err)
			}
			if c, err := s.LoadCredential(t.Context(), enlace.CredentialKey{Ref: ref, Name: "account"}); err != nil || len(c.Data) != 2 || c.KeyID != 7 || c.Version != 2 {
				t.Errorf("%+v, %v", c, err)
			}
			if cp, err := s.LoadCheckpoint(t.Context(), ref, "deals"); err != nil || cp.Resume != "r" || cp.Mark != "m" || cp.Version != 4 {
				t.Errorf("%+v, %v", cp, err)
			}
			if run, err := s.Run(t.Context(), "acme", "r1"); err != nil || run.State != enlace.RunComplete || run.Entities[0] != "deals" {
				t.Errorf("%+v, %v", run, err)
			}
			if have, want, err := s.SchemaVersion(t.Context()); err != nil || have != want || have != versions[len(versions)-1].Version {
				t.Errorf("schema %d of %d, %v", have, want, err)
			}
		})
	}
}

// migrated is a new file with the schema of that version.
func migrated(t *testing.T, version int64) (*sql.DB, *goose.Provider) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "old.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := database.NewStore(database.DialectSQLite3, VersionTable)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db, Migrations(), goose.WithStore(store), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if version > 0 {
		if _, err := provider.UpTo(t.Context(), version); err != nil {
			t.Fatal(err)
		}
	}
	return db, provider
}
