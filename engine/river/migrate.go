package river

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// functions are what enlace has in River's schema beside River's own tables.
//
// The trigger enlace_begin_job gives a job's place among those that wait free when a worker
// fetches it, in the same statement: what is enqueued from then on is a job of its own, and no
// reminder is lost. River alone would count a running job as one that waits, and demands that.
// The key of a running job is that of its kind and key with its id behind, so that it is
// equal to none.
//
// enlace_waiting returns which of the keys wait already, and promises that the worker that fetches
// such a job later sees what its caller commits: the caller shares a lock of each key until
// its transaction ends, and a worker waits in enlace_settle, after its fetch is committed, until nobody
// shares it any more. Those who share do not wait for one another, write nothing,
// and do not keep the job from being fetched. The look comes after the locks, in a statement of its own:
// it sees every fetch whose worker has passed enlace_settle. That holds where each
// statement sees what is committed by then; in stricter transactions nothing is found, and River's
// insert locks the row that waits instead, which a worker that fetches passes over.
const functions = `
CREATE OR REPLACE FUNCTION {schema}.enlace_begin_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.unique_key := OLD.unique_key || int8send(OLD.id);
	RETURN NEW;
END
$$;

DROP TRIGGER IF EXISTS enlace_begin_job ON {schema}.river_job;

CREATE TRIGGER enlace_begin_job BEFORE UPDATE OF state ON {schema}.river_job FOR EACH ROW
	WHEN (NEW.state = 'running' AND OLD.state <> 'running' AND length(OLD.unique_key) = 32)
	EXECUTE FUNCTION {schema}.enlace_begin_job();

CREATE OR REPLACE FUNCTION {schema}.enlace_waiting(locks bigint[], keys bytea[]) RETURNS bytea[] LANGUAGE plpgsql
	SET enable_seqscan = off AS $$
DECLARE
	lock bigint;
	key bytea;
	waiting bytea[] := '{}';
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RETURN waiting;
	END IF;
	FOREACH lock IN ARRAY locks LOOP
		PERFORM pg_advisory_xact_lock_shared(lock);
	END LOOP;
	FOREACH key IN ARRAY keys LOOP
		PERFORM FROM {schema}.river_job AS j WHERE j.unique_key = key AND j.unique_key IS NOT NULL
			AND j.unique_states IS NOT NULL AND {schema}.river_job_state_in_bitmask(j.unique_states, j.state);
		IF FOUND THEN
			waiting := waiting || key;
		END IF;
	END LOOP;
	RETURN waiting;
END
$$;

CREATE OR REPLACE FUNCTION {schema}.enlace_settle(lock bigint) RETURNS void LANGUAGE plpgsql
	SET lock_timeout = '500ms' AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(lock);
END
$$`

// hasFunctions says whether they are there, the newest of them too.
const hasFunctions = `SELECT to_regprocedure('{schema}.enlace_settle(bigint)') IS NOT NULL`

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
		var there bool // who may not make functions may use those that are there
		if err := pool.QueryRow(ctx, e.sql(hasFunctions)).Scan(&there); err != nil || there {
			return err
		}
		return e.createFunctions(ctx)
	})
}

// createFunctions makes all of them in one transaction.
func (e *Engine) createFunctions(ctx context.Context) error {
	return pgx.BeginFunc(ctx, e.store.Pool(), func(tx pgx.Tx) error {
		for statement := range strings.SplitSeq(e.sql(functions), ";\n\n") {
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
