package enlace

import (
	"context"
	"time"
)

// Run is the record of one sync run.
type Run struct {
	ID         string                  `json:"id"`
	Ref        Ref                     `json:"integration"`
	Provider   string                  `json:"provider"`
	Direction  Direction               `json:"direction"`
	Entities   []string                `json:"entities"`
	DryRun     bool                    `json:"dry_run,omitempty"`
	State      RunState                `json:"state"`
	Results    map[string]EntityResult `json:"results,omitempty"`
	StartedAt  time.Time               `json:"started_at"`
	UpdatedAt  time.Time               `json:"updated_at"`
	FinishedAt time.Time               `json:"finished_at,omitzero"`
	Kind       string                  `json:"kind,omitempty"`  // KindLabel of what ended it
	Error      string                  `json:"error,omitempty"` // in words, without secrets
}

// RunState is how a run stands.
type RunState string

// The states of a run. One that is still "running" long after its UpdatedAt was
// cut off with its process; the next run goes on where it stopped.
const (
	RunRunning  RunState = "running"
	RunComplete RunState = "complete" // everything there was has been read
	RunPartial  RunState = "partial"  // ended early and well: a limit was reached
	RunFailed   RunState = "failed"
	RunCanceled RunState = "canceled"
)

// SyncRun returns the record of one run, or ErrNotFound.
func (s *Service) SyncRun(ctx context.Context, tenant, id string) (Run, error) {
	run, err := s.store.Run(ctx, tenant, id)
	return run, wrap("run", ErrStore, err)
}

// Runs lists runs, newest first. Errors: ErrInvalid for a bad cursor, ErrStore.
func (s *Service) Runs(ctx context.Context, q RunQuery) ([]Run, string, error) {
	runs, next, err := s.store.Runs(ctx, q)
	return runs, next, wrap("runs", ErrStore, err)
}
