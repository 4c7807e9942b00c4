package zapsigntest

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
)

// Transport returns a transport that hands requests to the server without a network, whatever
// their host. Each request takes [Options].RoundTrip longer than the server needs, half of it
// before and half after. It spends time with timers only and starts no goroutine, so it works in
// a bubble of testing/synctest.
func (a *API) Transport() http.RoundTripper { return &transport{api: a} }

type transport struct{ api *API }

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if r.Body != nil {
		defer r.Body.Close()
	}
	half := t.api.options.RoundTrip / 2
	if err := pause(ctx, half); err != nil {
		return nil, err
	}
	w := &memoryWriter{header: http.Header{}, status: http.StatusOK}
	broken := w.serve(t.api, incoming(r))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if broken {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	if err := pause(ctx, half); err != nil {
		return nil, err
	}
	return w.response(r), nil
}

// incoming makes the request as a server sees it.
func incoming(r *http.Request) *http.Request {
	in := r.WithContext(r.Context())
	address := *r.URL
	in.URL, in.RequestURI = &address, r.URL.RequestURI()
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	in.RemoteAddr = "192.0.2.1:1234"
	in.Header = r.Header.Clone()
	if in.Header == nil {
		in.Header = http.Header{}
	}
	if _, set := in.Header["User-Agent"]; !set {
		in.Header.Set("User-Agent", "Go-http-client/1.1") // as net/http's own transport does
	}
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname()}
	}
	return in
}

// memoryWriter takes the server's answer.
type memoryWriter struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
	later  io.Reader // a body that is not ready yet
	length int
}

// serve runs the server's handler and reports whether it broke the connection.
func (w *memoryWriter) serve(a *API, r *http.Request) (broken bool) {
	defer func() {
		if cause := recover(); cause == http.ErrAbortHandler {
			broken = true
		} else if cause != nil {
			panic(cause)
		}
	}()
	a.ServeHTTP(w, r)
	return false
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if !w.wrote {
		w.wrote, w.status = true, status
	}
}

func (w *memoryWriter) Write(data []byte) (int, error) {
	w.wrote = true
	return w.body.Write(data)
}

func (w *memoryWriter) stream(status, length int, body io.Reader) {
	w.wrote, w.status, w.later, w.length = true, status, body, length
}

func (w *memoryWriter) response(r *http.Request) *http.Response {
	body, length := io.Reader(&w.body), w.body.Len()
	if w.later != nil {
		body, length = w.later, w.length
	}
	if r.Method == http.MethodHead {
		body = http.NoBody
	}
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(body), ContentLength: int64(length), Request: r,
	}
}
