package bitrix24_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// TestInstallHandler makes an integration of an installation, and keeps it through an
// update, whose tokens are new.
func TestInstallHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var portal *bitrix24test.Portal
		var h *host
		var handler http.Handler
		portal = bitrix24test.New(bitrix24test.Options{Callback: "https://app.example.net/install",
			EventTransport: bitrix24test.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))})
		defer portal.Close()
		h = newHost(t, portal)
		refs := map[string]enlace.Ref{} // by member_id
		handler = bitrix24.InstallHandler(bitrix24.InstallOptions{ClientID: portal.ClientID(), Client: &http.Client{Transport: portal.Transport()}},
			func(w http.ResponseWriter, r *http.Request, in bitrix24.Install, account bitrix24.Account) error {
				ref, known := refs[account.MemberID]
				if known && in.Event == "" {
					return nil // a user opens the page
				}
				if known {
					_, err := h.service.Connect(r.Context(), ref, account.Credential)
					return err
				}
				made, err := h.service.Create(r.Context(), enlace.NewIntegration{Provider: bitrix24.Name, Credential: &account.Credential,
					Settings: map[string]string{"portal": account.Portal, "authServer": account.AuthServer}})
				refs[account.MemberID] = made.Ref
				_, _ = io.WriteString(w, "welcome")
				return err
			})
		portal.Install()
		portal.Drain()
		portal.UpdateApp(true)
		portal.Drain()
		if len(refs) != 1 || portal.Stats().LostEvents != 0 {
			t.Fatalf("%d integrations, %d events lost", len(refs), portal.Stats().LostEvents)
		}
		h.ref = refs[portal.MemberID()]
		if err := bitrix24.Subscribe(t.Context(), h.conn(), target, "ONCRMCONTACTADD"); err != nil {
			t.Error(err)
		}
		query, form := portal.OpenApp(7)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, installRequest("/install?"+query.Encode(), form.Encode()))
		if w.Code != 200 {
			t.Errorf("the page: %d", w.Code)
		}
		// It comes to nothing in every other case.
		calls := len(h.observations)
		for name, test := range map[string]struct {
			method, body string
			status       int
		}{
			"method":    {"GET", "", 405},
			"nothing":   {"POST", "", 400},
			"an event":  {"POST", eventForm("ONAPPUNINSTALL").Encode(), 400},
			"forged":    {"POST", eventForm("ONAPPINSTALL", "auth[access_token]", "guessed").Encode(), 403},
			"elsewhere": {"POST", eventForm("ONAPPINSTALL", "auth[access_token]", "x", "auth[server_endpoint]", "https://evil.example/rest/").Encode(), 403},
			"too long":  {"POST", strings.Repeat("x", 64<<10+1), 413},
		} {
			r := installRequest("/install", test.body)
			r.Method = test.method
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.status || w.Body.Len() != 0 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		if len(h.observations) != calls {
			t.Error("something was stored")
		}
		failing := bitrix24.InstallHandler(bitrix24.InstallOptions{ClientID: portal.ClientID(), Client: &http.Client{Transport: portal.Transport()}},
			func(http.ResponseWriter, *http.Request, bitrix24.Install, bitrix24.Account) error {
				return errors.New("full")
			})
		w = httptest.NewRecorder()
		failing.ServeHTTP(w, installRequest("/install?"+query.Encode(), form.Encode()))
		if w.Code != 503 || w.Body.Len() != 0 {
			t.Errorf("accept failed: %d %s", w.Code, w.Body)
		}
	})
}

func installRequest(path, body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
}
