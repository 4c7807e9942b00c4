package zapsigntest_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// The cases of section 11 of the contract sheet, as far as they tell what the server does. What a
// receiver or an adapter should make of it is not tested here.

const createBody = `{"name":"Contrato 42","base64_pdf":"JVBERi0xLjQK","external_id":"ord-42","folder_path":"/crm/ord-42/","signers":[{"name":"Ana Prado","email":"ana@example.com","auth_mode":"assinaturaTela","send_automatic_email":false,"external_id":"c-1"}]}`

// contract creates the document of the cases with its one signer.
func contract(t *testing.T, api *zapsigntest.API) (document, signer string) {
	t.Helper()
	d, s := tokens(post(t, api, "docs/", createBody).want(t, 200, nil))
	return d, s[0]
}

var varying = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|Signature=[^&"]*|AWSAccessKeyId=[^&"]*|Expires=\d+|s3\.amazonaws\.com/[^?]*|\d{4}-\d\d-\d\dT[0-9:.]+Z`)

// masked replaces what varies, so that answers can be compared with the sheet's text, order of
// keys included.
func masked(text string) string { return varying.ReplaceAllString(text, "#") }

func TestT01CreateOneSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{DocumentedKeys: true}})
		time.Sleep(123 * time.Microsecond)
		for range 100 {
			post(t, api, "docs/", createBody).want(t, 200, nil)
		}
		const sheet = `{"sandbox":false,"external_id":"ord-42","open_id":101,"token":"11111111-0000-4000-8000-000000000101","name":"Contrato 42","folder_path":"/crm/ord-42/","folder_token":null,"status":"pending","rejected_reason":null,"lang":"pt-br","original_file":"https://zapsign.s3.amazonaws.com/2026/2/api/a.pdf?AWSAccessKeyId=X&Signature=Y&Expires=1770117630","signed_file":null,"extra_docs":[],"created_through":"api","deleted":false,"deleted_at":null,"signed_file_only_finished":false,"disable_signer_emails":false,"brand_logo":"","brand_primary_color":"","created_at":"2026-02-03T10:20:30.123456Z","last_update_at":"2026-02-03T10:20:30.123470Z","created_by":{"email":"owner@example.com"},"template":null,"signers":[{"external_id":"c-1","sign_url":"https://sandbox.app.zapsign.com.br/verificar/22222222-0000-4000-8000-000000000001","token":"22222222-0000-4000-8000-000000000001","status":"new","name":"Ana Prado","lock_name":false,"email":"ana@example.com","lock_email":false,"hide_email":false,"blank_email":false,"phone_country":"55","phone_number":"","lock_phone":false,"hide_phone":false,"blank_phone":false,"times_viewed":0,"last_view_at":null,"signed_at":null,"auth_mode":"assinaturaTela","qualification":"","require_selfie_photo":false,"require_document_photo":false,"geo_latitude":null,"geo_longitude":null,"redirect_link":"","signature_image":null,"visto_image":null,"document_photo_url":"","document_verse_photo_url":"","selfie_photo_url":"","selfie_photo_url2":"","send_via":"","resend_attempts":null,"cpf":"","cnpj":"","send_automatic_whatsapp_signed_file":null,"liveness_photo_url":"","selfie_validation_type":"none","ip":null}],"answers":[],"auto_reminder":0,"signature_report":null,"tsa_country":null,"use_timestamp":true,"metadata":[]}`
		if diff := cmp.Diff(masked(sheet), masked(post(t, api, "docs/", createBody).text)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestT02ProductionWithoutPlan(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Production: true, NoPlan: true}}})
	post(t, api, "https://api.zapsign.com.br/api/v1/docs/", createBody).wantText(t, 402, noPlan)
}

func TestT03BadToken(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	r := newRequest(t, api, "GET", "docs/?page=1", "")
	r.Header.Set("Authorization", "Bearer wrong")
	send(t, api, r).wantText(t, 403, `{"detail":"`+badToken+`"}`)
}

func TestT04ListWithSigners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		time.Sleep(123456 * time.Microsecond)
		contract(t, api)
		api.Seed(zapsigntest.Seed{Count: 25})
		r := get(t, api, "docs/?page=1&sort_order=asc&include_signers=true&created_from=2000-01-01").want(t, 200, map[string]string{
			"count": "26", "results.24.name": `"Contrato"`, "results.25": "null",
			"next": `"http://sandbox.api.zapsign.com.br/api/v1/docs/?created_from=2000-01-01&include_signers=true&page=2&sort_order=asc"`, "previous": "null",
		})
		const sheet = `{"open_id":1,"token":"11111111-0000-4000-8000-000000000101","status":"pending","name":"Contrato 42","original_file":"https://zapsign.s3.amazonaws.com/2026/2/api/a.pdf?AWSAccessKeyId=X&Signature=Z&Expires=1770118000","signed_file":null,"created_at":"2026-02-03T10:20:30.123456Z","last_update_at":"2026-02-03T10:20:30.123470Z","created_through":"api","deleted":false,"external_id":"ord-42","folder_path":"/crm/ord-42/","signers":[{"nome":"Ana Prado","email":"ana@example.com","status":"nao_abriu","link_para_assinar":"https://sandbox.app.zapsign.com.br/verificar/22222222-0000-4000-8000-000000000001","data_hora_primeira_abertura":null,"data_hora_assinatura":null}]}`
		if want := `"results":[` + masked(sheet); !strings.Contains(masked(r.text), want) {
			t.Errorf("%s\nlacks\n%s", masked(r.text), want)
		}
	})
}

func TestT05PagePastTheEnd(t *testing.T) {
	get(t, sandbox(t, zapsigntest.Options{}), "docs/?page=99").wantText(t, 404, `{"detail":"Página inválida."}`)
}

func TestT06DetailOfAnExtra(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := contract(t, api)
	extra := post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"Anexo I","base64_pdf":"JVBERi0xLjQK"}`).str("token")
	const sheet = `{"open_id":2,"token":"33333333-0000-4000-8000-000000000102","name":"Anexo I","original_file":"https://zapsign.s3.amazonaws.com/2026/2/api/b.pdf?AWSAccessKeyId=X&Signature=Y&Expires=1770117700","signed_file":null,"parent_doc_token":"11111111-0000-4000-8000-000000000101"}`
	if diff := cmp.Diff(masked(sheet), masked(get(t, api, "docs/"+extra+"/").text)); diff != "" {
		t.Error(diff)
	}
}

func TestT07NotFound(t *testing.T) {
	get(t, sandbox(t, zapsigntest.Options{}), "docs/00000000-0000-4000-8000-000000000000/").wantText(t, 404, `{"detail":"Não encontrado."}`)
}

func TestT08UpdateDocument(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := contract(t, api)
	call(t, api, "PUT", "docs/"+d+"/", `{"name":"Contrato 42 v2","date_limit_to_sign":"2026-03-01"}`).wantText(t, 200, `{"message":"Documento atualizado corretamente"}`)
	if r := get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{"name": `"Contrato 42 v2"`}); r.has("", "date_limit_to_sign") {
		t.Error(r.text)
	}
}

func TestT09ExtraLimitInTheSandbox(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := contract(t, api)
	for i := range 10 {
		r := post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"Anexo X","base64_pdf":"JVBERi0xLjQK"}`)
		if i == 9 && (r.status != 400 || !strings.Contains(r.text, "Limite de documentos extra (9) atingido.")) || i < 9 && r.status != 200 {
			t.Errorf("%d: %d %s", i+1, r.status, r.text)
		}
	}
}

func TestT10PlaceSignatures(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, s := contract(t, api)
	post(t, api, "docs/"+d+"/place-signatures/", `{"rubricas":[{"type":"signature","page":0,"relative_position_bottom":8.5,"relative_position_left":60,"relative_size_x":19.55,"relative_size_y":9.42,"signer_token":"`+s+`"}]}`).
		wantText(t, 200, "")
}

func TestT11UpdateAndResendWithinHalfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		_, s := contract(t, api)
		for range 2 {
			post(t, api, "signers/"+s+"/", `{"email":"ana.prado@example.com","send_automatic_email":true}`).
				want(t, 200, map[string]string{"resend_attempts": "null", "token": `"` + s + `"`, "email": `"ana.prado@example.com"`})
			time.Sleep(30 * time.Second)
		}
		if diff := cmp.Diff([]string{"request email ana.prado@example.com"}, sentTo(api)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestT12NullOnSignerUpdate(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	_, s := contract(t, api)
	post(t, api, "signers/"+s+"/", `null`).want(t, 500, nil)
}

func TestT13RemoveSigner(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, s := contract(t, api)
	second := post(t, api, "docs/"+d+"/add-signer/", `{"name":"Beto Lima"}`).str("token")
	call(t, api, "DELETE", "signer/"+second+"/remove/", "").wantText(t, 200, "Signatário removido com sucesso.")
	must(t, api.Sign(s))
	call(t, api, "DELETE", "signer/"+s+"/remove/", "").wantText(t, 400, "Erro: Não é possível remover um signatário que já assinou o documento")
}

func TestT14CancelTwice(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := contract(t, api)
	body := `{"doc_token":"` + d + `","rejected_reason":"Pedido cancelado","notify_signer":false}`
	post(t, api, "refuse/", body).wantText(t, 200, `{"message":"Documento cancelado com sucesso!"}`)
	get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{"status": `"recusado"`, "rejected_reason": `"Pedido cancelado"`, "deleted": "false"})
	post(t, api, "refuse/", body).wantText(t, 403, `{"success":false,"error_code":"document_already_refused","message":"Não se pode cancelar um documento que já foi cancelado/recusado"}`)
}

func TestT15CancelWithoutReason(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := contract(t, api)
	r := post(t, api, "refuse/", `{"doc_token":"`+d+`"}`).want(t, 400, map[string]string{"success": "false", "error_code": `"missing_rejected_reason"`})
	if r.str("message") == "" {
		t.Error(r.text)
	}
}

func TestT16Delete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{ListCache: -1})
		time.Sleep(100 * time.Microsecond)
		d, _ := contract(t, api)
		r := call(t, api, "DELETE", "docs/"+d+"/", "").want(t, 200, map[string]string{"deleted": "true", "status": `"pending"`, "token": `"` + d + `"`})
		if at := r.str("deleted_at"); !strings.HasPrefix(at, "2000-01-01T00:00:00.0001") || !strings.HasSuffix(at, "Z") {
			t.Errorf("deleted_at %s", at)
		}
		get(t, api, "docs/"+d+"/").want(t, 200, nil)
		get(t, api, "docs/?deleted=false").want(t, 200, map[string]string{"count": "0"})
		get(t, api, "docs/?deleted=true").want(t, 200, map[string]string{"results.0.token": `"` + d + `"`})
	})
}

func TestT17RateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		for i := range 500 {
			if r := get(t, api, "users/"); r.status != 200 {
				t.Fatalf("request %d: %d", i+1, r.status)
			}
		}
		get(t, api, "users/").wantText(t, 429, "")
		time.Sleep(time.Minute)
		get(t, api, "users/").want(t, 200, nil)
	})
}

func TestT18BulkResendCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		d, _ := contract(t, api)
		post(t, api, "docs/"+d+"/add-signer/", `{"name":"Beto Lima"}`)
		path := "docs/" + d + "/resend-notifications-bulk/"
		post(t, api, path, "").wantText(t, 200, `{"success":true,"total_signers":2,"sent_count":1,"failed_count":1,"failed_signers":[{"name":"Beto Lima","reason":"Sem email ou telefone"}],"has_order_active":false,"has_signature_groups":false}`)
		post(t, api, path, "").wantText(t, 429, `{"success":false,"error_code":"cooldown_period","message":"Aguarde o período de cooldown. Tempo restante: 5 horas"}`)
	})
}

func TestT19GroupsWithAGap(t *testing.T) {
	post(t, sandbox(t, zapsigntest.Options{}), "docs/", `{"name":"x","base64_pdf":"JVBERi0xLjQK","signature_order_active":true,"signers":[{"name":"a","order_group":1},{"name":"b","order_group":3}]}`).
		wantText(t, 400, `{"message":"A numeração dos grupos deve ser contínua. Valores esperados: [1, 2], valores fornecidos: [1, 3]"}`)
}

func TestT20RegisterWebhook(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	post(t, api, "user/company/webhook/", `{"url":"https://hub.example.com/in/zapsign/9f2c","type":"doc_signed","headers":[{"name":"X-Hub-Secret","value":"s3cr3t-32-bytes-or-more"}]}`).
		wantText(t, 200, `{"id":5512}`)
	call(t, api, "DELETE", "user/company/webhook/delete/", `{"id":5512}`).wantText(t, 200, "Webhook deletado com sucesso")
}

// signing has the two signers of T21 and T22 sign, and returns what a webhook got.
func signing(t *testing.T) (*zapsigntest.API, []received) {
	api, rc := hub(t, zapsigntest.Options{})
	d, _ := tokens(post(t, api, "docs/", strings.Replace(createBody, `"signers"`, `"metadata":[{"key":"deal","value":"42"}],"signers"`, 1)))
	beto := post(t, api, "docs/"+d+"/add-signer/", `{"name":"Beto Lima"}`).str("token")
	post(t, api, "user/company/webhook/", `{"url":"https://hub.example.com/in","type":"doc_signed","headers":[{"name":"X-Hub-Secret","value":"s3cr3t-32-bytes-or-more"}]}`)
	ana := get(t, api, "docs/"+d+"/").str("signers.0.token")
	must(t, api.Sign(ana))
	synctest.Wait()
	must(t, api.Sign(beto))
	synctest.Wait()
	return api, rc.all()
}

func TestT21FirstOfTwoSigners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, got := signing(t)
		if got[0].request.Header.Get("X-Hub-Secret") != "s3cr3t-32-bytes-or-more" {
			t.Errorf("%v", got[0].request.Header)
		}
		got[0].want(t, 0, map[string]string{
			"event_type": `"doc_signed"`, "status": `"pending"`, "external_id": `"ord-42"`, "metadata": `[{"key":"deal","value":"42"}]`, "signature_report": "null",
			"signers.0.status": `"signed"`, "signers.1.status": `"new"`, "signers.1.signed_at": "null", "signer_who_signed.external_id": `"c-1"`,
			"signer_who_signed.status": `"signed"`, "signer_who_signed.times_viewed": "1", "signer_who_signed.geo_latitude": `"-23.550000"`, "signer_who_signed.geo_longitude": `"-46.630000"`,
			"signer_who_signed.liveness_photo_url": `""`,
		})
		if got[0].at("signed_file") == nil || got[0].at("signer_who_signed.last_view_at") == nil || got[0].has("signer_who_signed", "notification_type") {
			t.Error(got[0].text)
		}
	})
}

func TestT22LastSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, got := signing(t)
		got[1].want(t, 0, map[string]string{"event_type": `"doc_signed"`, "status": `"signed"`, "signers.0.status": `"signed"`, "signers.1.status": `"signed"`})
		if r := plain(t, api, got[1].str("signed_file")); r.status != 200 {
			t.Errorf("%d", r.status)
		}
	})
}

func TestT23WebhooksOfARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "doc_refused")
		register(t, api, "doc_signed")
		_, s := tokens(create(t, api, `"allow_refuse_signature":true`))
		must(t, api.Refuse(s[0], "Valor divergente do combinado"))
		time.Sleep(time.Minute)
		got := rc.all()
		if len(got) != 2 || got[1].when.Sub(got[0].when) != 40*time.Second {
			t.Fatalf("%v", rc.events())
		}
		got[0].want(t, 0, map[string]string{
			"event_type": `"doc_refused"`, "status": `"recusado"`, "rejected_reason": `"Valor divergente do combinado"`, "deleted": "false", "signers.0.status": `"rejeitou"`,
		})
		if got[0].at("signers.0.signed_at") == nil || got[0].at("open_id") == nil {
			t.Error(got[0].text)
		}
		got[1].want(t, 0, map[string]string{"event_type": `"doc_signed"`, "status": `"recusado"`})
	})
}

func TestT24WebhookOfACompanyCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		registerAll(t, api)
		d, _ := contract(t, api)
		post(t, api, "refuse/", `{"doc_token":"`+d+`","rejected_reason":"Pedido cancelado"}`)
		time.Sleep(time.Minute)
		wantEvents(t, rc, "doc_created pending", "doc_signed recusado")
		last := rc.all()[1]
		if last.want(t, 0, map[string]string{"rejected_reason": `"Pedido cancelado"`}); last.has("", "signer_who_signed") {
			t.Error(last.text)
		}
	})
}

func TestT25EmailBounce(t *testing.T) { TestF48Bounce(t) }

func TestT26DocExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "doc_expired")
		create(t, api, `"date_limit_to_sign":"2000-03-01"`)
		time.Sleep(70 * 24 * time.Hour)
		rc.all()[0].want(t, 0, map[string]string{"status": `"pending"`, "event_type": `"doc_expired"`, "expiration_date": `"2000-03-01T23:59:59.000999+00:00"`})
	})
}

func TestT27SignatureNotificationSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		register(t, api, "signature_notification_sent")
		_, s := tokens(create(t, api, "", signerInput("Ana", `"email":"ana@example.com","send_automatic_email":true`)))
		synctest.Wait()
		got := rc.all()[0]
		got.want(t, 0, map[string]string{
			"event_type": `"signature_notification_sent"`, "created_signer.token": `"` + s[0] + `"`, "created_signer.notification_type": `"request"`,
			"created_signer.notification_channel": `"email"`, "created_signer.send_via": `"email"`,
		})
		if _, err := time.Parse(time.RFC3339, got.str("created_signer.sent_at")); err != nil {
			t.Error(got.text)
		}
	})
}

func TestT28Retry(t *testing.T) { TestF44Retry(t) }

// TestT29ForgedWebhook checks what tells a forged delivery from a real one: all real ones have the
// header, second attempts too.
func TestT29ForgedWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{})
		rc.answer = func(n int) int { return 401 }
		post(t, api, "user/company/webhook/", `{"url":"https://hub.example.com/in","type":"doc_created","headers":[{"name":"X-Hub-Secret","value":"s"}]}`)
		create(t, api, "")
		time.Sleep(time.Minute)
		if len(rc.all()) != 2 {
			t.Errorf("%v", rc.events())
		}
		for _, r := range rc.all() {
			if r.request.Header.Get("X-Hub-Secret") != "s" {
				t.Errorf("%v", r.request.Header)
			}
		}
	})
}

func TestT30UnknownEvent(t *testing.T) { TestF49UnknownEvent(t) }

func TestT31TimeoutAfterCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		get(t, api, "docs/?folder_path=/crm/ord-42/").want(t, 200, map[string]string{"count": "0"})
		for _, kind := range []zapsigntest.FaultKind{zapsigntest.DropAfter, zapsigntest.HangAfter} {
			api.Reset()
			api.Fault(zapsigntest.Fault{Route: "POST /docs/", Kind: kind})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			if response, err := client(api).Do(newRequest(t, api, "POST", "docs/", createBody).WithContext(ctx)); err == nil {
				t.Fatalf("answered %d", response.StatusCode)
			}
			cancel()
			time.Sleep(61 * time.Second)
			r := get(t, api, "docs/?folder_path=/crm/ord-42/").want(t, 200, map[string]string{"count": "1"})
			get(t, api, "docs/"+r.str("results.0.token")+"/").want(t, 200, map[string]string{"external_id": `"ord-42"`})
			if len(api.Documents()) != 1 {
				t.Errorf("%d documents", len(api.Documents()))
			}
		}
	})
}

func TestT32PlanInfoAbsent(t *testing.T) {
	get(t, sandbox(t, zapsigntest.Options{}), "info-plan/").wantText(t, 404, "Unable to find information about this plan")
	api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Plan: &zapsigntest.Plan{Name: "Pro", Credits: "99", Status: "paid", Period: "annual", CurrentPeriodEnd: "31-12-2026"}}}})
	get(t, api, "info-plan/").wantText(t, 200, `{"name":"Pro","number_of_credits":"99","status":"paid","period":"annual","current_period_end":"31-12-2026"}`)
}

func TestT33JWT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{LoginLimit: 3, Accounts: []zapsigntest.Account{{Username: "ana", Password: "pass"}}})
		login := func(password, path string) reply {
			return post(t, api, path, `{"username":"ana","password":"`+password+`"}`)
		}
		login("bad", "auth/token/735/").wantText(t, 401, `{"detail":"No active account found with the given credentials"}`)
		login("pass", "auth/token/999").want(t, 401, nil)
		pair := login("pass", "auth/token/735").want(t, 200, nil)
		login("pass", "auth/token/735/").want(t, 200, nil)
		login("pass", "auth/token/735/").wantText(t, 400, `{"message":"Rate limit exceeded"}`)
		with := func(access string) reply {
			r := newRequest(t, api, "GET", "docs/", "")
			r.Header.Set("Authorization", "Bearer "+access)
			return send(t, api, r)
		}
		with(pair.str("access")).want(t, 200, nil)
		with(pair.str("refresh")).want(t, 403, nil)
		time.Sleep(59 * time.Minute)
		refresh := func() reply { return post(t, api, "auth/token-refresh/", `{"refresh":"`+pair.str("refresh")+`"}`) }
		access := refresh().want(t, 200, nil).str("access")
		time.Sleep(time.Minute)
		with(pair.str("access")).wantText(t, 401, `{"detail":"Token is invalid or expired","code":"token_not_valid"}`)
		with(access).want(t, 200, nil)
		refresh().wantText(t, 401, `{"detail":"Token is invalid or expired","code":"token_not_valid"}`)
	})
}

func TestT34CreateFromTemplate(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	id := newTemplate(t, api, "Eu, {{NOME COMPLETO}}")
	r := post(t, api, "models/create-doc/", `{"template_id":"`+id+`","signer_name":"Ana Prado","data":[{"de":"{{NOME COMPLETO}}","para":"Ana Prado"}],"external_id":"ord-43"}`).
		want(t, 200, map[string]string{"answers": `[{"value":"Ana Prado","variable":"NOME COMPLETO"}]`, "external_id": `"ord-43"`, "signers.0.name": `"Ana Prado"`, "signers.1": "null"})
	if file := plain(t, api, r.str("original_file")); !strings.Contains(file.text, "(Eu, Ana Prado)") {
		t.Error(file.text)
	}
	post(t, api, "models/create-doc/", `{"template_id":"44444444-0000-4000-8000-000000000001","signer_name":"Ana Prado"}`).want(t, 404, nil)
}

func TestT35ExpiredFileURL(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	r := post(t, api, "docs/", createBody)
	api.Advance(3601 * time.Second)
	if old := plain(t, api, r.str("original_file")); old.status != 403 || !strings.HasPrefix(old.text, "<?xml") {
		t.Errorf("%d %s", old.status, old.text)
	}
	plain(t, api, get(t, api, "docs/"+r.str("token")+"/").str("original_file")).wantText(t, 200, "%PDF-1.4\n")
}
