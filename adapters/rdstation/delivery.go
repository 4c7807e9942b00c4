package rdstation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

const (
	// tokenParameter carries the secret in the address of a webhook: the provider
	// proves nothing by itself (sheet 7.5).
	tokenParameter = "token"
	// KeyHeader is the header in which CRM deliveries carry the secret (sheet 7.5).
	KeyHeader = "X-Enlace-Key"
	maxLeads  = 1000 // of one delivery in the old form
)

// The types of Marketing's webhooks (sheet 7.1).
const (
	EventConverted         = "WEBHOOK.CONVERTED"
	EventMarkedOpportunity = "WEBHOOK.MARKED_OPPORTUNITY"
	EventLeads             = "leads" // in the old form, which names no type (sheet 7.3)
)

// Verifier implements enlace.WebhookReceiver: the secret stands in the address, as
// "token". The provider signs nothing, so that a delivery says who sent it and not
// what is true: read the contact again before you trust it.
func (*Marketing) Verifier() enlace.Verifier { return enlace.TokenVerifier{Query: tokenParameter} }

// Verifier implements enlace.WebhookReceiver: the secret comes back in [KeyHeader].
func (CRM) Verifier() enlace.Verifier { return enlace.TokenVerifier{Header: KeyHeader} }

// Verifier implements enlace.WebhookReceiver; see [Marketing.Verifier].
func (CRMv1) Verifier() enlace.Verifier { return enlace.TokenVerifier{Query: tokenParameter} }

// ParseWebhook implements enlace.WebhookReceiver for both of Marketing's forms and
// for the CRM's, all of which may come to the same address (sheet 7.2, 7.3, 7.6 and
// Q12). The records are contacts without data; what the delivery says of them is in
// the payload. The ids are made of what stays the same when a delivery is repeated.
// Errors match ErrProtocol.
func (*Marketing) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	return parseDelivery(d.Body)
}

// ParseWebhook implements enlace.WebhookReceiver: one event, of the entity that its
// type names (sheet 7.6). The record has no data; what the delivery says of it is in
// the payload. Errors match ErrProtocol.
func (CRM) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	return parseDelivery(d.Body)
}

// ParseWebhook implements enlace.WebhookReceiver; see [CRM.ParseWebhook].
func (CRMv1) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	return parseDelivery(d.Body)
}

// AnswerChallenge implements enlace.WebhookChallenger: before it stores an address
// the provider calls it, with a body that is not documented, and wants 2xx (sheet
// 7.1). Whatever can be no event is answered so.
func (*Marketing) AnswerChallenge(w http.ResponseWriter, r *http.Request, body []byte) bool {
	switch string(bytes.TrimSpace(body)) {
	case "", "{}", "[]", "null", `""`:
	default:
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return false
		}
	}
	w.WriteHeader(http.StatusOK)
	return true
}

func parseDelivery(body []byte) ([]enlace.Event, error) {
	if rawjson.Valid(body) != nil {
		return nil, badDelivery()
	}
	members := exactMembers(body)
	switch {
	case members["leads"] != nil:
		return parseLeads(members["leads"])
	case members["event_name"] != nil:
		return parseDocument(body, members)
	case members["contact"] != nil:
		return parseContact(body, members)
	default:
		return nil, badDelivery()
	}
}

func badDelivery() error {
	return &enlace.Error{Op: "parse webhook", Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan, Err: errors.New("the body is no event of the provider's")}
}

// exactMembers are the members of an object; of a repeated name the last counts.
func exactMembers(raw []byte) map[string]json.RawMessage {
	s := rawjson.NewScanner(raw)
	if s.Kind() != rawjson.KindObject {
		return nil
	}
	members := map[string]json.RawMessage{}
	for name := range s.Object() {
		if len(members) == maxMembers {
			break
		}
		members[string(name)] = s.Value()
	}
	return members
}

// parseContact reads a conversion or an opportunity (sheet 7.2).
func parseContact(body []byte, members map[string]json.RawMessage) ([]enlace.Event, error) {
	text := func(name string) string { s, _ := rawjson.String(members[name]); return s }
	raw, _ := rawjson.Get(members["contact"], "uuid") // valid: it is part of the body
	uuid, _ := rawjson.String(raw)
	kind := strings.ToUpper(text("event_type"))
	if uuid == "" || kind == "" {
		return nil, badDelivery()
	}
	at := parseTime(text("event_timestamp"))
	return []enlace.Event{{
		ID: digest(uuid, kind, text("event_identifier"), text("event_timestamp")), Type: kind, At: at,
		Record: enlace.Record{Entity: "contacts", ID: uuid}, Payload: body,
	}}, nil
}

// parseLeads reads the old form (sheet 7.3).
func parseLeads(raw []byte) ([]enlace.Event, error) {
	var events []enlace.Event
	for element, err := range rawjson.Elements(raw) {
		var lead struct {
			UUID string `json:"uuid"`
			Last struct {
				CreatedAt string `json:"created_at"`
				Content   struct {
					Identifier string `json:"identificador"`
				} `json:"content"`
			} `json:"last_conversion"`
		}
		if err != nil || len(events) == maxLeads || json.Unmarshal(element, &lead) != nil || lead.UUID == "" {
			return nil, badDelivery()
		}
		events = append(events, enlace.Event{
			ID: digest(lead.UUID, lead.Last.CreatedAt, lead.Last.Content.Identifier), Type: EventLeads, At: parseTime(lead.Last.CreatedAt),
			Record: enlace.Record{Entity: "contacts", ID: lead.UUID}, Payload: element,
		})
	}
	if len(events) == 0 {
		return nil, badDelivery()
	}
	return events, nil
}

// documents are the entities by their names in the CRM's events (sheet 7.6).
var documents = map[string]string{
	"deal": "deals", "contact": "contacts", "organization": "organizations", "task": "tasks", "product": "products",
	"campaign": "campaigns", "source": "sources", "lost_reason": "lost_reasons",
}

// parseDocument reads an event of the CRM (sheet 7.6).
func parseDocument(body []byte, members map[string]json.RawMessage) ([]enlace.Event, error) {
	name, _ := rawjson.String(members["event_name"])
	rest, isCRM := strings.CutPrefix(strings.ToLower(name), "crm_")
	cut := strings.LastIndexByte(rest, '_')
	raw, _ := rawjson.Get(members["document"], "id")
	id, _ := rawjson.ID(raw)
	if !isCRM || cut < 0 || documents[rest[:cut]] == "" || id == "" {
		return nil, badDelivery()
	}
	stamp, _ := rawjson.String(members["event_timestamp"])
	transaction, _ := rawjson.String(members["transaction_uuid"])
	e := enlace.Event{ID: transaction, Type: "crm_" + rest, At: parseTime(stamp), Payload: body,
		Record: enlace.Record{Entity: documents[rest[:cut]], ID: id}}
	if rest[cut:] == "_deleted" {
		e.Record.Deleted, e.Record.Modified = true, e.At
	}
	return []enlace.Event{e}, nil
}

// digest is a key of parts, the same for the same parts only.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		var size [8]byte
		for i := range size {
			size[i] = byte(len(part) >> (8 * i))
		}
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ContactEvent is the payload of Marketing's webhooks (sheet 7.2); the contact is
// as it was when the delivery was sent, not when the event happened.
type ContactEvent struct {
	Type       string       `json:"event_type"`
	Identifier string       `json:"event_identifier"` // of the conversion; "default" for opportunities
	SentAt     time.Time    `json:"timestamp"`
	At         time.Time    `json:"event_timestamp"`
	Contact    EventContact `json:"contact"`
}

// EventContact is a contact with what only webhooks tell about it.
type EventContact struct {
	Contact
	Company struct {
		Name string `json:"name"`
	}
	Funnel *Funnel // nil unless the webhook was made to send it
}

// UnmarshalJSON reads the contact and what comes with it.
func (e *EventContact) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &e.Contact); err != nil {
		return err
	}
	rest := struct {
		Company *struct {
			Name string `json:"name"`
		} `json:"company"`
		Funnel *Funnel `json:"funnel"`
	}{}
	if err := json.Unmarshal(data, &rest); err != nil {
		return err
	}
	if rest.Company != nil {
		e.Company.Name = rest.Company.Name
	}
	e.Funnel = rest.Funnel
	return nil
}
