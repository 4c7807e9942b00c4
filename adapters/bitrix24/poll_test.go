package bitrix24_test

import (
	"errors"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// TestPolledEvents: what a reader took and did not acknowledge comes again to the next
// one, with the same ids, and nothing is acknowledged unseen.
func TestPolledEvents(t *testing.T) {
	recording(t, nil, func(h *host) {
		ctx, c, a := h.t.Context(), h.conn(), bitrix24.Adapter{}
		poll := func(limit int, recover bool) enlace.EventSet {
			h.t.Helper()
			set, err := a.PollEvents(ctx, c, enlace.PollRequest{Limit: limit, Recover: recover})
			if err != nil || len(set.Events) > min(limit, 50) {
				h.t.Fatalf("%d events, %v", len(set.Events), err)
			}
			return set
		}
		ack := func(set enlace.EventSet) {
			h.t.Helper()
			for range 2 {
				if err := a.AckEvents(ctx, c, set); err != nil {
					h.t.Fatal(err)
				}
			}
		}
		if set := poll(50, true); len(set.Events) != 0 || set.Token != "" || set.More {
			h.t.Errorf("%+v", set)
		}
		const n = 130
		for range n {
			h.portal.Put(bitrix24test.Contact, map[string]any{"name": "a"})
		}
		seen := map[string]int{} // by id of the record
		note := func(set enlace.EventSet) {
			h.t.Helper()
			for _, e := range set.Events {
				if e.ID == "" || e.Type != "ONCRMCONTACTADD" || e.Record.Entity != "contacts" || e.Record.Data != nil || time.Since(e.At) > time.Hour {
					h.t.Fatalf("%+v", e)
				}
				seen[e.Record.ID]++
			}
		}
		lost := []enlace.EventSet{poll(1000, false), poll(30, false)} // two readers die
		ids := map[string]bool{}
		for _, set := range lost {
			if !set.More {
				h.t.Error("there is more")
			}
			for _, e := range set.Events {
				ids[e.ID] = true
			}
		}
		again := 0
		for set := poll(40, true); len(set.Events) > 0; set = poll(40, true) {
			for _, e := range set.Events {
				if ids[e.ID] {
					again++
				}
			}
			note(set)
			ack(set)
		}
		if again != 80 || len(seen) != n {
			h.t.Errorf("%d came again, %d of %d seen", again, len(seen), n)
		}
		for id, times := range seen {
			if times != 1 {
				h.t.Errorf("%s came %d times", id, times)
			}
		}
		if left, err := bitrix24.ListOffline(ctx, c); err != nil || len(left) != 0 {
			h.t.Error(len(left), err)
		}
		if err := a.AckEvents(ctx, c, enlace.EventSet{Token: "x"}); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
		// Without ids the portal would take all of the set for acknowledged.
		h.portal.Put(bitrix24test.Contact, map[string]any{"name": "a"})
		set, err := bitrix24.ReserveOffline(ctx, c, 1)
		if err != nil {
			h.t.Fatal(err)
		}
		if err := a.AckEvents(ctx, c, enlace.EventSet{Token: `[{"process":"` + set.ProcessID + `"}]`}); err != nil {
			h.t.Error(err)
		}
		if left, err := bitrix24.ListOffline(ctx, c); err != nil || len(left) != 1 {
			h.t.Error(len(left), err)
		}
		for _, limit := range []int{-1, 51} {
			if _, err := bitrix24.ReserveOffline(ctx, c, limit); !errors.Is(err, enlace.ErrInvalid) {
				h.t.Error(limit, err)
			}
		}
		h.portal.SetAdmin(7, false)
		for _, recover := range []bool{false, true} {
			if _, err := a.PollEvents(ctx, c, enlace.PollRequest{Limit: 1, Recover: recover}); !errors.Is(err, enlace.ErrForbidden) {
				h.t.Error(err)
			}
		}
	})
}
