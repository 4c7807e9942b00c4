package bitrix24_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func TestDescriptor(t *testing.T) {
	registry := enlace.NewRegistry()
	if err := registry.Register(bitrix24.Adapter{}); err != nil {
		t.Fatal(err)
	}
	d := bitrix24.Adapter{}.Describe()
	want := enlace.CanPull | enlace.CanStreamPages | enlace.CanFetch | enlace.CanPush | enlace.CanPushBatch |
		enlace.CanReceiveWebhooks | enlace.CanRegisterWebhooks | enlace.CanPollEvents | enlace.CanDescribeFields | enlace.CanCheckHealth | enlace.CanClassify | enlace.CanRelocate
	if got := enlace.CapabilitiesOf(bitrix24.Adapter{}); got != want {
		t.Errorf("can %v, want %v", got, want)
	}
	var entities, schemes []string
	for _, e := range d.Entities {
		entities = append(entities, e.Name)
		if !e.Can(enlace.OpRead) || e.Incremental != enlace.IncrementalUpdates || e.Title == "" {
			t.Errorf("%s: %+v", e.Name, e)
		}
	}
	for _, s := range d.Auth {
		schemes = append(schemes, s.Scheme())
	}
	slices.Sort(entities)
	if got := strings.Join(entities, " "); got != "companies contacts deals dynamic_* leads" {
		t.Errorf("entities %q", got)
	}
	if got := strings.Join(schemes, " "); got != "webhook oauth" {
		t.Errorf("schemes %q", got)
	}
	if l := d.Limits; l.PerSecond != 2 || l.Burst != 50 || !l.PerHost || l.RunTime.Seconds() != 480 || l.RunTimeWindow.Minutes() != 10 {
		t.Errorf("limits %+v", l)
	}
}

func TestEveryEntityIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3, Title: "Projects"}}})
		counts := map[string]int{"companies": 3, "contacts": 120, "deals": 55, "leads": 1}
		portal.Seed(bitrix24test.Company, bitrix24test.Seed{Count: 3})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 120})
		portal.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: 55})
		portal.Seed(bitrix24test.Lead, bitrix24test.Seed{Count: 1})
		portal.Seed(128, bitrix24test.Seed{Count: 60})
		portal.Seed(bitrix24test.SmartInvoice, bitrix24test.Seed{Count: 2})
		h := webhookHost(t, portal, nil)
		into := newInbox()
		var order []string
		result := h.syncAll(into, enlace.SyncOptions{Entities: []string{"all"}, Progress: func(p enlace.Progress) { order = append(order, p.Entity) }})
		if len(result.Entities) != len(counts) {
			t.Errorf("%q is %v", "all", result.Entities)
		}
		for entity, count := range counts {
			if got := result.Entities[entity].Read; got != count {
				t.Errorf("%d %s, want %d", got, entity, count)
			}
		}
		if order = slices.Compact(order); order[0] != "companies" || slices.Index(order, "contacts") > slices.Index(order, "deals") {
			t.Errorf("read in the order %v; parents come first", order)
		}
		result = h.syncAll(into, enlace.SyncOptions{Entities: []string{"dynamic_128", "dynamic_31"}})
		if result.Entities["dynamic_128"].Read != 60 || result.Entities["dynamic_31"].Read != 2 {
			t.Errorf("%+v", result.Entities)
		}
		item := into.records["dynamic_128/1"]
		if !strings.Contains(string(item.Data), `"UF_CRM_3_1700000001"`) {
			t.Errorf("the user field has not its original name: %s", item.Data)
		}
	})
}

func TestUnknownEntities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		h := webhookHost(t, portal, nil)
		for _, entity := range []string{"notes", "Contacts", "", "dynamic_", "dynamic_x", "dynamic_5", "dynamic_0", "dynamic_-3",
			"dynamic_+128", "dynamic_0128", "dynamic_1.5", "dynamic_99999999999999999999"} {
			_, _, err := h.pull(enlace.PullRequest{Entity: entity + " "}, 0)
			if entity != "" {
				_, _, err = h.pull(enlace.PullRequest{Entity: entity}, 0)
			}
			if !errors.Is(err, enlace.ErrUnsupported) {
				t.Errorf("%q: %v", entity, err)
			}
		}
		if n := portal.Stats().Requests; n != 0 {
			t.Errorf("%d requests were sent", n)
		}
		if _, _, err := h.pull(enlace.PullRequest{Entity: "dynamic_999"}, 0); !errors.Is(err, enlace.ErrNotFound) {
			t.Errorf("a smart process that the portal does not have: %v", err)
		}
		if _, _, err := h.pull(enlace.PullRequest{Entity: "dynamic_14"}, 0); !errors.Is(err, enlace.ErrUnsupported) {
			t.Errorf("orders: %v", err)
		}
	})
}

func TestHealth(t *testing.T) {
	for _, test := range []struct {
		name    string
		options bitrix24test.Options
		harm    func(h *host)
		kind    error
		failed  string // step of the connection test
	}{
		{name: "ok"},
		{name: "without the scope crm", options: bitrix24test.Options{Scopes: []string{"user"}}, kind: enlace.ErrForbidden, failed: "authentication"},
		{name: "dead webhook", harm: func(h *host) { h.answer(401, `{"error":"INVALID_CREDENTIALS"}`) }, kind: enlace.ErrAuth, failed: "authentication"},
		{name: "dead webhook, 403", harm: func(h *host) { h.answer(403, `{"error":"INVALID_CREDENTIALS"}`) }, kind: enlace.ErrAuth, failed: "authentication"},
		{name: "owner dismissed", harm: func(h *host) { h.answer(401, `{"error":"authorization_error"}`) }, kind: enlace.ErrAuth, failed: "authentication"},
		{name: "not a portal", harm: func(h *host) { h.answer(404, `<html>`) }, kind: enlace.ErrNotFound, failed: "authentication"},
		{name: "scope is no list", harm: func(h *host) { h.answer(200, `{"result":{"0":"crm"}}`) }, kind: enlace.ErrProtocol, failed: "authentication"},
		{name: "contacts are forbidden", harm: func(h *host) {
			h.portal.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: bitrix24test.Refuse, Status: 400, Code: "ACCESS_DENIED", Times: -1})
		}, kind: enlace.ErrForbidden, failed: "sample"},
		{name: "busy for a moment", harm: func(h *host) {
			h.portal.Fault(bitrix24test.Fault{Method: "scope", Kind: bitrix24test.RateLimited, Times: 2})
		}},
	} {
		bubble(t, test.name, func(t *testing.T) {
			portal := bitrix24test.New(test.options)
			portal.Seed(bitrix24test.Company, bitrix24test.Seed{Count: 70})
			h := webhookHost(t, portal, nil)
			if test.harm != nil {
				test.harm(h)
			}
			for name, what := range map[string]enlace.ConnectionTest{
				"stored":  {Ref: h.ref},
				"unsaved": {Provider: bitrix24.Name, Credential: *webhook(portal.WebhookURL())},
			} {
				report, err := h.service.TestConnection(t.Context(), what)
				if err != nil {
					t.Fatal(err)
				}
				if report.OK != (test.kind == nil) {
					t.Errorf("%s: %+v", name, report)
				}
				for _, step := range report.Steps {
					h.note(step.Err)
					if step.Skipped || (step.Err != nil) != (step.Name == test.failed) || (step.Err != nil && !errors.Is(step.Err, test.kind)) {
						t.Errorf("%s, step %s: %v", name, step.Name, step.Err)
					}
				}
			}
			h.showsNoSecret(secretOf(portal))
		})
	}
}

func TestEarlyBreakLeavesNothingBehind(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		bubble(t, "lanes "+lanes, func(t *testing.T) {
			portal := busyPortal(bitrix24test.Options{}, 5_000)
			h := webhookHost(t, portal, map[string]string{"lanes": lanes})
			for _, n := range []int{1, 50, 51, 1_000} {
				read := 0
				for _, err := range h.service.Records(t.Context(), h.ref, enlace.PullRequest{Entity: "contacts"}) {
					if err != nil {
						t.Fatal(err)
					}
					if read++; read == n {
						break
					}
				}
				if read != n {
					t.Errorf("read %d, want %d", read, n)
				}
			}
			before := portal.Stats().Requests
			synctest.Wait()
			if after := portal.Stats().Requests; after != before {
				t.Errorf("%d requests were sent after the end", after-before)
			}
		})
	}
}

// TestCancelEndsAWalkAtOnce cancels a run while requests are under way, or wait
// for the portal's limits, or hang.
func TestCancelEndsAWalkAtOnce(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		for name, fault := range map[string]*bitrix24test.Fault{
			"working":      nil,
			"hanging":      {Kind: bitrix24test.Hang, After: 3, Times: -1},
			"rate limited": {Kind: bitrix24test.RateLimited, After: 3, Times: -1},
			"blocked":      {Method: "crm.item.list", Kind: bitrix24test.OperatingLimit, After: 2, Times: -1},
		} {
			if name == "blocked" && lanes == "1" {
				continue // page by page that is an error
			}
			bubble(t, name+", lanes "+lanes, func(t *testing.T) {
				portal := busyPortal(bitrix24test.Options{}, 50_000)
				if fault != nil {
					portal.Fault(*fault)
				}
				h := webhookHost(t, portal, map[string]string{"lanes": lanes, "retryAttempts": "10"})
				const patience = 2 * time.Second
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				time.AfterFunc(patience, cancel)
				started := time.Now()
				_, err := h.service.Sync(ctx, h.ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: newInbox()})
				h.note(err)
				if !errors.Is(err, enlace.ErrCanceled) || !errors.Is(err, context.Canceled) {
					t.Fatalf("after %v: %v", time.Since(started), err)
				}
				if took := time.Since(started); took != patience {
					t.Errorf("ended after %v, want at once after %v", took, patience)
				}
				h.showsNoSecret(secretOf(portal))
			})
		}
	}
}

// noUserFields keeps the records of large portals short.
var noUserFields = []bitrix24test.UserField{}

// busyPortal has contacts and needs 0.3 s for a list, 50 ms away.
func busyPortal(options bitrix24test.Options, contacts int) *bitrix24test.Portal {
	options.RoundTrip, options.UserFields = 50*time.Millisecond, noUserFields
	options.ServerTime = func(method string) time.Duration {
		if method == "crm.item.list" {
			return 300 * time.Millisecond
		}
		return 0
	}
	portal := bitrix24test.New(options)
	portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: contacts})
	return portal
}

// secretOf is the secret part of the portal's webhook address.
func secretOf(portal *bitrix24test.Portal) string {
	parts := strings.Split(strings.Trim(portal.WebhookURL(), "/"), "/")
	return parts[len(parts)-1]
}

// answer has every request answered like this from now on.
func (h *host) answer(status int, body string) {
	h.config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
			ContentLength: int64(len(body)), Request: r}, nil
	})
	h.restart()
}
