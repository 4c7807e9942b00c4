package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin/internal/paging"
)

// scheduleInput is a schedule as it comes in.
type scheduleInput struct {
	IntegrationID string   `json:"integrationId,omitempty" maxLength:"64" doc:"Of a new one; a schedule stays with its integration"`
	Spec          string   `json:"spec" maxLength:"100" doc:"\"every 5m\", or the five fields of cron"`
	Zone          string   `json:"zone,omitempty" maxLength:"60" doc:"IANA name for cron; empty is UTC"`
	Entities      []string `json:"entities,omitempty" maxItems:"50" doc:"Empty takes all"`
	Full          bool     `json:"full,omitempty" doc:"Read everything again instead of what has changed"`
	JitterSeconds int      `json:"jitterSeconds,omitempty" minimum:"0" maximum:"86400" doc:"Each run begins later by a random time below this one"`
	CatchUp       string   `json:"catchUp,omitempty" enum:"once,skip" default:"once" doc:"What becomes of times that passed while no process ran"`
	Paused        bool     `json:"paused,omitempty"`
}

// schedule puts the input into s; options that it does not show stay as they are.
func (in scheduleInput) schedule(s enlace.Schedule) enlace.Schedule {
	s.Spec, s.Zone, s.Paused, s.Jitter = in.Spec, in.Zone, in.Paused, time.Duration(in.JitterSeconds)*time.Second
	s.Options.Entities, s.Options.Full = in.Entities, in.Full
	s.CatchUp = enlace.CatchUpOnce
	if in.CatchUp == "skip" {
		s.CatchUp = enlace.CatchUpSkip
	}
	return s
}

// scheduleBody is a schedule as the API shows it.
type scheduleBody struct {
	ID            string     `json:"id"`
	IntegrationID string     `json:"integrationId"`
	Spec          string     `json:"spec"`
	Zone          string     `json:"zone,omitempty"`
	Entities      []string   `json:"entities,omitempty"`
	Full          bool       `json:"full,omitempty"`
	JitterSeconds int        `json:"jitterSeconds,omitempty"`
	CatchUp       string     `json:"catchUp" enum:"once,skip"`
	Paused        bool       `json:"paused"`
	NextAt        *time.Time `json:"nextAt,omitempty" doc:"Of the next run; missing while it is paused"`
	LastRunID     string     `json:"lastRunId,omitempty"`
	LastAt        *time.Time `json:"lastAt,omitempty"`
	LastSkip      string     `json:"lastSkip,omitempty" doc:"Why the last time passed without a run: late, running, paused, or the kind of a failure"`
	SkipReason    string     `json:"skipReason,omitempty" doc:"The same in words"`
	Version       int64      `json:"version"`
	UpdatedAt     time.Time  `json:"updatedAt"`
}

func scheduleBodyOf(t translator, s enlace.Schedule) scheduleBody {
	row := newScheduleRow(t, s, nil)
	b := scheduleBody{ID: s.ID, LastRunID: s.LastRun, LastAt: optionalTime(s.LastAt), LastSkip: s.LastSkip, SkipReason: row.Skipped, Version: s.Version, UpdatedAt: s.UpdatedAt.UTC(),
		IntegrationID: s.Ref.ID, Spec: s.Spec, Zone: s.Zone, Entities: s.Options.Entities, Full: s.Options.Full, JitterSeconds: int(s.Jitter / time.Second), CatchUp: "once", Paused: s.Paused}
	if s.CatchUp == enlace.CatchUpSkip {
		b.CatchUp = "skip"
	}
	if !s.Paused {
		b.NextAt = optionalTime(s.NextAt)
	}
	return b
}

type scheduleAnswer struct {
	Status   int
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     scheduleBody
}

func (c *call) scheduleAnswer(s enlace.Schedule) *scheduleAnswer {
	return &scheduleAnswer{Status: http.StatusOK, ETag: versionTag(s.Version), Body: scheduleBodyOf(translator(c.Language), s)}
}

// versioned is the path and the header of a change to something that has a version.
type versioned struct {
	ID      string `path:"id" maxLength:"64"`
	IfMatch string `header:"If-Match" doc:"The ETag that was read; required"`
}

func (api *api) scheduleOperations() {
	tags := []string{"schedules"}
	type listInput struct {
		paging.Page
		Sort        string `query:"sort" enum:"id" doc:"The order there is"`
		Integration string `query:"integration" maxLength:"64"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/schedules", OperationID: "listSchedules", Summary: "List schedules", Tags: tags},
		func(ctx context.Context, c *call, in *listInput) ([]scheduleBody, string, error) {
			list, next, err := api.service.Schedules(ctx, enlace.ScheduleQuery{Tenant: c.access.Tenant, Integration: in.Integration, Cursor: in.Cursor, Limit: in.Limit})
			return each(list, func(s enlace.Schedule) scheduleBody { return scheduleBodyOf(translator(c.Language), s) }), next, err
		})
	operation(api, GrantSync, huma.Operation{Method: "POST", Path: "/schedules", OperationID: "createSchedule", Summary: "Start runs again and again", Tags: tags, Metadata: local,
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, c *call, in *struct{ Body scheduleInput }) (*scheduleAnswer, error) {
			saved, err := api.service.SaveSchedule(ctx, in.Body.schedule(enlace.Schedule{Ref: c.integrationRef(in.Body.IntegrationID)}))
			if err != nil {
				return nil, err
			}
			out := c.scheduleAnswer(saved)
			out.Status, out.Location = http.StatusCreated, "schedules/"+saved.ID
			return out, nil
		})
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/schedules/{id}", OperationID: "getSchedule", Summary: "Get a schedule", Tags: tags},
		func(ctx context.Context, c *call, in *idInput) (*scheduleAnswer, error) {
			s, err := api.service.Schedule(ctx, c.access.Tenant, in.ID)
			if err != nil {
				return nil, err
			}
			return c.scheduleAnswer(s), nil
		})
	// change saves what edit makes of the version that the caller has read.
	change := func(ctx context.Context, c *call, id, ifMatch string, edit func(enlace.Schedule) enlace.Schedule) (*scheduleAnswer, error) {
		s, err := api.service.Schedule(ctx, c.access.Tenant, id)
		if err != nil {
			return nil, err
		}
		if err := checkVersion(c, ifMatch, s.Version); err != nil {
			return nil, err
		}
		saved, err := api.service.SaveSchedule(ctx, edit(s))
		if err != nil {
			return nil, err
		}
		return c.scheduleAnswer(saved), nil
	}
	type putInput struct {
		ID      string `path:"id" maxLength:"64"`
		IfMatch string `header:"If-Match" doc:"The ETag that was read; required"`
		Body    scheduleInput
	}
	operation(api, GrantSync, huma.Operation{Method: "PUT", Path: "/schedules/{id}", OperationID: "replaceSchedule", Summary: "Change a schedule, pause it or resume it", Tags: tags, Metadata: local},
		func(ctx context.Context, c *call, in *putInput) (*scheduleAnswer, error) {
			return change(ctx, c, in.ID, in.IfMatch, in.Body.schedule)
		})
	operation(api, GrantSync, huma.Operation{Method: "DELETE", Path: "/schedules/{id}", OperationID: "deleteSchedule", Summary: "Delete a schedule; runs that it has started go on", Tags: tags,
		Metadata: local, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *versioned) (*struct{}, error) {
			s, err := api.service.Schedule(ctx, c.access.Tenant, in.ID)
			if err != nil {
				return nil, err
			}
			if err := checkVersion(c, in.IfMatch, s.Version); err != nil {
				return nil, err
			}
			return nil, api.service.DeleteSchedule(ctx, s.Ref.Tenant, s.ID)
		})
}
