package bitrix24_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// TestEventsReachTheSink goes the whole way: an installation, the subscription, changes
// in the portal, deliveries to the service's handler, and records in the host's sink as
// they are in the portal, not as an event says.
func TestEventsReachTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hooks http.Handler = &letterbox{}
		portal := bitrix24test.New(bitrix24test.Options{Callback: "https://host.example/install",
			EventTransport: bitrix24test.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hooks.ServeHTTP(w, r) }))})
		defer portal.Close()
		into := &latest{records: map[string]enlace.Record{}}
		h := newHost(t, portal)
		h.config.Webhooks = enlace.WebhookConfig{PublicURL: "https://host.example/integrations", Sink: into}
		var meanwhile atomic.Bool
		h.config.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			answer, err := portal.Transport().RoundTrip(r)
			if strings.HasSuffix(r.URL.Path, "crm.item.get") && meanwhile.CompareAndSwap(true, false) {
				portal.Put(bitrix24test.Contact, map[string]any{"id": 1, "name": "Anne"})
				portal.Drain()
			}
			return answer, err
		})
		h.restart()
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = h.service.Run(ctx) })
		defer running.Wait()
		defer stop()

		hooks = bitrix24.InstallHandler(bitrix24.InstallOptions{ClientID: portal.ClientID(), Client: &http.Client{Transport: portal.Transport()}},
			func(_ http.ResponseWriter, r *http.Request, _ bitrix24.Install, account bitrix24.Account) error {
				made, err := h.service.Create(r.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Credential: &account.Credential,
					Settings: map[string]string{"portal": account.Portal, "authServer": account.AuthServer}})
				if err == nil {
					h.ref, err = made.Ref, h.service.EnsureWebhook(r.Context(), made.Ref, enlace.WebhookOptions{})
				}
				return err
			})
		portal.Install()
		portal.Drain()
		if lost := portal.Stats().LostEvents; lost != 0 || h.ref.ID == "" {
			t.Fatalf("the installation failed: %d events lost", lost)
		}
		hooks = h.service.WebhookHandler()

		id := portal.Put(bitrix24test.Contact, map[string]any{"name": "Ana"})
		gone := portal.Put(bitrix24test.Deal, map[string]any{"title": "gone"})
		portal.Delete(bitrix24test.Deal, gone)
		settle := func() { portal.Drain(); time.Sleep(5 * time.Second) }
		settle()
		// A change while the event of the one before is worked on: its record has just been
		// read, and the second event is the same, byte for byte. It counts.
		portal.SetEventMode(bitrix24test.EventMode{NoTokens: true})
		meanwhile.Store(true)
		portal.Put(bitrix24test.Contact, map[string]any{"id": id, "name": "Anna"})
		settle()
		contact, err := enlace.DecodeRecord[bitrix24.Contact](into.get("contacts/1"))
		if err != nil || contact.Name != "Anne" {
			t.Errorf("%+v, %v", contact, err)
		}
		if !into.get("deals/1").Deleted {
			t.Errorf("%+v", into.get("deals/1"))
		}
		before := portal.Stats().LostEvents
		portal.SetEventMode(bitrix24test.EventMode{Forge: true})
		portal.Put(bitrix24test.Contact, map[string]any{"id": id, "name": "forged"})
		settle()
		if contact, _ := enlace.DecodeRecord[bitrix24.Contact](into.get("contacts/1")); contact.Name != "Anne" || portal.Stats().LostEvents != before+1 {
			t.Errorf("a forged event was believed: %+v", contact)
		}
		h.showsNoSecret(portal.ApplicationToken(), portal.ClientSecret())
	})
}

// TestOfflineEventsReachTheSink: what the portal kept while nobody listened is taken, the
// deletion too.
func TestOfflineEventsReachTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		into := &latest{records: map[string]enlace.Record{}}
		h := oauthHost(t, portal, nil)
		h.config.Webhooks = enlace.WebhookConfig{Sink: into}
		h.restart()
		if err := bitrix24.SubscribeOffline(t.Context(), h.conn(), bitrix24.CRMEvents()...); err != nil {
			t.Fatal(err)
		}
		for range 120 {
			portal.Put(bitrix24test.Contact, map[string]any{"name": "Ana"})
		}
		portal.Delete(bitrix24test.Contact, 7)
		// A process that died had taken some of them.
		if _, err := bitrix24.ReserveOffline(t.Context(), h.conn(), 30); err != nil {
			t.Fatal(err)
		}
		n, err := h.service.DrainEvents(t.Context(), h.ref)
		if err != nil || n != 121 {
			t.Fatalf("%d events, %v", n, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = h.service.Run(ctx) })
		time.Sleep(time.Minute)
		stop()
		running.Wait()
		if len(into.records) != 120 || !into.get("contacts/7").Deleted || into.get("contacts/8").Deleted {
			t.Errorf("%d records", len(into.records))
		}
		if left, err := bitrix24.ListOffline(t.Context(), h.conn()); err != nil || len(left) != 0 {
			t.Errorf("%d are left: %v", len(left), err)
		}
	})
}

// TestEventsNeedTheirToken: without the application token nothing could be proved, so
// nothing is subscribed.
func TestEventsNeedTheirToken(t *testing.T) {
	live(t, bitrix24test.Options{}, func(h *host, _ *letterbox) {
		o := enlace.WebhookOptions{Target: target}
		if err := h.service.EnsureWebhook(h.t.Context(), h.ref, o); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
		if list, err := bitrix24.ListSubscriptions(h.t.Context(), h.conn()); err != nil || len(list) != 0 {
			h.t.Error(list, err)
		}
		o.Secret = enlace.NewSecret(h.portal.ApplicationToken())
		if err := h.service.EnsureWebhook(h.t.Context(), h.ref, o); err != nil {
			h.t.Error(err)
		}
		list, err := bitrix24.ListSubscriptions(h.t.Context(), h.conn())
		if err != nil || !slices.ContainsFunc(list, func(s bitrix24.Subscription) bool { return s.Event == bitrix24.EventUninstall }) {
			h.t.Error(list, err)
		}
	})
}

// latest is a sink that keeps each record as it came last.
type latest struct {
	mu      sync.Mutex
	records map[string]enlace.Record
}

func (l *latest) Accept(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range b.Records {
		l.records[r.Entity+"/"+r.ID] = r
	}
	return enlace.Changes{Updated: len(b.Records)}, nil
}

func (l *latest) get(key string) enlace.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[key]
}
