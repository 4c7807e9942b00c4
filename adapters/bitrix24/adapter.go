// Package bitrix24 is the adapter for the CRM of Bitrix24, in the cloud and self-hosted.
//
// It reads contacts, companies, deals, leads, and any other kind of CRM item by
// its number ("dynamic_128" for a smart process), with their user fields, all or
// by change. A large list is read by several batches of id ranges at a time,
// within the portal's published limits.
//
// It writes them too, one by one or many in a batch, and no write that may have
// happened is sent again; what is created with a key is found again by it. See
// [Adapter.Push]. [Contact], [Company], [Deal] and [Lead] are there for Go programs:
//
//	id, _, err := bitrix24.Create(ctx, conn, bitrix24.Deal{Title: "Order 77", Opportunity: "150.50"}, "order-77")
//	deal, err := bitrix24.Get[bitrix24.Deal](ctx, conn, id)
//	for deal, err := range bitrix24.List[bitrix24.Deal](ctx, conn, map[string]any{"stageId": "NEW"}) { … }
//
// An account is connected by an inbound webhook (its URL is a password) or by
// OAuth 2.0. Only an OAuth application can subscribe to events: ordinary ones
// ([Subscribe]), which are lost if they are not taken at once, and offline ones
// ([SubscribeOffline], [ProcessOffline]), which wait. An application that hears of
// its installation proves it with [VerifyInstall]; [InstallHandler] does so for a web server.
//
// The published limits are those of every plan but Enterprise, whose portals allow
// more than is used here.
//
// Deleted records cannot be seen by reading: events tell of them, and Fetch. An
// update within one second of the moment a run began is read by the next run, which
// begins five minutes earlier than the last one (setting "overlap").
//
// docs/bitrix24.md is the guide for operators; it also says what "sheet" and its
// sections are.
package bitrix24

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

var (
	_ enlace.IntegrationAdapter = Adapter{}
	_ enlace.PageStreamer       = Adapter{}
	_ enlace.Fetcher            = Adapter{}
	_ enlace.BatchPusher        = Adapter{}
	_ enlace.WebhookReceiver    = Adapter{}
	_ enlace.WebhookRegistrar   = Adapter{}
	_ enlace.WebhookSampler     = Adapter{}
	_ enlace.WebhookInspector   = Adapter{}
	_ enlace.EventPoller        = Adapter{}
	_ enlace.MetadataDescriber  = Adapter{}
	_ enlace.HealthChecker      = Adapter{}
	_ enlace.Classifier         = Adapter{}
	_ enlace.Relocator          = Adapter{}
)

// Name is the adapter's registry key.
const Name = "bitrix24"

// The auth schemes.
const (
	SchemeWebhook = "webhook" // inbound webhook: secret "url" (sheet 1.1)
	SchemeOAuth   = "oauth"   // OAuth 2.0 application (sheet 1.2)
)

// Adapter is the driver. Its zero value is ready for use.
type Adapter struct{}

// Describe implements enlace.IntegrationAdapter.
func (Adapter) Describe() enlace.Descriptor {
	entity := func(name, title string, parents ...string) enlace.Entity {
		return enlace.Entity{Name: name, Title: title, Incremental: enlace.IncrementalUpdates, Parents: parents, CreateOnce: true,
			Operations: []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate, enlace.OpUpsert, enlace.OpDelete}}
	}
	// Nothing but its id finds an item of a smart process again: it cannot be upserted.
	items := entity("dynamic_*", "Smart process items")
	items.Operations, items.CreateOnce = []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate, enlace.OpDelete}, false
	return enlace.Descriptor{
		Name: Name, Title: "Bitrix24", Version: "0.2.0",
		DocsURL:  "https://apidocs.bitrix24.com/",
		BaseURL:  "https://{portal}/rest/",
		Features: []enlace.Feature{enlace.FeatureCRMSync, enlace.FeatureRealTimeSync, enlace.FeatureBulkOperations, enlace.FeatureWebhooks},
		Auth: []enlace.AuthScheme{
			enlace.SecretURL{Name: SchemeWebhook, Title: "Inbound webhook", Pattern: `/rest/[0-9]+/[^/]+/?`,
				Help: "https://<portal>/rest/<user id>/<secret>/, as the portal shows it"},
			enlace.OAuth2{Name: SchemeOAuth, Title: "Application",
				AuthURL: "{origin}/oauth/authorize/", TokenURL: "https://{authServer}/oauth/token/",
				Place: enlace.Placement{Body: "auth"}, FixedRedirect: true, Life: time.Hour, RefreshLife: 180 * 24 * time.Hour,
				Attributes: []string{"member_id", "user_id", "status", "client_endpoint", "server_endpoint"}},
		},
		Settings: []enlace.Field{
			{Name: "portal", Label: "Portal", Kind: enlace.FieldHost,
				Help: "The portal's host, such as acme.bitrix24.com. A webhook's URL already has it."},
			{Name: "authServer", Label: "Authorization server", Kind: enlace.FieldChoice, Default: "oauth.bitrix.info",
				Choices: []string{"oauth.bitrix.info", "oauth.bitrix24.tech"}, Help: "oauth.bitrix24.tech for portals in the east."},
			{Name: "lanes", Label: "Parallel reads", Kind: enlace.FieldInteger, Default: "10", Min: 1, Max: 50,
				Help: "How many batches of a large list are read at a time. 1 reads page by page."},
			{Name: "overlap", Label: "Overlap (s)", Kind: enlace.FieldInteger, Default: "300", Min: 0, Max: 86400,
				Help: "How far before the last run a run by change begins, in seconds."},
			{Name: "connector", Label: "Connector", Pattern: `[A-Za-z0-9_.-]{1,50}`,
				Help: "Marks our writes, so that they do not come back as offline events (auth_connector). Needs a Professional plan."},
		},
		Entities: []enlace.Entity{
			entity("companies", "Companies"),
			entity("contacts", "Contacts", "companies"),
			entity("deals", "Deals", "contacts", "companies"),
			entity("leads", "Leads", "contacts", "companies"),
			items,
		},
		Webhooks: enlace.WebhookTerms{SentOnce: true, OwnSecret: true}, // sheet 6.4, 6.5
		// Sheet 3.1 and 3.2.
		Limits: enlace.Limits{PerSecond: 2, Burst: 50, PerHost: true, RunTime: 480 * time.Second, RunTimeWindow: 10 * time.Minute},
	}
}

// entityTypes are the numbers of the kinds of CRM items (sheet 5.1).
var entityTypes = map[string]int{"leads": 1, "deals": 2, "contacts": 3, "companies": 4}

// entityType returns the number behind an entity's name.
func entityType(entity string) (int, error) {
	if id, ok := entityTypes[entity]; ok {
		return id, nil
	}
	digits, ok := strings.CutPrefix(entity, "dynamic_")
	id, err := strconv.Atoi(digits)
	// One number has one spelling, so that it has one checkpoint. 5 is the old
	// invoice, which crm.item.* does not serve (sheet 5.1).
	if !ok || err != nil || id < 1 || id == 5 || strconv.Itoa(id) != digits {
		return 0, &enlace.Error{Op: "pull", Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun,
			Message: entity + " is no kind of CRM item; smart processes are dynamic_<entityTypeId>"}
	}
	return id, nil
}

// CheckHealth implements enlace.HealthChecker by one call of scope, which any
// credential may make and which tells whether it may read the CRM (sheet 7). Errors:
// ErrForbidden without the scope "crm", and those of any read.
func (Adapter) CheckHealth(ctx context.Context, c *enlace.Conn) error {
	var answer struct {
		Result []string `json:"result"`
	}
	if err := c.Do(ctx, call("scope", map[string]any{}), &answer); err != nil {
		return err
	}
	if !slices.Contains(answer.Result, "crm") {
		return &enlace.Error{Op: "scope", Kind: enlace.ErrForbidden, Outcome: enlace.OutcomeRan, Message: `the scope "crm" is not granted`}
	}
	return nil
}

// call is a read of a REST method: always POST, so that neither filter nor token
// stands in a URL.
func call(method string, params any) enlace.Call {
	return enlace.Call{Method: http.MethodPost, Path: method, Body: params, Idempotent: true, Op: method}
}

// listParams are the parameters of crm.item.list.
type listParams struct {
	EntityTypeID int               `json:"entityTypeId"`
	Select       []string          `json:"select,omitempty"`
	Order        map[string]string `json:"order"`
	Filter       filter            `json:"filter"`
	Start        int               `json:"start"`
	OriginalUF   string            `json:"useOriginalUfNames"`
}

// filter bounds a list by id, exclusive below and inclusive above, and by the
// time of change. An upper bound of 0 is none.
type filter struct {
	after, to int64
	since     string
}

// MarshalJSON spells the filter as the portal wants it.
func (f filter) MarshalJSON() ([]byte, error) {
	conditions := map[string]any{}
	for _, p := range f.conditions() {
		conditions[p.name] = p.value
	}
	return json.Marshal(conditions)
}

type condition struct {
	name  string
	value any
}

func (f filter) conditions() []condition {
	conditions := []condition{{">id", f.after}}
	if f.to > 0 {
		conditions = append(conditions, condition{"<=id", f.to})
	}
	if f.since != "" {
		conditions = append(conditions, condition{">=updatedTime", f.since})
	}
	return conditions
}
