package enlace

import (
	"context"
	"time"
)

const (
	// gapGrace is how late a delivery may be without being missed.
	gapGrace = 5 * time.Minute
	// gapWindow is how far back polled changes are compared with deliveries. It
	// is well within the retention of what deliveries told.
	gapWindow = 7 * 24 * time.Hour
	// gapSlack is how much earlier than the change, by the provider's clock, the
	// delivery may have come by ours.
	gapSlack = time.Minute
	// gapNamed is how many records an observation names.
	gapNamed = 100
)

// noteChanges compares what polling has found changed with what deliveries have told,
// for integrations whose webhook is registered. What no delivery told of is kept for
// [Service.MissedRecords], and observed if there was time enough for it to come.
// since is when deliveries began to be expected; zero if they are not.
func (s *Service) noteChanges(ctx context.Context, in Integration, entity string, records []Record, since time.Time) {
	if since.IsZero() {
		return
	}
	now := time.Now()
	since = maxTime(since.Add(gapGrace), now.Add(-min(gapWindow, s.webhooks.Retention)))
	var ids []string
	changed := map[string]time.Time{}
	for _, r := range records {
		if r.Modified.After(since) && !r.Modified.After(now) {
			ids = append(ids, r.ID)
			changed[r.ID] = r.Modified
		}
	}
	if len(ids) == 0 {
		return
	}
	if err := s.noteMissed(ctx, in, entity, ids, changed, now); err != nil {
		s.logger.Warn("changes not compared with webhook deliveries", "integration", in.Ref.String(), "error", err)
	}
}

func (s *Service) noteMissed(ctx context.Context, in Integration, entity string, ids []string, changed map[string]time.Time, now time.Time) error {
	heard, err := s.store.HeardRecords(ctx, in.Ref, entity, ids)
	if err != nil {
		return err
	}
	var missed []RecordName
	gap := WebhookGap{Ref: in.Ref, Provider: in.Provider, Entity: entity}
	for _, id := range ids {
		if at, ok := heard[id]; ok && !at.Before(changed[id].Add(-gapSlack)) {
			continue
		}
		missed = append(missed, RecordName{Entity: entity, ID: id})
		if now.Sub(changed[id]) < gapGrace {
			continue
		}
		if gap.Records++; len(gap.IDs) < gapNamed {
			gap.IDs = append(gap.IDs, id)
		}
	}
	if len(missed) == 0 {
		return nil
	}
	if err := s.store.NoteMissed(ctx, in.Ref, missed, now); err != nil {
		return err
	}
	if gap.Records > 0 {
		s.logger.Warn("changes without webhook deliveries", "integration", in.Ref.String(), "entity", entity, "records", gap.Records)
		s.observe(ctx, gap)
	}
	return nil
}

// expectsDeliveries says since when the provider is to deliver, if it is.
func (s *Service) expectsDeliveries(ctx context.Context, ref Ref) (since time.Time, ok bool) {
	cred, err := s.safe.Get(ctx, webhookPlace(ref))
	if err != nil {
		return time.Time{}, false
	}
	since, err = time.Parse(time.RFC3339, cred.Attributes[sinceAttribute])
	return since, err == nil
}

// MissedRecords returns a page of the records of an integration that polling last found
// changed without a delivery that told of it, and the cursor of the next page. A record
// leaves the list when a delivery tells of it after all. It says nothing about
// integrations whose webhook was not registered by [Service.EnsureWebhook], and a change
// of the last minutes may only be late. Errors: ErrInvalid for a bad cursor, ErrStore.
func (s *Service) MissedRecords(ctx context.Context, q MissedQuery) ([]MissedRecord, string, error) {
	list, next, err := s.store.MissedRecords(ctx, q)
	return list, next, wrap("missed records", ErrStore, err)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
