package enlace

import (
	"context"
	"sync"
	"time"
)

// TenantLimits bounds what one tenant may have and do. 0 is no limit.
type TenantLimits struct {
	Integrations int // that may exist at the same time; Create refuses one more with ErrLimit
	Syncs        int // runs at the same time in one process; more wait for their turn
}

// limitsOf asks the host for a tenant's limits.
func (s *Service) limitsOf(tenant string) TenantLimits {
	if s.config.TenantLimits == nil {
		return TenantLimits{}
	}
	return s.config.TenantLimits(tenant)
}

// checkRoom refuses one integration more than the tenant may have. It runs inside
// an audited change: nobody else creates one of this tenant meanwhile.
func (s *Service) checkRoom(ctx context.Context, tenant string) error {
	limit := s.limitsOf(tenant).Integrations
	if limit <= 0 {
		return nil
	}
	counts, err := s.store.IntegrationCounts(ctx, tenant)
	if err != nil {
		return wrap("count integrations", ErrStore, err)
	}
	total := 0
	for _, c := range counts {
		total += c.Total
	}
	if total >= limit {
		return &Error{Op: "create integration", Kind: ErrLimit, Outcome: OutcomeNotRun, Message: "the tenant has as many integrations as it may have"}
	}
	return nil
}

// tenantTurns lets so many runs of a tenant go at the same time.
type tenantTurns struct {
	mu    sync.Mutex
	count map[string]int
	left  chan struct{} // closed when a run ends; nil while nobody waits
}

// takeTurn waits until the tenant may have one run more.
func (s *Service) takeTurn(ctx context.Context, tenant string) (back func(), err error) {
	limit := s.limitsOf(tenant).Syncs
	if limit <= 0 {
		return func() {}, nil
	}
	t := &s.tenantTurns
	for {
		t.mu.Lock()
		if t.count == nil {
			t.count = map[string]int{}
		}
		if t.count[tenant] < limit {
			t.count[tenant]++
			t.mu.Unlock()
			return sync.OnceFunc(func() { t.giveBack(tenant) }), nil
		}
		if t.left == nil {
			t.left = make(chan struct{})
		}
		left := t.left
		t.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
			return nil, &Error{Op: "wait for a turn", Kind: ErrCanceled, Outcome: OutcomeNotRun, Err: ctx.Err()}
		}
	}
}

func (t *tenantTurns) giveBack(tenant string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[tenant]--; t.count[tenant] <= 0 {
		delete(t.count, tenant)
	}
	if t.left != nil {
		close(t.left)
		t.left = nil
	}
}

// SubjectRecord is a record about a person: by the provider's id, by the host's, or both.
type SubjectRecord struct {
	Integration string // empty for all of the tenant's
	Entity      string
	ID          string // the provider's
	LocalID     string // the host's
}

// TenantStore erases what belongs to a tenant or to a person.
type TenantStore interface {
	// EraseTenant removes every row of the tenant, whatever it is for, in one
	// commit. It returns how many rows of what it removed.
	EraseTenant(ctx context.Context, tenant string) (map[string]int, error)
	// EraseSubject removes every row of the tenant that is about the record: its
	// state and links, before-images, changes to be sent, conflicts, and deliveries that
	// are known to tell of it, in one commit. It returns how many rows of what it removed.
	EraseSubject(ctx context.Context, tenant string, r SubjectRecord) (map[string]int, error)
	// KnownEntities returns the names of the entities of which the integration has
	// checkpoints or states of records, in their order.
	KnownEntities(ctx context.Context, ref Ref) ([]string, error)
}

// ErasureReport says what an erasure has removed.
type ErasureReport struct {
	Tenant string         `json:"tenant"`
	At     time.Time      `json:"at"`
	Rows   map[string]int `json:"rows"` // how many rows of what; what had none is left out
	// AuditHead is the end of the tenant's audit log before it went, if all of the
	// tenant was erased: proof of what there was, without its content.
	AuditHead AuditHead `json:"audit_head,omitzero"`
	// Left says in words what is not erased, and where to turn to.
	Left []string `json:"left"`
}

// EraseTenant removes everything that the store holds of a tenant: integrations,
// credentials, checkpoints, runs, deliveries, journals, mappings, health, metrics,
// flags and the audit log. It cannot be taken back. Disable the integrations and let running
// work end first: what writes at the same time may leave rows, which a second call
// removes. The erasure itself stands in the audit log of the empty tenant, with
// the head of the log that went. Errors: ErrInvalid (the empty tenant, which holds
// what concerns all), ErrStore.
func (s *Service) EraseTenant(ctx context.Context, tenant string) (ErasureReport, error) {
	if tenant == "" {
		return ErasureReport{}, &ValidationError{Faults: []Fault{{Field: "tenant", Problem: "empty", Allowed: "a tenant; delete the integrations of a host without tenants one by one"}}}
	}
	report := ErasureReport{Tenant: tenant, Left: []string{
		"what the host's sinks and handlers have stored: erase it in the host's own tables",
		"what the providers hold: delete it there",
		"backups of the store, logs and metrics kept elsewhere: let them run out"}}
	err := s.audited(ctx, AuditEntry{Action: "tenant.erase", Target: tenant}, func(ctx context.Context) (err error) {
		if report.AuditHead, err = s.store.AuditHead(ctx, tenant); err != nil {
			return err
		}
		report.Rows, err = s.store.EraseTenant(ctx, tenant)
		return err
	})
	if err != nil {
		return ErasureReport{}, wrap("erase tenant", ErrStore, err)
	}
	s.safe.forgetAll()
	report.At = time.Now().UTC()
	return report, nil
}

// EraseSubject removes what the store holds about a person (LGPD, article 18), who
// is known by records: links and digests, before-images of writes, changes that
// wait to be sent, conflicts, and webhook deliveries that are known to tell of those
// records. It cannot be taken back, and an erased before-image cannot be undone any more.
// Errors: [*ValidationError], ErrStore.
func (s *Service) EraseSubject(ctx context.Context, tenant string, records ...SubjectRecord) (ErasureReport, error) {
	var faults ValidationError
	if len(records) == 0 || len(records) > 1000 {
		faults.add("records", "none or too many", "1 to 1,000 records")
	}
	for _, r := range records {
		if r.Entity == "" || r.ID == "" && r.LocalID == "" {
			faults.add("records", "a record without entity or id", "an entity and the provider's or the host's id")
			break
		}
	}
	if err := faults.orNil(); err != nil {
		return ErasureReport{}, err
	}
	report := ErasureReport{Tenant: tenant, Rows: map[string]int{}, Left: []string{
		"what the host's sinks and handlers have stored: erase it in the host's own tables",
		"what the providers hold: delete it there; the next run would bring the record back",
		"deliveries that were not read yet: call again once they are done",
		"backups of the store: let them run out"}}
	// The ids are not written into the log: it would keep what is to be erased.
	err := s.audited(ctx, AuditEntry{Tenant: tenant, Action: "subject.erase"}, func(ctx context.Context) error {
		for _, r := range records {
			rows, err := s.store.EraseSubject(ctx, tenant, r)
			if err != nil {
				return err
			}
			for what, n := range rows {
				report.Rows[what] += n
			}
		}
		return nil
	})
	if err != nil {
		return ErasureReport{}, wrap("erase subject", ErrStore, err)
	}
	report.At = time.Now().UTC()
	return report, nil
}
