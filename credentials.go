package enlace

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/enlace-go/enlace/internal/seal"
)

// Credential is what opens one account. It exists in the clear only while it is
// used; at rest it is sealed (see [Safe]).
type Credential struct {
	Scheme         string            // which AuthScheme of the descriptor it satisfies
	Secrets        map[string]Secret // by the names of the scheme's SecretFields
	Token          *Token            // of the OAuth schemes; nil until the account is connected
	Attributes     map[string]string // non-secret facts that came with the token, such as a portal id
	WebhookSecrets []Secret          // newest first; more than one while rotating
}

// Token is an access token and what belongs to it.
type Token struct {
	Access  Secret
	Refresh Secret    // empty if the provider gave none
	Type    string    // "Bearer" if empty
	Expiry  time.Time // zero if it does not expire
	Scopes  []string  // as granted
}

// OAuth2Token is the token in the form that other SDKs take; nil if there is
// none. It holds the secrets in the clear: hand it over and let go of it.
func (c Credential) OAuth2Token() *oauth2.Token {
	if c.Token == nil {
		return nil
	}
	return &oauth2.Token{
		AccessToken: c.Token.Access.Reveal(), RefreshToken: c.Token.Refresh.Reveal(),
		TokenType: c.Token.Type, Expiry: c.Token.Expiry,
	}
}

// all returns every secret of the credential, for redaction: of a secret URL also
// the parts of its path, since a provider may repeat just those.
func (c Credential) all() []string {
	var secrets []string
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		value := c.Secrets[name].Reveal()
		secrets = append(secrets, value)
		if u, err := url.Parse(value); err == nil && u.Host != "" {
			secrets = append(secrets, strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })...)
		}
	}
	if c.Token != nil {
		secrets = append(secrets, c.Token.Access.Reveal(), c.Token.Refresh.Reveal())
	}
	for _, s := range c.WebhookSecrets {
		secrets = append(secrets, s.Reveal())
	}
	return secrets
}

// plainCredential is the form inside the seal. Fields are only added.
type plainCredential struct {
	Scheme     string            `json:"scheme"`
	Secrets    map[string]string `json:"secrets,omitempty"`
	Token      *plainToken       `json:"token,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Webhook    []string          `json:"webhook,omitempty"`
}

type plainToken struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh,omitempty"`
	Type    string    `json:"type,omitempty"`
	Expiry  time.Time `json:"expiry,omitzero"`
	Scopes  []string  `json:"scopes,omitempty"`
}

func (c Credential) marshal() ([]byte, error) {
	p := plainCredential{Scheme: c.Scheme, Attributes: c.Attributes}
	for name, s := range c.Secrets {
		if p.Secrets == nil {
			p.Secrets = map[string]string{}
		}
		p.Secrets[name] = s.Reveal()
	}
	if t := c.Token; t != nil {
		p.Token = &plainToken{t.Access.Reveal(), t.Refresh.Reveal(), t.Type, t.Expiry, t.Scopes}
	}
	for _, s := range c.WebhookSecrets {
		p.Webhook = append(p.Webhook, s.Reveal())
	}
	return json.Marshal(p)
}

func unmarshalCredential(data []byte) (Credential, error) {
	var p plainCredential
	if err := json.Unmarshal(data, &p); err != nil {
		return Credential{}, errors.New("the opened credential is not of a known form") // the cause could quote it
	}
	c := Credential{Scheme: p.Scheme, Attributes: p.Attributes}
	for name, s := range p.Secrets {
		if c.Secrets == nil {
			c.Secrets = map[string]Secret{}
		}
		c.Secrets[name] = NewSecret(s)
	}
	if t := p.Token; t != nil {
		c.Token = &Token{NewSecret(t.Access), NewSecret(t.Refresh), t.Type, t.Expiry, t.Scopes}
	}
	for _, s := range p.Webhook {
		c.WebhookSecrets = append(c.WebhookSecrets, NewSecret(s))
	}
	return c, nil
}

// Key is a root key that seals credentials: 32 bytes and an id. It shows as
// nothing in any output.
type Key struct {
	key seal.Key
}

// ParseKey reads a key from its text: 32 bytes as standard base64, or as hex.
// Anything else, and a key without randomness (all bytes equal), is refused.
// The key's id is derived from its bytes, so the same text is the same key in
// every process.
func ParseKey(text Secret) (Key, error) {
	raw := text.Reveal()
	root, err := hex.DecodeString(raw)
	if err != nil || len(root) != 32 {
		root, err = base64.StdEncoding.DecodeString(raw)
	}
	if err != nil || len(root) != 32 {
		return Key{}, &ValidationError{Faults: []Fault{{Field: "key", Problem: "not a root key",
			Allowed: "32 random bytes as base64 (44 characters) or hex (64 characters), as enlace.GenerateKey makes them"}}}
	}
	k, err := seal.NewKey(seal.DeriveKeyID(root), root)
	if err != nil {
		return Key{}, &ValidationError{Faults: []Fault{{Field: "key", Problem: "weak", Allowed: "32 random bytes"}}}
	}
	return Key{key: k}, nil
}

// ID is the key's identity as it stands beside every ciphertext. It is no secret.
func (k Key) ID() uint64 { return uint64(k.key.ID()) }

// Keyring is the set of keys of a service: one seals, all of them open. To
// rotate, make a new key the primary and keep the old one as retiring until
// nothing is sealed with it any more. It is immutable and safe for concurrent use.
type Keyring struct {
	primary seal.Key
	all     map[seal.KeyID]seal.Key
}

// NewKeyring returns a keyring that seals with primary and opens with all keys.
// It returns an error if two keys have the same id, or primary is the zero Key.
func NewKeyring(primary Key, retiring ...Key) (*Keyring, error) {
	ring := &Keyring{primary: primary.key, all: map[seal.KeyID]seal.Key{}}
	for _, k := range append([]Key{primary}, retiring...) {
		id := k.key.ID()
		if id == 0 {
			return nil, &ValidationError{Faults: []Fault{{Field: "keys", Problem: "a key is empty", Allowed: "keys from ParseKey"}}}
		}
		if _, twice := ring.all[id]; twice {
			return nil, &ValidationError{Faults: []Fault{{Field: "keys", Problem: "the same key twice", Allowed: "different keys"}}}
		}
		ring.all[id] = k.key
	}
	return ring, nil
}

func (r *Keyring) lookup(id seal.KeyID) (seal.Key, error) {
	if k, ok := r.all[id]; ok {
		return k, nil
	}
	return seal.Key{}, seal.ErrKeyUnknown
}

// Safe seals credentials above a store, so that no store can forget to. What is
// sealed is bound to its place (tenant, integration, name) and to the host that
// the secret may be sent to: a row that is copied elsewhere, or whose
// integration is pointed at another host, does not open. It is safe for
// concurrent use.
type Safe struct {
	store CredentialStore
	keys  *Keyring
}

// NewSafe returns a safe over the store. Both arguments are required.
func NewSafe(store CredentialStore, keys *Keyring) *Safe {
	return &Safe{store: store, keys: keys}
}

// Place is where a credential is kept and where its secrets may go.
type Place struct {
	CredentialKey
	Host string // host and port of the provider's API for this account
}

func (p Place) context() seal.Context {
	return seal.Context{Kind: "credential", Tenant: p.Tenant, Integration: p.ID, Name: p.Name, Host: p.Host}
}

// Get opens the credential at p. It returns ErrNoCredential if there is none and
// ErrKey if it cannot be opened.
func (s *Safe) Get(ctx context.Context, p Place) (Credential, error) {
	sealed, err := s.store.LoadCredential(ctx, p.CredentialKey)
	if err != nil {
		return Credential{}, wrap("load credential", ErrStore, err)
	}
	return s.open(p, sealed.Data)
}

// Put seals the credential and stores it at p, in place of what is there.
func (s *Safe) Put(ctx context.Context, p Place, c Credential) error {
	err := s.store.UpdateCredential(ctx, p.CredentialKey, func(context.Context, *Sealed, bool) (*Sealed, error) {
		return s.seal(p, c)
	})
	return wrap("store credential", ErrStore, err)
}

// Update replaces the credential at p with what fn returns, if changed is true.
// At most one fn runs for a place at any time, across all processes that share
// the store; it sees the latest stored value. interrupted says that an earlier
// fn never came back, so what it spent may be lost. An error from fn is
// returned as it is and changes nothing.
func (s *Safe) Update(ctx context.Context, p Place,
	fn func(ctx context.Context, cur Credential, interrupted bool) (next Credential, changed bool, err error)) error {
	var fnErr error
	err := s.store.UpdateCredential(ctx, p.CredentialKey, func(ctx context.Context, sealed *Sealed, interrupted bool) (*Sealed, error) {
		var cur Credential
		if fnErr = ErrNoCredential; sealed == nil {
			return nil, fnErr
		}
		if cur, fnErr = s.open(p, sealed.Data); fnErr != nil {
			return nil, fnErr
		}
		next, changed, err := fn(ctx, cur, interrupted)
		if fnErr = err; err != nil || !changed {
			return nil, err
		}
		return s.seal(p, next)
	})
	if fnErr != nil {
		return fnErr
	}
	return wrap("update credential", ErrStore, err)
}

// Delete removes the credential; it is no error if there is none.
func (s *Safe) Delete(ctx context.Context, key CredentialKey) error {
	return wrap("delete credential", ErrStore, s.store.DeleteCredential(ctx, key))
}

func (s *Safe) seal(p Place, c Credential) (*Sealed, error) {
	plain, err := c.marshal()
	if err != nil {
		return nil, err
	}
	data, err := seal.Seal(s.keys.primary, seal.PurposeCredential, p.context(), plain)
	if err != nil {
		return nil, err
	}
	return &Sealed{Data: data, KeyID: uint64(s.keys.primary.ID())}, nil
}

func (s *Safe) open(p Place, data []byte) (Credential, error) {
	plain, err := seal.Open(s.keys.lookup, seal.PurposeCredential, p.context(), data)
	if err != nil {
		return Credential{}, &Error{Op: "open credential", Kind: ErrKey, Outcome: OutcomeNotRun, Err: err}
	}
	c, err := unmarshalCredential(plain)
	clear(plain)
	if err != nil {
		return Credential{}, &Error{Op: "open credential", Kind: ErrKey, Outcome: OutcomeNotRun, Err: err}
	}
	return c, nil
}

// GenerateKey makes a new random root key, in the text form that ParseKey reads.
// Keep it where the database is not: an environment variable, a secret manager.
func GenerateKey() Secret {
	root := make([]byte, seal.KeySize)
	_, _ = rand.Read(root) // never fails: crypto/rand aborts the program instead
	return NewSecret(base64.StdEncoding.EncodeToString(root))
}

// String implements fmt.Stringer and shows only the id.
func (k Key) String() string { return fmt.Sprintf("enlace.Key(%016x)", k.ID()) }
