package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

// SaveMetrics implements [enlace.MetricStore].
func (s *Store) SaveMetrics(ctx context.Context, chunks []enlace.MetricChunk) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	for _, c := range chunks {
		c.Start = instant(c.Start)
		s.metrics.set(s.undo, c.MetricKey, bytes.Clone(c.Points))
	}
	return nil
}

// Metrics implements [enlace.MetricStore].
func (s *Store) Metrics(ctx context.Context, q enlace.MetricChunkQuery) ([]enlace.MetricChunk, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	order := func(a, b enlace.MetricKey) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Start.Compare(b.Start), cmp.Compare(a.Node, b.Node))
	}
	return s.selectMetrics(ctx, min(limit, 10_000), order, func(k enlace.MetricKey) bool {
		return k.Resolution == q.Resolution && k.Tenant == q.Tenant && k.Scope == q.Scope && (q.Name == "" || k.Name == q.Name) &&
			!k.Start.Before(q.From) && k.Start.Before(q.To) && (q.After == (enlace.MetricKey{}) || order(k, q.After) > 0)
	})
}

// MetricsAt implements [enlace.MetricStore].
func (s *Store) MetricsAt(ctx context.Context, resolution time.Duration, start time.Time, after enlace.MetricKey, limit int) ([]enlace.MetricChunk, error) {
	order := func(a, b enlace.MetricKey) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node))
	}
	return s.selectMetrics(ctx, limit, order, func(k enlace.MetricKey) bool {
		return k.Resolution == resolution && k.Start.Equal(start) && order(k, after) > 0
	})
}

// selectMetrics returns up to limit of the chunks that match, in order.
func (s *Store) selectMetrics(ctx context.Context, limit int, order func(a, b enlace.MetricKey) int, match func(enlace.MetricKey) bool) ([]enlace.MetricChunk, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var chunks []enlace.MetricChunk
	for key, points := range s.metrics.all() {
		if match(key) {
			chunks = append(chunks, enlace.MetricChunk{MetricKey: key, Points: points})
		}
	}
	slices.SortFunc(chunks, func(a, b enlace.MetricChunk) int { return order(a.MetricKey, b.MetricKey) })
	chunks = chunks[:min(limit, len(chunks))]
	for i := range chunks {
		chunks[i].Points = bytes.Clone(chunks[i].Points)
	}
	return chunks, nil
}

// MetricStarts implements [enlace.MetricStore].
func (s *Store) MetricStarts(ctx context.Context, resolution time.Duration) ([]time.Time, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var starts []time.Time
	for key := range s.metrics.all() {
		if key.Resolution == resolution && !slices.ContainsFunc(starts, key.Start.Equal) {
			starts = append(starts, key.Start)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	return starts, nil
}

// DeleteMetrics implements [enlace.MetricStore].
func (s *Store) DeleteMetrics(ctx context.Context, resolution time.Duration, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	n := 0
	for key := range s.metrics.all() {
		if key.Resolution == resolution && key.Start.Before(before) && n < limit {
			s.metrics.delete(s.undo, key)
			n++
		}
	}
	return n, nil
}

// IntegrationCounts implements [enlace.MetricStore].
func (s *Store) IntegrationCounts(ctx context.Context, tenant string) ([]enlace.IntegrationCount, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	counts := map[string]*enlace.IntegrationCount{}
	for ref, in := range s.integrations.all() {
		if ref.Tenant != tenant {
			continue
		}
		if counts[in.Provider] == nil {
			counts[in.Provider] = &enlace.IntegrationCount{Provider: in.Provider}
		}
		c := counts[in.Provider]
		c.Total++
		switch {
		case !in.Enabled || in.Status == enlace.StatusPending:
		case in.Status == enlace.StatusConnected:
			c.Active++
		default:
			c.Attention++
		}
	}
	var all []enlace.IntegrationCount
	for _, c := range counts {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b enlace.IntegrationCount) int { return cmp.Compare(a.Provider, b.Provider) })
	return all, nil
}
