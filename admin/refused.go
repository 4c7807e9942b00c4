package admin

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"github.com/enlace-go/enlace"
)

// refusedRow is a refused record in the list.
type refusedRow struct {
	enlace.RefusedRecord
	Item   template.URL // query of the row's own page
	Chosen string       // what the row's box sends: the record and the version that was seen
}

func refusedRows(records []enlace.RefusedRecord) []refusedRow {
	rows := make([]refusedRow, len(records))
	for i, r := range records {
		q := refusedQuery(r.Key())
		rows[i] = refusedRow{RefusedRecord: r, Item: template.URL(q.Encode())}
		q.Set("version", strconv.FormatInt(r.Version, 10))
		rows[i].Chosen = q.Encode()
	}
	return rows
}

// refusedQuery names a refused record in an address. The provider's ids may hold anything.
func refusedQuery(key enlace.RefusedKey) url.Values {
	return url.Values{"entity": {key.Entity}, "record": {key.RecordID}}
}

func refusedKey(in enlace.Integration, get func(string) string) enlace.RefusedKey {
	return enlace.RefusedKey{Ref: in.Ref, Entity: get("entity"), RecordID: get("record")}
}

type refusedData struct {
	enlace.RefusedRecord
	Integration enlace.Integration
	Text        string // the record's data, indented, or what somebody has entered
	Problem     string
}

// refusedPage shows one refused record with its data. That somebody has looked at it is in
// the audit trail.
func (a *Admin) refusedPage(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	return a.showRefused(w, r, c, in, refusedKey(in, r.URL.Query().Get), refusedData{}, 0)
}

// showRefused shows the record as it is stored; what somebody has entered stays.
func (a *Admin) showRefused(w http.ResponseWriter, r *http.Request, c *call, in enlace.Integration, key enlace.RefusedKey, data refusedData, status int) error {
	record, err := a.service.RefusedRecord(r.Context(), key)
	if err != nil {
		return err
	}
	data.RefusedRecord, data.Integration = record, in
	if data.Text == "" && record.Data != nil {
		data.Text = indented(record.Data)
	}
	return a.showAside(w, r, c, "refused", key.Entity+" "+key.RecordID, in, data, status)
}

// showAside is a page below the list of the records that were put aside.
func (a *Admin) showAside(w http.ResponseWriter, r *http.Request, c *call, name, title string, in enlace.Integration, data any, status int) error {
	t := translator(c.Language)
	return a.show(w, r, c, page{name: name, status: status, title: title, section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {in.Name, "i/" + in.ID}, {t.text("aside.see"), "i/" + in.ID + "/aside"}}, data: data})
}

type discardData struct {
	Key     enlace.RefusedKey
	Version int64
	Item    template.URL
}

// changeRefused edits a refused record, has it tried again, or discards it once that is
// confirmed.
func (a *Admin) changeRefused(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	key := refusedKey(in, r.PostForm.Get)
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil {
		return newProblem(c, "version_required")
	}
	do, back := r.PostForm.Get("do"), "i/"+in.ID+"/aside?"
	switch do {
	case "edit", "redrive-edited":
		text := r.PostForm.Get("data")
		edited, err := a.service.EditRefusedRecord(r.Context(), key, version, json.RawMessage(text))
		if refused := (refusedData{Text: text}); errors.Is(err, enlace.ErrInvalid) {
			refused.Problem = translator(c.Language).text("outbox.notjson")
			return a.showRefused(w, r, c, in, key, refused, http.StatusUnprocessableEntity)
		} else if errors.Is(err, enlace.ErrConflict) {
			refused.Problem = translator(c.Language).text("refused.changed")
			return a.showRefused(w, r, c, in, key, refused, http.StatusPreconditionFailed)
		} else if err != nil {
			return err
		}
		if do == "edit" {
			back = "i/" + in.ID + "/aside/item?" + refusedQuery(key).Encode() + "&"
			break
		}
		do, version = "redrive", edited.Version
		fallthrough
	case "redrive":
		err = a.service.RedriveRefusedRecord(r.Context(), key, version)
	case "discard":
		if r.PostForm.Get("confirm") == "" {
			data := discardData{key, version, template.URL(refusedQuery(key).Encode())}
			return a.showAside(w, r, c, "refused-discard", translator(c.Language).text("refused.discard.of", key.Entity, key.RecordID), in, data, 0)
		}
		err = a.service.DiscardRefusedRecord(r.Context(), key, version)
	default:
		err = newProblem(c, "validation_failed")
	}
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+back+url.Values{"done": {"refused." + do}}.Encode())
	return nil
}

// redriveRefused has the chosen records tried again, each as if it had been alone.
func (a *Admin) redriveRefused(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	chosen := distinct(r.PostForm["chosen"])
	if len(chosen) > maxBulk {
		return newProblem(c, "too_many")
	}
	flash := "done=refused.redrive"
	if len(chosen) == 0 {
		flash = "failed=refused.none"
	}
	for _, text := range chosen {
		if err := a.redriveChosen(r.Context(), c, in, text); errors.Is(err, enlace.ErrConflict) || errors.Is(err, enlace.ErrNotFound) {
			flash = "failed=refused.redrive" // somebody else was faster; the others go on
		} else if err != nil {
			return err
		}
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"/aside?"+flash)
	return nil
}

func (a *Admin) redriveChosen(ctx context.Context, c *call, in enlace.Integration, text string) error {
	q, err := url.ParseQuery(text)
	if err != nil {
		return newProblem(c, "validation_failed")
	}
	version, err := strconv.ParseInt(q.Get("version"), 10, 64)
	if err != nil {
		return newProblem(c, "version_required")
	}
	return a.service.RedriveRefusedRecord(ctx, refusedKey(in, q.Get), version)
}
