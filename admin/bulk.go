package admin

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
)

const (
	maxBulk     = 100 // integrations of one bulk action
	bulkAtOnce  = 8   // of them at a time
	bulkTimeout = 30 * time.Second
)

// bulkAction is something that is done with several integrations at once. Each of them
// is changed and audited as if it had been done alone; one that fails stops no other.
type bulkAction struct {
	name  string
	grant Grants
	calls bool // it calls out to a provider
	do    func(a *Admin, ctx context.Context, ref enlace.Ref) (run string, err error)
}

var bulkActions = []bulkAction{
	{"enable", GrantEnable, false, func(a *Admin, ctx context.Context, ref enlace.Ref) (string, error) {
		_, err := a.service.Enable(ctx, ref)
		return "", err
	}},
	{"disable", GrantEnable, false, func(a *Admin, ctx context.Context, ref enlace.Ref) (string, error) {
		_, err := a.service.Disable(ctx, ref)
		return "", err
	}},
	{"check", GrantTest, true, func(a *Admin, ctx context.Context, ref enlace.Ref) (string, error) {
		_, err := a.service.CheckHealth(ctx, ref)
		return "", err
	}},
	// Whoever runs Service.Run carries the syncs out, as many at a time as it has turns.
	{"sync", GrantSync, true, func(a *Admin, ctx context.Context, ref enlace.Ref) (string, error) {
		run, err := a.service.StartSync(ctx, ref, enlace.SyncOptions{})
		return run.ID, err
	}},
}

// bulkResult is what became of one integration.
type bulkResult struct {
	Ref     enlace.Ref
	Name    string // empty if there is none
	Run     string // that was started
	Problem *problem
}

// carryOutBulk does the action with each of the user's integrations of these ids, in
// their order. What was not reached in time has the problem "timed_out".
func (a *Admin) carryOutBulk(ctx context.Context, c *call, action bulkAction, ids []string) []bulkResult {
	ctx, cancel := context.WithTimeout(ctx, bulkTimeout)
	defer cancel()
	results := make([]bulkResult, len(ids))
	turns := make(chan struct{}, bulkAtOnce)
	var work sync.WaitGroup
	for i, id := range ids {
		results[i].Ref = c.integrationRef(id)
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			results[i].Problem = newProblem(c, "timed_out")
			continue
		}
		work.Go(func() {
			defer func() { <-turns }()
			in, err := a.service.Get(ctx, results[i].Ref)
			if err == nil {
				results[i].Name = in.Name
				results[i].Run, err = action.do(a, ctx, in.Ref)
			}
			if err != nil {
				results[i].Problem = problemOf(c, err)
			}
		})
	}
	work.Wait()
	return results
}

type bulkData struct {
	Action  string
	Chosen  []enlace.Integration // to be confirmed
	Results []bulkResult         // once it is done
	Done    int
}

// bulkRoutes are the forms of the integrations' list: one for each action, with the
// grant of that action.
func bulkRoutes() []route {
	var routes []route
	for _, action := range bulkActions {
		routes = append(routes, route{"POST", "/bulk/" + action.name, action.grant, action.calls,
			func(a *Admin, w http.ResponseWriter, r *http.Request, c *call) error { return a.bulk(w, r, c, action) }})
	}
	return routes
}

// bulk asks whether it is meant, and then does it.
func (a *Admin) bulk(w http.ResponseWriter, r *http.Request, c *call, action bulkAction) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	ids := distinct(r.PostForm["id"])
	if len(ids) == 0 {
		leave(w, http.StatusSeeOther, c.mount.root+"i?failed=bulk.none")
		return nil
	}
	if len(ids) > maxBulk {
		return newProblem(c, "too_many")
	}
	data := bulkData{Action: action.name}
	if r.PostForm.Get("confirm") == "" {
		for _, id := range ids {
			in, err := a.service.Get(r.Context(), c.integrationRef(id))
			if err != nil {
				return err
			}
			data.Chosen = append(data.Chosen, in)
		}
	} else {
		data.Results = a.carryOutBulk(r.Context(), c, action, ids)
		for _, result := range data.Results {
			if result.Problem == nil {
				data.Done++
			}
		}
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "bulk", title: t.text("bulk." + action.name), section: "integrations", crumbs: []crumb{{t.text("nav.integrations"), "i"}}, data: data})
}

// distinct are the values without repetitions and empty ones, in their order.
func distinct(values []string) []string {
	var out []string
	for _, v := range values {
		if v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

type bulkBody struct {
	ID    string `json:"id"`
	OK    bool   `json:"ok"`
	RunID string `json:"runId,omitempty"`
	Code  string `json:"code,omitempty" doc:"Of the problem"`
	Title string `json:"title,omitempty"`
}

func (api *api) bulkOperations() {
	type bulkInput struct {
		Body struct {
			IDs []string `json:"ids" minItems:"1" maxItems:"100"`
		}
	}
	for _, action := range bulkActions {
		o := huma.Operation{Method: "POST", Path: "/integrations/bulk/" + action.name, OperationID: action.name + "Integrations", Summary: "With several integrations: " + action.name,
			Tags: []string{"integrations"}, Description: "One that fails stops no other; the answer is 200 and says of each what became of it."}
		if !action.calls {
			o.Metadata = local
		}
		operation(api, action.grant, o, func(ctx context.Context, c *call, in *bulkInput) (*listAnswer[bulkBody], error) {
			var bodies []bulkBody
			for _, result := range api.carryOutBulk(ctx, c, action, distinct(in.Body.IDs)) {
				b := bulkBody{ID: result.Ref.ID, OK: result.Problem == nil, RunID: result.Run}
				if p := result.Problem; p != nil {
					b.Code, b.Title = p.code, p.title
				}
				bodies = append(bodies, b)
			}
			return listOf(bodies), nil
		})
	}
}
