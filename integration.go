package enlace

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// IntegrationAdapter is the driver for one provider.
//
// Describe is the only mandatory method. Everything else that an adapter can do
// is an optional interface, found when the adapter is registered:
//
//   - [Puller], refined by [PageStreamer]: read records, page by page
//   - [Fetcher]: read records by their ids
//   - [Pusher], refined by [BatchPusher]: create, update, upsert and delete records
//   - [Finder]: look for a record whose creation was not acknowledged
//   - [WebhookReceiver], with [WebhookRegistrar] and [WebhookChallenger]: take events
//   - [WebhookSampler] and [WebhookInspector]: tests of the way in
//   - [EventPoller]: fetch events that the provider keeps
//   - [MetadataDescriber]: tell which fields an account's records have
//   - [HealthChecker]: one cheap authenticated request
//   - [Authenticator]: only where no [AuthScheme] describes the provider
//   - [Classifier]: judge the provider's answers
//   - [Relocator]: tell a renamed account from any other redirect
//
// An adapter holds no per-account state, since one value serves every tenant:
// the account arrives as a [*Conn]. It is safe for concurrent use.
type IntegrationAdapter interface {
	// Describe returns the adapter's static description. It is cheap,
	// deterministic and without side effects.
	Describe() Descriptor
}

// Descriptor says what a provider is and what its adapter can do with it. It is
// data: forms, validation, documentation and the admin pages are made from it.
type Descriptor struct {
	Name    string // registry key: a lower-case letter, then letters, digits and underscores
	Title   string // for people
	Version string // of the adapter, semantic
	DocsURL string // where the provider documents its API
	BaseURL string // of the API; may hold {placeholders} filled from settings
	// AlternativeURL is another address of the same API, with the same placeholders;
	// empty if there is none. Accounts are called there while BaseURL does not answer,
	// unless the setting apiUrl or a secret URL says where to call. Credentials go to
	// both hosts.
	AlternativeURL string
	Features       []Feature    // what a product can do with it
	Auth           []AuthScheme // accepted ways to authenticate, preferred first
	Settings       []Field      // non-secret settings beside the common ones (see [CommonSettings])
	Entities       []Entity     // what can be read and written
	Limits         Limits       // published limits of one account
	Webhooks       WebhookTerms // how events are delivered; the zero value is the usual
	// Environments are the provider's worlds, such as production and sandbox, the
	// usual one first. If there are any, the common setting "environment" chooses
	// one. A credential is bound to the host of the environment it was entered
	// for, so one of the sandbox never reaches production.
	Environments []Environment
}

// Environment is one of a provider's worlds.
type Environment struct {
	Name   string            // the value of the setting "environment"
	Title  string            // for people
	Values map[string]string // fill {placeholders} of the descriptor's and the schemes' URLs
}

// Feature is a word for what an integration offers to the product.
type Feature string

// The features in use.
const (
	FeatureESignature      Feature = "esignature"
	FeatureDocumentsSync   Feature = "documents_sync"
	FeatureWebhooks        Feature = "webhook_support"
	FeatureCRMSync         Feature = "crm_sync"
	FeatureRealTimeSync    Feature = "real_time_sync"
	FeatureBulkOperations  Feature = "bulk_operations"
	FeatureEmailAutomation Feature = "email_automation"
	FeatureContactsSync    Feature = "contacts_sync"
)

// Operation is one thing that can be done with an entity's records.
type Operation string

// The operations.
const (
	OpRead   Operation = "read"
	OpCreate Operation = "create"
	OpUpdate Operation = "update"
	OpUpsert Operation = "upsert"
	OpDelete Operation = "delete"
)

// Incremental says how far an entity can be read by change only.
type Incremental string

// The degrees of incremental reading.
const (
	IncrementalNone    Incremental = ""        // every run reads everything
	IncrementalUpdates Incremental = "updates" // creations and updates are found; deletions are not
	IncrementalFull    Incremental = "full"    // deletions are found too
)

// Entity is a kind of record.
type Entity struct {
	// Name is what callers use: "contacts". A name that ends in "*" stands for a
	// family ("dynamic_*"): any name with that beginning is accepted, and "all"
	// leaves the family out, because only the account knows its members.
	Name        string
	Title       string
	Operations  []Operation
	Incremental Incremental
	Parents     []string // entities that must be synchronised before this one
	// CreateOnce says that a create with a Key ([Mutation]) is carried out once
	// however often it is pushed: the provider knows the key, or the adapter looks
	// for what an earlier try has left. Without it a create whose answer was lost is
	// looked for by [Finder], or else left to a person.
	CreateOnce bool
}

// Can says whether the entity has the operation.
func (e Entity) Can(op Operation) bool { return slices.Contains(e.Operations, op) }

// Entity returns the entity of that name, resolving families ("dynamic_*").
func (d Descriptor) Entity(name string) (Entity, bool) {
	for _, e := range d.Entities {
		if strings.HasSuffix(name, "*") {
			break // a family is no entity
		}
		if e.Name == name {
			return e, true
		}
		if prefix, family := strings.CutSuffix(e.Name, "*"); family && len(name) > len(prefix) && strings.HasPrefix(name, prefix) {
			e.Name = name
			return e, true
		}
	}
	return Entity{}, false
}

// Limits are the published limits of one account at the provider.
type Limits struct {
	PerSecond float64 // sustained requests per second; 0 is no limit
	Burst     int     // requests at once on top of the sustained rate; 0 is 1
	// PerHost says that the provider counts by host, whichever of its accounts
	// asks: all integrations with the same host then share one quota.
	PerHost bool
	// RunTime is how much of the provider's own run time each method may use per
	// RunTimeWindow (Bitrix24 calls it "operating"); 0 is no limit. Adapters
	// account for it through [Conn.Budget].
	RunTime       time.Duration
	RunTimeWindow time.Duration
}

// Capability is a set of the optional interfaces that an adapter implements.
type Capability uint16

// The capabilities.
const (
	CanPull Capability = 1 << iota
	CanStreamPages
	CanFetch
	CanPush
	CanPushBatch
	CanReceiveWebhooks
	CanRegisterWebhooks
	CanAnswerChallenges
	CanCheckHealth
	CanAuthenticate
	CanClassify
	CanDescribeFields
	CanRelocate
	CanPollEvents
)

var capabilityNames = []string{"pull", "stream_pages", "fetch", "push", "push_batch", "receive_webhooks",
	"register_webhooks", "answer_challenges", "check_health", "authenticate", "classify", "describe_fields", "relocate", "poll_events"}

// Has says whether every capability of want is in c.
func (c Capability) Has(want Capability) bool { return c&want == want }

// String lists the names, separated by commas: "pull,push".
func (c Capability) String() string {
	var names []string
	for i, name := range capabilityNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// CapabilitiesOf says what an adapter can do, without calling it.
func CapabilitiesOf(a IntegrationAdapter) Capability {
	var c Capability
	for i, has := range []bool{
		implements[Puller](a), implements[PageStreamer](a), implements[Fetcher](a), implements[Pusher](a),
		implements[BatchPusher](a), implements[WebhookReceiver](a), implements[WebhookRegistrar](a),
		implements[WebhookChallenger](a), implements[HealthChecker](a), implements[Authenticator](a),
		implements[Classifier](a), implements[MetadataDescriber](a), implements[Relocator](a),
		implements[EventPoller](a),
	} {
		if has {
			c |= 1 << i
		}
	}
	return c
}

func implements[T any](a IntegrationAdapter) bool { _, ok := As[T](a); return ok }

// As finds the capability T in a, or in what a's Unwrap() IntegrationAdapter
// method returns: a wrapper need not forward methods that it does not change.
func As[T any](a IntegrationAdapter) (T, bool) {
	for a != nil {
		if t, ok := a.(T); ok {
			return t, true
		}
		w, ok := a.(interface{ Unwrap() IntegrationAdapter })
		if !ok {
			break
		}
		a = w.Unwrap()
	}
	var none T
	return none, false
}

// Puller reads records. Without it nothing can be synchronised from the provider.
type Puller interface {
	// Pull returns one page. It keeps no state between calls: the same request
	// must be answerable by another process, tomorrow. It does not retry, sleep
	// or loop; enlace does.
	Pull(ctx context.Context, c *Conn, req PullRequest) (Page, error)
}

// PageStreamer refines Puller for providers where several reads in flight are
// worth it. Without it enlace calls Pull for one page after the other.
type PageStreamer interface {
	Puller
	// Pages yields the pages of one pull as they arrive, from req.Cursor on, and
	// ends after the first error or after the page that is Done. The Next of
	// each page must be a cursor from which Pull or Pages can go on without
	// missing anything, if all pages yielded so far were accepted. Whatever the
	// iterator started has stopped when it returns, also after an early break.
	Pages(ctx context.Context, c *Conn, req PullRequest) iter.Seq2[Page, error]
}

// PullRequest asks for a page.
type PullRequest struct {
	Entity string
	Cursor Cursor    // where to go on; empty for the beginning
	Since  time.Time // lower bound of the change time; only meaningful with an empty Cursor
	Limit  int       // at most this many records in the page; 0 leaves it to the adapter
}

// Page is one answer to a PullRequest.
type Page struct {
	Records []Record
	// Next must be set and differ from the request's cursor while Done is false.
	// Once Done is true it is where the next incremental run begins; an adapter
	// that cannot read by change leaves it empty, and the next run reads everything.
	Next Cursor
	Done bool
	// Total is how many records the whole pull is expected to give, as far as
	// the provider says; 0 if unknown. It is for progress display only.
	Total int
}

// Cursor is a position in a pull. It is opaque to everything but the adapter
// that made it, and it is stored: an adapter that changes its form keeps reading
// the old one, or answers ErrCursorExpired. It holds no secret.
type Cursor string

// Record is one entity instance.
type Record struct {
	Entity   string
	ID       string
	Deleted  bool      // a tombstone: the provider says that the record is gone
	Modified time.Time // when it changed at the provider; zero if unknown
	// Data is the provider's own JSON, byte for byte; nil for a tombstone. Where
	// the provider nests a record in its parent and does not name that in it, one
	// member with the parent's id stands before the rest ([Entity].Parents). It
	// may share memory with its page: copy it (bytes.Clone) to keep one record
	// of many for long.
	Data json.RawMessage
}

// Decode unmarshals the record's data into v.
func (r Record) Decode(v any) error {
	if err := json.Unmarshal(r.Data, v); err != nil {
		return &Error{Op: "decode " + r.Entity, Kind: ErrProtocol, Outcome: OutcomeRan, Err: err}
	}
	return nil
}

// DecodeRecord unmarshals a record's data into a T.
func DecodeRecord[T any](r Record) (T, error) {
	var v T
	err := r.Decode(&v)
	return v, err
}

// Fetcher reads records by id. Without it a webhook that only names a record
// cannot be followed to the record itself.
type Fetcher interface {
	// Fetch returns the records that exist among ids, in any order; one that
	// does not exist any more comes back as a tombstone. len(ids) is at most 100.
	Fetch(ctx context.Context, c *Conn, entity string, ids []string) ([]Record, error)
}

// Pusher writes records. Without it the adapter is read-only.
type Pusher interface {
	// Push carries out one mutation. It does not repeat a request; enlace does,
	// where that is safe.
	Push(ctx context.Context, c *Conn, m Mutation) (Ack, error)
}

// BatchPusher refines Pusher. Without it enlace pushes one by one.
type BatchPusher interface {
	Pusher
	// PushBatch carries out up to MaxBatch mutations. The results are in the
	// order of ms and as many; the error is for a batch that failed as a whole.
	PushBatch(ctx context.Context, c *Conn, ms []Mutation) ([]PushResult, error)
	MaxBatch() int
}

// Mutation is one change to be made at the provider.
type Mutation struct {
	Entity string
	Op     Operation // OpCreate, OpUpdate, OpUpsert or OpDelete
	ID     string    // the provider's id; empty for OpCreate
	Data   any       // marshals to the provider's JSON
	Key    string    // idempotency key, the same for every repetition of this mutation
	// NewKey says that nothing was tried with Key before, so that an adapter that
	// looks for what an earlier try has left need not look.
	NewKey bool
}

// Ack is the provider's answer to a mutation.
type Ack struct {
	ID      string // of the record that was written
	Created bool   // whether an upsert created it
	// Data is the record as it is now, just as Pull would give it, byte for byte, and
	// Modified when it changed; nil if the provider did not answer with it. With it
	// the next pull knows our own change for one.
	Data     json.RawMessage
	Modified time.Time
}

// PushResult is the fate of one mutation of a batch: an Ack, or an error.
type PushResult struct {
	Ack Ack
	Err error
}

// HealthChecker makes one cheap authenticated request. Without it the check
// reads a single record, if the adapter is a Puller.
type HealthChecker interface {
	CheckHealth(ctx context.Context, c *Conn) error
}

// Classifier judges the provider's answers. It is asked before every decision to
// repeat a request. Without it [ClassifyHTTP] judges by the status alone.
type Classifier interface {
	// Classify returns nil for a success, ErrDefault to leave the judgment to
	// ClassifyHTTP, or an *Error whose Kind and Outcome say what happened. body
	// is complete, at most Config.MaxBody long, and not to be kept.
	Classify(status int, h http.Header, body []byte) error
}

// Ref names an integration: a tenant and an id within it. A host with a single
// tenant may leave the tenant empty everywhere.
type Ref struct {
	Tenant string `json:"tenant"`
	ID     string `json:"id"`
}

// String is "tenant/id".
func (r Ref) String() string { return r.Tenant + "/" + r.ID }

// Status is whether an integration can work.
type Status string

// The statuses.
const (
	StatusPending     Status = "pending"      // created, no usable credential yet
	StatusConnected   Status = "connected"    // has a credential that was accepted last time
	StatusNeedsReauth Status = "needs_reauth" // the provider refused the credential; a person must reconnect
	// StatusMisconfigured: the provider does not know the app; every integration of
	// the app has the same trouble.
	StatusMisconfigured Status = "misconfigured"
	// StatusInDoubt: the answer to a refresh was lost, and the refresh token may be
	// spent. The next refresh tells.
	StatusInDoubt Status = "in_doubt"
)

// Integration is one configured account of one tenant at one provider. It holds
// no secret.
type Integration struct {
	Ref
	Provider     string            `json:"provider"`
	Name         string            `json:"name"`
	Settings     map[string]string `json:"settings,omitempty"`
	Features     []Feature         `json:"features,omitempty"` // what the product uses of it; empty is all
	BaseURL      string            `json:"base_url"`           // where it is called; secret parts are left out
	Enabled      bool              `json:"enabled"`
	Status       Status            `json:"status"`
	StatusReason string            `json:"status_reason,omitempty"` // why, in words, if something is wrong
	Version      int64             `json:"version"`                 // grows with each change
	CreatedAt    time.Time         `json:"created_at"`
	UpdatedAt    time.Time         `json:"updated_at"`
}

// encodeID writes 128 bits as 26 digits to the base of 32, which sort as the bits do.
func encodeID(b [16]byte) string {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	var text [26]byte
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = digits[low&31]
		high, low = high>>5, low>>5|high<<59
	}
	return string(text[:])
}

// newID returns 26 lower-case characters: 48 bits of time, so that ids sort by
// creation, and 80 random bits, so that they cannot be guessed.
func newID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails: crypto/rand aborts the program instead
	return encodeID(b)
}

// checkDescriptor finds what is wrong with a descriptor, all of it.
func checkDescriptor(d Descriptor, c Capability) error {
	var faults ValidationError
	if !nameGrammar(d.Name) {
		faults.add("Name", "not a registry key", "a lower-case letter, then lower-case letters, digits and underscores, 64 at most")
	}
	if d.AlternativeURL != "" && !strings.HasPrefix(d.AlternativeURL, "https://") {
		faults.add("AlternativeURL", "not an https URL", "another address of the API, or none")
	}
	if len(d.Auth) == 0 {
		faults.add("Auth", "missing", "at least one AuthScheme")
	}
	if c&(CanPull|CanPush|CanReceiveWebhooks) == 0 {
		faults.add("capabilities", "the adapter can do nothing", "Puller, Pusher or WebhookReceiver")
	}
	seen := map[string]bool{}
	for _, e := range d.Entities {
		if e.Name == "" || e.Name == "all" || seen[e.Name] {
			faults.add("Entities", fmt.Sprintf("name %q is empty, reserved or there twice", e.Name), "unique names other than all")
		}
		seen[e.Name] = true
		if e.Can(OpRead) && !c.Has(CanPull) {
			faults.add("Entities", fmt.Sprintf("%s can be read but the adapter has no Pull", e.Name), "implement Puller")
		}
	}
	for _, e := range d.Entities {
		for _, p := range e.Parents {
			if !seen[p] {
				faults.add("Entities", fmt.Sprintf("parent %q of %s does not exist", p, e.Name), "names of entities")
			}
		}
	}
	checkSettings(d, &faults)
	checkSchemes(d, c, &faults)
	return faults.orNil()
}

func checkSettings(d Descriptor, faults *ValidationError) {
	seen := map[string]bool{}
	for _, f := range d.Settings {
		if seen[f.Name] || slices.ContainsFunc(d.commonSettings(), func(g Field) bool { return g.Name == f.Name }) {
			faults.add("Settings", fmt.Sprintf("%q is a common setting or there twice", f.Name), "another name")
		}
		seen[f.Name] = true
		if _, err := regexp.Compile(f.Pattern); err != nil {
			faults.add("Settings", fmt.Sprintf("the pattern of %q does not compile", f.Name), "a regular expression")
		}
		if problem, allowed := f.check(f.Default); f.Default != "" && problem != "" {
			faults.add("Settings", fmt.Sprintf("the default of %q is %s", f.Name, problem), allowed)
		}
	}
}

func checkSchemes(d Descriptor, c Capability, faults *ValidationError) {
	seen := map[string]bool{}
	for _, scheme := range d.Auth {
		name := scheme.Scheme()
		if seen[name] {
			faults.add("Auth", fmt.Sprintf("the scheme %q is there twice", name), "a Name of its own for each")
		}
		seen[name] = true
		switch s := scheme.(type) {
		case APIKey:
			if !s.Place.valid() {
				faults.add("Auth", fmt.Sprintf("the place of %q", name), "exactly one of Header, Query and Body")
			}
		case SecretURL:
			if _, err := regexp.Compile(s.Pattern); err != nil {
				faults.add("Auth", fmt.Sprintf("the pattern of %q does not compile", name), "a regular expression")
			}
		case CustomAuth:
			if !c.Has(CanAuthenticate) {
				faults.add("Auth", fmt.Sprintf("%q needs code", name), "implement Authenticator")
			}
		}
	}
}

func nameGrammar(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z'
		if !letter && (i == 0 || (r != '_' && (r < '0' || r > '9'))) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
