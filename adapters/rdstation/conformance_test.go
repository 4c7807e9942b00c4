package rdstation_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/adaptertest"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

// Pages of products have 200, and of campaigns 50.
const (
	conformProducts  = 205
	conformCampaigns = 60
	conformContacts  = 30 // pages that are read one by one have 25
)

// conforming is an account for the conformance suite, with a clock that is that
// far ahead. Records share their times in pairs.
func conforming(ahead time.Duration) (*rdstationtest.Account, map[string][]string) {
	a := rdstationtest.New(rdstationtest.Options{ClockSkew: ahead})
	ids := map[string][]string{}
	for i := range 7 {
		at := a.Now().Add(-time.Duration(i/2+2) * time.Hour)
		for _, e := range []rdstationtest.Entity{rdstationtest.CRMOrganizations, rdstationtest.CRMContacts, rdstationtest.CRMDeals} {
			ids[string(e)] = append(ids[string(e)], a.PutCRM(e, map[string]any{"name": fmt.Sprint("Record ", i), "created_at": at, "updated_at": at}))
		}
		ids["tasks"] = append(ids["tasks"], a.PutCRM(rdstationtest.CRMTasks, map[string]any{"name": "Task", "type": "call", "created_at": at, "updated_at": at,
			"due_date": at.UTC().Format(time.RFC3339)}))
	}
	at := a.Now().Add(-5 * time.Hour)
	for i := range conformProducts { // more than a page, and all of one time
		a.PutCRM(rdstationtest.CRMProducts, map[string]any{"name": fmt.Sprint("Product ", i), "created_at": at, "updated_at": at})
	}
	return a, ids
}

func oauthCredential(a *rdstationtest.Account, p rdstationtest.Product) (enlace.Credential, enlace.OAuthApp) {
	app := a.App(p)
	tokens := a.Authorize(app.ClientID)
	return enlace.Credential{Scheme: rdstation.SchemeOAuth, Token: &enlace.Token{Access: enlace.NewSecret(tokens.AccessToken), Refresh: enlace.NewSecret(tokens.RefreshToken)}},
		enlace.OAuthApp{ClientID: app.ClientID, ClientSecret: enlace.NewSecret(app.ClientSecret)}
}

func TestDocumented(t *testing.T) {
	for _, adapter := range []enlace.IntegrationAdapter{&rdstation.Marketing{}, rdstation.CRM{}, rdstation.CRMv1{}} {
		adaptertest.Documented(t, adapter, "../../docs/providers/rdstation.md")
	}
}

const crmDelivery = `{"event_name":"crm_deal_updated","document":{"id":"650878567482d9c0c7002050","name":"Forno 10 bandejas"},` +
	`"event_timestamp":"2025-10-02T13:20:00.000Z","transaction_uuid":"0e1f2a3b-4c5d-4e6f-8a9b-0c1d2e3f4a5b"}`

func deliveryOf(address, body string, header http.Header) enlace.Delivery {
	u, _ := url.Parse(address)
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	return enlace.Delivery{Method: http.MethodPost, URL: u, Header: header, Body: []byte(body)}
}

func TestCRMConforms(t *testing.T) {
	adaptertest.Run(t, adaptertest.Harness{
		Adapter:  func() enlace.IntegrationAdapter { return rdstation.CRM{} },
		Provider: func() adaptertest.Provider { return conformingCRM(0) },
		Skewed:   conformingCRM,
		Count: map[string]int{"organizations": 7, "contacts": 7, "deals": 7, "tasks": 7, "products": conformProducts, "pipelines": 1, "stages": 5, "users": 1, "teams": 0,
			"campaigns": 0, "sources": 0, "lost_reasons": 0, "segments": 0, "custom_fields": 1},
	})
}

func writing(entity string, op enlace.Operation, id string, data any, effects func() int) adaptertest.Write {
	return adaptertest.Write{Mutation: enlace.Mutation{Entity: entity, Op: op, ID: id, Data: data}, Effects: effects}
}

// effects counts the requests to a route that were not refused.
func effects(a *rdstationtest.Account, route string) func() int {
	return func() int {
		s := a.Stats().Routes[route]
		return s.Requests - s.Refused
	}
}

func TestCRMv1Conforms(t *testing.T) {
	adaptertest.Run(t, adaptertest.Harness{
		Adapter:  func() enlace.IntegrationAdapter { return rdstation.CRMv1{} },
		Provider: func() adaptertest.Provider { return conformingCRMv1(0) },
		Skewed:   conformingCRMv1,
		Count: map[string]int{"organizations": 7, "contacts": 7, "deals": 7, "tasks": 7, "products": conformProducts, "pipelines": 1, "users": 1, "teams": 0,
			"activities": 0, "campaigns": 0, "sources": 0, "lost_reasons": 0, "custom_fields": 0},
	})
}

const conversionDelivery = `{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","event_identifier":"orcamento","timestamp":"2025-10-02T08:15:33.000-03:00",` +
	`"event_timestamp":"2025-10-02T08:15:30.120-03:00","contact":{"uuid":"0f9c1f3e-2c57-4a43-9a0e-5b8f3f6f1a11","email":"bia@exemplo.com.br"}}`

// TestMarketingConforms has few contacts: reading more of them takes longer than
// its requests, since the adapter keeps the limits of Marketing by itself.
func TestMarketingConforms(t *testing.T) {
	adaptertest.Run(t, adaptertest.Harness{
		Adapter:  func() enlace.IntegrationAdapter { return &rdstation.Marketing{} },
		Provider: func() adaptertest.Provider { return conformingMarketing(0) },
		Skewed:   conformingMarketing,
		Count: map[string]int{"contacts": conformContacts, "converted_contacts": conformContacts, "segmentation_1": conformContacts, "segmentations": 5, "fields": 17, "emails": 0, "landing_pages": 0, "popups": 0, "forms": 0,
			"workflows": 0, "campaigns": conformCampaigns, "catalog_feeds": 0, "analytics_emails": 0, "analytics_workflow_emails": 0, "analytics_conversions": 0, "analytics_funnel": 0},
	})
}

func conformingCRM(ahead time.Duration) adaptertest.Provider {
	a, ids := conforming(ahead)
	credential, app := oauthCredential(a, rdstationtest.CRM)
	secret := enlace.NewSecret("0123456789abcdef0123")
	field := a.PutCRM(rdstationtest.CRMCustomFields, map[string]any{"name": "Filial", "slug": "filial", "type": "text", "entity": "deal"})
	return adaptertest.Provider{Transport: a.Transport(), Credential: credential, OAuth: app,
		Touch: func(entity string) string {
			id := ids[entity][len(ids[entity])-1]
			a.PutCRM(rdstationtest.Entity(entity), map[string]any{"id": id, "name": time.Now().String()})
			return id
		},
		Writes: []adaptertest.Write{
			writing("deals", enlace.OpCreate, "", map[string]string{"name": "New"}, effects(a, "POST /crm/v2/deals")),
			writing("deals", enlace.OpUpdate, ids["deals"][0], map[string]string{"name": "Other"}, effects(a, "PUT /crm/v2/deals/{id}")),
			writing("contacts", enlace.OpCreate, "", map[string]string{"name": "New"}, effects(a, "POST /crm/v2/contacts")),
			writing("tasks", enlace.OpUpdate, ids["tasks"][0], map[string]string{"name": "Other"}, effects(a, "PUT /crm/v2/tasks/{id}")),
			writing("custom_fields", enlace.OpDelete, field, nil, effects(a, "DELETE /crm/v2/custom_fields/{id}")),
		},
		Webhooks: []adaptertest.Webhook{{Delivery: deliveryOf("https://host.example/hook", crmDelivery, http.Header{rdstation.KeyHeader: {secret.Reveal()}}), Secret: secret}},
	}
}

func conformingCRMv1(ahead time.Duration) adaptertest.Provider {
	a, ids := conforming(ahead)
	secret := enlace.NewSecret("0123456789abcdef0123")
	return adaptertest.Provider{Transport: a.Transport(), Credential: *key(rdstation.SchemeToken, a.CRMUsers()[0].Token),
		Touch: func(entity string) string {
			id := ids[entity][len(ids[entity])-1]
			a.PutCRM(rdstationtest.Entity(entity), map[string]any{"id": id, "name": time.Now().String()})
			return id
		},
		Writes: []adaptertest.Write{
			writing("deals", enlace.OpCreate, "", map[string]string{"name": "New"}, effects(a, "POST /api/v1/deals")),
			writing("deals", enlace.OpUpdate, ids["deals"][0], map[string]string{"name": "Other"}, effects(a, "PUT /api/v1/deals/{id}")),
			writing("organizations", enlace.OpCreate, "", map[string]string{"name": "New"}, effects(a, "POST /api/v1/organizations")),
		},
		Webhooks: []adaptertest.Webhook{{Delivery: deliveryOf("https://host.example/hook?token="+secret.Reveal(), crmDelivery, nil), Secret: secret}},
	}
}

func conformingMarketing(ahead time.Duration) adaptertest.Provider {
	a := rdstationtest.New(rdstationtest.Options{ClockSkew: ahead, WebhookTransport: rdstationtest.HandlerTransport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))})
	var uuids []string
	for i := range conformContacts {
		uuids = append(uuids, a.PutContact(map[string]any{"email": fmt.Sprintf("c%d@example.com", i), "last_conversion_date": a.Now().Add(-time.Duration(i/2+3) * time.Hour)}))
	}
	for range conformCampaigns {
		a.PutAsset(rdstationtest.Campaigns, map[string]any{})
	}
	credential, app := oauthCredential(a, rdstationtest.Marketing)
	secret := enlace.NewSecret("0123456789abcdef0123")
	return adaptertest.Provider{Transport: a.Transport(), Credential: credential, OAuth: app, Settings: map[string]string{"plan": "advanced"},
		Touch: func(string) string {
			a.Convert("c2@example.com", "x", nil)
			return uuids[2]
		},
		Writes: []adaptertest.Write{
			writing("contacts", enlace.OpCreate, "", map[string]string{"email": "n@example.com"}, effects(a, "POST /platform/contacts")),
			writing("contacts", enlace.OpUpdate, uuids[3], map[string]string{"city": "Olinda"}, effects(a, "PATCH /platform/contacts/{lead}")),
			writing("contacts", enlace.OpUpsert, "email:c1@example.com", map[string]string{"city": "Olinda"}, effects(a, "PATCH /platform/contacts/{lead}")),
			writing("contacts", enlace.OpDelete, uuids[4], nil, effects(a, "DELETE /platform/contacts/{lead}")),
			writing("funnels", enlace.OpUpdate, uuids[5], map[string]string{"lifecycle_stage": "Client"}, effects(a, "PUT /platform/contacts/{lead}/funnels/default")),
			writing("events", enlace.OpCreate, "", rdstation.Sale{Email: "c1@example.com"}, func() int { return a.Stats().Events }),
			writing("fields", enlace.OpCreate, "", rdstation.Field{APIIdentifier: "cf_filial", DataType: "STRING", PresentationType: "TEXT_INPUT",
				Name: map[string]string{"pt-BR": "Filial"}, Label: map[string]string{"pt-BR": "Filial"}}, effects(a, "POST /platform/contacts/fields")),
		},
		Webhooks: []adaptertest.Webhook{{Delivery: deliveryOf("https://host.example/hook?token="+secret.Reveal(), conversionDelivery, nil), Secret: secret}},
	}
}
