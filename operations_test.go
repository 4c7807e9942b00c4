package enlace_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

func TestFlagsSwitchWhatTheyTarget(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"), with("retryAttempts", "0"))
	other := h.create(apiKey("k"), func(n *enlace.NewIntegration) { n.Tenant = "other" })
	for _, c := range []struct {
		target    enlace.FlagTarget
		in, other bool // whether they stay on
	}{
		{enlace.FlagTarget{}, false, false},
		{enlace.FlagTarget{Provider: "crm"}, false, false},
		{enlace.FlagTarget{Provider: "another"}, true, true},
		{enlace.FlagTarget{Tenant: "acme"}, false, true},
		{enlace.FlagTarget{Tenant: "other", Provider: "crm"}, true, false},
		{enlace.FlagTarget{Tenant: "acme", Integration: in.ID}, false, true},
		{enlace.FlagTarget{Entity: "deals"}, true, true},
	} {
		if err := h.SetFlag(t.Context(), enlace.FlagIntegrations, c.target, false, "test"); err != nil {
			t.Fatal(err)
		}
		for ref, want := range map[enlace.Ref]bool{in.Ref: c.in, other.Ref: c.other} {
			if on := h.FlagEnabled(t.Context(), enlace.FlagIntegrations, ref, ""); on != want {
				t.Errorf("%+v: on is %t for %s", c.target, on, ref)
			}
			if _, err := h.Conn(t.Context(), ref); errors.Is(err, enlace.ErrDisabled) == want {
				t.Errorf("%+v: %v for %s", c.target, err, ref)
			}
		}
		if !h.FlagEnabled(t.Context(), enlace.FlagAnalytics, in.Ref, "") {
			t.Error("another flag went off")
		}
		if err := h.ClearFlag(t.Context(), enlace.FlagIntegrations, c.target); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.ClearFlag(t.Context(), enlace.FlagIntegrations, enlace.FlagTarget{}); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if err := h.SetFlag(t.Context(), "weather", enlace.FlagTarget{}, false, ""); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("%v", err)
	}
	entries := must2(h.Audit(t.Context(), enlace.AuditQuery{Tenant: "acme", Action: "flag.", OldestFirst: true}))(t)
	if diff := cmp.Diff([]string{"flag.set done off", "flag.clear done", "flag.set done off", "flag.clear done"}, actions(entries)); diff != "" {
		t.Error("audit log (-want +got):\n" + diff)
	}
}

// must2 is must for a page with its cursor.
func must2[T any](v T, _ string, err error) func(testing.TB) T { return must(v, err) }

func TestOffWins(t *testing.T) {
	asked := 0
	h := newHost(t, crm{}, func(c *enlace.Config) {
		c.DisabledFlags = []enlace.Flag{enlace.FlagBulkOperations}
		c.Flags = enlace.FlagsFunc(func(_ context.Context, flag enlace.Flag, target enlace.FlagTarget, fallback bool) (bool, error) {
			asked++
			if flag == enlace.FlagAnalytics {
				return false, nil
			}
			return !fallback, errors.New("the flag service is down")
		})
	})
	set := func(flag enlace.Flag, target enlace.FlagTarget, on bool) {
		t.Helper()
		if err := h.SetFlag(t.Context(), flag, target, on, ""); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, flag enlace.Flag, want bool) {
		t.Helper()
		if on := h.FlagEnabled(t.Context(), flag, enlace.Ref{Tenant: "acme"}, "deals"); on != want {
			t.Errorf("%s: %t", what, on)
		}
	}
	check("off by configuration", enlace.FlagBulkOperations, false)
	check("on by itself, whatever a broken source says", enlace.FlagWebhooks, true)
	check("off by the source", enlace.FlagAnalytics, false)
	set(enlace.FlagBulkOperations, enlace.FlagTarget{Tenant: "acme"}, true)
	check("switched on for the tenant", enlace.FlagBulkOperations, true)
	set(enlace.FlagBulkOperations, enlace.FlagTarget{Entity: "deals"}, false)
	check("on for the tenant, off for the entity", enlace.FlagBulkOperations, false)
	if asked == 0 {
		t.Error("the source was never asked")
	}
}

func TestFlagsReachEveryProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{})
		second := h.restart()
		ref := enlace.Ref{Tenant: "acme"}
		on := func(s *enlace.Service) bool { return s.FlagEnabled(t.Context(), enlace.FlagWebhooks, ref, "") }
		for _, want := range []bool{false, true} {
			if on(second) == want {
				t.Fatalf("it is %t before", want)
			}
			if err := h.SetFlag(t.Context(), enlace.FlagWebhooks, enlace.FlagTarget{}, want, ""); err != nil {
				t.Fatal(err)
			}
			if on(h.Service) != want {
				t.Error("the process itself does not follow at once")
			}
			time.Sleep(1100 * time.Millisecond)
			if on(second) != want {
				t.Error("the other process does not follow within two seconds")
			}
		}
	})
}

func TestUnknownFlagsAreOff(t *testing.T) {
	h := newHost(t, crm{}, func(c *enlace.Config) { c.Store = noFlags{c.Store} })
	if h.FlagEnabled(t.Context(), enlace.FlagIntegrations, enlace.Ref{Tenant: "acme"}, "") {
		t.Error("a flag is on although nobody knows the rules")
	}
	in := h.create(apiKey("k"))
	if _, err := h.Conn(t.Context(), in.Ref); !errors.Is(err, enlace.ErrStore) || errors.Is(err, enlace.ErrDisabled) {
		t.Errorf("%v, which blames the flag", err)
	}
	if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Sink: &notebook{}}); !errors.Is(err, enlace.ErrStore) || errors.Is(err, enlace.ErrDisabled) {
		t.Errorf("%v, which blames the flag", err)
	}
}

type noFlags struct{ enlace.Store }

func (noFlags) FlagRules(context.Context) ([]enlace.FlagRule, error) { return nil, errors.New("down") }

func TestEntitiesCanBeSwitchedOff(t *testing.T) {
	n := &notebook{}
	h := newHost(t, crm{}, func(c *enlace.Config) { c.Sink = n })
	in := h.create(apiKey("k"))
	for _, entity := range []string{"companies", "contacts", "deals"} {
		h.provider.add(entity, 3)
	}
	if err := h.SetFlag(t.Context(), enlace.FlagIntegrations, enlace.FlagTarget{Tenant: "acme", Entity: "deals"}, false, ""); err != nil {
		t.Fatal(err)
	}
	result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{})
	if err != nil || len(result.Entities) != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"deals"}}); !errors.Is(err, enlace.ErrDisabled) {
		t.Errorf("%v", err)
	}
}

func TestTenantLimits(t *testing.T) {
	limits := map[string]enlace.TenantLimits{"acme": {Integrations: 2}}
	h := newHost(t, crm{}, func(c *enlace.Config) {
		c.TenantLimits = func(tenant string) enlace.TenantLimits { return limits[tenant] }
	})
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 10 {
		wg.Go(func() {
			_, err := h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm"})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !errors.Is(err, enlace.ErrLimit) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != 2 {
		t.Errorf("%d integrations were created, the limit is 2", made)
	}
	if _, err := h.Create(t.Context(), enlace.NewIntegration{Tenant: "other", Provider: "crm"}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
}

func TestRunsOfATenantWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		at, most := 0, 0
		slow := &notebook{before: func(enlace.Batch) error {
			mu.Lock()
			at++
			most = max(most, at)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			at--
			mu.Unlock()
			return nil
		}}
		h := newHost(t, crm{}, func(c *enlace.Config) {
			c.Sink = slow
			c.TenantLimits = func(string) enlace.TenantLimits { return enlace.TenantLimits{Syncs: 2} }
		})
		h.provider.add("companies", 3)
		var wg sync.WaitGroup
		for range 6 {
			in := h.create(apiKey("k"))
			wg.Go(func() {
				if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != 2 {
			t.Errorf("%d runs at the same time, the limit is 2", most)
		}
	})
}

func TestExportTenantHasMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{}, func(c *enlace.Config) { c.Sink = &notebook{} })
		in := h.create(apiKey("k"))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = h.Run(ctx) })
		if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}}); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		cancel()
		running.Wait()
		var export strings.Builder
		if err := h.ExportTenant(t.Context(), "acme", &export); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(export.String(), `"kind":"metrics"`) {
			t.Error("no metrics in the export:\n" + export.String())
		}
	})
}

func TestEraseAndExportTenant(t *testing.T) {
	h := newHost(t, crm{}, func(c *enlace.Config) { c.Sink = &notebook{} })
	in := h.create(apiKey(canary))
	stays := h.create(apiKey("k"), func(n *enlace.NewIntegration) { n.Tenant = "other" })
	h.provider.add("companies", 3)
	if _, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}}); err != nil {
		t.Fatal(err)
	}
	var export bytes.Buffer
	if err := h.ExportTenant(t.Context(), "acme", &export); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for decoder := json.NewDecoder(bytes.NewReader(export.Bytes())); decoder.More(); {
		var line struct{ Kind string }
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		kinds[line.Kind]++
	}
	if kinds["integration"] != 1 || kinds["credential"] != 1 || kinds["run"] != 1 || kinds["audit"] < 3 {
		t.Errorf("%v", kinds)
	}
	checkNoLeak(t, "an export", export.String(), canary)
	if strings.Contains(export.String(), stays.ID) {
		t.Error("the export has another tenant's integration")
	}
	head := must(h.AuditHead(t.Context(), "acme"))(t)
	report, err := h.EraseTenant(enlace.WithActor(t.Context(), enlace.Actor{ID: "dpo"}), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if report.Rows["integrations"] != 1 || report.Rows["runs"] != 1 || report.AuditHead != head || len(report.Left) == 0 {
		t.Errorf("%+v", report)
	}
	if _, err := h.Conn(t.Context(), in.Ref); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := h.Conn(t.Context(), stays.Ref); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	if n := len(auditOf(t, h.Service, "acme")); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	log := auditOf(t, h.Service, "")
	if last := log[len(log)-1]; last.Action != "tenant.erase" || last.Target != "acme" || last.Actor.ID != "dpo" {
		t.Errorf("%+v", last)
	}
	if _, err := h.EraseTenant(t.Context(), ""); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("the empty tenant: %v", err)
	}
	for _, bad := range [][]enlace.SubjectRecord{nil, {{Entity: "contacts"}}, {{ID: "7"}}} {
		if _, err := h.EraseSubject(t.Context(), "other", bad...); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestLogBufferKeepsFollowsAndMasks(t *testing.T) {
	var handed bytes.Buffer
	b := enlace.NewLogBuffer(20, slog.NewTextHandler(&handed, &slog.HandlerOptions{Level: slog.LevelWarn}))
	log := slog.New(b).With("tenant", "acme")
	ctx := enlace.WithActor(t.Context(), enlace.Actor{ID: "ana", Request: "req-9"})
	log.WithGroup("http").InfoContext(ctx, "asked", "status", 200, "authorization", "Bearer "+canary, slog.Group("in", "x", 1))
	log.Debug("not kept")
	log.WarnContext(ctx, "slow, access_token="+canary)
	lines, lost := b.Lines(enlace.LogQuery{})
	if len(lines) != 2 || lost {
		t.Fatalf("%+v", lines)
	}
	want := map[string]string{"tenant": "acme", "request": "req-9", "actor": "ana", "http.status": "200", "http.in.x": "1"}
	for key, value := range want {
		if lines[0].Attrs[key] != value {
			t.Errorf("%s is %q, want %q", key, lines[0].Attrs[key], value)
		}
	}
	checkNoLeak(t, "a kept line", fmt.Sprint(lines), canary)
	if text := handed.String(); strings.Contains(text, "asked") || !strings.Contains(text, "request=req-9") {
		t.Errorf("handed on: %s", text)
	}
	for name, q := range map[string]enlace.LogQuery{"level": {Level: slog.LevelWarn}, "attr": {Attrs: map[string]string{"http.status": "200"}},
		"text": {Text: "ASK"}, "after": {After: lines[0].Seq}, "limit": {Limit: 1}} {
		if got, _ := b.Lines(q); len(got) != 1 {
			t.Errorf("%s selects %d lines", name, len(got))
		}
	}
	first := lines[0].Seq
	for i := range 50 {
		log.Info(fmt.Sprint("line ", i))
	}
	lines, lost = b.Lines(enlace.LogQuery{After: first, Limit: 1000})
	if !lost || len(lines) != 20 || lines[19].Message != "line 49" {
		t.Errorf("%d lines, lost is %t", len(lines), lost)
	}
	synctest.Test(t, func(t *testing.T) {
		b := enlace.NewLogBuffer(10, nil)
		woken := make(chan error, 1)
		go func() { woken <- b.Wait(t.Context(), 0) }()
		synctest.Wait()
		slog.New(b).Info("now")
		if err := <-woken; err != nil {
			t.Error(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Wait(ended, 1); err == nil {
			t.Error("Wait did not end with its context")
		}
	})
}

func TestPrometheusText(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey(canary), with("retryAttempts", "0"))
	h.provider.setFault(times(1, "/bad", status(503, `{}`)))
	c := h.open(in)
	_ = c.Do(t.Context(), enlace.Call{Path: "bad"}, nil)
	for range 3 {
		_ = c.Do(t.Context(), enlace.Call{Path: "good"}, nil)
	}
	server := httptest.NewServer(h.MetricsHandler())
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	for _, line := range []string{`enlace_requests_total{provider="crm"} 4`, `enlace_request_failures_total{provider="crm",kind="unavailable"} 1`,
		`enlace_request_duration_seconds_count{provider="crm"} 4`, `enlace_request_duration_seconds_bucket{provider="crm",le="+Inf"} 4`} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("%s is not in\n%s", line, text)
		}
	}
	checkNoLeak(t, "the metrics", string(text), canary)
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if family, ok := strings.CutPrefix(line, "# TYPE "); ok {
			if seen[family] {
				t.Errorf("twice: %s", line)
			}
			seen[family] = true
		}
	}
	if answer, err := http.Post(server.URL, "text/plain", nil); err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestAnomaliesCompareWithEarlierWeeks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{}, func(c *enlace.Config) { c.HealthInterval, c.Workers = -1, -1 })
		in := h.create(apiKey("k"), with("retryAttempts", "0"))
		h.provider.setFault(times(1<<30, "/bad", status(503, `{}`)))
		hour := func(good, bad int) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = h.Run(ctx) })
			c := h.open(in)
			for range good {
				_ = c.Do(ctx, enlace.Call{Path: "good"}, nil)
			}
			for range bad {
				_ = c.Do(ctx, enlace.Call{Path: "bad"}, nil)
			}
			time.Sleep(70 * time.Minute) // the hour is over and rolled up
			cancel()
			wg.Wait()
		}
		anomalies := func() []enlace.Anomaly {
			t.Helper()
			found, err := h.Anomalies(t.Context(), enlace.MetricsQuery{Tenant: "acme"})
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		time.Sleep(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour + time.Minute)))
		for range 3 {
			hour(100, 1)
			if found := anomalies(); len(found) != 0 {
				t.Errorf("without three weeks to compare with: %+v", found)
			}
			time.Sleep(7*24*time.Hour - 70*time.Minute)
		}
		hour(100, 1)
		if found := anomalies(); len(found) != 0 {
			t.Errorf("an hour like the others: %+v", found)
		}
		time.Sleep(7*24*time.Hour - 70*time.Minute)
		hour(100, 40)
		found := anomalies()
		if len(found) != 1 || found[0].Metric != "error_rate" || found[0].Weeks < 3 || !strings.Contains(found[0].Note, "0.286 of the requests failed") {
			t.Errorf("%+v", found)
		}
	})
}

func TestDoctor(t *testing.T) {
	h := newHost(t, crm{})
	find := func(d enlace.Diagnosis, check string, status enlace.HealthStatus) bool {
		return slices.ContainsFunc(d.Findings, func(f enlace.Finding) bool {
			return f.Check == check && f.Status == status && f.Detail != "" && (status == enlace.HealthHealthy || f.Fix != "")
		})
	}
	in := h.create(apiKey(canary))
	d := must(h.Doctor(t.Context()))(t)
	for _, check := range []string{"store", "clock", "keys", "credentials", "integrations", "audit", "flags"} {
		if !find(d, check, enlace.HealthHealthy) {
			t.Errorf("%s is not healthy: %+v", check, d.Findings)
		}
	}
	if !find(d, "background", enlace.HealthWarning) || d.Status != enlace.HealthWarning {
		t.Errorf("nobody runs the background work: %+v", d)
	}
	if err := h.SetFlag(t.Context(), enlace.FlagWebhooks, enlace.FlagTarget{}, false, "outage"); err != nil {
		t.Fatal(err)
	}
	row := must(h.store.Integration(t.Context(), in.Ref))(t)
	row.Provider = "unheard"
	if err := h.store.UpdateIntegration(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	h.config.Keys = newKeys(t) // the key that sealed is lost
	if d := must(h.restart().Doctor(t.Context()))(t); !find(d, "credentials", enlace.HealthError) {
		t.Errorf("a lost key: %+v", d.Findings)
	}
	h.config.Store = tamperedStore{Store: h.store, tamper: func(e []enlace.AuditEntry) []enlace.AuditEntry {
		if len(e) > 0 {
			e[0].Target = "changed"
		}
		return e
	}}
	d = must(h.restart().Doctor(t.Context()))(t)
	for check, status := range map[string]enlace.HealthStatus{"flags": enlace.HealthWarning, "integrations": enlace.HealthError, "audit": enlace.HealthError} {
		if !find(d, check, status) {
			t.Errorf("%s is not found: %+v", check, d.Findings)
		}
	}
	if d.Status != enlace.HealthError || d.Findings[0].Status != enlace.HealthError {
		t.Errorf("the worst does not come first: %+v", d.Findings[0])
	}
	checkNoLeak(t, "a diagnosis", fmt.Sprintf("%+v", d), canary)
	h.config.Store = flakyStore{h.store, func(_ context.Context, op string) error {
		if op == "AcquireLease" {
			return errors.New("read-only file system")
		}
		return nil
	}}
	if d = must(h.restart().Doctor(t.Context()))(t); !find(d, "store", enlace.HealthError) {
		t.Errorf("a store that cannot be written: %+v", d)
	}
}

func TestCatalogue(t *testing.T) {
	registry := enlace.NewRegistry(published{})
	c := registry.Catalogue()
	index, err := c.Render()
	if err != nil {
		t.Fatal(err)
	}
	read, err := enlace.ParseCatalogue(index)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, read); diff != "" {
		t.Error("an index that was written and read (-want +got):\n" + diff)
	}
	if again, _ := read.Render(); !bytes.Equal(again, index) {
		t.Error("the same entries give another file")
	}
	if e := c.Adapters[0]; e.Publisher != "Example Ltda." || e.Name != "crm" || len(e.Checksum) != 64 || !strings.Contains(c.Markdown(), "(`crm`)") {
		t.Errorf("%+v", e)
	}
	for name, edit := range map[string]func(*enlace.Catalogue){
		"form": func(c *enlace.Catalogue) { c.Form = 9 }, "checksum": func(c *enlace.Catalogue) { c.Adapters[0].Features = nil },
		"version": func(c *enlace.Catalogue) { c.Adapters[0].Version = "new" }, "name": func(c *enlace.Catalogue) { c.Adapters = append(c.Adapters, c.Adapters[0]) },
		"docs_url": func(c *enlace.Catalogue) { c.Adapters[0].DocsURL = "javascript:alert(1)" }, "title": func(c *enlace.Catalogue) { c.Adapters[0].Title = " " },
		"compatible": func(c *enlace.Catalogue) { c.Adapters[0].Compatible = "latest" }, "source_url": func(c *enlace.Catalogue) { c.Adapters[0].SourceURL = "https://user:pass@x" },
	} {
		broken := registry.Catalogue()
		edit(&broken)
		if err := broken.Validate(); !errors.Is(err, enlace.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "[]", `{"form":1,"adapters":[],"extra":1}`} {
		if _, err := enlace.ParseCatalogue([]byte(text)); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

type published struct{ crm }

func (published) Publication() enlace.Publication {
	return enlace.Publication{Publisher: "Example Ltda.", Package: "example.com/crm", License: "MIT", SourceURL: "https://example.com/crm", Compatible: "v0.3-v0.5"}
}

// Every method of the service that takes an id refuses another tenant's, and what
// it returns of lists holds nothing of it. A new method fails here until it has a line.
func TestEveryMethodKeepsTenantsApart(t *testing.T) {
	n := &notebook{}
	h := newHost(t, crm{}, func(c *enlace.Config) { c.Sink = n })
	in := h.create(apiKey(canary), func(n *enlace.NewIntegration) { n.Name = "acme's own account" })
	h.provider.add("companies", 3)
	result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.CheckHealth(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	m := must(h.SetMaintenance(t.Context(), enlace.Maintenance{Tenant: "acme", Until: time.Now().Add(time.Hour)}))(t)
	if err := h.SetFlag(t.Context(), enlace.FlagAnalytics, enlace.FlagTarget{Tenant: "acme"}, false, ""); err != nil {
		t.Fatal(err)
	}
	before := len(auditOf(t, h.Service, "acme"))
	requests := len(h.provider.seen(""))

	foreign := enlace.Ref{Tenant: "other", ID: in.ID}
	stranger := in
	stranger.Tenant = "other"
	ctx := t.Context()
	// What each method answers to a stranger: an error, or what must be empty.
	one := func(_ any, err error) []any { return []any{err} }
	page := func(list any, _ string, err error) []any { return []any{err, list} }
	answers := map[string][]any{
		"Get": one(h.Get(ctx, foreign)), "Update": one(h.Update(ctx, stranger)), "Enable": one(h.Enable(ctx, foreign)), "Disable": one(h.Disable(ctx, foreign)),
		"Delete": {h.Delete(ctx, foreign)}, "Connect": one(h.Connect(ctx, foreign, apiKey("x"))), "Disconnect": one(h.Disconnect(ctx, foreign)),
		"Conn": one(h.Conn(ctx, foreign)), "Sync": one(h.Sync(ctx, foreign, enlace.SyncOptions{})), "SyncRun": one(h.SyncRun(ctx, "other", result.RunID)),
		"Health": one(h.Health(ctx, foreign)), "CheckHealth": one(h.CheckHealth(ctx, foreign)), "ValidCredential": one(h.ValidCredential(ctx, foreign)),
		"EndMaintenance": {h.EndMaintenance(ctx, "other", m.ID)}, "TestConnection": one(h.TestConnection(ctx, enlace.ConnectionTest{Ref: foreign})),
		"BeginAuth": one(h.BeginAuth(ctx, foreign, "https://x")), "DescribeFields": one(h.DescribeFields(ctx, foreign, "companies")),
		"List": page(h.List(ctx, enlace.IntegrationQuery{Tenant: "other"})), "Runs": page(h.Runs(ctx, enlace.RunQuery{Tenant: "other", Integration: in.ID})),
		"HealthList": page(h.HealthList(ctx, enlace.HealthQuery{Tenant: "other"})), "HealthChanges": page(h.HealthChanges(ctx, enlace.HealthChangeQuery{Tenant: "other", Integration: in.ID})),
	}
	for page, err := range h.Pages(ctx, foreign, enlace.PullRequest{Entity: "companies"}) {
		answers["Pages"] = []any{err, page.Records}
	}
	for _, err := range h.Records(ctx, foreign, enlace.PullRequest{Entity: "companies"}) {
		answers["Records"] = []any{err}
	}
	maintenances, err := h.Maintenances(ctx, "other")
	answers["Maintenances"] = []any{err, maintenances}
	rules, err := h.FlagRules(ctx, "other")
	answers["FlagRules"] = []any{err, rules}
	metrics, err := h.Metrics(ctx, enlace.MetricsQuery{Tenant: "other", Integration: in.ID})
	answers["Metrics"] = []any{err, metrics.Series, metrics.Integrations}

	for method, answer := range answers {
		err, _ := answer[0].(error)
		lists := answer[1:]
		if err == nil && len(lists) == 0 {
			t.Errorf("%s works with another tenant's id", method)
		}
		if err != nil && len(lists) == 0 && !errors.Is(err, enlace.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", method, err)
		}
		for _, list := range lists {
			if v := reflect.ValueOf(list); v.Len() != 0 {
				t.Errorf("%s shows %d rows of another tenant", method, v.Len())
			}
		}
	}
	if after := len(auditOf(t, h.Service, "acme")); after != before {
		t.Errorf("a stranger left %d entries in the tenant's audit log", after-before)
	}
	if after := len(h.provider.seen("")); after != requests {
		t.Errorf("a stranger caused %d requests", after-requests)
	}
	// And every method there is, also those to come, with arguments made up for the
	// other tenant: it may answer what it likes, but shows and changes nothing here.
	notByTenant := map[string]string{"Run": "works for all", "Close": "waits", "Doctor": "for those who run the host", "Registry": "no data",
		"Safe": "opens nothing without its place", "Watch": "for those who run the host", "AuthHandler": "makes a handler", "WebhookHandler": "makes a handler",
		"MetricsHandler": "makes a handler", "RotateKeys": "concerns all", "Reseal": "concerns all"}
	state := func() string {
		in, err := h.Get(ctx, in.Ref)
		head, headErr := h.AuditHead(ctx, "acme")
		runs, _, runsErr := h.Runs(ctx, enlace.RunQuery{Tenant: "acme"})
		windows, windowsErr := h.Maintenances(ctx, "acme")
		return fmt.Sprintf("%+v %+v %+v %+v %v", in, head, runs, windows, errors.Join(err, headErr, runsErr, windowsErr))
	}
	untouched := state()
	service := reflect.ValueOf(h.Service)
	tried := 0
	for i := range service.NumMethod() {
		method := service.Type().Method(i)
		if notByTenant[method.Name] != "" {
			continue
		}
		tried++
		call := service.Method(i)
		arguments := make([]reflect.Value, 0, call.Type().NumIn())
		for n := range call.Type().NumIn() {
			v := reflect.New(call.Type().In(n)).Elem()
			if n == 0 && v.Kind() == reflect.Interface {
				bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				v.Set(reflect.ValueOf(bounded))
			} else {
				asStranger(v, "", in.ID, result.RunID)
			}
			if call.Type().IsVariadic() && n == call.Type().NumIn()-1 {
				continue
			}
			arguments = append(arguments, v)
		}
		shown := ""
		func() {
			defer func() { _ = recover() }() // a nil writer or function that it could not do without
			for _, v := range call.Call(arguments) {
				if v.Kind() != reflect.Func {
					shown += fmt.Sprintf("%+v ", v.Interface())
				}
			}
		}()
		if strings.Contains(shown, in.Name) {
			t.Errorf("%s shows another tenant's integration: %s", method.Name, shown)
		}
		if now := state(); now != untouched {
			t.Fatalf("%s changed another tenant's data:\n%s\n%s", method.Name, untouched, now)
		}
	}
	if tried < 40 {
		t.Errorf("only %d methods were tried", tried)
	}
	if after := len(h.provider.seen("")); after != requests {
		t.Errorf("a stranger caused %d requests", after-requests)
	}
}

// asStranger fills an argument with the other tenant and with ids of this one.
func asStranger(v reflect.Value, name, integration, run string) {
	switch v.Kind() {
	case reflect.String:
		switch {
		case strings.Contains(strings.ToLower(name), "tenant"), name == "":
			v.SetString("other")
		case strings.Contains(strings.ToLower(name), "run"):
			v.SetString(run)
		case name == "Entity":
			v.SetString("companies")
		case name == "Cursor":
		default:
			v.SetString(integration)
		}
	case reflect.Int64:
		v.SetInt(1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[enlace.Ref]() {
			v.Set(reflect.ValueOf(enlace.Ref{Tenant: "other", ID: integration}))
			return
		}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Type != reflect.TypeFor[time.Time]() {
				asStranger(v.Field(i), field.Name, integration, run)
			}
		}
	}
}
