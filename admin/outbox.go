package admin

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"github.com/enlace-go/enlace"
)

var outboxStates = []string{"dead", "in_doubt", "failing", "queued"}

type outboxData struct {
	Rows   []outboxRow
	State  string
	States []string
	Next   string
	First  bool
}

type outboxRow struct {
	enlace.DeadLetter
	Name string       // of the integration
	Item template.URL // query of the row's own page
}

func (a *Admin) outboxPage(w http.ResponseWriter, r *http.Request, c *call) error {
	q := r.URL.Query()
	query := enlace.OutgoingQuery{Tenant: c.access.Tenant, Integration: q.Get("integration"), Cursor: q.Get("cursor"), Limit: pageSize}
	if state := q.Get("state"); state != "" {
		query.States = []enlace.OutgoingState{enlace.OutgoingState(state)}
	}
	rows, next, err := a.service.DeadLetters(r.Context(), query)
	if err != nil {
		return cursorProblem(c, query.Cursor, err)
	}
	data := outboxData{State: q.Get("state"), States: outboxStates, First: query.Cursor == ""}
	names := a.names(r, c)
	for _, row := range rows {
		shown := outboxRow{DeadLetter: row, Name: names[row.Ref.ID], Item: template.URL(itemQuery(row.OutgoingKey))}
		if shown.Name == "" {
			shown.Name = row.Ref.ID
		}
		data.Rows = append(data.Rows, shown)
	}
	if next != "" {
		data.Next = "?" + url.Values{"cursor": {next}, "state": {data.State}, "integration": {query.Integration}}.Encode()
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "outbox", title: t.text("nav.outbox"), section: "outbox", live: data.First, data: data})
}

// itemQuery names a change in an address. The host's ids may hold anything.
func itemQuery(key enlace.OutgoingKey) string {
	return url.Values{"integration": {key.Ref.ID}, "entity": {key.Entity}, "id": {key.LocalID}}.Encode()
}

func itemKey(c *call, get func(string) string) enlace.OutgoingKey {
	return enlace.OutgoingKey{Ref: c.integrationRef(get("integration")), Entity: get("entity"), LocalID: get("id")}
}

type outboxItemData struct {
	enlace.DeadLetter
	Text    string // the change's data, indented
	Item    template.URL
	Problem string
	Stuck   bool // it waits for somebody
}

func (a *Admin) outboxItem(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.showOutboxItem(w, r, c, itemKey(c, r.URL.Query().Get), "", "")
}

func (a *Admin) showOutboxItem(w http.ResponseWriter, r *http.Request, c *call, key enlace.OutgoingKey, text, problem string) error {
	letter, err := a.service.DeadLetter(r.Context(), key)
	if err != nil {
		return err
	}
	data := outboxItemData{DeadLetter: letter, Text: text, Item: template.URL(itemQuery(key)), Problem: problem,
		Stuck: letter.State == enlace.OutgoingDead || letter.State == enlace.OutgoingInDoubt}
	if text == "" && letter.Change != nil {
		data.Text = indented(letter.Change.Data)
	}
	status := 0
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "outbox-item", status: status, title: letter.Entity + " " + letter.LocalID, section: "outbox",
		crumbs: []crumb{{t.text("nav.outbox"), "outbox"}}, data: data})
}

// changeOutbox edits, sends again or gives up a change that was refused.
func (a *Admin) changeOutbox(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	key := itemKey(c, r.PostForm.Get)
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil {
		return newProblem(c, "version_required")
	}
	back := "outbox"
	switch r.PostForm.Get("do") {
	case "edit":
		text := r.PostForm.Get("data")
		if _, err = a.service.EditDeadLetter(r.Context(), key, version, json.RawMessage(text)); err != nil {
			if p := problemOf(c, err); p.code == "validation_failed" {
				return a.showOutboxItem(w, r, c, key, text, translator(c.Language).text("outbox.notjson"))
			}
		}
		back = "outbox/item"
	case "redrive":
		err = a.service.Redrive(r.Context(), key, version)
	case "discard":
		err = a.service.Discard(r.Context(), key, version)
	default:
		err = newProblem(c, "validation_failed")
	}
	if err != nil {
		return err
	}
	query := url.Values{"done": {"outbox." + r.PostForm.Get("do")}}
	if back == "outbox/item" {
		back += "?" + itemQuery(key) + "&" + query.Encode()
	} else {
		back += "?" + query.Encode()
	}
	leave(w, http.StatusSeeOther, c.mount.root+back)
	return nil
}

func indented(data json.RawMessage) string {
	var out bytes.Buffer
	if json.Indent(&out, data, "", "  ") != nil {
		return string(data)
	}
	return out.String()
}
