package fake_test

import (
	"context"
	"fmt"
	"log"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

// What a host's test looks like: the provider breaks down in the middle of a
// sync, and the next one goes on where it stopped.
func ExampleNew() {
	ctx := context.Background()
	provider := fake.New(fake.Options{PageSize: 20})
	provider.Seed("contacts", 50)
	contacts := map[string]enlace.Record{}
	service, err := newService(provider, enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
		for _, r := range b.Records {
			contacts[r.ID] = r
		}
		return enlace.Changes{Updated: len(b.Records)}, nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	integration, err := service.Create(ctx, enlace.NewIntegration{Provider: fake.Name, Credential: new(provider.APIKey())})
	if err != nil {
		log.Fatal(err)
	}

	provider.Fail(fake.Failure{Op: fake.OpList, After: 1, Status: 403})
	_, err = service.Sync(ctx, integration.Ref, enlace.SyncOptions{Entities: []string{"contacts"}})
	fmt.Println(enlace.KindLabel(err), len(contacts))

	result, err := service.Sync(ctx, integration.Ref, enlace.SyncOptions{Entities: []string{"contacts"}})
	fmt.Println(err, len(contacts), "resumed:", result.Entities["contacts"].Resumed)
	// Output:
	// forbidden 20
	// <nil> 50 resumed: true
}

// newService makes a service that reaches nothing but the provider.
func newService(p *fake.Provider, sink enlace.Sink) (*enlace.Service, error) {
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		return nil, err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return nil, err
	}
	return enlace.New(enlace.Config{Registry: enlace.NewRegistry(p.Adapter()), Store: memory.New(), Keys: keys,
		OAuth: map[string]enlace.OAuthApp{fake.Name: p.OAuthApp()}, Transport: p, Sink: sink})
}

// A write whose answer is lost is repeated, and takes effect once, because it has
// an idempotency key.
func ExampleProvider_Fail() {
	ctx := context.Background()
	provider := fake.New(fake.Options{})
	service, err := newService(provider, nil)
	if err != nil {
		log.Fatal(err)
	}
	integration, err := service.Create(ctx, enlace.NewIntegration{Provider: fake.Name, Credential: new(provider.APIKey())})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := service.Conn(ctx, integration.Ref)
	if err != nil {
		log.Fatal(err)
	}

	provider.Fail(fake.Failure{Op: fake.OpCreate, Kind: fake.Truncated})
	ack, err := fake.Adapter{}.Push(ctx, conn, enlace.Mutation{
		Entity: "companies", Op: enlace.OpCreate, Data: map[string]string{"name": "Acme"}, Key: "order-17"})
	fmt.Println(ack.ID, err)
	fmt.Println("arrived:", provider.Requests(fake.OpCreate), "took effect:", provider.Effects(fake.OpCreate))
	// Output:
	// 1 <nil>
	// arrived: 2 took effect: 1
}

// Genuine webhooks for a handler under test, and forged ones that it must refuse.
func ExampleProvider_Delivery() {
	provider := fake.New(fake.Options{})
	event := enlace.Event{Type: "contact.updated", Record: enlace.Record{Entity: "contacts", ID: "7"}}
	verify := func(d enlace.Delivery) error {
		return fake.Adapter{}.Verifier().Verify(d, []enlace.Secret{provider.WebhookSecret()})
	}

	d := received(provider.Delivery("https://host.example/hook", event))
	events, err := fake.Adapter{}.ParseWebhook(context.Background(), d)
	fmt.Println(verify(d), err, events[0].Type, events[0].Record.ID)

	refused := 0
	for _, r := range provider.Forgeries("https://host.example/hook", event) {
		if verify(received(r)) != nil {
			refused++
		}
	}
	fmt.Println("forgeries refused:", refused)
	// Output:
	// <nil> <nil> contact.updated 7
	// forgeries refused: 8
}

// The authorization code flow, without a browser.
func ExampleProvider_Consent() {
	ctx := context.Background()
	provider := fake.New(fake.Options{})
	service, err := newService(provider, nil)
	if err != nil {
		log.Fatal(err)
	}
	integration, err := service.Create(ctx, enlace.NewIntegration{Provider: fake.Name})
	if err != nil {
		log.Fatal(err)
	}

	address, err := service.BeginAuth(ctx, integration.Ref, "https://host.example/callback")
	if err != nil {
		log.Fatal(err)
	}
	query, err := provider.Consent(ctx, address)
	if err != nil {
		log.Fatal(err)
	}
	integration, err = service.CompleteAuth(ctx, query)
	fmt.Println(integration.Status, err)
	// Output:
	// connected <nil>
}
