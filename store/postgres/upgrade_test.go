package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/postgres"
)

// nextRelease are the migrations of a later release, by the rules for them: they only
// add, and each changes one table. One adds a column to every table that there is.
func nextRelease(t *testing.T, s *postgres.Store) map[string]string {
	t.Helper()
	rows, err := s.Pool().Query(t.Context(), `SELECT tablename::text FROM pg_tables WHERE schemaname = $1 AND tablename <> $2 ORDER BY 1`, s.Schema(), postgres.VersionTable)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	migrations := map[string]string{}
	add := func(statement string) {
		number := 90_001 + len(migrations)
		migrations[fmt.Sprintf("%05d_next.sql", number)] = "-- +goose Up\nLOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;\n" + statement + ";\n"
	}
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		add(`ALTER TABLE enlace.` + table + ` ADD COLUMN next_release text NOT NULL DEFAULT 'new'`)
	}
	if rows.Err() != nil || len(migrations) < 20 {
		t.Fatal(len(migrations), rows.Err())
	}
	add(`CREATE INDEX deliveries_next ON enlace.deliveries (received_at)`)
	add(`CREATE TABLE enlace.next_things (id text PRIMARY KEY)`)
	return migrations
}

// node is a process of a host, as far as it matters here: a service over a pool of its own,
// its background work, and its callers.
type node struct {
	t        *testing.T
	store    *postgres.Store
	service  *enlace.Service
	provider *fake.Provider
	ref      enlace.Ref

	stopping     atomic.Bool
	stopRun      context.CancelFunc
	running      sync.WaitGroup
	callers      sync.WaitGroup
	calls        [3]atomic.Int64 // by caller, that went well
	changed      chan struct{}   // a call went well
	acknowledged atomic.Int64
}

// newNode starts a node; makeStore makes its store over a pool.
func newNode(t *testing.T, keys enlace.KeySource, makeStore func(pool *pgxpool.Pool) (*postgres.Store, error)) *node {
	t.Helper()
	n := &node{t: t, provider: fake.New(fake.Options{PageSize: 20}), changed: make(chan struct{}, 1)}
	var err error
	if n.store, err = makeStore(newPool(t, func(c *pgxpool.Config) { c.MaxConns = 8 })); err != nil {
		t.Fatal(err)
	}
	sink, err := postgres.NewTable(t.Context(), n.store, n.store.Schema()+".contacts")
	if err != nil {
		t.Fatal(err)
	}
	n.service, err = enlace.New(enlace.Config{Registry: enlace.NewRegistry(n.provider.Adapter()), Transport: n.provider, Store: n.store, Keys: keys,
		OAuth: map[string]enlace.OAuthApp{fake.Name: n.provider.OAuthApp()}, Sink: sink, HealthInterval: time.Second,
		Logger: slog.New(slog.NewTextHandler(complaints{n}, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Webhooks: enlace.WebhookConfig{Processors: []enlace.Processor{{HandleTx: func(ctx context.Context, e enlace.ReceivedEvent) error {
			tx, _ := n.store.Tx(ctx)
			_, err := tx.Exec(ctx, `INSERT INTO `+n.store.Schema()+`.effects (event) VALUES ($1)`, e.Integration.ID+e.ID)
			return err
		}}}}})
	if err != nil {
		t.Fatal(err)
	}
	in, err := n.service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: fake.Name, Credential: new(n.provider.OAuth2())})
	if err != nil {
		t.Fatal(err)
	}
	n.ref = in.Ref
	n.provider.Seed("contacts", 100)
	ctx, stop := context.WithCancel(t.Context())
	n.stopRun = stop
	n.running.Go(func() {
		if err := n.service.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for i, call := range [...]func(ctx context.Context, number int64) error{n.deliver, n.synchronise, n.rename} {
		n.callers.Go(func() { n.call(ctx, &n.calls[i], call) })
	}
	return n
}

// complaints are the warnings in a node's log.
type complaints struct{ n *node }

func (c complaints) Write(p []byte) (int, error) {
	if !c.n.stopping.Load() {
		c.n.t.Errorf("a node complains: %s", p)
	}
	return len(p), nil
}

// call goes on until an error is seen or the node stops.
func (n *node) call(ctx context.Context, done *atomic.Int64, call func(ctx context.Context, number int64) error) {
	for !n.stopping.Load() {
		if err := call(ctx, done.Load()); err != nil {
			n.t.Errorf("a caller sees an error: %v", err)
			n.stopping.Store(true)
		}
		done.Add(1)
		select {
		case n.changed <- struct{}{}:
		default:
		}
	}
}

// more waits until each caller was served so many times more.
func (n *node) more(times int64) {
	n.t.Helper()
	var until [len(n.calls)]int64
	for i := range n.calls {
		until[i] = n.calls[i].Load() + times
	}
	for i := range n.calls {
		for n.calls[i].Load() < until[i] {
			if n.stopping.Load() {
				n.t.FailNow()
			}
			<-n.changed
		}
	}
}

func (n *node) deliver(ctx context.Context, number int64) error {
	r := n.provider.Delivery("https://host.example/"+n.ref.ID+"/webhook", enlace.Event{ID: fmt.Sprint(number), Type: "contact.updated",
		Record: enlace.Record{Entity: "contacts", ID: fmt.Sprint(1 + number%100), Data: []byte(`{"name":"Ana"}`)}})
	answer := httptest.NewRecorder()
	n.service.WebhookHandler().ServeHTTP(answer, r.WithContext(ctx))
	if answer.Code != http.StatusOK {
		return fmt.Errorf("a delivery is answered with %d: %s", answer.Code, answer.Body)
	}
	n.acknowledged.Add(1)
	return nil
}

func (n *node) synchronise(ctx context.Context, number int64) error {
	if number%3 == 0 { // have the credential replaced
		n.provider.ExpireTokens()
	}
	n.provider.Put("contacts", fmt.Sprint(1+number%100), map[string]any{"name": fmt.Sprint("Ana ", number)})
	_, err := n.service.Sync(ctx, n.ref, enlace.SyncOptions{Entities: []string{"contacts"}})
	return err
}

func (n *node) rename(ctx context.Context, number int64) error {
	in, err := n.service.Get(ctx, n.ref)
	if err != nil {
		return err
	}
	in.Name = fmt.Sprint("Name ", number)
	_, err = n.service.Update(ctx, in)
	return err
}

// stop ends a node as a deployment does.
func (n *node) stop() {
	n.stopping.Store(true)
	n.callers.Wait()
	n.stopRun()
	n.running.Wait()
}

// A node of a release goes on without any error while one of the next release brings the
// tables forward, and then takes over: there are no callers that notice it.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	o := postgres.Options{Schema: server.Schema(t)}
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	setUp := open(t, o)
	if _, err := setUp.Pool().Exec(t.Context(), `CREATE TABLE `+o.Schema+`.effects (event text NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	migrations := nextRelease(t, setUp)

	old := newNode(t, keys, func(pool *pgxpool.Pool) (*postgres.Store, error) { return postgres.New(t.Context(), pool, o) })
	defer old.stop()
	old.more(5)
	next := newNode(t, keys, func(pool *pgxpool.Pool) (*postgres.Store, error) {
		return postgres.NewNext(t.Context(), pool, o, migrations)
	})
	defer next.stop()
	old.more(5) // over the tables of the next release
	next.more(5)
	old.stop()
	next.more(5)
	next.stop()

	if have, want, err := next.store.SchemaVersion(t.Context()); err != nil || have != want || have < 90_000 {
		t.Errorf("schema %d of %d, %v", have, want, err)
	}
	if _, err := postgres.New(t.Context(), setUp.Pool(), o); !errors.Is(err, postgres.ErrSchema) {
		t.Errorf("the old release begins anew over the new tables: %v", err)
	}
	var left, effects, different int64
	if err := setUp.Pool().QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE finished_at = 0) FROM `+o.Schema+`.deliveries`).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if err := setUp.Pool().QueryRow(t.Context(), `SELECT count(*), count(DISTINCT event) FROM `+o.Schema+`.effects`).Scan(&effects, &different); err != nil {
		t.Fatal(err)
	}
	if acknowledged := old.acknowledged.Load() + next.acknowledged.Load(); effects+left != acknowledged || effects != different {
		t.Errorf("%d deliveries acknowledged, %d effects of %d events, %d left to do", acknowledged, effects, different, left)
	}
}

// A table that somebody reads for a long time, such as a backup, cannot be changed
// meanwhile; but those who want it are not held up for as long.
func TestMigrationGivesWay(t *testing.T) {
	t.Parallel()
	o := postgres.Options{Schema: server.Schema(t)}
	s := open(t, o)
	backup, err := s.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Exec(t.Context(), `LOCK TABLE `+o.Schema+`.runs IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	migrated := make(chan error, 1)
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 2 })
	go func() {
		_, err := postgres.NewNext(t.Context(), pool, o, map[string]string{"90001_next.sql": `-- +goose Up
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;
ALTER TABLE enlace.runs ADD COLUMN next_release text NOT NULL DEFAULT 'new';`})
		migrated <- err
	}()
	// The migration waits for the backup now, and everybody else behind it.
	for waiting := false; !waiting; {
		err := s.Pool().QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname = 'runs' AND NOT l.granted)`, o.Schema).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SaveRun(t.Context(), enlace.Run{ID: "r", Ref: ref}); err != nil { // would never end
		t.Error(err)
	}
	select {
	case err := <-migrated:
		t.Errorf("the migration has ended while the table was in use: %v", err)
	default:
	}
	if err := backup.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Error(err)
	}
}
