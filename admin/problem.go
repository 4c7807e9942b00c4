package admin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/enlace-go/enlace"
)

// problem is a failure as pages and API show it: what is stable for programs, and
// words for people. It never repeats a value that was sent in.
type problem struct {
	status int
	code   string
	title  string
	detail string
	faults []fault
}

type fault struct {
	field, code, detail string
	secret              bool
}

func (p *problem) Error() string { return p.code }

// codes are the stable names of the failures, and their statuses.
var codes = map[string]int{
	"validation_failed": 422, "not_found": 404, "version_required": 428, "version_conflict": 412, "idempotency_mismatch": 422,
	"already_running": 409, "conflict": 409, "egress_denied": 422, "provider_unauthorized": 409, "provider_unavailable": 503,
	"provider_rate_limited": 503, "scope_missing": 409, "capability_unsupported": 409, "rate_limited": 429, "forbidden": 403,
	"signed_out": 401, "cross_origin": 403, "unsupported_media_type": 415, "payload_too_large": 413, "invalid_cursor": 400,
	"bad_request": 400, "method_not_allowed": 405, "not_acceptable": 406, "store_unavailable": 503, "timed_out": 503,
	"no_credential": 409, "disabled": 409, "too_many_streams": 429, "too_many": 422, "internal": 500,
}

// newProblem is the failure of that code in the call's language.
func newProblem(c *call, code string) *problem {
	t := translator(c.Language)
	status, ok := codes[code]
	if !ok {
		status = http.StatusInternalServerError
	}
	return &problem{status: status, code: code, title: t.text("problem." + code), detail: t.text("problem." + code + ".detail")}
}

// problemCodes say which code an error of the library has, the more special first.
var problemCodes = []struct {
	kind error
	code string
}{
	{enlace.ErrNoCredential, "no_credential"}, {enlace.ErrDisabled, "disabled"}, {enlace.ErrNotFound, "not_found"},
	{enlace.ErrUnknownProvider, "not_found"}, {enlace.ErrInvalid, "validation_failed"}, {enlace.ErrConflict, "conflict"},
	{enlace.ErrDuplicate, "conflict"}, {enlace.ErrBlocked, "egress_denied"}, {enlace.ErrAuth, "provider_unauthorized"},
	{enlace.ErrMisconfigured, "provider_unauthorized"}, {enlace.ErrForbidden, "scope_missing"}, {enlace.ErrRateLimited, "provider_rate_limited"},
	{enlace.ErrUnavailable, "provider_unavailable"}, {enlace.ErrProtocol, "provider_unavailable"}, {enlace.ErrUnsupported, "capability_unsupported"},
	{enlace.ErrCanceled, "timed_out"}, {enlace.ErrStore, "store_unavailable"},
}

// problemOf makes a failure of the library one of ours.
func problemOf(c *call, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return newProblem(c, "payload_too_large")
	}
	code := "internal"
	for _, known := range problemCodes {
		if errors.Is(err, known.kind) {
			code = known.code
			break
		}
	}
	p := newProblem(c, code)
	if v, ok := errors.AsType[*enlace.ValidationError](err); ok {
		for _, f := range v.Faults {
			p.faults = append(p.faults, faultOf(translator(c.Language), f))
		}
	}
	return p
}

// faultOf puts a fault into the language, as far as its words are known.
func faultOf(t translator, f enlace.Fault) fault {
	detail := t.optional("fault."+f.Problem, f.Problem)
	for _, beginning := range []string{"not a secret of the scheme ", "not an auth scheme of ", "not a feature of "} {
		if rest, ok := strings.CutPrefix(f.Problem, beginning); ok {
			detail = t.text("fault."+strings.ReplaceAll(strings.TrimSpace(beginning), " ", "_"), rest)
		}
	}
	if allowed := allowedWords(t, f.Allowed); allowed != "" {
		detail += "; " + t.text("fault.allowed", allowed)
	}
	return fault{field: f.Field, code: strings.ReplaceAll(strings.ToLower(f.Problem), " ", "_"), detail: detail}
}

func allowedWords(t translator, allowed string) string {
	if bounds, ok := strings.CutPrefix(allowed, "a whole number from "); ok {
		if low, high, ok := strings.Cut(bounds, " to "); ok {
			return t.text("fault.range", low, high)
		}
	}
	return t.foreign(t.optional("fault."+allowed, allowed))
}

// retryStore is after how many seconds a store that was not there may be asked again.
const retryStore = "5"

// tellRetry says when to try again, if that is known.
func (p *problem) tellRetry(h http.Header) {
	if p.code == "store_unavailable" && h.Get("Retry-After") == "" {
		h.Set("Retry-After", retryStore)
	}
}

// fail answers with a problem: as a page to browsers, as JSON to programs.
func (a *Admin) fail(w http.ResponseWriter, r *http.Request, c *call, err error) {
	p := problemOf(c, err)
	if p.status >= 500 {
		a.logger.Error("admin request failed", "request", c.id, "path", c.mount.path, "code", p.code, "error", err)
	}
	if wantsJSON(r, c) {
		writeProblem(w, r, c, p)
		return
	}
	p.tellRetry(w.Header())
	shown := page{status: p.status, name: "problem", title: p.title, data: problemView{Code: p.code, Title: p.title, Detail: p.detail, Status: p.status}}
	if err := a.show(w, r, c, shown); err != nil {
		a.logger.Error("admin page failed", "request", c.id, "error", err)
		http.Error(w, p.title, p.status)
	}
}

type problemView struct {
	Code, Title, Detail string
	Status              int
}

// refuse answers a request that goes no further, with a problem and without a
// shell: whoever asks may not be allowed to see that.
func (a *Admin) refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	c := callOf(r.Context())
	p := newProblem(c, code)
	if wantsJSON(r, c) {
		writeProblem(w, r, c, p)
		return
	}
	t := translator(c.Language)
	v := view{Root: c.mount.root, Language: c.Language, Theme: c.Theme, Title: p.title, Options: a.options, RequestID: c.id,
		Data: problemView{Code: p.code, Title: p.title, Detail: p.detail, Status: p.status}, file: func(name string) string { return a.files.names[name] }}
	if code == "forbidden" && a.options.Authorize == nil {
		v.Data = problemView{Code: p.code, Title: t.text("closed.title"), Detail: t.text("closed.detail"), Status: p.status}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := a.pages.in(c.Language, c.Zone).ExecuteTemplate(w, "stranger", v); err != nil {
		a.logger.Error("admin page failed", "request", c.id, "error", err)
	}
}

// refuseStranger answers somebody whom the authorizer did not let in, the same for
// every path.
func (a *Admin) refuseStranger(w http.ResponseWriter, r *http.Request, status int) {
	if status == http.StatusUnauthorized {
		if a.options.LoginURL != "" && r.Method == http.MethodGet && !wantsJSON(r, callOf(r.Context())) {
			leave(w, http.StatusSeeOther, a.options.LoginURL)
			return
		}
		a.refuse(w, r, status, "signed_out")
		return
	}
	a.refuse(w, r, status, "forbidden")
}

// wantsJSON says whether a program asks: by the path, or by what it accepts.
func wantsJSON(r *http.Request, c *call) bool {
	return strings.HasPrefix(c.mount.path, "api/") ||
		(strings.Contains(r.Header.Get("Accept"), "json") && !strings.Contains(r.Header.Get("Accept"), "text/html"))
}
