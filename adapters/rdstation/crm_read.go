package rdstation

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// crmPosition is a cursor of the CRM. A walk goes through slices: From is where
// the current one begins, Page the page within it. Slices begin at the second of
// the last record read, so that a list of any length is read from first pages, and
// what changes meanwhile does not shift the rest.
type crmPosition struct {
	Version int        `json:"v"`
	Page    int        `json:"page,omitempty"`  // from 1; 0 if the walk is over
	From    *time.Time `json:"from,omitempty"`  // start of the slice
	Seen    []string   `json:"seen,omitempty"`  // ids of the slice that were read already
	Since   *time.Time `json:"since,omitempty"` // the walk reads what changed since
	Began   *time.Time `json:"began,omitempty"` // the provider's clock when the walk began
	Parents []string   `json:"parents,omitempty"`
}

const maxSeen = 2 * crmPageSize

// openCRM finds out where to go on.
func openCRM(c *enlace.Conn, req enlace.PullRequest, incremental bool) (crmPosition, error) {
	start := crmPosition{Version: cursorVersion, Page: 1}
	if req.Cursor == "" {
		if incremental && !req.Since.IsZero() {
			start.Since = &req.Since
		}
		return start, nil
	}
	p, err := parseCRMPosition(req.Cursor)
	if err != nil || p.Page > 0 {
		return p, err
	}
	if !incremental {
		return p, cursorExpired()
	}
	since := p.Began.Add(-overlap(c))
	start.Since = &since
	return start, nil
}

func parseCRMPosition(text enlace.Cursor) (crmPosition, error) {
	var p crmPosition
	err := json.Unmarshal([]byte(text), &p)
	if err != nil || p.Version != cursorVersion || p.Page < 0 || (p.Page == 0 && p.Began == nil) || len(p.Seen) > maxSeen {
		return p, cursorExpired()
	}
	return p, nil
}

func (p crmPosition) cursor() enlace.Cursor {
	text, _ := json.Marshal(p) // cannot fail
	return enlace.Cursor(text)
}

// ended is the position of a walk that is over, where it has a mark.
func (p crmPosition) ended() enlace.Cursor {
	return crmPosition{Version: cursorVersion, Began: p.Began}.cursor()
}

// Pull implements enlace.Puller.
//
// Organizations, contacts and deals are read in slices of their time of creation,
// tasks of their due date, so that lists beyond the provider's 10,000 are complete.
// By change, they are those with an updated_at from the last run's beginning on,
// less the setting "overlap"; tasks in descending order of it, and if more than
// 10,000 have changed, all of them again. Other lists are read from their first to
// their last page; beyond 10,000 records the error is ErrForbidden.
//
// The id of a stage is "<pipeline>/<stage>".
func (crm CRM) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	if err := supports(crm.Describe(), req.Entity, enlace.OpRead); err != nil {
		return enlace.Page{}, err
	}
	e := crmEntities[req.Entity]
	pos, err := openCRM(c, req, e.changed != "")
	if err != nil {
		return enlace.Page{}, err
	}
	switch {
	case req.Entity == "stages":
		return pullStages(ctx, c, req, pos)
	case e.changed == bySort && pos.Since != nil:
		return pullChanged(ctx, c, req, pos, e)
	case e.slice != "":
		return pullSliced(ctx, c, req, pos, e)
	default:
		return pullNumbered(ctx, c, req, pos, e)
	}
}

// crmPage is one page of the provider's.
type crmPage struct {
	records []enlace.Record
	at      []time.Time // of each, by which it is sliced; zero if it has none
	more    bool
	clock   time.Time
}

func readCRM(ctx context.Context, c *enlace.Conn, entity, path string, q Query, sh shape, slice string) (crmPage, error) {
	if (q.Page-1)*crmPageSize >= crmReachable {
		return crmPage{}, &enlace.Error{Op: "list " + entity, Kind: enlace.ErrForbidden, Outcome: enlace.OutcomeNotRun,
			Message: "the provider lists the first 10,000 only, and there are more"}
	}
	q.Size = crmPageSize
	answer, err := c.Send(ctx, named(get(path, q.values()), "list "+entity))
	if err != nil {
		return crmPage{}, err
	}
	read, err := parseList(answer.Body, entity, sh)
	if err != nil {
		return crmPage{}, err
	}
	page := crmPage{records: read.records, more: read.next != "", clock: clock(c, answer.Header)}
	if len(read.records) == crmPageSize && q.Page*crmPageSize == crmReachable {
		page.more = true // or it would seem to end here
	}
	if slice == "" {
		return page, nil
	}
	for _, r := range read.records {
		raw, _ := rawjson.Get(r.Data, slice) // valid: parseList has walked it
		text, _ := rawjson.String(raw)
		page.at = append(page.at, parseTime(text))
	}
	return page, nil
}

func (e crmEntity) shape() shape {
	return shape{lists: []string{"data"}, id: []string{e.id}, modified: []string{"updated_at"}}
}

// pullNumbered reads one page after the other.
func pullNumbered(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos crmPosition, e crmEntity) (enlace.Page, error) {
	read, err := readCRM(ctx, c, req.Entity, e.path, Query{Sort: e.sort, Page: pos.Page}, e.shape(), "")
	if err != nil {
		return enlace.Page{}, err
	}
	records, next, cut := pos.take(read, req.Limit)
	if cut {
		return enlace.Page{Records: records, Next: next.cursor()}, nil
	}
	next.Page, next.Seen = pos.Page+1, nil
	page := enlace.Page{Records: records, Done: !read.more}
	if read.more {
		page.Next = next.cursor()
	}
	return page, nil
}

// take leaves out what was seen and cuts the rest to the limit; if it did, next
// goes on in the same page.
func (p crmPosition) take(read crmPage, limit int) (records []enlace.Record, next crmPosition, cut bool) {
	next = p
	for _, r := range read.records {
		if slices.Contains(p.Seen, r.ID) {
			continue
		}
		if limit > 0 && len(records) == limit {
			cut = true
			break
		}
		records = append(records, r)
	}
	if cut {
		next.Seen = slices.Clone(p.Seen)
		for _, r := range records {
			next.Seen = append(next.Seen, r.ID)
		}
		next.Seen = next.Seen[max(0, len(next.Seen)-maxSeen):]
	}
	return records, next, cut
}

// pullSliced reads the first page of a slice of time, and moves the slice behind
// it; where one second fills whole pages, the pages behind the first.
func pullSliced(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos crmPosition, e crmEntity) (enlace.Page, error) {
	q := Query{Sort: e.slice, Page: pos.Page}
	var conditions []string
	if pos.Since != nil {
		conditions = append(conditions, "updated_at:>="+rdqlTime(*pos.Since))
	}
	if pos.From != nil {
		conditions = append(conditions, e.slice+":>="+rdqlTime(*pos.From))
	}
	q.Filter = strings.Join(conditions, " and ")
	read, err := readCRM(ctx, c, req.Entity, e.path, q, e.shape(), e.slice)
	if err == nil {
		err = checkOrder(read, pos)
	}
	if err != nil {
		return enlace.Page{}, err
	}
	if pos.Began == nil {
		pos.Began = &read.clock
	}
	records, next, cut := pos.take(read, req.Limit)
	switch {
	case cut:
		return enlace.Page{Records: records, Next: next.cursor()}, nil
	case !read.more:
		return enlace.Page{Records: records, Next: pos.ended(), Done: true}, nil
	}
	next.advance(pos, read)
	return enlace.Page{Records: records, Next: next.cursor()}, nil
}

// advance begins the next slice at the second of the last record, or goes to the
// next page of this one if that second is where it began.
func (p *crmPosition) advance(before crmPosition, read crmPage) {
	last := read.at[len(read.at)-1].Truncate(time.Second)
	if last.IsZero() || (before.From != nil && !last.After(*before.From)) {
		p.Page, p.Seen = before.Page+1, nil
		return
	}
	p.Page, p.From, p.Seen = 1, &last, nil
	for i, at := range read.at {
		if at.Truncate(time.Second).Equal(last) {
			p.Seen = append(p.Seen, read.records[i].ID)
		}
	}
}

// checkOrder refuses a page that is not what was asked for: slices would be
// skipped, or read for ever.
func checkOrder(read crmPage, pos crmPosition) error {
	previous := time.Time{}
	if pos.From != nil {
		previous = *pos.From
	}
	for _, at := range read.at {
		if at.IsZero() {
			continue // a task without a due date; where it stands is not documented
		}
		if at.Before(previous) {
			return &enlace.Error{Op: "list", Kind: enlace.ErrCursorStalled, Outcome: enlace.OutcomeRan,
				Message: "the provider did not keep to the order or the range of time that was asked for"}
		}
		previous = at
	}
	if read.more && len(read.records) == 0 {
		return malformed("list", errors.New("an empty page that is not the last"))
	}
	return nil
}

// pullChanged reads in descending order of change, down to pos.Since. What changes
// meanwhile moves to the top, and is left to the next run.
func pullChanged(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos crmPosition, e crmEntity) (enlace.Page, error) {
	if (pos.Page-1)*crmPageSize >= crmReachable { // too many changes: read everything, in slices
		pos.Page, pos.Since, pos.Seen = 1, nil, nil
		return pullSliced(ctx, c, req, pos, e)
	}
	read, err := readCRM(ctx, c, req.Entity, e.path, Query{Sort: "updated_at", Desc: true, Page: pos.Page}, e.shape(), "")
	if err != nil {
		return enlace.Page{}, err
	}
	if pos.Began == nil {
		pos.Began = &read.clock
	}
	older := slices.IndexFunc(read.records, func(r enlace.Record) bool { return !r.Modified.IsZero() && r.Modified.Before(*pos.Since) })
	if older >= 0 {
		read.records, read.more = read.records[:older], false
	}
	records, next, cut := pos.take(read, req.Limit)
	page := enlace.Page{Records: records}
	switch {
	case cut:
		page.Next = next.cursor()
	case read.more:
		next.Page, next.Seen = pos.Page+1, nil
		page.Next = next.cursor()
	default:
		page.Next, page.Done = pos.ended(), true
	}
	return page, nil
}

// pullStages reads the stages of one pipeline after the other.
func pullStages(ctx context.Context, c *enlace.Conn, req enlace.PullRequest, pos crmPosition) (enlace.Page, error) {
	if pos.Parents == nil {
		e := crmEntities["pipelines"]
		read, err := readCRM(ctx, c, "pipelines", e.path, Query{Sort: e.sort, Page: 1}, e.shape(), "")
		if err != nil || len(read.records) == 0 {
			return enlace.Page{Done: err == nil}, err
		}
		for _, r := range read.records {
			pos.Parents = append(pos.Parents, r.ID)
		}
	}
	pipeline := pos.Parents[0]
	if _, err := pathID(pipeline); err != nil {
		return enlace.Page{}, malformed("list stages", err)
	}
	e := crmEntities["stages"]
	read, err := readCRM(ctx, c, req.Entity, e.path+"/"+pipeline+"/stages", Query{Sort: e.sort, Page: pos.Page}, e.shape(), "")
	if err != nil {
		return enlace.Page{}, err
	}
	for i := range read.records {
		if id := read.records[i].ID; id != "" {
			read.records[i].ID = pipeline + "/" + id
		}
	}
	records, next, cut := pos.take(read, req.Limit)
	page := enlace.Page{Records: records}
	switch {
	case cut:
	case read.more:
		next.Page, next.Seen = pos.Page+1, nil
	case len(pos.Parents) > 1:
		next.Page, next.Seen, next.Parents = 1, nil, pos.Parents[1:]
	default:
		return enlace.Page{Records: records, Done: true}, nil
	}
	page.Next = next.cursor()
	return page, nil
}

// crmPath is where one record is.
func crmPath(entity, id string) (string, error) {
	e := crmEntities[entity]
	if entity != "stages" {
		_, err := pathID(id)
		return e.path + "/" + id, err
	}
	pipeline, stage, found := strings.Cut(id, "/")
	if !idForm.MatchString(pipeline) || !idForm.MatchString(stage) || !found {
		return "", invalid("address a stage", `the id is not of the form "<pipeline>/<stage>"`)
	}
	return e.path + "/" + pipeline + "/stages/" + stage, nil
}

// Fetch implements enlace.Fetcher by one GET for each record; single users and
// teams cannot be read.
func (crm CRM) Fetch(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
	if err := supports(crm.Describe(), entity, enlace.OpRead); err != nil {
		return nil, err
	}
	if entity == "users" || entity == "teams" {
		return nil, notSingle(entity)
	}
	return fetchEach(ids, entity, func(id string) ([]byte, error) {
		path, err := crmPath(entity, id)
		if err != nil {
			return nil, err
		}
		var body json.RawMessage
		err = c.Do(ctx, named(get(path, nil), "get "+entity), &body)
		return body, err
	}, "data")
}

func notSingle(entity string) error {
	return &enlace.Error{Op: "fetch", Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun, Message: "single " + entity + " cannot be read"}
}

// fetchEach reads records one by one; those that are gone become tombstones.
func fetchEach(ids []string, entity string, read func(id string) ([]byte, error), member string) ([]enlace.Record, error) {
	var records []enlace.Record
	for _, id := range ids {
		body, err := read(id)
		record := enlace.Record{Entity: entity, ID: id, Deleted: true}
		if err == nil {
			record, err = oneRecord(body, entity, id, member, "id", "_id")
		}
		if err != nil && !errors.Is(err, enlace.ErrNotFound) {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}
