package browser

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/mapping/live"
	"github.com/enlace-go/enlace/store/memory"
)

// host is an application with the admin in it, in front of two fake providers.
type host struct {
	t       *testing.T
	fake    *fake.Provider
	portal  *bitrix24test.Server
	service *enlace.Service
	admin   *admin.Admin
	server  *httptest.Server
	fakeURL string
	base    string
	streams atomic.Int64 // open ones
	store   *moody
}

// moody is a store that can fail or hang.
type moody struct {
	enlace.Store
	mood atomic.Value // "", "fail", "hang"
}

func (m *moody) check(ctx context.Context) error {
	switch m.mood.Load() {
	case "fail":
		return enlace.ErrStore
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	default:
		return nil
	}
}

func (m *moody) Runs(ctx context.Context, q enlace.RunQuery) ([]enlace.Run, string, error) {
	if err := m.check(ctx); err != nil {
		return nil, "", err
	}
	return m.Store.Runs(ctx, q)
}

// unwelcome is the id of the record that the host's sink refuses.
const unwelcome = "unwelcome"

type hostOptions struct {
	mount   func(http.Handler) http.Handler
	base    string
	options admin.Options
	hooks   string // where the world reaches the webhook handler
}

func newHost(t *testing.T, o hostOptions) *host {
	t.Helper()
	h := &host{t: t, fake: fake.New(fake.Options{}), portal: bitrix24test.NewServer(bitrix24test.Options{}), store: &moody{Store: memory.New()}}
	t.Cleanup(h.portal.Close)
	h.fake.Seed("contacts", 120)
	h.portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 60})
	provider := httptest.NewServer(h.fake)
	t.Cleanup(provider.Close)
	h.fakeURL = provider.URL + "/v1/"
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	if o.options.Logs == nil {
		o.options.Logs = enlace.NewLogBuffer(100, nil)
	}
	h.service, err = enlace.New(enlace.Config{Logger: slog.New(o.options.Logs),
		Registry: enlace.NewRegistry(fake.Adapter{}, bitrix24.Adapter{}), Store: h.store, Keys: keys,
		Egress: enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		OAuth: map[string]enlace.OAuthApp{bitrix24.Name: {ClientID: h.portal.ClientID(), ClientSecret: enlace.NewSecret(h.portal.ClientSecret()),
			AuthURL: h.portal.AuthorizeURL(), TokenURL: h.portal.TokenURL()}},
		Mappings: live.Engine{}, Webhooks: enlace.WebhookConfig{PublicURL: cmp.Or(o.hooks, "https://host.example/hooks")},
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			for _, r := range b.Records {
				if r.ID == unwelcome {
					return enlace.Changes{}, &enlace.SinkRefusal{Records: map[string]error{r.ID: errors.New("the name is too long")}}
				}
			}
			return enlace.Changes{Created: len(b.Records)}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.options.Authorize == nil {
		o.options.Authorize = func(*http.Request) (admin.Access, error) {
			return admin.Access{User: "ana", Name: "Ana Souza", Grants: admin.Administrator}, nil
		}
	}
	o.options.SourceTimeout = 5 * time.Second // a busy machine is no slow source
	h.admin = admin.Handler(h.service, o.options)
	if o.mount == nil {
		o.base, o.mount = "/integrations/", func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/integrations/", h)
			return mux
		}
	}
	inner := o.mount(h.admin)
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/live") {
			h.streams.Add(1)
			defer h.streams.Add(-1)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		h.admin.Close()
		h.server.Close()
	})
	h.base = h.server.URL + o.base
	return h
}

// connected creates an integration of the fake provider with a credential.
func (h *host) connected(name string) enlace.Integration {
	h.t.Helper()
	credential := h.fake.APIKey()
	return h.create(enlace.NewIntegration{Provider: fake.Name, Name: name, Settings: map[string]string{"apiUrl": h.fakeURL}, Credential: &credential})
}

func (h *host) create(n enlace.NewIntegration) enlace.Integration {
	h.t.Helper()
	in, err := h.service.Create(h.t.Context(), n)
	if err != nil {
		h.t.Fatal(err)
	}
	return in
}

// full fills the host with something of everything.
func (h *host) full() map[string]string {
	h.t.Helper()
	in := h.connected("CRM da matriz")
	broken := h.create(enlace.NewIntegration{Provider: fake.Name, Name: "Loja virtual", Settings: map[string]string{"apiUrl": h.fakeURL},
		Credential: &enlace.Credential{Scheme: "api_key", Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("wrong")}}})
	h.create(enlace.NewIntegration{Provider: bitrix24.Name, Name: "Vendas", Settings: map[string]string{"apiUrl": h.portal.RESTURL()}})
	h.create(enlace.NewIntegration{Provider: fake.Name, Name: "Arquivo", Disabled: true})
	h.fake.Put("contacts", unwelcome, map[string]any{"name": strings.Repeat("Ana ", 30)})
	result, err := h.service.Sync(h.t.Context(), in.Ref, enlace.SyncOptions{Tries: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	_, _ = h.service.Sync(h.t.Context(), broken.Ref, enlace.SyncOptions{}) // it fails, as a page must show
	ids := map[string]string{"integration": in.ID, "broken": broken.ID, "run": result.RunID}
	for _, checked := range []enlace.Integration{in, broken} {
		if _, err := h.service.CheckHealth(h.t.Context(), checked.Ref); err != nil {
			h.t.Fatal(err)
		}
	}
	ids["delivery"] = h.deliver(in)
	h.fake.Fail(fake.Failure{Op: fake.OpCreate, Times: 1, Status: http.StatusUnprocessableEntity})
	h.fake.Fail(fake.Failure{Op: fake.OpBatch, Times: 1, Status: http.StatusUnprocessableEntity})
	_, _ = h.service.Sync(h.t.Context(), in.Ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: refused{}, Tries: 1})
	saved, err := h.service.SaveSchedule(h.t.Context(), enlace.Schedule{Ref: in.Ref, Spec: "30 6 * * 1-5", Zone: "America/Sao_Paulo", Options: enlace.SyncOptions{Entities: []string{"contacts"}}})
	if err != nil {
		h.t.Fatal(err)
	}
	ids["schedule"] = saved.ID
	response, err := http.Post(h.base+"doctor", "application/x-www-form-urlencoded", nil)
	if err != nil || response.StatusCode != http.StatusOK {
		h.t.Fatalf("the doctor does not come: %v", err)
	}
	_ = response.Body.Close()
	document := json.RawMessage(`{"name":"contacts","fields":[{"from":"name","to":"nome"}]}`)
	if _, err := h.service.SaveMapping(h.t.Context(), enlace.MappingVersion{Ref: in.Ref, Entity: "contacts", Document: document}); err != nil {
		h.t.Fatal(err)
	}
	return ids
}

// deliver lets the provider send a webhook, and returns the delivery's id.
func (h *host) deliver(in enlace.Integration) string {
	h.t.Helper()
	r := h.fake.Delivery("https://host.example/hooks/"+in.ID+"/webhook", enlace.Event{Type: "contact.updated", Record: enlace.Record{Entity: "contacts", ID: "7"}})
	h.service.WebhookHandler().ServeHTTP(httptest.NewRecorder(), r)
	list, _, err := h.service.Deliveries(h.t.Context(), enlace.DeliveryQuery{})
	if err != nil || len(list) == 0 {
		h.t.Fatalf("no delivery: %v", err)
	}
	return list[0].ID
}

// refused is a change that the provider does not take.
type refused struct{}

func (refused) Changes(context.Context, enlace.ChangeQuery) ([]enlace.Change, string, error) {
	return []enlace.Change{{ID: "c1", Data: json.RawMessage(`{"name":"Ana"}`)}}, "", nil
}

func (refused) Accepted(context.Context, enlace.AcceptedChanges) error { return nil }
