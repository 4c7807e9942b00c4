package rdstation

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

const (
	// separateWait is from when on a refusal concerns only the kind of request that
	// it answered: it lasts for an hour or a day then, and the rest may go on.
	separateWait = time.Minute
	longestWait  = 24 * time.Hour // no limit has a longer period (sheet 6.1)
)

// Classify implements enlace.Classifier; see [CRM.Classify].
func (*Marketing) Classify(status int, h http.Header, body []byte) error {
	return classify(status, h, body)
}

// Classify implements enlace.Classifier by the status and the first error in the
// body, in whichever of the provider's thirteen shapes it comes (sheet 5.1 to 5.5).
//
// Every 401 asks for a fresh token, once: the body does not tell an expired token
// from a wrong one (sheet 1.5). An answer that should be JSON and is not may have
// taken effect.
func (CRM) Classify(status int, h http.Header, body []byte) error { return classify(status, h, body) }

// Classify implements enlace.Classifier as [CRM.Classify], and takes a plain text
// for a success where that is the answer to a deletion (sheet 7.6).
func (CRMv1) Classify(status int, h http.Header, body []byte) error {
	if status == http.StatusOK && strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		return nil
	}
	return classify(status, h, body)
}

func classify(status int, h http.Header, body []byte) error {
	body = bytes.TrimSpace(body)
	switch {
	case status >= 200 && status < 300:
		if len(body) > 0 && rawjson.Valid(body) != nil {
			return &enlace.Error{Kind: enlace.ErrProtocol, Status: status, Message: "the answer is not whole JSON"}
		}
		return nil
	case status < 400:
		return enlace.ErrDefault
	}
	e, _ := enlace.ClassifyHTTP(status, h).(*enlace.Error) // never nil from 400 on
	answer := parseFailure(body)
	e.Code, e.Message = answer.code(), answer.message()
	switch {
	case status == http.StatusNotFound && answer.route:
		e.Kind, e.Outcome, e.Message = enlace.ErrUnsupported, enlace.OutcomeNotRun, "the provider has no such route; check the API address"
	case status == http.StatusNotAcceptable: // contact limit of the plan (sheet 5.2)
		e.Kind = enlace.ErrForbidden
	case status == http.StatusTooManyRequests:
		e.Retry = min(max(e.Retry, answer.retry(h)), longestWait)
		e.Partial = answer.lead || e.Retry > separateWait
	case status < 500 && status != http.StatusUnauthorized:
		if kind, known := kinds[e.Code]; known {
			e.Kind = kind
		}
	}
	return e
}

// kinds are the error types that say more than the status (sheet 5.3 and 5.4).
var kinds = map[string]error{
	"EMAIL_ALREADY_IN_USE":        enlace.ErrConflict,
	"TAKEN":                       enlace.ErrConflict,
	"RESOURCE_NOT_FOUND":          enlace.ErrNotFound,
	"ACCOUNT_REQUIREMENT_MISSING": enlace.ErrForbidden,
	"ACCESS_DENIED":               enlace.ErrForbidden,
	"UNABLE_TO_LOAD_CDP_SCHEMA":   enlace.ErrAuth, // the API key of another product
}

// The error types that the adapter itself looks for.
const (
	typeNotUnique = "VALUES_MUST_BE_UNIQUE"
	typeWorkflow  = "WORKFLOW_STATUS_ERROR"
)

const (
	maxProblems = 20 // that are looked at in one answer
	maxDepth    = 4  // of the nesting in "errors"
	maxMembers  = 64 // of an object that are looked at
)

// problem is one thing that an answer says is wrong. All fields may be empty.
type problem struct{ kind, message, path string }

// failure is what an error body says.
type failure struct {
	problems  []problem
	route     bool          // a 404 of the gateway or the web server, not of the API
	lead      bool          // the limit of one contact is reached
	remaining time.Duration // until a limiter's period ends; 0 if it does not say
}

// parseFailure reads a body of any of the thirteen shapes; what is none of them
// gives a failure without problems.
func parseFailure(body []byte) failure {
	var f failure
	if rawjson.Valid(body) != nil {
		f.route = true // shape M
		return f
	}
	switch members := membersOf(body); {
	case body[0] == '[':
		f.collect(body, "", 0) // F
	case members["errors"] != nil:
		f.collect(members["errors"], "", 0) // A to E, K, L
	case members["error_type"] != nil || members["error_message"] != nil:
		f.collect(body, "", 0) // J
	case members["error"] != nil:
		f.readGateway(members) // G, H
	case members["message"] != nil: // I
		text, _ := rawjson.String(members["message"])
		f.problems = append(f.problems, problem{message: text})
		f.route = strings.Contains(text, "no Route matched")
	}
	return f
}

// readGateway reads what limiters and gateways write.
func (f *failure) readGateway(members map[string][]byte) {
	kind, _ := rawjson.String(members["error"])
	text, _ := rawjson.String(members["error_description"])
	if members["remaining_time"] != nil || members["max"] != nil {
		f.lead = strings.Contains(kind, "lead_limiter")
		// Seconds, though the provider's documents say milliseconds (sheet 6.2).
		if n, ok := rawjson.Int(members["remaining_time"]); ok && n > 0 {
			f.remaining = time.Duration(min(n, int64(longestWait/time.Second))) * time.Second
		}
		kind, text = "TOO_MANY_REQUESTS", kind
	}
	f.problems = append(f.problems, problem{kind: kind, message: text})
}

// collect finds the problems in a value that may nest them by field and language.
func (f *failure) collect(raw []byte, path string, depth int) {
	if depth > maxDepth || len(f.problems) >= maxProblems || len(raw) == 0 {
		return
	}
	switch raw[0] {
	case '"': // K, L
		text, _ := rawjson.String(raw)
		f.problems = append(f.problems, problem{message: text, path: path})
	case '[':
		for element := range rawjson.Elements(raw) {
			f.collect(element, path, depth+1)
		}
	case '{':
		members := membersOf(raw)
		if p, ok := readProblem(members, path); ok {
			f.problems = append(f.problems, p)
			return
		}
		s := rawjson.NewScanner(raw)
		for name := range s.Object() {
			at := string(name)
			if path != "" {
				at = path + "." + at
			}
			f.collect(s.Value(), at, depth+1)
		}
	}
}

// readProblem reads an object with an error type or message. One of the
// provider's pages spells the latter error_MESSAGE (sheet 5.4).
func readProblem(members map[string][]byte, path string) (problem, bool) {
	kind, hasKind := rawjson.String(members["error_type"])
	message, hasMessage := rawjson.String(members["error_message"])
	if own, ok := rawjson.String(members["path"]); ok {
		path = own
	}
	return problem{kind: kind, message: message, path: path}, hasKind || hasMessage
}

// membersOf are the members of an object by lower-case name; none if it is not one.
func membersOf(raw []byte) map[string][]byte {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	members := map[string][]byte{}
	s := rawjson.NewScanner(raw)
	for name := range s.Object() {
		if len(members) >= maxMembers {
			break
		}
		members[strings.ToLower(string(name))] = s.Value()
	}
	return members
}

// code is the type of the first problem that is more than a repetition.
func (f failure) code() string {
	code := ""
	for _, p := range f.problems {
		if p.kind != "" && (code == "" || code == typeNotUnique) {
			code = p.kind
		}
	}
	return code
}

// message is what the first problems say.
func (f failure) message() string {
	var texts []string
	for _, p := range f.problems[:min(len(f.problems), 3)] {
		switch {
		case p.message == "":
		case p.path == "":
			texts = append(texts, p.message)
		default:
			texts = append(texts, p.path+": "+p.message)
		}
	}
	return strings.Join(texts, "; ")
}

// retry is how long a refusal lasts; 0 if it does not say (sheet 6.2).
func (f failure) retry(h http.Header) time.Duration {
	if seconds, err := strconv.ParseInt(h.Get("Retry-After-Quotas"), 10, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int64(longestWait/time.Second))) * time.Second
	}
	return f.remaining
}
