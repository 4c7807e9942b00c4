package bitrix24test

import (
	"net/http"
	"strconv"
	"time"
)

// restError is an answer of the portal that says no.
type restError struct {
	status            int
	code, description string
}

// page is what a list method adds to its result.
type page struct {
	total, next       int64
	hasTotal, hasNext bool
}

// timing is what becomes the time object of an answer.
type timing struct {
	started, finished time.Time
	operating         time.Duration
	resetAt           time.Time // zero when nothing was recorded
}

// appendTime appends the time object (sheet 2.2, F20).
func (p *Portal) appendTime(dst []byte, t timing) []byte {
	duration := t.finished.Sub(t.started)
	dst = append(dst, `{"start":`...)
	if p.quirks.WholeSeconds {
		dst = strconv.AppendInt(dst, t.started.Unix(), 10)
		duration = t.finished.Sub(time.Unix(t.started.Unix(), 0))
	} else {
		dst = appendUnix(dst, t.started)
	}
	dst = appendUnix(append(dst, `,"finish":`...), t.finished)
	dst = appendSeconds(append(dst, `,"duration":`...), duration)
	dst = append(dst, `,"processing":`...)
	if p.quirks.WholeSeconds {
		dst = append(dst, '0')
	} else {
		dst = appendSeconds(dst, t.finished.Sub(t.started))
	}
	dst = appendISO(append(dst, `,"date_start":"`...), t.started.Unix(), p.location)
	dst = appendISO(append(dst, `","date_finish":"`...), t.finished.Unix(), p.location)
	dst = append(dst, '"')
	if !p.selfHosted {
		dst = appendSeconds(append(dst, `,"operating":`...), t.operating)
		if !t.resetAt.IsZero() {
			dst = strconv.AppendInt(append(dst, `,"operating_reset_at":`...), t.resetAt.Unix(), 10)
		}
	}
	return append(dst, '}')
}

// appendUnix appends an instant as Unix seconds with a fraction, which the real portal always shows.
func appendUnix(dst []byte, t time.Time) []byte {
	micro := t.Nanosecond() / 1000
	dst = strconv.AppendInt(dst, t.Unix(), 10)
	digits := strconv.Itoa(1_000_000 + micro)
	return append(append(dst, '.'), digits[1:]...)
}

// appendTail appends what follows the result of an answer.
func (p *Portal) appendTail(dst []byte, extras page, t timing) []byte {
	if extras.hasTotal {
		dst = strconv.AppendInt(append(dst, `,"total":`...), extras.total, 10)
	}
	if extras.hasNext {
		dst = strconv.AppendInt(append(dst, `,"next":`...), extras.next, 10)
	}
	dst = p.appendTime(append(dst, `,"time":`...), t)
	return append(dst, '}')
}

func (p *Portal) appendError(dst []byte, err *restError) []byte {
	dst = appendString(append(dst, `{"error":`...), err.code, p.quirks.EscapeJSON)
	dst = appendString(append(dst, `,"error_description":`...), err.description, p.quirks.EscapeJSON)
	return append(dst, '}')
}

func (p *Portal) writeError(w http.ResponseWriter, err *restError) {
	writeJSON(w, err.status, p.appendError(nil, err))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

func writeHTML(w http.ResponseWriter, status int, text string) {
	body := "<html><head><title>" + text + "</title></head><body><center><h1>" + text + "</h1></center></body></html>\n"
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write([]byte(body))
}
