package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var recordChecks = []check{
	{"RoundTrip", recordRoundTrip},
	{"Versions", recordVersions},
	{"AllOrNone", recordAllOrNone},
	{"LocalIDs", recordLocalIDs},
	{"Lists", recordLists},
	{"Many", recordMany},
	{"OneWriterPerVersion", func(t *testing.T, s enlace.Store) { recordRace(t, s) }},
	{"Delete", recordDelete},
	{"InTransaction", recordInTransaction},
}

// record has every field filled in.
func record(id string) enlace.RecordState {
	return enlace.RecordState{ID: id, LocalID: "local " + id, Accepted: enlace.DigestOf([]byte(id)), Pushed: enlace.DigestOf([]byte("p" + id)),
		Base: []byte{0, 1, 255}, BaseKeyID: 1<<63 + 7, Modified: base, Seen: base.Add(time.Microsecond), Presence: enlace.RecordPresent}
}

func loadRecords(t *testing.T, s enlace.Store, ids ...string) map[string]enlace.RecordState {
	t.Helper()
	states, err := s.LoadRecordStates(t.Context(), ref("acme", "one"), "deals", ids)
	noError(t, "LoadRecordStates returns what is known", err)
	found := map[string]enlace.RecordState{}
	for _, state := range states {
		found[state.ID] = state
	}
	equal(t, "a record comes back once", len(found), len(states))
	return found
}

func saveRecords(t *testing.T, s enlace.Store, states ...enlace.RecordState) {
	t.Helper()
	noError(t, "SaveRecordStates stores new states", s.SaveRecordStates(t.Context(), ref("acme", "one"), "deals", states))
}

func recordRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "a state comes back as it was saved"
	equal(t, "what is not known is left out", loadRecords(t, s, "a"), map[string]enlace.RecordState{})
	bare := enlace.RecordState{ID: "Ä \"b\"", Presence: enlace.RecordGone}
	saveRecords(t, s, record("a"), bare)
	saveRecords(t, s) // nothing
	got := loadRecords(t, s, "a", "Ä \"b\"", "none", "a")
	equal(t, rule, len(got), 2)
	for _, want := range []enlace.RecordState{record("a"), bare} {
		state := got[want.ID]
		setByStore(t, "SaveRecordStates sets UpdatedAt by the store's clock", state.UpdatedAt)
		isUTC(t, state.UpdatedAt, state.Modified, state.Seen)
		state.UpdatedAt, want.Version = time.Time{}, 1
		equal(t, rule, state, want)
		if want.Base == nil && state.Base != nil {
			t.Error("a Base that is not kept comes back as nil")
		}
	}
	for _, other := range []struct {
		ref    enlace.Ref
		entity string
	}{{ref("acme", "one"), "Deals"}, {ref("acme", "two"), "deals"}, {ref("Acme", "one"), "deals"}} {
		states, err := s.LoadRecordStates(t.Context(), other.ref, other.entity, []string{"a"})
		noError(t, rule, err)
		equal(t, "each entity of each integration has its own records", len(states), 0)
	}
}

func recordVersions(t *testing.T, s enlace.Store) {
	saveRecords(t, s, record("a"))
	save := func(version int64, presence enlace.Presence) error {
		state := record("a")
		state.Version, state.Presence = version, presence
		return s.SaveRecordStates(t.Context(), ref("acme", "one"), "deals", []enlace.RecordState{state})
	}
	for _, stale := range []int64{0, 2, 7, -1} {
		wantError(t, "another version than the stored one is ErrConflict", save(stale, enlace.RecordGone), enlace.ErrConflict)
	}
	noError(t, "the stored version is replaced", save(1, enlace.RecordMissing))
	noError(t, "the stored version is replaced", save(2, enlace.RecordKept))
	got := loadRecords(t, s, "a")["a"]
	equal(t, "each save adds one to the version", got.Version, int64(3))
	equal(t, "a save replaces the state", got.Presence, enlace.RecordKept)
}

func recordAllOrNone(t *testing.T, s enlace.Store) {
	saveRecords(t, s, record("a"), record("b"))
	changed := record("a")
	changed.Version, changed.Presence = 1, enlace.RecordGone
	err := s.SaveRecordStates(t.Context(), ref("acme", "one"), "deals", []enlace.RecordState{changed, record("c"), record("b")})
	wantError(t, "one stale state among several is ErrConflict", err, enlace.ErrConflict)
	got := loadRecords(t, s, "a", "b", "c")
	equal(t, "then none of them is stored", []any{len(got), got["a"].Presence, got["a"].Version}, []any{2, enlace.RecordPresent, int64(1)})
}

func recordLocalIDs(t *testing.T, s enlace.Store) {
	saveRecords(t, s, record("a"), record("b"))
	one := ref("acme", "one")
	found, err := s.LoadLinkedStates(t.Context(), one, "deals", []string{"local b", "none", "", "local b"})
	noError(t, "LoadLinkedStates finds records by local id", err)
	equal(t, "LoadLinkedStates finds records by local id", len(found) == 1 && found[0].ID == "b", true)
	thief := record("c")
	thief.LocalID = "local a"
	err = s.SaveRecordStates(t.Context(), one, "deals", []enlace.RecordState{thief})
	wantError(t, "a local id that another record has is ErrLinked", err, enlace.ErrLinked)
	wantError(t, "ErrLinked matches ErrConflict", err, enlace.ErrConflict)
	noError(t, "another entity has local ids of its own", s.SaveRecordStates(t.Context(), one, "contacts", []enlace.RecordState{thief}))

	free := record("a")
	free.Version, free.LocalID = 1, ""
	saveRecords(t, s, free)
	saveRecords(t, s, thief)
	unlinked := enlace.RecordState{ID: "d", Presence: enlace.RecordPresent}
	saveRecords(t, s, unlinked)
	found, err = s.LoadLinkedStates(t.Context(), one, "deals", []string{"local a", ""})
	noError(t, "LoadLinkedStates finds records by local id", err)
	equal(t, "a local id that was given up is free, and the empty one links nothing", len(found) == 1 && found[0].ID == "c", true)
}

func recordLists(t *testing.T, s enlace.Store) {
	var states []enlace.RecordState
	var all []string
	presences := []enlace.Presence{enlace.RecordPresent, enlace.RecordMissing, enlace.RecordApproved, enlace.RecordKept, enlace.RecordGone}
	for i := range 25 {
		state := record(fmt.Sprintf("%02d", i))
		state.Presence, state.Seen = presences[i%5], base.Add(time.Duration(i)*time.Microsecond)
		states, all = append(states, state), append(all, state.ID)
	}
	slices.Reverse(states)
	saveRecords(t, s, states...)
	list := func(q enlace.RecordQuery) (ids []string) {
		q.Ref, q.Entity = ref("acme", "one"), "deals"
		n, err := s.CountRecordStates(t.Context(), q)
		noError(t, "CountRecordStates counts", err)
		for {
			page, next, err := s.RecordStates(t.Context(), q)
			noError(t, "RecordStates returns a page", err)
			for _, state := range page {
				ids = append(ids, state.ID)
			}
			if next == "" {
				equal(t, "CountRecordStates counts what RecordStates lists", n, len(ids))
				return ids
			}
			q.Cursor = next
		}
	}
	for _, limit := range []int{0, 1, 7, 25} {
		equal(t, "the pages together give every state once, in order of ids", list(enlace.RecordQuery{Limit: limit}), all)
		equal(t, "Presence selects", list(enlace.RecordQuery{Limit: limit, Presence: enlace.RecordMissing}), []string{"01", "06", "11", "16", "21"})
		equal(t, "SeenBefore selects", list(enlace.RecordQuery{Limit: limit, SeenBefore: base.Add(3 * time.Microsecond)}), []string{"00", "01", "02"})
		equal(t, "both select", list(enlace.RecordQuery{Limit: limit, SeenBefore: base.Add(7 * time.Microsecond), Presence: enlace.RecordPresent}), []string{"00", "05"})
	}
	for _, cursor := range badCursors {
		_, _, err := s.RecordStates(t.Context(), enlace.RecordQuery{Ref: ref("acme", "one"), Entity: "deals", Cursor: cursor})
		wantError(t, "a cursor that RecordStates did not give is ErrInvalid", err, enlace.ErrInvalid)
	}
}

func recordMany(t *testing.T, s enlace.Store) {
	states := make([]enlace.RecordState, 1000)
	ids := make([]string, len(states))
	for i := range states {
		states[i] = record(fmt.Sprint(i))
		ids[i] = states[i].ID
	}
	saveRecords(t, s, states...)
	equal(t, "a thousand states are saved and loaded at once", len(loadRecords(t, s, ids...)), len(states))
}

func recordRace(t *testing.T, s enlace.Store) {
	saveRecords(t, s, record("a"))
	var won atomic.Int32
	together(writers, func(w int) {
		state := record("a")
		state.Version = 1
		fresh := record(fmt.Sprint("fresh", w))
		err := s.SaveRecordStates(t.Context(), ref("acme", "one"), "deals", []enlace.RecordState{state, fresh})
		if err == nil {
			won.Add(1)
		} else {
			wantError(t, "who comes second gets ErrConflict", err, enlace.ErrConflict)
		}
	})
	equal(t, "of several writers of one version one succeeds", won.Load(), int32(1))
}

func recordDelete(t *testing.T, s enlace.Store) {
	saveRecords(t, s, record("a"))
	noError(t, "states are stored for each integration", s.SaveRecordStates(t.Context(), ref("acme", "two"), "deals", []enlace.RecordState{record("a")}))
	noError(t, "DeleteRecordStates", s.DeleteRecordStates(t.Context(), ref("acme", "one")))
	equal(t, "DeleteRecordStates removes all of one integration", loadRecords(t, s, "a"), map[string]enlace.RecordState{})
	states, err := s.LoadRecordStates(t.Context(), ref("acme", "two"), "deals", []string{"a"})
	noError(t, "others stay", err)
	equal(t, "others stay", len(states), 1)
	saveRecords(t, s, record("a"))
}

func recordInTransaction(t *testing.T, s enlace.Store) {
	saveRecords(t, s, record("a"))
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		state := record("a")
		state.Version, state.LocalID = 1, "other"
		noError(t, "states change in a transaction", s.SaveRecordStates(ctx, ref("acme", "one"), "deals", []enlace.RecordState{state, record("b")}))
		return errAbandoned
	})
	wantError(t, "the error of fn is returned", err, errAbandoned)
	got := loadRecords(t, s, "a", "b")
	equal(t, "a transaction that failed changes no state", []any{len(got), got["a"].LocalID, got["a"].Version}, []any{1, "local a", int64(1)})
	found, err := s.LoadLinkedStates(t.Context(), ref("acme", "one"), "deals", []string{"local a", "other"})
	noError(t, "LoadLinkedStates finds records by local id", err)
	equal(t, "a transaction that failed changes no link", len(found), 1)
}
