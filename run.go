package enlace

import (
	"context"
	"errors"
	"maps"
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
	Options    SyncOptions             `json:"options,omitzero"` // with which it was started, without its functions
	Queued     bool                    `json:"queued,omitempty"` // Service.Run carries it out, in any process
	State      RunState                `json:"state"`
	Request    RunRequest              `json:"request,omitempty"` // what somebody wants of it; SaveRun leaves it alone
	Results    map[string]EntityResult `json:"results,omitempty"`
	StartedAt  time.Time               `json:"started_at"`
	UpdatedAt  time.Time               `json:"updated_at"` // every few seconds while it runs
	FinishedAt time.Time               `json:"finished_at,omitzero"`
	Kind       string                  `json:"kind,omitempty"`  // KindLabel of what ended it
	Error      string                  `json:"error,omitempty"` // in words, without secrets
}

// RunState is how a run stands.
type RunState string

// The states of a run. One that is still "running" long after its UpdatedAt was
// cut off with its process; the next run goes on where it stopped.
const (
	RunWaiting  RunState = "waiting" // for Service.Run to take it up
	RunRunning  RunState = "running"
	RunPaused   RunState = "paused"   // until ResumeRun
	RunComplete RunState = "complete" // everything there was has been read
	RunPartial  RunState = "partial"  // ended early and well: a limit was reached
	RunFailed   RunState = "failed"
	RunCanceled RunState = "canceled"
)

// RunRequest is what somebody wants a run to do; it sees that at its next page.
type RunRequest string

// The requests.
const (
	RequestNone   RunRequest = ""
	RequestPause  RunRequest = "pause"
	RequestCancel RunRequest = "cancel"
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

// PauseRun has a run stop behind its next page, in whichever process it is; its
// Sync returns ErrPaused then. A run that waits is not taken up. Errors:
// ErrNotFound; ErrConflict if the run has ended; ErrStore.
func (s *Service) PauseRun(ctx context.Context, tenant, id string) error {
	return s.end(ctx, tenant, id, RequestPause, RunPaused, RunWaiting)
}

// CancelRun has a run end behind its next page, in whichever process it is; its
// Sync returns ErrCanceled then. One that waits or is paused ends at once. What it
// has brought stays, and the next run goes on there. Errors: as for PauseRun.
func (s *Service) CancelRun(ctx context.Context, tenant, id string) error {
	return s.end(ctx, tenant, id, RequestCancel, RunCanceled, RunWaiting, RunPaused)
}

// end leaves the request in the run's row. A run in one of the idle states, which
// nobody is carrying out, gets the new state at once.
func (s *Service) end(ctx context.Context, tenant, id string, request RunRequest, state RunState, idle ...RunState) error {
	return s.changeRun(ctx, tenant, id, string("run."+request), func(ctx context.Context, run Run) error {
		if run.State != RunRunning && run.State != RunWaiting && run.State != RunPaused {
			return ErrConflict
		}
		if err := s.store.RequestRun(ctx, tenant, id, request); err != nil {
			return err
		}
		for _, waits := range idle {
			if run.State == waits {
				run.State, run.UpdatedAt = state, time.Now()
				return s.store.SaveRun(ctx, run)
			}
		}
		return nil
	})
}

// ResumeRun has Service.Run take up a paused run again, in any process, with the
// options it was started with and into Config.Sink. Whoever has the run's own sink
// calls Sync with the same options instead. Errors: ErrNotFound; ErrConflict if the
// run is not paused; ErrStore.
func (s *Service) ResumeRun(ctx context.Context, tenant, id string) error {
	return s.changeRun(ctx, tenant, id, "run.resume", func(ctx context.Context, run Run) error {
		if run.State != RunPaused {
			return ErrConflict
		}
		if err := s.store.RequestRun(ctx, tenant, id, RequestNone); err != nil {
			return err
		}
		run.State, run.Queued, run.UpdatedAt = RunWaiting, true, time.Now()
		run.FinishedAt, run.Kind, run.Error = time.Time{}, "", ""
		maps.DeleteFunc(run.Results, func(_ string, r EntityResult) bool { return !r.Complete })
		if err := s.store.SaveRun(ctx, run); err != nil {
			return err
		}
		return s.engine.Enqueue(ctx, integrationJob(jobRuns, run.Ref))
	})
}

// changeRun changes a run's row, and notes who did so.
func (s *Service) changeRun(ctx context.Context, tenant, id, action string, change func(ctx context.Context, run Run) error) error {
	run, err := s.SyncRun(ctx, tenant, id)
	if err != nil {
		return err
	}
	entry := audit(action, run.Ref)
	entry.Target = id
	err = s.audited(ctx, entry, func(ctx context.Context) error {
		run, err := s.store.Run(ctx, tenant, id)
		if err != nil {
			return err
		}
		return change(ctx, run)
	})
	if err == nil {
		s.observe(ctx, RunChanged{Ref: run.Ref, RunID: id, Action: action})
	}
	return wrap(action, ErrStore, err)
}

// StartSync has Service.Run carry out a run, in any process and into that one's
// Config.Sink, and returns the run's record at once. Errors: those that Sync finds
// before it reads.
func (s *Service) StartSync(ctx context.Context, ref Ref, o SyncOptions) (Run, error) {
	r, err := s.prepareQueued(ctx, ref, o)
	if err != nil {
		return Run{}, err
	}
	entry := audit("run.start", ref)
	entry.Target = r.record.ID
	if err := s.audited(ctx, entry, r.enqueue); err != nil {
		return Run{}, err
	}
	s.observe(ctx, RunChanged{Ref: ref, RunID: r.record.ID, Action: entry.Action})
	return r.record, nil
}

// prepareQueued makes a run that waits for Service.Run. Nothing is saved yet.
func (s *Service) prepareQueued(ctx context.Context, ref Ref, o SyncOptions) (*run, error) {
	if o.DryRun || o.Sink != nil || o.Progress != nil || o.Preview != nil {
		return nil, &ValidationError{Faults: []Fault{{Field: "options", Problem: "not possible for a run in the background",
			Allowed: "no DryRun, Sink, Progress and Preview"}}}
	}
	r, err := s.prepareRun(ctx, ref, o)
	if err == nil {
		r.record.State, r.record.Queued = RunWaiting, true
	}
	return r, err
}

// enqueue saves a run that waits, and has it carried out.
func (r *run) enqueue(ctx context.Context) error {
	if err := r.save(ctx); err != nil {
		return err
	}
	return r.service.engine.Enqueue(ctx, integrationJob(jobRuns, r.record.Ref))
}

const (
	// lookForRuns is how often it is looked for queued runs.
	lookForRuns = 5 * time.Second
	// queueDepth is how many of them are looked at together.
	queueDepth = 1000
	// defaultWorkers is Config.Workers unless the host says otherwise.
	defaultWorkers = 4
	// sliceTime is how long one job goes on with a run before it leaves the rest to the
	// next: well below the time that an engine of several processes gives a job.
	sliceTime = 10 * time.Second
	// handOver is after how long the next job begins, which then finds the leases free.
	handOver = 200 * time.Millisecond
)

// findRuns has queued runs carried out.
func (s *Service) findRuns(ctx context.Context) error {
	runs, err := s.store.QueuedRuns(ctx, queueDepth)
	if err != nil {
		return wrap("queued runs", ErrStore, err)
	}
	jobs := make([]Job, len(runs))
	for i, run := range runs {
		jobs[i] = integrationJob(jobRuns, run.Ref)
	}
	return s.engine.Enqueue(ctx, jobs...)
}

// workOnRuns is the job of an integration with queued runs: it carries out the oldest,
// or a slice of it. A run whose process has died is taken up again.
func (s *Service) workOnRuns(ctx context.Context, ref Ref) error {
	queued, err := s.store.NextQueuedRun(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return wrap("next queued run", ErrStore, err)
	}
	took, err := s.takeUp(ctx, queued)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !took && errors.Is(err, ErrConflict):
		return RunAgain(lookForRuns) // somebody else carries out one of this integration
	case !took && err != nil, errors.Is(err, ErrStore):
		return err
	case err != nil:
		s.logger.Warn("background run ended early", "integration", ref.String(), "run", queued.RunID, "error", err)
	}
	return RunAgain(0) // with the next run
}

// takeUp carries out a queued run, unless somebody is carrying out one of the same
// integration.
func (s *Service) takeUp(ctx context.Context, queued QueuedRun) (took bool, err error) {
	name := LeaseName{Tenant: queued.Ref.Tenant, Name: "queue/" + queued.Ref.ID}
	err = s.leased(ctx, name, newID(time.Now()), func(ctx context.Context, _ Lease) error {
		run, err := s.store.Run(ctx, queued.Ref.Tenant, queued.RunID)
		if err != nil || !run.Queued || (run.State != RunWaiting && run.State != RunRunning) {
			return wrap("run", ErrStore, err)
		}
		took = true
		return s.carryOut(ctx, run)
	})
	return took, err
}

// carryOut carries out a queued run under its own id. With an engine of several
// processes it does so for a while, and the next job goes on.
func (s *Service) carryOut(ctx context.Context, queued Run) error {
	r, err := s.prepareRun(ctx, queued.Ref, queued.Options)
	if err == nil {
		err = r.checkSink()
	}
	if err != nil {
		queued.State, queued.FinishedAt, queued.UpdatedAt = RunFailed, time.Now(), time.Now()
		queued.Kind, queued.Error = KindLabel(err), err.Error()
		return errors.Join(err, saveError("save run", s.store.SaveRun(ctx, queued)))
	}
	r.record.ID, r.record.StartedAt, r.record.Queued = queued.ID, queued.StartedAt, true
	for entity, result := range queued.Results {
		if result.Complete || queued.State == RunWaiting { // of one whose process has died, the counts may lack a page
			r.record.Results[entity] = result
		}
	}
	if !s.alone {
		r.until = time.Now().Add(sliceTime)
	}
	if request, err := s.store.RunRequest(ctx, queued.Ref.Tenant, queued.ID); err != nil || request != RequestNone {
		if err == nil {
			err = r.finish(ctx, requested(request))
		}
		return wrap("run request", ErrStore, err)
	}
	if err := r.save(ctx); err != nil {
		return err
	}
	if _, err = r.carryOut(ctx); errors.Is(err, errSliceOver) {
		return nil
	}
	return err
}

// errSliceOver ends a slice of a run: the next job goes on behind the last page.
var errSliceOver = errors.New("enlace: the slice of the run is over")

// sliceOver returns errSliceOver if the run is to go on in another job.
func (r *run) sliceOver() error {
	if r.until.IsZero() || time.Now().Before(r.until) {
		return nil
	}
	return errSliceOver
}

// RunChanged is a run that somebody started in the background, paused, resumed or
// canceled.
type RunChanged struct {
	Ref    Ref
	RunID  string
	Action string // "run.start", "run.pause", "run.resume", "run.cancel"
}

func (RunChanged) observation() {}
