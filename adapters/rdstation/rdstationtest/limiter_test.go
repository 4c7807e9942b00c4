package rdstationtest

import (
	"strconv"
	"testing"
	"time"
)

// Leads whose windows ended are forgotten, so that memory is bounded; the others are not.
func TestLimiterForgets(t *testing.T) {
	l := limiter{limits: Limits{"a": {Max: 1, Per: time.Hour, PerLead: true}}, windows: map[limitKey]*window{}}
	now := time.Now()
	for i := range maxWindows {
		if i == maxWindows/2 {
			now = now.Add(30 * time.Minute)
		}
		l.take(now, limitKey{"a", strconv.Itoa(i)})
	}
	now = now.Add(30 * time.Minute)
	l.take(now, limitKey{"a", "one more"})
	if len(l.windows) != maxWindows/2+1 {
		t.Errorf("%d windows", len(l.windows))
	}
	if full, left := l.take(now, limitKey{"a", strconv.Itoa(maxWindows - 1)}); full == nil || left != 30*time.Minute {
		t.Errorf("a window that goes on was forgotten: %v", left)
	}
}
