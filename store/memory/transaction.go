package memory

import (
	"context"
	"sync"
)

// transaction is what the context inside of Transact carries. While it is open it
// holds the store's lock; its own lets one call after the other in.
type transaction struct {
	mu   sync.Mutex
	done bool
}

// transactionKey finds the transaction of one store in a context.
type transactionKey struct{ store *Store }

func (s *Store) transaction(ctx context.Context) *transaction {
	tx, _ := ctx.Value(transactionKey{s}).(*transaction)
	return tx
}

// Transact implements [enlace.Transactor]. Everybody else waits until fn has
// returned, also those who only read.
func (s *Store) Transact(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if s.transaction(ctx) != nil {
		return fn(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tx, committed := &transaction{}, false
	s.undo = &undoLog{}
	defer func() {
		tx.mu.Lock()
		defer tx.mu.Unlock()
		tx.done = true
		if !committed {
			s.undo.rollBack()
		}
		s.undo = nil
	}()
	if err := fn(context.WithValue(ctx, transactionKey{s}, tx)); err != nil {
		return err
	}
	committed = ctx.Err() == nil
	return ctx.Err()
}

// begin locks the store, or the transaction that has locked it already, unless
// ctx or the transaction has ended. Each begin without an error has its end.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := s.transaction(ctx)
	if tx == nil {
		s.mu.Lock()
		return nil
	}
	tx.mu.Lock()
	if tx.done {
		tx.mu.Unlock()
		return errTransactionDone
	}
	return nil
}

func (s *Store) end(ctx context.Context) {
	if tx := s.transaction(ctx); tx != nil {
		tx.mu.Unlock()
		return
	}
	s.mu.Unlock()
}
