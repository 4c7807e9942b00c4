package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/enlace-go/enlace"
)

var mappingChecks = []check{
	{"RoundTrip", mappingRoundTrip},
	{"Update", mappingUpdate},
	{"OneActive", mappingOneActive},
	{"ActiveRace", mappingActiveRace},
	{"List", mappingList},
	{"Delete", mappingDelete},
	{"InTransaction", mappingInTransaction},
}

func mappingVersion(tenant, id, entity string, number int) enlace.MappingVersion {
	return enlace.MappingVersion{Ref: ref(tenant, id), Entity: entity, Number: number, State: enlace.MappingDraft,
		Document: json.RawMessage(fmt.Sprintf(`{"name": "%s é \u00e9 %d"}`, entity, number))}
}

// createMapping stores v and returns it as it is stored.
func createMapping(t *testing.T, s enlace.Store, v enlace.MappingVersion) enlace.MappingVersion {
	t.Helper()
	noError(t, "CreateMapping stores a new version", s.CreateMapping(t.Context(), v))
	return storedMapping(t, s, v)
}

func storedMapping(t *testing.T, s enlace.Store, v enlace.MappingVersion) enlace.MappingVersion {
	t.Helper()
	stored, err := s.Mapping(t.Context(), v.Key())
	noError(t, "Mapping returns what is stored", err)
	return stored
}

func mappingRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "a mapping comes back as it was created, with Version 1"
	v := mappingVersion("acme", "one", "contacts", 1)
	got := createMapping(t, s, v)
	setByStore(t, rule, got.CreatedAt)
	setByStore(t, rule, got.UpdatedAt)
	isUTC(t, got.CreatedAt, got.UpdatedAt)
	want := v
	want.Version, want.CreatedAt, want.UpdatedAt = 1, got.CreatedAt, got.UpdatedAt
	equal(t, rule, got, want)
	got.Document[0] = '!'
	equal(t, "what is stored changes only by a call", storedMapping(t, s, v), want)

	wantError(t, "CreateMapping of an existing key is ErrConflict", s.CreateMapping(t.Context(), v), enlace.ErrConflict)
	for _, other := range []enlace.MappingKey{{Ref: ref("Acme", "one"), Entity: "contacts", Number: 1}, {Ref: ref("acme", "two"), Entity: "contacts", Number: 1},
		{Ref: ref("acme", "one"), Entity: "Contacts", Number: 1}, {Ref: ref("acme", "one"), Entity: "contacts", Number: 2}} {
		_, err := s.Mapping(t.Context(), other)
		wantError(t, "Mapping of what does not exist is ErrNotFound", err, enlace.ErrNotFound)
	}
	_, err := s.ActiveMapping(t.Context(), v.Ref, "contacts")
	wantError(t, "a draft is not the active mapping", err, enlace.ErrNotFound)
}

func mappingUpdate(t *testing.T, s enlace.Store) {
	const rule = "UpdateMapping replaces state and document"
	v := createMapping(t, s, mappingVersion("acme", "one", "contacts", 1))
	next := v
	next.State, next.Document = enlace.MappingActive, json.RawMessage(`{}`)
	noError(t, rule, s.UpdateMapping(t.Context(), next))
	got := storedMapping(t, s, v)
	setByStore(t, rule, got.UpdatedAt)
	next.Version, next.UpdatedAt = 2, got.UpdatedAt
	equal(t, rule, got, next)
	active, err := s.ActiveMapping(t.Context(), v.Ref, "contacts")
	noError(t, "ActiveMapping returns the active version", err)
	equal(t, "ActiveMapping returns the active version", active, next)

	wantError(t, "UpdateMapping with an old version is ErrConflict", s.UpdateMapping(t.Context(), v), enlace.ErrConflict)
	wantError(t, "UpdateMapping of what does not exist is ErrNotFound", s.UpdateMapping(t.Context(), mappingVersion("acme", "one", "contacts", 2)), enlace.ErrNotFound)
	wantError(t, "UpdateMapping of another tenant's is ErrNotFound", s.UpdateMapping(t.Context(), mappingVersion("other", "one", "contacts", 1)), enlace.ErrNotFound)
	equal(t, "an update that is refused changes nothing", storedMapping(t, s, v), next)
}

func mappingOneActive(t *testing.T, s enlace.Store) {
	const rule = "an entity has one active version at most"
	first := mappingVersion("acme", "one", "contacts", 1)
	first.State = enlace.MappingActive
	first = createMapping(t, s, first)
	noError(t, "an active version may be updated", s.UpdateMapping(t.Context(), first))
	first.Version++

	second := createMapping(t, s, mappingVersion("acme", "one", "contacts", 2))
	second.State = enlace.MappingActive
	wantError(t, rule, s.UpdateMapping(t.Context(), second), enlace.ErrConflict)
	third := mappingVersion("acme", "one", "contacts", 3)
	third.State = enlace.MappingActive
	wantError(t, rule, s.CreateMapping(t.Context(), third), enlace.ErrConflict)
	for _, elsewhere := range []enlace.MappingVersion{mappingVersion("acme", "one", "deals", 1), mappingVersion("acme", "two", "contacts", 1), mappingVersion("", "one", "contacts", 1)} {
		elsewhere.State = enlace.MappingActive
		noError(t, "another entity, integration or tenant has its own", s.CreateMapping(t.Context(), elsewhere))
	}
	first.State = enlace.MappingRetired
	noError(t, rule, s.UpdateMapping(t.Context(), first))
	noError(t, rule, s.UpdateMapping(t.Context(), second))
	active, err := s.ActiveMapping(t.Context(), first.Ref, "contacts")
	noError(t, rule, err)
	equal(t, rule, active.Number, 2)
}

// mappingActiveRace has many activate their own version at once; each one retires what is active.
func mappingActiveRace(t *testing.T, s enlace.Store) {
	const rule = "of those who activate at once one wins at a time, and the others get ErrConflict"
	const racers = 8
	var group sync.WaitGroup
	for i := range racers {
		v := createMapping(t, s, mappingVersion("acme", "one", "contacts", i+1))
		v.State = enlace.MappingActive
		group.Go(func() {
			if err := s.UpdateMapping(t.Context(), v); err != nil && !errors.Is(err, enlace.ErrConflict) {
				t.Errorf("%s: %v", rule, err)
			}
		})
	}
	group.Wait()
	list, _, err := s.Mappings(t.Context(), enlace.MappingQuery{Ref: ref("acme", "one")})
	noError(t, rule, err)
	active := 0
	for _, v := range list {
		if v.State == enlace.MappingActive {
			active++
		}
	}
	equal(t, rule, active, 1)
}

func mappingList(t *testing.T, s enlace.Store) {
	const rule = "Mappings lists by entity and the newest first"
	var want []string
	for _, entity := range []string{"Deals", "contacts", "contacts_x"} {
		for number := 12; number > 0; number-- {
			createMapping(t, s, mappingVersion("acme", "one", entity, number))
			want = append(want, fmt.Sprint(entity, number))
		}
	}
	createMapping(t, s, mappingVersion("acme", "two", "contacts", 99))
	createMapping(t, s, mappingVersion("other", "one", "contacts", 99))
	for _, limit := range []int{0, 1, 5, 36, 5000} {
		equal(t, rule, listMappings(t, s, enlace.MappingQuery{Ref: ref("acme", "one"), Limit: limit}), want)
		equal(t, "Mappings of one entity", listMappings(t, s, enlace.MappingQuery{Ref: ref("acme", "one"), Entity: "contacts", Limit: limit}), want[12:24])
	}
	for _, cursor := range []string{"x", "cnVuczox", "bWFwcGluZ3M6eA", "bWFwcGluZ3M6eC9h"} {
		_, _, err := s.Mappings(t.Context(), enlace.MappingQuery{Ref: ref("acme", "one"), Cursor: cursor})
		wantError(t, "a cursor of no list, or of another, is ErrInvalid", err, enlace.ErrInvalid)
	}
}

func listMappings(t *testing.T, s enlace.Store, q enlace.MappingQuery) (all []string) {
	t.Helper()
	for {
		list, next, err := s.Mappings(t.Context(), q)
		noError(t, "Mappings returns the page behind its own cursor", err)
		if q.Limit > 0 && len(list) > q.Limit {
			t.Fatalf("a page of %d mappings, the limit is %d", len(list), q.Limit)
		}
		for _, v := range list {
			all = append(all, fmt.Sprint(v.Entity, v.Number))
		}
		if q.Cursor = next; next == "" {
			return all
		}
	}
}

func mappingDelete(t *testing.T, s enlace.Store) {
	const rule = "DeleteMappings removes an integration's versions and no others"
	gone := []enlace.MappingVersion{mappingVersion("acme", "one", "contacts", 1), mappingVersion("acme", "one", "contacts", 2), mappingVersion("acme", "one", "deals", 1)}
	kept := []enlace.MappingVersion{mappingVersion("acme", "two", "contacts", 1), mappingVersion("other", "one", "contacts", 1)}
	for _, v := range append(gone, kept...) {
		createMapping(t, s, v)
	}
	noError(t, rule, s.DeleteMappings(t.Context(), ref("acme", "one")))
	noError(t, "DeleteMappings of nothing is no error", s.DeleteMappings(t.Context(), ref("acme", "one")))
	for _, v := range gone {
		_, err := s.Mapping(t.Context(), v.Key())
		wantError(t, rule, err, enlace.ErrNotFound)
	}
	for _, v := range kept {
		storedMapping(t, s, v)
	}
}

func mappingInTransaction(t *testing.T, s enlace.Store) {
	const rule = "a transaction that fails changes no mapping"
	failure := errors.New("no")
	first := mappingVersion("acme", "one", "contacts", 1)
	first.State = enlace.MappingActive
	first = createMapping(t, s, first)
	second := createMapping(t, s, mappingVersion("acme", "one", "contacts", 2))
	swap := func(fail error) error {
		return s.Transact(t.Context(), func(ctx context.Context) error {
			old, next := first, second
			old.State, next.State = enlace.MappingRetired, enlace.MappingActive
			if err := s.UpdateMapping(ctx, old); err != nil {
				return err
			}
			if err := s.UpdateMapping(ctx, next); err != nil {
				return err
			}
			return fail
		})
	}
	if err := swap(failure); !errors.Is(err, failure) {
		t.Errorf("%s: error is %v", rule, err)
	}
	equal(t, rule, []enlace.MappingVersion{storedMapping(t, s, first), storedMapping(t, s, second)}, []enlace.MappingVersion{first, second})
	noError(t, "one version takes the place of another in a transaction", swap(nil))
	active, err := s.ActiveMapping(t.Context(), first.Ref, "contacts")
	noError(t, rule, err)
	equal(t, "one version takes the place of another in a transaction", active.Number, 2)
}
