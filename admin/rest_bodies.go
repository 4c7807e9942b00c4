package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
)

// The library's own types as the API shows them: names in camel case like all others, and
// durations in milliseconds.

type conflictBody struct {
	ID            string              `json:"id"`
	IntegrationID string              `json:"integrationId"`
	Entity        string              `json:"entity"`
	LocalID       string              `json:"localId" doc:"The host's id of the record"`
	RemoteID      string              `json:"remoteId" doc:"The provider's"`
	Kind          string              `json:"kind"`
	State         string              `json:"state" enum:"open,decided,resolved"`
	Policy        string              `json:"policy,omitempty" doc:"That resolved it, or whose side was decided for"`
	Fields        []fieldConflictBody `json:"fields"`
	RunID         string              `json:"runId"`
	At            time.Time           `json:"at"`
	Version       int64               `json:"version"`
}

type fieldConflictBody struct {
	Name   string          `json:"name"`
	Base   json.RawMessage `json:"base,omitempty" doc:"When both were last the same"`
	Local  json.RawMessage `json:"local,omitempty"`
	Remote json.RawMessage `json:"remote,omitempty"`
	Value  json.RawMessage `json:"value,omitempty" doc:"What both get, once it is decided"`
}

func conflictBodyOf(c enlace.Conflict) conflictBody {
	return conflictBody{c.ID, c.Ref.ID, c.Entity, c.LocalID, c.RemoteID, string(c.Kind), string(c.State), string(c.Policy), fieldConflictBodies(c.Fields), c.RunID, c.At.UTC(), c.Version}
}

func fieldConflictBodies(fields []enlace.FieldConflict) []fieldConflictBody {
	bodies := []fieldConflictBody{}
	for _, f := range fields {
		bodies = append(bodies, fieldConflictBody(f))
	}
	return bodies
}

type missedBody struct {
	Entity  string    `json:"entity"`
	ID      string    `json:"id" doc:"The provider's"`
	FoundAt time.Time `json:"foundAt"`
}

func missedBodyOf(m enlace.MissedRecord) missedBody {
	return missedBody{m.Entity, m.ID, m.FoundAt.UTC()}
}

// inspectedBody is a delivery with what was sent, without secrets.
type inspectedBody struct {
	ID            string          `json:"id"`
	IntegrationID string          `json:"integrationId"`
	Provider      string          `json:"provider"`
	State         string          `json:"state"`
	Signed        bool            `json:"signed" doc:"The body is proved to be the sender's"`
	Attempts      int             `json:"attempts"`
	Replays       int             `json:"replays" doc:"How often it was set back to be done anew"`
	Edited        bool            `json:"edited" doc:"Its body was replaced by hand"`
	SignedAt      *time.Time      `json:"signedAt,omitempty"`
	ReceivedAt    time.Time       `json:"receivedAt"`
	NextAt        *time.Time      `json:"nextAt,omitempty" doc:"When it may be tried"`
	FinishedAt    *time.Time      `json:"finishedAt,omitempty"`
	Types         []string        `json:"types"`
	Code          string          `json:"code,omitempty" doc:"Kind of the last failure"`
	Error         string          `json:"error,omitempty"`
	Method        string          `json:"method" doc:"Empty for events that were fetched"`
	Path          string          `json:"path"`
	Query         url.Values      `json:"query,omitempty"`
	Header        http.Header     `json:"header,omitempty"`
	Body          string          `json:"body" doc:"64 KiB at most"`
	Events        []readEventBody `json:"events" doc:"What the adapter reads in it"`
	Unreadable    string          `json:"unreadable,omitempty" doc:"Why there are no events"`
}

type readEventBody struct {
	ID      string     `json:"id,omitempty" doc:"The provider's"`
	Type    string     `json:"type"`
	Entity  string     `json:"entity"`
	Record  string     `json:"recordId" doc:"The provider's"`
	Deleted bool       `json:"deleted,omitempty"`
	At      *time.Time `json:"at,omitempty"`
}

func inspectedBodyOf(d enlace.InspectedDelivery) inspectedBody {
	b := inspectedBody{ID: d.ID, IntegrationID: d.Ref.ID, Provider: d.Provider, State: string(d.State), Signed: d.Signed, Attempts: d.Attempts, Replays: d.Replays, Edited: d.Edited,
		SignedAt: optionalTime(d.SignedAt), ReceivedAt: d.ReceivedAt.UTC(), NextAt: optionalTime(d.NextAt), FinishedAt: optionalTime(d.FinishedAt), Types: orEmpty(d.Types),
		Code: d.Kind, Error: d.Error, Method: d.Method, Path: d.Path, Query: d.Query, Header: d.Header, Body: d.Body, Events: []readEventBody{}, Unreadable: d.Unreadable}
	for _, e := range d.Events {
		b.Events = append(b.Events, readEventBody{e.ID, e.Type, e.Record.Entity, e.Record.ID, e.Record.Deleted, optionalTime(e.At)})
	}
	return b
}

type differenceBody struct {
	Entity   string   `json:"entity"`
	LocalID  string   `json:"localId"`
	RemoteID string   `json:"remoteId,omitempty"`
	Op       string   `json:"op" doc:"What was written"`
	Fields   []string `json:"fields" doc:"That differ from what was there before; none is the whole record"`
	Reason   string   `json:"reason"`
}

func differenceBodies(differences []enlace.Difference) []differenceBody {
	bodies := []differenceBody{}
	for _, d := range differences {
		bodies = append(bodies, differenceBody{d.Entity, d.LocalID, d.RemoteID, string(d.Op), orEmpty(d.Fields), d.Problem})
	}
	return bodies
}

type pushPlanBody struct {
	Direction  string         `json:"direction"`
	CreatedAt  time.Time      `json:"createdAt"`
	Items      []planItemBody `json:"items"`
	Truncated  bool           `json:"truncated,omitempty" doc:"There are more changes than a plan holds; these can be applied all the same"`
	Requests   int            `json:"requests" doc:"That the provider will count"`
	DurationMS float64        `json:"durationMs" doc:"How long those take at its published limit"`
}

type planItemBody struct {
	Entity    string              `json:"entity"`
	LocalID   string              `json:"localId"`
	RemoteID  string              `json:"remoteId,omitempty"`
	Action    string              `json:"action" enum:"create,update,delete,skip,conflict"`
	Reason    string              `json:"reason,omitempty" doc:"Why it is skipped"`
	Fields    []fieldChangeBody   `json:"fields" doc:"That would change"`
	Conflicts []fieldConflictBody `json:"conflicts"`
	Data      json.RawMessage     `json:"data,omitempty" doc:"As the host gave it"`
}

type fieldChangeBody struct {
	Name   string          `json:"name"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

func pushPlanBodyOf(p *enlace.Plan) *pushPlanBody {
	if p == nil {
		return nil
	}
	b := &pushPlanBody{Direction: string(p.Direction), CreatedAt: p.CreatedAt.UTC(), Items: []planItemBody{}, Truncated: p.Truncated, Requests: p.Requests, DurationMS: milliseconds(p.Duration)}
	for _, i := range p.Items {
		item := planItemBody{Entity: i.Entity, LocalID: i.LocalID, RemoteID: i.RemoteID, Action: string(i.Action), Reason: i.Reason, Fields: []fieldChangeBody{},
			Conflicts: fieldConflictBodies(i.Conflicts), Data: i.Change.Data}
		for _, f := range i.Fields {
			item.Fields = append(item.Fields, fieldChangeBody(f))
		}
		b.Items = append(b.Items, item)
	}
	return b
}

// shadowBody is what activating a mapping would change; samples are masked.
type shadowBody struct {
	Same            int                  `json:"same"`
	Changed         int                  `json:"changed"`
	NewlySkipped    int                  `json:"newlySkipped"`
	NoLongerSkipped int                  `json:"noLongerSkipped"`
	OtherReason     int                  `json:"otherReason" doc:"Skipped by both, for different reasons"`
	NewlyRefused    int                  `json:"newlyRefused"`
	NoLongerRefused int                  `json:"noLongerRefused"`
	Payloads        int                  `json:"payloads" doc:"That were read"`
	Cut             bool                 `json:"cut,omitempty" doc:"A bound ended it"`
	Fields          []mapping.FieldDiff  `json:"fields,omitempty"`
	Faults          []mapping.FaultCount `json:"faults,omitempty"`
}

// orEmpty makes a list that JSON does not write as null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
