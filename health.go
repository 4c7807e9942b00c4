package enlace

import (
	"context"
	"errors"
	"time"
)

// HealthStatus is how well an integration works.
type HealthStatus string

// The statuses of health, best first.
const (
	HealthHealthy HealthStatus = "healthy"
	HealthWarning HealthStatus = "warning" // works, and needs attention before it does not
	HealthError   HealthStatus = "error"   // does not work
	HealthUnknown HealthStatus = "unknown" // not checked yet, or switched off
)

// HealthCause is why an integration is not healthy: a stable word for programs.
// [Health.Summary] says it to people.
type HealthCause string

// The causes, worst first: when several apply, the first of them is told.
const (
	CauseNone          HealthCause = ""
	CauseDisabled      HealthCause = "disabled"       // switched off by somebody
	CauseConfiguration HealthCause = "configuration"  // settings, registration or keys: see Summary
	CauseNotConnected  HealthCause = "not_connected"  // it has no credential yet
	CauseReconnect     HealthCause = "reconnect"      // the provider refuses the credential
	CauseProviderDown  HealthCause = "provider_down"  // the provider or the way to it is out of order
	CauseContract      HealthCause = "contract"       // the provider answers something else than it promises
	CauseRateLimited   HealthCause = "rate_limited"   // the provider asks to wait
	CauseExpiring      HealthCause = "expiring"       // the credential ends soon, and only a person can renew it
	CauseScopes        HealthCause = "scopes"         // a permission is missing
	CauseSyncFailing   HealthCause = "sync_failing"   // the last run failed
	CauseSyncBehind    HealthCause = "sync_behind"    // no run has come to its end for too long
	CauseWebhookSilent HealthCause = "webhook_silent" // deliveries have stopped or are refused
	CauseSlow          HealthCause = "slow"           // it answers, but too slowly
)

// The names of the checks.
const (
	CheckReachability   = "reachability"
	CheckAuthentication = "authentication"
	CheckScopes         = "scopes"
	CheckQuota          = "quota"
	CheckWebhooks       = "webhooks"
	CheckSync           = "sync"
)

// Health is how an integration is.
type Health struct {
	Ref      Ref          `json:"integration"`
	Provider string       `json:"provider"`
	Status   HealthStatus `json:"status"`
	Cause    HealthCause  `json:"cause,omitempty"`
	// Summary is the cause in words, with what to do about it. It holds no secret
	// and no payload.
	Summary string `json:"summary,omitempty"`
	// ResponseTime is how long the provider took to answer last; 0 if it did not.
	ResponseTime time.Duration `json:"response_time"`
	CheckedAt    time.Time     `json:"checked_at,omitzero"`
	Since        time.Time     `json:"since,omitzero"`   // when Status became what it is
	LastOK       time.Time     `json:"last_ok,omitzero"` // the last time it was not in error
	NextCheck    time.Time     `json:"next_check,omitzero"`
	// Evidence is what the last check went by: "probe", a request made for it,
	// "traffic", requests that were made anyway, or "state", what is stored.
	Evidence string        `json:"evidence,omitempty"`
	Checks   []HealthCheck `json:"checks,omitempty"`
	// Pending is what the last checks say although Status does not follow yet: a
	// passing fault must show twice before it counts, and so must its end.
	Pending       HealthStatus `json:"pending,omitempty"`
	PendingChecks int          `json:"pending_checks,omitempty"`
	// Maintenance says that a maintenance window is open: nobody is alerted.
	Maintenance bool `json:"maintenance,omitempty"`
	// Alerted is the status that Config.OnHealthChange has last been told.
	Alerted HealthStatus `json:"alerted,omitempty"`
}

// HealthCheck is one of the things that were looked at.
type HealthCheck struct {
	Name   string       `json:"name"`
	Status HealthStatus `json:"status"`
	Cause  HealthCause  `json:"cause,omitempty"`
	Detail string       `json:"detail,omitempty"` // what was found and what to do, in words
	Until  time.Time    `json:"until,omitzero"`   // when it passes or expires, if that is known
}

// HealthChange is a status that has changed.
type HealthChange struct {
	Ref      Ref          `json:"integration"`
	Provider string       `json:"provider"`
	At       time.Time    `json:"at"`
	From     HealthStatus `json:"from"`
	To       HealthStatus `json:"to"`
	Cause    HealthCause  `json:"cause,omitempty"`
	Summary  string       `json:"summary,omitempty"`
}

// Maintenance is a time during which changes of health alert nobody. Checks go on,
// and what they find is shown.
type Maintenance struct {
	Tenant      string    `json:"tenant"`
	ID          string    `json:"id"`
	Provider    string    `json:"provider,omitempty"`    // only this provider's integrations
	Integration string    `json:"integration,omitempty"` // only this one
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	Reason      string    `json:"reason,omitempty"`
}

// covers says whether the window is open for an integration at that time.
func (m Maintenance) covers(ref Ref, provider string, at time.Time) bool {
	return m.Tenant == ref.Tenant && (m.Provider == "" || m.Provider == provider) && (m.Integration == "" || m.Integration == ref.ID) &&
		!at.Before(m.From) && at.Before(m.Until)
}

// HealthQuery selects the health of one tenant's integrations.
type HealthQuery struct {
	Tenant   string
	Provider string       // only this provider's; empty for all
	Status   HealthStatus // only these; empty for all
	Cursor   string       // from an earlier answer; empty for the first page
	Limit    int          // page size; 0 is 100, more than 1,000 is 1,000
}

// HealthChangeQuery selects changes of health of one tenant, newest first.
type HealthChangeQuery struct {
	Tenant      string
	Integration string    // only this one's; empty for all
	From, To    time.Time // From is included, To is not; zero is no bound
	Cursor      string
	Limit       int // page size; 0 is 100, more than 1,000 is 1,000
}

// HealthStore keeps how integrations are, what has changed, and maintenance windows.
type HealthStore interface {
	// EveryIntegration returns up to limit integrations of all tenants in order of
	// (tenant, id) and behind after, whose zero value is the beginning. It is for
	// background work, which belongs to no tenant.
	EveryIntegration(ctx context.Context, after Ref, limit int) ([]Integration, error)

	// SaveHealth inserts or replaces the health of each integration, and appends
	// the changes, in one commit.
	SaveHealth(ctx context.Context, states []Health, changes []HealthChange) error
	// Health returns what was saved last, or ErrNotFound.
	Health(ctx context.Context, ref Ref) (Health, error)
	// HealthList returns the health of the integrations that match q, in order of
	// their ids, and the cursor of the next page.
	HealthList(ctx context.Context, q HealthQuery) ([]Health, string, error)
	// HealthChanges returns the changes that match q, newest first, and the cursor
	// of the next page.
	HealthChanges(ctx context.Context, q HealthChangeQuery) ([]HealthChange, string, error)
	// DeleteHealth removes the health of an integration; its changes stay.
	DeleteHealth(ctx context.Context, ref Ref) error
	// DeleteHealthChanges removes up to limit changes of all tenants that are
	// older than before, and returns how many.
	DeleteHealthChanges(ctx context.Context, before time.Time, limit int) (int, error)

	// SaveMaintenance inserts or replaces a window.
	SaveMaintenance(ctx context.Context, m Maintenance) error
	// DeleteMaintenance removes a window; it returns ErrNotFound if there is none.
	DeleteMaintenance(ctx context.Context, tenant, id string) error
	// Maintenances returns a tenant's windows that end after the given time, in
	// order of their end, 1,000 at most.
	Maintenances(ctx context.Context, tenant string, endAfter time.Time) ([]Maintenance, error)
	// EveryMaintenance returns the windows of all tenants that end after the given
	// time, 10,000 at most.
	EveryMaintenance(ctx context.Context, endAfter time.Time) ([]Maintenance, error)
}

// Health returns how an integration is, as the monitor in Run has found it last.
// If nobody keeps watch, so that nothing younger than three intervals is stored, it
// is checked now. Errors: ErrNotFound, ErrStore, ErrCanceled.
func (s *Service) Health(ctx context.Context, ref Ref) (Health, error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return Health{}, err
	}
	h, err := s.store.Health(ctx, ref)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Health{}, wrap("health", ErrStore, err)
	}
	fresh := 3 * max(s.config.HealthInterval, defaultHealthInterval)
	if err == nil && (time.Since(h.CheckedAt) < fresh || time.Now().Before(h.NextCheck)) && in.UpdatedAt.Before(h.CheckedAt) {
		return h, nil
	}
	return s.checkHealthNow(ctx, in)
}

// CheckHealth checks an integration now and stores what it finds, whatever the
// monitor is doing. What it finds counts at once. Errors: as Health.
func (s *Service) CheckHealth(ctx context.Context, ref Ref) (Health, error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return Health{}, err
	}
	return s.checkHealthNow(ctx, in)
}

func (s *Service) checkHealthNow(ctx context.Context, in Integration) (Health, error) {
	h, err := s.store.Health(ctx, in.Ref)
	if errors.Is(err, ErrNotFound) {
		h, err = Health{Ref: in.Ref, Provider: in.Provider, Status: HealthUnknown, Alerted: HealthHealthy}, nil
	}
	if err != nil {
		return Health{}, wrap("health", ErrStore, err)
	}
	now := time.Now().UTC()
	v := s.examine(ctx, in, now, nil)
	if v.failed != nil {
		return Health{}, wrap("check health", ErrStore, v.failed)
	}
	v.definite = true // somebody asked, and looks at it
	before := h.Status
	h = h.after(v, now)
	var changes []HealthChange
	if h.Status != before {
		changes = []HealthChange{{Ref: in.Ref, Provider: in.Provider, At: now, From: before, To: h.Status, Cause: h.Cause, Summary: h.Summary}}
	}
	if err := s.store.SaveHealth(ctx, []Health{h}, changes); err != nil {
		return Health{}, wrap("save health", ErrStore, err)
	}
	s.observe(ctx, HealthChecked{Ref: in.Ref, Provider: in.Provider, Status: h.Status, Cause: h.Cause, Evidence: v.evidence, Duration: v.took})
	for _, c := range changes {
		s.observe(ctx, HealthChanged{Change: c})
	}
	return h, nil
}

// HealthList returns a page of a tenant's integrations with their health, in order
// of their ids, and the cursor of the next one. One that was never checked is not
// among them. Errors: ErrInvalid for a bad cursor, ErrStore.
func (s *Service) HealthList(ctx context.Context, q HealthQuery) ([]Health, string, error) {
	list, next, err := s.store.HealthList(ctx, q)
	return list, next, wrap("health list", ErrStore, err)
}

// HealthChanges returns a page of what has changed, newest first, and the cursor of
// the next one. Changes are kept for two years. How often checks succeeded, and how
// long answers took, is in [Service.Metrics]. Errors: ErrInvalid for a bad cursor, ErrStore.
func (s *Service) HealthChanges(ctx context.Context, q HealthChangeQuery) ([]HealthChange, string, error) {
	list, next, err := s.store.HealthChanges(ctx, q)
	return list, next, wrap("health changes", ErrStore, err)
}

// SetMaintenance opens a maintenance window, or changes the one with m.ID, which is
// given to a new one. The monitor goes by it within half a minute. Errors:
// [*ValidationError], ErrStore.
func (s *Service) SetMaintenance(ctx context.Context, m Maintenance) (Maintenance, error) {
	var faults ValidationError
	if m.From.IsZero() {
		m.From = time.Now()
	}
	if !m.From.Before(m.Until) || m.Until.Sub(m.From) > 366*24*time.Hour {
		faults.add("Until", "not within a year after From", "the time when the window ends")
	}
	if len(m.Reason) > 500 || len(m.ID) > 100 {
		faults.add("Reason", "too long", "500 bytes at most")
	}
	if err := faults.orNil(); err != nil {
		return Maintenance{}, err
	}
	if m.ID == "" {
		m.ID = newID(time.Now())
	}
	m.From, m.Until = m.From.UTC().Truncate(time.Microsecond), m.Until.UTC().Truncate(time.Microsecond)
	entry := AuditEntry{Tenant: m.Tenant, Integration: m.Integration, Action: "maintenance.set", Target: m.ID}
	return m, s.audited(ctx, entry, func(ctx context.Context) error {
		return wrap("save maintenance", ErrStore, s.store.SaveMaintenance(ctx, m))
	})
}

// EndMaintenance removes a maintenance window. Errors: ErrNotFound, ErrStore.
func (s *Service) EndMaintenance(ctx context.Context, tenant, id string) error {
	return s.audited(ctx, AuditEntry{Tenant: tenant, Action: "maintenance.end", Target: id}, func(ctx context.Context) error {
		return wrap("delete maintenance", ErrStore, s.store.DeleteMaintenance(ctx, tenant, id))
	})
}

// Maintenances returns a tenant's maintenance windows that are open or still to
// come, in order of their end, 1,000 at most. Errors: ErrStore.
func (s *Service) Maintenances(ctx context.Context, tenant string) ([]Maintenance, error) {
	list, err := s.store.Maintenances(ctx, tenant, time.Now())
	return list, wrap("maintenance", ErrStore, err)
}
