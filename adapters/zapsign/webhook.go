package zapsign

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// WebhookHeader is the header that carries the secret of a registration. ZapSign
// signs nothing; it sends back the headers that a registration was made with
// (sheet 5.4).
const WebhookHeader = "X-Enlace-Token"

// Verifier implements enlace.WebhookReceiver. The header proves the sender and
// not the content: deliveries are hints, and the record is read again.
func (Adapter) Verifier() enlace.Verifier { return enlace.TokenVerifier{Header: WebhookHeader} }

// EnsureWebhook implements enlace.WebhookRegistrar by [RegisterWebhooks] for every
// type of event. ZapSign does not tell what is registered, so that every call
// registers anew: call it once for a target. Registering twice doubles the
// deliveries, whose events have equal ids. A host that wants to remove the
// registrations again calls RegisterWebhooks itself and keeps what it returns.
func (Adapter) EnsureWebhook(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret) error {
	_, err := RegisterWebhooks(ctx, c, target, secret)
	return err
}

// RemoveWebhook implements enlace.WebhookRegistrar with ErrUnsupported: ZapSign
// has no list of registrations (sheet 2.5). Remove them by [DeleteWebhook] with
// the ids that [RegisterWebhooks] returned, or in ZapSign's settings.
func (Adapter) RemoveWebhook(context.Context, *enlace.Conn, string) error {
	return unsupported("remove webhook", "ZapSign does not tell its registrations; use DeleteWebhook with the ids from RegisterWebhooks, or ZapSign's settings")
}

// Webhook is a registration. ID is the only handle on it: keep it.
type Webhook struct {
	ID   json.RawMessage // opaque; a number or a string, sent back as it is
	Type string
}

// WebhookInput is what a registration is made from.
type WebhookInput struct {
	URL string `json:"url"`
	// Type is the event_type to be delivered; empty is the four of doc_created,
	// doc_signed, doc_refused and doc_deleted. Any text is accepted, and one that
	// is no event is never heard of again.
	Type     string   `json:"type"`
	Document string   `json:"doc_token,omitempty"` // only this document's events
	Headers  []Header `json:"headers,omitempty"`   // sent along with every delivery
}

// Header is a header of webhook deliveries.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// RegisterWebhook registers one type of event: POST /user/company/webhook/ (sheet
// 2.5). It is sent once: if the answer is lost, a registration may be left that
// only ZapSign's settings can remove. Errors: ErrAuth, ErrInvalid.
func RegisterWebhook(ctx context.Context, c *enlace.Conn, in WebhookInput) (Webhook, error) {
	const op = "register webhook"
	if u, err := url.Parse(in.URL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return Webhook{}, invalid(op, "URL", "not an absolute URL", "an https URL that ZapSign can reach")
	}
	answer, err := do[json.RawMessage](ctx, c, enlace.Call{Method: http.MethodPost, Path: "user/company/webhook/", Body: in, Op: op})
	if err != nil {
		return Webhook{}, refusedToken(err)
	}
	id, err := rawjson.Get(answer, "id")
	if _, ok := rawjson.ID(id); err != nil || !ok {
		return Webhook{}, protocol(op, "the answer holds no id", err)
	}
	return Webhook{ID: id, Type: in.Type}, nil
}

// RegisterWebhooks registers the types of events by one POST each (sheet 2.5), or
// every one that this package knows if there are none, to be delivered to target
// with the secret in [WebhookHeader]: 32 random bytes or more. Keep the
// registrations it returns. If one fails, those before it are removed again; the
// error is that of [RegisterWebhook].
func RegisterWebhooks(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret, types ...string) ([]Webhook, error) {
	if secret.IsZero() {
		return nil, invalid("register webhook", "secret", "missing", "32 random bytes or more, as text")
	}
	if len(types) == 0 {
		types = EventTypes()
	}
	var made []Webhook
	for _, kind := range types {
		w, err := RegisterWebhook(ctx, c, WebhookInput{URL: target, Type: kind, Headers: []Header{{WebhookHeader, secret.Reveal()}}})
		if err != nil {
			for _, w := range made {
				err = errors.Join(err, DeleteWebhook(ctx, c, w.ID))
			}
			return nil, err
		}
		made = append(made, w)
	}
	return made, nil
}

// AddWebhookHeaders adds headers to a registration: POST
// /user/company/webhook/header/ (sheet 2.5). Whether a header of the same name is
// replaced is not documented. It is sent once. Errors: ErrInvalid, ErrNotFound.
func AddWebhookHeaders(ctx context.Context, c *enlace.Conn, id json.RawMessage, headers ...Header) error {
	const op = "add webhook headers"
	if _, ok := rawjson.ID(id); !ok {
		return invalid(op, "id", "not an id", "Webhook.ID")
	}
	body := map[string]any{"id": id, "headers": headers}
	return c.Do(ctx, enlace.Call{Method: http.MethodPost, Path: "user/company/webhook/header/", Body: body, Op: op}, nil)
}

// DeleteWebhook removes a registration: DELETE /user/company/webhook/delete/
// (sheet 2.5). It may be repeated, and enlace does; one that is gone is no error.
func DeleteWebhook(ctx context.Context, c *enlace.Conn, id json.RawMessage) error {
	const op = "delete webhook"
	if _, ok := rawjson.ID(id); !ok {
		return invalid(op, "id", "not an id", "Webhook.ID")
	}
	err := acknowledge(ctx, c, enlace.Call{Method: http.MethodDelete, Path: "user/company/webhook/delete/", Body: map[string]any{"id": id}, Idempotent: true, Op: op})
	if errors.Is(err, enlace.ErrNotFound) {
		return nil
	}
	return err
}
