package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
)

// apiTable is what the API promises: method, path and grant of what programs are written
// against. What is added later needs no row; what is here never goes.
var apiTable = []struct{ method, path, grant string }{
	{"GET", "/integrations", "view"}, {"POST", "/integrations", "create"}, {"GET", "/integrations/{id}", "view"},
	{"PUT", "/integrations/{id}", "update"}, {"PATCH", "/integrations/{id}", "update"}, {"DELETE", "/integrations/{id}", "delete"},
	{"POST", "/integrations/{id}/enable", "enable"}, {"POST", "/integrations/{id}/disable", "enable"},
	{"POST", "/integrations/{id}/oauth", "connect"}, {"DELETE", "/integrations/{id}/oauth", "connect"},
	{"GET", "/integrations/{id}/health", "view"}, {"GET", "/integrations/{id}/events", "view"}, {"GET", "/integrations/{id}/runs", "view"},
	{"GET", "/providers", "view"}, {"GET", "/providers/{id}", "view"},
	{"POST", "/validate", "test"}, {"POST", "/test", "test"}, {"POST", "/webhook", "test"}, {"POST", "/sync", "test"},
	{"GET", "/runs", "view"}, {"GET", "/runs/{id}", "view"}, {"DELETE", "/runs/{id}", "test"}, {"GET", "/runs/{id}/events", "view"},
	{"GET", "/metrics", "metrics.view"}, {"GET", "/health", "view"}, {"GET", "/events", "view"}, {"GET", "/logs", "logs.view"},
	{"GET", "/audit", "audit.view"}, {"GET", "/audit/export", "audit.view"},
	{"GET", "/webhooks/deliveries", "view"}, {"POST", "/webhooks/deliveries/{id}/replay", "replay"},
}

// TestAPITable: every operation of the table is registered with its grant, and the
// documents that describe them are served.
func TestAPITable(t *testing.T) {
	h := newHost(t, hostOptions{})
	paths := h.api("GET", "openapi.json", nil).want(t, http.StatusOK).json(t)["paths"].(object)
	for _, row := range apiTable {
		item, _ := paths[row.path].(object)
		o, ok := item[strings.ToLower(row.method)].(object)
		if !ok {
			t.Errorf("%s %s is not registered", row.method, row.path)
			continue
		}
		if o["x-grant"] != row.grant {
			t.Errorf("%s %s asks for %v, want %s", row.method, row.path, o["x-grant"], row.grant)
		}
		if o["summary"] == "" || o["operationId"] == "" || o["tags"] == nil {
			t.Errorf("%s %s is not described: %v", row.method, row.path, o)
		}
	}
	h.api("GET", "openapi-3.0.json", nil).want(t, http.StatusOK)
}

// TestAPIAlone: the API without pages, at any mount; the mount itself is the list.
func TestAPIAlone(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	alone := admin.API(h.service, admin.Options{SourceTimeout: time.Minute, Authorize: func(*http.Request) (admin.Access, error) { return h.access, nil }})
	t.Cleanup(alone.Close)
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", alone))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for path, want := range map[string]string{"integrations": in.ID, "": in.ID, "providers": "Fake CRM", "metrics": `"total"`, "health": `"items"`, "openapi.json": "listIntegrations"} {
		h.get(server.URL+"/api/"+path).want(t, http.StatusOK, want)
	}
	for path, body := range map[string]object{"test": {"integrationId": in.ID}, "validate": {"integrationId": in.ID}, "sync": {"integrationId": in.ID, "limit": 5}} {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		h.do("POST", server.URL+"/api/"+path, strings.NewReader(string(data)), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }).want(t, http.StatusOK)
	}
	for _, path := range []string{"i", "static/admin.css", "settings", "api/v1/integrations", "live"} {
		h.get(server.URL+"/api/"+path).problem(t, http.StatusNotFound, "not_found")
	}
	h.access.Grants = 1 << 31
	h.get(server.URL+"/api/").problem(t, http.StatusForbidden, "forbidden")
}

// TestAPIMethods: what an address can be asked for is said, and other methods are refused.
func TestAPIMethods(t *testing.T) {
	h := newHost(t, hostOptions{})
	a := h.api("OPTIONS", "integrations/x", nil).want(t, http.StatusNoContent)
	if got := a.Header.Get("Allow"); got != "GET, HEAD, PUT, PATCH, DELETE" {
		t.Errorf("allowed: %s", got)
	}
	a = h.api("PATCH", "integrations", nil)
	a.problem(t, http.StatusMethodNotAllowed, "method_not_allowed")
	if got := a.Header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("allowed: %s", got)
	}
	h.api("OPTIONS", "nothing", nil).problem(t, http.StatusNotFound, "not_found")
}

// TestAPIMetricForms: metrics as JSON, as a file, and for Prometheus.
func TestAPIMetricForms(t *testing.T) {
	h := newHost(t, hostOptions{})
	if a := h.api("GET", "metrics", nil, "Accept", "text/plain;version=0.0.4, */*;q=0.1").want(t, http.StatusOK, "# TYPE enlace_requests_total counter"); !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("content type %s", a.Header.Get("Content-Type"))
	}
	h.api("GET", "metrics?range=1h", nil, "Accept", "text/csv").want(t, http.StatusOK, "at,requests,failures")
	h.api("GET", "metrics", nil, "Accept", "application/*").want(t, http.StatusOK, `"total"`)
	h.api("GET", "metrics", nil, "Accept", "text/html,*/*;q=0.8").want(t, http.StatusOK, `"total"`)
	h.api("GET", "metrics", nil, "Accept", "image/png").problem(t, http.StatusNotAcceptable, "not_acceptable")
	h.access.Grants = admin.GrantView
	h.api("GET", "metrics", nil, "Accept", "text/csv").problem(t, http.StatusForbidden, "forbidden")
}

// TestAPIProbes: load balancers are answered in a word, without a login only if the host
// says so.
func TestAPIProbes(t *testing.T) {
	nobody := func(r *http.Request) { r.Header.Set("Test-User", "nobody") }
	h := newHost(t, hostOptions{})
	h.api("GET", "health?probe=ready", nil).want(t, http.StatusOK, `{"status":"pass"}`)
	h.do("GET", "api/v1/health?probe=live", nil, nobody).problem(t, http.StatusUnauthorized, "signed_out")
	store := &troubled{Store: newHost(t, hostOptions{}).store}
	h = newHost(t, hostOptions{store: store, options: admin.Options{Probes: true}})
	for _, probe := range []string{"live", "ready"} {
		h.do("GET", "api/v1/health?probe="+probe, nil, nobody).want(t, http.StatusOK, `{"status":"pass"}`)
	}
	h.do("GET", "api/v1/health", nil, nobody).problem(t, http.StatusUnauthorized, "signed_out")
	h.do("GET", "api/v1/health?probe=all", nil, nobody).problem(t, http.StatusUnauthorized, "signed_out")
	h.do("POST", "api/v1/health?probe=live", nil, nobody).problem(t, http.StatusUnauthorized, "signed_out")
	store = &troubled{Store: store.Store, mood: "no list"}
	h = newHost(t, hostOptions{store: store, options: admin.Options{Probes: true}})
	h.do("GET", "api/v1/health?probe=ready", nil, nobody).want(t, http.StatusServiceUnavailable, `{"status":"fail"}`)
	h.do("GET", "api/v1/health?probe=live", nil, nobody).want(t, http.StatusOK, `{"status":"pass"}`)
}

// TestAPILogs: lines are listed and followed, of the user's tenant only.
func TestAPILogs(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.api("GET", "logs", nil).problem(t, http.StatusNotFound, "not_found")
	buffer := enlace.NewLogBuffer(100, nil)
	h = newHost(t, hostOptions{options: admin.Options{Logs: buffer}})
	h.access.Tenant = "acme"
	logger := slog.New(buffer)
	logger.Info("pulled a page", enlace.LogTenant, "acme", enlace.LogIntegration, "i1")
	logger.Warn("of somebody else", enlace.LogTenant, "other")
	a := h.api("GET", "logs", nil).want(t, http.StatusOK, "pulled a page", `"level":"info"`)
	if strings.Contains(a.body, "somebody") {
		t.Errorf("lines of another tenant: %s", a.body)
	}
	if a := h.api("GET", "logs?level=warn", nil); len(a.json(t)["items"].([]any)) != 0 {
		t.Errorf("filtered: %s", a.body)
	}
	if a := h.api("GET", "logs?to=2001-01-01T00:00:00Z", nil); len(a.json(t)["items"].([]any)) != 0 {
		t.Errorf("filtered by time: %s", a.body)
	}
	h.api("GET", "logs?from=yesterday", nil).problem(t, http.StatusBadRequest, "bad_request")
	events := h.stream("logs?level=warn")
	logger.Info("not this one", enlace.LogTenant, "acme")
	logger.Error("of somebody else", enlace.LogTenant, "other")
	logger.Error("this one", enlace.LogTenant, "acme")
	if event, data := events(); event != "log" || !strings.Contains(data, `"message":"this one"`) {
		t.Errorf("%s: %s", event, data)
	}
	h.access.Grants = admin.GrantView
	h.api("GET", "logs", nil).problem(t, http.StatusForbidden, "forbidden")
}

// stream opens an event stream of the API; next waits for its next event.
func (h *host) stream(path string) (next func() (event, data string)) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+"api/v1/"+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
	})
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatalf("%s: status %d, %s", path, response.StatusCode, response.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(response.Body)
	return func() (event, data string) {
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = name
			}
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return event, text
			}
		}
		return "", ""
	}
}

// TestAPIRunEvents: a test and a sync are followed to their end.
func TestAPIRunEvents(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	run := h.api("POST", "test", object{"integrationId": in.ID}).want(t, http.StatusOK).json(t)
	events := h.stream("runs/" + run["id"].(string) + "/events")
	seen := map[string]int{}
	for event, data := events(); event != ""; event, data = events() {
		seen[event]++
		if event == "done" && !strings.Contains(data, `"ok":true`) {
			t.Errorf("done: %s", data)
		}
	}
	if seen["step"] != 3 || seen["log"] == 0 || seen["done"] != 1 {
		t.Errorf("events of a test: %v", seen)
	}
	waiting, err := h.service.StartSync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}})
	if err != nil {
		t.Fatal(err)
	}
	events = h.stream("runs/" + waiting.ID + "/events")
	if event, data := events(); event != "progress" || !strings.Contains(data, waiting.ID) {
		t.Errorf("%s: %s", event, data)
	}
	h.api("DELETE", "runs/"+waiting.ID, nil).want(t, http.StatusAccepted)
	event, data := events()
	for event == "progress" {
		event, data = events()
	}
	if event != "done" || !strings.Contains(data, `"canceled"`) {
		t.Errorf("%s: %s", event, data)
	}
	if event, data := events(); event != "" {
		t.Errorf("after the end: %s %s", event, data)
	}
	h.api("GET", "runs/none/events", nil).problem(t, http.StatusNotFound, "not_found")
}

// TestAPIIntegrationEvents: the stream of one integration tells of no other.
func TestAPIIntegrationEvents(t *testing.T) {
	h := newHost(t, hostOptions{})
	first, second := h.connected("CRM"), h.connected("Loja")
	events := h.stream("integrations/" + second.ID + "/events")
	if event, _ := events(); event != "hello" {
		t.Errorf("first event %s", event)
	}
	for _, in := range []enlace.Integration{first, second} {
		if _, err := h.service.Disable(t.Context(), in.Ref); err != nil {
			t.Fatal(err)
		}
	}
	if event, data := events(); !strings.Contains(data, second.ID) {
		t.Errorf("%s: %s", event, data)
	}
	h.api("GET", "integrations/none/events", nil).problem(t, http.StatusNotFound, "not_found")
	h.api("GET", "integrations/"+first.ID+"/runs", nil).want(t, http.StatusOK, `"items":[]`)
}

// TestAPIAuthorize: a program begins an authorization for the browser that asks for it.
func TestAPIAuthorize(t *testing.T) {
	h := newHost(t, hostOptions{})
	in, err := h.service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Name: "CRM"})
	if err != nil {
		t.Fatal(err)
	}
	h.api("POST", "integrations/"+in.ID+"/oauth", object{"returnTo": "//evil.example"}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	a := h.api("POST", "integrations/"+in.ID+"/oauth", object{"returnTo": "i?x=1"}).want(t, http.StatusCreated)
	if a.Header.Get("Set-Cookie") == "" || a.json(t)["expiresAt"] == nil {
		t.Fatalf("answer %s, %v", a.body, a.Header)
	}
	query, err := h.provider.Consent(t.Context(), a.json(t)["authorizeUrl"].(string))
	if err != nil {
		t.Fatal(err)
	}
	h.do(http.MethodGet, "oauth/callback?"+query.Encode(), nil, func(r *http.Request) { r.Header.Set("Test-User", "nobody") }).want(t, http.StatusOK, "/integrations/i?")
	h.api("GET", "integrations/"+in.ID, nil).want(t, http.StatusOK, `"connected"`)
	h.api("POST", "integrations/none/oauth", nil).problem(t, http.StatusNotFound, "not_found")
}

// TestAPIRepairs: refused changes, conflicts, disappeared records and deliveries by the API.
func TestAPIRepairs(t *testing.T) {
	h := newHost(t, hostOptions{webhooks: enlace.WebhookConfig{PublicURL: "https://host.example/hooks"}})
	in := h.connected("CRM")
	h.provider.Fail(fake.Failure{Op: fake.OpCreate, Times: 1, Status: http.StatusUnprocessableEntity})
	h.provider.Fail(fake.Failure{Op: fake.OpBatch, Times: 1, Status: http.StatusUnprocessableEntity})
	changes := rows{"contacts": {{ID: "id/with?odd&parts", Data: json.RawMessage(`{"name":"Ana"}`)}}}
	_, _ = h.service.Sync(t.Context(), in.Ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: changes, Tries: 1})
	h.api("GET", "dead-letters?integration="+in.ID, nil).want(t, http.StatusOK, "id/with?odd", `"state":"dead"`)
	item := "dead-letters/item?" + url.Values{"integration": {in.ID}, "entity": {"contacts"}, "id": {"id/with?odd&parts"}}.Encode()
	redrive := strings.Replace(item, "item", "item/redrive", 1)
	a := h.api("GET", item, nil).want(t, http.StatusOK, `"name":"Ana"`)
	tag := a.Header.Get("ETag")
	h.api("PUT", item, object{"data": object{"name": "Bia"}}).problem(t, http.StatusPreconditionRequired, "version_required")
	h.api("PUT", item, object{"data": object{"name": "Bia"}}, "If-Match", `"x"`).problem(t, http.StatusPreconditionFailed, "version_conflict")
	a = h.api("PUT", item, object{"data": object{"name": "Bia"}}, "If-Match", tag).want(t, http.StatusOK)
	h.api("POST", redrive, nil, "If-Match", tag).problem(t, http.StatusPreconditionFailed, "version_conflict")
	h.api("POST", redrive, nil, "If-Match", a.Header.Get("ETag")).want(t, http.StatusNoContent)
	a = h.api("GET", item, nil).want(t, http.StatusOK, `"state":"queued"`)
	h.api("DELETE", item, nil, "If-Match", a.Header.Get("ETag")).want(t, http.StatusNoContent)
	h.api("GET", item, nil).problem(t, http.StatusNotFound, "not_found")

	h.api("GET", "conflicts", nil).want(t, http.StatusOK, `"items":[]`)
	h.api("POST", "conflicts/none/resolve", object{"integrationId": in.ID, "version": 1, "side": "local"}).problem(t, http.StatusNotFound, "not_found")
	path := "integrations/" + in.ID
	h.api("GET", path+"/deletions?entity=contacts", nil).want(t, http.StatusOK, `"items":[]`)
	h.api("POST", path+"/deletions/approve", object{"entity": "contacts"}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	h.api("POST", path+"/deletions/reject", object{"entity": "contacts", "all": true}).want(t, http.StatusOK, `"records":0`)
	h.api("GET", path+"/refused", nil).want(t, http.StatusOK, `"items":[]`)
	h.api("GET", path+"/missed", nil).want(t, http.StatusOK, `"items":[]`)
	h.get("i/"+in.ID+"/aside").want(t, http.StatusOK, "Refused", "None.")

	target := "https://host.example/hooks/" + in.ID + "/webhook"
	h.service.WebhookHandler().ServeHTTP(httptest.NewRecorder(), h.provider.Delivery(target, enlace.Event{Type: "contact.updated", Record: enlace.Record{Entity: "contacts", ID: "7"}}))
	list := h.api("GET", "webhooks/deliveries", nil).want(t, http.StatusOK).json(t)["items"].([]any)
	delivery := "webhooks/deliveries/" + list[0].(object)["id"].(string)
	body := h.api("GET", delivery, nil).want(t, http.StatusOK, "contact.updated").json(t)["body"].(string)
	h.api("PUT", delivery+"/body", object{"was": "something else", "body": "{}"}).problem(t, http.StatusPreconditionFailed, "version_conflict")
	h.api("PUT", delivery+"/body", object{"was": body, "body": strings.Replace(body, "7", "8", 1)}).want(t, http.StatusNoContent)
	h.api("POST", delivery+"/discard", nil).want(t, http.StatusNoContent)
	h.api("POST", delivery+"/replay", nil).want(t, http.StatusAccepted)
	h.api("POST", path+"/webhook", nil).want(t, http.StatusNoContent)
	h.api("DELETE", path+"/webhook", nil).want(t, http.StatusNoContent)
	h.api("POST", path+"/check", nil).want(t, http.StatusOK, `"checks"`)
}

// TestAPIDecisions: a conflict and disappeared records are decided on by the API.
func TestAPIDecisions(t *testing.T) {
	changes := rows{"contacts": {{ID: "c1", Data: json.RawMessage(`{"name":"Ana","email":"ana@example.com"}`)}}}
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	sync := func(o enlace.SyncOptions) {
		o.Entities, o.Source = []string{"contacts"}, changes
		if _, err := h.service.Sync(t.Context(), in.Ref, o); err != nil {
			t.Fatal(err)
		}
	}
	sync(enlace.SyncOptions{Direction: enlace.Bidirectional})
	all := h.provider.Records("contacts")
	changes["contacts"][0].Data = json.RawMessage(`{"name":"Ana","email":"ana@home.example"}`)
	h.provider.Put("contacts", all[len(all)-1].ID, map[string]string{"name": "Ana", "email": "ana@work.example"})
	sync(enlace.SyncOptions{Direction: enlace.Bidirectional})
	list := h.api("GET", "conflicts?integration="+in.ID, nil).want(t, http.StatusOK, `"localId":"c1"`, `"remote":"ana@work.example"`).json(t)["items"].([]any)
	conflict := list[0].(object)
	h.api("POST", "conflicts/"+conflict["id"].(string)+"/resolve", object{"integrationId": in.ID, "version": conflict["version"], "side": "remote"}).want(t, http.StatusOK, `"state":"decided"`)

	h.provider.Seed("notes", 30)
	pull := func() {
		if _, err := h.service.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"notes"}, Full: true}); err != nil {
			t.Fatal(err)
		}
	}
	pull()
	for _, r := range h.provider.Records("notes") {
		h.provider.Delete("notes", r.ID)
	}
	pull()
	path := "integrations/" + in.ID + "/deletions"
	gone := h.api("GET", path+"?entity=notes&limit=10", nil).want(t, http.StatusOK, `"total":{"value":30,"relation":"eq"}`).json(t)["items"].([]any)
	h.api("POST", path+"/approve", object{"entity": "notes", "records": []any{gone[0].(object)["id"]}}).want(t, http.StatusOK, `"records":1`)
	h.api("POST", path+"/reject", object{"entity": "notes", "all": true}).want(t, http.StatusOK, `"records":29`)
}

// TestAPIControl: flags, windows of maintenance and the audit trail by the API.
func TestAPIControl(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.access.Tenant = "acme"
	h.api("PUT", "flags", object{"flag": "integrations", "enabled": false, "reason": "Manutenção"}).want(t, http.StatusNoContent)
	h.api("GET", "flags", nil).want(t, http.StatusOK, "Manutenção", `"setBy":"u1"`)
	if !h.service.FlagEnabled(t.Context(), enlace.FlagIntegrations, enlace.Ref{Tenant: "other"}, "") {
		t.Error("another tenant is switched off too")
	}
	h.api("DELETE", "flags?flag=integrations", nil).want(t, http.StatusNoContent)
	h.api("GET", "flags", nil).want(t, http.StatusOK, `"items":[]`)
	window := h.api("POST", "maintenance", object{"from": time.Now(), "until": time.Now().Add(2 * time.Hour), "reason": "Troca"}).want(t, http.StatusCreated).json(t)
	h.api("GET", "maintenance", nil).want(t, http.StatusOK, "Troca")
	h.api("DELETE", "maintenance/"+window["id"].(string), nil).want(t, http.StatusNoContent)
	h.api("POST", "audit/verify", nil).want(t, http.StatusOK, `"ok":true`)
	if a := h.api("GET", "audit/export?format=jsonl&action=flag.", nil).want(t, http.StatusOK, `"action":"flag.set"`); a.Header.Get("Content-Type") != "application/jsonl" {
		t.Errorf("content type %s", a.Header.Get("Content-Type"))
	}
}

// TestAPIPlans: a push is planned, looked at, applied and taken back by the API.
func TestAPIPlans(t *testing.T) {
	changes := rows{"contacts": {{ID: "c1", Data: json.RawMessage(`{"name":"Ana"}`)}}}
	h := newHost(t, hostOptions{options: admin.Options{Source: func(enlace.Integration) enlace.Source { return changes }}})
	in := h.connected("CRM")
	a := h.api("POST", "integrations/"+in.ID+"/plans", nil).want(t, http.StatusAccepted)
	plan := a.Header.Get("Location")
	a = h.follow(h.api("GET", plan, nil), `"state":"ready"`)
	a.want(t, http.StatusOK, `"action":"create"`, `"Ana"`)
	run := h.api("POST", plan+"/apply", nil).json(t)
	if run["id"] == nil {
		t.Fatalf("applied: %v", run)
	}
	h.follow(h.api("GET", "runs/"+run["id"].(string), nil), `"succeeded"`)
	h.api("POST", plan+"/apply", nil).problem(t, http.StatusConflict, "conflict")
	a = h.api("POST", "runs/"+run["id"].(string)+"/undo", nil).want(t, http.StatusAccepted)
	h.follow(h.api("GET", a.Header.Get("Location"), nil), `"ended":true`).want(t, http.StatusOK, `"undone":1`)
	h.api("GET", "plans/none", nil).problem(t, http.StatusNotFound, "not_found")
	before := h.provider.Effects("")
	a = h.api("POST", "sync", object{"integrationId": in.ID, "direction": "push", "entities": []string{"contacts"}}).want(t, http.StatusAccepted, `"dryRun":true`)
	h.follow(h.api("GET", a.Header.Get("Location"), nil), `"state":"ready"`)
	if h.provider.Effects("") != before {
		t.Error("the dry run of a push writes")
	}
	h.api("POST", "sync", object{"integrationId": in.ID, "direction": "push", "entities": []string{"contacts"}, "dryRun": false}).want(t, http.StatusOK, `"succeeded"`)
	if h.provider.Effects("") == before {
		t.Error("the push writes nothing")
	}
	h.api("POST", "sync", object{"integrationId": in.ID, "direction": "sideways"}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	waiting, err := h.service.StartSync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}})
	if err != nil {
		t.Fatal(err)
	}
	h.api("POST", "runs/"+waiting.ID+"/pause", nil).want(t, http.StatusAccepted)
	h.api("GET", "runs/"+waiting.ID, nil).want(t, http.StatusOK, `"paused"`)
	h.api("POST", "runs/"+waiting.ID+"/resume", nil).want(t, http.StatusAccepted)
}

// TestFrames: the pages may be framed by whom the host names, and by nobody else.
func TestFrames(t *testing.T) {
	h := newHost(t, hostOptions{options: admin.Options{FrameAncestors: []string{"https://app.example.com", "http://localhost:3000"}}})
	for _, path := range []string{"", "nothing", "api/v1/integrations"} {
		a := h.get(path)
		if got := a.Header.Get("Content-Security-Policy"); !strings.Contains(got, "; frame-ancestors https://app.example.com http://localhost:3000; ") || !strings.HasPrefix(got, "default-src 'none'; script-src 'self';") {
			t.Errorf("%s: %s", path, got)
		}
		if got := a.Header.Get("X-Frame-Options"); got != "" {
			t.Errorf("%s: X-Frame-Options %s contradicts the policy", path, got)
		}
	}
	for _, origin := range []string{"*", "https://*.example.com", "app.example.com", "https://app.example.com/", "https://app.example.com/path", "https://a.example; script-src *", "'self'", "javascript://x", "https://u@a.example", ""} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken as an origin", origin)
				}
			}()
			admin.Handler(h.service, admin.Options{FrameAncestors: []string{origin}})
		}()
	}
}
