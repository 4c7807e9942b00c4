package enlace

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestWheelGivesEverythingOnceInItsTick(t *testing.T) {
	const tick = 100 * time.Millisecond
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(3, 4))
	w := newWheel[int](tick, 64, start)
	due := map[int]time.Time{}
	add := func(i int, now time.Time) {
		due[i] = now.Add(time.Duration(random.Int64N(int64(30 * time.Second))))
		w.add(i, due[i])
	}
	for i := range 5000 {
		add(i, start)
	}
	seen := 0
	now := start
	for range 600 {
		now = now.Add(time.Duration(random.Int64N(int64(300 * time.Millisecond))))
		var again []int
		w.advance(now, func(i int) {
			if seen++; now.Before(due[i]) {
				t.Fatalf("%d came up %v early", i, due[i].Sub(now))
			}
			if late := now.Sub(due[i]); late > tick+300*time.Millisecond {
				t.Fatalf("%d came up %v late", i, late)
			}
			delete(due, i)
			if random.IntN(3) == 0 {
				again = append(again, i)
			}
		})
		for _, i := range again {
			add(i, now)
		}
	}
	w.advance(now.Add(time.Minute), func(i int) { delete(due, i) })
	if len(due) != 0 || w.count != 0 || seen < 5000 {
		t.Errorf("%d never came up, %d are left, %d were seen", len(due), w.count, seen)
	}
}

func TestWheelAfterALongPause(t *testing.T) {
	start := time.Now()
	w := newWheel[string](time.Second, 8, start)
	w.advance(start.Add(time.Hour), func(string) { t.Error("there was nothing") })
	w.add("past", start)
	w.add("next", start.Add(time.Hour+3*time.Second))
	var got []string
	w.advance(start.Add(2*time.Hour), func(s string) { got = append(got, s) })
	if len(got) != 2 || got[0] != "past" {
		t.Errorf("%v", got)
	}
}
