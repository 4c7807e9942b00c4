package enlace

import (
	"context"
	"encoding/json"
	"fmt"
)

// RecordField describes one field of an entity's records in one account.
type RecordField struct {
	// Path is where the field is in the record's JSON: names from the outside in,
	// separated by dots, with a backslash before a dot that is part of a name.
	Path  string `json:"path"`
	Label string `json:"label,omitempty"` // what the account's people call it
	// Type is "text", "id", "integer", "decimal", "boolean", "date", "time", or empty
	// for what is none of them or not known.
	Type     string          `json:"type,omitempty"`
	List     bool            `json:"list,omitempty"`      // an array of such values
	Required bool            `json:"required,omitempty"`  // a record cannot be created without it
	ReadOnly bool            `json:"read_only,omitempty"` // it cannot be written
	Choices  []Choice        `json:"choices,omitempty"`   // the values that it may have, if they are few and known
	Sample   json.RawMessage `json:"sample,omitempty"`    // a value, where the provider gives one; personal data
}

// Choice is a value that a field may have, as its text, and what people call it.
type Choice struct {
	Value string `json:"value"`
	Label string `json:"label,omitempty"`
}

// MetadataDescriber tells which fields an account's records have, its own custom
// fields among them. Without it, what is known of them is what a sample of records
// shows.
type MetadataDescriber interface {
	// DescribeFields lists the fields of an entity, in the account's order. Errors
	// are those of a read; ErrUnsupported for an entity that the provider does not
	// describe.
	DescribeFields(ctx context.Context, c *Conn, entity string) ([]RecordField, error)
}

// DescribeFields asks the provider which fields the records of an entity have.
// Errors: ErrUnsupported if the adapter is no [MetadataDescriber] or has no such
// entity, and those of [Service.Conn] and of a read.
func (s *Service) DescribeFields(ctx context.Context, ref Ref, entity string) ([]RecordField, error) {
	conn, err := s.Conn(ctx, ref)
	if err != nil {
		return nil, err
	}
	if _, known := conn.descriptor.Entity(entity); !known {
		return nil, unknownEntity("describe fields", conn.descriptor, entity)
	}
	describer, able := As[MetadataDescriber](conn.adapter)
	if !able {
		return nil, &Error{Provider: conn.provider, Op: "describe fields", Kind: ErrUnsupported, Outcome: OutcomeNotRun}
	}
	return describer.DescribeFields(ctx, conn, entity)
}

func unknownEntity(op string, d Descriptor, entity string) error {
	names := make([]string, len(d.Entities))
	for i, e := range d.Entities {
		names[i] = e.Name
	}
	return &Error{Provider: d.Name, Op: op, Kind: ErrUnsupported, Outcome: OutcomeNotRun,
		Err: &ValidationError{Faults: []Fault{{Field: "Entity", Problem: fmt.Sprintf("unknown entity %q", entity), Allowed: joinWords(names)}}}}
}
