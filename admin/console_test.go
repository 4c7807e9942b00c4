package admin_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
)

// TestWebhookConsole: the console delivers to an integration as its provider does, with
// each fault that such a delivery can have, and explains the verdict in both languages;
// nothing comes of it unless somebody who may wants that.
func TestWebhookConsole(t *testing.T) {
	h := newHost(t, hostOptions{webhooks: enlace.WebhookConfig{PublicURL: "https://host.example/hooks"}})
	in := h.connected("CRM")
	form := h.get("console?integration="+in.ID).want(t, http.StatusOK, "Webhook, inbound", `value="webhook.inbound"`, "contact.updated", "no time is signed", "Keep and process it")
	if !strings.Contains(form.body, `<option value="old_time" disabled>`) || strings.Contains(form.body, `<option value="altered_body" disabled>`) {
		t.Error("the form offers other faults than the proof can have")
	}
	secret := h.provider.WebhookSecret().Reveal()
	var pages []answer
	for i, c := range []struct {
		body   object
		ok     bool
		code   string
		status float64
		words  []string // English, Portuguese
	}{
		{object{}, true, "", 200, []string{"The delivery would be accepted", "A entrega seria aceita"}},
		{object{"type": "deal.deleted", "record": "77"}, true, "", 200, []string{"deals 77", "O registro seria dado como apagado"}},
		{object{"fault": "wrong_proof"}, true, "", 401, []string{"No stored secret makes this proof", "Nenhum segredo guardado gera esta prova"}},
		{object{"fault": "no_proof"}, true, "", 401, []string{"There is no proof", "Não há prova"}},
		{object{"fault": "altered_body"}, true, "", 401, []string{"What was wrong with the delivery was noticed", "foi notado"}},
		{object{"fault": "repeated"}, true, "", 200, []string{"The second one was recognised", "A segunda foi reconhecida"}},
		{object{"fault": "unknown_type"}, true, "", 200, []string{"enlace_unknown_type", "enlace_unknown_type"}},
		{object{"fault": "too_large"}, true, "", 413, []string{"longer than Webhooks.MaxBody", "maior que Webhooks.MaxBody"}},
		{object{"payload": `{"api_key":"` + secret + `"}`}, false, "unreadable", 200, []string{"The adapter does not read it", "O adaptador não a lê"}},
	} {
		h.access.User = fmt.Sprint("u", i) // nobody may test so often
		c.body["integrationId"] = in.ID
		run := h.api("POST", "webhook", c.body).want(t, http.StatusOK).json(t)
		hook, _ := run["webhook"].(object)
		problem, _ := run["problem"].(object)
		if run["ok"] != c.ok || hook["status"] != c.status || (problem != nil) == c.ok || (problem != nil && problem["code"] != c.code) {
			t.Errorf("%v: %v", c.body, run)
		}
		for l, language := range []string{"en", "pt-BR"} {
			page := h.do(http.MethodGet, "console/"+run["id"].(string), nil, func(r *http.Request) { r.Header.Set("Accept-Language", language) })
			pages = append(pages, page.want(t, http.StatusOK, c.words[l]))
		}
	}
	h.access.User = "u1000"
	h.api("POST", "webhook", object{"integrationId": in.ID, "fault": "nonsense"}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	unsigned := h.api("POST", "webhook", object{"integrationId": in.ID, "fault": "old_time"}).want(t, http.StatusOK).json(t)
	if unsigned["ok"] != false || unsigned["problem"].(object)["code"] != "unsupported" {
		t.Errorf("a fault that such a delivery cannot have: %v", unsigned)
	}
	if list, _, err := h.service.Deliveries(t.Context(), enlace.DeliveryQuery{}); err != nil || len(list) != 0 {
		t.Errorf("the tests stored %d deliveries, %v", len(list), err)
	}

	// What is kept is a delivery like every other.
	kept := h.api("POST", "webhook", object{"integrationId": in.ID, "keep": true}).want(t, http.StatusOK).json(t)
	id, _ := kept["webhook"].(object)["deliveryId"].(string)
	pages = append(pages, h.get("console/"+kept["id"].(string)).want(t, http.StatusOK, "It is in the inbox", "webhooks/"+id), h.get("webhooks/"+id).want(t, http.StatusOK, "Enlace-Test"))

	// The form of the page leads to the same.
	h.access.User = "u1001"
	shown := h.post("console", url.Values{"integration": {in.ID}, "kind": {"webhook.inbound"}, "fault": {"no_proof"}, "type": {"contact.updated"}}).want(t, http.StatusOK, "Webhook, inbound")
	_, id, _ = strings.Cut(shown.Request.URL.Path, "/console/")
	for h.api("GET", "runs/"+id, nil).json(t)["state"] == "running" && pauseFor(t.Context()) {
	}
	again := h.post("console", url.Values{"integration": {in.ID}, "kind": {"webhook.inbound"}, "again": {id}}).want(t, http.StatusOK)
	pages = append(pages, shown, again.want(t, http.StatusOK, `"fault":"no_proof"`))
	for _, page := range pages {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
			if strings.Contains(page.body, form) {
				t.Errorf("%s shows the secret", page.Request.URL)
			}
		}
	}

	// Who may not replay deliveries may not make any; who may not test sees no form.
	h.access.Grants = admin.GrantView | admin.GrantTest
	h.api("POST", "webhook", object{"integrationId": in.ID, "keep": true}).problem(t, http.StatusForbidden, "forbidden")
	h.post("console", url.Values{"integration": {in.ID}, "kind": {"webhook.inbound"}, "keep": {"1"}}).want(t, http.StatusForbidden)
	if strings.Contains(h.get("console?integration="+in.ID).body, `name="keep"`) {
		t.Error("the form offers to keep the delivery")
	}
	h.access.Grants = admin.GrantView
	h.api("POST", "webhook", object{"integrationId": in.ID}).problem(t, http.StatusForbidden, "forbidden")
	h.access.Grants, h.access.Tenant = admin.Administrator, "other"
	h.api("POST", "webhook", object{"integrationId": in.ID}).problem(t, http.StatusNotFound, "not_found")
}

// TestWebhookCheck: the console tells whether the provider's deliveries would arrive.
func TestWebhookCheck(t *testing.T) {
	h := newHost(t, hostOptions{webhooks: enlace.WebhookConfig{PublicURL: "https://host.example/hooks"}})
	in := h.connected("CRM")
	check := func() (object, answer) {
		t.Helper()
		run := h.api("POST", "webhook", object{"integrationId": in.ID, "direction": "outbound"}).want(t, http.StatusOK).json(t)
		return run, h.get("console/" + run["id"].(string))
	}
	run, page := check()
	if run["ok"] != false || run["problem"].(object)["code"] != "not_registered" {
		t.Errorf("before the registration: %v", run)
	}
	page.want(t, http.StatusOK, "Nothing was registered from here", "The provider does not deliver to this address", "None has come yet")
	if err := h.service.EnsureWebhook(t.Context(), in.Ref, enlace.WebhookOptions{}); err != nil {
		t.Fatal(err)
	}
	run, page = check()
	steps := map[string]string{}
	for _, s := range run["steps"].([]any) {
		steps[s.(object)["name"].(string)], _ = s.(object)["code"].(string)
	}
	if steps["registration"] != "registered" || steps["provider"] != "at_provider" {
		t.Errorf("after the registration: %v", steps)
	}
	page.want(t, http.StatusOK, "The provider delivers to this address", `"direction":"outbound"`)
}

// TestAuthConsole: a test of the authentication tells what is known of the credential.
func TestAuthConsole(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	run := h.api("POST", "test", object{"integrationId": in.ID, "kind": "auth"}).want(t, http.StatusOK).json(t)
	if account, _ := run["account"].(object); account["scheme"] != "api_key" {
		t.Errorf("the account is %v", run["account"])
	}
	page := h.get("console/"+run["id"].(string)).want(t, http.StatusOK, "Credential", "api_key")
	if key := h.provider.APIKey().Secrets["api_key"].Reveal(); strings.Contains(page.body, key) {
		t.Error("the page shows the key")
	}
}

// TestCompare: two tests of a kind stand side by side, with what is different in how they
// came out, their steps, their requests and what they read.
func TestCompare(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	run := func(kind string) string {
		t.Helper()
		h.access.User += "'"
		a := h.follow(h.post("console", url.Values{"integration": {in.ID}, "kind": {kind}, "entity": {"contacts"}}), "end: ")
		_, id, _ := strings.Cut(a.Request.URL.Path, "/console/")
		return id
	}
	first := run("health")
	h.provider.Fail(fake.Failure{Op: fake.OpList, Times: 1, Status: http.StatusForbidden})
	second := run("health")
	page := h.get("console/"+second+"?with="+first).want(t, http.StatusOK, "Comparison", "differs", "This test", "Time, all requests together")
	_, compared, _ := strings.Cut(page.body, `id="compared"`)
	compared, _, _ = strings.Cut(compared, "</section>")
	rows := strings.Split(compared, "<tr>")
	differing := func(text string) bool {
		for _, row := range rows {
			if strings.Contains(row, text) && strings.Contains(row, "differs") {
				return true
			}
		}
		return false
	}
	if !differing(">Outcome<") || !differing("403") || differing(">Settings<") {
		t.Errorf("what differs is not told:\n%s", page.body)
	}
	same := run("health")
	if page := h.get("console/"+same+"?with="+first).want(t, http.StatusOK, "Comparison"); strings.Contains(page.body, "differs") {
		t.Errorf("two that went the same way differ:\n%s", page.body)
	}
	simulated := run("sync")
	h.provider.Put("contacts", "new", map[string]any{"name": "Ana"})
	again := run("sync")
	h.get("console/"+again+"?with="+simulated).want(t, http.StatusOK, "Comparison", "contacts · ", "+1")

	// Of another kind, of nobody, or of somebody else there is nothing to compare with.
	for _, with := range []string{simulated, second, "none"} {
		if a := h.get("console/"+second+"?with="+with).want(t, http.StatusOK); strings.Contains(a.body, "Comparison") {
			t.Errorf("compared with %s", with)
		}
	}
	h.access.Tenant = "other"
	h.get("console/"+second+"?with="+first).want(t, http.StatusNotFound)
}
