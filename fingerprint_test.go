package enlace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/enlace-go/enlace"
)

func TestCredentialSummary(t *testing.T) {
	h := newHost(t, crm{})
	one, same, other := h.create(apiKey(canary)), h.create(apiKey(canary)), h.create(apiKey(canary+"x"))
	elsewhere := h.create(apiKey(canary), func(n *enlace.NewIntegration) { n.Tenant = "other" })
	print := func(in enlace.Integration) string {
		t.Helper()
		s, err := h.CredentialSummary(t.Context(), in.Ref)
		if err != nil || s.Scheme != "api_key" || s.Token != nil || len(s.Secrets["api_key"]) != 8 {
			t.Fatalf("%+v, %v", s, err)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		checkNoLeak(t, "the summary", fmt.Sprintf("%s %+v", text, s), canary)
		return s.Secrets["api_key"]
	}
	if print(one) != print(same) {
		t.Error("the same secret has two fingerprints")
	}
	if print(one) == print(other) || print(one) == print(elsewhere) {
		t.Error("another secret, or the same of another tenant, has the same fingerprint")
	}
	if _, err := h.Disable(t.Context(), one.Ref); err != nil {
		t.Fatal(err)
	}
	print(one)
	if _, err := h.Disconnect(t.Context(), other.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CredentialSummary(t.Context(), other.Ref); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("a disconnected integration: %v, want ErrNoCredential", err)
	}
}

// Two integrations were to use one key: compare without seeing it.
func ExampleService_CredentialSummary() {
	service := newShopService()
	first, second := newShop(service, "secret-key"), newShop(service, "secret-kex")
	var prints []string
	for _, in := range []enlace.Integration{first, second} {
		summary, err := service.CredentialSummary(context.Background(), in.Ref)
		if err != nil {
			fmt.Println(err)
			return
		}
		prints = append(prints, summary.Secrets["api_key"])
	}
	fmt.Println(len(prints[0]), "digits, the same:", prints[0] == prints[1])
	// Output: 8 digits, the same: false
}
