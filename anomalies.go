package enlace

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Anomaly is an hour that is unlike the same hour of the weeks before. It is
// arithmetic and no forecast: it compares with what there was, and says with what.
type Anomaly struct {
	Name   string    `json:"name,omitempty"` // provider or integration; empty for the whole
	Metric string    `json:"metric"`         // "error_rate", "p95" or "requests"
	At     time.Time `json:"at"`             // the beginning of the hour
	Value  float64   `json:"value"`          // a share from 0 to 1, seconds, or a number
	Usual  float64   `json:"usual"`          // the median of the hours compared with
	Weeks  int       `json:"weeks"`          // how many hours those are
	Note   string    `json:"note"`           // in words, with what it is based on
}

const (
	anomalyWeeks    = 4  // that are looked back
	anomalyLeast    = 3  // of which so many must have had traffic
	anomalyRequests = 20 // in an hour, below which shares say little
)

// Anomalies looks for what is unusual in the last full hour: error rates, response
// times and numbers of requests that lie far outside what the same hour of the same
// weekday had in the four weeks before. Without three such weeks there is nothing to compare
// with, and it says nothing. Only GroupBy, Tenant, AllTenants, Provider and
// Integration of q count. Errors: as [Service.Metrics].
func (s *Service) Anomalies(ctx context.Context, q MetricsQuery) ([]Anomaly, error) {
	hour := floorTime(time.Now(), time.Hour).Add(-time.Hour)
	q.Step, q.TotalsOnly, q.Top = time.Hour, false, 1000
	now, err := s.hourOf(ctx, q, hour)
	if err != nil {
		return nil, err
	}
	usual := map[string][]MetricPoint{}
	for week := range anomalyWeeks {
		before, err := s.hourOf(ctx, q, hour.Add(-time.Duration(week+1)*7*24*time.Hour))
		if err != nil {
			return nil, err
		}
		for name, p := range before {
			usual[name] = append(usual[name], p)
		}
	}
	var found []Anomaly
	for name, p := range now {
		found = append(found, compareHour(name, hour, p, usual[name])...)
	}
	slices.SortFunc(found, func(a, b Anomaly) int {
		if a.Name != b.Name {
			return map[bool]int{true: -1, false: 1}[a.Name < b.Name]
		}
		return map[bool]int{true: -1, false: 1}[a.Metric < b.Metric]
	})
	return found, nil
}

// hourOf gives what each series did in an hour.
func (s *Service) hourOf(ctx context.Context, q MetricsQuery, hour time.Time) (map[string]MetricPoint, error) {
	q.From, q.To = hour, hour.Add(time.Hour)
	m, err := s.Metrics(ctx, q)
	if err != nil {
		return nil, err
	}
	points := map[string]MetricPoint{}
	for _, series := range m.Series {
		points[series.Name] = series.Total
	}
	return points, nil
}

func compareHour(name string, hour time.Time, now MetricPoint, before []MetricPoint) []Anomaly {
	if len(before) < anomalyLeast {
		return nil
	}
	var found []Anomaly
	compare := func(metric string, value func(MetricPoint) float64, least float64, say string) {
		var past []float64
		for _, p := range before {
			past = append(past, value(p))
		}
		median, spread := medianAndSpread(past)
		v := value(now)
		if math.Abs(v-median) <= max(4*spread, least, median/2) {
			return
		}
		found = append(found, Anomaly{Name: name, Metric: metric, At: hour, Value: v, Usual: median, Weeks: len(past),
			Note: fmt.Sprintf(say, v, median, len(past))})
	}
	if now.Requests >= anomalyRequests {
		compare("error_rate", func(p MetricPoint) float64 { return p.ErrorRate() }, 0.02,
			"%.3f of the requests failed; the median of this hour in %[3]d earlier weeks is %.3[2]f")
		compare("p95", func(p MetricPoint) float64 { return p.P95.Seconds() }, 0.25,
			"the slowest twentieth took longer than %.2f s; the median of this hour in %[3]d earlier weeks is %.2[2]f s")
	}
	compare("requests", func(p MetricPoint) float64 { return float64(p.Requests) }, anomalyRequests,
		"%.0f requests; the median of this hour in %[3]d earlier weeks is %.0[2]f")
	return found
}

// medianAndSpread is the median and the median distance from it, scaled to a
// standard deviation where the values are normal.
func medianAndSpread(values []float64) (median, spread float64) {
	median = medianOf(values)
	distances := make([]float64, len(values))
	for i, v := range values {
		distances[i] = math.Abs(v - median)
	}
	return median, 1.4826 * medianOf(distances)
}

func medianOf(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
