package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var integrationChecks = []check{
	{"RoundTrip", integrationRoundTrip},
	{"OwnMemory", integrationOwnMemory},
	{"Create", integrationCreate},
	{"Update", integrationUpdate},
	{"Delete", integrationDelete},
	{"OneWriterPerVersion", integrationRace},
	{"ListOrder", integrationListOrder},
	{"ListLimits", integrationListLimits},
	{"ListWhileChanging", integrationListWhileChanging},
	{"BadCursor", integrationBadCursor},
}

func integrationRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "an integration comes back as it was stored"
	in := integration("acme", "one")
	noError(t, rule, s.CreateIntegration(t.Context(), in))
	got, err := s.Integration(t.Context(), in.Ref)
	noError(t, rule, err)
	equal(t, rule, got, in)
	isUTC(t, got.CreatedAt, got.UpdatedAt)

	bare := enlace.Integration{Ref: ref("acme", "two"), Version: 1}
	noError(t, rule, s.CreateIntegration(t.Context(), bare))
	got, err = s.Integration(t.Context(), bare.Ref)
	noError(t, rule, err)
	equal(t, "the zero value of every field comes back", got, bare)

	local := integration("acme", "three")
	local.CreatedAt = base.In(time.FixedZone("BRT", -3*60*60))
	noError(t, rule, s.CreateIntegration(t.Context(), local))
	got, err = s.Integration(t.Context(), local.Ref)
	noError(t, rule, err)
	equal(t, "a time in another zone comes back as the same instant", got.CreatedAt, base)
	isUTC(t, got.CreatedAt)
}

func integrationOwnMemory(t *testing.T, s enlace.Store) {
	const rule = "what is stored changes only by a call"
	in := integration("acme", "one")
	noError(t, rule, s.CreateIntegration(t.Context(), in))
	want := integration("acme", "one")
	in.Settings["apiUrl"], in.Features[0] = "changed", "changed"
	got, err := s.Integration(t.Context(), in.Ref)
	noError(t, rule, err)
	equal(t, rule, got, want)
	got.Settings["apiUrl"], got.Features[0] = "changed", "changed"
	list, _, err := s.Integrations(t.Context(), enlace.IntegrationQuery{Tenant: "acme"})
	noError(t, rule, err)
	equal(t, rule, list, []enlace.Integration{want})
}

func integrationCreate(t *testing.T, s enlace.Store) {
	in := integration("acme", "one")
	in.Version = 41
	noError(t, "CreateIntegration stores a new row", s.CreateIntegration(t.Context(), in))
	got, err := s.Integration(t.Context(), in.Ref)
	noError(t, "CreateIntegration stores a new row", err)
	equal(t, "CreateIntegration stores version 1, whatever it is given", got.Version, int64(1))

	again := integration("acme", "one")
	again.Name = "another"
	wantError(t, "CreateIntegration of an id that exists is ErrConflict", s.CreateIntegration(t.Context(), again), enlace.ErrConflict)
	after, err := s.Integration(t.Context(), in.Ref)
	noError(t, "a refused CreateIntegration changes nothing", err)
	equal(t, "a refused CreateIntegration changes nothing", after, got)

	_, err = s.Integration(t.Context(), ref("acme", "none"))
	wantError(t, "Integration of what does not exist is ErrNotFound", err, enlace.ErrNotFound)
}

func integrationUpdate(t *testing.T, s enlace.Store) {
	in := integration("acme", "one")
	wantError(t, "UpdateIntegration of what does not exist is ErrNotFound", s.UpdateIntegration(t.Context(), in), enlace.ErrNotFound)
	noError(t, "CreateIntegration stores a new row", s.CreateIntegration(t.Context(), in))

	next := enlace.Integration{Ref: in.Ref, Provider: "other", Name: "renamed", Settings: map[string]string{"k": "v"},
		Version: 1, CreatedAt: base.Add(time.Hour), UpdatedAt: base.Add(2 * time.Hour), Status: enlace.StatusConnected}
	noError(t, "UpdateIntegration replaces the row", s.UpdateIntegration(t.Context(), next))
	got, err := s.Integration(t.Context(), in.Ref)
	noError(t, "UpdateIntegration replaces the row", err)
	want := next
	want.Version = 2
	equal(t, "UpdateIntegration replaces every field and stores Version+1", got, want)

	for _, version := range []int64{0, 1, 3} {
		in.Version = version
		wantError(t, fmt.Sprintf("UpdateIntegration with version %d of a row with version 2 is ErrConflict", version),
			s.UpdateIntegration(t.Context(), in), enlace.ErrConflict)
	}
	got, err = s.Integration(t.Context(), in.Ref)
	noError(t, "a refused UpdateIntegration changes nothing", err)
	equal(t, "a refused UpdateIntegration changes nothing", got, want)
}

func integrationDelete(t *testing.T, s enlace.Store) {
	in := integration("acme", "one")
	wantError(t, "DeleteIntegration of what does not exist is ErrNotFound",
		s.DeleteIntegration(t.Context(), in.Ref, 1), enlace.ErrNotFound)
	noError(t, "CreateIntegration stores a new row", s.CreateIntegration(t.Context(), in))
	noError(t, "UpdateIntegration replaces the row", s.UpdateIntegration(t.Context(), in))
	wantError(t, "DeleteIntegration with an old version is ErrConflict",
		s.DeleteIntegration(t.Context(), in.Ref, 1), enlace.ErrConflict)
	_, err := s.Integration(t.Context(), in.Ref)
	noError(t, "a refused DeleteIntegration changes nothing", err)
	noError(t, "DeleteIntegration removes the row", s.DeleteIntegration(t.Context(), in.Ref, 2))
	_, err = s.Integration(t.Context(), in.Ref)
	wantError(t, "DeleteIntegration removes the row", err, enlace.ErrNotFound)
	list, _, err := s.Integrations(t.Context(), enlace.IntegrationQuery{Tenant: "acme"})
	noError(t, "DeleteIntegration removes the row", err)
	equal(t, "a deleted integration is in no list", list, []enlace.Integration(nil))
	noError(t, "an id can be created again", s.CreateIntegration(t.Context(), in))
}

func integrationRace(t *testing.T, s enlace.Store) {
	const rule = "exactly one of many writers gets a version"
	in := integration("acme", "one")
	var created atomic.Int64
	together(writers, func(int) {
		switch err := s.CreateIntegration(t.Context(), in); {
		case err == nil:
			created.Add(1)
		case !errors.Is(err, enlace.ErrConflict):
			t.Errorf("%s: the others get ErrConflict, not %v", rule, err)
		}
	})
	equal(t, "exactly one of many CreateIntegration succeeds", created.Load(), int64(1))

	const rounds = 5
	var versions once
	for range rounds {
		current, err := s.Integration(t.Context(), in.Ref)
		noError(t, rule, err)
		together(writers, func(int) {
			switch err := s.UpdateIntegration(t.Context(), current); {
			case err == nil:
				versions.win(current.Version + 1)
			case !errors.Is(err, enlace.ErrConflict):
				t.Errorf("%s: the others get ErrConflict, not %v", rule, err)
			}
		})
	}
	versions.check(t, rule, 2, rounds+1)
}

// listIntegrations reads all pages and returns the ids.
func listIntegrations(t *testing.T, s enlace.Store, q enlace.IntegrationQuery) []string {
	t.Helper()
	var ids []string
	for {
		page, next, err := s.Integrations(t.Context(), q)
		noError(t, "Integrations returns the page behind its own cursor", err)
		for _, in := range page {
			ids = append(ids, in.ID)
		}
		if next == "" {
			return ids
		}
		if len(page) == 0 || next == q.Cursor {
			t.Fatal("a cursor leads on to further rows: it came with none, or leads to itself")
		}
		q.Cursor = next
	}
}

func integrationListOrder(t *testing.T, s enlace.Store) {
	// In the order of their bytes.
	ids := []string{"10", "9", "A", "B", "a", "a b", "b", "Ä", "ä", "売"}
	for i := range ids {
		in := integration("acme", ids[(i*7)%len(ids)])
		if in.ID < "a" {
			in.Provider = "upper"
		}
		noError(t, "ids may hold any characters", s.CreateIntegration(t.Context(), in))
	}
	for limit := range len(ids) + 2 {
		q := enlace.IntegrationQuery{Tenant: "acme", Limit: limit}
		equal(t, fmt.Sprintf("pages of %d together give every row once, in the order of the ids' bytes", limit), listIntegrations(t, s, q), ids)
		q.Provider = "upper"
		equal(t, fmt.Sprintf("pages of %d of one provider give its rows only", limit), listIntegrations(t, s, q), ids[:4])
	}
	equal(t, "a provider without integrations has an empty list",
		listIntegrations(t, s, enlace.IntegrationQuery{Tenant: "acme", Provider: "none"}), []string(nil))
}

// longList is more than one page of the greatest size.
const longList = 1003

func integrationListLimits(t *testing.T, s enlace.Store) {
	together(writers, func(w int) {
		for i := w; i < longList; i += writers {
			if err := s.CreateIntegration(t.Context(), enlace.Integration{Ref: ref("acme", fmt.Sprintf("%05d", i))}); err != nil {
				t.Errorf("many may write at the same time: %v", err)
			}
		}
	})
	for _, size := range []struct{ limit, want int }{{0, 100}, {1, 1}, {999, 999}, {1000, 1000}, {1001, 1000}, {1 << 30, 1000}} {
		page, next, err := s.Integrations(t.Context(), enlace.IntegrationQuery{Tenant: "acme", Limit: size.limit})
		noError(t, "Integrations returns a page", err)
		if len(page) != size.want || next == "" {
			t.Errorf("a limit of %d gives %d rows and a cursor: got %d, cursor %q", size.limit, size.want, len(page), next)
		}
	}
	equal(t, "the pages together hold every row", len(listIntegrations(t, s, enlace.IntegrationQuery{Tenant: "acme", Limit: 1000})), longList)
}

func integrationListWhileChanging(t *testing.T, s enlace.Store) {
	const rule = "rows that are there all the time are listed exactly once, while others come and go"
	var stay []string
	for i := range 40 {
		id := fmt.Sprintf("%03d", i*2)
		stay = append(stay, id)
		noError(t, rule, s.CreateIntegration(t.Context(), integration("acme", id)))
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			in := enlace.Integration{Ref: ref("acme", fmt.Sprintf("%03d", (i*14+1)%80))}
			if err := s.CreateIntegration(t.Context(), in); err != nil {
				t.Errorf("%s: %v", rule, err)
			}
			if err := s.DeleteIntegration(t.Context(), in.Ref, 1); err != nil {
				t.Errorf("%s: %v", rule, err)
			}
		}
	})
	defer group.Wait()
	defer close(stop)
	for range 5 {
		var seen []string
		for _, id := range listIntegrations(t, s, enlace.IntegrationQuery{Tenant: "acme", Limit: 3}) {
			if (id[2]-'0')%2 == 0 {
				seen = append(seen, id)
			}
		}
		equal(t, rule, seen, stay)
	}
}

// badCursors never came from a store.
var badCursors = []string{"x", "!", "0", "-1", "cursor", "Og", "OjE", "AAAA", "null", "' OR 1=1 --", "\x00", "ééé"}

func integrationBadCursor(t *testing.T, s enlace.Store) {
	noError(t, "SaveRun inserts", s.SaveRun(t.Context(), run("acme", "r1", "one", base)))
	noError(t, "SaveRun inserts", s.SaveRun(t.Context(), run("acme", "r2", "one", base)))
	_, other, err := s.Runs(t.Context(), enlace.RunQuery{Tenant: "acme", Limit: 1})
	noError(t, "Runs returns a page", err)
	for _, cursor := range append(badCursors, other) {
		_, _, err := s.Integrations(t.Context(), enlace.IntegrationQuery{Tenant: "acme", Cursor: cursor})
		wantError(t, fmt.Sprintf("a cursor that Integrations did not give (%q) is ErrInvalid", cursor), err, enlace.ErrInvalid)
	}
}
