package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/storetest"
)

func TestTable(t *testing.T) {
	storetest.TestTable(t, func(t *testing.T) (enlace.Store, enlace.TxSink, func(context.Context, string) ([]storetest.TableRow, error)) {
		store := open(t, postgres.Options{})
		table, err := postgres.NewTable(t.Context(), store, "public.mirror")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := postgres.NewTable(t.Context(), store, "public.mirror"); err != nil {
			t.Errorf("a table that is there already: %v", err)
		}
		for _, name := range []string{"", "a.b.c", ".a"} {
			if _, err := postgres.NewTable(t.Context(), store, name); !errors.Is(err, enlace.ErrInvalid) {
				t.Errorf("%q: %v, want ErrInvalid", name, err)
			}
		}
		return store, table, func(ctx context.Context, entity string) (all []storetest.TableRow, err error) {
			err = store.Transact(ctx, func(ctx context.Context) error {
				tx, _ := store.Tx(ctx)
				rows, err := tx.Query(ctx, `SELECT id, coalesce(data, ''), deleted FROM public.mirror WHERE entity = $1 ORDER BY id`, entity)
				if err != nil {
					return err
				}
				all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[storetest.TableRow])
				return err
			})
			return all, err
		}
	})
}
