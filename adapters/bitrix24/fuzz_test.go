package bitrix24

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

const seedPage = `{"result":{"items":[{"id":1,"updatedTime":"2026-05-29T10:00:00+02:00"},{"id":9007199254740993,"fm":[{"id":2}]}]},` +
	`"total":2,"next":50,"time":{"date_start":"2026-05-29T10:00:00+02:00","duration":0.3,"operating":1.5,"operating_reset_at":1780000600}}`

const seedBatch = `{"result":{"result":{"p0":{"items":[{"id":1}]},"p2":{"items":[]}},` +
	`"result_error":{"p1":{"error":"NOT_FOUND","error_description":"Element not found"}},"result_total":{"p0":0},"result_next":[],` +
	`"result_time":{"p0":{"duration":0.3,"operating":0.3}}},"time":{"duration":1}}`

func FuzzClassify(f *testing.F) {
	for _, body := range []string{"", " ", "{}", "<html>", seedPage, seedBatch, seedPage[:60], `{"error":"expired_token"}`,
		`{"error":"","error_description":"Not found"}`, `{"error":100}`, `{"error":null}`, `{"error":{}}`, `{"result":1,"error":"X"}`, `{"error"`} {
		for _, status := range []int{200, 302, 400, 401, 404, 429, 500, 503} {
			f.Add(status, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := Adapter{}.Classify(status, http.Header{}, body)
		if err == nil {
			if status >= 300 {
				t.Fatalf("status %d passes for a success", status)
			}
			return
		}
		if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Kind == nil || e.Status != status {
			t.Fatalf("%#v", err)
		}
	})
}

func FuzzParseList(f *testing.F) {
	for _, body := range []string{"", "{}", seedPage, seedPage[:60], `{"result":[]}`, `{"result":{"items":null}}`, `{"result":{"items":[{}]}}`,
		`{"result":{"items":[{"id":"7"},{"id":1.5}]},"total":"x","time":[]}`, `{"result":{"items":[]},"result":{"items":[{"id":1}]}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := parseList(body, "contacts")
		if err != nil {
			if !errors.Is(err, enlace.ErrProtocol) {
				t.Fatalf("%v", err)
			}
			return
		}
		if rawjson.Valid(body) != nil {
			t.Fatal("accepted what is not JSON")
		}
		checkPage(t, page)
	})
}

func FuzzParseBatch(f *testing.F) {
	for _, body := range []string{"", "{}", seedBatch, seedBatch[:90], `{"result":[]}`, `{"result":{"result":[{"items":[]}]}}`,
		`{"result":{"result":{"p0":[],"p1":[],"p-1":[],"p99":[],"p":[]},"result_error":{"p2":"X"},"result_time":{"p0":7}}}`,
		`{"result":{"result":{"p0":null}}}`} {
		f.Add([]byte(body), uint8(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, commands uint8) {
		pages, err := parseBatch(body, "contacts", int(commands))
		if err != nil {
			if !errors.Is(err, enlace.ErrProtocol) {
				t.Fatalf("%v", err)
			}
			return
		}
		if len(pages) != int(commands) {
			t.Fatalf("%d pages for %d commands", len(pages), commands)
		}
		for _, page := range pages {
			checkPage(t, page)
			if e, ok := errors.AsType[*enlace.Error](page.err); page.err != nil && (!ok || e.Kind == nil) {
				t.Fatalf("%#v", page.err)
			}
		}
	})
}

func checkPage(t *testing.T, page listPage) {
	t.Helper()
	if page.timing.duration < 0 || page.timing.operating < 0 {
		t.Fatalf("%+v", page.timing)
	}
	for _, r := range page.records {
		if r.Entity != "contacts" || rawjson.Valid(r.Data) != nil {
			t.Fatalf("%+v", r)
		}
	}
	_ = greatestID(page)
	if checkRange(page, idRange{}) == nil && len(page.records) > 0 {
		if id, err := parseID(page.records[len(page.records)-1].ID); err != nil || id != page.last || id <= 0 {
			t.Fatalf("last %d of %v", page.last, page.records)
		}
	}
}

// FuzzCursor plans a walk from whatever stands in a stored cursor. The plan must
// be bounded and hold each pending id once.
func FuzzCursor(f *testing.F) {
	for _, text := range []string{"", "{}", "garbage", `{"v":1,"mark":"2026-05-29T10:00:00+02:00"}`, `{"v":1,"pending":[{"after":50}],"began":"x"}`,
		`{"v":1,"density":1,"pending":[{"after":50,"to":9223372036854775807}]}`,
		`{"v":1,"density":1e-300,"pending":[{"after":0,"to":10},{"after":10,"to":20},{"after":9000000000000000000,"to":9223372036854775807}]}`,
		`{"v":1,"density":0.9,"pending":[{"after":0,"to":2000000}]}`, `{"v":1,"density":0.8,"since":"x","total":-1,"pending":[{"after":7,"to":1000000}]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pos, err := parseCursor(enlace.Cursor(text))
		if err != nil {
			if !errors.Is(err, enlace.ErrCursorExpired) {
				t.Fatalf("%v", err)
			}
			return
		}
		if again, err := json.Marshal(pos); err != nil {
			t.Fatal(err)
		} else if _, err := parseCursor(enlace.Cursor(again)); err != nil {
			t.Fatalf("what was accepted is not when it is written again: %s", again)
		}
		if pos.Density == 0 {
			return
		}
		checkPlan(t, pos)
	})
}

func checkPlan(t *testing.T, pos cursor) {
	t.Helper()
	w := &walk{pos: pos}
	ranges := w.split()
	if len(ranges) > maxRanges+len(pos.Pending) {
		t.Fatalf("%d ranges planned", len(ranges))
	}
	left := pos.Pending
	for _, r := range ranges {
		if len(left) == 0 || r.After != left[0].After || r.To <= r.After || r.To > left[0].To {
			t.Fatalf("%v is planned where %v is pending", r, left)
		}
		if r.To == left[0].To {
			left = left[1:]
			continue
		}
		left = append([]idRange{{r.To, left[0].To}}, left[1:]...)
		if pos.Pending = nil; len(left) > 1000 {
			return // copying would take too long
		}
	}
	if len(left) > 0 {
		t.Fatalf("%v is pending and not planned", left)
	}
}

// FuzzSplitDense cuts the rest of a full range.
func FuzzSplitDense(f *testing.F) {
	f.Add(int64(50), int64(math.MaxInt64), 1.0)
	f.Add(int64(0), int64(51), 1e-18)
	f.Fuzz(func(t *testing.T, after, to int64, items float64) {
		if after < 0 || to <= after || !(items > 0 && items <= 1) {
			t.Skip()
		}
		ranges := splitDense(idRange{after, to}, items)
		if len(ranges) > 64 {
			t.Fatalf("%d ranges", len(ranges))
		}
		for _, r := range ranges {
			if r.After != after || r.To <= r.After {
				t.Fatalf("%v", ranges)
			}
			after = r.To
		}
		if after != to {
			t.Fatalf("ends at %d, want %d", after, to)
		}
	})
}

func TestLargePlansWasteNoCommands(t *testing.T) {
	for _, test := range []struct {
		ids     int64
		density float64
		width   int64
	}{
		{1_000_000, 1, 50}, {1_249_999, 1, 50}, {10_000_000, 1, 800}, {1_000_000, 0.5, 85}, {math.MaxInt64, 1, 50 << 43},
	} {
		w := &walk{pos: cursor{Density: test.density, Pending: []idRange{{0, test.ids}}}}
		ranges := w.split()
		if got := ranges[0].To; got != test.width || len(ranges) > maxRanges {
			t.Errorf("%d ids at %v: %d ranges of %d, want %d wide", test.ids, test.density, len(ranges), got, test.width)
		}
	}
}

// FuzzParseWebhook gives the parsers of deliveries any body (sheet 6.3).
func FuzzParseWebhook(f *testing.F) {
	for _, body := range []string{"", "event=ONCRMCONTACTUPDATE&data[FIELDS][ID]=11&ts=1780000500&auth[application_token]=t&auth[member_id]=m&auth[domain]=d&auth[expires_in]=3600",
		"event=ONCRMDYNAMICITEMADD&data[FIELDS][ID]=7&data[FIELDS][ENTITY_TYPE_ID]=128", "event=ONCRMDYNAMICITEMDELETE_128&data[FIELDS][ID]=7", "event=a&event=b",
		"event=ONAPPINSTALL&auth[domain]=d&auth[member_id]=m&auth[access_token]=a&auth[expires]=9999999999999999999&ts=-1", "event=ONCRM_&data[]=&data[[]]=x", "%", "a;b",
		"AUTH_ID=a&member_id=m&AUTH_EXPIRES=3600&SERVER_ENDPOINT=https://oauth.bitrix.info/rest/", `{"event":"A"}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Adapter{}.ParseWebhook(t.Context(), enlace.Delivery{Body: body})
		if err != nil && !errors.Is(err, enlace.ErrProtocol) {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Type == "" || e.Record.Deleted || e.Record.Data != nil || (e.Record.Entity == "") != (e.Record.ID == "") {
				t.Fatalf("%+v", e)
			}
			if e.Record.Entity != "" {
				if _, err := kindOf("test", e.Record.Entity); err != nil || checkID("test", e.Record.ID) != nil {
					t.Fatalf("%+v names no record of ours", e.Record)
				}
			}
		}
		in, err := ParseInstall(url.Values{"DOMAIN": {"acme.bitrix24.com"}}, body)
		if err == nil && (in.MemberID == "" || in.Portal == "" || in.AccessToken.IsZero()) || err != nil && !errors.Is(err, enlace.ErrProtocol) {
			t.Fatalf("%+v, %v", in, err)
		}
		secret := []enlace.Secret{enlace.NewSecret("never in the corpus: 7d1f")}
		if (Adapter{}).Verifier().Verify(enlace.Delivery{Body: body}, secret) == nil {
			t.Fatal("proved")
		}
	})
}

// FuzzCommandLine: what a batch carries is what was meant, or it is not carried.
func FuzzCommandLine(f *testing.F) {
	for _, params := range []string{`{"a":"x & = ? % + # ü","b":[1,2.5,true],"c":{"d":{"e":"1"}}}`, `{"a":null}`, `{"a":[]}`, `{"a":"$result[p0]"}`, `{"[":1}`, `{"a":{"]":1}}`, `{"":""}`} {
		f.Add([]byte(params))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var params map[string]any
		if json.Unmarshal(data, &params) != nil {
			return
		}
		line, ok := command{method: "crm.item.add", params: params}.line()
		if !ok {
			return
		}
		method, query, _ := strings.Cut(line, "?")
		values, err := url.ParseQuery(query)
		if method != "crm.item.add" || err != nil || strings.Contains(query, "$result") {
			t.Fatalf("%q: %v", line, err)
		}
		leaves := 0
		var walk func(name string, value any)
		walk = func(name string, value any) {
			switch value := value.(type) {
			case map[string]any:
				for key, v := range value {
					walk(name+"["+key+"]", v)
				}
			case []any:
				for i, v := range value {
					walk(fmt.Sprintf("%s[%d]", name, i), v)
				}
			case string:
				leaves++
				if !slices.Contains(values[name], strings.ToValidUTF8(value, "\ufffd")) {
					t.Fatalf("%s is %q, not %q", name, values[name], value)
				}
			default:
				leaves++
				if len(values[name]) == 0 {
					t.Fatalf("%s is missing in %q", name, line)
				}
			}
		}
		for name, value := range params {
			walk(name, value)
		}
		sent := 0
		for _, list := range values {
			sent += len(list)
		}
		if sent != leaves {
			t.Fatalf("%d values became %d: %q", leaves, sent, line)
		}
	})
}
