package enlace_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// browser keeps the cookies that one browser would send along.
type browser struct {
	handler http.Handler
	cookies []*http.Cookie
}

func (b *browser) get(target string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	resp := w.Result()
	for _, c := range resp.Cookies() {
		b.cookies = nil
		if c.MaxAge >= 0 {
			b.cookies = append(b.cookies, c)
		}
	}
	return resp
}

// connectPage is a host's mux with the connect flow under /integrations/connect.
func connectPage(t *testing.T) (*host, enlace.Integration, *browser) {
	t.Helper()
	h := newHost(t, codeAdapter, withApp)
	in := must(h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm"}))(t)
	handler, err := h.AuthHandler(enlace.AuthHandlerOptions{
		Integration: func(r *http.Request) (enlace.Ref, error) {
			if r.URL.Query().Get("user") != "admin" {
				return enlace.Ref{}, errors.New("who are you?")
			}
			return in.Ref, nil
		},
		CallbackURL: "https://app.example.com/integrations/connect/callback", ReturnTo: "/settings?tab=crm",
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/integrations/connect/", handler)
	return h, in, &browser{handler: mux}
}

const connectStart = "https://app.example.com/integrations/connect/start?user=admin"

// stateOf is the state in the address that start redirects to.
func stateOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	location, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther || location.Host != "crm.example.com" {
		t.Fatalf("status %d to %v (%v), want a redirect to the provider", resp.StatusCode, location, err)
	}
	return location.Query().Get("state")
}

func callbackWith(query url.Values) string {
	return "https://app.example.com/integrations/connect/callback?" + query.Encode()
}

func pageText(t *testing.T, resp *http.Response) string {
	t.Helper()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAuthHandlerConnects(t *testing.T) {
	h, in, b := connectPage(t)
	start := b.get(connectStart)
	state := stateOf(t, start)
	cookie := start.Cookies()[0]
	if cookie.SameSite != http.SameSiteLaxMode || !cookie.HttpOnly || !cookie.Secure {
		t.Errorf("the cookie must be Lax, HttpOnly and Secure: %v", cookie)
	}
	done := b.get(callbackWith(url.Values{"code": {"c-1"}, "state": {state}}))
	text := pageText(t, done)
	// Not a redirect: strict cookies of the host are sent only from a page of its own.
	if done.StatusCode != http.StatusOK || !strings.Contains(text, `url=/settings?connected=`+in.ID+`&amp;tab=crm"`) {
		t.Errorf("status %d, page: %s", done.StatusCode, text)
	}
	if got := must(h.Get(t.Context(), in.Ref))(t); got.Status != enlace.StatusConnected {
		t.Errorf("status %s", got.Status)
	}
	if len(b.cookies) > 0 {
		t.Error("the cookie is still there")
	}
	again := b.get(callbackWith(url.Values{"code": {"c-1"}, "state": {state}}))
	if again.StatusCode != http.StatusBadRequest {
		t.Errorf("the same state again: status %d", again.StatusCode)
	}
}

func TestAuthHandlerRefuses(t *testing.T) {
	h, in, b := connectPage(t)
	for name, test := range map[string]struct {
		target string
		status int
	}{
		"a stranger":          {"https://app.example.com/integrations/connect/start?user=eve", http.StatusForbidden},
		"an absolute return":  {connectStart + "&return=https://evil.example.com/", http.StatusBadRequest},
		"a protocol-relative": {connectStart + "&return=//evil.example.com/", http.StatusBadRequest},
		"a backslash":         {connectStart + `&return=/%5Cevil.example.com/`, http.StatusBadRequest},
		"a script":            {connectStart + "&return=javascript:alert(1)", http.StatusBadRequest},
		"another page":        {"https://app.example.com/integrations/connect/other", http.StatusNotFound},
		"no state":            {callbackWith(url.Values{"code": {"c"}}), http.StatusBadRequest},
		"a foreign state":     {callbackWith(url.Values{"code": {"c"}, "state": {"AAAA"}}), http.StatusBadRequest},
	} {
		if resp := b.get(test.target); resp.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, test.status)
		}
	}
	r := httptest.NewRequest(http.MethodPost, connectStart, nil)
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", w.Code)
	}
	// A state of another browser: somebody slips in their own authorization.
	attacker := &browser{handler: b.handler}
	state := stateOf(t, attacker.get(connectStart))
	if resp := b.get(callbackWith(url.Values{"code": {"c"}, "state": {state}})); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("another browser's state: status %d", resp.StatusCode)
	}
	// A state of BeginAuth, which knows no browser, and the reverse.
	address := must(url.Parse(must(h.BeginAuth(t.Context(), in.Ref, callback))(t)))(t)
	if resp := b.get(callbackWith(url.Values{"code": {"c"}, "state": {address.Query().Get("state")}})); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a state of BeginAuth: status %d", resp.StatusCode)
	}
	state = stateOf(t, b.get(connectStart))
	if _, err := h.CompleteAuth(t.Context(), url.Values{"code": {"c"}, "state": {state}}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a state of the handler given to CompleteAuth: %v", err)
	}
	if len(h.posts()) > 0 {
		t.Error("a code was redeemed")
	}
	if got := must(h.Get(t.Context(), in.Ref))(t); got.Status != enlace.StatusPending {
		t.Errorf("status %s", got.Status)
	}
}

func TestAuthHandlerTellsOfRefusal(t *testing.T) {
	_, _, b := connectPage(t)
	state := stateOf(t, b.get(connectStart+"&return=/back%3Fa%3D%22%3E%3Cscript%3E"))
	resp := b.get(callbackWith(url.Values{"error": {"access_denied"}, "state": {state}}))
	text := pageText(t, resp)
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(text, "error=auth") || !strings.Contains(text, "/back?a=") {
		t.Errorf("status %d, page: %s", resp.StatusCode, text)
	}
	if strings.Contains(text, "<script>") {
		t.Errorf("the page repeats markup: %s", text)
	}
}

func TestAuthHandlerOptions(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	_, err := h.AuthHandler(enlace.AuthHandlerOptions{CallbackURL: "/callback", ReturnTo: "https://evil.example.com"})
	var v *enlace.ValidationError
	if !errors.As(err, &v) || len(v.Faults) != 3 {
		t.Errorf("%v, want three faults", err)
	}
}

// What the provider did not grant is said, and the integration works all the same.
func TestScopesAreCompared(t *testing.T) {
	h := newHost(t, codeAdapter, withApp) // asks for crm and user, and is granted crm
	in, query := h.begin()
	got := must(h.CompleteAuth(t.Context(), url.Values{"code": {"c"}, "state": {query.Get("state")}}))(t)
	if got.Status != enlace.StatusConnected || got.StatusReason != "not granted: user" || got.ID != in.ID {
		t.Errorf("%s: %s", got.Status, got.StatusReason)
	}
}

// A second flow for the same integration ends the first one.
func TestLastFlowCounts(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	in, first := h.begin()
	second := must(url.Parse(must(h.BeginAuth(t.Context(), in.Ref, callback))(t)))(t).Query()
	if _, err := h.CompleteAuth(t.Context(), url.Values{"code": {"c"}, "state": {first.Get("state")}}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("the first flow: %v, want ErrInvalid", err)
	}
	if _, err := h.CompleteAuth(t.Context(), url.Values{"code": {"c"}, "state": {second.Get("state")}}); err != nil {
		t.Errorf("the second flow: %v", err)
	}
}

// The host's own secret does not go where a setting points.
func TestTokenEndpointDoesNotFollowTheSettings(t *testing.T) {
	scheme := codeScheme
	scheme.TokenURL = "{origin}/oauth/token"
	h := newHost(t, crm{auth: []enlace.AuthScheme{scheme}}, withApp)
	in := must(h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm", Settings: map[string]string{"apiUrl": "https://evil.example.com/"}}))(t)
	if _, err := h.BeginAuth(t.Context(), in.Ref, callback); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
}

var environments = []enlace.Environment{
	{Name: "production", Values: map[string]string{"host": "api.example.com"}},
	{Name: "sandbox", Values: map[string]string{"host": "sandbox.example.com"}},
}

// worlds is an adapter with a production and a sandbox.
type worlds struct{ crm }

func (w worlds) Describe() enlace.Descriptor {
	d := w.crm.Describe()
	d.BaseURL, d.Environments = "https://{host}/", environments
	return d
}

// A sandbox credential never reaches production.
func TestEnvironmentsAreIsolated(t *testing.T) {
	h := newHost(t, worlds{})
	in := h.create(apiKey("sandbox key"), with("environment", "sandbox"))
	if err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.provider.seen("/ping")[0].URL.Host; got != "sandbox.example.com" {
		t.Errorf("called %s", got)
	}
	// By hand in the database: the row says production, the secret is of the sandbox.
	row := must(h.Get(t.Context(), in.Ref))(t)
	row.Settings = map[string]string{"environment": "production"}
	row.BaseURL = "https://api.example.com/"
	if err := h.store.UpdateIntegration(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if _, err := h.restart().Conn(t.Context(), in.Ref); !errors.Is(err, enlace.ErrKey) {
		t.Errorf("%v, want ErrKey", err)
	}
	// Through the service: the integration must be connected again.
	row = must(h.Get(t.Context(), in.Ref))(t)
	row.Settings = map[string]string{"environment": "sandbox"}
	row = must(h.Update(t.Context(), row))(t)
	row.Settings = map[string]string{"environment": "production"}
	if row = must(h.Update(t.Context(), row))(t); row.Status != enlace.StatusPending {
		t.Errorf("status %s, want pending", row.Status)
	}
	if n := len(h.provider.seen("/ping")); n != 1 {
		t.Errorf("%d requests", n)
	}
	if _, err := h.Create(t.Context(), enlace.NewIntegration{Provider: "crm", Settings: map[string]string{"environment": "moon"}}); !errors.Is(err, enlace.ErrInvalid) || !strings.Contains(err.Error(), "production, sandbox") {
		t.Errorf("%v, want ErrInvalid with the choices", err)
	}
}

// With the policy "ahead" one caller refreshes in the background while the others
// use the old token.
func TestRefreshAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := codeScheme
		scheme.Refresh = enlace.RefreshAhead
		h := newHost(t, crm{auth: []enlace.AuthScheme{scheme}}, withApp)
		cred := valid()
		cred.Token.Issued = time.Now()
		in := h.create(cred)
		ask := func() string {
			return must(h.ValidCredential(t.Context(), in.Ref))(t).Token.Access.Reveal()
		}
		time.Sleep(50 * time.Minute)
		if ask() != "access-0" || len(h.posts()) > 0 {
			t.Error("refreshed too early")
		}
		time.Sleep(7 * time.Minute) // between the soft and the hard end
		if ask() != "access-0" {
			t.Error("the caller did not get the old token at once")
		}
		synctest.Wait()
		if n := len(h.posts()); n != 1 {
			t.Errorf("%d refreshes in the background, want one", n)
		}
		if got := ask(); got != "access-1" {
			t.Errorf("afterwards %s", got)
		}
	})
}

// Accounts connected in the same second do not refresh in the same second.
func TestRefreshAheadIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := codeScheme
		scheme.Refresh = enlace.RefreshAhead
		h := newHost(t, crm{auth: []enlace.AuthScheme{scheme}}, withApp)
		h.provider.refresh = ""
		var all []enlace.Integration
		for range 200 {
			cred := valid()
			cred.Token.Issued = time.Now()
			all = append(all, h.create(cred))
		}
		peak, before := 0, 0
		for range 60 * 6 {
			time.Sleep(10 * time.Second)
			h.provider.refresh = ""
			for _, in := range all {
				h.provider.refresh = ""
				if _, err := h.ValidCredential(t.Context(), in.Ref); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			n := len(h.posts())
			peak, before = max(peak, n-before), n
		}
		// Spread over 0.4 of five minutes: 12 steps of ten seconds.
		if before != 200 || peak > 3*200/12 {
			t.Errorf("%d refreshes, %d in the busiest ten seconds", before, peak)
		}
	})
}

func TestRefreshOnRefusalOnly(t *testing.T) {
	scheme := codeScheme
	scheme.Refresh = enlace.RefreshOnRefusal
	h := newHost(t, crm{auth: []enlace.AuthScheme{scheme}}, withApp)
	in := h.create(expired())
	if err := h.open(in).Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil || len(h.posts()) > 0 {
		t.Errorf("%v with %d refreshes; the provider still takes the token", err, len(h.posts()))
	}
}

// Refresh tokens that nobody uses are renewed before they die, once each.
func TestRunKeepsIdleTokensAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := codeScheme
		scheme.RefreshLife = 180 * 24 * time.Hour
		h := newHost(t, crm{auth: []enlace.AuthScheme{scheme}}, withApp, func(c *enlace.Config) {
			c.Workers, c.HealthInterval = -1, -1 // see TestProbesDoNotRefresh
		})
		cred := valid()
		cred.Token.Issued = time.Now()
		h.create(cred)
		disabled := h.create(cred)
		must(h.Disable(t.Context(), disabled.Ref))(t)
		h.provider.refresh = ""
		// Run is not at work all the time: it looks around when it begins, and has
		// work of every second, which months of virtual time are too long for.
		runFor := func(days int) {
			background, stop := cancelable(t)
			ended := make(chan error, 1)
			go func() { ended <- h.Run(background) }()
			time.Sleep(time.Duration(days) * 24 * time.Hour)
			stop()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
		time.Sleep(118 * 24 * time.Hour)
		runFor(1)
		if n := len(h.posts()); n != 0 {
			t.Errorf("%d refreshes before two thirds of the life", n)
		}
		runFor(2)
		if n := len(h.posts()); n != 1 {
			t.Errorf("%d refreshes after two thirds of the life, want one", n)
		}
		time.Sleep(124 * 24 * time.Hour)
		runFor(1)
		if n := len(h.posts()); n != 2 {
			t.Errorf("%d refreshes after another term, want two", n)
		}
	})
}

// Close waits for what a refresh has to save.
func TestCloseWaitsForRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, codeAdapter, withApp)
		in := h.create(expired())
		h.provider.setFault(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
			if strings.HasSuffix(r.URL.Path, "/oauth/token") {
				time.Sleep(3 * time.Second)
			}
			return false
		})
		impatient, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := h.ValidCredential(impatient, in.Ref); !errors.Is(err, enlace.ErrCanceled) {
			t.Errorf("the caller who left: %v", err)
		}
		began := time.Now()
		if err := h.Close(t.Context()); err != nil || time.Since(began) < 2*time.Second {
			t.Errorf("Close returned after %v: %v", time.Since(began), err)
		}
		if got := must(h.restart().ValidCredential(t.Context(), in.Ref))(t).Token.Access.Reveal(); got != "access-1" || len(h.posts()) != 1 {
			t.Errorf("stored is %s after %d refreshes", got, len(h.posts()))
		}
	})
}

func cancelable(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}
