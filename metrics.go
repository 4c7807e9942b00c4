package enlace

import (
	"context"
	"time"
)

// Counts are how often things happened in a span of time. Health probes are
// counted as checks and not as requests.
type Counts struct {
	Requests  int64         `json:"requests"`  // attempts of requests to the provider
	Failures  int64         `json:"failures"`  // of which failed
	Retries   int64         `json:"retries"`   // of which repetitions
	Throttled int64         `json:"throttled"` // of which turned away by the provider's limit
	Waited    time.Duration `json:"waited"`    // before attempts: limits and back-off
	Took      time.Duration `json:"took"`      // by the attempts themselves

	Syncs        int64 `json:"syncs"` // runs that ended
	SyncFailures int64 `json:"sync_failures"`
	Pages        int64 `json:"pages"`
	Records      int64 `json:"records"` // that sinks accepted

	Pushed       int64 `json:"pushed"` // records that were written at the provider
	PushFailures int64 `json:"push_failures"`

	Deliveries int64 `json:"deliveries"` // webhook deliveries that arrived
	Refused    int64 `json:"refused"`    // of which not accepted
	Duplicates int64 `json:"duplicates"` // of which known already
	Handled    int64 `json:"handled"`    // deliveries that handlers have completed
	Unhandled  int64 `json:"unhandled"`  // tries of handlers that failed
	Dead       int64 `json:"dead"`       // deliveries and records that were given up

	Refreshes       int64 `json:"refreshes"` // of tokens
	RefreshFailures int64 `json:"refresh_failures"`
	BreakerOpened   int64 `json:"breaker_opened"`

	Checks   int64 `json:"checks"` // of health
	Warnings int64 `json:"warnings"`
	Errors   int64 `json:"errors"`
}

// countFields is how many counters there are.
const countFields = 24

// each gives every counter, in the order of the stored form: new ones are
// appended, and none is ever removed.
func (c *Counts) each() [countFields]*int64 {
	return [countFields]*int64{&c.Requests, &c.Failures, &c.Retries, &c.Throttled, (*int64)(&c.Waited), (*int64)(&c.Took),
		&c.Syncs, &c.SyncFailures, &c.Pages, &c.Records, &c.Pushed, &c.PushFailures, &c.Deliveries, &c.Refused, &c.Duplicates,
		&c.Handled, &c.Unhandled, &c.Dead, &c.Refreshes, &c.RefreshFailures, &c.BreakerOpened, &c.Checks, &c.Warnings, &c.Errors}
}

// ErrorRate is the share of failed requests, from 0 to 1; 0 if there were none.
func (c Counts) ErrorRate() float64 {
	if c.Requests == 0 {
		return 0
	}
	return float64(c.Failures) / float64(c.Requests)
}

// MetricPoint is what happened in one step of time.
type MetricPoint struct {
	At time.Time `json:"at"` // the beginning of the step
	Counts
	P50   time.Duration    `json:"p50"` // response times of requests, an eighth off at most
	P95   time.Duration    `json:"p95"`
	P99   time.Duration    `json:"p99"`
	Kinds map[string]int64 `json:"kinds,omitempty"` // failed requests by KindLabel
}

// MetricGroup says what a query's series stand for.
type MetricGroup string

// The groups.
const (
	GroupNone        MetricGroup = ""            // one series of everything selected
	GroupProvider    MetricGroup = "provider"    // one for each provider
	GroupIntegration MetricGroup = "integration" // one for each integration
)

// MetricsQuery asks for metrics of one tenant, or of all of them together.
type MetricsQuery struct {
	Tenant string
	// AllTenants asks for the whole installation, whatever Tenant says. It is for
	// those who run it: there is no series for an integration then.
	AllTenants  bool
	Provider    string      // only this provider's; empty for all
	Integration string      // only this one's; empty for all
	GroupBy     MetricGroup // GroupIntegration needs a tenant
	From, To    time.Time   // zero is the last 24 hours
	// Step is the length of a point: a minute, an hour or a day, and at most 2,000
	// of them. 0 chooses by the range. Minutes are kept for a day, hours for a
	// month, days for two years.
	Step time.Duration
	// Top keeps the series with the most requests only; 0 is 50, 1,000 at most.
	Top int
	// TotalsOnly leaves the points out of the series of a group.
	TotalsOnly bool
}

// MetricSeries is one line of an answer.
type MetricSeries struct {
	Name   string        `json:"name"` // provider or integration; empty for the whole
	Total  MetricPoint   `json:"total"`
	Points []MetricPoint `json:"points,omitempty"` // those in which something happened
}

// Metrics is the answer to a query.
type Metrics struct {
	From   time.Time      `json:"from"`
	To     time.Time      `json:"to"`
	Step   time.Duration  `json:"step"`
	Total  MetricPoint    `json:"total"`
	Series []MetricSeries `json:"series"` // most requests first
	// Integrations counts what there is now, by provider; empty if all tenants are asked for.
	Integrations []IntegrationCount `json:"integrations,omitempty"`
}

// IntegrationCount is how many integrations a tenant has at a provider.
type IntegrationCount struct {
	Provider  string `json:"provider"`
	Total     int    `json:"total"`
	Active    int    `json:"active"`    // enabled and connected
	Attention int    `json:"attention"` // enabled, and something is wrong with the connection
}

// MetricKey names one chunk of a stored series.
type MetricKey struct {
	Resolution time.Duration // of the points: a minute, an hour, a day
	Tenant     string
	Scope      string // what Name is: see metricScopes
	Name       string
	Start      time.Time // of the chunk
	Node       string    // the process that measured; empty once rolled up
}

// MetricChunk is a piece of a series as a store keeps it: an hour of minutes, a
// day of hours, or 32 days of days.
type MetricChunk struct {
	MetricKey
	Points []byte // in a form of enlace's own
}

// MetricChunkQuery selects chunks in order of (Name, Start, Node).
type MetricChunkQuery struct {
	Resolution time.Duration
	Tenant     string
	Scope      string
	Name       string    // only this one; empty for all
	From, To   time.Time // of Start: From is included, To is not
	After      MetricKey // only what comes behind it; its zero value is the beginning
	Limit      int       // 0 is 1,000, more than 10,000 is 10,000
}

// MetricStore keeps metrics.
type MetricStore interface {
	// SaveMetrics inserts or replaces chunks, in one commit.
	SaveMetrics(ctx context.Context, chunks []MetricChunk) error
	// Metrics returns the chunks that match q.
	Metrics(ctx context.Context, q MetricChunkQuery) ([]MetricChunk, error)
	// MetricsAt returns the chunks of all tenants with that resolution and start,
	// in order of (Tenant, Scope, Name, Node), behind after and up to limit.
	MetricsAt(ctx context.Context, resolution time.Duration, start time.Time, after MetricKey, limit int) ([]MetricChunk, error)
	// MetricStarts returns the different starts of chunks of that resolution, oldest first.
	MetricStarts(ctx context.Context, resolution time.Duration) ([]time.Time, error)
	// DeleteMetrics removes up to limit chunks of that resolution that start before
	// the given time, and returns how many.
	DeleteMetrics(ctx context.Context, resolution time.Duration, before time.Time, limit int) (int, error)
	// IntegrationCounts counts a tenant's integrations by provider, in order of
	// the providers.
	IntegrationCounts(ctx context.Context, tenant string) ([]IntegrationCount, error)
}

// The scopes of stored series.
const (
	scopeAll         = "all"             // of all tenants; Tenant and Name are empty
	scopeAllProvider = "all by provider" // of all tenants; Tenant is empty
	scopeTenant      = "tenant"          // Name is empty
	scopeProvider    = "provider"
	scopeIntegration = "integration"
)

// sample is what happened in one step, before quantiles are taken from it.
type sample struct {
	counts  Counts
	latency histogram
	kinds   map[string]int64
}

func (s *sample) empty() bool { return s.counts == Counts{} }

// merge adds what other has counted.
func (s *sample) merge(other *sample) {
	mine, theirs := s.counts.each(), other.counts.each()
	for i := range mine {
		*mine[i] += *theirs[i]
	}
	s.latency.merge(&other.latency)
	for kind, n := range other.kinds {
		s.addKind(kind, n)
	}
}

func (s *sample) addKind(kind string, n int64) {
	if s.kinds == nil {
		s.kinds = map[string]int64{}
	}
	s.kinds[kind] += n
}

// point is the sample as it is shown.
func (s *sample) point(at time.Time) MetricPoint {
	return MetricPoint{At: at, Counts: s.counts, Kinds: s.kinds,
		P50: s.latency.quantile(0.50), P95: s.latency.quantile(0.95), P99: s.latency.quantile(0.99)}
}
