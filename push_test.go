package enlace_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

// desk is a host with a table of contacts: a Source of the rows that have changed
// and a Sink.
type desk struct {
	mu       sync.Mutex
	rows     map[string]*deskRow
	accepted []enlace.AcceptedChange
	taken    []enlace.Record
	fail     error // what Accepted returns

	provider *fake.Provider
	service  *enlace.Service
	store    *memory.Store
	ref      enlace.Ref
}

type deskRow struct {
	id, remote string
	fields     map[string]any
	deleted    bool
	dirty      bool
	version    int
	modified   time.Time
}

func newDesk(t testing.TB, p *fake.Provider, edit ...func(*enlace.Config)) *desk {
	t.Helper()
	d := &desk{rows: map[string]*deskRow{}, provider: p, store: memory.New()}
	cfg := enlace.Config{Registry: enlace.NewRegistry(p.Adapter()), Store: d.store, Keys: newKeys(t), Transport: p}
	for _, e := range edit {
		e(&cfg)
	}
	var err error
	if d.service, err = enlace.New(cfg); err != nil {
		t.Fatal(err)
	}
	cred := p.APIKey()
	in, err := d.service.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: fake.Name, Credential: &cred,
		Settings: map[string]string{"retryAttempts": "0"}})
	if err != nil {
		t.Fatal(err)
	}
	d.ref = in.Ref
	return d
}

// set changes a row as the host's users do.
func (d *desk) set(id string, fields map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rows[id]
	if r == nil {
		r = &deskRow{id: id, fields: map[string]any{}}
		d.rows[id] = r
	}
	r.fields = maps.Clone(r.fields)
	maps.Copy(r.fields, fields)
	r.dirty, r.deleted, r.modified = true, false, time.Now()
	r.version++
}

func (d *desk) remove(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rows[id]
	r.dirty, r.deleted, r.modified = true, true, time.Now()
	r.version++
}

// Changes implements enlace.Source.
func (d *desk) Changes(_ context.Context, q enlace.ChangeQuery) ([]enlace.Change, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var changes []enlace.Change
	only := len(q.IDs)+len(q.RemoteIDs) > 0
	for _, id := range slices.Sorted(maps.Keys(d.rows)) {
		r := d.rows[id]
		if !r.dirty || q.Entity != "contacts" || (only && !slices.Contains(q.IDs, id) && (r.remote == "" || !slices.Contains(q.RemoteIDs, r.remote))) || (!only && id <= q.After) {
			continue
		}
		c := enlace.Change{ID: id, Deleted: r.deleted, Modified: r.modified}
		if !r.deleted {
			c.Data, _ = json.Marshal(r.fields)
		}
		changes = append(changes, c)
	}
	if !only && len(changes) > q.Limit {
		changes = changes[:q.Limit]
		return changes, changes[len(changes)-1].ID, nil
	}
	return changes, "", nil
}

// Accepted implements enlace.Source.
func (d *desk) Accepted(_ context.Context, a enlace.AcceptedChanges) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	for _, c := range a.Changes {
		d.accepted = append(d.accepted, c)
		r := d.rows[c.Change.ID]
		if r == nil {
			continue
		}
		r.remote = cmp.Or(c.RemoteID, r.remote)
		if data, _ := json.Marshal(r.fields); r.deleted == c.Change.Deleted && (r.deleted || string(data) == string(c.Change.Data)) {
			r.dirty = false
		}
	}
	return nil
}

// Accept implements enlace.Sink.
func (d *desk) Accept(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range b.Records {
		r.Data = slices.Clone(r.Data)
		d.taken = append(d.taken, r)
		var row *deskRow
		for _, candidate := range d.rows {
			if candidate.remote == r.ID {
				row = candidate
			}
		}
		if row == nil {
			row = &deskRow{id: "r" + r.ID, remote: r.ID}
			d.rows[row.id] = row
		}
		if row.deleted = r.Deleted; !r.Deleted {
			row.fields = map[string]any{}
			_ = json.Unmarshal(r.Data, &row.fields)
			delete(row.fields, "id")
			delete(row.fields, "updated_at")
		}
		row.dirty = false
	}
	return enlace.Changes{}, nil
}

func (d *desk) push(t testing.TB, edit ...func(*enlace.SyncOptions)) (enlace.PushResults, error) {
	t.Helper()
	o := enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: d}
	for _, e := range edit {
		e(&o)
	}
	result, err := d.service.Sync(t.Context(), d.ref, o)
	if push := result.Entities["contacts"].Push; push != nil {
		return *push, err
	}
	return enlace.PushResults{}, err
}

func (d *desk) mustPush(t testing.TB, edit ...func(*enlace.SyncOptions)) enlace.PushResults {
	t.Helper()
	counts, err := d.push(t, edit...)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// remote is the provider's data by the names of contacts.
func (d *desk) remote(t testing.TB) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, r := range d.provider.Records("contacts") {
		var f map[string]any
		if err := json.Unmarshal(r.Data, &f); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint(f["name"])
		if all[name] != nil {
			t.Errorf("there are two contacts named %s", name)
		}
		all[name] = f
	}
	return all
}

func (d *desk) fill(n int) {
	for i := range n {
		id := fmt.Sprintf("c%04d", i)
		d.set(id, map[string]any{"name": id, "email": id + "@example.com"})
	}
}

func checkCounts(t testing.TB, got, want enlace.PushResults) {
	t.Helper()
	got.NotUndone = nil
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestPushSendsWhatHasChangedAndNothingElse(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p)
	d.fill(620)
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 620, Created: 620})
	if n := len(d.remote(t)); n != 620 || p.Requests(fake.OpBatch) != 13 || p.Requests(fake.OpCreate) != 0 {
		t.Errorf("%d contacts by %d batches and %d single requests", n, p.Requests(fake.OpBatch), p.Requests(fake.OpCreate))
	}
	checkCounts(t, d.mustPush(t), enlace.PushResults{})

	// A source that gives everything again costs no request.
	before := p.Requests("")
	for _, r := range d.rows {
		r.dirty = true
	}
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 620, Unchanged: 620})
	if n := p.Requests("") - before; n != 0 {
		t.Errorf("%d requests for what the provider has", n)
	}

	d.set("c0001", map[string]any{"email": "new@example.com"})
	d.remove("c0002")
	p.Put("contacts", d.rows["c0001"].remote, map[string]any{"name": "c0001", "email": "c0001@example.com", "phone": "1"}) // by somebody else
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 2, Updated: 1, Deleted: 1})
	now := d.remote(t)
	if c := now["c0001"]; c["email"] != "new@example.com" || c["phone"] != "1" {
		t.Errorf("an update does not write the changed field only: %v", c)
	}
	if now["c0002"] != nil || len(now) != 619 {
		t.Errorf("%d contacts after a deletion", len(now))
	}
	d.set("c0002", map[string]any{"name": "c0002 again"})
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Created: 1})
}

func TestLostAnswersMakeNoDuplicates(t *testing.T) {
	for _, kind := range []fake.FailureKind{fake.Reset, fake.Truncated, fake.HTML, fake.Refusal} {
		for _, effect := range []bool{true, false} {
			p := fake.New(fake.Options{})
			d := newDesk(t, p)
			d.fill(70)
			p.Fail(fake.Failure{Op: fake.OpBatch, Kind: kind, Effect: effect, Times: 2})
			counts, err := d.push(t)
			for i := 0; err != nil && i < 5; i++ {
				counts, err = d.push(t)
			}
			if n := len(d.remote(t)); err != nil || n != 70 || p.Effects(fake.OpCreate) != 70 {
				t.Errorf("%v, effect %v: %d contacts by %d creates (%+v), %v", kind, effect, n, p.Effects(fake.OpCreate), counts, err)
			}
		}
	}
}

func TestCreateInDoubtIsLeftToAPerson(t *testing.T) { synctest.Test(t, createInDoubt) }

func createInDoubt(t *testing.T) {
	p := fake.New(fake.Options{IgnoreKeys: true})
	d := newDesk(t, p)
	d.set("a", map[string]any{"name": "a"})
	d.set("b", map[string]any{"name": "b"})
	p.Fail(fake.Failure{Op: fake.OpBatch, Kind: fake.Reset, Effect: true})
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 2, Dead: 2})
	d.set("a", map[string]any{"email": "a@example.com"})
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Dead: 1})
	if n := p.Effects(fake.OpCreate); n != 2 {
		t.Errorf("%d creates of 2", n)
	}
	letters, _, err := d.service.DeadLetters(t.Context(), enlace.OutgoingQuery{Tenant: "acme"})
	if err != nil || len(letters) != 2 || letters[0].State != enlace.OutgoingInDoubt {
		t.Fatalf("%+v, %v", letters, err)
	}
	// A person looks: a was created, under the id 1; b the person has deleted again.
	if err := d.service.LinkRecord(t.Context(), d.ref, "contacts", "a", "1"); err != nil {
		t.Fatal(err)
	}
	p.Delete("contacts", "2")
	if err := d.service.Redrive(t.Context(), letters[1].OutgoingKey, letters[1].Version); err != nil {
		t.Fatal(err)
	}
	d.run(t, time.Minute)
	now := d.remote(t)
	if len(now) != 2 || now["a"]["email"] != "a@example.com" || now["a"]["id"] != "1" || now["b"] == nil {
		t.Errorf("%v", now)
	}
	if letters, _, _ = d.service.DeadLetters(t.Context(), enlace.OutgoingQuery{Tenant: "acme", States: []enlace.OutgoingState{
		enlace.OutgoingQueued, enlace.OutgoingInDoubt, enlace.OutgoingDead}}); len(letters) != 0 {
		t.Errorf("left: %+v", letters)
	}
}

// run lets the background work for a time, which is virtual.
func (d *desk) run(t *testing.T, long time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	if err := d.service.Run(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestPoisonedRecordsDoNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{})
		p.Seed("companies", 1)
		d := newDesk(t, p)
		d.fill(120)
		d.set("c0007", map[string]any{"company_id": "77"})
		checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 120, Created: 119, Failed: 1})
		checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Failed: 1})
		checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Dead: 1})
		checkCounts(t, d.mustPush(t), enlace.PushResults{})
		letters, _, err := d.service.DeadLetters(t.Context(), enlace.OutgoingQuery{Tenant: "acme", Kind: "invalid"})
		if err != nil || len(letters) != 1 || letters[0].Tries != 3 || letters[0].LocalID != "c0007" || !strings.Contains(letters[0].Error, "company_id") {
			t.Fatalf("%+v, %v", letters, err)
		}
		letter, err := d.service.DeadLetter(t.Context(), letters[0].OutgoingKey)
		if err != nil || !strings.Contains(string(letter.Change.Data), `"77"`) {
			t.Fatalf("%+v, %v", letter, err)
		}
		fixed, err := d.service.EditDeadLetter(t.Context(), letter.OutgoingKey, letter.Version, json.RawMessage(`{"name":"c0007","company_id":"1"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.service.Redrive(t.Context(), letter.OutgoingKey, letter.Version); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("redriving an old version: %v", err)
		}
		if err := d.service.Redrive(t.Context(), letter.OutgoingKey, fixed.Version); err != nil {
			t.Fatal(err)
		}
		d.run(t, time.Minute)
		if c := d.remote(t)["c0007"]; c["company_id"] != "1" {
			t.Errorf("after the correction: %v", c)
		}
	})
}

func TestOutageFillsTheOutboxAndItDrainsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{})
		d := newDesk(t, p)
		p.Fail(fake.Failure{Kind: fake.Unreachable, Times: -1})
		d.fill(130)
		checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 130, Queued: 130})
		d.set("c0005", map[string]any{"name": "latest"})
		checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Queued: 1})
		d.run(t, 30*time.Minute)
		if p.Requests("") != 0 || len(d.remote(t)) != 0 {
			t.Fatalf("an unreachable provider got %d requests", p.Requests(""))
		}
		p.Heal()
		d.run(t, 30*time.Minute)
		now := d.remote(t)
		if len(now) != 130 || now["latest"] == nil || p.Effects(fake.OpCreate) != 130 {
			t.Errorf("%d contacts by %d creates", len(now), p.Effects(fake.OpCreate))
		}
		for i, r := range p.Records("contacts") { // ids are given in the order of creation
			want := fmt.Sprintf("c%04d@example.com", i)
			if !strings.Contains(string(r.Data), want) {
				t.Fatalf("the contact created as %d is %s, want %s", i, r.Data, want)
			}
		}
		if n := d.provider.Requests(fake.OpBatch); n > 10 {
			t.Errorf("%d batches for 130 changes", n)
		}
	})
}

func TestEnqueueIsInTheHostsTransaction(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p)
	change := enlace.Change{ID: "x", Data: json.RawMessage(`{"name":"x"}`)}
	failed := errors.New("the host's own statement failed")
	err := d.store.Transact(t.Context(), func(ctx context.Context) error {
		if err := d.service.Enqueue(ctx, d.ref, "contacts", change); err != nil {
			return err
		}
		return failed
	})
	queued := enlace.OutgoingQuery{Tenant: "acme", States: []enlace.OutgoingState{enlace.OutgoingQueued}}
	if letters, _, _ := d.service.DeadLetters(t.Context(), queued); !errors.Is(err, failed) || len(letters) != 0 {
		t.Errorf("%v; %d queued after a rollback", err, len(letters))
	}
	if err := d.service.Enqueue(t.Context(), d.ref, "notes", change); !errors.Is(err, enlace.ErrUnsupported) {
		t.Errorf("notes are read-only: %v", err)
	}
	if err := d.service.Enqueue(t.Context(), d.ref, "contacts", enlace.Change{ID: "y", Data: json.RawMessage(`[]`)}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("data that is no object: %v", err)
	}
	if err := d.service.Enqueue(t.Context(), d.ref, "contacts", change); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { d.run(t, time.Minute) })
	if d.remote(t)["x"] == nil {
		t.Error("it was not pushed")
	}
}

// elsewhere is the fake adapter of a provider with two addresses.
type elsewhere struct{ fake.Adapter }

func (e elsewhere) Describe() enlace.Descriptor {
	d := e.Adapter.Describe()
	d.AlternativeURL = "https://two.example/v1"
	return d
}

// twoHosts serves the alternative address while the usual one is down.
type twoHosts struct {
	*fake.Provider
	down  bool
	other int
}

func (h *twoHosts) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "two.example" {
		h.other++
		r = r.Clone(r.Context())
		r.URL.Host = fake.Host
	} else if h.down {
		return nil, &net.OpError{Op: "dial", Err: errors.New("unreachable")}
	}
	return h.Provider.RoundTrip(r)
}

func TestAlternativeAddressWhileTheUsualOneIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{})
		hosts := &twoHosts{Provider: p, down: true}
		d := newDesk(t, p, func(c *enlace.Config) {
			c.Registry, c.Transport = enlace.NewRegistry(elsewhere{}), hosts
		})
		d.fill(300)
		checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 300, Queued: 300})
		d.run(t, time.Minute)
		if n := len(d.remote(t)); n != 300 || hosts.other == 0 || p.Effects(fake.OpCreate) != 300 {
			t.Errorf("%d contacts by %d creates, %d requests to the other address", n, p.Effects(fake.OpCreate), hosts.other)
		}
		hosts.down, hosts.other = false, 0
		time.Sleep(time.Hour)
		d.set("c0001", map[string]any{"email": "x"})
		checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Updated: 1})
		if hosts.other != 0 {
			t.Error("the usual address is not used again")
		}
	})
}

// A permission that is missing is not the records' fault: none of them dies of it.
func TestMissingPermissionMakesNoDeadLetters(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p)
	d.fill(120)
	p.Fail(fake.Failure{Kind: fake.Refusal, Status: http.StatusForbidden, Times: -1})
	for range 5 {
		if counts, err := d.push(t); !errors.Is(err, enlace.ErrForbidden) || counts.Dead != 0 {
			t.Fatalf("%+v, %v", counts, err)
		}
	}
	p.Heal()
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 120, Created: 120})
}

// What the store keeps of a change is sealed.
func TestWhatWaitsIsSealed(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p)
	d.set("a", map[string]any{"name": "canary-name"})
	d.mustPush(t)
	d.set("a", map[string]any{"name": "canary-other"})
	p.Fail(fake.Failure{Kind: fake.Unreachable, Times: -1})
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Queued: 1})
	rows, _, err := d.store.Outgoing(t.Context(), enlace.OutgoingQuery{Tenant: "acme"})
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	states, err := d.store.LoadLinkedStates(t.Context(), d.ref, "contacts", []string{"a"})
	if err != nil || len(states) != 1 || len(states[0].Base) == 0 {
		t.Fatal(states, err)
	}
	entries, _, err := d.store.Journal(t.Context(), enlace.JournalQuery{Ref: d.ref, RunID: rows[0].RunID})
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, sealed := range [][]byte{rows[0].Payload, states[0].Base, entries[0].Image} {
		if len(sealed) == 0 || bytes.Contains(sealed, []byte("canary")) {
			t.Errorf("not sealed: %q", sealed)
		}
	}
}
