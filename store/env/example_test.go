package env_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/store/env"
	"github.com/enlace-go/enlace/store/memory"
)

// A host with one account, connected anew at each start.
func ExampleSource_Credential() {
	source := env.Source{Lookup: func(name string) (string, bool) { // leave it out to read the real environment
		value, set := map[string]string{
			"ENLACE_KEY":          "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=",
			"ENLACE_BITRIX24_URL": "https://acme.bitrix24.com/rest/1/xxxxxxxxxx/",
		}[name]
		return value, set
	}}
	integration, err := startUp(context.Background(), source)
	fmt.Println(integration.Status, integration.BaseURL, err)
	// Output: connected https://acme.bitrix24.com <nil>
}

func startUp(ctx context.Context, source env.Source) (enlace.Integration, error) {
	registry := enlace.NewRegistry(bitrix24.Adapter{})
	keys, err := source.Keys()
	if err != nil {
		return enlace.Integration{}, err
	}
	apps, err := source.OAuth(registry)
	if err != nil {
		return enlace.Integration{}, err
	}
	service, err := enlace.New(enlace.Config{
		Registry:    registry,
		Keys:        keys,
		OAuth:       apps,
		Store:       memory.New(), // a real host keeps its integrations and checkpoints
		Credentials: memory.New(), // the environment has them
	})
	if err != nil {
		return enlace.Integration{}, err
	}
	return connect(ctx, service, source)
}

// connect gives the only integration of a provider what the environment holds.
func connect(ctx context.Context, service *enlace.Service, source env.Source) (enlace.Integration, error) {
	credential, err := source.Credential(bitrix24.Adapter{}.Describe())
	if err != nil {
		return enlace.Integration{}, err
	}
	list, _, err := service.List(ctx, enlace.IntegrationQuery{Provider: bitrix24.Name})
	if err != nil {
		return enlace.Integration{}, err
	}
	if len(list) == 0 {
		return service.Create(ctx, enlace.NewIntegration{Provider: bitrix24.Name, Credential: &credential})
	}
	return service.Connect(ctx, list[0].Ref, credential)
}

// The .env file for a registry.
func ExampleSource_Example() {
	fmt.Print(env.Source{Prefix: "MYAPP"}.Example(enlace.NewRegistry(bitrix24.Adapter{})))
	// Output:
	// # Secrets of enlace. Copy this file to .env, keep the copy out of version control,
	// # and fill in what you need. An empty variable counts as unset; write values without quotes.
	//
	// # The key that seals what is stored: 32 random bytes as base64 or hex.
	// # Make one with: openssl rand -base64 32
	// MYAPP_KEY=
	//
	// # Former keys that still open what they have sealed, separated by commas.
	// # MYAPP_KEYS_RETIRING=
	//
	// # ==== Bitrix24 https://apidocs.bitrix24.com/ ====
	// # Inbound webhook: https://<portal>/rest/<user id>/<secret>/, as the portal shows it
	// # MYAPP_BITRIX24_URL=
	//
	// # The app registered with the provider, for accounts that people connect through OAuth.
	// # MYAPP_BITRIX24_CLIENT_ID=
	// # MYAPP_BITRIX24_CLIENT_SECRET=
	//
	// # What signs the provider's webhooks, newest first, separated by commas.
	// # MYAPP_BITRIX24_WEBHOOK_SECRETS=
}

// A restart with the same store finds the integration and connects it again.
func TestConnectAgain(t *testing.T) {
	source := given(map[string]string{
		"ENLACE_KEY":          enlace.GenerateKey().Reveal(),
		"ENLACE_BITRIX24_URL": "https://acme.bitrix24.com/rest/1/xxxxxxxxxx/",
	})
	keys, err := source.Keys()
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	var first enlace.Integration
	for start := range 3 {
		service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(bitrix24.Adapter{}), Keys: keys,
			Store: store, Credentials: memory.New()})
		if err != nil {
			t.Fatal(err)
		}
		in, err := connect(t.Context(), service, source)
		if err != nil || in.Status != enlace.StatusConnected {
			t.Fatalf("start %d: %v, %v", start, in.Status, err)
		}
		if start == 0 {
			first = in
		}
		if in.Ref != first.Ref {
			t.Errorf("start %d made another integration", start)
		}
		if _, err := service.Conn(t.Context(), in.Ref); err != nil {
			t.Errorf("start %d: the account does not open: %v", start, err)
		}
	}
}

var place = enlace.Place{CredentialKey: enlace.CredentialKey{Ref: enlace.Ref{ID: "crm"}, Name: "account"}, Host: "acme.bitrix24.com"}

// sealOnce is a store with one credential, sealed with the keys.
func sealOnce(t *testing.T, keys *enlace.Keyring) enlace.CredentialStore {
	t.Helper()
	store := memory.New()
	if err := enlace.NewSafe(store, keys).Put(t.Context(), place, enlace.Credential{Scheme: "webhook"}); err != nil {
		t.Fatal(err)
	}
	return store
}
