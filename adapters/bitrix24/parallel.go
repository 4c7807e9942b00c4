package bitrix24

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	// A batch shall stay well under the 60 s after which the portal cuts a call
	// off (sheet 3.3), and within one attempt's timeout.
	batchTime = 20 * time.Second
	// and well under the default bound of an answer.
	batchBytes = 4 << 20
	// fill is how full a page of a range is planned to be where ids have gaps:
	// a page that comes back full may not be the whole range, which costs one
	// command more.
	fill = 0.85
	// firstBatch is how many commands a batch has at most as long as nothing is
	// known about their time, which is when a walk is taken up again.
	firstBatch = 5
	// patience is how many waves of batches in a row may be turned away before the
	// walk gives up.
	patience = 8
	// maxRanges bounds the plan, at about a million items. Where there are more,
	// ranges are wider, and cut further as they prove to be full.
	maxRanges = 25_000
	// leastCost is what a command counts whose time is not known: enough to wait
	// for the portal's allowance when all of it is used.
	leastCost = 1 * time.Nanosecond
)

// plan is what the answers so far tell about the work to be done.
type plan struct {
	measured   bool          // there has been an answer
	cost       time.Duration // the portal's time for one command
	recordSize int           // bytes
}

// parallel reads the pending ranges by batches of list commands, w.lanes of them
// at a time. Ranges need no order among each other, so a batch is yielded as soon
// as it is there, and the cursor knows which ranges are left.
func (w *walk) parallel(ctx context.Context, yield func(enlace.Page, error) bool) {
	if w.pos.Density == 0 {
		page, err := w.survey(ctx)
		if !yield(page, err) || err != nil || page.Done {
			return
		}
	}
	if w.pos.Density == 0 || w.readRanges(ctx, yield) {
		w.sequential(ctx, 0, yield)
	}
}

// survey reads the first page and finds out how many items there are and how
// their ids are spread, by two calls at the same time. Without a density after it
// the ids could not be seen, and the rest must be read page by page.
func (w *walk) survey(ctx context.Context) (enlace.Page, error) {
	r := w.pos.Pending[0]
	first, last := w.params(r), w.params(r)
	first.Start = 0 // with the total
	last.Order = map[string]string{"id": "DESC"}
	last.Select = []string{"id"}
	var head, tail listPage
	var headErr, tailErr error
	var both sync.WaitGroup
	both.Go(func() { head, headErr = list(ctx, w.conn, w.entity, first) })
	both.Go(func() { tail, tailErr = list(ctx, w.conn, w.entity, last) })
	both.Wait()
	if err := cmp.Or(headErr, tailErr); err != nil {
		return enlace.Page{}, err
	}
	if w.respell(head) {
		return w.survey(ctx)
	}
	if err := checkRange(head, r); err != nil {
		return enlace.Page{}, err
	}
	w.pos.begin(w.conn, head.timing)
	w.pos.Total = max(head.total, len(head.records))
	w.learn(head)
	// What is created behind the greatest id while we read is found by the next
	// run by change. The total is for the plan only: portals are known to be wrong
	// about it (sheet, Q22).
	greatest := greatestID(tail)
	switch {
	case len(head.records) < pageSize || greatest == head.last:
		w.pos.Pending = nil
	case greatest > head.last:
		w.pos.Pending = []idRange{{head.last, greatest}}
		w.pos.Density = density(w.pos.Total-len(head.records), greatest-head.last)
	default: // the order was not kept, or the greatest ids have just been deleted
		w.pos.Pending = []idRange{{After: head.last}}
	}
	return w.pos.page(head.records), nil
}

// greatestID is the first id of a page in descending order; 0 if the page is not
// in that order.
func greatestID(page listPage) int64 {
	var greatest, previous int64
	for i, record := range page.records {
		id, err := parseID(record.ID)
		if err != nil || (i > 0 && id >= previous) {
			return 0
		}
		greatest, previous = max(greatest, id), id
	}
	return greatest
}

// density is items per id, more than 0 and at most 1.
func density(items int, ids int64) float64 {
	return min(1, max(float64(items), 1)/float64(max(ids, 1)))
}

// learn takes the measure of a page for the plan.
func (w *walk) learn(page listPage) {
	w.plan.measured = true
	if page.timing.duration > 0 {
		w.plan.cost = page.timing.duration
	}
	if n := len(page.records); n > 0 {
		size := 0
		for _, r := range page.records {
			size += len(r.Data)
		}
		w.plan.recordSize = size / n
	}
}

// batchResult is what became of a batch.
type batchResult struct {
	ranges []idRange
	wave   int // of the walk when the batch was sent
	pages  []listPage
	err    error
}

// readRanges reads everything that is pending. It returns true if the portal
// turned batches away until even one at a time was too much, so that the rest
// must be read page by page.
func (w *walk) readRanges(ctx context.Context, yield func(enlace.Page, error) bool) (plain bool) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan batchResult)
	flying := 0
	defer func() {
		cancel()
		for range flying {
			<-results
		}
	}()
	queue := w.split()
	for len(queue) > 0 || flying > 0 {
		for flying < w.lanes && len(queue) > 0 {
			n := w.width(len(queue), w.lanes-flying)
			sent, cost := batchResult{ranges: queue[:n:n], wave: w.wave}, w.plan.cost
			queue = queue[n:]
			flying++
			go func() { results <- w.readBatch(ctx, sent, cost) }()
		}
		result := <-results
		flying--
		records, again, err := w.take(result)
		queue = append(again, queue...)
		if err != nil {
			if !w.bears(err, result.wave) {
				yield(enlace.Page{}, err)
				return false
			}
			if w.lanes == 0 {
				return true
			}
			continue
		}
		w.refused = 0
		if page := w.pos.page(records); !yield(page, nil) || page.Done {
			return false
		}
	}
	return false
}

// passing says whether what went wrong may be due to the load: then less of it
// may help, and another batch can do no harm.
func passing(err error) bool {
	return errors.Is(err, enlace.ErrRateLimited) || errors.Is(err, enlace.ErrUnavailable) ||
		errors.Is(err, enlace.ErrProtocol) || errors.Is(err, enlace.ErrTooLarge)
}

// bears says whether the walk goes on after a batch was turned away, with fewer
// lanes. At 0 lanes the rest is read page by page. Batches that were under way
// together are turned away together, so those of a wave count once.
func (w *walk) bears(err error, wave int) bool {
	if !passing(err) {
		return false
	}
	if wave < w.wave {
		return true
	}
	w.wave++
	w.refused++
	if w.refused > patience {
		return false
	}
	if e, ok := errors.AsType[*enlace.Error](err); ok && e.Partial {
		return true // the method's run time is used up; waiting helps, fewer lanes do not
	}
	w.lanes /= 2
	return true
}

// readBatch reads one page of each range, when the portal's run time allows it.
func (w *walk) readBatch(ctx context.Context, result batchResult, cost time.Duration) batchResult {
	budget := w.conn.Budget(listMethod)
	release, err := budget.Acquire(ctx, max(leastCost, cost*time.Duration(len(result.ranges))))
	if err != nil {
		result.err = err
		return result
	}
	commands := make([]listParams, len(result.ranges))
	for i, r := range result.ranges {
		commands[i] = w.params(r)
	}
	result.pages, result.err = batch(ctx, w.conn, w.entity, commands)
	var spent time.Duration
	var newest timing
	for _, p := range result.pages {
		spent += p.timing.duration
		if p.timing.operating >= newest.operating {
			newest = p.timing
		}
	}
	release(spent)
	budget.Report(newest.operating, newest.resetAt)
	if blocked(result) {
		// The portal's account differs from ours. Believe the portal's, until
		// something of it falls free.
		limits := Adapter{}.Describe().Limits
		budget.Report(limits.RunTime, later(newest.resetAt, time.Now().Add(limits.RunTimeWindow/10)))
	}
	return result
}

// blocked says whether the portal has refused for the method's run time.
func blocked(r batchResult) bool {
	if e, ok := errors.AsType[*enlace.Error](r.err); ok && e.Partial {
		return true
	}
	for _, p := range r.pages {
		if e, ok := errors.AsType[*enlace.Error](p.err); ok && e.Partial {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// take books what a batch has brought, and returns its records and the ranges
// that must be asked for again. With an error nothing came of the batch, and
// nothing is booked: whatever is booked has its records returned.
func (w *walk) take(result batchResult) (records []enlace.Record, again []idRange, err error) {
	if result.err != nil {
		return nil, result.ranges, result.err
	}
	for i, page := range result.pages {
		if page.err != nil && passing(page.err) {
			err = page.err
			continue
		}
		if fatal := cmp.Or(page.err, checkRange(page, result.ranges[i])); fatal != nil {
			return nil, result.ranges, fatal
		}
	}
	read := 0
	for i, page := range result.pages {
		r := result.ranges[i]
		if page.err != nil {
			again = append(again, r)
			continue
		}
		read++
		w.learn(page)
		records = append(records, page.records...)
		if len(page.records) < pageSize || page.last == r.To || r.To-r.After <= pageSize {
			w.pos.done(r.After, r.To)
			continue
		}
		w.pos.done(r.After, page.last)
		again = append(again, splitDense(idRange{page.last, r.To}, density(pageSize, page.last-r.After))...)
	}
	if read > 0 {
		err = nil
	}
	return records, again, err
}

// width is how many commands the next batch gets: an equal share for the idle
// lanes, as far as the limits of one call allow.
func (w *walk) width(commands, idle int) int {
	n := min((commands+idle-1)/idle, batchSize)
	if !w.plan.measured {
		n = min(n, firstBatch)
	}
	if w.plan.cost > 0 {
		n = min(n, int(batchTime/w.plan.cost))
	}
	if w.plan.recordSize > 0 {
		n = min(n, batchBytes/(pageSize*w.plan.recordSize))
	}
	return max(n, 1)
}

// split cuts what is pending into ranges of about one page each, but not into more
// than maxRanges: totals and ids come from outside. A range of not more ids than a
// page has rows needs no second look.
func (w *walk) split() []idRange {
	width := int64(pageSize)
	if w.pos.Density < 0.9 {
		width = idsFor(w.pos.Density)
	}
	var ids int64
	for _, r := range w.pos.Pending {
		ids += r.To - r.After
	}
	for ids/width >= maxRanges {
		width *= 2 // a full range of two pages leaves exactly one
	}
	var ranges []idRange
	for _, r := range w.pos.Pending {
		for after := r.After; after < r.To; {
			to := after + min(width, r.To-after)
			ranges = append(ranges, idRange{after, to})
			after = to
		}
	}
	return ranges
}

// splitDense cuts the rest of a range that held more than a page. Items stood
// closer together there than planned; how far that goes on is unknown, so each
// piece is twice as wide as the one before.
func splitDense(r idRange, density float64) []idRange {
	var ranges []idRange
	width := idsFor(density)
	for after := r.After; after < r.To; width = min(2*width, math.MaxInt64/4) {
		to := after + min(width, r.To-after)
		ranges = append(ranges, idRange{after, to})
		after = to
	}
	return ranges
}

// idsFor is how wide a range may be to give a page that is not quite full.
func idsFor(density float64) int64 {
	return int64(min(max(pageSize*fill/density, pageSize), math.MaxInt64/4))
}
