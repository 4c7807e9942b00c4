package bitrix24

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
)

// SampleEvents implements enlace.WebhookSampler: the events of companies, contacts,
// deals and leads (sheet 6.2).
func (Adapter) SampleEvents() []enlace.Event {
	var events []enlace.Event
	for _, verb := range []string{"UPDATE", "ADD", "DELETE"} {
		for _, object := range []string{"CONTACT", "COMPANY", "DEAL", "LEAD"} {
			name := "ONCRM" + object + verb
			events = append(events, enlace.Event{Type: name, Record: enlace.Record{Entity: eventEntity(name, ""), ID: "1"}})
		}
	}
	return events
}

// SampleWebhook implements enlace.WebhookSampler: the form of sheet 6.3, as far as
// [ParseEvent] reads it.
func (Adapter) SampleWebhook(e enlace.Event) (contentType string, body []byte) {
	form := url.Values{"event": {e.Type}, "event_handler_id": {"1"}, "ts": {strconv.FormatInt(e.At.Unix(), 10)}, "auth[domain]": {"test.invalid"}}
	if e.Record.ID != "" {
		form.Set("data[FIELDS][ID]", e.Record.ID)
	}
	return "application/x-www-form-urlencoded", []byte(form.Encode())
}

// WebhookRegistered implements enlace.WebhookInspector by [ListSubscriptions]: every
// one of [CRMEvents] is delivered to target.
func (Adapter) WebhookRegistered(ctx context.Context, c *enlace.Conn, target string) (bool, error) {
	there, err := ListSubscriptions(ctx, c)
	if err != nil {
		return false, err
	}
	for _, event := range CRMEvents() {
		if !slices.ContainsFunc(there, func(s Subscription) bool {
			return !s.Offline && s.Target == target && s.Event == strings.ToUpper(event)
		}) {
			return false, nil
		}
	}
	return true, nil
}
