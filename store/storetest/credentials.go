package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var credentialChecks = []check{
	{"RoundTrip", credentialRoundTrip},
	{"OwnMemory", credentialOwnMemory},
	{"Versions", credentialVersions},
	{"NilLeavesAsIs", credentialNil},
	{"ErrorChangesNothing", credentialError},
	{"OneAtATime", func(t *testing.T, s enlace.Store) { credentialCounter(t, s, s) }},
	{"NoOtherLocks", credentialNoOtherLocks},
	{"StoredAfterContextEnded", credentialStoredAfterContext},
	{"ContextOfFn", credentialFnContext},
	{"ContextOfWaiter", credentialWaiter},
	{"Panic", credentialPanic},
	{"Delete", credentialDelete},
	{"DeleteUnderFn", credentialDeleteUnderFn},
	{"Keys", credentialKeys},
	{"KeysWhileChanging", credentialKeysWhileChanging},
}

// account is the key that most checks use.
var account = key("acme", "one", "account")

// update runs fn with the current value's text.
func update(ctx context.Context, s enlace.CredentialStore, k enlace.CredentialKey, fn func(cur string, interrupted bool) string) error {
	return s.UpdateCredential(ctx, k, func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		if next := fn(text(cur), interrupted); next != "" {
			return &enlace.Sealed{Data: []byte(next)}, nil
		}
		return nil, nil
	})
}

// soon is shorter than a lease should be: what needs longer waits for a lease
// that was not given back.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// holds notes a failure unless the stored value is want, "" for none.
func holds(t *testing.T, rule string, s enlace.CredentialStore, k enlace.CredentialKey, want string) {
	t.Helper()
	got, err := s.LoadCredential(context.WithoutCancel(t.Context()), k)
	switch {
	case want == "":
		wantError(t, rule, err, enlace.ErrNoCredential)
	case err != nil:
		t.Errorf("%s: unexpected error: %v", rule, err)
	default:
		equal(t, rule, string(got.Data), want)
	}
}

func credentialRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "LoadCredential gives what UpdateCredential stored"
	_, err := s.LoadCredential(t.Context(), account)
	wantError(t, "LoadCredential without a value is ErrNoCredential", err, enlace.ErrNoCredential)

	data := make([]byte, 256)
	for i := range data {
		data[i] = byte(i)
	}
	noError(t, rule, s.UpdateCredential(t.Context(), account, func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		if cur != nil || interrupted {
			t.Errorf("fn gets nil and false where nothing was stored: got %v, %v", cur, interrupted)
		}
		return &enlace.Sealed{Data: data, KeyID: math.MaxUint64, Version: 77, UpdatedAt: base}, nil
	}))
	got, err := s.LoadCredential(t.Context(), account)
	noError(t, rule, err)
	setByStore(t, "UpdateCredential sets UpdatedAt by the store's clock", got.UpdatedAt)
	isUTC(t, got.UpdatedAt)
	equal(t, rule, got, enlace.Sealed{Data: data, KeyID: math.MaxUint64, Version: 1, UpdatedAt: got.UpdatedAt})
	noError(t, rule, s.UpdateCredential(t.Context(), account, func(_ context.Context, cur *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
		equal(t, "fn gets the stored value whole", cur, &got)
		return nil, nil
	}))
	for _, other := range []enlace.CredentialKey{key("acme", "one", "Account"), key("acme", "One", "account"),
		key("Acme", "one", "account"), key("acme", "one", "webhook")} {
		holds(t, "each key has its own value, and keys are case-sensitive", s, other, "")
	}
}

func credentialOwnMemory(t *testing.T, s enlace.Store) {
	const rule = "what is stored changes only by a call"
	data := []byte("secret")
	noError(t, rule, s.UpdateCredential(t.Context(), account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		return &enlace.Sealed{Data: data}, nil
	}))
	data[0] = 'X'
	got, err := s.LoadCredential(t.Context(), account)
	noError(t, rule, err)
	equal(t, rule, string(got.Data), "secret")
	got.Data[0] = 'Y'
	noError(t, rule, s.UpdateCredential(t.Context(), account, func(_ context.Context, cur *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
		equal(t, rule, text(cur), "secret")
		clear(cur.Data)
		return nil, nil
	}))
	holds(t, rule, s, account, "secret")
}

func credentialVersions(t *testing.T, s enlace.Store) {
	const rule = "the version grows by one with each change"
	for want := int64(1); want <= 4; want++ {
		noError(t, rule, put(t.Context(), s, account, "same"))
		got, err := s.LoadCredential(t.Context(), account)
		noError(t, rule, err)
		equal(t, rule, got.Version, want)
	}
}

func credentialNil(t *testing.T, s enlace.Store) {
	const rule = "a nil result leaves the value as it is"
	leave := func(string, bool) string { return "" }
	noError(t, rule, update(t.Context(), s, account, leave))
	holds(t, rule, s, account, "")
	equal(t, "what was never stored is not among the keys", keysOf(t, s, "acme"), []enlace.CredentialKey(nil))
	noError(t, rule, put(t.Context(), s, account, "value"))
	before, err := s.LoadCredential(t.Context(), account)
	noError(t, rule, err)
	noError(t, rule, update(t.Context(), s, account, leave))
	after, err := s.LoadCredential(t.Context(), account)
	noError(t, rule, err)
	equal(t, rule, after, before)
	equal(t, "the first value has version 1", after.Version, int64(1))
}

func credentialError(t *testing.T, s enlace.Store) {
	const rule = "an error from fn changes nothing"
	failure := errors.New("the provider said no")
	fail := func(next *enlace.Sealed) error {
		return s.UpdateCredential(t.Context(), account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
			return next, failure
		})
	}
	for _, stored := range []string{"", "value"} {
		if stored != "" {
			noError(t, rule, put(t.Context(), s, account, stored))
		}
		for _, next := range []*enlace.Sealed{nil, {Data: []byte("half done")}} {
			if err := fail(next); err != failure {
				t.Errorf("an error from fn is returned as it is: got %v", err)
			}
			holds(t, rule, s, account, stored)
		}
	}
	noError(t, "after an error the next fn runs at once", update(soon(t), s, account, func(cur string, interrupted bool) string {
		equal(t, rule, cur, "value")
		if interrupted {
			t.Error("interrupted is false after a fn that returned an error: it came back")
		}
		return ""
	}))
}

// credentialCounter lets many goroutines count up one value, half of them on a,
// the others on b. Each count is lost or doubled if two fn run at a time, or if
// one does not see the latest value.
func credentialCounter(t *testing.T, a, b enlace.CredentialStore) {
	const rule = "at most one fn runs for a key at any time"
	var sections overlap
	count := func(ctx context.Context, cur *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
		// Who has outrun its lease is not protected any more, and knows it.
		sections.enter()
		inside := context.AfterFunc(ctx, sections.leave)
		defer func() {
			if inside() {
				sections.leave()
			}
		}()
		n, _ := strconv.Atoi(text(cur))
		return &enlace.Sealed{Data: []byte(strconv.Itoa(n + 1))}, nil
	}
	together(writers, func(i int) {
		s := a
		if i%2 == 1 {
			s = b
		}
		err := s.UpdateCredential(t.Context(), account, count)
		for errors.Is(err, enlace.ErrConflict) { // outrun: allowed, if the machine stalls
			err = s.UpdateCredential(t.Context(), account, count)
		}
		if err != nil {
			t.Errorf("every waiter gets its turn: %v", err)
		}
	})
	sections.check(t, rule)
	holds(t, "each fn sees the latest committed value", a, account, strconv.Itoa(writers))
	got, err := b.LoadCredential(t.Context(), account)
	noError(t, rule, err)
	equal(t, "the version grows by one with each change", got.Version, int64(writers))
}

func credentialNoOtherLocks(t *testing.T, s enlace.Store) {
	const rule = "no lock or transaction is held while fn runs, but the lease of its key"
	in := integration("acme", "one")
	other := key("acme", "one", "other")
	noError(t, rule, put(t.Context(), s, account, "old"))
	noError(t, rule, s.UpdateCredential(t.Context(), account, func(ctx context.Context, _ *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
		noError(t, rule, put(ctx, s, other, "value"))
		noError(t, rule, s.DeleteCredential(ctx, other))
		noError(t, rule, s.CreateIntegration(ctx, in))
		noError(t, rule, s.UpdateIntegration(ctx, in))
		noError(t, rule, s.SaveCheckpoint(ctx, in.Ref, "deals", enlace.Checkpoint{}))
		noError(t, rule, s.SaveRun(ctx, run("acme", "r", "one", base)))
		holds(t, "LoadCredential does not wait for a running fn", s, account, "old")
		return &enlace.Sealed{Data: []byte("new")}, nil
	}))
	holds(t, rule, s, account, "new")
}

func credentialStoredAfterContext(t *testing.T, s enlace.Store) {
	const rule = "what fn has returned is stored even if the context has ended meanwhile"
	for _, want := range []string{"first", "second"} {
		ctx, cancel := context.WithCancel(t.Context())
		noError(t, rule, update(ctx, s, account, func(string, bool) string {
			cancel()
			return want
		}))
		holds(t, rule, s, account, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	noError(t, rule, update(ctx, s, account, func(string, bool) string {
		cancel()
		return ""
	}))
	noError(t, "a lease is given back even if the context has ended meanwhile", put(soon(t), s, account, "third"))
}

type contextKey struct{}

func credentialFnContext(t *testing.T, s enlace.Store) {
	const rule = "fn's context comes from the caller's"
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "value"))
	defer cancel()
	noError(t, rule, s.UpdateCredential(ctx, account, func(inner context.Context, _ *enlace.Sealed, _ bool) (*enlace.Sealed, error) {
		equal(t, rule, inner.Value(contextKey{}), any("value"))
		noError(t, "fn's context has not ended when fn begins", inner.Err())
		cancel()
		<-inner.Done() // or the test never ends
		return nil, nil
	}))
}

func credentialWaiter(t *testing.T, s enlace.Store) {
	const rule = "who waits for a key stops waiting when its context ends"
	noError(t, rule, update(t.Context(), s, account, func(string, bool) string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		err := update(ctx, s, account, func(string, bool) string {
			t.Error("at most one fn runs for a key at any time: a second one began")
			return "second"
		})
		wantError(t, rule, err, context.DeadlineExceeded)
		return "first"
	}))
	holds(t, rule, s, account, "first")
	noError(t, "one who gave up does not keep others from the key", put(soon(t), s, account, "third"))
}

func credentialPanic(t *testing.T, s enlace.Store) {
	noError(t, "UpdateCredential stores a value", put(t.Context(), s, account, "old"))
	func() {
		defer func() { equal(t, "a panic of fn reaches the caller as it is", recover(), any("boom")) }()
		_ = update(t.Context(), s, account, func(string, bool) string { panic("boom") })
	}()
	told := func(want bool, next string) {
		t.Helper()
		noError(t, "after a panic the next fn runs at once", update(soon(t), s, account, func(cur string, interrupted bool) string {
			equal(t, "a fn that panicked changed nothing", cur, "old")
			equal(t, "interrupted says that a fn died inside, until a value is stored", interrupted, want)
			return next
		}))
	}
	told(true, "")
	told(true, "old")
	told(false, "")
}

func credentialDelete(t *testing.T, s enlace.Store) {
	const rule = "DeleteCredential removes the value"
	other := key("acme", "two", "account")
	noError(t, "DeleteCredential without a value is no error", s.DeleteCredential(t.Context(), account))
	noError(t, rule, put(t.Context(), s, account, "old"))
	noError(t, rule, put(t.Context(), s, other, "other"))
	before, err := s.LoadCredential(t.Context(), account)
	noError(t, rule, err)
	for range 2 {
		noError(t, "DeleteCredential may be repeated", s.DeleteCredential(t.Context(), account))
		holds(t, rule, s, account, "")
		equal(t, "a deleted value is not among the keys", keysOf(t, s, "acme"), []enlace.CredentialKey{other})
	}
	holds(t, "DeleteCredential removes one value only", s, other, "other")
	noError(t, rule, s.UpdateCredential(t.Context(), account, func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		if cur != nil || interrupted {
			t.Errorf("fn gets nil and false after a deletion: got %v, %v", cur, interrupted)
		}
		return &enlace.Sealed{Data: []byte("new")}, nil
	}))
	after, err := s.LoadCredential(t.Context(), account)
	noError(t, rule, err)
	if after.Version <= before.Version {
		t.Errorf("versions grow across a deletion, so that none ever means two values: %d, then %d", before.Version, after.Version)
	}
}

func credentialDeleteUnderFn(t *testing.T, s enlace.Store) {
	const rule = "a value that is deleted while fn runs stays deleted"
	for _, stored := range []string{"", "old"} {
		if stored != "" {
			noError(t, "after a deletion a value can be stored again at once", put(soon(t), s, account, stored))
		}
		err := update(t.Context(), s, account, func(string, bool) string {
			noError(t, "DeleteCredential does not wait for a running fn", s.DeleteCredential(t.Context(), account))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			_ = update(ctx, s, account, func(string, bool) string {
				t.Error("at most one fn runs for a key at any time, also after a deletion: a second one began")
				return ""
			})
			return "refreshed"
		})
		wantError(t, "a result that comes after the deletion is not stored, and the error is ErrConflict", err, enlace.ErrConflict)
		holds(t, rule, s, account, "")
	}
	noError(t, "after a deletion a value can be stored again at once", put(soon(t), s, account, "new"))
	holds(t, "after a deletion a value can be stored again", s, account, "new")
}

func credentialKeys(t *testing.T, s enlace.Store) {
	const rule = "Credentials yields each key once, in the order of id and name"
	equal(t, "a tenant without credentials has no keys", keysOf(t, s, "acme"), []enlace.CredentialKey(nil))
	var want []enlace.CredentialKey
	for _, id := range []string{"10", "9", "A", "B", "a", "a b", "ä", "売"} {
		for _, name := range []string{"account", "b", "é"} {
			want = append(want, key("acme", id, name))
		}
	}
	for i := range want {
		noError(t, rule, put(t.Context(), s, want[(i*7)%len(want)], "x"))
	}
	equal(t, rule, keysOf(t, s, "acme"), want)

	for k, err := range s.Credentials(t.Context(), "acme") {
		noError(t, rule, err)
		equal(t, "the iteration may be left early", k, want[0])
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	yields := 0
	for _, err := range s.Credentials(ctx, "acme") {
		wantError(t, "an ended context ends the iteration with its error", err, context.Canceled)
		yields++
	}
	equal(t, "the iteration ends after the first error", yields, 1)
}

func credentialKeysWhileChanging(t *testing.T, s enlace.Store) {
	const rule = "Credentials yields each key once while values change"
	const n = 230
	together(writers, func(w int) {
		for i := w; i < n; i += writers {
			if err := put(t.Context(), s, key("acme", fmt.Sprintf("%03d", i), "account"), "old"); err != nil {
				t.Errorf("many keys may be written at the same time: %v", err)
			}
		}
	})
	seen := map[string]int{}
	for k, err := range s.Credentials(t.Context(), "acme") {
		noError(t, rule, err)
		seen[k.ID]++
		if len(seen)%3 == 0 {
			noError(t, "a key may be deleted during the iteration", s.DeleteCredential(t.Context(), k))
		} else {
			noError(t, "a value may be changed during the iteration", put(t.Context(), s, k, "new"))
		}
	}
	equal(t, rule, len(seen), n)
	equal(t, rule, slices.Max(slices.Collect(maps.Values(seen))), 1)
	equal(t, "deleted keys are gone", len(keysOf(t, s, "acme")), n-n/3)
}
