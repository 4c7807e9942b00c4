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
	// writes nothing if the request is no challenge. It is asked before the
	// delivery is verified, with whatever anybody sends, so it answers with
	// nothing that a browser would run. body is nil for GET and HEAD.
	AnswerChallenge(w http.ResponseWriter, r *http.Request, body []byte) bool
}

// EventPoller is implemented by adapters whose provider keeps events until they are
// fetched, such as Bitrix24's offline events. Without it events come by webhooks only.
type EventPoller interface {
	// PollEvents takes up to req.Limit events that the provider keeps for us. They
	// must stay there until AckEvents, and come again by a call with req.Recover
	// if it is never called.
	PollEvents(ctx context.Context, c *Conn, req PollRequest) (EventSet, error)
	// AckEvents tells the provider that the events of a set are durable here. It
	// may be called again for the same set.
	AckEvents(ctx context.Context, c *Conn, set EventSet) error
}

// PollRequest asks for events that the provider keeps.
type PollRequest struct {
	Limit int // at most so many; never 0
	// Recover asks for events that were taken before and not acknowledged, by a
	// process that died. It is set in the first call of each reader.
	Recover bool
}

// EventSet is what a provider has given out at once.
type EventSet struct {
	Token  string // what AckEvents needs; opaque
	Events []Event
	More   bool // there is more to take at once
}

// WebhookTerms are how a provider delivers. The zero value is the usual: any body,
// answered with 200.
type WebhookTerms struct {
	// Success is the status that the provider takes for a success; 0 is 200, which
	// all of them do.
	Success int
	// Gzip says that bodies may come compressed by gzip. The proof and everything
	// else is about the body as it is unpacked. Otherwise a compressed body is refused.
	Gzip bool
	// SentOnce says that the provider never repeats a delivery, so that equal ones tell
	// of different events. Otherwise an equal one that arrives while the first is worked
	// on counts as its repetition.
	SentOnce bool
	// OwnSecret says that the provider makes the proof and takes none of ours, so that
	// [Service.EnsureWebhook] needs to be given it, or finds it in the account's credential.
	OwnSecret bool
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
