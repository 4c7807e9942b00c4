package fake_test

import (
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/adaptertest"
	"github.com/enlace-go/enlace/adapters/fake"
)

func TestAdapter(t *testing.T) { runSuite(t, (*fake.Provider).APIKey) }

// runSuite runs the suite with one of the provider's credentials.
func runSuite(t *testing.T, credential func(*fake.Provider) enlace.Credential) {
	counts := map[string]int{"companies": 3, "contacts": 13, "deals": 9, "notes": 6}
	open := func(ahead time.Duration) adaptertest.Provider { return suiteProvider(counts, ahead, credential) }
	adaptertest.Run(t, adaptertest.Harness{
		Adapter:  func() enlace.IntegrationAdapter { return fake.Adapter{} },
		Provider: func() adaptertest.Provider { return open(0) },
		Count:    counts,
		Skewed:   open,
		Refusals: []adaptertest.Refusal{
			{Name: "read only", Status: 405, Body: `{"error":{"code":"read_only"}}`, Kind: enlace.ErrUnsupported},
			{Name: "no such key", Status: 401, Body: `{"error":{"code":"unauthorized"}}`, Kind: enlace.ErrAuth},
		},
	})
}

// suiteProvider is a provider with records, writes and deliveries for the suite.
func suiteProvider(counts map[string]int, ahead time.Duration, credential func(*fake.Provider) enlace.Credential) adaptertest.Provider {
	p := fake.New(fake.Options{PageSize: 4, ClockSkew: ahead})
	for _, entity := range []string{"companies", "contacts", "deals", "notes"} {
		p.Seed(entity, counts[entity])
	}
	version := 0
	write := func(op enlace.Operation, counted fake.Op, id string) adaptertest.Write {
		return adaptertest.Write{Mutation: enlace.Mutation{Entity: "companies", Op: op, ID: id, Data: map[string]string{"name": "Acme"}},
			Effects: func() int { return p.Effects(counted) }}
	}
	signed := p.Delivery("https://host.example/webhooks/1",
		enlace.Event{Type: "changed", Record: enlace.Record{Entity: "contacts", ID: "1", Data: []byte(`{"id":"1"}`)}},
		enlace.Event{Type: "deleted", Record: enlace.Record{Entity: "deals", ID: "2", Deleted: true}})
	return adaptertest.Provider{
		Transport:  p,
		Credential: credential(p),
		OAuth:      p.OAuthApp(),
		Touch: func(entity string) string {
			version++
			p.Put(entity, "1", map[string]int{"version": version})
			return "1"
		},
		Remove: func(entity string) string {
			p.Delete(entity, "2")
			return "2"
		},
		Writes: []adaptertest.Write{
			write(enlace.OpCreate, fake.OpCreate, ""),
			write(enlace.OpUpdate, fake.OpUpdate, "1"),
			write(enlace.OpUpsert, fake.OpUpsert, "77"),
			write(enlace.OpDelete, fake.OpDelete, "2"),
		},
		Webhooks: []adaptertest.Webhook{{Delivery: received(signed), Secret: p.WebhookSecret(), Events: 2}},
	}
}

func TestAdapterByTokens(t *testing.T) {
	for scheme, credential := range map[string]func(*fake.Provider) enlace.Credential{
		"oauth": (*fake.Provider).OAuth2, "session": (*fake.Provider).Session,
	} {
		t.Run(scheme, func(t *testing.T) { runSuite(t, credential) })
	}
}
