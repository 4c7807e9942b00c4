package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/postgres"
	"github.com/enlace-go/enlace/store/sqlite"
)

// joinedTable is a Table of the store that a deadly one stands before.
type joinedTable struct{ enlace.TxSink }

// Joins implements enlace.TxSink.
func (joinedTable) Joins(enlace.Store) bool { return true }

// sweepRun pulls notes, whose deletions only a sweep finds, into a table of the store's
// database; the process dies at step at, 0 is never.
func sweepRun(ctx context.Context, e environment, at int64) (enlace.EntityResult, error) {
	key, err := enlace.ParseKey(enlace.NewSecret(e.Key))
	if err != nil {
		return enlace.EntityResult{}, err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return enlace.EntityResult{}, err
	}
	var table enlace.TxSink
	switch store := e.store.(type) {
	case *sqlite.Store:
		table, err = sqlite.NewTable(ctx, store, "notes")
	case *postgres.Store:
		table, err = postgres.NewTable(ctx, store, e.Address[1]+".notes")
	}
	if err != nil {
		return enlace.EntityResult{}, err
	}
	d := &deadly{Store: e.store, base: http.DefaultTransport, at: at}
	s, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(fake.Adapter{}), Store: d, Credentials: e.store, Keys: keys, Transport: d})
	if err != nil {
		return enlace.EntityResult{}, err
	}
	result, err := s.Sync(ctx, e.Ref, enlace.SyncOptions{Entities: []string{"notes"}, Sink: joinedTable{table},
		Deletions: enlace.DeletionLimit{Count: 1000}})
	return result.Entities["notes"], err
}

// sweepChild pulls and dies at step e.Number.
func sweepChild(ctx context.Context, e environment) error {
	result, err := sweepRun(ctx, e, int64(e.Number))
	if err != nil {
		return err
	}
	return report(result.Deleted)
}

// The process is killed between each pair of steps of a pull that ends in a sweep, inside
// of the sweep too: no record is deleted that is there, none is left that has gone, and no
// decision is asked for.
func TestKillInsideASweep(t *testing.T) {
	eachStore(t, func(t *testing.T, e environment) {
		provider := fake.New(fake.Options{PageSize: 60})
		server := httptest.NewServer(provider)
		t.Cleanup(server.Close)
		if err := e.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.store.Close() })
		cred := provider.APIKey()
		service, err := pushService(environment{Key: e.Key, Mode: "keys", store: e.store}, 0)
		if err != nil {
			t.Fatal(err)
		}
		in, err := service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Settings: map[string]string{"apiUrl": server.URL + "/v1/"}, Credential: &cred})
		if err != nil {
			t.Fatal(err)
		}
		e.Ref = in.Ref
		put := func(n int) { provider.Put("notes", fmt.Sprintf("n%05d", n), map[string]any{"text": fmt.Sprint(n)}) }
		const there = 130
		for n := range there {
			put(n)
		}
		if _, err := sweepRun(t.Context(), e, 0); err != nil {
			t.Fatal(err)
		}
		kills, inside := 0, 0
		for e.Number = 1; ; e.Number++ {
			for n := range 120 { // more than one page of the sweep goes, and as many come
				provider.Delete("notes", fmt.Sprintf("n%05d", (e.Number-1)*120+n))
				put((e.Number-1)*120 + there + n)
			}
			before := sweptNotes(t, e)
			c := e.start(t, "sweeper")
			_, err := c.out.ReadBytes('\n')
			_ = c.cmd.Wait()
			if after := sweptNotes(t, e); err != nil && len(after.gone) > len(before.gone) {
				inside++
			} else if err == nil {
				checkSwept(t, provider, e)
				break // it came to its end
			}
			kills++
			freeLeases(t, e)
			result, err := sweepRun(t.Context(), e, 0)
			if err != nil || result.Missing > 0 {
				t.Fatalf("after the kill at step %d: %+v, %v", e.Number, result, err)
			}
			checkSwept(t, provider, e)
			if t.Failed() {
				return
			}
		}
		if kills < 20 || inside < 2 {
			t.Errorf("%d kills, %d of them inside of a sweep", kills, inside)
		}
		t.Logf("%d kills, %d of them inside of a sweep", kills, inside)
	})
}

// swept are the ids of the table's rows.
type swept struct{ present, gone map[string]bool }

func sweptNotes(t *testing.T, e environment) swept {
	t.Helper()
	r := rows{e}
	table := "notes"
	if e.Store == "postgres" {
		table = e.Address[1] + ".notes"
	}
	db := r.db()
	defer func() { _ = r.close(db) }()
	found, err := db.QueryContext(t.Context(), `SELECT id, deleted FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	s := swept{map[string]bool{}, map[string]bool{}}
	for found.Next() {
		var id string
		var deleted bool
		if err := found.Scan(&id, &deleted); err != nil {
			t.Fatal(err)
		}
		if deleted {
			s.gone[id] = true
		} else {
			s.present[id] = true
		}
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

func checkSwept(t *testing.T, provider *fake.Provider, e environment) {
	t.Helper()
	table, remote := sweptNotes(t, e), provider.Records("notes")
	for _, r := range remote {
		if !table.present[r.ID] {
			t.Errorf("step %d: %s is at the provider and not in the table (deleted: %v)", e.Number, r.ID, table.gone[r.ID])
		}
	}
	if len(table.present) != len(remote) {
		t.Errorf("step %d: %d rows, %d records", e.Number, len(table.present), len(remote))
	}
}
