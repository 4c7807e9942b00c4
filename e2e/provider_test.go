package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

// adapter is a provider whose whole API is one address.
type adapter struct{}

const adapterName = "e2e"

func (adapter) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: adapterName, Title: "E2E", BaseURL: "https://e2e.invalid/",
		Auth:     []enlace.AuthScheme{enlace.OAuth2{AuthURL: "{origin}/authorize", TokenURL: "https://e2e.invalid/token"}},
		Entities: []enlace.Entity{{Name: "things", Operations: []enlace.Operation{enlace.OpRead}}}}
}

func (adapter) Pull(ctx context.Context, c *enlace.Conn, _ enlace.PullRequest) (enlace.Page, error) {
	return enlace.Page{Done: true}, c.Do(ctx, enlace.Call{Path: "things"}, nil)
}

// provider has single-use refresh tokens: one that is spent twice revokes the
// whole grant, unless it happens within the reuse window.
type provider struct {
	*httptest.Server
	delay  time.Duration // of the token endpoint, before it answers
	window time.Duration // within which a spent token gives the same answer again

	mu      sync.Mutex
	held    chan struct{} // if not nil: closed when a request has been counted, which is then never answered
	n       int           // tokens given; access-n and refresh-n are the current ones
	spentAt time.Time     // when refresh-(n-1) was spent
	posts   int
	revoked bool
	stale   bool // no access token is good before the next one is issued
}

func newProvider(t *testing.T, delay, window time.Duration) *provider {
	p := &provider{delay: delay, window: window}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /things", p.things)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	given := r.PostFormValue("refresh_token")
	p.mu.Lock()
	p.posts++
	p.stale = false
	switch {
	case p.revoked:
	case given == fmt.Sprintf("refresh-%d", p.n):
		p.n++
		p.spentAt = time.Now()
	case given == fmt.Sprintf("refresh-%d", p.n-1) && time.Since(p.spentAt) < p.window:
	default:
		p.revoked = true
	}
	n, revoked, held := p.n, p.revoked, p.held
	p.held = nil
	p.mu.Unlock()
	if held != nil {
		close(held)
		<-r.Context().Done()
		return
	}
	select {
	case <-time.After(p.delay):
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if revoked {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("access-%d", n),
		"refresh_token": fmt.Sprintf("refresh-%d", n), "expires_in": 3600})
}

func (p *provider) things(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	good := r.Header.Get("Authorization") == fmt.Sprintf("Bearer access-%d", p.n) && !p.revoked && !p.stale
	p.mu.Unlock()
	if !good {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, _ = w.Write([]byte(`{}`))
}

// hold makes the next token request be counted, spent, and never answered; the
// channel is closed when it has arrived.
func (p *provider) hold() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = make(chan struct{})
	return p.held
}

func (p *provider) counts() (posts int, revoked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.posts, p.revoked
}

// current is the credential that the provider would accept, with an access token
// that has expired, or that only looks good.
func (p *provider) current(expiry time.Time) enlace.Credential {
	p.mu.Lock()
	defer p.mu.Unlock()
	return enlace.Credential{Scheme: "oauth2", Token: &enlace.Token{Access: enlace.NewSecret("stale"),
		Refresh: enlace.NewSecret(fmt.Sprintf("refresh-%d", p.n)), Expiry: expiry}}
}
