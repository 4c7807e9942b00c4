// Fakes serves every fake provider there is on free loopback ports, for tests in
// any language. It prints one JSON line for each product of a provider, with what a
// client needs to use it, and serves until it is interrupted.
//
//	go run ./examples/fakes
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// line is what a client needs to know to use a fake.
type line struct {
	Provider     string `json:"provider"`
	URL          string `json:"url"`
	WebhookURL   string `json:"webhook_url,omitempty"`
	APIToken     string `json:"api_token,omitempty"`
	APIKey       string `json:"api_key,omitempty"` // for conversions of RD Station
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	AuthorizeURL string `json:"authorize_url,omitempty"`
	TokenURL     string `json:"token_url,omitempty"`
	Contacts     int    `json:"contacts,omitempty"`
	Documents    int    `json:"documents,omitempty"`
}

type options struct {
	contacts, deals, documents int
	limits                     bool
	redirect                   string
}

func main() {
	log.SetFlags(0)
	var o options
	flag.IntVar(&o.contacts, "contacts", 10_000, "contacts in Bitrix24; the others have a hundredth of it")
	flag.IntVar(&o.deals, "deals", 2_000, "deals in Bitrix24")
	flag.IntVar(&o.documents, "documents", 100, "documents in ZapSign")
	flag.BoolVar(&o.limits, "limits", false, "enforce Bitrix24's published limits; the others always do")
	flag.StringVar(&o.redirect, "redirect", "http://127.0.0.1/callback", "where the registered apps want users sent back to")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := serve(ctx, o, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// serve starts the fakes, prints their lines, and stops them when ctx ends.
func serve(ctx context.Context, o options, w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for _, start := range []func(options) ([]line, func(), error){bitrix24, zapsign, rdstation, bundled} {
		lines, stop, err := start(o)
		if err != nil {
			return err
		}
		defer stop()
		for _, l := range lines {
			if err := out.Encode(l); err != nil {
				return err
			}
		}
	}
	<-ctx.Done()
	return nil
}

func bitrix24(o options) ([]line, func(), error) {
	portal := bitrix24test.Options{Redirect: o.redirect}
	if o.limits {
		portal.Limits = bitrix24test.CloudLimits()
	}
	s := bitrix24test.NewServer(portal)
	s.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: o.contacts})
	s.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: o.deals})
	return []line{{Provider: "bitrix24", URL: s.URL, WebhookURL: s.WebhookURL(), ClientID: s.ClientID(), ClientSecret: s.ClientSecret(),
		AuthorizeURL: s.AuthorizeURL(), TokenURL: s.TokenURL(), Contacts: o.contacts}}, s.Close, nil
}

func zapsign(o options) ([]line, func(), error) {
	s := zapsigntest.NewServer(zapsigntest.Options{})
	if o.documents > 0 {
		s.Seed(zapsigntest.Seed{Count: o.documents})
	}
	return []line{{Provider: "zapsign", URL: s.BaseURL(), APIToken: s.Token(), Documents: o.documents}}, s.Close, nil
}

// conversionsKey is the API key of the fake RD Station.
const conversionsKey = "fake-conversions-key"

func rdstation(o options) ([]line, func(), error) {
	s := rdstationtest.NewServer(rdstationtest.Options{APIKeys: []rdstationtest.APIKey{{Key: conversionsKey}}})
	contacts := o.contacts / 100
	for i := range contacts {
		s.PutContact(map[string]any{"name": fmt.Sprintf("Contact %d", i+1), "email": fmt.Sprintf("contact%d@example.com", i+1)})
	}
	var lines []line
	for _, product := range []rdstationtest.Product{rdstationtest.Marketing, rdstationtest.CRM} {
		app := s.App(product)
		s.SetRedirects(app.ClientID, o.redirect)
		l := line{Provider: "rdstation_crm", URL: s.APIURL(), ClientID: app.ClientID, ClientSecret: app.ClientSecret,
			AuthorizeURL: s.AuthorizeURL(product), TokenURL: s.TokenURL(product)}
		if product == rdstationtest.Marketing {
			l.Provider, l.Contacts = "rdstation", contacts
		}
		lines = append(lines, l)
	}
	lines[0].APIKey = conversionsKey
	v1 := line{Provider: "rdstation_crm_v1", URL: s.CRMv1URL(), APIToken: s.CRMUsers()[0].Token}
	return append(lines, v1), s.Close, nil
}

// bundled serves the fake adapter's provider, which has no server of its own.
func bundled(o options) ([]line, func(), error) {
	p := fake.New(fake.Options{})
	contacts := o.contacts / 100
	p.Seed("contacts", contacts)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Serve(listener)
	}()
	url, app := "http://"+listener.Addr().String(), p.OAuthApp()
	return []line{{Provider: fake.Name, URL: url + "/v1/", APIToken: p.APIKey().Secrets["api_key"].Reveal(), ClientID: app.ClientID,
			ClientSecret: app.ClientSecret.Reveal(), AuthorizeURL: url + "/oauth/authorize", TokenURL: url + "/oauth/token", Contacts: contacts}},
		func() { _ = server.Close(); <-stopped }, nil
}
