package adaptertest

import (
	"fmt"
	"time"

	"github.com/enlace-go/enlace"
)

// pullFaults lets everything go wrong while an entity is read.
func (s *suite) pullFaults(entity string) {
	name := "pull/" + entity + "/"
	faults := readFaults
	for _, r := range s.harness.Refusals {
		faults = append(faults[:len(faults):len(faults)], refusal(r))
	}
	for _, f := range faults {
		s.check(name+f.name+"/page", options{}, func(p *process) error { return p.checkPull(entity, f) })
		s.check(name+f.name+"/once", options{}, func(p *process) error { return p.checkPassing(entity, f) })
		s.check(name+f.name+"/for ever", options{}, func(p *process) error { return p.checkLasting(entity, f) })
	}
	s.check(name+"a fault that is not repeated", options{settings: map[string]string{"retryAttempts": "0"}}, func(p *process) error {
		p.wire.plan(outage503.always(1))
		_, err := p.read(p.ctx, enlace.PullRequest{Entity: entity})
		return p.onceEach("reading "+entity, err)
	})
	s.check(name+samePage.name, options{}, func(p *process) error { return p.checkSamePage(entity) })
	for _, f := range echoes {
		s.check(name+f.name, options{}, func(p *process) error {
			p.wire.plan(f.always(1))
			_, _ = p.read(p.ctx, enlace.PullRequest{Entity: entity}) // hunted in at the end of the check
			return nil
		})
	}
}

// longPause is how long enlace holds back the other requests of an account at most.
const longPause = time.Minute

// kindsOf are the kinds that a sync may end with. Of several requests in flight
// one may meet the fault while the others run out of time behind it.
func (p *process) kindsOf(f *fault) []error {
	if f.wait > 0 && p.can(enlace.CanStreamPages) {
		return append(unclear, f.kinds...)
	}
	return f.kinds
}

// checkPull lets a single page meet the fault.
func (p *process) checkPull(entity string, f *fault) error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	puller, _ := enlace.As[enlace.Puller](p.adapter)
	p.wire.plan(f.always(1))
	page, err := puller.Pull(p.ctx, c, enlace.PullRequest{Entity: entity})
	p.journal.note(err)
	if err == nil {
		return broken(ruleSwallow, "Pull of %s with %s returned a page of %d records and no error", entity, f.name, len(page.Records))
	}
	return p.expectFailure("Pull of "+entity+" with "+f.name, err, f)
}

// onceEach checks that nothing was sent twice although enlace was told not to repeat.
func (p *process) onceEach(what string, err error) error {
	if err == nil {
		return broken(ruleSwallow, "%s during an outage returned no error", what)
	}
	if request, times := p.wire.repeated(); times > 0 {
		return broken(ruleNoRetry, "%s with retryAttempts 0 sent the same request %d times: %.200s", what, times, request)
	}
	return nil
}

// places are the requests of a sync at which a fault is tried: the first, and one
// in the middle if there are several.
func (p *process) places(entity string) ([]int, error) {
	p.wire.plan(nil)
	if _, err := p.whole(entity); err != nil {
		return nil, err
	}
	if n := p.wire.count(); n > 1 {
		return []int{1, 1 + n/2}, nil
	}
	return []int{1}, nil
}

// checkPassing lets the fault happen to one request.
func (p *process) checkPassing(entity string, f *fault) error {
	places, err := p.places(entity)
	if err != nil {
		return err
	}
	for _, place := range places {
		fresh, err := p.start()
		if err != nil {
			return err
		}
		into := holdings{}
		p.wire.plan(f.once(place))
		began := time.Now()
		result, err := fresh.syncAll(entity, into)
		what := fmt.Sprintf("%s at request %d of a sync of %s", f.name, place, entity)
		switch {
		case f.passing && err != nil:
			return broken(ruleRepeat, "%s: %v", what, err)
		case err == nil && time.Since(began) < min(f.wait, longPause):
			return broken(ruleKind, "%s was repeated after %v already", what, time.Since(began))
		case err == nil && !result.Complete:
			return broken(ruleComplete, "%s: the run ended without an error and is not complete", what)
		case err != nil && !matches(err, p.kindsOf(f)):
			return wrongKind(what, err, f.kinds)
		case err != nil:
			if err := p.recover(entity, what, f, into); err != nil {
				return err
			}
		}
		if err := p.expectWhole(ruleSwallow, entity, into); err != nil {
			return fmt.Errorf("%w (%s)", err, what)
		}
	}
	return nil
}

// checkLasting lets the fault happen to all requests from a place on, heals the
// provider, and goes on in a new process.
func (p *process) checkLasting(entity string, f *fault) error {
	places, err := p.places(entity)
	if err != nil {
		return err
	}
	for _, place := range places {
		fresh, err := p.start()
		if err != nil {
			return err
		}
		into := holdings{}
		p.wire.plan(f.always(place))
		began := time.Now()
		_, err = fresh.syncAll(entity, into)
		what := fmt.Sprintf("%s from request %d of a sync of %s on", f.name, place, entity)
		switch {
		case err == nil && p.wire.count() < place:
			err = p.expectWhole(ruleComplete, entity, into) // it came through before
			if err != nil {
				return err
			}
			continue
		case err == nil:
			return broken(ruleSwallow, "%s: the run ended without an error", what)
		case !matches(err, p.kindsOf(f)):
			return wrongKind(what, err, f.kinds)
		case time.Since(began) > time.Hour:
			return broken(ruleEnds, "%s: it took %v", what, time.Since(began))
		}
		if err := p.recover(entity, what, f, into); err != nil {
			return err
		}
		if err := p.expectWhole(ruleSwallow, entity, into); err != nil {
			return fmt.Errorf("%w (%s)", err, what)
		}
	}
	return nil
}

// syncAll syncs with all that there is, whatever earlier runs have read.
func (p *process) syncAll(entity string, into holdings) (enlace.EntityResult, error) {
	if err := p.store.DeleteCheckpoints(p.ctx, p.ref); err != nil {
		return enlace.EntityResult{}, err
	}
	return p.sync(p.ctx, entity, into)
}

// recover goes on in a new process when the provider is well again.
func (p *process) recover(entity, what string, f *fault, into holdings) error {
	p.wire.plan(nil)
	time.Sleep(2 * max(f.wait, longPause))
	fresh, err := p.start()
	if err != nil {
		return err
	}
	result, err := fresh.sync(p.ctx, entity, into)
	if err != nil || !result.Complete {
		return broken(ruleState, "the run after %s, with all well again: complete %v, error %v", what, result.Complete, err)
	}
	return nil
}

// checkSamePage lets the provider answer with the first page for ever.
func (p *process) checkSamePage(entity string) error {
	p.wire.plan(samePage.always(1))
	into := holdings{}
	_, err := p.sync(p.ctx, entity, into)
	if p.wire.count() > p.harness.Count[entity]+200 {
		return broken(ruleEnds, "the provider answered with the first page of %s again and again, %d times", entity, p.wire.count())
	}
	if err != nil {
		return nil
	}
	if err := p.expectWhole(ruleEnds, entity, into); err != nil {
		return fmt.Errorf("%w (the provider answered with the first page again and again, and the run ended without an error)", err)
	}
	return nil
}
