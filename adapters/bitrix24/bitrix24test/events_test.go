package bitrix24test_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// inbox is a stranger's event handler: it keeps what arrives.
type inbox struct {
	mu     sync.Mutex
	forms  []url.Values
	bodies []string
	paths  []string
	answer func(w http.ResponseWriter, r *http.Request) // nil answers 200
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		http.Error(w, "no form", http.StatusBadRequest)
		return
	}
	in.mu.Lock()
	in.forms, in.bodies, in.paths = append(in.forms, form), append(in.bodies, string(body)), append(in.paths, r.URL.Path)
	in.mu.Unlock()
	if in.answer != nil {
		in.answer(w, r)
	}
}

// take returns what arrived since the last time, after all is delivered.
func (in *inbox) take(p *bitrix24test.Portal) []url.Values {
	p.Drain()
	in.mu.Lock()
	defer in.mu.Unlock()
	forms := in.forms
	in.forms = nil
	return forms
}

// told returns the names and ids of what arrived, as "ONCRMCONTACTADD 1".
func told(forms []url.Values) string {
	lines := []string{}
	for _, form := range forms {
		lines = append(lines, strings.TrimSpace(form.Get("event")+" "+form.Get("data[FIELDS][ID]")))
	}
	return strings.Join(lines, ", ")
}

const hook = "https://hook.example.net/b24"

// listening is a portal whose events arrive in memory.
func listening(options bitrix24test.Options) (*bitrix24test.Portal, *inbox) {
	in := &inbox{}
	options.EventTransport = bitrix24test.HandlerTransport(in)
	return portal(options), in
}

// as calls a method of the application with a token.
func as(t testing.TB, p *bitrix24test.Portal, token, method, body string) reply {
	t.Helper()
	body = strings.TrimPrefix(strings.TrimSpace(body), "{")
	separator := ","
	if body == "}" {
		separator = ""
	}
	return post(t, p, p.RESTURL()+method, `{"auth":"`+token+`"`+separator+body)
}

// bind binds events to the hook and returns the token used.
func bind(t testing.TB, p *bitrix24test.Portal, names ...string) string {
	t.Helper()
	token := p.Authorize().AccessToken
	for _, name := range names {
		as(t, p, token, "event.bind", `{"event":"`+name+`","handler":"`+hook+`"}`).want(t, "result", "true")
	}
	return token
}

func TestF46WritesMakeEvents(t *testing.T) {
	p, in := listening(bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 130, ID: 2, Title: "Visit"}}})
	bind(t, p, "ONCRMCONTACTADD", "ONCRMCONTACTUPDATE", "ONCRMCONTACTDELETE", "ONCRMLEADADD", "ONCRMCOMPANYADD", "ONCRMQUOTEADD", "ONCRMDEALADD", "ONCRMDEALUPDATE",
		"ONCRMDEALMOVETOCATEGORY", "ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMADD_130", "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE_31", "ONCRMCONTACTUSERFIELDADD", "ONCRMACTIVITYADD")
	step := func(want, method, body string) {
		t.Helper()
		if method != "" {
			if r := call(t, p, method, body); r.status != 200 {
				t.Fatalf("%s %s: %d %s", method, body, r.status, r.text)
			}
		}
		if got := told(in.take(p)); got != want {
			t.Errorf("%s %s: %q, want %q", method, body, got, want)
		}
	}
	step("ONCRMCONTACTADD 1", "crm.contact.add", `{"fields":{"NAME":"A"}}`)
	step("ONCRMCONTACTUPDATE 1", "crm.contact.update", `{"id":1,"fields":{"NAME":"B"}}`)
	step("ONCRMCONTACTUPDATE 1", "crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"name":"C"}}`)
	step("", "crm.item.update", `{"entityTypeId":3,"id":1,"fields":{"name":"C"}}`)
	step("ONCRMCONTACTDELETE 1", "crm.contact.delete", `{"id":1}`)
	step("ONCRMCONTACTADD 2", "crm.item.add", `{"entityTypeId":3,"fields":{"name":"D"}}`)
	step("ONCRMCONTACTDELETE 2", "crm.item.delete", `{"entityTypeId":3,"id":2}`)
	step("ONCRMLEADADD 1", "crm.lead.add", `{"fields":{}}`)
	step("ONCRMCOMPANYADD 1", "crm.company.add", `{"fields":{}}`)
	step("ONCRMQUOTEADD 1", "crm.item.add", `{"entityTypeId":7,"fields":{}}`)
	step("ONCRMDEALADD 1", "crm.deal.add", `{"fields":{}}`)
	step("ONCRMDEALUPDATE 1, ONCRMDEALMOVETOCATEGORY 1", "crm.item.update", `{"entityTypeId":2,"id":1,"fields":{"categoryId":9}}`)
	step("ONCRMDEALUPDATE 1", "crm.deal.contact.items.set", `{"id":1,"items":[{"CONTACT_ID":5}]}`)
	step("ONCRMDYNAMICITEMADD 1, ONCRMDYNAMICITEMADD_130 1", "crm.item.add", `{"entityTypeId":130,"fields":{}}`)
	step("ONCRMDYNAMICITEMADD 1", "crm.item.add", `{"entityTypeId":31,"fields":{}}`)
	step("ONCRMDYNAMICITEMDELETE_31 1", "crm.item.delete", `{"entityTypeId":31,"id":1}`)
	step("ONCRMCONTACTUSERFIELDADD 308", "crm.contact.userfield.add", `{"fields":{"FIELD_NAME":"X","USER_TYPE_ID":"string"}}`)
	step("ONCRMCONTACTADD 3", "crm.item.import", `{"entityTypeId":3,"fields":{"name":"E"}}`)
	step("ONCRMCONTACTADD 4, ONCRMCONTACTADD 5", "batch", `{"cmd":{"a":"crm.contact.add?fields[NAME]=F","b":"crm.contact.add?fields[LAST_NAME]=G","c":"crm.contact.add?fields[POST]=H"}}`)
	// What colleagues do in the portal.
	p.Put(bitrix24test.Contact, map[string]any{"id": 50, "name": "P"})
	p.Put(bitrix24test.Contact, map[string]any{"id": 50, "name": "Q"})
	p.Touch(bitrix24test.Contact, 50)
	p.Delete(bitrix24test.Contact, 50, 51)
	p.AddActivity(bitrix24test.Deal, 1)
	p.Put(130, map[string]any{"id": 1, "title": "V"})
	step("ONCRMCONTACTADD 50, ONCRMCONTACTUPDATE 50, ONCRMCONTACTUPDATE 50, ONCRMCONTACTDELETE 50, ONCRMACTIVITYADD 1, ONCRMDYNAMICITEMUPDATE 1", "", "")

	quiet, in := listening(bitrix24test.Options{Quirks: bitrix24test.Quirks{SilentImports: true, SilentBindings: true}})
	bind(t, quiet, "ONCRMDEALADD", "ONCRMDEALUPDATE")
	call(t, quiet, "crm.item.import", `{"entityTypeId":2,"fields":{}}`)
	call(t, quiet, "crm.deal.contact.add", `{"id":1,"fields":{"CONTACT_ID":5}}`)
	if got := told(in.take(quiet)); got != "" {
		t.Errorf("silent imports and bindings: %s", got)
	}
}

func TestAnActivityMovesOnlyItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := portal(bitrix24test.Options{})
		p.Put(bitrix24test.Contact, map[string]any{"id": 1, "name": "A"})
		time.Sleep(time.Minute)
		p.AddActivity(bitrix24test.Contact, 1)
		call(t, p, "crm.item.get", `{"entityTypeId":3,"id":1}`).contains(t, "result.item", `{"updatedTime":"2000-01-01T02:00:00+02:00","lastActivityTime":"2000-01-01T02:01:00+02:00"}`)
	})
}

func TestF56DeliveryIsAFormSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, in := listening(bitrix24test.Options{Scopes: []string{"crm", "user_brief"}, EventDelay: 3 * time.Second, EventTimeout: 5 * time.Second})
		bind(t, p, "ONCRMCONTACTUPDATE")
		p.Put(bitrix24test.Contact, map[string]any{"id": 2653})
		p.Touch(bitrix24test.Contact, 2653)
		if len(in.forms) != 0 {
			t.Error("delivered before the call that made it was over")
		}
		form := in.take(p)[0]
		for key, want := range map[string]string{
			"event": "ONCRMCONTACTUPDATE", "event_handler_id": "196", "data[FIELDS][ID]": "2653", "ts": "946684803", "auth[expires_in]": "3600", "auth[expires]": "946688403",
			"auth[scope]": "crm,user_brief", "auth[domain]": "acme.bitrix24.com", "auth[server_endpoint]": "https://oauth.bitrix.info/rest/", "auth[status]": "L",
			"auth[client_endpoint]": "https://acme.bitrix24.com/rest/", "auth[member_id]": p.MemberID(), "auth[user_id]": "1", "auth[application_token]": p.ApplicationToken(),
			"auth[refresh_token]": "",
		} {
			if got := form.Get(key); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		if want := "event=ONCRMCONTACTUPDATE&event_handler_id=196&data%5BFIELDS%5D%5BID%5D=2653&ts=946684803&auth%5Baccess_token%5D="; !strings.HasPrefix(in.bodies[0], want) {
			t.Errorf("the body is %s\nwant %s…", in.bodies[0], want)
		}
		// Whatever comes back, there is no second attempt.
		failures := map[string]func(http.ResponseWriter, *http.Request){
			"500":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
			"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
			"break":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"timeout":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		}
		for name, answer := range failures {
			in.answer = answer
			p.ResetStats()
			began := time.Now()
			p.Touch(bitrix24test.Contact, 2653)
			if got := told(in.take(p)); got != "ONCRMCONTACTUPDATE 2653" {
				t.Errorf("%s: %s", name, got)
			}
			deliveries := p.Deliveries()
			last := deliveries[len(deliveries)-1]
			if stats := p.Stats(); !last.Lost || stats.Events != 1 || stats.LostEvents != 1 {
				t.Errorf("%s: %+v, %d events of which %d lost", name, last, stats.Events, stats.LostEvents)
			}
			if name == "timeout" && (time.Since(began) != 8*time.Second || last.Err == nil) {
				t.Errorf("timeout after %v: %v", time.Since(began), last.Err)
			}
		}
		in.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }
		p.Touch(bitrix24test.Contact, 2653)
		in.take(p)
		if deliveries := p.Deliveries(); deliveries[len(deliveries)-1].Lost || deliveries[0].Lost || deliveries[0].Event != "ONCRMCONTACTUPDATE" || deliveries[0].Address != hook {
			t.Errorf("a good one counts as lost: %+v", deliveries)
		}
	})
}

func TestF56OverTheNetwork(t *testing.T) {
	in := &inbox{}
	receiver := httptest.NewServer(in)
	defer receiver.Close()
	s := bitrix24test.NewServer(bitrix24test.Options{})
	defer s.Close()
	response, err := http.PostForm(s.RESTURL()+"event.bind", url.Values{"auth": {s.Authorize().AccessToken}, "event": {"ONCRMDEALADD"}, "handler": {receiver.URL + "/hook"}})
	if err != nil {
		t.Fatal(err)
	}
	read(t, response).want(t, "result", "true")
	for range 20 {
		s.Put(bitrix24test.Deal, map[string]any{"title": "D"})
	}
	if forms := in.take(s.Portal); len(forms) != 20 || in.paths[0] != "/hook" || told(forms[:1]) != "ONCRMDEALADD 1" {
		t.Errorf("%d events, first %s to %v", len(forms), told(forms), in.paths)
	}
	receiver.Close()
	s.Put(bitrix24test.Deal, map[string]any{"title": "D"})
	s.Drain()
	deliveries := s.Deliveries()
	var refused interface{ Timeout() bool }
	if last := deliveries[len(deliveries)-1]; !last.Lost || !errors.As(last.Err, &refused) {
		t.Errorf("nobody listens: %+v", last)
	}
}

func TestF57Tokens(t *testing.T) {
	p, in := listening(bitrix24test.Options{})
	app := bind(t, p, "ONCRMCONTACTADD")
	as(t, p, app, "event.bind", `{"event":"ONCRMCONTACTADD","handler":"`+hook+`","auth_type":12}`).want(t, "result", "true")
	secret := p.AddOutgoingWebhook("https://crm.example.net/out", "onCrmContactAdd")
	as(t, p, app, "crm.contact.add", `{"fields":{"NAME":"A"}}`).want(t, "result", "1")
	users := []string{}
	for _, form := range in.take(p) {
		if form.Get("auth[access_token]") == "" {
			if form.Get("auth[application_token]") != secret || form.Get("auth[member_id]") != p.MemberID() || form.Get("auth[domain]") != p.Host() ||
				form.Has("auth[scope]") || form.Has("auth[status]") || form.Has("auth[expires_in]") || form.Get("event_handler_id") == "" {
				t.Errorf("the outgoing webhook got %v", form)
			}
			continue
		}
		if form.Get("auth[application_token]") != p.ApplicationToken() || form.Has("auth[refresh_token]") {
			t.Errorf("the application got %v", form)
		}
		users = append(users, form.Get("auth[user_id]"))
		// The token is one of its user.
		as(t, p, form.Get("auth[access_token]"), "profile", `{}`).contains(t, "result", `{"ID":"`+form.Get("auth[user_id]")+`"}`)
	}
	if !slices.Equal(users, []string{"7", "12"}) || len(p.Deliveries()) != 3 {
		t.Errorf("the application's events are those of %v", users)
	}

	p.RemoveOutgoingWebhooks()
	p.SetEventMode(bitrix24test.EventMode{NoTokens: true})
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"A"}}`)
	for _, form := range in.take(p) {
		if form.Has("auth[access_token]") || form.Has("auth[expires]") || form.Get("auth[application_token]") != p.ApplicationToken() || form.Get("data[FIELDS][ID]") != "2" {
			t.Errorf("without tokens: %v", form)
		}
	}
	p.SetEventMode(bitrix24test.EventMode{RefreshTokens: true})
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"A"}}`)
	for _, form := range in.take(p) {
		if refresh := form.Get("auth[refresh_token]"); refresh == "" || formRefresh(t, p, refresh).status != 200 {
			t.Errorf("with refresh tokens: %v", form)
		}
	}

	// An update keeps the application token unless asked.
	before := p.ApplicationToken()
	p.SetCallback("https://app.example.net/life")
	p.UpdateApp(false)
	if got := in.take(p); len(got) != 1 || got[0].Get("auth[application_token]") != before || p.ApplicationToken() != before {
		t.Errorf("update: %v", got)
	}
	p.UpdateApp(true)
	if got := in.take(p); len(got) != 1 || got[0].Get("auth[application_token]") == before || p.ApplicationToken() == before || got[0].Get("data[VERSION]") != "3" ||
		got[0].Get("data[PREVIOUS_VERSION]") != "2" || got[0].Get("auth[refresh_token]") == "" || got[0].Get("event") != "ONAPPUPDATE" {
		t.Errorf("update with a new token: %v", got)
	}
	as(t, p, app, "event.get", `{}`).want(t, "result", `[]`)
	as(t, p, app, "app.info", `{}`).contains(t, "result", `{"VERSION":3}`)
}

func formRefresh(t *testing.T, p *bitrix24test.Portal, token string) reply {
	t.Helper()
	return form(t, p, p.TokenURL(), grant(p, "refresh_token", "refresh_token", token))
}

// Many events do not push out the tokens of the application.
func TestF57EventTokensLeaveOthersAlone(t *testing.T) {
	p, in := listening(bitrix24test.Options{})
	app := bind(t, p, "ONCRMCONTACTADD", "ONCRMCONTACTUPDATE")
	p.Put(bitrix24test.Contact, map[string]any{"id": 1})
	for range 10_100 {
		p.Touch(bitrix24test.Contact, 1)
	}
	if got := len(in.take(p)); got != 10_101 {
		t.Errorf("%d events", got)
	}
	as(t, p, app, "profile", `{}`).contains(t, "result", `{"ID":"7"}`)
	if got := len(p.Deliveries()); got > 10_000 || got < 9_000 {
		t.Errorf("%d deliveries are remembered", got)
	}
}

func TestF58LifeOfTheApplication(t *testing.T) {
	p, in := listening(bitrix24test.Options{Callback: "https://app.example.net/life", Scopes: []string{"crm", "user"}})
	old := p.Authorize()
	tokens := p.Install()
	installed := in.take(p)[0]
	for key, want := range map[string]string{
		"event": "ONAPPINSTALL", "event_handler_id": "", "data[VERSION]": "1", "data[ACTIVE]": "Y", "data[INSTALLED]": "Y", "data[LANGUAGE_ID]": "en", "auth[scope]": "crm user",
		"auth[application_token]": p.ApplicationToken(), "auth[member_id]": p.MemberID(), "auth[status]": "L",
	} {
		if got := installed.Get(key); got != want {
			t.Errorf("install: %s is %q, want %q", key, got, want)
		}
	}
	if r := formRefresh(t, p, installed.Get("auth[refresh_token]")); r.status != 200 {
		t.Errorf("the refresh token of ONAPPINSTALL: %d %s", r.status, r.text)
	}
	as(t, p, old.AccessToken, "profile", `{}`).wantError(t, 401, "invalid_token", "Unable to get application by token")
	// The receiver proves the token on the authorization server.
	post(t, p, installed.Get("auth[server_endpoint]")+"app.info", `{"auth":"`+installed.Get("auth[access_token]")+`"}`).
		contains(t, "result", `{"member_id":"`+p.MemberID()+`","client_id":"`+p.ClientID()+`"}`)

	p.Pay(bitrix24test.Payment{Status: "T", Expired: true, Days: 3})
	paid := in.take(p)[0]
	for key, want := range map[string]string{
		"event": "ONAPPPAYMENT", "data[CODE]": p.ClientID(), "data[VERSION]": "1", "data[STATUS]": "T", "data[PAYMENT_EXPIRED]": "Y", "data[DAYS]": "3", "data[LANGUAGE_ID]": "en",
		"auth[application_token]": "", "auth[access_token]": "", "auth[member_id]": p.MemberID(), "auth[domain]": p.Host(),
	} {
		if got := paid.Get(key); got != want {
			t.Errorf("payment: %s is %q, want %q", key, got, want)
		}
	}
	as(t, p, tokens.AccessToken, "app.info", `{}`).contains(t, "result", `{"STATUS":"T","PAYMENT_EXPIRED":"Y","DAYS":3}`)

	as(t, p, tokens.AccessToken, "event.bind", `{"event":"ONAPPUNINSTALL","handler":"`+hook+`"}`)
	as(t, p, tokens.AccessToken, "event.bind", `{"event":"ONCRMCONTACTADD","handler":"`+hook+`"}`)
	p.Uninstall(true)
	gone := in.take(p)
	if len(gone) != 2 {
		t.Fatalf("uninstall: %v", gone)
	}
	for _, form := range gone {
		if form.Get("event") != "ONAPPUNINSTALL" || form.Get("data[CLEAN]") != "1" || form.Has("auth[access_token]") || form.Has("auth[refresh_token]") ||
			form.Get("auth[application_token]") != p.ApplicationToken() || form.Has("event_handler_id") {
			t.Errorf("uninstall: %v", form)
		}
	}
	as(t, p, tokens.AccessToken, "profile", `{}`).wantError(t, 401, "APPLICATION_NOT_FOUND", "Application not found")
	p.Put(bitrix24test.Contact, map[string]any{"name": "A"})
	p.Pay(bitrix24test.Payment{Status: "P"})
	if got := in.take(p); len(got) != 0 {
		t.Errorf("after the end: %v", got)
	}
	p.SetInstalled(true)
	as(t, p, tokens.AccessToken, "event.get", `{}`).want(t, "result", `[]`)
	p.SetInstalled(false)
	before := p.ApplicationToken()
	again := p.Install()
	if in.take(p); p.ApplicationToken() == before {
		t.Error("the application token outlived the application")
	}
	as(t, p, again.AccessToken, "event.get", `{}`).want(t, "result", `[]`)
}

func TestF59NothingBeforeTheInstallationIsOver(t *testing.T) {
	p, in := listening(bitrix24test.Options{Callback: "https://app.example.net/life"})
	token := p.BeginInstall().AccessToken
	as(t, p, token, "app.info", `{}`).contains(t, "result", `{"INSTALLED":false}`)
	as(t, p, token, "event.bind", `{"event":"ONCRMCONTACTADD","handler":"`+hook+`"}`).want(t, "result", "true")
	as(t, p, token, "event.bind", `{"event":"ONAPPINSTALL","handler":"`+hook+`"}`).want(t, "result", "true")
	as(t, p, token, "event.bind", `{"event":"ONCRMCONTACTADD","event_type":"offline"}`).want(t, "result", "true")
	p.Put(bitrix24test.Contact, map[string]any{"name": "A"})
	as(t, p, token, "event.test", `{}`)
	if got := in.take(p); len(got) != 0 {
		t.Errorf("before: %v", got)
	}
	p.FinishInstall()
	if got := told(in.take(p)); got != "ONAPPINSTALL, ONAPPINSTALL" {
		t.Errorf("the end of the installation: %s", got)
	}
	p.Put(bitrix24test.Contact, map[string]any{"name": "B"})
	if got := told(in.take(p)); got != "ONCRMCONTACTADD 2" {
		t.Errorf("after: %s", got)
	}
	as(t, p, token, "app.info", `{}`).contains(t, "result", `{"INSTALLED":true}`)
	if rows := as(t, p, token, "event.offline.list", `{}`).at("result").([]any); len(rows) != 1 {
		t.Errorf("the offline queue has %v", rows)
	}
}

func TestF60BindGetUnbind(t *testing.T) {
	p, in := listening(bitrix24test.Options{SmartTypes: []bitrix24test.SmartType{{EntityTypeID: 130, ID: 2, Title: "Visit"}}})
	p.SetAdmin(20, false)
	admin, employee := p.Authorize().AccessToken, p.AuthorizeUser(20).AccessToken
	bind := func(token, rest string) reply {
		return as(t, p, token, "event.bind", `{"event":"onCrmContactAdd",`+rest+`}`)
	}
	const one, two = `"handler":"https://hook.example.net/1"`, `"handler":"https://hook.example.net/2"`
	bind(admin, one).want(t, "result", "true")
	bind(admin, one).wantError(t, 400, "ERROR_CORE", "Unable to set event handler: Handler already binded")
	bind(admin, one+`,"auth_type":5`).want(t, "result", "true")
	bind(admin, two).want(t, "result", "true")
	bind(employee, two).want(t, "result", "true")
	bind(employee, two+`,"auth_type":5`).wantError(t, 403, "ACCESS_DENIED", "Access denied! Event binding with AUTH_TYPE requires administrator access rights")
	bind(employee, `"event_type":"offline"`).wantError(t, 403, "ACCESS_DENIED", "Access denied! Offline events binding requires administrator access rights")
	bind(admin, `"event_type":"offline"`).want(t, "result", "true")
	bind(admin, `"event_type":"offline","auth_connector":"us"`).want(t, "result", "true")
	if r := bind(admin, `"event_type":"offline"`); r.at("error") != "ERROR_CORE" {
		t.Errorf("offline twice: %s", r.text)
	}
	as(t, p, admin, "event.get", `{}`).want(t, "result", `[
		{"event":"ONCRMCONTACTADD","handler":"https://hook.example.net/1","auth_type":"0","offline":0},{"event":"ONCRMCONTACTADD","handler":"https://hook.example.net/1","auth_type":"5","offline":0},
		{"event":"ONCRMCONTACTADD","handler":"https://hook.example.net/2","auth_type":"0","offline":0},{"event":"ONCRMCONTACTADD","handler":"https://hook.example.net/2","auth_type":"20","offline":0},
		{"event":"ONCRMCONTACTADD","connector_id":"","offline":1},{"event":"ONCRMCONTACTADD","connector_id":"us","offline":1}]`)
	as(t, p, employee, "event.get", `{}`).want(t, "result", `[{"event":"ONCRMCONTACTADD","handler":"https://hook.example.net/2","auth_type":"20","offline":0}]`)

	unbind := func(token, rest string) reply {
		return as(t, p, token, "event.unbind", `{"event":"ONCRMCONTACTADD",`+rest+`}`)
	}
	unbind(admin, one+`,"auth_type":0`).want(t, "result", `{"count":1}`)
	unbind(admin, one+`,"auth_type":0`).want(t, "result", `{"count":0}`)
	unbind(employee, one+`,"auth_type":5`).wantError(t, 403, "ACCESS_DENIED", "Access denied! Event unbinding with AUTH_TYPE requires administrator access rights")
	unbind(employee, two).want(t, "result", `{"count":1}`)
	unbind(admin, two).want(t, "result", `{"count":1}`)
	unbind(admin, `"event_type":"offline","auth_connector":"us"`).want(t, "result", `{"count":1}`)
	unbind(employee, `"event_type":"offline"`).wantError(t, 403, "ACCESS_DENIED", "Access denied! Offline events unbinding requires administrator access rights")
	as(t, p, admin, "event.get", `{}`).want(t, "result", `[{"event":"ONCRMCONTACTADD","handler":"https://hook.example.net/1","auth_type":"5","offline":0},{"event":"ONCRMCONTACTADD","connector_id":"","offline":1}]`)

	for body, want := range map[string]string{
		`{}`: "Argument 'EVENT' is null or empty", `{"event":"ONCRMCONTACTADD"}`: "Argument 'HANDLER' is null or empty",
		`{"event":"ONCRMCONTACTADD","event_type":"x"}`: "Value must be one of {online|offline}", `{"event":"ONOFFLINEEVENT","event_type":"offline"}`: "Offline event cannot be registered for this event.",
	} {
		as(t, p, admin, "event.bind", body).wantError(t, 400, "ERROR_ARGUMENT", want)
	}
	bind(admin, `"handler":"ftp://hook.example.net/"`).wantError(t, 400, "ERROR_UNSUPPORTED_PROTOCOL", "Unsupported handler protocol")
	bind(admin, `"handler":"https:///x"`).wantError(t, 400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
	call(t, p, "event.bind", `{"event":"ONCRMCONTACTADD",`+one+`}`).wantError(t, 403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method")

	// Names.
	names := encode(as(t, p, admin, "events", `{}`).at("result"))
	for _, name := range []string{"ONAPPUNINSTALL", "ONCRMLEADDELETE", "ONCRMDYNAMICITEMUPDATE_130", "ONCRMCOMPANYUSERFIELDSETENUMVALUES", "ONUSERADD"} {
		if !strings.Contains(names, `"`+name+`"`) {
			t.Errorf("events lacks %s: %s", name, names)
		}
	}
	if user := as(t, p, admin, "events", `{"SCOPE":"user"}`); encode(user.at("result")) != `["ONUSERADD"]` {
		t.Errorf("events of a scope: %s", user.text)
	}
	narrow := portal(bitrix24test.Options{Scopes: []string{"task"}, Quirks: bitrix24test.Quirks{PublicHandlersOnly: true, NoAuthConnector: true}})
	token := narrow.Authorize().AccessToken
	as(t, narrow, token, "event.bind", `{"event":"ONCRMCONTACTADD",`+one+`}`).wantError(t, 400, "ERROR_EVENT_NOT_FOUND", "Event not found")
	if all := encode(as(t, narrow, token, "events", `{"FULL":true}`).at("result")); !strings.Contains(all, "ONCRMCONTACTADD") {
		t.Errorf("all events: %s", all)
	}
	for _, address := range []string{"http://localhost/x", "http://127.0.0.1:8080/x", "http://10.0.0.1/"} {
		as(t, narrow, token, "event.bind", `{"event":"ONAPPTEST","handler":"`+address+`"}`).wantError(t, 400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
	}
	if r := as(t, narrow, token, "event.bind", `{"event":"ONAPPTEST","auth_connector":"us",`+one+`}`); r.status != 403 || r.at("error") != "WRONG_LICENSE" {
		t.Errorf("a plan without connectors: %d %s", r.status, r.text)
	}

	// A test event carries what it was asked with.
	as(t, p, admin, "event.bind", `{"event":"ONAPPTEST",`+one+`}`)
	as(t, p, admin, "event.test", `{"any":"thing","list":[1,{"b":"ç&="}],"none":[]}`).want(t, "result", "1")
	got := in.take(p)[0]
	if got.Get("event") != "ONAPPTEST" || got.Get("data[QUERY][any]") != "thing" || got.Get("data[QUERY][list][0]") != "1" || got.Get("data[QUERY][list][1][b]") != "ç&=" || got.Has("data[QUERY][auth]") {
		t.Errorf("ONAPPTEST: %v", got)
	}
}

// rows returns the events of an answer of event.offline.get or list, as "1 ONCRMCONTACTADD 5".
func rows(r reply, path string) string {
	lines := []string{}
	list, _ := r.at(path).([]any)
	for _, row := range list {
		object := row.(map[string]any)
		data, _ := object["EVENT_DATA"].(map[string]any)
		fields, _ := data["FIELDS"].(map[string]any)
		lines = append(lines, fmt.Sprint(object["ID"], " ", object["EVENT_NAME"], " ", fields["ID"]))
	}
	return strings.Join(lines, ", ")
}

func TestF61OfflineQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := listening(bitrix24test.Options{})
		token := p.Authorize().AccessToken
		for _, name := range []string{"ONCRMCONTACTADD", "ONCRMCONTACTUPDATE", "ONCRMDEALUPDATE"} {
			as(t, p, token, "event.bind", `{"event":"`+name+`","event_type":"offline"}`).want(t, "result", "true")
		}
		offline := func(method, body string) reply {
			return as(t, p, token, "event.offline."+method, body)
		}
		check := func(r reply, path, want string) {
			t.Helper()
			if got := rows(r, path); got != want {
				t.Errorf("%s\nwant %s (%d %.300s)", got, want, r.status, r.text)
			}
		}
		p.Put(bitrix24test.Contact, map[string]any{"id": 5})
		time.Sleep(time.Second)
		p.Touch(bitrix24test.Contact, 5)
		p.Put(bitrix24test.Contact, map[string]any{"id": 6})
		time.Sleep(time.Second)
		p.Touch(bitrix24test.Contact, 5) // collapses with the first touch, at a later time
		list := offline("list", `{}`)
		check(list, "result", "1 ONCRMCONTACTADD 5, 2 ONCRMCONTACTUPDATE 5, 3 ONCRMCONTACTADD 6")
		list.want(t, "total", "3")
		list.want(t, "result.1", `{"ID":"2","TIMESTAMP_X":"2000-01-01T02:00:02+02:00","EVENT_NAME":"ONCRMCONTACTUPDATE","EVENT_DATA":{"FIELDS":{"ID":"5"}},
			"EVENT_ADDITIONAL":false,"MESSAGE_ID":"2","PROCESS_ID":"","ERROR":"0"}`)
		check(offline("list", `{"filter":{">ID":1,"!EVENT_NAME":"ONCRMCONTACTADD"}}`), "result", "2 ONCRMCONTACTUPDATE 5")
		check(offline("list", `{"filter":{"ID":[1,3]},"order":{"ID":"DESC"}}`), "result", "3 ONCRMCONTACTADD 6, 1 ONCRMCONTACTADD 5")
		check(offline("list", `{"filter":{">TIMESTAMP_X":"2000-01-01T02:00:01+02:00"}}`), "result", "2 ONCRMCONTACTUPDATE 5")

		// Reserve in order of time; parallel readers get disjoint sets.
		first := offline("get", `{"clear":0,"limit":2}`)
		check(first, "result.events", "1 ONCRMCONTACTADD 5, 3 ONCRMCONTACTADD 6")
		process, _ := first.at("result.process_id").(string)
		if len(process) != 32 || first.at("result.events.0.PROCESS_ID") != nil {
			t.Errorf("process id %q: %s", process, first.text)
		}
		second := offline("get", `{"clear":"0"}`)
		check(second, "result.events", "2 ONCRMCONTACTUPDATE 5")
		check(offline("get", `{"clear":0}`), "result.events", "")
		check(offline("list", `{"filter":{"PROCESS_ID":"`+process+`"}}`), "result", "1 ONCRMCONTACTADD 5, 3 ONCRMCONTACTADD 6")
		// A change of what is reserved is a new record.
		p.Touch(bitrix24test.Contact, 5)
		check(offline("list", `{"filter":{"PROCESS_ID":""}}`), "result", "4 ONCRMCONTACTUPDATE 5")
		// After a crash the set is read again; then a part is acknowledged, a part failed.
		check(offline("get", `{"clear":0,"process_id":"`+process+`"}`), "result.events", "1 ONCRMCONTACTADD 5, 3 ONCRMCONTACTADD 6")
		offline("clear", `{"process_id":"`+process+`","id":[1],"message_id":["3"]}`).want(t, "result", "true")
		check(offline("get", `{"clear":0,"process_id":"`+process+`"}`), "result.events", "3 ONCRMCONTACTADD 6")
		offline("error", `{"process_id":"`+process+`","message_id":["3"]}`).want(t, "result", "true")
		check(offline("get", `{"clear":0,"process_id":"`+process+`"}`), "result.events", "")
		check(offline("list", `{"filter":{"ERROR":1}}`), "result", "3 ONCRMCONTACTADD 6")
		check(offline("get", `{"error":1,"clear":1}`), "result.events", "3 ONCRMCONTACTADD 6")
		// clear=1 is the default: read and gone.
		gone := offline("get", `{}`)
		check(gone, "result.events", "4 ONCRMCONTACTUPDATE 5")
		gone.want(t, "result.process_id", "null")
		check(offline("list", `{}`), "result", "2 ONCRMCONTACTUPDATE 5")
		offline("clear", `{"process_id":"`+second.at("result.process_id").(string)+`","message_id":["2"]}`)
		check(offline("list", `{}`), "result", "")

		// A reserved set is kept for 30 days.
		p.Touch(bitrix24test.Contact, 6)
		offline("get", `{"clear":0}`)
		time.Sleep(29 * 24 * time.Hour)
		token = p.Authorize().AccessToken
		check(offline("list", `{}`), "result", "5 ONCRMCONTACTUPDATE 6")
		time.Sleep(25 * time.Hour)
		token = p.Authorize().AccessToken
		check(offline("list", `{}`), "result", "")

		for i := range 120 {
			p.Put(bitrix24test.Contact, map[string]any{"id": 1000 + i})
		}
		page := offline("list", `{"start":50}`)
		if page.want(t, "total", "120"); len(page.at("result").([]any)) != 50 || fmt.Sprint(page.at("next")) != "100" {
			t.Errorf("the second page: %.200s", page.text)
		}
		if rows := offline("get", `{}`).at("result.events").([]any); len(rows) != 50 {
			t.Errorf("the default limit is %d", len(rows))
		}
		for body, want := range map[string]string{`{"limit":0}`: "Value must be positive integer"} {
			offline("get", body).wantError(t, 400, "ERROR_ARGUMENT", want)
		}
		offline("clear", `{}`).wantError(t, 400, "ERROR_ARGUMENT", "Argument 'PROCESS_ID' is null or empty")
		offline("error", `{"process_id":"x"}`).wantError(t, 400, "ERROR_ARGUMENT", "Value must be array of MESSAGE_ID values")
		offline("clear", `{"process_id":"x","id":5}`).wantError(t, 400, "ERROR_ARGUMENT", "Value must be array of integers")
		p.SetAdmin(7, false)
		for _, method := range []string{"get", "list", "clear", "error"} {
			offline(method, `{"process_id":"x"}`).wantError(t, 403, "ACCESS_DENIED", "Access denied!")
		}
		p.Uninstall(false)
		p.Close()
	})
}

func TestF61Connectors(t *testing.T) {
	p, _ := listening(bitrix24test.Options{})
	token := p.Authorize().AccessToken
	as(t, p, token, "event.bind", `{"event":"ONCRMCONTACTADD","event_type":"offline"}`)
	as(t, p, token, "event.bind", `{"event":"ONCRMCONTACTADD","event_type":"offline","auth_connector":"us"}`)
	as(t, p, token, "crm.contact.add", `{"fields":{"NAME":"ours"},"auth_connector":"us"}`)
	as(t, p, token, "crm.contact.add", `{"fields":{"NAME":"theirs"},"auth_connector":"them"}`)
	call(t, p, "crm.contact.add", `{"fields":{"NAME":"by webhook"},"auth_connector":"us"}`)
	as(t, p, token, "batch", `{"auth_connector":"us","cmd":{"a":"crm.contact.add?fields[NAME]=batch"}}`)
	list := func(body, want string) {
		t.Helper()
		if got := rows(as(t, p, token, "event.offline.list", body), "result"); got != want {
			t.Errorf("%s: %s\nwant %s", body, got, want)
		}
	}
	list(`{}`, "1 ONCRMCONTACTADD 1, 2 ONCRMCONTACTADD 2, 4 ONCRMCONTACTADD 3, 6 ONCRMCONTACTADD 4")
	list(`{"auth_connector":"us"}`, "3 ONCRMCONTACTADD 2, 5 ONCRMCONTACTADD 3")
	list(`{"auth_connector":"nobody"}`, "")
	process := as(t, p, token, "event.offline.get", `{"auth_connector":"us","clear":0}`).at("result.process_id").(string)
	as(t, p, token, "event.offline.clear", `{"process_id":"`+process+`"}`)
	list(`{"auth_connector":"us"}`, "3 ONCRMCONTACTADD 2, 5 ONCRMCONTACTADD 3")
	as(t, p, token, "event.offline.clear", `{"process_id":"`+process+`","auth_connector":"us"}`)
	list(`{"auth_connector":"us"}`, "")

	limited := portal(bitrix24test.Options{Quirks: bitrix24test.Quirks{NoReservations: true}})
	token = limited.Authorize().AccessToken
	as(t, limited, token, "feature.get", `{"CODE":"rest_offline_extended"}`).want(t, "result.value", `"N"`)
	as(t, limited, token, "feature.get", `{"CODE":"rest_auth_connector"}`).want(t, "result.value", `"Y"`)
	if r := as(t, limited, token, "event.offline.get", `{"clear":0}`); r.status != 403 || r.at("error") != "WRONG_LICENSE" {
		t.Errorf("a plan without reservations: %d %s", r.status, r.text)
	}
}

func TestF61SignalsOfNewRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, in := listening(bitrix24test.Options{})
		token := bind(t, p, "ONOFFLINEEVENT")
		as(t, p, token, "event.bind", `{"event":"ONCRMCONTACTADD","event_type":"offline"}`)
		as(t, p, token, "event.bind", `{"event":"ONOFFLINEEVENT","handler":"https://hook.example.net/slow","options":{"minTimeout":60}}`)
		as(t, p, token, "event.bind", `{"event":"ONOFFLINEEVENT","handler":"https://hook.example.net/each","options":{"minTimeout":0}}`)
		for range 10 {
			p.Put(bitrix24test.Contact, map[string]any{"name": "A"})
			time.Sleep(200 * time.Millisecond)
		}
		count := map[string]int{}
		for i, form := range in.take(p) {
			count[in.paths[i]]++
			if form.Get("auth[refresh_token]") == "" || form.Get("auth[application_token]") != p.ApplicationToken() || form.Has("event_handler_id") || len(form["data"]) > 0 {
				t.Errorf("ONOFFLINEEVENT: %v", form)
			}
		}
		// 2 s of changes: at once, after 1 s and after 2 s; at once and after a minute; each.
		if count["/b24"] != 3 || count["/slow"] != 2 || count["/each"] != 10 {
			t.Errorf("signals: %v", count)
		}
	})
}

func TestF62Adversity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, in := listening(bitrix24test.Options{})
		bind(t, p, "ONCRMCONTACTADD", "ONCRMCONTACTUPDATE")
		change := func(mode bitrix24test.EventMode) []url.Values {
			p.SetEventMode(mode)
			for id := range 3 {
				p.Put(bitrix24test.Contact, map[string]any{"id": id + 1})
			}
			return in.take(p)
		}
		if got := told(change(bitrix24test.EventMode{})); got != "ONCRMCONTACTADD 1, ONCRMCONTACTADD 2, ONCRMCONTACTADD 3" {
			t.Errorf("at its best: %s", got)
		}
		if got := told(change(bitrix24test.EventMode{Duplicate: true})); got != "ONCRMCONTACTUPDATE 1, ONCRMCONTACTUPDATE 1, ONCRMCONTACTUPDATE 2, ONCRMCONTACTUPDATE 2, ONCRMCONTACTUPDATE 3, ONCRMCONTACTUPDATE 3" {
			t.Errorf("duplicates: %s", got)
		}
		if got := told(change(bitrix24test.EventMode{Reverse: true})); got != "ONCRMCONTACTUPDATE 3, ONCRMCONTACTUPDATE 2, ONCRMCONTACTUPDATE 1" {
			t.Errorf("out of order: %s", got)
		}
		forged := map[string]bool{}
		for _, form := range change(bitrix24test.EventMode{Forge: true}) {
			forged[form.Get("auth[application_token]")] = true
		}
		if len(forged) != 3 || forged[p.ApplicationToken()] {
			t.Errorf("forged tokens: %v, the true one is %s", forged, p.ApplicationToken())
		}
	})
}

func TestCloseEndsDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, in := listening(bitrix24test.Options{EventDelay: time.Hour})
		bind(t, p, "ONCRMCONTACTADD")
		p.Put(bitrix24test.Contact, map[string]any{"id": 1})
		began := time.Now()
		p.Close()
		p.Put(bitrix24test.Contact, map[string]any{"id": 2})
		if got := in.take(p); len(got) != 0 || !time.Now().Equal(began) {
			t.Errorf("%v after %v", got, time.Since(began))
		}
		p.Close()
	})
}

func TestOpenApp(t *testing.T) {
	p := portal(bitrix24test.Options{})
	query, form := p.OpenApp(9)
	if query.Get("DOMAIN") != p.Host() || query.Get("PROTOCOL") != "1" || form.Get("member_id") != p.MemberID() || form.Get("AUTH_EXPIRES") != "3600" ||
		form.Get("APPLICATION_TOKEN") != p.ApplicationToken() || form.Get("PLACEMENT") != "DEFAULT" || formRefresh(t, p, form.Get("REFRESH_ID")).status != 200 {
		t.Errorf("%v %v", query, form)
	}
	post(t, p, form.Get("SERVER_ENDPOINT")+"app.info", `{"auth":"`+form.Get("AUTH_ID")+`"}`).contains(t, "result", `{"user_id":9}`)
}

// Everything at once, for the race detector.
func TestManyAtOnce(t *testing.T) {
	p, in := listening(bitrix24test.Options{})
	token := bind(t, p, "ONCRMCONTACTADD", "ONCRMCONTACTUPDATE")
	as(t, p, token, "event.bind", `{"event":"ONCRMCONTACTUPDATE","event_type":"offline"}`)
	p.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 200})
	group := sync.WaitGroup{}
	for worker := range 8 {
		group.Go(func() {
			for i := range 8 {
				id := fmt.Sprint(worker*8 + i + 1)
				call(t, p, "crm.item.update", `{"entityTypeId":3,"id":`+id+`,"fields":{"post":"P`+id+`","companyIds":[1,2]}}`)
				call(t, p, "crm.contact.add", `{"fields":{"NAME":"N","PHONE":[{"VALUE":"+1"}]}}`)
				call(t, p, "crm.contact.userfield.add", `{"fields":{"FIELD_NAME":"F`+id+`","USER_TYPE_ID":"string"}}`)
				call(t, p, "crm.item.list", `{"entityTypeId":3,"order":{"id":"DESC"}}`)
				call(t, p, "crm.duplicate.findbycomm", `{"type":"PHONE","values":["1"]}`)
				as(t, p, token, "event.offline.get", `{"clear":0,"limit":3}`)
				as(t, p, token, "event.get", `{}`)
			}
		})
	}
	group.Wait()
	call(t, p, "crm.contact.list", `{}`).want(t, "total", "264")
	if got := len(in.take(p)); got != 128 {
		t.Errorf("%d events", got)
	}
}
