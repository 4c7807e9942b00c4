package rdstation

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

// kindOf requests that the provider counts together (sheet 6.1).
type kindOf uint8

const (
	anyRequest    kindOf = iota // counted against a million a day, which needs no pacing
	contactKind                 // everything of contacts but fields and funnels
	segmentKind                 // segmentations and their contacts
	eventKind                   // events, batches of events, conversions by API key
	emailsKind                  // the rest is by the hour
	landingKind                 //
	popupKind                   //
	formKind                    //
	workflowsKind               // list of workflows
	workflowKind                // one workflow
	enrolKind                   // contacts put into a workflow
	emailStatsKind
	workflowStatsKind
	conversionStatsKind
	funnelStatsKind
	tagDayKind // tags of all contacts, by the day
	patchLead  // and those of one contact, by the day
	tagLead
	funnelLead
	eventLead
)

// rate is how many requests may begin within any period of that length.
type rate struct {
	requests int
	period   time.Duration
}

// slack is the part by which every period is stretched: what begins within one of
// ours must arrive within one of the provider's, whatever the way takes.
const slack = 50

// perMinute is a rate that spreads the requests over the minute: bursts of a
// twelfth, so that any minute holds twelve of them.
func perMinute(n int) rate { return rate{n / 12, 5 * time.Second} }
func perHour(n int) rate   { return rate{n, time.Hour} }
func perDay(n int) rate    { return rate{n, 24 * time.Hour} }

// rateOf is the limit of an account with that plan; zero is none.
func rateOf(k kindOf, plan string) rate {
	byPlan := func(light, pro, advanced int) int {
		switch plan {
		case "advanced":
			return advanced
		case "pro":
			return pro
		default:
			return light
		}
	}
	switch k {
	case contactKind, eventKind:
		return perMinute(byPlan(120, 120, 500))
	case segmentKind:
		return perMinute(byPlan(120, 120, 240))
	case emailsKind, landingKind, popupKind, formKind, emailStatsKind, workflowStatsKind, conversionStatsKind, funnelStatsKind:
		return perHour(60)
	case workflowsKind:
		return perHour(40)
	case workflowKind:
		return perHour(byPlan(1, 5, 15))
	case enrolKind:
		return perHour(byPlan(1, 10, 100))
	case tagDayKind:
		return perDay(15_000)
	case patchLead, tagLead, funnelLead:
		return perDay(24)
	case eventLead:
		return perDay(120)
	default:
		return rate{}
	}
}

// spend is one count that a request adds to: of its kind, or of its kind and one contact.
type spend struct {
	kind kindOf
	lead string
}

const (
	// patience is the longest that a request is held back. What would wait longer is
	// refused, with the time to come back.
	patience = 2 * time.Minute
	// maxWindows bounds the memory; contacts beyond it are counted by the provider only.
	maxWindows = 20_000
	sweepEvery = time.Minute
)

// pacer keeps requests within the limits of their kinds. It remembers when they
// began, by account. The zero value is ready; it is safe for concurrent use.
type pacer struct {
	mu      sync.Mutex
	windows map[windowKey]*window
	swept   time.Time
}

type windowKey struct {
	ref  enlace.Ref
	plan string
	spend
}

// window is the requests of one kind that began lately.
type window struct {
	rate   rate
	begun  []time.Time // ascending; the last rate.requests at most
	closed time.Time   // the provider refuses until then
}

// free is when the next request may begin, in the order of arrival.
func (w *window) free(now time.Time) time.Time {
	at := w.room()
	if n := len(w.begun); n > 0 && w.begun[n-1].After(at) {
		at = w.begun[n-1]
	}
	if now.After(at) {
		return now
	}
	return at
}

// room is when there is room for one more request.
func (w *window) room() time.Time {
	at := w.closed
	if n := len(w.begun); n >= w.rate.requests {
		if next := w.begun[n-w.rate.requests].Add(w.rate.period); next.After(at) {
			at = next
		}
	}
	return at
}

func (w *window) take(at time.Time) {
	if len(w.begun) >= w.rate.requests {
		w.begun = w.begun[1:]
	}
	w.begun = append(w.begun, at)
}

// idle says whether the window can be forgotten.
func (w *window) idle(now time.Time) bool {
	n := len(w.begun)
	return (n == 0 || w.begun[n-1].Add(w.rate.period).Before(now)) && w.closed.Before(now)
}

// wait returns when a request that adds to these counts may begin. The first count
// is waited for, within patience; the others are daily and must have room. An
// error is ErrRateLimited, or ErrCanceled; nothing is counted then.
func (p *pacer) wait(ctx context.Context, c *enlace.Conn, spends []spend) error {
	delay, err := p.reserve(c.Ref(), c.Setting("plan"), spends, deadlineOf(ctx))
	if err != nil || delay <= 0 {
		return err
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done(): // the place stays taken: others are queued behind it
		return &enlace.Error{Op: "wait for the rate limit", Kind: enlace.ErrCanceled, Outcome: enlace.OutcomeNotRun, Err: ctx.Err()}
	}
}

// deadlineOf is the end of patience or of ctx, whichever is first.
func deadlineOf(ctx context.Context) time.Time {
	end := time.Now().Add(patience)
	if own, limited := ctx.Deadline(); limited && own.Before(end) {
		return own
	}
	return end
}

// reserve takes a place in each window and returns how long to wait for it.
func (p *pacer) reserve(ref enlace.Ref, plan string, spends []spend, deadline time.Time) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.sweep(now)
	var windows []*window
	start := now
	for i, s := range spends {
		w := p.window(ref, plan, s)
		if w == nil {
			continue
		}
		free := w.room()
		if i == 0 {
			start = w.free(now)
			free = start
		}
		if free.After(deadline) || free.After(start) {
			return 0, &enlace.Error{Op: "wait for the rate limit", Kind: enlace.ErrRateLimited, Outcome: enlace.OutcomeNotRun, Partial: true,
				Retry: free.Sub(now), Message: "kept within the provider's limit for requests of this kind"}
		}
		windows = append(windows, w)
	}
	for _, w := range windows {
		w.take(start)
	}
	return start.Sub(now), nil
}

// window finds or makes a window; nil if nothing limits it.
func (p *pacer) window(ref enlace.Ref, plan string, s spend) *window {
	key := windowKey{ref, plan, s}
	if w, ok := p.windows[key]; ok {
		return w
	}
	r := rateOf(s.kind, plan)
	if r.requests == 0 || (s.lead != "" && len(p.windows) >= maxWindows) {
		return nil
	}
	if p.windows == nil {
		p.windows = map[windowKey]*window{}
	}
	r.period += r.period / slack
	w := &window{rate: r}
	p.windows[key] = w
	return w
}

// sweep forgets what limits nothing any more.
func (p *pacer) sweep(now time.Time) {
	if now.Sub(p.swept) < sweepEvery {
		return
	}
	p.swept = now
	for key, w := range p.windows {
		if w.idle(now) {
			delete(p.windows, key)
		}
	}
}

// note learns from the provider's refusal until when there is no use in asking:
// for the contact if it was the contact's limit, for the kind of request otherwise.
func (p *pacer) note(c *enlace.Conn, spends []spend, err error) {
	e, ok := errors.AsType[*enlace.Error](err)
	if !ok || !errors.Is(e.Kind, enlace.ErrRateLimited) || e.Status == 0 || e.Retry <= 0 || len(spends) == 0 {
		return
	}
	closed := spends[:1]
	if strings.Contains(e.Message, "lead_limiter") {
		if closed = leadsOf(spends); len(closed) != 1 {
			return // a batch does not tell which of its contacts it was
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.window(c.Ref(), c.Setting("plan"), closed[0]); w != nil {
		w.closed = time.Now().Add(e.Retry)
	}
}

func leadsOf(spends []spend) (leads []spend) {
	for _, s := range spends {
		if s.lead != "" {
			leads = append(leads, s)
		}
	}
	return leads
}
