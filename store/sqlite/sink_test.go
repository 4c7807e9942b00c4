package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/sqlite"
	"github.com/enlace-go/enlace/store/storetest"
)

func TestTable(t *testing.T) {
	storetest.TestTable(t, func(t *testing.T) (enlace.Store, enlace.TxSink, func(context.Context, string) ([]storetest.TableRow, error)) {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "table.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		table, err := sqlite.NewTable(t.Context(), store, "mirror")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.NewTable(t.Context(), store, "mirror"); err != nil {
			t.Errorf("a table that is there already: %v", err)
		}
		return store, table, func(ctx context.Context, entity string) (all []storetest.TableRow, err error) {
			rows, err := store.DB().QueryContext(ctx, `SELECT id, coalesce(data, ''), deleted FROM mirror WHERE entity = ? ORDER BY id`, entity)
			if err != nil {
				return nil, err
			}
			defer rows.Close()
			for rows.Next() {
				var r storetest.TableRow
				if err := rows.Scan(&r.ID, &r.Data, &r.Deleted); err != nil {
					return nil, err
				}
				all = append(all, r)
			}
			return all, rows.Err()
		}
	})
}

func TestTableNames(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "table.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, name := range []string{"", "enlace_runs", "Enlace_x", "sqlite_x", "a b", "a;b", "1a", "a.b", `a"`} {
		if _, err := sqlite.NewTable(t.Context(), store, name); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", name, err)
		}
	}
}
