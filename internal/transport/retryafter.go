package transport

import (
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter is the longest wish to wait that ParseRetryAfter reports.
const maxRetryAfter = 24 * time.Hour

// ParseRetryAfter reads the Retry-After header (RFC 9110, section 10.2.3): whole
// seconds or an HTTP date. The result is from 0, also for a date that is past, to
// 24 h, also for anything longer. It is false if the header is missing, there
// twice, negative, a fraction or anything else.
func ParseRetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	values := h.Values("Retry-After")
	if len(values) != 1 || values[0] == "" {
		return 0, false
	}
	if seconds, ok := parseSeconds(values[0]); ok {
		return seconds, true
	}
	date, err := http.ParseTime(values[0])
	if err != nil {
		return 0, false
	}
	// Sub saturates, so that no year is too far away.
	return min(max(date.Sub(now), 0), maxRetryAfter), true
}

func parseSeconds(s string) (time.Duration, bool) {
	for _, digit := range []byte(s) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
	}
	// More digits than fit can only mean more than the cap.
	seconds, err := strconv.ParseUint(s, 10, 64)
	if err != nil || seconds > uint64(maxRetryAfter/time.Second) {
		return maxRetryAfter, true
	}
	return time.Duration(seconds) * time.Second, true
}
