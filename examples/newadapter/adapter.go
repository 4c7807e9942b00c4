// Package newadapter is an adapter for the contacts of HubSpot, and the template
// for one of your own: docs/writing-an-adapter.md goes through it part by part.
package newadapter

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

var (
	_ enlace.Puller          = Adapter{}
	_ enlace.Pusher          = Adapter{}
	_ enlace.WebhookReceiver = Adapter{}
	_ enlace.HealthChecker   = Adapter{}
)

// Adapter is the driver. It has no fields, since one value serves every account.
type Adapter struct{}

// Describe implements enlace.IntegrationAdapter.
func (Adapter) Describe() enlace.Descriptor {
	return enlace.Descriptor{
		Name: "hubspot", Title: "HubSpot", Version: "0.1.0", DocsURL: "https://developers.hubspot.com/docs",
		BaseURL:  "https://api.hubapi.com/crm/v3/objects/",
		Features: []enlace.Feature{enlace.FeatureContactsSync, enlace.FeatureWebhooks},
		Auth:     []enlace.AuthScheme{enlace.APIKey{Title: "Private app token", Place: enlace.BearerHeader()}},
		Settings: []enlace.Field{{Name: "properties", Label: "Properties", Default: "email,firstname,lastname,phone",
			Pattern: `[a-z0-9_]+(,[a-z0-9_]+)*`, Help: "What is read of each contact."}},
		Entities: []enlace.Entity{{Name: "contacts", Title: "Contacts", Incremental: enlace.IncrementalUpdates,
			Operations: []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate}}},
		Limits: enlace.Limits{PerSecond: 4, Burst: 1}, // five searches a second
	}
}

// position is what a cursor holds. Contacts are read in the order of their ids,
// because the pages of a search end at 10,000 results.
type position struct {
	Since int64 `json:"since"` // the run reads what changed from then on, in milliseconds
	Began int64 `json:"began"` // HubSpot's clock when the run began
	After int64 `json:"after"` // the last id that was read; 0 before the first page
}

// overlap is more than the time after which a search finds a change.
const overlap = 5 * time.Minute

// Pull implements enlace.Puller by one search.
func (Adapter) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	at := position{Since: max(0, req.Since.UnixMilli())}
	if req.Entity != "contacts" {
		return enlace.Page{}, failure(enlace.ErrUnsupported, "only contacts can be read")
	}
	if req.Cursor != "" && (json.Unmarshal([]byte(req.Cursor), &at) != nil || at.Began == 0) {
		return enlace.Page{}, failure(enlace.ErrCursorExpired, "not a cursor of this version")
	}
	limit := min(cmp.Or(req.Limit, 200), 200)
	resp, err := c.Send(ctx, enlace.Call{Method: http.MethodPost, Path: "contacts/search", Idempotent: true, Body: map[string]any{
		"filterGroups": []any{map[string]any{"filters": []any{
			map[string]string{"propertyName": "lastmodifieddate", "operator": "GTE", "value": fmt.Sprint(at.Since)},
			map[string]string{"propertyName": "hs_object_id", "operator": "GT", "value": fmt.Sprint(at.After)}}}},
		"sorts": []any{map[string]string{"propertyName": "hs_object_id", "direction": "ASCENDING"}},
		"limit": limit, "properties": strings.Split(c.Setting("properties"), ","),
	}})
	if err != nil {
		return enlace.Page{}, err
	}
	var found struct{ Results *[]json.RawMessage }
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || json.Unmarshal(resp.Body, &found) != nil || found.Results == nil {
		return enlace.Page{}, failure(enlace.ErrProtocol, "not the answer of a search")
	}
	if at.After == 0 {
		at.Began = now.UnixMilli()
	}
	page := enlace.Page{Done: len(*found.Results) < limit}
	for _, data := range *found.Results {
		var head struct {
			ID        int64 `json:",string"`
			UpdatedAt time.Time
		}
		if err := json.Unmarshal(data, &head); err != nil || head.ID <= at.After {
			return enlace.Page{}, failure(enlace.ErrProtocol, "a contact without an id, or out of order")
		}
		at.After = head.ID
		page.Records = append(page.Records, enlace.Record{Entity: req.Entity, ID: fmt.Sprint(head.ID), Modified: head.UpdatedAt, Data: data})
	}
	if page.Done { // the next run begins where this one began
		at = position{Since: at.Began - overlap.Milliseconds(), Began: at.Began}
	}
	next, err := json.Marshal(at)
	page.Next = enlace.Cursor(next)
	return page, err
}

// Push implements enlace.Pusher. HubSpot knows no idempotency keys, so a create
// is not sent again after an unclear answer.
func (Adapter) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	call := enlace.Call{Method: http.MethodPost, Path: "contacts", Body: map[string]any{"properties": m.Data}}
	switch {
	case m.Entity != "contacts", m.Op != enlace.OpCreate && m.Op != enlace.OpUpdate:
		return enlace.Ack{}, failure(enlace.ErrUnsupported, "contacts can be created and updated")
	case m.Op == enlace.OpUpdate:
		call.Method, call.Path, call.Op, call.Idempotent = http.MethodPatch, "contacts/"+url.PathEscape(m.ID), "contacts/update", true
	}
	var written struct{ ID string }
	err := c.Do(ctx, call, &written)
	if err == nil && written.ID == "" {
		err = failure(enlace.ErrProtocol, "the answer names no contact")
	}
	return enlace.Ack{ID: written.ID, Created: m.Op == enlace.OpCreate}, err
}

// CheckHealth implements enlace.HealthChecker.
func (Adapter) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	return c.Do(ctx, enlace.Call{Path: "contacts", Query: url.Values{"limit": {"1"}}}, &struct{}{})
}

// Verifier implements enlace.WebhookReceiver. No verifier of enlace expresses HubSpot's
// signature over method, address, body and time. So the address that is entered
// at HubSpot carries the secret, and a delivery is no more than a hint.
func (Adapter) Verifier() enlace.Verifier { return enlace.TokenVerifier{Query: "token"} }

// ParseWebhook implements enlace.WebhookReceiver.
func (Adapter) ParseWebhook(_ context.Context, d enlace.Delivery) (events []enlace.Event, err error) {
	var all []struct {
		SubscriptionType              string
		EventID, ObjectID, OccurredAt int64
	}
	if err := json.Unmarshal(d.Body, &all); err != nil {
		return nil, failure(enlace.ErrProtocol, "the body is no list of events")
	}
	for _, e := range all {
		if kind, what, _ := strings.Cut(e.SubscriptionType, "."); kind == "contact" && e.ObjectID > 0 {
			events = append(events, enlace.Event{ID: fmt.Sprint(e.EventID), Type: e.SubscriptionType, At: time.UnixMilli(e.OccurredAt),
				Record: enlace.Record{Entity: "contacts", ID: fmt.Sprint(e.ObjectID), Deleted: what == "deletion"}})
		}
	}
	return events, nil
}

func failure(kind error, message string) error {
	return &enlace.Error{Kind: kind, Outcome: enlace.OutcomeRan, Message: message}
}
