package enlace

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// maxPoints bounds the points of one series.
const maxPoints = 2000

// Metrics answers what happened, from what is stored: the minute that has just
// ended is there a moment later. Errors: [*ValidationError], ErrStore.
func (s *Service) Metrics(ctx context.Context, q MetricsQuery) (Metrics, error) {
	q, level, err := q.normalize(time.Now())
	if err != nil {
		return Metrics{}, err
	}
	r := metricsReading{service: s, query: q, series: map[string]map[int64]*sample{}}
	r.scope, r.name = q.scope()
	if q.Provider != "" && q.GroupBy == GroupIntegration {
		if r.only, err = s.integrationsOf(ctx, q.Tenant, q.Provider); err != nil {
			return Metrics{}, err
		}
	}
	if err := r.read(ctx, level); err != nil {
		return Metrics{}, wrap("metrics", ErrStore, err)
	}
	answer := r.answer()
	if !q.AllTenants {
		if answer.Integrations, err = s.store.IntegrationCounts(ctx, q.Tenant); err != nil {
			return Metrics{}, wrap("metrics", ErrStore, err)
		}
	}
	return answer, nil
}

// normalize fills in defaults and chooses the resolution to begin with.
func (q MetricsQuery) normalize(now time.Time) (MetricsQuery, int, error) {
	var faults ValidationError
	if q.To.IsZero() {
		q.To = now
	}
	if q.From.IsZero() {
		q.From = q.To.Add(-24 * time.Hour)
	}
	if !q.From.Before(q.To) {
		faults.add("From", "not before To", "a time before To")
	}
	span := q.To.Sub(q.From)
	if q.Step == 0 {
		switch {
		case span <= 6*time.Hour && now.Sub(q.From) <= metricResolutions[0].keep:
			q.Step = time.Minute
		case span <= 8*24*time.Hour && now.Sub(q.From) <= metricResolutions[1].keep:
			q.Step = time.Hour
		default:
			q.Step = 24 * time.Hour
		}
	}
	level := slices.IndexFunc(metricResolutions[:], func(r metricResolution) bool { return r.step == q.Step })
	if level < 0 {
		faults.add("Step", "not kept", "a minute, an hour, a day, or 0")
	} else if span/q.Step > maxPoints {
		faults.add("Step", "too many points", "2,000 points: a longer step or a shorter range")
	}
	if q.AllTenants && (q.GroupBy == GroupIntegration || q.Integration != "") {
		faults.add("GroupBy", "not kept for all tenants", "no group or provider")
	}
	if q.GroupBy != GroupNone && q.GroupBy != GroupProvider && q.GroupBy != GroupIntegration {
		faults.add("GroupBy", "unknown", "no group, provider or integration")
	}
	if q.Top <= 0 {
		q.Top = 50
	}
	q.Top = min(q.Top, 1000)
	return q, max(level, 0), faults.orNil()
}

// scope says where the series stand, and which one; no name is all of them.
func (q MetricsQuery) scope() (scope, name string) {
	switch {
	case q.AllTenants && q.GroupBy == GroupNone && q.Provider == "":
		return scopeAll, ""
	case q.AllTenants:
		return scopeAllProvider, q.Provider
	case q.Integration != "" || q.GroupBy == GroupIntegration:
		return scopeIntegration, q.Integration
	case q.Provider != "" || q.GroupBy == GroupProvider:
		return scopeProvider, q.Provider
	default:
		return scopeTenant, ""
	}
}

// integrationsOf lists the ids of a tenant's integrations at a provider.
func (s *Service) integrationsOf(ctx context.Context, tenant, provider string) (map[string]bool, error) {
	ids := map[string]bool{}
	q := IntegrationQuery{Tenant: tenant, Provider: provider, Limit: 1000}
	for {
		list, next, err := s.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, in := range list {
			ids[in.ID] = true
		}
		if q.Cursor = next; next == "" {
			return ids, nil
		}
	}
}

// metricsReading collects the points of a query.
type metricsReading struct {
	service     *Service
	query       MetricsQuery
	scope, name string
	only        map[string]bool // names that count; nil for all
	series      map[string]map[int64]*sample
}

// read takes the coarse points that there are, and finer ones for the time that
// is not rolled up yet.
func (r *metricsReading) read(ctx context.Context, level int) error {
	from := floorTime(r.query.From, r.query.Step)
	for ; level >= 0; level-- {
		covered, err := r.readLevel(ctx, metricResolutions[level], from)
		if err != nil {
			return err
		}
		if covered.After(from) {
			from = covered
		}
		if level > 0 { // what lies further back was rolled up, or nothing happened
			lag := time.Now().Add(-2 * metricResolutions[level].step)
			if from.Before(lag) {
				from = floorTime(lag, metricResolutions[level].step)
			}
		}
	}
	return nil
}

// readLevel reads the points of one resolution and returns the end of the last.
func (r *metricsReading) readLevel(ctx context.Context, resolution metricResolution, from time.Time) (covered time.Time, err error) {
	tenant := r.query.Tenant
	if r.query.AllTenants {
		tenant = ""
	}
	q := MetricChunkQuery{Resolution: resolution.step, Tenant: tenant, Scope: r.scope, Name: r.name,
		From: resolution.start(from), To: r.query.To, Limit: 10_000}
	for {
		chunks, err := r.service.store.Metrics(ctx, q)
		if err != nil {
			return covered, err
		}
		for _, c := range chunks {
			q.After = c.MetricKey
			if r.only != nil && !r.only[c.Name] {
				continue
			}
			points := r.points(c.Name)
			err := readChunk(c.Points, func(step int) *sample {
				at := c.Start.Add(time.Duration(step) * resolution.step)
				if at.Before(from) || !at.Before(r.query.To) {
					return nil
				}
				if end := at.Add(resolution.step); end.After(covered) {
					covered = end
				}
				key := r.bucket(at)
				if points[key] == nil {
					points[key] = &sample{}
				}
				return points[key]
			})
			if err != nil {
				r.service.logger.WarnContext(ctx, "chunk of metrics left out", "scope", c.Scope, "name", c.Name, "error", err)
			}
		}
		if len(chunks) < q.Limit {
			return covered, nil
		}
	}
}

// bucket is the point that a time belongs to; all times share one where only
// totals are wanted.
func (r *metricsReading) bucket(at time.Time) int64 {
	if r.query.TotalsOnly && r.query.GroupBy != GroupNone {
		return 0
	}
	return floorTime(at, r.query.Step).UnixMicro()
}

func (r *metricsReading) points(name string) map[int64]*sample {
	if r.query.GroupBy == GroupNone {
		name = ""
	}
	points := r.series[name]
	if points == nil {
		points = map[int64]*sample{}
		r.series[name] = points
	}
	return points
}

func (r *metricsReading) answer() Metrics {
	q := r.query
	answer := Metrics{From: q.From, To: q.To, Step: q.Step, Series: []MetricSeries{}}
	total := &sample{}
	for name, points := range r.series {
		one := MetricSeries{Name: name}
		sum := &sample{}
		for _, at := range slices.Sorted(maps.Keys(points)) {
			sum.merge(points[at])
			if !q.TotalsOnly || q.GroupBy == GroupNone {
				one.Points = append(one.Points, points[at].point(time.UnixMicro(at).UTC()))
			}
		}
		total.merge(sum)
		one.Total = sum.point(q.From)
		answer.Series = append(answer.Series, one)
	}
	answer.Total = total.point(q.From)
	slices.SortFunc(answer.Series, func(a, b MetricSeries) int {
		return cmp.Or(cmp.Compare(b.Total.Requests, a.Total.Requests), cmp.Compare(a.Name, b.Name))
	})
	if len(answer.Series) > q.Top {
		answer.Series = answer.Series[:q.Top]
	}
	return answer
}
