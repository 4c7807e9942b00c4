package rdstation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

// listing is how an entity of Marketing is read in pages.
type listing struct {
	path  string
	kind  kindOf
	size  int // of a page; 0 is an answer that holds everything
	shape shape
}

// The listings (sheet 2.2, 2.4 and 2.7), with the spellings of the documents and
// those that were seen.
var listings = map[string]listing{
	"fields":        {"platform/contacts/fields", anyRequest, 0, shape{lists: []string{"fields"}, id: []string{"uuid"}}},
	"segmentations": {"platform/segmentations", segmentKind, 125, shape{lists: []string{"segmentations", "contacts"}, id: []string{"id"}, modified: updated}},
	"emails":        {"platform/emails", emailsKind, 125, shape{lists: []string{"items"}, id: []string{"id"}, modified: updated}},
	"landing_pages": {"platform/landing_pages", landingKind, 125, shape{id: []string{"id"}, modified: updated}},
	"popups":        {"platform/popups", popupKind, 125, shape{id: []string{"id"}, modified: updated}},
	"forms":         {"platform/embeddables", formKind, 125, shape{id: []string{"id"}, modified: updated}},
	"workflows":     {"platform/workflows", workflowsKind, 125, shape{lists: []string{"workflows", "wokflows"}, id: []string{"id"}, modified: updated}},
	"campaigns":     {"platform/campaigns", anyRequest, 50, shape{lists: []string{"campaigns"}, id: []string{"id"}, modified: updated}},
	"catalog_feeds": {"platform/catalog_feeds", anyRequest, 0, shape{id: []string{"id"}, modified: updated}},
}

var updated = []string{"updated_at", "upated_at"}

// segmentShape is a contact in a segmentation: six members, the time is that of
// its last conversion (sheet 2.4).
var segmentShape = shape{lists: []string{"contacts"}, id: []string{"uuid"}, modified: []string{"last_conversion_date"}}

const (
	allContacts = "1" // the segmentation of all contacts, in every account (sheet 2.4)
	segmentSize = 125
	contactSize = 25 // contacts of a page, each of which is a request of its own
	readers     = 4  // of single contacts at a time
)

const cursorVersion = 1

// position is a cursor of Marketing.
type position struct {
	Version int        `json:"v"`
	Page    int        `json:"page,omitempty"`  // from 1; 0 if the walk is over
	Skip    int        `json:"skip,omitempty"`  // records of the page that were read already
	Total   int        `json:"total,omitempty"` // records when the page before was read
	Head    string     `json:"head,omitempty"`  // the first record of the page before
	Began   *time.Time `json:"began,omitempty"` // the provider's clock when the walk began
	Again   bool       `json:"again,omitempty"` // the walk looks once more at what converted meanwhile
	Since   *time.Time `json:"since,omitempty"` // the walk reads what converted since
}

func parsePosition(text enlace.Cursor) (position, error) {
	if text == "" {
		return position{Version: cursorVersion, Page: 1}, nil
	}
	var p position
	err := json.Unmarshal([]byte(text), &p)
	ended := p.Page == 0 && p.Began != nil
	if err != nil || p.Version != cursorVersion || p.Page < 0 || p.Skip < 0 || p.Total < 0 || (p.Page == 0 && !ended) || (p.Again && p.Began == nil) {
		return position{}, cursorExpired()
	}
	return p, nil
}

func (p position) cursor() enlace.Cursor {
	text, _ := json.Marshal(p) // cannot fail
	return enlace.Cursor(text)
}

// Pull implements enlace.Puller, one page of the provider's at a time.
//
// "contacts" are all contacts as GET /platform/contacts/{uuid} has them: one
// request for each, and the list from segmentation 1. Contacts that convert while
// they are read change their place in it; they are looked for once more at the end.
//
// "converted_contacts" are the six members that a segmentation's list has (id,
// name, e-mail, times), of every contact with a conversion; by change it reads those
// that converted since the last run, less the setting "overlap".
//
// "segmentation_<id>" are the contacts of that segmentation in the same form. The
// analytics cover the setting "analyticsDays" up to yesterday.
func (m *Marketing) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	if err := supports(m.Describe(), req.Entity, enlace.OpRead); err != nil {
		return enlace.Page{}, err
	}
	pos, err := parsePosition(req.Cursor)
	if err != nil {
		return enlace.Page{}, err
	}
	if s, ok := statistics[req.Entity]; ok {
		return m.pullStatistics(ctx, c, req, pos, s)
	}
	if pos.Page == 0 && req.Entity != "converted_contacts" {
		return enlace.Page{}, cursorExpired()
	}
	segment, isSegment := strings.CutPrefix(req.Entity, "segmentation_")
	switch {
	case req.Entity == "contacts":
		return m.pullContacts(ctx, c, req, pos)
	case req.Entity == "converted_contacts":
		return m.pullConverted(ctx, c, req, pos)
	case isSegment:
		return m.pullSegment(ctx, c, req, pos, segment)
	default:
		return m.pullListing(ctx, c, req, pos, listings[req.Entity])
	}
}

func (m *Marketing) pullListing(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos position, l listing) (enlace.Page, error) {
	call := get(l.path, nil)
	if l.size > 0 {
		call.Query = url.Values{"page": {strconv.Itoa(pos.Page)}, "page_size": {strconv.Itoa(l.size)}}
	}
	answer, err := m.send(ctx, c, request{named(call, "list "+req.Entity), spendOf(l.kind)})
	if err != nil {
		return enlace.Page{}, err
	}
	body := answer.Body
	if req.Entity == "catalog_feeds" {
		body = asArray(body)
	}
	read, err := parseList(body, req.Entity, l.shape)
	if err != nil {
		return enlace.Page{}, err
	}
	if total := totalOf(answer.Header); total > 0 {
		read.total = total
	}
	if err := pos.checkNew(read.records); err != nil {
		return enlace.Page{}, err
	}
	return pos.deliver(read.records, req.Limit, l.size, read.total), nil
}

// asArray takes a single object for a list of one (sheet 2.7, catalogues).
func asArray(body []byte) []byte {
	if exactMembers(body)["id"] != nil {
		return append(append([]byte{'['}, body...), ']')
	}
	return body
}

func spendOf(k kindOf) []spend {
	if k == anyRequest {
		return nil
	}
	return []spend{{kind: k}}
}

// totalOf is how many records a list has in all; 0 if the answer does not say.
func totalOf(h http.Header) int {
	n, _ := strconv.Atoi(h.Get("Pagination-Total-Rows"))
	return max(n, 0)
}

// deliver makes a page of the records of one of the provider's pages, and moves
// on. With a limit a page is given away in parts. size 0 is a list without pages.
// The cursor of the last page is empty: the next walk reads everything.
func (p position) deliver(records []enlace.Record, limit, size, total int) enlace.Page {
	page, next := p.cut(records, limit)
	page.Total = total
	full := size > 0 && len(records) >= size && (total == 0 || p.Page*size < total)
	if page.Done = next.Skip == 0 && !full; !page.Done {
		page.Next = next.cursor()
	}
	return page
}

// cut takes the part of the records that is next, and returns where to go on: in
// the same page, or at the next one.
func (p position) cut(records []enlace.Record, limit int) (enlace.Page, position) {
	part := records[min(p.Skip, len(records)):]
	next := p
	if limit > 0 && len(part) > limit {
		next.Skip = p.Skip + limit
		return enlace.Page{Records: part[:limit]}, next
	}
	next.Page, next.Skip, next.Head = p.Page+1, 0, ""
	if len(records) > 0 {
		next.Head = records[0].ID
	}
	return enlace.Page{Records: part}, next
}

// checkNew returns an error if these are the records of the page before: a
// provider that repeats itself would be read for ever.
func (p position) checkNew(records []enlace.Record) error {
	if p.Head != "" && p.Skip == 0 && len(records) > 0 && records[0].ID == p.Head {
		return malformed("list", errSamePage)
	}
	return nil
}

var errSamePage = errors.New("the answer is the page before, again")

// segmentPage is one page of a segmentation's contacts.
type segmentPage struct {
	records []enlace.Record
	total   int
	at      time.Time // the provider's clock
	last    bool
}

// readSegment reads one page, the latest conversions first: rows that move while
// the list is read then come twice rather than never (sheet 8.1).
func (m *Marketing) readSegment(ctx context.Context, c *enlace.Conn, entity, segment string, pos position, size int) (segmentPage, error) {
	if _, err := pathID(segment); err != nil {
		return segmentPage{}, err
	}
	query := url.Values{"page": {strconv.Itoa(pos.Page)}, "page_size": {strconv.Itoa(size)}, "order": {"last_conversion_date:desc"}}
	call := named(get("platform/segmentations/"+segment+"/contacts", query), "list contacts of a segmentation")
	answer, err := m.send(ctx, c, request{call, spendOf(segmentKind)})
	if err != nil {
		return segmentPage{}, err
	}
	read, err := parseList(answer.Body, entity, segmentShape)
	if err != nil {
		return segmentPage{}, err
	}
	if err := pos.checkNew(read.records); err != nil {
		return segmentPage{}, err
	}
	total := totalOf(answer.Header)
	last := len(read.records) < size || (total > 0 && pos.Page*size >= total)
	return segmentPage{read.records, total, clock(c, answer.Header), last}, nil
}

// pullSegment reads the contacts of one segmentation.
func (m *Marketing) pullSegment(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos position, segment string) (enlace.Page, error) {
	read, err := m.readSegment(ctx, c, req.Entity, segment, pos, segmentSize)
	if err != nil {
		return enlace.Page{}, err
	}
	page, next := pos.cut(read.records, req.Limit)
	page.Total, page.Done = read.total, next.Skip == 0 && read.last
	if !page.Done {
		page.Next = next.afterDeletions(pos, read.total, segmentSize).cursor()
	}
	return page, nil
}

// afterDeletions goes back if the list has become shorter since the page before:
// what stood behind that page has moved into it then, or into those before it.
func (p position) afterDeletions(before position, total, size int) position {
	if p.Skip == 0 && before.Total > total && total > 0 {
		p.Page, p.Head = max(1, before.Page-(before.Total-total+size-1)/size), ""
	}
	p.Total = total
	return p
}

// pullConverted reads contacts by their last conversion, down to pos.Since.
func (m *Marketing) pullConverted(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos position) (enlace.Page, error) {
	switch {
	case pos.Page == 0: // a finished walk: from where it began, less the overlap
		since := pos.Began.Add(-overlap(c))
		pos = position{Version: cursorVersion, Page: 1, Since: &since}
	case req.Cursor == "" && !req.Since.IsZero():
		pos.Since = &req.Since
	}
	read, err := m.readSegment(ctx, c, req.Entity, allContacts, pos, segmentSize)
	if err != nil {
		return enlace.Page{}, err
	}
	if pos.Began == nil {
		pos.Began = &read.at
	}
	page, next := pos.cut(read.records, req.Limit)
	inside, older := convertedSince(page.Records, pos.Since)
	page.Records, page.Total = inside, read.total
	if page.Done = older || (next.Skip == 0 && read.last); page.Done {
		next = position{Version: cursorVersion, Began: pos.Began}
	} else {
		next = next.afterDeletions(pos, read.total, segmentSize)
	}
	page.Next = next.cursor()
	return page, nil
}

// convertedSince are the contacts that converted since then, and whether one is
// older. Where contacts without a conversion stand in the list is not documented.
func convertedSince(records []enlace.Record, since *time.Time) (inside []enlace.Record, older bool) {
	for _, r := range records {
		switch {
		case r.Modified.IsZero():
		case since != nil && r.Modified.Before(*since):
			older = true
		default:
			inside = append(inside, r)
		}
	}
	return inside, older
}

// pullContacts reads all contacts, each by itself. In a second part (pos.Again) it
// reads those once more that converted since it began: while the first part was at
// work they moved to where it had been already.
func (m *Marketing) pullContacts(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos position) (enlace.Page, error) {
	read, err := m.readSegment(ctx, c, req.Entity, allContacts, pos, contactSize)
	if err != nil {
		return enlace.Page{}, err
	}
	if pos.Began == nil {
		pos.Began = &read.at
	}
	page, next := pos.cut(read.records, req.Limit)
	older := false
	if pos.Again {
		since := pos.Began.Add(-overlap(c))
		page.Records, older = convertedSince(page.Records, &since)
	}
	if page.Records, err = m.readContacts(ctx, c, req.Entity, page.Records); err != nil {
		return enlace.Page{}, err
	}
	page.Total = read.total
	over := older || (next.Skip == 0 && read.last)
	switch {
	case over && (pos.Again || pos.Page == 1):
		page.Done = true
	case over:
		page.Next = position{Version: cursorVersion, Page: 1, Began: pos.Began, Again: true}.cursor()
	default:
		page.Next = next.afterDeletions(pos, read.total, contactSize).cursor()
	}
	return page, nil
}

// readContacts reads the contacts in full, several at a time and in order. One
// that does not exist any more becomes a tombstone.
func (m *Marketing) readContacts(ctx context.Context, c *enlace.Conn, entity string, rows []enlace.Record) ([]enlace.Record, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	full := make([]enlace.Record, len(rows))
	var group sync.WaitGroup
	for first := range min(readers, len(rows)) {
		group.Go(func() {
			for i := first; i < len(rows) && ctx.Err() == nil; i += readers {
				var err error
				if full[i], err = m.readContact(ctx, c, entity, rows[i].ID); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return full, nil
}

func (m *Marketing) readContact(ctx context.Context, c *enlace.Conn, entity, uuid string) (enlace.Record, error) {
	body, err := m.contact(ctx, c, ByUUID(uuid))
	if errors.Is(err, enlace.ErrNotFound) {
		return enlace.Record{Entity: entity, ID: uuid, Deleted: true}, nil
	}
	if err != nil {
		return enlace.Record{}, err
	}
	return oneRecord(body, entity, uuid, "", "uuid")
}

// details are the entities of which a single record can be read, beside contacts.
var details = map[string]struct {
	kind   kindOf
	member string // that holds the record, if it is not the whole answer
}{
	"emails":        {emailsKind, ""},
	"workflows":     {workflowKind, "workflow_info"},
	"campaigns":     {anyRequest, "campaign"},
	"catalog_feeds": {anyRequest, ""},
}

// Fetch implements enlace.Fetcher for contacts (by UUID), emails, workflows,
// campaigns and catalog_feeds (sheet 2.1.1 and 2.7). Single workflows are 1, 5 or 15
// an hour by plan.
func (m *Marketing) Fetch(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
	for _, id := range ids {
		if _, err := pathID(id); err != nil {
			return nil, err
		}
	}
	if entity == "contacts" {
		rows := make([]enlace.Record, len(ids))
		for i, id := range ids {
			rows[i].ID = id
		}
		return m.readContacts(ctx, c, entity, rows)
	}
	detail, ok := details[entity]
	if !ok {
		return nil, notSingle(entity)
	}
	var records []enlace.Record
	for _, id := range ids {
		answer, err := m.send(ctx, c, request{named(get(listings[entity].path+"/"+id, nil), "get "+entity), spendOf(detail.kind)})
		record := enlace.Record{Entity: entity, ID: id, Deleted: true}
		if err == nil {
			record, err = oneRecord(answer.Body, entity, id, detail.member, "id")
		}
		if err != nil && !errors.Is(err, enlace.ErrNotFound) {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}
