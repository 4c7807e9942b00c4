package memory

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

// AcquireLease implements [enlace.LeaseStore].
func (s *Store) AcquireLease(ctx context.Context, name enlace.LeaseName, owner string, ttl time.Duration) (enlace.Lease, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Lease{}, err
	}
	defer s.end(ctx)
	held := s.leases.value(name)
	if held.Owner != owner && held.Owner != "" && now().Before(held.Until) {
		return enlace.Lease{}, enlace.ErrConflict
	}
	lease := enlace.Lease{LeaseName: name, Owner: owner, Fence: held.Fence + 1, Until: now().Add(ttl)}
	s.leases.set(s.undo, name, lease)
	return lease, nil
}

// RenewLease implements [enlace.LeaseStore].
func (s *Store) RenewLease(ctx context.Context, lease enlace.Lease, ttl time.Duration) (enlace.Lease, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Lease{}, err
	}
	defer s.end(ctx)
	if !s.holds(lease) {
		return enlace.Lease{}, enlace.ErrConflict
	}
	lease.Until = now().Add(ttl)
	s.leases.set(s.undo, lease.LeaseName, lease)
	return lease, nil
}

// CheckLease implements [enlace.LeaseStore].
func (s *Store) CheckLease(ctx context.Context, lease enlace.Lease) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if !s.holds(lease) {
		return enlace.ErrConflict
	}
	return nil
}

// ReleaseLease implements [enlace.LeaseStore].
func (s *Store) ReleaseLease(ctx context.Context, lease enlace.Lease) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if s.holds(lease) {
		s.leases.set(s.undo, lease.LeaseName, enlace.Lease{LeaseName: lease.LeaseName, Fence: lease.Fence})
	}
	return nil
}

// holds says whether nobody has taken the lease since.
func (s *Store) holds(lease enlace.Lease) bool {
	held := s.leases.value(lease.LeaseName)
	return held.Owner != "" && held.Owner == lease.Owner && held.Fence == lease.Fence
}
