package enlace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

func newKey(t *testing.T) enlace.Key { return must(enlace.ParseKey(enlace.GenerateKey()))(t) }

func TestKeyFromEnvAndFile(t *testing.T) {
	text := enlace.GenerateKey().Reveal()
	t.Setenv("ENLACE_TEST_KEY", " "+text+"\n")
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := must(enlace.KeyFromEnv("ENLACE_TEST_KEY"))(t), must(enlace.KeyFromFile(path))(t)
	if a.ID() != b.ID() {
		t.Error("environment and file give different keys")
	}
	if _, err := enlace.KeyFromEnv("ENLACE_TEST_NO_KEY"); !errors.Is(err, enlace.ErrInvalid) || !strings.Contains(err.Error(), "ENLACE_TEST_NO_KEY") {
		t.Errorf("%v, want ErrInvalid that names the variable", err)
	}
	if _, err := enlace.KeyFromFile(path + "x"); !errors.Is(err, enlace.ErrKeyUnavailable) {
		t.Errorf("%v, want ErrKeyUnavailable", err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	f.Add("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := enlace.ParseKey(enlace.NewSecret(text)); err == nil && k.ID() == 0 {
			t.Error("a key without an id")
		}
	})
}

// managed are managed keys over a store, with a clock that tests can let run.
func managed(t *testing.T, store enlace.KeyringStore, w enlace.Wrapper, older ...enlace.Wrapper) *enlace.ManagedKeys {
	t.Helper()
	return must(enlace.NewManagedKeys(enlace.ManagedKeysConfig{Store: store, Wrapper: w, Older: older}))(t)
}

func TestManagedKeysGoThroughTheirStates(t *testing.T) {
	store, w := memory.New(), enlace.NewLocalWrapper(newKey(t))
	keys := managed(t, store, w)
	first := must(keys.Primary(t.Context()))(t)
	if again := must(managed(t, store, w).Primary(t.Context()))(t); again.ID() != first.ID() {
		t.Fatal("another process made another first key")
	}
	announced := must(keys.Announce(t.Context()))(t)
	if twice := must(keys.Announce(t.Context()))(t); twice.ID != announced.ID {
		t.Error("announcing twice makes two keys")
	}
	if _, err := keys.Key(t.Context(), announced.ID); err != nil {
		t.Errorf("an announced key must open: %v", err)
	}
	if p := must(keys.Primary(t.Context()))(t); p.ID() != first.ID() {
		t.Error("an announced key seals")
	}
	if err := keys.Disable(t.Context(), first.ID()); !errors.Is(err, enlace.ErrConflict) {
		t.Errorf("a primary key must not be disabled: %v", err)
	}
	if err := keys.Promote(t.Context(), announced.ID); err != nil {
		t.Fatal(err)
	}
	if err := keys.Promote(t.Context(), announced.ID); err != nil {
		t.Errorf("promoting twice: %v", err)
	}
	if p := must(keys.Primary(t.Context()))(t); p.ID() != announced.ID {
		t.Error("the promoted key does not seal")
	}
	if _, err := keys.Key(t.Context(), first.ID()); err != nil {
		t.Errorf("a retiring key must open: %v", err)
	}
	if err := keys.Promote(t.Context(), first.ID()); !errors.Is(err, enlace.ErrConflict) {
		t.Errorf("a retiring key must not be promoted: %v", err)
	}
	if err := keys.Destroy(t.Context(), first.ID()); !errors.Is(err, enlace.ErrConflict) {
		t.Errorf("a retiring key must not be destroyed: %v", err)
	}
	step := func(name string, do func(context.Context, uint64) error, want error) {
		t.Helper()
		if err := do(t.Context(), first.ID()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := keys.Key(t.Context(), first.ID()); !errors.Is(err, want) {
			t.Errorf("after %s: %v, want %v", name, err, want)
		}
	}
	step("disable", keys.Disable, enlace.ErrKeyDisabled)
	step("enable", keys.Enable, nil)
	step("disable", keys.Disable, enlace.ErrKeyDisabled)
	step("destroy", keys.Destroy, enlace.ErrKeyDestroyed)
	if err := keys.Enable(t.Context(), first.ID()); !errors.Is(err, enlace.ErrConflict) {
		t.Errorf("a destroyed key came back: %v", err)
	}
	for _, id := range []uint64{0, 42} {
		if _, err := keys.Key(t.Context(), id); !errors.Is(err, enlace.ErrKeyUnknown) || !errors.Is(err, enlace.ErrKey) {
			t.Errorf("key %d: %v, want ErrKeyUnknown", id, err)
		}
	}
	record, _ := store.LoadKeyring(t.Context())
	if bytes.Contains(record.Data, []byte("destroyed\",\"wrapper\":\""+w.URI()+"\",\"wrapped\"")) {
		t.Error("the destroyed key's bytes are still stored")
	}
}

// A process that has not seen a new key reads the keyring again when it meets it.
func TestManagedKeysOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, w := memory.New(), enlace.NewLocalWrapper(newKey(t))
		a, b := managed(t, store, w), managed(t, store, w)
		_, _ = must(a.Primary(t.Context()))(t), must(b.Primary(t.Context()))(t)
		time.Sleep(2 * time.Second)
		announced := must(a.Announce(t.Context()))(t)
		if err := a.Promote(t.Context(), announced.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Key(t.Context(), announced.ID); err != nil {
			t.Errorf("the other process: %v", err)
		}
		if p := must(b.Primary(t.Context()))(t); p.ID() != announced.ID {
			t.Error("having read the keyring, the other process still seals with the old key")
		}
	})
}

// flakyWrapper is a KMS that can be out of order.
type flakyWrapper struct {
	enlace.Wrapper
	down  atomic.Bool
	calls atomic.Int32
}

func (w *flakyWrapper) Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	w.calls.Add(1)
	if w.down.Load() {
		return nil, errors.New("the KMS does not answer")
	}
	return w.Wrapper.Unwrap(ctx, wrapped, aad)
}

func TestKMSOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, w := memory.New(), &flakyWrapper{Wrapper: enlace.NewLocalWrapper(newKey(t))}
		warm := managed(t, store, w)
		for range 1000 {
			_ = must(warm.Primary(t.Context()))(t)
		}
		if n := w.calls.Load(); n != 1 {
			t.Errorf("%d calls of the KMS for one key, want one", n)
		}
		w.down.Store(true)
		time.Sleep(time.Hour)
		if _, err := warm.Primary(t.Context()); err != nil {
			t.Errorf("a warm process must go on: %v", err)
		}
		if _, err := managed(t, store, w).Primary(t.Context()); !errors.Is(err, enlace.ErrKeyUnavailable) {
			t.Errorf("a cold process: %v, want ErrKeyUnavailable", err)
		}
	})
}

// Whoever can write the keyring's row cannot make one key pass for another.
func TestWrappedKeysAreBoundToTheirIDs(t *testing.T) {
	store, w := memory.New(), enlace.NewLocalWrapper(newKey(t))
	keys := managed(t, store, w)
	a := must(keys.Primary(t.Context()))(t)
	b := must(keys.Announce(t.Context()))(t)
	record, _ := store.LoadKeyring(t.Context())
	swap := strings.NewReplacer(fmt.Sprintf("%016x", a.ID()), fmt.Sprintf("%016x", b.ID), fmt.Sprintf("%016x", b.ID), fmt.Sprintf("%016x", a.ID()))
	record.Data = []byte(swap.Replace(string(record.Data)))
	if err := store.SaveKeyring(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint64{a.ID(), b.ID} {
		if _, err := managed(t, store, w).Key(t.Context(), id); !errors.Is(err, enlace.ErrKey) {
			t.Errorf("%v, want ErrKey", err)
		}
	}
	record, _ = store.LoadKeyring(t.Context())
	record.Data = []byte("junk")
	if err := store.SaveKeyring(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if _, err := managed(t, store, w).Primary(t.Context()); !errors.Is(err, enlace.ErrKey) {
		t.Errorf("a junk keyring: %v, want ErrKey", err)
	}
}

func TestRewrap(t *testing.T) {
	store := memory.New()
	before, after := enlace.NewLocalWrapper(newKey(t)), enlace.NewLocalWrapper(newKey(t))
	first := must(managed(t, store, before).Primary(t.Context()))(t)
	if _, err := managed(t, store, after).Primary(t.Context()); !errors.Is(err, enlace.ErrKeyUnavailable) {
		t.Errorf("without the old wrapper: %v, want ErrKeyUnavailable", err)
	}
	keys := managed(t, store, after, before)
	if n := must(keys.Rewrap(t.Context()))(t); n != 1 {
		t.Errorf("%d keys wrapped anew, want 1", n)
	}
	if n := must(keys.Rewrap(t.Context()))(t); n != 0 {
		t.Errorf("%d keys wrapped anew the second time, want none", n)
	}
	if k := must(managed(t, store, after).Primary(t.Context()))(t); k.ID() != first.ID() {
		t.Error("it is another key")
	}
}

// sealedBy puts n credentials into the store, sealed by the keys, all bound to a host.
func sealedBy(t *testing.T, store enlace.CredentialStore, keys enlace.KeySource, n int) {
	t.Helper()
	safe := enlace.NewSafe(store, keys)
	for i := range n {
		if err := safe.Put(t.Context(), numbered(i), fullCredential()); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(i int) enlace.Place {
	return enlace.Place{CredentialKey: enlace.CredentialKey{Ref: enlace.Ref{Tenant: fmt.Sprint("t", i%3), ID: fmt.Sprint(i)}, Name: "account"}, Host: "crm.example.com"}
}

func oneHost(context.Context, enlace.CredentialKey) (string, error) { return "crm.example.com", nil }

func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, w := memory.New(), enlace.NewLocalWrapper(newKey(t))
		keys := managed(t, store, w)
		sealedBy(t, store, keys, 1200)
		old := must(keys.Primary(t.Context()))(t)
		var steps []enlace.RotateStep
		options := enlace.RotateOptions{Progress: func(p enlace.RotateProgress) {
			if len(steps) == 0 || steps[len(steps)-1] != p.Step {
				steps = append(steps, p.Step)
			}
		}}
		began := time.Now()
		result, err := enlace.NewSafe(store, keys).Rotate(t.Context(), oneHost, options)
		if err != nil || result.Resealed != 1200 || len(result.Unopened) > 0 || result.Primary == old.ID() {
			t.Fatalf("%+v, %v", result, err)
		}
		if waited := time.Since(began); waited < 20*time.Minute {
			t.Errorf("the new key was announced for %v, want twice the cache time", waited)
		}
		if want := "[announce promote sweep verify disable]"; fmt.Sprint(steps) != want {
			t.Errorf("steps %v, want %s", steps, want)
		}
		if left, _ := store.CredentialsNotSealedBy(t.Context(), result.Primary, enlace.CredentialKey{}, 1); len(left) > 0 {
			t.Error("something is still sealed with the old key")
		}
		for i := range 1200 {
			if _, err := enlace.NewSafe(store, managed(t, store, w)).Get(t.Context(), numbered(i)); err != nil {
				t.Fatalf("credential %d: %v", i, err)
			}
		}
		if _, err := keys.Key(t.Context(), old.ID()); !errors.Is(err, enlace.ErrKeyDisabled) {
			t.Errorf("the old key: %v, want ErrKeyDisabled", err)
		}
		time.Sleep(15 * 24 * time.Hour)
		result, err = enlace.NewSafe(store, keys).Rotate(t.Context(), oneHost, enlace.RotateOptions{})
		if err != nil || len(result.Destroyed) != 1 || result.Destroyed[0] != old.ID() {
			t.Errorf("after the soak: %+v, %v; want the first key destroyed", result, err)
		}
	})
}

// What is sealed beside the credentials outlives the key that sealed it, and one
// record that does not open keeps the old key.
func TestRotateSealsRecordsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		service := must(enlace.New(enlace.Config{Registry: enlace.NewRegistry(), Store: store,
			Keys: managed(t, store, enlace.NewLocalWrapper(newKey(t)))}))(t)
		place := enlace.RecordPlace{Ref: enlace.Ref{Tenant: "acme", ID: "one"}, Kind: "base", Name: "deals/5"}
		body := must(service.Safe().SealRecord(t.Context(), place, []byte("body")))(t)
		save := func(id string, data []byte, keyID uint64) {
			states := []enlace.RecordState{{ID: id, Base: data, BaseKeyID: keyID, Presence: enlace.RecordPresent}}
			if err := store.SaveRecordStates(t.Context(), place.Ref, "deals", states); err != nil {
				t.Fatal(err)
			}
		}
		save("5", body.Data, body.KeyID)
		result, err := service.RotateKeys(t.Context(), enlace.RotateOptions{Soak: -1})
		if err != nil || result.Records != 1 || len(result.Destroyed) != 1 {
			t.Fatalf("%+v, %v; want one record sealed anew and the old key destroyed", result, err)
		}
		states := must(store.LoadRecordStates(t.Context(), place.Ref, "deals", []string{"5"}))(t)
		if got, err := service.Safe().OpenRecord(t.Context(), place, states[0].Base); string(got) != "body" || err != nil {
			t.Errorf("after the rotation: %q, %v", got, err)
		}
		save("6", body.Data, body.KeyID) // sealed for another place
		result, err = service.RotateKeys(t.Context(), enlace.RotateOptions{Soak: -1})
		if err != nil || result.UnopenedRecords != 1 || len(result.Disabled)+len(result.Destroyed) != 0 {
			t.Errorf("%+v, %v; want the key kept for the record that does not open", result, err)
		}
	})
}

// A rotation that was cut off goes on, and everything can be read meanwhile.
func TestRotateResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, w := memory.New(), enlace.NewLocalWrapper(newKey(t))
		sealedBy(t, store, managed(t, store, w), 300)
		rotations := 0
		for cut := 1; ; cut++ {
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			result, err := enlace.NewSafe(store, managed(t, store, w)).Rotate(ctx, func(context.Context, enlace.CredentialKey) (string, error) {
				if calls++; calls > 60 {
					cancel()
				}
				return "crm.example.com", ctx.Err()
			}, enlace.RotateOptions{Batch: 20})
			cancel()
			for i := range 300 {
				if _, err := enlace.NewSafe(store, managed(t, store, w)).Get(t.Context(), numbered(i)); err != nil {
					t.Fatalf("after cut %d credential %d is unreadable: %v", cut, i, err)
				}
			}
			if err == nil {
				if len(result.Disabled) != 1 {
					t.Errorf("%+v: want the old key disabled", result)
				}
				break
			}
			if rotations++; rotations > 20 {
				t.Fatal("it does not come to its end")
			}
		}
		if infos := must(managed(t, store, w).Keys(t.Context()))(t); len(infos) != 2 {
			t.Errorf("%d keys: a cut rotation began anew", len(infos))
		}
	})
}

// What does not open keeps the old key alive, and is named.
func TestRotateKeepsTheKeyOfWhatDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, w := memory.New(), enlace.NewLocalWrapper(newKey(t))
		keys := managed(t, store, w)
		sealedBy(t, store, keys, 10)
		old := must(keys.Primary(t.Context()))(t)
		result, err := enlace.NewSafe(store, keys).Rotate(t.Context(), func(_ context.Context, key enlace.CredentialKey) (string, error) {
			switch key.ID {
			case "3":
				return "elsewhere.example.com", nil
			case "4":
				return "", enlace.ErrNotFound
			}
			return "crm.example.com", nil
		}, enlace.RotateOptions{})
		if err != nil || len(result.Unopened) != 2 || result.Resealed != 8 || len(result.Disabled) > 0 {
			t.Errorf("%+v, %v; want two unopened, eight resealed, nothing disabled", result, err)
		}
		if _, err := keys.Key(t.Context(), old.ID()); err != nil {
			t.Errorf("the old key must still open: %v", err)
		}
	})
}

// The ids beside the values are hints; the sweep believes the values.
func TestRotateDoesNotTrustTheColumn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, w := memory.New(), enlace.NewLocalWrapper(newKey(t))
		keys := managed(t, store, w)
		sealedBy(t, store, keys, 3)
		info := must(keys.Announce(t.Context()))(t)
		row := must(store.LoadCredential(t.Context(), numbered(1).CredentialKey))(t)
		row.KeyID = info.ID // says it is sealed by the new key already
		if n, err := store.ResealCredentials(t.Context(), []enlace.StoredCredential{{CredentialKey: numbered(1).CredentialKey, Sealed: row}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		result, err := enlace.NewSafe(store, keys).Rotate(t.Context(), oneHost, enlace.RotateOptions{Soak: -1})
		if err != nil || len(result.Destroyed) != 1 {
			t.Fatalf("%+v, %v", result, err)
		}
		for i := range 3 {
			if _, err := enlace.NewSafe(store, keys).Get(t.Context(), numbered(i)); err != nil {
				t.Errorf("credential %d is lost with the old key: %v", i, err)
			}
		}
	})
}

func TestRotateNeedsManagedKeys(t *testing.T) {
	store := memory.New()
	ring := must(enlace.NewKeyring(newKey(t)))(t)
	if _, err := enlace.NewSafe(store, ring).Rotate(t.Context(), oneHost, enlace.RotateOptions{}); !errors.Is(err, enlace.ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
}

// With fixed keys the host changes the keyring, and Reseal lets the old key go.
func TestReseal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, oldKey, next := memory.New(), newKey(t), newKey(t)
		sealedBy(t, store, must(enlace.NewKeyring(oldKey))(t), 5)
		both := must(enlace.NewKeyring(next, oldKey))(t)
		result, err := enlace.NewSafe(store, both).Reseal(t.Context(), oneHost, enlace.RotateOptions{PerSecond: 1})
		if err != nil || result.Resealed != 5 || len(result.Unopened) > 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		for i := range 5 {
			if _, err := enlace.NewSafe(store, must(enlace.NewKeyring(next))(t)).Get(t.Context(), numbered(i)); err != nil {
				t.Errorf("with the new key only: %v", err)
			}
		}
	})
}

func BenchmarkSafeGetWarm(b *testing.B) {
	key, _ := enlace.ParseKey(enlace.GenerateKey())
	ring, _ := enlace.NewKeyring(key)
	safe := enlace.NewSafe(memory.New(), ring)
	if err := safe.Put(b.Context(), home, fullCredential()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := safe.Get(b.Context(), home); err != nil {
			b.Fatal(err)
		}
	}
}
