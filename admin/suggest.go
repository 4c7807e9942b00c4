package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
	"github.com/enlace-go/enlace/mapping/live"
)

const (
	suggestSamples = 20  // records that are read unless somebody says otherwise
	maxSamples     = 100 // that somebody may ask for
)

// fieldTypes are the types that somebody may give to a field of their own records.
var fieldTypes = []mapping.Type{mapping.Text, mapping.ID, mapping.Integer, mapping.Decimal, mapping.Boolean, mapping.Date, mapping.Time}

type suggestData struct {
	Integration enlace.Integration
	Entity      string
	Fields      string // the host's own, one a line
	Samples     int
	Types       []mapping.Type
	Asked       bool
	Proposed    []proposedField
	Refused     []mapping.Refusal
	Faults      []string
	Problem     *problem
}

// proposedField is a suggestion, and the field as the form sends it back.
type proposedField struct {
	mapping.Suggestion
	JSON string
}

func (a *Admin) suggestPage(w http.ResponseWriter, r *http.Request, c *call) error {
	data, _, err := a.loadSuggest(r, c)
	if err != nil {
		return err
	}
	return a.showSuggest(w, r, c, data, 0)
}

// loadSuggest begins the form with the host's own fields, as far as they are known: from
// Options.Schema, or from what the active mapping writes.
func (a *Admin) loadSuggest(r *http.Request, c *call) (suggestData, mapping.Schema, error) {
	in, d, err := a.findWithProvider(r, c)
	if err != nil {
		return suggestData{}, mapping.Schema{}, err
	}
	entity := r.PathValue("entity")
	if _, known := d.Entity(entity); !known {
		return suggestData{}, mapping.Schema{}, newProblem(c, "not_found")
	}
	schema := a.localSchema(r.Context(), in, entity)
	var lines []string
	for _, f := range schema.Fields {
		line := f.Path
		if f.Type != mapping.Any {
			line += ": " + string(f.Type)
		}
		lines = append(lines, line)
	}
	return suggestData{Integration: in, Entity: entity, Fields: strings.Join(lines, "\n"), Samples: suggestSamples, Types: fieldTypes}, schema, nil
}

// localSchema is what is known of the host's own records.
func (a *Admin) localSchema(ctx context.Context, in enlace.Integration, entity string) mapping.Schema {
	if a.options.Schema != nil {
		if schema := a.options.Schema(in, entity); len(schema.Fields) > 0 {
			return schema
		}
	}
	var schema mapping.Schema
	active, err := a.service.ActiveMapping(ctx, in.Ref, entity)
	if err != nil {
		return schema
	}
	if m, err := mapping.Parse(active.Document); err == nil {
		for _, f := range m.Fields {
			schema.Fields = append(schema.Fields, mapping.SchemaField{Path: f.To})
		}
	}
	return schema
}

func (a *Admin) showSuggest(w http.ResponseWriter, r *http.Request, c *call, data suggestData, status int) error {
	t := translator(c.Language)
	return a.show(w, r, c, page{name: "suggest", status: status, title: t.text("suggest.of", data.Entity), section: "integrations", crumbs: []crumb{{t.text("nav.integrations"), "i"},
		{data.Integration.Name, "i/" + data.Integration.ID}, {t.text("mappings.title"), "i/" + data.Integration.ID + "/mappings"}}, data: data})
}

// suggestMapping proposes fields, or makes a draft of those that were accepted.
func (a *Admin) suggestMapping(w http.ResponseWriter, r *http.Request, c *call) error {
	data, known, err := a.loadSuggest(r, c)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return problemOf(c, err)
	}
	data.Fields = r.PostForm.Get("fields")
	switch r.PostForm.Get("do") {
	case "suggest":
		if err := a.admit(w, r, c, GrantTest, true); err != nil {
			return err
		}
		return a.propose(w, r, c, data, known)
	case "accept":
		return a.acceptSuggestions(w, r, c, data)
	default:
		return newProblem(c, "validation_failed")
	}
}

// propose asks for suggestions and shows them, with the reasons for each.
func (a *Admin) propose(w http.ResponseWriter, r *http.Request, c *call, data suggestData, known mapping.Schema) error {
	data.Samples = numberOf(r.PostForm.Get("samples"))
	local, faults := schemaOf(translator(c.Language), data.Fields, known)
	if data.Samples < 0 || data.Samples > maxSamples {
		return newProblem(c, "validation_failed")
	}
	if data.Faults = faults; len(faults) > 0 {
		return a.showSuggest(w, r, c, data, http.StatusUnprocessableEntity)
	}
	proposal, err := a.suggestions(r.Context(), data.Integration.Ref, data.Entity, local, data.Samples)
	if err != nil {
		p := problemOf(c, err)
		if p.status >= 500 && p.code != "provider_unavailable" && p.code != "provider_rate_limited" {
			return err
		}
		data.Problem = p
		return a.showSuggest(w, r, c, data, p.status)
	}
	data.Asked, data.Refused = true, proposal.Refused
	for _, s := range proposal.Accepted {
		field, err := json.Marshal(s.Field)
		if err != nil {
			return err
		}
		data.Proposed = append(data.Proposed, proposedField{s, string(field)})
	}
	return a.showSuggest(w, r, c, data, 0)
}

// suggestions reads what is known of the account's records, within the time of a shadow.
func (a *Admin) suggestions(ctx context.Context, ref enlace.Ref, entity string, local mapping.Schema, samples int) (mapping.Proposal, error) {
	ctx, cancel := context.WithTimeout(ctx, shadowTimeout)
	defer cancel()
	return live.Suggest(ctx, a.service, ref, entity, local, samples, nil)
}

// schemaOf reads lines of "path" or "path: type". What the host has told of such a path
// is taken over.
func schemaOf(t translator, text string, known mapping.Schema) (mapping.Schema, []string) {
	var schema mapping.Schema
	var faults []string
	for line := range strings.Lines(text) {
		path, kind, _ := strings.Cut(strings.TrimSpace(line), ":")
		field := mapping.SchemaField{Path: strings.TrimSpace(path), Type: mapping.Type(strings.TrimSpace(kind))}
		if field.Path == "" {
			continue
		}
		if i := slices.IndexFunc(known.Fields, func(f mapping.SchemaField) bool { return f.Path == field.Path }); i >= 0 {
			told := known.Fields[i]
			if field.Type != mapping.Any {
				told.Type = field.Type
			}
			field = told
		}
		if field.Type != mapping.Any && !slices.Contains(fieldTypes, field.Type) {
			faults = append(faults, t.text("suggest.badtype", short(string(field.Type), 40)))
			continue
		}
		schema.Fields = append(schema.Fields, field)
	}
	switch {
	case len(schema.Fields) == 0 && len(faults) == 0:
		faults = append(faults, t.text("suggest.nofields"))
	case len(schema.Fields) > mapping.MaxSchemaFields:
		faults = append(faults, t.text("suggest.manyfields", mapping.MaxSchemaFields))
	}
	return schema, faults
}

// acceptSuggestions makes a draft: the active mapping with the chosen fields added.
func (a *Admin) acceptSuggestions(w http.ResponseWriter, r *http.Request, c *call, data suggestData) error {
	in := data.Integration
	m := mapping.Mapping{Name: data.Entity}
	if active, err := a.service.ActiveMapping(r.Context(), in.Ref, data.Entity); err == nil {
		if m, err = mapping.Parse(active.Document); err != nil {
			return problemOf(c, err)
		}
	}
	for _, text := range r.PostForm["field"] {
		var field mapping.Field
		if json.Unmarshal([]byte(text), &field) != nil {
			return newProblem(c, "validation_failed")
		}
		if !slices.ContainsFunc(m.Fields, func(f mapping.Field) bool { return f.To == field.To }) {
			m.Fields = append(m.Fields, field)
		}
	}
	document, err := live.Document(m)
	if err != nil {
		data.Faults = strings.Split(err.Error(), "\n")
		return a.showSuggest(w, r, c, data, http.StatusUnprocessableEntity)
	}
	version, err := a.service.SaveMapping(r.Context(), enlace.MappingVersion{Ref: in.Ref, Entity: data.Entity, Document: document})
	if err != nil {
		return err
	}
	leave(w, http.StatusSeeOther, c.mount.root+"i/"+in.ID+"/mappings/"+url.PathEscape(data.Entity)+"/"+strconv.Itoa(version.Number)+"?done=mapping.save")
	return nil
}
