package enlace

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// AuthScheme is one way in which a provider lets an account in, as data. The
// schemes are [APIKey], [Basic], [SecretURL], [OAuth2], [ClientCredentials] and
// [CustomAuth].
type AuthScheme interface {
	// Scheme is the name by which a Credential refers to it.
	Scheme() string
	// SecretFields are the secrets that a person enters for it.
	SecretFields() []SecretField
	authScheme()
}

// SecretField describes one secret of a credential.
type SecretField struct {
	Name     string // key in Credential.Secrets
	Label    string // for people
	Help     string
	Required bool
}

// Placement says where a key or a token stands in a request. Exactly one of
// Header, Query and Body is set.
type Placement struct {
	Header string // name of a header
	Prefix string // what precedes the value in the header, such as "Bearer "
	Query  string // name of a query parameter: only where nothing else works, since URLs end up in logs
	Body   string // name of a top-level field of the JSON or form body
}

// BearerHeader is the usual place of an access token.
func BearerHeader() Placement { return Placement{Header: "Authorization", Prefix: "Bearer "} }

// valid says whether there is exactly one place.
func (p Placement) valid() bool {
	places := 0
	for _, name := range []string{p.Header, p.Query, p.Body} {
		if name != "" {
			places++
		}
	}
	return places == 1
}

// put writes value into the request.
func (p Placement) put(r *http.Request, value Secret) error {
	switch {
	case p.Header != "":
		r.Header.Set(p.Header, p.Prefix+value.Reveal())
	case p.Query != "":
		q := r.URL.Query()
		q.Set(p.Query, value.Reveal())
		r.URL.RawQuery = q.Encode()
	case p.Body != "":
		return p.putBody(r, value)
	}
	return nil
}

// putBody adds the field at the head of a JSON object, or to a form.
func (p Placement) putBody(r *http.Request, value Secret) error {
	var body []byte
	if r.Body != nil && r.Body != http.NoBody {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return err
		}
		_ = r.Body.Close()
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		field := url.QueryEscape(p.Body) + "=" + url.QueryEscape(value.Reveal())
		if len(body) > 0 {
			field += "&"
		}
		body = append([]byte(field), body...)
	} else {
		var err error
		if body, err = addMember(body, p.Body, value.Reveal()); err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.ContentLength = int64(len(body))
	return nil
}

// addMember puts a string member at the head of a JSON object; no body counts as {}.
func addMember(body []byte, name, value string) ([]byte, error) {
	rest := bytes.TrimLeft(body, " \t\r\n")
	if len(rest) == 0 {
		rest = []byte("{}")
	}
	if rest[0] != '{' {
		return nil, &Error{Op: "authorize", Kind: ErrInvalid, Outcome: OutcomeNotRun,
			Message: "the body must be a JSON object, since the token stands in it"}
	}
	key, err := json.Marshal(name)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(rest)+len(key)+len(text)+2)
	out = append(out, '{')
	out = append(append(append(out, key...), ':'), text...)
	rest = bytes.TrimLeft(rest[1:], " \t\r\n")
	if len(rest) > 0 && rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, rest...), nil
}

// APIKey is a key that a person copies from the provider: secret "api_key".
type APIKey struct {
	Name  string // scheme name; empty is "api_key"
	Title string
	Place Placement
}

// Basic is a user name and a password: secrets "username" and "password".
type Basic struct {
	Name  string // scheme name; empty is "basic"
	Title string
}

// SecretURL is a base URL that is itself the credential: secret "url". It
// replaces the descriptor's base URL. The integration keeps only its origin.
type SecretURL struct {
	Name    string // scheme name; empty is "secret_url"
	Title   string
	Pattern string // regular expression that the URL's path must match as a whole
	Help    string // what the URL looks like, for people and faults
}

// OAuth2 is the authorization code flow. The client's id and secret come from
// Config.OAuth, or, where every account has its own, from the secrets
// "client_id" and "client_secret" of the credential.
//
// The URLs may hold {placeholders} filled from settings, and {origin}, the
// scheme and host of the integration's base URL.
type OAuth2 struct {
	Name              string // scheme name; empty is "oauth2"
	Title             string
	AuthURL, TokenURL string
	Scopes            []string
	Place             Placement
	PKCE              bool          // send a code challenge (S256)
	BasicClientAuth   bool          // send the client's id and secret by basic auth instead of in the form
	FixedRedirect     bool          // the provider takes the redirect address from the app's registration only
	Life              time.Duration // of an access token whose answer does not say; 0 is one hour
	Refresh           RefreshPolicy
	// RefreshLife is how long a refresh token lives if it is not used; 0 is for
	// ever. It is renewed after two thirds of that; see [Service.Run].
	RefreshLife time.Duration
	// Attributes are further fields of the token answer to keep in
	// Credential.Attributes. They must not be secrets.
	Attributes []string
}

// ClientCredentials is the OAuth 2.0 grant without a user: the client's id and
// secret are the credential's secrets "client_id" and "client_secret", or Config.OAuth.
type ClientCredentials struct {
	Name            string // scheme name; empty is "client_credentials"
	Title           string
	TokenURL        string
	Scopes          []string
	Place           Placement
	BasicClientAuth bool
	Life            time.Duration // as in OAuth2
	Refresh         RefreshPolicy
}

// RefreshPolicy says when an access token is replaced.
type RefreshPolicy string

// The policies. Whatever the policy, a token that the provider refuses is
// replaced once.
const (
	RefreshOnDemand  RefreshPolicy = ""           // when it has expired
	RefreshAhead     RefreshPolicy = "ahead"      // some time before, while the old one is still in use
	RefreshOnRefusal RefreshPolicy = "on_refusal" // only when the provider refuses it
)

// CustomAuth is for providers that none of the others describes: the adapter
// implements [Authenticator].
type CustomAuth struct {
	Name   string // scheme name; empty is "custom"
	Title  string
	Fields []SecretField
	// Login says that Refresh logs in with the entered secrets and spends nothing:
	// it may be called before the first request, again with the same credential,
	// and for a credential that is not saved.
	Login bool
}

// Authenticator proves the account in the adapter's own way. It is asked only
// for credentials of a CustomAuth scheme.
type Authenticator interface {
	// Authorize adds the proof to the request. It is called for every attempt.
	Authorize(r *http.Request, c Credential) error
	// Refresh returns a fresh credential after the provider refused c, or an
	// error that matches ErrAuth if only a person can help. It makes at most one
	// request that spends something, through client; base is the account's base
	// URL. The result is stored before anyone uses it.
	Refresh(ctx context.Context, client *http.Client, base *url.URL, c Credential) (Credential, error)
}

// Scheme implements AuthScheme.
func (s APIKey) Scheme() string { return orDefault(s.Name, "api_key") }

// Scheme implements AuthScheme.
func (s Basic) Scheme() string { return orDefault(s.Name, "basic") }

// Scheme implements AuthScheme.
func (s SecretURL) Scheme() string { return orDefault(s.Name, "secret_url") }

// Scheme implements AuthScheme.
func (s OAuth2) Scheme() string { return orDefault(s.Name, "oauth2") }

// Scheme implements AuthScheme.
func (s ClientCredentials) Scheme() string { return orDefault(s.Name, "client_credentials") }

// Scheme implements AuthScheme.
func (s CustomAuth) Scheme() string { return orDefault(s.Name, "custom") }

// SecretFields implements AuthScheme.
func (s APIKey) SecretFields() []SecretField {
	return []SecretField{{Name: "api_key", Label: orDefault(s.Title, "API key"), Required: true}}
}

// SecretFields implements AuthScheme.
func (Basic) SecretFields() []SecretField {
	return []SecretField{{Name: "username", Label: "User", Required: true}, {Name: "password", Label: "Password", Required: true}}
}

// SecretFields implements AuthScheme.
func (s SecretURL) SecretFields() []SecretField {
	return []SecretField{{Name: "url", Label: orDefault(s.Title, "Secret URL"), Help: s.Help, Required: true}}
}

// SecretFields implements AuthScheme.
func (OAuth2) SecretFields() []SecretField { return clientFields() }

// SecretFields implements AuthScheme.
func (ClientCredentials) SecretFields() []SecretField { return clientFields() }

// SecretFields implements AuthScheme.
func (s CustomAuth) SecretFields() []SecretField { return s.Fields }

func clientFields() []SecretField {
	return []SecretField{
		{Name: "client_id", Label: "Client id", Help: "Only where every account has its own app."},
		{Name: "client_secret", Label: "Client secret", Help: "Only where every account has its own app."},
	}
}

func (APIKey) authScheme()            {}
func (Basic) authScheme()             {}
func (SecretURL) authScheme()         {}
func (OAuth2) authScheme()            {}
func (ClientCredentials) authScheme() {}
func (CustomAuth) authScheme()        {}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// scheme finds the auth scheme that a credential names. An empty name means the
// only one there is.
func (d Descriptor) scheme(name string) (AuthScheme, error) {
	if name == "" && len(d.Auth) == 1 {
		return d.Auth[0], nil
	}
	names := make([]string, len(d.Auth))
	for i, s := range d.Auth {
		if s.Scheme() == name {
			return s, nil
		}
		names[i] = s.Scheme()
	}
	return nil, &ValidationError{Faults: []Fault{{Field: "scheme", Problem: "not an auth scheme of " + d.Name,
		Allowed: strings.Join(names, ", ")}}}
}
