package memory

import (
	"context"
	"sync"
)

// transaction is what the context inside of Transact carries. While it is open it
// holds the store's lock; its own lets one call after the other in.
type transaction struct {
	mu    sync.Mutex
	done  bool
	after []func() // to be called after the commit
}

// transactionKey finds the transaction of one store in a context.
type transactionKey struct{ store *Store }

func (s *Store) transaction(ctx context.Context) *transaction {
	tx, _ := ctx.Value(transactionKey{s}).(*transaction)
	return tx
}

// Transact implements [enlace.Transactor]. Everybody else waits until fn has
// returned, also those who only read.
func (s *Store) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	if s.transaction(ctx) != nil {
		return fn(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &transaction{}
	if err := s.transact(ctx, tx, fn); err != nil {
		return err
	}
	for _, after := range tx.after {
		after()
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

// transact runs fn while nobody else uses the store.
func (s *Store) transact(ctx context.Context, tx *transaction, fn func(ctx context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	committed := false
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
