package admin_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// TestClosed: without an authorizer there is no way in, and the page says what to
// configure.
func TestClosed(t *testing.T) {
	h := newHost(t, hostOptions{})
	closed := admin.Handler(h.service, admin.Options{SourceTimeout: time.Minute})
	defer closed.Close()
	for _, path := range []string{"/", "/i", "/api/v1/integrations", "/nothing"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "localhost"
		closed.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", path, w.Code)
		}
		if path == "/" && !strings.Contains(w.Body.String(), "Options.Authorize") {
			t.Errorf("the page does not say what to configure:\n%s", w.Body)
		}
	}
}

// TestDevelopment: development mode lets in only what certainly comes from this
// machine.
func TestDevelopment(t *testing.T) {
	h := newHost(t, hostOptions{})
	open := admin.Handler(h.service, admin.Options{Development: true, SourceTimeout: time.Minute})
	defer open.Close()
	for _, c := range []struct {
		peer, host string
		header     string
		in         bool
	}{
		{"127.0.0.1:1", "localhost:8080", "", true},
		{"127.8.8.8:1", "127.0.0.1", "", true},
		{"[::1]:1", "[::1]:8080", "", true},
		{"[::1]:1", "LOCALHOST", "", true},
		{"[::ffff:127.0.0.1]:1", "localhost", "", true},
		{"192.168.1.5:1", "localhost", "", false},
		{"127.0.0.1:1", "rebound.example.com", "", false},
		{"127.0.0.1:1", "localhost.example.com", "", false},
		{"127.0.0.1:1", "192.168.1.5", "", false},
		{"127.0.0.1:1", "", "", false},
		{"127.0.0.1:1", "localhost", "X-Forwarded-For", false},
		{"127.0.0.1:1", "localhost", "Forwarded", false},
		{"127.0.0.1:1", "localhost", "Via", false},
		{"127.0.0.1:1", "localhost", "X-Real-IP", false},
		{"127.0.0.1:1", "localhost", "X-Forwarded-Proto", false},
		{"@", "localhost", "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/i", nil)
		r.RemoteAddr, r.Host = c.peer, c.host
		if c.header != "" {
			r.Header.Set(c.header, "x")
		}
		w := httptest.NewRecorder()
		open.ServeHTTP(w, r)
		if (w.Code == http.StatusOK) != c.in {
			t.Errorf("%+v: status %d", c, w.Code)
		}
	}
}

// TestStrangers: whoever is not let in sees the same for what there is and what
// there is not.
func TestStrangers(t *testing.T) {
	h := newHost(t, hostOptions{options: admin.Options{}})
	in := h.connected("Hidden name")
	for user, status := range map[string]int{"nobody": http.StatusUnauthorized, "other": http.StatusForbidden} {
		var first string
		for _, path := range []string{"i/" + in.ID, "i/none", "runs/none", "nothing/at/all", "new/fake", "static/none.js", "live", "oauth/callback?state=x"} {
			a := h.do(http.MethodGet, path, nil, func(r *http.Request) {
				r.Header.Set("Test-User", user)
				r.Header.Set("X-Request-Id", "same")
			})
			body := strings.NewReplacer("../", "", "./", "").Replace(a.body)
			if first == "" {
				first = body
			}
			if a.StatusCode != status || body != first || strings.Contains(a.body, "Hidden name") {
				t.Errorf("%s %s: status %d, or another body\n%s", user, path, a.StatusCode, a.body)
			}
		}
	}
}

// TestLogin: a browser that is not signed in is led to the login, a program is told.
func TestLogin(t *testing.T) {
	h := newHost(t, hostOptions{options: admin.Options{LoginURL: "/login"}})
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	nobody := func(r *http.Request) { r.Header.Set("Test-User", "nobody") }
	if a := h.do(http.MethodGet, "i", nil, nobody); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/login" {
		t.Errorf("answer %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	h.do(http.MethodGet, "api/v1/integrations", nil, nobody).want(t, http.StatusUnauthorized, `"code":"signed_out"`)
}

// TestHeaders: every kind of answer has the headers that protect it.
func TestHeaders(t *testing.T) {
	h := newHost(t, hostOptions{})
	page := h.get("").want(t, http.StatusOK)
	var static string
	for _, link := range page.links() {
		if strings.HasSuffix(link, ".css") {
			static = strings.TrimPrefix(link, "./")
		}
	}
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; " +
			"font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	for path, user := range map[string]string{"": "", "i": "", "nope": "", static: "", "i/none": "", "i?x": "other", "settings": "nobody"} {
		a := h.do(http.MethodGet, path, nil, func(r *http.Request) {
			if user != "" {
				r.Header.Set("Test-User", user)
			}
		})
		for name, value := range want {
			if got := a.Header.Values(name); len(got) != 1 || got[0] != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
		if path != static && a.Header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s may be cached: %q", path, a.Header.Get("Cache-Control"))
		}
		for _, inline := range []string{"<style", " style=", "javascript:", " onclick=", "<script>"} {
			if path != static && strings.Contains(a.body, inline) {
				t.Errorf("%s has something inline: %s", path, inline)
			}
		}
	}
	if a := h.get(static); a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("the style sheet is cached as %q", a.Header.Get("Cache-Control"))
	}
}

// TestCrossOrigin: what another site makes a browser send changes nothing.
func TestCrossOrigin(t *testing.T) {
	h := newHost(t, hostOptions{options: admin.Options{TrustedOrigins: []string{"https://app.example.com"}}})
	in := h.connected("CRM")
	own := h.server.URL
	userinfo := strings.Replace(own, "http://", "http://x@", 1)
	for _, c := range []struct {
		name    string
		headers map[string]string
		allowed bool
	}{
		{"same origin", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": own, "Cookie": "s=1"}, true},
		{"typed address", map[string]string{"Sec-Fetch-Site": "none", "Cookie": "s=1"}, true},
		{"cross-site", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "Cookie": "s=1"}, false},
		{"sub-domain", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example.com", "Cookie": "s=1"}, false},
		{"old browser, same origin", map[string]string{"Origin": own, "Cookie": "s=1"}, true},
		{"old browser, other origin", map[string]string{"Origin": "http://evil.example", "Cookie": "s=1"}, false},
		{"opaque origin", map[string]string{"Origin": "null", "Cookie": "s=1"}, false},
		{"user information", map[string]string{"Origin": userinfo, "Cookie": "s=1"}, false},
		{"cookie and nothing that tells", map[string]string{"Cookie": "s=1"}, false},
		{"basic and nothing that tells", map[string]string{"Authorization": "Basic eDp5"}, false},
		{"bearer", map[string]string{"Authorization": "Bearer x"}, true},
		{"curl", nil, true},
		{"trusted", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.com", "Cookie": "s=1"}, true},
		{"trusted host by http", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://app.example.com", "Cookie": "s=1"}, false},
		{"trusted host, other port", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.com:8443", "Cookie": "s=1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := h.service.Get(t.Context(), in.Ref)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"i/" + in.ID + "/disable", "api/v1/integrations/" + in.ID + "/disable"} {
				a := h.do(http.MethodPost, path, strings.NewReader(""), func(r *http.Request) {
					for name, value := range c.headers {
						r.Header.Set(name, value)
					}
				})
				if refused := strings.Contains(a.body, "cross_origin") || a.StatusCode == http.StatusForbidden; refused == c.allowed {
					t.Errorf("%s: status %d, allowed should be %v", path, a.StatusCode, c.allowed)
				}
			}
			after, err := h.service.Get(t.Context(), in.Ref)
			if err != nil {
				t.Fatal(err)
			}
			if changed := after.Version != before.Version; changed != c.allowed {
				t.Errorf("changed: %v, want %v", changed, c.allowed)
			}
		})
	}
}

// TestGrants: what somebody may not do is refused, and not offered either: every
// button and link of every page leads to what answers.
func TestGrants(t *testing.T) {
	for name, grants := range map[string]admin.Grants{"read only": admin.ReadOnly, "operator": admin.Operator, "administrator": admin.Administrator,
		"view": admin.GrantView} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, hostOptions{})
			in := h.connected("CRM")
			if _, err := h.service.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}}); err != nil {
				t.Fatal(err)
			}
			h.access.Grants = grants
			offered := map[string]bool{}
			for _, page := range crawl(t, h) {
				for _, action := range formActions(page) {
					offered[generic(action, in.ID)] = true
				}
			}
			// What is offered by forms must be what the grants allow, and nothing less.
			for path, grant := range map[string]admin.Grants{"i/{id}/disable": admin.GrantEnable, "i/{id}/edit": admin.GrantUpdate,
				"i/{id}/delete": admin.GrantDelete, "i/{id}/connect": admin.GrantConnect, "i/{id}/authorize": admin.GrantConnect,
				"i/{id}/disconnect": admin.GrantConnect, "new/fake": admin.GrantCreate} {
				if offered[path] != grants.Has(grant) {
					t.Errorf("%s is offered: %v, allowed: %v", path, offered[path], grants.Has(grant))
				}
				a := h.post(strings.ReplaceAll(path, "{id}", "none"), url.Values{})
				if refused := a.StatusCode == http.StatusForbidden; refused == grants.Has(grant) {
					t.Errorf("%s answers %d, allowed: %v", path, a.StatusCode, grants.Has(grant))
				}
			}
		})
	}
}

// crawl reads every page that links lead to, and fails for one that is refused.
func crawl(t *testing.T, h *host) map[string]answer {
	t.Helper()
	pages, queue := map[string]answer{}, []string{h.base}
	user := h.access.User
	defer func() { h.access.User = user }()
	for len(queue) > 0 {
		address := queue[0]
		queue = queue[1:]
		if _, seen := pages[address]; seen || !strings.HasPrefix(address, h.base) || strings.Contains(address, "/static/") || strings.HasSuffix(address, "/live") {
			continue
		}
		h.access.User = user + strings.Repeat("'", len(pages)/50) // more pages than one user may ask for at once
		a := h.get(address)
		pages[address] = a
		if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") && a.StatusCode != http.StatusOK {
			t.Errorf("a link leads to %s, which answers %d", address, a.StatusCode)
		}
		for _, link := range a.links() {
			if u, err := a.Request.URL.Parse(link); err == nil {
				u.Fragment = ""
				queue = append(queue, u.String())
			}
		}
		if len(pages) > 300 {
			t.Fatalf("no end of pages: %v", slices.Sorted(maps.Keys(pages)))
		}
	}
	return pages
}

// formActions are the addresses that a page's forms post to.
func formActions(a answer) []string {
	var actions []string
	for _, form := range strings.Split(a.body, "<form")[1:] {
		head, _, _ := strings.Cut(form, ">")
		if !strings.Contains(head, `method="post"`) {
			continue
		}
		target := a.Request.URL
		if _, rest, ok := strings.Cut(head, `action="`); ok {
			action, _, _ := strings.Cut(rest, `"`)
			target, _ = target.Parse(action)
		}
		actions = append(actions, target.Path)
	}
	return actions
}

func generic(path, id string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, "/integrations/"), id, "{id}")
}

// TestReadsChangeNothing: following every link as somebody who may do everything
// writes nothing.
func TestReadsChangeNothing(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	changes := 0
	stop := h.service.Watch(func(_ context.Context, o enlace.Observation) {
		switch o.(type) {
		case enlace.IntegrationChanged, enlace.CredentialChanged, enlace.SyncFinished:
			changes++
		}
	})
	pages := crawl(t, h)
	stop()
	after, err := h.service.Get(t.Context(), in.Ref)
	if err != nil || after.Version != in.Version || changes > 0 || len(pages) < 8 {
		t.Errorf("%d pages read: %d changes, version %d→%d, %v", len(pages), changes, in.Version, after.Version, err)
	}
}
