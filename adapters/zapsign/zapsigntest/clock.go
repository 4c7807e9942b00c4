package zapsigntest

import (
	"container/heap"
	"encoding/json"
	"time"
)

// Now returns the server's time: that of the standard clock plus
// [Options].ClockSkew and what [API.Advance] added. The Date header of answers tells it too.
func (a *API) Now() time.Time { return a.now() }

func (a *API) now() time.Time {
	return time.Now().Add(time.Duration(a.offset.Load())).UTC().Round(0)
}

// tick returns a time for a change, in microseconds as the provider counts, later than all before.
func (a *API) tick() time.Time {
	now := a.now().Truncate(time.Microsecond)
	if !now.After(a.lastTick) {
		now = a.lastTick.Add(time.Microsecond)
	}
	a.lastTick = now
	return now
}

// Advance moves the server's clock ahead and does on the way what falls due, in its order and at
// its time: reminders, expiry, late events, repeated deliveries. Deliveries that it starts run on
// after it returned; see [API.Settle]. It panics if d is negative.
func (a *API) Advance(d time.Duration) {
	if d < 0 {
		panic("zapsigntest: time does not go back")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	target := a.now().Add(d)
	for a.agenda.due(target) {
		if ahead := a.agenda.entries[0].at.Sub(a.now()); ahead > 0 {
			a.offset.Add(int64(ahead))
		}
		a.runDue()
	}
	if ahead := target.Sub(a.now()); ahead > 0 {
		a.offset.Add(int64(ahead))
	}
	a.agenda.arm(a)
}

// agenda is what happens later. One timer stands for its first entry.
type agenda struct {
	entries entries
	last    int
	timer   *time.Timer
}

type entry struct {
	at    time.Time
	order int
	run   func() // with API.mu held
}

func (g *agenda) due(at time.Time) bool {
	return len(g.entries) > 0 && !g.entries[0].at.After(at)
}

// plan has something run at a time, with API.mu held, now or later.
func (a *API) plan(at time.Time, run func()) {
	if a.closed {
		return
	}
	a.agenda.last++
	heap.Push(&a.agenda.entries, entry{at, a.agenda.last, run})
	a.agenda.arm(a)
}

// runDue runs what is due, and what falls due thereby.
func (a *API) runDue() {
	for a.agenda.due(a.now()) {
		heap.Pop(&a.agenda.entries).(entry).run()
	}
}

func (g *agenda) arm(a *API) {
	g.disarm(a)
	if a.closed || len(g.entries) == 0 {
		return
	}
	a.running.Add(1)
	g.timer = time.AfterFunc(max(0, g.entries[0].at.Sub(a.now())), func() {
		defer a.running.Done()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.runDue()
		g.arm(a)
	})
}

func (g *agenda) disarm(a *API) {
	if g.timer != nil && g.timer.Stop() {
		a.running.Done()
	}
	g.timer = nil
}

func (g *agenda) clear(a *API) {
	g.disarm(a)
	g.entries = nil
}

// entries is a heap: earliest first, and in order of planning.
type entries []entry

func (e entries) Len() int { return len(e) }
func (e entries) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].order < e[j].order
}
func (e entries) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)   { *e = append(*e, x.(entry)) }
func (e *entries) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = entry{}
	*e = (*e)[:last]
	return x
}

// stamp is a time as most answers have it (sheet 3.5): null if zero, no fraction if it is zero.
type stamp time.Time

// MarshalJSON implements [json.Marshaler].
func (s stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(withFraction(t, "2006-01-02T15:04:05") + "Z")
}

func withFraction(t time.Time, layout string) string {
	if t.Nanosecond()/1000 != 0 {
		layout += ".000000"
	}
	return t.UTC().Format(layout)
}
