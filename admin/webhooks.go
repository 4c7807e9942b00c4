package admin

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

var deliveryStates = []string{"dead", "failed", "received", "processing", "done"}

type webhooksData struct {
	Rows        []deliveryRow
	State       string
	Integration string
	States      []string
	Next        string
	First       bool
}

type deliveryRow struct {
	enlace.StoredDelivery
	Name string // of the integration
}

func (a *Admin) webhookList(w http.ResponseWriter, r *http.Request, c *call) error {
	q := r.URL.Query()
	query := enlace.DeliveryQuery{Tenant: c.access.Tenant, Integration: q.Get("integration"), State: enlace.DeliveryState(q.Get("state")), Cursor: q.Get("cursor"), Limit: pageSize}
	list, next, err := a.service.Deliveries(r.Context(), query)
	if err != nil {
		return cursorProblem(c, query.Cursor, err)
	}
	data := webhooksData{State: string(query.State), Integration: query.Integration, States: deliveryStates, First: query.Cursor == ""}
	names := a.names(r, c)
	for _, d := range list {
		row := deliveryRow{d, names[d.Ref.ID]}
		if row.Name == "" {
			row.Name = d.Ref.ID
		}
		data.Rows = append(data.Rows, row)
	}
	if next != "" {
		data.Next = "?" + url.Values{"cursor": {next}, "state": {data.State}, "integration": {data.Integration}}.Encode()
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "webhooks", title: t.text("nav.webhooks"), section: "webhooks", live: data.First, data: data})
}

type deliveryData struct {
	enlace.InspectedDelivery
	Name     string
	Headers  []headerRow
	Queries  []headerRow
	Problem  string
	Text     string // of the form; the body where nobody has edited it
	Editable bool   // nothing in the body is masked
	CanReplay, CanDiscard,
	CanEdit bool
}

type headerRow struct{ Name, Value string }

func headerRows(values map[string][]string) []headerRow {
	var rows []headerRow
	for _, name := range slices.Sorted(maps.Keys(values)) {
		rows = append(rows, headerRow{name, strings.Join(values[name], ", ")})
	}
	return rows
}

// maskedText stands in a body where a secret was.
const maskedText = "[redacted]"

func (a *Admin) deliveryPage(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.showDelivery(w, r, c, "", "")
}

func (a *Admin) showDelivery(w http.ResponseWriter, r *http.Request, c *call, text, problem string) error {
	d, err := a.service.InspectDelivery(r.Context(), c.access.Tenant, r.PathValue("id"))
	if err != nil {
		return err
	}
	data := deliveryData{InspectedDelivery: d, Name: a.names(r, c)[d.Ref.ID], Headers: headerRows(d.Header), Queries: headerRows(d.Query), Problem: problem, Text: text,
		Editable: !strings.Contains(d.Body, maskedText)}
	if text == "" {
		data.Text = d.Body
	}
	data.CanReplay = d.State == enlace.DeliveryDead || d.State == enlace.DeliveryDone || d.State == enlace.DeliveryFailed
	data.CanDiscard = d.State == enlace.DeliveryReceived || d.State == enlace.DeliveryFailed
	data.CanEdit = data.Editable && d.State != enlace.DeliveryProcessing
	status := 0
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "delivery", status: status, title: t.text("webhook.title", short(d.ID, 30)), section: "webhooks", live: false,
		crumbs: []crumb{{t.text("nav.webhooks"), "webhooks"}}, data: data})
}

// errMasked: the body that a person saw was not the whole one.
var errMasked = errors.New("admin: the body holds masked values")

// changeDelivery replays, gives up or edits one delivery.
func (a *Admin) changeDelivery(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	id, do := r.PathValue("id"), r.PostForm.Get("do")
	var err error
	switch do {
	case "replay":
		var n int
		n, err = a.service.ReplayDeliveries(r.Context(), enlace.Replay{Tenant: c.access.Tenant, IDs: []string{id}})
		if err == nil && n == 0 {
			err = newProblem(c, "conflict")
		}
	case "discard":
		_, err = a.service.DiscardDelivery(r.Context(), c.access.Tenant, id)
	case "edit":
		text := strings.ReplaceAll(r.PostForm.Get("body"), "\r\n", "\n")
		shown, inspectErr := a.service.InspectDelivery(r.Context(), c.access.Tenant, id)
		if inspectErr != nil {
			return inspectErr
		}
		_, err = a.service.EditDelivery(r.Context(), c.access.Tenant, id, func(body []byte) ([]byte, error) {
			if strings.Contains(shown.Body, maskedText) || string(body) != shown.Body {
				return nil, errMasked
			}
			return []byte(text), nil
		})
		if errors.Is(err, errMasked) {
			return a.showDelivery(w, r, c, text, translator(c.Language).text("webhook.masked"))
		}
	default:
		err = newProblem(c, "validation_failed")
	}
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"webhooks/"+url.PathEscape(id)+"?done=webhook."+do)
	return nil
}

// replayAll replays everything of one state, spread in time.
func (a *Admin) replayAll(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	state := enlace.DeliveryState(r.PostForm.Get("state"))
	if state != enlace.DeliveryDead && state != enlace.DeliveryFailed {
		return newProblem(c, "validation_failed")
	}
	if _, err := a.service.ReplayDeliveries(r.Context(), enlace.Replay{Tenant: c.access.Tenant, Integration: r.PostForm.Get("integration"), State: state}); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"webhooks?done=webhook.replay")
	return nil
}

// registerWebhook has the provider deliver here.
func (a *Admin) registerWebhook(w http.ResponseWriter, r *http.Request, c *call) error {
	ref := c.integrationRef(r.PathValue("id"))
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	if err := a.service.EnsureWebhook(r.Context(), ref, enlace.WebhookOptions{Rotate: r.PostForm.Get("rotate") != ""}); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+ref.ID+"?done=webhook.register")
	return nil
}
