package enlace_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// The clock is measured from the Date headers of real answers, whatever the latency.
func TestClockOfAProvider(t *testing.T) {
	for _, ahead := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute, 26 * time.Hour} {
		for _, latency := range []time.Duration{0, 300 * time.Millisecond, 8 * time.Second} {
			t.Run(fmt.Sprint(ahead, " ahead, ", latency), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { clockOf(t, ahead, latency) })
			})
		}
	}
}

func clockOf(t *testing.T, ahead, latency time.Duration) {
	h := newHost(t, crm{})
	c := h.open(h.create(apiKey("k")))
	now := func() time.Time { return time.Now().Add(ahead) }
	if got := c.Clock(); got != (enlace.Clock{}) || !got.Reached(time.Now()).Equal(time.Now().Add(-time.Hour)) {
		t.Errorf("before any answer: %+v", got)
	}
	answer := func(date time.Time, header http.Header) {
		t.Helper()
		if header == nil {
			header = http.Header{}
		}
		header.Set("Date", date.UTC().Format(http.TimeFormat))
		h.provider.setFault(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			time.Sleep(latency)
			for name, values := range header {
				w.Header()[name] = values
			}
			_, _ = w.Write([]byte("{}"))
			return true
		})
		if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10500 * time.Millisecond)
	}
	check := func(samples int) {
		t.Helper()
		got := c.Clock()
		if got.Samples != samples || got.Spread != 0 || got.Offset > ahead || got.Offset < ahead-latency-time.Second {
			t.Errorf("%+v, the clock is %v ahead", got, ahead)
		}
		if reached := got.Reached(time.Now()); reached.After(now()) || reached.Before(now().Add(-latency-time.Second)) {
			t.Errorf("reached %v, it is %v", reached, now())
		}
	}
	for n := range 12 {
		answer(now(), nil)
		check(min(n+1, 9))
	}
	answer(now().Add(-5*time.Hour), http.Header{"Age": {"18000"}}) // a cache's
	check(9)
	answer(now().Add(-5*time.Hour), nil) // a single odd one
	check(9)
	answer(now().Add(5*time.Hour), nil)
	check(9)

	// Two servers that are a minute apart: the slower one counts, and the difference is known.
	for i := range 20 {
		answer(now().Add(-time.Duration(i%2)*time.Minute), nil)
	}
	got := c.Clock()
	if latency < time.Second && (got.Spread > time.Minute || got.Spread < time.Minute-latency-2*time.Second) {
		t.Errorf("%+v for two clocks a minute apart", got)
	}
	if reached := got.Reached(time.Now()); latency < time.Second && reached.After(now().Add(-time.Minute+latency+2*time.Second)) {
		t.Errorf("reached %v, the slower clock shows %v", reached, now().Add(-time.Minute))
	}
	for range 9 { // and at most so much is read again
		answer(now(), nil)
	}
	for i := range 9 {
		answer(now().Add(time.Duration(i%2)*48*time.Hour), nil)
	}
	if got := c.Clock(); got.Spread > 15*time.Minute {
		t.Errorf("%+v", got)
	}
}
