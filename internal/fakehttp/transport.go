// Package fakehttp is what the fakes of providers have in common: requests without
// a network, answers that break off or come in drops, and listeners on the loopback
// interface.
package fakehttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// Transport returns a transport that hands requests to the handler without a
// network, whatever their host. Each takes roundTrip longer than the handler needs,
// half of it before and half after. The handler runs in the goroutine of the
// request; what it does after the request's context has ended is waited for, then
// thrown away. Time is spent with timers only and no goroutine is started, so that
// it works in a bubble of testing/synctest.
func Transport(handler http.Handler, roundTrip time.Duration) http.RoundTripper {
	return &transport{handler, roundTrip / 2}
}

type transport struct {
	handler http.Handler
	half    time.Duration // of the time that the network takes
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := Pause(ctx, t.half); err != nil {
		return nil, err
	}
	w := &memoryWriter{header: http.Header{}, status: http.StatusOK}
	broken := w.serve(t.handler, Incoming(r))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if broken {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	if err := Pause(ctx, t.half); err != nil {
		return nil, err
	}
	return w.response(r), nil
}

// Incoming makes of a client's request the one that a server sees.
func Incoming(r *http.Request) *http.Request {
	in := r.WithContext(r.Context())
	address := *r.URL
	in.URL, in.RequestURI = &address, r.URL.RequestURI()
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Header = r.Header.Clone(); in.Header == nil {
		in.Header = http.Header{}
	}
	if _, set := in.Header["User-Agent"]; !set {
		in.Header.Set("User-Agent", "Go-http-client/1.1") // as net/http's own transport does
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RemoteAddr = "192.0.2.1:1234"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname()}
	}
	return in
}

// memoryWriter takes a handler's answer.
type memoryWriter struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
	later  io.Reader // a body that is not ready yet
	length int
}

// serve runs the handler and reports whether it broke the connection.
func (w *memoryWriter) serve(handler http.Handler, r *http.Request) (broken bool) {
	defer func() {
		if cause := recover(); cause == http.ErrAbortHandler {
			broken = true
		} else if cause != nil {
			panic(cause)
		}
	}()
	handler.ServeHTTP(w, r)
	return false
}

// Header implements [http.ResponseWriter].
func (w *memoryWriter) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *memoryWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.wrote, w.status = true, status
	}
}

// Write implements [http.ResponseWriter].
func (w *memoryWriter) Write(data []byte) (int, error) {
	w.wrote = true
	return w.body.Write(data)
}

func (w *memoryWriter) response(r *http.Request) *http.Response {
	body, length := io.Reader(&w.body), w.body.Len()
	if w.later != nil {
		body, length = w.later, w.length
	}
	if r.Method == http.MethodHead {
		body = http.NoBody
	}
	if w.header.Get("Date") == "" { // a server adds it
		w.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(body), ContentLength: int64(length), Request: r,
	}
}

// Pause waits unless ctx ends first; then it returns the error of ctx.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
