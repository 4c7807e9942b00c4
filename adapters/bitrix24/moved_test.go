package bitrix24_test

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

const renamed = "acme-new.bitrix24.com"

// TestRenamedPortal is T29: what was sent to the old host is sent to the new one, whose
// name is kept. Reads, writes, batches and syncs all find it.
func TestRenamedPortal(t *testing.T) {
	for scheme, connect := range map[string]func(*testing.T, *bitrix24test.Portal, map[string]string) *host{"webhook": webhookHost, "oauth": oauthHost} {
		for name, use := range map[string]func(h *host) error{
			"read":  func(h *host) error { return second(h.fetch("contacts", "1")) },
			"write": func(h *host) error { return second(h.push(creates(1, false)[0])) },
			"batch": func(h *host) error { return second(h.pushBatch(creates(3, true))) },
			"sync":  func(h *host) error { return second(h.sync(newInbox(), enlace.SyncOptions{})) },
			"check": func(h *host) error { return bitrix24.Adapter{}.CheckHealth(h.t.Context(), h.conn()) },
		} {
			bubble(t, scheme+" "+name, func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{})
				portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 3_000})
				h := connect(t, portal, nil)
				secrets := []string{secretOf(portal), portal.ClientSecret()}
				portal.Move("https://" + renamed)
				before := portal.Stats().Methods["crm.item.add"].Requests
				if err := use(h); err != nil {
					t.Fatal(err)
				}
				if name == "write" && portal.Stats().Methods["crm.item.add"].Requests != before+1 {
					t.Error("it was not written once")
				}
				in, err := h.service.Get(t.Context(), h.ref)
				if err != nil || in.Status != enlace.StatusConnected {
					t.Fatalf("%+v, %v", in, err)
				}
				if scheme == "webhook" && in.BaseURL != "https://"+renamed || scheme == "oauth" && (in.BaseURL != "https://"+renamed+"/rest/" || in.Settings["portal"] != renamed) {
					t.Errorf("it is not kept: %+v", in)
				}
				// Another process goes there at once.
				w := &wire{base: portal.Transport()}
				h.config.Transport = w
				h.restart()
				if err := use(h); err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(w.sent, func(s sent) bool { return s.host() != renamed }) {
					t.Errorf("sent to %v", w.sent)
				}
				h.showsNoSecret(secrets...)
			})
		}
	}
}

func (s sent) host() string {
	r, err := http.NewRequest(s.verb, s.url, nil)
	if err != nil {
		return err.Error()
	}
	return r.URL.Host
}

// TestRenamedUnderWay: many calls at once, over connections that were open before.
func TestRenamedUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 3})
		h := webhookHost(t, portal, nil)
		conns := []*enlace.Conn{h.conn(), h.conn()}
		portal.Move("https://" + renamed)
		var calls sync.WaitGroup
		for i := range 20 {
			calls.Go(func() {
				if _, err := bitrix24.Get[bitrix24.Contact](t.Context(), conns[i%2], 1); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		moves := 0
		for _, o := range h.observations {
			if change, ok := o.(enlace.IntegrationChanged); ok && change.Action == "relocate" {
				moves++
			}
		}
		if moves < 1 || moves > len(conns) { // once for each connection at most, to the same effect
			t.Errorf("moved %d times", moves)
		}
	})
}

// TestRedirectsThatAreNotFollowed: the webhook's URL and the tokens go nowhere that the
// vendor does not decide about.
func TestRedirectsThatAreNotFollowed(t *testing.T) {
	for name, location := range map[string]string{
		"another domain": "https://acme.example.org", "another of the vendor's": "https://acme.bitrix24.de", "plain http": "http://" + renamed,
		"a name that looks alike": "https://acme.bitrix24.com.example.org", "deeper": "https://x.acme.bitrix24.com", "a port": "https://" + renamed + ":8443",
		"to itself": "https://acme.bitrix24.com",
	} {
		bubble(t, name, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{})
			h := webhookHost(t, portal, nil)
			secret := secretOf(portal)
			var hosts []string
			h.config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				hosts = append(hosts, r.URL.Host)
				return &http.Response{StatusCode: 302, Header: http.Header{"Location": {location + r.URL.Path}}, Body: http.NoBody, Request: r}, nil
			})
			h.restart()
			_, err := h.push(creates(1, false)[0])
			e, ok := errors.AsType[*enlace.Error](err)
			moved, named := errors.AsType[*enlace.MovedError](err)
			if !ok || !errors.Is(err, enlace.ErrMoved) || e.Outcome != enlace.OutcomeNotRun || !named || "https://"+moved.Host != location && "http://"+moved.Host != location {
				t.Errorf("%v", err)
			}
			if slices.ContainsFunc(hosts, func(host string) bool { return host != "acme.bitrix24.com" }) {
				t.Errorf("sent to %v", hosts)
			}
			h.showsNoSecret(secret)
		})
	}
}

// TestWhoseHostsTheyAre: only the vendor's own domains count as its own.
func TestWhoseHostsTheyAre(t *testing.T) {
	for _, test := range []struct {
		from, to string
		same     bool
	}{
		{"acme.bitrix24.com", "acme-new.bitrix24.com", true},
		{"acme.bitrix24.com.br", "nova.bitrix24.com.br", true},
		{"crm.example.org", "www.example.org", false},
		{"acme.bitrix24.com", "acme.bitrix24.eu", false},
		{"acme.bitrix24.com", "acme.bitrix24.com", false},
		{"acme.bitrix24.com", "bitrix24.com", false},
		{"acme.bitrix24.com", ".bitrix24.com", false},
		{"acme.bitrix24.com:8443", "new.bitrix24.com", false},
		{"bitrix24.com", "com", false}, {"", "", false},
	} {
		if got := (bitrix24.Adapter{}).Relocated(test.from, test.to); got != test.same {
			t.Errorf("from %q to %q: %v", test.from, test.to, got)
		}
	}
}

// TestHostsThatPointToEachOther end in an error.
func TestHostsThatPointToEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		h := webhookHost(t, portal, nil)
		requests := 0
		h.config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			requests++
			other := "https://" + renamed
			if r.URL.Host == renamed {
				other = "https://acme.bitrix24.com"
			}
			return &http.Response{StatusCode: 302, Header: http.Header{"Location": {other + r.URL.Path}}, Body: http.NoBody, Request: r}, nil
		})
		h.restart()
		if _, err := h.push(creates(1, false)[0]); !errors.Is(err, enlace.ErrMoved) || requests > 10 {
			t.Errorf("%d requests: %v", requests, err)
		}
	})
}
