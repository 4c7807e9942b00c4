package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

// EraseTenant implements [enlace.TenantStore].
func (s *Store) EraseTenant(ctx context.Context, tenant string) (map[string]int, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	e := eraser{undo: s.undo, removed: map[string]int{}}
	eraseRows(e, &s.integrations, "integrations", func(k enlace.Ref, _ enlace.Integration) bool { return k.Tenant == tenant })
	eraseRows(e, &s.credentials, "credentials", func(k enlace.CredentialKey, _ credential) bool { return k.Tenant == tenant })
	eraseRows(e, &s.checkpoints, "checkpoints", func(k entityKey, _ enlace.Checkpoint) bool { return k.Tenant == tenant })
	eraseRows(e, &s.schedules, "schedules", func(k enlace.Ref, _ enlace.Schedule) bool { return k.Tenant == tenant })
	eraseRows(e, &s.runs, "runs", func(k enlace.Ref, _ enlace.Run) bool { return k.Tenant == tenant })
	eraseRows(e, &s.leases, "leases", func(k enlace.LeaseName, _ enlace.Lease) bool { return k.Tenant == tenant })
	eraseRows(e, &s.mappings, "mappings", func(k enlace.MappingKey, _ enlace.MappingVersion) bool { return k.Ref.Tenant == tenant })
	eraseRows(e, &s.refused, "refused_records", func(k refusedKey, _ enlace.RefusedRecord) bool { return k.Tenant == tenant })
	eraseRows(e, &s.endpoints, "webhook_endpoints", func(_ string, v enlace.Ref) bool { return v.Tenant == tenant })
	eraseRows(e, &s.deliveries, "deliveries", func(k enlace.Ref, _ enlace.StoredDelivery) bool { return k.Tenant == tenant })
	eraseRows(e, &s.dedupe, "dedupe", func(k inboxKey, _ string) bool { return k.ref.Tenant == tenant })
	eraseRows(e, &s.events, "webhook_events", func(k inboxKey, _ time.Time) bool { return k.ref.Tenant == tenant })
	eraseRows(e, &s.heard, "webhook_records", func(k recordKey, _ heardRecord) bool { return k.ref.Tenant == tenant })
	eraseList(e, &s.audit, "audit", tenant)
	eraseRows(e, &s.health, "health", func(k enlace.Ref, _ enlace.Health) bool { return k.Tenant == tenant })
	eraseList(e, &s.changes, "health_changes", tenant)
	eraseRows(e, &s.maintenance, "maintenance", func(k enlace.Ref, _ enlace.Maintenance) bool { return k.Tenant == tenant })
	eraseRows(e, &s.metrics, "metrics", func(k enlace.MetricKey, _ []byte) bool { return k.Tenant == tenant })
	eraseRows(e, &s.flags, "flags", func(k flagKey, _ enlace.FlagRule) bool { return k.target.Tenant == tenant })
	eraseRows(e, &s.journal, "push_journal", func(k journalKey, _ enlace.JournalEntry) bool { return k.Tenant == tenant })
	eraseRows(e, &s.openEntries, "open_entries", func(k journalKey, _ struct{}) bool { return k.Tenant == tenant })
	eraseRows(e, &s.outgoing, "outgoing_changes", func(k enlace.OutgoingKey, _ enlace.OutgoingChange) bool { return k.Ref.Tenant == tenant })
	eraseRows(e, &s.conflicts, "sync_conflicts", func(k conflictKey, _ enlace.ConflictRow) bool { return k.Tenant == tenant })
	eraseRows(e, &s.breakers, "breakers", func(k enlace.BreakerName, _ openBreaker) bool { return k.Ref.Tenant == tenant })
	for k := range s.records {
		if k.Tenant == tenant {
			e.removed["records"] += s.records[k].byID.len()
			eraseRows(eraser{undo: s.undo, removed: map[string]int{}}, &s.records[k].byID, "", func(string, enlace.RecordState) bool { return true })
			eraseRows(eraser{undo: s.undo, removed: map[string]int{}}, &s.records[k].byLocal, "", func(string, string) bool { return true })
		}
	}
	return e.removed, nil
}

// EraseSubject implements [enlace.TenantStore].
func (s *Store) EraseSubject(ctx context.Context, tenant string, r enlace.SubjectRecord) (map[string]int, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	about := func(ref enlace.Ref, entity, id, localID string) bool {
		return ref.Tenant == tenant && (r.Integration == "" || r.Integration == ref.ID) && (entity == "" || entity == r.Entity) &&
			(r.ID != "" && r.ID == id || r.LocalID != "" && r.LocalID == localID)
	}
	e := eraser{undo: s.undo, removed: map[string]int{}}
	for k, rows := range s.records {
		if k.entity != r.Entity {
			continue
		}
		eraseRows(e, &rows.byID, "records", func(id string, v enlace.RecordState) bool { return about(k.Ref, k.entity, id, v.LocalID) })
		eraseRows(eraser{undo: s.undo, removed: map[string]int{}}, &rows.byLocal, "", func(localID, id string) bool { return about(k.Ref, k.entity, id, localID) })
	}
	eraseRows(e, &s.journal, "push_journal", func(k journalKey, v enlace.JournalEntry) bool { return about(k.Ref, v.Entity, v.RemoteID, v.LocalID) })
	eraseRows(eraser{undo: s.undo, removed: map[string]int{}}, &s.openEntries, "", func(k journalKey, _ struct{}) bool {
		_, stays := s.journal.get(k)
		return !stays
	})
	eraseRows(e, &s.outgoing, "outgoing_changes", func(k enlace.OutgoingKey, _ enlace.OutgoingChange) bool { return about(k.Ref, k.Entity, "", k.LocalID) })
	eraseRows(e, &s.conflicts, "sync_conflicts", func(k conflictKey, v enlace.ConflictRow) bool { return about(k.Ref, v.Entity, v.RemoteID, v.LocalID) })
	eraseRows(e, &s.refused, "refused_records", func(_ refusedKey, v enlace.RefusedRecord) bool { return about(v.Ref, v.Entity, v.RecordID, "") })
	eraseRows(e, &s.heard, "webhook_records", func(k recordKey, _ heardRecord) bool { return about(k.ref, k.name.Entity, k.name.ID, "") })
	lane := r.Entity + "/" + r.ID
	eraseRows(e, &s.deliveries, "deliveries", func(_ enlace.Ref, v enlace.StoredDelivery) bool {
		return r.ID != "" && about(v.Ref, "", r.ID, "") && slices.Contains(v.Lanes, lane)
	})
	return e.removed, nil
}

// eraser counts what it removes.
type eraser struct {
	undo    *undoLog
	removed map[string]int
}

func eraseRows[K comparable, V any](e eraser, t *table[K, V], what string, match func(K, V) bool) {
	for key, row := range t.all() {
		if match(key, row) {
			t.delete(e.undo, key)
			e.removed[what]++
		}
	}
}

// eraseList removes a tenant's list and counts what was in it.
func eraseList[V any](e eraser, t *table[string, []V], what, tenant string) {
	if rows, ok := t.get(tenant); ok {
		t.delete(e.undo, tenant)
		e.removed[what] += len(rows)
	}
}

// KnownEntities implements [enlace.TenantStore].
func (s *Store) KnownEntities(ctx context.Context, ref enlace.Ref) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	known := map[string]bool{}
	for key, rows := range s.records {
		if key.Ref == ref && rows.byID.len() > 0 {
			known[key.entity] = true
		}
	}
	for key := range s.checkpoints.all() {
		if key.Ref == ref {
			known[key.entity] = true
		}
	}
	return slices.Sorted(maps.Keys(known)), nil
}
