package enlace

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

const (
	// firstJobRetry and lastJobRetry bound the pauses of a job that fails.
	firstJobRetry, lastJobRetry = time.Second, time.Minute
)

// NewEngine returns the engine of a single process. Its queues are in memory, each
// kind's in the order in which jobs came. What waits there when it stops is
// forgotten, and so is what is enqueued while it is not started: the look-ups find it. Jobs that are enqueued in a
// transaction of transactor begin after its commit. logger gets what failed; nil is
// none. It may be started again after Stop.
func NewEngine(transactor Transactor, logger *slog.Logger) Engine {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &processEngine{transactor: transactor, logger: logger, queues: map[string]*jobQueue{}}
}

type processEngine struct {
	transactor Transactor
	logger     *slog.Logger

	mu      sync.Mutex
	queues  map[string]*jobQueue // by kind
	begin   context.CancelFunc   // ends what would begin; nil unless it is started
	cancel  context.CancelFunc   // ends what runs
	workers sync.WaitGroup
}

// Register implements Engine.
func (e *processEngine) Register(kinds ...JobKind) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, kind := range kinds {
		if err := kind.Check(); err != nil {
			return err
		}
		if e.queues[kind.Name] != nil {
			return &Error{Op: "register job kind", Kind: ErrInvalid, Message: "the kind is known already: " + kind.Name}
		}
		e.queues[kind.Name] = &jobQueue{kind: kind}
	}
	return nil
}

// Enqueue implements Engine.
func (e *processEngine) Enqueue(ctx context.Context, jobs ...Job) error {
	queues := make([]*jobQueue, len(jobs))
	e.mu.Lock()
	for i, job := range jobs {
		queues[i] = e.queues[job.Kind]
	}
	e.mu.Unlock()
	for i, q := range queues {
		if q == nil {
			return &Error{Op: "enqueue job", Kind: ErrInvalid, Message: "the kind is not registered: " + jobs[i].Kind}
		}
	}
	e.transactor.AfterCommit(ctx, func() {
		for i, q := range queues {
			q.add(jobs[i])
		}
	})
	return nil
}

// Start implements Engine.
func (e *processEngine) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.begin != nil {
		return &Error{Op: "start engine", Kind: ErrConflict, Message: "it is started already"}
	}
	ctx, e.cancel = context.WithCancel(ctx)
	begin, stop := context.WithCancel(ctx)
	e.begin = stop
	for _, q := range e.queues {
		q.open()
		for range q.kind.Workers {
			e.workers.Go(func() {
				for key, ok := q.next(begin); ok; key, ok = q.next(begin) {
					q.done(key, e.work(ctx, q.kind, key))
				}
			})
		}
	}
	return nil
}

// Stop implements Engine.
func (e *processEngine) Stop(ctx context.Context) error {
	e.mu.Lock()
	begin, cancel := e.begin, e.cancel
	e.mu.Unlock()
	if begin == nil {
		return nil
	}
	begin()
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.workers.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return &Error{Op: "stop engine", Kind: ErrCanceled, Err: ctx.Err()}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, q := range e.queues {
		q.close()
	}
	e.begin = nil
	return nil
}

// work does a job.
func (e *processEngine) work(ctx context.Context, kind JobKind, key string) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			stack := make([]byte, 8<<10)
			stack = stack[:runtime.Stack(stack, false)]
			e.logger.ErrorContext(ctx, "job panicked, another try follows", "kind", kind.Name, "key", key, "stack", string(stack))
			err = errJobPanicked
		}
	}()
	err = kind.Work(ctx, Job{Kind: kind.Name, Key: key})
	if _, again := errors.AsType[RunAgain](err); err != nil && !again && ctx.Err() == nil {
		e.logger.WarnContext(ctx, "job failed, another try follows", "kind", kind.Name, "key", key, "error", err)
	}
	return err
}

var errJobPanicked = errors.New("enlace: the job panicked")

// jobQueue is what waits of one kind: each key at most once, so that one with much to
// do waits behind all others after each turn.
type jobQueue struct {
	kind   JobKind
	mu     sync.Mutex
	ready  []string
	jobs   map[string]*queuedJob // nil while the queue is closed
	signal chan struct{}         // takes one
}

type queuedJob struct {
	state  jobState
	timer  *time.Timer // while it waits for its time
	errors int         // in a row
}

type jobState uint8

const (
	stateWaits jobState = iota // in ready, or for its timer
	stateRuns
	stateRunsAgain // and there is more since
)

// open has the queue take jobs.
func (q *jobQueue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs, q.signal = map[string]*queuedJob{}, make(chan struct{}, 1)
}

// add puts a job at the end of the queue, unless it waits already.
func (q *jobQueue) add(job Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch j := q.jobs[job.Key]; {
	case q.jobs == nil:
	case j == nil:
		j = &queuedJob{}
		q.jobs[job.Key] = j
		q.wait(job.Key, j, time.Until(job.At))
	case j.state == stateRuns:
		j.state = stateRunsAgain
	}
}

// wait puts a job that is in jobs into the queue when its time has come. q.mu is held.
func (q *jobQueue) wait(key string, j *queuedJob, after time.Duration) {
	j.state = stateWaits
	if after <= 0 {
		q.ready = append(q.ready, key)
		q.wakeOne()
		return
	}
	j.timer = time.AfterFunc(after, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.jobs[key] == j { // not forgotten meanwhile
			j.timer = nil
			q.wait(key, j, 0)
		}
	})
}

// wakeOne has a worker who waits look again. q.mu is held.
func (q *jobQueue) wakeOne() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// next waits for a job; done must be called after it.
func (q *jobQueue) next(ctx context.Context) (key string, ok bool) {
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(q.ready) > 0 {
			key, q.ready = q.ready[0], q.ready[1:]
			q.jobs[key].state = stateRuns
			if len(q.ready) > 0 {
				q.wakeOne()
			}
			q.mu.Unlock()
			return key, true
		}
		q.mu.Unlock()
		select {
		case <-q.signal:
		case <-ctx.Done():
		}
	}
	return "", false
}

// done ends a turn. A job that has not come to its end waits again.
func (q *jobQueue) done(key string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := q.jobs[key]
	again, asked := errors.AsType[RunAgain](err)
	switch {
	case asked:
		j.errors = 0
		q.wait(key, j, time.Duration(again))
	case err != nil:
		j.errors++
		q.wait(key, j, jobRetryPause(j.errors))
	case j.state == stateRunsAgain:
		j.errors = 0
		q.wait(key, j, 0)
	default:
		delete(q.jobs, key)
	}
}

// close drops what waits. Nobody is at work.
func (q *jobQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range q.jobs {
		if j.timer != nil {
			j.timer.Stop()
		}
	}
	q.ready, q.jobs = nil, nil
}

// jobRetryPause is the pause after so many errors in a row: twice as long each time,
// and up to half of it less, so that what failed together does not come again together.
func jobRetryPause(errors int) time.Duration {
	pause := firstJobRetry
	for range min(errors-1, 10) {
		pause = min(2*pause, lastJobRetry)
	}
	return pause - rand.N(pause/2)
}
