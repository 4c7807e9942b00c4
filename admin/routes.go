package admin

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
)

// route is one address of the pages: what it asks for, and what answers. The
// table is the only place that says who may do what; buttons read it through the
// grants.
type route struct {
	method, pattern string
	grant           Grants
	tests           bool // it calls out to a provider: few of them
	serve           func(a *Admin, w http.ResponseWriter, r *http.Request, c *call) error
}

// routes are all pages and actions. Files add theirs to the table by a function
// each, so that it reads as the map of the admin.
func routes() []route {
	return append([]route{
		{"GET", "/{$}", GrantView, false, (*Admin).overview},
		{"GET", "/i", GrantView, false, (*Admin).integrationList},
		{"GET", "/new", GrantCreate, false, (*Admin).providerList},
		{"GET", "/new/{provider}", GrantCreate, false, (*Admin).newIntegration},
		{"POST", "/new/{provider}", GrantCreate, false, (*Admin).createIntegration},
		{"GET", "/i/{id}", GrantView, false, (*Admin).integrationPage},
		{"GET", "/i/{id}/edit", GrantUpdate, false, (*Admin).editIntegration},
		{"POST", "/i/{id}/edit", GrantUpdate, false, (*Admin).saveIntegration},
		{"POST", "/i/{id}/enable", GrantEnable, false, (*Admin).enableIntegration},
		{"POST", "/i/{id}/disable", GrantEnable, false, (*Admin).disableIntegration},
		{"GET", "/i/{id}/delete", GrantDelete, false, (*Admin).deletePage},
		{"POST", "/i/{id}/delete", GrantDelete, false, (*Admin).deleteIntegration},
		{"GET", "/i/{id}/connect", GrantConnect, false, (*Admin).connectPage},
		{"POST", "/i/{id}/connect", GrantConnect, false, (*Admin).connectIntegration},
		{"POST", "/i/{id}/disconnect", GrantConnect, false, (*Admin).disconnectIntegration},
		{"POST", "/i/{id}/authorize", GrantConnect, false, (*Admin).startAuthorization},
		{"GET", "/runs", GrantView, false, (*Admin).runList},
		{"GET", "/runs/{id}", GrantView, false, (*Admin).runPage},
		{"POST", "/runs/{id}/cancel", GrantSync, false, (*Admin).cancelSync},
		{"POST", "/i/{id}/sync", GrantSync, true, (*Admin).runSync},
		{"GET", "/schedules", GrantView, false, (*Admin).scheduleList},
		{"POST", "/schedules", GrantSync, false, (*Admin).createSchedule},
		{"GET", "/schedules/{id}", GrantView, false, (*Admin).schedulePage},
		{"POST", "/schedules/{id}", GrantSync, false, (*Admin).changeSchedule},
		{"GET", "/console", GrantView, false, (*Admin).consolePage},
		{"POST", "/console", GrantTest, true, (*Admin).runTest},
		{"GET", "/console/{id}", GrantView, false, (*Admin).testPage},
		{"POST", "/console/{id}/cancel", GrantTest, false, (*Admin).cancelTest},
		{"POST", "/runs/{id}/undo", GrantSync, true, (*Admin).undoRun},
		{"POST", "/i/{id}/plan", GrantTest, true, (*Admin).makePlan},
		{"GET", "/plans/{id}", GrantTest, false, (*Admin).planPage},
		{"POST", "/plans/{id}/apply", GrantSync, true, (*Admin).applyPlan},
		{"GET", "/outbox", GrantView, false, (*Admin).outboxPage},
		{"GET", "/outbox/item", GrantView, false, (*Admin).outboxItem},
		{"POST", "/outbox/item", GrantSync, false, (*Admin).changeOutbox},
		{"GET", "/conflicts", GrantView, false, (*Admin).conflictList},
		{"POST", "/conflicts", GrantSync, false, (*Admin).resolveConflict},
		{"GET", "/i/{id}/mappings", GrantView, false, (*Admin).mappingList},
		{"GET", "/i/{id}/mappings/{entity}/suggest", GrantUpdate, false, (*Admin).suggestPage},
		{"POST", "/i/{id}/mappings/{entity}/suggest", GrantUpdate, false, (*Admin).suggestMapping},
		{"GET", "/i/{id}/mappings/{entity}/{number}", GrantView, false, (*Admin).mappingPage},
		{"POST", "/i/{id}/mappings/{entity}/{number}", GrantView, false, (*Admin).changeMapping},
		{"POST", "/runs/{id}/pause", GrantSync, false, (*Admin).pauseRun},
		{"POST", "/runs/{id}/resume", GrantSync, false, (*Admin).resumeRun},
		{"GET", "/i/{id}/deletions", GrantView, false, (*Admin).deletionsPage},
		{"POST", "/i/{id}/deletions", GrantSync, false, (*Admin).decideDeletions},
		{"GET", "/i/{id}/aside", GrantView, false, (*Admin).asidePage},
		{"POST", "/i/{id}/aside", GrantSync, false, (*Admin).redriveRefused},
		{"GET", "/i/{id}/aside/item", GrantView, false, (*Admin).refusedPage},
		{"POST", "/i/{id}/aside/item", GrantSync, false, (*Admin).changeRefused},
		{"POST", "/i/{id}/webhook", GrantConnect, true, (*Admin).registerWebhook},
		{"GET", "/webhooks", GrantView, false, (*Admin).webhookList},
		{"POST", "/webhooks", GrantReplay, false, (*Admin).replayAll},
		{"GET", "/webhooks/{id}", GrantView, false, (*Admin).deliveryPage},
		{"POST", "/webhooks/{id}", GrantReplay, false, (*Admin).changeDelivery},
		{"GET", "/logs", GrantViewLogs, false, (*Admin).logsPage},
		{"GET", "/health", GrantView, false, (*Admin).healthPage},
		{"POST", "/health", GrantEnable, false, (*Admin).setMaintenance},
		{"POST", "/i/{id}/health", GrantTest, true, (*Admin).checkHealth},
		{"GET", "/metrics", GrantViewMetrics, false, (*Admin).metricsPage},
		{"GET", "/metrics.csv", GrantViewMetrics, false, (*Admin).metricsCSV},
		{"GET", "/audit", GrantViewAudit, false, (*Admin).auditPage},
		{"GET", "/audit/export", GrantViewAudit, false, (*Admin).exportAudit},
		{"POST", "/audit/verify", GrantViewAudit, true, (*Admin).verifyAudit},
		{"GET", "/doctor", GrantDiagnose, false, (*Admin).doctorPage},
		{"POST", "/doctor", GrantDiagnose, true, (*Admin).runDoctor},
		{"GET", "/flags", GrantView, false, (*Admin).flagsPage},
		{"POST", "/flags", GrantFlags, false, (*Admin).setFlag},
		{"GET", "/api", GrantView, false, (*Admin).referencePage},
		{"GET", "/settings", 0, false, (*Admin).settingsPage},
		{"POST", "/settings", 0, false, (*Admin).saveSettings},
		{"GET", "/live", GrantView, false, (*Admin).live},
	}, bulkRoutes()...)
}

func (a *Admin) newRoutes() http.Handler {
	mux := http.NewServeMux()
	a.api = a.newAPI(mux)
	for _, route := range routes() {
		mux.Handle(route.method+" "+route.pattern, a.guarded(route))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		methods := allowedMethods(mux, r)
		if len(methods) == 0 {
			a.fail(w, r, c, newProblem(c, "not_found"))
			return
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		a.fail(w, r, c, newProblem(c, "method_not_allowed"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			a.onTime(w, r, mux)
			return
		}
		a.once(w, r, mux)
	})
}

// allowedMethods are those with which the address of a request can be asked for.
func allowedMethods(mux *http.ServeMux, r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := *r
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != "" && pattern != "/" {
			methods = append(methods, method)
		}
	}
	return methods
}

// guarded checks the grant and the limits of a route, and turns its error into an
// answer.
func (a *Admin) guarded(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		defer a.recovered(w, r, c)
		if err := a.admit(w, r, c, route.grant, route.tests); err != nil {
			a.fail(w, r, c, err)
			return
		}
		if r.Method == http.MethodPost && !formBody(r) {
			a.fail(w, r, c, newProblem(c, "unsupported_media_type"))
			return
		}
		if err := route.serve(a, w, r, c); err != nil {
			a.fail(w, r, c, err)
		}
	})
}

// admit is what pages and API ask before each operation.
func (a *Admin) admit(w http.ResponseWriter, r *http.Request, c *call, grant Grants, tests bool) error {
	if !c.may(grant) {
		a.auditRefusal(r, c, grant)
		return newProblem(c, "forbidden")
	}
	name, b := "calls", callRate
	if tests {
		name, b = "tests", testRate
	}
	left := a.limits.take(c.access.User, name, b)
	left.tell(w.Header(), name, b)
	if left.wait > 0 {
		return newProblem(c, "rate_limited")
	}
	return nil
}

// recovered answers for a handler that panicked, and logs it.
func (a *Admin) recovered(w http.ResponseWriter, r *http.Request, c *call) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	a.logger.Error("admin panicked", "request", c.id, "path", c.mount.path, "panic", cause, "stack", string(debug.Stack()))
	a.fail(w, r, c, newProblem(c, "internal"))
}

// formBody says whether the body is what forms of these pages send.
func formBody(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return kind == "application/x-www-form-urlencoded" || (kind == "" && r.ContentLength == 0)
}

// navEntry is one entry of the navigation.
type navEntry struct{ Key, Path, Icon string }

// navigation lists what the user may see.
func (a *Admin) navigation(c *call) []navEntry {
	var entries []navEntry
	for _, e := range []struct {
		navEntry
		grant Grants
	}{
		{navEntry{"overview", "", "home"}, GrantView},
		{navEntry{"integrations", "i", "plug"}, GrantView},
		{navEntry{"runs", "runs", "sync"}, GrantView},
		{navEntry{"schedules", "schedules", "clock"}, GrantView},
		{navEntry{"health", "health", "pulse"}, GrantView},
		{navEntry{"webhooks", "webhooks", "hook"}, GrantView},
		{navEntry{"outbox", "outbox", "out"}, GrantView},
		{navEntry{"conflicts", "conflicts", "fork"}, GrantView},
		{navEntry{"metrics", "metrics", "chart"}, GrantViewMetrics},
		{navEntry{"console", "console", "console"}, GrantView},
		{navEntry{"logs", "logs", "log"}, GrantViewLogs},
		{navEntry{"audit", "audit", "shield"}, GrantViewAudit},
		{navEntry{"flags", "flags", "flag"}, GrantView},
		{navEntry{"doctor", "doctor", "heart"}, GrantDiagnose},
		{navEntry{"api", "api", "code"}, GrantView},
	} {
		if c.may(e.grant) && (e.Key != "logs" || a.options.Logs != nil) {
			entries = append(entries, e.navEntry)
		}
	}
	return entries
}

// navigationKeys are pressed after "g"; admin.js has the same.
var navigationKeys = map[string]string{"overview": "o", "integrations": "i", "health": "h", "metrics": "m", "runs": "r", "console": "c",
	"webhooks": "w", "schedules": "s", "logs": "l", "audit": "a", "flags": "f"}

// numberOf is the number that a form has sent; 0 for none, -1 for what is no number.
func numberOf(text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

func grantByName(name string) (Grants, bool) {
	for i, known := range grantNames {
		if known == name {
			return 1 << i, true
		}
	}
	return 0, false
}
