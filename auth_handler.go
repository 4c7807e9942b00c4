package enlace

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// AuthHandlerOptions say how the OAuth flow is part of the host's own pages.
type AuthHandlerOptions struct {
	// Integration tells which integration a request to …/start is about, after it
	// has checked that the user may connect it. An error answers 403. Required.
	Integration func(r *http.Request) (Ref, error)
	// CallbackURL is the absolute address of …/callback as the provider knows it. Required.
	CallbackURL string
	// ReturnTo is the local path to go to at the end. The query parameter "return"
	// of …/start replaces it. Defaults to "/".
	ReturnTo string
}

const browserCookie = "enlace-authorization"

// AuthHandler returns the two addresses of the OAuth connect flow, to be mounted
// anywhere in the host's mux:
//
//   - GET …/start sends the browser to the provider. It is behind the host's own
//     login; see [AuthHandlerOptions.Integration].
//   - GET …/callback takes the answer, connects the integration, and leads to the
//     local path of ReturnTo with "connected" or "error" (a [KindLabel]) in its query.
//
// The callback does not need the host's session, so that works with cookies of
// SameSite=Strict: it knows the browser by a short-lived cookie of its own, which
// keeps anybody else's authorization from being slipped in. Only local paths are
// returned to.
func (s *Service) AuthHandler(o AuthHandlerOptions) (http.Handler, error) {
	var faults ValidationError
	if o.Integration == nil {
		faults.add("Integration", "missing", "a function that checks the user and names the integration")
	}
	callback, err := url.Parse(o.CallbackURL)
	if err != nil || callback.Host == "" || (callback.Scheme != "https" && callback.Scheme != "http") {
		faults.add("CallbackURL", "not an absolute URL", "the address of the callback as registered at the provider")
	}
	if o.ReturnTo = orDefault(o.ReturnTo, "/"); !localPath(o.ReturnTo) {
		faults.add("ReturnTo", "not a local path", "a path such as /settings")
	}
	if err := faults.orNil(); err != nil {
		return nil, err
	}
	h := authHandler{service: s, options: o, secure: callback.Scheme == "https"}
	return http.HandlerFunc(h.serve), nil
}

type authHandler struct {
	service *Service
	options AuthHandlerOptions
	secure  bool
}

func (h authHandler) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case strings.HasSuffix(r.URL.Path, "/start"):
		h.start(w, r)
	case strings.HasSuffix(r.URL.Path, "/callback"):
		h.callback(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (h authHandler) start(w http.ResponseWriter, r *http.Request) {
	ref, err := h.options.Integration(r)
	if err != nil {
		http.Error(w, "not allowed", http.StatusForbidden)
		return
	}
	p := pendingAuth{Ref: ref, Redirect: h.options.CallbackURL, Return: h.options.ReturnTo}
	if wanted := r.URL.Query().Get("return"); wanted != "" {
		if !localPath(wanted) {
			http.Error(w, "return must be a local path", http.StatusBadRequest)
			return
		}
		p.Return = wanted
	}
	browser := rand.Text()
	p.Browser = hashText(browser)
	address, err := h.service.beginAuth(r.Context(), p)
	if err != nil {
		h.service.logger.Warn("authorization not begun", "integration", ref.String(), "error", err)
		h.leave(w, http.StatusBadGateway, p.Return, "error", KindLabel(err))
		return
	}
	// Lax, not Strict: the provider's redirect comes from another site.
	http.SetCookie(w, &http.Cookie{Name: browserCookie, Value: browser, Path: "/", MaxAge: int(stateLife.Seconds()),
		HttpOnly: true, Secure: h.secure, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, address, http.StatusSeeOther)
}

func (h authHandler) callback(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: browserCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: h.secure, SameSite: http.SameSiteLaxMode})
	query := r.URL.Query()
	p, err := h.service.openState(r.Context(), query.Get("state"))
	if err != nil {
		h.leave(w, http.StatusBadRequest, h.options.ReturnTo, "error", KindLabel(err))
		return
	}
	cookie, err := r.Cookie(browserCookie)
	if err != nil || p.Browser == "" || !NewSecret(hashText(cookie.Value)).Equal(NewSecret(p.Browser)) {
		h.leave(w, http.StatusBadRequest, h.options.ReturnTo, "error", KindLabel(ErrInvalid))
		return
	}
	in, err := h.service.completeAuth(r.Context(), p, query)
	if err != nil {
		h.service.logger.Warn("authorization not completed", "integration", p.Ref.String(), "error", err)
		h.leave(w, http.StatusBadGateway, p.Return, "error", KindLabel(err))
		return
	}
	h.leave(w, http.StatusOK, p.Return, "connected", in.ID)
}

// leave answers with a page that leads to a local path. A redirect would count
// as coming from the provider's site, and the browser would not send the host's
// strict cookies with it.
func (h authHandler) leave(w http.ResponseWriter, status int, path, name, value string) {
	u, err := url.Parse(path)
	if err != nil {
		u = &url.URL{Path: "/"}
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	target := escapeHTML.Replace(u.String())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<!doctype html><meta http-equiv="refresh" content="0;url=` + target + `"><title>Continue</title><p><a href="` + target + `">Continue</a>`))
}

var escapeHTML = strings.NewReplacer("&", "&amp;", `"`, "&#34;", "'", "&#39;", "<", "&lt;", ">", "&gt;")

// localPath says whether a browser takes path as one of the same site.
func localPath(path string) bool {
	u, err := url.Parse(path)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && strings.HasPrefix(path, "/") &&
		!strings.HasPrefix(path, "//") && !strings.ContainsAny(path, "\\\r\n\t")
}

func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
