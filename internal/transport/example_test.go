package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"

	"github.com/enlace-go/enlace/internal/guard"
	"github.com/enlace-go/enlace/internal/transport"
)

func ExampleSender() {
	refusals := 1
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusals--; refusals >= 0 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(w, "created for ", r.Header.Get("Authorization"))
	}))
	defer provider.Close()
	base, _ := url.Parse(provider.URL)

	s := &transport.Sender{
		Base: guard.Transport(guard.Policy{
			AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		}),
		Gate:     transport.NewGate(100, 10),
		Endpoint: base,
		Authorize: func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "tenant 1")
			return nil
		},
		Judge: func(status int, _ http.Header, _ []byte) transport.Verdict {
			switch status {
			case http.StatusOK:
				return transport.Verdict{}
			case http.StatusTooManyRequests: // it did not run: a POST may be repeated, too
				return transport.Verdict{Action: transport.RetryRefused, Err: fmt.Errorf("status %d", status), Pause: true}
			default:
				return transport.Verdict{Action: transport.Fail, Err: fmt.Errorf("status %d", status)}
			}
		},
	}
	response, err := s.Send(context.Background(), transport.Request{
		Method: http.MethodPost,
		URL:    base.JoinPath("contacts"),
		Body:   []byte(`{"name":"Ana"}`),
	})
	fmt.Println(string(response.Body), response.Attempts, err)
	// Output: created for tenant 1 2 <nil>
}
