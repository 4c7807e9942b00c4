package zapsign_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/adaptertest"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

const (
	conformDocuments = 30 // more than a page
	conformSigners   = conformDocuments + touchable - 1
	conformTemplates = 3
	touchable        = 9 // signers of the document that is read first
)

func TestDocumented(t *testing.T) {
	adaptertest.Documented(t, zapsign.Adapter{}, "../../docs/providers/zapsign.md")
}

func TestAdapter(t *testing.T) {
	adaptertest.Run(t, adaptertest.Harness{
		Adapter:  func() enlace.IntegrationAdapter { return zapsign.Adapter{} },
		Provider: func() adaptertest.Provider { return conforming(0) },
		Skewed:   conforming,
		Count:    map[string]int{zapsign.Documents: conformDocuments, zapsign.Signers: conformSigners, zapsign.Templates: conformTemplates},
		Same:     sameButForLinks,
		Refusals: []adaptertest.Refusal{
			{Name: "the words for a bad token", Status: 403, Kind: enlace.ErrAuth,
				Body: `{"detail":"API token not found. More details here / Token da API não encontrado: https://docs.zapsign.com.br/english/authentication/autenticacao"}`},
		},
	})
}

// conforming is an account for the conformance suite. Its lists are not cached:
// what changed in the last minute is not in those of the real one, which no run
// that follows at once can make good. The tests of reading have the cache.
func conforming(ahead time.Duration) adaptertest.Provider {
	api := newAPI(zapsigntest.Options{ListCache: -1, ClockSkew: ahead})
	created := func(i int) time.Time { return api.Now().Add(-time.Hour).Add(time.Duration(i/10) * time.Minute) } // ten share each
	documents := api.Seed(zapsigntest.Seed{Count: conformDocuments - 1, Created: created})
	named := make([]zapsigntest.Signer, touchable)
	for i := range named {
		named[i].Name = fmt.Sprint("Signer ", i)
	}
	first := api.Seed(zapsigntest.Seed{Signers: named, Created: func(int) time.Time { return created(conformDocuments - 1) }})[0]
	d, _ := api.Document(first)
	people := d.Signers
	var templates []string
	for range conformTemplates {
		templates = append(templates, newTemplate(api))
	}
	touched := 0
	return adaptertest.Provider{
		Transport:  api.Transport(),
		Credential: *token(api.Token()),
		Settings:   map[string]string{"environment": zapsign.Sandbox, "settle": "60"},
		Touch: func(entity string) string {
			signer := people[touched].Token
			touched++
			if err := api.Open(signer); err != nil {
				panic(err)
			}
			if entity == zapsign.Signers {
				return signer
			}
			return first
		},
		Writes: []adaptertest.Write{
			{Mutation: enlace.Mutation{Entity: zapsign.Documents, Op: enlace.OpCreate, Data: contract("Contrato", "Ana Prado")},
				Effects: func() int { return len(api.Documents()) }},
			{Mutation: enlace.Mutation{Entity: zapsign.Documents, Op: enlace.OpUpdate, ID: documents[0], Data: zapsign.DocumentUpdate{Name: "Outro"}},
				Effects: done(api, "PUT /docs/{}/")},
			{Mutation: enlace.Mutation{Entity: zapsign.Documents, Op: enlace.OpDelete, ID: documents[1]}, Effects: done(api, "DELETE /docs/{}/")},
			{Mutation: enlace.Mutation{Entity: zapsign.Signers, Op: enlace.OpCreate, Data: map[string]string{"doc_token": documents[2], "name": "Beto Lima"}},
				Effects: done(api, "POST /docs/{}/add-signer/")},
			{Mutation: enlace.Mutation{Entity: zapsign.Signers, Op: enlace.OpUpdate, ID: people[0].Token, Data: zapsign.SignerInput{Qualification: "Testemunha"}},
				Effects: done(api, "POST /signers/{}/")},
			{Mutation: enlace.Mutation{Entity: zapsign.Signers, Op: enlace.OpDelete, ID: people[1].Token}, Effects: done(api, "DELETE /signer/{}/remove/")},
			{Mutation: enlace.Mutation{Entity: zapsign.Templates, Op: enlace.OpCreate, Data: zapsign.TemplateInput{Name: "Outro", DOCX: docx}},
				Effects: done(api, "POST /templates/create/")},
			{Mutation: enlace.Mutation{Entity: zapsign.Templates, Op: enlace.OpUpdate, ID: templates[1], Data: zapsign.TemplateInput{Name: "Outro"}},
				Effects: done(api, "PUT /templates/{}/")},
			{Mutation: enlace.Mutation{Entity: zapsign.Templates, Op: enlace.OpDelete, ID: templates[0]}, Effects: done(api, "DELETE /templates/{}/")},
		},
		Webhooks: []adaptertest.Webhook{{
			Delivery: enlace.Delivery{Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: "host.example", Path: "/webhooks/1"},
				Header: http.Header{"Content-Type": {"application/json"}, zapsign.WebhookHeader: {webhook}},
				Body: []byte(`{"event_type":"doc_signed","token":"11111111-0000-4000-8000-000000000101","status":"pending",` +
					`"last_update_at":"2026-02-04T09:13:20.001000Z","signer_who_signed":{"token":"22222222-0000-4000-8000-000000000001","status":"signed"}}`)},
			Secret: enlace.NewSecret(webhook),
		}},
	}
}

// done counts the requests to an endpoint that were carried out.
func done(api *zapsigntest.API, route string) func() int {
	return func() int {
		s := api.Stats().Routes[route]
		return s.Requests - s.Refused
	}
}

// newTemplate makes a template without the adapter.
func newTemplate(api *zapsigntest.API) string {
	body := `{"name":"Modelo","base64_docx":"` + base64.StdEncoding.EncodeToString(docx) + `"}`
	r := must(http.NewRequest(http.MethodPost, api.BaseURL()+"templates/create/", strings.NewReader(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+api.Token())
	answer := must(api.Transport().RoundTrip(r))
	var template zapsign.Template
	must(0, json.NewDecoder(answer.Body).Decode(&template))
	return template.Token
}

var signedLink = regexp.MustCompile(`\?AWSAccessKeyId=[^"]*`)

// sameButForLinks compares two readings of a record: each has links to files that
// were signed for it.
func sameButForLinks(a, b json.RawMessage) bool {
	return bytes.Equal(signedLink.ReplaceAll(a, nil), signedLink.ReplaceAll(b, nil))
}
