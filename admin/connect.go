package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/enlace-go/enlace"
)

type connectData struct {
	Integration enlace.Integration
	Provider    enlace.Descriptor
	Schemes     []schemeForm
	Faults      []formFault
	Callback    string // to be registered at the provider
}

func (a *Admin) connectPage(w http.ResponseWriter, r *http.Request, c *call) error {
	in, d, err := a.findWithProvider(r, c)
	if err != nil {
		return err
	}
	f := form{Schemes: schemesOf(translator(c.Language), d)}
	if chosen := r.URL.Query().Get("scheme"); chosen != "" {
		f.choose(chosen)
	}
	return a.showConnect(w, r, c, in, d, f, 0)
}

func (a *Admin) showConnect(w http.ResponseWriter, r *http.Request, c *call, in enlace.Integration, d enlace.Descriptor, f form, status int) error {
	t := translator(c.Language)
	data := connectData{Integration: in, Provider: d, Schemes: f.Schemes, Faults: f.Faults, Callback: c.publicRoot(r) + callbackPath}
	return a.show(w, r, c, page{name: "connect", status: status, title: t.text("connect.of", in.Name), section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {in.Name, "i/" + in.ID}}, data: data})
}

func (a *Admin) connectIntegration(w http.ResponseWriter, r *http.Request, c *call) error {
	in, d, err := a.findWithProvider(r, c)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	credential := readCredential(r, d)
	if credential == nil {
		credential = &enlace.Credential{Scheme: r.PostForm.Get("scheme")}
	}
	if in, err = a.service.Connect(r.Context(), in.Ref, *credential); err != nil {
		p := problemOf(c, err)
		if p.status >= 500 {
			return err
		}
		f := form{Schemes: schemesOf(translator(c.Language), d)}
		f.choose(credential.Scheme)
		f.mark(p)
		return a.showConnect(w, r, c, in, d, f, p.status)
	}
	if in.Status == enlace.StatusPending {
		leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"/connect?scheme="+url.QueryEscape(credential.Scheme))
		return nil
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"?done=connected")
	return nil
}

// callbackPath is where providers send users back to, inside the mount.
const callbackPath = "oauth/callback"

// comesBack says whether a request is the end of an authorization that this
// browser has begun.
func comesBack(r *http.Request) bool {
	_, err := r.Cookie("enlace-authorization")
	return err == nil && r.Method == http.MethodGet && r.URL.Query().Get("state") != ""
}

// startAuthorization sends the browser to the provider. The answer is a page that
// leads there and not a redirect, which form-action of the content policy would
// stop in some browsers.
func (a *Admin) startAuthorization(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	target, cookies, err := a.beginAuthorization(c, r, in, "i/"+in.ID)
	if err != nil {
		return err
	}
	if target == "" {
		leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"/connect?failed=authorize")
		return nil
	}
	for _, cookie := range cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.Header().Set("Refresh", "0; url="+target)
	w.Header().Set("Referrer-Policy", "no-referrer")
	d, _ := a.describe(in.Provider)
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "leaving", title: t.text("connect.leaving", d.Title), section: "integrations", data: target})
}

// beginAuthorization is the address to send the browser to and the cookies by which it is
// known when it comes back, which is to the page back. Without an address the provider
// offers no such authorization.
func (a *Admin) beginAuthorization(c *call, r *http.Request, in enlace.Integration, back string) (target string, cookies []string, err error) {
	flow, err := a.authFlow(c, r, in.Ref, back)
	if err != nil {
		return "", nil, err
	}
	answer := &captured{header: http.Header{}}
	start := r.Clone(r.Context())
	start.Method, start.URL = http.MethodGet, &url.URL{Path: "/start"}
	flow.ServeHTTP(answer, start)
	if target = answer.header.Get("Location"); answer.status != http.StatusSeeOther || httpOnly(target) == "" {
		return "", nil, nil
	}
	return target, answer.header.Values("Set-Cookie"), nil
}

// captured keeps the answer of a handler, without its body.
type captured struct {
	header http.Header
	status int
}

func (w *captured) Header() http.Header         { return w.header }
func (w *captured) Write(b []byte) (int, error) { return len(b), nil }
func (w *captured) WriteHeader(status int)      { w.status = status }

// endAuthorization takes the provider's answer. The library knows the browser by a
// cookie of its own.
func (a *Admin) endAuthorization(w http.ResponseWriter, r *http.Request, c *call) error {
	flow, err := a.authFlow(c, r, enlace.Ref{}, "i")
	if err != nil {
		return err
	}
	flow.ServeHTTP(w, r)
	return nil
}

// authFlow is the library's OAuth handler for the address that this request came by. back
// is where in the mount the browser ends.
func (a *Admin) authFlow(c *call, r *http.Request, ref enlace.Ref, back string) (http.Handler, error) {
	root := c.publicRoot(r)
	mount, err := url.Parse(root)
	if err != nil {
		return nil, newProblem(c, "bad_request")
	}
	return a.service.AuthHandler(enlace.AuthHandlerOptions{
		Integration: func(*http.Request) (enlace.Ref, error) { return ref, nil },
		CallbackURL: root + callbackPath,
		ReturnTo:    strings.TrimSuffix(mount.EscapedPath(), "/") + "/" + back,
	})
}

// authorizationLife is how long a person may take at the provider's page.
const authorizationLife = 10 * time.Minute

type authorizationAnswer struct {
	SetCookie []string `header:"Set-Cookie"`
	Body      struct {
		AuthorizeURL string    `json:"authorizeUrl" doc:"Where to send the browser that has made this request: its cookie proves it when it comes back"`
		ExpiresAt    time.Time `json:"expiresAt"`
	}
}

func (api *api) authorizationOperations() {
	type authorizeInput struct {
		ID   string `path:"id" maxLength:"64"`
		Body *struct {
			ReturnTo string `json:"returnTo,omitempty" maxLength:"500" doc:"Where in the mount the browser ends; left out, the integration's page"`
		}
	}
	operation(api, GrantConnect, huma.Operation{Method: "POST", Path: "/integrations/{id}/oauth", OperationID: "authorizeIntegration", Summary: "Begin an authorization at the provider",
		Tags: []string{"integrations"}, DefaultStatus: http.StatusCreated, Middlewares: huma.Middlewares{keepRequest}},
		func(ctx context.Context, c *call, in *authorizeInput) (*authorizationAnswer, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, err
			}
			back := "i/" + found.ID
			if in.Body != nil && in.Body.ReturnTo != "" {
				if back = insidePath(in.Body.ReturnTo); back == "" {
					return nil, newProblem(c, "validation_failed")
				}
			}
			target, cookies, err := api.beginAuthorization(c, requestOf(ctx), found, back)
			if err == nil && target == "" {
				err = newProblem(c, "capability_unsupported")
			}
			if err != nil {
				return nil, err
			}
			out := &authorizationAnswer{SetCookie: cookies}
			out.Body.AuthorizeURL, out.Body.ExpiresAt = target, time.Now().Add(authorizationLife).UTC()
			return out, nil
		})
}

type requestKey struct{}

// keepRequest gives an operation the request that it answers.
func keepRequest(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	next(huma.WithValue(ctx, requestKey{}, r))
}

func requestOf(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}
