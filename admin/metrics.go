package admin

import (
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

// metricRanges are the spans to choose from.
var metricRanges = []struct {
	Name string
	Span time.Duration
	Step time.Duration
}{
	{"1h", time.Hour, time.Minute}, {"6h", 6 * time.Hour, time.Minute}, {"24h", 24 * time.Hour, time.Hour}, {"7d", 7 * 24 * time.Hour, time.Hour},
	{"30d", 30 * 24 * time.Hour, 24 * time.Hour},
}

type metricsData struct {
	Range, Group string
	Ranges       []string
	Filter       string // an integration's id
	Metrics      part[enlace.Metrics]
	Charts       []chart
	Groups       part[enlace.Metrics]
	Names        map[string]string
	Empty        bool
	Anomalies    part[[]enlace.Anomaly]
}

// metricsQuery reads range and filter of an address.
func metricsQuery(c *call, get func(string) string) (enlace.MetricsQuery, string) {
	chosen := metricRanges[2]
	for _, r := range metricRanges {
		if r.Name == get("range") {
			chosen = r
		}
	}
	now := time.Now()
	return enlace.MetricsQuery{Tenant: c.access.Tenant, Integration: get("integration"), Provider: get("provider"), From: now.Add(-chosen.Span), To: now, Step: chosen.Step}, chosen.Name
}

func (a *Admin) metricsPage(w http.ResponseWriter, r *http.Request, c *call) error {
	query, name := metricsQuery(c, r.URL.Query().Get)
	data := metricsData{Range: name, Group: "integration", Filter: query.Integration, Names: map[string]string{}}
	if r.URL.Query().Get("group") == "provider" {
		data.Group = "provider"
	}
	for _, known := range metricRanges {
		data.Ranges = append(data.Ranges, known.Name)
	}
	whole := read(a, r.Context(), c, func(ctx context.Context) (enlace.Metrics, error) { return a.service.Metrics(ctx, query) })
	grouped := query
	grouped.GroupBy, grouped.TotalsOnly, grouped.Integration = enlace.MetricGroup(data.Group), true, ""
	groups := read(a, r.Context(), c, func(ctx context.Context) (enlace.Metrics, error) { return a.service.Metrics(ctx, grouped) })
	odd := read(a, r.Context(), c, func(ctx context.Context) ([]enlace.Anomaly, error) {
		return a.service.Anomalies(ctx, enlace.MetricsQuery{Tenant: c.access.Tenant, GroupBy: enlace.GroupProvider})
	})
	data.Metrics, data.Groups, data.Anomalies = whole(), groups(), odd()
	if data.Group == "integration" {
		data.Names = a.names(r, c)
	} else {
		data.Names = a.titles()
	}
	t := translator(c.Language)
	if data.Metrics.Problem == nil {
		data.Charts = metricCharts(t, data.Metrics.Value)
		data.Empty = data.Metrics.Value.Total.Counts == enlace.Counts{}
	}
	return a.show(w, r, c, page{name: "metrics", title: t.text("nav.metrics"), section: "metrics", live: true, data: data})
}

// metricCharts draws what happened. Steps in which nothing did are there too.
func metricCharts(t translator, m enlace.Metrics) []chart {
	requests := chart{Title: t.text("metric.requests"), Unit: t.text("unit.requests"), Labels: []string{t.text("metric.good"), t.text("metric.failed")}, Step: m.Step}
	times := chart{Title: t.text("metric.times"), Unit: "ms", Labels: []string{"p95 (ms)"}, Step: m.Step, Peak: true}
	records := chart{Title: t.text("metric.records"), Unit: t.text("unit.records"), Labels: []string{t.text("metric.pulled"), t.text("metric.pushed")}, Step: m.Step}
	webhooks := chart{Title: t.text("metric.webhooks"), Unit: t.text("unit.deliveries"), Labels: []string{t.text("metric.taken"), t.text("metric.refused")}, Step: m.Step}
	byTime := map[int64]enlace.MetricPoint{}
	for _, s := range m.Series {
		for _, p := range s.Points {
			byTime[p.At.Unix()] = p
		}
	}
	first := m.From.Truncate(m.Step)
	for at := first; at.Before(m.To); at = at.Add(m.Step) {
		p := byTime[at.Unix()]
		requests.Points = append(requests.Points, chartPoint{at, []float64{float64(p.Requests - p.Failures), float64(p.Failures)}})
		times.Points = append(times.Points, chartPoint{at, []float64{milliseconds(p.P95)}})
		records.Points = append(records.Points, chartPoint{at, []float64{float64(p.Records), float64(p.Pushed)}})
		webhooks.Points = append(webhooks.Points, chartPoint{at, []float64{float64(p.Deliveries - p.Refused), float64(p.Refused)}})
	}
	return []chart{requests, times, records, webhooks}
}

// metricsCSV is the page's numbers as a file.
func (a *Admin) metricsCSV(w http.ResponseWriter, r *http.Request, c *call) error {
	query, _ := metricsQuery(c, r.URL.Query().Get)
	m, err := a.service.Metrics(r.Context(), query)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="metrics.csv"`)
	out := csv.NewWriter(w)
	_ = out.Write([]string{"at", "requests", "failures", "retries", "throttled", "p50_ms", "p95_ms", "p99_ms", "syncs", "sync_failures", "records", "pushed", "push_failures",
		"deliveries", "refused", "dead"})
	for _, s := range m.Series {
		for _, p := range s.Points {
			row := []string{p.At.UTC().Format(time.RFC3339)}
			for _, n := range []int64{p.Requests, p.Failures, p.Retries, p.Throttled} {
				row = append(row, strconv.FormatInt(n, 10))
			}
			for _, d := range []time.Duration{p.P50, p.P95, p.P99} {
				row = append(row, strconv.FormatFloat(milliseconds(d), 'f', 1, 64))
			}
			for _, n := range []int64{p.Syncs, p.SyncFailures, p.Records, p.Pushed, p.PushFailures, p.Deliveries, p.Refused, p.Dead} {
				row = append(row, strconv.FormatInt(n, 10))
			}
			_ = out.Write(row)
		}
	}
	out.Flush()
	return out.Error()
}
