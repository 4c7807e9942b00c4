package rdstationtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// contact is a lead of Marketing (sheet 4).
type contact struct {
	uuid, email, phone string
	fields             object // strings and custom fields
	tags               []string
	extraEmails        []string
	legalBases         []any
	company            string // told to webhooks only
	mailing            bool
	created            time.Time
	lastConversion     time.Time // zero for none
	number             int       // order of creation
	gone               bool

	funnel  funnel
	events  []event
	legacyN int64
}

// funnel is a contact's place in the sales funnel (sheet 2.1.7).
type funnel struct {
	touched                  bool
	stage                    string
	opportunity              bool
	owner                    string // e-mail; "" for none
	fit, interest            any
	origin                   string
	changed                  time.Time
	oldStage                 string // before changed, for segmentations that lag behind
	oldOpportunity, existing bool
	sales                    []sale
}

type sale struct {
	at    time.Time
	value float64
}

// event is something that happened to a contact (sheet 2.1.6).
type event struct {
	kind, identifier string
	at               time.Time
	payload          object
}

// contacts finds leads by each of their identifiers.
type contacts struct {
	byUUID, byEmail, byPhone map[string]*contact
	list                     []*contact // by creation
	version                  int        // counts changes, for segments that are kept sorted
	number                   int
}

func (c *contacts) init() {
	c.byUUID, c.byEmail, c.byPhone = map[string]*contact{}, map[string]*contact{}, map[string]*contact{}
}

func (c *contacts) add(lead *contact) {
	c.number++
	lead.number, lead.legacyN = c.number, int64(4000+c.number)
	c.byUUID[lead.uuid] = lead
	c.list = append(c.list, lead)
	c.version++
}

func (c *contacts) remove(lead *contact) {
	delete(c.byUUID, lead.uuid)
	if c.byEmail[lead.email] == lead {
		delete(c.byEmail, lead.email)
	}
	if c.byPhone[lead.phone] == lead {
		delete(c.byPhone, lead.phone)
	}
	i, _ := slices.BinarySearchFunc(c.list, lead.number, func(l *contact, n int) int { return l.number - n })
	c.list = slices.Delete(c.list, i, i+1)
	lead.gone = true
	c.version++
}

// email brings an address into the form that is kept (U16).
func (a *Account) email(address string) string {
	address = strings.TrimSpace(address)
	if a.quirks.ExactEmails {
		return address
	}
	return strings.ToLower(address)
}

func (a *Account) setEmail(lead *contact, address string) {
	if lead.email != "" {
		delete(a.contacts.byEmail, lead.email)
	}
	lead.email = a.email(address)
	if lead.email != "" {
		a.contacts.byEmail[lead.email] = lead
	}
}

func (a *Account) setPhone(lead *contact, phone string) {
	if lead.phone != "" {
		delete(a.contacts.byPhone, lead.phone)
	}
	if lead.phone = phone; phone != "" {
		a.contacts.byPhone[phone] = lead
	}
}

// identifier is {identifier}:{value} of a path; a bare UUID is one too.
type identifier struct{ kind, value string }

func (a *Account) parseIdentifier(s string) identifier {
	kind, value, found := strings.Cut(s, ":")
	if !found {
		return identifier{"uuid", strings.ToLower(s)}
	}
	switch kind {
	case "email":
		value = a.email(value)
	case "uuid":
		value = strings.ToLower(value)
	}
	return identifier{kind, value}
}

func (a *Account) find(id identifier) *contact {
	switch id.kind {
	case "uuid":
		return a.contacts.byUUID[id.value]
	case "email":
		return a.contacts.byEmail[id.value]
	case "phone":
		if !a.quirks.NoPhone {
			return a.contacts.byPhone[id.value]
		}
	}
	return nil
}

// leadKey names a contact to its limits: by its e-mail if it has one.
func (a *Account) leadKey(s string) string {
	id := a.parseIdentifier(s)
	lead := a.find(id)
	switch {
	case lead == nil:
		return id.value
	case lead.email != "":
		return lead.email
	default:
		return lead.uuid
	}
}

// newContact makes a contact without telling anybody.
func (a *Account) newContact(email, phone string, now time.Time) *contact {
	lead := &contact{uuid: randomUUID(), fields: object{}, created: now, mailing: true}
	lead.funnel = funnel{stage: "Lead", interest: 0, fit: 0, changed: now}
	a.contacts.add(lead)
	a.setEmail(lead, email)
	a.setPhone(lead, phone)
	return lead
}

func (a *Account) full() bool {
	return a.options.MaxContacts > 0 && len(a.contacts.list) >= a.options.MaxContacts
}

func contactLimit() reply {
	return flat(http.StatusNotAcceptable, "CONTACTS_LIMIT_EXCEEDED", "The contact limit of the plan was reached.")
}

// render is the contact object of REST: no empty strings and no nulls, but always arrays and
// booleans (F23).
func (a *Account) render(lead *contact, links bool) object {
	o := a.profile(lead)
	o["extra_emails"] = stringsOrNone(lead.extraEmails)
	if links {
		o["links"] = a.contactLinks(lead)
	}
	for _, f := range a.fields {
		if _, given := o[f.identifier]; given || !f.custom {
			continue
		}
		switch f.dataType {
		case "STRING[]":
			o[f.identifier] = []string{}
		case "BOOLEAN":
			o[f.identifier] = false
		}
	}
	return o
}

// profile is what REST and webhooks both show of a contact.
func (a *Account) profile(lead *contact) object {
	o := object{"uuid": lead.uuid, "tags": stringsOrNone(lead.tags), "legal_bases": lead.legalBases}
	if lead.legalBases == nil {
		o["legal_bases"] = []any{}
	}
	if lead.email != "" {
		o["email"] = lead.email
	}
	if lead.phone != "" && !a.quirks.NoPhone {
		o["phone"] = lead.phone
	}
	for key, value := range lead.fields {
		if list, isList := value.([]any); empty(value) || isList && len(list) == 0 || strings.HasPrefix(key, "cf_") && a.customField(key) == nil {
			continue
		}
		o[key] = value
	}
	return o
}

func (a *Account) contactLinks(lead *contact) []object {
	base := a.api.String() + "/platform/contacts/"
	link := func(rel, path, method string) object {
		return object{"rel": rel, "href": base + path, "media": "application/json", "type": method}
	}
	links := []object{link("SELF", "uuid:"+lead.uuid, "GET")}
	if lead.email != "" {
		links = append(links, link("SELF", "email:"+lead.email, "GET"))
	}
	return append(links,
		link("CONTACT.DELETE", "uuid:"+lead.uuid, "DELETE"),
		link("CONTACT.FUNNEL", lead.uuid+"/funnels/{funnel_name}", "GET"),
		link("CONTACTS.EVENTS", lead.uuid+"/events?event_type={event_type}", "GET"))
}

func serveContact(a *Account, q *request) reply {
	lead := a.find(a.parseIdentifier(q.vars[0]))
	if lead == nil {
		return leadNotFound()
	}
	return ok(a.render(lead, true))
}

func serveDeleteContact(a *Account, q *request) reply {
	lead := a.find(a.parseIdentifier(q.vars[0]))
	if lead == nil {
		return leadNotFound()
	}
	a.contacts.remove(lead)
	return reply{status: http.StatusNoContent}
}

// serveCreateContact is POST, which only creates (2.1.2).
func serveCreateContact(a *Account, q *request) reply {
	body, isObject := q.object()
	if !isObject {
		return malformed(marketingSurface)
	}
	change, refused := a.checkContact(body, identifier{}, nil)
	if refused != nil {
		return *refused
	}
	if change.email == nil && change.phone == nil {
		problems := fieldErrors{}
		problems.add("email", "CANNOT_BE_NULL", "email cannot be null.")
		return problems.reply(http.StatusBadRequest)
	}
	if a.full() {
		return contactLimit()
	}
	lead := a.newContact("", "", q.now)
	a.apply(lead, change, true)
	return ok(a.render(lead, true))
}

// servePatchContact is the upsert (2.1.3).
func servePatchContact(a *Account, q *request) reply {
	body, isObject := q.object()
	if !isObject {
		return malformed(marketingSurface)
	}
	id := a.parseIdentifier(q.vars[0])
	lead := a.find(id)
	creates := id.kind == "email" || id.kind == "phone" && !a.quirks.NoPhone
	if lead == nil && !creates {
		return leadNotFound()
	}
	change, refused := a.checkContact(body, id, lead)
	if refused != nil {
		return *refused
	}
	if lead == nil {
		if problem := identifierProblem(id); problem != nil {
			return problem.reply(http.StatusBadRequest)
		}
		if a.full() {
			return contactLimit()
		}
		lead = a.newContact("", "", q.now)
		if id.kind == "email" {
			a.setEmail(lead, id.value)
		} else {
			a.setPhone(lead, id.value)
		}
	}
	a.apply(lead, change, false)
	return ok(a.render(lead, true))
}

// serveTag adds tags; a tag that is there already is an error (2.1.5).
func serveTag(a *Account, q *request) reply {
	lead := a.find(a.parseIdentifier(q.vars[0]))
	if lead == nil {
		return leadNotFound()
	}
	body, _ := q.object()
	problems := fieldErrors{}
	tags, isArray := stringArray(body["tags"])
	switch {
	case body["tags"] == nil:
		problems.add("tags", "CANNOT_BE_NULL", "tags cannot be null.")
	case !isArray:
		problems.add("tags", "MUST_BE_STRING_ARRAY", "Tags must be string array.")
		return problems.reply(http.StatusUnprocessableEntity)
	default:
		checkTags(problems, tags, lead.tags)
	}
	if len(problems) > 0 {
		return problems.reply(http.StatusBadRequest)
	}
	lead.tags = append(lead.tags, tags...)
	a.contacts.version++
	return ok(a.render(lead, false))
}

func checkTags(problems fieldErrors, tags, present []string) {
	seen := slices.Clone(present)
	repeated, upper := false, false
	for _, tag := range tags {
		upper = upper || tag != strings.ToLower(tag)
		repeated = repeated || slices.Contains(seen, tag)
		seen = append(seen, tag)
	}
	if upper {
		problems.add("tags", "VALUES_MUST_BE_LOWERCASE", "must not contain capital letters")
	} else if repeated {
		problems.add("tags", "VALUES_MUST_BE_UNIQUE", "must not contain duplicate values")
	}
}

// eventsPage is how many events a page of them has; nobody can ask for another number.
const eventsPage = 10

// serveContactEvents lists conversions or opportunities (F25).
func serveContactEvents(a *Account, q *request) reply {
	lead := a.find(a.parseIdentifier(q.vars[0]))
	if lead == nil {
		return leadNotFound()
	}
	kind := q.query.Get("event_type")
	if kind != "CONVERSION" && kind != "OPPORTUNITY" {
		refused := pathProblem("INVALID_OPTION", "Must be one of the valid options.", "$.event_type")
		if kind == "" {
			refused = pathProblem("CANNOT_BE_NULL", "Cannot be null.", "$.event_type")
		}
		return listed(http.StatusBadRequest, refused)
	}
	number, valid := pageNumber(q.query.Get("page"), 1)
	field, direction, _ := strings.Cut(q.query.Get("order"), ":")
	direction = orDefault(direction, orDefault(q.query.Get("direction"), "asc"))
	if !valid || field != "" && field != "created_at" || direction != "asc" && direction != "desc" {
		return flat(http.StatusBadRequest, "INVALID_OPTION", "Must be one of the valid options.")
	}
	events := []object{}
	for _, e := range lead.events {
		if e.kind == kind {
			events = append(events, object{"event_type": e.kind, "event_family": "CDP", "event_identifier": e.identifier,
				"event_timestamp": localTime(e.at), "payload": e.payload})
		}
	}
	if direction == "desc" {
		slices.Reverse(events)
	}
	return ok(append([]object{}, slice(events, number, eventsPage)...))
}

// PutContact adds a contact, or changes the one with the uuid, email or phone that fields has, and
// returns its uuid. It is an import: no webhook hears of it. Keys are those of the contact object
// of the API, and created_at, last_conversion_date (both time.Time), company_name,
// lifecycle_stage, opportunity, contact_owner_email, fit, interest and origin. It panics on a
// custom field that the account does not have: that is a mistake in the test.
func (a *Account) PutContact(fields map[string]any) (uuid string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	given := plain(fields, localTime)
	email, phone := text(given["email"]), text(given["phone"])
	lead := a.contacts.byUUID[text(given["uuid"])]
	if lead == nil && email != "" {
		lead = a.find(identifier{"email", a.email(email)})
	}
	if lead == nil && phone != "" {
		lead = a.contacts.byPhone[phone]
	}
	if lead == nil {
		lead = a.newContact(email, phone, a.now())
	}
	for key, value := range given {
		a.putContactField(lead, key, value)
	}
	a.contacts.version++
	return lead.uuid
}

func (a *Account) putContactField(lead *contact, key string, value any) {
	f := &lead.funnel
	switch key {
	case "uuid":
		delete(a.contacts.byUUID, lead.uuid)
		lead.uuid = text(value)
		a.contacts.byUUID[lead.uuid] = lead
	case "email":
		a.setEmail(lead, text(value))
	case "phone":
		a.setPhone(lead, text(value))
	case "tags":
		lead.tags, _ = stringArray(value)
	case "extra_emails":
		lead.extraEmails, _ = stringArray(value)
	case "legal_bases":
		lead.legalBases, _ = value.([]any)
	case "company_name":
		lead.company = text(value)
	case "created_at":
		lead.created, _ = parseTime(text(value))
	case "last_conversion_date":
		lead.lastConversion, _ = parseTime(text(value))
	case "lifecycle_stage":
		f.stage, f.oldStage, f.touched = text(value), text(value), true
	case "opportunity":
		f.opportunity, _ = value.(bool)
		f.oldOpportunity, f.touched = f.opportunity, true
	case "contact_owner_email":
		f.owner = text(value)
	case "fit":
		f.fit = value
	case "interest":
		f.interest = value
	case "origin":
		f.origin = text(value)
	default:
		if strings.HasPrefix(key, "cf_") && a.customField(key) == nil {
			panic("rdstationtest: the account has no custom field " + key)
		}
		lead.fields[key] = value
	}
}

// DeleteContact removes a contact as a user of the product does. It returns false if there is none
// with that uuid.
func (a *Account) DeleteContact(uuid string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	lead := a.contacts.byUUID[uuid]
	if lead != nil {
		a.contacts.remove(lead)
	}
	return lead != nil
}
