package rdstationtest

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// FaultKind is what goes wrong.
type FaultKind uint8

// The kinds of faults. Those up to Slow keep the request from having an effect, except Slow
// itself; the next two spoil an answer after its effect; the rest refuse.
const (
	HTML500     FaultKind = iota + 1 // 500 with an HTML page
	HTML502                          // 502 with an HTML page
	Unavailable                      // 500 SERVICE_UNAVAILABLE
	Hang                             // no answer until the client gives up
	Reset                            // the connection is reset
	Slow                             // the answer comes Fault.Delay later

	TruncatedJSON // half of the body, as if it were all
	BrokenBody    // half of the announced body, then the connection breaks
	LostAnswer    // the request has its effect, then the connection is reset

	ExpiredToken // 401 as for an expired access token
	RateLimited  // 429 as by the gateway, with Fault.Delay as the time to wait
	Shape        // one of the thirteen error bodies, by Fault.Shape
	Respond      // Fault.Status, Fault.Header and Fault.Body
)

// Fault makes some requests fail. Requests count as they arrive.
type Fault struct {
	// Route is which requests fail: a name of [Stats].Routes such as "POST /platform/events", or
	// the beginning of a path such as "/crm/v2/"; "" stands for all.
	Route string
	Kind  FaultKind
	After int // how many matching requests go well first
	Times int // how many fail then; 0 means 1, negative means all

	Delay  time.Duration     // of Slow and RateLimited
	Shape  string            // of Shape: "A" to "M"
	Status int               // of Respond, and of Shape where it is not 0
	Header map[string]string // of Respond
	Body   string            // of Respond
}

// Fault plans a fault. Of several that match a request the one planned first happens. It panics
// if the shape is none.
func (a *Account) Fault(fault Fault) {
	if _, known := shapeSamples()[fault.Shape]; fault.Kind == Shape && !known {
		panic("rdstationtest: no error body has the shape " + fault.Shape)
	}
	if fault.Times == 0 {
		fault.Times = 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, &fault)
}

// ClearFaults forgets all planned faults.
func (a *Account) ClearFaults() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = nil
}

func (a *Account) takeFault(q *request, name string) *Fault {
	for i, fault := range a.faults {
		if fault.Route != "" && fault.Route != name && !(fault.Route[0] == '/' && strings.HasPrefix(q.http.URL.Path, fault.Route)) {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		due := *fault
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				a.faults = slices.Delete(a.faults, i, i+1)
			}
		}
		return &due
	}
	return nil
}

// spoils keeps a request from being answered at all.
func (f *Fault) spoils(w http.ResponseWriter, r *http.Request) bool {
	if f == nil {
		return false
	}
	switch f.Kind {
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Reset:
		fakehttp.Reset(w)
		return true
	default:
		return false
	}
}

func (f *Fault) wait() time.Duration {
	if f == nil || f.Kind != Slow {
		return 0
	}
	return f.Delay
}

// refusal returns the answer of the kinds that answer in place of the route.
func (f *Fault) refusal(a *Account, path string) *reply {
	if f == nil {
		return nil
	}
	answer := reply{}
	switch f.Kind {
	case HTML500:
		answer = page(http.StatusInternalServerError, "500 Internal Server Error")
	case HTML502:
		answer = page(http.StatusBadGateway, "502 Bad Gateway")
	case Unavailable:
		answer = flat(http.StatusInternalServerError, "SERVICE_UNAVAILABLE", "Service temporarily unavailable")
	case ExpiredToken:
		if answer = a.expired(marketingSurface); strings.HasPrefix(path, "/crm/") {
			answer = a.expired(crmSurface)
		}
	case RateLimited:
		seconds := strconv.Itoa(int(f.Delay.Seconds()))
		answer = reply{status: http.StatusTooManyRequests, body: object{"message": "API rate limit exceeded"}}.
			with("Retry-After", seconds).with("retry-after-quotas", seconds)
	case Shape:
		sample := shapeSamples()[f.Shape]
		answer = reply{status: orDefault(f.Status, sample.status), body: sample.body}
	case Respond:
		answer = reply{status: orDefault(f.Status, http.StatusOK), header: f.Header, body: rawJSON(f.Body)}
	default:
		return nil
	}
	return &answer
}

// rawJSON makes a body of any text: a page if it is no JSON.
func rawJSON(s string) any {
	if s == "" {
		return nil
	}
	if value, valid := parseJSON([]byte(s)); valid {
		return value
	}
	return []byte(s)
}

// cuts delivers an answer spoiled, for the kinds that do so.
func (f *Fault) cuts(w http.ResponseWriter, r *http.Request, answer reply) bool {
	if f == nil {
		return false
	}
	body := answer.bytes()
	half := bytes.Clone(body[:len(body)/2])
	switch f.Kind {
	case LostAnswer:
		fakehttp.Reset(w)
	case TruncatedJSON:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(answer.status)
		w.Write(half)
	case BrokenBody:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fakehttp.Stream(w, answer.status, len(body), fakehttp.Broken(half))
	default:
		return false
	}
	return true
}
