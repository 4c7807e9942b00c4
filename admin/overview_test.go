package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/store/memory"
)

// TestResponseTimes: the list of integrations tells each one's response time, to whoever may
// see metrics; a source of metrics that hangs costs that column only. The time is virtual.
func TestResponseTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grants := admin.Administrator
		p := fake.New(fake.Options{Latency: 300 * time.Millisecond})
		store := &forgetful{Store: memory.New()}
		service, err := newServiceOf(p, store)
		if err != nil {
			t.Fatal(err)
		}
		handler := admin.Handler(service, admin.Options{Authorize: func(*http.Request) (admin.Access, error) {
			return admin.Access{User: "u1", Grants: grants}, nil
		}})
		defer handler.Close()
		credential := p.APIKey()
		in, err := service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Name: "Vendas", Credential: &credential})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- service.Run(ctx) }()
		if _, err := service.Sync(t.Context(), in.Ref, enlace.SyncOptions{Sink: &picky{}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute) // the minute of the sync is stored
		list := func() string {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/i", nil))
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Vendas") {
				t.Errorf("status %d\n%s", w.Code, w.Body)
			}
			return w.Body.String()
		}
		if page := list(); !regexp.MustCompile(`data-label="p95, 24 h">3\d\d ms<`).MatchString(page) {
			t.Errorf("the response time is not in\n%s", page)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if page := w.Body.String(); !regexp.MustCompile(`Response time \(p95\)</span><b class="text">3\d\d ms<`).MatchString(page) || !strings.Contains(page, "webhooks in 24 h: 0") {
			t.Errorf("the response time of all is not in\n%s", page)
		}
		store.hang.Store(true)
		if page := list(); !strings.Contains(page, "This data is not available now") || !strings.Contains(page, `data-label="p95, 24 h">–<`) {
			t.Errorf("the page with metrics that hang:\n%s", page)
		}
		grants = admin.GrantView
		if page := list(); strings.Contains(page, "p95") || strings.Contains(page, "not available now") {
			t.Errorf("who may not see metrics gets\n%s", page)
		}
		store.hang.Store(false)
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// forgetful is a store whose metrics hang at times.
type forgetful struct {
	enlace.Store
	hang atomic.Bool
}

func (s *forgetful) Metrics(ctx context.Context, q enlace.MetricChunkQuery) ([]enlace.MetricChunk, error) {
	if s.hang.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Metrics(ctx, q)
}

// TestOverviewCards: the overview tells which schedule is furthest behind, which credentials
// end soon and which providers are left alone; only of the user's tenant.
func TestOverviewCards(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	h.get("").want(t, http.StatusOK, "Open breakers", "all providers are called")
	if a := h.get(""); strings.Contains(a.body, "Furthest behind") || strings.Contains(a.body, "Needs attention") {
		t.Error("without schedules nothing is behind")
	}
	if _, err := h.service.CheckHealth(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := h.service.SaveSchedule(t.Context(), enlace.Schedule{Ref: in.Ref, Spec: "0 0 1 1 *"}); err != nil {
		t.Fatal(err)
	}
	h.pull(in)
	h.get("").want(t, http.StatusOK, "Furthest behind", "on time", "one schedule", "Credentials that end soon", "none within 7 days")

	late := h.connected("Loja")
	if _, err := h.service.SaveSchedule(t.Context(), enlace.Schedule{Ref: late.Ref, Spec: "every 1h"}); err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-4 * time.Hour)
	for _, run := range []enlace.Run{
		{ID: strings.Repeat("1", 26), State: enlace.RunComplete, StartedAt: began, FinishedAt: began.Add(time.Minute)},
		{ID: strings.Repeat("2", 26), State: enlace.RunFailed, StartedAt: began.Add(2 * time.Hour), FinishedAt: began.Add(2 * time.Hour)},
	} {
		run.Ref, run.Provider, run.Direction, run.UpdatedAt = late.Ref, fake.Name, enlace.Pull, run.FinishedAt
		if err := h.store.SaveRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	if err := h.store.SaveHealth(t.Context(), []enlace.Health{{Ref: late.Ref, Provider: fake.Name, Status: enlace.HealthWarning, Cause: enlace.CauseExpiring, CheckedAt: now, Since: now,
		Checks: []enlace.HealthCheck{{Name: enlace.CheckAuthentication, Status: enlace.HealthWarning, Cause: enlace.CauseExpiring, Until: now.Add(74 * time.Hour)}}}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []enlace.Ref{in.Ref, {Tenant: "other", ID: in.ID}} {
		if err := h.store.SaveBreaker(t.Context(), enlace.OpenBreaker{BreakerName: enlace.BreakerName{Ref: ref, Operation: "push"}, Rest: time.Minute, Left: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	page := h.get("").want(t, http.StatusOK, "Needs attention", "nothing has been synchronised for", "behind", "in 3 days", "the credential ends soon", "not called for a while",
		"the provider does not answer and is left alone")
	if n := strings.Count(page.body, "left alone for a while"); n != 1 {
		t.Errorf("%d breakers are listed", n)
	}
	if _, err := h.service.Disable(t.Context(), late.Ref); err != nil {
		t.Fatal(err)
	}
	h.get("").want(t, http.StatusOK, "on time")
}
