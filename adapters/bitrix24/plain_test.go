package bitrix24_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/google/go-cmp/cmp"
)

// wire keeps the requests that were sent.
type wire struct {
	base http.RoundTripper
	mu   sync.Mutex
	sent []sent
}

type sent struct{ verb, url, contentType, body string }

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.sent = append(w.sent, sent{r.Method, r.URL.String(), r.Header.Get("Content-Type"), string(body)})
	w.mu.Unlock()
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return w.base.RoundTrip(r)
}

// TestWhatIsSentPageByPage looks at the requests of a plain walk (sheet 3.4, T03).
func TestWhatIsSentPageByPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 120})
		h := oauthHost(t, portal, map[string]string{"lanes": "1"})
		w := &wire{base: portal.Transport()}
		h.config.Transport = w
		h.restart()
		h.syncAll(newInbox(), enlace.SyncOptions{})
		if len(w.sent) != 3 {
			t.Fatalf("%d requests for three pages", len(w.sent))
		}
		for i, after := range []float64{0, 50, 100} {
			s := w.sent[i]
			if s.verb != "POST" || s.url != "https://acme.bitrix24.com/rest/crm.item.list" || s.contentType != "application/json" {
				t.Errorf("sent %s %s, %s", s.verb, s.url, s.contentType)
			}
			var body map[string]any
			if err := json.Unmarshal([]byte(s.body), &body); err != nil {
				t.Fatal(err)
			}
			if token, _ := body["auth"].(string); token == "" || strings.Count(s.body, token) != 1 {
				t.Error("the token does not stand once in the body")
			}
			delete(body, "auth")
			want := map[string]any{"entityTypeId": 3.0, "start": -1.0, "useOriginalUfNames": "Y",
				"order": map[string]any{"id": "ASC"}, "filter": map[string]any{">id": after}}
			if diff := cmp.Diff(want, body); diff != "" {
				t.Errorf("request %d (-want +sent):\n%s", i, diff)
			}
		}
	})
}

// TestWhatIsSentInBatches looks at the requests of a parallel walk (sheet 4.1).
func TestWhatIsSentInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1_000})
		h := oauthHost(t, portal, map[string]string{"lanes": "2"})
		w := &wire{base: portal.Transport()}
		h.config.Transport = w
		h.restart()
		h.syncAll(newInbox(), enlace.SyncOptions{})
		batches := 0
		for _, s := range w.sent {
			if s.verb != "POST" || strings.ContainsAny(s.url, "?#") {
				t.Errorf("sent %s %s", s.verb, s.url)
			}
			if !strings.HasSuffix(s.url, "/batch") {
				continue
			}
			batches++
			var body struct {
				Auth string
				Halt int
				Cmd  map[string]string
			}
			if err := json.Unmarshal([]byte(s.body), &body); err != nil {
				t.Fatal(err)
			}
			if body.Halt != 0 || len(body.Cmd) == 0 || len(body.Cmd) > 50 || strings.Count(s.body, body.Auth) != 1 {
				t.Errorf("batch %.200s…", s.body)
			}
			for name, command := range body.Cmd {
				method, query, _ := strings.Cut(command, "?")
				q, err := url.ParseQuery(query)
				if name[0] != 'p' || method != "crm.item.list" || err != nil {
					t.Fatalf("command %s is %s (%v)", name, command, err)
				}
				after, to := q.Get("filter[>id]"), q.Get("filter[<=id]")
				want := url.Values{"entityTypeId": {"3"}, "start": {"-1"}, "useOriginalUfNames": {"Y"}, "order[id]": {"ASC"},
					"filter[>id]": {after}, "filter[<=id]": {to}}
				if diff := cmp.Diff(want, q); diff != "" || after == "" || to == "" {
					t.Errorf("command (-want +sent):\n%s", diff)
				}
			}
		}
		if batches < 2 {
			t.Errorf("%d batches", batches)
		}
	})
}

func TestLimit(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		for _, limit := range []int{1, 49, 50, 51, 120} {
			bubble(t, fmt.Sprintf("%d, lanes %s", limit, lanes), func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{})
				ids := layout{seeds: []bitrix24test.Seed{{Count: 130, Stride: 3}}}.fill(portal)
				h := webhookHost(t, portal, map[string]string{"lanes": lanes})
				records, _, err := h.pull(enlace.PullRequest{Limit: limit}, 0)
				if err != nil || len(records) != limit {
					t.Fatalf("%d records, %v", len(records), err)
				}
				into := newInbox()
				for left := len(ids); ; left -= limit {
					result, err := h.sync(into, enlace.SyncOptions{Limit: limit})
					if err != nil {
						t.Fatal(err)
					}
					if got := result.Entities["contacts"].Read; got != min(limit, left) {
						t.Fatalf("read %d with a limit of %d and %d left", got, limit, left)
					}
					if result.Complete {
						break
					}
				}
				into.wantOnce(t, ids)
			})
		}
	}
}

func TestSinglePagesCanBeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		ids := layout{seeds: []bitrix24test.Seed{{Count: 130}}}.fill(portal)
		h := webhookHost(t, portal, nil)
		var records []enlace.Record
		var cursor enlace.Cursor
		for {
			h.restart()
			conn, err := h.service.Conn(t.Context(), h.ref)
			if err != nil {
				t.Fatal(err)
			}
			page, err := bitrix24.Adapter{}.Pull(t.Context(), conn, enlace.PullRequest{Entity: "contacts", Cursor: cursor, Limit: 20})
			if err != nil || len(page.Records) > 20 || page.Next == cursor {
				t.Fatalf("%d records and the cursor %s, %v", len(page.Records), page.Next, err)
			}
			records, cursor = append(records, page.Records...), page.Next
			if page.Done {
				break
			}
		}
		wantIDs(t, records, ids)
	})
}

// TestPortalThatRepeatsAPage ignores the conditions on the id.
func TestPortalThatRepeatsAPage(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		bubble(t, "lanes "+lanes, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{})
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 2_000})
			portal.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: bitrix24test.RepeatPage, After: 2, Times: -1})
			h := webhookHost(t, portal, map[string]string{"lanes": lanes})
			into := newInbox()
			_, err := h.sync(into, enlace.SyncOptions{})
			if !errors.Is(err, enlace.ErrCursorStalled) {
				t.Fatalf("%v", err)
			}
			if len(into.twice) > 0 || portal.Stats().Requests > 15 {
				t.Errorf("%d records came twice, in %d requests", len(into.twice), portal.Stats().Requests)
			}
			portal.ClearFaults()
			h.syncAll(into, enlace.SyncOptions{})
			if len(into.records) != 2_000 || len(into.twice) > 0 {
				t.Errorf("%d records, %d of them twice", len(into.records), len(into.twice))
			}
		})
	}
}

// TestAnswersThatAreNoList must not pass for empty lists.
func TestAnswersThatAreNoList(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		for _, result := range []string{`null`, `true`, `"x"`, `{}`, `{"items":null}`, `{"items":{}}`, `[{"ID":"1"}]`, `{"items":[1]}`,
			`{"items":[{"name":"without id"}]}`, `{"items":[{"id":null}]}`, `{"items":[{"id":1.5}]}`, `{"items":[{"id":"x"}]}`} {
			bubble(t, result+", lanes "+lanes, func(t *testing.T) {
				portal := bitrix24test.New(bitrix24test.Options{})
				h := webhookHost(t, portal, map[string]string{"lanes": lanes})
				h.answer(200, `{"result":`+result+`,"total":0,"time":{"date_start":"2026-05-29T10:00:00+02:00"}}`)
				_, err := h.sync(newInbox(), enlace.SyncOptions{})
				if !errors.Is(err, enlace.ErrProtocol) {
					t.Errorf("%v", err)
				}
			})
		}
		bubble(t, "without result, lanes "+lanes, func(t *testing.T) {
			h := webhookHost(t, bitrix24test.New(bitrix24test.Options{}), map[string]string{"lanes": lanes})
			h.answer(200, `{"time":{}}`)
			if _, err := h.sync(newInbox(), enlace.SyncOptions{}); !errors.Is(err, enlace.ErrProtocol) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, result := range []string{`[]`, `{"items":[]}`} {
		bubble(t, "the empty list "+result, func(t *testing.T) {
			h := webhookHost(t, bitrix24test.New(bitrix24test.Options{}), nil)
			h.answer(200, `{"result":`+result+`}`)
			h.syncAll(newInbox(), enlace.SyncOptions{})
		})
	}
}

// TestBatchAnswersThatMissACommand are asked for again, and at last page by page.
func TestBatchAnswersThatMissACommand(t *testing.T) {
	for name, edit := range map[string]func(string) string{
		"missing":              func(s string) string { return strings.ReplaceAll(s, `"p3":{"items"`, `"q3":{"items"`) },
		"null":                 func(s string) string { return strings.ReplaceAll(s, `"p3":{"items":`, `"p3":null,"q3":{"items":`) },
		"list":                 func(string) string { return `{"result":{"result":[{"items":[]}],"result_error":[]}}` },
		"text error":           func(string) string { return `{"result":{"result":[],"result_error":{"p0":"INTERNAL_SERVER_ERROR"}}}` },
		"no result":            func(string) string { return `{"result":[]}` },
		"cut behind a bracket": func(s string) string { return s[:strings.LastIndexByte(s[:len(s)-2], '}')+1] },
	} {
		bubble(t, name, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{})
			ids := layout{seeds: []bitrix24test.Seed{{Count: 900}}}.fill(portal)
			h := webhookHost(t, portal, nil)
			h.config.Transport = editAnswers(portal, func(method string, body []byte) []byte {
				if method == "batch" {
					return []byte(edit(string(body)))
				}
				return body
			})
			h.restart()
			into := newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, ids)
		})
	}
}

func TestCursorsThatAreNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{})
		ids := layout{seeds: []bitrix24test.Seed{{Count: 130}}}.fill(portal)
		h := webhookHost(t, portal, nil)
		for _, cursor := range []enlace.Cursor{"garbage", "{}", "null", `{"v":2,"mark":"2026-01-01T00:00:00Z"}`, `{"v":1}`, `{"v":1,"mark":"yesterday"}`,
			`{"v":1,"pending":[{"after":-1}]}`, `{"v":1,"pending":[{"after":9},{"after":20}]}`, `{"v":1,"pending":[{"after":1,"to":9}]}`,
			`{"v":1,"density":0.5,"pending":[{"after":1}]}`, `{"v":1,"density":0.5,"pending":[{"after":9,"to":9}]}`,
			`{"v":1,"density":0.5,"pending":[{"after":1,"to":9},{"after":8,"to":20}]}`, `{"v":1,"density":-1,"pending":[{"after":1,"to":9}]}`,
			`{"v":1,"density":1e9,"pending":[{"after":1,"to":9}]}`, `{"v":1,"pending":[{"after":99999999999999999999}]}`} {
			if _, _, err := h.pull(enlace.PullRequest{Cursor: cursor}, 0); !errors.Is(err, enlace.ErrCursorExpired) {
				t.Errorf("%s: %v", cursor, err)
			}
			stored, err := h.config.Store.LoadCheckpoint(t.Context(), h.ref, "contacts")
			if err != nil {
				t.Fatal(err)
			}
			stored.Resume, stored.Mark = cursor, cursor
			if err := h.config.Store.SaveCheckpoint(t.Context(), h.ref, "contacts", stored); err != nil {
				t.Fatal(err)
			}
			into := newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, ids)
		}
	})
}
