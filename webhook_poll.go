package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

const (
	// pollSize is how many events are taken from a provider at once.
	pollSize = 50
	// pollTurns bounds how often a provider is asked in one DrainEvents.
	pollTurns    = 200
	pollLease    = time.Minute
	pollInterval = time.Minute
	eventWorkers = 4 // providers that are asked at once
)

// DrainEvents takes the events that the provider keeps for an integration into the inbox,
// from which they go the way of deliveries, and returns how many were taken. The provider
// is told that it may forget them once they are durable here: none is lost, and one that
// comes again is recognised. Call it now and then, for integrations whose adapter is an
// [EventPoller]; [Service.Run] does it for those with a registered webhook.
//
// Errors: ErrUnsupported (the adapter is no EventPoller), ErrConflict (another process is at
// it), those of [Service.Conn] and of the provider's answers, ErrStore.
func (s *Service) DrainEvents(ctx context.Context, ref Ref) (int, error) {
	conn, err := s.Conn(ctx, ref)
	if err != nil {
		return 0, err
	}
	poller, ok := As[EventPoller](conn.adapter)
	if !ok {
		return 0, &Error{Provider: conn.provider, Op: "drain events", Kind: ErrUnsupported, Outcome: OutcomeNotRun, Message: "the provider keeps no events"}
	}
	taken := 0
	err = s.leasedFor(ctx, LeaseName{Tenant: ref.Tenant, Name: "webhook-poll/" + ref.ID}, newID(time.Now()), pollLease, func(ctx context.Context, _ Lease) error {
		request := PollRequest{Limit: pollSize, Recover: true}
		for range pollTurns {
			set, err := poller.PollEvents(ctx, conn, request)
			if err != nil {
				return conn.failure("poll events", err)
			}
			if len(set.Events) > 0 {
				if err := s.keepPolled(ctx, conn, set.Events); err != nil {
					return err
				}
				taken += len(set.Events)
			}
			if set.Token != "" {
				if err := poller.AckEvents(ctx, conn, set); err != nil {
					return conn.failure("acknowledge events", err)
				}
			}
			if request.Recover = false; !set.More {
				return nil
			}
		}
		return nil
	})
	return taken, err
}

// keepPolled stores each event as a delivery of its own.
func (s *Service) keepPolled(ctx context.Context, conn *Conn, events []Event) error {
	rows := make([]StoredDelivery, len(events))
	for i, e := range events {
		body, err := json.Marshal([]Event{e})
		if err != nil {
			return &Error{Provider: conn.provider, Op: "poll events", Kind: ErrProtocol, Outcome: OutcomeRan, Message: "an event with a payload that is no JSON"}
		}
		now := time.Now()
		// What comes over our own call is the provider's; its events are hints all the same.
		row := StoredDelivery{ID: s.deliveryIDs.next(now), Ref: conn.Ref(), Provider: conn.provider, State: DeliveryReceived, ReceivedAt: now}
		row.DedupeKey = dedupeKey(e.ID, row.ID)
		row.Sealed, err = s.safe.SealRecord(ctx, deliveryPlace(row), marshalDelivery(Delivery{Body: body, ReceivedAt: now}))
		if err != nil {
			return err
		}
		rows[i] = row
	}
	_, err := s.insertDeliveries(ctx, rows)
	return wrap("insert events", ErrStore, err)
}

// findEvents has every provider asked that keeps events, where a webhook is registered.
func (s *Service) findEvents(ctx context.Context) error {
	store, ok := s.safe.store.(CredentialResealer)
	if !ok {
		return nil // nobody can list all tenants; the host calls DrainEvents
	}
	var after CredentialKey
	for {
		values, err := store.CredentialsNotSealedBy(ctx, nobody, after, 500)
		if err != nil || len(values) == 0 {
			return wrap("list credentials", ErrStore, err)
		}
		for _, v := range values {
			if after = v.CredentialKey; v.Name == webhookName {
				if err := s.engine.Enqueue(ctx, integrationJob(jobEvents, v.Ref)); err != nil {
					return err
				}
			}
		}
	}
}

// drainKept is the job of an integration whose provider may keep events. What fails is
// tried at the next look.
func (s *Service) drainKept(ctx context.Context, ref Ref) error {
	in, err := s.Get(ctx, ref)
	if err != nil || !in.Enabled || in.Status != StatusConnected {
		return nil
	}
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil || !CapabilitiesOf(adapter).Has(CanPollEvents) {
		return nil
	}
	if _, err := s.DrainEvents(ctx, ref); err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnsupported) && ctx.Err() == nil {
		s.logger.Warn("events not drained", "integration", ref.String(), "error", err)
	}
	return nil
}
