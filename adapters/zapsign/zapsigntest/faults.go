package zapsigntest

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// FaultKind is what goes wrong.
type FaultKind uint8

// The kinds of faults. The first group spoils requests before anything happens, the second the
// answer after the work is done; the third makes the server refuse.
const (
	HTML500    FaultKind = iota + 1 // 500 with an HTML page
	HTML502                         // 502 with an HTML page, as of a gateway
	HTML200                         // 200 with an HTML page
	HangBefore                      // no answer until the client gives up, and nothing done
	DropBefore                      // the connection is reset, and nothing done

	HangAfter     // the work is done, but no answer until the client gives up
	DropAfter     // the work is done, then the connection is reset (T31)
	HTML502After  // the work is done, then 502 with an HTML page
	TruncatedBody // half of the body, as if it were all
	BrokenBody    // half of the announced body, then the connection breaks
	SlowBody      // the body comes in pieces, Fault.Delay apart

	RateLimited // 429 as the limit of requests answers
	Refuse      // Fault.Status, Fault.ContentType and Fault.Body
)

// Fault makes some requests fail.
type Fault struct {
	// Route is the endpoint that fails, as in [Stats].Routes: "POST /docs/", "GET /docs/{}/" and
	// so on, or "files" for downloads. "*" stands for all but downloads, and so does "".
	Route string
	Kind  FaultKind
	After int // how many matching requests go well first
	Times int // how many fail then; 0 means 1, negative means all

	Delay       time.Duration // of SlowBody: between two pieces
	Pieces      int           // of SlowBody; 0 means 10
	Status      int           // of Refuse
	ContentType string        // of Refuse; application/json if empty
	Body        string        // of Refuse
}

// Fault plans a fault. Of several that match a request the one planned first happens. It panics
// if there is no such endpoint or kind: that is a mistake in the test.
func (a *API) Fault(fault Fault) {
	fault.Route = orDefault(fault.Route, "*")
	known := fault.Route == "*" || fault.Route == "files" ||
		slices.ContainsFunc(routes, func(r *route) bool { return r.name() == fault.Route })
	if !known || fault.Kind == 0 || fault.Kind > Refuse || fault.Kind == Refuse && (fault.Status < 200 || fault.Status > 599) {
		panic("zapsigntest: no endpoint " + strconv.Quote(fault.Route) + ", or no such kind of fault or status")
	}
	fault.Times = orDefault(fault.Times, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, &fault)
}

// ClearFaults forgets all planned faults, those of deliveries too.
func (a *API) ClearFaults() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults, a.lost = nil, nil
}

// takeFault returns the fault that is due for a request, or nil.
func (a *API) takeFault(name string) *Fault {
	for i, fault := range a.faults {
		if fault.Route != name && (fault.Route != "*" || name == "files") {
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

// breaks ends the connection without an answer and with nothing done, for the kinds that do so.
func (f *Fault) breaks(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case f != nil && f.Kind == HangBefore:
		hang(r)
	case f != nil && f.Kind == DropBefore:
		fakehttp.Reset(w)
		return true
	}
	return false
}

// instead returns the answer that stands in place of the endpoint's, for the kinds that have one.
func (f *Fault) instead(now time.Time, retryAfter bool) *answer {
	if f == nil {
		return nil
	}
	var done answer
	switch f.Kind {
	case HTML500:
		done = serverError()
	case HTML502:
		done = html(http.StatusBadGateway, "502 Bad Gateway")
	case HTML200:
		done = html(http.StatusOK, "ZapSign")
	case RateLimited:
		done = tooMany(now, retryAfter)
	case Refuse:
		done = answer{status: f.Status, contentType: orDefault(f.ContentType, typeJSON), body: []byte(f.Body)}
	default:
		return nil
	}
	return &done
}

// deliver writes the answer, spoiled for the kinds of the second group.
func (f *Fault) deliver(w http.ResponseWriter, r *http.Request, done answer) {
	if f == nil {
		done.writeTo(w)
		return
	}
	half := done.body[:len(done.body)/2]
	switch f.Kind {
	case HangAfter:
		hang(r)
	case DropAfter:
		fakehttp.Reset(w)
	case HTML502After:
		html(http.StatusBadGateway, "502 Bad Gateway").writeTo(w)
	case TruncatedBody:
		done.body = half
		done.writeTo(w)
	case BrokenBody:
		done.head(w)
		fakehttp.Stream(w, done.status, len(done.body), fakehttp.Broken(half))
	case SlowBody:
		pieces := max(1, orDefault(f.Pieces, 10))
		size := max(1, (len(done.body)+pieces-1)/pieces)
		done.head(w)
		fakehttp.Stream(w, done.status, len(done.body), fakehttp.Drip(r.Context(), done.body, size, f.Delay))
	default:
		done.writeTo(w)
	}
}

func hang(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}
