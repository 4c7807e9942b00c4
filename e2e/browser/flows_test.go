package browser

import (
	"compress/gzip"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/fake"
)

func bringToFront(ctx context.Context) error { return page.BringToFront().Do(ctx) }

// TestAuthorize: the button leads to the provider and back to a connected account.
func TestAuthorize(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.portal.SetRedirect(h.base + "oauth/callback")
	in := h.create(enlace.NewIntegration{Provider: bitrix24.Name, Name: "Vendas", Settings: map[string]string{"apiUrl": h.portal.RESTURL()}})
	b := newTab(t, nil)
	b.open(h.base + "i/" + in.ID + "/connect")
	b.run(chromedp.Click(`form[action$="/authorize"] button`, chromedp.ByQuery))
	b.wait(`location.search.includes('connected=')`)
	b.text("Account connected.")
	b.healthy("authorize")
	got, err := h.service.Get(t.Context(), in.Ref)
	if err != nil || got.Status != enlace.StatusConnected {
		t.Errorf("status %s, %v", got.Status, err)
	}
}

// TestConsole: tests of the console, from the choice to the verdict.
func TestConsole(t *testing.T) {
	h := newHost(t, hostOptions{})
	ids := h.full()
	b := newTab(t, nil)
	for _, c := range []struct{ integration, kind, text string }{
		{ids["integration"], "health", "All well"},
		{ids["integration"], "auth", "accepts the credential"},
		{ids["integration"], "sync", "has read to the end"},
		{ids["integration"], "validate", "have the right form"},
		{ids["broken"], "health", "does not accept the credential"},
	} {
		b.open(h.base + "console?integration=" + c.integration)
		b.run(chromedp.Click(`input[name=kind][value=`+c.kind+`]`, chromedp.ByQuery))
		b.submit(`.buttons button.primary`)
		b.text(c.text)
		b.healthy(c.kind)
		b.accessible(c.kind)
	}
	if n := h.fake.Effects(fake.OpCreate) + h.fake.Effects(fake.OpUpdate) + h.fake.Effects(fake.OpDelete); n > 0 {
		t.Errorf("the tests wrote %d times", n)
	}
	b.open(h.base + "console?integration=" + ids["integration"])
	b.run(chromedp.Click(`input[name=kind][value=health]`, chromedp.ByQuery))
	b.submit(`.buttons button.primary`)
	b.text("median of 1")
	b.eval(`document.querySelector('a[href^="?with="]').click()`, nil)
	b.text("Comparison")
	b.accessible("comparison")
}

// TestWebhookConsole: a delivery of the console's own, genuine and with another secret;
// one that is kept is in the inbox; and whether the provider's would arrive.
func TestWebhookConsole(t *testing.T) {
	mux := http.NewServeMux()
	front := httptest.NewServer(mux)
	defer front.Close()
	h := newHost(t, hostOptions{hooks: front.URL + "/hooks"})
	mux.Handle("/hooks/", h.service.WebhookHandler())
	in := h.connected("Vendas")
	b := newTab(t, nil)
	for _, l := range []look{{"pt-BR", "light"}, {"en", "dark"}} {
		b.choose(h, l)
		for _, c := range []struct {
			kind, fault string
			texts       map[string]string
		}{
			{"webhook.inbound", "", map[string]string{"pt-BR": "A entrega seria aceita", "en": "The delivery would be accepted"}},
			{"webhook.inbound", "wrong_proof", map[string]string{"pt-BR": "Nenhum segredo guardado gera esta prova", "en": "No stored secret makes this proof"}},
			{"webhook.outbound", "", map[string]string{"pt-BR": "O receptor de webhooks responde", "en": "The webhook handler answers"}},
		} {
			b.open(h.base + "console?integration=" + in.ID)
			b.run(chromedp.Click(`input[name=kind][value="`+c.kind+`"]`, chromedp.ByQuery))
			if c.kind == "webhook.inbound" {
				b.run(chromedp.WaitVisible(`#fault`, chromedp.ByQuery), chromedp.SetValue(`#fault`, c.fault, chromedp.ByQuery))
				b.accessible("form " + l.language)
				b.fits("form " + l.language)
			}
			b.submit(`.buttons button.primary`)
			where := l.language + " " + c.kind + " " + c.fault
			b.text(c.texts[l.language])
			b.healthy(where)
			b.accessible(where)
			b.fits(where)
		}
	}
	if list, _, err := h.service.Deliveries(t.Context(), enlace.DeliveryQuery{}); err != nil || len(list) != 0 {
		t.Errorf("the tests stored %d deliveries, %v", len(list), err)
	}
	b.open(h.base + "console?integration=" + in.ID)
	b.run(chromedp.Click(`input[name=kind][value="webhook.inbound"]`, chromedp.ByQuery), chromedp.Click(`input[name=keep]`, chromedp.ByQuery))
	b.submit(`.buttons button.primary`)
	b.text("It is in the inbox")
	b.run(chromedp.Click(`a[href*="/webhooks/"]`, chromedp.ByQuery))
	b.text("The signature proves")
	b.healthy("kept")
}

// TestMounts: the pages work under every way to mount them, live updates included,
// and ask for nothing outside.
func TestMounts(t *testing.T) {
	handled := func(pattern string, h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle(pattern, h)
		return mux
	}
	for _, m := range []struct {
		name, base string
		mount      func(http.Handler) http.Handler
	}{
		{"root", "/", func(h http.Handler) http.Handler { return h }},
		{"prefix", "/integrations/", func(h http.Handler) http.Handler { return handled("/integrations/", h) }},
		{"stripped", "/admin/", func(h http.Handler) http.Handler { return handled("/admin/", http.StripPrefix("/admin", h)) }},
		{"nested", "/a/b/", func(h http.Handler) http.Handler { return handled("/a/", http.StripPrefix("/a", handled("/b/", h))) }},
		{"wildcard", "/t/acme/admin/", func(h http.Handler) http.Handler { return handled("/t/{tenant}/admin/", h) }},
		{"other router", "/chi/", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Pattern = "/chi/*"
				h.ServeHTTP(w, r)
			})
		}},
		{"proxy that takes the prefix away", "/front/", func(h http.Handler) http.Handler { return proxied(t, "/front", "", h) }},
		{"proxy that adds a prefix", "/", func(h http.Handler) http.Handler { return proxied(t, "", "/back", handled("/back/", h)) }},
	} {
		t.Run(m.name, func(t *testing.T) {
			h := newHost(t, hostOptions{mount: m.mount, base: m.base})
			in := h.connected("Vendas")
			b := newTab(t, nil)
			b.open(h.base)
			b.wait(`document.getElementById('live-state').dataset.now === 'open'`)
			b.open(h.base + "i/" + in.ID)
			b.submit(`form[action$="/disable"] button`)
			b.text("Integration disabled.")
			var path string
			b.eval(`location.pathname`, &path)
			if path != m.base+"i/"+in.ID {
				t.Errorf("the form led to %s", path)
			}
			b.healthy(m.name)
			for _, failed := range b.failed {
				t.Error(failed)
			}
			for _, address := range b.addresses {
				if !strings.HasPrefix(address, h.base) {
					t.Errorf("asked for %s, outside of the mount", address)
				}
			}
		})
	}
}

// proxied puts h behind a reverse proxy that takes one prefix away and adds another.
func proxied(t *testing.T, away, added string, h http.Handler) http.Handler {
	inner := httptest.NewServer(h)
	t.Cleanup(inner.Close)
	target, err := url.Parse(inner.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.URL.Path, p.Out.URL.RawPath = added+strings.TrimPrefix(p.In.URL.Path, away), ""
		p.Out.Host = p.In.Host
	}, FlushInterval: -1}
}

// TestWeight: what a first visit to each page brings over the wire.
func TestWeight(t *testing.T) {
	h := newHost(t, hostOptions{})
	ids := h.full()
	for name, path := range pagesOf(ids) {
		b := newTab(t, nil)
		b.open(h.base + path)
		b.wait(`document.readyState === 'complete' && (!document.querySelector('[sse-connect]') || document.getElementById('live-state').dataset.now === 'open')`)
		b.mu.Lock()
		size := b.bytes
		b.mu.Unlock()
		most := 60.0 * 1024
		if name == "overview" {
			most = 40 * 1024
		}
		t.Logf("%s: %.1f KB", name, size/1024)
		if size > most || size < 3000 {
			t.Errorf("%s: %.1f KB on the wire", name, size/1024)
		}
		b.close()
	}
}

// TestPaint measures the first contentful paint of the overview, with an empty cache,
// against that of a blank page in the same run, the two in turns: for somebody who comes
// from another site, and for somebody who types the address into a new tab. The admin's
// Cross-Origin-Opener-Policy makes the browser start a process in both cases, while the
// blank page has it started in the first only. ENLACE_BROWSER_PEER adds the folder of a
// built page of another kind to compare with (see testdata/README.md). It is a
// measurement, so it runs only if ENLACE_BROWSER_TIMING is set.
//
//	ENLACE_BROWSER_TIMING=1 go test -run Paint -v ./e2e/browser
func TestPaint(t *testing.T) {
	if os.Getenv("ENLACE_BROWSER_TIMING") == "" {
		return
	}
	h := newHost(t, hostOptions{})
	h.full()
	blank := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>blank</title><p>blank"))
	}))
	defer blank.Close()
	addresses := map[string]string{"blank": blank.URL, "overview": h.base}
	if dir := os.Getenv("ENLACE_BROWSER_PEER"); dir != "" {
		peer := httptest.NewServer(gzipped(http.FileServer(http.Dir(dir))))
		defer peer.Close()
		addresses["peer"] = peer.URL
	}
	elsewhere := strings.Replace(blank.URL, "127.0.0.1", "localhost", 1) // another site
	for way, from := range map[string]string{"from another site": elsewhere, "into a new tab": ""} {
		median := paints(t, addresses, from)
		t.Logf("%s: first contentful paint in ms %v; overview to blank %.2f", way, median, median["overview"]/median["blank"])
		if from != "" && median["overview"] > 3*median["blank"] {
			t.Errorf("%s: the overview paints at %.2f times a blank page", way, median["overview"]/median["blank"])
		}
		if peer, ok := median["peer"]; ok && median["overview"] > peer/2 {
			t.Errorf("%s: the overview paints at %.2f times the peer", way, median["overview"]/peer)
		}
	}
}

// paints are the medians of when each page first paints something, in milliseconds.
func paints(t *testing.T, addresses map[string]string, from string) map[string]float64 {
	times := map[string][]float64{}
	for round := range 16 {
		for name, address := range addresses {
			b := newTab(t, nil)
			if from != "" {
				b.open(from)
				b.eval(`location = "`+address+`"`, nil)
				b.wait(`location.origin !== "` + from + `" && document.readyState === 'complete'`)
			} else {
				b.open(address)
			}
			var at float64
			b.eval(`new Promise(done => new PerformanceObserver(list => { for (const e of list.getEntriesByName('first-contentful-paint')) done(e.startTime) }).observe({type: 'paint', buffered: true}))`, &at)
			if round > 0 { // the first one warms up
				times[name] = append(times[name], at)
			}
			b.close()
		}
	}
	median := map[string]float64{}
	for name, all := range times {
		slices.Sort(all)
		median[name] = all[len(all)/2]
	}
	return median
}

// gzipped compresses what a file server sends, as a server in front of it would.
func gzipped(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		h.ServeHTTP(zipWriter{w, zip}, r)
		_ = zip.Close()
	})
}

type zipWriter struct {
	http.ResponseWriter
	zip *gzip.Writer
}

func (w zipWriter) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

func (w zipWriter) Write(b []byte) (int, error) { return w.zip.Write(b) }

// TestHealthElement: the element works in a page of the host.
func TestHealthElement(t *testing.T) {
	h := newHost(t, hostOptions{base: "/integrations/", mount: func(inner http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/integrations/", inner)
		mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			_, _ = w.Write([]byte(`<!doctype html><html lang="pt-BR"><title>host</title><script type="module" src="/integrations/static/enlace-health.js"></script><enlace-health integration="` +
				r.URL.Query().Get("id") + `"></enlace-health>`))
		})
		return mux
	}})
	in := h.connected("Vendas")
	if _, err := h.service.CheckHealth(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	b := newTab(t, nil)
	b.open(h.server.URL + "/page?id=" + in.ID)
	b.wait(`document.querySelector('enlace-health').shadowRoot?.textContent === 'saudável'`)
	b.healthy("element")
}
