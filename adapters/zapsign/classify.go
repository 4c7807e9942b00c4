package zapsign

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// maxMessage bounds what is kept of a refusal's own words (sheet 4.2).
const maxMessage = 300

// Classify implements enlace.Classifier by the error table of the sheet (4.1,
// 4.2): the status first, the provider's error code second. Words are looked at
// in two places only, where nothing else tells a bad token and a login throttle
// from other refusals.
func (Adapter) Classify(status int, h http.Header, body []byte) error {
	body = bytes.TrimSpace(body)
	if status >= 200 && status < 300 {
		return checkWhole(status, body)
	}
	refusal := parseRefusal(body)
	e := refusal.judge(status, h)
	e.Status, e.Code = status, bounded(refusal.code)
	if e.Message == "" {
		e.Message = bounded(refusal.message)
	}
	return e
}

// checkWhole finds out whether a JSON answer was cut off on its way, or a page for
// people stands in its place. Other texts, or none, are good answers too (sheet
// 9.15).
func checkWhole(status int, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	var end byte
	switch body[0] {
	case '{':
		end = '}'
	case '[':
		end = ']'
	case '<':
		return &enlace.Error{Kind: enlace.ErrProtocol, Status: status, Message: "an HTML page with status 200"}
	default:
		return nil
	}
	if body[len(body)-1] != end {
		return &enlace.Error{Kind: enlace.ErrProtocol, Status: status, Message: "the answer was cut off"}
	}
	return nil
}

// judge turns a refusal into a kind and an outcome.
func (r refusal) judge(status int, h http.Header) *enlace.Error {
	notRun := func(kind error) *enlace.Error { return &enlace.Error{Kind: kind, Outcome: enlace.OutcomeNotRun} }
	ran := func(kind error) *enlace.Error { return &enlace.Error{Kind: kind, Outcome: enlace.OutcomeRan} }
	switch r.code {
	case "document_already_signed", "document_already_refused", "document_not_in_progress", "no_pending_signers":
		return ran(enlace.ErrConflict)
	case "refuse_not_allowed", "permission_denied":
		return notRun(enlace.ErrForbidden)
	case "document_not_found":
		return ran(enlace.ErrNotFound)
	case "token_not_valid":
		return notRun(enlace.ErrTokenExpired)
	case "cooldown_period": // not the rate limit, and hours long: neither to be waited for nor to slow others
		e := ran(enlace.ErrRateLimited)
		e.Partial = true
		return e
	}
	switch {
	case status == http.StatusForbidden && r.badToken(), status == http.StatusUnauthorized:
		return notRun(enlace.ErrTokenExpired)
	case status == http.StatusBadRequest && r.message == "Rate limit exceeded": // too many logins (sheet 1.3)
		return notRun(enlace.ErrRateLimited)
	case status == http.StatusTooManyRequests:
		e := notRun(enlace.ErrRateLimited)
		e.Retry = enlace.RetryAfter(enlace.ClassifyHTTP(status, h))
		if e.Retry == 0 {
			e.Retry = untilNextWindow(h)
		}
		return e
	}
	e := ran(enlace.ErrInvalid)
	if status < 100 || status > 599 {
		e.Kind = enlace.ErrProtocol
	} else if err, ok := enlace.ClassifyHTTP(status, h).(*enlace.Error); ok {
		e = err
	}
	return e
}

// badToken says whether the words of a 403 are those for a token that is wrong,
// missing or of the other environment (sheet 4.2).
func (r refusal) badToken() bool {
	return strings.Contains(r.message, "API token not found") || strings.Contains(r.message, "Token da API")
}

// untilNextWindow is how long a 429 lasts: windows are clock minutes (sheet 4.3).
// 0 if the server's clock is not told; then the back-off decides.
func untilNextWindow(h http.Header) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return time.Minute - time.Duration(date.Second())*time.Second
}

// refusal is the body of an error in any of its shapes (sheet 4.2).
type refusal struct {
	code    string // error_code, or the code of a JWT refusal
	message string
}

func parseRefusal(body []byte) refusal {
	if len(body) == 0 {
		return refusal{}
	}
	if body[0] == '<' {
		return refusal{message: "an HTML page"}
	}
	if body[0] != '{' {
		return refusal{message: string(body[:min(len(body), maxMessage)])}
	}
	r, ok := parseRefusalObject(body)
	if !ok || r == (refusal{}) { // a shape that nobody has documented: kept as it is
		r = refusal{message: string(body[:min(len(body), maxMessage)])}
	}
	return r
}

func parseRefusalObject(body []byte) (r refusal, ok bool) {
	texts := map[string]string{}
	s := rawjson.NewScanner(body)
	for key := range s.Object() {
		name := string(key)
		switch name {
		case "error_code", "code", "detail", "message", "error":
			texts[name], _ = rawjson.String(s.Value())
		case "non_field_errors":
			texts[name] = firstText(s)
		case "data":
			texts[name] = firstFault(s)
		}
	}
	r.code = first(texts["error_code"], texts["code"])
	r.message = first(texts["detail"], texts["message"], texts["error"], texts["non_field_errors"])
	if texts["data"] != "" {
		r.message += ": " + texts["data"]
	}
	return r, s.End() == nil
}

// firstText is the first element of an array of strings.
func firstText(s *rawjson.Scanner) (text string) {
	if s.Kind() != rawjson.KindArray {
		return ""
	}
	for i := range s.Array() {
		if i == 0 {
			text, _ = rawjson.String(s.Value())
		}
	}
	return text
}

// firstFault is the first field of {"field": ["what is wrong"]}.
func firstFault(s *rawjson.Scanner) (text string) {
	if s.Kind() != rawjson.KindObject {
		return ""
	}
	for key := range s.Object() {
		name := string(key)
		if fault := firstText(s); text == "" && fault != "" {
			text = name + ": " + fault
		}
	}
	return text
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// bounded cuts a text to maxMessage bytes of valid UTF-8.
func bounded(text string) string {
	text = text[:min(len(text), maxMessage)]
	return strings.ToValidUTF8(text, "")
}
