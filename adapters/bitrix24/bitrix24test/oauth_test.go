package bitrix24test_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func oauthPortal(quirks bitrix24test.Quirks) *bitrix24test.Portal {
	return bitrix24test.New(bitrix24test.Options{
		ClientID: "local.1", ClientSecret: "S", Redirect: "https://app.example.net/callback?tenant=5", Quirks: quirks,
	})
}

// authorize goes the way of a browser and returns the code.
func authorize(t *testing.T, p *bitrix24test.Portal) string {
	t.Helper()
	r := get(t, p, p.AuthorizeURL()+"?client_id="+p.ClientID()+"&state=xyz")
	target, err := url.Parse(r.header.Get("Location"))
	if r.status != 302 || err != nil {
		t.Fatalf("authorize: %d %s", r.status, r.text)
	}
	return target.Query().Get("code")
}

func grant(p *bitrix24test.Portal, kind, key, value string) url.Values {
	return url.Values{"grant_type": {kind}, "client_id": {p.ClientID()}, "client_secret": {p.ClientSecret()}, key: {value}}
}

func TestF12Authorize(t *testing.T) {
	p := oauthPortal(bitrix24test.Quirks{})
	r := get(t, p, p.AuthorizeURL()+"?client_id=local.1&state=a%26b&redirect_uri=https://evil.example")
	target, err := url.Parse(r.header.Get("Location"))
	if r.status != 302 || err != nil || target.Host != "app.example.net" || target.Path != "/callback" {
		t.Fatalf("got %d to %s", r.status, r.header.Get("Location"))
	}
	query := target.Query()
	for key, want := range map[string]string{
		"tenant": "5", "state": "a&b", "domain": "acme.bitrix24.com", "member_id": p.MemberID(), "scope": "crm,user", "server_domain": "oauth.bitrix.info",
	} {
		if query.Get(key) != want {
			t.Errorf("%s is %q, want %q", key, query.Get(key), want)
		}
	}
	if query.Get("code") == "" {
		t.Error("no code")
	}

	p.SetRedirect("https://other.example.net/")
	if r := get(t, p, p.AuthorizeURL()+"?client_id=local.1&state=s"); !strings.HasPrefix(r.header.Get("Location"), "https://other.example.net/?") {
		t.Errorf("after SetRedirect: %s", r.header.Get("Location"))
	}
	refusals := map[string]reply{"unknown client": get(t, p, p.AuthorizeURL()+"?client_id=nope&state=s")}
	p.SetInstalled(false)
	refusals["not installed"] = get(t, p, p.AuthorizeURL()+"?client_id=local.1&state=s")
	for name, r := range refusals {
		if r.status == 302 || r.header.Get("Location") != "" || r.body != nil {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
}

func TestF13TokenEndpointTakesGetAndPost(t *testing.T) {
	p := oauthPortal(bitrix24test.Quirks{})
	if r := get(t, p, p.TokenURL()+"?"+grant(p, "authorization_code", "code", authorize(t, p)).Encode()); r.status != 200 || r.at("access_token") == nil {
		t.Errorf("GET: %d %s", r.status, r.text)
	}
	if r := form(t, p, p.TokenURL(), grant(p, "authorization_code", "code", authorize(t, p))); r.status != 200 || r.at("access_token") == nil {
		t.Errorf("POST: %d %s", r.status, r.text)
	}
}

func TestF14CodeLivesThirtySecondsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := oauthPortal(bitrix24test.Quirks{})
		const text = "The grant is invalid, expired or revoked"
		code := grant(p, "authorization_code", "code", authorize(t, p))
		time.Sleep(29 * time.Second)
		if r := form(t, p, p.TokenURL(), code); r.status != 200 {
			t.Fatalf("after 29 s: %d %s", r.status, r.text)
		}
		form(t, p, p.TokenURL(), code).wantError(t, 400, "invalid_grant", text)

		code = grant(p, "authorization_code", "code", authorize(t, p))
		time.Sleep(30 * time.Second)
		form(t, p, p.TokenURL(), code).wantError(t, 400, "invalid_grant", text)

		p = oauthPortal(bitrix24test.Quirks{ExpiredCodeError: true})
		code = grant(p, "authorization_code", "code", authorize(t, p))
		time.Sleep(30 * time.Second)
		form(t, p, p.TokenURL(), code).wantError(t, 400, "expired_token", "The authorization token provided has expired.")
	})
}

func TestF15RefreshRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := oauthPortal(bitrix24test.Quirks{})
		first := p.Authorize()
		time.Sleep(59 * time.Minute)
		second := form(t, p, p.TokenURL(), grant(p, "refresh_token", "refresh_token", first.RefreshToken))
		if second.status != 200 || second.at("access_token") == first.AccessToken || second.at("refresh_token") == first.RefreshToken {
			t.Fatalf("refresh: %d %s", second.status, second.text)
		}
		form(t, p, p.TokenURL(), grant(p, "refresh_token", "refresh_token", first.RefreshToken)).wantError(t, 400, "invalid_grant", "The grant is invalid, expired or revoked")
		profile := func(token any) int { return post(t, p, p.RESTURL()+"profile", `{"auth":"`+token.(string)+`"}`).status }
		if got := profile(first.AccessToken); got != 200 {
			t.Errorf("the old access token is answered with %d", got)
		}
		time.Sleep(time.Minute)
		if old, fresh := profile(first.AccessToken), profile(second.at("access_token")); old != 401 || fresh != 200 {
			t.Errorf("after an hour: old %d, fresh %d", old, fresh)
		}
		if got := p.Stats().Refreshes; got != 1 {
			t.Errorf("%d refreshes counted, want 1", got)
		}

		time.Sleep(180 * 24 * time.Hour)
		if r := form(t, p, p.TokenURL(), grant(p, "refresh_token", "refresh_token", second.at("refresh_token").(string))); r.status != 400 {
			t.Errorf("after 180 days: %d %s", r.status, r.text)
		}
	})
}

func TestF15RefreshQuirks(t *testing.T) {
	p := oauthPortal(bitrix24test.Quirks{RefreshKillsAccess: true, ReusableRefreshTokens: true})
	first := p.Authorize()
	for range 2 {
		if r := form(t, p, p.TokenURL(), grant(p, "refresh_token", "refresh_token", first.RefreshToken)); r.status != 200 {
			t.Errorf("reusable: %d %s", r.status, r.text)
		}
	}
	post(t, p, p.RESTURL()+"profile", `{"auth":"`+first.AccessToken+`"}`).wantError(t, 401, "invalid_token", "Unable to get application by token")
}

func TestF16TokenEndpointErrors(t *testing.T) {
	p := oauthPortal(bitrix24test.Quirks{})
	token := p.Authorize().RefreshToken
	request := func(key, value string) reply {
		values := grant(p, "refresh_token", "refresh_token", token)
		if values.Set(key, value); value == "" {
			values.Del(key)
		}
		return form(t, p, p.TokenURL(), values)
	}
	request("client_id", "nope").wantBody(t, 200, `{"error":"wrong_client"}`)
	request("client_secret", "nope").wantError(t, 400, "invalid_client", "Invalid client secret")
	request("refresh_token", "").wantError(t, 400, "invalid_request", `No "refresh_token" parameter found`)
	request("grant_type", "password").wantError(t, 400, "invalid_request", "Invalid grant_type parameter or parameter missing")
	p.SetInstalled(false)
	request("grant_type", "refresh_token").wantError(t, 401, "NOT_INSTALLED", "Application is not installed")
	p.SetInstalled(true)
	p.RevokeRefreshTokens()
	request("grant_type", "refresh_token").wantError(t, 400, "invalid_grant", "The grant is invalid, expired or revoked")

	p = oauthPortal(bitrix24test.Quirks{InvalidClient401: true})
	request("client_secret", "nope").wantError(t, 401, "invalid_client", "Invalid client secret")
}

func TestF17TokenAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := oauthPortal(bitrix24test.Quirks{})
		r := form(t, p, p.TokenURL(), grant(p, "authorization_code", "code", authorize(t, p)))
		body := r.body.(map[string]any)
		for _, key := range []string{"access_token", "refresh_token"} {
			if text, _ := body[key].(string); len(text) != 70 {
				t.Errorf("%s is %v", key, body[key])
			}
			delete(body, key)
		}
		// A bubble's clock starts at 2000-01-01.
		r.wantBody(t, 200, `{"expires":946688400,"expires_in":3600,"scope":"crm,user","domain":"oauth.bitrix.info","server_endpoint":"https://oauth.bitrix.info/rest/",
			"client_endpoint":"https://acme.bitrix24.com/rest/","status":"L","member_id":"`+p.MemberID()+`","user_id":7}`)
	})
}

func TestF18AppInfoOnTheAuthorizationServer(t *testing.T) {
	p := oauthPortal(bitrix24test.Quirks{})
	tokens := p.Authorize()
	r := get(t, p, tokens.ServerEndpoint+"app.info?auth="+tokens.AccessToken)
	r.contains(t, "result", `{"CODE":"local.1","STATUS":"L","INSTALLED":true,"client_id":"local.1","member_id":"`+p.MemberID()+`"}`)
	get(t, p, tokens.ServerEndpoint+"app.info?auth=forged").wantError(t, 401, "invalid_token", "Unable to get application by token")
	get(t, p, tokens.ServerEndpoint+"crm.contact.list?auth="+tokens.AccessToken).wantError(t, 404, "ERROR_METHOD_NOT_FOUND", "Method not found!")

	s := bitrix24test.NewServer(bitrix24test.Options{})
	defer s.Close()
	tokens = s.Authorize()
	if tokens.ServerEndpoint != s.OAuthURL+"/rest/" || tokens.ClientEndpoint != s.URL+"/rest/" || s.URL == s.OAuthURL {
		t.Errorf("over loopback: %+v", tokens)
	}
}

func TestRemovedApplication(t *testing.T) {
	p := oauthPortal(bitrix24test.Quirks{})
	auth := `{"auth":"` + p.Authorize().AccessToken + `"}`
	p.SetInstalled(false)
	post(t, p, p.RESTURL()+"profile", auth).wantError(t, 401, "APPLICATION_NOT_FOUND", "Application not found")
	p.SetInstalled(true)
	if r := post(t, p, p.RESTURL()+"profile", auth); r.status != 200 {
		t.Errorf("installed again: %d %s", r.status, r.text)
	}
}
