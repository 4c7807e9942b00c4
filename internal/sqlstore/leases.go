package sqlstore

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	acquireLease = `INSERT INTO enlace.leases AS l (tenant, name, owner, fence, until_at)
		VALUES (?, ?, ?, 1, {now} + ?)
		ON CONFLICT (tenant, name) DO UPDATE
		SET owner = excluded.owner, fence = l.fence + 1, until_at = excluded.until_at
		WHERE l.owner = excluded.owner OR l.owner = '' OR l.until_at <= {now}
		RETURNING fence, until_at`

	renewLease = `UPDATE enlace.leases SET until_at = {now} + ?
		WHERE tenant = ? AND name = ? AND owner = ? AND fence = ?
		RETURNING fence, until_at`

	// A shared lock keeps others from taking the lease before the transaction ends.
	checkLease = `SELECT fence, until_at FROM enlace.leases
		WHERE tenant = ? AND name = ? AND owner = ? AND fence = ? {for_share}`

	// The row stays, so that the fence goes on growing.
	releaseLease = `UPDATE enlace.leases SET owner = '', until_at = 0
		WHERE tenant = ? AND name = ? AND owner = ? AND fence = ?`
)

// AcquireLease implements [enlace.LeaseStore].
func (s *Store) AcquireLease(ctx context.Context, name enlace.LeaseName, owner string, ttl time.Duration) (enlace.Lease, error) {
	lease := enlace.Lease{LeaseName: name, Owner: owner}
	return s.lease(ctx, "acquire lease", lease, acquireLease, name.Tenant, name.Name, owner, ttl.Microseconds())
}

// RenewLease implements [enlace.LeaseStore].
func (s *Store) RenewLease(ctx context.Context, lease enlace.Lease, ttl time.Duration) (enlace.Lease, error) {
	return s.lease(ctx, "renew lease", lease, renewLease, ttl.Microseconds(), lease.Tenant, lease.Name, lease.Owner, lease.Fence)
}

// CheckLease implements [enlace.LeaseStore].
func (s *Store) CheckLease(ctx context.Context, lease enlace.Lease) error {
	_, err := s.lease(ctx, "check lease", lease, checkLease, lease.Tenant, lease.Name, lease.Owner, lease.Fence)
	return err
}

// ReleaseLease implements [enlace.LeaseStore].
func (s *Store) ReleaseLease(ctx context.Context, lease enlace.Lease) error {
	_, err := s.exec(ctx, "release lease", releaseLease, lease.Tenant, lease.Name, lease.Owner, lease.Fence)
	return err
}

// lease runs a statement that returns the lease's fence and end, or no row if it is
// somebody else's.
func (s *Store) lease(ctx context.Context, op string, lease enlace.Lease, statement string, args ...any) (enlace.Lease, error) {
	scan := func(row Row) (enlace.Lease, error) {
		err := row.Scan(&lease.Fence, instant{&lease.Until})
		return lease, err
	}
	lease, found, err := selectOne(ctx, s, op, scan, statement, args...)
	if err == nil && !found {
		err = enlace.ErrConflict
	}
	return lease, err
}
