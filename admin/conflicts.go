package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

type conflictsData struct {
	Rows  []conflictShown
	State string
	Next  string
	First bool
}

type conflictShown struct {
	ID, Integration, Name, Entity, LocalID, RemoteID string
	Kind, State                                      string
	Version                                          int64
	At                                               time.Time
	Fields                                           []conflictField
	Open                                             bool
}

type conflictField struct{ Name, Base, Local, Remote, Value string }

func (a *Admin) conflictList(w http.ResponseWriter, r *http.Request, c *call) error {
	q := r.URL.Query()
	query := enlace.ConflictQuery{Tenant: c.access.Tenant, Integration: q.Get("integration"), State: enlace.ConflictState(q.Get("state")), Cursor: q.Get("cursor"), Limit: 20}
	if !q.Has("state") {
		query.State = enlace.ConflictOpen
	}
	list, next, err := a.service.Conflicts(r.Context(), query)
	if err != nil {
		return cursorProblem(c, query.Cursor, err)
	}
	data := conflictsData{State: string(query.State), First: query.Cursor == ""}
	names := a.names(r, c)
	for _, conflict := range list {
		shown := conflictShown{ID: conflict.ID, Integration: conflict.Ref.ID, Name: names[conflict.Ref.ID], Entity: conflict.Entity, LocalID: conflict.LocalID,
			RemoteID: conflict.RemoteID, Kind: string(conflict.Kind), State: string(conflict.State), Version: conflict.Version, At: conflict.At,
			Open: conflict.State == enlace.ConflictOpen}
		for _, f := range conflict.Fields {
			shown.Fields = append(shown.Fields, conflictField{f.Name, jsonText(f.Base), jsonText(f.Local), jsonText(f.Remote), jsonText(f.Value)})
		}
		data.Rows = append(data.Rows, shown)
	}
	if next != "" {
		data.Next = "?" + url.Values{"cursor": {next}, "state": {data.State}, "integration": {query.Integration}}.Encode()
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "conflicts", title: t.text("nav.conflicts"), section: "conflicts", live: false, data: data})
}

// resolveConflict decides a conflict: for one side, or field by field.
func (a *Admin) resolveConflict(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	form := r.PostForm
	version, err := strconv.ParseInt(form.Get("version"), 10, 64)
	if err != nil {
		return newProblem(c, "version_required")
	}
	side := enlace.ConflictPolicy(form.Get("side"))
	ref := c.integrationRef(form.Get("integration"))
	values := map[string]json.RawMessage{}
	if side == "fields" {
		if values, err = a.chosenValues(r, c, ref, form); err != nil {
			return err
		}
		side = enlace.ConflictLocal
	}
	if _, err := a.service.ResolveConflict(r.Context(), ref, form.Get("id"), version, side, values); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"conflicts?done=conflict")
	return nil
}

// chosenValues are the values of the fields for which the provider's side was
// chosen. They are read again: a form does not carry them.
func (a *Admin) chosenValues(r *http.Request, c *call, ref enlace.Ref, form url.Values) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	query := enlace.ConflictQuery{Tenant: ref.Tenant, Integration: ref.ID, State: enlace.ConflictOpen, Limit: 200}
	for range 20 {
		list, next, err := a.service.Conflicts(r.Context(), query)
		if err != nil {
			return nil, err
		}
		for _, conflict := range list {
			if conflict.ID != form.Get("id") {
				continue
			}
			for _, f := range conflict.Fields {
				if form.Get("field."+f.Name) == "remote" {
					values[f.Name] = f.Remote
					if f.Remote == nil {
						values[f.Name] = json.RawMessage("null")
					}
				}
			}
			return values, nil
		}
		if query.Cursor = next; next == "" {
			break
		}
	}
	return nil, newProblem(c, "not_found")
}
