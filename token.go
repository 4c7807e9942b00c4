package enlace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/enlace-go/enlace/internal/guard"
	"github.com/enlace-go/enlace/internal/redact"
)

const (
	tokenTimeout   = 10 * time.Second // one request to a token endpoint
	tokenBodyLimit = 1 << 20
	defaultLife    = time.Hour // of an access token whose answer does not say
)

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
			return cur, tokenError(c.provider, "refresh", err, append(cur.all(), config.ClientSecret)...)
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
			return cur, tokenError(c.provider, "get token", err, append(cur.all(), config.ClientSecret)...)
		}
		cur.Token = newToken(answer, sent, scheme.Life, nil)
		return cur, nil
	default:
		a, ok := As[Authenticator](c.adapter)
		if !ok {
			return cur, &Error{Provider: c.provider, Op: "refresh", Kind: ErrAuth, Outcome: OutcomeNotRun}
		}
		next, err := a.Refresh(ctx, c.service.logins, c.base, cur)
		if err != nil && KindLabel(err) == "other" {
			err = &Error{Provider: c.provider, Op: "refresh", Kind: ErrUnavailable, Err: redact.Error(err, "")}
		}
		return next, err
	}
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
	t.Issued, t.Expiry = sent.UTC(), sent.Add(life).UTC()
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
	if errors.Is(err, errTokenAnswer) {
		out.Kind = ErrProtocol
		return out
	}
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		out.Err = redact.Error(err, "")
		dial, never := errors.AsType[*net.OpError](err)
		switch {
		case errors.Is(err, guard.ErrBlocked):
			out.Kind, out.Outcome = ErrBlocked, OutcomeNotRun
		case never && dial.Op == "dial":
			out.Outcome = OutcomeNotRun
		case contextError(err):
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

// newTokenClient returns a client for token endpoints: one request, no
// redirects, bounded in time and bytes. Successful answers go through check; nil
// takes them as they are.
func newTokenClient(base http.RoundTripper, check func(body []byte) ([]byte, error)) *http.Client {
	return &http.Client{
		Transport:     tokenTransport{base, check},
		Timeout:       tokenTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// tokenTransport reads the whole answer of a token endpoint, within bounds.
type tokenTransport struct {
	base  http.RoundTripper
	check func(body []byte) ([]byte, error)
}

// RoundTrip implements http.RoundTripper.
func (t tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
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
	if t.check != nil && resp.StatusCode < 300 {
		if body, err = t.check(body); err != nil {
			return nil, err
		}
		resp.Header.Set("Content-Type", "application/json") // or x/oauth2 reads JSON sent as text/plain as a form
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// errTokenAnswer: whether the request took effect cannot be told from the answer.
var errTokenAnswer = errors.New("the answer of the token endpoint is not a JSON object with an access token or an error")

// checkTokenAnswer refuses what is no token answer, before x/oauth2 finds its own
// words for it, and makes expires_in a positive whole number or leaves it out:
// x/oauth2 would reject a fraction, with the refresh token already spent, and
// would take zero or null for a token that never expires.
func checkTokenAnswer(body []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return nil, errTokenAnswer
	}
	var token, problem string
	_ = json.Unmarshal(fields["access_token"], &token)
	_ = json.Unmarshal(fields["error"], &problem)
	if token == "" && problem == "" {
		return nil, errTokenAnswer
	}
	raw, ok := fields["expires_in"]
	if !ok {
		return body, nil
	}
	const tooLong = 10 * 365 * 24 * 3600 // seconds; beyond it a number is a mistake
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || !(seconds >= 1 && seconds <= tooLong) {
		delete(fields, "expires_in")
	} else {
		fields["expires_in"] = json.RawMessage(strconv.FormatInt(int64(seconds), 10))
	}
	return json.Marshal(fields)
}
