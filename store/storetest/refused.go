package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var refusedChecks = []check{
	{"RoundTrip", refusedRoundTrip},
	{"List", refusedList},
	{"InTransaction", refusedInTransaction},
	{"Payload", refusedPayload},
}

func refusedRecord(id string, mapping int) enlace.RefusedRecord {
	return enlace.RefusedRecord{RecordID: id, State: enlace.RefusedDead, Mapping: mapping, Kind: "invalid", Error: "map contacts: no é", Tries: 1,
		Modified: base, Digest: enlace.DigestOf([]byte("as it came")), Payload: []byte("sealed"), PayloadKey: 1 << 63}
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
	want.Ref, want.Entity, want.Version, want.CreatedAt, want.UpdatedAt = one, "contacts", 1, first[0].CreatedAt, first[0].UpdatedAt
	setByStore(t, rule, first[0].CreatedAt)
	setByStore(t, rule, first[0].UpdatedAt)
	isUTC(t, first[0].CreatedAt, first[0].UpdatedAt, first[0].Modified)
	whole, err := s.RefusedRecord(t.Context(), want.Key())
	noError(t, rule, err)
	equal(t, rule, whole, want)
	want.Payload, want.PayloadKey = nil, 0
	equal(t, "lists are without payloads", first[0], want)

	again := refusedRecord("7", 2)
	again.State, again.Tries, again.Modified = enlace.RefusedWaiting, 2, time.Time{}
	noError(t, rule, s.SaveRefusedRecords(t.Context(), one, "contacts", []enlace.RefusedRecord{again}, nil))
	second := refused(t, s, enlace.RefusedQuery{Ref: one})
	want.State, want.Mapping, want.Tries, want.Modified, want.Version, want.UpdatedAt = again.State, 2, 2, time.Time{}, 2, second[0].UpdatedAt
	equal(t, "the next save replaces it and counts its version", second, []enlace.RefusedRecord{want})

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

func refusedPayload(t *testing.T, s enlace.Store) {
	one := ref("acme", "one")
	key := enlace.RefusedKey{Ref: one, Entity: "contacts", RecordID: "7"}
	load := func() enlace.RefusedRecord {
		t.Helper()
		r, err := s.RefusedRecord(t.Context(), key)
		noError(t, "RefusedRecord returns it", err)
		return r
	}
	_, err := s.RefusedRecord(t.Context(), key)
	wantError(t, "a record that is not there is ErrNotFound", err, enlace.ErrNotFound)
	noError(t, "SaveRefusedRecords stores", s.SaveRefusedRecords(t.Context(), one, "contacts", []enlace.RefusedRecord{refusedRecord("7", 1)}, nil))

	const rule = "UpdateRefusedRecord replaces state, tries and payload of that version"
	edited := load()
	edited.State, edited.Tries, edited.Edited, edited.Payload, edited.PayloadKey = enlace.RefusedWaiting, 0, true, []byte("a person's"), 5
	noError(t, rule, s.UpdateRefusedRecord(t.Context(), edited))
	wantError(t, "an old version is ErrConflict", s.UpdateRefusedRecord(t.Context(), edited), enlace.ErrConflict)
	other := edited
	other.RecordID = "8"
	wantError(t, "no row is ErrConflict", s.UpdateRefusedRecord(t.Context(), other), enlace.ErrConflict)
	got := load()
	edited.Version, edited.UpdatedAt = 2, got.UpdatedAt
	equal(t, rule, got, edited)

	const same = "the same data refused again keeps the payload"
	noError(t, same, s.SaveRefusedRecords(t.Context(), one, "contacts", []enlace.RefusedRecord{refusedRecord("7", 1)}, nil))
	got = load()
	equal(t, same, []any{string(got.Payload), got.PayloadKey, got.Edited, got.State, got.Version}, []any{"a person's", uint64(5), true, enlace.RefusedDead, int64(3)})
	const changed = "other data takes its place"
	anew := refusedRecord("7", 1)
	anew.Digest, anew.Payload = enlace.DigestOf([]byte("changed")), []byte("changed")
	noError(t, changed, s.SaveRefusedRecords(t.Context(), one, "contacts", []enlace.RefusedRecord{anew}, nil))
	got = load()
	equal(t, changed, []any{string(got.Payload), got.PayloadKey, got.Edited}, []any{"changed", anew.PayloadKey, false})

	wantError(t, "DeleteRefusedRecord removes that version only", s.DeleteRefusedRecord(t.Context(), key, got.Version-1), enlace.ErrConflict)
	noError(t, "DeleteRefusedRecord removes it", s.DeleteRefusedRecord(t.Context(), key, got.Version))
	_, err = s.RefusedRecord(t.Context(), key)
	wantError(t, "it is gone", err, enlace.ErrNotFound)
}
