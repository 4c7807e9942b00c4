package fake

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

// Authorize implements enlace.Authenticator for the session scheme. Before the
// first login it adds nothing: the provider refuses, and enlace logs in.
func (Adapter) Authorize(r *http.Request, c enlace.Credential) error {
	if c.Token != nil {
		r.Header.Set(sessionHeader, c.Token.Access.Reveal())
	}
	return nil
}

// Refresh implements enlace.Authenticator: it logs in.
func (Adapter) Refresh(ctx context.Context, client *http.Client, base *url.URL, c enlace.Credential) (enlace.Credential, error) {
	failed := func(kind error, outcome enlace.Outcome) error {
		return &enlace.Error{Provider: Name, Op: "log in", Kind: kind, Outcome: outcome}
	}
	body, err := json.Marshal(map[string]string{"user": c.Secrets["user"].Reveal(), "password": c.Secrets["password"].Reveal()})
	if err != nil {
		return c, failed(enlace.ErrInvalid, enlace.OutcomeNotRun)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base.ResolveReference(&url.URL{Path: "/session"}).String(), bytes.NewReader(body))
	if err != nil {
		return c, failed(enlace.ErrInvalid, enlace.OutcomeNotRun)
	}
	request.Header.Set("Content-Type", "application/json")
	sent := time.Now()
	resp, err := client.Do(request)
	if err != nil {
		return c, failed(enlace.ErrUnavailable, enlace.OutcomeUnknown)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return c, failed(enlace.ErrUnavailable, enlace.OutcomeUnknown)
	}
	if err := (Adapter{}).Classify(resp.StatusCode, resp.Header, answer); err != nil {
		if errors.Is(err, enlace.ErrDefault) {
			err = enlace.ClassifyHTTP(resp.StatusCode, resp.Header)
		}
		return c, err
	}
	var session struct {
		Token   string `json:"token"`
		Seconds int    `json:"expires_in"`
	}
	if json.Unmarshal(answer, &session) != nil || session.Token == "" {
		return c, failed(enlace.ErrProtocol, enlace.OutcomeRan)
	}
	c.Token = &enlace.Token{Access: enlace.NewSecret(session.Token), Expiry: sent.Add(time.Duration(session.Seconds) * time.Second).UTC()}
	return c, nil
}
