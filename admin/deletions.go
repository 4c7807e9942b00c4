package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/enlace-go/enlace"
)

type deletionsData struct {
	Integration enlace.Integration
	Entities    []missingEntity
}

type missingEntity struct {
	Name, Title string
	Records     []enlace.RecordState
	More        bool
}

// deletionsPage lists records that have disappeared at the provider in numbers that
// nobody believes without asking.
func (a *Admin) deletionsPage(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	data := deletionsData{Integration: in}
	t := translator(c.Language)
	d, err := a.describe(in.Provider)
	if err != nil {
		return err
	}
	for _, e := range d.Entities {
		if strings.HasSuffix(e.Name, "*") {
			continue
		}
		list, next, err := a.service.MissingRecords(r.Context(), enlace.RecordQuery{Ref: in.Ref, Entity: e.Name, Limit: pageSize})
		if err != nil {
			return err
		}
		if len(list) > 0 {
			data.Entities = append(data.Entities, missingEntity{e.Name, t.foreign(e.Title), list, next != ""})
		}
	}
	return a.show(w, r, c, page{name: "deletions", title: t.text("deletions.of", in.Name), section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {in.Name, "i/" + in.ID}}, data: data})
}

// decideDeletions approves or rejects the deletions of an entity, all or some.
func (a *Admin) decideDeletions(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	decide := map[string]func(context.Context, enlace.Ref, string, ...string) (int, error){
		"approve": a.service.ApproveDeletions, "reject": a.service.RejectDeletions}[r.PostForm.Get("do")]
	ids := r.PostForm["record"]
	if decide == nil || (len(ids) == 0 && r.PostForm.Get("all") == "") {
		return newProblem(c, "validation_failed")
	}
	if r.PostForm.Get("all") != "" {
		ids = nil
	}
	if _, err := decide(r.Context(), in.Ref, r.PostForm.Get("entity"), ids...); err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"/deletions?done=deletions")
	return nil
}
