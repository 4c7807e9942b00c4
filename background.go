package enlace

import (
	"context"
	"errors"
	"sync"
	"time"
)

// keepAliveInterval is how often Run looks for refresh tokens that would die unused.
const keepAliveInterval = 6 * time.Hour

// Run carries out what happens in the background until ctx ends, and returns when
// all of it has stopped: it renews refresh tokens that would die because nobody
// used them, at two thirds of their life ([OAuth2.RefreshLife]), works on webhook
// deliveries and removes old ones. One process of several is enough; more share the work.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, l := range s.backgroundLoops() {
		running.Go(func() { s.repeat(ctx, l) })
	}
	running.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()
	return s.Close(ctx)
}

// loop is something that Run does again and again.
type loop struct {
	name  string        // for the log
	pause time.Duration // between the end of a step and the next one
	step  func(ctx context.Context) error
}

func (s *Service) backgroundLoops() []loop {
	loops := []loop{
		{"renew idle refresh tokens", keepAliveInterval, s.keepAlive},
		{"export audit heads", auditInterval, s.exportAuditHeads},
		{"keep metrics", time.Second, s.keepMetrics},
		{"drain outboxes", drainInterval, s.drainOutboxes},
		{"forget old writes", time.Hour, s.forgetWrites},
		{"process webhook deliveries", dispatchInterval, s.dispatch},
		{"bring in spilled webhook deliveries", spillInterval, s.drainSpill},
		{"prune the inbox", pruneInterval, s.pruneInbox},
		{"forget idle quotas", pruneInterval, s.pruneQuotas},
		{"drain events that providers keep", pollInterval, s.drainAllEvents},
		{"monitor health", time.Second, s.monitorHealth},
		{"roll up metrics", rollupInterval, s.rollUpMetrics},
	}
	if s.config.workers() > 0 {
		loops = append(loops, loop{"start scheduled runs", lookForSchedules, s.startDue})
	}
	for range s.config.workers() {
		loops = append(loops, loop{"carry out queued runs", lookForRuns, s.runQueued})
	}
	return loops
}

// repeat carries out a loop until ctx ends. A step that failed is logged and comes
// again in its turn.
func (s *Service) repeat(ctx context.Context, l loop) {
	for {
		if err := l.step(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("background work failed", "work", l.name, "error", err)
		}
		if pause(ctx, l.pause) != nil {
			return
		}
	}
}

// keepAlive goes through the credentials of all tenants once.
func (s *Service) keepAlive(ctx context.Context) error {
	store, ok := s.safe.store.(CredentialResealer)
	if !ok {
		return &Error{Op: "keep alive", Kind: ErrUnsupported, Message: "the credential store cannot list all tenants"}
	}
	var after CredentialKey
	for {
		values, err := store.CredentialsNotSealedBy(ctx, nobody, after, 500)
		if err != nil || len(values) == 0 {
			return wrap("list credentials", ErrStore, err)
		}
		for _, v := range values {
			after = v.CredentialKey
			if v.Name != accountName {
				continue
			}
			if err := s.renewIdle(ctx, v.Ref); err != nil {
				s.logger.Warn("refresh token not renewed", "integration", v.Ref.String(), "error", err)
			}
		}
	}
}

// renewIdle refreshes a token whose refresh token has lain unused for too long.
func (s *Service) renewIdle(ctx context.Context, ref Ref) error {
	in, err := s.Get(ctx, ref)
	if err != nil || !in.Enabled || in.Status != StatusConnected {
		return err
	}
	c, err := s.open(ctx, in)
	if errors.Is(err, ErrNoCredential) || errors.Is(err, ErrUnknownProvider) {
		return nil
	}
	if err != nil {
		return err
	}
	scheme, code := c.scheme.(OAuth2)
	t := c.credential.Load().Token
	if !code || scheme.RefreshLife <= 0 || t == nil || t.Issued.IsZero() || time.Since(t.Issued) < scheme.RefreshLife*2/3 || !c.refreshable() {
		return nil
	}
	return c.refresh(ctx, t.Access)
}
