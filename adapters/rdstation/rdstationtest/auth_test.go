package rdstationtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

const (
	badRedirect  = `{"errors":{"error_type":"ACCESS_DENIED","error_message":"O parâmetro redirect_uri não contém um valor válido."}}`
	wrongClient  = `{"errors":{"error_type":"ACCESS_DENIED","error_message":"Wrong credentials provided."}}`
	expiredCode  = `{"errors":{"error_type":"EXPIRED_CODE_GRANT","error_message":"The authorization code grant has expired."}}`
	badRefresh   = `{"errors":{"error_type":"INVALID_REFRESH_TOKEN","error_message":"The provided refresh token is invalid or was revoked."}}`
	unauthorized = `{"errors":{"error_type":"UNAUTHORIZED","error_message":"Invalid token."}}`
	gatewayToken = `{"error":"invalid_token","error_description":"The access token is invalid or has expired"}`
	challenge    = `Bearer realm="https://api.rd.services/", error="expired_token", error_description="The access token expired"`
	classicPair  = `{"access_token":"<ANY>","expires_in":86400,"refresh_token":"<ANY>"}`
)

func (c *client) accountInfo() reply {
	c.t.Helper()
	return c.call("GET", "/marketing/account_info", "")
}

func exchange(code string) string {
	return `{"client_id":"cid","client_secret":"sec","code":"` + code + `"}`
}

func refresh(token string) string {
	return `{"client_id":"cid","client_secret":"sec","refresh_token":"` + token + `"}`
}

func TestF1ClassicDialog(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	dialog := c.account.AuthorizeURL(rdstationtest.Marketing)
	for _, query := range []string{"", "?client_id=nobody&redirect_uri=" + callback, "?client_id=cid", "?client_id=cid&redirect_uri=https://evil.example/cb"} {
		c.send("GET", dialog+query, "").want(t, 401, badRedirect)
	}
	for _, name := range []string{"redirect_uri", "redirect_url"} {
		r := c.send("GET", dialog+"?client_id=cid&state="+url.QueryEscape("a b/ç=&")+"&"+name+"="+callback, "")
		target, _ := url.Parse(r.header.Get("Location"))
		if r.status != 302 || !strings.HasPrefix(target.String(), callback+"?") || target.Query().Get("state") != "a b/ç=&" || target.Query().Get("code") == "" {
			t.Errorf("%s: %d %s", name, r.status, target)
		}
	}
}

func TestF2RedirectIsExact(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	for _, other := range []string{callback + "/", strings.ToUpper(callback), callback + "?x=1", callback + "#a"} {
		c.send("GET", c.account.AuthorizeURL(rdstationtest.Marketing)+"?client_id=cid&redirect_uri="+url.QueryEscape(other), "").want(t, 401, badRedirect)
	}
}

func TestF2NewCallbacksTakeTime(t *testing.T) {
	c := newClient(t, rdstationtest.Options{CallbackDelay: time.Hour})
	c.account.SetRedirects("cid", "https://new.example/cb")
	address := c.account.AuthorizeURL(rdstationtest.Marketing) + "?client_id=cid&redirect_uri=https://new.example/cb"
	c.send("GET", address, "").want(t, 401, badRedirect)
	c.account.Advance(time.Hour)
	c.send("GET", address, "").wantStatus(t, 302)
}

func TestF3CodesWorkOnceWithinTheHour(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	late, code := c.classicCode(), c.classicCode()
	c.json("/auth/token", `{"client_id":"cid","client_secret":"nope","code":"`+code+`"}`).want(t, 401, wrongClient)
	c.json("/auth/token", exchange("unknown")).want(t, 401, wrongClient)
	c.json("/auth/token", exchange(code)).want(t, 200, classicPair)
	c.json("/auth/token", exchange(code)).want(t, 401, expiredCode)
	c.account.Advance(time.Hour)
	c.json("/auth/token", exchange(late)).want(t, 401, expiredCode)
}

func TestF4TokenTakesJSONAndForms(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	for _, path := range []string{"/auth/token", "/auth/token?token_by=code", "/auth/token?token_by=refresh_token"} {
		c.json(path, exchange(c.classicCode())).want(t, 200, classicPair)
		form := c.form(path, url.Values{"client_id": {"cid"}, "client_secret": {"sec"}, "code": {c.classicCode()}, "grant_type": {"authorization_code"}, "redirect_uri": {"anything"}})
		form.want(t, 200, classicPair)
		c.form(path, url.Values{"client_id": {"cid"}, "client_secret": {"sec"}, "refresh_token": {form.at("refresh_token").(string)}, "grant_type": {"refresh_token"}}).want(t, 200, classicPair)
	}
	c.send("POST", c.account.TokenURL(rdstationtest.Marketing), "x", "Content-Type", "text/plain").wantStatus(t, 415)
	c.json("/auth/token", `{"client_id":`).contains(t, 400, "errors", `{"error_type":"BAD_REQUEST"}`)
}

func TestF5MissingFields(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	for _, field := range []string{"client_id", "client_secret", "code"} {
		fields := map[string]string{"client_id": "cid", "client_secret": "sec", "code": "C3"}
		delete(fields, field)
		c.json("/auth/token", encode(fields)).want(t, 400, `{"errors":[{"error_type":"CANNOT_BE_NULL","error_message":"Cannot be null.","path":"body.`+field+`"}]}`)
	}
}

func TestF6SuccessHasThreeKeys(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	r := c.json("/auth/token", exchange(c.classicCode()))
	r.want(t, 200, classicPair)
	if parts := strings.Split(r.at("access_token").(string), "."); len(parts) != 3 {
		t.Errorf("%s does not look like a JWT", r.at("access_token"))
	}
}

func TestF7Rotation(t *testing.T) {
	for rotation, want := range map[rdstationtest.Rotation]struct {
		same bool
		old  int
	}{rdstationtest.RotateKeepOld: {false, 200}, rdstationtest.SameToken: {true, 200}, rdstationtest.RotateKillOld: {false, 401}} {
		c := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{Rotation: rotation}})
		first := c.account.Authorize("cid").RefreshToken
		second := c.json("/auth/token", refresh(first)).at("refresh_token").(string)
		if (first == second) != want.same {
			t.Errorf("rotation %d: first %q, second %q", rotation, first, second)
		}
		c.json("/auth/token", refresh(second)).want(t, 200, classicPair)
		if r := c.json("/auth/token", refresh(first)); r.status != want.old {
			t.Errorf("rotation %d: the old token gets %d", rotation, r.status)
		}
	}
}

func TestF7OtherErrorShapes(t *testing.T) {
	c := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{UnwrappedErrors: true}})
	c.json("/auth/token", refresh("dead")).want(t, 401, `{"error_type":"INVALID_REFRESH_TOKEN","error_message":"The provided refresh token is invalid or was revoked."}`)
	c = newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{ArrayErrors: true}})
	c.json("/auth/token", refresh("dead")).contains(t, 401, "errors.0", `{"error_type":"INVALID_REFRESH_TOKEN"}`)
}

func TestF8AccessTokenDiesAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, rdstationtest.Options{})
		time.Sleep(86399 * time.Second)
		c.accountInfo().wantStatus(t, 200)
		time.Sleep(time.Second)
		c.accountInfo().wantStatus(t, 401)
	})
}

func TestF9ExpiryStyles(t *testing.T) {
	for style, want := range map[rdstationtest.ExpiredStyle]struct{ body, header string }{
		rdstationtest.ExpiredHeader: {unauthorized, "WWW-Authenticate"}, rdstationtest.ExpiredRemapped: {unauthorized, "x-amzn-remapped-www-authenticate"}, rdstationtest.ExpiredGateway: {gatewayToken, ""},
	} {
		c := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{ExpiredStyle: style}})
		c.account.ExpireTokens(rdstationtest.Marketing)
		r := c.accountInfo()
		r.want(t, 401, want.body)
		for _, header := range []string{"WWW-Authenticate", "x-amzn-remapped-www-authenticate"} {
			wanted := ""
			if header == want.header {
				wanted = challenge
			}
			if got := r.header.Get(header); got != wanted {
				t.Errorf("style %d: %s is %q, want %q", style, header, got, wanted)
			}
		}
	}
}

func TestF10InvalidAndMissingTokens(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.bearer = "unknown"
	r := c.accountInfo()
	r.want(t, 401, unauthorized)
	if r.header.Get("WWW-Authenticate") != "" {
		t.Error("an unknown token is told apart from an expired one by the header")
	}
	c.bearer = c.account.Authorize("cid").RefreshToken
	c.accountInfo().want(t, 401, unauthorized)
	c.send("GET", c.account.APIURL()+"/marketing/account_info", "").want(t, 401, `{"error":"invalid_request","error_description":"The access token is missing"}`)
}

func TestF11Revoke(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	pair := c.account.Authorize("cid")
	c.bearer = pair.AccessToken
	c.json("/auth/revoke", `{"token":"`+pair.AccessToken+`"}`).wantStatus(t, 415)
	c.form("/auth/revoke", url.Values{"token": {"unknown"}, "token_type_hint": {"access_token"}}).want(t, 401, unauthorized)
	c.form("/auth/revoke", url.Values{"token": {pair.AccessToken}, "token_type_hint": {"access_token"}}).want(t, 200, `{}`)
	c.accountInfo().want(t, 401, unauthorized)
	c.json("/auth/token", refresh(pair.RefreshToken)).want(t, 401, badRefresh)
	c.form("/auth/revoke", url.Values{"token": {pair.AccessToken}}).want(t, 401, unauthorized)
}

func TestF12TokenOfTheOtherProduct(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.bearer, c.crm = c.crm, c.bearer
	c.accountInfo().want(t, 401, gatewayToken)
	c.call("GET", "/crm/v2/users", "").want(t, 401, gatewayToken)
	c.send("GET", c.account.CRMv1URL()+"/token/check", "", "Authorization", "Bearer "+c.bearer).want(t, 401, `{"error":"Permission denied."}`)
}

func crmExchange(code, redirect string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "client_id": {"crm-cid"}, "client_secret": {"crm-sec"}, "code": {code}, "redirect_uri": {redirect}}
}

func crmRefresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {"crm-cid"}, "client_secret": {"crm-sec"}, "refresh_token": {token}}
}

func gatewayError(code, description string) string {
	return `{"error":"` + code + `","error_description":"` + description + `"}`
}

func TestF13UnifiedTokens(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.json("/oauth2/token", encode(map[string]string{"grant_type": "refresh_token"})).want(t, 400, gatewayError("unsupported_grant_type", "Invalid grant_type"))
	c.form("/oauth2/token", url.Values{"grant_type": {"password"}}).want(t, 400, gatewayError("unsupported_grant_type", "Invalid grant_type"))
	wrong := crmRefresh("x")
	wrong.Set("client_secret", "no")
	c.form("/oauth2/token", wrong).want(t, 400, gatewayError("invalid_client", "Invalid client authentication"))
	code := c.unifiedCode()
	c.form("/oauth2/token", crmExchange(code, callback+"/")).contains(t, 400, "", `{"error":"invalid_request"}`)
	r := c.form("/oauth2/token", crmExchange(code, callback))
	r.want(t, 200, `{"access_token":"<ANY>","refresh_token":"<ANY>","expires_in":7200,"token_type":"bearer"}`)
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Pragma") != "no-cache" || len(r.at("access_token").(string)) != 32 || len(r.at("refresh_token").(string)) != 32 {
		t.Errorf("%v %s", r.header, r.text)
	}
	c.form("/oauth2/token", crmExchange(code, callback)).want(t, 400, gatewayError("invalid_request", "Invalid code"))

	late := c.unifiedCode()
	c.account.Advance(5 * time.Minute)
	c.form("/oauth2/token", crmExchange(late, callback)).want(t, 400, gatewayError("invalid_request", "Invalid code"))

	first := r.at("refresh_token").(string)
	second := c.form("/oauth2/token", crmRefresh(first)).wantStatus(t, 200)
	c.form("/oauth2/token", crmRefresh(first)).want(t, 400, gatewayError("invalid_request", "Invalid refresh_token"))
	c.crm = r.at("access_token").(string)
	c.call("GET", "/crm/v2/users", "").want(t, 401, gatewayToken)
	c.crm = second.at("access_token").(string)
	c.call("GET", "/crm/v2/users", "").wantStatus(t, 200)
	c.account.Advance(2 * time.Hour)
	c.call("GET", "/crm/v2/users", "").want(t, 401, gatewayToken)
	c.account.Advance(14 * 24 * time.Hour)
	c.form("/oauth2/token", crmRefresh(second.at("refresh_token").(string))).want(t, 400, gatewayError("invalid_request", "Invalid refresh_token"))
}

func TestF13UnifiedDialog(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	dialog := c.account.AuthorizeURL(rdstationtest.CRM)
	c.send("GET", dialog+"?client_id=crm-cid&redirect_uri="+callback, "").contains(t, 400, "", `{"error":"unsupported_response_type"}`)
	c.send("GET", dialog+"?response_type=code&client_id=cid&redirect_uri="+callback, "").contains(t, 400, "", `{"error":"invalid_client"}`)
	c.send("GET", dialog+"?response_type=code&client_id=crm-cid&redirect_uri=https://evil.example", "").contains(t, 400, "", `{"error":"invalid_request"}`)
}

func TestF13KeepAccessQuirk(t *testing.T) {
	c := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{KeepUnifiedAccess: true}})
	pair := c.account.Authorize("crm-cid")
	c.crm = pair.AccessToken
	c.form("/oauth2/token", crmRefresh(pair.RefreshToken)).wantStatus(t, 200)
	c.call("GET", "/crm/v2/users", "").wantStatus(t, 200)
}

func TestF14ConcurrentRefresh(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	token := c.account.Authorize("crm-cid").RefreshToken
	var group sync.WaitGroup
	replies := make([]reply, 8)
	for i := range replies {
		group.Go(func() { replies[i] = c.form("/oauth2/token", crmRefresh(token)) })
	}
	group.Wait()
	won := 0
	for _, r := range replies {
		if r.status == 200 {
			won++
			continue
		}
		r.want(t, 400, gatewayError("invalid_request", "Invalid refresh_token"))
	}
	if won != 1 {
		t.Errorf("%d refreshes won", won)
	}
}

func TestF15CommonRefusals(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	auth := []string{"Authorization", "Bearer " + c.bearer}
	c.send("POST", c.account.APIURL()+"/platform/contacts", `{}`, append(auth, "Content-Type", "text/plain")...).
		want(t, 415, `{"errors":{"error_type":"UNSUPPORTED_MEDIA_TYPE","error_message":"The payload is in a format not supported by this method on the target resource."}}`)
	c.send("POST", c.account.APIURL()+"/platform/contacts", `{}`, auth...).wantStatus(t, 415)
	c.send("GET", c.account.APIURL()+"/platform/contacts/fields", ``, auth...).wantStatus(t, 200)
	c.call("POST", "/platform/contacts", `{"email":`).
		want(t, 400, `{"errors":{"error_type":"BAD_REQUEST","error_message":"Could not parse the body of the request according to the provided Content-Type."}}`)
	c.call("POST", "/platform/contacts", strings.Repeat("[", 100_000)).wantStatus(t, 400)
	c.call("GET", "/platform/segmentations?search="+strings.Repeat("a", 8192), "").wantStatus(t, 414)
	c.call("GET", "/platform/nothing", "").want(t, 404, `{"message":"no Route matched with those values"}`)
	r := c.call("DELETE", "/marketing/account_info", "")
	if r.status != 405 || r.header.Get("Allow") != "GET" {
		t.Errorf("%d %v", r.status, r.header)
	}
	c.send("GET", c.account.CRMv1URL()+"/nothing", "").wantStatus(t, 404)
	c.call("POST", "/platform/contacts", `{"email":"`+strings.Repeat("a", 5<<20)+`"}`).wantStatus(t, 413)

	strict := newClient(t, rdstationtest.Options{Quirks: rdstationtest.Quirks{ContentTypeOnGet: true}})
	strict.send("GET", strict.account.APIURL()+"/platform/contacts/fields", ``, "Authorization", "Bearer "+strict.bearer).wantStatus(t, 415)
}

func TestF15HostsKeepToTheirPaths(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.send("GET", "https://api.rd.services/api/v1/token/check?token=TK", "").wantStatus(t, 404)
	c.send("GET", "https://crm.rdstation.com/marketing/account_info", "", "Authorization", "Bearer "+c.bearer).wantStatus(t, 404)
	c.send("GET", "https://api.rd.services/oauth/authorize", "").wantStatus(t, 404)
}

func TestF16Faults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, rdstationtest.Options{})
		fault := func(kind rdstationtest.FaultKind) {
			c.account.Fault(rdstationtest.Fault{Route: "GET /marketing/account_info", Kind: kind, Delay: 31 * time.Second})
		}
		fault(rdstationtest.Unavailable)
		c.accountInfo().want(t, 500, `{"errors":{"error_type":"SERVICE_UNAVAILABLE","error_message":"Service temporarily unavailable"}}`)
		for kind, status := range map[rdstationtest.FaultKind]int{rdstationtest.HTML500: 500, rdstationtest.HTML502: 502} {
			fault(kind)
			if r := c.accountInfo().wantStatus(t, status); !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
				t.Errorf("%v", r.header)
			}
		}
		begin := time.Now()
		fault(rdstationtest.Slow)
		if c.accountInfo().wantStatus(t, 200); time.Since(begin) != 31*time.Second {
			t.Errorf("took %v", time.Since(begin))
		}
		fault(rdstationtest.Hang)
		impatient := c.http()
		impatient.Timeout = 31 * time.Second
		begin = time.Now()
		if _, err := impatient.Get(c.account.APIURL() + "/marketing/account_info"); err == nil || time.Since(begin) != 31*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		for _, kind := range []rdstationtest.FaultKind{rdstationtest.Reset, rdstationtest.LostAnswer, rdstationtest.BrokenBody} {
			fault(kind)
			if _, err := c.try("GET", c.account.APIURL()+"/marketing/account_info", "", "Authorization", "Bearer "+c.bearer); err == nil {
				t.Errorf("fault %d: no error", kind)
			}
		}
		fault(rdstationtest.TruncatedJSON)
		if r := c.accountInfo().wantStatus(t, 200); r.body != nil {
			t.Errorf("whole body %s", r.text)
		}
		fault(rdstationtest.ExpiredToken)
		c.accountInfo().want(t, 401, unauthorized)
		c.account.Fault(rdstationtest.Fault{Route: "/crm/v2/", Kind: rdstationtest.ExpiredToken})
		c.call("GET", "/crm/v2/users", "").want(t, 401, gatewayToken)
		c.account.Fault(rdstationtest.Fault{Route: "/marketing/", Kind: rdstationtest.RateLimited, Delay: 7 * time.Second, After: 1, Times: -1})
		c.accountInfo().wantStatus(t, 200)
		for range 2 {
			if r := c.accountInfo().wantStatus(t, 429); r.header.Get("Retry-After") != "7" {
				t.Errorf("%v", r.header)
			}
		}
		c.account.ClearFaults()
		c.account.Fault(rdstationtest.Fault{Kind: rdstationtest.Respond, Status: 418, Header: map[string]string{"X-Pot": "tea"}, Body: `{"short":true}`})
		if r := c.accountInfo(); r.status != 418 || r.header.Get("X-Pot") != "tea" || r.at("short") != true {
			t.Errorf("%d %v %s", r.status, r.header, r.text)
		}
		c.accountInfo().wantStatus(t, 200)
	})
}

func TestF16FaultsOverTCP(t *testing.T) {
	server := rdstationtest.NewServer(rdstationtest.Options{})
	defer server.Close()
	for _, kind := range []rdstationtest.FaultKind{rdstationtest.Reset, rdstationtest.LostAnswer} {
		server.Fault(rdstationtest.Fault{Kind: kind, Times: -1})
		if response, err := http.Get(server.URL + "/marketing/account_info"); err == nil {
			response.Body.Close()
			t.Errorf("fault %d: %d", kind, response.StatusCode)
		}
		server.ClearFaults()
	}
	response, err := http.Get(server.URL + "/marketing/account_info")
	if err != nil || response.StatusCode != 401 {
		t.Fatal(err)
	}
	response.Body.Close()
}

func TestErrorShapes(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	shapes := rdstationtest.ErrorShapes()
	if strings.Join(shapes, "") != "ABCDEFGHIJKLM" {
		t.Errorf("shapes %v", shapes)
	}
	for _, shape := range shapes {
		c.account.Fault(rdstationtest.Fault{Kind: rdstationtest.Shape, Shape: shape})
		r := c.accountInfo()
		if r.status < 400 || (r.body == nil) != (shape == "M") {
			t.Errorf("%s: %d %s", shape, r.status, r.text)
		}
	}
}

func TestT01ClassicExchange(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.json("/auth/token?token_by=code", exchange(c.classicCode())).want(t, 200, classicPair)
}

func TestT02CodeReused(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	code := c.classicCode()
	c.json("/auth/token?token_by=code", exchange(code))
	c.json("/auth/token?token_by=code", exchange(code)).want(t, 401, expiredCode)
}

func TestT03WrongSecret(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.json("/auth/token", `{"client_id":"cid","client_secret":"nope","code":"C2"}`).want(t, 401, wrongClient)
}

func TestT04ClassicRefresh(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	r := c.json("/auth/token", refresh(c.account.Authorize("cid").RefreshToken))
	r.want(t, 200, classicPair)
	c.bearer = r.at("access_token").(string)
	c.accountInfo().wantStatus(t, 200)
	if refreshes := c.account.Stats().Refreshes; refreshes != 1 {
		t.Errorf("%d refreshes", refreshes)
	}
}

func TestT05RefreshAfterRevocation(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	pair := c.account.Authorize("cid")
	c.account.RevokeTokens(rdstationtest.Marketing)
	c.json("/auth/token", refresh(pair.RefreshToken)).want(t, 401, badRefresh)
}

func TestT06FieldMissing(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.json("/auth/token", `{"client_id":"cid","code":"C3"}`).want(t, 400, `{"errors":[{"error_type":"CANNOT_BE_NULL","error_message":"Cannot be null.","path":"body.client_secret"}]}`)
}

func TestT07Revoke(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.send("POST", c.account.APIURL()+"/auth/revoke", "token="+c.bearer+"&token_type_hint=access_token", "Authorization", "Bearer "+c.bearer, "Content-Type", "application/x-www-form-urlencoded").want(t, 200, `{}`)
}

func TestT08UnifiedRefresh(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	old := c.account.Authorize("crm-cid").RefreshToken
	c.form("/oauth2/token", crmRefresh(old)).want(t, 200, `{"access_token":"<ANY>","refresh_token":"<ANY>","expires_in":7200,"token_type":"bearer"}`)
	c.form("/oauth2/token", crmRefresh(old)).wantStatus(t, 400)
}

func TestT09Expired(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.account.Advance(24 * time.Hour)
	r := c.accountInfo()
	r.want(t, 401, unauthorized)
	if got := r.header.Get("WWW-Authenticate"); got != challenge {
		t.Error(got)
	}
}

func TestT10OtherProduct(t *testing.T) {
	c := newClient(t, rdstationtest.Options{})
	c.bearer = c.crm
	c.accountInfo().want(t, 401, gatewayToken)
}

func TestT11HealthCheck(t *testing.T) {
	newClient(t, rdstationtest.Options{}).accountInfo().want(t, 200, `{"name":"www.padaria-aurora.com.br"}`)
}
