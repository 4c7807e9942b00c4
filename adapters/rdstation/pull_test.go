package rdstation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

// contactsAccount has n contacts; every fifth never converted.
func contactsAccount(o rdstationtest.Options, n int) (*rdstationtest.Account, []string) {
	a := rdstationtest.New(o)
	uuids := make([]string, n)
	for i := range n {
		fields := map[string]any{"email": fmt.Sprintf("c%d@example.com", i)}
		if i%5 != 0 {
			fields["last_conversion_date"] = time.Now().Add(-time.Duration(i+1) * 7 * time.Hour)
		}
		uuids[i] = a.PutContact(fields)
	}
	return a, uuids
}

// TestContactsWhileTheyConvert: contacts that convert during a walk move to where
// it has been. None is missed, nor one that is deleted told as there.
func TestContactsWhileTheyConvert(t *testing.T) {
	for name, quirks := range map[string]rdstationtest.Quirks{"nulls last": {}, "nulls first": {NullsFirst: true}} {
		bubble(t, name, func(t *testing.T) {
			account, uuids := contactsAccount(rdstationtest.Options{Quirks: quirks, RoundTrip: 100 * time.Millisecond}, 130)
			h := marketingHost(t, account, nil)
			into := newInbox()
			pages := 0
			_, err := h.sync(into, enlace.SyncOptions{Entities: []string{"contacts"}, Progress: func(p enlace.Progress) {
				if pages++; pages == 2 {
					for _, i := range []int{101, 111, 125} {
						account.Convert(fmt.Sprintf("c%d@example.com", i), "x", nil)
					}
					account.Convert("new@example.com", "x", nil)
				}
				if pages == 3 {
					for i := range 4 { // of those that were read: the rest moves up
						account.DeleteContact(into.records["contacts/"+uuids[i*5+1]].ID)
					}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			for i, uuid := range uuids {
				if _, there := into.records["contacts/"+uuid]; !there {
					t.Errorf("contact %d was missed", i)
				}
			}
			if n := into.count("contacts"); n != 131 {
				t.Errorf("%d contacts", n)
			}
			if r := into.records["contacts/"+uuids[3]]; !strings.Contains(string(r.Data), `"extra_emails"`) {
				t.Errorf("not in full: %s", r.Data)
			}
		})
	}
}

// TestConvertedContacts reads by change: every run gets what converted since.
func TestConvertedContacts(t *testing.T) {
	for name, quirks := range map[string]rdstationtest.Quirks{"nulls last": {}, "nulls first": {NullsFirst: true}} {
		bubble(t, name, func(t *testing.T) {
			account, uuids := contactsAccount(rdstationtest.Options{Quirks: quirks}, 300)
			h := marketingHost(t, account, nil)
			into := newInbox()
			h.syncAll(into, "converted_contacts")
			if n := into.count("converted_contacts"); n != 240 || len(into.twice) > 0 {
				t.Fatalf("%d, %d twice", n, len(into.twice))
			}
			if r := into.records["converted_contacts/"+uuids[1]]; r.Modified.IsZero() || !strings.Contains(string(r.Data), "last_conversion_date") {
				t.Errorf("%+v", r)
			}
			time.Sleep(3 * time.Hour)
			account.Convert("c0@example.com", "x", nil)
			account.Convert("c299@example.com", "x", nil)
			time.Sleep(3 * time.Hour)
			next := newInbox()
			before := account.Stats().Requests
			h.syncAll(next, "converted_contacts")
			if n := next.count("converted_contacts"); n != 2 || next.records["converted_contacts/"+uuids[0]].ID == "" {
				t.Errorf("%d since the last run", n)
			}
			if n := account.Stats().Requests - before; n != 1 && !quirks.NullsFirst {
				t.Errorf("%d requests", n)
			}
			since := newInbox()
			if _, err := h.sync(since, enlace.SyncOptions{Entities: []string{"converted_contacts"}, Since: time.Now().Add(-50 * time.Hour)}); err != nil {
				t.Fatal(err)
			}
			if n := since.count("converted_contacts"); n != 6 { // two now, and those of 20, 27, 34 and 41 hours ago
				t.Errorf("%d since 50 hours", n)
			}
			full := newInbox()
			if _, err := h.sync(full, enlace.SyncOptions{Entities: []string{"converted_contacts"}, Full: true}); err != nil || full.count("converted_contacts") != 241 {
				t.Errorf("%d in all, %v", full.count("converted_contacts"), err)
			}
		})
	}
}

// TestLimitedPulls go on in the middle of the provider's pages.
func TestLimitedPulls(t *testing.T) {
	bubble(t, "marketing", func(t *testing.T) {
		account, _ := contactsAccount(rdstationtest.Options{}, 40)
		for range 130 {
			account.PutAsset(rdstationtest.Emails, map[string]any{})
		}
		h := marketingHost(t, account, nil)
		limitedRuns(t, h, map[string]int{"contacts": 40, "converted_contacts": 32, "segmentation_1": 40, "emails": 130}, 9)
	})
	bubble(t, "crm", func(t *testing.T) {
		account := crmAccount(rdstationtest.Options{}, 230)
		for range 205 {
			account.PutCRM(rdstationtest.CRMProducts, map[string]any{"name": "P"})
		}
		limitedRuns(t, crmHost(t, account), map[string]int{"deals": 230, "tasks": 230, "products": 205, "stages": 5}, 41)
		limitedRuns(t, v1Host(t, account), map[string]int{"deals": 230, "contacts": 230, "pipelines": 1}, 41)
	})
}

func limitedRuns(t *testing.T, h *host, counts map[string]int, limit int) {
	t.Helper()
	for entity, want := range counts {
		into := newInbox()
		for runs := 0; ; runs++ {
			h.restart()
			result, err := h.sync(into, enlace.SyncOptions{Entities: []string{entity}, Limit: limit})
			if err != nil || runs > want {
				t.Fatalf("%s: %v", entity, err)
			}
			if got := result.Entities[entity].Read; got > limit {
				t.Errorf("%s: %d records in a run of %d", entity, got, limit)
			}
			if result.Complete {
				break
			}
		}
		if n := into.count(entity); n != want || (len(into.twice) > 0 && entity != "contacts") {
			t.Errorf("%s: %d records, %d twice, want %d", entity, n, len(into.twice), want)
		}
	}
}

// crmAccount has n contacts, deals, organizations and tasks, three of them in every second.
func crmAccount(o rdstationtest.Options, n int) *rdstationtest.Account {
	a := rdstationtest.New(o)
	begin := time.Now().Add(-time.Duration(n) * time.Hour)
	for i := range n {
		at := begin.Add(time.Duration(i/3) * time.Second)
		for _, e := range []rdstationtest.Entity{rdstationtest.CRMContacts, rdstationtest.CRMDeals, rdstationtest.CRMOrganizations} {
			a.PutCRM(e, map[string]any{"name": fmt.Sprint("Record ", i), "created_at": at, "updated_at": at})
		}
		task := map[string]any{"name": "Task", "type": "call", "created_at": at, "updated_at": at, "due_date": at.UTC().Format(time.RFC3339)}
		if i%50 == 0 {
			delete(task, "due_date")
		}
		a.PutCRM(rdstationtest.CRMTasks, task)
	}
	return a
}

// TestCRMByChange reads everything, then what changed, with the odd links and the
// unstable order of the provider (T47, Q37, Q38).
func TestCRMByChange(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *rdstationtest.Account) *host{"v2": crmHost, "v1": v1Host} {
		bubble(t, name, func(t *testing.T) {
			account := crmAccount(rdstationtest.Options{}, 450)
			h := connect(t, account)
			entities := []string{"contacts", "organizations", "deals", "tasks"}
			changing := entities
			if name == "v1" {
				changing = entities[:2]
			}
			into := newInbox()
			h.syncAll(into, entities...)
			for _, entity := range entities {
				if n := into.count(entity); n != 450 {
					t.Errorf("%d %s", n, entity)
				}
			}
			if len(into.twice) > 0 {
				t.Errorf("%d came twice", len(into.twice))
			}
			time.Sleep(2 * time.Hour)
			ids := map[string]string{}
			for _, entity := range changing {
				ids[entity] = firstID(into, entity)
				account.PutCRM(rdstationtest.Entity(entity), map[string]any{"id": ids[entity], "name": "Changed"})
			}
			time.Sleep(2 * time.Hour)
			next := newInbox()
			h.syncAll(next, changing...)
			for _, entity := range changing {
				if r := next.records[entity+"/"+ids[entity]]; next.count(entity) != 1 || !strings.Contains(string(r.Data), "Changed") || r.Modified.IsZero() {
					t.Errorf("%d %s since the last run", next.count(entity), entity)
				}
			}
			since := newInbox()
			if _, err := h.sync(since, enlace.SyncOptions{Entities: changing, Since: time.Now().Add(-3 * time.Hour)}); err != nil || since.count("contacts") != 1 {
				t.Errorf("%d since 3 h, %v", since.count("contacts"), err)
			}
			h.showsNoSecret()
		})
	}
}

// longList is a provider with n records of any kind, one every seven minutes, of
// which a listing shows the first 10,000. The fake does the same, more slowly.
type longList struct {
	n        int
	requests int
}

var longBegin = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (l *longList) at(i int) time.Time { return longBegin.Add(time.Duration(i) * 7 * time.Minute) }

func (l *longList) RoundTrip(r *http.Request) (*http.Response, error) {
	l.requests++
	q := r.URL.Query()
	number := func(name string) int { n, _ := strconv.Atoi(q.Get(name)); return n }
	page, size, first := number("page[number]"), number("page[size]"), 0
	if page == 0 {
		page, size = number("page"), number("limit")
	}
	from, layout := q.Get("start_date"), "2006-01-02T15:04:05" // of v1, in the zone of the answers
	if _, text, sliced := strings.Cut(q.Get("filter"), `due_date:>="`); sliced {
		from, layout = strings.TrimSuffix(text, `"`), "2006-01-02 15:04:05"
	}
	if from != "" {
		t, err := time.Parse(layout, from)
		if err != nil {
			return nil, err
		}
		if q.Get("start_date") != "" {
			t = t.Add(3 * time.Hour)
		}
		for first < l.n && l.at(first).Before(t) {
			first++
		}
	}
	var rows []string
	left := min(l.n-first, 10_000)
	for i := (page - 1) * size; i < min(page*size, left); i++ {
		n := first + i
		if q.Get("sort[updated_at]") == "desc" || q.Get("direction") == "desc" {
			n = l.n - 1 - i
		}
		at := l.at(n).In(time.FixedZone("", -3*3600)).Format("2006-01-02T15:04:05.000Z07:00")
		rows = append(rows, fmt.Sprintf(`{"id":"%024x","created_at":%q,"updated_at":%q,"due_date":%q}`, n, at, at, at))
	}
	next := ""
	if page*size < left {
		next = "https://api.rd.services/api/v2/x"
	}
	name := "data"
	if strings.Contains(r.URL.Path, "/v1/") {
		name = r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	}
	body := fmt.Sprintf(`{"%s":[%s],"links":{"next":%q},"has_more":%v,"total":%d}`, name, strings.Join(rows, ","), next, next != "", l.n-first)
	return &http.Response{StatusCode: 200, Header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

// TestListsBeyondTheReach are read in slices where that can be done, and are an
// error where it cannot, never a part that seems whole (sheet 3.1, 3.2).
func TestListsBeyondTheReach(t *testing.T) {
	for _, test := range []struct {
		name    string
		connect func(*testing.T, *rdstationtest.Account) *host
		entity  string
		since   time.Time
		records int // 10,000 comes with an error
	}{
		{"tasks", crmHost, "tasks", time.Time{}, 25_000},
		{"changed tasks", crmHost, "tasks", longBegin, 25_000},
		{"few changed tasks", crmHost, "tasks", longBegin.Add(24_900 * 7 * time.Minute), 100},
		{"products", crmHost, "products", time.Time{}, 10_000},
		{"deals of v1", v1Host, "deals", time.Time{}, 25_000},
		{"contacts of v1", v1Host, "contacts", time.Time{}, 10_000},
		{"changed contacts of v1", v1Host, "contacts", longBegin, 10_000},
	} {
		bubble(t, test.name, func(t *testing.T) {
			h := test.connect(t, rdstationtest.New(rdstationtest.Options{}))
			l := &longList{n: 25_000}
			h.config.Transport = l
			h.restart()
			into := newInbox()
			_, err := h.sync(into, enlace.SyncOptions{Entities: []string{test.entity}, Since: test.since})
			if n := into.count(test.entity); n != test.records || (n == 10_000) != errors.Is(err, enlace.ErrForbidden) || (n != 10_000 && err != nil) {
				t.Errorf("%d records in %d requests, %v", n, l.requests, err)
			}
		})
	}
}

// TestOneSecondOfMany: an import fills more than a page with one second.
func TestOneSecondOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		at := time.Now().Add(-time.Hour)
		for i := range 650 {
			if i == 620 {
				at = at.Add(time.Minute)
			}
			account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "X", "created_at": at, "updated_at": at})
		}
		into := newInbox()
		crmHost(t, account).syncAll(into, "deals")
		if n := into.count("deals"); n != 650 {
			t.Errorf("%d deals, %d twice", n, len(into.twice))
		}
	})
}

// TestProvidersThatDoNotKeepOrder would be read for ever, or in part.
func TestProvidersThatDoNotKeepOrder(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		kind error
	}{
		"no order":    {`{"data":[{"id":"b","created_at":"2025-01-02T00:00:00Z"},{"id":"a","created_at":"2025-01-01T00:00:00Z"}],"links":{"next":"x"}}`, enlace.ErrCursorStalled},
		"same page":   {`{"data":[{"id":"a","created_at":"2025-01-01T00:00:00Z"},{"id":"b","created_at":"2025-01-02T00:00:00Z"}],"links":{"next":"x"}}`, enlace.ErrCursorStalled},
		"empty pages": {`{"data":[],"links":{"next":"x"}}`, enlace.ErrProtocol},
		"no list":     {`{"data":{}}`, enlace.ErrProtocol},
		"no data":     {`{}`, enlace.ErrProtocol},
		"array":       {`[]`, enlace.ErrProtocol},
		"no ids":      {`{"data":[{"name":"x"}]}`, enlace.ErrProtocol},
		"no objects":  {`{"data":[1]}`, enlace.ErrProtocol},
	} {
		bubble(t, name, func(t *testing.T) {
			h := crmHost(t, rdstationtest.New(rdstationtest.Options{}))
			h.answer(200, nil, test.body)
			if _, err := h.sync(newInbox(), enlace.SyncOptions{Entities: []string{"deals"}}); !errors.Is(err, test.kind) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCursorsThatAreNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := seeded(rdstationtest.Options{})
		for _, h := range []*host{marketingHost(t, account, nil), crmHost(t, account), v1Host(t, account)} {
			in := must[enlace.Integration](t)(h.service.Get(t.Context(), h.ref))
			adapter, _ := h.config.Registry.Lookup(in.Provider)
			puller, _ := enlace.As[enlace.Puller](adapter)
			for _, cursor := range []enlace.Cursor{"x", "{}", "null", `{"v":2,"page":1}`, `{"v":1,"page":-1}`, `{"v":1}`, `{"v":1,"page":0}`, `{"v":1,"page":1,"began":"x"}`,
				`{"v":1,"page":99999999999999999999}`} {
				if _, err := puller.Pull(t.Context(), h.conn(), enlace.PullRequest{Entity: "contacts", Cursor: cursor}); !errors.Is(err, enlace.ErrCursorExpired) {
					t.Errorf("%s, %s: %v", in.Provider, cursor, err)
				}
			}
			for _, entity := range []string{"nothing", "segmentation_", "", "events"} {
				if _, err := puller.Pull(t.Context(), h.conn(), enlace.PullRequest{Entity: entity}); !errors.Is(err, enlace.ErrUnsupported) {
					t.Errorf("%q: %v", entity, err)
				}
			}
		}
		h := marketingHost(t, account, nil)
		if _, err := h.marketing.Pull(t.Context(), h.conn(), enlace.PullRequest{Entity: "segmentation_../x"}); !errors.Is(err, enlace.ErrInvalid) {
			t.Error(err)
		}
		// A finished walk's cursor belongs to entities that have one.
		mark := enlace.Cursor(`{"v":1,"began":"2025-01-01T00:00:00Z"}`)
		if _, err := h.marketing.Pull(t.Context(), h.conn(), enlace.PullRequest{Entity: "emails", Cursor: mark}); !errors.Is(err, enlace.ErrCursorExpired) {
			t.Error(err)
		}
		h = crmHost(t, account)
		if _, err := (rdstation.CRM{}).Pull(t.Context(), h.conn(), enlace.PullRequest{Entity: "users", Cursor: mark}); !errors.Is(err, enlace.ErrCursorExpired) {
			t.Error(err)
		}
	})
}

// TestFaultsAreSurvived: whatever passes, passes; what lasts is told.
func TestFaultsAreSurvived(t *testing.T) {
	for name, kind := range map[string]rdstationtest.FaultKind{"500": rdstationtest.HTML500, "502": rdstationtest.HTML502, "reset": rdstationtest.Reset,
		"truncated": rdstationtest.TruncatedJSON, "broken": rdstationtest.BrokenBody, "limit": rdstationtest.RateLimited, "token": rdstationtest.ExpiredToken} {
		bubble(t, name, func(t *testing.T) {
			account, _ := contactsAccount(rdstationtest.Options{}, 60)
			for range 210 {
				account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "X"})
			}
			for _, h := range []*host{marketingHost(t, account, nil), crmHost(t, account)} {
				account.Fault(rdstationtest.Fault{Route: "/platform/", Kind: kind, After: 7, Delay: 3 * time.Second})
				account.Fault(rdstationtest.Fault{Route: "/crm/v2/", Kind: kind, After: 1, Delay: 3 * time.Second})
				entity, want := "contacts", 60
				if in, _ := h.service.Get(t.Context(), h.ref); in.Provider == rdstation.CRMName {
					entity, want = "deals", 210
				}
				into := newInbox()
				h.syncAll(into, entity)
				if n := into.count(entity); n != want {
					t.Errorf("%d %s", n, entity)
				}
				account.ClearFaults()
				account.Fault(rdstationtest.Fault{Kind: kind, Times: -1})
				if _, err := h.sync(newInbox(), enlace.SyncOptions{Entities: []string{entity}}); err == nil {
					t.Error("a fault that lasts is no error")
				}
				account.ClearFaults()
				h.showsNoSecret()
			}
		})
	}
}

// TestAnalytics, with the plan's refusals in both forms (T36, Q22, Q40).
func TestAnalytics(t *testing.T) {
	period := func() rdstation.Period {
		return rdstation.Period{From: time.Now().AddDate(0, 0, -3), To: time.Now().AddDate(0, 0, -1)}
	}
	for name, quirks := range map[string]rdstationtest.Quirks{"live": {}, "documented": {AnalyticsDocKeys: true, VisitsCountStrings: true}} {
		bubble(t, name, func(t *testing.T) {
			h := marketingHost(t, seeded(rdstationtest.Options{Quirks: quirks}), nil)
			c, m, ctx := h.conn(), h.marketing, t.Context()
			conversions := must[[]rdstation.ConversionStatistic](t)(m.ConversionStatistics(ctx, c, period(), "LandingPage"))
			if len(conversions) != 1 || conversions[0].Visits != 40 || conversions[0].Conversions != 3 || conversions[0].AssetType != "LandingPage" || conversions[0].AssetID != 881 {
				t.Errorf("%+v", conversions)
			}
			emails := must[[]rdstation.EmailStatistic](t)(m.EmailStatistics(ctx, c, period(), 7))
			if len(emails) != 1 || emails[0].CampaignID != 7 || emails[0].Opened != 3 {
				t.Errorf("%+v", emails)
			}
			flows := must[[]rdstation.WorkflowEmailStatistic](t)(m.WorkflowEmailStatistics(ctx, c, period(), "w1"))
			days := must[[]rdstation.FunnelStatistic](t)(m.FunnelStatistics(ctx, c, period(), "monthly"))
			if len(flows) != 1 || flows[0].WorkflowID != "w1" || len(days) == 0 {
				t.Errorf("%+v, %+v", flows, days)
			}
			h.syncAll(newInbox(), "analytics_conversions")
		})
	}
	for name, quirks := range map[string]rdstationtest.Quirks{"403": {}, "401": {AnalyticsPlan401: true}} {
		bubble(t, "plan "+name, func(t *testing.T) {
			h := marketingHost(t, seeded(rdstationtest.Options{Plan: rdstationtest.Basic, Quirks: quirks}), nil)
			if _, err := h.marketing.EmailStatistics(t.Context(), h.conn(), period()); !errors.Is(err, enlace.ErrForbidden) {
				t.Errorf("%v", err)
			}
			if _, err := h.sync(newInbox(), enlace.SyncOptions{Entities: []string{"analytics_funnel"}}); !errors.Is(err, enlace.ErrForbidden) {
				t.Errorf("%v", err)
			}
			in := must[enlace.Integration](t)(h.service.Get(t.Context(), h.ref))
			if in.Status != enlace.StatusConnected {
				t.Errorf("status %s", in.Status)
			}
		})
	}
	bubble(t, "plan pro", func(t *testing.T) {
		h := marketingHost(t, seeded(rdstationtest.Options{Plan: rdstationtest.Pro}), nil)
		h.syncAll(newInbox(), "analytics_emails") // the usual number of days is within the plan's
		early := rdstation.Period{From: time.Now().AddDate(0, 0, -60), To: time.Now()}
		if _, err := h.marketing.EmailStatistics(t.Context(), h.conn(), early); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%v", err)
		}
	})
}

// TestAssets reads everything that is made in the product, in both spellings.
func TestAssets(t *testing.T) {
	for name, quirks := range map[string]rdstationtest.Quirks{"live": {}, "correct": {CorrectSpelling: true, FlatWorkflowLeads: true}} {
		bubble(t, name, func(t *testing.T) {
			account := seeded(rdstationtest.Options{Quirks: quirks})
			flow := account.PutAsset(rdstationtest.Workflows, map[string]any{"name": "Flow", "status": "active"})
			campaign := account.PutAsset(rdstationtest.Campaigns, map[string]any{"name": "Black Friday"})
			var id int64
			_, _ = fmt.Sscan(campaign, &id)
			account.PutAsset(rdstationtest.CampaignItems, map[string]any{"campaign_id": id, "item_type": "Email"})
			h := marketingHost(t, account, map[string]string{"plan": "advanced"})
			c, m, ctx := h.conn(), h.marketing, t.Context()
			if a := must[rdstation.Account](t)(m.Account(ctx, c)); a.Name != "www.padaria-aurora.com.br" { // T11
				t.Errorf("%+v", a)
			}
			emails := must[rdstation.List[rdstation.Email]](t)(m.Emails(ctx, c, rdstation.Options{Page: 1, Size: 1, Extra: url.Values{}}))
			if len(emails.Items) != 1 || emails.Total != 2 {
				t.Errorf("%+v", emails)
			}
			if e, err := m.Email(ctx, c, emails.Items[0].ID); err != nil || e.ID != emails.Items[0].ID {
				t.Errorf("%+v, %v", e, err)
			}
			for what, read := range map[string]func(context0 rdstation.Options) (rdstation.List[rdstation.Asset], error){
				"pages":  func(o rdstation.Options) (rdstation.List[rdstation.Asset], error) { return m.LandingPages(ctx, c, o) },
				"popups": func(o rdstation.Options) (rdstation.List[rdstation.Asset], error) { return m.Popups(ctx, c, o) },
				"forms":  func(o rdstation.Options) (rdstation.List[rdstation.Asset], error) { return m.Forms(ctx, c, o) },
			} {
				if l, err := read(rdstation.Options{Order: "created_at:desc"}); err != nil || len(l.Items) != 2 || l.Items[0].ID == 0 || l.Items[0].UpdatedAt == "" {
					t.Errorf("%s: %+v, %v", what, l, err)
				}
			}
			flows := must[rdstation.List[rdstation.Workflow]](t)(m.Workflows(ctx, c, rdstation.Options{IDs: []string{flow}}))
			if len(flows.Items) != 1 || flows.Items[0].Name != "Flow" {
				t.Errorf("%+v", flows)
			}
			if w, err := m.Workflow(ctx, c, flow); err != nil || w.ID != flow || w.Status != "active" {
				t.Errorf("%+v, %v", w, err)
			}
			enrolled := must[rdstation.Enrolment](t)(m.AddToWorkflow(ctx, c, flow, "c1@example.com", "nobody@example.com"))
			if len(enrolled.Added) != 1 || enrolled.Added[0] != "c1@example.com" || len(enrolled.NotFound) != 1 {
				t.Errorf("%+v", enrolled)
			}
			_, err := m.AddToWorkflow(ctx, c, "0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11", "c1@example.com")
			if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Code != "WORKFLOW_STATUS_ERROR" {
				t.Errorf("%v", err)
			}
			campaigns := must[rdstation.List[rdstation.Campaign]](t)(m.Campaigns(ctx, c, rdstation.Options{IDs: []string{campaign}, Order: "name:asc"}))
			if len(campaigns.Items) != 1 || campaigns.Items[0].Name != "Black Friday" {
				t.Errorf("%+v", campaigns)
			}
			if got, err := m.Campaign(ctx, c, id); err != nil || got.ID != id {
				t.Errorf("%+v, %v", got, err)
			}
			if items, err := m.CampaignItems(ctx, c, id, rdstation.Options{}); err != nil || len(items.Items) != 1 || items.Items[0].ItemType != "Email" {
				t.Errorf("%+v, %v", items, err)
			}
			segments := must[rdstation.List[rdstation.Segmentation]](t)(m.Segmentations(ctx, c, rdstation.Options{Search: "every"}))
			if len(segments.Items) != 1 || segments.Items[0].Standard {
				t.Errorf("%+v", segments)
			}
			contacts := must[rdstation.List[rdstation.SegmentContact]](t)(m.SegmentContacts(ctx, c, 1, rdstation.Options{Order: "last_conversion_date:desc", Size: 125})) // T26
			if len(contacts.Items) != 4 || contacts.Total != 4 || contacts.Items[0].LastConversionAt == "" {
				t.Errorf("%+v", contacts)
			}
			if _, err := m.SegmentContacts(ctx, c, 999, rdstation.Options{}); !errors.Is(err, enlace.ErrNotFound) {
				t.Error(err)
			}
			for _, bad := range []func() error{
				func() error { _, err := m.Workflow(ctx, c, "../x"); return err },
				func() error { _, err := m.AddToWorkflow(ctx, c, ""); return err },
				func() error { _, err := m.UpdateField(ctx, c, "a/b", rdstation.Field{}); return err },
				func() error { return m.DeleteField(ctx, c, "") },
			} {
				if err := bad(); !errors.Is(err, enlace.ErrInvalid) {
					t.Error(err)
				}
			}
		})
	}
}

func TestFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := marketingHost(t, rdstationtest.New(rdstationtest.Options{}), nil)
		c, m, ctx := h.conn(), h.marketing, t.Context()
		names := map[string]string{"pt-BR": "Interesses"}
		f := rdstation.Field{APIIdentifier: "cf_interesses", DataType: "STRING", PresentationType: "MULTIPLE_CHOICE", Name: names, Label: names,
			ValidationRules: rdstation.ValidationRules{ValidOptions: []rdstation.FieldOption{{Value: "fornos", Label: map[string]string{"pt-BR": "Fornos"}}}}}
		_, err := m.CreateField(ctx, c, f) // T28
		if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Code != "INCLUSION" || !strings.HasPrefix(e.Message, "data_type: ") {
			t.Errorf("%v", err)
		}
		f.DataType = "STRING[]"
		created := must[rdstation.Field](t)(m.CreateField(ctx, c, f))
		if _, err := m.CreateField(ctx, c, f); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("taken: %v", err)
		}
		created.Label = map[string]string{"pt-BR": "Gosta de"}
		if updated, err := m.UpdateField(ctx, c, created.UUID, created); err != nil || updated.Label["pt-BR"] != "Gosta de" {
			t.Errorf("%+v, %v", updated, err)
		}
		fields := must[[]rdstation.Field](t)(m.Fields(ctx, c))
		if len(fields) < 17 {
			t.Errorf("%d fields", len(fields))
		}
		if err := m.DeleteField(ctx, c, created.UUID); err != nil {
			t.Error(err)
		}
		if err := m.DeleteField(ctx, c, created.UUID); !errors.Is(err, enlace.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestAnswersThatAreNoAnswer of single records and lists of Marketing.
func TestAnswersThatAreNoAnswer(t *testing.T) {
	for _, body := range []string{`7`, `"x"`, `[]`, `{}`, `null`, `{"contacts":{}}`, `{"items":7}`} {
		bubble(t, body, func(t *testing.T) {
			h := marketingHost(t, rdstationtest.New(rdstationtest.Options{}), nil)
			h.answer(200, http.Header{}, body)
			for _, entity := range []string{"contacts", "converted_contacts", "emails", "segmentations", "analytics_emails"} {
				if _, err := h.sync(newInbox(), enlace.SyncOptions{Entities: []string{entity}}); !errors.Is(err, enlace.ErrProtocol) {
					t.Errorf("%s: %v", entity, err)
				}
			}
			if _, err := h.marketing.Fetch(t.Context(), h.conn(), "workflows", []string{"1"}); body[0] != '{' && !errors.Is(err, enlace.ErrProtocol) {
				t.Errorf("%v", err)
			}
			if _, err := h.marketing.SendBatch(t.Context(), h.conn(), rdstation.Sale{}); !errors.Is(err, enlace.ErrProtocol) {
				t.Errorf("%v", err)
			}
		})
	}
	var c rdstation.Contact
	for _, bad := range []string{`7`, `{"name":1}`, `{"cf_x":}`} {
		if json.Unmarshal([]byte(bad), &c) == nil {
			t.Errorf("%s is no contact", bad)
		}
	}
}
