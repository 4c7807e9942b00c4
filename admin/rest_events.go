package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// eventOperations are the streams. One stream serves as subscription: events are
// named by topic, their data is JSON, and whoever gets one reads what it names.
func (api *api) eventOperations() {
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/events", OperationID: "streamEvents", Summary: "Stream of changes, as server-sent events", Tags: []string{"events"},
		Description: `Events "integrations", "runs", "health", "webhooks", "tests" tell what has changed; "hello" opens the stream, and its id is the number of the last change; "resync" asks to read everything anew. Data is {"topic","integration","run","action"}.`,
		Responses:   eventStream()},
		func(context.Context, *call, *struct{}) (*huma.StreamResponse, error) {
			return streamed(api, api.live), nil
		})
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations/{id}/events", OperationID: "streamIntegration", Summary: "Stream of the changes of one integration", Tags: []string{"events"},
		Responses: eventStream()},
		func(ctx context.Context, c *call, in *idInput) (*huma.StreamResponse, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, err
			}
			return streamed(api, func(w http.ResponseWriter, r *http.Request, c *call) error { return api.liveOf(w, r, c, found.ID) }), nil
		})
}
