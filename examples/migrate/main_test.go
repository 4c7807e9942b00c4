package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/postgres/postgrestest"
	"github.com/enlace-go/enlace/store/sqlite"
)

var server postgrestest.Server

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// A host that has synchronised over SQLite goes on over PostgreSQL: by the same key, from
// the same checkpoint, with its table.
func TestMigrate(t *testing.T) {
	ctx, provider := t.Context(), fake.New(fake.Options{})
	provider.Seed("contacts", 250)
	keys := newKeys(t)
	path, schema := filepath.Join(t.TempDir(), "host.db"), server.Schema(t)

	old, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	table, err := sqlite.NewTable(ctx, old, schema)
	if err != nil {
		t.Fatal(err)
	}
	service := newService(t, provider, old, keys, table)
	integration, err := service.Create(ctx, enlace.NewIntegration{Tenant: "acme", Provider: fake.Name, Credential: new(provider.OAuth2())})
	if err != nil {
		t.Fatal(err)
	}
	sync(ctx, t, service, integration.Ref, 250)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}

	var out bytes.Buffer
	if err := migrate(ctx, &out, path, server.DSN(t), schema, []string{schema}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "250 rows of records") || !strings.Contains(text, "250 rows of your table") {
		t.Error(text)
	}

	store, err := postgres.Open(ctx, server.DSN(t), postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = store.Pool().Exec(context.Background(), `DROP TABLE `+schema)
		_ = store.Close()
	})
	moved, err := postgres.NewTable(ctx, store, schema)
	if err != nil {
		t.Fatal(err)
	}
	service = newService(t, provider, store, keys, moved)
	provider.ExpireTokens() // so that the refresh token in the copy is spent
	provider.Put("contacts", "7", map[string]string{"name": "Ana"})
	sync(ctx, t, service, integration.Ref, 1)
	var rows, digest int
	var data json.RawMessage
	err = store.Pool().QueryRow(ctx, `SELECT count(*), count(hash), max(data) FILTER (WHERE id = '7') FROM `+schema).Scan(&rows, &digest, &data)
	if err != nil || rows != 250 || digest != 250 || !strings.Contains(string(data), "Ana") {
		t.Errorf("%d rows, %d digests, %s, %v", rows, digest, data, err)
	}
	if err := migrate(ctx, &out, path, server.DSN(t), schema, nil); err == nil {
		t.Error("it was done once more into tables that are in use")
	}
}

func newKeys(t *testing.T) enlace.KeySource {
	t.Helper()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newService(t *testing.T, p *fake.Provider, store enlace.Store, keys enlace.KeySource, sink enlace.Sink) *enlace.Service {
	t.Helper()
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(p.Adapter()), Transport: p, Store: store, Keys: keys, Sink: sink,
		OAuth: map[string]enlace.OAuthApp{fake.Name: p.OAuthApp()}})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// sync expects so many records to be new or changed.
func sync(ctx context.Context, t *testing.T, service *enlace.Service, ref enlace.Ref, changed int) {
	t.Helper()
	result, err := service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"contacts"}})
	r := result.Entities["contacts"]
	if err != nil || r.Created+r.Updated != changed {
		t.Fatal(fmt.Sprintf("%+v", r), err)
	}
}
