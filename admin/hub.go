package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	maxUserStreams   = 24
	heartbeat        = 15 * time.Second
	recheckAccess    = time.Minute
	streamWriteLimit = 10 * time.Second
	gatherSignals    = 250 * time.Millisecond
)

// signal says that something has changed; who wants to know what reads it.
type signal struct {
	Topic       string `json:"topic"`                 // "integrations", "runs", "requests"…
	Integration string `json:"integration,omitempty"` // its id, if it concerns one
	Action      string `json:"action,omitempty"`
	Run         string `json:"run,omitempty"`
}

// hub passes what the service does on to open streams. A stream holds a set of
// signals that is gathered for a moment and bounded: one that does not drain costs
// nothing to anybody, and loses only repetitions.
type hub struct {
	unwatch func()
	limit   int

	mu      sync.Mutex
	streams map[*stream]struct{}
	users   map[string]int
	numbers map[string]uint64 // of the last signal, by tenant
	once    sync.Once
}

// stream is one open connection.
type stream struct {
	tenant  string
	audit   bool // may be told of audit entries
	wake    chan struct{}
	mu      sync.Mutex
	pending []signal
	seen    map[signal]struct{}
	number  uint64 // of the last signal
	lost    bool   // more happened than fits: the reader must read everything anew
}

// maxPending is how many different signals a stream holds until it is drained.
const maxPending = 256

func (a *Admin) newHub(limit int) *hub {
	h := &hub{limit: limit, streams: map[*stream]struct{}{}, users: map[string]int{}, numbers: map[string]uint64{}}
	h.unwatch = a.service.Watch(func(ctx context.Context, o enlace.Observation) {
		if n := observeTest(ctx, o); n != nil {
			h.publish(n.tenant, signal{Topic: "tests", Run: n.id})
		}
		if s, ok := enlace.SignalOf(o); ok {
			h.publish(s.Ref.Tenant, signal{Topic: s.Topic, Integration: s.Ref.ID, Action: s.Action, Run: s.RunID})
		} else if _, missed := o.(enlace.SignalsMissed); missed {
			h.resync()
		}
	})
	return h
}

func (h *hub) close() {
	h.once.Do(h.unwatch)
}

// publish tells every stream of the tenant. It never waits.
func (h *hub) publish(tenant string, s signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.numbers[tenant]++
	for stream := range h.streams {
		if stream.tenant == tenant && (s.Topic != "audit" || stream.audit) {
			stream.add(s, h.numbers[tenant])
		}
	}
}

// resync has every stream read everything anew.
func (h *hub) resync() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for stream := range h.streams {
		h.numbers[stream.tenant]++
		stream.lose(h.numbers[stream.tenant])
	}
}

// number is that of the tenant's last signal. A page carries the one from before
// its data was read, so that its script can tell whether it has missed something.
func (h *hub) number(tenant string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.numbers[tenant]
}

func (s *stream) add(sig signal, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number = number
	if _, known := s.seen[sig]; known || s.lost {
		return
	}
	if len(s.pending) >= maxPending {
		s.pending, s.seen, s.lost = nil, map[signal]struct{}{}, true
	} else {
		s.seen[sig] = struct{}{}
		s.pending = append(s.pending, sig)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// lose is add for what nobody knows.
func (s *stream) lose(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number, s.pending, s.seen, s.lost = number, nil, map[signal]struct{}{}, true
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) drain() (signals []signal, number uint64, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signals, lost = s.pending, s.lost
	s.pending, s.seen, s.lost = nil, map[signal]struct{}{}, false
	return signals, s.number, lost
}

// open adds a stream, or says that there are too many.
func (h *hub) open(access Access) (*stream, bool) {
	user := access.User
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.streams) >= h.limit || h.users[user] >= maxUserStreams {
		return nil, false
	}
	s := &stream{tenant: access.Tenant, audit: access.Grants.Has(GrantViewAudit), wake: make(chan struct{}, 1), seen: map[signal]struct{}{}}
	h.streams[s] = struct{}{}
	h.users[user]++
	return s, true
}

func (h *hub) leave(s *stream, user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
	if h.users[user]--; h.users[user] <= 0 {
		delete(h.users, user)
	}
}

// errNoFlush: the host's middleware hides that answers can be sent in parts.
var errNoFlush = errors.New("admin: the response writer cannot flush")

// live streams what happens, for pages and programs alike: events named by their
// topic, whose data is JSON, and whose id is the number of the last signal. The
// first is "hello": who has read at another number reads again. "resync" asks to
// read everything anew.
func (a *Admin) live(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.liveOf(w, r, c, "")
}

// liveOf is live narrowed to one integration; "" is all of the tenant's.
func (a *Admin) liveOf(w http.ResponseWriter, r *http.Request, c *call, integration string) error {
	greeted := false
	return a.streaming(w, r, c, GrantView, func(ctx context.Context, out *eventWriter, s *stream) bool {
		if !greeted {
			greeted, out.number = true, a.hub.number(c.access.Tenant)
			if a.options.Logs != nil && integration == "" && c.may(GrantViewLogs) {
				a.work.Go(func() { a.tellLogs(ctx, c.access.Tenant, s) })
			}
			out.event("hello", signal{Topic: "hello"})
			return true
		}
		signals, number, lost, ok := s.next(ctx)
		if !ok {
			out.comment("beat")
			return ctx.Err() == nil
		}
		out.number = number
		if lost {
			out.event("resync", signal{Topic: "resync"})
		}
		for _, sig := range signals {
			if integration == "" || sig.Integration == integration {
				out.event(sig.Topic, sig)
			}
		}
		return true
	})
}

// next waits for signals until the heartbeat is due; ok is false if there was none.
// What belongs together is gathered for a moment, so that a busy sync costs a few events
// a second.
func (s *stream) next(ctx context.Context) (signals []signal, number uint64, lost, ok bool) {
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	select {
	case <-ctx.Done():
		return nil, 0, false, false
	case <-beat.C:
		return nil, 0, false, false
	case <-s.wake:
	}
	if !pause(ctx, gatherSignals) {
		return nil, 0, false, false
	}
	signals, number, lost = s.drain()
	return signals, number, lost, true
}

// streaming answers with events: it calls write again and again, until that returns
// false, the client leaves, the user no longer has the grant, or the admin closes.
// write returns within a heartbeat.
func (a *Admin) streaming(w http.ResponseWriter, r *http.Request, c *call, grant Grants, write func(ctx context.Context, out *eventWriter, s *stream) bool) error {
	s, ok := a.hub.open(c.access)
	if !ok {
		w.Header().Set("Retry-After", "30")
		return newProblem(c, "too_many_streams")
	}
	defer a.hub.leave(s, c.access.User)
	out := &eventWriter{w: w, control: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	if err := out.control.Flush(); errors.Is(err, http.ErrNotSupported) {
		return errNoFlush // the page goes on by asking every few seconds
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.stopping, cancel)()
	checked := time.Now()
	for ctx.Err() == nil && write(ctx, out, s) && out.err == nil {
		if time.Since(checked) < recheckAccess {
			continue
		}
		checked = time.Now()
		if access, status := a.authorize(c.original(r)); status != 0 || !access.Grants.Has(grant) || access.Tenant != c.access.Tenant {
			break
		}
	}
	return nil
}

// eventWriter writes server-sent events, each within a bounded time.
type eventWriter struct {
	w       io.Writer
	control *http.ResponseController
	number  uint64 // of the last signal that is in what is written
	err     error
}

func (e *eventWriter) event(name string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		return
	}
	e.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.number, name, text))
}

func (e *eventWriter) comment(text string) { e.write(": " + text + "\n\n") }

func (e *eventWriter) write(text string) {
	if e.err != nil {
		return
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(streamWriteLimit)) // not every writer has one
	if _, e.err = io.WriteString(e.w, text); e.err == nil {
		e.err = e.control.Flush()
	}
}

// pause waits, and says whether ctx has not ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
