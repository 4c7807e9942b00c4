package bitrix24_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// TestAnHourOfMixedLoad reads and writes from eight goroutines for an hour, over an
// inbound webhook and an application of the same portal. The portal's limits are kept,
// and used.
func TestAnHourOfMixedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{Limits: bitrix24test.CloudLimits(), UserFields: noUserFields, RoundTrip: 50 * time.Millisecond,
			ServerTime: func(method string) time.Duration {
				if method == "batch" {
					return 0
				}
				return 40 * time.Millisecond
			}})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 500})
		portal.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: 500})
		h := webhookHost(t, portal, nil)
		hook := h.conn()
		h.authorize(portal.Transport(), nil)
		portal.ResetStats()
		app := h.conn()
		const load = time.Hour
		started := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), load)
		defer cancel()
		var workers sync.WaitGroup
		for seed := range 8 {
			workers.Go(func() {
				random := rand.New(rand.NewPCG(3, uint64(seed)))
				for ctx.Err() == nil {
					c := hook
					if random.IntN(2) == 0 {
						c = app
					}
					// In the end what would have to wait beyond the deadline is refused here and not sent.
					if err := anything(ctx, c, random, seed); err != nil {
						if ctx.Err() == nil && !(errors.Is(err, enlace.ErrRateLimited) && time.Since(started) > load-time.Minute) {
							t.Errorf("after %v: %v", time.Since(started), err)
						}
						return
					}
				}
			})
		}
		workers.Wait()
		stats := portal.Stats()
		if stats.Refused != 0 {
			t.Errorf("%d refusals", stats.Refused)
		}
		limits := bitrix24.Adapter{}.Describe().Limits
		allowed := float64(limits.Burst) + load.Seconds()*limits.PerSecond
		used := float64(stats.Requests) / allowed
		t.Logf("%d requests in %v, %d refused: %.1f %% of what is allowed", stats.Requests, load, stats.Refused, 100*used)
		if used < 0.95 {
			t.Errorf("less than 95 %% of what is allowed")
		}
		for _, method := range []string{"crm.item.list", "crm.item.get", "crm.item.add", "crm.item.update", "crm.item.delete", "crm.duplicate.findbycomm", "crm.item.fields"} {
			if m := stats.Methods[method]; m.Requests+m.Commands == 0 {
				t.Errorf("%s was never called", method)
			}
		}
	})
}

// anything is one thing that a product does with an account.
func anything(ctx context.Context, c *enlace.Conn, random *rand.Rand, worker int) error {
	a := bitrix24.Adapter{}
	key := fmt.Sprintf("%d-%d", worker, random.Uint64())
	contact := map[string]any{"name": key, "fm": []any{map[string]any{"typeId": "EMAIL", "value": key + "@example.org"}}}
	some := func() string { return strconv.Itoa(1 + random.IntN(500)) }
	switch random.IntN(7) {
	case 0:
		_, err := a.Pull(ctx, c, enlace.PullRequest{Entity: "contacts"})
		return err
	case 1:
		_, err := a.Fetch(ctx, c, "deals", []string{some(), some(), some()})
		return err
	case 2:
		ack, err := a.Push(ctx, c, enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: contact, Key: key})
		if err != nil {
			return err
		}
		_, err = a.Push(ctx, c, enlace.Mutation{Entity: "contacts", Op: enlace.OpDelete, ID: ack.ID})
		return err
	case 3:
		_, err := a.Push(ctx, c, enlace.Mutation{Entity: "deals", Op: enlace.OpUpdate, ID: some(), Data: map[string]any{"comments": key}})
		return err
	case 4:
		_, err := a.Push(ctx, c, enlace.Mutation{Entity: "contacts", Op: enlace.OpUpsert, Data: contact})
		return err
	case 5:
		results, err := a.PushBatch(ctx, c, []enlace.Mutation{
			{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "x"}, Key: key},
			{Entity: "deals", Op: enlace.OpUpdate, ID: some(), Data: map[string]any{"comments": key}}})
		for _, r := range results {
			if r.Err != nil {
				err = r.Err
			}
		}
		return err
	default:
		_, err := bitrix24.DescribeFields(ctx, c, "leads")
		return err
	}
}
