package enlace

import "time"

// wheel is a timer for very many entries that cost nothing while they wait: time
// is cut into ticks, and a slot of the wheel holds what is due in its tick of this
// or a later round. It is not safe for concurrent use.
type wheel[T any] struct {
	tick  time.Duration
	start time.Time
	at    int64 // ticks that are over
	slots [][]wheelEntry[T]
	count int
}

type wheelEntry[T any] struct {
	due   int64 // in ticks
	value T
}

// newWheel returns an empty wheel. Entries that are due within tick * slots are
// looked at once, later ones once more for each round.
func newWheel[T any](tick time.Duration, slots int, now time.Time) *wheel[T] {
	return &wheel[T]{tick: tick, start: now, slots: make([][]wheelEntry[T], slots)}
}

// add enters a value; it comes up with the tick in which due lies, never before due.
func (w *wheel[T]) add(value T, due time.Time) {
	tick := int64((due.Sub(w.start) + w.tick - 1) / w.tick)
	tick = max(tick, w.at+1)
	slot := tick % int64(len(w.slots))
	w.slots[slot] = append(w.slots[slot], wheelEntry[T]{tick, value})
	w.count++
}

// next is when the next tick with entries in its slot is over; they may belong to
// a later round. It is false while the wheel is empty.
func (w *wheel[T]) next() (time.Time, bool) {
	if w.count == 0 {
		return time.Time{}, false
	}
	at := w.at + 1
	for len(w.slots[at%int64(len(w.slots))]) == 0 {
		at++
	}
	return w.start.Add(time.Duration(at) * w.tick), true
}

// advance gives what has become due, in order of its ticks.
func (w *wheel[T]) advance(now time.Time, take func(T)) {
	for target := int64(now.Sub(w.start) / w.tick); w.at < target; {
		if w.count == 0 {
			w.at = target
			return
		}
		w.at++
		slot := &w.slots[w.at%int64(len(w.slots))]
		kept := (*slot)[:0]
		for _, e := range *slot {
			if e.due > w.at {
				kept = append(kept, e)
				continue
			}
			w.count--
			take(e.value)
		}
		clear((*slot)[len(kept):])
		*slot = kept
	}
}
