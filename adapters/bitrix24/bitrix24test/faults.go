package bitrix24test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// FaultKind is what goes wrong.
type FaultKind uint8

// The kinds of faults. The first group spoils whole requests before the method runs, the second
// the answer after it ran; the third makes the portal refuse a request or, within a batch, a command.
const (
	HTML500 FaultKind = iota + 1 // 500 with an HTML page
	HTML502                      // 502 with an HTML page
	HTML200                      // 200 with an HTML page, as portals under load send it
	Hang                         // no answer until the client gives up
	Reset                        // the connection is reset

	TruncatedJSON // half of the body, as if it were all
	BrokenBody    // half of the announced body, then the connection breaks
	SlowDrip      // the body comes in pieces, Fault.Delay apart
	RepeatPage    // list methods ignore start and the conditions on the id, so no cursor moves

	RateLimited    // 503 QUERY_LIMIT_EXCEEDED
	Overloaded     // 503 OVERLOAD_LIMIT
	OperatingLimit // 429 OPERATION_TIME_LIMIT
	ExpiredToken   // 401 expired_token
	Refuse         // Fault.Status, Fault.Code and Fault.Description
)

// Fault makes some requests fail. Requests and commands of batches count as they arrive.
type Fault struct {
	// Method is the method that fails, in lower case; "" stands for all. "oauth/token" stands
	// for the token endpoint. A command within a batch fails by its own method's name, for the
	// third group of kinds and RepeatPage only; for the others name "batch".
	Method string
	Kind   FaultKind
	After  int // how many matching requests go well first
	Times  int // how many fail then; 0 means 1, negative means all

	Delay             time.Duration // of SlowDrip: between two pieces
	Pieces            int           // of SlowDrip; 0 means 10
	Status            int           // of Refuse
	Code, Description string        // of Refuse
}

// faults are those that are planned.
type faults struct {
	mu      sync.Mutex
	planned []*Fault
}

// Fault plans a fault. Of several that match a request the one planned first happens.
func (p *Portal) Fault(fault Fault) {
	fault.Method = strings.ToLower(fault.Method)
	if fault.Times == 0 {
		fault.Times = 1
	}
	p.faults.mu.Lock()
	defer p.faults.mu.Unlock()
	p.faults.planned = append(p.faults.planned, &fault)
}

// ClearFaults forgets all planned faults.
func (p *Portal) ClearFaults() {
	p.faults.mu.Lock()
	defer p.faults.mu.Unlock()
	p.faults.planned = nil
}

// take returns the fault that is due for this request or command, or nil.
func (f *faults) take(method string, nested bool) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.planned {
		if fault.Method != "" && fault.Method != method || nested && (fault.Method == "" || fault.Kind < RepeatPage) {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		due := *fault
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				f.planned = slices.Delete(f.planned, i, i+1)
			}
		}
		return &due
	}
	return nil
}

func (f *Fault) repeats() bool { return f != nil && f.Kind == RepeatPage }

// refusal returns the answer of the kinds that refuse.
func (f *Fault) refusal() *restError {
	if f == nil {
		return nil
	}
	switch f.Kind {
	case RateLimited:
		return errQueryLimit
	case Overloaded:
		return &restError{503, "OVERLOAD_LIMIT", "REST API is blocked due to overload."}
	case OperatingLimit:
		return errOperatingLimit
	case ExpiredToken:
		return errExpiredToken
	case Refuse:
		return &restError{f.Status, f.Code, f.Description}
	default:
		return nil
	}
}

// spoils answers in place of the method, for the kinds of the first group.
func (f *Fault) spoils(w http.ResponseWriter, r *http.Request) bool {
	if f == nil {
		return false
	}
	switch f.Kind {
	case HTML500:
		writeHTML(w, http.StatusInternalServerError, "500 Internal Server Error")
	case HTML502:
		writeHTML(w, http.StatusBadGateway, "502 Bad Gateway")
	case HTML200:
		writeHTML(w, http.StatusOK, "Service is temporarily unavailable")
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Reset:
		fakehttp.Reset(w)
	default:
		return false
	}
	return true
}

// deliver writes the answer of a method, spoiled for the kinds of the second group.
func (f *Fault) deliver(w http.ResponseWriter, r *http.Request, body []byte) {
	if f == nil {
		writeJSON(w, http.StatusOK, body)
		return
	}
	switch f.Kind {
	case TruncatedJSON:
		writeJSON(w, http.StatusOK, body[:len(body)/2])
	case BrokenBody:
		stream(w, len(body), fakehttp.Broken(slices.Clone(body[:len(body)/2])))
	case SlowDrip:
		pieces := f.Pieces
		if pieces <= 0 {
			pieces = 10
		}
		size := (len(body) + pieces - 1) / pieces
		stream(w, len(body), fakehttp.Drip(r.Context(), slices.Clone(body), size, f.Delay))
	default:
		writeJSON(w, http.StatusOK, body)
	}
}

// stream sends a body that is not ready yet.
func stream(w http.ResponseWriter, length int, body io.Reader) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fakehttp.Stream(w, http.StatusOK, length, body)
}
