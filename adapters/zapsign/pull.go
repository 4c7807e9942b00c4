package zapsign

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	documentsPerPage = 25 // sheet 2.1.4; the size of a page of phaseGone too
	// lanes is how many records are read at a time.
	lanes = 4
)

// Pull implements enlace.Puller: one page of a list, and each record of it by one
// request unless the setting "details" is off. Documents and signers can be read
// by change, templates cannot; see the package's comment. A signer's Data is as
// it stands in its document, with one member before it: doc_token, the document's
// token. Deleted documents, and their signers, come as tombstones in runs by
// change. Errors: ErrCursorExpired for a cursor that is not of this adapter;
// ErrAuth, ErrRateLimited, ErrUnavailable, ErrProtocol.
func (Adapter) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	switch req.Entity {
	case Templates:
		return pullTemplates(ctx, c, req)
	case Documents, Signers:
		pos, err := openCursor(req, seconds(c, "overlap")+c.Clock().Spread)
		if err != nil {
			return enlace.Page{}, err
		}
		w := &walk{conn: c, entity: req.Entity, pos: pos, limit: req.Limit, since: parseTime(pos.Since)}
		return w.pull(ctx)
	}
	return enlace.Page{}, unsupported("pull", "no entity "+req.Entity)
}

// walk is one step of a way through the documents.
type walk struct {
	conn   *enlace.Conn
	entity string
	pos    cursor
	since  time.Time // of pos
	limit  int
}

func (w *walk) pull(ctx context.Context) (enlace.Page, error) {
	if w.pos.Phase == phaseGone {
		return w.pullGone(ctx)
	}
	page, found, err := w.nextPage(ctx)
	if err != nil {
		return enlace.Page{}, err
	}
	if !found {
		return w.pos.page(nil), nil
	}
	slices.Reverse(page) // the youngest first, as the pages are
	if at := slices.IndexFunc(page, func(r row) bool { return r.token == w.pos.Row }); at >= 0 {
		page = page[at:]
	} else {
		w.pos.Row, w.pos.Given = "", 0
	}
	records, whole, err := w.read(ctx, page)
	if err != nil {
		return enlace.Page{}, err
	}
	if whole {
		w.pos.Row, w.pos.Given = "", 0
		if w.pos.Page--; w.pos.Page < 1 {
			w.pos.next()
		}
	}
	return w.pos.page(records), nil
}

// nextPage reads the page that the cursor stands at. Without a page it reads the
// first to learn how many there are; if that is the only one, it is the page. It
// is not found if the list got shorter meanwhile; then the cursor has moved.
func (w *walk) nextPage(ctx context.Context) (page []row, found bool, err error) {
	if w.pos.Page == 0 {
		only, err := w.probe(ctx, "true")
		if err != nil || w.pos.Page == 1 {
			return only, true, err
		}
	}
	query := w.query()
	if w.pos.Page == 1 { // spelt otherwise than by probe, whose answer may be cached
		query.Set("include_signers", "1")
	}
	list, err := listRows(ctx, w.conn, "list documents", "docs/", query, w.pos.Page)
	if err != nil || len(list.all) > 0 || w.pos.Page == 1 {
		return list.all, true, err
	}
	was := w.pos.Page
	if _, err := w.probe(ctx, "yes"); err != nil {
		return nil, false, err
	}
	w.pos.Page = min(w.pos.Page, was-1) // a count may be cached, a missing page is missing
	return nil, false, nil
}

// probe sets the cursor to the last page, and returns the rows of the first.
// signers is a way to ask for the signers; each has a cache of its own.
func (w *walk) probe(ctx context.Context, signers string) ([]row, error) {
	query := w.query()
	query.Set("include_signers", signers)
	list, err := listRows(ctx, w.conn, "list documents", "docs/", query, 1)
	if err != nil {
		return nil, err
	}
	if w.pos.Began == "" {
		w.pos.Began = stamp(list.at)
	}
	if w.pos.Phase == phaseLive && w.pos.Since == "" {
		w.pos.Total = list.count
	}
	w.pos.Page = 1
	if list.more && len(list.all) > 0 {
		w.pos.Page = max(2, (list.count+len(list.all)-1)/len(list.all))
	}
	if w.pos.Page > maxPages {
		return nil, protocol("list documents", "more pages than can be", nil)
	}
	return list.all, nil
}

// query is the filter of the phase.
func (w *walk) query() url.Values {
	q := url.Values{"sort_order": {"asc"}, "include_signers": {"true"}, "deleted": {strconv.FormatBool(w.pos.Phase == phaseDeleted)}}
	switch {
	case w.pos.Phase == phasePending:
		q.Set("status", "pending")
	case w.pos.Phase == phaseNew:
		q.Set("created_from", w.createdFrom(0))
	case w.pos.Phase == phaseDeleted && w.pos.Mark != "":
		if days := number(w.conn, "reconcileDays"); days > 0 {
			q.Set("created_from", w.createdFrom(days))
		}
	}
	return q
}

// createdFrom is the day of the last run, or of the horizon if that is earlier,
// less a day, since the time zone of days is not documented, and less days.
func (w *walk) createdFrom(days int) string {
	from := parseTime(w.pos.Mark)
	if horizon, err := time.Parse(time.DateOnly, w.pos.Horizon); err == nil && horizon.Before(from) {
		from = horizon
	}
	return from.AddDate(0, 0, -1-days).Format(time.DateOnly)
}

// wanted says whether the row may tell something new.
func (w *walk) wanted(r row) bool {
	changed := w.since.IsZero() || r.updated.IsZero() || !r.updated.Before(w.since)
	if at := w.pos.Seen.find(r.token); at >= 0 && w.pos.Phase != phaseLive && w.pos.Seen[at].digest == r.digest {
		return false // it came before, in this run
	}
	at := w.pos.Open.find(r.token)
	if w.pos.Phase == phasePending {
		if at >= 0 {
			return w.pos.Open[at].digest != r.digest
		}
		return changed || w.pos.Horizon == "" // without a horizon it is new to us, however old
	}
	return changed || at >= 0
}

// handled notes in the cursor that the row is done with.
func (w *walk) handled(r row) {
	w.pos.Open.drop(r.token)
	w.pos.Seen.drop(r.token)
	if r.pending() {
		w.pos.note(r.token, r.digest, r.created)
	}
}

// read makes records of the rows, at most limit. If that is not all, whole is
// false and the cursor tells where to go on.
func (w *walk) read(ctx context.Context, page []row) (records []enlace.Record, whole bool, err error) {
	for len(page) > 0 {
		n, wanted := w.chunk(page, len(records))
		if len(wanted) == 0 && n == 0 {
			w.pos.Row, w.pos.Given = page[0].token, 0
			return records, false, nil
		}
		made, err := w.records(ctx, wanted)
		if err != nil {
			return nil, false, err
		}
		for _, r := range page[:n] {
			own := made[r.token]
			given := 0
			if r.token == w.pos.Row {
				given = min(w.pos.Given, len(own))
			}
			own = own[given:]
			if room := w.limit - len(records); w.limit > 0 && len(own) > room {
				w.pos.Row, w.pos.Given = r.token, given+room
				return append(records, own[:room]...), false, nil
			}
			records = append(records, own...)
			w.handled(r)
		}
		page = page[n:]
	}
	return records, true, nil
}

// chunk is how many rows are handled together, and which of them are wanted: as
// many as there is room for.
func (w *walk) chunk(page []row, got int) (n int, wanted []row) {
	for _, r := range page {
		if w.wanted(r) {
			if w.limit > 0 && got+len(wanted) >= w.limit {
				return n, wanted
			}
			wanted = append(wanted, r)
		}
		n++
	}
	return n, wanted
}

// records reads the rows' records, several at a time.
func (w *walk) records(ctx context.Context, wanted []row) (map[string][]enlace.Record, error) {
	made := make([][]enlace.Record, len(wanted))
	err := each(ctx, len(wanted), func(ctx context.Context, i int) (err error) {
		made[i], _, err = w.recordsOf(ctx, wanted[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	byToken := map[string][]enlace.Record{}
	for i, r := range wanted {
		byToken[r.token] = made[i]
	}
	return byToken, nil
}

// recordsOf makes records of one row: of the document itself, or of its signers.
// An extra document, which a row without signers may be, makes none.
func (w *walk) recordsOf(ctx context.Context, r row) ([]enlace.Record, detail, error) {
	if w.entity == Documents && r.signers > 0 && w.conn.Setting("details") == "false" {
		return []enlace.Record{documentRecord(r)}, detail{}, nil
	}
	d, err := readDetail(ctx, w.conn, "docs", r.token)
	if err != nil || d.extra {
		return nil, d, err
	}
	if w.entity == Signers {
		return d.signerRecords(), d, nil
	}
	return []enlace.Record{documentRecord(d.row)}, d, nil
}

// documentRecord makes a record of a document's row or detail.
func documentRecord(r row) enlace.Record {
	record := enlace.Record{Entity: Documents, ID: r.token, Deleted: r.deleted, Modified: r.updated}
	if !r.deleted {
		record.Data = r.raw
	}
	return record
}

// pullGone reads the documents that came in no list, one by one.
func (w *walk) pullGone(ctx context.Context) (enlace.Page, error) {
	n := min(len(w.pos.Open), documentsPerPage)
	if w.limit > 0 {
		n = min(n, w.limit)
	}
	made, details := make([][]enlace.Record, n), make([]detail, n)
	err := each(ctx, n, func(ctx context.Context, i int) (err error) {
		made[i], details[i], err = w.recordsOf(ctx, row{token: unpackToken(w.pos.Open[i].token)})
		return err
	})
	if err != nil {
		return enlace.Page{}, err
	}
	var records []enlace.Record
	for i := range n {
		token, own, given := details[i].token, made[i], 0
		if token == w.pos.Row {
			given = min(w.pos.Given, len(own))
		}
		own = own[given:]
		if room := w.limit - len(records); w.limit > 0 && len(own) > room {
			w.pos.Row, w.pos.Given = token, given+room
			return w.pos.page(append(records, own[:room]...)), nil
		}
		records = append(records, own...)
		if w.pos.Row, w.pos.Given = "", 0; details[i].pending() && !details[i].extra {
			w.pos.Seen.drop(token)
			w.pos.note(token, 0, details[i].created) // it was missed while the lists moved
		}
		w.pos.Open.drop(token)
	}
	if len(w.pos.Open) == 0 {
		w.pos.next()
	}
	return w.pos.page(records), nil
}

// each calls do for 0 to n-1, several at a time, and returns when all have ended.
// After the first error, which it returns, no more are begun.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	slots := make(chan struct{}, lanes)
	for i := range n {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	err := context.Cause(ctx)
	if err != nil && enlace.KindLabel(err) == "other" { // the caller's own
		return &enlace.Error{Provider: Name, Op: "read", Kind: enlace.ErrCanceled, Outcome: enlace.OutcomeNotRun, Err: err}
	}
	return err
}

// detail is a record that was read by itself.
type detail struct {
	row
	extra  bool  // it is an extra document
	people []row // its signers
}
