package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/enlace-go/enlace/internal/redact"
)

// RefusedRecord is a record of the provider that the mapping could not map, or that
// the sink has refused ([SinkRefusal]). It is put aside with its data, and the run goes
// on. One that the mapping refused is read or given again when another version of the
// mapping is active; one that the sink refused in the next runs, [SyncOptions.Tries]
// times; each of them when it changes at the provider.
type RefusedRecord struct {
	Ref
	Entity   string       `json:"entity"`
	RecordID string       `json:"record_id"` // the provider's
	State    RefusedState `json:"state"`
	Mapping  int          `json:"mapping"`           // number of the version that refused it, or by which it was mapped; 0 for none
	Kind     string       `json:"kind,omitempty"`    // KindLabel of the refusal: "invalid" is the mapping's, "sink" the sink's
	Error    string       `json:"error"`             // in words; the mapping's hold no value of the record
	Tries    int          `json:"tries"`             // of this data by this mapping
	Edited   bool         `json:"edited"`            // Data is a person's, and not as the provider sent it
	Modified time.Time    `json:"modified,omitzero"` // when it changed at the provider, as far as known
	// Data is the record in the provider's form; only of a single one, and nil if it
	// was put aside before enlace kept it.
	Data      json.RawMessage `json:"data,omitempty"`
	Version   int64           `json:"version"` // grows with each change
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`

	Digest     Digest `json:"-"` // of the data as the provider sent it
	Payload    []byte `json:"-"` // Data, sealed; not in lists
	PayloadKey uint64 `json:"-"` // the key that sealed Payload; a hint for rotation, not trusted
}

// RefusedState is whether a refused record is tried again by itself.
type RefusedState string

// The states of refused records.
const (
	// RefusedWaiting: the next run tries it again.
	RefusedWaiting RefusedState = "waiting"
	// RefusedDead: it waits for a person, for another version of the mapping or for a
	// change at the provider.
	RefusedDead RefusedState = "dead"
)

// RefusedKey names one refused record.
type RefusedKey struct {
	Ref
	Entity   string
	RecordID string // the provider's
}

// Key returns the record's key.
func (r RefusedRecord) Key() RefusedKey { return RefusedKey{r.Ref, r.Entity, r.RecordID} }

// RefusedStore keeps which records were put aside.
type RefusedStore interface {
	// SaveRefusedRecords adds or replaces the refused ones of an entity and removes
	// those whose ids are settled, all or none. A row that is replaced by one with the
	// same Digest keeps its Payload, PayloadKey and Edited: they may be a person's. The
	// store counts Version and sets the times.
	SaveRefusedRecords(ctx context.Context, ref Ref, entity string, refused []RefusedRecord, settled []string) error

	// RefusedRecords returns the records that match q without their payloads, in order
	// of entity and id, and the cursor of the next page, which is empty after the last one.
	RefusedRecords(ctx context.Context, q RefusedQuery) ([]RefusedRecord, string, error)

	// RefusedRecord returns one with its payload, or ErrNotFound.
	RefusedRecord(ctx context.Context, key RefusedKey) (RefusedRecord, error)

	// UpdateRefusedRecord replaces State, Tries, Edited and the payload of the row if its
	// version is still r.Version, and stores the next one. Otherwise, and if there is no
	// row, it returns ErrConflict.
	UpdateRefusedRecord(ctx context.Context, r RefusedRecord) error

	// DeleteRefusedRecord removes one of that version, or returns ErrConflict.
	DeleteRefusedRecord(ctx context.Context, key RefusedKey, version int64) error

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

// RefusedRecords lists the records that were put aside, with the cause and without
// their data, and returns the cursor of the next page. Errors: ErrInvalid for a bad
// cursor, ErrStore.
func (s *Service) RefusedRecords(ctx context.Context, q RefusedQuery) ([]RefusedRecord, string, error) {
	list, next, err := s.store.RefusedRecords(ctx, q)
	return list, next, wrap("refused records", ErrStore, err)
}

// RefusedRecord returns one record with its data. It stands in the audit log. Errors:
// ErrNotFound, ErrKey, ErrStore.
func (s *Service) RefusedRecord(ctx context.Context, key RefusedKey) (RefusedRecord, error) {
	r, err := s.store.RefusedRecord(ctx, key)
	if err != nil {
		return r, wrap("refused record", ErrStore, err)
	}
	entry := auditRefused("view", key)
	entry.Result = AuditDone
	if err := s.RecordAudit(ctx, entry); err != nil {
		return RefusedRecord{}, err
	}
	r.Data, err = s.openRefused(ctx, r)
	return r, err
}

// openRefused returns what was kept of a record; nil if nothing was.
func (s *Service) openRefused(ctx context.Context, r RefusedRecord) (json.RawMessage, error) {
	if r.Payload == nil {
		return nil, nil
	}
	return s.safe.OpenRecord(ctx, refusedPlace(r.Key()), r.Payload)
}

func refusedPlace(key RefusedKey) RecordPlace {
	return RecordPlace{Ref: key.Ref, Kind: "refused", Name: key.Entity + "/" + key.RecordID}
}

func auditRefused(verb string, key RefusedKey) AuditEntry {
	e := audit("refused_record."+verb, key.Ref)
	e.Target = key.Entity + "/" + key.RecordID
	return e
}

// EditRefusedRecord replaces the data of a record, in the provider's form, if nobody has
// changed it since the version was read. It does not give it to the sink: see
// RedriveRefusedRecord. What the provider sends later, once the record has changed there,
// takes its place. Errors: ErrNotFound, ErrConflict, ErrInvalid (not a JSON object), ErrKey, ErrStore.
func (s *Service) EditRefusedRecord(ctx context.Context, key RefusedKey, version int64, data json.RawMessage) (RefusedRecord, error) {
	if f, err := parseFields(data); err != nil || f == nil {
		return RefusedRecord{}, &ValidationError{Faults: []Fault{{Field: "data", Problem: "not a JSON object", Allowed: "an object of the provider's fields"}}}
	}
	return s.changeRefused(ctx, "edit", key, version, func(ctx context.Context, r *RefusedRecord) error {
		sealed, err := s.safe.SealRecord(ctx, refusedPlace(key), data)
		r.Payload, r.PayloadKey, r.Edited = sealed.Data, sealed.KeyID, true
		return err
	})
}

// RedriveRefusedRecord has the next run of the entity try a record again; its tries are
// counted from the beginning. One that was not edited is read anew where the adapter can.
// Errors: ErrNotFound, ErrConflict (changed since the version was read), ErrStore.
func (s *Service) RedriveRefusedRecord(ctx context.Context, key RefusedKey, version int64) error {
	_, err := s.changeRefused(ctx, "redrive", key, version, func(_ context.Context, r *RefusedRecord) error {
		r.State, r.Tries = RefusedWaiting, 0
		return nil
	})
	return err
}

// changeRefused edits a row of that version.
func (s *Service) changeRefused(ctx context.Context, verb string, key RefusedKey, version int64, edit func(context.Context, *RefusedRecord) error) (RefusedRecord, error) {
	var changed RefusedRecord
	err := s.audited(ctx, auditRefused(verb, key), func(ctx context.Context) error {
		r, err := s.store.RefusedRecord(ctx, key)
		if err != nil {
			return err
		}
		if r.Version != version {
			return &Error{Op: verb + " refused record", Kind: ErrConflict, Outcome: OutcomeNotRun}
		}
		if err := edit(ctx, &r); err != nil {
			return err
		}
		if err := s.store.UpdateRefusedRecord(ctx, r); err != nil {
			return err
		}
		changed, err = s.store.RefusedRecord(ctx, key)
		return err
	})
	return changed, wrap(verb+" refused record", ErrStore, err)
}

// DiscardRefusedRecord forgets a record: it comes again when a run reads it again, which
// by change is when it has changed. Errors: ErrNotFound, ErrConflict (changed since the
// version was read), ErrStore.
func (s *Service) DiscardRefusedRecord(ctx context.Context, key RefusedKey, version int64) error {
	return wrap("discard refused record", ErrStore, s.audited(ctx, auditRefused("discard", key), func(ctx context.Context) error {
		if _, err := s.store.RefusedRecord(ctx, key); err != nil {
			return err
		}
		return s.store.DeleteRefusedRecord(ctx, key, version)
	}))
}

const (
	// maxRefused is how many records of an entity a run puts aside. More are no
	// exceptions: the mapping is wrong, or the sink, and the run ends.
	maxRefused = 1000
	// longestRefusal bounds the words that are kept of a cause, in bytes.
	longestRefusal = 1000
)

// refusals are the records of an entity that are put aside, without their payloads.
type refusals map[string]asideRecord

type asideRecord struct {
	RefusedRecord
	now bool // in this run
}

// loadRefusals reads what was put aside, and returns what is to be tried again: what
// waits for that, and what another version of the mapping has refused.
func (p *entityPull) loadRefusals(ctx context.Context) (again []RefusedRecord, err error) {
	q := RefusedQuery{Ref: p.run.integration.Ref, Entity: p.entity, Limit: 1000}
	for {
		rows, next, err := p.run.service.store.RefusedRecords(ctx, q)
		if err != nil {
			return nil, wrap("refused records", ErrStore, err)
		}
		for _, row := range rows {
			p.refused[row.RecordID] = asideRecord{RefusedRecord: row}
			if row.State == RefusedWaiting || row.Mapping != p.mapper.version() {
				again = append(again, row)
			}
		}
		if q.Cursor = next; next == "" {
			return again, nil
		}
	}
}

// retryRefused gives to the sink what is to be tried again: read anew, or what was kept
// of it if a person has edited that or the adapter cannot read by id.
func (p *entityPull) retryRefused(ctx context.Context, again []RefusedRecord) error {
	if p.run.options.DryRun {
		return nil
	}
	fetcher, able := As[Fetcher](p.run.conn.adapter)
	var fresh, kept []string
	for _, row := range again {
		if able && !row.Edited {
			fresh = append(fresh, row.RecordID)
		} else {
			kept = append(kept, row.RecordID)
		}
	}
	for ids := range slices.Chunk(fresh, fetchLimit) {
		records, err := fetcher.Fetch(WithLane(ctx, LaneSync), p.run.conn, p.entity, ids)
		if err != nil {
			return p.run.conn.failure("read refused "+p.entity, err)
		}
		if err := p.acceptFree(ctx, records); err != nil {
			return err
		}
	}
	for ids := range slices.Chunk(kept, fetchLimit) {
		records, err := p.keptRefused(ctx, ids)
		if err == nil {
			err = p.acceptFree(ctx, records)
		}
		if err != nil {
			return err
		}
	}
	clear(p.edited)
	return nil
}

func (p *entityPull) acceptFree(ctx context.Context, records []Record) error {
	records, err := p.free(ctx, records)
	if err != nil {
		return err
	}
	return p.accept(ctx, records, nil)
}

// keptRefused opens what was kept of refused records. Those of which nothing was, and
// those that are gone meanwhile, are left out.
func (p *entityPull) keptRefused(ctx context.Context, ids []string) ([]Record, error) {
	service := p.run.service
	var records []Record
	for _, id := range ids {
		row, err := service.store.RefusedRecord(ctx, RefusedKey{p.run.integration.Ref, p.entity, id})
		if isKind(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, wrap("refused record", ErrStore, err)
		}
		data, err := service.openRefused(ctx, row)
		if err != nil {
			return nil, err
		}
		if data == nil {
			continue
		}
		if row.Edited {
			p.edited[id] = row.Digest
		}
		records = append(records, Record{Entity: p.entity, ID: id, Modified: row.Modified, Data: data})
	}
	return records, nil
}

// digestOf is the digest of a record as the provider sent it, also if a person has edited
// it: what the provider has is then known when it comes again.
func (p *entityPull) digestOf(r *Record) Digest {
	if digest, edited := p.edited[r.ID]; edited {
		return digest
	}
	return DigestOf(r.Data)
}

// staysAside says whether to try a record would be in vain: it was refused as it is, and
// is not to be tried again, or was tried in this run.
func (p *entityPull) staysAside(id string, digest Digest) bool {
	r, refused := p.refused[id]
	return refused && (r.State == RefusedDead || r.now) && r.Mapping == p.mapper.version() && r.Digest == digest
}

// putAside notes what of a batch was refused, and what no longer is. The host has not
// accepted those.
func (p *entityPull) putAside(ctx context.Context, batch *tracked, refused []unmapped) error {
	if p.result.Refused+len(refused) > maxRefused {
		return &Error{Op: "accept " + p.entity, Kind: ErrInvalid, Outcome: OutcomeNotRun, Err: refused[0].err,
			Message: fmt.Sprintf("mapping and sink refuse more than %d records; see RefusedRecords", maxRefused)}
	}
	var aside []RefusedRecord
	now := make(map[string]bool, len(refused))
	for _, u := range refused {
		r, err := p.refusedRecord(ctx, u)
		if err != nil {
			return err
		}
		now[r.RecordID] = true
		aside = append(aside, r)
	}
	var settled []string
	for _, r := range batch.give {
		if _, before := p.refused[r.ID]; before && !now[r.ID] {
			settled = append(settled, r.ID)
		}
	}
	batch.refuse(aside, settled)
	return nil
}

// refusedRecord is what is kept of a refused record.
func (p *entityPull) refusedRecord(ctx context.Context, u unmapped) (RefusedRecord, error) {
	r := RefusedRecord{Ref: p.run.integration.Ref, Entity: p.entity, RecordID: u.record.ID, State: RefusedDead, Tries: 1,
		Mapping: p.mapper.version(), Kind: KindLabel(u.err), Error: cutText(redact.Text(u.err.Error()), longestRefusal),
		Modified: u.record.Modified, Digest: p.digestOf(&u.record)}
	if before, again := p.refused[r.RecordID]; again && before.Digest == r.Digest && before.Mapping == r.Mapping {
		r.Tries = before.Tries + 1
	}
	if isKind(u.err, ErrSink) && r.Tries < orDefaultInt(p.run.options.Tries, pushTries) {
		r.State = RefusedWaiting // the sink may take it tomorrow; the mapping does not change by itself
	}
	sealed, err := p.run.service.safe.SealRecord(ctx, refusedPlace(r.Key()), u.record.Data)
	r.Payload, r.PayloadKey = sealed.Data, sealed.KeyID
	return r, err
}

// refuse takes back that the host has accepted the refused ones of a batch.
func (b *tracked) refuse(refused []RefusedRecord, settled []string) {
	b.refused, b.settled = refused, settled
	if len(refused) == 0 {
		return
	}
	is := make(map[string]bool, len(refused))
	for _, r := range refused {
		is[r.RecordID] = true
	}
	for i := range b.states {
		if s := &b.states[i]; is[s.ID] {
			s.Accepted, s.Base, s.BaseKeyID = Digest{}, nil, 0
		}
	}
	for i, counter := range b.counted {
		if r := &b.give[i]; is[r.ID] && !r.Deleted {
			*counter--
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

// noteRefused remembers what a batch that is committed has put aside and settled.
func (p *entityPull) noteRefused(batch *tracked) {
	for _, r := range batch.refused {
		r.Payload = nil
		p.refused[r.RecordID] = asideRecord{r, true}
	}
	for _, id := range batch.settled {
		delete(p.refused, id)
	}
}

// refusedBySink adds what the sink's error names to refused, and says whether that is
// more than before: then the page can be given to it again, without those.
func refusedBySink(refused map[string]error, records []Record, err error) bool {
	named, ok := errors.AsType[*SinkRefusal](err)
	if !ok {
		return false
	}
	before := len(refused)
	for _, r := range records {
		if cause, is := named.Records[r.ID]; is && !r.Deleted {
			refused[r.ID] = cause
		}
	}
	return len(refused) > before
}

// withoutRefused takes the records that the sink has refused out of mapped, and returns
// them as they were given.
func (p *entityPull) withoutRefused(given, mapped []Record, bySink map[string]error) (left []Record, refused []unmapped) {
	if len(bySink) == 0 {
		return mapped, nil
	}
	is := func(r Record) bool { _, named := bySink[r.ID]; return named && !r.Deleted }
	for _, r := range mapped {
		if !is(r) {
			left = append(left, r)
		}
	}
	for _, r := range given {
		if is(r) {
			refused = append(refused, unmapped{r, &Error{Op: "accept " + p.entity, Kind: ErrSink, Outcome: OutcomeNotRun, Err: bySink[r.ID]}})
		}
	}
	return left, refused
}
