package zapsign_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

var docx = []byte("PK\x03\x04 {{NOME COMPLETO}}")

// lost are the ways in which the answer to a write that was carried out is lost.
var lost = map[string]zapsigntest.FaultKind{
	"reset": zapsigntest.DropAfter, "hang": zapsigntest.HangAfter, "502": zapsigntest.HTML502After,
	"cut": zapsigntest.TruncatedBody, "broken": zapsigntest.BrokenBody,
}

// refused are the ways in which a write certainly or possibly was not carried out.
var notDone = map[string]zapsigntest.FaultKind{
	"reset": zapsigntest.DropBefore, "hang": zapsigntest.HangBefore, "500": zapsigntest.HTML500, "502": zapsigntest.HTML502, "200": zapsigntest.HTML200,
}

// write is a call that must never be carried out twice.
type write struct {
	name, route string
	run         func(ctx context.Context, c *enlace.Conn, key string) error
	count       func(api *zapsigntest.API) int // how often it took effect
	keyed       bool
}

// writes are all creates, on a document with one signer and a template.
func writes(document zapsign.Document, template zapsign.Template, folder string) []write {
	documents := func(api *zapsigntest.API) int { return len(api.Documents()) - 1 }
	push := func(entity string, data any) func(context.Context, *enlace.Conn, string) error {
		return func(ctx context.Context, c *enlace.Conn, key string) error {
			ack, err := zapsign.Adapter{}.Push(ctx, c, enlace.Mutation{Entity: entity, Op: enlace.OpCreate, Data: data, Key: key})
			if err == nil && ack.ID == "" {
				err = errors.New("no id")
			}
			return err
		}
	}
	signers := func(api *zapsigntest.API) int {
		d, _ := api.Document(document.Token)
		return len(d.Signers) - 1
	}
	return []write{
		{"document", "POST /docs/", func(ctx context.Context, c *enlace.Conn, key string) error {
			in := contract("Contrato 42", "Ana Prado")
			in.Key = key
			_, err := zapsign.CreateDocument(ctx, c, in)
			return err
		}, documents, true},
		{"document in a folder of the user's", "POST /docs/", func(ctx context.Context, c *enlace.Conn, key string) error {
			in := contract("Contrato 42", "Ana Prado")
			in.Key, in.FolderPath = key, "/crm/2026"
			_, err := zapsign.CreateDocument(ctx, c, in)
			return err
		}, documents, true},
		{"document in a folder by token", "POST /docs/", func(ctx context.Context, c *enlace.Conn, key string) error {
			in := contract("Contrato 42", "Ana Prado")
			in.Key, in.FolderToken = key, folder
			_, err := zapsign.CreateDocument(ctx, c, in)
			return err
		}, documents, true},
		{"document of a template", "POST /models/create-doc/", func(ctx context.Context, c *enlace.Conn, key string) error {
			in := zapsign.TemplateDocumentInput{TemplateID: template.Token, SignerName: "Ana Prado", Common: zapsign.Common{Key: key}}
			_, err := zapsign.CreateDocumentFromTemplate(ctx, c, in)
			return err
		}, documents, true},
		{"pushed document", "POST /docs/", push(zapsign.Documents, contract("Contrato 42", "Ana Prado")), documents, true},
		{"pushed document of a template", "POST /models/create-doc/",
			push(zapsign.Documents, zapsign.TemplateDocumentInput{TemplateID: template.Token, SignerName: "Ana Prado"}), documents, true},
		{"pushed signer", "POST /docs/{}/add-signer/", push(zapsign.Signers, map[string]any{"doc_token": document.Token, "name": "Beto Lima"}), signers, true},
		{"pushed template", "POST /templates/create/", push(zapsign.Templates, zapsign.TemplateInput{Name: "Outro", DOCX: docx}), nil, true},
		{"signer", "POST /docs/{}/add-signer/", func(ctx context.Context, c *enlace.Conn, key string) error {
			_, err := zapsign.AddSigner(ctx, c, document.Token, zapsign.SignerInput{Name: "Beto Lima", Key: key})
			return err
		}, signers, true},
		{"extra document", "POST /docs/{}/upload-extra-doc/", func(ctx context.Context, c *enlace.Conn, key string) error {
			_, err := zapsign.AddExtraDocument(ctx, c, document.Token, zapsign.ExtraDocumentInput{Name: "Anexo", PDF: pdf, Once: key != ""})
			return err
		}, documents, true},
		{"extra document of a template", "POST /models/{}/upload-extra-doc/", func(ctx context.Context, c *enlace.Conn, _ string) error {
			_, err := zapsign.AddExtraDocumentFromTemplate(ctx, c, document.Token, template.Token, nil)
			return err
		}, documents, false},
		{"webhook", "POST /user/company/webhook/", func(ctx context.Context, c *enlace.Conn, _ string) error {
			_, err := zapsign.RegisterWebhook(ctx, c, zapsign.WebhookInput{URL: "https://hub.example.com/in"})
			return err
		}, func(api *zapsigntest.API) int { return len(api.Webhooks()) }, false},
		{"message", "POST /signers/{}/", func(ctx context.Context, c *enlace.Conn, _ string) error {
			_, err := zapsign.ResendToSigner(ctx, c, document.Signers[0].Token, zapsign.ByEmail, time.Time{})
			return err
		}, func(api *zapsigntest.API) int { return len(api.Messages()) }, false},
	}
}

// stage is an account with one document and one template.
func stage(t *testing.T, settings map[string]string) (*zapsigntest.API, *host, zapsign.Document, zapsign.Template) {
	t.Helper()
	api := newAPI(zapsigntest.Options{})
	h := newHost(t, api, settings)
	d := must(zapsign.CreateDocument(t.Context(), h.conn(), contract("Contrato", "Ana Prado")))
	m := must(zapsign.CreateTemplate(t.Context(), h.conn(), zapsign.TemplateInput{Name: "Modelo", DOCX: docx}))
	return api, h, d, m
}

// A write whose answer is lost is sent once, and took effect once. With a key it
// is found, and a repetition, also by a process that knows nothing of it, finds it
// again.
func TestLostAnswers(t *testing.T) {
	for i, w := range writes(zapsign.Document{Signers: make([]zapsign.Signer, 1)}, zapsign.Template{}, "") {
		for name, kind := range lost {
			for _, key := range []string{"", "ord-42"} {
				bubble(t, w.name+", "+name+" "+key, func(t *testing.T) {
					api, h, d, m := stage(t, nil)
					w := writes(d, m, api.AddFolder("/folder"))[i]
					if key != "" && !w.keyed {
						return
					}
					before := effects(api, w.route)
					api.Fault(zapsigntest.Fault{Route: w.route, Kind: kind})
					err := h.note(w.run(t.Context(), h.conn(), key))
					if key == "" {
						if e, ok := errors.AsType[*enlace.Error](err); !ok || e.Outcome != enlace.OutcomeUnknown {
							t.Errorf("%s: %v", w.name, err)
						}
					} else if err != nil {
						t.Errorf("%s: not found again: %v", w.name, err)
					}
					if n := effects(api, w.route) - before; n != 1 {
						t.Errorf("%s: sent %d times", w.name, n)
					}
					if w.count != nil && w.count(api) != 1 {
						t.Errorf("%s: took effect %d times", w.name, w.count(api))
					}
					if key == "" {
						return
					}
					h.restart()
					if err := w.run(t.Context(), h.conn(), key); err != nil {
						t.Errorf("%s: repeated: %v", w.name, err)
					}
					if n := effects(api, w.route) - before; n != 1 {
						t.Errorf("%s: sent %d times when repeated", w.name, n)
					}
				})
			}
		}
	}
}

// A create that was not carried out although that could not be told is not sent
// again by itself; after the settle time the error says that it may be.
func TestAnswersLostBeforeTheEffect(t *testing.T) {
	for name, kind := range notDone {
		bubble(t, name, func(t *testing.T) {
			api, h, _, _ := stage(t, map[string]string{"settle": "120"})
			api.Fault(zapsigntest.Fault{Route: "POST /docs/", Kind: kind})
			in := contract("Contrato 42", "Ana Prado")
			in.Key = "ord-42"
			started := time.Now()
			_, err := zapsign.CreateDocument(t.Context(), h.conn(), in)
			wantKind(t, err, enlace.ErrUnavailable, enlace.OutcomeNotRun)
			if took := time.Since(started); took < 2*time.Minute || took > 3*time.Minute {
				t.Errorf("gave up after %v", took)
			}
			if n := effects(api, "POST /docs/"); n != 2 {
				t.Errorf("sent %d times", n-1)
			}
			d, err := zapsign.CreateDocument(t.Context(), h.conn(), in)
			if err != nil || d.ExternalID != "ord-42" || d.FolderPath != "/enlace/ord-42/" || len(api.Documents()) != 2 {
				t.Errorf("%v %+v", err, d)
			}
		})
	}
}

// A caller who does not wait gets the doubt, and resolves it by calling again.
func TestImpatientCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, _, _ := stage(t, nil)
		api.Fault(zapsigntest.Fault{Route: "POST /docs/", Kind: zapsigntest.DropAfter})
		in := contract("Contrato 42", "Ana Prado")
		in.Key = "Pedido nº 42/2026, " + strings.Repeat("x", 60)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := zapsign.CreateDocument(ctx, h.conn(), in)
		wantKind(t, err, enlace.ErrUnavailable, enlace.OutcomeUnknown)
		d, err := zapsign.CreateDocument(t.Context(), h.conn(), in) // at once: the list of a moment ago is cached
		if err != nil || d.ExternalID != in.Key || len(api.Documents()) != 2 {
			t.Errorf("%v, %d documents", err, len(api.Documents()))
		}
	})
}

func TestLookUpFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, _, _ := stage(t, nil)
		in := contract("Contrato 42", "Ana Prado")
		in.Key = "ord-42"
		api.Fault(zapsigntest.Fault{Route: "GET /docs/", Kind: zapsigntest.Refuse, Status: 400, Times: -1})
		_, err := zapsign.CreateDocument(t.Context(), h.conn(), in)
		wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeRan)
		if effects(api, "POST /docs/") != 1 {
			t.Error("sent without having looked")
		}
		api.ClearFaults()
		api.Fault(zapsigntest.Fault{Route: "POST /docs/", Kind: zapsigntest.DropAfter})
		api.Fault(zapsigntest.Fault{Route: "GET /docs/", Kind: zapsigntest.Refuse, Status: 400, After: 1, Times: -1})
		_, err = zapsign.CreateDocument(t.Context(), h.conn(), in)
		wantKind(t, err, enlace.ErrUnavailable, enlace.OutcomeUnknown)
	})
}

// Certain refusals are repeated for a create too, and end in one document.
func TestRateLimitedCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, _, _ := stage(t, nil)
		api.Fault(zapsigntest.Fault{Route: "POST /docs/", Kind: zapsigntest.RateLimited})
		time.Sleep(20 * time.Second) // into the minute, for a limit that lasts until its end
		must(zapsign.CreateDocument(t.Context(), h.conn(), contract("Contrato 42", "Ana Prado")))
		if len(api.Documents()) != 2 || effects(api, "POST /docs/") != 3 {
			t.Errorf("%d documents of %d requests", len(api.Documents()), effects(api, "POST /docs/"))
		}
	})
}

func TestTheSameExternalIDTwice(t *testing.T) { // F13: it is no key
	synctest.Test(t, func(t *testing.T) {
		api, h, _, _ := stage(t, nil)
		in := contract("Contrato 42", "Ana Prado")
		in.ExternalID = "ord-42"
		first := must(zapsign.CreateDocument(t.Context(), h.conn(), in))
		second := must(zapsign.CreateDocument(t.Context(), h.conn(), in))
		if first.Token == second.Token || len(api.Documents()) != 3 {
			t.Error("an external id made one document of two")
		}
		in.Key = "a"
		third := must(zapsign.CreateDocument(t.Context(), h.conn(), in))
		if third.Token == first.Token || third.ExternalID != "ord-42" || third.FolderPath != "/enlace/a/" {
			t.Errorf("%+v", third)
		}
	})
}

func TestInputIsCheckedBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, d, m := stage(t, nil)
		c := h.conn()
		before := api.Stats().Requests
		good := contract("Contrato", "Ana Prado")
		for name, spoil := range map[string]func(in *zapsign.DocumentInput){
			"no file":         func(in *zapsign.DocumentInput) { in.PDF = nil },
			"two files":       func(in *zapsign.DocumentInput) { in.Markdown = "# x" },
			"too large":       func(in *zapsign.DocumentInput) { in.PDF = make([]byte, 10<<20+1) },
			"no name":         func(in *zapsign.DocumentInput) { in.Name = "" },
			"long name":       func(in *zapsign.DocumentInput) { in.Name = strings.Repeat("é", 256) },
			"no signers":      func(in *zapsign.DocumentInput) { in.Signers = nil },
			"nameless signer": func(in *zapsign.DocumentInput) { in.Signers = []zapsign.SignerInput{{}} },
			"observers":       func(in *zapsign.DocumentInput) { in.Observers = make([]string, 21) },
			"brand":           func(in *zapsign.DocumentInput) { in.BrandName = strings.Repeat("x", 101) },
			"deep folder":     func(in *zapsign.DocumentInput) { in.FolderPath = "/a/b/c/d/e/f/" },
			"long folder":     func(in *zapsign.DocumentInput) { in.FolderPath = "/" + strings.Repeat("x", 51) + "/" },
			"long path":       func(in *zapsign.DocumentInput) { in.FolderPath = strings.Repeat("/"+strings.Repeat("x", 50), 5) + "/" },
			"no room for key": func(in *zapsign.DocumentInput) { in.FolderPath, in.Key = "/a/b/c/d/e/", "k" },
		} {
			in := good
			spoil(&in)
			_, err := zapsign.CreateDocument(t.Context(), c, in)
			if wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeNotRun); t.Failed() {
				t.Fatal(name)
			}
		}
		for name, run := range map[string]func() error{
			"template id": func() error {
				_, err := zapsign.CreateDocumentFromTemplate(t.Context(), c, zapsign.TemplateDocumentInput{})
				return err
			},
			"token":          func() error { _, err := zapsign.GetDocument(t.Context(), c, ""); return err },
			"token with /":   func() error { _, err := zapsign.GetSigner(t.Context(), c, "a/../b"); return err },
			"token ..":       func() error { return zapsign.RemoveSigner(t.Context(), c, "..") },
			"reason":         func() error { return zapsign.CancelDocument(t.Context(), c, d.Token, " ", false) },
			"cancel nothing": func() error { return zapsign.CancelDocument(t.Context(), c, "", "x", false) },
			"box": func() error {
				return zapsign.PlaceSignatures(t.Context(), c, d.Token, []zapsign.Placement{{Type: "signature", Left: 90, Width: 20, Height: 1, Signer: "x"}})
			},
			"extra without name": func() error {
				_, err := zapsign.AddExtraDocument(t.Context(), c, d.Token, zapsign.ExtraDocumentInput{PDF: pdf})
				return err
			},
			"extra without file": func() error {
				_, err := zapsign.AddExtraDocument(t.Context(), c, d.Token, zapsign.ExtraDocumentInput{Name: "x"})
				return err
			},
			"extra too large": func() error {
				_, err := zapsign.AddExtraDocument(t.Context(), c, d.Token, zapsign.ExtraDocumentInput{Name: "x", PDF: make([]byte, 11<<20)})
				return err
			},
			"signer without name": func() error { _, err := zapsign.AddSigner(t.Context(), c, d.Token, zapsign.SignerInput{}); return err },
			"channel": func() error {
				_, err := zapsign.ResendToSigner(t.Context(), c, d.Signers[0].Token, "pigeon", time.Time{})
				return err
			},
			"batch": func() error { return zapsign.SignBatch(t.Context(), c, zapsign.BatchSignature{}) },
			"new template": func() error {
				_, err := zapsign.CreateTemplate(t.Context(), c, zapsign.TemplateInput{Name: "x"})
				return err
			},
			"template name": func() error {
				_, err := zapsign.CreateTemplate(t.Context(), c, zapsign.TemplateInput{DOCX: docx})
				return err
			},
			"template too large": func() error {
				_, err := zapsign.CreateTemplate(t.Context(), c, zapsign.TemplateInput{Name: "x", DOCX: make([]byte, 11<<20)})
				return err
			},
			"template file": func() error {
				_, err := zapsign.UpdateTemplate(t.Context(), c, m.Token, zapsign.TemplateInput{DOCX: docx})
				return err
			},
			"form": func() error { _, err := zapsign.UpdateTemplateForm(t.Context(), c, zapsign.TemplateForm{}); return err },
			"webhook url": func() error {
				_, err := zapsign.RegisterWebhook(t.Context(), c, zapsign.WebhookInput{URL: "hub"})
				return err
			},
			"no secret": func() error {
				_, err := zapsign.RegisterWebhooks(t.Context(), c, "https://hub.example.com", enlace.Secret{})
				return err
			},
			"webhook id": func() error { return zapsign.DeleteWebhook(t.Context(), c, nil) },
			"header id":  func() error { return zapsign.AddWebhookHeaders(t.Context(), c, []byte("{}")) },
			"user":       func() error { return zapsign.CreateUser(t.Context(), c, zapsign.UserInput{}) },
			"check":      func() error { _, err := zapsign.CreateCheck(t.Context(), c, zapsign.CheckInput{}); return err },
			"csv": func() error {
				_, err := zapsign.PartnerPlansCSV(t.Context(), c, time.Now(), time.Now().AddDate(0, 2, 0))
				return err
			},
			"push null": func() error {
				_, err := zapsign.Adapter{}.Push(t.Context(), c, enlace.Mutation{Entity: zapsign.Signers, Op: enlace.OpUpdate, ID: d.Signers[0].Token})
				return err
			},
			"push func": func() error {
				_, err := zapsign.Adapter{}.Push(t.Context(), c, enlace.Mutation{Entity: zapsign.Documents, Op: enlace.OpCreate, Data: func() {}})
				return err
			},
			"push signer without document": func() error {
				_, err := zapsign.Adapter{}.Push(t.Context(), c, enlace.Mutation{Entity: zapsign.Signers, Op: enlace.OpCreate, Data: map[string]any{"name": "x"}})
				return err
			},
			"push template with folder": func() error {
				_, err := zapsign.Adapter{}.Push(t.Context(), c, enlace.Mutation{Entity: zapsign.Templates, Op: enlace.OpCreate, Key: "k",
					Data: map[string]any{"name": "x", "folder_token": "y"}})
				return err
			},
		} {
			err := run()
			if wantKind(t, err, enlace.ErrInvalid, enlace.OutcomeNotRun); t.Failed() {
				t.Fatal(name)
			}
		}
		if n := api.Stats().Requests - before; n != 0 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, h, d, m := stage(t, nil)
		c := h.conn()
		push := func(entity string, op enlace.Operation, id string, data any) (enlace.Ack, error) {
			return zapsign.Adapter{}.Push(t.Context(), c, enlace.Mutation{Entity: entity, Op: op, ID: id, Data: data})
		}
		ack := must(push(zapsign.Signers, enlace.OpCreate, "", map[string]any{"doc_token": d.Token, "name": "Beto Lima"}))
		if !ack.Created || must(zapsign.GetSigner(t.Context(), c, ack.ID)).Name != "Beto Lima" {
			t.Errorf("%+v", ack)
		}
		must(push(zapsign.Signers, enlace.OpUpdate, ack.ID, zapsign.Signer{DocumentToken: d.Token, Name: "Beto Luís Lima"}))
		must(push(zapsign.Documents, enlace.OpUpdate, d.Token, map[string]any{"name": "Outro"}))
		must(push(zapsign.Templates, enlace.OpUpdate, m.Token, map[string]any{"name": "Outro"}))
		if s := must(zapsign.GetSigner(t.Context(), c, ack.ID)); s.Name != "Beto Luís Lima" {
			t.Errorf("%+v", s)
		}
		if d := must(zapsign.GetDocument(t.Context(), c, d.Token)); d.Name != "Outro" || len(d.Signers) != 2 {
			t.Errorf("%+v", d)
		}
		for range 2 { // as a repetition would
			must(push(zapsign.Signers, enlace.OpDelete, ack.ID, nil))
			must(push(zapsign.Templates, enlace.OpDelete, m.Token, nil))
			must(push(zapsign.Documents, enlace.OpDelete, d.Token, nil))
		}
		if left, _ := api.Document(d.Token); !left.Deleted || len(left.Signers) != 1 {
			t.Errorf("%+v", left)
		}
		_, err := push(zapsign.Documents, enlace.OpDelete, "00000000-0000-4000-8000-000000000000", nil)
		wantKind(t, err, enlace.ErrNotFound, enlace.OutcomeRan)
		for _, m := range []enlace.Mutation{{Entity: "notes", Op: enlace.OpCreate}, {Entity: zapsign.Documents, Op: enlace.OpUpsert}, {Entity: zapsign.Documents, Op: enlace.OpRead}} {
			_, err := zapsign.Adapter{}.Push(t.Context(), c, m)
			wantKind(t, err, enlace.ErrUnsupported, enlace.OutcomeNotRun)
		}
	})
}

// Writes that set fixed values are repeated when the answer is lost.
func TestFixedWritesAreRepeated(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, c *enlace.Conn, d zapsign.Document) error{
		"PUT /docs/{}/": func(ctx context.Context, c *enlace.Conn, d zapsign.Document) error {
			return zapsign.UpdateDocument(ctx, c, d.Token, zapsign.DocumentUpdate{Name: "x"})
		},
		"DELETE /docs/{}/": func(ctx context.Context, c *enlace.Conn, d zapsign.Document) error {
			_, err := zapsign.DeleteDocument(ctx, c, d.Token)
			return err
		},
		"POST /docs/{}/place-signatures/": func(ctx context.Context, c *enlace.Conn, d zapsign.Document) error {
			return zapsign.PlaceSignatures(ctx, c, d.Token, nil)
		},
		"PUT /docs/{}/document-display-order/": func(ctx context.Context, c *enlace.Conn, d zapsign.Document) error {
			return zapsign.ReorderDocuments(ctx, c, d.Token, []string{d.Token})
		},
		"POST /signers/{}/": func(ctx context.Context, c *enlace.Conn, d zapsign.Document) error {
			_, err := zapsign.UpdateSigner(ctx, c, d.Signers[0].Token, zapsign.SignerInput{Email: "x@example.com"})
			return err
		},
		"GET /docs/{}/": func(ctx context.Context, c *enlace.Conn, d zapsign.Document) error {
			_, err := zapsign.GetDocument(ctx, c, d.Token)
			return err
		},
	} {
		for _, kind := range lost {
			bubble(t, name, func(t *testing.T) {
				api, h, d, _ := stage(t, nil)
				api.Fault(zapsigntest.Fault{Route: name, Kind: kind})
				if err := run(t.Context(), h.conn(), d); err != nil {
					t.Error(err)
				}
				if n := effects(api, name); n < 1 || n > 2 {
					t.Errorf("sent %d times", n)
				}
			})
		}
	}
}

// The answer that cancelled a document may be lost too: the document tells.
func TestCancelWithLostAnswer(t *testing.T) {
	for name, kind := range lost {
		bubble(t, name, func(t *testing.T) {
			api, h, d, _ := stage(t, nil)
			api.Fault(zapsigntest.Fault{Route: "POST /refuse/", Kind: kind})
			if err := zapsign.CancelDocument(t.Context(), h.conn(), d.Token, "Pedido cancelado", false); err != nil {
				t.Error(err)
			}
			if n := effects(api, "POST /refuse/"); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
	bubble(t, "not done", func(t *testing.T) {
		api, h, d, _ := stage(t, nil)
		api.Fault(zapsigntest.Fault{Route: "POST /refuse/", Kind: zapsigntest.DropBefore})
		err := zapsign.CancelDocument(t.Context(), h.conn(), d.Token, "Pedido cancelado", false)
		wantKind(t, err, enlace.ErrUnavailable, enlace.OutcomeUnknown)
		api.Fault(zapsigntest.Fault{Route: "POST /refuse/", Kind: zapsigntest.DropBefore})
		api.Fault(zapsigntest.Fault{Route: "GET /docs/{}/", Kind: zapsigntest.Refuse, Status: http.StatusBadRequest})
		err = zapsign.CancelDocument(t.Context(), h.conn(), d.Token, "Pedido cancelado", false)
		wantKind(t, err, enlace.ErrUnavailable, enlace.OutcomeUnknown)
	})
}
