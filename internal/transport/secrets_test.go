package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

const canary = "c4n4ry"

// A canary in every part of a request, and everything that can go wrong.
func TestNoSecretInErrorsAndObservations(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request, status int) {
		w.Header().Set("X-Echo", r.URL.String())
		w.WriteHeader(status)
		io.WriteString(w, r.URL.String())
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not notice that the client hangs up
		hijack := func(text string) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(conn, text, r.URL)
			conn.Close()
		}
		switch r.Header.Get("X-Fault") {
		case "status":
			echo(w, r, 400)
		case "server":
			echo(w, r, 500)
		case "limit":
			w.Header().Set("Retry-After", "3600")
			echo(w, r, 429)
		case "login":
			echo(w, r, 401)
		case "redirect":
			http.Redirect(w, r, "https://user:"+canary+"@evil.example"+r.URL.String(), http.StatusFound)
		case "status line":
			hijack("HTTP/1.1 %s\r\n\r\n")
		case "header":
			hijack("HTTP/1.1 200 OK\r\n%s\r\n\r\n")
		case "protocol":
			hijack("%s HTTP\r\n\r\n")
		case "chunk":
			hijack("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n")
		case "length":
			hijack("HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n")
		case "encoding":
			hijack("HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n")
		case "gzip":
			hijack("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n%s")
		case "hang":
			<-r.Context().Done()
		case "large":
			io.WriteString(w, strings.Repeat(r.URL.String(), 1000))
		}
	}))
	t.Cleanup(server.Close) // after the parallel subtests
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()

	secret := func(address, fault string) transport.Request {
		return transport.Request{
			Method: http.MethodPost,
			URL:    parse(address + "/rest/" + canary + "?auth=" + canary + "#" + canary),
			Header: http.Header{"X-Fault": {fault}, "Authorization": {canary}},
			Body:   []byte(canary),
			Label:  "label",
		}
	}
	requests := map[string]transport.Request{
		"refused":    secret("http://"+gone.Addr().String(), ""),
		"blocked":    secret("http://10.0.0.1", ""),
		"port":       secret("http://127.0.0.1:99999", ""),
		"scheme":     secret("ftp://127.0.0.1", ""),
		"TLS":        secret(strings.Replace(server.URL, "http", "https", 1), ""),
		"userinfo":   secret(strings.Replace(server.URL, "://", "://"+canary+":"+canary+"@", 1), "status"),
		"bad header": secret(server.URL, canary+"\n"),
		"bad method": secret(server.URL, ""),
	}
	for _, fault := range []string{"status", "server", "limit", "login", "redirect", "status line", "header", "protocol",
		"chunk", "length", "encoding", "gzip", "hang", "large"} {
		requests[fault] = secret(server.URL, fault)
	}
	bad := requests["bad method"]
	bad.Method = "not a method"
	requests["bad method"] = bad

	// That the server was reached at all; a broken answer has no status.
	reached := map[string]int{"status": 400, "server": 500, "limit": 429, "login": 401, "redirect": 302, "chunk": 200, "gzip": 200, "large": 200}
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, idempotent := range []bool{false, true} {
				s := onLoopback(t, server.URL)
				s.AttemptTimeout = 50 * time.Millisecond
				s.Attempts = 2
				s.MaxBody = 1000
				s.Reauthorize = func(context.Context) error { return nil }
				s.Observe = func(_ context.Context, a transport.Attempt) { clean(t, a) }
				r.Idempotent = idempotent
				response, err := s.Send(t.Context(), r)
				if err == nil {
					t.Fatal("no error")
				}
				if want, ok := reached[name]; ok && response.Status != want {
					t.Errorf("status %d, want %d: %v", response.Status, want, err)
				}
				clean(t, err)
			}
		})
	}
}

// clean looks for the canary in the way a careless log line would print v.
func clean(t *testing.T, v any) {
	t.Helper()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, v); strings.Contains(text, canary) {
			t.Errorf("%s prints a secret: %s", format, text)
		}
	}
	for err, _ := v.(error); err != nil; {
		if strings.Contains(err.Error(), canary) {
			t.Errorf("a wrapped error holds a secret: %v", err)
		}
		unwrapper, ok := err.(interface{ Unwrap() error })
		if !ok {
			return
		}
		err = unwrapper.Unwrap()
	}
}
