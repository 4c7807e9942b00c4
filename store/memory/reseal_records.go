package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/enlace-go/enlace"
)

// sealedRecord is a sealed value in one of the tables, and how to replace it.
type sealedRecord struct {
	enlace.StoredRecord
	replace func(data []byte, keyID uint64)
}

// sealedRecords are all that the store keeps, in order of their positions.
func (s *Store) sealedRecords() []sealedRecord {
	var all []sealedRecord
	add := func(ref enlace.Ref, kind, name string, number int64, data []byte, keyID uint64, replace func(data []byte, keyID uint64)) {
		if data == nil {
			return
		}
		r := enlace.StoredRecord{Place: enlace.RecordPlace{Ref: ref, Kind: kind, Name: name}, Data: data, KeyID: keyID,
			Position: fmt.Sprintf("%q %q %q %q %d", kind, ref.Tenant, ref.ID, name, number)}
		all = append(all, sealedRecord{r, replace})
	}
	for key, of := range s.records {
		for id, r := range of.byID.all() {
			add(key.Ref, "base", key.entity+"/"+id, 0, r.Base, r.BaseKeyID, func(data []byte, keyID uint64) {
				r.Base, r.BaseKeyID = data, keyID
				of.byID.set(s.undo, id, r)
			})
		}
	}
	for key, c := range s.conflicts.all() {
		add(key.Ref, "conflict", key.id, 0, c.Payload, c.PayloadKey, func(data []byte, keyID uint64) {
			c.Payload, c.PayloadKey = data, keyID
			s.conflicts.set(s.undo, key, c)
		})
	}
	for key, d := range s.deliveries.all() {
		add(d.Ref, "delivery", d.ID, 0, d.Sealed.Data, d.Sealed.KeyID, func(data []byte, keyID uint64) {
			d.Sealed.Data, d.Sealed.KeyID = data, keyID
			s.deliveries.set(s.undo, key, d)
		})
	}
	for key, e := range s.journal.all() {
		add(e.Ref, "journal", e.RunID+"/"+e.Entity+"/"+e.LocalID, e.Number, e.Image, e.ImageKey, func(data []byte, keyID uint64) {
			e.Image, e.ImageKey = data, keyID
			s.journal.set(s.undo, key, e)
		})
	}
	for key, c := range s.outgoing.all() {
		add(key.Ref, "outgoing", key.Entity+"/"+key.LocalID, 0, c.Payload, c.PayloadKey, func(data []byte, keyID uint64) {
			c.Payload, c.PayloadKey = data, keyID
			s.outgoing.set(s.undo, key, c)
		})
	}
	for key, r := range s.refused.all() {
		add(key.Ref, "refused", key.entity+"/"+key.id, 0, r.Payload, r.PayloadKey, func(data []byte, keyID uint64) {
			r.Payload, r.PayloadKey = data, keyID
			s.refused.set(s.undo, key, r)
		})
	}
	slices.SortFunc(all, func(a, b sealedRecord) int { return cmp.Compare(a.Position, b.Position) })
	return all
}

// RecordsNotSealedBy implements [enlace.RecordResealer].
func (s *Store) RecordsNotSealedBy(ctx context.Context, keyID uint64, after string, limit int) ([]enlace.StoredRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var found []enlace.StoredRecord
	for _, r := range s.sealedRecords() {
		if r.KeyID != keyID && r.Position > after && len(found) < limit {
			r.Data = bytes.Clone(r.Data)
			found = append(found, r.StoredRecord)
		}
	}
	return found, nil
}

// ResealRecords implements [enlace.RecordResealer].
func (s *Store) ResealRecords(ctx context.Context, old, anew []enlace.StoredRecord) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	stored := map[string]sealedRecord{}
	for _, r := range s.sealedRecords() {
		stored[r.Position] = r
	}
	replaced := 0
	for i, o := range old {
		if r, ok := stored[o.Position]; ok && bytes.Equal(r.Data, o.Data) {
			r.replace(bytes.Clone(anew[i].Data), anew[i].KeyID)
			replaced++
		}
	}
	return replaced, nil
}
