package enlace

import (
	"context"
	"slices"
	"time"
)

// commitJobs carries out what jobs are about, and marks them done in the transaction of
// what is written.
func (b *batch) commitJobs(ctx context.Context, jobs []*job) error {
	s := b.service
	sink := s.webhookSink()
	joins := joinsStore(sink, s.store)
	given := 0
	if !joins {
		var err error
		if given, err = b.give(ctx, sink, jobs); err != nil {
			return err
		}
	}
	after := slices.ContainsFunc(s.webhooks.Processors, func(p Processor) bool { return p.AfterSink && p.Handle != nil })
	repeated, events := 0, 0
	err := s.store.Transact(ctx, func(ctx context.Context) error {
		if err := s.store.CheckLease(ctx, b.lease); err != nil {
			return err
		}
		var err error
		if events, repeated, err = b.mark(ctx, jobs, after); err != nil {
			return err
		}
		if err := b.handleAll(ctx, jobs, false, func(p Processor) EventHandler { return onlyIf(!p.AfterSink, p.HandleTx) }); err != nil {
			return err
		}
		if joins {
			if given, err = b.give(ctx, sink, jobs); err != nil {
				return err
			}
		}
		if err := b.handleAll(ctx, jobs, false, func(p Processor) EventHandler { return onlyIf(p.AfterSink, p.HandleTx) }); err != nil {
			return err
		}
		if err := b.remember(ctx, sink, jobs); err != nil || after {
			return err
		}
		return b.finish(ctx, jobs)
	})
	if err == nil && after {
		err = b.handleAfter(ctx, jobs)
	}
	if err != nil {
		return err
	}
	oldest := jobs[0].stored.ReceivedAt
	s.observe(ctx, DeliveriesDone{Ref: b.integration.Ref, Provider: b.integration.Provider, Deliveries: len(jobs), Events: events, Repeated: repeated,
		Records: given, Oldest: time.Since(oldest)})
	return nil
}

// handleAfter runs the handlers that come behind the effects, and then marks the jobs done.
func (b *batch) handleAfter(ctx context.Context, jobs []*job) error {
	if err := b.handleAll(ctx, jobs, true, func(p Processor) EventHandler { return onlyIf(p.AfterSink, p.Handle) }); err != nil {
		return err
	}
	store := b.service.store
	return store.Transact(ctx, func(ctx context.Context) error {
		if err := store.CheckLease(ctx, b.lease); err != nil {
			return err
		}
		return b.finish(ctx, jobs)
	})
}

func (b *batch) handleAll(ctx context.Context, jobs []*job, all bool, pick func(Processor) EventHandler) error {
	for _, j := range jobs {
		if err := b.handle(ctx, j, pick, all); err != nil {
			return err
		}
	}
	return nil
}

// mark stores the keys of events, and notes which of them were there: those had their
// effects by another delivery. Events that nothing tells but their place in the
// delivery need no key, unless handlers run after the transaction, which may be repeated.
func (b *batch) mark(ctx context.Context, jobs []*job, all bool) (events, repeated int, err error) {
	var keys []string
	fresh := map[string]bool{}
	for _, j := range jobs {
		for _, e := range j.events {
			if e.ID == "" && !all {
				fresh[e.Key] = true
			} else if !slices.Contains(keys, e.Key) {
				keys = append(keys, e.Key)
			}
		}
	}
	if len(keys) > 0 {
		marked, err := b.service.store.MarkEvents(ctx, b.integration.Ref, keys)
		if err != nil {
			return 0, 0, err
		}
		for _, key := range marked {
			fresh[key] = true
		}
	}
	for _, j := range jobs {
		j.repeated = make([]bool, len(j.events))
		for i, e := range j.events {
			events++
			if !fresh[e.Key] {
				j.repeated[i] = true
				repeated++
			}
			fresh[e.Key] = false // once in these jobs too
		}
	}
	return events, repeated, nil
}

// finish marks jobs done and notes the records that they told of.
func (b *batch) finish(ctx context.Context, jobs []*job) error {
	store, ref := b.service.store, b.integration.Ref
	done := make([]StoredDelivery, len(jobs))
	var told []RecordName
	var at time.Time
	for i, j := range jobs {
		done[i] = StoredDelivery{ID: j.stored.ID, Types: j.types(), Lanes: j.lanes()}
		told = append(told, j.records()...)
		if j.stored.ReceivedAt.After(at) {
			at = j.stored.ReceivedAt
		}
	}
	if len(told) > 0 {
		if err := store.NoteHeard(ctx, ref, told, at); err != nil {
			return err
		}
	}
	return store.FinishDeliveries(ctx, ref.Tenant, done)
}

// give hands the sink the records that the events tell of, mapped, each once and as it
// is by the last of them.
func (b *batch) give(ctx context.Context, sink Sink, jobs []*job) (given int, err error) {
	if sink == nil {
		return 0, nil
	}
	records, order := b.recordsOf(jobs)
	for _, entity := range order {
		n, err := b.giveEntity(ctx, sink, entity, records[entity])
		if err != nil {
			return given, err
		}
		given += n
	}
	return given, nil
}

// recordsOf collects the records by entity, entities in the order of their first event.
func (b *batch) recordsOf(jobs []*job) (records map[string][]Record, order []string) {
	records = map[string][]Record{}
	at := map[RecordName]int{}
	for _, j := range jobs {
		for _, e := range j.events {
			r := b.current(e).Record
			if r.Entity == "" || r.ID == "" || (r.Data == nil && !r.Deleted) {
				continue // nothing is known about it
			}
			name := RecordName{r.Entity, r.ID}
			if i, there := at[name]; there {
				records[r.Entity][i] = r
				continue
			}
			if records[r.Entity] == nil {
				order = append(order, r.Entity)
			}
			at[name] = len(records[r.Entity])
			records[r.Entity] = append(records[r.Entity], r)
		}
	}
	return records, order
}

func (b *batch) giveEntity(ctx context.Context, sink Sink, entity string, records []Record) (int, error) {
	mapper, err := b.service.mapper(ctx, b.integration.Ref, entity)
	if err != nil {
		return 0, err
	}
	mapped, _, refused := mapper.toLocal(records)
	if len(refused) > 0 {
		return 0, handlerError{refused[0].err}
	}
	if len(mapped) == 0 {
		return 0, nil
	}
	_, err = acceptBatch(ctx, sink, Batch{Integration: b.integration, Entity: entity, Records: mapped, Mapping: mapper.version()})
	if err != nil {
		return 0, handlerError{sinkError(ctx, entity, err)}
	}
	return len(mapped), nil
}

// remember notes what the sink has accepted, so that the next pull does not take it for a
// change. A sink of the webhooks' own is not the one that pulls give to.
func (b *batch) remember(ctx context.Context, sink Sink, jobs []*job) error {
	if sink == nil || b.service.webhooks.Sink != nil {
		return nil
	}
	records, order := b.recordsOf(jobs)
	for _, entity := range order {
		if err := b.rememberEntity(ctx, entity, records[entity]); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) rememberEntity(ctx context.Context, entity string, records []Record) error {
	store, ref := b.service.store, b.integration.Ref
	for chunk := range slices.Chunk(records, maxStates) {
		ids := make([]string, len(chunk))
		states := make([]RecordState, len(chunk))
		for i, r := range chunk {
			ids[i], states[i].ID = r.ID, r.ID
		}
		known, err := store.LoadRecordStates(ctx, ref, entity, ids)
		if err != nil {
			return err
		}
		for _, state := range known {
			states[slices.Index(ids, state.ID)] = state
		}
		for i, r := range chunk {
			if err := b.bringUpToDate(ctx, &states[i], r); err != nil {
				return err
			}
		}
		if err := store.SaveRecordStates(ctx, ref, entity, states); err != nil {
			return err
		}
	}
	return nil
}

// bringUpToDate makes a state that of a record as the sink has it now.
func (b *batch) bringUpToDate(ctx context.Context, state *RecordState, r Record) error {
	if r.Deleted {
		state.Presence, state.Accepted, state.Base, state.BaseKeyID = RecordGone, Digest{}, nil, 0
		return nil
	}
	if state.Base != nil {
		sealed, err := b.service.safe.SealRecord(ctx, basePlace(b.integration.Ref, r.Entity, r.ID), r.Data)
		if err != nil {
			return err
		}
		state.Base, state.BaseKeyID = sealed.Data, sealed.KeyID
	}
	state.Accepted, state.Modified, state.Presence = DigestOf(r.Data), r.Modified, RecordPresent
	return nil
}

// acceptBatch calls the host's sink; a panic is an error of it.
func acceptBatch(ctx context.Context, sink Sink, batch Batch) (changes Changes, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &Error{Op: "accept " + batch.Entity, Kind: ErrSink, Message: "the sink panicked"}
		}
	}()
	return sink.Accept(ctx, batch)
}

// joinsStore says whether the sink writes by the store's own transaction.
func joinsStore(sink Sink, store Store) bool {
	joined, ok := sink.(TxSink)
	return ok && joined.Joins(store)
}
