package enlace

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
)

// reachTimeout bounds the request with which CheckWebhook looks for its own address.
const reachTimeout = 10 * time.Second

// WebhookInspector finds out what the provider has registered. Without it only what
// enlace has done about it is known.
type WebhookInspector interface {
	// WebhookRegistered says whether the provider delivers to target. It only reads.
	// ErrUnsupported means that the account gives no way to find out.
	WebhookRegistered(ctx context.Context, c *Conn, target string) (bool, error)
}

// CheckWebhook finds out whether the provider's deliveries would arrive: whether there is
// a public address and a secret, what was registered, what the provider says is
// registered ([WebhookInspector]), whether [Service.WebhookHandler] answers at the address
// as seen from here, and when the last delivery came. It makes a GET request to the
// address, if Config.Egress allows it, and changes nothing.
//
// Errors: ErrNotFound, ErrUnknownProvider, ErrUnsupported (the adapter takes no webhooks),
// ErrStore. What is wrong is in the report.
func (s *Service) CheckWebhook(ctx context.Context, ref Ref) (WebhookReport, error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return WebhookReport{}, err
	}
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil {
		return WebhookReport{}, err
	}
	receiver, ok := As[WebhookReceiver](adapter)
	if !ok {
		return WebhookReport{}, &Error{Provider: in.Provider, Op: "check webhook", Kind: ErrUnsupported, Outcome: OutcomeNotRun, Message: "the adapter takes no webhooks"}
	}
	c := &webhookCheck{service: s, integration: in, adapter: adapter, verifier: receiver.Verifier()}
	c.report.Target, _ = s.WebhookTarget(ref)
	for _, step := range []struct {
		name string
		find func(context.Context) WebhookStep
	}{{"target", c.target}, {"secret", c.secret}, {"registration", c.registration}, {"provider", c.provider}, {"reach", c.reach}, {"deliveries", c.deliveries}} {
		began := time.Now()
		found := step.find(ctx)
		found.Name, found.Elapsed = step.name, time.Since(began)
		c.report.Steps = append(c.report.Steps, found)
	}
	c.report.OK = c.err == nil && !slices.ContainsFunc(c.report.Steps, func(step WebhookStep) bool { return step.Failed })
	return c.report, c.err
}

// webhookCheck is one look at the way in.
type webhookCheck struct {
	service     *Service
	integration Integration
	adapter     IntegrationAdapter
	verifier    Verifier
	report      WebhookReport
	err         error // of the store
}

func passed(reason, detail string) WebhookStep { return WebhookStep{Reason: reason, Detail: detail} }
func failed(reason, detail string) WebhookStep {
	return WebhookStep{Failed: true, Reason: reason, Detail: detail}
}
func skipped(reason, detail string) WebhookStep {
	return WebhookStep{Skipped: true, Reason: reason, Detail: detail}
}

// storeFailed is a step that cannot be made, and with it the whole check.
func (c *webhookCheck) storeFailed(op string, err error) WebhookStep {
	c.err = errors.Join(c.err, wrap(op, ErrStore, err))
	return failed("store", "")
}

func (c *webhookCheck) target(context.Context) WebhookStep {
	switch {
	case c.report.Target == "":
		return failed("no_public_url", "")
	case !strings.HasPrefix(c.report.Target, "https://"):
		return failed("not_https", c.report.Target)
	case !c.integration.Enabled:
		return failed("disabled", c.report.Target)
	default:
		return passed("", c.report.Target)
	}
}

func (c *webhookCheck) secret(ctx context.Context) WebhookStep {
	if _, none := c.verifier.(Unverified); none {
		if slices.Contains(c.service.webhooks.AllowUnverified, c.integration.Provider) {
			return passed("proof_waived", "")
		}
		return failed("proof_none", "")
	}
	secrets, err := c.service.webhookSecrets(ctx, c.integration)
	if err != nil {
		return c.storeFailed("webhook secrets", err)
	}
	if len(secrets) == 0 {
		return failed(proofSecret, "")
	}
	detail := strconv.Itoa(len(secrets))
	if p, ok := c.verifier.(prover); ok {
		detail += ", " + p.means()
	}
	return passed("secrets", detail)
}

// registration tells what EnsureWebhook has done.
func (c *webhookCheck) registration(ctx context.Context) WebhookStep {
	cred, err := c.service.safe.reload(ctx, webhookPlace(c.integration.Ref))
	if err != nil && !errors.Is(err, ErrNoCredential) {
		return c.storeFailed("webhook registration", err)
	}
	registered := cred.Attributes[targetAttribute]
	switch {
	case registered == "" && !implements[WebhookRegistrar](c.adapter):
		return skipped("by_hand", "")
	case registered == "":
		return failed("not_registered", "")
	case cred.Attributes[registeredAttribute] != cred.Attributes[countAttribute]:
		return failed("half_registered", "")
	case c.report.Target != "" && registered != c.report.Target:
		return failed("other_target", registered)
	default:
		return passed("registered", cred.Attributes[sinceAttribute])
	}
}

// provider asks the provider what it has.
func (c *webhookCheck) provider(ctx context.Context) WebhookStep {
	inspector, ok := As[WebhookInspector](c.adapter)
	if !ok || c.report.Target == "" {
		return skipped("no_list", "")
	}
	conn, err := c.service.Conn(ctx, c.integration.Ref)
	if err != nil {
		return failed("kind", KindLabel(err))
	}
	there, err := inspector.WebhookRegistered(ctx, conn, c.report.Target)
	switch {
	case errors.Is(err, ErrUnsupported):
		return skipped("no_list", "")
	case err != nil:
		return failed("kind", KindLabel(conn.failure("list webhooks", err)))
	case !there:
		return failed("not_at_provider", "")
	default:
		return passed("at_provider", "")
	}
}

// reach asks for the address as anybody can. The handler takes POST only and says so, which
// hardly anything else does that may stand at the address.
func (c *webhookCheck) reach(ctx context.Context) WebhookStep {
	u, err := url.Parse(c.report.Target)
	if c.report.Target == "" || err != nil {
		return skipped("no_public_url", "")
	}
	if c.service.checkEgress(u) != nil {
		return skipped("blocked", "")
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return skipped("no_public_url", "")
	}
	r.Header.Set("User-Agent", "enlace")
	client := http.Client{Transport: c.service.base, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	switch {
	case errors.Is(err, guard.ErrBlocked):
		return skipped("blocked", "")
	case err != nil:
		return failed("unreachable", lineFault(err))
	}
	_ = answer.Body.Close()
	return c.judge(answer)
}

// judge says what stands at the address.
func (c *webhookCheck) judge(answer *http.Response) WebhookStep {
	status := strconv.Itoa(answer.StatusCode)
	_, listed := c.integration.Settings[allowSetting]
	switch {
	case answer.StatusCode == http.StatusMethodNotAllowed && strings.Contains(answer.Header.Get("Allow"), http.MethodPost):
		return passed("answers", status)
	case answer.StatusCode/100 == 2 && implements[WebhookChallenger](c.adapter):
		return passed("answers", status)
	case answer.StatusCode == http.StatusForbidden && listed:
		return passed("allow_list", status)
	case answer.StatusCode == http.StatusTooManyRequests:
		return skipped("busy", status)
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return failed("login", status)
	case answer.StatusCode == http.StatusNotFound:
		return failed("not_mounted", status)
	case answer.StatusCode/100 == 3:
		return failed("redirect", status)
	default:
		return failed("other_server", status)
	}
}

// lineFault names what kept a request from being answered, without its address.
func lineFault(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "dns"
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "timeout"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "tls"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "tls"
	}
	return "connection"
}

// deliveries tells when the last one came.
func (c *webhookCheck) deliveries(ctx context.Context) WebhookStep {
	list, _, err := c.service.Deliveries(ctx, DeliveryQuery{Tenant: c.integration.Tenant, Integration: c.integration.ID, Limit: 1})
	switch {
	case err != nil:
		return c.storeFailed("deliveries", err)
	case len(list) == 0:
		return skipped("none_yet", "")
	default:
		return passed("last_delivery", list[0].ReceivedAt.UTC().Format(time.RFC3339))
	}
}
