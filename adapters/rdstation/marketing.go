package rdstation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

var (
	_ enlace.Puller            = (*Marketing)(nil)
	_ enlace.Fetcher           = (*Marketing)(nil)
	_ enlace.BatchPusher       = (*Marketing)(nil)
	_ enlace.WebhookReceiver   = (*Marketing)(nil)
	_ enlace.WebhookRegistrar  = (*Marketing)(nil)
	_ enlace.WebhookChallenger = (*Marketing)(nil)
	_ enlace.WebhookSampler    = (*Marketing)(nil)
	_ enlace.WebhookInspector  = (*Marketing)(nil)
	_ enlace.HealthChecker     = (*Marketing)(nil)
	_ enlace.Authenticator     = (*Marketing)(nil)
	_ enlace.Classifier        = (*Marketing)(nil)
	_ enlace.MetadataDescriber = (*Marketing)(nil)
)

// Marketing is the driver for RD Station Marketing. Its zero value is ready for
// use. Register a pointer and call the typed methods on the same one: it counts
// the requests of each account, to keep within the provider's limits (sheet 6.1):
//
//   - contacts, segmentations and events: 120 a minute each, 500, 240 and 500 with
//     the plan Advanced (setting "plan"). Requests are spread over the minute and wait
//     for their turn.
//   - e-mails, landing pages, pop-ups, forms and each of the analytics: 60 an hour;
//     workflows less. They go at once, as long as the hour's number lasts.
//   - one contact: 24 changes, 24 taggings and 24 looks at the funnel a day, and 120
//     events.
//
// What would have to wait for more than two minutes fails with ErrRateLimited
// instead; [enlace.RetryAfter] says when to come back, and nothing was sent.
//
// Errors of all its methods are [*enlace.Error]s: ErrInvalid (the provider's
// validation; Code is its error type), ErrNotFound, ErrConflict (an e-mail or
// identifier that is taken), ErrForbidden (the plan, or its limit of contacts),
// ErrAuth, ErrRateLimited, ErrUnavailable, ErrProtocol, ErrCanceled.
type Marketing struct {
	pacer pacer
}

// Describe implements enlace.IntegrationAdapter.
func (*Marketing) Describe() enlace.Descriptor {
	const (
		read, create, update, upsert, remove = enlace.OpRead, enlace.OpCreate, enlace.OpUpdate, enlace.OpUpsert, enlace.OpDelete
	)
	entity := func(name, title string, operations ...enlace.Operation) enlace.Entity {
		return enlace.Entity{Name: name, Title: title, Operations: operations}
	}
	converted := entity("converted_contacts", "Contacts by last conversion", read)
	converted.Incremental = enlace.IncrementalUpdates
	return enlace.Descriptor{
		Name: MarketingName, Title: "RD Station Marketing", Version: version, DocsURL: docsURL,
		BaseURL:  "https://api.rd.services/",
		Features: []enlace.Feature{enlace.FeatureEmailAutomation, enlace.FeatureContactsSync, enlace.FeatureWebhooks, enlace.FeatureBulkOperations},
		Auth: []enlace.AuthScheme{
			enlace.OAuth2{Name: SchemeOAuth, Title: "RD Station account",
				AuthURL: "https://api.rd.services/auth/dialog", TokenURL: "https://api.rd.services/auth/token",
				Place: enlace.BearerHeader(), Life: 24 * time.Hour, Refresh: enlace.RefreshAhead},
			enlace.CustomAuth{Name: SchemeAPIKey, Title: "API key (conversions only)", Fields: []enlace.SecretField{
				{Name: "api_key", Label: "API key", Help: "It can send conversions and do nothing else.", Required: true}}},
		},
		Settings: []enlace.Field{
			{Name: "plan", Label: "Plan", Kind: enlace.FieldChoice, Default: "basic", Choices: []string{"light", "basic", "pro", "advanced"},
				Help: "The account's plan, which decides how many requests the provider takes."},
			{Name: "analyticsDays", Label: "Days of analytics", Kind: enlace.FieldInteger, Default: "45", Min: 2, Max: 366,
				Help: "How many days the analytics cover, today included. The plan Pro has 45."},
			overlapSetting("3600"),
		},
		Entities: []enlace.Entity{
			entity("contacts", "Contacts", read, create, update, upsert, remove),
			converted,
			entity("funnels", "Funnel stages", update),
			entity("events", "Events", create),
			entity("fields", "Fields", read, create, update, remove),
			entity("segmentations", "Segmentations", read),
			entity("segmentation_*", "Contacts of a segmentation", read),
			entity("emails", "E-mails", read),
			entity("landing_pages", "Landing pages", read),
			entity("popups", "Pop-ups", read),
			entity("forms", "Forms", read),
			entity("workflows", "Workflows", read),
			entity("campaigns", "Campaigns", read),
			entity("catalog_feeds", "Product catalogues", read, create, update, remove),
			entity("analytics_emails", "E-mail statistics", read),
			entity("analytics_workflow_emails", "Workflow e-mail statistics", read),
			entity("analytics_conversions", "Conversion statistics", read),
			entity("analytics_funnel", "Funnel statistics by day", read),
		},
	}
}

// CheckHealth implements enlace.HealthChecker by GET /marketing/account_info
// (sheet 10). An API key cannot be checked without sending a conversion: the
// error is ErrUnsupported then, and says nothing about the key.
func (m *Marketing) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	_, err := m.Account(ctx, c)
	if e, ok := errors.AsType[*enlace.Error](err); ok && e.Code == codeKeyOnly {
		e.Kind, e.Message = enlace.ErrUnsupported, "an API key cannot be checked without sending a conversion"
	}
	return err
}

// Account is what the provider tells about the account.
type Account struct {
	Name string `json:"name"`
}

// Account reads the account by GET /marketing/account_info (sheet 2.3; no limit of
// its own). Errors: those of every read, see [Marketing].
func (m *Marketing) Account(ctx context.Context, c *enlace.Conn) (Account, error) {
	account, err := receive[Account](ctx, m, c, request{call: get("marketing/account_info", nil)})
	if err == nil && account.Name == "" {
		err = malformed("account info", errNotIt)
	}
	return account, err
}

const conversionsPath = "platform/conversions"

// codeKeyOnly is the code of the error for requests that an API key does not open.
const codeKeyOnly = "API_KEY_SCOPE"

// Authorize implements enlace.Authenticator for API keys. A key goes to the one
// route that takes it, and nowhere else (sheet 1.4).
func (*Marketing) Authorize(r *http.Request, c enlace.Credential) error {
	if !strings.HasSuffix(r.URL.Path, "/"+conversionsPath) {
		return &enlace.Error{Op: "authorize", Kind: enlace.ErrForbidden, Outcome: enlace.OutcomeNotRun, Code: codeKeyOnly,
			Message: "an API key opens SendByKey only; connect by OAuth for everything else"}
	}
	q := r.URL.Query()
	q.Set("api_key", c.Secrets["api_key"].Reveal())
	r.URL.RawQuery = q.Encode()
	return nil
}

// Refresh implements enlace.Authenticator: a refused API key cannot be renewed.
func (*Marketing) Refresh(_ context.Context, _ *http.Client, _ *url.URL, c enlace.Credential) (enlace.Credential, error) {
	return c, &enlace.Error{Provider: MarketingName, Op: "refresh", Kind: enlace.ErrAuth, Outcome: enlace.OutcomeNotRun,
		Message: "the API key is wrong or inactive"}
}

// request is a call together with the counts that it adds to.
type request struct {
	call   enlace.Call
	spends []spend // the first is the one that is waited for
}

// get is a read. Its Op is the path, so that must not hold an id; see named.
func get(path string, query url.Values) enlace.Call {
	return enlace.Call{Path: path, Query: query, Header: jsonHeader()}
}

// named gives a call a name without ids.
func named(call enlace.Call, op string) enlace.Call {
	call.Op = op
	return call
}

func (m *Marketing) send(ctx context.Context, c *enlace.Conn, r request) (enlace.Response, error) {
	if err := m.pacer.wait(ctx, c, r.spends); err != nil {
		return enlace.Response{}, err
	}
	answer, err := c.Send(ctx, r.call)
	m.pacer.note(c, r.spends, err)
	return answer, err
}

// receive sends a request and decodes the answer.
func receive[T any](ctx context.Context, m *Marketing, c *enlace.Conn, r request) (T, error) {
	var out T
	answer, err := m.send(ctx, c, r)
	if err == nil {
		err = decode(r.call.Op, answer.Body, &out)
	}
	return out, err
}

// remove sends a deletion, which may be repeated.
func (m *Marketing) remove(ctx context.Context, c *enlace.Conn, path, op string, spends ...spend) error {
	call := write(http.MethodDelete, path, nil, op)
	call.Idempotent = true
	answer, err := m.send(ctx, c, request{call, spends})
	if err != nil {
		return err
	}
	return checkDeleted(op, answer.Body)
}

func decode(op string, body []byte, out any) error {
	if err := json.Unmarshal(body, out); err != nil {
		return malformed(op, errors.New("the answer is not of the documented form")) // the cause could quote it
	}
	return nil
}
