package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/sqlite"
)

// deadly kills this process at its nth step. The steps are both ends of each
// transaction of the store and of each request to the provider.
type deadly struct {
	enlace.Store
	base http.RoundTripper
	at   int64
	step atomic.Int64
}

func (d *deadly) next() {
	if d.step.Add(1) == d.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal arrives
	}
}

// Transact implements enlace.Transactor.
func (d *deadly) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	d.next()
	err := d.Store.Transact(ctx, func(ctx context.Context) error {
		err := fn(ctx)
		d.next() // everything is written and nothing is committed
		return err
	})
	d.next()
	return err
}

// RoundTrip implements http.RoundTripper.
func (d *deadly) RoundTrip(r *http.Request) (*http.Response, error) {
	d.next()
	answer, err := d.base.RoundTrip(r)
	d.next() // the provider has answered and nobody here knows
	return answer, err
}

// rows is a host's table of contacts in the store's own database.
type rows struct{ environment }

const createRows = `CREATE TABLE {contacts} (id TEXT PRIMARY KEY, data TEXT NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
	changed INTEGER NOT NULL DEFAULT 1, remote TEXT NOT NULL DEFAULT '')`

// spell writes a statement as the store's database wants it.
func (r rows) spell(statement string) string {
	if r.Store == "sqlite" {
		return strings.NewReplacer("{contacts}", "contacts", "{leases}", "enlace_leases").Replace(statement)
	}
	statement = strings.NewReplacer("{contacts}", r.Address[1]+".contacts", "{leases}", r.Address[1]+".leases").Replace(statement)
	for n := 1; strings.Contains(statement, "?"); n++ {
		statement = strings.Replace(statement, "?", "$"+strconv.Itoa(n), 1)
	}
	return statement
}

// db is the store's own database.
func (r rows) db() *sql.DB {
	if store, ok := r.store.(*sqlite.Store); ok {
		return store.DB()
	}
	return stdlib.OpenDBFromPool(r.store.(*postgres.Store).Pool())
}

// exec runs a statement in the transaction of ctx, if it carries one.
func (r rows) exec(ctx context.Context, statement string, args ...any) error {
	switch store := r.store.(type) {
	case *sqlite.Store:
		if tx, ok := store.Tx(ctx); ok {
			_, err := tx.ExecContext(ctx, r.spell(statement), args...)
			return err
		}
	case *postgres.Store:
		if tx, ok := store.Tx(ctx); ok {
			_, err := tx.Exec(ctx, r.spell(statement), args...)
			return err
		}
	}
	db := r.db()
	_, err := db.ExecContext(ctx, r.spell(statement), args...)
	return errors.Join(err, r.close(db))
}

// close gives back what db has made; the store's own stays open.
func (r rows) close(db *sql.DB) error {
	if r.Store == "sqlite" {
		return nil
	}
	return db.Close()
}

// contact is a row of the table.
type contact struct {
	id, data         string
	deleted, changed bool
}

func (r rows) list(ctx context.Context, where string, args ...any) (all []contact, err error) {
	db := r.db()
	defer func() { err = errors.Join(err, r.close(db)) }()
	found, err := db.QueryContext(ctx, r.spell(`SELECT id, data, deleted, changed FROM {contacts} `+where), args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var c contact
		if err := found.Scan(&c.id, &c.data, &c.deleted, &c.changed); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, found.Err()
}

// Changes implements enlace.Source.
func (r rows) Changes(ctx context.Context, q enlace.ChangeQuery) ([]enlace.Change, string, error) {
	found, err := r.list(ctx, `WHERE changed = 1 AND id > ? ORDER BY id LIMIT ?`, q.After, q.Limit)
	if err != nil {
		return nil, "", err
	}
	var changes []enlace.Change
	for _, row := range found {
		c := enlace.Change{ID: row.id, Deleted: row.deleted}
		if !c.Deleted {
			c.Data = json.RawMessage(row.data)
		}
		changes = append(changes, c)
	}
	if len(changes) < q.Limit {
		return changes, "", nil
	}
	return changes, changes[len(changes)-1].ID, nil
}

// Joins implements enlace.TxSource.
func (rows) Joins(enlace.Store) bool { return true }

// Accepted implements enlace.Source, in the transaction in which enlace remembers
// the same.
func (r rows) Accepted(ctx context.Context, a enlace.AcceptedChanges) error {
	for _, c := range a.Changes {
		if err := r.exec(ctx, `UPDATE {contacts} SET changed = 0, remote = ? WHERE id = ?`, c.RemoteID, c.Change.ID); err != nil {
			return err
		}
	}
	return nil
}

// finding is the adapter of a provider without idempotency keys that can be
// searched by a field of the host's.
type finding struct{ fake.Unkeyed }

// Find implements enlace.Finder.
func (finding) Find(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (string, error) {
	var want struct{ Name string }
	data, err := json.Marshal(m.Data)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(data, &want); err != nil {
		return "", err
	}
	for cursor := ""; ; {
		var list struct {
			Items []struct{ ID, Name string }
			Next  string
			Done  bool
		}
		query := map[string][]string{}
		if cursor != "" {
			query["cursor"] = []string{cursor}
		}
		if err := c.Do(ctx, enlace.Call{Path: m.Entity, Query: query, Op: "find"}, &list); err != nil {
			return "", err
		}
		for _, item := range list.Items {
			if item.Name == want.Name && item.ID != "" {
				return item.ID, nil
			}
		}
		if cursor = list.Next; list.Done {
			return "", nil
		}
	}
}

// pushAdapters are the ways to find out what became of a create.
var pushAdapters = map[string]enlace.IntegrationAdapter{"keys": fake.Adapter{}, "finder": finding{}, "nothing": fake.Unkeyed{}}

// pushService is a service whose process dies at step at; 0 is never.
func pushService(e environment, at int64) (*enlace.Service, error) {
	key, err := enlace.ParseKey(enlace.NewSecret(e.Key))
	if err != nil {
		return nil, err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return nil, err
	}
	d := &deadly{Store: e.store, base: http.DefaultTransport, at: at}
	return enlace.New(enlace.Config{Registry: enlace.NewRegistry(pushAdapters[e.Mode]), Store: d, Credentials: e.store, Keys: keys, Transport: d})
}

// pushChild pushes the table and dies at step e.Number.
func pushChild(ctx context.Context, e environment) error {
	s, err := pushService(e, int64(e.Number))
	if err != nil {
		return err
	}
	result, err := s.Sync(ctx, e.Ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: rows{e}})
	if err != nil {
		return err
	}
	return report(result.Entities["contacts"].Push)
}

// The process is killed between each pair of steps of a push: nothing is created
// twice, nothing is missed, and where nobody can tell what happened, that is said.
func TestKillBetweenEachPairOfSteps(t *testing.T) {
	for mode := range pushAdapters {
		t.Run(mode, func(t *testing.T) {
			eachStore(t, func(t *testing.T, e environment) {
				e.Mode = mode
				killPushEverywhere(t, e)
			})
		})
	}
}

func killPushEverywhere(t *testing.T, e environment) {
	provider := fake.New(fake.Options{IgnoreKeys: e.Mode != "keys", PageSize: 5000})
	server := httptest.NewServer(provider)
	t.Cleanup(server.Close)
	if err := e.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.store.Close() })
	if err := (rows{e}).exec(t.Context(), createRows); err != nil {
		t.Fatal(err)
	}
	service, err := pushService(e, 0)
	if err != nil {
		t.Fatal(err)
	}
	cred := provider.APIKey()
	in, err := service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Settings: map[string]string{"apiUrl": server.URL + "/v1/"}, Credential: &cred})
	if err != nil {
		t.Fatal(err)
	}
	e.Ref = in.Ref
	kills := 0
	for e.Number = 1; ; e.Number++ {
		changeRows(t, e)
		c := e.start(t, "pusher")
		_, err := c.out.ReadBytes('\n')
		_ = c.cmd.Wait()
		// The dead process held the lease; who comes after it waits for its end, or, as
		// here, a person has looked and freed it.
		freeLeases(t, e)
		if _, err := service.Sync(t.Context(), e.Ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: rows{e}}); err != nil {
			t.Fatalf("after the kill at step %d: %v", e.Number, err)
		}
		checkPushed(t, service, provider, e)
		if t.Failed() {
			return
		}
		if err == nil {
			break // it came to its end
		}
		kills++
	}
	if kills < 15 {
		t.Errorf("only %d kills", kills)
	}
	t.Logf("%d kills, %d contacts, %d creates", kills, len(provider.Records("contacts")), provider.Effects(fake.OpCreate))
}

// changeRows makes two batches: some rows new, some changed, some deleted.
func changeRows(t *testing.T, e environment) {
	t.Helper()
	round, r := e.Number, rows{e}
	err := e.store.Transact(t.Context(), func(ctx context.Context) error {
		for i := range 60 {
			if err := r.exec(ctx, `INSERT INTO {contacts} (id, data) VALUES (?, ?)`, fmt.Sprintf("%03d-%03d", round, i),
				fmt.Sprintf(`{"name":"%03d-%03d","email":"0"}`, round, i)); err != nil {
				return err
			}
		}
		for _, statement := range []string{
			`UPDATE {contacts} SET data = replace(data, '"0"', '"1"'), changed = 1 WHERE id LIKE ? AND substr(id, 5, 3) < '015'`,
			`UPDATE {contacts} SET deleted = 1, changed = 1 WHERE id LIKE ? AND substr(id, 5, 3) >= '055'`,
		} {
			if err := r.exec(ctx, statement, fmt.Sprintf("%03d-%%", round-1)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func freeLeases(t *testing.T, e environment) {
	t.Helper()
	if err := (rows{e}).exec(t.Context(), `UPDATE {leases} SET owner = '', until_at = 0`); err != nil {
		t.Fatal(err)
	}
}

// checkPushed compares the provider with the table.
func checkPushed(t *testing.T, s *enlace.Service, provider *fake.Provider, e environment) {
	t.Helper()
	mode, step := e.Mode, e.Number
	type remote struct{ Name, Email string }
	there := map[string]remote{}
	for _, r := range provider.Records("contacts") {
		c, err := enlace.DecodeRecord[remote](r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := there[c.Name]; twice {
			t.Errorf("step %d: %s was created twice", step, c.Name)
		}
		there[c.Name] = c
	}
	doubt := map[string]bool{}
	for cursor := ""; ; {
		letters, next, err := s.DeadLetters(t.Context(), enlace.OutgoingQuery{Cursor: cursor, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			if doubt[l.LocalID] = true; mode != "nothing" || l.State != enlace.OutgoingInDoubt {
				t.Errorf("step %d: %s is %s: %s", step, l.LocalID, l.State, l.Error)
			}
		}
		if cursor = next; next == "" {
			break
		}
	}
	table, err := rows{e}.list(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table {
		var want remote
		_ = json.Unmarshal([]byte(row.data), &want)
		got, exists := there[row.id]
		switch {
		case row.changed:
			t.Errorf("step %d: %s was not accepted", step, row.id)
		case doubt[row.id]:
		case exists == row.deleted || (exists && got != want):
			t.Errorf("step %d: %s is %+v (there: %v) at the provider, want %+v (deleted: %v)", step, row.id, got, exists, want, row.deleted)
		}
	}
}
