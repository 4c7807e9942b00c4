package enlace

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/enlace-go/enlace/internal/redact"
	"github.com/enlace-go/enlace/internal/seal"
)

// stateLife is how long a user may take at the provider's consent page.
const stateLife = 10 * time.Minute

// BeginAuth starts the authorization code flow of an integration and returns the
// address to send the user's browser to. redirectURL is where the provider sends
// it back, as registered with it; give the query of that request to CompleteAuth.
// A second BeginAuth for the integration ends the first one. See [Service.AuthHandler]
// for both halves as an http.Handler.
//
// Errors: ErrNotFound, ErrUnsupported (no OAuth2 scheme), [*ValidationError]
// (no client id, or a setting that the address needs), ErrStore.
func (s *Service) BeginAuth(ctx context.Context, ref Ref, redirectURL string) (string, error) {
	return s.beginAuth(ctx, pendingAuth{Ref: ref, Redirect: redirectURL})
}

// beginAuth fills in the rest of p, keeps what must not travel, and makes the address.
func (s *Service) beginAuth(ctx context.Context, p pendingAuth) (string, error) {
	flow, err := s.codeFlow(ctx, p.Ref, p.Redirect)
	if err != nil {
		return "", err
	}
	p.Nonce, p.Expires = rand.Text(), time.Now().Add(stateLife)
	kept := Credential{Scheme: "oauth-state", Secrets: map[string]Secret{"nonce": NewSecret(p.Nonce)}}
	var options []oauth2.AuthCodeOption
	if flow.scheme.PKCE {
		verifier := oauth2.GenerateVerifier()
		kept.Secrets["verifier"] = NewSecret(verifier)
		options = append(options, oauth2.S256ChallengeOption(verifier))
	}
	if err := s.announce(ctx, audit("integration.authorize", p.Ref)); err != nil {
		return "", err
	}
	if err := s.safe.Put(ctx, flow.statePlace(), kept); err != nil {
		return "", err
	}
	state, err := s.sealState(ctx, p)
	if err != nil {
		return "", err
	}
	return flow.config.AuthCodeURL(state, options...), nil
}

// CompleteAuth ends the flow that BeginAuth began: it redeems the code, seals the
// tokens and connects the integration, which stays the same one when it is
// connected again. query is that of the request to the redirect address. A state
// works once. Errors: ErrInvalid (a state that is not ours, was used, or is older
// than ten minutes), ErrAuth (the user or the provider refused), ErrMisconfigured,
// ErrUnavailable, ErrStore.
func (s *Service) CompleteAuth(ctx context.Context, query url.Values) (Integration, error) {
	p, err := s.openState(ctx, query.Get("state"))
	if err != nil {
		return Integration{}, err
	}
	if p.Browser != "" {
		return Integration{}, errState() // it belongs to AuthHandler, which knows the browser
	}
	return s.completeAuth(ctx, p, query)
}

func (s *Service) completeAuth(ctx context.Context, p pendingAuth, query url.Values) (Integration, error) {
	in, err := s.redeemAuth(ctx, p, query)
	if err != nil {
		s.auditFailure(ctx, audit("integration.authorize", p.Ref), err)
	}
	return in, err
}

func (s *Service) redeemAuth(ctx context.Context, p pendingAuth, query url.Values) (Integration, error) {
	flow, err := s.codeFlow(ctx, p.Ref, p.Redirect)
	if err != nil {
		return Integration{}, err
	}
	verifier, err := s.claimState(ctx, flow, p)
	if err != nil {
		return Integration{}, err
	}
	if code := query.Get("error"); code != "" || query.Get("code") == "" {
		return Integration{}, &Error{Provider: flow.provider, Op: "authorize", Kind: ErrAuth, Outcome: OutcomeRan, Code: redact.Text(code)}
	}
	var options []oauth2.AuthCodeOption
	if !verifier.IsZero() {
		options = append(options, oauth2.VerifierOption(verifier.Reveal()))
	}
	sent := time.Now()
	answer, err := flow.config.Exchange(s.tokenContext(ctx), query.Get("code"), options...)
	if err != nil {
		return Integration{}, tokenError(flow.provider, "exchange code", err, flow.config.ClientSecret, query.Get("code"))
	}
	cred := flow.ownApp()
	cred.Token, cred.Attributes = newToken(answer, sent, flow.scheme.Life, nil), attributes(answer, flow.scheme.Attributes, cred.Attributes)
	in, err := s.Connect(ctx, p.Ref, cred)
	if missing := missingScopes(flow.scheme.Scopes, cred.Token.Scopes); err == nil && len(missing) > 0 {
		return s.change(ctx, p.Ref, "status", func(in *Integration) { in.StatusReason = "not granted: " + strings.Join(missing, ", ") })
	}
	return in, err
}

// claimState uses up what BeginAuth kept, and returns the code verifier.
func (s *Service) claimState(ctx context.Context, flow codeFlow, p pendingAuth) (Secret, error) {
	var verifier Secret
	err := s.safe.Update(ctx, flow.statePlace(), func(_ context.Context, kept Credential, _ bool) (Credential, bool, error) {
		if !kept.Secrets["nonce"].Equal(NewSecret(p.Nonce)) {
			return kept, false, errState()
		}
		verifier = kept.Secrets["verifier"]
		return Credential{Scheme: kept.Scheme}, true, nil
	})
	if errors.Is(err, ErrNoCredential) || errors.Is(err, ErrKey) {
		return Secret{}, errState()
	}
	return verifier, err
}

// missingScopes lists what was asked for and not granted. A provider that does
// not say what it granted is believed to have granted all.
func missingScopes(asked, granted []string) []string {
	if len(granted) == 0 {
		return nil
	}
	var missing []string
	for _, scope := range asked {
		if !slices.Contains(granted, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// ValidCredential returns the credential of an integration, refreshed if its
// token has expired, for handing it to another SDK. Treat it as what it is: the
// secrets are in it. That it was given out stands in the audit trail, once a minute
// for the same actor. Errors: those of Conn, and ErrAuth if only a person can help.
func (s *Service) ValidCredential(ctx context.Context, ref Ref) (Credential, error) {
	c, err := s.Conn(ctx, ref)
	if err != nil {
		return Credential{}, err
	}
	if err := c.refreshIfExpired(ctx); err != nil {
		return Credential{}, c.failure("refresh", err)
	}
	if err := s.auditReveal(ctx, ref); err != nil {
		return Credential{}, err
	}
	return *c.credential.Load(), nil
}

// codeFlow is what the two halves of the authorization code flow need.
type codeFlow struct {
	provider   string
	place      Place
	scheme     OAuth2
	config     oauth2.Config
	credential Credential // as stored; empty if there is none yet
}

func (s *Service) codeFlow(ctx context.Context, ref Ref, redirectURL string) (codeFlow, error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return codeFlow{}, err
	}
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil {
		return codeFlow{}, err
	}
	d := adapter.Describe()
	flow := codeFlow{provider: d.Name, place: place(in)}
	if flow.scheme, err = codeScheme(d); err != nil {
		return codeFlow{}, err
	}
	flow.credential, err = s.safe.Get(ctx, place(in))
	if err != nil && !errors.Is(err, ErrNoCredential) && !errors.Is(err, ErrKey) {
		return codeFlow{}, err
	}
	values, err := resolveSettings(d, in.Settings)
	if err != nil {
		return codeFlow{}, err
	}
	base, err := baseURL(d, values, flow.scheme, &flow.credential)
	if err != nil {
		return codeFlow{}, err
	}
	flow.config, err = s.oauthConfig(d, flow.scheme, values, base, flow.credential)
	if !flow.scheme.FixedRedirect {
		flow.config.RedirectURL = redirectURL
	}
	return flow, err
}

// statePlace is where a flow keeps what must not travel through the browser.
func (f codeFlow) statePlace() Place {
	p := f.place
	p.Name = stateName
	return p
}

// stateName is the name of the stored half of an authorization under way.
const stateName = "authorization"

// ownApp is a credential of the flow's scheme that keeps the account's own app
// and webhook secrets, and nothing of another scheme.
func (f codeFlow) ownApp() Credential {
	cred := Credential{Scheme: f.scheme.Scheme(), Attributes: f.credential.Attributes, WebhookSecrets: f.credential.WebhookSecrets}
	for _, field := range f.scheme.SecretFields() {
		if secret := f.credential.Secrets[field.Name]; !secret.IsZero() {
			if cred.Secrets == nil {
				cred.Secrets = map[string]Secret{}
			}
			cred.Secrets[field.Name] = secret
		}
	}
	return cred
}

func codeScheme(d Descriptor) (OAuth2, error) {
	for _, s := range d.Auth {
		if scheme, ok := s.(OAuth2); ok {
			return scheme, nil
		}
	}
	return OAuth2{}, &Error{Provider: d.Name, Op: "authorize", Kind: ErrUnsupported, Message: "the adapter has no OAuth2 scheme"}
}

// oauthConfig fills in a scheme with the client of the credential, or else of the host.
func (s *Service) oauthConfig(d Descriptor, scheme OAuth2, values settings, base *url.URL, cred Credential) (oauth2.Config, error) {
	app := s.config.OAuth[d.Name]
	config := oauth2.Config{ClientID: app.ClientID, ClientSecret: app.ClientSecret.Reveal(), Scopes: scheme.Scopes}
	if id := cred.Secrets["client_id"]; !id.IsZero() {
		config.ClientID, config.ClientSecret = id.Reveal(), cred.Secrets["client_secret"].Reveal()
	}
	if own := !cred.Secrets["client_id"].IsZero(); !own && app.TokenURL == "" && d.followsSettings(scheme.TokenURL) {
		// Whoever may edit settings would choose where the host's own secret goes.
		return config, &ValidationError{Faults: []Fault{{Field: "TokenURL", Problem: "the token endpoint follows the integration's settings",
			Allowed: "Config.OAuth[" + d.Name + "] with a TokenURL of its own, or an app of the account's own"}}}
	}
	if config.ClientID == "" || config.ClientSecret == "" {
		return config, &ValidationError{Faults: []Fault{{Field: "client_id", Problem: "no client id or secret",
			Allowed: "Config.OAuth[" + d.Name + "], or the credential's own client_id and client_secret"}}}
	}
	filled := d.placeholders(values)
	filled["origin"] = base.Scheme + "://" + base.Host
	var err error
	if config.Endpoint.AuthURL, err = expand(orDefault(app.AuthURL, scheme.AuthURL), filled); err != nil {
		return config, err
	}
	if config.Endpoint.TokenURL, err = expand(orDefault(app.TokenURL, scheme.TokenURL), filled); err != nil {
		return config, err
	}
	config.Endpoint.AuthStyle = authStyle(scheme.BasicClientAuth)
	return config, nil
}

// authStyle is never automatic: x/oauth2 finds the style out by sending twice,
// which spends a single-use refresh token.
func authStyle(basic bool) oauth2.AuthStyle {
	if basic {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// pendingAuth travels through the browser as the sealed state parameter.
type pendingAuth struct {
	Ref      Ref       `json:"ref"`
	Redirect string    `json:"redirect"`
	Nonce    string    `json:"nonce"`
	Browser  string    `json:"browser,omitempty"` // hash of the cookie of the browser that began
	Return   string    `json:"return,omitempty"`  // local path to go to at the end
	Expires  time.Time `json:"expires"`
}

func errState() error {
	return &ValidationError{Faults: []Fault{{Field: "state", Problem: "not ours, used or too old",
		Allowed: "the state of a flow that was begun within ten minutes, once"}}}
}

func (s *Service) sealState(ctx context.Context, p pendingAuth) (string, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	key, err := s.config.Keys.Primary(ctx)
	if err != nil {
		return "", err
	}
	sealed, err := seal.Seal(key.key, seal.PurposeState, seal.Context{Kind: "state"}, plain)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (s *Service) openState(ctx context.Context, text string) (pendingAuth, error) {
	var p pendingAuth
	if len(text) > 8192 {
		return p, errState()
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return p, errState()
	}
	plain, err := openSealed(ctx, s.config.Keys, seal.PurposeState, seal.Context{Kind: "state"}, sealed)
	if err != nil || json.Unmarshal(plain, &p) != nil || time.Now().After(p.Expires) {
		return pendingAuth{}, errState()
	}
	return p, nil
}
