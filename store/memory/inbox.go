package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const deliveryList = "deliveries"

// inboxKey tells something within an integration.
type inboxKey struct {
	ref enlace.Ref
	key string
}

func deliveryKey(d enlace.StoredDelivery) enlace.Ref {
	return enlace.Ref{Tenant: d.Ref.Tenant, ID: d.ID}
}

func pending(d enlace.StoredDelivery) bool {
	return d.State != enlace.DeliveryDone && d.State != enlace.DeliveryDead
}

// InsertDeliveries implements [enlace.InboxStore].
func (s *Store) InsertDeliveries(ctx context.Context, deliveries []enlace.StoredDelivery) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var inserted []string
	for _, d := range deliveries {
		key := inboxKey{d.Ref, d.DedupeKey}
		if _, exists := s.dedupe.get(key); exists {
			continue
		}
		s.dedupe.set(s.undo, key, d.ID)
		s.deliveries.set(s.undo, deliveryKey(d), copyDelivery(d))
		inserted = append(inserted, d.ID)
	}
	return inserted, nil
}

// DueIntegrations implements [enlace.InboxStore].
func (s *Store) DueIntegrations(ctx context.Context, after enlace.Ref, limit int) ([]enlace.Ref, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	seen, at := map[enlace.Ref]bool{}, now()
	var refs []enlace.Ref
	for _, d := range s.deliveries.all() {
		if pending(d) && !d.NextAt.After(at) && !seen[d.Ref] && compareRefs(d.Ref, after) > 0 {
			seen[d.Ref] = true
			refs = append(refs, d.Ref)
		}
	}
	slices.SortFunc(refs, compareRefs)
	return refs[:min(len(refs), limit)], nil
}

func compareRefs(a, b enlace.Ref) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID))
}

// find returns copies of the deliveries that match, in order of their ids.
func (s *Store) find(match func(enlace.StoredDelivery) bool) []enlace.StoredDelivery {
	var found []enlace.StoredDelivery
	for _, d := range s.deliveries.all() {
		if match(d) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b enlace.StoredDelivery) int { return cmp.Compare(a.ID, b.ID) })
	return found
}

// DueDeliveries implements [enlace.InboxStore].
func (s *Store) DueDeliveries(ctx context.Context, ref enlace.Ref, limit int) ([]enlace.StoredDelivery, time.Time, error) {
	if err := s.begin(ctx); err != nil {
		return nil, time.Time{}, err
	}
	defer s.end(ctx)
	var next time.Time
	at := now()
	due := s.find(func(d enlace.StoredDelivery) bool {
		if d.Ref != ref || !pending(d) {
			return false
		}
		if next.IsZero() || d.NextAt.Before(next) {
			next = d.NextAt
		}
		return !d.NextAt.After(at)
	})
	if len(due) == 0 {
		return nil, next, nil
	}
	due = due[:min(len(due), limit)]
	for i := range due {
		due[i] = copyDelivery(due[i])
	}
	return due, time.Time{}, nil
}

// FailedDeliveries implements [enlace.InboxStore].
func (s *Store) FailedDeliveries(ctx context.Context, ref enlace.Ref, limit int) ([]enlace.StoredDelivery, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	failed := s.find(func(d enlace.StoredDelivery) bool { return d.Ref == ref && d.State == enlace.DeliveryFailed })
	return bare(failed[:min(len(failed), limit)]), nil
}

// ClaimDeliveries implements [enlace.InboxStore].
func (s *Store) ClaimDeliveries(ctx context.Context, tenant string, ids []string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, id := range ids {
		if d, exists := s.deliveries.get(enlace.Ref{Tenant: tenant, ID: id}); exists {
			d.State = enlace.DeliveryProcessing
			s.deliveries.set(s.undo, deliveryKey(d), d)
		}
	}
	return nil
}

// FinishDeliveries implements [enlace.InboxStore].
func (s *Store) FinishDeliveries(ctx context.Context, tenant string, deliveries []enlace.StoredDelivery) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, done := range deliveries {
		d, exists := s.deliveries.get(enlace.Ref{Tenant: tenant, ID: done.ID})
		if !exists || d.State != enlace.DeliveryProcessing {
			continue
		}
		d.State, d.FinishedAt, d.Kind, d.Error = enlace.DeliveryDone, now(), "", ""
		d.Types, d.Lanes = slices.Clone(done.Types), slices.Clone(done.Lanes)
		if !d.Signed {
			s.dedupe.delete(s.undo, inboxKey{d.Ref, d.DedupeKey})
			d.DedupeKey = d.ID
			s.dedupe.set(s.undo, inboxKey{d.Ref, d.DedupeKey}, d.ID)
		}
		s.deliveries.set(s.undo, deliveryKey(d), d)
	}
	return nil
}

// UpdateDelivery implements [enlace.InboxStore].
func (s *Store) UpdateDelivery(ctx context.Context, d enlace.StoredDelivery, from enlace.DeliveryState) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	stored, exists := s.deliveries.get(deliveryKey(d))
	if !exists || stored.State != from {
		return enlace.ErrConflict
	}
	stored.State, stored.Attempts, stored.Replays, stored.Edited = d.State, d.Attempts, d.Replays, d.Edited
	stored.NextAt, stored.FinishedAt, stored.Types, stored.Lanes = d.NextAt, d.FinishedAt, d.Types, d.Lanes
	stored.Kind, stored.Error = d.Kind, d.Error
	if d.Sealed.Data != nil {
		stored.Sealed = d.Sealed
	}
	s.deliveries.set(s.undo, deliveryKey(d), copyDelivery(stored))
	return nil
}

// Delivery implements [enlace.InboxStore].
func (s *Store) Delivery(ctx context.Context, tenant, id string) (enlace.StoredDelivery, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.StoredDelivery{}, err
	}
	defer s.end(ctx)
	d, exists := s.deliveries.get(enlace.Ref{Tenant: tenant, ID: id})
	if !exists {
		return enlace.StoredDelivery{}, enlace.ErrNotFound
	}
	return copyDelivery(d), nil
}

// Deliveries implements [enlace.InboxStore].
func (s *Store) Deliveries(ctx context.Context, q enlace.DeliveryQuery) ([]enlace.StoredDelivery, string, error) {
	var last string
	if q.Cursor != "" {
		var err error
		if last, err = page.Decode(deliveryList, q.Cursor); err != nil {
			return nil, "", err
		}
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	found := s.find(func(d enlace.StoredDelivery) bool {
		return d.Ref.Tenant == q.Tenant && (q.Integration == "" || d.Ref.ID == q.Integration) && (q.State == "" || d.State == q.State) &&
			(q.Kind == "" || d.Kind == q.Kind) && (q.Cursor == "" || d.ID < last)
	})
	slices.Reverse(found)
	cut, next := page.Cut(found, page.Size(q.Limit), deliveryList, func(d enlace.StoredDelivery) string { return d.ID })
	return bare(cut), next, nil
}

// DeadDeliveries implements [enlace.InboxStore].
func (s *Store) DeadDeliveries(ctx context.Context, tenant, integration string) ([]enlace.DeadDeliveryGroup, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	groups := map[inboxKey]enlace.DeadDeliveryGroup{}
	for _, d := range s.deliveries.all() {
		if d.State != enlace.DeliveryDead || d.Ref.Tenant != tenant || (integration != "" && d.Ref.ID != integration) {
			continue
		}
		g := groups[inboxKey{d.Ref, d.Kind}]
		g.Ref, g.Kind, g.Count = d.Ref, d.Kind, g.Count+1
		if d.ReceivedAt.After(g.Latest) {
			g.Latest = d.ReceivedAt
		}
		groups[inboxKey{d.Ref, d.Kind}] = g
	}
	var all []enlace.DeadDeliveryGroup
	for _, g := range groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b enlace.DeadDeliveryGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Ref.ID, b.Ref.ID), cmp.Compare(a.Kind, b.Kind))
	})
	return all, nil
}

// PruneInbox implements [enlace.InboxStore].
func (s *Store) PruneInbox(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	old := s.find(func(d enlace.StoredDelivery) bool { return !pending(d) && d.FinishedAt.Before(before) })
	old = old[:min(len(old), limit)]
	for _, d := range old {
		s.dropDelivery(d)
	}
	removed := len(old)
	for key, at := range s.events.all() {
		if at.Before(before) {
			s.events.delete(s.undo, key)
			removed++
		}
	}
	for key, r := range s.heard.all() {
		if r.at.Before(before) {
			s.heard.delete(s.undo, key)
			removed++
		}
	}
	return removed, nil
}

func (s *Store) dropDelivery(d enlace.StoredDelivery) {
	s.deliveries.delete(s.undo, deliveryKey(d))
	s.dedupe.delete(s.undo, inboxKey{d.Ref, d.DedupeKey})
}

// DeleteInbox implements [enlace.InboxStore].
func (s *Store) DeleteInbox(ctx context.Context, ref enlace.Ref) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, d := range s.find(func(d enlace.StoredDelivery) bool { return d.Ref == ref }) {
		s.dropDelivery(d)
	}
	for hash, of := range s.endpoints.all() {
		if of == ref {
			s.endpoints.delete(s.undo, hash)
		}
	}
	for key := range s.events.all() {
		if key.ref == ref {
			s.events.delete(s.undo, key)
		}
	}
	for key := range s.heard.all() {
		if key.ref == ref {
			s.heard.delete(s.undo, key)
		}
	}
	return nil
}

func copyDelivery(d enlace.StoredDelivery) enlace.StoredDelivery {
	d.Types, d.Lanes, d.Sealed.Data = slices.Clone(d.Types), slices.Clone(d.Lanes), bytes.Clone(d.Sealed.Data)
	for _, t := range []*time.Time{&d.SignedAt, &d.ReceivedAt, &d.NextAt, &d.FinishedAt} {
		if !t.IsZero() {
			*t = instant(*t)
		}
	}
	return d
}

// bare copies deliveries without what was sent.
func bare(deliveries []enlace.StoredDelivery) []enlace.StoredDelivery {
	for i, d := range deliveries {
		d.Sealed.Data = nil
		deliveries[i] = copyDelivery(d)
	}
	return deliveries
}
