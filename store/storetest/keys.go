package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/enlace-go/enlace"
)

// TestResealer checks a store that is a [enlace.CredentialResealer]. open returns
// an empty store each time.
func TestResealer(t *testing.T, open func(t *testing.T) enlace.CredentialStore) {
	t.Run("ListsWhatAnotherKeySealed", func(t *testing.T) { testNotSealedBy(t, open(t)) })
	t.Run("ReplacesByVersion", func(t *testing.T) { testReseal(t, open(t)) })
	t.Run("LeavesHeldValuesAlone", func(t *testing.T) { testResealUnderLease(t, open(t)) })
}

// TestKeyring checks a store that is a [enlace.KeyringStore]. open returns an
// empty store each time.
func TestKeyring(t *testing.T, open func(t *testing.T) enlace.KeyringStore) {
	t.Run("SavesByVersion", func(t *testing.T) { testKeyringVersions(t, open(t)) })
	t.Run("OneWriterWins", func(t *testing.T) { testKeyringRace(t, open(t)) })
}

// resealKeys are in their order; their tenants and ids must not be run together.
var resealKeys = []enlace.CredentialKey{
	{Ref: enlace.Ref{Tenant: "A", ID: "1"}, Name: "account"},
	{Ref: enlace.Ref{Tenant: "a", ID: "1"}, Name: "account"},
	{Ref: enlace.Ref{Tenant: "a", ID: "1"}, Name: "other"},
	{Ref: enlace.Ref{Tenant: "a", ID: "10"}, Name: "account"},
	{Ref: enlace.Ref{Tenant: "ab", ID: "0"}, Name: "account"},
}

func sealAll(t *testing.T, s enlace.CredentialStore, keyID uint64) {
	t.Helper()
	for _, key := range resealKeys {
		err := s.UpdateCredential(t.Context(), key, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
			return &enlace.Sealed{Data: []byte("sealed " + key.String() + key.Name), KeyID: keyID}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func testNotSealedBy(t *testing.T, s enlace.CredentialStore) {
	resealer := s.(enlace.CredentialResealer)
	const big = 1<<63 + 7 // ids use all 64 bits
	sealAll(t, s, big)
	var listed []enlace.CredentialKey
	var after enlace.CredentialKey
	for {
		values, err := resealer.CredentialsNotSealedBy(t.Context(), 1, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(values) > 2 {
			t.Fatalf("CredentialsNotSealedBy gave %d values for a limit of 2", len(values))
		}
		if len(values) == 0 {
			break
		}
		for _, v := range values {
			if v.KeyID != big || v.Version != 1 || !bytes.Equal(v.Data, []byte("sealed "+v.CredentialKey.String()+v.Name)) {
				t.Errorf("%v: key %x, version %d, data %q; want the stored value", v.CredentialKey, v.KeyID, v.Version, v.Data)
			}
			listed = append(listed, v.CredentialKey)
		}
		after = values[len(values)-1].CredentialKey
	}
	if fmt.Sprint(listed) != fmt.Sprint(resealKeys) {
		t.Errorf("CredentialsNotSealedBy must give all tenants' values in order of their keys: %v, want %v", listed, resealKeys)
	}
	if values, err := resealer.CredentialsNotSealedBy(t.Context(), big, enlace.CredentialKey{}, 10); err != nil || len(values) > 0 {
		t.Errorf("values sealed by the key itself must be left out: %v, %v", values, err)
	}
	if err := s.DeleteCredential(t.Context(), resealKeys[0]); err != nil {
		t.Fatal(err)
	}
	if values, err := resealer.CredentialsNotSealedBy(t.Context(), 1, enlace.CredentialKey{}, 10); err != nil || len(values) != len(resealKeys)-1 {
		t.Errorf("deleted values must be left out: %d values, %v", len(values), err)
	}
}

func testReseal(t *testing.T, s enlace.CredentialStore) {
	resealer := s.(enlace.CredentialResealer)
	sealAll(t, s, 1)
	values, err := resealer.CredentialsNotSealedBy(t.Context(), 2, enlace.CredentialKey{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range values {
		values[i].Data, values[i].KeyID = []byte("anew"), 2
	}
	values[1].Version = 9 // somebody else was faster
	values = append(values, enlace.StoredCredential{CredentialKey: enlace.CredentialKey{Ref: enlace.Ref{Tenant: "none"}}, Sealed: enlace.Sealed{Data: []byte("x"), Version: 1}})
	n, err := resealer.ResealCredentials(t.Context(), values)
	if err != nil || n != len(resealKeys)-1 {
		t.Errorf("ResealCredentials must count what it replaced: %d, %v; want %d", n, err, len(resealKeys)-1)
	}
	for i, key := range resealKeys {
		got, err := s.LoadCredential(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		replaced := string(got.Data) == "anew" && got.KeyID == 2 && got.Version == 2
		if replaced == (i == 1) {
			t.Errorf("%v: %q, key %d, version %d; only values whose version is still the given one are replaced", key, got.Data, got.KeyID, got.Version)
		}
	}
	if n, err := resealer.ResealCredentials(t.Context(), nil); err != nil || n != 0 {
		t.Errorf("nothing to replace: %d, %v", n, err)
	}
}

func testResealUnderLease(t *testing.T, s enlace.CredentialStore) {
	resealer := s.(enlace.CredentialResealer)
	sealAll(t, s, 1)
	key := resealKeys[0]
	err := s.UpdateCredential(t.Context(), key, func(ctx context.Context, cur *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
		n, err := resealer.ResealCredentials(ctx, []enlace.StoredCredential{{CredentialKey: key,
			Sealed: enlace.Sealed{Data: []byte("anew"), KeyID: 2, Version: cur.Version}}})
		if err != nil || n != 0 {
			t.Errorf("a value whose lease is held must be left alone: %d replaced, %v", n, err)
		}
		return &enlace.Sealed{Data: []byte("refreshed"), KeyID: 2}, nil
	})
	if err != nil {
		t.Errorf("resealing must not take the lease from its holder: %v", err)
	}
	if got, err := s.LoadCredential(t.Context(), key); err != nil || string(got.Data) != "refreshed" {
		t.Errorf("the holder's value must be stored: %q, %v", got.Data, err)
	}
}

func testKeyringVersions(t *testing.T, s enlace.KeyringStore) {
	got, err := s.LoadKeyring(t.Context())
	if err != nil || got.Version != 0 || got.Data != nil {
		t.Fatalf("an empty store has the zero keyring: %+v, %v", got, err)
	}
	for version := range int64(3) {
		data := []byte{0, byte(version), 0xff}
		if err := s.SaveKeyring(t.Context(), enlace.KeyringRecord{Data: data, Version: version}); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveKeyring(t.Context(), enlace.KeyringRecord{Data: []byte("late"), Version: version}); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("a save over version %d, which is gone, must be ErrConflict: %v", version, err)
		}
		got, err := s.LoadKeyring(t.Context())
		if err != nil || got.Version != version+1 || !bytes.Equal(got.Data, data) {
			t.Errorf("after the save: %+v, %v; want version %d", got, err, version+1)
		}
	}
	if err := s.SaveKeyring(t.Context(), enlace.KeyringRecord{Data: []byte("ahead"), Version: 9}); !errors.Is(err, enlace.ErrConflict) {
		t.Errorf("a save over a version that never was must be ErrConflict: %v", err)
	}
}

func testKeyringRace(t *testing.T, s enlace.KeyringStore) {
	for version := range int64(20) {
		var won atomic.Int32
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				err := s.SaveKeyring(t.Context(), enlace.KeyringRecord{Data: []byte{byte(i)}, Version: version})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, enlace.ErrConflict) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 16 saves over version %d won, want exactly one", won.Load(), version)
		}
	}
}
