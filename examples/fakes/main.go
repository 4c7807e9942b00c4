// Fakes serves every fake provider there is on free loopback ports, for tests in
// any language. It prints one JSON line for each and serves until it is interrupted.
//
//	go run ./examples/fakes
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"os/signal"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// line is what a client needs to know to use a fake.
type line struct {
	Provider     string `json:"provider"`
	URL          string `json:"url"`
	WebhookURL   string `json:"webhook_url,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	AuthorizeURL string `json:"authorize_url,omitempty"`
	TokenURL     string `json:"token_url,omitempty"`
	Contacts     int    `json:"contacts,omitempty"`
}

func main() {
	log.SetFlags(0)
	contacts := flag.Int("contacts", 10_000, "contacts in each CRM")
	deals := flag.Int("deals", 2_000, "deals in each CRM")
	limits := flag.Bool("limits", false, "enforce the providers' published limits")
	redirect := flag.String("redirect", "http://127.0.0.1/callback", "where the registered app wants users sent back to")
	flag.Parse()

	options := bitrix24test.Options{Redirect: *redirect}
	if *limits {
		options.Limits = bitrix24test.CloudLimits()
	}
	bitrix := bitrix24test.NewServer(options)
	defer bitrix.Close()
	bitrix.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: *contacts})
	bitrix.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: *deals})

	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	if err := out.Encode(line{Provider: "bitrix24", URL: bitrix.URL, WebhookURL: bitrix.WebhookURL(),
		ClientID: bitrix.ClientID(), ClientSecret: bitrix.ClientSecret(),
		AuthorizeURL: bitrix.AuthorizeURL(), TokenURL: bitrix.TokenURL(), Contacts: *contacts}); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
}
