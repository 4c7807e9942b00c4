package fake

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	signatureHeader = "X-Fake-Signature"
	signaturePrefix = "sha256="
	maxEvents       = 100 // of one delivery
)

// delivery is the body of a webhook request.
type delivery struct {
	Challenge string            `json:"challenge,omitempty"`
	Events    []json.RawMessage `json:"events,omitempty"`
}

// event is what a delivery says happened. Record is left out where the delivery
// is only a hint.
type event struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Entity   string          `json:"entity"`
	RecordID string          `json:"record_id"`
	Deleted  bool            `json:"deleted,omitempty"`
	At       time.Time       `json:"at"`
	Record   json.RawMessage `json:"record,omitempty"`
}

// Verifier implements enlace.WebhookReceiver: an HMAC-SHA256 over the body.
func (Adapter) Verifier() enlace.Verifier {
	return enlace.HMACVerifier{Header: signatureHeader, Prefix: signaturePrefix}
}

// ParseWebhook implements enlace.WebhookReceiver. Errors match ErrProtocol.
func (Adapter) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	var body delivery
	if err := json.Unmarshal(d.Body, &body); err != nil || len(body.Events) == 0 || len(body.Events) > maxEvents {
		return nil, protocolError("parse webhook", "the body holds no events, or too many")
	}
	events := make([]enlace.Event, len(body.Events))
	for i, raw := range body.Events {
		var e event
		if err := json.Unmarshal(raw, &e); err != nil || e.Type == "" || e.Entity == "" || e.RecordID == "" {
			return nil, protocolError("parse webhook", "an event is not of the expected form")
		}
		record := enlace.Record{Entity: e.Entity, ID: e.RecordID, Deleted: e.Deleted, Modified: e.At}
		if !e.Deleted && len(e.Record) > 0 && e.Record[0] == '{' {
			record.Data = e.Record
		}
		events[i] = enlace.Event{ID: e.ID, Type: e.Type, Record: record, At: e.At, Payload: raw}
	}
	return events, nil
}

// challengeForm is what is safe to be sent back to whoever asks.
var challengeForm = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

// AnswerChallenge implements enlace.WebhookChallenger: the challenge comes back
// as plain text.
func (Adapter) AnswerChallenge(w http.ResponseWriter, _ *http.Request, body []byte) bool {
	var d delivery
	if json.Unmarshal(body, &d) != nil || len(d.Events) > 0 || !challengeForm.MatchString(d.Challenge) {
		return false
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, d.Challenge)
	return true
}

// EnsureWebhook implements enlace.WebhookRegistrar.
func (Adapter) EnsureWebhook(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret) error {
	body := map[string]string{"url": target, "secret": secret.Reveal()}
	return c.Do(ctx, enlace.Call{Method: http.MethodPut, Path: "webhooks", Body: body, Idempotent: true}, nil)
}

// RemoveWebhook implements enlace.WebhookRegistrar.
func (Adapter) RemoveWebhook(ctx context.Context, c *enlace.Conn, target string) error {
	return c.Do(ctx, enlace.Call{Method: http.MethodDelete, Path: "webhooks", Query: url.Values{"url": {target}}, Idempotent: true}, nil)
}
