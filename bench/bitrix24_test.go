package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/store/memory"
)

// TestBitrix24AtPublishedLimits pulls contacts from a portal that works 0.3 s on
// each list command, 50 ms away, with a bucket of 50 that drains 2 per second
// and 480 s of run time for each method in ten minutes. Time is virtual, so the
// figures are exact and the same everywhere.
//
// Nothing legal beats the bound: the probe, then the portal's own time over the
// calls in flight, and for each full run time allowance a wait for the next one:
//
//	10,000:  0.35 + 0.05 + 0.3 × ⌈199/10⌉                  =   6.4 s
//	100,000: 600 (1,601 commands use up 480 s) + 0.3 × 40  = 612 s
//
// More calls in flight would lower the first figure and not the second; ten is
// what the adapter takes because portals are said to slow down under more.
func TestBitrix24AtPublishedLimits(t *testing.T) {
	for _, test := range []struct {
		name     string
		contacts int
		seed     bitrix24test.Seed
		lanes    string // empty is the adapter's default
		within   time.Duration
	}{
		{name: "10,000", contacts: 10_000, within: 7 * time.Second},
		{name: "100,000", contacts: 100_000, within: 640 * time.Second},
		{name: "10,000 page by page, for comparison", contacts: 10_000, lanes: "1", within: 100 * time.Second},
		{name: "10,000 with one id in seven", contacts: 10_000, seed: bitrix24test.Seed{Stride: 7}, within: 9 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.seed.Count = test.contacts
				took, stats := pullPortal(t, test.seed, test.lanes)
				t.Logf("%d contacts in %.2f s: %d requests, %d commands, %d in flight at most, %d refused",
					test.contacts, took.Seconds(), stats.Requests, stats.Commands, stats.MaxInFlight, stats.Refused)
				if took > test.within {
					t.Errorf("took %v of virtual time, want at most %v", took, test.within)
				}
				if stats.Refused != 0 {
					t.Errorf("%d requests or commands were refused, want none", stats.Refused)
				}
			})
		})
	}
}

func pullPortal(t *testing.T, seed bitrix24test.Seed, lanes string) (time.Duration, bitrix24test.Stats) {
	portal := bitrix24test.New(bitrix24test.Options{
		Limits:    bitrix24test.CloudLimits(),
		RoundTrip: 50 * time.Millisecond,
		ServerTime: func(method string) time.Duration {
			if method == "crm.item.list" {
				return 300 * time.Millisecond
			}
			return 0
		},
	})
	portal.Seed(bitrix24test.Contact, seed)
	service, ref := connect(t, portal, lanes)
	seen := make(map[string]bool, seed.Count)
	started := time.Now()
	result, err := service.Sync(t.Context(), ref, enlace.SyncOptions{Entities: []string{"contacts"},
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			for _, r := range b.Records {
				if seen[r.ID] {
					return enlace.Changes{}, errors.New("record " + r.ID + " came twice")
				}
				seen[r.ID] = true
			}
			return enlace.Changes{}, nil
		})})
	took := time.Since(started)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Complete || len(seen) != seed.Count {
		t.Fatalf("complete %v with %d records of %d", result.Complete, len(seen), seed.Count)
	}
	return took, portal.Stats()
}

func connect(t *testing.T, portal *bitrix24test.Portal, lanes string) (*enlace.Service, enlace.Ref) {
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(bitrix24.Adapter{}), Store: memory.New(),
		Keys: keys, Transport: portal.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	in, err := service.Create(t.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Settings: map[string]string{"lanes": lanes},
		Credential: &enlace.Credential{Scheme: bitrix24.SchemeWebhook,
			Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(portal.WebhookURL())}}})
	if err != nil {
		t.Fatal(err)
	}
	return service, in.Ref
}
