package enlace_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// hookedShop is the shop's adapter with webhooks: signed ones, which it registers itself.
type hookedShop struct{ shop }

func (s hookedShop) Describe() enlace.Descriptor {
	d := s.shop.Describe()
	d.Features = append(d.Features, enlace.FeatureWebhooks)
	return d
}

func (hookedShop) Verifier() enlace.Verifier {
	return enlace.HMACVerifier{Header: "X-Shop-Signature", Prefix: "sha256="}
}

func (hookedShop) ParseWebhook(_ context.Context, d enlace.Delivery) ([]enlace.Event, error) {
	var body struct {
		ID, Type string
		Order    struct{ ID string }
	}
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return nil, &enlace.Error{Kind: enlace.ErrProtocol, Message: "the body is no JSON"}
	}
	return []enlace.Event{{ID: body.ID, Type: body.Type, Record: enlace.Record{Entity: "orders", ID: body.Order.ID, Data: d.Body}, At: d.ReceivedAt}}, nil
}

func (hookedShop) EnsureWebhook(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret) error {
	return c.Do(ctx, enlace.Call{Method: "POST", Path: "webhooks", Idempotent: true, Body: map[string]string{"url": target, "secret": secret.Reveal()}}, nil)
}

func (hookedShop) RemoveWebhook(ctx context.Context, c *enlace.Conn, target string) error {
	return c.Do(ctx, enlace.Call{Method: "DELETE", Path: "webhooks", Query: url.Values{"url": {target}}}, nil)
}

// hookedShopServer stands for the shop that sends: it prints where, and keeps the secret.
type hookedShopServer struct {
	shopServer
	secret string
}

func (s *hookedShopServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/webhooks") {
		var registered struct{ URL, Secret string }
		if err := json.NewDecoder(r.Body).Decode(&registered); err != nil {
			return nil, err
		}
		another := s.secret != "" && s.secret != registered.Secret
		s.secret = registered.Secret
		id := path.Base(path.Dir(registered.URL))
		fmt.Println("the shop delivers to", strings.Replace(registered.URL, id, "{id}", 1), "with another secret:", another)
	}
	return s.shopServer.RoundTrip(r)
}

// post sends a delivery of the shop and returns the answer's status.
func (s *hookedShopServer) post(handler http.Handler, target, body string) int {
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write([]byte(body))
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Shop-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	_, _ = io.Copy(io.Discard, w.Body)
	return w.Code
}

// hookedHost is a program that takes the shop's webhooks.
type hookedHost struct {
	*enlace.Service
	shop        *hookedShopServer
	integration enlace.Integration
	settled     chan enlace.Observation // one for each delivery that is done or dead
}

func newHookedHost(webhooks enlace.WebhookConfig) *hookedHost {
	h := &hookedHost{shop: &hookedShopServer{}, settled: make(chan enlace.Observation, 100)}
	key, err := enlace.ParseKey(enlace.GenerateKey()) // once; then from a secret manager
	if err != nil {
		panic(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	webhooks.PublicURL = "https://host.example/integrations"
	h.Service, err = enlace.New(enlace.Config{
		Registry: enlace.NewRegistry(hookedShop{}), Store: memory.New(), Keys: keys, Webhooks: webhooks,
		Transport: h.shop, // leave it out to call the provider itself
		Observer: func(_ context.Context, o enlace.Observation) {
			switch o := o.(type) {
			case enlace.DeliveriesDone:
				h.settled <- o
			case enlace.DeliveryAttemptFailed:
				if o.Dead {
					h.settled <- o
				}
			}
		},
	})
	if err != nil {
		panic(err)
	}
	h.integration, err = h.Create(context.Background(), enlace.NewIntegration{Tenant: "acme", Provider: "shop",
		Credential: &enlace.Credential{Scheme: "api_key", Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("k-123")}}})
	if err != nil {
		panic(err)
	}
	if err := h.EnsureWebhook(context.Background(), h.integration.Ref, enlace.WebhookOptions{}); err != nil {
		panic(err)
	}
	return h
}

func (h *hookedHost) path() string { return "/" + h.integration.ID + "/webhook" }

// run works on deliveries until stop is called.
func (h *hookedHost) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// A delivery is answered when it is durable, and worked on by Run; what proves nothing is
// refused.
func ExampleService_WebhookHandler() {
	h := newHookedHost(enlace.WebhookConfig{Processors: []enlace.Processor{{
		HandleTx: func(_ context.Context, e enlace.ReceivedEvent) error {
			fmt.Println("handled:", e.Type, "of order", e.Record.ID)
			return nil
		},
	}}})
	mux := http.NewServeMux()
	mux.Handle("POST /integrations/{id}/webhook", h.WebhookHandler())

	const body = `{"id":"e1","type":"order.paid","order":{"id":"a1"}}`
	fmt.Println(h.shop.post(mux, "/integrations/"+h.integration.ID+"/webhook", body))
	fmt.Println(h.shop.post(mux, "/integrations/"+h.integration.ID+"/webhook", body), "for the same once more")
	forger := hookedShopServer{secret: "what somebody guesses"}
	fmt.Println(forger.post(mux, "/integrations/"+h.integration.ID+"/webhook", body))

	stop := h.run()
	<-h.settled
	stop()
	// Output:
	// the shop delivers to https://host.example/integrations/{id}/webhook with another secret: false
	// 200
	// 200 for the same once more
	// 401
	// handled: order.paid of order a1
}

// Processors are the host's own handlers: for all events or for some, before the sink has the
// record or after, in the transaction that marks the delivery done or outside of it.
func ExampleProcessor() {
	say := func(who string) enlace.EventHandler {
		return func(_ context.Context, e enlace.ReceivedEvent) error {
			fmt.Printf("%s: %s\n", who, e.Type)
			return nil
		}
	}
	h := newHookedHost(enlace.WebhookConfig{
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			fmt.Println("sink:", b.Records[0].ID)
			return enlace.Changes{}, nil
		}),
		Processors: []enlace.Processor{
			{HandleTx: say("every event")},
			{Provider: "shop", Types: []string{"order.*"}, Handle: say("orders")},
			{Filter: func(e enlace.ReceivedEvent) bool { return e.Record.ID == "a1" }, AfterSink: true, Handle: say("order a1, when the sink has it")},
		},
	})
	stop := h.run()
	defer stop()
	for _, body := range []string{`{"id":"e1","type":"order.paid","order":{"id":"a1"}}`, `{"id":"e2","type":"ping","order":{"id":"a2"}}`} {
		h.shop.post(h.WebhookHandler(), h.path(), body)
		<-h.settled
	}
	// Output:
	// the shop delivers to https://host.example/integrations/{id}/webhook with another secret: false
	// orders: order.paid
	// sink: a1
	// every event: order.paid
	// order a1, when the sink has it: order.paid
	// sink: a2
	// every event: ping
}

// The provider is told where to deliver, once. A rotation tells it again, with a new secret;
// the older one proves deliveries for a day more.
func ExampleService_EnsureWebhook() {
	ctx := context.Background()
	h := newHookedHost(enlace.WebhookConfig{}) // which ensures it for the first time
	for _, options := range []enlace.WebhookOptions{{}, {Rotate: true}} {
		older := *h.shop
		if err := h.EnsureWebhook(ctx, h.integration.Ref, options); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(older.post(h.WebhookHandler(), h.path(), "{}"), h.shop.post(h.WebhookHandler(), h.path(), "{}"))
	}
	// Output:
	// the shop delivers to https://host.example/integrations/{id}/webhook with another secret: false
	// 200 200
	// the shop delivers to https://host.example/integrations/{id}/webhook with another secret: true
	// 200 200
}

// An address of its own can be given up without the others.
func ExampleService_AddWebhookEndpoint() {
	ctx := context.Background()
	h := newHookedHost(enlace.WebhookConfig{})
	token, err := h.AddWebhookEndpoint(ctx, h.integration.Ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	address := "/" + token.Reveal() + "/webhook"
	fmt.Println(h.shop.post(h.WebhookHandler(), address, "{}"))
	err = h.RemoveWebhookEndpoint(ctx, h.integration.Ref, token)
	fmt.Println(h.shop.post(h.WebhookHandler(), address, "{}"), h.shop.post(h.WebhookHandler(), h.path(), "{}"), err)
	// Output:
	// the shop delivers to https://host.example/integrations/{id}/webhook with another secret: false
	// 200
	// 404 200 <nil>
}

// What was done can be done anew; handlers tell a replay by its number and by a key that is
// another one.
func ExampleService_ReplayDeliveries() {
	keys := map[string]bool{}
	h := newHookedHost(enlace.WebhookConfig{Processors: []enlace.Processor{{
		HandleTx: func(_ context.Context, e enlace.ReceivedEvent) error {
			fmt.Println(e.Type, "replay:", e.Replay, "key seen before:", keys[e.Key])
			keys[e.Key] = true
			return nil
		},
	}}})
	stop := h.run()
	defer stop()
	h.shop.post(h.WebhookHandler(), h.path(), `{"id":"e1","type":"order.paid","order":{"id":"a1"}}`)
	<-h.settled
	ctx := enlace.WithActor(context.Background(), enlace.Actor{ID: "ana"}) // whom the audit log names
	n, err := h.ReplayDeliveries(ctx, enlace.Replay{Tenant: "acme", Integration: h.integration.ID, State: enlace.DeliveryDone, PerSecond: 100})
	fmt.Println("to be done again:", n, err)
	<-h.settled
	// Output:
	// the shop delivers to https://host.example/integrations/{id}/webhook with another secret: false
	// order.paid replay: 0 key seen before: false
	// to be done again: 1 <nil>
	// order.paid replay: 1 key seen before: false
}

// A delivery that cannot be read is kept as dead. A person looks at it, mends it and has it
// done again.
func ExampleService_EditDelivery() {
	h := newHookedHost(enlace.WebhookConfig{Processors: []enlace.Processor{{
		HandleTx: func(_ context.Context, e enlace.ReceivedEvent) error {
			fmt.Println("handled:", e.Type)
			return nil
		},
	}}})
	stop := h.run()
	defer stop()
	h.shop.post(h.WebhookHandler(), h.path(), `{"id":"e1","type":"order.paid","token":"t-1",}`)
	<-h.settled

	ctx := enlace.WithActor(context.Background(), enlace.Actor{ID: "ana"})
	groups, err := h.DeadDeliveries(ctx, "acme", "")
	if err != nil || len(groups) != 1 {
		fmt.Println(groups, err)
		return
	}
	fmt.Println("dead:", groups[0].Count, "by", groups[0].Kind)
	list, _, err := h.Deliveries(ctx, enlace.DeliveryQuery{Tenant: "acme", State: enlace.DeliveryDead, Kind: groups[0].Kind})
	if err != nil || len(list) != 1 {
		fmt.Println(list, err)
		return
	}
	seen, err := h.InspectDelivery(ctx, "acme", list[0].ID)
	fmt.Println(seen.Method, seen.Unreadable, err)
	_, err = h.EditDelivery(ctx, "acme", list[0].ID, func(body []byte) ([]byte, error) {
		return bytes.Replace(body, []byte(",}"), []byte("}"), 1), nil
	})
	fmt.Println("edited:", err)
	if _, err = h.ReplayDeliveries(ctx, enlace.Replay{Tenant: "acme", IDs: []string{list[0].ID}}); err != nil {
		fmt.Println(err)
		return
	}
	<-h.settled
	// Output:
	// the shop delivers to https://host.example/integrations/{id}/webhook with another secret: false
	// dead: 1 by protocol
	// POST parse webhook: enlace: the provider's answer does not follow its contract (the body is no JSON) <nil>
	// edited: <nil>
	// handled: order.paid
}
