// Package otel turns what enlace observes into OpenTelemetry metrics, traces and
// logs. Give the observer to enlace.Config.Observer; it starts nothing and owns
// nothing, so there is nothing to close but the providers, which are the host's.
//
// Requests follow the HTTP semantic conventions (v1.40): the histogram
// http.client.request.duration and client spans, with http.request.method,
// http.response.status_code, http.request.resend_count and error.type. The
// conventions also ask for server.address; enlace observes no addresses, because
// in some of them stands a secret, and names the provider instead.
package otel

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/enlace-go/enlace"
)

// Scope is the name of the instrumentation scope.
const Scope = "github.com/enlace-go/enlace/otel"

// Options say where the signals go. Those without a provider are left out.
type Options struct {
	Meters  metric.MeterProvider
	Tracers trace.TracerProvider
	Loggers log.LoggerProvider
	// Tenants is how many different tenants get an attribute of their own in
	// metrics, enlace.tenant; all others share the value "other". Defaults to 0:
	// metrics carry no tenant. Spans and logs always carry it: it costs them nothing.
	Tenants int
	// Operations is how many different operations of providers get an attribute of
	// their own in metrics. Defaults to 200; the others share the value "other".
	Operations int
}

// New returns an observer for enlace.Config.Observer. It is safe for concurrent
// use. The error is that of a meter provider which refuses an instrument.
func New(o Options) (enlace.Observer, error) {
	if o.Meters == nil {
		o.Meters = metricnoop.NewMeterProvider()
	}
	if o.Tracers == nil {
		o.Tracers = tracenoop.NewTracerProvider()
	}
	if o.Loggers == nil {
		o.Loggers = lognoop.NewLoggerProvider()
	}
	if o.Operations == 0 {
		o.Operations = 200
	}
	x := &exporter{tracer: o.Tracers.Tracer(Scope), logger: o.Loggers.Logger(Scope),
		tenants: distinct{most: o.Tenants}, operations: distinct{most: o.Operations}}
	return x.observe, x.instruments(o.Meters.Meter(Scope))
}

type exporter struct {
	tracer     trace.Tracer
	logger     log.Logger
	tenants    distinct
	operations distinct

	duration   metric.Float64Histogram
	waited     metric.Float64Counter
	syncs      metric.Int64Counter
	records    metric.Int64Counter
	refreshes  metric.Int64Counter
	deliveries metric.Int64Counter
	checks     metric.Int64Counter
	checkTime  metric.Float64Histogram
}

func (x *exporter) instruments(m metric.Meter) error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		keep(err)
		return c
	}
	var err error
	// The bounds are those that the conventions recommend for HTTP.
	x.duration, err = m.Float64Histogram("http.client.request.duration", metric.WithUnit("s"), metric.WithDescription("Duration of HTTP client requests."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	keep(err)
	x.checkTime, err = m.Float64Histogram("enlace.health.check.duration", metric.WithUnit("s"), metric.WithDescription("Duration of health checks."))
	keep(err)
	x.waited, err = m.Float64Counter("enlace.request.wait", metric.WithUnit("s"), metric.WithDescription("Time spent waiting for limits and back-off."))
	keep(err)
	x.syncs = counter("enlace.sync.runs", "{run}", "Sync runs that ended.")
	x.records = counter("enlace.sync.records", "{record}", "Records that were moved.")
	x.refreshes = counter("enlace.token.refreshes", "{refresh}", "Refreshes of tokens.")
	x.deliveries = counter("enlace.webhook.deliveries", "{delivery}", "Webhook deliveries, by what became of them.")
	x.checks = counter("enlace.health.checks", "{check}", "Health checks, by status.")
	return first
}

func (x *exporter) observe(ctx context.Context, o enlace.Observation) {
	switch o := o.(type) {
	case enlace.RequestDone:
		x.request(ctx, o)
	case enlace.CredentialChanged:
		if o.Action == "refresh" {
			x.refreshes.Add(ctx, 1, x.attributes(o.Ref, o.Provider, errorType(o.Kind)...))
		}
	case enlace.PageSynced:
		x.records.Add(ctx, int64(o.Records), x.attributes(o.Ref, o.Provider, attribute.String("enlace.direction", "pull"), attribute.String("enlace.entity", x.operations.value(o.Entity))))
	case enlace.SyncFinished:
		x.sync(ctx, o)
	case enlace.WebhookReceived:
		outcome := "accepted"
		if o.Duplicate {
			outcome = "duplicate"
		}
		x.delivery(ctx, o.Ref, o.Provider, outcome)
	case enlace.WebhookRefused:
		x.delivery(ctx, o.Ref, o.Provider, "refused")
	case enlace.DeliveryAttemptFailed:
		x.delivery(ctx, o.Ref, o.Provider, "failed")
	case enlace.HealthChecked:
		status := attribute.String("enlace.health.status", string(o.Status))
		x.checks.Add(ctx, 1, x.attributes(o.Ref, o.Provider, status))
		x.checkTime.Record(ctx, o.Duration.Seconds(), x.attributes(o.Ref, o.Provider))
	case enlace.HealthChanged:
		x.healthChange(ctx, o.Change)
	case enlace.AuditRecorded:
		x.audit(ctx, o.Entry)
	}
}

// request records the attempt as a metric and as a span that ends now.
func (x *exporter) request(ctx context.Context, o enlace.RequestDone) {
	http := []attribute.KeyValue{attribute.String("http.request.method", o.Method)}
	if o.Status != 0 {
		http = append(http, attribute.Int("http.response.status_code", o.Status))
	}
	http = append(http, errorType(o.Kind)...)
	operation := attribute.String("enlace.operation", x.operations.value(o.Op))
	x.duration.Record(ctx, o.Duration.Seconds(), x.attributes(o.Ref, o.Provider, append(http, operation)...))
	if o.Waited > 0 {
		x.waited.Add(ctx, o.Waited.Seconds(), x.attributes(o.Ref, o.Provider))
	}

	end := time.Now()
	attrs := append(http, attribute.String("enlace.operation", o.Op))
	if o.Attempt > 1 {
		attrs = append(attrs, attribute.Int("http.request.resend_count", o.Attempt-1))
	}
	if o.Probe {
		attrs = append(attrs, attribute.Bool("enlace.probe", true))
	}
	_, span := x.tracer.Start(ctx, o.Method+" "+o.Op, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(end.Add(-o.Duration)),
		trace.WithAttributes(append(attrs, who(ctx, o.Ref, o.Provider)...)...))
	if o.Kind != "" {
		span.SetStatus(codes.Error, o.Kind)
	}
	span.End(trace.WithTimestamp(end))
}

// sync records a run as a metric and as a span. The spans of its requests are its
// neighbours and carry the same run id: a run is observed when it has ended.
func (x *exporter) sync(ctx context.Context, o enlace.SyncFinished) {
	x.syncs.Add(ctx, 1, x.attributes(o.Ref, o.Provider, errorType(o.Kind)...))
	end := time.Now()
	attrs := append(who(ctx, o.Ref, o.Provider), attribute.String("enlace.run", o.RunID))
	_, span := x.tracer.Start(ctx, "sync "+o.Provider, trace.WithTimestamp(end.Add(-o.Result.Elapsed)), trace.WithAttributes(append(attrs, errorType(o.Kind)...)...))
	if o.Kind != "" {
		span.SetStatus(codes.Error, o.Kind)
	}
	span.End(trace.WithTimestamp(end))
}

func (x *exporter) delivery(ctx context.Context, ref enlace.Ref, provider, outcome string) {
	x.deliveries.Add(ctx, 1, x.attributes(ref, provider, attribute.String("enlace.outcome", outcome)))
}

func (x *exporter) healthChange(ctx context.Context, c enlace.HealthChange) {
	severity := log.SeverityInfo
	switch c.To {
	case enlace.HealthWarning:
		severity = log.SeverityWarn
	case enlace.HealthError:
		severity = log.SeverityError
	}
	x.emit(ctx, c.At, severity, "health changed", attribute.String("enlace.tenant", c.Ref.Tenant), attribute.String("enlace.integration", c.Ref.ID),
		attribute.String("enlace.provider", c.Provider), attribute.String("enlace.health.from", string(c.From)), attribute.String("enlace.health.to", string(c.To)),
		attribute.String("enlace.health.cause", string(c.Cause)), attribute.String("enlace.health.summary", c.Summary))
}

// audit hands the entry on with its hash, so that a log kept elsewhere proves what
// the store's should hold.
func (x *exporter) audit(ctx context.Context, e enlace.AuditEntry) {
	severity := log.SeverityInfo
	if e.Result == enlace.AuditFailed || e.Result == enlace.AuditRefused {
		severity = log.SeverityWarn
	}
	x.emit(ctx, e.At, severity, "audit "+e.Action, attribute.String("enlace.tenant", e.Tenant), attribute.Int64("enlace.audit.seq", e.Seq),
		attribute.String("enlace.audit.hash", e.Hash.String()), attribute.String("enlace.audit.result", string(e.Result)), attribute.String("enlace.actor", e.Actor.ID),
		attribute.String("enlace.request", e.Actor.Request), attribute.String("enlace.integration", e.Integration), attribute.String("enlace.audit.target", e.Target))
}

func (x *exporter) emit(ctx context.Context, at time.Time, severity log.Severity, body string, attrs ...attribute.KeyValue) {
	var r log.Record
	r.SetTimestamp(at)
	r.SetObservedTimestamp(time.Now())
	r.SetSeverity(severity)
	r.SetBody(attribute.StringValue(body))
	r.AddAttributes(attrs...)
	x.logger.Emit(ctx, r)
}

// attributes are those of a metric: few values each, however many tenants there are.
func (x *exporter) attributes(ref enlace.Ref, provider string, more ...attribute.KeyValue) metric.MeasurementOption {
	attrs := make([]attribute.KeyValue, 0, len(more)+2)
	attrs = append(append(attrs, more...), attribute.String("enlace.provider", provider))
	if x.tenants.most > 0 {
		attrs = append(attrs, attribute.String("enlace.tenant", x.tenants.value(ref.Tenant)))
	}
	return metric.WithAttributes(attrs...)
}

// who are the attributes of a span: of whom it is about, and the ids that log lines
// and audit entries carry too.
func who(ctx context.Context, ref enlace.Ref, provider string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{attribute.String("enlace.provider", provider), attribute.String("enlace.tenant", ref.Tenant),
		attribute.String("enlace.integration", ref.ID)}
	for _, id := range enlace.LogAttrs(ctx) {
		attrs = append(attrs, attribute.String("enlace."+id.Key, id.Value.String()))
	}
	return attrs
}

func errorType(kind string) []attribute.KeyValue {
	if kind == "" {
		return nil
	}
	return []attribute.KeyValue{attribute.String("error.type", kind)}
}

// distinct lets the first values through, so many at most, and calls all others "other".
type distinct struct {
	most int
	mu   sync.RWMutex
	seen map[string]bool
}

func (d *distinct) value(v string) string {
	d.mu.RLock()
	known := d.seen[v]
	d.mu.RUnlock()
	if known {
		return v
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen[v] {
		return v
	}
	if len(d.seen) >= d.most {
		return "other"
	}
	if d.seen == nil {
		d.seen = map[string]bool{}
	}
	d.seen[v] = true
	return v
}
