// Package fake is the bundled adapter for a provider that does not exist: the
// thing to use in a host's tests.
//
// [New] makes a provider in memory: a small CRM with companies, contacts, deals
// and notes behind a JSON API. [Adapter] is its driver, with every capability
// that an adapter can have except reading in parallel. The provider takes the
// place of the network, so that everything between the host and the wire is the
// real thing: authentication, pacing, repetition, classification, limits.
//
//	p := fake.New(fake.Options{})
//	p.Seed("contacts", 250)
//	service, err := enlace.New(enlace.Config{
//		Registry:  enlace.NewRegistry(p.Adapter()),
//		Transport: p,
//		Store:     memory.New(),
//		Keys:      keys,
//	})
//	integration, err := service.Create(ctx, enlace.NewIntegration{
//		Provider: fake.Name, Credential: new(p.APIKey()),
//	})
//
// Tests then change the provider's data ([Provider.Put], [Provider.Delete]), let
// it fail ([Provider.Fail], [Provider.ExpireTokens], [Provider.Revoke]), look at
// what has arrived ([Provider.Records], [Provider.Requests], [Provider.Effects]),
// and send genuine and forged webhooks ([Provider.Delivery],
// [Provider.Forgeries]). Nothing needs a network or real time: inside a bubble of
// testing/synctest an outage of an hour takes no time.
//
// The provider is an [net/http.Handler] as well. Served by net/http/httptest it
// is reached over a real connection, if the integration's setting "apiUrl" is the
// server's address followed by /v1/.
package fake

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/enlace-go/enlace"
)

var (
	_ enlace.IntegrationAdapter = Adapter{}
	_ enlace.Puller             = Adapter{}
	_ enlace.Fetcher            = Adapter{}
	_ enlace.BatchPusher        = Adapter{}
	_ enlace.WebhookReceiver    = Adapter{}
	_ enlace.WebhookRegistrar   = Adapter{}
	_ enlace.WebhookChallenger  = Adapter{}
	_ enlace.WebhookSampler     = Adapter{}
	_ enlace.WebhookInspector   = Adapter{}
	_ enlace.HealthChecker      = Adapter{}
	_ enlace.Authenticator      = Adapter{}
	_ enlace.Classifier         = Adapter{}
)

// Name is the adapter's registry key.
const Name = "fake"

// Host is the provider's host when it is called in memory; the top-level domain
// is reserved, so that no such host exists.
const Host = "fake.example"

// The auth schemes. The methods of [Provider] make credentials for each.
const (
	SchemeAPIKey  = "api_key"            // a key in a header
	SchemeOAuth   = "oauth2"             // authorization code flow with PKCE
	SchemeClient  = "client_credentials" // OAuth 2.0 without a user
	SchemeSession = "session"            // a login of the provider's own kind, by enlace.CustomAuth
)

const (
	apiKeyHeader  = "X-Api-Key"
	sessionHeader = "X-Session"
	keyHeader     = "Idempotency-Key"
	maxBatch      = 50
)

// Adapter is the driver. Its zero value is ready for use; it knows no [Provider].
type Adapter struct{}

// Describe implements enlace.IntegrationAdapter.
func (Adapter) Describe() enlace.Descriptor {
	all := []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate, enlace.OpUpsert, enlace.OpDelete}
	return enlace.Descriptor{
		Name: Name, Title: "Fake CRM", Version: "0.1.0",
		DocsURL: "https://github.com/enlace-go/enlace/tree/main/adapters/fake",
		BaseURL: "https://" + Host + "/v1/",
		Features: []enlace.Feature{enlace.FeatureCRMSync, enlace.FeatureContactsSync, enlace.FeatureWebhooks,
			enlace.FeatureRealTimeSync, enlace.FeatureBulkOperations},
		Auth: []enlace.AuthScheme{
			enlace.APIKey{Name: SchemeAPIKey, Title: "API key", Place: enlace.Placement{Header: apiKeyHeader}},
			// The host's app does not follow the account's address, or whoever sets that
			// would get its secret; an account's own app may.
			enlace.OAuth2{Name: SchemeOAuth, Title: "OAuth 2.0", AuthURL: "https://" + Host + "/oauth/authorize",
				TokenURL: "https://" + Host + "/oauth/token", Scopes: []string{"crm"}, Place: enlace.BearerHeader(),
				PKCE: true, Life: time.Hour, Attributes: []string{"account_id"}},
			enlace.ClientCredentials{Name: SchemeClient, Title: "Client credentials", TokenURL: "{origin}/oauth/token",
				Scopes: []string{"crm"}, Place: enlace.BearerHeader(), Life: time.Hour},
			enlace.CustomAuth{Name: SchemeSession, Title: "User and password", Login: true, Fields: []enlace.SecretField{
				{Name: "user", Label: "User", Required: true}, {Name: "password", Label: "Password", Required: true}}},
		},
		Entities: []enlace.Entity{
			{Name: "companies", Title: "Companies", Operations: all, Incremental: enlace.IncrementalUpdates, CreateOnce: true},
			{Name: "contacts", Title: "Contacts", Operations: all, Incremental: enlace.IncrementalFull, Parents: []string{"companies"}, CreateOnce: true},
			{Name: "deals", Title: "Deals", Operations: all, Incremental: enlace.IncrementalUpdates, Parents: []string{"contacts"}, CreateOnce: true},
			{Name: "notes", Title: "Notes", Operations: all[:1], Incremental: enlace.IncrementalNone},
		},
	}
}

// Unkeyed is the driver of a provider that ignores idempotency keys
// ([Options.IgnoreKeys]): a create whose answer was lost is not repeated.
type Unkeyed struct{ Adapter }

// Describe implements enlace.IntegrationAdapter.
func (u Unkeyed) Describe() enlace.Descriptor {
	d := u.Adapter.Describe()
	for i := range d.Entities {
		d.Entities[i].CreateOnce = false
	}
	return d
}

// Push implements enlace.Pusher.
func (u Unkeyed) Push(ctx context.Context, c *enlace.Conn, m enlace.Mutation) (enlace.Ack, error) {
	m.Key = ""
	return u.Adapter.Push(ctx, c, m)
}

// PushBatch implements enlace.BatchPusher.
func (u Unkeyed) PushBatch(ctx context.Context, c *enlace.Conn, ms []enlace.Mutation) ([]enlace.PushResult, error) {
	ms = slices.Clone(ms)
	for i := range ms {
		ms[i].Key = ""
	}
	return u.Adapter.PushBatch(ctx, c, ms)
}

// CheckHealth implements enlace.HealthChecker.
func (Adapter) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	return c.Do(ctx, enlace.Call{Path: "me"}, nil)
}

// supports returns ErrUnsupported unless the entity has the operation. It also
// keeps anything but the name of an entity out of a path.
func supports(entity string, op enlace.Operation) error {
	if e, ok := (Adapter{}).Describe().Entity(entity); ok && e.Can(op) {
		return nil
	}
	return &enlace.Error{Provider: Name, Op: string(op), Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun,
		Message: "no such entity, or it does not have the operation"}
}

// recordPath is where one record is. Ids that would mean something else in a
// path are refused.
func recordPath(entity, id string) (string, error) {
	if id == "" || id == "." || id == ".." {
		return "", &enlace.Error{Provider: Name, Op: "address " + entity, Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeNotRun,
			Message: "the id is empty or a path"}
	}
	return entity + "/" + url.PathEscape(id), nil
}
