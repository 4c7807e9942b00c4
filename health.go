package enlace

import (
	"context"
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
}
