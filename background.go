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
// all of it has stopped: it starts the engine, which works on webhook deliveries,
// queued runs, outboxes and events that providers keep; it looks for such work, checks health, starts
// schedules, removes what is old, and renews refresh tokens that would die because nobody
// used them, at two thirds of their life ([OAuth2.RefreshLife]). One process of several is enough; more
// share the work. What one of them must do for all is done by the one that has a
// lease for it; when that one dies another takes over within [leadershipLife] and a
// few seconds. An engine whose database is away is started when it is there again. The error
// is that of [Engine].Start or Stop, or of [Service.Close].
func (s *Service) Run(ctx context.Context) error {
	if err := s.startEngine(ctx); err != nil {
		return err
	}
	var running sync.WaitGroup
	led := map[string][]loop{}
	for _, l := range s.backgroundLoops() {
		if l.lease == "" {
			running.Go(func() { s.repeat(ctx, l) })
			continue
		}
		led[l.lease] = append(led[l.lease], l)
	}
	for lease, loops := range led {
		running.Go(func() {
			_ = s.lead(ctx, lease, func(ctx context.Context, _ Lease) error {
				s.repeatAll(ctx, loops)
				return nil
			})
		})
	}
	running.Wait()
	ctx = context.WithoutCancel(ctx)
	err := s.engine.Stop(ctx)
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	return errors.Join(err, s.Close(ctx))
}

// enginePause is the pause before an engine is started again whose database is away.
const enginePause = time.Second

func (s *Service) startEngine(ctx context.Context) error {
	for {
		err := s.engine.Start(ctx)
		if !errors.Is(err, ErrStore) {
			return err
		}
		s.logger.WarnContext(ctx, "engine not started, another try follows", "error", err)
		if pause(ctx, enginePause) != nil {
			return nil
		}
	}
}

// loop is something that Run does again and again.
type loop struct {
	name  string        // for the log
	lease string        // one process of several does it, the one with this lease; empty if each one does
	pause time.Duration // between the end of a step and the next one
	step  func(ctx context.Context) error
}

const (
	leadBackground = "background"
	leadSchedules  = "schedules" // of processes that carry out runs
)

func (s *Service) backgroundLoops() []loop {
	look, deliveries := "", lookForDeliveries // an engine of one process does what that process finds
	if !s.alone {
		look, deliveries = leadBackground, lookForForgotten
	}
	loops := []loop{
		{"keep metrics", "", time.Second, s.keepMetrics},
		{"bring in spilled webhook deliveries", "", spillInterval, s.drainSpill},
		{"monitor health", "", time.Second, s.monitorHealth}, // by a lease of its own
		{"look for webhook deliveries", look, deliveries, s.findDeliveries},
		{"look through outboxes", look, drainInterval, s.findOutboxes},
		{"renew idle refresh tokens", leadBackground, keepAliveInterval, s.keepAlive},
		{"export audit heads", leadBackground, auditInterval, s.exportAuditHeads},
		{"forget the past", leadBackground, time.Hour, s.forgetPast},
		{"prune the inbox", leadBackground, pruneInterval, s.pruneInbox},
		{"forget idle quotas", leadBackground, pruneInterval, s.pruneQuotas},
		{"ask for events that providers keep", leadBackground, pollInterval, s.findEvents},
		{"roll up metrics", leadBackground, rollupInterval, s.rollUpMetrics},
		{"tell other processes", "", signalInterval, s.sendSignals},
		{"hear other processes", "", signalInterval, s.hearSignals},
	}
	if s.config.workers() > 0 {
		loops = append(loops, loop{"start scheduled runs", leadSchedules, lookForSchedules, s.startDue},
			loop{"look for queued runs", look, lookForRuns, s.findRuns})
	}
	return loops
}

// The kinds of jobs. Their keys name an integration, and in an outbox an entity.
const (
	jobDeliveries = "deliveries"
	jobRuns       = "runs"
	jobOutbox     = "outbox"
	jobEvents     = "events"
)

// jobKinds are what the engine carries out.
func (s *Service) jobKinds() []JobKind {
	ofIntegration := func(name string, workers int, work func(context.Context, Ref) error) JobKind {
		return JobKind{Name: name, Workers: workers, Work: func(ctx context.Context, job Job) error {
			names, ok := keyNames(job.Key, 2)
			if !ok {
				return nil // of another version; the look-up knows
			}
			return work(ctx, Ref{Tenant: names[0], ID: names[1]})
		}}
	}
	return []JobKind{
		ofIntegration(jobDeliveries, s.webhooks.Workers, s.workOnDeliveries),
		ofIntegration(jobRuns, s.config.workers(), s.workOnRuns),
		ofIntegration(jobEvents, eventWorkers, s.drainKept),
		{Name: jobOutbox, Workers: outboxWorkers, Work: func(ctx context.Context, job Job) error {
			names, ok := keyNames(job.Key, 3)
			if !ok {
				return nil
			}
			return s.drainOutbox(ctx, OutgoingKey{Ref: Ref{Tenant: names[0], ID: names[1]}, Entity: names[2]})
		}},
	}
}

// integrationJob is a job whose key names an integration.
func integrationJob(kind string, ref Ref) Job {
	return Job{Kind: kind, Key: jobKey(ref.Tenant, ref.ID)}
}

// repeatAll carries out loops until ctx ends.
func (s *Service) repeatAll(ctx context.Context, loops []loop) {
	var running sync.WaitGroup
	for _, l := range loops {
		running.Go(func() { s.repeat(ctx, l) })
	}
	running.Wait()
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
