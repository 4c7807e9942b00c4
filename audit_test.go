package enlace_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// auditOf returns a tenant's whole log, oldest first.
func auditOf(t testing.TB, s *enlace.Service, tenant string) []enlace.AuditEntry {
	t.Helper()
	var all []enlace.AuditEntry
	q := enlace.AuditQuery{Tenant: tenant, OldestFirst: true, Limit: 1000}
	for {
		entries, next, err := s.Audit(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entries...)
		if q.Cursor = next; next == "" {
			return all
		}
	}
}

// actions is what a log tells, in short.
func actions(entries []enlace.AuditEntry) []string {
	var all []string
	for _, e := range entries {
		line := e.Action + " " + string(e.Result)
		if e.Kind != "" {
			line += " " + e.Kind
		}
		if len(e.Fields) > 0 {
			line += " " + strings.Join(e.Fields, ",")
		}
		all = append(all, line)
	}
	return all
}

func TestEveryChangeIsAudited(t *testing.T) {
	h := newHost(t, crm{})
	ctx := enlace.WithActor(t.Context(), enlace.Actor{ID: "ana", Address: "192.0.2.7", Request: "req-1"})
	cred := apiKey(canary)
	in, err := h.Create(ctx, enlace.NewIntegration{Tenant: "acme", Provider: "crm", Credential: &cred})
	if err != nil {
		t.Fatal(err)
	}
	in.Name, in.Settings = "Other", map[string]string{"timeout": "5000"}
	if _, err := h.Update(ctx, in); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Update(ctx, in); !errors.Is(err, enlace.ErrConflict) { // an old version by now
		t.Fatal(err)
	}
	for _, change := range []func(context.Context, enlace.Ref) (enlace.Integration, error){h.Disable, h.Enable, h.Disconnect} {
		if _, err := change(ctx, in.Ref); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Delete(ctx, in.Ref); err != nil {
		t.Fatal(err)
	}
	if err := h.Delete(ctx, in.Ref); !errors.Is(err, enlace.ErrNotFound) {
		t.Fatal(err)
	}
	entries := auditOf(t, h.Service, "acme")
	want := []string{
		"integration.create done", "integration.connect begun api_key", "integration.connect done",
		"integration.update done name,settings", "integration.disable done", "integration.enable done", "integration.disconnect done",
		"integration.delete done", "integration.delete failed not_found",
	}
	if diff := cmp.Diff(want, actions(entries)); diff != "" {
		t.Error("audit log (-want +got):\n" + diff)
	}
	for _, e := range entries {
		if e.Actor != (enlace.Actor{ID: "ana", Address: "192.0.2.7", Request: "req-1"}) || e.Integration != in.ID || e.At.IsZero() {
			t.Errorf("%+v", e)
		}
		checkNoLeak(t, "an audit entry", dump(e), canary)
	}
	recorded := observedAs[enlace.AuditRecorded](h)
	if len(recorded) != len(entries) || recorded[len(recorded)-1].Entry.Hash != entries[len(entries)-1].Hash {
		t.Errorf("%d entries were observed, %d are stored", len(recorded), len(entries))
	}
}

func TestAChangeAndItsEntryAreOne(t *testing.T) {
	broken := errors.New("disk full")
	var failing string
	h := newHost(t, crm{}, func(c *enlace.Config) {
		c.Store = flakyStore{c.Store, func(_ context.Context, op string) error {
			if op == failing {
				return broken
			}
			return nil
		}}
	})
	in := h.create(apiKey("k"))
	before := len(auditOf(t, h.Service, "acme"))

	failing = "AppendAudit"
	if _, err := h.Disable(t.Context(), in.Ref); !errors.Is(err, enlace.ErrStore) {
		t.Errorf("a change that cannot be audited: %v, want ErrStore", err)
	}
	failing = ""
	if got := must(h.Get(t.Context(), in.Ref))(t); !got.Enabled || got.Version != in.Version {
		t.Errorf("a change that could not be audited is there: %+v", got)
	}
	failing = "UpdateIntegration"
	if _, err := h.Disable(t.Context(), in.Ref); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	failing = ""
	if got := actions(auditOf(t, h.Service, "acme")[before:]); !slices.Equal(got, []string{"integration.disable failed store"}) {
		t.Errorf("a change that failed is audited as %q", got)
	}
	// A credential is not stored before the log says that somebody is about to.
	failing = "AppendAudit"
	if _, err := h.Connect(t.Context(), in.Ref, apiKey("another")); !errors.Is(err, enlace.ErrStore) {
		t.Errorf("%v", err)
	}
	failing = ""
	if err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Fatal(err)
	}
	if sent := h.provider.seen("ping"); sent[0].Header.Get("X-Api-Key") != "k" {
		t.Error("a credential was stored without an entry")
	}
	if report := must(h.VerifyAudit(t.Context(), "acme"))(t); !report.OK {
		t.Errorf("%+v", report)
	}
}

// tamperedStore shows a log that somebody has changed.
type tamperedStore struct {
	enlace.Store
	tamper func([]enlace.AuditEntry) []enlace.AuditEntry
	head   func(enlace.AuditHead) enlace.AuditHead
}

func (s tamperedStore) AuditEntries(ctx context.Context, q enlace.AuditQuery) ([]enlace.AuditEntry, string, error) {
	q.Limit = 1000
	entries, next, err := s.Store.AuditEntries(ctx, q)
	return s.tamper(entries), next, err
}

func (s tamperedStore) AuditHead(ctx context.Context, tenant string) (enlace.AuditHead, error) {
	h, err := s.Store.AuditHead(ctx, tenant)
	if s.head != nil {
		h = s.head(h)
	}
	return h, err
}

// tamperedLog is a log that somebody has changed in one place.
type tamperedLog struct {
	enlace.Store
	honest []enlace.AuditEntry
	tamper func(after []enlace.AuditEntry) []enlace.AuditEntry
}

func (s tamperedLog) AuditHead(context.Context, string) (enlace.AuditHead, error) {
	return headOf(s.honest[len(s.honest)-1]), nil
}

// AuditEntries gives the beginning of what comes behind q.After, as it was made: what
// stands there in the end cannot be told from the page without its cursor.
func (s tamperedLog) AuditEntries(_ context.Context, q enlace.AuditQuery) ([]enlace.AuditEntry, string, error) {
	return s.tamper(slices.Clone(s.honest[q.After:min(int(q.After)+20, len(s.honest))])), "", nil
}

func headOf(e enlace.AuditEntry) enlace.AuditHead {
	return enlace.AuditHead{Tenant: e.Tenant, Seq: e.Seq, Hash: e.Hash}
}

func TestVerifyAuditFindsEveryTampering(t *testing.T) {
	const n = 10_000
	store := memory.New()
	h := newHost(t, crm{}, func(c *enlace.Config) { c.Store = store })
	for i := range n {
		e := enlace.AuditEntry{Tenant: "acme", Action: "test", Target: fmt.Sprint(i), Fields: []string{"a", "b"}, Result: enlace.AuditDone}
		if err := h.RecordAudit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	honest := auditOf(t, h.Service, "acme")
	if report := must(h.VerifyAudit(t.Context(), "acme"))(t); !report.OK || report.Entries != n || report.Head.Seq != n {
		t.Fatalf("an honest log: %+v", report)
	}
	edits := map[string]func(*enlace.AuditEntry){
		"actor": func(e *enlace.AuditEntry) { e.Actor.ID = "x" }, "address": func(e *enlace.AuditEntry) { e.Actor.Address = "x" },
		"request": func(e *enlace.AuditEntry) { e.Actor.Request = "x" }, "action": func(e *enlace.AuditEntry) { e.Action = "x" },
		"target": func(e *enlace.AuditEntry) { e.Target = "x" }, "integration": func(e *enlace.AuditEntry) { e.Integration = "x" },
		"result": func(e *enlace.AuditEntry) { e.Result = enlace.AuditFailed }, "kind": func(e *enlace.AuditEntry) { e.Kind = "x" },
		"time": func(e *enlace.AuditEntry) { e.At = e.At.Add(1000) }, "fields": func(e *enlace.AuditEntry) { e.Fields = []string{"ab"} },
		"shifted": func(e *enlace.AuditEntry) { e.Action, e.Integration = e.Action[:3], e.Action[3:] },
		"tenant":  func(e *enlace.AuditEntry) { e.Tenant = "x" }, "hash": func(e *enlace.AuditEntry) { e.Hash[5] ^= 1 },
		"previous": func(e *enlace.AuditEntry) { e.Previous[5] ^= 1 },
	}
	names := slices.Sorted(maps.Keys(edits))
	// Each of the tamperings, of the entry at index i of all.
	tamperings := map[string]func(all []enlace.AuditEntry, i int) []enlace.AuditEntry{
		"edit": func(all []enlace.AuditEntry, i int) []enlace.AuditEntry {
			edits[names[int(all[i].Seq)%len(names)]](&all[i])
			return all
		},
		"drop":       func(all []enlace.AuditEntry, i int) []enlace.AuditEntry { return slices.Delete(all, i, i+1) },
		"truncation": func(all []enlace.AuditEntry, i int) []enlace.AuditEntry { return all[:i] },
		"reordering": func(all []enlace.AuditEntry, i int) []enlace.AuditEntry {
			all[i-1], all[i] = all[i], all[i-1]
			return all
		},
		"reordering with numbers": func(all []enlace.AuditEntry, i int) []enlace.AuditEntry {
			all[i-1], all[i] = all[i], all[i-1]
			all[i-1].Seq, all[i].Seq = all[i].Seq, all[i-1].Seq
			return all
		},
	}
	// Each entry, in a log that is verified from an earlier head on; and some of them in a
	// log that is read from its beginning.
	for what, tamper := range tamperings {
		first, at, from := 0, 0, 0
		bad := func() int64 { return int64(at + 1) }
		if strings.HasPrefix(what, "reordering") {
			first, bad = 1, func() int64 { return int64(at) }
		}
		check := func(s *enlace.Service) {
			t.Helper()
			head := enlace.AuditHead{Tenant: "acme"}
			if from > 0 {
				head = headOf(honest[from-1])
			}
			if report := must(s.VerifyAuditAfter(t.Context(), head))(t); report.OK || report.Bad != bad() || report.Reason == "" {
				t.Fatalf("%s of entry %d, verified from %d on: %+v", what, at+1, from, report)
			}
		}
		h.config.Store = tamperedLog{store, honest, func(after []enlace.AuditEntry) []enlace.AuditEntry { return tamper(after, at-from) }}
		behind := h.restart()
		for at = first; at < n; at++ {
			from = max(0, at-1-at%10)
			check(behind)
		}
		h.config.Store = tamperedStore{Store: store, tamper: func(page []enlace.AuditEntry) []enlace.AuditEntry {
			begins := int(page[0].Seq - 1)
			switch {
			case what == "truncation" && begins > at:
				return nil
			case begins/1000 != at/1000:
				return page
			}
			return tamper(page, at-begins)
		}}
		from = 0
		whole := h.restart()
		for at = first; at < n; at += 2777 {
			check(whole)
		}
	}
}

// Whoever can write the whole table with its head is found by a head that was kept elsewhere.
func TestAKeptHeadFindsANewChain(t *testing.T) {
	h := newHost(t, crm{})
	record := func(s *enlace.Service, target string) {
		t.Helper()
		if err := s.RecordAudit(t.Context(), enlace.AuditEntry{Tenant: "acme", Action: "test", Target: target, Result: enlace.AuditDone}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		record(h.Service, fmt.Sprint(i))
	}
	kept := must(h.AuditHead(t.Context(), "acme"))(t)
	if report := must(h.VerifyAudit(t.Context(), "acme", kept))(t); !report.OK {
		t.Fatalf("%+v", report)
	}
	for _, length := range []int{5, 9, 10, 15} {
		forged := newHost(t, crm{})
		for i := range length {
			record(forged.Service, fmt.Sprint("forged", i))
		}
		if report := must(forged.VerifyAudit(t.Context(), "acme"))(t); !report.OK {
			t.Fatalf("a chain of its own is good by itself: %+v", report)
		}
		if report := must(forged.VerifyAudit(t.Context(), "acme", kept))(t); report.OK {
			t.Errorf("a forged chain of %d passes against the kept head", length)
		}
	}
	if report := must(h.VerifyAudit(t.Context(), "nobody"))(t); !report.OK || report.Entries != 0 {
		t.Errorf("an empty log: %+v", report)
	}
}

func TestExportAudit(t *testing.T) {
	h := newHost(t, crm{})
	ctx := enlace.WithActor(t.Context(), enlace.Actor{ID: "=HYPERLINK(\"http://evil\")", Request: "a,\"b\"\nc"})
	for range 3 {
		if err := h.RecordAudit(ctx, enlace.AuditEntry{Tenant: "acme", Action: "test", Target: "@x", Fields: []string{"a", "b"}, Result: enlace.AuditRefused}); err != nil {
			t.Fatal(err)
		}
	}
	var lines bytes.Buffer
	if err := h.ExportAudit(ctx, enlace.AuditQuery{Tenant: "acme"}, enlace.AuditJSONLines, &lines); err != nil {
		t.Fatal(err)
	}
	var got []enlace.AuditEntry
	for decoder := json.NewDecoder(&lines); decoder.More(); {
		var e enlace.AuditEntry
		if err := decoder.Decode(&e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(auditOf(t, h.Service, "acme"), got); diff != "" {
		t.Error("exported (-want +got):\n" + diff)
	}
	if got[len(got)-1].Action != "audit.export" {
		t.Error("the export itself is not in the log")
	}
	var table bytes.Buffer
	if err := h.ExportAudit(ctx, enlace.AuditQuery{Tenant: "acme", Action: "test"}, enlace.AuditCSV, &table); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, cell := range rows[1] {
		if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
			t.Errorf("a spreadsheet would calculate %q", cell)
		}
	}
	if rows[1][5] != "a,\"b\"\nc" {
		t.Errorf("a cell came out as %q", rows[1][5])
	}
	if err := h.ExportAudit(ctx, enlace.AuditQuery{Tenant: "acme"}, "xml", &table); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestRotationIsAudited(t *testing.T) {
	h := newHost(t, crm{})
	if _, err := h.RotateKeys(t.Context(), enlace.RotateOptions{}); !errors.Is(err, enlace.ErrUnsupported) {
		t.Fatal(err)
	}
	if _, err := h.Reseal(t.Context(), enlace.RotateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"keys.rotate begun", "keys.rotate failed unsupported", "keys.reseal begun", "keys.reseal done"}
	if diff := cmp.Diff(want, actions(auditOf(t, h.Service, ""))); diff != "" {
		t.Error("audit log (-want +got):\n" + diff)
	}
}
