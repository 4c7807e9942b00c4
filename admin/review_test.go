package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/mapping/live"
)

// TestReview: an edit is shown field by field before anything is saved, and goes back to
// the form as it was entered.
func TestReview(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	path := "i/" + in.ID + "/edit"
	form := h.get(path).want(t, http.StatusOK, "Review and save")
	entered := url.Values{"do": {"review"}, "version": {form.field("version")}, "name": {"Vendas <b>SP</b>"}, "setting.timeout": {"5000"}, "feature": {"crm_sync"}}
	a := h.post(path, entered).want(t, http.StatusOK, "3 fields change", "<del>Vendas</del>", "<ins>5000</ins>", "Nothing has been saved yet", "Features")
	if strings.Contains(a.body, "<b>SP") {
		t.Error("the page runs markup")
	}
	if now, err := h.service.Get(t.Context(), in.Ref); err != nil || now.Version != in.Version {
		t.Fatalf("the review has saved something: %+v, %v", now, err)
	}
	sent := func(do string) url.Values { // what the page's hidden fields send
		return url.Values{"do": {do}, "version": {a.field("version")}, "name": {a.field("name")}, "setting.timeout": {a.field("setting.timeout")}, "feature": {a.field("feature")}}
	}
	back := h.post(path, sent("edit")).want(t, http.StatusOK, "Review and save")
	if back.field("version") != form.field("version") || !strings.Contains(back.body, `value="Vendas &lt;b&gt;SP&lt;/b&gt;"`) || !strings.Contains(back.body, `value="5000"`) {
		t.Error("the form does not have what was entered")
	}
	h.post(path, sent("save")).want(t, http.StatusOK, "Changes saved.", "Vendas <b>SP</b>", "5000")
	late := sent("review")
	late.Set("setting.timeout", "7000")
	h.post(path, late).want(t, http.StatusPreconditionFailed, "Somebody else saved first", "7000")
	form = h.get(path)
	same := sent("review")
	same.Set("version", form.field("version"))
	if a := h.post(path, same).want(t, http.StatusOK, "Nothing has changed."); strings.Contains(a.body, `value="save"`) {
		t.Error("nothing is offered to be saved")
	}
}

// TestReviewMapping: a document is compared line by line with what it replaces.
func TestReviewMapping(t *testing.T) {
	h := newHost(t, hostOptions{mappings: live.Engine{}})
	in := h.connected("CRM")
	path := "i/" + in.ID + "/mappings/contacts/"
	document := `{"name":"contacts","fields":[{"from":"id","to":"id"},{"from":"name","to":"nome"}]}`
	post := func(number, do, document string) answer {
		return h.post(path+number, url.Values{"do": {do}, "document": {document}, "version": {"1"}})
	}
	a := post("0", "review", document).want(t, http.StatusOK, "What changes in the document", `<ins>+       "from": "name",</ins>`, "  {")
	if strings.Contains(a.body, "<del>") {
		t.Error("a line that stays is removed")
	}
	if a := post("0", "edit", document); !strings.Contains(a.body, "Review and save") || !strings.Contains(a.body, "nome") {
		t.Error("the form does not have what was entered")
	}
	post("0", "review", `{"name":`).want(t, http.StatusUnprocessableEntity, "There is a problem")
	h.get("i/"+in.ID+"/mappings").want(t, http.StatusOK, "No mapping")
	post("0", "save", document).want(t, http.StatusOK, "Draft saved.")
	post("1", "review", strings.Replace(document, "nome", "name", 1)).want(t, http.StatusOK, `<del>−       "to": "nome"</del>`, `<ins>+       "to": "name"</ins>`)
	post("1", "review", document).want(t, http.StatusOK, "Nothing has changed.")
}
