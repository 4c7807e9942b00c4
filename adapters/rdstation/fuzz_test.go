package rdstation

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

func FuzzClassify(f *testing.F) {
	for _, body := range []string{"", "{}", "<html>", `{"errors":{"error_type":"X","error_message":"y"}}`, `{"errors":[{"error_type":"X","path":"body.code"}]}`,
		`{"errors":{"tags":[{"error_type":"VALUES_MUST_BE_UNIQUE"}]}}`, `{"errors":{"label":{"pt-BR":[{"error_type":"X"}]},"a":[{}]}}`, `[{"error_type":"X"}]`,
		`{"error":"'lead_limiter' x","max":24,"usage":25,"remaining_time":43067}`, `{"error":"invalid_token","error_description":"x"}`, `{"message":"no Route matched with those values"}`,
		`{"error_type":"X"}`, `{"errors":"x"}`, `{"errors":{"subject":["x"]}}`, `{"errors":` + strings.Repeat("[", 300)} {
		for _, status := range []int{200, 302, 400, 401, 404, 406, 422, 429, 500} {
			f.Add(status, []byte(body), "17")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, after string) {
		err := classify(status, http.Header{"Retry-After-Quotas": {after}, "Retry-After": {after}}, body)
		if err == nil {
			if status < 200 || status >= 300 {
				t.Fatalf("status %d passes for a success", status)
			}
			return
		}
		if errors.Is(err, enlace.ErrDefault) {
			return
		}
		e, ok := errors.AsType[*enlace.Error](err)
		if !ok || e.Kind == nil || e.Status != status || e.Retry < 0 || e.Retry > longestWait {
			t.Fatalf("%#v", err)
		}
		if failure := parseFailure(body); len(failure.problems) > maxProblems {
			t.Fatalf("%d problems", len(failure.problems))
		}
	})
}

func FuzzParseDelivery(f *testing.F) {
	for _, body := range []string{"", "{}", "[]",
		`{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","event_identifier":"orcamento","timestamp":"2025-10-02T08:15:33.000-03:00","event_timestamp":"2025-10-02T08:15:30.120-03:00","contact":{"uuid":"0f9c1f3e"}}`,
		`{"leads":[{"id":"4821","uuid":"0f9c1f3e","last_conversion":{"content":{"identificador":"orcamento"},"created_at":"2025-10-02T08:15:30-03:00"}}]}`,
		`{"event_name":"crm_deal_deleted","document":{"id":"64df7a11113f800186449230"},"event_timestamp":"2025-10-03T12:43:09.000Z","transaction_uuid":"b2daa3cb"}`,
		`{"event_name":"crm_lost_reason_updated","document":{"id":7}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := parseDelivery(body)
		if err != nil {
			if !errors.Is(err, enlace.ErrProtocol) || events != nil {
				t.Fatalf("%v, %v", events, err)
			}
			return
		}
		if len(events) == 0 || len(events) > maxLeads {
			t.Fatalf("%d events", len(events))
		}
		for _, e := range events {
			if e.Type == "" || e.Record.ID == "" || e.Record.Entity == "" || e.Record.Data != nil || rawjson.Valid(e.Payload) != nil {
				t.Fatalf("%+v", e)
			}
		}
	})
}

func FuzzParseList(f *testing.F) {
	for _, body := range []string{"", "[]", "{}", `{"data":[{"id":"a","updated_at":"2025-10-01T12:00:00.000Z"}],"links":{"next":"x"}}`, `{"data":[1],"total":-1,"has_more":true}`,
		`[{"id":1,"upated_at":"x"}]`, `{"data":null,"links":[]}`} {
		f.Add([]byte(body))
	}
	shapes := []shape{{lists: []string{"data"}, id: []string{"id"}, modified: updated}, {id: []string{"id|_id", "updated_at"}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, sh := range shapes {
			l, err := parseList(body, "deals", sh)
			if err != nil {
				if !errors.Is(err, enlace.ErrProtocol) {
					t.Fatalf("%v", err)
				}
				continue
			}
			if rawjson.Valid(body) != nil || l.total < 0 {
				t.Fatalf("accepted: %+v", l)
			}
			for _, r := range l.records {
				if rawjson.Valid(r.Data) != nil || r.Entity != "deals" {
					t.Fatalf("%+v", r)
				}
			}
		}
	})
}

func FuzzCursors(f *testing.F) {
	for _, text := range []string{"", "{}", "x", `{"v":1,"page":3,"skip":7,"total":9,"began":"2025-01-01T00:00:00Z","again":true}`, `{"v":1,"began":"2025-01-01T00:00:00Z"}`,
		`{"v":1,"page":1,"from":"2025-01-01T00:00:00Z","seen":["a"],"parents":["b"]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePosition(enlace.Cursor(text)); err == nil {
			if _, err := parsePosition(p.cursor()); err != nil {
				t.Fatalf("what was accepted is not when it is written again: %s", p.cursor())
			}
		}
		if p, err := parseCRMPosition(enlace.Cursor(text)); err == nil {
			if _, err := parseCRMPosition(p.cursor()); err != nil {
				t.Fatalf("what was accepted is not when it is written again: %s", p.cursor())
			}
		} else if !errors.Is(err, enlace.ErrCursorExpired) {
			t.Fatal(err)
		}
	})
}

// FuzzContact reads whatever a webhook may hold.
func FuzzContact(f *testing.F) {
	f.Add([]byte(`{"uuid":"a","cf_x":4,"funnel":{"fit":"d"},"company":{"name":"x"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var e EventContact
		if e.UnmarshalJSON(body) == nil {
			for name := range e.Custom {
				if !strings.HasPrefix(name, customPrefix) {
					t.Fatalf("%q", name)
				}
			}
		}
	})
}

// TestWindows looks at the pacer's arithmetic: never more than the rate in any period.
func TestWindows(t *testing.T) {
	w := &window{rate: rate{3, time.Minute}}
	now := time.Now()
	var begun []time.Time
	for i := range 20 {
		at := w.free(now)
		w.take(at)
		if begun = append(begun, at); i >= 3 && at.Sub(begun[i-3]) < time.Minute {
			t.Errorf("the %dth begins %v after the one three before", i, at.Sub(begun[i-3]))
		}
	}
	if w.closed = now.Add(time.Hour); w.free(now).Before(w.closed) || w.idle(now) || !w.idle(now.Add(2*time.Hour)) {
		t.Error("a closed window lets something pass, or is forgotten")
	}
}

// TestWindowsAreForgotten, and are bounded in number.
func TestWindowsAreForgotten(t *testing.T) {
	p := &pacer{}
	later := time.Now().Add(time.Hour)
	for i := range maxWindows + 10 {
		lead := string(rune('a'+i%26)) + strings.Repeat("x", i/26%400) + time.Duration(i).String()
		if _, err := p.reserve(enlace.Ref{}, "advanced", []spend{{kind: workflowsKind}, {patchLead, lead}}[1:], later); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.windows) != maxWindows {
		t.Errorf("%d windows", len(p.windows))
	}
	p.sweep(time.Now().Add(48 * time.Hour))
	if len(p.windows) != 0 {
		t.Errorf("%d windows after two days", len(p.windows))
	}
}
