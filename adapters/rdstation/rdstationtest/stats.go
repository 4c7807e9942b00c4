package rdstationtest

import (
	"maps"
	"net/http"
	"time"
)

// RouteStats counts the requests to one route.
type RouteStats struct {
	Requests int
	Refused  int // answered with a status of 400 and above
	Limited  int // of those, with 429
}

// LimitStats counts what one limit let pass and what it refused. Limits per lead are summed up.
type LimitStats struct {
	Allowed int
	Refused int
}

// Stats counts what an account saw.
type Stats struct {
	Routes      map[string]RouteStats // by names such as "PATCH /platform/contacts/{lead}"; "" stands for unknown paths
	Limits      map[string]LimitStats // by the names of [Limits]
	Requests    int
	Refused     int
	Limited     int
	Refreshes   int // token pairs given for a refresh token
	Events      int // events accepted, those of batches one by one
	Deliveries  int // attempts to deliver a webhook, without validation calls
	MaxInFlight int // the most requests that were under way at once
}

// Request is what [Options].OnRequest gets to see. Nothing of it may be changed.
type Request struct {
	At     time.Time // by the account's clock
	Route  string    // as in [Stats]; "" if no route matches
	Method string
	URL    string // path and query, with its secrets
	Header http.Header
	Body   []byte
}

type stats struct {
	counts   Stats
	inFlight int
}

// begin counts a request and returns the fault that is due for it, or nil.
func (a *Account) begin(q *request, name string) *Fault {
	a.mu.Lock()
	s := &a.stats
	s.inFlight++
	s.counts.MaxInFlight = max(s.counts.MaxInFlight, s.inFlight)
	at, fault := a.now(), a.takeFault(q, name)
	a.mu.Unlock()
	if a.options.OnRequest != nil {
		a.options.OnRequest(Request{At: at, Route: name, Method: q.http.Method, URL: q.http.URL.RequestURI(), Header: q.http.Header, Body: q.raw})
	}
	return fault
}

func (a *Account) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.inFlight--
}

// count books the answer to a request.
func (a *Account) count(name string, r reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &a.stats.counts
	if c.Routes == nil {
		c.Routes = map[string]RouteStats{}
	}
	of := c.Routes[name]
	c.Requests++
	of.Requests++
	if r.status >= 400 {
		c.Refused++
		of.Refused++
	}
	if r.status == http.StatusTooManyRequests {
		c.Limited++
		of.Limited++
	}
	c.Routes[name] = of
}

func (s *stats) limit(class string, allowed bool) {
	if s.counts.Limits == nil {
		s.counts.Limits = map[string]LimitStats{}
	}
	of := s.counts.Limits[class]
	if allowed {
		of.Allowed++
	} else {
		of.Refused++
	}
	s.counts.Limits[class] = of
}

// Stats returns the counts so far.
func (a *Account) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts := a.stats.counts
	counts.Routes, counts.Limits = maps.Clone(counts.Routes), maps.Clone(counts.Limits)
	return counts
}

// ResetStats sets all counts to zero.
func (a *Account) ResetStats() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.counts = Stats{}
}
