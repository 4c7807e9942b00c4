package admin

import (
	"fmt"
	"strconv"
	"time"
)

// compareGroup is a part of the comparison of two tests; its name is in the catalog as
// "compare.<key>".
type compareGroup struct {
	Key  string
	Rows []compareRow
}

// compareRow is one thing in both tests.
type compareRow struct {
	Name        string // as people read it
	This, Other compareCell
	Change      string // from the other to this, in words; empty for none worth telling
	Differs     bool   // the outcome is another one, and not only the time
}

type compareCell struct {
	Group, State string // of a badge
	Text         string
	Elapsed      time.Duration
	Count        int // of records; 0 for what is no number
	Absent       bool
}

// compareTests sets two tests of a kind side by side: how they came out, their steps,
// where the time went, each request, and what was read.
func compareTests(t translator, this, other testView) []compareGroup {
	groups := []compareGroup{
		{"result", []compareRow{compareCells(t, t.text("compare.outcome"), this.compareOutcome(t), other.compareOutcome(t))}},
		{"steps", align(t, stepCells(t, this), stepCells(t, other))},
		{"time", align(t, phaseCells(t, this), phaseCells(t, other))},
		{"requests", align(t, requestCells(this), requestCells(other))},
		{"records", align(t, recordCells(t, this), recordCells(t, other))},
	}
	var filled []compareGroup
	for _, g := range groups {
		if len(g.Rows) > 0 {
			filled = append(filled, g)
		}
	}
	return filled
}

func (v testView) compareOutcome(t translator) compareCell {
	cell := compareCell{Group: "test", State: v.State, Elapsed: v.Elapsed}
	if v.Failure != "" {
		cell.Text = t.optional("kind."+v.Failure, v.Failure)
	} else if v.Verdict != "" {
		cell.Text = t.text(v.Verdict)
	}
	return cell
}

// named is a cell with the name of its row.
type named struct {
	name string
	cell compareCell
}

func stepCells(t translator, v testView) []named {
	var cells []named
	for _, s := range v.Steps {
		cell := compareCell{Group: "step", State: s.State, Elapsed: s.Elapsed, Text: t.optional("reason."+s.Reason, t.stepDetail(s.Detail))}
		if s.Kind != "" {
			cell.Text = t.optional("kind."+s.Kind, s.Kind)
		}
		cells = append(cells, named{t.optional("step."+s.Name, s.Name), cell})
	}
	return cells
}

// phaseCells add up over all requests where their time went.
func phaseCells(t translator, v testView) []named {
	if len(v.Requests) == 0 {
		return nil
	}
	sums := make([]time.Duration, len(phases))
	for _, r := range v.Requests {
		for i, d := range r.phases() {
			sums[i] += d
		}
	}
	var cells []named
	for i, sum := range sums {
		cells = append(cells, named{t.text("phase." + phases[i]), compareCell{Elapsed: sum}})
	}
	return cells
}

// requestCells are the requests in their order; the second of a name is "name 2".
func requestCells(v testView) []named {
	var cells []named
	times := map[string]int{}
	for _, r := range v.Requests {
		name := r.Method + " " + r.Op
		if times[name]++; times[name] > 1 {
			name += " " + strconv.Itoa(times[name])
		}
		cell := compareCell{Elapsed: r.Total, Text: "–"}
		if r.Status != 0 {
			cell.Text = strconv.Itoa(r.Status)
		}
		cells = append(cells, named{name, cell})
	}
	return cells
}

// align puts cells of the same name into one row, in this test's order; what only the
// other has comes last.
func align(t translator, this, other []named) []compareRow {
	theirs := map[string]compareCell{}
	for _, o := range other {
		theirs[o.name] = o.cell
	}
	var rows []compareRow
	for _, n := range this {
		cell, there := theirs[n.name]
		cell.Absent = !there
		delete(theirs, n.name)
		rows = append(rows, compareCells(t, n.name, n.cell, cell))
	}
	for _, o := range other {
		if _, left := theirs[o.name]; left {
			rows = append(rows, compareCells(t, o.name, compareCell{Absent: true}, o.cell))
		}
	}
	return rows
}

func compareCells(t translator, name string, this, other compareCell) compareRow {
	row := compareRow{Name: name, This: this, Other: other, Differs: this.Absent != other.Absent || this.State != other.State || this.Text != other.Text}
	if !this.Absent && !other.Absent {
		row.Change = signed(t, this.Elapsed-other.Elapsed)
		if n := this.Count - other.Count; n != 0 {
			row.Change = fmt.Sprintf("%+d", n)
		}
	}
	return row
}

// signed is a difference of times that is worth telling; empty for less than a millisecond.
func signed(t translator, d time.Duration) string {
	switch {
	case d >= time.Millisecond:
		return "+" + t.duration(d)
	case d <= -time.Millisecond:
		return "−" + t.duration(-d)
	default:
		return ""
	}
}

// recordCells are the numbers of what was read that are not 0.
func recordCells(t translator, v testView) []named {
	var cells []named
	add := func(name string, n int) {
		if n > 0 {
			cells = append(cells, named{name, compareCell{Text: t.number(n), Count: n}})
		}
	}
	for _, e := range v.Entities {
		add(e.Name+" · "+t.text("run.read"), e.Read)
		add(e.Name+" · "+t.text("run.created"), e.Created)
		add(e.Name+" · "+t.text("run.updated"), e.Updated)
		add(e.Name+" · "+t.text("run.deleted"), e.Deleted)
		add(e.Name+" · "+t.text("run.unchanged"), e.Unchanged)
		add(e.Name+" · "+t.text("run.requests"), e.Requests)
	}
	if v.Preview != nil {
		for _, c := range v.Preview.Counts() {
			add(t.text("state.preview."+c.Action), c.Count)
		}
	}
	return cells
}
