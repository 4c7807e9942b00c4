package adaptertest

import "fmt"

// The rules of the interfaces. A failure begins with one of them.
const (
	ruleHarness = "Harness: what the suite is given must be whole and well-behaved"

	ruleDeterministic = "IntegrationAdapter: Describe is deterministic and without side effects"
	ruleDescriptor    = "Descriptor: what it says must be complete and true"
	ruleCapability    = "Descriptor: what it claims must exist as a capability, and the reverse"
	ruleConcurrent    = "IntegrationAdapter: an adapter is safe for concurrent use"
	rulePanic         = "IntegrationAdapter: an adapter never panics, whatever arrives"
	ruleOwner         = "IntegrationAdapter: whatever a call started has stopped when it returns"
	ruleBodies        = "IntegrationAdapter: every answer's body is closed"
	ruleSecret        = "IntegrationAdapter: no credential in an error, log line, observation or cursor"
	ruleCredential    = "AuthScheme: every request carries the account's credential, and a wrong one is ErrAuth"
	ruleUnsupported   = "ErrUnsupported: what the adapter lacks is refused without a request"
	ruleKind          = "Error: the kind says what went wrong, so that programs can react"
	ruleNoRetry       = "Puller, Pusher: an adapter does not repeat requests; enlace does, where that is safe"
	ruleNoSleep       = "Puller, Pusher: an adapter does not sleep or wait; enlace does"
	ruleCancel        = "Context: a call ends with its context, without another request"
	ruleRepeat        = "Call.Idempotent: reads may be repeated, and what was refused is sent again"

	ruleComplete = "Puller: a run that ends without an error has read every record"
	ruleState    = "Puller: Pull keeps no state between calls; the same request must be answerable by another process"
	ruleSwallow  = "Puller: a failure is returned, not turned into an empty or last page"
	ruleEnds     = "Puller: a pull comes to its end, or to an error, whatever the provider repeats"
	ruleLimit    = "PullRequest.Limit: a page holds at most this many records"
	ruleSince    = "PullRequest.Since: only records changed at or after it"
	ruleNext     = "Page.Next: set and different from the request's cursor while Done is false"
	ruleMark     = "Page.Next: once Done is true it is where the next run begins, without losing what changed meanwhile"
	ruleChange   = "Entity.Incremental: a run by change finds what changed, and reads no more than it must"
	ruleTomb     = "IncrementalFull: a deletion is found by the next run"
	ruleCursor   = "Cursor: a cursor that the adapter cannot read is ErrCursorExpired"
	ruleOpaque   = "Cursor: it is stored as text: valid UTF-8 without NUL"
	ruleRecord   = "Record: it has an id, its entity, and data unless it is a tombstone"
	ruleData     = "Record.Data: the provider's own JSON, byte for byte"
	ruleFetch    = "Fetcher: the records that exist come back, and the others as tombstones"
	ruleFields   = "MetadataDescriber: every field has a path of its own and a known type, and a failure is returned"
	ruleHealth   = "HealthChecker: one cheap authenticated request, and its failure is returned"

	ruleWrite   = "Pusher: a mutation that succeeds took effect, once, and its Ack names the record"
	ruleOnce    = "Call.Idempotent: a write that may have run is never sent again unless repeating it does no harm"
	ruleOutcome = "Error.Outcome: a write whose answer was lost may have taken effect, and the error does not deny that"
	ruleKeyed   = "Entity.CreateOnce: a create with a key is carried out once, however often it is pushed"
	ruleFind    = "Finder: what a create whose answer was lost has made is found"
	ruleAck     = "Pusher: no Ack without the provider's own answer"
	ruleBatch   = "BatchPusher: the results are in the order of the mutations and as many"
	ruleProof   = "Verifier: a genuine delivery is proved by its secret, and nothing else proves it"
	ruleSame    = "Verifier: every failure is ErrSignature, always the same and without a computed value"
	ruleParse   = "WebhookReceiver: ParseWebhook turns a genuine delivery into its events, each time the same"
	ruleJunk    = "WebhookReceiver: ParseWebhook bears any body"
	ruleAnswers = "WebhookChallenger: an ordinary delivery is no challenge, and nothing is written"
	ruleHook    = "WebhookRegistrar: registering and removing may be repeated"
)

// violation is a broken rule and how that showed.
type violation struct{ rule, detail string }

func (v *violation) Error() string { return "broken: " + v.rule + "\n\t" + v.detail }

func broken(rule, format string, args ...any) error {
	return &violation{rule, fmt.Sprintf(format, args...)}
}
