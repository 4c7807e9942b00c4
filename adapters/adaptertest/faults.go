package adaptertest

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

// fault is something that goes wrong with a request.
type fault struct {
	name    string
	genuine bool // the provider carries the request out first
	happen  func(v *visit) (answer, io.Reader, error)

	kinds   []error       // what the failure of a call that meets nothing else may be
	passing bool          // a read that meets it once succeeds all the same
	wait    time.Duration // what the provider asks for
}

// visit is a request that meets a fault.
type visit struct {
	wire    *wire
	request *http.Request
	body    []byte
	genuine answer
}

// once lets the fault happen to the nth request only, always to all from it on.
func (f *fault) once(n int) func(int) *fault   { return f.times(n, 1) }
func (f *fault) always(n int) func(int) *fault { return f.times(n, maxRequests) }

func (f *fault) times(from, times int) func(int) *fault {
	return func(n int) *fault {
		if n >= from && n < from+times {
			return f
		}
		return nil
	}
}

// after is the same fault, met when the provider has carried the request out.
func (f *fault) after() *fault {
	late := *f
	late.genuine = true
	return &late
}

func status(code int, header http.Header) func(*visit) (answer, io.Reader, error) {
	return func(*visit) (answer, io.Reader, error) {
		h := header.Clone()
		if h == nil {
			h = http.Header{}
		}
		h.Set("Content-Type", "text/plain; charset=utf-8")
		return answer{code, h, []byte(http.StatusText(code))}, nil, nil
	}
}

func retryAfter(d time.Duration) http.Header {
	return http.Header{"Retry-After": {strconv.Itoa(int(d.Seconds()))}}
}

var (
	unclear  = []error{enlace.ErrUnavailable}
	spoilt   = []error{enlace.ErrProtocol, enlace.ErrUnavailable}
	limited  = []error{enlace.ErrRateLimited}
	longWait = time.Hour
)

var (
	rateLimit   = &fault{name: "429", happen: status(429, nil), kinds: limited, passing: true}
	shortLimit  = &fault{name: "429 Retry-After 30", happen: status(429, retryAfter(30*time.Second)), kinds: limited, passing: true, wait: 30 * time.Second}
	longLimit   = &fault{name: "429 Retry-After 3600", happen: status(429, retryAfter(longWait)), kinds: limited, wait: longWait}
	outage500   = &fault{name: "500", happen: status(500, nil), kinds: unclear, passing: true}
	outage503   = &fault{name: "503", happen: status(503, nil), kinds: unclear, passing: true}
	reset       = &fault{name: "reset", kinds: unclear, passing: true, happen: func(*visit) (answer, io.Reader, error) { return answer{}, nil, errReset }}
	refused401  = &fault{name: "401", happen: status(401, nil), kinds: []error{enlace.ErrAuth}}
	refused403  = &fault{name: "403", happen: status(403, nil), kinds: []error{enlace.ErrForbidden, enlace.ErrAuth}}
	truncated   = &fault{name: "truncated JSON", genuine: true, kinds: spoilt, happen: truncate}
	html        = &fault{name: "HTML with 200", kinds: spoilt, happen: maintenancePage}
	otherJSON   = &fault{name: "other JSON with 200", kinds: spoilt, happen: softError}
	slowDrip    = &fault{name: "slow drip", genuine: true, kinds: unclear, passing: true, happen: drip}
	samePage    = &fault{name: "repeated page", genuine: true, happen: repeatPage}
	hanging     = &fault{name: "hang", kinds: []error{enlace.ErrCanceled}, happen: hang}
	echoes      = []*fault{echo(400), echo(500), echo(200)}
	readFaults  = []*fault{rateLimit, shortLimit, longLimit, outage500, outage503, reset, refused401, refused403, truncated, html, otherJSON, slowDrip}
	writeFaults = []*fault{outage500, outage503, reset, truncated, slowDrip, html, otherJSON}
)

// truncate cuts the genuine answer in half.
func truncate(v *visit) (answer, io.Reader, error) {
	a := v.genuine
	a.body = a.body[:len(a.body)/2]
	return a, nil, nil
}

func maintenancePage(*visit) (answer, io.Reader, error) {
	return answer{200, http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		[]byte("<!DOCTYPE html><title>Maintenance</title><p>We are back soon.")}, nil, nil
}

// softError is JSON that has nothing to do with what was asked.
func softError(*visit) (answer, io.Reader, error) {
	return answer{200, http.Header{"Content-Type": {"application/json"}}, []byte(`{"adaptertest":"temporarily unavailable"}`)}, nil, nil
}

// drip sends the genuine answer in drops: no single wait is long.
func drip(v *visit) (answer, io.Reader, error) {
	return v.genuine, &drops{v.request.Context(), slices.Concat(v.genuine.body, make([]byte, 100))}, nil
}

type drops struct {
	ctx  context.Context
	left []byte
}

// Read implements io.Reader.
func (d *drops) Read(p []byte) (int, error) {
	if err := sleep(d.ctx, 5*time.Second); err != nil {
		return 0, err
	}
	if len(d.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(1, len(p))], d.left)
	d.left = d.left[n:]
	return n, nil
}

// hang gives no answer until the other side gives up.
func hang(v *visit) (answer, io.Reader, error) {
	<-v.request.Context().Done()
	return answer{}, nil, context.Cause(v.request.Context())
}

// repeatPage answers with the first page that a request of the same form got.
func repeatPage(v *visit) (answer, io.Reader, error) {
	key := formOf(v.request, v.body)
	v.wire.mu.Lock()
	defer v.wire.mu.Unlock()
	first, ok := v.wire.pages[key]
	if !ok {
		first = v.genuine
		v.wire.pages[key] = first
	}
	return first, nil, nil
}

// formOf is a request without its values: method, path and names of parameters.
func formOf(r *http.Request, body []byte) string {
	names := slices.Sorted(maps.Keys(r.URL.Query()))
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) == nil {
		names = append(names, slices.Sorted(maps.Keys(fields))...)
	}
	return r.Method + " " + r.URL.Path + " " + strings.Join(names, " ")
}

// echo repeats the request in the answer, with everything secret in it, in the
// places where providers put their messages.
func echo(code int) *fault {
	return &fault{name: "echo with " + strconv.Itoa(code), happen: func(v *visit) (answer, io.Reader, error) {
		text := v.request.Method + " " + v.request.URL.String() + " " + string(v.body)
		for name, values := range v.request.Header {
			for _, value := range values {
				text += " " + name + ": " + value
			}
		}
		body, err := json.Marshal(map[string]any{"error": text, "message": text, "error_description": text, "detail": text,
			"code": text, "status": "error", "errors": []any{map[string]string{"message": text}}})
		return answer{code, http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"1"}}, body}, nil, err
	}}
}

// refusal is the provider's own answer as a fault.
func refusal(r Refusal) *fault {
	return &fault{name: r.Name, kinds: []error{r.Kind}, happen: func(*visit) (answer, io.Reader, error) {
		return answer{r.Status, r.Header, []byte(r.Body)}, nil, nil
	}}
}
