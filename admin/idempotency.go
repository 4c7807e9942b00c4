package admin

import (
	"bytes"
	"crypto/sha256"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

const (
	answerLife     = 24 * time.Hour
	maxAnswers     = 2000
	maxAnswerBytes = 256 << 10
	maxKeyLength   = 200
)

// answers remember what a POST with an Idempotency-Key has answered, so that one
// sent again gets the same and is not carried out twice. They are in memory: a
// repetition must reach the same process within a day.
type answers struct {
	mu    sync.Mutex
	byKey map[string]*keptAnswer
	order []string // oldest first
}

type keptAnswer struct {
	request [sha256.Size]byte
	done    bool
	at      time.Time
	status  int
	header  http.Header
	body    []byte
}

func newAnswers() *answers { return &answers{byKey: map[string]*keptAnswer{}} }

// once carries out next, unless the user has sent the same before.
func (a *Admin) once(w http.ResponseWriter, r *http.Request, next http.Handler) {
	key := r.Header.Get("Idempotency-Key")
	if r.Method != http.MethodPost || key == "" {
		next.ServeHTTP(w, r)
		return
	}
	c := callOf(r.Context())
	body, err := io.ReadAll(r.Body)
	if err != nil || len(key) > maxKeyLength {
		writeProblem(w, r, c, newProblem(c, map[bool]string{true: "payload_too_large", false: "bad_request"}[err != nil]))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(append([]byte(r.URL.Path+"?"+r.URL.RawQuery+"\x00"), body...))
	key = c.access.Tenant + "\x00" + c.access.User + "\x00" + key
	kept, code := a.answers.begin(key, sum)
	switch {
	case code != "":
		writeProblem(w, r, c, newProblem(c, code))
	case kept != nil:
		maps.Copy(w.Header(), kept.header)
		w.Header().Set("Idempotent-Replayed", "true")
		w.WriteHeader(kept.status)
		_, _ = w.Write(kept.body)
	default:
		recording := &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() { a.answers.finish(key, recording) }()
		next.ServeHTTP(recording, r)
	}
}

// begin returns the kept answer, or the code of a refusal, or neither if the
// request is to be carried out.
func (a *answers) begin(key string, request [sha256.Size]byte) (*keptAnswer, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kept, ok := a.byKey[key]; ok && time.Since(kept.at) < answerLife {
		switch {
		case kept.request != request:
			return nil, "idempotency_mismatch"
		case !kept.done:
			return nil, "already_running"
		default:
			return kept, ""
		}
	}
	for len(a.order) >= maxAnswers {
		delete(a.byKey, a.order[0])
		a.order = a.order[1:]
	}
	a.byKey[key] = &keptAnswer{request: request, at: time.Now()}
	a.order = append(a.order, key)
	return nil, ""
}

// finish keeps the answer. One of our own faults, a limit, one too large and one with a
// cookie are not kept: the request may be sent again.
func (a *answers) finish(key string, r *recorder) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept, ok := a.byKey[key]
	if !ok {
		return
	}
	if r.status >= 500 || r.status == http.StatusTooManyRequests || r.body.Len() > maxAnswerBytes || r.Header().Get("Set-Cookie") != "" {
		delete(a.byKey, key)
		return
	}
	kept.done, kept.status, kept.body = true, r.status, r.body.Bytes()
	kept.header = http.Header{}
	for _, name := range []string{"Content-Type", "Location", "ETag"} {
		if values := r.Header().Values(name); values != nil {
			kept.header[http.CanonicalHeaderKey(name)] = values
		}
	}
}

// recorder passes an answer on and keeps a copy.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.body.Len() <= maxAnswerBytes {
		r.body.Write(data)
	}
	return r.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
