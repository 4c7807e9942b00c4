package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/postgres"
)

// listening starts to listen; next is the next text that was heard.
func listening(t *testing.T, s *postgres.Store) (next func() string) {
	t.Helper()
	texts, done := make(chan string), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		done <- s.Listen(ctx, func(text string) {
			select {
			case texts <- text:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Listen returned %v", err)
		}
	})
	return func() string {
		t.Helper()
		select {
		case text := <-texts:
			return text
		case err := <-done:
			t.Fatalf("Listen returned %v", err)
			return ""
		}
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	schema := server.Schema(t)
	a, b := open(t, postgres.Options{Schema: schema}), open(t, postgres.Options{Schema: schema})
	other := open(t, postgres.Options{})
	next := listening(t, b)
	if text := next(); text != "" {
		t.Fatalf("first heard %q", text)
	}
	notify := func(ctx context.Context, s *postgres.Store, text string) {
		t.Helper()
		if err := s.Notify(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	notify(t.Context(), other, "of another schema")
	failed := errors.New("rolled back")
	if err := a.Transact(t.Context(), func(ctx context.Context) error {
		notify(ctx, a, "never happened")
		return failed
	}); err != failed {
		t.Fatal(err)
	}
	if err := a.Transact(t.Context(), func(ctx context.Context) error {
		notify(ctx, a, "é 'quoted'")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if text := next(); text != "é 'quoted'" {
		t.Errorf("heard %q", text)
	}
	notify(t.Context(), b, "own")
	if text := next(); text != "own" {
		t.Errorf("heard %q", text)
	}
	// A connection that breaks is made again, and it is told that something may be missed.
	if _, err := a.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE query LIKE 'LISTEN %' AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid()`, schema); err != nil {
		t.Fatal(err)
	}
	if text := next(); text != "" {
		t.Errorf("heard %q after the connection broke", text)
	}
	notify(t.Context(), a, "again")
	if text := next(); text != "again" {
		t.Errorf("heard %q", text)
	}
}

func TestPollOnly(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Options{PollOnly: true})
	if err := s.Listen(t.Context(), func(string) {}); !errors.Is(err, enlace.ErrUnsupported) {
		t.Error(err)
	}
	if err := s.Notify(t.Context(), "others may listen"); err != nil {
		t.Error(err)
	}
}

// What one process does, watchers of another hear.
func TestProcessesHearOneAnother(t *testing.T) {
	t.Parallel()
	schema := server.Schema(t)
	secret, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(secret)
	if err != nil {
		t.Fatal(err)
	}
	process := func() *enlace.Service {
		s, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(fake.New(fake.Options{}).Adapter()), Keys: keys,
			Store: open(t, postgres.Options{Schema: schema}), HealthInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two := process(), process()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	heard := make(chan enlace.Observation, 1000)
	defer two.Watch(func(_ context.Context, o enlace.Observation) {
		switch o.(type) {
		case enlace.Signal, enlace.SignalsMissed:
			heard <- o
		}
	})()
	for _, s := range []*enlace.Service{one, two} {
		running.Go(func() { _ = s.Run(ctx) })
	}
	if first := <-heard; first != (enlace.SignalsMissed{}) { // it listens from now on
		t.Fatalf("first heard %+v", first)
	}
	// Before it has looked once, a process does not know that it has anybody to tell.
	for told := false; !told; {
		in, err := one.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: fake.Name})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case o := <-heard:
			signal, ok := o.(enlace.Signal)
			told = ok && signal.Ref.Tenant == in.Tenant
		case <-time.After(100 * time.Millisecond):
		}
	}
}
