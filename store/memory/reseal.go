package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/enlace-go/enlace"
)

// CredentialsNotSealedBy implements [enlace.CredentialResealer].
func (s *Store) CredentialsNotSealedBy(ctx context.Context, keyID uint64, after enlace.CredentialKey, limit int) ([]enlace.StoredCredential, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end(ctx)
	var keys []enlace.CredentialKey
	for key, stored := range s.credentials.all() {
		if stored.Data != nil && stored.KeyID != keyID && compareKeys(key, after) > 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	keys = keys[:min(len(keys), max(limit, 0))]
	values := make([]enlace.StoredCredential, len(keys))
	for i, key := range keys {
		values[i] = enlace.StoredCredential{CredentialKey: key, Sealed: *s.credentials.value(key).current()}
	}
	return values, nil
}

// ResealCredentials implements [enlace.CredentialResealer].
func (s *Store) ResealCredentials(ctx context.Context, values []enlace.StoredCredential) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end(ctx)
	replaced := 0
	for _, v := range values {
		stored := s.credentials.value(v.CredentialKey)
		held := s.turns[v.CredentialKey] != nil && len(s.turns[v.CredentialKey].running) > 0
		if stored.Data == nil || stored.Version != v.Version || held {
			continue
		}
		stored.Data, stored.KeyID, stored.Version, stored.UpdatedAt = bytes.Clone(v.Data), v.KeyID, v.Version+1, now()
		s.credentials.set(s.undo, v.CredentialKey, stored)
		replaced++
	}
	return replaced, nil
}

// LoadKeyring implements [enlace.KeyringStore].
func (s *Store) LoadKeyring(ctx context.Context) (enlace.KeyringRecord, error) {
	if err := s.begin(ctx); err != nil {
		return enlace.KeyringRecord{}, err
	}
	defer s.end(ctx)
	r := s.keyring.value(struct{}{})
	r.Data = bytes.Clone(r.Data)
	return r, nil
}

// SaveKeyring implements [enlace.KeyringStore].
func (s *Store) SaveKeyring(ctx context.Context, r enlace.KeyringRecord) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end(ctx)
	if r.Version != s.keyring.value(struct{}{}).Version {
		return enlace.ErrConflict
	}
	s.keyring.set(s.undo, struct{}{}, enlace.KeyringRecord{Data: bytes.Clone(r.Data), Version: r.Version + 1})
	return nil
}

func compareKeys(a, b enlace.CredentialKey) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
}
