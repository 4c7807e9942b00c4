package zapsigntest_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// newTemplate makes a template with this text and returns its token.
func newTemplate(t testing.TB, api *zapsigntest.API, text string) string {
	t.Helper()
	r := post(t, api, "templates/create/", `{"name":"Modelo","base64_docx":"`+base64.StdEncoding.EncodeToString([]byte(text))+`"}`)
	if r.status != 200 {
		t.Fatalf("%d %s", r.status, r.text)
	}
	return r.str("token")
}

func TestTemplates(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{}, {Token: "other"}}})
	folderToken := api.AddFolder("modelos")
	r := post(t, api, "templates/create/", `{"name":"Modelo","base64_docx":"`+docx(t, "{{NOME}} e {{CPF}} e {{NOME}}")+`","observers":["o@example.com"],"redirect_link":"https://x.example",
		"folder_token":"`+folderToken+`","first_signer":{"auth_mode":"tokenEmail","blank_phone":true,"qualification":"Aprovador"}}`).want(t, 200, map[string]string{
		"template_type": `"docx"`, "active": "true", "folder_path": `"/modelos/"`, "notify_extra_emails": `"o@example.com"`, "extra_templates": "[]", "custom_intro": `""`,
		"signers.0.auth_mode": `"tokenEmail"`, "signers.0.blank_phone": "true", "inputs.0.variable": `"{{NOME}}"`, "inputs.1.variable": `"{{CPF}}"`, "inputs.2": "null",
	})
	id := r.str("token")
	if file := plain(t, api, r.str("template_file")); file.status != 200 || !strings.HasPrefix(file.text, "PK") {
		t.Errorf("%d", file.status)
	}
	detail := get(t, api, "templates/"+id+"/").want(t, 200, map[string]string{"name": `"Modelo"`, "signers.0.qualification": `"Aprovador"`})
	if detail.has("", "notify_extra_emails") || !detail.has("", "inputs") {
		t.Error(detail.text)
	}
	call(t, api, "PUT", "templates/"+id+"/", `{"name":"Outro","lang":"es"}`).want(t, 200, map[string]string{"name": `"Outro"`, "lang": `"es"`, "signers.0.auth_mode": `"tokenEmail"`})
	call(t, api, "PUT", "templates/"+id+"/", `{"lang":"xx"}`).want(t, 400, nil)
	post(t, api, "templates/update-form/", `{"template_id":"`+id+`","custom_intro":"Oi","inputs":[{"variable":"{{CPF}}","input_type":"cpf","label":"Seu CPF","required":false,"order":7}]}`).
		want(t, 200, map[string]string{"custom_intro": `"Oi"`, "inputs.1.input_type": `"cpf"`, "inputs.1.order": "7", "inputs.0.input_type": `"input"`})
	post(t, api, "templates/update-form/", `{"template_id":"`+id+`","inputs":[{"variable":"{{X}}"}]}`).want(t, 400, nil)
	post(t, api, "templates/update-form/", `{"template_id":"`+id+`","inputs":[{"variable":"{{CPF}}","input_type":"x"}]}`).want(t, 400, nil)
	for _, bad := range []string{`{"name":"x"}`, `{"base64_docx":"eA=="}`, `{"name":"x","base64_docx":"eA==","docx_url":"https://x"}`, `{"name":"x","base64_docx":"%"}`} {
		post(t, api, "templates/create/", bad).want(t, 400, nil)
	}
	for range 20 {
		newTemplate(t, api, "x")
	}
	get(t, api, "templates/").want(t, 200, map[string]string{"count": "21", "results.0.name": `"Outro"`, "results.20": "null", "next": `"http://sandbox.api.zapsign.com.br/api/v1/templates/?page=2"`})
	call(t, api, "DELETE", "templates/"+id+"/", "").wantText(t, 200, `{"message":"Modelo excluído com sucesso."}`)
	get(t, api, "templates/").want(t, 200, map[string]string{"count": "20", "next": "null"})
	get(t, api, "templates/"+id+"/").want(t, 404, nil)
	post(t, api, "models/create-doc/", `{"template_id":"`+id+`","signer_name":"Ana"}`).want(t, 404, nil)
}

func TestExtraFromTemplate(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	id := newTemplate(t, api, "Anexo de {{NOME}}")
	d, s := tokens(create(t, api, ""))
	add := func(d, body string) reply { return post(t, api, "models/"+d+"/upload-extra-doc/", body) }
	r := add(d, `{"template_id":"`+id+`","data":[{"de":"{{NOME}}","para":"Ana"}]}`).want(t, 200, map[string]string{"name": `"Modelo"`, "signed_file": "null"})
	if file := plain(t, api, r.str("original_file")); !strings.Contains(file.text, "(Anexo de Ana)") {
		t.Errorf("%s", file.text)
	}
	add(d, `{}`).want(t, 400, nil)
	add(d, `{"template_id":"none"}`).want(t, 404, nil)
	add("none", `{"template_id":"`+id+`"}`).want(t, 404, nil)
	add(r.str("token"), `{"template_id":"`+id+`"}`).want(t, 400, nil)
	other := newTemplate(t, api, "x")
	call(t, api, "DELETE", "templates/"+other+"/", "")
	add(d, `{"template_id":"`+other+`"}`).want(t, 403, nil)
	must(t, api.Sign(s[0]))
	add(d, `{"template_id":"`+id+`"}`).want(t, 400, nil)
}

func TestTemplateDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		r := post(t, api, "templates/create/", `{"name":"Modelo","base64_docx":"eA==","lang":"es","folder_path":"/m","observers":["o@example.com"],"redirect_link":"https://x.example","first_signer":{"qualification":"Testemunha"}}`)
		id := r.str("token")
		made := post(t, api, "models/create-doc/async/", `{"template_id":"`+id+`","signer_name":"Ana","signer_email":"ana@example.com","send_automatic_email":true,"signer_has_incomplete_fields":true}`).want(t, 200, nil)
		time.Sleep(2 * time.Second)
		get(t, api, "docs/"+made.str("token")+"/").want(t, 200, map[string]string{
			"name": `"Modelo"`, "lang": `"es"`, "folder_path": `"/m/"`, "signers.0.qualification": `"Testemunha"`, "signers.0.redirect_link": `"https://x.example"`,
			"signers.0.email": `"ana@example.com"`, "answers": "[]", "template.token": `"` + id + `"`,
		})
		known, _ := api.Document(made.str("token"))
		if !known.Ordered || known.Observers[0] != "o@example.com" || len(api.Messages()) != 1 {
			t.Errorf("%+v", known)
		}
		post(t, api, "models/create-doc/", `{"signer_name":"Ana"}`).want(t, 400, nil)
		post(t, api, "models/create-doc/", `{"template_id":"`+id+`"}`).want(t, 400, nil)
		post(t, api, "models/create-doc/", `{"template_id":"`+id+`","signer_name":"Ana","data":{}}`).want(t, 406, nil)
	})
}

func TestUsers(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	post(t, api, "users/create-user", `{"email":"bia@example.com","first_name":"Bia"}`).wantText(t, 200, `{"message":"Usuário criado com sucesso."}`)
	for _, bad := range []string{`{}`, `{"email":"bia@example.com"}`, `{"email":"x@y","role":"owner"}`} {
		post(t, api, "users/create-user", bad).want(t, 400, nil)
	}
	get(t, api, "users/").want(t, 200, map[string]string{"count": "2", "results.0.user_group.name": `"owner"`, "results.1.email": `"bia@example.com"`, "results.1.user_group.name": `"self_docs_limited"`})
	call(t, api, "DELETE", "users/bia@example.com/", "").wantText(t, 200, `{"message":"Usuário excluído da organização com sucesso."}`)
	call(t, api, "DELETE", "users/bia@example.com/", "").want(t, 404, nil)
	call(t, api, "DELETE", "users/owner@example.com/", "").want(t, 400, nil)
}

func TestPartners(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Partner: true, Production: true}}})
	post(t, api, "partner/company/", `{"lang":"pt-br","company_name":"Acme"}`).wantText(t, 400, `{"message":"Invalid Input","data":{"country":["Este campo é obrigatório."]}}`)
	client := post(t, api, "partner/company/", `{"country":"br","lang":"pt-br","company_name":"Acme"}`).want(t, 200, map[string]string{"name": `"Acme"`, "credits_balance": "0"}).str("api_token")
	as := newRequest(t, api, "GET", "docs/", "")
	as.Header.Set("Authorization", "Bearer "+client)
	send(t, api, as).want(t, 200, map[string]string{"count": "0"})
	post(t, api, "partner/update-payment-status/", `{"client_api_token":"`+client+`","payment_status":"inadimplente"}`).wantText(t, 200, "Status atualizado com sucesso.")
	as = newRequest(t, api, "POST", "docs/", "{}")
	as.Header.Set("Authorization", "Bearer "+client)
	send(t, api, as).want(t, 402, nil)
	post(t, api, "partner/update-payment-status/", `{"client_api_token":"x","payment_status":"adimplente"}`).want(t, 404, nil)
	post(t, api, "partner/update-payment-status/", `{"client_api_token":"`+client+`","payment_status":"x"}`).want(t, 400, nil)
	if r := get(t, api, "info-plan/partners-csv/?start_date=2026-01-01&end_date=2026-01-31"); r.status != 200 || r.header.Get("Content-Type") != "text/csv" {
		t.Errorf("%d %s", r.status, r.text)
	}
	get(t, api, "info-plan/partners-csv/?start_date=2026-01-01&end_date=2026-03-01").wantText(t, 400, `{"non_field_errors":["Date range cannot exceed 30 days"]}`)
	plain := sandbox(t, zapsigntest.Options{})
	post(t, plain, "partner/company/", `{}`).wantText(t, 403, `{"detail":"Plan necesario para crear empresa parceira."}`)
	post(t, plain, "partner/update-payment-status/", `{}`).want(t, 403, nil)
}

func TestPDFServices(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	var stamped reply
	for _, path := range []string{"timestamp/", "timestamp/no-signature"} {
		r := newRequest(t, api, "POST", path, `{"url":"`+pdf+`"}`)
		r.Header.Set("Authorization", token) // these two take it raw
		link := send(t, api, r).want(t, 200, nil).str("url")
		stamped = plain(t, api, link)
		if stamped.status != 200 || !strings.HasPrefix(stamped.text, "%PDF-1.4\n") {
			t.Errorf("%d %q", stamped.status, stamped.text)
		}
	}
	post(t, api, "timestamp/", `{"url":"%"}`).want(t, 400, nil)
	without := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{NoTimestamp: true}}})
	post(t, without, "timestamp/", `{"url":"`+pdf+`"}`).wantText(t, 402, `{"error":"Payment Required"}`)

	validate := func(part, content string) reply {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		w, err := form.CreateFormFile(part, "a.pdf")
		must(t, err)
		fmt.Fprint(w, content)
		must(t, form.Close())
		r, err := http.NewRequestWithContext(t.Context(), "POST", api.BaseURL()+"validate-pdf-signature", &body)
		must(t, err)
		r.Header.Set("Content-Type", form.FormDataContentType())
		r.Header.Set("Authorization", "Bearer "+token)
		return send(t, api, r)
	}
	validate("file", stamped.text).want(t, 200, map[string]string{"isValid": "true"})
	validate("file", "%PDF").want(t, 200, map[string]string{"isValid": "false", "message": `"N/A"`, "authority": `"N/A"`})
	validate("other", "%PDF").wantText(t, 400, `{"error":"Nenhum arquivo foi enviado."}`)
}

func TestChecks(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	for _, bad := range []string{
		`{}`, `{"country":"BR","type":"company","user_authorized":false,"tax_id":"1"}`, `{"country":"BR","type":"company","user_authorized":true}`,
		`{"country":"BR","type":"person","user_authorized":true,"national_id":"1","region":"SP"}`, `{"country":"CO","type":"person","user_authorized":true}`,
	} {
		post(t, api, "checks/", bad).want(t, 400, nil)
	}
	id := post(t, api, "checks/", `{"country":"CO","type":"person","user_authorized":true,"national_id":"1"}`).want(t, 200, nil).str("check_id")
	if !strings.HasPrefix(id, "CHK") {
		t.Errorf("%s", id)
	}
	get(t, api, "checks/"+id+"/").want(t, 200, map[string]string{"pdf_report.status": `"not_started"`, "pdf_report.url": "null"})
	get(t, api, "checks/"+id+"/details/").want(t, 200, map[string]string{"details": "[]", "next": "null"})
	get(t, api, "checks/none/").wantText(t, 404, "Background check not found.")
	get(t, api, "checks/none/details/").want(t, 404, nil)
}
