package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// report is what came of it.
type report struct {
	Engine        string  `json:"engine"`
	Nodes         int     `json:"nodes"`
	Seconds       float64 `json:"seconds"`
	NodeKills     int     `json:"node_kills"`
	PostgresKills int     `json:"postgres_kills"`

	Acknowledged   int64   `json:"acknowledged"` // deliveries of different events
	Duplicates     int64   `json:"duplicates"`   // sent although acknowledged
	SentAgain      int64   `json:"sent_again"`   // because nobody acknowledged
	Effects        int64   `json:"effects"`
	EffectEvents   int64   `json:"effect_events"` // different ones
	Pulls          int64   `json:"pulls"`
	PullsRestarted int64   `json:"pulls_restarted"` // runs that failed and were followed by another
	PagesRead      int     `json:"pages_read"`
	PagesAgain     int     `json:"pages_read_again"`
	Ticks          int     `json:"ticks"`
	LatestTick     float64 `json:"latest_tick_seconds"`
	DoneAfter      float64 `json:"done_seconds_after_last_kill"`

	Violations []string `json:"violations"`
}

// report compares what the host has with what it should have.
func (c *cluster) report(ctx context.Context, took time.Duration) (report, error) {
	r := report{Engine: c.options.engine, Nodes: c.options.nodes, Seconds: c.options.duration.Seconds(), NodeKills: c.nodeKills, PostgresKills: c.postgresKills,
		Acknowledged: c.acknowledged.Load(), Duplicates: c.twice.Load(), SentAgain: c.again.Load(), Pulls: c.pulled.Load(),
		PullsRestarted: c.restarted.Load(), DoneAfter: took.Seconds(), Violations: []string{}}
	for _, check := range []func(context.Context, *report) error{c.checkDone, c.checkEffects, c.checkPulls, c.checkTicks} {
		if err := check(ctx, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r *report) violated(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
}

func (c *cluster) checkDone(ctx context.Context, r *report) error {
	deliveries, runs, err := c.left(ctx)
	if deliveries+runs > 0 {
		r.violated("%d deliveries and %d runs are not done", deliveries, runs)
	}
	if r.DoneAfter > doneWithin.Seconds() {
		r.violated("all was done %.0f s after the last kill, which is more than %v", r.DoneAfter, doneWithin)
	}
	if r.Acknowledged != c.sent.Load() {
		r.violated("%d of %d deliveries are not acknowledged", c.sent.Load()-r.Acknowledged, c.sent.Load())
	}
	if started := c.started.Load(); r.Pulls != started {
		r.violated("%d of %d pulls are not done", started-r.Pulls, started)
	}
	return err
}

// checkEffects knows of each number from 1 on that it was acknowledged.
func (c *cluster) checkEffects(ctx context.Context, r *report) (err error) {
	if r.Effects, r.EffectEvents, err = c.effects(ctx); err != nil {
		return err
	}
	if lost := r.Acknowledged - r.EffectEvents; lost != 0 {
		r.violated("%d acknowledged deliveries have no effect", lost)
	}
	if twice := r.Effects - r.EffectEvents; twice != 0 {
		r.violated("%d effects are there more than once", twice)
	}
	return nil
}

func (c *cluster) checkPulls(ctx context.Context, r *report) error {
	for _, a := range c.pullers {
		again, faults := a.readAgain(c.outages)
		r.PagesRead += len(a.reads)
		r.PagesAgain += again
		r.Violations = append(r.Violations, faults...)
		n, err := c.records(ctx, a)
		if err != nil {
			return err
		}
		if want := a.pages * pageSize; n != want {
			r.violated("%d of %d records of account %s are there", n, want, a.ref.ID)
		}
	}
	return nil
}

// checkTicks relies on what a schedule of every minute does: between two of its times
// there is the beginning of a minute. Only the first one, which was put somewhere, may
// fall so near to it that its run is of the next minute already.
func (c *cluster) checkTicks(ctx context.Context, r *report) error {
	for _, a := range c.ticking {
		started, err := c.ticks(ctx, a)
		if err != nil {
			return err
		}
		if len(started) == 0 {
			r.violated("the schedule of account %s has started nothing", a.ref.ID)
		}
		slices.SortFunc(started, time.Time.Compare)
		var before time.Time
		for i, at := range started {
			due := at.Truncate(time.Minute)
			if near := i == 1 && before.Sub(due) < time.Second; before.After(due) && !near {
				r.violated("a time of the schedule of account %s has come twice, at %v", a.ref.ID, at)
			}
			before = at
			if first := c.armed[a.ref.ID]; first.After(due) {
				due = first
			}
			r.LatestTick = max(r.LatestTick, at.Sub(due).Seconds())
		}
		r.Ticks += len(started)
	}
	return nil
}

// print writes the report for people.
func (r report) print(w io.Writer) {
	fmt.Fprintf(w, `
%d nodes (engine %s) for %.0f s, %d kills of a node, %d of PostgreSQL
%10d deliveries acknowledged, %d of them sent twice, %d refused or cut off and sent again
%10d effects of %d events
%10d accounts pulled; %d pages read, %d of them once more; %d runs failed and were followed by another
%10d runs started by schedules, the latest %.1f s after its time
all done %.1f s after the last kill
`, r.Nodes, r.Engine, r.Seconds, r.NodeKills, r.PostgresKills, r.Acknowledged, r.Duplicates, r.SentAgain, r.Effects, r.EffectEvents,
		r.Pulls, r.PagesRead, r.PagesAgain, r.PullsRestarted, r.Ticks, r.LatestTick, r.DoneAfter)
	for _, v := range r.Violations {
		fmt.Fprintln(w, "VIOLATED:", v)
	}
	if len(r.Violations) == 0 {
		fmt.Fprintln(w, "nothing lost, nothing done twice")
	}
}
