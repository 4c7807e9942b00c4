package enlace

import (
	"context"
	"iter"
)

// KeptRecords yields the records of an entity of which a last state is kept, as the
// provider sent them, in order of their ids. It asks no provider. What a mapping would
// make of them is the use that comes to mind: see Shadow in package mapping/live. It
// ends after the first error. Errors: ErrKey, ErrStore.
func (s *Service) KeptRecords(ctx context.Context, ref Ref, entity string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		q := RecordQuery{Ref: ref, Entity: entity}
		for {
			states, next, err := s.store.RecordStates(ctx, q)
			if err != nil {
				yield(Record{}, wrap("record states", ErrStore, err))
				return
			}
			for _, state := range states {
				if state.Base == nil {
					continue
				}
				data, err := s.safe.OpenRecord(ctx, basePlace(ref, entity, state.ID), state.Base)
				if !yield(Record{Entity: entity, ID: state.ID, Modified: state.Modified, Data: data}, err) || err != nil {
					return
				}
			}
			if q.Cursor = next; next == "" {
				return
			}
		}
	}
}
