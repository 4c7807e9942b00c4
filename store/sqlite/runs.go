package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const (
	runList = "runs"

	runColumns = `tenant, id, integration, provider, direction, entities, dry_run, state, results,
		started_at, updated_at, finished_at, kind, error, options, queued`

	saveRun = `INSERT INTO enlace_runs (` + runColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant, id) DO UPDATE
		SET integration = excluded.integration, provider = excluded.provider, direction = excluded.direction,
			entities = excluded.entities, dry_run = excluded.dry_run, state = excluded.state,
			results = excluded.results, started_at = excluded.started_at, updated_at = excluded.updated_at,
			finished_at = excluded.finished_at, kind = excluded.kind, error = excluded.error,
			options = excluded.options, queued = excluded.queued`

	selectRun = `SELECT ` + runColumns + `, request FROM enlace_runs WHERE tenant = ? AND id = ?`

	listRuns = `SELECT ` + runColumns + `, request FROM enlace_runs
		WHERE tenant = ? AND (started_at, id) < (?, ?)
		ORDER BY started_at DESC, id DESC LIMIT ?`

	listRunsOfIntegration = `SELECT ` + runColumns + `, request FROM enlace_runs
		WHERE tenant = ? AND integration = ? AND (started_at, id) < (?, ?)
		ORDER BY started_at DESC, id DESC LIMIT ?`

	pruneRuns = `DELETE FROM enlace_runs WHERE (tenant, id) IN (SELECT tenant, id FROM enlace_runs
		WHERE state NOT IN ('waiting', 'running', 'paused') AND finished_at < ? LIMIT ?)`
)

// SaveRun implements [enlace.RunStore]. The checkpoints inside the results are
// not kept: they have their own table.
func (s *Store) SaveRun(ctx context.Context, run enlace.Run) error {
	_, err := s.exec(ctx, "save run", saveRun, run.Ref.Tenant, run.ID, run.Ref.ID, run.Provider,
		string(run.Direction), toJSON(run.Entities), run.DryRun, string(run.State), toJSON(run.Results),
		run.StartedAt.UnixMicro(), run.UpdatedAt.UnixMicro(), run.FinishedAt.UnixMicro(), run.Kind, run.Error, toJSON(run.Options), run.Queued)
	return err
}

// Run implements [enlace.RunStore].
func (s *Store) Run(ctx context.Context, tenant, id string) (enlace.Run, error) {
	run, err := scanRun(s.reader(ctx).QueryRowContext(ctx, selectRun, tenant, id))
	if errors.Is(err, sql.ErrNoRows) {
		return enlace.Run{}, enlace.ErrNotFound
	}
	return run, failed("run", err)
}

// Runs implements [enlace.RunStore].
func (s *Store) Runs(ctx context.Context, q enlace.RunQuery) ([]enlace.Run, string, error) {
	last := runPosition{started: math.MaxInt64}
	if q.Cursor != "" {
		var err error
		if last, err = parseRunPosition(q.Cursor); err != nil {
			return nil, "", err
		}
	}
	size := page.Size(q.Limit)
	query, args := listRuns, []any{q.Tenant, last.started, last.id, size + 1}
	if q.Integration != "" {
		query, args = listRunsOfIntegration, []any{q.Tenant, q.Integration, last.started, last.id, size + 1}
	}
	rows, err := selectAll(ctx, s.reader(ctx), "runs", scanRun, query, args...)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(rows, size, runList, func(run enlace.Run) string {
		return runPosition{run.StartedAt.UnixMicro(), run.ID}.String()
	})
	return rows, next, nil
}

// PruneRuns implements [enlace.RunStore].
func (s *Store) PruneRuns(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.exec(ctx, "prune runs", pruneRuns, before.UnixMicro(), limit)
	return int(n), err
}

// runPosition is where a run stands in the list.
type runPosition struct {
	started int64 // microseconds since 1970
	id      string
}

func (p runPosition) String() string { return strconv.FormatInt(p.started, 10) + ":" + p.id }

func parseRunPosition(cursor string) (runPosition, error) {
	text, err := page.Decode(runList, cursor)
	if err != nil {
		return runPosition{}, err
	}
	started, id, _ := strings.Cut(text, ":")
	micros, err := strconv.ParseInt(started, 10, 64)
	if err != nil || id == "" {
		return runPosition{}, page.ErrCursor
	}
	return runPosition{micros, id}, nil
}

func scanRun(row scanner) (enlace.Run, error) {
	var run enlace.Run
	err := row.Scan(&run.Ref.Tenant, &run.ID, &run.Ref.ID, &run.Provider, &run.Direction, asJSON{&run.Entities},
		&run.DryRun, &run.State, asJSON{&run.Results}, asTime{&run.StartedAt}, asTime{&run.UpdatedAt},
		asTime{&run.FinishedAt}, &run.Kind, &run.Error, asJSON{&run.Options}, &run.Queued, &run.Request)
	return run, err
}
