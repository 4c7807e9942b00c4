package zapsign_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// The test cases of the sheet (11), against the adapter and the fake server. T19,
// T20 to T30 and T33 are in the tests of webhooks and logins.

func TestT01CreateOneSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		c := newHost(t, api, nil).conn()
		in := zapsign.DocumentInput{Name: "Contrato 42", PDF: pdf,
			Signers: []zapsign.SignerInput{{Name: "Ana Prado", Email: "ana@example.com", AuthMode: zapsign.AuthScreen, SendEmail: new(false), ExternalID: "c-1"}}}
		in.ExternalID, in.FolderPath, in.Metadata = "ord-42", "/crm/ord-42/", []zapsign.Metadata{{Key: "deal", Value: "42"}}
		d := must(zapsign.CreateDocument(t.Context(), c, in))
		s := d.Signers[0]
		if d.State() != zapsign.StatePending || d.ExternalID != "ord-42" || d.FolderPath != "/crm/ord-42/" || d.SignedFile != "" ||
			d.CreatedThrough != "api" || d.CreatedBy.Email != "owner@example.com" || d.CreatedAt.IsZero() || d.OpenID == 0 {
			t.Errorf("%+v", d)
		}
		if s.State() != zapsign.StatePending || s.ExternalID != "c-1" || s.SignURL != "https://sandbox.app.zapsign.com.br/verificar/"+s.Token ||
			s.ResendAttempts != nil || !s.SignedAt.IsZero() || !zapsign.SameAuthMode(s.AuthMode, "assinatura_tela") {
			t.Errorf("%+v", s)
		}
		if len(api.Messages()) != 0 {
			t.Errorf("%+v", api.Messages())
		}
	})
}

func TestCreateFromEverySource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(pdf)), Request: r}, nil
		})
		api := newAPI(zapsigntest.Options{Transport: files})
		c := newHost(t, api, nil).conn()
		for name, source := range map[string]zapsign.DocumentInput{
			"pdf": {PDF: pdf}, "docx": {DOCX: docx}, "markdown": {Markdown: "# Contrato"},
			"pdf by url": {PDFURL: "https://files.example.com/a.pdf"}, "docx by url": {DOCXURL: "https://files.example.com/a.docx"},
		} {
			source.Name, source.Signers = name, contract("", "Ana Prado").Signers
			d, err := zapsign.CreateDocument(t.Context(), c, source)
			if err != nil || d.Name != name {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

const planNeeded = `É obrigatório contratar um Plano de API para utilizá-la em modo produção.`

func TestT02CreateWithoutPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{{Production: true, NoPlan: true}}})
		h := newHost(t, api, map[string]string{"environment": zapsign.Production})
		_, err := zapsign.CreateDocument(t.Context(), h.conn(), contract("Contrato 42", "Ana Prado"))
		wantKind(t, err, enlace.ErrForbidden, enlace.OutcomeNotRun)
		if e, _ := errors.AsType[*enlace.Error](err); e.Status != 402 || !strings.HasPrefix(e.Message, planNeeded) {
			t.Errorf("%+v", e)
		}
		if report := must(h.service.TestConnection(t.Context(), enlace.ConnectionTest{Ref: h.ref})); !report.OK {
			t.Errorf("without a plan the account can be read: %+v", report)
		}
		if effects(api, "POST /docs/") != 1 {
			t.Error("sent again")
		}
	})
}

func TestT03BadToken(t *testing.T) {
	for name, quirks := range map[string]zapsigntest.Quirks{"403 JSON": {}, "403 text": {PlainAuthError: true},
		"401 JSON": {Unauthorized401: true}, "401 text": {Unauthorized401: true, PlainAuthError: true}} {
		bubble(t, name, func(t *testing.T) {
			const wrong = "wrong-c4n4ry-token-0123456789"
			api := newAPI(zapsigntest.Options{Quirks: quirks})
			h := connect(t, api, token(wrong), nil)
			c := h.conn()
			wantKind(t, h.note(zapsign.Adapter{}.CheckHealth(t.Context(), c)), enlace.ErrAuth, enlace.OutcomeNotRun)
			_, err := zapsign.GetDocument(t.Context(), c, "11111111-0000-4000-8000-000000000101")
			wantKind(t, h.note(err), enlace.ErrAuth, enlace.OutcomeNotRun)
			if in := must(h.service.Get(t.Context(), h.ref)); in.Status != enlace.StatusNeedsReauth {
				t.Errorf("status %s", in.Status)
			}
			h.showsNoSecret(wrong)
		})
	}
	bubble(t, "403 in words that nobody has seen", func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		api.Fault(zapsigntest.Fault{Kind: zapsigntest.Refuse, Status: 403, Body: `{"detail":"?"}`, Times: -1})
		c := newHost(t, api, nil).conn()
		wantKind(t, zapsign.Adapter{}.CheckHealth(t.Context(), c), enlace.ErrAuth, enlace.OutcomeNotRun)
		_, err := zapsign.GetDocument(t.Context(), c, "11111111-0000-4000-8000-000000000101")
		wantKind(t, err, enlace.ErrForbidden, enlace.OutcomeNotRun)
	})
}

func TestT04List(t *testing.T) {
	for name, quirks := range map[string]zapsigntest.Quirks{"as observed": {}, "as documented": {DocumentedListSigners: true, EmptyPastEnd: true, NextHTTPS: true}} {
		bubble(t, name, func(t *testing.T) {
			api := newAPI(zapsigntest.Options{Quirks: quirks, OnRequest: func(r zapsigntest.Request) {
				if strings.Contains(r.URL, "api_token") || r.Header.Get("Authorization") == "" {
					t.Errorf("asked %s", r.URL)
				}
			}})
			tokens := api.Seed(zapsigntest.Seed{Count: 26, Folder: "/crm/"})
			c := newHost(t, api, nil).conn()
			var got []string
			for row, err := range zapsign.ListDocuments(t.Context(), c, zapsign.DocumentFilter{WithSigners: true, CreatedFrom: time.Now()}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, row.Token)
				d, _ := api.Document(row.Token)
				if len(row.Signers) != 1 || row.Signers[0].Token != d.Signers[0].Token || row.Signers[0].Name != d.Signers[0].Name ||
					row.Signers[0].State() != zapsign.StatePending || row.State() != zapsign.StatePending || row.FolderPath != "/crm/" || row.ExternalID != "" {
					t.Fatalf("%+v", row)
				}
			}
			if !slices.Equal(got, tokens) {
				t.Errorf("got %d rows", len(got))
			}
			must(0, api.Sign(api.Documents()[2].Signers[0].Token))
			for filter, want := range map[*zapsign.DocumentFilter]int{
				{Status: "signed"}: 1, {Status: "pending", NewestFirst: true}: 25, {Deleted: true}: 0, {FolderPath: "/"}: 0, {FolderPath: "/crm"}: 26,
				{SignerEmail: "nobody@example.com"}: 0, {CreatedTo: time.Now().AddDate(0, 0, -1)}: 0,
			} {
				n := 0
				for _, err := range zapsign.ListDocuments(t.Context(), c, *filter) {
					if n++; err != nil {
						t.Fatal(err)
					}
				}
				if n != want {
					t.Errorf("%+v: %d, want %d", *filter, n, want)
				}
			}
			for range zapsign.ListDocuments(t.Context(), c, zapsign.DocumentFilter{}) {
				break
			}
		})
	}
}

// The list gets shorter while it is read: the next page is behind its end, which
// is the end of the list.
func TestT05PageBehindTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{ListCache: -1})
		tokens := api.Seed(zapsigntest.Seed{Count: 26})
		c := newHost(t, api, nil).conn()
		n := 0
		for _, err := range zapsign.ListDocuments(t.Context(), c, zapsign.DocumentFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 1 {
				must(zapsign.DeleteDocument(t.Context(), c, tokens[0]))
			}
		}
		if n != 25 || effects(api, "GET /docs/") != 2 {
			t.Errorf("%d rows in %d pages", n, effects(api, "GET /docs/"))
		}
	})
}

// null is a server error at ZapSign, so that it never gets there.
func TestT12NullIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		h := newHost(t, api, nil)
		d := must(zapsign.CreateDocument(t.Context(), h.conn(), contract("Contrato", "Ana Prado")))
		_, err := zapsign.Adapter{}.Push(t.Context(), h.conn(), enlace.Mutation{Entity: zapsign.Signers, Op: enlace.OpUpdate, ID: d.Signers[0].Token})
		wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeNotRun)
		if n := effects(api, "POST /signers/{}/"); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestT06DetailOfExtraAndT09ItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		c := newHost(t, api, nil).conn()
		d := must(zapsign.CreateDocument(t.Context(), c, contract("Contrato", "Ana Prado")))
		var last zapsign.ExtraDoc
		for i := range 9 {
			last = must(zapsign.AddExtraDocument(t.Context(), c, d.Token, zapsign.ExtraDocumentInput{Name: "Anexo " + string(rune('A'+i)), PDF: pdf}))
		}
		extra := must(zapsign.GetDocument(t.Context(), c, last.Token))
		if extra.ParentToken != d.Token || extra.Name != "Anexo I" || extra.OpenID != last.OpenID || extra.OriginalFile == "" {
			t.Errorf("%+v", extra)
		}
		_, err := zapsign.AddExtraDocument(t.Context(), c, d.Token, zapsign.ExtraDocumentInput{Name: "Anexo X", PDF: pdf})
		wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeRan)
		if e, _ := errors.AsType[*enlace.Error](err); !strings.Contains(e.Message, "Limite de documentos extra (9) atingido.") {
			t.Errorf("%+v", e)
		}
		must(0, zapsign.UpdateDocument(t.Context(), c, d.Token, zapsign.DocumentUpdate{ExtraDocs: []zapsign.Rename{{Token: last.Token, Name: "Anexo Z"}}}))
		d = must(zapsign.GetDocument(t.Context(), c, d.Token))
		order := []string{last.Token, d.Token}
		for _, e := range d.ExtraDocs {
			if e.Token != last.Token {
				order = append(order, e.Token)
			}
		}
		if len(order) != 10 {
			t.Fatalf("%+v", d.ExtraDocs)
		}
		must(0, zapsign.ReorderDocuments(t.Context(), c, d.Token, order))
		again := must(zapsign.AddExtraDocument(t.Context(), c, d.Token, zapsign.ExtraDocumentInput{Name: "Anexo Z", PDF: pdf, Once: true}))
		if again.Token != last.Token {
			t.Error("the extra document was not found by its name")
		}
	})
}

func TestT07NotFoundAndT08Update(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, d, _ := stage(t, nil)
		c := h.conn()
		const never = "00000000-0000-4000-8000-000000000000"
		for _, err := range []error{
			func() error { _, err := zapsign.GetDocument(t.Context(), c, never); return err }(),
			func() error { _, err := zapsign.GetTemplate(t.Context(), c, never); return err }(),
			func() error { _, err := zapsign.GetSigner(t.Context(), c, never); return err }(),
			func() error {
				_, err := zapsign.CreateDocumentFromTemplate(t.Context(), c, zapsign.TemplateDocumentInput{TemplateID: never, SignerName: "x"})
				return err
			}(),
			zapsign.ReprocessDocument(t.Context(), c, never, true, false),
			zapsign.CancelDocument(t.Context(), c, never, "Pedido cancelado", false),
		} {
			wantKind(t, err, enlace.ErrNotFound, enlace.OutcomeRan)
		}
		must(0, zapsign.UpdateDocument(t.Context(), c, d.Token, zapsign.DocumentUpdate{Name: "Contrato 42 v2", DateLimitToSign: "2030-03-01", FolderPath: "/a/"}))
		if d = must(zapsign.GetDocument(t.Context(), c, d.Token)); d.Name != "Contrato 42 v2" || d.FolderPath != "/a/" {
			t.Errorf("%+v", d)
		}
		if kept, _ := api.Document(d.Token); kept.Deadline.IsZero() {
			t.Error("no deadline")
		}
	})
}

func TestT10PlaceSignatures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, d, _ := stage(t, nil)
		box := zapsign.Placement{Type: zapsign.PlaceSignature, Bottom: 8.5, Left: 60, Width: 19.55, Height: 9.42, Signer: d.Signers[0].Token}
		initials := box
		initials.Type, initials.Page = zapsign.PlaceInitials, 1
		for _, boxes := range [][]zapsign.Placement{{box, initials}, {box}, nil} {
			must(0, zapsign.PlaceSignatures(t.Context(), h.conn(), d.Token, boxes))
			if kept, _ := api.Document(d.Token); len(kept.Placements) != len(boxes) {
				t.Errorf("%+v", kept.Placements)
			}
		}
	})
}

func TestT11Resend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, d, _ := stage(t, nil)
		c, ana := h.conn(), d.Signers[0].Token
		var sent time.Time
		for range 2 { // ZapSign drops the second
			s := must(zapsign.UpdateSigner(t.Context(), c, ana, zapsign.SignerInput{Email: "ana.prado@example.com", SendEmail: new(true)}))
			if s.Email != "ana.prado@example.com" || s.ResendAttempts != nil {
				t.Errorf("%+v", s)
			}
			sent = time.Now()
		}
		if n := len(api.Messages()); n != 1 {
			t.Errorf("%d messages", n)
		}
		before := effects(api, "POST /signers/{}/")
		time.Sleep(10 * time.Minute)
		_, err := zapsign.ResendToSigner(t.Context(), c, ana, zapsign.ByEmail, sent)
		wantKind(t, err, enlace.ErrRateLimited, enlace.OutcomeNotRun)
		if enlace.RetryAfter(err) != 20*time.Minute+10*time.Second || effects(api, "POST /signers/{}/") != before {
			t.Errorf("wait %v", enlace.RetryAfter(err))
		}
		time.Sleep(enlace.RetryAfter(err))
		must(zapsign.ResendToSigner(t.Context(), c, ana, zapsign.ByEmail, sent))
		if n := len(api.Messages()); n != 2 {
			t.Errorf("%d messages", n)
		}
		must(zapsign.UpdateSigner(t.Context(), c, ana, zapsign.SignerInput{PhoneCountry: "55", PhoneNumber: "11999990000"}))
		time.Sleep(31 * time.Minute)
		must(zapsign.ResendToSigner(t.Context(), c, ana, zapsign.ByWhatsApp, time.Time{}))
		if m := api.Messages(); len(m) != 3 || m[2].Channel != "whatsapp" {
			t.Errorf("%+v", m)
		}
	})
}

func TestT13RemoveSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, d, _ := stage(t, nil)
		c := h.conn()
		ana := d.Signers[0].Token
		wantKind(t, zapsign.RemoveSigner(t.Context(), c, ana), enlace.ErrInvalid, enlace.OutcomeRan) // the only one
		beto := must(zapsign.AddSigner(t.Context(), c, d.Token, zapsign.SignerInput{Name: "Beto Lima", SendEmail: new(false)}))
		if beto.DocumentToken != d.Token || beto.SignURL == "" {
			t.Errorf("%+v", beto)
		}
		must(0, zapsign.RemoveSigner(t.Context(), c, beto.Token))
		must(zapsign.AddSigner(t.Context(), c, d.Token, zapsign.SignerInput{Name: "Caio Reis"}))
		must(0, api.Sign(ana))
		err := zapsign.RemoveSigner(t.Context(), c, ana)
		wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeRan)
		if e, _ := errors.AsType[*enlace.Error](err); e.Message != "Erro: Não é possível remover um signatário que já assinou o documento" {
			t.Errorf("%+v", e)
		}
		_, err = zapsign.UpdateSigner(t.Context(), c, ana, zapsign.SignerInput{Name: "x"})
		wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeRan)
	})
}

func TestT14CancelAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, d, _ := stage(t, nil)
		c := h.conn()
		for range 2 {
			must(0, zapsign.CancelDocument(t.Context(), c, d.Token, "Pedido cancelado", false))
		}
		d = must(zapsign.GetDocument(t.Context(), c, d.Token))
		if d.Status != "recusado" || d.State() != zapsign.StateRefused || d.RejectReason != "Pedido cancelado" || d.Deleted {
			t.Errorf("%+v", d)
		}
		signed := must(zapsign.CreateDocument(t.Context(), c, contract("Contrato", "Ana Prado")))
		must(0, api.Sign(signed.Signers[0].Token))
		err := zapsign.CancelDocument(t.Context(), c, signed.Token, "Pedido cancelado", false)
		wantKind(t, err, enlace.ErrConflict, enlace.OutcomeRan)
		if in := must(h.service.Get(t.Context(), h.ref)); in.Status != enlace.StatusConnected {
			t.Errorf("a refusal passed for a bad token: %s", in.Status)
		}
		// The same with a body that nobody has documented.
		api.Fault(zapsigntest.Fault{Route: "POST /refuse/", Kind: zapsigntest.Refuse, Status: 403, Body: "?", Times: 2})
		must(0, zapsign.CancelDocument(t.Context(), c, d.Token, "Pedido cancelado", false))
		err = zapsign.CancelDocument(t.Context(), c, signed.Token, "Pedido cancelado", false)
		wantKind(t, err, enlace.ErrConflict, enlace.OutcomeRan)
	})
}

func TestT16Delete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h, d, _ := stage(t, nil)
		c := h.conn()
		deleted := must(zapsign.DeleteDocument(t.Context(), c, d.Token))
		read := must(zapsign.GetDocument(t.Context(), c, d.Token))
		for _, d := range []zapsign.Document{deleted, read} {
			if d.State() != zapsign.StateDeleted || d.Status != "pending" || d.DeletedAt.IsZero() {
				t.Errorf("%+v", d)
			}
		}
		for deleted, want := range map[bool]int{true: 1, false: 0} {
			n := 0
			for range zapsign.ListDocuments(t.Context(), c, zapsign.DocumentFilter{Deleted: deleted}) {
				n++
			}
			if n != want {
				t.Errorf("deleted=%v lists %d", deleted, n)
			}
		}
	})
}

func TestT17RateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{RateLimit: 5})
		c := newHost(t, api, nil).conn()
		time.Sleep(30 * time.Second)
		for range 9 { // the sixth waits for the next minute
			must(0, zapsign.Adapter{}.CheckHealth(t.Context(), c))
		}
		if s := api.Stats(); s.RateLimited != 1 || s.Requests != 10 {
			t.Errorf("%+v", s)
		}
	})
}

func TestT18BulkCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		c := newHost(t, api, nil).conn()
		in := contract("Contrato", "Ana Prado", "Beto Lima")
		in.Signers[1].Email = ""
		d := must(zapsign.CreateDocument(t.Context(), c, in))
		sent := must(zapsign.NotifyPending(t.Context(), c, d.Token))
		if sent.Signers != 2 || sent.Sent != 1 || sent.Failed != 1 || len(sent.FailedSigners) != 1 || sent.FailedSigners[0].Name != "Beto Lima" {
			t.Errorf("%+v", sent)
		}
		started := time.Now()
		_, err := zapsign.NotifyPending(t.Context(), c, d.Token)
		wantKind(t, err, enlace.ErrRateLimited, enlace.OutcomeRan)
		if e, _ := errors.AsType[*enlace.Error](err); e.Code != "cooldown_period" || !e.Partial {
			t.Errorf("%+v", e)
		}
		must(zapsign.GetDocument(t.Context(), c, d.Token)) // others go on at once
		if effects(api, "POST /docs/{}/resend-notifications-bulk/") != 2 || time.Since(started) > time.Second {
			t.Errorf("the cooldown was taken for the rate limit: %v", time.Since(started))
		}
		must(zapsign.DeleteDocument(t.Context(), c, d.Token))
	})
}

func TestT19Groups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		c := newHost(t, api, nil).conn()
		in := contract("Contrato", "Ana Prado", "Beto Lima")
		in.SignatureOrderActive = true
		in.Signers[0].OrderGroup, in.Signers[1].OrderGroup = 1, 3
		_, err := zapsign.CreateDocument(t.Context(), c, in)
		wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeRan)
		if e, _ := errors.AsType[*enlace.Error](err); !strings.HasPrefix(e.Message, "A numeração dos grupos deve ser contínua.") {
			t.Errorf("%+v", e)
		}
		in.Signers[1].OrderGroup = 2
		d := must(zapsign.CreateDocument(t.Context(), c, in))
		must(0, zapsign.DropSignerGroups(t.Context(), c, d.Token))
	})
}

func TestT31TimeoutAfterCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		c := newHost(t, api, map[string]string{"folder": "crm"}).conn()
		api.Fault(zapsigntest.Fault{Route: "POST /docs/", Kind: zapsigntest.HangAfter})
		in := contract("Contrato 42", "Ana Prado")
		in.Key = "ord-42"
		d, err := zapsign.CreateDocument(t.Context(), c, in)
		if err != nil || d.FolderPath != "/crm/ord-42/" || d.ExternalID != "ord-42" || len(api.Documents()) != 1 || effects(api, "POST /docs/") != 1 {
			t.Errorf("%v %+v", err, d)
		}
		if api.Credits(api.Token()) != 1 {
			t.Errorf("%d credits", api.Credits(api.Token()))
		}
	})
}

func TestT32PlanInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{})
		c := newHost(t, api, nil).conn()
		_, err := zapsign.PlanInfo(t.Context(), c)
		wantKind(t, err, enlace.ErrNotFound, enlace.OutcomeRan)
		must(0, zapsign.Adapter{}.CheckHealth(t.Context(), c))
	})
}

func TestT34CreateFromTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h, _, m := stage(t, nil)
		in := zapsign.TemplateDocumentInput{TemplateID: m.Token, SignerName: "Ana Prado", Data: []zapsign.Substitution{{Variable: "{{NOME COMPLETO}}", Value: "Ana Prado"}}}
		in.ExternalID = "ord-43"
		d := must(zapsign.CreateDocumentFromTemplate(t.Context(), h.conn(), in))
		if len(d.Answers) != 1 || d.Answers[0] != (zapsign.Answer{Variable: "NOME COMPLETO", Value: "Ana Prado"}) || len(d.Signers) != 1 || d.ExternalID != "ord-43" {
			t.Errorf("%+v", d)
		}
		extra := must(zapsign.AddExtraDocumentFromTemplate(t.Context(), h.conn(), d.Token, m.Token, nil))
		if extra.Token == "" {
			t.Errorf("%+v", extra)
		}
	})
}

func TestT35Files(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, d, _ := stage(t, nil)
		c := h.conn()
		must(zapsign.AddSigner(t.Context(), c, d.Token, zapsign.SignerInput{Name: "Beto Lima"}))
		extra := must(zapsign.AddExtraDocument(t.Context(), c, d.Token, zapsign.ExtraDocumentInput{Name: "Anexo", PDF: pdf}))
		original := must(zapsign.DownloadFile(t.Context(), c, zapsign.FileRequest{Token: d.Token, Kind: zapsign.FileOriginal}))
		if !bytes.HasPrefix(original, []byte("%PDF")) {
			t.Errorf("%q", original)
		}
		_, err := zapsign.DownloadFile(t.Context(), c, zapsign.FileRequest{Token: d.Token})
		wantKind(t, err, enlace.ErrNotFound, enlace.OutcomeNotRun)
		for i, s := range must(zapsign.GetDocument(t.Context(), c, d.Token)).Signers {
			_, err = zapsign.DownloadSigned(t.Context(), c, d.Token, 0)
			wantKind(t, err, enlace.ErrConflict, enlace.OutcomeNotRun)
			must(0, api.Sign(s.Token))
			if i == 0 { // a partial contract
				must(zapsign.DownloadFile(t.Context(), c, zapsign.FileRequest{Token: d.Token}))
			}
		}
		for _, token := range []string{d.Token, extra.Token} {
			if signed := must(zapsign.DownloadSigned(t.Context(), c, token, 1<<20)); !bytes.HasPrefix(signed, []byte("%PDF")) {
				t.Errorf("%q", signed)
			}
		}
		d = must(zapsign.GetDocument(t.Context(), c, d.Token))
		time.Sleep(3601 * time.Second)
		reads, downloads := effects(api, "GET /docs/{}/"), api.Stats().Downloads
		must(zapsign.DownloadFile(t.Context(), c, zapsign.FileRequest{Token: d.Token, Link: d.SignedFile})) // it shows that it has expired
		if effects(api, "GET /docs/{}/") != reads+1 || api.Stats().Downloads != downloads+1 {
			t.Errorf("%+v", api.Stats().Routes)
		}
		d = must(zapsign.GetDocument(t.Context(), c, d.Token))
		api.Advance(2 * time.Hour) // the server's clock is ahead: only the refusal tells
		must(zapsign.DownloadFile(t.Context(), c, zapsign.FileRequest{Token: d.Token, Link: d.SignedFile}))

		api.Fault(zapsigntest.Fault{Route: "files", Kind: zapsigntest.Refuse, Status: 403, Times: -1})
		_, err = zapsign.DownloadSigned(t.Context(), c, d.Token, 0)
		wantKind(t, err, enlace.ErrForbidden, enlace.OutcomeNotRun)
		api.ClearFaults()
		_, err = zapsign.DownloadSigned(t.Context(), c, d.Token, 3)
		wantKind(t, err, enlace.ErrTooLarge, enlace.OutcomeRan)
		for _, link := range []string{"https://evil.example.com/x.pdf", "%"} {
			_, err = zapsign.DownloadFile(t.Context(), c, zapsign.FileRequest{Token: d.Token, Link: link})
			wantKind(t, err, enlace.ErrBlocked, enlace.OutcomeNotRun)
		}
		_, err = zapsign.DownloadSigned(t.Context(), c, "00000000-0000-4000-8000-000000000000", 0)
		wantKind(t, err, enlace.ErrNotFound, enlace.OutcomeRan)
	})
}

// The server refuses downloads that carry an Authorization header, and the whole
// way works over real connections too.
func TestOverLoopback(t *testing.T) {
	server := zapsigntest.NewServer(zapsigntest.Options{})
	defer server.Close()
	files, err := url.Parse(server.Addresses().Files)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t}
	key := must(enlace.ParseKey(enlace.GenerateKey()))
	h.config = enlace.Config{Registry: enlace.NewRegistry(zapsign.Adapter{}), Store: newHost(t, server.API, nil).config.Store, Keys: must(enlace.NewKeyring(key)),
		Egress: enlace.Egress{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Observer: h.observe}
	h.restart()
	in := must(h.service.Create(t.Context(), enlace.NewIntegration{Provider: zapsign.Name, Credential: token(server.Token()),
		Settings: map[string]string{"apiUrl": server.BaseURL(), "fileHost": files.Host}}))
	h.ref = in.Ref
	c := h.conn()
	d := must(zapsign.CreateDocument(t.Context(), c, contract("Contrato", "Ana Prado")))
	must(0, server.Sign(d.Signers[0].Token))
	if signed := must(zapsign.DownloadSigned(t.Context(), c, d.Token, 0)); !bytes.HasPrefix(signed, []byte("%PDF")) {
		t.Errorf("%q", signed)
	}
	into := newInbox()
	h.sync(into, enlace.SyncOptions{Entities: []string{"all"}})
	into.wantIDs(t, d.Token, d.Signers[0].Token)
}

func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{{Partner: true,
			Plan:  &zapsigntest.Plan{Name: "API", Credits: "120", Status: "paid", Period: "monthly", CurrentPeriodEnd: "31-12-2026"},
			Users: []zapsigntest.User{{Email: "ana@example.com", FirstName: "Ana", Role: "admin"}}}}})
		c := newHost(t, api, nil).conn()
		if plan := must(zapsign.PlanInfo(t.Context(), c)); plan.Credits != "120" || plan.Status != "paid" {
			t.Errorf("%+v", plan)
		}
		must(0, zapsign.CreateUser(t.Context(), c, zapsign.UserInput{Email: "beto@example.com", Role: "member"}))
		users := func() (emails []string) {
			for u, err := range zapsign.ListUsers(t.Context(), c) {
				if err != nil {
					t.Fatal(err)
				}
				emails = append(emails, u.Email)
			}
			return emails
		}
		if got := users(); !slices.Contains(got, "ana@example.com") || !slices.Contains(got, "beto@example.com") {
			t.Errorf("%q", got)
		}
		must(0, zapsign.DeleteUser(t.Context(), c, "beto@example.com"))
		if slices.Contains(users(), "beto@example.com") {
			t.Error("still there")
		}
		company := must(zapsign.CreateCompany(t.Context(), c, zapsign.CompanyInput{Country: "br", Lang: "pt-br", Name: "Acme"}))
		if company.APIToken.IsZero() || company.Name != "Acme" {
			t.Errorf("%+v", company)
		}
		must(0, zapsign.SetPaymentStatus(t.Context(), c, company.APIToken, true))
		must(0, zapsign.SetPaymentStatus(t.Context(), c, company.APIToken, false))
		must(zapsign.PartnerPlansCSV(t.Context(), c, time.Now().AddDate(0, 0, -20), time.Now()))
		_, err := zapsign.CreateCompany(t.Context(), c, zapsign.CompanyInput{})
		wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeRan)

		check := must(zapsign.CreateCheck(t.Context(), c, zapsign.CheckInput{Country: "CO", Type: "person", NationalID: "1", UserAuthorized: true}))
		must(0, api.CompleteCheck(check.ID, 0.9))
		if check = must(zapsign.GetCheck(t.Context(), c, check.ID)); check.Status != "completed" {
			t.Errorf("%+v", check)
		}
		must(zapsign.CheckDetails(t.Context(), c, check.ID, "pt", ""))
		if link := must(zapsign.Timestamp(t.Context(), c, "JVBERi0xLjQK", true)); !strings.HasPrefix(link, "https://") {
			t.Error(link)
		}
		must(zapsign.Timestamp(t.Context(), c, "JVBERi0xLjQK", false))
		if v := must(zapsign.ValidateSignature(t.Context(), c, pdf)); v.Valid || v.Authority != "N/A" {
			t.Errorf("%+v", v)
		}
	})
}

func TestTheOtherCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, _, m := stage(t, nil)
		c := h.conn()
		in := contract("Contrato", "Owner")
		in.Signers[0].Email, in.AllowRefuse = "owner@example.com", true
		d := must(zapsign.CreateDocument(t.Context(), c, in))
		user := enlace.NewSecret(api.UserToken("owner@example.com"))
		must(0, api.Open(d.Signers[0].Token))
		log := must(zapsign.ActivityLog(t.Context(), c, d.Token))
		if len(log) == 0 || log[0].Time.IsZero() || log[0].Event == "" {
			t.Errorf("%+v", log)
		}
		if pages := must(zapsign.ActivityLogPDF(t.Context(), c, d.Token)); !bytes.HasPrefix(pages, []byte("%PDF")) {
			t.Errorf("%q", pages)
		}
		must(0, zapsign.ReprocessDocument(t.Context(), c, d.Token, true, false))
		must(0, zapsign.RefuseByUser(t.Context(), c, d.Token, d.Signers[0].Token, user, "Valor divergente do combinado"))
		again := must(zapsign.CreateDocument(t.Context(), c, in))
		must(0, zapsign.SignBatch(t.Context(), c, zapsign.BatchSignature{User: user, Signers: []string{again.Signers[0].Token}, CPF: ""}))
		time.Sleep(time.Minute)
		if d := must(zapsign.GetDocument(t.Context(), c, again.Token)); d.State() != zapsign.StateCompleted {
			t.Errorf("%+v", d)
		}
		bio := contract("Contrato", "Ana Prado")
		bio.Signers[0].SelfieValidation = "liveness-NXCD"
		signer := must(zapsign.CreateDocument(t.Context(), c, bio)).Signers[0].Token
		wantKind(t, zapsign.ResetAuthAttempts(t.Context(), c, signer), enlace.ErrInvalid, enlace.OutcomeRan)
		for range 3 {
			must(0, api.FailAuthentication(signer, "face does not match"))
		}
		if v := must(zapsign.Verifications(t.Context(), c, signer)); len(v) != 3 || v[0].CreatedAt.IsZero() {
			t.Errorf("%+v", v)
		}
		must(0, zapsign.ResetAuthAttempts(t.Context(), c, signer))

		m = must(zapsign.UpdateTemplate(t.Context(), c, m.Token, zapsign.TemplateInput{Name: "Modelo 2"}))
		m = must(zapsign.UpdateTemplateForm(t.Context(), c, zapsign.TemplateForm{TemplateID: m.Token, CustomIntro: "Olá",
			Inputs: []zapsign.TemplateField{{Variable: "{{NOME COMPLETO}}", Type: "input", Label: "Nome", Required: true}}}))
		if m = must(zapsign.GetTemplate(t.Context(), c, m.Token)); m.Name != "Modelo 2" || len(m.Inputs) != 1 {
			t.Errorf("%+v", m)
		}
		n := 0
		for m, err := range zapsign.ListTemplates(t.Context(), c) {
			if n++; err != nil || m.Name != "Modelo 2" {
				t.Error(err, m)
			}
		}
		must(0, zapsign.DeleteTemplate(t.Context(), c, m.Token))
		wantKind(t, zapsign.DeleteTemplate(t.Context(), c, m.Token), enlace.ErrNotFound, enlace.OutcomeRan)
		if n != 1 {
			t.Errorf("%d templates", n)
		}
	})
	bubble(t, "no activity log in the plan", func(t *testing.T) {
		api := newAPI(zapsigntest.Options{Accounts: []zapsigntest.Account{{NoActivityLog: true, NoTimestamp: true}}})
		c := newHost(t, api, nil).conn()
		tokens := api.Seed(zapsigntest.Seed{})
		_, err := zapsign.ActivityLog(t.Context(), c, tokens[0])
		wantKind(t, err, enlace.ErrForbidden, enlace.OutcomeNotRun)
		_, err = zapsign.Timestamp(t.Context(), c, "JVBERi0xLjQK", true)
		wantKind(t, err, enlace.ErrForbidden, enlace.OutcomeNotRun)
	})
}
