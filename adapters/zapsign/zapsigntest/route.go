package zapsigntest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// route is an endpoint. Its pattern has {} for what varies; its name, in faults and counts, is
// the verb and the pattern.
type route struct {
	verb, pattern string
	run           func(*call) answer // with API.mu held
	parts         []string

	open      bool     // no API token needed
	rawToken  bool     // the token may stand without Bearer (sheet 1.2)
	multipart bool     // the body is no JSON
	create    bool     // it costs a credit, and 402 without a plan
	files     []string // fields with URLs to download
}

// routes is the table of section 2.
var routes = func() []*route {
	table := []*route{
		{verb: "POST", pattern: "docs/", run: (*call).createDocument, create: true, files: []string{"url_pdf", "url_docx"}},
		{verb: "POST", pattern: "docs/async/", run: (*call).createDocumentLater, create: true, files: []string{"url_pdf", "url_docx"}},
		{verb: "GET", pattern: "docs/", run: (*call).listDocuments},
		{verb: "GET", pattern: "docs/signer-log/{}", run: (*call).activityLog},
		{verb: "GET", pattern: "docs/{}/", run: (*call).getDocument},
		{verb: "PUT", pattern: "docs/{}/", run: (*call).updateDocument},
		{verb: "DELETE", pattern: "docs/{}/", run: (*call).deleteDocument},
		{verb: "PUT", pattern: "docs/{}/document-display-order/", run: (*call).reorderEnvelope},
		{verb: "POST", pattern: "docs/{}/upload-extra-doc/", run: (*call).addExtra, create: true, files: []string{"url_pdf"}},
		{verb: "POST", pattern: "docs/{}/place-signatures/", run: (*call).placeSignatures},
		{verb: "POST", pattern: "docs/{}/reprocess-doc/", run: (*call).reprocess},
		{verb: "POST", pattern: "docs/{}/resend-notifications-bulk/", run: (*call).resendAll},
		{verb: "POST", pattern: "docs/{}/add-signer/", run: (*call).addSigner},
		{verb: "POST", pattern: "refuse/", run: (*call).cancelDocument},
		{verb: "POST", pattern: "refuse/by-user/", run: (*call).refuseByUser},
		{verb: "POST", pattern: "sign/", run: (*call).batchSign},
		{verb: "GET", pattern: "signers/{}/", run: (*call).getSigner},
		{verb: "POST", pattern: "signers/{}/", run: (*call).updateSigner},
		{verb: "DELETE", pattern: "signer/{}/remove/", run: (*call).removeSigner},
		{verb: "PUT", pattern: "reset-auth-attempts/{}/", run: (*call).resetAttempts},
		{verb: "GET", pattern: "signer-verification-details/{}/", run: (*call).verificationDetails},
		{verb: "DELETE", pattern: "signature-group/{}/", run: (*call).dropGroups},
		{verb: "POST", pattern: "models/create-doc/", run: (*call).createFromTemplate, create: true},
		{verb: "POST", pattern: "models/create-doc/async/", run: (*call).createFromTemplateLater, create: true},
		{verb: "POST", pattern: "models/{}/upload-extra-doc/", run: (*call).addExtraFromTemplate, create: true},
		{verb: "GET", pattern: "templates/", run: (*call).listTemplates},
		{verb: "POST", pattern: "templates/create/", run: (*call).createTemplate, files: []string{"docx_url"}},
		{verb: "POST", pattern: "templates/update-form/", run: (*call).updateForm},
		{verb: "GET", pattern: "templates/{}/", run: (*call).getTemplate},
		{verb: "PUT", pattern: "templates/{}/", run: (*call).updateTemplate},
		{verb: "DELETE", pattern: "templates/{}/", run: (*call).deleteTemplate},
		{verb: "POST", pattern: "user/company/webhook/", run: (*call).createWebhook},
		{verb: "POST", pattern: "user/company/webhook/header/", run: (*call).addWebhookHeaders},
		{verb: "DELETE", pattern: "user/company/webhook/delete/", run: (*call).deleteWebhook},
		{verb: "DELETE", pattern: "user/company/webhook/header/delete/", run: (*call).deleteWebhookHeader},
		{verb: "GET", pattern: "info-plan/", run: (*call).planInfo},
		{verb: "GET", pattern: "info-plan", run: (*call).planInfo},
		{verb: "GET", pattern: "info-plan/partners-csv/", run: (*call).partnersCSV},
		{verb: "GET", pattern: "users/", run: (*call).listUsers},
		{verb: "POST", pattern: "users/create-user", run: (*call).createUser},
		{verb: "DELETE", pattern: "users/{}/", run: (*call).deleteUser},
		{verb: "POST", pattern: "partner/company/", run: (*call).createCompany},
		{verb: "POST", pattern: "partner/update-payment-status/", run: (*call).updatePaymentStatus},
		{verb: "POST", pattern: "checks/", run: (*call).createCheck},
		{verb: "GET", pattern: "checks/{}/", run: (*call).getCheck},
		{verb: "GET", pattern: "checks/{}/details/", run: (*call).getCheckDetails},
		{verb: "POST", pattern: "timestamp/", run: (*call).timestamp, rawToken: true, files: []string{"url"}},
		{verb: "POST", pattern: "timestamp/no-signature", run: (*call).timestamp, rawToken: true, files: []string{"url"}},
		{verb: "POST", pattern: "validate-pdf-signature", run: (*call).validateSignature, multipart: true},
		{verb: "POST", pattern: "auth/token/{}/", run: (*call).login, open: true},
		{verb: "POST", pattern: "auth/token/{}", run: (*call).login, open: true},
		{verb: "POST", pattern: "auth/token-refresh/", run: (*call).refreshToken, open: true},
	}
	for _, r := range table {
		r.parts = strings.Split(r.pattern, "/")
	}
	return table
}()

func (r *route) name() string { return r.verb + " /" + r.pattern }

// match compares a path, without the base, and returns what stands for {}. Whether a path ends
// with a slash makes a difference.
func (r *route) match(parts []string) ([]string, bool) {
	if len(parts) != len(r.parts) {
		return nil, false
	}
	var params []string
	for i, part := range r.parts {
		switch {
		case part == "{}" && parts[i] != "":
			params = append(params, parts[i])
		case part != parts[i]:
			return nil, false
		}
	}
	return params, true
}

// find looks up an endpoint. Of paths that exist for other verbs only, it returns these verbs.
func find(verb, path string) (found *route, params []string, otherVerbs []string) {
	parts, best := strings.Split(path, "/"), ""
	for _, r := range routes {
		matched, matches := r.match(parts)
		if !matches || best != "" && r.pattern != best {
			continue
		}
		best = r.pattern
		if r.verb == verb {
			return r, matched, nil
		}
		otherVerbs = append(otherVerbs, r.verb)
	}
	return nil, nil, otherVerbs
}

// call is one request to an endpoint.
type call struct {
	*API
	route   *route
	request *http.Request
	account *account
	params  []string
	query   url.Values
	body    []byte
	kind    int // of the body
	in      fields
	fetched map[string]download
}

const basePath = "/api/v1/"

// ServeHTTP answers for all hosts.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", a.now().Format(http.TimeFormat))
	host, secure := a.hostOf(r)
	switch {
	case secure && r.TLS == nil:
		// The redirect answers before anybody looks at credentials (F25).
		answer{status: http.StatusMovedPermanently, header: map[string]string{"Location": "https://" + r.Host + r.URL.RequestURI()}}.writeTo(w)
	case host == filesHost:
		a.serve(w, r, "files", a.serveFile)
	case strings.HasPrefix(r.URL.Path, "/verificar/"):
		a.serveScreen(r).writeTo(w)
	case strings.HasPrefix(r.URL.Path, basePath):
		a.serveAPI(w, r, host == productionHost)
	default:
		noSuchPage().writeTo(w)
	}
}

// serveAPI finds the endpoint of a request and has it served.
func (a *API) serveAPI(w http.ResponseWriter, r *http.Request, production bool) {
	path := strings.TrimPrefix(r.URL.Path, basePath)
	found, params, otherVerbs := find(r.Method, path)
	name := ""
	if found != nil {
		name = found.name()
	}
	a.serve(w, r, name, func(r *http.Request, body []byte) answer {
		if found == nil {
			return a.noRoute(r, path, otherVerbs, production)
		}
		c := &call{API: a, route: found, request: r, params: params, query: r.URL.Query(), body: body}
		return c.answer(production)
	})
}

// noRoute answers for paths that do not exist as they stand (F4, F5).
func (a *API) noRoute(r *http.Request, path string, otherVerbs []string, production bool) answer {
	if len(otherVerbs) > 0 {
		if _, refusal := a.authenticate(r, production, false); refusal != nil {
			return *refusal
		}
		no := detail(http.StatusMethodNotAllowed, `Método "`+r.Method+`" não é permitido.`)
		no.header = map[string]string{"Allow": strings.Join(otherVerbs, ", ")}
		return no
	}
	if strings.HasSuffix(path, "/") {
		return noSuchPage()
	}
	slashed, _, others := find(r.Method, path+"/")
	switch {
	case slashed == nil && len(others) == 0:
		return noSuchPage()
	case r.Method == http.MethodGet:
		target := *r.URL
		target.Path += "/"
		target.RawPath = ""
		return answer{status: http.StatusMovedPermanently, header: map[string]string{"Location": target.RequestURI()}}
	case a.options.Quirks.MissingSlash500:
		return serverError()
	default:
		return noSuchPage()
	}
}

// answer runs the endpoint: credentials, limit, body, then the work.
func (c *call) answer(production bool) answer {
	if !c.route.open {
		acc, refusal := c.authenticate(c.request, production, c.route.rawToken)
		if refusal != nil {
			if strings.HasSuffix(c.route.pattern, "/resend-notifications-bulk/") {
				return coded(http.StatusForbidden, "permission_denied", "Você não tem permissão para executar essa ação.")
			}
			return *refusal
		}
		c.account = acc
		if limited := c.limit("token " + acc.Token); limited != nil {
			return *limited
		}
	}
	if refusal := c.readFields(); refusal != nil {
		return *refusal
	}
	if c.route.create && c.account.Production && c.account.NoPlan {
		return noPlan(c.options.Quirks.ShortPlanError)
	}
	for _, name := range c.route.files {
		c.fetch(name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.route.run(c)
}

func noPlan(short bool) answer {
	body := `É obrigatório contratar um Plano de API para utilizá-la em modo produção.`
	if !short {
		body += ` Caso seja um teste, coloque a flag "sandbox" como true e use no modo desenvolvimento.`
	}
	return text(http.StatusPaymentRequired, body)
}

// readFields takes the body for what it should be (F6).
func (c *call) readFields() *answer {
	c.in = fields{wrong: new(string)}
	if len(c.body) == 0 || c.route.multipart {
		return nil
	}
	contentType, _, _ := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if contentType != typeJSON {
		no := detail(http.StatusNotAcceptable, "O corpo da requisição deve ser JSON.")
		return &no
	}
	c.in, c.kind = parseFields(c.body)
	switch {
	case c.kind == notJSON && c.route.pattern == "refuse/":
		no := coded(http.StatusBadRequest, "invalid_json", "JSON inválido.")
		return &no
	case c.kind == notJSON:
		no := detail(http.StatusBadRequest, "JSON parse error")
		return &no
	case c.kind == null && c.route.verb == "POST" && c.route.pattern == "signers/{}/":
		no := serverError()
		return &no
	case c.kind != object:
		no := detail(http.StatusNotAcceptable, "O corpo da requisição deve ser um objeto JSON.")
		return &no
	}
	return nil
}

// readBody reads a body within bounds: base64 of the largest file, and something around it.
func (a *API) readBody(r *http.Request) ([]byte, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true
	}
	limit := int64(a.options.FileLimit)*2 + 1<<20
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	return body, err == nil && int64(len(body)) <= limit
}

// pageNumber reads the parameter page; it reports false for what is no page number.
func (c *call) pageNumber() (int, bool) {
	raw := c.query.Get("page")
	if raw == "" {
		return 1, true
	}
	page, err := strconv.Atoi(raw)
	return page, err == nil && page > 0
}

// envelope is a page of a list (sheet 2.1.4).
type envelope struct {
	Count    int     `json:"count"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Results  []any   `json:"results"`
}

// paginate cuts the page that was asked for out of n rows and renders it.
func (c *call) paginate(n, size int, row func(int) any) answer {
	page, valid := c.pageNumber()
	first := (page - 1) * size
	if valid && first >= n && page > 1 && c.options.Quirks.EmptyPastEnd {
		return ok(envelope{Count: n, Results: []any{}})
	}
	if !valid || page > 1 && first >= n {
		return detail(http.StatusNotFound, "Página inválida.")
	}
	e := envelope{Count: n, Results: []any{}}
	for i := first; i < min(first+size, n); i++ {
		e.Results = append(e.Results, row(i))
	}
	if first+size < n {
		e.Next = c.pageLink(page + 1)
	}
	if page > 1 {
		e.Previous = c.pageLink(page - 1)
	}
	return ok(e)
}

// pageLink is an absolute address with all parameters of the request, api_token included, and
// plain HTTP even where the request came by HTTPS (F24).
func (c *call) pageLink(page int) *string {
	query := url.Values{}
	for name, values := range c.query {
		query[name] = values
	}
	query.Set("page", strconv.Itoa(page))
	scheme := "http"
	if c.options.Quirks.NextHTTPS && c.request.TLS != nil {
		scheme = "https"
	}
	link := scheme + "://" + c.request.Host + c.request.URL.Path + "?" + query.Encode()
	return &link
}
