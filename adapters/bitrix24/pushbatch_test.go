package bitrix24_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func (h *host) pushBatch(ms []enlace.Mutation) ([]enlace.PushResult, error) {
	h.t.Helper()
	results, err := bitrix24.Adapter{}.PushBatch(h.t.Context(), h.conn(), ms)
	h.note(err)
	for _, r := range results {
		h.note(r.Err)
	}
	if err == nil && len(results) != len(ms) {
		h.t.Fatalf("%d results for %d mutations", len(results), len(ms))
	}
	return results, err
}

// creates are n contacts to be created, with a key if keyed.
func creates(n int, keyed bool) []enlace.Mutation {
	ms := make([]enlace.Mutation, n)
	for i := range ms {
		ms[i] = enlace.Mutation{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": fmt.Sprint("n", i)}}
		if keyed {
			ms[i].Key = fmt.Sprint("key-", i)
		}
	}
	return ms
}

// names of all contacts.
func (h *host) names() []string {
	h.t.Helper()
	records, _, err := webhookHost(h.t, h.portal, map[string]string{"lanes": "1"}).pull(enlace.PullRequest{}, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, r := range records {
		c, err := enlace.DecodeRecord[bitrix24.Contact](r)
		if err != nil {
			h.t.Fatal(err)
		}
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

func TestBatchOfCreates(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		ms := creates(50, true)
		for round := range 2 {
			h.portal.ResetStats()
			results, err := h.pushBatch(ms)
			if err != nil {
				h.t.Fatal(err)
			}
			for i, r := range results {
				if r.Err != nil || r.Ack.Created != (round == 0) || h.get("contacts", r.Ack.ID)["name"] != fmt.Sprint("n", i) {
					h.t.Fatalf("%d: %+v", i, r)
				}
			}
			if n := h.portal.Stats().Methods["batch"].Requests; n > 3 {
				h.t.Errorf("%d batches", n)
			}
		}
		if names := h.names(); len(names) != 50 {
			h.t.Errorf("%d contacts", len(names))
		}
		if _, err := h.pushBatch(creates(51, false)); !errors.Is(err, enlace.ErrInvalid) {
			h.t.Errorf("51: %v", err)
		}
		if results, err := h.pushBatch(nil); err != nil || len(results) != 0 {
			h.t.Error(results, err)
		}
	})
}

// TestBatchFailsInPart has one command fail at each position, in each way (T15).
func TestBatchFailsInPart(t *testing.T) {
	const n = 12
	for _, test := range []struct {
		name    string
		fault   bitrix24test.Fault
		kind    error
		outcome enlace.Outcome
	}{
		{"refused", bitrix24test.Fault{Kind: bitrix24test.Refuse, Code: "CRM_FIELD_ERROR_VALUE_NOT_VALID", Description: "Invalid value"}, enlace.ErrInvalid, enlace.OutcomeRan},
		{"denied", bitrix24test.Fault{Kind: bitrix24test.Refuse, Code: "ACCESS_DENIED"}, enlace.ErrForbidden, enlace.OutcomeNotRun},
		{"without a code", bitrix24test.Fault{Kind: bitrix24test.Refuse, Description: "Access denied."}, enlace.ErrForbidden, enlace.OutcomeRan},
		{"crashed", bitrix24test.Fault{Kind: bitrix24test.Refuse, Code: "INTERNAL_SERVER_ERROR"}, enlace.ErrUnavailable, enlace.OutcomeUnknown},
		{"rate limited", bitrix24test.Fault{Kind: bitrix24test.RateLimited}, enlace.ErrRateLimited, enlace.OutcomeNotRun},
		{"blocked", bitrix24test.Fault{Kind: bitrix24test.OperatingLimit}, enlace.ErrRateLimited, enlace.OutcomeNotRun},
		{"token expired", bitrix24test.Fault{Kind: bitrix24test.ExpiredToken}, enlace.ErrUnavailable, enlace.OutcomeNotRun},
	} {
		bubble(t, test.name, func(t *testing.T) {
			for at := range n {
				portal := bitrix24test.New(bitrix24test.Options{})
				h := webhookHost(t, portal, nil)
				test.fault.Method, test.fault.After = "crm.item.add", at
				test.fault.Status = 400
				portal.Fault(test.fault)
				results, err := h.pushBatch(creates(n, false))
				if err != nil {
					t.Fatalf("at %d: %v", at, err)
				}
				for i, r := range results {
					e, _ := errors.AsType[*enlace.Error](r.Err)
					switch {
					case i != at && (r.Err != nil || r.Ack.ID == ""):
						t.Errorf("at %d: mutation %d: %+v", at, i, r)
					case i == at && (e == nil || !errors.Is(r.Err, test.kind) || e.Outcome != test.outcome || r.Ack.ID != "" || e.Op != "crm.item.add"):
						t.Errorf("at %d: %+v, %v", at, r.Ack, r.Err)
					}
				}
				if names := h.names(); len(names) != n-1 || slices.Contains(names, fmt.Sprint("n", at)) {
					t.Errorf("at %d: %v", at, names)
				}
			}
		})
	}
}

// TestBatchWhoseAnswerIsLost: nothing is created twice, what may have run is said to,
// and what was not sent is said to be so.
func TestBatchWhoseAnswerIsLost(t *testing.T) {
	const n = 30 // a batch of 10 and one of 20
	for _, kind := range []bitrix24test.FaultKind{bitrix24test.HTML500, bitrix24test.HTML200, bitrix24test.Hang, bitrix24test.Reset, bitrix24test.TruncatedJSON, bitrix24test.BrokenBody} {
		for _, keyed := range []bool{true, false} {
			for lost := range 2 {
				bubble(t, fmt.Sprintf("%s, batch %d, keyed %v", faultNames[kind], lost+1, keyed), func(t *testing.T) {
					portal := bitrix24test.New(bitrix24test.Options{})
					h := webhookHost(t, portal, map[string]string{"retryAttempts": "3"})
					after := lost
					if keyed {
						after++ // the first one searches
					}
					portal.Fault(bitrix24test.Fault{Method: "batch", Kind: kind, After: after})
					ms := creates(n, keyed)
					results, err := h.pushBatch(ms)
					if err != nil {
						t.Fatal(err)
					}
					there := h.names()
					for i, r := range results {
						name, ran := fmt.Sprint("n", i), false
						ran = slices.Contains(there, name)
						e, _ := errors.AsType[*enlace.Error](r.Err)
						switch {
						case r.Err == nil && (!ran || !r.Ack.Created):
							t.Errorf("%s has an ack and is not there", name)
						case r.Err != nil && ran && e.Outcome != enlace.OutcomeUnknown:
							t.Errorf("%s is there and reported as %v", name, e.Outcome)
						case r.Err != nil && ran && keyed:
							t.Errorf("%s is there and was not found again", name)
						case r.Err != nil && lost == 0 && i >= 10 && e.Outcome != enlace.OutcomeNotRun:
							t.Errorf("%s was not sent and reported as %v", name, e.Outcome)
						}
					}
					if slices.Sort(there); len(slices.Compact(there)) != len(there) {
						t.Errorf("twice: %v", there)
					}
					if keyed { // the whole batch again, as a later run would
						results, err := h.pushBatch(ms)
						if err != nil || slices.ContainsFunc(results, func(r enlace.PushResult) bool { return r.Err != nil }) {
							t.Fatal(results, err)
						}
						if got := h.names(); len(got) != n {
							t.Errorf("%d contacts", len(got))
						}
					}
					h.showsNoSecret(secretOf(portal))
				})
			}
		}
	}
}

// TestBatchFailsAsAWhole: nothing was tried, so the error is the batch's.
func TestBatchFailsAsAWhole(t *testing.T) {
	for name, kind := range map[string]error{`{"error":"INVALID_CREDENTIALS"}`: enlace.ErrAuth, `{"error":"QUERY_LIMIT_EXCEEDED"}`: enlace.ErrRateLimited} {
		in(t, bitrix24test.Options{}, nil, func(h *host) {
			h.answer(401, name)
			for _, keyed := range []bool{true, false} {
				results, err := h.pushBatch(creates(20, keyed))
				if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, kind) || e.Outcome != enlace.OutcomeNotRun || results != nil {
					h.t.Errorf("keyed %v: %v, %v", keyed, results, err)
				}
			}
		})
	}
}

// TestAnswersThatLeaveCommandsOut: a command that an answer does not mention may have run.
func TestAnswersThatLeaveCommandsOut(t *testing.T) {
	for _, answer := range []string{
		`{"result":{"result":{"p00":{"item":{"id":1}}},"result_error":[],"result_time":[]},"time":{}}`,
		`{"result":{"result":{"p00":{"item":{"id":1}},"p01":true},"result_error":[],"result_time":[]},"time":{}}`,
		`{"result":{"result":{"p00":{"item":{"id":1}},"p01":{"item":{}}}}}`,
		`{"result":{"result":{"p00":{"item":{"id":1}}},"result_error":{"p77":"x"}}}`,
	} {
		in(t, bitrix24test.Options{}, nil, func(h *host) {
			h.answer(200, answer)
			results, err := h.pushBatch(creates(2, false))
			if err != nil || results[0].Ack.ID != "1" {
				h.t.Fatal(results, err)
			}
			if e, ok := errors.AsType[*enlace.Error](results[1].Err); !ok || !errors.Is(e, enlace.ErrProtocol) || e.Outcome != enlace.OutcomeUnknown {
				h.t.Errorf("%s: %v", answer, results[1].Err)
			}
		})
	}
	for _, answer := range []string{`{"result":[],"time":{}}`, `{"result":true}`, `{}`, `{"time":{}}`} {
		in(t, bitrix24test.Options{}, nil, func(h *host) {
			h.answer(200, answer)
			results, err := h.pushBatch(creates(2, false))
			if err != nil {
				h.t.Fatal(err)
			}
			for _, r := range results {
				if e, ok := errors.AsType[*enlace.Error](r.Err); !ok || !errors.Is(e, enlace.ErrProtocol) || e.Outcome != enlace.OutcomeUnknown {
					h.t.Errorf("%s: %v", answer, r.Err)
				}
			}
			if _, err := h.push(creates(1, false)[0]); outcome(err) != enlace.OutcomeUnknown {
				h.t.Errorf("%s: %v", answer, err)
			}
		})
	}
}

func outcome(err error) enlace.Outcome {
	e, ok := errors.AsType[*enlace.Error](err)
	if !ok {
		return 99
	}
	return e.Outcome
}

// TestWhatABatchCannotCarry goes by itself: null, empty lists, and what the portal would
// take for a reference to another command (sheet 4.1, 4.3).
func TestWhatABatchCannotCarry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		h := webhookHost(t, portal, nil)
		w := &wire{base: portal.Transport()}
		h.config.Transport = w
		h.restart()
		id := strconv.FormatInt(portal.Put(bitrix24test.Contact, map[string]any{"name": "x", "post": "p"}), 10)
		nasty := "$result[p00][item][id] & = ? % + # ü [x] \"\\"
		long := map[string]any{}
		for i := range 1000 {
			long[fmt.Sprint("unknown", i)] = i
		}
		long["name"] = "long"
		ms := []enlace.Mutation{
			{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "plain & = ? % + # ü [x] \"\\", "opened": true}},
			{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": nasty}},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: id, Data: map[string]any{"name": "y", "post": nil}},
			{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "nested", "unknown": map[string]any{"a": []any{}, "b": nil}}},
			{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "bracket", "un]known": "x", "x": map[string]any{"[": 1}}},
			{Entity: "contacts", Op: enlace.OpCreate, Data: long},
			{Entity: "contacts", Op: enlace.OpCreate, Data: map[string]any{"name": "last", "companyIds": []int{1, 2}}},
		}
		results, err := h.pushBatch(ms)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Err != nil {
				t.Fatal(i, r.Err)
			}
			want := fmt.Sprint(ms[i].Data.(map[string]any)["name"])
			if got := h.get("contacts", r.Ack.ID); got["name"] != want || (i == 2 && got["post"] != nil) {
				t.Errorf("%d is %v, want %s", i, got, want)
			}
		}
		direct := 0
		for _, s := range w.sent {
			if strings.HasSuffix(s.url, "crm.item.add") {
				direct++
			}
			var body struct{ Cmd map[string]string }
			if err := json.Unmarshal([]byte(s.body), &body); err != nil {
				t.Fatal(err)
			}
			for _, line := range body.Cmd {
				if strings.Contains(line, "result") {
					t.Errorf("a reference in %s", line)
				}
			}
		}
		if direct != 4 {
			t.Errorf("%d creates by themselves, want 4", direct)
		}
	})
}

// TestOrderOfOneRecord: what concerns one record is carried out in order.
func TestOrderOfOneRecord(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		h.portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 3})
		fm := func(mail string) []any { return []any{map[string]any{"typeId": "EMAIL", "value": mail}} }
		results, err := h.pushBatch([]enlace.Mutation{
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"name": "first", "post": nil}},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"name": "second"}},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"name": "third", "secondName": nil}},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "2", Data: map[string]any{"name": "doomed"}},
			{Entity: "contacts", Op: enlace.OpDelete, ID: "2"},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "2", Data: map[string]any{"name": "too late"}},
			{Entity: "contacts", Op: enlace.OpUpsert, Data: map[string]any{"name": "u1", "fm": fm("u@example.org")}},
			{Entity: "contacts", Op: enlace.OpUpsert, Data: map[string]any{"name": "u2", "fm": fm("U@example.org")}},
			{Entity: "contacts", Op: enlace.OpCreate, Key: "k", Data: map[string]any{"name": "c1"}},
			{Entity: "contacts", Op: enlace.OpCreate, Key: "k", Data: map[string]any{"name": "c2"}},
			{Entity: "contacts", Op: enlace.OpUpsert, Key: "k", Data: map[string]any{"name": "c3", "fm": fm("c@example.org")}},
			{Entity: "contacts", Op: enlace.OpUpsert, Data: map[string]any{"name": "c4", "fm": fm("c@example.org")}},
		})
		if err != nil {
			h.t.Fatal(err)
		}
		for i, r := range results {
			if wrong := i == 5; (r.Err != nil) != wrong || wrong && !errors.Is(r.Err, enlace.ErrNotFound) {
				h.t.Errorf("%d: %v", i, r.Err)
			}
		}
		if !results[6].Ack.Created || results[7].Ack.Created || results[6].Ack.ID != results[7].Ack.ID {
			h.t.Errorf("%+v, %+v", results[6], results[7])
		}
		if results[8].Ack.ID != results[9].Ack.ID || results[8].Ack.ID != results[10].Ack.ID || results[8].Ack.ID != results[11].Ack.ID {
			h.t.Errorf("%+v", results[8:])
		}
		for id, want := range map[string]string{"1": "third", results[6].Ack.ID: "u2", results[8].Ack.ID: "c4"} {
			if got := h.get("contacts", id)["name"]; got != want {
				h.t.Errorf("%s is %v, want %s", id, got, want)
			}
		}
	})
}

// TestTwoWaysToOneRecord: two upserts by different addresses that turn out to be of the
// same contact do not write over each other in one batch.
func TestTwoWaysToOneRecord(t *testing.T) {
	in(t, bitrix24test.Options{}, nil, func(h *host) {
		h.portal.Put(bitrix24test.Contact, map[string]any{"name": "x", "fm": []bitrix24test.Multifield{{TypeID: "EMAIL", Value: "a@example.org"}, {TypeID: "EMAIL", Value: "b@example.org"}}})
		results, err := h.pushBatch([]enlace.Mutation{
			{Entity: "contacts", Op: enlace.OpUpsert, Data: map[string]any{"name": "1", "fm": []any{map[string]any{"typeId": "EMAIL", "value": "a@example.org"}, map[string]any{"typeId": "PHONE", "value": "+1 1"}}}},
			{Entity: "contacts", Op: enlace.OpUpsert, Data: map[string]any{"name": "2", "fm": []any{map[string]any{"typeId": "EMAIL", "value": "b@example.org"}, map[string]any{"typeId": "WEB", "value": "x.example"}}}},
			{Entity: "contacts", Op: enlace.OpUpdate, ID: "1", Data: map[string]any{"name": "3"}},
		})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil || r.Ack.ID != "1" || r.Ack.Created {
				h.t.Errorf("%+v", r)
			}
		}
		c, err := bitrix24.Get[bitrix24.Contact](h.t.Context(), h.conn(), 1)
		if err != nil || c.Name != "3" || len(c.Multifields) != 4 {
			h.t.Errorf("%+v, %v", c, err)
		}
	})
}

// TestBatchesFitTheirTime: writes that take long come in small batches, and none runs
// into the portal's end of a request.
func TestBatchesFitTheirTime(t *testing.T) {
	for _, each := range []time.Duration{0, 200 * time.Millisecond, 2 * time.Second} {
		bubble(t, each.String(), func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{UserFields: noUserFields, ServerTime: func(method string) time.Duration {
				if method == "crm.item.add" {
					return each
				}
				return 0
			}})
			h := webhookHost(t, portal, nil)
			results, err := h.pushBatch(creates(50, true))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
			most := 3
			if each > time.Second {
				most = 7
			}
			if n := portal.Stats().Methods["batch"].Requests; n > most {
				t.Errorf("%d batches, want at most %d", n, most)
			}
		})
	}
}

// TestLongBatchesAreParted keeps the bodies below a megabyte (sheet 3.3).
func TestLongBatchesAreParted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		h := webhookHost(t, portal, nil)
		w := &wire{base: portal.Transport()}
		h.config.Transport = w
		h.restart()
		ms := creates(40, false)
		for i := range ms {
			ms[i].Data.(map[string]any)["comments"] = strings.Repeat("x", 100_000)
		}
		results, err := h.pushBatch(ms)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		for _, s := range w.sent {
			if len(s.body) > 1<<20 {
				t.Errorf("a body of %d bytes", len(s.body))
			}
		}
	})
}

// TestOperatingLimitOfWrites uses up the run time of crm.item.add, by this program and by
// another one. Nothing is refused for what this program knew, and what another used is
// waited for.
func TestOperatingLimitOfWrites(t *testing.T) {
	for name, quirks := range map[string]bitrix24test.Quirks{"by method": {}, "by batch": {BillBatch: true}} {
		bubble(t, name, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{UserFields: noUserFields, Limits: bitrix24test.CloudLimits(), Quirks: quirks,
				ServerTime: func(method string) time.Duration {
					if method == "crm.item.add" {
						return 800 * time.Millisecond
					}
					return 0
				}})
			h := webhookHost(t, portal, nil)
			started, made := time.Now(), 0
			for round := range 30 { // 30 × 40 s, of 480 s in ten minutes
				results, err := h.pushBatch(creates(50, false))
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				for _, r := range results {
					if r.Err != nil {
						t.Fatalf("round %d, after %v: %v", round, time.Since(started), r.Err)
					}
					made++
				}
			}
			if refused := portal.Stats().Refused; refused != 0 || made != 1500 {
				t.Errorf("%d refused, %d made", refused, made)
			}
			if took := time.Since(started); took > 35*time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}
