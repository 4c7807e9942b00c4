package rdstation

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// sampleID has the form of the provider's ids, and is nobody's.
const sampleID = "00000000-0000-4000-8000-000000000000"

// SampleEvents implements enlace.WebhookSampler: conversions and opportunities (sheet 7.1).
func (*Marketing) SampleEvents() []enlace.Event {
	record := enlace.Record{Entity: "contacts", ID: sampleID}
	return []enlace.Event{{Type: EventConverted, Record: record}, {Type: EventMarkedOpportunity, Record: record}}
}

// SampleWebhook implements enlace.WebhookSampler: the form of sheet 7.2.
func (*Marketing) SampleWebhook(e enlace.Event) (contentType string, body []byte) {
	at := e.At.UTC().Format(time.RFC3339Nano)
	return sampleJSON(map[string]any{"event_type": e.Type, "entity_type": "CONTACT", "event_identifier": "enlace " + e.ID, "timestamp": at, "event_timestamp": at,
		"contact": map[string]any{"uuid": e.Record.ID, "email": "test@example.invalid", "name": "enlace"}})
}

// SampleEvents implements enlace.WebhookSampler: the events of sheet 7.6.
func (CRM) SampleEvents() []enlace.Event { return crmSamples() }

// SampleEvents implements enlace.WebhookSampler; see [CRM.SampleEvents].
func (CRMv1) SampleEvents() []enlace.Event { return crmSamples() }

func crmSamples() []enlace.Event {
	var events []enlace.Event
	for _, name := range crmEvents() {
		rest := strings.TrimPrefix(name, "crm_")
		cut := strings.LastIndexByte(rest, '_')
		events = append(events, enlace.Event{Type: name, Record: enlace.Record{Entity: documents[rest[:cut]], ID: "000000000000000000000000", Deleted: rest[cut:] == "_deleted"}})
	}
	return events
}

// SampleWebhook implements enlace.WebhookSampler: the form of sheet 7.6.
func (CRM) SampleWebhook(e enlace.Event) (contentType string, body []byte) { return crmSample(e) }

// SampleWebhook implements enlace.WebhookSampler; see [CRM.SampleWebhook].
func (CRMv1) SampleWebhook(e enlace.Event) (contentType string, body []byte) { return crmSample(e) }

func crmSample(e enlace.Event) (contentType string, body []byte) {
	return sampleJSON(map[string]any{"event_name": e.Type, "document": map[string]any{"id": e.Record.ID, "name": "enlace"},
		"event_timestamp": e.At.UTC().Format(time.RFC3339), "transaction_uuid": e.ID})
}

func sampleJSON(content map[string]any) (contentType string, body []byte) {
	body, _ = json.Marshal(content) // texts always have a form
	return "application/json", body
}

// WebhookRegistered implements enlace.WebhookInspector by [Marketing.Webhooks]: both
// events come to target.
func (m *Marketing) WebhookRegistered(ctx context.Context, c *enlace.Conn, target string) (bool, error) {
	existing, err := m.Webhooks(ctx, c)
	for _, kind := range []string{EventConverted, EventMarkedOpportunity} {
		if !slices.ContainsFunc(existing, func(w Webhook) bool {
			return strings.EqualFold(w.EventType, kind) && sameTarget(w.URL, target) && (w.Status == "" || w.Status == "active")
		}) {
			return false, err
		}
	}
	return true, err
}

// WebhookRegistered implements enlace.WebhookInspector: every event comes to target.
func (crm CRM) WebhookRegistered(ctx context.Context, c *enlace.Conn, target string) (bool, error) {
	existing, err := crm.allWebhooks(ctx, c)
	for _, name := range crmEvents() {
		if !slices.ContainsFunc(existing, func(w CRMWebhook) bool { return w.EventName == name && w.URL == target && w.Status == "active" }) {
			return false, err
		}
	}
	return true, err
}

// WebhookRegistered implements enlace.WebhookInspector; see [CRM.WebhookRegistered].
func (CRMv1) WebhookRegistered(ctx context.Context, c *enlace.Conn, target string) (bool, error) {
	existing, err := v1Webhooks(ctx, c)
	for _, name := range crmEvents() {
		if name != "crm_task_deleted" && !slices.ContainsFunc(existing, func(w v1Webhook) bool {
			return strings.EqualFold(w.EventType, name) && sameTarget(w.URL, target) && (w.Status == "" || w.Status == "active")
		}) {
			return false, err
		}
	}
	return true, err
}
