package enlace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// kind is a sentinel of the taxonomy. Its label is short and stable: metrics and
// stored rows use it, so a label is never changed once released.
type kind struct {
	label  string
	text   string
	parent error // a more general kind that also matches
}

func (k *kind) Error() string { return k.text }

func (k *kind) Is(target error) bool { return k.parent != nil && target == k.parent }

// The kinds of failure. Test for them with errors.Is; never read the text.
//
// A kind says what to tell a person; the [Outcome] of an [*Error] says whether
// the request can have taken effect.
var (
	// ErrAuth: the provider does not accept the credential. Reconnect the integration.
	ErrAuth error = &kind{label: "auth", text: "the provider does not accept the credential; reconnect the integration"}
	// ErrTokenExpired: an access token was refused and a fresh one would help. It
	// matches ErrAuth too. enlace refreshes and repeats once before anyone sees it.
	ErrTokenExpired error = &kind{label: "token_expired", text: "the access token was refused", parent: ErrAuth}
	// ErrMisconfigured: the provider does not know the app: its client id or secret is wrong.
	ErrMisconfigured error = &kind{label: "misconfigured", text: "the provider does not know the app; check its client id and secret"}
	// ErrForbidden: the credential is good but lacks a permission, a scope or a paid plan.
	ErrForbidden error = &kind{label: "forbidden", text: "the account may not do this; check its permissions, scopes and plan"}
	// ErrNotFound: the record, integration or run does not exist (for this tenant).
	ErrNotFound error = &kind{label: "not_found", text: "not found"}
	// ErrInvalid: an argument, a setting or a value was refused. See [*ValidationError].
	ErrInvalid error = &kind{label: "invalid", text: "invalid input"}
	// ErrConflict: somebody else changed it first. Read again and decide.
	ErrConflict error = &kind{label: "conflict", text: "changed by somebody else meanwhile; read again"}
	// ErrLinked: the local id belongs to another record already. It matches ErrConflict too.
	ErrLinked error = &kind{label: "linked", text: "another record is linked to that local id", parent: ErrConflict}
	// ErrRateLimited: the provider asks to wait; [Error.RetryAfter] says how long, if it is known.
	ErrRateLimited error = &kind{label: "rate_limited", text: "the provider's rate limit is reached"}
	// ErrUnavailable: the provider or the way to it is out of order. Try again later.
	ErrUnavailable error = &kind{label: "unavailable", text: "the provider is not available"}
	// ErrProtocol: the answer is not what the provider's contract says: HTML, cut JSON, a wrong shape.
	ErrProtocol error = &kind{label: "protocol", text: "the provider's answer does not follow its contract"}
	// ErrUnsupported: the adapter has no such entity, operation or capability.
	ErrUnsupported error = &kind{label: "unsupported", text: "not supported by the adapter"}
	// ErrMoved: the account answers at another address; update the base URL and the credential.
	ErrMoved error = &kind{label: "moved", text: "the account answers at another address; update the integration's base URL"}
	// ErrBlocked: the address is one that enlace does not call; see [Config.Egress].
	ErrBlocked error = &kind{label: "blocked", text: "the address is not allowed; see Config.Egress"}
	// ErrTooLarge: the answer is longer than [Config.MaxBody].
	ErrTooLarge error = &kind{label: "too_large", text: "the answer is larger than Config.MaxBody"}
	// ErrCursorExpired: the provider forgot the position. The next run starts from the last finished one.
	ErrCursorExpired error = &kind{label: "cursor_expired", text: "the provider no longer knows the cursor"}
	// ErrCursorStalled: a page came with the cursor it was asked with; going on would loop for ever.
	ErrCursorStalled error = &kind{label: "cursor_stalled", text: "the cursor does not advance"}
	// ErrSignature: a webhook delivery does not prove its sender.
	ErrSignature error = &kind{label: "signature", text: "the delivery's proof is missing or wrong"}
	// ErrUnknownProvider: no adapter of that name is registered.
	ErrUnknownProvider error = &kind{label: "unknown_provider", text: "no adapter of that name is registered"}
	// ErrDuplicate: an adapter of that name is registered already.
	ErrDuplicate error = &kind{label: "duplicate", text: "an adapter of that name is registered already"}
	// ErrNoCredential: the integration has no credential yet. Connect it first.
	ErrNoCredential error = &kind{label: "no_credential", text: "the integration has no credential; connect it first"}
	// ErrDisabled: the integration is switched off.
	ErrDisabled error = &kind{label: "disabled", text: "the integration is disabled"}
	// ErrLimit: the tenant has reached what Config.TenantLimits allows it.
	ErrLimit error = &kind{label: "limit", text: "the tenant's limit is reached; see Config.TenantLimits"}
	// ErrKey: a stored secret cannot be opened: its key is missing, or the row was
	// altered or moved. Check Config.Keys; no secret is lost by a missing key.
	ErrKey error = &kind{label: "key", text: "a stored secret cannot be opened; check Config.Keys"}
	// ErrKeyUnknown: no key of that id is known. It matches ErrKey too.
	ErrKeyUnknown error = &kind{label: "key_unknown", text: "the key that sealed it is not known", parent: ErrKey}
	// ErrKeyDisabled: the key is switched off and can be enabled again. It matches ErrKey too.
	ErrKeyDisabled error = &kind{label: "key_disabled", text: "the key that sealed it is disabled", parent: ErrKey}
	// ErrKeyDestroyed: the key is gone for good. It matches ErrKey too.
	ErrKeyDestroyed error = &kind{label: "key_destroyed", text: "the key that sealed it is destroyed", parent: ErrKey}
	// ErrKeyUnavailable: the keys cannot be fetched for now; try again. It matches ErrKey too.
	ErrKeyUnavailable error = &kind{label: "key_unavailable", text: "the keys cannot be fetched for now", parent: ErrKey}
	// ErrStore: the store failed. What the operation had not yet saved is not saved.
	ErrStore error = &kind{label: "store", text: "the store failed"}
	// ErrSink: the host's sink refused a page. The checkpoint stays before that page.
	ErrSink error = &kind{label: "sink", text: "the sink did not accept the page"}
	// ErrSource: the host's source gave no changes, or did not take note of the accepted ones.
	ErrSource error = &kind{label: "source", text: "the source of changes failed"}
	// ErrHandler: a handler of the host did not accept an event. The delivery is tried again.
	ErrHandler error = &kind{label: "handler", text: "the handler did not accept the event"}
	// ErrPaused: somebody paused the run. It goes on where it stopped after ResumeRun.
	ErrPaused error = &kind{label: "paused", text: "the run was paused; resume it"}
	// ErrCanceled: the caller's context ended first, and comes in the same chain
	// (context.Canceled or context.DeadlineExceeded), or CancelRun ended the run.
	ErrCanceled error = &kind{label: "canceled", text: "ended by the caller"}
)

// ErrDefault is what a [Classifier] returns to leave an answer to [ClassifyHTTP].
var ErrDefault = errors.New("enlace: classify by the HTTP status")

// Outcome says whether a failed request can have taken effect at the provider.
type Outcome uint8

// The outcomes. Only OutcomeNotRun may be repeated without thought.
const (
	OutcomeUnknown Outcome = iota // it may have run: the answer was lost or unclear
	OutcomeNotRun                 // it certainly did not run
	OutcomeRan                    // it ran, and was refused or failed by the provider's logic
)

func (o Outcome) String() string {
	switch o {
	case OutcomeNotRun:
		return "not run"
	case OutcomeRan:
		return "ran"
	default:
		return "unknown"
	}
}

// Error is a failure with everything a program needs to react to it. It never
// holds a secret, a URL path or a request body.
type Error struct {
	Provider string        // name of the adapter; empty if none was involved
	Op       string        // what was tried: a method of the provider, or of enlace
	Kind     error         // one of the Err… kinds; never nil in errors that enlace returns
	Outcome  Outcome       // whether the request can have taken effect
	Status   int           // HTTP status, 0 if there was no answer
	Code     string        // the provider's own code, verbatim, bounded
	Message  string        // the provider's own words, bounded and redacted; may be localized
	Retry    time.Duration // how long to wait, 0 if the provider did not say
	// Partial says that the limit concerns this operation only: other calls of
	// the same account may go on. Meaningful with ErrRateLimited.
	Partial bool
	Err     error // the cause, may be nil
}

// RetryAfter is how long the provider asks to wait before the next try; 0 if
// err holds no such wish.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Retry
	}
	return 0
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("enlace: ")
	if e.Provider != "" {
		b.WriteString(e.Provider)
		b.WriteString(": ")
	}
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	if e.Kind != nil {
		b.WriteString(e.Kind.Error())
	} else {
		b.WriteString("failed")
	}
	if detail := e.detail(); detail != "" {
		b.WriteString(" (")
		b.WriteString(detail)
		b.WriteString(")")
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

func (e *Error) detail() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("status %d", e.Status))
	}
	if e.Code != "" {
		parts = append(parts, "code "+e.Code)
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.Retry > 0 {
		parts = append(parts, "retry after "+e.Retry.Round(time.Second).String())
	}
	return strings.Join(parts, ", ")
}

// Unwrap lets errors.Is and errors.As see both the kind and the cause.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Kind != nil {
		all = append(all, e.Kind)
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// Retryable says whether the request behind err may be sent again: it certainly
// did not run, or repeating it does no harm (idempotent) and the cause may pass.
func Retryable(err error, idempotent bool) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch {
	case errors.Is(e.Kind, ErrTokenExpired), errors.Is(e.Kind, ErrRateLimited):
		return e.Outcome == OutcomeNotRun || idempotent
	case errors.Is(e.Kind, ErrUnavailable), errors.Is(e.Kind, ErrProtocol):
		return e.Outcome == OutcomeNotRun || (idempotent && e.Outcome == OutcomeUnknown)
	default:
		return false
	}
}

// KindLabel is the short, stable name of err's kind, fit for a metric label or a
// stored row: "auth", "rate_limited", "unavailable"… It is "" for nil and "other"
// for an error that holds no kind.
func KindLabel(err error) string {
	if err == nil {
		return ""
	}
	if k, ok := errors.AsType[*kind](err); ok {
		return k.label
	}
	return "other"
}

// Fault is one thing wrong with one field.
type Fault struct {
	Field   string // the setting or argument, as its descriptor spells it
	Problem string // what is wrong, without the value
	Allowed string // what would be right
}

// ValidationError lists every fault found, not only the first. It matches ErrInvalid.
type ValidationError struct {
	Faults []Fault
}

func (v *ValidationError) Error() string {
	parts := make([]string, len(v.Faults))
	for i, f := range v.Faults {
		parts[i] = f.Field + ": " + f.Problem
		if f.Allowed != "" {
			parts[i] += "; allowed: " + f.Allowed
		}
	}
	return "enlace: invalid input: " + strings.Join(parts, " | ")
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (v *ValidationError) Unwrap() error { return ErrInvalid }

func (v *ValidationError) add(field, problem, allowed string) {
	v.Faults = append(v.Faults, Fault{Field: field, Problem: problem, Allowed: allowed})
}

// orNil is v as an error, or nil if nothing is wrong.
func (v *ValidationError) orNil() error {
	if len(v.Faults) == 0 {
		return nil
	}
	return v
}

// wrap gives err an operation and, where it has none, the kind fallback.
func wrap(op string, fallback error, err error) error {
	if err == nil {
		return nil
	}
	if contextError(err) {
		return &Error{Op: op, Kind: ErrCanceled, Err: err}
	}
	if KindLabel(err) != "other" {
		return fmt.Errorf("%s: %w", op, err)
	}
	return &Error{Op: op, Kind: fallback, Err: err}
}

func contextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
