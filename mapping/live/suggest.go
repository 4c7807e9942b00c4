package live

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
)

// AccountSchema returns what is known of an entity's fields in one account: what the
// provider tells of them, if its adapter is a [enlace.MetadataDescriber], and what up to
// samples records show. With 0 samples and an adapter that is none, the error is ErrUnsupported;
// others are those of a read.
func AccountSchema(ctx context.Context, s *enlace.Service, ref enlace.Ref, entity string, samples int) (mapping.Schema, error) {
	fields, err := s.DescribeFields(ctx, ref, entity)
	if err != nil && (samples <= 0 || !errors.Is(err, enlace.ErrUnsupported)) {
		return mapping.Schema{}, err
	}
	var failed error
	shown := mapping.SchemaOf(untilError(Payloads(ctx, s, ref, entity, samples), &failed))
	if failed != nil {
		return mapping.Schema{}, failed
	}
	return join(schemaOf(fields), shown), nil
}

// schemaOf puts a provider's own description of its fields into the words of package mapping.
func schemaOf(fields []enlace.RecordField) mapping.Schema {
	var schema mapping.Schema
	for _, f := range fields {
		field := mapping.SchemaField{Path: f.Path, Title: f.Label, Type: mapping.Type(f.Type), List: f.List, ReadOnly: f.ReadOnly}
		for _, c := range f.Choices[:min(len(f.Choices), mapping.MaxSchemaChoices+1)] { // one too many is none
			field.Choices = append(field.Choices, mapping.Choice(c))
		}
		if f.Sample != nil {
			field.Samples = []json.RawMessage{f.Sample}
		}
		schema.Fields = append(schema.Fields, field)
	}
	return schema
}

// join adds to a description what records show: samples, and fields that it does not know.
func join(described, shown mapping.Schema) mapping.Schema {
	for _, field := range shown.Fields {
		i := slices.IndexFunc(described.Fields, func(f mapping.SchemaField) bool { return f.Path == field.Path })
		if i < 0 {
			described.Fields = append(described.Fields, field)
			continue
		}
		known := &described.Fields[i]
		known.List = known.List || field.List
		if len(field.Samples) > 0 {
			known.Samples = field.Samples
		}
	}
	return described
}

// Suggest proposes the fields of a first mapping from an account's records into the host's
// schema. by is nil for [mapping.Names], or the host's own, such as a language model: what it says
// is checked by [mapping.Propose]. samples is how many records are read; by gets values of them if it
// is more than 0, and those are personal data. Errors: those of [AccountSchema], and of by.
func Suggest(ctx context.Context, s *enlace.Service, ref enlace.Ref, entity string, local mapping.Schema, samples int, by mapping.Suggester) (mapping.Proposal, error) {
	account, err := AccountSchema(ctx, s, ref, entity, samples)
	if err != nil {
		return mapping.Proposal{}, err
	}
	if by == nil {
		by = mapping.Names{}
	}
	return mapping.Propose(ctx, by, local, account)
}
