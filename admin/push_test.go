package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/mapping/live"
)

// rows are a host's changes.
type rows map[string][]enlace.Change // by entity

func (r rows) Changes(_ context.Context, q enlace.ChangeQuery) ([]enlace.Change, string, error) {
	asked := len(q.IDs)+len(q.RemoteIDs) > 0
	var found []enlace.Change
	for _, change := range r[q.Entity] {
		if !asked || slices.Contains(q.IDs, change.ID) {
			found = append(found, change)
		}
	}
	return found, "", nil
}

func (rows) Accepted(context.Context, enlace.AcceptedChanges) error { return nil }

// follow reads a page until it shows a text: work goes on behind it.
func (h *host) follow(a answer, text string) answer {
	h.t.Helper()
	for range 400 {
		if strings.Contains(a.body, text) {
			return a
		}
		if !pauseFor(h.t.Context()) {
			break
		}
		a = h.do(http.MethodGet, a.Request.URL.String(), nil, nil)
	}
	h.t.Fatalf("%s never shows %q:\n%s", a.Request.URL, text, a.body)
	return a
}

// TestPlan: a push is planned, looked at, applied and taken back, all by hand.
func TestPlan(t *testing.T) {
	changes := rows{"contacts": {{ID: "c1", Data: json.RawMessage(`{"name":"Ana <b>Souza</b>","email":"ana@example.com"}`)}, {ID: "c2", Data: json.RawMessage(`{"name":"Bia"}`)}}}
	h := newHost(t, hostOptions{options: admin.Options{Source: func(enlace.Integration) enlace.Source { return changes }}})
	in := h.connected("CRM")
	h.get("i/"+in.ID).want(t, http.StatusOK, "Plan a push")
	a := h.follow(h.post("i/"+in.ID+"/plan", nil), "Apply the plan")
	a.want(t, http.StatusOK, "Ana <b>Souza</b>", "ana@example.com", "create")
	if strings.Contains(a.body, "<b>Souza") || h.provider.Effects(fake.OpCreate)+h.provider.Effects(fake.OpBatch) != 0 {
		t.Fatal("the plan runs markup, or wrote something")
	}
	before := h.provider.Effects("")
	run := h.follow(h.post(strings.TrimPrefix(a.Request.URL.Path, "/integrations/")+"/apply", nil), "complete")
	if h.provider.Effects("") == before {
		t.Error("applying wrote nothing")
	}
	h.post(strings.TrimPrefix(a.Request.URL.Path, "/integrations/")+"/apply", nil).want(t, http.StatusConflict)
	run.want(t, http.StatusOK, "Undo the writes of this run")
	h.follow(h.post(strings.TrimPrefix(run.Request.URL.Path, "/integrations/")+"/undo", nil), "2 writes taken back")
	for _, id := range []string{"plans/plan_none", "plans/none"} {
		h.get(id).want(t, http.StatusNotFound)
	}
}

// TestOutbox: a change that the provider refuses waits for somebody, who edits it
// and sends it again.
func TestOutbox(t *testing.T) {
	h := newHost(t, hostOptions{})
	in := h.connected("CRM")
	h.get("outbox").want(t, http.StatusOK, "Nothing here.")
	h.provider.Fail(fake.Failure{Op: fake.OpCreate, Times: 1, Status: http.StatusUnprocessableEntity})
	h.provider.Fail(fake.Failure{Op: fake.OpBatch, Times: 1, Status: http.StatusUnprocessableEntity})
	changes := rows{"contacts": {{ID: "id/with?odd&parts", Data: json.RawMessage(`{"name":"Ana"}`)}}}
	_, _ = h.service.Sync(t.Context(), in.Ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: changes, Tries: 1})
	h.get("").want(t, http.StatusOK, "Needs attention", "one change waits for somebody")
	list := h.get("outbox").want(t, http.StatusOK, "refused", "id/with?odd&parts")
	link := regexp.MustCompile(`href="\./(outbox/item\?[^"]*)"`).FindStringSubmatch(list.body)
	if link == nil {
		t.Fatal("no link to the change")
	}
	item := h.get(strings.ReplaceAll(link[1], "&amp;", "&")).want(t, http.StatusOK, `"name": "Ana"`)
	form := func(do, version string) url.Values {
		return url.Values{"do": {do}, "integration": {in.ID}, "entity": {"contacts"}, "id": {"id/with?odd&parts"}, "version": {version}, "data": {`{"name":"Bia"}`}}
	}
	broken := form("edit", item.field("version"))
	broken.Set("data", "not json")
	h.post("outbox/item", broken).want(t, http.StatusUnprocessableEntity, "not a JSON object")
	saved := h.post("outbox/item", form("edit", item.field("version"))).want(t, http.StatusOK, "Data saved.", `"name": "Bia"`)
	h.post("outbox/item", form("redrive", item.field("version"))).want(t, http.StatusConflict)
	h.post("outbox/item", form("redrive", saved.field("version"))).want(t, http.StatusOK, "Change is back in the queue.")
	queued := h.get("outbox?state=queued").want(t, http.StatusOK, "id/with?odd&parts")
	item = h.get(strings.ReplaceAll(regexp.MustCompile(`href="\./(outbox/item\?[^"]*)"`).FindStringSubmatch(queued.body)[1], "&amp;", "&"))
	h.post("outbox/item", form("discard", item.field("version"))).want(t, http.StatusOK, "Change discarded.")
	h.access.Grants = admin.ReadOnly
	h.post("outbox/item", form("discard", "1")).want(t, http.StatusForbidden)
}

// TestConflictsPage: the list says what it is about, also when there is none.
func TestConflictsPage(t *testing.T) {
	h := newHost(t, hostOptions{})
	h.get("conflicts").want(t, http.StatusOK, "No conflict.")
	h.get("conflicts?state=resolved").want(t, http.StatusOK)
	h.post("conflicts", url.Values{"integration": {"none"}, "id": {"none"}, "version": {"1"}, "side": {"local"}}).want(t, http.StatusNotFound)
	h.post("conflicts", url.Values{"integration": {"none"}, "id": {"none"}, "version": {"1"}, "side": {"fields"}}).want(t, http.StatusNotFound)
	h.post("conflicts", url.Values{"side": {"local"}}).want(t, http.StatusPreconditionRequired)
}

// TestMappingPages: a mapping is written, refused with reasons, tried in the shadow,
// activated and retired.
func TestMappingPages(t *testing.T) {
	h := newHost(t, hostOptions{mappings: live.Engine{}})
	in := h.connected("CRM")
	path := "i/" + in.ID + "/mappings"
	h.get(path).want(t, http.StatusOK, "Contacts", "No mapping")
	h.get(path+"/contacts/0").want(t, http.StatusOK, "New version: contacts")
	h.post(path+"/contacts/0", url.Values{"do": {"save"}, "document": {`{"fields":[{"fro`}}).want(t, http.StatusUnprocessableEntity, "There is a problem")
	document := `{"name":"contacts","fields":[{"from":"name","to":"nome"}]}`
	saved := h.post(path+"/contacts/0", url.Values{"do": {"save"}, "document": {document}})
	saved.want(t, http.StatusOK, "Draft saved.", "nome")
	h.post(path+"/contacts/1", url.Values{"do": {"shadow"}}).want(t, http.StatusOK, "What would change", "30 records", "nome")
	h.post(path+"/contacts/1", url.Values{"do": {"activate"}, "version": {saved.field("version")}}).want(t, http.StatusOK, "Version activated.", "does not change any more")
	h.post(path+"/contacts/1", url.Values{"do": {"save"}, "document": {document}}).want(t, http.StatusConflict)
	active := h.get(path + "/contacts/1")
	h.access.Grants = admin.Operator
	h.post(path+"/contacts/1", url.Values{"do": {"retire"}, "version": {active.field("version")}}).want(t, http.StatusForbidden)
	h.access.Grants = admin.Administrator
	h.post(path+"/contacts/1", url.Values{"do": {"retire"}, "version": {active.field("version")}}).want(t, http.StatusOK, "Version retired.")
	h.get(path+"/contacts/77").want(t, http.StatusNotFound)
	h.get(path+"/contacts/x").want(t, http.StatusNotFound)
}
