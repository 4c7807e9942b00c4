package adaptertest

import (
	"errors"
	"maps"
	"slices"

	"github.com/enlace-go/enlace"
)

// fields checks what the adapter tells about the fields of records.
func (s *suite) fields() {
	if !s.can(enlace.CanDescribeFields) {
		return
	}
	s.check("fields/lacking", options{}, (*process).checkNoFields)
	described := 0
	for _, entity := range slices.Sorted(maps.Keys(s.harness.Count)) {
		name := "fields/" + entity
		lacks := true
		s.check(name, options{}, func(p *process) (err error) { lacks, err = p.checkFields(entity); return err })
		if lacks {
			continue
		}
		described++
		for _, f := range []*fault{longLimit, outage503, reset, refused401, html, otherJSON, truncated} {
			s.check(name+"/"+f.name, options{}, func(p *process) error {
				p.wire.plan(f.always(1))
				fields, err := p.describeFields(entity)
				if err == nil {
					return broken(ruleSwallow, "DescribeFields of %s with %s returned %d fields and no error", entity, f.name, len(fields))
				}
				return p.expectFailure("DescribeFields of "+entity+" with "+f.name, err, f)
			})
		}
	}
	if described == 0 && s.only == "" {
		s.report(s.t, "fields", broken(ruleFields, "the adapter is a MetadataDescriber, and describes none of its entities"))
	}
}

func (p *process) describeFields(entity string) ([]enlace.RecordField, error) {
	c, err := p.conn()
	if err != nil {
		return nil, err
	}
	describer, _ := enlace.As[enlace.MetadataDescriber](p.adapter)
	fields, err := describer.DescribeFields(p.ctx, c, entity)
	p.journal.note(err)
	return fields, err
}

var fieldTypes = []string{"", "text", "id", "integer", "decimal", "boolean", "date", "time"}

// checkFields asks for the fields of one entity; the adapter may say without a
// request that it has none to tell.
func (p *process) checkFields(entity string) (lacks bool, err error) {
	p.wire.plan(nil)
	fields, err := p.describeFields(entity)
	switch {
	case errors.Is(err, enlace.ErrUnsupported) && p.wire.count() == 0:
		return true, nil
	case err != nil:
		return false, broken(ruleFields, "of %s: %v", entity, err)
	case len(fields) == 0:
		return false, broken(ruleFields, "%s have none; ErrUnsupported is for what the provider does not describe", entity)
	}
	paths := map[string]bool{}
	for i, f := range fields {
		switch {
		case f.Path == "" || paths[f.Path]:
			return false, broken(ruleFields, "field %d of %s has the path %q, which is empty or there twice", i+1, entity, f.Path)
		case !slices.Contains(fieldTypes, f.Type):
			return false, broken(ruleFields, "the field %s of %s has the type %q, which is none", f.Path, entity, f.Type)
		}
		paths[f.Path] = true
	}
	return false, nil
}

// checkNoFields asks for the fields of an entity that does not exist.
func (p *process) checkNoFields() error {
	p.wire.plan(nil)
	_, err := p.describeFields("adaptertest_nothing")
	if !errors.Is(err, enlace.ErrUnsupported) || p.wire.count() > 0 {
		return broken(ruleUnsupported, "DescribeFields of an entity that does not exist sent %d requests and returned %v", p.wire.count(), err)
	}
	return nil
}
