package admin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/live"
)

// TestSuggest: fields are proposed from the account's own records, with reasons, and
// become a draft.
func TestSuggest(t *testing.T) {
	h := newHost(t, hostOptions{mappings: live.Engine{}, options: admin.Options{Schema: func(_ enlace.Integration, entity string) mapping.Schema {
		if entity != "contacts" {
			return mapping.Schema{}
		}
		return mapping.Schema{Fields: []mapping.SchemaField{{Path: "nome", Title: "Nome completo", Type: mapping.Text}, {Path: "email"}, {Path: "cor_preferida"}}}
	}}})
	in := h.connected("CRM")
	path := "i/" + in.ID + "/mappings/contacts/suggest"
	h.get("i/"+in.ID+"/mappings").want(t, http.StatusOK, "mappings/contacts/suggest")
	page := h.get(path).want(t, http.StatusOK, "nome: text", "cor_preferida")
	h.post(path, url.Values{"do": {"suggest"}, "fields": {"nome: colour"}, "samples": {"5"}}).want(t, http.StatusUnprocessableEntity, "not a type: colour")
	h.post(path, url.Values{"do": {"suggest"}, "fields": {" \n"}, "samples": {"5"}}).want(t, http.StatusUnprocessableEntity, "Write at least one field.")
	h.post(path, url.Values{"do": {"suggest"}, "fields": {"nome"}, "samples": {"5000"}}).want(t, http.StatusUnprocessableEntity)
	form := url.Values{"do": {"suggest"}, "fields": {"nome: text\nemail\ncor_preferida"}, "samples": {"20"}}
	found := h.post(path, form).want(t, http.StatusOK, "Proposals", "<code>nome</code>", "<code>name</code>", "mean the same", "<code>email</code>")
	if strings.Contains(found.body, `aria-label="cor_preferida"`) {
		t.Error("something is proposed for a field that nothing fits")
	}
	if h.provider.Effects("") != 0 {
		t.Error("a proposal writes")
	}
	spoken := h.do("POST", path, strings.NewReader(form.Encode()), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept-Language", "pt-BR")
	})
	spoken.want(t, http.StatusOK, "Propostas", "significam o mesmo")
	var fields []string
	for _, match := range regexp.MustCompile(`name="field" value="([^"]*)"`).FindAllStringSubmatch(found.body, -1) {
		fields = append(fields, strings.ReplaceAll(match[1], "&#34;", `"`))
	}
	if len(fields) != 2 {
		t.Fatalf("%d proposals: %v", len(fields), fields)
	}
	h.post(path, url.Values{"do": {"accept"}, "field": {"nonsense"}}).want(t, http.StatusUnprocessableEntity)
	h.post(path, url.Values{"do": {"accept"}}).want(t, http.StatusUnprocessableEntity, "There")
	draft := h.post(path, url.Values{"do": {"accept"}, "field": fields}).want(t, http.StatusOK, "Draft saved.", `"to": "nome"`, `"from": "name"`)
	h.post(strings.TrimPrefix(draft.Request.URL.Path, "/integrations/"), url.Values{"do": {"activate"}, "version": {draft.field("version")}}).want(t, http.StatusOK)
	h.post(path, url.Values{"do": {"accept"}, "field": {`{"from":"id","to":"codigo"}`, `{"from":"id","to":"nome"}`}}).
		want(t, http.StatusOK, `"to": "codigo"`, `"from": "name"`) // added to the active one, whose fields stay
	h.get("i/"+in.ID+"/mappings/nonsense/suggest").want(t, http.StatusNotFound)
	h.access.Grants = admin.Administrator &^ admin.GrantTest
	h.post(path, form).want(t, http.StatusForbidden)
	h.access.Grants = admin.Operator
	h.get(path).want(t, http.StatusForbidden)
	_ = page
}

// TestAPIMappings: versions of mappings by the API, from a proposal to the active one.
func TestAPIMappings(t *testing.T) {
	h := newHost(t, hostOptions{mappings: live.Engine{}})
	in := h.connected("CRM")
	path := "integrations/" + in.ID + "/mappings"
	a := h.api("POST", path+"/contacts/suggest", object{"fields": []object{{"path": "nome", "type": "text"}, {"path": "email"}}}).want(t, http.StatusOK, `"evidence"`)
	var fields []any
	for _, s := range a.json(t)["accepted"].([]any) {
		fields = append(fields, s.(object)["field"])
	}
	if len(fields) != 2 {
		t.Fatalf("proposed: %s", a.body)
	}
	h.api("POST", path, object{"entity": "contacts", "document": object{"name": "contacts", "fields": []object{{"frm": "x"}}}}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	h.api("POST", path, object{"entity": "nonsense", "document": object{"name": "x", "fields": fields}}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	a = h.api("POST", path, object{"entity": "contacts", "document": object{"name": "contacts", "fields": fields}}).want(t, http.StatusCreated, `"state":"draft"`)
	version, tag := a.Header.Get("Location"), a.Header.Get("ETag")
	if version != path+"/contacts/1" {
		t.Errorf("location %s", version)
	}
	a = h.api("PUT", version, object{"document": object{"name": "contacts", "fields": fields[:1]}}, "If-Match", tag).want(t, http.StatusOK)
	h.api("PUT", version, object{"document": object{"name": "contacts", "fields": fields}}, "If-Match", tag).problem(t, http.StatusPreconditionFailed, "version_conflict")
	h.api("POST", version+"/shadow", nil).want(t, http.StatusOK, `"payloads":30`)
	h.api("POST", version+"/activate", nil).problem(t, http.StatusPreconditionRequired, "version_required")
	a = h.api("POST", version+"/activate", nil, "If-Match", a.Header.Get("ETag")).want(t, http.StatusOK, `"state":"active"`)
	h.api("POST", version+"/retire", nil, "If-Match", a.Header.Get("ETag")).want(t, http.StatusOK, `"state":"retired"`)
	h.api("GET", path+"?entity=contacts", nil).want(t, http.StatusOK, `"number":1`)
	h.api("GET", version, nil).want(t, http.StatusOK, `"state":"retired"`)
	h.api("GET", path+"/contacts/7", nil).problem(t, http.StatusNotFound, "not_found")
	h.access.Tenant = "other"
	h.api("GET", version, nil).problem(t, http.StatusNotFound, "not_found")
}
