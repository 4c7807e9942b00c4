package rdstation_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

func TestDescriptors(t *testing.T) {
	for _, test := range []struct {
		adapter  enlace.IntegrationAdapter
		name     string
		features string
		schemes  string
		changing string // entities that are read by change
		can      enlace.Capability
	}{
		{&rdstation.Marketing{}, "rdstation", "bulk_operations contacts_sync email_automation webhook_support", "oauth api_key", "converted_contacts",
			enlace.CanPull | enlace.CanFetch | enlace.CanPush | enlace.CanPushBatch | enlace.CanReceiveWebhooks | enlace.CanRegisterWebhooks |
				enlace.CanAnswerChallenges | enlace.CanCheckHealth | enlace.CanAuthenticate | enlace.CanClassify | enlace.CanDescribeFields},
		{rdstation.CRM{}, "rdstation_crm", "contacts_sync crm_sync real_time_sync webhook_support", "oauth", "contacts deals organizations tasks",
			enlace.CanPull | enlace.CanFetch | enlace.CanPush | enlace.CanReceiveWebhooks | enlace.CanRegisterWebhooks | enlace.CanCheckHealth | enlace.CanClassify |
				enlace.CanDescribeFields},
		{rdstation.CRMv1{}, "rdstation_crm_v1", "contacts_sync crm_sync real_time_sync webhook_support", "token", "contacts organizations",
			enlace.CanPull | enlace.CanFetch | enlace.CanPush | enlace.CanReceiveWebhooks | enlace.CanRegisterWebhooks | enlace.CanAnswerChallenges |
				enlace.CanCheckHealth | enlace.CanClassify},
	} {
		d := test.adapter.Describe()
		if err := enlace.NewRegistry().Register(test.adapter); err != nil || d.Name != test.name {
			t.Errorf("%s: %v", d.Name, err)
		}
		if got := enlace.CapabilitiesOf(test.adapter); got != test.can {
			t.Errorf("%s can %v, want %v", d.Name, got, test.can)
		}
		var features, schemes, changing []string
		for _, f := range d.Features {
			features = append(features, string(f))
		}
		for _, s := range d.Auth {
			schemes = append(schemes, s.Scheme())
		}
		for _, e := range d.Entities {
			if e.Incremental == enlace.IncrementalUpdates {
				changing = append(changing, e.Name)
			} else if e.Incremental != enlace.IncrementalNone {
				t.Errorf("%s: %s claims %q", d.Name, e.Name, e.Incremental)
			}
		}
		for what, pair := range map[string][2]string{"features": {strings.Join(sorted(features), " "), test.features},
			"schemes": {strings.Join(schemes, " "), test.schemes}, "changing": {strings.Join(sorted(changing), " "), test.changing}} {
			if pair[0] != pair[1] {
				t.Errorf("%s: %s are %q, want %q", d.Name, what, pair[0], pair[1])
			}
		}
	}
}

// seeded is an account with some of everything.
func seeded(o rdstationtest.Options) *rdstationtest.Account {
	a := rdstationtest.New(o)
	for i := range 3 {
		a.PutContact(map[string]any{"email": fmt.Sprintf("c%d@example.com", i), "name": fmt.Sprint("Contact ", i),
			"last_conversion_date": time.Now().Add(-time.Duration(i) * 24 * time.Hour)})
	}
	a.PutContact(map[string]any{"email": "never@example.com"})
	a.PutField("cf_size", "INTEGER")
	a.PutSegmentation("Everybody", func(map[string]any) bool { return true })
	for _, kind := range []rdstationtest.AssetKind{rdstationtest.Emails, rdstationtest.LandingPages, rdstationtest.Popups,
		rdstationtest.Forms, rdstationtest.Workflows, rdstationtest.Campaigns} {
		a.PutAsset(kind, map[string]any{})
		a.PutAsset(kind, map[string]any{})
	}
	day := time.Now().UTC().AddDate(0, 0, -1)
	a.PutAnalytics(rdstationtest.EmailReport, day, map[string]any{"campaign_id": 7, "campaign_name": "News", "email_opened_count": 3})
	a.PutAnalytics(rdstationtest.WorkflowReport, day, map[string]any{"workflow_id": "w1", "workflow_action_id": "a1", "workflow_name": "Flow"})
	a.PutAnalytics(rdstationtest.ConversionReport, day, map[string]any{"asset_id": 881, "assets_type": "LandingPage", "visits_count": 40, "conversion_count": 3})
	a.PutAnalytics(rdstationtest.FunnelReport, day, map[string]any{"reference_day": day.Format(time.DateOnly), "visitors_count": 9})
	org := a.PutCRM(rdstationtest.CRMOrganizations, map[string]any{"name": "Acme"})
	contact := a.PutCRM(rdstationtest.CRMContacts, map[string]any{"name": "Bia", "organization_id": org})
	deal := a.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "Oven", "contact_ids": []any{contact}})
	a.PutCRM(rdstationtest.CRMTasks, map[string]any{"name": "Call", "type": "call", "deal_id": deal, "due_date": time.Now().UTC().Format(time.RFC3339)})
	for _, e := range []rdstationtest.Entity{rdstationtest.CRMProducts, rdstationtest.CRMCampaigns, rdstationtest.CRMSources,
		rdstationtest.CRMLostReasons, rdstationtest.CRMSegments} {
		a.PutCRM(e, map[string]any{"name": "One"})
	}
	a.PutCRM(rdstationtest.CRMCustomFields, map[string]any{"name": "Size", "entity": "deal"})
	return a
}

// TestEveryEntityIsRead pulls everything that the descriptors name.
func TestEveryEntityIsRead(t *testing.T) {
	bubble(t, "marketing", func(t *testing.T) {
		h := marketingHost(t, seeded(rdstationtest.Options{}), nil)
		into := newInbox()
		result := h.syncAll(into)
		for entity, want := range map[string]int{"contacts": 4, "converted_contacts": 3, "segmentations": 6, "emails": 2, "landing_pages": 2, "popups": 2,
			"forms": 2, "workflows": 2, "campaigns": 2, "catalog_feeds": 0, "analytics_emails": 1, "analytics_workflow_emails": 1, "analytics_conversions": 1} {
			if got := into.count(entity); got != want {
				t.Errorf("%d %s, want %d", got, entity, want)
			}
		}
		if into.count("fields") < 17 || into.count("analytics_funnel") == 0 || len(result.Entities) != 15 {
			t.Errorf("%d fields, %d days of funnel, %d entities", into.count("fields"), into.count("analytics_funnel"), len(result.Entities))
		}
		if into.records["analytics_conversions/LandingPage/881"].Data == nil || into.records["analytics_workflow_emails/w1/a1"].Data == nil {
			t.Error("statistics have other ids")
		}
		for _, segment := range []string{"segmentation_1", "segmentation_5"} {
			h.syncAll(into, segment)
		}
		if into.count("segmentation_1") != 4 || into.count("segmentation_5") != 0 {
			t.Errorf("%d contacts, %d opportunities", into.count("segmentation_1"), into.count("segmentation_5"))
		}
		if r := into.records["landing_pages/"+firstID(into, "landing_pages")]; r.Modified.IsZero() {
			t.Errorf("no time of change: %s", r.Data)
		}
		h.showsNoSecret()
	})
	for name, connect := range map[string]func(*testing.T, *rdstationtest.Account) *host{"crm": crmHost, "crm v1": v1Host} {
		bubble(t, name, func(t *testing.T) {
			h := connect(t, seeded(rdstationtest.Options{Users: []rdstationtest.User{{Name: "Caio", Email: "caio@example.com", Team: "Sales"}}}))
			into := newInbox()
			result := h.syncAll(into)
			for entity := range result.Entities {
				if into.count(entity) == 0 && entity != "activities" {
					t.Errorf("no %s", entity)
				}
			}
			if name == "crm" && (len(result.Entities) != 14 || into.count("stages") != 5) {
				t.Errorf("%d entities, %d stages", len(result.Entities), into.count("stages"))
			}
			h.showsNoSecret()
		})
	}
}

func firstID(b *inbox, entity string) string {
	var ids []string
	for _, r := range b.records {
		if r.Entity == entity {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return slices.Min(ids)
}

func TestFetch(t *testing.T) {
	for name, test := range map[string]struct {
		connect  func(*testing.T, *rdstationtest.Account) *host
		entities []string
		cannot   []string
	}{
		"marketing": {func(t *testing.T, a *rdstationtest.Account) *host {
			return marketingHost(t, a, map[string]string{"plan": "advanced"})
		},
			[]string{"contacts", "emails", "workflows", "campaigns"}, []string{"popups", "nothing"}},
		"crm":    {crmHost, []string{"contacts", "deals", "organizations", "tasks", "products", "stages", "pipelines"}, []string{"nothing"}},
		"crm v1": {v1Host, []string{"contacts", "deals", "organizations", "tasks", "products", "pipelines", "users"}, []string{"nothing", "activities"}},
	} {
		bubble(t, name, func(t *testing.T) {
			h := test.connect(t, seeded(rdstationtest.Options{}))
			into := newInbox()
			h.syncAll(into, test.entities...)
			in, err := h.service.Get(t.Context(), h.ref)
			if err != nil {
				t.Fatal(err)
			}
			adapter, err := h.config.Registry.Lookup(in.Provider)
			if err != nil {
				t.Fatal(err)
			}
			fetcher, _ := enlace.As[enlace.Fetcher](adapter)
			for _, entity := range test.entities {
				id := firstID(into, entity)
				missing := "0123456789abcdef01234567"
				if entity == "stages" {
					missing = strings.Split(id, "/")[0] + "/" + missing
				}
				records, err := fetcher.Fetch(t.Context(), h.conn(), entity, []string{id, missing})
				if err != nil || len(records) != 2 {
					t.Errorf("%s: %v, %v", entity, records, err)
					continue
				}
				if r := records[0]; r.ID != id || r.Deleted || len(r.Data) == 0 || r.Entity != entity {
					t.Errorf("%s: %+v", entity, r)
				}
				if r := records[1]; r.ID != missing || !r.Deleted || r.Data != nil {
					t.Errorf("%s: a missing record is %+v", entity, r)
				}
				for _, bad := range []string{"", "..", "a b", "x/../y", "a/b/c"} {
					if _, err := fetcher.Fetch(t.Context(), h.conn(), entity, []string{bad}); !errors.Is(err, enlace.ErrInvalid) {
						t.Errorf("%s %q: %v", entity, bad, err)
					}
				}
			}
			for _, entity := range test.cannot {
				if _, err := fetcher.Fetch(t.Context(), h.conn(), entity, []string{"1"}); !errors.Is(err, enlace.ErrUnsupported) {
					t.Errorf("%s: %v", entity, err)
				}
			}
		})
	}
}

func TestHealth(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *rdstationtest.Account) *host{
		"marketing": func(t *testing.T, a *rdstationtest.Account) *host { return marketingHost(t, a, nil) }, "crm": crmHost, "crm v1": v1Host,
	} {
		bubble(t, name, func(t *testing.T) {
			account := seeded(rdstationtest.Options{})
			h := connect(t, account)
			report, err := h.service.TestConnection(t.Context(), enlace.ConnectionTest{Ref: h.ref})
			if err != nil || !report.OK {
				t.Fatalf("%+v, %v", report, err)
			}
			account.Fault(rdstationtest.Fault{Kind: rdstationtest.Unavailable, Times: -1})
			report, _ = h.service.TestConnection(t.Context(), enlace.ConnectionTest{Ref: h.ref})
			if step := report.Steps[len(report.Steps)-1]; report.OK || !errors.Is(step.Err, enlace.ErrUnavailable) {
				t.Errorf("%+v", report)
			}
			account.ClearFaults()
			h.answer(401, nil, `{"error":"invalid_token","error_description":"The access token is invalid or has expired"}`)
			report, _ = h.service.TestConnection(t.Context(), enlace.ConnectionTest{Ref: h.ref})
			if step := report.Steps[len(report.Steps)-1]; report.OK || !errors.Is(h.note(step.Err), enlace.ErrAuth) {
				t.Errorf("%+v", report)
			}
			h.showsNoSecret()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{APIKeys: []rdstationtest.APIKey{{Key: "c4n4ry-k3y"}}})
		h := newHost(t, account).connect(rdstation.MarketingName, nil, key(rdstation.SchemeAPIKey, "c4n4ry-k3y"))
		before := account.Stats().Requests
		if err := h.note(h.marketing.CheckHealth(t.Context(), h.conn())); !errors.Is(err, enlace.ErrUnsupported) {
			t.Errorf("an API key: %v", err)
		}
		if n := account.Stats().Requests - before; n != 0 {
			t.Errorf("%d requests with an API key that they do not take", n)
		}
		h.showsNoSecret("c4n4ry-k3y")
	})
}
