package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	runList = "runs"

	runColumns = `tenant, id, integration, provider, direction, entities, dry_run, state, results,
		started_at, updated_at, finished_at, kind, error, options, queued`

	saveRun = `INSERT INTO enlace.runs (` + runColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (tenant, id) DO UPDATE
		SET integration = excluded.integration, provider = excluded.provider, direction = excluded.direction,
			entities = excluded.entities, dry_run = excluded.dry_run, state = excluded.state,
			results = excluded.results, started_at = excluded.started_at, updated_at = excluded.updated_at,
			finished_at = excluded.finished_at, kind = excluded.kind, error = excluded.error,
			options = excluded.options, queued = excluded.queued`

	selectRun = `SELECT ` + runColumns + `, request FROM enlace.runs WHERE tenant = $1 AND id = $2`

	listRuns = `SELECT ` + runColumns + `, request FROM enlace.runs
		WHERE tenant = $1 AND (started_at, id) < ($2, $3)
		ORDER BY started_at DESC, id DESC LIMIT $4`

	listRunsOfIntegration = `SELECT ` + runColumns + `, request FROM enlace.runs
		WHERE tenant = $1 AND integration = $2 AND (started_at, id) < ($3, $4)
		ORDER BY started_at DESC, id DESC LIMIT $5`

	pruneRuns = `DELETE FROM enlace.runs WHERE (tenant, id) IN (SELECT tenant, id FROM enlace.runs
		WHERE state NOT IN ('waiting', 'running', 'paused') AND finished_at < $1 LIMIT $2)`
)

// SaveRun implements [enlace.RunStore]. The checkpoints inside the results are
// not kept: they have their own table.
func (s *Store) SaveRun(ctx context.Context, run enlace.Run) error {
	_, err := s.exec(ctx, "save run", saveRun, run.Ref.Tenant, run.ID, run.Ref.ID, run.Provider,
		string(run.Direction), toJSON(run.Entities), run.DryRun, string(run.State), toJSON(run.Results),
		instant(run.StartedAt), instant(run.UpdatedAt), instant(run.FinishedAt), run.Kind, clean(run.Error), toJSON(run.Options), run.Queued)
	return err
}

// Run implements [enlace.RunStore].
func (s *Store) Run(ctx context.Context, tenant, id string) (enlace.Run, error) {
	var run enlace.Run
	err := s.row(ctx, "run", runDest(&run), selectRun, tenant, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return enlace.Run{}, enlace.ErrNotFound
	}
	return run, err
}

// Runs implements [enlace.RunStore].
func (s *Store) Runs(ctx context.Context, q enlace.RunQuery) ([]enlace.Run, string, error) {
	started, id := pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}, ""
	if q.Cursor != "" {
		last, err := parseRunPosition(q.Cursor)
		if err != nil {
			return nil, "", err
		}
		started, id = pgtype.Timestamptz{Time: last.started, Valid: true}, last.id
	}
	size := page.Size(q.Limit)
	query, args := listRuns, []any{q.Tenant, started, id, size + 1}
	if q.Integration != "" {
		query, args = listRunsOfIntegration, []any{q.Tenant, q.Integration, started, id, size + 1}
	}
	rows, err := selectAll(ctx, s, "runs", scanRun, query, args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, runList, func(run enlace.Run) string {
		return runPosition{run.StartedAt, run.ID}.String()
	})
	return rows, next, nil
}

// PruneRuns implements [enlace.RunStore].
func (s *Store) PruneRuns(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.exec(ctx, "prune runs", pruneRuns, instant(before), limit)
	return int(n), err
}

// runPosition is where a run stands in the list.
type runPosition struct {
	started time.Time // written as microseconds since 1970
	id      string
}

func (p runPosition) String() string {
	return strconv.FormatInt(p.started.UnixMicro(), 10) + ":" + p.id
}

func parseRunPosition(cursor string) (runPosition, error) {
	text, err := page.Decode(runList, cursor)
	if err != nil {
		return runPosition{}, err
	}
	started, id, _ := strings.Cut(text, ":")
	micros, err := strconv.ParseInt(started, 10, 64)
	at := time.UnixMicro(micros).UTC()
	if err != nil || id == "" || at.Year() < 0 || at.Year() > 9999 { // far within what PostgreSQL keeps
		return runPosition{}, page.ErrCursor
	}
	return runPosition{at, id}, nil
}

func runDest(run *enlace.Run) []any {
	return []any{&run.Ref.Tenant, &run.ID, &run.Ref.ID, &run.Provider, &run.Direction, &run.Entities,
		&run.DryRun, &run.State, &run.Results, asTime{&run.StartedAt}, asTime{&run.UpdatedAt},
		asTime{&run.FinishedAt}, &run.Kind, &run.Error, &run.Options, &run.Queued, &run.Request}
}

func scanRun(row scanner) (enlace.Run, error) {
	var run enlace.Run
	err := row.Scan(runDest(&run)...)
	return run, err
}
