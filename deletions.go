package enlace

import (
	"context"
	"errors"
	"slices"
	"time"
)

// DeletionLimit is how many records of an entity may disappear between two complete
// walks and count as deleted: Count of them, or Share of those that were there,
// whichever is more. Beyond it all of them wait for ApproveDeletions, since a
// mistake of the provider's or of a filter is more likely.
type DeletionLimit struct {
	Share float64 `json:"share,omitempty"` // from 0 to 1; 0 is 0.1
	Count int     `json:"count,omitempty"` // 0 is 10
}

func (l DeletionLimit) allowed(known int) int {
	share := l.Share
	if share == 0 {
		share = 0.1
	}
	return max(orDefaultInt(l.Count, 10), int(share*float64(known)))
}

func orDefaultInt(value, standard int) int {
	if value == 0 {
		return standard
	}
	return value
}

// sweepPage is how many records are swept at once, and asked for.
const sweepPage = 100

// sweeps says whether absence from a complete walk means anything: not where the
// provider tells deletions, and not if nothing is remembered.
func (p *entityPull) sweeps() bool {
	e, _ := p.run.conn.descriptor.Entity(p.entity) // checked by newRun
	return e.Incremental != IncrementalFull && !p.run.options.Untracked && !p.run.options.DryRun
}

// deleteWhatIsDue tells the sink what was approved, and carries out the sweep of a
// walk that was cut off behind its last page.
func (p *entityPull) deleteWhatIsDue(ctx context.Context) error {
	if p.run.options.DryRun || p.run.options.Untracked {
		return nil
	}
	if err := p.each(ctx, RecordQuery{Presence: RecordApproved}, p.deleteAll); err != nil {
		return err
	}
	if p.checkpoint.Resume != "" || p.checkpoint.Began.IsZero() {
		return nil
	}
	p.began, p.result.Resumed = p.checkpoint.Began, true
	defer func() { p.began, p.result.Resumed = time.Time{}, false }()
	return p.sweep(ctx)
}

// sweep deletes what the complete walk that has just ended did not find, or has it
// wait.
func (p *entityPull) sweep(ctx context.Context) error {
	if p.began.IsZero() || !p.sweeps() {
		return nil
	}
	unseen := RecordQuery{Ref: p.run.integration.Ref, Entity: p.entity, Presence: RecordPresent, SeenBefore: p.began}
	missing, err := p.run.service.store.CountRecordStates(ctx, unseen)
	if err != nil {
		return wrap("count records", ErrStore, err)
	}
	if missing > 0 {
		if err := p.sweepMissing(ctx, unseen, missing); err != nil {
			return err
		}
	}
	next := p.checkpoint
	next.Began = time.Time{}
	return p.accept(ctx, nil, &next)
}

// sweepMissing deletes the records that match unseen, or has them wait if they are
// too many of those that are known.
func (p *entityPull) sweepMissing(ctx context.Context, unseen RecordQuery, missing int) error {
	all := unseen
	all.SeenBefore = time.Time{}
	known, err := p.run.service.store.CountRecordStates(ctx, all)
	if err != nil {
		return wrap("count records", ErrStore, err)
	}
	remove := p.deleteConfirmed
	if missing > p.run.options.Deletions.allowed(known) {
		remove = p.quarantine
	}
	return p.each(ctx, unseen, remove)
}

// each calls do with the states that match q, a page at a time. do changes them so
// that they match no longer.
func (p *entityPull) each(ctx context.Context, q RecordQuery, do func(ctx context.Context, states []RecordState) error) error {
	q.Ref, q.Entity, q.Limit = p.run.integration.Ref, p.entity, sweepPage
	for {
		states, next, err := p.run.service.store.RecordStates(ctx, q)
		if err != nil {
			return wrap("list records", ErrStore, err)
		}
		if len(states) > 0 {
			if err := do(ctx, states); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		q.Cursor = next
	}
}

// deleteAll tells the sink that the records are gone.
func (p *entityPull) deleteAll(ctx context.Context, states []RecordState) error {
	records := make([]Record, len(states))
	for i, state := range states {
		records[i] = Record{Entity: p.entity, ID: state.ID, Deleted: true}
	}
	return p.accept(ctx, records, nil)
}

// deleteConfirmed asks the provider for each of the records once more: a walk over
// a list that moves may miss one. Where nobody can be asked, the walk's word
// counts, unless it was interrupted or found nothing at all.
func (p *entityPull) deleteConfirmed(ctx context.Context, states []RecordState) error {
	found, err := p.fetch(ctx, states)
	switch {
	case err == nil:
		return p.accept(ctx, found, nil)
	case !isKind(err, ErrUnsupported):
		return err
	case p.result.Resumed || p.result.Read == 0:
		return p.quarantine(ctx, states)
	default:
		return p.deleteAll(ctx, states)
	}
}

// fetch reads the records by their ids: those that exist, and a tombstone for each
// of the others. It returns ErrUnsupported if the adapter cannot.
func (p *entityPull) fetch(ctx context.Context, states []RecordState) ([]Record, error) {
	fetcher, ok := As[Fetcher](p.run.conn.adapter)
	if !ok {
		return nil, ErrUnsupported
	}
	ids := make([]string, len(states))
	for i := range states {
		ids[i] = states[i].ID
	}
	records, err := fetcher.Fetch(WithLane(ctx, LaneBackfill), p.run.conn, p.entity, ids)
	if err != nil {
		return nil, p.run.conn.failure("fetch "+p.entity, err)
	}
	return slices.DeleteFunc(records, func(r Record) bool { return !slices.Contains(ids, r.ID) }), nil
}

// quarantine has the records wait for somebody's decision.
func (p *entityPull) quarantine(ctx context.Context, states []RecordState) error {
	for i := range states {
		states[i].Presence = RecordMissing
	}
	service, ref := p.run.service, p.run.integration.Ref
	err := service.store.Transact(ctx, func(ctx context.Context) error {
		if err := service.store.CheckLease(ctx, p.lease); err != nil {
			return err
		}
		return service.store.SaveRecordStates(ctx, ref, p.entity, states)
	})
	if err != nil {
		return saveError("quarantine", err)
	}
	p.result.Missing += len(states)
	service.observe(ctx, DeletionsQuarantined{Ref: ref, Provider: p.run.conn.provider, RunID: p.run.record.ID, Entity: p.entity, Records: len(states)})
	return nil
}

// MissingRecords lists the records of an entity that have disappeared and wait for
// ApproveDeletions or RejectDeletions, and the cursor of the next page, which is
// empty after the last. Presence and SeenBefore of q are ignored. Errors:
// ErrInvalid for a bad cursor, ErrStore.
func (s *Service) MissingRecords(ctx context.Context, q RecordQuery) ([]RecordState, string, error) {
	q.Presence, q.SeenBefore = RecordMissing, time.Time{}
	states, next, err := s.store.RecordStates(ctx, q)
	return states, next, wrap("missing records", ErrStore, err)
}

// ApproveDeletions says that missing records are gone indeed: the next run of the
// entity tells the sink. No ids means all of them. It returns how many there were.
// Errors: ErrConflict if a run changed one meanwhile, ErrStore.
func (s *Service) ApproveDeletions(ctx context.Context, ref Ref, entity string, ids ...string) (int, error) {
	return s.decide(ctx, ref, entity, RecordApproved, ids)
}

// RejectDeletions says that missing records are to be kept. They are not asked
// about again, unless the provider shows them once more and loses them then. No
// ids means all of them. It returns how many there were. Errors: as for
// ApproveDeletions.
func (s *Service) RejectDeletions(ctx context.Context, ref Ref, entity string, ids ...string) (int, error) {
	return s.decide(ctx, ref, entity, RecordKept, ids)
}

func (s *Service) decide(ctx context.Context, ref Ref, entity string, decision Presence, ids []string) (decided int, err error) {
	q := RecordQuery{Ref: ref, Entity: entity, Presence: RecordMissing, Limit: maxStates}
	for {
		states, next, err := s.store.RecordStates(ctx, q)
		if err != nil {
			return decided, wrap("missing records", ErrStore, err)
		}
		states = slices.DeleteFunc(states, func(state RecordState) bool { return len(ids) > 0 && !slices.Contains(ids, state.ID) })
		for i := range states {
			states[i].Presence = decision
		}
		if len(states) > 0 {
			entry := audit("deletions."+string(decision), ref)
			entry.Target = entity
			err := s.audited(ctx, entry, func(ctx context.Context) error { return s.store.SaveRecordStates(ctx, ref, entity, states) })
			if err != nil {
				return decided, wrap("decide on deletions", ErrStore, err)
			}
		}
		decided += len(states)
		if next == "" {
			break
		}
		q.Cursor = next
	}
	if decided > 0 {
		s.observe(ctx, DeletionsDecided{Ref: ref, Entity: entity, Approved: decision == RecordApproved, Records: decided})
	}
	return decided, err
}

// ReadResult is a record that Read found, from the provider or from what was kept.
type ReadResult struct {
	Record
	Stale bool      // the provider could not be asked: this is the last state that was kept
	At    time.Time // when a stale one was saved; zero for one from the provider
}

// Read reads records by their ids, at most 100, from the provider. If the provider
// is down or refuses for its rate, it gives those whose last state a run has kept
// ([SyncOptions.Keep]) instead, marked stale; ids of which nothing is kept are left
// out then. Errors: ErrUnsupported without a Fetcher, those of Conn, and the
// provider's if nothing is kept of any id.
func (s *Service) Read(ctx context.Context, ref Ref, entity string, ids ...string) ([]ReadResult, error) {
	conn, err := s.Conn(ctx, ref)
	if err != nil {
		return nil, err
	}
	fetcher, ok := As[Fetcher](conn.adapter)
	if !ok {
		return nil, &Error{Provider: conn.provider, Op: "read " + entity, Kind: ErrUnsupported, Outcome: OutcomeNotRun}
	}
	records, err := fetcher.Fetch(ctx, conn, entity, ids)
	if err == nil {
		results := make([]ReadResult, len(records))
		for i, r := range records {
			results[i].Record = r
		}
		return results, nil
	}
	err = conn.failure("read "+entity, err)
	if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrRateLimited) {
		return nil, err
	}
	kept, keptErr := s.readKept(ctx, ref, entity, ids)
	if keptErr != nil || len(kept) == 0 {
		return nil, errors.Join(err, keptErr)
	}
	return kept, nil
}

// readKept opens the last states that were kept of records.
func (s *Service) readKept(ctx context.Context, ref Ref, entity string, ids []string) ([]ReadResult, error) {
	states, err := s.store.LoadRecordStates(ctx, ref, entity, ids)
	if err != nil {
		return nil, wrap("load record states", ErrStore, err)
	}
	var kept []ReadResult
	for _, state := range states {
		if state.Base == nil {
			continue
		}
		data, err := s.safe.OpenRecord(ctx, basePlace(ref, entity, state.ID), state.Base)
		if err != nil {
			return nil, err
		}
		kept = append(kept, ReadResult{Stale: true, At: state.UpdatedAt,
			Record: Record{Entity: entity, ID: state.ID, Modified: state.Modified, Data: data}})
	}
	return kept, nil
}

// DeletionsQuarantined is records that have disappeared and wait for a decision.
type DeletionsQuarantined struct {
	Ref      Ref
	Provider string
	RunID    string
	Entity   string
	Records  int
}

// DeletionsDecided is a decision about such records.
type DeletionsDecided struct {
	Ref      Ref
	Entity   string
	Approved bool
	Records  int
}

func (DeletionsQuarantined) observation() {}
func (DeletionsDecided) observation()     {}
