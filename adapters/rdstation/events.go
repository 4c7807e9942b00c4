package rdstation

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// maxEventBody is the most that the provider takes in one request, in bytes (sheet 2.5).
const maxEventBody = 200_000

// Event is something that a contact did. The implementations are [Conversion],
// [Opportunity], [Sale], [OpportunityLost], [Chat], [Call], [MediaPlayback],
// [Checkout], [Order], [OrderCancelled], [OrderRefunded], [OrderFulfilled],
// [ShipmentDelivered] and, for whatever comes, [RawEvent].
type Event interface {
	// EventType is the provider's name of the event, such as CONVERSION.
	EventType() string
	// EventPayload marshals to the provider's payload, an object with an "email".
	EventPayload() any
}

// event is the body of one event (sheet 2.5).
type event struct {
	Type    string          `json:"event_type"`
	Family  string          `json:"event_family"`
	Payload json.RawMessage `json:"payload"`
}

func encodeEvent(e Event) (event, error) {
	payload, err := json.Marshal(e.EventPayload())
	if err != nil {
		return event{}, &enlace.Error{Op: "send event", Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeNotRun, Err: err}
	}
	return event{e.EventType(), "CDP", payload}, nil
}

// lead is the contact that the event counts against.
func (e event) lead() string {
	var payload struct {
		Email string `json:"email"`
		Phone string `json:"phone"`
	}
	_ = json.Unmarshal(e.Payload, &payload) // of another form: the provider will say so
	if payload.Email == "" {
		return payload.Phone
	}
	return strings.ToLower(payload.Email)
}

// Send records an event by POST /platform/events and returns its id (sheet 2.5;
// 120 a minute, 500 with the plan Advanced, and 120 a day for one contact).
//
// Accepted is not processed: the contact changes some time later. An event has no
// key by which the provider would know it again, so a Send whose outcome is not
// known is not repeated, and must not be by the caller who cannot bear it twice:
// the error's Outcome is OutcomeUnknown then.
//
// [Opportunity], [Sale] and [OpportunityLost] of a contact that does not exist are
// accepted and dropped: send a Conversion minutes before, or use
// [Marketing.SetFunnel]. Members of the payload that the account does not know are
// dropped as well. ErrInvalid for what the provider refuses, with its path in the
// message.
func (m *Marketing) Send(ctx context.Context, c *enlace.Conn, e Event) (id string, err error) {
	body, err := encodeEvent(e)
	if err != nil {
		return "", err
	}
	call := write(http.MethodPost, "platform/events", body, "send event")
	call.Query = url.Values{"event_type": {queryType(body.Type)}}
	return m.sendEvent(ctx, c, call, body)
}

// SendByKey records a conversion by POST /platform/conversions, the one route for
// integrations that are connected by an API key (sheet 2.5). Otherwise as
// [Marketing.Send]. ErrAuth for a key of another product.
func (m *Marketing) SendByKey(ctx context.Context, c *enlace.Conn, e Conversion) (id string, err error) {
	body, err := encodeEvent(e)
	if err != nil {
		return "", err
	}
	return m.sendEvent(ctx, c, write(http.MethodPost, conversionsPath, body, "send conversion"), body)
}

// sentEvent is what the provider tells about an event that it took.
type sentEvent struct {
	ID string `json:"event_uuid"`
}

func (m *Marketing) sendEvent(ctx context.Context, c *enlace.Conn, call enlace.Call, body event) (string, error) {
	if len(body.Payload) > maxEventBody {
		return "", tooLong()
	}
	answer, err := receive[sentEvent](ctx, m, c, request{call, []spend{{kind: eventKind}, {eventLead, body.lead()}}})
	if err == nil && answer.ID == "" {
		err = malformed(call.Op, errNotIt)
	}
	return answer.ID, err
}

func tooLong() error {
	return invalid("send event", "longer than the 200,000 bytes that the provider takes")
}

// queryType spells a type as the provider's documents do in the address.
func queryType(eventType string) string {
	if strings.HasPrefix(eventType, "ECOMMERCE_") {
		return eventType
	}
	return strings.ToLower(eventType)
}

// SendBatch records several events, of any types, by one POST
// /platform/events/batch and returns their ids in order (sheet 2.5; counts as one
// request, and for each contact). They are taken or refused together. The provider
// takes 0.2 MB; ErrInvalid for more. As for [Marketing.Send], a batch that may have
// run is not repeated.
func (m *Marketing) SendBatch(ctx context.Context, c *enlace.Conn, events ...Event) (ids []string, err error) {
	bodies := make([]event, len(events))
	for i, e := range events {
		if bodies[i], err = encodeEvent(e); err != nil {
			return nil, err
		}
	}
	return m.sendBatch(ctx, c, bodies)
}

func (m *Marketing) sendBatch(ctx context.Context, c *enlace.Conn, bodies []event) ([]string, error) {
	if len(bodies) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(bodies)
	if err != nil {
		return nil, invalid("send batch", "an event does not marshal to JSON")
	}
	if len(data) > maxEventBody {
		return nil, tooLong()
	}
	spends := []spend{{kind: eventKind}}
	for _, body := range bodies {
		spends = append(spends, spend{eventLead, body.lead()})
	}
	call := write(http.MethodPost, "platform/events/batch", json.RawMessage(data), "send batch")
	answer, err := receive[struct{ Events []sentEvent }](ctx, m, c, request{call, spends})
	if err != nil {
		return nil, err
	}
	if len(answer.Events) != len(bodies) {
		return nil, &enlace.Error{Op: "send batch", Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan, Message: "the answer has another number of events"}
	}
	ids := make([]string, len(bodies))
	for i, e := range answer.Events {
		ids[i] = e.ID
	}
	return ids, nil
}

// RawEvent is an event of any type with a payload of the caller's own.
type RawEvent struct {
	Type    string
	Payload any // marshals to the provider's payload
}

// EventType implements Event.
func (e RawEvent) EventType() string { return e.Type }

// EventPayload implements Event.
func (e RawEvent) EventPayload() any { return e.Payload }

// Conversion is a CONVERSION: the contact filled in a form, or did whatever the
// identifier stands for. It creates the contact if there is none. Identifier and
// Email are required.
type Conversion struct {
	Identifier          string       `json:"conversion_identifier"`
	Email               string       `json:"email"`
	Name                string       `json:"name,omitempty"`
	JobTitle            string       `json:"job_title,omitempty"`
	State               string       `json:"state,omitempty"`
	City                string       `json:"city,omitempty"`
	Country             string       `json:"country,omitempty"`
	PersonalPhone       string       `json:"personal_phone,omitempty"`
	MobilePhone         string       `json:"mobile_phone,omitempty"`
	Twitter             string       `json:"twitter,omitempty"`
	Facebook            string       `json:"facebook,omitempty"`
	LinkedIn            string       `json:"linkedin,omitempty"`
	Website             string       `json:"website,omitempty"`
	CompanyName         string       `json:"company_name,omitempty"`
	CompanySite         string       `json:"company_site,omitempty"`
	CompanyAddress      string       `json:"company_address,omitempty"`
	ClientTrackingID    string       `json:"client_tracking_id,omitempty"` // cookie _rdtrk
	TrafficSource       string       `json:"traffic_source,omitempty"`     // cookie __trf.src, or utm_source
	TrafficMedium       string       `json:"traffic_medium,omitempty"`
	TrafficCampaign     string       `json:"traffic_campaign,omitempty"`
	TrafficValue        string       `json:"traffic_value,omitempty"`
	Tags                []string     `json:"tags,omitempty"`                  // are added
	AvailableForMailing *bool        `json:"available_for_mailing,omitempty"` // can be set here only
	LegalBases          []LegalBasis `json:"legal_bases,omitempty"`
	// Custom holds custom fields by their identifiers, which begin with "cf_".
	Custom map[string]any `json:"-"`
}

// EventType implements Event.
func (Conversion) EventType() string { return "CONVERSION" }

// EventPayload implements Event.
func (e Conversion) EventPayload() any { return e }

// MarshalJSON puts the custom fields beside the others.
func (e Conversion) MarshalJSON() ([]byte, error) {
	type plain Conversion
	return marshalWith(plain(e), e.Custom)
}

// Opportunity is an OPPORTUNITY: it marks the contact, which must exist.
type Opportunity struct {
	Email string `json:"email"`
}

// EventType implements Event.
func (Opportunity) EventType() string { return "OPPORTUNITY" }

// EventPayload implements Event.
func (e Opportunity) EventPayload() any {
	return struct {
		Opportunity
		Funnel string `json:"funnel_name"`
	}{e, defaultFunnel}
}

// Sale is a SALE: the opportunity was won. The contact must exist.
type Sale struct {
	Email string  `json:"email"`
	Value float64 `json:"value,omitempty"`
}

// EventType implements Event.
func (Sale) EventType() string { return "SALE" }

// EventPayload implements Event.
func (e Sale) EventPayload() any {
	return struct {
		Sale
		Funnel string `json:"funnel_name"`
	}{e, defaultFunnel}
}

// OpportunityLost is an OPPORTUNITY_LOST. The contact must exist.
type OpportunityLost struct {
	Email  string `json:"email"`
	Reason string `json:"reason,omitempty"`
}

// EventType implements Event.
func (OpportunityLost) EventType() string { return "OPPORTUNITY_LOST" }

// EventPayload implements Event.
func (e OpportunityLost) EventPayload() any {
	return struct {
		OpportunityLost
		Funnel string `json:"funnel_name"`
	}{e, defaultFunnel}
}

// defaultFunnel is the only funnel there is (sheet 2.5).
const defaultFunnel = "default"

// Chat is a CHAT_STARTED, or a CHAT_FINISHED if it is Finished. Email, Subject and
// Status are required, and Transcript for one that is finished.
type Chat struct {
	Finished      bool         `json:"-"`
	Email         string       `json:"email"`
	Subject       string       `json:"chat_subject"`
	Status        string       `json:"cf_chat_status"`
	Type          string       `json:"cf_chat_type,omitempty"`
	Transcript    string       `json:"cf_chat_transcript_message,omitempty"`
	Birthdate     string       `json:"cf_birthdate,omitempty"`
	Gender        string       `json:"cf_gender,omitempty"`
	Name          string       `json:"name,omitempty"`
	CompanyName   string       `json:"company_name,omitempty"`
	JobTitle      string       `json:"job_title,omitempty"`
	PersonalPhone string       `json:"personal_phone,omitempty"`
	MobilePhone   string       `json:"mobile_phone,omitempty"`
	LegalBases    []LegalBasis `json:"legal_bases,omitempty"`
}

// EventType implements Event.
func (e Chat) EventType() string {
	if e.Finished {
		return "CHAT_FINISHED"
	}
	return "CHAT_STARTED"
}

// EventPayload implements Event.
func (e Chat) EventPayload() any { return e }

// Call is a CALL_FINISHED. Email, From and Status are required.
type Call struct {
	Email             string       `json:"email"`
	From              string       `json:"call_from_number"`
	Status            string       `json:"call_status"`
	StatusDescription string       `json:"call_status_description,omitempty"`
	UserEmail         string       `json:"call_user_email,omitempty"`
	StartedAt         *time.Time   `json:"call_started_at,omitempty"`
	Duration          string       `json:"call_duration,omitempty"` // in seconds, as text
	Type              string       `json:"call_type,omitempty"`     // Inbound or Outbound
	PhoneType         string       `json:"call_phone_type,omitempty"`
	Carrier           string       `json:"call_carrier,omitempty"`
	Record            string       `json:"call_record,omitempty"`
	Name              string       `json:"name,omitempty"`
	CompanyName       string       `json:"company_name,omitempty"`
	CompanySite       string       `json:"company_site,omitempty"`
	JobTitle          string       `json:"job_title,omitempty"`
	PersonalPhone     string       `json:"personal_phone,omitempty"`
	LegalBases        []LegalBasis `json:"legal_bases,omitempty"`
}

// EventType implements Event.
func (Call) EventType() string { return "CALL_FINISHED" }

// EventPayload implements Event.
func (e Call) EventPayload() any { return e }

// MediaPlayback is a MEDIA_PLAYBACK_STARTED, or a MEDIA_PLAYBACK_STOPPED if it is
// Stopped. Email, Type and Identifier are required.
type MediaPlayback struct {
	Stopped     bool         `json:"-"`
	Email       string       `json:"email"`
	Type        string       `json:"media_type"`
	Identifier  string       `json:"media_identifier"`
	Metadata    any          `json:"media_metadata,omitempty"`
	Recorded    *bool        `json:"media_recorded_content,omitempty"`
	Category    string       `json:"media_category,omitempty"`
	Duration    int          `json:"media_duration,omitempty"`
	PublishedAt string       `json:"media_published_date_timestamp,omitempty"`
	LegalBases  []LegalBasis `json:"legal_bases,omitempty"`
}

// EventType implements Event.
func (e MediaPlayback) EventType() string {
	if e.Stopped {
		return "MEDIA_PLAYBACK_STOPPED"
	}
	return "MEDIA_PLAYBACK_STARTED"
}

// EventPayload implements Event.
func (e MediaPlayback) EventPayload() any { return e }

// LineItem is one product of an order or a cart; 20 at most.
type LineItem struct {
	ProductID    string   `json:"product_id"`
	ProductTitle string   `json:"product_title"`
	Price        float64  `json:"price"`
	Quantity     int      `json:"quantity"` // 1 at least
	ProductURL   string   `json:"product_url,omitempty"`
	VariantID    string   `json:"variant_id,omitempty"`
	VariantTitle string   `json:"variant_title,omitempty"`
	SKU          string   `json:"sku,omitempty"`
	ImageURL     string   `json:"image_url,omitempty"`
	Categories   []string `json:"categories,omitempty"` // 10 at most
}

// Checkout is an ECOMMERCE_CHECKOUT_STARTED, or an ECOMMERCE_CART_ABANDONED if it
// is Abandoned. Everything up to TotalItems is required.
type Checkout struct {
	Abandoned     bool         `json:"-"`
	Email         string       `json:"email"`
	Identifier    string       `json:"identifier"`
	CheckoutURL   string       `json:"checkout_url"`
	Currency      string       `json:"currency"` // ARS BRL CAD CLP COP EUR MXN PEN USD UYU
	Price         float64      `json:"price"`
	TotalItems    int          `json:"total_items"` // 1 at least
	LineItems     []LineItem   `json:"line_items,omitempty"`
	Name          string       `json:"name,omitempty"`
	MobilePhone   string       `json:"mobile_phone,omitempty"`
	PersonalPhone string       `json:"personal_phone,omitempty"`
	LegalBases    []LegalBasis `json:"legal_bases,omitempty"`
}

// EventType implements Event.
func (e Checkout) EventType() string {
	if e.Abandoned {
		return "ECOMMERCE_CART_ABANDONED"
	}
	return "ECOMMERCE_CHECKOUT_STARTED"
}

// EventPayload implements Event.
func (e Checkout) EventPayload() any { return e }

// Order is an ECOMMERCE_ORDER_PLACED, or an ECOMMERCE_ORDER_PAID if it is Paid.
// Everything up to TotalItems is required.
type Order struct {
	Paid            bool         `json:"-"`
	Email           string       `json:"email"`
	Identifier      string       `json:"identifier"`
	Currency        string       `json:"currency"` // as of Checkout
	Price           float64      `json:"price"`
	TotalItems      int          `json:"total_items"`
	ShippingPrice   float64      `json:"shipping_price,omitempty"`
	ShippingCity    string       `json:"shipping_city,omitempty"`
	ShippingState   string       `json:"shipping_state,omitempty"`
	ShippingCountry string       `json:"shipping_country,omitempty"`
	OrderURL        string       `json:"order_url,omitempty"`
	PaymentMethods  []string     `json:"payment_methods,omitempty"` // 5 at most
	LineItems       []LineItem   `json:"line_items,omitempty"`
	Name            string       `json:"name,omitempty"`
	MobilePhone     string       `json:"mobile_phone,omitempty"`
	PersonalPhone   string       `json:"personal_phone,omitempty"`
	LegalBases      []LegalBasis `json:"legal_bases,omitempty"`
}

// EventType implements Event.
func (e Order) EventType() string {
	if e.Paid {
		return "ECOMMERCE_ORDER_PAID"
	}
	return "ECOMMERCE_ORDER_PLACED"
}

// EventPayload implements Event.
func (e Order) EventPayload() any { return e }

// OrderCancelled is an ECOMMERCE_ORDER_CANCELLED.
type OrderCancelled struct {
	Email      string `json:"email"`
	Identifier string `json:"identifier"`
	Reason     string `json:"cancel_reason,omitempty"` // customer, declined, fraud, inventory or other
}

// EventType implements Event.
func (OrderCancelled) EventType() string { return "ECOMMERCE_ORDER_CANCELLED" }

// EventPayload implements Event.
func (e OrderCancelled) EventPayload() any { return e }

// OrderRefunded is an ECOMMERCE_ORDER_REFUNDED.
type OrderRefunded struct {
	Email      string `json:"email"`
	Identifier string `json:"identifier"`
}

// EventType implements Event.
func (OrderRefunded) EventType() string { return "ECOMMERCE_ORDER_REFUNDED" }

// EventPayload implements Event.
func (e OrderRefunded) EventPayload() any { return e }

// OrderFulfilled is an ECOMMERCE_ORDER_FULFILLED.
type OrderFulfilled struct {
	Email           string `json:"email"`
	Identifier      string `json:"identifier"`
	OrderIdentifier string `json:"order_identifier,omitempty"`
	TrackingCompany string `json:"tracking_company,omitempty"`
	TrackingCode    string `json:"tracking_code,omitempty"`
	TrackingURL     string `json:"tracking_url,omitempty"`
}

// EventType implements Event.
func (OrderFulfilled) EventType() string { return "ECOMMERCE_ORDER_FULFILLED" }

// EventPayload implements Event.
func (e OrderFulfilled) EventPayload() any { return e }

// ShipmentDelivered is an ECOMMERCE_SHIPMENT_DELIVERED.
type ShipmentDelivered struct {
	Email           string `json:"email"`
	Identifier      string `json:"identifier"`
	OrderIdentifier string `json:"order_identifier"`
}

// EventType implements Event.
func (ShipmentDelivered) EventType() string { return "ECOMMERCE_SHIPMENT_DELIVERED" }

// EventPayload implements Event.
func (e ShipmentDelivered) EventPayload() any { return e }
