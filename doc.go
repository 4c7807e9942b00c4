// Package enlace connects a product to other people's services: it creates,
// tests and synchronises integrations, keeps their credentials sealed, and
// brings their records into the host's own data.
//
// A host makes one [Service] from a [Registry] of adapters, a [Store] and a
// [Keyring], and then works with integrations:
//
//	service, err := enlace.New(enlace.Config{
//		Registry: enlace.NewRegistry(bitrix24.Adapter{}),
//		Store:    store,
//		Keys:     keys,
//	})
//	integration, err := service.Create(ctx, enlace.NewIntegration{
//		Tenant:   "acme",
//		Provider: "bitrix24",
//		Credential: &enlace.Credential{Scheme: "webhook",
//			Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(webhookURL)}},
//	})
//	result, err := service.Sync(ctx, integration.Ref, enlace.SyncOptions{
//		Entities: []string{"contacts"},
//		Sink:     sink,
//	})
//
// New starts nothing. At the end, [Service.Close] waits for refreshes that are
// under way, and then the host closes its store.
//
// # Errors
//
// Errors are programmed against, never read. Test for a kind with errors.Is
// ([ErrAuth], [ErrRateLimited], [ErrNotFound]…), take an [*Error] out of the
// chain for the provider's code and the [Outcome], which says whether a failed
// request can have taken effect, and ask [RetryAfter] how long to wait. A
// [*ValidationError] lists every fault of the input at once.
//
// # Security
//
// There is no unsealed mode: a service needs a key. A sealed credential opens
// only at its place, for the tenant, the integration and the host it belongs to.
// Secrets are of type [Secret], which no formatting verb, logger or encoder
// shows; adapters cannot read them. Only public addresses are called, by https,
// unless [Egress] widens that; the check is made when a connection is dialled. What
// comes from outside is bounded in bytes, time and count. No URL path, query or
// body is in an error, a log line or an observation.
//
// # What is repeated
//
// A request is repeated in one place, the transport: if it certainly did not
// run, or if it is idempotent and the fault may pass. A write that may have
// happened is never sent again.
//
// # Compatibility
//
// Before version 1 anything may change with a note in the release. From then on:
// structs may gain fields, so use keyed literals; interfaces that users
// implement never gain methods, since new abilities come as new optional
// interfaces; error kinds, their labels and observation types are only added;
// stored formats carry a version and stay readable for the major version.
package enlace
