package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/sqlite"
)

// receive is the host application: it takes webhooks and counts events in its own table.
func receive(ctx context.Context, dir string) error {
	store, service, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer store.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = service.Run(ctx) }() // works on what was received, until the process ends

	mux := http.NewServeMux()
	mux.Handle("POST /integrations/{id}/webhook", service.WebhookHandler())
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

// open makes the service over the database and the key in dir.
func open(ctx context.Context, dir string) (*sqlite.Store, *enlace.Service, error) {
	key, err := enlace.KeyFromFile(filepath.Join(dir, "key"))
	if err != nil {
		return nil, nil, err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.Open(ctx, filepath.Join(dir, "host.db"), sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	service, err := enlace.New(enlace.Config{
		Registry: enlace.NewRegistry(fake.Adapter{}), Store: store, Keys: keys,
		Webhooks: enlace.WebhookConfig{
			PerSecond:  -1,          // this provider is in a hurry
			Lease:      time.Second, // so that a killed process is replaced soon
			Processors: []enlace.Processor{{Types: []string{"contact.*"}, HandleTx: count(store)}},
		},
	})
	return store, service, err
}

// count writes down an event in the transaction that marks its delivery done.
func count(store *sqlite.Store) enlace.EventHandler {
	return func(ctx context.Context, e enlace.ReceivedEvent) error {
		tx, ok := store.Tx(ctx)
		if !ok {
			return errors.New("not in a transaction of this store")
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO seen (event, times) VALUES (?, 1) ON CONFLICT (event) DO UPDATE SET times = times + 1`, e.Event.ID)
		return err
	}
}

// prepare makes the key, the host's table and the integration.
func prepare(ctx context.Context, dir string) (enlace.Ref, enlace.Secret, error) {
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(enlace.GenerateKey().Reveal()), 0o600); err != nil {
		return enlace.Ref{}, enlace.Secret{}, err
	}
	store, service, err := open(ctx, dir)
	if err != nil {
		return enlace.Ref{}, enlace.Secret{}, err
	}
	defer store.Close()
	if _, err := store.DB().ExecContext(ctx, `CREATE TABLE seen (event TEXT PRIMARY KEY, times INTEGER NOT NULL)`); err != nil {
		return enlace.Ref{}, enlace.Secret{}, err
	}
	provider := fake.New(fake.Options{})
	credential := provider.APIKey()
	credential.WebhookSecrets = []enlace.Secret{provider.WebhookSecret()}
	integration, err := service.Create(ctx, enlace.NewIntegration{Provider: fake.Name, Credential: &credential})
	return integration.Ref, provider.WebhookSecret(), err
}
