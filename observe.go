package enlace

import (
	"context"
	"time"
)

// Observation is something that enlace did: a closed set of types. Switch on the
// type and ignore what you do not know, since types are added. None ever holds a
// secret, a URL or a payload.
type Observation interface{ observation() }

// Observer receives observations, in the goroutine that makes them: it returns
// at once and is safe for concurrent use. Audit, metrics and traces are all made
// from this one stream.
type Observer func(ctx context.Context, o Observation)

// RequestDone is one attempt of one request.
type RequestDone struct {
	Ref      Ref
	Provider string
	Op       string // the provider's method or the call's Op; few different values
	Method   string // HTTP method
	Status   int    // 0 if there was no answer
	Attempt  int    // from 1
	Duration time.Duration
	Waited   time.Duration // before this attempt: rate limit and back-off
	Kind     string        // KindLabel of the failure, empty on success
	Probe    bool          // made by a health check, not by anybody's work
}

// CredentialChanged is a credential that was stored, refreshed or removed.
type CredentialChanged struct {
	Ref      Ref
	Provider string
	Action   string // "put", "refresh", "relocate", "delete"
	Kind     string // KindLabel of the failure, empty on success
}

// IntegrationChanged is an integration that was created, changed or deleted.
type IntegrationChanged struct {
	Ref      Ref
	Provider string
	Action   string // "create", "update", "enable", "disable", "relocate", "delete"
	Fields   []string
}

// MappingChanged is a version of a mapping that was saved, activated or retired.
type MappingChanged struct {
	Ref      Ref
	Provider string
	Action   string // "save", "activate", "retire"
	Entity   string
	Number   int
}

// PageSynced is one page that the host has accepted and whose checkpoint is saved.
type PageSynced struct {
	Ref      Ref
	Provider string
	RunID    string
	Entity   string
	Records  int
}

// BatchPushed is a batch of the host's changes whose fate is remembered.
type BatchPushed struct {
	Ref      Ref
	Provider string
	RunID    string
	Entity   string
	Results  PushResults
}

// SyncFinished is a run that has ended, well or not.
type SyncFinished struct {
	Ref      Ref
	Provider string
	RunID    string
	Result   SyncResult
	Kind     string // KindLabel of the failure, empty on success
}

// AuditRecorded is an entry that stands in the audit log, committed. A host that
// keeps these elsewhere can prove with [Service.VerifyAudit] that nothing was changed.
type AuditRecorded struct{ Entry AuditEntry }

// FlagChanged is a rule for a flag that was set or removed at run time.
type FlagChanged struct {
	Flag   Flag
	Target FlagTarget
	Action string // "flag.set", "flag.clear"
}

// HealthChecked is a health check that was made, and what it found.
type HealthChecked struct {
	Ref      Ref
	Provider string
	Status   HealthStatus
	Cause    HealthCause
	Evidence string // "probe", "traffic" or "state"
	Duration time.Duration
}

// HealthChanged is an integration whose health has changed, as it is stored.
type HealthChanged struct{ Change HealthChange }

// WebhookReceived is a delivery that is durable and was answered with success.
type WebhookReceived struct {
	Ref        Ref
	Provider   string
	DeliveryID string // not stored anywhere if Duplicate
	Duplicate  bool   // it was there already
	Bytes      int    // of the body
	Duration   time.Duration
}

// WebhookRefused is a request that was not taken as a delivery.
type WebhookRefused struct {
	Ref      Ref    // zero if it came to no known address
	Provider string // empty likewise
	// Reason is one of "address", "source address", "source", "rate", "method", "body",
	// "content type", "encoding", "gzip", "fields", "cut", "slow", "busy", "signature", "store", "gone",
	// "flag", "other".
	Reason string
	Status int // of the answer
}

// DeliveriesDone are deliveries whose effects are there, committed together.
type DeliveriesDone struct {
	Ref        Ref
	Provider   string
	Deliveries int
	Events     int
	Repeated   int           // events that were there already, by another delivery
	Records    int           // given to the sink
	Oldest     time.Duration // since the first of them was received
}

// DeliveryAttemptFailed is a delivery that could not be processed.
type DeliveryAttemptFailed struct {
	Ref        Ref
	Provider   string
	DeliveryID string
	Attempt    int
	Dead       bool // it was the last attempt
	Kind       string
}

// DeliveryChanged is a stored delivery that somebody has edited, replayed or discarded.
type DeliveryChanged struct {
	Ref        Ref
	Provider   string
	DeliveryID string
	Action     string // "edit", "replay", "discard"
}

// WebhookChanged is a registration at a provider, or a further address, that was made or removed.
type WebhookChanged struct {
	Ref      Ref
	Provider string
	Action   string // "ensure", "rotate", "remove", "add endpoint", "remove endpoint"
}

// WebhookGap is changes that polling has found and no delivery had told of.
type WebhookGap struct {
	Ref      Ref
	Provider string
	Entity   string
	Records  int
	IDs      []string // of up to 100 of them
}

// BreakerChanged is an operation of an integration that is left alone from now on, since
// it failed several times in a row, or that is not any more. The process that found out
// tells it.
type BreakerChanged struct {
	Ref       Ref
	Provider  string
	Operation string // "push", or "push, other host" at the alternative address
	Open      bool
}

func (RequestDone) observation()           {}
func (CredentialChanged) observation()     {}
func (IntegrationChanged) observation()    {}
func (MappingChanged) observation()        {}
func (PageSynced) observation()            {}
func (BatchPushed) observation()           {}
func (SyncFinished) observation()          {}
func (AuditRecorded) observation()         {}
func (HealthChecked) observation()         {}
func (HealthChanged) observation()         {}
func (FlagChanged) observation()           {}
func (WebhookReceived) observation()       {}
func (WebhookRefused) observation()        {}
func (DeliveriesDone) observation()        {}
func (DeliveryAttemptFailed) observation() {}
func (DeliveryChanged) observation()       {}
func (WebhookChanged) observation()        {}
func (WebhookGap) observation()            {}
func (BreakerChanged) observation()        {}
