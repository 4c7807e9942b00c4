package river

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/enlace-go/enlace"
)

// reminder is a job as River keeps it.
type reminder struct {
	kind string
	Key  string `json:"key"`
}

// Kind implements river.JobArgs.
func (r reminder) Kind() string { return r.kind }

// waiting are the states in which a job keeps others of its key out. River demands that running
// is among them; a trigger takes running jobs out of it all the same, see beginJob.
var waiting = []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable,
	rivertype.JobStateScheduled}

// insert enqueues sorted jobs in the transaction of ctx. A row that waits for its time is
// "available" from then on and never "scheduled": River's leader locks scheduled rows in an order
// of its own, which could be the other way round than here.
func (e *Engine) insert(ctx context.Context, client *river.Client[pgx.Tx], jobs []enlace.Job) ([]*rivertype.JobInsertResult, error) {
	tx, _ := e.store.Tx(ctx)
	now := time.Now()
	var rows []river.InsertManyParams
	later := false
	for _, job := range jobs {
		o := &river.InsertOpts{Queue: job.Kind, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: waiting}}
		if job.At.After(now) {
			o.ScheduledAt, later = job.At, true
		}
		rows = append(rows, river.InsertManyParams{Args: reminder{kind: job.Kind, Key: job.Key}, InsertOpts: o})
	}
	results, err := client.InsertManyTx(ctx, tx, rows)
	if err != nil || !later {
		return results, err
	}
	var scheduled []int64
	for _, result := range results {
		if result.Job.State == rivertype.JobStateScheduled {
			scheduled = append(scheduled, result.Job.ID)
		}
	}
	_, err = tx.Exec(ctx, e.sql(`UPDATE {schema}.river_job SET state = 'available' WHERE id = ANY($1)`), scheduled)
	return results, err
}

// missing are the jobs of which none waits. Those that are left out are done after the commit
// of ctx's transaction, by a worker that sees it: see functions. Locks are few in a database, so
// for many jobs it leaves none out, and River's insert locks the rows that wait.
func (e *Engine) missing(ctx context.Context, jobs []enlace.Job) ([]enlace.Job, error) {
	if len(jobs) > maxShared {
		return jobs, nil
	}
	keys, locks := make([][]byte, len(jobs)), make([]int64, len(jobs))
	for i, job := range jobs {
		keys[i] = uniqueKey(job)
		locks[i] = lockOf(keys[i])
	}
	tx, _ := e.store.Tx(ctx)
	var waiting [][]byte
	err := tx.QueryRow(ctx, e.sql(`SELECT {schema}.enlace_waiting($1, $2)`), locks, keys).Scan(&waiting)
	if err != nil || len(waiting) == 0 {
		return jobs, err
	}
	var left []enlace.Job
	for i, job := range jobs {
		if !slices.ContainsFunc(waiting, func(key []byte) bool { return bytes.Equal(key, keys[i]) }) {
			left = append(left, job)
		}
	}
	return left, nil
}

// settle waits until the transactions have ended that left out a job because this one waited.
// Of one that lasts it does not wait for the end: another job is to see what that brings.
func (e *Engine) settle(ctx context.Context, job *river.Job[reminder]) error {
	if len(job.UniqueKey) < keySize {
		return nil
	}
	_, err := e.store.Pool().Exec(ctx, e.sql(`SELECT {schema}.enlace_settle($1)`), lockOf(job.UniqueKey))
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && failure.Code == lockNotAvailable {
		later := enlace.Job{Kind: job.Kind, Key: job.Args.Key, At: time.Now().Add(unsettledPause)}
		return e.again(ctx, river.ClientFromContext[pgx.Tx](ctx), later)
	}
	return err
}

const (
	// maxShared is for how many jobs at most a transaction shares locks: half of what PostgreSQL
	// provides for each connection by default.
	maxShared = 32
	// unsettledPause is when the other job follows.
	unsettledPause = time.Second
	// lockNotAvailable is PostgreSQL's code for a lock that took too long.
	lockNotAvailable = "55P03"
)

// uniqueKey is the key that River gives a job that waits. If River changed that, no job
// would be found waiting, and all would go through its insert.
func uniqueKey(job enlace.Job) []byte {
	args, _ := json.Marshal(reminder{Key: job.Key}) // always has a form
	key := sha256.Sum256(append([]byte("&kind="+job.Kind+"&args="), args...))
	return key[:]
}

// lockOf is the advisory lock of a job's key, of one that runs too.
func lockOf(key []byte) int64 { return int64(binary.BigEndian.Uint64(key)) }

// again enqueues a job for later. One that waits already waits until then, and no longer: what was
// enqueued while it was at work may have found it so and been put off.
func (e *Engine) again(ctx context.Context, client *river.Client[pgx.Tx], job enlace.Job) error {
	return e.store.Transact(ctx, func(ctx context.Context) error {
		results, err := e.insert(ctx, client, []enlace.Job{job})
		if err != nil || !results[0].UniqueSkippedAsDuplicate {
			return err
		}
		tx, _ := e.store.Tx(ctx)
		_, err = tx.Exec(ctx, e.sql(`UPDATE {schema}.river_job SET scheduled_at = $2 WHERE id = $1`), results[0].Job.ID, job.At)
		return err
	})
}

// another says whether another row of the same job waits.
func (e *Engine) another(ctx context.Context, job *rivertype.JobRow) (waits bool, err error) {
	if len(job.UniqueKey) < keySize {
		return false, nil
	}
	key := job.UniqueKey[:keySize]
	beyond := append(slices.Clone(key), 0xff) // ids are positive
	err = e.store.Pool().QueryRow(ctx, e.sql(`SELECT EXISTS (SELECT 1 FROM {schema}.river_job
		WHERE unique_key >= $1 AND unique_key < $2 AND id <> $3 AND state <> 'running'
			AND unique_key IS NOT NULL AND unique_states IS NOT NULL AND {schema}.river_job_state_in_bitmask(unique_states, state))`),
		key, beyond, job.ID).Scan(&waits)
	return waits, err
}

// keySize is how long the key of a waiting job is, in bytes.
const keySize = 32

// worker does the jobs of one kind.
type worker struct {
	river.WorkerDefaults[reminder]
	engine *Engine
	kind   enlace.JobKind
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, job *river.Job[reminder]) error {
	ctx, done := w.engine.context(ctx)
	defer done()
	err := w.engine.settle(ctx, job)
	if err == nil {
		err = w.work(ctx, job.Args.Key)
	}
	again, asked := errors.AsType[enlace.RunAgain](err)
	switch {
	case err == nil:
		return nil
	case asked:
		return w.runAgain(ctx, job, time.Duration(again))
	case ctx.Err() != nil: // cut off
		return river.JobSnooze(0)
	default:
		w.engine.options.Logger.WarnContext(ctx, "job failed, another try follows", "kind", w.kind.Name, "key", job.Args.Key, "error", err)
		if waits, failed := w.engine.another(ctx, job.JobRow); failed == nil && waits {
			return nil // that one is the other try
		}
		return err
	}
}

// work does the job; a panic is an error.
func (w *worker) work(ctx context.Context, key string) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			w.engine.options.Logger.ErrorContext(ctx, "job panicked, another try follows", "kind", w.kind.Name, "key", key, "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return w.kind.Work(ctx, enlace.Job{Kind: w.kind.Name, Key: key})
}

// runAgain leaves the rest to another row: this one is done, and what was enqueued meanwhile
// and what is to come are one.
func (w *worker) runAgain(ctx context.Context, job *river.Job[reminder], after time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseTimeout)
	defer cancel()
	next := enlace.Job{Kind: w.kind.Name, Key: job.Args.Key, At: time.Now().Add(after)}
	if err := w.engine.again(ctx, river.ClientFromContext[pgx.Tx](ctx), next); err != nil {
		w.engine.options.Logger.WarnContext(ctx, "job not enqueued again, its own row waits", "kind", w.kind.Name, "key", job.Args.Key, "error", err)
		return river.JobSnooze(after)
	}
	return nil
}
