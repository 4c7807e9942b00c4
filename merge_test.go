package enlace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

func (d *desk) both(t testing.TB, edit ...func(*enlace.SyncOptions)) enlace.PushResults {
	t.Helper()
	return d.mustPush(t, append([]func(*enlace.SyncOptions){func(o *enlace.SyncOptions) {
		o.Direction, o.Sink = enlace.Bidirectional, d
	}}, edit...)...)
}

func policy(p enlace.ConflictPolicy) func(*enlace.SyncOptions) {
	return func(o *enlace.SyncOptions) { o.Conflicts = p }
}

// edit changes some fields of a contact at the provider, and leaves the others.
func (d *desk) edit(t testing.TB, id string, fields map[string]any) {
	t.Helper()
	for _, r := range d.provider.Records("contacts") {
		if r.ID == id {
			f, err := enlace.DecodeRecord[map[string]any](r)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range fields {
				f[name] = value
			}
			d.provider.Put("contacts", id, f)
		}
	}
}

func (d *desk) local(id, field string) any { return d.rows[id].fields[field] }

func (d *desk) conflicts(t testing.TB, state enlace.ConflictState) []enlace.Conflict {
	t.Helper()
	list, _, err := d.service.Conflicts(t.Context(), enlace.ConflictQuery{Tenant: "acme", State: state})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// mergeDesk has one contact, alike on both sides.
func mergeDesk(t testing.TB) *desk {
	d := newDesk(t, fake.New(fake.Options{}))
	d.set("a", map[string]any{"name": "Ana", "email": "ana@example.com", "phone": "1"})
	checkCounts(t, d.both(t), enlace.PushResults{Read: 1, Created: 1})
	return d
}

func TestBothSidesOfARecordAreMerged(t *testing.T) {
	d := mergeDesk(t)
	d.set("a", map[string]any{"email": "local@example.com"})
	d.edit(t, "1", map[string]any{"phone": "2", "title": "Dr."})
	checkCounts(t, d.both(t), enlace.PushResults{Read: 1, Updated: 1})
	if r := snapshot(t, d.provider)["1"]; r["email"] != "local@example.com" || r["phone"] != "2" || r["name"] != "Ana" {
		t.Errorf("the provider has %v", r)
	}
	if d.local("a", "email") != "local@example.com" || d.local("a", "phone") != "2" || d.local("a", "title") != "Dr." {
		t.Errorf("the host has %v", d.rows["a"].fields)
	}
	if all := d.conflicts(t, ""); len(all) != 0 {
		t.Errorf("conflicts: %+v", all)
	}
	requests := d.provider.Requests("")
	taken := len(d.taken)
	checkCounts(t, d.both(t), enlace.PushResults{})
	if len(d.taken) != taken || d.provider.Effects("") != 2 {
		t.Errorf("a second run moves something: %d taken, %d requests, %d effects", len(d.taken)-taken, d.provider.Requests("")-requests, d.provider.Effects(""))
	}
}

func TestChangesOfOneSideGoToTheOther(t *testing.T) {
	d := mergeDesk(t)
	d.edit(t, "1", map[string]any{"phone": "2"})
	d.provider.Put("contacts", "77", map[string]any{"name": "Bia"})
	checkCounts(t, d.both(t), enlace.PushResults{})
	if d.local("a", "phone") != "2" || d.local("r77", "name") != "Bia" {
		t.Errorf("the host has %v, %v", d.rows["a"].fields, d.rows["r77"])
	}
	d.set("a", map[string]any{"phone": "3"})
	checkCounts(t, d.both(t), enlace.PushResults{Read: 1, Updated: 1})
	d.remove("a")
	checkCounts(t, d.both(t), enlace.PushResults{Read: 1, Deleted: 1})
	if all := snapshot(t, d.provider); all["1"] != nil || len(all) != 1 {
		t.Errorf("the provider has %v", all)
	}
}

func TestConflictPolicies(t *testing.T) {
	resolve := func(_ context.Context, c enlace.Conflict) (map[string]json.RawMessage, error) {
		if len(c.Fields) != 1 || c.Fields[0].Name != "phone" || string(c.Fields[0].Base) != `"1"` || string(c.Fields[0].Local) != `"2"` || string(c.Fields[0].Remote) != `"3"` {
			return nil, errors.New("not the conflict")
		}
		return map[string]json.RawMessage{"phone": json.RawMessage(`"2+3"`)}, nil
	}
	for _, test := range []struct {
		name  string
		edit  func(*enlace.SyncOptions)
		phone string
		won   enlace.ConflictPolicy
	}{
		{"remote", policy(enlace.ConflictRemote), "3", enlace.ConflictRemote},
		{"local", policy(enlace.ConflictLocal), "2", enlace.ConflictLocal},
		{"newest", policy(enlace.ConflictNewest), "3", enlace.ConflictRemote}, // the provider changed it later
		{"host", func(o *enlace.SyncOptions) { o.Resolve = resolve }, "2+3", enlace.ConflictHost},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := mergeDesk(t)
				time.Sleep(time.Minute)
				d.set("a", map[string]any{"phone": "2", "name": "Ana Prado"})
				time.Sleep(time.Minute)
				d.edit(t, "1", map[string]any{"phone": "3"})
				checkCounts(t, d.both(t, test.edit), enlace.PushResults{Read: 1, Updated: 1, Resolved: 1})
				r := snapshot(t, d.provider)["1"]
				if r["phone"] != test.phone || d.local("a", "phone") != test.phone || r["name"] != "Ana Prado" || d.local("a", "name") != "Ana Prado" {
					t.Errorf("the provider has %v, the host %v", r, d.rows["a"].fields)
				}
				list := d.conflicts(t, enlace.ConflictResolved)
				if len(list) != 1 || list[0].Policy != test.won || len(list[0].Fields) != 1 || string(list[0].Fields[0].Value) != `"`+test.phone+`"` {
					t.Errorf("listed: %+v", list)
				}
				checkCounts(t, d.both(t, test.edit), enlace.PushResults{})
			})
		})
	}
}

func TestConflictWaitsForADecision(t *testing.T) {
	d := mergeDesk(t)
	d.set("a", map[string]any{"phone": "2", "email": "local"})
	d.edit(t, "1", map[string]any{"phone": "3", "email": "remote"})
	for range 2 { // the second time it is the same conflict
		checkCounts(t, d.both(t), enlace.PushResults{Read: 1, Conflicts: 1})
		if r := snapshot(t, d.provider)["1"]; r["phone"] != "3" || d.local("a", "phone") != "2" {
			t.Errorf("something was written: %v, %v", r, d.rows["a"].fields)
		}
		if list := d.conflicts(t, enlace.ConflictOpen); len(list) != 1 || len(list[0].Fields) != 2 {
			t.Fatalf("listed: %+v", list)
		}
	}
	c := d.conflicts(t, enlace.ConflictOpen)[0]
	decide := func(version int64) error {
		_, err := d.service.ResolveConflict(t.Context(), d.ref, c.ID, version, enlace.ConflictLocal, map[string]json.RawMessage{"email": json.RawMessage(`"decided"`)})
		return err
	}
	if err := decide(c.Version - 1); !errors.Is(err, enlace.ErrConflict) {
		t.Errorf("deciding an old version: %v", err)
	}
	if err := decide(c.Version); err != nil {
		t.Fatal(err)
	}
	checkCounts(t, d.both(t), enlace.PushResults{Read: 1, Updated: 1, Resolved: 1})
	r := snapshot(t, d.provider)["1"]
	if r["phone"] != "2" || r["email"] != "decided" || d.local("a", "phone") != "2" || d.local("a", "email") != "decided" {
		t.Errorf("the provider has %v, the host %v", r, d.rows["a"].fields)
	}
	if open, all := d.conflicts(t, enlace.ConflictOpen), d.conflicts(t, ""); len(open) != 0 || len(all) != 1 {
		t.Errorf("%d open, %d listed", len(open), len(all))
	}
}

// A decision is for what the person saw.
func TestDecisionDoesNotCoverLaterChanges(t *testing.T) {
	d := mergeDesk(t)
	d.set("a", map[string]any{"phone": "2"})
	d.edit(t, "1", map[string]any{"phone": "3"})
	d.both(t)
	c := d.conflicts(t, enlace.ConflictOpen)[0]
	if _, err := d.service.ResolveConflict(t.Context(), d.ref, c.ID, c.Version, enlace.ConflictLocal, nil); err != nil {
		t.Fatal(err)
	}
	d.edit(t, "1", map[string]any{"phone": "4"})
	checkCounts(t, d.both(t), enlace.PushResults{Read: 1, Conflicts: 1})
	if r := snapshot(t, d.provider)["1"]; r["phone"] != "4" {
		t.Errorf("the decision went over a later change: %v", r)
	}
}

func TestDeletionAgainstChange(t *testing.T) {
	for _, test := range []struct {
		policy enlace.ConflictPolicy
		want   enlace.PushResults
		exists bool // on both sides afterwards
	}{
		{enlace.ConflictHold, enlace.PushResults{Read: 1, Conflicts: 1}, true},
		{enlace.ConflictLocal, enlace.PushResults{Read: 1, Deleted: 1, Resolved: 1}, false},
		{enlace.ConflictRemote, enlace.PushResults{Read: 1, Unchanged: 1, Resolved: 1}, true},
	} {
		d := mergeDesk(t)
		d.remove("a")
		d.edit(t, "1", map[string]any{"phone": "2"})
		checkCounts(t, d.both(t, policy(test.policy)), test.want)
		if got := snapshot(t, d.provider)["1"] != nil; got != test.exists {
			t.Errorf("local deletion, policy %q: it exists: %v", test.policy, got)
		}
		if test.policy == enlace.ConflictRemote && (d.rows["a"].deleted || d.local("a", "phone") != "2") {
			t.Errorf("the host does not have the provider's version: %+v", d.rows["a"])
		}
	}
	for _, test := range []struct {
		policy enlace.ConflictPolicy
		want   enlace.PushResults
		exists bool
	}{
		{enlace.ConflictHold, enlace.PushResults{Read: 1, Conflicts: 1}, false},
		{enlace.ConflictLocal, enlace.PushResults{Read: 1, Created: 1, Resolved: 1}, true},
		{enlace.ConflictRemote, enlace.PushResults{Read: 1, Unchanged: 1, Resolved: 1}, false},
	} {
		d := mergeDesk(t)
		d.set("a", map[string]any{"phone": "2"})
		d.provider.Delete("contacts", "1")
		checkCounts(t, d.both(t, policy(test.policy)), test.want)
		if got := len(snapshot(t, d.provider)) == 1; got != test.exists {
			t.Errorf("remote deletion, policy %q: it exists: %v", test.policy, got)
		}
		if test.policy == enlace.ConflictRemote && !d.rows["a"].deleted {
			t.Error("the host does not hear of the deletion")
		}
		if test.policy != enlace.ConflictHold {
			checkCounts(t, d.both(t, policy(test.policy)), enlace.PushResults{})
		}
	}
}

func TestOwnEchoDoesNotComeBack(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p)
	d.fill(3)
	d.mustPush(t)
	d.set("c0001", map[string]any{"email": "x@example.com"})
	d.mustPush(t)
	result, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: d})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.taken) != 0 {
		t.Errorf("the pull brought %d of our own changes back: %+v", len(d.taken), result.Entities["contacts"])
	}
	p.Put("contacts", "1", map[string]any{"name": "changed there"})
	if _, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: d}); err != nil || len(d.taken) != 1 {
		t.Errorf("%d records after another's change, %v", len(d.taken), err)
	}
}

// A value that goes back to what was sent before, after the provider's side had
// changed it meanwhile, is a change.
func TestValueThatComesBackIsSent(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p)
	d.set("a", map[string]any{"name": "one"})
	d.mustPush(t)
	p.Put("contacts", "1", map[string]any{"name": "two"})
	if _, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: d}); err != nil {
		t.Fatal(err)
	}
	d.set("a", map[string]any{"name": "one"})
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Updated: 1})
	if d.remote(t)["one"] == nil {
		t.Error("the provider still has the other value")
	}
}

// Random edits on both sides: after each run both have the same, an edit of one side
// is there, and where both have edited a field the policy's side is.
func TestMergeConverges(t *testing.T) {
	for seed := range 60 {
		synctest.Test(t, func(t *testing.T) { mergeScript(t, uint64(seed)) })
	}
}

func mergeScript(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 3))
	d := newDesk(t, fake.New(fake.Options{PageSize: 3}))
	names, fields := []string{"a", "b", "c", "d", "e"}, []string{"email", "phone", "city"}
	for _, name := range names {
		d.set(name, map[string]any{"name": name, "email": "0", "phone": "0", "city": "0"})
	}
	d.both(t)
	winner := []enlace.ConflictPolicy{enlace.ConflictLocal, enlace.ConflictRemote}[seed%2]
	for round := range 8 {
		want := map[string]map[string]string{}
		for _, name := range names {
			want[name] = map[string]string{}
			for _, f := range fields {
				want[name][f] = fmt.Sprint(d.local(name, f))
			}
			local, remote := map[string]any{}, map[string]any{}
			for _, f := range fields {
				value := fmt.Sprint(round, "-", random.IntN(3))
				if random.IntN(3) == 0 {
					remote[f] = value
					want[name][f] = value
				}
				if value = fmt.Sprint(round, "-", random.IntN(3)); random.IntN(3) == 0 {
					local[f] = value
					if _, both := remote[f]; !both || winner == enlace.ConflictLocal {
						want[name][f] = value
					}
				}
			}
			if len(remote) > 0 {
				d.edit(t, d.rows[name].remote, remote)
			}
			if len(local) > 0 {
				d.set(name, local)
			}
		}
		if random.IntN(4) == 0 { // a run that is cut off; the next one goes on
			d.provider.Fail(fake.Failure{Kind: fake.Reset, Effect: true, After: random.IntN(6), Times: 1 + random.IntN(3)})
			_, _ = d.push(t, func(o *enlace.SyncOptions) { o.Direction, o.Sink = enlace.Bidirectional, d }, policy(winner))
			d.provider.Heal()
			time.Sleep(time.Hour)
		}
		d.both(t, policy(winner))
		there := checkUnique(t, d.provider)
		for _, name := range names {
			for _, f := range fields {
				if l, r := d.local(name, f), there[name][f]; l != want[name][f] || r != want[name][f] {
					t.Fatalf("script %d, round %d: %s of %s is %v at the host and %v at the provider, want %v", seed, round, f, name, l, r, want[name][f])
				}
			}
		}
	}
}
