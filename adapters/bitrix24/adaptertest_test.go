package bitrix24_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/adaptertest"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func TestAdapter(t *testing.T) {
	types := map[string]int{"companies": bitrix24test.Company, "contacts": bitrix24test.Contact, "deals": bitrix24test.Deal,
		"leads": bitrix24test.Lead, "dynamic_128": 128}
	counts := map[string]int{"companies": 3, "contacts": 210, "deals": 60, "leads": 1, "dynamic_128": 3}
	adaptertest.Run(t, adaptertest.Harness{
		Adapter: func() enlace.IntegrationAdapter { return bitrix24.Adapter{} },
		Count:   counts,
		Provider: func() adaptertest.Provider {
			portal := bitrix24test.New(bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 128, ID: 3, Title: "Projects"}}})
			for entity, id := range types {
				portal.Seed(id, bitrix24test.Seed{Count: counts[entity], Stride: 3})
			}
			return adaptertest.Provider{
				Handler:    portal,
				Credential: application(portal),
				OAuth: enlace.OAuthApp{ClientID: portal.ClientID(), ClientSecret: enlace.NewSecret(portal.ClientSecret()),
					AuthURL: portal.AuthorizeURL(), TokenURL: portal.TokenURL()},
				Settings: map[string]string{"portal": portal.Host()},
				Touch:    func(entity string) string { portal.Touch(types[entity], 1); return "1" },
				Writes:   conformanceWrites(portal),
				Webhooks: conformanceDeliveries(),
			}
		},
		// Sheet 2.3 to 2.5.
		Refusals: []adaptertest.Refusal{
			{Name: "QUERY_LIMIT_EXCEEDED", Status: 503, Body: `{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}`, Kind: enlace.ErrRateLimited},
			{Name: "OPERATION_TIME_LIMIT", Status: 429, Body: `{"error":"OPERATION_TIME_LIMIT"}`, Kind: enlace.ErrRateLimited},
			{Name: "OVERLOAD_LIMIT", Status: 403, Body: `{"error":"OVERLOAD_LIMIT"}`, Kind: enlace.ErrForbidden},
			{Name: "INTERNAL_SERVER_ERROR", Status: 500, Body: `{"error":"INTERNAL_SERVER_ERROR"}`, Kind: enlace.ErrUnavailable},
			{Name: "INVALID_CREDENTIALS", Status: 401, Body: `{"error":"INVALID_CREDENTIALS"}`, Kind: enlace.ErrAuth},
			{Name: "insufficient_scope", Status: 403, Body: `{"error":"insufficient_scope"}`, Kind: enlace.ErrForbidden},
			{Name: "ACCESS_DENIED", Status: 400, Body: `{"error":"ACCESS_DENIED","error_description":"Access denied."}`, Kind: enlace.ErrForbidden},
		},
	})
}

// application is the credential of an application that a user has just authorized.
func application(portal *bitrix24test.Portal) enlace.Credential {
	tokens := portal.Authorize()
	return enlace.Credential{Scheme: bitrix24.SchemeOAuth, Token: &enlace.Token{
		Access: enlace.NewSecret(tokens.AccessToken), Refresh: enlace.NewSecret(tokens.RefreshToken), Expiry: time.Unix(tokens.Expires, 0)}}
}

func conformanceWrites(portal *bitrix24test.Portal) []adaptertest.Write {
	write := func(method string, m enlace.Mutation, additive bool) adaptertest.Write {
		return adaptertest.Write{Mutation: m, Effects: func() int { return effects(portal, method) }, Additive: additive}
	}
	return []adaptertest.Write{
		write("crm.item.add", enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: bitrix24.Contact{Name: "Dora",
			Multifields: bitrix24.Multifields{{TypeID: bitrix24.Email, Value: "dora@example.org"}}}}, true),
		write("crm.item.add", enlace.Mutation{Entity: "deals", Op: enlace.OpCreate, Data: map[string]any{"title": "Order 77", "opportunity": 150.5}}, true),
		write("crm.item.update", enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "4", Data: map[string]any{"name": "Zoë"}}, false),
		write("crm.item.update", enlace.Mutation{Entity: "leads", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"name": "Eve",
			"fm": bitrix24.Multifields{{TypeID: bitrix24.Phone, Value: "+351 1"}}}}, true),
		write("crm.item.update", enlace.Mutation{Entity: "dynamic_128", Op: enlace.OpUpdate, ID: "7", Data: map[string]any{"title": "T"}}, false),
		write("crm.item.delete", enlace.Mutation{Entity: "companies", Op: enlace.OpDelete, ID: "4"}, false),
	}
}

// effects is how often a method ran and was not refused.
func effects(portal *bitrix24test.Portal, method string) int {
	m := portal.Stats().Methods[method]
	return m.Requests + m.Commands - m.Refused
}

const webhookToken = "fedcba9876543210fedcba9876543210"

func conformanceDeliveries() []adaptertest.Webhook {
	var list []adaptertest.Webhook
	for _, form := range []url.Values{
		eventForm("ONCRMCONTACTUPDATE", "data[FIELDS][ID]", "11", "event_handler_id", "196", "auth[access_token]", "AT9"),
		eventForm("ONCRMDYNAMICITEMDELETE", "data[FIELDS][ID]", "7", "data[FIELDS][ENTITY_TYPE_ID]", "128"),
		eventForm("ONAPPUNINSTALL", "data[CLEAN]", "1"),
	} {
		list = append(list, adaptertest.Webhook{Delivery: delivery(form), Secret: enlace.NewSecret(webhookToken)})
	}
	return list
}

// eventForm is an event with further names and values (sheet 6.3).
func eventForm(event string, more ...string) url.Values {
	form := url.Values{"event": {event}, "ts": {"1780000500"}, "auth[domain]": {"acme.bitrix24.com"},
		"auth[server_endpoint]": {"https://oauth.bitrix.info/rest/"}, "auth[client_endpoint]": {"https://acme.bitrix24.com/rest/"},
		"auth[member_id]": {"0123456789abcdef0123456789abcdef"}, "auth[application_token]": {webhookToken}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

func delivery(form url.Values) enlace.Delivery {
	return enlace.Delivery{Method: http.MethodPost, URL: &url.URL{Path: "/webhooks/1"},
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: []byte(form.Encode())}
}
