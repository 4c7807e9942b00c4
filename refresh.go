package enlace

import (
	"context"
	"errors"
	"hash/crc32"
	"time"

	"github.com/enlace-go/enlace/internal/redact"
)

const (
	// refreshTimeout bounds a refresh with the wait for others that are at it.
	refreshTimeout = 30 * time.Second
	// refreshPause is how long a refresh that failed is not tried again, if the
	// provider does not ask for more; maxRefreshPause is the most it may ask for.
	refreshPause    = 5 * time.Second
	maxRefreshPause = time.Hour
	// softMargin bounds how early a token is replaced ahead of its expiry.
	softMargin = 5 * time.Minute
)

// refreshable says whether a refused token can be replaced without a person.
func (c *Conn) refreshable() bool {
	switch scheme := c.scheme.(type) {
	case OAuth2:
		t := c.credential.Load().Token
		return c.stored && t != nil && !t.Refresh.IsZero()
	case ClientCredentials:
		return true
	case CustomAuth:
		_, ok := As[Authenticator](c.adapter)
		return ok && (c.stored || scheme.Login)
	default:
		return false
	}
}

// reauthorize replaces the token that the provider has just refused.
func (c *Conn) reauthorize(ctx context.Context) error {
	sent, _ := ctx.Value(sentTokenKey{}).(*sentToken)
	if sent == nil {
		return c.refresh(ctx, Secret{})
	}
	return c.refresh(ctx, sent.access)
}

// refreshIfExpired replaces a token that is known to be dead, or missing where
// none needs a person to get one. One that is about to die is replaced in the
// background, where the scheme wants that.
func (c *Conn) refreshIfExpired(ctx context.Context) error {
	if !c.refreshable() || isProbe(ctx) && c.sender.Reauthorize == nil {
		return nil
	}
	policy := refreshPolicy(c.scheme)
	t := c.credential.Load().Token
	switch {
	case t == nil:
		if custom, ok := c.scheme.(CustomAuth); ok && !custom.Login {
			return nil
		}
		return c.refresh(ctx, Secret{})
	case t.Expiry.IsZero() || policy == RefreshOnRefusal:
		return nil
	case !time.Now().Before(t.Expiry):
		return c.refresh(ctx, t.Access)
	case policy == RefreshAhead && c.stored && time.Now().After(softExpiry(c.integration.Ref, *t)):
		c.service.startRefresh(ctx, c, t.Access) // nobody waits: the old one is still good
	}
	return nil
}

func refreshPolicy(s AuthScheme) RefreshPolicy {
	switch s := s.(type) {
	case OAuth2:
		return s.Refresh
	case ClientCredentials:
		return s.Refresh
	default:
		return RefreshOnDemand
	}
}

// softExpiry is when a token may be replaced ahead: a tenth of its life before
// its end, five minutes at most, and a fifth more or less by integration, so that
// accounts connected together do not refresh together.
func softExpiry(ref Ref, t Token) time.Time {
	margin := softMargin
	if !t.Issued.IsZero() {
		margin = min(margin, t.Expiry.Sub(t.Issued)/10)
	}
	spread := 0.8 + 0.4*float64(crc32.ChecksumIEEE([]byte(ref.String())))/(1<<32)
	return t.Expiry.Add(-time.Duration(float64(margin) * spread))
}

// refresh makes sure that the credential in use is another than the rejected
// one. Whoever comes while a refresh is under way, in this process or another,
// gets its result instead of spending the refresh token again. The refresh goes
// on when the caller leaves: what it spends must be saved.
func (c *Conn) refresh(ctx context.Context, rejected Secret) error {
	if !c.stored {
		return c.fetchUnsaved(ctx)
	}
	for range 2 { // a flight that began before may bring the very token that was refused
		f := c.service.startRefresh(ctx, c, rejected)
		select {
		case <-f.done:
		case <-ctx.Done():
			return &Error{Provider: c.provider, Op: "refresh", Kind: ErrCanceled, Outcome: OutcomeNotRun, Err: ctx.Err()}
		}
		if f.err != nil {
			return f.err
		}
		c.credential.Store(&f.credential)
		if rejected.IsZero() || f.credential.Token == nil || !f.credential.Token.Access.Equal(rejected) {
			return nil
		}
	}
	return &Error{Provider: c.provider, Op: "refresh", Kind: ErrAuth, Outcome: OutcomeNotRun, Message: "the fresh token was refused too"}
}

// fetchUnsaved gets a token for a credential that is not in the safe. Nothing
// that could be lost is spent: only grants without a refresh token come here.
func (c *Conn) fetchUnsaved(ctx context.Context) error {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	next, err := c.fetch(ctx, *c.credential.Load())
	if err == nil {
		c.credential.Store(&next)
	}
	return err
}

// flight is a refresh under way, for everybody in this process who needs it.
type flight struct {
	done       chan struct{} // closed when the rest is set
	credential Credential
	err        error
	refused    Secret    // the token that the failure is about
	until      time.Time // a failure is the answer until then
}

// rejects says whether a failure is the answer for this token too.
func (f *flight) rejects(t Secret) bool {
	return f.refused.Equal(t) || (f.refused.IsZero() && t.IsZero())
}

// startRefresh joins the refresh of the connection's credential that is under
// way, or starts it. One that has just failed is not tried again at once.
func (s *Service) startRefresh(ctx context.Context, c *Conn, rejected Secret) *flight {
	key := place(c.integration)
	s.flightsMu.Lock()
	defer s.flightsMu.Unlock()
	if f, ok := s.flights[key]; ok {
		select {
		case <-f.done:
			if f.err != nil && time.Now().Before(f.until) && f.rejects(rejected) {
				return f
			}
		default:
			return f
		}
	}
	f := &flight{done: make(chan struct{}), until: time.Now().Add(refreshPause)}
	s.flights[key] = f
	s.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		f.credential, f.err = c.refreshStored(ctx, rejected)
		c.afterRefresh(ctx, f.err)
		s.flightsMu.Lock()
		defer s.flightsMu.Unlock()
		if f.err == nil {
			delete(s.flights, key)
		} else {
			f.refused, f.until = rejected, time.Now().Add(min(max(refreshPause, RetryAfter(f.err)), maxRefreshPause))
		}
		close(f.done)
	})
	return f
}

// refreshStored replaces the stored credential under the store's lease, unless it
// is already a better one than the rejected.
func (c *Conn) refreshStored(ctx context.Context, rejected Secret) (Credential, error) {
	var result Credential
	err := c.service.safe.Update(ctx, place(c.integration), func(ctx context.Context, cur Credential, interrupted bool) (Credential, bool, error) {
		result = cur
		if c.fresh(cur, rejected) {
			return cur, false, nil
		}
		if err := c.mayRefresh(ctx); err != nil {
			return cur, false, err
		}
		next, err := c.fetch(ctx, cur)
		if err == nil {
			result = next
			return next, true, nil
		}
		if e, ok := errors.AsType[*Error](err); ok && interrupted && errors.Is(e.Kind, ErrAuth) {
			e.Code, e.Message = "interrupted", "an earlier refresh was interrupted before its result was saved"
		}
		return cur, false, err
	})
	if errors.Is(err, ErrAuth) {
		// Whoever was faster in spite of the lease has saved something better.
		if cur, readErr := c.service.safe.reload(ctx, place(c.integration)); readErr == nil && c.fresh(cur, rejected) {
			return cur, nil
		}
	}
	return result, err
}

// fresh says whether a stored credential is better than the rejected one.
func (c *Conn) fresh(cur Credential, rejected Secret) bool {
	if cur.Token == nil {
		return false
	}
	if rejected.IsZero() {
		if custom, ok := c.scheme.(CustomAuth); ok && !custom.Login {
			return false
		}
	} else if cur.Token.Access.Equal(rejected) {
		return false
	}
	return cur.Token.Expiry.IsZero() || time.Now().Before(cur.Token.Expiry)
}

// mayRefresh refuses where only a person can help: asking again and again with a
// token that the provider has refused gets accounts blocked.
func (c *Conn) mayRefresh(ctx context.Context) error {
	in, err := c.service.Get(ctx, c.integration.Ref)
	if err != nil {
		return err
	}
	if in.Status == StatusNeedsReauth {
		return &Error{Provider: c.provider, Op: "refresh", Kind: ErrAuth, Outcome: OutcomeNotRun, Message: in.StatusReason}
	}
	return nil
}

// afterRefresh tells the observer, and the integration's status.
func (c *Conn) afterRefresh(ctx context.Context, err error) {
	c.service.observe(ctx, CredentialChanged{Ref: c.integration.Ref, Provider: c.provider, Action: "refresh", Kind: KindLabel(err)})
	c.auditRefresh(ctx, err)
	status, reason, known := refreshStatus(err)
	if !known {
		return
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Message != "" {
		reason = redact.Text(c.redactor().String(e.Message))
	}
	c.setStatus(ctx, status, reason)
}

// auditRefresh writes the end of a refresh into the audit log. The refresh itself
// is noted in the store's lease, which names a holder that died inside.
func (c *Conn) auditRefresh(ctx context.Context, err error) {
	ctx = asSystem(ctx, "refresh")
	entry := audit("credential.refresh", c.integration.Ref)
	if err != nil {
		c.service.auditFailure(ctx, entry, err)
		return
	}
	entry.Result = AuditDone
	if err := c.service.RecordAudit(ctx, entry); err != nil {
		c.Logger().ErrorContext(ctx, "refresh not audited", "error", err)
	}
}

// noteAccepted and noteRefused keep the integration's status in step with what
// the provider says to ordinary requests, for credentials that are never refreshed too.
func (c *Conn) noteAccepted(ctx context.Context) {
	if c.stored && c.integration.Status == StatusNeedsReauth && c.healed.CompareAndSwap(false, true) {
		c.setStatus(ctx, StatusConnected, "")
	}
}

func (c *Conn) noteRefused(ctx context.Context, err error) {
	// A fresh token that is refused too may be the provider's passing trouble, and
	// the next refresh tells.
	if !c.stored || !errors.Is(err, ErrAuth) || errors.Is(err, ErrTokenExpired) {
		return
	}
	reason := "the provider does not accept the credential"
	if e, ok := errors.AsType[*Error](err); ok && e.Message != "" {
		reason = e.Message
	}
	c.setStatus(ctx, StatusNeedsReauth, reason)
}

// setStatus stores a status, if it is another. By the version that was read: if
// somebody reconnects meanwhile, theirs counts.
func (c *Conn) setStatus(ctx context.Context, status Status, reason string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	in, err := c.service.Get(ctx, c.integration.Ref)
	if err != nil || in.Status == status || (status == StatusConnected && in.Status == StatusPending) {
		return
	}
	in.Status, in.StatusReason = status, reason
	entry := audit("integration.status", in.Ref, "status")
	entry.Target = string(status)
	err = c.service.audited(asSystem(ctx, "provider answer"), entry, func(ctx context.Context) error {
		changed := in
		return c.service.replace(ctx, &changed)
	})
	if err != nil {
		c.Logger().Warn("integration status not saved", "status", string(status), "error", err)
	}
}

// refreshStatus is what a refresh says about the integration; nothing if it could
// not be tried, or was clearly put off.
func refreshStatus(err error) (status Status, reason string, known bool) {
	e, _ := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return StatusConnected, "", true
	case errors.Is(err, ErrMisconfigured):
		return StatusMisconfigured, "the provider does not know the app; check its client id and secret", true
	case errors.Is(err, ErrAuth):
		return StatusNeedsReauth, "the provider refused to refresh the token", true
	case e != nil && e.Op == "refresh" && e.Outcome == OutcomeUnknown && (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrProtocol)):
		return StatusInDoubt, "the answer to a refresh was lost; the next one tells", true
	default:
		return "", "", false
	}
}

// Close waits until every refresh that is under way has been saved, or ctx ends.
// Call it before the store is closed.
func (s *Service) Close(ctx context.Context) error {
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		s.background.Wait()
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return &Error{Op: "close", Kind: ErrCanceled, Err: ctx.Err()}
	}
}
