package enlace

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
)

// storeTimeout bounds a save that must happen although the caller has gone.
const storeTimeout = 10 * time.Second

// Config is what a service is made of. Fields without a default are required.
type Config struct {
	Registry *Registry // the adapters that may be used
	Store    Store     // where everything is remembered
	Keys     KeySource // seals the credentials; there is no unsealed mode

	// Credentials keeps the sealed credentials. Defaults to Store.
	Credentials CredentialStore
	// OAuth holds the registered apps by provider name. An integration whose
	// credential has its own "client_id" and "client_secret" does not need one.
	OAuth map[string]OAuthApp
	// Sink takes what Sync pulls, unless the options name another. Defaults to
	// none: Sync then needs one in its options.
	Sink Sink
	// Mappings reads the mapping documents of integrations, such as live.Engine of
	// package mapping/live. Defaults to none: no mapping can be saved then, and an
	// entity that has an active one is not synchronised.
	Mappings MappingEngine
	// RunLease is how long an entity stays reserved for a run that does not come
	// back; a process that dies holds others up for as long. Defaults to 30 seconds.
	RunLease time.Duration
	// RunRetention is how long the records of runs are kept after they have ended.
	// Defaults to 30 days.
	RunRetention time.Duration
	// Workers is how many queued runs Service.Run carries out at a time, of different
	// integrations: those of schedules, StartSync and ResumeRun. Defaults to 4; a
	// negative number is none.
	Workers int
	// Egress says which addresses may be called beside public ones. Defaults to none.
	Egress Egress
	// Transport sends the requests. Defaults to one that calls only addresses
	// that Egress allows, checked after name resolution; whoever sets it takes
	// over that check. It must be safe for concurrent use.
	Transport http.RoundTripper
	// MaxBody bounds one answer, in bytes. Defaults to 10 MiB.
	MaxBody int64
	// HealthInterval is how often Run checks each integration, unless its setting
	// "healthInterval" says otherwise. Defaults to 30 seconds; less than 0 checks nothing.
	HealthInterval time.Duration
	// OnHealthChange is told of integrations whose health has changed, after the
	// change is stored: in one process, once for each change, outside of
	// maintenance windows. If it fails, it is told the then current state again
	// a little later. Defaults to none.
	OnHealthChange func(ctx context.Context, changes []HealthChange) error
	// DisabledFlags are off unless Flags or a rule says otherwise. Defaults to none: all are on.
	DisabledFlags []Flag
	// Flags answers feature flags from outside, such as an OpenFeature client; see
	// [Service.FlagEnabled]. Defaults to none.
	Flags Flags
	// TenantLimits bounds what one tenant may have and do. It is asked often and
	// answers from memory. Defaults to no limits.
	TenantLimits func(tenant string) TenantLimits
	// Webhooks is how deliveries are taken and worked on.
	Webhooks WebhookConfig
	// Engine spreads the work of Run over processes, such as that of engine/river; it
	// must use the same Store, and belongs to this service alone. Defaults to NewEngine.
	Engine Engine
	// Logger gets what operators need. Defaults to none.
	Logger *slog.Logger
	// Observer gets everything that happens, for audit, metrics and traces.
	// Defaults to none.
	Observer Observer
}

func (c Config) workers() int {
	if c.Workers == 0 {
		return defaultWorkers
	}
	return max(c.Workers, 0)
}

// Egress widens the addresses that enlace calls. Without it only public
// addresses are called, on ports 80 and 443, and by https only.
type Egress struct {
	// AllowPrefixes are networks that may be called although they are private,
	// such as 10.1.0.0/16 for a self-hosted provider or 127.0.0.0/8 in tests. Any
	// port is fine there, and plain http if the address is written out.
	AllowPrefixes []netip.Prefix
	// AllowPorts replaces 80 and 443 for public addresses.
	AllowPorts []uint16
}

// OAuthApp is the host's registration at a provider.
type OAuthApp struct {
	ClientID     string // empty, as the secret, where every account has its own app
	ClientSecret Secret
	// AuthURL and TokenURL replace the adapter's; for a provider's sandbox or a
	// fake. The client's secret and the refresh tokens go to TokenURL.
	AuthURL, TokenURL string
}

// Service is the library at work: it manages integrations and moves records. It
// is safe for concurrent use. New starts nothing; see [Service.Close] for what to
// wait for at the end.
type Service struct {
	config   Config
	store    Store
	safe     *Safe
	base     http.RoundTripper // calls of adapters
	tokens   *http.Client      // token endpoints: no kept connections, no redirects
	logins   *http.Client      // what Authenticators call: as tokens, with any answer
	egress   guard.Policy
	logger   *slog.Logger
	reveals  reveals
	quotasMu sync.Mutex
	quotas   map[string]*quota

	exportedHeads map[string]int64 // of audit chains, by tenant; of one loop of Run
	summedUp      summedUp         // of metrics; of another one
	meter         *meter
	monitor       *monitor
	flags         flagRules
	tenantTurns   tenantTurns
	breakersMu    sync.Mutex
	breakers      map[BreakerName]*breaker
	breakerReads  sharedBreakers
	lastOrder     atomic.Int64 // see nextOrder

	flightsMu  sync.Mutex
	flights    map[Place]*flight
	accounts   accountReads
	background sync.WaitGroup // refreshes and looks into the store under way; see Close

	webhooks    WebhookConfig // with its defaults
	endpoints   endpoints
	refusals    limiters[sourceKey]
	arrivals    limiters[Ref]
	inFlight    memoryBudget // of bodies on their way in
	commits     groupCommit[*arrival]
	deliveryIDs deliveryIDs
	spill       *spillDirectory // nil if the host wants none
	engine      Engine          // carries out what waits in the store
	alone       bool            // the engine is of this process only

	signals    signals
	watchersMu sync.RWMutex
	watchers   map[uint64]Observer // see Watch
	watched    atomic.Int64        // how many they are
	watcherKey uint64
}

// New returns a service. Every fault of cfg is in the one error.
func New(cfg Config) (*Service, error) {
	var faults ValidationError
	if cfg.Registry == nil {
		faults.add("Registry", "missing", "NewRegistry(adapters...)")
	}
	if cfg.Store == nil {
		faults.add("Store", "missing", "a store from the packages under store/")
	}
	if ring, fixed := cfg.Keys.(*Keyring); cfg.Keys == nil || (fixed && ring == nil) {
		faults.add("Keys", "missing", "NewKeyring with a key from ParseKey; there is no unsealed mode")
	}
	if cfg.MaxBody < 0 {
		faults.add("MaxBody", "negative", "a number of bytes, or 0 for 10 MiB")
	}
	for name, app := range cfg.OAuth {
		if (app.ClientID == "") != app.ClientSecret.IsZero() {
			faults.add("OAuth["+name+"]", "a client id without a secret, or the reverse", "both, as the provider issued them, or none")
		}
	}
	cfg.Webhooks.check(&faults)
	if err := faults.orNil(); err != nil {
		return nil, err
	}
	s := &Service{config: cfg, store: cfg.Store, logger: cfg.Logger, quotas: map[string]*quota{}, flights: map[Place]*flight{}, accounts: accountReads{going: map[Ref]*accountRead{}}, breakers: map[BreakerName]*breaker{},
		watchers: map[uint64]Observer{},
		meter:    newMeter(), exportedHeads: map[string]int64{}, summedUp: summedUp{hours: map[time.Time]bool{}, days: map[time.Time]bool{}}}
	s.monitor = newMonitor(s)
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	credentials := cfg.Credentials
	if credentials == nil {
		credentials = cfg.Store
	}
	s.safe = NewSafe(credentials, cfg.Keys)
	s.safe.records = cfg.Store
	s.prepareWebhooks(cfg.Webhooks.withDefaults())
	if s.engine = cfg.Engine; s.engine == nil {
		s.engine = NewEngine(cfg.Store, s.logger)
	}
	_, s.alone = s.engine.(*processEngine)
	if err := s.engine.Register(s.jobKinds()...); err != nil {
		return nil, err
	}
	// No limit of its own for the headers: a provider may work as long on a request
	// as the integration's timeout allows.
	s.egress = guard.Policy{AllowPrefixes: cfg.Egress.AllowPrefixes, AllowPorts: cfg.Egress.AllowPorts, HeaderTimeout: -1}
	s.base = cfg.Transport
	tokenTransport := cfg.Transport
	if s.base == nil {
		s.base = guard.Transport(s.egress)
		// A GET or POST on a kept connection may be sent twice by net/http; a
		// refresh token must not be.
		single := guard.Transport(s.egress)
		single.DisableKeepAlives = true
		tokenTransport = single
	}
	s.tokens, s.logins = newTokenClient(tokenTransport, checkTokenAnswer), newTokenClient(tokenTransport, nil)
	return s, nil
}

// Registry returns the registry that the service was made with.
func (s *Service) Registry() *Registry { return s.config.Registry }

// Safe returns the safe in which the service keeps credentials.
func (s *Service) Safe() *Safe { return s.safe }

// NewIntegration is what an integration is created from.
type NewIntegration struct {
	Tenant     string
	Provider   string
	Name       string // for people; empty takes the provider's title
	Settings   map[string]string
	Features   []Feature
	Credential *Credential // nil leaves the integration pending
	Disabled   bool
}

// Create validates and stores an integration, with its credential if there is one.
// Errors: ErrUnknownProvider, [*ValidationError] with every fault, ErrBlocked,
// ErrStore.
func (s *Service) Create(ctx context.Context, n NewIntegration) (Integration, error) {
	adapter, err := s.config.Registry.Lookup(n.Provider)
	if err != nil {
		return Integration{}, err
	}
	d := adapter.Describe()
	now := time.Now().UTC()
	in := Integration{Ref: Ref{Tenant: n.Tenant, ID: newID(now)}, Provider: n.Provider, Name: orDefault(n.Name, d.Title),
		Settings: maps.Clone(n.Settings), Features: slices.Clone(n.Features), Enabled: !n.Disabled,
		Status: StatusPending, Version: 1, CreatedAt: now, UpdatedAt: now}
	if in.BaseURL, err = s.validate(d, in, n.Credential); err != nil {
		return Integration{}, err
	}
	err = s.audited(ctx, audit("integration.create", in.Ref), func(ctx context.Context) error {
		if err := s.checkRoom(ctx, in.Tenant); err != nil {
			return err
		}
		return wrap("create integration", ErrStore, s.store.CreateIntegration(ctx, in))
	})
	if err != nil {
		return Integration{}, err
	}
	s.observe(ctx, IntegrationChanged{Ref: in.Ref, Provider: in.Provider, Action: "create"})
	if n.Credential == nil {
		return in, nil
	}
	return s.Connect(ctx, in.Ref, *n.Credential)
}

// Get returns one integration, or ErrNotFound.
func (s *Service) Get(ctx context.Context, ref Ref) (Integration, error) {
	in, err := s.store.Integration(ctx, ref)
	return in, wrap("integration", ErrStore, err)
}

// List returns a page of a tenant's integrations and the cursor of the next one,
// which is empty after the last. Errors: ErrInvalid for a bad cursor, ErrStore.
func (s *Service) List(ctx context.Context, q IntegrationQuery) ([]Integration, string, error) {
	list, next, err := s.store.Integrations(ctx, q)
	return list, next, wrap("integrations", ErrStore, err)
}

// Update stores the name, settings, features and enabled state of in, if nobody
// has changed the integration since in was read; otherwise it returns
// ErrConflict. Other fields are ignored. If the address changes to another host
// the credential no longer opens, since it is bound to the old one: the
// integration becomes pending and must be connected again.
func (s *Service) Update(ctx context.Context, in Integration) (Integration, error) {
	cur, err := s.Get(ctx, in.Ref)
	if err != nil {
		return Integration{}, err
	}
	if cur.Version != in.Version {
		return cur, &Error{Provider: cur.Provider, Op: "update integration", Kind: ErrConflict}
	}
	adapter, err := s.config.Registry.Lookup(cur.Provider)
	if err != nil {
		return Integration{}, err
	}
	changed := changedFields(cur, in)
	next := cur
	next.Name, next.Settings, next.Features, next.Enabled = in.Name, maps.Clone(in.Settings), slices.Clone(in.Features), in.Enabled
	cred, err := s.safe.Get(ctx, place(cur))
	if err != nil && !errors.Is(err, ErrNoCredential) && !errors.Is(err, ErrKey) {
		return Integration{}, err
	}
	locked := errors.Is(err, ErrKey)
	var held *Credential
	if err == nil {
		held = &cred
	}
	if next.BaseURL, err = s.validate(adapter.Describe(), next, held); err != nil {
		return Integration{}, err
	}
	if locked && next.BaseURL == "" {
		next.BaseURL = cur.BaseURL // it depends on the credential, which waits for its key
	}
	if place(next).Host != place(cur).Host {
		next.Status, next.StatusReason = StatusPending, "the address has changed; connect again"
	}
	var updated Integration
	err = s.audited(ctx, audit("integration.update", next.Ref, changed...), func(ctx context.Context) error {
		updated = next
		return s.replace(ctx, &updated)
	})
	if err != nil {
		return Integration{}, err
	}
	s.observe(ctx, IntegrationChanged{Ref: next.Ref, Provider: next.Provider, Action: "update", Fields: changed})
	return updated, nil
}

// Enable switches the integration on.
func (s *Service) Enable(ctx context.Context, ref Ref) (Integration, error) {
	return s.change(ctx, ref, "enable", func(in *Integration) { in.Enabled = true })
}

// Disable switches the integration off: Sync and Conn refuse with ErrDisabled.
// Runs that are on their way go on to their end.
func (s *Service) Disable(ctx context.Context, ref Ref) (Integration, error) {
	return s.change(ctx, ref, "disable", func(in *Integration) { in.Enabled = false })
}

// Delete removes the integration, its credential, checkpoints, states of records,
// mappings, inbox and health, all at once; the records of its runs and the audit log stay. What the
// host has pulled is the host's.
func (s *Service) Delete(ctx context.Context, ref Ref) error {
	var in Integration
	err := s.audited(ctx, audit("integration.delete", ref), func(ctx context.Context) (err error) {
		if in, err = s.Get(ctx, ref); err != nil {
			return err
		}
		for _, name := range []string{accountName, stateName, webhookName} {
			if err := s.safe.Delete(ctx, CredentialKey{Ref: ref, Name: name}); err != nil {
				return err
			}
		}
		if err := s.store.DeleteCheckpoints(ctx, ref); err != nil {
			return wrap("delete checkpoints", ErrStore, err)
		}
		if err := s.store.DeleteRecordStates(ctx, ref); err != nil {
			return wrap("delete record states", ErrStore, err)
		}
		if err := s.store.DeleteSchedules(ctx, ref); err != nil {
			return wrap("delete schedules", ErrStore, err)
		}
		if err := s.store.DeleteMappings(ctx, ref); err != nil {
			return wrap("delete mappings", ErrStore, err)
		}
		if err := s.store.DeleteRefusedRecords(ctx, ref); err != nil {
			return wrap("delete refused records", ErrStore, err)
		}
		if err := s.store.DeleteHealth(ctx, ref); err != nil {
			return wrap("delete health", ErrStore, err)
		}
		if err := s.store.DeleteInbox(ctx, ref); err != nil {
			return wrap("delete inbox", ErrStore, err)
		}
		for _, forget := range []func(context.Context, Ref) error{s.store.DeleteAllOutgoing, s.store.DeleteAllJournal, s.store.DeleteAllConflicts, s.store.DeleteBreakers} {
			if err := forget(ctx, ref); err != nil {
				return wrap("delete pushed changes", ErrStore, err)
			}
		}
		return wrap("delete integration", ErrStore, s.store.DeleteIntegration(ctx, ref, in.Version))
	})
	if err != nil {
		return err
	}
	s.safe.forget(place(in).CredentialKey) // somebody may have read it before the commit
	s.safe.forget(webhookPlace(ref).CredentialKey)
	s.forgetEndpoints(ref)
	s.observe(ctx, IntegrationChanged{Ref: ref, Provider: in.Provider, Action: "delete"})
	return nil
}

// Connect stores the credential of an integration, in place of the one it has.
// Errors: [*ValidationError], ErrNotFound, ErrBlocked, ErrStore.
func (s *Service) Connect(ctx context.Context, ref Ref, cred Credential) (Integration, error) {
	in, err := s.Get(ctx, ref)
	if err != nil {
		return Integration{}, err
	}
	adapter, err := s.config.Registry.Lookup(in.Provider)
	if err != nil {
		return Integration{}, err
	}
	d := adapter.Describe()
	base, err := s.validate(d, in, &cred)
	if err != nil {
		return Integration{}, err
	}
	scheme, err := d.scheme(cred.Scheme)
	if err != nil {
		return Integration{}, err
	}
	cred.Scheme = scheme.Scheme()
	in.BaseURL = base
	entry := audit("integration.connect", ref, slices.Sorted(maps.Keys(cred.Secrets))...)
	if err := s.announce(ctx, entry); err != nil {
		return Integration{}, err
	}
	if err := s.safe.Put(ctx, place(in), cred); err != nil {
		s.auditFailure(ctx, entry, err)
		return Integration{}, err
	}
	s.observe(ctx, CredentialChanged{Ref: ref, Provider: in.Provider, Action: "put"})
	return s.change(ctx, ref, "connect", func(cur *Integration) {
		cur.BaseURL, cur.Status, cur.StatusReason = base, StatusConnected, ""
		if _, code := scheme.(OAuth2); code && cred.Token == nil {
			cur.Status, cur.StatusReason = StatusPending, "the account has not been authorized yet"
		}
	})
}

// Disconnect removes the credential; the integration stays and is pending.
func (s *Service) Disconnect(ctx context.Context, ref Ref) (Integration, error) {
	in, err := s.edit(ctx, ref, "disconnect", func(ctx context.Context, in *Integration) error {
		in.Status, in.StatusReason = StatusPending, "disconnected"
		return s.safe.Delete(ctx, place(*in).CredentialKey)
	})
	if err == nil {
		s.safe.forget(place(in).CredentialKey) // somebody may have read it before the commit
		s.observe(ctx, CredentialChanged{Ref: ref, Provider: in.Provider, Action: "delete"})
	}
	return in, err
}

// change applies set to the integration as it is stored.
func (s *Service) change(ctx context.Context, ref Ref, action string, set func(*Integration)) (Integration, error) {
	return s.edit(ctx, ref, action, func(_ context.Context, in *Integration) error {
		set(in)
		return nil
	})
}

// edit applies apply to the integration as it is stored, in one transaction with
// what apply itself stores. It repeats that when somebody else was faster, which is
// right because apply sets what it means to set whatever stood there.
func (s *Service) edit(ctx context.Context, ref Ref, action string, apply func(context.Context, *Integration) error) (Integration, error) {
	for range 10 {
		var in Integration
		err := s.audited(ctx, audit("integration."+action, ref), func(ctx context.Context) (err error) {
			if in, err = s.Get(ctx, ref); err != nil {
				return err
			}
			if err = apply(ctx, &in); err != nil {
				return err
			}
			return s.replace(ctx, &in)
		})
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return Integration{}, err
		}
		s.observe(ctx, IntegrationChanged{Ref: ref, Provider: in.Provider, Action: action})
		return in, nil
	}
	return Integration{}, &Error{Op: action, Kind: ErrConflict}
}

// replace stores in, which carries the version that was read, and moves it on.
func (s *Service) replace(ctx context.Context, in *Integration) error {
	in.UpdatedAt = time.Now().UTC()
	if err := s.store.UpdateIntegration(ctx, *in); err != nil {
		return wrap("update integration", ErrStore, err)
	}
	in.Version++
	s.forgetEndpoints(in.Ref)
	return nil
}

// validate checks the settings and the credential of an integration, and returns
// the base URL that they give: the whole of it, or the origin only where the
// URL is a secret. It is empty where it depends on a credential that is still to come.
func (s *Service) validate(d Descriptor, in Integration, cred *Credential) (string, error) {
	var faults ValidationError
	collect := func(err error) {
		if v, ok := errors.AsType[*ValidationError](err); ok {
			faults.Faults = append(faults.Faults, v.Faults...)
		}
	}
	if strings.TrimSpace(in.Name) == "" || len(in.Name) > 200 {
		faults.add("name", "empty or too long", "1 to 200 bytes")
	}
	values, err := resolveSettings(d, in.Settings)
	collect(err)
	for _, f := range in.Features {
		if !slices.Contains(d.Features, f) {
			faults.add("features", "not a feature of "+d.Name+": "+string(f), joinWords(d.Features))
		}
	}
	scheme, err := credentialScheme(d, cred)
	collect(err)
	var base *url.URL
	if err == nil {
		base, err = baseURL(d, values, scheme, cred)
		collect(err)
	}
	if err := faults.orNil(); err != nil || base == nil {
		return "", err
	}
	if err := s.checkEgress(base); err != nil {
		return "", err
	}
	if _, secret := scheme.(SecretURL); secret {
		base = &url.URL{Scheme: base.Scheme, Host: base.Host}
	}
	return base.String(), nil
}

// credentialScheme finds the scheme of a credential and checks that its secrets
// are those of the scheme. It is nil if there is no credential.
func credentialScheme(d Descriptor, cred *Credential) (AuthScheme, error) {
	if cred == nil {
		return nil, nil
	}
	scheme, err := d.scheme(cred.Scheme)
	if err != nil {
		return nil, err
	}
	var faults ValidationError
	fields := scheme.SecretFields()
	for _, f := range fields {
		if f.Required && cred.Secrets[f.Name].IsZero() {
			faults.add(f.Name, "missing", orDefault(f.Help, f.Label))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cred.Secrets)) {
		if !slices.ContainsFunc(fields, func(f SecretField) bool { return f.Name == name }) {
			faults.add(name, "not a secret of the scheme "+scheme.Scheme(), secretNames(fields))
		}
	}
	return scheme, faults.orNil()
}

func secretNames(fields []SecretField) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

func joinWords[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// checkEgress refuses an address that could never be dialled, before anything
// is stored or sent. The dialler checks again, after name resolution.
func (s *Service) checkEgress(u *url.URL) error {
	if s.config.Transport != nil {
		return nil
	}
	if err := guard.CheckURL(s.egress, u); err != nil {
		return &Error{Op: "check address", Kind: ErrBlocked, Outcome: OutcomeNotRun, Err: err}
	}
	return nil
}

// accountName is the name of the credential that opens an integration's account.
const accountName = "account"

// place is where the credential that opens an integration is kept.
func place(in Integration) Place {
	p := Place{CredentialKey: CredentialKey{Ref: in.Ref, Name: accountName}}
	if u, err := url.Parse(in.BaseURL); err == nil {
		p.Host = u.Host
	}
	return p
}

func changedFields(a, b Integration) []string {
	var fields []string
	for name, same := range map[string]bool{
		"name": a.Name == b.Name, "settings": maps.Equal(a.Settings, b.Settings),
		"features": slices.Equal(a.Features, b.Features), "enabled": a.Enabled == b.Enabled,
	} {
		if !same {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	return fields
}

// observe tells everybody who follows what happens.
func (s *Service) observe(ctx context.Context, o Observation) {
	s.meter.record(o)
	s.monitor.note(o)
	s.signals.note(o)
	s.tell(ctx, o)
}

// observeRequest is observe for what happens most: without an allocation, unless
// somebody follows.
func (s *Service) observeRequest(ctx context.Context, o RequestDone) {
	o.Probe = isProbe(ctx)
	s.meter.request(&o)
	if s.config.Observer != nil || s.watched.Load() > 0 {
		s.tell(ctx, o)
	}
}

// tell gives the observation to the host's observer and to those of Watch.
func (s *Service) tell(ctx context.Context, o Observation) {
	if s.config.Observer != nil {
		s.config.Observer(ctx, o)
	}
	s.tellWatchers(ctx, o)
}

func (s *Service) tellWatchers(ctx context.Context, o Observation) {
	s.watchersMu.RLock()
	defer s.watchersMu.RUnlock()
	for _, watch := range s.watchers {
		watch(ctx, o)
	}
}
