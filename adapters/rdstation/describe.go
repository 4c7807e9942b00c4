package rdstation

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

var (
	_ enlace.MetadataDescriber = (*Marketing)(nil)
	_ enlace.MetadataDescriber = CRM{}
)

// DescribeFields implements enlace.MetadataDescriber for contacts, by GET
// /platform/contacts/fields (sheet 2.2): the provider's own fields and the
// account's. Other entities are ErrUnsupported.
func (m *Marketing) DescribeFields(ctx context.Context, c *enlace.Conn, entity string) ([]enlace.RecordField, error) {
	if entity != "contacts" {
		return nil, undescribed(MarketingName, entity)
	}
	fields, err := m.Fields(ctx, c)
	if err != nil {
		return nil, err
	}
	described := make([]enlace.RecordField, len(fields))
	for i, f := range fields {
		described[i] = f.recordField()
	}
	return described, nil
}

func undescribed(provider, entity string) error {
	return &enlace.Error{Provider: provider, Op: "describe fields", Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun,
		Message: "the provider does not describe " + entity}
}

// marketingTypes are Marketing's types in enlace's words (sheet 2.2).
var marketingTypes = map[string]string{"STRING": "text", "STRING[]": "text", "INTEGER": "integer", "BOOLEAN": "boolean"}

func (f Field) recordField() enlace.RecordField {
	field := enlace.RecordField{Path: f.APIIdentifier, Label: inPortuguese(f.Label), Type: marketingTypes[f.DataType], List: strings.HasSuffix(f.DataType, "[]")}
	for _, o := range f.ValidationRules.ValidOptions {
		field.Choices = append(field.Choices, enlace.Choice{Value: o.Value, Label: inPortuguese(o.Label)})
	}
	return field
}

// inPortuguese is the language that every label has (sheet 2.2).
func inPortuguese(label map[string]string) string {
	if text := label["pt-BR"]; text != "" {
		return text
	}
	return label["default"]
}

// crmRecords are the documented records of the entities that may have custom
// fields, and what the fields call the entity (sheet 3.2).
var crmRecords = map[string]struct {
	entity string
	record reflect.Type
}{
	"deals":         {"deal", reflect.TypeFor[Deal]()},
	"contacts":      {"contact", reflect.TypeFor[CRMContact]()},
	"organizations": {"organization", reflect.TypeFor[Organization]()},
	"products":      {"product", reflect.TypeFor[Product]()},
}

// DescribeFields implements enlace.MetadataDescriber for deals, contacts,
// organizations and products: the documented fields (sheet 3.2), and the account's
// own by GET /custom_fields, whose paths begin with "custom_fields.". Other
// entities are ErrUnsupported.
func (crm CRM) DescribeFields(ctx context.Context, c *enlace.Conn, entity string) ([]enlace.RecordField, error) {
	described, ok := crmRecords[entity]
	if !ok {
		return nil, undescribed(CRMName, entity)
	}
	fields := documented(described.record)
	for page := (&Query{Page: 1, Size: crmPageSize}); page != nil; {
		list, err := crm.CustomFields().List(ctx, c, *page)
		if err != nil {
			return nil, err
		}
		for _, f := range list.Items {
			if f.Entity == described.entity && f.Slug != "" {
				fields = append(fields, f.recordField())
			}
		}
		if page = list.Next; page != nil && (len(list.Items) == 0 || page.Page > crmReachable/crmPageSize) {
			page = nil
		}
	}
	return fields, nil
}

// readOnly are the fields that the CRM sets itself.
var readOnly = []string{"id", "total_price", "created_at", "updated_at"}

// documented are the fields of a record's type but for the custom ones.
func documented(record reflect.Type) []enlace.RecordField {
	var fields []enlace.RecordField
	for f := range record.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "custom_fields" {
			continue
		}
		field := enlace.RecordField{Path: name, Type: typeOf(name, f.Type), Required: name == "name", ReadOnly: slices.Contains(readOnly, name)}
		if field.List = f.Type.Kind() == reflect.Slice; field.List {
			field.Type = typeOf(strings.TrimSuffix(name, "s"), f.Type.Elem())
		}
		fields = append(fields, field)
	}
	return fields
}

// typeOf is a documented field's type in enlace's words; empty for objects.
func typeOf(name string, t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int:
		return "integer"
	case reflect.Float64:
		return "decimal"
	case reflect.String:
		switch {
		case name == "id", strings.HasSuffix(name, "_id"):
			return "id"
		case strings.HasSuffix(name, "_at"):
			return "time"
		case strings.HasSuffix(name, "_date"):
			return "date"
		}
		return "text"
	default:
		return ""
	}
}

// recordField says the same in enlace's words. The types of the CRM's custom fields
// are not documented, so that a field has none here, and choices if it has options.
func (f CustomField) recordField() enlace.RecordField {
	field := enlace.RecordField{Path: "custom_fields." + strings.NewReplacer(`\`, `\\`, ".", `\.`).Replace(f.Slug), Label: f.Name}
	for _, option := range f.Options {
		field.Choices = append(field.Choices, enlace.Choice{Value: option, Label: option})
	}
	return field
}
