package zapsign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	accessLife   = time.Hour // of a JWT (sheet 1.3)
	maxLoginBody = 64 << 10
)

// Authorize implements enlace.Authenticator for [SchemeJWT].
func (Adapter) Authorize(r *http.Request, c enlace.Credential) error {
	if c.Token != nil {
		r.Header.Set("Authorization", "Bearer "+c.Token.Access.Reveal())
	}
	return nil
}

// Refresh implements enlace.Authenticator for [SchemeJWT]: POST
// /auth/token-refresh/ with the refresh token, and POST
// /auth/token/{organization_id}/ with the password where there is none or it is
// dead (sheet 1.3). Errors: ErrAuth for a wrong password, ErrRateLimited after
// too many logins.
func (Adapter) Refresh(ctx context.Context, client *http.Client, base *url.URL, c enlace.Credential) (enlace.Credential, error) {
	if c.Token != nil && !c.Token.Refresh.IsZero() {
		token, err := login(ctx, client, base, "auth/token-refresh/", map[string]string{"refresh": c.Token.Refresh.Reveal()})
		if err == nil {
			if token.Refresh.IsZero() {
				token.Refresh = c.Token.Refresh
			}
			c.Token = token
			return c, nil
		}
		if !errors.Is(err, enlace.ErrAuth) {
			return c, err
		}
	}
	at, err := path("auth", "token", c.Secrets["organization_id"].Reveal())
	if err != nil {
		return c, err
	}
	token, err := login(ctx, client, base, at, map[string]string{
		"username": c.Secrets["username"].Reveal(), "password": c.Secrets["password"].Reveal()})
	if err != nil {
		return c, err
	}
	c.Token = token
	return c, nil
}

// login gets an access token for what is in fields.
func login(ctx context.Context, client *http.Client, base *url.URL, at string, fields map[string]string) (*enlace.Token, error) {
	failed := func(kind error, outcome enlace.Outcome) (*enlace.Token, error) {
		return nil, &enlace.Error{Provider: Name, Op: "log in", Kind: kind, Outcome: outcome}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return failed(enlace.ErrInvalid, enlace.OutcomeNotRun)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath(at).String(), bytes.NewReader(body))
	if err != nil {
		return failed(enlace.ErrInvalid, enlace.OutcomeNotRun)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "enlace")
	sent := time.Now()
	answer, err := client.Do(request)
	if err != nil {
		return failed(enlace.ErrUnavailable, enlace.OutcomeUnknown) // without the cause, which holds the address
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxLoginBody))
	if err != nil {
		return failed(enlace.ErrUnavailable, enlace.OutcomeUnknown)
	}
	if err := (Adapter{}).Classify(answer.StatusCode, answer.Header, text); err != nil {
		if e, ok := errors.AsType[*enlace.Error](err); ok {
			e.Provider, e.Op = Name, "log in"
			if errors.Is(e.Kind, enlace.ErrTokenExpired) || errors.Is(e.Kind, enlace.ErrForbidden) {
				e.Kind = enlace.ErrAuth
			}
		}
		return nil, err
	}
	var tokens struct{ Access, Refresh string }
	if json.Unmarshal(text, &tokens) != nil || tokens.Access == "" {
		return failed(enlace.ErrProtocol, enlace.OutcomeRan)
	}
	return &enlace.Token{Access: enlace.NewSecret(tokens.Access), Refresh: enlace.NewSecret(tokens.Refresh),
		Issued: sent.UTC(), Expiry: sent.Add(accessLife).UTC()}, nil
}
