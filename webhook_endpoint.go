package enlace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
)

const (
	// staleEndpoint is how long an endpoint is gone by while the store does not answer.
	staleEndpoint = 10 * time.Minute
	// webhookName is the name of the credential that holds an integration's own
	// webhook secrets. It is bound to no host, since its secrets come to us.
	webhookName = "webhook"
	// untilAttribute says when the older secrets of that credential end.
	untilAttribute = "previous_until"
)

// endpoint is what the handler knows about an address: enough to judge a delivery
// without the store.
type endpoint struct {
	integration Integration
	receiver    WebhookReceiver
	challenger  WebhookChallenger // nil if the adapter is none
	verifier    Verifier
	unverified  bool // the host takes the adapter's deliveries although nothing proves them
	terms       WebhookTerms
	secrets     []Secret
	allow       []netip.Prefix // nil if there is no list
	loaded      time.Time
}

// endpoints are the addresses that this process has looked up.
type endpoints struct {
	mu     sync.RWMutex
	byName map[string]*endpoint
}

// endpointName finds the address's name in a path that ends in "/{name}/webhook", or in
// "/{name}/webhook/{token}", wherever the handler is mounted.
func endpointName(path string) (string, bool) {
	before, last, ok := cutLast(path)
	if ok && last != webhookSegment {
		before, last, ok = cutLast(before)
	}
	if !ok || last != webhookSegment {
		return "", false
	}
	_, name, _ := cutLast(before)
	valid := name != "" && len(name) <= 128 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
	return name, valid
}

// endpointHash is how the store knows a token.
func endpointHash(token string) string {
	sum := sha256.Sum256([]byte("enlace webhook endpoint " + token))
	return hex.EncodeToString(sum[:])
}

// endpoint finds the endpoint of a name: as this process saw it a few seconds ago, or
// as it is stored. While the store is out of order an older view has to do.
func (s *Service) endpoint(ctx context.Context, name string) (*endpoint, error) {
	now := time.Now()
	s.endpoints.mu.RLock()
	e := s.endpoints.byName[name]
	s.endpoints.mu.RUnlock()
	if e != nil && now.Sub(e.loaded) < cacheTime {
		return e, nil
	}
	fresh, err := s.loadEndpoint(ctx, name)
	if err != nil && e != nil && !errors.Is(err, ErrNotFound) && now.Sub(e.loaded) < staleEndpoint {
		return e, nil
	}
	s.endpoints.mu.Lock()
	defer s.endpoints.mu.Unlock()
	if err != nil {
		delete(s.endpoints.byName, name)
		return nil, err
	}
	if s.endpoints.byName == nil || len(s.endpoints.byName) >= cacheSize {
		s.endpoints.byName = map[string]*endpoint{}
	}
	s.endpoints.byName[name] = fresh
	return fresh, nil
}

// forgetEndpoints makes a change of an integration count at once in this process.
func (s *Service) forgetEndpoints(ref Ref) {
	s.endpoints.mu.Lock()
	defer s.endpoints.mu.Unlock()
	for name, e := range s.endpoints.byName {
		if e.integration.Ref == ref {
			delete(s.endpoints.byName, name)
		}
	}
}

func (s *Service) loadEndpoint(ctx context.Context, name string) (*endpoint, error) {
	ref, err := s.store.Endpoint(ctx, endpointHash(name), name)
	if err != nil {
		return nil, wrap("webhook endpoint", ErrStore, err)
	}
	in, err := s.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil || !in.Enabled {
		return nil, &Error{Op: "webhook endpoint", Kind: ErrNotFound}
	}
	receiver, ok := As[WebhookReceiver](adapter)
	if !ok {
		return nil, &Error{Op: "webhook endpoint", Kind: ErrNotFound}
	}
	e := &endpoint{integration: in, receiver: receiver, verifier: receiver.Verifier(), terms: adapter.Describe().Webhooks, loaded: time.Now()}
	e.challenger, _ = As[WebhookChallenger](adapter)
	_, none := e.verifier.(Unverified)
	e.unverified = none && slices.Contains(s.webhooks.AllowUnverified, in.Provider)
	if list, set := in.Settings[allowSetting]; set {
		e.allow, _ = guard.ParseNetworks(list) // checked when it was stored; nothing is allowed otherwise
		e.allow = append([]netip.Prefix{}, e.allow...)
	}
	e.secrets, err = s.webhookSecrets(ctx, in)
	return e, err
}

// webhookSecrets are what may prove a delivery: the secrets that enlace made, and those
// that came with the account's credential. An older one that has ended is left out.
func (s *Service) webhookSecrets(ctx context.Context, in Integration) ([]Secret, error) {
	own, err := s.safe.Get(ctx, webhookPlace(in.Ref))
	if err != nil && !errors.Is(err, ErrNoCredential) {
		return nil, err
	}
	secrets := currentSecrets(own, time.Now())
	account, err := s.safe.Get(ctx, place(in))
	switch {
	case err == nil:
		return append(secrets, account.WebhookSecrets...), nil
	case errors.Is(err, ErrNoCredential), len(secrets) > 0:
		return secrets, nil
	default:
		return nil, err
	}
}

func webhookPlace(ref Ref) Place {
	return Place{CredentialKey: CredentialKey{Ref: ref, Name: webhookName}}
}

// currentSecrets are the newest of the secrets, and the older ones until their end.
func currentSecrets(c Credential, now time.Time) []Secret {
	if len(c.WebhookSecrets) < 2 {
		return slices.Clone(c.WebhookSecrets)
	}
	until, err := time.Parse(time.RFC3339, c.Attributes[untilAttribute])
	if err != nil || now.After(until) {
		return slices.Clone(c.WebhookSecrets[:1])
	}
	return slices.Clone(c.WebhookSecrets)
}
