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

// preparedTx runs the statements of a transaction, compiled where they are known.
type preparedTx struct {
	tx         *sql.Tx
	statements *statements
}

func (p preparedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := p.statements.find(query); stmt != nil {
		return p.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return p.tx.ExecContext(ctx, query, args...)
}

func (p preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := p.statements.find(query); stmt != nil {
		return p.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	}
	return p.tx.QueryContext(ctx, query, args...)
}

func (p preparedTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := p.statements.find(query); stmt != nil {
		return p.tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
	}
	return p.tx.QueryRowContext(ctx, query, args...)
}
