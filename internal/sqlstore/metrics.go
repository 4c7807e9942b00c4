package sqlstore

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	saveMetric = `INSERT INTO enlace.metrics (resolution, tenant, scope, name, start, node, points) VALUES {rows}
		ON CONFLICT (resolution, tenant, scope, name, start, node) DO UPDATE SET points = excluded.points`

	metricColumns = `SELECT resolution, tenant, scope, name, start, node, points FROM enlace.metrics `

	// What the query says itself is not read again for each of thousands of rows.
	chunkColumns = `SELECT name, start, node, points FROM enlace.metrics `

	// It goes from name to name and reads of each only the time that was asked for: the
	// order of the key would lead through everything that is kept of all of them.
	selectMetrics = `SELECT name, start, node, points FROM (
		WITH RECURSIVE names(next) AS (
			SELECT (SELECT min(name) FROM enlace.metrics WHERE resolution = ?1 AND tenant = ?2 AND scope = ?3 AND name >= ?4)
			UNION ALL
			SELECT (SELECT min(name) FROM enlace.metrics WHERE resolution = ?1 AND tenant = ?2 AND scope = ?3 AND name > next)
			FROM names WHERE next IS NOT NULL)
		SELECT m.name, m.start, m.node, m.points FROM names CROSS JOIN enlace.metrics m
		WHERE m.resolution = ?1 AND m.tenant = ?2 AND m.scope = ?3 AND m.name = names.next AND m.start >= ?7 AND m.start < ?8
			AND (m.name, m.start, m.node) > (?4, ?5, ?6)) AS found
		ORDER BY name, start, node LIMIT ?9`

	selectMetricsOfName = chunkColumns + `WHERE resolution = ? AND tenant = ? AND scope = ? AND name = ? AND (start, node) > (?, ?) AND start >= ? AND start < ?
		ORDER BY name, start, node LIMIT ?`

	selectMetricsAt = metricColumns + `WHERE resolution = ? AND start = ? AND (tenant, scope, name, node) > (?, ?, ?, ?)
		ORDER BY tenant, scope, name, node LIMIT ?`

	selectMetricStarts = `SELECT DISTINCT start FROM enlace.metrics WHERE resolution = ? ORDER BY start`

	deleteMetrics = `DELETE FROM enlace.metrics WHERE (resolution, tenant, scope, name, start, node) IN
		(SELECT resolution, tenant, scope, name, start, node FROM enlace.metrics WHERE resolution = ? AND start < ? LIMIT ?)`

	countIntegrations = `SELECT provider, COUNT(*),
		SUM(CASE WHEN enabled AND status = 'connected' THEN 1 ELSE 0 END),
		SUM(CASE WHEN enabled AND status NOT IN ('connected', 'pending') THEN 1 ELSE 0 END)
		FROM enlace.integrations WHERE tenant = ? GROUP BY provider ORDER BY provider`
)

// SaveMetrics implements [enlace.MetricStore].
func (s *Store) SaveMetrics(ctx context.Context, chunks []enlace.MetricChunk) error {
	return s.db.Transact(ctx, func(ctx context.Context) error {
		for len(chunks) > 0 {
			var args []any
			known := map[enlace.MetricKey]bool{} // one statement writes a row once
			for _, c := range chunks[:min(len(chunks), maxRows)] {
				if known[c.MetricKey] {
					break
				}
				known[c.MetricKey] = true
				args = append(args, seconds(c.Resolution), c.Tenant, c.Scope, c.Name, c.Start.UnixMicro(), c.Node, c.Points)
			}
			if _, err := s.exec(ctx, "save metrics", rowsOf(saveMetric, len(known), 7), args...); err != nil {
				return err
			}
			chunks = chunks[len(known):]
		}
		return nil
	})
}

// Metrics implements [enlace.MetricStore].
func (s *Store) Metrics(ctx context.Context, q enlace.MetricChunkQuery) ([]enlace.MetricChunk, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	limit = min(limit, 10_000)
	after := int64(-1 << 62)
	if q.After != (enlace.MetricKey{}) {
		after = q.After.Start.UnixMicro()
	}
	args := []any{seconds(q.Resolution), q.Tenant, q.Scope}
	statement := selectMetrics
	if q.Name != "" {
		statement = selectMetricsOfName
		args = append(args, q.Name, after, q.After.Node)
	} else {
		args = append(args, q.After.Name, after, q.After.Node)
	}
	args = append(args, q.From.UnixMicro(), q.To.UnixMicro(), limit)
	scan := func(row Row) (enlace.MetricChunk, error) {
		c := enlace.MetricChunk{MetricKey: enlace.MetricKey{Resolution: q.Resolution, Tenant: q.Tenant, Scope: q.Scope}}
		err := row.Scan(&c.Name, instant{&c.Start}, &c.Node, &c.Points)
		return c, err
	}
	return selectAll(ctx, s, "metrics", scan, statement, args...)
}

// MetricsAt implements [enlace.MetricStore].
func (s *Store) MetricsAt(ctx context.Context, resolution time.Duration, start time.Time, after enlace.MetricKey, limit int) ([]enlace.MetricChunk, error) {
	return selectAll(ctx, s, "metrics at", scanMetric, selectMetricsAt, seconds(resolution), start.UnixMicro(),
		after.Tenant, after.Scope, after.Name, after.Node, limit)
}

// MetricStarts implements [enlace.MetricStore].
func (s *Store) MetricStarts(ctx context.Context, resolution time.Duration) ([]time.Time, error) {
	scan := func(row Row) (t time.Time, err error) {
		err = row.Scan(instant{&t})
		return t, err
	}
	return selectAll(ctx, s, "metric starts", scan, selectMetricStarts, seconds(resolution))
}

// DeleteMetrics implements [enlace.MetricStore].
func (s *Store) DeleteMetrics(ctx context.Context, resolution time.Duration, before time.Time, limit int) (int, error) {
	n, err := s.exec(ctx, "delete metrics", deleteMetrics, seconds(resolution), before.UnixMicro(), limit)
	return int(n), err
}

// IntegrationCounts implements [enlace.MetricStore].
func (s *Store) IntegrationCounts(ctx context.Context, tenant string) ([]enlace.IntegrationCount, error) {
	scan := func(row Row) (enlace.IntegrationCount, error) {
		var c enlace.IntegrationCount
		err := row.Scan(&c.Provider, &c.Total, &c.Active, &c.Attention)
		return c, err
	}
	return selectAll(ctx, s, "count integrations", scan, countIntegrations, tenant)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func scanMetric(row Row) (enlace.MetricChunk, error) {
	var c enlace.MetricChunk
	var resolution int64
	err := row.Scan(&resolution, &c.Tenant, &c.Scope, &c.Name, instant{&c.Start}, &c.Node, &c.Points)
	c.Resolution = time.Duration(resolution) * time.Second
	return c, err
}
