package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"iter"
	"time"

	"github.com/enlace-go/enlace"
)

// saveTimeout bounds the writes after fn. It is generous, because a value that
// cannot be saved may be a refresh token that was spent to get it.
const saveTimeout = 30 * time.Second

// keysPerPage is how many keys Credentials reads at a time.
const keysPerPage = 200

const (
	selectCredential = `SELECT data, key_id, version, updated_at FROM enlace_credentials
		WHERE tenant = ? AND integration = ? AND name = ? AND data IS NOT NULL`

	// leaseCredential takes the lease if nobody has it. Whoever still stands in
	// the row then has died, or was too slow, which is the same.
	leaseCredential = `INSERT INTO enlace_credentials (tenant, integration, name, lease_owner, lease_until, fence)
		VALUES (?, ?, ?, ?, ` + now + ` + ?, 1)
		ON CONFLICT (tenant, integration, name) DO UPDATE
		SET lease_owner = excluded.lease_owner, lease_until = excluded.lease_until, fence = fence + 1,
			interrupted = interrupted OR lease_owner <> ''
		WHERE lease_until <= ` + now + `
		RETURNING fence, interrupted, data, key_id, version, updated_at`

	saveCredential = `UPDATE enlace_credentials
		SET data = ?, key_id = ?, version = version + 1, updated_at = ` + now + `,
			lease_owner = '', lease_until = 0, interrupted = 0
		WHERE tenant = ? AND integration = ? AND name = ? AND lease_owner = ? AND fence = ?`

	releaseCredential = `UPDATE enlace_credentials
		SET lease_owner = '', lease_until = 0, interrupted = interrupted OR ?
		WHERE tenant = ? AND integration = ? AND name = ? AND lease_owner = ?`

	// removePlaceholder removes the row of a lease for a value that never came.
	removePlaceholder = `DELETE FROM enlace_credentials
		WHERE tenant = ? AND integration = ? AND name = ? AND lease_owner = ? AND version = 0 AND NOT interrupted`

	// deleteCredential leaves the row: its version goes on growing, so that no
	// version ever means two values, and its lease keeps another fn from
	// starting beside the one that runs, whose save the fence refuses.
	deleteCredential = `UPDATE enlace_credentials
		SET data = NULL, key_id = 0, version = version + (data IS NOT NULL), fence = fence + 1, interrupted = 0
		WHERE tenant = ? AND integration = ? AND name = ?`

	listCredentials = `SELECT integration, name FROM enlace_credentials
		WHERE tenant = ? AND (integration, name) > (?, ?) AND data IS NOT NULL
		ORDER BY integration, name LIMIT ?`
)

// LoadCredential implements [enlace.CredentialStore].
func (s *Store) LoadCredential(ctx context.Context, key enlace.CredentialKey) (enlace.Sealed, error) {
	var value sealedColumns
	err := s.reader(ctx).QueryRowContext(ctx, selectCredential, key.Tenant, key.ID, key.Name).Scan(value.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return enlace.Sealed{}, enlace.ErrNoCredential
	}
	if err != nil {
		return enlace.Sealed{}, failed("load credential", err)
	}
	return *value.sealed(), nil
}

// UpdateCredential implements [enlace.CredentialStore]. The lease lasts for
// [Options.Lease] by the clock of SQLite, and the context of fn for two thirds
// of it. Those who wait for it look every 10 to 50 ms.
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
		return err
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

func (s *Store) waitForLease(ctx context.Context, key enlace.CredentialKey) (*lease, error) {
	for {
		l, err := s.tryLease(ctx, key)
		if err == nil || !errors.Is(err, errLeased) {
			return l, failed("lease credential", err)
		}
		if err := pause(ctx); err != nil {
			return nil, failed("lease credential", err)
		}
	}
}

var errLeased = errors.New("somebody else holds the lease")

// tryLease takes the lease, or returns errLeased. A context that ends does not
// cut the statement, which is short: nobody would give back a lease that was
// taken in that moment.
func (s *Store) tryLease(ctx context.Context, key enlace.CredentialKey) (*lease, error) {
	conn, err := s.write.Conn(ctx) // first: waiting for it must not count against the lease
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	l := &lease{key: key, owner: rand.Text(), deadline: time.Now().Add(s.lease * 2 / 3)}
	var value sealedColumns
	err = conn.QueryRowContext(ctx, leaseCredential, key.Tenant, key.ID, key.Name, l.owner, s.lease.Microseconds()).
		Scan(append([]any{&l.fence, &l.interrupted}, value.columns()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errLeased
	}
	l.current = value.sealed()
	return l, err
}

// save stores the result and gives the lease back, even if ctx has ended. If the
// file cannot be written, the lease is left to run out, so that the next holder
// learns of the lost result.
func (s *Store) save(ctx context.Context, l *lease, next enlace.Sealed) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return retry(ctx, func() error {
		saved, err := s.exec(ctx, "save credential", saveCredential, next.Data, int64(next.KeyID),
			l.key.Tenant, l.key.ID, l.key.Name, l.owner, l.fence)
		if err == nil && saved == 0 {
			return enlace.ErrConflict
		}
		return err
	})
}

// release gives the lease back if it is still ours. If that fails it runs out by
// itself, and the next holder is warned for nothing, which does no harm.
func (s *Store) release(ctx context.Context, l *lease, interrupted bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	_ = retry(ctx, func() error {
		if !interrupted && l.current == nil {
			removed, err := s.exec(ctx, "release credential", removePlaceholder, l.key.Tenant, l.key.ID, l.key.Name, l.owner)
			if err != nil || removed > 0 {
				return err
			}
		}
		_, err := s.exec(ctx, "release credential", releaseCredential, interrupted, l.key.Tenant, l.key.ID, l.key.Name, l.owner)
		return err
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
			keys, err := selectAll(ctx, s.reader(ctx), "credentials", scan, listCredentials, tenant, last.ID, last.Name, keysPerPage)
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

func (c *sealedColumns) columns() []any {
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
