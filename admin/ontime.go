package admin

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"
)

// maxReaders bounds the pages and reads that have not begun to answer, those that were given
// up and go on behind a store that hangs among them.
const maxReaders = 256

// answerTime is how long a page or a read of the API waits for its data: longer than its
// parts do, so that a page whose parts are late can be shown with the rest.
func (o Options) answerTime() time.Duration { return o.SourceTimeout * 13 / 10 }

// onTime answers a GET request within answerTime, whatever hangs behind it. What has begun to
// answer by then, as streams and files have, goes on; what has not is told so by its context,
// and its answer is that the store is unavailable. A store that does not listen to its context
// keeps a goroutine, which Close waits for.
func (a *Admin) onTime(w http.ResponseWriter, r *http.Request, next http.Handler) {
	c := callOf(r.Context())
	late := time.NewTimer(a.options.answerTime())
	defer late.Stop()
	select {
	case a.limits.readers <- struct{}{}:
	case <-late.C:
		a.fail(w, r, c, newProblem(c, "store_unavailable"))
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	out := &firstAnswer{to: w, own: w.Header().Clone(), begun: sync.OnceFunc(func() { <-a.limits.readers })}
	done := make(chan any, 1) // what next panicked with, or nil
	go func() {
		defer func() {
			out.begun()
			done <- recover()
		}()
		next.ServeHTTP(out, r.WithContext(ctx))
	}()
	var cause any
	select {
	case cause = <-done:
	case <-late.C:
		if out.giveUp() {
			a.work.Go(func() { <-done })
			cancel(context.DeadlineExceeded)
			a.fail(w, r, c, newProblem(c, "store_unavailable"))
			return
		}
		cause = <-done
	}
	if cause != nil {
		panic(cause)
	}
	out.begin()
}

// firstAnswer is the writer of an answer that somebody else gives, if it does not begin in
// time. Its headers are its own until it begins.
type firstAnswer struct {
	to    http.ResponseWriter
	own   http.Header
	begun func()

	mu      sync.Mutex
	began   bool
	givenUp bool
}

// begin says whether this answer is the one.
func (w *firstAnswer) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.began && !w.givenUp {
		w.began = true
		clear(w.to.Header())
		maps.Copy(w.to.Header(), w.own)
		w.begun()
	}
	return w.began
}

// giveUp says whether the answer has not begun; from then on it goes nowhere.
func (w *firstAnswer) giveUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.givenUp = !w.began
	return w.givenUp
}

func (w *firstAnswer) Header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began {
		return w.to.Header()
	}
	return w.own
}

func (w *firstAnswer) WriteHeader(status int) {
	if w.begin() {
		w.to.WriteHeader(status)
	}
}

func (w *firstAnswer) Write(data []byte) (int, error) {
	if !w.begin() {
		return 0, http.ErrHandlerTimeout
	}
	return w.to.Write(data)
}

// FlushError is for http.ResponseController.
func (w *firstAnswer) FlushError() error {
	if !w.begin() {
		return http.ErrHandlerTimeout
	}
	return http.NewResponseController(w.to).Flush()
}

// SetWriteDeadline is for http.ResponseController. There is no Unwrap, which would let an
// answer that was given up set the deadline of the next one on the connection.
func (w *firstAnswer) SetWriteDeadline(at time.Time) error {
	if !w.begin() {
		return http.ErrHandlerTimeout
	}
	return http.NewResponseController(w.to).SetWriteDeadline(at)
}
