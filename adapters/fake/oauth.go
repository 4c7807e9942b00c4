package fake

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	accountID = "acme"
	codeLife  = 10 * time.Minute
)

// grants is who may come in.
type grants struct {
	codes      map[string]consent
	access     map[string]access
	refresh    map[string]refresh
	keyRevoked bool // of the API key and the password
}

// grant is one act of letting somebody in, and everything that came of it.
type grant struct{ revoked bool }

// consent is a user's, waiting to be redeemed.
type consent struct {
	challenge, redirect string
	expires             time.Time
}

type access struct {
	grant   *grant
	expires time.Time
}

type refresh struct {
	grant *grant
	spent bool
}

func newGrants() grants {
	return grants{codes: map[string]consent{}, access: map[string]access{}, refresh: map[string]refresh{}}
}

func (g *grants) valid(token string) bool {
	a, ok := g.access[token]
	return ok && !a.grant.revoked && time.Now().Before(a.expires)
}

// issueAccess makes an access token of the grant.
func (g *grants) issueAccess(of *grant, life time.Duration) string {
	token := "at-" + rand.Text()
	g.access[token] = access{of, time.Now().Add(life)}
	return token
}

func (g *grants) issueRefresh(of *grant) string {
	token := "rt-" + rand.Text()
	g.refresh[token] = refresh{grant: of}
	return token
}

// ExpireTokens makes every access token and session too old at once. Refresh
// tokens and passwords stay good: the next request is refused, and enlace gets a
// fresh token.
func (p *Provider) ExpireTokens() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.grants.access)
}

// Revoke takes the access away from whoever has it, by any scheme: only a person
// who connects again with [Provider.OAuth2] or a new consent gets back in. The API
// key, the client and the password never work again.
func (p *Provider) Revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants = newGrants()
	p.grants.keyRevoked = true
}

// APIKey returns a credential of the scheme SchemeAPIKey. Like all credentials
// of the provider it holds the webhook secret too.
func (p *Provider) APIKey() enlace.Credential {
	return p.credential(SchemeAPIKey, map[string]enlace.Secret{"api_key": p.options.APIKey})
}

// OAuth2 returns the credential of an account that has been authorized, with
// fresh tokens. To go through the authorization itself, create the integration
// without a credential and see [Provider.Consent]. Either way the service needs
// [Provider.OAuthApp] in Config.OAuth.
func (p *Provider) OAuth2() enlace.Credential {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.credential(SchemeOAuth, nil)
	g := &grant{}
	c.Token = &enlace.Token{
		Access:  enlace.NewSecret(p.grants.issueAccess(g, p.options.TokenLife)),
		Refresh: enlace.NewSecret(p.grants.issueRefresh(g)),
		Type:    "Bearer", Expiry: time.Now().Add(p.options.TokenLife).UTC(), Scopes: []string{"crm"},
	}
	c.Attributes = map[string]string{"account_id": accountID}
	return c
}

// ClientCredentials returns a credential of the scheme SchemeClient.
func (p *Provider) ClientCredentials() enlace.Credential {
	return p.credential(SchemeClient, map[string]enlace.Secret{
		"client_id": enlace.NewSecret(p.options.ClientID), "client_secret": p.options.ClientSecret})
}

// Session returns a credential of the scheme SchemeSession.
func (p *Provider) Session() enlace.Credential {
	return p.credential(SchemeSession, map[string]enlace.Secret{
		"user": enlace.NewSecret("user"), "password": p.options.Password})
}

func (p *Provider) credential(scheme string, secrets map[string]enlace.Secret) enlace.Credential {
	return enlace.Credential{Scheme: scheme, Secrets: secrets, WebhookSecrets: []enlace.Secret{p.options.WebhookSecret}}
}

// OAuthApp returns the host's registration at the provider, for
// Config.OAuth[fake.Name]. Over a real connection set its AuthURL and TokenURL to
// the server's address followed by /oauth/authorize and /oauth/token.
func (p *Provider) OAuthApp() enlace.OAuthApp {
	return enlace.OAuthApp{ClientID: p.options.ClientID, ClientSecret: p.options.ClientSecret}
}

// Consent does what a user's browser does with the address from
// Service.BeginAuth: it visits it and agrees. It returns the query with which the
// browser comes back, for Service.CompleteAuth. The error is for an address that
// the provider does not accept, or a planned failure of OpAuthorize.
func (p *Provider) Consent(ctx context.Context, authURL string) (url.Values, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, authURL, nil)
	if err != nil {
		return nil, err
	}
	a, err := p.serve(p.arrive(r))
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusFound {
		return nil, fmt.Errorf("fake: the provider refuses to ask for consent: %s", a.body)
	}
	back, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return nil, errors.New("fake: not an address to come back to")
	}
	return back.Query(), nil
}

// consent sends the browser back with a code. The user always agrees.
func (p *Provider) consent(query url.Values) answer {
	switch {
	case query.Get("response_type") != "code" || query.Get("client_id") != p.options.ClientID:
		return refuse(http.StatusBadRequest, codeInvalid, "response_type or client_id is wrong")
	case !absolute(query.Get("redirect_uri")):
		return refuse(http.StatusBadRequest, codeInvalid, "redirect_uri is not absolute")
	case query.Get("code_challenge") == "" || query.Get("code_challenge_method") != "S256":
		return redirect(query, url.Values{"error": {"invalid_request"}})
	}
	code := "code-" + rand.Text()
	p.grants.codes[code] = consent{query.Get("code_challenge"), query.Get("redirect_uri"), time.Now().Add(codeLife)}
	p.effects[OpAuthorize]++
	return redirect(query, url.Values{"code": {code}})
}

// redirect sends the browser back to where the query says.
func redirect(query, result url.Values) answer {
	target, err := url.Parse(query.Get("redirect_uri"))
	if err != nil {
		return refuse(http.StatusBadRequest, codeInvalid, "redirect_uri is not an address")
	}
	back := target.Query()
	for name := range result {
		back.Set(name, result.Get(name))
	}
	back.Set("state", query.Get("state"))
	target.RawQuery = back.Encode()
	return answer{status: http.StatusFound, header: http.Header{"Location": {target.String()}}}
}

// issue is the token endpoint.
func (p *Provider) issue(v visit) answer {
	form, err := url.ParseQuery(string(v.body))
	if err != nil {
		return oauthError(http.StatusBadRequest, "invalid_request")
	}
	id, secret, basic := v.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if id != p.options.ClientID || !p.options.ClientSecret.Equal(enlace.NewSecret(secret)) {
		return oauthError(http.StatusUnauthorized, "invalid_client")
	}
	switch form.Get("grant_type") {
	case "authorization_code":
		return p.redeemCode(form)
	case "refresh_token":
		return p.redeemRefresh(form.Get("refresh_token"))
	case "client_credentials":
		if p.grants.keyRevoked {
			return oauthError(http.StatusBadRequest, "unauthorized_client")
		}
		return p.tokens(&grant{}, false)
	default:
		return oauthError(http.StatusBadRequest, "unsupported_grant_type")
	}
}

func (p *Provider) redeemCode(form url.Values) answer {
	given, ok := p.grants.codes[form.Get("code")]
	delete(p.grants.codes, form.Get("code"))
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	proof := base64.RawURLEncoding.EncodeToString(sum[:])
	if !ok || time.Now().After(given.expires) || form.Get("redirect_uri") != given.redirect ||
		subtle.ConstantTimeCompare([]byte(proof), []byte(given.challenge)) != 1 {
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	return p.tokens(&grant{}, true)
}

// redeemRefresh trades a refresh token for new tokens, once. Who brings it a
// second time may have stolen it: then the whole grant ends.
func (p *Provider) redeemRefresh(token string) answer {
	r, ok := p.grants.refresh[token]
	if !ok || r.grant.revoked {
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	if r.spent {
		r.grant.revoked = true
		return oauthError(http.StatusBadRequest, "invalid_grant")
	}
	r.spent = true
	p.grants.refresh[token] = r
	return p.tokens(r.grant, true)
}

func (p *Provider) tokens(g *grant, refreshable bool) answer {
	body := map[string]any{"access_token": p.grants.issueAccess(g, p.options.TokenLife), "token_type": "Bearer",
		"expires_in": int(p.options.TokenLife / time.Second), "scope": "crm", "account_id": accountID}
	if refreshable {
		body["refresh_token"] = p.grants.issueRefresh(g)
	}
	p.effects[OpToken]++
	return reply(http.StatusOK, body)
}

func oauthError(status int, code string) answer {
	if code == "" {
		code = "temporarily_unavailable"
	}
	return reply(status, map[string]string{"error": code})
}

// logIn begins a session.
func (p *Provider) logIn(body []byte) answer {
	var login struct {
		User     string        `json:"user"`
		Password enlace.Secret `json:"password"`
	}
	if json.Unmarshal(body, &login) != nil {
		return refuse(http.StatusBadRequest, codeInvalid, "not a login")
	}
	if p.grants.keyRevoked || login.User != "user" || !p.options.Password.Equal(login.Password) {
		return refuse(http.StatusUnauthorized, codeUnauthorized, "wrong user or password")
	}
	p.effects[OpLogin]++
	return reply(http.StatusOK, map[string]any{"token": p.grants.issueAccess(&grant{}, p.options.TokenLife),
		"expires_in": int(p.options.TokenLife / time.Second)})
}
