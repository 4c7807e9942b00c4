package enlace_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/mapping"
)

// mapContacts lets the desk's contacts go through a mapping.
func mapContacts(t testing.TB, d *desk, fields ...mapping.Field) {
	t.Helper()
	v, err := d.service.SaveMapping(t.Context(), enlace.MappingVersion{Ref: d.ref, Entity: "contacts",
		Document: document(mapping.Mapping{Name: "contacts", Fields: fields})})
	if err == nil {
		_, err = d.service.ActivateMapping(t.Context(), v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var mappedContact = []mapping.Field{
	{From: "name", To: "full_name"},
	{From: "vip", To: "vip", Type: mapping.Boolean, FromFormat: "Y/N"},
	{From: "sum", To: "sum", Type: mapping.Decimal},
	{From: "phones[kind=WORK].number", To: "work"},
	{From: "address.city", To: "city"},
}

// remoteText is one contact of the provider.
func remoteText(t testing.TB, d *desk, name string) string {
	t.Helper()
	c := d.remote(t)[name]
	delete(c, "id")
	delete(c, "updated_at")
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A push writes in the provider's form, changes what the host has changed, and loses nothing that
// stands beside it.
func TestPushMapsBack(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p, withMappings)
	mapContacts(t, d, mappedContact...)
	d.set("c1", map[string]any{"full_name": "Ana", "vip": true, "sum": "10.50", "work": "1", "city": "Santos"})
	checkCounts(t, d.mustPush(t), enlace.PushResults{Read: 1, Created: 1})
	if got, want := remoteText(t, d, "Ana"), `{"address":{"city":"Santos"},"name":"Ana","phones":[{"kind":"WORK","number":"1"}],"sum":"10.50","vip":"Y"}`; got != want {
		t.Errorf("created %s, want %s", got, want)
	}

	// Somebody else adds beside, and spells a number in another way.
	id := d.rows["c1"].remote
	p.Put("contacts", id, map[string]any{"name": "Ana", "vip": "Y", "sum": 10.5, "address": map[string]any{"street": "Rua A", "city": "Santos"},
		"phones": []any{map[string]any{"kind": "HOME", "number": "2"}, map[string]any{"id": 7, "kind": "WORK", "number": "1"}}})
	if _, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: d}); err != nil {
		t.Fatal(err)
	}
	updates := p.Effects(fake.OpUpdate)
	d.set("c1", map[string]any{})                                                     // given again as it is
	d.mustPush(t, func(o *enlace.SyncOptions) { o.OnError = enlace.OnErrorRollback }) // which reads before it writes
	if p.Effects(fake.OpUpdate) != updates {
		t.Error("a record that says the same in another form was written")
	}
	d.set("c1", map[string]any{"work": "9", "city": "Recife"})
	checkCounts(t, d.mustPush(t, func(o *enlace.SyncOptions) { o.OnError = enlace.OnErrorRollback }), enlace.PushResults{Read: 1, Updated: 1})
	want := `{"address":{"city":"Recife","street":"Rua A"},"name":"Ana","phones":[{"kind":"HOME","number":"2"},{"id":7,"kind":"WORK","number":"9"}],"sum":10.5,"vip":"Y"}`
	if got := remoteText(t, d, "Ana"); got != want {
		t.Errorf("updated to %s, want %s", got, want)
	}
}

// In both directions each side's changes arrive on the other, and what only looks different is no
// conflict.
func TestBidirectionalMapsBothWays(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p, withMappings)
	mapContacts(t, d, mappedContact...)
	both := func() enlace.SyncResult {
		t.Helper()
		result, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Direction: enlace.Bidirectional, Entities: []string{"contacts"}, Source: d, Sink: d})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	d.set("c1", map[string]any{"full_name": "Ana", "vip": false, "sum": "10.50", "work": "1", "city": "Santos"})
	both()
	id := d.rows["c1"].remote
	p.Put("contacts", id, map[string]any{"name": "Ana", "vip": "Y", "sum": 10.5, "address": map[string]any{"city": "Santos"}, "phones": []any{map[string]any{"kind": "WORK", "number": "1"}}})
	d.set("c1", map[string]any{"city": "Recife", "sum": "10.5000"})
	result := both()
	if counts := result.Entities["contacts"].Push; counts == nil || counts.Conflicts != 0 || counts.Resolved != 0 {
		t.Errorf("%+v", counts)
	}
	if got := remoteText(t, d, "Ana"); !strings.Contains(got, `"city":"Recife"`) || !strings.Contains(got, `"sum":10.5,`) || !strings.Contains(got, `"vip":"Y"`) {
		t.Errorf("the provider has %s", got)
	}
	both()
	row := d.rows["c1"].fields
	if row["vip"] != true || row["city"] != "Recife" || row["full_name"] != "Ana" {
		t.Errorf("the host has %v", row)
	}
}

// What has no way back is not pushed.
func TestPushNeedsAWayBack(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p, withMappings)
	mapContacts(t, d, mapping.Field{From: "name", To: "a"}, mapping.Field{From: "name", To: "b"})
	d.set("c1", map[string]any{"a": "Ana"})
	counts, err := d.push(t)
	if counts.Created != 0 || p.Effects("") != 0 || (err == nil && counts.Failed == 0) {
		t.Errorf("%+v %v", counts, err)
	}
}
