// Package bitrix24test is a Bitrix24 portal for tests, together with its authorization server.
//
// It plays the REST API as CRM integrations use it: webhooks and OAuth applications, the classic
// methods of contacts, companies, deals and leads, crm.item.*, bindings, duplicates and imports,
// batch with references between its commands, events to handlers, outgoing webhooks and the
// offline queue, the limits of requests and of run time, and the faults that real portals have.
// Any client can talk to it, over loopback with [NewServer] or in memory with
// [Portal.Transport]. For HTTPS, wrap a [Portal] in net/http/httptest's TLS server and tell it
// the address with [Portal.SetURL].
//
// Records are made up from their ids, so that a portal with a million contacts takes no memory;
// see [Portal.Seed]. [Portal.Put], [Portal.Touch] and [Portal.Delete] change single ones, as do
// clients over the API.
//
// Events go to their handlers over the network, or with [Options].EventTransport in memory, from
// goroutines that end when nothing is on its way: see [Portal.Drain] and [Portal.Close].
//
// All clocks are the standard ones: within a bubble of testing/synctest, and over
// [Portal.Transport], time is virtual.
//
// Behaviours follow the Bitrix24 contract sheet; comments cite its sections, and its behaviours
// and test cases as F1 and T01. What the sources leave open is a field of [Quirks].
package bitrix24test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options describe a portal. The zero value is a portal with everything the defaults name, no
// limits and no records.
type Options struct {
	BaseURL  string // of the portal, without a path; https://acme.bitrix24.com if empty
	OAuthURL string // of the authorization server; https://oauth.bitrix.info if empty

	ClientID, ClientSecret string   // of the application; random if empty
	Redirect               string   // where the application wants users sent back to; see SetRedirect
	WebhookUser            int      // the user in the webhook's address; 1 if 0
	WebhookSecret          string   // random if empty
	MemberID               string   // 32 hexadecimal digits; random if empty
	UserID                 int      // the user who authorizes the application; 7 if 0
	Scopes                 []string // granted to webhook and application; crm and user if empty

	AccessTTL  time.Duration // life of access tokens; 1 h if 0
	CodeTTL    time.Duration // life of authorization codes; 30 s if 0
	RefreshTTL time.Duration // life of refresh tokens; 180 days if 0

	Location      *time.Location // the portal's zone; two hours east of Greenwich if nil
	LicenseFamily string         // in app.info; "ent" or "pro", as Limits have it, if empty
	SelfHosted    bool           // answers tell no operating time
	SmartTypes    []SmartType
	UserFields    []UserField // replaces the defaults: seven fields per type, if nil

	Limits *Limits // nil for none

	// ServerTime returns how long a method works, which the portal then does: commands of a batch
	// one after the other. It counts as the method's operating time. It is called for every
	// request and command, maybe several at once. If it is nil, methods take the time they need
	// and none of it counts.
	ServerTime func(method string) time.Duration
	MaxRun     time.Duration // after which a request is cut off with an HTML 504; 60 s if 0
	RoundTrip  time.Duration // what the network adds to a request over Transport

	Callback         string            // where events of the application's life go, such as ONAPPINSTALL; see SetCallback
	ApplicationToken string            // proves that an event comes from the portal; random if empty
	EventTransport   http.RoundTripper // carries events to their handlers; nil for the network. See [HandlerTransport]
	EventDelay       time.Duration     // how long the portal's queue takes before each delivery
	EventTimeout     time.Duration     // after which a delivery is lost; 10 s if 0

	// OnRequest is called for every request to a method before anything else happens, maybe
	// several at once. It may call the portal.
	OnRequest func(Request)

	Quirks Quirks
}

// Quirks are switches for what differs between portals, or what the sources do not agree on. The
// zero value is the default of the contract sheet.
type Quirks struct {
	AcceptBearer          bool // "Authorization: Bearer" works for methods (F4)
	InvalidCredentials403 bool // a wrong webhook secret is answered with 403, not 401 (F5)
	InvalidClient401      bool // a wrong client_secret is answered with 401, not 400 (F16)
	ExpiredCodeError      bool // a late code is answered with expired_token, not invalid_grant (F14)
	ReusableRefreshTokens bool // a refresh token works more than once
	RefreshKillsAccess    bool // a refresh ends the old access token (F15)
	WholeSeconds          bool // time.start and time.processing are integers, as in 2026 (F20)
	EscapeJSON            bool // slashes and what is not ASCII are escaped (F22)
	PartialReferences     bool // an unresolved reference in a batch becomes the deepest value on its way (F51)
	BillBatch             bool // a batch's run time counts for the method batch, not for its commands (F55)
	IgnoreISODates        bool // filters with ISO dates do not apply, only those like 2025-10-31 00:00:00 (Q18)
	SimpleCRM             bool // crm.settings.mode.get says 2: a new lead turns into a deal and is gone
	KeepConvertedLeads    bool // with SimpleCRM, the lead stays and is CONVERTED (Q33)
	IgnoreClearing        bool // crm.item.update ignores empty values of company fields and empty lists (Q19)
	SilentImports         bool // crm.item.import and batchImport make no events (sheet 11.6)
	SilentBindings        bool // binding methods make no events and leave the time of change alone (sheet 11.6)
	PublicHandlersOnly    bool // event.bind refuses hosts without a dot and addresses of this machine (sheet 6.1)
	NoReservations        bool // the plan lacks rest_offline_extended: event.offline.get needs clear=1
	NoAuthConnector       bool // the plan lacks rest_auth_connector
}

// Portal is a Bitrix24 portal and its authorization server. It is safe for use by several
// goroutines at once.
type Portal struct {
	clientID, clientSecret string
	webhookUser            int
	webhookSecret          string
	memberID               string
	userID                 int
	scopes                 []string

	accessTTL, codeTTL, refreshTTL time.Duration

	location      *time.Location
	licenseFamily string
	selfHosted    bool
	smartTypes    []SmartType
	serverTime    func(string) time.Duration
	maxRun        time.Duration
	roundTrip     time.Duration
	onRequest     func(Request)
	quirks        Quirks

	types   map[int]*entityType
	methods map[string]*method

	addresses struct {
		sync.RWMutex
		base, oauth *url.URL
		moved       map[string]bool // hosts that the portal had before
	}

	records   sync.RWMutex // guards tables, lastPoint, touches and the fields of types; methods say how they take it
	tables    map[int]*table
	lastPoint int64
	touches   int

	activities int64

	tokens    tokens // its mutex guards what follows too
	redirect  string
	installed bool
	app       application
	employees map[int]bool // users who are no administrators

	events events

	limiter   limiter
	operating operating
	faults    faults
	stats     stats
}

// New returns a portal that does not listen: it is a handler for both its own host and that of
// its authorization server, which it tells apart by the Host header.
func New(options Options) *Portal {
	userFields := options.UserFields
	if userFields == nil {
		userFields = defaultUserFields(options.SmartTypes)
	}
	types := entityTypes(options.SmartTypes, userFields)
	p := &Portal{
		clientID: orDefault(options.ClientID, "local."+randomHex(7)+".00000001"), clientSecret: orDefault(options.ClientSecret, randomHex(25)),
		webhookUser: orDefault(options.WebhookUser, 1), webhookSecret: orDefault(options.WebhookSecret, randomHex(8)),
		memberID: orDefault(options.MemberID, randomHex(16)), userID: orDefault(options.UserID, 7), scopes: cloneScopes(options.Scopes),
		accessTTL: orDefault(options.AccessTTL, time.Hour), codeTTL: orDefault(options.CodeTTL, 30*time.Second),
		refreshTTL: orDefault(options.RefreshTTL, 180*24*time.Hour),
		location:   options.Location, licenseFamily: options.LicenseFamily, selfHosted: options.SelfHosted, smartTypes: options.SmartTypes,
		serverTime: options.ServerTime, maxRun: orDefault(options.MaxRun, time.Minute), roundTrip: options.RoundTrip,
		onRequest: options.OnRequest, quirks: options.Quirks,
		types: types, methods: methodTable(types), tables: map[int]*table{},
		redirect: options.Redirect, installed: true, employees: map[int]bool{},
		tokens:    tokens{known: map[string]*token{}},
		limiter:   limiter{limits: options.Limits, buckets: map[string]*bucket{}},
		operating: operating{spent: map[operatingKey]*spending{}},
		lastPoint: 900,
	}
	if p.location == nil {
		p.location = time.FixedZone("", 2*60*60)
	}
	if options.Limits != nil {
		p.operating.limit = options.Limits.Operating
	}
	if p.licenseFamily == "" {
		p.licenseFamily = "pro"
		if options.Limits != nil && options.Limits.Leak >= EnterpriseLimits().Leak {
			p.licenseFamily = "ent"
		}
	}
	for id, t := range types {
		p.prepare(t)
		p.tables[id] = &table{typ: t, own: map[int64]*record{}, gone: map[int64]struct{}{}}
	}
	p.app = application{version: 1, finished: true, token: orDefault(options.ApplicationToken, randomHex(16)), callback: options.Callback, payment: Payment{Status: "L"}}
	p.events.start(options)
	p.addresses.moved = map[string]bool{}
	p.SetURL(orDefault(options.BaseURL, "https://acme.bitrix24.com"), orDefault(options.OAuthURL, "https://oauth.bitrix.info"))
	return p
}

// prepare computes what all rows of a type have in common.
func (p *Portal) prepare(t *entityType) {
	for _, style := range []naming{universalNames, originalNames} {
		t.everything[style] = p.writer(style).columns(t, t.itemFields())
	}
}

func orDefault[T comparable](value, otherwise T) T {
	var none T
	if value == none {
		return otherwise
	}
	return value
}

// SetURL sets the addresses of the portal and of its authorization server, which may be one and
// the same. They stand in the answers of the token endpoint. It panics if one is no address.
func (p *Portal) SetURL(base, oauth string) {
	p.addresses.Lock()
	defer p.addresses.Unlock()
	p.addresses.base, p.addresses.oauth = mustParse(base), mustParse(oauth)
}

// Move renames the portal to a new address. From then on every request to the old host is
// answered with a redirect to the same path on the new one (F10).
func (p *Portal) Move(base string) {
	address := mustParse(base)
	p.addresses.Lock()
	defer p.addresses.Unlock()
	p.addresses.moved[p.addresses.base.Host] = true
	delete(p.addresses.moved, address.Host)
	p.addresses.base = address
}

func mustParse(address string) *url.URL {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Host == "" {
		panic("bitrix24test: " + address + " is no address of a portal, such as https://acme.bitrix24.com")
	}
	return u
}

func (p *Portal) endpoints() (base, oauth string) {
	p.addresses.RLock()
	defer p.addresses.RUnlock()
	return p.addresses.base.String(), p.addresses.oauth.String()
}

func (p *Portal) httpsOnly() bool {
	p.addresses.RLock()
	defer p.addresses.RUnlock()
	return p.addresses.base.Scheme == "https"
}

// Host returns the portal's host, with its port if the address has one.
func (p *Portal) Host() string {
	p.addresses.RLock()
	defer p.addresses.RUnlock()
	return p.addresses.base.Host
}

func (p *Portal) oauthHost() string {
	p.addresses.RLock()
	defer p.addresses.RUnlock()
	return p.addresses.oauth.Host
}

// WebhookURL returns the address of the portal's webhook, to which clients append a method.
func (p *Portal) WebhookURL() string {
	base, _ := p.endpoints()
	return base + "/rest/" + strconv.Itoa(p.webhookUser) + "/" + p.webhookSecret + "/"
}

// RESTURL returns the address to which applications append a method.
func (p *Portal) RESTURL() string {
	base, _ := p.endpoints()
	return base + "/rest/"
}

// AuthorizeURL returns the address that starts an authorization in a browser; clients append
// client_id and state.
func (p *Portal) AuthorizeURL() string {
	base, _ := p.endpoints()
	return base + "/oauth/authorize/"
}

// TokenURL returns the address of the token endpoint.
func (p *Portal) TokenURL() string {
	_, oauth := p.endpoints()
	return oauth + "/oauth/token/"
}

// ClientID returns the application's client id.
func (p *Portal) ClientID() string { return p.clientID }

// ClientSecret returns the application's client secret.
func (p *Portal) ClientSecret() string { return p.clientSecret }

// MemberID returns the portal's lasting id.
func (p *Portal) MemberID() string { return p.memberID }

// ServeHTTP answers for the portal and for its authorization server.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if target := p.movedTo(r); target != "" {
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		writeHTML(w, http.StatusMethodNotAllowed, "405 Not Allowed")
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	path := strings.TrimRight(r.URL.Path, "/")
	switch {
	case path == "/oauth/authorize":
		p.serveAuthorize(w, r)
	case path == "/oauth/token":
		p.serveToken(w, r, body)
	case !strings.HasPrefix(r.URL.Path, "/rest/"):
		writeHTML(w, http.StatusNotFound, "404 Not Found")
	case r.Host == p.oauthHost() && r.Host != p.Host():
		p.serveServerMethod(w, r, body)
	default:
		p.serveRest(w, r, body)
	}
}

// movedTo returns where the request should go instead, if the portal has left the host.
func (p *Portal) movedTo(r *http.Request) string {
	p.addresses.RLock()
	defer p.addresses.RUnlock()
	if !p.addresses.moved[r.Host] {
		return ""
	}
	return p.addresses.base.String() + r.URL.RequestURI()
}
