package enlace

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace/internal/seal"
)

// Key is a root key that seals credentials: 32 bytes and an id. It shows as
// nothing but its id in any output.
type Key struct {
	key seal.Key
}

// ParseKey reads a key from its text: 32 bytes as standard base64, or as hex.
// Anything else, and a key without randomness (all bytes equal), is refused.
// The key's id is derived from its bytes, so the same text is the same key in
// every process.
func ParseKey(text Secret) (Key, error) {
	raw := text.Reveal()
	root, err := hex.DecodeString(raw)
	if err != nil || len(root) != seal.KeySize {
		root, err = base64.StdEncoding.DecodeString(raw)
	}
	if err != nil || len(root) != seal.KeySize {
		return Key{}, &ValidationError{Faults: []Fault{{Field: "key", Problem: "not a root key",
			Allowed: "32 random bytes as base64 (44 characters) or hex (64 characters), as enlace.GenerateKey makes them"}}}
	}
	return newKey(seal.DeriveKeyID(root), root)
}

func newKey(id seal.KeyID, root []byte) (Key, error) {
	k, err := seal.NewKey(id, root)
	if err != nil {
		return Key{}, &ValidationError{Faults: []Fault{{Field: "key", Problem: "weak", Allowed: "32 random bytes"}}}
	}
	return Key{key: k}, nil
}

// KeyFromEnv reads a key from an environment variable; see [ParseKey].
func KeyFromEnv(name string) (Key, error) {
	text := strings.TrimSpace(os.Getenv(name))
	if text == "" {
		return Key{}, &ValidationError{Faults: []Fault{{Field: name, Problem: "not set", Allowed: "a key from enlace.GenerateKey"}}}
	}
	return ParseKey(NewSecret(text))
}

// KeyFromFile reads a key from a file that holds nothing else; see [ParseKey].
func KeyFromFile(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, &Error{Op: "read key", Kind: ErrKeyUnavailable, Outcome: OutcomeNotRun, Err: err}
	}
	defer clear(text)
	return ParseKey(NewSecret(strings.TrimSpace(string(text))))
}

// GenerateKey makes a new random root key, in the text form that ParseKey reads.
// Keep it where the database is not: an environment variable, a secret manager.
func GenerateKey() Secret {
	return NewSecret(base64.StdEncoding.EncodeToString(randomRoot()))
}

func randomRoot() []byte {
	root := make([]byte, seal.KeySize)
	_, _ = rand.Read(root) // never fails: crypto/rand aborts the program instead
	return root
}

// ID is the key's identity as it stands beside every ciphertext. It is no secret.
func (k Key) ID() uint64 { return uint64(k.key.ID()) }

// String implements fmt.Stringer and shows only the id.
func (k Key) String() string { return fmt.Sprintf("enlace.Key(%016x)", k.ID()) }

// KeySource gives the root keys: [Keyring] from keys that the host holds,
// [ManagedKeys] from wrapped keys in the store. It is safe for concurrent use;
// both methods may do I/O and are called often, so they keep what they fetched.
type KeySource interface {
	// Primary returns the key that seals, or ErrKeyUnavailable.
	Primary(ctx context.Context) (Key, error)
	// Key returns the key of that id, for opening. Errors: ErrKeyUnknown,
	// ErrKeyDisabled, ErrKeyDestroyed, ErrKeyUnavailable (for now).
	Key(ctx context.Context, id uint64) (Key, error)
}

// Keyring is a fixed set of keys: one seals, all of them open. To rotate, start
// every process with the new key as a retiring one, then with the new one as
// primary and the old one retiring, call [Service.RotateKeys], and drop the old
// one. It is immutable and safe for concurrent use.
type Keyring struct {
	primary Key
	all     map[uint64]Key
}

// NewKeyring returns a keyring that seals with primary and opens with all keys.
// It returns an error if a key is there twice or is the zero Key.
func NewKeyring(primary Key, retiring ...Key) (*Keyring, error) {
	ring := &Keyring{primary: primary, all: map[uint64]Key{}}
	for _, k := range append([]Key{primary}, retiring...) {
		if k.ID() == 0 {
			return nil, &ValidationError{Faults: []Fault{{Field: "keys", Problem: "a key is empty", Allowed: "keys from ParseKey"}}}
		}
		if _, twice := ring.all[k.ID()]; twice {
			return nil, &ValidationError{Faults: []Fault{{Field: "keys", Problem: "the same key twice", Allowed: "different keys"}}}
		}
		ring.all[k.ID()] = k
	}
	return ring, nil
}

// Primary implements KeySource.
func (r *Keyring) Primary(context.Context) (Key, error) { return r.primary, nil }

// Key implements KeySource.
func (r *Keyring) Key(_ context.Context, id uint64) (Key, error) {
	if k, ok := r.all[id]; ok {
		return k, nil
	}
	return Key{}, &Error{Op: "find key", Kind: ErrKeyUnknown, Outcome: OutcomeNotRun, Code: keyName(id)}
}

// Wrapper encrypts root keys with a key that never leaves its place: a KMS. One
// call is made for each root key and process, not for each credential.
type Wrapper interface {
	// Wrap encrypts a root key and binds it to aad.
	Wrap(ctx context.Context, key, aad []byte) ([]byte, error)
	// Unwrap reverses Wrap; it fails if aad differs.
	Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
	// URI names the wrapping key, for instance "awskms:///alias/enlace". It is
	// stored with what was wrapped and is no secret.
	URI() string
}

// NewLocalWrapper returns a Wrapper whose wrapping key the host holds: envelope
// encryption without a KMS. Losing the key loses every credential.
func NewLocalWrapper(k Key) Wrapper { return localWrapper{k} }

type localWrapper struct{ key Key }

// purposeRootKey separates wrapped root keys from everything else that is sealed.
const purposeRootKey = "root-key"

func (w localWrapper) Wrap(_ context.Context, key, aad []byte) ([]byte, error) {
	return seal.Seal(w.key.key, purposeRootKey, seal.Context{Kind: "root-key", Name: string(aad)}, key)
}

func (w localWrapper) Unwrap(_ context.Context, wrapped, aad []byte) ([]byte, error) {
	return seal.Open(func(id seal.KeyID) (seal.Key, error) {
		if id != w.key.key.ID() {
			return seal.Key{}, seal.ErrKeyUnknown
		}
		return w.key.key, nil
	}, purposeRootKey, seal.Context{Kind: "root-key", Name: string(aad)}, wrapped)
}

func (w localWrapper) URI() string { return "local:" + keyName(w.key.ID()) }

// KeyState is where a managed key stands in its life.
type KeyState string

// The states, in the order in which a key goes through them.
const (
	KeyAnnounced KeyState = "announced" // every process can open with it; nobody seals with it yet
	KeyPrimary   KeyState = "primary"   // seals; there is exactly one
	KeyRetiring  KeyState = "retiring"  // opens what it sealed
	KeyDisabled  KeyState = "disabled"  // opens nothing, and can be enabled again
	KeyDestroyed KeyState = "destroyed" // gone for good; its id stays known
)

// KeyInfo describes a managed key without its bytes.
type KeyInfo struct {
	ID      uint64
	State   KeyState
	Wrapper string    // URI of what it is wrapped with
	Changed time.Time // when it came into its state
}

// managedKey is a key as it is stored.
type managedKey struct {
	ID      string    `json:"id"` // in hex
	State   KeyState  `json:"state"`
	Wrapper string    `json:"wrapper"`
	Wrapped []byte    `json:"wrapped,omitempty"` // nil once destroyed
	Changed time.Time `json:"changed"`
}

// ManagedKeys are root keys that are made at random, wrapped by a [Wrapper] and
// kept in the store, so that they can be rotated while everything runs. It is
// safe for concurrent use, and several processes share one keyring.
type ManagedKeys struct {
	store    KeyringStore
	wrapper  Wrapper
	wrappers map[string]Wrapper // by URI, with those of before
	keep     time.Duration

	mu       sync.Mutex
	record   KeyringRecord
	keys     []managedKey
	loaded   time.Time
	unlocked map[uint64]Key
}

// ManagedKeysConfig says where managed keys are kept.
type ManagedKeysConfig struct {
	Store   KeyringStore // required
	Wrapper Wrapper      // required; wraps new keys
	Older   []Wrapper    // those that keys in the store may still be wrapped with; see Rewrap
	// CacheTime is how long a process goes by what it has read of the keyring.
	// Defaults to 10 minutes.
	CacheTime time.Duration
}

const defaultKeyCacheTime = 10 * time.Minute

// reloadPause bounds how often ids that nobody knows make a process read the
// keyring again.
const reloadPause = time.Second

// NewManagedKeys returns the managed keys. The first key is made when it is first
// needed. It does no I/O.
func NewManagedKeys(cfg ManagedKeysConfig) (*ManagedKeys, error) {
	var faults ValidationError
	if cfg.Store == nil {
		faults.add("Store", "missing", "a KeyringStore, such as the service's Store")
	}
	if cfg.Wrapper == nil {
		faults.add("Wrapper", "missing", "a KMS, or NewLocalWrapper")
	}
	if err := faults.orNil(); err != nil {
		return nil, err
	}
	m := &ManagedKeys{store: cfg.Store, wrapper: cfg.Wrapper, keep: cfg.CacheTime,
		wrappers: map[string]Wrapper{}, unlocked: map[uint64]Key{}}
	if m.keep <= 0 {
		m.keep = defaultKeyCacheTime
	}
	for _, w := range append(slices.Clone(cfg.Older), cfg.Wrapper) {
		m.wrappers[w.URI()] = w
	}
	return m, nil
}

// Primary implements KeySource.
func (m *ManagedKeys) Primary(ctx context.Context) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refresh(ctx, m.keep); err != nil {
		return Key{}, err
	}
	for range 2 {
		for _, k := range m.keys {
			if k.State == KeyPrimary {
				return m.unlock(ctx, k)
			}
		}
		if err := m.edit(ctx, m.makeFirst); err != nil && !errors.Is(err, ErrConflict) {
			return Key{}, err
		}
	}
	return Key{}, &Error{Op: "find key", Kind: ErrKeyUnavailable, Outcome: OutcomeNotRun}
}

// Key implements KeySource. An id that is not known makes it read the keyring
// once more, since another process may have announced it.
func (m *ManagedKeys) Key(ctx context.Context, id uint64) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refresh(ctx, m.keep); err != nil {
		return Key{}, err
	}
	k, ok := m.find(id)
	if !ok {
		if err := m.refresh(ctx, reloadPause); err != nil {
			return Key{}, err
		}
		k, ok = m.find(id)
	}
	fail := func(kind error) (Key, error) {
		return Key{}, &Error{Op: "find key", Kind: kind, Outcome: OutcomeNotRun, Code: keyName(id)}
	}
	switch {
	case !ok:
		return fail(ErrKeyUnknown)
	case k.State == KeyDisabled:
		return fail(ErrKeyDisabled)
	case k.State == KeyDestroyed:
		return fail(ErrKeyDestroyed)
	}
	return m.unlock(ctx, k)
}

// Keys describes all keys, oldest first, as they are stored now.
func (m *ManagedKeys) Keys(ctx context.Context) ([]KeyInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	infos := make([]KeyInfo, len(m.keys))
	for i, k := range m.keys {
		infos[i] = KeyInfo{ID: k.id(), State: k.State, Wrapper: k.Wrapper, Changed: k.Changed}
	}
	return infos, nil
}

// Announce makes a new key that every process can open with before anyone seals
// with it. If one is announced already it returns that one.
func (m *ManagedKeys) Announce(ctx context.Context) (KeyInfo, error) {
	var info KeyInfo
	err := m.update(ctx, func(ctx context.Context) error {
		i := slices.IndexFunc(m.keys, func(k managedKey) bool { return k.State == KeyAnnounced })
		if i < 0 {
			k, err := m.generate(ctx, KeyAnnounced)
			if err != nil {
				return err
			}
			m.keys = append(m.keys, k)
			i = len(m.keys) - 1
		}
		k := m.keys[i]
		info = KeyInfo{ID: k.id(), State: k.State, Wrapper: k.Wrapper, Changed: k.Changed}
		return nil
	})
	return info, err
}

// Promote makes an announced key the primary, and the primary a retiring one, in
// one step. Do so only when every process has seen the announcement: after
// twice the CacheTime.
func (m *ManagedKeys) Promote(ctx context.Context, id uint64) error {
	return m.update(ctx, func(context.Context) error {
		i := slices.IndexFunc(m.keys, func(k managedKey) bool { return k.id() == id })
		if i < 0 {
			return &Error{Op: "promote key", Kind: ErrKeyUnknown, Code: keyName(id)}
		}
		if m.keys[i].State == KeyPrimary {
			return nil
		}
		if m.keys[i].State != KeyAnnounced {
			return wrongState("promote", id, m.keys[i].State, KeyAnnounced)
		}
		for j := range m.keys {
			if m.keys[j].State == KeyPrimary {
				m.keys[j].become(KeyRetiring)
			}
		}
		m.keys[i].become(KeyPrimary)
		return nil
	})
}

// Disable makes a retiring or announced key open nothing. Enable takes that back.
func (m *ManagedKeys) Disable(ctx context.Context, id uint64) error {
	return m.move(ctx, "disable", id, KeyDisabled, KeyRetiring, KeyAnnounced)
}

// Enable makes a disabled key a retiring one again.
func (m *ManagedKeys) Enable(ctx context.Context, id uint64) error {
	return m.move(ctx, "enable", id, KeyRetiring, KeyDisabled)
}

// Destroy forgets a disabled key. What is still sealed with it is lost.
func (m *ManagedKeys) Destroy(ctx context.Context, id uint64) error {
	return m.move(ctx, "destroy", id, KeyDestroyed, KeyDisabled)
}

// Rewrap wraps every key with the current Wrapper, after which Older is not
// needed any more. It returns how many keys it wrapped anew.
func (m *ManagedKeys) Rewrap(ctx context.Context) (int, error) {
	rewrapped := 0
	err := m.update(ctx, func(ctx context.Context) error {
		rewrapped = 0
		for i, k := range m.keys {
			if k.Wrapped == nil || k.Wrapper == m.wrapper.URI() {
				continue
			}
			root, err := m.unwrap(ctx, k)
			if err != nil {
				return err
			}
			k.Wrapper = m.wrapper.URI()
			k.Wrapped, err = m.wrapper.Wrap(ctx, root, k.aad())
			clear(root)
			if err != nil {
				return unavailable("wrap key", err)
			}
			m.keys[i] = k
			rewrapped++
		}
		return nil
	})
	return rewrapped, err
}

// move takes a key from one of some states to another; being there already is fine.
func (m *ManagedKeys) move(ctx context.Context, action string, id uint64, to KeyState, from ...KeyState) error {
	return m.update(ctx, func(context.Context) error {
		for i := range m.keys {
			k := &m.keys[i]
			if k.id() != id || k.State == to {
				if k.id() == id {
					return nil
				}
				continue
			}
			if !slices.Contains(from, k.State) {
				return wrongState(action, id, k.State, from...)
			}
			k.become(to)
			if to == KeyDestroyed {
				clear(k.Wrapped)
				k.Wrapped = nil
			}
			return nil
		}
		return &Error{Op: action + " key", Kind: ErrKeyUnknown, Code: keyName(id)}
	})
}

func wrongState(action string, id uint64, is KeyState, want ...KeyState) error {
	return &Error{Op: action + " key", Kind: ErrConflict, Code: keyName(id),
		Message: fmt.Sprintf("it is %s and must be %s", is, joinWords(want))}
}

// update edits the stored keyring; when another process was faster it reads
// again and edits that.
func (m *ManagedKeys) update(ctx context.Context, change func(ctx context.Context) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range 10 {
		if err := m.load(ctx); err != nil {
			return err
		}
		err := m.edit(ctx, change)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if e, ok := errors.AsType[*Error](err); ok && e.Message != "" {
			return err // the key's state, not a race
		}
	}
	return &Error{Op: "save keyring", Kind: ErrConflict}
}

// edit changes m.keys and saves them. On failure the next use reads the keyring again.
func (m *ManagedKeys) edit(ctx context.Context, change func(ctx context.Context) error) (err error) {
	defer func() {
		if err != nil {
			m.loaded = time.Time{}
		}
	}()
	before, err := json.Marshal(m.keys)
	if err != nil {
		return err
	}
	if err := change(ctx); err != nil {
		return err
	}
	after, err := json.Marshal(m.keys)
	if err != nil || string(before) == string(after) {
		return err
	}
	if err := m.store.SaveKeyring(ctx, KeyringRecord{Data: after, Version: m.record.Version}); err != nil {
		return wrap("save keyring", ErrStore, err)
	}
	m.record = KeyringRecord{Data: after, Version: m.record.Version + 1}
	return nil
}

func (m *ManagedKeys) makeFirst(ctx context.Context) error {
	k, err := m.generate(ctx, KeyPrimary)
	if err == nil {
		m.keys = append(m.keys, k)
	}
	return err
}

func (m *ManagedKeys) generate(ctx context.Context, state KeyState) (managedKey, error) {
	root := randomRoot()
	defer clear(root)
	k := managedKey{ID: keyName(uint64(seal.DeriveKeyID(root))), Wrapper: m.wrapper.URI()}
	k.become(state)
	var err error
	if k.Wrapped, err = m.wrapper.Wrap(ctx, root, k.aad()); err != nil {
		return k, unavailable("wrap key", err)
	}
	return k, nil
}

// refresh reads the keyring if what is known of it is older than age. A store
// that fails does not stop a process that knows the keys.
func (m *ManagedKeys) refresh(ctx context.Context, age time.Duration) error {
	if !m.loaded.IsZero() && time.Since(m.loaded) < age {
		return nil
	}
	if err := m.load(ctx); err != nil && len(m.keys) == 0 {
		return err
	}
	return nil
}

func (m *ManagedKeys) load(ctx context.Context) error {
	record, err := m.store.LoadKeyring(ctx)
	if err != nil {
		return unavailable("load keyring", err)
	}
	var keys []managedKey
	if len(record.Data) > 0 {
		if err := json.Unmarshal(record.Data, &keys); err != nil {
			return &Error{Op: "load keyring", Kind: ErrKey, Outcome: OutcomeNotRun, Message: "the stored keyring is not of a known form"}
		}
	}
	for _, k := range keys {
		if k.State == KeyDisabled || k.State == KeyDestroyed {
			delete(m.unlocked, k.id())
		}
	}
	m.record, m.keys, m.loaded = record, keys, time.Now()
	return nil
}

func (m *ManagedKeys) find(id uint64) (managedKey, bool) {
	for _, k := range m.keys {
		if k.id() == id {
			return k, true
		}
	}
	return managedKey{}, false
}

// unlock unwraps a key once in the life of the process.
func (m *ManagedKeys) unlock(ctx context.Context, k managedKey) (Key, error) {
	if key, ok := m.unlocked[k.id()]; ok {
		return key, nil
	}
	root, err := m.unwrap(ctx, k)
	if err != nil {
		return Key{}, err
	}
	defer clear(root)
	key, err := newKey(seal.KeyID(k.id()), root)
	if err != nil {
		return Key{}, err
	}
	m.unlocked[k.id()] = key
	return key, nil
}

func (m *ManagedKeys) unwrap(ctx context.Context, k managedKey) ([]byte, error) {
	w, ok := m.wrappers[k.Wrapper]
	if !ok {
		return nil, &Error{Op: "unwrap key", Kind: ErrKeyUnavailable, Outcome: OutcomeNotRun, Code: keyName(k.id()),
			Message: "no wrapper for " + k.Wrapper + "; add it to Older"}
	}
	root, err := w.Unwrap(ctx, k.Wrapped, k.aad())
	if err != nil {
		return nil, unavailable("unwrap key", err)
	}
	return root, nil
}

func unavailable(op string, err error) error {
	return &Error{Op: op, Kind: ErrKeyUnavailable, Outcome: OutcomeNotRun, Err: err}
}

func (k *managedKey) become(s KeyState) { k.State, k.Changed = s, time.Now().UTC() }

// aad binds a wrapped key to its id and its wrapper, so that rows cannot be swapped.
func (k managedKey) aad() []byte { return []byte("enlace/keyring/" + k.ID + "/" + k.Wrapper) }

func (k managedKey) id() uint64 {
	var id uint64
	_, _ = fmt.Sscanf(k.ID, "%x", &id) // 0, which is no key's id, if it is not hex
	return id
}

func keyName(id uint64) string { return fmt.Sprintf("%016x", id) }
