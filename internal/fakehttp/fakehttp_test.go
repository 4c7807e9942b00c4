package fakehttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// overBoth asks the handler in memory and over the loopback interface.
func overBoth(t *testing.T, handler http.HandlerFunc, ask func(t *testing.T, client *http.Client, address string)) {
	t.Run("memory", func(t *testing.T) {
		ask(t, &http.Client{Transport: fakehttp.Transport(handler, 0)}, "https://api.example")
	})
	t.Run("loopback", func(t *testing.T) {
		listener := fakehttp.Listen()
		server := fakehttp.Serve(handler, listener)
		defer server.Close()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		ask(t, &http.Client{Transport: transport}, fakehttp.Address(listener))
	})
}

func TestRequestsAndAnswers(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+r.Header.Get("X-A")+" "+r.UserAgent()+" "+string(body))
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, r.Host)
	}
	overBoth(t, handler, func(t *testing.T, client *http.Client, address string) {
		r, err := http.NewRequest(http.MethodPut, address+"/a%2Fb?c=d", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-A", "1")
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusTeapot || answer.Header.Get("X-Seen") != "PUT /a%2Fb?c=d 1 Go-http-client/1.1 body" || string(body) != r.URL.Host ||
			answer.Header.Get("Date") == "" || answer.ContentLength != int64(len(body)) || err != nil {
			t.Errorf("%+v, %q, %v", answer, body, err)
		}
	})
}

func TestBrokenAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		reset   bool // before there is an answer
	}{
		"reset":   {func(w http.ResponseWriter, _ *http.Request) { fakehttp.Reset(w) }, true},
		"aborted": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			fakehttp.Stream(w, http.StatusOK, 10, fakehttp.Broken([]byte("12345")))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, test.handler, func(t *testing.T, client *http.Client, address string) {
				answer, err := client.Get(address)
				if test.reset {
					if err == nil {
						t.Errorf("answer %d", answer.StatusCode)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				if body, err := io.ReadAll(answer.Body); err == nil || string(body) != "12345" {
					t.Errorf("%q, %v", body, err)
				}
			})
		})
	}
	_, err := fakehttp.Transport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fakehttp.Reset(w) }), 0).
		RoundTrip(must(http.NewRequest(http.MethodGet, "https://api.example/", nil)))
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
}

func TestTimeInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/drip" {
				fakehttp.Stream(w, http.StatusOK, 6, fakehttp.Drip(r.Context(), []byte("123456"), 2, time.Minute))
				return
			}
			<-r.Context().Done()
		})
		client := &http.Client{Transport: fakehttp.Transport(handler, 2*time.Second)}
		start := time.Now()
		answer, err := client.Get("https://api.example/drip")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the network took %v", took)
		}
		body, err := io.ReadAll(answer.Body)
		if took := time.Since(start); string(body) != "123456" || err != nil || took != 2*time.Second+2*time.Minute {
			t.Errorf("%q, %v after %v", body, err, took)
		}
		for _, wait := range []time.Duration{time.Millisecond, time.Minute} { // before the handler, and within
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			start = time.Now()
			_, err := client.Do(must(http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/", nil)))
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != wait {
				t.Errorf("%v after %v", err, took)
			}
			cancel()
		}
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
