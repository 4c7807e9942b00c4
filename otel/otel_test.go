package otel_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/otel"
)

var ref = enlace.Ref{Tenant: "acme", ID: "i1"}

func collect(t *testing.T, reader *sdkmetric.ManualReader) map[string]metricdata.Aggregation {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	all := map[string]metricdata.Aggregation{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			all[m.Name] = m.Data
		}
	}
	return all
}

func TestRequestsFollowTheConventions(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	spans := tracetest.NewSpanRecorder()
	observe, err := otel.New(otel.Options{Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		Tracers: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	if err != nil {
		t.Fatal(err)
	}
	ctx := enlace.WithActor(t.Context(), enlace.Actor{ID: "ana", Request: "req-1"})
	observe(ctx, enlace.RequestDone{Ref: ref, Provider: "crm", Op: "contacts.list", Method: "GET", Status: 503, Attempt: 2, Duration: 250 * time.Millisecond, Kind: "unavailable"})
	observe(ctx, enlace.RequestDone{Ref: ref, Provider: "crm", Op: "contacts.list", Method: "GET", Status: 200, Attempt: 1, Duration: 50 * time.Millisecond})

	histogram := collect(t, reader)["http.client.request.duration"].(metricdata.Histogram[float64])
	if len(histogram.DataPoints) != 2 {
		t.Fatalf("%d series", len(histogram.DataPoints))
	}
	for _, p := range histogram.DataPoints {
		status, _ := p.Attributes.Value("http.response.status_code")
		kind, failed := p.Attributes.Value("error.type")
		method, _ := p.Attributes.Value("http.request.method")
		if method.AsString() != "GET" || failed != (status.AsInt64() == 503) || failed && kind.AsString() != "unavailable" {
			t.Errorf("%v", p.Attributes.ToSlice())
		}
		if p.Attributes.HasValue("enlace.tenant") || p.Attributes.HasValue("enlace.integration") {
			t.Errorf("a metric names a tenant without being asked: %v", p.Attributes.ToSlice())
		}
	}
	ended := spans.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans", len(ended))
	}
	span := ended[0]
	attrs := attribute.NewSet(span.Attributes()...)
	for key, want := range map[attribute.Key]string{"http.request.method": "GET", "http.response.status_code": "503", "http.request.resend_count": "1",
		"error.type": "unavailable", "enlace.tenant": "acme", "enlace.integration": "i1", "enlace.request": "req-1", "enlace.actor": "ana"} {
		if v, _ := attrs.Value(key); v.String() != want {
			t.Errorf("%s is %q, want %q", key, v.String(), want)
		}
	}
	if d := span.EndTime().Sub(span.StartTime()); d != 250*time.Millisecond || span.Name() != "GET contacts.list" || span.SpanKind().String() != "client" {
		t.Errorf("%s took %v as %s", span.Name(), d, span.SpanKind())
	}
}

func TestCardinalityIsGuarded(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	observe, err := otel.New(otel.Options{Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Tenants: 3, Operations: 2})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				observe(t.Context(), enlace.RequestDone{Ref: enlace.Ref{Tenant: fmt.Sprint("t", i), ID: fmt.Sprint(worker, i)}, Provider: "crm",
					Op: fmt.Sprint("op/", i), Method: "GET", Status: 200, Attempt: 1, Duration: time.Millisecond})
			}
		})
	}
	wg.Wait()
	histogram := collect(t, reader)["http.client.request.duration"].(metricdata.Histogram[float64])
	if n := len(histogram.DataPoints); n > 3*4 {
		t.Errorf("a thousand tenants and operations made %d series", n)
	}
	var total uint64
	for _, p := range histogram.DataPoints {
		total += p.Count
	}
	if total != 4000 {
		t.Errorf("%d requests of 4000 were counted", total)
	}
}

// logs keeps the records of a log provider.
type logs struct {
	mu  sync.Mutex
	all []string
}

func (l *logs) OnEmit(_ context.Context, r *sdklog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := r.Severity().String() + " " + r.Body().AsString()
	r.WalkAttributes(func(a attribute.KeyValue) bool {
		text += " " + string(a.Key) + "=" + a.Value.String()
		return true
	})
	l.all = append(l.all, text)
	return nil
}
func (*logs) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (*logs) Shutdown(context.Context) error                         { return nil }
func (*logs) ForceFlush(context.Context) error                       { return nil }

func TestEverythingElse(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	kept := &logs{}
	observe, err := otel.New(otel.Options{Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		Loggers: sdklog.NewLoggerProvider(sdklog.WithProcessor(kept))})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []enlace.Observation{
		enlace.CredentialChanged{Ref: ref, Provider: "crm", Action: "refresh"}, enlace.CredentialChanged{Ref: ref, Provider: "crm", Action: "put"},
		enlace.PageSynced{Ref: ref, Provider: "crm", Entity: "contacts", Records: 7}, enlace.SyncFinished{Ref: ref, Provider: "crm", RunID: "r", Kind: "sink"},
		enlace.WebhookReceived{Ref: ref, Provider: "crm"}, enlace.WebhookReceived{Ref: ref, Provider: "crm", Duplicate: true}, enlace.WebhookRefused{},
		enlace.HealthChecked{Ref: ref, Provider: "crm", Status: enlace.HealthHealthy},
		enlace.HealthChanged{Change: enlace.HealthChange{Ref: ref, Provider: "crm", From: enlace.HealthHealthy, To: enlace.HealthError, Cause: enlace.CauseReconnect}},
		enlace.AuditRecorded{Entry: enlace.AuditEntry{Tenant: "acme", Seq: 3, Action: "flag.set", Result: enlace.AuditDone}},
		enlace.IntegrationChanged{Ref: ref},
	} {
		observe(t.Context(), o)
	}
	sums := map[string]int64{}
	for name, data := range collect(t, reader) {
		if sum, ok := data.(metricdata.Sum[int64]); ok {
			for _, p := range sum.DataPoints {
				sums[name] += p.Value
			}
		}
	}
	for name, want := range map[string]int64{"enlace.token.refreshes": 1, "enlace.sync.records": 7, "enlace.sync.runs": 1, "enlace.webhook.deliveries": 3, "enlace.health.checks": 1} {
		if sums[name] != want {
			t.Errorf("%s is %d, want %d", name, sums[name], want)
		}
	}
	if len(kept.all) != 2 || !slices.ContainsFunc(kept.all, func(s string) bool { return strings.HasPrefix(s, "ERROR health changed") }) ||
		!slices.ContainsFunc(kept.all, func(s string) bool {
			return strings.HasPrefix(s, "INFO audit flag.set") && strings.Contains(s, "enlace.audit.hash")
		}) {
		t.Errorf("%q", kept.all)
	}
}

func TestWithoutProvidersItIsSilent(t *testing.T) {
	observe, err := otel.New(otel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	observe(t.Context(), enlace.RequestDone{Ref: ref, Provider: "crm", Op: "x", Method: "GET", Status: 200, Attempt: 1})
}
