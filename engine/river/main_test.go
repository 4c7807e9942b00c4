package river_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/engine/enginetest"
	"github.com/enlace-go/enlace/engine/river"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/postgres/postgrestest"
)

var server postgrestest.Server

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(server.Main(m))
	}
	if err := child(); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// open returns a store and the options of an engine over it, both in schemas of their own.
func open(t *testing.T) (*postgres.Store, river.Options) {
	t.Helper()
	o := river.Options{Schema: server.Schema(t)}
	store, err := postgres.Open(t.Context(), server.DSN(t), postgres.Options{Schema: server.Schema(t), MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store, o
}

func newEngine(t *testing.T, store *postgres.Store, o river.Options) *river.Engine {
	t.Helper()
	e, err := river.New(t.Context(), store, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// start has an engine do jobs until the test ends.
func start(t *testing.T, e *river.Engine, kinds ...enlace.JobKind) {
	t.Helper()
	if err := e.Register(kinds...); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestEngine(t *testing.T) {
	enginetest.Test(t, func(t *testing.T) (enlace.Store, func() enlace.Engine) {
		store, o := open(t)
		return store, func() enlace.Engine { return newEngine(t, store, o) }
	})
}

func TestEnginePollsOnly(t *testing.T) {
	enginetest.Test(t, func(t *testing.T) (enlace.Store, func() enlace.Engine) {
		store, o := open(t)
		o.PollOnly = true
		return store, func() enlace.Engine { return newEngine(t, store, o) }
	})
}

// Neither the store nor the engine need a session of the server.
func TestThroughPgBouncer(t *testing.T) {
	dsn := server.PgBouncer(t)
	enginetest.Test(t, func(t *testing.T) (enlace.Store, func() enlace.Engine) {
		store, err := postgres.Open(t.Context(), dsn, postgres.Options{Schema: server.Schema(t), MaxConns: 8, PollOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		o := river.Options{Schema: server.Schema(t), PollOnly: true}
		return store, func() enlace.Engine { return newEngine(t, store, o) }
	})
}
