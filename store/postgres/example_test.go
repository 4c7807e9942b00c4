package postgres_test

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

// The examples have no output to compare: they are compiled, and not run, since
// there need not be a server.

func ExampleOpen() {
	ctx := context.Background()
	// Was: sqlite.Open(ctx, "enlace.db", sqlite.Options{})
	store, err := postgres.Open(ctx, os.Getenv("DATABASE_URL"), postgres.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	ref := enlace.Ref{Tenant: "acme", ID: "crm"}
	if err := store.CreateIntegration(ctx, enlace.Integration{Ref: ref, Provider: "bitrix24", Name: "Sales"}); err != nil {
		fmt.Println(err)
		return
	}
	in, err := store.Integration(ctx, ref)
	fmt.Println(in.Name, in.Version, err)
}

// A host that has a pool already lends it.
func ExampleNew() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	store, err := postgres.New(ctx, pool, postgres.Options{Schema: "integrations"})
	if err != nil {
		fmt.Println(err)
		return
	}
	runs, _, err := store.Runs(ctx, enlace.RunQuery{Tenant: "acme"})
	fmt.Println(len(runs), err)
}

// A provider's records in a table of the same database: page and checkpoint are one commit.
func ExampleNewTable() {
	ctx := context.Background()
	store, err := postgres.Open(ctx, os.Getenv("DATABASE_URL"), postgres.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	table, err := postgres.NewTable(ctx, store, "public.crm_records")
	if err != nil {
		fmt.Println(err)
		return
	}
	config := enlace.Config{Store: store, Sink: table} // and all else
	var name string
	err = store.Pool().QueryRow(ctx, `SELECT data::json ->> 'name' FROM public.crm_records WHERE tenant = 'acme' AND id = '7'`).Scan(&name)
	fmt.Println(config.Sink != nil, name, err)
}
