package enlace

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/enlace-go/enlace/internal/redact"
)

const (
	// lookForDeliveries is how often it is looked for deliveries that nobody works on,
	// or whose next attempt is due.
	lookForDeliveries = time.Second
	// lookForForgotten is the same with an engine of several processes, which are told by
	// jobs: there every integration that is found costs a row.
	lookForForgotten = 5 * time.Second
	// takenPause is how long a process leaves an integration alone that another one
	// works on.
	takenPause = time.Second
	// batchSize is how many deliveries are worked on together.
	batchSize = 50
	// turnBatches and turnTime are after how much an integration lets others go first.
	turnBatches = 10
	turnTime    = 5 * time.Second
	// failedLanes is how many failed deliveries of an integration are looked at for
	// records that have to wait. Behind more of them order is not kept.
	failedLanes = 1_000
	// firstRetry and lastRetry bound the pauses between attempts.
	firstRetry, lastRetry = 2 * time.Second, 4 * time.Hour
	// disabledPause is how long it takes to notice that an integration is enabled again.
	disabledPause = 5 * time.Second
	// outagePause is how long an integration is left alone after its provider
	// could not be asked about a record.
	outagePause   = 5 * time.Second
	pruneInterval = time.Hour
	spillInterval = 5 * time.Second
	pruneSize     = 1_000
)

// prepareWebhooks sets up what takes and works on deliveries. It starts nothing.
func (s *Service) prepareWebhooks(c WebhookConfig) {
	s.webhooks = c
	s.refusals.limit, s.refusals.burst = rate.Limit(float64(c.RefusedPerMinute)/60), c.RefusedPerMinute
	s.arrivals.limit, s.arrivals.burst = rate.Limit(c.PerSecond), c.Burst
	s.inFlight.left.Store(c.MaxInFlight)
	s.commits = groupCommit[*arrival]{run: s.commitArrivals, maxItems: sharedCommit, parallel: parallelCommits(s.store), beside: commitBeside}
	if c.SpillDirectory != "" {
		s.spill = openSpill(c.SpillDirectory, c.MaxSpill)
	}
}

// wake has the integrations' deliveries worked on.
func (s *Service) wake(ctx context.Context, refs ...Ref) error {
	jobs := make([]Job, len(refs))
	for i, ref := range refs {
		jobs[i] = integrationJob(jobDeliveries, ref)
	}
	return s.engine.Enqueue(ctx, jobs...)
}

// findDeliveries has every integration worked on that has something due.
func (s *Service) findDeliveries(ctx context.Context) error {
	const size = 100
	var after Ref
	for {
		refs, err := s.store.DueIntegrations(ctx, after, size)
		if err == nil {
			err = s.wake(ctx, refs...)
		}
		if err != nil || len(refs) < size {
			return wrap("find deliveries", ErrStore, err)
		}
		after = refs[len(refs)-1]
	}
}

// workOnDeliveries is the job of an integration: it works on some of its deliveries, and
// asks to come again if there may be more.
func (s *Service) workOnDeliveries(ctx context.Context, ref Ref) error {
	due, _, err := s.store.DueDeliveries(ctx, ref, 1)
	if err != nil || len(due) == 0 {
		return wrap("due deliveries", ErrStore, err)
	}
	in, err := s.Get(ctx, ref)
	if errors.Is(err, ErrNotFound) { // deleted while a delivery was on its way in
		return wrap("delete inbox", ErrStore, s.store.DeleteInbox(ctx, ref))
	}
	if err != nil {
		return err
	}
	if !in.Enabled {
		return RunAgain(disabledPause)
	}
	if !s.webhooksOn(ctx, in) {
		return RunAgain(2 * flagsMaxAge)
	}
	err = s.leasedFor(ctx, LeaseName{Tenant: ref.Tenant, Name: "webhooks/" + ref.ID}, newID(time.Now()), s.webhooks.Lease, func(ctx context.Context, lease Lease) error {
		end := time.Now().Add(turnTime)
		for i := 0; i < turnBatches && time.Now().Before(end); i++ {
			b := &batch{service: s, integration: in, lease: lease}
			if err := b.run(ctx); err != nil || b.idle {
				return err
			}
			if b.outage != nil {
				return RunAgain(max(outagePause, RetryAfter(b.outage)))
			}
		}
		return RunAgain(0)
	})
	if errors.Is(err, ErrConflict) {
		return RunAgain(takenPause)
	}
	return err
}

// claim takes the next deliveries for this process, and those of records that
// earlier deliveries hold up out of its way.
func (b *batch) claim(ctx context.Context) error {
	store, ref := b.service.store, b.integration.Ref
	err := store.Transact(ctx, func(ctx context.Context) error {
		b.jobs, b.held = nil, nil
		if err := store.CheckLease(ctx, b.lease); err != nil {
			return err
		}
		due, _, err := store.DueDeliveries(ctx, ref, batchSize)
		if err != nil || len(due) == 0 {
			b.idle = true
			return err
		}
		if due, err = b.claimed(ctx, due); err != nil {
			return err
		}
		for _, d := range due {
			b.jobs = append(b.jobs, &job{stored: d})
		}
		b.held, err = store.FailedDeliveries(ctx, ref, failedLanes)
		return err
	})
	if errors.Is(err, ErrConflict) {
		return err
	}
	return wrap("claim deliveries", ErrStore, err)
}

// claimed marks deliveries and returns those that this process may work on. One with
// which a process has died comes alone, so that it does not take others with it again.
func (b *batch) claimed(ctx context.Context, due []StoredDelivery) ([]StoredDelivery, error) {
	store := b.service.store
	interrupted := func(d StoredDelivery) bool { return d.State == DeliveryProcessing }
	if first := due[0]; interrupted(first) {
		first.Attempts++
		first.Kind, first.Error = interruptedKind, "the process ended while it worked on it"
		if first.Attempts >= b.service.webhooks.MaxAttempts {
			first.State, first.FinishedAt = DeliveryDead, time.Now()
			b.buried = append(b.buried, first)
			return nil, store.UpdateDelivery(ctx, first, DeliveryProcessing)
		}
		return []StoredDelivery{first}, store.UpdateDelivery(ctx, first, DeliveryProcessing)
	}
	if i := slices.IndexFunc(due, interrupted); i > 0 {
		due = due[:i]
	}
	ids := make([]string, len(due))
	for i, d := range due {
		ids[i] = d.ID
	}
	return due, store.ClaimDeliveries(ctx, b.integration.Tenant, ids)
}

const interruptedKind = "interrupted"

// fail notes that a job failed, and when it is tried again.
func (b *batch) fail(ctx context.Context, j *job, cause error, final bool) error {
	s, d := b.service, j.stored
	d.Attempts++
	d.Types, d.Lanes = j.types(), j.lanes()
	d.Kind, d.Error = KindLabel(cause), redact.Text(cause.Error())
	d.State, d.NextAt = DeliveryFailed, time.Now().Add(max(retryPause(d.Attempts), RetryAfter(cause)))
	if final || d.Attempts >= s.webhooks.MaxAttempts {
		d.State, d.FinishedAt = DeliveryDead, time.Now()
	}
	if err := b.update(ctx, d); err != nil {
		return err
	}
	if d.State == DeliveryFailed {
		b.block(j, d.NextAt)
	}
	s.observe(withDelivery(ctx, d.ID), DeliveryAttemptFailed{Ref: d.Ref, Provider: d.Provider, DeliveryID: d.ID, Attempt: d.Attempts, Dead: d.State == DeliveryDead, Kind: d.Kind})
	return nil
}

// postpone gives a job back without an attempt.
func (b *batch) postpone(ctx context.Context, j *job, until time.Time) error {
	d := j.stored
	d.State, d.NextAt, d.Types, d.Lanes = DeliveryReceived, until, j.types(), j.lanes()
	if d.Attempts > 0 {
		d.State = DeliveryFailed
	}
	b.block(j, until)
	return b.update(ctx, d)
}

// update stores a job's new state, if this process still holds the lease.
func (b *batch) update(ctx context.Context, d StoredDelivery) error {
	d.Sealed = Sealed{} // as it is
	store := b.service.store
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return saveError("update delivery", store.Transact(ctx, func(ctx context.Context) error {
		if err := store.CheckLease(ctx, b.lease); err != nil {
			return err
		}
		return store.UpdateDelivery(ctx, d, DeliveryProcessing)
	}))
}

// retryPause is the pause before the next attempt: three times as long each time, and
// up to half of it less, so that what failed together does not come again together.
func retryPause(attempts int) time.Duration {
	pause := firstRetry
	for range min(attempts-1, 20) {
		pause = min(3*pause, lastRetry)
	}
	return pause - rand.N(pause/2)
}

// pruneInbox removes what is older than the retention.
func (s *Service) pruneInbox(ctx context.Context) error {
	before := time.Now().Add(-s.webhooks.Retention)
	for {
		n, err := s.store.PruneInbox(ctx, before, pruneSize)
		if err != nil || n < pruneSize {
			return wrap("prune inbox", ErrStore, err)
		}
	}
}
