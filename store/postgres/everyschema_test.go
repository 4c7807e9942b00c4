package postgres_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

// Tables of the first schema and of the last release come up to the newest with what is in them.
func TestUpgradeKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, from := range []int64{1, firstRelease} {
		t.Run(fmt.Sprint("from ", from), func(t *testing.T) {
			schema := server.Schema(t)
			migrateTo(t, schema, from)
			pool := newPool(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol })
			// In the words of the first schema, which later ones only add to.
			if _, err := pool.Exec(t.Context(), `SET LOCAL search_path TO `+schema+`;
				INSERT INTO integrations (tenant, id, provider, name, settings, features, base_url, enabled, status, status_reason, version, created_at, updated_at)
					VALUES ('acme', 'one', 'crm', 'Name', '{"a":"b"}', 'null', 'https://x', true, 'connected', '', 3, to_timestamp(1), to_timestamp(2));
				INSERT INTO credentials (tenant, integration, name, data, key_id, version, lease_owner, lease_until, fence)
					VALUES ('acme', 'one', 'account', '\x0102', 7, 2, '', 'epoch', 1);
				INSERT INTO checkpoints (tenant, integration, entity, resume, mark, scope, version, updated_at)
					VALUES ('acme', 'one', 'deals', 'r', 'm', '', 4, 'epoch');
				INSERT INTO runs (tenant, id, integration, provider, direction, entities, dry_run, state, results, started_at, updated_at, finished_at, kind, error)
					VALUES ('acme', 'r1', 'one', 'crm', 'pull', '["deals"]', false, 'complete', 'null', to_timestamp(1), to_timestamp(1), to_timestamp(1), '', '')`); err != nil {
				t.Fatal(err)
			}
			s := open(t, postgres.Options{Schema: schema})
			if in, err := s.Integration(t.Context(), ref); err != nil || in.Name != "Name" || in.Version != 3 || in.Settings["a"] != "b" || in.CreatedAt.Unix() != 1 {
				t.Errorf("%+v, %v", in, err)
			}
			if c, err := s.LoadCredential(t.Context(), key); err != nil || len(c.Data) != 2 || c.KeyID != 7 || c.Version != 2 {
				t.Errorf("%+v, %v", c, err)
			}
			if cp, err := s.LoadCheckpoint(t.Context(), ref, "deals"); err != nil || cp.Resume != "r" || cp.Mark != "m" || cp.Version != 4 {
				t.Errorf("%+v, %v", cp, err)
			}
			if run, err := s.Run(t.Context(), "acme", "r1"); err != nil || run.State != enlace.RunComplete || run.Entities[0] != "deals" {
				t.Errorf("%+v, %v", run, err)
			}
			if have, want, err := s.SchemaVersion(t.Context()); err != nil || have != want {
				t.Errorf("schema %d of %d, %v", have, want, err)
			}
		})
	}
}

// migrateTo makes the tables as a host with goose does, up to that version.
func migrateTo(t *testing.T, schema string, version int64) {
	t.Helper()
	pool := newPool(t, func(*pgxpool.Config) {})
	if _, err := pool.Exec(t.Context(), `CREATE SCHEMA `+schema); err != nil {
		t.Fatal(err)
	}
	files, err := postgres.Migrations(schema)
	if err != nil {
		t.Fatal(err)
	}
	versions, err := database.NewStore(database.DialectPostgres, schema+"."+postgres.VersionTable)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectCustom, db, files, goose.WithStore(versions), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}
