package enlace

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/enlace-go/enlace/internal/redact"
	"github.com/enlace-go/enlace/internal/seal"
)

const (
	tokenTimeout   = 10 * time.Second // one request to a token endpoint
	refreshTimeout = 30 * time.Second // a refresh with the wait for others that are at it
	tokenBodyLimit = 1 << 20
	stateLife      = 10 * time.Minute
	defaultLife    = time.Hour // of an access token whose answer does not say
)

// BeginAuth starts the authorization code flow of an integration and returns the
// address to send the user's browser to. redirectURL is where the provider sends
// it back, as registered with it; give the query of that request to CompleteAuth.
// Errors: ErrNotFound, ErrUnsupported (no OAuth2 scheme), [*ValidationError]
// (no client id, or a setting that the address needs).
func (s *Service) BeginAuth(ctx context.Context, ref Ref, redirectURL string) (string, error) {
	flow, err := s.codeFlow(ctx, ref, redirectURL)
	if err != nil {
		return "", err
	}
	pending := pendingAuth{Ref: ref, Scheme: flow.scheme.Scheme(), Redirect: redirectURL, Expires: time.Now().Add(stateLife)}
	var options []oauth2.AuthCodeOption
	if flow.scheme.PKCE {
		pending.Verifier = oauth2.GenerateVerifier()
		options = append(options, oauth2.S256ChallengeOption(pending.Verifier))
	}
	state, err := s.sealState(ctx, pending)
	if err != nil {
		return "", err
	}
	return flow.config.AuthCodeURL(state, options...), nil
}

// CompleteAuth ends the flow that BeginAuth began: it redeems the code, seals the
// tokens and connects the integration. query is that of the request to the
// redirect address. Errors: ErrInvalid (a state that is not ours, or is older
// than ten minutes), ErrAuth (the user or the provider refused), ErrMisconfigured,
// ErrUnavailable, ErrStore.
func (s *Service) CompleteAuth(ctx context.Context, query url.Values) (Integration, error) {
	pending, err := s.openState(ctx, query.Get("state"))
	if err != nil {
		return Integration{}, err
	}
	flow, err := s.codeFlow(ctx, pending.Ref, pending.Redirect)
	if err != nil {
		return Integration{}, err
	}
	if code := query.Get("error"); code != "" || query.Get("code") == "" {
		return Integration{}, &Error{Provider: flow.provider, Op: "authorize", Kind: ErrAuth, Code: redact.Text(code)}
	}
	var options []oauth2.AuthCodeOption
	if pending.Verifier != "" {
		options = append(options, oauth2.VerifierOption(pending.Verifier))
	}
	sent := time.Now()
	answer, err := flow.config.Exchange(s.tokenContext(ctx), query.Get("code"), options...)
	if err != nil {
		return Integration{}, tokenError(flow.provider, "exchange code", err, flow.config.ClientSecret, query.Get("code"))
	}
	cred := flow.credential
	cred.Scheme = flow.scheme.Scheme()
	cred.Token, cred.Attributes = newToken(answer, sent, flow.scheme.Life, nil), attributes(answer, flow.scheme.Attributes, cred.Attributes)
	return s.Connect(ctx, pending.Ref, cred)
}

// ValidCredential returns the credential of an integration, refreshed if its
// token has expired, for handing it to another SDK. Treat it as what it is: the
// secrets are in it. Errors: those of Conn, and ErrAuth if only a person can help.
func (s *Service) ValidCredential(ctx context.Context, ref Ref) (Credential, error) {
	c, err := s.Conn(ctx, ref)
	if err != nil {
		return Credential{}, err
	}
	if err := c.refreshIfExpired(ctx); err != nil {
		return Credential{}, c.failure("refresh", err)
	}
	return *c.credential.Load(), nil
}

// codeFlow is what the two halves of the authorization code flow need.
type codeFlow struct {
	provider   string
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
	flow := codeFlow{provider: d.Name}
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
	if config.ClientID == "" || config.ClientSecret == "" {
		return config, &ValidationError{Faults: []Fault{{Field: "client_id", Problem: "no client id or secret",
			Allowed: "Config.OAuth[" + d.Name + "], or the credential's own client_id and client_secret"}}}
	}
	filled := maps.Clone(values)
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

// authorize adds the account's proof to one attempt of a request.
func (c *Conn) authorize(ctx context.Context, r *http.Request) error {
	cred := c.credential.Load()
	switch scheme := c.scheme.(type) {
	case APIKey:
		return scheme.Place.put(r, cred.Secrets["api_key"])
	case Basic:
		r.SetBasicAuth(cred.Secrets["username"].Reveal(), cred.Secrets["password"].Reveal())
	case OAuth2:
		return c.putToken(ctx, r, scheme.Place, cred)
	case ClientCredentials:
		return c.putToken(ctx, r, scheme.Place, cred)
	case CustomAuth:
		if a, ok := As[Authenticator](c.adapter); ok {
			return a.Authorize(r, *cred)
		}
		return &Error{Op: "authorize", Kind: ErrUnsupported, Outcome: OutcomeNotRun, Message: "the adapter has no Authenticator"}
	}
	return nil
}

// sentToken remembers which token the last attempt of a Send carried, so that a
// refusal is held against that token and not against a newer one.
type sentToken struct{ access Secret }

type sentTokenKey struct{}

func (c *Conn) putToken(ctx context.Context, r *http.Request, p Placement, cred *Credential) error {
	if cred.Token == nil {
		return &Error{Op: "authorize", Kind: ErrNoCredential, Outcome: OutcomeNotRun}
	}
	if sent, ok := ctx.Value(sentTokenKey{}).(*sentToken); ok {
		sent.access = cred.Token.Access
	}
	if p == (Placement{}) {
		p = BearerHeader()
	}
	return p.put(r, cred.Token.Access)
}

// refreshable says whether a refused token can be replaced without a person.
func (c *Conn) refreshable() bool {
	switch c.scheme.(type) {
	case OAuth2:
		t := c.credential.Load().Token
		return c.stored && t != nil && !t.Refresh.IsZero()
	case ClientCredentials:
		return true
	case CustomAuth:
		_, ok := As[Authenticator](c.adapter)
		return ok && c.stored
	default:
		return false
	}
}

// reauthorize replaces the token that the provider has just refused.
func (c *Conn) reauthorize(ctx context.Context) error {
	sent, _ := ctx.Value(sentTokenKey{}).(*sentToken)
	if sent == nil {
		return c.refresh(ctx, Secret{})
	}
	return c.refresh(ctx, sent.access)
}

// refreshIfExpired replaces a token that is known to be dead, or missing where
// none needs a person to get one.
func (c *Conn) refreshIfExpired(ctx context.Context) error {
	if !c.refreshable() {
		return nil
	}
	t := c.credential.Load().Token
	if t == nil {
		if _, custom := c.scheme.(CustomAuth); custom {
			return nil
		}
		return c.refresh(ctx, Secret{})
	}
	if t.Expiry.IsZero() || time.Now().Before(t.Expiry) {
		return nil
	}
	return c.refresh(ctx, t.Access)
}

// refresh makes sure that the credential in use is another than the rejected
// one. Whoever comes while a refresh is under way, in this process or another,
// gets its result instead of spending the refresh token again.
func (c *Conn) refresh(ctx context.Context, rejected Secret) error {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	if t := c.credential.Load().Token; t != nil && !rejected.IsZero() && !t.Access.Equal(rejected) {
		return nil
	}
	// The refresh outlives the caller: what it spends must be saved.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()
	if !c.stored {
		next, err := c.fetch(ctx, *c.credential.Load())
		if err == nil {
			c.credential.Store(&next)
		}
		return err
	}
	err := c.service.safe.Update(ctx, place(c.integration), func(ctx context.Context, cur Credential, interrupted bool) (Credential, bool, error) {
		if c.fresh(cur, rejected) {
			c.credential.Store(&cur)
			return cur, false, nil
		}
		next, err := c.fetch(ctx, cur)
		if err == nil {
			// Used only once Update has saved it; see below.
			return next, true, nil
		}
		if e, ok := errors.AsType[*Error](err); ok && interrupted && errors.Is(e.Kind, ErrAuth) {
			e.Message = "an earlier refresh was interrupted before its result was saved"
		}
		return cur, false, err
	})
	if err == nil {
		err = c.reload(ctx)
	}
	c.afterRefresh(ctx, err)
	return err
}

// fresh says whether a stored credential is better than the rejected one.
func (c *Conn) fresh(cur Credential, rejected Secret) bool {
	if cur.Token == nil || cur.Token.Access.Equal(rejected) {
		return false
	}
	if _, custom := c.scheme.(CustomAuth); custom && rejected.IsZero() {
		return false
	}
	return cur.Token.Expiry.IsZero() || time.Now().Before(cur.Token.Expiry)
}

// reload takes the saved credential into use.
func (c *Conn) reload(ctx context.Context) error {
	cred, err := c.service.safe.Get(ctx, place(c.integration))
	if err == nil {
		c.credential.Store(&cred)
	}
	return err
}

// fetch makes the one request that gets a fresh token.
func (c *Conn) fetch(ctx context.Context, cur Credential) (Credential, error) {
	sent := time.Now()
	switch scheme := c.scheme.(type) {
	case OAuth2:
		if cur.Token == nil || cur.Token.Refresh.IsZero() {
			return cur, &Error{Provider: c.provider, Op: "refresh", Kind: ErrAuth, Outcome: OutcomeNotRun, Message: "there is no refresh token"}
		}
		config, err := c.service.oauthConfig(c.descriptor, scheme, c.settings, c.base, cur)
		if err != nil {
			return cur, err
		}
		spent := cur.Token.Refresh.Reveal()
		answer, err := config.TokenSource(c.service.tokenContext(ctx), &oauth2.Token{RefreshToken: spent}).Token()
		if err != nil {
			return cur, tokenError(c.provider, "refresh", err, cur.all()...)
		}
		cur.Token = newToken(answer, sent, scheme.Life, cur.Token)
		cur.Attributes = attributes(answer, scheme.Attributes, cur.Attributes)
		return cur, nil
	case ClientCredentials:
		config, err := c.service.oauthConfig(c.descriptor, OAuth2{TokenURL: scheme.TokenURL}, c.settings, c.base, cur)
		if err != nil {
			return cur, err
		}
		grant := clientcredentials.Config{ClientID: config.ClientID, ClientSecret: config.ClientSecret,
			TokenURL: config.Endpoint.TokenURL, Scopes: scheme.Scopes, AuthStyle: authStyle(scheme.BasicClientAuth)}
		answer, err := grant.Token(c.service.tokenContext(ctx))
		if err != nil {
			return cur, tokenError(c.provider, "get token", err, cur.all()...)
		}
		cur.Token = newToken(answer, sent, scheme.Life, nil)
		return cur, nil
	default:
		a, ok := As[Authenticator](c.adapter)
		if !ok {
			return cur, &Error{Provider: c.provider, Op: "refresh", Kind: ErrAuth, Outcome: OutcomeNotRun}
		}
		next, err := a.Refresh(ctx, c.service.tokens, cur)
		if err != nil && KindLabel(err) == "other" {
			err = &Error{Provider: c.provider, Op: "refresh", Kind: ErrUnavailable, Err: redact.Error(err, "")}
		}
		return next, err
	}
}

// afterRefresh tells the observer, and the integration's status if a person must act.
func (c *Conn) afterRefresh(ctx context.Context, err error) {
	c.service.observe(ctx, CredentialChanged{Ref: c.integration.Ref, Provider: c.provider, Action: "refresh", Kind: KindLabel(err)})
	status, reason := StatusConnected, ""
	if errors.Is(err, ErrAuth) {
		status, reason = StatusNeedsReauth, "the provider refused to refresh the token"
		if e, ok := errors.AsType[*Error](err); ok && e.Message != "" {
			reason = redact.Text(c.redactor().String(e.Message))
		}
	} else if err != nil {
		return
	}
	if status == c.integration.Status {
		return
	}
	if _, err := c.service.change(ctx, c.integration.Ref, "status", func(in *Integration) { in.Status, in.StatusReason = status, reason }); err != nil {
		c.Logger().Warn("integration status not saved", "status", string(status), "error", err)
	}
}

// pendingAuth travels through the browser as the sealed state parameter.
type pendingAuth struct {
	Ref      Ref       `json:"ref"`
	Scheme   string    `json:"scheme"`
	Redirect string    `json:"redirect"`
	Verifier string    `json:"verifier,omitempty"`
	Expires  time.Time `json:"expires"`
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
	refused := &ValidationError{Faults: []Fault{{Field: "state", Problem: "not ours or too old", Allowed: "the state of a flow begun within ten minutes"}}}
	if len(text) > 8192 {
		return p, refused
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return p, refused
	}
	plain, err := openSealed(ctx, s.config.Keys, seal.PurposeState, seal.Context{Kind: "state"}, sealed)
	if err != nil || json.Unmarshal(plain, &p) != nil || time.Now().After(p.Expires) {
		return pendingAuth{}, refused
	}
	return p, nil
}

// newToken reads a token answer. What it leaves out is taken from old, which may
// be nil: a provider that does not rotate sends no new refresh token.
func newToken(answer *oauth2.Token, sent time.Time, life time.Duration, old *Token) *Token {
	t := &Token{Access: NewSecret(answer.AccessToken), Refresh: NewSecret(answer.RefreshToken), Type: answer.TokenType}
	if life <= 0 {
		life = defaultLife
	}
	if seconds, ok := answer.Extra("expires_in").(float64); ok {
		life = time.Duration(seconds) * time.Second
	}
	t.Expiry = sent.Add(life).UTC()
	if scope, ok := answer.Extra("scope").(string); ok {
		t.Scopes = strings.FieldsFunc(scope, func(r rune) bool { return r == ' ' || r == ',' })
	}
	if old != nil {
		if t.Refresh.IsZero() {
			t.Refresh = old.Refresh
		}
		if t.Scopes == nil {
			t.Scopes = old.Scopes
		}
	}
	return t
}

// attributes picks the named fields of a token answer; those it lacks stay as they were.
func attributes(answer *oauth2.Token, names []string, old map[string]string) map[string]string {
	kept := maps.Clone(old)
	for _, name := range names {
		var text string
		switch v := answer.Extra(name).(type) {
		case string:
			text = v
		case float64:
			text = strconv.FormatFloat(v, 'f', -1, 64)
		}
		if text == "" || len(text) > 1000 {
			continue
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[name] = text
	}
	return kept
}

// tokenError classifies what a token endpoint answered. The error's text is
// redacted here, because x/oauth2 puts the whole body into its own.
func tokenError(provider, op string, err error, secrets ...string) error {
	out := &Error{Provider: provider, Op: op, Kind: ErrUnavailable}
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		if strings.Contains(err.Error(), "missing access_token") { // x/oauth2 has no type for it
			out.Kind, out.Outcome = ErrProtocol, OutcomeRan
			return out
		}
		out.Err = redact.Error(err, "")
		if contextError(err) {
			out.Message = "no answer in time"
		}
		return out
	}
	clean := redact.New(secrets...)
	out.Status = answer.Response.StatusCode
	out.Code, out.Message = redact.Text(clean.String(answer.ErrorCode)), redact.Text(clean.String(answer.ErrorDescription))
	switch strings.ToLower(answer.ErrorCode) {
	case "invalid_client", "unauthorized_client", "wrong_client":
		out.Kind, out.Outcome = ErrMisconfigured, OutcomeNotRun
	case "invalid_grant", "bad_verification_code", "expired_token":
		out.Kind, out.Outcome = ErrAuth, OutcomeRan
	default:
		classified, ok := errors.AsType[*Error](ClassifyHTTP(out.Status, answer.Response.Header))
		switch {
		case !ok: // an error with status 200
			out.Kind, out.Outcome = ErrAuth, OutcomeRan
		case errors.Is(classified.Kind, ErrInvalid), errors.Is(classified.Kind, ErrForbidden), errors.Is(classified.Kind, ErrTokenExpired):
			out.Kind, out.Outcome = ErrAuth, OutcomeRan
		default:
			out.Kind, out.Outcome, out.Retry = classified.Kind, classified.Outcome, classified.Retry
		}
	}
	return out
}

func (s *Service) tokenContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, s.tokens)
}

// newTokenClient returns the client for token endpoints: one request, no
// redirects, bounded in time and bytes.
func newTokenClient(base http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     lenientTokens{base},
		Timeout:       tokenTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// lenientTokens makes expires_in a positive whole number or leaves it out.
// x/oauth2 would reject a fraction, with the refresh token already spent, and
// would take zero or null for a token that never expires.
type lenientTokens struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t lenientTokens) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, tokenBodyLimit+1))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if len(body) > tokenBodyLimit {
		return nil, errors.New("the token endpoint's answer is larger than 1 MiB")
	}
	body = normalizeExpiry(body)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return resp, nil
}

func normalizeExpiry(body []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return body
	}
	raw, ok := fields["expires_in"]
	if !ok {
		return body
	}
	const tooLong = 10 * 365 * 24 * 3600 // seconds; beyond it a number is a mistake
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || !(seconds >= 1 && seconds <= tooLong) {
		delete(fields, "expires_in")
	} else {
		fields["expires_in"] = json.RawMessage(strconv.FormatInt(int64(seconds), 10))
	}
	normal, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return normal
}
