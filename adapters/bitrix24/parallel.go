package bitrix24

import (
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
	// patience is how many batches in a row may be turned away before the walk
	// gives up.
	patience = 8
)

// plan is what the first answers tell about the work to be done.
type plan struct {
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
	if w.readRanges(ctx, yield) {
		w.sequential(ctx, 0, yield)
	}
}

// survey reads the first page and finds out how many items there are and how
// their ids are spread, by two calls at the same time.
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
	if err := errors.Join(headErr, tailErr); err != nil {
		if headErr != nil {
			return enlace.Page{}, headErr
		}
		return enlace.Page{}, tailErr
	}
	if err := checkRange(head, r); err != nil {
		return enlace.Page{}, err
	}
	w.pos.begin(head.timing)
	w.pos.Total = max(head.total, len(head.records))
	w.learn(head)
	if len(head.records) < pageSize {
		w.pos.Pending = w.pos.Pending[1:]
		return w.pos.page(head.records), nil
	}
	// The greatest id is the first of the descending page. What is created behind
	// it while we read is found by the next run by change.
	greatest := head.last
	for _, record := range tail.records {
		if id, err := parseID(record.ID); err == nil {
			greatest = max(greatest, id)
		}
	}
	w.pos.Pending = nil
	if greatest > head.last {
		w.pos.Pending = []idRange{{head.last, greatest}}
		w.pos.Density = density(w.pos.Total-len(head.records), greatest-head.last)
	}
	return w.pos.page(head.records), nil
}

// density is items per id, more than 0 and at most 1.
func density(items int, ids int64) float64 {
	return min(1, max(float64(items), 1)/float64(max(ids, 1)))
}

// learn takes the measure of a page for the plan.
func (w *walk) learn(page listPage) {
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
	pages  []listPage
	err    error
}

// readRanges reads everything that is pending. It returns true if the portal
// turned batches away until even one at a time was too much, so that the rest
// must be read page by page.
func (w *walk) readRanges(ctx context.Context, yield func(enlace.Page, error) bool) (plain bool) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan batchResult)
	flying, refused := 0, 0
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
			ranges, cost := queue[:n:n], w.plan.cost
			queue = queue[n:]
			flying++
			go func() { results <- w.readBatch(ctx, ranges, cost) }()
		}
		result := <-results
		flying--
		records, again, err := w.take(result)
		queue = append(again, queue...)
		if err != nil {
			if !w.bears(err, &refused) {
				yield(enlace.Page{}, err)
				return false
			}
			if w.lanes == 0 {
				return true
			}
			continue
		}
		refused = 0
		if page := w.pos.page(records); !yield(page, nil) || page.Done {
			return false
		}
	}
	return false
}

// bears says whether the walk goes on after a batch was turned away, with fewer
// lanes. At 0 lanes the rest is read page by page.
func (w *walk) bears(err error, refused *int) bool {
	if !errors.Is(err, enlace.ErrRateLimited) && !errors.Is(err, enlace.ErrUnavailable) {
		return false
	}
	*refused++
	if *refused > patience {
		return false
	}
	if e, ok := errors.AsType[*enlace.Error](err); ok && e.Partial {
		return true // the method's run time is used up; waiting helps, fewer lanes do not
	}
	w.lanes /= 2
	return true
}

// readBatch reads one page of each range, when the portal's run time allows it.
func (w *walk) readBatch(ctx context.Context, ranges []idRange, cost time.Duration) batchResult {
	result := batchResult{ranges: ranges}
	budget := w.conn.Budget(listMethod)
	release, err := budget.Acquire(ctx, cost*time.Duration(len(ranges)))
	if err != nil {
		result.err = err
		return result
	}
	commands := make([]listParams, len(ranges))
	for i, r := range ranges {
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
// that must be asked for again. If nothing came of it there is an error.
func (w *walk) take(result batchResult) (records []enlace.Record, again []idRange, err error) {
	if result.err != nil {
		return nil, result.ranges, result.err
	}
	for i, page := range result.pages {
		r := result.ranges[i]
		if page.err != nil {
			if !errors.Is(page.err, enlace.ErrRateLimited) {
				return nil, result.ranges, page.err
			}
			again, err = append(again, r), page.err
			continue
		}
		if err := checkRange(page, r); err != nil {
			return nil, result.ranges, err
		}
		w.learn(page)
		records = append(records, page.records...)
		if len(page.records) < pageSize || page.last == r.To || r.To-r.After <= pageSize {
			w.pos.done(r.After, r.To)
			continue
		}
		w.pos.done(r.After, page.last)
		again = append(again, splitDense(idRange{page.last, r.To}, density(pageSize, page.last-r.After))...)
	}
	if len(again) < len(result.ranges) || len(records) > 0 {
		err = nil
	}
	return records, again, err
}

// width is how many commands the next batch gets: an equal share for the idle
// lanes, as far as the limits of one call allow.
func (w *walk) width(commands, idle int) int {
	n := min((commands+idle-1)/idle, batchSize)
	if w.plan.cost > 0 {
		n = min(n, int(batchTime/w.plan.cost))
	}
	if w.plan.recordSize > 0 {
		n = min(n, batchBytes/(pageSize*w.plan.recordSize))
	}
	return max(n, 1)
}

// split cuts what is pending into ranges of about one page each. A range of not
// more ids than a page has rows needs no second look.
func (w *walk) split() []idRange {
	width := int64(pageSize)
	if w.pos.Density < 0.9 {
		width = idsFor(w.pos.Density)
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
