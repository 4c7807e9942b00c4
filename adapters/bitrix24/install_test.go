package bitrix24_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// verify proves an installation over the portal's own authorization server.
func verify(t *testing.T, portal *bitrix24test.Portal, in bitrix24.Install) (bitrix24.Account, error) {
	return bitrix24.VerifyInstall(t.Context(), in, bitrix24.InstallOptions{ClientID: portal.ClientID(), Client: &http.Client{Transport: portal.Transport()}})
}

// TestInstallation goes from the event of an installation to a working integration
// whose deliveries are proved (T24).
func TestInstallation(t *testing.T) {
	live(t, bitrix24test.Options{}, func(h *host, box *letterbox) {
		h.portal.Install()
		h.portal.Drain()
		body := box.got[len(box.got)-1].Body
		in, err := bitrix24.ParseInstall(nil, body)
		if err != nil || in.Event != bitrix24.EventInstall || in.Version != "1" {
			h.t.Fatalf("%+v, %v", in, err)
		}
		account, err := verify(h.t, h.portal, in)
		if err != nil {
			h.t.Fatal(err)
		}
		if account.MemberID != h.portal.MemberID() || account.Portal != h.portal.Host() || account.AuthServer != "oauth.bitrix.info" {
			h.t.Errorf("%+v", account)
		}
		if s := account.Credential.WebhookSecrets; len(s) != 1 || s[0].Reveal() != h.portal.ApplicationToken() {
			h.t.Error("the application token is not there")
		}
		made, err := h.service.Create(h.t.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Credential: &account.Credential,
			Settings: map[string]string{"portal": account.Portal, "authServer": account.AuthServer}})
		if err != nil {
			h.t.Fatal(err)
		}
		h.ref = made.Ref
		if info, err := bitrix24.GetAppInfo(h.t.Context(), h.conn()); err != nil || !info.Installed || info.LicenseFamily != "pro" || info.Code == "" {
			h.t.Errorf("%+v, %v", info, err)
		}
		if got := h.conn().Attribute("member_id"); got != h.portal.MemberID() {
			h.t.Error(got)
		}
		time.Sleep(2 * time.Hour) // the token that came along is refreshed
		if err := (bitrix24.Adapter{}).CheckHealth(h.t.Context(), h.conn()); err != nil {
			h.t.Error(err)
		}
		// An update brings another application token.
		before := h.portal.ApplicationToken()
		h.portal.UpdateApp(true)
		h.portal.Drain()
		in, err = bitrix24.ParseInstall(nil, box.got[len(box.got)-1].Body)
		if err != nil || in.Event != bitrix24.EventUpdate || in.ApplicationToken.Reveal() == before {
			h.t.Errorf("%+v, %v", in, err)
		}
		if _, err := verify(h.t, h.portal, in); err != nil {
			h.t.Error(err)
		}
		// The page of the application.
		query, form := h.portal.OpenApp(12)
		in, err = bitrix24.ParseInstall(query, []byte(form.Encode()))
		if err != nil || in.Event != "" || in.Placement != "DEFAULT" || time.Until(in.Expires) != time.Hour {
			h.t.Fatalf("%+v, %v", in, err)
		}
		account, err = verify(h.t, h.portal, in)
		if err != nil || account.Credential.Token.Refresh.IsZero() || account.Credential.Token.Scopes[0] != "crm" {
			h.t.Errorf("%+v, %v", account, err)
		}
	})
}

// TestForgedInstallations are not believed.
func TestForgedInstallations(t *testing.T) {
	portal := bitrix24test.New(bitrix24test.Options{})
	tokens := portal.Authorize()
	good := bitrix24.Install{Portal: portal.Host(), MemberID: portal.MemberID(), AccessToken: enlace.NewSecret(tokens.AccessToken), ServerEndpoint: tokens.ServerEndpoint}
	if _, err := verify(t, portal, good); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		forge func(in *bitrix24.Install)
		kind  error
	}{
		"another portal's id":        {func(in *bitrix24.Install) { in.MemberID = strings.Repeat("0", 32) }, enlace.ErrAuth},
		"another host":               {func(in *bitrix24.Install) { in.Portal = "evil.example" }, enlace.ErrAuth},
		"another token":              {func(in *bitrix24.Install) { in.AccessToken = enlace.NewSecret("guessed") }, enlace.ErrAuth},
		"no token":                   {func(in *bitrix24.Install) { in.AccessToken = enlace.Secret{} }, enlace.ErrProtocol},
		"a server of its own":        {func(in *bitrix24.Install) { in.ServerEndpoint = "https://evil.example/rest/" }, enlace.ErrBlocked},
		"a server that looks alike":  {func(in *bitrix24.Install) { in.ServerEndpoint = "https://oauth.bitrix.info.evil.example/rest/" }, enlace.ErrBlocked},
		"a server behind a user":     {func(in *bitrix24.Install) { in.ServerEndpoint = "https://oauth.bitrix.info@evil.example/rest/" }, enlace.ErrBlocked},
		"a user before a server":     {func(in *bitrix24.Install) { in.ServerEndpoint = "https://x@oauth.bitrix.info/rest/" }, enlace.ErrBlocked},
		"another port":               {func(in *bitrix24.Install) { in.ServerEndpoint = "https://oauth.bitrix.info:8443/rest/" }, enlace.ErrBlocked},
		"plain http":                 {func(in *bitrix24.Install) { in.ServerEndpoint = "http://oauth.bitrix.info/rest/" }, enlace.ErrBlocked},
		"no server":                  {func(in *bitrix24.Install) { in.ServerEndpoint = "" }, enlace.ErrBlocked},
		"no address":                 {func(in *bitrix24.Install) { in.ServerEndpoint = "::" }, enlace.ErrBlocked},
		"the other server in fact":   {func(in *bitrix24.Install) { in.ServerEndpoint = "https://oauth.bitrix24.tech/rest/" }, nil},
		"a path on the right server": {func(in *bitrix24.Install) { in.ServerEndpoint = "https://oauth.bitrix.info/evil/?x=1#y" }, nil},
	} {
		in := good
		test.forge(&in)
		account, err := verify(t, portal, in)
		if test.kind == nil && name == "the other server in fact" {
			continue // the fake knows one server only
		}
		if !errors.Is(err, test.kind) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (account.Credential.Token != nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), tokens.AccessToken)) {
			t.Errorf("%s: something leaks: %v", name, err)
		}
	}
	other := bitrix24.InstallOptions{ClientID: "app.other", Client: &http.Client{Transport: portal.Transport()}}
	if _, err := bitrix24.VerifyInstall(t.Context(), good, other); !errors.Is(err, enlace.ErrAuth) {
		t.Error("a token of another application:", err)
	}
	if _, err := bitrix24.VerifyInstall(t.Context(), good, bitrix24.InstallOptions{}); !errors.Is(err, enlace.ErrInvalid) {
		t.Error(err)
	}
	for _, body := range []string{"", "x=1", "event=ONAPPUNINSTALL", "event=ONCRMCONTACTADD&data[FIELDS][ID]=1", "event=ONAPPINSTALL", "AUTH_ID=x&member_id=y",
		"event=ONAPPINSTALL&auth[domain]=x&auth[member_id]=y", "%zz", "AUTH_ID=x&AUTH_ID=y&member_id=z"} {
		if in, err := bitrix24.ParseInstall(url.Values{}, []byte(body)); !errors.Is(err, enlace.ErrProtocol) {
			t.Errorf("%s: %+v, %v", body, in, err)
		}
	}
}

// TestAuthorizationServersAnswers are judged before anything is believed.
func TestAuthorizationServersAnswers(t *testing.T) {
	in := bitrix24.Install{Portal: "acme.bitrix24.com", MemberID: "m", AccessToken: enlace.NewSecret("AT-secret")}
	const install = `"client_id":"app.1","member_id":"m","client_endpoint":"https://acme.bitrix24.com/rest/"`
	for _, test := range []struct {
		status int
		body   string
		kind   error
	}{
		{200, `{"result":{` + install + `}}`, nil},
		{200, `{"result":{"client_id":"app.1","install":{"member_id":"m","client_endpoint":"https://acme.bitrix24.com/rest/"}}}`, nil},
		{200, `{"result":{` + install + `,"install":{"member_id":"x"}}}`, nil},
		{200, `{"result":{"client_id":"app.1","install":[]}}`, enlace.ErrAuth},
		{200, `{"result":{"client_id":"app.1","member_id":"m"}}`, enlace.ErrAuth},
		{200, `{"result":{"client_id":"","member_id":"m","client_endpoint":"https://acme.bitrix24.com/rest/"}}`, enlace.ErrAuth},
		{200, `{"result":{"client_id":"app.1","member_id":"m","client_endpoint":"%zz"}}`, enlace.ErrAuth},
		{200, `{"result":[]}`, enlace.ErrProtocol},
		{200, `{}`, enlace.ErrProtocol},
		{200, `<html>`, enlace.ErrProtocol},
		{200, `{"error":"wrong_client"}`, enlace.ErrMisconfigured},
		{401, `{"error":"expired_token","error_description":"AT-secret"}`, enlace.ErrAuth},
		{400, `{"error":"AT-secret"}`, enlace.ErrInvalid},
		{302, ``, enlace.ErrMoved},
		{503, `<html>`, enlace.ErrUnavailable},
	} {
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			form, _ := io.ReadAll(r.Body)
			if r.URL.RawQuery != "" || r.Method != http.MethodPost || string(form) != "auth=AT-secret" || r.URL.Host != "127.0.0.1:8443" {
				t.Errorf("sent %s %s %s", r.Method, r.URL, form)
			}
			h := http.Header{}
			if test.status == 302 {
				h.Set("Location", "https://evil.example/rest/app.info")
			}
			return &http.Response{StatusCode: test.status, Header: h, Body: io.NopCloser(strings.NewReader(test.body)), Request: r}, nil
		})}
		_, err := bitrix24.VerifyInstall(t.Context(), in, bitrix24.InstallOptions{ClientID: "app.1", Client: client, AuthServer: "https://127.0.0.1:8443/"})
		if !errors.Is(err, test.kind) {
			t.Errorf("%d %s: %v", test.status, test.body, err)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "AT-secret") {
			t.Errorf("%s: the token is in %v", test.body, err)
		}
	}
	broken := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) { return nil, errors.New("broken AT-secret") })}
	if _, err := bitrix24.VerifyInstall(t.Context(), in, bitrix24.InstallOptions{ClientID: "app.1", Client: broken, AuthServer: "https://127.0.0.1:8443"}); !errors.Is(err, enlace.ErrUnavailable) || strings.Contains(err.Error(), "AT-secret") {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bitrix24.VerifyInstall(ended, in, bitrix24.InstallOptions{ClientID: "app.1", AuthServer: "https://127.0.0.1:1"}); !errors.Is(err, enlace.ErrCanceled) {
		t.Error(err)
	}
}
