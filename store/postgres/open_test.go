package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

func TestReopenKeepsEverything(t *testing.T) {
	t.Parallel()
	ctx, o := t.Context(), postgres.Options{Schema: server.Schema(t)}
	read := func(s *postgres.Store) []any {
		in, err1 := s.Integration(ctx, ref)
		cred, err2 := s.LoadCredential(ctx, key)
		cp, err3 := s.LoadCheckpoint(ctx, ref, "deals")
		run, err4 := s.Run(ctx, "acme", "r1")
		ring, err5 := s.LoadKeyring(ctx)
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			t.Fatal(err)
		}
		return []any{in, cred, cp, run, ring}
	}
	first, err := postgres.Open(ctx, server.DSN(t), o)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		first.CreateIntegration(ctx, enlace.Integration{Ref: ref, Name: "Sales"}),
		first.UpdateCredential(ctx, key, value("sealed")),
		first.SaveCheckpoint(ctx, ref, "deals", enlace.Checkpoint{Mark: "m"}),
		first.SaveRun(ctx, enlace.Run{ID: "r1", Ref: ref}),
		first.SaveKeyring(ctx, enlace.KeyringRecord{Data: []byte("ring")}))
	if err != nil {
		t.Fatal(err)
	}
	want := read(first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read(open(t, o))); diff != "" {
		t.Errorf("opening the store again changed it (-before +after):\n%s", diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	const password = "canarypassword"
	for name, c := range map[string]struct {
		dsn     string
		options postgres.Options
		want    error
	}{
		"no DSN":          {dsn: "", want: enlace.ErrInvalid},
		"no DSN at all":   {dsn: "hello " + password, want: enlace.ErrInvalid},
		"broken URL":      {dsn: "postgres://enlace:" + password + "@host:port:9/%zz", want: enlace.ErrInvalid},
		"broken setting":  {dsn: "host=x password=" + password + " sslmode=perhaps", want: enlace.ErrInvalid},
		"negative lease":  {dsn: "host=x", options: postgres.Options{Lease: -1}, want: enlace.ErrInvalid},
		"negative number": {dsn: "host=x", options: postgres.Options{MaxConns: -1}, want: enlace.ErrInvalid},
		"nobody there":    {dsn: "host=127.0.0.1 port=1 user=enlace password=" + password},
	} {
		s, err := postgres.Open(t.Context(), c.dsn, c.options)
		switch {
		case err == nil:
			s.Close()
			t.Errorf("%s: opened", name)
		case c.want != nil && !errors.Is(err, c.want):
			t.Errorf("%s: error is %v, want one that matches %v", name, err, c.want)
		case strings.Contains(err.Error(), password):
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	if _, err := postgres.New(t.Context(), nil, postgres.Options{}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a nil pool: error is %v", err)
	}
}

func TestSchemaNames(t *testing.T) {
	for _, name := range []string{"public", "pg_catalog", "pg_mine", "information_schema", "Enlace", "a-b", "a b", "a.b", `a"b`,
		"1a", "é", "a;", "a\n", strings.Repeat("a", 64)} {
		if _, err := postgres.Migrations(name); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%q: error is %v", name, err)
		}
		if _, err := postgres.Open(t.Context(), "host=x", postgres.Options{Schema: name}); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%q: error is %v", name, err)
		}
	}
	for name, want := range map[string]string{"enlace": "SELECT 1 FROM enlace.runs", "user": `SELECT 1 FROM "user".runs`} {
		if got := postgres.WithSchema(name, "SELECT 1 FROM enlace.runs"); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}

func TestMigrationsNameTheSchema(t *testing.T) {
	for _, schema := range []string{"", "other"} {
		files, err := postgres.Migrations(schema)
		if err != nil {
			t.Fatal(err)
		}
		names, err := fs.Glob(files, "*.sql")
		if err != nil || len(names) == 0 {
			t.Fatal("no migrations are exported", err)
		}
		text, err := fs.ReadFile(files, names[0])
		if err != nil {
			t.Fatal(err)
		}
		want := "CREATE TABLE enlace.runs"
		if schema != "" {
			want = `CREATE TABLE "other".runs`
		}
		if !strings.Contains(string(text), want) || schema != "" && strings.Contains(string(text), "enlace.") {
			t.Errorf("schema %q: the text is\n%s", schema, text)
		}
		if info, err := fs.Stat(files, names[0]); err != nil || info.Size() != int64(len(text)) {
			t.Errorf("schema %q: %v, %v", schema, info, err)
		}
	}
}

// appliedOnce notes a failure unless the version table has each migration once.
func appliedOnce(t *testing.T, s *postgres.Store) (highest int) {
	t.Helper()
	files, err := postgres.Migrations(s.Schema())
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var rows int
	err = s.Pool().QueryRow(t.Context(), `SELECT max(version_id), count(*) FROM `+s.Schema()+`.`+postgres.VersionTable+` WHERE version_id > 0`).Scan(&highest, &rows)
	if err != nil || !strings.HasPrefix(names[len(names)-1], fmt.Sprintf("%05d_", highest)) || rows != len(names) {
		t.Errorf("version %d in %d rows after %d migrations (%v)", highest, rows, len(names), err)
	}
	return highest
}

func TestMigrationsAreAppliedOnce(t *testing.T) {
	t.Parallel()
	o := postgres.Options{Schema: server.Schema(t), MaxConns: 1}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			s, err := postgres.Open(t.Context(), server.DSN(t), o)
			if err != nil {
				t.Errorf("several may open a new schema at the same time: %v", err)
				return
			}
			s.Close()
		})
	}
	group.Wait()
	appliedOnce(t, open(t, o))
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Options{})
	highest := appliedOnce(t, s)
	if _, err := s.Pool().Exec(t.Context(), `INSERT INTO `+s.Schema()+`.`+postgres.VersionTable+` (version_id, is_applied) VALUES ($1, true)`, highest+1); err != nil {
		t.Fatal(err)
	}
	newer, err := postgres.New(t.Context(), s.Pool(), postgres.Options{Schema: s.Schema()})
	if err == nil {
		newer.Close()
	}
	if !errors.Is(err, postgres.ErrSchema) {
		t.Errorf("error is %v, want one that matches ErrSchema", err)
	}
}

// A role that may do no more than its work is enough once the tables are there.
func TestRoleWithoutOwnership(t *testing.T) {
	t.Parallel()
	owner := open(t, postgres.Options{})
	schema, role := owner.Schema(), owner.Schema()
	_, err := owner.Pool().Exec(t.Context(), `CREATE ROLE `+role)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" {
		t.Skip("needs a server where the role may make roles")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
		for _, statement := range []string{`DROP OWNED BY ` + role, `DROP ROLE ` + role} {
			if _, err := pool.Exec(context.Background(), statement); err != nil {
				t.Error(err)
			}
		}
	})
	for _, grant := range []string{`GRANT USAGE ON SCHEMA ` + schema + ` TO ` + role,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ` + schema + ` TO ` + role} {
		if _, err := owner.Pool().Exec(t.Context(), grant); err != nil {
			t.Fatal(err)
		}
	}
	s := overPool(t, postgres.Options{Schema: schema}, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["role"] = role })
	if err := s.UpdateCredential(t.Context(), key, value("sealed")); err != nil {
		t.Error(err)
	}
	if _, err := postgres.New(t.Context(), s.Pool(), postgres.Options{Schema: schema + "x"}); err == nil {
		t.Error("the role could make a schema: the test shows nothing")
	} else if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "42501" {
		t.Errorf("the error of a role that may not make the schema does not say so: %v", err)
	}
}

func TestSchemasAreSeparate(t *testing.T) {
	t.Parallel()
	a := open(t, postgres.Options{})
	b, err := postgres.New(t.Context(), a.Pool(), postgres.Options{Schema: server.Schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.UpdateCredential(t.Context(), key, value("a's")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.LoadCredential(t.Context(), key); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("another schema's credential is visible: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := a.Pool().Ping(t.Context()); err != nil {
		t.Errorf("Close of a store over a host's pool has closed the pool: %v", err)
	}
}

// Each list reads its page in order from an index: no statement scans a table, or sorts.
func TestListsUseIndexes(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Options{ExecMode: pgx.QueryExecModeSimpleProtocol})
	tx, err := s.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off`); err != nil {
		t.Fatal(err)
	}
	for statement, args := range postgres.Lists {
		rows, err := tx.Query(t.Context(), "EXPLAIN "+postgres.WithSchema(s.Schema(), statement), args...)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%v\n%s", err, statement)
		}
		plan := strings.Join(lines, "\n")
		condition := slices.IndexFunc(lines, func(line string) bool {
			return strings.Contains(line, "Index Cond") && strings.ContainsAny(line, "<>")
		})
		filtered := slices.ContainsFunc(lines, func(line string) bool { // rows that are read in vain
			return strings.Contains(line, "Filter:") && !strings.Contains(line, "data IS NOT NULL")
		})
		if condition < 0 || filtered || strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("the page does not begin at the cursor, or is not in order: plan is\n%s\nfor %s", plan, statement)
		}
	}
}

// What fails says nothing of what it was given.
func TestErrorsHoldNoData(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{0, pgx.QueryExecModeSimpleProtocol} {
		s := open(t, postgres.Options{ExecMode: mode})
		canary := enlace.CredentialKey{Ref: enlace.Ref{Tenant: "canary", ID: "canary"}, Name: "canary"}
		run := enlace.Run{Ref: canary.Ref, ID: "canary", Error: "canary"}
		rename := strings.NewReplacer("SCHEMA", s.Schema())
		for _, statement := range []string{
			`CREATE FUNCTION SCHEMA.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no: %', NEW; END $$`,
			`CREATE TRIGGER tell BEFORE INSERT ON SCHEMA.checkpoints FOR EACH ROW EXECUTE FUNCTION SCHEMA.tell()`,
			`ALTER TABLE SCHEMA.integrations ADD CHECK (id <> 'canary')`,
			`DROP TABLE SCHEMA.credentials`,
		} {
			if _, err := s.Pool().Exec(t.Context(), rename.Replace(statement)); err != nil {
				t.Fatal(err)
			}
		}
		_, loadErr := s.LoadCredential(t.Context(), canary)
		updateErr := s.UpdateCredential(t.Context(), canary, value("canary"))
		checkErr := s.CreateIntegration(t.Context(), enlace.Integration{Ref: canary.Ref})
		triggerErr := s.SaveCheckpoint(t.Context(), canary.Ref, "canary", enlace.Checkpoint{})
		s.Close()
		closedErr := s.SaveRun(t.Context(), run)
		for code, err := range map[string]error{"42P01 load": loadErr, "42P01 update": updateErr, "23514": checkErr, "P0001": triggerErr, "closed": closedErr} {
			if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") {
				t.Errorf("%s: error is %v", code, err)
			}
			e, ok := errors.AsType[*pgconn.PgError](err)
			if code != "closed" && (!ok || !strings.HasPrefix(code, e.Code) || e.Detail+e.Where+e.InternalQuery+e.Hint != "") {
				t.Errorf("%s: error is %#v", code, e)
			}
			for _, kind := range []error{enlace.ErrNotFound, enlace.ErrConflict, enlace.ErrNoCredential, enlace.ErrInvalid} {
				if errors.Is(err, kind) {
					t.Errorf("a failure of the database is no answer, but %v matches %q", err, kind)
				}
			}
		}
	}
}

// What PostgreSQL cannot keep is refused where it matters, and mended where it
// would only cost the row it explains.
func TestTextThatPostgresCannotKeep(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{0, pgx.QueryExecModeSimpleProtocol} {
		s, ctx := open(t, postgres.Options{ExecMode: mode}), t.Context()
		for _, bad := range []string{"a\x00b", "a\xffb"} {
			_, loadErr := s.Integration(ctx, enlace.Ref{Tenant: "acme", ID: bad})
			_, resealErr := s.ResealCredentials(ctx, []enlace.StoredCredential{{CredentialKey: enlace.CredentialKey{Name: bad}}})
			for _, err := range []error{loadErr, resealErr,
				s.CreateIntegration(ctx, enlace.Integration{Ref: ref, Name: bad}),
				s.SaveCheckpoint(ctx, ref, "deals", enlace.Checkpoint{Mark: enlace.Cursor(bad)}),
				s.UpdateCredential(ctx, enlace.CredentialKey{Ref: ref, Name: bad}, value("x")),
			} {
				if !errors.Is(err, enlace.ErrInvalid) {
					t.Errorf("%q: error is %v", bad, err)
				}
			}
			if err := s.SaveRun(ctx, enlace.Run{Ref: ref, ID: "r", Error: bad, Entities: []string{bad}}); err != nil {
				t.Errorf("%q: %v", bad, err)
			}
			if run, err := s.Run(ctx, "acme", "r"); err != nil || run.Error != "a\uFFFDb" {
				t.Errorf("%q: %+v, %v", bad, run, err)
			}
		}
		if err := s.SaveRun(ctx, enlace.Run{Ref: ref, ID: "late", StartedAt: time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC)}); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("a time that PostgreSQL does not know: error is %v", err)
		}
	}
}
