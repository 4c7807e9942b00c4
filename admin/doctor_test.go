package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/admin"
)

// TestDoctorPage: what the doctor finds is shown with what to do, in the user's language,
// and only to who may see the whole installation.
func TestDoctorPage(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.connected("Vendas")
	h.get("doctor").want(t, http.StatusOK, "Nobody has looked yet.")
	h.post("doctor", nil).want(t, http.StatusOK, "no process runs Service.Run", "call Service.Run in at least one process", "1 integrations, each with an adapter", "Look again", "Ana")
	h.do("GET", "doctor", nil, func(r *http.Request) { r.Header.Set("Accept-Language", "pt-BR") }).
		want(t, http.StatusOK, "nenhum processo executa Service.Run", "chame Service.Run em pelo menos um processo", "1 integrações, cada uma com um adaptador", "a chave principal é ")
	a := h.api("POST", "doctor", nil, "Accept-Language", "pt-BR").want(t, http.StatusOK, "nenhum processo executa Service.Run")
	if a.json(t)["status"] != "warning" {
		t.Errorf("diagnosis: %s", a.body)
	}
	h.access.Grants = admin.Operator
	h.get("doctor").want(t, http.StatusForbidden)
	h.access.Grants = admin.Administrator
	h.access.Tenant = "acme" // an administrator of one tenant sees nothing of the others
	if a := h.get("i").want(t, http.StatusOK); strings.Contains(a.body, "./doctor") {
		t.Error("the doctor is offered to a tenant")
	}
	h.get("doctor").want(t, http.StatusForbidden)
	h.post("doctor", nil).want(t, http.StatusForbidden)
	h.api("POST", "doctor", nil).problem(t, http.StatusForbidden, "forbidden")
	h.api("GET", "metrics", nil, "Accept", "text/plain").problem(t, http.StatusForbidden, "forbidden")
}
