package admin_test

import (
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/store/memory"
)

// host is an application with the admin in it, and a browser without script.
type host struct {
	t        *testing.T
	provider *fake.Provider
	store    enlace.Store
	service  *enlace.Service
	admin    *admin.Admin
	server   *httptest.Server
	client   *http.Client
	base     string // address of the mount, ends in "/"
	access   admin.Access
}

type hostOptions struct {
	store    enlace.Store
	options  admin.Options
	sink     enlace.Sink
	mappings enlace.MappingEngine
	webhooks enlace.WebhookConfig
}

// newHost mounts the admin at /integrations/ for a user who may do everything.
func newHost(t *testing.T, o hostOptions) *host {
	t.Helper()
	h := &host{t: t, provider: fake.New(fake.Options{}), access: admin.Access{User: "u1", Name: "Ana", Grants: admin.Administrator}}
	h.provider.Seed("contacts", 30)
	if o.store == nil {
		o.store = memory.New()
	}
	if o.sink == nil {
		o.sink = enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			return enlace.Changes{Created: len(b.Records)}, nil
		})
	}
	h.store = o.store
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	h.service, err = enlace.New(enlace.Config{Registry: enlace.NewRegistry(h.provider.Adapter()), Store: o.store, Keys: keys, Transport: h.provider,
		OAuth: map[string]enlace.OAuthApp{fake.Name: h.provider.OAuthApp()}, Sink: o.sink, Mappings: o.mappings, Webhooks: o.webhooks})
	if err != nil {
		t.Fatal(err)
	}
	if o.options.Authorize == nil && !o.options.Development {
		o.options.Authorize = func(r *http.Request) (admin.Access, error) {
			switch r.Header.Get("Test-User") {
			case "":
				return h.access, nil
			case "nobody":
				return admin.Access{}, admin.ErrSignedOut
			default:
				return admin.Access{}, errors.New("not you")
			}
		}
	}
	if o.options.SourceTimeout == 0 {
		o.options.SourceTimeout = time.Minute // a busy machine is no slow source
	}
	if o.options.Logger == nil {
		o.options.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	h.admin = admin.Handler(h.service, o.options)
	mux := http.NewServeMux()
	mux.Handle("/integrations/", h.admin)
	h.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		h.admin.Close()
		h.server.Close()
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.client = h.server.Client()
	h.client.Jar = jar
	h.base = h.server.URL + "/integrations/"
	h.client.Transport = conforming{h.client.Transport, t, h.base + "api/v1/"}
	return h
}

// connected creates an integration with a credential.
func (h *host) connected(name string) enlace.Integration {
	h.t.Helper()
	credential := h.provider.APIKey()
	in, err := h.service.Create(h.t.Context(), enlace.NewIntegration{Provider: fake.Name, Name: name, Credential: &credential})
	if err != nil {
		h.t.Fatal(err)
	}
	return in
}

// answer is what the browser got, after redirects.
type answer struct {
	*http.Response
	body string
}

// do sends a request; edit may be nil.
func (h *host) do(method, path string, body io.Reader, edit func(*http.Request)) answer {
	h.t.Helper()
	address := path
	if !strings.HasPrefix(path, "http") {
		address = h.base + path
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, address, body)
	if err != nil {
		h.t.Fatal(err)
	}
	if edit != nil {
		edit(r)
	}
	response, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{response, string(text)}
}

func (h *host) get(path string) answer {
	h.t.Helper()
	return h.do(http.MethodGet, path, nil, nil)
}

// post sends a form as a browser of the same origin does.
func (h *host) post(path string, form url.Values) answer {
	h.t.Helper()
	return h.do(http.MethodPost, path, strings.NewReader(form.Encode()), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", h.server.URL)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	})
}

func (a answer) want(t *testing.T, status int, texts ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(a.body), text) {
			t.Fatalf("%s %s: %q is not in\n%s", a.Request.Method, a.Request.URL, text, a.body)
		}
	}
	return a
}

var attribute = regexp.MustCompile(`(?:href|src|sse-connect|data-worker)="([^"]*)"`)

// links are the addresses in a page.
func (a answer) links() []string {
	var links []string
	for _, match := range attribute.FindAllStringSubmatch(a.body, -1) {
		links = append(links, html.UnescapeString(match[1]))
	}
	return links
}

// field is the value of a hidden field.
func (a answer) field(name string) string {
	match := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if match == nil {
		return ""
	}
	return html.UnescapeString(match[1])
}

func tick() <-chan time.Time { return time.After(5 * time.Millisecond) }
