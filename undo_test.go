package enlace_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/google/go-cmp/cmp"
)

// snapshot is the provider's contacts by id, without the time of their change.
func snapshot(t testing.TB, p *fake.Provider) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, r := range p.Records("contacts") {
		f, err := enlace.DecodeRecord[map[string]any](r)
		if err != nil {
			t.Fatal(err)
		}
		delete(f, "updated_at")
		all[r.ID] = f
	}
	return all
}

// mixedBatch makes a desk whose next push is one batch of 50: creates, updates
// that change, add and empty fields, and deletions.
func mixedBatch(t *testing.T, o fake.Options) *desk {
	p := fake.New(o)
	d := newDesk(t, p)
	d.fill(35)
	d.mustPush(t)
	for i := range 20 {
		d.set(fmt.Sprintf("c%04d", i), map[string]any{"email": fmt.Sprint("new", i), "phone": "1", "name": nil})
	}
	for i := range 15 {
		d.remove(fmt.Sprintf("c%04d", 20+i))
	}
	for i := range 15 {
		id := fmt.Sprintf("n%04d", i)
		d.set(id, map[string]any{"name": id})
	}
	return d
}

func rollback(o *enlace.SyncOptions) { o.OnError = enlace.OnErrorRollback }

// A batch of 50 fails at every position: everything is taken back.
func TestRollbackAtEveryPosition(t *testing.T) {
	for position := 1; position <= 50; position++ {
		d := mixedBatch(t, fake.Options{})
		before := snapshot(t, d.provider)
		d.provider.Fail(fake.Failure{Item: position, Status: 422})
		counts, err := d.push(t, rollback)
		if !errors.Is(err, enlace.ErrInvalid) || counts.RolledBack != 49 || counts.Failed != 1 || len(counts.NotUndone) != 0 {
			t.Fatalf("position %d: %+v, %v", position, counts, err)
		}
		if diff := cmp.Diff(before, snapshot(t, d.provider)); diff != "" {
			t.Fatalf("position %d: the provider is not as before (-before +after):\n%s", position, diff)
		}
		if len(d.accepted) != 35 {
			t.Errorf("position %d: the source was told of what was taken back", position)
		}
		// The failure has gone: the same batch goes through, once each.
		counts, err = d.push(t, rollback)
		if err != nil || counts.Created != 15 || counts.Updated != 20 || counts.Deleted != 15 || len(snapshot(t, d.provider)) != 35 {
			t.Fatalf("position %d, again: %+v, %v", position, counts, err)
		}
	}
}

// Somebody else works on the records while the batch is taken back: what then
// differs from before is named, all of it.
func TestRollbackNamesEveryDifference(t *testing.T) {
	for position := 1; position <= 50; position++ {
		d := mixedBatch(t, fake.Options{})
		before := snapshot(t, d.provider)
		d.provider.Fail(fake.Failure{Item: position, Status: 422})
		var written []string // the provider's ids, in the order of the batch
		for _, id := range slices.Sorted(maps.Keys(d.rows)) {
			written = append(written, d.rows[id].remote)
		}
		// Between the batch and its rollback others change a record that was updated and
		// one that was created.
		d.provider.AfterBatch(func() {
			for i, r := range d.provider.Records("contacts") {
				if i == 3 || i == 30 {
					d.provider.Put("contacts", r.ID, map[string]any{"name": "another's", "email": "theirs"})
				}
			}
		})
		counts, err := d.push(t, rollback)
		if err == nil {
			t.Fatal("no error")
		}
		named := map[string]bool{}
		for _, n := range counts.NotUndone {
			named[n.RemoteID] = true
		}
		after := snapshot(t, d.provider)
		for _, id := range slices.Sorted(maps.Keys(before)) {
			if id == written[position-1] {
				continue // it is not ours: our write was refused
			}
			if diff := cmp.Diff(before[id], after[id]); diff != "" && !named[id] {
				t.Errorf("position %d: record %s differs and is not named (-before +after):\n%s", position, id, diff)
			}
		}
		for id := range after {
			if before[id] == nil && !named[id] {
				t.Errorf("position %d: record %s is left and not named", position, id)
			}
		}
		if len(named) == 0 {
			t.Errorf("position %d: nothing is named", position)
		}
	}
}

// Where the answer to the batch is lost nobody knows what happened; it is found
// out first.
func TestRollbackAfterALostAnswer(t *testing.T) {
	d := mixedBatch(t, fake.Options{})
	before := snapshot(t, d.provider)
	d.provider.Fail(fake.Failure{Op: fake.OpBatch, Kind: fake.Reset, Effect: true})
	d.provider.Fail(fake.Failure{Op: fake.OpCreate, Item: 2, Status: 422, Times: 1})
	counts, err := d.push(t, rollback)
	if err == nil {
		t.Fatalf("%+v", counts)
	}
	checkDifferences(t, before, snapshot(t, d.provider), counts.NotUndone)
}

// checkDifferences demands that what differs is named.
func checkDifferences(t *testing.T, before, after map[string]map[string]any, named []enlace.Difference) {
	t.Helper()
	names := map[string]bool{}
	for _, n := range named {
		names[n.RemoteID], names[n.LocalID] = true, true
	}
	for id := range maps.Keys(before) {
		if diff := cmp.Diff(before[id], after[id]); diff != "" && !names[id] {
			t.Errorf("record %s differs and is not named (-before +after):\n%s", id, diff)
		}
	}
	for id, f := range after {
		if before[id] == nil && !names[id] && !names[fmt.Sprint(f["name"])] {
			t.Errorf("record %s is left and not named: %v", id, f)
		}
	}
}

func TestUndoTakesARunBack(t *testing.T) {
	d := mixedBatch(t, fake.Options{})
	before := snapshot(t, d.provider)
	o := enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: d, OnError: enlace.OnErrorRollback}
	result, err := d.service.Sync(t.Context(), d.ref, o)
	if err != nil {
		t.Fatal(err)
	}
	report, err := d.service.Undo(t.Context(), "acme", result.RunID)
	if err != nil || report.Undone != 50 || len(report.NotUndone) != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if diff := cmp.Diff(before, snapshot(t, d.provider)); diff != "" {
		t.Errorf("the provider is not as before (-before +after):\n%s", diff)
	}
	if report, err = d.service.Undo(t.Context(), "acme", result.RunID); err != nil || report.Undone != 0 {
		t.Errorf("a second time: %+v, %v", report, err)
	}
	if _, err := d.service.Undo(t.Context(), "other", result.RunID); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("another tenant's run: %v", err)
	}
}

func TestUndoOfARunWithoutImages(t *testing.T) {
	d := mixedBatch(t, fake.Options{})
	result, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: d})
	if err != nil {
		t.Fatal(err)
	}
	report, err := d.service.Undo(t.Context(), "acme", result.RunID)
	if err != nil || report.Undone != 15 || len(report.NotUndone) != 35 {
		t.Fatalf("%d undone, %d not, %v", report.Undone, len(report.NotUndone), err)
	}
	for _, n := range report.NotUndone {
		if !strings.Contains(n.Problem, "not known") || n.LocalID == "" || n.RemoteID == "" {
			t.Errorf("%+v", n)
		}
	}
}
