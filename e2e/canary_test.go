package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/store/sqlite"
)

// canaries hands out secrets that are told apart and need escaping everywhere.
type canaries struct {
	mu    sync.Mutex
	given []string
}

func (c *canaries) next() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := fmt.Sprintf("k9%02d+Zq/%x=é", len(c.given), 0xabcdef+7919*len(c.given))
	c.given = append(c.given, s)
	return s
}

// segment is a secret that fits into a path as it is.
func (c *canaries) segment() string {
	s := strings.NewReplacer("/", "_", "+", "-", "=", ".", "é", "e").Replace(c.next())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given[len(c.given)-1] = s
	return s
}

func (c *canaries) secret() enlace.Secret { return enlace.NewSecret(c.next()) }

// forms are the ways in which a secret could stand in a text.
func forms(s string) map[string]string {
	return map[string]string{
		"raw": s, "hex": hex.EncodeToString([]byte(s)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(s))),
		"base64": base64.RawStdEncoding.EncodeToString([]byte(s)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(s)),
		"query": url.QueryEscape(s), "path": url.PathEscape(s), "%d": strings.Trim(fmt.Sprint([]byte(s)), "[]"),
		"quoted": strings.Trim(fmt.Sprintf("%+q", s), `"`), "reversed": reversed(s),
	}
}

func reversed(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

// parrot is a provider that repeats all it is told, in many encodings, with a
// status that it is told to.
type parrot struct {
	mu     sync.Mutex
	status int
	html   bool
}

func (p *parrot) set(status int, html bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.html = status, html
}

func (p *parrot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	status, html := p.status, p.html
	p.mu.Unlock()
	heard := fmt.Sprintf("%s %s %v %s", r.URL.Path, r.URL.RawQuery, r.Header, body)
	if user, password, ok := r.BasicAuth(); ok {
		heard += " " + user + " " + password
	}
	if unescaped, err := url.QueryUnescape(heard); err == nil {
		heard += " " + unescaped
	}
	if html {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<html>%s", heard)
		return
	}
	if status == http.StatusFound {
		w.Header().Set("Location", "https://elsewhere.example.com/"+url.PathEscape(heard))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": heard[:min(len(heard), 300)], "error_description": heard,
		"hex": hex.EncodeToString([]byte(heard)), "base64": base64.StdEncoding.EncodeToString([]byte(heard))})
}

// schemes is an adapter with every way to authenticate, whose errors repeat what
// the provider said.
type schemes struct{ token string }

func (s schemes) Describe() enlace.Descriptor {
	return enlace.Descriptor{Name: "schemes", Title: "Schemes", BaseURL: "https://schemes.invalid/",
		Auth: []enlace.AuthScheme{
			enlace.APIKey{Name: "header", Place: enlace.Placement{Header: "X-Key"}},
			enlace.APIKey{Name: "query", Place: enlace.Placement{Query: "key"}},
			enlace.APIKey{Name: "body", Place: enlace.Placement{Body: "key"}},
			enlace.Basic{},
			enlace.SecretURL{Name: "url", Pattern: "/.*"},
			enlace.OAuth2{Name: "code", AuthURL: "{origin}/authorize", TokenURL: s.token, Place: enlace.BearerHeader(), PKCE: true},
			enlace.ClientCredentials{Name: "client", TokenURL: s.token, BasicClientAuth: true},
			enlace.CustomAuth{Name: "custom", Fields: []enlace.SecretField{{Name: "pin", Required: true}}},
		},
		Entities: []enlace.Entity{{Name: "things", Operations: []enlace.Operation{enlace.OpRead}}}}
}

func (s schemes) Pull(ctx context.Context, c *enlace.Conn, _ enlace.PullRequest) (enlace.Page, error) {
	var out struct{ Items []string }
	err := c.Do(ctx, enlace.Call{Method: http.MethodPost, Path: "things", Body: map[string]string{"q": "x"}}, &out)
	return enlace.Page{Done: true}, err
}

func (schemes) Classify(status int, _ http.Header, body []byte) error {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Hex, Base64 string
	}
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		return enlace.ErrDefault
	}
	e, _ := errors.AsType[*enlace.Error](enlace.ClassifyHTTP(max(status, 400), http.Header{}))
	e.Code, e.Message = said.Error, said.Description+" "+said.Hex+" "+said.Base64
	return e
}

func (schemes) Authorize(r *http.Request, c enlace.Credential) error {
	r.Header.Set("X-Pin", c.Secrets["pin"].Reveal())
	return nil
}

func (schemes) Refresh(_ context.Context, _ *http.Client, _ *url.URL, c enlace.Credential) (enlace.Credential, error) {
	return c, fmt.Errorf("the pin %s was refused", c.Secrets["pin"].Reveal())
}

// witness collects everything that leaves the library.
type witness struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (w *witness) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.Write(p)
}

func (w *witness) note(values ...any) {
	for _, v := range values {
		text, _ := json.Marshal(v)
		fmt.Fprintf(w, "%v %+v %#v %q %x %s\n", v, v, v, v, v, text)
		if err, ok := v.(error); ok {
			for ; err != nil; err = errors.Unwrap(err) {
				fmt.Fprintf(w, "%v %+v\n", err, err)
			}
		}
	}
}

// No secret is in any error, log line, observation, stored row or dump, in any
// encoding, whatever the provider answers and repeats.
func TestCanaries(t *testing.T) {
	birds, seen, provider := &canaries{}, &witness{}, &parrot{status: 200}
	server := httptest.NewServer(provider)
	defer server.Close()
	directory := t.TempDir()
	rootKey := enlace.GenerateKey()
	key, err := enlace.ParseKey(rootKey)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(directory, "canaries.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	app := birds.secret()
	config := enlace.Config{Registry: enlace.NewRegistry(schemes{server.URL + "/token"}, bitrix24.Adapter{}), Store: store, Keys: keys,
		OAuth: map[string]enlace.OAuthApp{"schemes": {ClientID: "app", ClientSecret: app},
			bitrix24.Name: {ClientID: "app", ClientSecret: birds.secret(), TokenURL: server.URL + "/token"}},
		Egress:   enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Logger:   slog.New(slog.NewMultiHandler(slog.NewTextHandler(seen, &slog.HandlerOptions{Level: slog.LevelDebug}), slog.NewJSONHandler(seen, nil))),
		Observer: func(_ context.Context, o enlace.Observation) { seen.note(o) }}
	service, err := enlace.New(config)
	if err != nil {
		t.Fatal(err)
	}
	seen.note(config, service.Safe(), keys, key)

	settings := map[string]string{"apiUrl": server.URL + "/", "retryAttempts": "0", "timeout": "2000"}
	answers := []struct {
		status int
		html   bool
	}{{200, false}, {200, true}, {302, false}, {400, false}, {401, false}, {401, true}, {403, false}, {404, true}, {409, false},
		{500, false}, {502, true}, {503, false}, {429, false}} // last: who is told to wait waits
	for _, n := range credentialsOf(birds, server.URL) {
		n.Settings = settings
		if n.Credential.Scheme == "url" || n.Credential.Scheme == bitrix24.SchemeWebhook {
			n.Settings = map[string]string{"retryAttempts": "0"}
		}
		provider.set(200, false)
		in, err := service.Create(t.Context(), n)
		seen.note(in, err)
		if err != nil {
			t.Fatalf("%s: %v", n.Credential.Scheme, err)
		}
		for i, answer := range answers {
			if n.Provider == bitrix24.Name && i%5 != 4 {
				continue // the portal's rate limit is kept: two requests a second
			}
			provider.set(answer.status, answer.html)
			exercise(t.Context(), service, in, seen)
		}
		report, err := service.TestConnection(t.Context(), enlace.ConnectionTest{Provider: n.Provider, Settings: n.Settings, Credential: *n.Credential})
		seen.note(report, err)
		list, _, err := service.List(t.Context(), enlace.IntegrationQuery{})
		seen.note(list, err)
	}
	refused(t.Context(), service, birds, seen)
	if err := service.Close(t.Context()); err != nil {
		t.Error(err)
	}
	stacks := make([]byte, 1<<20)
	seen.note(string(stacks[:runtime.Stack(stacks, true)]))
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(filepath.Join(directory, "canaries.db"+suffix))
		if err == nil {
			_, _ = seen.Write(data)
		}
	}

	text := seen.all.Bytes()
	if len(birds.given) < 40 {
		t.Errorf("only %d canaries", len(birds.given))
	}
	for _, s := range append(birds.given, rootKey.Reveal()) {
		for name, form := range forms(s) {
			if i := bytes.Index(text, []byte(form)); i >= 0 {
				t.Errorf("secret %q is there (%s): …%q…", s, name, text[max(0, i-200):min(len(text), i+100)])
				break
			}
		}
	}
	t.Logf("%d secrets, %d bytes searched", len(birds.given)+1, len(text))
}

// credentialsOf makes one of each kind, some of them twice with tokens in
// different states.
func credentialsOf(birds *canaries, address string) []enlace.NewIntegration {
	token := func(expiry time.Time) *enlace.Token {
		return &enlace.Token{Access: birds.secret(), Refresh: birds.secret(), Expiry: expiry}
	}
	one := func(scheme string, secrets ...string) enlace.NewIntegration {
		c := &enlace.Credential{Scheme: scheme, Secrets: map[string]enlace.Secret{}, WebhookSecrets: []enlace.Secret{birds.secret()}}
		for _, name := range secrets {
			c.Secrets[name] = birds.secret()
		}
		return enlace.NewIntegration{Tenant: "acme", Provider: "schemes", Credential: c}
	}
	all := []enlace.NewIntegration{one("header", "api_key"), one("query", "api_key"), one("body", "api_key"),
		one("basic", "username", "password"), one("client", "client_id", "client_secret"), one("client"), one("custom", "pin")}
	for _, expiry := range []time.Time{{}, time.Now().Add(time.Hour), time.Now().Add(-time.Hour)} {
		code := one("code", "client_id", "client_secret")
		code.Credential.Token = token(expiry)
		all = append(all, code)
		shared := one("code")
		shared.Credential.Token = token(expiry)
		all = append(all, shared)
		portal := one(bitrix24.SchemeOAuth)
		portal.Provider, portal.Credential.Token = bitrix24.Name, token(expiry)
		all = append(all, portal)
	}
	secretURL := one("url")
	secretURL.Credential.Secrets["url"] = enlace.NewSecret(address + "/hook/" + birds.segment() + "/")
	webhook := one(bitrix24.SchemeWebhook)
	webhook.Provider = bitrix24.Name
	webhook.Credential.Secrets["url"] = enlace.NewSecret(address + "/rest/1/" + birds.segment() + "/")
	return append(all, secretURL, webhook)
}

// exercise does everything that can be done with an integration.
func exercise(ctx context.Context, service *enlace.Service, in enlace.Integration, seen *witness) {
	entity := map[string]string{"schemes": "things", bitrix24.Name: "contacts"}[in.Provider]
	result, err := service.Sync(ctx, in.Ref, enlace.SyncOptions{Entities: []string{entity}, Sink: enlace.SinkFunc(
		func(context.Context, enlace.Batch) (enlace.Changes, error) { return enlace.Changes{}, nil })})
	seen.note(result, err)
	runs, _, err := service.Runs(ctx, enlace.RunQuery{Tenant: in.Tenant, Limit: 3})
	seen.note(runs, err)
	report, err := service.TestConnection(ctx, enlace.ConnectionTest{Ref: in.Ref})
	seen.note(report, err)
	for _, step := range report.Steps {
		seen.note(step.Err)
	}
	cred, err := service.ValidCredential(ctx, in.Ref)
	seen.note(cred, err)
	if c, err := service.Conn(ctx, in.Ref); err == nil {
		seen.note(c.Do(ctx, enlace.Call{Path: "anything", Query: url.Values{"a": {"b"}}}, nil))
		_, err = c.Client().Get("https://elsewhere.example.com/")
		seen.note(err)
		_, err = c.Download(ctx, in.BaseURL, 10)
		seen.note(err)
		c.Logger().Info("a line of the adapter", "connection", c.Ref())
	}
	_, err = service.CompleteAuth(ctx, url.Values{"state": {"x"}, "code": {"y"}})
	seen.note(err)
	current, err := service.Get(ctx, in.Ref)
	seen.note(current, err)
}

// refused gives the library secrets in the wrong places.
func refused(ctx context.Context, service *enlace.Service, birds *canaries, seen *witness) {
	bad := func(n enlace.NewIntegration) {
		in, err := service.Create(ctx, n)
		seen.note(in, err)
	}
	bad(enlace.NewIntegration{Provider: "schemes", Settings: map[string]string{"apiUrl": "https://u:" + url.PathEscape(birds.next()) + "@h/"}})
	bad(enlace.NewIntegration{Provider: "schemes", Settings: map[string]string{"apiUrl": "https://h/?t=" + url.QueryEscape(birds.next())}})
	bad(enlace.NewIntegration{Provider: "schemes", Credential: &enlace.Credential{Scheme: "nope", Secrets: map[string]enlace.Secret{"x": birds.secret()}}})
	bad(enlace.NewIntegration{Provider: "schemes", Credential: &enlace.Credential{Scheme: "header", Secrets: map[string]enlace.Secret{"wrong": birds.secret()}}})
	bad(enlace.NewIntegration{Provider: bitrix24.Name, Credential: &enlace.Credential{Scheme: bitrix24.SchemeWebhook,
		Secrets: map[string]enlace.Secret{"url": enlace.NewSecret("https://acme.bitrix24.com/" + url.PathEscape(birds.next()))}}})
	bad(enlace.NewIntegration{Provider: bitrix24.Name, Credential: &enlace.Credential{Scheme: bitrix24.SchemeWebhook,
		Secrets: map[string]enlace.Secret{"url": enlace.NewSecret("http://10.0.0.1/rest/1/" + url.PathEscape(birds.next()) + "/")}}})
	_, err := enlace.ParseKey(birds.secret())
	seen.note(err)
	_, err = service.CompleteAuth(ctx, url.Values{"state": {birds.next()}, "code": {birds.next()}})
	seen.note(err)
}
