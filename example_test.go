package enlace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// shop is an adapter for a small provider: it reads orders, page by page.
type shop struct{}

func (shop) Describe() enlace.Descriptor {
	return enlace.Descriptor{
		Name: "shop", Title: "Shop", BaseURL: "https://shop.example.com/api/",
		Auth: []enlace.AuthScheme{
			enlace.APIKey{Place: enlace.BearerHeader()},
			enlace.OAuth2{AuthURL: "https://shop.example.com/authorize", TokenURL: "https://shop.example.com/token", PKCE: true},
		},
		Entities: []enlace.Entity{{Name: "orders", Operations: []enlace.Operation{enlace.OpRead}}},
	}
}

func (shop) Pull(ctx context.Context, c *enlace.Conn, req enlace.PullRequest) (enlace.Page, error) {
	var answer struct {
		Orders []struct {
			ID    string `json:"id"`
			Total int    `json:"total"`
		}
		Next string
	}
	query := url.Values{"after": {string(req.Cursor)}}
	if err := c.Do(ctx, enlace.Call{Path: "orders", Query: query}, &answer); err != nil {
		return enlace.Page{}, err
	}
	page := enlace.Page{Next: enlace.Cursor(answer.Next), Done: answer.Next == ""}
	for _, o := range answer.Orders {
		page.Records = append(page.Records, enlace.Record{Entity: "orders", ID: o.ID, Data: fmt.Appendf(nil, `{"total":%d}`, o.Total)})
	}
	return page, nil
}

// shopServer stands for the provider in the examples: two pages of orders.
type shopServer struct{}

func (shopServer) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := http.StatusOK, `{"orders":[{"id":"a1","total":5},{"id":"a2","total":7}],"next":"a2"}`
	header := http.Header{}
	switch {
	case r.URL.Path == "/token":
		body = `{"access_token":"t","refresh_token":"r","expires_in":3600}`
	case strings.HasSuffix(r.URL.Path, "/busy"):
		status, body = http.StatusTooManyRequests, `{}`
		header.Set("Retry-After", "120")
	case r.Header.Get("Authorization") == "Bearer wrong":
		status, body = http.StatusForbidden, `{}`
	case r.URL.Query().Get("after") == "a2":
		body = `{"orders":[{"id":"a3","total":11}],"next":""}`
	}
	return &http.Response{StatusCode: status, Header: header, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// newShopService makes a service, as a program would, but for the Transport.
func newShopService() *enlace.Service {
	key, err := enlace.ParseKey(enlace.GenerateKey()) // once; then from a secret manager
	if err != nil {
		panic(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	service, err := enlace.New(enlace.Config{
		Registry:  enlace.NewRegistry(shop{}),
		Store:     memory.New(),
		Keys:      keys,
		OAuth:     map[string]enlace.OAuthApp{"shop": {ClientID: "our-app", ClientSecret: enlace.NewSecret("our-secret")}},
		Transport: shopServer{}, // leave it out to call the provider itself
	})
	if err != nil {
		panic(err)
	}
	return service
}

// newShop makes a connected integration.
func newShop(service *enlace.Service, key string) enlace.Integration {
	in, err := service.Create(context.Background(), enlace.NewIntegration{
		Tenant: "acme", Provider: "shop",
		Credential: &enlace.Credential{Scheme: "api_key", Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(key)}},
	})
	if err != nil {
		panic(err)
	}
	return in
}

func Example() {
	ctx := context.Background()
	key, err := enlace.ParseKey(enlace.GenerateKey()) // once; then from a secret manager
	if err != nil {
		panic(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	service, err := enlace.New(enlace.Config{
		Registry:  enlace.NewRegistry(shop{}),
		Store:     memory.New(),
		Keys:      keys,
		Transport: shopServer{}, // leave it out to call the provider itself
	})
	if err != nil {
		panic(err)
	}
	integration, err := service.Create(ctx, enlace.NewIntegration{
		Tenant: "acme", Provider: "shop", Name: "Our shop",
		Settings:   map[string]string{"timeout": "10000"},
		Credential: &enlace.Credential{Scheme: "api_key", Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("k-123")}},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(integration.Name, integration.BaseURL, integration.Status)
	// Output: Our shop https://shop.example.com/api/ connected
}

func ExampleService_Create_faults() {
	_, err := newShopService().Create(context.Background(), enlace.NewIntegration{
		Provider: "shop", Settings: map[string]string{"timeout": "soon", "color": "red"},
	})
	if v, ok := errors.AsType[*enlace.ValidationError](err); ok { // every fault at once
		for _, fault := range v.Faults {
			fmt.Printf("%s: %s\n", fault.Field, fault.Problem)
		}
	}
	// Output:
	// color: unknown setting
	// timeout: not a whole number
}

func ExampleService_Sync() {
	service := newShopService()
	in := newShop(service, "k-123")
	orders := map[string]string{} // stands for the host's own table
	result, err := service.Sync(context.Background(), in.Ref, enlace.SyncOptions{
		Entities: []string{"orders"},
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			var changes enlace.Changes
			for _, r := range b.Records {
				if _, known := orders[r.ID]; known {
					changes.Updated++
				} else {
					changes.Created++
				}
				orders[r.ID] = string(r.Data)
			}
			return changes, nil
		}),
		Progress: func(p enlace.Progress) { fmt.Println(p.Entity, p.Read, p.Done) },
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(result.Complete, result.Entities["orders"].Created, orders)
	// Output:
	// orders 2 false
	// orders 3 true
	// true 3 map[a1:{"total":5} a2:{"total":7} a3:{"total":11}]
}

func ExampleService_Records() {
	service := newShopService()
	in := newShop(service, "k-123")
	for record, err := range service.Records(context.Background(), in.Ref, enlace.PullRequest{Entity: "orders"}) {
		if err != nil {
			panic(err)
		}
		order, err := enlace.DecodeRecord[struct{ Total int }](record)
		if err != nil {
			panic(err)
		}
		fmt.Println(record.ID, order.Total)
	}
	// Output:
	// a1 5
	// a2 7
	// a3 11
}

func ExampleConn_Do() {
	ctx := context.Background()
	service := newShopService()
	conn, err := service.Conn(ctx, newShop(service, "k-123").Ref)
	if err != nil {
		panic(err)
	}
	var answer struct{ Orders []struct{ ID string } }
	call := enlace.Call{Path: "orders", Query: url.Values{"status": {"open"}}}
	if err := conn.Do(ctx, call, &answer); err != nil { // authenticated, paced, repeated where that is safe
		panic(err)
	}
	fmt.Println(len(answer.Orders), answer.Orders[0].ID)
	// Output: 2 a1
}

func ExampleRetryAfter() {
	ctx := context.Background()
	service := newShopService()
	conn, err := service.Conn(ctx, newShop(service, "k-123").Ref)
	if err != nil {
		panic(err)
	}
	err = conn.Do(ctx, enlace.Call{Path: "busy"}, nil)
	switch {
	case errors.Is(err, enlace.ErrAuth):
		fmt.Println("ask the user to reconnect")
	case errors.Is(err, enlace.ErrRateLimited):
		fmt.Println("come back in", enlace.RetryAfter(err))
	case err != nil:
		fmt.Println("failed:", enlace.KindLabel(err))
	}
	if e, ok := errors.AsType[*enlace.Error](err); ok {
		fmt.Println(e.Status, e.Outcome)
	}
	// Output:
	// come back in 2m0s
	// 429 not run
}

func ExampleService_BeginAuth() {
	ctx := context.Background()
	service := newShopService()
	in, err := service.Create(ctx, enlace.NewIntegration{Tenant: "acme", Provider: "shop"})
	if err != nil {
		panic(err)
	}
	fmt.Println(in.Status)
	// First request: send the browser to the provider.
	address, err := service.BeginAuth(ctx, in.Ref, "https://app.example.com/callback")
	if err != nil {
		panic(err)
	}
	u, _ := url.Parse(address)
	fmt.Println(u.Host, u.Query().Get("client_id"), u.Query().Get("code_challenge_method"))
	// Second request: the provider sends it back, with a code and our state.
	in, err = service.CompleteAuth(ctx, url.Values{"state": {u.Query().Get("state")}, "code": {"from-the-provider"}})
	if err != nil {
		panic(err)
	}
	fmt.Println(in.Status)
	// Output:
	// pending
	// shop.example.com our-app S256
	// connected
}

func ExampleService_TestConnection() {
	service := newShopService()
	report, err := service.TestConnection(context.Background(), enlace.ConnectionTest{
		Provider: "shop", // not saved yet: what a form holds
		Credential: enlace.Credential{Scheme: "api_key",
			Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret("wrong")}},
	})
	if err != nil {
		panic(err)
	}
	for _, step := range report.Steps {
		fmt.Println(step.Name, step.Err == nil, errors.Is(step.Err, enlace.ErrForbidden))
	}
	fmt.Println(report.OK)
	// Output:
	// settings true false
	// authentication false true
	// false
}

func ExampleHMACVerifier() {
	verifier := enlace.HMACVerifier{Header: "X-Signature", Prefix: "sha256="}
	delivery := enlace.Delivery{
		Header:     http.Header{"X-Signature": {"sha256=0000000000000000000000000000000000000000000000000000000000000000"}},
		Body:       []byte(`{"event":"paid"}`),
		ReceivedAt: time.Now(),
	}
	err := verifier.Verify(delivery, []enlace.Secret{enlace.NewSecret("shared")})
	fmt.Println(errors.Is(err, enlace.ErrSignature))
	// Output: true
}

func ExampleSecret() {
	password := enlace.NewSecret("hunter2")
	fmt.Printf("%v %+v %s\n", password, struct{ P enlace.Secret }{password}, password)
	fmt.Println(password.Reveal())
	// Output:
	// [redacted] {P:[redacted]} [redacted]
	// hunter2
}
