package enlace

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

const (
	probeTimeout   = 10 * time.Second   // of a request that a health check makes
	slowAnswer     = 5 * time.Second    // an answer that takes longer is a warning
	expiryWarning  = 7 * 24 * time.Hour // before a credential ends that only a person can renew
	syncLook       = 5 * time.Minute    // how often the last run is looked at
	webhookMemory  = 24 * time.Hour     // how long a missing delivery is held against it
	runAbandoned   = 15 * time.Minute   // a run that says nothing for so long has been cut off
	evidenceProbe  = "probe"
	evidenceReal   = "traffic"
	evidenceStored = "state"
)

// diagnosis is what one examination of an integration found.
type diagnosis struct {
	checks   []HealthCheck
	took     time.Duration
	evidence string
	// definite says that the finding needs no second look: a refused credential
	// does not come back by itself, a time-out may.
	definite bool
	retryAt  time.Time // not to be asked again before
	failed   error     // the examination itself could not be made
}

func (v *diagnosis) add(c HealthCheck) { v.checks = append(v.checks, c) }

// worst is the check that decides, nil if all are well.
func (v *diagnosis) worst() *HealthCheck {
	var worst *HealthCheck
	for i := range v.checks {
		c := &v.checks[i]
		if c.Status == HealthHealthy || c.Status == HealthUnknown {
			continue
		}
		if worst == nil || severity(c.Status) > severity(worst.Status) ||
			severity(c.Status) == severity(worst.Status) && causeRank(c.Cause) < causeRank(worst.Cause) {
			worst = c
		}
	}
	return worst
}

func severity(s HealthStatus) int {
	return slices.Index([]HealthStatus{HealthUnknown, HealthHealthy, HealthWarning, HealthError}, s)
}

func causeRank(c HealthCause) int {
	return slices.Index([]HealthCause{CauseDisabled, CauseConfiguration, CauseNotConnected, CauseReconnect, CauseProviderDown, CauseContract,
		CauseRateLimited, CauseExpiring, CauseScopes, CauseSyncFailing, CauseSyncBehind, CauseWebhookSilent, CauseSlow}, c)
}

// examine looks at an integration: at what is stored, then at what real requests
// have shown since the given time, and asks the provider only if they showed
// nothing. before is what the last examination found.
func (s *Service) examine(ctx context.Context, in Integration, since time.Time, before []HealthCheck) diagnosis {
	v := diagnosis{evidence: evidenceStored}
	if !in.Enabled || !s.flagOn(ctx, FlagIntegrations, FlagTarget{Tenant: in.Tenant, Integration: in.ID, Provider: in.Provider}) {
		v.definite = true
		v.add(HealthCheck{Name: CheckReachability, Status: HealthUnknown, Cause: CauseDisabled, Detail: "switched off; switch it on to use it"})
		return v
	}
	switch in.Status {
	case StatusPending:
		v.definite = true
		v.add(HealthCheck{Name: CheckAuthentication, Status: HealthWarning, Cause: CauseNotConnected, Detail: "not connected yet: " +
			orDefault(in.StatusReason, "enter its credential") + "; connect it"})
		return v
	case StatusNeedsReauth:
		// Not asked: who asks again and again with a refused credential gets blocked.
		v.definite = true
		v.add(HealthCheck{Name: CheckAuthentication, Status: HealthError, Cause: CauseReconnect, Detail: orDefault(in.StatusReason,
			"the provider does not accept the credential") + "; reconnect the integration"})
		s.lookAtRuns(ctx, in, before, &v)
		return v
	}
	if !s.judgeTraffic(in, since, &v) {
		s.probe(ctx, in, &v)
	}
	if v.failed != nil {
		return v
	}
	if missing, ok := strings.CutPrefix(in.StatusReason, "not granted: "); ok {
		v.add(HealthCheck{Name: CheckScopes, Status: HealthWarning, Cause: CauseScopes, Detail: "not granted: " + missing + "; reconnect and grant it"})
	}
	s.lookAtWebhooks(in, &v)
	s.lookAtRuns(ctx, in, before, &v)
	return v
}

// lookAtWebhooks warns of deliveries that do not come, as far as this process has
// found changes that no delivery told of.
func (s *Service) lookAtWebhooks(in Integration, v *diagnosis) {
	series := s.meter.lookup(in.Ref)
	if series == nil || series.traffic.missedAt.Load() == 0 && series.traffic.heardAt.Load() == 0 {
		return
	}
	missed, heard := time.Unix(0, series.traffic.missedAt.Load()), time.Unix(0, series.traffic.heardAt.Load())
	if missed.After(heard) && time.Since(missed) < webhookMemory {
		v.add(HealthCheck{Name: CheckWebhooks, Status: HealthWarning, Cause: CauseWebhookSilent,
			Detail: "changes were found at " + missed.UTC().Format(time.RFC3339) + " that no delivery told of; check the webhook at the provider"})
		return
	}
	v.add(HealthCheck{Name: CheckWebhooks, Status: HealthHealthy, Detail: "last delivery at " + heard.UTC().Format(time.RFC3339)})
}

// judgeTraffic goes by what the last real requests showed, and says whether that is enough.
func (s *Service) judgeTraffic(in Integration, since time.Time, v *diagnosis) bool {
	ok, failed, kind, took := s.meter.trafficOf(in.Ref)
	switch {
	case ok.After(since) && ok.After(failed):
		v.evidence, v.took = evidenceReal, took
		v.succeeded()
		return true
	case failed.After(since.Add(-2*time.Since(since))) && failed.After(ok) && kind == "rate_limited":
		// Asking for health's sake would spend what work is waiting for. Work that
		// was refused comes at a slower pace, so the refusal counts for longer.
		v.evidence, v.took = evidenceReal, took
		v.judge(ErrRateLimited)
		return true
	default:
		return false
	}
}

// probe makes one request for the check itself.
func (s *Service) probe(ctx context.Context, in Integration, v *diagnosis) {
	conn, err := s.open(ctx, in)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrStore) || errors.Is(err, ErrKeyUnavailable) {
			v.failed = err
			return
		}
		v.judge(err)
		return
	}
	conn.sender.Attempts = 1 // the next check is the repetition
	if _, harmless := conn.scheme.(ClientCredentials); !harmless && conn.refreshable() {
		// Providers block apps that refresh on a timer, and a refresh token is no
		// price for knowing that all is well.
		conn.sender.Reauthorize = nil
		if t := conn.credential.Load().Token; t == nil || !t.Expiry.IsZero() && !time.Now().Before(t.Expiry) {
			v.dormant()
			return
		}
	}
	asked, cancel := context.WithTimeout(transport.WithLane(context.WithValue(ctx, probeKey{}, true), transport.Backfill), probeTimeout)
	defer cancel()
	started := time.Now()
	err = conn.checkHealth(asked)
	v.took = time.Since(started)
	v.evidence = evidenceProbe
	switch {
	case ctx.Err() != nil || errors.Is(err, ErrStore):
		v.failed = err
	case errors.Is(err, errNothingToDo):
		v.evidence, v.took = evidenceStored, 0
		v.add(HealthCheck{Name: CheckReachability, Status: HealthUnknown, Detail: "the adapter has no request to check with"})
	case errors.Is(err, ErrTokenExpired) && conn.refreshable():
		v.dormant()
	case err != nil && asked.Err() != nil:
		v.judge(&Error{Kind: ErrUnavailable, Message: "no answer within " + probeTimeout.String()})
	case err != nil:
		v.judge(err)
	default:
		v.succeeded()
	}
	if v.failed == nil {
		conn.judgeExpiry(v)
	}
}

// judgeExpiry warns of a credential that ends soon and that no program can renew.
func (c *Conn) judgeExpiry(v *diagnosis) {
	t := c.credential.Load().Token
	if t == nil || t.Expiry.IsZero() || c.refreshable() || time.Until(t.Expiry) > expiryWarning {
		return
	}
	v.add(HealthCheck{Name: CheckAuthentication, Status: HealthWarning, Cause: CauseExpiring, Until: t.Expiry.UTC(),
		Detail: "the credential ends at " + t.Expiry.UTC().Format(time.RFC3339) + " and cannot be renewed by itself; reconnect before that"})
}

// dormant enters that the access token has ended and that nobody has needed another since.
func (v *diagnosis) dormant() {
	v.evidence = evidenceStored
	v.add(HealthCheck{Name: CheckReachability, Status: HealthUnknown, Detail: "not asked: the access token has ended, and the next use renews it"})
}

// succeeded enters that the provider answered and accepted the credential.
func (v *diagnosis) succeeded() {
	v.add(HealthCheck{Name: CheckReachability, Status: HealthHealthy})
	v.add(HealthCheck{Name: CheckAuthentication, Status: HealthHealthy})
	if v.took > slowAnswer {
		v.add(HealthCheck{Name: CheckReachability, Status: HealthWarning, Cause: CauseSlow,
			Detail: "the provider takes " + v.took.Round(100*time.Millisecond).String() + " to answer; if it stays so, ask the provider"})
	}
}

// judge enters what an error says about the integration.
func (v *diagnosis) judge(err error) {
	message := ""
	if e, ok := errors.AsType[*Error](err); ok && e.Message != "" {
		message = " (" + e.Message + ")"
	}
	finding := func(name string, status HealthStatus, cause HealthCause, detail string) {
		v.add(HealthCheck{Name: name, Status: status, Cause: cause, Detail: detail})
	}
	switch {
	case errors.Is(err, ErrAuth):
		v.definite = !errors.Is(err, ErrTokenExpired)
		finding(CheckAuthentication, HealthError, CauseReconnect, "the provider does not accept the credential"+message+"; reconnect the integration")
	case errors.Is(err, ErrNoCredential):
		v.definite = true
		finding(CheckAuthentication, HealthWarning, CauseNotConnected, "there is no credential; connect the integration")
	case errors.Is(err, ErrKey):
		v.definite = true
		finding(CheckAuthentication, HealthError, CauseConfiguration, "the stored credential cannot be opened; check Config.Keys, or connect again if the address has changed")
	case errors.Is(err, ErrMisconfigured):
		v.definite = true
		finding(CheckAuthentication, HealthError, CauseConfiguration, "the provider does not know the app"+message+"; check its client id and secret")
	case errors.Is(err, ErrForbidden):
		v.definite = true
		finding(CheckReachability, HealthHealthy, CauseNone, "")
		finding(CheckScopes, HealthWarning, CauseScopes, "the account may not do this"+message+"; check its permissions, scopes and plan")
	case errors.Is(err, ErrRateLimited):
		wait := RetryAfter(err)
		detail := "the provider's limit is reached; it passes by itself"
		check := HealthCheck{Name: CheckQuota, Status: HealthWarning, Cause: CauseRateLimited, Detail: detail}
		if wait > 0 {
			v.retryAt = time.Now().Add(wait)
			check.Until = v.retryAt.UTC()
			check.Detail = "the provider's limit is reached; wait until " + check.Until.Format(time.RFC3339)
		}
		finding(CheckReachability, HealthHealthy, CauseNone, "")
		v.add(check)
	case errors.Is(err, ErrUnavailable):
		finding(CheckReachability, HealthError, CauseProviderDown, "the provider or the way to it is out of order"+message+"; it is asked again, nothing to do unless it lasts")
	case errors.Is(err, ErrProtocol), errors.Is(err, ErrTooLarge):
		finding(CheckReachability, HealthError, CauseContract, "the provider answers something else than it promises"+message+"; look for a newer version of the adapter")
	case errors.Is(err, ErrUnknownProvider):
		v.definite = true
		finding(CheckReachability, HealthError, CauseConfiguration, "no adapter is registered for this provider; register it")
	case errors.Is(err, ErrMoved):
		v.definite = true
		finding(CheckReachability, HealthError, CauseConfiguration, "the account answers at another address; update its address and connect again")
	case errors.Is(err, ErrBlocked):
		v.definite = true
		finding(CheckReachability, HealthError, CauseConfiguration, "the address is not allowed; see Config.Egress")
	default: // ErrInvalid, ErrNotFound, ErrUnsupported and what an adapter makes up
		v.definite = true
		finding(CheckReachability, HealthError, CauseConfiguration, "the settings do not lead to a working account ("+KindLabel(err)+"); check them")
	}
}

// lookAtRuns judges the last run, every few minutes only; in between the last
// finding stands.
func (s *Service) lookAtRuns(ctx context.Context, in Integration, before []HealthCheck, v *diagnosis) {
	i := slices.IndexFunc(before, func(c HealthCheck) bool { return c.Name == CheckSync })
	if i >= 0 && time.Now().Before(before[i].Until) {
		v.add(before[i])
		return
	}
	check := HealthCheck{Name: CheckSync, Status: HealthUnknown, Until: time.Now().Add(syncLook).UTC()}
	runs, _, err := s.store.Runs(ctx, RunQuery{Tenant: in.Tenant, Integration: in.ID, Limit: 1})
	if err == nil && len(runs) > 0 {
		run := runs[0]
		check.Status = HealthHealthy
		check.Detail = "last run " + string(run.State) + " at " + run.UpdatedAt.UTC().Format(time.RFC3339)
		switch {
		case run.State == RunFailed:
			check.Status, check.Cause = HealthWarning, CauseSyncFailing
			check.Detail = "the last run failed (" + run.Kind + ") at " + run.UpdatedAt.UTC().Format(time.RFC3339) + "; look at run " + run.ID
		case run.State == RunRunning && time.Since(run.UpdatedAt) > runAbandoned:
			check.Status, check.Cause = HealthWarning, CauseSyncBehind
			check.Detail = "run " + run.ID + " was cut off at " + run.UpdatedAt.UTC().Format(time.RFC3339) + "; the next run goes on where it stopped"
		}
	}
	v.add(check)
}

// after is the health that follows from h and what an examination found. Status
// changes only for a definite finding, the first one, or one that was made twice in a row.
func (h Health) after(v diagnosis, now time.Time) Health {
	next := h
	next.CheckedAt, next.ResponseTime, next.Evidence, next.Checks = now, v.took, v.evidence, v.checks
	found, cause, summary := HealthHealthy, CauseNone, ""
	if worst := v.worst(); worst != nil {
		found, cause, summary = worst.Status, worst.Cause, worst.Detail
	} else if len(v.checks) > 0 && v.checks[0].Cause == CauseDisabled {
		found, cause, summary = HealthUnknown, CauseDisabled, v.checks[0].Detail
	}
	if found == HealthHealthy || found == HealthWarning {
		next.LastOK = now
	}
	if found == h.Status {
		next.Cause, next.Summary, next.Pending, next.PendingChecks = cause, summary, "", 0
		return next
	}
	if h.Pending == found {
		next.PendingChecks++
	} else {
		next.Pending, next.PendingChecks = found, 1
	}
	recovered := severity(found) < severity(h.Status) && definiteCause(h.Cause)
	if !v.definite && !recovered && h.Status != HealthUnknown && h.Status != "" && next.PendingChecks < 2 {
		return next
	}
	next.Status, next.Cause, next.Summary, next.Since = found, cause, summary, now
	next.Pending, next.PendingChecks = "", 0
	return next
}

// definiteCause says whether a cause ends for good with the first success.
func definiteCause(c HealthCause) bool {
	return !slices.Contains([]HealthCause{CauseProviderDown, CauseContract, CauseRateLimited, CauseSlow}, c)
}
