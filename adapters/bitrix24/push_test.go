package bitrix24_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/google/go-cmp/cmp"
)

// conn opens the host's account.
func (h *host) conn() *enlace.Conn {
	h.t.Helper()
	c, err := h.service.Conn(h.t.Context(), h.ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// count is how many records there are, as the portal itself counts them.
func (h *host) count(entity string) int {
	h.t.Helper()
	quiet := webhookHost(h.t, h.portal, map[string]string{"lanes": "1"})
	records, _, err := quiet.pull(enlace.PullRequest{Entity: entity}, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return len(records)
}

func (h *host) push(m enlace.Mutation) (enlace.Ack, error) {
	h.t.Helper()
	ack, err := bitrix24.Adapter{}.Push(h.t.Context(), h.conn(), m)
	h.note(err)
	return ack, err
}

// mustPush is a mutation that must succeed.
func (h *host) mustPush(m enlace.Mutation) enlace.Ack {
	h.t.Helper()
	ack, err := h.push(m)
	if err != nil {
		h.t.Fatalf("%s %s: %v", m.Op, m.Entity, err)
	}
	return ack
}

// get reads a record as an object.
func (h *host) get(entity, id string) map[string]any {
	h.t.Helper()
	records, err := bitrix24.Adapter{}.Fetch(h.t.Context(), h.conn(), entity, []string{id})
	if err != nil || len(records) != 1 || records[0].Deleted {
		h.t.Fatalf("%s %s: %v, %v", entity, id, records, err)
	}
	object, err := enlace.DecodeRecord[map[string]any](records[0])
	if err != nil {
		h.t.Fatal(err)
	}
	return object
}

// in runs a test in a bubble with a connected host.
func in(t *testing.T, options bitrix24test.Options, settings map[string]string, run func(h *host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(options)
		h := webhookHost(t, portal, settings)
		run(h)
		h.showsNoSecret(secretOf(portal))
	})
}

func TestLifeOfRecords(t *testing.T) {
	in(t, bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3, Title: "Projects"}}}, nil, func(h *host) {
		for entity, data := range map[string]map[string]any{
			"contacts":    {"name": "Dora", "UF_CRM_1700000001": "NIF 1", "fm": []any{map[string]any{"typeId": "EMAIL", "valueType": "WORK", "value": "dora@example.org"}}},
			"companies":   {"title": "Acme", "revenue": 12.5},
			"deals":       {"title": "Order 77", "categoryId": 0, "stageId": "NEW", "opportunity": 150.5, "currencyId": "EUR"},
			"leads":       {"title": "Lead", "name": "Eve", "comments": nil, "post": ""},
			"dynamic_128": {"title": "P1", "UF_CRM_3_1700000001": "x"},
		} {
			created := h.mustPush(enlace.Mutation{Entity: entity, Op: enlace.OpCreate, Data: data})
			if !created.Created || created.ID == "" {
				h.t.Fatalf("%s: %+v", entity, created)
			}
			record := h.get(entity, created.ID)
			for name, value := range data {
				if name != "fm" && value != nil && value != "" && fmt.Sprint(record[name]) != fmt.Sprint(value) {
					h.t.Errorf("%s: %s is %v, want %v", entity, name, record[name], value)
				}
			}
			ack := h.mustPush(enlace.Mutation{Entity: entity, Op: enlace.OpUpdate, ID: created.ID, Data: map[string]any{"comments": "changed"}})
			if ack.ID != created.ID || ack.Created || h.get(entity, created.ID)["comments"] != "changed" {
				h.t.Errorf("%s: %+v", entity, ack)
			}
			for range 2 { // what is gone is gone
				if ack := h.mustPush(enlace.Mutation{Entity: entity, Op: enlace.OpDelete, ID: created.ID}); ack.ID != created.ID {
					h.t.Errorf("%s: %+v", entity, ack)
				}
			}
			if _, err := h.push(enlace.Mutation{Entity: entity, Op: enlace.OpUpdate, ID: created.ID, Data: map[string]any{"comments": "x"}}); !errors.Is(err, enlace.ErrNotFound) {
				h.t.Errorf("%s: updating what is gone: %v", entity, err)
			}
		}
	})
}

func TestObjects(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		company, created, err := bitrix24.Create(ctx, c, bitrix24.Company{Title: "Acme", Revenue: "100.50"}, "company-1")
		if err != nil || !created {
			h.t.Fatal(created, err)
		}
		want := bitrix24.Contact{
			Item: bitrix24.Item{Opened: "Y", Comments: "[b]x[/b]", UserFields: map[string]any{"UF_CRM_1700000001": "NIF 1"}},
			Name: "Ana", LastName: "Lima", Birthdate: "1990-02-28", CompanyID: company,
			Multifields: bitrix24.Multifields{{TypeID: bitrix24.Phone, ValueType: "MOBILE", Value: "+55 11 99999-0000"}},
		}
		id, _, err := bitrix24.Create(ctx, c, want, "")
		if err != nil {
			h.t.Fatal(err)
		}
		got, err := bitrix24.Get[bitrix24.Contact](ctx, c, id)
		if err != nil {
			h.t.Fatal(err)
		}
		if got.ID != id || got.Name != "Ana" || got.Birthdate != "1990-02-28" || got.CompanyID != company || !slices.Equal(got.CompanyIDs, []bitrix24.ID{company}) ||
			got.UserFields["UF_CRM_1700000001"] != "NIF 1" || got.CreatedTime.IsZero() || got.Comments != want.Comments {
			h.t.Errorf("%+v", got)
		}
		if phones := got.Multifields.Values(bitrix24.Phone); len(phones) != 1 || phones[0] != "+55 11 99999-0000" || got.Multifields[0].ID == 0 {
			h.t.Errorf("%+v", got.Multifields)
		}
		// What was read can be written again, and changes nothing.
		before := got.UpdatedTime
		time.Sleep(time.Minute)
		if err := bitrix24.Update[bitrix24.Contact](ctx, c, id, got); err != nil {
			h.t.Fatal(err)
		}
		again, err := bitrix24.Get[bitrix24.Contact](ctx, c, id)
		if err != nil || !again.UpdatedTime.Equal(before.Time) {
			h.t.Errorf("changed at %v, before at %v: %v", again.UpdatedTime, before, err)
		}
		general := bitrix24.ID(0)
		deal, _, err := bitrix24.Create(ctx, c, bitrix24.Deal{Title: "Order", Opportunity: "150.50", CategoryID: &general, ContactIDs: []bitrix24.ID{id}}, "")
		if err != nil {
			h.t.Fatal(err)
		}
		read, err := bitrix24.Get[bitrix24.Deal](ctx, c, deal)
		if err != nil || read.Opportunity != "150.5" || read.ContactID != id || *read.CategoryID != 0 || read.StageSemanticID != "P" {
			h.t.Errorf("%+v: %v", read, err)
		}
		lead, created, err := bitrix24.Upsert(ctx, c, bitrix24.Lead{Title: "L", Item: bitrix24.Item{OriginID: "o-1"}}, "")
		if err != nil || !created {
			h.t.Fatal(created, err)
		}
		same, created, err := bitrix24.Upsert(ctx, c, bitrix24.Lead{Title: "M", Item: bitrix24.Item{OriginID: "o-1"}}, "")
		if err != nil || created || same != lead {
			h.t.Error(same, created, err)
		}
		if l, err := bitrix24.Get[bitrix24.Lead](ctx, c, lead); err != nil || l.Title != "M" || l.OriginatorID != bitrix24.Originator || !l.DateClosed.IsZero() {
			h.t.Errorf("%+v: %v", l, err)
		}
		if err := bitrix24.Delete[bitrix24.Lead](ctx, c, lead); err != nil {
			h.t.Fatal(err)
		}
		if _, err := bitrix24.Get[bitrix24.Lead](ctx, c, lead); !errors.Is(err, enlace.ErrNotFound) {
			h.t.Error(err)
		}
		if _, err := bitrix24.Get[bitrix24.Lead](ctx, c, 0); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
	})
}

// TestRefusedMutations are refused without a request, or by the portal (T08, T12).
func TestRefusedMutations(t *testing.T) {
	in(t, bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3}}}, nil, func(h *host) {
		here := []struct {
			m    enlace.Mutation
			kind error
		}{
			{enlace.Mutation{Entity: "activities", Op: enlace.OpCreate, Data: map[string]any{}}, enlace.ErrUnsupported},
			{enlace.Mutation{Entity: "dynamic_5", Op: enlace.OpCreate, Data: map[string]any{}}, enlace.ErrUnsupported},
			{enlace.Mutation{Entity: "dynamic_128", Op: enlace.OpUpsert, Data: map[string]any{"title": "x"}}, enlace.ErrUnsupported},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpRead}, enlace.ErrUnsupported},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, Data: map[string]any{}}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "7 OR 1", Data: map[string]any{}}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpDelete, ID: "-7"}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: "oops"}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: nil}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: func() {}}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"fm": "+351"}}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "x", "fm": []any{map[string]any{"value": "+351"}}}}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "x"}, Key: strings.Repeat("k", 256)}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "deals", Op: enlace.OpUpsert, Data: map[string]any{"title": "x"}}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpUpsert, Data: map[string]any{"name": "x", "fm": []any{map[string]any{"typeId": "WEB", "value": "x"}}}}, enlace.ErrInvalid},
		}
		for _, test := range here {
			_, err := h.push(test.m)
			if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, test.kind) || e.Outcome != enlace.OutcomeNotRun {
				h.t.Errorf("%s %s %s %v: %v", test.m.Op, test.m.Entity, test.m.ID, test.m.Data, err)
			}
		}
		if n := h.portal.Stats().Requests; n != 0 {
			h.t.Errorf("%d requests were sent", n)
		}
		for _, test := range []struct {
			m    enlace.Mutation
			kind error
		}{
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "X", "fm": []any{map[string]any{"typeId": "EMAIL", "value": "not-an-email"}}}}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"post": "nobody"}}, enlace.ErrInvalid},
			{enlace.Mutation{Entity: "deals", Op: enlace.OpUpdate, ID: "999999", Data: map[string]any{"title": "x"}}, enlace.ErrNotFound},
			{enlace.Mutation{Entity: "dynamic_999", Op: enlace.OpDelete, ID: "1"}, enlace.ErrNotFound}, // a kind that is not there
		} {
			_, err := h.push(test.m)
			if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, test.kind) || e.Outcome == enlace.OutcomeUnknown {
				h.t.Errorf("%s %s %v: %v", test.m.Op, test.m.Entity, test.m.Data, err)
			}
		}
	})
}

// TestLostCreates lets the answer to a create be lost in every way. With a key the
// record is there once, however often the create is pushed; without one it is not sent
// again, and the outcome is open.
func TestLostCreates(t *testing.T) {
	for _, keyed := range []bool{true, false} {
		for _, kind := range []bitrix24test.FaultKind{bitrix24test.HTML500, bitrix24test.HTML502, bitrix24test.HTML200, bitrix24test.Hang, bitrix24test.Reset,
			bitrix24test.TruncatedJSON, bitrix24test.BrokenBody, bitrix24test.SlowDrip, bitrix24test.RateLimited, bitrix24test.OperatingLimit, bitrix24test.Refuse} {
			for _, times := range []int{1, -1} {
				bubble(t, fmt.Sprintf("%s, %d times, key %v", faultNames[kind], times, keyed), func(t *testing.T) {
					portal := bitrix24test.New(bitrix24test.Options{})
					portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 3})
					h := webhookHost(t, portal, nil)
					m := enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "Eve"}}
					if keyed {
						m.Key = "k-1"
					}
					portal.Fault(bitrix24test.Fault{Method: "crm.item.add", Kind: kind, Times: times, Delay: time.Minute, Status: 500, Code: "INTERNAL_SERVER_ERROR"})
					ack, err := h.push(m)
					ran := h.count("contacts") - 3
					sent := portal.Stats().Methods["crm.item.add"].Requests
					e, _ := errors.AsType[*enlace.Error](err)
					switch {
					case err == nil && (!ack.Created || ran != 1):
						t.Errorf("an ack %+v for %d records", ack, ran)
					case err == nil && !keyed && kind != bitrix24test.RateLimited:
						t.Errorf("an ack without an answer")
					case err != nil && ran > 0 && e.Outcome != enlace.OutcomeUnknown:
						t.Errorf("it ran, and is reported as %v", e.Outcome)
					case err != nil && (kind == bitrix24test.RateLimited || kind == bitrix24test.OperatingLimit) && e.Outcome != enlace.OutcomeNotRun:
						t.Errorf("refused before it ran, and reported as %v", e.Outcome)
					}
					if sent > 1 && kind != bitrix24test.RateLimited {
						t.Errorf("sent %d times", sent)
					}
					portal.ClearFaults()
					time.Sleep(11 * time.Minute)
					if keyed {
						for range 3 {
							again := h.mustPush(m)
							if ack.ID != "" && again.ID != ack.ID {
								t.Errorf("pushed again it is %s, before it was %s", again.ID, ack.ID)
							}
							ack = again
						}
						if n := h.count("contacts") - 3; n != 1 {
							t.Errorf("%d records of one create", n)
						}
					}
					h.showsNoSecret(secretOf(portal))
				})
			}
		}
	}
}

// TestRepeatableWritesAreRepeated: writes of fixed values and deletions get over a
// lost answer, those that add do not.
func TestRepeatableWritesAreRepeated(t *testing.T) {
	for name, test := range map[string]struct {
		m      enlace.Mutation
		method string
		sent   int
	}{
		"update":     {enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "2", Data: map[string]any{"name": "Eve"}}, "crm.item.update", 3},
		"delete":     {enlace.Mutation{Entity: "contacts", Op: enlace.OpDelete, ID: "2"}, "crm.item.delete", 2}, // then it is gone
		"add phones": {enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "2", Data: map[string]any{"fm": []any{map[string]any{"typeId": "PHONE", "value": "+1 2 3"}}}}, "crm.item.update", 1},
	} {
		bubble(t, name, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{})
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 3})
			h := webhookHost(t, portal, nil)
			portal.Fault(bitrix24test.Fault{Method: test.method, Kind: bitrix24test.BrokenBody, Times: 2})
			_, err := h.push(test.m)
			sent := portal.Stats().Methods[test.method].Requests
			if sent != test.sent || (err == nil) != (sent > 1) {
				t.Errorf("sent %d times: %v", sent, err)
			}
		})
	}
}

func TestOriginIsTheKey(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		h.portal.Put(bitrix24test.Contact, map[string]any{"name": "other case", "originatorId": "ENLACE", "originId": "K-1"})
		first := h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Key: "k-1", Data: map[string]any{"name": "a"}})
		record := h.get("contacts", first.ID)
		if !first.Created || record["originatorId"] != bitrix24.Originator || record["originId"] != "k-1" {
			h.t.Fatalf("%+v: %v", first, record)
		}
		again := h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Key: "k-1", Data: map[string]any{"name": "b"}})
		if again.ID != first.ID || again.Created || h.get("contacts", first.ID)["name"] != "a" {
			h.t.Errorf("a create that was carried out changes something: %+v", again)
		}
		// The data's own pair is the key, with and without ours.
		own := map[string]any{"name": "c", "originatorId": "shop", "originId": "7"}
		one := h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Key: "k-2", Data: own})
		two := h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: own})
		if one.ID != two.ID || h.get("contacts", one.ID)["originId"] != "7" {
			h.t.Errorf("%+v, %+v", one, two)
		}
		// Another kind of record has keys of its own.
		if ack := h.mustPush(enlace.Mutation{Entity: "companies", Op: enlace.OpCreate, Key: "k-1", Data: map[string]any{"title": "x"}}); !ack.Created {
			h.t.Errorf("%+v", ack)
		}
	})
}

func TestUpsert(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		mail := func(addresses ...string) []any {
			var fm []any
			for _, a := range addresses {
				typeID := "PHONE"
				if strings.Contains(a, "@") {
					typeID = "EMAIL"
				}
				fm = append(fm, map[string]any{"typeId": typeID, "valueType": "WORK", "value": a})
			}
			return fm
		}
		put := func(addresses ...string) string {
			var fm []bitrix24test.Multifield
			for _, a := range addresses {
				typeID := "PHONE"
				if strings.Contains(a, "@") {
					typeID = "EMAIL"
				}
				fm = append(fm, bitrix24test.Multifield{TypeID: typeID, ValueType: "WORK", Value: a})
			}
			return strconv.FormatInt(h.portal.Put(bitrix24test.Contact, map[string]any{"name": "old", "fm": fm}), 10)
		}
		ana, bo := put("ana@example.org", "+351 1"), put("bo@example.org", "+351 2")
		put("twin@example.org")
		put("twin@example.org")
		upsert := func(data map[string]any, key string) (enlace.Ack, error) {
			return h.push(enlace.Mutation{Entity: "contacts", Op: enlace.OpUpsert, Data: data, Key: key})
		}
		for _, test := range []struct { // in this order: an upsert leaves what the next one may find
			name string
			data map[string]any
			id   string
		}{
			{"by e-mail, in another case", map[string]any{"name": "new", "fm": mail("ANA@example.org")}, ana},
			{"by phone", map[string]any{"name": "new", "fm": mail("+3512")}, bo},
			{"new e-mail, known phone", map[string]any{"name": "new", "fm": mail("nobody@example.org", "(351) 1")}, ana},
			{"e-mail before phone", map[string]any{"name": "new", "fm": mail("+3512", "ana@example.org")}, ana},
		} {
			ack, err := upsert(test.data, "")
			if err != nil || ack.ID != test.id || ack.Created || h.get("contacts", test.id)["name"] != "new" {
				h.t.Errorf("%s: %+v, %v", test.name, ack, err)
			}
		}
		contact, err := bitrix24.Get[bitrix24.Contact](h.t.Context(), h.conn(), 1)
		if err != nil {
			h.t.Fatal(err)
		}
		got := append(contact.Multifields.Values("EMAIL"), contact.Multifields.Values("PHONE")...)
		slices.Sort(got)
		if diff := cmp.Diff([]string{"+351 1", "+3512", "ana@example.org", "nobody@example.org"}, got); diff != "" {
			h.t.Error("what was there is added again, or lost:", diff)
		}
		if _, err := upsert(map[string]any{"name": "x", "fm": mail("twin@example.org")}, ""); !errors.Is(err, enlace.ErrConflict) {
			h.t.Errorf("two fit: %v", err)
		}
		made, err := upsert(map[string]any{"name": "x", "fm": mail("new@example.org")}, "k")
		if err != nil || !made.Created {
			h.t.Fatalf("%+v, %v", made, err)
		}
		if again, err := upsert(map[string]any{"name": "y", "fm": mail("other@example.org")}, "k"); err != nil || again.Created || again.ID != made.ID {
			h.t.Errorf("a repetition does not find what it created: %+v, %v", again, err)
		}
		ack, err := h.push(enlace.Mutation{Entity: "deals", Op: enlace.OpUpsert, ID: "77", Data: map[string]any{"title": "x"}})
		if !errors.Is(err, enlace.ErrNotFound) || ack.ID != "" {
			h.t.Errorf("an id that is not there: %+v, %v", ack, err)
		}
	})
}

func TestFindDuplicates(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		h.portal.Put(bitrix24test.Contact, map[string]any{"name": "a", "fm": []bitrix24test.Multifield{{TypeID: "EMAIL", Value: "ana@example.org"}}})
		if ids, err := bitrix24.FindDuplicates(ctx, c, "contacts", bitrix24.Email, "ana@example.org", "b@example.org"); err != nil || !slices.Equal(ids, []string{"1"}) {
			h.t.Error(ids, err)
		}
		if ids, err := bitrix24.FindDuplicates(ctx, c, "leads", bitrix24.Email, "ana@example.org"); err != nil || ids != nil {
			h.t.Error(ids, err)
		}
		for _, err := range []error{
			second(bitrix24.FindDuplicates(ctx, c, "contacts", bitrix24.Web, "x")),
			second(bitrix24.FindDuplicates(ctx, c, "contacts", bitrix24.Phone)),
			second(bitrix24.FindDuplicates(ctx, c, "contacts", bitrix24.Phone, make([]string, 21)...)),
		} {
			if !errors.Is(err, enlace.ErrInvalid) {
				h.t.Error(err)
			}
		}
		for _, entity := range []string{"deals", "notes"} {
			if _, err := bitrix24.FindDuplicates(ctx, c, entity, bitrix24.Phone, "1"); !errors.Is(err, enlace.ErrUnsupported) {
				h.t.Error(entity, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestClearing empties fields, which crm.item.update passes over in a portal with that
// quirk (sheet 5.6).
func TestClearing(t *testing.T) {
	for _, stubborn := range []bool{false, true} {
		in(t, bitrix24test.Options{Quirks: bitrix24test.Quirks{IgnoreClearing: stubborn}, SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3}}}, nil, func(h *host) {
			person := h.portal.Put(bitrix24test.Contact, map[string]any{"name": "p"})
			values := map[string]any{"title": "Acme", "industry": "IT", "comments": "c", "originId": "7", "contactIds": []int64{person}, "leadId": 5}
			company := h.portal.Put(bitrix24test.Company, values)
			id := strconv.FormatInt(company, 10)
			h.mustPush(enlace.Mutation{Entity: "companies", Op: enlace.OpUpdate, ID: id,
				Data: map[string]any{"industry": nil, "comments": "", "originId": nil, "contactIds": []any{}, "leadId": 0, "title": "New"}})
			record := h.get("companies", id)
			for _, name := range []string{"industry", "comments", "originId", "leadId"} {
				if v := record[name]; v != nil && v != "" && v != 0.0 {
					h.t.Errorf("stubborn %v: %s is %v", stubborn, name, v)
				}
			}
			if list, _ := record["contactIds"].([]any); len(list) > 0 || record["title"] != "New" {
				h.t.Errorf("stubborn %v: %v", stubborn, record)
			}
			item := strconv.FormatInt(h.portal.Put(128, map[string]any{"title": "x", "comments": "c"}), 10)
			h.mustPush(enlace.Mutation{Entity: "dynamic_128", Op: enlace.OpUpdate, ID: item, Data: map[string]any{"comments": nil}})
			if v := h.get("dynamic_128", item)["comments"]; v != nil && v != "" {
				h.t.Errorf("comments are %v", v)
			}
			// What is empty is left alone, and without anything else there is no other update.
			for _, comment := range []string{"", "c"} {
				h.portal.Put(bitrix24test.Company, map[string]any{"id": company, "comments": comment})
				h.portal.ResetStats()
				h.mustPush(enlace.Mutation{Entity: "companies", Op: enlace.OpUpdate, ID: id, Data: map[string]any{"comments": nil}})
				stats := h.portal.Stats()
				if stats.Methods["crm.item.update"].Requests != 0 || stats.Methods["crm.company.update"].Requests != len(comment) {
					h.t.Errorf("%q: %+v", comment, stats)
				}
			}
		})
	}
}

// TestClearingIsChecked: a portal that keeps a value although it was told to clear it
// is not believed.
func TestClearingIsChecked(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		h.portal.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: 1})
		clear := enlace.Mutation{Entity: "deals", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"stageId": nil, "title": "y"}}
		_, err := h.push(clear)
		e, ok := errors.AsType[*enlace.Error](err)
		if !ok || !errors.Is(err, enlace.ErrInvalid) || e.Outcome != enlace.OutcomeRan || !strings.Contains(e.Message, "stageId") {
			h.t.Errorf("%v", err)
		}
		for method, after := range map[string]int{"crm.deal.update": 0, "crm.item.get": 1} {
			h.portal.Put(bitrix24test.Deal, map[string]any{"id": 1, "comments": "c"})
			h.portal.Fault(bitrix24test.Fault{Method: method, Kind: bitrix24test.Refuse, Status: 400, Code: "ACCESS_DENIED", After: after})
			_, err := h.push(enlace.Mutation{Entity: "deals", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"comments": nil, "title": "z"}})
			if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrForbidden) || e.Outcome == enlace.OutcomeNotRun {
				h.t.Errorf("%s is refused after the title was written: %v", method, err)
			}
		}
	})
}

// TestWritesAreMarked looks for the connector in what is sent.
func TestWritesAreMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		h := webhookHost(t, portal, map[string]string{"connector": "ours-1"})
		w := &wire{base: portal.Transport()}
		h.config.Transport = w
		h.restart()
		h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "a"}})
		if _, err := (bitrix24.Adapter{}).PushBatch(t.Context(), h.conn(), []enlace.Mutation{
			{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "b"}}, {Entity: "contacts", Op: enlace.OpDelete, ID: "1"}}); err != nil {
			t.Fatal(err)
		}
		for _, s := range w.sent {
			var body struct {
				Connector string            `json:"auth_connector"`
				Commands  map[string]string `json:"cmd"`
			}
			if err := json.Unmarshal([]byte(s.body), &body); err != nil || body.Connector != "ours-1" {
				t.Errorf("%s: %s", s.url, s.body)
			}
			for _, line := range body.Commands {
				if !strings.Contains(line, "auth_connector=ours-1") {
					t.Error(line)
				}
			}
		}
		if len(w.sent) != 2 {
			t.Errorf("%d requests", len(w.sent))
		}
	})
}
