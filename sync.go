package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Direction is which way a sync moves records.
type Direction string

// The directions.
const (
	Pull Direction = "pull" // from the provider into the Sink
	Push Direction = "push" // from the Source to the provider
	// Bidirectional pulls and then pushes each entity. Records that both sides have
	// changed are merged field by field. It needs a Source, a Sink, and an adapter
	// that is a Fetcher.
	Bidirectional Direction = "bidirectional"
)

// SyncOptions say what a run shall do. The zero value pulls what has changed of
// every entity into Config.Sink.
type SyncOptions struct {
	Direction Direction // empty is Pull
	Entities  []string  // names, or "all"; empty is all. Parents come before children
	// Since reads records changed at or after this instant, whatever earlier runs
	// have read. It leaves the mark of finished runs where it is, or sets the
	// first one. While a first run without Since is unfinished, that one keeps
	// its place, and a run with Since cannot be resumed.
	Since time.Time
	// Full reads everything again instead of what has changed.
	Full bool
	// Limit stops after so many records of each entity; 0 is no limit. The next
	// run goes on behind them.
	Limit int
	// DryRun reads without giving anything to the sink and without moving a
	// checkpoint; the result says what would have been read. No run is recorded. A
	// push writes nothing anywhere, and the result has a Plan of what it would write.
	DryRun bool
	// Sink takes the records; nil is Config.Sink.
	Sink Sink
	// Source gives what is pushed; nil with Pull.
	Source Source
	// Conflicts is which side wins where both have changed the same field.
	Conflicts ConflictPolicy
	// Resolve decides such fields by the host's rules, before Conflicts is asked: it
	// returns the value that each of the conflict's fields gets on both sides. Fields
	// that it leaves out make the record wait; nil leaves all to Conflicts.
	Resolve func(ctx context.Context, c Conflict) (map[string]json.RawMessage, error)
	// OnError is what to do about a change that the provider refuses.
	OnError OnError
	// Tries is how often a change may be refused, in as many runs, before it is a
	// dead letter; 0 is 3.
	Tries int
	// Progress is called after each page, in the goroutine of Sync; nil is not.
	Progress func(Progress)

	applying map[string]*approvedPlan // see Apply; by entity
}

// Sink takes what was pulled into the host's own data.
type Sink interface {
	// Accept stores the records of one page. When it returns nil they are
	// durable: the checkpoint moves behind them and they are not read again.
	// After an error, and after a crash, the same page comes again, so Accept
	// must be idempotent: write by (integration, entity, id). It is called for
	// one page at a time in a run; pages need not come in any order of ids. The
	// changes it reports are counted in the result; they may be left zero.
	Accept(ctx context.Context, b Batch) (Changes, error)
}

// SinkFunc makes a function a Sink.
type SinkFunc func(ctx context.Context, b Batch) (Changes, error)

// Accept implements Sink.
func (f SinkFunc) Accept(ctx context.Context, b Batch) (Changes, error) { return f(ctx, b) }

// Batch is one page on its way into a Sink.
type Batch struct {
	Integration Integration
	RunID       string
	Entity      string
	// Records are as the provider sends them, or as the entity's active mapping makes
	// them of that: Data is the mapped JSON then, and all else stays.
	Records []Record
	Mapping int // number of that version, 0 for none
}

// Changes count what a Sink did with a page.
type Changes struct {
	Created, Updated, Deleted, Unchanged int
}

// Progress is how far a run has come with one entity.
type Progress struct {
	Entity string
	Read   int // records so far, in this run
	Total  int // expected in all, 0 if unknown
	Pages  int
	Done   bool
}

// SyncResult is what a run did. It is filled in also when the run failed.
type SyncResult struct {
	RunID    string
	Entities map[string]EntityResult
	Complete bool // every entity was read to its end
	Elapsed  time.Duration
	Plan     *Plan // what a dry run would write; nil for others
}

// EntityResult is what a run did with one entity.
type EntityResult struct {
	Read       int        `json:"read"`
	Created    int        `json:"created"`
	Updated    int        `json:"updated"`
	Deleted    int        `json:"deleted"`
	Unchanged  int        `json:"unchanged"`
	Skipped    int        `json:"skipped,omitempty"` // left out by a rule of the mapping
	Pages      int        `json:"pages"`
	Requests   int        `json:"requests"` // HTTP requests, repetitions included
	Retries    int        `json:"retries"`  // of which repetitions
	Resumed    bool       `json:"resumed"`  // it went on where an unfinished run had stopped
	Complete   bool       `json:"complete"`
	Checkpoint Checkpoint `json:"-"`
	Kind       string     `json:"kind,omitempty"` // KindLabel of what stopped it
	// Push counts the host's changes; nil for a pull.
	Push *PushResults `json:"push,omitempty"`
}

// Sync carries out one run and returns when it has ended. Pages are given to the
// sink one after the other, and after each one the checkpoint is saved; a run
// that stops anywhere is taken up there by the next one with equal options.
//
// The result is returned also with an error. Errors: ErrNotFound, ErrDisabled,
// ErrUnknownProvider, ErrUnsupported (an entity or direction the adapter lacks),
// ErrInvalid, ErrNoCredential, ErrKey, ErrSink, ErrStore, ErrConflict (another
// run is reading the same entity), ErrCanceled, and what the provider's answers
// stand for. An entity that the account may not read (ErrForbidden, ErrNotFound)
// does not keep the others from being read; its error is joined to the result's.
func (s *Service) Sync(ctx context.Context, ref Ref, o SyncOptions) (SyncResult, error) {
	started := time.Now()
	r, err := s.newRun(ctx, ref, o)
	if err != nil {
		return SyncResult{}, err
	}
	err = r.moveAll(ctx)
	result := r.result()
	result.Elapsed = time.Since(started)
	if saveErr := r.finish(ctx, err); err == nil {
		err = saveErr
	}
	s.observe(ctx, SyncFinished{Ref: ref, Provider: r.conn.provider, RunID: r.record.ID, Result: result, Kind: KindLabel(err)})
	return result, err
}

// Pages reads one entity without sink and checkpoint and yields its pages. It
// ends after the first error. Errors are those of Sync.
func (s *Service) Pages(ctx context.Context, ref Ref, req PullRequest) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		conn, err := s.Conn(ctx, ref)
		if err != nil {
			yield(Page{}, err)
			return
		}
		if err := checkReadable(conn.descriptor, req.Entity); err != nil {
			yield(Page{}, err)
			return
		}
		for page, err := range conn.pages(ctx, req) {
			if !yield(page, err) {
				return
			}
		}
	}
}

// Records reads one entity like Pages and yields its records.
func (s *Service) Records(ctx context.Context, ref Ref, req PullRequest) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for page, err := range s.Pages(ctx, ref, req) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, record := range page.Records {
				if !yield(record, nil) {
					return
				}
			}
		}
	}
}

// run is one Sync on its way.
type run struct {
	service     *Service
	options     SyncOptions
	sink        Sink
	integration Integration
	conn        *Conn
	record      Run
	plan        *Plan        // of a dry run that would write
	writes      atomic.Int64 // numbers the journal
}

func (s *Service) newRun(ctx context.Context, ref Ref, o SyncOptions) (*run, error) {
	if o.Direction == "" {
		o.Direction = Pull
	}
	r := &run{service: s, options: o, sink: o.Sink}
	if r.sink == nil {
		r.sink = s.config.Sink
	}
	if r.sink == nil && !o.DryRun && o.Direction != Push {
		return nil, &ValidationError{Faults: []Fault{{Field: "Sink", Problem: "missing", Allowed: "SyncOptions.Sink or Config.Sink"}}}
	}
	if o.Limit < 0 {
		return nil, &ValidationError{Faults: []Fault{{Field: "Limit", Problem: "negative", Allowed: "0 for no limit, or a number of records"}}}
	}
	var err error
	if r.integration, err = s.Get(ctx, ref); err != nil {
		return nil, err
	}
	if r.conn, err = s.open(ctx, r.integration); err != nil {
		return nil, err
	}
	entities, err := selectFor(o.Direction, r.conn.adapter, o.Entities)
	if err != nil {
		return nil, err
	}
	if err := r.checkDirection(); err != nil {
		return nil, err
	}
	now := time.Now()
	r.record = Run{ID: newID(now), Ref: ref, Provider: r.conn.provider, Direction: o.Direction, Entities: entities,
		DryRun: o.DryRun, State: RunRunning, Results: map[string]EntityResult{}, StartedAt: now, UpdatedAt: now}
	return r, r.save(ctx)
}

// moveAll moves one entity after the other. What concerns one entity only does
// not keep the others from being read.
func (r *run) moveAll(ctx context.Context) error {
	var failed []error
	for _, entity := range r.record.Entities {
		result, err := r.moveEntity(ctx, entity)
		result.Kind = KindLabel(err)
		r.record.Results[entity] = result
		if err != nil {
			failed = append(failed, fmt.Errorf("sync %s: %w", entity, err))
			if !isKind(err, ErrForbidden) && !isKind(err, ErrNotFound) {
				break
			}
		}
		if err := r.save(ctx); err != nil {
			failed = append(failed, err)
			break
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

func (r *run) pullEntity(ctx context.Context, entity string) (EntityResult, error) {
	p := &entityPull{run: r, entity: entity, scope: r.options.scope()}
	requests, retries := r.conn.requests.Load(), r.conn.retries.Load()
	err := p.pull(ctx)
	p.result.Requests = int(r.conn.requests.Load() - requests)
	p.result.Retries = int(r.conn.retries.Load() - retries)
	p.result.Checkpoint = p.checkpoint
	return p.result, err
}

// scope names what a run sets out to read. An unfinished run is taken up by one
// of the same scope only.
func (o SyncOptions) scope() string {
	switch {
	case !o.Since.IsZero():
		return sinceScope + o.Since.UTC().Format(time.RFC3339Nano)
	case o.Full:
		return "full"
	default:
		return ""
	}
}

const sinceScope = "since " // what the scopes of runs with Since begin with

// entityPull is the part of a run that reads one entity.
type entityPull struct {
	run        *run
	entity     string
	scope      string
	mapper     *mapper
	checkpoint Checkpoint
	result     EntityResult
}

func (p *entityPull) pull(ctx context.Context) error {
	var err error
	store, ref := p.run.service.store, p.run.integration.Ref
	if p.mapper, err = p.run.service.mapper(ctx, ref, p.entity); err != nil {
		return err
	}
	if p.checkpoint, err = store.LoadCheckpoint(ctx, ref, p.entity); err != nil {
		return wrap("load checkpoint", ErrStore, err)
	}
	for i, start := range p.starts() {
		if i > 0 {
			p.result.Resumed = false
		}
		if err = p.pullFrom(ctx, start); !isKind(err, ErrCursorExpired) {
			break
		}
	}
	return err
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
	for page, err := range p.run.conn.pages(ctx, req) {
		if err != nil {
			return err
		}
		cut := o.Limit > 0 && p.result.Read+len(page.Records) > o.Limit
		if cut {
			page.Records = page.Records[:o.Limit-p.result.Read]
		}
		if err := p.accept(ctx, page, cut); err != nil {
			return err
		}
		if full := o.Limit > 0 && p.result.Read >= o.Limit; page.Done || full {
			p.result.Complete = page.Done && !cut
			return nil
		}
	}
	return nil
}

// accept gives a page to the sink and then moves the checkpoint behind it. The
// checkpoint stays before a page that was cut.
func (p *entityPull) accept(ctx context.Context, page Page, cut bool) error {
	r := p.run
	records, skipped, refused := p.mapper.toLocal(page.Records)
	if len(refused) > 0 {
		return refused[0].err
	}
	p.result.Skipped += skipped
	if !r.options.DryRun && len(records) > 0 {
		changes, err := r.pullSink().Accept(ctx, Batch{Integration: r.integration, RunID: r.record.ID, Entity: p.entity, Records: records, Mapping: p.mapper.version()})
		if err != nil {
			return sinkError(ctx, p.entity, err)
		}
		p.result.Created += changes.Created
		p.result.Updated += changes.Updated
		p.result.Deleted += changes.Deleted
		p.result.Unchanged += changes.Unchanged
	}
	if !r.options.DryRun && !cut {
		if err := p.saveCheckpoint(ctx, page); err != nil {
			return err
		}
		r.service.noteChanges(ctx, r.integration, p.entity, page.Records)
		r.service.observe(ctx, PageSynced{Ref: r.integration.Ref, Provider: r.conn.provider, RunID: r.record.ID,
			Entity: p.entity, Records: len(page.Records)})
	}
	p.result.Read += len(page.Records)
	p.result.Pages++
	if r.options.Progress != nil {
		r.options.Progress(Progress{Entity: p.entity, Read: p.result.Read, Total: page.Total, Pages: p.result.Pages, Done: page.Done && !cut})
	}
	return nil
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

// saveCheckpoint moves the checkpoint behind a page that the sink has accepted.
// It does so even if the caller has gone meanwhile.
func (p *entityPull) saveCheckpoint(ctx context.Context, page Page) error {
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := p.run.service.store.SaveCheckpoint(ctx, p.run.integration.Ref, p.entity, next); err != nil {
		return saveError("save checkpoint", err)
	}
	next.Version++
	p.checkpoint = next
	return nil
}

// result sums up the entities that the run has come to.
func (r *run) result() SyncResult {
	result := SyncResult{RunID: r.record.ID, Entities: maps.Clone(r.record.Results), Complete: true}
	if r.plan != nil {
		r.plan.estimate(r.conn, r.options.Direction == Bidirectional)
		result.Plan = r.plan
	}
	for _, entity := range r.record.Entities {
		result.Complete = result.Complete && result.Entities[entity].Complete
	}
	return result
}

// save keeps the run's record. A dry run leaves nothing behind.
func (r *run) save(ctx context.Context) error {
	if r.options.DryRun {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	r.record.UpdatedAt = time.Now()
	return saveError("save run", r.service.store.SaveRun(ctx, r.record))
}

// saveError wraps what a store returned to a call that the caller cannot end.
func saveError(op string, err error) error {
	if contextError(err) {
		return &Error{Op: op, Kind: ErrStore, Err: err}
	}
	return wrap(op, ErrStore, err)
}

func (r *run) finish(ctx context.Context, err error) error {
	r.record.FinishedAt = time.Now()
	r.record.Kind = KindLabel(err)
	switch {
	case err == nil && r.result().Complete:
		r.record.State = RunComplete
	case err == nil:
		r.record.State = RunPartial
	case errors.Is(err, ErrCanceled):
		r.record.State, r.record.Error = RunCanceled, err.Error()
	default:
		r.record.State, r.record.Error = RunFailed, err.Error()
	}
	return r.save(ctx)
}

// pages runs the adapter's pull from req on and checks what it yields.
func (c *Conn) pages(ctx context.Context, req PullRequest) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		watch, read := newCycleWatch(req.Cursor), 0
		for page, err := range c.rawPages(ctx, req) {
			if err == nil {
				err = checkPage(page, watch)
			}
			if err != nil {
				yield(Page{}, c.failure("pull "+req.Entity, err))
				return
			}
			read += len(page.Records)
			if !yield(page, nil) || page.Done {
				return
			}
		}
		if req.Limit == 0 || read < req.Limit {
			yield(Page{}, &Error{Provider: c.provider, Op: "pull " + req.Entity, Kind: ErrProtocol, Outcome: OutcomeRan,
				Message: "the adapter stopped before its last page"})
		}
	}
}

func (c *Conn) rawPages(ctx context.Context, req PullRequest) iter.Seq2[Page, error] {
	if streamer, ok := As[PageStreamer](c.adapter); ok {
		return streamer.Pages(ctx, c, req)
	}
	puller, _ := As[Puller](c.adapter) // checked by checkReadable
	return func(yield func(Page, error) bool) {
		read := 0
		for {
			next := req
			if req.Limit > 0 {
				next.Limit = req.Limit - read%req.Limit // Sync's limit is for the run
			}
			page, err := puller.Pull(ctx, c, next)
			if !yield(page, err) || err != nil || page.Done {
				return
			}
			read += len(page.Records)
			req.Cursor, req.Since = page.Next, time.Time{}
		}
	}
}

// cycleWatch finds out that cursors go round in a circle of any length, and keeps
// only two of them: the last one, and one that it moves up at ever longer
// intervals (Brent's algorithm).
type cycleWatch struct {
	last, marker Cursor
	steps, limit int
}

func newCycleWatch(start Cursor) *cycleWatch {
	return &cycleWatch{last: start, marker: start, limit: 1}
}

// repeats takes the next cursor and says whether it was there before.
func (w *cycleWatch) repeats(next Cursor) bool {
	if next == w.last || next == w.marker {
		return true
	}
	w.last = next
	if w.steps++; w.steps == w.limit {
		w.marker, w.steps, w.limit = next, 0, 2*w.limit
	}
	return false
}

func checkPage(page Page, watch *cycleWatch) error {
	if !page.Done && (page.Next == "" || watch.repeats(page.Next)) {
		return &Error{Kind: ErrCursorStalled, Outcome: OutcomeRan}
	}
	for i := range page.Records {
		if r := &page.Records[i]; r.ID == "" || (r.Data == nil && !r.Deleted) {
			return &Error{Kind: ErrProtocol, Outcome: OutcomeRan, Message: "a record without id or data"}
		}
	}
	return nil
}

// selectEntities resolves names and "all" to entities that can be read, parents
// before children.
func selectEntities(d Descriptor, names []string) ([]string, error) {
	if len(names) == 0 || slices.Contains(names, "all") {
		names = append(slices.Clone(names), readable(d)...)
		names = slices.DeleteFunc(names, func(n string) bool { return n == "all" })
	}
	for _, name := range names {
		if err := checkReadable(d, name); err != nil {
			return nil, err
		}
	}
	return parentsFirst(d, names), nil
}

// parentsFirst orders entities so that none comes before its parents.
func parentsFirst(d Descriptor, names []string) []string {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	var ordered []string
	visited := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if visited[name] {
			return
		}
		visited[name] = true
		if e, ok := d.Entity(name); ok {
			for _, parent := range e.Parents {
				visit(parent)
			}
		}
		if wanted[name] {
			ordered = append(ordered, name)
		}
	}
	for _, name := range names {
		visit(name)
	}
	return ordered
}

// readable lists the entities that "all" stands for.
func readable(d Descriptor) []string {
	var names []string
	for _, e := range d.Entities {
		if _, single := d.Entity(e.Name); single && e.Can(OpRead) && e.Name[len(e.Name)-1] != '*' {
			names = append(names, e.Name)
		}
	}
	return names
}

func checkReadable(d Descriptor, name string) error {
	e, ok := d.Entity(name)
	if ok && e.Can(OpRead) {
		return nil
	}
	problem := "unknown entity"
	if ok {
		problem = "cannot be read"
	}
	return &Error{Provider: d.Name, Op: "select entities", Kind: ErrUnsupported, Outcome: OutcomeNotRun,
		Err: &ValidationError{Faults: []Fault{{Field: name, Problem: problem, Allowed: fmt.Sprint(readable(d))}}}}
}
