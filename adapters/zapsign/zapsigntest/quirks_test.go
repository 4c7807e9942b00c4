package zapsigntest_test

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// The switches and options that no numbered behaviour names.

func TestBillPerEnvelope(t *testing.T) {
	for perEnvelope, want := range map[bool]int{false: 2, true: 1} {
		api := sandbox(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{BillPerEnvelope: perEnvelope}})
		d, _ := tokens(create(t, api, ""))
		post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"x","base64_pdf":"`+pdf+`"}`).want(t, 200, nil)
		if got := api.Credits(token); got != want {
			t.Errorf("%d credits, want %d", got, want)
		}
	}
}

func TestReprocessSendsDocSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, rc := hub(t, zapsigntest.Options{Quirks: zapsigntest.Quirks{ReprocessSendsDocSigned: true}})
		register(t, api, "")
		d, _ := tokens(create(t, api, ""))
		post(t, api, "docs/"+d+"/reprocess-doc/", `{"send_webhook":true}`)
		time.Sleep(2 * time.Second)
		wantEvents(t, rc, "doc_created pending", "doc_signed pending")
	})
}

func TestExtraLimit(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{ExtraLimit: 1})
	d, _ := tokens(create(t, api, ""))
	add := func() reply {
		return post(t, api, "docs/"+d+"/upload-extra-doc/", `{"name":"x","base64_pdf":"`+pdf+`"}`)
	}
	add().want(t, 200, nil)
	add().want(t, 400, map[string]string{"message": `"Limite de documentos extra (1) atingido."`})
}

func TestOtherAddresses(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{Addresses: zapsigntest.Addresses{Sandbox: "http://api.test:8080/", Files: "http://files.test"}})
	r := create(t, api, "")
	plain(t, api, r.str("original_file")).wantText(t, 200, "%PDF-1.4\n")
	if api.BaseURL() != "http://api.test:8080/api/v1/" || r.str("original_file")[:18] != "http://files.test/" {
		t.Errorf("%s, %s", api.BaseURL(), r.text)
	}
	brazil := sandbox(t, zapsigntest.Options{Accounts: []zapsigntest.Account{{Production: true}}})
	get(t, brazil, "https://br.api.zapsign.com.br/api/v1/docs/").want(t, 200, nil)
	defer func() {
		if recover() == nil {
			t.Error("took an address with a path")
		}
	}()
	api.SetAddresses(zapsigntest.Addresses{Files: "https://files.test/path"})
}

// TestMessagesByHandAndByItself: whom the client had invited gets no second invitation.
func TestMessagesByHandAndByItself(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	_, s := tokens(create(t, api, "", signerInput("Ana", `"email":"ana@example.com"`), signerInput("Beto", "")))
	post(t, api, "signers/"+s[0]+"/", `{"send_automatic_email":true}`).want(t, 200, nil)
	must(t, api.Sign(s[1]))
	if sent := sentTo(api); len(sent) != 1 {
		t.Errorf("%v", sent)
	}
}

// TestChangesHaveTimesOfTheirOwn: even when the clock stands still, as it does in a bubble.
func TestChangesHaveTimesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{})
		d, _ := tokens(create(t, api, ""))
		last := ""
		for range 3 {
			call(t, api, "PUT", "docs/"+d+"/", `{"name":"x"}`)
			now := get(t, api, "docs/"+d+"/").str("last_update_at")
			if now <= last {
				t.Errorf("%s after %s", now, last)
			}
			last = now
		}
	})
}

// TestRateLimitPerAddressAndPerToken: each has a count of its own (F7).
func TestRateLimitPerAddressAndPerToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := sandbox(t, zapsigntest.Options{RateLimit: 2, Accounts: []zapsigntest.Account{{}, {Token: "other"}}})
		from := func(address, bearer string) int {
			r := httptest.NewRequest("GET", api.BaseURL()+"users/", nil)
			r.RemoteAddr, r.Host = address+":1", "sandbox.api.zapsign.com.br"
			r.Header.Set("Authorization", "Bearer "+bearer)
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			return w.Code
		}
		for i, want := range []int{200, 200, 429, 200} {
			got := from([]string{"192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.9"}[i], []string{token, token, token, "other"}[i])
			if got != want {
				t.Errorf("request %d: %d, want %d", i, got, want)
			}
		}
	})
}

func TestStatsPerRoute(t *testing.T) {
	api := sandbox(t, zapsigntest.Options{})
	file := create(t, api, "").str("original_file")
	get(t, api, "docs/none/")
	get(t, api, "nothing/")
	plain(t, api, file)
	s := api.Stats()
	if s.Requests != 3 || s.Refused != 2 || s.Downloads != 1 || s.MaxInFlight != 1 || s.Routes["GET /docs/{}/"] != (zapsigntest.RouteStats{Requests: 1, Refused: 1}) ||
		s.Routes[""].Requests != 1 || s.Routes["files"].Requests != 1 || s.Routes["POST /docs/"].Refused != 0 {
		t.Errorf("%+v", s)
	}
	api.ResetStats()
	if s := api.Stats(); s.Requests != 0 || len(s.Routes) != 0 {
		t.Errorf("%+v", s)
	}
}
