package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

var inboxChecks = []check{
	{"RoundTrip", inboxRoundTrip},
	{"Dedupe", inboxDedupe},
	{"DedupeRace", inboxDedupeRace},
	{"Large", inboxLarge},
	{"Due", inboxDue},
	{"Pending", inboxPending},
	{"States", inboxStates},
	{"KeyOfHints", inboxKeyOfHints},
	{"List", inboxList},
	{"DeadLetters", inboxDeadLetters},
	{"Endpoints", inboxEndpoints},
	{"Events", inboxEvents},
	{"Records", inboxRecords},
	{"Prune", inboxPrune},
	{"Delete", inboxDelete},
	{"Transaction", inboxTransaction},
}

// delivery has every field filled in.
func delivery(in enlace.Ref, id, key string) enlace.StoredDelivery {
	return enlace.StoredDelivery{
		ID: id, Ref: in, Provider: "fake", State: enlace.DeliveryReceived, Attempts: 2, Replays: 1, Signed: true, Edited: true,
		SignedAt: base, ReceivedAt: base.Add(time.Second), NextAt: base.Add(2 * time.Second), Types: []string{"négocio.criado", "b"},
		Lanes: []string{"deals/1", `deals/"2"`}, Kind: "sink", Error: "não \"aceito\"", DedupeKey: key,
		Sealed: enlace.Sealed{Data: []byte("sealed\x00\xff" + id), KeyID: 1<<63 + 5},
	}
}

func insert(t *testing.T, s enlace.Store, deliveries ...enlace.StoredDelivery) []string {
	t.Helper()
	ids, err := s.InsertDeliveries(t.Context(), deliveries)
	noError(t, "InsertDeliveries stores deliveries", err)
	slices.Sort(ids)
	return ids
}

func deliveryOf(t *testing.T, s enlace.Store, tenant, id string) enlace.StoredDelivery {
	t.Helper()
	d, err := s.Delivery(t.Context(), tenant, id)
	noError(t, "Delivery returns a stored delivery", err)
	return d
}

func deliveryIDs(deliveries []enlace.StoredDelivery) []string {
	ids := []string{}
	for _, d := range deliveries {
		ids = append(ids, d.ID)
	}
	return ids
}

// unsealed is a delivery as lists show it.
func unsealed(d enlace.StoredDelivery) enlace.StoredDelivery {
	d.Sealed.Data = nil
	return d
}

func inboxRoundTrip(t *testing.T, s enlace.Store) {
	want := delivery(ref("acme", "i1"), "d1", "k1")
	equal(t, "InsertDeliveries returns the ids of what it stored", insert(t, s, want), []string{"d1"})
	got := deliveryOf(t, s, "acme", "d1")
	equal(t, "a delivery comes back as it was stored", got, want)
	isUTC(t, got.SignedAt, got.ReceivedAt, got.NextAt)
	bare := enlace.StoredDelivery{ID: "d2", Ref: ref("", "i1"), State: enlace.DeliveryReceived, DedupeKey: "k", Sealed: enlace.Sealed{Data: []byte{1}}}
	insert(t, s, bare)
	equal(t, "zero times and empty lists come back so", deliveryOf(t, s, "", "d2"), bare)
	_, err := s.Delivery(t.Context(), "globex", "d1")
	wantError(t, "another tenant's delivery is not there", err, enlace.ErrNotFound)
	_, err = s.Delivery(t.Context(), "acme", "D1")
	wantError(t, "ids are case-sensitive", err, enlace.ErrNotFound)
	ids, err := s.InsertDeliveries(t.Context(), nil)
	noError(t, "InsertDeliveries of nothing does nothing", err)
	equal(t, "InsertDeliveries of nothing does nothing", len(ids), 0)
}

func inboxDedupe(t *testing.T, s enlace.Store) {
	const rule = "a delivery whose key is there is not stored again"
	one, other := ref("acme", "i1"), ref("acme", "i2")
	equal(t, "equal keys in one call are stored once", insert(t, s, delivery(one, "d1", "k"), delivery(one, "d2", "k")), []string{"d1"})
	equal(t, rule, insert(t, s, delivery(one, "d3", "k"), delivery(one, "d4", "K")), []string{"d4"})
	equal(t, "a key counts within its integration", insert(t, s, delivery(other, "d5", "k"), delivery(ref("globex", "i1"), "d1", "k")), []string{"d1", "d5"})
	_, err := s.Delivery(t.Context(), "acme", "d3")
	wantError(t, rule, err, enlace.ErrNotFound)
}

func inboxDedupeRace(t *testing.T, s enlace.Store) {
	in := ref("acme", "i1")
	var wait sync.WaitGroup
	var mu sync.Mutex
	stored := map[string]int{}
	for w := range writers {
		wait.Go(func() {
			for k := range 4 {
				ids, err := s.InsertDeliveries(context.WithoutCancel(t.Context()), []enlace.StoredDelivery{delivery(in, fmt.Sprintf("d%d-%d", w, k), fmt.Sprint(k))})
				if err != nil {
					t.Errorf("InsertDeliveries by many at once: %v", err)
				}
				mu.Lock()
				stored[fmt.Sprint(k)] += len(ids)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	equal(t, "of many equal deliveries at once one is stored", stored, map[string]int{"0": 1, "1": 1, "2": 1, "3": 1})
}

func inboxLarge(t *testing.T, s enlace.Store) {
	in := ref("acme", "i1")
	var many []enlace.StoredDelivery
	for i := range 555 {
		many = append(many, delivery(in, fmt.Sprintf("d%03d", i), fmt.Sprint(i%500)))
	}
	equal(t, "many deliveries are stored in one call", len(insert(t, s, many...)), 500)
	due, _, err := s.DueDeliveries(t.Context(), in, 1000)
	noError(t, "many deliveries are stored in one call", err)
	equal(t, "many deliveries are stored in one call", len(due), 500)
}

func inboxDue(t *testing.T, s enlace.Store) {
	in := ref("acme", "i1")
	due, next, err := s.DueDeliveries(t.Context(), in, 10)
	noError(t, "DueDeliveries of an empty inbox", err)
	if len(due) > 0 || !next.IsZero() {
		t.Errorf("an empty inbox has nothing due: got %v, %v", due, next)
	}
	later := delivery(in, "d1", "1")
	later.NextAt = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	insert(t, s, later)
	due, next, err = s.DueDeliveries(t.Context(), in, 10)
	noError(t, "DueDeliveries before the first is due", err)
	equal(t, "a delivery is not due before NextAt", deliveryIDs(due), []string{})
	equal(t, "next is when the first will be due", next, later.NextAt)
	isUTC(t, next)

	done, dead := delivery(in, "d3", "3"), delivery(in, "d4", "4")
	done.State, done.FinishedAt, dead.State, dead.FinishedAt = enlace.DeliveryDone, base, enlace.DeliveryDead, base
	processing, failed := delivery(in, "d5", "5"), delivery(in, "d0", "0")
	processing.State, failed.State = enlace.DeliveryProcessing, enlace.DeliveryFailed
	insert(t, s, delivery(in, "d2", "2"), done, dead, processing, failed, delivery(ref("acme", "i2"), "d6", "6"))
	due, _, err = s.DueDeliveries(t.Context(), in, 10)
	noError(t, "DueDeliveries returns what is due", err)
	equal(t, "received, processing and failed deliveries are due, in order of their ids", deliveryIDs(due), []string{"d0", "d2", "d5"})
	equal(t, "due deliveries come whole", due[1], delivery(in, "d2", "2"))
	due, _, err = s.DueDeliveries(t.Context(), in, 2)
	noError(t, "DueDeliveries keeps to limit", err)
	equal(t, "DueDeliveries keeps to limit", deliveryIDs(due), []string{"d0", "d2"})
	list, err := s.FailedDeliveries(t.Context(), in, 10)
	noError(t, "FailedDeliveries returns the failed ones", err)
	equal(t, "FailedDeliveries returns the failed ones", list, []enlace.StoredDelivery{unsealed(failed)})
}

func inboxPending(t *testing.T, s enlace.Store) {
	done := delivery(ref("acme", "i3"), "d9", "9")
	done.State, done.FinishedAt = enlace.DeliveryDone, base
	later := delivery(ref("acme", "i4"), "d8", "8")
	later.NextAt = time.Now().Add(time.Hour)
	insert(t, s, later, delivery(ref("globex", "i1"), "d1", "1"), delivery(ref("acme", "i2"), "d2", "2"), delivery(ref("acme", "i1"), "d3", "3"),
		delivery(ref("acme", "i1"), "d4", "4"), delivery(ref("", "i1"), "d5", "5"), done)
	all, err := s.DueIntegrations(t.Context(), enlace.Ref{}, 10)
	noError(t, "DueIntegrations lists integrations", err)
	equal(t, "integrations with something to do come once, in order", all, []enlace.Ref{ref("", "i1"), ref("acme", "i1"), ref("acme", "i2"), ref("globex", "i1")})
	some, err := s.DueIntegrations(t.Context(), ref("acme", "i1"), 1)
	noError(t, "DueIntegrations goes on behind after", err)
	equal(t, "DueIntegrations goes on behind after, up to limit", some, []enlace.Ref{ref("acme", "i2")})
}

func inboxStates(t *testing.T, s enlace.Store) {
	ctx, in := t.Context(), ref("acme", "i1")
	insert(t, s, delivery(in, "d1", "1"), delivery(in, "d2", "2"), delivery(ref("globex", "i1"), "d1", "1"))
	noError(t, "ClaimDeliveries marks deliveries", s.ClaimDeliveries(ctx, "acme", []string{"d1", "d2"}))
	equal(t, "a claimed delivery is processing", deliveryOf(t, s, "acme", "d1").State, enlace.DeliveryProcessing)
	equal(t, "a claim is within the tenant", deliveryOf(t, s, "globex", "d1").State, enlace.DeliveryReceived)
	noError(t, "FinishDeliveries marks deliveries", s.FinishDeliveries(ctx, "acme", []enlace.StoredDelivery{{ID: "d1", Types: []string{"t"}, Lanes: []string{"l"}}}))
	done := deliveryOf(t, s, "acme", "d1")
	setByStore(t, "a finished delivery says when", done.FinishedAt)
	want := delivery(in, "d1", "1")
	want.State, want.FinishedAt, want.Types, want.Lanes, want.Kind, want.Error = enlace.DeliveryDone, done.FinishedAt, []string{"t"}, []string{"l"}, "", ""
	equal(t, "a finished delivery is done", done, want)

	second := deliveryOf(t, s, "acme", "d2")
	second.State, second.Attempts, second.Replays, second.Edited, second.Kind, second.Error = enlace.DeliveryDead, 12, 3, false, "other", "gave up"
	second.FinishedAt, second.NextAt, second.Types, second.Lanes, second.Sealed = base, base, nil, []string{"x"}, enlace.Sealed{}
	wantError(t, "UpdateDelivery from another state is ErrConflict", s.UpdateDelivery(ctx, second, enlace.DeliveryFailed), enlace.ErrConflict)
	equal(t, "UpdateDelivery from another state changes nothing", deliveryOf(t, s, "acme", "d2").State, enlace.DeliveryProcessing)
	noError(t, "UpdateDelivery replaces a delivery", s.UpdateDelivery(ctx, second, enlace.DeliveryProcessing))
	second.Sealed = delivery(in, "d2", "2").Sealed
	equal(t, "UpdateDelivery without data leaves it as it is", deliveryOf(t, s, "acme", "d2"), second)
	second.Sealed, second.State, second.FinishedAt = enlace.Sealed{Data: []byte("new"), KeyID: 7}, enlace.DeliveryReceived, time.Time{}
	noError(t, "UpdateDelivery replaces the data", s.UpdateDelivery(ctx, second, enlace.DeliveryDead))
	equal(t, "UpdateDelivery replaces the data", deliveryOf(t, s, "acme", "d2"), second)
	noError(t, "FinishDeliveries leaves what is not processing", s.FinishDeliveries(ctx, "acme", []enlace.StoredDelivery{second}))
	equal(t, "FinishDeliveries leaves what is not processing", deliveryOf(t, s, "acme", "d2").State, enlace.DeliveryReceived)
	second.ID = "none"
	wantError(t, "UpdateDelivery of none is ErrConflict", s.UpdateDelivery(ctx, second, enlace.DeliveryReceived), enlace.ErrConflict)
}

func inboxKeyOfHints(t *testing.T, s enlace.Store) {
	ctx, in := t.Context(), ref("acme", "i1")
	hint, signed := delivery(in, "d1", "hint"), delivery(in, "d2", "signed")
	hint.Signed = false
	insert(t, s, hint, signed)
	noError(t, "ClaimDeliveries", s.ClaimDeliveries(ctx, "acme", []string{"d1", "d2"}))
	again, signedAgain := delivery(in, "d3", "hint"), delivery(in, "d4", "signed")
	equal(t, "a hint's key is taken until it is done", insert(t, s, again, signedAgain), []string{})
	noError(t, "FinishDeliveries", s.FinishDeliveries(ctx, "acme", []enlace.StoredDelivery{hint, signed}))
	equal(t, "a hint's key is free once it is done, that of a signed one is not", insert(t, s, again, signedAgain), []string{"d3"})
}

func inboxList(t *testing.T, s enlace.Store) {
	in, other := ref("acme", "i1"), ref("acme", "i2")
	for i := range 25 {
		d := delivery(in, fmt.Sprintf("d%02d", i), fmt.Sprint(i))
		if i%5 == 0 {
			d.Ref = other
		}
		if i%2 == 0 {
			d.State, d.FinishedAt, d.Kind = enlace.DeliveryDead, base, "protocol"
		}
		insert(t, s, d)
	}
	insert(t, s, delivery(ref("globex", "i1"), "d99", "99"))
	for name, test := range map[string]struct {
		query enlace.DeliveryQuery
		match func(i int) bool
	}{
		"tenant":      {enlace.DeliveryQuery{}, func(int) bool { return true }},
		"integration": {enlace.DeliveryQuery{Integration: "i1"}, func(i int) bool { return i%5 != 0 }},
		"dead":        {enlace.DeliveryQuery{State: enlace.DeliveryDead}, func(i int) bool { return i%2 == 0 }},
		"received":    {enlace.DeliveryQuery{State: enlace.DeliveryReceived, Integration: "i2"}, func(i int) bool { return i%2 != 0 && i%5 == 0 }},
		"kind":        {enlace.DeliveryQuery{Kind: "protocol", Integration: "i2"}, func(i int) bool { return i%10 == 0 }},
	} {
		var got, want []string
		for i := 24; i >= 0; i-- {
			if test.match(i) {
				want = append(want, fmt.Sprintf("d%02d", i))
			}
		}
		q := test.query
		q.Tenant, q.Limit = "acme", 3
		for range 20 {
			page, next, err := s.Deliveries(t.Context(), q)
			noError(t, "Deliveries lists "+name, err)
			for _, d := range page {
				if d.Sealed.Data != nil {
					t.Errorf("lists leave out what was sent: got %q", d.Sealed.Data)
				}
			}
			got = append(got, deliveryIDs(page)...)
			if q.Cursor = next; next == "" {
				break
			}
		}
		equal(t, "Deliveries lists by "+name+", newest first, page by page", got, want)
	}
	_, _, err := s.Deliveries(t.Context(), enlace.DeliveryQuery{Tenant: "acme", Cursor: "nonsense"})
	wantError(t, "a cursor of nobody is ErrInvalid", err, enlace.ErrInvalid)
}

func inboxDeadLetters(t *testing.T, s enlace.Store) {
	add := func(in enlace.Ref, id, kind string, state enlace.DeliveryState, at time.Time) {
		d := delivery(in, id, id)
		d.Kind, d.State, d.ReceivedAt, d.FinishedAt = kind, state, at, base
		insert(t, s, d)
	}
	one, two := ref("acme", "i1"), ref("acme", "i2")
	add(one, "d1", "sink", enlace.DeliveryDead, base)
	add(one, "d2", "sink", enlace.DeliveryDead, base.Add(time.Hour))
	add(one, "d3", "protocol", enlace.DeliveryDead, base)
	add(two, "d4", "sink", enlace.DeliveryDead, base)
	add(one, "d5", "sink", enlace.DeliveryFailed, base)
	add(ref("globex", "i1"), "d6", "sink", enlace.DeliveryDead, base)
	groups, err := s.DeadDeliveries(t.Context(), "acme", "")
	noError(t, "DeadDeliveries counts", err)
	equal(t, "DeadDeliveries counts by integration and kind, most first", groups, []enlace.DeadDeliveryGroup{
		{Ref: one, Kind: "sink", Count: 2, Latest: base.Add(time.Hour)}, {Ref: one, Kind: "protocol", Count: 1, Latest: base}, {Ref: two, Kind: "sink", Count: 1, Latest: base}})
	groups, err = s.DeadDeliveries(t.Context(), "acme", "i2")
	noError(t, "DeadDeliveries of one integration", err)
	equal(t, "DeadDeliveries of one integration", groups, []enlace.DeadDeliveryGroup{{Ref: two, Kind: "sink", Count: 1, Latest: base}})
}

func inboxEndpoints(t *testing.T, s enlace.Store) {
	ctx := t.Context()
	for _, in := range []enlace.Ref{ref("acme", "i1"), ref("globex", "i2"), ref("acme", "same"), ref("globex", "same")} {
		noError(t, "CreateIntegration", s.CreateIntegration(ctx, integration(in.Tenant, in.ID)))
	}
	find := func(rule, hash, id string, want enlace.Ref) {
		t.Helper()
		got, err := s.Endpoint(ctx, hash, id)
		if want == (enlace.Ref{}) {
			wantError(t, rule, err, enlace.ErrNotFound)
			return
		}
		noError(t, rule, err)
		equal(t, rule, got, want)
	}
	find("an integration is found by its id alone", "h", "i2", ref("globex", "i2"))
	find("ids are case-sensitive", "h", "I2", enlace.Ref{})
	find("what two tenants have is nobody's", "h", "same", enlace.Ref{})
	find("nothing is found where nothing is", "h", "", enlace.Ref{})
	noError(t, "SaveEndpoint", s.SaveEndpoint(ctx, ref("acme", "i1"), "h"))
	find("a hash comes first", "h", "i2", ref("acme", "i1"))
	noError(t, "SaveEndpoint again is no error", s.SaveEndpoint(ctx, ref("acme", "i1"), "h"))
	noError(t, "a hash is not taken over", s.SaveEndpoint(ctx, ref("globex", "i2"), "h"))
	find("a hash is not taken over", "h", "none", ref("acme", "i1"))
	noError(t, "DeleteEndpoint of another's hash is no error", s.DeleteEndpoint(ctx, ref("globex", "i2"), "h"))
	find("DeleteEndpoint leaves another's hash", "h", "none", ref("acme", "i1"))
	noError(t, "DeleteEndpoint", s.DeleteEndpoint(ctx, ref("acme", "i1"), "h"))
	find("a deleted hash leads nowhere", "h", "none", enlace.Ref{})
}

func inboxEvents(t *testing.T, s enlace.Store) {
	mark := func(rule string, in enlace.Ref, keys, want []string) {
		t.Helper()
		fresh, err := s.MarkEvents(t.Context(), in, keys)
		noError(t, rule, err)
		slices.Sort(fresh)
		equal(t, rule, fresh, want)
	}
	mark("keys are fresh at first", ref("acme", "i1"), []string{"a", "b"}, []string{"a", "b"})
	mark("keys are fresh once", ref("acme", "i1"), []string{"a", "c", "A"}, []string{"A", "c"})
	mark("a key counts within its integration", ref("acme", "i2"), []string{"a"}, []string{"a"})
	mark("no keys are no error", ref("acme", "i2"), nil, nil)
	failed := errors.New("failed")
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		if _, err := s.MarkEvents(ctx, ref("acme", "i1"), []string{"d"}); err != nil {
			return err
		}
		return failed
	})
	wantError(t, "Transact returns the error", err, failed)
	mark("what was rolled back is fresh", ref("acme", "i1"), []string{"d"}, []string{"d"})
}

func inboxRecords(t *testing.T, s enlace.Store) {
	ctx, in := t.Context(), ref("acme", "i1")
	name := func(id string) enlace.RecordName { return enlace.RecordName{Entity: "deals", ID: id} }
	heard := func(want map[string]time.Time) {
		t.Helper()
		got, err := s.HeardRecords(ctx, in, "deals", []string{"1", "2", "3"})
		noError(t, "HeardRecords", err)
		equal(t, "HeardRecords tells when deliveries came", got, want)
		for _, at := range got {
			isUTC(t, at)
		}
	}
	heard(nil)
	noError(t, "NoteHeard", s.NoteHeard(ctx, in, []enlace.RecordName{name("1"), name("2"), name("1"), {Entity: "contacts", ID: "1"}}, base))
	noError(t, "NoteHeard", s.NoteHeard(ctx, in, []enlace.RecordName{name("2")}, base.Add(time.Hour)))
	noError(t, "NoteHeard of nothing", s.NoteHeard(ctx, in, nil, base))
	heard(map[string]time.Time{"1": base, "2": base.Add(time.Hour)})
	noError(t, "NoteMissed", s.NoteMissed(ctx, in, []enlace.RecordName{name("1"), name("3"), {Entity: "contacts", ID: "9"}}, base.Add(2*time.Hour)))
	heard(map[string]time.Time{"1": base, "2": base.Add(time.Hour)})
	var got []enlace.MissedRecord
	q := enlace.MissedQuery{Ref: in, Limit: 2}
	for range 3 {
		page, next, err := s.MissedRecords(ctx, q)
		noError(t, "MissedRecords", err)
		got = append(got, page...)
		if q.Cursor = next; next == "" {
			break
		}
	}
	at := base.Add(2 * time.Hour)
	want := []enlace.MissedRecord{{RecordName: enlace.RecordName{Entity: "contacts", ID: "9"}, FoundAt: at}, {RecordName: name("1"), FoundAt: at}, {RecordName: name("3"), FoundAt: at}}
	equal(t, "MissedRecords lists what was missed, page by page", got, want)
	noError(t, "NoteHeard takes back", s.NoteHeard(ctx, in, []enlace.RecordName{name("1"), name("3")}, base.Add(3*time.Hour)))
	page, _, err := s.MissedRecords(ctx, enlace.MissedQuery{Ref: in})
	noError(t, "MissedRecords", err)
	equal(t, "what was heard after all is not missed", page, want[:1])
	page, _, err = s.MissedRecords(ctx, enlace.MissedQuery{Ref: ref("globex", "i1")})
	noError(t, "MissedRecords", err)
	equal(t, "a tenant sees its own", len(page), 0)
	_, _, err = s.MissedRecords(ctx, enlace.MissedQuery{Ref: in, Cursor: "nonsense"})
	wantError(t, "a cursor of nobody is ErrInvalid", err, enlace.ErrInvalid)
}

func inboxPrune(t *testing.T, s enlace.Store) {
	ctx, in := t.Context(), ref("acme", "i1")
	for i, state := range []enlace.DeliveryState{enlace.DeliveryDone, enlace.DeliveryDead, enlace.DeliveryReceived, enlace.DeliveryFailed, enlace.DeliveryDone} {
		d := delivery(in, fmt.Sprint("d", i), fmt.Sprint(i))
		if d.State = state; state == enlace.DeliveryDone || state == enlace.DeliveryDead {
			d.FinishedAt = base.Add(time.Duration(i) * time.Hour)
		}
		insert(t, s, d)
	}
	noError(t, "NoteHeard", s.NoteHeard(ctx, in, []enlace.RecordName{{Entity: "deals", ID: "1"}}, base))
	n, err := s.PruneInbox(ctx, base.Add(2*time.Hour), 100)
	noError(t, "PruneInbox", err)
	equal(t, "PruneInbox removes what is old and finished", n, 3)
	page, _, err := s.Deliveries(ctx, enlace.DeliveryQuery{Tenant: "acme"})
	noError(t, "Deliveries", err)
	equal(t, "PruneInbox leaves what is not", deliveryIDs(page), []string{"d4", "d3", "d2"})
	equal(t, "a key is free when its delivery is gone", insert(t, s, delivery(in, "d9", "0")), []string{"d9"})
	n, err = s.PruneInbox(ctx, time.Now().Add(time.Hour), 1)
	noError(t, "PruneInbox", err)
	equal(t, "PruneInbox keeps to limit", n, 1)
}

func inboxDelete(t *testing.T, s enlace.Store) {
	ctx, in, other := t.Context(), ref("acme", "i1"), ref("acme", "i2")
	for _, r := range []enlace.Ref{in, other} {
		insert(t, s, delivery(r, "d-"+r.ID, "k"))
		noError(t, "SaveEndpoint", s.SaveEndpoint(ctx, r, "h-"+r.ID))
		noError(t, "NoteMissed", s.NoteMissed(ctx, r, []enlace.RecordName{{Entity: "deals", ID: "1"}}, base))
		_, err := s.MarkEvents(ctx, r, []string{"a"})
		noError(t, "MarkEvents", err)
	}
	noError(t, "DeleteInbox", s.DeleteInbox(ctx, in))
	pending, err := s.DueIntegrations(ctx, enlace.Ref{}, 10)
	noError(t, "DueIntegrations", err)
	equal(t, "DeleteInbox removes the deliveries of one integration", pending, []enlace.Ref{other})
	_, err = s.Endpoint(ctx, "h-i1", "")
	wantError(t, "DeleteInbox removes the endpoints", err, enlace.ErrNotFound)
	missed, _, err := s.MissedRecords(ctx, enlace.MissedQuery{Ref: in})
	noError(t, "MissedRecords", err)
	equal(t, "DeleteInbox removes the records", len(missed), 0)
	fresh, err := s.MarkEvents(ctx, in, []string{"a"})
	noError(t, "MarkEvents", err)
	equal(t, "DeleteInbox removes the events", fresh, []string{"a"})
	equal(t, "DeleteInbox frees the keys", insert(t, s, delivery(in, "d9", "k")), []string{"d9"})
	if got := deliveryOf(t, s, "acme", "d-i2"); cmp.Equal(got, enlace.StoredDelivery{}) {
		t.Error("DeleteInbox leaves other integrations alone")
	}
}

func inboxTransaction(t *testing.T, s enlace.Store) {
	in, failed := ref("acme", "i1"), errors.New("failed")
	insert(t, s, delivery(in, "d1", "1"))
	err := s.Transact(t.Context(), func(ctx context.Context) error {
		if _, err := s.InsertDeliveries(ctx, []enlace.StoredDelivery{delivery(in, "d2", "2")}); err != nil {
			return err
		}
		if err := s.ClaimDeliveries(ctx, "acme", []string{"d1", "d2"}); err != nil {
			return err
		}
		if err := s.FinishDeliveries(ctx, "acme", []enlace.StoredDelivery{{ID: "d1"}, {ID: "d2"}}); err != nil {
			return err
		}
		if err := s.NoteHeard(ctx, in, []enlace.RecordName{{Entity: "deals", ID: "1"}}, base); err != nil {
			return err
		}
		return failed
	})
	wantError(t, "Transact returns the error", err, failed)
	equal(t, "a transaction that failed changes no delivery", deliveryOf(t, s, "acme", "d1"), delivery(in, "d1", "1"))
	_, err = s.Delivery(t.Context(), "acme", "d2")
	wantError(t, "a transaction that failed inserts nothing", err, enlace.ErrNotFound)
	heard, err := s.HeardRecords(t.Context(), in, "deals", []string{"1"})
	noError(t, "HeardRecords", err)
	equal(t, "a transaction that failed notes nothing", len(heard), 0)
	equal(t, "a transaction that failed takes no key", insert(t, s, delivery(in, "d3", "2")), []string{"d3"})
}
