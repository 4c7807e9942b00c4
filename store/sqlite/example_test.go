package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/sqlite"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "enlace")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "enlace.db"), sqlite.Options{})
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
	// Output: Sales 1 <nil>
}

// A host keeps its own tables in the same file.
func ExampleStore_DB() {
	dir, err := os.MkdirTemp("", "enlace")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "app.db"), sqlite.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	_, err = store.DB().ExecContext(ctx, `CREATE TABLE contacts (id TEXT PRIMARY KEY, name TEXT);
		INSERT INTO contacts VALUES ('7', 'Ana')`)
	if err != nil {
		fmt.Println(err)
		return
	}
	var name string
	err = store.DB().QueryRowContext(ctx, `SELECT name FROM contacts WHERE id = ?`, "7").Scan(&name)
	fmt.Println(name, err)
	// Output: Ana <nil>
}

// A provider's records in a table of the same file: page and checkpoint are one commit.
func ExampleNewTable() {
	dir, err := os.MkdirTemp("", "enlace")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "app.db"), sqlite.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	table, err := sqlite.NewTable(ctx, store, "crm_records")
	if err != nil {
		fmt.Println(err)
		return
	}

	crm := fake.New(fake.Options{}) // a provider in memory
	crm.Put("contacts", "7", map[string]any{"name": "Ana"})
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(crm.Adapter()), Transport: crm, Store: store, Keys: keys, Sink: table})
	if err != nil {
		fmt.Println(err)
		return
	}
	account := crm.APIKey()
	in, err := service.Create(ctx, enlace.NewIntegration{Tenant: "acme", Provider: fake.Name, Credential: &account})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := service.Sync(ctx, in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}}); err != nil {
		fmt.Println(err)
		return
	}
	var name string
	err = store.DB().QueryRowContext(ctx, `SELECT data ->> 'name' FROM crm_records WHERE tenant = 'acme' AND entity = 'contacts' AND id = '7'`).Scan(&name)
	fmt.Println(name, err)
	// Output: Ana <nil>
}
