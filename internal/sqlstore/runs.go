package sqlstore

import (
	"context"

	"github.com/enlace-go/enlace"
)

const (
	requestRun = `UPDATE enlace.runs SET request = ? WHERE tenant = ? AND id = ?`

	selectRequest = `SELECT request FROM enlace.runs WHERE tenant = ? AND id = ?`

	queuedRuns = `SELECT tenant, integration, id FROM enlace.runs
		WHERE queued AND state IN ('waiting', 'running') ORDER BY id LIMIT ?`

	nextQueuedRun = `SELECT tenant, integration, id FROM enlace.runs
		WHERE queued AND state IN ('waiting', 'running') AND tenant = ? AND integration = ? ORDER BY id LIMIT 1`
)

// RequestRun implements [enlace.RunStore].
func (s *Store) RequestRun(ctx context.Context, tenant, id string, request enlace.RunRequest) error {
	changed, err := s.exec(ctx, "request run", requestRun, string(request), tenant, id)
	if err == nil && changed == 0 {
		err = enlace.ErrNotFound
	}
	return err
}

// RunRequest implements [enlace.RunStore].
func (s *Store) RunRequest(ctx context.Context, tenant, id string) (enlace.RunRequest, error) {
	scan := func(row Row) (request enlace.RunRequest, err error) { return request, row.Scan(&request) }
	request, _, err := selectOne(ctx, s, "run request", scan, selectRequest, tenant, id)
	return request, err
}

// QueuedRuns implements [enlace.RunStore].
func (s *Store) QueuedRuns(ctx context.Context, limit int) ([]enlace.QueuedRun, error) {
	return selectAll(ctx, s, "queued runs", scanQueuedRun, queuedRuns, limit)
}

// NextQueuedRun implements [enlace.RunStore].
func (s *Store) NextQueuedRun(ctx context.Context, ref enlace.Ref) (enlace.QueuedRun, error) {
	run, found, err := selectOne(ctx, s, "next queued run", scanQueuedRun, nextQueuedRun, ref.Tenant, ref.ID)
	if err == nil && !found {
		err = enlace.ErrNotFound
	}
	return run, err
}

func scanQueuedRun(row Row) (run enlace.QueuedRun, err error) {
	err = row.Scan(&run.Ref.Tenant, &run.Ref.ID, &run.RunID)
	return run, err
}
