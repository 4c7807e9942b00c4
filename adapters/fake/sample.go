package fake

import (
	"context"
	"net/http"
	"slices"

	"github.com/enlace-go/enlace"
)

// SampleEvents implements enlace.WebhookSampler.
func (Adapter) SampleEvents() []enlace.Event {
	var events []enlace.Event
	for _, of := range []struct{ singular, entity string }{{"contact", "contacts"}, {"company", "companies"}, {"deal", "deals"}} {
		for _, verb := range []string{"updated", "created", "deleted"} {
			events = append(events, enlace.Event{Type: of.singular + "." + verb, Record: enlace.Record{Entity: of.entity, ID: "1", Deleted: verb == "deleted"}})
		}
	}
	return events
}

// SampleWebhook implements enlace.WebhookSampler.
func (Adapter) SampleWebhook(e enlace.Event) (contentType string, body []byte) {
	return "application/json", mustMarshal(map[string]any{"events": []event{{ID: e.ID, Type: e.Type, Entity: e.Record.Entity, RecordID: e.Record.ID, Deleted: e.Record.Deleted, At: e.At}}})
}

// WebhookRegistered implements enlace.WebhookInspector.
func (Adapter) WebhookRegistered(ctx context.Context, c *enlace.Conn, target string) (bool, error) {
	var list struct {
		URLs []string `json:"urls"`
	}
	err := c.Do(ctx, enlace.Call{Method: http.MethodGet, Path: "webhooks"}, &list)
	return slices.Contains(list.URLs, target), err
}
