package bitrix24_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // zones, also where the system has none

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

var cities = []string{"UTC", "Asia/Tokyo", "America/Sao_Paulo", "Asia/Kathmandu", "Europe/Lisbon", "America/New_York"}

// TestOnlyChangesAreReadAgain runs twice, with the portal's clock change between
// the runs where the zone has one.
func TestOnlyChangesAreReadAgain(t *testing.T) {
	for _, city := range cities {
		for _, lanes := range []string{"1", "10"} {
			bubble(t, city+", lanes "+lanes, func(t *testing.T) {
				zone, err := time.LoadLocation(city)
				if err != nil {
					t.Fatal(err)
				}
				portal := busyPortal(bitrix24test.Options{Location: zone}, 200)
				h := webhookHost(t, portal, map[string]string{"lanes": lanes})
				// Virtual time begins in 2000; Lisbon's clocks went forward on 26 March, New York's on 2 April.
				for _, change := range []time.Time{
					time.Date(2000, 3, 26, 0, 40, 0, 0, time.UTC), time.Date(2000, 4, 2, 6, 40, 0, 0, time.UTC),
					time.Date(2000, 10, 29, 0, 40, 0, 0, time.UTC), time.Date(2000, 10, 29, 5, 40, 0, 0, time.UTC),
				} {
					time.Sleep(time.Until(change))
					h.syncAll(newInbox(), enlace.SyncOptions{})
					for range 4 { // before the change, at it and after it
						time.Sleep(10 * time.Minute)
						portal.Touch(bitrix24test.Contact, 3, 150, 200)
						id := portal.Put(bitrix24test.Contact, map[string]any{"name": "new"})
						time.Sleep(10 * time.Minute)
						into := newInbox()
						h.syncAll(into, enlace.SyncOptions{})
						into.wantOnce(t, []string{"3", "150", "200", strconv.FormatInt(id, 10)})
					}
				}
			})
		}
	}
}

// TestOverlap reads again what changed shortly before the last run began.
func TestOverlap(t *testing.T) {
	for overlap, want := range map[string][]string{
		"0": {"4"}, "59": {"4"}, "60": {"3", "4"}, "": {"2", "3", "4"}, "86400": {"1", "2", "3", "4"},
	} {
		bubble(t, overlap, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{})
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 100, Updated: func(int) time.Time { return time.Unix(0, 0) }})
			h := webhookHost(t, portal, map[string]string{"overlap": overlap})
			portal.Touch(bitrix24test.Contact, 1)
			time.Sleep(2 * time.Hour)
			portal.Touch(bitrix24test.Contact, 2)
			time.Sleep(240 * time.Second)
			portal.Touch(bitrix24test.Contact, 3)
			time.Sleep(60 * time.Second)
			h.syncAll(newInbox(), enlace.SyncOptions{})
			time.Sleep(time.Second)
			portal.Touch(bitrix24test.Contact, 4)
			into := newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, want)
		})
	}
}

// TestPortalWhoseClockIsWrong is an hour behind or ahead of ours. What counts is
// the portal's clock, which its times of change are made with.
func TestPortalWhoseClockIsWrong(t *testing.T) {
	for name, skew := range map[string]time.Duration{"behind": -time.Hour, "ahead": time.Hour} {
		for _, lanes := range []string{"1", "10"} {
			bubble(t, name+", lanes "+lanes, func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{})
				portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 200})
				h := webhookHost(t, portal, map[string]string{"lanes": lanes})
				h.config.Transport = editAnswers(portal, func(_ string, body []byte) []byte {
					now := time.Now().In(time.FixedZone("", 2*60*60))
					return []byte(strings.ReplaceAll(string(body), `"date_start":"`+now.Format(time.RFC3339),
						`"date_start":"`+now.Add(skew).Format(time.RFC3339)))
				})
				h.restart()
				change := func(id int64) {
					portal.Put(bitrix24test.Contact, map[string]any{"id": id, "name": "changed", "updatedTime": time.Now().Add(skew)})
				}
				change(7)
				time.Sleep(10 * time.Minute)
				h.syncAll(newInbox(), enlace.SyncOptions{})
				for range 3 {
					time.Sleep(10 * time.Minute)
					change(9)
					into := newInbox()
					h.syncAll(into, enlace.SyncOptions{})
					into.wantOnce(t, []string{"9"})
				}
			})
		}
	}
}

// TestPortalWithoutTimes leaves out what is optional (sheet 2.2).
func TestPortalWithoutTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{SelfHosted: true})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 500})
		h := webhookHost(t, portal, nil)
		h.config.Transport = editAnswers(portal, func(_ string, body []byte) []byte {
			text := strings.ReplaceAll(string(body), `"time":{`, `"time":[],"was":{`)
			return []byte(strings.ReplaceAll(text, `"result_time":{`, `"result_time":[],"was":{`))
		})
		h.restart()
		into := newInbox()
		h.syncAll(into, enlace.SyncOptions{})
		if len(into.records) != 500 || len(into.twice) > 0 {
			t.Fatalf("%d records, %d of them twice", len(into.records), len(into.twice))
		}
		time.Sleep(3 * time.Hour)
		portal.Touch(bitrix24test.Contact, 5)
		time.Sleep(time.Hour)
		into = newInbox()
		h.syncAll(into, enlace.SyncOptions{})
		into.wantOnce(t, []string{"5"})
	})
}

// TestChangesDuringTheRunAreFoundByTheNext touches contacts that were read already.
func TestChangesDuringTheRunAreFoundByTheNext(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		bubble(t, "lanes "+lanes, func(t *testing.T) {
			var portal *bitrix24test.Portal
			var requests atomic.Int64
			portal = busyPortal(bitrix24test.Options{OnRequest: func(bitrix24test.Request) {
				if n := requests.Add(1); n >= 3 && n <= 6 {
					portal.Touch(bitrix24test.Contact, n, 51+n)
				}
			}}, 1_000)
			h := webhookHost(t, portal, map[string]string{"lanes": lanes, "overlap": "0"})
			into := newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			requests.Store(100)
			h.syncAll(into, enlace.SyncOptions{})
			for _, id := range []string{"3", "4", "5", "6", "54", "55", "56", "57"} {
				want, err := h.service.Conn(t.Context(), h.ref)
				if err != nil {
					t.Fatal(err)
				}
				var answer struct {
					Result struct{ Item json.RawMessage }
				}
				err = want.Do(t.Context(), enlace.Call{Method: http.MethodPost, Path: "crm.item.get",
					Body: map[string]any{"entityTypeId": 3, "id": id, "useOriginalUfNames": "Y"}}, &answer)
				if got := into.records["contacts/"+id]; err != nil || string(got.Data) != string(answer.Result.Item) {
					t.Errorf("%s is not as it is now (%v):\n%s\n%s", id, err, got.Data, answer.Result.Item)
				}
			}
		})
	}
}

// TestPortalThatPassesOverDates is Q18: it applies only times without an offset. That
// shows in the first page, and nothing that changed is missed.
func TestPortalThatPassesOverDates(t *testing.T) {
	for _, zone := range []int{-3 * 3600, 5*3600 + 1800, 0} {
		for _, lanes := range []string{"1", "10"} {
			bubble(t, fmt.Sprint("zone ", zone, ", lanes ", lanes), func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{Location: time.FixedZone("", zone), Quirks: bitrix24test.Quirks{IgnoreISODates: true}})
				portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 500})
				h := webhookHost(t, portal, map[string]string{"lanes": lanes})
				time.Sleep(time.Hour)
				h.syncAll(newInbox(), enlace.SyncOptions{})
				for range 2 {
					time.Sleep(time.Hour)
					portal.Touch(bitrix24test.Contact, 77, 400)
					into := newInbox()
					h.syncAll(into, enlace.SyncOptions{})
					if zone != 0 {
						into.wantOnce(t, []string{"400", "77"})
					} else if len(into.records) != 500 { // it cannot be told from an offset that is not known
						t.Errorf("%d records", len(into.records))
					}
				}
			})
		}
	}
}

// TestSince reads what changed since an instant, which it writes with the
// portal's own offset (sheet 5.6).
func TestSince(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		bubble(t, "lanes "+lanes, func(t *testing.T) {
			var mu sync.Mutex // requests come from several lanes
			var filters []string
			portal := bitrix24test.New(bitrix24test.Options{Location: time.FixedZone("", -(3*60+30)*60), OnRequest: func(r bitrix24test.Request) {
				var body struct{ Filter map[string]any }
				if r.Method == "crm.item.list" && json.Unmarshal(r.Body, &body) == nil {
					since, _ := body.Filter[">=updatedTime"].(string)
					mu.Lock()
					defer mu.Unlock()
					filters = append(filters, since)
				}
			}})
			first := time.Now()
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 300, Updated: func(i int) time.Time { return first.Add(time.Duration(i) * time.Minute) }})
			time.Sleep(48 * time.Hour)
			h := webhookHost(t, portal, map[string]string{"lanes": lanes})
			into := newInbox()
			since := first.Add(200 * time.Minute)
			result := h.syncAll(into, enlace.SyncOptions{Since: since.UTC()})
			if got := result.Entities["contacts"].Read; got != 100 || into.records["contacts/201"].ID == "" {
				t.Errorf("%d records, want the last 100", got)
			}
			for _, f := range filters {
				if at, err := time.Parse(time.RFC3339, f); err != nil || !at.Equal(since) || !strings.HasSuffix(f, "-03:30") {
					t.Errorf("the filter is %q", f)
				}
			}
			portal.Touch(bitrix24test.Contact, 1)
			into = newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, []string{"1"})
		})
	}
}

func TestSinceNeedsThePortalsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		h := webhookHost(t, portal, nil)
		portal.Fault(bitrix24test.Fault{Method: "server.time", Kind: bitrix24test.Refuse, Status: 403, Code: "ACCESS_DENIED"})
		if _, _, err := h.pull(enlace.PullRequest{Since: time.Now()}, 0); enlace.KindLabel(err) != "forbidden" {
			t.Errorf("%v", err)
		}
		h.answer(200, `{"result":"noon"}`)
		if _, _, err := h.pull(enlace.PullRequest{Since: time.Now()}, 0); enlace.KindLabel(err) != "protocol" {
			t.Errorf("%v", err)
		}
	})
}

// TestResumedRunKeepsItsBeginning changes a contact between a run that was cut
// off, after it had read that contact, and its continuation.
func TestResumedRunKeepsItsBeginning(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		bubble(t, "lanes "+lanes, func(t *testing.T) {
			portal := busyPortal(bitrix24test.Options{}, 2_000)
			h := webhookHost(t, portal, map[string]string{"lanes": lanes, "overlap": "0"})
			portal.Fault(bitrix24test.Fault{Kind: bitrix24test.Refuse, Status: 401, Code: "NO_AUTH_FOUND", After: 4, Times: -1})
			into := newInbox()
			if _, err := h.sync(into, enlace.SyncOptions{}); enlace.KindLabel(err) != "auth" || len(into.records) == 0 {
				t.Fatalf("%d records, %v", len(into.records), err)
			}
			portal.ClearFaults()
			time.Sleep(24 * time.Hour)
			portal.Touch(bitrix24test.Contact, 1)
			time.Sleep(time.Hour)
			if result := h.syncAll(into, enlace.SyncOptions{}); !result.Entities["contacts"].Resumed {
				t.Error("the run was not taken up")
			}
			if len(into.records) != 2_000 || len(into.twice) > 0 {
				t.Fatalf("%d records, %d of them twice", len(into.records), len(into.twice))
			}
			into = newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, []string{"1"})
		})
	}
}
