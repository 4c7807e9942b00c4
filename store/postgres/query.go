package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/enlace-go/enlace"
)

// Statements name their tables in the default schema ("enlace.runs"); withSchema
// puts the store's schema in its place.
func withSchema(schema, statement string) string {
	if schema == DefaultSchema {
		return statement
	}
	return strings.ReplaceAll(statement, DefaultSchema+".", pgx.Identifier{schema}.Sanitize()+".")
}

// exec runs one writing statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, op, statement string, args ...any) (int64, error) {
	changed, err := s.execRaw(ctx, statement, args...)
	return changed, failed(op, err)
}

// execRaw is exec with the driver's error, for those who judge it.
func (s *Store) execRaw(ctx context.Context, statement string, args ...any) (changed int64, err error) {
	err = s.run(ctx, s.querier(ctx), statement, args, func(rows pgx.Rows) error {
		rows.Close()
		changed = rows.CommandTag().RowsAffected()
		return nil
	})
	return changed, err
}

// row reads the first row of a query into dest. No row is pgx.ErrNoRows, as it is.
func (s *Store) row(ctx context.Context, op string, dest []any, query string, args ...any) error {
	err := s.rowRaw(ctx, s.querier(ctx), dest, query, args...)
	if errors.Is(err, pgx.ErrNoRows) {
		return pgx.ErrNoRows
	}
	return failed(op, err)
}

func (s *Store) rowRaw(ctx context.Context, on querier, dest []any, query string, args ...any) error {
	return s.run(ctx, on, query, args, func(rows pgx.Rows) error {
		defer rows.Close()
		if rows.Next() {
			return rows.Scan(dest...)
		}
		if rows.Err() != nil {
			return nil // run looks at it
		}
		return pgx.ErrNoRows
	})
}

// selectAll reads all rows of a query.
func selectAll[T any](ctx context.Context, s *Store, op string, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := s.run(ctx, s.querier(ctx), query, args, func(rows pgx.Rows) error {
		defer rows.Close()
		all = nil
		for rows.Next() {
			row, err := scan(rows)
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return nil
	})
	if err != nil {
		return nil, failed(op, err)
	}
	return all, nil
}

// querier is a pool or one of its connections.
type querier interface {
	Query(ctx context.Context, statement string, args ...any) (pgx.Rows, error)
}

// querier is where ctx reads and writes: in its transaction, if it carries one.
func (s *Store) querier(ctx context.Context) querier {
	if tx, ok := s.Tx(ctx); ok {
		return tx
	}
	return s.pool
}

type scanner interface{ Scan(dest ...any) error }

// serializationTries bounds how often a statement is repeated that the server
// has rolled back in favour of another; together they take about three seconds.
const serializationTries = 100

// run sends one statement and lets read have its rows. A statement that lost
// against another one (a deadlock, or a database whose default isolation is
// stricter than usual) had no effect and is repeated, unless it was part of a
// transaction, which is lost as a whole.
func (s *Store) run(ctx context.Context, on querier, statement string, args []any, read func(pgx.Rows) error) error {
	if err := checkText(args); err != nil {
		return err
	}
	statement = withSchema(s.schema, statement)
	args = append([]any{s.mode}, args...)
	tries := 0
	again := func(err error) bool {
		tries++
		_, inside := on.(pgx.Tx)
		return tries < serializationTries && rolledBack(err) && !inside
	}
	return retry(ctx, again, func() error {
		rows, err := on.Query(ctx, statement, args...)
		if err != nil {
			return err
		}
		err = read(rows)
		return errors.Join(rows.Err(), err)
	})
}

// checkText refuses what a text column does not take.
func checkText(args []any) error {
	for _, arg := range args {
		texts, _ := arg.([]string)
		if text, ok := arg.(string); ok {
			texts = []string{text}
		}
		for _, text := range texts {
			if text != clean(text) {
				return errText
			}
		}
	}
	return nil
}

var errText error = &enlace.ValidationError{Faults: []enlace.Fault{{
	Field: "text", Problem: "not UTF-8, or with a NUL character", Allowed: "text that PostgreSQL can keep"}}}

// clean replaces what a text column does not take. It is for explanations, whose
// row matters more than one of their characters.
func clean(text string) string {
	if utf8.ValidString(text) && !strings.ContainsRune(text, 0) {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// toJSON is the text of a map or slice of strings, numbers and booleans, which
// always has one.
func toJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// instant brings a time into the form in which every store gives it back.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// asTime scans a timestamptz into t, in UTC.
type asTime struct{ t *time.Time }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (a asTime) ScanTimestamptz(v pgtype.Timestamptz) error {
	*a.t = v.Time.UTC()
	return nil
}
