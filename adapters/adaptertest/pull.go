package adaptertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/enlace-go/enlace"
)

// pull checks the reading of one entity.
func (s *suite) pull(entity string) {
	name := "pull/" + entity
	s.check(name+"/walk", options{}, func(p *process) error { return p.checkWalk(entity) })
	if s.failed[name] {
		s.skip("the rest of %s, since its pages are wrong already", name)
		return
	}
	s.check(name+"/resume", options{}, func(p *process) error { return p.checkResume(entity) })
	s.check(name+"/whole", options{}, func(p *process) error { return p.checkWhole(entity) })
	s.check(name+"/stop", options{}, func(p *process) error { return p.checkStop(entity) })
	s.check(name+"/sink", options{}, func(p *process) error { return p.checkSink(entity) })
	s.check(name+"/concurrent", options{}, func(p *process) error { return p.checkConcurrent(entity) })
	s.check(name+"/cursor", options{}, func(p *process) error { return p.checkForeignCursor(entity) })
	s.check(name+"/cancel", options{}, func(p *process) error { return p.checkCancel(entity) })
	s.pullFaults(entity)
	s.pullChanges(entity)
}

// steps is how many pages the walks want, so that there are cursors to go on from.
const steps = 4

// pageLimit is the page size for walks.
func (s *suite) pageLimit(entity string) int {
	return max(1, (s.harness.Count[entity]+steps-1)/steps)
}

// leg is one page of a walk and the request that it answers.
type leg struct {
	request enlace.PullRequest
	page    enlace.Page
}

func (l leg) ids() []string {
	ids := make([]string, len(l.page.Records))
	for i, r := range l.page.Records {
		ids[i] = r.ID
	}
	return ids
}

// walk pulls page after page, by Pull alone, and checks each.
func (p *process) walk(entity string) ([]leg, error) {
	c, err := p.conn()
	if err != nil {
		return nil, err
	}
	puller, _ := enlace.As[enlace.Puller](p.adapter)
	req := enlace.PullRequest{Entity: entity, Limit: p.pageLimit(entity)}
	most := 10*p.harness.Count[entity] + 100
	var legs []leg
	for {
		page, err := puller.Pull(p.ctx, c, req)
		p.journal.note(err)
		if err != nil {
			return nil, broken(ruleComplete, "Pull of page %d fails although nothing is wrong: %v", len(legs)+1, err)
		}
		p.journal.cursor(page.Next)
		if err := p.checkPage(req, page); err != nil {
			return nil, err
		}
		legs = append(legs, leg{req, page})
		if page.Done {
			return legs, nil
		}
		if len(legs) > most {
			return nil, broken(ruleEnds, "%d pages of %d %s, and none is Done", len(legs), p.harness.Count[entity], entity)
		}
		req.Cursor = page.Next
	}
}

func (p *process) checkPage(req enlace.PullRequest, page enlace.Page) error {
	switch next := string(page.Next); {
	case !page.Done && next == "":
		return broken(ruleNext, "a page that is not Done has no Next")
	case !page.Done && page.Next == req.Cursor:
		return broken(ruleNext, "a page's Next is the cursor that it was asked with: %.200q", next)
	case !utf8.ValidString(next) || strings.ContainsRune(next, 0):
		return broken(ruleOpaque, "%.200q", next)
	case req.Limit > 0 && len(page.Records) > req.Limit:
		return broken(ruleLimit, "%d records in a page of at most %d", len(page.Records), req.Limit)
	}
	for i, r := range page.Records {
		if err := p.checkRecord(req.Entity, i, r); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) checkRecord(entity string, i int, r enlace.Record) error {
	switch {
	case r.ID == "":
		return broken(ruleRecord, "record %d of a page of %s has no ID", i, entity)
	case r.Entity != entity:
		return broken(ruleRecord, "record %s has the Entity %q, want %q", r.ID, r.Entity, entity)
	case r.Deleted != (r.Data == nil):
		return broken(ruleRecord, "record %s: Deleted is %v and Data is %d bytes; exactly a tombstone has none", r.ID, r.Deleted, len(r.Data))
	case r.Deleted:
		return nil
	case !json.Valid(r.Data):
		return broken(ruleData, "the data of record %s is no JSON: %.200s", r.ID, r.Data)
	case !p.genuine(r):
		return broken(ruleData, "the data of record %s stands in no answer of the provider: %.200s", r.ID, r.Data)
	}
	return nil
}

// genuine says whether the data stands in an answer of the provider. Where the
// provider nests a record in its parent without naming that, one member that
// names the parent may stand before the provider's own.
func (p *process) genuine(r enlace.Record) bool {
	if p.wire.came(r.Data) {
		return true
	}
	e, _ := p.adapter.Describe().Entity(r.Entity)
	d := json.NewDecoder(bytes.NewReader(r.Data))
	for range 3 { // the brace, the name and the parent's id
		if _, err := d.Token(); err != nil {
			return false
		}
	}
	own := bytes.TrimPrefix(r.Data[d.InputOffset():], []byte(","))
	return len(e.Parents) > 0 && len(own) > 2 && p.wire.came(own)
}

// checkWalk reads everything by Pull, page by page.
func (p *process) checkWalk(entity string) error {
	var legs []leg
	err := p.timed("pulling page by page", func() (err error) { legs, err = p.walk(entity); return err })
	if err != nil {
		return err
	}
	found := holdings{}
	for _, l := range legs {
		found.take(l.page.Records)
	}
	if want := p.harness.Count[entity]; len(found) != want {
		return broken(ruleComplete, "%d different %s were read in %d pages of at most %d, want %d (Harness.Count)",
			len(found), entity, len(legs), p.pageLimit(entity), want)
	}
	return nil
}

// checkResume asks for each page of a walk again, the last one first, each time
// in a new process.
func (p *process) checkResume(entity string) error {
	legs, err := p.walk(entity)
	if err != nil {
		return err
	}
	for i, l := range slices.Backward(legs) {
		fresh, err := p.start()
		if err != nil {
			return err
		}
		c, err := fresh.conn()
		if err != nil {
			return err
		}
		puller, _ := enlace.As[enlace.Puller](fresh.adapter)
		page, err := puller.Pull(p.ctx, c, l.request)
		p.journal.note(err)
		if err != nil {
			return broken(ruleState, "page %d, asked for again by another process: %v", i+1, err)
		}
		if again := (leg{l.request, page}); !slices.Equal(again.ids(), l.ids()) || page.Done != l.page.Done {
			return broken(ruleState, "page %d of %d, asked for again by another process, has %s instead of %s",
				i+1, len(legs), some(again.ids()), some(l.ids()))
		}
	}
	return nil
}

// checkWhole reads everything as Sync does, and tries whether a second process
// adds something to the first one's pages wherever that one stopped.
func (p *process) checkWhole(entity string) error {
	var pages []enlace.Page
	err := p.timed("reading all pages", func() error {
		for page, err := range p.service.Pages(p.ctx, p.ref, enlace.PullRequest{Entity: entity}) {
			if err != nil {
				p.journal.note(err)
				return broken(ruleComplete, "reading %s fails although nothing is wrong: %v", entity, err)
			}
			if err := p.checkPage(enlace.PullRequest{Entity: entity}, page); err != nil {
				return err
			}
			pages = append(pages, page)
		}
		return nil
	})
	if err != nil {
		return err
	}
	want, found := p.harness.Count[entity], holdings{}
	for _, page := range pages {
		found.take(page.Records)
	}
	if len(found) != want {
		return broken(ruleComplete, "%d different %s were read, want %d (Harness.Count)", len(found), entity, want)
	}
	if len(pages) == 1 && want >= 3 {
		p.skip("%s: what goes wrong behind the first page of a usual size; %d records fit in one", entity, want)
	}
	known := holdings{}
	for i, page := range pages[:len(pages)-1] {
		known.take(page.Records)
		if len(pages) > 10 && i%(len(pages)/10) != 0 {
			continue // ten of many will do
		}
		if err := p.goOn(entity, page.Next, known, want); err != nil {
			return err
		}
	}
	return nil
}

// goOn reads the rest in a new process.
func (p *process) goOn(entity string, from enlace.Cursor, known holdings, want int) error {
	fresh, err := p.start()
	if err != nil {
		return err
	}
	rest, err := fresh.read(p.ctx, enlace.PullRequest{Entity: entity, Cursor: from})
	if err != nil {
		return broken(ruleState, "going on in another process: %v", err)
	}
	for id, r := range known {
		if _, again := rest[id]; !again {
			rest[id] = r
		}
	}
	if len(rest) != want {
		return broken(ruleState, "%s: with the pages up to a cursor and those behind it, read by another process, the host has %d of %d",
			entity, len(rest), want)
	}
	return nil
}

// checkStop leaves the loop after the first page; what the call has started is
// looked for at the end of the check.
func (p *process) checkStop(entity string) error {
	for range p.service.Pages(p.ctx, p.ref, enlace.PullRequest{Entity: entity}) {
		break
	}
	return nil
}

// checkSink lets the host refuse a page, each one in turn, and go on in a new process.
func (p *process) checkSink(entity string) error {
	refused := errors.New("adaptertest: the host does not take it")
	into := holdings{}
	for attempt := range 20 {
		fresh, err := p.start()
		if err != nil {
			return err
		}
		pages := 0
		_, err = fresh.service.Sync(p.ctx, p.ref, enlace.SyncOptions{Entities: []string{entity}, Untracked: true,
			Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
				if pages++; pages == 2 && attempt < 19 {
					return enlace.Changes{}, refused
				}
				into.take(b.Records)
				return enlace.Changes{}, nil
			})})
		if err == nil {
			break
		}
		if !errors.Is(err, refused) {
			return broken(ruleState, "going on behind a page that the host had refused: %v", err)
		}
	}
	return p.expectWhole(ruleState, entity, into)
}

// checkConcurrent reads the entity several times at once with one adapter.
func (p *process) checkConcurrent(entity string) error {
	const readers = 3
	p.wire.latency = time.Second // so that they do overlap
	var group sync.WaitGroup
	counts, errs := make([]int, readers), make([]error, readers)
	for i := range readers {
		group.Go(func() {
			var all holdings
			all, errs[i] = p.read(p.ctx, enlace.PullRequest{Entity: entity})
			counts[i] = len(all)
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return broken(ruleConcurrent, "%d reads of %s at once: %v", readers, entity, err)
	}
	for _, n := range counts {
		if want := p.harness.Count[entity]; n != want {
			return broken(ruleConcurrent, "%d reads of %s at once found %v records, want %d each", readers, entity, counts, want)
		}
	}
	return nil
}

// checkForeignCursor goes on from what no version of the adapter has written.
func (p *process) checkForeignCursor(entity string) error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	puller, _ := enlace.As[enlace.Puller](p.adapter)
	for _, cursor := range []enlace.Cursor{"adaptertest: no cursor", "{", `{"v":999}`} {
		_, err := puller.Pull(p.ctx, c, enlace.PullRequest{Entity: entity, Cursor: cursor})
		p.journal.note(err)
		if !errors.Is(err, enlace.ErrCursorExpired) {
			return broken(ruleCursor, "Pull with the cursor %q returned %v", cursor, err)
		}
	}
	return nil
}

// checkCancel ends the context before and during a pull.
func (p *process) checkCancel(entity string) error {
	return p.canceled("reading "+entity, func(ctx context.Context) error {
		_, err := p.read(ctx, enlace.PullRequest{Entity: entity})
		return err
	})
}

// canceled checks what call does when its context ends before it, and while a
// request is on its way.
func (p *process) canceled(what string, call func(ctx context.Context) error) error {
	p.wire.plan(nil)
	ended, cancel := context.WithCancel(p.ctx)
	cancel()
	err := call(ended)
	p.journal.note(err)
	if n := p.wire.count(); n > 0 {
		return broken(ruleCancel, "%s with a context that had ended sent %d requests", what, n)
	}
	if err == nil {
		return broken(ruleCancel, "%s with a context that had ended returned no error", what)
	}
	p.wire.plan(hanging.always(1))
	ctx, stop := context.WithCancel(p.ctx)
	timer := time.AfterFunc(time.Second, stop)
	defer timer.Stop()
	began := time.Now()
	err = call(ctx)
	p.journal.note(err)
	switch took := time.Since(began); {
	case err == nil:
		return broken(ruleCancel, "%s returned no error although its context had ended", what)
	case took > 2*time.Second:
		return broken(ruleCancel, "%s returned %v after its context had ended", what, took-time.Second)
	case !matches(err, hanging.kinds) && !errors.Is(err, context.Canceled):
		return broken(ruleCancel, "%s returned %v when its context had ended, want ErrCanceled", what, err)
	}
	p.wire.plan(nil)
	return nil
}
