package rdstation

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// Identifier names a contact: by [ByUUID], [ByEmail] or [ByPhone]. The zero value
// names none.
type Identifier struct{ field, value string }

// ByUUID names a contact by the id that it keeps for life.
func ByUUID(uuid string) Identifier { return Identifier{"uuid", strings.TrimSpace(uuid)} }

// ByEmail names a contact by its e-mail address, which is unique in an account and
// compared without regard to case.
func ByEmail(email string) Identifier {
	return Identifier{"email", strings.ToLower(strings.TrimSpace(email))}
}

// ByPhone names a contact by its phone in the form E.164, such as +5581999990000.
func ByPhone(phone string) Identifier { return Identifier{"phone", strings.TrimSpace(phone)} }

// String is "uuid:…", "email:…" or "phone:…"; [ParseIdentifier] reads it.
func (i Identifier) String() string { return i.field + ":" + i.value }

// ParseIdentifier reads what String writes; a text without a field is a UUID.
// It is the form of the id of a mutation of contacts. Errors: ErrInvalid.
func ParseIdentifier(text string) (Identifier, error) {
	field, value, found := strings.Cut(text, ":")
	var id Identifier
	switch {
	case !found:
		id = ByUUID(text)
	case field == "uuid":
		id = ByUUID(value)
	case field == "email":
		id = ByEmail(value)
	case field == "phone":
		id = ByPhone(value)
	}
	return id, id.check()
}

func (i Identifier) check() error {
	ok := false
	switch i.field {
	case "uuid":
		ok = idForm.MatchString(i.value)
	case "email":
		ok = strings.Contains(i.value, "@") && len(i.value) <= 320 && !strings.ContainsFunc(i.value, func(r rune) bool { return r <= ' ' })
	case "phone":
		ok = len(i.value) > 1 && len(i.value) <= 32 && strings.Trim(i.value, "+0123456789") == ""
	}
	if !ok {
		return invalid("address a contact", "the identifier is no UUID, e-mail address or phone")
	}
	return nil
}

// path is where the contact is. "@" and "+" stay as they are (sheet Q32).
func (i Identifier) path(below string) string {
	return "platform/contacts/" + i.field + ":" + url.PathEscape(i.value) + below
}

// Contact is a contact of Marketing (sheet 4). Zero fields are left out when it is
// written; to empty a field give a map to [Marketing.UpdateContact] instead.
type Contact struct {
	UUID          string       `json:"uuid,omitempty"`
	Email         string       `json:"email,omitempty"`
	Phone         string       `json:"phone,omitempty"` // E.164; an identifier, apart from the two below
	Name          string       `json:"name,omitempty"`
	JobTitle      string       `json:"job_title,omitempty"`
	Bio           string       `json:"bio,omitempty"`
	Website       string       `json:"website,omitempty"`
	City          string       `json:"city,omitempty"`
	State         string       `json:"state,omitempty"`
	Country       string       `json:"country,omitempty"`
	Birthdate     string       `json:"birthdate,omitempty"` // 2006-01-02
	PersonalPhone string       `json:"personal_phone,omitempty"`
	MobilePhone   string       `json:"mobile_phone,omitempty"`
	Twitter       string       `json:"twitter,omitempty"`
	Facebook      string       `json:"facebook,omitempty"`
	LinkedIn      string       `json:"linkedin,omitempty"`
	Tags          []string     `json:"tags,omitempty"` // lower case
	ExtraEmails   []string     `json:"extra_emails,omitempty"`
	LegalBases    []LegalBasis `json:"legal_bases,omitempty"`
	// Custom holds the custom fields by their identifiers, which begin with "cf_":
	// strings, json.Number, booleans and lists of strings when read.
	Custom map[string]any `json:"-"`
}

// LegalBasis is a permission to process personal data (sheet 2.9).
type LegalBasis struct {
	Category string `json:"category"` // communications
	Type     string `json:"type"`     // consent, legitimate_interest, pre_existent_contract, judicial_process, vital_interest, public_interest
	Status   string `json:"status"`   // granted or declined
}

const customPrefix = "cf_"

// MarshalJSON puts the custom fields beside the others.
func (c Contact) MarshalJSON() ([]byte, error) {
	type plain Contact
	return marshalWith(plain(c), c.Custom)
}

// UnmarshalJSON collects what begins with "cf_" in Custom.
func (c *Contact) UnmarshalJSON(data []byte) error {
	type plain Contact
	if err := json.Unmarshal(data, (*plain)(c)); err != nil {
		return err
	}
	var err error
	c.Custom, err = customOf(data)
	return err
}

// marshalWith writes an object with further members. Those of a struct's own
// names do not replace them.
func marshalWith(object any, custom map[string]any) ([]byte, error) {
	data, err := json.Marshal(object)
	if err != nil || len(custom) == 0 {
		return data, err
	}
	own := map[string]any{}
	for name, value := range custom {
		if !strings.HasPrefix(name, customPrefix) {
			return nil, errors.New("rdstation: custom fields begin with cf_: " + strconv.Quote(name))
		}
		own[name] = value
	}
	extra, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(data, []byte("{}")) {
		return extra, nil
	}
	return append(append(data[:len(data)-1], ','), extra[1:]...), nil
}

func customOf(data []byte) (map[string]any, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	var custom map[string]any
	for name, value := range raw {
		if !strings.HasPrefix(name, customPrefix) {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.UseNumber()
		var v any
		if err := decoder.Decode(&v); err != nil {
			return nil, err
		}
		if custom == nil {
			custom = map[string]any{}
		}
		custom[name] = v
	}
	return custom, nil
}

// Contact reads a contact by GET /platform/contacts/{identifier}:{value} (sheet
// 2.1.1; contacts limit). ErrNotFound if there is none. The company is never in it:
// only webhooks have it.
func (m *Marketing) Contact(ctx context.Context, c *enlace.Conn, id Identifier) (Contact, error) {
	var contact Contact
	body, err := m.contact(ctx, c, id)
	if err == nil {
		err = decode("contacts", body, &contact)
	}
	return contact, err
}

func (m *Marketing) contact(ctx context.Context, c *enlace.Conn, id Identifier) ([]byte, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	answer, err := m.send(ctx, c, request{named(get(id.path(""), nil), "get contact"), []spend{{kind: contactKind}}})
	return answer.Body, err
}

// CreateContact creates a contact by POST /platform/contacts (sheet 2.1.2;
// contacts limit). contact marshals to the provider's JSON and has an e-mail or a
// phone. It records no conversion and fires no webhook. ErrConflict with the code
// EMAIL_ALREADY_IN_USE if there is such a contact. It is never repeated if it may
// have run: after an unclear outcome use [Marketing.UpsertContact].
func (m *Marketing) CreateContact(ctx context.Context, c *enlace.Conn, contact any) (Contact, error) {
	return m.writeContact(ctx, c, request{write(http.MethodPost, "platform/contacts", contact, "create contact"), []spend{{kind: contactKind}}})
}

// UpdateContact changes a contact by PATCH /platform/contacts/{identifier}:{value}
// (sheet 2.1.3; contacts limit, and 24 a day for one contact). changes is a
// [Contact], a map or anything that marshals to the provider's JSON: only the
// members it has are changed, and its tags replace all of the contact's. The
// member that identifies the contact is left out by itself.
//
// By UUID, an unknown contact is ErrNotFound. By e-mail or phone it is created:
// see [Marketing.UpsertContact].
func (m *Marketing) UpdateContact(ctx context.Context, c *enlace.Conn, id Identifier, changes any) (Contact, error) {
	if err := id.check(); err != nil {
		return Contact{}, err
	}
	body, err := withoutMember(changes, id.field)
	if err != nil {
		return Contact{}, err
	}
	call := write(http.MethodPatch, id.path(""), body, "update contact")
	call.Idempotent = true // it sets fixed values (sheet 9)
	return m.writeContact(ctx, c, request{call, []spend{{kind: contactKind}, {patchLead, id.String()}}})
}

// writeContact carries out a write, whose answer must be a contact.
func (m *Marketing) writeContact(ctx context.Context, c *enlace.Conn, r request) (Contact, error) {
	contact, err := receive[Contact](ctx, m, c, r)
	if err == nil && contact.UUID == "" {
		err = malformed(r.call.Op, errNotIt)
	}
	return contact, err
}

// UpsertContact creates or changes a contact by PATCH (sheet 2.1.3): the safe way
// to write one, since it may be repeated. id is an e-mail or a phone; a UUID is
// ErrInvalid. Otherwise as [Marketing.UpdateContact].
func (m *Marketing) UpsertContact(ctx context.Context, c *enlace.Conn, id Identifier, contact any) (Contact, error) {
	if id.field == "uuid" {
		return Contact{}, invalid("upsert contact", "only an e-mail address or a phone can create a contact")
	}
	return m.UpdateContact(ctx, c, id, contact)
}

// DeleteContact deletes a contact for good by DELETE
// /platform/contacts/{identifier}:{value} (sheet 2.1.4; contacts limit).
// ErrNotFound if there is none, also when a repetition finds it gone.
func (m *Marketing) DeleteContact(ctx context.Context, c *enlace.Conn, id Identifier) error {
	if err := id.check(); err != nil {
		return err
	}
	return m.remove(ctx, c, id.path(""), "delete contact", spend{kind: contactKind})
}

// AddTags adds tags to a contact by POST /platform/contacts/{identifier}:{value}/tag
// (sheet 2.1.5; contacts limit, 15,000 a day, and 24 a day for one contact). They
// are written in lower case, as the provider demands. Tags that the contact has
// already are no error: the provider refuses the whole list for one of them, so
// that the contact is read then and the rest added. ErrNotFound if there is no
// such contact.
func (m *Marketing) AddTags(ctx context.Context, c *enlace.Conn, id Identifier, tags ...string) error {
	if err := id.check(); err != nil {
		return err
	}
	wanted := normalTags(tags)
	err := m.addTags(ctx, c, id, wanted)
	if !refusedFor(err, typeNotUnique) || len(wanted) < 2 {
		return ignore(err, typeNotUnique)
	}
	contact, err := m.Contact(ctx, c, id)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(wanted, func(tag string) bool { return slices.Contains(contact.Tags, tag) })
	return ignore(m.addTags(ctx, c, id, missing), typeNotUnique)
}

func (m *Marketing) addTags(ctx context.Context, c *enlace.Conn, id Identifier, tags []string) error {
	if len(tags) == 0 {
		return nil
	}
	call := write(http.MethodPost, id.path("/tag"), map[string][]string{"tags": tags}, "add tags")
	call.Idempotent = true // the second time is refused and changes nothing (sheet 9)
	_, err := m.writeContact(ctx, c, request{call, []spend{{kind: contactKind}, {kind: tagDayKind}, {tagLead, id.String()}}})
	return err
}

// normalTags are the tags as the provider takes them.
func normalTags(tags []string) []string {
	var normal []string
	for _, tag := range tags {
		if tag = strings.ToLower(strings.TrimSpace(tag)); tag != "" && !slices.Contains(normal, tag) {
			normal = append(normal, tag)
		}
	}
	return normal
}

// refusedFor says whether the provider refused for that reason.
func refusedFor(err error, code string) bool {
	e, ok := errors.AsType[*enlace.Error](err)
	return ok && e.Code == code
}

func ignore(err error, code string) error {
	if refusedFor(err, code) {
		return nil
	}
	return err
}

// Funnel is where a contact stands in the sales funnel (sheet 2.1.7).
type Funnel struct {
	LifecycleStage    string `json:"lifecycle_stage"` // Lead, Qualified Lead or Client
	Opportunity       bool   `json:"opportunity"`
	ContactOwnerEmail string `json:"contact_owner_email"` // empty if it has none
	Interest          int    `json:"interest"`
	Fit               any    `json:"fit"` // a number, or a letter from "a" to "d"
	Origin            string `json:"origin"`
}

// FunnelChange sets what is not nil.
type FunnelChange struct {
	LifecycleStage *string // Lead, Qualified Lead or Client
	Opportunity    *bool
	// ContactOwnerEmail is that of a user of the account; an empty string takes the
	// owner away.
	ContactOwnerEmail *string
}

// MarshalJSON writes what is set.
func (f FunnelChange) MarshalJSON() ([]byte, error) {
	set := map[string]any{}
	if f.LifecycleStage != nil {
		set["lifecycle_stage"] = *f.LifecycleStage
	}
	if f.Opportunity != nil {
		set["opportunity"] = *f.Opportunity
	}
	if owner := f.ContactOwnerEmail; owner != nil {
		set["contact_owner_email"] = *owner
		if *owner == "" {
			set["contact_owner_email"] = nil
		}
	}
	return json.Marshal(set)
}

// Funnel reads a contact's funnel by GET …/funnels/default (sheet 2.1.7; 24 reads
// and changes a day for one contact). ErrNotFound is possible for a contact that
// exists.
func (m *Marketing) Funnel(ctx context.Context, c *enlace.Conn, id Identifier) (Funnel, error) {
	if err := id.check(); err != nil {
		return Funnel{}, err
	}
	call := named(get(id.path("/funnels/default"), nil), "get funnel")
	return receive[Funnel](ctx, m, c, request{call, []spend{{funnelLead, id.String()}}})
}

// SetFunnel changes a contact's funnel by PUT …/funnels/default (sheet 2.1.7; 24
// reads and changes a day for one contact). change is a [FunnelChange] or anything
// that marshals to the provider's JSON. Marking an opportunity fires the webhook
// of opportunities. ErrInvalid with the code INVALID_USER for an unknown owner.
func (m *Marketing) SetFunnel(ctx context.Context, c *enlace.Conn, id Identifier, change any) (Funnel, error) {
	if err := id.check(); err != nil {
		return Funnel{}, err
	}
	call := write(http.MethodPut, id.path("/funnels/default"), change, "set funnel")
	call.Idempotent = true
	funnel, err := receive[Funnel](ctx, m, c, request{call, []spend{{funnelLead, id.String()}}})
	if err == nil && funnel.LifecycleStage == "" {
		err = malformed("set funnel", errNotIt)
	}
	return funnel, err
}

// PastEvent is a conversion or an opportunity in a contact's history.
type PastEvent struct {
	Type       string          `json:"event_type"`
	Family     string          `json:"event_family"`
	Identifier string          `json:"event_identifier"`
	At         time.Time       `json:"event_timestamp"`
	Payload    json.RawMessage `json:"payload"`
}

// Traffic is where a visitor came from, at the first visit and at the last.
type Traffic struct {
	First, Current string // like the query string of the visit's address
}

// DecodeTraffic reads the traffic_source of a conversion, in which the provider
// may write base64 of JSON behind "encoded_", with padding or without (sheet Q33).
// A plain source is the current one. What cannot be read is the zero value.
func DecodeTraffic(source string) Traffic {
	text, encoded := strings.CutPrefix(source, "encoded_")
	if !encoded {
		return Traffic{Current: source}
	}
	data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		data, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	}
	var sessions struct {
		First   struct{ Value string } `json:"first_session"`
		Current struct{ Value string } `json:"current_session"`
	}
	if err != nil || json.Unmarshal(data, &sessions) != nil {
		return Traffic{}
	}
	return Traffic{sessions.First.Value, sessions.Current.Value}
}

// ContactEvents reads one page, from 1, of a contact's history by GET
// /platform/contacts/{uuid}/events, newest first (sheet 2.1.6; contacts limit).
// eventType is CONVERSION or OPPORTUNITY. A page has ten; an empty one is the end.
// ErrNotFound if there is no such contact.
func (m *Marketing) ContactEvents(ctx context.Context, c *enlace.Conn, uuid, eventType string, page int) ([]PastEvent, error) {
	if _, err := pathID(uuid); err != nil {
		return nil, err
	}
	query := url.Values{"event_type": {eventType}, "order": {"created_at:desc"}, "page": {strconv.Itoa(max(1, page))}}
	call := named(get("platform/contacts/"+uuid+"/events", query), "list contact events")
	return receive[[]PastEvent](ctx, m, c, request{call, []spend{{kind: contactKind}}})
}

// write is a call that changes something. It is not repeated if it may have run,
// unless the caller says so.
func write(method, path string, body any, op string) enlace.Call {
	return enlace.Call{Method: method, Path: path, Body: body, Header: jsonHeader(), Op: op}
}

// withoutMember is an object's JSON without one of its members.
func withoutMember(object any, name string) (json.RawMessage, error) {
	data, err := json.Marshal(object)
	var members map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(data, &members)
	}
	if err != nil {
		return nil, invalid("write", "the record does not marshal to a JSON object")
	}
	if _, there := members[name]; !there {
		return data, nil
	}
	delete(members, name)
	return json.Marshal(members)
}
