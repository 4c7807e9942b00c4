package bitrix24_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func TestWebhookAddresses(t *testing.T) {
	const secret = "c4n4ry8x7"
	portal := bitrix24test.New(bitrix24test.Options{WebhookSecret: secret})
	for address, good := range map[string]bool{
		"https://acme.bitrix24.com/rest/1/" + secret + "/":              true,
		"https://acme.bitrix24.com/rest/1/" + secret:                    true,
		" https://acme.bitrix24.com/rest/1/" + secret + "/\n":           true,
		"https://acme.bitrix24.com:8443/rest/1/" + secret + "/":         true,
		"https://acme.bitrix24.com/rest/" + secret + "/":                false, // without its user (sheet, Q32)
		"https://acme.bitrix24.com/rest/x/" + secret + "/":              false,
		"https://acme.bitrix24.com/rest/1/" + secret + "/scope":         false,
		"https://acme.bitrix24.com/rest/1/" + secret + "/?a=b":          false,
		"https://acme.bitrix24.com/rest/1/" + secret + "/#x":            false,
		"https://acme.bitrix24.com/oauth/rest/1/" + secret + "/":        false,
		"https://user:" + secret + "@acme.bitrix24.com/rest/1/x/":       false,
		"acme.bitrix24.com/rest/1/" + secret + "/":                      false,
		"ftp://acme.bitrix24.com/rest/1/" + secret + "/":                false,
		"https:///rest/1/" + secret + "/":                               false,
		"https://acme.bitrix24.com/":                                    false,
		"https://acme.bitrix24.com/rest/1//":                            false,
		"https://acme.bitrix24.com/rest/1/" + secret + "/scope/%zz\x7f": false,
	} {
		h := newHost(t, portal)
		in, err := h.service.Create(t.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Credential: webhook(address)})
		h.note(err)
		if good {
			if err != nil || in.Status != enlace.StatusConnected || strings.Contains(in.BaseURL, "rest") {
				t.Errorf("%q: %+v, %v", address, in, err)
			}
			continue
		}
		v, ok := errors.AsType[*enlace.ValidationError](err)
		if !ok || len(v.Faults) != 1 || v.Faults[0].Field != "url" || !strings.Contains(v.Faults[0].Allowed, "/rest/<user id>/<secret>/") {
			t.Errorf("%q: %v", address, err)
		}
		h.showsNoSecret(secret)
	}
}

// tokensSeen collects the tokens that pass through a transport.
type tokensSeen struct {
	base http.RoundTripper
	mu   sync.Mutex
	all  []string
}

func (s *tokensSeen) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.base.RoundTrip(r)
	if err != nil || !strings.Contains(r.URL.Path, "/oauth/token") {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	var tokens bitrix24test.Tokens
	if json.Unmarshal(body, &tokens) == nil && tokens.AccessToken != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, tokens.AccessToken, tokens.RefreshToken)
	}
	return answer, nil
}

func TestOAuthOverLoopback(t *testing.T) {
	server := bitrix24test.NewServer(bitrix24test.Options{})
	defer server.Close()
	server.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 120})
	h := loopbackHost(t, server)
	browser := &http.Transport{}
	defer browser.CloseIdleConnections()
	in := h.authorize(browser, nil)
	if in.Status != enlace.StatusConnected {
		t.Errorf("status %s", in.Status)
	}
	report, err := h.service.TestConnection(t.Context(), enlace.ConnectionTest{Ref: h.ref})
	if err != nil || !report.OK {
		t.Errorf("%+v, %v", report, err)
	}
	into := newInbox()
	h.syncAll(into, enlace.SyncOptions{})
	if len(into.records) != 120 {
		t.Errorf("%d records", len(into.records))
	}
	conn, err := h.service.Conn(t.Context(), h.ref)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"member_id": server.MemberID(), "user_id": "7", "status": "L", "client_endpoint": server.RESTURL()} {
		if got := conn.Attribute(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	h.showsNoSecret(server.ClientSecret())
}

func TestWebhookOverLoopback(t *testing.T) {
	server := bitrix24test.NewServer(bitrix24test.Options{})
	defer server.Close()
	server.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1_000})
	h := loopbackHost(t, server)
	in, err := h.service.Create(t.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Credential: webhook(server.WebhookURL())})
	if err != nil {
		t.Fatal(err)
	}
	h.ref = in.Ref
	into := newInbox()
	h.syncAll(into, enlace.SyncOptions{})
	if len(into.records) != 1_000 || len(into.twice) > 0 {
		t.Errorf("%d records, %d of them twice", len(into.records), len(into.twice))
	}
	server.Rename()
	_, err = h.sync(into, enlace.SyncOptions{})
	if !errors.Is(err, enlace.ErrMoved) || !strings.Contains(err.Error(), server.Host()) {
		t.Errorf("the portal was renamed: %v", err)
	}
	h.showsNoSecret(secretOf(server.Portal))
}

func TestTokenThatExpiresDuringAWalkIsRefreshedOnce(t *testing.T) {
	for _, lanes := range []string{"1", "10", "50"} {
		bubble(t, "lanes "+lanes, func(t *testing.T) {
			var portal *bitrix24test.Portal
			var mu sync.Mutex
			requests := 0
			portal = busyPortal(bitrix24test.Options{OnRequest: func(bitrix24test.Request) {
				mu.Lock()
				defer mu.Unlock()
				if requests++; requests == 8 { // some are under way already
					portal.ExpireTokens()
				}
			}}, 2_000)
			h := oauthHost(t, portal, map[string]string{"lanes": lanes})
			seen := &tokensSeen{base: portal.Transport()}
			h.config.Transport = seen
			h.restart()
			into := newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			if len(into.records) != 2_000 || len(into.twice) > 0 {
				t.Errorf("%d records, %d of them twice", len(into.records), len(into.twice))
			}
			if stats := portal.Stats(); stats.Refreshes != 1 || stats.Refused == 0 {
				t.Errorf("%d refreshes and %d refusals, want one refresh after a refusal", stats.Refreshes, stats.Refused)
			}
			h.showsNoSecret(append(seen.all, portal.ClientSecret())...)
		})
	}
}

// TestTokenThatDiesInsideABatch has single commands refused for the token.
func TestTokenThatDiesInsideABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := busyPortal(bitrix24test.Options{}, 3_000)
		h := oauthHost(t, portal, nil)
		portal.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: bitrix24test.ExpiredToken, After: 7, Times: 9})
		into := newInbox()
		h.syncAll(into, enlace.SyncOptions{})
		if len(into.records) != 3_000 || len(into.twice) > 0 {
			t.Errorf("%d records, %d of them twice", len(into.records), len(into.twice))
		}
	})
}

func TestShortLivedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := busyPortal(bitrix24test.Options{AccessTTL: 2 * time.Second}, 10_000)
		h := oauthHost(t, portal, map[string]string{"lanes": "4"})
		into := newInbox()
		h.syncAll(into, enlace.SyncOptions{})
		if len(into.records) != 10_000 || len(into.twice) > 0 {
			t.Errorf("%d records, %d of them twice", len(into.records), len(into.twice))
		}
	})
}

func TestAppThatAPersonMustReconnect(t *testing.T) {
	for name, harm := range map[string]func(*bitrix24test.Portal){
		"refresh token revoked": func(p *bitrix24test.Portal) { p.ExpireTokens(); p.RevokeRefreshTokens() },
		"app removed, then the token is refreshed": func(p *bitrix24test.Portal) {
			p.SetInstalled(false)
			p.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: bitrix24test.ExpiredToken, Times: -1})
			time.Sleep(2 * time.Hour)
		},
	} {
		bubble(t, name, func(t *testing.T) {
			portal := busyPortal(bitrix24test.Options{}, 500)
			h := oauthHost(t, portal, nil)
			harm(portal)
			_, err := h.sync(newInbox(), enlace.SyncOptions{})
			if !errors.Is(err, enlace.ErrAuth) {
				t.Fatalf("%v", err)
			}
			in, err := h.service.Get(t.Context(), h.ref)
			if err != nil || in.Status != enlace.StatusNeedsReauth || in.StatusReason == "" {
				t.Errorf("status %s (%s), %v", in.Status, in.StatusReason, err)
			}
			h.showsNoSecret(portal.ClientSecret())
		})
	}
}

func TestUninstalledApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := busyPortal(bitrix24test.Options{}, 500)
		h := oauthHost(t, portal, nil)
		portal.SetInstalled(false)
		_, err := h.sync(newInbox(), enlace.SyncOptions{})
		if !errors.Is(err, enlace.ErrAuth) || errors.Is(err, enlace.ErrTokenExpired) {
			t.Errorf("%v", err)
		}
		if n := portal.Stats().Requests; n > 2 {
			t.Errorf("%d requests; repeating does not help", n)
		}
	})
}

func TestWrongClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := busyPortal(bitrix24test.Options{}, 500)
		h := oauthHost(t, portal, nil)
		portal.ExpireTokens()
		app := h.config.OAuth[bitrix24.Name]
		app.ClientID = "local.nobody" // answered with status 200 (sheet, Q6)
		h.config.OAuth = map[string]enlace.OAuthApp{bitrix24.Name: app}
		h.restart()
		if _, err := h.sync(newInbox(), enlace.SyncOptions{}); !errors.Is(err, enlace.ErrMisconfigured) && !errors.Is(err, enlace.ErrProtocol) {
			t.Errorf("%v", err)
		}
		h.showsNoSecret(portal.ClientSecret())
	})
}
