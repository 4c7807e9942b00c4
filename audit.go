package enlace

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Actor is who does something, from where. The host puts it into the context
// with [WithActor]; enlace writes it into the audit log.
type Actor struct {
	ID      string `json:"id"`                // the host's id of a user or a program; empty if the host told nothing
	Address string `json:"address,omitempty"` // where the request came from, usually an IP address
	Request string `json:"request,omitempty"` // the host's id of the request; it stands in log lines too
}

type actorKey struct{}

// WithActor returns a context that carries who acts. Every change made with it is
// written into the audit log under that name. Values longer than 200 bytes are cut.
func WithActor(ctx context.Context, a Actor) context.Context {
	a.ID, a.Address, a.Request = cutText(a.ID, 200), cutText(a.Address, 200), cutText(a.Request, 200)
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns who acts, the zero Actor if nobody said.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// asSystem names a background loop as the actor, unless somebody acts.
func asSystem(ctx context.Context, loop string) context.Context {
	if ActorOf(ctx).ID != "" {
		return ctx
	}
	return WithActor(ctx, Actor{ID: "enlace:" + loop})
}

func cutText(s string, most int) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// AuditOutcome is what became of an operation.
type AuditOutcome string

// The outcomes of audited operations.
const (
	// AuditBegun announces a change that cannot be written in one transaction with
	// its entry, because it calls a provider or waits for a lease. Another entry with the
	// same action tells the end; without one the process died in between.
	AuditBegun   AuditOutcome = "begun"
	AuditDone    AuditOutcome = "done"
	AuditFailed  AuditOutcome = "failed"  // tried and not done; Kind says why
	AuditRefused AuditOutcome = "refused" // not allowed, by the host or by enlace
)

// AuditEntry is one line of the audit log. It holds names and never values: what
// changed is told by the names of its fields.
type AuditEntry struct {
	Tenant string       `json:"tenant"`
	Seq    int64        `json:"seq"` // from 1 without gaps in the tenant's chain
	At     time.Time    `json:"at"`
	Actor  Actor        `json:"actor"`
	Action string       `json:"action"` // subject and verb: "integration.update", "flag.set"
	Target string       `json:"target,omitempty"`
	Fields []string     `json:"fields,omitempty"` // names of what changed
	Result AuditOutcome `json:"result"`
	Kind   string       `json:"kind,omitempty"` // KindLabel of the failure
	// Integration is the id of the integration it is about; empty if it is about none.
	Integration string `json:"integration,omitempty"`
	// Previous and Hash chain the entries: Hash is the SHA-256 of Previous and of
	// everything above, and Previous is the Hash of the entry before.
	Previous AuditHash `json:"previous"`
	Hash     AuditHash `json:"hash"`
}

// AuditHead is the end of a tenant's chain. Whoever keeps a head elsewhere can
// prove later that nothing before it was changed or removed; see
// [Service.VerifyAudit]. The zero Seq is an empty chain.
type AuditHead struct {
	Tenant string    `json:"tenant"`
	Seq    int64     `json:"seq"`
	Hash   AuditHash `json:"hash"`
}

// AuditStore keeps the audit log: one chain of entries for each tenant, and its head.
type AuditStore interface {
	// AuditHead returns the head of a tenant's chain. Inside Transact it also
	// keeps every other transaction from appending to that chain until this one
	// has ended, where the store lets several write at the same time.
	AuditHead(ctx context.Context, tenant string) (AuditHead, error)

	// AppendAudit stores the entry and makes it the head, in one commit. It
	// returns ErrConflict if the head is not the entry's predecessor.
	AppendAudit(ctx context.Context, e AuditEntry) error

	// AuditEntries returns the entries that match q, newest first or as q says,
	// and the cursor of the next page, which is empty after the last one.
	AuditEntries(ctx context.Context, q AuditQuery) ([]AuditEntry, string, error)

	// AuditHeads returns the heads of all tenants' chains in order of the tenants,
	// up to limit of them (0 is 100, more than 1,000 is 1,000), and the cursor of
	// the next page.
	AuditHeads(ctx context.Context, cursor string, limit int) ([]AuditHead, string, error)
}

// AuditQuery selects entries of one tenant. Empty fields select everything.
type AuditQuery struct {
	Tenant      string
	Actor       string // the actor's id
	Action      string // the whole action, or its beginning when it ends in a point: "integration."
	Integration string
	Target      string
	Request     string
	Result      AuditOutcome
	From, To    time.Time // From is included, To is not
	After       int64     // only entries with a greater Seq; 0 for all
	OldestFirst bool      // in the order of the chain
	Cursor      string    // from an earlier answer; empty for the first page
	Limit       int       // page size; 0 is 100, more than 1,000 is 1,000
}

// audit begins an entry about an integration. Fill in more where there is more to say.
func audit(action string, ref Ref, fields ...string) AuditEntry {
	return AuditEntry{Tenant: ref.Tenant, Integration: ref.ID, Action: action, Fields: fields}
}

// audited carries out a change together with its audit entry: fn and the entry
// are one transaction. fn gets the context of that transaction and must use it
// for every store call; it makes no network call and no credential update. It may
// run again if the transaction could not be committed. If fn fails, nothing of it
// stays, and an entry says what was tried.
func (s *Service) audited(ctx context.Context, e AuditEntry, fn func(ctx context.Context) error) error {
	e.Result = AuditDone
	err := s.chain(ctx, e, fn)
	if failed, ok := errors.AsType[*changeError](err); ok {
		s.auditFailure(ctx, e, failed.cause)
		return failed.cause
	}
	return err
}

// changeError is a change that failed, in distinction from its entry.
type changeError struct{ cause error }

func (e *changeError) Error() string { return e.cause.Error() }

// chain appends the entry in the transaction of the change.
func (s *Service) chain(ctx context.Context, e AuditEntry, change func(ctx context.Context) error) error {
	var stored AuditEntry
	var err error
	for range 5 { // the first entries of a chain may meet, where the store lets several write
		err = s.store.Transact(ctx, func(ctx context.Context) error {
			// First of all: whoever changes something of this tenant waits here and not
			// between two rows, and what change reads no other audited call changes.
			if _, err := s.store.AuditHead(ctx, e.Tenant); err != nil {
				return err
			}
			if err := change(ctx); err != nil {
				return &changeError{err}
			}
			var err error
			stored, err = s.appendAudit(ctx, e)
			return err
		})
		if err == nil {
			s.observe(ctx, AuditRecorded{Entry: stored})
			return nil
		}
		if _, failed := errors.AsType[*changeError](err); failed || !errors.Is(err, ErrConflict) {
			break
		}
	}
	return wrap("audit "+e.Action, ErrStore, err)
}

// announce writes the entry that comes before a change which cannot be one
// transaction with it. A change that cannot be announced is not made.
func (s *Service) announce(ctx context.Context, e AuditEntry) error {
	e.Result = AuditBegun
	return s.RecordAudit(ctx, e)
}

// auditFailure writes what was tried in vain. The caller gets its own error
// whatever happens here.
func (s *Service) auditFailure(ctx context.Context, e AuditEntry, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	e.Result, e.Kind = AuditFailed, KindLabel(cause)
	if err := s.RecordAudit(ctx, e); err != nil {
		s.logger.ErrorContext(ctx, "failed operation not audited", "action", e.Action, "tenant", e.Tenant, "integration", e.Integration,
			"kind", e.Kind, "error", err)
	}
}

// RecordAudit writes an entry of the host's own into the audit log, for instance
// that it has refused somebody. The actor is the context's unless the entry names
// one; Seq, At and the hashes are set here. Use Transact of the store to write it
// together with a change. Errors: ErrInvalid (no action, or an entry that is too
// long), ErrStore.
func (s *Service) RecordAudit(ctx context.Context, e AuditEntry) error {
	if err := e.check(); err != nil {
		return err
	}
	return s.chain(ctx, e, func(context.Context) error { return nil })
}

// check bounds what an entry may hold.
func (e AuditEntry) check() error {
	var faults ValidationError
	if e.Action == "" || len(e.Action) > 100 {
		faults.add("Action", "empty or too long", "subject and verb, such as integration.update, 100 bytes at most")
	}
	if len(e.Target) > 500 || len(e.Integration) > 200 || len(e.Fields) > 200 {
		faults.add("Target", "too long", "a target of 500 bytes, an integration of 200 bytes and 200 fields at most")
	}
	if !slices.Contains([]AuditOutcome{AuditBegun, AuditDone, AuditFailed, AuditRefused}, e.Result) {
		faults.add("Result", "unknown", "begun, done, failed or refused")
	}
	return faults.orNil()
}

// appendAudit puts the entry behind the head of its chain. It runs inside a
// transaction, which keeps the head where it is.
func (s *Service) appendAudit(ctx context.Context, e AuditEntry) (AuditEntry, error) {
	head, err := s.store.AuditHead(ctx, e.Tenant)
	if err != nil {
		return e, err
	}
	if e.Actor == (Actor{}) {
		e.Actor = ActorOf(ctx)
	}
	e = e.after(head, time.Now())
	return e, s.store.AppendAudit(ctx, e)
}

// Audit returns a page of a tenant's audit log, newest first, and the cursor of
// the next one, which is empty after the last. Errors: ErrInvalid for a bad
// cursor, ErrStore.
func (s *Service) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, string, error) {
	entries, next, err := s.store.AuditEntries(ctx, q)
	return entries, next, wrap("audit", ErrStore, err)
}

// AuditHead returns the end of a tenant's chain, for keeping it elsewhere.
func (s *Service) AuditHead(ctx context.Context, tenant string) (AuditHead, error) {
	head, err := s.store.AuditHead(ctx, tenant)
	return head, wrap("audit head", ErrStore, err)
}

// auditInterval is how often Run writes the heads of the chains into the log.
const auditInterval = time.Minute

// exportAuditHeads writes the head of every chain that has moved since the last
// time into the log, so that whoever keeps logs elsewhere can prove what was cut off.
func (s *Service) exportAuditHeads(ctx context.Context) error {
	cursor := ""
	for {
		heads, next, err := s.store.AuditHeads(ctx, cursor, 1000)
		if err != nil {
			return err
		}
		for _, h := range heads {
			if s.exportedHeads[h.Tenant] != h.Seq {
				s.logger.InfoContext(ctx, "audit head", "tenant", h.Tenant, "seq", h.Seq, "hash", h.Hash.String())
				s.exportedHeads[h.Tenant] = h.Seq
			}
		}
		if next == "" {
			return nil
		}
		cursor = next
	}
}
