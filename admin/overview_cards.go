package admin

import (
	"context"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

// lagSummary says how far the scheduled syncs are behind.
type lagSummary struct {
	Schedules int    // of integrations that are on, and not paused
	Worst     lagRow // the furthest behind; its Lag is 0 if all are on time
	behind    []lagRow
}

// lagRow is a schedule that is late: since Due nothing has been synchronised that should
// have been.
type lagRow struct {
	Schedule enlace.Schedule
	Name     string
	Due      time.Time
	Lag      time.Duration
	missed   bool // a further time has passed meanwhile
}

// Behind says whether somebody should look: for more than a turn nothing has succeeded.
func (s lagSummary) Behind() bool { return len(s.behind) > 0 }

// lag compares schedules with what the latest runs have finished. runs are the newest first.
func lag(schedules []enlace.Schedule, integrations []enlace.Integration, runs []enlace.Run, now time.Time) lagSummary {
	var s lagSummary
	known := map[string]enlace.Integration{}
	for _, in := range integrations {
		known[in.ID] = in
	}
	succeeded := map[string]time.Time{} // when the last run that went well began
	for _, run := range slices.Backward(runs) {
		if !run.DryRun && (run.State == enlace.RunComplete || run.State == enlace.RunPartial) {
			succeeded[run.Ref.ID] = run.StartedAt
		}
	}
	for _, schedule := range schedules {
		in, ok := known[schedule.Ref.ID]
		if !ok || !in.Enabled || schedule.Paused {
			continue
		}
		s.Schedules++
		row := lagRow{Schedule: schedule, Name: in.Name, Due: dueSince(schedule, succeeded[in.ID])}
		if row.Lag = now.Sub(row.Due); row.Due.IsZero() || row.Lag <= 0 {
			continue
		}
		next, err := schedule.NextTime(row.Due)
		row.missed = err == nil && !next.Add(schedule.Jitter).After(now)
		if row.missed {
			s.behind = append(s.behind, row)
		}
		if row.Lag > s.Worst.Lag {
			s.Worst = row
		}
	}
	slices.SortStableFunc(s.behind, func(a, b lagRow) int { return int(b.Lag - a.Lag) })
	return s
}

// dueSince is the first time after the last success at which a schedule should have run.
func dueSince(s enlace.Schedule, succeeded time.Time) time.Time {
	switch {
	case !succeeded.IsZero():
		due, err := s.NextTime(succeeded)
		if err != nil {
			return time.Time{}
		}
		return due.Add(s.Jitter)
	case !s.LastAt.IsZero():
		return s.LastAt // it has started a run that did not go well
	default:
		return s.NextAt
	}
}

// expiring is a credential that ends soon and that only a person can renew.
type expiring struct {
	Ref   enlace.Ref
	Until time.Time
}

// expiringOf are those that the health checks have found, the soonest first.
func expiringOf(list []enlace.Health) []expiring {
	var found []expiring
	for _, h := range list {
		for _, check := range h.Checks {
			if check.Cause == enlace.CauseExpiring {
				found = append(found, expiring{h.Ref, check.Until})
			}
		}
	}
	slices.SortFunc(found, func(a, b expiring) int { return a.Until.Compare(b.Until) })
	return found
}

// breakersOpen are the integrations that are left alone now, each once.
func (a *Admin) breakersOpen(ctx context.Context, c *call) ([]enlace.Ref, error) {
	open, err := a.service.OpenBreakers(ctx, c.access.Tenant)
	var refs []enlace.Ref
	for _, b := range open {
		if !slices.Contains(refs, b.Ref) {
			refs = append(refs, b.Ref)
		}
	}
	return refs, err
}

// traffic is what went to the providers, and came from them, in the last day.
func (a *Admin) traffic(ctx context.Context, c *call) (enlace.MetricPoint, error) {
	if !c.may(GrantViewMetrics) {
		return enlace.MetricPoint{}, nil
	}
	m, err := a.service.Metrics(ctx, enlace.MetricsQuery{Tenant: c.access.Tenant, TotalsOnly: true})
	return m.Total, err
}

// standing adds what the cards are about to the list of what needs attention.
func standing(t translator, data overviewData, named map[string]string, list []attention) []attention {
	const enough = 4 // of each kind
	for _, row := range data.Lag.behind[:min(len(data.Lag.behind), enough)] {
		list = append(list, attention{Path: "schedules/" + row.Schedule.ID, Name: row.Name, Group: "attention", State: "behind",
			Reason: t.text("attention.behind", t.duration(row.Lag)), At: row.Due})
	}
	soon := data.Health.Value.Expiring
	for _, e := range soon[:min(len(soon), enough)] {
		if name, ok := named[e.Ref.ID]; ok {
			list = append(list, attention{Path: "i/" + e.Ref.ID, Name: name, Group: "attention", State: "expiring", Action: "connect",
				Reason: t.text("attention.expiring"), At: e.Until})
		}
	}
	for _, ref := range data.Breakers.Value[:min(len(data.Breakers.Value), enough)] {
		listed := slices.ContainsFunc(list, func(a attention) bool { return a.Path == "i/"+ref.ID }) // with the cause
		if name, ok := named[ref.ID]; ok && !listed {
			list = append(list, attention{Path: "i/" + ref.ID, Name: name, Group: "attention", State: "breaker", Reason: t.text("attention.breaker")})
		}
	}
	return list
}
