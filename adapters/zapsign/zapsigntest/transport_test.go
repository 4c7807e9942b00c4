package zapsigntest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// The behaviours of section 10 of the contract sheet, transport and credentials.

func TestF01BasePathAndSuccess(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	if api.BaseURL() != "https://sandbox.api.zapsign.com.br/api/v1/" {
		t.Errorf("base %s", api.BaseURL())
	}
	d, s := tokens(create(t, api, ""))
	for _, r := range []reply{
		get(t, api, "docs/"), get(t, api, "docs/"+d+"/"), post(t, api, "signers/"+s[0]+"/", `{"name":"Ana"}`),
		call(t, api, "DELETE", "docs/"+d+"/", ""),
	} {
		if r.status != 200 {
			t.Errorf("%d %s", r.status, r.text)
		}
	}
	if r := get(t, api, "https://sandbox.api.zapsign.com.br/docs/"); r.status != 404 {
		t.Errorf("outside the base path: %d", r.status)
	}
}

const badToken = "API token not found. More details here / Token da API não encontrado: https://docs.zapsign.com.br/english/authentication/autenticacao"

func TestF02Credentials(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{}, {Token: "live", Production: true}}})
	with := func(header, query string) reply {
		r := newRequest(t, api, "GET", "docs/"+query, "")
		r.Header.Del("Authorization")
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		return send(t, api, r)
	}
	for _, good := range [][2]string{{"Bearer " + token, ""}, {"", "?api_token=" + token}} {
		if r := with(good[0], good[1]); r.status != 200 {
			t.Errorf("%v: %d", good, r.status)
		}
	}
	for _, bad := range [][2]string{{"", ""}, {"Bearer wrong", ""}, {"Bearer live", ""}, {token, ""}, {"", "?api_token=x"}} {
		with(bad[0], bad[1]).want(t, 403, map[string]string{"detail": `"` + badToken + `"`})
	}
	quirky := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{Unauthorized401: true, PlainAuthError: true}})
	plain(t, quirky, quirky.BaseURL()+"docs/").wantText(t, 401, badToken)
}

func TestF03AccountsAreApart(t *testing.T) {
	for _, forbidden := range []bool{false, true} {
		api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{}, {Token: "other"}}, Quirks: zapsigntest.Quirks{ForeignForbidden: forbidden}})
		d, s := tokens(create(t, api, ""))
		want := 404
		if forbidden {
			want = 403
		}
		for _, path := range []string{"docs/" + d + "/", "signers/" + s[0] + "/"} {
			r := newRequest(t, api, "GET", path, "")
			r.Header.Set("Authorization", "Bearer other")
			if got := send(t, api, r); got.status != want {
				t.Errorf("%s: %d, want %d", path, got.status, want)
			}
		}
	}
}

func TestF04TrailingSlash(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Plan: &zapsigntest.Plan{Name: "Pro"}}}})
	d, _ := tokens(create(t, api, ""))
	if r := get(t, api, "docs?page=1"); r.status != 301 || r.header.Get("Location") != "/api/v1/docs/?page=1" {
		t.Errorf("%d to %q", r.status, r.header.Get("Location"))
	}
	for _, c := range []struct {
		verb, path string
		status     int
	}{
		{"POST", "docs", 404}, {"PUT", "docs/" + d, 404}, {"DELETE", "docs/" + d, 404},
		{"GET", "info-plan", 200}, {"GET", "info-plan/", 200}, {"GET", "docs/signer-log/" + d, 200}, {"GET", "docs/signer-log/" + d + "/", 404},
		{"POST", "validate-pdf-signature", 400},
	} {
		body := ""
		if c.verb == "POST" && c.path != "validate-pdf-signature" {
			body = "{}"
		}
		if r := call(t, api, c.verb, c.path, body); r.status != c.status {
			t.Errorf("%s %s: %d, want %d", c.verb, c.path, r.status, c.status)
		}
	}
	quirky := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{MissingSlash500: true}})
	if r := post(t, quirky, "docs", "{}"); r.status != 500 {
		t.Errorf("with the quirk: %d", r.status)
	}
}

func TestF05PathsAndMethodsThatDoNotExist(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := tokens(create(t, api, ""))
	for _, path := range []string{
		"GET webhooks", "POST webhooks/", "DELETE webhooks/", "POST docs/D/send/", "GET docs/D/download/", "POST docs/D/cancel/",
		"GET docs/D/extra-docs/", "POST reprocess/", "POST models/D/docs/",
	} {
		verb, path, _ := strings.Cut(strings.ReplaceAll(path, "D/", d+"/"), " ")
		if r := call(t, api, verb, path, ""); r.status != 404 {
			t.Errorf("%s %s: %d", verb, path, r.status)
		}
	}
	for _, path := range []string{"PATCH docs/D/", "PUT docs/", "POST docs/D/document-display-order/", "GET refuse/", "GET user/company/webhook/"} {
		verb, path, _ := strings.Cut(strings.ReplaceAll(path, "D/", d+"/"), " ")
		if r := call(t, api, verb, path, ""); r.status != 405 || r.str("detail") == "" || r.header.Get("Allow") == "" {
			t.Errorf("%s %s: %d %s", verb, path, r.status, r.text)
		}
	}
}

func TestF06BodiesThatAreNotJSON(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	_, s := tokens(create(t, api, ""))
	for body, want := range map[string]int{`{"name":`: 400, `{} {}`: 400, `[]`: 406, `null`: 406, `{"name":7}`: 406, `{"signers":{}}`: 406} {
		if r := post(t, api, "docs/", body); r.status != want {
			t.Errorf("%s: %d, want %d", body, r.status, want)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
		r := newRequest(t, api, "POST", "docs/", "{}")
		r.Header.Set("Content-Type", contentType)
		if got := send(t, api, r); got.status != 406 {
			t.Errorf("%q: %d", contentType, got.status)
		}
	}
	if r := post(t, api, "signers/"+s[0]+"/", "null"); r.status != 500 {
		t.Errorf("null: %d", r.status)
	}
	post(t, api, "refuse/", "{").want(t, 400, map[string]string{"error_code": `"invalid_json"`})
}

func TestF07RateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{RateLimit: 3, Accounts: []zapsigntest.Account{{}, {Token: "other"}}})
		time.Sleep(50 * time.Second)
		for i := range 5 {
			want := 200
			if i >= 3 {
				want = 429
			}
			r := get(t, api, "users/")
			if r.status != want || want == 429 && (r.text != "" || r.header.Get("Retry-After") != "") {
				t.Errorf("request %d: %d %q", i, r.status, r.text)
			}
		}
		// The address counts too, whatever the token.
		r := newRequest(t, api, "GET", "users/", "")
		r.Header.Set("Authorization", "Bearer other")
		if got := send(t, api, r); got.status != 429 {
			t.Errorf("another token from the same address: %d", got.status)
		}
		time.Sleep(10 * time.Second) // the clock minute turns
		if r := get(t, api, "users/"); r.status != 200 {
			t.Errorf("in the next minute: %d", r.status)
		}
		if s := api.Stats(); s.RateLimited != 3 || s.Requests != 7 || s.Routes["GET /users/"].Refused != 3 {
			t.Errorf("%+v", s)
		}
		quirky := sandbox(t, zapsigntest.Options{RateLimit: 1, Quirks: zapsigntest.Quirks{RetryAfter: true}})
		get(t, quirky, "users/")
		if r := get(t, quirky, "users/"); r.header.Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
		}
	})
}

const noPlan = `É obrigatório contratar um Plano de API para utilizá-la em modo produção. Caso seja um teste, coloque a flag "sandbox" como true e use no modo desenvolvimento.`

func TestF08ProductionWithoutPlan(t *testing.T) {
	for _, short := range []bool{false, true} {
		api := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Production: true, NoPlan: true}}, Quirks: zapsigntest.Quirks{ShortPlanError: short}})
		want := noPlan
		if short {
			want, _, _ = strings.Cut(noPlan, " Caso")
		}
		d := api.Seed(zapsigntest.Seed{})[0]
		for _, path := range []string{"docs/", "docs/async/", "models/create-doc/", "docs/" + d + "/upload-extra-doc/", "models/" + d + "/upload-extra-doc/"} {
			r := post(t, api, path, "{}")
			r.wantText(t, 402, want)
			if !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s", r.header.Get("Content-Type"))
			}
		}
		if r := get(t, api, "docs/"); r.status != 200 {
			t.Errorf("GET: %d", r.status)
		}
	}
}

func TestF09Faults(t *testing.T) {
	body := `{"name":"Contrato 42","base64_pdf":"` + pdf + `","signers":[{"name":"Ana"}]}`
	outcomes := []struct {
		fault    zapsigntest.Fault
		status   int // 0 for no answer
		html     bool
		document bool // whether it was created all the same
	}{
		{zapsigntest.Fault{Kind: zapsigntest.HTML500}, 500, true, false},
		{zapsigntest.Fault{Kind: zapsigntest.HTML502}, 502, true, false},
		{zapsigntest.Fault{Kind: zapsigntest.HTML200}, 200, true, false},
		{zapsigntest.Fault{Kind: zapsigntest.HangBefore}, 0, false, false},
		{zapsigntest.Fault{Kind: zapsigntest.DropBefore}, 0, false, false},
		{zapsigntest.Fault{Kind: zapsigntest.HangAfter}, 0, false, true},
		{zapsigntest.Fault{Kind: zapsigntest.DropAfter}, 0, false, true},
		{zapsigntest.Fault{Kind: zapsigntest.HTML502After}, 502, true, true},
		{zapsigntest.Fault{Kind: zapsigntest.BrokenBody}, 0, false, true},
		{zapsigntest.Fault{Kind: zapsigntest.TruncatedBody}, 200, false, true},
		{zapsigntest.Fault{Kind: zapsigntest.SlowBody, Delay: 20 * time.Second}, 0, false, true},
		{zapsigntest.Fault{Kind: zapsigntest.SlowBody, Delay: time.Second, Pieces: 3}, 200, false, true},
		{zapsigntest.Fault{Kind: zapsigntest.RateLimited}, 429, false, false},
		{zapsigntest.Fault{Kind: zapsigntest.Refuse, Status: 403, Body: `{"detail":"no"}`}, 403, false, false},
	}
	for _, o := range outcomes {
		synctest.Test(t, func(t *testing.T) {
			api := sandbox(t, zapsigntest.Options{})
			o.fault.Route, o.fault.After = "POST /docs/", 1
			api.Fault(o.fault)
			create(t, api, "")
			get(t, api, "docs/")
			before := len(api.Documents())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			status, html := 0, false
			if response, err := client(api).Do(newRequest(t, api, "POST", "docs/", body).WithContext(ctx)); err == nil {
				text, err := io.ReadAll(response.Body)
				if err == nil {
					status, html = response.StatusCode, strings.Contains(string(text), "<html")
				}
				if whole := json.Valid(text); o.fault.Kind == zapsigntest.TruncatedBody && whole {
					t.Errorf("not truncated: %s", text)
				}
			}
			if status != o.status || html != o.html || (len(api.Documents()) > before) != o.document {
				t.Errorf("%+v: %d, HTML %t, %d documents", o.fault, status, html, len(api.Documents())-before)
			}
			create(t, api, "") // once only
		})
	}
}

func TestFaultsOfEverythingAndOfDownloads(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	file := create(t, api, "").str("original_file")
	api.Fault(zapsigntest.Fault{Kind: zapsigntest.HTML502, Times: -1})
	api.Fault(zapsigntest.Fault{Route: "files", Kind: zapsigntest.DropAfter})
	if r := get(t, api, "docs/"); r.status != 502 {
		t.Errorf("%d", r.status)
	}
	if r := get(t, api, "nothing/"); r.status != 502 {
		t.Errorf("%d", r.status)
	}
	if _, err := client(api).Get(file); err == nil {
		t.Error("the download did not break")
	}
	if r := plain(t, api, file); r.status != 200 {
		t.Errorf("the second download: %d", r.status)
	}
	api.ClearFaults()
	if r := get(t, api, "docs/"); r.status != 200 {
		t.Errorf("%d", r.status)
	}
	for _, bad := range []zapsigntest.Fault{{}, {Route: "POST /nothing/", Kind: zapsigntest.HTML500}, {Kind: zapsigntest.Refuse}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", bad)
				}
			}()
			api.Fault(bad)
		}()
	}
}

func TestBodyTooLarge(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{FileLimit: 1000})
	if r := post(t, api, "docs/", `{"name":"`+strings.Repeat("x", 2<<20)+`"}`); r.status != 413 {
		t.Errorf("%d", r.status)
	}
}

func TestOnRequestAndRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []zapsigntest.Request
		api := sandbox(t, zapsigntest.Options{RoundTrip: 100 * time.Millisecond, OnRequest: func(r zapsigntest.Request) { seen = append(seen, r) }})
		start := time.Now()
		get(t, api, "docs/?page=1")
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if len(seen) != 1 || seen[0].Route != "GET /docs/" || seen[0].URL != "/api/v1/docs/?page=1" || seen[0].At.Sub(start) != 50*time.Millisecond {
			t.Errorf("%+v", seen)
		}
	})
}

func TestLoopbackServer(t *testing.T) {
	server := zapsigntest.NewServer(zapsigntest.Options{Accounts: []zapsigntest.Account{{}, {Production: true, Token: "live"}}})
	defer server.Close()
	do := func(r *http.Request) reply {
		t.Helper()
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return reply{response.StatusCode, response.Header, string(text), decode(string(text))}
	}
	if server.BaseURL() != server.URL+"/api/v1/" {
		t.Errorf("%s and %s", server.BaseURL(), server.URL)
	}
	created := do(newRequest(t, server.API, "POST", "docs/", `{"name":"x","base64_pdf":"`+pdf+`","signers":[{"name":"Ana"}]}`))
	created.want(t, 200, nil)
	file, _ := http.NewRequestWithContext(t.Context(), "GET", created.str("original_file"), nil)
	do(file).wantText(t, 200, "%PDF-1.4\n")
	screen, _ := http.NewRequestWithContext(t.Context(), "GET", created.str("signers.0.sign_url"), nil)
	if r := do(screen); r.status != 200 {
		t.Errorf("the signature screen: %d", r.status)
	}
	live := newRequest(t, server.API, "GET", server.Addresses().Production+"/api/v1/docs/", "")
	live.Header.Set("Authorization", "Bearer live")
	do(live).want(t, 200, map[string]string{"count": "0"})
	for _, kind := range []zapsigntest.FaultKind{zapsigntest.DropAfter, zapsigntest.DropBefore, zapsigntest.BrokenBody, zapsigntest.HangBefore} {
		server.Fault(zapsigntest.Fault{Route: "GET /users/", Kind: kind})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(newRequest(t, server.API, "GET", "users/", "").WithContext(ctx))
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if err == nil || errors.Is(err, io.EOF) && kind == zapsigntest.HangBefore {
			t.Errorf("kind %d: %v", kind, err)
		}
		cancel()
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestReset(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	d, _ := tokens(create(t, api, `"date_limit_to_sign":"2999-01-01"`))
	register(t, api, "")
	api.Fault(zapsigntest.Fault{Kind: zapsigntest.HTML500, Times: -1})
	api.Reset()
	if r := get(t, api, "docs/"+d+"/"); r.status != 404 {
		t.Errorf("%d", r.status)
	}
	if len(api.Webhooks())+len(api.Documents())+api.Credits(token) != 0 {
		t.Error("something is left")
	}
	create(t, api, "").want(t, 200, map[string]string{"open_id": "1"})
}
