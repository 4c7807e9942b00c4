package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace/internal/guard"
	"github.com/enlace-go/enlace/internal/transport"
)

func TestRepeatsOnlyWhatIsSafe(t *testing.T) {
	for _, c := range []struct {
		name                string
		status              int
		idempotent, plain   int // how often it is sent
		networkErrorInstead bool
	}{
		{name: "success", status: 200, idempotent: 1, plain: 1},
		{name: "refused before running", status: 429, idempotent: 4, plain: 4},
		{name: "server error", status: 500, idempotent: 4, plain: 1},
		{name: "bad gateway", status: 502, idempotent: 4, plain: 1},
		{name: "gateway time-out", status: 504, idempotent: 4, plain: 1},
		{name: "ran and refused", status: 422, idempotent: 1, plain: 1},
		{name: "no answer", networkErrorInstead: true, idempotent: 4, plain: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, r := range []transport.Request{get(endpoint), post(endpoint)} {
					sent := 0
					base := answers(&sent, answer(c.status, "the body"))
					s := inMemory(roundTrip(func(r *http.Request) (*http.Response, error) {
						if c.networkErrorInstead {
							sent++
							return nil, errFake
						}
						return base(r)
					}))
					response, err := s.Send(t.Context(), r)
					want := c.plain
					if r.Idempotent {
						want = c.idempotent
					}
					if sent != want || response.Attempts != want {
						t.Errorf("%s: sent %d times, reported %d, want %d", r.Method, sent, response.Attempts, want)
					}
					switch {
					case c.networkErrorInstead:
						wantStage(t, err, transport.Sent, nil)
					case c.status == 200 && err != nil, c.status != 200 && !errors.Is(err, statusError(c.status)):
						t.Errorf("%s: %v", r.Method, err)
					}
					if !c.networkErrorInstead && (response.Status != c.status || string(response.Body) != "the body") {
						t.Errorf("%s: the answer is lost: %+v", r.Method, response)
					}
				}
			})
		})
	}
}

// Non-idempotent is what the caller says, also for a GET: some providers write by GET.
func TestPlainGetIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		r := get(endpoint)
		r.Idempotent = false
		_, err := inMemory(answers(&sent, answer(500, ""))).Send(t.Context(), r)
		if sent != 1 || !errors.Is(err, statusError(500)) {
			t.Fatalf("sent %d times: %v", sent, err)
		}
	})
}

func TestStopsAtOnceForHostileRetryAfter(t *testing.T) {
	for _, header := range [][]string{
		{"3600"}, {"9223372037"}, {"18446744074"}, {"99999999999"}, {"Fri, 31 Dec 9999 23:59:59 GMT"},
	} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			s := inMemory(answers(&sent, answer(429, "", "Retry-After", header[0])))
			s.TotalTimeout = 100 * time.Hour // it is not for lack of time
			start := time.Now()
			_, err := s.Send(t.Context(), post(endpoint))
			if sent != 1 || time.Since(start) != 0 || !errors.Is(err, statusError(429)) {
				t.Errorf("Retry-After %v: sent %d times in %v: %v", header, sent, time.Since(start), err)
			}
		})
	}
	for _, header := range [][]string{{"-1"}, {"1.5"}, {"junk"}, {""}, {"1", "2"}, {"0"}, {"Mon, 01 Jan 1990 00:00:00 GMT"}} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			refusal := answer(429, "")
			refusal.Header["Retry-After"] = header
			s := inMemory(answers(&sent, refusal))
			start := time.Now()
			_, err := s.Send(t.Context(), post(endpoint))
			elapsed := time.Since(start)
			if sent != 4 || elapsed < 150*time.Millisecond || elapsed > 2*time.Second || !errors.Is(err, statusError(429)) {
				t.Errorf("Retry-After %v: sent %d times in %v: %v", header, sent, elapsed, err)
			}
		})
	}
}

func TestRetryAfterIsAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := inMemory(answers(&sent, answer(429, "", "Retry-After", "20"), answer(200, "")))
		start := time.Now()
		response := mustSend(t, s, post(endpoint))
		elapsed := time.Since(start)
		if sent != 2 || elapsed < 20*time.Second || elapsed > 22*time.Second || response.Elapsed != elapsed {
			t.Fatalf("sent %d times in %v, reported %v", sent, elapsed, response.Elapsed)
		}
	})
}

func TestBackoffIsFullJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []time.Duration
		s := inMemory(roundTrip(func(*http.Request) (*http.Response, error) { return answer(500, ""), nil }))
		s.Attempts = 12
		s.TotalTimeout = time.Hour
		s.Observe = func(_ context.Context, a transport.Attempt) {
			ceiling := min(20*time.Second, 250*time.Millisecond<<max(a.Number-2, 0))
			if a.Number > 1 && (a.Waited < 50*time.Millisecond || a.Waited > ceiling) {
				t.Errorf("wait before attempt %d is %v, want 50ms to %v", a.Number, a.Waited, ceiling)
			}
			seen = append(seen, a.Waited)
		}
		for range 50 {
			_, _ = s.Send(t.Context(), get(endpoint))
		}
		distinct := map[time.Duration]bool{}
		for i, wait := range seen {
			if i%12 == 11 {
				distinct[wait] = true
			}
		}
		if len(seen) != 600 || len(distinct) < 45 {
			t.Fatalf("%d waits, %d different ones among 50 of the last attempt", len(seen), len(distinct))
		}
	})
}

func TestNoAttemptWithoutASecondLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := inMemory(answers(&sent, answer(429, "", "Retry-After", "5")))
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := s.Send(ctx, post(endpoint))
		if sent != 1 || time.Since(start) != 0 || !errors.Is(err, statusError(429)) {
			t.Fatalf("sent %d times in %v: %v", sent, time.Since(start), err)
		}
		// The first attempt is made however short the time is.
		sent = 0
		s.Base = answers(&sent, answer(200, ""))
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Send(ctx, post(endpoint)); err != nil || sent != 1 {
			t.Fatal(sent, err)
		}
	})
}

func TestTimeoutsAreNotTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := inMemory(roundTrip(func(r *http.Request) (*http.Response, error) {
			sent++
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}))
		start := time.Now()
		_, err := s.Send(t.Context(), post(endpoint))
		wantStage(t, err, transport.Sent, transport.ErrTimeout)
		if sent != 1 || time.Since(start) != 30*time.Second {
			t.Errorf("attempt: sent %d times in %v", sent, time.Since(start))
		}
		sent, start = 0, time.Now()
		_, err = s.Send(t.Context(), get(endpoint))
		wantStage(t, err, transport.Sent, transport.ErrTimeout)
		if sent != 3 || time.Since(start) != 90*time.Second {
			t.Errorf("total: sent %d times in %v", sent, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start = time.Now()
		_, err = s.Send(ctx, get(endpoint))
		wantStage(t, err, transport.Sent, context.DeadlineExceeded)
		if time.Since(start) != 10*time.Second {
			t.Errorf("caller's deadline: %v", time.Since(start))
		}
	})
}

func TestCancelledCallerReturnsAtOnce(t *testing.T) {
	gate := transport.NewGate(0, 1)
	for name, base := range map[string]roundTrip{
		"in flight": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		},
		"in the back-off": func(*http.Request) (*http.Response, error) { return answer(429, "", "Retry-After", "30"), nil },
		"at the gate": func(*http.Request) (*http.Response, error) { // the pause of the verdict outlasts the back-off
			defer gate.Pause(50 * time.Second)
			return answer(500, ""), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate = transport.NewGate(0, 1)
				s := inMemory(base)
				s.Gate = gate
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(10*time.Second, func() { cancel(errors.New("a reason")) })
				start := time.Now()
				_, err := s.Send(ctx, get(endpoint))
				if time.Since(start) != 10*time.Second || !errors.Is(err, context.Canceled) {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}

func TestCancelledBeforehand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sent := 0
	_, err := inMemory(answers(&sent, answer(200, ""))).Send(ctx, get(endpoint))
	wantStage(t, err, transport.NotSent, context.Canceled)
	if sent != 0 {
		t.Error("sent")
	}
}

func TestReauthorizeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent, refreshed int
		token := "old"
		s := inMemory(roundTrip(func(r *http.Request) (*http.Response, error) {
			sent++
			if body, _ := io.ReadAll(r.Body); string(body) != "body" {
				t.Errorf("body %q", body)
			}
			if r.Header.Get("Authorization") != "new" {
				return answer(401, ""), nil
			}
			return answer(200, ""), nil
		}))
		s.Attempts = 1 // the repetition is not counted
		s.Authorize = func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", token)
			return nil
		}
		s.Reauthorize = func(context.Context) error {
			refreshed++
			token = "new"
			return nil
		}
		original := post(endpoint)
		original.Header = http.Header{"X-Own": {"1"}}
		mustSend(t, s, original)
		if sent != 2 || refreshed != 1 {
			t.Errorf("sent %d, refreshed %d", sent, refreshed)
		}
		if diff := cmp.Diff(http.Header{"X-Own": {"1"}}, original.Header); diff != "" {
			t.Error("the caller's header was changed:", diff)
		}

		// The fresh one is refused too.
		s.Reauthorize = func(context.Context) error { refreshed++; return nil }
		token, sent, refreshed = "old", 0, 0
		if _, err := s.Send(t.Context(), post(endpoint)); !errors.Is(err, statusError(401)) || sent != 2 || refreshed != 1 {
			t.Errorf("second refusal: sent %d, refreshed %d: %v", sent, refreshed, err)
		}
		// No fresh one is to be had.
		sent = 0
		s.Reauthorize = func(context.Context) error { return errFake }
		if _, err := s.Send(t.Context(), post(endpoint)); err != errFake || sent != 1 {
			t.Errorf("refused refresh: sent %d: %v", sent, err)
		}
		sent = 0
		s.Reauthorize = nil
		if _, err := s.Send(t.Context(), post(endpoint)); !errors.Is(err, statusError(401)) || sent != 1 {
			t.Errorf("no refresh: sent %d: %v", sent, err)
		}
	})
}

func TestReauthorizeKeepsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := inMemory(answers(&sent, answer(500, ""), answer(401, ""), answer(500, ""), answer(500, ""), answer(200, "")))
		s.Reauthorize = func(context.Context) error { return nil }
		if response := mustSend(t, s, get(endpoint)); response.Attempts != 5 {
			t.Errorf("%d attempts, want 4 and the refused one", response.Attempts)
		}
	})
}

func TestAuthorizeErrorSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := inMemory(answers(&sent, answer(200, "")))
		s.Authorize = func(context.Context, *http.Request) error { return errFake }
		if _, err := s.Send(t.Context(), get(endpoint)); err != errFake || sent != 0 {
			t.Errorf("sent %d: %v", sent, err)
		}
		s.Authorize = func(_ context.Context, r *http.Request) error { r.URL.Host = "evil.example"; return nil }
		if _, err := s.Send(t.Context(), get(endpoint)); err == nil || sent != 0 {
			t.Errorf("another host: sent %d: %v", sent, err)
		}
	})
}

func TestGateRefusalIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := inMemory(answers(&sent, answer(200, "")))
		s.Gate = transport.NewGate(0, 1)
		s.Gate.Pause(time.Hour)
		start := time.Now()
		_, err := s.Send(t.Context(), get(endpoint))
		wantStage(t, err, transport.NotSent, transport.ErrDeadlineTooShort)
		if sent != 0 || time.Since(start) != 0 {
			t.Errorf("sent %d times in %v", sent, time.Since(start))
		}
		if wait, ok := errors.AsType[*transport.WaitError](err); !ok || wait.Wait != time.Hour {
			t.Errorf("the wait is not told: %v", err)
		}
	})
}

// The provider's last word says more than that there is no time for another try.
func TestGateRefusalOfARepetition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := transport.NewGate(0, 1)
		s := inMemory(roundTrip(func(*http.Request) (*http.Response, error) {
			gate.Pause(time.Hour)
			return answer(429, ""), nil
		}))
		s.Gate = gate
		response, err := s.Send(t.Context(), post(endpoint))
		if !errors.Is(err, statusError(429)) || response.Attempts != 1 || response.Status != 429 {
			t.Errorf("%+v: %v", response, err)
		}
	})
}

// Whoever would have to wait longer than it can is told at once; who can wait, does.
func TestPauseHoldsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := inMemory(answers(&sent, answer(429, "", "Retry-After", "7200"), answer(200, "")))
		s.Gate = transport.NewGate(0, 1)
		s.TotalTimeout = time.Hour
		if _, err := s.Send(t.Context(), post(endpoint)); !errors.Is(err, statusError(429)) {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := s.Send(t.Context(), post(endpoint)); !errors.Is(err, transport.ErrDeadlineTooShort) || time.Since(start) != 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		s.TotalTimeout = 3 * time.Hour
		mustSend(t, s, post(endpoint))
		if waited := time.Since(start); waited < 2*time.Hour || waited > 2*time.Hour+12*time.Minute {
			t.Errorf("waited %v, want what the provider asked for and a tenth at most", waited)
		}
	})
}

func TestRedirects(t *testing.T) {
	for _, c := range []struct {
		name, method, from, to string
		status, sent           int
		final                  string // method and path of the last request
	}{
		{"get found", "GET", "/a", "/b", 302, 2, "GET /b"},
		{"get moved", "GET", "/a", "https://api.example.com:443/b", 301, 2, "GET /b"},
		{"get see other", "GET", "/a", "b", 303, 2, "GET /b"},
		{"head temporary", "HEAD", "/a", "/b", 307, 2, "HEAD /b"},
		{"post temporary", "POST", "/a", "/b", 307, 2, "POST /b"},
		{"put permanent", "PUT", "/a", "/b", 308, 2, "PUT /b"},
		{"post found", "POST", "/a", "/b", 302, 1, "POST /a"},
		{"post see other", "POST", "/a", "/b", 303, 1, "POST /a"},
		{"post moved", "POST", "/a", "/b", 301, 1, "POST /a"},
		{"other host", "GET", "/a", "https://evil.example/b", 302, 1, "GET /a"},
		{"other port", "GET", "/a", "https://api.example.com:8443/b", 302, 1, "GET /a"},
		{"to plain http", "GET", "/a", "http://api.example.com/b", 302, 1, "GET /a"},
		{"post to another host", "POST", "/a", "https://evil.example/b", 307, 1, "POST /a"},
		{"user information", "GET", "/a", "https://u:p@api.example.com/b", 302, 1, "GET /a"},
		{"no location", "GET", "/a", "", 302, 1, "GET /a"},
		{"not a URL", "GET", "/a", "https://[/", 302, 1, "GET /a"},
		{"for ever", "GET", "/b", "/b", 302, 6, "GET /b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seen []string
			s := inMemory(roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Authorization") != "token" {
					t.Error("not authorized again")
				}
				if r.Method == "POST" || r.Method == "PUT" {
					if body, _ := io.ReadAll(r.Body); string(body) != "body" {
						t.Errorf("body %q", body)
					}
				}
				seen = append(seen, r.Method+" "+r.URL.Path)
				if r.URL.Path == c.from {
					return answer(c.status, "", "Location", c.to), nil
				}
				return answer(200, ""), nil
			}))
			s.Authorize = func(_ context.Context, r *http.Request) error { r.Header.Set("Authorization", "token"); return nil }
			r := transport.Request{Method: c.method, URL: parse("https://api.example.com" + c.from)}
			if c.method == "POST" || c.method == "PUT" {
				r.Body = []byte("body")
			}
			response, err := s.Send(t.Context(), r)
			if len(seen) != c.sent || seen[len(seen)-1] != c.final {
				t.Errorf("sent %v", seen)
			}
			followed := c.sent == 2
			if followed && err != nil || !followed && !errors.Is(err, statusError(c.status)) {
				t.Errorf("error %v", err)
			}
			if !followed && response.Header.Get("Location") != c.to {
				t.Error("Location is lost")
			}
		})
	}
}

func TestCredentialsStayAtTheEndpoint(t *testing.T) {
	var stolen []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = append(stolen, r.Header) }))
	defer other.Close()
	own := httptest.NewServer(http.RedirectHandler(other.URL+"/take", http.StatusTemporaryRedirect))
	defer own.Close()
	s := onLoopback(t, own.URL)
	s.Authorize = func(_ context.Context, r *http.Request) error { r.Header.Set("Authorization", "token"); return nil }
	for _, r := range []transport.Request{get(own.URL), post(own.URL)} {
		if _, err := s.Send(t.Context(), r); !errors.Is(err, statusError(307)) {
			t.Error(err)
		}
	}
	if len(stolen) != 0 {
		t.Fatalf("the redirect was followed: %v", stolen)
	}
	// A request that names the other host itself goes there, without the credential.
	mustSend(t, s, get(other.URL))
	if len(stolen) != 1 || stolen[0].Get("Authorization") != "" {
		t.Fatalf("the other host received %v", stolen)
	}
}

func TestRefusesIncompleteInput(t *testing.T) {
	ok := inMemory(roundTrip(func(*http.Request) (*http.Response, error) { return answer(200, ""), nil }))
	for name, c := range map[string]struct {
		s transport.Sender
		r transport.Request
	}{
		"zero Sender":      {transport.Sender{}, get(endpoint)},
		"no Judge":         {transport.Sender{Base: ok.Base, Endpoint: ok.Endpoint}, get(endpoint)},
		"no URL":           {*ok, transport.Request{}},
		"relative":         {*ok, get("/path")},
		"user information": {*ok, get("https://user:canary@api.example.com/")},
	} {
		if _, err := c.s.Send(t.Context(), c.r); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A verdict without an error must not look like a success.
	ok.Judge = func(int, http.Header, []byte) transport.Verdict { return transport.Verdict{Action: transport.Fail} }
	if _, err := ok.Send(t.Context(), get(endpoint)); err == nil {
		t.Error("Fail without Err is no error")
	}
}

func TestBodyIsBoundedInBytes(t *testing.T) {
	bomb := func() []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.CopyN(w, zeros{}, 4<<20)
		w.Close()
		return b.Bytes()
	}()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exact":
			w.Write(make([]byte, 1<<16))
		case "/long":
			w.Write(make([]byte, 1<<16+1))
		case "/declared":
			w.Header().Set("Content-Length", "9000000000")
			w.Write([]byte("x"))
		case "/chunked":
			for r.Context().Err() == nil { // without end
				w.Write(make([]byte, 1<<10))
				w.(http.Flusher).Flush()
			}
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		}
	}))
	defer server.Close()
	s := onLoopback(t, server.URL)
	s.MaxBody = 1 << 16
	if response := mustSend(t, s, get(server.URL+"/exact")); len(response.Body) != 1<<16 {
		t.Errorf("%d bytes", len(response.Body))
	}
	for _, path := range []string{"/long", "/declared", "/chunked", "/gzip"} {
		response, err := s.Send(t.Context(), get(server.URL+path))
		wantStage(t, err, transport.Sent, transport.ErrTooLarge)
		if response.Attempts != 1 || response.Status != 200 || response.Body != nil {
			t.Errorf("%s: %d attempts, status %d", path, response.Attempts, response.Status)
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	promise := answer(200, "")
	promise.ContentLength = 1000
	r := get(endpoint)
	r.Method = http.MethodHead
	sent := 0
	if response := mustSend(t, inMemory(answers(&sent, promise)), r); response.Body != nil || sent != 1 {
		t.Errorf("%d bytes, sent %d times", len(response.Body), sent)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLargeBodyIsSentAgainUnchanged(t *testing.T) {
	body := make([]byte, 10<<20)
	for i := range body {
		body[i] = byte(i * 31)
	}
	sent := 0
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(received, body) {
			t.Errorf("received %d bytes, not what was sent: %v", len(received), err)
		}
		if sent++; sent < 4 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	virtual(t, handler, func(t *testing.T, s *transport.Sender, _ *int) {
		r := transport.Request{Method: http.MethodPut, URL: s.Endpoint, Body: body, Idempotent: true}
		if response := mustSend(t, s, r); response.Attempts != 4 {
			t.Errorf("%d attempts", response.Attempts)
		}
	})
}

// The engine closes the idle connections of its client after every failure.
func TestIdleConnectionsOfOtherHostsAreKept(t *testing.T) {
	var dials atomic.Int32
	good := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	good.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dials.Add(1)
		}
	}
	good.Start()
	defer good.Close()
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(400) }))
	defer bad.Close()
	gone := httptest.NewServer(nil)
	gone.Close()

	s := onLoopback(t, good.URL)
	s.Attempts = 1
	mustSend(t, s, get(good.URL))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range []func() error{
		func() error { _, err := s.Send(t.Context(), get(bad.URL)); return err },
		func() error { _, err := s.Send(t.Context(), get(gone.URL)); return err },
		func() error { _, err := s.Send(cancelled, get(bad.URL)); return err },
	} {
		if f() == nil {
			t.Fatal("no failure")
		}
		mustSend(t, s, get(good.URL))
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections to the good host, want the first one to be kept", n)
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		w.Write(make([]byte, 100_000)) // more than the engine would drain
	})
	virtual(t, handler, func(t *testing.T, s *transport.Sender, opened *int) {
		for range 3 {
			if response, err := s.Send(t.Context(), get("http://api.example.com/")); err == nil || len(response.Body) != 100_000 {
				t.Fatal(len(response.Body), err)
			}
		}
		if *opened != 1 {
			t.Errorf("%d connections for 12 requests", *opened)
		}
	})
}

// The engine's default logger writes URLs to standard error, which only another
// process can tell for sure.
func TestNothingIsLogged(t *testing.T) {
	if os.Getenv("TRANSPORT_TEST_CHILD") != "" {
		s := inMemory(roundTrip(func(*http.Request) (*http.Response, error) { return nil, errFake }))
		s.Attempts = 2
		_, _ = s.Send(t.Context(), get(endpoint+"canary?q=canary"))
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNothingIsLogged$")
	child.Env = append(os.Environ(), "TRANSPORT_TEST_CHILD=1")
	out, err := child.CombinedOutput()
	if err != nil || strings.Contains(string(out), "canary") || strings.Contains(string(out), "DEBUG") {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestObservations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := inMemory(roundTrip(func(*http.Request) (*http.Response, error) {
			time.Sleep(3 * time.Second)
			sent++
			return []*http.Response{answer(302, "", "Location", "/next"), answer(500, ""), answer(200, "")}[sent-1], nil
		}))
		var seen []transport.Attempt
		s.Observe = func(_ context.Context, a transport.Attempt) { seen = append(seen, a) }
		mustSend(t, s, get(endpoint))
		if len(seen) != 3 || seen[2].Waited < 50*time.Millisecond {
			t.Fatalf("%+v", seen)
		}
		seen[2].Waited = 0
		want := []transport.Attempt{
			{Label: "read", Method: "GET", Status: 302, Number: 1, Duration: 3 * time.Second},
			{Label: "read", Method: "GET", Status: 500, Number: 2, Duration: 3 * time.Second, Err: statusError(500)},
			{Label: "read", Method: "GET", Status: 200, Number: 3, Duration: 3 * time.Second},
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSenderIsSafeForConcurrentUse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	defer server.Close()
	s := onLoopback(t, server.URL)
	s.Gate = transport.NewGate(100_000, 10)
	s.Authorize = func(_ context.Context, r *http.Request) error { r.Header.Set("Authorization", "token"); return nil }
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for range 20 {
				r := post(server.URL)
				r.Body = bytes.Repeat([]byte{byte(i)}, 1000)
				response, err := s.Send(t.Context(), r)
				if err != nil || !bytes.Equal(response.Body, r.Body) {
					t.Errorf("answers are mixed up: %d bytes, status %d, %v", len(response.Body), response.Status, err)
				}
			}
		})
	}
	group.Wait()
}

func TestBlockedAddressIsFinal(t *testing.T) {
	s := inMemory(guard.Transport(guard.Policy{}))
	s.Endpoint = parse("https://127.0.0.1/")
	for _, r := range []transport.Request{get("https://127.0.0.1/canary"), get("http://localhost:81/canary")} {
		response, err := s.Send(t.Context(), r)
		wantStage(t, err, transport.NotSent, guard.ErrBlocked)
		if response.Attempts != 1 || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d attempts: %v", response.Attempts, err)
		}
	}
}
