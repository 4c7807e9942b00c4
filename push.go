package enlace

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pushPage  = 500 // changes that are asked for at a time
	pushLanes = 10  // batches under way at a time
	// pushTries is how often a change may be refused before it is dead, unless the
	// options say otherwise.
	pushTries = 3
	// lookups is how often a create whose answer was lost is asked for in one run.
	lookups = 3
	// queueLimit bounds how many changes of one run are taken into the outbox.
	queueLimit = 10_000
)

// OnError says what a push does about a change that the provider refuses.
type OnError string

// What to do about a refused change. It counts as a try in any case, and becomes
// a dead letter after SyncOptions.Tries of them.
const (
	OnErrorContinue OnError = ""     // go on with the others
	OnErrorStop     OnError = "stop" // end the run after its batch
	// OnErrorRollback takes back what its batch has changed, in reverse order, and
	// ends the run. Batches then go one after the other, and each record is read
	// before it is written, so that there is something to go back to. What cannot
	// be taken back is in PushResults.NotUndone.
	OnErrorRollback OnError = "rollback"
)

// PushResults count what a run did with the host's changes of one entity.
type PushResults struct {
	Read       int          `json:"read"`
	Created    int          `json:"created"`
	Updated    int          `json:"updated"`
	Deleted    int          `json:"deleted"`
	Unchanged  int          `json:"unchanged"`
	Conflicts  int          `json:"conflicts"`   // open ones; resolved ones count as what was done
	Resolved   int          `json:"resolved"`    // conflicts that a policy, the host or a person decided
	Failed     int          `json:"failed"`      // to be tried again
	Queued     int          `json:"queued"`      // in the outbox, because the provider is down
	Dead       int          `json:"dead"`        // among the dead letters, those in doubt included
	RolledBack int          `json:"rolled_back"` // taken back or not carried out, because of another
	NotUndone  []Difference `json:"not_undone,omitempty"`
}

func (c *PushResults) count(outcome ChangeOutcome) {
	counter := map[ChangeOutcome]*int{ChangeCreated: &c.Created, ChangeUpdated: &c.Updated, ChangeDeleted: &c.Deleted,
		ChangeUnchanged: &c.Unchanged, ChangeConflict: &c.Conflicts, ChangeFailed: &c.Failed, ChangeQueued: &c.Queued,
		ChangeDead: &c.Dead, ChangeRolledBack: &c.RolledBack}[outcome]
	if counter != nil {
		*counter++
	}
}

// Finder looks for what a create whose answer was lost has left. Without it, and
// where the provider has no idempotency keys ([Entity.CreateOnce]), such a create
// becomes a dead letter that a person must look at.
type Finder interface {
	// Find returns the id of the record that a create with m, its Key above all, has
	// made; "" if it certainly made none and will not any more. While that is not
	// certain it returns an error.
	Find(ctx context.Context, c *Conn, m Mutation) (id string, err error)
}

// pusher carries the host's changes of one entity to the provider.
type pusher struct {
	service     *Service
	conn        *Conn
	integration Integration
	runID       string
	entity      Entity
	source      Source
	options     SyncOptions
	both        bool // both directions: records are merged, and sink takes the provider's side
	sink        Sink
	mapper      *mapper // between the host's form and the provider's
	lease       Lease
	plan        *Plan         // instead of writing; nil is to write
	applying    *approvedPlan // writes only what is in it; nil for no plan

	writes *atomic.Int64    // numbers the journal of the run
	held   map[string]error // local ids of creates that are still open
	mu     sync.Mutex       // one batch is settled at a time
	counts PushResults
}

// pushed is one change on its way.
type pushed struct {
	change  Change
	local   fieldSet // its data, in the provider's form
	state   RecordState
	adopted bool   // the host made the link, and it is not stored yet
	old     string // id of a record that is gone and gives up its link
	forget  bool   // the record is gone, and so is its link
	waiting *OutgoingChange
	order   int64 // in the outbox, should it come to that

	base   fieldSet  // as both sides were last the same; nil if it is not known
	remote *Record   // as it is at the provider; nil if it was not read
	op     Operation // empty if there is nothing to write
	data   fieldSet  // to be written
	reason string    // why nothing is written, or why this is
	take   bool      // the host's side gets the provider's record

	conflict *Conflict

	outcome   ChangeOutcome
	restored  string // id under which a rollback has written a deleted record again
	recovered bool   // by the journal, not given by the source
	entry     *JournalEntry
	tried     bool // a request with its key was made before
	account   bool // the failure is the account's, not the record's
	ack       Ack
	err       error
}

func (it *pushed) linked() bool { return it.state.ID != "" && it.old == "" }

// push goes through the changes of the source.
func (p *pusher) push(ctx context.Context) error {
	if p.plan == nil {
		if err := p.recover(ctx); err != nil {
			return err
		}
	}
	lane := LaneSync
	if _, drains := p.source.(*outbox); drains {
		lane = LaneBackfill
	}
	ctx = WithLane(ctx, lane)
	q, pages := ChangeQuery{Integration: p.integration, Entity: p.entity.Name}, 0
	for {
		q.Limit = pushPage
		if left := p.options.Limit - p.counts.Read; p.options.Limit > 0 {
			if q.Limit = min(q.Limit, left); left <= 0 {
				return nil
			}
		}
		changes, next, err := p.source.Changes(ctx, q)
		if err != nil {
			return sourceError(ctx, p.entity.Name, err)
		}
		if next != "" && next == q.After {
			return &Error{Op: "changes of " + p.entity.Name, Kind: ErrCursorStalled, Outcome: OutcomeNotRun}
		}
		if err := p.pushPage(ctx, latest(changes)); err != nil {
			return err
		}
		if p.options.Progress != nil {
			pages++
			p.options.Progress(Progress{Entity: p.entity.Name, Read: p.counts.Read, Pages: pages, Done: next == ""})
		}
		if q.After = next; next == "" || (p.plan != nil && p.plan.Truncated) {
			return nil
		}
		if err := p.wanted(ctx); err != nil {
			return err
		}
	}
}

// wanted says whether the run shall go on: somebody may have paused or cancelled it.
func (p *pusher) wanted(ctx context.Context) error {
	if p.plan != nil {
		return nil
	}
	request, err := p.service.store.RunRequest(ctx, p.integration.Tenant, p.runID)
	if err != nil {
		return wrap("run request", ErrStore, err)
	}
	return requested(request)
}

// sourceError gives an error of the host's source its kind.
func sourceError(ctx context.Context, entity string, err error) error {
	e := &Error{Op: "changes of " + entity, Kind: ErrSource, Err: err}
	if contextError(err) && ctx.Err() != nil {
		e.Kind = ErrCanceled
	}
	return e
}

// latest keeps the last change of each record.
func latest(changes []Change) []Change {
	last := make(map[string]int, len(changes))
	for i, c := range changes {
		last[c.ID] = i
	}
	kept := make([]Change, 0, len(last))
	for i, c := range changes {
		if last[c.ID] == i {
			kept = append(kept, c)
		}
	}
	return kept
}

func (p *pusher) pushPage(ctx context.Context, changes []Change) error {
	items, err := p.prepare(ctx, changes)
	if err != nil {
		return err
	}
	p.counts.Read += len(changes)
	if p.plan != nil {
		p.plan.add(p, items)
		return nil
	}
	var idle, busy []*pushed
	for _, it := range items {
		if it.op != "" && it.err == nil {
			busy = append(busy, it)
			continue
		}
		if idle = append(idle, it); it.err != nil {
			it.op = ""
			_ = p.judge(it) // it concerns this one only
		}
	}
	if err := p.settle(ctx, idle); err != nil {
		return err
	}
	if err := p.writeAll(ctx, busy); err != nil {
		return err
	}
	return wrap("push "+p.entity.Name, ErrCanceled, ctx.Err())
}

// writeAll carries out changes in batches, several at a time. After the first error
// no other batch begins; those that are under way come to their end.
func (p *pusher) writeAll(ctx context.Context, items []*pushed) error {
	lanes := pushLanes
	if p.options.OnError != OnErrorContinue {
		lanes = 1
	}
	free := make(chan struct{}, lanes)
	failed, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	var running sync.WaitGroup
	for batch := range slices.Chunk(items, p.batchSize(ctx)) {
		if free <- struct{}{}; failed.Err() != nil || ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-free }()
			if err := p.write(ctx, batch); err != nil {
				fail(err)
			}
		})
	}
	running.Wait()
	return context.Cause(failed)
}

func (p *pusher) batchSize(ctx context.Context) int {
	in := p.integration
	if !p.service.flagOn(ctx, FlagBulkOperations, FlagTarget{Tenant: in.Tenant, Provider: in.Provider, Integration: in.ID, Entity: p.entity.Name}) {
		return 1
	}
	return maxBatch(p.conn.adapter)
}

// maxBatch is how many mutations an adapter takes at a time.
func maxBatch(a IntegrationAdapter) int {
	if batcher, ok := As[BatchPusher](a); ok {
		return max(1, batcher.MaxBatch())
	}
	return 1
}

// write carries out one batch: its intents are durable before the request, and
// what became of it before the next step.
func (p *pusher) write(ctx context.Context, items []*pushed) error {
	guard := p.service.breakerOf(p.conn)
	if !guard.allow(ctx) {
		for _, it := range items {
			it.err = errBreakerOpen
		}
		return p.conclude(ctx, items)
	}
	if err := p.intend(ctx, items); err != nil {
		guard.report(ctx, ErrCanceled) // nothing was sent
		return err
	}
	p.send(ctx, items)
	p.lookUp(ctx, items)
	guard.report(ctx, worst(items))
	return p.conclude(ctx, items)
}

var errBreakerOpen error = &Error{Op: "push", Kind: ErrUnavailable, Outcome: OutcomeNotRun,
	Message: "it failed several times in a row and is left alone for a while"}

// worst is the error of a batch that tells most about the provider's health.
func worst(items []*pushed) error {
	var err error
	for _, it := range items {
		switch {
		case it.err == nil:
			return nil
		case err == nil || outOfOrder(it.err):
			err = it.err
		}
	}
	return err
}

// send makes the requests of a batch.
func (p *pusher) send(ctx context.Context, items []*pushed) {
	batcher, ok := As[BatchPusher](p.conn.adapter)
	if !ok || len(items) == 1 {
		p.sendEach(ctx, items)
		return
	}
	mutations := make([]Mutation, len(items))
	for i, it := range items {
		mutations[i] = p.mutation(it)
	}
	results, err := batcher.PushBatch(ctx, p.conn, mutations)
	if err == nil && len(results) != len(items) {
		err = &Error{Kind: ErrProtocol, Outcome: OutcomeUnknown, Message: "the adapter did not give one result for each mutation"}
	}
	if err != nil {
		err = p.conn.failure("push "+p.entity.Name, err)
		if refused(err) && !ambiguous(err) { // by one of them, perhaps: the others shall not suffer
			p.sendEach(ctx, items)
			return
		}
	}
	for i, it := range items {
		if it.err = err; err == nil {
			p.take(it, results[i].Ack, results[i].Err)
		}
	}
}

func (p *pusher) sendEach(ctx context.Context, items []*pushed) {
	var stopped error
	for _, it := range items {
		if stopped != nil {
			it.err = notSent(stopped)
			continue
		}
		pusher, _ := As[Pusher](p.conn.adapter) // checked before the run
		ack, err := pusher.Push(ctx, p.conn, p.mutation(it))
		if p.take(it, ack, err); it.err != nil && !refused(it.err) {
			stopped = it.err
		}
	}
}

// take takes over what became of a mutation.
func (p *pusher) take(it *pushed, ack Ack, err error) {
	it.ack, it.err = ack, nil
	switch {
	case err != nil && it.op == OpDelete && errors.Is(err, ErrNotFound):
	case err != nil:
		it.err = p.conn.failure("push "+p.entity.Name, err)
	case ack.ID == "" && it.op != OpDelete:
		it.err = p.conn.failure("push "+p.entity.Name, &Error{Kind: ErrProtocol, Outcome: OutcomeUnknown, Message: "the adapter gave no id"})
	}
}

// notSent is the error of what was left undone because of err.
func notSent(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	left := *e
	left.Outcome = OutcomeNotRun
	return &left
}

func (p *pusher) mutation(it *pushed) Mutation {
	m := Mutation{Entity: p.entity.Name, Op: it.op, ID: it.state.ID}
	if it.op == OpCreate {
		m.ID = ""
		if !p.entity.Can(OpCreate) {
			m.Op = OpUpsert
		}
	} else if it.op == OpUpdate && !p.entity.Can(OpUpdate) {
		m.Op = OpUpsert
	}
	if it.op != OpDelete {
		m.Data = it.data.data()
	}
	if it.entry != nil {
		m.Key, m.NewKey = it.entry.Key, !it.tried
	}
	return m
}

// refused says whether a failure is the record's own: another one may go through.
func refused(err error) bool {
	if errors.Is(err, ErrTokenExpired) || errors.Is(err, ErrAuth) {
		return false
	}
	for _, kind := range []error{ErrInvalid, ErrNotFound, ErrConflict, ErrForbidden, ErrUnsupported, ErrTooLarge, ErrLinked} {
		if errors.Is(err, kind) {
			return true
		}
	}
	e, ok := errors.AsType[*Error](err)
	return ok && errors.Is(e.Kind, ErrProtocol)
}

// ambiguous says whether what failed may have happened all the same. An answer
// that could not be read does not prove a refusal.
func ambiguous(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err != nil
	}
	if e.Outcome == OutcomeNotRun {
		return false
	}
	return e.Outcome == OutcomeUnknown || errors.Is(e.Kind, ErrProtocol) || errors.Is(e.Kind, ErrTooLarge)
}

// lookUp finds out what became of writes whose answers were lost. Nothing that may
// have happened is sent again, unless the provider's key keeps it from happening twice.
func (p *pusher) lookUp(ctx context.Context, items []*pushed) {
	for try := 0; try < lookups && ctx.Err() == nil; try++ {
		var creates, others []*pushed
		for _, it := range items {
			switch {
			case !ambiguous(it.err) || errors.Is(it.err, errInDoubt):
			case it.op == OpCreate:
				creates = append(creates, it)
			default:
				others = append(others, it)
			}
		}
		p.findCreated(ctx, creates)
		p.findWritten(ctx, others)
	}
}

// errInDoubt marks a create of which nobody can tell whether it happened.
var errInDoubt = errors.New("nobody can tell whether it was created: look at the provider; then link the record, send it again or discard it")

// findCreated looks for what creates have left, by the means that there are.
func (p *pusher) findCreated(ctx context.Context, items []*pushed) {
	finder, finds := As[Finder](p.conn.adapter)
	for _, it := range items {
		it.tried = true
		switch {
		case finds:
			id, err := finder.Find(ctx, p.conn, p.mutation(it))
			switch {
			case err != nil: // still open; the next try, or the next run
			case id != "":
				it.ack, it.err = Ack{ID: id, Created: true}, nil
			default:
				it.err = notSent(it.err)
			}
		case !p.entity.CreateOnce:
			p.doubt(it)
		}
	}
	if finds || !p.entity.CreateOnce || len(items) == 0 {
		return
	}
	p.send(ctx, items)
	for _, it := range items {
		switch {
		case it.err == nil || ambiguous(it.err):
		case refused(it.err):
			p.doubt(it) // this try was refused; the one before may have happened all the same
		default:
			it.err = stillOpen(it.err)
		}
	}
}

func (p *pusher) doubt(it *pushed) {
	it.err = &Error{Provider: p.conn.provider, Op: "push " + p.entity.Name, Kind: ErrUnavailable, Outcome: OutcomeUnknown,
		Err: errors.Join(errInDoubt, it.err)}
}

// stillOpen is err with an unknown outcome.
func stillOpen(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	open := *e
	open.Outcome = OutcomeUnknown
	return &open
}

// findWritten reads the records of updates and deletions whose answers were lost.
// What did not happen may be done again: it sets fixed values.
func (p *pusher) findWritten(ctx context.Context, items []*pushed) {
	records, err := p.fetch(ctx, items)
	for _, it := range items {
		r, found := records[it.state.ID]
		switch {
		case err != nil && it.op == OpDelete: // still open: the record may be gone, and its link with it
		case err != nil || !found:
			it.err = notSent(it.err)
		case it.op == OpDelete && r.Deleted:
			it.err = nil
		case it.op == OpUpdate && !r.Deleted && len(it.data.differing(fieldsOf(r))) == 0:
			it.ack, it.err = Ack{ID: it.state.ID}, nil
		default:
			it.err = notSent(it.err)
		}
	}
}

// fieldsOf are a record's fields; none for a tombstone.
func fieldsOf(r Record) fieldSet {
	f, err := parseFields(r.Data)
	if err != nil {
		return nil
	}
	return f
}

// fetchLimit is how many records a Fetcher is asked for at a time.
const fetchLimit = 100

// fetch reads the records that items are linked to, by the provider's id. Without
// a Fetcher it finds none.
func (p *pusher) fetch(ctx context.Context, items []*pushed) (map[string]Record, error) {
	found := map[string]Record{}
	fetcher, ok := As[Fetcher](p.conn.adapter)
	if !ok {
		return found, nil
	}
	var ids []string
	for _, it := range items {
		if it.state.ID != "" {
			ids = append(ids, it.state.ID)
		}
	}
	for chunk := range slices.Chunk(ids, fetchLimit) {
		records, err := fetcher.Fetch(ctx, p.conn, p.entity.Name, chunk)
		if err != nil {
			return nil, p.conn.failure("fetch "+p.entity.Name, err)
		}
		for _, r := range records {
			found[r.ID] = r
		}
	}
	return found, nil
}

// conclude decides what follows from a batch, and remembers it.
func (p *pusher) conclude(ctx context.Context, items []*pushed) error {
	var failed error
	account := forbidden(items)
	for _, it := range items {
		it.account = account
		if err := p.judge(it); err != nil && (failed == nil || !refused(err)) {
			failed = err
		}
	}
	stop := failed != nil && (account || !refused(failed) && !p.allQueued(items) || p.options.OnError != OnErrorContinue)
	if failed != nil && p.options.OnError == OnErrorRollback {
		if err := p.journal(ctx, items); err != nil {
			return err
		}
		p.rollBack(ctx, items)
	}
	if p.both {
		p.readBack(ctx, items)
	}
	if err := p.settle(ctx, items); err != nil {
		return err
	}
	if stop {
		return failed
	}
	return nil
}

// forbidden says whether a batch was refused as a whole because the account may not
// do this. It is not the records' fault then, and none of them shall die of it.
func forbidden(items []*pushed) bool {
	return len(items) > 1 && !slices.ContainsFunc(items, func(it *pushed) bool { return !errors.Is(it.err, ErrForbidden) })
}

// judge decides what became of a change, and returns its error.
func (p *pusher) judge(it *pushed) error {
	switch {
	case it.err == nil:
		it.outcome = map[Operation]ChangeOutcome{OpCreate: ChangeCreated, OpUpdate: ChangeUpdated, OpDelete: ChangeDeleted}[it.op]
		return nil
	case errors.Is(it.err, errInDoubt):
		if it.outcome = ChangeDead; p.options.OnError == OnErrorContinue {
			return nil
		}
	case it.account:
		it.outcome = ChangeFailed
	case refused(it.err) && !ambiguous(it.err):
		tries := p.options.Tries
		if tries <= 0 {
			tries = pushTries
		}
		if it.outcome = ChangeFailed; it.tries()+1 >= tries {
			it.outcome = ChangeDead
		}
	case outOfOrder(it.err) && !p.both && p.options.OnError == OnErrorContinue && p.queueing():
		it.outcome = ChangeQueued
	default:
		it.outcome = ChangeFailed
	}
	return it.err
}

func (it *pushed) tries() int {
	if it.waiting == nil {
		return 0
	}
	return it.waiting.Tries
}

// queueing says whether the outbox takes more of this run.
func (p *pusher) queueing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, draining := p.source.(*outbox)
	return !draining && p.counts.Queued < queueLimit
}

func (p *pusher) allQueued(items []*pushed) bool {
	return !slices.ContainsFunc(items, func(it *pushed) bool { return it.outcome == ChangeFailed })
}

// readBack reads what was written where the answer did not hold it, so that the
// next pull knows it for our own.
func (p *pusher) readBack(ctx context.Context, items []*pushed) {
	written := slices.DeleteFunc(slices.Clone(items), func(it *pushed) bool {
		return it.err != nil || it.ack.Data != nil || it.op == OpDelete || it.op == ""
	})
	for _, it := range written {
		if it.op == OpCreate {
			it.state.ID = it.ack.ID
		}
	}
	records, err := p.fetch(ctx, written)
	if err != nil {
		return // the next pull brings it to the sink once
	}
	for _, it := range written {
		if r, ok := records[it.ack.ID]; ok && !r.Deleted {
			it.ack.Data, it.ack.Modified = slices.Clone(r.Data), r.Modified
		}
	}
}

// sentDigest tells what the host gave from what it gives later. It changes with
// what the host accepted from the provider too: a value that comes back after the
// other side has changed it is a change.
func sentDigest(local fieldSet, accepted Digest) Digest {
	return DigestOf(append(canonical(local.data()), accepted[:]...))
}

// save bounds a save that must happen although the caller has gone.
func save(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
}

// rowTime is now, as rows keep it: in microseconds, UTC.
func rowTime() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
