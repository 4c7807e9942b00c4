package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
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
	Direction Direction `json:"direction,omitempty"` // empty is Pull
	Entities  []string  `json:"entities,omitempty"`  // names, or "all"; empty is all. Parents come before children
	// Since reads records changed at or after this instant, whatever earlier runs
	// have read. It leaves the mark of finished runs where it is, or sets the
	// first one. While a first run without Since is unfinished, that one keeps
	// its place, and a run with Since cannot be resumed.
	Since time.Time `json:"since,omitzero"`
	// Full reads everything again instead of what has changed, and gives all of it
	// to the sink.
	Full bool `json:"full,omitempty"`
	// Limit stops after so many records of each entity; 0 is no limit. The next
	// run goes on behind them.
	Limit int `json:"limit,omitempty"`
	// DryRun reads without giving anything to the sink and without moving a
	// checkpoint; the result says what would have been read, and how much of it is new,
	// changed or the same by the states of records. No run is recorded. An adapter that
	// sends something while it reads that is no read ([Call.Idempotent]) is refused it.
	// A push writes nothing anywhere, and the result has a Plan of what it would write.
	DryRun bool `json:"dry_run,omitempty"`
	// Preview is called in a dry run that pulls, for each record that was read, with what a
	// run would do with it; in the goroutine of Sync, page by page. nil is not.
	Preview func(RecordPreview) `json:"-"`
	// Untracked keeps no state of single records: the sink gets what has not changed
	// too, and deletions that the provider does not tell are not found.
	Untracked bool `json:"untracked,omitempty"`
	// Keep stores the data of each record, sealed, as its last synchronised state.
	// Service.Read serves it while the provider is down.
	Keep bool `json:"keep,omitempty"`
	// Deletions bounds how many records may disappear without anybody being asked.
	Deletions DeletionLimit `json:"deletions,omitzero"`
	// Sink takes the records; nil is Config.Sink.
	Sink Sink `json:"-"`
	// Source gives what is pushed; nil with Pull.
	Source Source `json:"-"`
	// Conflicts is which side wins where both have changed the same field.
	Conflicts ConflictPolicy `json:"conflicts,omitempty"`
	// Resolve decides such fields by the host's rules, before Conflicts is asked: it
	// returns the value that each of the conflict's fields gets on both sides. Fields
	// that it leaves out make the record wait; nil leaves all to Conflicts.
	Resolve func(ctx context.Context, c Conflict) (map[string]json.RawMessage, error) `json:"-"`
	// OnError is what to do about a change that the provider refuses.
	OnError OnError `json:"on_error,omitempty"`
	// Tries is how often a change, or a record that the sink refuses, may be refused,
	// in as many runs, before it is a dead letter; 0 is 3.
	Tries int `json:"tries,omitempty"`
	// Progress is called after each page, in the goroutine of Sync; nil is not.
	Progress func(Progress) `json:"-"`
}

// Sink takes what was pulled into the host's own data.
type Sink interface {
	// Accept stores the records of one page. When it returns nil they are
	// durable: the checkpoint moves behind them and they are not read again.
	// After an error, and after a crash, the same page comes again, so Accept
	// must be idempotent: write by (integration, entity, id). It is called for
	// one page at a time in a run; pages need not come in any order of ids. The
	// changes it reports are counted in the result; if they are zero, enlace counts
	// what it knows of the records, unless the run is Untracked. A record without
	// Data that is Deleted is gone. An error ends the run, unless it is a SinkRefusal.
	Accept(ctx context.Context, b Batch) (Changes, error)
}

// SinkRefusal is what Accept returns, wrapped or not, if some records of the page
// cannot be stored as they are: too long for a column, say, or without a parent. Nothing
// of the page counts as accepted then; it comes again at once without those records,
// which are put aside (see [RefusedRecord]), and the run goes on. A record that is Deleted
// cannot be refused.
type SinkRefusal struct {
	// Records holds the cause for each refused record, by its ID. The words are kept
	// and shown: no value of the record should be in them.
	Records map[string]error
}

// Error implements error.
func (e *SinkRefusal) Error() string {
	return fmt.Sprintf("enlace: the sink refuses %d records", len(e.Records))
}

// TxSink is a Sink that can write in a transaction of the service's store. Its
// pages are committed together with the checkpoint: a crash repeats none. Without
// it they are committed one after the other, and a crash between repeats a page.
// The packages sqlite and postgres have ready ones.
type TxSink interface {
	Sink
	// Joins says whether Accept writes by the transaction that store's Transact has
	// put into its context. Then Accept calls nothing else of the service.
	Joins(store Store) bool
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
	// Tracked says that enlace knows which of the records are new and which have
	// changed, and counts them itself if Accept reports nothing.
	Tracked bool
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
	Rate   float64       // records per second so far; 0 if no time has passed
	Left   time.Duration // until the end at that rate; 0 if unknown
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
	Read      int `json:"read"`
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Deleted   int `json:"deleted"`
	Unchanged int `json:"unchanged"`
	Skipped   int `json:"skipped,omitempty"` // left out by a rule of the mapping
	Refused   int `json:"refused,omitempty"` // put aside, now or earlier; see RefusedRecords
	// Blocked is how many requests a dry run did not let through: they might write.
	Blocked int `json:"blocked,omitempty"`
	// Missing is how many records have disappeared and wait for ApproveDeletions.
	Missing    int           `json:"missing,omitempty"`
	Pages      int           `json:"pages"`
	Requests   int           `json:"requests"`         // HTTP requests, repetitions included
	Retries    int           `json:"retries"`          // of which repetitions
	Waited     time.Duration `json:"waited,omitempty"` // for rate limits and back-off, all requests together
	Resumed    bool          `json:"resumed"`          // it went on where an unfinished run had stopped
	Complete   bool          `json:"complete"`
	Checkpoint Checkpoint    `json:"-"`
	Kind       string        `json:"kind,omitempty"` // KindLabel of what stopped it
	// Push counts the host's changes; nil for a pull.
	Push *PushResults `json:"push,omitempty"`
}

// Sync carries out one run and returns when it has ended. Pages are given to the
// sink one after the other, and after each one the checkpoint is saved, in the same
// transaction if the sink is a TxSink; a run that stops anywhere is taken up there
// by the next one with equal options. A run by change gives the sink what has
// changed only: what comes again with the same data is counted as unchanged.
//
// What a complete walk did not find, of an entity whose deletions the provider does
// not tell, is a deletion: the provider is asked for it once more if the adapter is
// a Fetcher. If too much has disappeared, or the walk was interrupted and nobody
// can be asked, it waits for ApproveDeletions or RejectDeletions.
//
// The result is returned also with an error. Errors: ErrNotFound, ErrDisabled,
// ErrUnknownProvider, ErrUnsupported (an entity or direction the adapter lacks),
// ErrInvalid, ErrNoCredential, ErrKey, ErrSink, ErrStore, ErrConflict (another
// run is moving the same entity, or has taken over), ErrPaused and ErrCanceled
// (also by PauseRun and CancelRun), and what the provider's answers stand for. An entity that the account may not read (ErrForbidden, ErrNotFound)
// does not keep the others from being read; its error is joined to the result's.
func (s *Service) Sync(ctx context.Context, ref Ref, o SyncOptions) (SyncResult, error) {
	return s.sync(ctx, ref, o, nil)
}

// sync is Sync; applying are the approved changes by entity, if there is a plan.
func (s *Service) sync(ctx context.Context, ref Ref, o SyncOptions, applying map[string]*approvedPlan) (SyncResult, error) {
	r, err := s.prepareRun(ctx, ref, o)
	if err == nil {
		err = r.checkSink()
	}
	if err != nil {
		return SyncResult{}, err
	}
	r.applying = applying
	back, err := s.takeTurn(ctx, ref.Tenant)
	if err != nil {
		return SyncResult{}, err
	}
	defer back()
	if err := r.save(ctx); err != nil {
		return SyncResult{}, err
	}
	return r.carryOut(ctx)
}

// carryOut does what the run was made for, and keeps its record.
func (r *run) carryOut(ctx context.Context) (SyncResult, error) {
	s, started := r.service, time.Now()
	ctx = withRun(ctx, r.record.ID)
	err := r.moveAll(ctx)
	result := r.result()
	result.Elapsed = time.Since(started)
	if saveErr := r.finish(ctx, err); err == nil || saveErr != nil && errors.Is(err, errSliceOver) {
		err = saveErr
	}
	if errors.Is(err, errSliceOver) {
		return result, err // it is not over
	}
	s.observe(ctx, SyncFinished{Ref: r.integration.Ref, Provider: r.conn.provider, RunID: r.record.ID, Result: result, Kind: KindLabel(err)})
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
	plan        *Plan                    // of a dry run that would write
	writes      atomic.Int64             // numbers the journal
	applying    map[string]*approvedPlan // see Apply; by entity
	saved       time.Time                // when the record was
	until       time.Time                // when the run goes on in another job; zero if it does not
	// hold says which of the records a pull leaves alone, because the host has
	// changed them too; nil holds none. Their states stay as they are.
	hold func(ctx context.Context, entity string, records []Record) (map[string]bool, error)
}

// prepareRun checks what a run needs. Nothing is saved yet.
func (s *Service) prepareRun(ctx context.Context, ref Ref, o SyncOptions) (*run, error) {
	if o.Direction == "" {
		o.Direction = Pull
	}
	r := &run{service: s, options: o, sink: o.Sink}
	if r.sink == nil {
		r.sink = s.config.Sink
	}
	if err := o.check(); err != nil {
		return nil, err
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
	if entities, err = s.switchedOn(ctx, r.integration, entities); err != nil {
		return nil, err
	}
	if err := r.checkDirection(); err != nil {
		return nil, err
	}
	if o.Direction == Bidirectional {
		r.hold = holdBack{r}.held
	}
	now := time.Now()
	r.record = Run{ID: newID(now), Ref: ref, Provider: r.conn.provider, Direction: o.Direction, Entities: entities,
		DryRun: o.DryRun, Options: o.plain(), State: RunRunning, Results: map[string]EntityResult{}, StartedAt: now, UpdatedAt: now}
	return r, nil
}

// checkSink says whether there is somebody who takes the records.
func (r *run) checkSink() error {
	if r.sink == nil && !r.options.DryRun && r.options.Direction != Push {
		return &ValidationError{Faults: []Fault{{Field: "Sink", Problem: "missing", Allowed: "SyncOptions.Sink or Config.Sink"}}}
	}
	return nil
}

// moveAll moves one entity after the other. What concerns one entity only does
// not keep the others from being read.
func (r *run) moveAll(ctx context.Context) error {
	var failed []error
	for _, entity := range r.record.Entities {
		if r.record.Results[entity].Complete {
			continue // in an earlier slice
		}
		if err := r.sliceOver(); err != nil {
			return err
		}
		result, err := r.moveEntity(ctx, entity)
		result.Kind = KindLabel(err)
		r.record.Results[entity] = result
		if errors.Is(err, errSliceOver) {
			return err
		}
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
	p := newEntityPull(r, entity)
	requests, retries, waited := r.conn.requests.Load(), r.conn.retries.Load(), r.conn.waited.Load()
	err := p.pull(ctx)
	p.result.Complete = p.result.Complete && err == nil
	p.result.Requests += int(r.conn.requests.Load() - requests)
	p.result.Retries += int(r.conn.retries.Load() - retries)
	p.result.Waited += time.Duration(r.conn.waited.Load() - waited)
	p.result.Checkpoint = p.checkpoint
	return p.result, err
}

// plain is what of the options can be stored.
func (o SyncOptions) plain() SyncOptions {
	o.Sink, o.Source, o.Progress, o.Resolve, o.Preview = nil, nil, nil, nil, nil
	return o
}

// check finds what is wrong with the options themselves.
func (o SyncOptions) check() error {
	var faults ValidationError
	if o.Limit < 0 {
		faults.add("Limit", "negative", "0 for no limit, or a number of records")
	}
	if d := o.Deletions; d.Share < 0 || d.Share > 1 || d.Count < 0 {
		faults.add("Deletions", "out of range", "a share from 0 to 1 and a count from 0")
	}
	return faults.orNil()
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
	r.saved = r.record.UpdatedAt
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
	case errors.Is(err, errSliceOver):
		return r.leave(ctx)
	case err == nil && r.result().Complete:
		r.record.State = RunComplete
	case err == nil:
		r.record.State = RunPartial
	case isKind(err, ErrPaused):
		r.record.State = RunPaused
	case r.record.Queued && isKind(err, ErrCanceled) && contextError(err):
		r.record.State = RunWaiting // the process ends; another one goes on
	case errors.Is(err, ErrCanceled):
		r.record.State, r.record.Error = RunCanceled, err.Error()
	default:
		r.record.State, r.record.Error = RunFailed, err.Error()
	}
	return r.save(ctx)
}

// leave has the next job go on with the run.
func (r *run) leave(ctx context.Context) error {
	r.record.State, r.record.FinishedAt, r.record.Kind = RunWaiting, time.Time{}, ""
	for entity, result := range r.record.Results {
		result.Kind = ""
		r.record.Results[entity] = result
	}
	return saveError("leave run", r.service.store.Transact(context.WithoutCancel(ctx), func(ctx context.Context) error {
		if err := r.save(ctx); err != nil {
			return err
		}
		next := integrationJob(jobRuns, r.record.Ref)
		next.At = time.Now().Add(handOver)
		return r.service.engine.Enqueue(ctx, next)
	}))
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
