package zapsigntest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// sentTo returns kind, channel and receiver of all messages.
func sentTo(api *zapsigntest.API) []string {
	sent := []string{}
	for _, m := range api.Messages() {
		sent = append(sent, m.Kind+" "+m.Channel+" "+m.To)
	}
	return sent
}

func TestF32AddSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "created_signer")
		d, _ := tokens(create(t, api, ""))
		r := post(t, api, "docs/"+d+"/add-signer/", `{"name":"Beto","auth_mode":"assinatura_tela-tokenWhatsApp","phone_number":"11999999999"}`).
			want(t, 200, map[string]string{"name": `"Beto"`, "auth_mode": `"assinaturaTela-tokenWhatsapp"`, "status": `"new"`})
		if r.str("sign_url") != "https://sandbox.app.zapsign.com.br/verificar/"+r.str("token") {
			t.Error(r.text)
		}
		synctest.Wait()
		got := rc.all()
		if len(got) != 1 || got[0].str("event_type") != "created_signer" || got[0].str("created_signer.token") != r.str("token") ||
			got[0].str("created_signer.notification_type") != "request" || got[0].str("signers.1.name") != "Beto" {
			t.Errorf("%v", rc.events())
		}
		post(t, api, "docs/"+d+"/add-signer/", `{}`).want(t, 400, nil)

		d, s := tokens(create(t, api, "", signerInput("Ana", `"auth_mode":"certificadoDigital"`), signerInput("Beto", "")))
		if err := api.Sign(s[0]); err != nil {
			t.Fatal(err)
		}
		post(t, api, "docs/"+d+"/add-signer/", `{"name":"Caio"}`).want(t, 400, nil)
		if err := api.Sign(s[1]); err != nil {
			t.Fatal(err)
		}
		post(t, api, "docs/"+d+"/add-signer/", `{"name":"Caio"}`).want(t, 400, nil)
	})
}

func TestF33UpdateSigner(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	_, s := tokens(create(t, api, "", signerInput("Ana", `"email":"ana@example.com","signature_placement":"<<ana>>"`)))
	path := "signers/" + s[0] + "/"
	post(t, api, path, `{"email":"nova@example.com","lock_email":true,"custom_message":"ignored"}`).
		want(t, 200, map[string]string{"email": `"nova@example.com"`, "lock_email": "true", "name": `"Ana"`})
	get(t, api, path).want(t, 200, map[string]string{"email": `"nova@example.com"`, "delegator": "null", "signature_anchor_text": `"<<ana>>"`, "rubrica_anchor_text": `""`})
	post(t, api, path, `{"email":""}`).want(t, 200, map[string]string{"email": `""`})
	post(t, api, path, `{"name":""}`).want(t, 400, nil)
	post(t, api, path, `{"lock_name":"yes"}`).want(t, 406, nil)
	get(t, api, path).want(t, 200, map[string]string{"name": `"Ana"`})
	call(t, api, "PUT", path, `{"name":"x"}`).want(t, 405, nil)
	if err := api.Sign(s[0]); err != nil {
		t.Fatal(err)
	}
	post(t, api, path, `{"name":"x"}`).want(t, 400, nil)
	post(t, api, "signers/none/", `{"name":"x"}`).want(t, 404, nil)
}

func TestF34ResendWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "signature_notification_sent")
		_, s := tokens(create(t, api, "", signerInput("Ana", `"email":"ana@exmaple.com","send_automatic_email":true,"custom_message":"Oi, Ana"`)))
		again := func(email string) reply {
			t.Helper()
			return post(t, api, "signers/"+s[0]+"/", `{"email":"`+email+`","send_automatic_email":true}`)
		}
		time.Sleep(29*time.Minute + 30*time.Second)
		again("ana@example.com").want(t, 200, map[string]string{"resend_attempts": "null", "email": `"ana@example.com"`})
		time.Sleep(31 * time.Second) // not extended by the attempt that was dropped
		again("ana@example.com").want(t, 200, map[string]string{"resend_attempts": `{"email":1,"sms":0,"whatsapp":0}`, "send_via": `"email"`})
		again("ana@example.com")
		post(t, api, "signers/"+s[0]+"/", `{"email":"x@example.com"}`)
		synctest.Wait()
		if diff := cmp.Diff([]string{"request email ana@exmaple.com", "request email ana@example.com"}, sentTo(api)); diff != "" {
			t.Error(diff)
		}
		if m := api.Messages(); m[0].Text != "Oi, Ana" || m[1].Text != "" {
			t.Errorf("%+v", m)
		}
		if len(rc.all()) != 2 {
			t.Errorf("%v", rc.events())
		}
	})
}

func TestF35RemoveSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "doc_signed")
		d, s := tokens(create(t, api, "", signerInput("Ana", ""), signerInput("Beto", ""), signerInput("Caio", "")))
		remove := func(token string) reply { return call(t, api, "DELETE", "signer/"+token+"/remove/", "") }
		remove(s[2]).wantText(t, 200, "Signatário removido com sucesso.")
		if r := get(t, api, "signers/"+s[2]+"/"); r.status != 404 {
			t.Errorf("%d", r.status)
		}
		if err := api.Sign(s[0]); err != nil {
			t.Fatal(err)
		}
		remove(s[0]).wantText(t, 400, "Erro: Não é possível remover um signatário que já assinou o documento")
		remove(s[1]).wantText(t, 200, "Signatário removido com sucesso.")
		get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{"status": `"signed"`})
		synctest.Wait()
		if diff := cmp.Diff([]string{"doc_signed pending", "doc_signed signed"}, rc.events()); diff != "" {
			t.Error(diff)
		}
		_, s = tokens(create(t, api, ""))
		if r := remove(s[0]); r.status != 400 || !strings.HasPrefix(r.text, "Erro: ") {
			t.Errorf("the only signer: %d %s", r.status, r.text)
		}
		d, s = tokens(create(t, api, "", signerInput("Ana", ""), signerInput("Beto", "")))
		post(t, api, "refuse/", `{"doc_token":"`+d+`","rejected_reason":"x"}`)
		if r := remove(s[0]); r.status != 400 {
			t.Errorf("of a canceled document: %d %s", r.status, r.text)
		}
	})
}

func TestF36Groups(t *testing.T) {
	group := func(name string, n int) string {
		return signerInput(name, fmt.Sprintf(`"email":"%s@example.com","send_automatic_email":true,"order_group":%d`, name, n))
	}
	api := sandbox(t, zapsigntest.Options{})
	_, s := tokens(create(t, api, `"signature_order_active":true`, group("c", 2), group("a", 1), group("b", 1)))
	sent := []string{"request email a@example.com", "request email b@example.com"}
	check := func() {
		t.Helper()
		if diff := cmp.Diff(sent, sentTo(api)); diff != "" {
			t.Error(diff)
		}
	}
	check()
	if err := api.Sign(s[1]); err != nil {
		t.Fatal(err)
	}
	check()
	if err := api.Sign(s[2]); err != nil {
		t.Fatal(err)
	}
	sent = append(sent, "request email c@example.com")
	check()

	_, s = tokens(create(t, api, `"signature_order_active":true`, group("a", 0), group("b", 1)))
	if err := api.Sign(s[1]); err != nil {
		t.Errorf("out of order: %v", err)
	}
	api = sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{BlockOutOfOrder: true}})
	_, s = tokens(create(t, api, `"signature_order_active":true`, group("a", 0), group("b", 1)))
	if err := api.Sign(s[1]); err != zapsigntest.ErrNotTheirTurn {
		t.Errorf("out of order: %v", err)
	}
	// Without numbers everybody is a group of their own, in the order given.
	api = sandbox(t, zapsigntest.Options{})
	d, _ := tokens(create(t, api, `"signature_order_active":true`, signerInput("a", `"email":"a@example.com","send_automatic_email":true`),
		signerInput("b", `"email":"b@example.com","send_automatic_email":true`)))
	sent = []string{"request email a@example.com"}
	check()
	call(t, api, "DELETE", "signature-group/"+d+"/", "").want(t, 200, nil)
	sent = append(sent, "request email b@example.com")
	check()
}

func TestGroupNumbers(t *testing.T) {
	body := func(groups ...string) string {
		signers := []string{}
		for _, group := range groups {
			more := ""
			if group != "" {
				more = `"order_group":` + group
			}
			signers = append(signers, signerInput("x", more))
		}
		return `{"name":"x","signature_order_active":true,"base64_pdf":"` + pdf + `","signers":[` + strings.Join(signers, ",") + `]}`
	}
	const missing = "Há signatários neste documento que não foram incluídos em nenhum grupo."
	const gap = "A numeração dos grupos deve ser contínua. Valores esperados: "
	for _, c := range []struct {
		body, message string
		strict        bool
	}{
		{body("1", "2", "2"), "", false}, {body("0", "1"), "", false}, {body("0", "1"), "", true},
		{body("0", "2", "3"), gap + "[0, 1, 2], valores fornecidos: [0, 2, 3]", false},
		{body("1", "3"), gap + "[1, 2], valores fornecidos: [1, 3]", false},
		{body("5"), gap + "[1], valores fornecidos: [5]", false},
		{body("1", ""), missing, false},
		{body("1", "2"), "A ordem dos grupos de signatários deve começar por 0. Primeiro grupo encontrado: 1", true},
	} {
		api := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{GroupsFromZero: c.strict}})
		r := post(t, api, "docs/", c.body)
		if c.message == "" && r.status != 200 || c.message != "" && (r.status != 400 || r.str("message") != c.message) {
			t.Errorf("%s: %d %s, want %q", c.body, r.status, r.text, c.message)
		}
	}
}

func TestF37BulkResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{}, {Token: "other"}}})
		d, s := tokens(create(t, api, "", signerInput("Ana", `"email":"ana@example.com"`), signerInput("Beto Lima", ""), signerInput("Caio", `"phone_number":"11999999999"`)))
		path := "docs/" + d + "/resend-notifications-bulk/"
		post(t, api, path, "").want(t, 200, map[string]string{
			"success": "true", "total_signers": "3", "sent_count": "2", "failed_count": "1", "has_order_active": "false", "has_signature_groups": "false",
			"failed_signers": `[{"name":"Beto Lima","reason":"Sem email ou telefone"}]`,
		})
		if diff := cmp.Diff([]string{"request email ana@example.com", "request whatsapp 5511999999999"}, sentTo(api)); diff != "" {
			t.Error(diff)
		}
		time.Sleep(4*time.Hour + time.Second)
		post(t, api, path, "").want(t, 429, map[string]string{"success": "false", "error_code": `"cooldown_period"`, "message": `"Aguarde o período de cooldown. Tempo restante: 60 minutos"`})
		if api.Stats().RateLimited != 0 {
			t.Error("the cooldown counts as a limit of requests")
		}
		time.Sleep(time.Hour)
		post(t, api, path, "").want(t, 200, nil)
		for _, bearer := range []string{"other", "wrong"} {
			r := newRequest(t, api, "POST", path, "")
			r.Header.Set("Authorization", "Bearer "+bearer)
			send(t, api, r).want(t, 403, map[string]string{"error_code": `"permission_denied"`})
		}
		for _, token := range s {
			if err := api.Sign(token); err != nil {
				t.Fatal(err)
			}
		}
		post(t, api, path, "").want(t, 400, map[string]string{"error_code": `"document_not_in_progress"`})
		d, _ = tokens(create(t, api, ""))
		post(t, api, "docs/"+d+"/resend-notifications-bulk/", "").want(t, 200, map[string]string{"success": "false", "sent_count": "0"})
		post(t, api, "docs/none/resend-notifications-bulk/", "").want(t, 404, nil)
	})
}

func TestF38BatchSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "doc_signed")
		user := api.UserToken("owner@example.com")
		d1, s1 := tokens(create(t, api, ""))
		d2, s2 := tokens(create(t, api, "", signerInput("Dona", `"email":"owner@example.com"`)))
		_, other := tokens(create(t, api, "", signerInput("Ana", `"email":"ana@example.com"`)))
		_, coded := tokens(create(t, api, "", signerInput("Ana", `"auth_mode":"certificadoDigital"`)))
		sign := func(user string, tokens ...string) reply {
			return post(t, api, "sign/", `{"user_token":"`+user+`","signer_tokens":["`+strings.Join(tokens, `","`)+`"]}`)
		}
		sign(user, s1[0], "none").wantText(t, 404, `{"detail":"Não encontrado."}`)
		sign("none", s1[0]).want(t, 404, nil)
		sign(user, other[0]).want(t, 400, nil)
		sign(user, coded[0]).want(t, 400, nil)
		if r := sign(user, s1[0], s2[0]); r.status != 200 || !strings.HasPrefix(r.str("message"), "Documento(s) assinado(s) com sucesso.") {
			t.Errorf("%d %s", r.status, r.text)
		}
		get(t, api, "docs/"+d1+"/").want(t, 200, map[string]string{"status": `"pending"`})
		time.Sleep(2 * time.Second)
		for _, d := range []string{d1, d2} {
			get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{"status": `"signed"`})
		}
		if len(rc.all()) != 2 {
			t.Errorf("%v", rc.events())
		}
	})
}

func TestRefuseByUser(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	user := api.UserToken("owner@example.com")
	refuse := func(d, s string) reply {
		return post(t, api, "refuse/by-user/", `{"doc_token":"`+d+`","user_token":"`+user+`","signer_token":"`+s+`","rejected_reason":"não"}`)
	}
	d, s := tokens(create(t, api, "", signerInput("Dona", `"email":"owner@example.com"`)))
	refuse(d, s[0]).wantText(t, 403, `{"error":"A reprovação deste documento não é permitida."}`)
	d, s = tokens(create(t, api, `"allow_refuse_signature":true`, signerInput("Ana", `"email":"ana@example.com"`), signerInput("Dona", `"email":"owner@example.com"`)))
	refuse(d, s[0]).wantText(t, 400, `{"error":"O e-mail do signatário e do usuário são diferentes"}`)
	refuse(d, "none").want(t, 404, nil)
	refuse("none", s[1]).want(t, 404, nil)
	if r := refuse(d, s[1]); r.status != 200 || !strings.HasPrefix(r.str("message"), "Documento recusado com sucesso.") {
		t.Errorf("%d %s", r.status, r.text)
	}
	get(t, api, "docs/"+d+"/").want(t, 200, map[string]string{"status": `"recusado"`, "rejected_reason": `"não"`, "signers.1.status": `"rejeitou"`})
}

func TestPeople(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	_, s := tokens(create(t, api, `"allow_refuse_signature":true,"observers":["o@example.com"]`,
		signerInput("Ana", `"phone_number":"11999999999","send_automatic_whatsapp_signed_file":true`)))
	for what, err := range map[string]error{
		"open": api.Open("none"), "sign": api.Sign("none"), "refuse": api.Refuse("none", "x"), "read": api.ConfirmReading("none"),
		"bounce": api.Bounce("none"), "fail": api.FailAuthentication("none", "x"), "check": api.CompleteCheck("none", 1),
	} {
		if !errors.Is(err, zapsigntest.ErrUnknownToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := api.Refuse(s[0], "too short a one"); err != zapsigntest.ErrReasonTooShort {
		t.Errorf("%v", err)
	}
	if err := api.Sign(s[0]); err != nil {
		t.Error(err)
	}
	if api.Sign(s[0]) != zapsigntest.ErrClosed || api.Refuse(s[0], strings.Repeat("x", 22)) != zapsigntest.ErrClosed || api.ConfirmReading(s[0]) != zapsigntest.ErrClosed {
		t.Error("acted on after signing")
	}
	if diff := cmp.Diff([]string{"completed email o@example.com", "signed_file whatsapp 5511999999999"}, sentTo(api)); diff != "" {
		t.Error(diff)
	}
	_, s = tokens(create(t, api, ""))
	if api.Refuse(s[0], strings.Repeat("x", 22)) != zapsigntest.ErrMayNotRefuse {
		t.Error("refused what may not be refused")
	}
}

func TestReminders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		create(t, api, `"reminder_every_n_days":2`, signerInput("Ana", `"email":"ana@example.com","send_automatic_email":true`), signerInput("Beto", `"email":"beto@example.com"`)).
			want(t, 200, map[string]string{"auto_reminder": "2"})
		time.Sleep(30 * 24 * time.Hour)
		want := []string{"request email ana@example.com", "reminder email ana@example.com", "reminder email ana@example.com", "reminder email ana@example.com"}
		if diff := cmp.Diff(want, sentTo(api)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBiometricsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{}
		api := sandbox(t, zapsigntest.Options{Transport: rc})
		register(t, api, "signer_authentication_failed")
		_, s := tokens(create(t, api, "", signerInput("Ana", `"selfie_validation_type":"liveness_nxcd"`), signerInput("Beto", "")))
		reset := func() reply { return call(t, api, "PUT", "reset-auth-attempts/"+s[0]+"/", "") }
		for range 3 {
			reset().wantText(t, 400, `{"error":"Signatário tem tentativas"}`)
			if err := api.FailAuthentication(s[0], "screen used"); err != nil {
				t.Fatal(err)
			}
		}
		if api.FailAuthentication(s[0], "x") != zapsigntest.ErrAttemptsUsedUp || api.FailAuthentication(s[1], "x") != zapsigntest.ErrAttemptsUsedUp ||
			api.Sign(s[0]) != zapsigntest.ErrAttemptsUsedUp {
			t.Error("there were attempts left")
		}
		synctest.Wait()
		got := rc.all()
		if len(got) != 1 {
			t.Fatalf("%v", rc.events())
		}
		got[0].want(t, 0, map[string]string{
			"event_type": `"signer_authentication_failed"`, "unauthenticated_signer.token": `"` + s[0] + `"`, "unauthenticated_signer.max_attempts": "3",
			"unauthenticated_signer.attempts_used": "3", "unauthenticated_signer.authentication_failure_reason": `"screen used"`,
		})
		get(t, api, "signer-verification-details/"+s[0]+"/").want(t, 200, map[string]string{
			"token": `"` + s[0] + `"`, "selfie_validation_type": `"liveness-NXCD"`, "validations.2.validation_number": "3", "validations.2.reason": `"screen used"`,
		})
		reset().wantText(t, 200, `{"success":"As tentativas do signatário foram resetadas com sucesso."}`)
		if err := api.Sign(s[0]); err != nil {
			t.Error(err)
		}
		call(t, api, "PUT", "reset-auth-attempts/"+s[1]+"/", "").want(t, 400, nil)
	})
}
