package zapsign

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

const seedDocument = `{"sandbox":false,"external_id":"ord-42","open_id":101,"token":"11111111-0000-4000-8000-000000000101","name":"Contrato 42",` +
	`"folder_path":"/crm/ord-42/","folder_token":null,"status":"pending","rejected_reason":null,"original_file":"https://zapsign.s3.amazonaws.com/a.pdf?Expires=1770117630",` +
	`"signed_file":null,"extra_docs":[],"deleted":false,"deleted_at":null,"created_at":"2026-02-03T10:20:30.123456Z","last_update_at":"2026-02-03T10:20:30.123470Z",` +
	`"created_by":{"email":"owner@example.com"},"template":null,"signers":[{"token":"22222222-0000-4000-8000-000000000001","status":"new","signed_at":null,"cpf":null}],"answers":[],"metadata":[]`

const seedRows = `{"count":26,"next":"http://sandbox.api.zapsign.com.br/api/v1/docs/?page=2","previous":null,"results":[{"token":"11111111-0000-4000-8000-000000000101",` +
	`"status":"pending","original_file":"https://a","created_at":"2026-02-03T10:20:30Z","last_update_at":null,"deleted":false,"external_id":null,"signers":[{"nome":"Ana Prado","link_para_assinar":"https://x/verificar/2"}]}]}`

func FuzzParseWebhook(f *testing.F) {
	for _, kind := range EventTypes() {
		f.Add([]byte(seedDocument + `,"event_type":"` + kind + `","signer_who_signed":{"token":"t","signed_at":"2026-02-04T09:13:18.5Z"},"sent_at":""}`))
	}
	for _, body := range []string{"", "{}", "[]", "null", `{"event_type":"doc_teleported"}`, `{"event_type":"email_bounce","token":"t","status_code":null}`,
		`{"event_type":"background_check_completed","check_id":"CHK1","score":0.5}`, `{"event_type":"doc_viewed","token":"t","signer_who_viewed":null}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Adapter{}.ParseWebhook(t.Context(), enlace.Delivery{Body: body, ReceivedAt: time.Unix(1, 0)})
		if err != nil {
			if !errors.Is(err, enlace.ErrProtocol) || events != nil {
				t.Fatalf("%v %v", events, err)
			}
			return
		}
		if len(events) != 1 || events[0].Type == "" || events[0].Record.Data != nil || events[0].At.IsZero() || len(events[0].ID) > 64 {
			t.Fatalf("%+v", events)
		}
	})
}

func FuzzClassify(f *testing.F) {
	for _, body := range []string{"", " ", "{}", "[]", "<html>", seedRows, seedRows[:90], `{"detail":"x","code":"token_not_valid"}`, `{"message":"Rate limit exceeded"}`,
		`{"error":"x"}`, `{"success":false,"error_code":"cooldown_period","message":"x"}`, `{"message":"Invalid Input","data":{"a":["b"]}}`,
		`{"non_field_errors":["x"]}`, "Erro: não", `{"detail":{}}`, `{"error_code"`, "\xff"} {
		for _, status := range []int{200, 302, 400, 401, 402, 403, 404, 406, 429, 500, 502, 0, -1, 700} {
			f.Add(status, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := Adapter{}.Classify(status, http.Header{}, body)
		if err == nil {
			if status < 200 || status >= 300 {
				t.Fatalf("status %d passes for a success", status)
			}
			return
		}
		e, ok := errors.AsType[*enlace.Error](err)
		if !ok || e.Kind == nil || e.Status != status || len(e.Message) > maxMessage || len(e.Code) > maxMessage {
			t.Fatalf("%#v", err)
		}
	})
}

func FuzzParseRows(f *testing.F) {
	for _, body := range []string{"", "{}", "[]", seedRows, seedRows[:90], `[{"token":"a"},{"token":"a"},7]`, `{"results":null}`, `{"results":[{}],"count":"x","next":7}`,
		`{"results":[],"results":[{"token":"b","signers":{}}]}`, seedDocument + "}", `{"count":-5,"next":"","results":[{"token":"a","deleted":true}]}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := parseRows(body)
		if err != nil {
			return
		}
		if rawjson.Valid(body) != nil || list.count < 0 {
			t.Fatal("accepted what is no list")
		}
		for _, r := range list.all {
			if r.token == "" || rawjson.Valid(r.raw) != nil || r.raw[0] != '{' {
				t.Fatalf("%+v", r)
			}
		}
		if d, err := parseDetail(body); err == nil && d.token != "" {
			for _, r := range d.signerRecords() {
				if r.ID == "" || (!r.Deleted && rawjson.Valid(r.Data) != nil) {
					t.Fatalf("%s", r.Data)
				}
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	pos := cursor{Version: 1, Phase: phaseNew, Mark: "2026-02-03T10:20:30Z", Since: "2026-02-03T10:15:30Z", Page: 3, Row: "x", Given: 1}
	pos.note("11111111-0000-4000-8000-000000000101", 7, time.Unix(1770000000, 0))
	f.Add(string(pos.page(nil).Next))
	pos.Phase = ""
	f.Add(string(pos.page(nil).Next))
	for _, text := range []string{"", "x", "{}", `{"v":1}`, `{"v":1,"phase":"live"}`, `{"v":1,"mark":"2026-02-03T10:20:30Z","seen":"AA"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pos, err := openCursor(enlace.PullRequest{Cursor: enlace.Cursor(text)}, time.Hour)
		if err != nil {
			if !errors.Is(err, enlace.ErrCursorExpired) {
				t.Fatal(err)
			}
			return
		}
		page := pos.page(nil)
		if text != "" && !page.Done {
			again, err := parseCursor(page.Next)
			if err != nil || again.Phase != pos.Phase || again.Page != pos.Page || !slices.Equal(again.Open, pos.Open) {
				t.Fatalf("%v %q becomes %q", err, text, page.Next)
			}
		}
		if len(pos.Open) > maxTracked+1 || len(pos.Seen) > maxTracked+1 {
			t.Fatal("unbounded")
		}
		for range 6 {
			pos.next()
		}
		if pos.Phase != "" && len(pos.Open) == 0 {
			t.Fatalf("%s does not end", pos.Phase)
		}
	})
}
