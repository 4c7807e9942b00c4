package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin/internal/paging"
)

// repairOperations are what people do by hand about what did not get through.
func (api *api) repairOperations() {
	api.deadLetterOperations()
	api.conflictOperations()
	api.recordOperations()
	api.refusedOperations()
	api.deliveryOperations()
}

type letterBody struct {
	IntegrationID string          `json:"integrationId"`
	Entity        string          `json:"entity"`
	LocalID       string          `json:"localId" doc:"The host's id of the record"`
	State         string          `json:"state" enum:"queued,failing,in_doubt,dead"`
	Tries         int             `json:"tries"`
	Code          string          `json:"code,omitempty" doc:"Kind of the last refusal"`
	Error         string          `json:"error,omitempty"`
	Version       int64           `json:"version"`
	UpdatedAt     time.Time       `json:"updatedAt"`
	Deleted       bool            `json:"deleted,omitempty" doc:"The change is a deletion"`
	Data          json.RawMessage `json:"data,omitempty" doc:"Of a single one only"`
}

func letterBodyOf(l enlace.DeadLetter) letterBody {
	b := letterBody{IntegrationID: l.Ref.ID, Entity: l.Entity, LocalID: l.LocalID, State: string(l.State), Tries: l.Tries, Code: l.Kind, Error: l.Error, Version: l.Version,
		UpdatedAt: l.UpdatedAt.UTC()}
	if l.Change != nil {
		b.Data, b.Deleted = l.Change.Data, l.Change.Deleted
	}
	return b
}

type letterAnswer struct {
	ETag   string `header:"ETag"`
	Body   letterBody
	Status int
}

// letterInput names one change. The host's ids may hold anything, so they are in the query.
type letterInput struct {
	Integration string `query:"integration" maxLength:"64" required:"true"`
	Entity      string `query:"entity" maxLength:"64" required:"true"`
	ID          string `query:"id" maxLength:"1000" required:"true" doc:"The host's id of the record"`
	IfMatch     string `header:"If-Match" doc:"The ETag that was read; required to change it"`
}

func (in letterInput) key(c *call) enlace.OutgoingKey {
	return enlace.OutgoingKey{Ref: c.integrationRef(in.Integration), Entity: in.Entity, LocalID: in.ID}
}

// versionOf is the number in a strong tag; one that is no tag of ours matches nothing.
func versionOf(c *call, ifMatch string) (int64, error) {
	if ifMatch == "" {
		return 0, newProblem(c, "version_required")
	}
	text, ok := strings.CutPrefix(strings.TrimSuffix(ifMatch, `"`), `"v`)
	version, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return 0, newProblem(c, "version_conflict")
	}
	return version, nil
}

// stale makes the conflict of a version that was read too early the problem of If-Match.
func stale(c *call, err error) error {
	if errors.Is(err, enlace.ErrConflict) {
		return newProblem(c, "version_conflict")
	}
	return err
}

func (api *api) deadLetterOperations() {
	tags := []string{"dead letters"}
	type listInput struct {
		paging.Page
		Sort        string `query:"sort" enum:"position" doc:"The order there is: as they came into the outbox"`
		Integration string `query:"integration" maxLength:"64"`
		Entity      string `query:"entity" maxLength:"64"`
		State       string `query:"state" enum:"queued,failing,in_doubt,dead" doc:"Left out: those that wait for somebody"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/dead-letters", OperationID: "listDeadLetters", Summary: "Changes that could not be pushed, and those that still may be", Tags: tags},
		func(ctx context.Context, c *call, in *listInput) ([]letterBody, string, error) {
			query := enlace.OutgoingQuery{Tenant: c.access.Tenant, Integration: in.Integration, Entity: in.Entity, Cursor: in.Cursor, Limit: in.Limit}
			if in.State != "" {
				query.States = []enlace.OutgoingState{enlace.OutgoingState(in.State)}
			}
			list, next, err := api.service.DeadLetters(ctx, query)
			return each(list, letterBodyOf), next, err
		})
	const item = "/dead-letters/item"
	operation(api, GrantView, huma.Operation{Method: "GET", Path: item, OperationID: "getDeadLetter", Summary: "Get one change with its data", Tags: tags, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, c *call, in *letterInput) (*letterAnswer, error) {
			l, err := api.service.DeadLetter(ctx, in.key(c))
			if err != nil {
				return nil, err
			}
			return &letterAnswer{ETag: versionTag(l.Version), Body: letterBodyOf(l)}, nil
		})
	type editLetterInput struct {
		Integration string `query:"integration" maxLength:"64" required:"true"`
		Entity      string `query:"entity" maxLength:"64" required:"true"`
		ID          string `query:"id" maxLength:"1000" required:"true"`
		IfMatch     string `header:"If-Match" doc:"The ETag that was read; required"`
		Body        struct {
			Data json.RawMessage `json:"data" doc:"An object of the provider's fields"`
		}
	}
	operation(api, GrantSync, huma.Operation{Method: "PUT", Path: item, OperationID: "editDeadLetter", Summary: "Replace the data of a change; it is not sent by that", Tags: tags, Metadata: local, Errors: []int{http.StatusNotFound}},
		func(ctx context.Context, c *call, in *editLetterInput) (*letterAnswer, error) {
			version, err := versionOf(c, in.IfMatch)
			if err != nil {
				return nil, err
			}
			l, err := api.service.EditDeadLetter(ctx, letterInput{in.Integration, in.Entity, in.ID, ""}.key(c), version, in.Body.Data)
			if err != nil {
				return nil, stale(c, err)
			}
			return &letterAnswer{ETag: versionTag(l.Version), Body: letterBodyOf(l)}, nil
		})
	for _, change := range []struct {
		method, path, id, summary string
		do                        func(context.Context, enlace.OutgoingKey, int64) error
	}{
		{"POST", item + "/redrive", "redriveDeadLetter", "Put a change back into the outbox", api.service.Redrive},
		{"DELETE", item, "discardDeadLetter", "Give a change up", api.service.Discard},
	} {
		operation(api, GrantSync, huma.Operation{Method: change.method, Path: change.path, OperationID: change.id, Summary: change.summary, Tags: tags, Metadata: local,
			DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound}},
			func(ctx context.Context, c *call, in *letterInput) (*struct{}, error) {
				version, err := versionOf(c, in.IfMatch)
				if err != nil {
					return nil, err
				}
				return nil, stale(c, change.do(ctx, in.key(c), version))
			})
	}
}

func (api *api) conflictOperations() {
	tags := []string{"conflicts"}
	type listInput struct {
		paging.Page
		Sort        string `query:"sort" enum:"-at" doc:"The order there is"`
		Integration string `query:"integration" maxLength:"64"`
		State       string `query:"state" enum:"open,decided,resolved" default:"open"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/conflicts", OperationID: "listConflicts", Summary: "Records that both sides have changed", Tags: tags},
		func(ctx context.Context, c *call, in *listInput) ([]conflictBody, string, error) {
			in.Uncounted = true // each row is opened
			list, next, err := api.service.Conflicts(ctx, enlace.ConflictQuery{Tenant: c.access.Tenant, Integration: in.Integration, State: enlace.ConflictState(in.State),
				Cursor: in.Cursor, Limit: in.Limit})
			return each(list, conflictBodyOf), next, err
		})
	type resolveInput struct {
		ID   string `path:"id" maxLength:"64"`
		Body struct {
			IntegrationID string                     `json:"integrationId" maxLength:"64"`
			Version       int64                      `json:"version" doc:"That was read"`
			Side          string                     `json:"side" enum:"local,remote"`
			Values        map[string]json.RawMessage `json:"values,omitempty" doc:"For single fields; the others get the side's"`
		}
	}
	operation(api, GrantSync, huma.Operation{Method: "POST", Path: "/conflicts/{id}/resolve", OperationID: "resolveConflict", Summary: "Decide a conflict", Tags: tags, Metadata: local},
		func(ctx context.Context, c *call, in *resolveInput) (*struct{ Body conflictBody }, error) {
			decided, err := api.service.ResolveConflict(ctx, c.integrationRef(in.Body.IntegrationID), in.ID, in.Body.Version, enlace.ConflictPolicy(in.Body.Side), in.Body.Values)
			if err != nil {
				return nil, err
			}
			return &struct{ Body conflictBody }{conflictBodyOf(decided)}, nil
		})
}

type missingBody struct {
	Entity  string    `json:"entity"`
	ID      string    `json:"id" doc:"The provider's"`
	LocalID string    `json:"localId,omitempty"`
	SeenAt  time.Time `json:"seenAt"`
}

// entityList is a list of an integration's records of one entity.
type entityList struct {
	paging.Page
	Sort   string `query:"sort" enum:"id" doc:"The order there is"`
	ID     string `path:"id" maxLength:"64"`
	Entity string `query:"entity" maxLength:"64" required:"true"`
}

func (api *api) recordOperations() {
	tags := []string{"records"}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations/{id}/deletions", OperationID: "listDeletions", Summary: "Records that have disappeared and wait for a decision", Tags: tags},
		func(ctx context.Context, c *call, in *entityList) ([]missingBody, string, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, "", err
			}
			list, next, err := api.service.MissingRecords(ctx, enlace.RecordQuery{Ref: found.Ref, Entity: in.Entity, Cursor: in.Cursor, Limit: in.Limit})
			return each(list, func(r enlace.RecordState) missingBody { return missingBody{in.Entity, r.ID, r.LocalID, r.Seen.UTC()} }), next, err
		})
	type decideInput struct {
		ID   string `path:"id" maxLength:"64"`
		Body struct {
			Entity  string   `json:"entity" maxLength:"64"`
			Records []string `json:"records,omitempty" maxItems:"1000" doc:"The provider's ids"`
			All     bool     `json:"all,omitempty" doc:"Every one that waits; instead of records"`
		}
	}
	type decided struct {
		Body struct {
			Records int `json:"records" doc:"How many were decided on"`
		}
	}
	for _, decide := range []struct {
		name string
		do   func(context.Context, enlace.Ref, string, ...string) (int, error)
	}{{"approve", api.service.ApproveDeletions}, {"reject", api.service.RejectDeletions}} {
		operation(api, GrantSync, huma.Operation{Method: "POST", Path: "/integrations/{id}/deletions/" + decide.name, OperationID: decide.name + "Deletions", Tags: tags,
			Summary: "Decide on records that have disappeared: " + decide.name},
			func(ctx context.Context, c *call, in *decideInput) (*decided, error) {
				if in.Body.All == (len(in.Body.Records) > 0) {
					return nil, newProblem(c, "validation_failed") // nobody decides on everything by leaving something out
				}
				found, err := api.service.Get(ctx, c.integrationRef(in.ID))
				if err != nil {
					return nil, err
				}
				n, err := decide.do(ctx, found.Ref, in.Body.Entity, in.Body.Records...)
				if err != nil {
					return nil, err
				}
				out := &decided{}
				out.Body.Records = n
				return out, nil
			})
	}
	type pageInput struct {
		paging.Page
		Sort   string `query:"sort" enum:"entity" doc:"The order there is: by entity, and then by id"`
		ID     string `path:"id" maxLength:"64"`
		Entity string `query:"entity" maxLength:"64"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations/{id}/refused", OperationID: "listRefusedRecords", Summary: "Records that the mapping or the sink refused", Tags: tags},
		func(ctx context.Context, c *call, in *pageInput) ([]refusedBody, string, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, "", err
			}
			list, next, err := api.service.RefusedRecords(ctx, enlace.RefusedQuery{Ref: found.Ref, Entity: in.Entity, Cursor: in.Cursor, Limit: in.Limit})
			return each(list, refusedBodyOf), next, err
		})
	type missedInput struct {
		paging.Page
		Sort string `query:"sort" enum:"entity" doc:"The order there is: by entity, and then by id"`
		ID   string `path:"id" maxLength:"64"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations/{id}/missed", OperationID: "listMissedRecords", Summary: "Changes that no webhook delivery told of", Tags: tags},
		func(ctx context.Context, c *call, in *missedInput) ([]missedBody, string, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, "", err
			}
			list, next, err := api.service.MissedRecords(ctx, enlace.MissedQuery{Ref: found.Ref, Cursor: in.Cursor, Limit: in.Limit})
			return each(list, missedBodyOf), next, err
		})
}

// deliveryOperations look at single deliveries and repair them.
func (api *api) deliveryOperations() {
	tags := []string{"webhooks"}
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/webhooks/deliveries/{id}", OperationID: "getDelivery", Summary: "Look at a delivery, without its secrets", Tags: tags},
		func(ctx context.Context, c *call, in *idInput) (*struct{ Body inspectedBody }, error) {
			d, err := api.service.InspectDelivery(ctx, c.access.Tenant, in.ID)
			if err != nil {
				return nil, err
			}
			return &struct{ Body inspectedBody }{inspectedBodyOf(d)}, nil
		})
	type editDeliveryInput struct {
		ID   string `path:"id" maxLength:"64"`
		Body struct {
			Was  string `json:"was" doc:"The body as it was read; another one is refused"`
			Body string `json:"body"`
		}
	}
	operation(api, GrantReplay, huma.Operation{Method: "PUT", Path: "/webhooks/deliveries/{id}/body", OperationID: "editDelivery", Summary: "Replace the body of a delivery", Tags: tags,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusPreconditionFailed}, Description: "A body that holds masked values cannot be edited: what was not seen would be lost."},
		func(ctx context.Context, c *call, in *editDeliveryInput) (*struct{}, error) {
			return nil, api.editDelivery(ctx, c, in.ID, in.Body.Was, in.Body.Body)
		})
	operation(api, GrantReplay, huma.Operation{Method: "POST", Path: "/webhooks/deliveries/{id}/discard", OperationID: "discardDelivery", Summary: "Give a delivery up", Tags: tags,
		DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *idInput) (*struct{}, error) {
			_, err := api.service.DiscardDelivery(ctx, c.access.Tenant, in.ID)
			return nil, err
		})
}

// editDelivery replaces a body that is still the one that was read, and was read whole.
func (a *Admin) editDelivery(ctx context.Context, c *call, id, was, body string) error {
	_, err := a.service.EditDelivery(ctx, c.access.Tenant, id, func(now []byte) ([]byte, error) {
		if string(now) != was {
			return nil, errMasked
		}
		return []byte(body), nil
	})
	if errors.Is(err, errMasked) {
		return newProblem(c, "version_conflict")
	}
	return err
}
