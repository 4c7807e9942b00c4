package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/enlace-go/enlace"
)

// write checks the author's mutations.
func (s *suite) write() {
	if !s.can(enlace.CanPush) {
		s.skip("writing: the adapter is no Pusher")
		return
	}
	count := 0
	s.check("push", options{}, func(p *process) error { count = len(p.provider.Writes); return nil })
	if count == 0 {
		s.skip("writing: Provider.Writes is empty")
	}
	for i := range count {
		name := ""
		for _, keyed := range []bool{false, true} {
			w := func(p *process) Write { return p.provider.Writes[i].keyed(keyed) }
			s.check(fmt.Sprintf("push/%d/key %v/well", i+1, keyed), options{}, func(p *process) error { return p.checkWrite(w(p)) })
			name = fmt.Sprintf("push/%d/key %v/", i+1, keyed)
			for _, f := range writeFaults {
				s.check(name+f.name+" after the effect", options{}, func(p *process) error { return p.checkLost(w(p), f.after(), 1) })
				s.check(name+f.name+" after the effect, for ever", options{}, func(p *process) error { return p.checkLost(w(p), f.after(), maxRequests) })
			}
		}
		s.check(name+"again", options{}, func(p *process) error { return p.checkAgain(p.provider.Writes[i].keyed(true)) })
		w := func(p *process) Write { return p.provider.Writes[i] }
		s.check(name+"429 once", options{}, func(p *process) error { p.wire.plan(rateLimit.once(1)); return p.checkWrite(w(p)) })
		for _, f := range []*fault{longLimit, refused401, refused403, outage503, reset, html, otherJSON} {
			s.check(name+f.name+" for ever", options{}, func(p *process) error { return p.checkRefused(w(p), f) })
		}
		s.check(name+"a fault that is not repeated", options{settings: map[string]string{"retryAttempts": "0"}}, func(p *process) error {
			p.wire.plan(outage503.always(1))
			_, err := p.push(p.ctx, w(p).Mutation)
			return p.onceEach("Push", err)
		})
		s.check(name+"cancel", options{}, func(p *process) error {
			return p.canceled("Push", func(ctx context.Context) error { _, err := p.push(ctx, w(p).Mutation); return err })
		})
		for _, f := range echoes {
			s.check(name+f.name, options{}, func(p *process) error {
				p.wire.plan(f.always(1))
				_, _ = p.push(p.ctx, w(p).Mutation)
				return nil
			})
		}
	}
	if count > 0 && s.can(enlace.CanPushBatch) {
		s.check("push/batch/well", options{}, (*process).checkBatch)
		for _, f := range writeFaults {
			s.check("push/batch/"+f.name+" after the effect", options{}, func(p *process) error { return p.checkLostBatch(f.after()) })
		}
	}
}

// keyed is the write with or without an idempotency key, for creates.
func (w Write) keyed(with bool) Write {
	if w.Mutation.Op == enlace.OpCreate {
		w.Mutation.Key = ""
		if with {
			w.Mutation.Key = "adaptertest-key"
		}
	}
	return w
}

// additive says whether the write must not happen twice.
func (w Write) additive() bool { return w.Additive || w.Mutation.Op == enlace.OpCreate }

func (w Write) String() string { return fmt.Sprintf("%s %s", w.Mutation.Op, w.Mutation.Entity) }

func (p *process) push(ctx context.Context, m enlace.Mutation) (enlace.Ack, error) {
	c, err := p.conn()
	if err != nil {
		return enlace.Ack{}, err
	}
	pusher, _ := enlace.As[enlace.Pusher](p.adapter)
	ack, err := pusher.Push(ctx, c, m)
	p.journal.note(err)
	return ack, err
}

// checkWrite carries the write out.
func (p *process) checkWrite(w Write) error {
	before := w.Effects()
	var ack enlace.Ack
	err := p.timed("Push", func() (err error) { ack, err = p.push(p.ctx, w.Mutation); return err })
	if err != nil {
		return broken(ruleWrite, "%s fails: %v", w, err)
	}
	if n := w.Effects() - before; n != 1 {
		return broken(ruleWrite, "%s took effect %d times", w, n)
	}
	if ack.ID == "" {
		return broken(ruleWrite, "the Ack of %s names no record", w)
	}
	return nil
}

// checkLost spoils the answers of the first requests, which have taken effect.
func (p *process) checkLost(w Write, f *fault, times int) error {
	before := w.Effects()
	p.wire.plan(f.times(1, times))
	ack, err := p.push(p.ctx, w.Mutation)
	return p.judgeLost(w.String(), f, w.additive(), w.Effects()-before, ack, err)
}

// leavesOpen says whether somebody who gets the error looks what became of the
// write: of an answer that is not the provider's, enlace does so too.
func leavesOpen(err error) bool {
	e, ok := errors.AsType[*enlace.Error](err)
	return !ok || e.Outcome == enlace.OutcomeUnknown || e.Outcome == enlace.OutcomeRan && errors.Is(e.Kind, enlace.ErrProtocol)
}

// checkAgain loses every answer to a create with a key, and asks again in a new
// process when all is well.
func (p *process) checkAgain(w Write) error {
	e, _ := p.descriptor().Entity(w.Mutation.Entity)
	if w.Mutation.Op != enlace.OpCreate || !e.CreateOnce && !p.finds() {
		return nil
	}
	before := w.Effects()
	p.wire.plan(reset.after().always(1))
	if _, err := p.push(p.ctx, w.Mutation); err == nil {
		return broken(ruleAck, "%s has an Ack although every answer was lost", w)
	}
	p.wire.plan(nil)
	time.Sleep(2 * longPause)
	fresh, err := p.start()
	if err != nil {
		return err
	}
	if p.finds() {
		return fresh.checkFind(w, before)
	}
	ack, err := fresh.push(p.ctx, w.Mutation)
	if n := w.Effects() - before; err != nil || ack.ID == "" || n != 1 {
		return broken(ruleKeyed, "%s, pushed again in another process after its answer was lost, took effect %d times in all; the Ack names %q, the error is %v",
			w, n, ack.ID, err)
	}
	return nil
}

func (p *process) finds() bool { _, ok := enlace.As[enlace.Finder](p.adapter); return ok }

// checkFind looks for what the lost create has made.
func (p *process) checkFind(w Write, before int) error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	finder, _ := enlace.As[enlace.Finder](p.adapter)
	id, err := finder.Find(p.ctx, c, w.Mutation)
	p.journal.note(err)
	switch {
	case errors.Is(err, enlace.ErrUnsupported): // of this entity
		return nil
	case err != nil:
		return broken(ruleFind, "%s: %v", w, err)
	case (id != "") != (w.Effects() > before):
		return broken(ruleFind, "%s took effect %d times, and Find says %q", w, w.Effects()-before, id)
	}
	return nil
}

func (p *process) judgeLost(what string, f *fault, additive bool, effects int, ack enlace.Ack, err error) error {
	switch {
	case additive && effects > 1:
		return broken(ruleOnce, "%s took effect %d times when its answer was spoilt (%s)", what, effects, f.name)
	case err == nil && ack.ID == "":
		return broken(ruleAck, "%s has no Ack and no error when its answer was spoilt (%s)", what, f.name)
	case err == nil && effects == 0:
		return broken(ruleAck, "%s has an Ack and took no effect (%s)", what, f.name)
	case err != nil && effects > 0 && !leavesOpen(err):
		return broken(ruleOutcome, "%s took effect, its answer was spoilt (%s), and the error denies it: %v", what, f.name, err)
	case err != nil && !matches(err, f.kinds) && !matches(err, spoilt):
		return wrongKind(what+" with "+f.name, err, append(f.kinds, spoilt...))
	}
	return nil
}

// checkRefused lets every request be refused before it takes effect.
func (p *process) checkRefused(w Write, f *fault) error {
	before := w.Effects()
	p.wire.plan(f.always(1))
	_, err := p.push(p.ctx, w.Mutation)
	switch {
	case err == nil:
		return broken(ruleAck, "%s with %s for ever: an Ack, although the provider never got it", w, f.name)
	case w.Effects() != before:
		return broken(ruleHarness, "%s took effect although no request came through", w)
	}
	return p.expectFailure(fmt.Sprintf("%s with %s for ever", w, f.name), err, f)
}

// batches are the writes in parts of at most MaxBatch.
func (p *process) batches() [][]Write {
	pusher, _ := enlace.As[enlace.BatchPusher](p.adapter)
	size := max(1, pusher.MaxBatch())
	var all [][]Write
	for left := p.provider.Writes; len(left) > 0; left = left[min(size, len(left)):] {
		all = append(all, left[:min(size, len(left))])
	}
	return all
}

func (p *process) pushBatch(writes []Write) ([]enlace.PushResult, error) {
	c, err := p.conn()
	if err != nil {
		return nil, err
	}
	ms := make([]enlace.Mutation, len(writes))
	for i, w := range writes {
		ms[i] = w.Mutation
	}
	pusher, _ := enlace.As[enlace.BatchPusher](p.adapter)
	results, err := pusher.PushBatch(p.ctx, c, ms)
	p.journal.note(err)
	if err == nil && len(results) != len(ms) {
		return nil, broken(ruleBatch, "%d results of %d mutations", len(results), len(ms))
	}
	for _, r := range results {
		p.journal.note(r.Err)
	}
	return results, err
}

// checkBatch carries all writes out together.
func (p *process) checkBatch() error {
	pusher, _ := enlace.As[enlace.BatchPusher](p.adapter)
	if n := pusher.MaxBatch(); n < 1 {
		return broken(ruleBatch, "MaxBatch is %d", n)
	}
	for _, writes := range p.batches() {
		var before []int
		for _, w := range writes {
			before = append(before, w.Effects())
		}
		results, err := p.pushBatch(writes)
		if err != nil {
			return broken(ruleBatch, "a batch of %d: %v", len(writes), err)
		}
		for i, r := range results {
			w := writes[i]
			if r.Err != nil || r.Ack.ID == "" || w.Effects() == before[i] {
				return broken(ruleBatch, "mutation %d, %s: the Ack names %q, the error is %v, it took effect %d times",
					i+1, w, r.Ack.ID, r.Err, w.Effects()-before[i])
			}
			if m := w.Mutation; m.Op == enlace.OpUpdate && r.Ack.ID != m.ID {
				return broken(ruleBatch, "mutation %d, %s %s: the Ack names %s", i+1, w, m.ID, r.Ack.ID)
			}
		}
	}
	return nil
}

// checkLostBatch spoils the answer to a batch that has taken effect. Effects are
// counted by kind of write, so each count may hold those of several writes.
func (p *process) checkLostBatch(f *fault) error {
	for _, writes := range p.batches() {
		p.wire.plan(f.once(1))
		before := make([]int, len(writes))
		for i, w := range writes {
			before[i] = w.Effects()
		}
		if _, err := p.pushBatch(writes); err != nil {
			if v, ok := errors.AsType[*violation](err); ok {
				return v
			}
		}
		for i, w := range writes {
			planned := 0
			for _, other := range writes {
				if other.Mutation.Op == w.Mutation.Op {
					planned++
				}
			}
			if n := w.Effects() - before[i]; w.additive() && n > planned {
				return broken(ruleOnce, "%s took effect %d times when the answer to its batch was spoilt (%s)", w, n, f.name)
			}
		}
	}
	return nil
}
