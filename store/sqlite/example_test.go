package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/enlace-go/enlace"
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
