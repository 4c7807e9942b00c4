package zapsigntest

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// rateWindow counts within one minute of the clock (F7).
type rateWindow struct {
	minute time.Time
	counts map[string]int
}

// take counts a request of somebody unless the limit is reached.
func (w *rateWindow) take(now time.Time, who string, limit int) bool {
	if minute := now.Truncate(time.Minute); !minute.Equal(w.minute) || w.counts == nil {
		w.minute, w.counts = minute, map[string]int{}
	}
	if limit < 0 {
		return true
	}
	if w.counts[who] >= limit {
		return false
	}
	w.counts[who]++
	return true
}

// limit counts a request and returns the refusal if it is one too many: nothing but the status.
func (a *API) limit(who string) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.window.take(now, who, a.options.RateLimit) {
		return nil
	}
	no := tooMany(now, a.options.Quirks.RetryAfter)
	return &no
}

func tooMany(now time.Time, retryAfter bool) answer {
	no := answer{status: http.StatusTooManyRequests}
	if retryAfter {
		left := now.Truncate(time.Minute).Add(time.Minute).Sub(now)
		no.header = map[string]string{"Retry-After": strconv.Itoa(int((left + time.Second - 1) / time.Second))}
	}
	return no
}

func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
