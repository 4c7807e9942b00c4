package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// TestSimulation: the console shows what a sync would do with the records, field by field,
// and neither the provider nor the host notices more than reads.
func TestSimulation(t *testing.T) {
	sink := &picky{}
	h := newHost(t, hostOptions{sink: sink})
	in := h.connected("CRM")
	h.provider.Put("contacts", "odd<b>1", map[string]any{"name": "Ana"})
	simulate := func() answer {
		t.Helper()
		h.access.User += "'" // few tests of one user in a minute
		a := h.post("console", url.Values{"integration": {in.ID}, "kind": {"sync"}, "entity": {"contacts"}, "limit": {"100"}})
		return h.follow(a, "without errors")
	}
	a := simulate().want(t, http.StatusOK, "What a sync would do", "create", "and 11 more records", "<ins>", `"entities":["contacts"]`)
	if strings.Contains(a.body, "odd<b>1") || strings.Contains(a.body, "were not let through") {
		t.Error("the page runs markup, or tells of writes")
	}
	if sink.has("Ana") {
		t.Fatal("the simulation gave something to the sink")
	}
	if _, err := h.service.Sync(t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}, Keep: true}); err != nil {
		t.Fatal(err)
	}
	h.provider.Put("contacts", "odd<b>1", map[string]any{"name": "Ana Souza"})
	simulate().want(t, http.StatusOK, "unchanged", "<del>Ana</del>", "<ins>Ana Souza</ins>")
	h.get("audit").want(t, http.StatusOK, "records previewed")
	if h.provider.Effects("") != 0 {
		t.Errorf("%d writes at the provider", h.provider.Effects(""))
	}

	run := h.api("POST", "sync", object{"integrationId": in.ID, "resource": "contacts", "limit": 100}).want(t, http.StatusOK).json(t)
	preview := run["preview"].(object)
	if counts := preview["counts"].(object); counts["update"] != 1.0 || counts["unchanged"] != 30.0 || preview["blockedWrites"] != 0.0 {
		t.Errorf("preview %v", preview)
	}
	found := false
	for _, item := range preview["sample"].([]any) {
		r := item.(object)
		fields, _ := r["fields"].([]any)
		for _, f := range fields {
			field := f.(object)
			found = found || r["id"] == "odd<b>1" && r["action"] == "update" && r["known"] == true && field["name"] == "name" && field["before"] == "Ana" && field["after"] == "Ana Souza"
		}
		if r["action"] == "unchanged" && len(fields) > 0 {
			t.Error("what has not changed has no fields to show")
		}
	}
	if !found {
		t.Errorf("the change is not in %v", preview["sample"])
	}

	// Who may not test sees how many, and no data.
	h.access.Grants = admin.ReadOnly
	for _, a := range []answer{h.api("GET", "runs/"+run["id"].(string), nil), h.api("GET", "runs?kind=test", nil), h.get("console/" + run["id"].(string))} {
		if a.want(t, http.StatusOK); strings.Contains(a.body, "Ana Souza") || !strings.Contains(a.body, "unchanged") {
			t.Errorf("%s: %s", a.Request.URL, a.body)
		}
	}
}
