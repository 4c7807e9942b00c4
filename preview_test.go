package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/mapping"
)

// previews makes a dry run and says of each record what would become of it.
func (d *desk) previews(t *testing.T, edit ...func(*enlace.SyncOptions)) map[string]string {
	t.Helper()
	all := map[string]string{}
	d.pull(t, append([]func(*enlace.SyncOptions){func(o *enlace.SyncOptions) {
		o.DryRun, o.Full, o.Sink = true, true, nil
		o.Preview = func(r enlace.RecordPreview) {
			text := string(r.Action)
			if r.Reason != "" {
				text += " (" + r.Reason + ")"
			}
			for _, f := range r.Fields {
				text += fmt.Sprintf(" %s: %s→%s", f.Name, f.Before, f.After)
			}
			if _, twice := all[r.RecordID]; twice || r.Entity != "contacts" {
				t.Errorf("%+v comes twice", r)
			}
			all[r.RecordID] = text
		}
	}}, edit...)...)
	return all
}

// A dry run tells of each record what a run would do with it, in the host's form, and
// leaves nothing behind.
func TestDryRunPreviews(t *testing.T) {
	p := fake.New(fake.Options{PageSize: 2})
	d := newDesk(t, p, withMappings)
	for id, name := range map[string]string{"c1": "Ana", "c2": "Bia", "c3": "Caio"} {
		p.Put("contacts", id, map[string]any{"name": name, "age": 30})
	}
	mapContacts(t, d, ages()...)
	check := func(when string, want map[string]string, edit ...func(*enlace.SyncOptions)) {
		t.Helper()
		for range 2 {
			got := d.previews(t, edit...)
			for _, id := range slices.Sorted(maps.Keys(want)) {
				if !strings.HasPrefix(got[id], want[id]) || (want[id] == "unchanged") != (got[id] == "unchanged") {
					t.Errorf("%s: %s is %q, want %q", when, id, got[id], want[id])
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: %d records, want %d: %v", when, len(got), len(want), got)
			}
		}
	}
	check("before a run", map[string]string{"c1": `create age: →30 name: →"Ana"`, "c2": "create", "c3": "create"})
	if len(d.names()) > 0 || len(d.taken) > 0 {
		t.Error("a dry run gave something to the sink")
	}
	keep := func(o *enlace.SyncOptions) { o.Keep = true }
	d.pull(t, keep)
	check("after a run", map[string]string{"c1": "unchanged", "c2": "unchanged", "c3": "unchanged"})

	p.Put("contacts", "c1", map[string]any{"name": "Ana Souza", "age": 30})
	p.Put("contacts", "c2", map[string]any{"name": "Bia", "age": "forty"})
	p.Put("contacts", "c4", map[string]any{"name": "Davi", "age": 1})
	check("after changes", map[string]string{"c1": `update name: "Ana"→"Ana Souza"`, "c2": "refused (", "c3": "unchanged", "c4": "create"})
	check("by change", map[string]string{"c1": `update name: "Ana"→"Ana Souza"`, "c2": "refused (", "c4": "create"}, func(o *enlace.SyncOptions) { o.Full = false })

	// What the host has changed too, and could not be sent, is a conflict.
	if err := d.service.LinkRecord(t.Context(), d.ref, "contacts", "rc1", "c1"); err != nil {
		t.Fatal(err)
	}
	d.rows["rc1"].remote = "c1"
	d.set("rc1", map[string]any{"name": "Ana S."})
	for _, op := range []fake.Op{fake.OpUpdate, fake.OpBatch} {
		p.Fail(fake.Failure{Op: op, Times: 1, Status: http.StatusUnprocessableEntity})
	}
	if _, err := d.push(t, func(o *enlace.SyncOptions) { o.Tries = 1 }); err != nil && !errors.Is(err, enlace.ErrInvalid) {
		t.Fatal(err)
	}
	check("after a push that is refused", map[string]string{"c1": "conflict name: ", "c2": "refused (", "c3": "unchanged", "c4": "create"})

	d.pull(t)
	check("after the run", map[string]string{"c1": "unchanged", "c2": "refused (", "c3": "unchanged", "c4": "unchanged"})
	p.Put("contacts", "c4", map[string]any{"name": "Davi", "age": 2})
	check("what is not kept", map[string]string{"c1": "unchanged", "c2": "refused (", "c3": "unchanged", "c4": `update age: →2 name: →"Davi"`})
}

// What a rule of the mapping leaves out is told with the rule's reason.
func TestDryRunPreviewsSkipped(t *testing.T) {
	p := fake.New(fake.Options{})
	d := newDesk(t, p, withMappings)
	p.Put("contacts", "c1", map[string]any{"name": "Ana", "kind": "test"})
	v, err := d.service.SaveMapping(t.Context(), enlace.MappingVersion{Ref: d.ref, Entity: "contacts", Document: document(mapping.Mapping{Name: "contacts",
		Fields: []mapping.Field{{From: "name", To: "name"}}, Filters: []mapping.Filter{{If: mapping.Condition{Path: "kind", Equals: mapping.Literal(`"test"`)}, Reason: "a test record"}}})})
	if err == nil {
		_, err = d.service.ActivateMapping(t.Context(), v)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := d.previews(t)["c1"]; got != "skip (a test record)" {
		t.Error(got)
	}
}

// A dry run counts the requests that it has not let through.
func TestDryRunCountsWhatItBlocks(t *testing.T) {
	var adapter crm
	adapter.pull = func(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
		for range 2 {
			_ = c.Do(ctx, enlace.Call{Method: http.MethodPost, Path: "mark", Op: "mark"}, nil) // a careless one goes on
		}
		return crm{}.Pull(ctx, c, req)
	}
	h, in := syncHost(t, 1, adapter)
	o := companies(&notebook{})
	o.DryRun = true
	if r := must(h.Sync(t.Context(), in.Ref, o))(t).Entities["companies"]; r.Blocked != 2 || r.Read != 1 || len(h.provider.seen("mark")) > 0 {
		t.Errorf("%+v, %d requests", r, len(h.provider.seen("mark")))
	}
	o.DryRun = false
	if r := must(h.Sync(t.Context(), in.Ref, o))(t).Entities["companies"]; r.Blocked != 0 {
		t.Errorf("a real run blocks: %+v", r)
	}
}
