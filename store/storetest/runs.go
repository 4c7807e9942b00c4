package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var runChecks = []check{
	{"RoundTrip", runRoundTrip},
	{"Upsert", runUpsert},
	{"ListOrder", runListOrder},
	{"ListLimits", runListLimits},
	{"Prune", runPrune},
	{"ListWhileChanging", runListWhileChanging},
	{"BadCursor", runBadCursor},
	{"Requests", runRequests},
	{"Queued", runQueued},
}

func runRoundTrip(t *testing.T, s enlace.Store) {
	const rule = "a run comes back as it was saved"
	want := run("acme", "r1", "one", base)
	noError(t, rule, s.SaveRun(t.Context(), want))
	got, err := s.Run(t.Context(), "acme", "r1")
	noError(t, rule, err)
	equal(t, rule, got, want)
	isUTC(t, got.StartedAt, got.UpdatedAt, got.FinishedAt)
	got.Results["contatos"], got.Entities[0] = enlace.EntityResult{}, "changed"
	again, err := s.Run(t.Context(), "acme", "r1")
	noError(t, rule, err)
	equal(t, "what is stored changes only by a call", again, want)

	bare := enlace.Run{ID: "r2", Ref: ref("acme", "one")}
	noError(t, rule, s.SaveRun(t.Context(), bare))
	got, err = s.Run(t.Context(), "acme", "r2")
	noError(t, rule, err)
	equal(t, "the zero value of every field comes back", got, bare)
	if !got.FinishedAt.IsZero() {
		t.Error("a run that has not finished has a zero FinishedAt")
	}

	held := run("acme", "r3", "one", base)
	held.Results["contatos"] = enlace.EntityResult{Read: 1, Checkpoint: enlace.Checkpoint{Mark: "x", Version: 3}}
	noError(t, rule, s.SaveRun(t.Context(), held))
	got, err = s.Run(t.Context(), "acme", "r3")
	noError(t, rule, err)
	equal(t, "results are kept without their checkpoints", got.Results, map[string]enlace.EntityResult{"contatos": {Read: 1}})

	_, err = s.Run(t.Context(), "acme", "none")
	wantError(t, "Run of what does not exist is ErrNotFound", err, enlace.ErrNotFound)
}

func runRequests(t *testing.T, s enlace.Store) {
	wantError(t, "RequestRun of what does not exist is ErrNotFound", s.RequestRun(t.Context(), "acme", "r1", enlace.RequestPause), enlace.ErrNotFound)
	noError(t, "SaveRun inserts", s.SaveRun(t.Context(), run("acme", "r1", "one", base)))
	noError(t, "SaveRun inserts", s.SaveRun(t.Context(), run("Acme", "r1", "one", base)))
	noError(t, "RequestRun", s.RequestRun(t.Context(), "acme", "r1", enlace.RequestPause))
	changed := run("acme", "r1", "one", base)
	changed.State = enlace.RunRunning
	noError(t, "SaveRun replaces", s.SaveRun(t.Context(), changed))
	for _, want := range []struct {
		tenant, id string
		request    enlace.RunRequest
	}{{"acme", "r1", enlace.RequestPause}, {"Acme", "r1", enlace.RequestNone}, {"acme", "none", enlace.RequestNone}} {
		got, err := s.RunRequest(t.Context(), want.tenant, want.id)
		noError(t, "RunRequest", err)
		equal(t, "SaveRun leaves the request of a run alone", got, want.request)
	}
	got, err := s.Run(t.Context(), "acme", "r1")
	noError(t, "Run", err)
	equal(t, "a run comes back with its request", got.Request, enlace.RequestPause)
}

func runQueued(t *testing.T, s enlace.Store) {
	for i, state := range []enlace.RunState{enlace.RunWaiting, enlace.RunRunning, enlace.RunPaused, enlace.RunFailed} {
		for _, tenant := range []string{"b", "a"} {
			r := run(tenant, fmt.Sprintf("%s%d", tenant, i), "one", base)
			r.State = state
			noError(t, "SaveRun inserts", s.SaveRun(t.Context(), r))
			r.ID, r.Queued = r.ID+"x", false
			noError(t, "SaveRun inserts", s.SaveRun(t.Context(), r))
		}
	}
	var want []enlace.QueuedRun
	for _, id := range []string{"a0", "a1", "b0", "b1"} {
		want = append(want, enlace.QueuedRun{Ref: ref(id[:1], "one"), RunID: id})
	}
	for _, limit := range []int{3, 10} {
		got, err := s.QueuedRuns(t.Context(), limit)
		noError(t, "QueuedRuns", err)
		equal(t, "QueuedRuns lists the queued runs of all tenants that wait or run", got, want[:min(limit, len(want))])
	}
	next, err := s.NextQueuedRun(t.Context(), ref("b", "one"))
	noError(t, "NextQueuedRun", err)
	equal(t, "NextQueuedRun returns the first of an integration", next, want[2])
	_, err = s.NextQueuedRun(t.Context(), ref("b", "two"))
	wantError(t, "NextQueuedRun of an integration without any", err, enlace.ErrNotFound)
}

func runUpsert(t *testing.T, s enlace.Store) {
	const rule = "SaveRun replaces the run of the same tenant and id"
	noError(t, rule, s.SaveRun(t.Context(), run("acme", "r1", "one", base)))
	want := enlace.Run{ID: "r1", Ref: ref("acme", "two"), State: enlace.RunComplete, StartedAt: base.Add(time.Second)}
	noError(t, rule, s.SaveRun(t.Context(), want))
	got, err := s.Run(t.Context(), "acme", "r1")
	noError(t, rule, err)
	equal(t, rule, got, want)
	list, _, err := s.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"})
	noError(t, rule, err)
	equal(t, rule, list, []enlace.Run{want})
	list, _, err = s.Runs(t.Context(), enlace.RunQuery{Tenant: "acme", Integration: "one"})
	noError(t, rule, err)
	equal(t, rule, list, []enlace.Run(nil))
}

// listRuns reads all pages and returns the ids.
func listRuns(t *testing.T, s enlace.Store, q enlace.RunQuery) []string {
	t.Helper()
	var ids []string
	for {
		page, next, err := s.Runs(t.Context(), q)
		noError(t, "Runs returns the page behind its own cursor", err)
		for _, r := range page {
			ids = append(ids, r.ID)
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

func runListOrder(t *testing.T, s enlace.Store) {
	// "b" and "B" began at the same time; one before 1970 is the oldest.
	began := []struct {
		id string
		at time.Time
	}{{"e", base.Add(time.Microsecond)}, {"b", base}, {"B", base}, {"9", base.Add(-time.Microsecond)},
		{"c", base.Add(-time.Hour)}, {"a:1", time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC)}}
	var all, ofOne []string
	for i := range began {
		r := began[(i*5)%len(began)]
		integration := "one"
		if r.id == "b" || r.id == "c" {
			integration = "One"
		}
		noError(t, "SaveRun inserts", s.SaveRun(t.Context(), run("acme", r.id, integration, r.at)))
	}
	for _, r := range began {
		all = append(all, r.id)
		if r.id != "b" && r.id != "c" {
			ofOne = append(ofOne, r.id)
		}
	}
	for limit := range len(began) + 2 {
		q := enlace.RunQuery{Tenant: "acme", Limit: limit}
		equal(t, fmt.Sprintf("pages of %d together give every run once, newest first, then by id downwards", limit), listRuns(t, s, q), all)
		q.Integration = "one"
		equal(t, fmt.Sprintf("pages of %d of one integration give its runs only", limit), listRuns(t, s, q), ofOne)
	}
	equal(t, "an integration without runs has an empty list",
		listRuns(t, s, enlace.RunQuery{Tenant: "acme", Integration: "none"}), []string(nil))
}

func runListLimits(t *testing.T, s enlace.Store) {
	together(writers, func(w int) {
		for i := w; i < longList; i += writers {
			if err := s.SaveRun(t.Context(), enlace.Run{ID: fmt.Sprintf("%05d", i), Ref: ref("acme", "one"), StartedAt: base}); err != nil {
				t.Errorf("many may write at the same time: %v", err)
			}
		}
	})
	for _, size := range []struct{ limit, want int }{{0, 100}, {1, 1}, {1000, 1000}, {1001, 1000}, {1 << 30, 1000}} {
		page, next, err := s.Runs(t.Context(), enlace.RunQuery{Tenant: "acme", Limit: size.limit})
		noError(t, "Runs returns a page", err)
		if len(page) != size.want || next == "" {
			t.Errorf("a limit of %d gives %d rows and a cursor: got %d, cursor %q", size.limit, size.want, len(page), next)
		}
	}
	equal(t, "the pages together hold every row", len(listRuns(t, s, enlace.RunQuery{Tenant: "acme", Limit: 1000})), longList)
}

func runPrune(t *testing.T, s enlace.Store) {
	for i, state := range []enlace.RunState{enlace.RunComplete, enlace.RunFailed, enlace.RunCanceled, enlace.RunPartial, enlace.RunWaiting, enlace.RunRunning, enlace.RunPaused} {
		for _, age := range []time.Duration{time.Minute, time.Hour} {
			r := run("acme", fmt.Sprintf("%d-%v", i, age), "one", base)
			if r.State, r.FinishedAt = state, base.Add(-age); state == enlace.RunWaiting || state == enlace.RunRunning {
				r.FinishedAt = time.Time{}
			}
			noError(t, "SaveRun", s.SaveRun(t.Context(), r))
		}
	}
	n, err := s.PruneRuns(t.Context(), base.Add(-time.Minute), 3)
	noError(t, "PruneRuns", err)
	equal(t, "PruneRuns keeps to limit", n, 3)
	n, err = s.PruneRuns(t.Context(), base.Add(-time.Minute), 100)
	noError(t, "PruneRuns", err)
	equal(t, "PruneRuns removes what has ended before", n, 1)
	equal(t, "PruneRuns leaves what has ended later, and what has not ended", len(listRuns(t, s, enlace.RunQuery{Tenant: "acme"})), 10)
}

func runListWhileChanging(t *testing.T, s enlace.Store) {
	const rule = "runs that are there all the time are listed exactly once, while others come"
	var stay []string
	for i := range 30 {
		id := fmt.Sprintf("old%02d", i)
		stay = append(stay, id)
		noError(t, rule, s.SaveRun(t.Context(), run("acme", id, "one", base.Add(-time.Duration(i)*time.Second))))
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
			at := base.Add(time.Duration(i%41-30) * time.Second).Add(time.Millisecond)
			if err := s.SaveRun(t.Context(), run("acme", fmt.Sprintf("new%03d", i%200), "one", at)); err != nil {
				t.Errorf("%s: %v", rule, err)
			}
		}
	})
	defer group.Wait()
	defer close(stop)
	for range 5 {
		var seen []string
		for _, id := range listRuns(t, s, enlace.RunQuery{Tenant: "acme", Limit: 3}) {
			if id[:3] == "old" {
				seen = append(seen, id)
			}
		}
		equal(t, rule, seen, stay)
	}
}

func runBadCursor(t *testing.T, s enlace.Store) {
	for _, id := range []string{"one", "two"} {
		noError(t, "CreateIntegration stores a new row", s.CreateIntegration(t.Context(), integration("acme", id)))
	}
	_, other, err := s.Integrations(t.Context(), enlace.IntegrationQuery{Tenant: "acme", Limit: 1})
	noError(t, "Integrations returns a page", err)
	for _, cursor := range append(badCursors, other) {
		_, _, err := s.Runs(t.Context(), enlace.RunQuery{Tenant: "acme", Cursor: cursor})
		wantError(t, fmt.Sprintf("a cursor that Runs did not give (%q) is ErrInvalid", cursor), err, enlace.ErrInvalid)
	}
}
