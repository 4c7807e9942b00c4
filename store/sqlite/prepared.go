package sqlite

import (
	"context"
	"database/sql"
	"sync"
)

const (
	// preparedAfter is how often a statement comes in transactions before it is
	// kept compiled, and maxPrepared how many are.
	preparedAfter = 8
	maxPrepared   = 128
	// maxCounted bounds how many texts are counted.
	maxCounted = 1024
)

// statements keeps compiled what comes in transactions again and again: SQLite
// takes longer to compile a statement than to carry it out.
type statements struct {
	mu       sync.Mutex
	prepared map[string]*sql.Stmt
	counts   map[string]int
	wanted   []string // to be compiled when the connection is free
}

// find returns the compiled statement, or nil; then it counts the text.
func (s *statements) find(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt := s.prepared[query]; stmt != nil {
		return stmt
	}
	if s.counts == nil || len(s.counts) >= maxCounted {
		s.counts = map[string]int{}
	}
	if s.counts[query]++; s.counts[query] == preparedAfter && len(s.prepared)+len(s.wanted) < maxPrepared {
		s.wanted = append(s.wanted, query)
	}
	return nil
}

// compile prepares what is wanted. A statement that cannot be compiled goes on
// without.
func (s *statements) compile(ctx context.Context, db *sql.DB) {
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = nil
	s.mu.Unlock()
	for _, query := range wanted {
		stmt, err := db.PrepareContext(ctx, query)
		if err != nil {
			continue
		}
		s.mu.Lock()
		if s.prepared == nil {
			s.prepared = map[string]*sql.Stmt{}
		}
		s.prepared[query] = stmt
		s.mu.Unlock()
	}
}

// preparedTx runs the statements of a transaction, compiled where they are known. Those
// are many and short: the end of their context is looked at before each of them and not
// within, for which the driver would start a goroutine each time.
type preparedTx struct {
	tx         *sql.Tx
	statements *statements
}

// compiled returns the statement and the context to run it with, or nil.
func (p preparedTx) compiled(ctx context.Context, query string) (*sql.Stmt, context.Context) {
	stmt := p.statements.find(query)
	if stmt == nil || ctx.Err() != nil {
		return nil, ctx
	}
	ctx = context.WithoutCancel(ctx)
	return p.tx.StmtContext(ctx, stmt), ctx
}

func (p preparedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt, ctx := p.compiled(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return p.tx.ExecContext(ctx, query, args...)
}

func (p preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt, ctx := p.compiled(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return p.tx.QueryContext(ctx, query, args...)
}

func (p preparedTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt, ctx := p.compiled(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return p.tx.QueryRowContext(ctx, query, args...)
}
