package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

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
