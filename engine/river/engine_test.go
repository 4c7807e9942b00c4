package river_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/engine/river"
	"github.com/enlace-go/enlace/store/postgres"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

func wait[T any](t *testing.T, what string, from <-chan T) (value T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case value = <-from:
	case <-timer.C:
		t.Fatalf("%s did not happen", what)
	}
	return value
}

func TestOptionsAreChecked(t *testing.T) {
	store, _ := open(t)
	for name, o := range map[string]river.Options{
		"public schema": {Schema: "public"}, "no name": {Schema: "two words"}, "long name": {Schema: strings.Repeat("s", 41)},
		"short rescue": {RescueAfter: time.Second}, "negative": {KeepDone: -1},
	} {
		if _, err := river.New(t.Context(), store, o); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	store, o := open(t)
	var starting sync.WaitGroup
	for range 3 {
		starting.Go(func() {
			if _, err := river.New(t.Context(), store, o); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
}

// TestUnknownKindWaits has a node that does not know a kind leave its jobs to those that do.
func TestUnknownKindWaits(t *testing.T) {
	store, o := open(t)
	done := make(chan string, 10)
	work := func(_ context.Context, job enlace.Job) error {
		done <- job.Kind
		return nil
	}
	old, fresh := newEngine(t, store, o), newEngine(t, store, o)
	if err := fresh.Register(enlace.JobKind{Name: "known", Work: work}, enlace.JobKind{Name: "fresh", Workers: 1, Work: work}); err != nil {
		t.Fatal(err)
	}
	start(t, old, enlace.JobKind{Name: "known", Workers: 1, Work: work})
	if err := fresh.Enqueue(t.Context(), enlace.Job{Kind: "fresh", Key: "a"}, enlace.Job{Kind: "known", Key: "b"}); err != nil {
		t.Fatal(err)
	}
	if kind := wait(t, "the known job", done); kind != "known" {
		t.Fatalf("the old node did %q", kind)
	}
	var state string
	var attempts int
	query := `SELECT state, attempt FROM ` + pgx.Identifier{o.Schema, "river_job"}.Sanitize() + ` WHERE kind = 'fresh'`
	if err := store.Pool().QueryRow(t.Context(), query).Scan(&state, &attempts); err != nil || state != "available" || attempts != 0 {
		t.Fatalf("the unknown job is %s after %d attempts, %v; it should wait", state, attempts, err)
	}
	if err := fresh.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fresh.Stop(context.Background()) })
	if kind := wait(t, "the new job", done); kind != "fresh" {
		t.Fatalf("the new node did %q", kind)
	}
}

// TestDeadlockFree has many transactions enqueue many equal jobs in different orders, while
// workers take them and put them off: few jobs, for which transactions share locks, and more.
func TestDeadlockFree(t *testing.T) {
	for _, keys := range []int{20, 40} {
		t.Run(strconv.Itoa(keys), func(t *testing.T) { deadlockFree(t, keys) })
	}
}

func deadlockFree(t *testing.T, keys int) {
	store, o := open(t)
	e := newEngine(t, store, o)
	start(t, e, enlace.JobKind{Name: "work", Workers: 4, Work: func(_ context.Context, job enlace.Job) error {
		if strings.HasSuffix(job.Key, "3") {
			return enlace.RunAgain(time.Millisecond)
		}
		return nil
	}})
	var writing sync.WaitGroup
	for w := range 4 {
		writing.Go(func() {
			for i := range 30 {
				var jobs []enlace.Job
				for k := range keys {
					key := (k*(2*w+1) + i) % keys
					jobs = append(jobs, enlace.Job{Kind: "work", Key: strconv.Itoa(key)})
				}
				if err := e.Enqueue(t.Context(), jobs...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
}

// TestJobsOfAnotherProcess has jobs cut off by Stop, and done by another engine.
func TestJobsOfAnotherProcess(t *testing.T) {
	store, o := open(t)
	first, second := newEngine(t, store, o), newEngine(t, store, o)
	begun, done := make(chan string, 10), make(chan string, 10)
	start(t, first, enlace.JobKind{Name: "work", Workers: 3, Work: func(ctx context.Context, job enlace.Job) error {
		begun <- job.Key
		<-ctx.Done()
		return ctx.Err()
	}})
	if err := first.Enqueue(t.Context(), enlace.Job{Kind: "work", Key: "a"}, enlace.Job{Kind: "work", Key: "b"}, enlace.Job{Kind: "work", Key: "c"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wait(t, "the first try", begun)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Stop(ended); !errors.Is(err, enlace.ErrCanceled) {
		t.Fatalf("Stop: %v", err)
	}
	start(t, second, enlace.JobKind{Name: "work", Workers: 3, Work: func(_ context.Context, job enlace.Job) error {
		done <- job.Key
		return nil
	}})
	left := map[string]bool{"a": true, "b": true, "c": true}
	for len(left) > 0 {
		delete(left, wait(t, "the second try", done))
	}
}

const (
	childVariable = "ENLACE_TEST_RIVER_CHILD" // the DSN, and the schemas of the store and the engine
	killedJobs    = 20
)

// child is a process that begins jobs and ends none.
func child() error {
	parts := strings.Split(os.Getenv(childVariable), "\n")
	ctx := context.Background()
	store, err := postgres.Open(ctx, parts[0], postgres.Options{Schema: parts[1]})
	if err != nil {
		return err
	}
	e, err := river.New(ctx, store, river.Options{Schema: parts[2], RescueAfter: 2 * time.Second})
	if err != nil {
		return err
	}
	err = e.Register(enlace.JobKind{Name: "work", Workers: killedJobs, Work: func(_ context.Context, job enlace.Job) error {
		fmt.Println("begun", job.Key)
		select {}
	}})
	if err != nil {
		return err
	}
	if err := e.Start(ctx); err != nil {
		return err
	}
	for i := range killedJobs {
		if err := e.Enqueue(ctx, enlace.Job{Kind: "work", Key: strconv.Itoa(i)}); err != nil {
			return err
		}
	}
	select {}
}

// TestKilledProcess kills a process that leads River and has begun jobs: another one does all
// of them. What takes River's leader and its rescue a minute is brought forward in the tables.
func TestKilledProcess(t *testing.T) {
	store, o := open(t)
	o.RescueAfter = 2 * time.Second
	survivor := newEngine(t, store, o)
	done := make(chan string, 100)
	err := survivor.Register(enlace.JobKind{Name: "work", Workers: killedJobs, Work: func(_ context.Context, job enlace.Job) error {
		done <- job.Key
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{server.DSN(t), server.Schema(t), o.Schema}, "\n"))
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	begun := 0
	for lines := bufio.NewScanner(output); begun < killedJobs && lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "begun ") {
			t.Fatal(lines.Text())
		}
		begun++
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	if begun != killedJobs {
		t.Fatalf("%d jobs were begun", begun)
	}
	schema := pgx.Identifier{o.Schema}.Sanitize()
	for _, statement := range []string{
		`UPDATE ` + schema + `.river_leader SET expires_at = elected_at + interval '1 microsecond'`,
		`UPDATE ` + schema + `.river_job SET attempted_at = attempted_at - interval '1 minute' WHERE state = 'running'`,
	} {
		if _, err := store.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := survivor.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = survivor.Stop(context.Background()) })
	left := map[string]bool{}
	for i := range killedJobs {
		left[strconv.Itoa(i)] = true
	}
	for len(left) > 0 {
		delete(left, wait(t, "the rescue", done))
	}
}
