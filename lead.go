package enlace

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// leadershipLife is how long a background task stays with a process that has died;
// others try for it every third of that.
const leadershipLife = 10 * time.Second

// lead runs work in one of the processes that share the store: the one that has
// the lease. When that one ends, or loses the store for longer than the lease
// lasts, another takes over. The context of work ends with the lease. lead returns
// when ctx has ended.
func (s *Service) lead(ctx context.Context, task string, work func(ctx context.Context, lease Lease) error) error {
	owner := rand.Text()
	for ctx.Err() == nil {
		lease, err := s.store.AcquireLease(ctx, LeaseName{Name: task}, owner, leadershipLife)
		switch {
		case err == nil:
			err = s.leadUntilLost(ctx, lease, work)
			if err != nil && ctx.Err() == nil {
				s.logger.WarnContext(ctx, "background task ended, another try follows", "task", task, "error", err)
			}
		case !errors.Is(err, ErrConflict) && ctx.Err() == nil:
			s.logger.WarnContext(ctx, "background task not begun", "task", task, "error", err)
		}
		if pause(ctx, leadershipLife/3) != nil {
			break
		}
	}
	return nil
}

// leadUntilLost renews the lease while work runs. It waits for work's end.
func (s *Service) leadUntilLost(ctx context.Context, lease Lease, work func(ctx context.Context, lease Lease) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(ctx, lease) }()
	renewed := time.Now() // by this process's clock, which ends the work before the store's ends the lease
	for {
		select {
		case err := <-done:
			release, stop := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
			defer stop()
			_ = s.store.ReleaseLease(release, lease) // else it runs out
			return err
		case <-time.After(leadershipLife / 3):
		}
		next, err := s.store.RenewLease(ctx, lease, leadershipLife)
		if err == nil {
			lease, renewed = next, time.Now()
			continue
		}
		if errors.Is(err, ErrConflict) || time.Since(renewed) > leadershipLife*2/3 {
			cancel()
		}
	}
}
