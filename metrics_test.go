package enlace_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

func TestMetricsOfDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{}, func(c *enlace.Config) { c.HealthInterval = -1; c.Observer = nil })
		in := h.create(apiKey("k"), with("retryAttempts", "0"))
		other := h.create(apiKey("k"), func(n *enlace.NewIntegration) { n.Tenant = "other" })
		second := h.restart() // another process with the same store
		running(t, h.Service, second)
		h.provider.setFault(times(1<<30, "/bad", status(503, `{}`)))
		began := time.Now()
		hour := func(service *enlace.Service, in enlace.Integration, good, bad int) {
			t.Helper()
			c := must(service.Conn(t.Context(), in.Ref))(t)
			for range good {
				if err := c.Do(t.Context(), enlace.Call{Path: "good"}, nil); err != nil {
					t.Fatal(err)
				}
			}
			for range bad {
				_ = c.Do(t.Context(), enlace.Call{Path: "bad"}, nil)
			}
		}
		const hours = 3 * 24
		for range hours {
			hour(h.Service, in, 5, 1)
			hour(second, in, 3, 1)
			hour(second, other, 1, 0)
			time.Sleep(time.Hour)
		}
		time.Sleep(10 * time.Minute)

		query := func(q enlace.MetricsQuery) enlace.Metrics {
			t.Helper()
			if q.From.IsZero() {
				q.From = began
			}
			m, err := h.Metrics(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		for _, step := range []time.Duration{time.Hour, 24 * time.Hour} {
			m := query(enlace.MetricsQuery{Tenant: "acme", Step: step})
			if m.Total.Requests != 10*hours || m.Total.Failures != 2*hours || m.Total.Kinds["unavailable"] != 2*hours {
				t.Errorf("in steps of %v: %d requests and %d failures, want %d and %d", step, m.Total.Requests, m.Total.Failures, 10*hours, 2*hours)
			}
			if len(m.Series) != 1 || len(m.Series[0].Points) < 3 || m.Total.ErrorRate() != 0.2 {
				t.Errorf("in steps of %v: %d series", step, len(m.Series))
			}
		}
		for _, group := range []enlace.MetricGroup{enlace.GroupProvider, enlace.GroupIntegration} {
			m := query(enlace.MetricsQuery{Tenant: "acme", GroupBy: group, TotalsOnly: true})
			want := map[enlace.MetricGroup]string{enlace.GroupProvider: "crm", enlace.GroupIntegration: in.ID}[group]
			if len(m.Series) != 1 || m.Series[0].Name != want || m.Series[0].Total.Requests != 10*hours || m.Series[0].Points != nil {
				t.Errorf("by %s: %+v", group, m.Series)
			}
		}
		if m := query(enlace.MetricsQuery{AllTenants: true, GroupBy: enlace.GroupProvider}); m.Total.Requests != 11*hours {
			t.Errorf("all tenants: %d requests, want %d", m.Total.Requests, 11*hours)
		}
		if m := query(enlace.MetricsQuery{Tenant: "acme", Integration: in.ID, From: time.Now().Add(-90 * time.Minute)}); m.Step != time.Minute || m.Total.Requests != 10 {
			t.Errorf("the last minutes: %d requests in steps of %v", m.Total.Requests, m.Step)
		}
		if m := query(enlace.MetricsQuery{Tenant: "acme", Provider: "crm", GroupBy: enlace.GroupIntegration}); len(m.Series) != 1 {
			t.Errorf("integrations of a provider: %+v", m.Series)
		}
		if m := query(enlace.MetricsQuery{Tenant: "acme", Provider: "none", GroupBy: enlace.GroupIntegration}); len(m.Series) != 0 {
			t.Errorf("integrations of a provider without any: %+v", m.Series)
		}
		m := query(enlace.MetricsQuery{Tenant: "acme"})
		if len(m.Integrations) != 1 || m.Integrations[0] != (enlace.IntegrationCount{Provider: "crm", Total: 1, Active: 1}) {
			t.Errorf("%+v", m.Integrations)
		}
		starts, err := h.store.MetricStarts(t.Context(), time.Minute)
		if err != nil || len(starts) > 28 {
			t.Errorf("minutes of %d hours are kept, %v", len(starts), err)
		}
		if q := query(enlace.MetricsQuery{Tenant: "nobody"}); q.Total.Requests != 0 || q.Series == nil {
			t.Errorf("%+v", q)
		}
	})
}

// A day is summed up although nothing happens in its last hours.
func TestMetricsOfAQuietEvening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{}, func(c *enlace.Config) { c.HealthInterval = -1 })
		in := h.create(apiKey("k"))
		running(t, h.Service)
		began := time.Now()
		time.Sleep(10*time.Hour + 30*time.Second)
		if err := h.open(in).Do(t.Context(), enlace.Call{Path: "good"}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * 24 * time.Hour)
		if m := must(h.Metrics(t.Context(), enlace.MetricsQuery{Tenant: "acme", From: began, Step: 24 * time.Hour}))(t); m.Total.Requests != 1 {
			t.Errorf("%d requests, want 1", m.Total.Requests)
		}
	})
}

func TestMetricsRefusesWhatIsNotKept(t *testing.T) {
	h := newHost(t, crm{})
	now := time.Now()
	for name, q := range map[string]enlace.MetricsQuery{
		"From":    {From: now, To: now.Add(-time.Hour)},
		"Step":    {Step: time.Second},
		"points":  {Step: time.Minute, From: now.Add(-40 * 24 * time.Hour)},
		"GroupBy": {AllTenants: true, GroupBy: enlace.GroupIntegration},
		"unknown": {GroupBy: "planet"},
	} {
		if _, err := h.Metrics(t.Context(), q); !errors.Is(err, enlace.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnalyticsCanBeSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{}, func(c *enlace.Config) { c.HealthInterval = -1 })
		in := h.create(apiKey("k"))
		if err := h.SetFlag(t.Context(), enlace.FlagAnalytics, enlace.FlagTarget{Tenant: "acme"}, false, "privacy"); err != nil {
			t.Fatal(err)
		}
		running(t, h.Service)
		if err := h.open(in).Do(t.Context(), enlace.Call{Path: "good"}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if m := must(h.Metrics(t.Context(), enlace.MetricsQuery{Tenant: "acme"}))(t); m.Total.Requests != 0 {
			t.Errorf("%d requests were kept", m.Total.Requests)
		}
	})
}
