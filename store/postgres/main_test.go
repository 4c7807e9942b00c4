package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/postgres/postgrestest"
	"github.com/enlace-go/enlace/store/storetest"
)

var server postgrestest.Server

func TestMain(m *testing.M) {
	part := parts[os.Getenv(partVariable)]
	if part == nil {
		os.Exit(server.Main(m))
	}
	if err := part(); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

var (
	ref = enlace.Ref{Tenant: "acme", ID: "one"}
	key = enlace.CredentialKey{Ref: ref, Name: "account"}
)

// shortLease is long enough for a busy machine and short enough to wait for.
const shortLease = 300 * time.Millisecond

// value is an update that stores data.
func value(data string) func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
	return func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		return &enlace.Sealed{Data: []byte(data), KeyID: 7}, nil
	}
}

// open returns a store over the schema that o names, or over a new one.
func open(t *testing.T, o postgres.Options) *postgres.Store {
	t.Helper()
	if o.Schema == "" {
		o.Schema = server.Schema(t)
	}
	s, err := postgres.Open(t.Context(), server.DSN(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newPool returns a host's pool with settings that a DSN cannot hold.
func newPool(t *testing.T, change func(c *pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(server.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	change(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// overPool returns a store over a host's pool.
func overPool(t *testing.T, o postgres.Options, change func(c *pgxpool.Config)) *postgres.Store {
	t.Helper()
	if o.Schema == "" {
		o.Schema = server.Schema(t)
	}
	s, err := postgres.New(t.Context(), newPool(t, change), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) enlace.Store { return open(t, postgres.Options{}) })
}

// What works without prepared statements, with text for every value and with a
// single connection, works through any pooler.
func TestStoreSimpleProtocol(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	storetest.Test(t, func(t *testing.T) enlace.Store {
		return open(t, postgres.Options{ExecMode: pgx.QueryExecModeSimpleProtocol, MaxConns: 1})
	})
}

// No statement needs a session: what PgBouncer runs on another connection each time is the same.
// With ENLACE_TEST_PGBOUNCER, of any value, the whole suite runs through it, which takes as
// long as TestStore.
func TestStoreThroughPgBouncer(t *testing.T) {
	t.Parallel()
	dsn := server.PgBouncer(t)
	through := func(t *testing.T, o postgres.Options) *postgres.Store {
		o.PollOnly = true
		s, err := postgres.Open(t.Context(), dsn, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	if os.Getenv("ENLACE_TEST_PGBOUNCER") != "" {
		t.Run("Alone", func(t *testing.T) {
			storetest.Test(t, func(t *testing.T) enlace.Store { return through(t, postgres.Options{Schema: server.Schema(t)}) })
		})
	}
	t.Run("Shared", func(t *testing.T) {
		storetest.TestShared(t, func(t *testing.T) (a, b enlace.Store) {
			o := postgres.Options{Schema: server.Schema(t), Lease: 3 * shortLease}
			return through(t, o), through(t, o)
		})
	})
}

func TestSharedStore(t *testing.T) {
	t.Parallel()
	storetest.TestShared(t, func(t *testing.T) (a, b enlace.Store) {
		o := postgres.Options{Schema: server.Schema(t), Lease: 3 * shortLease}
		return open(t, o), open(t, o)
	})
}

// A host may have made its database stricter than PostgreSQL is by itself; then
// the server gives up statements that it would otherwise let wait.
func TestSharedStoreSerializable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	storetest.TestShared(t, func(t *testing.T) (a, b enlace.Store) {
		o := postgres.Options{Schema: server.Schema(t), Lease: 5 * shortLease}
		strict := func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
		}
		return overPool(t, o, strict), overPool(t, o, strict)
	})
}
