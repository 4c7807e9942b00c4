package enlace

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
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
	Issued  time.Time // when it was asked for; zero if unknown
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
	Issued  time.Time `json:"issued,omitzero"`
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
		p.Token = &plainToken{t.Access.Reveal(), t.Refresh.Reveal(), t.Type, t.Expiry, t.Scopes, t.Issued}
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
		c.Token = &Token{NewSecret(t.Access), NewSecret(t.Refresh), t.Type, t.Expiry, t.Scopes, t.Issued}
	}
	for _, s := range p.Webhook {
		c.WebhookSecrets = append(c.WebhookSecrets, NewSecret(s))
	}
	return c, nil
}
