package enlace_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/live"
)

// What a push has left as the last state is read back without the provider, and a new mapping is tried on it.
func TestKeptRecords(t *testing.T) {
	const contacts = 250 // more than a page of states
	p := fake.New(fake.Options{})
	d := newDesk(t, p, withMappings)
	d.fill(contacts)
	d.mustPush(t)
	before := p.Requests("")
	n := 0
	for r, err := range d.service.KeptRecords(t.Context(), d.ref, "contacts") {
		if err != nil {
			t.Fatal(err)
		}
		var fields struct{ Name, Email string }
		if err := r.Decode(&fields); err != nil || fields.Email != fields.Name+"@example.com" || r.ID == "" || r.Entity != "contacts" {
			t.Fatalf("%+v %v", r, err)
		}
		n++
	}
	if n != contacts {
		t.Errorf("%d records are kept", n)
	}
	v, err := d.service.SaveMapping(t.Context(), enlace.MappingVersion{Ref: d.ref, Entity: "contacts",
		Document: document(mapping.Mapping{Name: "contacts", Fields: []mapping.Field{{From: "email", To: "mail"}}})})
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]int{0: 0, 10: 10, 1000: contacts} {
		report, err := live.Shadow(t.Context(), d.service, v.Key(), live.KeptPayloads(t.Context(), d.service, d.ref, "contacts", limit), mapping.ShadowOptions{})
		if err != nil || report.Payloads != want || report.Changed != want {
			t.Errorf("%d: %+v %v", limit, report, err)
		}
	}
	if p.Requests("") != before {
		t.Error("the provider was asked")
	}
	for _, other := range []enlace.Ref{{Tenant: "other", ID: d.ref.ID}, {Tenant: d.ref.Tenant, ID: "x"}} {
		for r := range d.service.KeptRecords(t.Context(), other, "contacts") {
			t.Error("another integration's record:", r.ID)
		}
	}
}

// A last state that was moved to another record does not open.
func TestKeptRecordsAreBound(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p)
	d.fill(2)
	d.mustPush(t)
	states, _, err := d.store.RecordStates(t.Context(), enlace.RecordQuery{Ref: d.ref, Entity: "contacts"})
	if err != nil || len(states) != 2 {
		t.Fatal(len(states), err)
	}
	states[1].Base = states[0].Base
	if err := d.store.SaveRecordStates(t.Context(), d.ref, "contacts", states[1:]); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range d.service.KeptRecords(t.Context(), d.ref, "contacts") {
		got = append(got, fmt.Sprint(len(r.Data) > 0, errors.Is(err, enlace.ErrKey)))
	}
	if fmt.Sprint(got) != "[true false false true]" {
		t.Error(got)
	}
}
