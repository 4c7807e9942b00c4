package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/enlace-go/enlace"
)

// runControlOperations are those on a run that has begun, or has ended.
func (api *api) runControlOperations() {
	tags := []string{"runs"}
	for _, change := range []struct {
		name string
		do   func(ctx context.Context, tenant, id string) error
	}{{"pause", api.service.PauseRun}, {"resume", api.service.ResumeRun}} {
		operation(api, GrantSync, huma.Operation{Method: "POST", Path: "/runs/{id}/" + change.name, OperationID: change.name + "Run", Summary: "Of a sync that has begun: " + change.name, Tags: tags,
			Metadata: local, DefaultStatus: http.StatusAccepted},
			func(ctx context.Context, c *call, in *idInput) (*struct{}, error) {
				return nil, change.do(ctx, c.access.Tenant, in.ID)
			})
	}
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/runs/{id}/events", OperationID: "streamRun", Summary: "How a run goes on, as server-sent events", Tags: tags,
		Description: `Events "step" and "log" of a test, "progress" with the whole run, and "done", which ends the stream.`, Responses: eventStream()},
		func(ctx context.Context, c *call, in *idInput) (*huma.StreamResponse, error) {
			follow, err := api.followRun(ctx, c, in.ID)
			if err != nil {
				return nil, err
			}
			return streamed(api, func(w http.ResponseWriter, r *http.Request, c *call) error {
				return api.streaming(w, r, c, GrantView, follow)
			}), nil
		})
	operation(api, GrantSync, huma.Operation{Method: "POST", Path: "/runs/{id}/undo", OperationID: "undoRun", Summary: "Take back what a run has written at the provider", Tags: tags,
		DefaultStatus: http.StatusAccepted},
		func(ctx context.Context, c *call, in *idInput) (*locationAnswer, error) {
			if err := api.startUndo(ctx, c, in.ID); err != nil {
				return nil, err
			}
			return &locationAnswer{"runs/" + in.ID + "/undo"}, nil
		})
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/runs/{id}/undo", OperationID: "getUndo", Summary: "What became of taking a run back", Tags: tags,
		Description: "It is remembered by the process that did it."},
		func(_ context.Context, c *call, in *idInput) (*struct{ Body undoBody }, error) {
			v := api.undos.of(c.integrationRef(in.ID)).view()
			if v == nil {
				return nil, newProblem(c, "not_found")
			}
			return &struct{ Body undoBody }{undoBody{v.Ended, v.Undone, differenceBodies(v.NotUndone), v.Kind}}, nil
		})
	api.planOperations()
}

type locationAnswer struct {
	Location string `header:"Location"`
}

type undoBody struct {
	Ended     bool             `json:"ended"`
	Undone    int              `json:"undone" doc:"Writes that were taken back"`
	NotUndone []differenceBody `json:"notUndone" doc:"And those that were not, each with its reason"`
	Code      string           `json:"code,omitempty" doc:"Kind of what ended it early"`
}

func eventStream() map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: "Events", Content: map[string]*huma.MediaType{"text/event-stream": textMedia()}}}
}

// streamed is an answer that serve writes itself.
func streamed(api *api, serve func(w http.ResponseWriter, r *http.Request, c *call) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		c := callOf(r.Context())
		if err := serve(w, r, c); err != nil {
			writeProblem(w, r, c, problemOf(c, api.refused(c, err)))
		}
	}}
}

// followRun returns what tells of a test or a sync as it goes on.
func (a *Admin) followRun(ctx context.Context, c *call, id string) (func(context.Context, *eventWriter, *stream) bool, error) {
	t, first := translator(c.Language), true
	// next waits for a sign of life, but not before the first look.
	next := func(ctx context.Context, out *eventWriter, s *stream) {
		if first {
			first = false
		} else if _, number, _, ok := s.next(ctx); ok {
			out.number = number
		}
	}
	if n, ok := a.tests.find(c.access.Tenant, id); ok {
		steps, lines := 0, 0
		return func(ctx context.Context, out *eventWriter, s *stream) bool {
			next(ctx, out, s)
			v := n.view()
			for body := v.body(t); steps < len(body.Steps); steps++ {
				out.event("step", body.Steps[steps])
			}
			for ; lines < len(v.Lines); lines++ {
				out.event("log", logLine{v.Lines[lines].At.UTC(), v.Lines[lines].Level, v.Lines[lines].Text})
			}
			if !v.Running {
				out.event("done", v.body(t))
			} else {
				out.comment("beat")
			}
			return v.Running
		}, nil
	}
	if _, err := a.service.SyncRun(ctx, c.access.Tenant, id); err != nil {
		return nil, err
	}
	var told time.Time
	return func(ctx context.Context, out *eventWriter, s *stream) bool {
		next(ctx, out, s)
		run, err := a.service.SyncRun(ctx, c.access.Tenant, id)
		if err != nil {
			return false
		}
		body := syncBody(run, t)
		if body.FinishedAt != nil || (run.State != enlace.RunRunning && run.State != enlace.RunWaiting && run.State != enlace.RunPaused) {
			out.event("done", body)
			return false
		}
		if run.UpdatedAt.After(told) {
			told = run.UpdatedAt
			out.event("progress", body)
		} else {
			out.comment("beat")
		}
		return true
	}, nil
}

type logLine struct {
	At    time.Time `json:"at"`
	Level string    `json:"level"`
	Text  string    `json:"text"`
}

type planBody struct {
	ID            string        `json:"id"`
	IntegrationID string        `json:"integrationId"`
	State         string        `json:"state" enum:"running,ready,failed"`
	MadeAt        time.Time     `json:"madeAt"`
	Plan          *pushPlanBody `json:"plan,omitempty" doc:"What would be written, with the fields that change"`
	RunID         string        `json:"runId,omitempty" doc:"That has applied it"`
	Problem       *runProblem   `json:"problem,omitempty"`
}

type planAnswer struct {
	Status   int
	Location string `header:"Location"`
	Body     planBody
}

func (api *api) planAnswer(c *call, job *planJob) *planAnswer {
	t := translator(c.Language)
	job.mu.Lock()
	defer job.mu.Unlock()
	b := planBody{ID: job.id, IntegrationID: job.ref.ID, State: "running", MadeAt: job.made.UTC(), Plan: pushPlanBodyOf(job.plan), RunID: job.run}
	switch {
	case job.err != nil:
		kind := enlace.KindLabel(job.err)
		b.State, b.Problem = "failed", &runProblem{kind, t.optional("kind."+kind, kind), short(job.err.Error(), 500)}
	case job.plan != nil:
		b.State = "ready"
	}
	return &planAnswer{Status: http.StatusOK, Body: b}
}

// planOperations are pushes that are looked at before they are carried out.
func (api *api) planOperations() {
	tags := []string{"plans"}
	operation(api, GrantTest, huma.Operation{Method: "POST", Path: "/integrations/{id}/plans", OperationID: "createPlan", Summary: "Plan a push and write nothing", Tags: tags,
		DefaultStatus: http.StatusAccepted, Description: "Only where the host gives what is pushed (Options.Source). A plan is remembered for an hour by the process that has made it."},
		func(ctx context.Context, c *call, in *idInput) (*planAnswer, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, err
			}
			job, err := api.startPlan(c, found, enlace.SyncOptions{Direction: enlace.Push})
			if err != nil {
				return nil, err
			}
			out := api.planAnswer(c, job)
			out.Status, out.Location = http.StatusAccepted, "plans/"+job.id
			return out, nil
		})
	operation(api, GrantTest, huma.Operation{Method: "GET", Path: "/plans/{id}", OperationID: "getPlan", Summary: "Get a plan with its differences", Tags: tags, Metadata: local},
		func(_ context.Context, c *call, in *idInput) (*planAnswer, error) {
			job, ok := api.plans.find(c.access.Tenant, in.ID)
			if !ok {
				return nil, newProblem(c, "not_found")
			}
			return api.planAnswer(c, job), nil
		})
	type applyInput struct {
		ID     string `path:"id" maxLength:"64"`
		Prefer string `header:"Prefer" doc:"respond-async answers at once with 202"`
	}
	operation(api, GrantSync, huma.Operation{Method: "POST", Path: "/plans/{id}/apply", OperationID: "applyPlan", Summary: "Carry a plan out; each record is looked at again", Tags: tags},
		func(ctx context.Context, c *call, in *applyInput) (*runAnswer, error) {
			work, _, err := api.startApply(ctx, c, in.ID)
			if err != nil {
				return nil, err
			}
			return api.awaitSync(ctx, c, work, in.Prefer)
		})
}
