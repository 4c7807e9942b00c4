package enlace_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// reveal makes secrets comparable.
var reveal = cmp.Transformer("reveal", func(s enlace.Secret) string { return s.Reveal() })

func fullCredential() enlace.Credential {
	return enlace.Credential{
		Scheme: "oauth2", Attributes: map[string]string{"portal": "7"}, WebhookSecrets: secrets(canary+"new", canary+"old"),
		Secrets: map[string]enlace.Secret{"client_id": enlace.NewSecret("id"), "client_secret": enlace.NewSecret(canary + "\x00\"ü")},
		Token: &enlace.Token{Access: enlace.NewSecret(canary + "access"), Refresh: enlace.NewSecret(canary + "refresh"), Type: "Bearer",
			Expiry: time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.UTC), Scopes: []string{"a", "b"}},
	}
}

var home = enlace.Place{CredentialKey: enlace.CredentialKey{Ref: enlace.Ref{Tenant: "acme", ID: "i1"}, Name: "account"}, Host: "crm.example.com"}

func TestSafeRoundTrip(t *testing.T) {
	safe := enlace.NewSafe(memory.New(), newKeys(t))
	if _, err := safe.Get(t.Context(), home); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("Get of nothing: %v, want ErrNoCredential", err)
	}
	for _, cred := range []enlace.Credential{fullCredential(), {}, {Scheme: "x", Token: &enlace.Token{}}} {
		if err := safe.Put(t.Context(), home, cred); err != nil {
			t.Fatal(err)
		}
		got, err := safe.Get(t.Context(), home)
		if diff := cmp.Diff(cred, got, reveal); err != nil || diff != "" {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
	}
	if err := safe.Delete(t.Context(), home.CredentialKey); err != nil {
		t.Fatal(err)
	}
	if err := safe.Delete(t.Context(), home.CredentialKey); err != nil {
		t.Errorf("a second Delete: %v", err)
	}
	if _, err := safe.Get(t.Context(), home); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("Get after Delete: %v", err)
	}
}

func TestSafeOpensOnlyAtItsPlace(t *testing.T) {
	store, keys := memory.New(), newKeys(t)
	safe := enlace.NewSafe(store, keys)
	if err := safe.Put(t.Context(), home, fullCredential()); err != nil {
		t.Fatal(err)
	}
	row, err := store.LoadCredential(t.Context(), home.CredentialKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*enlace.Place){
		"another tenant":      func(p *enlace.Place) { p.Tenant = "evil" },
		"no tenant":           func(p *enlace.Place) { p.Tenant = "" },
		"another integration": func(p *enlace.Place) { p.ID = "i2" },
		"another name":        func(p *enlace.Place) { p.Name = "webhook" },
		"another host":        func(p *enlace.Place) { p.Host = "evil.example.com" },
		"another port":        func(p *enlace.Place) { p.Host += ":8443" },
		"shifted fields":      func(p *enlace.Place) { p.Tenant, p.ID = "acmei", "1" },
	} {
		t.Run(name, func(t *testing.T) {
			place := home
			edit(&place)
			// Whoever can write the table copies the row there.
			err := store.UpdateCredential(t.Context(), place.CredentialKey,
				func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) { return &row, nil })
			if err != nil {
				t.Fatal(err)
			}
			got, err := safe.Get(t.Context(), place)
			if !errors.Is(err, enlace.ErrKey) {
				t.Errorf("Get: %v, want ErrKey", err)
			}
			if diff := cmp.Diff(enlace.Credential{}, got, reveal); diff != "" {
				t.Error("something came out (-want +got):\n" + diff)
			}
			called := false
			err = safe.Update(t.Context(), place, func(context.Context, enlace.Credential, bool) (enlace.Credential, bool, error) {
				called = true
				return fullCredential(), true, nil
			})
			if called || !errors.Is(err, enlace.ErrKey) {
				t.Errorf("Update: %v, called %t", err, called)
			}
		})
	}
}

func TestSafeWithAnotherKey(t *testing.T) {
	store := memory.New()
	oldKey, newKey := must(enlace.ParseKey(enlace.GenerateKey()))(t), must(enlace.ParseKey(enlace.GenerateKey()))(t)
	before := enlace.NewSafe(store, must(enlace.NewKeyring(oldKey))(t))
	if err := before.Put(t.Context(), home, fullCredential()); err != nil {
		t.Fatal(err)
	}
	_, err := enlace.NewSafe(store, must(enlace.NewKeyring(newKey))(t)).Get(t.Context(), home)
	if !errors.Is(err, enlace.ErrKey) || errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("with a wrong key: %v, want ErrKey", err)
	}
	// While rotating the new key seals and both open.
	both := enlace.NewSafe(store, must(enlace.NewKeyring(newKey, oldKey))(t))
	if _, err := both.Get(t.Context(), home); err != nil {
		t.Errorf("with the old key retiring: %v", err)
	}
	if err := both.Put(t.Context(), home, fullCredential()); err != nil {
		t.Fatal(err)
	}
	if _, err := enlace.NewSafe(store, must(enlace.NewKeyring(newKey))(t)).Get(t.Context(), home); err != nil {
		t.Errorf("sealed again, with the new key only: %v", err)
	}
	if _, err := enlace.NewSafe(store, must(enlace.NewKeyring(oldKey))(t)).Get(t.Context(), home); !errors.Is(err, enlace.ErrKey) {
		t.Errorf("sealed again, with the old key only: %v, want ErrKey", err)
	}
	row, _ := store.LoadCredential(t.Context(), home.CredentialKey)
	if row.KeyID != newKey.ID() {
		t.Errorf("the row names key %x, want the primary %x", row.KeyID, newKey.ID())
	}
}

func TestSafeRefusesAlteredRows(t *testing.T) {
	store := memory.New()
	keys := newKeys(t)
	if err := enlace.NewSafe(store, keys).Put(t.Context(), home, fullCredential()); err != nil {
		t.Fatal(err)
	}
	row, _ := store.LoadCredential(t.Context(), home.CredentialKey)
	altered := map[string][]byte{"empty": {}, "one byte": {1}, "longer": append(row.Data[:len(row.Data):len(row.Data)], 0), "shorter": row.Data[:len(row.Data)-1],
		"plain JSON": []byte(`{"scheme":"api_key","secrets":{"api_key":"x"}}`)}
	for i := range row.Data {
		flipped := append([]byte(nil), row.Data...)
		flipped[i] ^= 0x40
		altered["flipped "+hex.EncodeToString([]byte{byte(i >> 8), byte(i)})] = flipped
	}
	for name, data := range altered {
		err := store.UpdateCredential(t.Context(), home.CredentialKey, func(context.Context, *enlace.Sealed, bool) (*enlace.Sealed, error) {
			return &enlace.Sealed{Data: data, KeyID: row.KeyID}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// A new safe each time: what one has opened it keeps for some seconds.
		if _, err := enlace.NewSafe(store, keys).Get(t.Context(), home); !errors.Is(err, enlace.ErrKey) && len(data) > 0 {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
}

func TestStoreHoldsCiphertextOnly(t *testing.T) {
	h := newHost(t, crm{auth: []enlace.AuthScheme{enlace.SecretURL{}, enlace.Basic{}, headerKey, enlace.OAuth2{}}})
	full := fullCredential()
	creds := []enlace.Credential{apiKey(canary), full,
		{Scheme: "basic", Secrets: map[string]enlace.Secret{"username": enlace.NewSecret("u"), "password": enlace.NewSecret(canary)}},
		{Scheme: "secret_url", Secrets: map[string]enlace.Secret{"url": enlace.NewSecret("https://crm.example.com/rest/1/" + strings.ReplaceAll(canary, "/", "_") + "/")}}}
	for _, cred := range creds {
		in := h.create(cred)
		sealed, err := h.store.LoadCredential(t.Context(), enlace.CredentialKey{Ref: in.Ref, Name: "account"})
		if err != nil {
			t.Fatal(err)
		}
		stored, err := h.store.Integration(t.Context(), in.Ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{canary, strings.ReplaceAll(canary, "/", "_"), canary + "access", canary + "refresh"} {
			checkNoLeak(t, cred.Scheme+": the sealed row", string(sealed.Data), secret)
			checkNoLeak(t, cred.Scheme+": the integration", dump(stored), secret)
			checkNoLeak(t, cred.Scheme+": the answer of Create", dump(in), secret)
		}
		if string(sealed.Data) == "" || strings.Contains(string(sealed.Data), `"scheme"`) {
			t.Errorf("%s: the row is not sealed: %q", cred.Scheme, sealed.Data)
		}
	}
	for _, o := range h.observed() {
		checkNoLeak(t, "an observation", dump(o), canary, strings.ReplaceAll(canary, "/", "_"))
	}
}

// Who can write the database but has no key must not get the secret sent to
// another host.
func TestChangedRowsFailClosed(t *testing.T) {
	fields := []enlace.Field{{Name: "portal", Kind: enlace.FieldHost}}
	for name, edit := range map[string]func(*enlace.Integration){
		"base_url":           func(in *enlace.Integration) { in.BaseURL = "https://evil.example.com/api/" },
		"base_url to a port": func(in *enlace.Integration) { in.BaseURL = "https://acme.example.com:8443/api/" },
		"base_url emptied":   func(in *enlace.Integration) { in.BaseURL = "" },
		"base_url not a URL": func(in *enlace.Integration) { in.BaseURL = "https://%zz" },
		"apiUrl":             func(in *enlace.Integration) { in.Settings["apiUrl"] = "https://evil.example.com/" },
		"portal":             func(in *enlace.Integration) { in.Settings["portal"] = "evil.example.com" },
		"apiUrl and base_url": func(in *enlace.Integration) {
			in.BaseURL, in.Settings["apiUrl"] = "https://evil.example.com/", "https://evil.example.com/"
		},
		"provider with another": func(in *enlace.Integration) { in.Provider = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, crm{base: "https://{portal}/api/", fields: fields}, func(c *enlace.Config) {
				other := bare{enlace.Descriptor{Name: "other", BaseURL: "https://evil.example.com/", Auth: []enlace.AuthScheme{headerKey}, Settings: fields}}
				if err := c.Registry.Register(other); err != nil {
					t.Fatal(err)
				}
			})
			in := h.create(apiKey(canary), with("portal", "acme.example.com"))
			row, err := h.store.Integration(t.Context(), in.Ref)
			if err != nil {
				t.Fatal(err)
			}
			edit(&row)
			if err := h.store.UpdateIntegration(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*enlace.Service{h.Service, h.restart()} {
				c, err := s.Conn(t.Context(), in.Ref)
				if !errors.Is(err, enlace.ErrKey) {
					t.Errorf("Conn: %v, want ErrKey", err)
				}
				if c != nil {
					t.Error("a connection was opened")
				}
				if _, err := s.Sync(t.Context(), in.Ref, enlace.SyncOptions{Sink: &notebook{}}); !errors.Is(err, enlace.ErrKey) {
					t.Errorf("Sync: %v, want ErrKey", err)
				}
			}
			if n := len(h.provider.seen("")); n != 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

func TestSafeUpdate(t *testing.T) {
	safe := enlace.NewSafe(memory.New(), newKeys(t))
	nothing := func(context.Context, enlace.Credential, bool) (enlace.Credential, bool, error) {
		t.Error("fn was called without a credential")
		return enlace.Credential{}, false, nil
	}
	if err := safe.Update(t.Context(), home, nothing); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("Update of nothing: %v", err)
	}
	if err := safe.Put(t.Context(), home, apiKey("one")); err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	err := safe.Update(t.Context(), home, func(_ context.Context, cur enlace.Credential, _ bool) (enlace.Credential, bool, error) {
		return apiKey("two"), true, mine
	})
	if err != mine { //nolint:errorlint // as it is
		t.Errorf("fn's error came back as %v", err)
	}
	err = safe.Update(t.Context(), home, func(_ context.Context, cur enlace.Credential, _ bool) (enlace.Credential, bool, error) {
		return apiKey("two"), false, nil
	})
	if got := must(safe.Get(t.Context(), home))(t); err != nil || got.Secrets["api_key"].Reveal() != "one" {
		t.Errorf("an unchanged credential was stored, %v", err)
	}
	var wg sync.WaitGroup
	for range 50 { // one after the other, each sees the one before
		wg.Go(func() {
			err := safe.Update(t.Context(), home, func(_ context.Context, cur enlace.Credential, _ bool) (enlace.Credential, bool, error) {
				return apiKey(cur.Secrets["api_key"].Reveal() + "+"), true, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := must(safe.Get(t.Context(), home))(t).Secrets["api_key"].Reveal(); got != "one"+strings.Repeat("+", 50) {
		t.Errorf("after 50 updates: %s", got)
	}
}

func TestParseKey(t *testing.T) {
	good := []byte("0123456789abcdefghijklmnopqrstuv")
	in64, inHex := base64.StdEncoding.EncodeToString(good), hex.EncodeToString(good)
	a, b := must(enlace.ParseKey(enlace.NewSecret(in64)))(t), must(enlace.ParseKey(enlace.NewSecret(inHex)))(t)
	if a.ID() != b.ID() || a.ID() == 0 {
		t.Errorf("the same bytes are the keys %x and %x", a.ID(), b.ID())
	}
	for name, text := range map[string]string{
		"empty": "", "short": in64[:40], "31 bytes": base64.StdEncoding.EncodeToString(good[:31]), "33 bytes": base64.StdEncoding.EncodeToString(append(good, 'x')),
		"passphrase": "correct horse battery staple", "raw": string(good), "zeros": strings.Repeat("0", 64), "repeated": strings.Repeat("ab", 32),
		"newline": in64 + "\n ", "all bytes equal": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))),
	} {
		_, err := enlace.ParseKey(enlace.NewSecret(text))
		if name == "newline" && err == nil {
			continue // base64 ignores a line end
		}
		if !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
		if err != nil && len(text) > 8 {
			checkNoLeak(t, name, err.Error(), text)
		}
	}
	if enlace.GenerateKey().Equal(enlace.GenerateKey()) {
		t.Error("two generated keys are the same")
	}
	if (enlace.Key{}).ID() != 0 {
		t.Error("the zero key has an id")
	}
}

func TestNewKeyringRefusesUselessKeys(t *testing.T) {
	key := must(enlace.ParseKey(enlace.GenerateKey()))(t)
	for name, make := range map[string]func() (*enlace.Keyring, error){
		"zero primary":  func() (*enlace.Keyring, error) { return enlace.NewKeyring(enlace.Key{}) },
		"zero retiring": func() (*enlace.Keyring, error) { return enlace.NewKeyring(key, enlace.Key{}) },
		"twice":         func() (*enlace.Keyring, error) { return enlace.NewKeyring(key, key) },
	} {
		if ring, err := make(); ring != nil || !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, ring, err)
		}
	}
}

func TestOAuth2Token(t *testing.T) {
	if (enlace.Credential{}).OAuth2Token() != nil {
		t.Error("a token out of nothing")
	}
	c := fullCredential()
	got := c.OAuth2Token()
	if got.AccessToken != c.Token.Access.Reveal() || got.RefreshToken != c.Token.Refresh.Reveal() || !got.Expiry.Equal(c.Token.Expiry) || got.TokenType != "Bearer" {
		t.Errorf("%+v", got)
	}
}
