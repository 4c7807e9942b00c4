package enlace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// batch is some deliveries of one integration that are worked on together.
type batch struct {
	service     *Service
	integration Integration
	lease       Lease
	idle        bool                 // there was nothing to do
	jobs        []*job               // in order
	held        []StoredDelivery     // failed ones, which hold up later ones of the same records
	buried      []StoredDelivery     // that a process died with too often
	blocked     map[string]time.Time // lanes behind a delivery that failed, and until when
	truth       map[RecordName]Record
	outage      error // the provider could not be asked
}

// job is one delivery at work.
type job struct {
	stored   StoredDelivery
	events   []ReceivedEvent
	repeated []bool // by event: its effects are there already; set in the transaction
}

// handlerError is what a handler of the host returned.
type handlerError struct{ err error }

func (e handlerError) Error() string { return e.err.Error() }

func (b *batch) run(ctx context.Context) (err error) {
	defer func() {
		if cause := recover(); cause != nil { // of the adapter; what is claimed counts as interrupted
			err = &Error{Provider: b.integration.Provider, Op: "process deliveries", Kind: ErrProtocol, Message: "the adapter panicked"}
		}
	}()
	if err := b.claim(ctx); err != nil {
		return err
	}
	for _, d := range b.buried {
		b.service.observe(withDelivery(ctx, d.ID), DeliveryAttemptFailed{Ref: d.Ref, Provider: d.Provider, DeliveryID: d.ID, Attempt: d.Attempts, Dead: true, Kind: d.Kind})
	}
	for _, step := range []func(context.Context) error{b.read, b.keepOrder, b.fetch, b.handleBefore, b.commit} {
		if err := step(ctx); err != nil {
			b.giveBack(ctx)
			return err
		}
	}
	return nil
}

// giveBack returns what is still claimed when the process is told to stop, or the
// store is out of order.
func (b *batch) giveBack(ctx context.Context) {
	for _, j := range b.jobs {
		if b.postpone(ctx, j, j.stored.NextAt) != nil {
			return // the lease ends by itself, and then they count as interrupted
		}
	}
}

// drop takes jobs out of the batch whose fate is settled, and with them those behind
// them that concern the same records.
func (b *batch) drop(ctx context.Context, settled func(j *job) (bool, error)) error {
	var kept []*job
	for i, j := range b.jobs {
		var done bool
		var err error
		if until, behind := b.behind(j); behind {
			done, err = true, b.postpone(ctx, j, until)
		} else {
			done, err = settled(j)
		}
		if err != nil {
			b.jobs = append(kept, b.jobs[i:]...)
			return err
		}
		if !done {
			kept = append(kept, j)
		}
	}
	b.jobs = kept
	return nil
}

// behind says whether a job comes after one that failed, of the same record.
func (b *batch) behind(j *job) (until time.Time, behind bool) {
	for _, lane := range j.lanes() {
		if until, behind = b.blocked[lane]; behind {
			break
		}
	}
	return until, behind
}

// block holds up the records of a job.
func (b *batch) block(j *job, until time.Time) {
	if b.blocked == nil {
		b.blocked = map[string]time.Time{}
	}
	for _, lane := range j.lanes() {
		b.blocked[lane] = until
	}
}

// read opens and parses the deliveries. What the adapter cannot read is dead: it stays as it
// came, for an adapter that can.
func (b *batch) read(ctx context.Context) error {
	adapter, err := b.service.config.Registry.Lookup(b.integration.Provider)
	return b.drop(ctx, func(j *job) (bool, error) {
		if err != nil {
			return true, b.fail(ctx, j, err, false)
		}
		data, err := b.service.safe.OpenRecord(ctx, deliveryPlace(j.stored), j.stored.Sealed.Data)
		if err != nil {
			return true, b.fail(ctx, j, err, false)
		}
		d, err := unmarshalDelivery(j.stored.Ref, data)
		if err == nil {
			err = b.parse(ctx, j, adapter, d)
		}
		j.stored.Sealed.Data = nil
		if err != nil {
			return true, b.fail(ctx, j, err, true)
		}
		return false, nil
	})
}

// parse finds the events of a delivery. An empty body that tells nothing is a ping.
func (b *batch) parse(ctx context.Context, j *job, adapter IntegrationAdapter, d Delivery) error {
	events, err := polledEvents(d)
	if d.Method != "" {
		events, err = parseWebhook(ctx, adapter, d)
	}
	if err != nil && len(d.Body) == 0 {
		return nil
	}
	for i, e := range events {
		j.events = append(j.events, ReceivedEvent{Event: e, Integration: b.integration, DeliveryID: j.stored.ID, Key: eventKey(j.stored, i, e),
			Signed: j.stored.Signed, Attempt: j.stored.Attempts + 1, Replay: j.stored.Replays, ReceivedAt: j.stored.ReceivedAt})
	}
	return err
}

// parseWebhook calls the adapter, which must bear any body; if it does not, that is an error.
func parseWebhook(ctx context.Context, adapter IntegrationAdapter, d Delivery) (events []Event, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &Error{Op: "parse webhook", Kind: ErrProtocol, Message: "the adapter panicked"}
		}
	}()
	receiver, ok := As[WebhookReceiver](adapter)
	if !ok {
		return nil, &Error{Op: "parse webhook", Kind: ErrUnsupported, Message: "the adapter takes no webhooks"}
	}
	events, err = receiver.ParseWebhook(ctx, d)
	return events, wrap("parse webhook", ErrProtocol, err)
}

// eventKey is the idempotency key of an event: of what the provider says that it is,
// and only where it does not, of its place in the delivery.
func eventKey(d StoredDelivery, index int, e Event) string {
	parts := []string{d.Ref.Tenant, d.Ref.ID, "event", e.ID, e.Type, e.Record.Entity, e.Record.ID}
	if e.ID == "" {
		parts = []string{d.Ref.Tenant, d.Ref.ID, "delivery", d.ID, fmt.Sprint(index)}
	}
	if d.Replays > 0 {
		parts = append(parts, "replay", d.ID, fmt.Sprint(d.Replays))
	}
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (j *job) types() []string {
	var types []string
	for _, e := range j.events {
		if !slices.Contains(types, e.Type) {
			types = append(types, e.Type)
		}
	}
	return types
}

// records are those that the job's events concern, each once.
func (j *job) records() []RecordName {
	var names []RecordName
	for _, e := range j.events {
		name := RecordName{e.Record.Entity, e.Record.ID}
		if name.Entity != "" && name.ID != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (j *job) lanes() []string {
	var lanes []string
	for _, name := range j.records() {
		lanes = append(lanes, name.Entity+"/"+name.ID)
	}
	return lanes
}

// keepOrder puts off deliveries about records that an earlier, failed one concerns.
func (b *batch) keepOrder(ctx context.Context) error {
	if len(b.held) == 0 {
		return nil
	}
	return b.drop(ctx, func(j *job) (bool, error) {
		lanes := j.lanes()
		for _, h := range b.held {
			if h.ID < j.stored.ID && intersect(h.Lanes, lanes) {
				return true, b.postpone(ctx, j, h.NextAt)
			}
		}
		return false, nil
	})
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

// wanted says whether anybody is there for the event.
func (b *batch) wanted(e ReceivedEvent) bool {
	return b.service.webhookSink() != nil || slices.ContainsFunc(b.service.webhooks.Processors, func(p Processor) bool { return p.wants(e) })
}

func (s *Service) webhookSink() Sink {
	if s.webhooks.Sink != nil {
		return s.webhooks.Sink
	}
	return s.config.Sink
}

// isHint says whether the record has to be read to know how it is.
func isHint(e ReceivedEvent) bool {
	return e.Record.Entity != "" && e.Record.ID != "" && (!e.Signed || (e.Record.Data == nil && !e.Record.Deleted))
}

// fetch reads the records of hints, each once for all deliveries that tell of it.
// Deliveries whose records cannot be read fail; the others go on.
func (b *batch) fetch(ctx context.Context) error {
	b.truth = map[RecordName]Record{}
	ids, order := map[string][]string{}, []string(nil)
	for _, j := range b.jobs {
		for _, e := range j.events {
			entity, id := e.Record.Entity, e.Record.ID
			if !isHint(e) || !b.wanted(e) || slices.Contains(ids[entity], id) {
				continue
			}
			if ids[entity] == nil {
				order = append(order, entity)
			}
			ids[entity] = append(ids[entity], id)
		}
	}
	failed := map[string]error{}
	for _, entity := range order {
		if err := b.fetchEntity(ctx, entity, ids[entity]); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			failed[entity], b.outage = err, err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return b.drop(ctx, func(j *job) (bool, error) {
		for _, e := range j.events {
			if err := failed[e.Record.Entity]; err != nil && isHint(e) {
				return true, b.fail(ctx, j, err, false)
			}
		}
		return false, nil
	})
}

// maxFetch is how many ids a Fetcher is given at once.
const maxFetch = 100

func (b *batch) fetchEntity(ctx context.Context, entity string, ids []string) error {
	ctx = WithLane(ctx, LaneWebhook)
	conn, err := b.service.open(ctx, b.integration)
	if err != nil {
		return err
	}
	fetcher, ok := As[Fetcher](conn.adapter)
	if e, known := conn.descriptor.Entity(entity); !ok || !known || !e.Can(OpRead) {
		return nil // the event is all there is
	}
	for chunk := range slices.Chunk(ids, maxFetch) {
		records, err := fetcher.Fetch(ctx, conn, entity, chunk)
		if isKind(err, ErrUnsupported) {
			return nil // likewise
		}
		if err != nil {
			return conn.failure("fetch "+entity, err)
		}
		for _, r := range records {
			b.truth[RecordName{entity, r.ID}] = r
		}
	}
	return nil
}

// current is an event with its record as it was read, where that was needed.
func (b *batch) current(e ReceivedEvent) ReceivedEvent {
	if isHint(e) {
		read, ok := b.truth[RecordName{e.Record.Entity, e.Record.ID}]
		if !ok {
			read = Record{Entity: e.Record.Entity, ID: e.Record.ID, Modified: e.Record.Modified}
		}
		e.Record = read
	}
	return e
}

// polledEvents reads the events of a delivery that was not sent but fetched.
func polledEvents(d Delivery) ([]Event, error) {
	if d.Method != "" {
		return nil, nil
	}
	var events []Event
	if json.Unmarshal(d.Body, &events) != nil {
		return nil, errDeliveryForm
	}
	return events, nil
}

// callHandler runs a handler of the host; a panic is an error of it.
func callHandler(ctx context.Context, handle EventHandler, e ReceivedEvent) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = handlerError{&Error{Op: "handle event", Kind: ErrHandler, Message: "the handler panicked"}}
		}
	}()
	if err := handle(ctx, e); err != nil {
		return handlerError{&Error{Op: "handle event", Kind: ErrHandler, Err: err}}
	}
	return nil
}

// handle runs the processors of one kind for the events of a job, or only for those
// whose effects are not there yet.
func (b *batch) handle(ctx context.Context, j *job, pick func(Processor) EventHandler, all bool) error {
	ctx = withDelivery(ctx, j.stored.ID)
	for i, e := range j.events {
		if !all && j.repeated[i] {
			continue
		}
		e = b.current(e)
		for _, p := range b.service.webhooks.Processors {
			handle := pick(p)
			if handle == nil || !p.wants(e) {
				continue
			}
			if err := callHandler(ctx, handle, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// handleBefore runs the handlers that come before the sink and take no part in the
// transaction.
func (b *batch) handleBefore(ctx context.Context) error {
	return b.drop(ctx, func(j *job) (bool, error) {
		err := b.handle(ctx, j, func(p Processor) EventHandler { return onlyIf(!p.AfterSink, p.Handle) }, true)
		return err != nil, b.judge(ctx, j, err)
	})
}

func onlyIf(condition bool, handle EventHandler) EventHandler {
	if condition {
		return handle
	}
	return nil
}

// judge settles a job that failed by itself. Other errors, of the store and of a lost
// lease, end the batch.
func (b *batch) judge(ctx context.Context, j *job, err error) error {
	own, handler := errors.AsType[handlerError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case handler:
		return b.fail(ctx, j, own.err, false)
	default:
		return err
	}
}

// commit makes the effects of all jobs durable together. If a handler or the sink
// refuses, each is tried for itself, so that one does not hold up the others.
func (b *batch) commit(ctx context.Context) error {
	if len(b.jobs) == 0 {
		return nil
	}
	jobs := b.jobs
	if err := b.commitJobs(ctx, jobs); err == nil {
		b.jobs = nil
		return nil
	} else if _, own := errors.AsType[handlerError](err); !own || ctx.Err() != nil {
		return err
	}
	return b.drop(ctx, func(j *job) (bool, error) {
		return true, b.judge(ctx, j, b.commitJobs(ctx, []*job{j}))
	})
}
