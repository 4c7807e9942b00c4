package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var pushChecks = []check{
	{"JournalRoundTrip", journalRoundTrip},
	{"JournalPages", journalPages},
	{"JournalDelete", journalDelete},
	{"JournalDeleteAll", journalDeleteAll},
	{"OutgoingRoundTrip", outgoingRoundTrip},
	{"OutgoingOrder", outgoingOrder},
	{"OutgoingVersions", outgoingVersions},
	{"QueuedEntities", queuedEntities},
	{"ConflictRoundTrip", conflictRoundTrip},
	{"ConflictPages", conflictPages},
	{"ConflictDelete", conflictDelete},
	{"InTransaction", pushInTransaction},
}

func entry(run string, number int64) enlace.JournalEntry {
	return enlace.JournalEntry{Ref: ref("acme", "one"), RunID: run, Number: number, Entity: "contacts", Op: enlace.OpUpdate, LocalID: fmt.Sprint("l", number),
		RemoteID: "r", Key: "ké", State: enlace.JournalOpen, Image: []byte{0, 255, byte(number)}, ImageKey: 1<<63 + 1, At: base.Add(time.Duration(number) * time.Second)}
}

func journalRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "an entry comes back as it was added"
	first, second := entry("run", 1), entry("run", 2)
	noError(t, rule, s.AddJournal(t.Context(), []enlace.JournalEntry{second, first}))
	open, err := s.OpenJournal(t.Context(), first.Ref, "contacts", 10)
	noError(t, rule, err)
	equal(t, "OpenJournal gives open entries, oldest first", open, []enlace.JournalEntry{first, second})
	isUTC(t, open[0].At)
	wantError(t, "AddJournal of one that exists is ErrConflict", s.AddJournal(t.Context(), []enlace.JournalEntry{entry("run", 3), first}), enlace.ErrConflict)
	open, _ = s.OpenJournal(t.Context(), first.Ref, "contacts", 10)
	equal(t, "AddJournal adds all or none", len(open), 2)

	first.State, first.RemoteID, first.Image, first.ImageKey = enlace.JournalDone, "r1", []byte("new"), 7
	changed := first
	changed.LocalID = "ignored"
	noError(t, rule, s.UpdateJournal(t.Context(), []enlace.JournalEntry{changed, entry("run", 9)}))
	open, err = s.OpenJournal(t.Context(), first.Ref, "contacts", 10)
	noError(t, rule, err)
	equal(t, "OpenJournal leaves out what is done, and UpdateJournal adds nothing", open, []enlace.JournalEntry{second})
	all, next, err := s.Journal(t.Context(), enlace.JournalQuery{Ref: first.Ref, RunID: "run"})
	noError(t, rule, err)
	equal(t, "Journal gives the last entry first, with what UpdateJournal has replaced", all, []enlace.JournalEntry{second, first})
	equal(t, "the last page has no cursor", next, "")
	for _, other := range []struct {
		ref    enlace.Ref
		entity string
	}{{ref("acme", "two"), "contacts"}, {ref("other", "one"), "contacts"}, {first.Ref, "Contacts"}} {
		open, err = s.OpenJournal(t.Context(), other.ref, other.entity, 10)
		noError(t, rule, err)
		equal(t, "each entity of each integration has its own journal", len(open), 0)
	}
}

func journalPages(t *testing.T, s enlace.Store) {
	const rule = "the pages of a run's journal hold each entry once"
	var entries []enlace.JournalEntry
	for i := range int64(25) {
		entries = append(entries, entry("run", i+1))
	}
	noError(t, rule, s.AddJournal(t.Context(), entries))
	noError(t, rule, s.AddJournal(t.Context(), []enlace.JournalEntry{entry("another", 1)}))
	q := enlace.JournalQuery{Ref: ref("acme", "one"), RunID: "run", Limit: 10}
	var got []int64
	for {
		rows, next, err := s.Journal(t.Context(), q)
		noError(t, rule, err)
		for _, e := range rows {
			got = append(got, e.Number)
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	equal(t, rule, len(got), 25)
	for i, n := range got {
		equal(t, rule, n, int64(25-i))
	}
	const ofAll = "the pages of all runs hold each entry once, in order of the runs"
	q = enlace.JournalQuery{Ref: ref("acme", "one"), Limit: 10}
	var all []string
	for {
		rows, next, err := s.Journal(t.Context(), q)
		noError(t, ofAll, err)
		for _, e := range rows {
			all = append(all, fmt.Sprint(e.RunID, e.Number))
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	equal(t, ofAll, len(all), 26)
	equal(t, ofAll, fmt.Sprint(all[0], all[1], all[25]), "another1run1run25")
	for _, runID := range []string{"run", ""} {
		_, _, err := s.Journal(t.Context(), enlace.JournalQuery{Ref: q.Ref, RunID: runID, Cursor: "!"})
		wantError(t, "a cursor of nobody's is ErrInvalid", err, enlace.ErrInvalid)
	}
}

func journalDelete(t *testing.T, s enlace.Store) {
	const rule = "DeleteJournal removes old entries that are not open"
	var entries []enlace.JournalEntry
	for i := range int64(6) {
		e := entry("run", i+1)
		if i > 0 {
			e.State = enlace.JournalDone
		}
		entries = append(entries, e)
	}
	noError(t, rule, s.AddJournal(t.Context(), entries))
	n, err := s.DeleteJournal(t.Context(), entries[4].At, 2)
	noError(t, rule, err)
	equal(t, "DeleteJournal removes no more than limit", n, 2)
	n, err = s.DeleteJournal(t.Context(), entries[4].At, 100)
	noError(t, rule, err)
	equal(t, rule, n, 1)
	left, _, err := s.Journal(t.Context(), enlace.JournalQuery{Ref: entries[0].Ref, RunID: "run"})
	noError(t, rule, err)
	equal(t, rule, left, []enlace.JournalEntry{entries[5], entries[4], entries[0]})
}

func journalDeleteAll(t *testing.T, s enlace.Store) {
	const rule = "DeleteAllJournal removes the entries of the integration, open ones too, and no others"
	other := entry("run", 1)
	other.Ref = ref("acme", "two")
	noError(t, rule, s.AddJournal(t.Context(), []enlace.JournalEntry{entry("run", 1), entry("run", 2), other}))
	noError(t, rule, s.DeleteAllJournal(t.Context(), ref("acme", "one")))
	for integration, want := range map[string]int{"one": 0, "two": 1} {
		open, err := s.OpenJournal(t.Context(), ref("acme", integration), "contacts", 10)
		noError(t, rule, err)
		equal(t, rule, len(open), want)
	}
}

func outgoing(integration, id string, order int64) enlace.OutgoingChange {
	return enlace.OutgoingChange{OutgoingKey: enlace.OutgoingKey{Ref: ref("acme", integration), Entity: "contacts", LocalID: id}, State: enlace.OutgoingQueued,
		Order: order, Tries: 2, Kind: "invalid", Error: "não", Payload: []byte{0, 1, 255}, PayloadKey: 1<<63 + 3, Digest: enlace.DigestOf([]byte(id)),
		RunID: "run", CreatedAt: base}
}

// withoutUpdate is c without what the store's clock sets.
func withoutUpdate(c enlace.OutgoingChange) enlace.OutgoingChange {
	c.UpdatedAt = time.Time{}
	return c
}

func load(t *testing.T, s enlace.OutgoingStore, key enlace.OutgoingKey) []enlace.OutgoingChange {
	t.Helper()
	rows, err := s.LoadOutgoing(t.Context(), key.Ref, key.Entity, []string{key.LocalID, "nobody", key.LocalID})
	noError(t, "LoadOutgoing", err)
	return rows
}

func outgoingRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "a change comes back as it was put"
	c := outgoing("one", "a", 5)
	noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{c}))
	c.Version = 1
	rows := load(t, s, c.OutgoingKey)
	if len(rows) != 1 {
		t.Fatalf("%s: %d rows for one key", rule, len(rows))
	}
	setByStore(t, "PutOutgoing sets UpdatedAt by the store's clock", rows[0].UpdatedAt)
	isUTC(t, rows[0].UpdatedAt, rows[0].CreatedAt)
	equal(t, rule, withoutUpdate(rows[0]), c)

	next := outgoing("one", "a", 0)
	next.State, next.Tries, next.Payload, next.CreatedAt = enlace.OutgoingDead, 3, []byte("other"), base.Add(time.Hour)
	noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{next}))
	next.Version, next.Order, next.CreatedAt = 2, 5, base
	equal(t, "a replacement keeps the place and when it came", withoutUpdate(load(t, s, c.OutgoingKey)[0]), next)
	next.Order = 9
	noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{next}))
	equal(t, "a replacement with an order of its own goes there", load(t, s, c.OutgoingKey)[0].Order, int64(9))
	for _, other := range []enlace.OutgoingKey{{Ref: ref("acme", "two"), Entity: "contacts", LocalID: "a"}, {Ref: ref("other", "one"), Entity: "contacts", LocalID: "a"},
		{Ref: c.Ref, Entity: "deals", LocalID: "a"}, {Ref: c.Ref, Entity: "contacts", LocalID: "A"}} {
		equal(t, "each record of each integration has its own change", len(load(t, s, other)), 0)
	}
}

func outgoingOrder(t *testing.T, s enlace.Store) {
	const rule = "changes are listed in their order, each once"
	for i := range 25 {
		c := outgoing([]string{"one", "two"}[i%2], fmt.Sprint(i), int64(1+(i*7)%25/2)) // with ties
		if i%5 == 0 {
			c.State, c.Kind = enlace.OutgoingDead, "forbidden"
		}
		noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{c}))
	}
	list := func(q enlace.OutgoingQuery) (rows []enlace.OutgoingChange) {
		for q.Limit = 4; ; {
			page, next, err := s.Outgoing(t.Context(), q)
			noError(t, rule, err)
			rows = append(rows, page...)
			if q.Cursor = next; next == "" {
				return rows
			}
		}
	}
	all := list(enlace.OutgoingQuery{Tenant: "acme"})
	seen := map[enlace.OutgoingKey]bool{}
	for i, c := range all {
		seen[c.OutgoingKey] = true
		if i > 0 && all[i-1].Order > c.Order {
			t.Errorf("%s: order %d before %d", rule, all[i-1].Order, c.Order)
		}
	}
	equal(t, rule, []int{len(all), len(seen)}, []int{25, 25})
	equal(t, "a list can be one integration's", len(list(enlace.OutgoingQuery{Tenant: "acme", Integration: "one", Entity: "contacts"})), 13)
	equal(t, "a list can be of some states", len(list(enlace.OutgoingQuery{Tenant: "acme", States: []enlace.OutgoingState{enlace.OutgoingDead, enlace.OutgoingInDoubt}})), 5)
	equal(t, "a list can be of one kind", len(list(enlace.OutgoingQuery{Tenant: "acme", Kind: "forbidden"})), 5)
	equal(t, "a tenant sees nothing of another's", len(list(enlace.OutgoingQuery{Tenant: "other"})), 0)
	_, _, err := s.Outgoing(t.Context(), enlace.OutgoingQuery{Tenant: "acme", Cursor: "!"})
	wantError(t, "a cursor of nobody's is ErrInvalid", err, enlace.ErrInvalid)
}

func outgoingVersions(t *testing.T, s enlace.Store) {
	const rule = "DeleteOutgoing removes only the version that it names"
	c := outgoing("one", "a", 1)
	noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{c}))
	noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{c}))
	noError(t, rule, s.DeleteOutgoing(t.Context(), c.OutgoingKey, 1))
	equal(t, rule, len(load(t, s, c.OutgoingKey)), 1)
	noError(t, rule, s.DeleteOutgoing(t.Context(), c.OutgoingKey, 2))
	noError(t, rule, s.DeleteOutgoing(t.Context(), c.OutgoingKey, 2))
	equal(t, rule, len(load(t, s, c.OutgoingKey)), 0)
	noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{c, outgoing("two", "a", 1)}))
	noError(t, rule, s.DeleteAllOutgoing(t.Context(), c.Ref))
	equal(t, "DeleteAllOutgoing removes one integration's", []int{len(load(t, s, c.OutgoingKey)), len(load(t, s, outgoing("two", "a", 1).OutgoingKey))}, []int{0, 1})
}

func queuedEntities(t *testing.T, s enlace.Store) {
	const rule = "QueuedEntities lists what waits in the outbox, of all tenants"
	for _, tenant := range []string{"b", "a"} {
		for _, entity := range []string{"deals", "contacts", "dead"} {
			for _, id := range []string{"1", "2"} {
				c := outgoing("one", id, 1)
				if c.Ref.Tenant, c.Entity = tenant, entity; entity == "dead" {
					c.State = enlace.OutgoingDead
				}
				noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{c}))
			}
		}
	}
	var got []string
	for after := (enlace.OutgoingKey{}); ; {
		keys, err := s.QueuedEntities(t.Context(), after, 3)
		noError(t, rule, err)
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			got = append(got, key.Ref.String()+"/"+key.Entity+key.LocalID)
		}
		after = keys[len(keys)-1]
	}
	equal(t, rule, got, []string{"a/one/contacts", "a/one/deals", "b/one/contacts", "b/one/deals"})
}

func conflict(id string, at time.Duration) enlace.ConflictRow {
	return enlace.ConflictRow{Conflict: enlace.Conflict{ID: id, Ref: ref("acme", "one"), Entity: "contacts", LocalID: "l", RemoteID: "r", Kind: enlace.ConflictFields,
		State: enlace.ConflictOpen, RunID: "run", At: base.Add(at)}, Payload: []byte{0, 255}, PayloadKey: 1<<63 + 5}
}

func loadConflict(t *testing.T, s enlace.ConflictStore, id string) []enlace.ConflictRow {
	t.Helper()
	rows, err := s.LoadConflicts(t.Context(), ref("acme", "one"), []string{id, "nobody", id})
	noError(t, "LoadConflicts", err)
	return rows
}

// sameConflicts compares rows, whose type holds what only the library sees.
func sameConflicts(t *testing.T, rule string, got, want []enlace.ConflictRow) {
	t.Helper()
	equal(t, rule, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
}

func conflictRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "a conflict comes back as it was put"
	c := conflict("a", time.Second)
	noError(t, rule, s.PutConflicts(t.Context(), []enlace.ConflictRow{c}))
	c.Version = 1
	sameConflicts(t, rule, loadConflict(t, s, "a"), []enlace.ConflictRow{c})
	c.State, c.Kind, c.Policy, c.At, c.Payload = enlace.ConflictResolved, enlace.ConflictLocalDeleted, enlace.ConflictLocal, base, []byte("new")
	noError(t, rule, s.PutConflicts(t.Context(), []enlace.ConflictRow{c}))
	c.Version = 2
	sameConflicts(t, "PutConflicts replaces one that exists", loadConflict(t, s, "a"), []enlace.ConflictRow{c})

	c.State, c.Policy, c.Payload = enlace.ConflictDecided, enlace.ConflictRemote, []byte("decided")
	noError(t, "UpdateConflict with the stored version succeeds", s.UpdateConflict(t.Context(), c))
	wantError(t, "UpdateConflict with another version is ErrConflict", s.UpdateConflict(t.Context(), c), enlace.ErrConflict)
	wantError(t, "UpdateConflict of none is ErrNotFound", s.UpdateConflict(t.Context(), conflict("b", 0)), enlace.ErrNotFound)
	c.Version = 3
	sameConflicts(t, "a refused UpdateConflict changes nothing", loadConflict(t, s, "a"), []enlace.ConflictRow{c})
}

func conflictPages(t *testing.T, s enlace.Store) {
	const rule = "conflicts are listed newest first, each once"
	for i := range 15 {
		c := conflict(fmt.Sprint("c", i), time.Duration(i/2)*time.Second) // with ties
		if i%3 == 0 {
			c.State = enlace.ConflictResolved
		}
		noError(t, rule, s.PutConflicts(t.Context(), []enlace.ConflictRow{c}))
	}
	list := func(q enlace.ConflictQuery) (rows []enlace.ConflictRow) {
		for q.Limit = 4; ; {
			page, next, err := s.Conflicts(t.Context(), q)
			noError(t, rule, err)
			rows = append(rows, page...)
			if q.Cursor = next; next == "" {
				return rows
			}
		}
	}
	all := list(enlace.ConflictQuery{Tenant: "acme"})
	seen := map[string]bool{}
	for i, c := range all {
		seen[c.ID] = true
		if i > 0 && c.At.After(all[i-1].At) {
			t.Errorf("%s: %v after %v", rule, c.At, all[i-1].At)
		}
	}
	equal(t, rule, []int{len(all), len(seen)}, []int{15, 15})
	equal(t, "a list can be of one state", len(list(enlace.ConflictQuery{Tenant: "acme", Integration: "one", Entity: "contacts", State: enlace.ConflictResolved})), 5)
	equal(t, "a tenant sees nothing of another's", len(list(enlace.ConflictQuery{Tenant: "other"})), 0)
}

func conflictDelete(t *testing.T, s enlace.Store) {
	const rule = "DeleteResolvedConflicts removes old ones that are resolved"
	for i := range 4 {
		c := conflict(fmt.Sprint(i), time.Duration(i)*time.Second)
		if i > 0 {
			c.State = enlace.ConflictResolved
		}
		noError(t, rule, s.PutConflicts(t.Context(), []enlace.ConflictRow{c}))
	}
	n, err := s.DeleteResolvedConflicts(t.Context(), base.Add(3*time.Second), 1)
	noError(t, rule, err)
	equal(t, "DeleteResolvedConflicts removes no more than limit", n, 1)
	n, err = s.DeleteResolvedConflicts(t.Context(), base.Add(3*time.Second), 100)
	noError(t, rule, err)
	equal(t, rule, n, 1)
	equal(t, rule, []int{len(loadConflict(t, s, "0")), len(loadConflict(t, s, "3"))}, []int{1, 1})
	for range 2 {
		noError(t, "DeleteConflicts may be repeated", s.DeleteConflicts(t.Context(), ref("acme", "one"), []string{"0", "nobody"}))
	}
	equal(t, "DeleteConflicts removes those that it names", []int{len(loadConflict(t, s, "0")), len(loadConflict(t, s, "3"))}, []int{0, 1})
	noError(t, "DeleteAllConflicts", s.DeleteAllConflicts(t.Context(), ref("acme", "two")))
	equal(t, "DeleteAllConflicts leaves other integrations alone", len(loadConflict(t, s, "3")), 1)
	noError(t, "DeleteAllConflicts", s.DeleteAllConflicts(t.Context(), ref("acme", "one")))
	equal(t, "DeleteAllConflicts removes those of the integration", len(loadConflict(t, s, "3")), 0)
}

func pushInTransaction(t *testing.T, s enlace.Store) {
	const rule = "what a transaction has written is gone when it fails"
	failed := errors.New("no")
	noError(t, rule, s.PutOutgoing(t.Context(), []enlace.OutgoingChange{outgoing("one", "old", 1)}))
	noError(t, rule, s.AddJournal(t.Context(), []enlace.JournalEntry{entry("run", 1)}))
	noError(t, rule, s.PutConflicts(t.Context(), []enlace.ConflictRow{conflict("old", 0)}))
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		done := entry("run", 1)
		done.State = enlace.JournalDone
		for _, err := range []error{
			s.PutOutgoing(ctx, []enlace.OutgoingChange{outgoing("one", "new", 1)}), s.DeleteOutgoing(ctx, outgoing("one", "old", 1).OutgoingKey, 1),
			s.AddJournal(ctx, []enlace.JournalEntry{entry("run", 2)}), s.UpdateJournal(ctx, []enlace.JournalEntry{done}),
			s.PutConflicts(ctx, []enlace.ConflictRow{conflict("new", 0)}), s.DeleteConflicts(ctx, ref("acme", "one"), []string{"old"}),
		} {
			noError(t, rule, err)
		}
		return failed
	})
	wantError(t, rule, err, failed)
	open, err := s.OpenJournal(t.Context(), ref("acme", "one"), "contacts", 10)
	noError(t, rule, err)
	equal(t, rule, []int{len(load(t, s, outgoing("one", "old", 1).OutgoingKey)), len(load(t, s, outgoing("one", "new", 1).OutgoingKey)), len(open),
		len(loadConflict(t, s, "old")), len(loadConflict(t, s, "new"))}, []int{1, 0, 1, 1, 0})
}
