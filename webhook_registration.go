package enlace

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"strconv"
	"time"
)

const (
	// secretSize is how long a webhook secret is that enlace makes, in bytes.
	secretSize = 32
	// defaultOverlap is how long an older secret goes on proving deliveries.
	defaultOverlap = 24 * time.Hour
	// registrationTime is how long a registration is reserved for one process.
	registrationTime = 2 * time.Minute

	targetAttribute     = "target"        // what is registered at the provider
	registeredAttribute = "registered"    // with which secret: its count
	countAttribute      = "secrets"       // how many secrets there have been
	sinceAttribute      = "registered_at" // when deliveries may be expected

	// untilRegistered keeps the older secret until the provider has taken the newer one.
	untilRegistered = "9999-01-01T00:00:00Z"
)

// WebhookOptions say how EnsureWebhook registers. The zero value is right in most cases.
type WebhookOptions struct {
	// Target replaces WebhookConfig.PublicURL + "/{integration id}/webhook". It must lead
	// to [Service.WebhookHandler].
	Target string
	// Secret is the proof, where the provider makes it and does not take ours, such
	// as Bitrix24's application token. Defaults to that of the account's credential,
	// and where the provider takes ours to one that enlace makes.
	Secret Secret
	// Rotate makes a new secret and registers with it. The one before goes on proving
	// deliveries for Overlap.
	Rotate bool
	// Overlap defaults to 24 hours.
	Overlap time.Duration
}

// EnsureWebhook has the provider deliver to this service's address, with a secret that
// stands sealed in the store. If it does so already, nothing happens: the provider is not
// asked again unless the target or the secret changes, or an earlier call ended half way.
//
// Errors: ErrNotFound, ErrInvalid (no PublicURL and no Target, or no Secret where the
// provider makes it), ErrUnsupported (the adapter cannot register: enter
// [Service.WebhookTarget] at the provider and its secret by Connect), ErrConflict (another
// process is at it), ErrStore, and those of the provider's answers.
func (s *Service) EnsureWebhook(ctx context.Context, ref Ref, o WebhookOptions) error {
	conn, registrar, err := s.registrar(ctx, ref)
	if err != nil {
		return err
	}
	if o.Target == "" {
		if o.Target, err = s.WebhookTarget(ref); err != nil {
			return err
		}
	}
	if o.Secret, err = conn.providersSecret(o.Secret); err != nil {
		return err
	}
	return s.leasedFor(ctx, registrationLease(ref), newID(time.Now()), registrationTime, func(ctx context.Context, _ Lease) error {
		cred, err := s.webhookCredential(ctx, ref)
		if err != nil {
			return err
		}
		action := "ensure"
		if offerSecret(&cred, o) && len(cred.WebhookSecrets) > 1 {
			action = "rotate"
		}
		if cred.Attributes[targetAttribute] == o.Target && cred.Attributes[registeredAttribute] == cred.Attributes[countAttribute] {
			return nil
		}
		return s.webhookChange(ctx, conn, action, func() error { return s.register(ctx, conn, registrar, cred, o) })
	})
}

// providersSecret is the secret to register with, where the provider makes it: the one
// given, or that of the account. It is zero where enlace makes it.
func (c *Conn) providersSecret(given Secret) (Secret, error) {
	if !given.IsZero() || !c.descriptor.Webhooks.OwnSecret {
		return given, nil
	}
	if account := c.credential.Load().WebhookSecrets; len(account) > 0 {
		return account[0], nil
	}
	return Secret{}, &ValidationError{Faults: []Fault{{Field: "Secret", Problem: "missing", Allowed: "the proof that the provider has made: it takes none of ours"}}}
}

// register tells the provider. The secret is stored before, so that the first delivery
// with it is proved, and that it is registered after, so that a crash between has it done again.
func (s *Service) register(ctx context.Context, conn *Conn, registrar WebhookRegistrar, cred Credential, o WebhookOptions) error {
	ref := conn.Ref()
	cred.Attributes[registeredAttribute] = ""
	if err := s.saveWebhook(ctx, ref, cred); err != nil {
		return err
	}
	if err := registrar.EnsureWebhook(ctx, conn, withPathToken(conn.adapter, o.Target, cred), cred.WebhookSecrets[0]); err != nil {
		return conn.failure("ensure webhook", err)
	}
	cred.Attributes[targetAttribute], cred.Attributes[registeredAttribute] = o.Target, cred.Attributes[countAttribute]
	cred.Attributes[untilAttribute] = time.Now().Add(cmp.Or(o.Overlap, defaultOverlap)).UTC().Format(time.RFC3339)
	if cred.Attributes[sinceAttribute] == "" {
		cred.Attributes[sinceAttribute] = time.Now().UTC().Format(time.RFC3339)
	}
	return s.saveWebhook(ctx, ref, cred)
}

// RemoveWebhook has the provider stop delivering, and forgets the secret. It is no error
// if nothing is registered. Errors are those of EnsureWebhook.
func (s *Service) RemoveWebhook(ctx context.Context, ref Ref) error {
	conn, registrar, err := s.registrar(ctx, ref)
	if err != nil {
		return err
	}
	return s.leasedFor(ctx, registrationLease(ref), newID(time.Now()), registrationTime, func(ctx context.Context, _ Lease) error {
		cred, err := s.webhookCredential(ctx, ref)
		if err != nil {
			return err
		}
		target := cred.Attributes[targetAttribute]
		if target == "" {
			if target, err = s.WebhookTarget(ref); err != nil {
				return err
			}
		}
		return s.webhookChange(ctx, conn, "remove", func() error {
			if err := registrar.RemoveWebhook(ctx, conn, withPathToken(conn.adapter, target, cred)); err != nil {
				return conn.failure("remove webhook", err)
			}
			defer s.forgetEndpoints(ref)
			return s.safe.Delete(ctx, webhookPlace(ref).CredentialKey)
		})
	})
}

// webhookChange carries out a change that calls the provider, between its audit entries.
func (s *Service) webhookChange(ctx context.Context, conn *Conn, action string, change func() error) error {
	entry := audit("webhook."+action, conn.Ref())
	if err := s.announce(ctx, entry); err != nil {
		return err
	}
	if err := change(); err != nil {
		s.auditFailure(ctx, entry, err)
		return err
	}
	if err := s.audited(ctx, entry, func(context.Context) error { return nil }); err != nil {
		return err
	}
	s.observe(ctx, WebhookChanged{Ref: conn.Ref(), Provider: conn.provider, Action: action})
	return nil
}

// WebhookTarget is the address at which deliveries for the integration are taken. It is
// no secret, except where it holds the token of a provider that proves itself by the path.
// ErrInvalid without WebhookConfig.PublicURL.
func (s *Service) WebhookTarget(ref Ref) (string, error) {
	if s.webhooks.PublicURL == "" {
		return "", &ValidationError{Faults: []Fault{{Field: "Webhooks.PublicURL", Problem: "missing", Allowed: "where the world reaches WebhookHandler, such as https://host.example/integrations"}}}
	}
	return s.webhooks.PublicURL + "/" + ref.ID + "/" + webhookSegment, nil
}

// AddWebhookEndpoint makes a further address for the integration and returns the token
// that stands in it in the place of the id: for an address that can be given up
// without the others, or that does not tell the id. Only the token's hash is stored.
func (s *Service) AddWebhookEndpoint(ctx context.Context, ref Ref) (token Secret, err error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return Secret{}, err
	}
	token = newWebhookSecret()
	err = s.audited(ctx, audit("webhook.add_endpoint", ref), func(ctx context.Context) error {
		return wrap("save endpoint", ErrStore, s.store.SaveEndpoint(ctx, ref, endpointHash(token.Reveal())))
	})
	if err != nil {
		return Secret{}, err
	}
	s.observe(ctx, WebhookChanged{Ref: ref, Provider: in.Provider, Action: "add endpoint"})
	return token, nil
}

// RemoveWebhookEndpoint gives up an address of AddWebhookEndpoint, within seconds in
// every process. It is no error if there is none.
func (s *Service) RemoveWebhookEndpoint(ctx context.Context, ref Ref, token Secret) error {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return err
	}
	err = s.audited(ctx, audit("webhook.remove_endpoint", ref), func(ctx context.Context) error {
		return wrap("delete endpoint", ErrStore, s.store.DeleteEndpoint(ctx, ref, endpointHash(token.Reveal())))
	})
	if err != nil {
		return err
	}
	s.forgetEndpoints(ref)
	s.observe(ctx, WebhookChanged{Ref: ref, Provider: in.Provider, Action: "remove endpoint"})
	return nil
}

func (s *Service) registrar(ctx context.Context, ref Ref) (*Conn, WebhookRegistrar, error) {
	conn, err := s.Conn(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	registrar, ok := As[WebhookRegistrar](conn.adapter)
	if !ok {
		return nil, nil, &Error{Provider: conn.provider, Op: "register webhook", Kind: ErrUnsupported, Outcome: OutcomeNotRun,
			Message: "the adapter cannot register; enter the address at the provider"}
	}
	return conn, registrar, nil
}

func registrationLease(ref Ref) LeaseName {
	return LeaseName{Tenant: ref.Tenant, Name: "webhook-registration/" + ref.ID}
}

// webhookCredential is what is stored of a registration, or an empty one.
func (s *Service) webhookCredential(ctx context.Context, ref Ref) (Credential, error) {
	cred, err := s.safe.reload(ctx, webhookPlace(ref))
	if err != nil && !errors.Is(err, ErrNoCredential) {
		return Credential{}, err
	}
	cred.Attributes = maps.Clone(cred.Attributes) // what the safe gives is shared
	if cred.Attributes == nil {
		cred.Attributes = map[string]string{}
	}
	cred.WebhookSecrets = currentSecrets(cred, time.Now())
	return cred, nil
}

func (s *Service) saveWebhook(ctx context.Context, ref Ref, cred Credential) error {
	cred.Attributes = maps.Clone(cred.Attributes)
	defer s.forgetEndpoints(ref)
	return s.safe.Put(ctx, webhookPlace(ref), cred)
}

// offerSecret puts a new secret in front of those that there are, if one is needed.
func offerSecret(cred *Credential, o WebhookOptions) (offered bool) {
	secret := o.Secret
	switch {
	case len(cred.WebhookSecrets) == 0, o.Rotate:
		if secret.IsZero() {
			secret = newWebhookSecret()
		}
	case secret.IsZero() || secret.Equal(cred.WebhookSecrets[0]):
		return false
	}
	cred.Attributes[untilAttribute] = untilRegistered
	// Of several older ones only the newest goes on.
	cred.WebhookSecrets = append([]Secret{secret}, cred.WebhookSecrets[:min(1, len(cred.WebhookSecrets))]...)
	count, _ := strconv.Atoi(cred.Attributes[countAttribute])
	cred.Attributes[countAttribute] = strconv.Itoa(count + 1)
	return true
}

// newWebhookSecret is random, and fit for headers, addresses and HMAC.
func newWebhookSecret() Secret {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails: crypto/rand aborts the program instead
	return NewSecret(base64.RawURLEncoding.EncodeToString(b))
}

// withPathToken adds the secret to the address where the provider proves itself by it.
func withPathToken(adapter IntegrationAdapter, target string, cred Credential) string {
	receiver, ok := As[WebhookReceiver](adapter)
	if !ok || len(cred.WebhookSecrets) == 0 {
		return target
	}
	if v, token := receiver.Verifier().(TokenVerifier); token && v.Path {
		return target + "/" + cred.WebhookSecrets[0].Reveal()
	}
	return target
}
