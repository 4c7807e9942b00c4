package enlace_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // zones, also where the system has none

	"github.com/enlace-go/enlace"
)

func TestScheduleTimes(t *testing.T) {
	at := func(text string) time.Time {
		t.Helper()
		return must(time.Parse(time.RFC3339, text))(t)
	}
	for _, c := range []struct{ spec, zone, after, want string }{
		{"every 5m", "", "2026-03-01T10:02:00Z", "2026-03-01T10:05:00Z"},
		{"every 5m", "", "2026-03-01T10:05:00Z", "2026-03-01T10:10:00Z"},
		{"every 1h30m", "", "2026-03-01T10:05:00Z", "2026-03-01T10:30:00Z"},
		{"30 6 * * *", "", "2026-03-01T06:30:00Z", "2026-03-02T06:30:00Z"},
		{"30 6 * * *", "America/Sao_Paulo", "2026-03-01T06:30:00Z", "2026-03-01T09:30:00Z"},
		{"0 9 * * 1-5", "America/Sao_Paulo", "2026-02-27T12:00:00Z", "2026-03-02T12:00:00Z"}, // Friday to Monday
		{"30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T06:30:00Z"},   // 2:30 is skipped on the 8th
		{"30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z"},   // twice on 1 November
		{"30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"},
		{"0 0 29 2 *", "", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"},
	} {
		got, err := enlace.Schedule{Spec: c.spec, Zone: c.zone}.NextTime(at(c.after))
		if err != nil || !got.Equal(at(c.want)) {
			t.Errorf("%q in %q after %s is %v, %v; want %s", c.spec, c.zone, c.after, got, err, c.want)
		}
	}
	for _, c := range []struct{ spec, zone string }{{"", ""}, {"every 5", ""}, {"every 30s", ""}, {"every -5m", ""}, {"* * * *", ""},
		{"* * * * * *", ""}, {"61 * * * *", ""}, {"@daily", ""}, {"0 0 30 2 *", ""}, {"* * * * *", "Mars/Olympus"}} {
		if got, err := (enlace.Schedule{Spec: c.spec, Zone: c.zone}).NextTime(time.Now()); !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%q in %q: %v, %v, want ErrInvalid", c.spec, c.zone, got, err)
		}
	}
}

// Three processes with the same store: each time starts one run.
func TestSchedulesStartEachRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShelfHost(t, newShelf(3, 10))
		h.config.Sink = h.sink
		saved := must(h.SaveSchedule(t.Context(), enlace.Schedule{Ref: h.ref, Spec: "every 10m", Jitter: time.Minute}))(t)
		if saved.Version != 1 || saved.NextAt.Before(saved.Tick) || saved.NextAt.After(saved.Tick.Add(time.Minute)) {
			t.Errorf("%+v", saved)
		}
		skipping := must(h.SaveSchedule(t.Context(), enlace.Schedule{Ref: h.ref, Spec: "every 1h", CatchUp: enlace.CatchUpSkip, Options: enlace.SyncOptions{Full: true}}))(t)
		during := func(length time.Duration) (runs []enlace.Run) {
			before, _, _ := h.Runs(t.Context(), enlace.RunQuery{Tenant: "acme", Limit: 1000})
			ctx, stop := context.WithTimeout(t.Context(), length)
			defer stop()
			ended := make(chan error)
			for range 3 {
				service := h.restart()
				go func() { ended <- service.Run(ctx) }()
			}
			for range 3 {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			all, _, err := h.Runs(t.Context(), enlace.RunQuery{Tenant: "acme", Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			return all[:len(all)-len(before)]
		}
		if runs := during(3*time.Hour + time.Minute + 20*time.Second); len(runs) != 18+3 {
			t.Errorf("%d runs in three hours, want 18 and 3", len(runs))
		} else {
			for _, r := range runs {
				if r.State != enlace.RunComplete || !r.Queued {
					t.Errorf("%+v", r)
				}
			}
		}
		// Nobody is there for a day and a half hour: one run makes up for all, none where late ones are skipped.
		time.Sleep(24*time.Hour + 33*time.Minute) // five minutes before the next time
		full := 0
		runs := during(time.Minute)
		for _, r := range runs {
			if r.Options.Full {
				full++
			}
		}
		if len(runs) != 1 || full != 0 {
			t.Errorf("%d runs, %d of them of the one that skips; want one run", len(runs), full)
		}
		if late := must(h.Schedule(t.Context(), "acme", skipping.ID))(t); late.LastSkip != "late" {
			t.Errorf("%+v", late)
		}

		saved = must(h.Schedule(t.Context(), "acme", saved.ID))(t)
		saved.Paused = true
		must(h.SaveSchedule(t.Context(), saved))(t)
		if _, err := h.SaveSchedule(t.Context(), saved); !errors.Is(err, enlace.ErrConflict) {
			t.Errorf("an old version: %v, want ErrConflict", err)
		}
		if err := h.DeleteSchedule(t.Context(), "acme", skipping.ID); err != nil {
			t.Error(err)
		}
		if runs := during(2 * time.Hour); len(runs) != 0 {
			t.Errorf("%d runs of schedules that are paused and deleted", len(runs))
		}
		if list, _, err := h.Schedules(t.Context(), enlace.ScheduleQuery{Tenant: "acme"}); err != nil || len(list) != 1 || list[0].ID != saved.ID {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// A time that comes while the run before is still on its way starts none.
func TestScheduleDoesNotOvertakeItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShelfHost(t, newShelf(20, 10))
		h.config.Sink = enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
			time.Sleep(13 * time.Minute)
			return enlace.Changes{}, nil
		})
		saved := must(h.SaveSchedule(t.Context(), enlace.Schedule{Ref: h.ref, Spec: "every 10m", Options: enlace.SyncOptions{Full: true}}))(t)
		ctx, stop := context.WithTimeout(t.Context(), 35*time.Minute)
		defer stop()
		if err := h.restart().Run(ctx); err != nil {
			t.Error(err)
		}
		runs, _, err := h.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"})
		if now := must(h.Schedule(t.Context(), "acme", saved.ID))(t); err != nil || len(runs) != 1 || now.LastSkip != "running" {
			t.Errorf("%d runs, %v, %+v; want one, and the others skipped", len(runs), err, now)
		}
	})
}
