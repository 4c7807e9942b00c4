package memory

import (
	"bytes"
	"context"
	"iter"
	"slices"

	"github.com/enlace-go/enlace"
)

// credential is what is kept for a key. It stays after the value is deleted, so
// that versions go on growing: a version never means two values.
type credential struct {
	enlace.Sealed      // Data is nil if there is no value
	interrupted   bool // a fn panicked, and no value was stored since
}

// turn lets one fn after the other run for a key. It exists while somebody runs
// or waits.
type turn struct {
	running chan struct{} // holds one element while a fn runs
	users   int           // who runs or waits
	revoked bool          // the value was deleted under the running fn
}

// LoadCredential implements [enlace.CredentialStore].
func (s *Store) LoadCredential(ctx context.Context, key enlace.CredentialKey) (enlace.Sealed, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.Sealed{}, err
	}
	defer s.end(ctx)
	current := s.credentials.value(key).current()
	if current == nil {
		return enlace.Sealed{}, enlace.ErrNoCredential
	}
	return *current, nil
}

// UpdateCredential implements [enlace.CredentialStore]. A fn that runs for ever
// keeps the key for ever: there is no other process that could take it over.
// interrupted says that an earlier fn panicked.
func (s *Store) UpdateCredential(ctx context.Context, key enlace.CredentialKey,
	fn func(ctx context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error)) error {
	if s.transaction(ctx) != nil {
		return enlace.ErrInTransaction
	}
	t, err := s.enter(ctx, key)
	if err != nil {
		return err
	}
	returned := false
	defer func() { s.leave(key, t, !returned) }()
	s.mu.Lock()
	stored := s.credentials.value(key)
	s.mu.Unlock()
	next, err := fn(ctx, stored.current(), stored.interrupted)
	returned = true
	if err != nil || next == nil {
		return err
	}
	return s.saveCredential(key, t, *next)
}

// enter waits for the key's turn.
func (s *Store) enter(ctx context.Context, key enlace.CredentialKey) (*turn, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	t := s.turns[key]
	if t == nil {
		t = &turn{running: make(chan struct{}, 1)}
		s.turns[key] = t
	}
	t.users++
	s.mu.Unlock()
	select {
	case t.running <- struct{}{}:
		return t, nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget(key, t)
		return nil, ctx.Err()
	}
}

func (s *Store) leave(key enlace.CredentialKey, t *turn, panicked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if panicked {
		stored := s.credentials.value(key)
		stored.interrupted = true
		s.credentials.set(nil, key, stored)
	}
	t.revoked = false
	<-t.running
	s.forget(key, t)
}

func (s *Store) forget(key enlace.CredentialKey, t *turn) {
	if t.users--; t.users == 0 {
		delete(s.turns, key)
	}
}

func (s *Store) saveCredential(key enlace.CredentialKey, t *turn, next enlace.Sealed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.revoked {
		return enlace.ErrConflict
	}
	s.credentials.set(nil, key, credential{Sealed: enlace.Sealed{
		Data: bytes.Clone(next.Data), KeyID: next.KeyID, Version: s.credentials.value(key).Version + 1, UpdatedAt: now()}})
	return nil
}

// DeleteCredential implements [enlace.CredentialStore]. It does not wait for a
// running fn: what that fn returns is not stored, and its caller gets
// ErrConflict.
func (s *Store) DeleteCredential(ctx context.Context, key enlace.CredentialKey) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if t := s.turns[key]; t != nil && len(t.running) > 0 {
		t.revoked = true
	}
	stored := s.credentials.value(key)
	if stored.Data != nil {
		stored.Version++
	}
	if stored.Version > 0 {
		s.credentials.set(s.undo, key, credential{Sealed: enlace.Sealed{Version: stored.Version}})
	} else {
		s.credentials.delete(s.undo, key)
	}
	return nil
}

// Credentials implements [enlace.CredentialStore]. It yields the keys that have
// a value when the iteration begins.
func (s *Store) Credentials(ctx context.Context, tenant string) iter.Seq2[enlace.CredentialKey, error] {
	return func(yield func(enlace.CredentialKey, error) bool) {
		keys, err := s.credentialKeys(ctx, tenant)
		if err != nil {
			yield(enlace.CredentialKey{}, err)
			return
		}
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				yield(enlace.CredentialKey{}, err)
				return
			}
			if !yield(key, nil) {
				return
			}
		}
	}
}

func (s *Store) credentialKeys(ctx context.Context, tenant string) ([]enlace.CredentialKey, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var keys []enlace.CredentialKey
	for key, stored := range s.credentials.all() {
		if key.Tenant == tenant && stored.Data != nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys, nil
}

// current is a copy of the value, nil if there is none.
func (c credential) current() *enlace.Sealed {
	if c.Data == nil {
		return nil
	}
	value := c.Sealed
	value.Data = bytes.Clone(value.Data)
	return &value
}
