package storetest

import (
	"fmt"
	"testing"

	"github.com/enlace-go/enlace"
)

var resealRecordChecks = []check{{"EveryKind", resealEveryKind}}

// sealed stores one sealed value of each kind for a tenant, with key 7.
func sealed(t *testing.T, s enlace.Store, tenant string) {
	t.Helper()
	one := ref(tenant, "one")
	data := func(kind string) []byte {
		return fmt.Appendf(nil, "%s of %s, and what makes it longer than a header of 48", kind, tenant)
	}
	noError(t, "SaveRecordStates stores", s.SaveRecordStates(t.Context(), one, "deals", []enlace.RecordState{
		{ID: "5", Base: data("base"), BaseKeyID: 7, Presence: enlace.RecordPresent}, {ID: "6", Presence: enlace.RecordPresent}}))
	_, err := s.InsertDeliveries(t.Context(), []enlace.StoredDelivery{{ID: "d1", Ref: one, State: enlace.DeliveryReceived, DedupeKey: "k",
		ReceivedAt: base, NextAt: base, Sealed: enlace.Sealed{Data: data("delivery"), KeyID: 7}}})
	noError(t, "InsertDeliveries stores", err)
	aside := refusedRecord("9", 1)
	aside.Payload, aside.PayloadKey = data("refused"), 7
	noError(t, "SaveRefusedRecords stores", s.SaveRefusedRecords(t.Context(), one, "deals", []enlace.RefusedRecord{aside}, nil))
	for number := range int64(2) {
		noError(t, "AddJournal stores", s.AddJournal(t.Context(), []enlace.JournalEntry{{Ref: one, RunID: "r1", Number: number + 1,
			Entity: "deals", Op: enlace.OpCreate, LocalID: "l1", State: enlace.JournalOpen, Image: data("journal"), ImageKey: 7, At: base}}))
	}
}

func resealEveryKind(t *testing.T, s enlace.Store) {
	sealed(t, s, "acme")
	sealed(t, s, "other")
	walk := func(keyID uint64) []enlace.StoredRecord {
		var all []enlace.StoredRecord
		for after := ""; ; {
			found, err := s.RecordsNotSealedBy(t.Context(), keyID, after, 3)
			noError(t, "RecordsNotSealedBy goes on behind its own position", err)
			if len(found) == 0 {
				return all
			}
			all = append(all, found...)
			after = found[len(found)-1].Position
		}
	}
	old := walk(9)
	places := map[string]int{}
	for _, r := range old {
		places[r.Place.Tenant+" "+r.Place.Kind+" "+r.Place.Name]++
	}
	equal(t, "RecordsNotSealedBy finds every sealed value at its place, of all tenants", places, map[string]int{
		"acme base deals/5": 1, "acme delivery d1": 1, "acme journal r1/deals/l1": 2, "acme refused deals/9": 1,
		"other base deals/5": 1, "other delivery d1": 1, "other journal r1/deals/l1": 2, "other refused deals/9": 1})
	equal(t, "what the key has sealed is left out", len(walk(7)), 0)

	anew := make([]enlace.StoredRecord, len(old))
	for i, r := range old {
		r.Data, r.KeyID = append([]byte("anew: "), r.Data...), 9
		anew[i] = r
	}
	stale := old[0]
	stale.Data = append([]byte("changed meanwhile "), stale.Data...)
	n, err := s.ResealRecords(t.Context(), append([]enlace.StoredRecord{stale}, old[1:]...), anew)
	noError(t, "ResealRecords replaces", err)
	equal(t, "what has changed meanwhile is left alone", n, len(old)-1)
	left := walk(9)
	equal(t, "what has changed meanwhile is left alone", len(left), 1)
	equal(t, "what has changed meanwhile is left alone", string(left[0].Data), string(old[0].Data))
	resealed := walk(7)
	equal(t, "what was replaced has the new key", len(resealed), len(old)-1)
	for i, r := range resealed {
		equal(t, "what was replaced is the given data", string(r.Data), string(anew[i+1].Data))
	}
	d, err := s.Delivery(t.Context(), "other", "d1")
	noError(t, "Delivery returns it", err)
	equal(t, "the concern's own methods see the new value", d.Sealed.KeyID, uint64(9))
}
