package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/enlace-go/enlace"
)

const (
	// saveTimeout bounds the writes after fn. It is generous, because a value that
	// cannot be saved may be a refresh token that was spent to get it.
	saveTimeout = 30 * time.Second

	// tryTimeout bounds one try of such a write: a connection whose other end has
	// vanished gives no answer, and another one may.
	tryTimeout = 5 * time.Second

	// keysPerPage is how many keys Credentials reads at a time.
	keysPerPage = 200
)

const (
	selectCredential = `SELECT data, key_id, version, updated_at FROM enlace.credentials
		WHERE tenant = $1 AND integration = $2 AND name = $3 AND data IS NOT NULL`

	// leaseCredential takes the lease if nobody has it. Whoever still stands in
	// the row then has died, or was too slow, which is the same.
	leaseCredential = `INSERT INTO enlace.credentials AS c (tenant, integration, name, lease_owner, lease_until, fence)
		VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5), 1)
		ON CONFLICT (tenant, integration, name) DO UPDATE
		SET lease_owner = excluded.lease_owner, lease_until = clock_timestamp() + make_interval(secs => $5),
			fence = c.fence + 1, interrupted = c.interrupted OR c.lease_owner <> ''
		WHERE c.lease_until <= clock_timestamp()
		RETURNING c.fence, c.interrupted, c.data, c.key_id, c.version, c.updated_at`

	// selectLeased is what those who wait ask: unlike leaseCredential it neither
	// locks nor writes.
	selectLeased = `SELECT EXISTS (SELECT FROM enlace.credentials
		WHERE tenant = $1 AND integration = $2 AND name = $3 AND lease_until > clock_timestamp())`

	saveCredential = `UPDATE enlace.credentials
		SET data = $6, key_id = $7, version = version + 1, updated_at = clock_timestamp(),
			lease_owner = '', lease_until = 'epoch', interrupted = false
		WHERE tenant = $1 AND integration = $2 AND name = $3 AND lease_owner = $4 AND fence = $5`

	// selectSaved says whether saveCredential was carried out: nothing else takes
	// the owner out of the row while the fence stays.
	selectSaved = `SELECT EXISTS (SELECT FROM enlace.credentials
		WHERE tenant = $1 AND integration = $2 AND name = $3 AND lease_owner = '' AND fence = $4 AND data = $5)`

	releaseCredential = `UPDATE enlace.credentials
		SET lease_owner = '', lease_until = 'epoch', interrupted = interrupted OR $5
		WHERE tenant = $1 AND integration = $2 AND name = $3 AND lease_owner = $4`

	// removePlaceholder removes the row of a lease for a value that never came.
	removePlaceholder = `DELETE FROM enlace.credentials
		WHERE tenant = $1 AND integration = $2 AND name = $3 AND lease_owner = $4 AND version = 0 AND NOT interrupted`

	// deleteCredential leaves the row: its version goes on growing, so that no
	// version ever means two values, and its lease keeps another fn from
	// starting beside the one that runs, whose save the fence refuses.
	deleteCredential = `UPDATE enlace.credentials
		SET data = NULL, key_id = 0, version = version + (data IS NOT NULL)::int, fence = fence + 1, interrupted = false
		WHERE tenant = $1 AND integration = $2 AND name = $3`

	listCredentials = `SELECT integration, name FROM enlace.credentials
		WHERE tenant = $1 AND (integration, name) > ($2, $3) AND data IS NOT NULL
		ORDER BY integration, name LIMIT $4`
)

// LoadCredential implements [enlace.CredentialStore].
func (s *Store) LoadCredential(ctx context.Context, key enlace.CredentialKey) (enlace.Sealed, error) {
	var value sealedColumns
	err := s.row(ctx, "load credential", value.dest(), selectCredential, key.Tenant, key.ID, key.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		return enlace.Sealed{}, enlace.ErrNoCredential
	}
	if err != nil {
		return enlace.Sealed{}, err
	}
	return *value.sealed(), nil
}

// UpdateCredential implements [enlace.CredentialStore]. The lease lasts for
// [Options.Lease] by the clock of the database, and the context of fn for two
// thirds of it. While fn runs no connection is held. Those who wait for the
// lease look every 10 to 50 ms. The result of fn is stored even if connections
// break meanwhile: for up to 30 seconds it is tried again.
//
// interrupted stays true until a value is stored or deleted, also if a holder
// that was told so failed itself. A panic of fn counts as an interruption; it
// gives the lease back and goes on.
func (s *Store) UpdateCredential(ctx context.Context, key enlace.CredentialKey,
	fn func(ctx context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error)) error {
	if _, inside := s.Tx(ctx); inside {
		return enlace.ErrInTransaction
	}
	l, err := s.waitForLease(ctx, key)
	if err != nil {
		return failed("lease credential", err)
	}
	fnCtx, cancel := context.WithDeadline(ctx, l.deadline)
	defer cancel()
	returned := false
	defer func() {
		if !returned {
			s.release(ctx, l, true)
		}
	}()
	next, err := fn(fnCtx, l.current, l.interrupted)
	returned = true
	if err == nil && next != nil {
		if err = s.save(ctx, l, *next); !errors.Is(err, enlace.ErrConflict) {
			return err
		}
	}
	s.release(ctx, l, false)
	return err
}

// lease is the right to replace one credential for some time.
type lease struct {
	key         enlace.CredentialKey
	owner       string
	fence       int64
	deadline    time.Time // by the process's clock, well before the lease's end
	current     *enlace.Sealed
	interrupted bool
}

// where are the parameters that name the credential, followed by others.
func (l *lease) where(others ...any) []any {
	return append([]any{l.key.Tenant, l.key.ID, l.key.Name}, others...)
}

func (s *Store) waitForLease(ctx context.Context, key enlace.CredentialKey) (*lease, error) {
	for {
		l, err := s.tryLease(ctx, key)
		if !errors.Is(err, pgx.ErrNoRows) {
			return l, err
		}
		for leased := true; leased; {
			if err := pause(ctx); err != nil {
				return nil, err
			}
			if err := s.rowRaw(ctx, s.pool, []any{&leased}, selectLeased, key.Tenant, key.ID, key.Name); err != nil {
				return nil, err
			}
		}
	}
}

// tryLease takes the lease, or returns pgx.ErrNoRows if somebody else holds it.
// A context that ends does not cut the statement, which is short: nobody would
// give back a lease that was taken in that moment.
func (s *Store) tryLease(ctx context.Context, key enlace.CredentialKey) (*lease, error) {
	conn, err := s.pool.Acquire(ctx) // first: waiting for it must not count against the lease
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	usable := s.lease * 2 / 3
	l := &lease{key: key, owner: rand.Text(), deadline: time.Now().Add(usable)}
	var value sealedColumns
	err = limited(context.WithoutCancel(ctx), usable, func(ctx context.Context) error {
		return s.rowRaw(ctx, conn, append([]any{&l.fence, &l.interrupted}, value.dest()...),
			leaseCredential, l.where(l.owner, s.lease.Seconds())...)
	})
	if err == nil {
		l.current = value.sealed()
		return l, nil
	}
	if passing(err) && !pgconn.SafeToRetry(err) {
		conn.Release() // broken, and the pool may have room for no other one
		s.release(ctx, l, false)
	}
	return nil, err
}

// save stores the result and gives the lease back, even if ctx has ended. If the
// database cannot be reached, the lease is left to run out, so that the next
// holder learns of the lost result.
func (s *Store) save(ctx context.Context, l *lease, next enlace.Sealed) error {
	unclear := false // a try may have been carried out: its answer was lost
	err := s.untilDone(ctx, saveTimeout, func(ctx context.Context) error {
		saved, err := s.execRaw(ctx, saveCredential, l.where(l.owner, l.fence, next.Data, int64(next.KeyID))...)
		if err != nil {
			unclear = true
			return err
		}
		done := saved > 0
		if !done && unclear {
			err = s.rowRaw(ctx, s.pool, []any{&done}, selectSaved, l.where(l.fence, next.Data)...)
		}
		if err == nil && !done {
			return enlace.ErrConflict
		}
		return err
	})
	return failed("save credential", err)
}

// release gives the lease back if it is still ours. If that fails it runs out by
// itself, and the next holder is warned for nothing, which does no harm.
func (s *Store) release(ctx context.Context, l *lease, interrupted bool) {
	_ = s.untilDone(ctx, s.lease, func(ctx context.Context) error {
		if !interrupted && l.current == nil {
			removed, err := s.execRaw(ctx, removePlaceholder, l.where(l.owner)...)
			if err != nil || removed > 0 {
				return err
			}
		}
		_, err := s.execRaw(ctx, releaseCredential, l.where(l.owner, interrupted)...)
		return err
	})
}

// untilDone repeats write while its error may pass, for limit at most, whether
// or not ctx has ended.
func (s *Store) untilDone(ctx context.Context, limit time.Duration, write func(ctx context.Context) error) error {
	return limited(context.WithoutCancel(ctx), limit, func(ctx context.Context) error {
		return retry(ctx, passing, func() error { return limited(ctx, tryTimeout, write) })
	})
}

// DeleteCredential implements [enlace.CredentialStore]. It does not wait for a
// running fn: what that fn returns is not stored, and its caller gets
// ErrConflict.
func (s *Store) DeleteCredential(ctx context.Context, key enlace.CredentialKey) error {
	_, err := s.exec(ctx, "delete credential", deleteCredential, key.Tenant, key.ID, key.Name)
	return err
}

// Credentials implements [enlace.CredentialStore]. It reads page by page and
// holds no connection while it yields.
func (s *Store) Credentials(ctx context.Context, tenant string) iter.Seq2[enlace.CredentialKey, error] {
	return func(yield func(enlace.CredentialKey, error) bool) {
		last := enlace.CredentialKey{Ref: enlace.Ref{Tenant: tenant}}
		scan := func(row scanner) (enlace.CredentialKey, error) {
			key := enlace.CredentialKey{Ref: enlace.Ref{Tenant: tenant}}
			err := row.Scan(&key.ID, &key.Name)
			return key, err
		}
		for {
			keys, err := selectAll(ctx, s, "credentials", scan, listCredentials, tenant, last.ID, last.Name, keysPerPage)
			if err != nil {
				yield(enlace.CredentialKey{}, err)
				return
			}
			for _, key := range keys {
				if !yield(key, nil) {
					return
				}
			}
			if len(keys) < keysPerPage {
				return
			}
			last = keys[len(keys)-1]
		}
	}
}

// sealedColumns scans data, key_id, version and updated_at.
type sealedColumns struct {
	value enlace.Sealed
	keyID int64
}

func (c *sealedColumns) dest() []any {
	return []any{&c.value.Data, &c.keyID, &c.value.Version, asTime{&c.value.UpdatedAt}}
}

// sealed is the value, nil if there is none.
func (c *sealedColumns) sealed() *enlace.Sealed {
	if c.value.Data == nil {
		return nil
	}
	c.value.KeyID = uint64(c.keyID)
	return &c.value
}
