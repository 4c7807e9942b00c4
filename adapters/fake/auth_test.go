package fake_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

// expiring are the schemes whose tokens expire.
func expiring(p *fake.Provider) map[string]enlace.Credential {
	return map[string]enlace.Credential{"oauth": p.OAuth2(), "client": p.ClientCredentials(), "session": p.Session()}
}

func TestTokenRefusedInTheMiddleOfASync(t *testing.T) {
	for scheme := range expiring(fake.New(fake.Options{})) {
		t.Run(scheme, func(t *testing.T) {
			p := fake.New(fake.Options{PageSize: 10})
			p.Seed("contacts", 30)
			h := newHost(t, p, expiring(p)[scheme])
			pages, issued := 0, 0
			h.accept = func(enlace.Batch) error {
				if pages++; pages == 2 {
					p.ExpireTokens()
					issued = p.Effects(fake.OpToken) + p.Effects(fake.OpLogin)
				}
				return nil
			}
			if read := h.mustSync("contacts"); read != 30 {
				t.Errorf("%d read, want 30", read)
			}
			if n := p.Effects(fake.OpToken) + p.Effects(fake.OpLogin) - issued; n != 1 {
				t.Errorf("%d tokens issued after the expiry, want 1", n)
			}
		})
	}
}

func TestTokenExpiresByTime(t *testing.T) {
	for scheme := range expiring(fake.New(fake.Options{})) {
		t.Run(scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := fake.New(fake.Options{PageSize: 10, TokenLife: 10 * time.Minute, ClockSkew: 24 * time.Hour})
				p.Seed("contacts", 30)
				h := newHost(t, p, expiring(p)[scheme])
				h.accept = func(enlace.Batch) error { time.Sleep(11 * time.Minute); return nil }
				h.mustSync("contacts")
				h.mustSync("contacts")
				in, err := h.service.Get(t.Context(), h.ref)
				if err != nil || in.Status != enlace.StatusConnected {
					t.Errorf("status %s, %v", in.Status, err)
				}
			})
		})
	}
}

// The provider refuses an old token also if the host does not know its age.
func TestTokenOfUnknownAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fake.New(fake.Options{TokenLife: time.Minute})
		credential := p.OAuth2()
		credential.Token.Expiry = time.Time{}
		h := newHost(t, p, credential)
		time.Sleep(time.Minute)
		h.mustSync("contacts")
		if n := p.Effects(fake.OpToken); n != 1 {
			t.Errorf("%d tokens issued, want 1", n)
		}
	})
}

func TestRevokedAccess(t *testing.T) {
	for scheme := range expiring(fake.New(fake.Options{})) {
		t.Run(scheme, func(t *testing.T) {
			p := fake.New(fake.Options{})
			h := newHost(t, p, expiring(p)[scheme])
			h.mustSync("contacts")
			p.Revoke()
			if _, err := h.sync("contacts"); !errors.Is(err, enlace.ErrAuth) && !errors.Is(err, enlace.ErrMisconfigured) {
				t.Errorf("sync: %v", err)
			}
		})
	}
	p := fake.New(fake.Options{})
	h := newHost(t, p, p.APIKey())
	p.Revoke()
	_, err := h.sync("contacts")
	kind(t, err, "auth")
	in, err := h.service.Connect(t.Context(), h.ref, p.OAuth2())
	if err != nil || in.Status != enlace.StatusConnected {
		t.Fatal(in.Status, err)
	}
	h.mustSync("contacts")
}

func TestNeedsReauthAfterRevoke(t *testing.T) {
	p := fake.New(fake.Options{})
	h := newHost(t, p, p.OAuth2())
	p.Revoke()
	_, err := h.sync("contacts")
	kind(t, err, "auth")
	if in, err := h.service.Get(t.Context(), h.ref); err != nil || in.Status != enlace.StatusNeedsReauth {
		t.Errorf("status %s, %v", in.Status, err)
	}
}

// A refresh token is good once; a second use ends everything that came of it.
func TestRefreshTokensAreSingleUse(t *testing.T) {
	p := fake.New(fake.Options{ClientID: "app", ClientSecret: enlace.NewSecret("s3cret")})
	first := p.OAuth2()
	h := newHost(t, p, first)
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Token.Refresh.Reveal()},
		"client_id": {"app"}, "client_secret": {"s3cret"}}
	redeem := func() int {
		resp, err := (&http.Client{Transport: p}).PostForm("https://"+fake.Host+"/oauth/token", form)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	h.mustSync("contacts")
	if status := redeem(); status != 200 {
		t.Errorf("status %d of the first use", status)
	}
	if status := redeem(); status != 400 {
		t.Errorf("status %d of the second use", status)
	}
	_, err := h.sync("contacts")
	kind(t, err, "auth")
}

func TestAuthorizationCodeFlow(t *testing.T) {
	p := fake.New(fake.Options{})
	service, err := newService(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	in, err := service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name})
	if err != nil {
		t.Fatal(err)
	}
	begin := func() string {
		t.Helper()
		address, err := service.BeginAuth(t.Context(), in.Ref, "https://host.example/back?x=1")
		if err != nil {
			t.Fatal(err)
		}
		return address
	}
	p.Fail(fake.Failure{Kind: fake.Denied})
	query, err := p.Consent(t.Context(), begin())
	if err != nil || query.Get("error") != "access_denied" {
		t.Fatal(query, err)
	}
	_, err = service.CompleteAuth(t.Context(), query)
	kind(t, err, "auth")

	query, err = p.Consent(t.Context(), begin())
	if err != nil || query.Get("x") != "1" {
		t.Fatal(query, err)
	}
	if _, err = service.CompleteAuth(t.Context(), query); err != nil {
		t.Fatal(err)
	}
	c, err := service.Conn(t.Context(), in.Ref)
	if err != nil || c.Attribute("account_id") != "acme" {
		t.Fatal(err)
	}
	if err := (fake.Adapter{}).CheckHealth(t.Context(), c); err != nil {
		t.Error(err)
	}
	for what, address := range map[string]string{
		"an unknown client": strings.Replace(begin(), "client_id=", "client_id=x", 1),
		"no redirect":       strings.Replace(begin(), "redirect_uri=https", "redirect_uri=", 1),
	} {
		if _, err := p.Consent(t.Context(), address); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	query, err = p.Consent(t.Context(), strings.Replace(begin(), "S256", "plain", 1))
	if err != nil || query.Get("error") != "invalid_request" {
		t.Errorf("a plain challenge gives %v, %v", query, err)
	}
}

// A code is good once, and only with the verifier.
func TestRedeemingCodes(t *testing.T) {
	p := fake.New(fake.Options{ClientID: "app", ClientSecret: enlace.NewSecret("s3cret")})
	challenge := sha256.Sum256([]byte("verifier"))
	consent := url.Values{"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {"https://a.example"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}
	redeem := func(code, verifier string) int {
		resp, err := (&http.Client{Transport: p}).PostForm("https://"+fake.Host+"/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {code},
			"redirect_uri": {"https://a.example"}, "client_id": {"app"}, "client_secret": {"s3cret"}, "code_verifier": {verifier}})
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	for _, try := range []struct {
		verifier      string
		first, second int
	}{{"verifier", 200, 400}, {"another", 400, 400}, {consent.Get("code_challenge"), 400, 400}} {
		query, err := p.Consent(t.Context(), "https://"+fake.Host+"/oauth/authorize?"+consent.Encode())
		if err != nil {
			t.Fatal(err)
		}
		code := query.Get("code")
		if first, second := redeem(code, try.verifier), redeem(code, try.verifier); first != try.first || second != try.second {
			t.Errorf("%s: status %d and then %d, want %d and %d", try.verifier, first, second, try.first, try.second)
		}
	}
}

func TestWrongSecretsAreRefused(t *testing.T) {
	wrong := enlace.NewSecret("wrong")
	p := fake.New(fake.Options{})
	key, client, session := p.APIKey(), p.ClientCredentials(), p.Session()
	key.Secrets["api_key"], client.Secrets["client_secret"], session.Secrets["password"] = wrong, wrong, wrong
	for want, credential := range map[string]enlace.Credential{"auth": key, "misconfigured": client} {
		_, err := newHost(t, p, credential).sync("contacts")
		kind(t, err, want)
	}
	_, err := newHost(t, p, session).sync("contacts")
	kind(t, err, "auth")
	if p.Effects("") != 0 {
		t.Error("something was issued")
	}
}

func TestFailingTokenEndpoint(t *testing.T) {
	for want, failure := range map[string]fake.Failure{
		"auth":          {Status: 400},
		"misconfigured": {Status: 401},
		"unavailable":   {Status: 503},
		"rate_limited":  {Status: 429},
	} {
		p := fake.New(fake.Options{})
		h := newHost(t, p, p.OAuth2())
		p.ExpireTokens()
		failure.Op = fake.OpToken
		p.Fail(failure)
		_, err := h.sync("contacts")
		kind(t, err, want)
		if n := p.Requests(fake.OpToken); n != 1 {
			t.Errorf("%s: %d requests for a token, want 1", want, n)
		}
	}
}

func TestFailingLogin(t *testing.T) {
	for want, failure := range map[string]fake.Failure{
		"unavailable": {Status: 500}, "rate_limited": {Status: 429}, "protocol": {Kind: fake.HTML},
	} {
		p := fake.New(fake.Options{})
		h := newHost(t, p, p.Session())
		failure.Op = fake.OpLogin
		p.Fail(failure)
		_, err := h.sync("contacts")
		kind(t, err, want)
		if n := p.Requests(fake.OpLogin); n != 1 {
			t.Errorf("%s: %d logins, want 1", want, n)
		}
	}
}

func TestFixedSecrets(t *testing.T) {
	o := fake.Options{APIKey: enlace.NewSecret("k"), ClientID: "id", ClientSecret: enlace.NewSecret("c"),
		Password: enlace.NewSecret("p"), WebhookSecret: enlace.NewSecret("w")}
	p := fake.New(o)
	got := []string{p.APIKey().Secrets["api_key"].Reveal(), p.OAuthApp().ClientID, p.OAuthApp().ClientSecret.Reveal(),
		p.Session().Secrets["password"].Reveal(), p.WebhookSecret().Reveal(), p.APIKey().WebhookSecrets[0].Reveal()}
	if strings.Join(got, " ") != "k id c p w w" {
		t.Errorf("got %v", got)
	}
	if fake.New(fake.Options{}).APIKey().Secrets["api_key"].Equal(fake.New(fake.Options{}).APIKey().Secrets["api_key"]) {
		t.Error("two providers have the same random key")
	}
}
