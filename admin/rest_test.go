package admin_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
)

// api calls the REST API with a JSON body; headers are pairs.
func (h *host) api(method, path string, body any, headers ...string) answer {
	h.t.Helper()
	text := ""
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			h.t.Fatal(err)
		}
		text = string(data)
	}
	return h.do(method, "api/v1/"+path, strings.NewReader(text), func(r *http.Request) {
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
	})
}

type object = map[string]any

func (a answer) json(t *testing.T) object {
	t.Helper()
	var v object
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// problem checks the form of a failure.
func (a answer) problem(t *testing.T, status int, code string) object {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	p := a.json(t)
	if a.Header.Get("Content-Type") != "application/problem+json" || p["code"] != code || p["requestId"] != a.Header.Get("X-Request-Id") || p["title"] == "" ||
		p["status"] != float64(status) {
		t.Fatalf("%s %s: not the problem %s: %s", a.Request.Method, a.Request.URL, code, a.body)
	}
	return p
}

// TestAPIIntegrations: the life of an integration by the API, with versions.
func TestAPIIntegrations(t *testing.T) {
	h := newHost(t, hostOptions{})
	key := h.provider.APIKey().Secrets["api_key"].Reveal()
	a := h.api("POST", "integrations", object{"name": "Vendas", "provider": "fake", "config": object{"timeout": 15000, "retryAttempts": "3"},
		"scheme": "api_key", "secrets": object{"api_key": key}, "features": []string{"crm_sync"}}).want(t, http.StatusCreated)
	made := a.json(t)
	id, _ := made["id"].(string)
	tag := a.Header.Get("ETag")
	if made["state"] != "connected" || made["config"].(object)["timeout"] != "15000" || a.Header.Get("Location") != "integrations/"+id || tag == "" || strings.Contains(a.body, key) {
		t.Fatalf("created %s, ETag %s, Location %s", a.body, tag, a.Header.Get("Location"))
	}
	path := "integrations/" + id
	h.api("GET", path, nil, "If-None-Match", tag).want(t, http.StatusNotModified)
	h.api("PATCH", path, object{"name": "x"}).problem(t, http.StatusPreconditionRequired, "version_required")
	a = h.api("PATCH", path, object{"name": "Vendas SP", "config": object{"retryAttempts": nil}}, "If-Match", tag).want(t, http.StatusOK, "Vendas SP")
	if config := a.json(t)["config"].(object); config["timeout"] != "15000" || config["retryAttempts"] != nil {
		t.Errorf("after the patch: %v", config)
	}
	h.api("PATCH", path, object{"name": "x"}, "If-Match", tag).problem(t, http.StatusPreconditionFailed, "version_conflict")
	h.api("DELETE", path, nil, "If-Match", "W/"+a.Header.Get("ETag")).problem(t, http.StatusPreconditionFailed, "version_conflict")
	a = h.api("PUT", path, object{"name": "Vendas", "provider": "fake"}, "If-Match", a.Header.Get("ETag")).want(t, http.StatusOK)
	if config := a.json(t)["config"].(object); len(config) != 0 {
		t.Errorf("after the put: %v", config)
	}
	if a := h.api("POST", path+"/disable", nil).want(t, http.StatusOK); a.json(t)["state"] != "disabled" {
		t.Errorf("disabled: %s", a.body)
	}
	a = h.api("POST", path+"/enable", nil).want(t, http.StatusOK, `"connected"`)
	h.api("DELETE", path+"/oauth", nil).want(t, http.StatusNoContent)
	a = h.api("GET", path, nil).want(t, http.StatusOK, `"pending"`)
	h.api("DELETE", path+"?confirm=other", nil, "If-Match", a.Header.Get("ETag")).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	h.api("DELETE", path+"?confirm=Vendas", nil, "If-Match", a.Header.Get("ETag")).want(t, http.StatusNoContent)
	h.api("GET", path, nil).problem(t, http.StatusNotFound, "not_found")
}

// TestAPIRefusals: what is wrong with a request is said in one form, in the
// caller's language, without the values that were sent.
func TestAPIRefusals(t *testing.T) {
	h := newHost(t, hostOptions{})
	p := h.api("POST", "integrations", object{"provider": "fake", "config": object{"timeout": 1}, "scheme": "session", "secrets": object{"user": "x", "password": "", "oops": "hunter2hunter2"}},
		"Accept-Language", "pt-BR").problem(t, http.StatusUnprocessableEntity, "validation_failed")
	text := fmt.Sprint(p)
	if p["title"] != "Configuração inválida" || !strings.Contains(text, "/config/timeout") || !strings.Contains(text, "fora dos limites") || !strings.Contains(text, "/secrets/password") ||
		strings.Contains(text, "hunter2") {
		t.Errorf("problem %v", p)
	}
	p = h.api("POST", "integrations", object{"provider": "fake", "secrets": object{"api_key": []string{"hunter2hunter2"}}}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	if strings.Contains(fmt.Sprint(p), "hunter2") {
		t.Errorf("the problem shows what was sent: %v", p)
	}
	h.api("POST", "integrations", object{"provider": "none"}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	h.api("GET", "integrations?cursor=%21%21", nil).problem(t, http.StatusBadRequest, "invalid_cursor")
	h.api("GET", "integrations?limit=5000", nil).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	h.api("GET", "runs/none", nil).problem(t, http.StatusNotFound, "not_found")
	h.api("GET", "nothing", nil).problem(t, http.StatusNotFound, "not_found")
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		h.do("POST", "api/v1/integrations", strings.NewReader(`{"provider":"fake"}`), func(r *http.Request) { r.Header.Set("Content-Type", kind) }).
			problem(t, http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	big := strings.Repeat("x", 2<<20)
	h.api("POST", "integrations", object{"provider": "fake", "name": big}).problem(t, http.StatusRequestEntityTooLarge, "payload_too_large")
	h.do("POST", "api/v1/integrations", strings.NewReader(`{"provider":`), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }).
		problem(t, http.StatusBadRequest, "bad_request")
}

// TestAPIIdempotency: a POST that is sent again with its key is carried out once.
func TestAPIIdempotency(t *testing.T) {
	h := newHost(t, hostOptions{})
	body := object{"provider": "fake", "name": "Vendas"}
	first := h.api("POST", "integrations", body, "Idempotency-Key", "k1").want(t, http.StatusCreated)
	again := h.api("POST", "integrations", body, "Idempotency-Key", "k1").want(t, http.StatusCreated)
	if again.body != first.body || again.Header.Get("Idempotent-Replayed") != "true" || again.Header.Get("Location") != first.Header.Get("Location") {
		t.Errorf("the repetition answers %s", again.body)
	}
	h.api("POST", "integrations", object{"provider": "fake", "name": "Other"}, "Idempotency-Key", "k1").problem(t, http.StatusUnprocessableEntity, "idempotency_mismatch")
	h.access.User = "u2"
	h.api("POST", "integrations", object{"provider": "fake", "name": "Other"}, "Idempotency-Key", "k1").want(t, http.StatusCreated)
	list, _, err := h.service.List(t.Context(), enlace.IntegrationQuery{})
	if err != nil || len(list) != 2 {
		t.Errorf("%d integrations, want 2; %v", len(list), err)
	}
}

// TestAPILists: pages by cursor meet every row once.
func TestAPILists(t *testing.T) {
	h := newHost(t, hostOptions{})
	for i := range 7 {
		if _, err := h.service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Name: fmt.Sprint("CRM ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	path := "integrations?limit=3"
	for range 5 {
		a := h.api("GET", path, nil).want(t, http.StatusOK)
		page := a.json(t)
		for _, item := range page["items"].([]any) {
			seen[item.(object)["id"].(string)] = true
		}
		next, _ := page["nextCursor"].(string)
		if next == "" {
			break
		}
		link, _, _ := strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
		path = "integrations" + link
	}
	if len(seen) != 7 {
		t.Errorf("%d of 7 seen", len(seen))
	}
	if a := h.api("GET", "integrations?q=crm+3", nil); len(a.json(t)["items"].([]any)) != 1 {
		t.Errorf("filtered: %s", a.body)
	}
}

// TestAPIRuns: tests and syncs by the API, waited for and not.
func TestAPIRuns(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	run := h.api("POST", "test", object{"integrationId": in.ID}).want(t, http.StatusOK).json(t)
	if run["ok"] != true || run["state"] != "succeeded" || len(run["steps"].([]any)) != 3 || len(run["requests"].([]any)) == 0 {
		t.Errorf("health check: %v", run)
	}
	run = h.api("POST", "test", object{"provider": "fake", "scheme": "api_key", "secrets": object{"api_key": "wrong"}, "kind": "auth"}).want(t, http.StatusOK).json(t)
	if run["ok"] != false || run["problem"].(object)["code"] != "auth" {
		t.Errorf("a wrong key: %v", run)
	}
	for body, valid := range map[string]bool{`{"provider":"fake","config":{"timeout":500}}`: true, `{"provider":"fake","config":{"timeout":5}}`: false, `{"integrationId":"` + in.ID + `"}`: true} {
		var v object
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if a := h.api("POST", "validate", v).want(t, http.StatusOK); a.json(t)["valid"] != valid {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	requests := h.provider.Requests(fake.OpList)
	run = h.api("POST", "sync", object{"integrationId": in.ID, "resource": "contacts", "limit": 10}).want(t, http.StatusOK).json(t)
	if run["dryRun"] != true || run["entities"].(object)["contacts"].(object)["read"] != float64(10) {
		t.Errorf("simulation: %v", run)
	}
	if h.provider.Effects("") != 0 || h.provider.Requests(fake.OpList) == requests {
		t.Errorf("the simulation wrote %d times and read %d", h.provider.Effects(""), h.provider.Requests(fake.OpList)-requests)
	}
	a := h.api("POST", "sync", object{"integrationId": in.ID, "dryRun": false}, "Prefer", "respond-async")
	for range 100 {
		if a.StatusCode == http.StatusOK && a.json(t)["state"] == "succeeded" {
			break
		}
		a = h.api("GET", "runs/"+a.json(t)["id"].(string), nil)
		if !pauseFor(t.Context()) {
			break
		}
	}
	if run := a.json(t); run["ok"] != true || run["dryRun"] != nil {
		t.Errorf("sync: %v", run)
	}
	h.api("GET", "runs", nil).want(t, http.StatusOK, in.ID)
	h.api("GET", "runs?kind=test", nil).want(t, http.StatusOK, `"kind":"health"`)
	h.access.Grants = admin.ReadOnly | admin.GrantTest
	h.api("POST", "sync", object{"integrationId": in.ID, "dryRun": false}).problem(t, http.StatusForbidden, "forbidden")
}

// TestAPIGrants: every operation refuses whoever lacks its grant, alike for what
// there is and what there is not.
func TestAPIGrants(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Hidden name")
	document := h.api("GET", "openapi.json", nil).want(t, http.StatusOK).json(t)
	h.access.Grants = 1 << 31 // let in, and nothing granted
	operations := 0
	for path, item := range document["paths"].(object) {
		for method := range item.(object) {
			operations++
			for _, id := range []string{in.ID, "none"} {
				a := h.api(strings.ToUpper(method), strings.TrimPrefix(strings.ReplaceAll(path, "{id}", id), "/"), nil, "X-Request-Id", "same")
				a.problem(t, http.StatusForbidden, "forbidden")
				if strings.Contains(a.body, "Hidden name") {
					t.Errorf("%s %s tells a name", method, path)
				}
			}
		}
	}
	if operations < 15 {
		t.Errorf("only %d operations in the document", operations)
	}
}

// TestOpenAPI: the document names no other host, and the form for older generators
// is there.
func TestOpenAPI(t *testing.T) {
	h := newHost(t, hostOptions{})
	a := h.api("GET", "openapi.json", nil).want(t, http.StatusOK)
	if v := a.json(t)["openapi"]; v != "3.1.0" {
		t.Errorf("version %v", v)
	}
	h.api("GET", "openapi.json", nil, "If-None-Match", a.Header.Get("ETag")).want(t, http.StatusNotModified)
	if v := h.api("GET", "openapi-3.0.json", nil).want(t, http.StatusOK).json(t)["openapi"]; v != "3.0.3" {
		t.Errorf("older version %v", v)
	}
	h.get("api").want(t, http.StatusOK, "createIntegration", `id="version_conflict"`, "OpenAPI 3.1")
	if strings.Contains(a.body, "http://") || strings.Contains(a.body, "unpkg") {
		t.Error("the document names a host")
	}
}

// TestCanary: no secret that came in goes out again, in any answer, in any form.
func TestCanary(t *testing.T) {
	h := newHost(t, hostOptions{})
	secrets := []string{"canary-key-8fb1c2", "canary-user-77aa31", "canary-pass-55/ü&<>", "canary-client-901f", "canary-secret-6c3d"}
	var answers []answer
	for _, form := range []url.Values{
		{"scheme": {"api_key"}, "secret.api_key.api_key": {secrets[0]}},
		{"scheme": {"session"}, "secret.session.user": {secrets[1]}, "secret.session.password": {secrets[2]}},
		{"scheme": {"client_credentials"}, "secret.client_credentials.client_id": {secrets[3]}, "secret.client_credentials.client_secret": {secrets[4]}},
	} {
		broken := url.Values{"setting.timeout": {"1"}}
		for name, values := range form {
			broken[name] = values
		}
		answers = append(answers, h.post("new/fake", broken), h.post("new/fake", form))
	}
	list, _, err := h.service.List(t.Context(), enlace.IntegrationQuery{})
	if err != nil || len(list) != 3 {
		t.Fatalf("%d integrations, %v", len(list), err)
	}
	for _, in := range list {
		answers = append(answers, h.post("console", url.Values{"integration": {in.ID}, "kind": {"health"}}),
			h.api("POST", "test", object{"integrationId": in.ID}), h.api("POST", "sync", object{"integrationId": in.ID, "dryRun": false}))
	}
	answers = append(answers, h.api("POST", "test", object{"provider": "fake", "scheme": "api_key", "secrets": object{"api_key": secrets[0]}}),
		h.api("POST", "validate", object{"provider": "fake", "scheme": "api_key", "secrets": object{"api_key": secrets[0], "x": secrets[1]}}),
		h.api("POST", "integrations", object{"provider": "fake", "scheme": secrets[3], "secrets": object{"api_key": secrets[0]}, "config": object{"timeout": secrets[4]}}))
	for _, page := range crawl(t, h) {
		answers = append(answers, page)
	}
	answers = append(answers, h.api("GET", "runs?kind=test", nil), h.api("GET", "openapi.json", nil), h.post("doctor", nil), h.api("POST", "doctor", nil),
		h.post("bulk/check", url.Values{"id": {list[0].ID, list[1].ID, list[2].ID}, "confirm": {"yes"}}),
		h.api("POST", "integrations/bulk/check", object{"ids": []string{list[0].ID, list[1].ID, list[2].ID}}),
		h.api("POST", "schedules", object{"integrationId": list[0].ID, "spec": secrets[0], "zone": secrets[1]}),
		h.post("schedules", url.Values{"integration": {list[0].ID}, "spec": {"every 5m"}}))
	for path, item := range h.api("GET", "openapi.json", nil).json(t)["paths"].(object) {
		if item.(object)["get"] == nil || strings.HasSuffix(path, "/events") {
			continue
		}
		for i, in := range list {
			h.access.User = "canary" + strings.Repeat("'", i+3*len(answers)/100)
			answers = append(answers, h.api("GET", strings.NewReplacer("{id}", in.ID, "{entity}", "contacts", "{number}", "1").Replace(path[1:]), nil))
		}
	}
	for _, a := range answers {
		for _, secret := range secrets {
			escaped, _ := json.Marshal(secret)
			for _, form := range []string{secret, html.EscapeString(secret), url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(escaped), `"`),
				base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(a.body, form) || strings.Contains(fmt.Sprint(a.Header), form) {
					t.Errorf("%s %s shows %s", a.Request.Method, a.Request.URL, secret)
				}
			}
		}
	}
	if len(answers) < 150 {
		t.Errorf("only %d answers looked at", len(answers))
	}
}

// TestEvents: the stream tells of what happens, to the tenant whose it is.
func TestEvents(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", h.base+"api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" || response.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("content type %s", got)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && lines.Text() != "" { // the event that opens the stream
	}
	if _, err := h.service.Create(t.Context(), enlace.NewIntegration{Tenant: "other", Provider: fake.Name}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.service.Disable(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && !strings.Contains(data, `"audit"`) {
			want := `{"topic":"integrations","integration":"` + in.ID + `","action":"disable"}`
			if data != want {
				t.Errorf("event %s, want %s", data, want)
			}
			return
		}
	}
	t.Errorf("the stream ended: %v", lines.Err())
}

// pauseFor waits a moment for work of another goroutine.
func pauseFor(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-tick():
		return true
	}
}
