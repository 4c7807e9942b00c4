package enlace

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

// entityPull is the part of a run that reads one entity.
type entityPull struct {
	run        *run
	entity     string
	scope      string
	mapper     *mapper
	refused    refusals          // what is put aside
	edited     map[string]Digest // while edited records are given: of what the provider sent, by id
	lease      Lease
	checkpoint Checkpoint
	began      time.Time // of the walk, if it reads everything; zero otherwise
	started    time.Time
	nothing    bool      // was known of the entity when the run began; then a page is taken for new at first
	delivered  time.Time // since when webhooks tell of changes too; zero if they do not
	result     EntityResult
	blocked    atomic.Int64 // requests that a dry run has not let through
}

func newEntityPull(r *run, entity string) *entityPull {
	p := &entityPull{run: r, entity: entity, scope: r.options.scope(), started: time.Now(), result: r.record.Results[entity],
		refused: refusals{}, edited: map[string]Digest{}}
	p.result.Resumed, p.result.Kind = false, "" // as this slice finds it
	return p
}

// pull reads the entity while it is reserved for this run.
func (p *entityPull) pull(ctx context.Context) error {
	if p.run.options.DryRun {
		return p.pullReserved(ctx)
	}
	return p.run.service.leased(ctx, syncLease(p.run.integration.Ref, p.entity), p.run.record.ID, func(ctx context.Context, lease Lease) error {
		p.lease = lease
		return p.pullReserved(ctx)
	})
}

func (p *entityPull) pullReserved(ctx context.Context) error {
	var err error
	store, ref := p.run.service.store, p.run.integration.Ref
	if p.mapper, err = p.run.service.mapper(ctx, ref, p.entity); err != nil {
		return err
	}
	if p.checkpoint, err = store.LoadCheckpoint(ctx, ref, p.entity); err != nil {
		return wrap("load checkpoint", ErrStore, err)
	}
	if since, ok := p.run.service.expectsDeliveries(ctx, ref); ok {
		p.delivered = since
	}
	again, err := p.loadRefusals(ctx)
	if err != nil {
		return err
	}
	if err := p.deleteWhatIsDue(ctx); err != nil {
		return err
	}
	if err := p.retryRefused(ctx, again); err != nil {
		return err
	}
	if p.nothing, err = p.nothingKnown(ctx); err != nil {
		return err
	}
	for i, start := range p.starts() {
		if i > 0 {
			p.result.Resumed = false
		}
		if err = p.pullFrom(ctx, start); !isKind(err, ErrCursorExpired) {
			break
		}
	}
	if err != nil || !p.result.Complete {
		return err
	}
	return p.sweep(ctx)
}

// nothingKnown says whether no record of the entity has a state yet.
func (p *entityPull) nothingKnown(ctx context.Context) (bool, error) {
	if p.checkpoint.Version != 0 || p.run.options.Untracked {
		return false, nil
	}
	states, _, err := p.run.service.store.RecordStates(ctx, RecordQuery{Ref: p.run.integration.Ref, Entity: p.entity, Limit: 1})
	return len(states) == 0, wrap("list records", ErrStore, err)
}

// starts are the cursors from which to try, best first: the provider may have
// forgotten a position, and then an earlier one costs time but loses nothing.
func (p *entityPull) starts() []Cursor {
	var starts []Cursor
	if p.checkpoint.Resume != "" && p.checkpoint.Scope == p.scope {
		p.result.Resumed = true
		starts = append(starts, p.checkpoint.Resume)
	}
	if p.scope == "" && p.checkpoint.Mark != "" {
		starts = append(starts, p.checkpoint.Mark)
	}
	return append(starts, "")
}

func (p *entityPull) pullFrom(ctx context.Context, start Cursor) error {
	o := p.run.options
	req := PullRequest{Entity: p.entity, Cursor: start, Limit: o.Limit}
	if start == "" {
		req.Since = o.Since
	}
	p.began = p.walkBegan(start)
	lane := LaneSync
	if !p.began.IsZero() {
		lane = LaneBackfill
	}
	if o.DryRun {
		ctx = readingOnly(ctx, &p.blocked)
		defer func() { p.result.Blocked = int(p.blocked.Load()) }()
	}
	for page, err := range p.run.conn.pages(WithLane(ctx, lane), req) {
		if err != nil {
			return err
		}
		cut := o.Limit > 0 && p.result.Read+len(page.Records) > o.Limit
		if cut {
			page.Records = page.Records[:o.Limit-p.result.Read]
		}
		if err := p.acceptPage(ctx, page, cut); err != nil {
			return err
		}
		if full := o.Limit > 0 && p.result.Read >= o.Limit; page.Done || full {
			p.result.Complete = page.Done && !cut
			return nil
		}
		if err := p.run.sliceOver(); err != nil {
			return err
		}
	}
	return nil
}

// walkBegan is when the walk from that cursor on began, by the store's clock, if it
// goes through all records; zero for a walk by change.
func (p *entityPull) walkBegan(start Cursor) time.Time {
	switch {
	case start == "" && p.run.options.Since.IsZero():
		return p.now()
	case start != "" && start == p.checkpoint.Resume && p.result.Resumed:
		return p.checkpoint.Began
	default:
		return time.Time{}
	}
}

// now is the store's clock when this run reserved the entity.
func (p *entityPull) now() time.Time {
	if p.lease.Until.IsZero() {
		return p.started
	}
	return p.lease.Until.Add(-orDefaultDuration(p.run.service.config.RunLease, defaultRunLease))
}

// acceptPage gives a page to the sink and moves the checkpoint behind it. The
// checkpoint stays before a page that was cut.
func (p *entityPull) acceptPage(ctx context.Context, page Page, cut bool) error {
	r := p.run
	var next *Checkpoint
	if !cut {
		next = p.behind(page)
	}
	var ended error // by request, behind the page
	if r.options.DryRun {
		batch, err := p.track(ctx, page.Records)
		if err != nil {
			return err
		}
		if r.options.Preview != nil {
			if err := p.preview(ctx, page.Records, batch); err != nil {
				return err
			}
		}
		p.accepted(batch, Changes{}, nil)
	} else {
		records, err := p.free(ctx, page.Records)
		if err != nil {
			return err
		}
		if ended = p.accept(ctx, records, next); ended != nil && !byRequest(ended) {
			return ended
		}
		if !cut {
			r.service.noteChanges(ctx, r.integration, p.entity, page.Records, p.delivered)
			r.service.observe(ctx, PageSynced{Ref: r.integration.Ref, Provider: r.conn.provider, RunID: r.record.ID,
				Entity: p.entity, Records: len(page.Records)})
		}
	}
	p.result.Read += len(page.Records)
	p.result.Pages++
	p.progress(page, page.Done && !cut)
	if ended != nil {
		return ended
	}
	return p.saveSometimes(ctx)
}

// free are the records that the run may take.
func (p *entityPull) free(ctx context.Context, records []Record) ([]Record, error) {
	if p.run.hold == nil || len(records) == 0 {
		return records, nil
	}
	held, err := p.run.hold(ctx, p.entity, records)
	if err != nil || len(held) == 0 {
		return records, err
	}
	free := make([]Record, 0, len(records))
	for _, r := range records {
		if !held[r.ID] {
			free = append(free, r)
		}
	}
	return free, nil
}

// behind is the checkpoint behind a page; nil if it stays where it is.
func (p *entityPull) behind(page Page) *Checkpoint {
	next := p.checkpoint
	explicit := !p.run.options.Since.IsZero()
	if explicit && next.Mark == "" && next.Resume != "" && !strings.HasPrefix(next.Scope, sinceScope) {
		return nil // an unfinished first run stands here: it still has the older records to read
	}
	if page.Done {
		next.Resume, next.Scope = "", ""
		if !explicit || next.Mark == "" {
			next.Mark = page.Next
		}
	} else {
		next.Resume, next.Scope = page.Next, p.scope
	}
	next.Began = p.began // behind the last page it says that the sweep is still to be done
	if page.Done && !p.sweeps() {
		next.Began = time.Time{}
	}
	return &next
}

// progressEvery is how often the record of a run on its way is saved.
const progressEvery = 2 * time.Second

// saveSometimes keeps the counts of the run's record close to the truth.
func (p *entityPull) saveSometimes(ctx context.Context) error {
	if time.Since(p.run.saved) < progressEvery {
		return nil
	}
	p.run.record.Results[p.entity] = p.result
	return p.run.save(ctx)
}

func (p *entityPull) progress(page Page, done bool) {
	if p.run.options.Progress == nil {
		return
	}
	progress := Progress{Entity: p.entity, Read: p.result.Read, Total: page.Total, Pages: p.result.Pages, Done: done}
	if seconds := time.Since(p.started).Seconds(); seconds > 0 {
		progress.Rate = float64(p.result.Read) / seconds
	}
	if left := page.Total - p.result.Read; left > 0 && progress.Rate > 0 && !done {
		progress.Left = time.Duration(float64(left) / progress.Rate * float64(time.Second))
	}
	p.run.options.Progress(progress)
}

// sinkError gives an error of the host's sink its kind, whatever is in it: a
// deadline of the host's own database does not mean that the caller has left.
func sinkError(ctx context.Context, entity string, err error) error {
	e := &Error{Op: "accept " + entity, Kind: ErrSink, Err: err}
	if contextError(err) && ctx.Err() != nil {
		e.Kind = ErrCanceled
	}
	return e
}

// isKind says whether err is of that kind itself, and not only its cause.
func isKind(err, kind error) bool { return KindLabel(err) == KindLabel(kind) }

// requested is the error with which a run ends that somebody wants to end; nil if
// it may go on.
func requested(request RunRequest) error {
	switch request {
	case RequestPause:
		return &Error{Op: "sync", Kind: ErrPaused}
	case RequestCancel:
		return &Error{Op: "sync", Kind: ErrCanceled, Message: "by request"}
	default:
		return nil
	}
}

// byRequest says whether an error is one of requested: what came before it is saved.
func byRequest(err error) bool {
	return isKind(err, ErrPaused) || isKind(err, ErrCanceled) && !contextError(err)
}

var errStatesChanged = errors.New("the states of records have changed meanwhile")
