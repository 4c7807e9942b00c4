package enlace

import (
	"context"
	"errors"
)

// conflictTries is how often a page is saved anew because somebody else has
// changed the state of one of its records: a push, or an event.
const conflictTries = 4

// accept gives records to the sink, and saves what is remembered of them together
// with the checkpoint; next is nil if that stays where it is. A run that somebody
// wants to end does so behind the save. What the sink refuses is put aside, and the
// others are given to it again.
func (p *entityPull) accept(ctx context.Context, records []Record, next *Checkpoint) error {
	if err := ctx.Err(); err != nil { // the adapter and the sink need not look
		return wrap("accept "+p.entity, ErrStore, err)
	}
	joined, joins := p.run.sink.(TxSink)
	commit := p.acceptApart
	if joins && joined.Joins(p.run.service.store) {
		commit = p.acceptInOne
	}
	refused := map[string]error{} // by the sink
	for {
		request, err := commit(ctx, records, next, refused)
		if err == nil {
			return requested(request)
		}
		if !refusedBySink(refused, records, err) {
			return err
		}
	}
}

// acceptInOne commits the page and the checkpoint together.
func (p *entityPull) acceptInOne(ctx context.Context, records []Record, next *Checkpoint, refused map[string]error) (request RunRequest, err error) {
	err = retryConflicts(func() error {
		var batch *tracked
		var given Changes
		err := p.run.service.store.Transact(ctx, func(ctx context.Context) (err error) {
			if batch, err = p.track(ctx, records); err != nil {
				return err
			}
			if given, err = p.give(ctx, batch, refused); err != nil {
				return err
			}
			request, err = p.save(ctx, batch, next)
			return err
		})
		if err == nil {
			p.accepted(batch, given, next)
		}
		return p.commitError(ctx, err)
	})
	return request, err
}

// acceptApart commits the checkpoint after the page: a crash between the two
// repeats the page. It does so even if the caller has gone meanwhile.
func (p *entityPull) acceptApart(ctx context.Context, records []Record, next *Checkpoint, refused map[string]error) (request RunRequest, err error) {
	batch, err := p.track(ctx, records)
	if err != nil {
		return "", err
	}
	given, err := p.give(ctx, batch, refused)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err = retryConflicts(func() error {
		err := p.run.service.store.Transact(ctx, func(ctx context.Context) (err error) {
			request, err = p.save(ctx, batch, next)
			return err
		})
		if errors.Is(err, errStatesChanged) {
			if again, err := p.track(ctx, records); err == nil {
				again.skipped = batch.skipped
				again.refuse(batch.refused, batch.settled)
				batch = again
			}
		}
		return p.commitError(ctx, err)
	})
	if err == nil {
		p.accepted(batch, given, next)
	}
	return request, err
}

// commitError gives a failure of the store in the transaction its kind. What the
// steps have returned is as it shall be.
func (p *entityPull) commitError(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, errStatesChanged) || KindLabel(err) != "other" {
		return err
	}
	if contextError(err) && ctx.Err() != nil {
		return wrap("accept "+p.entity, ErrStore, err)
	}
	return &Error{Op: "accept " + p.entity, Kind: ErrStore, Err: err}
}

func retryConflicts(commit func() error) (err error) {
	for range conflictTries {
		if err = commit(); !errors.Is(err, errStatesChanged) {
			return err
		}
	}
	return &Error{Op: "save record states", Kind: ErrConflict, Err: err}
}

// give maps what is new and hands it to the sink, but for what that has refused.
func (p *entityPull) give(ctx context.Context, batch *tracked, bySink map[string]error) (Changes, error) {
	r := p.run
	records, skipped, refused := p.mapper.toLocal(batch.give)
	batch.skipped = skipped
	records, named := p.withoutRefused(batch.give, records, bySink)
	if err := p.putAside(ctx, batch, append(refused, named...)); err != nil {
		return Changes{}, err
	}
	if len(records) == 0 {
		return Changes{}, nil
	}
	changes, err := r.sink.Accept(ctx, Batch{Integration: r.integration, RunID: r.record.ID, Entity: p.entity,
		Records: records, Mapping: p.mapper.version(), Tracked: !r.options.Untracked})
	if err != nil {
		return Changes{}, sinkError(ctx, p.entity, err)
	}
	return changes, nil
}

// save writes what is remembered of a batch, in the transaction of ctx, if the
// entity is still reserved for this run.
func (p *entityPull) save(ctx context.Context, batch *tracked, next *Checkpoint) (request RunRequest, err error) {
	store, ref := p.run.service.store, p.run.integration.Ref
	if err := store.CheckLease(ctx, p.lease); err != nil {
		return "", saveError("check lease", err)
	}
	if len(batch.states) > 0 {
		if err := store.SaveRecordStates(ctx, ref, p.entity, batch.states); errors.Is(err, ErrConflict) {
			p.nothing = false
			return "", errStatesChanged
		} else if err != nil {
			return "", saveError("save record states", err)
		}
	}
	if err := p.saveRefused(ctx, batch); err != nil {
		return "", err
	}
	if next != nil {
		if err := store.SaveCheckpoint(ctx, ref, p.entity, *next); err != nil {
			return "", saveError("save checkpoint", err)
		}
	}
	request, err = store.RunRequest(ctx, ref.Tenant, p.run.record.ID)
	return request, saveError("run request", err)
}

// accepted counts a batch that is committed.
func (p *entityPull) accepted(batch *tracked, given Changes, next *Checkpoint) {
	if next != nil {
		p.checkpoint = *next
		p.checkpoint.Version++
	}
	if given == (Changes{}) {
		given = batch.known
	}
	p.result.Created += given.Created
	p.result.Updated += given.Updated
	p.result.Deleted += given.Deleted
	p.result.Unchanged += given.Unchanged + batch.unchanged
	p.result.Skipped += batch.skipped
	p.result.Refused += len(batch.refused) + batch.aside
	p.noteRefused(batch)
}

// tracked is a batch with what is known of its records.
type tracked struct {
	give      []Record      // for the sink
	counted   []*int        // in known, of each that is given
	states    []RecordState // to be saved
	known     Changes       // of what is given, by the states
	unchanged int           // not given
	skipped   int           // left out by a rule of the mapping
	refused   []RefusedRecord
	settled   []string // ids that were refused earlier, and no longer are
	aside     int      // not given, since they were refused earlier as they are
}

// track compares records with their states. Nothing is known of those of an
// untracked run.
func (p *entityPull) track(ctx context.Context, records []Record) (*tracked, error) {
	if p.run.options.Untracked || len(records) == 0 {
		return &tracked{give: records}, nil
	}
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	known := make(map[string]*RecordState, len(records))
	for chunk := ids; len(chunk) > 0 && !p.nothing; {
		n := min(len(chunk), maxStates)
		states, err := p.run.service.store.LoadRecordStates(ctx, p.run.integration.Ref, p.entity, chunk[:n])
		if err != nil {
			return nil, wrap("load record states", ErrStore, err)
		}
		for i := range states {
			known[states[i].ID] = &states[i]
		}
		chunk = chunk[n:]
	}
	batch := &tracked{give: make([]Record, 0, len(records)), counted: make([]*int, 0, len(records))}
	changed := make([]*RecordState, 0, len(records))
	fresh := make([]RecordState, 0, len(records)-len(known)) // without growing, so that pointers stay
	for i := range records {
		r := &records[i]
		state := known[r.ID]
		if state == nil {
			fresh = append(fresh, RecordState{ID: r.ID})
			state = &fresh[len(fresh)-1]
			known[r.ID] = state
		}
		save, err := p.compare(ctx, batch, r, state)
		if err != nil {
			return nil, err
		}
		if save {
			changed = append(changed, state)
		}
	}
	saved := make(map[string]bool, len(changed))
	batch.states = make([]RecordState, 0, len(changed))
	for _, state := range changed {
		if !saved[state.ID] { // a page may hold a record twice
			saved[state.ID] = true
			batch.states = append(batch.states, *state)
		}
	}
	return batch, nil
}

// add gives a record to the sink and counts it.
func (b *tracked) add(r *Record, counter *int) {
	*counter++
	b.give, b.counted = append(b.give, *r), append(b.counted, counter)
}

// maxStates is how many states a store is asked for at once.
const maxStates = 1000

// compare decides what becomes of a record, and brings its state up to date; save
// says whether the state is another one then.
func (p *entityPull) compare(ctx context.Context, batch *tracked, r *Record, state *RecordState) (save bool, err error) {
	everything := p.scope != "" // Full and Since give what has not changed too
	there := state.Presence != "" && state.Presence != RecordGone && !state.Accepted.IsZero()
	if r.Deleted {
		if state.Presence == RecordGone && !everything {
			batch.unchanged++
			return false, nil
		}
		batch.add(r, &batch.known.Deleted)
		state.Presence, state.Accepted, state.Base, state.BaseKeyID = RecordGone, Digest{}, nil, 0
		return true, nil
	}
	digest := p.digestOf(r)
	same := there && state.Accepted == digest
	aside := !everything && p.staysAside(r.ID, digest)
	switch {
	case aside:
		batch.aside++
	case same && !everything:
		batch.unchanged++
	case same:
		batch.add(r, &batch.known.Unchanged)
	case there:
		batch.add(r, &batch.known.Updated)
	default:
		batch.add(r, &batch.known.Created)
	}
	seen := p.began
	if seen.IsZero() {
		seen = p.now()
	}
	_, edited := p.edited[r.ID]
	keep := !aside && !edited && ((p.run.keeps() && state.Base == nil) || (state.Base != nil && !same))
	save = (!same && !aside) || keep || state.Presence != RecordPresent || (p.sweeps() && !p.began.IsZero() && state.Seen.Before(seen))
	if !save {
		return false, nil
	}
	if keep {
		if err := p.keep(ctx, r, state); err != nil {
			return false, err
		}
	}
	if !aside {
		state.Accepted, state.Modified = digest, r.Modified
	}
	state.Presence = RecordPresent
	if state.Seen.Before(seen) {
		state.Seen = seen
	}
	return true, nil
}

// keeps says whether the last synchronised state is kept: a merge needs it.
func (r *run) keeps() bool { return r.options.Keep || r.options.Direction == Bidirectional }

// keep seals the record's data as its last synchronised state.
func (p *entityPull) keep(ctx context.Context, r *Record, state *RecordState) error {
	sealed, err := p.run.service.safe.SealRecord(ctx, basePlace(p.run.integration.Ref, p.entity, r.ID), r.Data)
	state.Base, state.BaseKeyID = sealed.Data, sealed.KeyID
	return err
}

// basePlace is where the last synchronised state of a record is sealed to.
func basePlace(ref Ref, entity, id string) RecordPlace {
	return RecordPlace{Ref: ref, Kind: "base", Name: entity + "/" + id}
}
