package admin

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
)

// Options say who may see the admin and what it is called. Authorize is the only
// one that a host needs.
type Options struct {
	// Authorize tells who a request comes from and what they may do. It is called
	// once for each request, before anything is looked up, and again for a stream
	// that stays open. ErrSignedOut, or an error that wraps it, answers 401 or leads
	// to LoginURL; any other error answers 403. Without it everything is refused.
	Authorize func(r *http.Request) (Access, error)
	// Development lets requests in without Authorize, with every grant, if they come
	// from a loopback address, to a loopback name, through no proxy that tells of
	// itself. It is for a developer's machine: a proxy on the same machine that
	// tells nothing of itself would let the world in.
	Development bool
	// LoginURL is where browsers go on ErrSignedOut; empty answers 401.
	LoginURL string

	// PublicURL is the absolute address under which browsers reach the handler, such
	// as https://app.example.com/integrations/. It is needed behind a proxy that
	// changes host or path, for the address that OAuth providers send users back to.
	// Without it the address is that of the request.
	PublicURL string
	// TrustedOrigins may send forms and calls beside the page's own origin:
	// "https://app.example.com". It is needed behind a proxy that rewrites the Host
	// header of a site on plain http.
	TrustedOrigins []string
	// FrameAncestors are the origins whose pages may show the admin in a frame, such as
	// "https://app.example.com": the host's own, of the same site, since browsers send no
	// session cookie to frames of another one. Defaults to none.
	FrameAncestors []string

	// Probes answers "api/v1/health?probe=live" and "?probe=ready" without Authorize, in one
	// word, for load balancers. Defaults to false: they are answered to who may see.
	Probes bool

	// Product is the name in the title; empty is "enlace".
	Product string
	// Environment is shown beside the name, such as "production"; empty is not.
	Environment string
	// HomeURL leads back to the host's application; empty shows no link.
	HomeURL string
	// Language is taken when the browser names none that there is: "pt-BR" or "en".
	// Defaults to "en".
	Language string
	// Source gives what is pushed for an integration, for plans that a person looks at
	// and applies; nil where nothing is pushed. Defaults to none: no plans.
	Source func(enlace.Integration) enlace.Source
	// Schema tells what the host's own records of an entity look like, for proposals of a
	// first mapping; one without fields is none. Defaults to none: a person writes the names
	// of the fields, beginning with those that the active mapping writes.
	Schema func(in enlace.Integration, entity string) mapping.Schema
	// Logs is the buffer whose last lines the log page shows: the one in the chain of
	// Config.Logger's handlers. Defaults to none: no page.
	Logs *enlace.LogBuffer
	// Logger gets what went wrong. Defaults to none.
	Logger *slog.Logger
	// MaxStreams bounds the open streams of all users together. Defaults to 256.
	MaxStreams int
	// SourceTimeout bounds what one part of a page may wait for its data; the rest
	// of the page is shown all the same. A page or a read of the API that is nothing
	// without its data is answered with 503 after 1.3 times as long. Defaults to 1.5 s.
	SourceTimeout time.Duration
}

// Admin serves the dashboard and the API. Make one with [Handler]. It is safe for
// concurrent use.
type Admin struct {
	service *enlace.Service
	options Options
	public  *url.URL // nil if not set
	apiOnly bool     // made by API
	policy  string   // for what the pages may load, and who may frame them
	logger  *slog.Logger

	origins *http.CrossOriginProtection
	files   *files
	pages   *pages
	routes  http.Handler
	api     *api
	limits  *limits
	hub     *hub
	tests   *tests
	syncs   *syncs
	answers *answers
	plans   *plans
	undos   *undos

	diagnoses diagnoses
	readiness readiness

	stopping context.Context // ends with Close
	stop     context.CancelFunc
	work     sync.WaitGroup // everything that outlives its request
}

// Handler returns the admin of a service. It panics if an option is not valid,
// since that is a mistake in the program.
//
// Give its Close to [http.Server.RegisterOnShutdown], so that open streams do not
// hold up the end of the server.
func Handler(service *enlace.Service, o Options) *Admin {
	if service == nil {
		panic("admin: the service is nil")
	}
	a := &Admin{service: service, options: o.withDefaults(), limits: newLimits(),
		tests: newTests(), syncs: newSyncs(), answers: newAnswers(),
		plans: &plans{}, undos: &undos{byRun: map[enlace.Ref]*undo{}}}
	a.logger = a.options.Logger
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
			panic("admin: Options.PublicURL is not an absolute http or https URL")
		}
		u.Path = strings.TrimSuffix(u.Path, "/") + "/"
		a.public = u
	}
	a.origins = http.NewCrossOriginProtection()
	for _, origin := range o.TrustedOrigins {
		if err := a.origins.AddTrustedOrigin(origin); err != nil {
			panic("admin: Options.TrustedOrigins: " + err.Error())
		}
	}
	mustAncestors(o.FrameAncestors)
	a.policy = framePolicy(o.FrameAncestors)
	a.stopping, a.stop = context.WithCancel(context.Background())
	a.files, a.pages = loadFiles(), loadPages()
	a.hub = a.newHub(a.options.MaxStreams)
	a.routes = a.newRoutes()
	return a
}

// API returns the REST API alone, for hosts that have pages of their own: what [Handler]
// serves under "api/v1/" is then at the mount itself, as "integrations", "providers",
// "test", "validate", "webhook", "sync", "metrics", "health" and so on. The mount's root is
// the list of integrations too, so that a mount at /integrations/ has the usual addresses.
// It takes the options that concern no page, and panics as Handler does.
func API(service *enlace.Service, o Options) *Admin {
	a := Handler(service, o)
	a.apiOnly = true
	return a
}

func (o Options) withDefaults() Options {
	if o.Product == "" {
		o.Product = "enlace"
	}
	if _, ok := catalogs[o.Language]; !ok {
		o.Language = english
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 256
	}
	if o.SourceTimeout <= 0 {
		o.SourceTimeout = 1500 * time.Millisecond
	}
	return o
}

// Close ends the open streams and the tests under way, and returns when they have
// ended. Requests after it still work, without streams.
func (a *Admin) Close() {
	a.stop()
	a.hub.close()
	a.work.Wait()
}

// ServeHTTP implements [http.Handler].
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := &call{admin: a, mount: locate(r), id: requestID(r), address: addressOf(r)}
	call.preferences = a.preferencesOf(r)
	a.protectPage(w.Header())
	w.Header().Set("X-Request-Id", call.id)
	if name, ok := strings.CutPrefix(call.mount.path, "static/"); ok && !a.apiOnly && a.files.serve(w, r, name) {
		return
	}
	r = call.attach(r)
	if err := a.checkOrigin(r); err != nil {
		a.refuse(w, r, http.StatusForbidden, "cross_origin")
		return
	}
	if call.mount.path == callbackPath && comesBack(r) {
		// The host's session cookie may be one that browsers keep back on the way from
		// another site. The state and the library's own cookie prove the browser.
		if err := a.endAuthorization(w, r, call); err != nil {
			a.fail(w, r, call, err)
		}
		return
	}
	if a.apiOnly {
		call.mount.path = strings.TrimPrefix(apiPath, "/") + "/" + cmp.Or(call.mount.path, "integrations")
	}
	if a.options.Probes && r.Method == http.MethodGet && "/"+call.mount.path == apiPath+"/health" {
		if served, err := a.healthProbe(w, r, call); served || err != nil {
			return
		}
	}
	access, status := a.authorize(r)
	if status != 0 {
		a.refuseStranger(w, r, status)
		return
	}
	call.access, call.number = access, a.hub.number(access.Tenant)
	if call.mount.bare {
		leave(w, http.StatusPermanentRedirect, call.mount.name+"/")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBody)
	r = r.WithContext(a.asActor(r.Context(), call))
	a.routes.ServeHTTP(w, call.inside(r))
}

// leave redirects to an address relative to the request's. http.Redirect would
// make it absolute, by a path that is not the one that the browser sees.
func leave(w http.ResponseWriter, status int, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(status)
}
