package zapsign_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

func TestDescriptor(t *testing.T) {
	registry := enlace.NewRegistry()
	if err := registry.Register(zapsign.Adapter{}); err != nil {
		t.Fatal(err)
	}
	d := zapsign.Adapter{}.Describe()
	want := enlace.CanPull | enlace.CanFetch | enlace.CanPush | enlace.CanReceiveWebhooks | enlace.CanRegisterWebhooks |
		enlace.CanCheckHealth | enlace.CanAuthenticate | enlace.CanClassify
	if got := enlace.CapabilitiesOf(zapsign.Adapter{}); got != want {
		t.Errorf("can %v, want %v", got, want)
	}
	for i, feature := range []enlace.Feature{"esignature", "documents_sync", "webhook_support"} {
		if d.Features[i] != feature {
			t.Errorf("features %v", d.Features)
		}
	}
	if d.Auth[0].Scheme() != "api_token" || d.Auth[1].Scheme() != "jwt" || d.Environments[0].Name != "production" || d.Environments[1].Name != "sandbox" {
		t.Errorf("%+v %+v", d.Auth, d.Environments)
	}
	if worst := d.Limits.PerSecond*60 + float64(d.Limits.Burst); worst > 500 || d.Limits.PerSecond*60 < 0.95*500 || !d.Limits.PerHost {
		t.Errorf("%+v is %v in the worst minute", d.Limits, worst)
	}
	var names []string
	for _, e := range d.Entities {
		names = append(names, fmt.Sprint(e.Name, " ", e.Incremental))
		for _, op := range []enlace.Operation{enlace.OpRead, enlace.OpCreate, enlace.OpUpdate, enlace.OpDelete} {
			if !e.Can(op) {
				t.Errorf("%s cannot %s", e.Name, op)
			}
		}
	}
	if got := strings.Join(names, ", "); got != "documents updates, signers updates, templates " {
		t.Errorf("entities %q", got)
	}
}

// Each environment has its own host, and a token of one is nothing in the other.
func TestEnvironmentsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hosts sync.Map
		for environment, host := range map[string]string{"": "api.zapsign.com.br", "production": "api.zapsign.com.br", "sandbox": "sandbox.api.zapsign.com.br"} {
			api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{{Production: environment != "sandbox"}}})
			h := newHost(t, api, map[string]string{"environment": environment})
			h.config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				hosts.Store(r.URL.Host, true)
				return api.Transport().RoundTrip(r)
			})
			h.restart()
			if err := (zapsign.Adapter{}).CheckHealth(t.Context(), h.conn()); err != nil {
				t.Errorf("%q: %v", environment, err)
			}
			if _, asked := hosts.LoadAndDelete(host); !asked {
				t.Errorf("%q does not go to %s", environment, host)
			}
			// A token of the other world is refused there.
			other := map[string]string{"environment": zapsign.Sandbox}
			if environment == "sandbox" {
				other["environment"] = zapsign.Production
			}
			wrong := newHost(t, api, other)
			wantKind(t, wrong.note(zapsign.Adapter{}.CheckHealth(t.Context(), wrong.conn())), enlace.ErrAuth, enlace.OutcomeNotRun)
		}
		api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{{Production: true}}})
		brazil := newHost(t, api, map[string]string{"environment": zapsign.Production, "apiUrl": "https://br.api.zapsign.com.br/api/v1"})
		must(0, zapsign.Adapter{}.CheckHealth(t.Context(), brazil.conn()))
	})
}

func TestConnectionTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		h := newHost(t, api, nil)
		for range 2 {
			report := must(h.service.TestConnection(t.Context(), enlace.ConnectionTest{Ref: h.ref}))
			if !report.OK {
				t.Errorf("%+v", report)
			}
			api.Seed(zapsigntest.Seed{Count: 60})
			time.Sleep(wait)
		}
		before := api.Stats().Requests
		must(h.service.TestConnection(t.Context(), enlace.ConnectionTest{Ref: h.ref}))
		if n := api.Stats().Requests - before; n > 4 {
			t.Errorf("a connection test makes %d requests", n)
		}
		for _, fault := range []zapsigntest.Fault{
			{Kind: zapsigntest.Refuse, Status: 402, Body: planNeeded, ContentType: "text/plain"},
		} {
			api.Fault(fault)
			must(0, zapsign.Adapter{}.CheckHealth(t.Context(), h.conn()))
		}
		api.Fault(zapsigntest.Fault{Kind: zapsigntest.HTML502, Times: -1})
		wantKind(t, zapsign.Adapter{}.CheckHealth(t.Context(), h.conn()), enlace.ErrUnavailable, enlace.OutcomeUnknown)
	})
}

func jwt(password string) *enlace.Credential {
	return &enlace.Credential{Scheme: zapsign.SchemeJWT, Secrets: map[string]enlace.Secret{"organization_id": enlace.NewSecret("735"),
		"username": enlace.NewSecret("ana@example.com"), "password": enlace.NewSecret(password)}}
}

func TestT33JWT(t *testing.T) {
	const password = "p4ssw0rd-c4n4ry"
	account := zapsigntest.Account{OrganizationID: 735, Username: "ana@example.com", Password: password}
	for name, life := range map[string]time.Duration{"refresh tokens that last": 48 * time.Hour, "and those that do not": time.Minute} {
		bubble(t, name, func(t *testing.T) {
			var mu sync.Mutex // requests come several at a time
			var tokens []string
			api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{account}, RefreshTTL: life, OnRequest: func(r zapsigntest.Request) {
				mu.Lock()
				defer mu.Unlock()
				tokens = append(tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			}})
			api.Seed(zapsigntest.Seed{Count: 3})
			h := connect(t, api, jwt(password), nil)
			for range 5 {
				h.sync(newInbox(), enlace.SyncOptions{Full: true})
				time.Sleep(61 * time.Minute) // the access token dies
			}
			logins, refreshes := effects(api, "POST /auth/token/{}/"), effects(api, "POST /auth/token-refresh/")
			if life > time.Hour && (logins != 1 || refreshes != 4) || life < time.Hour && (logins != 5 || refreshes != 4) {
				t.Errorf("%d logins, %d refreshes", logins, refreshes)
			}
			secrets := []string{password}
			for _, token := range tokens {
				if token != "" {
					secrets = append(secrets, token)
				}
			}
			if len(secrets) < 5 {
				t.Errorf("%d tokens", len(secrets)-1)
			}
			h.showsNoSecret(secrets...)
		})
	}
	bubble(t, "wrong password", func(t *testing.T) {
		api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{account}, LoginLimit: 1})
		h := connect(t, api, jwt("wrong-c4n4ry"), nil)
		err := h.note(zapsign.Adapter{}.CheckHealth(t.Context(), h.conn()))
		wantKind(t, err, enlace.ErrAuth, enlace.OutcomeNotRun)
		another := connect(t, api, jwt(password), nil)
		err = another.note(zapsign.Adapter{}.CheckHealth(t.Context(), another.conn()))
		wantKind(t, err, enlace.ErrRateLimited, enlace.OutcomeNotRun)
		h.showsNoSecret("wrong-c4n4ry")
	})
	bubble(t, "logins that go wrong", func(t *testing.T) {
		for _, fault := range []zapsigntest.Fault{{Kind: zapsigntest.DropBefore}, {Kind: zapsigntest.HTML200}, {Kind: zapsigntest.HTML502},
			{Kind: zapsigntest.Refuse, Status: 200, Body: "{}"}, {Kind: zapsigntest.BrokenBody}} {
			api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{account}})
			h := connect(t, api, jwt(password), nil)
			fault.Route = "POST /auth/token/{}/"
			api.Fault(fault)
			if err := h.note(zapsign.Adapter{}.CheckHealth(t.Context(), h.conn())); err == nil {
				t.Errorf("%+v went well", fault)
			}
			time.Sleep(time.Minute)
			must(0, zapsign.Adapter{}.CheckHealth(t.Context(), h.conn()))
			api.Fault(zapsigntest.Fault{Route: "POST /auth/token-refresh/", Kind: zapsigntest.HTML502})
			time.Sleep(2 * time.Hour)
			wantKind(t, h.note(zapsign.Adapter{}.CheckHealth(t.Context(), h.conn())), enlace.ErrUnavailable, enlace.OutcomeUnknown)
			h.showsNoSecret(password)
		}
		api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{account}})
		slash := jwt(password)
		slash.Secrets["organization_id"] = enlace.NewSecret("7/35")
		wantKind(t, zapsign.Adapter{}.CheckHealth(t.Context(), connect(t, api, slash, nil).conn()), enlace.ErrInvalid, enlace.OutcomeNotRun)
	})
}

// No part of a credential shows in logs, errors and observations, whatever goes
// wrong, and no link to a file either.
func TestNothingSecretIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const secret = "4c5e0001-c4n4-4ry0-8000-000000000001" + "9a7b0002-c4n4-4ry0-8000-000000000002"
		api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{{Token: secret}}})
		h := newHost(t, api, map[string]string{"settle": "60", "retryAttempts": "1"})
		c := h.conn()
		d := must(zapsign.CreateDocument(t.Context(), c, contract("Contrato", "Ana Prado")))
		for kind := zapsigntest.HTML500; kind <= zapsigntest.Refuse; kind++ {
			if kind == zapsigntest.SlowBody {
				continue
			}
			api.Fault(zapsigntest.Fault{Kind: kind, Status: 400, Body: `{"detail":"who is ` + secret + `?"}`, Times: -1})
			api.Fault(zapsigntest.Fault{Route: "files", Kind: kind, Status: 403, Body: secret, Times: -1})
			_, err := zapsign.CreateDocument(t.Context(), c, contract("Contrato", "Ana Prado"))
			h.note(err)
			h.note(zapsign.Adapter{}.CheckHealth(t.Context(), c))
			_, err = zapsign.DownloadFile(t.Context(), c, zapsign.FileRequest{Token: d.Token, Kind: zapsign.FileOriginal, Link: d.OriginalFile})
			h.note(err)
			_, err = h.service.Sync(t.Context(), h.ref, enlace.SyncOptions{Sink: newInbox()})
			h.note(err)
			_, err = zapsign.RegisterWebhooks(t.Context(), c, target, enlace.NewSecret(webhook))
			h.note(err)
			api.ClearFaults()
			time.Sleep(time.Minute)
		}
		h.showsNoSecret(secret, secret[:36], secret[36:], webhook, "Signature=", "/verificar/", d.Signers[0].Token, d.Token)
	})
}

// An hour of mixed load by eight callers: the server's limiter refuses nothing,
// and 95 % of what it allows is used.
func TestLimitIsKeptAndUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{RoundTrip: 120 * time.Millisecond,
			Accounts: []zapsigntest.Account{{Plan: &zapsigntest.Plan{Name: "API", Status: "paid"}}}})
		tokens := api.Seed(zapsigntest.Seed{Count: 60})
		signers := make([]string, 0, 60)
		for _, d := range api.Documents() {
			signers = append(signers, d.Signers[0].Token)
		}
		h := newHost(t, api, nil)
		h.config.Observer, h.config.Logger = nil, nil // they would be most of the work
		h.restart()
		end := time.Now().Add(time.Hour)
		var callers sync.WaitGroup
		for caller := range 8 {
			c := h.conn()
			callers.Go(func() {
				for i := caller; time.Now().Before(end); i += 8 {
					if err := oneOf(t.Context(), c, i, tokens[i%60], signers[i%60]); err != nil {
						t.Errorf("call %d: %v", i, err)
						return
					}
				}
			})
		}
		callers.Wait()
		s := api.Stats()
		t.Logf("%d requests, %.1f %% of the rate, %d refused by the limiter", s.Requests, float64(s.Requests)/300, s.RateLimited)
		if s.RateLimited != 0 || s.Refused != 0 || float64(s.Requests) < 0.95*500*60 {
			t.Errorf("%d requests in an hour (%.1f %%), %d refused, %d by the limiter", s.Requests, float64(s.Requests)/300, s.Refused, s.RateLimited)
		}
	})
}

// oneOf is the i-th call of a mixed load.
func oneOf(ctx context.Context, c *enlace.Conn, i int, document, signer string) (err error) {
	switch i % 50 {
	case 0:
		_, err = zapsign.CreateDocument(ctx, c, contract("Contrato", "Ana Prado"))
	case 1, 11, 21:
		for range zapsign.ListDocuments(ctx, c, zapsign.DocumentFilter{Status: "signed"}) {
			break
		}
	case 2, 12:
		err = zapsign.UpdateDocument(ctx, c, document, zapsign.DocumentUpdate{Name: fmt.Sprint("Contrato ", i)})
	case 3, 13:
		_, err = zapsign.UpdateSigner(ctx, c, signer, zapsign.SignerInput{Qualification: "Testemunha"})
	case 4:
		_, err = zapsign.Adapter{}.Pull(ctx, c, enlace.PullRequest{Entity: zapsign.Templates})
	case 5, 15, 25, 35, 45:
		_, err = zapsign.GetSigner(ctx, c, signer)
	default:
		_, err = zapsign.PlanInfo(ctx, c)
	}
	return err
}
