package admin

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// referenceData is the API's documentation, made from the document itself.
type referenceData struct {
	Groups []referenceGroup
	Codes  []referenceCode
}

type referenceGroup struct {
	Name       string
	Operations []referenceOperation
}

type referenceOperation struct {
	Method, Path, Summary, Description, ID, Grant string
	Parameters                                    []referenceParameter
}

type referenceParameter struct {
	Name, In, Description string
	Required              bool
}

type referenceCode struct {
	Code   string
	Status int
	Title  string
}

func (a *Admin) referencePage(w http.ResponseWriter, r *http.Request, c *call) error {
	groups := map[string][]referenceOperation{}
	for path, item := range a.api.huma.OpenAPI().Paths {
		for method, o := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if o == nil {
				continue
			}
			shown := referenceOperation{Method: method, Path: path, Summary: o.Summary, Description: o.Description, ID: o.OperationID}
			shown.Grant, _ = o.Extensions["x-grant"].(string)
			for _, p := range o.Parameters {
				shown.Parameters = append(shown.Parameters, referenceParameter{p.Name, p.In, describedValues(p), p.Required})
			}
			group := strings.Join(o.Tags, " ")
			groups[group] = append(groups[group], shown)
		}
	}
	var data referenceData
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		operations := groups[name]
		slices.SortFunc(operations, func(a, b referenceOperation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
		data.Groups = append(data.Groups, referenceGroup{name, operations})
	}
	t := translator(c.Language)
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		data.Codes = append(data.Codes, referenceCode{code, codes[code], t.text("problem." + code)})
	}
	return a.show(w, r, c, page{name: "reference", title: t.text("nav.api"), section: "api", data: data})
}

// describedValues is what a parameter is for, and which values it may have.
func describedValues(p *huma.Param) string {
	values := p.Schema.Enum
	if p.Schema.Items != nil {
		values = p.Schema.Items.Enum
	}
	if len(values) == 0 {
		return p.Description
	}
	var names []string
	for _, value := range values {
		names = append(names, fmt.Sprint(value))
	}
	return strings.TrimPrefix(p.Description+": ", ": ") + strings.Join(names, ", ")
}
