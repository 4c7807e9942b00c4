package newadapter_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/adaptertest"
	"github.com/enlace-go/enlace/examples/newadapter"
)

const contacts = 450

func TestAdapter(t *testing.T) {
	adaptertest.Run(t, adaptertest.Harness{
		Adapter:  func() enlace.IntegrationAdapter { return newadapter.Adapter{} },
		Provider: func() adaptertest.Provider { return provider(0) },
		Skewed:   provider,
		Count:    map[string]int{"contacts": contacts},
	})
}

// provider is a fake HubSpot whose clock is that far ahead, with what belongs to it.
func provider(ahead time.Duration) adaptertest.Provider {
	h := newHubSpot(contacts, ahead)
	return adaptertest.Provider{
		Handler:    h,
		Credential: enlace.Credential{Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(token)}},
		Touch:      func(string) string { return h.touch() },
		Writes: []adaptertest.Write{
			{Mutation: enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]string{"email": "new@example.com"}},
				Effects: func() int { return h.created }},
			{Mutation: enlace.Mutation{Entity: "contacts", Op: enlace.OpUpdate, ID: "1", Data: map[string]string{"phone": "1"}},
				Effects: func() int { return h.updated }},
		},
		Webhooks: []adaptertest.Webhook{{
			Delivery: enlace.Delivery{Method: http.MethodPost, URL: &url.URL{Path: "/webhooks/1", RawQuery: "token=a-webhook-secret"},
				Header: http.Header{"Content-Type": {"application/json"}}, Body: delivery()},
			Secret: enlace.NewSecret("a-webhook-secret"), Events: 2,
		}},
	}
}

func delivery() []byte {
	body, _ := json.Marshal([]map[string]any{
		{"eventId": 100, "subscriptionType": "contact.creation", "objectId": 17, "occurredAt": 1893585600000, "attemptNumber": 0},
		{"eventId": 101, "subscriptionType": "contact.deletion", "objectId": 18, "occurredAt": 1893585600500, "attemptNumber": 0},
		{"eventId": 102, "subscriptionType": "deal.creation", "objectId": 19, "occurredAt": 1893585600900, "attemptNumber": 0},
	})
	return body
}
