package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// TestBitrix24PushAtPublishedLimits creates 10,000 contacts at a portal that works
// for some time on each, 50 ms away, with a bucket of 50 that drains 2 per second
// and 480 s of run time for each method in ten minutes. Time is virtual.
//
// Nothing legal beats the greatest of three bounds: the bucket, for 200 batches of
// 50; the portal's own time over ten calls in flight; and for each full run time
// allowance a wait for the next one:
//
//	40 ms:  (200 - 50) / 2 per second + 50 × 40 ms + 50 ms      =    77 s
//	300 ms: 6 × 600 s (1,601 creates use up 480 s) + 394 × 30 ms = 3,612 s
func TestBitrix24PushAtPublishedLimits(t *testing.T) {
	const contacts = 10_000
	for _, test := range []struct {
		each, bound time.Duration
	}{
		{40 * time.Millisecond, 77 * time.Second},
		{300 * time.Millisecond, 3_612 * time.Second},
	} {
		t.Run(test.each.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{Limits: bitrix24test.CloudLimits(), RoundTrip: 50 * time.Millisecond,
					ServerTime: func(method string) time.Duration {
						if method == "batch" {
							return 0
						}
						return test.each
					}})
				service, ref := connect(t, portal, "")
				started := time.Now()
				result, err := service.Sync(t.Context(), ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: numbered(contacts)})
				took := time.Since(started)
				stats := portal.Stats()
				t.Logf("%d contacts in %.1f s, %.3f of the bound: %d requests, %d commands, %d in flight at most, %d refused",
					contacts, took.Seconds(), float64(took)/float64(test.bound), stats.Requests, stats.Commands, stats.MaxInFlight, stats.Refused)
				if counts := result.Entities["contacts"].Push; err != nil || counts.Created != contacts {
					t.Fatalf("%+v, %v", counts, err)
				}
				if float64(took) > 1.2*float64(test.bound) {
					t.Errorf("took %v, more than 1.2 of the bound %v", took, test.bound)
				}
				if stats.Refused != 0 {
					t.Errorf("%d requests or commands were refused", stats.Refused)
				}
			})
		})
	}
}

// numbered is a source of so many new contacts.
type numbered int

// Changes implements enlace.Source.
func (n numbered) Changes(_ context.Context, q enlace.ChangeQuery) ([]enlace.Change, string, error) {
	from, _ := strconv.Atoi(q.After)
	to := min(from+q.Limit, int(n))
	var changes []enlace.Change
	for i := from; i < to; i++ {
		name := fmt.Sprint("contact ", i)
		changes = append(changes, enlace.Change{ID: strconv.Itoa(i), Data: json.RawMessage(`{"name":` + strconv.Quote(name) + `}`)})
	}
	if to == int(n) {
		return changes, "", nil
	}
	return changes, strconv.Itoa(to), nil
}

// Accepted implements enlace.Source.
func (n numbered) Accepted(context.Context, enlace.AcceptedChanges) error { return nil }
