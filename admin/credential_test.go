package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

// TestCredentialShownWithoutSecrets: the page and the API tell what opens an account by
// fingerprints, and nothing where nothing is stored.
func TestCredentialShownWithoutSecrets(t *testing.T) {
	h := newHost(t, hostOptions{})
	token := h.provider.OAuth2()
	withToken, err := h.service.Create(t.Context(), enlace.NewIntegration{Provider: fake.Name, Name: "Token", Credential: &token})
	if err != nil {
		t.Fatal(err)
	}
	withKey, sameKey := h.connected("Key"), h.connected("Same key")
	facts := func(in enlace.Integration) (facts struct {
		Scheme  string
		Secrets []struct{ Name, Fingerprint string }
		Token   *struct {
			Access    string
			ExpiresAt string
			Scopes    []string
		}
	}) {
		t.Helper()
		a := h.api("GET", "integrations/"+in.ID+"/credential", nil).want(t, http.StatusOK)
		if err := json.Unmarshal([]byte(a.body), &facts); err != nil {
			t.Fatal(err)
		}
		page := h.get("i/"+in.ID).want(t, http.StatusOK, "Credential", facts.Scheme, "fingerprints")
		for _, s := range facts.Secrets {
			page.want(t, http.StatusOK, s.Fingerprint)
		}
		for _, secret := range []string{h.provider.APIKey().Secrets["api_key"].Reveal(), token.Token.Access.Reveal(), token.Token.Refresh.Reveal()} {
			if strings.Contains(a.body+page.body, secret) {
				t.Error("a secret is shown")
			}
		}
		return facts
	}
	one, same := facts(withKey), facts(sameKey)
	if len(one.Secrets) != 1 || len(one.Secrets[0].Fingerprint) != 8 || one.Secrets[0] != same.Secrets[0] || one.Token != nil {
		t.Errorf("%+v and %+v, want one fingerprint twice", one, same)
	}
	if f := facts(withToken); f.Token == nil || len(f.Token.Access) != 8 || f.Token.ExpiresAt == "" {
		t.Errorf("%+v, want a token that expires", f)
	}
	h.post("i/"+withKey.ID+"/disconnect", url.Values{"confirm": {"yes"}})
	h.api("GET", "integrations/"+withKey.ID+"/credential", nil).problem(t, http.StatusConflict, "no_credential")
	h.api("GET", "integrations/none/credential", nil).problem(t, http.StatusNotFound, "not_found")
	if page := h.get("i/"+withKey.ID).want(t, http.StatusOK); strings.Contains(page.body, "fingerprints") {
		t.Error("a credential is shown where none is stored")
	}
}
