package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin/internal/paging"
	"github.com/enlace-go/enlace/mapping"
)

type mappingBody struct {
	IntegrationID string          `json:"integrationId"`
	Entity        string          `json:"entity"`
	Number        int             `json:"number"`
	State         string          `json:"state" enum:"draft,active,retired"`
	Document      json.RawMessage `json:"document"`
	Version       int64           `json:"version"`
	UpdatedAt     time.Time       `json:"updatedAt"`
}

func mappingBodyOf(v enlace.MappingVersion) mappingBody {
	return mappingBody{v.Ref.ID, v.Entity, v.Number, string(v.State), v.Document, v.Version, v.UpdatedAt.UTC()}
}

type mappingAnswer struct {
	Status   int
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     mappingBody
}

func mappingAnswerOf(v enlace.MappingVersion) *mappingAnswer {
	return &mappingAnswer{Status: http.StatusOK, ETag: versionTag(v.Version), Body: mappingBodyOf(v)}
}

// mappingPath names one version in an address.
type mappingPath struct {
	ID     string `path:"id" maxLength:"64"`
	Entity string `path:"entity" maxLength:"64"`
	Number int    `path:"number" minimum:"1"`
}

type suggestionBody struct {
	Field    json.RawMessage `json:"field" doc:"Ready to be one of a mapping's fields"`
	Score    float64         `json:"score" doc:"From 0 to 1"`
	Evidence []evidenceBody  `json:"evidence"`
}

type evidenceBody struct {
	Kind   string  `json:"kind"`
	Text   string  `json:"text"`
	Weight float64 `json:"weight"`
}

type proposalBody struct {
	Accepted []suggestionBody `json:"accepted" doc:"Valid ones, the surest first; each field once on either side"`
	Refused  int              `json:"refused" doc:"How many more were not taken: worse ones for the same fields, and invalid ones"`
}

func suggestionBodyOf(t translator, s mapping.Suggestion) (suggestionBody, error) {
	field, err := json.Marshal(s.Field)
	b := suggestionBody{Field: field, Score: s.Score, Evidence: []evidenceBody{}}
	for _, e := range s.Evidence {
		b.Evidence = append(b.Evidence, evidenceBody{e.Kind, t.phrase(e.Text), e.Weight})
	}
	return b, err
}

// mappingProblem says what an engine has found wrong with a document.
func mappingProblem(c *call, err error) error {
	faults := mappingFaults(err)
	if faults == nil || !errors.Is(err, enlace.ErrInvalid) {
		return err
	}
	p := newProblem(c, "validation_failed")
	for _, text := range faults {
		p.faults = append(p.faults, fault{field: "/document", code: "invalid", detail: short(text, 300)})
	}
	return p
}

func (api *api) mappingOperations() {
	tags := []string{"mappings"}
	const versions = "/integrations/{id}/mappings"
	const version = versions + "/{entity}/{number}"
	key := func(c *call, id, entity string, number int) enlace.MappingKey {
		return enlace.MappingKey{Ref: c.integrationRef(id), Entity: entity, Number: number}
	}
	type listInput struct {
		paging.Page
		Sort   string `query:"sort" enum:"entity" doc:"The order there is: by entity, and of each the newest first"`
		ID     string `path:"id" maxLength:"64"`
		Entity string `query:"entity" maxLength:"64"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: versions, OperationID: "listMappings", Summary: "List the versions of an integration's mappings", Tags: tags},
		func(ctx context.Context, c *call, in *listInput) ([]mappingBody, string, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, "", err
			}
			list, next, err := api.service.Mappings(ctx, enlace.MappingQuery{Ref: found.Ref, Entity: in.Entity, Cursor: in.Cursor, Limit: in.Limit})
			return each(list, mappingBodyOf), next, err
		})
	type draftInput struct {
		ID   string `path:"id" maxLength:"64"`
		Body struct {
			Entity   string          `json:"entity" maxLength:"64"`
			Document json.RawMessage `json:"document"`
		}
	}
	operation(api, GrantUpdate, huma.Operation{Method: "POST", Path: versions, OperationID: "createMapping", Summary: "Save a mapping as a new draft", Tags: tags, DefaultStatus: http.StatusCreated},
		func(ctx context.Context, c *call, in *draftInput) (*mappingAnswer, error) {
			v, err := api.service.SaveMapping(ctx, enlace.MappingVersion{Ref: c.integrationRef(in.ID), Entity: in.Body.Entity, Document: in.Body.Document})
			if err != nil {
				return nil, mappingProblem(c, err)
			}
			out := mappingAnswerOf(v)
			out.Status, out.Location = http.StatusCreated, "integrations/"+in.ID+"/mappings/"+url.PathEscape(v.Entity)+"/"+strconv.Itoa(v.Number)
			return out, nil
		})
	operation(api, GrantView, huma.Operation{Method: "GET", Path: version, OperationID: "getMapping", Summary: "Get one version of a mapping", Tags: tags},
		func(ctx context.Context, c *call, in *mappingPath) (*mappingAnswer, error) {
			v, err := api.service.Mapping(ctx, key(c, in.ID, in.Entity, in.Number))
			if err != nil {
				return nil, err
			}
			return mappingAnswerOf(v), nil
		})
	// read is the version that a caller has read before it changes it.
	read := func(ctx context.Context, c *call, k enlace.MappingKey, ifMatch string) (enlace.MappingVersion, error) {
		v, err := api.service.Mapping(ctx, k)
		if err != nil {
			return v, err
		}
		return v, checkVersion(c, ifMatch, v.Version)
	}
	type replaceMappingInput struct {
		ID      string `path:"id" maxLength:"64"`
		Entity  string `path:"entity" maxLength:"64"`
		Number  int    `path:"number" minimum:"1"`
		IfMatch string `header:"If-Match" doc:"The ETag that was read; required"`
		Body    struct {
			Document json.RawMessage `json:"document"`
		}
	}
	operation(api, GrantUpdate, huma.Operation{Method: "PUT", Path: version, OperationID: "replaceMapping", Summary: "Replace the document of a draft", Tags: tags},
		func(ctx context.Context, c *call, in *replaceMappingInput) (*mappingAnswer, error) {
			v, err := read(ctx, c, key(c, in.ID, in.Entity, in.Number), in.IfMatch)
			if err != nil {
				return nil, err
			}
			v.Document = in.Body.Document
			if v, err = api.service.SaveMapping(ctx, v); err != nil {
				return nil, mappingProblem(c, err)
			}
			return mappingAnswerOf(v), nil
		})
	type stateInput struct {
		ID      string `path:"id" maxLength:"64"`
		Entity  string `path:"entity" maxLength:"64"`
		Number  int    `path:"number" minimum:"1"`
		IfMatch string `header:"If-Match" doc:"The ETag that was read; required"`
	}
	for _, change := range []struct {
		name string
		do   func(context.Context, enlace.MappingVersion) (enlace.MappingVersion, error)
	}{{"activate", api.service.ActivateMapping}, {"retire", api.service.RetireMapping}} {
		operation(api, GrantUpdate, huma.Operation{Method: "POST", Path: version + "/" + change.name, OperationID: change.name + "Mapping", Summary: "Change what syncs map by: " + change.name, Tags: tags},
			func(ctx context.Context, c *call, in *stateInput) (*mappingAnswer, error) {
				v, err := read(ctx, c, key(c, in.ID, in.Entity, in.Number), in.IfMatch)
				if err != nil {
					return nil, err
				}
				if v, err = change.do(ctx, v); err != nil {
					return nil, err
				}
				return mappingAnswerOf(v), nil
			})
	}
	operation(api, GrantTest, huma.Operation{Method: "POST", Path: version + "/shadow", OperationID: "shadowMapping", Summary: "Show what activating a version would change", Tags: tags,
		Description: "Reads records from the provider and writes nothing. Samples are masked."},
		func(ctx context.Context, c *call, in *mappingPath) (*struct{ Body shadowBody }, error) {
			report, err := api.shadowReport(ctx, key(c, in.ID, in.Entity, in.Number))
			if err != nil {
				return nil, err
			}
			return &struct{ Body shadowBody }{shadowBody(report)}, nil
		})
	type suggestInput struct {
		ID     string `path:"id" maxLength:"64"`
		Entity string `path:"entity" maxLength:"64"`
		Body   struct {
			Fields  []ownField `json:"fields,omitempty" maxItems:"500" doc:"Of the host's own records; left out, those that the host has told or the active mapping writes"`
			Samples *int       `json:"samples,omitempty" minimum:"0" maximum:"100" doc:"Records to read; 20 if left out"`
		}
	}
	operation(api, GrantTest, huma.Operation{Method: "POST", Path: versions + "/{entity}/suggest", OperationID: "suggestMapping", Summary: "Propose fields of a mapping, with scores and reasons", Tags: tags},
		func(ctx context.Context, c *call, in *suggestInput) (*struct{ Body proposalBody }, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, err
			}
			local := mapping.Schema{}
			for _, f := range in.Body.Fields {
				local.Fields = append(local.Fields, mapping.SchemaField{Path: f.Path, Title: f.Title, Type: mapping.Type(f.Type)})
			}
			if len(local.Fields) == 0 {
				local = api.localSchema(ctx, found, in.Entity)
			}
			samples := suggestSamples
			if in.Body.Samples != nil {
				samples = *in.Body.Samples
			}
			proposal, err := api.suggestions(ctx, found.Ref, in.Entity, local, samples)
			if err != nil {
				return nil, err
			}
			out := &struct{ Body proposalBody }{proposalBody{Accepted: []suggestionBody{}, Refused: len(proposal.Refused)}}
			for _, s := range proposal.Accepted {
				b, err := suggestionBodyOf(translator(c.Language), s)
				if err != nil {
					return nil, err
				}
				out.Body.Accepted = append(out.Body.Accepted, b)
			}
			return out, nil
		})
}

// ownField is a field of the host's own records.
type ownField struct {
	Path  string `json:"path" maxLength:"300"`
	Title string `json:"title,omitempty" maxLength:"300"`
	Type  string `json:"type,omitempty" enum:"text,id,integer,decimal,boolean,date,time"`
}
