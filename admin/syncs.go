package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

// syncs are the syncs that were started here and have not ended. What they do is in
// the service's own record of each run.
type syncs struct {
	mu      sync.Mutex
	running map[*syncJob]struct{}
}

// syncJob is one sync on its way.
type syncJob struct {
	ref    enlace.Ref
	began  time.Time
	done   chan struct{}
	result enlace.SyncResult // once done
	err    error
}

const maxRunningSyncs = 32

func newSyncs() *syncs { return &syncs{running: map[*syncJob]struct{}{}} }

func (s *syncs) add(c *call, job *syncJob) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.running) >= maxRunningSyncs {
		return newProblem(c, "rate_limited")
	}
	for other := range s.running {
		if other.ref == job.ref {
			return newProblem(c, "already_running")
		}
	}
	s.running[job] = struct{}{}
	return nil
}

func (s *syncs) remove(job *syncJob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, job)
}

// startSync begins a sync that goes on when the request has ended.
func (a *Admin) startSync(ctx context.Context, c *call, id string, o enlace.SyncOptions) (*syncJob, error) {
	in, err := a.service.Get(ctx, c.integrationRef(id))
	if err != nil {
		return nil, err
	}
	return a.startJob(c, in.Ref, func(ctx context.Context) (enlace.SyncResult, error) { return a.service.Sync(ctx, in.Ref, o) })
}

// startJob carries out work that makes a run of the integration.
func (a *Admin) startJob(c *call, ref enlace.Ref, work func(context.Context) (enlace.SyncResult, error)) (*syncJob, error) {
	running, cancel := context.WithCancel(a.asActor(a.stopping, c))
	job := &syncJob{ref: ref, began: time.Now(), done: make(chan struct{})}
	if err := a.syncs.add(c, job); err != nil {
		cancel()
		return nil, err
	}
	a.work.Go(func() {
		defer cancel()
		defer close(job.done)
		defer a.syncs.remove(job)
		if job.result, job.err = work(running); job.err != nil {
			a.logger.Warn("sync failed", "request", c.id, "integration", ref.String(), "error", job.err)
		}
		a.hub.publish(ref.Tenant, signal{Topic: "runs", Integration: ref.ID, Action: "finished", Run: job.result.RunID})
	})
	return job, nil
}

// run is the service's record of the job, once it is there: until the timeout.
func (a *Admin) runOf(ctx context.Context, c *call, job *syncJob, timeout time.Duration) (enlace.Run, error) {
	for deadline := time.Now().Add(timeout); ; {
		ended := false
		select {
		case <-job.done:
			ended = true
		default:
		}
		list, _, err := a.service.Runs(ctx, enlace.RunQuery{Tenant: job.ref.Tenant, Integration: job.ref.ID, Limit: 1})
		if err != nil {
			return enlace.Run{}, err
		}
		if len(list) > 0 && !list[0].StartedAt.Before(job.began.Add(-time.Millisecond)) {
			return list[0], nil
		}
		if ended {
			if job.err != nil {
				return enlace.Run{}, job.err
			}
			return enlace.Run{}, newProblem(c, "not_found")
		}
		if time.Now().After(deadline) || !pause(ctx, 10*time.Millisecond) {
			return enlace.Run{}, newProblem(c, "timed_out")
		}
	}
}

// runSync is the button of an integration's page.
func (a *Admin) runSync(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	job, err := a.startSync(r.Context(), c, r.PathValue("id"), enlace.SyncOptions{Full: r.PostForm.Get("full") != ""})
	if err != nil {
		return err
	}
	run, err := a.runOf(r.Context(), c, job, 3*time.Second)
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"runs/"+run.ID)
	return nil
}

// cancelSync ends a run, in whichever process it is.
func (a *Admin) cancelSync(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.changeRun(w, r, c, "canceled", a.service.CancelRun)
}

func (a *Admin) pauseRun(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.changeRun(w, r, c, "paused", a.service.PauseRun)
}

func (a *Admin) resumeRun(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.changeRun(w, r, c, "resumed", a.service.ResumeRun)
}

func (a *Admin) changeRun(w http.ResponseWriter, r *http.Request, c *call, done string, change func(ctx context.Context, tenant, id string) error) error {
	id := r.PathValue("id")
	if err := change(r.Context(), c.access.Tenant, id); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"runs/"+id+"?done="+done)
	return nil
}

// awaitSync answers with the run, which may have ended or not.
func (api *api) awaitSync(ctx context.Context, c *call, job *syncJob, prefer string) (*runAnswer, error) {
	if !strings.Contains(prefer, "respond-async") {
		timer := time.NewTimer(syncWait)
		defer timer.Stop()
		select {
		case <-job.done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	run, err := api.runOf(ctx, c, job, 3*time.Second)
	if err != nil {
		if errors.Is(err, enlace.ErrConflict) {
			return nil, newProblem(c, "already_running")
		}
		return nil, err
	}
	out := &runAnswer{Status: http.StatusOK, Body: syncBody(run, translator(c.Language))}
	if run.State == enlace.RunRunning {
		out.Status, out.Location = http.StatusAccepted, "runs/"+run.ID
	}
	return out, nil
}
