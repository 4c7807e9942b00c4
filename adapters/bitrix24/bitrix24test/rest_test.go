package bitrix24test_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func TestF01EveryFormOfACallGivesTheSame(t *testing.T) {
	p := seeded(60)
	query := "entityTypeId=3&filter[>id]=3&filter[@id][]=4&filter[@id][]=9&select[0]=id&start=-1"
	jsonBody := `{"entityTypeId":3,"filter":{">id":3,"@id":[4,9]},"select":["id"],"start":-1}`

	multi := &bytes.Buffer{}
	writer := multipart.NewWriter(multi)
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		writer.WriteField(key, value)
	}
	writer.Close()

	token := p.Authorize().AccessToken
	webhook, rest := p.WebhookURL()+"crm.item.list", p.RESTURL()+"crm.item.list"
	requests := map[string]*http.Request{
		"GET":             newRequest(t, "GET", webhook+"?"+query, "", ""),
		"GET .json":       newRequest(t, "GET", webhook+".json?"+query, "", ""),
		"GET slash":       newRequest(t, "GET", webhook+"/?"+query, "", ""),
		"GET .json slash": newRequest(t, "GET", webhook+".json/?"+query, "", ""),
		"JSON":            newRequest(t, "POST", webhook, "application/json; charset=utf-8", jsonBody),
		"form":            newRequest(t, "POST", webhook, "application/x-www-form-urlencoded", query),
		"escaped form":    newRequest(t, "POST", webhook, "application/x-www-form-urlencoded", strings.NewReplacer("[", "%5B", "]", "%5D", ">", "%3E", "@", "%40").Replace(query)),
		"multipart":       newRequest(t, "POST", webhook, writer.FormDataContentType(), multi.String()),
		"OAuth GET":       newRequest(t, "GET", rest+"?auth="+token+"&"+query, "", ""),
		"OAuth JSON":      newRequest(t, "POST", rest+".json/", "application/json", `{"auth":"`+token+`",`+jsonBody[1:]),
		"OAuth form":      newRequest(t, "POST", rest, "application/x-www-form-urlencoded", "auth="+token+"&"+query),
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			do(t, p, request).wantBody(t, 200, `{"result":{"items":[{"id":4},{"id":9}]},"total":0,"time":"<TIME>"}`)
		})
	}
	if put := do(t, p, newRequest(t, "PUT", webhook, "application/json", jsonBody)); put.status != 405 {
		t.Errorf("PUT is answered with %d", put.status)
	}
}

func TestF02QueryAndBodyAreMerged(t *testing.T) {
	p := seeded(5)
	r := post(t, p, p.WebhookURL()+"crm.item.list?entityTypeId=3&start=0", `{"filter":{"<=id":2},"select":["id"],"start":-1}`)
	r.wantBody(t, 200, `{"result":{"items":[{"id":1},{"id":2}]},"total":0,"time":"<TIME>"}`)
}

func TestF03MethodNames(t *testing.T) {
	p := seeded(5)
	if r := call(t, p, "Crm.Item.LIST", `{"entityTypeId":3}`); r.status != 200 {
		t.Errorf("mixed case: %d %s", r.status, r.text)
	}
	for _, address := range []string{
		p.WebhookURL() + "no.such.method", p.RESTURL() + "1/WRONG/no.such.method", p.RESTURL() + "no.such.method",
		p.RESTURL() + "SECRET/server.time", p.RESTURL() + "api/1/SECRET/server.time",
	} {
		post(t, p, address, `{}`).wantError(t, 404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
	}
}

func TestF04CallWithoutToken(t *testing.T) {
	p := portal(bitrix24test.Options{})
	post(t, p, p.RESTURL()+"profile", `{}`).wantError(t, 401, "NO_AUTH_FOUND", "Wrong authorization data")

	bearer := func(p *bitrix24test.Portal) reply {
		request := newRequest(t, "POST", p.RESTURL()+"profile", "application/json", `{}`)
		request.Header.Set("Authorization", "Bearer "+p.Authorize().AccessToken)
		return do(t, p, request)
	}
	bearer(p).wantError(t, 401, "NO_AUTH_FOUND", "Wrong authorization data")
	if r := bearer(portal(bitrix24test.Options{Quirks: bitrix24test.Quirks{AcceptBearer: true}})); r.status != 200 {
		t.Errorf("AcceptBearer: %d %s", r.status, r.text)
	}
}

func TestF05WrongWebhook(t *testing.T) {
	p := portal(bitrix24test.Options{})
	for _, path := range []string{"1/WRONG/", "2/SECRET/"} {
		post(t, p, p.RESTURL()+path+"profile", `{}`).wantError(t, 401, "INVALID_CREDENTIALS", "Invalid request credentials")
	}
	p = portal(bitrix24test.Options{Quirks: bitrix24test.Quirks{InvalidCredentials403: true}})
	post(t, p, p.RESTURL()+"1/WRONG/profile", `{}`).wantError(t, 403, "INVALID_CREDENTIALS", "Invalid request credentials")
}

func TestF06ExpiredAndUnknownTokens(t *testing.T) {
	p := portal(bitrix24test.Options{})
	token := p.Authorize().AccessToken
	body := `{"auth":"` + token + `"}`
	if r := post(t, p, p.RESTURL()+"profile", body); r.status != 200 {
		t.Fatalf("a good token: %d %s", r.status, r.text)
	}
	p.ExpireTokens()
	post(t, p, p.RESTURL()+"profile", body).wantError(t, 401, "expired_token", "The access token provided has expired.")
	post(t, p, p.RESTURL()+"profile", `{"auth":"nonsense"}`).wantError(t, 401, "invalid_token", "Unable to get application by token")
	refresh := p.Authorize().RefreshToken
	post(t, p, p.RESTURL()+"profile", `{"auth":"`+refresh+`"}`).wantError(t, 401, "invalid_token", "Unable to get application by token")
}

func TestF07Scope(t *testing.T) {
	p := portal(bitrix24test.Options{Scopes: []string{"user"}})
	const webhook = "The request requires higher privileges than provided by the webhook token"
	call(t, p, "crm.contact.list", `{}`).wantError(t, 403, "insufficient_scope", webhook)
	call(t, p, "task.item.list", `{}`).wantError(t, 403, "insufficient_scope", webhook)
	call(t, p, "batch", `{"cmd":{"c":"crm.contact.list"}}`).want(t, "result.result_error", `{"c":{"error":"insufficient_scope","error_description":""}}`)
	call(t, p, "method.get", `{"name":"crm.contact.list"}`).want(t, "result", `{"isExisting":true,"isAvailable":false}`)
	if r := call(t, p, "user.current", `{}`); r.status != 200 {
		t.Errorf("a granted scope: %d %s", r.status, r.text)
	}
}

func TestF08MethodsOfApplications(t *testing.T) {
	p := portal(bitrix24test.Options{})
	call(t, p, "event.bind", `{}`).wantError(t, 403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method")
	call(t, p, "app.info", `{}`).wantError(t, 400, "ACCESS_DENIED", "Access denied! Application context required")
	auth := `{"auth":"` + p.Authorize().AccessToken + `"}`
	post(t, p, p.RESTURL()+"event.get", auth).want(t, "result", `[]`)
	post(t, p, p.RESTURL()+"app.info", auth).contains(t, "result", `{"STATUS":"L","INSTALLED":true,"LICENSE_FAMILY":"pro"}`)

	p = portal(bitrix24test.Options{Limits: bitrix24test.EnterpriseLimits()})
	post(t, p, p.RESTURL()+"app.info", `{"auth":"`+p.Authorize().AccessToken+`"}`).contains(t, "result", `{"LICENSE_FAMILY":"ent"}`)
}

func TestF09WebhooksNeedHTTPS(t *testing.T) {
	p := portal(bitrix24test.Options{})
	plain := func(address string) string { return strings.Replace(address, "https:", "http:", 1) }
	post(t, p, plain(p.WebhookURL())+"profile", `{}`).wantError(t, 400, "INVALID_REQUEST", "Https required.")
	if r := post(t, p, plain(p.RESTURL())+"profile", `{"auth":"`+p.Authorize().AccessToken+`"}`); r.status != 200 {
		t.Errorf("OAuth over HTTP: %d %s", r.status, r.text)
	}
	p.SetURL("http://127.0.0.1:8080", "http://127.0.0.1:8080")
	if r := call(t, p, "profile", `{}`); r.status != 200 {
		t.Errorf("a portal that has no HTTPS: %d %s", r.status, r.text)
	}
}

func TestF10MovedPortal(t *testing.T) {
	p := portal(bitrix24test.Options{})
	old := p.WebhookURL()
	p.Move("https://acme-new.bitrix24.com")
	for _, verb := range []string{"GET", "POST"} {
		r := do(t, p, newRequest(t, verb, old+"server.time?x=1", "", ""))
		if want := "https://acme-new.bitrix24.com/rest/1/SECRET/server.time?x=1"; r.status != 302 || r.header.Get("Location") != want {
			t.Errorf("%s: %d to %q, want 302 to %q", verb, r.status, r.header.Get("Location"), want)
		}
	}
	if r := call(t, p, "server.time", `{}`); r.status != 200 {
		t.Errorf("the new host: %d %s", r.status, r.text)
	}
	if got := p.Authorize().ClientEndpoint; got != "https://acme-new.bitrix24.com/rest/" {
		t.Errorf("client_endpoint is %s", got)
	}
}

func TestF32DeletedRowsDisappearBetweenPages(t *testing.T) {
	p := seeded(120)
	first := call(t, p, "crm.contact.list", `{"select":["ID"],"start":0}`)
	p.Delete(bitrix24test.Contact, 10, 20, 119)
	second := call(t, p, "crm.contact.list", `{"select":["ID"],"start":50}`)
	first.want(t, "total", "120")
	second.want(t, "total", "117")
	second.want(t, "result.0.ID", `"53"`) // 51 and 52 slipped to the first page
}

func TestServedOverLoopback(t *testing.T) {
	s := bitrix24test.NewServer(bitrix24test.Options{})
	defer s.Close()
	s.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 70})
	response, err := http.PostForm(s.WebhookURL()+"crm.contact.list", url.Values{"filter[>ID]": {"60"}, "select[]": {"ID"}})
	if err != nil {
		t.Fatal(err)
	}
	read(t, response).wantIDs(t, "result", "61 62 63 64 65 66 67 68 69 70")

	old := s.WebhookURL()
	s.Rename()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if response, err = client.Get(old + "server.time"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, response); got.header.Get("Location") != s.WebhookURL()+"server.time" {
		t.Errorf("a renamed portal redirects to %q", got.header.Get("Location"))
	}
	if response, err = client.Get(s.WebhookURL() + "server.time"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, response); got.status != 200 {
		t.Errorf("the new address: %d %s", got.status, got.text)
	}
}

func TestHugeBodiesAreRefused(t *testing.T) {
	p := portal(bitrix24test.Options{})
	if r := call(t, p, "server.time", strings.Repeat(" ", 9<<20)); r.status != 413 {
		t.Errorf("9 MiB: %d", r.status)
	}
	unknownLength := newRequest(t, "POST", p.WebhookURL()+"server.time", "application/json", "")
	unknownLength.Body, unknownLength.ContentLength = endless{}, -1
	if r := do(t, p, unknownLength); r.status != 413 {
		t.Errorf("an endless body: %d", r.status)
	}
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	if r := call(t, p, "server.time", deep); r.status != 200 {
		t.Errorf("deep JSON counts as no parameters, got %d", r.status)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
func (endless) Close() error               { return nil }
