package enlace

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// defaultRunLease is Config.RunLease unless the host says otherwise.
	defaultRunLease = 30 * time.Second
	// renewals is how often a lease is renewed within its time.
	renewals = 3
)

// syncLease names the right to move one entity's records.
func syncLease(ref Ref, entity string) LeaseName {
	return LeaseName{Tenant: ref.Tenant, Name: "sync/" + ref.ID + "/" + entity}
}

// leased runs fn while it holds the lease, and ends fn's context when the lease is
// lost. It returns ErrConflict if somebody else holds it or has taken it over.
func (s *Service) leased(ctx context.Context, name LeaseName, owner string, fn func(ctx context.Context, lease Lease) error) error {
	return s.leasedFor(ctx, name, owner, orDefaultDuration(s.config.RunLease, defaultRunLease), fn)
}

// leasedFor is leased with a time of its own.
func (s *Service) leasedFor(ctx context.Context, name LeaseName, owner string, ttl time.Duration, fn func(ctx context.Context, lease Lease) error) error {
	lease, err := s.store.AcquireLease(ctx, name, owner, ttl)
	if err != nil {
		return wrap("acquire lease", ErrStore, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for pause(ctx, ttl/renewals) == nil {
			if _, err := s.store.RenewLease(ctx, lease, ttl); errors.Is(err, ErrConflict) {
				cancel(wrap("renew lease", ErrStore, err))
			}
		}
	})
	err = fn(ctx, lease)
	if lost := context.Cause(ctx); errors.Is(lost, ErrConflict) {
		err = lost
	}
	cancel(nil)
	renewing.Wait()
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer done()
	if released := s.store.ReleaseLease(ctx, lease); released != nil {
		s.logger.Warn("lease not released", "lease", name.Name, "error", released)
	}
	return err
}

func orDefaultDuration(value, standard time.Duration) time.Duration {
	if value <= 0 {
		return standard
	}
	return value
}
