package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/internal/page"
)

const runList = "runs"

// SaveRun implements [enlace.RunStore]. The checkpoints inside the results are
// not kept: they have their own store.
func (s *Store) SaveRun(ctx context.Context, run enlace.Run) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	key := enlace.Ref{Tenant: run.Ref.Tenant, ID: run.ID}
	run = copyRun(run)
	run.Request = s.runs.value(key).Request
	s.runs.set(s.undo, key, run)
	return nil
}

// RequestRun implements [enlace.RunStore].
func (s *Store) RequestRun(ctx context.Context, tenant, id string, request enlace.RunRequest) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	key := enlace.Ref{Tenant: tenant, ID: id}
	run, exists := s.runs.get(key)
	if !exists {
		return enlace.ErrNotFound
	}
	run.Request = request
	s.runs.set(s.undo, key, run)
	return nil
}

// RunRequest implements [enlace.RunStore].
func (s *Store) RunRequest(ctx context.Context, tenant, id string) (enlace.RunRequest, error) {
	if err := s.begin(ctx); err != nil {
		return "", err
	}
	defer s.end(ctx)
	return s.runs.value(enlace.Ref{Tenant: tenant, ID: id}).Request, nil
}

// QueuedRuns implements [enlace.RunStore].
func (s *Store) QueuedRuns(ctx context.Context, limit int) ([]enlace.QueuedRun, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	queued := s.queued(func(enlace.Run) bool { return true })
	return queued[:min(limit, len(queued))], nil
}

// NextQueuedRun implements [enlace.RunStore].
func (s *Store) NextQueuedRun(ctx context.Context, ref enlace.Ref) (enlace.QueuedRun, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.QueuedRun{}, err
	}
	defer s.end(ctx)
	queued := s.queued(func(run enlace.Run) bool { return run.Ref == ref })
	if len(queued) == 0 {
		return enlace.QueuedRun{}, enlace.ErrNotFound
	}
	return queued[0], nil
}

// queued are the queued runs that match, in order of their ids.
func (s *Store) queued(match func(enlace.Run) bool) []enlace.QueuedRun {
	var queued []enlace.QueuedRun
	for _, run := range s.runs.all() {
		if run.Queued && (run.State == enlace.RunWaiting || run.State == enlace.RunRunning) && match(run) {
			queued = append(queued, enlace.QueuedRun{Ref: run.Ref, RunID: run.ID})
		}
	}
	slices.SortFunc(queued, func(a, b enlace.QueuedRun) int { return cmp.Compare(a.RunID, b.RunID) })
	return queued
}

// Run implements [enlace.RunStore].
func (s *Store) Run(ctx context.Context, tenant, id string) (enlace.Run, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Run{}, err
	}
	defer s.end(ctx)
	run, exists := s.runs.get(enlace.Ref{Tenant: tenant, ID: id})
	if !exists {
		return enlace.Run{}, enlace.ErrNotFound
	}
	return copyRun(run), nil
}

// Runs implements [enlace.RunStore].
func (s *Store) Runs(ctx context.Context, q enlace.RunQuery) ([]enlace.Run, string, error) {
	var last runPosition
	if q.Cursor != "" {
		var err error
		if last, err = parseRunPosition(q.Cursor); err != nil {
			return nil, "", err
		}
	}
	if err := s.begin(ctx); err != nil {
		return nil, "", err
	}
	defer s.end(ctx)
	var rows []enlace.Run
	for _, run := range s.runs.all() {
		if run.Ref.Tenant == q.Tenant && (q.Integration == "" || run.Ref.ID == q.Integration) &&
			(q.Cursor == "" || newestFirst(last, positionOf(run)) < 0) {
			rows = append(rows, run)
		}
	}
	slices.SortFunc(rows, func(a, b enlace.Run) int { return newestFirst(positionOf(a), positionOf(b)) })
	rows, next := page.Cut(rows, page.Size(q.Limit), runList, func(run enlace.Run) string { return positionOf(run).String() })
	for i := range rows {
		rows[i] = copyRun(rows[i])
	}
	return rows, next, nil
}

// PruneRuns implements [enlace.RunStore].
func (s *Store) PruneRuns(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	n := 0
	for key, run := range s.runs.all() {
		switch run.State {
		case enlace.RunWaiting, enlace.RunRunning, enlace.RunPaused:
			continue
		}
		if n < limit && run.FinishedAt.Before(before) {
			s.runs.delete(s.undo, key)
			n++
		}
	}
	return n, nil
}

// runPosition is where a run stands in the list.
type runPosition struct {
	started int64 // microseconds since 1970
	id      string
}

func positionOf(run enlace.Run) runPosition { return runPosition{run.StartedAt.UnixMicro(), run.ID} }

func newestFirst(a, b runPosition) int {
	return cmp.Or(cmp.Compare(b.started, a.started), cmp.Compare(b.id, a.id))
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

func copyRun(run enlace.Run) enlace.Run {
	run.Entities, run.Results = slices.Clone(run.Entities), maps.Clone(run.Results)
	run.Options.Entities = slices.Clone(run.Options.Entities)
	for entity, result := range run.Results {
		result.Checkpoint = enlace.Checkpoint{}
		run.Results[entity] = result
	}
	for _, t := range []*time.Time{&run.StartedAt, &run.UpdatedAt, &run.FinishedAt} {
		*t = instant(*t)
	}
	return run
}
