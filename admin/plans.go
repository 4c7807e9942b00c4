package admin

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	maxPlans    = 50 // remembered, of all tenants; they hold records
	planLife    = time.Hour
	planTimeout = 5 * time.Minute
	shownItems  = 200
)

// planJob is what a push would do, and what became of it: an object on the server,
// so that it can be looked at, passed on and applied. It holds records' data, is in
// memory only, and is forgotten after an hour.
type planJob struct {
	id, tenant string
	ref        enlace.Ref
	name       string
	made       time.Time

	mu   sync.Mutex
	plan *enlace.Plan // nil until it is made
	err  error
	run  string // that has applied it
}

// plans are the plans that are remembered.
type plans struct {
	mu    sync.Mutex
	order []*planJob // newest last
}

func (p *plans) add(job *planJob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget()
	if len(p.order) >= maxPlans {
		p.order = slices.Delete(p.order, 0, 1)
	}
	p.order = append(p.order, job)
}

// forget drops what is too old. The caller holds the lock.
func (p *plans) forget() {
	p.order = slices.DeleteFunc(p.order, func(j *planJob) bool { return time.Since(j.made) > planLife })
}

func (p *plans) find(tenant, id string) (*planJob, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget()
	for _, job := range p.order {
		if job.id == id && job.tenant == tenant {
			return job, true
		}
	}
	return nil, false
}

// source is what the host pushes for an integration, or nil.
func (a *Admin) source(in enlace.Integration) enlace.Source {
	if a.options.Source == nil {
		return nil
	}
	return a.options.Source(in)
}

// makePlan begins a dry run of a push.
func (a *Admin) makePlan(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	job, err := a.startPlan(c, in, enlace.SyncOptions{Direction: enlace.Push})
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"plans/"+job.id)
	return nil
}

// startPlan begins a dry run by o that goes on when the request has ended.
func (a *Admin) startPlan(c *call, in enlace.Integration, o enlace.SyncOptions) (*planJob, error) {
	o.DryRun, o.Source = true, a.source(in)
	if o.Source == nil {
		return nil, newProblem(c, "capability_unsupported")
	}
	job := &planJob{id: "plan_" + rand.Text(), tenant: in.Tenant, ref: in.Ref, name: in.Name, made: time.Now()}
	a.plans.add(job)
	ctx, cancel := context.WithTimeout(a.asActor(a.stopping, c), planTimeout)
	a.work.Go(func() {
		defer cancel()
		result, err := a.service.Sync(ctx, in.Ref, o)
		job.mu.Lock()
		job.plan, job.err = result.Plan, err
		job.mu.Unlock()
		a.hub.publish(in.Tenant, signal{Topic: "tests", Run: job.id})
	})
	return job, nil
}

type planData struct {
	ID, Name, Integration string
	Made                  time.Time
	Plan                  *enlace.Plan
	Problem               *sourceProblem
	Counts                []planCount
	Items                 []planItem
	More                  int
	Run                   string
	Writes                bool // there is something to apply
}

type planCount struct {
	Action string
	Count  int
}

type planItem struct {
	enlace.PlanItem
	Shown []shownField
}

// shownField is a field before and after, as text.
type shownField struct{ Name, Before, After string }

func (a *Admin) planPage(w http.ResponseWriter, r *http.Request, c *call) error {
	job, ok := a.plans.find(c.access.Tenant, r.PathValue("id"))
	if !ok {
		return newProblem(c, "not_found")
	}
	job.mu.Lock()
	data := planData{ID: job.id, Name: job.name, Integration: job.ref.ID, Made: job.made, Plan: job.plan, Run: job.run}
	err := job.err
	job.mu.Unlock()
	t := translator(c.Language)
	if err != nil {
		p := problemOf(c, err)
		data.Problem = &sourceProblem{Title: t.optional("kind."+enlace.KindLabel(err), p.title), Code: p.code}
	}
	if data.Plan != nil {
		for _, action := range []enlace.PlanAction{enlace.PlanCreate, enlace.PlanUpdate, enlace.PlanDelete, enlace.PlanConflict, enlace.PlanSkip} {
			n := data.Plan.Count(action)
			data.Counts = append(data.Counts, planCount{string(action), n})
			data.Writes = data.Writes || n > 0 && action != enlace.PlanSkip && action != enlace.PlanConflict
		}
		for _, item := range data.Plan.Items {
			if item.Action == enlace.PlanSkip && item.Reason == "" {
				continue
			}
			if len(data.Items) >= shownItems {
				data.More++
				continue
			}
			shown := planItem{PlanItem: item}
			for _, f := range item.Fields {
				shown.Shown = append(shown.Shown, shownField{f.Name, jsonText(f.Before), jsonText(f.After)})
			}
			data.Items = append(data.Items, shown)
		}
	}
	return a.show(w, r, c, page{name: "plan", title: t.text("plan.title", job.name), section: "runs", live: data.Plan == nil && err == nil,
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {job.name, "i/" + job.ref.ID}}, data: data})
}

// jsonText is a JSON value for people: texts without quotes, the rest on one line.
func jsonText(value json.RawMessage) string {
	if len(value) == 0 {
		return ""
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return short(text, 300)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		return ""
	}
	return short(compact.String(), 300)
}

// applyPlan carries the plan out.
func (a *Admin) applyPlan(w http.ResponseWriter, r *http.Request, c *call) error {
	_, run, err := a.startApply(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"runs/"+run.ID)
	return nil
}

// startApply begins to carry a plan out; each record is looked at again before it is
// written.
func (a *Admin) startApply(ctx context.Context, c *call, id string) (*syncJob, enlace.Run, error) {
	job, ok := a.plans.find(c.access.Tenant, id)
	if !ok {
		return nil, enlace.Run{}, newProblem(c, "not_found")
	}
	in, err := a.service.Get(ctx, job.ref)
	if err != nil {
		return nil, enlace.Run{}, err
	}
	job.mu.Lock()
	plan, applied := job.plan, job.run
	job.mu.Unlock()
	if plan == nil || applied != "" {
		return nil, enlace.Run{}, newProblem(c, "conflict")
	}
	work, err := a.startJob(c, job.ref, func(ctx context.Context) (enlace.SyncResult, error) {
		return a.service.Apply(ctx, *plan, enlace.SyncOptions{Source: a.source(in)})
	})
	if err != nil {
		return nil, enlace.Run{}, err
	}
	run, err := a.runOf(ctx, c, work, 5*time.Second)
	if err != nil {
		return nil, enlace.Run{}, err
	}
	job.mu.Lock()
	job.run = run.ID
	job.mu.Unlock()
	return work, run, nil
}

// undo is what became of taking a run back.
type undo struct {
	mu     sync.Mutex
	ended  bool
	report enlace.UndoReport
	err    error
}

type undoView struct {
	Ended     bool
	Undone    int
	NotUndone []enlace.Difference
	Kind      string
}

func (u *undo) view() *undoView {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return &undoView{u.ended, u.report.Undone, u.report.NotUndone, enlace.KindLabel(u.err)}
}

// undos are the runs that were taken back here, by tenant and run.
type undos struct {
	mu    sync.Mutex
	byRun map[enlace.Ref]*undo
	order []enlace.Ref
}

func (u *undos) of(key enlace.Ref) *undo {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byRun[key]
}

func (u *undos) add(key enlace.Ref, job *undo) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.order) >= maxPlans {
		delete(u.byRun, u.order[0])
		u.order = u.order[1:]
	}
	u.byRun[key] = job
	u.order = append(u.order, key)
}

// undoRun takes back what a run has written at the provider.
func (a *Admin) undoRun(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.startUndo(r.Context(), c, r.PathValue("id")); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"runs/"+r.PathValue("id"))
	return nil
}

// startUndo begins to take a run back; it goes on when the request has ended.
func (a *Admin) startUndo(ctx context.Context, c *call, id string) error {
	run, err := a.service.SyncRun(ctx, c.access.Tenant, id)
	if err != nil {
		return err
	}
	if !canUndo(run) {
		return newProblem(c, "conflict")
	}
	job := &undo{}
	a.undos.add(enlace.Ref{Tenant: run.Ref.Tenant, ID: run.ID}, job)
	running := a.asActor(a.stopping, c)
	a.work.Go(func() {
		report, err := a.service.Undo(running, run.Ref.Tenant, run.ID)
		job.mu.Lock()
		job.ended, job.report, job.err = true, report, err
		job.mu.Unlock()
		a.hub.publish(run.Ref.Tenant, signal{Topic: "runs", Integration: run.Ref.ID, Run: run.ID, Action: "undone"})
	})
	return nil
}

// canUndo says whether a run has written at the provider and ended.
func canUndo(run enlace.Run) bool {
	return (run.Direction == enlace.Push || run.Direction == enlace.Bidirectional) && run.State != enlace.RunRunning && !run.DryRun
}
