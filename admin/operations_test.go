package admin_test

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// TestAudit: who did what is there to see, refused attempts too; it can be
// filtered, verified and taken along.
func TestAudit(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	h.post("i/"+in.ID+"/disable", nil).want(t, http.StatusOK)
	h.access.Grants = admin.ReadOnly
	h.post("i/"+in.ID+"/enable", nil).want(t, http.StatusForbidden)
	h.api("POST", "integrations/"+in.ID+"/enable", nil).problem(t, http.StatusForbidden, "forbidden")
	h.get("audit").want(t, http.StatusForbidden)
	h.access.Grants = admin.Administrator
	h.get("audit").want(t, http.StatusOK, "integration disabled", "u1", "127.0.0.1", "attempt without permission", "refused", "Vendas")
	if a := h.get("audit?result=refused&actor=u1"); strings.Count(a.body, `<tr id="audit-`) != 2 || strings.Contains(a.body, "integration disabled") {
		t.Errorf("filtered: %s", a.body)
	}
	h.get("audit?from=2001-01-01&to=2001-01-02").want(t, http.StatusOK, "No entry matches")
	h.post("audit/verify", nil).want(t, http.StatusOK, "The trail is intact")
	if a := h.get("audit/export?format=csv&action=integration."); a.Header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.Contains(a.body, "integration.disable") ||
		!strings.Contains(a.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("export: %v %s", a.Header, a.body)
	}
	h.get("audit/export?format=jsonl").want(t, http.StatusOK, `"action":"integration.disable"`)
}

// TestMetrics: the page draws what there is, and says so if there is nothing.
func TestMetrics(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.get("metrics").want(t, http.StatusOK, "Nothing happened in this range", "<svg", "Show the numbers")
	h.get("metrics?range=nonsense&group=provider").want(t, http.StatusOK)
	h.get("metrics.csv?range=1h").want(t, http.StatusOK, "at,requests,failures")
	h.access.Grants = admin.GrantView
	h.get("metrics").want(t, http.StatusForbidden)
}

// TestFlags: a rule switches something off for the user's tenant and nobody else.
func TestFlags(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.access.Tenant = "acme"
	h.get("flags").want(t, http.StatusOK, "No rule")
	h.post("flags", url.Values{"flag": {"integrations"}, "state": {"off"}, "reason": {"Manutenção"}, "tenant": {"other"}}).want(t, http.StatusOK, "Rule saved.", "Manutenção", "u1")
	for tenant, want := range map[string]bool{"acme": false, "other": true} {
		if got := h.service.FlagEnabled(t.Context(), enlace.FlagIntegrations, enlace.Ref{Tenant: tenant}, ""); got != want {
			t.Errorf("%s: %v, want %v", tenant, got, want)
		}
	}
	h.post("flags", url.Values{"flag": {"integrations"}, "state": {"clear"}}).want(t, http.StatusOK, "No rule")
	h.post("flags", url.Values{"flag": {"nonsense"}, "state": {"off"}}).want(t, http.StatusUnprocessableEntity)
	h.access.Grants = admin.Operator
	h.post("flags", url.Values{"flag": {"integrations"}, "state": {"off"}}).want(t, http.StatusForbidden)
}

// TestLogsStream: an open stream tells of log lines, to whoever may see them.
func TestLogsStream(t *testing.T) {
	buffer := enlace.NewLogBuffer(100, nil)
	h := newHost(t, hostOptions{options: admin.Options{Logs: buffer}})
	in := h.connected("CRM")
	// next is the first event behind the greeting that is no audit entry's.
	next := func(write func()) string {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+"live", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := h.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() && lines.Text() != "" { // the event that opens the stream
		}
		write()
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok && name != "audit" {
				return name
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	logger := slog.New(buffer)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if name := next(func() { go keepLogging(ctx, logger) }); name != "logs" {
		t.Errorf("the event is %q", name)
	}
	h.access.Grants = admin.GrantView
	if name := next(func() {
		if _, err := h.service.Disable(t.Context(), in.Ref); err != nil {
			t.Fatal(err)
		}
	}); name != "integrations" {
		t.Errorf("who may not see log lines is told of %q", name)
	}
}

// keepLogging writes lines until ctx ends: one that comes before the stream has begun to
// look is followed by others.
func keepLogging(ctx context.Context, logger *slog.Logger) {
	for pauseFor(ctx) {
		logger.Info("a page")
	}
}

// TestLogs: the page shows the lines of the user's tenant, filtered, and only where
// the host has a buffer.
func TestLogs(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.get("logs").want(t, http.StatusNotFound)
	buffer := enlace.NewLogBuffer(100, nil)
	h = newHost(t, hostOptions{options: admin.Options{Logs: buffer}})
	h.access.Tenant = "acme"
	logger := slog.New(buffer)
	logger.Info("pulled <b>a page</b>", enlace.LogTenant, "acme", enlace.LogIntegration, "i1", enlace.LogRequest, "req-1")
	logger.Warn("something else", enlace.LogTenant, "acme")
	logger.Error("of somebody else", enlace.LogTenant, "other")
	logger.Error("of nobody")
	a := h.get("logs").want(t, http.StatusOK, "pulled <b>a page</b>", "something else")
	if strings.Contains(a.body, "of somebody") || strings.Contains(a.body, "of nobody") || strings.Contains(a.body, "<b>a page") {
		t.Errorf("the page shows what it must not:\n%s", a.body)
	}
	if a := h.get("logs?level=warn"); strings.Contains(a.body, "pulled") || !strings.Contains(a.body, "something else") {
		t.Error("not filtered by level")
	}
	if a := h.get("logs?request=req-1"); !strings.Contains(a.body, "pulled") || strings.Contains(a.body, "something else") {
		t.Error("not filtered by request")
	}
	h.access.Grants = admin.GrantView
	h.get("logs").want(t, http.StatusForbidden)
}
