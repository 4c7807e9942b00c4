package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var (
	healthChecks = []check{
		{"RoundTrip", healthRoundTrip},
		{"List", healthListing},
		{"Changes", healthChanges},
		{"Maintenance", healthMaintenance},
		{"EveryIntegration", everyIntegration},
	}
	metricChecks = []check{
		{"Query", metricQuery},
		{"At", metricsAt},
		{"Delete", metricsDelete},
		{"IntegrationCounts", integrationCounts},
	}
	flagChecks = []check{
		{"Rules", flagRules},
	}
	tenantChecks = []check{
		{"EraseTenant", eraseTenant},
		{"EraseSubject", eraseSubject},
		{"KnownEntities", knownEntities},
	}
)

func healthOf(tenant, id string, status enlace.HealthStatus) enlace.Health {
	return enlace.Health{Ref: ref(tenant, id), Provider: "crm", Status: status, Cause: enlace.CauseSlow, Summary: "é \"x\"",
		ResponseTime: 1234567, CheckedAt: base, Since: base.Add(-time.Hour), LastOK: base, NextCheck: base.Add(time.Minute), Evidence: "probe",
		Checks:  []enlace.HealthCheck{{Name: enlace.CheckSync, Status: enlace.HealthWarning, Detail: "d", Until: base}},
		Pending: enlace.HealthError, PendingChecks: 1, Maintenance: true, Alerted: enlace.HealthHealthy}
}

func healthRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "health comes back as it was saved last"
	_, err := s.Health(t.Context(), ref("acme", "one"))
	wantError(t, "health that was never saved is ErrNotFound", err, enlace.ErrNotFound)
	for _, status := range []enlace.HealthStatus{enlace.HealthError, enlace.HealthWarning} {
		noError(t, rule, s.SaveHealth(t.Context(), []enlace.Health{healthOf("acme", "one", status), healthOf("acme", "two", status)}, nil))
	}
	got, err := s.Health(t.Context(), ref("acme", "one"))
	noError(t, rule, err)
	equal(t, rule, got, healthOf("acme", "one", enlace.HealthWarning))
	_, err = s.Health(t.Context(), ref("Acme", "one"))
	wantError(t, "a tenant never sees another tenant's health", err, enlace.ErrNotFound)
	for range 2 {
		noError(t, "DeleteHealth may be repeated", s.DeleteHealth(t.Context(), ref("acme", "one")))
	}
	_, err = s.Health(t.Context(), ref("acme", "one"))
	wantError(t, "DeleteHealth removes it", err, enlace.ErrNotFound)
}

func healthListing(t *testing.T, s enlace.Store) {
	const rule = "HealthList gives the integrations that match, in order"
	var states []enlace.Health
	for i := range 10 {
		h := healthOf("acme", fmt.Sprint("i", i), []enlace.HealthStatus{enlace.HealthHealthy, enlace.HealthError}[i%2])
		h.Provider = fmt.Sprint("p", i%3)
		states = append(states, h)
	}
	noError(t, rule, s.SaveHealth(t.Context(), append(states, healthOf("other", "i1", enlace.HealthError)), nil))
	for _, c := range []struct {
		query enlace.HealthQuery
		want  int
	}{{enlace.HealthQuery{}, 10}, {enlace.HealthQuery{Status: enlace.HealthError}, 5}, {enlace.HealthQuery{Provider: "p0"}, 4},
		{enlace.HealthQuery{Provider: "p0", Status: enlace.HealthError}, 2}} {
		c.query.Tenant, c.query.Limit = "acme", 3
		var ids []string
		for {
			page, next, err := s.HealthList(t.Context(), c.query)
			noError(t, rule, err)
			for _, h := range page {
				ids = append(ids, h.Ref.ID)
			}
			if c.query.Cursor = next; next == "" {
				break
			}
		}
		equal(t, fmt.Sprintf("%s: %+v", rule, c.query), len(ids), c.want)
	}
	_, _, err := s.HealthList(t.Context(), enlace.HealthQuery{Tenant: "acme", Cursor: "bad"})
	wantError(t, "a bad cursor is ErrInvalid", err, enlace.ErrInvalid)
}

func healthChanges(t *testing.T, s enlace.Store) {
	const rule = "HealthChanges gives what has changed, newest first"
	var changes []enlace.HealthChange
	for i := range 20 {
		changes = append(changes, enlace.HealthChange{Ref: ref("acme", fmt.Sprint("i", i%4)), Provider: "crm", At: base.Add(time.Duration(i/2) * time.Minute),
			From: enlace.HealthHealthy, To: enlace.HealthError, Cause: enlace.CauseReconnect, Summary: "s"})
	}
	noError(t, rule, s.SaveHealth(t.Context(), nil, changes[:15]))
	noError(t, rule, s.SaveHealth(t.Context(), nil, changes[15:]))
	all := func(q enlace.HealthChangeQuery) []enlace.HealthChange {
		t.Helper()
		q.Tenant, q.Limit = "acme", 3
		var got []enlace.HealthChange
		for {
			page, next, err := s.HealthChanges(t.Context(), q)
			noError(t, rule, err)
			got = append(got, page...)
			if q.Cursor = next; next == "" {
				return got
			}
		}
	}
	got := all(enlace.HealthChangeQuery{})
	equal(t, rule, len(got), 20)
	equal(t, rule, got[0], changes[19])
	for i := 1; i < len(got); i++ {
		if got[i].At.After(got[i-1].At) {
			t.Errorf("%s: %v comes after %v", rule, got[i].At, got[i-1].At)
		}
	}
	equal(t, rule+", of one integration", len(all(enlace.HealthChangeQuery{Integration: "i1"})), 5)
	equal(t, rule+", of a time", len(all(enlace.HealthChangeQuery{From: base.Add(2 * time.Minute), To: base.Add(4 * time.Minute)})), 4)
	n, err := s.DeleteHealthChanges(t.Context(), base.Add(5*time.Minute), 7)
	noError(t, rule, err)
	equal(t, "DeleteHealthChanges removes up to limit", n, 7)
	n, err = s.DeleteHealthChanges(t.Context(), base.Add(5*time.Minute), 100)
	noError(t, rule, err)
	equal(t, "DeleteHealthChanges removes what is older", n, 3)
	equal(t, "DeleteHealthChanges leaves what is not", len(all(enlace.HealthChangeQuery{})), 10)
}

func healthMaintenance(t *testing.T, s enlace.Store) {
	const rule = "maintenance windows come back as they were saved"
	window := func(tenant, id string, hours int) enlace.Maintenance {
		return enlace.Maintenance{Tenant: tenant, ID: id, Provider: "crm", Integration: "one", From: base, Until: base.Add(time.Duration(hours) * time.Hour), Reason: "r"}
	}
	for _, m := range []enlace.Maintenance{window("acme", "b", 2), window("acme", "a", 1), window("acme", "a", 3), window("other", "a", 2)} {
		noError(t, rule, s.SaveMaintenance(t.Context(), m))
	}
	got, err := s.Maintenances(t.Context(), "acme", base)
	noError(t, rule, err)
	equal(t, rule, got, []enlace.Maintenance{window("acme", "b", 2), window("acme", "a", 3)})
	got, err = s.Maintenances(t.Context(), "acme", base.Add(2*time.Hour))
	noError(t, rule, err)
	equal(t, "a window that has ended is left out", len(got), 1)
	got, err = s.EveryMaintenance(t.Context(), base)
	noError(t, rule, err)
	equal(t, "EveryMaintenance gives those of all tenants", len(got), 3)
	noError(t, rule, s.DeleteMaintenance(t.Context(), "acme", "a"))
	wantError(t, "DeleteMaintenance of none is ErrNotFound", s.DeleteMaintenance(t.Context(), "acme", "a"), enlace.ErrNotFound)
	wantError(t, "a tenant never removes another tenant's window", s.DeleteMaintenance(t.Context(), "acme", "x"), enlace.ErrNotFound)
}

func everyIntegration(t *testing.T, s enlace.Store) {
	const rule = "EveryIntegration gives those of all tenants, in order"
	var want []enlace.Ref
	for _, tenant := range []string{"", "a", "b"} {
		for i := range 5 {
			in := integration(tenant, fmt.Sprint("i", i))
			noError(t, rule, s.CreateIntegration(t.Context(), in))
			want = append(want, in.Ref)
		}
	}
	var got []enlace.Ref
	for after := (enlace.Ref{}); ; {
		page, err := s.EveryIntegration(t.Context(), after, 4)
		noError(t, rule, err)
		for _, in := range page {
			got = append(got, in.Ref)
			after = in.Ref
		}
		if len(page) < 4 {
			break
		}
	}
	equal(t, rule, got, want)
}

func chunk(tenant, scope, name string, hour int, node, points string) enlace.MetricChunk {
	return enlace.MetricChunk{MetricKey: enlace.MetricKey{Resolution: time.Minute, Tenant: tenant, Scope: scope, Name: name,
		Start: base.Truncate(time.Hour).Add(time.Duration(hour) * time.Hour), Node: node}, Points: []byte(points)}
}

func metricQuery(t *testing.T, s enlace.Store) {
	const rule = "Metrics gives the chunks that match, in order"
	var all []enlace.MetricChunk
	for _, name := range []string{"a", "b", "c"} {
		for hour := range 6 {
			for _, node := range []string{"", "n1"} {
				all = append(all, chunk("acme", "integration", name, hour, node, fmt.Sprint(name, hour, "\x00", node)))
			}
		}
	}
	other := []enlace.MetricChunk{chunk("acme", "tenant", "", 0, "", "t"), chunk("Acme", "integration", "a", 0, "", "o")}
	coarse := chunk("acme", "integration", "a", 0, "", "day")
	coarse.Resolution = time.Hour
	noError(t, rule, s.SaveMetrics(t.Context(), append(append(other, coarse), all...)))
	read := func(q enlace.MetricChunkQuery) []enlace.MetricChunk {
		t.Helper()
		q.Resolution, q.Tenant = time.Minute, "acme"
		if q.To.IsZero() {
			q.To = base.Add(24 * time.Hour)
		}
		var got []enlace.MetricChunk
		for {
			page, err := s.Metrics(t.Context(), q)
			noError(t, rule, err)
			got = append(got, page...)
			if len(page) < q.Limit || len(page) == 0 {
				return got
			}
			q.After = page[len(page)-1].MetricKey
		}
	}
	for _, limit := range []int{5, 36, 1000} {
		equal(t, rule, read(enlace.MetricChunkQuery{Scope: "integration", Limit: limit}), all)
		equal(t, rule+", of one name", read(enlace.MetricChunkQuery{Scope: "integration", Name: "b", Limit: limit}), all[12:24])
	}
	start := all[0].Start
	equal(t, rule+", of a time", len(read(enlace.MetricChunkQuery{Scope: "integration", From: start.Add(2 * time.Hour), To: start.Add(4 * time.Hour), Limit: 7})), 12)
	equal(t, rule+", of another scope", read(enlace.MetricChunkQuery{Scope: "tenant", Limit: 7}), other[:1])

	all[3].Points = []byte("newer")
	noError(t, rule, s.SaveMetrics(t.Context(), all[3:4]))
	equal(t, "SaveMetrics replaces a chunk", read(enlace.MetricChunkQuery{Scope: "integration", Limit: 1000}), all)
}

func metricsAt(t *testing.T, s enlace.Store) {
	const rule = "MetricsAt gives the chunks of all tenants with that start"
	var want []enlace.MetricChunk
	for _, tenant := range []string{"", "a", "b"} {
		for _, scope := range []string{"integration", "tenant"} {
			for _, node := range []string{"", "n1", "n2"} {
				want = append(want, chunk(tenant, scope, "x", 1, node, tenant+scope+node))
			}
		}
	}
	noError(t, rule, s.SaveMetrics(t.Context(), append([]enlace.MetricChunk{chunk("a", "tenant", "x", 0, "", "early"), chunk("a", "tenant", "x", 3, "", "late")}, want...)))
	var got []enlace.MetricChunk
	for after := (enlace.MetricKey{}); ; {
		page, err := s.MetricsAt(t.Context(), time.Minute, want[0].Start, after, 4)
		noError(t, rule, err)
		got = append(got, page...)
		if len(page) < 4 {
			break
		}
		after = page[3].MetricKey
	}
	equal(t, rule, got, want)
	starts, err := s.MetricStarts(t.Context(), time.Minute)
	noError(t, rule, err)
	first := want[0].Start.Add(-time.Hour)
	equal(t, "MetricStarts gives the different starts", starts, []time.Time{first, first.Add(time.Hour), first.Add(3 * time.Hour)})
}

func metricsDelete(t *testing.T, s enlace.Store) {
	const rule = "DeleteMetrics removes what is older"
	var all []enlace.MetricChunk
	for hour := range 10 {
		all = append(all, chunk("a", "tenant", "x", hour, "", "p"))
	}
	kept := chunk("a", "tenant", "x", 0, "", "coarse")
	kept.Resolution = time.Hour
	noError(t, rule, s.SaveMetrics(t.Context(), append(all, kept)))
	for _, want := range []int{4, 2, 0} {
		n, err := s.DeleteMetrics(t.Context(), time.Minute, all[6].Start, 4)
		noError(t, rule, err)
		equal(t, rule, n, want)
	}
	left, err := s.Metrics(t.Context(), enlace.MetricChunkQuery{Resolution: time.Hour, Tenant: "a", Scope: "tenant", To: base.Add(time.Hour)})
	noError(t, rule, err)
	equal(t, "DeleteMetrics leaves other resolutions alone", len(left), 1)
	if !bytes.Equal(left[0].Points, []byte("coarse")) {
		t.Errorf("%q", left[0].Points)
	}
}

func integrationCounts(t *testing.T, s enlace.Store) {
	const rule = "IntegrationCounts counts by provider"
	for i, status := range []enlace.Status{enlace.StatusConnected, enlace.StatusConnected, enlace.StatusNeedsReauth, enlace.StatusPending, enlace.StatusConnected} {
		in := integration("acme", fmt.Sprint("i", i))
		in.Status, in.Enabled, in.Provider = status, i != 1, "crm"
		if i == 4 {
			in.Provider = "zoo"
		}
		noError(t, rule, s.CreateIntegration(t.Context(), in))
	}
	noError(t, rule, s.CreateIntegration(t.Context(), integration("other", "i0")))
	got, err := s.IntegrationCounts(t.Context(), "acme")
	noError(t, rule, err)
	equal(t, rule, got, []enlace.IntegrationCount{{Provider: "crm", Total: 4, Active: 1, Attention: 1}, {Provider: "zoo", Total: 1, Active: 1}})
}

func flagRules(t *testing.T, s enlace.Store) {
	const rule = "flag rules come back as they were set"
	r := func(flag enlace.Flag, target enlace.FlagTarget, enabled bool) enlace.FlagRule {
		return enlace.FlagRule{Flag: flag, Target: target, Enabled: enabled, Reason: "é", SetBy: "ana", UpdatedAt: base}
	}
	a, b := enlace.FlagTarget{}, enlace.FlagTarget{Tenant: "acme", Provider: "crm", Integration: "i", Entity: "deals"}
	for _, set := range []enlace.FlagRule{r("x", b, false), r("x", a, true), r("w", b, true), r("x", b, true)} {
		noError(t, rule, s.SetFlagRule(t.Context(), set))
	}
	got, err := s.FlagRules(t.Context())
	noError(t, rule, err)
	equal(t, rule, got, []enlace.FlagRule{r("w", b, true), r("x", a, true), r("x", b, true)})
	noError(t, rule, s.DeleteFlagRule(t.Context(), "x", a))
	wantError(t, "DeleteFlagRule of none is ErrNotFound", s.DeleteFlagRule(t.Context(), "x", a), enlace.ErrNotFound)
	got, err = s.FlagRules(t.Context())
	noError(t, rule, err)
	equal(t, rule, len(got), 2)
}

// furnish stores something of many kinds for a tenant.
func furnish(t *testing.T, s enlace.Store, tenant string) {
	t.Helper()
	const rule = "a row is stored"
	r := ref(tenant, "one")
	noError(t, rule, s.CreateIntegration(t.Context(), integration(tenant, "one")))
	noError(t, rule, put(t.Context(), s, key(tenant, "one", "account"), "sealed"))
	noError(t, rule, s.SaveCheckpoint(t.Context(), r, "deals", enlace.Checkpoint{Mark: "m"}))
	noError(t, rule, s.SaveRun(t.Context(), run(tenant, "r1", "one", base)))
	noError(t, rule, s.AppendAudit(t.Context(), auditEntry(tenant, 1, nil)))
	noError(t, rule, s.SaveHealth(t.Context(), []enlace.Health{healthOf(tenant, "one", enlace.HealthError)}, []enlace.HealthChange{{Ref: r, At: base}}))
	noError(t, rule, s.SaveMaintenance(t.Context(), enlace.Maintenance{Tenant: tenant, ID: "m", Until: base}))
	noError(t, rule, s.SaveMetrics(t.Context(), []enlace.MetricChunk{chunk(tenant, "tenant", "", 0, "", "p")}))
	noError(t, rule, s.SetFlagRule(t.Context(), enlace.FlagRule{Flag: "x", Target: enlace.FlagTarget{Tenant: tenant}, UpdatedAt: base}))
	noError(t, rule, s.SaveEndpoint(t.Context(), r, "hash of "+tenant))
	_, err := s.AcquireLease(t.Context(), enlace.LeaseName{Tenant: tenant, Name: "work"}, "a", time.Hour)
	noError(t, rule, err)
}

func eraseTenant(t *testing.T, s enlace.Store) {
	const rule = "EraseTenant removes every row of the tenant and no other"
	furnish(t, s, "gone")
	furnish(t, s, "stays")
	removed, err := s.EraseTenant(t.Context(), "gone")
	noError(t, rule, err)
	for _, what := range []string{"integrations", "credentials", "checkpoints", "runs", "audit", "health", "health_changes", "maintenance", "metrics",
		"flags", "webhook_endpoints", "leases"} {
		if removed[what] != 1 {
			t.Errorf("%s: %d rows of %s", rule, removed[what], what)
		}
	}
	_, err = s.Integration(t.Context(), ref("gone", "one"))
	wantError(t, rule, err, enlace.ErrNotFound)
	head, err := s.AuditHead(t.Context(), "gone")
	noError(t, rule, err)
	equal(t, rule, head.Seq, int64(0))
	again, err := s.EraseTenant(t.Context(), "gone")
	noError(t, "EraseTenant may be repeated", err)
	equal(t, "EraseTenant may be repeated", len(again), 0)
	rest, err := s.EraseTenant(t.Context(), "stays")
	noError(t, rule, err)
	equal(t, "EraseTenant leaves other tenants alone", rest, removed)
}

func eraseSubject(t *testing.T, s enlace.Store) {
	const rule = "EraseSubject removes what is about the record and nothing else"
	r := ref("acme", "one")
	noError(t, rule, s.CreateIntegration(t.Context(), integration("acme", "one")))
	at := base
	noError(t, rule, s.NoteHeard(t.Context(), r, []enlace.RecordName{{Entity: "contacts", ID: "7"}, {Entity: "contacts", ID: "77"}, {Entity: "deals", ID: "7"}}, at))
	_, err := s.InsertDeliveries(t.Context(), []enlace.StoredDelivery{
		{ID: "d1", Ref: r, State: enlace.DeliveryReceived, Lanes: []string{"contacts/7"}, DedupeKey: "a", ReceivedAt: at, NextAt: at, Sealed: enlace.Sealed{Data: []byte("x")}},
		{ID: "d2", Ref: r, State: enlace.DeliveryReceived, Lanes: []string{"contacts/77", "deals/7"}, DedupeKey: "b", ReceivedAt: at, NextAt: at, Sealed: enlace.Sealed{Data: []byte("x")}},
	})
	noError(t, rule, err)
	removed, err := s.EraseSubject(t.Context(), "other", enlace.SubjectRecord{Entity: "contacts", ID: "7"})
	noError(t, rule, err)
	equal(t, "EraseSubject leaves other tenants alone", len(removed), 0)
	removed, err = s.EraseSubject(t.Context(), "acme", enlace.SubjectRecord{Integration: "two", Entity: "contacts", ID: "7"})
	noError(t, rule, err)
	equal(t, "EraseSubject leaves other integrations alone", len(removed), 0)
	removed, err = s.EraseSubject(t.Context(), "acme", enlace.SubjectRecord{Entity: "contacts", ID: "7"})
	noError(t, rule, err)
	equal(t, rule, removed, map[string]int{"webhook_records": 1, "deliveries": 1})
	heard, err := s.HeardRecords(t.Context(), r, "contacts", []string{"7", "77"})
	noError(t, rule, err)
	equal(t, rule, len(heard), 1)
	_, err = s.Delivery(t.Context(), "acme", "d2")
	noError(t, rule, err)
}

func knownEntities(t *testing.T, s enlace.Store) {
	const rule = "KnownEntities names what has a checkpoint or states of records"
	one := ref("acme", "one")
	state := []enlace.RecordState{{ID: "1", Presence: enlace.RecordPresent}, {ID: "2", Presence: enlace.RecordPresent}}
	noError(t, rule, s.SaveRecordStates(t.Context(), one, "deals", state))
	noError(t, rule, s.SaveRecordStates(t.Context(), one, "contacts", state))
	noError(t, rule, s.SaveCheckpoint(t.Context(), one, "deals", enlace.Checkpoint{Mark: "m"}))
	noError(t, rule, s.SaveCheckpoint(t.Context(), one, "notes", enlace.Checkpoint{Mark: "m"}))
	noError(t, rule, s.SaveCheckpoint(t.Context(), ref("acme", "two"), "tasks", enlace.Checkpoint{Mark: "m"}))
	noError(t, rule, s.SaveRecordStates(t.Context(), ref("other", "one"), "users", state))
	known, err := s.KnownEntities(t.Context(), one)
	noError(t, rule, err)
	equal(t, rule, known, []string{"contacts", "deals", "notes"})
	known, err = s.KnownEntities(t.Context(), ref("nobody", "one"))
	noError(t, rule, err)
	equal(t, rule, len(known), 0)
}
