package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/enlace-go/enlace"
)

type asideData struct {
	Integration enlace.Integration
	Refused     []refusedRow
	Next        string // query of the page behind the refused ones
	Missed      part[[]enlace.MissedRecord]
}

// asidePage lists the records that did not get through: those that the mapping or the
// sink refused, and those of whose change no delivery told.
func (a *Admin) asidePage(w http.ResponseWriter, r *http.Request, c *call) error {
	in, err := a.find(r, c)
	if err != nil {
		return err
	}
	missed := read(a, r.Context(), c, func(ctx context.Context) ([]enlace.MissedRecord, error) {
		list, _, err := a.service.MissedRecords(ctx, enlace.MissedQuery{Ref: in.Ref, Limit: pageSize})
		return list, err
	})
	query := enlace.RefusedQuery{Ref: in.Ref, Entity: r.URL.Query().Get("entity"), Cursor: r.URL.Query().Get("cursor"), Limit: pageSize}
	refused, next, err := a.service.RefusedRecords(r.Context(), query)
	if err != nil {
		return cursorProblem(c, query.Cursor, err)
	}
	data := asideData{Integration: in, Refused: refusedRows(refused), Missed: missed()}
	if next != "" {
		data.Next = "?" + url.Values{"cursor": {next}, "entity": {query.Entity}}.Encode()
	}
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "aside", title: t.text("aside.of", in.Name), section: "integrations",
		crumbs: []crumb{{t.text("nav.integrations"), "i"}, {in.Name, "i/" + in.ID}}, data: data})
}
