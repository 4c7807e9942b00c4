package transport_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/enlace-go/enlace/internal/transport"
)

// One page of a pull, 53 KB: Send against the same request by a bare http.Client
// that allocates the body in one piece, too.
func BenchmarkPage(b *testing.B) {
	page := make([]byte, 53_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page)
	}))
	defer server.Close()
	s := onLoopback(b, server.URL)
	s.Gate = transport.NewGate(1e9, 1e6)
	s.Authorize = func(_ context.Context, r *http.Request) error { r.Header.Set("Authorization", "token"); return nil }
	s.Observe = func(context.Context, transport.Attempt) {}
	request := get(server.URL + "/page?start=50")
	request.Header = http.Header{"Accept": {"application/json"}}

	b.Run("send", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			response, err := s.Send(b.Context(), request)
			if err != nil || len(response.Body) != len(page) {
				b.Fatal(len(response.Body), err)
			}
		}
	})
	bare := func(read func(*http.Response) ([]byte, error)) func(b *testing.B) {
		client := &http.Client{Transport: s.Base, Timeout: transport.DefaultAttemptTimeout}
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, request.URL.String(), nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Accept", "application/json")
				r.Header.Set("Authorization", "token")
				response, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				body, err := read(response)
				if err != nil || len(body) != len(page) {
					b.Fatal(len(body), err)
				}
				response.Body.Close()
			}
		}
	}
	b.Run("bare", bare(func(r *http.Response) ([]byte, error) {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}))
	b.Run("bare_readall", bare(func(r *http.Response) ([]byte, error) { return io.ReadAll(r.Body) }))
}
