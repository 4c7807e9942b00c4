package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin/internal/paging"
)

// integrationBody is an integration as the API shows it. It holds no secret.
type integrationBody struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Provider    string            `json:"provider"`
	State       string            `json:"state" enum:"pending,connected,needs_reauth,misconfigured,in_doubt,disabled"`
	StateReason string            `json:"stateReason,omitempty"`
	Enabled     bool              `json:"enabled"`
	Config      map[string]string `json:"config"`
	Features    []string          `json:"features"`
	BaseURL     string            `json:"baseUrl,omitempty"`
	Version     int64             `json:"version"`
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
	Links       map[string]string `json:"links"`
}

func bodyOf(in enlace.Integration) integrationBody {
	b := integrationBody{ID: in.ID, Name: in.Name, Provider: in.Provider, State: shownStatus(in), StateReason: in.StatusReason, Enabled: in.Enabled,
		Config: map[string]string{}, Features: []string{}, BaseURL: in.BaseURL, Version: in.Version, CreatedAt: in.CreatedAt.UTC(), UpdatedAt: in.UpdatedAt.UTC(),
		Links: map[string]string{"self": "integrations/" + in.ID, "runs": "runs?integration=" + in.ID}}
	maps.Copy(b.Config, in.Settings)
	for _, f := range in.Features {
		b.Features = append(b.Features, string(f))
	}
	return b
}

// integrationAnswer is one integration with its version.
type integrationAnswer struct {
	Status   int
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     integrationBody
}

func answerWith(in enlace.Integration) *integrationAnswer {
	return &integrationAnswer{Status: http.StatusOK, ETag: versionTag(in.Version), Body: bodyOf(in)}
}

// settingValues are settings as JSON has them: texts, numbers and booleans.
type settingValues map[string]any

// Schema implements huma's SchemaProvider.
func (settingValues) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "object", Description: "Settings by name; null removes one in a PATCH",
		AdditionalProperties: &huma.Schema{Extensions: map[string]any{"type": []string{"string", "number", "boolean", "null"}}}}
}

// texts are the settings as the library keeps them.
func (s settingValues) texts() (map[string]string, error) {
	out := map[string]string{}
	for name, value := range s {
		switch v := value.(type) {
		case nil:
		case string:
			out[name] = v
		case bool:
			out[name] = strconv.FormatBool(v)
		case float64:
			out[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case json.Number:
			out[name] = v.String()
		default:
			return nil, &enlace.ValidationError{Faults: []enlace.Fault{{Field: name, Problem: "not a text, a number or a boolean"}}}
		}
	}
	return out, nil
}

// secretValues are secrets that come in; nothing ever sends them out.
type secretValues map[string]string

// Schema implements huma's SchemaProvider.
func (secretValues) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "object", Description: "Secrets by the names that the provider's auth scheme has. They are sealed and never sent back",
		AdditionalProperties: &huma.Schema{Type: "string", Format: "password"}, Extensions: map[string]any{"writeOnly": true}}
}

// credential is the one that a body brings, or nil.
func (s secretValues) credential(scheme string) *enlace.Credential {
	if len(s) == 0 && scheme == "" {
		return nil
	}
	c := &enlace.Credential{Scheme: scheme, Secrets: map[string]enlace.Secret{}}
	for name, value := range s {
		c.Secrets[name] = enlace.NewSecret(value)
	}
	return c
}

type integrationInput struct {
	Name     string        `json:"name,omitempty" maxLength:"200"`
	Provider string        `json:"provider" maxLength:"64"`
	Config   settingValues `json:"config,omitempty"`
	Scheme   string        `json:"scheme,omitempty" maxLength:"64" doc:"Auth scheme; may be left out where the provider has one only"`
	Secrets  secretValues  `json:"secrets,omitempty"`
	Features []string      `json:"features,omitempty" maxItems:"50"`
	Enabled  *bool         `json:"enabled,omitempty"`
}

// integrationPatch changes what it names.
type integrationPatch struct {
	Name     *string       `json:"name,omitempty" maxLength:"200"`
	Config   settingValues `json:"config,omitempty"`
	Scheme   string        `json:"scheme,omitempty" maxLength:"64"`
	Secrets  secretValues  `json:"secrets,omitempty" doc:"Replaces the whole credential"`
	Features *[]string     `json:"features,omitempty" maxItems:"50"`
	Enabled  *bool         `json:"enabled,omitempty"`
}

type idInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (api *api) integrationOperations() {
	api.credentialOperations()
	type listInput struct {
		paging.Page
		Sort     string `query:"sort" enum:"id" doc:"The order there is"`
		Provider string `query:"provider" maxLength:"64"`
		State    string `query:"state" enum:"pending,connected,needs_reauth,misconfigured,in_doubt,disabled"`
		Text     string `query:"q" maxLength:"200" doc:"Part of the name"`
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations", OperationID: "listIntegrations", Summary: "List integrations", Tags: []string{"integrations"}},
		func(ctx context.Context, c *call, in *listInput) ([]integrationBody, string, error) {
			in.Uncounted = in.State != "" || in.Text != "" // for which rows are looked at one by one
			list, next, err := api.filtered(ctx, c, integrationFilter{Provider: in.Provider, State: in.State, Text: in.Text, Cursor: in.Cursor}, in.Limit)
			return each(list, bodyOf), next, err
		})

	operation(api, GrantCreate, huma.Operation{Method: "POST", Path: "/integrations", OperationID: "createIntegration", Summary: "Create an integration", Tags: []string{"integrations"},
		DefaultStatus: http.StatusCreated},
		func(ctx context.Context, c *call, in *struct{ Body integrationInput }) (*integrationAnswer, error) {
			settings, err := in.Body.Config.texts()
			if err != nil {
				return nil, err
			}
			made, err := api.service.Create(ctx, enlace.NewIntegration{Tenant: c.access.Tenant, Provider: in.Body.Provider, Name: in.Body.Name, Settings: settings,
				Features: featuresOf(in.Body.Features), Credential: in.Body.Secrets.credential(in.Body.Scheme), Disabled: in.Body.Enabled != nil && !*in.Body.Enabled})
			if err != nil {
				return nil, api.inputProblem(c, err, in.Body.Provider, in.Body.Secrets)
			}
			out := answerWith(made)
			out.Status, out.Location = http.StatusCreated, "integrations/"+made.ID
			return out, nil
		})

	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations/{id}", OperationID: "getIntegration", Summary: "Get an integration", Tags: []string{"integrations"}},
		func(ctx context.Context, c *call, in *idInput) (*integrationAnswer, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, err
			}
			return answerWith(found), nil
		})

	type putInput struct {
		ID      string `path:"id" maxLength:"64"`
		IfMatch string `header:"If-Match" doc:"The ETag that was read; required"`
		Body    integrationInput
	}
	operation(api, GrantUpdate, huma.Operation{Method: "PUT", Path: "/integrations/{id}", OperationID: "replaceIntegration", Summary: "Replace name, settings and features", Tags: []string{"integrations"}},
		func(ctx context.Context, c *call, in *putInput) (*integrationAnswer, error) {
			patch := integrationPatch{Name: &in.Body.Name, Config: in.Body.Config, Scheme: in.Body.Scheme, Secrets: in.Body.Secrets, Features: &in.Body.Features, Enabled: in.Body.Enabled}
			return api.changeIntegration(ctx, c, in.ID, in.IfMatch, patch, true)
		})

	type patchInput struct {
		ID      string           `path:"id" maxLength:"64"`
		IfMatch string           `header:"If-Match" doc:"The ETag that was read; required"`
		Body    integrationPatch `contentType:"application/merge-patch+json"`
	}
	operation(api, GrantUpdate, huma.Operation{Method: "PATCH", Path: "/integrations/{id}", OperationID: "changeIntegration", Summary: "Change what the body names", Tags: []string{"integrations"}},
		func(ctx context.Context, c *call, in *patchInput) (*integrationAnswer, error) {
			return api.changeIntegration(ctx, c, in.ID, in.IfMatch, in.Body, false)
		})

	type deleteInput struct {
		ID      string `path:"id" maxLength:"64"`
		IfMatch string `header:"If-Match" doc:"The ETag that was read; required"`
		Confirm string `query:"confirm" maxLength:"200" doc:"If given, the name of the integration; another one is refused"`
	}
	operation(api, GrantDelete, huma.Operation{Method: "DELETE", Path: "/integrations/{id}", OperationID: "deleteIntegration", Summary: "Delete an integration, its credential and checkpoints",
		Tags: []string{"integrations"}, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *deleteInput) (*struct{}, error) {
			found, err := api.service.Get(ctx, c.integrationRef(in.ID))
			if err != nil {
				return nil, err
			}
			if err := checkVersion(c, in.IfMatch, found.Version); err != nil {
				return nil, err
			}
			if in.Confirm != "" && in.Confirm != found.Name {
				return nil, &enlace.ValidationError{Faults: []enlace.Fault{{Field: "/confirm", Problem: "not the integration's name"}}}
			}
			return nil, api.service.Delete(ctx, found.Ref)
		})

	for action, change := range map[string]func(context.Context, enlace.Ref) (enlace.Integration, error){"enable": api.service.Enable, "disable": api.service.Disable} {
		operation(api, GrantEnable, huma.Operation{Method: "POST", Path: "/integrations/{id}/" + action, OperationID: action + "Integration", Summary: "Switch on or off: " + action,
			Tags: []string{"integrations"}},
			func(ctx context.Context, c *call, in *idInput) (*integrationAnswer, error) {
				changed, err := change(ctx, c.integrationRef(in.ID))
				if err != nil {
					return nil, err
				}
				return answerWith(changed), nil
			})
	}

	operation(api, GrantConnect, huma.Operation{Method: "DELETE", Path: "/integrations/{id}/oauth", OperationID: "disconnectIntegration", Summary: "Forget the credential",
		Tags: []string{"integrations"}, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, c *call, in *idInput) (*struct{}, error) {
			_, err := api.service.Disconnect(ctx, c.integrationRef(in.ID))
			return nil, err
		})
}

func featuresOf(names []string) []enlace.Feature {
	var features []enlace.Feature
	for _, name := range names {
		features = append(features, enlace.Feature(name))
	}
	return features
}

// changeIntegration carries out a PATCH, or a PUT if replace is set.
func (api *api) changeIntegration(ctx context.Context, c *call, id, ifMatch string, p integrationPatch, replace bool) (*integrationAnswer, error) {
	in, err := api.service.Get(ctx, c.integrationRef(id))
	if err != nil {
		return nil, err
	}
	if err := checkVersion(c, ifMatch, in.Version); err != nil {
		return nil, err
	}
	credential := p.Secrets.credential(p.Scheme)
	if credential != nil && !c.may(GrantConnect) {
		return nil, newProblem(c, "forbidden")
	}
	if p.Name != nil {
		in.Name = *p.Name
	}
	if p.Features != nil {
		in.Features = featuresOf(*p.Features)
	}
	if p.Enabled != nil {
		in.Enabled = *p.Enabled
	}
	given, err := p.Config.texts()
	if err != nil {
		return nil, err
	}
	if replace || in.Settings == nil {
		in.Settings = map[string]string{}
	} else {
		in.Settings = maps.Clone(in.Settings)
	}
	for name, value := range p.Config {
		if value == nil {
			delete(in.Settings, name)
		} else {
			in.Settings[name] = given[name]
		}
	}
	changed, err := api.service.Update(ctx, in)
	if errors.Is(err, enlace.ErrConflict) {
		return nil, newProblem(c, "version_conflict")
	}
	if err != nil {
		return nil, err
	}
	if credential != nil {
		if changed, err = api.service.Connect(ctx, changed.Ref, *credential); err != nil {
			return nil, api.inputProblem(c, err, changed.Provider, p.Secrets)
		}
	}
	return answerWith(changed), nil
}

// cursorProblem tells a cursor that was altered from other faults.
func cursorProblem(c *call, cursor string, err error) error {
	if cursor != "" && errors.Is(err, enlace.ErrInvalid) {
		return newProblem(c, "invalid_cursor")
	}
	return err
}

// providerProblem makes an unknown provider in a body a fault of that field.
func providerProblem(c *call, err error) error {
	if !errors.Is(err, enlace.ErrUnknownProvider) {
		return err
	}
	p := newProblem(c, "validation_failed")
	p.faults = []fault{{field: "provider", code: "unknown", detail: translator(c.Language).text("kind.unknown_provider")}}
	return p
}

// inputProblem says of each fault in a body where in it the fault is.
func (api *api) inputProblem(c *call, err error, provider string, secrets secretValues) error {
	p := problemOf(c, providerProblem(c, err))
	d, err := api.describe(provider)
	if err != nil {
		return p
	}
	for i := range p.faults {
		field := p.faults[i].field
		_, given := secrets[field]
		for _, scheme := range d.Auth {
			for _, f := range scheme.SecretFields() {
				given = given || f.Name == field
			}
		}
		p.faults[i].secret = given
	}
	return p
}

type fieldBody struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Help     string   `json:"help,omitempty"`
	Kind     string   `json:"kind" doc:"text, integer, boolean, url, host, choice, milliseconds or secret"`
	Default  string   `json:"default,omitempty"`
	Required bool     `json:"required"`
	Choices  []string `json:"choices,omitempty"`
	Min      int64    `json:"min,omitempty"`
	Max      int64    `json:"max,omitempty"`
	Pattern  string   `json:"pattern,omitempty"`
}

type schemeBody struct {
	Name    string      `json:"name"`
	Title   string      `json:"title"`
	OAuth   bool        `json:"oauth" doc:"A person authorizes at the provider's site"`
	Secrets []fieldBody `json:"secrets"`
}

type entityBody struct {
	Name       string   `json:"name"`
	Title      string   `json:"title"`
	Operations []string `json:"operations"`
	Parents    []string `json:"parents,omitempty"`
}

type providerBody struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	Version      string       `json:"version"`
	DocsURL      string       `json:"docsUrl,omitempty"`
	Features     []string     `json:"features"`
	Capabilities []string     `json:"capabilities"`
	Auth         []schemeBody `json:"auth"`
	Config       []fieldBody  `json:"configSpec"`
	Entities     []entityBody `json:"entities"`
}

func (api *api) providerBody(c *call, adapter enlace.IntegrationAdapter) providerBody {
	t, d := translator(c.Language), adapter.Describe()
	b := providerBody{ID: d.Name, Name: d.Title, Version: d.Version, DocsURL: httpOnly(d.DocsURL), Features: []string{}, Capabilities: []string{}, Auth: []schemeBody{},
		Config: []fieldBody{}, Entities: []entityBody{}}
	for _, f := range d.Features {
		b.Features = append(b.Features, string(f))
	}
	b.Capabilities = capabilityNames(enlace.CapabilitiesOf(adapter))
	for _, s := range d.Auth {
		_, oauth := s.(enlace.OAuth2)
		scheme := schemeBody{Name: s.Scheme(), Title: t.foreign(titleOf(s)), OAuth: oauth, Secrets: []fieldBody{}}
		for _, f := range s.SecretFields() {
			scheme.Secrets = append(scheme.Secrets, fieldBody{Name: f.Name, Label: t.foreign(f.Label), Help: t.foreign(f.Help), Kind: "secret", Required: f.Required})
		}
		b.Auth = append(b.Auth, scheme)
	}
	for _, f := range fieldsOf(d) {
		kind := string(f.Kind)
		if kind == "" {
			kind = "text"
		}
		b.Config = append(b.Config, fieldBody{Name: f.Name, Label: t.foreign(f.Label), Help: t.foreign(f.Help), Kind: kind, Default: f.Default, Required: f.Required,
			Choices: f.Choices, Min: f.Min, Max: f.Max, Pattern: f.Pattern})
	}
	for _, e := range d.Entities {
		entity := entityBody{Name: e.Name, Title: t.foreign(e.Title), Parents: e.Parents, Operations: []string{}}
		for _, op := range e.Operations {
			entity.Operations = append(entity.Operations, string(op))
		}
		b.Entities = append(b.Entities, entity)
	}
	return b
}

func (api *api) providerOperations() {
	type answer struct {
		Status       int
		ETag         string `header:"ETag"`
		CacheControl string `header:"Cache-Control"`
		Body         providerBody
	}
	listOperation(api, GrantView, huma.Operation{Method: "GET", Path: "/providers", OperationID: "listProviders", Summary: "List the registered providers", Tags: []string{"providers"}},
		func(_ context.Context, c *call, _ *struct{ paging.Selection }) ([]providerBody, string, error) {
			var bodies []providerBody
			for _, adapter := range api.service.Registry().All() {
				bodies = append(bodies, api.providerBody(c, adapter))
			}
			return bodies, "", nil
		})
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/providers/{id}", OperationID: "getProvider", Summary: "Get one provider's description", Tags: []string{"providers"}},
		func(_ context.Context, c *call, in *idInput) (*answer, error) {
			adapter, err := api.service.Registry().Lookup(in.ID)
			if err != nil {
				return nil, err
			}
			out := &answer{Status: http.StatusOK, CacheControl: "private, max-age=300", Body: api.providerBody(c, adapter)}
			data, err := json.Marshal(out.Body)
			if err != nil {
				return nil, fmt.Errorf("provider %s: %w", in.ID, err)
			}
			out.ETag = etagOfBytes(data)
			return out, nil
		})
}
