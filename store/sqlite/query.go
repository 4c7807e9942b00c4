package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// querier is a pool or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// reader is where ctx reads: in its transaction, if it carries one.
func (s *Store) reader(ctx context.Context) querier {
	if tx, ok := s.Tx(ctx); ok {
		return preparedTx{tx, &s.statements}
	}
	return s.read
}

// exec runs one writing statement, in the transaction of ctx if it carries one, and
// returns how many rows it changed.
func (s *Store) exec(ctx context.Context, op, query string, args ...any) (int64, error) {
	var on querier = s.write
	if tx, ok := s.Tx(ctx); ok {
		on = preparedTx{tx, &s.statements}
	}
	result, err := on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, failed(op, err)
	}
	changed, err := result.RowsAffected()
	return changed, failed(op, err)
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// selectAll reads all rows of a query.
func selectAll[T any](ctx context.Context, db querier, op string, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed(op, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, failed(op, err)
		}
		all = append(all, row)
	}
	return all, failed(op, rows.Err())
}

// asJSON scans a JSON column into v.
type asJSON struct{ v any }

// Scan implements sql.Scanner.
func (j asJSON) Scan(column any) error {
	text, _ := column.(string)
	return json.Unmarshal([]byte(text), j.v)
}

// toJSON is the text of a map or slice of strings, numbers and booleans, which
// always has one.
func toJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// asTime scans a column of microseconds into t.
type asTime struct{ t *time.Time }

// Scan implements sql.Scanner.
func (a asTime) Scan(column any) error {
	micros, isInteger := column.(int64)
	if !isInteger {
		return fmt.Errorf("a time is stored as %T", column)
	}
	*a.t = time.UnixMicro(micros).UTC()
	return nil
}
