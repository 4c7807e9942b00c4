// Package postgres keeps everything a service needs to remember in PostgreSQL.
// It is the store for a host that runs on several machines. A host that has
// outgrown SQLite changes one line:
//
//	store, err := sqlite.Open(ctx, "enlace.db", sqlite.Options{})
//	store, err := postgres.Open(ctx, os.Getenv("DATABASE_URL"), postgres.Options{})
//
// What the file holds is not carried over by that.
//
// Everything lies in a schema of its own ("enlace"), so that the database may be
// the host's: no other table is read or written. Over a network, let the DSN ask
// for an encrypted and verified connection (sslmode=verify-full). The DSN must
// lead to the primary server, and the database be encoded in UTF-8. PostgreSQL
// 12 or newer is needed.
//
// No statement needs a session, so PgBouncer may stand between in transaction
// mode; see [Options.PollOnly] and [Options.ExecMode]. PostgreSQL keeps no NUL character and no text
// that is not UTF-8: an id, a name or a cursor with one is [enlace.ErrInvalid].
package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/sqlstore"
)

const (
	// DefaultSchema is where the tables are, if [Options.Schema] does not say otherwise.
	DefaultSchema = "enlace"

	// DefaultLease is how long a credential is reserved for one update, if
	// [Options.Lease] does not say otherwise.
	DefaultLease = 15 * time.Second
)

// connectTimeout bounds how long one connection may take, unless the DSN says it.
const connectTimeout = 10 * time.Second

// Options are the choices of Open and New. The zero value is right for most hosts.
type Options struct {
	// Schema is where the tables are; it is made if it does not exist. Lower-case
	// letters, digits and underscores, 63 at most; not "public". Empty is DefaultSchema.
	Schema string
	// Lease is how long UpdateCredential reserves a credential; 0 is
	// DefaultLease. What runs under it gets two thirds of it, so a lease must be
	// half as long again as the slowest token request. A process that dies
	// inside holds others up for as long. All processes should use the same.
	Lease time.Duration
	// MaxConns bounds the connections that Open makes; 0 is what the DSN says
	// (pool_max_conns), or else the greater of 4 and the number of CPUs. New
	// ignores it.
	MaxConns int32
	// ExecMode is how statements are sent; 0 is [pgx.QueryExecModeCacheDescribe],
	// which keeps nothing in the session. [pgx.QueryExecModeSimpleProtocol] is for
	// poolers that know nothing else. Not through PgBouncer in transaction mode,
	// [pgx.QueryExecModeCacheStatement] saves the server some planning.
	ExecMode pgx.QueryExecMode
	// PollOnly has [Store.Listen] refuse. Without it a service that is in Run holds one
	// connection more, on which it hears at once what other processes do. Set it where
	// the DSN leads to PgBouncer in transaction mode, which passes no notifications on:
	// what other processes do is then found by looking.
	PollOnly bool
}

// Store implements [enlace.Store], [enlace.CredentialResealer] and
// [enlace.KeyringStore]. Make it with Open or New. Every method is safe for
// concurrent use, also by many processes with the same database and schema.
// Errors of the server come as a [*pgconn.PgError] that holds no more than
// what is known to be free of stored values.
type Store struct {
	*shared
	pool   *pgxpool.Pool
	own    bool // the pool was made by Open
	schema string
	mode   pgx.QueryExecMode
	lease  time.Duration

	pollOnly   bool
	migrations fs.FS // in goose's format, for DefaultSchema
}

// shared are the concerns whose statements all SQL stores have in common.
type shared = sqlstore.Store

var (
	_ enlace.Store              = (*Store)(nil)
	_ enlace.CredentialResealer = (*Store)(nil)
	_ enlace.KeyringStore       = (*Store)(nil)
	_ enlace.ParallelCommitter  = (*Store)(nil)
	_ enlace.QuotaStore         = (*Store)(nil)
	_ enlace.Notifier           = (*Store)(nil)
)

// Open connects to the database that dsn names, a URL or keyword=value pairs,
// and brings the tables to the newest schema. Several processes may do so at the
// same time. Tables that a newer enlace has migrated are refused with
// [ErrSchema]. For settings that a DSN cannot hold, make a pool and use New.
// Close the store when nothing uses it any more.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if dsn == "" {
		return nil, fmt.Errorf("postgres: open: %w: the DSN is empty", enlace.ErrInvalid)
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil { // its text may show parts of the DSN, and so the password
		return nil, fmt.Errorf("postgres: open: %w: the DSN is neither a postgres:// URL nor keyword=value pairs, "+
			"or names a file that cannot be read", enlace.ErrInvalid)
	}
	config.ConnConfig.DefaultQueryExecMode = o.ExecMode
	if o.MaxConns > 0 {
		config.MaxConns = o.MaxConns
		config.MinConns = min(config.MinConns, o.MaxConns)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "enlace"
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, failed("open", err)
	}
	s, err := New(ctx, pool, o)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.own = true
	return s, nil
}

// New is Open for a host that has a pool already. The pool stays the host's:
// Close leaves it open. Its connections need no particular settings.
func New(ctx context.Context, pool *pgxpool.Pool, o Options) (*Store, error) {
	return newStore(ctx, pool, o, ownMigrations())
}

// newStore is New with the migrations of this release, or of another one.
func newStore(ctx context.Context, pool *pgxpool.Pool, o Options, migrations fs.FS) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if pool == nil {
		return nil, fmt.Errorf("postgres: open: %w: the pool is nil", enlace.ErrInvalid)
	}
	s := &Store{pool: pool, schema: o.Schema, mode: o.ExecMode, lease: o.Lease, pollOnly: o.PollOnly, migrations: migrations}
	s.shared = sqlstore.New(sharedDatabase{s})
	var encoding string
	if err := s.row(ctx, "open", []any{&encoding}, `SELECT getdatabaseencoding()::text`); err != nil {
		return nil, err
	}
	if encoding != "UTF8" {
		return nil, fmt.Errorf("postgres: open: %w: the database is encoded in %s; make one in UTF8", enlace.ErrInvalid, encoding)
	}
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// complete fills in the defaults.
func (o *Options) complete() error {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.ExecMode == 0 {
		o.ExecMode = pgx.QueryExecModeCacheDescribe
	}
	if o.Lease < 0 || o.MaxConns < 0 {
		return fmt.Errorf("postgres: open: %w: Lease and MaxConns must be 0 or more", enlace.ErrInvalid)
	}
	return checkSchema(o.Schema)
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// checkSchema refuses what is not an ordinary name, what is PostgreSQL's own, and
// the schema in which hosts keep their tables.
func checkSchema(name string) error {
	if !schemaName.MatchString(name) || strings.HasPrefix(name, "pg_") || name == "information_schema" || name == "public" {
		return fmt.Errorf("postgres: open: %w: Schema must be up to 63 lower-case letters, digits and underscores, "+
			"and neither public nor one of PostgreSQL's own", enlace.ErrInvalid)
	}
	return nil
}

// Pool returns the connection pool, for the host's own tables. Do not close it.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Close closes the connections that Open has made, and waits for those in use.
// End what uses the store first: an update of a credential that is under way
// could no longer be saved. The error is always nil.
func (s *Store) Close() error {
	if s.own {
		s.pool.Close()
	}
	return nil
}

// SharesQuotas implements [enlace.QuotaStore]: rate limits hold for all processes
// with this database and schema together.
func (s *Store) SharesQuotas() bool { return true }
