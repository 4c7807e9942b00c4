package admin

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

type testKey struct{}

// traced makes ctx tell where the time of each request goes.
func (n *test) traced(ctx context.Context) context.Context {
	t := &tracer{test: n}
	return httptrace.WithClientTrace(context.WithValue(ctx, tracerKey{}, t), &httptrace.ClientTrace{
		GetConn:      func(string) { t.mark(func(m *marks, now time.Time) { *m = marks{begin: now} }) },
		DNSStart:     func(httptrace.DNSStartInfo) { t.mark(func(m *marks, now time.Time) { m.dnsFrom = now }) },
		DNSDone:      func(httptrace.DNSDoneInfo) { t.mark(func(m *marks, now time.Time) { m.dns = now.Sub(m.dnsFrom) }) },
		ConnectStart: func(string, string) { t.mark(func(m *marks, now time.Time) { m.connectFrom = now }) },
		ConnectDone: func(string, string, error) {
			t.mark(func(m *marks, now time.Time) { m.connect = now.Sub(m.connectFrom) })
		},
		TLSHandshakeStart: func() { t.mark(func(m *marks, now time.Time) { m.tlsFrom = now }) },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { t.mark(func(m *marks, now time.Time) { m.tls = now.Sub(m.tlsFrom) }) },
		GotConn: func(i httptrace.GotConnInfo) {
			t.mark(func(m *marks, now time.Time) { m.got, m.reused = now, i.Reused })
		},
		GotFirstResponseByte: func() { t.mark(func(m *marks, now time.Time) { m.first = now }) },
	})
}

type tracerKey struct{}

// tracer gathers the marks of the request that is under way. Where an adapter has
// several at a time they are mixed: the console's tests have one.
type tracer struct {
	test *test
	mu   sync.Mutex
	now  marks
}

type marks struct {
	begin, dnsFrom, connectFrom, tlsFrom, got, first time.Time
	dns, connect, tls                                time.Duration
	reused                                           bool
}

func (t *tracer) mark(set func(*marks, time.Time)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set(&t.now, time.Now())
}

// observeTest writes what a test's requests did into its log and its breakdown.
func observeTest(ctx context.Context, o enlace.Observation) *test {
	t, ok := ctx.Value(tracerKey{}).(*tracer)
	if !ok {
		return nil
	}
	done, ok := o.(enlace.RequestDone)
	if !ok {
		return nil
	}
	t.mu.Lock()
	m := t.now
	t.mu.Unlock()
	end := time.Now()
	timing := requestTiming{Op: done.Op, Method: done.Method, Status: done.Status, Attempt: done.Attempt, Waited: done.Waited, Total: done.Duration,
		DNS: m.dns, Connect: m.connect, TLS: m.tls, Reused: m.reused, Kind: done.Kind}
	if m.first.After(m.got) && !m.got.IsZero() {
		timing.Wait, timing.Read = m.first.Sub(m.got), max(0, end.Sub(m.first))
	} else {
		timing.Wait = max(0, done.Duration-m.dns-m.connect-m.tls)
	}
	n := t.test
	n.mu.Lock()
	defer n.mu.Unlock()
	timing.Start = max(0, end.Sub(n.started)-done.Duration)
	if len(n.requests) < maxTestSteps {
		n.requests = append(n.requests, timing)
	}
	text := done.Method + " " + done.Op + " → " + strconv.Itoa(done.Status) + " in " + english1.duration(done.Duration)
	level := "info"
	if done.Kind != "" {
		text, level = text+" ("+done.Kind+")", "warn"
	}
	if done.Attempt > 1 {
		text += ", attempt " + strconv.Itoa(done.Attempt)
	}
	n.logLocked(level, text)
	return n
}
