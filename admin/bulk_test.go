package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// TestBulk: what is chosen in the list is shown, confirmed and then done; one that fails
// stops no other.
func TestBulk(t *testing.T) {
	h := newHost(t, hostOptions{})
	first, second := h.connected("Vendas"), h.connected("Loja")
	h.get("i").want(t, http.StatusOK, `name="id" value="`+first.ID+`"`, `formaction="./bulk/disable"`)
	chosen := url.Values{"id": {first.ID, second.ID, first.ID}}
	h.post("bulk/disable", nil).want(t, http.StatusOK, "Choose at least one")
	h.post("bulk/disable", chosen).want(t, http.StatusOK, "These 2 integrations are switched off", "Vendas", "Loja")
	enabled := func(want bool) {
		t.Helper()
		for _, in := range []enlace.Integration{first, second} {
			now, err := h.service.Get(t.Context(), in.Ref)
			if err != nil || now.Enabled != want {
				t.Errorf("%s: enabled %v, %v", in.Name, now.Enabled, err)
			}
		}
	}
	enabled(true) // nothing happens before it is confirmed
	chosen.Set("confirm", "yes")
	h.post("bulk/disable", chosen).want(t, http.StatusOK, "2 of 2 done.")
	enabled(false)
	chosen.Add("id", "none")
	h.post("bulk/enable", chosen).want(t, http.StatusOK, "2 of 3 done.", "Not found")
	enabled(true)
	chosen["id"] = chosen["id"][:2]
	h.post("bulk/check", chosen).want(t, http.StatusOK, "2 of 2 done.")
	h.post("bulk/sync", chosen).want(t, http.StatusOK, "2 of 2 done.", "runs/")
	runs, _, err := h.service.Runs(t.Context(), enlace.RunQuery{})
	if err != nil || len(runs) != 2 || runs[0].State != enlace.RunWaiting {
		t.Errorf("runs %+v, %v", runs, err)
	}
	h.get("audit").want(t, http.StatusOK, "integration disabled", "Vendas", "Loja")
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprint("i", i))
	}
	h.post("bulk/enable", url.Values{"id": many, "confirm": {"yes"}}).want(t, http.StatusUnprocessableEntity, "Too many at once")
	h.access.Tenant = "other"
	h.post("bulk/disable", url.Values{"id": {first.ID}, "confirm": {"yes"}}).want(t, http.StatusOK, "0 of 1 done.")
	h.access.Tenant = ""
	enabled(true)
	h.access.Grants = admin.ReadOnly
	if a := h.get("i"); strings.Contains(a.body, "bulk/") || strings.Contains(a.body, "checkbox") {
		t.Error("bulk actions are offered to who may not")
	}
	h.post("bulk/disable", chosen).want(t, http.StatusForbidden)
	h.access.Grants = admin.ReadOnly | admin.GrantTest
	if a := h.get("i"); !strings.Contains(a.body, "bulk/check") || strings.Contains(a.body, "bulk/disable") {
		t.Error("not exactly what is allowed is offered")
	}
}

// TestAPIBulk: the same by the API.
func TestAPIBulk(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	a := h.api("POST", "integrations/bulk/disable", object{"ids": []string{in.ID, "none"}}).want(t, http.StatusOK)
	items := a.json(t)["items"].([]any)
	if len(items) != 2 || items[0].(object)["ok"] != true || items[1].(object)["ok"] != false || items[1].(object)["code"] != "not_found" {
		t.Errorf("disabled: %s", a.body)
	}
	h.api("POST", "integrations/bulk/enable", object{"ids": []string{in.ID}}).want(t, http.StatusOK, `"ok":true`)
	h.api("POST", "integrations/bulk/check", object{"ids": []string{in.ID}}).want(t, http.StatusOK, `"ok":true`)
	h.api("POST", "integrations/bulk/sync", object{"ids": []string{in.ID}}).want(t, http.StatusOK, `"runId":"`)
	h.api("POST", "integrations/bulk/enable", object{"ids": []string{}}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	h.access.Grants = admin.ReadOnly
	h.api("POST", "integrations/bulk/disable", object{"ids": []string{in.ID}}).problem(t, http.StatusForbidden, "forbidden")
}
