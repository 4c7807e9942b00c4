package file

import (
	"bytes"
	"context"
	"errors"

	"github.com/enlace-go/enlace"
)

// CredentialsNotSealedBy implements [enlace.CredentialResealer]. It reads all
// files each time: ask for many at once.
func (s *Store) CredentialsNotSealedBy(ctx context.Context, keyID uint64, after enlace.CredentialKey, limit int) ([]enlace.StoredCredential, error) {
	found, err := s.records(ctx, "", func(r record) bool {
		return r.KeyID != keyID && compareKeys(r.key(), after) > 0
	})
	if err != nil {
		return nil, failed("list credentials", err)
	}
	found = found[:min(len(found), max(limit, 0))]
	values := make([]enlace.StoredCredential, len(found))
	for i, r := range found {
		values[i] = enlace.StoredCredential{CredentialKey: r.key(), Sealed: *r.sealed()}
	}
	return values, nil
}

// ResealCredentials implements [enlace.CredentialResealer]. Each file is replaced
// by itself; the directory is synced once, at the end.
func (s *Store) ResealCredentials(ctx context.Context, values []enlace.StoredCredential) (int, error) {
	replaced := 0
	var err error
	for i := 0; i < len(values) && err == nil; i++ {
		var done bool
		if done, err = s.reseal(ctx, values[i]); done {
			replaced++
		}
	}
	if replaced > 0 {
		err = errors.Join(err, s.dir.sync())
	}
	return replaced, failed("reseal credentials", err)
}

// reseal replaces one value, unless it has changed or is about to.
func (s *Store) reseal(ctx context.Context, v enlace.StoredCredential) (bool, error) {
	name, err := fileName(v.CredentialKey)
	if err != nil {
		return false, err
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return false, err
	}
	defer unlock()
	stored, err := s.load(v.CredentialKey, name)
	if err != nil || stored.Deleted || stored.Version != v.Version {
		return false, err
	}
	last, err := s.lastHolder(name)
	if err != nil || last.alive {
		return false, err
	}
	data, err := stored.next(bytes.Clone(v.Data), v.KeyID).encode()
	if err != nil {
		return false, err
	}
	err = s.dir.replace(name+valueSuffix, name+temporarySuffix, data)
	return err == nil, err
}
