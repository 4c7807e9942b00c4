package fake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/google/go-cmp/cmp"
)

type contact struct {
	Name      string  `json:"name,omitempty"`
	Email     string  `json:"email,omitempty"`
	CompanyID *string `json:"company_id,omitempty"`
}

// contacts are what the provider holds, by id.
func contacts(t *testing.T, p *fake.Provider) map[string]contact {
	t.Helper()
	all := map[string]contact{}
	for _, r := range p.Records("contacts") {
		c, err := enlace.DecodeRecord[contact](r)
		if err != nil {
			t.Fatal(err)
		}
		all[r.ID] = c
	}
	return all
}

// checkAckData compares what an answer holds with what Pull gives.
func checkAckData(t *testing.T, p *fake.Provider, m enlace.Mutation, ack enlace.Ack) {
	t.Helper()
	if m.Op == enlace.OpDelete {
		return
	}
	for _, r := range p.Records(m.Entity) {
		if r.ID == ack.ID && (string(r.Data) != string(ack.Data) || !r.Modified.Equal(ack.Modified)) {
			t.Errorf("the answer holds %s of %v, the record is %s of %v", ack.Data, ack.Modified, r.Data, r.Modified)
		}
	}
}

func TestPush(t *testing.T) {
	p := fake.New(fake.Options{})
	c := newHost(t, p, p.APIKey()).conn()
	push := func(m enlace.Mutation) enlace.Ack {
		t.Helper()
		m.Entity = "contacts"
		ack, err := fake.Adapter{}.Push(t.Context(), c, m)
		if err != nil {
			t.Fatal(err)
		}
		checkAckData(t, p, m, ack)
		ack.Data, ack.Modified = nil, time.Time{}
		return ack
	}
	acks := []enlace.Ack{
		push(enlace.Mutation{Op: enlace.OpCreate, Data: contact{Name: "Ann"}}),
		push(enlace.Mutation{Op: enlace.OpUpdate, ID: "1", Data: contact{Email: "ann@example.com"}}),
		push(enlace.Mutation{Op: enlace.OpUpsert, ID: "x/ y", Data: contact{Name: "Bob"}}),
		push(enlace.Mutation{Op: enlace.OpUpsert, ID: "1", Data: contact{Name: "Anna"}}),
		push(enlace.Mutation{Op: enlace.OpCreate, Data: contact{Name: "Eve"}}),
		push(enlace.Mutation{Op: enlace.OpDelete, ID: "2"}),
		push(enlace.Mutation{Op: enlace.OpDelete, ID: "2"}), // as a repetition would find it
	}
	want := []enlace.Ack{{ID: "1", Created: true}, {ID: "1"}, {ID: "x/ y", Created: true}, {ID: "1"}, {ID: "2", Created: true}, {ID: "2"}, {ID: "2"}}
	if diff := cmp.Diff(want, acks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]contact{"1": {Name: "Anna"}, "x/ y": {Name: "Bob"}}, contacts(t, p)); diff != "" {
		t.Error(diff)
	}
	if n := p.Effects(fake.OpDelete); n != 1 {
		t.Errorf("%d deletions, want 1", n)
	}
}

func TestUpdateKeepsOtherFields(t *testing.T) {
	p := fake.New(fake.Options{})
	p.Put("contacts", "7", contact{Name: "Ann", Email: "ann@example.com"})
	_, err := fake.Adapter{}.Push(t.Context(), newHost(t, p, p.APIKey()).conn(),
		enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "7", Data: contact{Name: "Anna"}})
	if diff := cmp.Diff(map[string]contact{"7": {Name: "Anna", Email: "ann@example.com"}}, contacts(t, p)); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestPushRefusals(t *testing.T) {
	p := fake.New(fake.Options{})
	p.Seed("companies", 1)
	c := newHost(t, p, p.APIKey()).conn()
	for _, test := range []struct {
		want string
		m    enlace.Mutation
	}{
		{"unsupported", enlace.Mutation{Entity: "notes", Op: enlace.OpCreate, Data: contact{}}},
		{"unsupported", enlace.Mutation{Entity: "leads", Op: enlace.OpCreate, Data: contact{}}},
		{"unsupported", enlace.Mutation{Entity: "contacts", Op: "merge", Data: contact{}}},
		{"not_found", enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "9", Data: contact{}}},
		{"not_found", enlace.Mutation{Entity: "contacts", Op: enlace.OpDelete, ID: "9"}},
		{"invalid", enlace.Mutation{Entity: "contacts", Op: enlace.OpUpsert, Data: contact{}}},
		{"invalid", enlace.Mutation{Entity: "contacts", Op: enlace.OpDelete, ID: ".."}},
		{"invalid", enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: "text"}},
		{"invalid", enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: func() {}}},
		{"invalid", enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: contact{CompanyID: new("2")}}},
	} {
		_, err := fake.Adapter{}.Push(t.Context(), c, test.m)
		kind(t, err, test.want)
	}
	if p.Effects("") != 0 {
		t.Error("a refused write took effect")
	}
	if _, err := (fake.Adapter{}).Push(t.Context(), c, enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: contact{CompanyID: new("1")}}); err != nil {
		t.Error(err)
	}
}

// How often a create arrives and takes effect when its answer is lost: a second
// time only if it has a key, and then to no effect.
func TestCreateWithLostAnswer(t *testing.T) {
	for name, failure := range map[string]fake.Failure{
		"server error": {Status: 500, Effect: true}, "reset": {Kind: fake.Reset, Effect: true},
		"hang": {Kind: fake.Hang, Effect: true}, "html": {Kind: fake.HTML, Effect: true}, "truncated": {Kind: fake.Truncated},
	} {
		for key, requests := range map[string]int{"": 1, "key": 2} {
			t.Run(fmt.Sprintf("%s %q", name, key), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := fake.New(fake.Options{})
					c := newHost(t, p, p.APIKey()).conn()
					p.Fail(failure)
					_, err := fake.Adapter{}.Push(t.Context(), c,
						enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: contact{Name: "Ann"}, Key: key})
					if (err == nil) != (key != "") {
						t.Errorf("error %v", err)
					}
					if e, ok := errors.AsType[*enlace.Error](err); ok && e.Outcome != enlace.OutcomeUnknown {
						t.Errorf("outcome %v of %v", e.Outcome, err)
					}
					if p.Requests(fake.OpCreate) != requests || p.Effects(fake.OpCreate) != 1 || len(p.Records("contacts")) != 1 {
						t.Errorf("arrived %d times, took effect %d times; want %d and 1", p.Requests(fake.OpCreate), p.Effects(fake.OpCreate), requests)
					}
				})
			})
		}
	}
}

// A create that certainly did not run is repeated without a key.
func TestCreateThatDidNotRun(t *testing.T) {
	for name, failure := range map[string]fake.Failure{"rate limit": {Status: 429}, "unreachable": {Kind: fake.Unreachable}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := fake.New(fake.Options{})
				c := newHost(t, p, p.APIKey()).conn()
				p.Fail(failure)
				_, err := fake.Adapter{}.Push(t.Context(), c, enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: contact{}})
				if err != nil || p.Effects(fake.OpCreate) != 1 {
					t.Errorf("%v, took effect %d times", err, p.Effects(fake.OpCreate))
				}
			})
		})
	}
}

func TestPushBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{})
		p.Put("contacts", "old", contact{Name: "Old"})
		c := newHost(t, p, p.APIKey()).conn()
		p.Fail(fake.Failure{Op: fake.OpBatch, Kind: fake.Reset, Effect: true})
		results, err := fake.Adapter{}.PushBatch(t.Context(), c, []enlace.Mutation{
			{Entity: "contacts", Op: enlace.OpCreate, Data: contact{Name: "Ann"}, Key: "1"},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "404", Data: contact{Name: "Nobody"}},
			{Entity: "notes", Op: enlace.OpCreate, Data: contact{}, Key: "2"},
			{Entity: "contacts", Op: enlace.OpDelete, ID: "old"},
			{Entity: "deals", Op: enlace.OpCreate, Data: map[string]string{"contact_id": "404"}, Key: "3"},
			{Entity: "notes", Op: enlace.OpRead, ID: "n", Data: contact{}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range results {
			got = append(got, fmt.Sprintf("%s %v %s", r.Ack.ID, r.Ack.Created, enlace.KindLabel(r.Err)))
		}
		want := []string{"1 true ", " false not_found", " false unsupported", "old false ", " false invalid", " false unsupported"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]contact{"1": {Name: "Ann"}}, contacts(t, p)); diff != "" {
			t.Error(diff)
		}
		if p.Requests("") != 2 || p.Effects(fake.OpCreate) != 1 || p.Effects("") != 2 {
			t.Errorf("%d requests, %d creates, %d effects; want 2, 1, 2", p.Requests(""), p.Effects(fake.OpCreate), p.Effects(""))
		}
	})
}

func TestBatchWithAnUnkeyedCreateIsNotRepeated(t *testing.T) {
	p := fake.New(fake.Options{})
	c := newHost(t, p, p.APIKey()).conn()
	p.Fail(fake.Failure{Kind: fake.Reset, Effect: true})
	_, err := fake.Adapter{}.PushBatch(t.Context(), c, []enlace.Mutation{{Entity: "contacts", Op: enlace.OpCreate, Data: contact{}}})
	kind(t, err, "unavailable")
	if p.Requests("") != 1 {
		t.Errorf("%d requests, want 1", p.Requests(""))
	}
	_, err = fake.Adapter{}.PushBatch(t.Context(), c, make([]enlace.Mutation, fake.Adapter{}.MaxBatch()+1))
	kind(t, err, "invalid")
	if results, err := (fake.Adapter{}).PushBatch(t.Context(), c, nil); results != nil || err != nil {
		t.Errorf("an empty batch gives %v, %v", results, err)
	}
}

func TestPutNeedsSense(t *testing.T) {
	p := fake.New(fake.Options{})
	for name, misuse := range map[string]func(){
		"entity": func() { p.Seed("leads", 1) },
		"id":     func() { p.Put("contacts", "", contact{}) },
		"data":   func() { p.Put("contacts", "1", json.RawMessage("null")) },
		"event":  func() { p.Delivery("https://a.example", enlace.Event{Type: "x"}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse()
		}()
	}
}
