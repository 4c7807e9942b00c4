package bitrix24

import (
	"context"
	"slices"

	"github.com/enlace-go/enlace"
)

// DescribeFields implements enlace.MetadataDescriber by crm.item.fields, and by one
// batch of crm.status.list for the dictionaries behind its fields (sheet 5.2, 5.3, 5.8).
// A dictionary that the account may not read, or that the portal does not have, leaves
// its field without choices. See [DescribeFields] for all that the portal tells, and for
// the errors.
func (Adapter) DescribeFields(ctx context.Context, c *enlace.Conn, entity string) ([]enlace.RecordField, error) {
	infos, err := DescribeFields(ctx, c, entity)
	if err != nil {
		return nil, err
	}
	var dictionaries []string
	for _, f := range infos {
		if f.StatusType != "" && !slices.Contains(dictionaries, f.StatusType) {
			dictionaries = append(dictionaries, f.StatusType)
		}
	}
	commands := make([]command, len(dictionaries))
	for i, name := range dictionaries {
		commands[i] = statusCommand(name)
	}
	choices := map[string][]enlace.Choice{}
	for i, a := range run(ctx, c, commands) {
		var list []Status
		if err := decodeResult(commands[i].method, a, &list); stops(err) {
			return nil, err
		}
		for _, s := range list {
			choices[dictionaries[i]] = append(choices[dictionaries[i]], enlace.Choice{Value: s.ID, Label: s.Name})
		}
	}
	fields := make([]enlace.RecordField, len(infos))
	for i, f := range infos {
		fields[i] = f.recordField(choices[f.StatusType])
	}
	return fields, nil
}

// recordField says the same in enlace's words.
func (f FieldInfo) recordField(choices []enlace.Choice) enlace.RecordField {
	for _, o := range f.Options {
		choices = append(choices, enlace.Choice{Value: number(o.ID), Label: o.Value})
	}
	return enlace.RecordField{Path: f.Name, Label: f.Title, Type: recordTypes[f.Type], List: f.Multiple,
		Required: f.Required, ReadOnly: f.ReadOnly, Choices: choices}
}

// recordTypes are the portal's types in enlace's words (sheet 5.8); what is not here is
// an object, a file or not known.
var recordTypes = map[string]string{
	"string": "text", "char": "text", "url": "text", "address": "text", "money": "text", "text": "text",
	"crm_status": "text", "crm_currency": "text", "crm": "text",
	"integer": "integer", "double": "decimal", "boolean": "boolean", "date": "date", "datetime": "time",
	"user": "id", "employee": "id", "enumeration": "id", "iblock_section": "id", "iblock_element": "id",
	"crm_lead": "id", "crm_deal": "id", "crm_contact": "id", "crm_company": "id", "crm_quote": "id", "crm_category": "id", "crm_entity": "id",
}
