// Package river spreads the work of a service over many machines with River
// (https://riverqueue.com), a queue in PostgreSQL. A host that has outgrown one process
// changes one line of the configuration of each:
//
//	engine, err := river.New(ctx, store, river.Options{})
//	service, err := enlace.New(enlace.Config{Store: store, Engine: engine, ...})
//
// Jobs are rows beside the store's. What is enqueued in a transaction of the store is part of
// it. They lie in a schema of their own, which the host's own River must not use: a River
// client gives up jobs of kinds that it does not know. The page of River's own
// dashboard shows them; see [Engine.Client].
//
// A process that is killed leaves its jobs behind as running. After [Options.RescueAfter] and
// half a minute at most another one does them again. Jobs that take longer than that are done
// twice, which costs a look at a lease and harms nothing.
//
// River belongs to the engine: enlace's schedules, health checks and look-ups do not depend on
// its leader, but on a lease in the store.
package river

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

const (
	// DefaultSchema is where River's tables are, if [Options.Schema] does not say otherwise.
	DefaultSchema = "enlace_river"
	// DefaultRescueAfter is [Options.RescueAfter] unless the host says otherwise.
	DefaultRescueAfter = 25 * time.Second
	// DefaultKeepDone is [Options.KeepDone] unless the host says otherwise.
	DefaultKeepDone = 5 * time.Minute

	// fetchPause is the shortest time between two fetches of jobs of a kind, and
	// pollPause the time between two when nobody tells of new ones.
	fetchPause, pollPause = 20 * time.Millisecond, time.Second
	// maxAttempts is after how many errors a job is given up; the kind's look-up goes on.
	maxAttempts = 20
	// firstRetry and lastRetry bound the pauses of a job that fails.
	firstRetry, lastRetry = time.Second, time.Minute
	// databaseTimeout bounds what must be written although the engine stops.
	databaseTimeout = 10 * time.Second
)

// Options are the choices of New. The zero value is right for most hosts. All
// processes use the same.
type Options struct {
	// Schema is where River's tables are; it is made if it does not exist. Lower-case
	// letters, digits and underscores, 40 at most; not the store's. Empty is DefaultSchema.
	Schema string
	// PollOnly looks for new jobs each second and does not listen for them, for
	// connections through PgBouncer in transaction mode. Otherwise River
	// keeps one connection of the store's pool for itself.
	PollOnly bool
	// RescueAfter is how long a job may run before it counts as left behind by a process
	// that died; 2 seconds at least. 0 is DefaultRescueAfter.
	RescueAfter time.Duration
	// KeepDone is how long jobs that are done stay to be looked at; 0 is DefaultKeepDone.
	KeepDone time.Duration
	// Logger gets what River has to say, and what failed. Defaults to none.
	Logger *slog.Logger
}

// Engine implements [enlace.Engine]. Make it with New.
type Engine struct {
	store   *postgres.Store
	options Options

	mu      sync.Mutex
	kinds   map[string]enlace.JobKind
	client  *river.Client[pgx.Tx] // nil before it is needed
	started bool
	working context.Context // of the work under way; nil unless started
	cancel  context.CancelFunc
}

var _ enlace.Engine = (*Engine)(nil)

// New returns an engine whose jobs lie in the database of store, and brings River's
// tables to the version that this package was built with. Several processes may do so
// at the same time. Stop the engine before the store is closed. Errors: ErrInvalid for a bad
// option, ErrStore.
func New(ctx context.Context, store *postgres.Store, o Options) (*Engine, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	e := &Engine{store: store, options: o, kinds: map[string]enlace.JobKind{}}
	if err := e.migrate(ctx); err != nil {
		return nil, storeError("migrate River's tables", err)
	}
	return e, nil
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// complete fills in the defaults.
func (o *Options) complete() error {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if o.RescueAfter == 0 {
		o.RescueAfter = DefaultRescueAfter
	}
	if o.KeepDone == 0 {
		o.KeepDone = DefaultKeepDone
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case !schemaName.MatchString(o.Schema) || strings.HasPrefix(o.Schema, "pg_") || o.Schema == "public" || o.Schema == "information_schema":
		return invalid("Schema", "not a name for a schema of its own", "up to 40 lower-case letters, digits and underscores")
	case o.RescueAfter < 2*time.Second:
		return invalid("RescueAfter", "too short", "2 seconds or more, or 0 for the default")
	case o.KeepDone < 0:
		return invalid("KeepDone", "negative", "a time, or 0 for the default")
	}
	return nil
}

func invalid(field, problem, allowed string) error {
	return &enlace.ValidationError{Faults: []enlace.Fault{{Field: field, Problem: problem, Allowed: allowed}}}
}

// storeError gives an error of the database its kind.
func storeError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &enlace.Error{Op: op, Kind: enlace.ErrStore, Err: err}
}

// Register implements [enlace.Engine].
func (e *Engine) Register(kinds ...enlace.JobKind) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil {
		return &enlace.Error{Op: "register job kind", Kind: enlace.ErrInvalid, Message: "the engine is in use already"}
	}
	for _, kind := range kinds {
		if err := kind.Check(); err != nil {
			return err
		}
		if _, known := e.kinds[kind.Name]; known {
			return &enlace.Error{Op: "register job kind", Kind: enlace.ErrInvalid, Message: "the kind is known already: " + kind.Name}
		}
		e.kinds[kind.Name] = kind
	}
	return nil
}

// Client returns River's client, such as for its own dashboard, after the kinds are registered.
// Errors: ErrInvalid before that.
func (e *Engine) Client() (*river.Client[pgx.Tx], error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil {
		return e.client, nil
	}
	if len(e.kinds) == 0 {
		return nil, &enlace.Error{Op: "make River's client", Kind: enlace.ErrInvalid, Message: "no kind of jobs is registered"}
	}
	workers, queues := river.NewWorkers(), map[string]river.QueueConfig{}
	for name, kind := range e.kinds {
		river.AddWorkerArgs(workers, reminder{kind: name}, &worker{engine: e, kind: kind})
		if kind.Workers > 0 {
			queues[name] = river.QueueConfig{MaxWorkers: kind.Workers}
		}
	}
	client, err := river.NewClient(riverpgxv5.New(e.store.Pool()), &river.Config{
		Schema: e.options.Schema, PollOnly: e.options.PollOnly, Logger: e.options.Logger,
		Workers: workers, Queues: queues,
		FetchCooldown: fetchPause, FetchPollInterval: pollPause,
		// River ends a job's context at its timeout; worker does not pass that on. It must
		// be there, and below the rescue's, for jobs to be rescued.
		JobTimeout: e.options.RescueAfter - time.Second, RescueStuckJobsAfter: e.options.RescueAfter,
		JobStuckThreshold:           time.Hour,
		MaxAttempts:                 maxAttempts,
		RetryPolicy:                 retryPolicy{},
		CompletedJobRetentionPeriod: e.options.KeepDone,
	})
	if err != nil {
		return nil, &enlace.Error{Op: "make River's client", Kind: enlace.ErrInvalid, Err: err}
	}
	e.client = client
	return client, nil
}

// Enqueue implements [enlace.Engine]. Transactions that enqueue the same job do not wait for one another
// while one of it waits; where none does, the second waits for the end of the first, and so it does
// for more than 32 jobs at once. Enqueue once in a transaction: two that enqueue the same new
// jobs one by one, in different orders, would wait for ever, and PostgreSQL fails one of them.
func (e *Engine) Enqueue(ctx context.Context, jobs ...enlace.Job) error {
	client, err := e.Client()
	if err != nil {
		return err
	}
	if err := e.known(jobs); err != nil || len(jobs) == 0 {
		return err
	}
	return e.store.Transact(ctx, func(ctx context.Context) error {
		left, err := e.missing(ctx, sorted(jobs))
		if err == nil && len(left) > 0 {
			_, err = e.insert(ctx, client, left)
		}
		return storeError("enqueue jobs", err)
	})
}

func (e *Engine) known(jobs []enlace.Job) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, job := range jobs {
		if _, known := e.kinds[job.Kind]; !known {
			return &enlace.Error{Op: "enqueue job", Kind: enlace.ErrInvalid, Message: "the kind is not registered: " + job.Kind}
		}
	}
	return nil
}

// Start implements [enlace.Engine].
func (e *Engine) Start(ctx context.Context) error {
	client, err := e.Client()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		return &enlace.Error{Op: "start engine", Kind: enlace.ErrConflict, Message: "it is started already"}
	}
	working, cancel := context.WithCancel(ctx)
	e.working, e.cancel = working, cancel
	if err := client.Start(ctx); err != nil {
		cancel()
		return storeError("start engine", err)
	}
	e.started = true
	return nil
}

// Stop implements [enlace.Engine].
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	client, started, cancel := e.client, e.started, e.cancel
	e.mu.Unlock()
	if !started {
		return nil
	}
	defer cancel()
	if err := client.Stop(ctx); err != nil {
		return &enlace.Error{Op: "stop engine", Kind: enlace.ErrCanceled, Err: err}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.started = false
	return nil
}

// context is what a job's work gets: River's values, and the end that Start and Stop give.
func (e *Engine) context(ctx context.Context) (context.Context, context.CancelFunc) {
	e.mu.Lock()
	working := e.working
	e.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(working, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// retryPolicy makes the pauses of a job that fails twice as long each time.
type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	pause := firstRetry
	for range min(job.Attempt-1, 10) {
		pause = min(2*pause, lastRetry)
	}
	return time.Now().Add(pause)
}

// sorted are the jobs in one order for all transactions, each once.
func sorted(jobs []enlace.Job) []enlace.Job {
	jobs = slices.Clone(jobs)
	slices.SortStableFunc(jobs, func(a, b enlace.Job) int {
		if a.Kind != b.Kind {
			return strings.Compare(a.Kind, b.Kind)
		}
		return strings.Compare(a.Key, b.Key)
	})
	return slices.CompactFunc(jobs, func(a, b enlace.Job) bool { return a.Kind == b.Kind && a.Key == b.Key })
}

var errPanicked = errors.New("enlace: the job panicked")
