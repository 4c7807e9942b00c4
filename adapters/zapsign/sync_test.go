package zapsign_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

func TestDocumentsAreReadOnceAndThenByChange(t *testing.T) {
	for _, details := range []string{"true", "false"} {
		bubble(t, "details "+details, func(t *testing.T) {
			api := newAPI(zapsigntest.Options{})
			tokens := api.Seed(zapsigntest.Seed{Count: 130, Refusal: true, Created: func(i int) time.Time { return api.Now().AddDate(0, 0, i-400) }})
			h := newHost(t, api, map[string]string{"details": details})
			into := newInbox()
			h.sync(into, enlace.SyncOptions{})
			into.wantIDs(t, tokens...)

			time.Sleep(time.Hour)
			result := h.sync(into, enlace.SyncOptions{})
			into.wantIDs(t)
			if n := result.Entities[zapsign.Documents].Requests; n > 15 {
				t.Errorf("%d requests to find that nothing has changed", n)
			}

			c := h.conn()
			must(0, api.Sign(api.Documents()[3].Signers[0].Token))                                                     // old, signed
			must(0, api.Refuse(api.Documents()[60].Signers[0].Token, "Valor divergente do combinado"))                 // old, refused
			must(0, zapsign.CancelDocument(t.Context(), c, tokens[100], "Pedido cancelado", false))                    // old, cancelled
			must(0, api.Open(api.Documents()[20].Signers[0].Token))                                                    // old, viewed
			must(0, zapsign.UpdateDocument(t.Context(), c, tokens[30], zapsign.DocumentUpdate{Name: "Contrato novo"})) // old, renamed
			must(zapsign.DeleteDocument(t.Context(), c, tokens[40]))                                                   // old, deleted in progress
			created := must(zapsign.CreateDocument(t.Context(), c, contract("Novo", "Ana Prado", "Beto Lima")))
			must(zapsign.AddExtraDocument(t.Context(), c, created.Token, zapsign.ExtraDocumentInput{Name: "Anexo", PDF: pdf}))
			time.Sleep(wait)
			h.sync(into, enlace.SyncOptions{})
			into.wantIDs(t, tokens[3], tokens[60], tokens[100], tokens[20], tokens[30], tokens[40], created.Token)
			if r := into.records["documents/"+tokens[40]]; !r.Deleted || r.Data != nil {
				t.Errorf("no tombstone: %+v", r)
			}
			signed, err := enlace.DecodeRecord[zapsign.Document](into.records["documents/"+tokens[3]])
			if err != nil || signed.State() != zapsign.StateCompleted || into.records["documents/"+tokens[3]].Modified.IsZero() {
				t.Errorf("%v %+v", err, signed)
			}
			h.sync(into, enlace.SyncOptions{})
			for _, again := range into.look() { // within the overlap
				if again != created.Token && again != tokens[40] {
					t.Errorf("%s came again", again)
				}
			}

			must(zapsign.DeleteDocument(t.Context(), c, tokens[3])) // finished, created long ago: is not found by change
			time.Sleep(time.Hour)
			h.sync(into, enlace.SyncOptions{})
			into.wantIDs(t)
			h.sync(into, enlace.SyncOptions{Full: true})
			if got := into.look(); len(got) != 129 { // 130 and the new one, less two deleted
				t.Errorf("a full run reads %d", len(got))
			}
		})
	}
}

func TestDeletionOfFinishedDocuments(t *testing.T) {
	for days, found := range map[string]bool{"90": false, "0": true, "500": true} {
		bubble(t, days, func(t *testing.T) {
			api := newAPI(zapsigntest.Options{})
			tokens := api.Seed(zapsigntest.Seed{Count: 2, Created: func(int) time.Time { return api.Now().AddDate(-1, 0, 0) }})
			for _, d := range api.Documents() {
				must(0, api.Sign(d.Signers[0].Token))
			}
			h := newHost(t, api, map[string]string{"reconcileDays": days})
			into := newInbox()
			h.sync(into, enlace.SyncOptions{})
			into.wantIDs(t, tokens...)
			time.Sleep(time.Hour)
			must(zapsign.DeleteDocument(t.Context(), h.conn(), tokens[1]))
			h.sync(into, enlace.SyncOptions{})
			if found {
				into.wantIDs(t, tokens[1])
			} else {
				into.wantIDs(t)
			}
		})
	}
}

func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		tokens := api.Seed(zapsigntest.Seed{Count: 60, Created: func(i int) time.Time { return api.Now().AddDate(0, 0, i-300) }})
		h := newHost(t, api, nil)
		since := time.Now()
		time.Sleep(time.Hour)
		must(0, api.Sign(api.Documents()[5].Signers[0].Token))
		must(zapsign.DeleteDocument(t.Context(), h.conn(), tokens[6]))
		into := newInbox()
		h.sync(into, enlace.SyncOptions{Since: since})
		into.wantIDs(t, tokens[5], tokens[6])
		time.Sleep(time.Hour)
		must(0, api.Sign(api.Documents()[7].Signers[0].Token))
		h.sync(into, enlace.SyncOptions{})
		into.wantIDs(t, tokens[7])
	})
}

func TestSignersAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		h := newHost(t, api, nil)
		c := h.conn()
		want := map[string]string{}
		for i := range 30 {
			d := must(zapsign.CreateDocument(t.Context(), c, contract(fmt.Sprint("Contrato ", i), "Ana Prado", "Beto Lima", "Caio Reis")))
			for _, s := range d.Signers {
				want[s.Token] = d.Token
			}
		}
		time.Sleep(wait)
		into := newInbox()
		h.sync(into, enlace.SyncOptions{Entities: []string{zapsign.Signers}})
		if got := into.look(); len(got) != len(want) {
			t.Fatalf("%d signers, want %d", len(got), len(want))
		}
		for _, r := range into.records {
			s, err := enlace.DecodeRecord[zapsign.Signer](r)
			if err != nil || s.DocumentToken != want[r.ID] || s.Token != r.ID || s.State() != zapsign.StatePending || !json.Valid(r.Data) {
				t.Fatalf("%v %s", err, r.Data)
			}
		}
		first := api.Documents()[0]
		time.Sleep(time.Hour)
		must(0, api.Sign(first.Signers[1].Token))
		h.sync(into, enlace.SyncOptions{Entities: []string{zapsign.Signers}})
		into.wantIDs(t, first.Signers[0].Token, first.Signers[1].Token, first.Signers[2].Token)
		if s := must(enlace.DecodeRecord[zapsign.Signer](into.records["signers/"+first.Signers[1].Token])); s.State() != zapsign.StateCompleted {
			t.Errorf("%+v", s)
		}
		must(zapsign.DeleteDocument(t.Context(), c, first.Token))
		time.Sleep(wait)
		h.sync(into, enlace.SyncOptions{Entities: []string{zapsign.Signers}})
		for _, s := range first.Signers {
			if !into.records["signers/"+s.Token].Deleted {
				t.Error("a signer of a deleted document is no tombstone")
			}
		}

		// Limit cuts within a document, and the next page goes on there.
		seen := map[string]bool{}
		req := enlace.PullRequest{Entity: zapsign.Signers, Limit: 2}
		for range 200 {
			page, err := zapsign.Adapter{}.Pull(t.Context(), c, req)
			if err != nil || len(page.Records) > 2 {
				t.Fatal(err, len(page.Records))
			}
			for _, r := range page.Records {
				if seen[r.ID] {
					t.Fatalf("%s came twice", r.ID)
				}
				seen[r.ID] = true
			}
			if req.Cursor = page.Next; page.Done {
				break
			}
		}
		if len(seen) != len(want)-3 {
			t.Errorf("%d signers in small pages, want %d", len(seen), len(want)-3)
		}
	})
}

func TestTemplatesAreRead(t *testing.T) {
	for _, details := range []string{"true", "false"} {
		bubble(t, "details "+details, func(t *testing.T) {
			api := newAPI(zapsigntest.Options{})
			h := newHost(t, api, map[string]string{"details": details})
			c := h.conn()
			var tokens []string
			for i := range 45 {
				tokens = append(tokens, must(zapsign.CreateTemplate(t.Context(), c, zapsign.TemplateInput{Name: fmt.Sprint("Modelo ", i), DOCX: docx})).Token)
			}
			into := newInbox()
			for range 2 {
				h.sync(into, enlace.SyncOptions{Entities: []string{zapsign.Templates}})
				into.wantIDs(t, tokens...)
			}
			record, err := enlace.DecodeRecord[zapsign.Template](into.records["templates/"+tokens[0]])
			if err != nil || record.Name != "Modelo 0" || (len(record.Signers) > 0) != (details == "true") {
				t.Errorf("%v %+v", err, record)
			}
			var got []string
			req := enlace.PullRequest{Entity: zapsign.Templates, Limit: 7}
			for page := (enlace.Page{}); !page.Done; req.Cursor = page.Next {
				page = must(zapsign.Adapter{}.Pull(t.Context(), c, req))
				for _, r := range page.Records {
					got = append(got, r.ID)
				}
			}
			into.got = got
			into.wantIDs(t, tokens...)
		})
	}
}

// While the lists are walked, documents are created, signed and deleted all the
// time. After a quiet run nothing may be missing.
func TestNothingIsMissedWhileListsMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{RoundTrip: 200 * time.Millisecond})
		api.Seed(zapsigntest.Seed{Count: 260, Created: func(i int) time.Time { return api.Now().AddDate(0, 0, i-600) }})
		h := newHost(t, api, nil)
		into := newInbox()
		turn := 0
		disturb := func(enlace.Progress) {
			for range 4 {
				all := api.Documents()
				d := all[(turn*37)%260]
				switch turn++; {
				case d.Deleted || d.Status != "pending":
				case turn%3 == 0:
					must(zapsign.DeleteDocument(t.Context(), h.conn(), d.Token))
				default:
					must(0, api.Sign(d.Signers[0].Token))
				}
			}
			must(zapsign.CreateDocument(t.Context(), h.conn(), contract("Novo", "Ana Prado")))
		}
		for range 3 {
			h.sync(into, enlace.SyncOptions{Progress: disturb})
			time.Sleep(10 * time.Minute)
		}
		h.sync(into, enlace.SyncOptions{})
		for _, d := range api.Documents() {
			r, there := into.records["documents/"+d.Token]
			switch {
			case !there && !d.Deleted:
				t.Errorf("document %d is missing", d.OpenID)
			case there && r.Deleted != d.Deleted:
				t.Errorf("document %d: tombstone %v, deleted %v", d.OpenID, r.Deleted, d.Deleted)
			case there && !d.Deleted && must(enlace.DecodeRecord[zapsign.Document](r)).Status != d.Status:
				t.Errorf("document %d is %s by now", d.OpenID, d.Status)
			}
		}
		if turn < 60 {
			t.Errorf("only %d disturbances", turn)
		}
	})
}

// What moves to the first page after the pages were counted is seen there,
// although the list's first page is cached by then.
func TestFirstPageIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		tokens := api.Seed(zapsigntest.Seed{Count: 60, Created: func(i int) time.Time { return api.Now().AddDate(0, 0, i-400) }})
		for _, d := range api.Documents() {
			must(0, api.Sign(d.Signers[0].Token))
		}
		h := newHost(t, api, map[string]string{"details": "false"})
		into := newInbox()
		for page, err := range h.service.Pages(t.Context(), h.ref, enlace.PullRequest{Entity: zapsign.Documents}) {
			if err != nil {
				t.Fatal(err)
			}
			if into.got == nil {
				for _, token := range tokens[:5] {
					must(zapsign.DeleteDocument(t.Context(), h.conn(), token))
				}
			}
			for _, r := range page.Records {
				if !slices.Contains(into.got, r.ID) { // what moves may be seen twice
					into.got = append(into.got, r.ID)
				}
			}
		}
		into.wantIDs(t, tokens[5:]...)
	})
}

// A cursor remembers 2,000 documents in progress; beyond that a run by change
// reads everything created since the first that it has no room for.
func TestMoreInProgressThanACursorRemembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{RateLimit: -1})
		tokens := api.Seed(zapsigntest.Seed{Count: 2100, Refusal: true, Created: func(i int) time.Time { return api.Now().Add(time.Duration(i-3000) * time.Hour) }})
		h := newHost(t, api, map[string]string{"details": "false"})
		into := newInbox()
		result := h.sync(into, enlace.SyncOptions{})
		into.wantIDs(t, tokens...)
		if n := len(result.Entities[zapsign.Documents].Checkpoint.Mark); n > 70_000 {
			t.Errorf("the cursor is %d bytes long", n)
		}
		time.Sleep(24 * time.Hour)
		all := api.Documents()
		must(0, api.Sign(all[1].Signers[0].Token))
		must(0, api.Sign(all[2095].Signers[0].Token))
		must(0, api.Refuse(all[2090].Signers[0].Token, "Valor divergente do combinado"))
		must(zapsign.DeleteDocument(t.Context(), h.conn(), tokens[2080]))
		h.sync(into, enlace.SyncOptions{})
		into.wantIDs(t, tokens[1], tokens[2095], tokens[2090], tokens[2080])
	})
}

// Documents that come in no list any more are read one by one, also in small
// pages, and by signer.
func TestGoneDocuments(t *testing.T) {
	for entity, perDocument := range map[string]int{zapsign.Documents: 1, zapsign.Signers: 2} {
		bubble(t, entity, func(t *testing.T) {
			api := newAPI(zapsigntest.Options{})
			tokens := api.Seed(zapsigntest.Seed{Count: 60, Signers: []zapsigntest.Signer{{Name: "Ana Prado"}, {Name: "Beto Lima"}},
				Created: func(i int) time.Time { return api.Now().AddDate(0, 0, i-400) }})
			c := newHost(t, api, nil).conn()
			walk := func(cursor enlace.Cursor, limit int) (enlace.Cursor, map[string]bool) {
				got := map[string]bool{}
				for range 1000 {
					page := must(zapsign.Adapter{}.Pull(t.Context(), c, enlace.PullRequest{Entity: entity, Cursor: cursor, Limit: limit}))
					if limit > 0 && len(page.Records) > limit || page.Next == cursor {
						t.Fatalf("%d records, cursor moved: %v", len(page.Records), page.Next != cursor)
					}
					for _, r := range page.Records {
						if got[r.ID] {
							t.Fatalf("%s came twice", r.ID)
						}
						got[r.ID] = true
					}
					if cursor = page.Next; page.Done {
						return cursor, got
					}
				}
				t.Fatal("no end")
				return "", nil
			}
			mark, got := walk("", 0)
			if len(got) != 60*perDocument {
				t.Fatalf("%d records", len(got))
			}
			time.Sleep(time.Hour)
			for _, d := range api.Documents()[10:40] {
				must(0, api.Sign(d.Signers[0].Token))
				must(0, api.Sign(d.Signers[1].Token))
			}
			must(0, api.Open(api.Documents()[50].Signers[0].Token))
			for _, limit := range []int{0, 1, 3, 7} {
				if _, got = walk(mark, limit); len(got) != 31*perDocument {
					t.Errorf("limit %d: %d records", limit, len(got))
				}
				time.Sleep(wait)
			}
			// One that the server has forgotten altogether is deleted.
			api.Fault(zapsigntest.Fault{Route: "GET /docs/{}/", Kind: zapsigntest.Refuse, Status: 404, Body: `{"detail":"Não encontrado."}`, Times: -1})
			page := enlace.Page{Next: mark}
			deleted := 0
			for !page.Done {
				page = must(zapsign.Adapter{}.Pull(t.Context(), c, enlace.PullRequest{Entity: entity, Cursor: page.Next}))
				for _, r := range page.Records {
					if r.Deleted {
						deleted++
					}
				}
			}
			if entity == zapsign.Documents && deleted != 31 {
				t.Errorf("%d of %d deleted", deleted, len(tokens))
			}
		})
	}
}

func TestCursors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		api.Seed(zapsigntest.Seed{Count: 3})
		c := newHost(t, api, nil).conn()
		for _, text := range []string{"x", "{}", `{"v":2}`, `{"v":1}`, `{"v":1,"phase":"gone"}`, `{"v":1,"phase":"new","mark":"2026-01-01T00:00:00Z"}`,
			`{"v":1,"phase":"live","page":-1}`, `{"v":1,"mark":"yesterday"}`, `{"v":1,"mark":"2026-01-01T00:00:00Z","seen":"AAAA"}`,
			`{"v":1,"mark":"2026-01-01T00:00:00Z","seen":"!"}`, `{"v":1,"phase":"other","mark":"2026-01-01T00:00:00Z"}`, `{"v":1,"mark":"2026-01-01T00:00:00Z","horizon":"soon"}`} {
			for _, entity := range []string{zapsign.Documents, zapsign.Templates} {
				if entity == zapsign.Templates && strings.Contains(text, "phase") && strings.Contains(text, `"v":1`) {
					continue
				}
				_, err := zapsign.Adapter{}.Pull(t.Context(), c, enlace.PullRequest{Entity: entity, Cursor: enlace.Cursor(text)})
				if !errors.Is(err, enlace.ErrCursorExpired) && entity == zapsign.Documents {
					t.Errorf("%s %s: %v", entity, text, err)
				}
			}
		}
		// A page far beyond the end is found out by counting again.
		page, err := zapsign.Adapter{}.Pull(t.Context(), c, enlace.PullRequest{Entity: zapsign.Documents, Cursor: `{"v":1,"phase":"live","began":"2026-01-01T00:00:00Z","page":900}`})
		if err != nil || page.Done || len(page.Records) != 0 {
			t.Fatalf("%v %+v", err, page)
		}
		page, err = zapsign.Adapter{}.Pull(t.Context(), c, enlace.PullRequest{Entity: zapsign.Documents, Cursor: page.Next})
		if err != nil || !page.Done || len(page.Records) != 3 {
			t.Fatalf("%v %+v", err, page)
		}
		if _, err := (zapsign.Adapter{}).Pull(t.Context(), c, enlace.PullRequest{Entity: "notes"}); !errors.Is(err, enlace.ErrUnsupported) {
			t.Error(err)
		}
	})
}

func TestFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		c := newHost(t, api, nil).conn()
		d := must(zapsign.CreateDocument(t.Context(), c, contract("Contrato", "Ana Prado")))
		gone := must(zapsign.CreateDocument(t.Context(), c, contract("Contrato", "Ana Prado")))
		must(zapsign.DeleteDocument(t.Context(), c, gone.Token))
		extra := must(zapsign.AddExtraDocument(t.Context(), c, d.Token, zapsign.ExtraDocumentInput{Name: "Anexo", PDF: pdf}))
		template := must(zapsign.CreateTemplate(t.Context(), c, zapsign.TemplateInput{Name: "Modelo", DOCX: docx}))
		const never = "00000000-0000-4000-8000-000000000000"
		for entity, ids := range map[string][]string{zapsign.Documents: {d.Token, gone.Token, never, extra.Token},
			zapsign.Signers: {d.Signers[0].Token, never}, zapsign.Templates: {template.Token, never}} {
			records, err := zapsign.Adapter{}.Fetch(t.Context(), c, entity, ids)
			if err != nil {
				t.Fatal(err)
			}
			alive := 0
			for _, r := range records {
				if r.Entity != entity || r.ID == extra.Token || r.Deleted != (r.ID == never || r.ID == gone.Token) || (r.Data == nil) != r.Deleted {
					t.Errorf("%+v", r)
				}
				if !r.Deleted {
					alive++
				}
			}
			if alive != 1 {
				t.Errorf("%s: %d of %d exist", entity, alive, len(records))
			}
		}
		_, err := zapsign.Adapter{}.Fetch(t.Context(), c, "notes", nil)
		wantKind(t, err, enlace.ErrUnsupported, enlace.OutcomeNotRun)
		_, err = zapsign.Adapter{}.Fetch(t.Context(), c, zapsign.Documents, []string{"../templates"})
		wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeNotRun)
	})
}
