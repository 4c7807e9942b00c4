package fake

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Failure is something that goes wrong, planned with [Provider.Fail].
type Failure struct {
	// Which requests it is for: of one kind, for one entity. Empty is any.
	Op     Op
	Entity string

	// Item is for a batch: the operation in that place, from 1, is refused with
	// Status, by whatever kind of request Op names, and the others are carried out. 0
	// is the request as a whole.
	Item int

	After int // so many of these requests are served before the first one fails
	Times int // so many fail then; 0 is one, negative is all until Provider.Heal

	Kind FailureKind
	// Status is the status of a Refusal, 503 if it is 0. Its answer is what the
	// provider says with that status: 429 rate_limited, 401 token_expired, 403
	// forbidden, 404 not_found, 410 cursor_expired and so on; OpToken says
	// invalid_grant with 400 and invalid_client with 401.
	Status int
	// RetryAfter is sent with a Refusal, in whole seconds, rounded up; 0 sends none.
	RetryAfter time.Duration
	// Effect says that the request takes effect before its answer is lost or
	// spoilt. It is for Refusal, HTML, Reset and Hang.
	Effect bool
}

// FailureKind is what a failure looks like from outside.
type FailureKind int

// The kinds of failures.
const (
	Refusal        FailureKind = iota // an answer with Failure.Status
	Truncated                         // the request takes effect, but its answer is cut in half
	HTML                              // a page for people, with status 200
	Reset                             // the connection breaks before an answer
	Hang                              // no answer until the request's context ends
	Unreachable                       // no connection; over a real server it looks like Reset
	RepeatedCursor                    // a page says that the next one is itself; OpList only
	Denied                            // the user does not consent; OpAuthorize only
)

// Fail plans a failure. Several may be planned: a request meets the first one, in
// the order of planning, that is for it and due.
func (p *Provider) Fail(f Failure) {
	planned := &plannedFailure{Failure: f, left: f.Times}
	if planned.left == 0 {
		planned.left = 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, planned)
}

// Heal forgets every planned failure.
func (p *Provider) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = nil
}

type plannedFailure struct {
	Failure
	passed int // requests that were let through
	left   int // requests that are still to fail; negative is no end
}

// nextFailure is what the next request of the route meets; the provider is locked.
func (p *Provider) nextFailure(r route) *Failure {
	for _, f := range p.failures {
		switch {
		case !f.concerns(r) || f.left == 0:
		case f.passed < f.After:
			f.passed++
		default:
			if f.left > 0 {
				f.left--
			}
			return &f.Failure
		}
	}
	return nil
}

// refuseItem is the answer to an operation of a batch that shall fail; its status
// is 0 if none shall. The provider is locked.
func (p *Provider) refuseItem(item int, w write) answer {
	for _, f := range p.failures {
		switch {
		case f.Item != item || f.left == 0, f.Op != "" && f.Op != w.Op, f.Entity != "" && f.Entity != w.Entity:
		case f.passed < f.After:
			f.passed++
		default:
			if f.left > 0 {
				f.left--
			}
			return f.refusal(w.Op)
		}
	}
	return answer{}
}

func (f Failure) concerns(r route) bool {
	switch {
	case f.Item > 0, f.Op != "" && f.Op != r.op, f.Entity != "" && f.Entity != r.entity,
		f.Kind == RepeatedCursor && r.op != OpList, f.Kind == Denied && r.op != OpAuthorize:
		return false
	}
	return true
}

// fail lets the request's failure happen.
func (p *Provider) fail(v visit) (answer, error) {
	var genuine answer
	if v.failure.Effect || v.failure.Kind == Truncated || v.failure.Kind == RepeatedCursor {
		genuine = p.handle(v)
	}
	switch v.failure.Kind {
	case Truncated:
		genuine.body = genuine.body[:len(genuine.body)/2]
		return genuine, nil
	case HTML:
		return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
			body: []byte("<!DOCTYPE html><title>Maintenance</title><p>Back soon.")}, nil
	case Reset:
		return answer{}, errReset
	case Unreachable:
		return answer{}, errUnreachable
	case Hang:
		return answer{}, hang(v.Context())
	case RepeatedCursor:
		return repeatCursor(genuine, v.URL.Query().Get("cursor")), nil
	case Denied:
		return redirect(v.URL.Query(), url.Values{"error": {"access_denied"}}), nil
	default:
		return v.failure.refusal(v.op), nil
	}
}

// refusal is the answer with the failure's status.
func (f Failure) refusal(op Op) answer {
	status := f.Status
	if status == 0 {
		status = http.StatusServiceUnavailable
	}
	a := refuse(status, statusCodes[status], "a planned failure")
	if op == OpToken {
		a = oauthError(status, oauthCodes[status])
	}
	if f.RetryAfter > 0 {
		seconds := (f.RetryAfter + time.Second - 1) / time.Second
		a.header = http.Header{"Retry-After": {strconv.FormatInt(int64(seconds), 10)}}
	}
	return a
}

// statusCodes are the provider's words where a status has only one meaning.
var statusCodes = map[int]string{
	http.StatusUnauthorized:    codeTokenExpired,
	http.StatusForbidden:       "forbidden",
	http.StatusNotFound:        codeNotFound,
	http.StatusConflict:        "conflict",
	http.StatusGone:            codeCursorExpired,
	http.StatusTooManyRequests: "rate_limited",
}

var oauthCodes = map[int]string{
	http.StatusBadRequest:   "invalid_grant",
	http.StatusUnauthorized: "invalid_client",
}
