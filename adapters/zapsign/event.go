package zapsign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// The types of events (sheet 5.2).
const (
	EventCreated             = "doc_created"
	EventSigned              = "doc_signed" // one signature, or the file was made again: Document.State tells how far it is
	EventRefused             = "doc_refused"
	EventDeleted             = "doc_deleted"
	EventSignerCreated       = "created_signer"
	EventNotificationSent    = "signature_notification_sent"
	EventViewed              = "doc_viewed"
	EventReadConfirmed       = "doc_read_confirmation"
	EventSignerAuthFailed    = "signer_authentication_failed"
	EventExpired             = "doc_expired"
	EventExpirationAlert     = "doc_expiration_alert" // 7, 3 and 1 days before
	EventEmailBounce         = "email_bounce"
	EventBackgroundCheckDone = "background_check_completed"
)

// EventTypes lists the types of events. ZapSign adds new ones at any time.
func EventTypes() []string {
	return []string{EventCreated, EventSigned, EventRefused, EventDeleted, EventSignerCreated, EventNotificationSent, EventViewed,
		EventReadConfirmed, EventSignerAuthFailed, EventExpired, EventExpirationAlert, EventEmailBounce, EventBackgroundCheckDone}
}

// maxEventBody bounds the body of a delivery: a document with all its signers,
// whose signatures may be images.
const maxEventBody = 8 << 20

// Event is what a webhook delivery says (sheet 5.3). It is a hint: read the
// document before acting on it. Links in it go stale within an hour.
type Event struct {
	Type string
	// Document is the main document, also for events about extra ones; nil for
	// bounces and background checks.
	Document *Document
	// Signer is whom the event is about, where it is about one: who signed, viewed,
	// read, was added, was notified, or failed to authenticate.
	Signer *Signer

	NotificationType    string // such as request
	NotificationChannel string // email or whatsapp
	SentAt              time.Time

	Expiration time.Time // the deadline, in EventExpired and EventExpirationAlert

	MaxAttempts, AttemptsUsed int    // in EventSignerAuthFailed
	FailureReason             string // in EventSignerAuthFailed

	Bounce *Bounce          // in EventEmailBounce
	Check  *BackgroundCheck // in EventBackgroundCheckDone
}

// Bounce is an e-mail that did not arrive.
type Bounce struct {
	Email       string `json:"email"`
	SignerToken string `json:"token"`
	Type        string `json:"type"`
	Status      string `json:"status"`
	Error       string `json:"error"`
	Delivered   bool   `json:"delivered"`
}

// ParseEvent reads the body of a delivery that was verified. Unknown types are no
// error, since ZapSign adds some without notice: Type is set, and Document where
// there is a document's token. Errors: ErrProtocol for what is no event.
func ParseEvent(body []byte) (Event, error) {
	const op = "parse webhook"
	if len(body) > maxEventBody {
		return Event{}, protocol(op, "the body is too long", nil)
	}
	var extra struct {
		Type    string   `json:"event_type"`
		Token   string   `json:"token"`
		Signed  *subject `json:"signer_who_signed"`
		Created *subject `json:"created_signer"`
		Viewed  *subject `json:"signer_who_viewed"`
		Read    *subject `json:"signer_who_read"`
		Failed  *subject `json:"unauthenticated_signer"`
		notice
		Expiration Time `json:"expiration_date"`
	}
	if err := json.Unmarshal(body, &extra); err != nil || extra.Type == "" {
		return Event{}, protocol(op, "the body is no event", nil)
	}
	e := Event{Type: extra.Type, Expiration: extra.Expiration.Time}
	e.take(extra.notice)
	for _, s := range []*subject{extra.Signed, extra.Created, extra.Viewed, extra.Read, extra.Failed} {
		if s != nil && e.Signer == nil {
			e.Signer = &s.Signer
			e.take(s.notice)
		}
	}
	var err error
	switch {
	case e.Type == EventEmailBounce:
		e.Bounce, err = part[Bounce](body)
	case e.Type == EventBackgroundCheckDone:
		e.Check, err = part[BackgroundCheck](body)
	case extra.Token != "":
		e.Document, err = part[Document](body)
	case slices.Contains(EventTypes(), e.Type):
		return Event{}, protocol(op, "the event names no document", nil)
	}
	if err != nil {
		return Event{}, protocol(op, "the event is not of the expected form", nil)
	}
	if e.Signer != nil && e.Document != nil {
		e.Signer.DocumentToken = e.Document.Token
	}
	return e, nil
}

// subject is the signer whom an event is about.
type subject struct {
	Signer
	notice
}

// notice is what some events say beside or within their signer: samples show both.
type notice struct {
	NotificationType    string `json:"notification_type"`
	NotificationChannel string `json:"notification_channel"`
	SentAt              Time   `json:"sent_at"`
	MaxAttempts         int    `json:"max_attempts"`
	AttemptsUsed        int    `json:"attempts_used"`
	FailureReason       string `json:"authentication_failure_reason"`
}

// take fills in a notice, unless it is empty.
func (e *Event) take(n notice) {
	if n == (notice{}) {
		return
	}
	e.NotificationType, e.NotificationChannel, e.SentAt = n.NotificationType, n.NotificationChannel, n.SentAt.Time
	e.MaxAttempts, e.AttemptsUsed, e.FailureReason = n.MaxAttempts, n.AttemptsUsed, n.FailureReason
}

func part[T any](body []byte) (*T, error) {
	var value T
	err := json.Unmarshal(body, &value)
	return &value, err
}

// At is when it happened, as far as the event tells.
func (e Event) At() time.Time {
	switch {
	case !e.SentAt.IsZero():
		return e.SentAt
	case e.Check != nil:
		return e.Check.LastUpdateAt.Time
	case e.Document == nil:
		return time.Time{}
	case e.Type == EventSigned && e.Signer != nil && !e.Signer.SignedAt.IsZero():
		return e.Signer.SignedAt.Time
	case (e.Type == EventViewed || e.Type == EventReadConfirmed) && e.Signer != nil && !e.Signer.LastViewAt.IsZero():
		return e.Signer.LastViewAt.Time
	case e.Type == EventDeleted && !e.Document.DeletedAt.IsZero():
		return e.Document.DeletedAt.Time
	case e.Type == EventCreated:
		return e.Document.CreatedAt.Time
	}
	return e.Document.LastUpdateAt.Time
}

// ID tells repetitions of an event: it is equal for two deliveries of one event,
// although ZapSign gives events no id and writes other links into each delivery
// (sheet 5.5). It is empty where nothing in the event tells it from the next of
// its kind: bounces, the three alerts before a deadline, and unknown types.
func (e Event) ID() string {
	var parts []string
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	switch {
	case e.Check != nil && e.Check.ID != "":
		parts = []string{e.Check.ID, e.Check.Status, stamp(e.Check.LastUpdateAt.Time)}
	case e.Document == nil, e.Document.LastUpdateAt.IsZero(), e.Type == EventExpirationAlert, !slices.Contains(EventTypes(), e.Type):
		return ""
	default:
		parts = []string{e.Document.Token, e.Document.Status, stamp(e.Document.LastUpdateAt.Time), stamp(e.SentAt), stamp(e.Expiration)}
	}
	if s := e.Signer; s != nil {
		parts = append(parts, s.Token, stamp(s.SignedAt.Time), stamp(s.LastViewAt.Time))
	}
	sum := sha256.Sum256([]byte(e.Type + "\x00" + strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// ParseWebhook implements enlace.WebhookReceiver by [ParseEvent]. The event names
// the document, or after a bounce the signer, without its data: read it by Fetch.
// Background checks and events of unknown form name no record. At is when the
// delivery came where the event does not tell; ID is [Event.ID].
func (Adapter) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	e, err := ParseEvent(d.Body)
	if err != nil {
		return nil, err
	}
	event := enlace.Event{ID: e.ID(), Type: e.Type, At: e.At(), Payload: d.Body}
	switch {
	case e.Document != nil:
		event.Record = enlace.Record{Entity: Documents, ID: e.Document.Token, Modified: e.Document.LastUpdateAt.Time}
	case e.Bounce != nil && e.Bounce.SignerToken != "":
		event.Record = enlace.Record{Entity: Signers, ID: e.Bounce.SignerToken}
	}
	if event.At.IsZero() {
		event.At = d.ReceivedAt
	}
	return []enlace.Event{event}, nil
}
