package admin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// TestSchedulePages: a schedule is made, refused with reasons, changed, paused, resumed
// and deleted by hand.
func TestSchedulePages(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.get("schedules").want(t, http.StatusOK, "No schedule yet.")
	in := h.connected("Vendas")
	h.get("i/"+in.ID).want(t, http.StatusOK, "schedules?integration="+in.ID)
	form := url.Values{"integration": {in.ID}, "spec": {"every 5s"}, "entities": {"contacts, deals"}, "jitter": {"2"}, "catch_up": {"skip"}}
	h.post("schedules", form).want(t, http.StatusUnprocessableEntity, "not an interval of a minute or more", `href="#spec"`, "every 5s", "contacts, deals")
	form.Set("spec", "30 6 * * 1-5")
	form.Set("zone", "America/Nowhere")
	h.post("schedules", form).want(t, http.StatusUnprocessableEntity, "not a known time zone")
	form.Set("zone", "America/Sao_Paulo")
	form.Set("jitter", "-1")
	h.post("schedules", form).want(t, http.StatusUnprocessableEntity, "out of range")
	form.Set("jitter", "2")
	form.Set("entities", "nonsense")
	h.post("schedules", form).want(t, http.StatusUnprocessableEntity, "unknown entity", `href="#entities"`)
	form.Set("entities", "contacts")
	list := h.post("schedules", form).want(t, http.StatusOK, "Schedule saved.", "30 6 * * 1-5", "America/Sao_Paulo", "active", "None yet")
	link := regexp.MustCompile(`href="\./(schedules/[^"]+)"`).FindStringSubmatch(list.body)
	if link == nil {
		t.Fatal("no link to the schedule")
	}
	path := link[1]
	shown := h.get(path).want(t, http.StatusOK, "Next times", `value="contacts"`, `value="2"`)
	version := shown.field("version")
	h.post(path, url.Values{"do": {"pause"}}).want(t, http.StatusPreconditionRequired)
	h.post(path, url.Values{"do": {"pause"}, "version": {version}}).want(t, http.StatusOK, "Schedule paused.", "paused")
	h.post(path, url.Values{"do": {"resume"}, "version": {version}}).want(t, http.StatusConflict)
	shown = h.get(path).want(t, http.StatusOK, "None while it is paused.")
	h.post(path, url.Values{"do": {"resume"}, "version": {shown.field("version")}}).want(t, http.StatusOK, "Schedule resumed.")
	version = h.get(path).field("version")
	h.post(path, url.Values{"do": {"save"}, "spec": {"whenever"}, "version": {version}}).want(t, http.StatusUnprocessableEntity, "neither an interval nor five fields of cron", "whenever")
	h.post(path, url.Values{"do": {"save"}, "spec": {"every 15m"}, "version": {version}}).want(t, http.StatusOK, "every 15m")
	h.access.Grants = admin.ReadOnly
	if a := h.get(path).want(t, http.StatusOK); strings.Contains(a.body, "Delete schedule") {
		t.Error("deleting is offered to who may not")
	}
	h.post(path, url.Values{"do": {"delete"}, "version": {version}}).want(t, http.StatusForbidden)
	h.access.Grants = admin.Administrator
	h.post(path, url.Values{"do": {"delete"}, "version": {h.get(path).field("version")}}).want(t, http.StatusOK, "Schedule deleted.", "No schedule yet.")
	h.get(path).want(t, http.StatusNotFound)
	h.post(path, url.Values{"do": {"nonsense"}}).want(t, http.StatusNotFound)
}

// TestScheduleSkipped: the list says in words, and in the user's language, why the last
// time passed without a run.
func TestScheduleSkipped(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	saved, err := h.service.SaveSchedule(t.Context(), enlace.Schedule{Ref: in.Ref, Spec: "every 5m"})
	if err != nil {
		t.Fatal(err)
	}
	for reason, words := range map[string]string{"late": "passou sem nenhum processo no ar", "running": "a execução anterior não tinha terminado", "paused": "está em pausa", "disabled": "desativada"} {
		saved.LastSkip = reason
		if err := h.store.SaveSchedule(t.Context(), saved); err != nil {
			t.Fatal(err)
		}
		if saved, err = h.service.Schedule(t.Context(), "", saved.ID); err != nil {
			t.Fatal(err)
		}
		h.do("GET", "schedules", nil, func(r *http.Request) { r.Header.Set("Accept-Language", "pt-BR") }).want(t, http.StatusOK, words)
		h.api("GET", "schedules/"+saved.ID, nil, "Accept-Language", "pt-BR").want(t, http.StatusOK, words, `"lastSkip":"`+reason+`"`)
	}
}

// TestAPISchedules: the same by the API, with versions.
func TestAPISchedules(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("Vendas")
	h.api("POST", "schedules", object{"integrationId": in.ID, "spec": "every 5s"}).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	h.api("POST", "schedules", object{"integrationId": "none", "spec": "every 5m"}).problem(t, http.StatusNotFound, "not_found")
	a := h.api("POST", "schedules", object{"integrationId": in.ID, "spec": "every 5m", "entities": []string{"contacts"}, "jitterSeconds": 30, "catchUp": "skip"}).want(t, http.StatusCreated)
	made := a.json(t)
	path, tag := "schedules/"+made["id"].(string), a.Header.Get("ETag")
	if a.Header.Get("Location") != path || tag == "" || made["catchUp"] != "skip" || made["jitterSeconds"] != 30.0 || made["nextAt"] == nil {
		t.Fatalf("created %s", a.body)
	}
	h.api("PUT", path, object{"spec": "every 10m"}).problem(t, http.StatusPreconditionRequired, "version_required")
	a = h.api("PUT", path, object{"spec": "every 10m", "paused": true}, "If-Match", tag).want(t, http.StatusOK, `"every 10m"`)
	if changed := a.json(t); changed["nextAt"] != nil || changed["paused"] != true || changed["integrationId"] != in.ID {
		t.Errorf("changed: %s", a.body)
	}
	h.api("DELETE", path, nil, "If-Match", tag).problem(t, http.StatusPreconditionFailed, "version_conflict")
	h.api("GET", "schedules?integration="+in.ID, nil).want(t, http.StatusOK, made["id"].(string))
	if a := h.api("GET", "schedules?integration=other", nil); len(a.json(t)["items"].([]any)) != 0 {
		t.Errorf("of another: %s", a.body)
	}
	h.access.Tenant = "other"
	h.api("GET", path, nil).problem(t, http.StatusNotFound, "not_found")
	h.access.Tenant = ""
	h.api("DELETE", path, nil, "If-Match", a.Header.Get("ETag")).want(t, http.StatusNoContent)
	h.api("GET", path, nil).problem(t, http.StatusNotFound, "not_found")
}
