package admin_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/store/memory"
)

// made creates so many integrations.
func (h *host) made(n int) {
	h.t.Helper()
	for i := range n {
		if _, err := h.service.Create(h.t.Context(), enlace.NewIntegration{Provider: fake.Name, Name: fmt.Sprint("CRM ", i)}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// TestListTotals: a first page tells how many there are as far as that was counted, and later
// ones do not; the link to the next page keeps the filters.
func TestListTotals(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.made(7)
	first := h.api("GET", "integrations?limit=3&provider=fake", nil).want(t, http.StatusOK, `"total":{"value":7,"relation":"eq"}`)
	link, _, found := strings.Cut(strings.TrimPrefix(first.Header.Get("Link"), "<"), `>; rel="next"`)
	if !found || !strings.Contains(link, "provider=fake") || !strings.Contains(link, "limit=3") {
		t.Fatalf("Link: %s", first.Header.Get("Link"))
	}
	second := h.api("GET", "integrations"+link, nil).want(t, http.StatusOK)
	if page := second.json(t); page["total"] != nil || len(page["items"].([]any)) != 3 || page["nextCursor"] == nil {
		t.Errorf("second page: %s", second.body)
	}
	h.api("GET", "integrations?limit=3&q=crm", nil).want(t, http.StatusOK, `"total":{"value":3,"relation":"gte"}`)
	h.api("GET", "integrations", nil).want(t, http.StatusOK, `"total":{"value":7,"relation":"eq"}`)

	store := memory.New()
	for i := range 1003 {
		if err := store.CreateIntegration(t.Context(), enlace.Integration{Ref: enlace.Ref{ID: fmt.Sprintf("i%04d", i)}, Provider: fake.Name}); err != nil {
			t.Fatal(err)
		}
	}
	h = newHost(t, hostOptions{store: store})
	h.api("GET", "integrations?limit=2&fields=id", nil).want(t, http.StatusOK, `"total":{"value":1000,"relation":"gte"}`)
}

// TestListFields: items have the fields that were asked for; of others it is said which there are.
func TestListFields(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.made(2)
	for _, item := range h.api("GET", "integrations?fields=name,id", nil).want(t, http.StatusOK).json(t)["items"].([]any) {
		if names := slices.Sorted(maps.Keys(item.(object))); !slices.Equal(names, []string{"id", "name"}) {
			t.Errorf("fields %v", names)
		}
	}
	p := h.api("GET", "integrations?fields=id,nonsense", nil).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	if text := fmt.Sprint(p); !strings.Contains(text, "updatedAt") {
		t.Errorf("what is allowed is not said: %s", text)
	}
}

// TestListOrder: lists come in the orders that their store has, and no other is pretended.
func TestListOrder(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.made(3)
	numbers := func(query string) []float64 {
		var all []float64
		for _, item := range h.api("GET", "audit?fields=seq&"+query, nil).want(t, http.StatusOK).json(t)["items"].([]any) {
			all = append(all, item.(object)["seq"].(float64))
		}
		return all
	}
	newest, oldest := numbers(""), numbers("sort=seq")
	if !slices.IsSorted(oldest) || len(oldest) < 3 || newest[0] <= newest[len(newest)-1] {
		t.Errorf("newest first %v, oldest first %v", newest, oldest)
	}
	h.api("GET", "integrations?sort=id", nil).want(t, http.StatusOK)
	p := h.api("GET", "integrations?sort=-updatedAt", nil).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	if text := fmt.Sprint(p["errors"]); !strings.Contains(text, "one of") || !strings.Contains(text, "id") {
		t.Errorf("what is allowed is not said: %s", text)
	}
}

// TestListCursors: a cursor that was altered, or is of another list or of other filters, is
// refused wherever it was altered.
func TestListCursors(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.made(3)
	cursor := h.api("GET", "integrations?limit=1", nil).json(t)["nextCursor"].(string)
	h.api("GET", "integrations?limit=2&fields=id&cursor="+cursor, nil).want(t, http.StatusOK)
	for i := range cursor {
		other := "A"
		if cursor[i] == 'A' {
			other = "B"
		}
		altered := cursor[:i] + other + cursor[i+1:]
		h.access.User = fmt.Sprint("u", i) // nobody meets the limit
		h.api("GET", "integrations?cursor="+url.QueryEscape(altered), nil).problem(t, http.StatusBadRequest, "invalid_cursor")
	}
	for _, path := range []string{"integrations?provider=fake&cursor=", "schedules?cursor="} {
		h.api("GET", path+cursor, nil).problem(t, http.StatusBadRequest, "invalid_cursor")
	}
	h.access.Tenant = "other"
	h.api("GET", "integrations?cursor="+cursor, nil).problem(t, http.StatusBadRequest, "invalid_cursor")
}

// TestListConventions: every list takes the same parameters and answers in the same form.
func TestListConventions(t *testing.T) {
	documents, err := apiDocuments()
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, hostOptions{options: admin.Options{Logs: enlace.NewLogBuffer(10, nil)}})
	in := h.connected("CRM")
	lists := 0
	for path, item := range documents[1].Paths.Map() {
		if item.Get == nil || !strings.HasPrefix(item.Get.OperationID, "list") {
			continue
		}
		lists++
		parameters := item.Get.Parameters
		if fields := parameters.GetByInAndName("query", "fields"); fields == nil || len(fields.Schema.Value.Items.Value.Enum) == 0 {
			t.Errorf("%s does not say which fields there are", path)
		}
		if limit := parameters.GetByInAndName("query", "limit"); limit != nil && *limit.Schema.Value.Max != 200 {
			t.Errorf("%s: at most %v", path, *limit.Schema.Value.Max)
		}
		if cursor, sort := parameters.GetByInAndName("query", "cursor"), parameters.GetByInAndName("query", "sort"); cursor != nil && (sort == nil || len(sort.Schema.Value.Enum) == 0) {
			t.Errorf("%s does not say in which order it is", path)
		}
		h.access.User = path
		address := strings.Replace(strings.TrimPrefix(path, "/"), "{id}", in.ID, 1) + "?entity=contacts"
		if total := h.api("GET", address, nil).want(t, http.StatusOK).json(t)["total"]; total == nil {
			t.Errorf("%s: no total", path)
		}
	}
	if lists < 15 {
		t.Errorf("only %d lists", lists)
	}
	h.get("api").want(t, http.StatusOK, "Newest or oldest first: -seq, seq", "The order there is: -startedAt")
}

// TestNotModified: who has read something is not sent it again while it is the same.
func TestNotModified(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	schedule := h.api("POST", "schedules", object{"integrationId": in.ID, "spec": "every 5m"}).want(t, http.StatusCreated).json(t)["id"].(string)
	for _, path := range []string{"integrations/" + in.ID, "providers/fake", "schedules/" + schedule} {
		tag := h.api("GET", path, nil).want(t, http.StatusOK).Header.Get("ETag")
		if again := h.api("GET", path, nil, "If-None-Match", `"other", `+tag).want(t, http.StatusNotModified); again.body != "" || again.Header.Get("ETag") != tag {
			t.Errorf("%s: ETag %s, body %q", path, again.Header.Get("ETag"), again.body)
		}
		h.api("GET", path, nil, "If-None-Match", `"other"`).want(t, http.StatusOK)
	}
}

// TestRateLimitHeaders: what is limited says by how much, what is left, and when to come again.
// The time is virtual.
func TestRateLimitHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, handler := newBare(t, memory.New(), admin.Options{})
		defer handler.Close()
		ask := func(method, path string) http.Header {
			r := httptest.NewRequest(method, path, strings.NewReader("{}"))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w.Header()
		}
		want := func(h http.Header, policy, limit, retry string) {
			t.Helper()
			if h.Get("RateLimit-Policy") != policy || h.Get("RateLimit") != limit || h.Get("Retry-After") != retry {
				t.Errorf("policy %s, limit %s, retry after %q; want %s, %s, %q", h.Get("RateLimit-Policy"), h.Get("RateLimit"), h.Get("Retry-After"), policy, limit, retry)
			}
		}
		const calls, tests = `"calls";q=100;w=2`, `"tests";q=10;w=60`
		want(ask("GET", "/api/v1/providers"), calls, `"calls";r=99;t=1`, "")
		want(ask("GET", "/settings"), calls, `"calls";r=98;t=1`, "")
		for left := 9; left >= 0; left-- {
			want(ask("POST", "/api/v1/validate"), tests, fmt.Sprintf(`"tests";r=%d;t=%d`, left, 6*(10-left)), "")
		}
		want(ask("POST", "/api/v1/validate"), tests, `"tests";r=0;t=60`, "6")
		time.Sleep(6 * time.Second)
		want(ask("POST", "/api/v1/validate"), tests, `"tests";r=0;t=60`, "")
	})
}
