package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/store/memory"
)

// apiDocument is what the API says of itself, in one of its two versions.
type apiDocument struct {
	*openapi3.T
	mux    *http.ServeMux // finds the operation of a request
	routes map[string]*routers.Route
}

var apiDocuments = sync.OnceValues(func() ([]*apiDocument, error) {
	var documents []*apiDocument
	for _, name := range []string{"openapi.json", "openapi-3.0.json"} {
		document, err := loadDocument(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		documents = append(documents, document)
	}
	return documents, nil
})

func loadDocument(name string) (*apiDocument, error) {
	service, err := newService(memory.New())
	if err != nil {
		return nil, err
	}
	handler := admin.Handler(service, admin.Options{SourceTimeout: time.Minute, Authorize: func(*http.Request) (admin.Access, error) {
		return admin.Access{User: "u", Grants: admin.Administrator}, nil
	}})
	defer handler.Close()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/"+name, nil))
	document, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		return nil, err
	}
	d := &apiDocument{T: document, mux: http.NewServeMux(), routes: map[string]*routers.Route{}}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			pattern := method + " " + path
			d.mux.Handle(pattern, http.NotFoundHandler())
			d.routes[pattern] = &routers.Route{Spec: document, Path: path, PathItem: item, Method: method, Operation: operation}
		}
	}
	return d, nil
}

// check says in what an answer is another than the document describes.
func (d *apiDocument) check(r *http.Request, path string, status int, header http.Header, body []byte) error {
	asked, err := http.NewRequest(r.Method, "http://api/"+path, nil)
	if err != nil {
		return err
	}
	_, pattern := d.mux.Handler(asked)
	route, ok := d.routes[pattern]
	if !ok {
		return nil // not an operation
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: len(body) == 0}
	options.SchemaValidationOptions = []openapi3.SchemaValidationOption{openapi3.EnableFormatValidation()}
	input := &openapi3filter.ResponseValidationInput{RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route}, Status: status, Header: header, Options: options}
	response := route.Operation.Responses.Status(status)
	if response == nil {
		return fmt.Errorf("status %d is not declared", status)
	}
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	if content := response.Value.Content; len(content) == 0 && len(body) > 0 {
		return fmt.Errorf("status %d is declared without a body", status)
	} else if len(content) > 0 && len(body) > 0 && content[kind] == nil {
		return fmt.Errorf("status %d: %q is not declared", status, kind)
	}
	if !strings.HasSuffix(kind, "json") {
		options.ExcludeResponseBody = true
	}
	input.SetBodyBytes(body)
	err = openapi3filter.ValidateResponse(context.Background(), input)
	if asked := r.URL.Query(); asked.Has("fields") && status == http.StatusOK {
		return beyondMissing(err)
	}
	return err
}

// beyondMissing is what is wrong with a selection of fields: everything but that others are
// missing in the items. Only the validator of 3.0.3 tells faults apart.
func beyondMissing(err error) error {
	response, ok := errors.AsType[*openapi3filter.ResponseError](err)
	if !ok {
		return err
	}
	faults, ok := errors.AsType[openapi3.MultiError](response.Err)
	if !ok {
		return nil
	}
	var rest openapi3.MultiError
	for _, fault := range faults {
		if missing, ok := errors.AsType[*openapi3.SchemaError](fault); !ok || missing.SchemaField != "required" || len(missing.JSONPointer()) < 3 {
			rest = append(rest, fault)
		}
	}
	if len(rest) > 0 {
		return rest
	}
	return nil
}

// conforming holds every answer of the API to both documents, in whichever test it comes.
type conforming struct {
	http.RoundTripper
	t    *testing.T
	base string
}

func (c conforming) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.RoundTripper.RoundTrip(r)
	path, ours := strings.CutPrefix("http://"+r.URL.Host+r.URL.EscapedPath(), c.base)
	if err != nil || !ours {
		return response, err
	}
	var body []byte
	if response.Header.Get("Content-Type") != "text/event-stream" {
		body, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
		response.Body = io.NopCloser(bytes.NewReader(body))
	}
	documents, broken := apiDocuments()
	if err := errors.Join(err, broken); err != nil {
		return nil, err
	}
	for _, d := range documents {
		if err := d.check(r, path, response.StatusCode, response.Header, body); err != nil {
			what, _, _ := strings.Cut(err.Error(), "\n") // and behind that the whole schema
			c.t.Errorf("%s %s (OpenAPI %s): %s\n%s", r.Method, path, d.OpenAPI, what, body)
		}
	}
	return response, nil
}

var camelCase = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

// TestDocuments: both documents are valid ones, and all names in them are written alike.
func TestDocuments(t *testing.T) {
	documents, err := apiDocuments()
	if err != nil {
		t.Fatal(err)
	}
	for i, version := range []string{"3.1.0", "3.0.3"} {
		if err := documents[i].Validate(t.Context()); err != nil || documents[i].OpenAPI != version {
			t.Errorf("%s: %v", documents[i].OpenAPI, err)
		}
		for schema, of := range documents[i].Components.Schemas {
			for name := range of.Value.Properties {
				if !camelCase.MatchString(name) {
					t.Errorf("%s.%s is not in camel case", schema, name)
				}
			}
		}
	}
}
