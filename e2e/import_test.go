package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/sqlite"
)

// move is a SQLite store and an empty PostgreSQL store to import it into.
type move struct {
	from   *sqlite.Store
	to     *postgres.Store
	schema string
}

func newMove(t *testing.T) move {
	t.Helper()
	address := stores["postgres"].prepare(t)
	to, err := postgres.Open(t.Context(), address[0], postgres.Options{Schema: address[1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close() })
	from, err := sqlite.Open(t.Context(), stores["sqlite"].prepare(t)[0], sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = from.Close() })
	return move{from, to, address[1]}
}

// columnKinds are the types of the columns of a table, by PostgreSQL.
func (m move) columnKinds(t *testing.T, table string) map[string]string {
	t.Helper()
	rows, err := m.to.Pool().Query(t.Context(), `SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2`, m.schema, table)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	var column, kind string
	if _, err := pgx.ForEachRow(rows, []any{&column, &kind}, func() error { kinds[column] = kind; return nil }); err != nil {
		t.Fatal(err)
	}
	return kinds
}

// tables are those of the file, with their columns in order.
func (m move) tables(t *testing.T) map[string][]string {
	t.Helper()
	tables := map[string][]string{}
	for _, row := range sqliteRows(t, m.from.DB(), 2, `SELECT substr(s.name, 8), c.name FROM sqlite_schema s JOIN pragma_table_info(s.name) c
		WHERE s.type = 'table' AND s.name GLOB 'enlace_*' AND s.name <> 'enlace_schema' ORDER BY 1, 2`) {
		table, column := row[0].(string), row[1].(string)
		tables[table] = append(tables[table], column)
	}
	return tables
}

// fill puts up to three rows into every table of the file: whatever a migration adds is
// filled too.
func (m move) fill(t *testing.T) {
	t.Helper()
	for table, columns := range m.tables(t) {
		kinds := m.columnKinds(t, table)
		for row := range 3 {
			values := make([]string, len(columns))
			for i, column := range columns {
				switch kinds[column] {
				case "boolean":
					values[i] = fmt.Sprint(row % 2)
				case "bigint", "integer", "smallint", "timestamp with time zone":
					values[i] = fmt.Sprint(1 + row*1_000_003)
				case "bytea":
					values[i] = fmt.Sprintf("x'00ff%02x%02x'", i, row)
				default: // a text, and JSON at the same time
					values[i] = fmt.Sprintf(`'"ação %d %d"'`, i, row)
				}
			}
			// The keyring has one row only, as its CHECK says.
			statement := `INSERT OR IGNORE INTO enlace_` + table + ` (` + strings.Join(columns, ", ") + `) VALUES (` + strings.Join(values, ", ") + `)`
			if _, err := m.from.DB().ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", table, err)
			}
		}
	}
}

func sqliteRows(t *testing.T, db *sql.DB, columns int, query string) (all [][]any) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		values, into := make([]any, columns), make([]any, columns)
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	return all
}

// inPostgres are the rows of a table as SQLite would give them.
func (m move) inPostgres(t *testing.T, table string, columns []string) (all [][]any) {
	t.Helper()
	kinds := m.columnKinds(t, table)
	expressions := make([]string, len(columns))
	for i, column := range columns {
		expressions[i] = column
		switch kinds[column] {
		case "boolean":
			expressions[i] = column + "::int::bigint"
		case "integer", "smallint":
			expressions[i] = column + "::bigint"
		case "timestamp with time zone":
			expressions[i] = "(EXTRACT(EPOCH FROM " + column + ") * 1000000)::bigint"
		case "json":
			expressions[i] = column + "::text"
		}
	}
	rows, err := m.to.Pool().Query(t.Context(), `SELECT `+strings.Join(expressions, ", ")+` FROM `+m.schema+`.`+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return all
}

func inOrder(rows [][]any) [][]any {
	slices.SortFunc(rows, func(a, b []any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return rows
}

// Every row of every table arrives as it was, also in tables that do not exist yet.
func TestImportTakesEveryTable(t *testing.T) {
	m := newMove(t)
	m.fill(t)
	// The leases that were filled in ran out long ago.
	imported, err := m.to.ImportSQLite(t.Context(), m.from.DB())
	if err != nil {
		t.Fatal(err)
	}
	tables := m.tables(t)
	if len(imported) != len(tables) || len(tables) < 20 {
		t.Errorf("%d of %d tables are imported", len(imported), len(tables))
	}
	for table, columns := range tables {
		want := inOrder(sqliteRows(t, m.from.DB(), len(columns), `SELECT `+strings.Join(columns, ", ")+` FROM enlace_`+table))
		if len(want) == 0 {
			t.Errorf("%s is empty: the test shows nothing", table)
		}
		if diff := cmp.Diff(want, inOrder(m.inPostgres(t, table, columns))); diff != "" {
			t.Errorf("%s (-file +PostgreSQL):\n%s", table, diff)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		spoil func(t *testing.T, m move) error
		want  error
	}{
		"a file in use": {func(t *testing.T, m move) error {
			_, err := m.from.AcquireLease(t.Context(), enlace.LeaseName{Name: "health"}, "somebody", time.Minute)
			return err
		}, enlace.ErrConflict},
		"a credential that is being refreshed": {func(t *testing.T, m move) error {
			_, err := m.from.DB().ExecContext(t.Context(), `UPDATE enlace_credentials SET lease_owner = 'somebody', lease_until = ?`, soon.UnixMicro())
			return err
		}, enlace.ErrConflict},
		"tables that are not empty": {func(t *testing.T, m move) error {
			return m.to.SaveRun(t.Context(), enlace.Run{ID: "r", Ref: enlace.Ref{Tenant: "acme", ID: "one"}})
		}, enlace.ErrConflict},
		"tables of another version": {func(t *testing.T, m move) error {
			_, err := m.to.Pool().Exec(t.Context(), `ALTER TABLE `+m.schema+`.flags DROP COLUMN reason`)
			return err
		}, enlace.ErrInvalid},
		"a table that is missing": {func(t *testing.T, m move) error {
			_, err := m.to.Pool().Exec(t.Context(), `DROP TABLE `+m.schema+`.flags`)
			return err
		}, enlace.ErrInvalid},
		"a text with a NUL": {func(t *testing.T, m move) error {
			_, err := m.from.DB().ExecContext(t.Context(), `UPDATE enlace_webhook_records SET record = 'a' || char(0) || 'secret'`)
			return err
		}, enlace.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMove(t)
			m.fill(t)
			if err := test.spoil(t, m); err != nil {
				t.Fatal(err)
			}
			_, err := m.to.ImportSQLite(t.Context(), m.from.DB())
			if !errors.Is(err, test.want) || err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if rows := m.inPostgres(t, "integrations", []string{"id"}); len(rows) != 0 {
				t.Errorf("an import that failed left %d rows behind", len(rows))
			}
			// Nothing holds the file's lock any more.
			if _, err := m.from.AcquireLease(t.Context(), enlace.LeaseName{Name: "again"}, "somebody", time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
}

// A service goes on over PostgreSQL where it stopped over SQLite: it spends the refresh
// token that is sealed in the file, and its audit log is one chain with what was there.
func TestImportedServiceGoesOn(t *testing.T) {
	ctx, p := t.Context(), newProvider(t, 0, 0)
	sink := enlace.SinkFunc(func(context.Context, enlace.Batch) (enlace.Changes, error) { return enlace.Changes{}, nil })
	e := environment{Store: "sqlite", Address: stores["sqlite"].prepare(t), Lease: 15 * time.Second, Key: enlace.GenerateKey().Reveal()}
	e.use(t, p, p.current(time.Now().Add(-time.Hour)))
	if _, err := e.service.Sync(ctx, e.Ref, enlace.SyncOptions{Sink: sink}); err != nil {
		t.Fatal(err)
	}
	in, err := e.service.Get(ctx, e.Ref)
	if err != nil {
		t.Fatal(err)
	}
	in.Name = "Renamed"
	if _, err = e.service.Update(ctx, in); err != nil {
		t.Fatal(err)
	}
	if in, err = e.service.Get(ctx, e.Ref); err != nil { // with its times as they are stored
		t.Fatal(err)
	}
	before, err := e.service.AuditHead(ctx, e.Ref.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	runsBefore, _, err := e.service.Runs(ctx, enlace.RunQuery{Tenant: e.Ref.Tenant})
	if err != nil || len(runsBefore) != 1 {
		t.Fatal(runsBefore, err)
	}

	old := e.store.(*sqlite.Store)
	moved := e
	moved.Store, moved.Address = "postgres", stores["postgres"].prepare(t)
	if err := moved.open(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = moved.store.Close() })
	if _, err := moved.store.(*postgres.Store).ImportSQLite(ctx, old.DB()); err != nil {
		t.Fatal(err)
	}

	if got, err := moved.service.Get(ctx, e.Ref); err != nil || cmp.Diff(in, got) != "" {
		t.Errorf("the integration (-file +PostgreSQL): %s, %v", cmp.Diff(in, got), err)
	}
	runsAfter, _, err := moved.service.Runs(ctx, enlace.RunQuery{Tenant: e.Ref.Tenant})
	if err != nil || cmp.Diff(runsBefore, runsAfter) != "" {
		t.Errorf("the runs (-file +PostgreSQL): %s, %v", cmp.Diff(runsBefore, runsAfter), err)
	}
	p.mu.Lock()
	p.stale = true
	p.mu.Unlock()
	posts, _ := p.counts()
	if _, err := moved.service.Sync(ctx, e.Ref, enlace.SyncOptions{Sink: sink}); err != nil {
		t.Error(err)
	}
	if after, revoked := p.counts(); after != posts+1 || revoked {
		t.Errorf("%d refreshes, revoked: %v", after-posts, revoked)
	}
	if _, err := moved.service.Disable(ctx, e.Ref); err != nil {
		t.Error(err)
	}
	report, err := moved.service.VerifyAudit(ctx, e.Ref.Tenant, before)
	if err != nil || !report.OK || report.Entries <= before.Seq {
		t.Errorf("the audit log: %+v, %v", report, err)
	}
}
