package enlace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// MappingEngine gives mapping documents their meaning. Package mapping/live has the
// one that reads the documents of package mapping. It stands behind an interface so
// that a program that maps nothing does not carry it.
type MappingEngine interface {
	// CompileMapping checks a document as a whole. The error says everything that is
	// wrong with it and holds nothing else.
	CompileMapping(document json.RawMessage) (RecordMapper, error)
}

// RecordMapper is a compiled mapping. It is safe for concurrent use.
type RecordMapper interface {
	// ToLocal returns what becomes of a provider's record; skipped is the reason of
	// the rule that leaves the record out, and data is nil then. The error is for
	// this record only and holds no value of it.
	ToLocal(record json.RawMessage) (data json.RawMessage, skipped string, err error)
	// ToRemote returns what a local record writes at the provider, which may be a
	// part of the provider's record. A mapping that has no way back is ErrUnsupported.
	ToRemote(record json.RawMessage) (json.RawMessage, error)
	// Complete fills up what ToRemote has made for an update that replaces whole
	// objects and arrays: with what current, the provider's record, has in them beside
	// the mapped values.
	Complete(part, current json.RawMessage) (json.RawMessage, error)
}

// MappingState is whether a version of a mapping is used.
type MappingState string

// The states of a version. Only a draft's document changes.
const (
	MappingDraft   MappingState = "draft"   // saved and never used
	MappingActive  MappingState = "active"  // every run maps by it; one of an entity at most
	MappingRetired MappingState = "retired" // was used; can be activated again
)

// MappingVersion is one version of the mapping of one entity of an integration.
type MappingVersion struct {
	Ref
	Entity    string          `json:"entity"`
	Number    int             `json:"number"` // counts from 1 within the entity
	State     MappingState    `json:"state"`
	Document  json.RawMessage `json:"document"` // as the engine reads it; MaxMappingDocument at most
	Version   int64           `json:"version"`  // grows with each change
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// MaxMappingDocument is how long a mapping's document may be, in bytes.
const MaxMappingDocument = 1 << 20

// MappingKey names one version.
type MappingKey struct {
	Ref
	Entity string
	Number int
}

// Key returns the version's key.
func (v MappingVersion) Key() MappingKey { return MappingKey{v.Ref, v.Entity, v.Number} }

// MappingStore keeps versions of mappings.
type MappingStore interface {
	// CreateMapping stores a new row with Version 1, and the times set by the store.
	// It returns ErrConflict if the key exists, or if the row is active and another
	// of the entity is too.
	CreateMapping(ctx context.Context, v MappingVersion) error

	// Mapping returns one version, or ErrNotFound.
	Mapping(ctx context.Context, key MappingKey) (MappingVersion, error)

	// ActiveMapping returns the active version of an entity, or ErrNotFound.
	ActiveMapping(ctx context.Context, ref Ref, entity string) (MappingVersion, error)

	// Mappings returns the versions that match q, by entity and the newest first,
	// and the cursor of the next page, which is empty after the last one.
	Mappings(ctx context.Context, q MappingQuery) ([]MappingVersion, string, error)

	// UpdateMapping replaces state and document of the row if its version is still
	// v.Version, and stores v.Version+1. It returns ErrConflict if it is not, or if
	// the row would be active beside another of the entity, and ErrNotFound if there
	// is no row.
	UpdateMapping(ctx context.Context, v MappingVersion) error

	// DeleteMappings removes all versions of an integration.
	DeleteMappings(ctx context.Context, ref Ref) error
}

// MappingQuery selects versions of one integration.
type MappingQuery struct {
	Ref
	Entity string // only this entity's; empty for all
	Cursor string // from an earlier answer; empty for the first page
	Limit  int    // page size; 0 is 100, more than 1,000 is 1,000
}

// SaveMapping checks a document by Config.Mappings and stores it as a draft: a new
// version if v.Number is 0, or in place of the document of the draft v, if nobody
// has changed that since v was read. A version that is or was active never changes.
// Errors: ErrInvalid with everything that is wrong with the document, ErrUnsupported
// for an unknown entity, ErrNotFound, ErrConflict, ErrStore.
func (s *Service) SaveMapping(ctx context.Context, v MappingVersion) (MappingVersion, error) {
	in, err := s.Get(ctx, v.Ref)
	if err != nil {
		return MappingVersion{}, err
	}
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil {
		return MappingVersion{}, err
	}
	d := adapter.Describe()
	if _, known := d.Entity(v.Entity); !known {
		return MappingVersion{}, unknownEntity("save mapping", d, v.Entity)
	}
	if _, err := s.compileMapping("save mapping", v.Document); err != nil {
		return MappingVersion{}, err
	}
	v.Document = bytes.Clone(v.Document)
	return s.auditedMapping(ctx, in.Provider, "save", v, func(ctx context.Context) (MappingVersion, error) {
		if v.Number == 0 {
			return s.createDraft(ctx, v)
		}
		return s.changeMapping(ctx, "save mapping", v, func(cur *MappingVersion) error {
			if cur.State != MappingDraft {
				return &Error{Op: "save mapping", Kind: ErrConflict, Outcome: OutcomeNotRun, Message: "only a draft can be changed; save a new version"}
			}
			cur.Document = v.Document
			return nil
		})
	})
}

// createDraft gives the document the next number of its entity. The transaction that
// it runs in keeps others from taking that number.
func (s *Service) createDraft(ctx context.Context, v MappingVersion) (MappingVersion, error) {
	newest, _, err := s.store.Mappings(ctx, MappingQuery{Ref: v.Ref, Entity: v.Entity, Limit: 1})
	if err != nil {
		return v, wrap("save mapping", ErrStore, err)
	}
	v.State, v.Number = MappingDraft, 1
	if len(newest) > 0 {
		v.Number = newest[0].Number + 1
	}
	if err := s.store.CreateMapping(ctx, v); err != nil {
		return v, wrap("save mapping", ErrStore, err)
	}
	return s.Mapping(ctx, v.Key())
}

// auditedMapping carries out a change of a mapping together with its audit entry.
func (s *Service) auditedMapping(ctx context.Context, provider, action string, v MappingVersion,
	change func(ctx context.Context) (MappingVersion, error)) (changed MappingVersion, err error) {
	entry := audit("mapping."+action, v.Ref)
	entry.Target = v.Entity
	if v.Number > 0 {
		entry.Target += "/" + strconv.Itoa(v.Number)
	}
	err = s.audited(ctx, entry, func(ctx context.Context) (err error) {
		changed, err = change(ctx)
		return err
	})
	if err != nil {
		return MappingVersion{}, err
	}
	s.observe(ctx, MappingChanged{Ref: v.Ref, Provider: provider, Action: action, Entity: v.Entity, Number: changed.Number})
	return changed, nil
}

// changeMapping applies edit to the version as it is stored, if that is still v.Version.
func (s *Service) changeMapping(ctx context.Context, op string, v MappingVersion, edit func(cur *MappingVersion) error) (MappingVersion, error) {
	cur, err := s.Mapping(ctx, v.Key())
	if err != nil {
		return v, err
	}
	if cur.Version != v.Version {
		return cur, &Error{Op: op, Kind: ErrConflict}
	}
	if err := edit(&cur); err != nil {
		return cur, err
	}
	if err := s.store.UpdateMapping(ctx, cur); err != nil {
		return cur, wrap(op, ErrStore, err)
	}
	return s.Mapping(ctx, v.Key())
}

// Mapping returns one version of a mapping, or ErrNotFound.
func (s *Service) Mapping(ctx context.Context, key MappingKey) (MappingVersion, error) {
	v, err := s.store.Mapping(ctx, key)
	return v, wrap("mapping", ErrStore, err)
}

// ActiveMapping returns the version by which an entity's records are mapped, or
// ErrNotFound if they are not.
func (s *Service) ActiveMapping(ctx context.Context, ref Ref, entity string) (MappingVersion, error) {
	v, err := s.store.ActiveMapping(ctx, ref, entity)
	return v, wrap("active mapping", ErrStore, err)
}

// Mappings lists versions, by entity and the newest first, and returns the cursor of
// the next page, which is empty after the last. Errors: ErrInvalid for a bad cursor,
// ErrStore.
func (s *Service) Mappings(ctx context.Context, q MappingQuery) ([]MappingVersion, string, error) {
	list, next, err := s.store.Mappings(ctx, q)
	return list, next, wrap("mappings", ErrStore, err)
}

// ActivateMapping makes v the version by which the entity's records are mapped, and
// retires the one before in the same commit. Going back is to activate the earlier
// version. Runs that are on their way go on with the version that they began with.
// Records that were accepted earlier stay as they are until they change or a run
// with Full reads them again. Errors: ErrNotFound, ErrConflict if somebody has changed
// v or the active version meanwhile, ErrInvalid if the engine no longer
// takes the document, ErrStore.
func (s *Service) ActivateMapping(ctx context.Context, v MappingVersion) (MappingVersion, error) {
	in, err := s.Get(ctx, v.Ref)
	if err != nil {
		return MappingVersion{}, err
	}
	return s.auditedMapping(ctx, in.Provider, "activate", v, func(ctx context.Context) (MappingVersion, error) {
		if err := s.retireOther(ctx, v); err != nil {
			return v, err
		}
		return s.changeMapping(ctx, "activate mapping", v, func(cur *MappingVersion) error {
			cur.State = MappingActive
			_, err := s.compileMapping("activate mapping", cur.Document)
			return err
		})
	})
}

// retireOther retires the active version of v's entity, unless that is v.
func (s *Service) retireOther(ctx context.Context, v MappingVersion) error {
	active, err := s.store.ActiveMapping(ctx, v.Ref, v.Entity)
	if errors.Is(err, ErrNotFound) || err == nil && active.Number == v.Number {
		return nil
	}
	if err == nil {
		active.State = MappingRetired
		err = s.store.UpdateMapping(ctx, active)
	}
	return wrap("retire mapping", ErrStore, err)
}

// RetireMapping takes the active version v out of use, so that the entity's records
// are given to the sink as the provider sends them. Errors: ErrNotFound, ErrConflict
// if v is not active or was changed meanwhile, ErrStore.
func (s *Service) RetireMapping(ctx context.Context, v MappingVersion) (MappingVersion, error) {
	in, err := s.Get(ctx, v.Ref)
	if err != nil {
		return MappingVersion{}, err
	}
	return s.auditedMapping(ctx, in.Provider, "retire", v, func(ctx context.Context) (MappingVersion, error) {
		return s.changeMapping(ctx, "retire mapping", v, func(cur *MappingVersion) error {
			if cur.State != MappingActive {
				return &Error{Op: "retire mapping", Kind: ErrConflict, Outcome: OutcomeNotRun, Message: "the version is not active"}
			}
			cur.State = MappingRetired
			return nil
		})
	})
}

// compileMapping checks a document by the engine.
func (s *Service) compileMapping(op string, document json.RawMessage) (RecordMapper, error) {
	switch {
	case s.config.Mappings == nil:
		return nil, &ValidationError{Faults: []Fault{{Field: "Config.Mappings", Problem: "missing", Allowed: "an engine, such as live.Engine of package mapping/live"}}}
	case len(document) > MaxMappingDocument:
		return nil, &ValidationError{Faults: []Fault{{Field: "Document", Problem: "too long", Allowed: fmt.Sprintf("%d bytes", MaxMappingDocument)}}}
	}
	compiled, err := s.config.Mappings.CompileMapping(document)
	if err != nil {
		return nil, &Error{Op: op, Kind: ErrInvalid, Outcome: OutcomeNotRun, Err: err}
	}
	return compiled, nil
}

// mapper is the active mapping of one entity, for the length of a run. The nil mapper
// is for an entity without one: it leaves everything as it is.
type mapper struct {
	number int
	record RecordMapper
}

// mapper returns the mapper of an entity, nil if it has no active mapping.
func (s *Service) mapper(ctx context.Context, ref Ref, entity string) (*mapper, error) {
	active, err := s.store.ActiveMapping(ctx, ref, entity)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("active mapping", ErrStore, err)
	}
	compiled, err := s.compileMapping("active mapping", active.Document)
	if err != nil {
		return nil, err
	}
	return &mapper{active.Number, compiled}, nil
}

// version is the number of the mapping, 0 for none.
func (m *mapper) version() int {
	if m == nil {
		return 0
	}
	return m.number
}

// unmapped is a record that a mapping refused.
type unmapped struct {
	record Record
	err    error // matches ErrInvalid; holds no value of the record
}

// toLocal maps a page of the provider's records. Tombstones stay; what a rule leaves out
// is counted, and what cannot be mapped is returned, to be put aside.
func (m *mapper) toLocal(records []Record) (mapped []Record, skipped int, refused []unmapped) {
	if m == nil {
		return records, 0, nil
	}
	mapped = make([]Record, 0, len(records))
	for _, r := range records {
		if r.Deleted {
			mapped = append(mapped, r)
			continue
		}
		data, reason, err := m.record.ToLocal(r.Data)
		switch {
		case err != nil:
			refused = append(refused, unmapped{r, &Error{Op: "map " + r.Entity, Kind: ErrInvalid, Outcome: OutcomeNotRun, Err: err}})
		case reason != "":
			skipped++
		default:
			r.Data = data
			mapped = append(mapped, r)
		}
	}
	return mapped, skipped, refused
}

// complete fills up what toRemote has made with what the provider's record has beside
// it, and leaves values as they stand there that mean the same.
func (m *mapper) complete(part, current json.RawMessage) (json.RawMessage, error) {
	if m == nil {
		return part, nil
	}
	whole, err := m.record.Complete(part, current)
	if err != nil {
		return nil, &Error{Op: "map back", Kind: ErrInvalid, Outcome: OutcomeNotRun, Err: err}
	}
	return whole, nil
}

// toRemote maps a local record back. Errors: ErrUnsupported if the mapping has no way
// back, ErrInvalid if this record has none.
func (m *mapper) toRemote(data json.RawMessage) (json.RawMessage, error) {
	if m == nil {
		return data, nil
	}
	remote, err := m.record.ToRemote(data)
	switch {
	case err == nil:
		return remote, nil
	case errors.Is(err, ErrUnsupported):
		return nil, &Error{Op: "map back", Kind: ErrUnsupported, Outcome: OutcomeNotRun, Err: err}
	default:
		return nil, &Error{Op: "map back", Kind: ErrInvalid, Outcome: OutcomeNotRun, Err: err}
	}
}
