package enlace_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

func planOf(t testing.TB, d *desk, edit ...func(*enlace.SyncOptions)) enlace.Plan {
	t.Helper()
	o := enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: d, DryRun: true}
	for _, e := range edit {
		e(&o)
	}
	result, err := d.service.Sync(t.Context(), d.ref, o)
	if err != nil || result.Plan == nil {
		t.Fatalf("%+v, %v", result, err)
	}
	// A plan survives the way through JSON: an admin page shows it and sends it back.
	text, err := json.Marshal(result.Plan)
	if err != nil {
		t.Fatal(err)
	}
	var plan enlace.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	return plan
}

func plannedDesk(t *testing.T) *desk {
	d := newDesk(t, fake.New(fake.Options{}))
	d.fill(4)
	d.mustPush(t)
	d.set("c0000", map[string]any{"email": "new@example.com"})
	d.remove("c0001")
	d.set("c0002", map[string]any{"name": "c0002"}) // as it is
	d.set("n", map[string]any{"name": "n"})
	return d
}

func TestDryRunPlansAndWritesNothing(t *testing.T) {
	d := plannedDesk(t)
	effects, before := d.provider.Effects(""), fmt.Sprint(snapshot(t, d.provider))
	runs, _, _ := d.service.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"})
	plan := planOf(t, d)
	var lines []string
	for _, item := range plan.Items {
		line := fmt.Sprintf("%s %s %s", item.Action, item.LocalID, item.Reason)
		for _, f := range item.Fields {
			line += fmt.Sprintf(" %s: %s -> %s", f.Name, f.Before, f.After)
		}
		lines = append(lines, line)
	}
	got := strings.Join(lines, "\n")
	for _, want := range []string{
		`update c0000  email: "c0000@example.com" -> "new@example.com"`,
		`delete c0001  email: "c0001@example.com" -> `,
		`skip c0002 it was sent already`,
		`create n  name:  -> "n"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the plan lacks %q:\n%s", want, got)
		}
	}
	if plan.Count(enlace.PlanSkip) != 1 || len(plan.Items) != 4 || plan.Requests != 2 {
		t.Errorf("%d items, %d requests", len(plan.Items), plan.Requests)
	}
	again, _, _ := d.service.Runs(t.Context(), enlace.RunQuery{Tenant: "acme"})
	if d.provider.Effects("") != effects || fmt.Sprint(snapshot(t, d.provider)) != before || len(d.accepted) != 4 || len(again) != len(runs) {
		t.Error("the dry run has left something behind")
	}
}

func TestApplyWritesThePlan(t *testing.T) {
	d := plannedDesk(t)
	plan := planOf(t, d)
	result, err := d.service.Apply(t.Context(), plan, enlace.SyncOptions{Source: d})
	if err != nil {
		t.Fatal(err)
	}
	checkCounts(t, *result.Entities["contacts"].Push, enlace.PushResults{Read: 4, Created: 1, Updated: 1, Deleted: 1, Unchanged: 1})
	if again := planOf(t, d); len(again.Items) != 0 {
		t.Errorf("left: %+v", again.Items)
	}
	report, err := d.service.Undo(t.Context(), "acme", result.RunID)
	if err != nil || report.Undone != 3 || len(report.NotUndone) != 0 {
		t.Errorf("undone: %+v, %v", report, err)
	}
}

func TestApplyRefusesWhatHasChangedSince(t *testing.T) {
	for name, change := range map[string]func(d *desk){
		"at the provider": func(d *desk) {
			d.provider.Put("contacts", d.rows["c0000"].remote, map[string]any{"name": "c0000", "email": "theirs"})
		},
		"gone at the provider": func(d *desk) { d.provider.Delete("contacts", d.rows["c0000"].remote) },
		"at the host":          func(d *desk) { d.set("c0000", map[string]any{"email": "newer@example.com"}) },
		"taken back":           func(d *desk) { d.rows["c0000"].dirty = false },
	} {
		t.Run(name, func(t *testing.T) {
			d := plannedDesk(t)
			plan := planOf(t, d)
			change(d)
			before := snapshot(t, d.provider)[d.rows["c0000"].remote]
			result, err := d.service.Apply(t.Context(), plan, enlace.SyncOptions{Source: d})
			if !errors.Is(err, enlace.ErrConflict) {
				t.Errorf("%+v, %v", result, err)
			}
			counts := result.Entities["contacts"].Push
			if counts.Created != 1 || counts.Deleted != 1 || counts.Updated != 0 {
				t.Errorf("%+v", counts)
			}
			if after := snapshot(t, d.provider)[d.rows["c0000"].remote]; fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("it was written: %v", after)
			}
		})
	}
}

func TestPlanCost(t *testing.T) {
	d := newDesk(t, fake.New(fake.Options{}), func(c *enlace.Config) {
		c.Registry = enlace.NewRegistry(limited{})
	})
	d.fill(400)
	plan := planOf(t, d)
	if plan.Requests != 8 || plan.Duration != 3*time.Second {
		t.Errorf("%d requests in %v", plan.Requests, plan.Duration)
	}
}

// limited is the fake adapter with two requests per second, after two at once.
type limited struct{ fake.Adapter }

func (l limited) Describe() enlace.Descriptor {
	d := l.Adapter.Describe()
	d.Limits = enlace.Limits{PerSecond: 2, Burst: 2}
	return d
}
