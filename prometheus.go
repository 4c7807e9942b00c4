package enlace

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MetricsHandler answers GET with what this process has done since it began, in
// the Prometheus text format. The only labels are the provider and kinds of
// outcomes, so the number of series does not grow with tenants; what one tenant or
// integration did is in [Service.Metrics]. It shows nothing secret, but mount it
// where only your monitoring comes: it tells how much you do with whom.
func (s *Service) MetricsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(s.meter.text())
	})
}

// prometheusCounters are the counters by name. Those of one family differ in a label.
var prometheusCounters = []struct {
	family, label, help string
	value               func(*Counts) int64
}{
	{"enlace_requests_total", "", "Attempts of requests to the provider.", func(c *Counts) int64 { return c.Requests }},
	{"enlace_request_retries_total", "", "Attempts that repeated an earlier one.", func(c *Counts) int64 { return c.Retries }},
	{"enlace_request_throttled_total", "", "Attempts that the provider's limit turned away.", func(c *Counts) int64 { return c.Throttled }},
	{"enlace_syncs_total", `result="ok"`, "Sync runs that ended.", func(c *Counts) int64 { return c.Syncs - c.SyncFailures }},
	{"enlace_syncs_total", `result="failed"`, "", func(c *Counts) int64 { return c.SyncFailures }},
	{"enlace_records_pulled_total", "", "Records that sinks accepted.", func(c *Counts) int64 { return c.Records }},
	{"enlace_records_pushed_total", `result="ok"`, "Records written at the provider.", func(c *Counts) int64 { return c.Pushed }},
	{"enlace_records_pushed_total", `result="failed"`, "", func(c *Counts) int64 { return c.PushFailures }},
	{"enlace_webhook_deliveries_total", `result="accepted"`, "Webhook deliveries that arrived.", func(c *Counts) int64 { return c.Deliveries - c.Refused - c.Duplicates }},
	{"enlace_webhook_deliveries_total", `result="duplicate"`, "", func(c *Counts) int64 { return c.Duplicates }},
	{"enlace_webhook_deliveries_total", `result="refused"`, "", func(c *Counts) int64 { return c.Refused }},
	{"enlace_webhook_handled_total", `result="ok"`, "Deliveries that handlers completed, and tries that failed.", func(c *Counts) int64 { return c.Handled }},
	{"enlace_webhook_handled_total", `result="failed"`, "", func(c *Counts) int64 { return c.Unhandled }},
	{"enlace_dead_letters_total", "", "Deliveries and records that were given up.", func(c *Counts) int64 { return c.Dead }},
	{"enlace_token_refreshes_total", `result="ok"`, "Refreshes of tokens.", func(c *Counts) int64 { return c.Refreshes - c.RefreshFailures }},
	{"enlace_token_refreshes_total", `result="failed"`, "", func(c *Counts) int64 { return c.RefreshFailures }},
	{"enlace_breaker_opened_total", "", "How often a breaker opened.", func(c *Counts) int64 { return c.BreakerOpened }},
	{"enlace_health_checks_total", `status="healthy"`, "Health checks.", func(c *Counts) int64 { return c.Checks - c.Warnings - c.Errors }},
	{"enlace_health_checks_total", `status="warning"`, "", func(c *Counts) int64 { return c.Warnings }},
	{"enlace_health_checks_total", `status="error"`, "", func(c *Counts) int64 { return c.Errors }},
}

// text is the exposition.
func (m *meter) text() []byte {
	totals := m.since()
	providers := slices.Sorted(maps.Keys(totals))
	var b bytes.Buffer
	family := ""
	for _, counter := range prometheusCounters {
		if counter.family != family {
			family = counter.family
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s counter\n", family, counter.help, family)
		}
		for _, p := range providers {
			fmt.Fprintf(&b, "%s{%s} %d\n", family, labels(p, counter.label), counter.value(&totals[p].counts))
		}
	}
	b.WriteString("# HELP enlace_request_failures_total Attempts that failed, by kind.\n# TYPE enlace_request_failures_total counter\n")
	for _, p := range providers {
		for _, kind := range slices.Sorted(maps.Keys(totals[p].kinds)) {
			fmt.Fprintf(&b, "enlace_request_failures_total{%s} %d\n", labels(p, `kind=`+quoteLabel(kind)), totals[p].kinds[kind])
		}
	}
	b.WriteString("# HELP enlace_request_wait_seconds_total Time spent waiting for limits and back-off.\n# TYPE enlace_request_wait_seconds_total counter\n")
	for _, p := range providers {
		fmt.Fprintf(&b, "enlace_request_wait_seconds_total{%s} %s\n", labels(p, ""), secondsText(totals[p].counts.Waited))
	}
	b.WriteString("# HELP enlace_request_duration_seconds Response time of attempts.\n# TYPE enlace_request_duration_seconds histogram\n")
	for _, p := range providers {
		writeHistogram(&b, p, totals[p])
	}
	return b.Bytes()
}

// writeHistogram writes one bucket for each doubling from a millisecond on.
func writeHistogram(b *bytes.Buffer, provider string, s *sample) {
	var below uint64
	for i, n := range s.latency {
		if i >= 4 && i%4 == 0 { // buckets before i end where i begins
			fmt.Fprintf(b, "enlace_request_duration_seconds_bucket{%s} %d\n", labels(provider, `le="`+secondsText(bucketStart(i))+`"`), below)
		}
		below += uint64(n)
	}
	fmt.Fprintf(b, "enlace_request_duration_seconds_bucket{%s} %d\n", labels(provider, `le="+Inf"`), below)
	fmt.Fprintf(b, "enlace_request_duration_seconds_sum{%s} %s\n", labels(provider, ""), secondsText(s.counts.Took))
	fmt.Fprintf(b, "enlace_request_duration_seconds_count{%s} %d\n", labels(provider, ""), below)
}

func labels(provider, more string) string {
	text := "provider=" + quoteLabel(provider)
	if more != "" {
		text += "," + more
	}
	return text
}

func quoteLabel(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

func secondsText(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) }
