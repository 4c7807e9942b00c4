package rdstation_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// TestClassify goes through the thirteen shapes of sheet 5.1 and the error tables
// of 5.2 to 5.5, with the answers of the sheet's test cases.
func TestClassify(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		name    string
		status  int
		header  http.Header
		body    string
		kind    error // nil is a success
		outcome enlace.Outcome
		code    string
		message string // part of it
		retry   time.Duration
		partial bool
	}{
		{name: "success", status: 200, body: `{"name":"x"}`},
		{name: "no content", status: 204},
		{name: "array", status: 200, body: `[]`},
		{name: "truncated", status: 200, body: `{"name":`, kind: enlace.ErrProtocol},
		{name: "page", status: 200, body: `<html>`, kind: enlace.ErrProtocol},
		{name: "A, T13", status: 404, body: `{"errors":{"error_type":"RESOURCE_NOT_FOUND","error_message":"Lead not found."}}`,
			kind: enlace.ErrNotFound, outcome: enlace.OutcomeRan, code: "RESOURCE_NOT_FOUND", message: "Lead not found."},
		{name: "A, T14", status: 400, body: `{"errors":{"error_type":"EMAIL_ALREADY_IN_USE","error_message":"email already in use"}}`,
			kind: enlace.ErrConflict, outcome: enlace.OutcomeRan, code: "EMAIL_ALREADY_IN_USE"},
		{name: "A, T16", status: 400, body: `{"errors":{"error_type":"CONFLICTING_FIELD","error_message":"The payload contains an attribute that was used to identify the lead"}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "CONFLICTING_FIELD"},
		{name: "A, T17", status: 400, body: `{"errors":{"error_type":"INVALID_FIELDS","error_message":"Payload contains fields that do not exist: (cf_nao_existe)"}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "INVALID_FIELDS", message: "cf_nao_existe"},
		{name: "A, T09", status: 401, body: `{"errors":{"error_type":"UNAUTHORIZED","error_message":"Invalid token."}}`,
			kind: enlace.ErrTokenExpired, outcome: enlace.OutcomeNotRun, code: "UNAUTHORIZED"},
		{name: "A, generic limit", status: 429, body: `{"errors":{"error_type":"RATE_LIMIT_EXCEDDED","error_message":"API usage limit exceeded"}}`,
			kind: enlace.ErrRateLimited, outcome: enlace.OutcomeNotRun, code: "RATE_LIMIT_EXCEDDED"},
		{name: "A, unavailable", status: 500, body: `{"errors":{"error_type":"SERVICE_UNAVAILABLE","error_message":"Service temporarily unavailable"}}`,
			kind: enlace.ErrUnavailable, code: "SERVICE_UNAVAILABLE"},
		{name: "B, T30", status: 400, body: `{"errors":[{"error_type":"INVALID_DATA_TYPE","error_message":"Must be of type 'SET'.","validation_rules":{"data_type":"SET"},"path":"$.payload.tags"}]}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "INVALID_DATA_TYPE", message: "$.payload.tags: Must be of type 'SET'."},
		{name: "B, T34", status: 400, body: `{"errors":[{"error_type":"UNABLE_TO_LOAD_CDP_SCHEMA","error_message":"Unable to load schema for tenant_id '575000000000000001'"}]}`,
			kind: enlace.ErrAuth, outcome: enlace.OutcomeRan, code: "UNABLE_TO_LOAD_CDP_SCHEMA"},
		{name: "B, free plan", status: 422, body: `{"errors":[{"error_type":"ACCESS_DENIED","error_MESSAGE":"This account is not allowed to create tasks of the requested type","feature":"extended_task_types","access":"false"}]}`,
			kind: enlace.ErrForbidden, outcome: enlace.OutcomeRan, code: "ACCESS_DENIED", message: "not allowed"},
		{name: "C, T20", status: 400, body: `{"errors":{"tags":[{"error_type":"VALUES_MUST_BE_LOWERCASE","error_message":"must not contain capital letters"}]}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "VALUES_MUST_BE_LOWERCASE", message: "tags: must not contain capital letters"},
		{name: "C, two problems", status: 400, body: `{"errors":{"tags":[{"error_type":"VALUES_MUST_BE_UNIQUE","error_message":"a"},{"error_type":"VALUES_MUST_BE_LOWERCASE","error_message":"b"}]}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "VALUES_MUST_BE_LOWERCASE"},
		{name: "C, T19", status: 422, body: `{"errors":{"name":[{"error_type":"MUST_BE_STRING","error_message":"Name must be string."}]}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "MUST_BE_STRING"},
		{name: "C, taken", status: 400, body: `{"errors":{"api_identifier":[{"error_type":"TAKEN","error_message":"Already in use"}]}}`,
			kind: enlace.ErrConflict, outcome: enlace.OutcomeRan, code: "TAKEN"},
		{name: "D", status: 400, body: `{"errors":{"label":{"pt-BR":[{"error_type":"CANNOT_BE_BLANK","error_message":"Can not be blank"}]}}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "CANNOT_BE_BLANK", message: "label.pt-BR: Can not be blank"},
		{name: "E", status: 400, body: `{"errors":{"label":{"pt-BR":[{"error_type":"CANNOT_BE_BLANK","error_message":"x"}]},"api_identifier":[{"error_type":"TAKEN","error_message":"y"}]}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "CANNOT_BE_BLANK", message: "api_identifier: y"},
		{name: "F, T31", status: 400, body: `[{"error_type":"INVALID_OPTION","error_message":"Must be one of the valid options.","validation_rules":{"valid_options":["CONVERSION"]},"path":"$.event_type"}]`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "INVALID_OPTION", message: "$.event_type: "},
		{name: "G, T22", status: 429, body: `{"error":"'lead_limiter' rate limit exceeded for 86400 second(s) period for key 'bia@exemplo.com.br'","max":24,"usage":25,"remaining_time":43067}`,
			kind: enlace.ErrRateLimited, outcome: enlace.OutcomeNotRun, code: "TOO_MANY_REQUESTS", message: "lead_limiter", retry: 43067 * time.Second, partial: true},
		{name: "G, of the account", status: 429, body: `{"error":"'account_limiter' rate limit exceeded","max":120,"usage":121,"remaining_time":17}`,
			kind: enlace.ErrRateLimited, outcome: enlace.OutcomeNotRun, code: "TOO_MANY_REQUESTS", retry: 17 * time.Second},
		{name: "G, absurd", status: 429, body: `{"error":"'lead_limiter' x","max":24,"remaining_time":9223372036854775807}`,
			kind: enlace.ErrRateLimited, outcome: enlace.OutcomeNotRun, code: "TOO_MANY_REQUESTS", retry: day, partial: true},
		{name: "H, T10", status: 401, body: `{"error":"invalid_token","error_description":"The access token is invalid or has expired"}`,
			kind: enlace.ErrTokenExpired, outcome: enlace.OutcomeNotRun, code: "invalid_token", message: "has expired"},
		{name: "H, T44", status: 401, body: `{"error":"Permission denied."}`, kind: enlace.ErrTokenExpired, outcome: enlace.OutcomeNotRun},
		{name: "H, v1 forbidden", status: 403, body: `{"error":"forbidden"}`, kind: enlace.ErrForbidden, outcome: enlace.OutcomeNotRun},
		{name: "I, T23", status: 429, header: header("Ratelimit-Limit-Quotas", "120", "Retry-After-Quotas", "17"), body: `{"message":"API rate limit exceeded"}`,
			kind: enlace.ErrRateLimited, outcome: enlace.OutcomeNotRun, message: "API rate limit exceeded", retry: 17 * time.Second},
		{name: "I, T49", status: 429, header: header("Retry-After", "23"), body: `{"message":"API rate limit exceeded"}`,
			kind: enlace.ErrRateLimited, outcome: enlace.OutcomeNotRun, retry: 23 * time.Second},
		{name: "I, by the hour", status: 429, header: header("Retry-After-Quotas", "3000"), body: `{"message":"API rate limit exceeded"}`,
			kind: enlace.ErrRateLimited, outcome: enlace.OutcomeNotRun, retry: 3000 * time.Second, partial: true},
		{name: "I, T48", status: 404, body: `{"message":"no Route matched with those values"}`, kind: enlace.ErrUnsupported, outcome: enlace.OutcomeNotRun},
		{name: "J", status: 401, body: `{"error_type":"UNAUTHORIZED","error_message":"Invalid token."}`,
			kind: enlace.ErrTokenExpired, outcome: enlace.OutcomeNotRun, code: "UNAUTHORIZED"},
		{name: "K", status: 400, body: `{"errors":"Could not find a custom field that matches: 1"}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, message: "Could not find"},
		{name: "L, T45", status: 422, body: `{"errors":{"subject":["Assunto está muito curto, use no mínimo 3 caracteres."]}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, message: "subject: Assunto está muito curto"},
		{name: "M", status: 500, body: `<p>Problemas técnicos são sempre inesperados…</p>`, kind: enlace.ErrUnavailable},
		{name: "M, no such route", status: 404, body: `<html>`, kind: enlace.ErrUnsupported, outcome: enlace.OutcomeNotRun},
		{name: "M, empty", status: 502, kind: enlace.ErrUnavailable},
		{name: "limit of contacts", status: 406, body: `{}`, kind: enlace.ErrForbidden, outcome: enlace.OutcomeRan},
		{name: "address too long", status: 414, body: ``, kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan},
		{name: "media type", status: 415, body: `{"errors":{"error_type":"UNSUPPORTED_MEDIA_TYPE","error_message":"x"}}`,
			kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan, code: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "plan", status: 403, body: `{"errors":{"error_type":"ACCOUNT_REQUIREMENT_MISSING","error_message":"x"}}`,
			kind: enlace.ErrForbidden, outcome: enlace.OutcomeNotRun, code: "ACCOUNT_REQUIREMENT_MISSING"},
		{name: "moved", status: 302, header: header("Location", "https://elsewhere.example/"), kind: enlace.ErrDefault},
		{name: "nothing in it", status: 400, body: `{"errors":null}`, kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan},
		{name: "deep", status: 400, body: `{"errors":` + strings.Repeat(`{"a":`, 20) + `[]` + strings.Repeat(`}`, 21), kind: enlace.ErrInvalid, outcome: enlace.OutcomeRan},
	} {
		for name, classifier := range map[string]enlace.Classifier{"marketing": &rdstation.Marketing{}, "crm": rdstation.CRM{}, "v1": rdstation.CRMv1{}} {
			h := test.header
			if h == nil {
				h = http.Header{}
			}
			err := classifier.Classify(test.status, h, []byte(test.body))
			if test.kind == nil || errors.Is(test.kind, enlace.ErrDefault) {
				if !errors.Is(err, test.kind) {
					t.Errorf("%s, %s: %v", name, test.name, err)
				}
				continue
			}
			e, ok := errors.AsType[*enlace.Error](err)
			if !ok {
				t.Errorf("%s, %s: %v", name, test.name, err)
				continue
			}
			if e.Kind != test.kind || e.Outcome != test.outcome || e.Status != test.status || e.Retry != test.retry || e.Partial != test.partial ||
				(test.code != "" && e.Code != test.code) || !strings.Contains(e.Message, test.message) {
				t.Errorf("%s, %s: %+v", name, test.name, *e)
			}
		}
	}
	if err := (rdstation.CRMv1{}).Classify(200, header("Content-Type", "text/plain; charset=utf-8"), []byte("ok")); err != nil {
		t.Errorf("a deletion answered with text: %v", err)
	}
}
