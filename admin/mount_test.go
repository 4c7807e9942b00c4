package admin_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// mounts are the ways to hang the handler into a host, and where browsers then find it.
var mounts = []struct {
	name, base string
	mount      func(http.Handler) http.Handler
}{
	{"bare", "/", func(h http.Handler) http.Handler { return h }},
	{"prefix", "/integrations/", func(h http.Handler) http.Handler { return handled("/integrations/", h) }},
	{"deep prefix", "/a/b/c/", func(h http.Handler) http.Handler { return handled("/a/b/c/", h) }},
	{"stripped", "/admin/", func(h http.Handler) http.Handler { return handled("/admin/", http.StripPrefix("/admin", h)) }},
	{"stripped with slash", "/admin/", func(h http.Handler) http.Handler { return handled("/admin/", http.StripPrefix("/admin/", h)) }},
	{"stripped like a page of ours", "/i/", func(h http.Handler) http.Handler { return handled("/i/", http.StripPrefix("/i", h)) }},
	{"nested mux", "/outer/inner/", func(h http.Handler) http.Handler {
		return handled("/outer/", http.StripPrefix("/outer", handled("/inner/", h)))
	}},
	{"wildcard", "/t/acme/admin/", func(h http.Handler) http.Handler { return handled("/t/{tenant}/admin/", h) }},
	{"rest wildcard", "/x/", func(h http.Handler) http.Handler { return handled("/x/{rest...}", h) }},
	{"escaped", "/a%20b/", func(h http.Handler) http.Handler { return handled("/a%20b/", h) }},
	{"other router", "/chi/", func(h http.Handler) http.Handler { // chi sets such a pattern and leaves the path
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Pattern = "/chi/*"
			h.ServeHTTP(w, r)
		})
	}},
	{"proxy that takes the prefix away", "/front/", func(h http.Handler) http.Handler { return proxied("/front", "", h) }},
	{"proxy that adds a prefix", "/", func(h http.Handler) http.Handler {
		return proxied("", "/back", handled("/back/", h))
	}},
}

func handled(pattern string, h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(pattern, h)
	return mux
}

// proxied is a reverse proxy in front of h that takes away one prefix and adds another.
func proxied(away, added string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := httptest.NewServer(h)
		defer inner.Close()
		target, _ := url.Parse(inner.URL)
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.URL.Path = added + strings.TrimPrefix(p.In.URL.Path, away)
			p.Out.URL.RawPath = ""
			p.Out.Host = p.In.Host
		}}).ServeHTTP(w, r)
	})
}

// TestMounts: under every mount each address in each page is one that is there,
// and a form leads to where it should.
func TestMounts(t *testing.T) {
	for _, m := range mounts {
		t.Run(m.name, func(t *testing.T) {
			h := newHost(t, hostOptions{})
			in := h.connected("CRM")
			server := httptest.NewServer(m.mount(h.admin))
			defer server.Close()
			h.base = server.URL + m.base
			h.client.Jar = nil
			seen := map[string]bool{}
			for _, page := range []string{"", "i", "i/" + in.ID, "i/" + in.ID + "/edit", "new/fake", "runs", "settings"} {
				a := h.get(page).want(t, http.StatusOK)
				for _, link := range a.links() {
					address, err := a.Request.URL.Parse(link)
					if err != nil || strings.HasPrefix(link, "/") {
						t.Fatalf("%s: link %q is absolute or wrong", page, link)
					}
					address.Fragment, address.RawQuery = "", ""
					text := address.String()
					if address.Host != a.Request.URL.Host || seen[text] || strings.HasSuffix(text, "/live") {
						continue
					}
					seen[text] = true
					if !strings.HasPrefix(address.EscapedPath(), m.base) {
						t.Errorf("%s: %s leads out of the mount", page, link)
					}
					if got := h.get(text); got.StatusCode != http.StatusOK {
						t.Errorf("%s: %s answers %d", page, link, got.StatusCode)
					}
				}
			}
			for _, page := range []string{"i/" + in.ID, "i/" + in.ID + "/edit", "settings"} {
				for _, action := range formActions(h.get(page)) {
					if !strings.HasPrefix((&url.URL{Path: action}).EscapedPath(), m.base) {
						t.Errorf("%s: a form posts to %s, out of the mount", page, action)
					}
				}
			}
			if len(seen) < 12 {
				t.Errorf("only %d addresses found", len(seen))
			}
			a := h.do(http.MethodPost, "i/"+in.ID+"/disable", nil, nil).want(t, http.StatusOK, "CRM")
			if got := a.Request.URL.EscapedPath(); got != m.base+"i/"+in.ID {
				t.Errorf("the form led to %s", got)
			}
		})
	}
}

// TestBareMount: the mount's address without its last slash leads to the one with
// it, where a router lets it through.
func TestBareMount(t *testing.T) {
	h := newHost(t, hostOptions{})
	for name, handler := range map[string]http.Handler{
		"stripped": http.StripPrefix("/admin", h.admin),
		"exact":    handled("/admin", h.admin),
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/admin", nil))
			if w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "admin/" {
				t.Errorf("answer %d to %q, want 308 to admin/", w.Code, w.Header().Get("Location"))
			}
		})
	}
}
