package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/sqlite"
)

var (
	ref = enlace.Ref{Tenant: "acme", ID: "one"}
	key = enlace.CredentialKey{Ref: ref, Name: "account"}
)

// value is an update that stores data.
func value(data string) func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
	return func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		return &enlace.Sealed{Data: []byte(data), KeyID: 7}, nil
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	path, ctx := newPath(t), t.Context()
	read := func(s *sqlite.Store) []any {
		in, err1 := s.Integration(ctx, ref)
		cred, err2 := s.LoadCredential(ctx, key)
		cp, err3 := s.LoadCheckpoint(ctx, ref, "deals")
		run, err4 := s.Run(ctx, "acme", "r1")
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		return []any{in, cred, cp, run}
	}
	first, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		first.CreateIntegration(ctx, enlace.Integration{Ref: ref, Name: "Sales"}),
		first.UpdateCredential(ctx, key, value("sealed")),
		first.SaveCheckpoint(ctx, ref, "deals", enlace.Checkpoint{Mark: "m"}),
		first.SaveRun(ctx, enlace.Run{ID: "r1", Ref: ref}))
	if err != nil {
		t.Fatal(err)
	}
	want := read(first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read(open(t, path, sqlite.Options{}))); diff != "" {
		t.Errorf("opening the file again changed it (-before +after):\n%s", diff)
	}
}

func TestFileIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes and names are those of Unix")
	}
	path := newPath(t)
	s := open(t, path, sqlite.Options{})
	if err := s.UpdateCredential(t.Context(), key, value("sealed")); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) < 2 {
		t.Fatalf("expected the file and its log: %v, %v", files, err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file.Name(), info.Mode().Perm())
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path    string
		options sqlite.Options
		want    error
	}{
		"no name":           {path: "", want: enlace.ErrInvalid},
		"memory":            {path: ":memory:", want: enlace.ErrInvalid},
		"negative lease":    {path: filepath.Join(dir, "x"), options: sqlite.Options{Lease: -1}, want: enlace.ErrInvalid},
		"missing directory": {path: filepath.Join(dir, "none", "x"), want: fs.ErrNotExist},
		"directory":         {path: dir},
		"other file":        {path: text},
	} {
		s, err := sqlite.Open(t.Context(), c.path, c.options)
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		} else if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v, want one that matches %v", name, err, c.want)
		}
	}
}

// Nothing in a name is taken for a parameter of the connection.
func TestOpenOddNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes and names are those of Unix")
	}
	for _, name := range []string{"a b", "a?mode=ro", "a#b", "a%41", "file:x", "é & ü", "a;b'c\"d"} {
		dir := t.TempDir()
		s := open(t, filepath.Join(dir, name), sqlite.Options{})
		if err := s.UpdateCredential(t.Context(), key, value("sealed")); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 3 || filepath.Base(files[0]) != name {
			t.Errorf("%q: files are %q, %v", name, files, err)
		}
	}
}

func TestConnectionSettings(t *testing.T) {
	s := open(t, newPath(t), sqlite.Options{})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
		"secure_delete": "1", "busy_timeout": "5000"} {
		var got string
		if err := s.DB().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
}

// version is what the version table says.
func version(t *testing.T, s *sqlite.Store) (highest, rows int) {
	t.Helper()
	err := s.DB().QueryRowContext(t.Context(), `SELECT max(version_id), count(*) FROM `+sqlite.VersionTable).Scan(&highest, &rows)
	if err != nil {
		t.Fatal(err)
	}
	return highest, rows
}

func TestMigrationsAreAppliedOnce(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	files, err := fs.Glob(sqlite.Migrations(), "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal("no migrations are exported", err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err != nil {
				t.Errorf("several may open a new file at the same time: %v", err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	highest, rows := version(t, open(t, path, sqlite.Options{}))
	if newest := fmt.Sprintf("%05d_", highest); !strings.HasPrefix(files[len(files)-1], newest) || rows != len(files)+1 { // goose notes version 0 too
		t.Errorf("version %d in %d rows after %d migrations", highest, rows, len(files))
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := newPath(t)
	s := open(t, path, sqlite.Options{})
	highest, _ := version(t, s)
	if _, err := s.DB().ExecContext(t.Context(), `INSERT INTO `+sqlite.VersionTable+` (version_id, is_applied) VALUES (?, 1)`, highest+1); err != nil {
		t.Fatal(err)
	}
	newer, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		newer.Close()
	}
	if !errors.Is(err, sqlite.ErrSchema) {
		t.Errorf("error is %v, want one that matches ErrSchema", err)
	}
}

// Everything else in the file is the host's.
func TestTablesHavePrefix(t *testing.T) {
	s := open(t, newPath(t), sqlite.Options{})
	rows, err := s.DB().QueryContext(t.Context(), `SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if found++; !strings.HasPrefix(name, "enlace_") {
			t.Errorf("%q could be a table of the host's", name)
		}
	}
	if err := rows.Err(); err != nil || found < 5 {
		t.Errorf("found %d tables and indexes, %v", found, err)
	}
}

// A host that reads and writes with DB while the service works gets in nobody's way.
func TestHostSharesTheFile(t *testing.T) {
	s, ctx := open(t, newPath(t), sqlite.Options{}), t.Context()
	if _, err := s.DB().ExecContext(ctx, `CREATE TABLE mine (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 10 {
				if err := hostTransaction(ctx, s.DB(), n); err != nil {
					t.Errorf("host: %v", err)
				}
				if err := s.SaveRun(ctx, enlace.Run{ID: fmt.Sprint(i, n), Ref: ref}); err != nil {
					t.Errorf("store: %v", err)
				}
			}
		})
	}
	group.Wait()
	var n int
	if err := s.DB().QueryRowContext(ctx, `SELECT count(*) FROM mine`).Scan(&n); err != nil || n != 80 {
		t.Errorf("%d of 80 rows, %v", n, err)
	}
}

func hostTransaction(ctx context.Context, db *sql.DB, n int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var before int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM mine`).Scan(&before); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO mine VALUES (?)`, n); err != nil {
		return err
	}
	return tx.Commit()
}

// What fails says nothing of what it was given.
func TestErrorsHoldNoArguments(t *testing.T) {
	s, err := sqlite.Open(t.Context(), newPath(t), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB().ExecContext(t.Context(), `DROP TABLE enlace_credentials; DROP TABLE enlace_runs`); err != nil {
		t.Fatal(err)
	}
	canary := enlace.CredentialKey{Ref: enlace.Ref{Tenant: "canary", ID: "canary"}, Name: "canary"}
	_, loadErr := s.LoadCredential(t.Context(), canary)
	runErr := s.SaveRun(t.Context(), enlace.Run{ID: "canary", Error: "canary"})
	updateErr := s.UpdateCredential(t.Context(), canary, value("canary"))
	s.Close()
	_, closedErr := s.Integration(t.Context(), canary.Ref)
	for _, err := range []error{loadErr, runErr, updateErr, closedErr} {
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("error is %v", err)
		}
		for _, kind := range []error{enlace.ErrNotFound, enlace.ErrConflict, enlace.ErrNoCredential, enlace.ErrInvalid} {
			if errors.Is(err, kind) {
				t.Errorf("a failure of the file is no answer, but %v matches %q", err, kind)
			}
		}
	}
}
