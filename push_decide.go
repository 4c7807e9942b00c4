package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
)

// prepare finds out what is to be written of some changes.
func (p *pusher) prepare(ctx context.Context, changes []Change) ([]*pushed, error) {
	items := make([]*pushed, len(changes))
	for i, c := range changes {
		it := &pushed{change: c, order: p.service.nextOrder()}
		if items[i] = it; !c.Deleted {
			var remote json.RawMessage
			if remote, it.err = p.mapper.toRemote(c.Data); it.err == nil {
				it.local, it.err = objectOf(remote)
			}
		}
		if c.ID == "" {
			return nil, &Error{Op: "changes of " + p.entity.Name, Kind: ErrSource, Outcome: OutcomeNotRun, Message: "a change without an id"}
		}
	}
	if err := p.link(ctx, items); err != nil {
		return nil, err
	}
	for _, it := range items {
		p.decide(it)
	}
	if err := p.look(ctx, items); err != nil {
		return nil, err
	}
	for _, it := range items {
		if err := p.compare(ctx, it); err != nil {
			return nil, err
		}
	}
	return items, p.approve(items)
}

// objectOf are the fields of a change's data.
func objectOf(data json.RawMessage) (fieldSet, error) {
	f, err := parseFields(data)
	if err == nil && f != nil {
		return f, nil
	}
	return nil, &Error{Op: "push", Kind: ErrInvalid, Outcome: OutcomeNotRun, Message: "the change's data is not a JSON object"}
}

// link finds the provider's records of the changes, and what waits of them here.
func (p *pusher) link(ctx context.Context, items []*pushed) error {
	ref, entity, store := p.integration.Ref, p.entity.Name, p.service.store
	var localIDs, remoteIDs []string
	for _, it := range items {
		if localIDs = append(localIDs, it.change.ID); it.change.RemoteID != "" {
			remoteIDs = append(remoteIDs, it.change.RemoteID)
		}
	}
	linked, err := store.LoadLinkedStates(ctx, ref, entity, localIDs)
	if err != nil {
		return wrap("load links", ErrStore, err)
	}
	named, err := store.LoadRecordStates(ctx, ref, entity, remoteIDs)
	if err != nil {
		return wrap("load record states", ErrStore, err)
	}
	waiting, err := store.LoadOutgoing(ctx, ref, entity, localIDs)
	if err != nil {
		return wrap("load outgoing changes", ErrStore, err)
	}
	for _, it := range items {
		if i := slices.IndexFunc(linked, func(s RecordState) bool { return s.LocalID == it.change.ID }); i >= 0 {
			it.state = linked[i]
		} else if it.change.RemoteID != "" {
			it.state = RecordState{ID: it.change.RemoteID}
			if i := slices.IndexFunc(named, func(s RecordState) bool { return s.ID == it.change.RemoteID }); i >= 0 {
				it.state = named[i]
			}
			if it.state.LocalID != "" {
				it.err = &Error{Op: "push " + entity, Kind: ErrLinked, Outcome: OutcomeNotRun}
			}
			it.state.LocalID, it.adopted = it.change.ID, true
		}
		if it.state.Presence == RecordGone {
			it.old = it.state.ID // it was deleted there and the host has accepted that: this is a new record
		}
		if i := slices.IndexFunc(waiting, func(o OutgoingChange) bool { return o.LocalID == it.change.ID }); i >= 0 {
			it.waiting = &waiting[i]
		}
	}
	return nil
}

// decide says what there is to do as far as it is known here.
func (p *pusher) decide(it *pushed) {
	switch held := p.held[it.change.ID]; {
	case it.err != nil:
	case held != nil:
		it.err = held
	case it.waiting != nil && it.waiting.State == OutgoingInDoubt:
		it.outcome, it.reason = ChangeDead, "an earlier create of it is in doubt"
	case it.waiting != nil && it.waiting.State == OutgoingDead && it.waiting.Digest == changeDigest(it.change):
		it.outcome, it.reason = ChangeDead, "it was refused too often"
	case it.change.Deleted && !it.linked():
		it.outcome, it.reason = ChangeUnchanged, "it is not at the provider"
	case it.change.Deleted:
		it.op = OpDelete
	case !it.linked():
		it.op, it.data = OpCreate, it.local
	case it.state.Pushed == sentDigest(it.local, it.state.Accepted) && !it.adopted:
		it.outcome, it.reason = ChangeUnchanged, "it was sent already"
	default:
		it.op, it.data = OpUpdate, it.local
	}
}

// changeDigest tells one version of a change from another.
func changeDigest(c Change) Digest {
	text := canonical(c.Data)
	if c.Deleted {
		text = []byte("deleted")
	}
	return DigestOf(text)
}

// look reads the provider's records where it matters how they are: to merge, to
// plan, to be able to go back, and where nothing is known of them.
func (p *pusher) look(ctx context.Context, items []*pushed) error {
	var reads []*pushed
	for _, it := range items {
		exists := it.op == OpUpdate || it.op == OpDelete
		if exists && (p.both || p.plan != nil || p.applying != nil || p.options.OnError == OnErrorRollback ||
			(it.op == OpUpdate && it.state.Base == nil)) {
			reads = append(reads, it)
		}
	}
	if len(reads) == 0 {
		return nil
	}
	records, err := p.fetch(ctx, reads)
	if outOfOrder(err) && p.plan == nil && p.applying == nil && !p.both && p.options.OnError == OnErrorContinue {
		return nil // it is down: the write will tell, and the outbox take it
	}
	if err != nil {
		return err
	}
	for _, it := range reads {
		if r, ok := records[it.state.ID]; ok {
			r.Data = slices.Clone(r.Data)
			it.remote = &r
		}
	}
	return nil
}

// compare leaves of an update what differs, and in both directions merges.
func (p *pusher) compare(ctx context.Context, it *pushed) error {
	if it.op != OpUpdate && it.op != OpDelete {
		return nil
	}
	base, err := p.base(ctx, it.state)
	if err != nil {
		return err
	}
	if it.base = base; p.both {
		return p.merge(ctx, it, base)
	}
	if it.op == OpDelete {
		return nil
	}
	known := base
	if it.remote != nil && !it.remote.Deleted {
		known = fieldsOf(*it.remote)
	}
	if known == nil {
		return nil // nothing is known: everything is sent
	}
	local, err := p.inForm(it.local, known)
	if err != nil {
		it.op, it.err = "", err
		return nil
	}
	if it.data = local.differing(known); len(it.data) == 0 {
		it.op, it.outcome, it.reason = "", ChangeUnchanged, "the provider has these values"
	}
	return nil
}

// inForm is what the host gave in the form of the provider's record: completed where
// the mapping writes only a part of an object or array, and spelled as it stands
// there where that means the same.
func (p *pusher) inForm(local, known fieldSet) (fieldSet, error) {
	if p.mapper == nil || known == nil || local == nil {
		return local, nil
	}
	whole, err := p.mapper.complete(local.data(), known.data())
	if err != nil {
		return nil, err
	}
	return objectOf(whole)
}

// inBothForms is inForm against the last synchronised state, or against the provider's
// record where that has the same meaning already.
func (p *pusher) inBothForms(local, base, remote fieldSet) (fieldSet, error) {
	now, err := p.inForm(local, remote)
	if err != nil || base == nil || p.mapper == nil {
		return now, err
	}
	before, err := p.inForm(local, base)
	if err != nil {
		return nil, err
	}
	for name, value := range now {
		if sameJSON(value, remote[name]) {
			before[name] = value
		}
	}
	return before, nil
}

// base opens the last synchronised state of a record; nil if it is not kept.
func (p *pusher) base(ctx context.Context, state RecordState) (fieldSet, error) {
	if state.Base == nil {
		return nil, nil
	}
	text, err := p.service.safe.OpenRecord(ctx, basePlace(p.integration.Ref, p.entity.Name, state.ID), state.Base)
	if err != nil {
		return nil, err
	}
	base, err := parseFields(text)
	if err != nil {
		return nil, nil // it is not an object: as good as not kept
	}
	return base, nil
}

// merge brings together what both sides have done to one record.
func (p *pusher) merge(ctx context.Context, it *pushed, base fieldSet) error {
	gone := it.remote != nil && it.remote.Deleted
	switch {
	case it.remote == nil:
		it.op, it.err = "", &Error{Op: "merge " + p.entity.Name, Kind: ErrProtocol, Outcome: OutcomeNotRun, Message: "the provider did not give the record"}
	case gone && it.change.Deleted:
		it.op, it.outcome, it.reason, it.forget = "", ChangeUnchanged, "both sides have deleted it", true
	case gone:
		return p.resolve(ctx, it, p.conflictOf(it, ConflictRemoteDeleted, nil))
	case it.change.Deleted && !fieldsOf(*it.remote).changedSince(base):
	case it.change.Deleted:
		return p.resolve(ctx, it, p.conflictOf(it, ConflictLocalDeleted, nil))
	default:
		remote := fieldsOf(*it.remote)
		local, err := p.inBothForms(it.local, base, remote)
		if err != nil {
			it.op, it.err = "", err
			return nil
		}
		m := threeWay(base, local, remote)
		it.data, it.take = m.push, m.take
		if len(m.conflicts) > 0 {
			return p.resolve(ctx, it, p.conflictOf(it, ConflictFields, m.conflicts))
		}
		it.finishMerge()
	}
	return nil
}

// finishMerge leaves nothing to write where the provider has everything.
func (it *pushed) finishMerge() {
	if it.op == OpUpdate && len(it.data) == 0 {
		it.op, it.outcome, it.reason = "", ChangeUnchanged, "the provider has these values"
	}
}

func (p *pusher) conflictOf(it *pushed, kind ConflictKind, fields []FieldConflict) Conflict {
	c := Conflict{ID: openConflictID(p.entity.Name, it.change.ID), Ref: p.integration.Ref, Entity: p.entity.Name, LocalID: it.change.ID,
		RemoteID: it.state.ID, Kind: kind, State: ConflictOpen, Fields: fields, RunID: p.runID, At: rowTime(), localModified: it.change.Modified}
	if it.remote != nil {
		c.remoteModified = it.remote.Modified
	}
	return c
}

// resolve decides a conflict: by a person's decision, by the host's function, by
// the policy; or not at all.
func (p *pusher) resolve(ctx context.Context, it *pushed, c Conflict) error {
	it.conflict = &c
	side, err := p.decision(ctx, &c)
	if err != nil {
		return err
	}
	if side == ConflictHold {
		it.op, it.data, it.take, it.outcome, it.reason = "", nil, false, ChangeConflict, "both sides have changed it"
		return nil
	}
	c.State, c.Policy = ConflictResolved, side
	switch {
	case c.Kind == ConflictFields:
		for _, f := range c.Fields {
			if !sameJSON(f.Value, f.Remote) {
				it.data[f.Name] = valueOrNull(f.Value)
			}
			it.take = it.take || !sameJSON(f.Value, f.Local)
		}
		it.finishMerge()
	case side == ConflictLocal && c.Kind == ConflictRemoteDeleted:
		it.op, it.data, it.old, it.reason = OpCreate, it.local, it.state.ID, "the provider had deleted it"
	case side == ConflictLocal: // the deletion goes on
	default:
		it.op, it.data, it.outcome, it.reason, it.take = "", nil, ChangeUnchanged, "the provider's version won", true
		it.forget = c.Kind == ConflictRemoteDeleted
	}
	return nil
}

func valueOrNull(v []byte) []byte {
	if v == nil {
		return []byte("null")
	}
	return v
}

// decision fills in the fields' values and says whose side it is; ConflictHold if
// nobody has decided.
func (p *pusher) decision(ctx context.Context, c *Conflict) (ConflictPolicy, error) {
	rows, err := p.service.store.LoadConflicts(ctx, c.Ref, []string{c.ID})
	if err != nil {
		return "", wrap("load conflicts", ErrStore, err)
	}
	for _, row := range rows {
		was, err := p.service.openConflict(ctx, row)
		if err != nil {
			return "", err
		}
		if was.sameAs(*c) {
			if c.At = was.At; was.State == ConflictDecided {
				c.Fields = was.Fields
				return was.Policy, nil
			}
		}
	}
	if p.options.Resolve != nil && c.Kind == ConflictFields {
		values, err := p.options.Resolve(ctx, *c)
		if err != nil {
			return "", sourceError(ctx, p.entity.Name, err)
		}
		for i := range c.Fields {
			value, given := values[c.Fields[i].Name]
			if !given {
				return ConflictHold, nil
			}
			c.Fields[i].Value = fieldSet{"": value}.value("")
		}
		return ConflictHost, nil
	}
	side := c.winner(p.options.Conflicts)
	if side != ConflictHold {
		c.settle(side)
	}
	return side, nil
}

// approve leaves of what is to be written only what a plan has in the same form.
func (p *pusher) approve(items []*pushed) error {
	if p.applying == nil {
		return nil
	}
	for _, it := range items {
		if problem := p.applying.differs(p, it); problem != "" {
			it.op, it.take, it.conflict, it.outcome, it.reason = "", false, nil, ChangeConflict, problem
			p.applying.refused++
		}
	}
	return nil
}

// recover finds out what the writes have left that a crash has interrupted: which
// records there are now. Updates set fixed values and come again.
func (p *pusher) recover(ctx context.Context) error {
	entries, err := p.service.store.OpenJournal(ctx, p.integration.Ref, p.entity.Name, 10_000)
	if err != nil {
		return wrap("load journal", ErrStore, err)
	}
	guard := p.service.breakerOf(p.conn)
	for chunk := range slices.Chunk(entries, p.batchSize(ctx)) {
		items, err := p.interrupted(ctx, chunk)
		if err != nil {
			return err
		}
		if guard.allow(ctx) {
			p.lookUp(ctx, items)
			err := worst(items)
			if errors.Is(err, errInDoubt) {
				err = ErrCanceled // nobody was asked: it says nothing about the provider
			}
			guard.report(ctx, err)
		}
		for _, it := range items {
			switch it.recovered = true; {
			case errors.Is(it.err, errInDoubt):
				it.outcome = ChangeDead
			case it.err != nil:
				it.outcome = ChangeFailed
			case it.op == OpDelete:
				it.outcome = ChangeDeleted
			default:
				it.outcome = ChangeCreated
			}
			if ambiguous(it.err) && it.outcome != ChangeDead {
				p.held[it.change.ID] = notSent(it.err)
			}
		}
		if err := p.settle(ctx, items); err != nil {
			return err
		}
	}
	return wrap("recover "+p.entity.Name, ErrCanceled, ctx.Err())
}

// interrupted are open entries as changes whose outcome is unknown.
func (p *pusher) interrupted(ctx context.Context, entries []JournalEntry) ([]*pushed, error) {
	var items []*pushed
	for i := range entries {
		e := &entries[i]
		image, err := p.service.openImage(ctx, *e)
		if err != nil {
			return nil, err
		}
		it := &pushed{change: image.Change, state: RecordState{ID: e.RemoteID}, op: e.Op, entry: e, tried: true}
		it.err = &Error{Provider: p.conn.provider, Op: "push " + p.entity.Name, Kind: ErrUnavailable, Outcome: OutcomeUnknown,
			Message: "a process ended before the answer came"}
		if it.data, err = parseFields(image.Data); err != nil {
			it.data = nil
		}
		if e.Op == OpCreate {
			it.local = it.data
		}
		if e.Op == OpUpdate {
			it.err = notSent(it.err)
		}
		items = append(items, it)
	}
	return items, nil
}
