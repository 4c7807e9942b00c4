package rdstation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// Webhook is a subscription of Marketing (sheet 7.1).
type Webhook struct {
	UUID              string      `json:"uuid,omitempty"`
	EventType         string      `json:"event_type"`  // EventConverted, EventMarkedOpportunity, or crm_deal_created, _updated, _deleted
	EntityType        string      `json:"entity_type"` // CONTACT
	URL               string      `json:"url"`
	Method            string      `json:"http_method"`                 // POST
	EventIdentifiers  []string    `json:"event_identifiers,omitempty"` // of conversions; none is all
	IncludeRelations  []string    `json:"include_relations,omitempty"` // COMPANY, CONTACT_FUNNEL
	Source            string      `json:"source,omitempty"`
	Status            string      `json:"status,omitempty"`
	PlatformAccountID json.Number `json:"platform_account_id,omitempty"` // 18 digits occur
	CreatedAt         string      `json:"created_at,omitempty"`
	UpdatedAt         string      `json:"updated_at,omitempty"`
}

// settable is the part of a subscription that is written.
func (w Webhook) settable() Webhook {
	return Webhook{EventType: w.EventType, EntityType: w.EntityType, URL: w.URL, Method: w.Method,
		EventIdentifiers: w.EventIdentifiers, IncludeRelations: w.IncludeRelations}
}

const webhooksPath = "integrations/webhooks"

// Webhooks reads GET /integrations/webhooks: the subscriptions that this
// application made (sheet 7.1). Types may come in lower case. Errors: those of every
// read, see [Marketing].
func (m *Marketing) Webhooks(ctx context.Context, c *enlace.Conn) ([]Webhook, error) {
	body, err := receive[json.RawMessage](ctx, m, c, request{call: get(webhooksPath, nil)})
	if err != nil {
		return nil, err
	}
	if s := rawjson.NewScanner(body); s.Kind() == rawjson.KindObject {
		body, _ = rawjson.Get(body, "webhooks") // valid, or Classify would have refused it
	}
	var webhooks []Webhook
	err = decode("list webhooks", body, &webhooks)
	return webhooks, err
}

// CreateWebhook subscribes by POST /integrations/webhooks (sheet 7.1). The provider
// calls the address before it answers, and refuses unless that gives 2xx within
// five seconds: ErrInvalid with the code WEBHOOK_TARGET. It is not repeated if it
// may have run.
func (m *Marketing) CreateWebhook(ctx context.Context, c *enlace.Conn, w Webhook) (Webhook, error) {
	created, err := receive[Webhook](ctx, m, c, request{call: write(http.MethodPost, webhooksPath, w.settable(), "create webhook")})
	return created, m.targetError(ctx, c, err)
}

// UpdateWebhook replaces a subscription by PUT /integrations/webhooks/{uuid} (sheet
// 7.1): all of it but the identifiers and relations is required. ErrNotFound; and
// as [Marketing.CreateWebhook].
func (m *Marketing) UpdateWebhook(ctx context.Context, c *enlace.Conn, uuid string, w Webhook) (Webhook, error) {
	if _, err := pathID(uuid); err != nil {
		return Webhook{}, err
	}
	call := write(http.MethodPut, webhooksPath+"/"+uuid, w.settable(), "update webhook")
	call.Idempotent = true
	updated, err := receive[Webhook](ctx, m, c, request{call: call})
	return updated, m.targetError(ctx, c, err)
}

// DeleteWebhook unsubscribes by DELETE /integrations/webhooks/{uuid} (sheet 7.1).
// ErrNotFound.
func (m *Marketing) DeleteWebhook(ctx context.Context, c *enlace.Conn, uuid string) error {
	if _, err := pathID(uuid); err != nil {
		return err
	}
	return m.remove(ctx, c, webhooksPath+"/"+uuid, "delete webhook")
}

// targetError tells a refused target from a refused token: both are a 401 (sheet Q9).
func (m *Marketing) targetError(ctx context.Context, c *enlace.Conn, err error) error {
	if !m.notTheToken(ctx, c, err) {
		return err
	}
	return &enlace.Error{Op: "create webhook", Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeRan, Status: http.StatusUnauthorized,
		Code: "WEBHOOK_TARGET", Message: "the address did not answer the provider's test with 2xx within five seconds"}
}

// EnsureWebhook implements enlace.WebhookRegistrar: conversions and opportunities,
// with the contact's company and funnel. The secret becomes part of the address.
func (m *Marketing) EnsureWebhook(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret) error {
	address, err := withToken(target, secret)
	if err != nil {
		return err
	}
	existing, err := m.Webhooks(ctx, c)
	if err != nil {
		return err
	}
	for _, eventType := range []string{EventConverted, EventMarkedOpportunity} {
		wanted := Webhook{EventType: eventType, EntityType: "CONTACT", URL: address, Method: http.MethodPost,
			IncludeRelations: []string{"COMPANY", "CONTACT_FUNNEL"}}
		if err := m.ensure(ctx, c, existing, target, wanted); err != nil {
			return err
		}
	}
	return nil
}

// ensure makes one subscription, or makes it what is wanted.
func (m *Marketing) ensure(ctx context.Context, c *enlace.Conn, existing []Webhook, target string, wanted Webhook) error {
	for _, w := range existing {
		if !strings.EqualFold(w.EventType, wanted.EventType) || !sameTarget(w.URL, target) {
			continue
		}
		if w.URL == wanted.URL && (w.Status == "" || w.Status == "active") {
			return nil
		}
		_, err := m.UpdateWebhook(ctx, c, w.UUID, wanted)
		return err
	}
	_, err := m.CreateWebhook(ctx, c, wanted)
	return err
}

// RemoveWebhook implements enlace.WebhookRegistrar. Call it before the account is
// disconnected: nobody else sees these subscriptions (sheet Q11).
func (m *Marketing) RemoveWebhook(ctx context.Context, c *enlace.Conn, target string) error {
	existing, err := m.Webhooks(ctx, c)
	if err != nil {
		return err
	}
	for _, w := range existing {
		if !sameTarget(w.URL, target) {
			continue
		}
		if err := m.DeleteWebhook(ctx, c, w.UUID); err != nil && !errors.Is(err, enlace.ErrNotFound) {
			return err
		}
	}
	return nil
}

// withToken adds the secret to an address.
func withToken(target string, secret enlace.Secret) (string, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || secret.IsZero() {
		return "", invalid("ensure webhook", "the target is no address, or there is no secret")
	}
	q := u.Query()
	q.Set(tokenParameter, secret.Reveal())
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// sameTarget says whether a registered address is that target with some token.
func sameTarget(address, target string) bool {
	a, errA := url.Parse(address)
	t, errT := url.Parse(target)
	if errA != nil || errT != nil {
		return false
	}
	for _, u := range []*url.URL{a, t} {
		q := u.Query()
		q.Del(tokenParameter)
		u.RawQuery = q.Encode()
	}
	return a.String() == t.String()
}

// fingerprint tells whether a subscription was made with a secret, where the
// provider does not give the secret back. It is too short to find the secret by.
func fingerprint(secret enlace.Secret) string {
	sum := sha256.Sum256([]byte("rdstation webhook " + secret.Reveal()))
	return hex.EncodeToString(sum[:4])
}
