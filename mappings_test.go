package enlace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/live"
)

func withMappings(c *enlace.Config) { c.Mappings = live.Engine{} }

// renames is a mapping of contacts whose target tells the versions apart.
func renames(target string) json.RawMessage {
	return document(mapping.Mapping{Name: "contacts", Fields: []mapping.Field{{From: "id", To: "id", Type: mapping.ID}, {From: "name", To: target}}})
}

func document(m mapping.Mapping) json.RawMessage {
	text, err := live.Document(m)
	if err != nil {
		panic(err)
	}
	return text
}

// save stores a draft of contacts.
func (h *host) save(in enlace.Integration, doc json.RawMessage) enlace.MappingVersion {
	h.t.Helper()
	v, err := h.SaveMapping(h.t.Context(), enlace.MappingVersion{Ref: in.Ref, Entity: "contacts", Document: doc})
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func (h *host) activate(v enlace.MappingVersion) enlace.MappingVersion {
	h.t.Helper()
	v, err := h.ActivateMapping(h.t.Context(), v)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// states lists the versions of an integration as "contacts2 active".
func (h *host) states(in enlace.Integration) (all []string) {
	h.t.Helper()
	list, _, err := h.Mappings(h.t.Context(), enlace.MappingQuery{Ref: in.Ref})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, v := range list {
		all = append(all, fmt.Sprintf("%s%d %s", v.Entity, v.Number, v.State))
	}
	return all
}

func TestMappingLifeCycle(t *testing.T) {
	h := newHost(t, crm{}, withMappings)
	in := h.create(apiKey("k"))
	ctx := t.Context()
	if _, err := h.ActiveMapping(ctx, in.Ref, "contacts"); !errors.Is(err, enlace.ErrNotFound) {
		t.Error(err)
	}
	first, second := h.save(in, renames("one")), h.save(in, renames("two"))
	expect := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, h.states(in)); diff != "" {
			t.Error(diff)
		}
	}
	expect("contacts2 draft", "contacts1 draft")

	edited := first
	edited.Document = renames("uno")
	edited, err := h.SaveMapping(ctx, edited)
	if err != nil || edited.Number != 1 || edited.Version != 2 || !strings.Contains(string(edited.Document), "uno") {
		t.Errorf("%+v, %v", edited, err)
	}
	_, err = h.SaveMapping(ctx, first)
	kindOf(t, "a draft that was changed meanwhile", err, enlace.ErrConflict)
	_, err = h.ActivateMapping(ctx, first)
	kindOf(t, "the activation of what was changed meanwhile", err, enlace.ErrConflict)
	expect("contacts2 draft", "contacts1 draft")

	first = h.activate(edited)
	second = h.activate(second)
	expect("contacts2 active", "contacts1 retired")
	_, err = h.SaveMapping(ctx, second)
	kindOf(t, "a change of an active version", err, enlace.ErrConflict)
	_, err = h.ActivateMapping(ctx, first)
	kindOf(t, "the activation of what was retired meanwhile", err, enlace.ErrConflict)
	if first, err = h.Mapping(ctx, first.Key()); err != nil { // back in one step
		t.Fatal(err)
	}
	first = h.activate(first)
	expect("contacts2 retired", "contacts1 active")
	first = h.activate(first) // it already is
	if first, err = h.RetireMapping(ctx, first); err != nil || first.State != enlace.MappingRetired {
		t.Errorf("%+v, %v", first, err)
	}
	expect("contacts2 retired", "contacts1 retired")
	_, err = h.RetireMapping(ctx, first)
	kindOf(t, "the retirement of what is not active", err, enlace.ErrConflict)

	var actions []string
	for _, o := range observedAs[enlace.MappingChanged](h) {
		actions = append(actions, fmt.Sprintf("%s %s%d", o.Action, o.Entity, o.Number))
	}
	want := []string{"save contacts1", "save contacts2", "save contacts1", "activate contacts1", "activate contacts2", "activate contacts1", "activate contacts1", "retire contacts1"}
	if diff := cmp.Diff(want, actions); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"mapping.save contacts", "mapping.save contacts", "mapping.save contacts/1", "mapping.save contacts/1 conflict",
		"mapping.activate contacts/1 conflict", "mapping.activate contacts/1", "mapping.activate contacts/2"}, audited(h, in)[:7]); diff != "" {
		t.Error(diff)
	}
	if err := h.Delete(ctx, in.Ref); err != nil {
		t.Fatal(err)
	}
	expect()
}

// audited lists what the audit log says of mappings, oldest first.
func audited(h *host, in enlace.Integration) (all []string) {
	entries, _, err := h.Audit(h.t.Context(), enlace.AuditQuery{Tenant: in.Tenant, Integration: in.ID, Action: "mapping.", OldestFirst: true})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, strings.TrimSpace(e.Action+" "+e.Target+" "+e.Kind))
	}
	return all
}

func kindOf(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s is %v, want %v", what, err, want)
	}
}

func TestSaveMappingRefuses(t *testing.T) {
	h := newHost(t, crm{}, withMappings)
	in := h.create(apiKey("k"))
	for name, test := range map[string]struct {
		version enlace.MappingVersion
		want    error
		says    string
	}{
		"no such integration": {enlace.MappingVersion{Ref: enlace.Ref{ID: "x"}, Entity: "contacts", Document: renames("x")}, enlace.ErrNotFound, ""},
		"another tenant's":    {enlace.MappingVersion{Ref: enlace.Ref{Tenant: "other", ID: in.ID}, Entity: "contacts", Document: renames("x")}, enlace.ErrNotFound, ""},
		"no such entity":      {enlace.MappingVersion{Ref: in.Ref, Entity: "cars", Document: renames("x")}, enlace.ErrUnsupported, "contacts"},
		"no such version":     {enlace.MappingVersion{Ref: in.Ref, Entity: "contacts", Number: 7, Document: renames("x")}, enlace.ErrNotFound, ""},
		"no document":         {enlace.MappingVersion{Ref: in.Ref, Entity: "contacts"}, enlace.ErrInvalid, ""},
		"a wrong document": {enlace.MappingVersion{Ref: in.Ref, Entity: "contacts", Document: json.RawMessage(`{"name":"n","fields":[{"from":"a","to":"b","type":"txt"}]}`)},
			enlace.ErrInvalid, `fields[0].type: no such type; allowed: "text"`},
		"a long document": {enlace.MappingVersion{Ref: in.Ref, Entity: "contacts", Document: make(json.RawMessage, enlace.MaxMappingDocument+1)}, enlace.ErrInvalid, "1048576"},
	} {
		_, err := h.SaveMapping(t.Context(), test.version)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %v that says %q", name, err, test.want, test.says)
		}
	}
	if got := h.states(in); got != nil {
		t.Error(got)
	}
	if _, err := h.SaveMapping(t.Context(), enlace.MappingVersion{Ref: in.Ref, Entity: "custom_cars", Document: renames("x")}); err != nil {
		t.Error("a member of a family:", err)
	}
	bare := newHost(t, crm{})
	in = bare.create(apiKey("k"))
	_, err := bare.SaveMapping(t.Context(), enlace.MappingVersion{Ref: in.Ref, Entity: "contacts", Document: renames("x")})
	kindOf(t, "a mapping without an engine", err, enlace.ErrInvalid)
}

// Whoever saves at once gets a number of their own; of those who activate at once the last stays.
func TestMappingsAtOnce(t *testing.T) {
	h := newHost(t, crm{}, withMappings)
	in := h.create(apiKey("k"))
	var mu sync.Mutex
	var numbers []int
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			v, err := h.SaveMapping(context.WithoutCancel(t.Context()), enlace.MappingVersion{Ref: in.Ref, Entity: "contacts", Document: renames("x")})
			if err == nil {
				_, err = h.ActivateMapping(context.WithoutCancel(t.Context()), v)
			}
			if err != nil && !errors.Is(err, enlace.ErrConflict) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			numbers = append(numbers, v.Number)
		})
	}
	group.Wait()
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != 8 {
		t.Errorf("numbers %v", numbers)
	}
	active := 0
	for _, state := range h.states(in) {
		if strings.HasSuffix(state, " active") {
			active++
		}
	}
	if active != 1 {
		t.Errorf("%d active versions", active)
	}
}

// A sync maps between adapter and sink, by the version that was active when it began.
func TestSyncMaps(t *testing.T) {
	type batch struct {
		mapping int
		data    []string
	}
	var batches []batch
	sink := enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
		got := batch{mapping: b.Mapping}
		for _, r := range b.Records {
			got.data = append(got.data, r.ID+" "+string(r.Data))
		}
		batches = append(batches, got)
		return enlace.Changes{}, nil
	})
	h := newHost(t, crm{}, withMappings, func(c *enlace.Config) { c.Sink = sink })
	h.provider.add("contacts", 3)
	in := h.create(apiKey("k"))
	sync := func() (enlace.EntityResult, error) {
		batches = nil
		result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}, Full: true})
		return result.Entities["contacts"], err
	}
	v := h.save(in, document(mapping.Mapping{Name: "contacts",
		Filters: []mapping.Filter{{If: mapping.Condition{Path: "id", Equals: mapping.Of(2)}, Reason: "two"}},
		Fields:  []mapping.Field{{From: "name", To: "title"}}}))
	if _, err := sync(); err != nil || len(batches) != 1 || batches[0].mapping != 0 || !strings.Contains(batches[0].data[0], `"name"`) {
		t.Errorf("a draft maps: %v, %v", batches, err)
	}
	v = h.activate(v)
	result, err := sync()
	want := []batch{{1, []string{`1 {"title":"contacts 1"}`, `3 {"title":"contacts 3"}`}}}
	if diff := cmp.Diff(want, batches, cmp.AllowUnexported(batch{})); diff != "" || err != nil || result.Read != 3 || result.Skipped != 1 {
		t.Errorf("%s %+v %v", diff, result, err)
	}
	if _, err := h.RetireMapping(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if _, err := sync(); err != nil || batches[0].mapping != 0 {
		t.Errorf("a retired version maps: %v, %v", batches, err)
	}
	h.activate(h.save(in, document(mapping.Mapping{Name: "contacts", Fields: []mapping.Field{{From: "name", To: "n", Type: mapping.Integer}}})))
	result, err = sync()
	if err != nil || result.Refused != 3 || len(batches) != 0 {
		t.Errorf("records that cannot be mapped: %+v, %v, %v", result, batches, err)
	}
	h.config.Mappings = nil
	h.Service = h.restart()
	_, err = sync()
	kindOf(t, "a sync of a mapped entity without an engine", err, enlace.ErrInvalid)
}
