package admin_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
)

// TestHealthPages: what a check finds is on the matrix, on the integration's page and
// in the API, and a maintenance window can be opened and ended.
func TestHealthPages(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	h.get("health").want(t, http.StatusOK, "No check yet")
	h.post("i/"+in.ID+"/health", nil).want(t, http.StatusOK, "Checked.", "Check now")
	h.get("health").want(t, http.StatusOK, "Vendas", "healthy", "In the last 24 h")
	a := h.api("GET", "integrations/"+in.ID+"/health", nil).want(t, http.StatusOK, `"status":"healthy"`, `"reachability"`)
	if a.json(t)["integrationId"] != in.ID {
		t.Errorf("health: %s", a.body)
	}
	h.api("GET", "health", nil).want(t, http.StatusOK, in.ID)
	h.api("GET", "metrics?range=1h", nil).want(t, http.StatusOK, `"step":"1m0s"`)
	h.api("GET", "audit", nil).want(t, http.StatusOK, `"integration.create"`)
	h.api("GET", "webhooks/deliveries", nil).want(t, http.StatusOK, `"items":[]`)
	opened := h.post("health", url.Values{"hours": {"2"}, "reason": {"Troca de servidor"}}).want(t, http.StatusOK, "Troca de servidor")
	h.post("health", url.Values{"end": {opened.field("end")}}).want(t, http.StatusOK, "No window is open")
	h.post("health", url.Values{"hours": {"-1"}}).want(t, http.StatusUnprocessableEntity)
	h.provider.Revoke()
	h.get("static/enlace-health.js").want(t, http.StatusOK, "customElements.define")
}

// panelled is an adapter with a box of its own.
type panelled struct{ fake.Adapter }

func (panelled) Panels(context.Context, *enlace.Conn, string) ([]admin.Panel, error) {
	return []admin.Panel{{Title: "Quota", Facts: []admin.Fact{{Label: "Used", Value: "80 <b>of</b> 100", Tone: "warn"}}, Note: "Resets at midnight"}}, nil
}

// TestPanels: an adapter shows something of its own as data, never as markup.
func TestPanels(t *testing.T) {
	h := newHost(t, hostOptions{})
	if err := h.service.Registry().Replace(panelled{}); err != nil {
		t.Fatal(err)
	}
	in := h.connected("Vendas")
	a := h.get("i/"+in.ID).want(t, http.StatusOK, "Quota", "Used", "80 <b>of</b> 100", "Resets at midnight")
	if strings.Contains(a.body, "<b>of</b>") {
		t.Error("the panel's markup is live")
	}
}
