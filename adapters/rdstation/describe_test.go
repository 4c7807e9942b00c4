package rdstation_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

func TestMarketingDescribesContacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := marketingHost(t, rdstationtest.New(rdstationtest.Options{}), nil)
		names := map[string]string{"pt-BR": "Interesses"}
		f := rdstation.Field{APIIdentifier: "cf_interesses", DataType: "STRING[]", PresentationType: "MULTIPLE_CHOICE", Name: names, Label: names,
			ValidationRules: rdstation.ValidationRules{ValidOptions: []rdstation.FieldOption{{Value: "fornos", Label: map[string]string{"pt-BR": "Fornos"}}}}}
		if _, err := h.marketing.CreateField(t.Context(), h.conn(), f); err != nil {
			t.Fatal(err)
		}
		fields, err := h.service.DescribeFields(t.Context(), h.ref, "contacts")
		if err != nil {
			t.Fatal(err)
		}
		want := []enlace.RecordField{
			{Path: "cf_interesses", Label: "Interesses", Type: "text", List: true, Choices: []enlace.Choice{{Value: "fornos", Label: "Fornos"}}},
			{Path: "email", Type: "text"},
		}
		for _, w := range want {
			at := slices.IndexFunc(fields, func(f enlace.RecordField) bool { return f.Path == w.Path })
			if at < 0 {
				t.Fatalf("%s is not described", w.Path)
			}
			if w.Label == "" {
				w.Label = fields[at].Label
			}
			if diff := cmp.Diff(w, fields[at]); diff != "" {
				t.Error(diff)
			}
		}
		if _, err := h.service.DescribeFields(t.Context(), h.ref, "emails"); !errors.Is(err, enlace.ErrUnsupported) {
			t.Error(err)
		}
	})
}

func TestCRMDescribesCustomFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		account.PutCRM(rdstationtest.CRMCustomFields, map[string]any{"name": "Filial", "slug": "filial", "entity": "deal", "type": "option", "options": []string{"Sul", "Norte"}})
		account.PutCRM(rdstationtest.CRMCustomFields, map[string]any{"name": "CPF", "slug": "cpf", "entity": "contact", "type": "text"})
		h := crmHost(t, account)
		fields, err := h.service.DescribeFields(t.Context(), h.ref, "deals")
		want := []enlace.RecordField{{Path: "custom_fields.filial", Label: "Filial", Choices: []enlace.Choice{{Value: "Sul"}, {Value: "Norte"}}}}
		if diff := cmp.Diff(want, fields); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if _, err := h.service.DescribeFields(t.Context(), h.ref, "tasks"); !errors.Is(err, enlace.ErrUnsupported) {
			t.Error(err)
		}
	})
}
