package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/enlace-go/enlace/internal/sqlstore"
)

// transactionKey finds the transaction of one store in a context.
type transactionKey struct{ store *Store }

// transaction is what the context inside of Transact carries.
type transaction struct {
	tx    *sql.Tx
	mu    sync.Mutex
	after []func() // to be called after the commit
}

// Tx returns the transaction of a context that [Store.Transact] has made, so that
// the host's own tables change together with the store's. Do not commit it or
// roll it back. It is false for any other context.
func (s *Store) Tx(ctx context.Context) (*sql.Tx, bool) {
	if tx := s.transaction(ctx); tx != nil {
		return tx.tx, true
	}
	return nil, false
}

func (s *Store) transaction(ctx context.Context) *transaction {
	tx, _ := ctx.Value(transactionKey{s}).(*transaction)
	return tx
}

// Transact implements [enlace.Transactor]. The file has one writer at a time: all
// others, in every process, wait until fn has returned, for five seconds at most.
func (s *Store) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, joined := s.Tx(ctx); joined {
		return fn(ctx)
	}
	s.statements.compile(ctx, s.write)
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return failed("begin", err)
	}
	defer func() { _ = tx.Rollback() }() // without effect after the commit
	t := &transaction{tx: tx}
	if err := fn(context.WithValue(ctx, transactionKey{s}, t)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return failed("commit", err)
	}
	for _, call := range t.after {
		call()
	}
	return nil
}

// AfterCommit implements [enlace.Transactor].
func (s *Store) AfterCommit(ctx context.Context, fn func()) {
	tx := s.transaction(ctx)
	if tx == nil {
		fn()
		return
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.after = append(tx.after, fn)
}

// sharedDatabase is what the statements shared with other stores run on.
type sharedDatabase struct{ store *Store }

var dialect = sqlstore.Dialect{TablePrefix: "enlace_", Now: now}

func (d sharedDatabase) Dialect() sqlstore.Dialect { return dialect }

func (d sharedDatabase) Exec(ctx context.Context, op, statement string, args ...any) (int64, error) {
	return d.store.exec(ctx, op, statement, args...)
}

func (d sharedDatabase) Query(ctx context.Context, op, statement string, args []any, read func(sqlstore.Rows) error) error {
	on := d.store.reader(ctx)
	if sqlstore.Writes(statement) {
		if _, joined := d.store.Tx(ctx); !joined {
			on = d.store.write
		}
	}
	rows, err := on.QueryContext(ctx, statement, args...)
	if err != nil {
		return failed(op, err)
	}
	defer rows.Close()
	if err := read(rows); err != nil {
		return fmt.Errorf("sqlite: %s: %w", op, err)
	}
	return failed(op, errors.Join(rows.Err(), rows.Close()))
}

func (d sharedDatabase) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	return d.store.Transact(ctx, fn)
}
