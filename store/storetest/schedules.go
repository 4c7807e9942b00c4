package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var scheduleChecks = []check{
	{"RoundTrip", scheduleRoundTrip},
	{"Lists", scheduleLists},
	{"Delete", scheduleDelete},
}

// schedule has every field filled in.
func schedule(tenant, id, integration string, next time.Time) enlace.Schedule {
	return enlace.Schedule{ID: id, Ref: ref(tenant, integration), Spec: "30 6 * * 1-5", Zone: "America/Sao_Paulo", Jitter: 90 * time.Second,
		CatchUp: enlace.CatchUpSkip, Options: enlace.SyncOptions{Entities: []string{"négocios"}, Full: true, Limit: 7},
		NextAt: next, Tick: next.Add(-time.Second), LastRun: "r1", LastAt: base, LastSkip: "running"}
}

func scheduleRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "a schedule comes back as it was saved"
	want := schedule("acme", "s1", "one", base)
	noError(t, rule, s.SaveSchedule(t.Context(), want))
	got, err := s.Schedule(t.Context(), "acme", "s1")
	noError(t, rule, err)
	setByStore(t, "SaveSchedule sets UpdatedAt by the store's clock", got.UpdatedAt)
	got.UpdatedAt, want.Version = time.Time{}, 1
	equal(t, rule, got, want)
	for _, stale := range []int64{0, 2} {
		want.Version = stale
		wantError(t, "another version than the stored one is ErrConflict", s.SaveSchedule(t.Context(), want), enlace.ErrConflict)
	}
	changed := enlace.Schedule{ID: "s1", Ref: ref("acme", "two"), Spec: "every 5m", Paused: true, Version: 1, NextAt: base}
	noError(t, "the stored version is replaced", s.SaveSchedule(t.Context(), changed))
	got, err = s.Schedule(t.Context(), "acme", "s1")
	noError(t, rule, err)
	got.UpdatedAt, changed.Version = time.Time{}, 2
	equal(t, rule, got, changed)
	_, err = s.Schedule(t.Context(), "Acme", "s1")
	wantError(t, "what exists for another tenant is ErrNotFound", err, enlace.ErrNotFound)
}

func scheduleLists(t *testing.T, s enlace.Store) {
	var all, ofOne []string
	for i := range 9 {
		x := schedule("acme", fmt.Sprintf("s%d", i), []string{"one", "two"}[i%2], base.Add(time.Duration(8-i)*time.Hour))
		x.Paused = i == 8
		noError(t, "SaveSchedule", s.SaveSchedule(t.Context(), x))
		if all = append(all, x.ID); i%2 == 0 {
			ofOne = append(ofOne, x.ID)
		}
	}
	noError(t, "SaveSchedule", s.SaveSchedule(t.Context(), schedule("other", "x", "one", base)))
	list := func(q enlace.ScheduleQuery) (ids []string) {
		for {
			page, next, err := s.Schedules(t.Context(), q)
			noError(t, "Schedules returns a page", err)
			for _, x := range page {
				ids = append(ids, x.ID)
			}
			if next == "" {
				return ids
			}
			q.Cursor = next
		}
	}
	for _, limit := range []int{0, 1, 4} {
		equal(t, "the pages together give every schedule once, in order of ids", list(enlace.ScheduleQuery{Tenant: "acme", Limit: limit}), all)
		equal(t, "Integration selects", list(enlace.ScheduleQuery{Tenant: "acme", Integration: "one", Limit: limit}), ofOne)
	}
	for _, c := range []struct {
		after time.Duration
		limit int
		want  []string
	}{{-time.Second, 10, nil}, {0, 10, []string{"x"}}, {2 * time.Hour, 10, []string{"x", "s7", "s6"}}, {9 * time.Hour, 3, []string{"x", "s7", "s6"}}} {
		due, err := s.DueSchedules(t.Context(), base.Add(c.after), c.limit)
		noError(t, "DueSchedules", err)
		var ids []string
		for _, x := range due {
			ids = append(ids, x.ID)
		}
		equal(t, "DueSchedules gives those of all tenants whose time has come and that are not paused, the earliest first", ids, c.want)
	}
	for _, cursor := range badCursors {
		_, _, err := s.Schedules(t.Context(), enlace.ScheduleQuery{Tenant: "acme", Cursor: cursor})
		wantError(t, "a cursor that Schedules did not give is ErrInvalid", err, enlace.ErrInvalid)
	}
}

func scheduleDelete(t *testing.T, s enlace.Store) {
	for _, id := range []string{"a", "b", "c"} {
		noError(t, "SaveSchedule", s.SaveSchedule(t.Context(), schedule("acme", id, map[bool]string{true: "one", false: "two"}[id != "c"], base)))
	}
	noError(t, "DeleteSchedule", s.DeleteSchedule(t.Context(), "acme", "a"))
	noError(t, "DeleteSchedule of what does not exist is no error", s.DeleteSchedule(t.Context(), "acme", "a"))
	noError(t, "DeleteSchedules", s.DeleteSchedules(t.Context(), ref("acme", "one")))
	left, _, err := s.Schedules(t.Context(), enlace.ScheduleQuery{Tenant: "acme"})
	noError(t, "Schedules", err)
	equal(t, "the others stay", len(left) == 1 && slices.ContainsFunc(left, func(x enlace.Schedule) bool { return x.ID == "c" }), true)
}
