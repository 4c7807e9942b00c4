package enlace

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

// Clock is what the Date headers of a provider's answers tell of its clock.
type Clock struct {
	// Offset is by how much it is ahead of ours at least; negative if it is behind. A
	// header counts whole seconds, so it is up to a second and the time of an answer
	// too low, and never too high.
	Offset time.Duration
	// Spread is by how much answers contradict each other: several servers, or a cache.
	// It is 0 if one clock explains all of them, and 15 minutes at most. A walk by time of
	// change reads so much more than its overlap.
	Spread time.Duration
	// Samples is how many answers told; 0 if none did.
	Samples int
}

// Reached is a time that the provider's clock has reached when ours shows now. If no
// answer has told, that is an hour earlier.
func (c Clock) Reached(now time.Time) time.Time {
	if c.Samples == 0 {
		return now.Add(-time.Hour)
	}
	return now.Add(c.Offset - c.Spread)
}

// Clock returns what is known of the provider's clock, by answers to all connections
// of this process to the account. An adapter begins a walk by it where an answer does not
// tell the time, and adds its Spread to the overlap.
func (c *Conn) Clock() Clock {
	if moved := c.successor.Load(); moved != nil {
		return moved.Clock()
	}
	return c.quota.clock.read()
}

const (
	// clockSamples is how many answers are kept, and clockEvery how far apart they are.
	clockSamples = 9
	clockEvery   = 10 * time.Second
	// maxSpread bounds what one account can make its walks read again.
	maxSpread = 15 * time.Minute
)

// clockWatch keeps the latest samples of a provider's clock. It is safe for concurrent use.
type clockWatch struct {
	mu      sync.Mutex
	samples []clockSample // clockSamples at most
	next    int           // the one to replace
	taken   time.Time     // when the last one was
}

// clockSample says that the provider's clock is between low and high ahead of ours.
type clockSample struct{ low, high time.Duration }

// take looks at the Date of an answer that came just now. Answers without one, and those
// of a cache, tell nothing.
func (w *clockWatch) take(a transport.Attempt) {
	if a.Date == "" {
		return
	}
	received := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.taken.IsZero() && received.Sub(w.taken) < clockEvery {
		return
	}
	date, err := http.ParseTime(a.Date)
	if err != nil {
		return
	}
	w.taken = received
	wall := received.Round(0) // as others count, whatever has become of the wall clock since the start
	s := clockSample{low: date.Sub(wall), high: date.Add(time.Second).Sub(wall.Add(-a.Duration))}
	if len(w.samples) < clockSamples {
		w.samples = append(w.samples, s)
		return
	}
	w.samples[w.next] = s
	w.next = (w.next + 1) % clockSamples
}

func (w *clockWatch) read() Clock {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.samples)
	if n == 0 {
		return Clock{}
	}
	lows, highs := make([]time.Duration, n), make([]time.Duration, n)
	for i, s := range w.samples {
		lows[i], highs[i] = s.low, s.high
	}
	slices.Sort(lows)
	slices.Sort(highs)
	odd := 0
	if n >= 5 {
		odd = 1 // one answer from somewhere else says nothing about the clock
	}
	spread := lows[n-1-odd] - highs[odd]
	return Clock{Offset: lows[(n-1)/2], Spread: min(max(spread, 0), maxSpread), Samples: n}
}
