package enlace

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// WebhookReceiver takes the provider's events. Without it the integration has no
// webhook address.
type WebhookReceiver interface {
	// Verifier says how the provider proves itself; never nil. An adapter
	// declares the proof and does not write the comparison.
	Verifier() Verifier
	// ParseWebhook turns a verified delivery into events. It makes no requests
	// and must bear any body: it is called with what the sender chose.
	ParseWebhook(ctx context.Context, d Delivery) ([]Event, error)
}

// WebhookRegistrar tells the provider where to deliver. Without it a person
// enters the address at the provider.
type WebhookRegistrar interface {
	// EnsureWebhook makes the provider deliver to target with the secret as
	// proof; if it does already, nothing changes.
	EnsureWebhook(ctx context.Context, c *Conn, target string, secret Secret) error
	// RemoveWebhook stops deliveries to target; it is no error if there are none.
	// ErrUnsupported means that the provider gives no way to find out which there
	// are.
	RemoveWebhook(ctx context.Context, c *Conn, target string) error
}

// WebhookChallenger answers the request with which some providers check an
// address before they use it. Without it such a request is an ordinary delivery.
type WebhookChallenger interface {
	// AnswerChallenge writes the answer and returns true, or returns false and
	// writes nothing if the request is no challenge.
	AnswerChallenge(w http.ResponseWriter, r *http.Request, body []byte) bool
}

// Delivery is one incoming webhook request as it came.
type Delivery struct {
	Ref        Ref
	Method     string
	URL        *url.URL
	Header     http.Header
	Body       []byte
	ReceivedAt time.Time
}

// Event is what a delivery says happened.
type Event struct {
	ID      string // the provider's id of the event; empty if it has none
	Type    string // the provider's name of what happened
	Record  Record // whom it concerns; Data is nil where the delivery is only a hint
	At      time.Time
	Payload json.RawMessage // the provider's own JSON, if it is JSON
}
