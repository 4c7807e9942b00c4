package enlace_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

// steps shows a report as "name", "name: kind" or "name: skipped".
func steps(r enlace.ConnectionReport) []string {
	var all []string
	for _, s := range r.Steps {
		text := s.Name
		switch {
		case s.Skipped:
			text += ": skipped"
		case s.Err != nil:
			text += ": " + enlace.KindLabel(s.Err)
		}
		all = append(all, text)
	}
	return all
}

func checkReport(t *testing.T, r enlace.ConnectionReport, err error, ok bool, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, steps(r)); err != nil || r.OK != ok || diff != "" {
		t.Errorf("OK %t, want %t, %v, steps (-want +got):\n%s", r.OK, ok, err, diff)
	}
}

// TestConnectionAccount: a test tells what the provider granted and until when, and no
// secret.
func TestConnectionAccount(t *testing.T) {
	scheme := enlace.OAuth2{TokenURL: providerURL + "token", AuthURL: providerURL + "authorize", Scopes: []string{"read", "write"}}
	h := newHost(t, crm{auth: []enlace.AuthScheme{scheme}}, func(c *enlace.Config) {
		c.OAuth = map[string]enlace.OAuthApp{"crm": {ClientID: "app", ClientSecret: enlace.NewSecret("app secret")}}
	})
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	in := h.create(enlace.Credential{Scheme: "oauth2", Token: &enlace.Token{Access: enlace.NewSecret("at-canary"), Refresh: enlace.NewSecret("rt-canary"), Expiry: expires, Scopes: []string{"read"}}})
	r, err := h.TestConnection(t.Context(), enlace.ConnectionTest{Ref: in.Ref})
	if err != nil {
		t.Fatal(err)
	}
	want := enlace.ConnectionAccount{Scheme: "oauth2", Expires: expires, Scopes: []string{"read"}, Missing: []string{"write"}}
	if diff := cmp.Diff(want, r.Account); diff != "" {
		t.Error(diff)
	}
	r, err = h.TestConnection(t.Context(), enlace.ConnectionTest{Provider: "crm", Settings: map[string]string{"timeout": "x"}})
	if err != nil || r.Account.Scheme != "" {
		t.Errorf("without valid settings: %+v, %v", r.Account, err)
	}
}

func TestConnectionSteps(t *testing.T) {
	h := newHost(t, crm{})
	h.provider.add("deals", 3)
	in := h.create(apiKey("k"))
	stored := enlace.ConnectionTest{Ref: in.Ref}
	r, err := h.TestConnection(t.Context(), stored)
	checkReport(t, r, err, true, "settings", "authentication", "sample")
	if r.Steps[2].Detail != "deals: can be read" {
		t.Errorf("detail %q", r.Steps[2].Detail)
	}
	all := h.provider.seen("")
	if len(all) != 2 || !strings.HasSuffix(all[0].URL.Path, "/ping") || !strings.HasSuffix(all[1].URL.Path, "/list/deals") || all[1].URL.Query().Get("limit") != "1" {
		t.Errorf("%d requests; the cheap one must come first, and one record is enough", len(all))
	}
	h.provider.setFault(times(1, "/ping", status(403, `{}`)))
	r, err = h.TestConnection(t.Context(), stored)
	checkReport(t, r, err, false, "settings", "authentication: forbidden")
	h.provider.setFault(times(1, "/ping", status(401, `{}`)))
	r, err = h.TestConnection(t.Context(), stored)
	checkReport(t, r, err, false, "settings", "authentication: auth")
	h.provider.setFault(times(1, "/list/deals", status(404, `{}`)))
	r, err = h.TestConnection(t.Context(), stored)
	checkReport(t, r, err, false, "settings", "authentication", "sample: not_found")
	if _, err := h.Disable(t.Context(), in.Ref); err != nil {
		t.Fatal(err)
	}
	r, err = h.TestConnection(t.Context(), stored)
	checkReport(t, r, err, false, "settings: disabled")
	pending := must(h.Create(t.Context(), enlace.NewIntegration{Tenant: "acme", Provider: "crm"}))(t)
	r, err = h.TestConnection(t.Context(), enlace.ConnectionTest{Ref: pending.Ref})
	checkReport(t, r, err, false, "settings: no_credential")
	if cp, _ := h.store.LoadCheckpoint(t.Context(), in.Ref, "deals"); cp != (enlace.Checkpoint{}) {
		t.Error("a test moved the checkpoint")
	}
}

func TestConnectionOfUnsavedSettings(t *testing.T) {
	h := newHost(t, crm{})
	test := enlace.ConnectionTest{Provider: "crm", Credential: apiKey(canary), Settings: map[string]string{"apiUrl": "https://sandbox.example.com/v2"}}
	r, err := h.TestConnection(t.Context(), test)
	checkReport(t, r, err, true, "settings", "authentication", "sample")
	if r.Steps[2].Detail != "deals: no records" {
		t.Errorf("detail %q", r.Steps[2].Detail)
	}
	if got := h.provider.seen("/ping")[0]; got.URL.String() != "https://sandbox.example.com/v2/ping" || got.Header.Get("X-Api-Key") != canary {
		t.Errorf("%s %v", got.URL, got.Header)
	}
	test.Settings["timeout"], test.Settings["bogus"], test.Credential = "1", "x", enlace.Credential{}
	r, err = h.TestConnection(t.Context(), test)
	checkReport(t, r, err, false, "settings: invalid")
	if diff := cmp.Diff([]string{"api_key: missing", "bogus: unknown setting", "timeout: out of range"}, faultsOf(t, r.Steps[0].Err)); diff != "" {
		t.Error("faults (-want +got):\n" + diff)
	}
	if list, _, _ := h.List(t.Context(), enlace.IntegrationQuery{}); len(list) != 0 {
		t.Error("something was stored")
	}
	for key := range h.store.Credentials(t.Context(), "") {
		t.Errorf("a credential was stored: %v", key)
	}
}

// The refresh token of a credential that is not saved would be lost.
func TestConnectionDoesNotSpendAnUnsavedRefreshToken(t *testing.T) {
	h := newHost(t, codeAdapter, withApp)
	h.provider.bearer = map[string]bool{}
	r, err := h.TestConnection(t.Context(), enlace.ConnectionTest{Provider: "crm", Credential: expired()})
	checkReport(t, r, err, false, "settings", "authentication: auth")
	if n := len(h.posts()); n != 0 {
		t.Errorf("the refresh token was sent %d times", n)
	}
	// The same credential, once it is saved, is refreshed.
	in := h.create(expired())
	r, err = h.TestConnection(t.Context(), enlace.ConnectionTest{Ref: in.Ref})
	checkReport(t, r, err, true, "settings", "authentication", "sample")
	if cred := must(h.ValidCredential(t.Context(), in.Ref))(t); len(h.posts()) != 1 || cred.Token.Refresh.Reveal() != "refresh-1" {
		t.Errorf("%d refreshes", len(h.posts()))
	}
	// Client credentials spend nothing.
	own := newHost(t, crm{auth: []enlace.AuthScheme{enlace.ClientCredentials{TokenURL: "{origin}/oauth/token"}}})
	own.provider.bearer = map[string]bool{}
	r, err = own.TestConnection(t.Context(), enlace.ConnectionTest{Provider: "crm", Credential: enlace.Credential{
		Secrets: map[string]enlace.Secret{"client_id": enlace.NewSecret("id"), "client_secret": enlace.NewSecret("s")}}})
	checkReport(t, r, err, true, "settings", "authentication", "sample")
	if n := len(own.posts()); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

// pusher can only write: there is nothing to read.
type pusher struct{ mute }

func (pusher) Push(context.Context, *enlace.Conn, enlace.Mutation) (enlace.Ack, error) {
	return enlace.Ack{}, nil
}

// plain is crm without a health check.
type plain struct{ inner crm }

func (p plain) Describe() enlace.Descriptor { return p.inner.Describe() }
func (p plain) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	return p.inner.Pull(ctx, c, req)
}

func TestConnectionOfAdaptersThatCanDoLess(t *testing.T) {
	h := newHost(t, plain{})
	in := h.create(apiKey("k"))
	r, err := h.TestConnection(t.Context(), enlace.ConnectionTest{Ref: in.Ref})
	checkReport(t, r, err, true, "settings", "authentication", "sample")
	h.provider.setFault(times(1, "/list/deals", status(403, `{}`)))
	r, err = h.TestConnection(t.Context(), enlace.ConnectionTest{Ref: in.Ref})
	checkReport(t, r, err, false, "settings", "authentication: forbidden")
	if len(h.provider.seen("/ping")) != 0 {
		t.Error("it asked for what the adapter does not know")
	}
	writer := newHost(t, pusher{mute{enlace.Descriptor{Name: "crm", Title: "Writer", BaseURL: providerURL, Auth: []enlace.AuthScheme{headerKey}}}})
	r, err = writer.TestConnection(t.Context(), enlace.ConnectionTest{Ref: writer.create(apiKey("k")).Ref})
	checkReport(t, r, err, true, "settings", "authentication: skipped", "sample: skipped")
}

func TestConnectionThatCannotBeTested(t *testing.T) {
	broken := false
	h := newHost(t, crm{}, failing(func(_ context.Context, op string) error {
		if broken && op == "Integration" {
			return io.ErrClosedPipe
		}
		return nil
	}))
	in := h.create(apiKey("k"))
	check := func(ctx context.Context, test enlace.ConnectionTest, kinds ...error) {
		t.Helper()
		r, err := h.TestConnection(ctx, test)
		for _, kind := range kinds {
			if !errors.Is(err, kind) || r.OK {
				t.Errorf("%+v, %v, want %v", r, err, kind)
			}
		}
	}
	check(t.Context(), enlace.ConnectionTest{Ref: enlace.Ref{Tenant: "acme", ID: "x"}}, enlace.ErrNotFound)
	check(t.Context(), enlace.ConnectionTest{Provider: "nobody"}, enlace.ErrUnknownProvider)
	check(t.Context(), enlace.ConnectionTest{}, enlace.ErrUnknownProvider)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	check(ended, enlace.ConnectionTest{Ref: in.Ref}, enlace.ErrCanceled, context.Canceled)
	check(ended, enlace.ConnectionTest{Provider: "crm", Credential: apiKey("k")}, enlace.ErrCanceled, context.Canceled)
	broken = true
	check(t.Context(), enlace.ConnectionTest{Ref: in.Ref}, enlace.ErrStore)
	broken = false
	if err := h.Registry().Remove("crm"); err != nil {
		t.Fatal(err)
	}
	check(t.Context(), enlace.ConnectionTest{Ref: in.Ref}, enlace.ErrUnknownProvider)
}

// TestValidate: settings and credential are judged without a request.
func TestValidate(t *testing.T) {
	p := fake.New(fake.Options{})
	service := must(enlace.New(enlace.Config{Registry: enlace.NewRegistry(p.Adapter()), Store: memory.New(), Transport: p,
		Keys: must(enlace.NewKeyring(must(enlace.ParseKey(enlace.GenerateKey()))(t)))(t)}))(t)
	good := enlace.ConnectionTest{Provider: fake.Name, Credential: p.APIKey()}
	if err := service.Validate(t.Context(), good); err != nil {
		t.Error(err)
	}
	if err := service.Validate(t.Context(), enlace.ConnectionTest{Provider: fake.Name}); err != nil {
		t.Errorf("without a credential: %v", err)
	}
	bad := enlace.ConnectionTest{Provider: fake.Name, Settings: map[string]string{"timeout": "1"}, Credential: enlace.Credential{Scheme: "api_key"}}
	v, ok := errors.AsType[*enlace.ValidationError](service.Validate(t.Context(), bad))
	if !ok || len(v.Faults) != 2 {
		t.Errorf("faults %+v, want timeout and api_key", v)
	}
	if err := service.Validate(t.Context(), enlace.ConnectionTest{Provider: "none"}); !errors.Is(err, enlace.ErrUnknownProvider) {
		t.Errorf("unknown provider: %v", err)
	}
	if err := service.Validate(t.Context(), enlace.ConnectionTest{Ref: enlace.Ref{ID: "none"}}); !errors.Is(err, enlace.ErrNotFound) {
		t.Errorf("unknown integration: %v", err)
	}
}
