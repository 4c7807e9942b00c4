package zapsign

import (
	"encoding/json"
	"time"

	"github.com/enlace-go/enlace"
)

// SampleEvents implements enlace.WebhookSampler: the events about a document (sheet 5.2).
func (Adapter) SampleEvents() []enlace.Event {
	var events []enlace.Event
	for _, kind := range []string{EventSigned, EventCreated, EventRefused, EventDeleted, EventViewed, EventExpired} {
		events = append(events, enlace.Event{Type: kind, Record: enlace.Record{Entity: Documents, ID: "00000000-0000-4000-8000-000000000000"}})
	}
	return events
}

// SampleWebhook implements enlace.WebhookSampler: the beginning of the form of sheet 5.3.
func (Adapter) SampleWebhook(e enlace.Event) (contentType string, body []byte) {
	at := e.At.UTC().Format(time.RFC3339Nano)
	body, _ = json.Marshal(map[string]any{"event_type": e.Type, "token": e.Record.ID, "name": "enlace " + e.ID, "status": "pending",
		"created_at": at, "last_update_at": at}) // texts always have a form
	return "application/json", body
}
