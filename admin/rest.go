package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/enlace-go/enlace"
)

// apiPath is where the REST API is, inside the mount.
const apiPath = "/api/v1"

// api is the REST API: huma makes the document from the same declarations that
// answer the requests.
type api struct {
	*Admin
	huma       huma.API
	operations []operationGrant
	document   func() ([]byte, error) // OpenAPI 3.1; made when it is first asked for
	document30 func() ([]byte, error) // OpenAPI 3.0.3, for generators that want it
}

// operationGrant is what an operation asks for; tests go through all of them.
type operationGrant struct {
	method, path string
	grant        Grants
}

// newAPI registers every operation on mux.
func (a *Admin) newAPI(mux *http.ServeMux) *api {
	config := huma.DefaultConfig("enlace", "1")
	config.Info.Description = "Integrations of a host application. Every operation is also a method of the Go package."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.Servers = []*huma.Server{{URL: ".", Description: "The address of this document"}}
	config.Transformers = []huma.Transformer{transformProblem}
	api := &api{Admin: a, huma: humago.NewWithPrefix(mux, apiPath, config)}
	for _, register := range []func(){api.integrationOperations, api.providerOperations, api.testOperations, api.runOperations, api.operationOperations, api.eventOperations,
		api.scheduleOperations, api.doctorOperations, api.bulkOperations,
		api.mappingOperations, api.repairOperations, api.controlOperations,
		api.auditOperations, api.logOperations, api.runControlOperations, api.authorizationOperations} {
		register()
	}
	api.describeProblems()
	api.document = sync.OnceValues(func() ([]byte, error) { return json.Marshal(api.huma.OpenAPI()) })
	api.document30 = sync.OnceValues(api.huma.OpenAPI().Downgrade)
	mux.Handle("GET "+apiPath+"/openapi.json", a.guarded(route{grant: GrantView, serve: api.serveDocument}))
	mux.Handle("GET "+apiPath+"/openapi-3.0.json", a.guarded(route{grant: GrantView, serve: api.serveDocument}))
	return api
}

func (api *api) serveDocument(a *Admin, w http.ResponseWriter, r *http.Request, c *call) error {
	made := api.document
	if strings.HasSuffix(r.URL.Path, "/openapi-3.0.json") {
		made = api.document30
	}
	document, err := made()
	if err != nil {
		return err
	}
	if notModified(w, r, etagOfBytes(document)) {
		return nil
	}
	w.Header().Set("Content-Type", "application/vnd.oai.openapi+json")
	writeBody(w, r, document, compress(document))
	return nil
}

// local marks an operation that needs GrantTest or GrantSync and calls no provider: it
// counts among the calls of a user and not among the few tests.
var local = map[string]any{"local": true}

// operation declares one operation: what it asks for, and what answers.
func operation[I, O any](api *api, grant Grants, o huma.Operation, serve func(ctx context.Context, c *call, in *I) (*O, error)) {
	if o.DefaultStatus == 0 {
		o.DefaultStatus = http.StatusOK
	}
	tests := (grant == GrantTest || grant == GrantSync) && o.Metadata["local"] == nil
	o.Extensions = map[string]any{"x-grant": grant.String()}
	o.MaxBodyBytes = maxRequestBody
	o.Middlewares = append(huma.Middlewares{api.middleware(grant, tests)}, o.Middlewares...)
	o.Errors = append(o.Errors, refusals(o, typeOf[I]())...)
	o.Parameters = append(o.Parameters, headersOf(o, typeOf[O]())...)
	if o.Responses == nil {
		o.Responses = map[string]*huma.Response{}
	}
	api.operations = append(api.operations, operationGrant{o.Method, o.Path, grant})
	huma.Register(api.huma, o, func(ctx context.Context, in *I) (*O, error) {
		c := callOf(ctx)
		out, err := serve(ctx, c, in)
		if err != nil {
			return nil, api.refused(c, err)
		}
		if out != nil {
			setStatus(c, o, reflect.ValueOf(out).Elem())
		}
		return out, nil
	})
	describeOthers(o, typeOf[O]())
}

// tagged says whether an operation reads something that has a tag.
func tagged(o huma.Operation, out reflect.Type) bool {
	_, ok := out.FieldByName("ETag")
	return ok && o.Method == http.MethodGet
}

// headersOf are the request's headers that the handler deals with for all operations.
func headersOf(o huma.Operation, out reflect.Type) []*huma.Param {
	text := &huma.Schema{Type: huma.TypeString}
	switch {
	case tagged(o, out):
		return []*huma.Param{{Name: "If-None-Match", In: "header", Schema: text, Description: "The ETag that was read; 304 if it is still that one"}}
	case o.Method == http.MethodPost:
		return []*huma.Param{{Name: "Idempotency-Key", In: "header", Schema: text, Description: "A request that is sent again with its key within a day is carried out once"}}
	default:
		return nil
	}
}

// setStatus makes an answer 304, if the caller has read just that.
func setStatus(c *call, o huma.Operation, out reflect.Value) {
	status := out.FieldByName("Status")
	if !status.IsValid() {
		return
	}
	if status.Int() == 0 {
		status.SetInt(int64(o.DefaultStatus))
	}
	if header := c.asked.Header.Get("If-None-Match"); header != "" && tagged(o, out.Type()) && matchesTag(header, out.FieldByName("ETag").String(), true) {
		status.SetInt(http.StatusNotModified)
	}
}

// refusals are the statuses with which an operation may refuse, as far as that follows from
// what it takes. What else an operation refuses with stands in its own declaration.
func refusals(o huma.Operation, in reflect.Type) []int {
	statuses := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable}
	if in.NumField() > 0 {
		statuses = append(statuses, http.StatusBadRequest)
	}
	if strings.Contains(o.Path, "{") {
		statuses = append(statuses, http.StatusNotFound)
	}
	if o.Method != http.MethodGet {
		statuses = append(statuses, http.StatusConflict, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
		if _, versioned := in.FieldByName("IfMatch"); versioned {
			statuses = append(statuses, http.StatusPreconditionFailed, http.StatusPreconditionRequired)
		}
		if _, body := in.FieldByName("Body"); body || o.Method == http.MethodPost {
			statuses = append(statuses, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge)
		}
	}
	return statuses
}

// describeOthers adds the statuses beside the usual one: 304 to who has read this already,
// and 202 where a run goes on.
func describeOthers(o huma.Operation, out reflect.Type) {
	if tagged(o, out) {
		o.Responses["304"] = &huma.Response{Description: http.StatusText(http.StatusNotModified)}
	}
	if out == typeOf[runAnswer]() && o.Method == http.MethodPost {
		goesOn := *o.Responses["200"]
		goesOn.Description = "It goes on: Location says where to look for it"
		o.Responses["202"] = &goesOn
	}
}

// refused makes an error one of ours, and logs our own faults.
func (api *api) refused(c *call, err error) error {
	p := problemOf(c, err)
	if p.status >= 500 {
		api.logger.Error("admin request failed", "request", c.id, "path", c.mount.path, "code", p.code, "error", err)
	}
	return p
}

// middleware checks grant, limits and the content type before the body is read.
func (api *api) middleware(grant Grants, tests bool) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		c := callOf(r.Context())
		defer api.recovered(w, r, c)
		w.Header().Add("Vary", "Accept-Language, Cookie")
		if err := api.admit(w, r, c, grant, tests); err != nil {
			writeProblem(w, r, c, problemOf(c, err))
			return
		}
		if r.ContentLength != 0 && r.Method != http.MethodGet && r.Method != http.MethodHead && !jsonBody(r) {
			writeProblem(w, r, c, newProblem(c, "unsupported_media_type"))
			return
		}
		next(ctx)
	}
}

// jsonBody says whether the body is JSON. A form of another site cannot say so
// without the browser asking first.
func jsonBody(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	kind = strings.TrimSpace(kind)
	return kind == "application/json" || kind == "application/merge-patch+json"
}

// problemBody is a failure by RFC 9457.
type problemBody struct {
	Type      string         `json:"type" doc:"Address of the description of this kind of failure"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail,omitempty"`
	Code      string         `json:"code" doc:"Stable name of the failure; test for this one"`
	RequestID string         `json:"requestId"`
	Errors    []problemFault `json:"errors,omitempty"`
}

type problemFault struct {
	Pointer string `json:"pointer" doc:"JSON pointer into the request's body"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// GetStatus makes a problem an answer of huma.
func (p *problem) GetStatus() int { return p.status }

// ContentType implements huma's ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

func (p *problem) body(c *call) problemBody {
	b := problemBody{Type: c.mount.root + c.admin.reference() + "#" + p.code, Title: p.title, Status: p.status, Detail: p.detail, Code: p.code, RequestID: c.id}
	for _, f := range p.faults {
		b.Errors = append(b.Errors, problemFault{Pointer: f.pointer(), Code: f.code, Detail: f.detail})
	}
	return b
}

// reference is where in the mount the API is described.
func (a *Admin) reference() string {
	if a.apiOnly {
		return "openapi.json"
	}
	return "api"
}

// pointer is where in a body the field stands.
func (f fault) pointer() string {
	switch {
	case strings.HasPrefix(f.field, "/"):
		return f.field
	case f.field == "name" || f.field == "features" || f.field == "scheme" || f.field == "provider":
		return "/" + f.field
	case f.secret:
		return "/secrets/" + f.field
	default:
		return "/config/" + f.field
	}
}

// writeProblem answers a program.
func writeProblem(w http.ResponseWriter, _ *http.Request, c *call, p *problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Language", c.Language)
	p.tellRetry(w.Header())
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(p.body(c))
}

// humaCodes are the codes of what huma itself refuses.
var humaCodes = map[int]string{400: "bad_request", 404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 413: "payload_too_large",
	415: "unsupported_media_type", 422: "validation_failed", 408: "timed_out"}

// transformProblem gives every failure the same form. What huma found wrong with a
// value is said without the value, which may be a secret.
func transformProblem(ctx huma.Context, _ string, v any) (any, error) {
	c := callOf(ctx.Context())
	switch v := v.(type) {
	case *problem:
		ctx.SetHeader("Content-Language", c.Language)
		_, w := humago.Unwrap(ctx)
		v.tellRetry(w.Header())
		return v.body(c), nil
	case *huma.ErrorModel:
		code, ok := humaCodes[v.Status]
		if !ok {
			code = "internal"
		}
		p := newProblem(c, code)
		p.status = v.Status
		for _, detail := range v.Errors {
			where := strings.TrimPrefix(detail.Location, "body")
			p.faults = append(p.faults, fault{field: "/" + strings.TrimPrefix(strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(where), "/"),
				code: "invalid", detail: detail.Message})
		}
		return p.body(c), nil
	default:
		return v, nil
	}
}

// describeProblems replaces huma's failure in the document by ours.
func (api *api) describeProblems() {
	document := api.huma.OpenAPI()
	schema := huma.SchemaFromType(document.Components.Schemas, typeOf[problemBody]())
	document.Components.Schemas.Map()["ErrorModel"] = schema
	delete(document.Components.Schemas.Map(), "ErrorDetail")
}

// integrationRef names an integration of the user's tenant.
func (c *call) integrationRef(id string) enlace.Ref {
	return enlace.Ref{Tenant: c.access.Tenant, ID: id}
}
