package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

// running starts the service's background work until the test ends.
func running(t *testing.T, services ...*enlace.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, s := range services {
		wg.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

func (h *host) health(in enlace.Integration) enlace.Health {
	h.t.Helper()
	got, err := h.store.Health(h.t.Context(), in.Ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

// alerts collects what OnHealthChange is told.
type alerts struct {
	mu   sync.Mutex
	all  []string
	fail int // so many calls
}

func (a *alerts) take(_ context.Context, changes []enlace.HealthChange) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail > 0 {
		a.fail--
		return errors.New("pager is down")
	}
	for _, c := range changes {
		a.all = append(a.all, fmt.Sprintf("%s>%s %s", c.From, c.To, c.Cause))
	}
	return nil
}

func (a *alerts) told() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

func watching(a *alerts) func(*enlace.Config) {
	return func(c *enlace.Config) { c.OnHealthChange = a.take }
}

func TestHealthFollowsTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &alerts{}
		h := newHost(t, crm{}, watching(a))
		in := h.create(apiKey("k"), with("retryAttempts", "0"))
		running(t, h.Service)
		time.Sleep(time.Minute)
		got := h.health(in)
		if got.Status != enlace.HealthHealthy || got.CheckedAt.IsZero() || got.Since.IsZero() || got.Evidence != "probe" || got.Cause != "" {
			t.Fatalf("%+v", got)
		}
		if n := len(h.provider.seen("/ping")); n < 2 || n > 3 {
			t.Errorf("%d requests in a minute", n)
		}
		// One failure is no incident; the second, five seconds later, is.
		h.provider.setFault(times(1, "/ping", status(503, `{}`)))
		time.Sleep(time.Minute)
		if got := h.health(in); got.Status != enlace.HealthHealthy || got.Pending != "" {
			t.Errorf("after one failure: %+v", got)
		}
		h.provider.setFault(times(1<<30, "/ping", status(503, `{}`)))
		time.Sleep(time.Minute)
		got = h.health(in)
		if got.Status != enlace.HealthError || got.Cause != enlace.CauseProviderDown || !strings.Contains(got.Summary, "out of order") {
			t.Errorf("a provider that is down: %+v", got)
		}
		if diff := cmp.Diff([]string{"healthy>error provider_down"}, a.told()); diff != "" {
			t.Error("alerts (-want +got):\n" + diff)
		}
		// It is asked less and less while it stays so.
		before := len(h.provider.seen("/ping"))
		time.Sleep(time.Hour)
		if n := len(h.provider.seen("/ping")) - before; n > 12 {
			t.Errorf("%d requests in an hour to a provider that is down", n)
		}
		h.provider.setFault(nil)
		time.Sleep(11 * time.Minute)
		if got := h.health(in); got.Status != enlace.HealthHealthy || got.Summary != "" {
			t.Errorf("a provider that is back: %+v", got)
		}
		if diff := cmp.Diff([]string{"healthy>error provider_down", "error>healthy "}, a.told()); diff != "" {
			t.Error("alerts (-want +got):\n" + diff)
		}
		changes, _, err := h.HealthChanges(t.Context(), enlace.HealthChangeQuery{Tenant: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		var history []string
		for _, c := range slices.Backward(changes) {
			history = append(history, string(c.From)+">"+string(c.To))
		}
		if diff := cmp.Diff([]string{"unknown>healthy", "healthy>error", "error>healthy"}, history); diff != "" {
			t.Error("history (-want +got):\n" + diff)
		}
	})
}

func TestHealthCauses(t *testing.T) {
	answer := func(code int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			answerJSON(w, code, body)
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		status enlace.HealthStatus
		cause  enlace.HealthCause
		say    string
	}{
		{"refused", answer(401, `{}`), enlace.HealthError, enlace.CauseReconnect, "reconnect"},
		{"forbidden", answer(403, `{}`), enlace.HealthWarning, enlace.CauseScopes, "permissions"},
		{"throttled", answer(429, `{}`, "Retry-After", "240"), enlace.HealthWarning, enlace.CauseRateLimited, "wait until"},
		{"down", answer(502, ``), enlace.HealthError, enlace.CauseProviderDown, "out of order"},
		{"moved", answer(301, ``, "Location", "https://other.example.com/api/ping"), enlace.HealthError, enlace.CauseConfiguration, "another address"},
		{"gone", answer(404, `{}`), enlace.HealthError, enlace.CauseConfiguration, "settings"},
		{"slow", func(w http.ResponseWriter, _ *http.Request) { time.Sleep(6 * time.Second); answerJSON(w, 200, `{}`) },
			enlace.HealthWarning, enlace.CauseSlow, "takes 6s"},
		{"hanging", func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Minute) }, enlace.HealthError, enlace.CauseProviderDown, "no answer within 10s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, crm{})
				in := h.create(apiKey(canary))
				h.provider.setFault(times(1<<30, "/ping", c.answer))
				got, err := h.CheckHealth(t.Context(), in.Ref)
				if err != nil {
					t.Fatal(err)
				}
				if got.Status != c.status || got.Cause != c.cause || !strings.Contains(got.Summary, c.say) {
					t.Errorf("%+v", got)
				}
				checkNoLeak(t, "health", dump(got), canary)
				if n := len(h.provider.seen("/ping")); n != 1 {
					t.Errorf("the check made %d requests", n)
				}
			})
		})
	}
}

func TestHealthOfWhatCannotBeAsked(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"))
	ref := in.Ref
	check := func(what string, status enlace.HealthStatus, cause enlace.HealthCause) {
		t.Helper()
		before := len(h.provider.seen("/ping"))
		got, err := h.CheckHealth(t.Context(), ref)
		if err != nil || got.Status != status || got.Cause != cause || got.Summary == "" {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if n := len(h.provider.seen("/ping")) - before; n != 0 {
			t.Errorf("%s: asked %d times", what, n)
		}
	}
	must(h.Disable(t.Context(), ref))(t)
	check("disabled", enlace.HealthUnknown, enlace.CauseDisabled)
	must(h.Enable(t.Context(), ref))(t)
	must(h.Disconnect(t.Context(), ref))(t)
	check("disconnected", enlace.HealthWarning, enlace.CauseNotConnected)
	must(h.Connect(t.Context(), ref, apiKey("k")))(t)
	row := must(h.store.Integration(t.Context(), ref))(t)
	row.Status, row.StatusReason = enlace.StatusNeedsReauth, "the user revoked it"
	if err := h.store.UpdateIntegration(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	check("refused before", enlace.HealthError, enlace.CauseReconnect)
	if _, err := h.CheckHealth(t.Context(), enlace.Ref{Tenant: "other", ID: ref.ID}); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if err := h.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Health(t.Context(), ref); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("health of a deleted integration: %v", err)
	}
}

func TestRealTrafficSparesProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{})
		in := h.create(apiKey("k"), with("retryAttempts", "0"))
		running(t, h.Service)
		c := h.open(in)
		for range 60 {
			time.Sleep(10 * time.Second)
			if err := c.Do(t.Context(), enlace.Call{Path: "deals"}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.provider.seen("/ping")); n > 1 {
			t.Errorf("%d probes beside traffic that shows the same", n)
		}
		if got := h.health(in); got.Status != enlace.HealthHealthy || got.Evidence != "traffic" {
			t.Errorf("%+v", got)
		}
		// Nothing is asked for health's sake while work waits for the limit.
		h.provider.setFault(times(1<<30, "", status(429, `{}`)))
		_ = c.Do(t.Context(), enlace.Call{Path: "deals"}, nil)
		synctest.Wait() // a probe may have been due at this very moment
		before := len(h.provider.seen("/ping"))
		for range 12 {
			time.Sleep(10 * time.Second)
			_ = c.Do(t.Context(), enlace.Call{Path: "deals"}, nil)
		}
		if n := len(h.provider.seen("/ping")) - before; n != 0 {
			t.Errorf("%d probes to a provider that asks to wait", n)
		}
		if got := h.health(in); got.Status != enlace.HealthWarning || got.Cause != enlace.CauseRateLimited {
			t.Errorf("%+v", got)
		}
		for _, o := range observedAs[enlace.RequestDone](h) {
			if o.Probe != (o.Op == "ping") {
				t.Errorf("%+v", o)
			}
		}
	})
}

func TestMaintenanceKeepsAlertsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &alerts{}
		h := newHost(t, crm{}, watching(a))
		in := h.create(apiKey("k"), with("retryAttempts", "0"))
		running(t, h.Service)
		time.Sleep(time.Minute)
		m := must(h.SetMaintenance(t.Context(), enlace.Maintenance{Tenant: "acme", Provider: "crm", Until: time.Now().Add(time.Hour), Reason: "update"}))(t)
		time.Sleep(time.Minute)
		h.provider.setFault(times(1<<30, "/ping", status(401, `{}`)))
		time.Sleep(2 * time.Minute)
		if got := h.health(in); got.Status != enlace.HealthError || !got.Maintenance {
			t.Errorf("%+v", got)
		}
		if told := a.told(); len(told) != 0 {
			t.Errorf("alerted in maintenance: %v", told)
		}
		if list := must(h.Maintenances(t.Context(), "acme"))(t); len(list) != 1 || list[0].ID != m.ID {
			t.Errorf("%+v", list)
		}
		if err := h.EndMaintenance(t.Context(), "other", m.ID); !errors.Is(err, enlace.ErrNotFound) {
			t.Errorf("another tenant ended it: %v", err)
		}
		if err := h.EndMaintenance(t.Context(), "acme", m.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Minute)
		if diff := cmp.Diff([]string{"healthy>error reconnect"}, a.told()); diff != "" {
			t.Error("alerts after the window (-want +got):\n" + diff)
		}
	})
}

func TestAlertsAreRepeatedUntilTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &alerts{fail: 2}
		h := newHost(t, crm{}, watching(a))
		h.create(apiKey("k"), with("retryAttempts", "0"))
		h.provider.setFault(times(1<<30, "/ping", status(403, `{}`)))
		running(t, h.Service)
		time.Sleep(10 * time.Minute)
		if diff := cmp.Diff([]string{"healthy>warning scopes"}, a.told()); diff != "" {
			t.Error("alerts (-want +got):\n" + diff)
		}
	})
}

func TestOneProcessKeepsWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &alerts{}
		h := newHost(t, crm{}, watching(a))
		h.create(apiKey("k"), with("retryAttempts", "0"))
		first, second := h.restart(), h.restart()
		stopFirst := running(t, first)
		running(t, second)
		time.Sleep(10 * time.Minute)
		if n := len(h.provider.seen("/ping")); n < 18 || n > 22 {
			t.Errorf("two processes made %d checks in ten minutes, want those of one", n)
		}
		stopFirst() // the other takes over
		before := len(h.provider.seen("/ping"))
		time.Sleep(10 * time.Minute)
		if n := len(h.provider.seen("/ping")) - before; n < 17 || n > 22 {
			t.Errorf("after the take-over %d checks in ten minutes", n)
		}
		h.provider.setFault(times(1<<30, "/ping", status(403, `{}`)))
		time.Sleep(10 * time.Minute)
		if diff := cmp.Diff([]string{"healthy>warning scopes"}, a.told()); diff != "" {
			t.Error("alerts (-want +got):\n" + diff)
		}
	})
}

func TestReconnectingHealsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{})
		in := h.create(apiKey("k"), with("retryAttempts", "0"), with("healthInterval", "600000"))
		h.provider.setFault(times(1, "/ping", status(401, `{}`)))
		running(t, h.Service)
		time.Sleep(11 * time.Minute)
		if got := h.health(in); got.Status != enlace.HealthError || got.Cause != enlace.CauseReconnect {
			t.Fatalf("%+v", got)
		}
		must(h.Connect(t.Context(), in.Ref, apiKey("k2")))(t)
		time.Sleep(3 * time.Second)
		if got := h.health(in); got.Status != enlace.HealthHealthy {
			t.Errorf("three seconds after it was connected again: %+v", got)
		}
	})
}

// A probe never spends a refresh token: providers block apps that refresh on a timer.
func TestProbesDoNotRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{auth: []enlace.AuthScheme{codeScheme}}, withApp)
		in := h.create(valid())
		running(t, h.Service)
		time.Sleep(30 * time.Minute)
		if got := h.health(in); got.Status != enlace.HealthHealthy || got.Evidence != "probe" {
			t.Fatalf("%+v", got)
		}
		time.Sleep(24 * time.Hour)
		if n := len(h.posts()); n != 0 {
			t.Errorf("%d refreshes in a day in which nobody used the account", n)
		}
		if got := h.health(in); got.Status != enlace.HealthHealthy || got.Evidence != "state" {
			t.Errorf("%+v", got)
		}
	})
}
