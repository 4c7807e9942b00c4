package bitrix24_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/rawjson"
)

// layout is how the ids of a portal's contacts are spread.
type layout struct {
	name  string
	seeds []bitrix24test.Seed
	gaps  float64 // part of the seeded records that is deleted again, at random
	// clusters says that most ids lie in a small part of their range. The plan
	// takes them for evenly spread, and pays once for that and once for the cluster.
	clusters bool
}

func (l layout) fill(portal *bitrix24test.Portal) (ids []string) {
	random := rand.New(rand.NewPCG(11, 7))
	for _, seed := range l.seeds {
		portal.Seed(bitrix24test.Contact, seed)
		for i := range int64(seed.Count) {
			id := max(seed.FirstID, 1) + i*max(seed.Stride, 1)
			if l.gaps > 0 && random.Float64() < l.gaps {
				portal.Delete(bitrix24test.Contact, id)
				continue
			}
			ids = append(ids, strconv.FormatInt(id, 10))
		}
	}
	return ids
}

var layouts = func() []layout {
	list := []layout{
		{name: "dense", seeds: []bitrix24test.Seed{{Count: 1_500}}},
		{name: "late start", seeds: []bitrix24test.Seed{{Count: 1_500, FirstID: 1e9}}},
		{name: "every seventh", seeds: []bitrix24test.Seed{{Count: 1_000, Stride: 7}}},
		{name: "every thousandth", seeds: []bitrix24test.Seed{{Count: 1_500, Stride: 1000}}},
		{name: "a cluster and a few far away", seeds: []bitrix24test.Seed{{Count: 10_000}, {Count: 7, FirstID: 1e12, Stride: 1e9}}, clusters: true},
		{name: "a few and a cluster far away", seeds: []bitrix24test.Seed{{Count: 60, Stride: 1e9}, {Count: 1_500, FirstID: 1e12}}, clusters: true},
		{name: "gaps at random", seeds: []bitrix24test.Seed{{Count: 1_500}}, gaps: 0.5},
		{name: "many gaps at random", seeds: []bitrix24test.Seed{{Count: 8_000, FirstID: 500}}, gaps: 0.95},
		{name: "beyond 2^53", seeds: []bitrix24test.Seed{{Count: 1_500, FirstID: 1<<53 - 1000}, {Count: 700, FirstID: 1<<62 + 1, Stride: 3}}, clusters: true},
		{name: "the greatest ids", seeds: []bitrix24test.Seed{{Count: 120, FirstID: 1<<63 - 120}}},
	}
	for _, n := range []int{0, 1, 49, 50, 51, 99, 100, 101} {
		list = append(list, layout{name: fmt.Sprint(n, " records"), seeds: []bitrix24test.Seed{{Count: n}}})
	}
	return list
}()

func TestEveryRecordComesOnceWhateverTheIDs(t *testing.T) {
	for _, l := range layouts {
		for _, lanes := range []string{"1", "2", "10", "50"} {
			if lanes != "10" && l.seeds[0].Count > 1000 {
				continue // of the long ones one is enough
			}
			bubble(t, l.name+", lanes "+lanes, func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{UserFields: noUserFields})
				ids := l.fill(portal)
				h := webhookHost(t, portal, map[string]string{"lanes": lanes})
				records, last, err := h.pull(enlace.PullRequest{}, 0)
				if err != nil {
					t.Fatal(err)
				}
				if !last.Done {
					t.Error("the last page is not done")
				}
				wantIDs(t, records, ids)
				for _, r := range records {
					if !bytes.HasPrefix(r.Data, []byte(`{"id":`+r.ID+`,`)) {
						t.Fatalf("record %s is %s", r.ID, r.Data)
					}
				}
				stats := portal.Stats()
				commands := stats.Methods["crm.item.list"].Requests + stats.Methods["crm.item.list"].Commands
				most := len(ids)/50*135/100 + 60
				if l.clusters {
					most += len(ids) / 50
				}
				if commands > most {
					t.Errorf("%d commands for %d records, want at most %d", commands, len(ids), most)
				}
			})
		}
	}
}

// TestWalkThatIsCutOffGoesOn cuts a walk after each of its pages, as a crash
// would, and goes on in the other mode and in the same one.
func TestWalkThatIsCutOffGoesOn(t *testing.T) {
	for _, l := range []layout{
		{name: "dense", seeds: []bitrix24test.Seed{{Count: 330}}},
		{name: "clusters", seeds: []bitrix24test.Seed{{Count: 180}, {Count: 90, FirstID: 1e9}, {Count: 3, FirstID: 1e12, Stride: 1e6}}},
		{name: "gaps", seeds: []bitrix24test.Seed{{Count: 500}}, gaps: 0.4},
	} {
		for _, modes := range [][2]string{{"1", "1"}, {"1", "4"}, {"4", "1"}, {"4", "4"}, {"7", "50"}} {
			bubble(t, l.name+", lanes "+strings.Join(modes[:], " then "), func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{UserFields: noUserFields})
				ids := l.fill(portal)
				before := webhookHost(t, portal, map[string]string{"lanes": modes[0]})
				after := webhookHost(t, portal, map[string]string{"lanes": modes[1]})
				for pages := 1; ; pages++ {
					read, page, err := before.pull(enlace.PullRequest{}, pages)
					if err != nil {
						t.Fatal(err)
					}
					if page.Done {
						if pages < 3 {
							t.Fatalf("the whole walk has only %d pages, nothing was cut", pages)
						}
						return
					}
					after.restart()
					rest, _, err := after.pull(enlace.PullRequest{Cursor: page.Next}, 0)
					if err != nil {
						t.Fatalf("after %d pages: %v", pages, err)
					}
					wantIDs(t, append(read, rest...), ids)
				}
			})
		}
	}
}

// TestChangesDuringAWalk deletes, changes and adds contacts with every request.
// Those that are there from beginning to end must come, each once.
func TestChangesDuringAWalk(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		bubble(t, "lanes "+lanes, func(t *testing.T) {
			const contacts = 2_500
			var portal *bitrix24test.Portal
			var requests atomic.Int64
			gone := map[string]bool{}
			random := rand.New(rand.NewPCG(3, 5))
			var doomed []int64
			for range 300 {
				id := random.Int64N(contacts) + 1
				if doomed = append(doomed, id); random.IntN(3) == 0 {
					doomed = append(doomed, contacts) // also the last one, on which the plan rests
				}
				gone[strconv.FormatInt(id, 10)], gone[strconv.Itoa(contacts)] = true, true
			}
			portal = bitrix24test.New(bitrix24test.Options{OnRequest: func(bitrix24test.Request) {
				n := int(requests.Add(1))
				if from := n * 20; from < len(doomed) {
					portal.Delete(bitrix24test.Contact, doomed[from:min(from+20, len(doomed))]...)
				}
				portal.Put(bitrix24test.Contact, map[string]any{"name": fmt.Sprint("new ", n)})
			}})
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: contacts})
			h := webhookHost(t, portal, map[string]string{"lanes": lanes})
			records, _, err := h.pull(enlace.PullRequest{}, 0)
			if err != nil {
				t.Fatal(err)
			}
			came := map[string]bool{}
			for _, r := range records {
				if came[r.ID] {
					t.Fatalf("%s came twice", r.ID)
				}
				came[r.ID] = true
			}
			for id := 1; id <= contacts; id++ {
				if text := strconv.Itoa(id); !gone[text] && !came[text] {
					t.Fatalf("%s did not come, though it was there all the time", text)
				}
			}
		})
	}
}

// TestRecordsAreThePortalsOwnBytes compares what a sink gets with the portal's
// answer to the same question: nulls, numbers, user fields and multifields.
func TestRecordsAreThePortalsOwnBytes(t *testing.T) {
	for name, quirks := range map[string]bitrix24test.Quirks{"plain": {}, "escaped": {EscapeJSON: true, WholeSeconds: true}} {
		for _, lanes := range []string{"1", "10"} {
			bubble(t, name+", lanes "+lanes, func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{Quirks: quirks})
				portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 130, FirstID: 1 << 60})
				id := portal.Put(bitrix24test.Contact, map[string]any{"name": "Zoë", "UF_CRM_1700000001": "NIF/1 \"x\"",
					"fm": []bitrix24test.Multifield{{TypeID: "PHONE", ValueType: "WORK", Value: "+351"}}})
				h := webhookHost(t, portal, map[string]string{"lanes": lanes})
				into := newInbox()
				h.syncAll(into, enlace.SyncOptions{})
				if len(into.records) != 131 {
					t.Fatalf("%d records, want 131", len(into.records))
				}
				conn, err := h.service.Conn(t.Context(), h.ref)
				if err != nil {
					t.Fatal(err)
				}
				for key, r := range into.records {
					var answer json.RawMessage
					err := conn.Do(t.Context(), enlace.Call{Method: "POST", Path: "crm.item.get", Body: map[string]any{
						"entityTypeId": 3, "id": json.Number(r.ID), "useOriginalUfNames": "Y"}}, &answer)
					if err != nil {
						t.Fatal(err)
					}
					item, err := rawjson.Get(answer, "result", "item")
					if err != nil || string(item) != string(r.Data) {
						t.Fatalf("%s is\n%s\nthe portal has (%v)\n%s", key, r.Data, err, item)
					}
				}
				own := into.records["contacts/"+strconv.FormatInt(id, 10)]
				var fields struct {
					FM     []struct{ Value string }
					Tax    string          `json:"UF_CRM_1700000001"`
					Points json.RawMessage `json:"UF_CRM_LOYALTY_POINTS"`
				}
				if err := own.Decode(&fields); err != nil {
					t.Fatal(err)
				}
				if fields.Tax != `NIF/1 "x"` || string(fields.Points) != "null" || len(fields.FM) != 1 || fields.FM[0].Value != "+351" {
					t.Errorf("user fields or multifields are wrong: %+v in %s", fields, own.Data)
				}
				if own.Modified.IsZero() || time.Since(own.Modified) > time.Hour {
					t.Errorf("modified at %v", own.Modified)
				}
			})
		}
	}
}

func TestBatchesStayWithinTimeAndSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perCommand = 3 * time.Second
		portal := bitrix24test.New(bitrix24test.Options{UserFields: noUserFields, ServerTime: func(method string) time.Duration {
			if method == "crm.item.list" {
				return perCommand
			}
			return 0
		}})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 9_000})
		h := webhookHost(t, portal, nil)
		_, cut, err := h.pull(enlace.PullRequest{}, 2)
		if err != nil {
			t.Fatal(err)
		}
		h.restart() // what the portal needs for a command is not known any more
		rest, _, err := h.pull(enlace.PullRequest{Cursor: cut.Next}, 0)
		if err != nil || len(rest) == 0 {
			t.Fatalf("%d records, %v", len(rest), err)
		}
		for _, o := range h.observations {
			if done, ok := o.(enlace.RequestDone); ok && (done.Kind != "" && done.Kind != "canceled" || done.Duration > 30*time.Second) {
				t.Errorf("%s took %v: %q", done.Op, done.Duration, done.Kind)
			}
		}
	})
}

func TestLanesBoundTheRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, lanes := range []int{1, 3, 10} {
			portal := bitrix24test.New(bitrix24test.Options{RoundTrip: 50 * time.Millisecond, ServerTime: func(string) time.Duration { return 100 * time.Millisecond }})
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 2_500})
			h := webhookHost(t, portal, map[string]string{"lanes": strconv.Itoa(lanes)})
			h.syncAll(newInbox(), enlace.SyncOptions{})
			if got := portal.Stats().MaxInFlight; got != lanes {
				t.Errorf("%d requests were in flight with %d lanes", got, lanes)
			}
		}
	})
}

// TestPortalThatDoesNotKeepTheOrder reads from a portal whose newest items cannot
// be asked for: the walk must not take the first page for everything.
func TestPortalThatDoesNotKeepTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		ids := layout{seeds: []bitrix24test.Seed{{Count: 220}}}.fill(portal)
		h := webhookHost(t, portal, nil)
		h.config.Transport = editRequests(portal, func(body string) string { return strings.ReplaceAll(body, `"DESC"`, `"ASC"`) })
		h.restart()
		into := newInbox()
		h.syncAll(into, enlace.SyncOptions{})
		into.wantOnce(t, ids)
	})
}

// TestTotalIsNotTrusted reads from portals whose total is wrong, as it is for
// some methods (Bitrix24 sheet, Q22).
func TestTotalIsNotTrusted(t *testing.T) {
	for _, total := range []string{"0", "50", "-3", "40000", `"many"`, "null"} {
		bubble(t, total, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{})
			ids := layout{seeds: []bitrix24test.Seed{{Count: 900}, {Count: 1, FirstID: 1 << 61}}}.fill(portal)
			h := webhookHost(t, portal, nil)
			h.config.Transport = editAnswers(portal, func(_ string, body []byte) []byte {
				return []byte(strings.Replace(string(body), `"total":901`, `"total":`+total, 1))
			})
			h.restart()
			into := newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, ids)
		})
	}
}

func TestProgressKnowsTheTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 777})
		h := webhookHost(t, portal, nil)
		var totals []int
		result := h.syncAll(newInbox(), enlace.SyncOptions{Progress: func(p enlace.Progress) { totals = append(totals, p.Total) }})
		if got := slices.Compact(totals); len(got) != 1 || got[0] != 777 {
			t.Errorf("the totals were %v", got)
		}
		if got := result.Entities["contacts"].Created; got != 777 {
			t.Errorf("%d records were created", got)
		}
	})
}
