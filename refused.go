package enlace

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// RefusedRecord is a record of the provider that the mapping could not map. It is put
// aside and the run goes on. Its data is not kept: it is read again when another version
// of the mapping is active, or when it changes at the provider.
type RefusedRecord struct {
	Ref
	Entity    string    `json:"entity"`
	RecordID  string    `json:"record_id"` // the provider's
	Mapping   int       `json:"mapping"`   // number of the version that refused it
	Error     string    `json:"error"`     // in words, without a value of the record
	Tries     int       `json:"tries"`     // set by the store: grows with each save
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// RefusedStore keeps which records were put aside.
type RefusedStore interface {
	// SaveRefusedRecords adds or replaces the refused ones of an entity and removes
	// those whose ids are settled, all or none.
	SaveRefusedRecords(ctx context.Context, ref Ref, entity string, refused []RefusedRecord, settled []string) error

	// RefusedRecords returns the records that match q, in order of entity and id, and
	// the cursor of the next page, which is empty after the last one.
	RefusedRecords(ctx context.Context, q RefusedQuery) ([]RefusedRecord, string, error)

	// DeleteRefusedRecords removes those of an integration.
	DeleteRefusedRecords(ctx context.Context, ref Ref) error
}

// RefusedQuery selects refused records of one integration.
type RefusedQuery struct {
	Ref
	Entity string // only this entity's; empty for all
	Cursor string // from an earlier answer; empty for the first page
	Limit  int    // page size; 0 is 100, more than 1,000 is 1,000
}

// RefusedRecords lists the records that were put aside because the mapping could not
// map them, with the cause, and returns the cursor of the next page. Errors:
// ErrInvalid for a bad cursor, ErrStore.
func (s *Service) RefusedRecords(ctx context.Context, q RefusedQuery) ([]RefusedRecord, string, error) {
	list, next, err := s.store.RefusedRecords(ctx, q)
	return list, next, wrap("refused records", ErrStore, err)
}

const (
	// maxRefused is how many records of an entity a run puts aside. More are no
	// exceptions: the mapping is wrong, and the run ends.
	maxRefused = 1000
	// longestRefusal bounds the words that are kept of a cause, in bytes.
	longestRefusal = 1000
)

// refusals are the records of an entity that were put aside before a run.
type refusals map[string]bool

// loadRefusals returns the ids that were put aside, and those of them that another
// version of the mapping than the given one has refused.
func (p *entityPull) loadRefusals(ctx context.Context) (all refusals, again []string, err error) {
	q := RefusedQuery{Ref: p.run.integration.Ref, Entity: p.entity, Limit: 1000}
	all = refusals{}
	for {
		rows, next, err := p.run.service.store.RefusedRecords(ctx, q)
		if err != nil {
			return nil, nil, wrap("refused records", ErrStore, err)
		}
		for _, row := range rows {
			all[row.RecordID] = true
			if row.Mapping != p.mapper.version() {
				again = append(again, row.RecordID)
			}
		}
		if q.Cursor = next; next == "" {
			return all, again, nil
		}
	}
}

// retryRefused reads what another version of the mapping has refused and gives it to
// the sink by this one. An adapter that cannot read by id leaves it until it changes.
func (p *entityPull) retryRefused(ctx context.Context) error {
	var again []string
	var err error
	if p.refused, again, err = p.loadRefusals(ctx); err != nil {
		return err
	}
	fetcher, able := As[Fetcher](p.run.conn.adapter)
	if !able || p.run.options.DryRun {
		return nil
	}
	for len(again) > 0 {
		n := min(len(again), fetchLimit)
		records, err := fetcher.Fetch(WithLane(ctx, LaneSync), p.run.conn, p.entity, again[:n])
		if err != nil {
			return p.run.conn.failure("read refused "+p.entity, err)
		}
		if records, err = p.free(ctx, records); err != nil {
			return err
		}
		if err := p.accept(ctx, records, nil); err != nil {
			return err
		}
		again = again[n:]
	}
	return nil
}

// putAside notes what of a batch the mapping has refused, and what it no longer does.
// The host has not accepted those: they are given again when they are read again.
func (p *entityPull) putAside(batch *tracked, refused []unmapped) error {
	if p.result.Refused+len(refused) > maxRefused {
		return &Error{Op: "map " + p.entity, Kind: ErrInvalid, Outcome: OutcomeNotRun, Err: refused[0].err,
			Message: fmt.Sprintf("the mapping refuses more than %d records; see RefusedRecords", maxRefused)}
	}
	var aside []RefusedRecord
	now := make(map[string]bool, len(refused))
	for _, u := range refused {
		now[u.record.ID] = true
		aside = append(aside, RefusedRecord{Ref: p.run.integration.Ref, Entity: p.entity, RecordID: u.record.ID,
			Mapping: p.mapper.version(), Error: cutText(u.err.Error(), longestRefusal)})
	}
	var settled []string
	for _, r := range batch.give {
		if p.refused[r.ID] && !now[r.ID] {
			settled = append(settled, r.ID)
		}
	}
	batch.refuse(aside, settled)
	return nil
}

// refuse takes back that the host has accepted the refused ones of a batch.
func (b *tracked) refuse(refused []RefusedRecord, settled []string) {
	b.refused, b.settled = refused, settled
	if len(refused) == 0 {
		return
	}
	for i := range b.states {
		s := &b.states[i]
		if slices.ContainsFunc(refused, func(r RefusedRecord) bool { return r.RecordID == s.ID }) {
			s.Accepted, s.Base, s.BaseKeyID = Digest{}, nil, 0
		}
	}
}

// saveRefused writes what putAside has noted, in the transaction of ctx.
func (p *entityPull) saveRefused(ctx context.Context, batch *tracked) error {
	if len(batch.refused)+len(batch.settled) == 0 {
		return nil
	}
	return saveError("save refused records",
		p.run.service.store.SaveRefusedRecords(ctx, p.run.integration.Ref, p.entity, batch.refused, batch.settled))
}
