package bitrix24_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
)

// TestErrorTable is the table of the contract sheet (2.3 to 2.5).
func TestErrorTable(t *testing.T) {
	const (
		unknown = enlace.OutcomeUnknown
		notRun  = enlace.OutcomeNotRun
		ran     = enlace.OutcomeRan
	)
	// may says what may be repeated: nothing, reads only, anything.
	type may string
	const nothing, reads, anything may = "nothing", "reads", "anything"
	for _, test := range []struct {
		status      int
		code        string
		description string
		kind        error
		outcome     enlace.Outcome
		may         may
	}{
		// 2.4, system errors
		{503, "QUERY_LIMIT_EXCEEDED", "Too many requests", enlace.ErrRateLimited, notRun, anything},
		{503, "OVERLOAD_LIMIT", "REST API is blocked due to overload.", enlace.ErrForbidden, notRun, nothing},
		{429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", enlace.ErrRateLimited, notRun, anything},
		{500, "INTERNAL_SERVER_ERROR", "Internal server error", enlace.ErrUnavailable, unknown, reads},
		{500, "ERROR_UNEXPECTED_ANSWER", "", enlace.ErrUnavailable, unknown, reads},
		{500, "PORTAL_DELETED", "Portal was deleted", enlace.ErrAuth, notRun, nothing},
		{410, "PORTAL_DELETED", "", enlace.ErrAuth, notRun, nothing},
		{403, "PORTAL_DELETED", "", enlace.ErrAuth, notRun, nothing},
		{401, "NO_AUTH_FOUND", "Wrong authorization data", enlace.ErrAuth, notRun, nothing},
		{401, "INVALID_CREDENTIALS", "Invalid request credentials", enlace.ErrAuth, notRun, nothing},
		{403, "INVALID_CREDENTIALS", "Invalid request credentials", enlace.ErrAuth, notRun, nothing},
		{401, "expired_token", "The access token provided has expired.", enlace.ErrTokenExpired, notRun, anything},
		{401, "invalid_token", "Unable to get application by token", enlace.ErrTokenExpired, notRun, anything},
		{401, "authorization_error", "Unable to authorize user", enlace.ErrAuth, notRun, nothing},
		{401, "APPLICATION_NOT_FOUND", "Application not found", enlace.ErrAuth, notRun, nothing},
		{401, "ERROR_OAUTH", "Application not installed", enlace.ErrAuth, notRun, nothing},
		{401, "NOT_INSTALLED", "", enlace.ErrAuth, notRun, nothing},
		{401, "PAYMENT_REQUIRED", "", enlace.ErrForbidden, notRun, nothing},
		{401, "METHOD_CONFIRM_WAITING", "", enlace.ErrForbidden, notRun, nothing},
		{403, "METHOD_CONFIRM_DENIED", "", enlace.ErrForbidden, notRun, nothing},
		{403, "insufficient_scope", "The request requires higher privileges", enlace.ErrForbidden, notRun, nothing},
		{401, "insufficient_scope", "", enlace.ErrForbidden, notRun, nothing},
		{403, "ACCESS_DENIED", "REST API is available only on commercial plans", enlace.ErrForbidden, notRun, nothing},
		{400, "ACCESS_DENIED", "Access denied! Application context required", enlace.ErrForbidden, notRun, nothing},
		{403, "user_access_error", "", enlace.ErrForbidden, notRun, nothing},
		{403, "allowed_only_intranet_user", "", enlace.ErrForbidden, notRun, nothing},
		{403, "WRONG_AUTH_TYPE", "", enlace.ErrForbidden, notRun, nothing},
		{404, "ERROR_METHOD_NOT_FOUND", "Method not found!", enlace.ErrUnsupported, notRun, nothing},
		{404, "ERROR_MANIFEST_IS_NOT_AVAILABLE", "", enlace.ErrUnsupported, notRun, nothing},
		{400, "INVALID_REQUEST", "Https required.", enlace.ErrInvalid, notRun, nothing},
		{405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "", enlace.ErrInvalid, notRun, nothing},
		{400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded", enlace.ErrInvalid, notRun, nothing},
		{200, "WRONG_ENCODING", "", enlace.ErrProtocol, ran, nothing},
		// the authorization server
		{200, "wrong_client", "", enlace.ErrMisconfigured, notRun, nothing},
		{400, "invalid_client", "", enlace.ErrMisconfigured, notRun, nothing},
		{401, "invalid_client", "", enlace.ErrMisconfigured, notRun, nothing},
		// 2.5, methods of the CRM
		{400, "", "Access denied.", enlace.ErrForbidden, ran, nothing},
		{400, "", "Not found", enlace.ErrNotFound, ran, nothing},
		{400, "", "Contact is not found", enlace.ErrNotFound, ran, nothing},
		{400, "", "ID is not defined or invalid.", enlace.ErrInvalid, ran, nothing},
		{400, "", "Parameter 'fields' must be array.", enlace.ErrInvalid, ran, nothing},
		{400, "", "Failed to get list. General error.", enlace.ErrInvalid, ran, nothing},
		{400, "", "", enlace.ErrInvalid, ran, nothing},
		{400, "ERROR_CORE", "Field 'Work e-mail' holds an invalid address", enlace.ErrInvalid, ran, nothing},
		{400, "ERROR_CORE", "Element not found", enlace.ErrNotFound, ran, nothing},
		{400, "NOT_FOUND", "Element not found", enlace.ErrNotFound, ran, nothing},
		{400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type 5 is not supported", enlace.ErrUnsupported, notRun, nothing},
		{400, "INVALID_ARG_VALUE", "Invalid filter: field 'x' is not allowed in filter", enlace.ErrInvalid, ran, nothing},
		{400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", "Invalid value for field", enlace.ErrInvalid, ran, nothing},
		{400, "CRM_FIELD_ERROR_REQUIRED", "", enlace.ErrInvalid, ran, nothing},
		{400, "100", "Could not find value for parameter {entityTypeId}", enlace.ErrInvalid, ran, nothing},
		{400, "200040300020", "", enlace.ErrInvalid, ran, nothing},
		{400, "0", "", enlace.ErrInvalid, ran, nothing},
		{400, "CREATE_DYNAMIC_ITEM_RESTRICTED", "", enlace.ErrInvalid, ran, nothing},
		{400, "MAX_IMPORT_BATCH_SIZE_EXCEEDED", "", enlace.ErrInvalid, ran, nothing},
		{400, "Communication values is not defined", "", enlace.ErrInvalid, ran, nothing},
		// codes that nobody knows: the status decides
		{500, "SOMETHING_NEW", "", enlace.ErrUnavailable, unknown, reads},
		{503, "", "", enlace.ErrUnavailable, unknown, reads},
		{429, "SOMETHING_NEW", "", enlace.ErrRateLimited, notRun, anything},
		{401, "SOMETHING_NEW", "", enlace.ErrAuth, notRun, nothing},
		{403, "SOMETHING_NEW", "", enlace.ErrForbidden, ran, nothing},
		{200, "SOMETHING_NEW", "", enlace.ErrInvalid, ran, nothing},
	} {
		for _, code := range []string{test.code, strings.ToLower(test.code), strings.ToUpper(test.code)} {
			body := fmt.Sprintf(` {"error":%q,"error_description":%q,"extra":[1,{}]}`+"\n", code, test.description)
			t.Run(fmt.Sprintf("%d %s %s", test.status, code, test.description), func(t *testing.T) {
				e := classify(t, test.status, nil, body)
				if e.Kind != test.kind || e.Outcome != test.outcome {
					t.Errorf("is %v (%v), want %v (%v)", e.Kind, e.Outcome, test.kind, test.outcome)
				}
				if e.Status != test.status || e.Code != code || e.Message != test.description {
					t.Errorf("holds %d %q %q", e.Status, e.Code, e.Message)
				}
				got := nothing
				if enlace.Retryable(e, true) {
					got = reads
				}
				if enlace.Retryable(e, false) {
					got = anything
				}
				if got != test.may {
					t.Errorf("%s may be repeated, want %s", got, test.may)
				}
			})
		}
	}
}

// classify is the judgment on an answer that is a failure.
func classify(t *testing.T, status int, h http.Header, body string) *enlace.Error {
	t.Helper()
	err := bitrix24.Adapter{}.Classify(status, h, []byte(body))
	e, ok := errors.AsType[*enlace.Error](err)
	if !ok {
		t.Fatalf("%d %.80q is %v, want an *enlace.Error", status, body, err)
	}
	return e
}

func TestOperatingLimitConcernsOneMethod(t *testing.T) {
	e := classify(t, 429, nil, `{"error":"OPERATION_TIME_LIMIT"}`)
	if !e.Partial || e.Retry.Minutes() != 10 {
		t.Errorf("partial %v, retry after %v; want the method alone, for ten minutes", e.Partial, e.Retry)
	}
	if e := classify(t, 503, nil, `{"error":"QUERY_LIMIT_EXCEEDED"}`); e.Partial {
		t.Error("the request limit concerns all methods")
	}
}

func TestSuccessIsNotAnError(t *testing.T) {
	for _, body := range []string{
		`{"result":true,"time":{}}`, `{"result":null}`, `{"result":[]}`, ` {"time":{},"result":{"items":[]}} `,
		`{ "result" : 1 }`, `{"error":null,"result":1}`, `{"result":1,"error":"X"}`, `{"error":"X","result":1}`,
		`{"error":null}`, `{}`,
	} {
		if err := (bitrix24.Adapter{}).Classify(200, nil, []byte(body)); err != nil {
			t.Errorf("%s is %v", body, err)
		}
	}
}

// TestAnswersThatArePagesOfSomebodyElse are not the portal's JSON (T30).
func TestAnswersThatArePagesOfSomebodyElse(t *testing.T) {
	const page = "<html><title>x</title></html>"
	for _, test := range []struct {
		status  int
		body    string
		kind    error
		outcome enlace.Outcome
	}{
		{200, page, enlace.ErrProtocol, enlace.OutcomeUnknown},
		{200, "", enlace.ErrProtocol, enlace.OutcomeUnknown},
		{200, " \r\n\t", enlace.ErrProtocol, enlace.OutcomeUnknown},
		{204, "", enlace.ErrProtocol, enlace.OutcomeUnknown},
		{200, "[1]", enlace.ErrProtocol, enlace.OutcomeUnknown},
		{200, `{"result":{"items":[{"id":1`, enlace.ErrProtocol, enlace.OutcomeUnknown},
		{200, `{"err`, enlace.ErrProtocol, enlace.OutcomeUnknown},
		{200, `{"result":{"items":[{"id":1}`, enlace.ErrProtocol, enlace.OutcomeUnknown},
		{500, `{"result":{"items":[{"id":1}`, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{503, `{"error":"QUERY_LIMIT_EXCEEDED","error_desc`, enlace.ErrRateLimited, enlace.OutcomeNotRun},
		{401, page, enlace.ErrAuth, enlace.OutcomeNotRun},
		{403, page, enlace.ErrForbidden, enlace.OutcomeNotRun},
		{404, page, enlace.ErrNotFound, enlace.OutcomeRan},
		{500, page, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{502, page, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{503, page, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{504, page, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{500, "", enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{429, page, enlace.ErrRateLimited, enlace.OutcomeNotRun},
		{502, `{"error":null}`, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{500, `{}`, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{500, `{"error":"X","result":1}`, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{400, `{"error":100}`, enlace.ErrInvalid, enlace.OutcomeRan},
		{500, `{"error":{"code":"X","message":"Y"}}`, enlace.ErrUnavailable, enlace.OutcomeUnknown},
	} {
		e := classify(t, test.status, http.Header{}, test.body)
		if e.Kind != test.kind || e.Outcome != test.outcome || e.Status != test.status {
			t.Errorf("%d %q is %v (%v, status %d), want %v (%v)", test.status, test.body, e.Kind, e.Outcome, e.Status, test.kind, test.outcome)
		}
	}
	if e := classify(t, 400, nil, `{"error":100}`); e.Code != "100" {
		t.Errorf("a number as the code became %q", e.Code)
	}
}

func TestRenamedPortalNamesTheNewHostOnly(t *testing.T) {
	h := http.Header{"Location": {"https://acme-new.bitrix24.com/rest/1/s3cr3t/scope?auth=s3cr3t"}}
	for _, body := range []string{"", "<html>moved</html>", "{}"} {
		e := classify(t, 302, h, body)
		if e.Kind != enlace.ErrMoved || !strings.Contains(e.Error(), "acme-new.bitrix24.com") {
			t.Errorf("%q is %v", body, e)
		}
		if strings.Contains(e.Error(), "s3cr3t") || strings.Contains(e.Error(), "/rest") {
			t.Errorf("%v says more than the host", e)
		}
	}
}
