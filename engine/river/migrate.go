package river

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// beginJob gives a job's place among those that wait free when a worker fetches it, in the same
// statement: what is enqueued from then on is a job of its own, and no reminder is lost. River
// alone would count a running job as one that waits, and demands that.
//
// The key of a running job is that of its kind and key with its id behind, so that it is
// equal to none. Whoever enqueues locks the row that waits already, and a worker that fetches
// passes over locked rows: it cannot begin before what it is to see is committed. Nobody who
// enqueues locks a running row, and nobody who holds one waits.
const beginJob = `
CREATE OR REPLACE FUNCTION {schema}.enlace_begin_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.unique_key := OLD.unique_key || int8send(OLD.id);
	RETURN NEW;
END
$$;

DROP TRIGGER IF EXISTS enlace_begin_job ON {schema}.river_job;

CREATE TRIGGER enlace_begin_job BEFORE UPDATE OF state ON {schema}.river_job FOR EACH ROW
	WHEN (NEW.state = 'running' AND OLD.state <> 'running' AND length(OLD.unique_key) = 32)
	EXECUTE FUNCTION {schema}.enlace_begin_job()`

// hasBeginJob counts the trigger.
const hasBeginJob = `SELECT count(*) FROM pg_trigger WHERE tgname = 'enlace_begin_job' AND tgrelid = '{schema}.river_job'::regclass`

// migrate brings the schema up to date, one process at a time: the others wait for the lock, which
// a transaction holds, so that a pooler in between does not matter.
func (e *Engine) migrate(ctx context.Context) error {
	pool := e.store.Pool()
	return pgx.BeginFunc(ctx, pool, func(lock pgx.Tx) error {
		if _, err := lock.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "enlace river "+e.options.Schema); err != nil {
			return err
		}
		var missing bool // who may not make schemas may use one that is there
		if err := pool.QueryRow(ctx, `SELECT to_regnamespace($1) IS NULL`, e.options.Schema).Scan(&missing); err != nil {
			return err
		}
		if missing {
			if _, err := pool.Exec(ctx, e.sql(`CREATE SCHEMA {schema}`)); err != nil {
				return err
			}
		}
		migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: e.options.Schema, Logger: e.options.Logger})
		if err != nil {
			return err
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		var there int
		if err := pool.QueryRow(ctx, e.sql(hasBeginJob)).Scan(&there); err != nil || there > 0 {
			return err
		}
		return e.createTrigger(ctx)
	})
}

// createTrigger makes the trigger in one transaction.
func (e *Engine) createTrigger(ctx context.Context) error {
	return pgx.BeginFunc(ctx, e.store.Pool(), func(tx pgx.Tx) error {
		for statement := range strings.SplitSeq(e.sql(beginJob), ";\n\n") {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// sql puts the schema into a statement.
func (e *Engine) sql(statement string) string {
	return strings.ReplaceAll(statement, "{schema}", pgx.Identifier{e.options.Schema}.Sanitize())
}
