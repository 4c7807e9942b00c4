package fake_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

// host is a host application with one integration.
type host struct {
	t        *testing.T
	provider *fake.Provider
	service  *enlace.Service
	ref      enlace.Ref
	data     map[string]map[string]enlace.Record // what the sink holds, by entity and id
	accept   func(enlace.Batch) error            // the sink's additional work; may be nil
}

func newHost(t *testing.T, p *fake.Provider, credential enlace.Credential) *host {
	t.Helper()
	h := &host{t: t, provider: p, data: map[string]map[string]enlace.Record{}}
	var err error
	if h.service, err = newService(p, enlace.SinkFunc(h.take)); err != nil {
		t.Fatal(err)
	}
	in, err := h.service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Credential: &credential})
	if err != nil {
		t.Fatal(err)
	}
	h.ref = in.Ref
	return h
}

func (h *host) take(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	if h.accept != nil {
		if err := h.accept(b); err != nil {
			return enlace.Changes{}, err
		}
	}
	if h.data[b.Entity] == nil {
		h.data[b.Entity] = map[string]enlace.Record{}
	}
	for _, r := range b.Records {
		if r.Deleted != (r.Data == nil) {
			h.t.Errorf("%s %s: deleted %v, data %s", r.Entity, r.ID, r.Deleted, r.Data)
		}
		if delete(h.data[b.Entity], r.ID); !r.Deleted {
			h.data[b.Entity][r.ID] = r
		}
	}
	return enlace.Changes{}, nil
}

func (h *host) sync(entities ...string) (enlace.SyncResult, error) {
	return h.service.Sync(h.t.Context(), h.ref, enlace.SyncOptions{Entities: entities})
}

// mustSync syncs and says how many records were read of the one entity.
func (h *host) mustSync(entity string) int {
	h.t.Helper()
	result, err := h.sync(entity)
	if err != nil || !result.Complete {
		h.t.Fatalf("sync: complete %v, error %v", result.Complete, err)
	}
	return result.Entities[entity].Read
}

func (h *host) conn() *enlace.Conn {
	h.t.Helper()
	c, err := h.service.Conn(h.t.Context(), h.ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// received is what a handler makes of a request.
func received(r *http.Request) enlace.Delivery {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	return enlace.Delivery{Method: r.Method, URL: r.URL, Header: r.Header, Body: body}
}

func kind(t *testing.T, err error, want string) {
	t.Helper()
	if got := enlace.KindLabel(err); got != want {
		t.Errorf("the kind of %v is %q, want %q", err, got, want)
	}
}

func TestEveryCapability(t *testing.T) {
	want := "pull,fetch,push,push_batch,receive_webhooks,register_webhooks,answer_challenges,check_health,authenticate,classify"
	if got := enlace.CapabilitiesOf(fake.Adapter{}).String(); got != want {
		t.Errorf("capabilities %s, want %s", got, want)
	}
	if err := new(enlace.Registry).Register(fake.New(fake.Options{}).Adapter()); err != nil {
		t.Error(err)
	}
}

func TestConnectionBySchemes(t *testing.T) {
	p := fake.New(fake.Options{})
	p.Seed("companies", 1)
	for name, credential := range map[string]enlace.Credential{"api key": p.APIKey(), "oauth": p.OAuth2(), "client": p.ClientCredentials(), "session": p.Session()} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, p, credential)
			report, err := h.service.TestConnection(t.Context(), enlace.ConnectionTest{Ref: h.ref})
			if err != nil || !report.OK {
				t.Errorf("stored: %+v, %v", report, err)
			}
		})
		if name == "session" {
			continue // a login that is not saved is not made
		}
		t.Run(name+" not saved", func(t *testing.T) {
			h := newHost(t, p, credential)
			report, err := h.service.TestConnection(t.Context(), enlace.ConnectionTest{Provider: fake.Name, Credential: credential})
			if err != nil || !report.OK {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}
