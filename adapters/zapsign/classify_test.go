package zapsign_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/zapsign"
)

const badToken = "API token not found. More details here / Token da API não encontrado: https://docs.zapsign.com.br/english/authentication/autenticacao"

// The tables of the sheet (4.1 and 4.2), and the codes of single endpoints.
func TestClassify(t *testing.T) {
	for _, test := range []struct {
		status        int
		body          string
		kind          error
		outcome       enlace.Outcome
		code, message string
	}{
		{400, `{"message":"A numeração dos grupos deve ser contínua."}`, enlace.ErrInvalid, enlace.OutcomeRan, "", "A numeração dos grupos deve ser contínua."},
		{400, `{"error":"Signatário tem tentativas"}`, enlace.ErrInvalid, enlace.OutcomeRan, "", "Signatário tem tentativas"},
		{400, `{"message":"Invalid Input","data":{"country":["Este campo é obrigatório."],"lang":["x"]}}`, enlace.ErrInvalid, enlace.OutcomeRan, "", "Invalid Input: country: Este campo é obrigatório."},
		{400, `{"non_field_errors":["Date range cannot exceed 30 days","x"]}`, enlace.ErrInvalid, enlace.OutcomeRan, "", "Date range cannot exceed 30 days"},
		{400, `{"name":["required"]}`, enlace.ErrInvalid, enlace.OutcomeRan, "", `{"name":["required"]}`},
		{400, `{"detail":{"a":1},"data":7,"non_field_errors":7}`, enlace.ErrInvalid, enlace.OutcomeRan, "", `{"detail":{"a":1},"data":7,"non_field_errors":7}`},
		{400, "Erro: Não é possível remover um signatário que já assinou o documento", enlace.ErrInvalid, enlace.OutcomeRan, "", "Erro: Não é possível remover um signatário que já assinou o documento"},
		{400, `{"success":false,"error_code":"missing_rejected_reason","message":"..."}`, enlace.ErrInvalid, enlace.OutcomeRan, "missing_rejected_reason", "..."},
		{400, `{"success":false,"error_code":"document_not_in_progress","message":"x"}`, enlace.ErrConflict, enlace.OutcomeRan, "document_not_in_progress", "x"},
		{400, `{"success":false,"error_code":"no_pending_signers","message":"x"}`, enlace.ErrConflict, enlace.OutcomeRan, "no_pending_signers", "x"},
		{400, `{"message":"Rate limit exceeded"}`, enlace.ErrRateLimited, enlace.OutcomeNotRun, "", "Rate limit exceeded"},
		{401, `{"detail":"No active account found with the given credentials"}`, enlace.ErrAuth, enlace.OutcomeNotRun, "", "No active account found with the given credentials"},
		{401, `{"detail":"Token is invalid or expired","code":"token_not_valid"}`, enlace.ErrTokenExpired, enlace.OutcomeNotRun, "token_not_valid", "Token is invalid or expired"},
		{401, "Credenciais inválidas.", enlace.ErrAuth, enlace.OutcomeNotRun, "", "Credenciais inválidas."},
		{402, planNeeded, enlace.ErrForbidden, enlace.OutcomeNotRun, "", planNeeded},
		{402, `{"error":"Payment Required"}`, enlace.ErrForbidden, enlace.OutcomeNotRun, "", "Payment Required"},
		{403, `{"detail":"` + badToken + `"}`, enlace.ErrAuth, enlace.OutcomeNotRun, "", badToken},
		{403, badToken, enlace.ErrAuth, enlace.OutcomeNotRun, "", badToken},
		{403, `{"detail":"Given token not valid","code":"token_not_valid"}`, enlace.ErrTokenExpired, enlace.OutcomeNotRun, "token_not_valid", "Given token not valid"},
		{403, `{"detail":"Plan necesario para crear empresa parceira."}`, enlace.ErrForbidden, enlace.OutcomeNotRun, "", "Plan necesario para crear empresa parceira."},
		{403, `{"error":"A reprovação deste documento não é permitida."}`, enlace.ErrForbidden, enlace.OutcomeNotRun, "", "A reprovação deste documento não é permitida."},
		{403, "<!doctype html><h1>Access denied</h1>", enlace.ErrForbidden, enlace.OutcomeNotRun, "", "an HTML page"},
		{403, `{"success":false,"error_code":"document_already_refused","message":"x"}`, enlace.ErrConflict, enlace.OutcomeRan, "document_already_refused", "x"},
		{403, `{"success":false,"error_code":"document_already_signed","message":"x"}`, enlace.ErrConflict, enlace.OutcomeRan, "document_already_signed", "x"},
		{403, `{"success":false,"error_code":"refuse_not_allowed","message":"x"}`, enlace.ErrForbidden, enlace.OutcomeNotRun, "refuse_not_allowed", "x"},
		{403, `{"success":false,"error_code":"permission_denied","message":"x"}`, enlace.ErrForbidden, enlace.OutcomeNotRun, "permission_denied", "x"},
		{403, ``, enlace.ErrForbidden, enlace.OutcomeNotRun, "", ""},
		{404, `{"detail":"Não encontrado."}`, enlace.ErrNotFound, enlace.OutcomeRan, "", "Não encontrado."},
		{404, "Unable to find information about this plan", enlace.ErrNotFound, enlace.OutcomeRan, "", "Unable to find information about this plan"},
		{404, `{"error_code":"document_not_found"}`, enlace.ErrNotFound, enlace.OutcomeRan, "document_not_found", ""},
		{405, `{"detail":"Método \"PUT\" não é permitido."}`, enlace.ErrInvalid, enlace.OutcomeRan, "", `Método "PUT" não é permitido.`},
		{406, `{"detail":"x"}`, enlace.ErrInvalid, enlace.OutcomeRan, "", "x"},
		{429, ``, enlace.ErrRateLimited, enlace.OutcomeNotRun, "", ""},
		{429, `{"success":false,"error_code":"cooldown_period","message":"Aguarde"}`, enlace.ErrRateLimited, enlace.OutcomeRan, "cooldown_period", "Aguarde"},
		{500, `{"success":false,"error_code":"internal_error","message":"x"}`, enlace.ErrUnavailable, enlace.OutcomeUnknown, "internal_error", "x"},
		{500, ``, enlace.ErrUnavailable, enlace.OutcomeUnknown, "", ""},
		{502, "<html>", enlace.ErrUnavailable, enlace.OutcomeUnknown, "", "an HTML page"},
		{503, "busy", enlace.ErrUnavailable, enlace.OutcomeUnknown, "", "busy"},
		{504, "", enlace.ErrUnavailable, enlace.OutcomeUnknown, "", ""},
		{301, "", enlace.ErrMoved, enlace.OutcomeNotRun, "", "to br.api.zapsign.com.br"},
		{200, `{"count":2,"results":[{"tok`, enlace.ErrProtocol, enlace.OutcomeUnknown, "", "the answer was cut off"},
		{200, `[{"token":`, enlace.ErrProtocol, enlace.OutcomeUnknown, "", "the answer was cut off"},
	} {
		err := zapsign.Adapter{}.Classify(test.status, http.Header{"Location": {"https://br.api.zapsign.com.br/x?api_token=y"}}, []byte(test.body))
		e, ok := errors.AsType[*enlace.Error](err)
		if !ok || !errors.Is(e.Kind, test.kind) || e.Outcome != test.outcome || e.Code != test.code || e.Message != test.message || e.Status != test.status {
			t.Errorf("%d %s:\n%#v", test.status, test.body, err)
		}
	}
	for _, body := range []string{"", "{}", `{"id":1}`, "[]", "Signatário removido com sucesso.", "%PDF-1.4", " {\"a\":1}\n"} {
		if err := (zapsign.Adapter{}).Classify(200, nil, []byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestClassifyIsBounded(t *testing.T) {
	for _, body := range []string{strings.Repeat("é", 1<<20), `{"detail":"` + strings.Repeat("é", 1<<20) + `","error_code":"` + strings.Repeat("x", 1<<20) + `"}`, "{" + strings.Repeat("é", 1000), "\xff\xfe" + strings.Repeat("\xff", 1000)} {
		e, _ := errors.AsType[*enlace.Error](zapsign.Adapter{}.Classify(400, nil, []byte(body)))
		if len(e.Message) > 300 || len(e.Code) > 300 || !utf8.ValidString(e.Message) {
			t.Errorf("%d and %d bytes", len(e.Message), len(e.Code))
		}
	}
}

func TestLimitLastsUntilTheMinuteTurns(t *testing.T) {
	for date, want := range map[string]time.Duration{"Tue, 03 Feb 2026 10:20:48 GMT": 12 * time.Second, "": 0, "yesterday": 0} {
		if got := enlace.RetryAfter(zapsign.Adapter{}.Classify(429, http.Header{"Date": {date}}, nil)); got != want {
			t.Errorf("%q: %v, want %v", date, got, want)
		}
	}
	h := http.Header{"Date": {"Tue, 03 Feb 2026 10:20:48 GMT"}, "Retry-After": {"3"}}
	if got := enlace.RetryAfter(zapsign.Adapter{}.Classify(429, h, nil)); got != 3*time.Second {
		t.Errorf("%v", got)
	}
}
