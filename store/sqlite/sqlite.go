// Package sqlite keeps everything a service needs to remember in one SQLite
// file. It is the store for a host on one machine: several processes there may
// share the file; a network file system may not hold it.
//
// The file is in WAL mode with synchronous=FULL, so that what was acknowledged
// survives the loss of power. enlace's tables begin with "enlace_"; a host may
// keep its own tables in the same file (see [Store.DB]).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/sqlstore"
)

// DefaultLease is how long a credential is reserved for one update, if
// [Options.Lease] does not say otherwise.
const DefaultLease = 15 * time.Second

// busyTimeout is how long a statement waits for another process's write.
const busyTimeout = 5 * time.Second

// Options are the choices of Open. The zero value is right for most hosts.
type Options struct {
	// Lease is how long UpdateCredential reserves a credential; 0 is
	// DefaultLease. What runs under it gets two thirds of it, so a lease must be
	// half as long again as the slowest token request. A process that dies
	// inside holds others up for as long.
	Lease time.Duration
}

// Store implements [enlace.Store] on a SQLite file. Make it with Open. Every
// method is safe for concurrent use, also by several processes with the same
// file.
type Store struct {
	*shared

	// A SQLite file has one writer at a time. With a single connection the
	// writers of this process queue for it in order, instead of each asking for
	// the file's lock again and again until its busy timeout.
	write      *sql.DB
	read       *sql.DB
	host       *sql.DB
	statements statements // on write
	lease      time.Duration
}

// shared are the concerns whose statements all SQL stores have in common.
type shared = sqlstore.Store

var (
	_ enlace.Store              = (*Store)(nil)
	_ enlace.CredentialResealer = (*Store)(nil)
	_ enlace.KeyringStore       = (*Store)(nil)
	_ enlace.QuotaStore         = (*Store)(nil)
)

// Open opens the file at path, makes it if it does not exist (readable and
// writable by its owner only; the directory must exist), and brings its tables
// to the newest schema. A file that a newer enlace has migrated is refused with
// [ErrSchema]. Close the store when nothing uses it any more.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if path == "" || path == ":memory:" || o.Lease < 0 {
		return nil, fmt.Errorf("sqlite: open: %w: a file name and a lease of 0 or more are needed; "+
			"store/memory keeps things in memory", enlace.ErrInvalid)
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, failed("open", err)
	}
	if err := createFile(path); err != nil {
		return nil, failed("open", err)
	}
	s := &Store{lease: o.Lease}
	s.shared = sqlstore.New(sharedDatabase{s})
	if err := s.connect(path); err != nil {
		return nil, errors.Join(failed("open", err), s.Close())
	}
	if err := migrate(ctx, s.write); err != nil {
		return nil, errors.Join(failed("migrate", err), s.Close())
	}
	return s, nil
}

// createFile makes the file before SQLite would, because SQLite would give it
// the process's default mode. The files beside it (-wal, -shm) get its mode.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) connect(path string) (err error) {
	if s.write, err = sql.Open("sqlite", dataSource(path, "journal_mode(WAL)")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dataSource(path, "query_only(1)")); err != nil {
		return err
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	s.host, err = sql.Open("sqlite", dataSource(path))
	return err
}

// dataSource is the address of the file with the settings of each connection.
func dataSource(path string, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a Windows drive letter
	}
	query := url.Values{
		"_txlock": {"immediate"},
		"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			"synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)"}, pragmas...),
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// DB returns a connection pool on the file for the host's own tables, whose
// names must not begin with "enlace_". Transactions take the write lock when
// they begin; the store's own writes wait for them, for five seconds at most.
// So do not call the service inside of one; use Transact and [Store.Tx] for
// what shall change together with the store's rows. The pool is closed with the store.
func (s *Store) DB() *sql.DB { return s.host }

// Close closes the file. End what uses the store first: an update of a
// credential that is under way could no longer be saved.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.host, s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return failed("close", errors.Join(errs...))
}

// failed says which operation an error belongs to. Arguments are left out: they
// may be anybody's data.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlite: %s: %w", op, err)
}

// retry repeats fn while its error may pass, until ctx ends.
func retry(ctx context.Context, fn func() error) error {
	for {
		err := fn()
		if !passing(err) || pause(ctx) != nil {
			return err
		}
	}
}

// passing says whether err is a state of the file or the disk that may pass.
func passing(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff { // without the extended part
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL:
		return true
	default:
		return false
	}
}

// pause waits 10 to 50 ms, so that those who wait for the same thing spread out.
func pause(ctx context.Context) error {
	timer := time.NewTimer(10*time.Millisecond + rand.N(40*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// now is the store's clock in SQL, the same for every process with the file:
// microseconds since 1970, in steps of a millisecond.
const now = `CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)`

// SharesQuotas implements [enlace.QuotaStore]: it is false, since a file usually
// has one process, and each request would wait for a write to disk. A host whose
// processes share a file wraps the store in a type of its own that says true.
func (s *Store) SharesQuotas() bool { return false }
