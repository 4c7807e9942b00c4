package bitrix24

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// operatingPause is how long a method stays blocked by OPERATION_TIME_LIMIT when
// nothing else is known (sheet 2.4).
const operatingPause = 10 * time.Minute

// Classify implements enlace.Classifier by the error table of the sheet (2.3 to
// 2.5): the code first, in any case, the status second, the description last.
func (Adapter) Classify(status int, h http.Header, body []byte) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' {
		return classifyForeign(status, h)
	}
	// What begins with the result and ends with the time is not walked through
	// here: a page is long, and its reader checks it.
	if status < 300 && bytes.HasPrefix(body, []byte(`{"result"`)) && bytes.HasSuffix(body, []byte(`}}`)) {
		return nil
	}
	code, description, found, err := errorOf(body)
	switch {
	case found:
	case status >= 300:
		return classifyForeign(status, h)
	case err != nil: // cut off, most likely: such answers are asked for again
		return &enlace.Error{Kind: enlace.ErrProtocol, Status: status, Err: err}
	default:
		return nil
	}
	e := classifyCode(code, description, status)
	e.Status, e.Code, e.Message = status, code, description
	return e
}

// classifyForeign judges what no portal's REST wrote: a proxy, a renamed or
// closed portal, an overload page (sheet 2.3).
func classifyForeign(status int, h http.Header) error {
	if status >= 200 && status < 300 {
		return &enlace.Error{Kind: enlace.ErrProtocol, Status: status, Message: "the answer is not JSON"}
	}
	if status == http.StatusUnauthorized {
		return &enlace.Error{Kind: enlace.ErrAuth, Outcome: enlace.OutcomeNotRun, Status: status}
	}
	return enlace.ClassifyHTTP(status, h)
}

// errorOf finds the error in a body that is an object: one with an error that is
// not null and without a result (sheet 2.3). err is for a body that is not JSON;
// an error that stands in it is found all the same.
func errorOf(body []byte) (code, description string, found bool, err error) {
	s := rawjson.NewScanner(body)
	hasResult := false
	for key := range s.Object() {
		switch string(key) {
		case "error":
			if raw := s.Value(); string(raw) != "null" {
				found = true
				if code, _ = rawjson.String(raw); code == "" {
					code, _ = rawjson.ID(raw)
				}
			}
		case "error_description":
			description, _ = rawjson.String(s.Value())
		case "result":
			hasResult = true
		}
	}
	return code, description, found && !hasResult, s.End()
}

// classifyCode turns one of the portal's codes into a kind and an outcome.
func classifyCode(code, description string, status int) *enlace.Error {
	notRun := func(kind error) *enlace.Error { return &enlace.Error{Kind: kind, Outcome: enlace.OutcomeNotRun} }
	ran := func(kind error) *enlace.Error { return &enlace.Error{Kind: kind, Outcome: enlace.OutcomeRan} }
	switch strings.ToUpper(code) {
	case "QUERY_LIMIT_EXCEEDED":
		return notRun(enlace.ErrRateLimited)
	case "OPERATION_TIME_LIMIT":
		e := notRun(enlace.ErrRateLimited)
		e.Partial, e.Retry = true, operatingPause
		return e
	case "OVERLOAD_LIMIT": // blocked by the vendor's hand; repeating makes it worse
		return notRun(enlace.ErrForbidden)
	case "INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER":
		return &enlace.Error{Kind: enlace.ErrUnavailable}
	case "EXPIRED_TOKEN", "INVALID_TOKEN":
		return notRun(enlace.ErrTokenExpired)
	case "NO_AUTH_FOUND", "INVALID_CREDENTIALS", "AUTHORIZATION_ERROR", "APPLICATION_NOT_FOUND", "ERROR_OAUTH",
		"NOT_INSTALLED", "PORTAL_DELETED":
		return notRun(enlace.ErrAuth)
	case "WRONG_CLIENT", "INVALID_CLIENT":
		return notRun(enlace.ErrMisconfigured)
	case "PAYMENT_REQUIRED", "METHOD_CONFIRM_WAITING", "METHOD_CONFIRM_DENIED", "INSUFFICIENT_SCOPE", "ACCESS_DENIED",
		"USER_ACCESS_ERROR", "ALLOWED_ONLY_INTRANET_USER", "WRONG_AUTH_TYPE":
		return notRun(enlace.ErrForbidden)
	case "ERROR_METHOD_NOT_FOUND", "ERROR_MANIFEST_IS_NOT_AVAILABLE", "ENTITY_TYPE_NOT_SUPPORTED":
		return notRun(enlace.ErrUnsupported)
	case "ERROR_BATCH_METHOD_NOT_ALLOWED", "ERROR_BATCH_LENGTH_EXCEEDED", "INVALID_REQUEST":
		return notRun(enlace.ErrInvalid)
	case "NOT_FOUND":
		return ran(enlace.ErrNotFound)
	case "WRONG_ENCODING":
		return ran(enlace.ErrProtocol)
	}
	return classifyDescription(description, status)
}

// classifyDescription is for the classic methods, whose code is empty or general
// (sheet 2.5), and for codes that the sheet does not know.
func classifyDescription(description string, status int) *enlace.Error {
	text := strings.ToLower(description)
	switch {
	case status >= 500:
		return &enlace.Error{Kind: enlace.ErrUnavailable}
	case strings.Contains(text, "not found"):
		return &enlace.Error{Kind: enlace.ErrNotFound, Outcome: enlace.OutcomeRan}
	case strings.Contains(text, "access denied"), status == http.StatusForbidden:
		return &enlace.Error{Kind: enlace.ErrForbidden, Outcome: enlace.OutcomeRan}
	case status == http.StatusUnauthorized:
		return &enlace.Error{Kind: enlace.ErrAuth, Outcome: enlace.OutcomeNotRun}
	case status == http.StatusTooManyRequests:
		return &enlace.Error{Kind: enlace.ErrRateLimited, Outcome: enlace.OutcomeNotRun}
	default:
		return &enlace.Error{Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeRan}
	}
}
