package bitrix24

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

// Pull implements enlace.Puller: one page by one call of crm.item.list, in order
// of ids and without counting (sheet 3.4). The entities are those of the
// descriptor. Errors: ErrUnsupported for another, ErrNotFound for a smart process that the
// portal does not have, ErrCursorExpired for a cursor that is not of this adapter,
// ErrCursorStalled if the portal does not keep to what was asked, and those of any read.
func (Adapter) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	w, err := newWalk(ctx, c, req)
	if err != nil {
		return enlace.Page{}, err
	}
	return w.pull(ctx, req.Limit)
}

// Pages implements enlace.PageStreamer: id ranges in batches, several at a time
// (setting "lanes"; sheet 3.4, 4.4), with a fallback to plain paging where the portal
// does not bear it. With a limit, or a single lane, it reads page by page. Errors are
// those of [Adapter.Pull].
func (Adapter) Pages(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) iter.Seq2[enlace.Page, error] {
	return func(yield func(enlace.Page, error) bool) {
		w, err := newWalk(ctx, c, req)
		switch {
		case err != nil:
			yield(enlace.Page{}, err)
		case w.lanes == 1 || req.Limit > 0:
			w.sequential(ctx, req.Limit, yield)
		default:
			w.parallel(ctx, yield)
		}
	}
}

// walk is one way through the items of one kind.
type walk struct {
	conn   *enlace.Conn
	entity string
	typeID int
	pos    cursor
	plan   plan

	lanes   int // batches at a time; 0 is page by page from here on
	wave    int // how often batches were turned away, those under way together counting once
	refused int // the same, since the last batch that brought something
}

func newWalk(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (*walk, error) {
	typeID, err := entityType(req.Entity)
	if err != nil {
		return nil, err
	}
	pos, err := openCursor(ctx, c, req)
	if err != nil {
		return nil, err
	}
	lanes, _ := strconv.Atoi(c.Setting("lanes")) // validated as an integer
	return &walk{conn: c, entity: req.Entity, typeID: typeID, pos: pos, lanes: max(1, lanes)}, nil
}

// params asks for the items of a range, whole: without a selection the portal
// sends multifields and user fields too (sheet 5.4).
func (w *walk) params(r idRange) listParams {
	return listParams{EntityTypeID: w.typeID, Order: map[string]string{"id": "ASC"},
		Filter: filter{after: r.After, to: r.To, since: w.pos.Since}, Start: -1, OriginalUF: "Y"}
}

// pull reads the next page of the first pending range.
func (w *walk) pull(ctx context.Context, limit int) (enlace.Page, error) {
	r := w.pos.Pending[0]
	page, err := list(ctx, w.conn, w.entity, w.params(r))
	if err != nil {
		return enlace.Page{}, err
	}
	if w.respell(page) {
		return w.pull(ctx, limit)
	}
	if err := checkRange(page, r); err != nil {
		return enlace.Page{}, err
	}
	w.pos.begin(w.conn, page.timing)
	whole := len(page.records) < pageSize
	if limit > 0 && len(page.records) > limit {
		page.records, whole = page.records[:limit], false
		page.last, _ = parseID(page.records[limit-1].ID) // checked by checkRange
	}
	if whole || page.last == r.To {
		w.pos.Pending = w.pos.Pending[1:]
	} else {
		w.pos.Pending[0].After = page.last
	}
	return w.pos.page(page.records), nil
}

// respell changes the spelling of the time in the filter, and says so, if the first page
// shows that the portal passes over the documented one: some are known to apply only
// times without an offset, in their own zone (sheet 5.6, Q18). Where it is not known
// that the time has the portal's offset it stays, and everything is read.
func (w *walk) respell(page listPage) bool {
	since, err := time.Parse(time.RFC3339, w.pos.Since)
	if w.pos.Began != "" || err != nil {
		return false
	}
	_, offset := since.Zone()
	older := func(r enlace.Record) bool { return !r.Modified.IsZero() && r.Modified.Before(since) }
	if offset == 0 || !slices.ContainsFunc(page.records, older) {
		return false
	}
	w.pos.Since = since.Format(time.DateTime)
	return true
}

// sequential reads page by page to the end, or to the limit.
func (w *walk) sequential(ctx context.Context, limit int, yield func(enlace.Page, error) bool) {
	for read := 0; ; {
		left := 0
		if limit > 0 {
			if left = limit - read; left <= 0 {
				return
			}
		}
		page, err := w.pull(ctx, left)
		read += len(page.Records)
		if !yield(page, err) || err != nil || page.Done {
			return
		}
	}
}

// checkRange refuses a page whose ids are not those that were asked for: a portal
// that ignores the filter would have us loop, or miss items (sheet 3.4).
func checkRange(page listPage, r idRange) error {
	previous := r.After
	for _, record := range page.records {
		id, err := parseID(record.ID)
		if err != nil {
			return &enlace.Error{Op: listMethod, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeRan, Message: "an item without an id"}
		}
		if id <= previous || (r.To > 0 && id > r.To) {
			return &enlace.Error{Op: listMethod, Kind: enlace.ErrCursorStalled, Outcome: enlace.OutcomeRan,
				Message: "the portal did not keep to the order or the range of ids that was asked for"}
		}
		previous = id
	}
	return nil
}
