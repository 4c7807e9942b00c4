package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

// most bounds what a page counts: never a full scan of a large table.
const most = 500

type overviewData struct {
	Integrations part[integrationSummary]
	Runs         part[runSummary]
	Attention    []attention
	Health       part[healthSummary]
	Waiting      part[[]attention]
	Aside        part[[]attention] // what was refused; it fails with the runs
	Schedules    part[[]enlace.Schedule]
	Lag          lagSummary // from the schedules and the runs
	Breakers     part[[]enlace.Ref]
	Traffic      part[enlace.MetricPoint] // of the last day; nothing for who may not see metrics
}

// healthSummary counts the integrations by their health.
type healthSummary struct {
	All, Bad int
	Expiring []expiring
	failing  []enlace.Health
}

type integrationSummary struct {
	All      int
	More     bool // there are more than were looked at
	ByStatus map[string]int
	list     []enlace.Integration
}

// OK says how many are on and connected.
func (s integrationSummary) OK() int { return s.ByStatus[string(enlace.StatusConnected)] }

// Broken says how many need somebody.
func (s integrationSummary) Broken() int {
	return s.ByStatus[string(enlace.StatusNeedsReauth)] + s.ByStatus[string(enlace.StatusMisconfigured)] + s.ByStatus[string(enlace.StatusInDoubt)]
}

type runSummary struct {
	Running, Failed, Done int // in the last day
	Records               int
	Share                 float64 // of the ended ones that went well
	Chart, Records24      chart
	Recent                []runRow
	list                  []enlace.Run
}

// attention is something that needs a person.
type attention struct {
	Path, Name, Group, State, Reason, Action string
	At                                       time.Time
	integration                              string // whose name is still to be told
}

func (a *Admin) overview(w http.ResponseWriter, r *http.Request, c *call) error {
	integrations := read(a, r.Context(), c, func(ctx context.Context) (integrationSummary, error) { return a.summarize(ctx, c) })
	runs := read(a, r.Context(), c, func(ctx context.Context) (runSummary, error) { return a.summarizeRuns(ctx, c, time.Now()) })
	health := read(a, r.Context(), c, func(ctx context.Context) (healthSummary, error) {
		list, _, err := a.service.HealthList(ctx, enlace.HealthQuery{Tenant: c.access.Tenant, Limit: most})
		s := healthSummary{All: len(list), Expiring: expiringOf(list)}
		for _, h := range list {
			if h.Status == enlace.HealthError || h.Status == enlace.HealthWarning {
				s.Bad++
			}
			if h.Status == enlace.HealthError {
				s.failing = append(s.failing, h)
			}
		}
		return s, err
	})
	t := translator(c.Language)
	waiting := read(a, r.Context(), c, func(ctx context.Context) ([]attention, error) { return a.waitingForSomebody(ctx, c, t) })
	schedules := read(a, r.Context(), c, func(ctx context.Context) ([]enlace.Schedule, error) {
		list, _, err := a.service.Schedules(ctx, enlace.ScheduleQuery{Tenant: c.access.Tenant, Limit: most})
		return list, err
	})
	breakers := read(a, r.Context(), c, func(ctx context.Context) ([]enlace.Ref, error) { return a.breakersOpen(ctx, c) })
	traffic := read(a, r.Context(), c, func(ctx context.Context) (enlace.MetricPoint, error) { return a.traffic(ctx, c) })
	aside := read(a, r.Context(), c, func(ctx context.Context) ([]attention, error) { return a.refusedLately(ctx, c, t) })
	data := overviewData{Integrations: integrations(), Aside: aside(), Runs: runs(), Health: health(), Waiting: waiting(), Schedules: schedules(), Breakers: breakers(), Traffic: traffic()}
	if data.Runs.Problem != nil {
		data.Schedules.Problem = data.Runs.Problem // without the runs nobody knows
	}
	if data.Schedules.Problem == nil {
		data.Lag = lag(data.Schedules.Value, data.Integrations.Value.list, data.Runs.Value.list, time.Now())
	}
	data.Attention = needsAttention(t, data)
	names := namesOf(data.Integrations.Value.list)
	for i := range data.Runs.Value.Recent {
		data.Runs.Value.Recent[i].name(names)
	}
	return a.show(w, r, c, page{name: "overview", title: t.text("nav.overview"), section: "overview", live: true, data: data})
}

func (a *Admin) summarize(ctx context.Context, c *call) (integrationSummary, error) {
	list, next, err := a.service.List(ctx, enlace.IntegrationQuery{Tenant: c.access.Tenant, Limit: most})
	s := integrationSummary{All: len(list), More: next != "", ByStatus: map[string]int{}, list: list}
	for _, in := range list {
		s.ByStatus[shownStatus(in)]++
	}
	return s, err
}

// shownStatus is the status as people see it: switched off stands before all else.
func shownStatus(in enlace.Integration) string {
	if !in.Enabled {
		return "disabled"
	}
	return string(in.Status)
}

func namesOf(list []enlace.Integration) map[string]string {
	names := make(map[string]string, len(list))
	for _, in := range list {
		names[in.ID] = in.Name
	}
	return names
}

func (a *Admin) summarizeRuns(ctx context.Context, c *call, now time.Time) (runSummary, error) {
	list, _, err := a.service.Runs(ctx, enlace.RunQuery{Tenant: c.access.Tenant, Limit: most})
	t := translator(c.Language)
	s := runSummary{list: list, Chart: chart{Title: t.text("chart.runs"), Unit: t.text("unit.runs"), Labels: []string{t.text("state.run.complete"), t.text("state.run.failed")}, Step: time.Hour},
		Records24: chart{Title: t.text("chart.records"), Unit: t.text("unit.records"), Labels: []string{t.text("unit.records")}, Step: time.Hour}}
	first := now.Truncate(time.Hour).Add(-23 * time.Hour)
	for hour := range 24 {
		at := first.Add(time.Duration(hour) * time.Hour)
		s.Chart.Points = append(s.Chart.Points, chartPoint{at, []float64{0, 0}})
		s.Records24.Points = append(s.Records24.Points, chartPoint{at, []float64{0}})
	}
	for i, run := range list {
		row := newRunRow(run, now)
		if i < 8 {
			s.Recent = append(s.Recent, row)
		}
		hour := int(run.StartedAt.Sub(first) / time.Hour)
		if run.StartedAt.Before(first) || hour > 23 {
			continue
		}
		switch row.State {
		case string(enlace.RunRunning):
			s.Running++
		case string(enlace.RunFailed), "interrupted":
			s.Failed++
			s.Chart.Points[hour].Values[1]++
		default:
			s.Done++
			s.Chart.Points[hour].Values[0]++
		}
		s.Records += row.Records
		s.Records24.Points[hour].Values[0] += float64(row.Records)
	}
	if ended := s.Done + s.Failed; ended > 0 {
		s.Share = float64(s.Done) / float64(ended)
	}
	return s, err
}

// needsAttention lists what is broken, the worse first.
func needsAttention(t translator, data overviewData) []attention {
	var list []attention
	for _, status := range []enlace.Status{enlace.StatusNeedsReauth, enlace.StatusMisconfigured, enlace.StatusInDoubt, enlace.StatusPending} {
		for _, in := range data.Integrations.Value.list {
			if in.Enabled && in.Status == status && len(list) < 12 {
				list = append(list, attention{Path: "i/" + in.ID, Name: in.Name, Group: "integration", State: string(status), Reason: in.StatusReason,
					Action: "connect", At: in.UpdatedAt})
			}
		}
	}
	named := namesOf(data.Integrations.Value.list)
	for _, h := range data.Health.Value.failing {
		if _, ok := named[h.Ref.ID]; ok && len(list) < 16 && !slices.ContainsFunc(list, func(a attention) bool { return a.Path == "i/"+h.Ref.ID }) {
			list = append(list, attention{Path: "i/" + h.Ref.ID, Name: named[h.Ref.ID], Group: "health", State: string(h.Status), Reason: spokenHealth(t, h), At: h.Since})
		}
	}
	list = standing(t, data, named, list)
	list = append(list, data.Waiting.Value...)
	for _, refused := range data.Aside.Value {
		if name, ok := named[refused.integration]; ok {
			refused.Reason = name
			list = append(list, refused)
		}
	}
	failed := map[string]bool{}
	for _, run := range data.Runs.Value.list {
		if _, seen := failed[run.Ref.ID]; seen || run.DryRun {
			continue
		}
		failed[run.Ref.ID] = run.State == enlace.RunFailed
		if run.State == enlace.RunFailed && len(list) < 20 {
			list = append(list, attention{Path: "runs/" + run.ID, Name: named[run.Ref.ID], Group: "run", State: string(run.State),
				Reason: t.optional("kind."+run.Kind, run.Error), At: run.UpdatedAt})
		}
	}
	return list
}

// waitingForSomebody counts what stays as it is until a person decides: up to a hundred of
// each kind.
func (a *Admin) waitingForSomebody(ctx context.Context, c *call, t translator) ([]attention, error) {
	const enough = 100
	var list []attention
	add := func(path, key, group, state string, n int, at time.Time) {
		if n > 0 {
			list = append(list, attention{Path: path, Name: t.count(key, n), Group: group, State: state, At: at})
		}
	}
	letters, _, err := a.service.DeadLetters(ctx, enlace.OutgoingQuery{Tenant: c.access.Tenant, Limit: enough})
	if err != nil {
		return nil, err
	}
	if len(letters) > 0 {
		add("outbox", "attention.outbox", "outbox", "dead", len(letters), letters[0].UpdatedAt)
	}
	groups, err := a.service.DeadDeliveries(ctx, c.access.Tenant, "")
	if err != nil {
		return nil, err
	}
	dead, latest := 0, time.Time{}
	for _, group := range groups {
		dead += group.Count
		if group.Latest.After(latest) {
			latest = group.Latest
		}
	}
	add("webhooks?state=dead", "attention.webhooks", "delivery", "dead", dead, latest)
	conflicts, _, err := a.service.Conflicts(ctx, enlace.ConflictQuery{Tenant: c.access.Tenant, State: enlace.ConflictOpen, Limit: enough})
	if err != nil {
		return nil, err
	}
	if len(conflicts) > 0 {
		add("conflicts", "attention.conflicts", "conflict", "open", len(conflicts), conflicts[0].At)
	}
	return list, nil
}

// refusedLately are the records that are put aside, of those integrations whose latest runs
// have put some aside: a few integrations, and up to a hundred records of each.
func (a *Admin) refusedLately(ctx context.Context, c *call, t translator) ([]attention, error) {
	const runsLookedAt, integrations, enough = 100, 5, 100
	runs, _, err := a.service.Runs(ctx, enlace.RunQuery{Tenant: c.access.Tenant, Limit: runsLookedAt})
	if err != nil {
		return nil, err
	}
	var list []attention
	var looked []enlace.Ref
	for _, run := range runs {
		refused := 0
		for _, result := range run.Results {
			refused += result.Refused
		}
		if refused == 0 || len(looked) == integrations || slices.Contains(looked, run.Ref) {
			continue
		}
		looked = append(looked, run.Ref)
		aside, _, err := a.service.RefusedRecords(ctx, enlace.RefusedQuery{Ref: run.Ref, Limit: enough})
		if err != nil {
			return nil, err
		}
		if len(aside) > 0 { // and nobody has seen to them
			list = append(list, attention{Path: "i/" + run.Ref.ID + "/aside", Name: t.count("attention.refused", len(aside)), Group: "refused", State: "dead", At: run.UpdatedAt,
				integration: run.Ref.ID})
		}
	}
	return list, nil
}
