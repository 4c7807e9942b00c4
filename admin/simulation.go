package admin

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

const (
	shownPreviews = 20 // records of each verdict that a simulation shows
	shownFields   = 30 // of each of them
	keptPreviews  = 20 // simulations whose records are remembered; they are the provider's data
)

// previewActions are the verdicts of a simulation, in the order in which they are counted.
var previewActions = []enlace.PlanAction{enlace.PlanCreate, enlace.PlanUpdate, enlace.PlanDelete, enlace.PlanUnchanged, enlace.PlanSkip, enlace.PlanConflict, enlace.PlanRefused}

// preview is what a simulation has found, record by record.
type preview struct {
	counts  map[enlace.PlanAction]int
	records []previewRecord
	blocked int // requests that might have written
}

// previewRecord is one of them as text, for people.
type previewRecord struct {
	enlace.RecordPreview
	Shown []shownField
	More  int // fields that are not shown
}

// add counts a record and keeps it if it is among the first of its verdict.
func (p *preview) add(r enlace.RecordPreview) {
	p.counts[r.Action]++
	if p.counts[r.Action] > shownPreviews {
		return
	}
	row := previewRecord{RecordPreview: r, More: max(0, len(r.Fields)-shownFields)}
	for _, f := range r.Fields[:len(r.Fields)-row.More] {
		row.Shown = append(row.Shown, shownField{f.Name, short(jsonText(f.Before), 200), short(jsonText(f.After), 200)})
	}
	row.Fields = nil
	p.records = append(p.records, row)
}

// Counts are the verdicts that there were, with how many records had each.
func (p *preview) Counts() []planCount {
	var counts []planCount
	for _, action := range previewActions {
		if n := p.counts[action]; n > 0 {
			counts = append(counts, planCount{string(action), n})
		}
	}
	return counts
}

// Records are the first ones of each verdict, in the order in which they came.
func (p *preview) Records() []previewRecord { return p.records }

// Blocked says how many requests were not let through.
func (p *preview) Blocked() int { return p.blocked }

// More says how many records are counted only.
func (p *preview) More() int {
	n := -len(p.records)
	for _, count := range p.counts {
		n += count
	}
	return n
}

// simulate reads as a sync does and gives nothing to the sink: no checkpoint moves
// and nothing is written. That records were looked at is in the audit trail.
func (a *Admin) simulate(ctx context.Context, n *test) error {
	err := a.service.RecordAudit(ctx, enlace.AuditEntry{Tenant: n.integration.Tenant, Integration: n.integration.ID, Action: "sync.preview",
		Target: short(strings.Join(n.entities, ","), 200), Result: enlace.AuditDone})
	if err != nil {
		return err
	}
	found := &preview{counts: map[enlace.PlanAction]int{}}
	result, err := a.service.Sync(ctx, n.integration.Ref, enlace.SyncOptions{Entities: n.entities, Limit: n.limit, DryRun: true, Full: true, Preview: found.add,
		Progress: func(p enlace.Progress) {
			n.log("info", p.Entity+": page "+english1.number(p.Pages)+", "+english1.number(p.Read)+" records")
			a.tellTest(n)
		}})
	n.mu.Lock()
	for name, r := range result.Entities {
		n.entity = append(n.entity, entityRow{name, r})
		found.blocked += r.Blocked
		state := "ok"
		if r.Kind != "" {
			state = "failed"
		}
		n.steps = append(n.steps, testStep{Name: name, State: state, Kind: r.Kind, Detail: english1.number(r.Read)})
	}
	slices.SortFunc(n.entity, func(a, b entityRow) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(n.steps, func(a, b testStep) int { return strings.Compare(a.Name, b.Name) })
	n.preview = found
	n.mu.Unlock()
	a.tests.forgetRecords()
	return err
}

// forgetRecords drops the records of all but the latest simulations. Their counts stay.
func (t *tests) forgetRecords() {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := 0
	for _, n := range slices.Backward(t.order) {
		n.mu.Lock()
		if n.preview != nil && n.preview.records != nil {
			if kept++; kept > keptPreviews {
				n.preview = &preview{counts: n.preview.counts, blocked: n.preview.blocked}
			}
		}
		n.mu.Unlock()
	}
}

// previewBody is what a simulation has found, as the API tells it.
type previewBody struct {
	Counts        map[string]int     `json:"counts" doc:"Records by verdict: create, update, delete, unchanged, skip, conflict, refused"`
	BlockedWrites int                `json:"blockedWrites" doc:"Requests of the adapter that were not let through, since they might write"`
	Sample        []sampleRecordBody `json:"sample,omitempty" doc:"The first records of each verdict; only for whoever may test, and of the latest simulations"`
}

type sampleRecordBody struct {
	Entity  string               `json:"entity"`
	ID      string               `json:"id" doc:"The provider's"`
	LocalID string               `json:"localId,omitempty"`
	Action  string               `json:"action"`
	Reason  string               `json:"reason,omitempty"`
	Known   bool                 `json:"known" doc:"The values before are what was accepted last; otherwise nothing was kept of it"`
	Fields  []enlace.FieldChange `json:"fields,omitempty" doc:"As texts, cut where they are long"`
}

func previewBodyOf(p *preview, sample bool) *previewBody {
	if p == nil {
		return nil
	}
	b := &previewBody{Counts: map[string]int{}, BlockedWrites: p.blocked}
	for _, c := range p.Counts() {
		b.Counts[c.Action] = c.Count
	}
	if !sample {
		return b
	}
	for _, r := range p.records {
		row := sampleRecordBody{Entity: r.Entity, ID: r.RecordID, LocalID: r.LocalID, Action: string(r.Action), Reason: r.Reason, Known: r.Known}
		for _, f := range r.Shown {
			row.Fields = append(row.Fields, enlace.FieldChange{Name: f.Name, Before: textJSON(f.Before), After: textJSON(f.After)})
		}
		b.Sample = append(b.Sample, row)
	}
	return b
}

// textJSON is a text as JSON; nothing for none.
func textJSON(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	data, _ := json.Marshal(text)
	return data
}
