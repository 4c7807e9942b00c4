// Package enginetest checks that an engine keeps the rules of [enlace.Engine]. Every
// engine in this repository passes it; one of your own should too:
//
//	func TestEngine(t *testing.T) {
//		enginetest.Test(t, func(t *testing.T) (enlace.Store, func() enlace.Engine) {
//			store := openStore(t)
//			return store, func() enlace.Engine { return newMine(t, store) }
//		})
//	}
//
// The message of a failure begins with the rule that was broken.
package enginetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// patience is how long a test waits for what must happen. It is no measure of speed.
const patience = 2 * time.Minute

// Open returns an empty store, which is closed by t.Cleanup, and a function that
// makes an engine over it. The suite stops the engines.
type Open func(t *testing.T) (store enlace.Store, engine func() enlace.Engine)

// Test runs the suite. open is called for each subtest; subtests run in parallel.
func Test(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f *fixture)
	}{
		{"Commit", commit},
		{"RollBack", rollBack},
		{"WaitingOnce", waitingOnce},
		{"AgainWhileAtWork", againWhileAtWork},
		{"NoReminderLost", noReminderLost},
		{"Error", failing},
		{"Panic", panicking},
		{"RunAgain", runAgain},
		{"At", at},
		{"StopWaits", stopWaits},
		{"StopIsBounded", stopIsBounded},
		{"StartEnds", startEnds},
		{"Kinds", kinds},
		{"TwoEngines", twoEngines},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store, engine := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			c.run(t, &fixture{t: t, ctx: ctx, store: store, open: engine})
		})
	}
}

// fixture is what a test works with.
type fixture struct {
	t     *testing.T
	ctx   context.Context
	store enlace.Store
	open  func() enlace.Engine
}

// kindName is the kind of jobs that the tests use.
const kindName = "work"

// start returns an engine that does jobs by work, one at a time.
func (f *fixture) start(work func(ctx context.Context, job enlace.Job) error) enlace.Engine {
	f.t.Helper()
	e := f.open()
	f.noError("Register", e.Register(enlace.JobKind{Name: kindName, Workers: 1, Work: work}))
	f.noError("Start", e.Start(context.WithoutCancel(f.ctx)))
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			f.t.Errorf("Stop at the end of the test: %v", err)
		}
	})
	return e
}

func (f *fixture) enqueue(e enlace.Engine, keys ...string) {
	f.t.Helper()
	f.noError("Enqueue", e.Enqueue(f.ctx, jobs(keys...)...))
}

func jobs(keys ...string) []enlace.Job {
	var jobs []enlace.Job
	for _, key := range keys {
		jobs = append(jobs, enlace.Job{Kind: kindName, Key: key})
	}
	return jobs
}

func (f *fixture) noError(rule string, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: unexpected error: %v", rule, err)
	}
}

// receive waits for a value.
func receive[T any](f *fixture, rule string, from <-chan T) (value T) {
	f.t.Helper()
	select {
	case value = <-from:
	case <-f.ctx.Done():
		f.t.Fatalf("%s: it did not happen", rule)
	}
	return value
}

// record notes the keys of jobs as they are begun, and tells of each.
type record struct {
	mu    sync.Mutex
	keys  []string
	begun chan string
}

func newRecord() *record { return &record{begun: make(chan string, 1000)} }

func (r *record) work(_ context.Context, job enlace.Job) error {
	r.note(job.Key)
	return nil
}

func (r *record) note(key string) {
	r.mu.Lock()
	r.keys = append(r.keys, key)
	r.mu.Unlock()
	r.begun <- key
}

func (r *record) count(key string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		if k == key {
			n++
		}
	}
	return n
}

// wait waits until a job of the key is begun.
func (r *record) wait(f *fixture, rule, key string) {
	f.t.Helper()
	for receive(f, rule, r.begun) != key {
	}
}

func (f *fixture) equal(rule string, got, want any) {
	f.t.Helper()
	if got != want {
		f.t.Errorf("%s: got %v, want %v", rule, got, want)
	}
}

var integration = enlace.Integration{Ref: enlace.Ref{Tenant: "acme", ID: "one"}, Provider: "fake", Name: "One", Version: 1}

func commit(t *testing.T, f *fixture) {
	const rule = "a job begins after the commit of the transaction that enqueued it"
	found := make(chan error, 10)
	e := f.start(func(ctx context.Context, _ enlace.Job) error {
		_, err := f.store.Integration(ctx, integration.Ref)
		found <- err
		return nil
	})
	f.noError(rule, f.store.Transact(f.ctx, func(ctx context.Context) error {
		if err := e.Enqueue(ctx, jobs("a")...); err != nil {
			return err
		}
		return f.store.CreateIntegration(ctx, integration)
	}))
	f.noError(rule+", and sees what else that has changed", receive(f, rule, found))
}

func rollBack(t *testing.T, f *fixture) {
	const rule = "a job whose transaction was rolled back is never done"
	r, errAbandoned := newRecord(), errors.New("abandoned")
	e := f.start(r.work)
	err := f.store.Transact(f.ctx, func(ctx context.Context) error {
		return errors.Join(e.Enqueue(ctx, jobs("lost")...), errAbandoned)
	})
	if !errors.Is(err, errAbandoned) {
		t.Fatalf("Transact: %v", err)
	}
	f.enqueue(e, "kept")
	r.wait(f, rule, "kept")
	f.enqueue(e, "last")
	r.wait(f, rule, "last")
	f.equal(rule, r.count("lost"), 0)
}

// gate does jobs; those of the key "gate" wait until they are let through.
type gate struct {
	*record
	open chan struct{}
}

func newGate() *gate { return &gate{record: newRecord(), open: make(chan struct{})} }

func (g *gate) work(ctx context.Context, job enlace.Job) error {
	g.note(job.Key)
	if job.Key == "gate" {
		select {
		case <-g.open:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func waitingOnce(t *testing.T, f *fixture) {
	const rule = "of equal jobs that wait one is done"
	g := newGate()
	e := f.start(g.work)
	f.enqueue(e, "gate")
	g.wait(f, rule, "gate")
	f.enqueue(e, "a", "b", "a")
	for range 5 {
		f.enqueue(e, "a")
	}
	f.noError(rule, f.store.Transact(f.ctx, func(ctx context.Context) error {
		return errors.Join(e.Enqueue(ctx, jobs("a", "b")...), e.Enqueue(ctx, jobs("a")...))
	}))
	close(g.open)
	g.wait(f, rule, "a")
	f.enqueue(e, "last")
	g.wait(f, rule, "last")
	f.equal(rule, g.count("a"), 1)
	f.equal("jobs of another key are others", g.count("b"), 1)
}

func againWhileAtWork(t *testing.T, f *fixture) {
	const rule = "a job that is enqueued while an equal one is at work is done once more"
	g := newGate()
	e := f.start(g.work)
	f.enqueue(e, "gate")
	g.wait(f, rule, "gate")
	for range 3 {
		f.enqueue(e, "gate")
	}
	g.open <- struct{}{}
	g.wait(f, rule, "gate")
	g.open <- struct{}{}
	f.enqueue(e, "last")
	g.wait(f, rule, "last")
	f.equal(rule, g.count("gate"), 2)
}

// noReminderLost has several writers change rows and remind of them, with a worker that
// handles what it finds: in the end everything is handled, whatever met.
func noReminderLost(t *testing.T, f *fixture) {
	const rule = "work begins after the last reminder, and sees what came with it"
	const writers, changes = 4, 25
	name := func(writer, change int) string { return strconv.Itoa(writer) + "-" + strconv.Itoa(change) }
	all := make(chan struct{}, 1000)
	e := f.start(func(ctx context.Context, _ enlace.Job) error {
		list, _, err := f.store.Integrations(ctx, enlace.IntegrationQuery{Tenant: "acme", Limit: 1000})
		if len(list) == writers*changes {
			all <- struct{}{}
		}
		return err
	})
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for c := range changes {
				err := f.store.Transact(f.ctx, func(ctx context.Context) error {
					in := integration
					in.ID = name(w, c)
					if err := f.store.CreateIntegration(ctx, in); err != nil {
						return err
					}
					return e.Enqueue(ctx, jobs("a", "b")...)
				})
				if err != nil {
					t.Errorf("%s: %v", rule, err)
					return
				}
			}
		})
	}
	writing.Wait()
	receive(f, rule, all)
}

func failing(t *testing.T, f *fixture) {
	const rule = "a job that fails is done again"
	r := newRecord()
	e := f.start(func(ctx context.Context, job enlace.Job) error {
		r.note(job.Key)
		if r.count(job.Key) == 1 {
			return errors.New("not now")
		}
		return nil
	})
	f.enqueue(e, "a")
	r.wait(f, rule, "a")
	r.wait(f, rule, "a")
}

func panicking(t *testing.T, f *fixture) {
	const rule = "a job that panics is done again, and harms no other"
	r := newRecord()
	e := f.start(func(ctx context.Context, job enlace.Job) error {
		r.note(job.Key)
		if job.Key == "a" && r.count(job.Key) == 1 {
			panic("broken")
		}
		return nil
	})
	f.enqueue(e, "a", "b")
	seen := []string{receive(f, rule, r.begun), receive(f, rule, r.begun), receive(f, rule, r.begun)}
	slices.Sort(seen)
	if !slices.Equal(seen, []string{"a", "a", "b"}) {
		t.Errorf("%s: done were %v", rule, seen)
	}
}

func runAgain(t *testing.T, f *fixture) {
	const rule = "after RunAgain a job is done when the time has passed"
	r := newRecord()
	early := make(chan struct{}, 10)
	e := f.start(func(ctx context.Context, job enlace.Job) error {
		r.note(job.Key)
		switch n := r.count(job.Key); {
		case job.Key == "soon" && n <= 2:
			return enlace.RunAgain(0)
		case job.Key == "held" && n == 1:
			<-early // what is enqueued meanwhile waits too
			return enlace.RunAgain(time.Hour)
		}
		return nil
	})
	f.enqueue(e, "soon")
	for range 3 {
		r.wait(f, rule, "soon")
	}
	f.enqueue(e, "held")
	r.wait(f, rule, "held")
	f.enqueue(e, "held")
	early <- struct{}{}
	f.enqueue(e, "between")
	r.wait(f, rule, "between")
	f.enqueue(e, "held", "last")
	r.wait(f, rule, "last")
	f.enqueue(e, "very last")
	r.wait(f, rule, "very last")
	f.equal("until then it waits, whoever enqueues it", r.count("held"), 1)
}

func at(t *testing.T, f *fixture) {
	const rule = "a job is not done before its time"
	begun := make(chan time.Time, 10)
	r := newRecord()
	e := f.start(func(ctx context.Context, job enlace.Job) error {
		if job.Key == "soon" {
			begun <- time.Now()
		}
		return r.work(ctx, job)
	})
	due := time.Now().Add(200 * time.Millisecond)
	f.noError(rule, e.Enqueue(f.ctx, enlace.Job{Kind: kindName, Key: "soon", At: due}, enlace.Job{Kind: kindName, Key: "late", At: due.Add(time.Hour)}))
	if at := receive(f, rule, begun); at.Before(due.Add(-time.Millisecond)) { // the database's clock is another one
		t.Errorf("%s: %v too early", rule, due.Sub(at))
	}
	f.enqueue(e, "last")
	r.wait(f, rule, "last")
	f.equal(rule, r.count("late"), 0)
}

func stopWaits(t *testing.T, f *fixture) {
	const rule = "Stop waits for the work under way"
	g := newGate()
	done := make(chan struct{})
	e := f.start(func(ctx context.Context, job enlace.Job) error {
		err := g.work(ctx, job)
		if job.Key == "gate" {
			close(done)
		}
		return err
	})
	f.enqueue(e, "gate")
	g.wait(f, rule, "gate")
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(f.ctx) }()
	select {
	case err := <-stopped:
		t.Fatalf("%s: it returned before, with %v", rule, err)
	case g.open <- struct{}{}:
	}
	f.noError(rule, receive(f, rule, stopped))
	select {
	case <-done:
	default:
		t.Errorf("%s: it had not ended", rule)
	}
	f.noError("an engine that has stopped can be stopped", e.Stop(f.ctx))
}

func stopIsBounded(t *testing.T, f *fixture) {
	const rule = "Stop ends with its context, and so does the work"
	begun, ended := make(chan struct{}, 10), make(chan error, 10)
	e := f.start(func(ctx context.Context, _ enlace.Job) error {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	f.enqueue(e, "a")
	receive(f, rule, begun)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if err := e.Stop(ctx); !errors.Is(err, enlace.ErrCanceled) {
		t.Errorf("%s: the error is %v", rule, err)
	}
	receive(f, rule, ended)
}

func startEnds(t *testing.T, f *fixture) {
	const rule = "when the context of Start ends, so does the work"
	begun, ended := make(chan struct{}, 10), make(chan struct{}, 10)
	e := f.open()
	f.noError("Register", e.Register(enlace.JobKind{Name: kindName, Workers: 1, Work: func(ctx context.Context, _ enlace.Job) error {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	}}))
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	f.noError("Start", e.Start(ctx))
	f.enqueue(e, "a")
	receive(f, rule, begun)
	cancel()
	receive(f, rule, ended)
	f.noError(rule, e.Stop(f.ctx))
}

func kinds(t *testing.T, f *fixture) {
	e := f.open()
	work := func(context.Context, enlace.Job) error { return nil }
	for name, kind := range map[string]enlace.JobKind{
		"a name":   {Name: "Two Words", Workers: 1, Work: work},
		"any name": {Workers: 1, Work: work},
		"work":     {Name: "idle", Workers: 1},
		"workers":  {Name: "negative", Workers: -1, Work: work},
	} {
		if err := e.Register(kind); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("a kind without %s is not registered: the error is %v", name, err)
		}
	}
	f.noError("Register", e.Register(enlace.JobKind{Name: kindName, Workers: 1, Work: work}))
	if err := e.Register(enlace.JobKind{Name: kindName, Workers: 1, Work: work}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a kind is registered once: the error is %v", err)
	}
	if err := e.Enqueue(f.ctx, enlace.Job{Kind: "unknown"}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a job of an unknown kind is not enqueued: the error is %v", err)
	}
	f.noError("nothing can be enqueued", e.Enqueue(f.ctx))
	f.noError("an engine that was not started has stopped", e.Stop(f.ctx))
}

// twoEngines has two engines over one store, as two processes have.
func twoEngines(t *testing.T, f *fixture) {
	const rule = "each engine gets its jobs done, beside another one"
	r := newRecord()
	first, second := f.start(r.work), f.start(r.work)
	want := map[string]bool{}
	for i := range 20 {
		key := strconv.Itoa(i)
		want[key] = true
		f.enqueue([]enlace.Engine{first, second}[i%2], key)
	}
	for len(want) > 0 {
		delete(want, receive(f, rule, r.begun))
	}
}
