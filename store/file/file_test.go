//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package file_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/file"
	"github.com/enlace-go/enlace/store/memory"
	"github.com/enlace-go/enlace/store/storetest"
)

// whole is a whole store: credentials in files, the rest in memory.
type whole struct {
	*file.Store
	rest
}

// rest is embedded one level deeper, so that the methods of the files win.
type rest struct{ enlace.Store }

func join(files *file.Store, others *memory.Store) enlace.Store { return whole{files, rest{others}} }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.TestCredentials(t, func(t *testing.T) enlace.Store {
		return join(openStore(t, t.TempDir(), 0), memory.New())
	})
}

func TestStoreShared(t *testing.T) {
	t.Parallel() // it waits for leases to end
	storetest.TestShared(t, func(t *testing.T) (a, b enlace.Store) {
		dir, rest := t.TempDir(), memory.New()
		return join(openStore(t, dir, shortLease), rest), join(openStore(t, dir, shortLease), rest)
	})
}

// openStore opens the store of a directory, which it makes private first.
func openStore(t *testing.T, dir string, lease time.Duration) *file.Store {
	t.Helper()
	must(t, os.Chmod(dir, 0o700))
	s, err := file.Open(dir, file.Options{Lease: lease})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func key(tenant, id, name string) enlace.CredentialKey {
	return enlace.CredentialKey{Ref: enlace.Ref{Tenant: tenant, ID: id}, Name: name}
}

var account = key("acme", "crm", "account")

func put(t *testing.T, s *file.Store, k enlace.CredentialKey, data string, keyID uint64) {
	t.Helper()
	must(t, s.UpdateCredential(t.Context(), k, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		return &enlace.Sealed{Data: []byte(data), KeyID: keyID}, nil
	}))
}

// load is the stored text, "" if there is none.
func load(t *testing.T, s *file.Store, k enlace.CredentialKey) string {
	t.Helper()
	value, err := s.LoadCredential(t.Context(), k)
	if errors.Is(err, enlace.ErrNoCredential) {
		return ""
	}
	must(t, err)
	return string(value.Data)
}

// paths lists the files whose names end so.
func paths(t *testing.T, dir, suffix string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	must(t, err)
	return found
}

func TestOpenMakesAPrivateDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "credentials")
	s, err := file.Open(dir, file.Options{})
	must(t, err)
	put(t, s, account, "sealed", 1)
	must(t, s.Close())
	info, err := os.Stat(dir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %04o, want 0700", info.Mode().Perm())
	}
	for _, path := range paths(t, dir, "") {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", filepath.Base(path), info.Mode().Perm())
		}
	}
	again := openStore(t, dir, 0)
	if got := load(t, again, account); got != "sealed" {
		t.Errorf("after opening it again the value is %q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	private := t.TempDir()
	must(t, os.Chmod(private, 0o700))
	wide := t.TempDir()
	must(t, os.Chmod(wide, 0o750))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(private, link))
	plain := filepath.Join(t.TempDir(), "plain")
	must(t, os.WriteFile(plain, nil, 0o600))
	for name, c := range map[string]struct {
		dir  string
		uid  int
		want error
		says string
	}{
		"wider mode":        {wide, os.Geteuid(), file.ErrUnsafe, "mode 0750"},
		"foreign owner":     {private, os.Geteuid() + 1, file.ErrUnsafe, "belongs to user"},
		"link":              {link, os.Geteuid(), file.ErrUnsafe, "not a directory"},
		"file":              {plain, os.Geteuid(), file.ErrUnsafe, "not a directory"},
		"no parent":         {filepath.Join(private, "a", "b"), os.Geteuid(), fs.ErrNotExist, "no such"},
		"nothing to object": {private, os.Geteuid(), nil, ""},
	} {
		s, err := file.OpenAs(c.dir, c.uid)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error is %v, want %v that says %q", name, err, c.want, c.says)
		}
		if err == nil {
			must(t, s.Close())
		}
	}
	if _, err := file.Open(private, file.Options{Lease: -1}); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a negative lease: %v, want ErrInvalid", err)
	}
}

// Every kind of file is checked by every method that uses it.
func TestUnsafeFilesAreRefused(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must(t, os.WriteFile(elsewhere, []byte("not to be touched"), 0o600))
	outside, err := filepath.EvalSymlinks(elsewhere)
	must(t, err)
	spoil := map[string]func(path string) error{
		"readable by all": func(path string) error { return os.Chmod(path, 0o604) },
		"group may write": func(path string) error { return os.Chmod(path, 0o620) },
		"link out":        func(path string) error { return replaced(path, os.Symlink(outside, path+"x")) },
		"link inside":     func(path string) error { return replaced(path, os.Symlink("other", path+"x")) },
		"dangling link":   func(path string) error { return replaced(path, os.Symlink("nothing", path+"x")) },
		"pipe":            func(path string) error { return replaced(path, syscall.Mkfifo(path+"x", 0o600)) },
		"directory":       func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	}
	if os.Geteuid() == 0 {
		spoil["foreign owner"] = func(path string) error { return os.Chown(path, 12345, -1) }
	}
	for name, spoil := range spoil {
		for suffix, methods := range map[string][]string{
			".sealed": {"load", "update", "delete", "list", "reseal", "not sealed by"},
			".lock":   {"update", "delete", "reseal"},
			".lease":  {"update", "delete", "reseal"},
		} {
			dir := t.TempDir()
			s := openStore(t, dir, 0)
			put(t, s, account, "sealed", 1)
			must(t, os.WriteFile(filepath.Join(dir, "other"), nil, 0o600))
			path := strings.TrimSuffix(paths(t, dir, ".sealed")[0], ".sealed") + suffix
			if suffix == ".lease" {
				must(t, os.WriteFile(path, nil, 0o600))
			}
			must(t, spoil(path))
			for _, method := range methods {
				if err := call(t, s, method); !errors.Is(err, file.ErrUnsafe) {
					t.Errorf("%s, %s, %s: error is %v, want ErrUnsafe", name, suffix, method, err)
				}
			}
		}
	}
	content, err := os.ReadFile(elsewhere)
	must(t, err)
	if string(content) != "not to be touched" {
		t.Error("a file outside of the directory was written through a link")
	}
}

// replaced moves what was made beside path into its place.
func replaced(path string, err error) error { return errors.Join(err, os.Rename(path+"x", path)) }

func call(t *testing.T, s *file.Store, method string) (err error) {
	ctx := t.Context()
	switch method {
	case "load":
		_, err = s.LoadCredential(ctx, account)
	case "update":
		err = s.UpdateCredential(ctx, account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
			t.Errorf("fn must not run when the store is not safe")
			return nil, nil
		})
	case "delete":
		err = s.DeleteCredential(ctx, account)
	case "list":
		for _, e := range s.Credentials(ctx, account.Tenant) {
			err = e
		}
	case "reseal":
		_, err = s.ResealCredentials(ctx, []enlace.StoredCredential{{CredentialKey: account, Sealed: enlace.Sealed{Version: 1}}})
	case "not sealed by":
		_, err = s.CredentialsNotSealedBy(ctx, 2, enlace.CredentialKey{}, 10)
	}
	return err
}

// A link under the name of the temporary file is not written through.
func TestTemporaryFileIsAlwaysNew(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 0)
	put(t, s, account, "old", 1)
	target := filepath.Join(t.TempDir(), "target")
	must(t, os.WriteFile(target, []byte("untouched"), 0o600))
	name := strings.TrimSuffix(paths(t, dir, ".sealed")[0], ".sealed")
	must(t, os.Symlink(target, name+".tmp"))
	put(t, s, account, "new", 1)
	content, err := os.ReadFile(target)
	must(t, err)
	if got := load(t, s, account); string(content) != "untouched" || got != "new" {
		t.Errorf("the link's target holds %q, and the value is %q", content, got)
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 0)
	put(t, s, account, "sealed", 1)
	path := paths(t, dir, ".sealed")[0]
	good, err := os.ReadFile(path)
	must(t, err)
	for name, content := range map[string][]byte{
		"empty":           {},
		"cut":             good[:len(good)-1],
		"grown":           append(bytes.Clone(good), 'x'),
		"other version":   bytes.Replace(good, []byte("credential 1"), []byte("credential 2"), 1),
		"unknown field":   bytes.Replace(good, []byte(`{`), []byte(`{"x":1,`), 1),
		"field twice":     bytes.Replace(good, []byte(`{`), []byte(`{"version":9,`), 1),
		"other case":      bytes.Replace(good, []byte(`"tenant"`), []byte(`"Tenant"`), 1),
		"version 0":       bytes.Replace(good, []byte(`"version":1`), []byte(`"version":0`), 1),
		"deleted value":   bytes.Replace(good, []byte(`"deleted":false`), []byte(`"deleted":true`), 1),
		"another's value": bytes.Replace(good, []byte(`"acme"`), []byte(`"evil"`), 1),
		"too large":       append(bytes.Clone(good), make([]byte, 2<<20)...),
	} {
		must(t, os.WriteFile(path, content, 0o600))
		_, err := s.LoadCredential(t.Context(), account)
		if err == nil || errors.Is(err, enlace.ErrNoCredential) {
			t.Errorf("%s: error is %v, want one that is not ErrNoCredential", name, err)
		}
		if strings.Contains(err.Error(), "sealed bytes") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
	must(t, os.WriteFile(path, good, 0o600))
	if got := load(t, s, account); got != "sealed" {
		t.Errorf("the good file reads %q", got)
	}
}

// A file under another's name is refused, whoever reads it.
func TestMisplacedFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 0)
	put(t, s, key("evil", "crm", "account"), "sealed", 1)
	stolen, err := os.ReadFile(paths(t, dir, ".sealed")[0])
	must(t, err)
	must(t, s.DeleteCredential(t.Context(), key("evil", "crm", "account")))
	put(t, s, account, "sealed", 1)
	for _, path := range paths(t, dir, ".sealed") {
		must(t, os.WriteFile(path, stolen, 0o600))
	}
	for _, method := range []string{"load", "delete", "list", "reseal", "not sealed by"} {
		if err := call(t, s, method); err == nil || !strings.Contains(err.Error(), "another credential") {
			t.Errorf("%s: error is %v, want one that says so", method, err)
		}
	}
}

func TestNamesDoNotCollide(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 0)
	long := strings.Repeat("long/../", 500)
	keys := []enlace.CredentialKey{
		key("a", "b", "c"), key("A", "b", "c"), key("a", "B", "c"), key("a", "b", "C"),
		key("ab", "", "c"), key("a", "bc", ""), key("", "ab", "c"), key("", "", "abc"), key("a/b", "c", ""),
		key("a", "b/c", ""), key("..", "..", ".."), key("a\x00b", "c", ""), key("a", "\x00b", "c"), key("é", "b", "c"),
		key("e\u0301", "b", "c"), key(long, "b", "c"), key(long+"x", "b", "c"), key("a", long, "c"), key("a", "b", long),
	}
	for _, k := range keys {
		put(t, s, k, "value of "+k.Tenant+"|"+k.ID+"|"+k.Name, 1)
	}
	lower := map[string]bool{}
	for _, path := range paths(t, dir, ".sealed") {
		lower[strings.ToLower(filepath.Base(path))] = true
	}
	if len(lower) != len(keys) {
		t.Errorf("%d keys have %d files on a file system that ignores case", len(keys), len(lower))
	}
	for _, k := range keys {
		if got, want := load(t, s, k), "value of "+k.Tenant+"|"+k.ID+"|"+k.Name; got != want {
			t.Errorf("%.40v holds %.40q", k, got)
		}
	}
	if err := s.DeleteCredential(t.Context(), key("a\xff", "", "")); !errors.Is(err, enlace.ErrInvalid) {
		t.Errorf("a key that is not UTF-8: %v, want ErrInvalid", err)
	}
}

func TestTooLargeIsRefused(t *testing.T) {
	s := openStore(t, t.TempDir(), 0)
	put(t, s, account, "old", 1)
	err := s.UpdateCredential(t.Context(), account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		return &enlace.Sealed{Data: make([]byte, 1<<20)}, nil
	})
	if !errors.Is(err, enlace.ErrInvalid) || load(t, s, account) != "old" {
		t.Errorf("more than the bound: %v, and the value is %q", err, load(t, s, account))
	}
}

// A result is worth waiting for: it may be a refresh token.
func TestSaveIsRepeated(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 0)
	put(t, s, account, "old", 1)
	obstacle := strings.TrimSuffix(paths(t, dir, ".sealed")[0], ".sealed") + ".tmp"
	tries := 0
	ctx, cancel := context.WithCancel(t.Context())
	must(t, s.UpdateCredential(ctx, account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		cancel()
		s.BeforeRename(func() {
			if tries++; tries < 3 { // the rename finds nothing to rename
				must(t, os.Remove(obstacle))
			}
		})
		return &enlace.Sealed{Data: []byte("new")}, nil
	}))
	if got := load(t, s, account); got != "new" || tries != 3 {
		t.Errorf("after %d tries the value is %q", tries, got)
	}
}

// If it cannot be stored at all the caller hears of it and so does the next one.
func TestSaveFails(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 50*time.Millisecond)
	put(t, s, account, "old", 1)
	obstacle := strings.TrimSuffix(paths(t, dir, ".sealed")[0], ".sealed") + ".tmp"
	s.BeforeRename(func() { must(t, os.Remove(obstacle)) })
	err := s.UpdateCredential(t.Context(), account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		return &enlace.Sealed{Data: []byte("new")}, nil
	})
	if err == nil || errors.Is(err, enlace.ErrConflict) {
		t.Errorf("a result that cannot be stored: %v", err)
	}
	s.BeforeRename(nil)
	must(t, s.UpdateCredential(t.Context(), account, func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		if string(cur.Data) != "old" || !interrupted {
			t.Errorf("the next one sees %q, interrupted %v", cur.Data, interrupted)
		}
		return nil, nil
	}))
}

func TestReseal(t *testing.T) {
	s := openStore(t, t.TempDir(), 0)
	ctx := t.Context()
	keys := []enlace.CredentialKey{key("a", "1", "account"), key("a", "1", "webhook"), key("a", "2", "account"), key("b", "1", "account")}
	for i := range keys {
		put(t, s, keys[len(keys)-1-i], "old", 1)
	}
	put(t, s, key("b", "2", "account"), "new already", 2)
	put(t, s, key("b", "3", "account"), "gone", 1)
	must(t, s.DeleteCredential(ctx, key("b", "3", "account")))

	var found []enlace.StoredCredential
	var after enlace.CredentialKey
	for {
		page, err := s.CredentialsNotSealedBy(ctx, 2, after, 3)
		must(t, err)
		if len(page) == 0 {
			break
		}
		found = append(found, page...)
		after = page[len(page)-1].CredentialKey
	}
	var got []enlace.CredentialKey
	for i, v := range found {
		got = append(got, v.CredentialKey)
		found[i].Data, found[i].KeyID = []byte("resealed"), 2
	}
	if diff := cmp.Diff(keys, got); diff != "" {
		t.Fatalf("what is sealed by another key, in order (-want +got):\n%s", diff)
	}

	put(t, s, keys[0], "changed", 1)
	must(t, s.DeleteCredential(ctx, keys[1]))
	must(t, s.UpdateCredential(ctx, keys[2], func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
		replaced, err := s.ResealCredentials(ctx, found)
		if replaced != 1 || err != nil {
			t.Errorf("resealed %d, %v; want the one that is neither changed, gone nor held", replaced, err)
		}
		return &enlace.Sealed{Data: []byte("refreshed"), KeyID: 2}, nil
	}))
	for i, want := range []string{"changed", "", "refreshed", "resealed"} {
		if got := load(t, s, keys[i]); got != want {
			t.Errorf("%v holds %q, want %q", keys[i], got, want)
		}
	}
	value, err := s.LoadCredential(ctx, keys[3])
	must(t, err)
	if value.KeyID != 2 || value.Version != 2 {
		t.Errorf("the resealed value has key id %d and version %d, want 2 and 2", value.KeyID, value.Version)
	}
	if replaced, err := s.ResealCredentials(ctx, found[3:]); replaced != 0 || err != nil {
		t.Errorf("resealing the same version again: %d, %v", replaced, err)
	}
}

// The mark of an interruption outlives a reseal: the token may be spent all the same.
func TestResealKeepsTheMark(t *testing.T) {
	s := openStore(t, t.TempDir(), 0)
	put(t, s, account, "old", 1)
	func() {
		defer func() { _ = recover() }()
		_ = s.UpdateCredential(t.Context(), account, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) { panic("died") })
	}()
	values, err := s.CredentialsNotSealedBy(t.Context(), 2, enlace.CredentialKey{}, 10)
	must(t, err)
	values[0].Data, values[0].KeyID = []byte("resealed"), 2
	if replaced, err := s.ResealCredentials(t.Context(), values); replaced != 1 || err != nil {
		t.Errorf("resealed %d, %v", replaced, err)
	}
	must(t, s.UpdateCredential(t.Context(), account, func(_ context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error) {
		if string(cur.Data) != "resealed" || !interrupted {
			t.Errorf("fn gets %q, interrupted %v; want resealed, true", cur.Data, interrupted)
		}
		return nil, nil
	}))
}

// No file ever holds a secret in any usual form, also in the middle of a write.
func TestCiphertextOnly(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, 0)
	rootKey := enlace.GenerateKey()
	parsed, err := enlace.ParseKey(rootKey)
	must(t, err)
	ring, err := enlace.NewKeyring(parsed)
	must(t, err)
	var written []byte
	collect := func() {
		for _, path := range paths(t, dir, "") {
			content, err := os.ReadFile(path)
			must(t, err)
			written = append(append(written, path...), content...)
		}
	}
	s.BeforeRename(collect)
	canaries := []string{"canary key/with+signs", "canary-access-token", "canary-refresh-token", "canary-webhook-secret", rootKey.Reveal()}
	place := enlace.Place{CredentialKey: account, Host: "crm.example"}
	safe := enlace.NewSafe(s, ring)
	must(t, safe.Put(t.Context(), place, enlace.Credential{
		Scheme:         "api_key",
		Secrets:        map[string]enlace.Secret{"api_key": enlace.NewSecret(canaries[0])},
		Token:          &enlace.Token{Access: enlace.NewSecret(canaries[1]), Refresh: enlace.NewSecret(canaries[2])},
		WebhookSecrets: []enlace.Secret{enlace.NewSecret(canaries[3])},
	}))
	collect()
	for _, c := range canaries {
		reversed := []byte(c)
		slices.Reverse(reversed)
		for _, form := range []string{c, hex.EncodeToString([]byte(c)), base64.StdEncoding.EncodeToString([]byte(c)),
			base64.RawURLEncoding.EncodeToString([]byte(c)), url.QueryEscape(c), url.PathEscape(c), string(reversed)} {
			if bytes.Contains(bytes.ToLower(written), bytes.ToLower([]byte(form))) {
				t.Errorf("the files hold %q", form)
			}
		}
	}
	if len(written) < 500 {
		t.Errorf("only %d bytes were looked at", len(written))
	}
	got, err := safe.Get(t.Context(), place)
	if err != nil || got.Secrets["api_key"].Reveal() != canaries[0] {
		t.Errorf("what was put does not come back: %v", err)
	}
}
