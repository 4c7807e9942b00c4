package rdstationtest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

const (
	maxURL  = 8192    // sheet 6.1: longer ones get 414
	maxBody = 4 << 20 // what the account reads of a body at most
)

// surface is a part of the service with its own credentials and its own errors.
type surface uint8

const (
	openSurface      surface = iota // dialogs and token endpoints
	marketingSurface                // bearer of Marketing
	conversionKey                   // ?api_key=
	crmSurface                      // CRM v2, bearer of the CRM
	crmV1Surface                    // ?token=
)

// route is one method of one path.
type route struct {
	name     string // such as "PATCH /platform/contacts/{lead}"
	surface  surface
	handle   func(a *Account, q *request) reply
	classes  []string // limits per account that a request counts against
	lead     string   // the limit per lead, whose contact is the path's first variable
	takesAny bool     // reads the body itself
	unlocked bool     // runs without the account's lock

	method   string
	segments []string
}

// request is one HTTP request on its way through the account.
type request struct {
	http  *http.Request
	route *route
	vars  []string // the path's variables
	query url.Values
	raw   []byte
	body  any // of JSON routes
	now   time.Time
	grant *grant // of bearers
	user  *User  // of CRM v1 tokens
	key   *APIKey
}

// object returns the body as an object.
func (q *request) object() (object, bool) {
	o, ok := q.body.(object)
	return o, ok
}

// reply is an answer. Its body is JSON unless it is []byte, which is HTML.
type reply struct {
	status int
	body   any // nil for none
	header map[string]string
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

func (r reply) with(key, value string) reply {
	header := map[string]string{key: value}
	for k, v := range r.header {
		header[k] = v
	}
	r.header = header
	return r
}

func index(table []*route) map[string][]*route {
	routes := map[string][]*route{}
	for _, r := range table {
		method, path, _ := strings.Cut(r.name, " ")
		r.method, r.segments = method, strings.Split(path, "/")[1:]
		key := r.segments[0]
		routes[key] = append(routes[key], r)
	}
	return routes
}

// match finds the route of a path. If only its method is missing, allowed names those it has.
func (a *Account) match(method, escapedPath string) (found *route, vars, allowed []string) {
	path := escapedPath
	if path == "/integrations/webhooks/" || path == "/platform/contacts/fields/" {
		path = strings.TrimSuffix(path, "/")
	}
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, r := range a.routes[segments[0]] {
		values, fits := r.matches(segments)
		if !fits {
			continue
		}
		if r.method == method {
			return r, values, nil
		}
		allowed = append(allowed, r.method)
	}
	return nil, nil, allowed
}

// matches compares segments; a literal plus stays a plus.
func (r *route) matches(segments []string) (vars []string, fits bool) {
	if len(segments) != len(r.segments) {
		return nil, false
	}
	for i, want := range r.segments {
		if want[:1] != "{" {
			if want != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" || want == "{lead}" && value == "fields" {
			return nil, false
		}
		vars = append(vars, value)
	}
	return vars, true
}

// ServeHTTP answers for the API, the authorization servers and the CRM v1.
func (a *Account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", a.Now().UTC().Format(http.TimeFormat))
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		a.write(w, reply{status: http.StatusRequestEntityTooLarge, body: object{"message": "Request size limit exceeded"}})
		return
	}
	q := &request{http: r, query: r.URL.Query(), raw: raw}
	var allowed []string
	if a.hostServes(r.Host, r.URL.Path) {
		q.route, q.vars, allowed = a.match(r.Method, r.URL.EscapedPath())
	}
	name := ""
	if q.route != nil {
		name = q.route.name
	}
	fault := a.begin(q, name)
	defer a.end()
	if fault.spoils(w, r) {
		a.count(name, reply{status: http.StatusInternalServerError})
		return
	}
	if err := fakehttp.Pause(r.Context(), fault.wait()); err != nil {
		panic(http.ErrAbortHandler)
	}
	answer := fault.refusal(a, r.URL.Path)
	if answer == nil {
		given := a.answer(q, allowed)
		answer = &given
	}
	a.count(name, *answer)
	if fault.cuts(w, r, *answer) {
		return
	}
	a.write(w, *answer)
}

// hostServes keeps each host to its own paths, as far as the hosts differ. Hosts that the account
// does not know serve everything.
func (a *Account) hostServes(host, path string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	serves := host != a.api.Host && host != a.accounts.Host && host != a.crmV1.Host
	switch {
	case strings.HasPrefix(path, "/api/v1/"):
		return serves || host == a.crmV1.Host
	case path == "/oauth/authorize":
		return serves || host == a.accounts.Host
	default:
		return serves || host == a.api.Host
	}
}

// answer checks in the service's order: length, route, credentials, limits, media type, body.
func (a *Account) answer(q *request, allowed []string) reply {
	if len(q.http.URL.RequestURI()) > maxURL {
		return reply{status: http.StatusRequestURITooLong, body: object{"message": "Request-URI Too Large"}}
	}
	if q.route == nil {
		return a.unrouted(q, allowed)
	}
	a.mu.Lock()
	locked := true
	defer func() {
		if locked {
			a.mu.Unlock()
		}
	}()
	q.now = a.now()
	refused := a.admit(q)
	if q.route.surface == conversionKey && refused != nil {
		return cors(*refused)
	}
	if refused != nil {
		return *refused
	}
	if q.route.unlocked {
		a.mu.Unlock()
		locked = false
	}
	return q.route.handle(a, q)
}

func (a *Account) unrouted(q *request, allowed []string) reply {
	if q.http.Method == http.MethodOptions && q.http.URL.Path == "/platform/conversions" {
		return cors(reply{status: http.StatusNoContent})
	}
	if len(allowed) > 0 {
		return flat(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "Method not allowed.").with("Allow", strings.Join(allowed, ", "))
	}
	if strings.HasPrefix(q.http.URL.Path, "/api/v1/") {
		return page(http.StatusNotFound, "Página não encontrada")
	}
	return reply{status: http.StatusNotFound, body: object{"message": "no Route matched with those values"}}
}

// admit returns what stands in the way of a request, or nil.
func (a *Account) admit(q *request) *reply {
	if refused := a.authenticate(q); refused != nil {
		return refused
	}
	if refused := a.limit(q); refused != nil {
		return refused
	}
	if q.route.takesAny || q.route.surface == openSurface {
		return nil
	}
	hasBody := q.route.method == http.MethodPost || q.route.method == http.MethodPut || q.route.method == http.MethodPatch || len(q.raw) > 0
	if !isJSON(q.http) && (hasBody || a.quirks.ContentTypeOnGet && q.route.surface == marketingSurface) {
		refused := mediaTypeError(q.route.surface)
		return &refused
	}
	if !hasBody {
		return nil
	}
	body, valid := parseJSON(q.raw)
	if !valid {
		refused := malformed(q.route.surface)
		return &refused
	}
	q.body = body
	return nil
}

func isJSON(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/json"
}

func isForm(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/x-www-form-urlencoded"
}

// write sends an answer.
func (a *Account) write(w http.ResponseWriter, r reply) {
	body := r.bytes()
	for key, value := range r.header {
		w.Header().Set(key, value)
	}
	if _, isPage := r.body.([]byte); isPage {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	} else if r.body != nil {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(r.status)
	w.Write(body)
}

func (r reply) bytes() []byte {
	switch body := r.body.(type) {
	case nil:
		return nil
	case []byte:
		return body
	default:
		return encodeJSON(body)
	}
}
