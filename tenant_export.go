package enlace

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"
)

// ExportTenant writes what the store holds of a tenant to w, one JSON object per
// line: {"kind": "integration", "data": {…}}. Pages are read as they are written, so
// that its memory does not grow with what there is. Credentials are named and never
// given out. The data of records, changes, refused records, writes, conflicts and
// deliveries is opened, since it is the tenant's own; secrets in deliveries are masked as
// by InspectDelivery. Left out are leases, breakers, what tells repetitions of deliveries,
// and when deliveries last told of a record: they are about the work and not the tenant. It is
// written into the audit log before anything is given out. Errors: ErrStore, ErrKey,
// and those of w.
func (s *Service) ExportTenant(ctx context.Context, tenant string, w io.Writer) error {
	if err := s.RecordAudit(ctx, AuditEntry{Tenant: tenant, Action: "tenant.export", Result: AuditDone}); err != nil {
		return err
	}
	x := &tenantExport{service: s, tenant: tenant, encoder: json.NewEncoder(w)}
	for key, err := range s.safe.store.Credentials(ctx, tenant) {
		if err != nil {
			return wrap("export tenant", ErrStore, err)
		}
		x.write("credential", map[string]string{"integration": key.ID, "name": key.Name})
	}
	exportPages(x, "integration", func(cursor string) ([]Integration, string, error) {
		return s.List(ctx, IntegrationQuery{Tenant: tenant, Cursor: cursor, Limit: exportPage})
	}, func(in Integration) { x.integration(ctx, in.Ref) })
	exportPages(x, "run", func(cursor string) ([]Run, string, error) {
		return s.Runs(ctx, RunQuery{Tenant: tenant, Cursor: cursor, Limit: exportPage})
	})
	exportPages(x, "schedule", func(cursor string) ([]Schedule, string, error) {
		return s.store.Schedules(ctx, ScheduleQuery{Tenant: tenant, Cursor: cursor, Limit: exportPage})
	})
	x.work(ctx)
	x.operations(ctx)
	return x.err
}

// exportPage is how many rows are in memory at a time.
const exportPage = 100

// tenantExport writes lines until something fails.
type tenantExport struct {
	service *Service
	tenant  string
	encoder *json.Encoder
	err     error
}

func (x *tenantExport) write(kind string, data any) {
	if x.err == nil {
		x.err = x.encoder.Encode(map[string]any{"kind": kind, "data": data})
	}
}

// fail ends the export with what a store or a seal has returned.
func (x *tenantExport) fail(err error) {
	if x.err == nil {
		x.err = wrap("export tenant", ErrStore, err)
	}
}

// exportPages writes all pages of a list; with more it goes on with each row.
func exportPages[T any](x *tenantExport, kind string, list func(cursor string) ([]T, string, error), more ...func(T)) {
	eachExported(x, list, func(row T) {
		x.write(kind, row)
		for _, do := range more {
			do(row)
		}
	})
}

// eachExported calls do with every row of a list.
func eachExported[T any](x *tenantExport, list func(cursor string) ([]T, string, error), do func(T)) {
	for cursor := ""; x.err == nil; {
		rows, next, err := list(cursor)
		if err != nil {
			x.fail(err)
			return
		}
		for _, row := range rows {
			do(row)
		}
		if cursor = next; next == "" {
			return
		}
	}
}

// integration writes what belongs to one.
func (x *tenantExport) integration(ctx context.Context, ref Ref) {
	store := x.service.store
	exportPages(x, "mapping", func(cursor string) ([]MappingVersion, string, error) {
		return store.Mappings(ctx, MappingQuery{Ref: ref, Cursor: cursor, Limit: exportPage})
	})
	entities, err := store.KnownEntities(ctx, ref)
	if err != nil {
		x.fail(err)
	}
	for _, entity := range entities {
		x.entity(ctx, ref, entity)
	}
	eachExported(x, func(cursor string) ([]RefusedRecord, string, error) {
		return store.RefusedRecords(ctx, RefusedQuery{Ref: ref, Cursor: cursor, Limit: exportPage})
	}, func(r RefusedRecord) {
		whole, err := store.RefusedRecord(ctx, r.Key())
		if isKind(err, ErrNotFound) {
			return // settled meanwhile
		}
		if err == nil {
			whole.Data, err = x.service.openRefused(ctx, whole)
		}
		if err != nil {
			x.fail(err)
			return
		}
		x.write("refused_record", whole)
	})
	eachExported(x, func(cursor string) ([]JournalEntry, string, error) {
		return store.Journal(ctx, JournalQuery{Ref: ref, Cursor: cursor, Limit: exportPage})
	}, func(e JournalEntry) { x.journal(ctx, e) })
	eachExported(x, func(cursor string) ([]MissedRecord, string, error) {
		return store.MissedRecords(ctx, MissedQuery{Ref: ref, Cursor: cursor, Limit: exportPage})
	}, func(m MissedRecord) {
		x.write("missed_record", map[string]any{"integration": ref, "entity": m.Entity, "id": m.ID, "found_at": m.FoundAt})
	})
}

// exportedRecord is what is remembered of a record.
type exportedRecord struct {
	Integration Ref             `json:"integration"`
	Entity      string          `json:"entity"`
	ID          string          `json:"id"` // the provider's
	LocalID     string          `json:"local_id,omitempty"`
	Presence    Presence        `json:"presence"`
	Modified    time.Time       `json:"modified,omitzero"`
	Seen        time.Time       `json:"seen,omitzero"`
	UpdatedAt   time.Time       `json:"updated_at"`
	Data        json.RawMessage `json:"data,omitempty"` // its last synchronised state, where it is kept
}

// entity writes an entity's position and records.
func (x *tenantExport) entity(ctx context.Context, ref Ref, entity string) {
	store := x.service.store
	checkpoint, err := store.LoadCheckpoint(ctx, ref, entity)
	if err != nil {
		x.fail(err)
	}
	if checkpoint.Version > 0 {
		x.write("checkpoint", map[string]any{"integration": ref, "entity": entity, "mark": checkpoint.Mark, "resume": checkpoint.Resume,
			"updated_at": checkpoint.UpdatedAt})
	}
	eachExported(x, func(cursor string) ([]RecordState, string, error) {
		return store.RecordStates(ctx, RecordQuery{Ref: ref, Entity: entity, Cursor: cursor, Limit: exportPage})
	}, func(r RecordState) {
		line := exportedRecord{Integration: ref, Entity: entity, ID: r.ID, LocalID: r.LocalID, Presence: r.Presence, Modified: r.Modified,
			Seen: r.Seen, UpdatedAt: r.UpdatedAt}
		if r.Base != nil {
			data, err := x.service.safe.OpenRecord(ctx, basePlace(ref, entity, r.ID), r.Base)
			if err != nil {
				x.fail(err)
				return
			}
			line.Data = data
		}
		x.write("record", line)
	})
}

// journal writes one write of a push with what was there before.
func (x *tenantExport) journal(ctx context.Context, e JournalEntry) {
	line := struct {
		Integration Ref          `json:"integration"`
		RunID       string       `json:"run_id"`
		Number      int64        `json:"number"`
		Entity      string       `json:"entity"`
		Op          Operation    `json:"op"`
		LocalID     string       `json:"local_id,omitempty"`
		RemoteID    string       `json:"remote_id,omitempty"`
		State       JournalState `json:"state"`
		At          time.Time    `json:"at"`
		journalImage
	}{e.Ref, e.RunID, e.Number, e.Entity, e.Op, e.LocalID, e.RemoteID, e.State, e.At, journalImage{}}
	if e.Image != nil {
		var err error
		if line.journalImage, err = x.service.openImage(ctx, e); err != nil {
			x.fail(err)
			return
		}
	}
	x.write("write", line)
}

// work writes what waits, and what has come.
func (x *tenantExport) work(ctx context.Context) {
	s, tenant := x.service, x.tenant
	eachExported(x, func(cursor string) ([]OutgoingChange, string, error) {
		return s.store.Outgoing(ctx, OutgoingQuery{Tenant: tenant, Cursor: cursor, Limit: exportPage})
	}, func(row OutgoingChange) {
		letter := deadLetter(row)
		change, err := s.openOutgoing(ctx, row)
		if err != nil {
			x.fail(err)
			return
		}
		letter.Change = &change
		x.write("change", letter)
	})
	exportPages(x, "conflict", func(cursor string) ([]Conflict, string, error) {
		return s.Conflicts(ctx, ConflictQuery{Tenant: tenant, Cursor: cursor, Limit: exportPage})
	})
	eachExported(x, func(cursor string) ([]StoredDelivery, string, error) {
		return s.store.Deliveries(ctx, DeliveryQuery{Tenant: tenant, Cursor: cursor, Limit: exportPage})
	}, func(d StoredDelivery) { x.delivery(ctx, d.ID) })
}

// exportedDelivery is a delivery with what was sent, without secrets.
type exportedDelivery struct {
	StoredDelivery
	Method string      `json:"method,omitempty"` // empty for events that were fetched
	Path   string      `json:"path,omitempty"`
	Query  url.Values  `json:"query,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Body   string      `json:"body,omitempty"`
	Binary []byte      `json:"binary,omitempty"` // a body that is not text, in base64
}

func (x *tenantExport) delivery(ctx context.Context, id string) {
	stored, d, err := x.service.openDelivery(ctx, x.tenant, id)
	if isKind(err, ErrNotFound) {
		return // pruned meanwhile
	}
	if err != nil {
		x.fail(err)
		return
	}
	clean, err := x.service.deliveryRedactor(ctx, stored.Ref)
	if err != nil {
		x.fail(err)
		return
	}
	line := exportedDelivery{StoredDelivery: stored, Method: d.Method, Path: clean(d.URL.Path), Query: url.Values{}, Header: http.Header{}}
	for name, values := range d.URL.Query() {
		line.Query[name] = cleanAll(values, clean)
	}
	for name, values := range d.Header {
		line.Header[name] = cleanAll(values, clean)
	}
	if utf8.Valid(d.Body) {
		line.Body = redactBody(string(d.Body), isForm(d.Header), clean)
	} else {
		line.Binary = d.Body
	}
	x.write("delivery", line)
}

// operations writes what is known of the tenant's health, use, switches and history.
func (x *tenantExport) operations(ctx context.Context) {
	s, tenant := x.service, x.tenant
	exportPages(x, "health", func(cursor string) ([]Health, string, error) {
		return s.HealthList(ctx, HealthQuery{Tenant: tenant, Cursor: cursor, Limit: exportPage})
	})
	exportPages(x, "health_change", func(cursor string) ([]HealthChange, string, error) {
		return s.HealthChanges(ctx, HealthChangeQuery{Tenant: tenant, Cursor: cursor, Limit: exportPage})
	})
	exportPages(x, "maintenance", func(string) ([]Maintenance, string, error) {
		list, err := s.Maintenances(ctx, tenant)
		return list, "", err
	})
	eachExported(x, func(string) ([]MetricSeries, string, error) {
		m, err := s.Metrics(ctx, MetricsQuery{Tenant: tenant, From: time.Now().Add(-metricResolutions[2].keep), Step: 24 * time.Hour,
			GroupBy: GroupIntegration, Top: 1000})
		return m.Series, "", err
	}, func(series MetricSeries) {
		x.write("metrics", map[string]any{"integration": series.Name, "total": series.Total, "days": series.Points})
	})
	if tenant != "" { // its rules are everybody's
		exportPages(x, "flag", func(string) ([]FlagRule, string, error) {
			list, err := s.FlagRules(ctx, tenant)
			return list, "", err
		})
	}
	exportPages(x, "audit", func(cursor string) ([]AuditEntry, string, error) {
		return s.Audit(ctx, AuditQuery{Tenant: tenant, OldestFirst: true, Cursor: cursor, Limit: exportPage})
	})
}
