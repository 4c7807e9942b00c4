package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
)

// labels is frozen: metrics and stored rows hold these words. Add to it; never change it.
var labels = map[string]error{
	"auth": enlace.ErrAuth, "token_expired": enlace.ErrTokenExpired, "misconfigured": enlace.ErrMisconfigured,
	"forbidden": enlace.ErrForbidden, "not_found": enlace.ErrNotFound, "invalid": enlace.ErrInvalid,
	"conflict": enlace.ErrConflict, "rate_limited": enlace.ErrRateLimited, "unavailable": enlace.ErrUnavailable,
	"protocol": enlace.ErrProtocol, "unsupported": enlace.ErrUnsupported, "moved": enlace.ErrMoved,
	"blocked": enlace.ErrBlocked, "too_large": enlace.ErrTooLarge, "cursor_expired": enlace.ErrCursorExpired,
	"cursor_stalled": enlace.ErrCursorStalled, "signature": enlace.ErrSignature, "unknown_provider": enlace.ErrUnknownProvider,
	"duplicate": enlace.ErrDuplicate, "no_credential": enlace.ErrNoCredential, "disabled": enlace.ErrDisabled,
	"key": enlace.ErrKey, "key_unknown": enlace.ErrKeyUnknown, "key_disabled": enlace.ErrKeyDisabled,
	"key_destroyed": enlace.ErrKeyDestroyed, "key_unavailable": enlace.ErrKeyUnavailable, "store": enlace.ErrStore, "sink": enlace.ErrSink, "canceled": enlace.ErrCanceled,
}

func TestKindLabels(t *testing.T) {
	for label, kind := range labels {
		for _, err := range []error{kind, &enlace.Error{Kind: kind}, fmt.Errorf("a: %w", &enlace.Error{Kind: kind, Err: io.EOF}),
			errors.Join(io.EOF, kind), &enlace.Error{Kind: kind, Err: &enlace.Error{Kind: enlace.ErrDuplicate}}} {
			if got := enlace.KindLabel(err); got != label {
				t.Errorf("KindLabel(%v) = %q, want %q", err, got, label)
			}
		}
		if kind.Error() == "" || strings.Contains(kind.Error(), "\n") {
			t.Errorf("%s has the text %q", label, kind)
		}
	}
	for err, want := range map[error]string{nil: "", io.EOF: "other", enlace.ErrDefault: "other", context.Canceled: "other",
		&enlace.Error{}: "other", &enlace.ValidationError{}: "invalid"} {
		if got := enlace.KindLabel(err); got != want {
			t.Errorf("KindLabel(%v) = %q, want %q", err, got, want)
		}
	}
}

// parents are the more general kinds that a kind matches too.
var parents = map[string]string{"token_expired": "auth", "key_unknown": "key", "key_disabled": "key", "key_destroyed": "key", "key_unavailable": "key"}

// Each kind matches itself, its parent and no other.
func TestErrorsIsMatrix(t *testing.T) {
	for a, kind := range labels {
		for b, target := range labels {
			want := a == b || parents[a] == b
			for _, err := range []error{kind, &enlace.Error{Kind: kind}, fmt.Errorf("x: %w", &enlace.Error{Kind: kind})} {
				if errors.Is(err, target) != want {
					t.Errorf("errors.Is(%s, %s) = %t", a, b, !want)
				}
			}
		}
	}
	err := fmt.Errorf("outer: %w", &enlace.Error{Kind: enlace.ErrSink, Err: fmt.Errorf("x: %w", io.ErrClosedPipe)})
	if !errors.Is(err, enlace.ErrSink) || !errors.Is(err, io.ErrClosedPipe) {
		t.Error("kind and cause must both match")
	}
}

func TestRetryableTable(t *testing.T) {
	const notRun, ran, unknown = enlace.OutcomeNotRun, enlace.OutcomeRan, enlace.OutcomeUnknown
	type row struct {
		kind        error
		outcome     enlace.Outcome
		once, twice bool // may be repeated: any request, an idempotent one
	}
	rows := []row{
		{enlace.ErrRateLimited, notRun, true, true}, {enlace.ErrRateLimited, unknown, false, true}, {enlace.ErrRateLimited, ran, false, true},
		{enlace.ErrTokenExpired, notRun, true, true}, {enlace.ErrTokenExpired, unknown, false, true}, {enlace.ErrTokenExpired, ran, false, true},
		{enlace.ErrUnavailable, notRun, true, true}, {enlace.ErrUnavailable, unknown, false, true}, {enlace.ErrUnavailable, ran, false, false},
		{enlace.ErrProtocol, notRun, true, true}, {enlace.ErrProtocol, unknown, false, true}, {enlace.ErrProtocol, ran, false, false},
	}
	listed := map[error]bool{}
	for _, r := range rows {
		listed[r.kind] = true
	}
	for _, kind := range labels { // everything else is never repeated
		for _, outcome := range []enlace.Outcome{notRun, ran, unknown} {
			if !listed[kind] {
				rows = append(rows, row{kind, outcome, false, false})
			}
		}
	}
	for _, r := range rows {
		err := fmt.Errorf("x: %w", &enlace.Error{Kind: r.kind, Outcome: r.outcome})
		if once, twice := enlace.Retryable(err, false), enlace.Retryable(err, true); once != r.once || twice != r.twice {
			t.Errorf("%s, %s: any request %t, idempotent %t; want %t, %t", enlace.KindLabel(r.kind), r.outcome, once, twice, r.once, r.twice)
		}
	}
	for _, err := range []error{nil, io.EOF, enlace.ErrRateLimited, &enlace.Error{}} {
		if enlace.Retryable(err, true) {
			t.Errorf("Retryable(%v)", err)
		}
	}
}

func TestErrorText(t *testing.T) {
	e := &enlace.Error{Provider: "crm", Op: "list", Kind: enlace.ErrRateLimited, Status: 429, Code: "SLOW", Message: "too fast",
		Retry: 90*time.Second + time.Millisecond, Err: io.EOF}
	want := "enlace: crm: list: the provider's rate limit is reached (status 429, code SLOW, too fast, retry after 1m30s): EOF"
	if e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
	if got := (&enlace.Error{}).Error(); got != "enlace: failed" {
		t.Errorf("the zero Error says %q", got)
	}
	if enlace.RetryAfter(fmt.Errorf("x: %w", e)) != e.Retry || enlace.RetryAfter(io.EOF) != 0 || enlace.RetryAfter(nil) != 0 {
		t.Error("RetryAfter is wrong")
	}
	for outcome, want := range map[enlace.Outcome]string{enlace.OutcomeNotRun: "not run", enlace.OutcomeRan: "ran", enlace.OutcomeUnknown: "unknown", 9: "unknown"} {
		if outcome.String() != want {
			t.Errorf("outcome %d is %q", outcome, outcome)
		}
	}
}

func TestValidationError(t *testing.T) {
	var err error = &enlace.ValidationError{Faults: []enlace.Fault{
		{Field: "a", Problem: "missing", Allowed: "1 or 2"}, {Field: "b", Problem: "too long"}}}
	if want := "enlace: invalid input: a: missing; allowed: 1 or 2 | b: too long"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if !errors.Is(fmt.Errorf("x: %w", err), enlace.ErrInvalid) || errors.Is(err, enlace.ErrNotFound) {
		t.Error("it must match ErrInvalid and nothing else")
	}
}

func TestClassifyHTTP(t *testing.T) {
	type verdict struct {
		Kind    string
		Outcome string
		Retry   time.Duration
	}
	after := http.Header{"Retry-After": {"7"}}
	for status, want := range map[int]verdict{
		301: {"moved", "not run", 0}, 302: {"moved", "not run", 0}, 400: {"invalid", "ran", 0}, 401: {"token_expired", "not run", 0},
		402: {"forbidden", "not run", 0}, 403: {"forbidden", "not run", 0}, 404: {"not_found", "ran", 0}, 408: {"unavailable", "unknown", 7 * time.Second},
		409: {"conflict", "ran", 0}, 410: {"not_found", "ran", 0}, 412: {"conflict", "ran", 0}, 418: {"invalid", "ran", 0}, 422: {"invalid", "ran", 0},
		429: {"rate_limited", "not run", 7 * time.Second}, 500: {"unavailable", "unknown", 7 * time.Second},
		502: {"unavailable", "unknown", 7 * time.Second}, 503: {"unavailable", "unknown", 7 * time.Second}, 599: {"unavailable", "unknown", 7 * time.Second},
	} {
		e, ok := errors.AsType[*enlace.Error](enlace.ClassifyHTTP(status, after))
		if !ok {
			t.Fatalf("%d: no *Error", status)
		}
		if diff := cmp.Diff(want, verdict{enlace.KindLabel(e), e.Outcome.String(), e.Retry}); diff != "" {
			t.Errorf("%d (-want +got):\n%s", status, diff)
		}
		if e.Status != status {
			t.Errorf("%d: Status is %d", status, e.Status)
		}
	}
	for _, status := range []int{200, 201, 204, 299} {
		if err := enlace.ClassifyHTTP(status, nil); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	moved := enlace.ClassifyHTTP(301, http.Header{"Location": {"https://new.example.com/rest/1/" + canary + "/?auth=" + canary}})
	if !strings.Contains(moved.Error(), "new.example.com") {
		t.Errorf("it does not say where to: %v", moved)
	}
	checkNoLeak(t, "a redirect's error", moved.Error(), canary)
}

func TestDecodeRecord(t *testing.T) {
	type deal struct{ ID int64 }
	got, err := enlace.DecodeRecord[deal](enlace.Record{Entity: "deals", Data: []byte(`{"id":9007199254740993}`)})
	if err != nil || got.ID != 9007199254740993 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, data := range []string{`{"id":"x"}`, `{`, ``} {
		if _, err := enlace.DecodeRecord[deal](enlace.Record{Entity: "deals", Data: []byte(data)}); !errors.Is(err, enlace.ErrProtocol) {
			t.Errorf("%q: %v, want ErrProtocol", data, err)
		}
	}
}
