package rdstationtest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxPageSize = 125 // of segmentations and assets

// segment is a saved filter of contacts (sheet 2.4).
type segment struct {
	id       int
	name     string
	standard bool
	created  time.Time
	has      func(a *Account, lead *contact, now time.Time) bool
	sorted   map[string]sortedSegment // by order
}

// sortedSegment is a list that holds as long as no contact changes.
type sortedSegment struct {
	version int
	at      time.Time
	list    []*contact
}

func standardSegments(now time.Time) []*segment {
	inStage := func(stage string) func(*Account, *contact, time.Time) bool {
		return func(a *Account, lead *contact, now time.Time) bool {
			return lead.funnel.stageAt(now, a.options.SegmentDelay) == stage
		}
	}
	segments := []*segment{
		{id: 1, name: "Todos os contatos da base de Leads", has: func(*Account, *contact, time.Time) bool { return true }},
		{id: 2, name: "Leads (estágio no funil)", has: inStage("Lead")},
		{id: 3, name: "Leads Qualificados (estágio no funil)", has: inStage("Qualified Lead")},
		{id: 4, name: "Clientes (estágio no funil)", has: inStage("Client")},
		{id: 5, name: "Oportunidades", has: func(a *Account, lead *contact, now time.Time) bool {
			return lead.funnel.opportunityAt(now, a.options.SegmentDelay)
		}},
	}
	for _, s := range segments {
		s.standard, s.created, s.sorted = true, now, map[string]sortedSegment{}
	}
	return segments
}

func (s *segment) render(a *Account) object {
	var standard any // true or null, never false
	if s.standard {
		standard = true
	}
	return object{"id": s.id, "name": s.name, "standard": standard, "created_at": localTime(s.created), "updated_at": localTime(s.created),
		"process_status": "processed", "links": []object{{"rel": "SEGMENTATIONS.CONTACTS",
			"href": a.api.String() + "/platform/segmentations/" + strconv.Itoa(s.id) + "/contacts", "media": "application/json", "type": "GET"}}}
}

// window of a listing of segmentations.
type listing struct {
	page, size int
	order      string // "", "asc" or "desc"
}

// listing reads page, page_size and order (F29, F30).
func (a *Account) listing(q *request) (listing, *reply) {
	l, valid, validSize := listing{}, false, false
	l.page, valid = pageNumber(q.query.Get("page"), 1)
	l.size, validSize = pageNumber(q.query.Get("page_size"), 25)
	if !valid || !validSize || l.size > maxPageSize {
		refused := flat(http.StatusBadRequest, "MUST_BE_LESS_THAN_OR_EQUAL", "page_size must less than or equal to 125")
		return l, &refused
	}
	field, direction, _ := strings.Cut(q.query.Get("order"), ":")
	direction = orDefault(direction, "asc")
	switch {
	case field == "":
	case field == "last_conversion_date" && (direction == "asc" || direction == "desc"):
		l.order = direction
	case !a.quirks.IgnoreUnknownOrder:
		refused := flat(http.StatusBadRequest, "INVALID_OPTION", "Must be one of the valid options.")
		return l, &refused
	}
	return l, nil
}

func (l listing) headers(r reply, total int) reply {
	return r.with("pagination-total-rows", strconv.Itoa(total)).with("pagination-page-size", strconv.Itoa(l.size)).
		with("pagination-page", strconv.Itoa(l.page))
}

// serveSegmentations lists the segmentations; a search leaves out the standard ones (F28).
func serveSegmentations(a *Account, q *request) reply {
	l, refused := a.listing(q)
	if refused != nil {
		return *refused
	}
	search := strings.ToLower(q.query.Get("search"))
	found := []object{}
	for _, s := range a.segments {
		if search == "" || !s.standard && strings.Contains(strings.ToLower(s.name), search) {
			found = append(found, s.render(a))
		}
	}
	rows := append([]object{}, slice(found, l.page, l.size)...)
	return l.headers(ok(object{"segmentations": rows}), len(found))
}

func serveSegmentContacts(a *Account, q *request) reply {
	id, _ := strconv.Atoi(q.vars[0])
	return a.segmentContacts(q, id)
}

func serveContactList(a *Account, q *request) reply {
	if !a.quirks.ContactList {
		return reply{status: http.StatusNotFound, body: object{"message": "no Route matched with those values"}}
	}
	return a.segmentContacts(q, 1)
}

func (a *Account) segmentContacts(q *request, id int) reply {
	l, refused := a.listing(q)
	if refused != nil {
		return *refused
	}
	i := slices.IndexFunc(a.segments, func(s *segment) bool { return s.id == id })
	if i < 0 {
		return notFound()
	}
	list := a.segments[i].contacts(a, l.order, q.now)
	rows := []object{}
	for _, lead := range slice(list, l.page, l.size) {
		rows = append(rows, a.renderRow(lead))
	}
	return l.headers(ok(object{"contacts": rows}), len(list))
}

// renderRow has the six keys of a list, no more.
func (a *Account) renderRow(lead *contact) object {
	row := object{"uuid": lead.uuid, "name": lead.fields["name"], "email": nil, "last_conversion_date": nil, "created_at": localTime(lead.created),
		"links": []object{{"rel": "SELF", "href": a.api.String() + "/platform/contacts/" + lead.uuid, "media": "application/json", "type": "GET"}}}
	if lead.email != "" {
		row["email"] = lead.email
	}
	if !lead.lastConversion.IsZero() {
		row["last_conversion_date"] = localTime(lead.lastConversion)
	}
	return row
}

// contacts returns the members in order; without one, as they were created.
func (s *segment) contacts(a *Account, order string, now time.Time) []*contact {
	if kept := s.sorted[order]; kept.list != nil && kept.version == a.contacts.version && (a.options.SegmentDelay == 0 || kept.at.Equal(now)) {
		return kept.list
	}
	list := []*contact{}
	for _, lead := range a.contacts.list {
		if s.has(a, lead, now) {
			list = append(list, lead)
		}
	}
	if order != "" {
		slices.SortStableFunc(list, func(x, y *contact) int { return a.byConversion(x, y, order == "desc") })
	}
	s.sorted[order] = sortedSegment{a.contacts.version, now, list}
	return list
}

// byConversion compares last conversions; contacts without one come at the same end in both
// directions (U15).
func (a *Account) byConversion(x, y *contact, descending bool) int {
	switch nx, ny := x.lastConversion.IsZero(), y.lastConversion.IsZero(); {
	case nx && ny:
		return 0
	case nx != ny:
		if nx == a.quirks.NullsFirst {
			return -1
		}
		return 1
	case descending:
		return y.lastConversion.Compare(x.lastConversion)
	default:
		return x.lastConversion.Compare(y.lastConversion)
	}
}

// PutSegmentation adds a segmentation of the contacts that match says yes to and returns its id.
// match gets the contact as the API shows it, must always give the same answer for it, and must
// not call the account.
func (a *Account) PutSegmentation(name string, match func(contact map[string]any) bool) (id int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id = int(a.number())
	a.segments = append(a.segments, &segment{id: id, name: name, created: a.now(), sorted: map[string]sortedSegment{},
		has: func(a *Account, lead *contact, _ time.Time) bool { return match(a.render(lead, false)) }})
	return id
}
