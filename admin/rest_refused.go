package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
)

type refusedBody struct {
	Entity    string          `json:"entity"`
	ID        string          `json:"id" doc:"The provider's"`
	State     string          `json:"state" enum:"waiting,dead" doc:"waiting: the next run tries it again"`
	Mapping   int             `json:"mapping" doc:"Number of the version that refused it, or by which it was mapped; 0 for none"`
	Code      string          `json:"code,omitempty" doc:"Kind of the refusal: invalid is the mapping's, sink the sink's"`
	Error     string          `json:"error"`
	Tries     int             `json:"tries"`
	Edited    bool            `json:"edited" doc:"The data is a person's, and not as the provider sent it"`
	Version   int64           `json:"version"`
	UpdatedAt time.Time       `json:"updatedAt"`
	Data      json.RawMessage `json:"data,omitempty" doc:"In the provider's form; of a single one only"`
}

func refusedBodyOf(r enlace.RefusedRecord) refusedBody {
	return refusedBody{r.Entity, r.RecordID, string(r.State), r.Mapping, r.Kind, r.Error, r.Tries, r.Edited, r.Version, r.UpdatedAt.UTC(), r.Data}
}

type refusedAnswer struct {
	ETag   string `header:"ETag"`
	Body   refusedBody
	Status int
}

// refusedInput names one record. The provider's ids may hold anything, so they are in the
// query.
type refusedInput struct {
	ID      string `path:"id" maxLength:"64"`
	Entity  string `query:"entity" maxLength:"64" required:"true"`
	Record  string `query:"record" maxLength:"1000" required:"true" doc:"The provider's id of the record"`
	IfMatch string `header:"If-Match" doc:"The ETag that was read; required to change it"`
}

// key is the record's, once its integration is known to be there.
func (api *api) refusedKey(ctx context.Context, c *call, id, entity, record string) (enlace.RefusedKey, error) {
	found, err := api.service.Get(ctx, c.integrationRef(id))
	return enlace.RefusedKey{Ref: found.Ref, Entity: entity, RecordID: record}, err
}

// refusedOperations look at single records that were put aside, and repair them.
func (api *api) refusedOperations() {
	tags := []string{"records"}
	const item = "/integrations/{id}/refused/item"
	operation(api, GrantView, huma.Operation{Method: "GET", Path: item, OperationID: "getRefusedRecord", Summary: "Get one refused record with its data", Tags: tags,
		Description: "It stands in the audit trail."},
		func(ctx context.Context, c *call, in *refusedInput) (*refusedAnswer, error) {
			key, err := api.refusedKey(ctx, c, in.ID, in.Entity, in.Record)
			if err != nil {
				return nil, err
			}
			r, err := api.service.RefusedRecord(ctx, key)
			if err != nil {
				return nil, err
			}
			return &refusedAnswer{ETag: versionTag(r.Version), Body: refusedBodyOf(r)}, nil
		})
	type editInput struct {
		ID      string `path:"id" maxLength:"64"`
		Entity  string `query:"entity" maxLength:"64" required:"true"`
		Record  string `query:"record" maxLength:"1000" required:"true"`
		IfMatch string `header:"If-Match" doc:"The ETag that was read; required"`
		Body    struct {
			Data json.RawMessage `json:"data" doc:"An object of the provider's fields"`
		}
	}
	operation(api, GrantSync, huma.Operation{Method: "PUT", Path: item, OperationID: "editRefusedRecord", Summary: "Replace the data of a refused record; it is not tried again by that", Tags: tags, Metadata: local},
		func(ctx context.Context, c *call, in *editInput) (*refusedAnswer, error) {
			version, err := versionOf(c, in.IfMatch)
			if err != nil {
				return nil, err
			}
			key, err := api.refusedKey(ctx, c, in.ID, in.Entity, in.Record)
			if err != nil {
				return nil, err
			}
			r, err := api.service.EditRefusedRecord(ctx, key, version, in.Body.Data)
			if err != nil {
				return nil, stale(c, err)
			}
			body := refusedBodyOf(r)
			body.Data = in.Body.Data
			return &refusedAnswer{ETag: versionTag(r.Version), Body: body}, nil
		})
	for _, change := range []struct {
		method, path, id, summary string
		do                        func(context.Context, enlace.RefusedKey, int64) error
	}{
		{"POST", item + "/redrive", "redriveRefusedRecord", "Have the next run try a refused record again", api.service.RedriveRefusedRecord},
		{"DELETE", item, "discardRefusedRecord", "Forget a refused record", api.service.DiscardRefusedRecord},
	} {
		operation(api, GrantSync, huma.Operation{Method: change.method, Path: change.path, OperationID: change.id, Summary: change.summary, Tags: tags, Metadata: local,
			DefaultStatus: http.StatusNoContent},
			func(ctx context.Context, c *call, in *refusedInput) (*struct{}, error) {
				version, err := versionOf(c, in.IfMatch)
				if err != nil {
					return nil, err
				}
				key, err := api.refusedKey(ctx, c, in.ID, in.Entity, in.Record)
				if err != nil {
					return nil, err
				}
				return nil, stale(c, change.do(ctx, key, version))
			})
	}
}
