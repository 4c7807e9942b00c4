package all_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/all"
	"github.com/enlace-go/enlace/adapters/fake"
)

func ExampleAdapters() {
	registry := enlace.NewRegistry(all.Adapters()...)
	for name, adapter := range registry.All() {
		fmt.Println(name, "-", adapter.Describe().Title)
	}
	// Output:
	// bitrix24 - Bitrix24
	// rdstation - RD Station Marketing
	// rdstation_crm - RD Station CRM
	// rdstation_crm_v1 - RD Station CRM (user token)
	// zapsign - ZapSign
}

// TestSamples: what an adapter writes as a sample of a delivery is what it reads, also
// of a type that the provider does not have: as that type, or with an error.
func TestSamples(t *testing.T) {
	for _, a := range append(all.Adapters(), fake.Adapter{}) {
		sampler, ok := enlace.As[enlace.WebhookSampler](a)
		receiver, _ := enlace.As[enlace.WebhookReceiver](a)
		if !ok {
			t.Errorf("%s has no samples", a.Describe().Name)
			continue
		}
		write := func(e enlace.Event) []enlace.Event {
			e.ID, e.At = "test-1", time.Unix(1764000000, 0)
			kind, body := sampler.SampleWebhook(e)
			events, err := receiver.ParseWebhook(t.Context(), enlace.Delivery{Method: http.MethodPost, Header: http.Header{"Content-Type": {kind}}, Body: body, ReceivedAt: e.At})
			if err != nil && e.Type != "no_such_type" {
				t.Errorf("%s: %s: %v\n%s", a.Describe().Name, e.Type, err, body)
			}
			return events
		}
		for _, e := range sampler.SampleEvents() {
			e.Record.ID += "7"
			events := write(e)
			if len(events) != 1 || events[0].Type != e.Type || events[0].Record.Entity != e.Record.Entity || events[0].Record.ID != e.Record.ID {
				t.Errorf("%s: %+v is read as %+v", a.Describe().Name, e, events)
			}
			e.Type = "no_such_type"
			if events := write(e); len(events) > 0 && !strings.EqualFold(events[0].Type, e.Type) {
				t.Errorf("%s: an unknown type is read as %s", a.Describe().Name, events[0].Type)
			}
		}
	}
}
