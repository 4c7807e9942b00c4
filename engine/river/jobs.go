package river

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
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

// insert enqueues jobs in the transaction of ctx. A row that waits for its time is
// "available" from then on and never "scheduled": River's leader locks scheduled rows in an order
// of its own, which could be the other way round than here.
func (e *Engine) insert(ctx context.Context, client *river.Client[pgx.Tx], jobs []enlace.Job) ([]*rivertype.JobInsertResult, error) {
	tx, _ := e.store.Tx(ctx)
	now := time.Now()
	var rows []river.InsertManyParams
	later := false
	for _, job := range sorted(jobs) {
		o := &river.InsertOpts{Queue: job.Kind, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: waiting}}
		if job.At.After(now) {
			o.ScheduledAt, later = job.At, true
		}
		rows = append(rows, river.InsertManyParams{Args: reminder{kind: job.Kind, Key: job.Key}, InsertOpts: o})
	}
	results, err := client.InsertManyTx(ctx, tx, rows)
	if err != nil || !later {
		return results, storeError("enqueue jobs", err)
	}
	var scheduled []int64
	for _, result := range results {
		if result.Job.State == rivertype.JobStateScheduled {
			scheduled = append(scheduled, result.Job.ID)
		}
	}
	_, err = tx.Exec(ctx, e.sql(`UPDATE {schema}.river_job SET state = 'available' WHERE id = ANY($1)`), scheduled)
	return results, storeError("enqueue jobs", err)
}

// again enqueues a job for later. One that waits already is put off until then.
func (e *Engine) again(ctx context.Context, client *river.Client[pgx.Tx], job enlace.Job) error {
	return e.store.Transact(ctx, func(ctx context.Context) error {
		results, err := e.insert(ctx, client, []enlace.Job{job})
		if err != nil || !results[0].UniqueSkippedAsDuplicate {
			return err
		}
		tx, _ := e.store.Tx(ctx)
		_, err = tx.Exec(ctx, e.sql(`UPDATE {schema}.river_job SET scheduled_at = greatest(scheduled_at, $2) WHERE id = $1`), results[0].Job.ID, job.At)
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
	err := w.work(ctx, job.Args.Key)
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
