package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/enlace-go/enlace"
)

// credentialFacts is a stored credential as the page and the API show it.
type credentialFacts struct {
	Scheme         string            `json:"scheme"`
	Secrets        []secretFacts     `json:"secrets"`
	Token          *tokenFacts       `json:"token,omitempty" doc:"Absent where there is none"`
	Attributes     map[string]string `json:"attributes" doc:"Non-secret facts that came with the token"`
	WebhookSecrets []string          `json:"webhookSecrets" doc:"Fingerprints, newest first"`
}

type secretFacts struct {
	Name        string `json:"name"`
	Label       string `json:"-"`
	Fingerprint string `json:"fingerprint" doc:"Equal for equal secrets of the tenant; another one when the root key is replaced"`
}

type tokenFacts struct {
	Access  string     `json:"access" doc:"Fingerprint"`
	Refresh string     `json:"refresh,omitempty" doc:"Fingerprint; absent if the provider gave none"`
	Expiry  *time.Time `json:"expiresAt,omitempty" doc:"Absent if it does not expire"`
	Issued  *time.Time `json:"issuedAt,omitempty"`
	Scopes  []string   `json:"scopes" doc:"As granted"`
}

// credentialOf reads what may be shown; its scheme is empty where nothing is stored.
func (a *Admin) credentialOf(ctx context.Context, c *call, ref enlace.Ref, d enlace.Descriptor) (credentialFacts, error) {
	summary, err := a.service.CredentialSummary(ctx, ref)
	if err != nil {
		return credentialFacts{}, err
	}
	facts := credentialFacts{Scheme: summary.Scheme, Secrets: []secretFacts{}, Attributes: summary.Attributes, WebhookSecrets: orEmpty(summary.WebhookSecrets)}
	for _, name := range slices.Sorted(maps.Keys(summary.Secrets)) {
		facts.Secrets = append(facts.Secrets, secretFacts{name, secretLabel(c, d, summary.Scheme, name), summary.Secrets[name]})
	}
	if t := summary.Token; t != nil {
		facts.Token = &tokenFacts{t.Access, t.Refresh, optionalTime(t.Expiry), optionalTime(t.Issued), orEmpty(t.Scopes)}
	}
	return facts, nil
}

// secretLabel is what people call a secret.
func secretLabel(c *call, d enlace.Descriptor, scheme, name string) string {
	for _, s := range d.Auth {
		if s.Scheme() != scheme {
			continue
		}
		for _, f := range s.SecretFields() {
			if f.Name == name {
				return translator(c.Language).foreign(f.Label)
			}
		}
	}
	return name
}

// credentialPart is credentialOf for the page, which says elsewhere that nothing is stored.
func (a *Admin) credentialPart(ctx context.Context, c *call, in enlace.Integration) (credentialFacts, error) {
	d, _ := a.describe(in.Provider) // without it names stand for labels
	facts, err := a.credentialOf(ctx, c, in.Ref, d)
	if errors.Is(err, enlace.ErrNoCredential) {
		err = nil
	}
	return facts, err
}

type credentialAnswer struct{ Body credentialFacts }

func (api *api) credentialOperations() {
	operation(api, GrantView, huma.Operation{Method: "GET", Path: "/integrations/{id}/credential", OperationID: "getCredential", Summary: "What is stored to open the account, without revealing it",
		Tags: []string{"integrations"}, Errors: []int{http.StatusConflict}},
		func(ctx context.Context, c *call, in *idInput) (*credentialAnswer, error) {
			facts, err := api.credentialOf(ctx, c, c.integrationRef(in.ID), enlace.Descriptor{})
			return &credentialAnswer{facts}, err
		})
}
