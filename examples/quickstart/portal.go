package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// portal is the outside: a real portal behind a webhook, or the fake one.
type portal struct {
	webhook  string
	fake     *bitrix24test.Server
	apps     map[string]enlace.OAuthApp
	networks []netip.Prefix
	changed  int64 // how far change has gone through the ids
	contacts int64
}

func openPortal(o options) *portal {
	if o.webhook != "" {
		return &portal{webhook: o.webhook}
	}
	fake := bitrix24test.NewServer(bitrix24test.Options{
		Limits:     bitrix24test.CloudLimits(),
		ServerTime: func(string) time.Duration { return 5 * time.Millisecond },
	})
	// The same records at every start, as a real portal would have them.
	updated := func(i int) time.Time { return time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC) }
	fake.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: o.contacts, Updated: updated})
	fake.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: o.deals, Updated: updated})
	return &portal{
		fake: fake,
		apps: map[string]enlace.OAuthApp{bitrix24.Name: {
			ClientID: fake.ClientID(), ClientSecret: enlace.NewSecret(fake.ClientSecret()), TokenURL: fake.TokenURL(),
		}},
		// The fake portal listens on loopback, which enlace calls only if it is told so.
		networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		contacts: int64(o.contacts),
	}
}

func (p *portal) close() {
	if p.fake != nil {
		p.fake.Close()
	}
}

// settings point the integration at the fake portal. A webhook's URL says all
// there is to say about a real one.
func (p *portal) settings() map[string]string {
	if p.fake == nil {
		return nil
	}
	return map[string]string{"apiUrl": p.fake.RESTURL()}
}

// change edits a few records in the fake portal, as its users would.
func (p *portal) change() {
	for range min(20, p.contacts) {
		p.fake.Touch(bitrix24test.Contact, 1+p.changed%p.contacts)
		p.changed++
	}
}

// authorize walks through OAuth: it sends a browser to the portal and waits for
// it at the redirect address. The browser is this program too, since the fake
// portal's user always consents.
func authorize(ctx context.Context, service *enlace.Service, ref enlace.Ref, p *portal) (enlace.Integration, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return enlace.Integration{}, err
	}
	redirect := "http://" + listener.Addr().String() + "/callback"
	p.fake.SetRedirect(redirect)

	answers := make(chan url.Values, 1)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case answers <- r.URL.Query():
		default: // a second visit; the first one counts
		}
		fmt.Fprintln(w, "Connected. You can close this page.")
	})}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Serve(listener)
	}()
	defer func() {
		_ = server.Close()
		<-stopped
	}()

	address, err := service.BeginAuth(ctx, ref, redirect)
	if err != nil {
		return enlace.Integration{}, err
	}
	if err := visit(ctx, address); err != nil {
		return enlace.Integration{}, err
	}
	select {
	case query := <-answers:
		return service.CompleteAuth(ctx, query)
	case <-ctx.Done():
		return enlace.Integration{}, ctx.Err()
	case <-time.After(30 * time.Second):
		return enlace.Integration{}, fmt.Errorf("the portal did not send the browser back")
	}
}

// visit is a browser that follows redirects.
func visit(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
