package storetest

import (
	"sync"
	"testing"
)

// together runs fn in n goroutines that begin at the same time, and waits.
func together(n int, fn func(i int)) {
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	group.Wait()
}

// once notes what was won, to find what was won twice.
type once struct {
	mu  sync.Mutex
	won map[int64]int
}

func (o *once) win(version int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.won == nil {
		o.won = map[int64]int{}
	}
	o.won[version]++
}

// check says whether each version from first to last was won exactly once, and no other.
func (o *once) check(t *testing.T, rule string, first, last int64) {
	t.Helper()
	for version := first; version <= last; version++ {
		if n := o.won[version]; n != 1 {
			t.Errorf("%s: %d writers got version %d", rule, n, version)
		}
	}
	if extra := len(o.won) - int(last-first+1); extra > 0 {
		t.Errorf("%s: %d versions too many were written", rule, extra)
	}
}

// overlap finds out whether sections run at the same time.
type overlap struct {
	mu      sync.Mutex
	inside  int
	overlap bool
}

func (o *overlap) enter() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inside++
	o.overlap = o.overlap || o.inside > 1
}

func (o *overlap) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inside--
}

func (o *overlap) check(t *testing.T, rule string) {
	t.Helper()
	if o.overlap {
		t.Error(rule)
	}
}
