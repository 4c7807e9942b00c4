// Package live runs the mappings of package mapping on the records of integrations. It
// is what connects the two: enlace needs no mapping, and mapping needs no enlace.
//
//	service, err := enlace.New(enlace.Config{Mappings: live.Engine{}, …})
//
// From then on [enlace.Service.SaveMapping] checks documents in the JSON form of
// [mapping.Mapping], and a sync maps records by the active one between adapter and
// sink, and back by its inverse. [Shadow] shows what a draft would change before it is
// activated; [Suggest] proposes the first one from what the account tells of its fields.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/mapping"
)

// Engine implements [enlace.MappingEngine]. Its documents are what [Document] writes and
// [mapping.Parse] reads.
type Engine struct{}

var _ enlace.MappingEngine = Engine{}

// CompileMapping implements [enlace.MappingEngine]. The error is a [*mapping.Error].
func (Engine) CompileMapping(document json.RawMessage) (enlace.RecordMapper, error) {
	return compile(document)
}

// Document returns a mapping as [enlace.MappingVersion] keeps it. The version number
// inside of the mapping is left out: the service counts.
func Document(m mapping.Mapping) (json.RawMessage, error) {
	m.Version = 0
	if _, err := mapping.Compile(m); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

func compile(document json.RawMessage) (recordMapper, error) {
	m, err := mapping.Parse(document)
	if err != nil {
		return recordMapper{}, err
	}
	c, err := mapping.Compile(m)
	if err != nil {
		return recordMapper{}, err
	}
	inverse, _ := c.Invert() // asked again where it is needed
	return recordMapper{c, inverse}, nil
}

// recordMapper is a mapping and its inverse, if there is one.
type recordMapper struct{ mapping, inverse *mapping.Compiled }

// ToLocal implements [enlace.RecordMapper]. A split record becomes an array, so that one
// record of the provider stays one of the sink, and its parts come and go with it.
func (r recordMapper) ToLocal(record json.RawMessage) (json.RawMessage, string, error) {
	result, err := r.mapping.Apply(record)
	return result.Data, result.Skipped, err
}

// ToRemote implements [enlace.RecordMapper].
func (r recordMapper) ToRemote(record json.RawMessage) (json.RawMessage, error) {
	if r.inverse == nil {
		_, err := r.mapping.Invert()
		return nil, fmt.Errorf("%w: %w", enlace.ErrUnsupported, err)
	}
	result, err := r.inverse.Apply(record)
	return result.Data, err
}

// Complete implements [enlace.RecordMapper].
func (r recordMapper) Complete(part, current json.RawMessage) (json.RawMessage, error) {
	if r.inverse == nil {
		return part, nil // ToRemote has refused before
	}
	return r.inverse.Overlay(part, current)
}

// KeptPayloads reads up to n records of an entity of which the service has kept the last state
// ([enlace.Service.KeptRecords]), for the same uses as [Payloads], without asking the provider.
func KeptPayloads(ctx context.Context, s *enlace.Service, ref enlace.Ref, entity string, n int) iter.Seq2[json.RawMessage, error] {
	return payloads(s.KeptRecords(ctx, ref, entity), n)
}

// Payloads reads the first n records of an entity from the provider as they are, for
// [Shadow], [mapping.SchemaOf] and [mapping.Compiled.CheckRoundTrip]. Nothing is kept. It
// ends after the first error; errors are those of [enlace.Service.Pages].
func Payloads(ctx context.Context, s *enlace.Service, ref enlace.Ref, entity string, n int) iter.Seq2[json.RawMessage, error] {
	return payloads(s.Records(ctx, ref, enlace.PullRequest{Entity: entity, Limit: max(n, 0)}), n)
}

// payloads are the data of the first n records that are not deleted.
func payloads(records iter.Seq2[enlace.Record, error], n int) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if n <= 0 {
			return
		}
		left := n
		for record, err := range records {
			if err != nil {
				yield(nil, err)
				return
			}
			if record.Deleted {
				continue
			}
			if !yield(record.Data, nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// Shadow maps payloads by a stored version and by the one that is active now, writes
// nothing, and reports what activating the version would change. If none is active, every
// value is new. Payloads are the provider's records, stored ones or those of [Payloads];
// their error ends the run and is returned with the report so far. Errors: those of
// [enlace.Service.Mapping], and a [*mapping.Error].
func Shadow(ctx context.Context, s *enlace.Service, key enlace.MappingKey, payloads iter.Seq2[json.RawMessage, error], o mapping.ShadowOptions) (mapping.ShadowReport, error) {
	version, err := s.Mapping(ctx, key)
	if err != nil {
		return mapping.ShadowReport{}, err
	}
	candidate, err := compile(version.Document)
	if err != nil {
		return mapping.ShadowReport{}, err
	}
	active, err := s.ActiveMapping(ctx, key.Ref, key.Entity)
	var released recordMapper
	if err == nil {
		released, err = compile(active.Document)
	}
	if err != nil && !errors.Is(err, enlace.ErrNotFound) {
		return mapping.ShadowReport{}, err
	}
	var failed error
	report := mapping.Shadow(released.mapping, candidate.mapping, untilError(payloads, &failed), o)
	return report, failed
}

// RoundTrip maps payloads by a stored version and back by its inverse, as a push does, and
// reports what does not come back the same. Payloads and their error are as for [Shadow]. Errors:
// those of [enlace.Service.Mapping], and a [*mapping.Error] if the mapping has no inverse.
func RoundTrip(ctx context.Context, s *enlace.Service, key enlace.MappingKey, payloads iter.Seq2[json.RawMessage, error]) (mapping.RoundTrip, error) {
	version, err := s.Mapping(ctx, key)
	if err != nil {
		return mapping.RoundTrip{}, err
	}
	stored, err := compile(version.Document)
	if err != nil {
		return mapping.RoundTrip{}, err
	}
	var failed error
	report, err := stored.mapping.CheckRoundTrip(untilError(payloads, &failed))
	return report, errors.Join(err, failed)
}

// untilError ends at the first error, which it leaves in failed.
func untilError(payloads iter.Seq2[json.RawMessage, error], failed *error) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		for payload, err := range payloads {
			if *failed = err; err != nil || !yield(payload) {
				return
			}
		}
	}
}
