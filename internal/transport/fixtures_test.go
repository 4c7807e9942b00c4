package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/enlace-go/enlace/internal/guard"
	"github.com/enlace-go/enlace/internal/transport"
)

// roundTrip is a Base in memory. It does not trace, so its errors count as sent.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body))}
}

// answers gives one answer after the other, the last one for ever, and counts.
func answers(count *int, list ...*http.Response) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		next := *list[min(*count, len(list)-1)]
		*count++
		body, _ := io.ReadAll(next.Body)
		list[min(*count-1, len(list)-1)].Body = io.NopCloser(bytes.NewReader(body))
		next.Body = io.NopCloser(bytes.NewReader(body))
		return &next, nil
	}
}

type statusError int

func (e statusError) Error() string { return "status " + strconv.Itoa(int(e)) }

// judge decides by the status alone.
func judge(status int, h http.Header, _ []byte) transport.Verdict {
	after, _ := transport.ParseRetryAfter(h, time.Now())
	v := transport.Verdict{Action: transport.Fail, Err: statusError(status), RetryAfter: after}
	switch {
	case status/100 == 2:
		return transport.Verdict{}
	case status == http.StatusUnauthorized:
		v.Action = transport.Reauthorize
	case status == http.StatusTooManyRequests:
		v.Action, v.Pause = transport.RetryRefused, true
	case status >= 500:
		v.Action = transport.RetryAmbiguous
	}
	return v
}

func parse(address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u
}

const endpoint = "https://api.example.com/rest/"

func inMemory(base http.RoundTripper) *transport.Sender {
	return &transport.Sender{Base: base, Endpoint: parse(endpoint), Judge: judge}
}

func get(address string) transport.Request {
	return transport.Request{Method: http.MethodGet, URL: parse(address), Idempotent: true, Label: "read"}
}

func post(address string) transport.Request {
	return transport.Request{Method: http.MethodPost, URL: parse(address), Body: []byte("body"), Label: "write"}
}

// onLoopback is a Sender for real servers on this machine.
func onLoopback(t testing.TB, address string) *transport.Sender {
	base := guard.Transport(guard.Policy{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	t.Cleanup(base.CloseIdleConnections)
	return &transport.Sender{Base: base, Endpoint: parse(address), Judge: judge, AttemptTimeout: 10 * time.Second}
}

// raw is a server that leaves each connection to serve, and counts them.
func raw(t *testing.T, serve func(net.Conn)) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var conns []net.Conn
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			go serve(conn)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		for _, conn := range conns {
			conn.Close()
		}
	})
	return "http://" + listener.Addr().String()
}

func wantStage(t *testing.T, err error, stage transport.Stage, reason error) {
	t.Helper()
	fault, ok := errors.AsType[*transport.Fault](err)
	if !ok || fault.Stage != stage || (reason != nil && !errors.Is(err, reason)) {
		t.Errorf("error %v (%T), want a Fault in stage %d for %v", err, err, stage, reason)
	}
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(reason, context.DeadlineExceeded) {
		t.Errorf("%v must not look like the caller's deadline", err)
	}
}

func mustSend(t *testing.T, s *transport.Sender, r transport.Request) transport.Response {
	t.Helper()
	response, err := s.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

var errFake = fmt.Errorf("fake network error")
