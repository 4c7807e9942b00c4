package enlace_test

import (
	"context"
	"encoding/json"
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

// picky is a sink that refuses records by their names; joined it writes by the store's
// transaction.
type picky struct {
	*desk
	joined   bool
	refuses  map[string]bool
	oneByOne bool
	given    map[string]int // how often each name was
}

// Joins implements enlace.TxSink.
func (p *picky) Joins(enlace.Store) bool { return p.joined }

// Accept implements enlace.Sink.
func (p *picky) Accept(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
	refusal := &enlace.SinkRefusal{Records: map[string]error{}}
	for _, r := range b.Records {
		var row struct{ Text string }
		_ = json.Unmarshal(r.Data, &row)
		if p.given[row.Text]++; p.refuses[row.Text] && !(p.oneByOne && len(refusal.Records) > 0) {
			refusal.Records[r.ID] = errors.New("the text is too long")
		}
	}
	if len(refusal.Records) > 0 {
		return enlace.Changes{}, fmt.Errorf("insert: %w", refusal)
	}
	return p.desk.Accept(ctx, b)
}

// refusedNotes tells what is put aside, in short.
func refusedNotes(t testing.TB, d *desk) (all []string, rows []enlace.RefusedRecord) {
	t.Helper()
	rows, _, err := d.service.RefusedRecords(t.Context(), enlace.RefusedQuery{Ref: d.ref, Entity: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		all = append(all, fmt.Sprintf("%s %s %s %d", r.RecordID, r.State, r.Kind, r.Tries))
		if r.Data != nil || r.Payload != nil || !strings.Contains(r.Error, "too long") {
			t.Errorf("listed as %+v", r)
		}
	}
	return all, rows
}

func TestRecordsThatTheSinkRefusesArePutAside(t *testing.T) {
	for name, sink := range map[string]picky{"apart": {}, "joined": {joined: true}, "one by one": {joined: true, oneByOne: true}} {
		t.Run(name, func(t *testing.T) { sinkRefuses(t, sink) })
	}
}

func sinkRefuses(t *testing.T, sink picky) {
	p := fake.New(fake.Options{PageSize: 3})
	d := newDesk(t, p)
	sink.desk, sink.refuses, sink.given = d, map[string]bool{"t1": true, "t3": true}, map[string]int{}
	for i := range 5 {
		p.Put("notes", fmt.Sprint("n", i), map[string]any{"name": fmt.Sprint("n", i), "text": fmt.Sprint("t", i)})
	}
	pull := func() enlace.EntityResult {
		t.Helper()
		result, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Entities: []string{"notes"}, Sink: &sink})
		if err != nil {
			t.Fatal(err)
		}
		return result.Entities["notes"]
	}
	check := func(when, names, aside string) {
		t.Helper()
		if got, _ := refusedNotes(t, d); d.names() != names || fmt.Sprint(got) != aside {
			t.Errorf("%s: the host has %s, put aside are %v", when, d.names(), got)
		}
	}
	if result := pull(); result.Refused != 2 || result.Created != 3 || !result.Complete {
		t.Errorf("%+v", result)
	}
	check("at first", "n0 n2 n4", "[n1 waiting sink 1 n3 waiting sink 1]")
	pull()
	check("again", "n0 n2 n4", "[n1 waiting sink 2 n3 waiting sink 2]")
	pull()
	check("the third time", "n0 n2 n4", "[n1 dead sink 3 n3 dead sink 3]")
	given := sink.given["t1"]
	if result := pull(); result.Refused != 2 || result.Missing != 0 || sink.given["t1"] != given {
		t.Errorf("a dead one was given again: %+v", result)
	}
	check("dead", "n0 n2 n4", "[n1 dead sink 3 n3 dead sink 3]")

	_, rows := refusedNotes(t, d)
	sink.refuses["t3"] = false // the host has made room
	if err := d.service.RedriveRefusedRecord(t.Context(), rows[1].Key(), rows[1].Version); err != nil {
		t.Fatal(err)
	}
	pull()
	check("after a redrive", "n0 n2 n3 n4", "[n1 dead sink 3]")

	whole, err := d.service.RefusedRecord(t.Context(), rows[0].Key())
	if err != nil || !strings.Contains(string(whole.Data), `"t1"`) || whole.Edited {
		t.Fatalf("%+v, %v", whole, err)
	}
	edited, err := d.service.EditRefusedRecord(t.Context(), whole.Key(), whole.Version, json.RawMessage(`{"name":"n1","text":"short"}`))
	if err != nil || !edited.Edited || edited.State != enlace.RefusedDead {
		t.Fatalf("%+v, %v", edited, err)
	}
	if _, err := d.service.EditRefusedRecord(t.Context(), whole.Key(), whole.Version, json.RawMessage(`{}`)); !errors.Is(err, enlace.ErrConflict) {
		t.Errorf("an old version: %v", err)
	}
	pull()
	check("edited only", "n0 n2 n3 n4", "[n1 dead sink 3]")
	if err := d.service.RedriveRefusedRecord(t.Context(), edited.Key(), edited.Version); err != nil {
		t.Fatal(err)
	}
	pull()
	check("edited and redriven", "n0 n1 n2 n3 n4", "[]")
	given = sink.given["t1"]
	if pull(); sink.given["t1"] != given {
		t.Error("what was edited came again as it was")
	}
	p.Put("notes", "n1", map[string]any{"name": "new", "text": "t5"})
	pull()
	check("changed at the provider", "n0 n2 n3 n4 new", "[]")
	p.Put("notes", "n2", map[string]any{"name": "n2", "text": "t1"})
	pull()
	_, rows = refusedNotes(t, d)
	if err := d.service.DiscardRefusedRecord(t.Context(), rows[0].Key(), rows[0].Version); err != nil {
		t.Fatal(err)
	}
	if _, err := d.service.RefusedRecord(t.Context(), rows[0].Key()); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("a discarded one: %v", err)
	}
	p.Delete("notes", "n2") // the sink has an older n2
	pull()
	pull()
	if row := d.rows["rn2"]; row == nil || !row.deleted {
		t.Errorf("%+v", row)
	}
}

// A sink that names nothing of the page fails as any other.
func TestASinkThatRefusesWhatItDidNotGet(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p)
	p.Seed("notes", 3)
	_, err := d.service.Sync(t.Context(), d.ref, enlace.SyncOptions{Entities: []string{"notes"}, Sink: enlace.SinkFunc(
		func(context.Context, enlace.Batch) (enlace.Changes, error) {
			return enlace.Changes{}, &enlace.SinkRefusal{Records: map[string]error{"other": errors.New("no")}}
		})})
	if !errors.Is(err, enlace.ErrSink) {
		t.Error(err)
	}
}

// unfetching hides that the adapter can read by id.
type unfetching struct {
	enlace.IntegrationAdapter
	enlace.Authenticator
	enlace.Puller
}

// What a mapping refused is kept sealed, and mapped from there where the adapter cannot
// read it again.
func TestRefusedRecordsAreKeptSealed(t *testing.T) {
	p := fake.New(fake.Options{})
	a := p.Adapter().(fake.Adapter)
	d := newDesk(t, p, withMappings, func(c *enlace.Config) { c.Registry = enlace.NewRegistry(unfetching{a, a, a}) })
	for i, age := range []any{1, "forty", "fifty"} {
		p.Put("contacts", fmt.Sprint("c", i), map[string]any{"name": fmt.Sprint("n", i), "age": age})
	}
	mapContacts(t, d, ages()...)
	d.pull(t)
	key := enlace.RefusedKey{Ref: d.ref, Entity: "contacts", RecordID: "c1"}
	stored, err := d.store.RefusedRecord(t.Context(), key)
	if err != nil || len(stored.Payload) == 0 || strings.Contains(fmt.Sprintf("%q %+v", stored.Payload, stored), "forty") {
		t.Fatalf("stored as %+v, %v", stored, err)
	}
	whole, err := d.service.RefusedRecord(t.Context(), key)
	if err != nil || !strings.Contains(string(whole.Data), `"forty"`) || whole.State != enlace.RefusedDead || whole.Kind != "invalid" {
		t.Fatalf("%+v, %v", whole, err)
	}
	for _, data := range []string{``, `[]`, `null`, `{"age":`} {
		if _, err := d.service.EditRefusedRecord(t.Context(), key, whole.Version, json.RawMessage(data)); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("edited to %q: %v", data, err)
		}
	}
	edited, err := d.service.EditRefusedRecord(t.Context(), key, whole.Version, json.RawMessage(`{"name":"n1","age":40}`))
	if err == nil {
		err = d.service.RedriveRefusedRecord(t.Context(), key, edited.Version)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d.pull(t); d.names() != "n0 n1" || fmt.Sprint(d.refused(t)) != "[c2 mapping 1 tries 1]" {
		t.Errorf("the host has %s, put aside are %v", d.names(), d.refused(t))
	}
	mapContacts(t, d, ages(mapping.Of("fifty"))...)
	if d.pull(t); d.names() != "n0 n1 n2" || len(d.refused(t)) != 0 {
		t.Errorf("the host has %s, put aside are %v", d.names(), d.refused(t))
	}
	entries, _, err := d.service.Audit(t.Context(), enlace.AuditQuery{Tenant: "acme", Action: "refused_record."})
	if err != nil || len(entries) != 3 || entries[0].Target != "contacts/c1" { // view, edit, redrive
		t.Errorf("%+v, %v", entries, err)
	}
}
