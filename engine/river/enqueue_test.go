package river_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/engine/river"
	"github.com/enlace-go/enlace/store/postgres"
)

var waitingJob = enlace.Job{Kind: "work", Key: "a"}

// looker is an engine over a store with a job that waits, and whose work tells how many
// integrations it sees.
func looker(t *testing.T) (*postgres.Store, river.Options, *river.Engine, <-chan int) {
	t.Helper()
	store, o := open(t)
	e, seen := newEngine(t, store, o), make(chan int, 1000)
	err := e.Register(enlace.JobKind{Name: "work", Workers: 1, Work: func(ctx context.Context, _ enlace.Job) error {
		list, _, err := store.Integrations(ctx, enlace.IntegrationQuery{Tenant: "acme", Limit: 1000})
		seen <- len(list)
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Enqueue(t.Context(), waitingJob); err != nil {
		t.Fatal(err)
	}
	return store, o, e, seen
}

func startEngine(t *testing.T, e *river.Engine) {
	t.Helper()
	if err := e.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
}

func addIntegration(ctx context.Context, store enlace.Store, id string) error {
	return store.CreateIntegration(ctx, enlace.Integration{Ref: enlace.Ref{Tenant: "acme", ID: id}, Provider: "fake", Name: id, Version: 1})
}

// A job that waits is not written to by those who enqueue it again, and they do not wait for one another.
func TestWaitingJobIsLeftAlone(t *testing.T) {
	store, o, e, _ := looker(t)
	row := func() (id int64, version string) {
		t.Helper()
		err := store.Pool().QueryRow(t.Context(), `SELECT id, ctid::text || xmin::text || xmax::text FROM `+pgx.Identifier{o.Schema, "river_job"}.Sanitize()).Scan(&id, &version)
		if err != nil {
			t.Fatal(err)
		}
		return id, version
	}
	id, version := row()
	bounded, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := store.Transact(bounded, func(ctx context.Context) error {
		if err := e.Enqueue(ctx, waitingJob); err != nil {
			return err
		}
		return e.Enqueue(bounded, waitingJob) // in a transaction of its own, which ends before this one
	})
	if err != nil {
		t.Fatal(err)
	}
	if nowID, now := row(); nowID != id || now != version {
		t.Errorf("the row of job %d was %s, and that of job %d is %s", id, version, nowID, now)
	}
}

// A transaction that lasts and has enqueued a job does not keep it from being done, and it
// is done once more when the transaction has ended.
func TestTransactionThatLasts(t *testing.T) {
	store, _, e, seen := looker(t)
	err := store.Transact(t.Context(), func(ctx context.Context) error {
		if err := addIntegration(ctx, store, "one"); err != nil {
			return err
		}
		if err := e.Enqueue(ctx, waitingJob); err != nil {
			return err
		}
		startEngine(t, e)
		if n := wait(t, "the work beside the transaction", seen); n != 0 {
			t.Errorf("the work saw %d integrations before their commit", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for wait(t, "the work after the transaction", seen) == 0 {
	}
}

// A job is begun however many transactions enqueue it without a pause between them, and
// after the last of them once more.
func TestEnqueuedWithoutPause(t *testing.T) {
	store, _, e, seen := looker(t)
	startEngine(t, e)
	enough := make(chan struct{})
	var writing sync.WaitGroup
	total := make([]int, 4)
	for w := range total {
		writing.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				err := store.Transact(t.Context(), func(ctx context.Context) error {
					if total[w] < 10 {
						if err := addIntegration(ctx, store, strconv.Itoa(w)+"-"+strconv.Itoa(total[w])); err != nil {
							return err
						}
					}
					return e.Enqueue(ctx, waitingJob)
				})
				if err != nil {
					t.Error(err)
					return
				}
				total[w]++
			}
		})
	}
	last := 0
	for range 5 {
		last = wait(t, "the work while others enqueue it", seen)
	}
	close(enough)
	writing.Wait()
	want := 0
	for _, n := range total {
		want += min(n, 10)
	}
	for last != want {
		last = wait(t, "the work after the last of them", seen)
	}
}

// Where a transaction sees no later commits, a look for a job that waits proves nothing: it
// keeps the row from being fetched until its end.
func TestEnqueuedInStricterIsolation(t *testing.T) {
	store, o, _, _ := looker(t)
	config := store.Pool().Config()
	config.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	strict, err := postgres.New(t.Context(), pool, postgres.Options{Schema: server.Schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, strict, o)
	if err := e.Register(enlace.JobKind{Name: "work", Work: func(context.Context, enlace.Job) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	free := func() (rows int64) {
		tag, err := store.Pool().Exec(t.Context(), `SELECT id FROM `+pgx.Identifier{o.Schema, "river_job"}.Sanitize()+` FOR UPDATE SKIP LOCKED`)
		if err != nil {
			t.Fatal(err)
		}
		return tag.RowsAffected()
	}
	err = strict.Transact(t.Context(), func(ctx context.Context) error {
		if err := e.Enqueue(ctx, waitingJob); err != nil {
			return err
		}
		if n := free(); n != 0 {
			t.Errorf("%d jobs could be fetched", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := free(); n != 1 {
		t.Errorf("after the commit %d jobs could be fetched", n)
	}
}

// A job that comes again at once is not held up by an equal one that was done beside it, found its
// work taken and is put off.
func TestRunAgainBesideAnother(t *testing.T) {
	store, o := open(t)
	e, begun := newEngine(t, store, o), make(chan chan error, 10)
	start(t, e, enlace.JobKind{Name: "work", Workers: 2, Work: func(ctx context.Context, _ enlace.Job) error {
		answer := make(chan error, 1)
		begun <- answer
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	enqueue := func() chan error {
		t.Helper()
		if err := e.Enqueue(t.Context(), waitingJob); err != nil {
			t.Fatal(err)
		}
		return wait(t, "the work", begun)
	}
	first, second := enqueue(), enqueue()
	second <- enlace.RunAgain(time.Hour)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for putOff := 0; putOff == 0; {
		wait(t, "a look", look.C)
		err := store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM `+pgx.Identifier{o.Schema, "river_job"}.Sanitize()+
			` WHERE state = 'available' AND scheduled_at > now() + interval '30 minutes'`).Scan(&putOff)
		if err != nil {
			t.Fatal(err)
		}
	}
	first <- enlace.RunAgain(0)
	wait(t, "the work again", begun) <- nil
}
