package enlace

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"
)

// meter counts what happens, by integration, until a minute is over. Recording
// takes a lookup and some atomic additions, and allocates nothing.
type meter struct {
	node   string // names this process in the store
	shards [16]meterShard

	// Of whoever cuts minutes: one goroutine of Run.
	cutting sync.Mutex
	series  map[MetricKey]*openChunk // those that are sums of integrations
	unsaved map[MetricKey][]byte

	totalsMu sync.Mutex
	totals   map[string]*sample // by provider, since the process began
}

// meterShard is a part of the series. Who counts holds the lock for reading, so that
// whoever cuts, with the lock for writing, finds no half of an observation.
type meterShard struct {
	mu     sync.RWMutex
	series map[Ref]*series
}

// series is one integration in this process.
type series struct {
	ref      Ref
	provider string
	counts   [countFields]atomic.Int64
	latency  [buckets]atomic.Uint32
	kinds    [len(kindLabels)]atomic.Uint32
	traffic  traffic
	idle     int       // minutes in which nothing happened; of whoever cuts
	chunk    openChunk // the integration's own; of whoever cuts
}

// traffic is what the last real requests say about an integration.
type traffic struct {
	okAt     atomic.Int64 // Unix nanoseconds
	okTook   atomic.Int64
	failedAt atomic.Int64
	failed   atomic.Uint32 // index of kindLabels
	heardAt  atomic.Int64  // a delivery arrived
	missedAt atomic.Int64  // polling found what no delivery told of
}

// openChunk is an hour of minutes that is being written.
type openChunk struct {
	start time.Time
	data  []byte
}

func newMeter() *meter {
	m := &meter{node: rand.Text()[:12], series: map[MetricKey]*openChunk{}, unsaved: map[MetricKey][]byte{}, totals: map[string]*sample{}}
	for i := range m.shards {
		m.shards[i].series = map[Ref]*series{}
	}
	return m
}

// kindLabels are the labels of failures that are counted one by one; what is not
// among them counts as the first.
var kindLabels = [...]string{"other", "auth", "token_expired", "misconfigured", "forbidden", "not_found", "invalid", "conflict", "rate_limited",
	"unavailable", "protocol", "unsupported", "moved", "blocked", "too_large", "cursor_expired", "signature", "canceled"}

func kindIndex(label string) int {
	for i, l := range kindLabels {
		if l == label {
			return i
		}
	}
	return 0
}

func (m *meter) shard(ref Ref) *meterShard {
	if n := len(ref.ID); n > 0 {
		return &m.shards[ref.ID[n-1]%16]
	}
	return &m.shards[0]
}

// lookup finds the series of an integration; nil if there is none.
func (m *meter) lookup(ref Ref) *series {
	shard := m.shard(ref)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.series[ref]
}

// hold finds the series of an integration, or begins it. The caller counts and then
// releases the shard's lock, which is held for reading.
func (m *meter) hold(ref Ref, provider string) (*series, *sync.RWMutex) {
	shard := m.shard(ref)
	for {
		shard.mu.RLock()
		if s := shard.series[ref]; s != nil {
			return s, &shard.mu
		}
		shard.mu.RUnlock()
		shard.mu.Lock()
		if shard.series[ref] == nil {
			shard.series[ref] = &series{ref: ref, provider: provider}
		}
		shard.mu.Unlock()
	}
}

// The numbers of counters in Counts.each.
const (
	countRequests = iota
	countFailures
	countRetries
	countThrottled
	countWaited
	countTook
	countSyncs
	countSyncFailures
	countPages
	countRecords
	countPushed
	countPushFailures
	countDeliveries
	countRefused
	countDuplicates
	countHandled
	countUnhandled
	countDead
	countRefreshes
	countRefreshFailures
	countBreakerOpened
	countChecks
	countWarnings
	countErrors
)

// request counts one attempt of a request.
func (m *meter) request(o *RequestDone) {
	if o.Probe {
		return
	}
	s, lock := m.hold(o.Ref, o.Provider)
	defer lock.RUnlock()
	s.counts[countRequests].Add(1)
	s.counts[countTook].Add(int64(o.Duration))
	s.latency[bucketOf(o.Duration)].Add(1)
	if o.Attempt > 1 {
		s.counts[countRetries].Add(1)
	}
	if o.Waited > 0 {
		s.counts[countWaited].Add(int64(o.Waited))
	}
	if o.Kind == "" {
		s.traffic.okTook.Store(int64(o.Duration))
		s.traffic.okAt.Store(time.Now().UnixNano())
		return
	}
	s.counts[countFailures].Add(1)
	kind := kindIndex(o.Kind)
	s.kinds[kind].Add(1)
	if o.Kind == "rate_limited" {
		s.counts[countThrottled].Add(1)
	}
	s.traffic.failed.Store(uint32(kind))
	s.traffic.failedAt.Store(time.Now().UnixNano())
}

// record counts every other observation.
func (m *meter) record(o Observation) {
	switch o := o.(type) {
	case CredentialChanged:
		if o.Action == "refresh" {
			m.add(o.Ref, o.Provider, countRefreshes, 1)
			m.addIf(o.Kind != "", o.Ref, o.Provider, countRefreshFailures)
		}
	case PageSynced:
		m.add(o.Ref, o.Provider, countPages, 1)
		m.add(o.Ref, o.Provider, countRecords, int64(o.Records))
	case SyncFinished:
		m.add(o.Ref, o.Provider, countSyncs, 1)
		m.addIf(o.Kind != "" && o.Kind != "canceled", o.Ref, o.Provider, countSyncFailures)
	case BatchPushed:
		m.add(o.Ref, o.Provider, countPushed, int64(o.Results.Created+o.Results.Updated+o.Results.Deleted))
		m.add(o.Ref, o.Provider, countPushFailures, int64(o.Results.Failed))
		m.add(o.Ref, o.Provider, countDead, int64(o.Results.Dead))
	case WebhookReceived:
		m.add(o.Ref, o.Provider, countDeliveries, 1)
		m.addIf(o.Duplicate, o.Ref, o.Provider, countDuplicates)
		s, lock := m.hold(o.Ref, o.Provider)
		s.traffic.heardAt.Store(time.Now().UnixNano())
		lock.RUnlock()
	case WebhookRefused:
		if o.Provider != "" { // else nobody's
			m.add(o.Ref, o.Provider, countDeliveries, 1)
			m.add(o.Ref, o.Provider, countRefused, 1)
		}
	case DeliveriesDone:
		m.add(o.Ref, o.Provider, countHandled, int64(o.Deliveries))
	case DeliveryAttemptFailed:
		m.add(o.Ref, o.Provider, countUnhandled, 1)
		m.addIf(o.Dead, o.Ref, o.Provider, countDead)
	case BreakerChanged:
		m.addIf(o.Open, o.Ref, o.Provider, countBreakerOpened)
	case WebhookGap:
		s, lock := m.hold(o.Ref, o.Provider)
		s.traffic.missedAt.Store(time.Now().UnixNano())
		lock.RUnlock()
	case HealthChecked:
		m.add(o.Ref, o.Provider, countChecks, 1)
		m.addIf(o.Status == HealthWarning, o.Ref, o.Provider, countWarnings)
		m.addIf(o.Status == HealthError, o.Ref, o.Provider, countErrors)
	}
}

func (m *meter) add(ref Ref, provider string, count int, n int64) {
	s, lock := m.hold(ref, provider)
	defer lock.RUnlock()
	s.counts[count].Add(n)
}

func (m *meter) addIf(condition bool, ref Ref, provider string, count int) {
	if condition {
		m.add(ref, provider, count, 1)
	}
}

// take gives what a series has counted and begins anew.
func (s *series) take(read func(*atomic.Int64) int64, read32 func(*atomic.Uint32) uint32) sample {
	var out sample
	for i, v := range out.counts.each() {
		*v = read(&s.counts[i])
	}
	for i := range s.latency {
		out.latency[i] = read32(&s.latency[i])
	}
	for i := range s.kinds {
		if n := read32(&s.kinds[i]); n > 0 {
			out.addKind(kindLabels[i], int64(n))
		}
	}
	return out
}

func swap(v *atomic.Int64) int64     { return v.Swap(0) }
func swap32(v *atomic.Uint32) uint32 { return v.Swap(0) }
func load(v *atomic.Int64) int64     { return v.Load() }
func load32(v *atomic.Uint32) uint32 { return v.Load() }

// idleMinutes is how long a series is kept in memory in which nothing happens.
const idleMinutes = 60

// cut ends the minute that began at minute: what was counted becomes a point of
// each integration, provider, tenant and of the whole. keep says whether a
// tenant's metrics are kept.
func (m *meter) cut(minute time.Time, keep func(Ref, string) bool) {
	m.cutting.Lock()
	defer m.cutting.Unlock()
	sums := map[MetricKey]*sample{}
	for i := range m.shards {
		for s, taken := range m.shards[i].takeAll() {
			m.addTotal(s.provider, &taken)
			if !keep(s.ref, s.provider) {
				continue
			}
			for _, key := range []MetricKey{
				{Scope: scopeAll}, {Scope: scopeAllProvider, Name: s.provider}, {Tenant: s.ref.Tenant, Scope: scopeTenant},
				{Tenant: s.ref.Tenant, Scope: scopeProvider, Name: s.provider},
			} {
				if sums[key] == nil {
					sums[key] = &sample{}
				}
				sums[key].merge(&taken)
			}
			m.append(MetricKey{Tenant: s.ref.Tenant, Scope: scopeIntegration, Name: s.ref.ID}, &s.chunk, minute, &taken)
		}
	}
	for key, sum := range sums {
		if m.series[key] == nil {
			m.series[key] = &openChunk{}
		}
		m.append(key, m.series[key], minute, sum)
	}
	m.forget(minute)
}

// takeAll gives what each series has counted since the last time, those without
// anything left out, and forgets the ones that have been idle for long.
func (s *meterShard) takeAll() map[*series]sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[*series]sample, len(s.series))
	for ref, one := range s.series {
		taken := one.take(swap, swap32)
		if !taken.empty() {
			one.idle = 0
			all[one] = taken
		} else if one.idle++; one.idle >= idleMinutes {
			delete(s.series, ref)
		}
	}
	return all
}

// append puts a point at the end of the series' chunk, which is saved with the next flush.
func (m *meter) append(key MetricKey, open *openChunk, minute time.Time, s *sample) {
	resolution := metricResolutions[0]
	start := resolution.start(minute)
	if !open.start.Equal(start) {
		*open = openChunk{start: start}
	}
	open.data = appendSample(open.data, int(minute.Sub(start)/resolution.step), s)
	key.Resolution, key.Start, key.Node = resolution.step, start, m.node
	m.unsaved[key] = open.data
}

// forget drops the chunks of hours that are over, and what could not be saved for a day.
func (m *meter) forget(minute time.Time) {
	current := metricResolutions[0].start(minute)
	for key, open := range m.series {
		if open.start.Before(current) {
			delete(m.series, key)
		}
	}
	for key := range m.unsaved {
		if key.Start.Before(current.Add(-24 * time.Hour)) {
			delete(m.unsaved, key)
		}
	}
}

func (m *meter) addTotal(provider string, s *sample) {
	m.totalsMu.Lock()
	defer m.totalsMu.Unlock()
	if m.totals[provider] == nil {
		m.totals[provider] = &sample{}
	}
	m.totals[provider].merge(s)
}

// since gives what has happened since the process began, by provider.
func (m *meter) since() map[string]*sample {
	m.cutting.Lock() // so that nothing is between the minute and the total
	defer m.cutting.Unlock()
	sums := map[string]*sample{}
	add := func(provider string, s *sample) {
		if sums[provider] == nil {
			sums[provider] = &sample{}
		}
		sums[provider].merge(s)
	}
	m.totalsMu.Lock()
	for provider, s := range m.totals {
		add(provider, s)
	}
	m.totalsMu.Unlock()
	for i := range m.shards {
		m.shards[i].mu.RLock()
		for _, s := range m.shards[i].series {
			current := s.take(load, load32)
			add(s.provider, &current)
		}
		m.shards[i].mu.RUnlock()
	}
	return sums
}

// flush saves what is not saved yet. What fails stays for the next flush.
func (m *meter) flush(ctx context.Context, store MetricStore) error {
	const batch = 500
	m.cutting.Lock()
	chunks := make([]MetricChunk, 0, len(m.unsaved))
	for key, data := range m.unsaved {
		chunks = append(chunks, MetricChunk{MetricKey: key, Points: data})
	}
	m.cutting.Unlock()
	for len(chunks) > 0 {
		part := chunks[:min(batch, len(chunks))]
		chunks = chunks[len(part):]
		if err := store.SaveMetrics(ctx, part); err != nil {
			return err
		}
		m.cutting.Lock()
		for _, c := range part {
			if len(m.unsaved[c.MetricKey]) == len(c.Points) {
				delete(m.unsaved, c.MetricKey)
			}
		}
		if len(m.unsaved) == 0 {
			m.unsaved = map[MetricKey][]byte{} // a map that was large once stays large
		}
		m.cutting.Unlock()
	}
	return nil
}
