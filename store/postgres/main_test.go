package postgres_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/postgres/postgrestest"
	"github.com/enlace-go/enlace/store/storetest"

	"time"

	"github.com/jackc/pgx/v5"
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

// shortLease is long enough for a busy machine and short enough to wait for.
const shortLease = 300 * time.Millisecond

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) enlace.Store { return open(t, postgres.Options{}) })
}

// What works without prepared statements, with text for every value and with a
// single connection, works through any pooler.
func TestStoreSimpleProtocol(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) enlace.Store {
		return open(t, postgres.Options{ExecMode: pgx.QueryExecModeSimpleProtocol, MaxConns: 1})
	})
}

func TestSharedStore(t *testing.T) {
	t.Parallel()
	storetest.TestShared(t, func(t *testing.T) (a, b enlace.Store) {
		o := postgres.Options{Schema: server.Schema(t), Lease: shortLease}
		return open(t, o), open(t, o)
	})
}
