package enlace

import (
	"context"
	"errors"
	"slices"
	"sort"
)

// Difference is something that a rollback or an undo could not take back.
type Difference struct {
	Entity   string    `json:"entity"`
	LocalID  string    `json:"local_id"`
	RemoteID string    `json:"remote_id,omitempty"`
	Op       Operation `json:"op"`               // what was written
	Fields   []string  `json:"fields,omitempty"` // that differ from what was there before; empty is the whole record
	Problem  string    `json:"problem"`          // why, without secrets
}

// UndoReport is what [Service.Undo] did.
type UndoReport struct {
	Undone    int          `json:"undone"`     // writes that were taken back
	NotUndone []Difference `json:"not_undone"` // and those that were not, each with its reason
}

// undoStep takes back one write.
type undoStep struct {
	entry  *JournalEntry
	sent   fieldSet
	before fieldSet // nil if it is not known
	known  bool     // there is a before-image

	inverse Mutation // Op is empty if there is nothing to send
	newID   string   // of a record that had to be created again
	problem *Difference
}

func (st *undoStep) fail(problem string, fields ...string) {
	e := st.entry
	st.problem = &Difference{Entity: e.Entity, LocalID: e.LocalID, RemoteID: e.RemoteID, Op: e.Op, Fields: fields, Problem: problem}
	st.inverse.Op = ""
}

// rollBack takes back what a batch has written, last write first.
func (p *pusher) rollBack(ctx context.Context, items []*pushed) {
	ctx = context.WithoutCancel(ctx)
	var steps []*undoStep
	byEntry := map[*JournalEntry]*pushed{}
	for _, it := range slices.Backward(items) {
		if it.entry == nil {
			continue // nothing was sent
		}
		st := &undoStep{entry: it.entry, sent: it.data}
		if it.remote != nil {
			st.before, st.known = fieldsOf(*it.remote), true
		}
		switch byEntry[it.entry] = it; {
		case it.err == nil:
			steps = append(steps, st)
		case ambiguous(it.err):
			st.fail("whether it happened is not known")
			p.notUndone(*st.problem)
		}
	}
	p.undo(ctx, steps)
	for _, st := range steps {
		it := byEntry[st.entry]
		switch {
		case st.newID != "": // deleted, and there again under another id
			it.outcome, it.restored, st.entry.State = ChangeRolledBack, st.newID, JournalUndone
			p.notUndone(*st.problem)
		case st.problem != nil:
			p.notUndone(*st.problem) // it stays as it is, and is remembered as it is
		default:
			it.outcome, st.entry.State = ChangeRolledBack, JournalUndone
		}
	}
}

func (p *pusher) notUndone(d Difference) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.NotUndone = append(p.counts.NotUndone, d)
}

// undo takes back steps in the order that is given, as far as nobody else has
// changed the records since, and looks afterwards whether they are as before.
func (p *pusher) undo(ctx context.Context, steps []*undoStep) {
	now, err := p.current(ctx, steps)
	for _, st := range steps {
		if err != nil {
			st.fail("the record could not be read: " + KindLabel(err))
			continue
		}
		record, read := now[st.entry.RemoteID]
		st.invert(p.entity, record, read)
	}
	p.sendInverses(ctx, steps)
	after, err := p.current(ctx, steps)
	for _, st := range steps {
		record, read := after[st.entry.RemoteID]
		switch {
		case st.problem != nil:
		case err != nil:
			st.fail("whether it is as before could not be read: " + KindLabel(err))
		case read:
			st.verify(record)
		}
	}
}

// current reads the records of steps. Without a Fetcher it reads none.
func (p *pusher) current(ctx context.Context, steps []*undoStep) (map[string]Record, error) {
	items := make([]*pushed, len(steps))
	for i, st := range steps {
		items[i] = &pushed{state: RecordState{ID: st.entry.RemoteID}}
	}
	return p.fetch(ctx, items)
}

// invert finds the mutation that takes the write back. record is how it is now, if
// it could be read.
func (st *undoStep) invert(entity Entity, record Record, read bool) {
	e := st.entry
	gone := read && record.Deleted
	var changed []string
	if read && !gone && e.Op != OpDelete {
		for name := range st.sent.differing(fieldsOf(record)) {
			changed = append(changed, name)
		}
		sort.Strings(changed)
	}
	st.inverse = Mutation{Entity: e.Entity, ID: e.RemoteID}
	switch {
	case e.Op == OpCreate && gone: // somebody has done it
	case e.Op == OpCreate && len(changed) > 0:
		st.fail("somebody has changed the new record since", changed...)
	case e.Op == OpCreate && !entity.Can(OpDelete):
		st.fail("records of this kind cannot be deleted")
	case e.Op == OpCreate:
		st.inverse.Op = OpDelete
	case !st.known:
		st.fail("what was there before is not known")
	case e.Op == OpUpdate && gone:
		st.fail("somebody has deleted the record since")
	case e.Op == OpUpdate && len(changed) > 0:
		st.fail("somebody has changed the record since", changed...)
	case e.Op == OpUpdate:
		restored := fieldSet{}
		for name := range st.sent {
			restored[name] = valueOrNull(st.before.value(name))
		}
		if st.inverse.Op, st.inverse.Data = OpUpdate, restored.data(); !entity.Can(OpUpdate) {
			st.inverse.Op = OpUpsert
		}
	case read && !gone: // a deletion that did not last
	case entity.Can(OpUpsert):
		st.inverse.Op, st.inverse.Data = OpUpsert, st.before.data()
	case entity.Can(OpCreate):
		st.inverse.Op, st.inverse.ID, st.inverse.Data = OpCreate, "", st.before.data()
	default:
		st.fail("records of this kind cannot be created")
	}
}

// sendInverses sends the mutations one batch after the other, in their order.
func (p *pusher) sendInverses(ctx context.Context, steps []*undoStep) {
	steps = slices.DeleteFunc(slices.Clone(steps), func(st *undoStep) bool { return st.inverse.Op == "" })
	for chunk := range slices.Chunk(steps, p.batchSize(ctx)) {
		mutations := make([]Mutation, len(chunk))
		for i, st := range chunk {
			mutations[i] = st.inverse
		}
		for i, result := range p.pushAll(ctx, mutations) {
			st := chunk[i]
			switch {
			case st.inverse.Op == OpDelete && errors.Is(result.Err, ErrNotFound):
			case result.Err != nil:
				st.fail("taking it back failed: " + KindLabel(result.Err))
			case st.inverse.Op == OpCreate:
				st.fail("it was deleted, and is there again under the id " + result.Ack.ID)
				st.newID = result.Ack.ID
			}
		}
	}
}

// pushAll sends mutations as one batch where the adapter can, without looking for
// lost answers.
func (p *pusher) pushAll(ctx context.Context, mutations []Mutation) []PushResult {
	results := make([]PushResult, len(mutations))
	if batcher, ok := As[BatchPusher](p.conn.adapter); ok && len(mutations) > 1 {
		batch, err := batcher.PushBatch(ctx, p.conn, mutations)
		if err == nil && len(batch) == len(mutations) {
			return batch
		}
		if err == nil {
			err = &Error{Kind: ErrProtocol, Outcome: OutcomeUnknown}
		}
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	pusher, _ := As[Pusher](p.conn.adapter)
	for i, m := range mutations {
		results[i].Ack, results[i].Err = pusher.Push(ctx, p.conn, m)
	}
	return results
}

// verify compares the record with what was there before.
func (st *undoStep) verify(record Record) {
	switch {
	case st.entry.Op == OpCreate && !record.Deleted:
		st.fail("it is still there")
	case st.entry.Op == OpCreate:
	case record.Deleted:
		st.fail("it is not there")
	default:
		before := st.before
		if st.entry.Op == OpUpdate {
			before = fieldSet{}
			for name := range st.sent {
				before[name] = st.before[name]
			}
		}
		var fields []string
		for name := range before.differing(fieldsOf(record)) {
			fields = append(fields, name)
		}
		if sort.Strings(fields); len(fields) > 0 && st.entry.Op == OpUpdate {
			st.fail("it has other values than before", fields...)
		}
	}
}

// Undo takes back what a push has written at the provider, last write first:
// what it created is deleted, what it changed gets its old values, what it deleted
// is written again. Records that somebody else has changed since are left alone.
// What was there before is known of runs with OnErrorRollback and of applied
// plans; of others only creates can be taken back. The host's rows are not
// touched, so the next push gives the same changes again unless the host has
// taken them back too.
//
// The report is filled in also with an error. Errors: ErrNotFound (no such run),
// ErrConflict (another run of the entity is under way), and those of Sync.
func (s *Service) Undo(ctx context.Context, tenant, runID string) (UndoReport, error) {
	report := UndoReport{NotUndone: []Difference{}}
	run, err := s.SyncRun(ctx, tenant, runID)
	if err != nil {
		return report, err
	}
	entries, err := s.doneEntries(ctx, run)
	if err != nil {
		return report, err
	}
	in, err := s.Get(ctx, run.Ref)
	if err != nil {
		return report, err
	}
	conn, err := s.open(ctx, in)
	if err != nil {
		return report, err
	}
	asked := audit("run.undo", run.Ref)
	asked.Target = runID
	if err := s.audited(ctx, asked, func(context.Context) error { return nil }); err != nil {
		return report, wrap("undo", ErrStore, err)
	}
	for len(entries) > 0 { // entries of one entity at a time, children before parents
		n := 1
		for n < len(entries) && entries[n].Entity == entries[0].Entity {
			n++
		}
		if err := s.undoEntity(ctx, conn, runID, entries[:n], &report); err != nil {
			return report, err
		}
		entries = entries[n:]
	}
	return report, nil
}

// doneEntries are the writes of a run that the provider has acknowledged and that
// were not taken back, last first.
func (s *Service) doneEntries(ctx context.Context, run Run) ([]JournalEntry, error) {
	q := JournalQuery{Ref: run.Ref, RunID: run.ID, Limit: 1000}
	var done []JournalEntry
	for {
		entries, next, err := s.store.Journal(ctx, q)
		if err != nil {
			return nil, wrap("load journal", ErrStore, err)
		}
		for _, e := range entries {
			if e.State == JournalDone {
				done = append(done, e)
			}
		}
		if q.Cursor = next; next == "" {
			return done, nil
		}
	}
}

// undoChunk is how many writes are taken back before what was done is saved.
const undoChunk = 100

func (s *Service) undoEntity(ctx context.Context, conn *Conn, runID string, entries []JournalEntry, report *UndoReport) error {
	entity, ok := conn.descriptor.Entity(entries[0].Entity)
	if _, can := As[Pusher](conn.adapter); !ok || !can {
		return &Error{Provider: conn.provider, Op: "undo " + entries[0].Entity, Kind: ErrUnsupported, Outcome: OutcomeNotRun}
	}
	p := &pusher{service: s, conn: conn, integration: conn.integration, runID: runID, entity: entity}
	return s.leased(ctx, syncLease(p.integration.Ref, entity.Name), newID(rowTime()), func(ctx context.Context, lease Lease) error {
		p.lease = lease
		for chunk := range slices.Chunk(entries, undoChunk) {
			if err := p.undoEntries(ctx, chunk, report); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *pusher) undoEntries(ctx context.Context, entries []JournalEntry, report *UndoReport) error {
	steps := make([]*undoStep, len(entries))
	for i := range entries {
		image, err := p.service.openImage(ctx, entries[i])
		if err != nil {
			return err
		}
		st := &undoStep{entry: &entries[i]}
		st.sent, _ = parseFields(image.Data)
		if image.Before != nil && string(image.Before) != "null" {
			st.before, _ = parseFields(image.Before)
			st.known = true
		}
		steps[i] = st
	}
	p.undo(ctx, steps)
	var undone []JournalEntry
	for _, st := range steps {
		if st.problem != nil {
			report.NotUndone = append(report.NotUndone, *st.problem)
			continue
		}
		st.entry.State = JournalUndone
		undone = append(undone, *st.entry)
		report.Undone++
	}
	return wrap("settle undo", ErrStore, p.transact(ctx, func(ctx context.Context) error {
		if err := p.unlink(ctx, steps); err != nil {
			return err
		}
		if len(undone) == 0 {
			return nil
		}
		return p.service.store.UpdateJournal(ctx, undone)
	}))
}

// unlink lets the links say what is at the provider after an undo.
func (p *pusher) unlink(ctx context.Context, steps []*undoStep) error {
	store, ref, entity := p.service.store, p.integration.Ref, p.entity.Name
	var ids []string
	for _, st := range steps {
		ids = append(ids, st.entry.RemoteID)
	}
	stored, err := loadStates(ctx, store, ref, entity, ids)
	if err != nil {
		return err
	}
	changed, again := map[string]RecordState{}, map[string]RecordState{}
	for _, st := range steps {
		state, known := stored[st.entry.RemoteID]
		if !known || (st.problem != nil && st.newID == "") {
			continue
		}
		state.Base, state.Pushed = nil, Digest{}
		switch {
		case st.newID != "":
			again[st.newID] = RecordState{ID: st.newID, LocalID: st.entry.LocalID, Presence: RecordPresent, Seen: rowTime()}
			state.LocalID, state.Presence = "", RecordGone
		case st.entry.Op == OpCreate:
			state.LocalID, state.Presence = "", RecordGone
		case st.entry.Op == OpDelete:
			state.LocalID, state.Presence = st.entry.LocalID, RecordPresent
		}
		changed[state.ID] = state
	}
	if err := saveStates(ctx, store, ref, entity, changed); err != nil {
		return err
	}
	return saveStates(ctx, store, ref, entity, again)
}
