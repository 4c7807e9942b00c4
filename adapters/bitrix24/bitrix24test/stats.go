package bitrix24test

import (
	"maps"
	"net/http"
	"sync"
	"time"
)

// MethodStats counts what happened to one method.
type MethodStats struct {
	Requests int // HTTP requests to the method
	Commands int // commands within batches
	Refused  int // requests and commands that were answered with an error
}

// Stats counts what a portal saw.
type Stats struct {
	Methods       map[string]MethodStats // by the method's name in lower case; "" stands for all unknown ones
	Requests      int                    // all HTTP requests to methods
	Commands      int                    // all commands within batches
	Refused       int                    // those of both that were answered with an error
	TokenRequests int                    // requests to the token endpoint
	Refreshes     int                    // token pairs given for a refresh token
	MaxInFlight   int                    // the most requests to methods that were under way at once
	Events        int                    // deliveries of events
	LostEvents    int                    // those that got no answer or none of 2xx
}

// Request is what [Options].OnRequest gets to see of a request to a method. Nothing of it may be
// changed.
type Request struct {
	At     time.Time
	Method string // in lower case
	URL    string // path and query, with its secrets
	Header http.Header
	Body   []byte
}

type stats struct {
	mu       sync.Mutex
	counts   Stats
	inFlight int
	most     int // requests in flight beyond which the portal refuses; 0 for any number
}

// begin counts a request and returns what counts its end.
func (s *stats) begin(req *request, r *http.Request, body []byte, hook func(Request)) (end func()) {
	s.mu.Lock()
	s.counts.Requests++
	s.count(req.name, req.method != nil, func(m *MethodStats) { m.Requests++ })
	s.inFlight++
	s.counts.MaxInFlight = max(s.counts.MaxInFlight, s.inFlight)
	s.mu.Unlock()
	if hook != nil {
		hook(Request{At: req.started, Method: req.name, URL: r.URL.RequestURI(), Header: r.Header, Body: body})
	}
	return s.end
}

func (s *stats) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

func (s *stats) count(name string, known bool, change func(*MethodStats)) {
	if !known {
		name = ""
	}
	if s.counts.Methods == nil {
		s.counts.Methods = map[string]MethodStats{}
	}
	m := s.counts.Methods[name]
	change(&m)
	s.counts.Methods[name] = m
}

func (s *stats) command(name string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Commands++
	s.count(name, known, func(m *MethodStats) { m.Commands++ })
}

func (s *stats) refused(name string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Refused++
	s.count(name, known, func(m *MethodStats) { m.Refused++ })
}

func (s *stats) tokens(refreshed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts.TokenRequests++; refreshed {
		s.counts.Refreshes++
	}
}

func (s *stats) event(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts.Events++; lost {
		s.counts.LostEvents++
	}
}

// crowded tells whether more requests are under way than the portal puts up with.
func (s *stats) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most > 0 && s.inFlight > s.most
}

// Stats returns the counts so far.
func (p *Portal) Stats() Stats {
	p.stats.mu.Lock()
	defer p.stats.mu.Unlock()
	counts := p.stats.counts
	counts.Methods = maps.Clone(counts.Methods)
	return counts
}

// ResetStats sets all counts to zero.
func (p *Portal) ResetStats() {
	p.stats.mu.Lock()
	defer p.stats.mu.Unlock()
	p.stats.counts = Stats{}
}

// SetPunishConcurrency makes the portal answer QUERY_LIMIT_EXCEEDED to a request that arrives
// while n others are under way; 0 ends that.
func (p *Portal) SetPunishConcurrency(n int) {
	p.stats.mu.Lock()
	defer p.stats.mu.Unlock()
	p.stats.most = n
}
