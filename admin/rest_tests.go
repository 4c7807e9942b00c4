package admin

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin/internal/paging"
)

// syncWait is how long a POST waits for its run before it answers 202.
const syncWait = 10 * time.Second

// runBody is a test, or a sync, as the API shows it.
type runBody struct {
	ID            string              `json:"id"`
	Kind          string              `json:"kind" enum:"health,auth,sync,validate,webhook.inbound,webhook.outbound"`
	IntegrationID string              `json:"integrationId,omitempty"`
	Provider      string              `json:"provider"`
	State         string              `json:"state" enum:"queued,running,paused,succeeded,failed,canceled,timed_out"`
	OK            bool                `json:"ok"`
	DryRun        bool                `json:"dryRun,omitempty"`
	StartedAt     time.Time           `json:"startedAt"`
	FinishedAt    *time.Time          `json:"finishedAt,omitempty"`
	DurationMS    float64             `json:"durationMs"`
	Steps         []stepBody          `json:"steps,omitempty"`
	Requests      []requestBody       `json:"requests,omitempty"`
	Entities      map[string]readBody `json:"entities,omitempty"`
	Preview       *previewBody        `json:"preview,omitempty" doc:"Of a simulation: what a sync would do with the records"`
	Webhook       *webhookBody        `json:"webhook,omitempty"`
	Account       *accountBody        `json:"account,omitempty"`
	Problem       *runProblem         `json:"problem,omitempty"`
}

// accountBody is what is known of the credential that a test was made with.
type accountBody struct {
	Scheme    string     `json:"scheme"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"Of the access token"`
	Scopes    []string   `json:"scopes,omitempty" doc:"As granted"`
	Missing   []string   `json:"missing,omitempty" doc:"Asked for and not granted"`
}

func accountBodyOf(a enlace.ConnectionAccount) *accountBody {
	if a.Scheme == "" {
		return nil
	}
	b := &accountBody{Scheme: a.Scheme, Scopes: a.Scopes, Missing: a.Missing}
	if !a.Expires.IsZero() {
		expires := a.Expires.UTC()
		b.ExpiresAt = &expires
	}
	return b
}

type stepBody struct {
	Name       string  `json:"name"`
	State      string  `json:"state" enum:"ok,failed,skipped,running"`
	DurationMS float64 `json:"durationMs"`
	Detail     string  `json:"detail,omitempty"`
	Code       string  `json:"code,omitempty" doc:"Kind of the failure, or what a test of webhooks has found"`
}

type requestBody struct {
	Op      string             `json:"op"`
	Method  string             `json:"method"`
	Status  int                `json:"status"`
	Attempt int                `json:"attempt"`
	TotalMS float64            `json:"totalMs"`
	Timing  map[string]float64 `json:"timing" doc:"Milliseconds: waited, dns, connect, tls, wait, read"`
}

type readBody struct {
	Read      int  `json:"read"`
	Created   int  `json:"created"`
	Updated   int  `json:"updated"`
	Deleted   int  `json:"deleted"`
	Unchanged int  `json:"unchanged"`
	Pages     int  `json:"pages"`
	Requests  int  `json:"requests"`
	Complete  bool `json:"complete"`
}

type runProblem struct {
	Code   string `json:"code" doc:"Kind of the failure"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (v testView) body(t translator) runBody {
	b := runBody{ID: v.ID, Kind: v.Kind, IntegrationID: v.Integration, Provider: v.Provider, State: v.State, OK: v.State == "succeeded", DryRun: v.Kind == "sync",
		StartedAt: v.Started.UTC(), DurationMS: milliseconds(v.Elapsed)}
	if !v.Finished.IsZero() {
		finished := v.Finished.UTC()
		b.FinishedAt = &finished
	}
	for _, s := range v.Steps {
		b.Steps = append(b.Steps, stepBody{s.Name, s.State, milliseconds(s.Elapsed), s.Detail, cmp.Or(s.Kind, s.Reason)})
	}
	for _, r := range v.Requests {
		timing := map[string]float64{}
		for i, d := range r.phases() {
			timing[phases[i]] = milliseconds(d)
		}
		b.Requests = append(b.Requests, requestBody{r.Op, r.Method, r.Status, r.Attempt, milliseconds(r.Total), timing})
	}
	b.Entities, b.Preview = readBodies(v.Entities), previewBodyOf(v.Preview, false)
	b.Webhook, b.Account = webhookBodyOf(v.Report), accountBodyOf(v.Account)
	if v.State == "failed" {
		b.Problem = v.failedStep(t)
	}
	if v.Failure != "" {
		b.Problem = &runProblem{v.Failure, t.optional("kind."+v.Failure, v.Failure), v.Message}
	}
	return b
}

// whole is body with the records that a simulation has found, for whoever may test.
func (v testView) whole(c *call) runBody {
	b := v.body(translator(c.Language))
	b.Preview = previewBodyOf(v.Preview, c.may(GrantTest))
	return b
}

func readBodies(rows []entityRow) map[string]readBody {
	if len(rows) == 0 {
		return nil
	}
	m := map[string]readBody{}
	for _, e := range rows {
		m[e.Name] = readBody{e.Read, e.Created, e.Updated, e.Deleted, e.Unchanged, e.Pages, e.Requests, e.Complete}
	}
	return m
}

// syncStates are the states of the library's runs in the API's words.
var syncStates = map[string]string{"waiting": "queued", "running": "running", "paused": "paused", "complete": "succeeded", "partial": "succeeded", "failed": "failed", "canceled": "canceled", "interrupted": "timed_out"}

func syncBody(run enlace.Run, t translator) runBody {
	row := newRunRow(run, time.Now())
	b := runBody{ID: run.ID, Kind: "sync", IntegrationID: run.Ref.ID, Provider: run.Provider, State: syncStates[row.State], DryRun: run.DryRun,
		StartedAt: run.StartedAt.UTC(), DurationMS: milliseconds(row.Elapsed)}
	b.OK = b.State == "succeeded"
	if !run.FinishedAt.IsZero() {
		finished := run.FinishedAt.UTC()
		b.FinishedAt = &finished
	}
	var rows []entityRow
	for name, r := range run.Results {
		rows = append(rows, entityRow{name, r})
	}
	b.Entities = readBodies(rows)
	if run.Kind != "" {
		b.Problem = &runProblem{run.Kind, t.optional("kind."+run.Kind, run.Kind), run.Error}
	}
	return b
}

type runAnswer struct {
	Status   int
	Location string `header:"Location"`
	Body     runBody
}

type testInput struct {
	Prefer string `header:"Prefer" doc:"respond-async answers at once with 202"`
	Body   struct {
		IntegrationID string        `json:"integrationId,omitempty" maxLength:"64"`
		Provider      string        `json:"provider,omitempty" maxLength:"64" doc:"With config and secrets: what is not saved yet"`
		Config        settingValues `json:"config,omitempty"`
		Scheme        string        `json:"scheme,omitempty" maxLength:"64"`
		Secrets       secretValues  `json:"secrets,omitempty"`
		Kind          string        `json:"kind,omitempty" enum:"health,auth" default:"health"`
	}
}

func (api *api) testOperations() {
	operation(api, GrantTest, huma.Operation{Method: "POST", Path: "/test", OperationID: "test", Summary: "Test a stored integration, or what is not saved yet", Tags: []string{"tests"}, Errors: []int{http.StatusNotFound},
		Description: "A test that finds something wrong is answered 200 with ok: false."},
		func(ctx context.Context, c *call, in *testInput) (*runAnswer, error) {
			want := testRequest{kind: in.Body.Kind, integration: in.Body.IntegrationID}
			if want.integration == "" {
				settings, err := in.Body.Config.texts()
				if err != nil {
					return nil, err
				}
				want.unsaved = enlace.ConnectionTest{Provider: in.Body.Provider, Settings: settings}
				if credential := in.Body.Secrets.credential(in.Body.Scheme); credential != nil {
					want.unsaved.Credential = *credential
				}
			}
			n, err := api.startTest(ctx, c, want)
			if err != nil {
				return nil, providerProblem(c, err)
			}
			return api.await(ctx, c, n, in.Prefer)
		})

	operation(api, GrantTest, huma.Operation{Method: "POST", Path: "/webhook", OperationID: "testWebhook", Summary: "Test webhooks: a delivery to an integration, or whether its provider's would arrive", Tags: []string{"tests"}, Errors: []int{http.StatusNotFound},
		Description: "A test delivery is proved with the stored secret, which nobody gets to see, and taken by the steps of the webhook handler. Unless keep is true it has no effect."},
		func(ctx context.Context, c *call, in *webhookInput) (*runAnswer, error) {
			n, err := api.startTest(ctx, c, in.request())
			if err != nil {
				return nil, err
			}
			return api.await(ctx, c, n, in.Prefer)
		})

	type validateBody struct {
		Valid  bool           `json:"valid"`
		Errors []problemFault `json:"errors"`
	}
	type validateInput struct {
		Body struct {
			IntegrationID string        `json:"integrationId,omitempty" maxLength:"64"`
			Provider      string        `json:"provider,omitempty" maxLength:"64"`
			Config        settingValues `json:"config,omitempty"`
			Scheme        string        `json:"scheme,omitempty" maxLength:"64"`
			Secrets       secretValues  `json:"secrets,omitempty"`
		}
	}
	operation(api, GrantTest, huma.Operation{Method: "POST", Path: "/validate", OperationID: "validate", Summary: "Check settings and secrets; nothing is stored or called", Tags: []string{"tests"}, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, c *call, in *validateInput) (*struct{ Body validateBody }, error) {
			settings, err := in.Body.Config.texts()
			if err != nil {
				return nil, err
			}
			want := enlace.ConnectionTest{Provider: in.Body.Provider, Settings: settings}
			if in.Body.IntegrationID != "" && in.Body.Provider == "" {
				want.Ref = c.integrationRef(in.Body.IntegrationID)
			}
			if credential := in.Body.Secrets.credential(in.Body.Scheme); credential != nil {
				want.Credential = *credential
			}
			out := &struct{ Body validateBody }{validateBody{Valid: true, Errors: []problemFault{}}}
			if err := api.service.Validate(ctx, want); err != nil {
				p := problemOf(c, api.inputProblem(c, err, want.Provider, in.Body.Secrets))
				if p.code != "validation_failed" && p.code != "egress_denied" && p.code != "no_credential" {
					return nil, p
				}
				out.Body.Valid = false
				for _, f := range p.faults {
					out.Body.Errors = append(out.Body.Errors, problemFault{f.pointer(), f.code, f.detail})
				}
				if len(p.faults) == 0 {
					out.Body.Errors = append(out.Body.Errors, problemFault{"", p.code, p.detail})
				}
			}
			return out, nil
		})

	type syncInput struct {
		Prefer string `header:"Prefer" doc:"respond-async answers at once with 202"`
		Body   struct {
			IntegrationID string    `json:"integrationId" maxLength:"64"`
			Direction     string    `json:"direction,omitempty" enum:"pull,push,bidirectional" default:"pull" doc:"What pushes needs a host that gives what is pushed (Options.Source); its dry run is a plan"`
			Resource      string    `json:"resource,omitempty" maxLength:"64" doc:"One entity; or name several in entities"`
			Entities      []string  `json:"entities,omitempty" maxItems:"50"`
			Since         time.Time `json:"since,omitempty" doc:"Only what has changed since then; not for a dry run"`
			Limit         int       `json:"limit,omitempty" minimum:"0" maximum:"500"`
			DryRun        *bool     `json:"dryRun,omitempty" doc:"true, the default, reads and writes nothing; false needs the grant sync"`
		}
	}
	operation(api, GrantTest, huma.Operation{Method: "POST", Path: "/sync", OperationID: "sync", Summary: "Synchronise, or simulate it", Tags: []string{"runs"}, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, c *call, in *syncInput) (*runAnswer, error) {
			entities := in.Body.Entities
			if in.Body.Resource != "" {
				entities = append(entities, in.Body.Resource)
			}
			options := enlace.SyncOptions{Direction: enlace.Direction(in.Body.Direction), Entities: entities, Since: in.Body.Since, Limit: in.Body.Limit}
			dry := in.Body.DryRun == nil || *in.Body.DryRun
			if options.Direction == enlace.Push || options.Direction == enlace.Bidirectional {
				found, err := api.service.Get(ctx, c.integrationRef(in.Body.IntegrationID))
				if err != nil {
					return nil, err
				}
				if dry {
					return api.planInstead(c, found, options)
				}
				if options.Source = api.source(found); options.Source == nil {
					return nil, newProblem(c, "capability_unsupported")
				}
			}
			if dry {
				n, err := api.startTest(ctx, c, testRequest{kind: "sync", integration: in.Body.IntegrationID, entities: entities, limit: in.Body.Limit})
				if err != nil {
					return nil, err
				}
				return api.await(ctx, c, n, in.Prefer)
			}
			if !c.may(GrantSync) {
				return nil, newProblem(c, "forbidden")
			}
			started, err := api.startSync(ctx, c, in.Body.IntegrationID, options)
			if err != nil {
				return nil, err
			}
			return api.awaitSync(ctx, c, started, in.Prefer)
		})
}

// planInstead answers the dry run of a push: a plan, which says where it will be.
func (api *api) planInstead(c *call, in enlace.Integration, o enlace.SyncOptions) (*runAnswer, error) {
	job, err := api.startPlan(c, in, o)
	if err != nil {
		return nil, err
	}
	return &runAnswer{Status: http.StatusAccepted, Location: "plans/" + job.id,
		Body: runBody{ID: job.id, Kind: "sync", IntegrationID: in.ID, Provider: in.Provider, State: "running", DryRun: true, StartedAt: job.made.UTC()}}, nil
}

// await answers with a test that ends soon, or with where to look for it.
func (api *api) await(ctx context.Context, c *call, n *test, prefer string) (*runAnswer, error) {
	deadline := time.Now().Add(syncWait)
	for !strings.Contains(prefer, "respond-async") && n.running() && time.Now().Before(deadline) && pause(ctx, 20*time.Millisecond) {
	}
	out := &runAnswer{Status: http.StatusOK, Body: n.view().whole(c)}
	if out.Body.State == "running" {
		out.Status, out.Location = http.StatusAccepted, "runs/"+n.id
	}
	return out, nil
}

// runsOf is a page of what the service keeps of runs.
func (api *api) runsOf(ctx context.Context, c *call, query enlace.RunQuery) ([]runBody, string, error) {
	runs, next, err := api.service.Runs(ctx, query)
	return each(runs, func(r enlace.Run) runBody { return syncBody(r, translator(c.Language)) }), next, err
}

func (api *api) runOperations() {
	type listInput struct {
		paging.Page
		Sort        string `query:"sort" enum:"-startedAt" doc:"The order there is"`
		Integration string `query:"integration" maxLength:"64"`
		Kind        string `query:"kind" enum:"sync,test" default:"sync" doc:"sync: what the service keeps; test: what the console has tried"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/runs", OperationID: "listRuns", Summary: "List runs, newest first", Tags: []string{"runs"}},
		func(ctx context.Context, c *call, in *listInput) ([]runBody, string, error) {
			if in.Kind == "test" {
				tests := api.tests.list(c.access.Tenant, in.Integration, in.Limit)
				return each(tests, func(n *test) runBody { return n.view().body(translator(c.Language)) }), "", nil
			}
			return api.runsOf(ctx, c, enlace.RunQuery{Tenant: c.access.Tenant, Integration: in.Integration, Cursor: in.Cursor, Limit: in.Limit})
		})
	type ofIntegration struct {
		paging.Page
		Sort string `query:"sort" enum:"-startedAt" doc:"The order there is"`
		ID   string `path:"id" maxLength:"64"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations/{id}/runs", OperationID: "listIntegrationRuns", Summary: "List the runs of an integration, newest first", Tags: []string{"runs"}},
		func(ctx context.Context, c *call, in *ofIntegration) ([]runBody, string, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, "", err
			}
			return api.runsOf(ctx, c, enlace.RunQuery{Tenant: found.Tenant, Integration: found.ID, Cursor: in.Cursor, Limit: in.Limit})
		})
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/runs/{id}", OperationID: "getRun", Summary: "Get a run", Tags: []string{"runs"}},
		func(ctx context.Context, c *call, in *idInput) (*runAnswer, error) {
			t := translator(c.Language)
			if n, ok := api.tests.find(c.access.Tenant, in.ID); ok {
				return &runAnswer{Status: http.StatusOK, Body: n.view().whole(c)}, nil
			}
			run, err := api.service.SyncRun(ctx, c.access.Tenant, in.ID)
			if err != nil {
				return nil, err
			}
			return &runAnswer{Status: http.StatusOK, Body: syncBody(run, t)}, nil
		})
	operation(api, GrantTest, huma.Operation{Method: "DELETE", Path: "/runs/{id}", OperationID: "cancelRun", Summary: "Cancel a test or a sync", Tags: []string{"runs"},
		DefaultStatus: http.StatusAccepted},
		func(ctx context.Context, c *call, in *idInput) (*struct{}, error) {
			if n, ok := api.tests.find(c.access.Tenant, in.ID); ok {
				n.cancel()
				return nil, nil
			}
			if !c.may(GrantSync) {
				return nil, newProblem(c, "forbidden")
			}
			return nil, api.service.CancelRun(ctx, c.access.Tenant, in.ID)
		})
}
