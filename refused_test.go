package enlace_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/mapping"
)

// ages is a mapping that refuses contacts whose age is no whole number.
func ages(or ...mapping.Literal) []mapping.Field {
	return []mapping.Field{{From: "name", To: "name"}, {From: "age", To: "age", Type: mapping.Integer, Empty: or}}
}

func (d *desk) pull(t testing.TB, edit ...func(*enlace.SyncOptions)) enlace.EntityResult {
	t.Helper()
	o := enlace.SyncOptions{Entities: []string{"contacts"}, Sink: d}
	for _, e := range edit {
		e(&o)
	}
	result, err := d.service.Sync(t.Context(), d.ref, o)
	if err != nil {
		t.Fatal(err)
	}
	return result.Entities["contacts"]
}

// names lists the names that the host has.
func (d *desk) names() string {
	var all []string
	for _, r := range d.rows {
		all = append(all, fmt.Sprint(r.fields["name"]))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (d *desk) refused(t testing.TB) (all []string) {
	t.Helper()
	list, _, err := d.service.RefusedRecords(t.Context(), enlace.RefusedQuery{Ref: d.ref})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		all = append(all, fmt.Sprintf("%s mapping %d tries %d", r.RecordID, r.Mapping, r.Tries))
		if !strings.Contains(r.Error, "the value at age is no integer") || strings.Contains(r.Error, "forty") {
			t.Errorf("the cause is %q", r.Error)
		}
	}
	return all
}

// One record that cannot be mapped does not hold the others up, and is not forgotten.
func TestRefusedRecordsArePutAside(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 2})
	d := newDesk(t, p, withMappings)
	for i, age := range []any{1, "forty", 3, 4, "fifty"} {
		p.Put("contacts", fmt.Sprint("c", i), map[string]any{"name": fmt.Sprint("n", i), "age": age})
	}
	mapContacts(t, d, ages()...)
	if result := d.pull(t); result.Refused != 2 || !result.Complete || d.names() != "n0 n2 n3" {
		t.Errorf("%+v, the host has %s", result, d.names())
	}
	if got := fmt.Sprint(d.refused(t)); got != "[c1 mapping 1 tries 1 c4 mapping 1 tries 1]" {
		t.Error(got)
	}
	requests := p.Requests(fake.OpFetch)
	d.pull(t)
	if p.Requests(fake.OpFetch) != requests {
		t.Error("a record was read again for the mapping that has refused it")
	}

	p.Put("contacts", "c1", map[string]any{"name": "n1", "age": 40}) // the provider's side is put right
	if result := d.pull(t); result.Refused > 1 || d.names() != "n0 n1 n2 n3" {
		t.Errorf("%+v, the host has %s", result, d.names())
	}
	if got := d.refused(t); len(got) != 1 || !strings.HasPrefix(got[0], "c4 mapping 1") {
		t.Error(got)
	}
	mapContacts(t, d, ages(mapping.Of("fifty"))...) // or the mapping is
	if result := d.pull(t); result.Refused != 0 || d.names() != "n0 n1 n2 n3 n4" || len(d.refused(t)) != 0 {
		t.Errorf("%+v, the host has %s, put aside are %v", result, d.names(), d.refused(t))
	}

	p.Put("contacts", "c9", map[string]any{"name": "n9", "age": "forty"})
	d.pull(t)
	p.Delete("contacts", "c9")
	mapContacts(t, d, ages(mapping.Of("fifty"), mapping.Of("-"))...)
	if d.pull(t); len(d.refused(t)) != 0 {
		t.Error("a record that is gone stays put aside:", d.refused(t))
	}
	if err := d.service.Delete(t.Context(), d.ref); err != nil {
		t.Error(err)
	}
}

// A mapping that refuses everything is wrong, and ends the run.
func TestTooManyRefusedRecordsEndTheRun(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p, withMappings)
	p.Seed("contacts", 1200)
	mapContacts(t, d, mapping.Field{From: "name", To: "age", Type: mapping.Integer})
	_, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: d})
	if !errors.Is(err, enlace.ErrInvalid) || !strings.Contains(err.Error(), "RefusedRecords") {
		t.Error(err)
	}
}
