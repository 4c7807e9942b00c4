package zapsigntest_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

func TestF10Create(t *testing.T) {
	for _, production := range []bool{false, true} {
		api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Production: production}}})
		app := "https://sandbox.app.zapsign.com.br/verificar/"
		if production {
			app = "https://app.zapsign.com.br/verificar/"
		}
		for i, given := range []string{"crm/ord", "/crm/ord", "/crm/ord/"} {
			r := create(t, api, `"folder_path":"`+given+`"`)
			_, s := tokens(r)
			r.want(t, 200, map[string]string{
				"open_id": strconv.Itoa(i + 1), "status": `"pending"`, "signed_file": "null", "sandbox": "false", "created_through": `"api"`,
				"folder_path": `"/crm/ord/"`, "folder_token": "null", "signers.0.status": `"new"`, "signers.0.times_viewed": "0",
				"signers.0.sign_url": `"` + app + s[0] + `"`, "signers.0.last_view_at": "null", "signers.0.signed_at": "null", "signers.0.geo_latitude": "null",
				"signers.0.signature_image": "null", "signers.0.resend_attempts": "null", "signers.0.send_automatic_whatsapp_signed_file": "null",
				"signers.0.ip": "null", "signers.0.phone_country": `"55"`, "signers.0.selfie_validation_type": `"none"`, "template": "null",
				"deleted_at": "null", "rejected_reason": "null", "signers.0.status_code": `"not-opened"`, "signers.0.first_opened_at": "null",
			})
		}
		if api.Credits(token) != 3 {
			t.Errorf("%d credits", api.Credits(token))
		}
	}
}

func TestCreateWithoutObservedKeys(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{DocumentedKeys: true}})
	r := create(t, api, "")
	if r.has("", "original_file_hash") || r.has("signers.0", "status_code") || r.has("signers.0", "first_opened_at") {
		t.Error(r.text)
	}
}

// docx makes a document of Word with this text.
func docx(t *testing.T, text string) string {
	t.Helper()
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	part, err := archive.Create("word/document.xml")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(part, "<w:document><w:body><w:p><w:r><w:t>%s</w:t></w:r></w:p></w:body></w:document>", text)
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(buffer.Bytes())
}

func TestCreateFromEverySource(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.pdf":
			io.WriteString(w, "%PDF-1.7 by address")
		case "/a.docx":
			io.WriteString(w, "plain text")
		default:
			http.NotFound(w, r)
		}
	})
	api := sandbox(t, zapsigntest.Options{Transport: handlerTransport{served}})
	for source, want := range map[string]string{
		`"base64_pdf":"` + pdf + `"`:                           "%PDF-1.4\n",
		`"url_pdf":"https://files.example.com/a.pdf"`:          "%PDF-1.7 by address",
		`"base64_docx":"` + docx(t, "Ol&amp; Ana") + `"`:       "(Ol& Ana)",
		`"url_docx":"https://files.example.com/a.docx"`:        "(plain text)",
		`"markdown_text":"# Contrato\nEntre as partes (duas)"`: `(Entre as partes \(duas\))`,
	} {
		r := post(t, api, "docs/", `{"name":"x",`+source+`,"signers":[{"name":"Ana"}]}`)
		r.want(t, 200, nil)
		if file := plain(t, api, r.str("original_file")); file.status != 200 || !strings.HasPrefix(file.text, "%PDF-") || !strings.Contains(file.text, want) {
			t.Errorf("%s: %d %q", source, file.status, file.text)
		}
	}
	for _, source := range []string{`"url_pdf":"https://files.example.com/none.pdf"`, `"url_pdf":"ftp://x"`, `"url_docx":"nothing"`} {
		if r := post(t, api, "docs/", `{"name":"x",`+source+`,"signers":[{"name":"Ana"}]}`); r.status != 400 {
			t.Errorf("%s: %d", source, r.status)
		}
	}
}

// handlerTransport asks a handler instead of the network.
type handlerTransport struct{ handler http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &memory{header: http.Header{}, status: 200}
	h.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

type memory struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (m *memory) Header() http.Header            { return m.header }
func (m *memory) WriteHeader(status int)         { m.status = status }
func (m *memory) Write(data []byte) (int, error) { return m.body.Write(data) }

func TestF11WhatACreateNeeds(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Users: []zapsigntest.User{{Email: "bia@example.com"}}}}})
	create(t, api, `"created_by":"nobody@example.com"`).want(t, 200, map[string]string{"created_by": `{"email":"owner@example.com"}`})
	create(t, api, `"created_by":"bia@example.com"`).want(t, 200, map[string]string{"created_by": `{"email":"bia@example.com"}`})
	file := `"base64_pdf":"` + pdf + `"`
	for _, body := range []string{
		`{"name":"x","signers":[{"name":"Ana"}]}`,
		`{"name":"x",` + file + `,"markdown_text":"y","signers":[{"name":"Ana"}]}`,
		`{` + file + `,"signers":[{"name":"Ana"}]}`,
		`{"name":"x",` + file + `,"signers":[]}`,
		`{"name":"x",` + file + `}`,
		`{"name":"x",` + file + `,"signers":[{"email":"ana@example.com"}]}`,
		`{"name":"x","base64_pdf":"%%%","signers":[{"name":"Ana"}]}`,
		`{"name":"x",` + file + `,"lang":"xx","signers":[{"name":"Ana"}]}`,
		`{"name":"x",` + file + `,"date_limit_to_sign":"tomorrow","signers":[{"name":"Ana"}]}`,
		`{"name":"x",` + file + `,"reminder_every_n_days":-1,"signers":[{"name":"Ana"}]}`,
		`{"name":"x",` + file + `,"folder_token":"none","signers":[{"name":"Ana"}]}`,
		`{"name":"x",` + file + `,"signers":[{"name":"Ana","auth_mode":"telepathy"}]}`,
		`{"name":"x",` + file + `,"signers":[{"name":"Ana","selfie_validation_type":"telepathy"}]}`,
		`{"name":"x",` + file + `,"signers":[{"name":"Ana","send_automatic_email":true}]}`,
		`{"name":"x",` + file + `,"signers":[{"name":"Ana","send_automatic_whatsapp":true}]}`,
		`{"name":"x",` + file + `,"signers":[{"name":"Ana","validate_cpf":true}]}`,
		`{"name":"x",` + file + `,"signers":[{"name":"Ana","phone_number":"1","send_automatic_whatsapp":true,"custom_message":"a\nb"}]}`,
		`{"name":"x",` + file + `,"one_click_active":true,"signers":[{"name":"Ana"}]}`,
		`{"name":"x",` + file + `,"one_click_active":true,"signers":[{"name":"Ana","email":"a@b","auth_mode":"tokenEmail"}]}`,
	} {
		if r := post(t, api, "docs/", body); r.status != 400 || r.str("message") == "" {
			t.Errorf("%s: %d %s", body, r.status, r.text)
		}
	}
	if got := len(api.Documents()); got != 2 {
		t.Errorf("%d documents", got)
	}
}

func TestF12Limits(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{FileLimit: 1000})
	file := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	body := func(name, more, file string) string {
		return `{"name":"` + name + `",` + more + `"base64_pdf":"` + file + `","signers":[{"name":"Ana"}]}`
	}
	long := func(n int) string { return strings.Repeat("é", n) }
	observers := func(n int) string {
		return `"observers":["` + strings.Join(slices.Repeat([]string{"a@b"}, n), `","`) + `"],`
	}
	for _, c := range []struct {
		body   string
		status int
	}{
		{body(long(255), "", pdf), 200}, {body(long(256), "", pdf), 400},
		{body("x", `"brand_name":"`+long(100)+`",`, pdf), 200}, {body("x", `"brand_name":"`+long(101)+`",`, pdf), 400},
		{body("x", observers(20), pdf), 200}, {body("x", observers(21), pdf), 400},
		{body("x", `"folder_path":"/a/b/c/d/e/",`, pdf), 200}, {body("x", `"folder_path":"/a/b/c/d/e/f/",`, pdf), 400},
		{body("x", `"folder_path":"/`+long(50)+`/",`, pdf), 200}, {body("x", `"folder_path":"/`+long(51)+`/",`, pdf), 400},
		{body("x", `"folder_path":"/a//b/",`, pdf), 400},
		{body("x", "", file(1000)), 200}, {body("x", "", file(1001)), 400},
		{body("x", "", "data:application/pdf;base64,"+pdf), 400},
	} {
		if r := post(t, api, "docs/", c.body); r.status != c.status {
			t.Errorf("%.80s: %d, want %d", c.body, r.status, c.status)
		}
	}
}

func TestF13EqualExternalIDs(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	a, b := create(t, api, `"external_id":"k"`), create(t, api, `"external_id":"k"`)
	if a.str("token") == b.str("token") || len(api.Documents()) != 2 {
		t.Error("one document")
	}
}

func TestF14ExternalID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "doc_created")
		unset, _ := tokens(create(t, api, ""))
		set, _ := tokens(create(t, api, `"external_id":"k"`))
		synctest.Wait()
		get(t, api, "docs/"+unset+"/").want(t, 200, map[string]string{"external_id": `""`})
		get(t, api, "docs/"+set+"/").want(t, 200, map[string]string{"external_id": `"k"`})
		get(t, api, "docs/?sort_order=asc").want(t, 200, map[string]string{"results.0.external_id": "null", "results.1.external_id": `"k"`})
		if rc.all()[1].at("external_id") != "k" {
			t.Error(rc.all()[1].text)
		}
	})
}

func TestF15NeverEchoed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "doc_created")
		r := create(t, api, `"date_limit_to_sign":"2030-01-01","signature_order_active":true,"observers":["o@example.com"],"allow_refuse_signature":true,"brand_name":"X","disable_signers_get_original_file":true`,
			signerInput("Ana", `"order_group":1,"custom_message":"oi","require_cpf":true`))
		d, s := tokens(r)
		synctest.Wait()
		for _, answer := range []reply{r, get(t, api, "docs/"+d+"/"), get(t, api, "docs/?include_signers=1"), get(t, api, "signers/"+s[0]+"/"), rc.all()[0].reply} {
			for _, key := range []string{"date_limit_to_sign", "signature_order_active", "observers", "allow_refuse_signature", "brand_name", "disable_signers_get_original_file", "order_group", "custom_message", "require_cpf"} {
				if strings.Contains(answer.text, `"`+key+`"`) {
					t.Errorf("%s in %s", key, answer.text)
				}
			}
		}
		known, _ := api.Document(d)
		if known.Observers[0] != "o@example.com" || known.BrandName != "X" || !known.Ordered || !known.AllowRefuse || known.Signers[0].Group != 1 ||
			known.Deadline.Format(time.RFC3339Nano) != "2030-01-01T23:59:59.000999Z" {
			t.Errorf("%+v", known)
		}
	})
}

func TestF16FileLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		time.Sleep(1234 * time.Millisecond)
		r := create(t, api, "")
		d, s := tokens(r)
		first := r.str("original_file")
		second := get(t, api, "docs/"+d+"/").str("original_file")
		if first == second {
			t.Error("the same link twice")
		}
		u, err := url.Parse(first)
		if err != nil || u.Scheme+"://"+u.Host != "https://zapsign.s3.amazonaws.com" || u.Query().Get("AWSAccessKeyId") == "" ||
			u.Query().Get("Expires") != strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10) {
			t.Errorf("%s", first)
		}
		plain(t, api, first).wantText(t, 200, "%PDF-1.4\n")
		if r := get(t, api, first); r.status != 400 || !strings.Contains(r.text, "<Error>") {
			t.Errorf("with Authorization: %d %s", r.status, r.text)
		}
		for _, bad := range []string{strings.Replace(first, "Signature=", "Signature=x", 1), strings.Replace(first, "Expires=", "Expires=9", 1), "https://zapsign.s3.amazonaws.com" + u.Path} {
			if r := plain(t, api, bad); r.status != 403 || !strings.HasPrefix(r.header.Get("Content-Type"), "application/xml") {
				t.Errorf("%s: %d", bad, r.status)
			}
		}
		if err := api.Sign(s[0]); err != nil {
			t.Fatal(err)
		}
		if r := plain(t, api, get(t, api, "docs/"+d+"/").str("signed_file")); r.status != 200 || !strings.HasPrefix(r.text, "%PDF-1.4\n") || len(r.text) < 12 {
			t.Errorf("%d %q", r.status, r.text)
		}
		time.Sleep(time.Hour)
		if r := plain(t, api, first); r.status != 403 || !strings.Contains(r.text, "Request has expired") {
			t.Errorf("%d %s", r.status, r.text)
		}
		quirky := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{FilesTakeAuthorization: true}})
		if r := get(t, quirky, create(t, quirky, "").str("original_file")); r.status != 200 {
			t.Errorf("%d", r.status)
		}
	})
}

func TestF17DetailOfAnExtra(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := tokens(create(t, api, ""))
	extra := post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"Anexo I","base64_pdf":"`+pdf+`"}`).want(t, 200, map[string]string{"open_id": "2"})
	if extra.has("", "parent_doc_token") {
		t.Error("parent_doc_token after the upload")
	}
	r := get(t, api, "docs/"+extra.str("token")+"/").want(t, 200, map[string]string{"parent_doc_token": `"` + d + `"`, "name": `"Anexo I"`, "signed_file": "null"})
	keys := []string{}
	for key := range r.body.(map[string]any) {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if diff := cmp.Diff([]string{"name", "open_id", "original_file", "parent_doc_token", "signed_file", "token"}, keys); diff != "" {
		t.Error(diff)
	}
	// An extra document is none of its own.
	for _, c := range []string{"PUT docs/#/", "DELETE docs/#/", "POST docs/#/add-signer/"} {
		verb, path, _ := strings.Cut(strings.ReplaceAll(c, "#", extra.str("token")), " ")
		if r := call(t, api, verb, path, `{}`); r.status != 404 {
			t.Errorf("%s: %d", c, r.status)
		}
	}
	if r := post(t, api, "docs/"+extra.str("token")+"/upload-extra-doc/", `{"name":"x","base64_pdf":"`+pdf+`"}`); r.status != 400 {
		t.Errorf("an extra of an extra: %d", r.status)
	}
}

func TestF18ExtraDocuments(t *testing.T) {
	for production, limit := range map[bool]int{false: 9, true: 14} {
		synctest.Test(t, func(t *testing.T) {
			rc := &receiver{}
			api := sandbox(t, zapsigntest.Options{Transport: rc, Accounts: []zapsigntest.Account{{Production: production}}})
			d, s := tokens(create(t, api, ""))
			for i := range limit {
				post(t, api, "docs/"+d+"/upload-extra-doc/", fmt.Sprintf(`{"name":"Anexo %02d","base64_pdf":"%s"}`, limit-i, pdf)).want(t, 200, nil)
			}
			post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"Anexo X","base64_pdf":"`+pdf+`"}`).
				want(t, 400, map[string]string{"message": fmt.Sprintf(`"Limite de documentos extra (%d) atingido."`, limit)})
			names := func(r reply) (names []string) {
				for i := range limit {
					names = append(names, r.str(fmt.Sprintf("extra_docs.%d.name", i)))
				}
				return names
			}
			if got := names(get(t, api, "docs/"+d+"/")); !slices.IsSorted(got) {
				t.Errorf("detail: %v", got)
			}
			register(t, api, "doc_viewed")
			shuffled := false
			for range 10 {
				if err := api.Open(s[0]); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			for _, delivery := range rc.all() {
				shuffled = shuffled || !slices.IsSorted(names(delivery.reply))
			}
			if !shuffled {
				t.Error("ten webhooks have the extra documents in order")
			}
			if api.Credits(token) != limit+1 {
				t.Errorf("%d credits", api.Credits(token))
			}
			if err := api.Sign(s[0]); err != nil {
				t.Fatal(err)
			}
			if get(t, api, "docs/"+d+"/").at("extra_docs.0.signed_file") == nil {
				t.Error("extra documents are not signed")
			}
		})
	}
}

func TestF19Update(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	folderToken := api.AddFolder("/pasta/")
	r := create(t, api, "")
	d, s := tokens(r)
	extra := post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"Anexo","base64_pdf":"`+pdf+`"}`).str("token")
	before := get(t, api, "docs/"+d+"/")
	call(t, api, "PUT", "docs/"+d+"/", `{"name":"Novo","folder_path":"/x","lang":"en","external_id":"no","extra_docs":[{"token":"`+extra+`","name":"Anexo II"}]}`).
		wantText(t, 200, `{"message":"Documento atualizado corretamente"}`)
	after := get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{
		"name": `"Novo"`, "folder_path": `"/x/"`, "lang": `"pt-br"`, "external_id": `""`, "extra_docs.0.name": `"Anexo II"`,
	})
	if after.str("last_update_at") <= before.str("last_update_at") || after.str("created_at") != before.str("created_at") {
		t.Errorf("%s and %s", before.str("last_update_at"), after.str("last_update_at"))
	}
	call(t, api, "PUT", "docs/"+d+"/", `{"folder_path":"/x","folder_token":"`+folderToken+`"}`).want(t, 200, nil)
	get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{"folder_path": `"/pasta/"`, "folder_token": `"` + folderToken + `"`, "name": `"Novo"`})
	for _, bad := range []string{`{"extra_docs":[{"token":"none","name":"x"}]}`, `{"date_limit_to_sign":"x"}`, `{"name":"` + strings.Repeat("x", 256) + `"}`} {
		if r := call(t, api, "PUT", "docs/"+d+"/", bad); r.status < 400 {
			t.Errorf("%.80s: %d", bad, r.status)
		}
	}
	if err := api.Sign(s[0]); err != nil {
		t.Fatal(err)
	}
	if r := call(t, api, "PUT", "docs/"+d+"/", `{"name":"x"}`); r.status != 400 {
		t.Errorf("signed: %d", r.status)
	}
}

func TestReorderEnvelope(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := tokens(create(t, api, ""))
	extra := func(name string) string {
		return post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"`+name+`","base64_pdf":"`+pdf+`"}`).str("token")
	}
	a, b := extra("a"), extra("b")
	order := func(tokens ...string) reply {
		return call(t, api, "PUT", "docs/"+d+"/document-display-order/", `{"document_display_order":["`+strings.Join(tokens, `","`)+`"]}`)
	}
	order(b, d, a).wantText(t, 200, `{"message":"Documento atualizado corretamente"}`)
	if known, _ := api.Document(d); !slices.Equal(known.Extras, []string{b, a}) {
		t.Errorf("%v", known.Extras)
	}
	for _, bad := range [][]string{{b, a}, {b, d, a, a}, {b, d, "x"}} {
		if r := order(bad...); r.status != 400 {
			t.Errorf("%v: %d", bad, r.status)
		}
	}
}

func TestF20Delete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "")
		d, s := tokens(create(t, api, ""))
		first := call(t, api, "DELETE", "docs/"+d+"/", "").want(t, 200, map[string]string{"deleted": "true", "status": `"pending"`})
		second := call(t, api, "DELETE", "docs/"+d+"/", "").want(t, 200, map[string]string{"deleted": "true"})
		if first.str("deleted_at") == "" || first.str("deleted_at") != second.str("deleted_at") {
			t.Errorf("%s and %s", first.str("deleted_at"), second.str("deleted_at"))
		}
		get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{"deleted": "true"})
		if err := api.Sign(s[0]); err != nil {
			t.Errorf("the signers of a deleted document can sign: %v", err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"doc_created pending", "doc_deleted pending", "doc_signed signed"}, rc.events()); diff != "" {
			t.Error(diff)
		}
		quirky := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{DeletedStopsSigning: true}})
		d, s = tokens(create(t, quirky, ""))
		call(t, quirky, "DELETE", "docs/"+d+"/", "")
		if quirky.Sign(s[0]) != zapsigntest.ErrClosed {
			t.Error("signed")
		}
	})
}

func TestF21PlaceSignatures(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, s := tokens(create(t, api, ""))
	place := func(body string) reply { return post(t, api, "docs/"+d+"/place-signatures/", body) }
	place(`{"rubricas":[{"page":0},{"page":1}]}`).wantText(t, 200, "")
	place(`{"rubricas":[{"type":"visto","page":-3,"relative_position_bottom":8.5,"relative_position_left":600,"relative_size_x":19.55,"relative_size_y":9.42,"signer_token":"`+s[0]+`"}]}`).
		wantText(t, 200, "")
	known, _ := api.Document(d)
	want := []zapsigntest.Placement{{Type: "visto", Page: -3, Left: 600, Bottom: 8.5, Width: 19.55, Height: 9.42, SignerToken: s[0]}}
	if diff := cmp.Diff(want, known.Placements); diff != "" {
		t.Error(diff)
	}
	place(`{"rubricas":[]}`).wantText(t, 200, "")
	if known, _ = api.Document(d); len(known.Placements) != 0 {
		t.Errorf("%v", known.Placements)
	}
	extra := post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"x","base64_pdf":"`+pdf+`"}`).str("token")
	post(t, api, "docs/"+extra+"/place-signatures/", `{"rubricas":[{"page":0}]}`).wantText(t, 200, "")
	if r := place(`{}`); r.status != 400 {
		t.Errorf("%d", r.status)
	}
	if r := place(`{"rubricas":[{"page":"x"}]}`); r.status != 406 {
		t.Errorf("%d", r.status)
	}
}

func TestF22Cancel(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, s := tokens(create(t, api, "", signerInput("Ana", `"email":"ana@example.com"`), signerInput("Beto", "")))
	body := func(token string) string {
		return `{"doc_token":"` + token + `","rejected_reason":"Pedido cancelado","notify_signer":true}`
	}
	without := newRequest(t, api, "POST", "refuse/", body(d))
	without.Header["User-Agent"] = []string{""}
	if r := send(t, api, without); r.status != 400 {
		t.Errorf("without User-Agent: %d", r.status)
	}
	quirky := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{UserAgent403: true}})
	without = newRequest(t, quirky, "POST", "refuse/", body(d))
	without.Header["User-Agent"] = []string{""}
	if r := send(t, quirky, without); r.status != 403 {
		t.Errorf("without User-Agent: %d", r.status)
	}
	refuse := func(body string) reply { return post(t, api, "refuse/", body) }
	refuse(`{"rejected_reason":"x"}`).want(t, 400, map[string]string{"success": "false", "error_code": `"missing_doc_token"`})
	refuse(`{"doc_token":"`+d+`"}`).want(t, 400, map[string]string{"error_code": `"missing_rejected_reason"`})
	refuse(body("none")).want(t, 404, map[string]string{"error_code": `"document_not_found"`})
	refuse(body(d)).wantText(t, 200, `{"message":"Documento cancelado com sucesso!"}`)
	got := get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{"status": `"recusado"`, "rejected_reason": `"Pedido cancelado"`, "deleted": "false", "signers.0.status": `"new"`})
	if got.at("signed_file") == nil {
		t.Error("no signed_file")
	}
	if sent := api.Messages(); len(sent) != 1 || sent[0].Kind != "canceled" || sent[0].To != "ana@example.com" {
		t.Errorf("%+v", sent)
	}
	refuse(body(d)).want(t, 403, map[string]string{"error_code": `"document_already_refused"`})
	if api.Sign(s[0]) != zapsigntest.ErrClosed {
		t.Error("signed a canceled document")
	}
	d, s = tokens(create(t, api, ""))
	if err := api.Sign(s[0]); err != nil {
		t.Fatal(err)
	}
	refuse(body(d)).want(t, 403, map[string]string{"error_code": `"document_already_signed"`})
	d, _ = tokens(create(t, api, ""))
	call(t, api, "DELETE", "docs/"+d+"/", "")
	refuse(body(d)).want(t, 403, map[string]string{"error_code": `"refuse_not_allowed"`})
}

func TestF23Reprocess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "")
		register(t, api, "doc_viewed")
		d, s := tokens(create(t, api, ""))
		again := func(body string) {
			t.Helper()
			r := post(t, api, "docs/"+d+"/reprocess-doc/", body)
			if r.status != 200 || !strings.HasPrefix(r.text, "Documento reprocessado com sucesso.") || r.body != nil {
				t.Errorf("%d %s", r.status, r.text)
			}
			time.Sleep(2 * time.Second)
		}
		again(`{}`)
		again(`{"send_webhook":true}`)
		if err := api.Open(s[0]); err != nil {
			t.Fatal(err)
		}
		again(`{"send_webhook":true}`)
		again(`{"resign_doc":true}`) // nothing to sign again
		if err := api.Sign(s[0]); err != nil {
			t.Fatal(err)
		}
		again(`{"resign_doc":true}`)
		if diff := cmp.Diff([]string{
			"doc_created pending", "doc_created pending", "doc_viewed pending", "doc_viewed pending", "doc_signed signed", "doc_signed signed",
		}, rc.events()); diff != "" {
			t.Error(diff)
		}
		post(t, api, "docs/none/reprocess-doc/", `{}`).wantText(t, 404, `{"detail":"Não encontrado."}`)
	})
}

func TestAsyncCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		r := post(t, api, "docs/async/", `{"name":"x","base64_pdf":"`+pdf+`","signers":[{"name":"Ana"}]}`)
		r.wantText(t, 200, `{"token":"`+r.str("token")+`"}`)
		if r := get(t, api, "docs/"+r.str("token")+"/"); r.status != 404 {
			t.Errorf("at once: %d", r.status)
		}
		time.Sleep(2 * time.Second)
		get(t, api, "docs/"+r.str("token")+"/").want(t, 200, map[string]string{"name": `"x"`})
		if r := post(t, api, "docs/async/", `{}`); r.status != 400 {
			t.Errorf("%d", r.status)
		}
	})
}

func TestOneClick(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	r := create(t, api, `"one_click_active":true,"require_signature":true`, signerInput("Ana", `"email":"ana@example.com"`))
	_, s := tokens(r)
	r.want(t, 200, map[string]string{
		"one_click_active": "true", "require_signature": "true", "signers.0.sign_url": `"https://sandbox.app.zapsign.com.br/verificar/oneclick/` + s[0] + `"`,
	})
	if r := plain(t, api, r.str("signers.0.sign_url")); r.status != 200 {
		t.Errorf("%d", r.status)
	}
	if other := create(t, api, ""); other.has("", "one_click_active") {
		t.Error(other.text)
	}
}

func TestActivityLog(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, s := tokens(create(t, api, ""))
	if err := api.Sign(s[0]); err != nil {
		t.Fatal(err)
	}
	r := get(t, api, "docs/signer-log/"+d).want(t, 200, nil)
	if at := r.str("0.time"); len(at) < 25 || at[10] != ' ' || !strings.HasSuffix(at, "+00:00") || len(r.body.([]any)) != 3 {
		t.Errorf("%s", r.text)
	}
	if r := get(t, api, "docs/signer-log/"+d+"?download_pdf=true"); r.header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(r.text, "%PDF") {
		t.Errorf("%.40s", r.text)
	}
	if r := get(t, api, "docs/signer-log/none"); r.status != 404 {
		t.Errorf("%d", r.status)
	}
	without := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{NoActivityLog: true}}})
	d, _ = tokens(create(t, without, ""))
	if r := get(t, without, "docs/signer-log/"+d); r.status != 403 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || !strings.Contains(r.text, "Access denied") {
		t.Errorf("%d %s", r.status, r.text)
	}
}

func TestDownloadsGoThroughTheTransportWithinTheLimit(t *testing.T) {
	big := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1001)) })
	api := sandbox(t, zapsigntest.Options{FileLimit: 1000, Transport: handlerTransport{big}})
	if r := post(t, api, "docs/", `{"name":"x","url_pdf":"https://a.example/b","signers":[{"name":"Ana"}]}`); r.status != 400 {
		t.Errorf("%d", r.status)
	}
	if err := api.Settle(context.Background()); err != nil {
		t.Error(err)
	}
}
