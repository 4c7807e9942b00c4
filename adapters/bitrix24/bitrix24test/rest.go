package bitrix24test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// handler runs a method: it appends the result as JSON to dst. After an error what it appended
// is thrown away.
type handler func(c *call, dst []byte) ([]byte, page, *restError)

// call is one run of a method: of a request, or of a command within a batch.
type call struct {
	portal     *Portal
	request    *request
	params     *node
	repeatPage bool // a fault: see RepeatPage
	unbilled   bool // its run time counts elsewhere
	cost       time.Duration
}

// request is one HTTP request to a method on its way through the portal.
type request struct {
	portal     *Portal
	ctx        context.Context
	name       string // of the method, in lower case
	method     *method
	params     *node
	credential *credential
	clientIP   string
	started    time.Time
	cutOff     time.Time // when the portal ends it
}

// credential is who calls.
type credential struct {
	key    string // one per webhook or application; operating time counts per key
	userID int
	app    bool
}

var (
	errCutOff = &restError{code: "cut off after the longest run time"}
	errGone   = &restError{code: "the client went away"}
)

var bufferPool = sync.Pool{New: func() any { return new([]byte) }}

// serveRest answers /rest/….
func (p *Portal) serveRest(w http.ResponseWriter, r *http.Request, body []byte) {
	path, isMethod := parsePath(r.URL.Path)
	req := &request{portal: p, ctx: r.Context(), name: path.method, clientIP: clientIP(r), started: time.Now()}
	req.cutOff = req.started.Add(p.maxRun)
	req.method = p.methods[req.name]
	req.params = readParams(r, body)

	done := p.stats.begin(req, r, body, p.onRequest)
	defer done()
	fault := p.faults.take(req.name, false)
	if fault.spoils(w, r) {
		return
	}
	if !isMethod || req.method == nil {
		p.refuse(w, req, errMethodNotFound)
		return
	}
	if err := p.admit(req, path, r, fault); err != nil {
		p.refuse(w, req, err)
		return
	}

	buffer := bufferPool.Get().(*[]byte)
	defer bufferPool.Put(buffer)
	dst, err := req.answer((*buffer)[:0], fault)
	*buffer = dst
	switch err {
	case nil:
		fault.deliver(w, r, dst)
	case errCutOff:
		writeHTML(w, http.StatusGatewayTimeout, "504 Gateway Time-out")
	case errGone:
		panic(http.ErrAbortHandler)
	default:
		p.refuse(w, req, err)
	}
}

func (p *Portal) refuse(w http.ResponseWriter, req *request, err *restError) {
	p.stats.refused(req.name, req.method != nil)
	p.writeError(w, err)
}

// restPath is what the path of a request says.
type restPath struct {
	userID, secret string // of a webhook
	webhook        bool
	method         string
}

// parsePath takes /rest/{method} and /rest/{user}/{secret}/{method}, each with an optional .json
// and an optional slash at the end. A path of two parts is a webhook without its user (Q32).
func parsePath(path string) (restPath, bool) {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(path, "/rest/"), "/"), "/")
	name := strings.ToLower(strings.TrimSuffix(parts[len(parts)-1], ".json"))
	switch len(parts) {
	case 1:
		return restPath{method: name}, true
	case 3:
		return restPath{userID: parts[0], secret: parts[1], webhook: true, method: name}, true
	default:
		return restPath{method: name}, false
	}
}

// admit checks in the portal's order: credentials, scope, limits (sheet 2.3).
func (p *Portal) admit(req *request, path restPath, r *http.Request, fault *Fault) *restError {
	if err := p.authenticate(req, path, r); err != nil {
		return err
	}
	if err := p.allows(req.method, req.credential); err != nil {
		return err
	}
	if err := fault.refusal(); err != nil {
		return err
	}
	if p.stats.crowded() {
		return errQueryLimit
	}
	return p.limiter.admit(req.clientIP, req.started)
}

// allows checks scope and kind of credential for a method.
func (p *Portal) allows(m *method, who *credential) *restError {
	if m.scope != "" && !p.granted(m.scope) {
		text := "The request requires higher privileges than provided by the webhook token"
		if who.app {
			text = "The request requires higher privileges than provided by the access token"
		}
		return &restError{403, "insufficient_scope", text}
	}
	if m.appOnly != nil && !who.app {
		return m.appOnly
	}
	return nil
}

// granted tells whether a scope was granted; that of users has three widths.
func (p *Portal) granted(scope string) bool {
	for _, s := range p.scopes {
		if s == scope || scope == "user" && (s == "user_basic" || s == "user_brief") {
			return true
		}
	}
	return false
}

// answer runs the request's method and appends the whole body of the answer.
func (req *request) answer(dst []byte, fault *Fault) ([]byte, *restError) {
	if req.name == "batch" {
		return req.batch(dst)
	}
	c := &call{portal: req.portal, request: req, params: req.params, repeatPage: fault.repeats()}
	dst = append(dst, `{"result":`...)
	dst, extras, timing, err := c.run(dst, req.name, req.method)
	if err != nil {
		return dst, err
	}
	return req.portal.appendTail(dst, extras, timing), nil
}

// run executes a method within its limits: it refuses, spends the simulated server time, runs the
// method, and books the time.
func (c *call) run(dst []byte, name string, m *method) ([]byte, page, timing, *restError) {
	p, t := c.portal, timing{started: time.Now()}
	key := operatingKey{c.request.credential.key, name}
	if !c.unbilled {
		if err := p.operating.admit(key, t.started); err != nil {
			return dst, page{}, t, err
		}
	}
	if p.serverTime != nil {
		c.cost = p.serverTime(name)
	}
	extras, err := page{}, c.request.spend(c.cost)
	switch {
	case err != nil:
	case m.run == nil:
		err = errNotSimulated
	default:
		dst, extras, err = m.call(c, dst)
	}
	t.finished = time.Now()
	if !c.unbilled {
		t.operating, t.resetAt = p.operating.book(key, t.finished, c.cost)
	}
	return dst, extras, t, err
}

// spend lets simulated server time pass. It holds no lock, so that requests run side by side.
func (req *request) spend(d time.Duration) *restError {
	if d <= 0 {
		return nil
	}
	left := time.Until(req.cutOff)
	timer := time.NewTimer(min(d, left))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.ctx.Done():
		return errGone
	}
	if d > left {
		return errCutOff
	}
	return nil
}

func clientIP(r *http.Request) string {
	if i := strings.LastIndexByte(r.RemoteAddr, ':'); i >= 0 {
		return r.RemoteAddr[:i]
	}
	return r.RemoteAddr
}

// readBody reads a body within bounds; it answers itself and reports false if that fails.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true
	}
	if r.ContentLength > maxBody {
		writeHTML(w, http.StatusRequestEntityTooLarge, "413 Request Entity Too Large")
		return nil, false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		writeHTML(w, http.StatusRequestEntityTooLarge, "413 Request Entity Too Large")
		return nil, false
	}
	return body, true
}

// wrongType is crm.item.*'s complaint about a parameter.
func wrongType(value, name, typ string) *restError {
	return &restError{400, "100", "Invalid value {" + value + "} to match with parameter {" + name + "}. Should be value of type " + typ + "."}
}

// itemType finds the entity type that a call to crm.item.* names (F40).
func (c *call) itemType() (*entityType, *restError) {
	id, err := c.wholeNumber("entityTypeId")
	if err != nil {
		return nil, err
	}
	if id == 5 || id == 8 || id == 14 {
		return nil, &restError{400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type " + strconv.FormatInt(id, 10) + " is not supported"}
	}
	t := c.portal.types[int(id)]
	if t == nil || int64(t.id) != id {
		return nil, &restError{400, "NOT_FOUND", "Smart process not found"}
	}
	return t, nil
}

// wholeNumber reads a mandatory parameter of crm.item.*.
func (c *call) wholeNumber(name string) (int64, *restError) {
	value := c.params.get(name)
	switch {
	case value.isNull():
		return 0, &restError{400, "100", "Could not find value for parameter {" + name + "}"}
	case !value.isInteger():
		return 0, wrongType(value.string(), name, "int")
	}
	return value.number(), nil
}

func (c *call) itemNaming() naming {
	if c.params.get("useOriginalUfNames").string() == "Y" {
		return originalNames
	}
	return universalNames
}
