package rdstation_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

func fieldAt(fields []enlace.RecordField, path string) enlace.RecordField {
	for _, f := range fields {
		if f.Path == path {
			return f
		}
	}
	return enlace.RecordField{}
}

func TestDescribeMarketingFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		defer account.Close()
		h := marketingHost(t, account, nil)
		m := &rdstation.Marketing{}
		label := map[string]string{"pt-BR": "Interesses"}
		must[rdstation.Field](t)(m.CreateField(t.Context(), h.conn(), rdstation.Field{APIIdentifier: "cf_interesses", DataType: "STRING[]",
			PresentationType: "MULTIPLE_CHOICE", Name: label, Label: label,
			ValidationRules: rdstation.ValidationRules{ValidOptions: []rdstation.FieldOption{{Value: "fornos", Label: map[string]string{"pt-BR": "Fornos"}}}}}))
		fields := must[[]enlace.RecordField](t)(h.service.DescribeFields(t.Context(), h.ref, "contacts"))
		want := enlace.RecordField{Path: "cf_interesses", Label: "Interesses", Type: "text", List: true, Choices: []enlace.Choice{{Value: "fornos", Label: "Fornos"}}}
		if diff := cmp.Diff(want, fieldAt(fields, "cf_interesses")); diff != "" {
			t.Error(diff)
		}
		if f := fieldAt(fields, "tags"); !f.List || f.Type != "text" {
			t.Errorf("%+v", f)
		}
	})
}

func TestDescribeCRMFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := rdstationtest.New(rdstationtest.Options{})
		defer account.Close()
		h := crmHost(t, account)
		for _, f := range []rdstation.CustomField{{Name: "Filial", Slug: "filial", Type: "option", Entity: "deal", Options: []string{"Sul", "Norte"}},
			{Name: "Ramal", Slug: "ramal", Type: "text", Entity: "contact"}} {
			must[rdstation.CustomField](t)(rdstation.CRM{}.CustomFields().Create(t.Context(), h.conn(), f))
		}
		fields := must[[]enlace.RecordField](t)(h.service.DescribeFields(t.Context(), h.ref, "deals"))
		for _, want := range []enlace.RecordField{
			{Path: "id", Type: "id", ReadOnly: true}, {Path: "name", Type: "text", Required: true}, {Path: "rating", Type: "integer"},
			{Path: "one_time_price", Type: "decimal"}, {Path: "expected_close_date", Type: "date"}, {Path: "updated_at", Type: "time", ReadOnly: true},
			{Path: "contact_ids", Type: "id", List: true}, {Path: "stage_id", Type: "id"},
			{Path: "custom_fields.filial", Label: "Filial", Choices: []enlace.Choice{{Value: "Sul", Label: "Sul"}, {Value: "Norte", Label: "Norte"}}},
			{}, // of "custom_fields.ramal", which is a contact's
		} {
			path := want.Path
			if path == "" {
				path = "custom_fields.ramal"
			}
			if diff := cmp.Diff(want, fieldAt(fields, path)); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
		}
	})
}
