package enlace

import (
	"context"
	"slices"
	"time"

	"github.com/enlace-go/enlace/internal/seal"
)

// CredentialSummary is what may be shown of a stored credential: all but what opens the account.
//
// A fingerprint is 8 hexadecimal digits by which people who may not see a secret compare it with
// another of the same tenant: is it the one from before, is it the one in the other
// integration? It is keyed by the primary root key, so that nobody can try guesses without it,
// and becomes another when that key is replaced.
type CredentialSummary struct {
	Scheme         string            `json:"scheme"`
	Secrets        map[string]string `json:"secrets,omitempty"`         // fingerprints by name
	Token          *TokenSummary     `json:"token,omitempty"`           // nil where there is none
	Attributes     map[string]string `json:"attributes,omitempty"`      // as in Credential
	WebhookSecrets []string          `json:"webhook_secrets,omitempty"` // fingerprints, newest first
}

// TokenSummary is what may be shown of a token.
type TokenSummary struct {
	Access  string    `json:"access"`            // fingerprint
	Refresh string    `json:"refresh,omitempty"` // fingerprint; empty if the provider gave none
	Expiry  time.Time `json:"expiry,omitzero"`   // zero if it does not expire
	Issued  time.Time `json:"issued,omitzero"`   // zero if unknown
	Scopes  []string  `json:"scopes,omitempty"`  // as granted
}

// CredentialSummary says what is stored to open an integration's account, without revealing
// it, also while the integration is disabled. Errors: ErrNotFound, ErrNoCredential, ErrKey,
// ErrStore.
func (s *Service) CredentialSummary(ctx context.Context, ref Ref) (CredentialSummary, error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return CredentialSummary{}, err
	}
	c, err := s.safe.Get(ctx, place(in))
	if err != nil {
		return CredentialSummary{}, err
	}
	key, err := s.config.Keys.Primary(ctx)
	if err != nil {
		return CredentialSummary{}, wrapKey("fingerprint", err)
	}
	return c.summary(func(secret Secret) string {
		if secret.IsZero() {
			return ""
		}
		return seal.Fingerprint(key.key, ref.Tenant, []byte(secret.Reveal()))
	}), nil
}

func (c Credential) summary(fingerprint func(Secret) string) CredentialSummary {
	summary := CredentialSummary{Scheme: c.Scheme, Secrets: map[string]string{}, Attributes: map[string]string{}}
	for name, secret := range c.Secrets {
		summary.Secrets[name] = fingerprint(secret)
	}
	for name, value := range c.Attributes {
		summary.Attributes[name] = value
	}
	if t := c.Token; t != nil {
		summary.Token = &TokenSummary{Access: fingerprint(t.Access), Refresh: fingerprint(t.Refresh), Expiry: t.Expiry, Issued: t.Issued, Scopes: slices.Clone(t.Scopes)}
	}
	for _, secret := range c.WebhookSecrets {
		summary.WebhookSecrets = append(summary.WebhookSecrets, fingerprint(secret))
	}
	return summary
}
