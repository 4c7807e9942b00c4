package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

// healthChecks are the columns of the matrix, in order.
var healthChecks = []string{enlace.CheckReachability, enlace.CheckAuthentication, enlace.CheckScopes, enlace.CheckQuota, enlace.CheckWebhooks, enlace.CheckSync}

var healthStates = []string{"error", "warning", "unknown", "healthy"}

type healthData struct {
	Rows    []healthRow
	Checks  []string
	State   string
	States  []string
	Changes part[[]healthEvent]
	Windows part[[]enlace.Maintenance]
	Names   map[string]string
	Next    string
	First   bool
}

type healthRow struct {
	enlace.Health
	Name   string
	Cells  []healthCell
	Strip  strip
	Spoken string // summary in the user's language where it is known
}

type healthCell struct{ Check, State, Detail string }

type healthEvent struct {
	enlace.HealthChange
	Name string
}

const stripHours = 24

// strip is the course of an integration's health over the last day.
type strip struct {
	From, To time.Time
	Pieces   []stripPiece
}

type stripPiece struct {
	State string
	Share float64 // of the whole width
}

// newStrip cuts the last day at the changes of one integration, newest first.
func newStrip(h enlace.Health, changes []enlace.HealthChange, now time.Time) strip {
	s := strip{From: now.Add(-stripHours * time.Hour), To: now}
	end, state := now, string(h.Status)
	piece := func(from time.Time) {
		if share := float64(end.Sub(from)) / float64(stripHours*time.Hour); share > 0 {
			s.Pieces = append(s.Pieces, stripPiece{state, share})
		}
		end = from
	}
	for _, change := range changes {
		if change.At.Before(s.From) || change.At.After(end) {
			continue
		}
		piece(change.At)
		state = string(change.From)
	}
	if state == "" {
		state = string(enlace.HealthUnknown)
	}
	piece(s.From)
	slices.Reverse(s.Pieces)
	return s
}

func (a *Admin) healthPage(w http.ResponseWriter, r *http.Request, c *call) error {
	q := r.URL.Query()
	query := enlace.HealthQuery{Tenant: c.access.Tenant, Status: enlace.HealthStatus(q.Get("state")), Cursor: q.Get("cursor"), Limit: pageSize}
	list, next, err := a.service.HealthList(r.Context(), query)
	if err != nil {
		return cursorProblem(c, query.Cursor, err)
	}
	changes := read(a, r.Context(), c, func(ctx context.Context) ([]enlace.HealthChange, error) {
		found, _, err := a.service.HealthChanges(ctx, enlace.HealthChangeQuery{Tenant: c.access.Tenant, From: time.Now().Add(-stripHours * time.Hour), Limit: 1000})
		return found, err
	})
	windows := read(a, r.Context(), c, func(ctx context.Context) ([]enlace.Maintenance, error) {
		return a.service.Maintenances(ctx, c.access.Tenant)
	})
	data := healthData{Checks: healthChecks, State: string(query.Status), States: healthStates, Windows: windows(), Names: a.names(r, c), First: query.Cursor == ""}
	all := changes()
	data.Changes.Problem = all.Problem
	for _, change := range all.Value[:min(len(all.Value), 15)] {
		data.Changes.Value = append(data.Changes.Value, healthEvent{change, data.Names[change.Ref.ID]})
	}
	t, now := translator(c.Language), time.Now()
	for _, h := range list {
		own := slices.DeleteFunc(slices.Clone(all.Value), func(change enlace.HealthChange) bool { return change.Ref != h.Ref })
		data.Rows = append(data.Rows, healthRow{Health: h, Name: data.Names[h.Ref.ID], Cells: healthCells(h), Strip: newStrip(h, own, now), Spoken: spokenHealth(t, h)})
	}
	slices.SortStableFunc(data.Rows, func(a, b healthRow) int {
		return slices.Index(healthStates, string(a.Status)) - slices.Index(healthStates, string(b.Status))
	})
	if next != "" {
		data.Next = "?" + url.Values{"cursor": {next}, "state": {data.State}}.Encode()
	}
	return a.show(w, r, c, page{name: "health", title: t.text("nav.health"), section: "health", live: data.First, data: data})
}

// spokenHealth is why an integration is as it is, in the user's language.
func spokenHealth(t translator, h enlace.Health) string {
	if h.Cause == enlace.CauseNone {
		return ""
	}
	return t.optional("cause."+string(h.Cause), h.Summary)
}

func healthCells(h enlace.Health) []healthCell {
	cells := make([]healthCell, len(healthChecks))
	for i, name := range healthChecks {
		cells[i] = healthCell{Check: name, State: "none"}
		for _, check := range h.Checks {
			if check.Name == name {
				cells[i].State, cells[i].Detail = string(check.Status), check.Detail
			}
		}
	}
	return cells
}

// checkHealth checks an integration now.
func (a *Admin) checkHealth(w http.ResponseWriter, r *http.Request, c *call) error {
	ref := c.integrationRef(r.PathValue("id"))
	if _, err := a.service.CheckHealth(r.Context(), ref); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+ref.ID+"?done=checked")
	return nil
}

// setMaintenance opens or ends a window in which nobody is alerted.
func (a *Admin) setMaintenance(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	if id := r.PostForm.Get("end"); id != "" {
		if err := a.service.EndMaintenance(r.Context(), c.access.Tenant, id); err != nil {
			return err
		}
	} else {
		hours := numberOf(r.PostForm.Get("hours"))
		if hours < 1 || hours > 24*14 {
			return newProblem(c, "validation_failed")
		}
		window := enlace.Maintenance{Tenant: c.access.Tenant, Integration: r.PostForm.Get("integration"), From: time.Now(),
			Until: time.Now().Add(time.Duration(hours) * time.Hour), Reason: short(r.PostForm.Get("reason"), 300)}
		if _, err := a.service.SetMaintenance(r.Context(), window); err != nil {
			return err
		}
	}
	leave(w, http.StatusSeeOther, c.mount.root+"health?done=maintenance")
	return nil
}
