package enlace_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

var codeScheme = enlace.OAuth2{AuthURL: "{origin}/oauth/authorize", TokenURL: "https://crm.example.com/oauth/token", Scopes: []string{"crm", "user"},
	PKCE: true, Attributes: []string{"portal", "level", "missing"}}

var codeAdapter = crm{auth: []enlace.AuthScheme{codeScheme}}

const callback = "https://app.example.com/callback"

// withApp registers the host's app at the provider.
func withApp(c *enlace.Config) {
	c.OAuth = map[string]enlace.OAuthApp{"crm": {ClientID: "app-id", ClientSecret: enlace.NewSecret("app-" + canary)}}
}

// token is a credential as CompleteAuth stores it, which expires at that time.
func token(access, refresh string, expiry time.Time) enlace.Credential {
	return enlace.Credential{Scheme: "oauth2", Token: &enlace.Token{Access: enlace.NewSecret(access), Refresh: enlace.NewSecret(refresh), Type: "Bearer", Expiry: expiry}}
}

func expired() enlace.Credential { return token("access-0", "refresh-0", time.Now().Add(-time.Minute)) }
func valid() enlace.Credential   { return token("access-0", "refresh-0", time.Now().Add(time.Hour)) }

// begin makes a pending integration and starts its flow.
func (h *host) begin(edit ...func(*enlace.NewIntegration)) (enlace.Integration, url.Values) {
	h.t.Helper()
	n := enlace.NewIntegration{Tenant: "acme", Provider: "crm"}
	for _, e := range edit {
		e(&n)
	}
	in := must(h.Create(h.t.Context(), n))(h.t)
	address := must(url.Parse(must(h.BeginAuth(h.t.Context(), in.Ref, callback))(h.t)))(h.t)
	return in, address.Query()
}

// posts returns the forms that the token endpoint got.
func (h *host) posts() []url.Values {
	var forms []url.Values
	for _, r := range h.provider.seen("/oauth/token") {
		form, _ := url.ParseQuery(r.Body)
		forms = append(forms, form)
	}
	return forms
}

func TestAuthorizationCodeFlow(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	h.provider.bearer = map[string]bool{}
	in, query := h.begin()
	if in.Status != enlace.StatusPending {
		t.Errorf("%+v", in)
	}
	state, challenge := query.Get("state"), query.Get("code_challenge")
	query.Del("state")
	query.Del("code_challenge")
	want := url.Values{"client_id": {"app-id"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"crm user"}, "code_challenge_method": {"S256"}}
	if diff := cmp.Diff(want, query); diff != "" {
		t.Error("authorization address (-want +got):\n" + diff)
	}
	if state == "" || challenge == "" || strings.Contains(state, in.ID) {
		t.Errorf("state %q, challenge %q", state, challenge)
	}
	if n := len(h.provider.seen("")); n != 0 {
		t.Errorf("BeginAuth sent %d requests", n)
	}
	connected, err := h.CompleteAuth(t.Context(), url.Values{"state": {state}, "code": {"the-code"}})
	if err != nil {
		t.Fatal(err)
	}
	if connected.Status != enlace.StatusConnected || connected.Ref != in.Ref {
		t.Errorf("%+v", connected)
	}
	posts := h.posts()
	if len(posts) != 1 {
		t.Fatalf("%d requests to the token endpoint", len(posts))
	}
	verifier := posts[0].Get("code_verifier")
	posts[0].Del("code_verifier")
	want = url.Values{"grant_type": {"authorization_code"}, "code": {"the-code"}, "redirect_uri": {callback},
		"client_id": {"app-id"}, "client_secret": {"app-" + canary}}
	if diff := cmp.Diff(want, posts[0]); diff != "" {
		t.Error("token request (-want +got):\n" + diff)
	}
	sum := sha256.Sum256([]byte(verifier))
	if len(verifier) < 43 || base64.RawURLEncoding.EncodeToString(sum[:]) != challenge {
		t.Errorf("the verifier %q does not belong to the challenge %q", verifier, challenge)
	}
	c := h.open(in)
	if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.provider.seen("ping")[0].Header.Get("Authorization"); got != "Bearer access-1" {
		t.Errorf("Authorization: %s", got)
	}
	if c.Attribute("portal") != "p-7" || c.Attribute("missing") != "" {
		t.Errorf("attributes %q, %q", c.Attribute("portal"), c.Attribute("missing"))
	}
	cred := must(h.ValidCredential(t.Context(), in.Ref))(t)
	if cred.Scheme != "oauth2" || cred.Token.Refresh.Reveal() != "refresh-1" || time.Until(cred.Token.Expiry) < 59*time.Minute || strings.Join(cred.Token.Scopes, " ") != "crm" {
		t.Errorf("%+v %+v", cred, cred.Token)
	}
}

func TestVariantsOfTheCodeFlow(t *testing.T) {
	scheme := codeScheme
	scheme.PKCE, scheme.BasicClientAuth, scheme.FixedRedirect = false, true, true
	h := newHost(t, crm{auth: []enlace.AuthScheme{scheme}}, withApp, func(c *enlace.Config) {
		app := c.OAuth["crm"]
		app.AuthURL, app.TokenURL = "https://sandbox.example.com/authorize", "https://sandbox.example.com/oauth/token"
		c.OAuth["crm"] = app
	})
	in := must(h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm"}))(t)
	address := must(h.BeginAuth(t.Context(), in.Ref, callback))(t)
	query := must(url.Parse(address))(t).Query()
	if !strings.HasPrefix(address, "https://sandbox.example.com/authorize?") || query.Has("code_challenge") || query.Has("redirect_uri") {
		t.Errorf("address %s", address)
	}
	if _, err := h.CompleteAuth(t.Context(), url.Values{"state": {query.Get("state")}, "code": {"c"}}); err != nil {
		t.Fatal(err)
	}
	sent := h.provider.seen("/oauth/token")[0]
	form := h.posts()[0]
	user, password, _ := (&http.Request{Header: sent.Header}).BasicAuth()
	if sent.URL.Host != "sandbox.example.com" || user != "app-id" || password != url.QueryEscape("app-"+canary) ||
		form.Has("client_secret") || form.Has("code_verifier") || form.Has("redirect_uri") {
		t.Errorf("%s %v, user %q", sent.URL, form, user)
	}
}

func TestStateIsOursAndFresh(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	in, query := h.begin()
	state := query.Get("state")
	foreign := newHost(t, codeAdapter, withApp)
	_, foreignQuery := foreign.begin()
	sealed := must(base64.RawURLEncoding.DecodeString(state))(t)
	bad := map[string]string{"none": "", "not base64": "%%%", "cut": state[:len(state)-4], "longer": state + "AAAA", "foreign": foreignQuery.Get("state"), "huge": strings.Repeat("A", 1<<20)}
	for i := range sealed {
		flipped := append([]byte(nil), sealed...)
		flipped[i] ^= 1
		bad[fmt.Sprint("flipped ", i)] = base64.RawURLEncoding.EncodeToString(flipped)
	}
	for name, s := range bad {
		_, err := h.CompleteAuth(t.Context(), url.Values{"state": {s}, "code": {"c"}})
		if !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	// A sealed credential is no state either.
	row := must(h.store.LoadCredential(t.Context(), enlace.CredentialKey{Ref: h.create(valid()).Ref, Name: "account"}))(t)
	if _, err := h.CompleteAuth(t.Context(), url.Values{"state": {base64.RawURLEncoding.EncodeToString(row.Data)}, "code": {"c"}}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a credential as state: %v", err)
	}
	if n := len(h.posts()); n != 0 {
		t.Errorf("%d codes were redeemed", n)
	}
	if err := h.Delete(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CompleteAuth(t.Context(), url.Values{"state": {state}, "code": {"c"}}); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("for an integration that is gone: %v, want ErrNotFound", err)
	}
}

func TestStateExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, codeAdapter, withApp)
		_, early := h.begin()
		_, late := h.begin()
		time.Sleep(10*time.Minute - time.Second)
		if _, err := h.CompleteAuth(t.Context(), url.Values{"state": early["state"], "code": {"c"}}); err != nil {
			t.Errorf("just in time: %v", err)
		}
		time.Sleep(2 * time.Second)
		if _, err := h.CompleteAuth(t.Context(), url.Values{"state": late["state"], "code": {"c"}}); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("too late: %v, want ErrInvalid", err)
		}
		if n := len(h.posts()); n != 1 {
			t.Errorf("%d codes were redeemed", n)
		}
	})
}

// A state works once, and only the last one that was given out.
func TestStateWorksOnce(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	in, first := h.begin()
	again := must(url.Parse(must(h.BeginAuth(t.Context(), in.Ref, callback))(t)))(t).Query()
	for i, state := range []url.Values{first, again, again} {
		_, err := h.CompleteAuth(t.Context(), url.Values{"state": state["state"], "code": {"c"}})
		if good := i == 1; good != (err == nil) || (!good && !errors.Is(err, enlace.ErrInvalid)) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if n := len(h.posts()); n != 1 {
		t.Errorf("%d codes were redeemed", n)
	}
	states := map[string]bool{}
	for range 20 {
		_, query := h.begin()
		states[query.Get("state")] = true
	}
	if len(states) != 20 {
		t.Error("states repeat")
	}
}

func TestRefusedAuthorization(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	in, query := h.begin()
	_, err := h.CompleteAuth(t.Context(), url.Values{"state": query["state"], "error": {"access_denied"}, "error_description": {canary}, "code": {"c"}})
	if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrAuth) || e.Code != "access_denied" {
		t.Errorf("%v, want ErrAuth with the code", err)
	}
	if _, err := h.CompleteAuth(t.Context(), url.Values{"state": query["state"], "code": {"c"}}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("the used state again: %v, want ErrInvalid", err)
	}
	_, query = h.begin()
	if _, err := h.CompleteAuth(t.Context(), url.Values{"state": query["state"]}); !errors.Is(err, enlace.ErrAuth) {
		t.Errorf("without a code: %v", err)
	}
	if len(h.posts()) != 0 || must(h.Get(t.Context(), in.Ref))(t).Status != enlace.StatusPending {
		t.Error("something happened all the same")
	}
}

func TestBeginAuthNeedsAnAppAndAScheme(t *testing.T) {
	h := newHost(t, codeAdapter)
	in := must(h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm"}))(t)
	_, err := h.BeginAuth(t.Context(), in.Ref, callback)
	if diff := cmp.Diff([]string{"client_id: no client id or secret"}, faultsOf(t, err)); diff != "" {
		t.Error("(-want +got):\n" + diff)
	}
	// The account's own app.
	own := h.create(enlace.Credential{Secrets: map[string]enlace.Secret{"client_id": enlace.NewSecret("own-id"), "client_secret": enlace.NewSecret(canary)}})
	if own.Status != enlace.StatusPending || own.StatusReason == "" {
		t.Errorf("with a client but no token: %+v", own)
	}
	if _, err := h.Conn(t.Context(), own.Ref); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("Conn before the authorization: %v", err)
	}
	address := must(url.Parse(must(h.BeginAuth(t.Context(), own.Ref, callback))(t)))(t)
	if address.Query().Get("client_id") != "own-id" {
		t.Errorf("address %s", address)
	}
	checkNoLeak(t, "the address", address.String(), canary)
	if _, err := h.CompleteAuth(t.Context(), url.Values{"state": address.Query()["state"], "code": {"c"}}); err != nil {
		t.Fatal(err)
	}
	if form := h.posts()[0]; form.Get("client_id") != "own-id" || form.Get("client_secret") != canary {
		t.Errorf("token request %v", form)
	}
	cred := must(h.ValidCredential(t.Context(), own.Ref))(t)
	if cred.Secrets["client_secret"].Reveal() != canary || cred.Token == nil {
		t.Error("the account's own client was not kept beside the token")
	}
	plain := newHost(t, crm{}, withApp)
	if _, err := plain.BeginAuth(t.Context(), plain.create(apiKey("k")).Ref, callback); !errors.Is(err, enlace.ErrUnsupported) {
		t.Errorf("without an OAuth2 scheme: %v, want ErrUnsupported", err)
	}
}

// An account that was connected by another scheme can change over to OAuth.
func TestChangeOverToOAuth(t *testing.T) {
	h := newHost(t, crm{auth: []enlace.AuthScheme{headerKey, codeScheme}}, withApp)
	cred := apiKey(canary)
	cred.WebhookSecrets = secrets("hook")
	in := h.create(cred)
	address := must(url.Parse(must(h.BeginAuth(t.Context(), in.Ref, callback))(t)))(t)
	if _, err := h.CompleteAuth(t.Context(), url.Values{"state": address.Query()["state"], "code": {"c"}}); err != nil {
		t.Fatalf("the code is spent, and nothing is connected: %v", err)
	}
	got := must(h.ValidCredential(t.Context(), in.Ref))(t)
	if got.Scheme != "oauth2" || len(got.Secrets) != 0 || len(got.WebhookSecrets) != 1 {
		t.Errorf("%+v with %d secrets and %d webhook secrets", got, len(got.Secrets), len(got.WebhookSecrets))
	}
}

func TestRefreshWhenExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, codeAdapter, withApp)
		in := h.create(valid())
		c := h.open(in)
		ping := func() {
			t.Helper()
			if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			ping()
		}
		if n := len(h.posts()); n != 0 {
			t.Fatalf("%d refreshes of a valid token", n)
		}
		for n := 1; n <= 3; n++ {
			time.Sleep(time.Hour)
			ping()
			ping()
			posts := h.posts()
			if len(posts) != n {
				t.Fatalf("%d refreshes after %d hours", len(posts), n)
			}
			last := posts[n-1]
			want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint("refresh-", n-1)}, "client_id": {"app-id"}, "client_secret": {"app-" + canary}}
			if diff := cmp.Diff(want, last); diff != "" {
				t.Error("refresh (-want +got):\n" + diff)
			}
			pings := h.provider.seen("ping")
			if got := pings[len(pings)-1].Header.Get("Authorization"); got != fmt.Sprint("Bearer access-", n) {
				t.Errorf("Authorization: %s", got)
			}
		}
		if got := c.Attribute("portal"); got != "p-7" {
			t.Errorf("attribute %q after refreshes", got)
		}
	})
}

// A provider that does not rotate sends no refresh token: the old one stays.
func TestRefreshKeepsWhatTheAnswerLeavesOut(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	h.provider.token = func(w http.ResponseWriter, _ url.Values) {
		answerJSON(w, 200, `{"access_token":"new","expires_in":60,"level":12345678901}`)
	}
	cred := expired()
	cred.Token.Scopes, cred.Attributes = []string{"crm"}, map[string]string{"portal": "p-1"}
	got := must(h.ValidCredential(t.Context(), h.create(cred).Ref))(t)
	if got.Token.Access.Reveal() != "new" || got.Token.Refresh.Reveal() != "refresh-0" || len(got.Token.Scopes) != 1 ||
		got.Attributes["portal"] != "p-1" || got.Attributes["level"] != "12345678901" {
		t.Errorf("%+v %+v", got, got.Token)
	}
}

func TestTokenRefusedInTheMiddleOfASync(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	h.provider.add("companies", 45)
	h.provider.bearer = map[string]bool{"access-0": true}
	in := h.create(valid())
	book := &notebook{before: func(b enlace.Batch) error {
		if b.Records[0].ID == "11" { // the provider drops the token between two pages
			h.provider.mu.Lock()
			delete(h.provider.bearer, "access-0")
			h.provider.mu.Unlock()
		}
		return nil
	}}
	result, err := h.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"companies"}, Sink: book})
	if err != nil || !result.Complete {
		t.Fatalf("%+v, %v", result, err)
	}
	if len(h.posts()) != 1 || len(h.provider.seen("/list/companies")) != 6 {
		t.Errorf("%d refreshes, %d requests for 5 pages", len(h.posts()), len(h.provider.seen("/list/companies")))
	}
	for id, n := range book.counts() {
		if n != 1 {
			t.Errorf("%s was given %d times", id, n)
		}
	}
	if len(book.records) != 45 {
		t.Errorf("%d records", len(book.records))
	}
}

// Even a write is repeated after a 401, since it certainly did not run; once.
func TestRefusedTokenIsRefreshedOnce(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	h.provider.setFault(times(99, "/deals", status(401, `{}`)))
	c := h.open(h.create(valid()))
	err := c.Do(t.Context(), enlace.Call{Method: "POST", Path: "deals", Body: map[string]int{"a": 1}}, nil)
	if !errors.Is(err, enlace.ErrAuth) || !errors.Is(err, enlace.ErrTokenExpired) {
		t.Errorf("%v, want ErrTokenExpired", err)
	}
	if len(h.posts()) != 1 || len(h.provider.seen("/deals")) != 2 {
		t.Errorf("%d refreshes, %d requests", len(h.posts()), len(h.provider.seen("/deals")))
	}
	h.provider.setFault(times(1, "/deals", status(401, `{}`)))
	if err := c.Do(t.Context(), enlace.Call{Method: "POST", Path: "deals", Body: map[string]int{"a": 1}}, nil); err != nil {
		t.Error(err)
	}
	deals := h.provider.seen("/deals")
	if len(deals) != 4 || deals[3].Body != deals[0].Body {
		t.Errorf("%d requests, the last with %q", len(deals), deals[len(deals)-1].Body)
	}
}

// Two processes whose clocks are ten minutes apart read each other's expiry as ten
// minutes early or late. Each real expiry costs one refresh all the same, and nobody
// sees an error.
func TestClocksThatDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, codeAdapter, withApp)
				issued := map[string]time.Time{}
				h.provider.setFault(func(w http.ResponseWriter, r *http.Request, _ string) bool {
					token := r.Header.Get("Authorization")
					if _, known := issued[token]; !known {
						issued[token] = time.Now()
					}
					if !strings.HasSuffix(r.URL.Path, "ping") || time.Since(issued[token]) < time.Hour {
						return false
					}
					w.WriteHeader(http.StatusUnauthorized)
					return true
				})
				in, other := h.create(valid()), h.restart()
				base := must(url.Parse(in.BaseURL))(t)
				place := enlace.Place{CredentialKey: enlace.CredentialKey{Ref: in.Ref, Name: "account"}, Host: base.Host}
				shift := func(_ context.Context, cur enlace.Credential, _ bool) (enlace.Credential, bool, error) {
					token := *cur.Token
					token.Expiry = token.Expiry.Add(skew)
					cur.Token = &token
					return cur, true, nil
				}
				refreshes := 0
				for range 12 * 60 {
					for _, service := range []*enlace.Service{h.Service, other} {
						c := must(service.Conn(t.Context(), in.Ref))(t)
						if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
							t.Fatal(err)
						}
					}
					if n := len(h.posts()); n > refreshes+1 {
						t.Fatalf("%d refreshes within a minute", n-refreshes)
					} else if n > refreshes {
						refreshes = n
						if err := enlace.NewSafe(h.store, h.config.Keys).Update(t.Context(), place, shift); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Minute)
				}
				if refreshes < 11 || refreshes > 15 {
					t.Errorf("%d refreshes in 12 hours of tokens that live one", refreshes)
				}
			})
		})
	}
}

// 200 callers with an expired or a refused token spend the refresh token once,
// over one connection, over many, and over two services on one store.
func TestRefreshTokenIsSpentOnce(t *testing.T) {
	for name, test := range map[string]struct {
		cred func() enlace.Credential
		conn func(h *host, other *enlace.Service, in enlace.Integration) func(i int) *enlace.Conn
	}{
		"expired, one connection": {expired, func(h *host, _ *enlace.Service, in enlace.Integration) func(int) *enlace.Conn {
			c := h.open(in)
			return func(int) *enlace.Conn { return c }
		}},
		"expired, many connections": {expired, func(h *host, _ *enlace.Service, in enlace.Integration) func(int) *enlace.Conn {
			return func(int) *enlace.Conn { return h.open(in) }
		}},
		"expired, two services": {expired, twoServices},
		"refused, one connection": {valid, func(h *host, _ *enlace.Service, in enlace.Integration) func(int) *enlace.Conn {
			c := h.open(in)
			return func(int) *enlace.Conn { return c }
		}},
		"refused, two services": {valid, twoServices},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, codeAdapter, withApp)
				h.provider.bearer, h.provider.refresh = map[string]bool{}, "refresh-0"
				h.provider.setFault(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
					time.Sleep(200 * time.Millisecond) // so that all of them meet
					return false
				})
				conn := test.conn(h, h.restart(), h.create(test.cred()))
				var wg sync.WaitGroup
				for i := range 200 {
					c := conn(i)
					wg.Go(func() {
						if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if n := len(h.posts()); n != 1 {
					t.Errorf("the refresh token was sent %d times", n)
				}
			})
		})
	}
}

func twoServices(h *host, other *enlace.Service, in enlace.Integration) func(int) *enlace.Conn {
	return func(i int) *enlace.Conn {
		s := h.Service
		if i%2 == 1 {
			s = other
		}
		return must(s.Conn(h.t.Context(), in.Ref))(h.t)
	}
}

// What the token endpoint answers, and what becomes of it.
func TestTokenEndpointFailures(t *testing.T) {
	html := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "<html>refresh-0 "+canary+" app-"+canary+"</html>")
		}
	}
	echo := `"error_description":"token refresh-0 of app-` + canary + ` is bad: ` + url.QueryEscape("app-"+canary) + `"`
	const reauth, unknownApp, doubt, fine = enlace.StatusNeedsReauth, enlace.StatusMisconfigured, enlace.StatusInDoubt, enlace.StatusConnected
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		status enlace.Status
	}{
		"invalid_grant":       {status(400, `{"error":"invalid_grant",`+echo+`}`), enlace.ErrAuth, reauth},
		"invalid_grant, 401":  {status(401, `{"error":"invalid_grant"}`), enlace.ErrAuth, reauth},
		"invalid_grant, 200":  {status(200, `{"error":"invalid_grant",`+echo+`}`), enlace.ErrAuth, reauth},
		"expired_token":       {status(400, `{"error":"expired_token"}`), enlace.ErrAuth, reauth},
		"another error, 200":  {status(200, `{"error":"no_idea"}`), enlace.ErrAuth, reauth},
		"invalid_client":      {status(401, `{"error":"invalid_client",`+echo+`}`), enlace.ErrMisconfigured, unknownApp},
		"invalid_client, 200": {status(200, `{"error":"invalid_client"}`), enlace.ErrMisconfigured, unknownApp},
		"unauthorized_client": {status(400, `{"error":"unauthorized_client"}`), enlace.ErrMisconfigured, unknownApp},
		"500":                 {status(500, `{"error":"server_error"}`), enlace.ErrUnavailable, doubt},
		"502 HTML":            {html(502), enlace.ErrUnavailable, doubt},
		"503":                 {status(503, ``), enlace.ErrUnavailable, doubt},
		"429":                 {status(429, `{}`), enlace.ErrRateLimited, fine},
		"200 HTML":            {html(200), enlace.ErrProtocol, doubt},
		"200 cut":             {status(200, `{"access_token":"access-9","refr`), enlace.ErrProtocol, doubt},
		"200 empty object":    {status(200, `{}`), enlace.ErrProtocol, doubt},
		"200 no body":         {status(200, ``), enlace.ErrProtocol, doubt},
		"200 no access token": {status(200, `{"refresh_token":"x","expires_in":60}`), enlace.ErrProtocol, doubt},
		"200 wrong types":     {status(200, `{"access_token":17}`), enlace.ErrProtocol, doubt},
		"200 array":           {status(200, `[]`), enlace.ErrProtocol, doubt},
		"2 MiB":               {status(200, `{"access_token":"`+strings.Repeat("a", 2<<20)+`"}`), enlace.ErrUnavailable, doubt},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example.com/oauth/token", http.StatusTemporaryRedirect)
		}, enlace.ErrMoved, fine},
		"connection lost": {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Cut", "1") }, enlace.ErrUnavailable, doubt},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, codeAdapter, withApp)
				in := h.create(expired())
				key := enlace.CredentialKey{Ref: in.Ref, Name: "account"}
				h.provider.setFault(times(1, "/oauth/token", test.answer))
				before := must(h.store.LoadCredential(t.Context(), key))(t)
				ping := func() error { return h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil) }
				err := ping()
				if enlace.KindLabel(err) != enlace.KindLabel(test.kind) {
					t.Errorf("%v (%s), want %s", err, enlace.KindLabel(err), enlace.KindLabel(test.kind))
				}
				if _, ok := errors.AsType[*enlace.Error](err); !ok {
					t.Errorf("%v is no *Error", err)
				}
				got := must(h.Get(t.Context(), in.Ref))(t)
				if got.Status != test.status || (got.Status != fine) != (got.StatusReason != "") {
					t.Errorf("status %s (%q), want %s", got.Status, got.StatusReason, test.status)
				}
				after := must(h.store.LoadCredential(t.Context(), key))(t)
				if string(before.Data) != string(after.Data) {
					t.Error("the stored token was changed")
				}
				if again := ping(); enlace.KindLabel(again) != enlace.KindLabel(err) {
					t.Errorf("at once again: %v", again)
				}
				if len(h.posts()) != 1 || len(h.provider.seen("ping")) != 0 {
					t.Errorf("%d requests to the token endpoint, %d with the expired token", len(h.posts()), len(h.provider.seen("ping")))
				}
				checkNoLeak(t, "what is shown", dump(err)+fmt.Sprint(err)+dump(got), canary, "app-"+canary, "refresh-0")
				for _, o := range h.observed() {
					checkNoLeak(t, "an observation", dump(o), canary, "refresh-0", "access-0")
				}
				refreshes := observedAs[enlace.CredentialChanged](h)
				if last := refreshes[len(refreshes)-1]; last.Action != "refresh" || last.Kind != enlace.KindLabel(test.kind) {
					t.Errorf("%+v", last)
				}
				time.Sleep(6 * time.Second)
				if test.status == reauth { // asking on would only get the account blocked
					if again := ping(); !errors.Is(again, enlace.ErrAuth) || len(h.posts()) != 1 {
						t.Errorf("a refused refresh token was sent again: %v, %d requests", again, len(h.posts()))
					}
					must(h.Connect(t.Context(), in.Ref, valid()))(t)
				}
				if err := ping(); err != nil { // what may pass does not brick the integration
					t.Errorf("later: %v", err)
				}
				if got := must(h.Get(t.Context(), in.Ref))(t); got.Status != fine || got.StatusReason != "" {
					t.Errorf("later: status %s (%q)", got.Status, got.StatusReason)
				}
			})
		})
	}
}

func TestExchangeFailuresLeaveTheIntegrationPending(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		kind   error
	}{
		"invalid_grant":  {status(400, `{"error":"invalid_grant","error_description":"code the-code"}`), enlace.ErrAuth},
		"invalid_client": {status(401, `{"error":"invalid_client"}`), enlace.ErrMisconfigured},
		"500":            {status(500, `the-code app-`+canary), enlace.ErrUnavailable},
		"empty":          {status(200, `{}`), enlace.ErrProtocol},
	} {
		h := newHost(t, codeAdapter, withApp)
		in, query := h.begin()
		h.provider.setFault(times(9, "/oauth/token", test.answer))
		_, err := h.CompleteAuth(t.Context(), url.Values{"state": query["state"], "code": {"the-code"}})
		if enlace.KindLabel(err) != enlace.KindLabel(test.kind) {
			t.Errorf("%s: %v", name, err)
		}
		checkNoLeak(t, name, dump(err)+fmt.Sprint(err), canary, "the-code")
		if n := len(h.posts()); n != 1 {
			t.Errorf("%s: the code was sent %d times", name, n)
		}
		if got := must(h.Get(t.Context(), in.Ref))(t); got.Status != enlace.StatusPending {
			t.Errorf("%s: status %s", name, got.Status)
		}
	}
}

// Whatever the provider says about the life of a token, it neither bricks the
// account nor makes a token that is good for ever.
func TestExpiresIn(t *testing.T) {
	const hour = time.Hour
	for _, test := range []struct {
		field, contentType string
		life               time.Duration
	}{
		{``, "application/json", hour}, {`,"expires_in":0`, "application/json", hour}, {`,"expires_in":-5`, "application/json", hour},
		{`,"expires_in":"1800"`, "application/json", 30 * time.Minute}, {`,"expires_in":1800.5`, "application/json", 30 * time.Minute},
		{`,"expires_in":1e12`, "application/json", hour}, {`,"expires_in":null`, "application/json", hour}, {`,"expires_in":1.8e3`, "application/json", 30 * time.Minute},
		{`,"expires_in":"soon"`, "application/json", hour}, {`,"expires_in":[]`, "application/json", hour}, {`,"expires_in":0.5`, "application/json", hour},
		{`,"expires_in":1`, "application/json", time.Second}, {`,"expires_in":"NaN"`, "application/json", hour}, {`,"expires_in":1e999`, "application/json", hour},
		{`,"expires_in":1800`, "text/html; charset=utf-8", 30 * time.Minute}, // a wrong type for JSON
		{`,"expires_in":1800`, "text/plain", 30 * time.Minute}, {`,"expires_in":1800`, "application/x-www-form-urlencoded", 30 * time.Minute},
		{`,"expires_in":1800`, "", 30 * time.Minute},
	} {
		t.Run(test.field+" "+test.contentType, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, codeAdapter, withApp)
				h.provider.token = func(w http.ResponseWriter, _ url.Values) {
					w.Header().Set("Content-Type", test.contentType)
					_, _ = io.WriteString(w, `{"access_token":"a+b/c","refresh_token":"r"`+test.field+`}`)
				}
				cred, err := h.ValidCredential(t.Context(), h.create(expired()).Ref)
				if err != nil {
					t.Fatal(err)
				}
				if got := time.Until(cred.Token.Expiry); got != test.life {
					t.Errorf("life %v, want %v", got, test.life)
				}
				if cred.Token.Access.Reveal() != "a+b/c" || cred.Token.Refresh.Reveal() != "r" {
					t.Errorf("the token came through as %q", cred.Token.Access.Reveal())
				}
			})
		})
	}
	t.Run("the scheme's own life", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			scheme := codeScheme
			scheme.Life = 24 * time.Hour
			h := newHost(t, crm{auth: []enlace.AuthScheme{scheme}}, withApp)
			h.provider.token = func(w http.ResponseWriter, _ url.Values) { answerJSON(w, 200, `{"access_token":"a"}`) }
			cred := must(h.ValidCredential(t.Context(), h.create(expired()).Ref))(t)
			if got := time.Until(cred.Token.Expiry); got != 24*time.Hour {
				t.Errorf("life %v", got)
			}
		})
	})
}

// The clock starts when the request is sent, not when a slow answer is there.
func TestExpiryCountsFromTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, codeAdapter, withApp)
		h.provider.token = func(w http.ResponseWriter, _ url.Values) {
			time.Sleep(8 * time.Second)
			answerJSON(w, 200, `{"access_token":"a","expires_in":100}`)
		}
		cred := must(h.ValidCredential(t.Context(), h.create(expired()).Ref))(t)
		if got := time.Until(cred.Token.Expiry); got != 92*time.Second {
			t.Errorf("%v left, want 92 s", got)
		}
	})
}

func TestRefreshedTokenIsStoredBeforeItIsUsed(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	in := h.create(expired())
	var stored atomic.Value
	h.provider.setFault(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		if strings.HasSuffix(r.URL.Path, "ping") {
			cred, err := enlace.NewSafe(h.store, h.config.Keys).Get(context.Background(), enlace.Place{
				CredentialKey: enlace.CredentialKey{Ref: in.Ref, Name: "account"}, Host: "crm.example.com"})
			if err != nil {
				t.Error(err)
				return false
			}
			stored.Store(cred.Token.Access.Reveal())
		}
		return false
	})
	if err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Fatal(err)
	}
	if used := h.provider.seen("ping")[0].Header.Get("Authorization"); used != "Bearer access-1" || stored.Load() != "access-1" {
		t.Errorf("used %q while %v was stored", used, stored.Load())
	}
	// Another process goes on with it.
	cred := must(h.restart().ValidCredential(t.Context(), in.Ref))(t)
	if cred.Token.Access.Reveal() != "access-1" || cred.Token.Refresh.Reveal() != "refresh-1" || len(h.posts()) != 1 {
		t.Errorf("%d refreshes", len(h.posts()))
	}
}

func TestTokenThatCannotBeSavedIsNotUsed(t *testing.T) {
	synctest.Test(t, testTokenThatCannotBeSaved)
}

func testTokenThatCannotBeSaved(t *testing.T) {
	broken := true
	h := newHost(t, codeAdapter, withApp)
	h.provider.refresh = "refresh-0" // good once: what the refresh brings must not be lost
	in := h.create(expired())
	h.config.Store = flakyStore{h.store, func(_ context.Context, op string) error {
		if broken && op == "UpdateCredential after fn" {
			return io.ErrShortWrite
		}
		return nil
	}}
	s := h.restart()
	c := must(s.Conn(t.Context(), in.Ref))(t)
	for range 3 {
		err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil)
		if !errors.Is(err, enlace.ErrStore) {
			t.Errorf("%v, want ErrStore", err)
		}
		time.Sleep(6 * time.Second)
	}
	if n := len(h.provider.seen("ping")); n != 0 {
		t.Errorf("%d requests with a token that is not saved", n)
	}
	if got := must(h.Get(t.Context(), in.Ref))(t); got.Status != enlace.StatusConnected {
		t.Errorf("status %s: the provider refused nothing", got.Status)
	}
	broken = false
	if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Fatalf("once the store is back: %v", err)
	}
	if got := h.provider.seen("ping")[0].Header.Get("Authorization"); got != "Bearer access-1" || len(h.posts()) != 1 {
		t.Errorf("Authorization: %s after %d refreshes", got, len(h.posts()))
	}
	if cred := must(h.restart().ValidCredential(t.Context(), in.Ref))(t); cred.Token.Refresh.Reveal() != "refresh-1" {
		t.Error("the token was used and not saved")
	}
}

// A token endpoint that was never reached has spent nothing.
func TestTokenEndpointThatIsNotReached(t *testing.T) {
	closed := localServer(t, newProvider())
	closed.Close()
	for address, kind := range map[string]error{closed.URL + "/token": enlace.ErrUnavailable, "http://10.0.0.1/token": enlace.ErrBlocked, "https://169.254.169.254/token": enlace.ErrBlocked} {
		h := newHost(t, codeAdapter, withApp, allowLoopback, func(c *enlace.Config) {
			c.OAuth["crm"] = enlace.OAuthApp{ClientID: "app-id", ClientSecret: enlace.NewSecret(canary), TokenURL: address}
		})
		in := h.create(expired(), with("apiUrl", localServer(t, h.provider).URL))
		err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil)
		if e, ok := errors.AsType[*enlace.Error](err); !ok || enlace.KindLabel(err) != enlace.KindLabel(kind) || e.Outcome != enlace.OutcomeNotRun {
			t.Errorf("%s: %v, want %v that did not run", address, err, kind)
		}
		if got := must(h.Get(t.Context(), in.Ref))(t); got.Status != enlace.StatusConnected {
			t.Errorf("%s: status %s", address, got.Status)
		}
		checkNoLeak(t, address, fmt.Sprint(err), canary)
	}
}

// What a refresh has spent is saved although its caller has gone.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, codeAdapter, withApp)
		h.provider.refresh = "refresh-0"
		h.provider.setFault(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
			if strings.HasSuffix(r.URL.Path, "/oauth/token") {
				time.Sleep(2 * time.Second)
			}
			return false
		})
		in := h.create(expired())
		c := h.open(in)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := c.Do(ctx, enlace.Call{Path: "ping"}, nil)
		if !errors.Is(err, enlace.ErrCanceled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want ErrCanceled", err)
		}
		time.Sleep(5 * time.Second)
		if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
			t.Errorf("the next caller: %v", err)
		}
		if len(h.posts()) != 1 {
			t.Errorf("%d refreshes", len(h.posts()))
		}
	})
}

func TestTokenEndpointThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, codeAdapter, withApp)
		h.provider.setFault(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
			if strings.HasSuffix(r.URL.Path, "/oauth/token") {
				<-r.Context().Done()
			}
			return false
		})
		started := time.Now()
		_, err := h.ValidCredential(t.Context(), h.create(expired()).Ref)
		if enlace.KindLabel(err) != "unavailable" {
			t.Errorf("%v, want ErrUnavailable: the caller ended nothing", err)
		}
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("it took %v, want the 10 s of one request", took)
		}
	})
}

func TestTokenWithoutRefreshToken(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	h.provider.bearer = map[string]bool{}
	in := h.create(token("access-0", "", time.Now().Add(-time.Hour)))
	err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil)
	if !errors.Is(err, enlace.ErrAuth) || len(h.posts()) != 0 {
		t.Errorf("%v with %d refreshes, want ErrAuth", err, len(h.posts()))
	}
}

func TestNoCredentialAfterDisconnectDuringUse(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	in := h.create(valid())
	c := h.open(in)
	if _, err := h.Disconnect(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	h.provider.bearer = map[string]bool{}
	if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("%v, want ErrNoCredential", err)
	}
	if _, err := h.store.LoadCredential(t.Context(), enlace.CredentialKey{Ref: in.Ref, Name: "account"}); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("the refresh brought the credential back: %v", err)
	}
}

func TestClientCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, crm{auth: []enlace.AuthScheme{enlace.ClientCredentials{TokenURL: "https://crm.example.com/oauth/token", Scopes: []string{"crm"}}}})
		h.provider.bearer = map[string]bool{}
		in := h.create(enlace.Credential{Secrets: map[string]enlace.Secret{"client_id": enlace.NewSecret("own"), "client_secret": enlace.NewSecret(canary)}})
		if in.Status != enlace.StatusConnected {
			t.Errorf("status %s", in.Status)
		}
		for range 3 { // one token for all connections
			if err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
				t.Fatal(err)
			}
		}
		want := url.Values{"grant_type": {"client_credentials"}, "client_id": {"own"}, "client_secret": {canary}, "scope": {"crm"}}
		if posts := h.posts(); len(posts) != 1 || !cmp.Equal(want, posts[0]) {
			t.Errorf("token requests %v", posts)
		}
		time.Sleep(time.Hour)
		c := h.open(in)
		if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil || len(h.posts()) != 2 {
			t.Errorf("after an hour: %v, %d token requests", err, len(h.posts()))
		}
		h.provider.mu.Lock()
		h.provider.bearer = map[string]bool{}
		h.provider.mu.Unlock()
		if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil || len(h.posts()) != 3 {
			t.Errorf("after a refusal: %v, %d token requests", err, len(h.posts()))
		}
		h.provider.token = func(w http.ResponseWriter, _ url.Values) { answerJSON(w, 401, `{"error":"invalid_client"}`) }
		time.Sleep(2 * time.Hour)
		if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); !errors.Is(err, enlace.ErrMisconfigured) {
			t.Errorf("a wrong client: %v, want ErrMisconfigured", err)
		}
	})
}

// vault is an adapter with its own way to authenticate: a session from a PIN.
type vault struct {
	crm
	logins *atomic.Int32
	fail   error
}

func (v vault) Authorize(r *http.Request, c enlace.Credential) error {
	if c.Token == nil {
		r.Header.Set("X-Pin", c.Secrets["pin"].Reveal())
		return nil
	}
	r.Header.Set("X-Session", c.Token.Access.Reveal())
	return nil
}

func (v vault) Refresh(ctx context.Context, client *http.Client, base *url.URL, c enlace.Credential) (enlace.Credential, error) {
	n := v.logins.Add(1)
	if v.fail != nil {
		return c, v.fail
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://crm.example.com/login", strings.NewReader(c.Secrets["pin"].Reveal()))
	if err != nil {
		return c, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	c.Token = &enlace.Token{Access: enlace.NewSecret(fmt.Sprint("session-", n))}
	return c, nil
}

func TestCustomAuth(t *testing.T) {
	custom := []enlace.AuthScheme{enlace.CustomAuth{Fields: []enlace.SecretField{{Name: "pin", Required: true}}}}
	adapter := vault{crm: crm{auth: custom}, logins: new(atomic.Int32)}
	h := newHost(t, adapter)
	good := "none"
	h.provider.setFault(func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if strings.HasSuffix(r.URL.Path, "ping") && r.Header.Get("X-Session") != good {
			answerJSON(w, 401, `{}`)
			return true
		}
		return false
	})
	good = "session-1"
	in := h.create(enlace.Credential{Secrets: map[string]enlace.Secret{"pin": enlace.NewSecret(canary)}})
	c := h.open(in)
	if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Fatal(err)
	}
	if pings := h.provider.seen("ping"); len(pings) != 2 || pings[0].Header.Get("X-Pin") != canary || pings[1].Header.Get("X-Session") != "session-1" {
		t.Errorf("%d requests", len(pings))
	}
	if login := h.provider.seen("/login"); len(login) != 1 || login[0].Body != canary {
		t.Errorf("%d logins", len(login))
	}
	if err := must(h.restart().Conn(t.Context(), in.Ref))(t).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil || adapter.logins.Load() != 1 {
		t.Errorf("another process: %v, %d logins", err, adapter.logins.Load())
	}
	good = "session-2"
	if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil || adapter.logins.Load() != 2 {
		t.Errorf("after a refusal: %v, %d logins", err, adapter.logins.Load())
	}
	for kind, fail := range map[string]error{"auth": &enlace.Error{Kind: enlace.ErrAuth}, "unavailable": errors.New("get https://crm.example.com/" + canary + ": boom")} {
		bad := newHost(t, vault{crm: crm{auth: custom}, logins: new(atomic.Int32), fail: fail})
		bad.provider.setFault(times(9, "ping", status(401, `{}`)))
		in := bad.create(enlace.Credential{Secrets: map[string]enlace.Secret{"pin": enlace.NewSecret(canary)}})
		err := bad.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil)
		if enlace.KindLabel(err) != kind {
			t.Errorf("%s: %v", kind, err)
		}
		checkNoLeak(t, kind, dump(err)+fmt.Sprint(err), canary)
		want := map[string]enlace.Status{"auth": enlace.StatusNeedsReauth, "unavailable": enlace.StatusInDoubt}[kind]
		if got := must(bad.Get(t.Context(), in.Ref))(t).Status; got != want {
			t.Errorf("%s: status %s, want %s", kind, got, want)
		}
	}
}

func TestCustomAuthWithoutAuthenticator(t *testing.T) {
	err := new(enlace.Registry).Register(crm{auth: []enlace.AuthScheme{enlace.CustomAuth{}}})
	if !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
}

func TestWhereTheKeyStands(t *testing.T) {
	post := func(body any) enlace.Call { return enlace.Call{Method: "POST", Path: "put", Body: body} }
	form := url.Values{"a": {"1&2"}}
	escaped := url.QueryEscape(canary)
	for name, test := range map[string]struct {
		place enlace.Placement
		call  enlace.Call
		check func(r request) bool
	}{
		"header":       {enlace.Placement{Header: "X-Key"}, post(nil), func(r request) bool { return r.Header.Get("X-Key") == canary }},
		"prefix":       {enlace.BearerHeader(), post(nil), func(r request) bool { return r.Header.Get("Authorization") == "Bearer "+canary }},
		"query":        {enlace.Placement{Query: "api token"}, enlace.Call{Path: "put", Query: url.Values{"x": {"1"}}}, func(r request) bool { return r.URL.RawQuery == "api+token="+escaped+"&x=1" }},
		"JSON":         {enlace.Placement{Body: "auth"}, post(map[string]int{"n": 1}), func(r request) bool { return r.Body == `{"auth":"`+canary+`","n":1}` }},
		"empty object": {enlace.Placement{Body: "auth"}, post(struct{}{}), func(r request) bool { return r.Body == `{"auth":"`+canary+`"}` }},
		"raw JSON":     {enlace.Placement{Body: "auth"}, post(jsonRaw(" \n{ }")), func(r request) bool { return r.Body == `{"auth":"`+canary+`"}` }},
		"no body": {enlace.Placement{Body: "auth"}, post(nil), func(r request) bool {
			return r.Body == `{"auth":"`+canary+`"}` && r.Header.Get("Content-Type") == "application/json"
		}},
		"form":           {enlace.Placement{Body: "auth"}, post(form), func(r request) bool { return r.Body == "auth="+escaped+"&a=1%262" }},
		"empty form":     {enlace.Placement{Body: "auth[x]"}, post(url.Values{}), func(r request) bool { return r.Body == "auth%5Bx%5D="+escaped }},
		"big id in JSON": {enlace.Placement{Body: "auth"}, post(jsonRaw(`{"id":9007199254740993}`)), func(r request) bool { return strings.HasSuffix(r.Body, `,"id":9007199254740993}`) }},
	} {
		h := newHost(t, crm{auth: []enlace.AuthScheme{enlace.APIKey{Place: test.place}}})
		if err := h.open(h.create(apiKey(canary))).Do(t.Context(), test.call, nil); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := h.provider.seen("put")[0]
		if !test.check(r) {
			t.Errorf("%s: %s %s %v %s", name, r.Method, r.URL, r.Header, r.Body)
		}
	}
	h := newHost(t, crm{auth: []enlace.AuthScheme{enlace.APIKey{Place: enlace.Placement{Body: "auth"}}}})
	err := h.open(h.create(apiKey(canary))).Do(t.Context(), post([]int{1}), nil)
	if !errors.Is(err, enlace.ErrInvalid) || len(h.provider.seen("")) != 0 {
		t.Errorf("a list as body: %v, want ErrInvalid", err)
	}
}

func TestBasicAndSecretURL(t *testing.T) {
	h := newHost(t, crm{auth: []enlace.AuthScheme{enlace.Basic{}, enlace.SecretURL{}}})
	in := h.create(enlace.Credential{Scheme: "basic", Secrets: map[string]enlace.Secret{"username": enlace.NewSecret("u"), "password": enlace.NewSecret(canary)}})
	if err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Fatal(err)
	}
	r := h.provider.seen("ping")[0]
	if user, password, _ := (&http.Request{Header: r.Header}).BasicAuth(); user != "u" || password != canary {
		t.Errorf("basic auth %q", user)
	}
	in = h.create(enlace.Credential{Scheme: "secret_url", Secrets: map[string]enlace.Secret{"url": enlace.NewSecret("https://acme.example.com/rest/1/s3cret")}})
	if err := h.open(in).Do(t.Context(), enlace.Call{Path: "/crm.list"}, nil); err != nil {
		t.Fatal(err)
	}
	if r := h.provider.seen("crm.list")[0]; r.URL.String() != "https://acme.example.com/rest/1/s3cret/crm.list" || r.Header.Get("Authorization") != "" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
}
