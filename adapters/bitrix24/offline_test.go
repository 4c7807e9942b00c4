package bitrix24_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// recording is an application that the portal keeps events for.
func recording(t *testing.T, settings map[string]string, run func(h *host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		defer portal.Close()
		h := oauthHost(t, portal, settings)
		for range 2 {
			if err := bitrix24.SubscribeOffline(t.Context(), h.conn(), bitrix24.CRMEvents()...); err != nil {
				t.Fatal(err)
			}
		}
		run(h)
	})
}

// TestOfflineEvents is T25: reserve, acknowledge a part, read the rest again.
func TestOfflineEvents(t *testing.T) {
	recording(t, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		if set, err := bitrix24.ReserveOffline(ctx, c, 0); err != nil || set.ProcessID != "" || len(set.Events) != 0 {
			h.t.Fatalf("%+v: %v", set, err)
		}
		h.portal.Put(bitrix24test.Contact, map[string]any{"name": "a"})
		h.portal.Touch(bitrix24test.Contact, 1)
		time.Sleep(time.Minute)
		h.portal.Touch(bitrix24test.Contact, 1) // the same entry
		h.portal.Delete(bitrix24test.Contact, 1)
		set, err := bitrix24.ReserveOffline(ctx, c, 2)
		if err != nil || set.ProcessID == "" || len(set.Events) != 2 {
			h.t.Fatalf("%+v: %v", set, err)
		}
		for _, e := range set.Events {
			if e.Entity != "contacts" || e.RecordID != "1" || e.At.IsZero() || e.ID == 0 {
				h.t.Errorf("%+v", e)
			}
		}
		other, err := bitrix24.ReserveOffline(ctx, c, 50)
		if err != nil || len(other.Events) != 1 || other.ProcessID == set.ProcessID || other.Events[0].Name == set.Events[0].Name {
			h.t.Errorf("another reader gets the rest: %+v: %v", other, err)
		}
		if err := bitrix24.ClearOffline(ctx, c, set.ProcessID, set.Events[0].ID); err != nil {
			h.t.Fatal(err)
		}
		rest, err := bitrix24.ResumeOffline(ctx, c, set.ProcessID)
		if err != nil || len(rest.Events) != 1 || rest.Events[0].ID != set.Events[1].ID {
			h.t.Errorf("%+v: %v", rest, err)
		}
		reserved, err := bitrix24.ReservedOffline(ctx, c)
		want := []string{set.ProcessID, other.ProcessID}
		slices.Sort(want)
		if slices.Sort(reserved); err != nil || !slices.Equal(reserved, want) {
			h.t.Errorf("%v, want %v: %v", reserved, want, err)
		}
		if err := bitrix24.FailOffline(ctx, c, other.ProcessID, other.Events...); err != nil {
			h.t.Fatal(err)
		}
		if err := bitrix24.ClearOffline(ctx, c, set.ProcessID); err != nil {
			h.t.Fatal(err)
		}
		list, err := bitrix24.ListOffline(ctx, c)
		if err != nil || len(list) != 1 || list[0].Failed != 1 || list[0].Entity != "contacts" {
			h.t.Errorf("%+v: %v", list, err)
		}
		if reserved, err := bitrix24.ReservedOffline(ctx, c); err != nil || len(reserved) != 0 {
			h.t.Errorf("%v: %v", reserved, err)
		}
		if _, err := bitrix24.ResumeOffline(ctx, c, ""); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Error(err)
		}
		if err := bitrix24.UnsubscribeOffline(ctx, c, bitrix24.CRMEvents()...); err != nil {
			h.t.Error(err)
		}
		if list, err := bitrix24.ListSubscriptions(ctx, c); err != nil || len(list) != 0 {
			h.t.Error(list, err)
		}
	})
}

// TestProcessOffline loses nothing, whatever fails.
func TestProcessOffline(t *testing.T) {
	recording(t, nil, func(h *host) {
		ctx, c := h.t.Context(), h.conn()
		const n = 130
		for range n {
			h.portal.Put(bitrix24test.Contact, map[string]any{"name": "a"})
		}
		seen := map[string]int{}
		keep := func(_ context.Context, events []bitrix24.OfflineEvent) error {
			for _, e := range events {
				seen[e.RecordID]++
			}
			return nil
		}
		boom := errors.New("boom")
		set, err := bitrix24.ProcessOffline(ctx, c, 50, func(context.Context, []bitrix24.OfflineEvent) error { return boom })
		if !errors.Is(err, boom) || len(set.Events) != 50 {
			h.t.Fatalf("%+v: %v", set, err)
		}
		// The answer to a reservation is lost: a set is reserved that nobody knows.
		h.portal.Fault(bitrix24test.Fault{Method: "event.offline.get", Kind: bitrix24test.BrokenBody, Times: 1})
		if _, err := bitrix24.ProcessOffline(ctx, c, 50, keep); outcome(err) != enlace.OutcomeUnknown {
			h.t.Fatal(err)
		}
		for {
			set, err := bitrix24.ProcessOffline(ctx, c, 0, keep)
			if err != nil {
				h.t.Fatal(err)
			}
			if len(set.Events) == 0 {
				break
			}
		}
		if len(seen) != n-100 {
			h.t.Errorf("%d seen", len(seen))
		}
		list, err := bitrix24.ListOffline(ctx, c) // two pages
		if err != nil || len(list) != 100 {
			h.t.Fatalf("%d: %v", len(list), err)
		}
		lost, err := bitrix24.ReservedOffline(ctx, c)
		if err != nil || len(lost) != 2 || !slices.Contains(lost, set.ProcessID) {
			h.t.Fatalf("%v: %v", lost, err)
		}
		for _, id := range lost {
			set, err := bitrix24.ResumeOffline(ctx, c, id)
			if err != nil || len(set.Events) != 50 {
				h.t.Fatalf("%+v: %v", set, err)
			}
			_ = keep(ctx, set.Events)
			if err := bitrix24.ClearOffline(ctx, c, id); err != nil {
				h.t.Fatal(err)
			}
		}
		for id, times := range seen {
			if times != 1 {
				h.t.Errorf("%s came %d times", id, times)
			}
		}
		if len(seen) != n {
			h.t.Errorf("%d of %d seen", len(seen), n)
		}
		h.portal.SetAdmin(7, false)
		if _, err := bitrix24.ReserveOffline(ctx, c, 0); !errors.Is(err, enlace.ErrForbidden) {
			h.t.Error(err)
		}
	})
}

// TestConnectorKeepsOwnWritesAway: what we write does not come back, one by one or in a
// batch, and what others do does.
func TestConnectorKeepsOwnWritesAway(t *testing.T) {
	recording(t, map[string]string{"connector": "enlace"}, func(h *host) {
		h.mustPush(enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "own"}})
		if _, err := h.pushBatch(creates(3, true)); err != nil {
			h.t.Fatal(err)
		}
		if err := bitrix24.SetBindings(h.t.Context(), h.conn(), bitrix24.ContactCompanies, 1, nil); err != nil {
			h.t.Fatal(err)
		}
		h.portal.Put(bitrix24test.Contact, map[string]any{"id": 77, "name": "theirs"})
		set, err := bitrix24.ReserveOffline(h.t.Context(), h.conn(), 0)
		if err != nil || len(set.Events) != 1 || set.Events[0].RecordID != "77" {
			h.t.Errorf("%+v: %v", set, err)
		}
	})
}

// TestOfflineAnswersOfAnyShape: the data of an event is not documented (sheet 6.6).
func TestOfflineAnswersOfAnyShape(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		row := func(data string) string {
			return `{"result":{"process_id":"p","events":[{"ID":"1","TIMESTAMP_X":"2026-05-29T09:58:00+02:00","EVENT_NAME":"ONCRMCONTACTADD","EVENT_DATA":` + data + `,"MESSAGE_ID":1}]}}`
		}
		for data, id := range map[string]string{`false`: "", `null`: "", `[]`: "", `{}`: "", `{"FIELDS":[]}`: "", `{"FIELDS":{"ID":15}}`: "15", `{"FIELDS":{"ID":"15"}}`: "15", `{"FIELDS":{"ID":"x"}}`: "", `"x"`: "", `{"ID":1}`: ""} {
			h.answer(200, row(data))
			set, err := bitrix24.ReserveOffline(h.t.Context(), h.conn(), 0)
			if err != nil || len(set.Events) != 1 || set.Events[0].RecordID != id || (set.Events[0].Entity == "contacts") != (id != "") {
				h.t.Errorf("%s: %+v, %v", data, set, err)
			}
			if string(set.Events[0].MessageID) != "1" || !json.Valid(set.Events[0].Data) {
				h.t.Errorf("%+v", set.Events[0])
			}
		}
		for _, body := range []string{`{"result":{"process_id":null,"events":[{"ID":"1"}]}}`, `{"result":[]}`, `{"result":{"events":7}}`} {
			h.answer(200, body)
			if _, err := bitrix24.ReserveOffline(h.t.Context(), h.conn(), 0); !errors.Is(err, enlace.ErrProtocol) {
				h.t.Errorf("%s: %v", body, err)
			}
		}
	})
}
