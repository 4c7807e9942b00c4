package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

// pipes is a network in memory, so that a thousand faulty exchanges with their
// back-offs and time-outs pass in virtual time.
type pipes struct {
	accept chan net.Conn
	refuse func() bool
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{accept: make(chan net.Conn), closed: make(chan struct{}), refuse: func() bool { return false }}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if p.refuse() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	select {
	case p.accept <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// virtual runs test in virtual time with a Sender, over a real http.Transport and
// http.Server, for http://api.example.com. opened counts the connections.
func virtual(t *testing.T, handler http.Handler, test func(t *testing.T, s *transport.Sender, opened *int)) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		opened := 0
		network.refuse = func() bool { opened++; return false }
		server := &http.Server{Handler: handler}
		var group sync.WaitGroup
		group.Go(func() { _ = server.Serve(network) })
		base := &http.Transport{DialContext: network.dial}
		s := inMemory(base)
		s.Endpoint = parse("http://api.example.com")
		test(t, s, &opened)
		base.CloseIdleConnections()
		server.Close()
		group.Wait()
	})
}

// The faults of a script, one for each request that arrives.
const (
	succeed = iota
	refuseDial
	refuse429
	fail500
	fail503
	hangUpAtOnce  // read the request, do it, close
	hangUpInBody  // half an answer
	garbage       // not HTTP
	never         // no answer
	closeWhenIdle // success, then the pooled connection dies
	faults
)

// script is what goes wrong next, and what the requests have done at the provider.
type script struct {
	mu    sync.Mutex
	steps []int
	ran   map[string]int // effects by URL path
}

func (s *script) set(steps []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = steps
}

// take returns the next step; if only is not negative, only if it is that one.
func (s *script) take(only int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.steps) == 0 || (only >= 0 && s.steps[0] != only) {
		return succeed
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	return next
}

func (s *script) effects(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ran[path]
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	fault := s.take(-1)
	if fault == refuse429 {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	s.mu.Lock()
	s.ran[r.URL.Path]++
	s.mu.Unlock()
	hijack := func(text string) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_, _ = conn.Write([]byte(text))
		conn.Close()
	}
	switch fault {
	case fail500:
		w.WriteHeader(500)
	case fail503:
		w.WriteHeader(503)
	case hangUpAtOnce, refuseDial: // on a pooled connection there is no dial to refuse
		hijack("")
	case hangUpInBody:
		hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	case garbage:
		hijack("nonsense\r\n\r\n")
	case never:
		<-r.Context().Done()
	case closeWhenIdle:
		hijack("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// unsafeRequest is the n-th request of the property test: not to be repeated,
// though net/http itself would repeat some of them.
func unsafeRequest(n int) transport.Request {
	method := []string{"POST", "PATCH", "GET", "DELETE", "POST"}[n%5]
	r := transport.Request{Method: method, URL: parse(fmt.Sprintf("http://api.example.com/%d", n))}
	if method == "POST" || method == "PATCH" {
		r.Body = []byte("body")
	}
	if n%5 == 4 {
		r.Header = http.Header{"Idempotency-Key": {"1"}}
	}
	return r
}

func TestUnkeyedWriteRunsAtMostOnce(t *testing.T) {
	const scripts = 1000
	synctest.Test(t, func(t *testing.T) {
		provider := &script{ran: map[string]int{}}
		network := newPipes()
		network.refuse = func() bool { return provider.take(refuseDial) == refuseDial }
		server := &http.Server{Handler: provider}
		var group sync.WaitGroup
		group.Go(func() { _ = server.Serve(network) })
		base := &http.Transport{DialContext: network.dial}
		s := &transport.Sender{Base: base, Endpoint: parse("http://api.example.com"), Judge: judge, AttemptTimeout: 5 * time.Second}

		random := rand.New(rand.NewPCG(1, 2))
		repeated, failed := 0, 0
		for n := range scripts {
			var plan []int
			for range random.IntN(6) {
				plan = append(plan, random.IntN(faults))
			}
			provider.set(plan)
			r := unsafeRequest(n)
			response, err := s.Send(t.Context(), r)
			ran := provider.effects(r.URL.Path)
			if ran > 1 || (err == nil && ran != 1) {
				t.Errorf("%s %v ran %d times with error %v, script %v", r.Method, r.Header, ran, err, plan)
			}
			if fault, ok := err.(*transport.Fault); ok && fault.Stage == transport.NotSent && ran != 0 {
				t.Errorf("%s: said to be not sent but ran, script %v: %v", r.Method, plan, err)
			}
			if response.Attempts > 1 {
				repeated++
			}
			if err != nil {
				failed++
			}
			if n%10 == 0 { // or later scripts would hardly dial
				base.CloseIdleConnections()
			}
		}
		if repeated < scripts/20 || failed < scripts/5 {
			t.Errorf("%d repeated and %d failed: the scripts test nothing", repeated, failed)
		}
		base.CloseIdleConnections()
		server.Close()
		group.Wait()
	})
}

// Each of these would hold the caller for ever, or look like an answer.
func TestBrokenServers(t *testing.T) {
	request := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }
	forever := func(conn net.Conn, piece string) {
		for {
			if _, err := conn.Write([]byte(piece)); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	for _, c := range []struct {
		name   string
		serve  func(net.Conn)
		reason error // nil: any
	}{
		{"trickling body", func(conn net.Conn) {
			request(conn)
			io.WriteString(conn, "HTTP/1.1 503 Busy\r\nContent-Length: 100000000\r\n\r\n")
			forever(conn, "x")
		}, transport.ErrTooLarge},
		{"trickling small body", func(conn net.Conn) {
			request(conn)
			io.WriteString(conn, "HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\n")
			forever(conn, "x")
		}, transport.ErrTimeout},
		{"trickling chunks", func(conn net.Conn) {
			request(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			forever(conn, "1\r\nx\r\n")
		}, transport.ErrTimeout},
		{"never-ending header", func(conn net.Conn) {
			request(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			forever(conn, "X-Header: value\r\n")
		}, transport.ErrTimeout},
		{"huge header", func(conn net.Conn) {
			request(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Header: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
		}, nil},
		{"flood of 1xx", func(conn net.Conn) {
			request(conn)
			forever(conn, "HTTP/1.1 103 Early Hints\r\nLink: </canary>\r\n\r\n")
		}, nil},
		{"silence", func(conn net.Conn) { request(conn) }, transport.ErrTimeout},
		{"reset", func(conn net.Conn) {
			request(conn)
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}, nil},
		{"half close", func(conn net.Conn) {
			request(conn)
			_ = conn.(*net.TCPConn).CloseWrite()
		}, nil},
		{"half an answer", func(conn net.Conn) {
			request(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			conn.Close()
		}, nil},
		{"garbage", func(conn net.Conn) {
			request(conn)
			io.WriteString(conn, "canary canary\r\n\r\n")
			conn.Close()
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, c.serve)
			s := onLoopback(t, address)
			s.AttemptTimeout = 50 * time.Millisecond
			response, err := s.Send(t.Context(), post(address))
			wantStage(t, err, transport.Sent, c.reason)
			if response.Attempts != 1 || strings.Contains(fmt.Sprint(err), "canary") {
				t.Errorf("%d attempts: %v", response.Attempts, err)
			}
		})
	}
}

func TestNotSentIsRepeated(t *testing.T) {
	for _, c := range []struct {
		cause  error
		reason error // what it becomes; nil: any
		text   string
	}{
		{syscall.ECONNREFUSED, syscall.ECONNREFUSED, "connection refused"},
		{&net.DNSError{Err: "no such host", Name: canary, Server: canary, IsNotFound: true}, nil, "the host name does not resolve"},
		{&net.DNSError{Err: "i/o timeout", Name: canary, IsTimeout: true}, transport.ErrTimeout, "timed out"},
		{context.DeadlineExceeded, transport.ErrTimeout, "timed out"},
		{errors.New(canary), nil, "the connection failed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			dials := 0
			s := inMemory(&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				dials++
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: c.cause}
			}})
			_, err := s.Send(t.Context(), post("http://api.example.com/path"))
			wantStage(t, err, transport.NotSent, c.reason)
			if dials != 4 || err.Error() != "POST api.example.com: "+c.text {
				t.Errorf("%d dials: %v", dials, err)
			}
		})
	}
}

// A later attempt that was certainly not sent does not undo an earlier one.
func TestStageIsOfAllAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		dials := 0
		network.refuse = func() bool { dials++; return dials > 1 }
		var group sync.WaitGroup
		group.Go(func() {
			conn := <-network.accept
			_, _ = conn.Read(make([]byte, 4096))
			conn.Close()
		})
		_, err := inMemory(&http.Transport{DialContext: network.dial}).Send(t.Context(), get("http://api.example.com/"))
		wantStage(t, err, transport.Sent, syscall.ECONNREFUSED)
		group.Wait()
	})
}

func TestTLSFailures(t *testing.T) {
	// Somebody who does not speak TLS: nothing of the request has left.
	address := raw(t, func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n"); conn.Close() })
	address = strings.Replace(address, "http:", "https:", 1)
	s := onLoopback(t, address)
	s.Attempts = 2
	response, err := s.Send(t.Context(), post(address))
	wantStage(t, err, transport.NotSent, nil)
	if response.Attempts != 2 {
		t.Errorf("%d attempts: %v", response.Attempts, err)
	}
}

func TestUntrustedCertificateIsFinal(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer server.Close()
	response, err := onLoopback(t, server.URL).Send(t.Context(), get(server.URL))
	wantStage(t, err, transport.NotSent, nil)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || response.Attempts != 1 {
		t.Errorf("%d attempts: %v", response.Attempts, err)
	}
}

func TestCancelledOnTheWire(t *testing.T) {
	arrived := make(chan struct{})
	address := raw(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		close(arrived)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := onLoopback(t, address).Send(ctx, get(address))
	wantStage(t, err, transport.Sent, context.Canceled)
}
