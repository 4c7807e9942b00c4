package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestJourney: the life of an integration, by a browser without script: create,
// edit, meet a conflict, switch off and on, connect, delete.
func TestJourney(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.get("").want(t, http.StatusOK, "Start here")
	h.get("i").want(t, http.StatusOK, "There is no integration yet")
	h.get("new").want(t, http.StatusOK, "Fake CRM")
	h.get("new/fake").want(t, http.StatusOK, `name="secret.api_key.api_key"`)

	// A form with faults comes back with what was entered, and without the secret.
	a := h.post("new/fake", url.Values{"name": {"Vendas"}, "setting.timeout": {"1"}, "scheme": {"session"}, "secret.session.password": {"hunter2hunter2"}})
	a.want(t, http.StatusUnprocessableEntity, "There are 2 problems", `value="Vendas"`, "a whole number from 100 to 600000", `href="#setting.timeout"`, `href="#secret.session.user"`)
	if strings.Contains(a.body, "hunter2") {
		t.Fatal("the form shows the secret again")
	}

	key := h.provider.APIKey().Secrets["api_key"].Reveal()
	a = h.post("new/fake", url.Values{"name": {"Vendas"}, "scheme": {"api_key"}, "secret.api_key.api_key": {key}, "feature": {"crm_sync"}})
	a.want(t, http.StatusOK, "Vendas", "connected", "Integration created.")
	path := strings.TrimPrefix(a.Request.URL.Path, "/integrations/")
	id := strings.TrimPrefix(path, "i/")

	// Two people edit; the second sees what the first has changed.
	first, second := h.get(path+"/edit"), h.get(path+"/edit")
	h.post(path+"/edit", url.Values{"name": {"Vendas SP"}, "version": {first.field("version")}, "setting.timeout": {"5000"}}).want(t, http.StatusOK, "Vendas SP", "Changes saved.")
	conflict := h.post(path+"/edit", url.Values{"name": {"Vendas RJ"}, "version": {second.field("version")}, "setting.retryAttempts": {"1"}})
	conflict.want(t, http.StatusPreconditionFailed, "Somebody else saved first", `value="Vendas RJ"`, `value="Vendas SP"`, `value="5000"`)
	h.post(path+"/edit", url.Values{"name": {"Vendas RJ"}, "version": {conflict.field("version")}, "setting.timeout": {"5000"}, "setting.retryAttempts": {"1"}}).
		want(t, http.StatusOK, "Vendas RJ")

	h.post(path+"/disable", nil).want(t, http.StatusOK, "disabled")
	h.get("i?state=disabled").want(t, http.StatusOK, "Vendas RJ")
	h.get("i?state=connected").want(t, http.StatusOK, "No integration matches")
	h.post(path+"/enable", nil).want(t, http.StatusOK, "connected")
	h.post(path+"/disconnect", nil).want(t, http.StatusOK, "waiting to be connected")
	h.get("").want(t, http.StatusOK, "Needs attention", "Vendas RJ")
	h.post(path+"/connect", url.Values{"scheme": {"api_key"}}).want(t, http.StatusUnprocessableEntity, "missing")
	h.post(path+"/connect", url.Values{"scheme": {"api_key"}, "secret.api_key.api_key": {key}}).want(t, http.StatusOK, "Account connected.")

	h.post(path+"/delete", url.Values{"name": {"Vendas"}}).want(t, http.StatusUnprocessableEntity, "another one")
	h.post(path+"/delete", url.Values{"name": {"Vendas RJ"}}).want(t, http.StatusOK, "Integration deleted.")
	h.get(path).want(t, http.StatusNotFound, "does not exist")
	if strings.Contains(h.get("i").body, id) {
		t.Error("the list still has it")
	}
}

// TestSettings: language, theme and time zone are chosen by a form and kept in a
// cookie; a redirect never leaves the mount.
func TestSettings(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.post("settings", url.Values{"language": {"pt-BR"}, "theme": {"dark"}, "zone": {"America/Manaus"}, "back": {"settings?done=settings"}}).
		want(t, http.StatusOK, "Preferências salvas", `data-theme="dark"`, `lang="pt-BR"`)
	h.get("i").want(t, http.StatusOK, "Ainda não há nenhuma integração")
	if a := h.get("i"); strings.Contains(a.body, "data-keys") {
		t.Error("single keys are off although nobody has chosen that")
	}
	h.post("settings", url.Values{"keys": {"off"}, "back": {"i"}}).want(t, http.StatusOK, `data-keys="off"`, `data-theme="dark"`)
	for _, back := range []string{"https://evil.example/", "//evil.example", "/elsewhere", `\\evil.example`, "../../x", "javascript:alert(1)", "a\r\nb", ".//evil.example"} {
		a := h.post("settings", url.Values{"back": {back}})
		if got := a.Request.URL; got.Path != "/integrations/" || "http://"+got.Host != h.server.URL {
			t.Errorf("%q led to %s", back, got)
		}
	}
	h.post("settings", url.Values{"language": {"xx"}, "theme": {"pink"}, "zone": {"../etc"}}).want(t, http.StatusOK)
}

// TestAuthorize: the connect button leads to the provider and back, and the
// integration is connected, also where the host's cookie does not come along.
func TestAuthorize(t *testing.T) {
	h := newHost(t, hostOptions{})
	a := h.post("new/fake", url.Values{"name": {"CRM"}, "scheme": {"oauth2"}}).want(t, http.StatusOK, "Authorize at Fake CRM", h.base+"oauth/callback")
	path := strings.TrimSuffix(strings.TrimPrefix(a.Request.URL.Path, "/integrations/"), "/connect")
	leaving := h.post(path+"/authorize", nil).want(t, http.StatusOK, "Going to Fake CRM")
	target := strings.TrimPrefix(leaving.Header.Get("Refresh"), "0; url=")
	query, err := h.provider.Consent(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	back := "oauth/callback?" + query.Encode()
	stranger := func(r *http.Request) { r.Header.Set("Test-User", "nobody") }
	done := h.do(http.MethodGet, back, nil, stranger).want(t, http.StatusOK, "Continue")
	if !strings.Contains(done.body, "/integrations/"+path+"?connected=") {
		t.Fatalf("it does not lead back:\n%s", done.body)
	}
	h.get(path+"?connected=x").want(t, http.StatusOK, "Account connected.", "connected")
	h.do(http.MethodGet, back, nil, stranger).want(t, http.StatusUnauthorized) // used up: an ordinary stranger
}
