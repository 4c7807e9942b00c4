package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/enlace-go/enlace"
)

var refusedChecks = []check{
	{"RoundTrip", refusedRoundTrip},
	{"List", refusedList},
	{"InTransaction", refusedInTransaction},
}

func refusedRecord(id string, mapping int) enlace.RefusedRecord {
	return enlace.RefusedRecord{RecordID: id, Mapping: mapping, Error: "map contacts: no é"}
}

// refused returns what is stored of an entity, by id.
func refused(t *testing.T, s enlace.Store, q enlace.RefusedQuery) (all []enlace.RefusedRecord) {
	t.Helper()
	for {
		list, next, err := s.RefusedRecords(t.Context(), q)
		noError(t, "RefusedRecords returns the page behind its own cursor", err)
		if q.Limit > 0 && len(list) > q.Limit {
			t.Fatalf("a page of %d records, the limit is %d", len(list), q.Limit)
		}
		all = append(all, list...)
		if q.Cursor = next; next == "" {
			return all
		}
	}
}

func refusedRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "a refused record comes back as it was saved"
	one := ref("acme", "one")
	noError(t, rule, s.SaveRefusedRecords(t.Context(), one, "contacts", []enlace.RefusedRecord{refusedRecord("7", 1)}, []string{"none"}))
	first := refused(t, s, enlace.RefusedQuery{Ref: one})
	if len(first) != 1 {
		t.Fatalf("%s: %d records", rule, len(first))
	}
	want := refusedRecord("7", 1)
	want.Ref, want.Entity, want.Tries, want.CreatedAt, want.UpdatedAt = one, "contacts", 1, first[0].CreatedAt, first[0].UpdatedAt
	equal(t, rule, first[0], want)
	setByStore(t, rule, first[0].CreatedAt)
	setByStore(t, rule, first[0].UpdatedAt)
	isUTC(t, first[0].CreatedAt, first[0].UpdatedAt)

	noError(t, rule, s.SaveRefusedRecords(t.Context(), one, "contacts", []enlace.RefusedRecord{refusedRecord("7", 2)}, nil))
	second := refused(t, s, enlace.RefusedQuery{Ref: one})
	want.Mapping, want.Tries, want.UpdatedAt = 2, 2, second[0].UpdatedAt
	equal(t, "the next save counts a try", second, []enlace.RefusedRecord{want})

	noError(t, rule, s.SaveRefusedRecords(t.Context(), one, "contacts", nil, []string{"7"}))
	equal(t, "what is settled is removed", len(refused(t, s, enlace.RefusedQuery{Ref: one})), 0)
}

func refusedList(t *testing.T, s enlace.Store) {
	const rule = "RefusedRecords lists by entity and id"
	one := ref("acme", "one")
	var want []string
	for _, entity := range []string{"Deals", "contacts"} {
		var rows []enlace.RefusedRecord
		for i := range 12 {
			rows = append(rows, refusedRecord(fmt.Sprintf("%02d", i), 1))
			want = append(want, fmt.Sprintf("%s %02d", entity, i))
		}
		noError(t, rule, s.SaveRefusedRecords(t.Context(), one, entity, rows, nil))
	}
	for _, other := range []enlace.Ref{ref("acme", "two"), ref("other", "one")} {
		noError(t, rule, s.SaveRefusedRecords(t.Context(), other, "contacts", []enlace.RefusedRecord{refusedRecord("x", 1)}, nil))
	}
	names := func(q enlace.RefusedQuery) (all []string) {
		for _, r := range refused(t, s, q) {
			all = append(all, r.Entity+" "+r.RecordID)
		}
		return all
	}
	for _, limit := range []int{0, 1, 5, 24} {
		equal(t, rule, names(enlace.RefusedQuery{Ref: one, Limit: limit}), want)
		equal(t, "RefusedRecords of one entity", names(enlace.RefusedQuery{Ref: one, Entity: "contacts", Limit: limit}), want[12:])
	}
	for _, cursor := range []string{"x", "cnVuczox", "cmVmdXNlZDp4"} {
		_, _, err := s.RefusedRecords(t.Context(), enlace.RefusedQuery{Ref: one, Cursor: cursor})
		wantError(t, "a cursor of no list, or of another, is ErrInvalid", err, enlace.ErrInvalid)
	}
	noError(t, rule, s.DeleteRefusedRecords(t.Context(), one))
	equal(t, "DeleteRefusedRecords removes an integration's", len(names(enlace.RefusedQuery{Ref: one})), 0)
	equal(t, "DeleteRefusedRecords leaves the others", len(names(enlace.RefusedQuery{Ref: ref("acme", "two")}))+len(names(enlace.RefusedQuery{Ref: ref("other", "one")})), 2)
}

func refusedInTransaction(t *testing.T, s enlace.Store) {
	const rule = "a transaction that fails puts nothing aside"
	failure := errors.New("no")
	one := ref("acme", "one")
	noError(t, rule, s.SaveRefusedRecords(t.Context(), one, "contacts", []enlace.RefusedRecord{refusedRecord("1", 1)}, nil))
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		if err := s.SaveRefusedRecords(ctx, one, "contacts", []enlace.RefusedRecord{refusedRecord("2", 1)}, []string{"1"}); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("%s: error is %v", rule, err)
	}
	left := refused(t, s, enlace.RefusedQuery{Ref: one})
	if len(left) != 1 || left[0].RecordID != "1" {
		t.Errorf("%s: %+v", rule, left)
	}
}
