package rdstation

import (
	"cmp"
	"context"

	"github.com/enlace-go/enlace"
)

// DescribeFields implements [enlace.MetadataDescriber] for contacts, whose fields are
// the provider's own and the account's (sheet 2.2); other entities are ErrUnsupported.
func (m *Marketing) DescribeFields(ctx context.Context, c *enlace.Conn, entity string) ([]enlace.RecordField, error) {
	if entity != "contacts" {
		return nil, notDescribed(m.Describe().Name)
	}
	list, err := m.Fields(ctx, c)
	if err != nil {
		return nil, err
	}
	types := map[string]string{"STRING": "text", "STRING[]": "text", "INTEGER": "integer", "BOOLEAN": "boolean"}
	fields := make([]enlace.RecordField, len(list))
	for i, f := range list {
		fields[i] = enlace.RecordField{Path: f.APIIdentifier, Label: inAnyLanguage(f.Label, f.Name), Type: types[f.DataType], List: f.DataType == "STRING[]"}
		for _, o := range f.ValidationRules.ValidOptions {
			fields[i].Choices = append(fields[i].Choices, enlace.Choice{Value: o.Value, Label: inAnyLanguage(o.Label)})
		}
	}
	return fields, nil
}

// inAnyLanguage returns the Portuguese text, else the English one, of the first that has one.
func inAnyLanguage(texts ...map[string]string) string {
	for _, text := range texts {
		if label := cmp.Or(text["pt-BR"], text["en-US"], text["default"]); label != "" {
			return label
		}
	}
	return ""
}

// describedEntities are those that can have custom fields, as the fields name them.
var describedEntities = map[string]string{"contacts": "contact", "organizations": "organization", "deals": "deal", "products": "product"}

// DescribeFields implements [enlace.MetadataDescriber] with the custom fields of
// contacts, organizations, deals and products (sheet 3.2); the provider's own fields are the
// same in every account and are not listed. Other entities are ErrUnsupported.
func (a CRM) DescribeFields(ctx context.Context, c *enlace.Conn, entity string) ([]enlace.RecordField, error) {
	owner, described := describedEntities[entity]
	if !described {
		return nil, notDescribed(a.Describe().Name)
	}
	const mostPages = 50 // of 200 fields: the answer is from outside
	var fields []enlace.RecordField
	next := &Query{Sort: "name", Size: 200}
	for page := 0; next != nil && page < mostPages; page++ {
		list, err := a.CustomFields().List(ctx, c, *next)
		if err != nil {
			return nil, err
		}
		for _, f := range list.Items {
			if f.Entity == owner && f.Slug != "" {
				fields = append(fields, f.describe())
			}
		}
		next = list.Next
	}
	return fields, nil
}

func (f CustomField) describe() enlace.RecordField {
	field := enlace.RecordField{Path: "custom_fields." + f.Slug, Label: f.Name}
	for _, option := range f.Options {
		field.Choices = append(field.Choices, enlace.Choice{Value: option})
	}
	return field
}

func notDescribed(provider string) error {
	return &enlace.Error{Provider: provider, Op: "describe fields", Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun}
}
