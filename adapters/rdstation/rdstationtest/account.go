// Package rdstationtest is an RD Station account for tests: its Marketing, its CRM and both of
// their authorization servers.
//
// It plays the Marketing API 2.0 (contacts, tags, funnel, events, custom fields, segmentations,
// e-mails, landing pages, workflows, campaigns, analytics, webhooks), the CRM API v2 and v1, the
// classic OAuth server of Marketing and the unified one of the CRM, the limits of every plan, and
// the faults that the real service has. Any client can talk to it, over loopback with [NewServer]
// or in memory with [Account.Transport].
//
// What is written is kept: it is listed, paged, converted, and told to the webhooks that are
// registered, whose deliveries are real requests with the provider's own rule of retries.
//
// All clocks are the standard ones: within a bubble of testing/synctest, and over
// [Account.Transport], time is virtual. In real time, [Account.Advance] moves the account's clock.
//
// Behaviours follow the RD Station contract sheet; comments cite its sections, and its behaviours
// and test cases as F1 and T01. What the sources leave open is a field of [Quirks].
package rdstationtest

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Product is what an application, and with it every token, belongs to: one of the two, never both.
type Product string

// The products.
const (
	Marketing Product = "marketing"
	CRM       Product = "crm"
)

// Plan is the plan of the account's Marketing. It decides the limits and which analytics answer.
type Plan string

// The plans of Marketing.
const (
	Light    Plan = "light"
	Basic    Plan = "basic"
	Pro      Plan = "pro"
	Advanced Plan = "advanced"
)

// App is an application that users of the account may authorize.
type App struct {
	ClientID     string // random if empty
	ClientSecret string // random if empty
	Product      Product
	Redirects    []string // callbacks, compared as exact strings, none else is accepted; see [Account.SetRedirects]
}

// Visibility is which records of the CRM a user sees through API v1 (sheet 1.4).
type Visibility string

// The levels of visibility.
const (
	Geral    Visibility = "Geral"    // everything
	Equipe   Visibility = "Equipe"   // what users of the same team own
	Restrito Visibility = "Restrito" // what the user owns
)

// User is a person with access to the account: an owner of contacts in Marketing and, with a
// token, a user of the CRM API v1.
type User struct {
	ID         string // 24 hexadecimal digits; random if empty
	Name       string
	Email      string
	Token      string     // of API v1; random if empty
	Visibility Visibility // Geral if empty
	Team       string     // the team's name; "" for none
	Inactive   bool       // the token is refused
}

// APIKey is a key for POST /platform/conversions.
type APIKey struct {
	Key      string
	Inactive bool // answers 401
	OfCRM    bool // belongs to a CRM account: answers UNABLE_TO_LOAD_CDP_SCHEMA (T34)
}

// Options describe an account. The zero value is an Advanced account with one application per
// product, one user, no limits and no contacts.
type Options struct {
	APIBase      string // https://api.rd.services if empty
	AccountsBase string // of the CRM's authorization dialog; https://accounts.rdstation.com if empty
	CRMv1Base    string // without /api/v1; https://crm.rdstation.com if empty

	Name        string // in account_info; www.padaria-aurora.com.br if empty
	AccountID   int64  // in webhooks; 818000000000436400 if 0, which no float64 can hold
	Plan        Plan   // Advanced if empty
	CRMFree     bool   // the CRM has the Free plan: tasks of type "task" only, no deal webhooks
	MaxContacts int    // beyond it new contacts are refused with 406; 0 for any number
	Apps        []App  // one per product with random credentials if nil
	Users       []User // one, owner@example.com, if nil
	APIKeys     []APIKey

	AccessTTL       time.Duration // classic access tokens; 24 h if 0
	CodeTTL         time.Duration // classic codes; 60 min if 0
	UnifiedTTL      time.Duration // access tokens of the CRM; 2 h if 0
	UnifiedCodeTTL  time.Duration // codes of the CRM; 5 min if 0
	UnifiedIdleTTL  time.Duration // unused refresh tokens of the CRM; 14 days if 0
	CallbackDelay   time.Duration // until callbacks set by [Account.SetRedirects] work; really up to 1 h
	ProcessingDelay time.Duration // between an event's 200 and its effect
	SegmentDelay    time.Duration // between a change of a contact's funnel and its place in segmentations

	Limits Limits // nil for none; see [PlanLimits]

	// WebhookTransport carries the webhooks' requests; see [HandlerTransport] for receivers in
	// memory. If it is nil they go over the network, without proxy and without redirects.
	WebhookTransport http.RoundTripper
	WebhookTimeout   time.Duration   // 5 s if 0
	RetryDelays      []time.Duration // before each retry, the last for all further ones; 1, 5 and 30 min if nil
	SuspendAfter     int             // failed deliveries in a row after which a CRM webhook is suspended; 0 for never

	RoundTrip time.Duration // what the network adds to a request over Transport
	ClockSkew time.Duration // how far the account's clock is ahead of ours from the start; behind if negative

	// OnRequest is called for every request before anything else happens, maybe several at once.
	// It may call the account.
	OnRequest func(Request)

	Quirks Quirks
}

// Rotation is what a classic refresh does to the refresh token (U1).
type Rotation uint8

// The rotations.
const (
	RotateKeepOld Rotation = iota // a new one each time, older ones stay valid
	SameToken                     // always the same one
	RotateKillOld                 // a new one each time, the one before is dead
)

// ExpiredStyle is how Marketing answers an expired access token (F9).
type ExpiredStyle uint8

// The answers to an expired token, all with status 401.
const (
	ExpiredHeader   ExpiredStyle = iota // UNAUTHORIZED and WWW-Authenticate with expired_token
	ExpiredRemapped                     // UNAUTHORIZED and x-amzn-remapped-www-authenticate
	ExpiredGateway                      // the gateway's invalid_token, no header
)

// LimitStyle is how Marketing answers 429 (sheet 6.2).
type LimitStyle uint8

// The answers to too many requests.
const (
	LimitByScope LimitStyle = iota // per lead the limiter's counters, per account the gateway's quota
	LimitGateway                   // the gateway's message with its headers, always
	LimitCounter                   // the limiter's counters, always
	LimitGeneric                   // RATE_LIMIT_EXCEDDED, always
)

// Quirks are switches for what differs between accounts, or what the sources do not agree on. The
// zero value is the default of the contract sheet.
type Quirks struct {
	Rotation          Rotation     // F7
	ExpiredStyle      ExpiredStyle // F9
	LimitStyle        LimitStyle   // F40
	UnwrappedErrors   bool         // errors of the classic token endpoint lack the key "errors" (sheet 1.5)
	ArrayErrors       bool         // errors of the classic token endpoint are an array under "errors" (sheet 1.5)
	KeepUnifiedAccess bool         // a unified refresh leaves the old access token alive (U20)
	ContentTypeOnGet  bool         // Marketing demands Content-Type of requests without a body too

	NoPhone            bool // phone is no identifier and no field, as before 2026 (F17)
	ContactList        bool // GET /platform/contacts answers like segmentation 1, not 404 (2.1.8)
	PhoneInEvents      bool // phone may replace email in events (U13)
	ExactEmails        bool // e-mails are compared and kept with their letter case (U16)
	QuietAPIMarks      bool // marking an opportunity by API fires no webhook (F26, U17)
	FunnelNotFound     bool // GET funnel answers 404 for a contact whose funnel nobody touched (2.1.7)
	IgnoreUnknownOrder bool // an unknown order of segmentations is ignored, not refused (F30)
	NullsFirst         bool // contacts without conversion come first in ordered lists (U15)
	WrappedEventErrors bool // unknown event types are told as {"errors":[…]}, not as a bare array (F34)
	LargeEvents400     bool // event bodies above 200 kB get 400, not 413 (F37)

	MillisecondsLeft     bool // remaining_time counts milliseconds (U3)
	SlidingWindows       bool // limits look back over their period instead of starting windows (U4)
	ContactsIncludeLeads bool // tag and funnel requests count against the contacts' limit too
	CRMLimitErrors       bool // CRM v2 answers 429 with {"errors":[…]}, not with the gateway's message

	LowerCaseEvents    bool // the list of webhooks has event types in lower case (F43)
	CreateWebhook200   bool // a new webhook is answered with 200, not 201 (U11)
	FiveRetries        bool // Marketing webhooks are retried 5 times, not 3 (F45)
	DuplicateHooksOK   bool // the same url and event_type may be registered twice
	AnalyticsPlan401   bool // a plan without analytics gets 401, not 403 (F57)
	AnalyticsDocKeys   bool // analytics of conversions have the documented keys, not the live ones (F57)
	CorrectSpelling    bool // updated_at and workflows instead of upated_at and wokflows (F58)
	FlatWorkflowLeads  bool // leads_added and leads_not_found are flat arrays (F59)
	RoutableLinks      bool // links of CRM v2 start with /crm/v2 and work (F54)
	StableUnsorted     bool // CRM v2 lists without sort always come in the same order (F54)
	VisitsCountStrings bool // visits_count is a string of digits (Q22)
}

// Account is an RD Station account. It is safe for use by several goroutines at once.
type Account struct {
	options Options
	quirks  Quirks
	routes  map[string][]*route

	mu     sync.Mutex // guards everything below
	offset time.Duration

	api, accounts, crmV1 *url.URL

	apps   []*app
	tokens tokens
	limits limiter
	faults []*Fault
	stats  stats

	contacts   contacts
	fields     []*field
	segments   []*segment
	assets     map[string][]object
	feed       object // the product catalogue's feed, nil for none
	analytics  map[string][]object
	nextNumber int64

	crm crm

	hooks      []*hook
	jobs       map[*job]struct{}
	running    int // jobs under way
	settled    *sync.Cond
	closed     bool
	held       []*delivery
	holding    bool
	log        []Delivery
	lastID     int
	client     *http.Client
	background context.Context // ends outgoing requests when the account closes
	stop       context.CancelFunc
}

// New returns an account that does not listen: it is a handler for its API, its authorization
// servers and its CRM v1, which it tells apart by path and, where they differ, by host.
func New(options Options) *Account {
	fillDefaults(&options)
	a := &Account{
		options: options, offset: options.ClockSkew, quirks: options.Quirks, routes: index(routeTable()),
		limits: limiter{limits: options.Limits, sliding: options.Quirks.SlidingWindows, windows: map[limitKey]*window{}},
		tokens: tokens{known: map[string]*token{}, codes: map[string]*code{}},
		assets: map[string][]object{}, analytics: map[string][]object{}, jobs: map[*job]struct{}{}, nextNumber: 1000,
	}
	a.contacts.init()
	a.settled = sync.NewCond(&a.mu)
	a.background, a.stop = context.WithCancel(context.Background())
	a.client = webhookClient(options.WebhookTransport)
	for _, description := range options.Apps {
		a.apps = append(a.apps, newApp(description))
	}
	a.fields = defaultFields()
	a.segments = standardSegments(a.now())
	a.crm.init(a)
	a.SetURL(options.APIBase, options.AccountsBase, options.CRMv1Base)
	return a
}

func fillDefaults(o *Options) {
	o.APIBase = orDefault(o.APIBase, "https://api.rd.services")
	o.AccountsBase = orDefault(o.AccountsBase, "https://accounts.rdstation.com")
	o.CRMv1Base = orDefault(o.CRMv1Base, "https://crm.rdstation.com")
	o.Name = orDefault(o.Name, "www.padaria-aurora.com.br")
	o.AccountID = orDefault(o.AccountID, 818000000000436400)
	o.Plan = orDefault(o.Plan, Advanced)
	o.AccessTTL = orDefault(o.AccessTTL, 24*time.Hour)
	o.CodeTTL = orDefault(o.CodeTTL, time.Hour)
	o.UnifiedTTL = orDefault(o.UnifiedTTL, 2*time.Hour)
	o.UnifiedCodeTTL = orDefault(o.UnifiedCodeTTL, 5*time.Minute)
	o.UnifiedIdleTTL = orDefault(o.UnifiedIdleTTL, 14*24*time.Hour)
	o.WebhookTimeout = orDefault(o.WebhookTimeout, 5*time.Second)
	if len(o.RetryDelays) == 0 {
		o.RetryDelays = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute}
	}
	if o.Apps == nil {
		o.Apps = []App{{Product: Marketing}, {Product: CRM}}
	}
	if o.Users == nil {
		o.Users = []User{{Name: "Owner", Email: "owner@example.com"}}
	}
}

func orDefault[T comparable](value, otherwise T) T {
	var none T
	if value == none {
		return otherwise
	}
	return value
}

// SetURL sets the addresses of the API, of the CRM's authorization dialog and of the CRM v1; they
// may be one and the same. It panics if one is no address.
func (a *Account) SetURL(api, accounts, crmV1 string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.api, a.accounts, a.crmV1 = mustParse(api), mustParse(accounts), mustParse(crmV1)
}

func mustParse(address string) *url.URL {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Host == "" {
		panic("rdstationtest: " + address + " is no address, such as https://api.rd.services")
	}
	return u
}

// APIURL returns the address of the API, https://api.rd.services or what it was set to.
func (a *Account) APIURL() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.api.String()
}

// CRMv1URL returns the address of the CRM API v1, with /api/v1 at its end.
func (a *Account) CRMv1URL() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.crmV1.String() + "/api/v1"
}

// AuthorizeURL returns the address that starts an authorization in a browser; clients append
// client_id, redirect_uri and, for the CRM, response_type=code.
func (a *Account) AuthorizeURL(product Product) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if product == CRM {
		return a.accounts.String() + "/oauth/authorize"
	}
	return a.api.String() + "/auth/dialog"
}

// TokenURL returns the address of the product's token endpoint.
func (a *Account) TokenURL(product Product) string {
	if product == CRM {
		return a.APIURL() + "/oauth2/token"
	}
	return a.APIURL() + "/auth/token"
}

// Now returns the time by the account's clock. The Date header of answers tells it too.
func (a *Account) Now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now()
}

// Advance moves the account's clock forward: tokens age, limits start over, and retries and
// delayed events that become due happen. d must not be negative.
func (a *Account) Advance(d time.Duration) {
	if d < 0 {
		panic("rdstationtest: the clock cannot go back")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offset += d
	now := a.now()
	for j := range a.jobs {
		j.timer.Reset(max(0, j.due.Sub(now)))
	}
}

// now needs the lock.
func (a *Account) now() time.Time { return time.Now().Add(a.offset) }

// number returns a new small id.
func (a *Account) number() int64 {
	a.nextNumber++
	return a.nextNumber
}
