package bitrix24

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// The events of the application's own life (sheet 6.2, 6.3).
const (
	EventInstall       = "ONAPPINSTALL"
	EventUpdate        = "ONAPPUPDATE"
	EventUninstall     = "ONAPPUNINSTALL"
	EventPayment       = "ONAPPPAYMENT"
	EventMethodConfirm = "ONAPPMETHODCONFIRM" // an administrator has decided about a method
	EventTest          = "ONAPPTEST"
	EventOffline       = "ONOFFLINEEVENT" // there are new offline events; see ReserveOffline
)

// CRMEvents lists the events about the entities of this adapter (sheet 6.2).
func CRMEvents() []string {
	var names []string
	for _, object := range []string{"COMPANY", "CONTACT", "DEAL", "LEAD", "DYNAMICITEM"} {
		for _, verb := range []string{"ADD", "UPDATE", "DELETE"} {
			names = append(names, "ONCRM"+object+verb)
		}
	}
	return append(names, "ONCRMDEALMOVETOCATEGORY")
}

// maxEventBody bounds the body of a delivery; real ones have a few kilobytes.
const maxEventBody = 1 << 20

// Event is what a delivery says (sheet 6.3). It is a hint: whoever knows the
// application token can send anything, and nothing tells what has changed.
type Event struct {
	Name      string // in capitals, such as ONCRMCONTACTUPDATE
	HandlerID string // of the subscription; empty for events of the application's life
	// Entity and ID say whom it is about, where that is a record of this adapter's
	// entities; Entity is empty otherwise. ID may be that of something else, such as
	// an activity.
	Entity string
	ID     string
	SentAt time.Time         // not when it happened
	Data   map[string]string // the rest by its names: "FIELDS[ID]", "VERSION", "CLEAN"
	Auth   EventAuth
}

// EventAuth is what an event says about its sender (sheet 6.3). Nothing of it is true
// because it stands there.
type EventAuth struct {
	MemberID         string // the portal's lasting id
	Portal           string // its host
	ClientEndpoint   string // address of the portal's REST
	ServerEndpoint   string // address of the authorization server's REST
	Status           string
	Scopes           []string
	UserID           string
	AccessToken      enlace.Secret // of the acting user; zero where there is none
	RefreshToken     enlace.Secret // in installations and updates
	ApplicationToken enlace.Secret // proves the sender; zero in EventPayment
	Expires          time.Time     // of the access token; zero if unknown
}

// ParseEvent reads the body of a delivery (sheet 6.3): every event of the CRM and of
// the application's life. Unknown names are no error. It verifies nothing. Errors:
// ErrProtocol for what is no event.
func ParseEvent(body []byte) (Event, error) {
	form, err := parseForm(body)
	if err != nil {
		return Event{}, err
	}
	e := Event{Name: strings.ToUpper(form.Get("event")), HandlerID: form.Get("event_handler_id"), Data: map[string]string{}}
	if e.Name == "" {
		return Event{}, badEvent("the body is no event")
	}
	if seconds, err := strconv.ParseInt(form.Get("ts"), 10, 64); err == nil && seconds > 0 {
		e.SentAt = time.Unix(seconds, 0)
	}
	for name := range form {
		if rest, ok := strings.CutPrefix(name, "data["); ok {
			first, more, _ := strings.Cut(rest, "]")
			e.Data[first+more] = form.Get(name)
		}
	}
	e.ID = digits(e.Data["FIELDS[ID]"])
	e.Entity = eventEntity(e.Name, digits(e.Data["FIELDS[ENTITY_TYPE_ID]"]))
	if e.ID == "" {
		e.Entity = ""
	}
	e.Auth = eventAuth(form)
	return e, nil
}

// parseForm reads a form in which every name that decides something stands once.
func parseForm(body []byte) (url.Values, error) {
	if len(body) > maxEventBody {
		return nil, badEvent("the body is too long")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badEvent("the body is no form")
	}
	for name, values := range form {
		if len(values) > 1 && !strings.HasSuffix(name, "[]") {
			return nil, badEvent("a name stands twice in the form")
		}
	}
	return form, nil
}

func badEvent(problem string) error {
	return &enlace.Error{Provider: Name, Op: "parse webhook", Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan, Message: problem}
}

func eventAuth(form url.Values) EventAuth {
	get := func(name string) string { return form.Get("auth[" + name + "]") }
	a := EventAuth{
		MemberID: get("member_id"), Portal: get("domain"), ClientEndpoint: get("client_endpoint"), ServerEndpoint: get("server_endpoint"),
		Status: get("status"), Scopes: scopes(get("scope")), UserID: digits(get("user_id")),
		AccessToken: enlace.NewSecret(get("access_token")), RefreshToken: enlace.NewSecret(get("refresh_token")),
		ApplicationToken: enlace.NewSecret(get("application_token")),
	}
	if unix, err := strconv.ParseInt(get("expires"), 10, 64); err == nil && unix > 0 {
		a.Expires = time.Unix(unix, 0)
	} else {
		a.Expires = expiry(get("expires_in"), form.Get("ts"))
	}
	return a
}

// expiry is when a token ends that lives for so many seconds from the Unix time since,
// or from now if that is none. It is zero if the life is unknown or absurd.
func expiry(life, since string) time.Time {
	seconds, err := strconv.ParseInt(life, 10, 64)
	if err != nil || seconds <= 0 || seconds > 1e9 {
		return time.Time{}
	}
	start := time.Now()
	if unix, err := strconv.ParseInt(since, 10, 64); err == nil && unix > 0 && unix < start.Unix() {
		start = time.Unix(unix, 0)
	}
	return start.Add(time.Duration(seconds) * time.Second)
}

// scopes splits a list of scopes, which comes with commas or with spaces (Q34).
func scopes(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// digits is text if it is a number above 0 as ids are written, else "".
func digits(text string) string {
	if n, err := parseID(text); err != nil || n <= 0 || strconv.FormatInt(n, 10) != text {
		return ""
	}
	return text
}

// eventEntity is the entity that an event is about; "" if it is none of ours. Events of
// smart processes name the kind in their data, or at their end (sheet 6.2).
func eventEntity(name, typeID string) string {
	object, ok := strings.CutPrefix(name, "ONCRM")
	if !ok {
		return ""
	}
	if before, after, found := strings.Cut(object, "_"); found {
		object, typeID = before, digits(after)
	}
	if object == "DEALMOVETOCATEGORY" {
		return "deals"
	}
	for _, verb := range []string{"ADD", "UPDATE", "DELETE"} {
		switch of, _ := strings.CutSuffix(object, verb); {
		case of == object:
		case of == "DYNAMICITEM" && typeID != "":
			return "dynamic_" + typeID
		default:
			return map[string]string{"COMPANY": "companies", "CONTACT": "contacts", "DEAL": "deals", "LEAD": "leads", "QUOTE": "dynamic_7"}[of]
		}
	}
	return ""
}

// Verifier implements enlace.WebhookReceiver. Bitrix24 signs nothing; the only proof is
// the application token, which an application gets when it is installed (see
// [VerifyInstall]) and which an outgoing webhook shows in its settings (sheet 6.4).
// [EventPayment] comes without it and is refused: ask [GetAppInfo] now and then.
func (Adapter) Verifier() enlace.Verifier {
	return enlace.TokenVerifier{Form: "auth[application_token]"}
}

// ParseWebhook implements enlace.WebhookReceiver by [ParseEvent]. A delivery is one
// event, and a hint: its record has no data and is never a tombstone; read it by Fetch,
// which tells whether it is gone. Events about other things than records have a type
// only. The event has no ID, since Bitrix24 gives none and its time is that of sending:
// two changes within a second look the same, and the second must not be lost.
func (Adapter) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	e, err := ParseEvent(d.Body)
	if err != nil {
		return nil, err
	}
	event := enlace.Event{Type: e.Name, At: e.SentAt}
	if e.Entity != "" {
		event.Record = enlace.Record{Entity: e.Entity, ID: e.ID}
	}
	if event.At.IsZero() {
		event.At = d.ReceivedAt
	}
	return []enlace.Event{event}, nil
}

// eventOfJSON reads what an offline event holds: {"FIELDS": {"ID": …}}, or anything
// else, since it is not documented (sheet 6.6).
func eventOfJSON(name string, data json.RawMessage) (entity, id string) {
	var of struct {
		Fields fields `json:"FIELDS"`
	}
	if json.Unmarshal(data, &of) != nil {
		return "", ""
	}
	id = digits(of.Fields.text("ID"))
	entity = eventEntity(strings.ToUpper(name), digits(of.Fields.text("ENTITY_TYPE_ID")))
	if id == "" {
		return "", ""
	}
	return entity, id
}
