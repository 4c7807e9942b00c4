package zapsigntest

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// RouteStats counts what happened to one endpoint.
type RouteStats struct {
	Requests int
	Refused  int // of them, those that were answered with 400 and above
}

// Stats counts what a server saw and did.
type Stats struct {
	// Routes has the endpoints by verb and path, with {} for what varies, such as
	// "POST /docs/{}/add-signer/"; "files" stands for downloads and "" for all paths that do not
	// exist.
	Routes      map[string]RouteStats
	Requests    int // all requests to the API, downloads excluded
	Refused     int // of them, those that were answered with 400 and above
	RateLimited int // of them, those that the limit of requests refused
	Downloads   int // of files
	Deliveries  int // attempts to deliver a webhook
	Failed      int // of them, those that did not get a 200
	MaxInFlight int // the most requests to the API that were under way at once
}

// Request is what [Options].OnRequest gets to see. Nothing of it may be changed.
type Request struct {
	At     time.Time
	Route  string // as in [Stats].Routes
	Method string
	URL    string // path and query
	Header http.Header
	Body   []byte
}

// Stats returns the counts so far.
func (a *API) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts := a.stats
	counts.Routes = maps.Clone(counts.Routes)
	return counts
}

// ResetStats sets all counts to zero.
func (a *API) ResetStats() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats = Stats{}
}

// Credits returns how many document credits the account with this token has consumed: one per
// document and extra document, whatever becomes of it (sheet 1.5).
func (a *API) Credits(token string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if acc := a.tokens[token]; acc != nil {
		return acc.credits
	}
	return 0
}

// serve counts a request, spoils it if a fault is due, and has it answered.
func (a *API) serve(w http.ResponseWriter, r *http.Request, name string, run func(*http.Request, []byte) answer) {
	body, complete := a.readBody(r)
	fault := a.begin(name)
	defer a.end(name)
	if a.options.OnRequest != nil && name != "files" {
		a.options.OnRequest(Request{At: a.now(), Route: name, Method: r.Method, URL: r.URL.RequestURI(), Header: r.Header, Body: body})
	}
	if fault.breaks(w, r) {
		return
	}
	result := a.admit(r, name, complete, fault)
	if result == nil {
		done := run(r, body)
		result = &done
	}
	a.count(name, *result)
	fault.deliver(w, r, *result)
}

// admit returns the refusal of what is too large, too many or to be refused by a fault.
func (a *API) admit(r *http.Request, name string, complete bool, fault *Fault) *answer {
	if !complete {
		no := html(http.StatusRequestEntityTooLarge, "413 Request Entity Too Large")
		return &no
	}
	if name != "files" {
		if limited := a.limit("address " + clientIP(r)); limited != nil {
			return limited
		}
	}
	return fault.instead(a.now(), a.options.Quirks.RetryAfter)
}

func (a *API) begin(name string) *Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name == "files" {
		a.stats.Downloads++
	} else {
		a.stats.Requests++
		a.inFlight++
		a.stats.MaxInFlight = max(a.stats.MaxInFlight, a.inFlight)
	}
	if a.stats.Routes == nil {
		a.stats.Routes = map[string]RouteStats{}
	}
	route := a.stats.Routes[name]
	route.Requests++
	a.stats.Routes[name] = route
	return a.takeFault(name)
}

func (a *API) end(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name != "files" {
		a.inFlight--
	}
}

func (a *API) count(name string, done answer) {
	if done.status < http.StatusBadRequest {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if name != "files" {
		a.stats.Refused++
	}
	if done.status == http.StatusTooManyRequests && len(done.body) == 0 {
		a.stats.RateLimited++
	}
	if a.stats.Routes == nil {
		return
	}
	route := a.stats.Routes[name]
	route.Refused++
	a.stats.Routes[name] = route
}

// serveScreen is the signature screen behind sign_url. Whoever loads it has opened the link.
func (a *API) serveScreen(r *http.Request) answer {
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/verificar/"), "oneclick/")
	if a.Open(strings.Trim(path, "/")) != nil {
		return noSuchPage()
	}
	return html(http.StatusOK, "ZapSign")
}
