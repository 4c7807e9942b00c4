package adaptertest

import (
	"fmt"
	"time"

	"github.com/enlace-go/enlace"
)

// skews are how far the provider's clock is tried ahead of ours.
var skews = []time.Duration{10 * time.Minute, -10 * time.Minute}

// pullChanges checks what runs find that come after another one.
func (s *suite) pullChanges(entity string) {
	name := "pull/" + entity + "/"
	e, _ := s.descriptor().Entity(entity)
	if e.Incremental == enlace.IncrementalNone {
		s.check(name+"second run", options{}, func(p *process) error { return p.checkSecondRun(entity) })
		return
	}
	if s.harness.Count[entity] == 0 {
		s.skip("%s: runs by change; there are no records", entity)
		return
	}
	s.check(name+"changes", options{}, func(p *process) error { return p.checkChanges(entity) })
	s.check(name+"quiet", options{}, func(p *process) error { return p.checkQuiet(entity) })
	s.check(name+"since", options{}, func(p *process) error { return p.checkSince(entity) })
	if e.Incremental == enlace.IncrementalFull {
		s.check(name+"deletion", options{}, func(p *process) error { return p.checkDeletion(entity) })
	}
	s.check(name+"ties", options{}, func(p *process) error { return p.noteTies(entity) })
	if s.harness.Skewed == nil {
		s.skip("%s: a provider whose clock differs from ours (Harness.Skewed)", entity)
		return
	}
	for _, skew := range skews {
		o := options{provider: func() Provider { return s.harness.Skewed(skew) }}
		s.check(fmt.Sprintf("%schanges with a clock %v ahead", name, skew), o, func(p *process) error { return p.checkChanges(entity) })
	}
}

// noteTies says so if no two records have changed at the same time: then nothing
// shows what becomes of those that do.
func (p *process) noteTies(entity string) error {
	all, err := p.whole(entity)
	if err != nil {
		return err
	}
	times := map[time.Time]bool{}
	for _, r := range all {
		if !r.Modified.IsZero() && times[r.Modified] {
			return nil
		}
		times[r.Modified] = true
	}
	p.skip("%s: records that changed at the same time; each has a time of its own", entity)
	return nil
}

// checkSecondRun reads an entity that cannot be read by change twice.
func (p *process) checkSecondRun(entity string) error {
	for run := range 2 {
		into := holdings{}
		if _, err := p.sync(p.ctx, entity, into); err != nil {
			return broken(ruleComplete, "run %d: %v", run+1, err)
		}
		if want := p.harness.Count[entity]; len(into) != want {
			return broken(ruleMark, "run %d of %s, which cannot be read by change, found %d records, want %d: Next must be empty when Done",
				run+1, entity, len(into), want)
		}
	}
	return nil
}

// checkChanges changes a record while a run is on its way, after one of its first
// answers, and once more in the instant in which a run has ended.
func (p *process) checkChanges(entity string) error {
	if p.provider.Touch == nil {
		return broken(ruleHarness, "%s can be read by change, so Provider.Touch is needed", entity)
	}
	for after := 1; after <= 3; after++ {
		if err := p.changeDuring(entity, after); err != nil {
			return err
		}
	}
	before, err := p.whole(entity)
	if err != nil {
		return err
	}
	into := holdings{}
	if _, err := p.syncAll(entity, into); err != nil {
		return broken(ruleComplete, "a run: %v", err)
	}
	return p.next(entity, "was changed in the instant in which the run ended", before, p.provider.Touch(entity), into)
}

// changeDuring changes a record after the nth answer of a run that reads everything.
func (p *process) changeDuring(entity string, after int) error {
	before, err := p.whole(entity)
	if err != nil {
		return err
	}
	time.Sleep(24 * time.Hour)
	touched := ""
	p.wire.plan(nil)
	p.wire.served = func(n int) {
		if n == after {
			touched = p.provider.Touch(entity)
		}
	}
	p.wire.latency = 5 * time.Second
	into := holdings{}
	_, err = p.syncAll(entity, into)
	p.wire.latency = 0
	if err != nil {
		return broken(ruleComplete, "a run during which a record changes: %v", err)
	}
	if touched == "" { // the run was too short
		return nil
	}
	return p.next(entity, fmt.Sprintf("was changed after answer %d of the run", after), before, touched, into)
}

// next makes the next run and compares what the host has then.
func (p *process) next(entity, what string, before holdings, touched string, into holdings) error {
	p.wire.plan(nil)
	fresh, err := p.start()
	if err != nil {
		return err
	}
	if _, err := fresh.sync(p.ctx, entity, into); err != nil {
		return broken(ruleMark, "the next run: %v", err)
	}
	now, err := p.whole(entity)
	if err != nil {
		return err
	}
	if old, is := before[touched], now[touched]; is.ID == "" || p.same(old, is) {
		return broken(ruleHarness, "Touch returned %q, whose data are the same as before", touched)
	}
	if err := p.difference(ruleMark, entity, into, now); err != nil {
		return fmt.Errorf("%w (%s %s)", err, touched, what)
	}
	return nil
}

// checkQuiet makes a run when nothing has changed for long.
func (p *process) checkQuiet(entity string) error {
	time.Sleep(24 * time.Hour)
	for range 2 {
		if _, err := p.sync(p.ctx, entity, holdings{}); err != nil {
			return broken(ruleComplete, "a run: %v", err)
		}
		time.Sleep(24 * time.Hour)
	}
	into := holdings{}
	result, err := p.sync(p.ctx, entity, into)
	if err != nil {
		return broken(ruleComplete, "a run: %v", err)
	}
	if want := p.harness.Count[entity]; want > 2 && result.Read >= want {
		return broken(ruleChange, "a run by change read %d of %d %s although nothing had changed for a day", result.Read, want, entity)
	}
	return nil
}

// checkSince bounds a read by the time of change.
func (p *process) checkSince(entity string) error {
	future, err := p.read(p.ctx, enlace.PullRequest{Entity: entity, Since: time.Now().AddDate(50, 0, 0)})
	if err != nil {
		return broken(ruleSince, "with Since in 50 years: %v", err)
	}
	past, err := p.read(p.ctx, enlace.PullRequest{Entity: entity, Since: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		return broken(ruleSince, "with Since in 1990: %v", err)
	}
	if want := p.harness.Count[entity]; len(future) != 0 || len(past) != want {
		return broken(ruleSince, "with Since in 50 years %d %s, want none; with Since in 1990 %d, want %d", len(future), entity, len(past), want)
	}
	return nil
}

// checkDeletion deletes a record between two runs.
func (p *process) checkDeletion(entity string) error {
	if p.provider.Remove == nil {
		return broken(ruleHarness, "deletions of %s are found, so Provider.Remove is needed", entity)
	}
	into := holdings{}
	if _, err := p.sync(p.ctx, entity, into); err != nil {
		return broken(ruleComplete, "a run: %v", err)
	}
	time.Sleep(time.Hour)
	id := p.provider.Remove(entity)
	fresh, err := p.start()
	if err != nil {
		return err
	}
	if _, err := fresh.sync(p.ctx, entity, into); err != nil {
		return broken(ruleTomb, "the run after a deletion: %v", err)
	}
	if _, still := into[id]; still {
		return broken(ruleTomb, "%s was deleted, and the host still has it after the next run", id)
	}
	return p.expectWhole(ruleTomb, entity, into)
}
