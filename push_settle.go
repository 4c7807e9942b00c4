package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
)

// intend makes durable what a batch is about to do.
func (p *pusher) intend(ctx context.Context, items []*pushed) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	entries := make([]JournalEntry, len(items))
	for i, it := range items {
		number := p.writes.Add(1)
		image := journalImage{Change: it.change, Data: it.data.data()}
		if it.op == OpDelete {
			image.Data = nil
		}
		if it.remote != nil {
			image.Before = it.remote.Data
		}
		entries[i] = JournalEntry{Ref: p.integration.Ref, RunID: p.runID, Number: number, Entity: p.entity.Name, Op: it.op,
			LocalID: it.change.ID, RemoteID: it.state.ID, State: JournalOpen, At: rowTime()}
		if it.op == OpCreate {
			entries[i].RemoteID, entries[i].Key = "", newID(rowTime())
		}
		var err error
		if entries[i].Image, entries[i].ImageKey, err = p.service.sealJSON(ctx, imagePlace(entries[i]), image); err != nil {
			return err
		}
		it.entry = &entries[i]
	}
	return wrap("write journal", ErrStore, p.transact(ctx, func(ctx context.Context) error {
		return p.service.store.AddJournal(ctx, entries)
	}))
}

// imagePlace is where an entry's image is sealed to.
func imagePlace(e JournalEntry) RecordPlace {
	return RecordPlace{Ref: e.Ref, Kind: "journal", Name: e.RunID + "/" + e.Entity + "/" + e.LocalID}
}

func (s *Service) openImage(ctx context.Context, e JournalEntry) (journalImage, error) {
	var image journalImage
	text, err := s.safe.OpenRecord(ctx, imagePlace(e), e.Image)
	if err == nil {
		err = wrapKey("open journal", json.Unmarshal(text, &image))
	}
	return image, err
}

// sealJSON seals v, which always marshals, for its place.
func (s *Service) sealJSON(ctx context.Context, p RecordPlace, v any) (data []byte, keyID uint64, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, 0, &Error{Op: "seal record", Kind: ErrInvalid, Outcome: OutcomeNotRun, Err: err}
	}
	sealed, err := s.safe.SealRecord(ctx, p, text)
	return sealed.Data, sealed.KeyID, err
}

// transact runs fn in a transaction of the store, fenced by the run's lease, also
// if the caller has gone.
func (p *pusher) transact(ctx context.Context, fn func(ctx context.Context) error) error {
	ctx, cancel := save(ctx)
	defer cancel()
	return p.service.store.Transact(ctx, func(ctx context.Context) error {
		if err := p.service.store.CheckLease(ctx, p.lease); err != nil {
			return wrap("check lease", ErrStore, err)
		}
		return fn(ctx)
	})
}

// journal notes what became of the requests.
func (p *pusher) journal(ctx context.Context, items []*pushed) error {
	entries := journalled(items)
	if len(entries) == 0 {
		return nil
	}
	return wrap("write journal", ErrStore, p.transact(ctx, func(ctx context.Context) error {
		return p.service.store.UpdateJournal(ctx, entries)
	}))
}

func journalled(items []*pushed) []JournalEntry {
	var entries []JournalEntry
	for _, it := range items {
		if e := it.entry; e != nil && e.State != JournalUndone {
			switch {
			case it.err == nil:
				e.State = JournalDone
			case errors.Is(it.err, errInDoubt):
				e.State = JournalDoubt
			case ambiguous(it.err) && e.Op != OpUpdate:
				e.State = JournalOpen
			default:
				e.State = JournalFailed
			}
			if it.ack.ID != "" {
				e.RemoteID = it.ack.ID
			}
		}
		if it.entry != nil {
			entries = append(entries, *it.entry)
		}
	}
	return entries
}

// settle remembers what became of changes in one transaction, and tells the host: in
// the same one where it can join; else the sink before, and the source after it, so
// that a crash between repeats and does not forget.
func (p *pusher) settle(ctx context.Context, items []*pushed) error {
	if len(items) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	steps := []func(context.Context, []*pushed) error{p.saveLinks, p.saveJournal, p.saveOutgoing, p.saveConflicts}
	if sink, ok := p.sink.(TxSink); ok && sink.Joins(p.service.store) {
		steps = append(steps, p.tellSink)
	} else if err := p.tellSink(ctx, items); err != nil {
		return err
	}
	joined, joins := p.source.(TxSource)
	if joins = joins && joined.Joins(p.service.store); joins {
		steps = append(steps, p.tellSource)
	}
	err := p.transact(ctx, func(ctx context.Context) error {
		for _, step := range steps {
			if err := step(ctx, items); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !joins {
		ctx, cancel := save(ctx)
		err = p.tellSource(ctx, items)
		cancel()
	}
	if err != nil {
		return wrap("settle "+p.entity.Name, ErrStore, err)
	}
	batch := PushResults{}
	for _, it := range items {
		if it.recovered {
			continue
		}
		p.counts.count(it.outcome)
		batch.count(it.outcome)
		if it.conflict != nil && it.conflict.State == ConflictResolved {
			p.counts.Resolved++
			batch.Resolved++
		}
	}
	p.service.observe(ctx, BatchPushed{Ref: p.integration.Ref, Provider: p.conn.provider, RunID: p.runID, Entity: p.entity.Name, Results: batch})
	return nil
}

func (p *pusher) saveJournal(ctx context.Context, items []*pushed) error {
	entries := journalled(items)
	if len(entries) == 0 {
		return nil
	}
	return wrap("write journal", ErrStore, p.service.store.UpdateJournal(ctx, entries))
}

// saveLinks stores which record of the provider belongs to which of the host, and
// how both were last the same.
func (p *pusher) saveLinks(ctx context.Context, items []*pushed) error {
	store, ref, entity := p.service.store, p.integration.Ref, p.entity.Name
	var ids []string
	for _, it := range items {
		ids = append(ids, it.ids()...)
	}
	if len(ids) == 0 {
		return nil
	}
	stored, err := loadStates(ctx, store, ref, entity, ids)
	if err != nil {
		return err
	}
	// Links that are given up go first: the local id is unique.
	freed, saved := map[string]RecordState{}, map[string]RecordState{}
	for _, it := range items {
		if id := it.freed(); id != "" {
			state := stored[id]
			state.ID, state.LocalID, state.Base, state.Pushed, state.Presence = id, "", nil, Digest{}, RecordGone
			freed[id] = state
		}
	}
	if err := saveStates(ctx, store, ref, entity, freed); err != nil {
		return err
	}
	for _, it := range items {
		if id := it.keeps(); id != "" {
			state, known := stored[id]
			if known && state.LocalID != "" && state.LocalID != it.change.ID {
				// The provider gave us a record that belongs to another one of the host.
				it.err = &Error{Op: "link " + entity, Kind: ErrLinked, Outcome: OutcomeRan}
				it.outcome = ChangeDead
				continue
			}
			if saved[id], err = p.newState(ctx, it, state); err != nil {
				return err
			}
		}
	}
	return saveStates(ctx, store, ref, entity, saved)
}

// ids are those of the states that a change concerns.
func (it *pushed) ids() []string {
	var ids []string
	for _, id := range []string{it.freed(), it.keeps()} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// freed is the record whose link is given up; empty if there is none.
func (it *pushed) freed() string {
	switch {
	case it.err != nil:
		return ""
	case it.restored != "":
		return it.state.ID
	case it.outcome == ChangeCreated && it.old != "" && it.old != it.ack.ID:
		return it.old
	case it.outcome == ChangeDeleted || it.forget:
		return it.state.ID
	default:
		return ""
	}
}

// keeps is the record that is linked from now on; empty if nothing is known or changes.
func (it *pushed) keeps() string {
	switch {
	case it.err != nil:
		return ""
	case it.restored != "":
		return it.restored
	case it.freed() != "" && it.outcome != ChangeCreated:
		return ""
	case it.outcome == ChangeCreated:
		return it.ack.ID
	case it.outcome == ChangeUpdated, it.outcome == ChangeUnchanged && it.linked():
		return it.state.ID
	default:
		return ""
	}
}

// newState is the state of a record after a change has been settled.
func (p *pusher) newState(ctx context.Context, it *pushed, state RecordState) (RecordState, error) {
	state.ID, state.LocalID, state.Presence = it.keeps(), it.change.ID, RecordPresent
	if state.Seen.IsZero() {
		state.Seen = rowTime()
	}
	if it.restored != "" {
		return state, nil // how it is now nobody has read
	}
	base := it.synced()
	if base != nil && it.full() {
		state.Accepted = DigestOf(it.remoteData())
		state.Modified = it.remoteModified()
	}
	if base != nil {
		var err error
		if state.Base, state.BaseKeyID, err = p.service.sealJSON(ctx, basePlace(p.integration.Ref, p.entity.Name, state.ID), base); err != nil {
			return state, err
		}
	}
	state.Pushed = Digest{}
	if local, err := p.inForm(it.local, base); base == nil || (err == nil && len(local.differing(base)) == 0) { // the provider has what the host gave
		state.Pushed = sentDigest(it.local, state.Accepted)
	}
	return state, nil
}

// remoteData is the provider's record after the write, as far as it is known.
func (it *pushed) remoteData() json.RawMessage {
	if it.ack.Data != nil {
		return it.ack.Data
	}
	if it.remote != nil && it.op == "" {
		return it.remote.Data
	}
	return nil
}

func (it *pushed) remoteModified() time.Time {
	if it.ack.Data != nil {
		return it.ack.Modified
	}
	return it.remote.Modified
}

// full says whether the provider's whole record is known as it is now.
func (it *pushed) full() bool { return it.remoteData() != nil }

// synced is the state in which both sides are the same now; nil if nothing new is known.
func (it *pushed) synced() fieldSet {
	if it.full() {
		f, _ := parseFields(it.remoteData())
		return f
	}
	if it.op == "" {
		return nil
	}
	before := it.base
	if it.remote != nil {
		before = fieldsOf(*it.remote)
	}
	return before.with(it.data)
}

// loadStates loads the states of ids, by id.
func loadStates(ctx context.Context, store RecordStore, ref Ref, entity string, ids []string) (map[string]RecordState, error) {
	slices.Sort(ids)
	states := map[string]RecordState{}
	for chunk := range slices.Chunk(slices.Compact(ids), 1000) {
		loaded, err := store.LoadRecordStates(ctx, ref, entity, chunk)
		if err != nil {
			return nil, wrap("load record states", ErrStore, err)
		}
		for _, s := range loaded {
			states[s.ID] = s
		}
	}
	return states, nil
}

func saveStates(ctx context.Context, store RecordStore, ref Ref, entity string, states map[string]RecordState) error {
	if len(states) == 0 {
		return nil
	}
	return wrap("save record states", ErrStore, store.SaveRecordStates(ctx, ref, entity, slices.Collect(maps.Values(states))))
}

// saveOutgoing puts what waits into the outbox or among the dead letters, and takes
// out what does not wait any more.
func (p *pusher) saveOutgoing(ctx context.Context, items []*pushed) error {
	var put []OutgoingChange
	for _, it := range items {
		key := OutgoingKey{Ref: p.integration.Ref, Entity: p.entity.Name, LocalID: it.change.ID}
		row := OutgoingChange{OutgoingKey: key, Digest: changeDigest(it.change), RunID: p.runID, CreatedAt: rowTime()}
		if it.waiting != nil {
			row.Tries, row.State, row.Kind, row.Error, row.CreatedAt = it.waiting.Tries, it.waiting.State, it.waiting.Kind, it.waiting.Error, it.waiting.CreatedAt
		} else {
			row.Order = it.order
		}
		if it.err != nil {
			row.Kind, row.Error = KindLabel(it.err), bounded(it.err.Error())
		}
		switch {
		case it.recovered && it.outcome != ChangeDead:
			continue // the source gives it again
		case errors.Is(it.err, errInDoubt):
			row.State = OutgoingInDoubt
		case it.outcome == ChangeDead && it.err != nil:
			row.State = OutgoingDead
			row.Tries++
		case it.outcome == ChangeDead: // it waits already; the newest version of it does
		case it.outcome == ChangeQueued:
			row.State = OutgoingQueued
		case it.outcome == ChangeFailed && refused(it.err) && !it.account:
			row.Tries++
			if row.State != OutgoingQueued {
				row.State = OutgoingFailing
			}
		case it.waiting != nil && it.err == nil && it.outcome != ChangeConflict && it.outcome != ChangeRolledBack:
			if err := p.service.store.DeleteOutgoing(ctx, key, it.waiting.Version); err != nil {
				return wrap("delete outgoing change", ErrStore, err)
			}
			continue
		default:
			continue
		}
		var err error
		if row.Payload, row.PayloadKey, err = p.service.sealJSON(ctx, outgoingPlace(key), it.change); err != nil {
			return err
		}
		put = append(put, row)
	}
	if len(put) == 0 {
		return nil
	}
	return wrap("save outgoing changes", ErrStore, p.service.store.PutOutgoing(ctx, put))
}

// bounded cuts an error's text for a row.
func bounded(text string) string {
	const limit = 2000
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}

// saveConflicts lists open conflicts, and keeps resolved ones as a record.
func (p *pusher) saveConflicts(ctx context.Context, items []*pushed) error {
	var put []ConflictRow
	var settled []string
	for _, it := range items {
		open := openConflictID(p.entity.Name, it.change.ID)
		switch c := it.conflict; {
		case c == nil:
			if p.both && it.err == nil {
				settled = append(settled, open) // if there was one, one side has given in
			}
			continue
		case c.State == ConflictOpen:
		case it.err != nil:
			continue // it comes again
		default:
			settled = append(settled, open)
			c.ID = newID(rowTime())
		}
		row, err := p.service.sealConflict(ctx, *it.conflict)
		if err != nil {
			return err
		}
		put = append(put, row)
	}
	if len(settled) > 0 {
		if err := p.service.store.DeleteConflicts(ctx, p.integration.Ref, settled); err != nil {
			return wrap("delete conflicts", ErrStore, err)
		}
	}
	if len(put) == 0 {
		return nil
	}
	return wrap("save conflicts", ErrStore, p.service.store.PutConflicts(ctx, put))
}

// tellSink gives the host what the provider's side has brought.
func (p *pusher) tellSink(ctx context.Context, items []*pushed) error {
	var records []Record
	for _, it := range items {
		if !it.take || it.err != nil {
			continue
		}
		r := *it.remote
		if it.ack.Data != nil {
			r.Data, r.Modified = it.ack.Data, it.ack.Modified
		} else if len(it.data) > 0 {
			r.Data = fieldsOf(r).with(it.data).data()
		}
		records = append(records, r)
	}
	if len(records) == 0 {
		return nil
	}
	records, _, refused := p.mapper.toLocal(records)
	if len(refused) > 0 {
		return refused[0].err
	}
	_, err := p.sink.Accept(ctx, Batch{Integration: p.integration, RunID: p.runID, Entity: p.entity.Name, Records: records, Mapping: p.mapper.version()})
	if err != nil {
		return sinkError(ctx, p.entity.Name, err)
	}
	return nil
}

// tellSource tells the host what needs no longer be given.
func (p *pusher) tellSource(ctx context.Context, items []*pushed) error {
	a := AcceptedChanges{Integration: p.integration, RunID: p.runID, Entity: p.entity.Name}
	for _, it := range items {
		if it.recovered || !it.outcome.settled() {
			continue
		}
		id := it.state.ID
		if it.ack.ID != "" {
			id = it.ack.ID
		}
		a.Changes = append(a.Changes, AcceptedChange{Change: it.change, Outcome: it.outcome, RemoteID: id})
	}
	if len(a.Changes) == 0 {
		return nil
	}
	if err := p.source.Accepted(ctx, a); err != nil {
		return sourceError(ctx, p.entity.Name, err)
	}
	return nil
}
