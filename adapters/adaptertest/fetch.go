package adaptertest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

// fetch checks reading by ids.
func (s *suite) fetch() {
	if !s.can(enlace.CanFetch) {
		s.skip("reading by ids: the adapter is no Fetcher")
		return
	}
	for _, entity := range slices.Sorted(maps.Keys(s.harness.Count)) {
		if s.harness.Count[entity] == 0 || s.failed["pull/"+entity] {
			continue
		}
		name := "fetch/" + entity + "/"
		lacks := false
		s.check(name+"some", options{}, func(p *process) (err error) { lacks, err = p.checkFetch(entity); return err })
		if lacks {
			s.skip("reading %s by ids: Fetch says ErrUnsupported", entity)
			continue
		}
		for _, f := range []*fault{longLimit, outage503, reset, refused401, html, otherJSON, truncated} {
			s.check(name+f.name, options{}, func(p *process) error { return p.checkFetchFault(entity, f) })
		}
		for _, f := range echoes {
			s.check(name+f.name, options{}, func(p *process) error {
				p.wire.plan(f.always(1))
				_, _ = p.fetchAll(p.ctx, entity, []string{"1"})
				return nil
			})
		}
	}
}

func (p *process) fetchAll(ctx context.Context, entity string, ids []string) ([]enlace.Record, error) {
	c, err := p.conn()
	if err != nil {
		return nil, err
	}
	fetcher, _ := enlace.As[enlace.Fetcher](p.adapter)
	records, err := fetcher.Fetch(ctx, c, entity, ids)
	p.journal.note(err)
	return records, err
}

// unknownID is an id of the same form as the others that none of them has.
func unknownID(have holdings) string {
	ids := slices.Sorted(maps.Keys(have))
	last := ids[len(ids)-1]
	for digit := '9'; digit > '0'; digit-- {
		id := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return digit
			}
			return r
		}, last)
		if _, ok := have[id]; !ok {
			return id
		}
	}
	return last + "9"
}

// checkFetch reads up to three records that exist and one that does not. The
// adapter may also lack it for the entity, and say so without a request.
func (p *process) checkFetch(entity string) (lacks bool, err error) {
	have, err := p.whole(entity)
	if err != nil {
		return false, err
	}
	p.wire.plan(nil)
	ids := slices.Sorted(maps.Keys(have))
	ids = ids[:min(3, len(ids))]
	gone := unknownID(have)
	var records []enlace.Record
	err = p.timed("Fetch", func() (err error) {
		records, err = p.fetchAll(p.ctx, entity, append(slices.Clone(ids), gone))
		return err
	})
	if errors.Is(err, enlace.ErrUnsupported) && p.wire.count() == 0 {
		return true, nil
	}
	if err != nil {
		return false, broken(ruleFetch, "of %s and the unknown %s: %v", some(ids), gone, err)
	}
	found := map[string]enlace.Record{}
	for i, r := range records {
		if err := p.checkRecord(entity, i, r); err != nil {
			return false, err
		}
		found[r.ID] = r
	}
	for _, id := range ids {
		if r, ok := found[id]; !ok || r.Deleted {
			return false, broken(ruleFetch, "%s exists, and came back %v, as a tombstone %v", id, ok, r.Deleted)
		}
	}
	if r, ok := found[gone]; !ok || !r.Deleted || len(found) != len(ids)+1 {
		return false, broken(ruleFetch, "the unknown %s came back %v, as a tombstone %v; %d records in all, want %d", gone, ok, r.Deleted,
			len(found), len(ids)+1)
	}
	return false, nil
}

func (p *process) checkFetchFault(entity string, f *fault) error {
	have, err := p.whole(entity)
	if err != nil {
		return err
	}
	id := slices.Sorted(maps.Keys(have))[:1]
	p.wire.plan(f.always(1))
	records, err := p.fetchAll(p.ctx, entity, id)
	if err == nil {
		return broken(ruleSwallow, "Fetch with %s returned %d records and no error", f.name, len(records))
	}
	return p.expectFailure("Fetch with "+f.name, err, f)
}
