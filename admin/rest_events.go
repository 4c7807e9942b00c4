package admin

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// eventOperations are the streams. One stream serves as subscription: events are
// named by topic, their data is JSON, and whoever gets one reads what it names.
func (api *api) eventOperations() {
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/events", OperationID: "streamEvents", Summary: "Stream of changes, as server-sent events", Tags: []string{"events"},
		Description: `Events "integrations", "runs", "health", "webhooks", "tests" tell what has changed; "hello" opens the stream, and its id is the number of the last change; "resync" asks to read everything anew. Data is {"topic","integration","run","action"}.`,
		Responses:   map[string]*huma.Response{"200": {Description: "Events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}}}},
		func(context.Context, *call, *struct{}) (*huma.StreamResponse, error) {
			return &huma.StreamResponse{Body: func(ctx huma.Context) {
				r, w := humago.Unwrap(ctx)
				c := callOf(r.Context())
				if err := api.live(w, r, c); err != nil {
					writeProblem(w, r, c, problemOf(c, err))
				}
			}}, nil
		})
}
