package bitrix24_test

import (
	"context"
	"fmt"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/store/memory"
)

// Contacts are read from a portal, here a fake one, first all of them and then
// what has changed.
func ExampleAdapter() {
	ctx := context.Background()
	portal := bitrix24test.New(bitrix24test.Options{})
	portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1234})

	key, err := enlace.ParseKey(enlace.GenerateKey()) // in a real program a secret of its own
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	service, err := enlace.New(enlace.Config{
		Registry:  enlace.NewRegistry(bitrix24.Adapter{}),
		Store:     memory.New(),
		Keys:      keys,
		Transport: portal.Transport(), // leave it out to call real portals
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			return enlace.Changes{Updated: len(b.Records)}, nil // store b.Records here
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := service.Create(ctx, enlace.NewIntegration{
		Provider: bitrix24.Name,
		Name:     "Acme's portal",
		Credential: &enlace.Credential{
			Scheme:  bitrix24.SchemeWebhook,
			Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(portal.WebhookURL())},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		result, err := service.Sync(ctx, in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("contacts:", result.Entities["contacts"].Read, "complete:", result.Complete)
		portal.Touch(bitrix24test.Contact, 7, 8)
	}
	// Output:
	// contacts: 1234 complete: true
	// contacts: 2 complete: true
}
