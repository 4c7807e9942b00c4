// Package zapsigntest is a ZapSign API server for tests.
//
// It plays production and sandbox: documents from PDF, DOCX, Markdown and templates with their
// extra files, signers, placements, cancelling and deleting, the list with its filters and its
// cache, file links that expire, templates, webhooks that are really delivered and tried again,
// the limit of requests, and the faults that a real provider has. Any client can talk to it, over
// loopback with [NewServer] or in memory with [API.Transport]. For HTTPS, wrap an [API] in
// net/http/httptest's TLS server and tell it the address with [API.SetAddresses].
//
// Tests act as people with [API.Open], [API.Sign], [API.Refuse] and their like, and read what
// happened with [API.Documents], [API.Messages], [API.Deliveries] and [API.Stats]. Time is the
// standard clock, virtual within a bubble of testing/synctest, plus what [API.Advance] added.
//
// Behaviours follow the ZapSign contract sheet; comments cite its sections, and its behaviours
// and test cases as F1 and T1. Points where the sources conflict or are silent are fields of
// [Options] and [Quirks].
package zapsigntest

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options describe the server. The zero value has one sandbox account and the limits of the
// contract sheet.
type Options struct {
	// Accounts are the organisations that the server knows; one in the sandbox if empty.
	Accounts []Account

	// Addresses replaces those of the real provider where its fields are not empty.
	Addresses Addresses

	// Transport carries what the server itself sends: deliveries to webhooks, and downloads of
	// files that a request names by URL. The network if nil.
	Transport http.RoundTripper

	RateLimit    int           // requests per clock minute, per token and per IP address; 500 if 0, none if negative (F7)
	ListCache    time.Duration // how long GET /docs/ repeats an answer; 60 s if 0, none if negative (F30)
	FileLimit    int           // bytes of a decoded file; 10 MB if 0 (F12)
	ExtraLimit   int           // extra documents per document; 9 in the sandbox and 14 in production if 0 (F18)
	BulkCooldown time.Duration // between two resends to all signers of a document; 5 h if 0 (F37)
	LoginLimit   int           // calls of /auth/token/ per organisation and clock minute; 5 if 0 (sheet 1.3)
	RefreshTTL   time.Duration // life of JWT refresh tokens; 1 h if 0 (U19)

	RoundTrip time.Duration // what the network adds to a request over Transport
	ClockSkew time.Duration // how far the server's clock is ahead of ours from the start; behind if negative

	// OnRequest is called for every request to the API before anything else happens, maybe
	// several at once. It may call the API's methods.
	OnRequest func(Request)

	Quirks Quirks
}

// Account is an organisation with its own token, documents and webhooks.
type Account struct {
	Token      string // API token; random, two UUIDs in a row, if empty
	Production bool   // it lives in production, else in the sandbox
	NoPlan     bool   // it has no API plan: creating in production answers 402 (F8)

	Owner          string // e-mail of the owner, who creates all documents unless told otherwise; owner@example.com if empty
	OrganizationID int    // for /auth/token/; 735 and up if 0
	Username       string // for /auth/token/; Owner if empty
	Password       string // for /auth/token/; random if empty
	Users          []User // besides the owner
	Plan           *Plan  // of /info-plan/, which answers 404 if nil (T32)

	NoActivityLog bool // GET /docs/signer-log/ answers 403 with HTML (9.23)
	NoTimestamp   bool // POST /timestamp/ answers 402
	Partner       bool // it may use the endpoints /partner/

	// Retry is how failed deliveries are tried again (F44).
	Retry Retry
}

// User is a member of an account.
type User struct {
	Email     string
	Token     string // user token of batch sign and refuse-by-user; random if empty
	FirstName string
	LastName  string
	Role      string // owner, admin, member or self_docs_limited; member if empty
}

// Plan is what /info-plan/ tells (sheet 2.7).
type Plan struct {
	Name             string
	Credits          string // a number, as text
	Status           string // paid, pending_payment, unpaid or canceled
	Period           string // monthly or annual
	CurrentPeriodEnd string // dd-mm-yyyy
}

// Retry is the account-wide rule for deliveries that did not get a 200 (F44).
type Retry struct {
	Attempts int           // all of them, the first included, up to 30; 2 if 0
	Wait     time.Duration // between two attempts; 5 s if 0
	Timeout  time.Duration // of one attempt; 20 s if 0
}

// Addresses are the bases of the hosts, without a path. Requests are told apart by their Host
// header.
type Addresses struct {
	Sandbox          string // https://sandbox.api.zapsign.com.br if empty
	Production       string // https://api.zapsign.com.br if empty
	BrazilProduction string // https://br.api.zapsign.com.br if empty
	SandboxApp       string // of signature screens; https://sandbox.app.zapsign.com.br if empty
	ProductionApp    string // likewise; https://app.zapsign.com.br if empty
	Files            string // https://zapsign.s3.amazonaws.com if empty
}

// Quirks are switches for what differs between recordings, or what the sources do not agree on.
// The zero value is the default of the contract sheet.
type Quirks struct {
	Unauthorized401         bool   // a bad token is answered with 401, not 403 (F2)
	PlainAuthError          bool   // and the text is not wrapped in JSON (F2)
	ForeignForbidden        bool   // another account's document is 403, not 404 (F3)
	MissingSlash500         bool   // POST, PUT and DELETE without the slash are 500, not 404 (F4)
	RetryAfter              bool   // 429 tells when to come back (F7)
	ShortPlanError          bool   // the 402 has its first sentence only (sheet 4.2)
	UserAgent403            bool   // POST /refuse/ without User-Agent is 403, not 400 (F22)
	NextHTTPS               bool   // next and previous keep the request's scheme (F24)
	StrictFilters           bool   // an invalid filter value is 400, not ignored (F26)
	AscendingByDefault      bool   // the list is ascending without sort_order (F27)
	LiveByDefault           bool   // the list hides deleted documents without deleted (F27)
	DocumentedListSigners   bool   // signers of list rows have the documented keys (F29)
	ListRefused             string // status of refused rows; recusado if empty (U3)
	EmptyPastEnd            bool   // a page past the end is 200 and empty, not 404 (F31)
	BlockOutOfOrder         bool   // signers cannot sign before their group's turn (F36)
	GroupsFromZero          bool   // order groups must start at 0 (sheet 2.2.1)
	DeletedStopsSigning     bool   // signers of a deleted document cannot sign (U18)
	DocumentedKeys          bool   // answers lack the keys that were only observed: status_code, first_opened_at, original_file_hash
	FilesTakeAuthorization  bool   // the file host ignores an Authorization header instead of refusing it (F16)
	BareDeliveries          bool   // deliveries have neither Content-Type nor User-Agent (sheet 5.4)
	ReplaceWebhookHeaders   bool   // adding headers to a webhook replaces its headers (U9)
	BillPerEnvelope         bool   // extra documents consume no credit (U22)
	ReprocessSendsDocSigned bool   // reprocess-doc always re-sends doc_signed, not the last event (U21)
}

// API is the server. It is safe for use by several goroutines at once.
type API struct {
	options  Options
	outgoing *http.Client
	network  *http.Transport // of outgoing, if it is our own
	offset   atomic.Int64    // what ClockSkew and Advance added to the clock, in nanoseconds
	running  sync.WaitGroup  // timers that are armed and goroutines that deliver

	mu        sync.Mutex // guards all below
	addresses Addresses
	closed    bool
	accounts  []*account
	tokens    map[string]*account // API tokens
	secret    []byte              // signs file links
	window    rateWindow
	agenda    agenda
	lanes     map[string]*lane
	pending   int           // deliveries in lanes
	idle      chan struct{} // closed when pending falls to 0
	faults    []*Fault
	lost      []*DeliveryFault
	stats     Stats
	inFlight  int
	state
}

// state is what Reset forgets.
type state struct {
	lastTick   time.Time
	documents  map[string]*document // main and extra, by token
	signers    map[string]*signer
	templates  map[string]*template
	files      map[string]*file
	sessions   map[string]session // JWTs, by token
	webhooks   []*webhook
	messages   []Message
	deliveries []Delivery
	lastID     int // of webhooks and their headers
	lastParcel int
}

func newState() state {
	return state{
		documents: map[string]*document{}, signers: map[string]*signer{}, templates: map[string]*template{},
		files: map[string]*file{}, sessions: map[string]session{}, lastID: 5511,
	}
}

// account is an Account at work.
type account struct {
	Account
	documents  []*document // main and extra, in order of creation
	templates  []*template
	lastOpenID int
	credits    int                  // consumed
	folders    map[string]string    // path by token
	cache      map[string]cachedRow // answers of the list by query
	checks     map[string]*check
}

// New returns a server that does not listen: it is a handler for all its hosts. The caller ends
// it with [API.Close] if it has webhooks. It panics if two accounts have the same token or an
// address is none.
func New(options Options) *API {
	o := &options
	o.RateLimit, o.ListCache, o.FileLimit = orDefault(o.RateLimit, 500), orDefault(o.ListCache, time.Minute), orDefault(o.FileLimit, 10<<20)
	o.BulkCooldown, o.LoginLimit, o.RefreshTTL = orDefault(o.BulkCooldown, 5*time.Hour), orDefault(o.LoginLimit, 5), orDefault(o.RefreshTTL, time.Hour)
	a := &API{options: options, tokens: map[string]*account{}, secret: randomBytes(32), lanes: map[string]*lane{}, state: newState()}
	a.offset.Store(int64(options.ClockSkew))
	a.outgoing = &http.Client{Transport: options.Transport}
	if options.Transport == nil {
		a.network = &http.Transport{Proxy: nil, DisableCompression: true}
		a.outgoing.Transport = a.network
	}
	if len(options.Accounts) == 0 {
		options.Accounts = []Account{{}}
	}
	for i, settings := range options.Accounts {
		a.addAccount(settings, 735+i)
	}
	a.SetAddresses(options.Addresses)
	return a
}

// addAccount completes the settings of an account and makes it known.
func (a *API) addAccount(settings Account, organization int) *account {
	settings.Token = orDefault(settings.Token, newUUID()+newUUID())
	settings.Owner = orDefault(settings.Owner, "owner@example.com")
	settings.Username, settings.Password = orDefault(settings.Username, settings.Owner), orDefault(settings.Password, newUUID())
	settings.OrganizationID = orDefault(settings.OrganizationID, organization)
	settings.Retry.Attempts = min(orDefault(settings.Retry.Attempts, 2), 30)
	settings.Retry.Wait, settings.Retry.Timeout = orDefault(settings.Retry.Wait, 5*time.Second), orDefault(settings.Retry.Timeout, 20*time.Second)
	users := []User{{Email: settings.Owner, Token: newUUID(), FirstName: "Owner", Role: "owner"}}
	for _, user := range settings.Users {
		user.Token, user.Role = orDefault(user.Token, newUUID()), orDefault(user.Role, "member")
		users = append(users, user)
	}
	settings.Users = users
	if a.tokens[settings.Token] != nil {
		panic("zapsigntest: two accounts with the same token")
	}
	acc := &account{Account: settings}
	acc.forget()
	a.accounts, a.tokens[settings.Token] = append(a.accounts, acc), acc
	return acc
}

func (acc *account) forget() {
	acc.documents, acc.templates, acc.lastOpenID, acc.credits = nil, nil, 0, 0
	acc.folders, acc.cache, acc.checks = map[string]string{}, map[string]cachedRow{}, map[string]*check{}
}

// Reset forgets everything but the accounts, their users and the clock: documents, templates,
// webhooks, messages, deliveries, faults and counts. Deliveries that wait for another attempt are
// dropped.
func (a *API) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = newState()
	for _, acc := range a.accounts {
		acc.forget()
	}
	a.agenda.clear(a)
	a.faults, a.lost, a.stats, a.window = nil, nil, Stats{}, rateWindow{}
}

// Close drops what is planned for later, waits for the deliveries that are under way or due, each
// of which takes up to [Retry].Timeout, and returns when nothing of the server runs any more. It
// still answers requests then but sends nothing.
func (a *API) Close() {
	a.mu.Lock()
	a.closed = true
	a.agenda.clear(a)
	a.mu.Unlock()
	a.running.Wait()
	if a.network != nil {
		a.network.CloseIdleConnections()
	}
}

// Token returns the API token of the first account.
func (a *API) Token() string { return a.accounts[0].Token }

// UserToken returns the user token that belongs to an e-mail address in any account, or "".
func (a *API) UserToken(email string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, acc := range a.accounts {
		for _, user := range acc.Users {
			if user.Email == email {
				return user.Token
			}
		}
	}
	return ""
}

// AddFolder makes a folder in the first account, as a person does in the web app, and returns its
// token for folder_token.
func (a *API) AddFolder(path string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	normal, _ := folder(path)
	token := newUUID()
	a.accounts[0].folders[token] = normal
	return token
}

// BaseURL returns the base of the first account's API, with a slash at the end, such as
// https://sandbox.api.zapsign.com.br/api/v1/.
func (a *API) BaseURL() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accounts[0].Production {
		return a.addresses.Production + "/api/v1/"
	}
	return a.addresses.Sandbox + "/api/v1/"
}

func orDefault[T comparable](value, otherwise T) T {
	var none T
	if value == none {
		return otherwise
	}
	return value
}
