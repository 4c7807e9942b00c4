package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

// lostAfter is how long a run that says nothing counts as running.
const lostAfter = 10 * time.Minute

// runRow is a run in a table.
type runRow struct {
	ID, Integration, Name, Provider string
	State, Direction                string
	DryRun                          bool
	Records, Requests, Retries      int
	Started                         time.Time
	Elapsed                         time.Duration
	Kind, Error                     string
}

func newRunRow(run enlace.Run, now time.Time) runRow {
	row := runRow{ID: run.ID, Integration: run.Ref.ID, Provider: run.Provider, State: string(run.State), Direction: string(run.Direction),
		DryRun: run.DryRun, Started: run.StartedAt, Kind: run.Kind, Error: run.Error}
	end := run.FinishedAt
	if end.IsZero() {
		end = now
		if run.State == enlace.RunRunning && now.Sub(run.UpdatedAt) > lostAfter {
			row.State, end = "interrupted", run.UpdatedAt
		}
	}
	row.Elapsed = end.Sub(run.StartedAt)
	for _, result := range run.Results {
		row.Records += result.Read + pushedRecords(result.Push)
		row.Requests += result.Requests
		row.Retries += result.Retries
	}
	return row
}

// name fills in the integration's name, if it is known.
func (r *runRow) name(names map[string]string) {
	if r.Name = names[r.Integration]; r.Name == "" {
		r.Name = r.Integration
	}
}

// runTable is a table of runs in any page.
type runTable struct {
	Root string
	Rows []runRow
}

type runListData struct {
	Rows        []runRow
	Integration string
	Next        string
	First       bool
}

func (a *Admin) runList(w http.ResponseWriter, r *http.Request, c *call) error {
	q := r.URL.Query()
	query := enlace.RunQuery{Tenant: c.access.Tenant, Integration: q.Get("integration"), Cursor: q.Get("cursor"), Limit: pageSize}
	runs, next, err := a.service.Runs(r.Context(), query)
	if err != nil {
		return err
	}
	data := runListData{Integration: query.Integration, Next: next, First: query.Cursor == ""}
	names := a.names(r, c)
	for _, run := range runs {
		row := newRunRow(run, time.Now())
		row.name(names)
		data.Rows = append(data.Rows, row)
	}
	return a.show(w, r, c, page{name: "runs", title: translator(c.Language).text("nav.runs"), section: "runs", live: data.First, data: data})
}

// names are those of the first integrations; a table shows ids where they are not enough, or
// late.
func (a *Admin) names(r *http.Request, c *call) map[string]string {
	list := read(a, r.Context(), c, func(ctx context.Context) ([]enlace.Integration, error) {
		list, _, err := a.service.List(ctx, enlace.IntegrationQuery{Tenant: c.access.Tenant, Limit: most})
		return list, err
	})
	return namesOf(list().Value)
}

type runData struct {
	Run      enlace.Run
	Row      runRow
	Entities []entityRow
	CanUndo  bool
	Undo     *undoView // nil unless it was taken back here
	Here     bool      // it runs in this process and can be cancelled
}

type entityRow struct {
	Name string
	enlace.EntityResult
}

// newEntityRow adds up what a run did with an entity in both directions.
func newEntityRow(name string, r enlace.EntityResult) entityRow {
	if p := r.Push; p != nil {
		r.Read, r.Created, r.Updated, r.Deleted, r.Unchanged = r.Read+p.Read, r.Created+p.Created, r.Updated+p.Updated, r.Deleted+p.Deleted, r.Unchanged+p.Unchanged
	}
	return entityRow{name, r}
}

func (a *Admin) runPage(w http.ResponseWriter, r *http.Request, c *call) error {
	run, err := a.service.SyncRun(r.Context(), c.access.Tenant, r.PathValue("id"))
	if err != nil {
		return err
	}
	data := runData{Run: run, Row: newRunRow(run, time.Now()), CanUndo: canUndo(run),
		Undo: a.undos.of(enlace.Ref{Tenant: run.Ref.Tenant, ID: run.ID}).view()}
	data.Row.name(a.names(r, c))
	for _, entity := range run.Entities {
		data.Entities = append(data.Entities, newEntityRow(entity, run.Results[entity]))
	}
	for name, result := range run.Results {
		if !slices.Contains(run.Entities, name) {
			data.Entities = append(data.Entities, newEntityRow(name, result))
		}
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "run", title: t.text("run.title", data.Row.Name), section: "runs", live: true,
		crumbs: []crumb{{t.text("nav.runs"), "runs"}}, data: data})
}

// pushedRecords is how many records a push has written.
func pushedRecords(p *enlace.PushResults) int {
	if p == nil {
		return 0
	}
	return p.Created + p.Updated + p.Deleted
}
