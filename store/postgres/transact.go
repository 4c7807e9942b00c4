package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enlace-go/enlace/internal/sqlstore"
)

// rollbackTimeout bounds how long a transaction that failed is waited for; after
// that its connection is closed, which ends it too.
const rollbackTimeout = 5 * time.Second

// transactionKey finds the transaction of one store in a context.
type transactionKey struct{ store *Store }

// transaction is what the context inside of Transact carries.
type transaction struct {
	tx    pgx.Tx
	mu    sync.Mutex
	after []func() // to be called after the commit
}

func (s *Store) transaction(ctx context.Context) *transaction {
	tx, _ := ctx.Value(transactionKey{s}).(*transaction)
	return tx
}

// Tx returns the transaction of a context that [Store.Transact] has made, so that
// the host's own tables change together with the store's. Do not commit it or
// roll it back. It is false for any other context.
func (s *Store) Tx(ctx context.Context) (pgx.Tx, bool) {
	if t := s.transaction(ctx); t != nil {
		return t.tx, true
	}
	return nil, false
}

// Transact implements [enlace.Transactor], in the database's default isolation. A
// transaction that the server gave up in favour of another one is
// [enlace.ErrConflict] and had no effect.
func (s *Store) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, joined := s.Tx(ctx); joined {
		return fn(ctx)
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return failed("begin", err)
	}
	defer func() { // without effect after the commit
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = tx.Rollback(ctx)
	}()
	t := &transaction{tx: tx}
	if err := fn(context.WithValue(ctx, transactionKey{s}, t)); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return failed("commit", err)
	}
	for _, call := range t.after {
		call()
	}
	return nil
}

// AfterCommit implements [enlace.Transactor].
func (s *Store) AfterCommit(ctx context.Context, fn func()) {
	t := s.transaction(ctx)
	if t == nil {
		fn()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after = append(t.after, fn)
}

// sharedDatabase is what the statements shared with other stores run on.
type sharedDatabase struct{ store *Store }

// dialect keeps "enlace." as it is: run puts the store's schema in its place.
var dialect = sqlstore.Dialect{TablePrefix: DefaultSchema + ".", Numbered: true, RowLocks: true, Arrays: true,
	Now: `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint)`}

func (d sharedDatabase) Dialect() sqlstore.Dialect { return dialect }

func (d sharedDatabase) Exec(ctx context.Context, op, statement string, args ...any) (int64, error) {
	return d.store.exec(ctx, op, statement, args...)
}

func (d sharedDatabase) Query(ctx context.Context, op, statement string, args []any, read func(sqlstore.Rows) error) error {
	return failed(op, d.store.run(ctx, d.store.querier(ctx), statement, args, func(rows pgx.Rows) error {
		defer rows.Close()
		return read(rows)
	}))
}

func (d sharedDatabase) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	return d.store.Transact(ctx, fn)
}
