package enlace

import (
	"context"
	"sync"
	"time"

	"github.com/enlace-go/enlace/internal/seal"
)

const (
	// cacheTime is how long a process goes by what it has opened. Changes made by
	// this process are seen at once, those of others after this time, or when the
	// provider refuses the old token.
	cacheTime = 5 * time.Second
	// saveDelay is the first pause before a save that failed is tried again.
	saveDelay = 100 * time.Millisecond
	// cacheSize bounds the credentials that are kept in the clear.
	cacheSize = 10_000
)

// Safe seals credentials above a store, so that no store can forget to. What is
// sealed is bound to its place (tenant, integration, name) and to the host that
// the secret may be sent to: a row that is copied elsewhere, or whose
// integration is pointed at another host, does not open. It is safe for
// concurrent use.
type Safe struct {
	store   CredentialStore
	records RecordResealer // what else the keys have sealed; nil for a safe without a service
	keys    KeySource

	mu      sync.RWMutex
	cache   map[CredentialKey]opened
	swept   time.Time // when what is too old was last removed from the cache
	unsaved map[CredentialKey]unsaved
}

// unsaved is what an update returned and the store has not confirmed.
type unsaved struct {
	credential Credential
	after      int64 // the stored version that it follows
}

// opened is a credential in the clear, for a few seconds.
type opened struct {
	host       string
	credential Credential
	version    int64
	until      time.Time
}

// NewSafe returns a safe over the store. Both arguments are required.
func NewSafe(store CredentialStore, keys KeySource) *Safe {
	return &Safe{store: store, keys: keys, cache: map[CredentialKey]opened{}, unsaved: map[CredentialKey]unsaved{}}
}

// Place is where a credential is kept and where its secrets may go.
type Place struct {
	CredentialKey
	Host string // host and port of the provider's API for this account
}

func (p Place) context() seal.Context {
	return seal.Context{Kind: "credential", Tenant: p.Tenant, Integration: p.ID, Name: p.Name, Host: p.Host}
}

// Get opens the credential at p. Its maps and token are shared: do not change
// them. It returns ErrNoCredential if there is none and ErrKey if it cannot be opened.
func (s *Safe) Get(ctx context.Context, p Place) (Credential, error) {
	s.mu.RLock()
	o, ok := s.cache[p.CredentialKey]
	s.mu.RUnlock()
	if ok && o.host == p.Host && time.Now().Before(o.until) {
		return o.credential, nil
	}
	return s.reload(ctx, p)
}

// reload opens the credential as it is stored now.
func (s *Safe) reload(ctx context.Context, p Place) (Credential, error) {
	sealed, err := s.store.LoadCredential(ctx, p.CredentialKey)
	if err != nil {
		return Credential{}, wrap("load credential", ErrStore, err)
	}
	c, err := s.open(ctx, p, sealed.Data)
	if err == nil {
		s.remember(p, c, sealed.Version)
	}
	return c, err
}

// Put seals the credential and stores it at p, in place of what is there.
func (s *Safe) Put(ctx context.Context, p Place, c Credential) error {
	s.forget(p.CredentialKey)
	var version int64
	err := s.store.UpdateCredential(ctx, p.CredentialKey, func(ctx context.Context, cur *Sealed, _ bool) (*Sealed, error) {
		version = nextVersion(cur)
		return s.seal(ctx, p, c)
	})
	if err != nil {
		return wrap("store credential", ErrStore, err)
	}
	s.remember(p, c, version)
	return nil
}

// Update replaces the credential at p with what fn returns, if changed is true.
// At most one fn runs for a place at any time, across all processes that share
// the store; it sees the latest value. interrupted says that an earlier fn never
// came back, so what it spent may be lost. An error from fn is returned as it is
// and changes nothing.
//
// What fn returned is not lost when the store fails to save it: Update tries
// again for some seconds, and if it gives up, the next Update of this process
// takes it for the latest value and saves it.
func (s *Safe) Update(ctx context.Context, p Place,
	fn func(ctx context.Context, cur Credential, interrupted bool) (next Credential, changed bool, err error)) error {
	err := s.update(ctx, p, fn)
	unchanged := func(_ context.Context, cur Credential, _ bool) (Credential, bool, error) { return cur, false, nil }
	for delay := saveDelay; s.isUnsaved(p.CredentialKey) && delay < 16*saveDelay && pause(ctx, delay) == nil; delay *= 2 {
		err = s.update(ctx, p, unchanged)
	}
	return err
}

func (s *Safe) update(ctx context.Context, p Place,
	fn func(ctx context.Context, cur Credential, interrupted bool) (next Credential, changed bool, err error)) error {
	var fnErr error
	var latest Credential
	var version int64
	err := s.store.UpdateCredential(ctx, p.CredentialKey, func(ctx context.Context, sealed *Sealed, interrupted bool) (*Sealed, error) {
		var cur Credential
		if fnErr = ErrNoCredential; sealed == nil {
			s.forget(p.CredentialKey)
			return nil, fnErr
		}
		if cur, fnErr = s.open(ctx, p, sealed.Data); fnErr != nil {
			return nil, fnErr
		}
		spared, pending := s.unsavedAfter(p.CredentialKey, sealed.Version)
		if pending {
			cur, interrupted = spared, false
		}
		next, changed, err := fn(ctx, cur, interrupted)
		if fnErr = err; err != nil {
			return nil, err
		}
		if !changed && !pending {
			latest, version = cur, sealed.Version
			return nil, nil
		}
		latest, version = next, nextVersion(sealed)
		s.setUnsaved(p.CredentialKey, next, sealed.Version)
		return s.seal(ctx, p, next)
	})
	if fnErr != nil {
		return fnErr
	}
	if err != nil {
		return wrap("update credential", ErrStore, err)
	}
	s.remember(p, latest, version)
	return nil
}

// Delete removes the credential; it is no error if there is none.
func (s *Safe) Delete(ctx context.Context, key CredentialKey) error {
	err := s.store.DeleteCredential(ctx, key)
	s.forget(key)
	return wrap("delete credential", ErrStore, err)
}

func (s *Safe) seal(ctx context.Context, p Place, c Credential) (*Sealed, error) {
	plain, err := c.marshal()
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	key, err := s.keys.Primary(ctx)
	if err != nil {
		return nil, err
	}
	data, err := seal.Seal(key.key, seal.PurposeCredential, p.context(), plain)
	if err != nil {
		return nil, err
	}
	return &Sealed{Data: data, KeyID: key.ID()}, nil
}

func (s *Safe) open(ctx context.Context, p Place, data []byte) (Credential, error) {
	plain, err := openSealed(ctx, s.keys, seal.PurposeCredential, p.context(), data)
	if err != nil {
		return Credential{}, wrapKey("open credential", err)
	}
	defer clear(plain)
	c, err := unmarshalCredential(plain)
	return c, wrapKey("open credential", err)
}

// openSealed opens with the key that the sealed bytes name.
func openSealed(ctx context.Context, keys KeySource, purpose string, c seal.Context, data []byte) ([]byte, error) {
	return seal.Open(func(id seal.KeyID) (seal.Key, error) {
		k, err := keys.Key(ctx, uint64(id))
		return k.key, err
	}, purpose, c, data)
}

// wrapKey makes an error of opening match ErrKey, if it is not of a more precise kind.
func wrapKey(op string, err error) error {
	if err == nil || KindLabel(err) != "other" {
		return err
	}
	return &Error{Op: op, Kind: ErrKey, Outcome: OutcomeNotRun, Err: err}
}

// remember keeps an opened credential, unless a newer one is there.
func (s *Safe) remember(p Place, c Credential, version int64) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if u, ok := s.unsaved[p.CredentialKey]; ok && u.after < version {
		delete(s.unsaved, p.CredentialKey) // saved, or somebody has saved a newer one
	}
	if o, ok := s.cache[p.CredentialKey]; ok && o.version > version && now.Before(o.until) {
		return
	}
	if now.Sub(s.swept) > cacheTime { // nothing stays in the clear for long because nobody asks for it again
		for key, o := range s.cache {
			if !now.Before(o.until) {
				delete(s.cache, key)
			}
		}
		s.swept = now
	}
	if len(s.cache) >= cacheSize {
		clear(s.cache) // rare, and it costs one load each
	}
	s.cache[p.CredentialKey] = opened{host: p.Host, credential: c, version: version, until: now.Add(cacheTime)}
}

// forgetAll drops everything that is kept in the clear.
func (s *Safe) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.cache)
	clear(s.unsaved)
}

func (s *Safe) forget(key CredentialKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cache, key)
	delete(s.unsaved, key)
}

func (s *Safe) setUnsaved(key CredentialKey, c Credential, after int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsaved[key] = unsaved{credential: c, after: after}
}

func (s *Safe) isUnsaved(key CredentialKey) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.unsaved[key]
	return ok
}

// unsavedAfter returns what was to follow the stored version, if nobody else has
// stored anything since.
func (s *Safe) unsavedAfter(key CredentialKey, version int64) (Credential, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.unsaved[key]
	if ok && u.after != version {
		delete(s.unsaved, key)
		ok = false
	}
	return u.credential, ok
}

// nextVersion is the version that a store gives to what follows cur.
func nextVersion(cur *Sealed) int64 {
	if cur == nil {
		return 1
	}
	return cur.Version + 1
}
