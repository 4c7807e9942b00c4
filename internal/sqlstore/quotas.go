package sqlstore

import (
	"context"
	"time"

	"github.com/enlace-go/enlace"
)

// What takeQuota is made of: q is the row as it is, excluded the one that is
// offered, which has one reading of the clock in it.
const (
	// nextToken is the time of the first token that nobody has.
	nextToken = `q.first_at + q.tokens * q.step`

	quotaPause = `CASE WHEN q.paused_until > excluded.paused_until THEN q.paused_until ELSE excluded.paused_until END`

	atLeastFull = `CASE WHEN ` + nextToken + ` > excluded.first_at THEN ` + nextToken + ` ELSE excluded.first_at END`

	firstToken = `(CASE WHEN ` + quotaPause + ` > ` + atLeastFull + ` THEN ` + quotaPause + ` ELSE ` + atLeastFull + ` END)`

	// tokensUntil is how many there are up to the horizon, if there is one.
	tokensUntil = `(excluded.horizon - ` + firstToken + `) / excluded.step + 1`

	takeQuota = `INSERT INTO enlace.quotas AS q (name, asked_at, horizon, step, first_at, tokens, paused_until, slowdowns, slow_step, slow_before, slowed_at)
		SELECT CAST(? AS text), c.at, c.at + ?, CAST(? AS bigint), c.at - ?, CAST(? AS bigint), c.at * ? + ?, CAST(? AS bigint), CAST(? AS bigint), CAST(? AS bigint), c.at
		FROM (SELECT {now} AS at) AS c WHERE true
		ON CONFLICT (name) DO UPDATE
		SET asked_at = excluded.asked_at, horizon = excluded.horizon, step = excluded.step, first_at = ` + firstToken + `,
			tokens = CASE WHEN ` + firstToken + ` > excluded.horizon THEN 0
				WHEN ` + tokensUntil + ` < excluded.tokens THEN ` + tokensUntil + ` ELSE excluded.tokens END,
			paused_until = ` + quotaPause + `,
			slowdowns = q.slowdowns + excluded.slowdowns,
			slow_step = CASE WHEN excluded.slowdowns > 0 THEN excluded.slow_step ELSE q.slow_step END,
			slow_before = CASE WHEN excluded.slowdowns > 0 THEN excluded.slow_before ELSE q.slow_before END,
			slowed_at = CASE WHEN excluded.slowdowns > 0 THEN excluded.slowed_at ELSE q.slowed_at END
		RETURNING tokens, first_at - asked_at, paused_until - asked_at, slowdowns, slow_step, slow_before, asked_at - slowed_at`

	// Without an index on the time, each change of which would be a change of the index.
	pruneQuotas = `DELETE FROM enlace.quotas WHERE name IN (SELECT name FROM enlace.quotas WHERE asked_at < ? LIMIT ?)`
)

// TakeQuota implements [enlace.QuotaStore]. It is one statement, which holds the
// quota's row for as long as it runs.
func (s *Store) TakeQuota(ctx context.Context, r enlace.QuotaRequest) (enlace.QuotaGrant, error) {
	full := time.Duration(r.Burst-1) * r.Step
	tokens, paused, slowed := min(int64(r.Tokens), int64((full+r.Ahead)/r.Step)+1), 0, 0
	if r.Pause > 0 {
		tokens, paused = 0, 1
	}
	if r.Slowdown.Step > 0 {
		slowed = 1
	}
	scan := func(row Row) (g enlace.QuotaGrant, err error) {
		var first, pause, step, before, age int64
		err = row.Scan(&g.Tokens, &first, &pause, &g.Slowdown.Number, &step, &before, &age)
		g.First, g.Pause = fromMicros(first), max(fromMicros(pause), 0)
		if g.Slowdown.Number > 0 {
			g.Slowdown.Step, g.Slowdown.Before, g.Slowdown.Age = fromMicros(step), fromMicros(before), fromMicros(age)
		}
		return g, err
	}
	grant, _, err := selectOne(ctx, s, "take quota", scan, takeQuota, r.Key, r.Ahead.Microseconds(), r.Step.Microseconds(), full.Microseconds(), tokens,
		paused, r.Pause.Microseconds(), slowed, r.Slowdown.Step.Microseconds(), r.Slowdown.Before.Microseconds())
	return grant, err
}

func fromMicros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// PruneQuotas implements [enlace.QuotaStore].
func (s *Store) PruneQuotas(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.exec(ctx, "prune quotas", pruneQuotas, before.UnixMicro(), limit)
	return int(n), err
}
