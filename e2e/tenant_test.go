package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/live"
	"github.com/enlace-go/enlace/store/sqlite"
)

// exportedAs says of every table with a column "tenant" as which lines of an export its
// rows come out, or why they do not.
var exportedAs = map[string]string{
	"integrations": "integration", "credentials": "credential", "checkpoints": "checkpoint", "runs": "run", "schedules": "schedule",
	"mappings": "mapping", "records": "record", "refused_records": "refused_record", "push_journal": "write",
	"outgoing_changes": "change", "sync_conflicts": "conflict", "deliveries": "delivery", "health": "health",
	"health_changes": "health_change", "maintenance": "maintenance", "metrics": "metrics", "flags": "flag", "audit": "audit",

	"leases":            "", // who works on what at the moment
	"breakers":          "", // whether the provider is left alone at the moment
	"audit_heads":       "", // the hash of the last entry, which is exported with it
	"webhook_endpoints": "", // hashes of secrets in addresses
	"webhook_events":    "", // keys by which repetitions are known
	"webhook_records":   "", // when deliveries last told of a record; those that told nothing of a change come out as missed_record
}

// clients is a host's table of contacts with one row.
type clients struct {
	id, remote string
	data       json.RawMessage
	changed    bool
}

// Changes implements enlace.Source.
func (c *clients) Changes(_ context.Context, q enlace.ChangeQuery) ([]enlace.Change, string, error) {
	asked := slices.Contains(q.IDs, c.id) || slices.Contains(q.RemoteIDs, c.remote)
	if named := len(q.IDs)+len(q.RemoteIDs) > 0; q.After != "" || !c.changed || named && !asked {
		return nil, "", nil
	}
	return []enlace.Change{{ID: c.id, Data: c.data}}, "", nil
}

// Accepted implements enlace.Source.
func (c *clients) Accepted(_ context.Context, a enlace.AcceptedChanges) error {
	for _, accepted := range a.Changes {
		c.changed, c.remote = false, accepted.RemoteID
	}
	return nil
}

// What the store holds of a tenant is exported, table by table, and erased, and nothing of
// another tenant. A table that is added has to be in exportedAs.
func TestEveryTableOfATenant(t *testing.T) {
	path := stores["sqlite"].prepare(t)
	backend, err := stores["sqlite"].open(t.Context(), path, 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	store := backend.(*sqlite.Store)
	t.Cleanup(func() { _ = store.Close() })
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	p := fake.New(fake.Options{})
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(p.Adapter()), Transport: p, Store: store, Keys: keys, Mappings: live.Engine{},
		Webhooks: enlace.WebhookConfig{PublicURL: "https://host.example/hooks"},
		Sink:     enlace.SinkFunc(func(context.Context, enlace.Batch) (enlace.Changes, error) { return enlace.Changes{}, nil })})
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"acme", "other"} {
		tenantWithEverything(t, service, p, tenant)
	}
	before := map[string]map[string]int{}
	for _, tenant := range []string{"acme", "other"} {
		before[tenant] = rowsOf(t, store, tenant)
		for table, kind := range exportedAs {
			if n := before[tenant][table]; kind != "" && n == 0 && table != "metrics" { // which are saved minute by minute
				t.Errorf("the test makes no row of %s for %s", table, tenant)
			}
		}
	}
	for table := range before["acme"] {
		if _, known := exportedAs[table]; !known {
			t.Errorf("%s has rows of tenants and is not in the list: is it exported?", table)
		}
	}

	var export bytes.Buffer
	if err := service.ExportTenant(t.Context(), "acme", &export); err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for decoder := json.NewDecoder(bytes.NewReader(export.Bytes())); decoder.More(); {
		var line struct{ Kind string }
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines[line.Kind]++
	}
	for table, kind := range exportedAs {
		if kind != "" && lines[kind] == 0 && table != "metrics" {
			t.Errorf("no row of %s is exported: %v", table, lines)
		}
	}
	for _, want := range []string{"kept of acme", "forty of acme", "waits of acme", "conflict of acme", "told of acme", "there before of acme"} {
		if !strings.Contains(export.String(), want) {
			t.Errorf("the data %q is not in the export", want)
		}
	}
	for _, no := range []string{"of other", p.APIKey().Secrets["api_key"].Reveal()} {
		if strings.Contains(export.String(), no) {
			t.Errorf("%q is in the export", no)
		}
	}

	if _, err := service.EraseTenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if left := rowsOf(t, store, "acme"); !maps.Equal(left, zero(left)) {
		t.Errorf("left of the erased tenant: %v", left)
	}
	if now := rowsOf(t, store, "other"); !maps.Equal(now, before["other"]) {
		t.Errorf("the other tenant had %v and has %v", before["other"], now)
	}
}

func zero(of map[string]int) map[string]int {
	none := maps.Clone(of)
	for table := range none {
		none[table] = 0
	}
	return none
}

// rowsOf counts the rows of a tenant in every table that has any of tenants.
func rowsOf(t *testing.T, store *sqlite.Store, tenant string) map[string]int {
	t.Helper()
	tables, err := store.DB().QueryContext(t.Context(), `SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c ON c.name = 'tenant' WHERE m.type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	var names []string
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := errors.Join(tables.Err(), tables.Close()); err != nil || len(names) < 15 {
		t.Fatalf("%d tables, %v", len(names), err)
	}
	counts := map[string]int{}
	for _, name := range names {
		var n int
		if err := store.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM `+name+` WHERE tenant = ?`, tenant).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts[strings.TrimPrefix(name, "enlace_")] = n
	}
	return counts
}

// tenantWithEverything lets a tenant do a bit of everything.
func tenantWithEverything(t *testing.T, service *enlace.Service, p *fake.Provider, tenant string) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	of := func(text string) string { return text + " of " + tenant }
	account := p.APIKey()
	in, err := service.Create(ctx, enlace.NewIntegration{Tenant: tenant, Provider: fake.Name, Credential: &account})
	must(err)
	ref := in.Ref

	// Pulls: records, one kept, one that the mapping refuses.
	p.Put("companies", tenant+"1", map[string]any{"name": of("kept")})
	_, err = service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"companies"}, Keep: true})
	must(err)
	p.Put("deals", tenant+"1", map[string]any{"name": of("forty"), "age": "forty"})
	document, err := live.Document(mapping.Mapping{Name: "deals", Fields: []mapping.Field{{From: "age", To: "age", Type: mapping.Integer}}})
	must(err)
	version, err := service.SaveMapping(ctx, enlace.MappingVersion{Ref: ref, Entity: "deals", Document: document})
	must(err)
	_, err = service.ActivateMapping(ctx, version)
	must(err)
	_, err = service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"deals"}})
	must(err)

	// Pushes: a write with what was there before, one that waits, and a conflict.
	p.Put("contacts", tenant+"1", map[string]any{"name": of("there before"), "email": "1"})
	must(service.LinkRecord(ctx, ref, "contacts", "ana", tenant+"1"))
	table := &clients{id: "ana", remote: tenant + "1", data: json.RawMessage(`{"name":"Ana","email":"1"}`), changed: true}
	both := enlace.SyncOptions{Direction: enlace.Bidirectional, Entities: []string{"contacts"}, Source: table}
	_, err = service.Sync(ctx, ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: table, OnError: enlace.OnErrorRollback})
	must(err)
	_, err = service.Sync(ctx, ref, both)
	must(err)
	p.Put("contacts", tenant+"1", map[string]any{"name": "Ana", "email": "2"})
	table.data, table.changed = json.RawMessage(`{"name":"Ana","email":"`+of("conflict")+`"}`), true
	_, err = service.Sync(ctx, ref, both)
	must(err)
	must(service.Enqueue(ctx, ref, "contacts", enlace.Change{ID: "bia", Data: json.RawMessage(`{"name":"` + of("waits") + `"}`)}))

	// Webhooks.
	_, err = service.AddWebhookEndpoint(ctx, ref)
	must(err)
	must(service.EnsureWebhook(ctx, ref, enlace.WebhookOptions{}))
	target, err := service.WebhookTarget(ref)
	must(err)
	answer := httptest.NewRecorder()
	service.WebhookHandler().ServeHTTP(answer, p.Delivery(target, enlace.Event{Type: "changed",
		Record: enlace.Record{Entity: "contacts", ID: "1", Data: json.RawMessage(`{"id":"1","name":"` + of("told") + `"}`)}}))
	if answer.Code/100 != 2 {
		t.Fatalf("the delivery was answered with %d %s", answer.Code, answer.Body)
	}

	// Operations.
	_, err = service.SaveSchedule(ctx, enlace.Schedule{Ref: ref, Spec: "every 24h"})
	must(err)
	_, err = service.CheckHealth(ctx, ref)
	must(err)
	_, err = service.SetMaintenance(ctx, enlace.Maintenance{Tenant: tenant, From: time.Now(), Until: time.Now().Add(time.Hour)})
	must(err)
	must(service.SetFlag(ctx, enlace.FlagRealTimeSync, enlace.FlagTarget{Tenant: tenant}, false, "why not"))
}
