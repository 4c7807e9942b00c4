package rdstation_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

// authorize goes through the authorization code flow; browser carries the user's
// request.
func (h *host) authorize(provider string, p rdstationtest.Product, settings map[string]string, browser http.RoundTripper) enlace.Integration {
	h.t.Helper()
	const callback = "https://host.example/callback"
	h.account.SetRedirects(h.account.App(p).ClientID, callback)
	h.connect(provider, settings, nil)
	address := must[string](h.t)(h.service.BeginAuth(h.t.Context(), h.ref, callback))
	request := must[*http.Request](h.t)(http.NewRequestWithContext(h.t.Context(), http.MethodGet, address, nil))
	answer := must[*http.Response](h.t)(browser.RoundTrip(request))
	_ = answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		h.t.Fatalf("the browser was not sent back: status %d", answer.StatusCode)
	}
	return must[enlace.Integration](h.t)(h.service.CompleteAuth(h.t.Context(), back.Query()))
}

// TestBothFlows connects to both authorization servers at their own addresses, and
// lives through the ends of access tokens (T01, T04, T08, T09, T10).
func TestBothFlows(t *testing.T) {
	for name, test := range map[string]struct {
		provider string
		product  rdstationtest.Product
		life     time.Duration
		quirks   rdstationtest.Quirks
	}{
		"classic":          {rdstation.MarketingName, rdstationtest.Marketing, 24 * time.Hour, rdstationtest.Quirks{}},
		"classic, same":    {rdstation.MarketingName, rdstationtest.Marketing, 24 * time.Hour, rdstationtest.Quirks{Rotation: rdstationtest.SameToken, ExpiredStyle: rdstationtest.ExpiredRemapped}},
		"classic, rotates": {rdstation.MarketingName, rdstationtest.Marketing, 24 * time.Hour, rdstationtest.Quirks{Rotation: rdstationtest.RotateKillOld, ExpiredStyle: rdstationtest.ExpiredGateway}},
		"unified":          {rdstation.CRMName, rdstationtest.CRM, 2 * time.Hour, rdstationtest.Quirks{}},
		"unified, keeps":   {rdstation.CRMName, rdstationtest.CRM, 2 * time.Hour, rdstationtest.Quirks{KeepUnifiedAccess: true}},
	} {
		bubble(t, name, func(t *testing.T) {
			account := rdstationtest.New(rdstationtest.Options{Quirks: test.quirks})
			h := newHost(t, account)
			// At the addresses of the descriptor, not of the fake.
			h.config.OAuth[test.provider] = enlace.OAuthApp{ClientID: account.App(test.product).ClientID, ClientSecret: enlace.NewSecret(account.App(test.product).ClientSecret)}
			h.restart()
			if in := h.authorize(test.provider, test.product, nil, account.Transport()); in.Status != enlace.StatusConnected {
				t.Fatalf("%+v", in)
			}
			health := func() error {
				var adapter enlace.HealthChecker = h.marketing
				if test.provider == rdstation.CRMName {
					adapter = rdstation.CRM{}
				}
				return h.note(adapter.CheckHealth(t.Context(), h.conn()))
			}
			for round := range 5 {
				switch round {
				case 1, 2: // it runs out
					time.Sleep(test.life + time.Minute)
				case 3: // before its time
					account.ExpireTokens(test.product)
				case 4: // it is about to run out: replaced while it is still good
					time.Sleep(test.life - time.Second)
				}
				var group sync.WaitGroup
				for range 8 {
					group.Go(func() {
						if err := health(); err != nil {
							t.Errorf("round %d: %v", round, err)
						}
					})
				}
				group.Wait()
				synctest.Wait()
				if got := account.Stats().Refreshes; got != round {
					t.Errorf("round %d: %d refreshes", round, got)
				}
			}
			account.RevokeTokens(test.product)
			if err := health(); !errors.Is(err, enlace.ErrAuth) {
				t.Errorf("revoked: %v", err)
			}
			in := must[enlace.Integration](t)(h.service.Get(t.Context(), h.ref))
			if in.Status != enlace.StatusNeedsReauth {
				t.Errorf("status %s", in.Status)
			}
			cred := must[enlace.Credential](t)(h.service.Safe().Get(t.Context(), enlace.Place{CredentialKey: enlace.CredentialKey{Ref: h.ref, Name: "account"}, Host: "api.rd.services"}))
			h.showsNoSecret(cred.Token.Access.Reveal(), cred.Token.Refresh.Reveal())
		})
	}
}

// TestIdleRefreshToken: the CRM's refresh tokens die after 14 idle days, and Run
// renews them before (sheet Q5).
func TestIdleRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		h := newHost(t, account)
		h.config.HealthInterval = -1 // or it would use the token
		h.restart()
		h.authorize(rdstation.CRMName, rdstationtest.CRM, nil, account.Transport())
		for range 6 { // a program that runs now and then is enough
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = h.service.Run(ctx) })
			time.Sleep(7 * time.Hour)
			stop()
			running.Wait()
			time.Sleep(3 * 24 * time.Hour)
		}
		if err := (rdstation.CRM{}).CheckHealth(t.Context(), h.conn()); err != nil {
			t.Errorf("after 18 idle days: %v", err)
		}
	})
}

// TestTokenOfTheOtherProduct is refused and not used up (T10, F12).
func TestTokenOfTheOtherProduct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		h := newHost(t, account)
		h.connect(rdstation.MarketingName, nil, h.tokens(rdstationtest.CRM))
		if err := h.note(h.marketing.CheckHealth(t.Context(), h.conn())); !errors.Is(err, enlace.ErrAuth) {
			t.Errorf("%v", err)
		}
		h.showsNoSecret()
	})
}

func TestRefusedCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		for _, quirk := range []rdstationtest.Product{rdstationtest.Marketing, rdstationtest.CRM} {
			provider := map[rdstationtest.Product]string{rdstationtest.Marketing: rdstation.MarketingName, rdstationtest.CRM: rdstation.CRMName}[quirk]
			h := newHost(t, account).connect(provider, nil, nil)
			address := must[string](t)(h.service.BeginAuth(t.Context(), h.ref, "https://host.example/callback"))
			request := must[*http.Request](t)(http.NewRequest(http.MethodGet, address, nil))
			query := request.URL.Query()
			query.Set("code", "n0-such-c0de")
			if _, err := h.service.CompleteAuth(t.Context(), query); !errors.Is(h.note(err), enlace.ErrAuth) { // T02, T03
				t.Errorf("%s: %v", provider, err)
			}
			h.showsNoSecret("n0-such-c0de")
		}
	})
}

func TestOverLoopback(t *testing.T) {
	server := rdstationtest.NewServer(rdstationtest.Options{})
	defer server.Close()
	for range 3 {
		server.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": "Oven"})
	}
	server.PutContact(map[string]any{"email": "a+b@example.com"})
	h := newHost(t, server.Account)
	h.config.Transport = nil
	h.config.Egress = enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	h.restart()
	browser := &http.Transport{}
	defer browser.CloseIdleConnections()
	h.authorize(rdstation.MarketingName, rdstationtest.Marketing, map[string]string{"apiUrl": server.APIURL()}, browser)
	into := newInbox()
	h.syncAll(into, "contacts")
	if _, err := h.marketing.Contact(t.Context(), h.conn(), rdstation.ByEmail("a+b@example.com")); err != nil || into.count("contacts") != 1 {
		t.Errorf("%d contacts, %v", into.count("contacts"), err)
	}
	h.authorize(rdstation.CRMName, rdstationtest.CRM, map[string]string{"apiUrl": server.APIURL() + "/crm/v2"}, browser)
	h.syncAll(into, "deals")
	h.connect(rdstation.CRMv1Name, map[string]string{"apiUrl": server.CRMv1URL()}, key(rdstation.SchemeToken, server.CRMUsers()[0].Token))
	user, err := rdstation.CRMv1{}.TokenUser(t.Context(), h.conn())
	if into.count("deals") != 3 || err != nil || user.Email == "" { // T43
		t.Errorf("%d deals, %+v, %v", into.count("deals"), user, err)
	}
	h.showsNoSecret(server.CRMUsers()[0].Token)
}
