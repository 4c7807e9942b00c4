// Package sqlstore holds what the stores on SQL databases have in common: the
// statements are written once, and each store says how its database spells the
// little in which they differ.
//
// A statement names tables as "enlace.thing", uses ? for parameters, ?1, ?2… for
// the first ones where they stand in several places, and may hold {now} (the store's clock), {for_share}, {for_update} and {skip_locked} (row locks,
// where the database has any). Times are microseconds since 1970 in an integer
// column, JSON is text.
package sqlstore

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Database runs statements, in the transaction of the context if it carries one.
// Its errors name op and hold no argument.
type Database interface {
	// Exec runs a writing statement and returns how many rows it changed.
	Exec(ctx context.Context, op, statement string, args ...any) (int64, error)
	// Query gives the rows to read, which must bear being called again from the
	// beginning if the database asks for a repetition.
	Query(ctx context.Context, op, statement string, args []any, read func(Rows) error) error
	// Transact is that of [enlace.Transactor].
	Transact(ctx context.Context, fn func(ctx context.Context) error) error
	Dialect() Dialect
}

// Rows are what a query found.
type Rows interface {
	Next() bool
	Row
}

// Row is one of them.
type Row interface{ Scan(dest ...any) error }

// Dialect is how a database spells things.
type Dialect struct {
	TablePrefix string // in place of "enlace."
	Now         string // expression for microseconds since 1970
	Numbered    bool   // parameters are $1, $2…, not ?
	RowLocks    bool   // it locks rows, not the whole database
	Arrays      bool   // it takes whole columns as parameters, and unnests them
}

// Statement spells a statement of this package's kind.
func (d Dialect) Statement(text string) string {
	locks := [3]string{}
	if d.RowLocks {
		locks = [3]string{"FOR SHARE", "FOR UPDATE", "FOR UPDATE SKIP LOCKED"}
	}
	text = strings.NewReplacer("enlace.", d.TablePrefix, "{now}", d.Now,
		"{for_share}", locks[0], "{for_update}", locks[1], "{skip_locked}", locks[2]).Replace(text)
	if !d.Numbered {
		return text
	}
	first, rest, _ := strings.Cut(text, "?")
	if len(first) == len(text) {
		return text
	}
	var b strings.Builder
	b.WriteString(first)
	last := 0 // the greatest number so far
	for part := range strings.SplitSeq(rest, "?") {
		if digits := len(part) - len(strings.TrimLeft(part, "0123456789")); digits > 0 {
			number, _ := strconv.Atoi(part[:digits]) // its own
			last = max(last, number)
			b.WriteString("$" + part)
			continue
		}
		last++
		b.WriteString("$" + strconv.Itoa(last) + part)
	}
	return b.String()
}

// Writes says whether a query changes rows, and not only returns them.
func Writes(statement string) bool {
	return !strings.HasPrefix(strings.TrimSpace(statement), "SELECT")
}

// Store implements the concerns of [enlace.Store] whose statements are shared. A
// store on a SQL database embeds it.
type Store struct {
	db     Database
	spelt  sync.Map // texts of statements, by how they are written here
	spelts atomic.Int64
}

// New returns the shared concerns over db.
func New(db Database) *Store { return &Store{db: db} }

// maxSpelt bounds how many texts are kept: lists of parameters come in many lengths.
const maxSpelt = 512

// spell is Dialect.Statement, and remembers what it gave.
func (s *Store) spell(statement string) string {
	if text, ok := s.spelt.Load(statement); ok {
		return text.(string)
	}
	text := s.db.Dialect().Statement(statement)
	if s.spelts.Add(1) <= maxSpelt {
		s.spelt.Store(statement, text)
	}
	return text
}

func (s *Store) exec(ctx context.Context, op, statement string, args ...any) (int64, error) {
	return s.db.Exec(ctx, op, s.spell(statement), args...)
}

// selectAll reads all rows of a query.
func selectAll[T any](ctx context.Context, s *Store, op string, scan func(Row) (T, error), statement string, args ...any) ([]T, error) {
	var all []T
	err := s.db.Query(ctx, op, s.spell(statement), args, func(rows Rows) error {
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
		return nil, err
	}
	return all, nil
}

// selectOne reads the first row of a query; found is false if there is none.
func selectOne[T any](ctx context.Context, s *Store, op string, scan func(Row) (T, error), statement string, args ...any) (row T, found bool, err error) {
	all, err := selectAll(ctx, s, op, scan, statement, args...)
	if err != nil || len(all) == 0 {
		return row, false, err
	}
	return all[0], true, nil
}
