package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// picky is a sink that refuses contacts whose name is too long for it.
type picky struct {
	mu    sync.Mutex
	names []string // of the records that it has
}

func (p *picky) Accept(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	refusal := enlace.SinkRefusal{Records: map[string]error{}}
	var names []string
	for _, r := range b.Records {
		var fields struct{ Name string }
		if err := json.Unmarshal(r.Data, &fields); err != nil {
			return enlace.Changes{}, err
		}
		if len(fields.Name) > 40 {
			refusal.Records[r.ID] = errors.New("the name is too long")
		}
		names = append(names, fields.Name)
	}
	if len(refusal.Records) > 0 {
		return enlace.Changes{}, &refusal
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = append(p.names, names...)
	return enlace.Changes{Created: len(names)}, nil
}

func (p *picky) has(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.names, name)
}

// withRefused is a host whose sink has refused two contacts for good.
func withRefused(t *testing.T) (*host, *picky, enlace.Integration) {
	t.Helper()
	sink := &picky{}
	h := newHost(t, hostOptions{sink: sink})
	in := h.connected("CRM")
	long := strings.Repeat("Ana Souza ", 5)
	h.provider.Put("contacts", "odd<b>&id=1?", map[string]any{"name": long})
	h.provider.Put("contacts", "plain", map[string]any{"name": long})
	h.pull(in)
	return h, sink, in
}

// pull reads contacts as a run does that tries what was refused once.
func (h *host) pull(in enlace.Integration) {
	h.t.Helper()
	if _, err := h.service.Sync(h.t.Context(), in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}, Tries: 1}); err != nil {
		h.t.Fatal(err)
	}
}

// itemLink is the link to one of the records of a list.
func itemLink(t *testing.T, list answer, record string) string {
	t.Helper()
	for _, match := range regexp.MustCompile(`href="[./]*(i/[^"]*/aside/item\?[^"]*)"`).FindAllStringSubmatch(list.body, -1) {
		if link := strings.ReplaceAll(match[1], "&amp;", "&"); strings.Contains(link, "record="+url.QueryEscape(record)) {
			return link
		}
	}
	t.Fatalf("no link to %s in\n%s", record, list.body)
	return ""
}

// TestRefusedPages: a record that the sink has refused is looked at, edited, tried again
// and discarded, all by hand, and each of that stands in the audit trail.
func TestRefusedPages(t *testing.T) {
	h, sink, in := withRefused(t)
	path := "i/" + in.ID + "/aside"
	h.get("").want(t, http.StatusOK, "Needs attention", "2 records were put aside", path)
	list := h.get(path).want(t, http.StatusOK, "the name is too long", "odd<b>&id=1?", "plain", "Your system did not accept the data.")
	link := itemLink(t, list, "odd<b>&id=1?")
	item := h.get(link).want(t, http.StatusOK, `"name": "Ana Souza`, "No run tries it again by itself")
	if strings.Contains(item.body, "odd<b>") || strings.Contains(list.body, "odd<b>") {
		t.Error("the page runs markup")
	}
	form := func(do, data string) url.Values {
		return url.Values{"do": {do}, "entity": {"contacts"}, "record": {"odd<b>&id=1?"}, "version": {item.field("version")}, "data": {data}}
	}
	post := path + "/item"
	h.post(post, form("edit", `{"name":"cut of`)).want(t, http.StatusUnprocessableEntity, "not a JSON object", `{"name":"cut of`)
	stale := item
	item = h.post(post, form("edit", `{"name":"Ana"}`)).want(t, http.StatusOK, "Data saved.", `"name": "Ana"`, "Edited")
	old := form("edit", `{"name":"Bia"}`)
	old.Set("version", stale.field("version"))
	kept := h.post(post, old).want(t, http.StatusPreconditionFailed, "Somebody changed this record meanwhile", `{"name":"Bia"}`)
	if kept.field("version") != item.field("version") {
		t.Error("the page does not go on from what is stored")
	}
	old.Set("do", "redrive")
	h.post(post, old).want(t, http.StatusConflict)
	h.post(post, form("redrive-edited", `{"name":"Carla"}`)).want(t, http.StatusOK, "The next run tries it again.", "waiting")
	h.pull(in)
	if !sink.has("Carla") {
		t.Error("what was edited did not reach the sink")
	}

	list = h.get(path).want(t, http.StatusOK, "plain")
	if strings.Contains(list.body, "odd&lt;b") {
		t.Error("what got through is listed")
	}
	item = h.get(itemLink(t, list, "plain"))
	discard := url.Values{"do": {"discard"}, "entity": {"contacts"}, "record": {"plain"}, "version": {item.field("version")}}
	h.post(post, discard).want(t, http.StatusOK, "Discard contacts plain", "are forgotten")
	h.get(path).want(t, http.StatusOK, "plain")
	discard.Set("confirm", "yes")
	h.post(post, discard).want(t, http.StatusOK, "Record discarded.", "None.")
	if a := h.get(""); strings.Contains(a.body, "put aside") {
		t.Error("nothing is put aside any more")
	}
	h.post(post, discard).want(t, http.StatusNotFound)
	for _, broken := range []url.Values{{"do": {"edit"}}, {"version": {"1"}}} {
		if a := h.post(post, broken); a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("%v: status %d", broken, a.StatusCode)
		}
	}
	h.get("audit").want(t, http.StatusOK, "refused record looked at", "refused record edited", "refused record tried again", "refused record discarded")
}

// TestRefusedChosen: several are tried again at once; one that has changed meanwhile stops
// no other.
func TestRefusedChosen(t *testing.T) {
	h, _, in := withRefused(t)
	path := "i/" + in.ID + "/aside"
	var chosen []string
	for _, match := range regexp.MustCompile(`name="chosen" value="([^"]*)"`).FindAllStringSubmatch(h.get(path).body, -1) {
		chosen = append(chosen, strings.ReplaceAll(match[1], "&amp;", "&"))
	}
	if len(chosen) != 2 {
		t.Fatalf("%d records to choose from", len(chosen))
	}
	h.post(path, url.Values{}).want(t, http.StatusOK, "No record was chosen.")
	h.post(path, url.Values{"chosen": chosen[:1]}).want(t, http.StatusOK, "The next run tries it again.", "waiting", "refused")
	h.post(path, url.Values{"chosen": chosen}).want(t, http.StatusOK, "changed meanwhile")
	list, _, err := h.service.RefusedRecords(t.Context(), enlace.RefusedQuery{Ref: in.Ref})
	if err != nil || len(list) != 2 {
		t.Fatalf("%d records, %v", len(list), err)
	}
	for _, r := range list {
		if r.State != enlace.RefusedWaiting {
			t.Errorf("%s is %s", r.RecordID, r.State)
		}
	}
	h.post(path, url.Values{"chosen": {"version=x"}}).want(t, http.StatusPreconditionRequired)
	h.post(path, url.Values{"chosen": {"%zz"}}).want(t, http.StatusUnprocessableEntity)
}

// TestRefusedReadOnly: who may only look is offered nothing else.
func TestRefusedReadOnly(t *testing.T) {
	h, _, in := withRefused(t)
	h.access.Grants = admin.ReadOnly
	path := "i/" + in.ID + "/aside"
	list := h.get(path).want(t, http.StatusOK, "plain")
	item := h.get(itemLink(t, list, "plain")).want(t, http.StatusOK, `"name": "Ana`)
	for _, page := range []answer{list, item} {
		if actions := formActions(page); len(actions) > 0 {
			t.Errorf("%s offers %v", page.Request.URL, actions)
		}
	}
	h.post(path, url.Values{}).want(t, http.StatusForbidden)
	h.post(path+"/item", url.Values{}).want(t, http.StatusForbidden)
	h.access.Tenant = "other"
	h.get(path+"/item?entity=contacts&record=plain").want(t, http.StatusNotFound)
}

// TestAPIRefused: the same by the API, with versions.
func TestAPIRefused(t *testing.T) {
	h, sink, in := withRefused(t)
	path := "integrations/" + in.ID + "/refused"
	h.api("GET", path, nil).want(t, http.StatusOK, `"code":"sink"`, `"state":"dead"`, `"edited":false`)
	item := path + "/item?" + url.Values{"entity": {"contacts"}, "record": {"odd<b>&id=1?"}}.Encode()
	redrive := strings.Replace(item, "item", "item/redrive", 1)
	a := h.api("GET", item, nil).want(t, http.StatusOK, `"name":"Ana `)
	tag := a.Header.Get("ETag")
	h.api("PUT", item, object{"data": object{"name": "Bia"}}).problem(t, http.StatusPreconditionRequired, "version_required")
	h.api("PUT", item, object{"data": []int{1}}, "If-Match", tag).problem(t, http.StatusUnprocessableEntity, "validation_failed")
	a = h.api("PUT", item, object{"data": object{"name": "Bia"}}, "If-Match", tag).want(t, http.StatusOK, `"name":"Bia"`, `"edited":true`)
	h.api("POST", redrive, nil, "If-Match", tag).problem(t, http.StatusPreconditionFailed, "version_conflict")
	h.api("POST", redrive, nil, "If-Match", a.Header.Get("ETag")).want(t, http.StatusNoContent)
	h.pull(in)
	if !sink.has("Bia") {
		t.Error("what was edited did not reach the sink")
	}
	h.api("GET", item, nil).problem(t, http.StatusNotFound, "not_found")
	item = path + "/item?entity=contacts&record=plain"
	a = h.api("GET", item, nil).want(t, http.StatusOK)
	h.api("DELETE", item, nil).problem(t, http.StatusPreconditionRequired, "version_required")
	h.api("DELETE", item, nil, "If-Match", a.Header.Get("ETag")).want(t, http.StatusNoContent)
	h.api("GET", path, nil).want(t, http.StatusOK, `"items":[]`)
	h.api("GET", "integrations/none/refused/item?entity=contacts&record=plain", nil).problem(t, http.StatusNotFound, "not_found")
}
